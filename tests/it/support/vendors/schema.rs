//! JSON schemas, as far as the scenarios use them.

use serde_json::{Map, Value, json};

use super::{reading::Read, script::Fault};

/// Something that `schema` allows, whose references are looked up in `root`.
pub(super) fn example(schema: &Value, root: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        let target = root.pointer(path.trim_start_matches('#')).expect("a reference leads somewhere");
        return example(target, root);
    }
    for choice in ["anyOf", "oneOf", "allOf", "enum"] {
        if let Some(first) = schema[choice].get(0) {
            return if choice == "enum" { first.clone() } else { example(first, root) };
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let examples = properties.iter().map(|(name, schema)| (name.clone(), example(schema, root)));
            Value::Object(examples.collect::<Map<_, _>>())
        }
        Some("array") => json!([example(&schema["items"], root)]),
        Some("integer") => json!(7),
        Some("number") => json!(7.5),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!("Tōkyō"),
    }
}

/// That every object in `schema` is closed, as vendors want it that answer by a schema; with `all_required`, that it also
/// requires all that it lists.
///
/// # Errors
/// When one is not.
pub(super) fn closed(schema: &Value, all_required: bool) -> Read<()> {
    match schema {
        Value::Object(fields) => {
            let is_object = |kind: &Value| kind == "object";
            if is_object(&schema["type"]) || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_object))
            {
                if schema["additionalProperties"] != json!(false) {
                    return Err(Fault::invalid("'additionalProperties' is required to be supplied and to be false"));
                }
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                let listed = schema["properties"].as_object().into_iter().flat_map(Map::keys);
                for name in listed.filter(|_| all_required) {
                    if !required.contains(&json!(name)) {
                        return Err(Fault::invalid(format!("'required' must include every property: '{name}'")));
                    }
                }
            }
            fields.values().try_for_each(|value| closed(value, all_required))
        }
        Value::Array(items) => items.iter().try_for_each(|item| closed(item, all_required)),
        _ => Ok(()),
    }
}

/// That `schema` limits neither numbers nor lengths, which Anthropic does not take.
///
/// # Errors
/// When it does.
pub(super) fn unlimited(schema: &Value) -> Read<()> {
    const LIMITS: [&str; 8] = [
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
    ];
    match schema {
        Value::Object(fields) => {
            // Under `properties` stand names of the schema's author.
            if let Some(limit) = LIMITS.iter().find(|limit| fields.get(**limit).is_some_and(Value::is_number)) {
                return Err(Fault::invalid(format!("output_config.format.schema: '{limit}' is not supported")));
            }
            fields.values().try_for_each(unlimited)
        }
        Value::Array(items) => items.iter().try_for_each(unlimited),
        _ => Ok(()),
    }
}
