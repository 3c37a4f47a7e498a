//! The client's address, as far as it can be believed.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::http::{HeaderMap, HeaderValue};

use crate::config::{ClientIpConfig, ClientIpSource};

/// Finds the address of whoever sent a request.
pub struct Addresses {
    config: ClientIpConfig,
    warned: AtomicBool,
}

impl Addresses {
    /// Reads addresses as `config` says.
    pub fn new(config: ClientIpConfig) -> Self {
        Self { config, warned: AtomicBool::new(false) }
    }

    /// The address of whoever sent `headers` over a connection from `peer`; an IPv4 address never as IPv6.
    ///
    /// Where a promised header is missing or holds no address, it is `peer`, and the log says so once.
    pub fn of(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let found = match self.config.source {
            ClientIpSource::ConnectInfo => Some(peer),
            ClientIpSource::RightmostXForwardedFor => forwarded(headers).next().flatten(),
            ClientIpSource::XForwardedFor => self.first_untrusted(headers, peer),
            ClientIpSource::CfConnectingIp => single(headers, "cf-connecting-ip"),
            ClientIpSource::TrueClientIp => single(headers, "true-client-ip"),
            ClientIpSource::XRealIp => single(headers, "x-real-ip"),
        };
        if found.is_none() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                source = ?self.config.source,
                "a request came without the header that CLIENT_IP_SOURCE promises, or from a peer that is not among \
                 TRUSTED_PROXIES; its peer's address is used instead"
            );
        }
        found.unwrap_or(peer).to_canonical()
    }

    /// From the right, past proxies that are trusted, of which `peer` must be one. The leftmost entries are whatever the client
    /// wrote.
    fn first_untrusted(&self, headers: &HeaderMap, peer: IpAddr) -> Option<IpAddr> {
        let is_trusted = |ip: &IpAddr| self.config.trusted_proxies.iter().any(|network| network.contains(ip));
        if !is_trusted(&peer.to_canonical()) {
            return None;
        }
        let mut nearest_trusted = None;
        for entry in forwarded(headers) {
            // Behind an entry that is no address, nothing can be believed.
            let Some(address) = entry else { break };
            if !is_trusted(&address) {
                return Some(address);
            }
            // Of those who are all trusted, only the last was certainly written by a proxy.
            nearest_trusted = nearest_trusted.or(Some(address));
        }
        nearest_trusted
    }
}

/// The entries of all `X-Forwarded-For` headers, from the right. `None`: not an address. Cut as bytes, so that what a client
/// wrote cannot make unreadable what a proxy put behind it.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
    let entries = values.into_iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    entries.map(|entry| address(std::str::from_utf8(entry).ok()?))
}

/// The address in the header `name`. Where there are several, the last is the one that the nearest proxy wrote.
fn single(headers: &HeaderMap, name: &str) -> Option<IpAddr> {
    headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok()).and_then(address)
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{caller::Caller, config::Config};

    fn caller(source: &str, headers: &[(&'static str, &str)], peer: &str) -> String {
        let config = Config::read([("CLIENT_IP_SOURCE", source)].into()).unwrap_or_else(|_| panic!("{source}"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Caller::at(Addresses::new(config.client_ip).of(&map, peer.parse().unwrap())).to_string()
    }

    #[test]
    fn a_client_has_the_address_that_the_setting_names() {
        let xff: &[_] = &[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.1.1.1, 10.2.2.2")];
        for (source, headers, expected) in [
            ("ConnectInfo", xff, "9.9.9.9"),
            ("RightmostXForwardedFor", xff, "10.2.2.2"),
            ("XForwardedFor", xff, "9.9.9.9"),
            ("CfConnectingIp", &[("cf-connecting-ip", "1.2.3.4")], "1.2.3.4"),
            ("CfConnectingIp", xff, "9.9.9.9"),
            ("TrueClientIp", &[("true-client-ip", "2001:db8:1:2:3:4:5:6")], "2001:db8:1:2::/64"),
            ("XRealIp", &[("x-real-ip", "[2001:db8::1]:443")], "2001:db8::/64"),
            ("XRealIp", &[("x-real-ip", "1.2.3.4:5678")], "1.2.3.4"),
            ("XRealIp", &[("x-real-ip", "6.6.6.6"), ("x-real-ip", "1.2.3.4")], "1.2.3.4"),
        ] {
            assert_eq!(caller(source, headers, "9.9.9.9"), expected, "{source} {headers:?}");
        }
        for (headers, expected) in [
            (xff, "1.2.3.4"),
            (&[("x-forwarded-for", "\u{ff}, 1.2.3.4")], "1.2.3.4"),
            (&[("x-forwarded-for", "1.2.3.4, garbage, 10.2.2.2")], "10.2.2.2"),
            (&[("x-forwarded-for", "10.9.9.9, 10.2.2.2")], "10.2.2.2"),
            (&[("x-forwarded-for", "1.2.3.4,")], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(caller("XForwardedFor", headers, "::ffff:10.0.0.1"), expected, "{headers:?}");
        }
    }

    #[test]
    fn an_ipv4_peer_is_never_written_as_ipv6() {
        assert_eq!(caller("ConnectInfo", &[], "::ffff:1.2.3.4"), "1.2.3.4");
    }
}
