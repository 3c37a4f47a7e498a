//! From the body of `POST /llm/generate` to what the client wants, or to everything that is wrong with it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    catalogue::{Priority, RoutingMode},
    error::ApiError,
};

use super::check::{Check, body_text, object, parse, text};

/// A body that was found good.
pub(super) struct Ask {
    /// Not blank.
    pub(super) prompt: String,
    pub(super) model: Option<String>,
    pub(super) active_provider: Option<String>,
    /// `None`: the client named none.
    pub(super) routing_mode: Option<RoutingMode>,
    pub(super) capabilities: Vec<String>,
    pub(super) priority: Priority,
    /// In dollars.
    pub(super) max_cost: Option<f64>,
    pub(super) allow_failover: bool,
    /// `None`: `Accept` decides.
    pub(super) streaming: Option<bool>,
    /// 0 to 2.
    pub(super) temperature: Option<f64>,
    /// At least 1.
    pub(super) max_tokens: Option<u32>,
}

/// The fields as they stand in the body; `null` counts as absent, and others are ignored.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GenerateRequest)]
pub(super) struct Fields<'a> {
    /// What is asked; it goes to the provider as it is.
    #[serde(borrow, default, deserialize_with = "given")]
    #[schema(value_type = String, pattern = r"\S", required = true)]
    prompt: Option<&'a RawValue>,
    /// Such as `gpt-4o`, `openai:gpt-4o` or `openai/gpt-4o`; `GET /llm/models` lists them.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    model: Option<&'a RawValue>,
    /// How a model is chosen when none is named.
    #[serde(borrow)]
    #[schema(value_type = Option<RoutingMode>)]
    routing_mode: Option<&'a RawValue>,
    /// What a model that is chosen must be able to do: `tools`, `vision`, `reasoning`, `json`.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<String>>)]
    capabilities: Option<&'a RawValue>,
    /// Decides among models that fit equally well.
    #[serde(borrow)]
    #[schema(value_type = Option<Priority>)]
    priority: Option<&'a RawValue>,
    /// The most that the answer may cost by estimate, in dollars.
    #[serde(borrow)]
    #[schema(value_type = Option<f64>)]
    max_cost: Option<&'a RawValue>,
    /// The provider of a bare model, or of none.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    active_provider: Option<&'a RawValue>,
    /// Whether another model or provider may answer when this one fails; `true` when it is absent.
    #[serde(borrow)]
    #[schema(value_type = Option<bool>)]
    allow_failover: Option<&'a RawValue>,
    /// `true`: events; `false`: JSON; absent: as `Accept` says.
    #[serde(borrow)]
    #[schema(value_type = Option<bool>)]
    streaming: Option<&'a RawValue>,
    /// Left out, and named in `metadata.ignored`, where the model does not take it.
    #[serde(borrow)]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 2)]
    temperature: Option<&'a RawValue>,
    /// Left out, and named in `metadata.ignored`, where the model does not take it.
    #[serde(borrow)]
    #[schema(value_type = Option<u64>, minimum = 1)]
    max_tokens: Option<&'a RawValue>,
}

impl Ask {
    /// Reads `body`.
    ///
    /// # Errors
    /// 400, with what is wrong with the JSON, or with every field that is wrong.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let body = body_text(body);
        let fields: Fields = object(&body)?;
        let mut check = Check::default();
        let prompt = prompt(&mut check, fields.prompt);
        let model = check.text("model", fields.model, "Model must be a string.");
        let routing_mode = check.word("routingMode", fields.routing_mode, "Invalid routing mode.", routing_mode);
        let capabilities = capabilities(&mut check, fields.capabilities);
        let priority = check.word("priority", fields.priority, "Invalid priority.", priority);
        let max_cost = check.field("maxCost", fields.max_cost, "Max cost must be a number.", number);
        let active_provider = check.text("activeProvider", fields.active_provider, "Active provider must be a string.");
        let allow_failover =
            check.field("allowFailover", fields.allow_failover, "Allow failover must be a boolean.", loose_boolean);
        let streaming = check.field("streaming", fields.streaming, "Streaming must be a boolean.", parse);
        let temperature =
            check.field("temperature", fields.temperature, "Temperature must be a number from 0 to 2.", |raw| {
                parse(raw).filter(|t: &f64| (0.0..=2.0).contains(t))
            });
        let max_tokens =
            check.field("maxTokens", fields.max_tokens, "Max tokens must be a whole number of at least 1.", |raw| {
                parse(raw).and_then(whole)
            });
        check.finish()?;
        let prompt = prompt.ok_or_else(ApiError::internal)?;
        Ok(Self {
            prompt,
            model,
            active_provider,
            routing_mode,
            capabilities,
            priority: priority.unwrap_or_default(),
            max_cost,
            allow_failover: allow_failover.unwrap_or(true),
            streaming,
            temperature,
            max_tokens,
        })
    }
}

/// What stands there, `null` too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The original has an unnamed entry before the named one, and only the unnamed one for an array.
fn prompt<'a>(check: &mut Check<'a>, value: Option<&'a RawValue>) -> Option<String> {
    const MSG: &str = "Prompt must be a non-empty string.";
    let prompt = value.and_then(text);
    if prompt.is_none() {
        check.refuse("prompt", value, "Invalid value");
    }
    let is_array = value.is_some_and(|raw| raw.get().starts_with('['));
    if prompt.as_ref().is_none_or(|prompt| prompt.trim().is_empty()) && !is_array {
        check.refuse("prompt", value, MSG);
    }
    prompt
}

fn capabilities<'a>(check: &mut Check<'a>, value: Option<&'a RawValue>) -> Vec<String> {
    let elements = check.field("capabilities", value, "Capabilities must be an array.", parse::<Vec<&RawValue>>);
    let elements = elements.unwrap_or_default().into_iter().enumerate();
    let texts = elements.filter_map(|(at, element)| {
        let capability = text(element);
        if capability.is_none() {
            check.refuse(format!("capabilities[{at}]"), Some(element), "Capabilities must be an array of strings.");
        }
        capability
    });
    texts.collect()
}

fn routing_mode(word: &str) -> Option<RoutingMode> {
    RoutingMode::ALL.into_iter().find(|mode| mode.as_str() == word)
}

fn priority(word: &str) -> Option<Priority> {
    match word {
        "low" => Some(Priority::Low),
        "medium" => Some(Priority::Medium),
        "high" => Some(Priority::High),
        _ => None,
    }
}

/// A whole number of at least 1, however it is written; more than anyone counts to is the most there is.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stops at the ends")]
fn whole(number: f64) -> Option<u32> {
    (number >= 1.0 && number.fract() == 0.0).then_some(number as u32)
}

/// A number, or a text that is one.
fn number(raw: &RawValue) -> Option<f64> {
    let from_text = || parse::<String>(raw)?.trim().parse().ok();
    parse(raw).or_else(from_text).filter(|number: &f64| number.is_finite())
}

/// `true`, `false`, 1, 0, or those as text.
fn loose_boolean(raw: &RawValue) -> Option<bool> {
    match raw.get().trim_matches('"') {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::{Value, json};

    use super::*;

    fn errors(body: &str) -> Value {
        match Ask::read(body.as_bytes()) {
            Ok(_) => panic!("{body} was found good"),
            Err(error) => {
                assert_eq!(error.status, StatusCode::BAD_REQUEST);
                error.errors.map_or(Value::Null, |errors| serde_json::from_str(errors.get()).unwrap())
            }
        }
    }

    fn entry(path: &str, value: Option<Value>, msg: &str) -> Value {
        let mut entry = json!({"type": "field", "msg": msg, "path": path, "location": "body"});
        if let Some(value) = value {
            entry["value"] = value;
        }
        entry
    }

    #[test]
    fn a_prompt_is_needed_and_its_absence_is_told_as_the_original_does() {
        let msg = "Prompt must be a non-empty string.";
        assert_eq!(errors("{}"), json!([entry("prompt", None, "Invalid value"), entry("prompt", None, msg)]));
        let null = Some(Value::Null);
        assert_eq!(
            errors(r#"{"prompt":null}"#),
            json!([entry("prompt", null.clone(), "Invalid value"), entry("prompt", null, msg)])
        );
        assert_eq!(errors(r#"{"prompt":""}"#), json!([entry("prompt", Some(json!("")), msg)]));
        assert_eq!(errors(r#"{"prompt":"  "}"#), json!([entry("prompt", Some(json!("  ")), msg)]));
        let five = Some(json!(5));
        assert_eq!(
            errors(r#"{"prompt":5}"#),
            json!([entry("prompt", five.clone(), "Invalid value"), entry("prompt", five, msg)])
        );
        assert_eq!(errors(r#"{"prompt":[1]}"#), json!([entry("prompt", Some(json!([1])), "Invalid value")]));
    }

    #[test]
    fn all_problems_are_told_together_in_the_order_of_the_table() {
        let body = r#"{"streaming":"yes","maxTokens":0,"temperature":3,"allowFailover":"maybe","activeProvider":1,
            "maxCost":"dear","priority":"urgent","capabilities":["a",1],"routingMode":"Manual","model":{},"prompt":"x"}"#;
        let told = errors(body);
        let paths: Vec<_> = told.as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "model",
                "routingMode",
                "capabilities[1]",
                "priority",
                "maxCost",
                "activeProvider",
                "allowFailover",
                "streaming",
                "temperature",
                "maxTokens",
            ]
        );
    }

    #[test]
    fn what_the_original_accepts_is_accepted() {
        for body in [
            r#"{"prompt":"x"}"#,
            r#" {"prompt":"x","model":null,"routingMode":null,"streaming":null}"#,
            r#"{"prompt":"x","maxCost":"0.5","allowFailover":"0","priority":"low","unknown":{"a":[1]}}"#,
            r#"{"prompt":"x","maxTokens":1.0,"temperature":0}"#,
            r#"{"prompt":"x","maxTokens":5e9,"temperature":2.0}"#,
            r#"{"prompt":"x","maxCost":-1,"allowFailover":1,"capabilities":[],"model":"","activeProvider":""}"#,
        ] {
            assert!(Ask::read(body.as_bytes()).is_ok(), "{body}");
        }
    }

    #[test]
    fn what_is_not_quite_text_is_read_as_the_original_read_it() {
        for (body, prompt) in [
            (&b"\xef\xbb\xbf{\"prompt\":\"x\"}"[..], "x"),
            (b"{\"prompt\":\"caf\xe9\"}", "caf\u{fffd}"),
            (b"{\"prompt\":\"cut \\ud83d\"}", "cut \u{fffd}\u{fffd}\u{fffd}"),
            (b"{\"prompt\":\"whole \\ud83d\\ude00\"}", "whole \u{1f600}"),
        ] {
            let Ok(ask) = Ask::read(body) else { panic!("{prompt} was refused") };
            assert_eq!(ask.prompt, prompt);
        }
    }

    #[test]
    fn what_is_not_an_object_is_malformed() {
        for body in
            ["", "{", "[]", "[\"x\"]", "null", "\"prompt\"", "{\"prompt\":\"\\ud83d\"} trailing", "{\"prompt\":x}"]
        {
            let Err(error) = Ask::read(body.as_bytes()) else { panic!("{body} was found good") };
            assert_eq!(error.error, "Malformed JSON", "{body}");
        }
    }
}
