//! The provider: says what [`answer`] says, in the mood that it is in, and keeps its own book of what it was asked.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::sleep};

use super::questions::{answer, tokens, vector};

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    /// It answers.
    Well,
    /// It fails: 500, 429 with `Retry-After`, 529, 503, and 200 with a page in place of an answer.
    Failing,
    /// It breaks off: the connection, or the answer alone, or what it says in the middle is no JSON.
    Cutting,
    /// It says nothing, or begins and says no more, until it is in another mood; then it hangs up.
    Hanging,
}

/// A call as the provider saw it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) question: String,
    pub(super) model: String,
    /// The key that it came with: each instance has one of its own from each of its starts on.
    pub(super) key: String,
    /// `None`: it is under way.
    pub(super) ended: Option<Instant>,
    pub(super) end: End,
    /// What was counted, input and output, if it was answered.
    pub(super) tokens: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Open,
    /// Every byte of the answer was sent.
    Whole,
    /// Refused with an error.
    Failed,
    /// Broken off, as the mood was.
    Cut,
    /// Whoever asked was gone before the end.
    Left,
}

/// On a socket of its own, as long as the soak lasts.
pub(super) struct Provider {
    pub(super) base_url: String,
    book: Arc<Book>,
}

struct Book {
    mood: watch::Sender<Mood>,
    calls: Mutex<Vec<Call>>,
    number: AtomicUsize,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let book = Arc::new(Book {
            mood: watch::Sender::new(Mood::Well),
            calls: Mutex::default(),
            number: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&book));
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, book }
    }

    pub(super) fn turns(&self, mood: Mood) {
        self.book.mood.send_replace(mood);
    }

    /// Every call so far, in the order in which they came.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.book.calls.lock().unwrap().clone()
    }
}

/// A call under way. Dropped before its end, its client has left.
struct Entry {
    book: Arc<Book>,
    at: usize,
}

impl Entry {
    fn ends(&self, end: End) {
        let mut calls = self.book.calls.lock().unwrap();
        if calls[self.at].end == End::Open {
            (calls[self.at].end, calls[self.at].ended) = (end, Some(Instant::now()));
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ends(End::Left);
    }
}

/// A step of a reply.
enum Step {
    Send(String),
    Wait(Duration),
    /// Nothing more until the mood has passed, then the connection breaks.
    Hang,
    Break,
    /// The reply ends as if it were whole.
    Stop,
}

async fn take(State(book): State<Arc<Book>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let key = headers.get(header::AUTHORIZATION).and_then(|key| key.to_str().ok()).unwrap_or_default();
    let is_chat = uri.path().ends_with("/chat/completions");
    let question = if is_chat { asked(&body) } else { text(&body["input"]) };
    let Some(question) = question else { return StatusCode::BAD_REQUEST.into_response() };
    let (entry, number) =
        book.begin(question.clone(), &body["model"], key.trim_start_matches("Bearer ").to_owned(), is_chat);
    let is_streamed = body["stream"] == json!(true);
    let said = if is_chat { chat(&body, &question, is_streamed) } else { vec![embedded(&body, &question)] };
    let mood = *book.mood.borrow();
    let steps = match mood {
        Mood::Well => told(said, number),
        Mood::Failing => {
            entry.ends(End::Failed);
            return refusal(number);
        }
        Mood::Cutting => broken(said, number),
        Mood::Hanging => hanging(said, number),
    };
    let kind = if is_streamed { "text/event-stream" } else { "application/json" };
    ([(header::CONTENT_TYPE, kind)], carried_out(steps, entry)).into_response()
}

impl Book {
    fn begin(self: &Arc<Self>, question: String, model: &Value, key: String, is_chat: bool) -> (Entry, usize) {
        let tokens = if is_chat { tokens(&question, &answer(&question)) } else { tokens(&question, "") };
        let model = model.as_str().unwrap_or_default().to_owned();
        let call = Call { question, model, key, ended: None, end: End::Open, tokens };
        let mut calls = self.calls.lock().unwrap();
        calls.push(call);
        let entry = Entry { book: Arc::clone(self), at: calls.len() - 1 };
        (entry, self.number.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the person said last.
fn asked(body: &Value) -> Option<String> {
    text(&body["messages"].as_array()?.iter().rfind(|message| message["role"] == "user")?["content"])
}

/// A string, or the first of a list: of parts, or of inputs.
fn text(content: &Value) -> Option<String> {
    let first = || content.as_array()?.first();
    let text = content.as_str().or_else(|| first()?.as_str()).or_else(|| first()?["text"].as_str());
    text.map(str::to_owned)
}

/// The pieces of an answer. The last of a stream holds all that comes behind the text.
fn chat(body: &Value, question: &str, is_streamed: bool) -> Vec<String> {
    let (answer, model) = (answer(question), &body["model"]);
    let (input, output) = tokens(question, &answer);
    let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
    if !is_streamed {
        let message = json!({"role": "assistant", "content": answer, "refusal": null});
        let choices = json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}]);
        let whole = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage});
        return vec![whole.to_string()];
    }
    let event = |choices: Value, usage: &Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let characters: Vec<char> = answer.chars().collect();
    let pieces = characters
        .chunks(characters.len().div_ceil(8))
        .map(|piece| event(delta(json!({"content": piece.iter().collect::<String>()}), Value::Null), &Value::Null));
    let end =
        [event(delta(json!({}), json!("stop")), &Value::Null), event(json!([]), &usage), "data: [DONE]\n\n".to_owned()];
    pieces.chain([end.concat()]).collect()
}

fn embedded(body: &Value, text: &str) -> String {
    let (input, _) = tokens(text, "");
    let data = json!([{"object": "embedding", "index": 0, "embedding": vector(text)}]);
    json!({"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": input, "total_tokens": input}}).to_string()
}

/// The whole answer, within half a second.
fn told(said: Vec<String>, number: usize) -> Vec<Step> {
    let pause = Duration::from_millis(10 + (number % 5) as u64 * 10);
    said.into_iter().flat_map(|piece| [Step::Wait(pause), Step::Send(piece)]).collect()
}

fn half(text: &str) -> String {
    text.chars().take(text.chars().count() / 2).collect()
}

fn broken(mut said: Vec<String>, number: usize) -> Vec<Step> {
    let is_one = said.len() == 1;
    // The end is missing: of a body its second half, of a stream the last of its pieces.
    let last = said.pop().unwrap_or_default();
    if is_one {
        said.push(half(&last));
    }
    let mut steps: Vec<Step> = said.into_iter().map(Step::Send).collect();
    steps.push(match number % 3 {
        0 => Step::Break,
        1 => Step::Stop,
        _ => Step::Send(if is_one { " nonsense".to_owned() } else { "data: {\"choices\":[nonsense\n\n".to_owned() }),
    });
    steps.push(Step::Stop);
    steps
}

fn hanging(said: Vec<String>, number: usize) -> Vec<Step> {
    let begins = said.len() > 1 && number.is_multiple_of(2);
    let begun = said.into_iter().take(usize::from(begins)).map(Step::Send);
    begun.chain([Step::Hang]).collect()
}

fn refusal(number: usize) -> Response {
    let error = |status: u16, code: &str| {
        let error = json!({"error": {"message": "as told", "type": code, "param": null, "code": code}});
        (StatusCode::from_u16(status).unwrap(), axum::Json(error)).into_response()
    };
    match number % 5 {
        0 => error(500, "server_error"),
        1 => ([(header::RETRY_AFTER, "1")], error(429, "rate_limit_exceeded")).into_response(),
        2 => error(529, "overloaded"),
        3 => error(503, "server_error"),
        _ => ([(header::CONTENT_TYPE, "text/html")], "<html><h1>It works!</h1></html>").into_response(),
    }
}

fn carried_out(steps: Vec<Step>, entry: Entry) -> Body {
    let mut mood = entry.book.mood.subscribe();
    Body::from_stream(async_stream::stream! {
        let told = || io::Error::other("as told");
        for step in steps {
            match step {
                Step::Send(text) => yield Ok(Bytes::from(text)),
                Step::Wait(pause) => sleep(pause).await,
                Step::Hang => {
                    drop(mood.wait_for(|mood| *mood != Mood::Hanging).await);
                    entry.ends(End::Cut);
                    yield Err(told());
                }
                Step::Break => {
                    entry.ends(End::Cut);
                    // Or what came so far would not be sent.
                    sleep(Duration::from_millis(10)).await;
                    yield Err(told());
                }
                Step::Stop => {
                    entry.ends(End::Cut);
                    return;
                }
            }
        }
        entry.ends(End::Whole);
    })
}
