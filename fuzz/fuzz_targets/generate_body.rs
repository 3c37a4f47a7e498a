//! Any body of a generation is understood or refused, and the same one always means the same. `/llm/cache/explain` reads it as
//! a generation does, and asks nobody.

#![no_main]

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use llm_gateway::{
    app::{App, HttpService},
    config::{Config, Sources},
};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

thread_local! {
    static GATEWAY: (Runtime, HttpService) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let service = runtime.block_on(async {
            let sources = Sources::from([("ADMIN_TOKEN", "fuzz"), ("OPENAI_API_KEY", "sk-fuzz"), ("CACHE_TTL_BY_PROMPT", "1")]);
            let Ok(config) = Config::read(sources) else { panic!("a configuration") };
            App::new(&config).expect("an app").service
        });
        (runtime, service)
    };
}

fuzz_target!(|body: &[u8]| {
    let body = Bytes::copy_from_slice(body);
    GATEWAY.with(|(runtime, service)| {
        let ask = async || {
            let request = Request::post("/llm/cache/explain")
                .header("authorization", "Bearer fuzz")
                .header("content-type", "application/json")
                .body(Body::from(body.clone()))
                .expect("a request");
            let Ok(response) = service.clone().oneshot(request).await;
            let status = response.status();
            let answer = response.into_body().collect().await.expect("a whole answer").to_bytes();
            let answer: serde_json::Value = serde_json::from_slice(&answer).expect("every answer is JSON");
            (status, answer["key"].clone())
        };
        let (first, again) = runtime.block_on(async { (ask().await, ask().await) });
        assert_eq!(first, again);
        let (status, key) = first;
        match status {
            StatusCode::OK => assert!(key.as_str().is_some_and(|key| key.starts_with("llm:cache:"))),
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {}
            status => panic!("{status}"),
        }
    });
});
