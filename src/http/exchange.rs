//! One generation on its way to its client, in whichever form: what both APIs have in common.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::value::to_raw_value;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{
    error::ApiError,
    generate::{
        Answer, Collected, ErrorKind, Event, EventStream, GenerateError, GenerateRequest, Generation, Outcome, Receipt,
        Target,
    },
    layers::{Held, StoreTook},
    metrics::Operation,
    telemetry::Record,
};

use super::{
    Api,
    answer::ServerTiming,
    cache_status::{NOT_CACHED, cache_status, stored_answer},
};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Reads the body of `request`, takes a place for it, and lets `answer` answer.
pub(super) async fn with_body(
    api: Arc<Api>,
    request: Request,
    answer: impl AsyncFnOnce(Arc<Api>, &Parts, Bytes) -> Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = api.bodies.read_json(&head.headers, body).await?;
    // Not before: whose body is still on its way is not being answered yet.
    let place = api.places.take()?;
    let response = answer(api, &head, body).await?;
    Ok(response.map(|body| Held::body(body, place)))
}

/// How long looking for a stored answer may take: all store calls of a request share the time that there is.
pub(super) fn lookup_time(api: &Api, head: &Parts) -> Duration {
    api.store_timeout.saturating_sub(took(head).total())
}

fn took(head: &Parts) -> StoreTook {
    head.extensions.get::<StoreTook>().copied().unwrap_or_default()
}

/// One generation and what its reply needs, whatever its form.
pub(super) struct Exchange {
    pub(super) api: Arc<Api>,
    pub(super) record: Arc<Record>,
    limiter_took: Option<Duration>,
    /// Who is asked first.
    target: Target,
}

impl Exchange {
    /// The exchange for the request with this `head`, which asks `target`.
    pub(super) fn new(
        api: Arc<Api>,
        head: &Parts,
        operation: Operation,
        target: Target,
        is_stream: bool,
    ) -> Result<Self, ApiError> {
        let record = Arc::clone(head.extensions.get::<Arc<Record>>().ok_or_else(ApiError::internal)?);
        record.generating(operation, &target, is_stream);
        Ok(Self { api, record, limiter_took: took(head).limiter, target })
    }

    /// Decides where the answer comes from.
    ///
    /// # Errors
    /// The whole reply, when there will be none.
    pub(super) async fn open(&self, request: GenerateRequest) -> Result<Generation, Box<Response>> {
        let generation = self.api.generate.clone().oneshot(request).await;
        let generation = generation.map_err(|error| Box::new(self.refused(error)))?;
        self.record.take_down(|generating| generating.decided(&generation.receipt));
        Ok(generation)
    }

    /// The reply to what failed before it was known where its answer comes from.
    pub(super) fn refused(&self, error: GenerateError) -> Response {
        let kind = error.kind;
        let mut response = self.told(error).into_response();
        if kind == ErrorKind::NotCached {
            response.headers_mut().insert(CACHE_STATUS, HeaderValue::from_static(NOT_CACHED));
        }
        response
    }

    /// Waits for the whole answer, as long as one may take.
    pub(super) async fn collect(&self, answer: Answer) -> Result<Collected, GenerateError> {
        let collected = self.in_time(answer.collect()).await?;
        let Collected { completion, outcome, cost } = &collected;
        self.record.take_down(|generating| generating.finished(completion, *outcome, *cost));
        Ok(collected)
    }

    /// Waits for `answer` as long as one may take, and no longer than the service runs.
    pub(super) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, GenerateError>>,
    ) -> Result<T, GenerateError> {
        let by = Instant::now() + self.api.bounds.answer;
        tokio::select! {
            // An answer that is there is not too late.
            biased;
            answer = timeout_at(by, answer) => answer.unwrap_or_else(|_| Err(self.error(ErrorKind::Timeout))),
            () = self.api.stopping.cancelled() => Err(self.error(ErrorKind::Stopping)),
        }
    }

    /// The events of the answer, as long as they may take.
    pub(super) fn read(&self, answer: Answer) -> Reading {
        Reading {
            events: answer.into_events(),
            first_by: Instant::now() + self.api.bounds.answer,
            has_begun: false,
            target: self.target.clone(),
            stopping: self.api.stopping.clone(),
            record: Arc::clone(&self.record),
        }
    }

    /// What a client is told, and why it must not spend, operators too.
    pub(super) fn told(&self, error: GenerateError) -> ApiError {
        let kind = error.kind;
        self.record.take_down(|generating| generating.failed(&error));
        let mut error = ApiError::from(error);
        if let (ErrorKind::OverBudget(periods), Some(over_budget)) = (kind, &mut error.over_budget) {
            over_budget.alerts = to_raw_value(&self.api.ledger.alerts_of(periods)).ok();
        }
        error
    }

    fn error(&self, kind: ErrorKind) -> GenerateError {
        GenerateError::from(kind).at(self.target.clone())
    }

    /// Says in headers where the answer comes from and how long that took; `provider`: the time of the call, where that has ended.
    pub(super) fn set_headers(
        &self,
        headers: &mut HeaderMap,
        receipt: &Receipt,
        outcome: Outcome,
        provider: Option<Duration>,
    ) {
        if let Ok(value) = HeaderValue::try_from(&*cache_status(receipt, outcome)) {
            headers.insert(CACHE_STATUS, value);
        }
        let timing = ServerTiming {
            limiter: self.limiter_took,
            cache: receipt.lookup,
            provider,
            total: self.record.arrived.elapsed(),
        };
        headers.insert(SERVER_TIMING, timing.to_header());
        if let Some(freshness) = stored_answer(receipt, outcome) {
            headers.insert(header::AGE, HeaderValue::from(freshness.age.as_secs()));
        }
    }
}

/// An answer that is read as it comes.
pub(super) struct Reading {
    events: EventStream,
    first_by: Instant,
    has_begun: bool,
    target: Target,
    stopping: CancellationToken,
    record: Arc<Record>,
}

impl Reading {
    /// The next event.
    ///
    /// # Errors
    /// The answer's own, or when it has not begun in time, breaks off, or has to end because the service does.
    pub(super) async fn next(&mut self) -> Result<Event, GenerateError> {
        let next = tokio::select! {
            // An answer that is there is not too late.
            biased;
            next = self.events.next() => next.unwrap_or_else(|| Err(self.error(ErrorKind::StreamInterrupted))),
            () = self.stopping.cancelled() => Err(self.error(ErrorKind::Stopping)),
            // Once there is text, the call itself watches over its silence and length.
            () = sleep_until(self.first_by), if !self.has_begun => Err(self.error(ErrorKind::Timeout)),
        };
        match &next {
            Ok(Event::Text(_) | Event::Tool(_)) if !self.has_begun => {
                self.has_begun = true;
                self.record.take_down(|generating| generating.has_begun(self.record.arrived.elapsed()));
            }
            Ok(Event::Calling(calling)) => self.record.take_down(|generating| generating.calling(calling.attempt)),
            Ok(Event::Finish { completion, outcome, cost }) => {
                self.record.take_down(|generating| generating.finished(completion, *outcome, *cost));
            }
            Ok(Event::Text(_) | Event::Tool(_) | Event::Failed(_)) | Err(_) => {}
        }
        next
    }

    fn error(&self, kind: ErrorKind) -> GenerateError {
        GenerateError::from(kind).at(self.target.clone())
    }
}
