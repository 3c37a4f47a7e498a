//! What a request asks for, and how an answer is written.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::resp::{Answer, Words};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    Single,
    Pipeline,
    Transaction,
}

pub(super) struct Asked {
    pub(super) form: Form,
    pub(super) commands: Vec<Words>,
}

impl Asked {
    /// Commands in the path are not read: the gateway must not send any.
    pub(super) fn read(path: &str, body: &[u8]) -> Result<Self, String> {
        let form = match path {
            "/" => Form::Single,
            "/pipeline" => Form::Pipeline,
            "/multi-exec" => Form::Transaction,
            _ => return Err(format!("ERR no command is read from a path: '{path}'")),
        };
        let Ok(body) = serde_json::from_slice(body) else { return Err("ERR failed to parse the request".into()) };
        let commands = match form {
            Form::Single => vec![words(&body)?],
            Form::Pipeline | Form::Transaction => items(&body)?.iter().map(words).collect::<Result<_, _>>()?,
        };
        Ok(Self { form, commands })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.commands.iter().map(name).collect()
    }
}

/// In capitals.
pub(super) fn name(words: &Words) -> String {
    String::from_utf8_lossy(&words[0]).to_ascii_uppercase()
}

fn items(list: &Value) -> Result<&Vec<Value>, String> {
    list.as_array()
        .filter(|items| !items.is_empty())
        .ok_or_else(|| "ERR a list with something in it was expected".into())
}

fn words(command: &Value) -> Result<Words, String> {
    let word = |word: &Value| match word {
        Value::String(text) => Ok(text.clone().into_bytes()),
        Value::Number(_) | Value::Bool(_) => Ok(word.to_string().into_bytes()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("ERR not an argument: {word}")),
    };
    items(command)?.iter().map(word).collect()
}

/// An object with `result` or `error`.
pub(super) fn written(answer: &Answer, in_base64: bool) -> Value {
    match answer {
        Answer::Error(text) => json!({"error": text}),
        _ => json!({"result": plain(answer, in_base64)}),
    }
}

fn plain(answer: &Answer, in_base64: bool) -> Value {
    match answer {
        Answer::Text(bytes) if in_base64 && bytes != b"OK" => BASE64_STANDARD.encode(bytes).into(),
        Answer::Text(bytes) => String::from_utf8_lossy(bytes).into(),
        Answer::Integer(number) => (*number).into(),
        Answer::Nil => Value::Null,
        Answer::Error(text) => text.clone().into(),
        Answer::Array(answers) => answers.iter().map(|answer| plain(answer, in_base64)).collect(),
    }
}
