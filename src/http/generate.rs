//! `POST /llm/generate`: one question, answered as JSON or as a stream of events.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response, sse},
};
use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    error::ApiError,
    generate::{Answer, Collected, Completion, Delivery, Event, Generation, MicroDollars, Outcome, Receipt},
    metrics::Operation,
};

use super::{
    Api,
    answer::{AnswerForm, Answered, deliverable},
    ask::{Ask, Fields},
    cache_status::{cache_status, stored_answer},
    events::{event, streamed},
    exchange::{Exchange, lookup_time, with_body},
    narrate::{Narrator, Thinking},
    openapi::GenerateStream,
    resolve::{Asked, resolve},
};

const ROUTING_DECISION: HeaderName = HeaderName::from_static("x-routing-decision");

/// How many headers an answer gets on its way out: room for them is made once.
const HEADERS: usize = 12;

/// Answers one question, as JSON or as a stream of events.
///
/// `"streaming": true` asks for a stream, and so does `Accept: text/event-stream` where `streaming` is absent. Each event is one
/// line `data: <GenerateEvent>`; comment lines are sent while there is nothing else. The last event is `COMPLETE`, with the whole
/// answer, or `ERROR`. An answer that is stored is given without asking a model; `Cache-Status` says so.
///
/// # Errors
/// What is known before an answer has begun: a status and JSON, whether a stream was asked for or not.
#[utoipa::path(
    post,
    path = "/llm/generate",
    tag = "generation",
    params(
        ("Accept" = Option<String>, Header, description = "`text/event-stream` asks for a stream where `streaming` is absent."),
    ),
    request_body(content = Fields, examples(
        ("A question" = (value = json!({"prompt": "Create a login form"}))),
        ("A model, and how it answers" = (value = json!({
            "prompt": "Create a login form", "model": "gpt-4o", "temperature": 0.2, "maxTokens": 2000, "allowFailover": false
        }))),
        ("A stream" = (value = json!({"prompt": "Create a login form", "streaming": true}))),
        ("The cheapest model that will do" = (value = json!({
            "prompt": "Create a login form", "routingMode": "cost-aware", "capabilities": ["tools"], "priority": "low", "maxCost": 1.5
        }))),
    )),
    responses(
        (status = 200, description = "The answer, or the beginning of a stream.", content(
            (AnswerForm = "application/json", example = json!({
                "code": "```tsx src/Login.tsx\nexport function Login() {}\n```",
                "cached": false,
                "metadata": {
                    "model": "gpt-4o", "provider": "openai", "estimatedTokens": 260, "estimatedCost": 0.00195,
                    "routingMode": "manual", "mock": false, "cached": false, "cache": "llm-gateway; fwd=miss; stored",
                    "usage": {"inputTokens": 130, "outputTokens": 130, "cachedInputTokens": 0, "reasoningTokens": 0},
                    "finishReason": "stop", "attempts": 1, "requestId": "01a20c1c-a562-73ab-9ff5-fa689395712a"
                },
                "budget": {"alerts": [], "status": {
                    "daily": {"period": "daily", "used": 0.00195, "limit": 50.0, "remaining": 49.99805, "percentage": 0.0039,
                        "isOverLimit": false, "isNearLimit": false, "resetDate": "2026-11-25T00:00:00.000Z"},
                    "weekly": {"period": "weekly", "used": 0.00195, "limit": 300.0, "remaining": 299.99805, "percentage": 0.00065,
                        "isOverLimit": false, "isNearLimit": false, "resetDate": "2026-11-30T00:00:00.000Z"},
                    "monthly": {"period": "monthly", "used": 0.00195, "limit": 1000.0, "remaining": 999.99805,
                        "percentage": 0.000_195, "isOverLimit": false, "isNearLimit": false,
                        "resetDate": "2026-12-01T00:00:00.000Z"}
                }}
            })),
            (GenerateStream = "text/event-stream", example = json!(
                "data: {\"type\":\"THINKING\",\"kind\":\"user\",\"ts\":\"05:52 AM\",\"text\":\"Prompt: Create a login form\"}\n\n\
                 data: {\"type\":\"DELTA\",\"text\":\"```tsx src/L\"}\n\n"
            )),
        )),
    ),
)]
pub async fn generate(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    with_body(api, request, answer).await
}

async fn answer(api: Arc<Api>, head: &Parts, body: Bytes) -> Result<Response, ApiError> {
    let ask = Ask::read(&body)?;
    // What was read need not be held while it is answered.
    drop(body);
    let (asked, request) = resolve(&api, ask, head, lookup_time(&api, head))?;
    let delivery = request.delivery;
    let is_stream = delivery == Delivery::Stream;
    let exchange = Exchange::new(api, head, Operation::Chat, asked.target.clone(), is_stream)?;
    let generation = match exchange.open(request).await {
        Ok(generation) => generation,
        Err(refusal) => return Ok(*refusal),
    };
    let telling = Telling { exchange, asked };
    Ok(match delivery {
        Delivery::Whole => telling.whole(generation).await,
        Delivery::Stream => telling.stream(generation),
    })
}

/// One generation in the original's form.
struct Telling {
    exchange: Exchange,
    asked: Asked,
}

impl Telling {
    async fn whole(self, Generation { receipt, answer }: Generation) -> Response {
        let called = Instant::now();
        let collected = self.exchange.collect(answer).await;
        let provider = (!receipt.is_hit()).then(|| called.elapsed());
        let result = collected.and_then(|collected| deliverable(&collected.completion).map(|()| collected));
        let (mut response, outcome) = match result {
            Ok(Collected { completion, outcome, cost }) => {
                let json = self.answered(&receipt, outcome, &completion, cost, "");
                let mut response = Response::new(json.into());
                response.headers_mut().reserve(HEADERS);
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                (response, outcome)
            }
            Err(error) => (self.exchange.told(error).into_response(), Outcome::NotStored),
        };
        self.exchange.set_headers(response.headers_mut(), &receipt, outcome, provider);
        self.set_routing_decision(response.headers_mut());
        response
    }

    fn stream(self, Generation { receipt, answer }: Generation) -> Response {
        let mut headers = HeaderMap::new();
        self.exchange.set_headers(&mut headers, &receipt, Outcome::NotStored, None);
        self.set_routing_decision(&mut headers);
        streamed(headers, self.events(receipt, answer))
    }

    /// The events of the contract, each when it has become true.
    fn events(self, receipt: Receipt, answer: Answer) -> impl Stream<Item = sse::Event> + Send {
        // A body is read outside of the request's span.
        let span = tracing::Span::current();
        let mut reading = self.exchange.read(answer);
        async_stream::stream! {
            let api = &self.exchange.api;
            let narrator = Narrator { clock: api.clock };
            let Asked { opening, model: _, target, routed, routing_mode, ignored: _ } = &self.asked;
            yield narrator.user(opening);
            yield narrator.planning(target, routing_mode.as_str(), routed.as_ref());
            yield narrator.researching(&receipt, api.catalogue.model(&target.provider, &target.model));
            let finished = loop {
                match reading.next().await {
                    Ok(Event::Calling(calling)) => yield narrator.executing(&calling),
                    // A hit has no pieces: `COMPLETE` brings it whole.
                    Ok(Event::Text(text)) if !receipt.is_hit() => {
                        yield event(&Delta { event: "DELTA", text: &String::from_utf8_lossy(&text) });
                    }
                    Ok(Event::Text(_) | Event::Tool(_) | Event::Failed(_)) => {}
                    Ok(Event::Finish { completion, outcome, cost }) => {
                        break deliverable(&completion).map(|()| (completion, outcome, cost));
                    }
                    Err(error) => break Err(error),
                }
            };
            match finished {
                Ok((completion, outcome, cost)) => {
                    yield narrator.drafting(&completion.text());
                    yield narrator.summary(&completion, outcome, cost.unwrap_or_default(), api.ledger.today());
                    let json = self.answered(&receipt, outcome, &completion, cost, "\"type\":\"COMPLETE\",");
                    yield sse::Event::default().data(String::from_utf8_lossy(&json));
                }
                Err(error) => {
                    let error = self.exchange.told(error);
                    tracing::info!(parent: &span, error = %error.error, "stream ended with an error");
                    yield event(&Failed { event: "ERROR", error: &error, request_id: &self.exchange.record.id });
                }
            }
        }
    }

    fn answered(
        &self,
        receipt: &Receipt,
        outcome: Outcome,
        completion: &Completion,
        cost: Option<MicroDollars>,
        head: &str,
    ) -> Vec<u8> {
        let ledger = &self.exchange.api.ledger;
        // Who pays is who may have brought an alert about.
        let alerts = if cost.is_some() { ledger.take_alerts() } else { Vec::new() };
        let answered = Answered {
            completion,
            is_cached: stored_answer(receipt, outcome).is_some(),
            cache_status: &cache_status(receipt, outcome),
            model: &self.asked.model,
            cost: cost.unwrap_or_default(),
            routing_mode: self.asked.routing_mode.as_str(),
            ignored: &self.asked.ignored,
            request_id: &self.exchange.record.id,
            alerts: &alerts,
            budget: &ledger.status(),
        };
        answered.to_json(head)
    }

    fn set_routing_decision(&self, headers: &mut HeaderMap) {
        let decision = self.asked.routed.as_ref().map(|routed| routed.to_json(&self.asked.target).to_string());
        if let Some(value) = decision.and_then(|json| HeaderValue::try_from(json).ok()) {
            headers.insert(ROUTING_DECISION, value);
        }
    }
}

/// One event of a stream, by its `type`.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, clippy::large_enum_variant, reason = "it describes what is written one by one")]
pub(super) enum GenerateEvent {
    Thinking(Thinking<'static>),
    Delta(Delta<'static>),
    Complete(Complete),
    Failed(Failed<'static>),
}

/// The whole answer, at the end of a stream.
#[derive(ToSchema)]
#[schema(as = CompleteEvent)]
#[expect(dead_code, reason = "it describes what is written by hand")]
pub(super) struct Complete {
    #[schema(pattern = "^COMPLETE$")]
    r#type: String,
    #[serde(flatten)]
    #[schema(inline)]
    answer: AnswerForm,
}

/// A piece of the answer.
#[derive(Serialize, ToSchema)]
#[schema(as = DeltaEvent)]
pub(super) struct Delta<'a> {
    #[serde(rename = "type")]
    #[schema(pattern = "^DELTA$")]
    event: &'static str,
    text: &'a str,
}

/// Why there is no whole answer, at the end of a stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ErrorEvent)]
pub(super) struct Failed<'a> {
    #[serde(rename = "type")]
    #[schema(pattern = "^ERROR$")]
    event: &'static str,
    #[serde(flatten)]
    #[schema(inline)]
    error: &'a ApiError,
    request_id: &'a str,
}
