//! Who may ask, and how it is known who asks.

use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};

use super::read::Reader;

/// One secret of an API key.
pub struct ApiKeyConfig {
    /// Names the key in limits and in the log; several secrets may bear one name.
    pub name: String,
    /// Opens the routes for clients.
    pub secret: SecretString,
    /// The key's own rate in place of `RATE_LIMIT_MAX`, in the same window. 0: as often as it likes. `None`: it has none.
    pub max: Option<u32>,
}

/// How sessions are kept, and what browsers are told of them.
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// `SESSION_TTL_SECONDS`: how long a session lives from its last use on.
    pub ttl: Duration,
    /// `SESSION_SAME_SITE`.
    pub same_site: SameSite,
    /// Whether browsers may send the cookie over HTTPS only: in production, and with [`SameSite::None`], which they would not
    /// take otherwise.
    pub is_secure: bool,
}

/// From which pages a browser sends the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// From those of the same site.
    Lax,
    /// From those of other sites too.
    None,
}

/// Whose address a client has.
#[derive(Clone, Debug)]
pub struct ClientIpConfig {
    /// `CLIENT_IP_SOURCE`.
    pub source: ClientIpSource,
    /// `TRUSTED_PROXIES`: with [`ClientIpSource::XForwardedFor`], networks skipped from the right.
    pub trusted_proxies: Vec<IpNet>,
}

/// Where a client's address is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIpSource {
    /// The other end of the connection.
    ConnectInfo,
    /// The last entry of `X-Forwarded-For`: exactly one proxy in front.
    RightmostXForwardedFor,
    /// `X-Forwarded-For` from the right, past trusted proxies.
    XForwardedFor,
    /// Cloudflare's header, and Render's with it.
    CfConnectingIp,
    /// Akamai's header, and Cloudflare's for some.
    TrueClientIp,
    /// nginx's header by custom.
    XRealIp,
}

const API_KEYS: &str = "API_KEYS";
const ADMIN_TOKEN: &str = "ADMIN_TOKEN";

/// A secret that can be guessed is none: 16 characters of hexadecimal are 64 bits.
const SHORTEST_SECRET: usize = 16;
const LONGEST_NAME: usize = 64;
/// As for `RATE_LIMIT_MAX`.
const LARGEST_MAX: u32 = 1_000_000_000;

/// Shorter, and what is kept in a process of who a session belongs to would outlive it.
const SHORTEST_SESSION: u64 = 60;
/// The longest that browsers keep a cookie (RFC 6265bis, section 5.5).
const LONGEST_SESSION: u64 = 400 * 86_400;

const PRIVATE_NETWORKS: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Who may do what: the keys of clients, and the administrator's token.
pub(super) fn read_secrets(read: &mut Reader) -> (Vec<ApiKeyConfig>, Option<SecretString>) {
    let (keys, admin_token) = (read_keys(read), read.secret(ADMIN_TOKEN));
    if admin_token.as_ref().is_some_and(|token| token.expose_secret().len() < SHORTEST_SECRET) {
        read.warn(format!("{ADMIN_TOKEN} is short; `openssl rand -hex 32` makes a good one"));
    }
    let is_shared = |token: &SecretString| keys.iter().any(|key| key.secret.expose_secret() == token.expose_secret());
    if admin_token.as_ref().is_some_and(is_shared) {
        read.problem(ADMIN_TOKEN, "is one of API_KEYS", "a secret of the administrator's own");
    }
    (keys, admin_token)
}

fn read_keys(read: &mut Reader) -> Vec<ApiKeyConfig> {
    let entries = read.list(API_KEYS);
    if read.text(API_KEYS).is_some() && entries.is_empty() {
        read.problem(API_KEYS, "names no key", "name:secret or name:secret:max, several with commas between");
    }
    let mut keys: Vec<ApiKeyConfig> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        // Whatever is wrong, the entry may hold a secret, and is named by its place alone.
        let place = at + 1;
        let Some(key) = api_key(entry) else {
            let wrong = format!("is not a key in entry {place}");
            let accepted =
                "name:secret or name:secret:max; a name of letters, digits, `_`, `-`, `.`; no `:` in a secret";
            read.problem(API_KEYS, wrong, accepted);
            continue;
        };
        let ApiKeyConfig { name, secret, max } = &key;
        if keys.iter().any(|other| other.secret.expose_secret() == secret.expose_secret()) {
            read.problem(API_KEYS, format_args!("repeats a secret in entry {place}"), "each secret once");
        }
        if keys.iter().any(|other| other.name == *name && other.max != *max) {
            let wrong = format_args!("gives `{name}` another rate in entry {place}");
            read.problem(API_KEYS, wrong, "one rate for all secrets of a name");
        }
        if secret.expose_secret().len() < SHORTEST_SECRET {
            read.warn(format!(
                "API_KEYS: the secret in entry {place} is short; `openssl rand -hex 32` makes a good one"
            ));
        }
        keys.push(key);
    }
    keys
}

/// `name:secret` or `name:secret:max`.
fn api_key(entry: &str) -> Option<ApiKeyConfig> {
    let mut parts = entry.split(':');
    let (name, secret) = (parts.next()?, parts.next()?);
    let max: Option<u32> = parts.next().map(str::parse).transpose().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain);
    let is_secret = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name || !is_secret || max > Some(LARGEST_MAX) || parts.next().is_some() {
        return None;
    }
    Some(ApiKeyConfig { name: name.to_owned(), secret: secret.into(), max })
}

pub(super) fn read_sessions(read: &mut Reader, is_production: bool) -> SessionConfig {
    let ttl = read.seconds("SESSION_TTL_SECONDS", 86_400, SHORTEST_SESSION..=LONGEST_SESSION);
    let words = [("lax", SameSite::Lax), ("none", SameSite::None)];
    let same_site = read.one_of("SESSION_SAME_SITE", SameSite::Lax, &words);
    SessionConfig { ttl, same_site, is_secure: is_production || same_site == SameSite::None }
}

pub(super) fn read_client_ip(read: &mut Reader) -> ClientIpConfig {
    let source = read.one_of(
        "CLIENT_IP_SOURCE",
        ClientIpSource::ConnectInfo,
        &[
            ("ConnectInfo", ClientIpSource::ConnectInfo),
            ("RightmostXForwardedFor", ClientIpSource::RightmostXForwardedFor),
            ("XForwardedFor", ClientIpSource::XForwardedFor),
            ("CfConnectingIp", ClientIpSource::CfConnectingIp),
            ("TrueClientIp", ClientIpSource::TrueClientIp),
            ("XRealIp", ClientIpSource::XRealIp),
        ],
    );
    // What Render sets itself in every service.
    if source == ClientIpSource::ConnectInfo && read.text("RENDER").is_some() {
        let advice = "this looks like Render, where every client comes from the platform's own address: all of them would \
                      share one rate limit. Set CLIENT_IP_SOURCE=CfConnectingIp";
        read.warn(advice.to_owned());
    }
    if source != ClientIpSource::XForwardedFor && read.text("TRUSTED_PROXIES").is_some() {
        read.warn("TRUSTED_PROXIES is set, but CLIENT_IP_SOURCE is not XForwardedFor: it has no effect".to_owned());
    }
    ClientIpConfig { source, trusted_proxies: read.networks("TRUSTED_PROXIES", &PRIVATE_NETWORKS) }
}
