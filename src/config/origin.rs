//! `FRONTEND_URL`: the origins of pages that may read answers.

use public_suffix::DEFAULT_PROVIDER;
use url::Url;

use super::{
    address::{is_loopback, is_origin},
    read::Reader,
};

const FRONTEND_URL: &str = "FRONTEND_URL";
const ACCEPTED: &str = "origins such as https://app.example.com or https://shop-*-team.example.app";

/// An origin, or a pattern of origins: `*` stands for letters, digits and hyphens, at least one, within one DNS label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Whether `origin`, as a browser sends it, is meant.
    pub fn allows(&self, origin: &[u8]) -> bool {
        std::str::from_utf8(origin).is_ok_and(|origin| matches(&self.0, origin))
    }

    /// Whether only pages of the visitor's own machine are meant.
    pub fn is_local(&self) -> bool {
        self.0.parse().is_ok_and(|url| is_loopback(&url))
    }
}

/// Label by label, each of which has one `*` at most. A browser writes the host in lower case.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut patterns, mut labels) = (pattern.split('.'), text.split('.'));
    loop {
        match (patterns.next(), labels.next()) {
            (Some(pattern), Some(label)) if is_label(pattern, label) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn is_label(pattern: &str, label: &str) -> bool {
    let Some((before, behind)) = pattern.split_once('*') else { return pattern == label };
    let middle = label.strip_prefix(before).and_then(|label| label.strip_suffix(behind)).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !middle.is_empty() && middle.bytes().all(is_plain)
}

pub(super) fn read_origins(read: &mut Reader) -> Vec<Origin> {
    let texts = match read.text(FRONTEND_URL) {
        Some(_) => read.list(FRONTEND_URL),
        None => vec!["http://localhost:3000".to_owned()],
    };
    if texts.is_empty() {
        read.problem(FRONTEND_URL, "names no origin", ACCEPTED);
    }
    let mut origins = Vec::new();
    for text in texts {
        match origin(&text) {
            Ok(origin) => origins.push(origin),
            Err(wrong) => read.problem(FRONTEND_URL, wrong, ACCEPTED),
        }
    }
    origins
}

/// What `text` means, or what is wrong with it. It may hold a password, so only a host is ever repeated.
fn origin(text: &str) -> Result<Origin, String> {
    let url = text.trim_end_matches('/').parse::<Url>().ok().filter(is_origin);
    let url = url.ok_or("has an entry that is no origin")?;
    let host = url.host_str().unwrap_or_default();
    let mut behind = String::new();
    for label in host.rsplit('.') {
        if label.contains('*') && behind.is_empty() {
            return Err(format!("has `{host}`, whose `*` would allow any domain"));
        }
        if label.matches('*').count() > 1 {
            return Err(format!("has `{host}`, which has more than one `*` between two dots"));
        }
        // A hyphen says nothing of whose name it is.
        if label.trim_matches('-') == "*" && (behind.contains('*') || is_public(&behind)) {
            let everyone = "anyone can have a name there, so everyone would be allowed";
            return Err(format!("has `{host}`, a bare `*` under `{behind}`: {everyone}"));
        }
        behind = if behind.is_empty() { label.to_owned() } else { format!("{label}.{behind}") };
    }
    Ok(Origin(url.origin().ascii_serialization()))
}

/// Names at the top that belong to a network of one's own (RFC 6761; RFC 6762, appendix G).
const ONES_OWN: [&str; 11] =
    ["corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localhost", "private", "test"];

/// Whether anyone can register a name directly under `domain`, by the Public Suffix List.
fn is_public(domain: &str) -> bool {
    DEFAULT_PROVIDER.is_effective_tld(domain) && !ONES_OWN.contains(&domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Problem};

    fn read(text: &str) -> Result<Vec<Origin>, Vec<String>> {
        let config = Config::read([(FRONTEND_URL, text)].into());
        let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        config.map(|config| config.frontend_origins).map_err(told)
    }

    #[test]
    fn a_star_stays_within_one_label() {
        let cases: [(&str, &[&str], &[&str]); 5] = [
            (
                "https://shop-*-team.vercel.app",
                &["https://shop-a-team.vercel.app", "https://shop-git-main-team.vercel.app"],
                &[
                    "https://shop--team.vercel.app",
                    "https://shop-a.evil.com/-team.vercel.app",
                    "https://shop-a.b-team.vercel.app",
                    "https://shop-a-team.vercel.app.evil.com",
                    "https://evil.com/shop-a-team.vercel.app",
                    "https://shop-a-team.vercel.app:8443",
                    "http://shop-a-team.vercel.app",
                    "https://shop-A-team.vercel.app",
                    "null",
                    "",
                ],
            ),
            (
                "https://*.example.com:8443/",
                &["https://a.example.com:8443"],
                &["https://example.com:8443", "https://a.b.example.com:8443", "https://a.example.com"],
            ),
            ("http://*.localhost:3000", &["http://a.localhost:3000"], &["http://localhost:3000"]),
            ("https://Bücher.example", &["https://xn--bcher-kva.example"], &["https://bücher.example"]),
            ("http://[::1]:3000", &["http://[::1]:3000"], &["http://[::1]"]),
        ];
        for (pattern, allowed, refused) in cases {
            let origins = read(pattern).unwrap();
            for origin in allowed {
                assert!(origins.iter().any(|pattern| pattern.allows(origin.as_bytes())), "{origin} by {pattern}");
            }
            for origin in refused {
                assert!(!origins.iter().any(|pattern| pattern.allows(origin.as_bytes())), "{origin} by {pattern}");
            }
        }
    }

    #[test]
    fn a_star_that_would_allow_everyone_stops_the_start() {
        for pattern in [
            "https://*",
            "https://*.com",
            "https://*.co.uk",
            "https://*.vercel.app",
            "https://shop.*.vercel.app",
            "https://*.onrender.com",
            "https://*.github.io",
            "https://example.*",
            "https://*.c*.uk",
            "https://**.vercel.app",
            "https://*-*.vercel.app",
            "https://-*.vercel.app",
            "https://**.com",
            "http://192.168.0.*",
        ] {
            let told = read(pattern).unwrap_err();
            assert!(matches!(&*told, [line] if line.contains("`*`")), "{pattern}: {told:?}");
        }
        for pattern in ["https://*.shop.vercel.app", "https://shop-*.vercel.app", "https://*.example.co.uk"] {
            assert!(read(pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn only_origins_are_taken_and_no_password_is_repeated() {
        for entry in ["https://u:secret@x", "https://u:secret@x/path", "https://x/#a", "ftp://x", "x", "*", "null", ","]
        {
            let told = read(entry).unwrap_err();
            assert!(matches!(&*told, [line] if !line.contains("secret")), "{entry}: {told:?}");
        }
        assert_eq!(read("https://app.example.com/, http://localhost:3000").unwrap().len(), 2);
        assert_eq!(read("").unwrap(), [Origin("http://localhost:3000".to_owned())]);
    }
}
