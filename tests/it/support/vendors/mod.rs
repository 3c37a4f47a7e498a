//! Every vendor on one socket, each under its own path and in its own dialect, as strict as the real one.
//!
//! What is answered depends on what a request means: the first word that the person said last names the scenario
//! ([`script`]). A request that the vendor would not take is a 400, so that a wrong translation fails the test.

mod asked;
mod lists;
mod reading;
mod reply;
mod schema;
mod script;

mod anthropic;
mod anthropic_reply;
mod embeddings;
mod gemini;
mod gemini_reply;
mod ollama;
mod openai_chat;
mod openai_chat_reply;
mod openai_responses;

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

use anthropic::Anthropic;
use asked::Asked;
use embeddings::Embeddings;
use gemini::Gemini;
use ollama::Ollama;
use openai_chat::OpenAiChat;
use openai_responses::OpenAiResponses;
use reading::Read;
use reply::Frame;
use script::{End, Fault, FaultKind, Said, Script};

pub(crate) use gemini_reply::SIGNATURE;

/// What every vendor but Ollama wants as its key.
pub(crate) const KEY: &str = "key-for-tests";

/// All vendors, as long as the test lasts.
pub(crate) struct Vendors {
    root: String,
    record: Arc<Record>,
}

/// A call that came.
#[derive(Clone)]
pub(crate) struct Received {
    /// `/openai/v1/chat/completions`
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// `None`: it was no question, or the vendor did not take it.
    pub(crate) asked: Option<Asked>,
}

#[derive(Default)]
struct Record {
    seen: Mutex<Vec<Received>>,
    refused: Mutex<Vec<String>>,
    /// What those had asked who left before the answer was over.
    left: Mutex<Vec<String>>,
}

impl Vendors {
    pub(crate) async fn start() -> Self {
        let record = Arc::new(Record::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&record));
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { root, record }
    }

    /// Where a vendor is: `openai`, `anthropic`, `google`, `xai`, `ollama` or `local`.
    pub(crate) fn url(&self, vendor: &str) -> String {
        format!("{}/{vendor}", self.root)
    }

    /// The environment of a gateway behind which all of them are.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let key = || KEY.to_owned();
        vec![
            ("OPENAI_API_KEY", key()),
            ("OPENAI_BASE_URL", format!("{}/v1", self.url("openai"))),
            ("ANTHROPIC_API_KEY", key()),
            ("ANTHROPIC_BASE_URL", self.url("anthropic")),
            ("GOOGLE_API_KEY", key()),
            ("GOOGLE_BASE_URL", self.url("google")),
            ("XAI_API_KEY", key()),
            ("XAI_BASE_URL", format!("{}/v1", self.url("xai"))),
            ("OLLAMA_BASE_URL", self.url("ollama")),
            ("COMPATIBLE_LOCAL_API_KEY", key()),
            ("COMPATIBLE_LOCAL_BASE_URL", format!("{}/v1", self.url("local"))),
        ]
    }

    /// The calls that came, oldest first.
    pub(crate) fn seen(&self) -> Vec<Received> {
        self.record.seen.lock().unwrap().clone()
    }

    /// Why requests were refused that no vendor would take.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.record.refused.lock().unwrap().clone()
    }

    /// How many have left in the middle of the answer to `text`.
    pub(crate) fn left(&self, text: &str) -> usize {
        self.record.left.lock().unwrap().iter().filter(|left| *left == text).count()
    }
}

/// A call as it came.
struct Request {
    path: String,
    headers: HeaderMap,
    body: Value,
}

impl Request {
    /// The model that the path of a call to Gemini names.
    fn model(&self) -> &str {
        let (_, model) = self.path.rsplit_once("/models/").unwrap_or_default();
        model.split_once(':').unwrap_or_default().0
    }
}

/// A wire format, from the vendor's side.
trait Dialect: Copy {
    const STREAM_TYPE: &'static str;

    /// What a request means.
    ///
    /// # Errors
    /// When the vendor would not take it.
    fn read(self, request: &Request) -> Read<Asked>;

    fn whole(self, asked: &Asked, said: &Said) -> Value;

    fn stream(self, request: &Request, asked: &Asked, said: &Said) -> Vec<Frame>;

    /// Status, headers and body.
    fn fault(self, fault: &Fault) -> (u16, Vec<(&'static str, &'static str)>, Value);
}

async fn take(
    State(record): State<Arc<Record>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let request = Request { path, headers, body };
    if method == Method::GET {
        return lists::answer(&request);
    }
    let (vendor, method) = request.path[1..].split_once('/').unwrap_or_default();
    match (vendor, method) {
        ("openai", "v1/chat/completions") => answer(OpenAiChat::OpenAi, &record, request).await,
        ("openai", "v1/responses") => answer(OpenAiResponses, &record, request).await,
        ("xai", "v1/chat/completions") => answer(OpenAiChat::Xai, &record, request).await,
        ("local", "v1/chat/completions") => answer(OpenAiChat::Compatible, &record, request).await,
        ("anthropic", "v1/messages") => answer(Anthropic, &record, request).await,
        ("ollama", "api/chat") => answer(Ollama, &record, request).await,
        ("openai" | "local", "v1/embeddings") => embed(Embeddings::OpenAi, OpenAiChat::OpenAi, &record, &request),
        ("ollama", "api/embed") => embed(Embeddings::Ollama, Ollama, &record, &request),
        ("google", method) if method.ends_with(":batchEmbedContents") => {
            embed(Embeddings::Gemini, Gemini, &record, &request)
        }
        ("google", method) if method.to_lowercase().ends_with("generatecontent") => {
            answer(Gemini, &record, request).await
        }
        _ => reply::failed(404, &[], &json!({"error": {"message": format!("nothing is at {}", request.path)}})),
    }
}

async fn answer<D: Dialect>(dialect: D, record: &Arc<Record>, request: Request) -> Response {
    let read = dialect.read(&request);
    let before = record.note(&request, read.as_ref().ok());
    let asked = match read {
        Ok(asked) => asked,
        Err(fault) => return record.refuse(dialect, &request, &fault),
    };
    if asked.model.starts_with("no-such") {
        return fail(dialect, &Fault::new(FaultKind::NotFound, format!("The model `{}` does not exist", asked.model)));
    }
    let mut presence = Presence { record: Arc::clone(record), text: asked.text().to_owned(), is_over: false };
    let said = match script::script(&asked, before) {
        Script::Says(said) => said,
        Script::Fails(fault) => {
            presence.ends();
            let is_mistake = fault.kind == FaultKind::Invalid;
            return if is_mistake { record.refuse(dialect, &request, &fault) } else { fail(dialect, &fault) };
        }
        Script::Hangs => std::future::pending().await,
    };
    if asked.is_streamed {
        return reply::streamed(D::STREAM_TYPE, dialect.stream(&request, &asked, &said), presence);
    }
    sleep(said.takes()).await;
    let whole = dialect.whole(&asked, &said);
    if said.end == End::Cut {
        return reply::half(&whole, presence);
    }
    presence.ends();
    reply::whole(&whole)
}

fn embed<D: Dialect>(embeddings: Embeddings, dialect: D, record: &Record, request: &Request) -> Response {
    record.note(request, None);
    match embeddings.answer(request) {
        Ok(body) => reply::whole(&body),
        Err(fault) => record.refuse(dialect, request, &fault),
    }
}

fn fail<D: Dialect>(dialect: D, fault: &Fault) -> Response {
    let (status, headers, body) = dialect.fault(fault);
    reply::failed(status, &headers, &body)
}

impl Record {
    /// Notes a call; says how often the same was asked there before.
    fn note(&self, request: &Request, asked: Option<&Asked>) -> usize {
        let Request { path, headers, body } = request;
        let mut all = self.seen.lock().unwrap();
        let said = asked.map(Asked::text);
        let same = all.iter().filter(|seen| seen.path == *path && seen.asked.as_ref().map(Asked::text) == said).count();
        let (path, headers, body) = (path.clone(), headers.clone(), body.clone());
        all.push(Received { path, headers, body, asked: asked.cloned() });
        same
    }

    fn refuse<D: Dialect>(&self, dialect: D, request: &Request, fault: &Fault) -> Response {
        self.refused.lock().unwrap().push(format!("{}: {}", request.path, fault.message));
        fail(dialect, fault)
    }
}

/// Somebody who waits for an answer. Dropped before it is over, they have left.
struct Presence {
    record: Arc<Record>,
    text: String,
    is_over: bool,
}

impl Presence {
    fn ends(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if !self.is_over {
            self.record.left.lock().unwrap().push(std::mem::take(&mut self.text));
        }
    }
}
