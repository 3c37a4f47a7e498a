//! Only 64 hexadecimal digits name a session, and whatever one holds can be read.

#![no_main]

use axum::http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use llm_gateway::{
    layers::NamedSession,
    sessions::{SessionData, SessionId},
};

fuzz_target!(|bytes: &[u8]| {
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let id = SessionId::parse(text);
        assert_eq!(id.is_some(), is_id(text));
        assert!(id.is_none_or(|id| id.to_hex() == text));
    }
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        for name in ["cookie", "x-session-id"] {
            let headers = HeaderMap::from_iter([(name.parse().expect("a name"), value.clone())]);
            if let Some(named) = NamedSession::read(&headers) {
                let id = named.id.to_hex();
                assert!(is_id(&id) && String::from_utf8_lossy(bytes).contains(&id));
                assert_eq!(named.is_cookie, name == "cookie");
            }
        }
    }
    if let Some(data) = SessionData::read(bytes) {
        drop(data.user());
    }
});
