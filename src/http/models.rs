//! `GET /llm/models` and `GET /llm/providers`: what can be asked, in the original's form.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde_json::{Map, Value, json};

use crate::{
    catalogue::{Capabilities, Model, RoutingMode},
    error::ApiError,
    generate::{ModelId, Target},
    ledger::UsageStats,
};

use super::{Api, Took, budget::unavailable, by};

/// Providers with their models, routing modes, and what was used.
pub async fn models(State(api): State<Arc<Api>>, took: Took) -> Json<Value> {
    // Unknown is not zero: `null`, while the store does not answer.
    let usage = api.ledger.usage(|_| true, by(&api, took)).await.ok();
    Json(json!({"providers": provider_list(&api), "routingModes": routing_modes(), "usageStats": usage}))
}

/// `GET /llm/usage`: what was paid for, in all or for one provider or model. An unknown name, and one that is given twice, means
/// nothing.
///
/// # Errors
/// 503 when the store does not answer.
pub async fn usage(
    State(api): State<Arc<Api>>,
    took: Took,
    RawQuery(query): RawQuery,
) -> Result<Json<UsageStats>, ApiError> {
    let query = query.unwrap_or_default();
    let wanted = |name: &str| {
        let parameters = url::form_urlencoded::parse(query.as_bytes());
        parameters.filter(|(other, _)| other == name).map(|(_, value)| value.into_owned()).collect::<Vec<_>>()
    };
    let (providers, models) = (wanted("provider"), wanted("model"));
    let means = |wanted: &[String], name: &str| match wanted {
        [] => true,
        [one] => one.is_empty() || one.trim().eq_ignore_ascii_case(name),
        _ => false,
    };
    let is_meant =
        |target: &Target| means(&providers, target.provider.as_str()) && means(&models, target.model.as_str());
    let usage = api.ledger.usage(is_meant, by(&api, took)).await;
    usage.map(Json).map_err(|error| unavailable(&error))
}

/// Providers with their models, and which of them can be called.
pub async fn providers(State(api): State<Arc<Api>>) -> Json<Value> {
    let callable: Vec<(&str, Vec<ModelId>)> = api
        .catalogue
        .configured()
        .iter()
        .map(|configured| {
            let id = configured.id.as_str();
            (id, api.catalogue.listed(id).into_iter().map(|model| model.id).collect())
        })
        .collect();
    let statuses = callable.iter().map(|(id, models)| {
        let status = json!({"configured": true, "available": true, "models": models});
        json!({"name": id, "status": status, "models": models})
    });
    let all = callable.iter().map(|(id, models)| json!({"provider": id, "models": models}));
    Json(json!({
        "providers": provider_list(&api),
        "routingModes": routing_modes(),
        "providerStatuses": statuses.collect::<Vec<_>>(),
        "allModels": all.collect::<Vec<_>>(),
    }))
}

fn provider_list(api: &Api) -> Vec<Value> {
    let limits = limits(api);
    let provider = |(id, name, base_url): (&str, &str, &str)| {
        let models = api.catalogue.listed(id).into_iter().enumerate();
        let models: Map<_, _> = models.map(|(at, m)| (m.id.to_string(), model(&m, at + 1, &limits))).collect();
        json!({"name": name, "apiBaseUrl": base_url, "models": models})
    };
    api.catalogue.providers().into_iter().map(provider).collect()
}

/// The limits that are really in force; `null` where there is none.
fn limits(api: &Api) -> Value {
    let window = api.rate_limit.window.as_secs().max(1);
    let per = |seconds: u64| api.rate_limit.max.map(|max| u64::from(max.get()) * seconds / window);
    json!({"requestsPerMinute": per(60), "requestsPerHour": per(3600), "dailyBudget": api.ledger.today().1})
}

fn model(model: &Model, priority: usize, limits: &Value) -> Value {
    let Capabilities { tools, vision, reasoning, json } = model.capabilities;
    let special = [("function-calling", tools), ("vision", vision), ("reasoning", reasoning), ("json", json)];
    let special = special.into_iter().filter(|(_, can)| *can).map(|(name, _)| name);
    let capabilities: Vec<_> = ["text-generation", "code-generation"].into_iter().chain(special).collect();
    let (input, output) = model.per_1k;
    json!({
        "name": model.display_name,
        "contextWindow": model.context_window,
        "maxTokens": model.max_output_tokens,
        "inputCostPer1k": input,
        "outputCostPer1k": output,
        "capabilities": capabilities,
        "strengths": ["code-generation"],
        "routing": {"priority": priority, "fallback": true, "loadBalance": false},
        "limits": limits,
    })
}

fn routing_modes() -> Value {
    let mode = |mode: RoutingMode| {
        let (description, selection) = mode.describe();
        (mode.as_str().to_owned(), json!({"description": description, "selection": selection}))
    };
    Value::Object(RoutingMode::ALL.map(mode).into_iter().collect())
}
