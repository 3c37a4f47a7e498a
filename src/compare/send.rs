//! Sends a recorded request to one of both services.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::time::timeout;

use crate::client::{HttpClient, reasons};

use super::{Body, Recorded, Reply};

/// The largest reply that is read.
const MAX_BODY_BYTES: usize = 32 << 20;

/// One of both.
pub struct Service {
    client: HttpClient,
    /// Without a trailing slash.
    base_url: String,
    /// In place of a recorded header of the same name.
    headers: HeaderMap,
    patience: Duration,
}

/// An address that cannot be used. It may hold a secret, and is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum BadService {
    /// It is none.
    #[error("not an address such as https://backend.example.com")]
    NoAddress,
    /// It holds a name and a password, which nobody would send.
    #[error("an address with credentials: they are sent as a header, --old-header or --new-header 'Authorization: …'")]
    Credentials,
}

/// A header that cannot be sent. It may be a secret, and is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("not a header such as `Authorization: Bearer …`")]
pub struct BadHeader;

impl Service {
    /// The service at `url`, whose replies may each take so long.
    ///
    /// # Errors
    /// [`BadService`], when `url` is no address, or one with credentials.
    pub fn new(client: HttpClient, url: &str, patience: Duration) -> Result<Self, BadService> {
        let uri: Uri = url.parse().map_err(|_| BadService::NoAddress)?;
        // Behind either of both, paths would be part of it.
        let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && !url.contains(['?', '#']);
        if !is_http {
            return Err(BadService::NoAddress);
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(BadService::Credentials);
        }
        let base_url = url.trim_end_matches('/').to_owned();
        Ok(Self { client, base_url, headers: HeaderMap::new(), patience })
    }

    /// Sends `name: value` with every request, in place of a recorded header of that name.
    ///
    /// # Errors
    /// [`BadHeader`], when it is none.
    pub fn with_header(mut self, line: &str) -> Result<Self, BadHeader> {
        let (name, value) = line.split_once(':').ok_or(BadHeader)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| BadHeader)?;
        self.headers.insert(name, HeaderValue::from_str(value.trim()).map_err(|_| BadHeader)?);
        Ok(self)
    }

    /// What it answers, read to its end.
    ///
    /// # Errors
    /// Why there is no whole reply.
    pub(super) async fn send(&self, recorded: &Recorded) -> Result<Reply, String> {
        let request = Request::builder().method(&recorded.method).uri(format!("{}{}", self.base_url, recorded.path));
        let request = request.body(Full::from(recorded.body.clone()));
        let mut request = request.map_err(|_| "the path cannot be sent")?;
        *request.headers_mut() = recorded.headers.clone();
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let reply = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| format!("it was not reached: {}", reasons(&error)))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
            let body = body.map_err(|_| "its reply broke off, or is too long")?.to_bytes();
            let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            Ok(Reply {
                status: head.status.as_u16(),
                body: Body::read(content_type, &body),
                headers: named(&head.headers),
            })
        };
        timeout(self.patience, reply).await.unwrap_or_else(|_| Err("it took too long".to_owned()))
    }
}

fn named(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        named
            .entry(name.as_str().to_owned())
            .and_modify(|before| *before = format!("{before}, {value}"))
            .or_insert_with(|| value.into_owned());
    }
    named
}
