//! The body of `POST /v1/chat/completions`, field by field, as `OpenAI` describes it (`docs/openai.md` says what becomes of each).

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::ApiError,
    generate::{Effort, Format, Sampling, Tools},
};

use super::{
    body::{Body, OneOrMany, objects, refuse, unsupported},
    dropped::Dropped,
    messages::WireMessage,
    tools::{WireTool, WireToolChoice, tools},
};

/// What a client may send. `null` counts as absent.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatCompletionRequest)]
pub(super) struct ChatRequest {
    /// One of `GET /v1/models`.
    #[schema(value_type = String, pattern = r"\S")]
    pub(super) model: Option<String>,
    #[serde(default, deserialize_with = "objects")]
    #[schema(value_type = Vec<WireMessage>, min_items = 1)]
    pub(super) messages: Option<Vec<WireMessage>>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    stream_options: Option<StreamOptions>,

    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
    #[schema(minimum = 0, maximum = 1)]
    top_p: Option<f64>,
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u32>,
    /// The older name of `max_completion_tokens`.
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    #[schema(minimum = -2, maximum = 2)]
    presence_penalty: Option<f64>,
    #[schema(minimum = -2, maximum = 2)]
    frequency_penalty: Option<f64>,
    seed: Option<i64>,
    stop: Option<OneOrMany<String>>,
    reasoning_effort: Option<Effort>,
    /// Nothing but 1.
    #[schema(minimum = 1, maximum = 1)]
    n: Option<u32>,

    #[serde(default, deserialize_with = "objects")]
    tools: Option<Vec<WireTool>>,
    tool_choice: Option<WireToolChoice>,
    parallel_tool_calls: Option<bool>,
    response_format: Option<ResponseFormat>,

    safety_identifier: Option<String>,
    /// The older name of `safety_identifier`.
    user: Option<String>,

    // An answer without what these ask for would not be the one that was asked for.
    /// Refused.
    audio: Option<Value>,
    /// Refused.
    function_call: Option<Value>,
    /// Refused.
    functions: Option<Value>,
    /// Nothing but `["text"]`.
    modalities: Option<Vec<String>>,
    /// Refused.
    web_search_options: Option<Value>,

    // Without these the answer is as good.
    /// Left out, and named in `X-Gateway-Dropped`.
    logit_bias: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    logprobs: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    metadata: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    moderation: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    prediction: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    prompt_cache_key: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    prompt_cache_options: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    prompt_cache_retention: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    service_tier: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    store: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    top_logprobs: Option<Value>,
    /// Left out, and named in `X-Gateway-Dropped`.
    verbosity: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
struct StreamOptions {
    include_usage: Option<bool>,
    include_obfuscation: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: JsonSchema },
}

#[derive(Deserialize, ToSchema)]
struct JsonSchema {
    name: String,
    description: Option<String>,
    schema: Option<Value>,
    strict: Option<bool>,
}

/// A body that was found good.
pub(super) struct ChatAsk {
    /// Not blank.
    pub(super) model: String,
    /// Not empty; in the order of the conversation.
    pub(super) messages: Vec<WireMessage>,
    pub(super) is_stream: bool,
    /// Whether a stream ends with what was counted.
    pub(super) wants_usage: bool,
    pub(super) wanted: Sampling,
    pub(super) format: Format,
    pub(super) tools: Tools,
    /// The person behind the client, and the field that says so.
    pub(super) user: Option<(&'static str, String)>,
    /// What nobody here understands, or need understand.
    pub(super) dropped: Dropped,
}

impl ChatAsk {
    /// Reads `body`.
    ///
    /// # Errors
    /// 400, with the first thing that is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let Body { fields, mut dropped } = Body::<ChatRequest>::read(body)?;
        fields.refuse_what_cannot_be_done()?;
        fields.name_what_is_left_out(&mut dropped);
        let wanted = fields.sampling()?;
        let ChatRequest { model, messages, stream, stream_options, response_format, .. } = fields;
        let model = model.filter(|model| !model.trim().is_empty());
        let model = model.ok_or_else(|| refuse("model", "`model` is missing: name one of `GET /v1/models`"))?;
        let messages = messages.filter(|messages| !messages.is_empty());
        let messages = messages.ok_or_else(|| refuse("messages", "`messages` is missing or empty"))?;
        messages.iter().flat_map(WireMessage::out_of_place).for_each(|name| dropped.add(name));
        Ok(Self {
            model,
            messages,
            is_stream: stream == Some(true),
            wants_usage: stream_options.is_some_and(|options| options.include_usage == Some(true)),
            wanted,
            format: response_format.map_or(Format::Text, ResponseFormat::format),
            tools: tools(fields.tools, fields.tool_choice, fields.parallel_tool_calls)?,
            user: [("safety_identifier", fields.safety_identifier), ("user", fields.user)]
                .into_iter()
                .find_map(|(name, user)| user.filter(|user| !user.is_empty()).map(|user| (name, user))),
            dropped,
        })
    }
}

impl ChatRequest {
    fn refuse_what_cannot_be_done(&self) -> Result<(), ApiError> {
        let refused = [
            ("audio", asks(self.audio.as_ref()), "Answers are text here"),
            ("functions", asks(self.functions.as_ref()), "Send `tools`, which took its place"),
            ("function_call", asks(self.function_call.as_ref()), "Send `tool_choice`, which took its place"),
            ("web_search_options", asks(self.web_search_options.as_ref()), "No provider searches the web from here"),
        ];
        if let Some((name, _, why)) = refused.into_iter().find(|(_, is_asked, _)| *is_asked) {
            return Err(unsupported(name, format!("`{name}` is not supported. {why}")));
        }
        if self.modalities.iter().flatten().any(|modality| modality != "text") {
            return Err(unsupported("modalities", "`modalities` can only be `[\"text\"]`. Answers are text here"));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(unsupported(
                "n",
                "`n` can only be 1. Ask again for another answer, with `Cache-Control: no-cache`",
            ));
        }
        Ok(())
    }

    fn name_what_is_left_out(&self, dropped: &mut Dropped) {
        let obfuscation = self.stream_options.as_ref().is_some_and(|options| options.include_obfuscation == Some(true));
        let is_usual = |tier: &Value| tier == "auto" || tier == "default";
        for (name, is_asked) in [
            ("logit_bias", asks(self.logit_bias.as_ref())),
            ("logprobs", asks(self.logprobs.as_ref())),
            ("metadata", asks(self.metadata.as_ref())),
            ("moderation", asks(self.moderation.as_ref())),
            ("prediction", asks(self.prediction.as_ref())),
            ("prompt_cache_key", asks(self.prompt_cache_key.as_ref())),
            ("prompt_cache_options", asks(self.prompt_cache_options.as_ref())),
            ("prompt_cache_retention", asks(self.prompt_cache_retention.as_ref())),
            ("service_tier", asks(self.service_tier.as_ref().filter(|tier| !is_usual(tier)))),
            ("store", asks(self.store.as_ref())),
            ("stream_options.include_obfuscation", obfuscation),
            ("top_logprobs", asks(self.top_logprobs.as_ref())),
            ("verbosity", asks(self.verbosity.as_ref())),
        ] {
            if is_asked {
                dropped.add(name);
            }
        }
    }

    fn sampling(&self) -> Result<Sampling, ApiError> {
        let within = |name: &'static str, value: Option<f64>, least: f64, most: f64| match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err(refuse(name, format!("`{name}` must be from {least} to {most}")))
            }
            value => Ok(value),
        };
        let tokens = |name: &'static str, value: Option<u32>| match value {
            Some(0) => Err(refuse(name, format!("`{name}` must be at least 1"))),
            value => Ok(value),
        };
        let newer = tokens("max_completion_tokens", self.max_completion_tokens)?;
        let older = tokens("max_tokens", self.max_tokens)?;
        Ok(Sampling {
            temperature: within("temperature", self.temperature, 0.0, 2.0)?,
            top_p: within("top_p", self.top_p, 0.0, 1.0)?,
            max_tokens: newer.or(older),
            seed: self.seed,
            presence_penalty: within("presence_penalty", self.presence_penalty, -2.0, 2.0)?,
            frequency_penalty: within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?,
            stop: self.stop()?,
            effort: self.reasoning_effort,
        })
    }

    fn stop(&self) -> Result<Vec<String>, ApiError> {
        const MOST: usize = 4;
        let stop = self.stop.clone().map(OneOrMany::into_vec).unwrap_or_default();
        if stop.len() > MOST || stop.iter().any(String::is_empty) {
            return Err(refuse(
                "stop",
                format!("`stop` is a text that is not empty, or a list of up to {MOST} such texts"),
            ));
        }
        Ok(stop)
    }
}

impl ResponseFormat {
    fn format(self) -> Format {
        match self {
            ResponseFormat::Text => Format::Text,
            ResponseFormat::JsonObject => Format::JsonObject,
            ResponseFormat::JsonSchema { json_schema: JsonSchema { name, description, schema, strict } } => {
                let schema = schema.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
                Format::JsonSchema { name, description, schema, strict }
            }
        }
    }
}

/// Whether a value asks for something that would not be so without it.
fn asks(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::String(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(more: &Value) -> Result<ChatAsk, ApiError> {
        let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ChatAsk::read(body.to_string().as_bytes())
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        for (more, param) in [
            (json!({"model": null}), "model"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": [{"content": "Hi"}]}), "messages[0]"),
            (json!({"messages": [["user", "Hi"]]}), "messages[0]"),
            (json!({"messages": [{"role": "robot", "content": "Hi"}]}), "messages[0].role"),
            (json!({"messages": [{"role": "user", "content": 5}]}), "messages[0].content"),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}),
                "messages[0].content[0].text",
            ),
            (json!({"temperature": 2.1}), "temperature"),
            (json!({"temperature": "hot"}), "temperature"),
            (json!({"top_p": -0.1}), "top_p"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": -1}), "max_completion_tokens"),
            (json!({"presence_penalty": 3}), "presence_penalty"),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
            (json!({"stop": ""}), "stop"),
            (json!({"reasoning_effort": "extreme"}), "reasoning_effort"),
            (json!({"n": 2}), "n"),
            (json!({"functions": [{"name": "f"}]}), "functions"),
            (json!({"function_call": "auto"}), "function_call"),
            (json!({"audio": {"voice": "alloy", "format": "wav"}}), "audio"),
            (json!({"modalities": ["text", "audio"]}), "modalities"),
            (json!({"web_search_options": {"search_context_size": "low"}}), "web_search_options"),
            (json!({"response_format": {"type": "xml"}}), "response_format.type"),
            (json!({"response_format": {"type": "json_schema"}}), "response_format"),
            (json!({"stream": "yes"}), "stream"),
        ] {
            let Err(error) = read(&more) else { panic!("{more} was found good") };
            assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some(param)), "{more}: {}", error.error);
        }
    }

    #[test]
    fn what_is_left_out_is_named_and_what_asks_for_nothing_is_not() {
        let dropped =
            |more: Value| read(&more).map_or_else(|error| panic!("{}", error.error), |ask| ask.dropped.to_string());
        assert_eq!(dropped(json!({})), "");
        let nothing = json!({
            "logit_bias": {}, "logprobs": false, "metadata": null, "store": false, "service_tier": "auto", "audio": null,
            "functions": null, "modalities": ["text"], "n": 1, "stream_options": {"include_obfuscation": false},
            "response_format": {"type": "text"},
        });
        assert_eq!(dropped(nothing), "");
        let something = json!({
            "logit_bias": {"5": 1}, "logprobs": true, "metadata": {"a": "b"}, "store": true, "service_tier": "flex",
            "top_logprobs": 3, "verbosity": "low", "prediction": {"type": "content", "content": "x"}, "top_k": 7,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {}}], "name": "Ann",
                "refusal": "No.", "tool_calls": [], "tool_call_id": "a"}],
        });
        let expected = "messages.content.cache_control,top_k,logit_bias,logprobs,metadata,prediction,service_tier,store,\
                        top_logprobs,verbosity,messages.name,messages.refusal,messages.tool_calls,messages.tool_call_id";
        assert_eq!(dropped(something), expected);
    }

    #[test]
    fn the_newer_of_two_names_counts() {
        let ask =
            read(&json!({"max_tokens": 5, "max_completion_tokens": 7, "user": "old", "safety_identifier": "new"}));
        let Ok(ask) = ask else { panic!("it is good") };
        assert_eq!((ask.wanted.max_tokens, ask.user), (Some(7), Some(("safety_identifier", "new".to_owned()))));
        let Ok(ask) = read(&json!({"user": "old", "safety_identifier": ""})) else { panic!("it is good") };
        assert_eq!(ask.user, Some(("user", "old".to_owned())));
    }
}
