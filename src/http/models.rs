//! `GET /llm/models` and `GET /llm/providers`: what can be asked, in the original's form.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    catalogue::{Capabilities, Model, RoutingMode},
    error::ApiError,
    generate::{ModelId, Target},
    ledger::UsageStats,
};

use super::{Api, Took, budget::unavailable, by};

/// Lists providers with their models, routing modes, and what was used.
#[utoipa::path(
    get,
    path = "/llm/models",
    tag = "models",
    responses((status = 200, description = "All that the catalogue has.", body = ModelsForm, example = json!({
        "providers": [{"name": "OpenAI", "apiBaseUrl": "https://api.openai.com/v1", "models": {"gpt-4o": {
            "name": "GPT-4o", "contextWindow": 128_000, "maxTokens": 16_384, "inputCostPer1k": 0.0025, "outputCostPer1k": 0.01,
            "capabilities": ["text-generation", "code-generation", "vision"], "strengths": ["code-generation"],
            "routing": {"priority": 1, "fallback": true, "loadBalance": false},
            "limits": {"requestsPerMinute": 20, "requestsPerHour": 1200, "dailyBudget": 50.0}
        }}}],
        "routingModes": {"manual": {"description": "The model that the request names, or the provider's default.", "selection": "user-choice"}},
        "usageStats": {"totalRequests": 2, "totalCost": 0.0125, "totalInputTokens": 2000, "totalOutputTokens": 1000,
            "averageCostPerRequest": 0.00625}
    }))),
)]
pub async fn models(State(api): State<Arc<Api>>, took: Took) -> Json<Value> {
    // Unknown is not zero: `null`, while the store does not answer.
    let usage = api.ledger.usage(|_| true, by(&api, took)).await.ok();
    Json(json!({"providers": provider_list(&api), "routingModes": routing_modes(), "usageStats": usage}))
}

/// Says what was paid for, in all or for one provider or model.
///
/// An unknown name, and one that is given twice, means nothing.
///
/// # Errors
/// 503 when the store does not answer.
#[utoipa::path(
    get,
    path = "/llm/usage",
    tag = "money",
    params(
        ("provider" = Option<String>, Query, description = "Only what this provider was paid for."),
        ("model" = Option<String>, Query, description = "Only what this model was paid for."),
    ),
    responses((status = 200, description = "In dollars and tokens.", body = UsageStats, example = json!({
        "totalRequests": 2, "totalCost": 0.0125, "totalInputTokens": 2000, "totalOutputTokens": 1000,
        "averageCostPerRequest": 0.00625
    }))),
)]
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

/// Lists providers with their models, and which of them can be called.
#[utoipa::path(
    get,
    path = "/llm/providers",
    tag = "models",
    responses((status = 200, description = "All that the catalogue has, and those that are configured.", body = ProvidersForm,
        example = json!({
            "providers": [{"name": "OpenAI", "apiBaseUrl": "https://api.openai.com/v1", "models": {"gpt-4o": {
            "name": "GPT-4o", "contextWindow": 128_000, "maxTokens": 16_384, "inputCostPer1k": 0.0025, "outputCostPer1k": 0.01,
            "capabilities": ["text-generation", "code-generation", "vision"], "strengths": ["code-generation"],
            "routing": {"priority": 1, "fallback": true, "loadBalance": false},
            "limits": {"requestsPerMinute": 20, "requestsPerHour": 1200, "dailyBudget": 50.0}
        }}}],
            "routingModes": {"manual": {"description": "The model that the request names, or the provider's default.", "selection": "user-choice"}},
            "providerStatuses": [{"name": "openai", "status": {"configured": true, "available": true, "models": ["gpt-4o"]},
                "models": ["gpt-4o"]}],
            "allModels": [{"provider": "openai", "models": ["gpt-4o"]}]
        }))),
)]
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

// The forms of what stands above, for the API's description.

#[derive(ToSchema)]
#[schema(as = ProvidersAndUsage, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct ModelsForm {
    providers: Vec<ProviderForm>,
    routing_modes: HashMap<String, ModeForm>,
    /// `None`: it is not known, because the store does not answer.
    #[schema(required)]
    usage_stats: Option<UsageStats>,
}

#[derive(ToSchema)]
#[schema(as = ProvidersAndStatuses, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct ProvidersForm {
    providers: Vec<ProviderForm>,
    routing_modes: HashMap<String, ModeForm>,
    provider_statuses: Vec<StatusForm>,
    all_models: Vec<ModelsOf>,
}

#[derive(ToSchema)]
#[schema(as = Provider, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct ProviderForm {
    name: String,
    api_base_url: String,
    /// By their ids.
    models: HashMap<String, ModelForm>,
}

#[derive(ToSchema)]
#[schema(as = RoutingModeEntry)]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct ModeForm {
    description: String,
    selection: String,
}

/// What can be called.
#[derive(ToSchema)]
#[schema(as = ProviderStatus)]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct StatusForm {
    name: String,
    #[schema(inline)]
    status: Availability,
    models: Vec<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct Availability {
    configured: bool,
    available: bool,
    models: Vec<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct ModelsOf {
    provider: String,
    models: Vec<String>,
}

#[derive(ToSchema)]
#[schema(as = CatalogueModel, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct ModelForm {
    name: String,
    context_window: Option<u64>,
    max_tokens: Option<u64>,
    /// In dollars; `None`: not known.
    input_cost_per1k: Option<f64>,
    output_cost_per1k: Option<f64>,
    capabilities: Vec<String>,
    strengths: Vec<String>,
    #[schema(inline)]
    routing: RoutingForm,
    #[schema(inline)]
    limits: LimitsForm,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct RoutingForm {
    /// Its place in the list, from 1.
    priority: u64,
    fallback: bool,
    load_balance: bool,
}

/// `None`: there is no such limit.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as a tree")]
struct LimitsForm {
    requests_per_minute: Option<u64>,
    requests_per_hour: Option<u64>,
    daily_budget: Option<f64>,
}
