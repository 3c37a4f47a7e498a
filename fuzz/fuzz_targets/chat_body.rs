//! Any body of `OpenAI`'s API is understood or refused, in the form of that API. Who wants a stored answer alone asks nobody.

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
            let sources = Sources::from([("RATE_LIMIT_MAX", "0"), ("OPENAI_API_KEY", "sk-fuzz")]);
            let Ok(config) = Config::read(sources) else { panic!("a configuration") };
            App::new(&config).expect("an app").service
        });
        (runtime, service)
    };
}

fuzz_target!(|body: &[u8]| {
    let body = Bytes::copy_from_slice(body);
    GATEWAY.with(|(runtime, service)| {
        let ask = async |path: &str| {
            let request = Request::post(path)
                .header("cache-control", "only-if-cached, max-age=60")
                .header("content-type", "application/json")
                .body(Body::from(body.clone()))
                .expect("a request");
            let Ok(response) = service.clone().oneshot(request).await;
            let status = response.status();
            let answer = response.into_body().collect().await.expect("a whole answer").to_bytes();
            let answer: serde_json::Value = serde_json::from_slice(&answer).expect("every answer is JSON");
            let code = answer["error"]["code"].as_str().unwrap_or_default().to_owned();
            assert!(answer["error"]["message"].is_string());
            match status {
                StatusCode::GATEWAY_TIMEOUT => assert_eq!(code, "not_cached"),
                StatusCode::NOT_FOUND => assert_eq!(code, "model_not_found"),
                StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {}
                status => panic!("{status}"),
            }
        };
        runtime.block_on(async {
            ask("/v1/chat/completions").await;
            ask("/v1/embeddings").await;
        });
    });
});
