//! Accepts connections, answers on them, and stops without losing an answer that can still be finished.
//!
//! A client that closes its sending side is taken for gone, as browsers and proxies mean it: otherwise nobody would notice
//! who has left while a provider thinks.

mod conversation;
mod door;

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::TryFutureExt as _;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tower::ServiceExt as _;

use crate::{
    app::{App, HttpService},
    http::unread::Unread,
    layers::Held,
};

use conversation::Conversation;
pub use door::connections;
use door::{Door, Guest};

/// How long a connection may stay idle between requests: longer than the proxies in front keep theirs. A later head has no
/// more time than that: who sends one slowly holds little more than who sends none.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
/// The longest head, which is Node's limit too; beyond it 431. What comes of a body is read in pieces no larger.
const HEAD_LIMIT_BYTES: usize = 16 << 10;
/// How long the ends of streams may take to reach their clients once they had to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What clients may take of the service.
#[derive(Clone, Copy)]
pub struct Limits {
    /// How many connections there may be at once; beyond them new ones wait until another ends.
    pub connections: usize,
    /// How long a client may take nothing of a reply before it is dropped.
    pub stalled: Duration,
    /// How long answers in flight may take once the service is told to stop.
    pub grace: Duration,
}

/// Serves `app` on `listener` until `stop` resolves; then nothing new is accepted, what is in flight may finish within
/// the grace, and the rest is ended.
pub async fn serve(listener: TcpListener, app: App, limits: Limits, stop: impl Future<Output = ()>) {
    let App { service, draining, stopping, tasks, flights: _, store: _, chores } = app;
    let over = CancellationToken::new();
    let running = AbortOnDropHandle::new(tokio::spawn(chores.clone().run(over.clone())));
    let host = Host { service, tasks: tasks.clone(), stopping: stopping.clone(), draining: draining.clone(), limits };
    let connections = TaskTracker::new();
    let mut door = Door::new(listener, limits.connections);
    let mut stop = std::pin::pin!(stop);
    let attend = |Guest { stream, peer, seat }| {
        let connection = host.clone().connection(stream, peer);
        connections.spawn(async move {
            connection.await;
            drop(seat);
        });
    };
    loop {
        tokio::select! {
            guest = door.next() => attend(guest),
            () = &mut stop => break,
        }
    }
    door.close().into_iter().for_each(attend);
    draining.cancel();
    tracing::info!(connections = connections.len(), grace = ?limits.grace, "stopping");
    connections.close();
    tasks.close();
    let finished = async {
        connections.wait().await;
        // Not before: what a call leaves behind its answer, such as keeping that, becomes a task only then.
        tasks.wait().await;
    };
    let mut finished = std::pin::pin!(finished);
    if timeout(limits.grace, &mut finished).await.is_err() {
        tracing::warn!(connections = connections.len(), "the grace is over: answers in flight are ended");
        stopping.cancel();
        if timeout(LAST_WORDS, &mut finished).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections are cut");
        }
    }
    over.cancel();
    drop(running.await);
    chores.finish().await;
}

/// What every connection needs.
#[derive(Clone)]
struct Host {
    service: HttpService,
    tasks: TaskTracker,
    /// Cancelled when answers in flight have to end.
    stopping: CancellationToken,
    /// Cancelled when nothing new is wanted.
    draining: CancellationToken,
    limits: Limits,
}

impl Host {
    fn connection(self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> {
        // Small replies and events must not wait for an acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.stalled));

        let conversation = Arc::new(Conversation::default());
        let (draining, stopping, grace) = (self.draining.clone(), self.stopping.clone(), self.limits.grace);
        let turns = Arc::clone(&conversation);
        let answer = service_fn(move |request: Request<Incoming>| {
            let turn = turns.turn();
            self.clone().respond(request, peer).map_ok(|response| response.map(|body| Held::new(body, turn)))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(HEAD_LIMIT_BYTES)
            // One write for head and body: to copy a few kilobytes costs less than what the kernel does for two pieces.
            .writev(false)
            .serve_connection(TokioIo::new(Box::pin(stream)), answer);
        async move {
            let mut connection = std::pin::pin!(connection);
            // In their order: what has come is read before anything is closed.
            let result = tokio::select! {
                biased;
                result = &mut connection => result,
                () = conversation.over(&draining, &stopping, grace) => {
                    if !conversation.has_begun() {
                        return;
                    }
                    // At once where it is idle, and else after its reply.
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                // Clients leave as they like.
                tracing::debug!(%error, "connection ended");
            }
        }
    }

    async fn respond(self, request: Request<Incoming>, peer: SocketAddr) -> Result<Response, Infallible> {
        let Self { service, tasks, stopping, draining, limits: _ } = self;
        let mut request = request.map(|body| Body::new(Unread::new(body, tasks, stopping)));
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut response = service.oneshot(request).await?;
        if draining.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}
