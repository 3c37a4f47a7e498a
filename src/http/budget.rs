//! `/llm/budget/*`: how budgets stand, and what an administrator sets.

use std::{fmt, sync::Arc};

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    config::MOST_DOLLARS,
    error::ApiError,
    generate::MicroDollars,
    ledger::{Alert, Analytics, BudgetStatus, Changes, Period, Settings},
    stores::StoreError,
};

use super::{
    Api, Took, by,
    check::{Check, body_text, object, parse, short},
    rfc3339,
};

/// How the budgets stand, and since when that is known.
#[derive(ToSchema)]
#[schema(as = BudgetStatusAsOf, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written by hand")]
struct Standing {
    #[serde(flatten)]
    #[schema(inline)]
    status: BudgetStatus<'static>,
    /// Only while the store does not answer: when what is said was known last.
    as_of: Option<String>,
}

/// Says how each budget stands.
///
/// While the store does not answer, as far as this instance knows, and with the time of that.
#[utoipa::path(
    get,
    path = "/llm/budget/status",
    operation_id = "budget_status",
    tag = "money",
    responses((status = 200, description = "How they stand.", body = Standing, example = json!({
        "daily": {"period": "daily", "used": 12.5, "limit": 50.0, "remaining": 37.5, "percentage": 25.0,
            "isOverLimit": false, "isNearLimit": false, "resetDate": "2026-11-25T00:00:00.000Z"},
        "weekly": {"period": "weekly", "used": 12.5, "limit": 300.0, "remaining": 287.5, "percentage": 4.166_666_666_666_666,
            "isOverLimit": false, "isNearLimit": false, "resetDate": "2026-11-30T00:00:00.000Z"},
        "monthly": {"period": "monthly", "used": 12.5, "limit": 1000.0, "remaining": 987.5, "percentage": 1.25,
            "isOverLimit": false, "isNearLimit": false, "resetDate": "2026-12-01T00:00:00.000Z"}
    }))),
)]
pub async fn status(State(api): State<Arc<Api>>, took: Took) -> Response {
    let known = api.ledger.look(by(&api, took)).await;
    let mut json = api.ledger.status().to_vec();
    if known.is_err() {
        let as_of = api.ledger.known_ms().map_or_else(|| "null".to_owned(), |ms| format!("\"{}\"", rfc3339(ms)));
        json.pop();
        json.extend_from_slice(format!(",\"asOf\":{as_of}}}").as_bytes());
    }
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// Says what the budgets are.
///
/// # Errors
/// 503 when the store does not answer.
#[utoipa::path(
    get,
    path = "/llm/budget/config",
    operation_id = "budget_config",
    tag = "money",
    responses((status = 200, description = "What is set.", body = Settings, example = json!({
        "dailyLimit": 50.0, "weeklyLimit": 300.0, "monthlyLimit": 1000.0,
        "alertThresholds": {"daily": 80.0, "weekly": 75.0, "monthly": 70.0}, "enableAlerts": true, "hardLimit": false
    }))),
)]
pub async fn config(State(api): State<Arc<Api>>, took: Took) -> Result<Json<Settings>, ApiError> {
    look(&api, took).await?;
    Ok(Json(api.ledger.settings()))
}

/// What was set.
#[derive(Serialize, ToSchema)]
#[schema(as = BudgetSet)]
pub struct Set {
    success: bool,
    config: Settings,
}

/// What [`changes`] reads: what is absent stays as it is.
#[derive(ToSchema)]
#[schema(as = BudgetChanges, rename_all = "camelCase")]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read field by field")]
struct ChangesForm {
    /// In dollars, as the next two.
    #[schema(required = false, minimum = 0, maximum = 1_000_000_000)]
    daily_limit: f64,
    #[schema(required = false, minimum = 0, maximum = 1_000_000_000)]
    weekly_limit: f64,
    #[schema(required = false, minimum = 0, maximum = 1_000_000_000)]
    monthly_limit: f64,
    #[schema(required = false, inline)]
    alert_thresholds: ThresholdChanges,
    #[schema(required = false)]
    enable_alerts: bool,
    #[schema(required = false)]
    hard_limit: bool,
}

/// In per cent of the limits.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read field by field")]
struct ThresholdChanges {
    #[schema(required = false, minimum = 0, maximum = 100)]
    daily: f64,
    #[schema(required = false, minimum = 0, maximum = 100)]
    weekly: f64,
    #[schema(required = false, minimum = 0, maximum = 100)]
    monthly: f64,
}

/// Sets what the body names, all or nothing.
///
/// # Errors
/// 400 for the body, 503 when the store does not answer: it may be set.
#[utoipa::path(
    put,
    path = "/llm/budget/config",
    operation_id = "set_budget_config",
    tag = "money",
    request_body(content = ChangesForm, example = json!({"dailyLimit": 20.0, "alertThresholds": {"daily": 90.0}, "hardLimit": true})),
    responses(
        (status = 200, description = "What is set now.", body = Set, example = json!({"success": true, "config": {
            "dailyLimit": 20.0, "weeklyLimit": 300.0, "monthlyLimit": 1000.0,
            "alertThresholds": {"daily": 90.0, "weekly": 75.0, "monthly": 70.0}, "enableAlerts": true, "hardLimit": true
        }})),
        (status = 503, description = "The store does not answer; it may be set."),
    ),
)]
pub async fn set_config(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Set>, ApiError> {
    let (head, body) = request.into_parts();
    let body = api.bodies.read_json(&head.headers, body).await?;
    let changes = changes(&body_text(&body))?;
    let config = api.ledger.set(&changes, by(&api, None)).await.map_err(|error| unavailable(&error))?;
    tracing::info!(?config, "budgets were set");
    Ok(Json(Set { success: true, config }))
}

/// Alerts.
#[derive(Serialize, ToSchema)]
pub struct Alerts {
    alerts: Vec<Alert>,
}

/// Lists the alerts that nobody has acknowledged, oldest first.
///
/// # Errors
/// 503 when the store does not answer.
#[utoipa::path(
    get,
    path = "/llm/budget/alerts",
    operation_id = "budget_alerts",
    tag = "money",
    responses((status = 200, description = "All of them.", body = Alerts, example = json!({"alerts": [{
        "id": "warning-daily-1795478400000-40", "type": "warning", "period": "daily",
        "message": "80% of the daily budget of $50.00 is spent: $40.60.", "timestamp": "2026-11-24T14:02:11.530Z", "acknowledged": false
    }]}))),
)]
pub async fn alerts(State(api): State<Arc<Api>>, took: Took) -> Result<Json<Alerts>, ApiError> {
    look(&api, took).await?;
    Ok(Json(Alerts { alerts: api.ledger.alerts() }))
}

/// It is done.
#[derive(Serialize, ToSchema)]
pub struct Done {
    success: bool,
}

/// Acknowledges an alert.
///
/// # Errors
/// 404 when there is no such alert, 503 when the store does not answer.
#[utoipa::path(
    post,
    path = "/llm/budget/alerts/{id}/acknowledge",
    operation_id = "acknowledge_alert",
    tag = "money",
    params(("id" = String, Path, description = "The alert's `id`.")),
    responses(
        (status = 200, description = "It is done.", body = Done, example = json!({"success": true})),
        (status = 404, description = "There is no such alert."),
        (status = 503, description = "The store does not answer; it may be done."),
    ),
)]
pub async fn acknowledge(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Json<Done>, ApiError> {
    let is_there = api.ledger.acknowledge(&id, by(&api, None)).await.map_err(|error| unavailable(&error))?;
    if !is_there {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "Alert not found")
            .message("`GET /llm/budget/alerts` lists those that there are."));
    }
    Ok(Json(Done { success: true }))
}

/// Begins a budget anew. What was spent stays in the figures.
///
/// # Errors
/// 400 when it is no period, 503 when the store does not answer: it may be done.
#[utoipa::path(
    post,
    path = "/llm/budget/reset/{period}",
    operation_id = "reset_budget",
    tag = "money",
    params(("period" = PeriodName, Path, description = "Which one.", example = "daily")),
    responses(
        (status = 200, description = "It is done.", body = Done, example = json!({"success": true})),
        (status = 503, description = "The store does not answer; it may be done."),
    ),
)]
pub async fn reset(State(api): State<Arc<Api>>, Path(period): Path<String>) -> Result<Json<Done>, ApiError> {
    let period = Period::named(&period).ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "Invalid period").message("A period is `daily`, `weekly` or `monthly`.")
    })?;
    api.ledger.reset(period, by(&api, None)).await.map_err(|error| unavailable(&error))?;
    Ok(Json(Done { success: true }))
}

/// Says where the money went.
///
/// # Errors
/// 503 when the store does not answer.
#[utoipa::path(
    get,
    path = "/llm/budget/analytics",
    operation_id = "budget_analytics",
    tag = "money",
    responses((status = 200, description = "In dollars; changes in per cent.", body = Analytics, example = json!({
        "totalRequests": 2, "totalCost": 0.0125, "totalTokens": 3_000, "averageCostPerRequest": 0.00625,
        "topModels": [{"model": "gpt-4o", "provider": "openai", "requests": 2, "cost": 0.0125}],
        "costByPeriod": {"today": 0.0125, "thisWeek": 0.0125, "thisMonth": 0.0125},
        "trends": {"dailyChange": 0.0, "weeklyChange": 0.0},
        "spent": {
            "clients": {"requests": 2, "cost": 0.0125}, "refreshes": {"requests": 0, "cost": 0.0},
            "abandoned": {"requests": 0, "cost": 0.0}, "failed": {"requests": 0, "cost": 0.0}
        },
        "avoided": {
            "hits": {"requests": 5, "cost": 0.03125}, "joined": {"requests": 0, "cost": 0.0},
            "stale": {"requests": 0, "cost": 0.0}
        },
        "estimatedCost": 0.0
    }))),
)]
pub async fn analytics(State(api): State<Arc<Api>>, took: Took) -> Result<Json<Analytics>, ApiError> {
    api.ledger.analytics(by(&api, took)).await.map(Json).map_err(|error| unavailable(&error))
}

/// The budgets' names in paths.
#[derive(ToSchema)]
#[schema(as = Period, rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what is read by name")]
pub(super) enum PeriodName {
    Daily,
    Weekly,
    Monthly,
}

async fn look(api: &Api, took: Took) -> Result<(), ApiError> {
    api.ledger.look(by(api, took)).await.map_err(|error| unavailable(&error))
}

pub(super) fn unavailable(error: &StoreError) -> ApiError {
    tracing::debug!(%error, "figures are not known");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The store does not answer")
        .message("What all instances have spent is not known now, and what was to be set may not be. Try again.")
        .retry_after(std::time::Duration::from_secs(5))
}

const AMOUNT: &str = "A limit must be an amount in dollars, from 0 to 1000000000.";
const THRESHOLD: &str = "A threshold must be a number from 0 to 100.";
const BOOLEAN: &str = "Must be true or false.";
const UNKNOWN: &str = "Unknown setting.";

/// The fields as they stand there, also those that stand there twice.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsTheyStand;
        impl<'de> Visitor<'de> for AsTheyStand {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(AsTheyStand)
    }
}

/// What is to be set.
///
/// # Errors
/// 400, with all that is wrong.
fn changes(body: &str) -> Result<Changes, ApiError> {
    let Fields(fields) = object(body)?;
    let (mut check, mut changes) = (Check::default(), Changes::default());
    // What is less than can be counted is nothing.
    let amount = |raw| {
        let amount = parse(raw).filter(|amount| (0.0..=MOST_DOLLARS).contains(amount));
        amount.map(|amount| MicroDollars::of(amount).dollars())
    };
    for (name, raw) in fields {
        let value = Some(raw);
        match name.as_str() {
            "dailyLimit" => changes.daily_limit = check.field("dailyLimit", value, AMOUNT, amount),
            "weeklyLimit" => changes.weekly_limit = check.field("weeklyLimit", value, AMOUNT, amount),
            "monthlyLimit" => changes.monthly_limit = check.field("monthlyLimit", value, AMOUNT, amount),
            "alertThresholds" => thresholds(&mut check, raw, &mut changes),
            "enableAlerts" => changes.enable_alerts = check.field("enableAlerts", value, BOOLEAN, parse),
            "hardLimit" => changes.hard_limit = check.field("hardLimit", value, BOOLEAN, parse),
            _ => check.refuse(short(&name), value, UNKNOWN),
        }
    }
    check.finish().map(|()| changes)
}

fn thresholds<'a>(check: &mut Check<'a>, raw: &'a RawValue, changes: &mut Changes) {
    let object = "Thresholds must be an object with `daily`, `weekly` or `monthly`.";
    let fields = check.field("alertThresholds", Some(raw), object, parse::<Fields<'_>>);
    let Fields(fields) = fields.unwrap_or(Fields(Vec::new()));
    let share = |raw| parse(raw).filter(|share| (0.0..=100.0).contains(share));
    for (name, raw) in fields {
        let value = Some(raw);
        match name.as_str() {
            "daily" => changes.daily_threshold = check.field("alertThresholds.daily", value, THRESHOLD, share),
            "weekly" => changes.weekly_threshold = check.field("alertThresholds.weekly", value, THRESHOLD, share),
            "monthly" => changes.monthly_threshold = check.field("alertThresholds.monthly", value, THRESHOLD, share),
            _ => check.refuse(format!("alertThresholds.{}", short(&name)), value, UNKNOWN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amounts_shares_and_booleans_are_set() {
        let good = r#"{"dailyLimit":0,"alertThresholds":{"weekly":33.3},"hardLimit":true}"#;
        let (daily_limit, weekly_threshold, hard_limit) = (Some(0.0), Some(33.3), Some(true));
        let set = Changes { daily_limit, weekly_threshold, hard_limit, ..Changes::default() };
        assert_eq!(changes(good).ok(), Some(set));
        assert_eq!(changes("{}").ok(), Some(Changes::default()));
        for (bad, wrong) in [
            (r#"{"dailyLimit":-1}"#, 1),
            (r#"{"dailyLimit":"50"}"#, 1),
            (r#"{"dailyLimit":null}"#, 1),
            (r#"{"dailyLimit":1e10}"#, 1),
            (r#"{"dailyLimit":[1],"weeklyLimit":{}}"#, 2),
            (r#"{"alertThresholds":null}"#, 1),
            (r#"{"alertThresholds":[80]}"#, 1),
            (r#"{"alertThresholds":{"daily":101,"yearly":5}}"#, 2),
            (r#"{"enableAlerts":"true","hardLimit":1}"#, 2),
            (r#"{"dailyLimits":1}"#, 1),
            (r#"{"dailyLimit":"x","dailyLimit":3}"#, 1),
            (r#"{"alertThresholds":{"daily":5000},"alertThresholds":{"daily":5}}"#, 1),
        ] {
            let Err(error) = changes(bad) else { panic!("{bad} was taken") };
            assert_eq!(error.status, StatusCode::BAD_REQUEST);
            let errors: Vec<serde_json::Value> = serde_json::from_str(error.errors.unwrap().get()).unwrap();
            assert_eq!(errors.len(), wrong, "{bad}");
        }
        for bad in ["", "[]", "null", "1", "{"] {
            assert!(changes(bad).is_err(), "{bad}");
        }
    }
}
