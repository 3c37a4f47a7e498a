//! Brings to services outside what is told them of this one, and never troubles it: what cannot be brought is dropped, and said once a
//! minute.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{Request, Response, header::USER_AGENT};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::HeaderValue;
use tokio::time::{Instant, timeout};
use tower::BoxError;

use crate::client::{HttpClient, reasons};

/// How long one exchange may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of a reply.
const MAX_REPLY_BYTES: usize = 64 << 10;
/// How often trouble is said in the log.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Brings things to one service.
pub struct Courier {
    client: HttpClient,
    /// The setting that names the service.
    setting: &'static str,
    /// When the log was told last.
    told: Mutex<Option<Instant>>,
}

impl Courier {
    /// To the service that `setting` names.
    pub fn new(client: HttpClient, setting: &'static str) -> Self {
        Self { client, setting, told: Mutex::default() }
    }

    /// Sends `request`, and gives back the reply, whatever its status, its body whole.
    ///
    /// # Errors
    /// When there is none within five seconds.
    pub async fn post(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let agent = HeaderValue::from_static(concat!("llm-gateway/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let exchange = async {
            let (head, body) = self.client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_REPLY_BYTES).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        let reply: Result<_, BoxError> =
            timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err("no reply in time".into()));
        match &reply {
            Ok(reply) if reply.status().is_success() => {}
            Ok(reply) => self.warn(&format!("status {}", reply.status().as_u16())),
            Err(error) => self.warn(&reasons(&**error)),
        }
        reply
    }

    fn warn(&self, reason: &str) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now >= told + LOG_INTERVAL) {
            *told = Some(now);
            tracing::warn!(
                setting = self.setting,
                reason,
                "what is told to another service cannot be delivered: it is dropped"
            );
        }
    }
}
