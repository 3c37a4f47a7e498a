//! How much later the first text of a stream comes through the gateway than from the provider itself, and how much of that another
//! hop takes that does nothing but pass bytes on: all three are asked in turns, in one run, over sockets of this machine.
//! `cargo bench --bench first_byte`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it tells who runs it, and stops at the first thing that is wrong"
)]

use std::{convert::Infallible, future::pending, net::SocketAddr, thread, time::Duration};

use axum::{
    Router,
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponse as _, Response},
    routing::post,
    serve::ListenerExt as _,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use llm_gateway::{
    app::App,
    config::{Config, Sources},
    serve::{Limits, serve},
};
use serde_json::json;
use tokio::{net::TcpListener, runtime, time::Instant};

const WARM_UP: usize = 200;
const ROUNDS: usize = 3_000;

const FIRST: &str = r#"data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"},"finish_reason":null}]}"#;
const REST: &str = r#"data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}

data: [DONE]

"#;

/// A provider that begins at once, and ends a little later.
async fn vendor() -> Response {
    let pieces = stream::iter([(0, format!("{FIRST}\n\n")), (1, REST.to_owned())]).then(|(ms, piece)| async move {
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        Ok::<_, Infallible>(piece)
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

/// Passes a request on to `provider`, and what comes back as it comes.
async fn pass_on(client: reqwest::Client, provider: SocketAddr, body: Bytes) -> Response {
    let request = client.post(format!("http://{provider}/v1/chat/completions"));
    let response = request.header(CONTENT_TYPE, "application/json").body(body).send().await.unwrap();
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(response.bytes_stream())).into_response()
}

/// Runs a server on a thread of its own, and says where.
fn on_a_thread(start: impl AsyncFnOnce(TcpListener) + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { start(TcpListener::from_std(listener).unwrap()).await });
    });
    address
}

/// Asks at `address`, and says how long the first text took.
async fn first_text(client: &reqwest::Client, address: SocketAddr, question: usize) -> Duration {
    let content = format!("question {question}");
    let body = json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": content}]});
    let begun = Instant::now();
    let response = client.post(format!("http://{address}/v1/chat/completions")).json(&body).send().await.unwrap();
    let (mut pieces, mut came, mut took) = (response.bytes_stream(), Vec::new(), None);
    while let Some(piece) = pieces.next().await {
        came.extend_from_slice(&piece.unwrap());
        if took.is_none() && came.windows(5).any(|window| window == b"Hello") {
            took = Some(begun.elapsed());
        }
    }
    assert!(came.ends_with(b"data: [DONE]\n\n"), "{}", String::from_utf8_lossy(&came));
    took.unwrap()
}

fn main() {
    let provider = on_a_thread(async |listener| {
        let routes = Router::new().route("/v1/chat/completions", post(vendor));
        // As every server does that streams: else each piece would wait for the client to acknowledge the one before.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, routes).await.unwrap();
    });
    let relay = on_a_thread(async move |listener| {
        let client = reqwest::Client::builder().build().unwrap();
        let routes =
            Router::new().route("/v1/chat/completions", post(move |body| pass_on(client.clone(), provider, body)));
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, routes).await.unwrap();
    });
    let gateway = on_a_thread(async move |listener| {
        let base_url = format!("http://{provider}/v1");
        let settings = [("OPENAI_API_KEY", "x"), ("OPENAI_BASE_URL", base_url.as_str()), ("RATE_LIMIT_MAX", "0")];
        let Ok(config) = Config::read(Sources::from(settings)) else { unreachable!("the settings are good") };
        let limits = Limits { connections: 64, stalled: Duration::from_secs(30), grace: Duration::ZERO };
        serve(listener, App::new(config).unwrap(), limits, pending()).await;
    });
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().build().unwrap();
        let ways =
            [("the provider itself", provider), ("through a bare relay", relay), ("through the gateway", gateway)];
        let mut took = [const { Vec::new() }; 3];
        for question in 0..WARM_UP + ROUNDS {
            for ((_, address), took) in ways.iter().zip(&mut took) {
                took.push(first_text(&client, *address, question).await);
            }
        }
        println!("{ROUNDS} rounds, first text of a stream, in microseconds:");
        let middles = took.map(|took| middle(took, WARM_UP));
        let [(direct, _), ..] = middles;
        for ((way, _), (median, late)) in ways.iter().zip(middles) {
            println!("  {way:<20}  median {median:>5}   added {:>5}   99 % {late:>5}", median - direct);
        }
    });
}

/// The median and the 99th percentile in microseconds, the first few left out.
fn middle(mut took: Vec<Duration>, warm_up: usize) -> (i128, i128) {
    let mut took = took.split_off(warm_up);
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).map_or(0, |took| took.as_micros().cast_signed());
    (at(50), at(99))
}
