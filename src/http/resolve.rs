//! From what a client asks to what the layers work with.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode, header, request::Parts};

use crate::{
    caller::Caller,
    catalogue::{Route, Routed, RoutingMode, Unresolved, Wanted},
    config::{CacheScope, PromptStyle},
    error::ApiError,
    generate::{
        Conditions, Delivery, Failover, Format, GenerateRequest, Message, ModelId, Part, Purpose, Sampling, Target,
        Tools,
    },
};

use super::{Api, ask::Ask, cache_control::policy, check::short, narrate};

/// The same for every request, so that providers can cache it.
const CODE_INSTRUCTIONS: &str = "You write code for a web project. Put every file that you create or change into a \
fenced code block of its own. Behind the opening fence, on the same line, write the language and then the path of the \
file from the project's root, like this:\n\n```tsx src/components/Button.tsx\n\nGive each file whole, ready to be \
saved: no placeholders, no omissions, no diff. Use as many blocks as there are files. Keep explanations outside of the \
blocks, and short. If the question needs no code, answer in plain words.";

/// What was asked, as the reply speaks of it.
pub(super) struct Asked {
    /// The prompt's beginning, for a stream.
    pub(super) opening: String,
    /// The model that the client named.
    pub(super) model: ModelId,
    /// Who is asked first.
    pub(super) target: Target,
    pub(super) routed: Option<Routed>,
    pub(super) routing_mode: RoutingMode,
    pub(super) ignored: Vec<&'static str>,
}

/// From what the client wants to what the layers work with.
pub(super) fn resolve(
    api: &Api,
    ask: Ask,
    head: &Parts,
    lookup_time: Duration,
) -> Result<(Asked, GenerateRequest), ApiError> {
    let headers = &head.headers;
    let delivery =
        if ask.streaming.unwrap_or_else(|| accepts_events(headers)) { Delivery::Stream } else { Delivery::Whole };
    let routing_mode = ask.routing_mode.unwrap_or_default();
    let question_tokens = (ask.prompt.len() as u64).div_ceil(4);
    let resolved = api.catalogue.resolve(&Wanted {
        model: ask.model.as_deref(),
        provider: ask.active_provider.as_deref(),
        routing: Route {
            mode: routing_mode,
            question_tokens,
            capabilities: &ask.capabilities,
            priority: ask.priority,
            max_cost: ask.max_cost,
            prompt: &ask.prompt,
        },
    })?;
    let wanted = Sampling { temperature: ask.temperature, max_tokens: ask.max_tokens, ..Sampling::default() };
    let (sampling, ignored) = match resolved.model {
        Some(model) => model.params.fit(wanted.clone(), false),
        None => (wanted.clone(), Vec::new()),
    };
    let instructions = match api.prompt_style {
        PromptStyle::Code => Some(Message::System(Cow::Borrowed(CODE_INSTRUCTIONS))),
        PromptStyle::Plain => None,
    };
    let opening = match delivery {
        Delivery::Stream => narrate::opening(&ask.prompt),
        Delivery::Whole => String::new(),
    };
    let question = Message::User(vec![Part::Text(ask.prompt)]);
    let request = GenerateRequest {
        target: resolved.target.clone(),
        messages: instructions.into_iter().chain([question]).collect(),
        sampling,
        wanted,
        format: Format::Text,
        tools: Tools::default(),
        delivery,
        failover: match resolved.fallbacks.as_slice() {
            _ if !ask.allow_failover => Failover::Nobody,
            [] => Failover::AnyModel,
            named => Failover::Among(named.into()),
        },
        conditions: Conditions { capabilities: ask.capabilities, max_cost: ask.max_cost, reserved: None },
        policy: policy(headers),
        private_to: private_to(api.cache.scope, head),
        lookup_time,
        purpose: Purpose::default(),
        end_user: None,
    };
    let model = resolved.replaced.unwrap_or_else(|| resolved.target.model.clone());
    let asked = Asked { opening, model, target: resolved.target, routed: resolved.routed, routing_mode, ignored };
    Ok((asked, request))
}

/// Who alone may be given the answer again.
pub(super) fn private_to(scope: CacheScope, head: &Parts) -> Option<Arc<str>> {
    match scope {
        CacheScope::Shared => None,
        // Whoever cannot be told apart shares with nobody who can.
        CacheScope::Caller => {
            Some(head.extensions.get().map_or_else(|| "".into(), |caller: &Caller| caller.to_string().into()))
        }
    }
}

/// Whether `Accept` names events, and not with `q=0`, which would refuse them (RFC 9110, section 12.4.2).
fn accepts_events(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_events = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/event-stream"));
        let is_refused = |weight: &str| weight.trim_start_matches(['q', 'Q', '=']).parse() == Ok(0.0);
        is_events && !parts.any(is_refused)
    })
}

impl From<Unresolved> for ApiError {
    fn from(unresolved: Unresolved) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        match unresolved {
            Unresolved::NotConfigured { provider, variable } => Self {
                provider: Some(short(&provider).as_str().into()),
                hint: Some(variable.map_or(Cow::Borrowed("Check provider setup"), |variable| {
                    format!("Set {variable} in .env.local").into()
                })),
                ..Self::new(status, "Provider not configured")
            },
            Unresolved::NotOffered { provider, model, available } => Self {
                provider: Some(provider),
                model: Some(short(&model).as_str().into()),
                available_models: Some(available),
                ..Self::new(status, "Model not supported for provider")
            },
            Unresolved::Retired { provider, model, replacement } => Self {
                provider: Some(provider),
                model: Some(model),
                available_models: Some(replacement.into_iter().collect()),
                ..Self::new(status, "Model no longer served by its vendor")
            },
            Unresolved::NoneFits => Self::new(status, "No configured model fits the request")
                .message("Raise `maxCost`, ask for fewer `capabilities`, or name a model."),
        }
    }
}
