//! The provider that both sides ask: it answers at once, always the same, in `OpenAI`'s form; under other addresses at more length, or in
//! drops that never end.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use axum::{
    Router,
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponse as _, Response},
    routing::post,
    serve::ListenerExt as _,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::{net::TcpListener, runtime, time::interval};

/// About two hundred tokens.
pub const TEXT: &str = "A rate limiter keeps one client from taking more of a service than is fair, so that all the others still get \
their share. The simplest one counts what came within the present minute and forgets it with the next, which lets twice as many \
through around the turn of a minute. One that remembers when each request came does not, and needs some memory for each client. A \
bucket that is filled steadily allows short bursts, and keeps only two numbers. Where a service runs on several machines, what is \
counted has to stand where all of them see it, and what is read and written must be one step: a script in Redis is one. When that \
store is away, the machines can count by themselves, each for its share of the limit, which is neither as fair nor as exact, and \
much better than none at all. Whoever is refused should be told for how long; else he asks again at once, and so do all the others.";

/// Pieces of a streamed answer.
const PIECES: usize = 20;

static WHOLE: LazyLock<Bytes> = LazyLock::new(|| whole(TEXT));

/// One of 2 KB.
static LONG: LazyLock<Bytes> = LazyLock::new(|| whole(&TEXT.repeat(3)[..2_048]));

fn whole(text: &str) -> Bytes {
    let message = json!({"role": "assistant", "content": text, "refusal": null});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": "gpt-4o", "choices": [choice],
           "usage": usage()})
    .to_string()
    .into()
}

static EVENTS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let chunk = |choices, usage| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "gpt-4o",
                           "choices": choices, "usage": usage});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let choice = |delta, reason| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]);
    let text: Vec<char> = TEXT.chars().collect();
    let pieces = text.chunks(text.len().div_ceil(PIECES)).map(|piece| piece.iter().collect::<String>());
    let mut events: Vec<_> =
        pieces.map(|piece| chunk(choice(json!({"content": piece}), json!(null)), json!(null))).collect();
    events.push(chunk(choice(json!({}), json!("stop")), json!(null)));
    events.push(chunk(json!([]), usage()));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
});

fn usage() -> serde_json::Value {
    json!({"prompt_tokens": 42, "completion_tokens": 200, "total_tokens": 242})
}

/// Serves on one thread: it is not what is measured.
pub fn serve(port: u16) {
    runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let routes = Router::new()
            .route("/v1/chat/completions", post(answer))
            .route("/long/v1/chat/completions", post(async || json(&LONG)))
            .route("/dripping/v1/chat/completions", post(drip));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        // As every server does that streams: else each piece would wait for the client to acknowledge the one before.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, routes).await.unwrap();
    });
}

async fn answer(question: Bytes) -> Response {
    let wants_stream = question.windows(13).any(|part| part == b"\"stream\":true");
    if !wants_stream {
        return json(&WHOLE);
    }
    // The first piece at once, the others a little later, so that it is the first whose way is measured.
    let events = stream::iter(EVENTS.iter().enumerate()).then(async |(at, event)| {
        if at == 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok::<_, Infallible>(event.clone())
    });
    event_stream(events)
}

/// The first piece, and every second once more, without end.
async fn drip() -> Response {
    let ticks = stream::unfold(interval(Duration::from_secs(1)), async |mut ticks| {
        ticks.tick().await;
        Some((Ok::<_, Infallible>(EVENTS[0].clone()), ticks))
    });
    event_stream(ticks)
}

fn json(answer: &Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer.clone()).into_response()
}

fn event_stream(events: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> Response {
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
