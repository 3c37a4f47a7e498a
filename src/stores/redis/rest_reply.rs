//! What Upstash answers: JSON (`upstash-rest.md` 3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redis::Value;
use serde_json::Value as Json;

use crate::stores::StoreError;

/// What one command brought: `{"result":…}` or `{"error":…}`.
///
/// # Errors
/// The server's own, or [`StoreError::Broken`] when it is no such answer.
pub fn read_one(body: &[u8]) -> Result<Value, StoreError> {
    outcome(serde_json::from_slice(body).map_err(|_| no_sense())?)
}

/// What each of `count` commands brought.
///
/// # Errors
/// [`StoreError::Broken`] when it is not an answer to so many.
pub fn read_all(body: &[u8], count: usize) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
    let answers: Vec<Json> = serde_json::from_slice(body).map_err(|_| no_sense())?;
    if answers.len() != count {
        return Err(no_sense());
    }
    Ok(answers.into_iter().map(outcome).collect())
}

fn outcome(answer: Json) -> Result<Value, StoreError> {
    let Json::Object(mut answer) = answer else { return Err(no_sense()) };
    if let Some(Json::String(error)) = answer.get("error") {
        return Err(StoreError::of_server(error));
    }
    answer.remove("result").ok_or_else(no_sense).and_then(value)
}

/// A result in the encoding that was asked for: every string is base64, except the bare `OK`.
fn value(result: Json) -> Result<Value, StoreError> {
    Ok(match result {
        Json::Null => Value::Nil,
        Json::Number(number) => Value::Int(number.as_i64().ok_or_else(no_sense)?),
        Json::String(text) if text == "OK" => Value::Okay,
        Json::String(text) => Value::BulkString(STANDARD.decode(text).map_err(|_| no_sense())?),
        Json::Array(values) => Value::Array(values.into_iter().map(value).collect::<Result<_, _>>()?),
        Json::Bool(_) | Json::Object(_) => return Err(no_sense()),
    })
}

fn no_sense() -> StoreError {
    StoreError::Broken("not an answer of Upstash".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_result_or_an_error_and_all_else_makes_no_sense() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        for (body, expected) in [
            (r#"{"result":"T0s="}"#, Ok(text("OK"))),
            (r#"{"result":"OK"}"#, Ok(Value::Okay)),
            (r#"{"result":null}"#, Ok(Value::Nil)),
            (r#"{"result":[1,"YQ==",null]}"#, Ok(Value::Array(vec![Value::Int(1), text("a"), Value::Nil]))),
            (r#"{"error":"WRONGTYPE Operation against a key"}"#, Err(StoreError::WrongType)),
            (r#"{"result":true}"#, Err(no_sense())),
            (r#"{"result":[{}]}"#, Err(no_sense())),
            (r#"{"result":1.5}"#, Err(no_sense())),
            (r#"{"result":"no base64"}"#, Err(no_sense())),
            (r#"{"error":7}"#, Err(no_sense())),
            ("{}", Err(no_sense())),
            ("[]", Err(no_sense())),
            ("<html>", Err(no_sense())),
        ] {
            assert_eq!(read_one(body.as_bytes()), expected, "{body}");
        }
        let two = br#"[{"result":1},{"error":"OOM"}]"#;
        assert_eq!(read_all(two, 2), Ok(vec![Ok(Value::Int(1)), Err(StoreError::Full)]));
        assert_eq!([read_all(two, 1), read_all(two, 3)], [Err(no_sense()), Err(no_sense())]);
        assert_eq!(read_all(br#"{"result":1}"#, 1), Err(no_sense()));
    }
}
