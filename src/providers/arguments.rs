//! The arguments of a call that the model made before, for the formats that want them as JSON.

use serde_json::value::RawValue;

use crate::generate::ToolCall;

/// The arguments of `call`, whose keys keep their order. `None`: they are no JSON object.
pub(super) fn arguments(call: &ToolCall) -> Option<&RawValue> {
    // Some clients send back a call without arguments as they got it.
    let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    let arguments: &RawValue = serde_json::from_str(arguments).ok()?;
    arguments.get().starts_with('{').then_some(arguments)
}
