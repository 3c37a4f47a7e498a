//! Who is asking, as far as a limit goes by it: the client's address.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::http::HeaderMap;

use crate::config::{ClientIpConfig, ClientIpSource};

/// Finds the address of whoever sent a request.
pub struct Callers {
    config: ClientIpConfig,
    warned: AtomicBool,
}

/// Whoever sent a request, by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its address; an IPv4 address never as IPv6.
    pub address: IpAddr,
}

impl Callers {
    /// Reads addresses as `config` says.
    pub fn new(config: ClientIpConfig) -> Self {
        Self { config, warned: AtomicBool::new(false) }
    }

    /// Whoever sent `headers` over a connection from `peer`.
    ///
    /// Where a promised header is missing or holds no address, it is `peer`, and the log says so once.
    pub fn caller(&self, headers: &HeaderMap, peer: IpAddr) -> Caller {
        let found = match self.config.source {
            ClientIpSource::ConnectInfo => Some(peer),
            ClientIpSource::RightmostXForwardedFor => forwarded(headers).next().flatten(),
            ClientIpSource::XForwardedFor => self.first_untrusted(headers),
            ClientIpSource::CfConnectingIp => single(headers, "cf-connecting-ip"),
            ClientIpSource::TrueClientIp => single(headers, "true-client-ip"),
            ClientIpSource::XRealIp => single(headers, "x-real-ip"),
        };
        if found.is_none() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                source = ?self.config.source,
                "a request came without the header that CLIENT_IP_SOURCE promises; its peer's address is used instead"
            );
        }
        Caller { address: found.unwrap_or(peer).to_canonical() }
    }

    /// From the right, past proxies that are trusted. The leftmost entries are whatever the client wrote.
    fn first_untrusted(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let is_trusted = |ip: &IpAddr| self.config.trusted_proxies.iter().any(|network| network.contains(ip));
        let mut last_trusted = None;
        for entry in forwarded(headers) {
            // Behind an entry that is no address, nothing can be believed.
            let Some(address) = entry else { break };
            if !is_trusted(&address) {
                return Some(address);
            }
            last_trusted = Some(address);
        }
        last_trusted
    }
}

/// The entries of all `X-Forwarded-For` headers, from the right. `None`: not an address.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    values.into_iter().rev().flat_map(|value| value.to_str().unwrap_or_default().rsplit(',').map(address))
}

fn single(headers: &HeaderMap, name: &str) -> Option<IpAddr> {
    headers.get(name).and_then(|value| value.to_str().ok()).and_then(address)
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').split(']').next().unwrap_or(text);
    let without_port = || text.rsplit_once(':').map(|(host, _)| host);
    let address = bare.parse().ok().or_else(|| without_port()?.parse().ok())?;
    Some(IpAddr::to_canonical(&address))
}

/// The bucket that the caller shares: an IPv4 address alone, an IPv6 address with its /64, which is one household's.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            // Every request is counted under its address, and the standard library formats as if it could be padded.
            IpAddr::V4(address) => address.octets().into_iter().enumerate().try_for_each(|(at, octet)| {
                f.write_str(if at == 0 { "" } else { "." })?;
                f.write_str(itoa::Buffer::new().format(octet))
            }),
            IpAddr::V6(address) => {
                let household = u128::from(address) >> 64 << 64;
                write!(f, "{}/64", Ipv6Addr::from(household))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn caller(source: &str, headers: &[(&'static str, &str)], peer: &str) -> String {
        let config = Config::read([("CLIENT_IP_SOURCE", source)].into()).unwrap_or_else(|_| panic!("{source}"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Callers::new(config.client_ip).caller(&map, peer.parse().unwrap()).to_string()
    }

    #[test]
    fn a_client_has_the_address_that_the_setting_names() {
        let xff: &[_] = &[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.1.1.1, 10.2.2.2")];
        for (source, headers, expected) in [
            ("ConnectInfo", xff, "9.9.9.9"),
            ("RightmostXForwardedFor", xff, "10.2.2.2"),
            ("XForwardedFor", xff, "1.2.3.4"),
            ("XForwardedFor", &[("x-forwarded-for", "1.2.3.4, garbage, 10.2.2.2")], "10.2.2.2"),
            ("XForwardedFor", &[], "9.9.9.9"),
            ("CfConnectingIp", &[("cf-connecting-ip", "1.2.3.4")], "1.2.3.4"),
            ("CfConnectingIp", xff, "9.9.9.9"),
            ("TrueClientIp", &[("true-client-ip", "2001:db8:1:2:3:4:5:6")], "2001:db8:1:2::/64"),
            ("XRealIp", &[("x-real-ip", "[2001:db8::1]:443")], "2001:db8::/64"),
            ("XRealIp", &[("x-real-ip", "1.2.3.4:5678")], "1.2.3.4"),
        ] {
            assert_eq!(caller(source, headers, "9.9.9.9"), expected, "{source} {headers:?}");
        }
    }

    #[test]
    fn an_ipv4_peer_is_never_written_as_ipv6() {
        assert_eq!(caller("ConnectInfo", &[], "::ffff:1.2.3.4"), "1.2.3.4");
    }
}
