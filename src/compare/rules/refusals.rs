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

/// Those of a model that nobody can be asked for.
pub(super) const UNKNOWN: [&str; 2] = ["Model not supported for provider", "Missing model registry entry"];

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

/// Where the words of a refused key stand.
const KEYS: usize = 1;
/// Words by which a failure is known, whoever says it.
const SORTS: [&[&str]; 3] = [
    &["429", "rate limit", "limits this service's rate", "too many requests", "quota", "exhausted"],
    &["401", "403", "api key", "api_key", "service's key", "does not allow", "unauthorized", "permission"],
    &["timeout", "timed out", "too slow", "did not answer in time"],
];

/// By which of them a failure is known.
fn sort(said: &str) -> Option<usize> {
    let said = said.to_lowercase();
    SORTS.iter().position(|words| words.iter().any(|word| said.contains(word)))
}

/// Whether both say the same of what failed, as far as one can tell.
pub(super) fn is_same_sort(old: &str, new: &str) -> bool {
    match (sort(old), sort(new)) {
        (Some(old), Some(new)) => old == new,
        _ => !lost_its_key(old, new),
    }
}

/// Words of a connection that did not come about.
const UNREACHED: [&str; 6] = ["fetch failed", "econn", "enotfound", "socket", "network", "timeout"];

/// Whether the new does not reach whom the old was answered by.
pub(super) fn lost_its_way(old: &str, new: &str) -> bool {
    let old = old.to_lowercase();
    new.contains("cannot be reached") && !UNREACHED.iter().any(|words| old.contains(words))
}

/// Whether the new is refused for its key where the old was not.
pub(super) fn lost_its_key(old: &str, new: &str) -> bool {
    sort(new) == Some(KEYS) && sort(old) != Some(KEYS)
}
