//! What of a request was left out, so that it is never done silently.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const DROPPED: HeaderName = HeaderName::from_static("x-gateway-dropped");

/// How many fields are named that nobody knows: what clients make up must not make a header that is longer than any.
const MAX_UNKNOWN: usize = 20;
/// The longest name of such a field.
const MAX_NAME_BYTES: usize = 64;

/// The names of fields, each once: in order, those that are known behind those that are not.
#[derive(Default)]
pub(super) struct Dropped {
    unknown: Vec<String>,
    /// Whether there are others, whose names are not fit to be said, or too many.
    has_others: bool,
    known: Vec<&'static str>,
}

impl Dropped {
    /// Names a field.
    pub(super) fn add(&mut self, name: &'static str) {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
    }

    /// Names a field that nobody knows, by its path in the body: `tools.?.0.function.?.x` is `tools.function.x`.
    pub(super) fn add_unknown(&mut self, path: &str) {
        let is_name = |part: &&str| *part != "?" && !part.bytes().all(|byte| byte.is_ascii_digit());
        let name = path.split('.').filter(is_name).collect::<Vec<_>>().join(".");
        let is_plain =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        let fits = is_plain && name.len() <= MAX_NAME_BYTES && self.unknown.len() < MAX_UNKNOWN;
        if !self.unknown.contains(&name) {
            self.has_others |= !fits;
            self.unknown.extend(fits.then_some(name));
        }
    }

    /// Says so in `headers`, if there is something to say; `besides` are what the model that answers refuses.
    pub(super) fn set_header(&self, headers: &mut HeaderMap, besides: &[&'static str]) {
        let mut all = Self { unknown: self.unknown.clone(), known: self.known.clone(), ..*self };
        for name in besides {
            all.add(name);
        }
        let names = all.to_string();
        if let Some(value) = HeaderValue::try_from(names).ok().filter(|value| !value.is_empty()) {
            headers.insert(DROPPED, value);
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = self.unknown.iter().map(String::as_str);
        let others = self.has_others.then_some("...");
        let names: Vec<&str> = unknown.chain(self.known.iter().copied()).chain(others).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_plain_and_short_whatever_clients_make_up() {
        let mut dropped = Dropped::default();
        for path in
            ["a", "tools.?.0.function.?.x", "tools.?.1.function.?.x", "a\r\nb: c", "ü", "", "?", &"x".repeat(65)]
        {
            dropped.add_unknown(path);
        }
        dropped.add("seed");
        let mut headers = HeaderMap::new();
        dropped.set_header(&mut headers, &["seed", "stop"]);
        assert_eq!(headers[DROPPED], "a,tools.function.x,seed,stop,...");
        (0..100).for_each(|at| dropped.add_unknown(&format!("f{at}")));
        assert_eq!(dropped.to_string().split(',').count(), MAX_UNKNOWN + 2);
    }
}
