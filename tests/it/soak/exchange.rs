//! One request, and whether what came is right.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::{RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    pair::{Pair, SLIM, WEB},
    questions::{answer, is_vector},
};

/// Longer than any answer can take by the settings of the gateway, or a slow reader by his own.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between the pieces of who reads slowly, and how many of them are waited for.
const SLOWLY: Duration = Duration::from_millis(60);
const SLOW_PIECES: usize = 20;
/// When clients leave that wait for JSON.
const LEAVES_AFTER: Duration = Duration::from_millis(25);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Generate {
        streaming: bool,
    },
    Chat {
        streaming: bool,
    },
    Embed,
    /// No JSON, no question, or no key.
    Nonsense(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Reads,
    Leaves,
    Slowly,
    /// Wants what is stored, or nothing.
    Recalls,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Web,
    Slim,
    Session(String),
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The right answer, and where it came from.
    Whole(&'static str),
    Status(u16),
    /// A stream that ended with its error.
    Error,
    /// The client left.
    Left,
    /// Nobody listened.
    Refused,
    /// The connection broke before there was a head.
    Unheard,
    /// The connection broke in the middle of the reply.
    Broken,
    /// What should never be: this.
    Wrong(String),
}

impl Ending {
    /// Its row in the report.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Whole(from) => format!("200, {from}"),
            Self::Status(status) => status.to_string(),
            Self::Error => "200, then an error".to_owned(),
            Self::Left => "left".to_owned(),
            Self::Refused => "refused".to_owned(),
            Self::Unheard => "broken before the head".to_owned(),
            Self::Broken => "broken off".to_owned(),
            Self::Wrong(_) => "**wrong**".to_owned(),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) place: usize,
    pub(super) form: Form,
    pub(super) question: String,
    pub(super) manner: Manner,
    pub(super) who: Who,
}

/// What was seen.
pub(super) struct Seen {
    pub(super) ending: Ending,
    pub(super) begun: Instant,
    /// When the head was there.
    pub(super) headed: Instant,
    pub(super) ended: Instant,
    /// The instance alone has decided whether the client may ask.
    pub(super) is_local: bool,
    pub(super) request_id: String,
}

impl Asking {
    pub(super) async fn ask(&self, pair: &Pair) -> Seen {
        let begun = Instant::now();
        let sending = self.request(pair).send();
        let sent = if self.manner == Manner::Leaves && !self.is_streamed() {
            match timeout(LEAVES_AFTER, sending).await {
                Ok(sent) => sent,
                Err(_) => return Seen::nothing(Ending::Left, begun),
            }
        } else {
            sending.await
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) if error.is_timeout() => {
                return Seen::nothing(Ending::Wrong(format!("no head within {PATIENCE:?}")), begun);
            }
            Err(error) if error.is_connect() => return Seen::nothing(Ending::Refused, begun),
            Err(_) => return Seen::nothing(Ending::Unheard, begun),
        };
        let headed = Instant::now();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let ending = match read(response, self.manner).await {
            Ok(Some(body)) => self.judge(status, &headers, &body),
            Ok(None) => Ending::Left,
            Err(error) if error.is_timeout() => Ending::Wrong(format!("no end within {PATIENCE:?}")),
            Err(_) => Ending::Broken,
        };
        let is_local = header(&headers, "x-ratelimit-mode") == "local";
        let request_id = header(&headers, "x-request-id").to_owned();
        Seen { ending, begun, headed, ended: Instant::now(), is_local, request_id }
    }

    fn is_streamed(&self) -> bool {
        matches!(self.form, Form::Generate { streaming: true } | Form::Chat { streaming: true })
    }

    fn request(&self, pair: &Pair) -> RequestBuilder {
        let question = &self.question;
        let (path, body) = match self.form {
            Form::Generate { streaming } => {
                ("/llm/generate", json!({"prompt": question, "model": "gpt-4o", "streaming": streaming}).to_string())
            }
            Form::Chat { streaming } => {
                let messages = json!([{"role": "user", "content": question}]);
                let body = json!({"model": "gpt-4o", "messages": messages, "stream": streaming});
                ("/v1/chat/completions", body.to_string())
            }
            Form::Embed => {
                ("/v1/embeddings", json!({"model": "text-embedding-3-small", "input": question}).to_string())
            }
            Form::Nonsense(0) => ("/llm/generate", format!("{{\"prompt\": \"{question}")),
            Form::Nonsense(1) => ("/llm/generate", json!({"prompt": "", "model": "gpt-4o"}).to_string()),
            Form::Nonsense(_) => ("/llm/generate", json!({"prompt": question}).to_string()),
        };
        let request = pair.client.post(pair.url(self.place, path)).timeout(PATIENCE);
        let request = request.header("content-type", "application/json").body(body);
        let request = match &self.who {
            Who::Web if matches!(self.form, Form::Nonsense(2..)) => request,
            Who::Web => request.bearer_auth(WEB),
            Who::Slim => request.bearer_auth(SLIM),
            Who::Session(id) => request.header("x-session-id", id),
        };
        if self.manner == Manner::Recalls { request.header("cache-control", "only-if-cached") } else { request }
    }

    /// Whether a reply that came whole is right.
    fn judge(&self, status: u16, headers: &HeaderMap, body: &str) -> Ending {
        let wrong = |what: &str| Ending::Wrong(format!("{what}: {}", excerpt(body)));
        let cache = header(headers, "cache-status");
        if status != 200 {
            let is_error = serde_json::from_str::<Value>(body).is_ok_and(|body| !body["error"].is_null());
            return if is_error { Ending::Status(status) } else { wrong(&format!("{status} without an error")) };
        }
        if self.is_streamed() {
            return self.judge_stream(cache, body);
        }
        let Ok(body_json) = serde_json::from_str::<Value>(body) else { return wrong("200 that is no JSON") };
        let is_right = match self.form {
            Form::Generate { .. } => body_json["code"] == answer(&self.question),
            Form::Chat { .. } => {
                let choice = &body_json["choices"][0];
                choice["message"]["content"] == answer(&self.question) && choice["finish_reason"] == "stop"
            }
            Form::Embed => is_vector(&body_json["data"][0]["embedding"], &self.question),
            Form::Nonsense(_) => false,
        };
        if is_right { Ending::Whole(source(cache)) } else { wrong("200 with another answer") }
    }

    fn judge_stream(&self, cache: &str, body: &str) -> Ending {
        let wrong = |what: &str| Ending::Wrong(format!("{what}: {}", excerpt(body)));
        let data: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let is_chat = matches!(self.form, Form::Chat { .. });
        let (mut text, mut ends, mut is_error, mut whole, mut cache) =
            (String::new(), 0, false, None, cache.to_owned());
        for (at, line) in data.iter().enumerate() {
            if is_chat && *line == "[DONE]" {
                if at + 1 != data.len() {
                    return wrong("a stream that goes on after its end");
                }
                continue;
            }
            let Ok(event) = serde_json::from_str::<Value>(line) else { return wrong("an event that is no JSON") };
            if is_chat {
                text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
                is_error |= !event["error"].is_null();
                ends +=
                    u32::from(!event["error"].is_null()) + u32::from(event["choices"][0]["finish_reason"].is_string());
            } else if ends > 0 {
                return wrong("a stream that goes on after its end");
            } else {
                match event["type"].as_str() {
                    Some("DELTA") => text.push_str(event["text"].as_str().unwrap_or_default()),
                    Some("COMPLETE") => {
                        ends += 1;
                        whole = event["code"].as_str().map(str::to_owned);
                        event["metadata"]["cache"].as_str().unwrap_or_default().clone_into(&mut cache);
                    }
                    Some("ERROR") => (ends, is_error) = (ends + 1, true),
                    _ => {}
                }
            }
        }
        let right = answer(&self.question);
        match (ends, is_error) {
            (1, true) if right.starts_with(&text) => Ending::Error,
            (1, true) => wrong("another text before the error"),
            (1, false) if is_chat && text == right && data.last() == Some(&"[DONE]") => Ending::Whole(source(&cache)),
            // What is stored comes in one piece.
            (1, false) if !is_chat && whole.as_ref() == Some(&right) && (text.is_empty() || text == right) => {
                Ending::Whole(source(&cache))
            }
            (1, false) => wrong("a stream that ends well with another answer"),
            (0, _) => wrong("a stream without its end"),
            _ => wrong("a stream with several ends"),
        }
    }
}

impl Seen {
    fn nothing(ending: Ending, begun: Instant) -> Self {
        let now = Instant::now();
        Self { ending, begun, headed: now, ended: now, is_local: false, request_id: String::new() }
    }
}

/// The body. `None`: the client has left.
async fn read(response: Response, manner: Manner) -> reqwest::Result<Option<String>> {
    let (mut body, mut pieces) = (Vec::new(), response.bytes_stream());
    let mut number = 0;
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece?);
        number += 1;
        match manner {
            Manner::Leaves if number == 2 => return Ok(None),
            Manner::Slowly if number <= SLOW_PIECES => sleep(SLOWLY).await,
            Manner::Reads | Manner::Leaves | Manner::Slowly | Manner::Recalls => {}
        }
    }
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}

/// Where an answer came from, by its `Cache-Status`.
fn source(cache: &str) -> &'static str {
    match cache {
        _ if cache.contains("stale-if-error") => "stood in",
        _ if cache.contains("collapsed") => "joined",
        _ if cache.contains("ttl=-") => "stale",
        _ if cache.contains("; hit") => "hit",
        _ => "asked",
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Both ends of what is too long to be shown.
fn excerpt(body: &str) -> String {
    let characters: Vec<char> = body.chars().collect();
    if characters.len() <= 600 {
        return body.to_owned();
    }
    let (first, last) = (&characters[..200], &characters[characters.len() - 400..]);
    format!("{} […] {}", first.iter().collect::<String>(), last.iter().collect::<String>())
}
