//! Every recorded body of every vendor, decoded as its manifest says: whole, in any pieces, cut anywhere.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::OnceLock,
    time::{Duration, UNIX_EPOCH},
};

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use llm_gateway::{
    catalogue::Catalogue,
    client::client,
    clock::Clock,
    config::RetiredModels,
    generate::{
        Conditions, Delivery, ErrorKind, Failover, FinishReason, Format, GenerateRequest, Message, MicroDollars,
        Params, Part, Policy, Purpose, Sampling, Target, ToolCall, ToolPiece, Tools,
    },
    providers::{
        Anthropic, ChatVendor, Delta, Dialect, Framing, Gemini, Ollama, OpenAiChat, OpenAiResponses, Provider,
        ProviderError, Upstream, deltas,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Gateway, TODAY, Vendor, post};

#[derive(Deserialize)]
struct Manifest {
    fixtures: Vec<Fixture>,
}

#[derive(Deserialize)]
struct Fixture {
    wire: String,
    name: String,
    file: String,
    mode: String,
    status: u16,
    headers: BTreeMap<String, String>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    outcome: String,
    text: Option<String>,
    partial_text: Option<String>,
    finish_reason: Option<String>,
    refusal: Option<String>,
    usage: Option<Value>,
    cost: Option<Cost>,
    tool_calls: Option<Value>,
    error_kind: Option<String>,
    upstream_kind: Option<String>,
    retryable: Option<bool>,
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Cost {
    provider: String,
    model: String,
    micro_dollars: u64,
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/providers/");

fn fixtures() -> Vec<Fixture> {
    let manifest = std::fs::read_to_string(format!("{FOLDER}manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_str(&manifest).unwrap();
    assert!(manifest.fixtures.len() > 120);
    manifest.fixtures
}

/// Does something with the dialect of a fixture, whatever its type.
macro_rules! with_dialect {
    ($fixture:expr, $dialect:ident => $does:expr) => {
        match $fixture.wire.as_str() {
            "openai" | "xai" => {
                let $dialect = OpenAiChat::new(ChatVendor::OpenAi);
                $does
            }
            "ollama" => {
                let $dialect = OpenAiChat::new(ChatVendor::Compatible);
                $does
            }
            "openai-responses" => {
                let $dialect = OpenAiResponses;
                $does
            }
            "anthropic" => {
                let $dialect = Anthropic;
                $does
            }
            "gemini" => {
                let $dialect = Gemini;
                $does
            }
            "ollama-native" => {
                let $dialect = Ollama;
                $does
            }
            wire => panic!("nobody speaks `{wire}`"),
        }
    };
}

impl Fixture {
    fn body(&self) -> Bytes {
        std::fs::read(format!("{FOLDER}{}", self.file)).unwrap().into()
    }

    fn headers(&self) -> HeaderMap {
        self.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    fn framing(&self) -> Framing {
        if self.wire == "ollama-native" { Framing::Lines } else { Framing::Events }
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        with_dialect!(self, dialect => dialect.whole(body))
    }

    /// The vendor behind `base_url`.
    fn provider(&self, base_url: &str) -> Box<dyn Provider> {
        with_dialect!(self, dialect => Box::new(Upstream::new(dialect, client(None).unwrap(), base_url, None)))
    }
}

fn request(delivery: Delivery) -> GenerateRequest {
    GenerateRequest {
        target: Target { provider: "openai".into(), model: "gpt-4o".into() },
        messages: vec![Message::User(vec![Part::Text("Hi".into())])],
        sampling: Sampling::default(),
        wanted: Sampling::default(),
        format: Format::Text,
        tools: Tools::default(),
        delivery,
        failover: Failover::AnyModel,
        conditions: Conditions::default(),
        policy: Policy::default(),
        private_to: None,
        lookup_time: Duration::ZERO,
        purpose: Purpose::default(),
        end_user: None,
    }
}

/// What came, pieces of text joined.
#[derive(Debug, Default, PartialEq)]
struct Came {
    text: String,
    tool_calls: Vec<ToolCall>,
    end: Option<Result<llm_gateway::generate::Finish, ProviderError>>,
}

impl Came {
    fn of(deltas: impl IntoIterator<Item = Result<Delta, ProviderError>>) -> Self {
        let mut came = Self::default();
        for delta in deltas {
            assert!(came.end.is_none(), "nothing comes after the end");
            match delta {
                Ok(Delta::Text(text)) => came.text.push_str(std::str::from_utf8(&text).unwrap()),
                Ok(Delta::Tool(ToolPiece::Begin { id, name, signature })) => {
                    came.tool_calls.push(ToolCall { id, name, arguments: String::new(), signature });
                }
                Ok(Delta::Tool(ToolPiece::Arguments { of, text })) => {
                    came.tool_calls[of].arguments.push_str(std::str::from_utf8(&text).unwrap());
                }
                Ok(Delta::Alive) => {}
                Ok(Delta::Finish(finish)) => came.end = Some(Ok(finish)),
                Err(error) => came.end = Some(Err(error)),
            }
        }
        came
    }

    /// Of a body in one piece.
    fn of_whole(dialect: &impl Dialect, body: &Value) -> Self {
        match dialect.whole(body.to_string().as_bytes()) {
            Ok(deltas) => Self::of(deltas.into_iter().map(Ok)),
            Err(error) => Self::of([Err(error)]),
        }
    }

    /// Of a stream of events. A text stands for itself.
    async fn of_stream(dialect: &impl Dialect, events: impl IntoIterator<Item = Value>) -> Self {
        let data = |event: Value| event.as_str().map_or_else(|| event.to_string(), str::to_owned);
        let events =
            events.into_iter().map(|event| Ok::<_, Infallible>(Bytes::from(format!("data: {}\n\n", data(event)))));
        let events = stream::iter(events.collect::<Vec<_>>());
        Self::of(deltas(dialect.decoder(), Framing::Events, events).collect::<Vec<_>>().await)
    }

    fn reason(&self) -> Result<FinishReason, ErrorKind> {
        let end = self.end.as_ref().expect("an end");
        end.as_ref().map(|finish| finish.reason).map_err(|error| error.kind)
    }

    fn refusal(&self) -> Option<&str> {
        self.end.as_ref()?.as_ref().ok()?.refusal.as_deref()
    }

    /// Tokens in and out, of what ended in an error.
    fn counted_in_vain(&self) -> Option<(u64, u64)> {
        let error = self.end.as_ref().expect("an end").as_ref().expect_err("an error");
        error.usage.map(|usage| (usage.input_tokens, usage.output_tokens))
    }

    /// Names and arguments of the calls.
    fn called(&self) -> Vec<(&str, &str)> {
        self.tool_calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect()
    }
}

async fn decode(fixture: &Fixture, pieces: Vec<Bytes>) -> Came {
    let (bytes, framing) = (stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)), fixture.framing());
    let deltas = with_dialect!(fixture, dialect => deltas(dialect.decoder(), framing, bytes).boxed());
    Came::of(deltas.collect::<Vec<_>>().await)
}

/// With the prices of the day of the manifest.
fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        Catalogue::new(Vec::new(), None, RetiredModels::Replace, Clock::at(UNIX_EPOCH + TODAY)).unwrap()
    })
}

fn kind(kind: ErrorKind) -> String {
    let words = format!("{kind:?}");
    let snake = words.chars().flat_map(|c| (c.is_uppercase().then_some('_')).into_iter().chain(c.to_lowercase()));
    snake.skip(1).collect()
}

fn assert_expected(fixture: &Fixture, came: &Came) {
    let (expect, name) = (&fixture.expect, format!("{}/{}", fixture.wire, fixture.name));
    match came.end.as_ref().unwrap_or_else(|| panic!("{name}: neither finish nor error")) {
        Ok(finish) => {
            assert_eq!(expect.outcome, "ok", "{name}: {finish:?}");
            assert_eq!(Some(&came.text), expect.text.as_ref(), "{name}");
            let reason = match finish.reason {
                FinishReason::Stop => "stop",
                FinishReason::Length => "length",
                FinishReason::ToolCalls => "tool_calls",
                FinishReason::ContentFilter => "content_filter",
                FinishReason::Other => "other",
            };
            assert_eq!(Some(reason), expect.finish_reason.as_deref(), "{name}");
            assert_eq!(finish.refusal, expect.refusal, "{name}");
            let usage = finish.usage.unwrap();
            let Cost { provider, model, micro_dollars } = expect.cost.as_ref().unwrap();
            let price = catalogue().price(&provider.as_str().into(), &model.as_str().into());
            assert_eq!(price.cost(&usage), MicroDollars(*micro_dollars), "{name}");
            let usage = json!({
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_read_tokens": usage.cached_input_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
            });
            assert_eq!(Some(&usage), expect.usage.as_ref(), "{name}");
            let calls = came.tool_calls.iter().map(|call| {
                let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
                json!({"id": call.id, "name": call.name, "arguments": arguments})
            });
            assert_eq!(Value::Array(calls.collect()), expect.tool_calls.clone().unwrap_or(json!([])), "{name}");
        }
        Err(error) => {
            assert_eq!(expect.outcome, "error", "{name}: {error:?}");
            assert_eq!(Some(kind(error.kind)), expect.error_kind, "{name}");
            assert_eq!(Some(error.is_retryable()), expect.retryable, "{name}");
            assert_eq!(error.retry_after.map(|wait| wait.as_millis() as u64), expect.retry_after_ms, "{name}");
            assert_eq!(Some(&came.text), expect.partial_text.as_ref().or(Some(&String::new())), "{name}");
            assert_eq!(error.cause.map(kind), expect.upstream_kind, "{name}");
        }
    }
}

#[tokio::test]
async fn every_body_means_what_its_manifest_says() {
    for fixture in fixtures() {
        for piece in [usize::MAX, 64, 7, 1] {
            let vendor = Vendor::serving(fixture.status, fixture.headers(), fixture.body(), piece).await;
            let upstream = fixture.provider(&vendor.base_url);
            let delivery = if fixture.mode == "stream" { Delivery::Stream } else { Delivery::Whole };
            let came = match upstream.open(&request(delivery), &Params::unknown()).await {
                Ok(deltas) => Came::of(deltas.collect::<Vec<_>>().await),
                Err(error) => Came::of([Err(error)]),
            };
            assert_expected(&fixture, &came);
            assert_eq!(vendor.calls(), 1);
        }
    }
}

#[tokio::test]
async fn a_stream_says_the_same_in_any_two_pieces() {
    for fixture in fixtures().into_iter().filter(|fixture| fixture.mode == "stream") {
        let body = fixture.body();
        let whole = decode(&fixture, vec![body.clone()]).await;
        let bytewise = decode(&fixture, body.chunks(1).map(Bytes::copy_from_slice).collect()).await;
        assert_eq!(bytewise, whole, "{} byte by byte", fixture.name);
        for at in 0..body.len() {
            let came = decode(&fixture, vec![body.slice(..at), body.slice(at..)]).await;
            assert_eq!(came, whole, "{} split at {at}", fixture.name);
        }
    }
}

#[tokio::test]
async fn a_stream_cut_anywhere_says_the_same_or_is_an_error() {
    for fixture in fixtures().into_iter().filter(|fixture| fixture.mode == "stream" && fixture.wire != "ollama") {
        let body = fixture.body();
        let whole = decode(&fixture, vec![body.clone()]).await;
        for at in 0..body.len() {
            let came = decode(&fixture, vec![body.slice(..at)]).await;
            match came.end {
                Some(Err(_)) => assert!(whole.text.starts_with(&came.text), "{} cut at {at}", fixture.name),
                _ => assert_eq!(came, whole, "{} cut at {at}", fixture.name),
            }
        }
    }
}

#[tokio::test]
async fn a_whole_body_cut_anywhere_is_an_error() {
    for fixture in fixtures().into_iter().filter(|fixture| fixture.mode == "json") {
        let body = fixture.body();
        let end = body.iter().rposition(|byte| *byte == b'}').unwrap();
        for at in 0..end {
            assert!(fixture.whole(&body.slice(..at)).is_err(), "{} cut at {at}", fixture.name);
        }
    }
}

#[tokio::test]
async fn nothing_of_a_bad_answer_is_kept() {
    for fixture in fixtures() {
        let (key, address, model) = match fixture.wire.as_str() {
            // Their requests go there only with tools, which this route does not have.
            "ollama" | "openai-responses" => continue,
            "openai" => ("OPENAI_API_KEY", "OPENAI_BASE_URL", "openai:gpt-4o"),
            "xai" => ("XAI_API_KEY", "XAI_BASE_URL", "xai:grok-4.7"),
            "anthropic" => ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "anthropic:claude-sonnet-5-5"),
            "gemini" => ("GOOGLE_API_KEY", "GOOGLE_BASE_URL", "google:gemini-3.8-flash"),
            "ollama-native" => ("PORT", "OLLAMA_BASE_URL", "ollama:llama3.2"),
            wire => panic!("nobody speaks `{wire}`"),
        };
        let vendor = Vendor::serving(fixture.status, fixture.headers(), fixture.body(), usize::MAX).await;
        let settings = [(key, "9000"), (address, vendor.base_url.as_str()), ("PROVIDER_RETRIES", "0")];
        let gateway = Gateway::configured(settings);
        let is_stream = fixture.mode == "stream";
        let body = json!({"prompt": "x", "model": model, "streaming": is_stream, "allowFailover": false});
        let mut first = gateway.send(post("/llm/generate", &body)).await;
        first.body.make_ascii_lowercase();
        assert!(!first.body.contains("fixture.invalid") && !first.body.contains("sk-"), "{}", first.body);
        let second = gateway.send(post("/llm/generate", &body)).await;
        let is_good = fixture.expect.outcome == "ok"
            && fixture.expect.finish_reason.as_deref() == Some("stop")
            && fixture.expect.text.as_deref() != Some("");
        assert_eq!(second.body.contains("\"cached\":true"), is_good, "{}/{}", fixture.wire, fixture.name);
        assert_eq!(vendor.calls(), if is_good { 1 } else { 2 }, "{}/{}", fixture.wire, fixture.name);
    }
}

#[test]
fn a_count_that_makes_no_sense_loses_no_answer() {
    for usage in [
        r#"{"prompt_tokens":null,"completion_tokens":3}"#,
        r#"{"prompt_tokens":1.5,"completion_tokens":-3}"#,
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615}"#,
        r#""many""#,
        "null",
    ] {
        let body =
            format!(r#"{{"choices":[{{"message":{{"content":"Hi"}},"finish_reason":"stop"}}],"usage":{usage}}}"#);
        let came = Came::of(OpenAiChat::new(ChatVendor::OpenAi).whole(body.as_bytes()).unwrap().into_iter().map(Ok));
        assert_eq!(came.text, "Hi");
        assert_eq!(came.end.unwrap().unwrap().usage, None, "{usage}");
    }
}

#[tokio::test]
async fn an_answer_has_not_ended_because_its_server_has_no_word_for_that_it_goes_on() {
    let piece = |word: Value| json!({"choices": [{"delta": {"content": "Hi"}, "finish_reason": word}]});
    let counted =
        json!({"choices": [{"delta": {}, "finish_reason": ""}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    let done = Value::String("[DONE]".to_owned());
    for vendor in [ChatVendor::OpenAi, ChatVendor::Compatible] {
        let chat = OpenAiChat::new(vendor);
        let cut = Came::of_stream(&chat, [piece(json!("")), piece(json!(""))]).await;
        assert_eq!(cut.reason(), Err(ErrorKind::StreamInterrupted));
        for (word, reason) in [("stop", FinishReason::Stop), ("length", FinishReason::Length)] {
            let whole = [piece(json!("")), piece(json!(word)), counted.clone(), done.clone()];
            assert_eq!(Came::of_stream(&chat, whole).await.reason(), Ok(reason));
        }
    }
    // It has said that it is done; not why, so that is not kept.
    let whole = [piece(Value::Null), done.clone()];
    assert_eq!(
        Came::of_stream(&OpenAiChat::new(ChatVendor::Compatible), whole.clone()).await.reason(),
        Ok(FinishReason::Other)
    );
    let missing = Came::of_stream(&OpenAiChat::new(ChatVendor::OpenAi), whole).await;
    assert_eq!(missing.reason(), Err(ErrorKind::StreamInterrupted));
}

#[test]
fn why_an_answer_ended_is_known_whatever_the_word_for_it() {
    use FinishReason::{ContentFilter, Length, Other, Stop, ToolCalls};
    let chat = |word: Value| json!({"choices": [{"message": {"content": "Hi"}, "finish_reason": word}]});
    for (word, reason) in [
        (json!("length"), Length),
        (json!("function_call"), ToolCalls),
        (json!("content_filter"), ContentFilter),
        (json!("model_length"), Length),
        (json!("max_tokens"), Length),
        (json!("eos"), Stop),
        (json!("of_next_year"), Other),
        (json!(""), Stop),
        (Value::Null, Stop),
    ] {
        let came = Came::of_whole(&OpenAiChat::new(ChatVendor::Compatible), &chat(word.clone()));
        assert_eq!((came.reason(), came.text.as_str()), (Ok(reason), "Hi"), "{word}");
    }
    // Given up, and so half an answer.
    for word in
        ["error", "ERROR", "abort", "aborted", "cancelled", "Canceled", "timeout", "insufficient_system_resource"]
    {
        let came = Came::of_whole(&OpenAiChat::new(ChatVendor::Compatible), &chat(word.into()));
        assert_eq!(came.reason(), Err(ErrorKind::BadResponse), "{word}");
    }
    let response = |status: &str, why: Value| {
        let content = json!([{"type": "output_text", "text": "Hi"}, {"type": "of_next_year"}]);
        let output = json!([{"type": "message", "content": content}, {"type": "of_next_year"}]);
        json!({"status": status, "incomplete_details": why, "output": output})
    };
    for (status, why, reason) in [
        ("completed", Value::Null, Ok(Stop)),
        ("incomplete", json!({"reason": "max_output_tokens"}), Ok(Length)),
        ("incomplete", json!({"reason": "content_filter"}), Ok(ContentFilter)),
        ("incomplete", json!({"reason": "of_next_year"}), Ok(Other)),
        ("cancelled", Value::Null, Err(ErrorKind::BadResponse)),
        ("in_progress", Value::Null, Err(ErrorKind::BadResponse)),
    ] {
        assert_eq!(Came::of_whole(&OpenAiResponses, &response(status, why)).reason(), reason, "{status}");
    }
    for (word, reason) in [
        (json!("pause_turn"), Stop),
        (json!("model_context_window_exceeded"), Length),
        (json!("refusal"), ContentFilter),
        (json!("of_next_year"), Other),
        (Value::Null, Stop),
    ] {
        let message = json!({"content": [{"type": "text", "text": "Hi"}], "stop_reason": word});
        assert_eq!(Came::of_whole(&Anthropic, &message).reason(), Ok(reason), "{word}");
    }
    for (word, reason) in [
        ("LANGUAGE", Ok(ContentFilter)),
        ("OTHER", Ok(Other)),
        ("OF_NEXT_YEAR", Ok(Other)),
        ("UNEXPECTED_TOOL_CALL", Err(ErrorKind::BadResponse)),
        ("TOO_MANY_TOOL_CALLS", Err(ErrorKind::BadResponse)),
        ("MALFORMED_RESPONSE", Err(ErrorKind::BadResponse)),
        ("MISSING_THOUGHT_SIGNATURE", Err(ErrorKind::BadResponse)),
    ] {
        let reply = json!({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": word}]});
        assert_eq!(Came::of_whole(&Gemini, &reply).reason(), reason, "{word}");
    }
    for (word, reason) in [(json!("load"), Other), (json!("length"), Length), (Value::Null, Stop)] {
        let reply = json!({"message": {"content": "Hi"}, "done": true, "done_reason": word});
        assert_eq!(Came::of_whole(&Ollama, &reply).reason(), Ok(reason), "{word}");
    }
}

/// Nine tokens in and three out, in every vendor's words.
#[tokio::test]
async fn what_was_counted_of_an_answer_that_failed_is_told_with_the_error() {
    let chat = OpenAiChat::new(ChatVendor::Compatible);
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 3});
    let error = json!({"code": 502, "message": "secret"});
    let nobody = json!([{"function": {"arguments": "{}"}}]);
    let given_up = json!({"choices": [{"message": {"content": "Hi"}, "finish_reason": "error"}], "usage": usage});
    let counted = json!({"choices": [{"message": {"content": "Hi"}}], "usage": usage});
    let unnamed = json!({"choices": [{"message": {"tool_calls": nobody}, "finish_reason": "stop"}], "usage": usage});
    let failed = json!({"error": error, "usage": usage});
    for whole in [&given_up, &unnamed, &failed, &json!({"choices": [], "usage": usage})] {
        assert_eq!(Came::of_whole(&chat, whole).counted_in_vain(), Some((9, 3)), "{whole}");
    }
    for stream in
        [vec![given_up], vec![unnamed], vec![failed], vec![counted.clone(), json!({"error": error})], vec![counted]]
    {
        let came = Came::of_stream(&OpenAiChat::new(ChatVendor::OpenAi), stream.clone()).await;
        assert_eq!(came.counted_in_vain(), Some((9, 3)), "{stream:?}");
    }

    let usage = json!({"input_tokens": 9, "output_tokens": 3});
    for (kind, status) in [("completed", "cancelled"), ("incomplete", "in_progress"), ("failed", "failed")] {
        let response = json!({"status": status, "output": [], "usage": usage});
        assert_eq!(Came::of_whole(&OpenAiResponses, &response).counted_in_vain(), Some((9, 3)), "{status}");
        let event = json!({"type": format!("response.{kind}"), "response": response});
        assert_eq!(Came::of_stream(&OpenAiResponses, [event]).await.counted_in_vain(), Some((9, 3)), "{status}");
    }
    for response in [json!({"output": [], "error": error, "usage": usage}), json!({"output": null, "usage": usage})] {
        assert_eq!(Came::of_whole(&OpenAiResponses, &response).counted_in_vain(), Some((9, 3)), "{response}");
    }

    let (start, end) = (json!({"type": "message_start", "message": {"usage": usage}}), json!({"type": "message_stop"}));
    let delta = json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}});
    for last in [json!({"type": "error", "error": error}), end] {
        let came = Came::of_stream(&Anthropic, [start.clone(), delta.clone(), last]).await;
        assert_eq!(came.counted_in_vain(), Some((9, 3)));
    }
    for message in [json!({"error": error, "usage": usage}), json!({"content": [{"type": "tool_use"}], "usage": usage})]
    {
        assert_eq!(Came::of_whole(&Anthropic, &message).counted_in_vain(), Some((9, 3)), "{message}");
    }

    let usage = json!({"promptTokenCount": 9, "candidatesTokenCount": 3});
    let candidates = json!([{"finishReason": "MALFORMED_FUNCTION_CALL"}]);
    for reply in [
        json!({"candidates": candidates, "usageMetadata": usage}),
        json!({"error": error, "usageMetadata": usage}),
        json!({"usageMetadata": usage}),
    ] {
        assert_eq!(Came::of_whole(&Gemini, &reply).counted_in_vain(), Some((9, 3)), "{reply}");
        assert_eq!(Came::of_stream(&Gemini, [reply.clone()]).await.counted_in_vain(), Some((9, 3)), "{reply}");
    }

    let nobody = json!({"tool_calls": [{"function": {"name": ""}}]});
    for reply in [
        json!({"message": nobody, "done": true, "prompt_eval_count": 9, "eval_count": 3}),
        json!({"error": "secret", "prompt_eval_count": 9, "eval_count": 3}),
    ] {
        assert_eq!(Came::of_whole(&Ollama, &reply).counted_in_vain(), Some((9, 3)), "{reply}");
        assert_eq!(Came::of_stream(&Ollama, [reply.clone()]).await.counted_in_vain(), Some((9, 3)), "{reply}");
    }
}

#[tokio::test]
async fn what_was_counted_of_the_question_alone_is_told_too() {
    let early = |text: &str| {
        let candidates = json!([{"content": {"parts": [{"text": text}]}}]);
        json!({"candidates": candidates, "usageMetadata": {"promptTokenCount": 9}})
    };
    assert_eq!(Came::of_stream(&Gemini, [early("Hi")]).await.counted_in_vain(), Some((9, 0)));
    assert_eq!(Came::of_stream(&Gemini, [early("")]).await.counted_in_vain(), Some((9, 0)));
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}});
    let text = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}});
    let error = json!({"type": "error", "error": {"type": "overloaded_error"}});
    assert_eq!(Came::of_stream(&Anthropic, [start.clone(), text.clone(), error]).await.counted_in_vain(), Some((9, 0)));
    // A whole answer was not free because nobody counted it.
    let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
    let whole = Came::of_stream(&Anthropic, [start, text, stop, json!({"type": "message_stop"})]).await;
    assert_eq!(whole.end.unwrap().unwrap().usage, None);
}

#[tokio::test]
async fn a_refusal_that_comes_in_pieces_is_one_and_has_an_end() {
    let chat = OpenAiChat::new(ChatVendor::OpenAi);
    let said = |piece: &str| json!({"choices": [{"delta": {"refusal": piece}}]});
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 3});
    let last = json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage});
    let came = Came::of_stream(&chat, [said("I can't "), said(""), said("help."), last]).await;
    assert_eq!((came.reason(), came.refusal()), (Ok(FinishReason::ContentFilter), Some("I can't help.")));
    let piece = |piece: &str| json!({"type": "response.refusal.delta", "delta": piece});
    // The last event says it again, or nothing.
    let whole = json!([{"type": "message", "content": [{"type": "refusal", "refusal": "I can't help."}]}]);
    for output in [whole, Value::Null] {
        let last = json!({"type": "response.completed", "response": {"status": "completed", "output": output}});
        let came = Came::of_stream(&OpenAiResponses, [piece("I can't "), piece("help."), last]).await;
        assert_eq!((came.reason(), came.refusal()), (Ok(FinishReason::ContentFilter), Some("I can't help.")));
    }
    let long = "no ".repeat(1_000);
    let endless = std::iter::repeat_n(said(&long), 1_000);
    assert_eq!(Came::of_stream(&chat, endless).await.reason(), Err(ErrorKind::AnswerTooLong));
    let endless = std::iter::repeat_n(piece(&long), 1_000);
    assert_eq!(Came::of_stream(&OpenAiResponses, endless).await.reason(), Err(ErrorKind::AnswerTooLong));
}

#[tokio::test]
async fn an_error_where_an_answer_was_promised_keeps_its_meaning() {
    for (kind, expected) in [
        ("overloaded_error", ErrorKind::Overloaded),
        ("rate_limit_error", ErrorKind::RateLimited),
        ("api_error", ErrorKind::ServerError),
        ("error_of_next_year", ErrorKind::ServerError),
    ] {
        let error = json!({"type": "error", "error": {"type": kind, "message": "secret"}});
        assert_eq!(Came::of_whole(&Anthropic, &error).reason(), Err(expected), "{kind}");
        assert_eq!(Came::of_stream(&Anthropic, [error]).await.reason(), Err(expected), "{kind}");
    }
    for (code, expected) in [("rate_limit_exceeded", ErrorKind::RateLimited), ("server_error", ErrorKind::ServerError)]
    {
        let failed = json!({"status": "failed", "error": {"code": code, "message": "secret"}});
        assert_eq!(Came::of_whole(&OpenAiResponses, &failed).reason(), Err(expected), "{code}");
        let event = json!({"type": "response.failed", "response": failed});
        assert_eq!(Came::of_stream(&OpenAiResponses, [event]).await.reason(), Err(expected), "{code}");
    }
    let nothing = json!({"status": "completed"});
    assert_eq!(Came::of_whole(&OpenAiResponses, &nothing).reason(), Err(ErrorKind::BadResponse));
}

#[tokio::test]
async fn a_call_is_one_wherever_the_last_event_has_it() {
    let item = |id: &str, arguments: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": arguments});
    let begins = |at, id| json!({"type": "response.output_item.added", "output_index": at, "item": item(id, "")});
    let arguments =
        |at, delta: &str| json!({"type": "response.function_call_arguments.delta", "output_index": at, "delta": delta});
    // Thoughts stood at 0, and are not told of again.
    let output = json!([item("a", r#"{"x":1}"#), item("b", r#"{"x":2}"#), item("c", r#"{"x":3}"#)]);
    let last = json!({"type": "response.completed", "response": {"status": "completed", "output": output}});
    let events =
        [begins(1, "a"), arguments(1, r#"{"x":1}"#), begins(2, "b"), arguments(2, r#"{"x":2}"#), begins(3, "c"), last];
    let came = Came::of_stream(&OpenAiResponses, events).await;
    let ids: Vec<_> = came.tool_calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(came.called(), [("f", r#"{"x":1}"#), ("f", r#"{"x":2}"#), ("f", r#"{"x":3}"#)]);
}

#[tokio::test]
async fn what_was_counted_is_kept_when_the_next_event_counts_nothing() {
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}});
    let text = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}});
    let counted = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}});
    let stop = json!({"type": "message_stop"});
    for later in [json!({}), json!({"usage": null}), json!({"usage": "many"}), json!({"usage": {"output_tokens": 3}})] {
        let mut uncounted = json!({"type": "message_delta", "delta": {}});
        uncounted.as_object_mut().unwrap().extend(later.as_object().unwrap().clone());
        let events = [start.clone(), text.clone(), counted.clone(), uncounted, stop.clone()];
        let usage = Came::of_stream(&Anthropic, events).await.end.unwrap().unwrap().usage.expect("a count");
        assert_eq!((usage.input_tokens, usage.output_tokens), (9, 3), "{later}");
    }
}

#[test]
fn calls_are_read_whatever_shape_their_arguments_have() {
    let call = |name: &str, arguments: Value| json!({"function": {"name": name, "arguments": arguments}});
    let calls = json!([call("f", json!({"x": 1})), call("g", Value::Null), {"function": {"name": "h"}}]);
    let said = json!({"content": null, "tool_calls": calls});
    let expected = [("f", r#"{"x":1}"#), ("g", "{}"), ("h", "{}")];
    let chat = json!({"choices": [{"message": said, "finish_reason": "stop"}]});
    let came = Came::of_whole(&OpenAiChat::new(ChatVendor::Compatible), &chat);
    assert_eq!((came.called(), came.reason()), (expected.to_vec(), Ok(FinishReason::ToolCalls)));
    let own = json!({"message": said, "done": true, "done_reason": "stop"});
    let came = Came::of_whole(&Ollama, &own);
    assert_eq!((came.called(), came.reason()), (expected.to_vec(), Ok(FinishReason::ToolCalls)));
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_anything_at_all_is_not_silent() {
    let chunk = |delta: Value| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}));
    let text = chunk(json!({"content": "Hello"}));
    let (half, rest) = text.split_at(20);
    let parts = [": PROCESSING\n\n", &chunk(json!({"reasoning_content": "Hm"})), &text, half, rest].map(str::to_owned);
    let bytes = stream::iter(parts).then(async |part| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Bytes::from(part))
    });
    let dialect = OpenAiChat::new(ChatVendor::Compatible);
    let begun = Instant::now();
    let came = deltas(dialect.decoder(), Framing::Events, bytes).map(|delta| (begun.elapsed().as_secs(), delta.ok()));
    let hello = || Some(Delta::Text("Hello".into()));
    let alive = || Some(Delta::Alive);
    let expected = [(1, alive()), (2, alive()), (3, hello()), (4, alive()), (5, hello())];
    assert_eq!(came.take(5).collect::<Vec<_>>().await, expected);
}
