//! `POST /llm/test-provider`: how a provider is now.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;
use utoipa::ToSchema;

use crate::{
    catalogue::{Route, RoutingMode, Wanted},
    error::ApiError,
    generate::{
        Conditions, Delivery, ErrorKind, Failover, Format, GenerateError, GenerateRequest, Generation, Message, Part,
        Policy, Purpose, Sampling, Tools,
    },
};

use super::{
    Api,
    check::{body_text, object, text},
    exchange::{lookup_time, with_body},
};

/// The longest answer that is paid for, in tokens: the least that every vendor takes.
const MAX_TOKENS: u32 = 16;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TestProviderRequest)]
struct Fields<'a> {
    /// One of `GET /llm/providers`.
    #[serde(borrow)]
    #[schema(value_type = String, pattern = r"\S", max_length = 256)]
    provider_name: Option<&'a RawValue>,
}

/// How it went.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProviderTested)]
struct Tested {
    /// As sent.
    provider: String,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// In milliseconds. `None`: nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_time: Option<u64>,
}

/// Tests a provider: says «Hello» to its first model, past the cache. Whatever comes back is success.
///
/// # Errors
/// 400 for the body.
#[utoipa::path(
    post,
    path = "/llm/test-provider",
    tag = "models",
    request_body(content = Fields, example = json!({"providerName": "demo"})),
    responses((status = 200, description = "How it went.", body = Tested,
        example = json!({"provider": "openai", "success": true, "responseTime": 412}))),
)]
pub async fn test_provider(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    with_body(api, request, answer).await
}

async fn answer(api: Arc<Api>, head: &Parts, body: Bytes) -> Result<Response, ApiError> {
    let name = name(&body_text(&body))?;
    let Some(request) = hello(&api, &name, lookup_time(&api, head)) else {
        let error = Some("Provider not found".to_owned());
        return Ok(Json(Tested { provider: name, success: false, error, response_time: None }).into_response());
    };
    let begun = Instant::now();
    let error = ask(&api, request).await.err().map(ApiError::from).map(|error| error.error.into_owned());
    let response_time = Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
    Ok(Json(Tested { provider: name, success: error.is_none(), error, response_time }).into_response())
}

fn name(body: &str) -> Result<String, ApiError> {
    const LONGEST: usize = 256;
    let fields: Fields<'_> = object(body)?;
    let name = fields.provider_name.map(|raw| text(raw).unwrap_or_default()).unwrap_or_default();
    if name.trim().is_empty() || name.len() > LONGEST {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "Provider name is required")
            .message("Send `{\"providerName\":\"openai\"}`; `GET /llm/providers` names those that can be asked."));
    }
    Ok(name)
}

/// `None`: there is no such provider, or it has no model.
fn hello(api: &Api, provider: &str, lookup_time: Duration) -> Option<GenerateRequest> {
    let provider = provider.trim().to_lowercase();
    if !api.catalogue.is_configured(&provider) {
        return None;
    }
    let routing = Route { mode: RoutingMode::SingleModel, ..Route::default() };
    let resolved = api.catalogue.resolve(&Wanted { model: None, provider: Some(&provider), routing }).ok()?;
    let wanted = Sampling { max_tokens: Some(MAX_TOKENS), ..Sampling::default() };
    let sampling = resolved.model.map_or_else(|| wanted.clone(), |model| model.params.fit(wanted.clone(), false).0);
    Some(GenerateRequest {
        target: resolved.target,
        messages: vec![Message::User(vec![Part::Text("Hello".to_owned())])],
        sampling,
        wanted,
        format: Format::Text,
        tools: Tools::default(),
        delivery: Delivery::Whole,
        // It is this one that somebody wants to know of.
        failover: Failover::Nobody,
        conditions: Conditions::default(),
        policy: Policy { no_store: true, ..Policy::default() },
        private_to: None,
        lookup_time,
        purpose: Purpose::default(),
        end_user: None,
    })
}

async fn ask(api: &Api, request: GenerateRequest) -> Result<(), GenerateError> {
    let answering = async {
        let Generation { receipt: _, answer } = api.generate.clone().oneshot(request).await?;
        answer.collect().await
    };
    let answer = tokio::select! {
        answer = timeout(api.bounds.answer, answering) => answer.unwrap_or_else(|_| Err(ErrorKind::Timeout.into())),
        () = api.stopping.cancelled() => Err(ErrorKind::Stopping.into()),
    };
    match answer {
        Err(error) if error.kind == ErrorKind::EmptyAnswer => Ok(()),
        answer => answer.map(drop),
    }
}
