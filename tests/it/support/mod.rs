//! A gateway in process, and someone behind it who does as told.

mod browser;
mod devtools;
mod nginx;
mod patience;
mod ports;
mod python;
mod redis_server;
mod scripted;
mod sdk;
#[cfg(any(feature = "otel", feature = "sentry"))]
mod sink;
mod sockets;
mod tls;
mod upstash;
pub(crate) mod vectors;
mod vendors;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode},
};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use llm_gateway::{
    app::{App, Parts, room},
    catalogue::Configured,
    client::client,
    clock::Clock,
    config::{Config, ProvidersConfig, Sources},
    metrics::Metrics,
    providers::Providers,
    stores::Stores,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) use browser::{Browser, Seen};
pub(crate) use devtools::{LOOKS, Look};
pub(crate) use nginx::Nginx;
pub(crate) use patience::until;
pub(crate) use ports::ports;
pub(crate) use python::{python, succeeds};
pub(crate) use redis_server::{RedisCluster, RedisServer};
pub(crate) use scripted::{Scripted, Step};
pub(crate) use sdk::{Check, Sdk, package_file};
#[cfg(any(feature = "otel", feature = "sentry"))]
pub(crate) use sink::{Sink, Taken};
pub(crate) use sockets::{Binary, PROGRAM, Vendor, http, profile};
pub(crate) use tls::Certificate;
pub(crate) use upstash::{Fault, Upstash};
pub(crate) use vendors::{KEY, Received, SIGNATURE, Vendors};

/// 2026-11-24 in UTC, since 1970: on that day, the built-in models that the tests name are served.
pub(crate) const TODAY: Duration = Duration::from_secs(1_795_478_400);

/// A gateway whose provider `openai` is scripted.
pub(crate) struct Gateway {
    pub(crate) app: App,
    pub(crate) provider: Arc<Scripted>,
}

impl Gateway {
    /// With nothing set; the provider answers «Hello, world!».
    pub(crate) fn start() -> Self {
        Self::with([], Scripted::hello())
    }

    pub(crate) fn with<const N: usize>(settings: [(&str, &str); N], provider: Scripted) -> Self {
        Self::with_all(&settings, provider)
    }

    /// The same for settings that are put together.
    pub(crate) fn with_all(settings: &[(&str, &str)], provider: Scripted) -> Self {
        let provider = Arc::new(provider);
        let app = Self::between(settings, &[("openai", Arc::clone(&provider))]);
        Self { app, provider }
    }

    /// With another provider, `xai`, behind the first.
    pub(crate) fn with_two<const N: usize>(
        settings: [(&str, &str); N],
        openai: Scripted,
        xai: Scripted,
    ) -> (Self, Arc<Scripted>) {
        let (provider, xai) = (Arc::new(openai), Arc::new(xai));
        let app = Self::between(&settings, &[("openai", Arc::clone(&provider)), ("xai", Arc::clone(&xai))]);
        (Self { app, provider }, xai)
    }

    /// With other stores than those that are configured: what `exchange` makes of them.
    pub(crate) fn with_stores(
        settings: &[(&str, &str)],
        provider: Scripted,
        exchange: impl FnOnce(Stores) -> Stores,
    ) -> Self {
        let provider = Arc::new(provider);
        let app = Self::among(settings, &[("openai", Arc::clone(&provider))], exchange);
        Self { app, provider }
    }

    fn between(settings: &[(&str, &str)], scripted: &[(&str, Arc<Scripted>)]) -> App {
        Self::among(settings, scripted, |stores| stores)
    }

    fn among(
        settings: &[(&str, &str)],
        scripted: &[(&str, Arc<Scripted>)],
        exchange: impl FnOnce(Stores) -> Stores,
    ) -> App {
        let Ok(mut config) = Config::read(Sources::from(settings)) else { panic!("{settings:?}") };
        config.providers = ProvidersConfig::none();
        let (mut providers, mut configured) = (Providers::default(), Vec::new());
        for (id, provider) in scripted {
            providers.add((*id).into(), Arc::clone(provider) as _);
            configured.push(Configured {
                id: (*id).into(),
                base_url: String::new(),
                models: Vec::new(),
                lists_itself: false,
            });
        }
        let clock = Clock::at(UNIX_EPOCH + TODAY);
        let client = client(None).unwrap();
        let metrics = Metrics::default();
        let stores = Stores::new(&config.store, room(&config), clock, &client, None, metrics.store.clone()).unwrap();
        let stores = exchange(stores);
        App::from_parts(&config, Parts { configured, providers, stores, clock, client, metrics }).unwrap()
    }

    /// As configured by `settings` alone, the demo provider included.
    pub(crate) fn configured<const N: usize>(settings: [(&str, &str); N]) -> Self {
        Self::configured_by(&settings)
    }

    /// The same for settings that are put together.
    pub(crate) fn configured_by(settings: &[(&str, &str)]) -> Self {
        let Ok(config) = Config::read(Sources::from(settings)) else { panic!("{settings:?}") };
        Self { app: App::new(&config).unwrap(), provider: Arc::new(Scripted::hello()) }
    }

    pub(crate) async fn generate(&self, prompt: &str) -> Reply {
        self.post(json!({"prompt": prompt, "model": "gpt-4o"})).await
    }

    pub(crate) async fn post(&self, body: Value) -> Reply {
        self.send(post("/llm/generate", &body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        self.open(request).await.finish().await
    }

    /// The head of the reply; its body is still to be read.
    pub(crate) async fn open(&self, request: Request<Body>) -> Opened {
        let response = self.app.service.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Opened { status: head.status, headers: head.headers, body }
    }

    /// The head of a stream.
    pub(crate) async fn stream(&self, prompt: &str) -> Opened {
        self.open(post("/llm/generate", &json!({"prompt": prompt, "model": "gpt-4o", "streaming": true}))).await
    }
}

/// A request from 10.0.0.1 with a JSON body.
pub(crate) fn post(path: &str, body: &Value) -> Request<Body> {
    post_from("10.0.0.1:4000", path, body)
}

pub(crate) fn post_from(peer: &str, path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("content-type", "application/json")
        .extension(ConnectInfo::<SocketAddr>(peer.parse().unwrap()))
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// A reply whose body is still to be read.
pub(crate) struct Opened {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Body,
}

impl Opened {
    pub(crate) async fn finish(self) -> Reply {
        let body = self.body.collect().await.unwrap().to_bytes();
        Reply { status: self.status, headers: self.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Reads until `text` has come, and gives back what came.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut came = String::new();
        let mut body = std::mem::take(&mut self.body).into_data_stream();
        while !came.contains(text) {
            match body.next().await {
                Some(chunk) => came.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap()),
                None => panic!("the stream ended before `{text}`: {came}"),
            }
        }
        self.body = Body::from_stream(body);
        came
    }
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// The events of a stream, read as the frontend reads them: one line, one event.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.body.lines().map(str::trim).filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The kinds of thinking and the types of other events, in order, repetitions left out.
    pub(crate) fn outline(&self) -> Vec<String> {
        let mut outline: Vec<String> = self
            .events()
            .iter()
            .map(|event| event.get("kind").unwrap_or(&event["type"]).as_str().unwrap().to_owned())
            .collect();
        outline.dedup();
        outline
    }

    /// The last event of a stream.
    pub(crate) fn last(&self) -> Value {
        self.events().pop().expect("an event")
    }

    /// The text of all `DELTA` events.
    pub(crate) fn deltas(&self) -> String {
        let events = self.events();
        events.iter().filter(|event| event["type"] == "DELTA").map(|event| event["text"].as_str().unwrap()).collect()
    }
}

/// The numbers of `/llm/cache/stats`.
pub(crate) async fn stats(gateway: &Gateway) -> HashMap<String, Value> {
    serde_json::from_str(&gateway.get("/llm/cache/stats").await.body).unwrap()
}
