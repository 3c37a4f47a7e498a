//! How budgets stand, in the original's form.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{generate::MicroDollars, json};

use super::{Period, Settings};

/// Room for three of them.
const ROOM_BYTES: usize = 640;

/// One budget, in dollars and per cent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeriodStatus<'a> {
    period: &'static str,
    used: f64,
    limit: f64,
    remaining: f64,
    percentage: f64,
    is_over_limit: bool,
    is_near_limit: bool,
    reset_date: &'a str,
}

/// How the three budgets stand.
#[derive(Serialize, ToSchema)]
pub struct BudgetStatus<'a> {
    daily: PeriodStatus<'a>,
    weekly: PeriodStatus<'a>,
    monthly: PeriodStatus<'a>,
}

impl<'a> PeriodStatus<'a> {
    pub(super) fn new(period: Period, used: MicroDollars, settings: &Settings, reset_date: &'a str) -> Self {
        let (used, limit) = (used.dollars(), settings.limit(period));
        let percentage = match (used, limit) {
            (_, limit) if limit > 0.0 => used / limit * 100.0,
            (used, _) if used > 0.0 => 100.0,
            _ => 0.0,
        };
        Self {
            period: period.as_str(),
            used,
            limit,
            remaining: (limit - used).max(0.0),
            percentage,
            is_over_limit: used > limit,
            is_near_limit: percentage >= settings.threshold(period),
            reset_date,
        }
    }
}

/// `{"daily":{…},"weekly":{…},"monthly":{…}}` as JSON.
pub(super) fn status([daily, weekly, monthly]: [PeriodStatus<'_>; 3]) -> Bytes {
    json::with_room(ROOM_BYTES, &BudgetStatus { daily, weekly, monthly }).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BudgetConfig;

    #[test]
    fn a_budget_of_nothing_is_whole_until_something_is_spent() {
        for (used, limit, percentage, is_near, is_over) in [
            (0, 0.0, 0.0, false, false),
            (1, 0.0, 100.0, true, true),
            (0, 1.0, 0.0, false, false),
            (800_000, 1.0, 80.0, true, false),
            (1_000_000, 1.0, 100.0, true, false),
            (1_500_000, 1.0, 150.0, true, true),
        ] {
            let config = BudgetConfig { daily: limit, weekly: 9.0, monthly: 9.0, hard_limit: false, webhook_url: None };
            let status = PeriodStatus::new(Period::Daily, MicroDollars(used), &Settings::new(&config), "");
            let found = (status.percentage, status.is_near_limit, status.is_over_limit);
            assert_eq!(found, (percentage, is_near, is_over), "{used} of {limit}");
        }
    }
}
