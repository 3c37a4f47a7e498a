//! Rules for one thing in what the other routes tell: of models, of budgets, of a provider that is tried.

use serde_json::Value;

use super::refusals::is_same_sort;
use crate::compare::{
    Exchange, Reply,
    diff::{Delta, Place},
    free::is_meant,
};

const LISTS: [&str; 4] =
    ["availableModels", "providerStatuses[].models", "providerStatuses[].status.models", "allModels[].models"];

/// Whether it is one of the lists of models and providers.
fn is_list(exchange: &Exchange<'_>) -> bool {
    ["/llm/models", "/llm/providers"].contains(&&*exchange.request.route())
}

pub(super) fn more_models(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let lists_models = exchange.request.is_generation() || is_list(exchange);
    lists_models
        && match delta {
            // Whatever could be chosen still can be.
            Delta::Changed(Place { path, .. }, Value::Array(old), Value::Array(new)) => {
                LISTS.iter().any(|list| is_meant(list, path)) && old.iter().all(|model| new.contains(model))
            }
            Delta::Changed(Place { path, .. }, Value::String(_), Value::String(new)) => {
                is_meant("providers[].apiBaseUrl", path) && is_public(new)
            }
            // Which models a server at home has, it says itself.
            Delta::Missing(Place { path, .. }, _) => path == "providers[Ollama (Local)].models.*",
            _ => false,
        }
}

/// Whether an address is none, or one without name, password or query, which may be secret.
fn is_public(address: &str) -> bool {
    let is_http = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    address.is_empty() || is_http && !address.contains(['@', '?', '#'])
}

pub(super) fn todays_catalogue(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(Place { path, .. }, old, new) = delta else { return false };
    let is = |field: &str| is_meant(&format!("providers[].models.*.{field}"), path);
    let is_at_home = path.starts_with("providers[Ollama (Local)]");
    let (before, now) = (old.as_f64().unwrap_or(f64::NAN), new.as_f64().unwrap_or(f64::NAN));
    // What costs something does not become free, and no size shrinks to less than the half.
    let is_price = now > 0.0 || now >= before;
    let is_size = now.fract() == 0.0 && now >= before / 2.0 && before > 0.0;
    let are_texts = new.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_text));
    let facts: [(&[&str], bool); 7] = [
        (&["inputCostPer1k", "outputCostPer1k"], is_price && old.is_number()),
        // What nobody knows of a model at home is not made up.
        (&["contextWindow", "maxTokens"], is_size || is_at_home && new.is_null()),
        (&["capabilities", "strengths"], old.is_array() && are_texts),
        (&["limits.requestsPerMinute", "limits.requestsPerHour"], old.is_number() && (new.is_null() || now >= 1.0)),
        (&["limits.dailyBudget"], old.is_number() && now >= 0.0),
        (&["routing.priority"], old.is_number() && now >= 1.0 && now.fract() == 0.0),
        // Nobody ever balanced anything.
        (&["routing.loadBalance"], *old == true && *new == false),
    ];
    is_list(exchange) && facts.iter().any(|(fields, is_so)| *is_so && fields.iter().any(|field| is(field)))
}

pub(super) fn no_supernova(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Missing(place, _) = delta else { return false };
    let entries = ["providers[Supernova AI]", "providerStatuses[supernova]", "allModels[supernova]"];
    is_list(exchange) && entries.contains(&&*place.path)
}

pub(super) fn settings_stay(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    const SETTINGS: [&str; 6] =
        ["dailyLimit", "weeklyLimit", "monthlyLimit", "alertThresholds", "enableAlerts", "hardLimit"];
    // Whoever changes them is told what they are now.
    let setting = |place: &Place| place.path.strip_prefix("config.").unwrap_or(&place.path).to_owned();
    let is_one = |setting: &str| SETTINGS.contains(&setting.split('.').next().unwrap_or_default());
    exchange.request.route() == "/llm/budget/config"
        && exchange.new.status == 200
        && match delta {
            Delta::Added(place, new) => setting(place).starts_with("alertThresholds.") && new.is_number(),
            Delta::Missing(place, _) => !is_one(&setting(place)),
            Delta::Changed(place, old, new) => match setting(place).as_str() {
                "alertThresholds" => !old.is_object() && new.is_object(),
                "enableAlerts" | "hardLimit" => !old.is_boolean() && new.is_boolean(),
                setting => {
                    let is_amount = setting.starts_with("alertThresholds.") || setting.ends_with("Limit");
                    is_amount && !old.is_number() && new.is_number()
                }
            },
            _ => false,
        }
}

pub(super) fn analytics(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, new) = delta else { return false };
    exchange.request.route() == "/llm/budget/analytics"
        && match place.path.as_str() {
            "spent" | "avoided" => new.is_object(),
            "estimatedCost" => new.is_number(),
            _ => false,
        }
}

pub(super) fn vendors_words(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(place, Value::String(old), Value::String(new)) = delta else { return false };
    let both_failed = |reply: &Reply| reply.json().is_some_and(|body| body["success"] == false);
    // «Provider not found» is the old backend's own, and promised.
    exchange.request.route() == "/llm/test-provider"
        && place.path == "error"
        && both_failed(exchange.old)
        && both_failed(exchange.new)
        && ![old, new].iter().any(|said| ["Provider not found", "Provider not configured"].contains(&said.as_str()))
        && !new.is_empty()
        && !new.contains(['{', '<', '=', '@'])
        && !new.contains("://")
        && is_same_sort(old, new)
}

pub(super) fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}
