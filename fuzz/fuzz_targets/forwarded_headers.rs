//! Whatever a client writes into the headers of proxies, its address is the one that the nearest trusted proxy saw.

#![no_main]

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use llm_gateway::{
    caller::Addresses,
    config::{Config, Sources},
};

const NAMES: [&str; 5] = ["x-forwarded-for", "cf-connecting-ip", "true-client-ip", "x-real-ip", "forwarded"];
const SOURCES: [(&str, &str); 5] = [
    ("RightmostXForwardedFor", "x-forwarded-for"),
    ("XForwardedFor", "x-forwarded-for"),
    ("CfConnectingIp", "cf-connecting-ip"),
    ("TrueClientIp", "true-client-ip"),
    ("XRealIp", "x-real-ip"),
];

fn addresses(source: &str) -> Addresses {
    let Ok(config) = Config::read(Sources::from([("CLIENT_IP_SOURCE", source)])) else { panic!("a configuration") };
    Addresses::new(config.client_ip)
}

// Each line is a header: its first byte chooses the name, the rest is its value.
fuzz_target!(|lines: &[u8]| {
    let (proxy, client): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [203, 0, 113, 7].into());
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((choice, value)) = line.split_first() else { continue };
        let name = NAMES[usize::from(*choice) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    assert_eq!(addresses("ConnectInfo").of(&headers, client), client);
    assert_eq!(addresses("XForwardedFor").of(&headers, client), client, "a peer that is no trusted proxy");
    for (source, name) in SOURCES {
        let addresses = addresses(source);
        // What the client wrote alone must not stop anything.
        let found = addresses.of(&headers, proxy);
        assert_eq!(found, found.to_canonical());
        // In a header of its own, and, where that is a list, behind what is there.
        let (mut apart, mut joined) = (headers.clone(), headers.clone());
        apart.append(HeaderName::from_static(name), HeaderValue::from_static("203.0.113.7"));
        assert_eq!(addresses.of(&apart, proxy), client, "{source}");
        if let Some(last) = joined.get_all(name).iter().next_back().cloned().filter(|_| name == "x-forwarded-for") {
            let value = [last.as_bytes(), b", 203.0.113.7"].concat();
            joined.insert(name, HeaderValue::from_bytes(&value).expect("bytes of a header"));
            assert_eq!(addresses.of(&joined, proxy), client, "{source}");
        }
    }
});
