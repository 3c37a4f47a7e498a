//! Tells Sentry what has gone wrong: panics, and what the log calls an error.
//!
//! An event says what the line in the log says, and of which request: no prompt, no key, no body and no header is there to be told.
//! Sentry's own client is not used: it brings another HTTP client, and looks for more than is told here.

mod layer;

use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use sentry_types::protocol::v7::{Envelope, Event};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{Layer, Registry, filter::Targets};

use crate::{config::SentryConfig, courier::Courier};

use layer::ErrorLayer;

/// How many events may wait. More are dropped: the first of many say what is wrong.
const MAX_WAITING: usize = 32;
/// How long nothing is sent to a Sentry that wants no more for now, unless it says so itself.
const PAUSE: Duration = Duration::from_mins(1);
/// The longest that its word is taken for: who is told nothing for good has no alarm.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How long the end of the service waits for a Sentry that does not take what is left.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Tells Sentry as long as it lives.
pub struct Alarm {
    events: Sender<Event<'static>>,
    environment: String,
    closing: CancellationToken,
    sending: JoinHandle<()>,
}

impl Alarm {
    /// Tells who `config` says, by `courier`.
    pub fn new(config: &SentryConfig, courier: Courier) -> Self {
        let (events, waiting) = mpsc::channel(MAX_WAITING);
        let closing = CancellationToken::new();
        let post = Post {
            courier,
            url: config.dsn.envelope_api_url().to_string(),
            auth: config.dsn.to_auth(Some(concat!("llm-gateway/", env!("CARGO_PKG_VERSION")))).to_string(),
            paused: None,
        };
        let sending = tokio::spawn(post.send_all(waiting, closing.clone()));
        Self { events, environment: config.environment.clone(), closing, sending }
    }

    /// What listens to errors of this service, and to those of no library.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let errors = Targets::new().with_target("llm_gateway", tracing::Level::ERROR);
        ErrorLayer::new(self.events.clone(), self.environment.clone()).with_filter(errors).boxed()
    }

    /// Sends what is left, if Sentry takes it soon.
    pub async fn finish(self) {
        self.closing.cancel();
        if timeout(LAST_EVENTS, self.sending).await.is_err() {
            tracing::warn!("Sentry could not be told of the last errors");
        }
    }
}

/// Sends events, one after the other.
struct Post {
    courier: Courier,
    url: String,
    auth: String,
    /// Until when nothing is sent. `None`: nothing stands against it.
    paused: Option<Instant>,
}

impl Post {
    async fn send_all(mut self, mut waiting: Receiver<Event<'static>>, closing: CancellationToken) {
        while let Some(Some(event)) = closing.run_until_cancelled(waiting.recv()).await {
            self.send(event).await;
        }
        while let Ok(event) = waiting.try_recv() {
            self.send(event).await;
        }
    }

    async fn send(&mut self, event: Event<'static>) {
        if self.paused.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let mut body = Vec::new();
        let request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/x-sentry-envelope")
            .header("x-sentry-auth", &self.auth);
        // Neither fails: the address comes from a DSN that was read, and memory takes what is written.
        let (Ok(()), Ok(request)) = (Envelope::from(event).to_writer(&mut body), request.body(())) else { return };
        let Ok(reply) = self.courier.post(request.map(|()| Bytes::from(body))).await else { return };
        if reply.status() == StatusCode::TOO_MANY_REQUESTS {
            let wait = reply.headers().get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
            self.paused = Some(Instant::now() + wait.map_or(PAUSE, Duration::from_secs).min(LONGEST_PAUSE));
        }
    }
}
