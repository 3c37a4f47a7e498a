//! Requests as they were recorded: a JSON object a line.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::look::shown;

/// A request that is sent to both.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What it is called in reports: as recorded, or method and path.
    pub name: String,
    /// How it is sent.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers. A JSON body has its content type, whether it was recorded or not.
    pub headers: HeaderMap,
    /// The body as it is sent. Empty: none.
    pub body: Bytes,
    /// Whether the same stands before it in the file, and nothing forbids to answer both from one store.
    pub is_repeated: bool,
}

/// A line that is no request.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadRequest {
    line: usize,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: Option<String>,
    method: String,
    path: String,
    #[serde(default)]
    headers: Map<String, Value>,
    /// Any JSON.
    #[serde(default, deserialize_with = "present")]
    body: Option<Value>,
    /// What is sent as it stands, for what is no JSON.
    text: Option<String>,
}

/// `null` is a body too, and not the same as none.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Recorded {
    /// The requests of a file, in their order. Blank lines, and those that begin with `#`, say nothing, nor does a mark of the byte order.
    ///
    /// # Errors
    /// [`BadRequest`], for the first line that is none.
    pub fn read(text: &str) -> Result<Vec<Self>, BadRequest> {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let mut requests: Vec<Self> = Vec::new();
        for (at, line) in lines {
            let mut request = Self::of(line).map_err(|why| BadRequest { line: at + 1, why })?;
            request.is_repeated =
                request.header("cache-control").is_none() && requests.iter().any(|before| before.is_same(&request));
            requests.push(request);
        }
        Ok(requests)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.method == other.method && self.route() == other.route() && self.body == other.body
    }

    fn of(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| why(&error))?;
        let method = line.method.to_uppercase().parse().map_err(|_| "its method is none")?;
        if !line.path.starts_with('/') {
            return Err("its path does not begin with a slash".to_owned());
        }
        let mut headers = HeaderMap::new();
        // What comes compressed could not be compared.
        for (name, value) in line.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("accept-encoding")) {
            // A value may be a secret, and is not repeated.
            let wrong = || format!("the header `{}` cannot be sent", shown(name));
            let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok()).ok_or_else(wrong)?;
            headers.append(HeaderName::try_from(name).map_err(|_| wrong())?, value);
        }
        let body = match (line.body, line.text) {
            (Some(_), Some(_)) => return Err("it has both `body` and `text`".to_owned()),
            (Some(body), None) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                Bytes::from(body.to_string())
            }
            (None, text) => Bytes::from(text.unwrap_or_default()),
        };
        let name = line.name.unwrap_or_else(|| format!("{method} {}", without_values(&line.path)));
        Ok(Self { name, method, path: line.path, headers, body, is_repeated: false })
    }

    /// The path that is meant: without query and trailing slash, in lower case.
    pub(super) fn route(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default().trim_end_matches('/').to_lowercase();
        if path.is_empty() { "/".to_owned() } else { path }
    }

    /// The body, if it is JSON that is sent as such.
    pub(super) fn json(&self) -> Option<Value> {
        let content_type = self.header("content-type")?.to_lowercase();
        content_type.starts_with("application/json").then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// A field of the body. `None`: it is left out.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        self.json()?.get(name).cloned()
    }

    /// The text of a field of the body. Empty: there is none.
    pub(super) fn text(&self, name: &str) -> String {
        self.field(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn is_generation(&self) -> bool {
        self.method == Method::POST && self.route() == "/llm/generate"
    }

    /// Whether it is a generation with a prompt, so that it is no mistake of its client's when there is no answer.
    pub(super) fn is_question(&self) -> bool {
        self.is_generation() && !self.text("prompt").trim().is_empty()
    }

    /// Whether a generation is to be answered with a stream. Who says so gets what he says.
    pub(super) fn wants_events(&self) -> bool {
        let accepts = || self.header("accept").is_some_and(|accept| accept.contains("text/event-stream"));
        self.field("streaming")
            .filter(|streaming| !streaming.is_null())
            .map_or_else(accepts, |streaming| streaming == true)
    }

    /// Whether it reads what GET reads: to HEAD the same is said without a body.
    pub(super) fn reads(&self, route: &str) -> bool {
        [Method::GET, Method::HEAD].contains(&self.method) && self.route() == route
    }
}

/// What is wrong with a line. A value of the wrong type may be a secret, and is not repeated.
fn why(error: &serde_json::Error) -> String {
    let said = error.to_string();
    if said.starts_with("invalid") && error.is_data() {
        return format!("a value is not of the type that it has to be, before column {}", error.column());
    }
    // Nor is a name that is none.
    let unknown = said.strip_prefix("unknown field `").and_then(|said| said.rsplit_once("`, expected"));
    match unknown {
        Some((name, expected)) => format!("unknown field `{}`, expected{expected}", shown(name)),
        None => said,
    }
}

/// A path whose query has its names, but not its values, which may be secret.
fn without_values(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let names =
        query.split('&').map(|pair| pair.split_once('=').map_or("…".to_owned(), |(name, _)| format!("{name}=…")));
    format!("{path}?{}", names.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_request_and_a_wrong_one_is_named_by_its_number() {
        let text = "\u{feff}  # a comment\n\n{\"method\":\"get\",\"path\":\"/health/?x=1\"}\n\
                    {\"name\":\"n\",\"method\":\"POST\",\"path\":\"/LLM/Generate/\",\"headers\":{\"X-A\":\"b\",\"Accept-Encoding\":\"br\"},\"body\":null}\n\
                    {\"method\":\"POST\",\"path\":\"/x\",\"text\":\"{\"}";
        let requests = Recorded::read(text).unwrap();
        let [health, generate, broken] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!((health.name.as_str(), health.route().as_str()), ("GET /health/?x=…", "/health"));
        assert_eq!((generate.name.as_str(), generate.is_generation()), ("n", true));
        assert_eq!((generate.header("x-a"), &*generate.body), (Some("b"), &b"null"[..]));
        assert_eq!(generate.header("accept-encoding"), None);
        assert_eq!((broken.json(), &*broken.body), (None, &b"{"[..]));
        for (line, why) in [
            ("{", "line 1: EOF"),
            (r#"{"method":"GET","path":"health"}"#, "line 1: its path does not begin with a slash"),
            (r#"{"method":"GET","path":"/","headers":"a: s3cr3t"}"#, "line 1: a value is not of the type"),
            (r#"{"method":"GET","path":"x?token=s3cr3t"}"#, "line 1: its path does not"),
            (r#"{"method":"GET","path":"https://user:s3cr3t@host/x"}"#, "line 1: its path does not"),
            (r#"{"method":"GET s3cr3t","path":"/"}"#, "line 1: its method is none"),
            (r#"{"method":"GET","path":"/","Bearer s3cr3t":1}"#, "line 1: unknown field `…`"),
            (r#"{"method":"GET","path":"/","a`s3cr3t":1}"#, "line 1: unknown field `…`"),
            (r#"{"method":"GET","path":"/","headers":{"Bearer s3cr3t":"x"}}"#, "line 1: the header `…` cannot"),
            (r#"{"method":"GET","path":"/","bdy":1}"#, "line 1: unknown field `bdy`"),
            (r#"{"method":"GET","path":"/","body":1,"text":"1"}"#, "line 1: it has both"),
            (r#"{"method":"GET","path":"/","headers":{"a":"s3cr3t\n"}}"#, "line 1: the header `a` cannot be sent"),
        ] {
            let error = Recorded::read(line).unwrap_err().to_string();
            assert!(error.starts_with(why) && !error.contains("s3cr3t"), "{error}");
        }
    }
}
