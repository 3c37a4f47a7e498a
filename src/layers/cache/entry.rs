//! The stored form of an answer, and the key it is stored under.
//!
//! One line of JSON about the answer, then its text as a JSON string: a hit copies the text into its reply as it is, and
//! nothing needs to be escaped again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    generate::{Completion, Fingerprint, FinishReason, Served, Target, ToolCall, Usage},
    json,
};

/// The version of the form. An entry of another version counts as absent.
const VERSION: u8 = 1;

/// As long as the longest `CACHE_TTL_SECONDS`, whatever an entry says.
const LONGEST: Duration = Duration::from_secs(31_536_000);

/// A stored answer.
pub(super) struct Entry {
    /// The answer.
    pub(super) completion: Arc<Completion>,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub(super) stored_ms: u64,
    /// How long it is fresh from then on.
    pub(super) lifetime: Duration,
}

/// The cache's key for a question: `llm:cache:<provider>:<model>:<64 hex>`.
pub(super) fn key(target: &Target, fingerprint: &Fingerprint) -> Arc<str> {
    let mut key = String::with_capacity(160);
    for part in ["llm:cache:", target.provider.as_str(), ":", target.model.as_str(), ":"] {
        key.push_str(part);
    }
    fingerprint.write_hex(&mut key);
    key.into()
}

#[derive(Serialize, Deserialize)]
struct Head {
    v: u8,
    at: u64,
    fresh: u64,
    reason: FinishReason,
    usage: Usage,
    /// The length of the text that follows: an entry that was cut is none.
    text: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mock: bool,
}

/// The bytes that keep `completion`, fresh for `lifetime` from `now_ms` on.
pub(super) fn encode(completion: &Completion, now_ms: u64, lifetime: Duration) -> Bytes {
    let Completion { text_json, tool_calls, reason, refusal: _, usage, served } = completion;
    let Served { target: _, attempts: _, mock, ignored: _ } = served;
    let fresh = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    let head = Head {
        v: VERSION,
        at: now_ms,
        fresh,
        reason: *reason,
        usage: *usage,
        text: text_json.len(),
        tools: tool_calls.clone(),
        mock: *mock,
    };
    let mut bytes = json::with_room(text_json.len() + 256, &head);
    bytes.push(b'\n');
    bytes.extend_from_slice(text_json);
    // As long as it is kept it has no room to grow, and nothing beside it.
    bytes.into_boxed_slice().into()
}

/// Until when the entry in `bytes` from elsewhere is fresh, in milliseconds since the Unix epoch. `None`: they are no entry, its
/// text JSON to the last letter: it goes into answers as it is.
pub(super) fn fresh_until(bytes: &Bytes) -> Option<u64> {
    let nobody = Target { provider: "".into(), model: "".into() };
    let is_json = |entry: &Entry| {
        let text = &entry.completion.text_json;
        std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok()
    };
    let entry = decode(bytes, &nobody).filter(is_json)?;
    Some(entry.stored_ms.saturating_add(u64::try_from(entry.lifetime.as_millis()).unwrap_or(u64::MAX)))
}

/// The entry in `bytes`, which answered `target`. `None`: it is not one, or of another version.
pub(super) fn decode(bytes: &Bytes, target: &Target) -> Option<Entry> {
    let line = bytes.iter().position(|&byte| byte == b'\n')?;
    let head: Head = serde_json::from_slice(bytes.get(..line)?).ok()?;
    let text_json = bytes.slice(line + 1..);
    let is_string = text_json.len() > 1 && text_json.starts_with(b"\"") && text_json.ends_with(b"\"");
    if head.v != VERSION || head.text != text_json.len() || !is_string {
        return None;
    }
    let completion = Completion {
        text_json,
        tool_calls: head.tools,
        reason: head.reason,
        refusal: None,
        usage: head.usage,
        // Only answers of the very target are stored under its key.
        served: Served { target: target.clone(), attempts: 1, mock: head.mock, ignored: None },
    };
    // What would not be kept was never kept.
    let is_storable = completion.is_storable();
    let lifetime = Duration::from_millis(head.fresh).min(LONGEST);
    is_storable.then(|| Entry { completion: Arc::new(completion), stored_ms: head.at, lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { provider: "openai".into(), model: "gpt-4o".into() }
    }

    fn completion() -> Completion {
        Completion {
            text_json: Bytes::from_static(b"\"line\\n\\u2028 and \\\"quotes\\\"\""),
            tool_calls: vec![ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into(), signature: None }],
            reason: FinishReason::ToolCalls,
            refusal: None,
            usage: Usage { input_tokens: 7, output_tokens: 9, ..Usage::default() },
            served: Served { target: target(), attempts: 1, mock: false, ignored: None },
        }
    }

    #[test]
    fn what_is_stored_is_what_is_read() {
        let bytes = encode(&completion(), 1_000, Duration::from_secs(60));
        let entry = decode(&bytes, &target()).unwrap();
        assert_eq!(*entry.completion, completion());
        assert_eq!((entry.stored_ms, entry.lifetime), (1_000, Duration::from_secs(60)));
    }

    #[test]
    fn what_is_no_entry_counts_as_absent() {
        let target = target();
        let good = encode(&completion(), 1_000, Duration::from_secs(60));
        for length in 0..good.len() {
            assert!(decode(&good.slice(..length), &target).is_none(), "cut to {length}");
        }
        let other = Bytes::from(String::from_utf8(good.to_vec()).unwrap().replace("\"v\":1", "\"v\":2"));
        assert!(decode(&other, &target).is_none());
        assert!(decode(&Bytes::from_static(b"an answer of the old service"), &target).is_none());
    }
}
