//! Any body of `OpenAI`'s API is understood or refused, in the form of that API. Who wants a stored answer alone asks nobody.

#![no_main]

mod gateway;

use axum::http::{Request, StatusCode};
use gateway::Gateway;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GATEWAY: Gateway = Gateway::with(&[("RATE_LIMIT_MAX", "0")]);
}

fuzz_target!(|body: &[u8]| {
    GATEWAY.with(|gateway| {
        for path in ["/v1/chat/completions", "/v1/embeddings"] {
            let head = Request::post(path).header("cache-control", "only-if-cached, max-age=60");
            let (status, answer) = gateway.ask(head, body);
            let code = answer["error"]["code"].as_str().unwrap_or_default();
            assert!(answer["error"]["message"].is_string());
            match status {
                StatusCode::GATEWAY_TIMEOUT => assert_eq!(code, "not_cached"),
                StatusCode::NOT_FOUND => assert_eq!(code, "model_not_found"),
                StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {}
                status => panic!("{status}"),
            }
        }
    });
});
