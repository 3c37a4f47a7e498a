//! Streams, as a schema of each of their events: `data` holds JSON, and that has a schema of its own.

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Object, ObjectBuilder, RefOr, Schema, Type, extensions::Extensions, schema::AnyOfBuilder},
};

/// One event of `POST /llm/generate`.
#[derive(Clone, Copy)]
pub(in crate::http) struct GenerateStream;

impl PartialSchema for GenerateStream {
    fn schema() -> RefOr<Schema> {
        event(json_of("GenerateEvent"))
    }
}

impl ToSchema for GenerateStream {}

/// One event of `POST /v1/chat/completions`.
#[derive(Clone, Copy)]
pub(in crate::http) struct ChatStream;

impl PartialSchema for ChatStream {
    fn schema() -> RefOr<Schema> {
        let done = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["[DONE]"]));
        event(AnyOfBuilder::new().item(json_of("ChatCompletionChunk")).item(json_of("OpenAiError")).item(done))
    }
}

impl ToSchema for ChatStream {}

fn event(data: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    ObjectBuilder::new().property("data", data).required("data").into()
}

/// A text that is JSON of this schema. What builds the document does not know the word for that, which JSON Schema has.
fn json_of(schema: &str) -> Object {
    let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
    let mut text = Object::with_type(Type::String);
    "application/json".clone_into(&mut text.content_media_type);
    text.extensions = Some(Extensions::from_iter([("contentSchema", reference)]));
    text
}
