//! `Cache-Control` as clients send it (RFC 9111, section 5.2.1; RFC 5861, section 4).

use std::time::Duration;

use axum::http::{HeaderMap, header::CACHE_CONTROL};

use crate::generate::Policy;

/// What counts as any time at all: RFC 9111, section 1.2.2, asks for this where a number is too large.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// What `headers` want of the cache. Directives that are unknown or make no sense are ignored; of several, the first counts.
pub(super) fn policy(headers: &HeaderMap) -> Policy {
    let mut policy = Policy::default();
    for value in headers.get_all(CACHE_CONTROL) {
        // Letters that are no ASCII may stand in quotes, and spoil nothing else.
        let value = String::from_utf8_lossy(value.as_bytes());
        directives(&value).for_each(|directive| add(&mut policy, directive));
    }
    policy
}

fn add(policy: &mut Policy, directive: &str) {
    let (name, argument) = match directive.split_once('=') {
        Some((name, argument)) => (name.trim_end(), Some(argument.trim_start())),
        None => (directive, None),
    };
    let seconds = || argument.and_then(delta_seconds);
    match (name.to_ascii_lowercase().as_str(), argument) {
        ("no-cache", None) => policy.no_cache = true,
        ("no-store", None) => policy.no_store = true,
        ("only-if-cached", None) => policy.only_if_cached = true,
        ("max-age", _) => policy.max_age = policy.max_age.or_else(seconds),
        ("min-fresh", _) => policy.min_fresh = policy.min_fresh.or_else(seconds),
        ("max-stale", None) => policy.max_stale = policy.max_stale.or(Some(Duration::MAX)),
        ("max-stale", _) => policy.max_stale = policy.max_stale.or_else(seconds),
        ("stale-if-error", _) => policy.stale_if_error = policy.stale_if_error.or_else(seconds),
        _ => {}
    }
}

/// The parts between commas that stand in no quotes (RFC 9110, section 5.6.4). A quote that is never closed is none.
fn directives(value: &str) -> impl Iterator<Item = &str> {
    // Looked for once: a value of nothing but such quotes must not be read again for each of them.
    let (mut rest, mut may_be_quoted) = (Some(value), true);
    let parts = std::iter::from_fn(move || {
        let value = rest?;
        let mut end = 0;
        while let Some(letter) = value.get(end..).and_then(|left| left.chars().next()).filter(|letter| *letter != ',') {
            let is_quote = letter == '"' && may_be_quoted;
            let quoted = if is_quote { quoted_bytes(value.get(end..)?) } else { None };
            may_be_quoted &= !is_quote || quoted.is_some();
            end += quoted.unwrap_or(letter.len_utf8());
        }
        rest = value.get(end + 1..);
        value.get(..end)
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// The length of the quoted string that `text` begins with. `None`: it does not end.
fn quoted_bytes(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    });
    end.map(|end| end + 2)
}

/// A number of seconds, also in quotes, which RFC 9111, section 5.2, wants to be taken.
fn delta_seconds(argument: &str) -> Option<Duration> {
    let unquoted = argument.strip_prefix('"').and_then(|argument| argument.strip_suffix('"'));
    let digits = unquoted.unwrap_or(argument);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Policy {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, value.parse().unwrap());
        }
        policy(&headers)
    }

    #[test]
    fn directives_are_read_however_they_are_written() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let none = Policy::default();
        for (values, expected) in [
            (&["no-cache"][..], Policy { no_cache: true, ..none }),
            (&["NO-STORE , Only-If-Cached"], Policy { no_store: true, only_if_cached: true, ..none }),
            (&["max-age=60", "min-fresh=5"], Policy { max_age: seconds(60), min_fresh: seconds(5), ..none }),
            (&["max-age = \"60\""], Policy { max_age: seconds(60), ..none }),
            (&["max-age=60, max-age=5"], Policy { max_age: seconds(60), ..none }),
            (&["max-age=x, max-age=5"], Policy { max_age: seconds(5), ..none }),
            (&["max-age=99999999999999999999999"], Policy { max_age: Some(LONGEST), ..none }),
            (&["max-stale"], Policy { max_stale: Some(Duration::MAX), ..none }),
            (&["max-stale=7,stale-if-error=0"], Policy { max_stale: seconds(7), stale_if_error: seconds(0), ..none }),
            (&["ext=\"a, no-store, b\", no-cache"], Policy { no_cache: true, ..none }),
            (&["ext=\"a\\\"b\", no-store"], Policy { no_store: true, ..none }),
            (&["ext=\"a\\\\\", no-store"], Policy { no_store: true, ..none }),
            (&["ext=\"never closed, no-store"], Policy { no_store: true, ..none }),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_no_ascii_spoils_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, axum::http::HeaderValue::from_bytes(b"x=\"\xe9\", no-store").unwrap());
        assert_eq!(policy(&headers), Policy { no_store: true, ..Policy::default() });
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        for value in [
            "",
            ",,",
            "=",
            "=5",
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1.5",
            "max-age=\"",
            "max-stale=x",
            "private",
            "\"",
        ] {
            assert_eq!(read(&[value]), Policy::default(), "{value}");
        }
    }
}
