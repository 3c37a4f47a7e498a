//! Whether the process serves, and whether what it needs is there.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};
use utoipa::ToSchema;

use crate::{
    generate::ProviderId,
    json,
    stores::{Shared, StoreError},
};

use super::Api;

/// How long what was found out about the store is taken for true: to ask costs a command.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The form of what [`health`] writes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written by hand")]
struct Health {
    #[schema(pattern = "^ok$")]
    status: String,
}

/// Says that the process serves. It waits on nothing.
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    responses((status = 200, description = "It does.", body = Health, example = json!({"status": "ok"}))),
)]
pub async fn health() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], r#"{"status":"ok"}"#)
}

/// How the store is, asked at most every ten seconds.
pub struct StoreHealth {
    /// `None`: there is none outside of this process.
    store: Option<Shared>,
    last: Mutex<Option<(Instant, Result<Duration, StoreError>)>>,
}

impl StoreHealth {
    /// Of `store`, which nobody has asked so far.
    pub fn new(store: Option<Shared>) -> Self {
        Self { store, last: Mutex::default() }
    }

    /// Whether nobody asks it for a while because it has failed too often.
    pub(super) fn is_left_alone(&self) -> bool {
        self.store.as_ref().is_some_and(Shared::is_left_alone)
    }

    /// Whether nothing is shared with other instances.
    pub(super) fn is_alone(&self) -> bool {
        self.store.is_none()
    }

    /// How the store is.
    pub(super) async fn describe(&self, patience: Duration) -> StoreForm {
        let Some((kind, outcome)) = self.check(patience).await else {
            return StoreForm { kind: "memory", ok: true, latency_ms: None, error: None };
        };
        let latency_ms = outcome.as_ref().ok().map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        StoreForm { kind, ok: outcome.is_ok(), latency_ms, error: outcome.err().map(|error| error.to_string()) }
    }

    /// How long the store took to keep something, or why it did not, within `patience`. `None`: there is none to ask.
    async fn check(&self, patience: Duration) -> Option<(&'static str, Result<Duration, StoreError>)> {
        let store = self.store.as_ref()?;
        let mut last = self.last.lock().await;
        if store.is_left_alone() {
            // What was found out before says nothing of what comes after.
            *last = None;
            return Some((store.name, Err(StoreError::Skipped)));
        }
        let begun = Instant::now();
        let outcome = match &*last {
            Some((at, outcome)) if begun < *at + CHECK_INTERVAL => outcome.clone(),
            _ => {
                let outcome = store.check(begun + patience).await.map(|()| begun.elapsed());
                last.insert((begun, outcome)).1.clone()
            }
        };
        Some((store.name, outcome))
    }
}

/// What a monitor wants to know. The second to the fifth are the original's.
#[derive(Serialize, ToSchema)]
struct Ready {
    status: &'static str,
    /// Whether everything is there.
    healthy: bool,
    /// Whether the configured store answers; `true` without one.
    redis: bool,
    /// Whether a tenth of the memory is free.
    memory: bool,
    /// Seconds.
    uptime: f64,
    store: StoreForm,
    #[serde(serialize_with = "json::members")]
    #[schema(value_type = HashMap<String, ProviderForm>)]
    providers: Vec<(String, ProviderForm)>,
    version: &'static str,
}

/// Says how the store and each provider are.
///
/// Generations go on without a store, but a monitor should say so.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "service",
    responses(
        (status = 200, description = "Everything is there.", body = Ready, example = json!({
            "status": "ok", "healthy": true, "redis": true, "memory": true, "uptime": 61.25,
            "store": {"kind": "Redis", "ok": true, "latencyMs": 1}, "providers": {"openai": {"ok": true}}, "version": "0.1.0"
        })),
        (status = 503, description = "The store does not answer, memory runs out, or every provider is skipped.", body = Ready),
    ),
)]
pub async fn ready(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let store = api.store_health.describe(api.store_timeout).await;
    let redis = store.ok;
    let providers = providers(&api);
    let can_ask = providers.iter().any(|(_, provider)| provider.ok);
    let memory = has_memory();
    let healthy = redis && memory && can_ask;
    let ready = Ready {
        status: if healthy { "ok" } else { "degraded" },
        healthy,
        redis,
        memory,
        uptime: api.started.elapsed().as_secs_f64(),
        store,
        providers,
        version: env!("CARGO_PKG_VERSION"),
    };
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(ready))
}

/// Each provider, and whether it is asked.
pub(super) fn providers(api: &Api) -> Vec<(String, ProviderForm)> {
    let now = Instant::now();
    let is_skipped = |id: &ProviderId| api.breakers.get(id).is_some_and(|breaker| breaker.is_open(now));
    let configured = api.catalogue.configured().iter().map(|configured| &configured.id);
    configured.map(|id| (id.to_string(), ProviderForm { ok: !is_skipped(id) })).collect()
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StoreHealth)]
pub(super) struct StoreForm {
    kind: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    error: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProviderHealth)]
pub(super) struct ProviderForm {
    /// Whether it is asked: one that fails again and again is skipped for a while.
    ok: bool,
}

/// Whether the container has a tenth of its memory left. Where there is no bound, there is enough.
fn has_memory() -> bool {
    let bytes = |file: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?.trim().parse::<u64>().ok();
    let stat = std::fs::read_to_string("/sys/fs/cgroup/memory.stat").unwrap_or_default();
    // What files left there the kernel gives back at need.
    let spare =
        stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok()).unwrap_or_default();
    let (used, bound) = (bytes("memory.current"), bytes("memory.max"));
    used.zip(bound).is_none_or(|(used, bound)| used.saturating_sub(spare) / 9 < bound / 10)
}
