//! Something that a JSON schema allows, as far as schemas of answers go: what the demo provider answers with.

use serde_json::{Map, Value, json};

/// Schemas may refer to themselves: this deep, and no deeper, and so much, and no more.
const DEPTH: usize = 8;
const VALUES: usize = 1_000;

/// An example of `schema`. What the schema leaves open is made up.
pub(super) fn example(schema: &Value) -> Value {
    within(schema, schema, DEPTH, &mut { VALUES })
}

fn within(schema: &Value, root: &Value, depth: usize, values: &mut usize) -> Value {
    let (Some(depth), Some(left)) = (depth.checked_sub(1), values.checked_sub(1)) else { return Value::Null };
    *values = left;
    let referred = schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.strip_prefix('#')?));
    if let Some(schema) = referred {
        return within(schema, root, depth, values);
    }
    if let Some(only) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
        return only.clone();
    }
    if let Some(first) = ["anyOf", "oneOf", "allOf"].iter().find_map(|choice| schema.get(*choice)?.get(0)) {
        return within(first, root, depth, values);
    }
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            let examples = properties.map(|(name, schema)| (name.clone(), within(schema, root, depth, values)));
            Value::Object(examples.collect::<Map<_, _>>())
        }
        Some("array") => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 4);
            let items = schema.get("items").unwrap_or(&Value::Null);
            (0..least).map(|_| within(items, root, depth, values)).collect()
        }
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some(_) | None => json!("made up by the demo provider"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_has_everything_that_the_schema_lists() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "kind": {"enum": ["a", "b"]},
                "rating": {"type": "integer", "minimum": 3},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "next": {"anyOf": [{"$ref": "#/$defs/next"}, {"type": "null"}]},
                "nothing": {"type": ["null", "string"]},
            },
            "$defs": {"next": {"type": "object", "properties": {"is_last": {"type": "boolean"}}}},
        });
        let made_up = "made up by the demo provider";
        let expected = json!({
            "name": made_up, "kind": "a", "rating": 3, "tags": [made_up, made_up], "next": {"is_last": true}, "nothing": null,
        });
        assert_eq!(example(&schema), expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_has_an_end() {
        let endless = json!({"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}});
        assert!(example(&endless).to_string().len() < 10_000);
        let many: Map<_, _> = (0..500).map(|at| (at.to_string(), json!({"$ref": "#"}))).collect();
        assert!(example(&json!({"type": "object", "properties": many})).to_string().len() < 100_000);
        assert_eq!(example(&json!({"$ref": "#"})), Value::Null);
    }
}
