//! One HTTP exchange with a vendor, the same for every wire format.

use std::{
    io,
    ops::ControlFlow,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use tower::{BoxError, Service};

use crate::generate::{ErrorKind, GenerateRequest};

use super::{
    Delta, DeltaStream, Provider, ProviderError,
    frames::{FrameError, frames},
};

/// How long a connection to a vendor may take to open, its name looked up and TLS agreed on (what the official clients use).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it is still there, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the body of an error may take: its status says most of it.
const FAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a stream's connection may take to end after the vendor's last word, so that the next call can use it.
const REST_TIMEOUT: Duration = Duration::from_millis(50);
/// Shorter than the keep-alive of every vendor, so that no request meets a connection that is just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// How many connections to one vendor are kept for the next calls.
const MAX_IDLE_CONNECTIONS: usize = 512;
/// The largest body that is read whole (`providers.md` 2).
const MAX_BODY_BYTES: usize = 32 << 20;
/// What is read of an error's body: enough for its kind.
const MAX_FAULT_BYTES: usize = 64 << 10;
/// The longest wait that is taken from a vendor's word.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A wire format: pure and synchronous.
pub trait Dialect: Send + Sync + 'static {
    /// Reads this format's streams.
    type Decoder: Decoder;

    /// What to send.
    fn request(&self, request: &GenerateRequest) -> WireRequest;

    /// A reader for one stream.
    fn decoder(&self) -> Self::Decoder;

    /// What a body says that came in one piece with a status of success.
    ///
    /// # Errors
    /// When it holds no answer.
    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError>;

    /// What a reply means that did not have a status of success.
    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError;
}

/// What a dialect wants to send.
pub struct WireRequest {
    /// Behind the base URL, with its leading slash.
    pub path: String,
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
}

/// Sends requests to vendors.
pub type HttpClient = Client<TimedConnector, Full<Bytes>>;

/// Opens connections, each within five seconds, its name looked up and TLS agreed on.
#[derive(Clone)]
pub struct TimedConnector(HttpsConnector<HttpConnector>);

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = timeout(CONNECT_TIMEOUT, self.0.call(address));
        async { connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? }.boxed()
    }
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
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("llm-gateway/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let bearer = api_key.and_then(|key| HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).ok());
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Self { dialect, client, base_url: base_url.to_owned(), headers }
    }

    async fn send(&self, request: &GenerateRequest) -> Result<Response<Incoming>, ProviderError> {
        let WireRequest { path, body } = self.dialect.request(request);
        let url = format!("{}{path}", self.base_url);
        let request = Request::post(url).body(Full::from(body));
        // The address was checked when it was configured.
        let mut request = request.map_err(|_| ErrorKind::Connection)?;
        *request.headers_mut() = self.headers.clone();
        let response = self.client.request(request).await.map_err(|error| unreachable_for(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers(), SystemTime::now());
        // A body that does not come whole still has its status.
        let body = timeout(FAULT_TIMEOUT, read_body(response, MAX_FAULT_BYTES)).await;
        let fault = self.dialect.fault(status, &body.ok().and_then(Result::ok).unwrap_or_default());
        let detail = Some(format!("status {}", status.as_u16()));
        Err(ProviderError { retry_after: retry_after.or(fault.retry_after), detail, ..fault })
    }
}

#[async_trait]
impl<D: Dialect> Provider for Upstream<D> {
    async fn open(&self, request: &GenerateRequest) -> Result<DeltaStream, ProviderError> {
        let response = self.send(request).await?;
        // Read by what it is, whatever was asked for.
        if is_event_stream(response.headers()) {
            let bytes = response.into_body().into_data_stream();
            return Ok(deltas(self.dialect.decoder(), bytes).boxed());
        }
        let body = read_body(response, MAX_BODY_BYTES).await?;
        let whole = self.dialect.whole(&body)?;
        Ok(futures_util::stream::iter(whole.into_iter().map(Ok)).boxed())
    }

    fn is_mock(&self) -> bool {
        false
    }
}

/// What a stream of server-sent events says, through `decoder`.
pub fn deltas<E: Send>(
    mut decoder: impl Decoder,
    bytes: impl Stream<Item = Result<Bytes, E>> + Send,
) -> impl Stream<Item = Result<Delta, ProviderError>> + Send {
    async_stream::try_stream! {
        let frames = std::pin::pin!(frames(bytes));
        let mut frames = frames.fuse();
        let (mut out, mut began, mut had_text) = (Vec::new(), false, false);
        loop {
            let result = match frames.next().await {
                Some(Ok(data)) => decoder.frame(&data, &mut out),
                Some(Err(FrameError::Malformed)) => Err(ErrorKind::BadResponse.into()),
                Some(Err(FrameError::Broken)) => Err(ErrorKind::StreamInterrupted.into()),
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
                had_text |= matches!(delta, Delta::Text(_));
                yield delta;
            }
            match result {
                Ok(ControlFlow::Continue(())) => began = true,
                Ok(ControlFlow::Break(())) => return,
                Err(error) if began => Err(error.after(had_text))?,
                Err(error) => Err(error)?,
            }
        }
    }
}

/// What is to say of a request that got no reply: the reasons, one behind the other, hold no words of the vendor.
fn unreachable_for(error: &Error) -> ProviderError {
    ProviderError { detail: Some(reasons(error)), ..ErrorKind::Connection.into() }
}

fn reasons(error: &dyn std::error::Error) -> String {
    let reasons = std::iter::successors(Some(error), |error| error.source());
    reasons.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn read_body(response: Response<Incoming>, limit_bytes: usize) -> Result<Bytes, ProviderError> {
    match Limited::new(response.into_body(), limit_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ErrorKind::AnswerTooLong.into()),
        Err(error) => {
            let broken = ProviderError::from(ErrorKind::StreamInterrupted).after(false);
            Err(ProviderError { detail: Some(reasons(&*error)), ..broken })
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
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

/// `EXTRA_CA_FILE` is no list of certificates in PEM form.
#[derive(Debug, thiserror::Error)]
#[error("EXTRA_CA_FILE holds no certificates in PEM form that can be trusted")]
pub struct BadRoots;

/// The one client for all vendors: pooled, HTTP/1.1 and 2, roots compiled in. It follows no redirects, which could carry a
/// key elsewhere, and no proxy of the environment.
///
/// hyper's own: a call by reqwest parses its address three times, and passes layers for what is not used here.
///
/// # Errors
/// [`BadRoots`] when `extra_ca_pem` is no list of certificates.
pub fn client(extra_ca_pem: Option<&str>) -> Result<HttpClient, BadRoots> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_ca_pem {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let (added, _) = roots.add_parsable_certificates(certificates.map_err(|_| BadRoots)?);
        if added == 0 {
            return Err(BadRoots);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| BadRoots)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .http1_writev(false)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .timer(TokioTimer::new())
        .build(TimedConnector(connector));
    Ok(client)
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

    #[test]
    fn a_broken_file_of_roots_is_no_client() {
        assert!(client(None).is_ok());
        assert!(client(Some("no certificate")).is_err());
    }
}
