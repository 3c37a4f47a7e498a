//! Alerts on their way to where an operator reads them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri, header::CONTENT_TYPE};
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{client::HttpClient, json};

use super::Alert;

/// How long an attempt may take, and how long to wait before each further one.
const TIMEOUT: Duration = Duration::from_secs(10);
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16), Duration::from_mins(1)];

/// `BUDGET_WEBHOOK_URL`, which may hold a secret.
#[derive(Clone)]
pub struct Webhook {
    client: HttpClient,
    address: Arc<Uri>,
    draining: CancellationToken,
}

/// The alert, and its sentence where chat services look for it.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    alert: &'a Alert,
    text: &'a str,
}

impl Webhook {
    /// Posts to `address`. Once `draining` is cancelled, no attempt is waited for any more.
    pub fn new(client: HttpClient, address: Uri, draining: CancellationToken) -> Self {
        Self { client, address: Arc::new(address), draining }
    }

    /// Posts `alert`, and again where that may help. What cannot be told is still among the alerts.
    pub(super) async fn post(&self, alert: &Alert) {
        let body = Bytes::from(json::with_room(0, &Message { alert, text: &alert.message }));
        let mut waits = WAITS.into_iter();
        loop {
            let trouble = match self.attempt(body.clone()).await {
                Ok(()) => return,
                Err(trouble) => trouble,
            };
            let next = waits.next().filter(|_| trouble.may_pass);
            tracing::warn!(alert = alert.id, cause = trouble.cause, ?next, "the budget webhook fails");
            match next {
                Some(_) if self.draining.is_cancelled() => return,
                // The last attempt, if the service stops meanwhile.
                Some(wait) => drop(timeout(wait, self.draining.cancelled()).await),
                None => return,
            }
        }
    }

    async fn attempt(&self, body: Bytes) -> Result<(), Trouble> {
        let failed = |cause: &str| Trouble { cause: cause.to_owned(), may_pass: true };
        let request = Request::post((*self.address).clone()).header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(body)).map_err(|_| failed("no request"))?;
        let response = timeout(TIMEOUT, self.client.request(request)).await;
        let response = response.map_err(|_| failed("too slow"))?.map_err(|_| failed("no connection"))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        // Who refuses the alert itself refuses it again.
        let may_pass = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        Err(Trouble { cause: format!("status {}", status.as_u16()), may_pass })
    }
}

struct Trouble {
    cause: String,
    may_pass: bool,
}
