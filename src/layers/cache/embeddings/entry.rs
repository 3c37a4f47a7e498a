//! The stored form of a vector: one line of JSON about it, then its numbers in base64, four bytes each, the least significant first.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::embed::Vector;

/// The version of the form. An entry of another version counts as absent.
const VERSION: u8 = 1;

/// As long as the longest `CACHE_TTL_SECONDS`, whatever an entry says.
const LONGEST: Duration = Duration::from_secs(31_536_000);

/// A stored vector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) vector: Vector,
    /// What was counted for its input.
    pub(super) tokens: u64,
    /// Whether that is a guess.
    pub(super) is_estimated: bool,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub(super) stored_ms: u64,
    /// How long it is fresh from then on.
    pub(super) lifetime: Duration,
}

#[derive(Serialize, Deserialize)]
struct Head {
    /// Unlike that of an answer.
    vector: u8,
    at: u64,
    fresh: u64,
    tokens: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    /// How many numbers follow: an entry that was cut is none.
    length: usize,
}

/// The bytes that keep `entry`.
pub(super) fn encode(entry: &Entry) -> Bytes {
    let Entry { vector, tokens, is_estimated, stored_ms, lifetime } = entry;
    let head = Head {
        vector: VERSION,
        at: *stored_ms,
        fresh: u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX),
        tokens: *tokens,
        estimated: *is_estimated,
        length: vector.len(),
    };
    let numbers: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = serde_json::to_string(&head).unwrap_or_else(|_| unreachable!("numbers are JSON"));
    text.reserve_exact(1 + numbers.len().div_ceil(3) * 4);
    text.push('\n');
    BASE64_STANDARD.encode_string(numbers, &mut text);
    text.into()
}

/// The entry in `bytes`. `None`: it is not one, or of another version.
pub(super) fn decode(bytes: &Bytes) -> Option<Entry> {
    let line = bytes.iter().position(|&byte| byte == b'\n')?;
    let head: Head = serde_json::from_slice(bytes.get(..line)?).ok()?;
    let numbers = BASE64_STANDARD.decode(bytes.get(line + 1..)?).ok()?;
    let (numbers, rest) = numbers.as_chunks::<4>();
    let vector: Vector = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let is_whole = rest.is_empty() && !vector.is_empty() && vector.len() == head.length;
    let is_sound = head.vector == VERSION && is_whole && vector.iter().all(|number| number.is_finite());
    let lifetime = Duration::from_millis(head.fresh).min(LONGEST);
    is_sound.then_some(Entry {
        vector,
        tokens: head.tokens,
        is_estimated: head.estimated,
        stored_ms: head.at,
        lifetime,
    })
}

/// Until when the entry in `bytes` from elsewhere is fresh, in milliseconds since the Unix epoch. `None`: they are no entry.
pub(in super::super) fn fresh_until(bytes: &Bytes) -> Option<u64> {
    let entry = decode(bytes)?;
    Some(entry.stored_ms.saturating_add(u64::try_from(entry.lifetime.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(length: usize) -> Entry {
        let vector = (0..length).map(|at| [0.1, -1e-38, 3.5, f32::MIN_POSITIVE][at % 4]).collect();
        Entry { vector, tokens: 7, is_estimated: true, stored_ms: 1_000, lifetime: Duration::from_secs(60) }
    }

    #[test]
    fn what_is_stored_is_what_is_read() {
        for length in [1, 2, 3, 1_536] {
            let bytes = encode(&entry(length));
            assert!(bytes.is_ascii());
            assert_eq!(decode(&bytes), Some(entry(length)));
            assert_eq!(fresh_until(&bytes), Some(61_000));
        }
    }

    #[test]
    fn what_is_no_entry_counts_as_absent() {
        let good = encode(&entry(3));
        for length in 0..good.len() {
            assert_eq!(decode(&good.slice(..length)), None, "cut to {length}");
        }
        let replace = |from: &str, to: &str| Bytes::from(String::from_utf8(good.to_vec()).unwrap().replace(from, to));
        assert_eq!(decode(&replace("\"vector\":1", "\"vector\":2")), None);
        assert_eq!(decode(&replace("\"length\":3", "\"length\":4")), None);
        let answer = r#"{"v":1,"at":1,"fresh":1,"reason":"stop","usage":{},"text":3}"#;
        assert_eq!(decode(&Bytes::from(format!("{answer}\n\"a\""))), None);
        for number in [f32::NAN, f32::INFINITY] {
            assert_eq!(decode(&encode(&Entry { vector: [number].into(), ..entry(1) })), None);
        }
    }
}
