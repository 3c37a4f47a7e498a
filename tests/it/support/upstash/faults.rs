//! What can go wrong between the gateway and its store, on demand.

use std::{sync::Mutex, time::Duration};

use async_stream::stream;
use axum::{
    body::{Body, Bytes},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
};
use serde_json::json;
use tokio::time::sleep;

use super::{REFUSED_TOKEN, database::QUOTA_EXCEEDED};

/// Between the bytes of [`Fault::Trickle`].
const TRICKLE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Before anything else; other faults come on top of it.
    Latency(Duration),
    /// Closes the connection without a reply; nothing has run.
    DropBefore,
    /// Closes the connection without a reply; the commands have run.
    DropAfter,
    Unauthorized,
    /// 429 with `Retry-After` in seconds, and HTML.
    TooManyRequests {
        retry_after: u64,
    },
    /// This status, and HTML.
    ServerError(u16),
    /// Nothing runs, and the connection stays open.
    NoAnswer,
    /// The commands run; half of the answer comes, as if it were all.
    MalformedJson,
    /// The commands run; half of the answer comes, then the connection is closed.
    ShortBody,
    /// The commands run; the answer comes a byte at a time, ten a second.
    Trickle,
    /// 400 for the request as a whole, and nothing runs; so with the next two.
    ReadOnly,
    /// Where no commands are named, only those that need room are refused, scripts among them.
    Full,
    QuotaExceeded,
}

struct Active {
    fault: Fault,
    commands: Vec<String>,
    left: usize,
}

#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<Active>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault, commands: &[&str], times: usize) {
        let commands = commands.iter().map(|name| name.to_ascii_uppercase()).collect();
        self.0.lock().unwrap().push(Active { fault, commands, left: times });
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// How long a request with these commands waits, and what goes wrong then: the fault that was added first.
    pub(super) fn next(&self, names: &[String], needs_room: impl Fn(&str) -> bool) -> (Duration, Option<Fault>) {
        let (mut latency, mut chosen) = (Duration::ZERO, None);
        for Active { fault, commands, left } in self.0.lock().unwrap().iter_mut() {
            let is_meant = match fault {
                Fault::Full if commands.is_empty() => names.iter().any(|name| needs_room(name)),
                _ => commands.is_empty() || names.iter().any(|name| commands.contains(name)),
            };
            match fault {
                _ if !is_meant || *left == 0 => continue,
                Fault::Latency(more) => latency += *more,
                _ if chosen.is_some() => continue,
                _ => chosen = Some(*fault),
            }
            *left = if *left == usize::MAX { *left } else { *left - 1 };
        }
        (latency, chosen)
    }
}

impl Fault {
    /// The answer in place of the commands' own, when they do not run.
    pub(super) fn instead(self) -> Option<Response> {
        let error = |status, text: &str| Some((status, axum::Json(json!({"error": text}))).into_response());
        let page = |status: StatusCode| {
            let html = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
            (status, [(CONTENT_TYPE, "text/html")], html).into_response()
        };
        match self {
            Fault::Unauthorized => error(StatusCode::UNAUTHORIZED, REFUSED_TOKEN),
            Fault::TooManyRequests { retry_after } => {
                Some(([(RETRY_AFTER, retry_after.to_string())], page(StatusCode::TOO_MANY_REQUESTS)).into_response())
            }
            Fault::ServerError(status) => Some(page(StatusCode::from_u16(status).unwrap())),
            Fault::ReadOnly => error(StatusCode::BAD_REQUEST, "READONLY You can't write against a read only replica"),
            Fault::Full => error(
                StatusCode::BAD_REQUEST,
                "ERR DB capacity quota exceeded. Limit: 268435456 bytes, Actual: 268435460 bytes",
            ),
            Fault::QuotaExceeded => error(StatusCode::BAD_REQUEST, QUOTA_EXCEEDED),
            Fault::Latency(_)
            | Fault::DropBefore
            | Fault::DropAfter
            | Fault::NoAnswer
            | Fault::MalformedJson
            | Fault::ShortBody
            | Fault::Trickle => None,
        }
    }

    /// What becomes of the body of an answer.
    pub(super) fn spoil(self, body: Bytes) -> Body {
        let half = body.slice(..body.len() / 2);
        match self {
            Fault::MalformedJson => half.into(),
            Fault::ShortBody => Body::from_stream(stream! {
                yield Ok(half);
                sleep(Duration::from_millis(10)).await; // or what came so far would not be sent
                yield Err(std::io::Error::other("as told"));
            }),
            Fault::Trickle => Body::from_stream(stream! {
                for at in 0..body.len() {
                    yield Ok::<_, std::io::Error>(body.slice(at..=at));
                    sleep(TRICKLE).await;
                }
            }),
            _ => body.into(),
        }
    }

    pub(super) fn shortens_the_promise(self) -> bool {
        self == Fault::MalformedJson
    }
}
