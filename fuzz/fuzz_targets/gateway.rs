//! The service, with its store in this process, and what it says to a body.

use axum::{
    body::Body,
    http::{StatusCode, request::Builder},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use llm_gateway::{
    app::{App, HttpService},
    config::{Config, Sources},
};
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// One for all bodies.
pub struct Gateway(Runtime, HttpService);

impl Gateway {
    /// With `settings`, and a provider that nobody may ask.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let service = runtime.block_on(async {
            let settings = [&[("OPENAI_API_KEY", "sk-fuzz")][..], settings].concat();
            let Ok(config) = Config::read(Sources::from(&*settings)) else { panic!("a configuration") };
            App::new(&config).expect("an app").service
        });
        Self(runtime, service)
    }

    /// Status and JSON.
    pub fn ask(&self, head: Builder, body: &[u8]) -> (StatusCode, Value) {
        let Self(runtime, service) = self;
        let body = Body::from(Bytes::copy_from_slice(body));
        let request = head.header("content-type", "application/json").body(body).expect("a request");
        runtime.block_on(async {
            let Ok(response) = service.clone().oneshot(request).await;
            let status = response.status();
            let answer = response.into_body().collect().await.expect("a whole answer").to_bytes();
            (status, serde_json::from_slice(&answer).expect("every answer is JSON"))
        })
    }
}
