//! Where what instances share is kept.

use std::{num::NonZeroU32, time::Duration};

use secrecy::SecretString;
use url::Url;

use super::{
    address::{is_loopback, is_plain_address},
    read::Reader,
};

/// What instances share, and how.
pub struct StoreConfig {
    /// `STORE`, `REDIS_URL`, `UPSTASH_REDIS_REST_*`.
    pub backend: Backend,
    /// `STORE_TIMEOUT_MS`: the longest that store calls together may delay a request.
    pub timeout: Duration,
    /// `INSTANCES`: how many share a limit while the store is away.
    pub instances: NonZeroU32,
}

/// A store.
#[derive(Clone)]
pub enum Backend {
    /// This process alone.
    Memory,
    /// Redis, by its addresses: one server, or some nodes of a cluster. They may hold a password.
    Redis(Vec<SecretString>),
    /// Upstash over HTTPS.
    Upstash {
        /// Without a trailing slash.
        url: String,
        /// A read-write one.
        token: SecretString,
    },
}

const REDIS_URL: &str = "REDIS_URL";
const REST_URL: &str = "UPSTASH_REDIS_REST_URL";
const REST_TOKEN: &str = "UPSTASH_REDIS_REST_TOKEN";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Auto,
    Memory,
    Redis,
    Upstash,
}

pub(super) fn read_store(read: &mut Reader) -> StoreConfig {
    let words =
        [("auto", Wanted::Auto), ("memory", Wanted::Memory), ("redis", Wanted::Redis), ("upstash", Wanted::Upstash)];
    let wanted = read.one_of("STORE", Wanted::Auto, &words);
    let timeout = Duration::from_millis(read.number("STORE_TIMEOUT_MS", 500, 1..=60_000));
    let instances = NonZeroU32::new(read.number("INSTANCES", 1, 1..=10_000)).unwrap_or(NonZeroU32::MIN);
    let redis = redis_urls(read);
    let sound = read.problems();
    let upstash = (rest_url(read), read.secret(REST_TOKEN));
    let missing = match (&upstash, wanted) {
        // What is there and wrong is not missing.
        _ if read.problems() > sound => None,
        ((Some(_), None), _) => Some(REST_TOKEN),
        ((None, Some(_)), _) | ((None, None), Wanted::Upstash) => Some(REST_URL),
        _ => None,
    };
    if let Some(name) = missing {
        read.complain(format!("Missing Redis credentials: {name} is not set"));
    }
    if wanted == Wanted::Redis && redis.is_empty() {
        read.missing(REDIS_URL, "redis://host:port, rediss://host:port, or several nodes of a cluster");
    }
    let backend = match (wanted, upstash) {
        (Wanted::Auto | Wanted::Redis, _) if !redis.is_empty() => Backend::Redis(redis),
        (Wanted::Auto | Wanted::Upstash, (Some(url), Some(token))) => Backend::Upstash { url, token },
        _ => Backend::Memory,
    };
    let set = [REDIS_URL, REST_URL].into_iter().find(|name| read.text(name).is_some());
    if let (Wanted::Memory, Some(name)) = (wanted, set) {
        read.warn(format!("{name} is set, but STORE is memory: nothing is shared or kept"));
    }
    StoreConfig { backend, timeout, instances }
}

/// The nodes that `REDIS_URL` names. An address may hold a password, so none is repeated.
fn redis_urls(read: &mut Reader) -> Vec<SecretString> {
    let is_redis = |text: &String| {
        let url = text.parse::<Url>().ok();
        url.is_some_and(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host() && url.fragment().is_none())
    };
    let texts = read.list(REDIS_URL);
    if !texts.iter().all(is_redis) {
        read.problem(REDIS_URL, "is not an address of Redis", "redis://… or rediss://…, several with commas between");
    }
    texts.into_iter().map(SecretString::from).collect()
}

/// Where Upstash answers. In the clear only on this machine, since the token goes there.
fn rest_url(read: &mut Reader) -> Option<String> {
    let text = read.text(REST_URL)?;
    let text = text.trim_matches(['"', '\'']);
    // What the original's template leaves in place of an address.
    if text.contains("your-") || text.contains("your_") {
        return None;
    }
    let url = text.parse::<Url>().ok().filter(is_plain_address);
    let Some(url) = url.filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))) else {
        read.problem(REST_URL, "is not an address of Upstash", "https://<name>.upstash.io");
        return None;
    };
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn backend(values: &[(&str, &str)]) -> Result<&'static str, Vec<String>> {
        let config = Config::read(values.into())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>());
        config.map(|config| match config.store.backend {
            Backend::Memory => "memory",
            Backend::Redis(nodes) if nodes.len() > 1 => "cluster",
            Backend::Redis(_) => "redis",
            Backend::Upstash { .. } => "upstash",
        })
    }

    #[test]
    fn the_store_is_what_is_configured() {
        let redis = ("REDIS_URL", "redis://:secret@localhost:6379/0");
        let (url, token) = ((REST_URL, "https://x.upstash.io/"), (REST_TOKEN, "secret"));
        for (values, expected) in [
            (&[][..], "memory"),
            (&[redis, url, token], "redis"),
            (&[url, token], "upstash"),
            (&[("STORE", "upstash"), redis, url, token], "upstash"),
            (&[("STORE", "memory"), redis, url, token], "memory"),
            (&[("REDIS_URL", "redis://a:1, redis://b:2")], "cluster"),
            (&[(REST_URL, "https://your-database.upstash.io"), (REST_TOKEN, "your_token_here")], "memory"),
        ] {
            assert_eq!(backend(values), Ok(expected), "{values:?}");
        }
    }

    #[test]
    fn half_a_store_stops_the_start_and_no_secret_is_repeated() {
        for (values, problem) in [
            (
                &[(REST_URL, "https://x.upstash.io")][..],
                "Missing Redis credentials: UPSTASH_REDIS_REST_TOKEN is not set",
            ),
            (&[(REST_TOKEN, "secret")], "Missing Redis credentials: UPSTASH_REDIS_REST_URL is not set"),
            (&[("STORE", "upstash")], "Missing Redis credentials: UPSTASH_REDIS_REST_URL is not set"),
            (&[("STORE", "redis")], "REDIS_URL is not set, and others need it"),
            (&[("REDIS_URL", "http://:secret@localhost")], "REDIS_URL is not an address of Redis"),
            (&[(REST_URL, "http://secret.example"), (REST_TOKEN, "x")], "UPSTASH_REDIS_REST_URL is not an address"),
            (&[("INSTANCES", "0")], "INSTANCES is `0`"),
        ] {
            let problems = backend(values).unwrap_err();
            assert!(problems.iter().any(|line| line.starts_with(problem)), "{problems:?}");
            assert!(problems.iter().all(|line| !line.contains("secret")), "{problems:?}");
        }
    }
}
