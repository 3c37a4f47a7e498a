//! Two instances that share a store, and everything around them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{Binary, RedisServer, Upstash};

use super::{provider::Provider, relay::Relay};

/// The key of those who may ask as often as they like.
pub(super) const WEB: &str = "web-0123456789abcdef";
/// The key of those who may ask [`LIMIT`] times in [`WINDOW`].
pub(super) const SLIM: &str = "slim-0123456789abcdef";
pub(super) const LIMIT: usize = 12;
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// `ADMIN_TOKEN`.
const ADMIN: &str = "admin-0123456789abcdef";
/// `CACHE_MEMORY_MB`: so little that it is full before anything is measured.
pub(super) const CACHE_BYTES: f64 = 1_048_576.0;
/// `CACHE_TTL_SECONDS`: so short that answers grow old while they are asked for.
pub(super) const TTL: Duration = Duration::from_secs(30);
/// What the longest stop may take: a slow reader's answer, and the last postings.
const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// Two instances on one store.
pub(super) struct Pair {
    /// Of the store: `Redis` or `REST`.
    pub(super) name: &'static str,
    pub(super) provider: Provider,
    pub(super) redis: RedisServer,
    /// In front of Redis, where it is spoken to natively.
    pub(super) relay: Option<Relay>,
    /// In front of Redis, where it is spoken to over REST.
    pub(super) upstash: Option<Upstash>,
    pub(super) instances: [Instance; 2],
    /// The clients' connections.
    pub(super) client: Client,
    /// Of a user, where one could be made.
    pub(super) session: Mutex<Option<String>>,
    program: PathBuf,
}

/// A place for an instance, which may be another one after a while.
pub(super) struct Instance {
    address: Mutex<SocketAddr>,
    /// `None` while it is replaced.
    binary: Mutex<Option<Binary>>,
    starts: AtomicUsize,
    /// What those said that have ended, errors only.
    errors: Mutex<Vec<Value>>,
}

impl Pair {
    /// On a Redis that keeps on disk what it has confirmed: a store that forgets money when it restarts would hide what the gateway
    /// forgets.
    pub(super) async fn start(name: &'static str, program: PathBuf) -> Self {
        let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"]).await;
        let (relay, upstash) = match name {
            "REST" => (None, Some(Upstash::start(&redis).await)),
            _ => (Some(Relay::to(redis.port()).await), None),
        };
        let client = Client::builder().no_proxy().build().unwrap();
        let nowhere = || Instance {
            address: Mutex::new(SocketAddr::from(([127, 0, 0, 1], 1))),
            binary: Mutex::default(),
            starts: AtomicUsize::new(0),
            errors: Mutex::default(),
        };
        let (provider, instances, session) = (Provider::start().await, [nowhere(), nowhere()], Mutex::default());
        let pair = Self { name, provider, redis, relay, upstash, instances, client, session, program };
        pair.launch(0);
        pair.launch(1);
        pair
    }

    /// The key by which the provider knows the present instance at `place`.
    pub(super) fn key(&self, place: usize) -> String {
        let starts = self.instances[place].starts.load(Ordering::SeqCst);
        format!("sk-{}-{place}-{starts}", self.name)
    }

    /// A new instance at `place`.
    pub(super) fn launch(&self, place: usize) {
        let instance = &self.instances[place];
        instance.starts.fetch_add(1, Ordering::SeqCst);
        let settings = self.settings(place);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let is_error = |line: &str| line.contains("\"level\":\"ERROR\"");
        let binary = tokio::task::block_in_place(|| Binary::start_from(&self.program, &settings, is_error));
        *instance.address.lock().unwrap() = binary.address;
        *instance.binary.lock().unwrap() = Some(binary);
    }

    fn settings(&self, place: usize) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("NODE_ENV", "production".to_owned()),
            ("OPENAI_API_KEY", self.key(place)),
            ("OPENAI_BASE_URL", self.provider.base_url.clone()),
            ("API_KEYS", format!("web:{WEB}:0,slim:{SLIM}:{LIMIT}")),
            ("ADMIN_TOKEN", ADMIN.to_owned()),
            ("RATE_LIMIT_MAX", "40".to_owned()),
            ("RATE_LIMIT_WINDOW_SECONDS", WINDOW.as_secs().to_string()),
            ("INSTANCES", "2".to_owned()),
            ("STORE_TIMEOUT_MS", "500".to_owned()),
            ("CACHE_TTL_SECONDS", TTL.as_secs().to_string()),
            ("CACHE_REVALIDATE_SECONDS", "10".to_owned()),
            ("CACHE_STALE_SECONDS", "120".to_owned()),
            ("CACHE_MEMORY_MB", "1".to_owned()),
            ("PROVIDER_TIMEOUT_SECONDS", "3".to_owned()),
            ("PROVIDER_IDLE_SECONDS", "2".to_owned()),
            ("PROVIDER_STREAM_SECONDS", "20".to_owned()),
            ("BUDGET_DAILY_USD", "100000".to_owned()),
            ("BUDGET_WEEKLY_USD", "100000".to_owned()),
            ("BUDGET_MONTHLY_USD", "100000".to_owned()),
        ];
        if let Some(upstash) = &self.upstash {
            settings.push(("UPSTASH_REDIS_REST_URL", upstash.url()));
            settings.push(("UPSTASH_REDIS_REST_TOKEN", upstash.token().to_owned()));
        } else {
            let port = self.relay.as_ref().map_or(0, |relay| relay.port);
            settings.push(("REDIS_URL", format!("redis://127.0.0.1:{port}")));
            // Of the two ways to keep a budget, each pair takes one: here every call asks for leave.
            settings.push(("BUDGET_HARD_LIMIT", "true".to_owned()));
        }
        settings
    }

    /// Ends the instance at `place` as a crash would, and says which key it had.
    pub(super) fn kill(&self, place: usize) -> String {
        if let Some(mut binary) = self.instances[place].binary.lock().unwrap().take() {
            binary.kill();
            self.instances[place].errors.lock().unwrap().extend(binary.log());
        }
        self.key(place)
    }

    /// Asks the instance at `place` to end, waits for that, and says with which status it did.
    pub(super) async fn stop(&self, place: usize) -> Option<i32> {
        let binary = self.instances[place].binary.lock().unwrap().take();
        let mut binary = binary?;
        binary.terminate();
        let status = binary.ended(STOPS_WITHIN).await;
        self.instances[place].errors.lock().unwrap().extend(binary.log());
        status.code()
    }

    pub(super) fn url(&self, place: usize, path: &str) -> String {
        format!("http://{}{path}", self.instances[place].address.lock().unwrap())
    }

    /// What the log of those that have ended says at the level of errors.
    pub(super) fn errors(&self) -> Vec<Value> {
        self.instances.iter().flat_map(|instance| instance.errors.lock().unwrap().clone()).collect()
    }

    /// Looks at the present process at `place`.
    pub(super) fn process<T>(&self, place: usize, look: impl FnOnce(&Binary) -> T) -> T {
        look(self.instances[place].binary.lock().unwrap().as_ref().expect("it runs"))
    }

    /// What the instance at `place` counts: names with their labels as Prometheus writes them.
    pub(super) async fn metrics(&self, place: usize) -> BTreeMap<String, f64> {
        let asking = self.client.get(self.url(place, "/metrics")).bearer_auth(ADMIN).send();
        let text = asking.await.unwrap().error_for_status().unwrap().text().await.unwrap();
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
    }

    /// What `GET path` answers at `place`. `None`: not with 200.
    pub(super) async fn get(&self, place: usize, path: &str) -> Option<Value> {
        let reply = self.client.get(self.url(place, path)).bearer_auth(WEB).send().await.ok()?;
        reply.error_for_status().ok()?.json().await.ok()
    }

    /// How often the store has failed either instance, or was not asked.
    pub(super) async fn store_failures(&self) -> f64 {
        let mut failures = 0.0;
        for place in 0..2 {
            let is_failure = |name: &str| {
                name.starts_with("llm_gateway_store_skipped_total")
                    || name.starts_with("db_client_operation_duration_seconds_count")
                        && !name.contains("error_type=\"\"")
            };
            failures += sum(&self.metrics(place).await, is_failure);
        }
        failures
    }

    /// Until nothing is under way at either instance; false when that takes longer than `patience`.
    pub(super) async fn is_idle_within(&self, patience: Duration) -> bool {
        let by = Instant::now() + patience;
        loop {
            let mut busy = 0.0;
            for place in 0..2 {
                let is_busy = |name: &str| ["llm_gateway_in_flight_requests", "llm_gateway_flights"].contains(&name);
                busy += sum(&self.metrics(place).await, is_busy);
            }
            if busy == 0.0 {
                return true;
            }
            if Instant::now() > by {
                return false;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What Redis holds, in bytes.
    pub(super) async fn store_bytes(&self) -> f64 {
        let mut connection = self.redis.connection().await;
        let info: redis::InfoDict = redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
        info.get("used_memory").unwrap_or_default()
    }

    /// The leases that are there: each ends with its call, or ten seconds after its instance has died (`docs/cache.md`).
    pub(super) async fn leases(&self) -> Vec<String> {
        redis::cmd("KEYS").arg("llm:lease:*").query_async(&mut self.redis.connection().await).await.unwrap()
    }

    /// Makes a session for the clients that have one.
    pub(super) async fn sign_in(&self) {
        let user = json!({"userId": "ann"});
        let asking = self.client.post(self.url(0, "/sessions")).bearer_auth(WEB).json(&user).send();
        let made: Value = asking.await.unwrap().error_for_status().unwrap().json().await.unwrap();
        *self.session.lock().unwrap() = made["sessionId"].as_str().map(str::to_owned);
    }
}

/// All of `metrics` whose name `is_meant`.
pub(super) fn sum(metrics: &BTreeMap<String, f64>, is_meant: impl Fn(&str) -> bool) -> f64 {
    metrics.iter().filter(|(name, _)| is_meant(name)).map(|(_, value)| value).sum()
}
