//! From what a client asks to what the layers work with.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode, request::Parts};
use sha2::{Digest as _, Sha256};

use crate::{
    catalogue::{Model, Resolved, Route, Unresolved, Wanted},
    error::ApiError,
    generate::{
        Conditions, Delivery, Failover, Format, GenerateRequest, Message, Params, Part, Policy, Purpose, Sampling,
        Target, Tools, Wishes,
    },
    http::{Api, cache_control::policy, check::short, resolve::private_to},
};

use super::{body::unsupported, chat_request::ChatAsk, dropped::Dropped, messages::conversation};

/// What was asked, as the reply speaks of it.
pub(super) struct Asked {
    /// Who is asked first.
    pub(super) target: Target,
    /// Who is asked where the first fails, in order.
    pub(super) others: Vec<Target>,
    /// Whether a stream ends with what was counted.
    pub(super) wants_usage: bool,
    pub(super) left_out: LeftOut,
}

/// What is left out of the request, which depends on who answers.
pub(super) struct LeftOut {
    dropped: Dropped,
    wanted: Sampling,
    has_tools: bool,
    wishes: Wishes,
}

impl LeftOut {
    /// Says so in `headers`, of an answer by a model that takes `params`, or by one of several, of which it is not known yet which.
    pub(super) fn set_header<'a>(&self, headers: &mut HeaderMap, params: impl Iterator<Item = &'a Params>) {
        let refused = params.flat_map(|params| {
            let (sampling, refused) = params.fit(self.wanted.clone(), self.has_tools);
            refused.into_iter().chain(params.unsaid(&sampling, self.wishes))
        });
        self.dropped.set_header(headers, &refused.collect::<Vec<_>>());
    }
}

/// From what the client wants to what the layers work with.
///
/// # Errors
/// 400 for what no model can be asked, 404 for a model that cannot be asked at all.
pub(super) fn resolve(
    api: &Api,
    ask: ChatAsk,
    head: &Parts,
    lookup_time: Duration,
) -> Result<(Asked, GenerateRequest), ApiError> {
    let ChatAsk { model, messages, is_stream, wants_usage, wanted, format, tools, user, dropped } = ask;
    let resolved = api.catalogue.resolve(&Wanted { model: Some(&model), provider: None, routing: Route::default() });
    let Resolved { target, fallbacks, model, .. } = resolved.map_err(|unresolved| not_found(&model, &unresolved))?;
    let messages = conversation(messages)?;
    // Of one of which only the name is known, its server says what it cannot do.
    if let Some(model) = model.filter(|model| !model.is_unknown()) {
        check_abilities(model, &messages, &tools, &format)?;
    }
    let params = api.catalogue.params(&target);
    let has_tools = !tools.definitions.is_empty();
    let (sampling, _) = params.fit(wanted.clone(), has_tools);
    let wishes = Wishes::of(&tools, &messages, user.as_ref().map(|(field, _)| *field));
    let left_out = LeftOut { dropped, wanted: wanted.clone(), has_tools, wishes };
    let request = GenerateRequest {
        target: target.clone(),
        messages,
        sampling,
        policy: cached_if_wanted(policy(&head.headers), &wanted, has_tools),
        wanted,
        format,
        tools,
        delivery: if is_stream { Delivery::Stream } else { Delivery::Whole },
        // Who names a model means it, unless the operator has named others in its place.
        failover: if fallbacks.is_empty() { Failover::Nobody } else { Failover::Among(fallbacks.as_slice().into()) },
        conditions: Conditions::default(),
        private_to: private_to(api.cache.scope, head),
        lookup_time,
        purpose: Purpose::default(),
        end_user: user.map(|(_, user)| hashed(&user)),
    };
    Ok((Asked { target, others: fallbacks, wants_usage, left_out }, request))
}

/// What calls tools acts on the world of this moment: it is answered from the cache only for who asks for that, or for the same
/// answer every time.
fn cached_if_wanted(policy: Policy, wanted: &Sampling, has_tools: bool) -> Policy {
    let is_wanted = policy.max_age.is_some() || wanted.temperature == Some(0.0);
    Policy { no_store: policy.no_store || (has_tools && !is_wanted), ..policy }
}

/// By what a vendor can tell one person from another, and nothing else of them.
fn hashed(user: &str) -> Arc<str> {
    hex::encode(Sha256::digest(user)).into()
}

/// What the catalogue knows that a model cannot do.
fn check_abilities(model: &Model, messages: &[Message], tools: &Tools, format: &Format) -> Result<(), ApiError> {
    let can = model.capabilities;
    if !can.tools && !tools.definitions.is_empty() {
        return Err(unsupported("tools", format!("The model `{}` calls no tools", model.id)));
    }
    if !can.json && *format != Format::Text {
        return Err(unsupported("response_format", format!("The model `{}` cannot be held to JSON", model.id)));
    }
    if let Some(Message::Assistant { .. }) = messages.last().filter(|_| model.params.refuses_prefill()) {
        let rule = format!(
            "The model `{}` does not go on with an answer: the last message must not be the assistant's",
            model.id
        );
        return Err(unsupported(format!("messages[{}]", messages.len() - 1), rule));
    }
    if can.vision {
        return Ok(());
    }
    let is_image = |part: &Part| matches!(part, Part::Image { .. });
    let images = messages.iter().enumerate().filter_map(|(at, message)| match message {
        Message::User(parts) => parts.iter().position(is_image).map(|part_at| (at, part_at)),
        Message::System(_) | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    match images.into_iter().next() {
        Some((at, part_at)) => {
            let field = format!("messages[{at}].content[{part_at}]");
            Err(unsupported(field, format!("The model `{}` sees no pictures", model.id)))
        }
        None => Ok(()),
    }
}

/// 404: there is no such model, or it cannot be asked.
pub(super) fn not_found(model: &str, unresolved: &Unresolved) -> ApiError {
    let model = short(model);
    let why = match unresolved {
        Unresolved::NotConfigured { provider, .. } => {
            format!("The provider `{}` is not configured here", short(provider))
        }
        Unresolved::NotOffered { provider, .. } => format!("The provider `{provider}` does not offer it"),
        Unresolved::Retired { replacement: Some(replacement), .. } => {
            format!("Its vendor no longer serves it; `{replacement}` took its place")
        }
        Unresolved::Retired { replacement: None, .. } => "Its vendor no longer serves it".to_owned(),
        Unresolved::NoneFits => "No configured model fits".to_owned(),
    };
    ApiError::new(StatusCode::NOT_FOUND, format!("The model `{model}` does not exist"))
        .message(format!("{why}. `GET /v1/models` lists those that can be asked"))
        .code("model_not_found")
        .param("model")
}
