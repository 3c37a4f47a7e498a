//! Sends requests over HTTP: to vendors, and to a store that speaks it.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::timeout;
use tower::{BoxError, Service};

/// How long a connection may take to open, its name looked up and TLS agreed on (what the vendors' own clients use).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it is still there, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than every server's own, so that no request meets a connection that is just being closed (`upstash-rest.md` 9).
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many connections to one server are kept for the next calls.
const MAX_IDLE_CONNECTIONS: usize = 512;

/// Sends requests.
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

/// `EXTRA_CA_FILE` is no list of certificates in PEM form.
#[derive(Debug, thiserror::Error)]
#[error("EXTRA_CA_FILE holds no certificates in PEM form that can be trusted")]
pub struct BadRoots;

/// A client: pooled, HTTP/1.1 and 2, roots compiled in. It follows no redirects, which could carry a
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

/// Why a request got no reply, one reason behind the other. They hold neither its address nor what was sent.
pub fn reasons(error: &dyn std::error::Error) -> String {
    let reasons = std::iter::successors(Some(error), |error| error.source());
    reasons.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody who is trusted vouches for it.
    Unknown,
    /// It has expired, or is not valid yet.
    OutOfTime,
    /// It is that of another host.
    OtherHost,
}

/// What was wrong with the certificate, if that is why a connection did not come about. Read from the words of rustls, as not every
/// client passes its errors on.
pub fn distrust(error: &dyn std::error::Error) -> Option<Distrust> {
    let said = reasons(error);
    let has = |words: &str| said.contains(words);
    match () {
        () if !has("certificate") => None,
        () if has("certificate expired") || has("not valid yet") => Some(Distrust::OutOfTime),
        () if has("not valid for name") => Some(Distrust::OtherHost),
        () => Some(Distrust::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_of_roots_is_no_client() {
        assert!(client(None).is_ok());
        assert!(client(Some("no certificate")).is_err());
    }
}
