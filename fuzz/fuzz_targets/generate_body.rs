//! Any body of a generation is understood or refused, and the same one always means the same. `/llm/cache/explain` reads it as
//! a generation does, and asks nobody.

#![no_main]

mod gateway;

use axum::http::{Request, StatusCode};
use gateway::Gateway;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GATEWAY: Gateway = Gateway::with(&[("ADMIN_TOKEN", "fuzz"), ("CACHE_TTL_BY_PROMPT", "1")]);
}

fuzz_target!(|body: &[u8]| {
    GATEWAY.with(|gateway| {
        let ask = || {
            let head = Request::post("/llm/cache/explain").header("authorization", "Bearer fuzz");
            let (status, answer) = gateway.ask(head, body);
            (status, answer["key"].clone())
        };
        let (status, key) = ask();
        assert_eq!((status, key.clone()), ask());
        match status {
            StatusCode::OK => assert!(key.as_str().is_some_and(|key| key.starts_with("llm:cache:"))),
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {}
            status => panic!("{status}"),
        }
    });
});
