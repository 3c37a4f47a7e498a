//! Gemini's `generateContent`.

use serde_json::{Map, Value, json};

use super::{
    Dialect, KEY, Request,
    asked::{Asked, Format, Turn},
    gemini_reply as reply,
    reading::{Read, inline, key, list, must, named, only, string},
    reply::Frame,
    script::{Fault, FaultKind, Said},
};

#[derive(Clone, Copy)]
pub(super) struct Gemini;

/// What a client may send that has lost the signature of a call.
const FILLER: &str = "skip_thought_signature_validator";

const SETTINGS: [&str; 13] = [
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "stopSequences",
    "responseMimeType",
    "responseJsonSchema",
    "responseSchema",
    "thinkingConfig",
    "candidateCount",
];

impl Dialect for Gemini {
    const STREAM_TYPE: &'static str = "text/event-stream";

    fn read(self, request: &Request) -> Read<Asked> {
        key(&request.headers, "x-goog-api-key", KEY)?;
        let body = &request.body;
        let fields = ["contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "safetySettings"];
        only(body, "body", &fields)?;
        let nothing = Value::Object(Map::new());
        let config = only(body.get("generationConfig").unwrap_or(&nothing), "generationConfig", &SETTINGS)?;
        for field in ["temperature", "topP", "topK"] {
            must(!config.contains_key(field), format!("{field} is not supported by this model"))?;
        }
        let (_, method) = request.path.rsplit_once(':').unwrap_or_default();
        let names = [
            ("maxOutputTokens", "max_tokens"),
            ("seed", "seed"),
            ("stopSequences", "stop"),
            ("presencePenalty", "presence_penalty"),
            ("frequencyPenalty", "frequency_penalty"),
        ];
        let mut sampling: Map<_, _> = named(config, &names).collect();
        if let Some(thinking) = config.get("thinkingConfig") {
            only(thinking, "thinkingConfig", &["thinkingLevel", "includeThoughts"])?;
            let level = string(thinking, "thinkingLevel")?.to_lowercase();
            sampling.insert("reasoning_effort".to_owned(), json!(level));
        }
        let (is_json, schema) =
            (config.get("responseMimeType") == Some(&json!("application/json")), config.get("responseJsonSchema"));
        must(is_json || schema.is_none(), "a schema is only allowed with responseMimeType application/json")?;
        let format = match schema {
            Some(schema) => Format::Schema(schema.clone()),
            None if is_json => Format::Json,
            None => Format::Text,
        };
        Ok(Asked {
            model: request.model().to_owned(),
            is_streamed: method.starts_with("streamGenerateContent"),
            system: texts(&body["systemInstruction"])?,
            turns: turns(list(body, "contents")?)?,
            tools: tools(body)?,
            sampling,
            format,
        })
    }

    fn whole(self, asked: &Asked, said: &Said) -> Value {
        reply::whole(asked, said)
    }

    fn stream(self, _: &Request, asked: &Asked, said: &Said) -> Vec<Frame> {
        reply::stream(asked, said)
    }

    fn fault(self, fault: &Fault) -> (u16, Vec<(&'static str, &'static str)>, Value) {
        let (code, status) = match fault.kind {
            // A wrong key too is an invalid argument here.
            FaultKind::Invalid | FaultKind::Unauthorized => (400, "INVALID_ARGUMENT"),
            FaultKind::NotFound => (404, "NOT_FOUND"),
            FaultKind::RateLimited => (429, "RESOURCE_EXHAUSTED"),
            FaultKind::Overloaded => (503, "UNAVAILABLE"),
            FaultKind::Internal => (500, "INTERNAL"),
        };
        let details = match fault.kind {
            FaultKind::Unauthorized => {
                json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}])
            }
            FaultKind::RateLimited => {
                json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}])
            }
            FaultKind::Invalid | FaultKind::NotFound | FaultKind::Overloaded | FaultKind::Internal => json!([]),
        };
        let error = json!({"code": code, "message": fault.message, "status": status, "details": details});
        (code, Vec::new(), json!({"error": error}))
    }
}

fn tools(body: &Value) -> Read<Vec<String>> {
    let mut names = Vec::new();
    for group in list(body, "tools")? {
        only(group, "tool", &["functionDeclarations"])?;
        for function in list(group, "functionDeclarations")? {
            only(function, "functionDeclaration", &["name", "description", "parameters", "parametersJsonSchema"])?;
            names.push(string(function, "name")?.to_owned());
        }
    }
    must(!names.is_empty() || body.get("toolConfig").is_none(), "toolConfig is only allowed with tools")?;
    Ok(names)
}

fn texts(content: &Value) -> Read<String> {
    list(content, "parts")?.iter().map(|part| string(part, "text")).collect()
}

fn turns(contents: &[Value]) -> Read<Vec<Turn>> {
    must(contents.len() % 2 == 1, "contents: the first and the last turn must be the user's, and turns alternate")?;
    let mut turns = Vec::new();
    let mut pending: Vec<(Value, String)> = Vec::new();
    for (at, content) in contents.iter().enumerate() {
        only(content, "content", &["role", "parts"])?;
        let role = string(content, "role")?;
        must(role == ["user", "model"][at % 2], "contents: turns must alternate between user and model")?;
        let parts = list(content, "parts")?;
        must(!parts.is_empty(), "contents.parts must not be empty")?;
        for part in parts {
            let fields =
                only(part, "part", &["text", "inlineData", "functionCall", "functionResponse", "thoughtSignature"])?;
            let data = fields.keys().filter(|name| *name != "thoughtSignature").count();
            must(data == 1, "a part must have exactly one initialized field")?;
        }
        if role == "user" {
            user(parts, &mut pending, &mut turns)?;
        } else {
            turns.push(model(parts, &mut pending)?);
        }
    }
    Ok(turns)
}

/// Responses to all calls of the turn before, in their order, then what the person says.
fn user(parts: &[Value], pending: &mut Vec<(Value, String)>, turns: &mut Vec<Turn>) -> Read<()> {
    let responses = parts.iter().filter(|part| part.get("functionResponse").is_some()).count();
    must(
        responses == pending.len(),
        "the number of function response parts must equal the number of function call parts of the turn before",
    )?;
    let (mut text, mut pictures) = (String::new(), Vec::new());
    for part in parts {
        if let Some(response) = part.get("functionResponse") {
            only(response, "functionResponse", &["id", "name", "response"])?;
            let (id, name) = pending.remove(0);
            must(response["name"] == json!(name), format!("this must be the response of `{name}`: {response}"))?;
            must(id.is_null() || response["id"] == id, "the response has another id than its call")?;
            must(response["response"].is_object(), "functionResponse.response must be an object")?;
            let content = string(&response["response"], "output")?.to_owned();
            turns.push(Turn::Result { name, content });
        } else if let Some(data) = part.get("inlineData") {
            pictures.push(inline(string(data, "mimeType")?, string(data, "data")?)?);
        } else {
            text.push_str(string(part, "text")?);
        }
    }
    if parts.len() > responses {
        turns.push(Turn::User { text, pictures });
    }
    Ok(())
}

fn model(parts: &[Value], pending: &mut Vec<(Value, String)>) -> Read<Turn> {
    let (mut text, mut calls) = (String::new(), Vec::new());
    for part in parts {
        let Some(call) = part.get("functionCall") else {
            text.push_str(string(part, "text")?);
            continue;
        };
        only(call, "functionCall", &["id", "name", "args"])?;
        let name = string(call, "name")?.to_owned();
        let signature = part["thoughtSignature"].as_str();
        // Only the first of parallel calls carries one.
        let is_signed = signature == Some(FILLER) || signature == Some(reply::SIGNATURE);
        must(is_signed || !calls.is_empty(), "Function call is missing a thought_signature in functionCall parts.")?;
        pending.push((call["id"].clone(), name.clone()));
        calls.push((name, call["args"].clone()));
    }
    Ok(Turn::Model { text, calls })
}
