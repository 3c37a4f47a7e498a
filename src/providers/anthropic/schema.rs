//! A schema that an answer must follow, in the part of JSON Schema that the vendor can hold a model to (`providers.md` 5).

use serde_json::{Map, Value, json};

/// What the vendor refuses: limits of numbers, lengths and counts. The model is told of them in words, as the vendor's own client
/// does.
const LIMITS: [&str; 12] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// `schema` without what the vendor refuses, its objects closed.
pub(super) fn enforceable(schema: &Value) -> Value {
    reduced(schema, true)
}

/// The same; `is_whole`: and not one of several that hold together, which may each have a part of the object.
fn reduced(schema: &Value, is_whole: bool) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let (limits, fields): (Map<_, _>, Map<_, _>) =
        fields.clone().into_iter().partition(|(name, _)| LIMITS.contains(&name.as_str()));
    let mut fields: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| {
            let value = match (name.as_str(), value) {
                // What stands here are names of the schema's author, each with a schema.
                ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
                    Value::Object(schemas.into_iter().map(|(name, schema)| (name, enforceable(&schema))).collect())
                }
                ("anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => schemas.iter().map(enforceable).collect(),
                ("allOf", Value::Array(schemas)) => schemas.iter().map(|schema| reduced(schema, false)).collect(),
                ("items", schema) => enforceable(&schema),
                (_, value) => value,
            };
            (name, value)
        })
        .collect();
    let may_be_object = match fields.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => false,
    };
    if may_be_object || (is_whole && fields.contains_key("properties")) {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    if !limits.is_empty() {
        let limits = limits.iter().map(|(name, limit)| format!("{name}: {limit}")).collect::<Vec<_>>().join(", ");
        let said = fields.get("description").and_then(Value::as_str).map(|said| format!("{said} "));
        fields.insert("description".to_owned(), json!(format!("{}({limits})", said.unwrap_or_default())));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_be_an_object_is_closed() {
        for schema in [
            json!({"type": "object"}),
            json!({"type": ["object", "null"], "properties": {"a": {"type": "string"}}}),
            json!({"properties": {"a": {"type": "string"}}}),
            json!({"type": ["null", "object"], "additionalProperties": {"type": "string"}}),
        ] {
            assert_eq!(enforceable(&schema)["additionalProperties"], json!(false), "{schema}");
        }
        for schema in [
            json!({"type": ["string", "null"]}),
            json!({"anyOf": [{"type": "null"}]}),
            json!(true),
            json!({"allOf": [{"properties": {"a": true}}, {"properties": {"b": true}}]}),
        ] {
            assert_eq!(enforceable(&schema), schema);
        }
    }

    #[test]
    fn limits_become_words_and_objects_are_closed() {
        let schema = json!({
            "type": "object",
            "properties": {
                "minimum": {"type": "integer", "minimum": 0, "maximum": 9, "description": "The least."},
                "names": {"type": "array", "items": {"type": "string", "maxLength": 5}, "minItems": 2},
                "kind": {"enum": [{"minimum": 1}]},
                "other": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/other"}]},
            },
            "$defs": {"other": {"type": "object", "additionalProperties": true}},
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "minimum": {"type": "integer", "description": "The least. (minimum: 0, maximum: 9)"},
                "names": {
                    "type": "array",
                    "items": {"type": "string", "description": "(maxLength: 5)"},
                    "description": "(minItems: 2)",
                },
                "kind": {"enum": [{"minimum": 1}]},
                "other": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/other"}]},
            },
            "$defs": {"other": {"type": "object", "additionalProperties": false}},
            "additionalProperties": false,
        });
        assert_eq!(enforceable(&schema), expected);
    }
}
