//! `POST /v1/chat/completions`: a conversation, answered as one object or as a stream of chunks.

use std::{slice::from_ref, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response, sse},
};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    error::ApiError,
    generate::{
        Collected, Completion, Delivery, ErrorKind, Event, GenerateError, Generation, Outcome, Target, ToolPiece,
    },
    http::{
        Api,
        events::{event, streamed},
        exchange::{Exchange, Reading, lookup_time, with_body},
        openapi::ChatStream,
    },
    metrics::Operation,
};

use super::{
    chat_request::{ChatAsk, ChatRequest},
    error::Said,
    reply::{ChatCompletion, Chunks, Identity},
    resolve::{Asked, resolve},
};

/// How long a stream's head waits for the first piece of the answer, so that a failure has a status of its own. Proxies give up on
/// a reply that has not begun after 30 seconds and more.
const HEAD_WAITS: Duration = Duration::from_secs(25);

/// Answers one conversation, as one object or as a stream of chunks: `OpenAI`'s chat completions.
///
/// With `"stream": true` each event is one line `data: <ChatCompletionChunk>`, and the last one `data: [DONE]`. A stream that
/// breaks ends with `data: <OpenAiError>` instead. What the model does not take and need not, or nobody here knows, is left out
/// and named in `X-Gateway-Dropped`. With `tools` an answer is cached only where `temperature` is 0 or `Cache-Control: max-age`
/// asks for it.
///
/// # Errors
/// What is known before an answer has begun: a status and JSON, whether a stream was asked for or not.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "generation",
    request_body(content = ChatRequest, examples(
        ("A question" = (value = json!({
            "model": "gpt-4o",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a monad?"}]
        }))),
        ("A picture" = (value = json!({
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
            ]}]
        }))),
        ("Tools, and the answer of one" = (value = json!({
            "model": "gpt-4o",
            "messages": [
                {"role": "user", "content": "How warm is it in Paris?"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"}
            ],
            "tools": [{"type": "function", "function": {
                "name": "weather",
                "description": "The weather of a city.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
            }}],
            "tool_choice": "auto"
        }))),
        ("JSON of a form" = (value = json!({
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "Name a colour."}],
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "colour", "strict": true,
                "schema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"],
                    "additionalProperties": false}
            }}
        }))),
        ("A stream" = (value = json!({
            "model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}],
            "stream": true, "stream_options": {"include_usage": true}
        }))),
    )),
    responses(
        (status = 200, description = "The answer, or the beginning of a stream.", content(
            (ChatCompletion = "application/json", example = json!({
                "id": "chatcmpl-01a20c1ca56273ab9ff5fa689395712a", "object": "chat.completion", "created": 1_795_478_400,
                "model": "gpt-4o",
                "choices": [{
                    "index": 0,
                    "message": {"role": "assistant", "content": "A monoid in the category of endofunctors.", "refusal": null},
                    "logprobs": null, "finish_reason": "stop"
                }],
                "usage": {
                    "prompt_tokens": 17, "completion_tokens": 9, "total_tokens": 26,
                    "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}
                },
                "system_fingerprint": null
            })),
            (ChatStream = "text/event-stream", example = json!(
                "data: {\"id\":\"chatcmpl-01a2\",\"object\":\"chat.completion.chunk\",\"created\":1795478400,\"model\":\"gpt-4o\",\
                 \"choices\":[{\"index\":0,\"delta\":{\"content\":\"A mon\"},\"logprobs\":null,\"finish_reason\":null}],\
                 \"system_fingerprint\":null}\n\n"
            )),
        )),
    ),
)]
pub async fn chat_completions(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    with_body(api, request, answer).await
}

async fn answer(api: Arc<Api>, head: &Parts, body: Bytes) -> Result<Response, ApiError> {
    let ask = ChatAsk::read(&body)?;
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
        Delivery::Stream => telling.stream(generation).await,
    })
}

/// One generation in `OpenAI`'s form.
struct Telling {
    exchange: Exchange,
    asked: Asked,
}

impl Telling {
    async fn whole(self, Generation { receipt, answer }: Generation) -> Response {
        let called = Instant::now();
        let collected = self.exchange.collect(answer).await.and_then(deliverable);
        let provider = (!receipt.is_hit()).then(|| called.elapsed());
        let (mut response, outcome) = match collected {
            Ok(Collected { completion, outcome, cost: _ }) => {
                let target = completion.served.target.clone();
                let mut response = Response::new(self.identity(&target).object(&completion).into());
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                self.name_left_out(headers, &[target]);
                (response, outcome)
            }
            Err(error) => (self.exchange.told(error).into_response(), Outcome::NotStored),
        };
        self.exchange.set_headers(response.headers_mut(), &receipt, outcome, provider);
        response
    }

    async fn stream(self, Generation { receipt, answer }: Generation) -> Response {
        let mut reading = self.exchange.read(answer);
        let (target, first) = first_piece(&mut reading, self.asked.target.clone()).await;
        let outcome = match &first {
            Some(Ok(Event::Finish { outcome, .. })) => *outcome,
            _ => Outcome::NotStored,
        };
        let first = match first.transpose() {
            Ok(first) => first,
            Err(error) => {
                let mut response = self.exchange.told(error).into_response();
                self.exchange.set_headers(response.headers_mut(), &receipt, Outcome::NotStored, None);
                return response;
            }
        };
        let mut headers = HeaderMap::new();
        self.exchange.set_headers(&mut headers, &receipt, outcome, None);
        match first {
            Some(_) => self.name_left_out(&mut headers, from_ref(&target)),
            // Nobody knows yet who of all will answer.
            None => self.name_left_out(&mut headers, &[from_ref(&target), self.asked.others.as_slice()].concat()),
        }
        let chunks = Chunks { identity: self.identity(&target), wants_usage: self.asked.wants_usage };
        streamed(headers, self.events(chunks, first, reading))
    }

    /// The chunks, each as soon as its piece is there. The reason of the end is held back until it is one.
    fn events(
        self,
        mut chunks: Chunks,
        first: Option<Event>,
        mut reading: Reading,
    ) -> impl Stream<Item = sse::Event> + Send {
        // A body is read outside of the request's span.
        let span = tracing::Span::current();
        async_stream::stream! {
            // No chunk before the first piece: until then it may be another model that answers.
            let first = match first {
                Some(first) => Ok(first),
                None => loop {
                    match reading.next().await {
                        Ok(Event::Calling(calling)) => chunks.identity.model = calling.target.model.to_string(),
                        Ok(Event::Failed(_)) => {}
                        piece => break piece,
                    }
                },
            };
            if let Ok(Event::Finish { completion, .. }) = &first {
                chunks.identity.model = completion.served.target.model.to_string();
            }
            yield chunks.begin();
            let (mut next, mut calls, mut is_silent) = (Some(first), 0, true);
            let finished = loop {
                let piece = match next.take() {
                    Some(piece) => piece,
                    None => reading.next().await,
                };
                match piece {
                    Ok(Event::Text(text)) => {
                        is_silent = false;
                        yield chunks.text(&String::from_utf8_lossy(&text));
                    }
                    Ok(Event::Tool(piece)) => {
                        is_silent = false;
                        yield chunks.tool(&piece, calls);
                        calls += usize::from(matches!(piece, ToolPiece::Begin { .. }));
                    }
                    Ok(Event::Calling(_) | Event::Failed(_)) => {}
                    Ok(Event::Finish { completion, outcome, cost }) => {
                        break deliverable(Collected { completion, outcome, cost });
                    }
                    Err(error) => break Err(error),
                }
            };
            match finished {
                Ok(Collected { completion, .. }) => {
                    // What was stored elsewhere, or stands in, comes whole.
                    if is_silent {
                        for piece in whole(&chunks, &completion) {
                            yield piece;
                        }
                    }
                    if let Some(refusal) = &completion.refusal {
                        yield chunks.refusal(refusal);
                    }
                    yield chunks.finish(completion.reason);
                    if let Some(usage) = chunks.usage(completion.usage) {
                        yield usage;
                    }
                    yield sse::Event::default().data("[DONE]");
                }
                Err(error) => {
                    let error = self.exchange.told(error);
                    tracing::info!(parent: &span, error = %error.error, "stream ended with an error");
                    yield event(&Said::from(&error));
                }
            }
        }
    }

    fn identity(&self, target: &Target) -> Identity {
        Identity {
            id: format!("chatcmpl-{}", Uuid::now_v7().simple()),
            created: self.exchange.api.clock.since_epoch().as_secs(),
            model: target.model.to_string(),
        }
    }

    /// Names what was left out, for whoever of `targets` answers.
    fn name_left_out(&self, headers: &mut HeaderMap, targets: &[Target]) {
        let params: Vec<_> = targets.iter().map(|target| self.exchange.api.catalogue.params(target)).collect();
        self.asked.left_out.set_header(headers, params.iter().map(AsRef::as_ref));
    }
}

/// Waits for the first piece of the answer, not for ever, and says who gives it. `None`: it has not come yet.
async fn first_piece(reading: &mut Reading, asked: Target) -> (Target, Option<Result<Event, GenerateError>>) {
    let (by, mut target) = (Instant::now() + HEAD_WAITS, asked);
    loop {
        match timeout_at(by, reading.next()).await {
            Ok(Ok(Event::Calling(calling))) => target = calling.target,
            Ok(Ok(Event::Failed(_))) => {}
            Ok(piece) => {
                if let Ok(Event::Finish { completion, .. }) = &piece {
                    target = completion.served.target.clone();
                }
                return (target, Some(piece));
            }
            Err(_) => return (target, None),
        }
    }
}

/// The pieces of an answer that came whole.
fn whole(chunks: &Chunks, completion: &Completion) -> Vec<sse::Event> {
    let text = completion.text();
    let text = (!text.is_empty()).then(|| chunks.text(&text));
    let calls = completion.tool_calls.iter().cloned().enumerate();
    let calls = calls.flat_map(|(of, call)| call.pieces(of).map(|piece| chunks.tool(&piece, of)));
    text.into_iter().chain(calls).collect()
}

/// What an answer must be: one that has nothing in it is none, unless it says why. Who refuses says so.
///
/// # Errors
/// [`ErrorKind::EmptyAnswer`].
fn deliverable(collected: Collected) -> Result<Collected, GenerateError> {
    let completion = &collected.completion;
    let says_nothing = completion.is_empty() && completion.refusal.is_none() && completion.reason.promises_content();
    if says_nothing {
        return Err(GenerateError::from(ErrorKind::EmptyAnswer).at(completion.served.target.clone()));
    }
    Ok(collected)
}
