//! What a vendor says that its models are: the one question that every vendor answers for nothing, and only to who has a key.

use std::{io, iter::successors, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    header::{HeaderName, HeaderValue},
};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    client::{Distrust, HttpClient, distrust},
    config::{EndpointConfig, Wire},
    generate::{ErrorKind, ModelId},
};

use super::{
    Anthropic, ChatVendor, Dialect as _, Gemini, OpenAiChat, ProviderError,
    upstream::{MAX_BODY_BYTES, headers, read_body},
};

/// The models of a vendor.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// By its own names for them, in its order.
    pub models: Vec<ModelId>,
    /// Whether these are all. A vendor with more than a page of them says that there are others.
    pub is_whole: bool,
}

/// Why there is no list. Holds none of the vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoList {
    /// Nobody answered.
    Unreachable(Unreachable),
    /// It answered with this status, which together with its words means this.
    Refused {
        /// The status.
        status: StatusCode,
        /// What it means.
        kind: ErrorKind,
    },
    /// It answered with success and no list of models.
    NoSense,
}

/// Why nobody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The name has no address.
    NoSuchHost,
    /// Nobody listens there.
    NobodyListens,
    /// Its certificate is not trusted.
    Untrusted(Distrust),
    /// It does not speak TLS.
    NoTls,
    /// It speaks another TLS than we do, such as an old one.
    OtherTls,
    /// It took too long.
    Slow,
    /// The connection broke before there was an answer.
    Broke,
    /// It broke in the middle of the answer.
    BrokeOff,
    /// The answer is longer than a list of models can be.
    TooLong,
}

/// How a wire format asks for the list, and reads it.
struct Form {
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    key: fn(&str) -> (HeaderName, String),
    fault: fn(StatusCode, &[u8]) -> ProviderError,
    /// Where the models stand, and where in each of them its name.
    models: (&'static str, &'static str),
    /// What stands before or behind a name and is not part of it.
    around: (&'static str, &'static str),
    /// Where it stands that there are others.
    more: &'static str,
}

const OPENAI: Form = Form {
    path: "/models",
    headers: &[],
    key: |key| OpenAiChat::new(ChatVendor::OpenAi).key(key),
    fault: |status, body| OpenAiChat::new(ChatVendor::OpenAi).fault(status, body),
    models: ("data", "id"),
    around: ("", ""),
    more: "has_more",
};

const ANTHROPIC: Form = Form {
    path: "/v1/models?limit=1000",
    headers: &[("anthropic-version", "2023-06-01")],
    key: |key| Anthropic.key(key),
    fault: |status, body| Anthropic.fault(status, body),
    ..OPENAI
};

const GEMINI: Form = Form {
    path: "/v1/models?pageSize=1000",
    headers: &[],
    key: |key| Gemini.key(key),
    fault: |status, body| Gemini.fault(status, body),
    models: ("models", "name"),
    around: ("models/", ""),
    more: "nextPageToken",
};

const OLLAMA: Form = Form {
    path: "/api/tags",
    models: ("models", "name"),
    // The tag that is meant when there is none.
    around: ("", ":latest"),
    more: "",
    ..OPENAI
};

fn form(wire: Wire) -> &'static Form {
    match wire {
        Wire::OpenAi | Wire::Xai | Wire::Compatible => &OPENAI,
        Wire::Anthropic => &ANTHROPIC,
        Wire::Gemini => &GEMINI,
        Wire::Ollama => &OLLAMA,
    }
}

/// Asks the vendor of `endpoint` which models it has, with its key, for at most so long.
///
/// # Errors
/// [`NoList`], when it does not say.
pub async fn list(endpoint: &EndpointConfig, client: &HttpClient, patience: Duration) -> Result<Listed, NoList> {
    let form = form(endpoint.wire);
    match timeout(patience, ask(form, endpoint, client)).await {
        Ok(Ok((status, body))) if status.is_success() => form.read(&body).ok_or(NoList::NoSense),
        Ok(Ok((status, body))) => Err(NoList::Refused { status, kind: (form.fault)(status, &body).kind }),
        Ok(Err(reason)) => Err(NoList::Unreachable(reason)),
        Err(_) => Err(NoList::Unreachable(Unreachable::Slow)),
    }
}

async fn ask(form: &Form, endpoint: &EndpointConfig, client: &HttpClient) -> Result<(StatusCode, Bytes), Unreachable> {
    let request = Request::get(format!("{}{}", endpoint.base_url, form.path)).body(Full::default());
    // The address was checked when it was configured.
    let mut request = request.map_err(|_| Unreachable::NoSuchHost)?;
    *request.headers_mut() = headers(endpoint.api_key.as_ref().map(|key| (form.key)(key.expose_secret())));
    for (name, value) in form.headers {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let response = client.request(request).await.map_err(|error| reason(&error))?;
    let status = response.status();
    let body = read_body(response, MAX_BODY_BYTES).await.map_err(|error| match error.kind {
        ErrorKind::AnswerTooLong => Unreachable::TooLong,
        _ => Unreachable::BrokeOff,
    })?;
    Ok((status, body))
}

impl Form {
    /// What a body with a status of success says. `None`: it is no list.
    fn read(&self, body: &[u8]) -> Option<Listed> {
        let body: Value = serde_json::from_slice(body).ok()?;
        // Some say so what has gone wrong, beside a list of nothing.
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return None;
        }
        let (list, name) = self.models;
        let names = body.get(list)?.as_array()?.iter().filter_map(|model| model.get(name)?.as_str());
        let (before, behind) = self.around;
        let bare = |name: &str| {
            let name = name.strip_prefix(before).unwrap_or(name);
            ModelId::from(name.strip_suffix(behind).unwrap_or(name))
        };
        let has_more = body.get(self.more).is_some_and(|more| !matches!(more, Value::Null | Value::Bool(false)));
        Some(Listed { models: names.map(bare).collect(), is_whole: !has_more })
    }
}

fn reason(error: &(dyn std::error::Error + 'static)) -> Unreachable {
    if let Some(distrust) = distrust(error) {
        return Unreachable::Untrusted(distrust);
    }
    for cause in successors(Some(error), |error| behind(*error)) {
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidMessage(_)) => return Unreachable::NoTls,
            Some(_) => return Unreachable::OtherTls,
            None => {}
        }
        match cause.downcast_ref().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return Unreachable::NobodyListens,
            Some(io::ErrorKind::TimedOut) => return Unreachable::Slow,
            // A name that is not found has no type of its own.
            None if cause.to_string().starts_with("dns error") => return Unreachable::NoSuchHost,
            Some(_) | None => {}
        }
    }
    Unreachable::Broke
}

/// What `error` came of. An error of the system that is made of another passes over that one.
fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::client::client;

    /// Where whoever comes is told `said` as soon as he says something, and no more.
    async fn telling(said: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                drop(connection.read(&mut [0; 256]).await);
                // Who has heard enough hangs up.
                drop(connection.write_all(&said).await);
                drop(connection.shutdown().await);
                // Closed over what was not read, it would be reset.
                drop(connection.read_to_end(&mut Vec::new()).await);
            }
        });
        address
    }

    async fn listed(base_url: String) -> Result<Listed, NoList> {
        let endpoint = EndpointConfig {
            name: "p".to_owned(),
            wire: Wire::OpenAi,
            base_url,
            api_key: None,
            key_variable: None,
            url_variable: String::new(),
            models: Vec::new(),
        };
        // Longer than it takes to give up a connection.
        list(&endpoint, &client(None).unwrap(), Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_told_apart_by_why() {
        let reply = |length: usize, body: &[u8]| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
            [head.as_bytes(), body].concat()
        };
        // An alert of TLS: this version is not spoken here.
        let alert = vec![0x15, 3, 3, 0, 2, 2, 70];
        let long = vec![b' '; MAX_BODY_BYTES + 1];
        for (scheme, said, why) in [
            ("http", reply(900, b"{\"data\":["), Unreachable::BrokeOff),
            ("http", reply(long.len(), &long), Unreachable::TooLong),
            ("https", alert, Unreachable::OtherTls),
            ("https", reply(2, b"{}"), Unreachable::NoTls),
        ] {
            let listed = listed(format!("{scheme}://{}", telling(said).await)).await;
            assert_eq!(listed, Err(NoList::Unreachable(why)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_long_to_let_anyone_in_is_slow() {
        // The system lets everyone in, and nobody says a word of TLS.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listed = listed(format!("https://{}", silent.local_addr().unwrap())).await;
        assert_eq!(listed, Err(NoList::Unreachable(Unreachable::Slow)));
    }

    fn read(wire: Wire, body: &str) -> Option<(Vec<String>, bool)> {
        let listed = form(wire).read(body.as_bytes())?;
        Some((listed.models.iter().map(ToString::to_string).collect(), listed.is_whole))
    }

    #[test]
    fn each_vendor_names_its_models_in_its_own_way() {
        for (wire, body, names, is_whole) in [
            (
                Wire::OpenAi,
                r#"{"object":"list","data":[{"id":"gpt-4o"},{"id":"gpt-5"}]}"#,
                &["gpt-4o", "gpt-5"][..],
                true,
            ),
            (Wire::Anthropic, r#"{"data":[{"type":"model","id":"claude"}],"has_more":true}"#, &["claude"], false),
            (Wire::Gemini, r#"{"models":[{"name":"models/gemini"}],"nextPageToken":"x"}"#, &["gemini"], false),
            (
                Wire::Ollama,
                r#"{"models":[{"name":"llama3.2:latest"},{"name":"qwen3:8b"}]}"#,
                &["llama3.2", "qwen3:8b"],
                true,
            ),
        ] {
            assert_eq!(read(wire, body), Some((names.iter().map(ToString::to_string).collect(), is_whole)));
        }
        for body in
            ["<html>", "{}", r#"{"data":"x"}"#, r#"{"models":{}}"#, r#"{"data":[],"models":[],"error":{"code":1}}"#]
        {
            assert_eq!(read(Wire::OpenAi, body), None, "{body}");
            assert_eq!(read(Wire::Gemini, body), None, "{body}");
        }
    }
}
