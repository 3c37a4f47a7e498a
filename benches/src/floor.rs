//! The least that could be in the gateway's place: what axum, moka, a Redis client and an HTTP client cost by themselves.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::post,
    serve::ListenerExt as _,
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use moka::sync::Cache;
use redis::aio::ConnectionManager;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, runtime};

use crate::provider::TEXT;

#[derive(Clone)]
struct Floor {
    cache: Cache<[u8; 32], Bytes>,
    redis: Option<ConnectionManager>,
    client: Client<HttpConnector, Body>,
    upstream: String,
}

/// Serves with as many threads as there are processors, as the gateway does.
pub fn serve(port: u16, upstream: Option<String>, redis: Option<String>) {
    runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let redis = match redis {
            Some(url) => Some(ConnectionManager::new(redis::Client::open(url).unwrap()).await.unwrap()),
            None => None,
        };
        let upstream = format!("{}/v1/chat/completions", upstream.unwrap_or_default());
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let routes = Router::new()
            .route("/moka", post(hit))
            .route("/redis", post(get))
            .route("/proxy", post(pass_on))
            .with_state(Floor { cache: Cache::new(10_000), redis, client, upstream });
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, routes).await.unwrap();
    });
}

/// What is answered, of about the length of the gateway's answers.
fn answer() -> Bytes {
    serde_json::json!({"code": TEXT, "cached": true, "metadata": {"model": "gpt-4o"}}).to_string().into()
}

fn json(body: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// A question is known by its content, so that it has to be read.
fn key(question: &Bytes) -> [u8; 32] {
    let question: Value = serde_json::from_slice(question).unwrap();
    Sha256::digest(question.to_string()).into()
}

async fn hit(State(floor): State<Floor>, question: Bytes) -> Response {
    json(floor.cache.get_with(key(&question), answer))
}

async fn get(State(floor): State<Floor>, question: Bytes) -> Response {
    let (key, mut redis) = (hex::encode(key(&question)), floor.redis.unwrap());
    if let Some(answer) = redis::cmd("GET").arg(&key).query_async::<Option<Vec<u8>>>(&mut redis).await.unwrap() {
        return json(answer.into());
    }
    redis::cmd("SET").arg(&key).arg(&*answer()).exec_async(&mut redis).await.unwrap();
    json(answer())
}

/// Both ways it reads what it passes on, as whoever keeps or counts something has to.
async fn pass_on(State(floor): State<Floor>, question: Bytes) -> Response {
    let question: Value = serde_json::from_slice(&question).unwrap();
    let wants_stream = question["stream"] == true;
    let request = Request::post(floor.upstream)
        .header(CONTENT_TYPE, "application/json")
        .body(question.to_string().into())
        .unwrap();
    let reply = floor.client.request(request).await.unwrap();
    if wants_stream {
        return reply.map(Body::new);
    }
    let answer: Value = serde_json::from_slice(&reply.collect().await.unwrap().to_bytes()).unwrap();
    json(answer.to_string().into())
}
