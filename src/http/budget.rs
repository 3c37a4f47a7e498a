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

use crate::{
    config::MOST_DOLLARS,
    error::ApiError,
    generate::MicroDollars,
    ledger::{Alert, Analytics, Changes, Period, Settings},
    stores::StoreError,
};

use super::{
    Api, Took, by,
    check::{Check, body_text, object, parse, short},
    rfc3339,
};

/// `GET /llm/budget/status`: how each budget stands. While the store does not answer, as far as this process knows, and with the
/// time of that.
pub async fn status(State(api): State<Arc<Api>>, took: Took) -> Response {
    let refreshed = api.ledger.refresh(by(&api, took)).await;
    let mut json = api.ledger.status().to_vec();
    if refreshed.is_err() {
        let as_of = api.ledger.known_ms().map_or_else(|| "null".to_owned(), |ms| format!("\"{}\"", rfc3339(ms)));
        json.pop();
        json.extend_from_slice(format!(",\"asOf\":{as_of}}}").as_bytes());
    }
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// `GET /llm/budget/config`: what is set.
///
/// # Errors
/// 503 when the store does not answer.
pub async fn config(State(api): State<Arc<Api>>, took: Took) -> Result<Json<Settings>, ApiError> {
    refresh(&api, took).await?;
    Ok(Json(api.ledger.settings()))
}

/// What was set.
#[derive(Serialize)]
pub struct Set {
    success: bool,
    config: Settings,
}

/// `PUT /llm/budget/config`: sets what the body names, all or nothing.
///
/// # Errors
/// 400 for the body, 503 when the store does not answer: it may be set.
pub async fn set_config(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Set>, ApiError> {
    let (head, body) = request.into_parts();
    let body = api.bodies.read_json(&head.headers, body).await?;
    let changes = changes(&body_text(&body))?;
    let config = api.ledger.set(&changes, by(&api, None)).await.map_err(|error| unavailable(&error))?;
    tracing::info!(?config, "budgets were set");
    Ok(Json(Set { success: true, config }))
}

/// Alerts.
#[derive(Serialize)]
pub struct Alerts {
    alerts: Vec<Alert>,
}

/// `GET /llm/budget/alerts`: those that nobody has acknowledged, oldest first.
///
/// # Errors
/// 503 when the store does not answer.
pub async fn alerts(State(api): State<Arc<Api>>, took: Took) -> Result<Json<Alerts>, ApiError> {
    refresh(&api, took).await?;
    Ok(Json(Alerts { alerts: api.ledger.alerts() }))
}

/// It is done.
#[derive(Serialize)]
pub struct Done {
    success: bool,
}

/// `POST /llm/budget/alerts/{id}/acknowledge`: an administrator has seen it.
///
/// # Errors
/// 404 when there is no such alert, 503 when the store does not answer.
pub async fn acknowledge(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Json<Done>, ApiError> {
    let is_there = api.ledger.acknowledge(&id, by(&api, None)).await.map_err(|error| unavailable(&error))?;
    if !is_there {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "Alert not found")
            .message("`GET /llm/budget/alerts` lists those that there are."));
    }
    Ok(Json(Done { success: true }))
}

/// `POST /llm/budget/reset/{period}`: begins a budget anew. What was spent stays in the figures.
///
/// # Errors
/// 400 when it is no period, 503 when the store does not answer: it may be done.
pub async fn reset(State(api): State<Arc<Api>>, Path(period): Path<String>) -> Result<Json<Done>, ApiError> {
    let period = Period::named(&period).ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "Invalid period").message("A period is `daily`, `weekly` or `monthly`.")
    })?;
    api.ledger.reset(period, by(&api, None)).await.map_err(|error| unavailable(&error))?;
    Ok(Json(Done { success: true }))
}

/// `GET /llm/budget/analytics`: where the money went.
///
/// # Errors
/// 503 when the store does not answer.
pub async fn analytics(State(api): State<Arc<Api>>, took: Took) -> Result<Json<Analytics>, ApiError> {
    api.ledger.analytics(by(&api, took)).await.map(Json).map_err(|error| unavailable(&error))
}

async fn refresh(api: &Api, took: Took) -> Result<(), ApiError> {
    api.ledger.refresh(by(api, took)).await.map_err(|error| unavailable(&error))
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
