//! `GET /llm/models` and `GET /llm/providers`: what can be asked, in the original's form.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalogue::{Capabilities, Model, RoutingMode},
    error::ApiError,
    generate::{ModelId, ProviderId, Target},
    json,
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
pub async fn models(State(api): State<Arc<Api>>, took: Took) -> Json<ModelsForm> {
    // Unknown is not zero: `null`, while the store does not answer.
    let usage_stats = api.ledger.usage(|_| true, by(&api, took)).await.ok();
    Json(ModelsForm { providers: provider_list(&api), routing_modes: routing_modes(), usage_stats })
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
pub async fn providers(State(api): State<Arc<Api>>) -> Json<ProvidersForm> {
    let configured = api.catalogue.configured().iter();
    let (provider_statuses, all_models) = configured
        .map(|configured| {
            let provider = configured.id.clone();
            let models: Vec<_> = api.catalogue.listed(provider.as_str()).into_iter().map(|model| model.id).collect();
            let status = Availability { configured: true, available: true, models: models.clone() };
            (StatusForm { name: provider.clone(), status, models: models.clone() }, ModelsOf { provider, models })
        })
        .unzip();
    Json(ProvidersForm {
        providers: provider_list(&api),
        routing_modes: routing_modes(),
        provider_statuses,
        all_models,
    })
}

fn provider_list(api: &Api) -> Vec<ProviderForm> {
    let limits = limits(api);
    let provider = |(id, name, base_url): (&str, &str, &str)| {
        let models = (1..).zip(api.catalogue.listed(id));
        let models =
            models.map(|(priority, model)| (model.id.clone(), ModelForm::new(model, priority, limits))).collect();
        ProviderForm { name: name.to_owned(), api_base_url: base_url.to_owned(), models }
    };
    api.catalogue.providers().into_iter().map(provider).collect()
}

/// The limits that are really in force.
fn limits(api: &Api) -> LimitsForm {
    let window = api.rate_limit.window.as_secs().max(1);
    let per = |seconds: u64| api.rate_limit.max.map(|max| u64::from(max.get()) * seconds / window);
    let (_, daily_budget) = api.ledger.today();
    LimitsForm { requests_per_minute: per(60), requests_per_hour: per(3600), daily_budget: Some(daily_budget) }
}

fn routing_modes() -> Vec<(&'static str, ModeForm)> {
    let mode = |mode: RoutingMode| {
        let (description, selection) = mode.describe();
        (mode.as_str(), ModeForm { description, selection })
    };
    RoutingMode::ALL.map(mode).into()
}

/// Providers, and what was used of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProvidersAndUsage)]
pub struct ModelsForm {
    providers: Vec<ProviderForm>,
    #[serde(serialize_with = "json::members")]
    #[schema(value_type = HashMap<String, ModeForm>)]
    routing_modes: Vec<(&'static str, ModeForm)>,
    /// `None`: it is not known, because the store does not answer.
    #[schema(required)]
    usage_stats: Option<UsageStats>,
}

/// Providers, and how those stand that can be called.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProvidersAndStatuses)]
pub struct ProvidersForm {
    providers: Vec<ProviderForm>,
    #[serde(serialize_with = "json::members")]
    #[schema(value_type = HashMap<String, ModeForm>)]
    routing_modes: Vec<(&'static str, ModeForm)>,
    provider_statuses: Vec<StatusForm>,
    all_models: Vec<ModelsOf>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Provider)]
struct ProviderForm {
    name: String,
    api_base_url: String,
    /// By their ids.
    #[serde(serialize_with = "json::members")]
    #[schema(value_type = HashMap<String, ModelForm>)]
    models: Vec<(ModelId, ModelForm)>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RoutingModeEntry)]
struct ModeForm {
    description: &'static str,
    selection: &'static str,
}

/// What can be called.
#[derive(Serialize, ToSchema)]
#[schema(as = ProviderStatus)]
struct StatusForm {
    #[schema(value_type = String)]
    name: ProviderId,
    #[schema(inline)]
    status: Availability,
    #[schema(value_type = Vec<String>)]
    models: Vec<ModelId>,
}

#[derive(Serialize, ToSchema)]
struct Availability {
    configured: bool,
    available: bool,
    #[schema(value_type = Vec<String>)]
    models: Vec<ModelId>,
}

#[derive(Serialize, ToSchema)]
struct ModelsOf {
    #[schema(value_type = String)]
    provider: ProviderId,
    #[schema(value_type = Vec<String>)]
    models: Vec<ModelId>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogueModel)]
struct ModelForm {
    name: String,
    context_window: Option<u64>,
    max_tokens: Option<u64>,
    /// In dollars; `None`: not known.
    input_cost_per1k: Option<f64>,
    output_cost_per1k: Option<f64>,
    capabilities: Vec<&'static str>,
    strengths: [&'static str; 1],
    #[schema(inline)]
    routing: RoutingForm,
    #[schema(inline)]
    limits: LimitsForm,
}

impl ModelForm {
    fn new(model: Model, priority: u64, limits: LimitsForm) -> Self {
        let Capabilities { tools, vision, reasoning, json } = model.capabilities;
        let special = [("function-calling", tools), ("vision", vision), ("reasoning", reasoning), ("json", json)];
        let special = special.into_iter().filter(|(_, can)| *can).map(|(name, _)| name);
        let (input, output) = model.per_1k;
        Self {
            name: model.display_name,
            context_window: model.context_window,
            max_tokens: model.max_output_tokens.map(u64::from),
            input_cost_per1k: Some(input),
            output_cost_per1k: Some(output),
            capabilities: ["text-generation", "code-generation"].into_iter().chain(special).collect(),
            strengths: ["code-generation"],
            routing: RoutingForm { priority, fallback: true, load_balance: false },
            limits,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RoutingForm {
    /// Its place in the list, from 1.
    priority: u64,
    fallback: bool,
    load_balance: bool,
}

/// `None`: there is no such limit.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LimitsForm {
    requests_per_minute: Option<u64>,
    requests_per_hour: Option<u64>,
    daily_budget: Option<f64>,
}
