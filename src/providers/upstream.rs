//! One HTTP exchange with a vendor, the same for every wire format.

use std::{
    borrow::Cow,
    future::poll_fn,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_util::client::legacy::Error;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use crate::{
    client::{HttpClient, reasons},
    embed::{EmbedRequest, Embedded, Input},
    generate::{ErrorKind, GenerateRequest, Params, Usage},
    trace,
};

use super::{
    Batch, Delta, DeltaStream, EmbedForm, Provider, ProviderError,
    frames::{FrameError, Framing, frames},
};

/// How long the body of an error may take: its status says most of it.
const FAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a stream's connection may take to end after the vendor's last word, so that the next call can use it.
const REST_TIMEOUT: Duration = Duration::from_millis(50);
/// The largest body that is read whole (`providers.md` 2).
pub(super) const MAX_BODY_BYTES: usize = 32 << 20;
/// What is read of an error's body: enough for its kind.
const MAX_FAULT_BYTES: usize = 64 << 10;
/// The longest wait that is taken from a vendor's word.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A wire format: pure and synchronous.
pub trait Dialect: Send + Sync + 'static {
    /// Reads this format's streams.
    type Decoder: Decoder;

    /// The header that carries the key, and its value.
    fn key(&self, key: &str) -> (HeaderName, String) {
        (AUTHORIZATION, format!("Bearer {key}"))
    }

    /// What to send to a model that takes `params`.
    ///
    /// # Errors
    /// When the request holds what this format cannot say.
    fn request(&self, request: &GenerateRequest, params: &Params) -> Result<WireRequest, ProviderError>;

    /// A reader for one stream.
    fn decoder(&self) -> Self::Decoder;

    /// What a body says that came in one piece with a status of success.
    ///
    /// # Errors
    /// When it holds no answer.
    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError>;

    /// What a reply means that did not have a status of success.
    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError;

    /// How its vendor is asked for vectors. `None`: it makes none.
    fn embeds(&self) -> Option<&'static dyn EmbedForm>;
}

/// What a dialect wants to send.
pub struct WireRequest {
    /// Behind the base URL, with its leading slash.
    pub path: Cow<'static, str>,
    /// Besides those that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// Reads one stream, event by event.
pub trait Decoder: Send + 'static {
    /// Takes an event's data and adds what it says to `out`. `Break`: the stream is over by its own mark.
    ///
    /// # Errors
    /// When the event is an error, or makes no sense.
    fn frame(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<ControlFlow<()>, ProviderError>;

    /// Adds what is said by the end of the stream: the finish at least.
    ///
    /// # Errors
    /// When the vendor did not say that it was done.
    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError>;

    /// What the vendor has counted so far of question and answer, also in an event that was an error. `None`: it has not.
    fn usage(&self) -> Option<Usage>;
}

/// A vendor behind its wire format.
pub struct Upstream<D> {
    dialect: D,
    client: HttpClient,
    base_url: String,
    headers: HeaderMap,
}

impl<D: Dialect> Upstream<D> {
    /// A vendor at `base_url`, which has no trailing slash.
    pub fn new(dialect: D, client: HttpClient, base_url: &str, api_key: Option<SecretString>) -> Self {
        let headers = headers(api_key.map(|key| dialect.key(key.expose_secret())));
        Self { dialect, client, base_url: base_url.to_owned(), headers }
    }

    /// The reply to `request`, whose status is one of success.
    async fn send(&self, request: WireRequest) -> Result<Response<Incoming>, ProviderError> {
        let WireRequest { path, headers, body } = request;
        let url = format!("{}{path}", self.base_url);
        let request = Request::post(url).body(Full::from(body));
        // The address was checked when it was configured.
        let mut request = request.map_err(|_| ErrorKind::Connection)?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(headers);
        trace::calling(&mut request);
        let response = self.client.request(request).await.map_err(|error| unreachable_for(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers(), SystemTime::now());
        // Who moved will not be back in a moment.
        let should_retry = should_retry(response.headers()).or(status.is_redirection().then_some(false));
        // A body that does not come whole still has its status.
        let body = timeout(FAULT_TIMEOUT, read_body(response, MAX_FAULT_BYTES)).await;
        let fault = self.dialect.fault(status, &body.ok().and_then(Result::ok).unwrap_or_default());
        let detail = Some(format!("status {}", status.as_u16()));
        Err(ProviderError { retry_after: retry_after.or(fault.retry_after), should_retry, detail, ..fault })
    }
}

#[async_trait]
impl<D: Dialect> Provider for Upstream<D> {
    async fn open(&self, request: &GenerateRequest, params: &Params) -> Result<DeltaStream, ProviderError> {
        let response = self.send(self.dialect.request(request, params)?).await?;
        // Read by what it is, whatever was asked for.
        if let Some(framing) = framing(response.headers()) {
            let bytes = response.into_body().into_data_stream();
            return Ok(deltas(self.dialect.decoder(), framing, bytes).boxed());
        }
        let body = read_answer(response).await?;
        let whole = self.dialect.whole(&body)?;
        Ok(futures_util::stream::iter(whole.into_iter().map(Ok)).boxed())
    }

    fn embeds(&self) -> Option<Batch> {
        self.dialect.embeds().map(EmbedForm::batch)
    }

    async fn embed(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<Embedded, ProviderError> {
        let form = self.dialect.embeds().ok_or_else(|| ProviderError::unsayable("model"))?;
        let response = self.send(form.request(request, inputs)?).await?;
        let body = read_answer(response).await?;
        form.reply(&body, inputs.len())?.sound(inputs, request.dimensions)
    }
}

/// What stands at the head of every request to a vendor, its key among it.
pub(super) fn headers(key: Option<(HeaderName, String)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("llm-gateway/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some((name, value)) = key
        && let Ok(mut value) = HeaderValue::try_from(value)
    {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}

/// What a stream of frames says, through `decoder`. Where its bytes say nothing of the answer, there is [`Delta::Alive`] as soon as
/// more of them have to be waited for.
pub fn deltas<E: Send + 'static>(
    mut decoder: impl Decoder,
    framing: Framing,
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = Result<Delta, ProviderError>> + Send {
    async_stream::try_stream! {
        let came = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&came);
        let mut frames = frames(framing, bytes.inspect(move |_| seen.store(true, Ordering::Relaxed))).fuse();
        let (mut out, mut began, mut had_text) = (Vec::new(), false, false);
        loop {
            // Thought, pings, comments, half an event: whoever sends them is not silent.
            let next = poll_fn(|context| match frames.poll_next_unpin(context) {
                Poll::Pending if !came.swap(false, Ordering::Relaxed) => Poll::Pending,
                next => Poll::Ready(next),
            });
            let Poll::Ready(frame) = next.await else {
                yield Delta::Alive;
                continue;
            };
            let result = match frame {
                Some(Ok(data)) => decoder.frame(&data, &mut out),
                Some(Err(FrameError::Malformed)) => Err(ErrorKind::BadResponse.into()),
                Some(Err(FrameError::Broken)) => Err(ProviderError { answered: true, ..ErrorKind::Connection.into() }),
                None => Ok(ControlFlow::Break(())),
            };
            // What an event said before it failed still counts.
            let is_last = matches!(result, Ok(ControlFlow::Break(())));
            let result = if is_last { decoder.end(&mut out).map(ControlFlow::Break) } else { result };
            if is_last && result.is_ok() {
                // Whether anything follows does not matter any more, only that the body has ended.
                drop(timeout(REST_TIMEOUT, frames.next()).await);
            }
            for delta in out.drain(..) {
                had_text |= matches!(delta, Delta::Text(_) | Delta::Tool(_));
                came.store(false, Ordering::Relaxed);
                yield delta;
            }
            match result.map_err(|error| error.with_usage(decoder.usage())) {
                Ok(ControlFlow::Continue(())) => began = true,
                Ok(ControlFlow::Break(())) => return,
                // What makes no sense was part of an answer, too.
                Err(error) if began || had_text || error.kind == ErrorKind::BadResponse => Err(error.after(had_text))?,
                Err(error) => Err(error)?,
            }
        }
    }
}

/// What is to say of a request that got no reply: the reasons, one behind the other, hold no words of the vendor.
fn unreachable_for(error: &Error) -> ProviderError {
    ProviderError { detail: Some(reasons(error)), ..ErrorKind::Connection.into() }
}

/// The body of a reply with a status of success.
async fn read_answer(response: Response<Incoming>) -> Result<Bytes, ProviderError> {
    read_body(response, MAX_BODY_BYTES).await.map_err(|error| ProviderError { answered: true, ..error })
}

pub(super) async fn read_body(response: Response<Incoming>, limit_bytes: usize) -> Result<Bytes, ProviderError> {
    match Limited::new(response.into_body(), limit_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ErrorKind::AnswerTooLong.into()),
        Err(error) => Err(ProviderError { detail: Some(reasons(&*error)), ..ErrorKind::Connection.into() }),
    }
}

/// How the body is cut into frames. `None`: it is one piece.
fn framing(headers: &HeaderMap) -> Option<Framing> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    match content_type.split(';').next()?.trim() {
        "text/event-stream" => Some(Framing::Events),
        "application/x-ndjson" => Some(Framing::Lines),
        _ => None,
    }
}

/// `x-should-retry`: what `OpenAI` and Anthropic say of their own errors.
fn should_retry(headers: &HeaderMap) -> Option<bool> {
    headers.get("x-should-retry")?.to_str().ok()?.parse().ok()
}

/// How long a vendor asks us to wait: `retry-after-ms`, else `Retry-After` in seconds, fractions allowed, or as a date
/// (RFC 9110, section 10.2.3).
///
/// `None` when it is absent or malformed. A date in the past counts as zero; more than an hour counts as an hour.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit: f64| Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok();
    let milliseconds = text("retry-after-ms").and_then(|text| number(text, 0.001));
    let wait = milliseconds.or_else(|| {
        let text = text(RETRY_AFTER.as_str())?;
        let date = || httpdate::parse_http_date(text).ok().map(|date| date.duration_since(now).unwrap_or_default());
        number(text, 1.0).or_else(date)
    });
    wait.map(|wait| wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    #[test]
    fn a_wait_is_read_in_all_its_forms() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 00:00:00 GMT").unwrap();
        let cases: [(Headers, Option<u64>); 8] = [
            (&[("retry-after-ms", "60"), ("retry-after", "1")], Some(60)),
            (&[("retry-after", "3")], Some(3_000)),
            (&[("retry-after", "1.5")], Some(1_500)),
            (&[("retry-after", "Tue, 24 Nov 2026 00:00:20 GMT")], Some(20_000)),
            (&[("retry-after", "Mon, 23 Nov 2026 00:00:20 GMT")], Some(0)),
            (&[("retry-after", "999999")], Some(3_600_000)),
            (&[("retry-after", "-1")], None),
            (&[], None),
        ];
        for (headers, expected) in cases {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(retry_after(&map, now), expected.map(Duration::from_millis), "{headers:?}");
        }
    }
}
