//! A stand-in for the vendor's REST service, in front of a Redis of its own.
//!
//! It keeps to what the vendor documents and users report, except that no read lags behind a write: a client that
//! forgets its sync token is seen only in [`Upstash::seen`].

mod database;
mod faults;
mod protocol;
mod resp;
mod scripts;
mod serve;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::http::HeaderMap;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{database::Database, faults::Faults};
use super::redis_server::RedisServer;

pub(crate) use faults::Fault;

pub(super) const REFUSED_TOKEN: &str = "WRONGPASS invalid or missing auth token";

/// How many requests are kept.
const KEPT: usize = 100;

pub(crate) struct Upstash {
    port: u16,
    shared: Arc<Shared>,
    open: Mutex<Open>,
}

/// Told to stop, and waited for.
#[derive(Clone, Default)]
struct Open {
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Shared {
    token: String,
    read_only_token: String,
    database: Database,
    faults: Faults,
    requests: AtomicUsize,
    connections: AtomicUsize,
    seen: Mutex<VecDeque<Seen>>,
    idle: Notify,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Upstash {
    pub(crate) async fn start(redis: &RedisServer) -> Self {
        let secret = |kind| format!("{kind}-{:016x}", fastrand::u64(..));
        let shared = Arc::new(Shared {
            token: secret("standard"),
            read_only_token: secret("readonly"),
            database: Database::open(redis).await,
            faults: Faults::default(),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            seen: Mutex::default(),
            idle: Notify::new(),
        });
        let listener = serve::listen_anywhere().await;
        let upstash = Self { port: listener.local_addr().unwrap().port(), shared, open: Mutex::default() };
        upstash.serve(listener);
        upstash
    }

    fn serve(&self, listener: tokio::net::TcpListener) {
        let open = Open::default();
        open.tasks.spawn(serve::accept(listener, Arc::clone(&self.shared), open.clone()));
        *self.open.lock().unwrap() = open;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn token(&self) -> &str {
        &self.shared.token
    }

    pub(crate) fn read_only_token(&self) -> &str {
        &self.shared.read_only_token
    }

    /// Spoils the next `times` requests that hold one of `commands`, or any request when none is named;
    /// `usize::MAX` means until [`Self::heal`]. Of several faults that fit, the oldest happens.
    pub(crate) fn fail(&self, fault: Fault, commands: &[&str], times: usize) {
        self.shared.faults.add(fault, commands, times);
    }

    /// Ends all faults, and lifts the quota.
    pub(crate) fn heal(&self) {
        self.shared.faults.clear();
        self.set_quota(u64::MAX);
    }

    /// Refuses requests once that many more units are spent.
    pub(crate) fn set_quota(&self, units: u64) {
        self.shared.database.quota.store(units, Ordering::SeqCst);
    }

    /// Stops to listen, and drops every connection, whatever it is at.
    pub(crate) async fn close(&self) {
        let Open { stop, tasks } = self.open.lock().unwrap().clone();
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    /// Listens again, at the same address.
    pub(crate) async fn reopen(&self) {
        self.serve(serve::listen(self.port).await.unwrap());
    }

    /// Closes the connections on which no request is under way, as servers do without notice.
    pub(crate) fn close_idle(&self) {
        self.shared.idle.notify_waiters();
    }

    /// Whole requests that came, whatever became of them.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// What the vendor would charge for: every command that Redis was given, and each that a script called. A command
    /// that failed counts, one that was refused beforehand does not, nor do `MULTI` and `EXEC`.
    pub(crate) fn units(&self) -> u64 {
        self.commands().values().sum()
    }

    /// [`Self::units`] by command, in capitals, those that scripts called among them.
    pub(crate) fn commands(&self) -> BTreeMap<String, u64> {
        self.shared.database.counts.lock().unwrap().clone()
    }

    /// Connections accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The last hundred requests, oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().iter().cloned().collect()
    }

    /// Forgets all that was counted and seen.
    pub(crate) fn reset_counts(&self) {
        self.shared.requests.store(0, Ordering::SeqCst);
        self.shared.connections.store(0, Ordering::SeqCst);
        self.shared.database.counts.lock().unwrap().clear();
        self.shared.seen.lock().unwrap().clear();
    }
}

impl Drop for Upstash {
    fn drop(&mut self) {
        self.open.lock().unwrap().stop.cancel();
    }
}
