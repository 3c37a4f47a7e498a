//! How both say no.

use serde_json::Value;

use crate::compare::Reply;

/// What the old failed with when nobody had thought of a case: texts of the language that it is written in.
const EXCEPTIONS: [&str; 6] = [
    "is not a function",
    "is not iterable",
    "Cannot destructure",
    "Cannot read propert",
    "Cannot set headers",
    "[object Object]",
];

/// What is refused before a provider is called.
pub(super) const REFUSALS: [&str; 4] = [
    "Provider not configured",
    "Model not supported for provider",
    "Missing model registry entry",
    "Budget limit exceeded",
];

/// Whether a failure is told by an exception's text.
pub(super) fn is_exception(failure: &Value) -> bool {
    let said = ["error", "details"].map(|field| failure[field].as_str().unwrap_or_default());
    said.iter().any(|said| EXCEPTIONS.iter().any(|words| said.contains(words)))
}

/// Whether the new refuses by its limit, as the old does.
pub(super) fn is_limited(new: &Reply) -> bool {
    let waits = new.json().is_some_and(|body| body["retryAfter"].as_u64().is_some_and(|seconds| seconds > 0));
    new.status == 429 && new.text("error") == "Rate limit exceeded" && waits && new.header("retry-after").is_some()
}
