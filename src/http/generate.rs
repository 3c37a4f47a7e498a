//! `POST /llm/generate`: one question, answered as JSON or as a stream of events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response, Sse, sse},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;

use crate::{
    error::ApiError,
    generate::{
        CacheResult, Collected, Completion, Delivery, ErrorKind, Event, GenerateError, Generation, MicroDollars,
        Outcome, Receipt,
    },
    layers::{Held, StoreTook},
};

use super::{
    Api,
    answer::{Answered, ServerTiming, deliverable},
    ask::Ask,
    cache_status::{NOT_CACHED, cache_status, stored_answer},
    edge::{LookedUp, RequestContext},
    narrate::{Narrator, event},
    resolve::{Asked, resolve},
};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const ROUTING_DECISION: HeaderName = HeaderName::from_static("x-routing-decision");

/// How long a stream is silent before it sends a comment, so that nothing between here and the client closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How many headers an answer gets on its way out: room for them is made once.
const HEADERS: usize = 12;

/// Answers one question.
///
/// # Errors
/// What is known before an answer has begun: a status and JSON, whether a stream was asked for or not.
pub async fn generate(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = api.bodies.read_json(&head.headers, body).await?;
    // Not before: whose body is still on its way is not being answered yet.
    let place = api.places.take()?;
    let response = answer(api, &head, body).await?;
    Ok(response.map(|body| Held::body(body, place)))
}

async fn answer(api: Arc<Api>, head: &Parts, body: Bytes) -> Result<Response, ApiError> {
    let context = head.extensions.get::<RequestContext>().cloned().ok_or_else(ApiError::internal)?;
    let took = head.extensions.get::<StoreTook>().copied().unwrap_or_default();

    let ask = Ask::read(&body)?;
    // What was read need not be held while it is answered.
    drop(body);
    // All store calls of a request share the time that there is.
    let lookup_time = api.store_timeout.saturating_sub(took.total());
    let (asked, request) = resolve(&api, ask, head, lookup_time)?;
    let delivery = request.delivery;
    let generation = match api.generate.clone().oneshot(request).await {
        Ok(generation) => generation,
        Err(error) => return Ok(refused(&api, error)),
    };
    if let Some(looked_up) = looked_up(&generation.receipt) {
        context.looked_up.get_or_init(|| looked_up);
    }
    let exchange = Exchange { api, context, limiter_took: took.limiter, asked };
    Ok(match delivery {
        Delivery::Whole => exchange.whole(generation).await,
        Delivery::Stream => exchange.stream(generation),
    })
}

/// The reply to what failed before it was known where its answer comes from.
fn refused(api: &Api, error: GenerateError) -> Response {
    let kind = error.kind;
    let mut response = told(api, error).into_response();
    if kind == ErrorKind::NotCached {
        response.headers_mut().insert(CACHE_STATUS, HeaderValue::from_static(NOT_CACHED));
    }
    response
}

/// What a client is told, and why it must not spend, operators too.
pub(super) fn told(api: &Api, error: GenerateError) -> ApiError {
    let kind = error.kind;
    let mut error = ApiError::from(error);
    if let (ErrorKind::OverBudget(periods), Some(over_budget)) = (kind, &mut error.over_budget) {
        over_budget.alerts = to_raw_value(&api.ledger.alerts_of(periods)).ok();
    }
    error
}

/// What the log says of the cache. `None`: nobody looked.
pub(super) fn looked_up(receipt: &Receipt) -> Option<LookedUp> {
    let is_hit = match receipt.cache {
        CacheResult::Hit(_) => true,
        CacheResult::Miss | CacheResult::Stale | CacheResult::Request => false,
        CacheResult::Bypass => return None,
    };
    Some(LookedUp { is_hit, key: receipt.key.clone()? })
}

/// One request and what its reply needs.
struct Exchange {
    api: Arc<Api>,
    context: RequestContext,
    limiter_took: Option<Duration>,
    asked: Asked,
}

impl Exchange {
    async fn whole(self, Generation { receipt, answer }: Generation) -> Response {
        let called = Instant::now();
        let collected = tokio::select! {
            collected = timeout_at(called + self.api.bounds.answer, answer.collect()) => {
                collected.unwrap_or_else(|_| Err(self.error(ErrorKind::Timeout)))
            }
            () = self.api.stopping.cancelled() => Err(self.error(ErrorKind::Stopping)),
        };
        let provider = (!receipt.is_hit()).then(|| called.elapsed());
        let result = collected.and_then(|collected| deliverable(&collected.completion).map(|()| collected));
        let mut response = match result {
            Ok(Collected { completion, outcome, cost }) => {
                let cache_status = cache_status(&receipt, outcome);
                let json = self.answered(&receipt, outcome, &completion, &cache_status, cost, "");
                let mut response = Response::new(json.into());
                response.headers_mut().reserve(HEADERS);
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.set_headers(response.headers_mut(), &receipt, outcome, &cache_status, provider);
                response
            }
            Err(error) => {
                let mut response = told(&self.api, error).into_response();
                let cache_status = cache_status(&receipt, Outcome::NotStored);
                self.set_headers(response.headers_mut(), &receipt, Outcome::NotStored, &cache_status, provider);
                response
            }
        };
        self.set_routing_decision(response.headers_mut());
        response
    }

    fn stream(self, Generation { receipt, answer }: Generation) -> Response {
        let mut headers = HeaderMap::new();
        let cache_status = cache_status(&receipt, Outcome::NotStored);
        self.set_headers(&mut headers, &receipt, Outcome::NotStored, &cache_status, None);
        self.set_routing_decision(&mut headers);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        let events = self.events(receipt, answer.into_events()).map(Ok::<_, Infallible>);
        let keep_alive = sse::KeepAlive::new().interval(KEEP_ALIVE).text("ping");
        (headers, Sse::new(events).keep_alive(keep_alive)).into_response()
    }

    /// The events of the contract, each when it has become true.
    fn events(
        self,
        receipt: Receipt,
        mut answer: crate::generate::EventStream,
    ) -> impl Stream<Item = sse::Event> + Send {
        // A body is read outside of the request's span.
        let span = tracing::Span::current();
        async_stream::stream! {
            let narrator = Narrator { clock: self.api.clock };
            let Asked { opening, model: _, target, routed, routing_mode, ignored: _ } = &self.asked;
            yield narrator.user(opening);
            yield narrator.planning(target, routing_mode.as_str(), routed.as_ref());
            yield narrator.researching(&receipt, self.api.catalogue.model(&target.provider, &target.model));

            let first_text_by = Instant::now() + self.api.bounds.answer;
            let mut had_text = false;
            let finished = loop {
                let next = tokio::select! {
                    // An answer that is there is not too late.
                    biased;
                    next = answer.next() => next,
                    () = self.api.stopping.cancelled() => Some(Err(self.error(ErrorKind::Stopping))),
                    // Once there is text, the call itself watches over its silence and length.
                    () = tokio::time::sleep_until(first_text_by), if !had_text => {
                        Some(Err(self.error(ErrorKind::Timeout)))
                    }
                };
                match next {
                    Some(Ok(Event::Calling(calling))) => yield narrator.executing(&calling),
                    Some(Ok(Event::Text(text))) => {
                        had_text = true;
                        // A hit has no pieces: `COMPLETE` brings it whole.
                        if !receipt.is_hit() {
                            yield event(&Delta { event: "DELTA", text: &String::from_utf8_lossy(&text) });
                        }
                    }
                    Some(Ok(Event::ToolCall(_) | Event::Failed(_))) => {}
                    Some(Ok(Event::Finish { completion, outcome, cost })) => {
                        break deliverable(&completion).map(|()| (completion, outcome, cost));
                    }
                    Some(Err(error)) => break Err(error),
                    None => break Err(self.error(ErrorKind::StreamInterrupted)),
                }
            };
            match finished {
                Ok((completion, outcome, cost)) => {
                    yield narrator.drafting(&completion.text());
                    yield narrator.summary(&completion, outcome, cost.unwrap_or_default(), self.api.ledger.today());
                    let cache_status = cache_status(&receipt, outcome);
                    let json = self.answered(&receipt, outcome, &completion, &cache_status, cost, "\"type\":\"COMPLETE\",");
                    yield sse::Event::default().data(String::from_utf8_lossy(&json));
                }
                Err(error) => {
                    let error = told(&self.api, error);
                    tracing::info!(parent: &span, error = %error.error, "stream ended with an error");
                    yield event(&Failed { event: "ERROR", error: &error, request_id: &self.context.id });
                }
            }
        }
    }

    fn answered(
        &self,
        receipt: &Receipt,
        outcome: Outcome,
        completion: &Completion,
        cache_status: &str,
        cost: Option<MicroDollars>,
        head: &str,
    ) -> Vec<u8> {
        // Who pays is who may have brought an alert about.
        let alerts = if cost.is_some() { self.api.ledger.take_alerts() } else { Vec::new() };
        let answered = Answered {
            completion,
            is_cached: stored_answer(receipt, outcome).is_some(),
            cache_status,
            model: &self.asked.model,
            cost: cost.unwrap_or_default(),
            routing_mode: self.asked.routing_mode.as_str(),
            ignored: &self.asked.ignored,
            request_id: &self.context.id,
            alerts: &alerts,
            budget: &self.api.ledger.status(),
        };
        answered.to_json(head)
    }

    fn error(&self, kind: ErrorKind) -> GenerateError {
        GenerateError::from(kind).at(self.asked.target.clone())
    }

    fn set_headers(
        &self,
        headers: &mut HeaderMap,
        receipt: &Receipt,
        outcome: Outcome,
        cache_status: &str,
        provider: Option<Duration>,
    ) {
        if let Ok(value) = HeaderValue::try_from(cache_status) {
            headers.insert(CACHE_STATUS, value);
        }
        let timing = ServerTiming {
            limiter: self.limiter_took,
            cache: receipt.lookup,
            provider,
            total: self.context.arrived.elapsed(),
        };
        headers.insert(SERVER_TIMING, timing.to_header());
        if let Some(freshness) = stored_answer(receipt, outcome) {
            headers.insert(header::AGE, HeaderValue::from(freshness.age.as_secs()));
        }
    }

    fn set_routing_decision(&self, headers: &mut HeaderMap) {
        let decision = self.asked.routed.as_ref().map(|routed| routed.to_json(&self.asked.target).to_string());
        if let Some(value) = decision.and_then(|json| HeaderValue::try_from(json).ok()) {
            headers.insert(ROUTING_DECISION, value);
        }
    }
}

#[derive(Serialize)]
struct Delta<'a> {
    #[serde(rename = "type")]
    event: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    #[serde(rename = "type")]
    event: &'static str,
    #[serde(flatten)]
    error: &'a ApiError,
    request_id: &'a str,
}
