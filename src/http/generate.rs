//! `POST /llm/generate`: one question, answered as JSON or as a stream of events.

use std::{borrow::Cow, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response, Sse, sse},
};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;

use crate::{
    catalogue::{MicroDollars, Route, Routed, RoutingMode, Unresolved, Wanted},
    config::PromptStyle,
    error::ApiError,
    generate::{
        CacheResult, Collected, Completion, Conditions, Delivery, ErrorKind, Event, Format, GenerateError,
        GenerateRequest, Generation, Message, ModelId, Part, Receipt, Sampling, Target, Tools,
    },
    layers::rate_limit::LimiterTook,
};

use super::{
    Api,
    answer::{Answered, ServerTiming, cache_status, deliverable},
    ask::Ask,
    body::read_json,
    edge::{LookedUp, RequestContext},
    narrate::{self, Narrator, event},
};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const ROUTING_DECISION: HeaderName = HeaderName::from_static("x-routing-decision");

/// How long a stream is silent before it sends a comment, so that nothing between here and the client closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How many headers an answer gets on its way out: room for them is made once.
const HEADERS: usize = 12;

/// The same for every request, so that providers can cache it.
const CODE_INSTRUCTIONS: &str = "You write code for a web project. Put every file that you create or change into a \
fenced code block of its own. Behind the opening fence, on the same line, write the language and then the path of the \
file from the project's root, like this:\n\n```tsx src/components/Button.tsx\n\nGive each file whole, ready to be \
saved: no placeholders, no omissions, no diff. Use as many blocks as there are files. Keep explanations outside of the \
blocks, and short. If the question needs no code, answer in plain words.";

/// Answers one question.
///
/// # Errors
/// What is known before an answer has begun: a status and JSON, whether a stream was asked for or not.
pub async fn generate(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let context = head.extensions.get::<RequestContext>().cloned().ok_or_else(ApiError::internal)?;
    let limiter_took = head.extensions.get::<LimiterTook>().map(|LimiterTook(took)| *took);

    let body = read_json(&head.headers, body, api.body_limit_bytes, &api.stopping).await?;
    let ask = Ask::read(&body)?;
    // What was read need not be held while it is answered.
    drop(body);
    // Counting was the first store call of this request, and all of them share the time that there is.
    let lookup_time = api.store_timeout.saturating_sub(limiter_took.unwrap_or_default());
    let (asked, request) = resolve(&api, ask, &head.headers, lookup_time)?;
    let delivery = request.delivery;
    let generation = api.generate.clone().oneshot(request).await?;
    if let Some(looked_up) = looked_up(&generation.receipt) {
        context.looked_up.get_or_init(|| looked_up);
    }
    let exchange = Exchange { api, context, limiter_took, asked };
    Ok(match delivery {
        Delivery::Whole => exchange.whole(generation).await,
        Delivery::Stream => exchange.stream(generation),
    })
}

/// What the log says of the cache. `None`: nobody looked.
fn looked_up(receipt: &Receipt) -> Option<LookedUp> {
    let is_hit = match receipt.cache {
        CacheResult::Hit { .. } => true,
        CacheResult::Miss => false,
        CacheResult::Bypass => return None,
    };
    Some(LookedUp { is_hit, key: receipt.key.clone()? })
}

/// What was asked, as the reply speaks of it.
struct Asked {
    /// The prompt's beginning, for a stream.
    opening: String,
    /// The model that the client named.
    model: ModelId,
    /// Who is asked first.
    target: Target,
    routed: Option<Routed>,
    routing_mode: RoutingMode,
    ignored: Vec<&'static str>,
}

/// From what the client wants to what the layers work with.
fn resolve(
    api: &Api,
    ask: Ask,
    headers: &HeaderMap,
    lookup_time: Duration,
) -> Result<(Asked, GenerateRequest), ApiError> {
    let delivery =
        if ask.streaming.unwrap_or_else(|| accepts_events(headers)) { Delivery::Stream } else { Delivery::Whole };
    let routing_mode = ask.routing_mode.unwrap_or_default();
    let question_tokens = (ask.prompt.len() as u64).div_ceil(4);
    let resolved = api.catalogue.resolve(&Wanted {
        model: ask.model.as_deref(),
        provider: ask.active_provider.as_deref(),
        routing: Route {
            mode: routing_mode,
            question_tokens,
            capabilities: &ask.capabilities,
            priority: ask.priority,
            max_cost: ask.max_cost,
            prompt: &ask.prompt,
        },
    })?;
    let wanted = Sampling { temperature: ask.temperature, max_tokens: ask.max_tokens, ..Sampling::default() };
    let (sampling, ignored) = match resolved.model {
        Some(model) => model.params.fit(wanted.clone()),
        None => (wanted.clone(), Vec::new()),
    };
    let instructions = match api.prompt_style {
        PromptStyle::Code => Some(Message::System(Cow::Borrowed(CODE_INSTRUCTIONS))),
        PromptStyle::Plain => None,
    };
    let opening = match delivery {
        Delivery::Stream => narrate::opening(&ask.prompt),
        Delivery::Whole => String::new(),
    };
    let question = Message::User(vec![Part::Text(ask.prompt)]);
    let request = GenerateRequest {
        target: resolved.target.clone(),
        messages: instructions.into_iter().chain([question]).collect(),
        sampling,
        wanted,
        format: Format::Text,
        tools: Tools::default(),
        delivery,
        allow_failover: ask.allow_failover,
        conditions: Conditions { capabilities: ask.capabilities, max_cost: ask.max_cost },
        lookup_time,
    };
    let model = resolved.replaced.unwrap_or_else(|| resolved.target.model.clone());
    let asked = Asked { opening, model, target: resolved.target, routed: resolved.routed, routing_mode, ignored };
    Ok((asked, request))
}

/// Whether `Accept` names events, and not with `q=0`, which would refuse them (RFC 9110, section 12.4.2).
fn accepts_events(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_events = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/event-stream"));
        let is_refused = |weight: &str| weight.trim_start_matches(['q', 'Q', '=']).parse() == Ok(0.0);
        is_events && !parts.any(is_refused)
    })
}

impl From<Unresolved> for ApiError {
    fn from(unresolved: Unresolved) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        match unresolved {
            Unresolved::NotConfigured { provider, variable } => Self {
                provider: Some(provider.as_str().into()),
                hint: Some(variable.map_or(Cow::Borrowed("Check provider setup"), |variable| {
                    format!("Set {variable} in .env.local").into()
                })),
                ..Self::new(status, "Provider not configured")
            },
            Unresolved::NotOffered { provider, model, available } => Self {
                provider: Some(provider),
                model: Some(model.as_str().into()),
                available_models: Some(available),
                ..Self::new(status, "Model not supported for provider")
            },
            Unresolved::Retired { provider, model, replacement } => Self {
                provider: Some(provider),
                model: Some(model),
                available_models: Some(replacement.into_iter().collect()),
                ..Self::new(status, "Model no longer served by its vendor")
            },
            Unresolved::NoneFits => Self::new(status, "No configured model fits the request")
                .message("Raise `maxCost`, ask for fewer `capabilities`, or name a model."),
        }
    }
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
            Ok(Collected { completion, stored }) => {
                let cost = self.settle(&receipt, &completion);
                let cache_status = cache_status(&receipt, stored);
                let json = self.answered(&receipt, &completion, &cache_status, cost, "");
                let mut response = Response::new(json.into());
                response.headers_mut().reserve(HEADERS);
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.set_headers(response.headers_mut(), &receipt, &cache_status, provider);
                response
            }
            Err(error) => {
                let mut response = ApiError::from(error).into_response();
                self.set_headers(response.headers_mut(), &receipt, &cache_status(&receipt, false), provider);
                response
            }
        };
        self.set_routing_decision(response.headers_mut());
        response
    }

    fn stream(self, Generation { receipt, answer }: Generation) -> Response {
        let mut headers = HeaderMap::new();
        self.set_headers(&mut headers, &receipt, &cache_status(&receipt, false), None);
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
                    Some(Ok(Event::ToolCall(_))) => {}
                    Some(Ok(Event::Finish { completion, stored })) => {
                        break deliverable(&completion).map(|()| (completion, stored));
                    }
                    Some(Err(error)) => break Err(error),
                    None => break Err(self.error(ErrorKind::StreamInterrupted)),
                }
            };
            match finished {
                Ok((completion, stored)) => {
                    yield narrator.drafting(&completion.text());
                    let cost = self.settle(&receipt, &completion);
                    yield narrator.summary(&completion, cost, self.api.ledger.today());
                    let cache_status = cache_status(&receipt, stored);
                    let json = self.answered(&receipt, &completion, &cache_status, cost, "\"type\":\"COMPLETE\",");
                    yield sse::Event::default().data(String::from_utf8_lossy(&json));
                }
                Err(error) => {
                    let error = ApiError::from(error);
                    tracing::info!(parent: &span, error = %error.error, "stream ended with an error");
                    yield event(&Failed { event: "ERROR", error: &error, request_id: &self.context.id });
                }
            }
        }
    }

    /// What this request cost; what a hit or a joined call would have cost was saved.
    fn settle(&self, receipt: &Receipt, completion: &Completion) -> MicroDollars {
        let served = &completion.served;
        let price = self.api.catalogue.price(&served.provider, &served.model).cost(&completion.usage);
        if receipt.is_hit() || receipt.joined.is_some() {
            self.api.ledger.save(price);
            return MicroDollars(0);
        }
        price
    }

    fn answered(
        &self,
        receipt: &Receipt,
        completion: &Completion,
        cache_status: &str,
        cost: MicroDollars,
        head: &str,
    ) -> Vec<u8> {
        let answered = Answered {
            completion,
            receipt,
            cache_status,
            model: &self.asked.model,
            cost,
            routing_mode: self.asked.routing_mode.as_str(),
            ignored: &self.asked.ignored,
            request_id: &self.context.id,
            budget: &self.api.ledger.status(),
        };
        answered.to_json(head)
    }

    fn error(&self, kind: ErrorKind) -> GenerateError {
        GenerateError::from(kind).at(self.asked.target.clone())
    }

    fn set_headers(&self, headers: &mut HeaderMap, receipt: &Receipt, cache_status: &str, provider: Option<Duration>) {
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
        if let CacheResult::Hit { age, .. } = receipt.cache {
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
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
