//! `GET /openapi.json`: every route of the service, from what stands at its handler.
//!
//! A handler describes itself: its path, its body, its own replies. What else it answers depends on the layers in front of it, so
//! the groups here are those of `app/stacks.rs`, and `layers.rs` adds what their layers say. A new handler is a name in the list of
//! its group; the test `it::openapi` holds the document against the routes.
//!
//! What is served is the file `openapi.json`, as [`document`] made it: what makes it is a tenth of a binary, and nothing needs it at run
//! time. The same test holds them together, and writes the file anew when it is asked to.

mod generations;
mod headers;
mod layers;
mod streams;

use axum::http::{HeaderName, header};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    budget, cache, check, edge, explain, generate, health, metrics, models,
    openai::{self, ChatCompletionChunk},
    page, sessions, status, test_provider,
};

pub(super) use streams::{ChatStream, GenerateStream};

use layers::{
    ADMIN, BODY, CLIENT, GENERATION, KEY, LOAD_SHED, Layer, OWN_SESSION, RATE_LIMIT, SESSION_STORE, STATUS, STORE,
    WATCHED, behind,
};

/// Describes this API.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "service",
    responses((status = 200, description = "The document that you read.", body = serde_json::Value)),
)]
pub async fn openapi() -> ([(HeaderName, &'static str); 2], &'static str) {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, include_str!("openapi.json"))
}

/// What [`openapi`] serves, made of what stands at the handlers.
///
/// # Errors
/// None, in truth: it is texts and numbers by names that are texts.
pub fn document() -> serde_json::Result<String> {
    described().to_json()
}

/// Questions to models.
#[derive(OpenApi)]
#[openapi(
    paths(generate::generate, openai::chat::chat_completions, openai::embeddings::embeddings),
    components(schemas(generate::GenerateEvent, ChatCompletionChunk))
)]
struct Generations;

/// What else spends.
#[derive(OpenApi)]
#[openapi(paths(test_provider::test_provider))]
struct Tests;

/// What clients may read.
#[derive(OpenApi)]
#[openapi(paths(
    models::models,
    models::providers,
    cache::cache_stats,
    budget::status,
    openai::models::models,
    openai::models::model
))]
struct Lists;

/// The same, where the store has to say it.
#[derive(OpenApi)]
#[openapi(paths(models::usage, budget::config, budget::analytics, budget::alerts))]
struct StoreLists;

/// What whoever has a session may do with it.
#[derive(OpenApi)]
#[openapi(paths(sessions::current, sessions::end))]
struct OwnSession;

/// What a trusted server may do with sessions.
#[derive(OpenApi)]
#[openapi(paths(sessions::create, sessions::update, sessions::of_user, sessions::end_all))]
struct Trusted;

/// What the administrator may do.
#[derive(OpenApi)]
#[openapi(
    paths(budget::set_config, budget::reset, budget::acknowledge, explain::explain, cache::clear, cache::forget),
    components(schemas(budget::PeriodName))
)]
struct Administration;

/// How it is doing.
#[derive(OpenApi)]
#[openapi(paths(metrics::metrics))]
struct Metrics;

/// The same, for the status page.
#[derive(OpenApi)]
#[openapi(paths(status::status))]
struct Watched;

/// What is open to anyone, and never shed.
#[derive(OpenApi)]
#[openapi(paths(health::health, health::ready, openapi, page::page, page::asset))]
struct Open;

/// What the groups have in common.
#[derive(OpenApi)]
#[openapi(
    info(
        description = "A gateway in front of LLM providers: cached, coalesced, rate limited.\n\nErrors of `/v1/*` have OpenAI's form, \
            all others that of `Error`. A route that does not exist answers 404, a method that a route does not have 405 with `Allow`; \
            each `GET` answers `HEAD` too."
    ),
    tags(
        (name = "generation", description = "Questions to models. Who asks more often than its limit allows gets 429."),
        (name = "models", description = "What can be asked."),
        (name = "money", description = "What was spent, and budgets."),
        (name = "cache", description = "What answers are kept."),
        (name = "sessions", description = "Who is signed in. Where the service has no `API_KEYS`, only one's own can be looked at and ended."),
        (name = "service", description = "The service itself."),
    ),
    components(schemas(edge::Said, openai::Said, check::FieldError)),
    modifiers(&Schemes)
)]
struct Root;

/// By what clients are known.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let bearer = |description: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
            SecurityScheme::Http(scheme.build())
        };
        let session = "A live session. A browser that sends the cookie, and changes something, needs an `Origin` of FRONTEND_URL.";
        let named = |name| ApiKeyValue::with_description(name, session);
        // The crate names none, and an empty name says nothing.
        document.info.license = None;
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [
            ("apiKey", bearer("One of API_KEYS. Where there are none, clients need nothing.")),
            ("admin", bearer("The ADMIN_TOKEN. Where there is none, the routes that need it answer 404.")),
            ("sessionCookie", SecurityScheme::ApiKey(ApiKey::Cookie(named("sessionId")))),
            ("sessionHeader", SecurityScheme::ApiKey(ApiKey::Header(named("X-Session-Id")))),
        ] {
            components.add_security_scheme(name, scheme);
        }
    }
}

/// The whole document. The groups stand in the order of `app/stacks.rs`.
fn described() -> Document {
    let groups: [(Document, &[Layer]); 10] = [
        (Generations::openapi(), &[LOAD_SHED, CLIENT, RATE_LIMIT, BODY, GENERATION]),
        (Tests::openapi(), &[LOAD_SHED, CLIENT, RATE_LIMIT, BODY]),
        (Lists::openapi(), &[LOAD_SHED, CLIENT]),
        (StoreLists::openapi(), &[LOAD_SHED, CLIENT, STORE]),
        (OwnSession::openapi(), &[LOAD_SHED, OWN_SESSION, SESSION_STORE]),
        (Trusted::openapi(), &[LOAD_SHED, KEY, BODY, SESSION_STORE]),
        (Administration::openapi(), &[LOAD_SHED, ADMIN, BODY]),
        (Metrics::openapi(), &[WATCHED]),
        (Watched::openapi(), &[CLIENT, STATUS]),
        (Open::openapi(), &[]),
    ];
    groups.into_iter().fold(Root::openapi(), |document, (group, layers)| document.merge_from(behind(layers, group)))
}
