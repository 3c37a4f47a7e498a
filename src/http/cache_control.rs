//! `Cache-Control` as clients send it (RFC 9111, section 5.2.1; RFC 5861, section 4).

use std::time::Duration;

use axum::http::{HeaderMap, header::CACHE_CONTROL};

use crate::generate::Policy;

/// What counts as any time at all: RFC 9111, section 1.2.2, asks for this where a number is too large.
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// What `headers` want of the cache. Directives that are unknown or make no sense are ignored; of several, the first counts.
pub(super) fn policy(headers: &HeaderMap) -> Policy {
    let mut policy = Policy::default();
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    for directive in values.flat_map(directives) {
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
    policy
}

/// The parts between commas that stand in no quotes.
fn directives(value: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = value.split(move |letter: char| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
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
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
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
