//! What an operator sets: how much may be spent, when to be told, and whether that is a limit.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    config::{BudgetConfig, MOST_DOLLARS},
    generate::MicroDollars,
};

use super::Period;

/// The budget's settings, in the original's form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BudgetSettings)]
pub struct Settings {
    /// In dollars, 0 or more, as the next two.
    pub daily_limit: f64,
    /// See `daily_limit`.
    pub weekly_limit: f64,
    /// See `daily_limit`.
    pub monthly_limit: f64,
    /// From which share on to be warned, in per cent of the limit.
    pub alert_thresholds: Thresholds,
    /// Whether anyone is told.
    pub enable_alerts: bool,
    /// Whether a generation that might exceed a limit is refused.
    pub hard_limit: bool,
}

/// Shares of the limits, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Thresholds {
    /// Of the day's.
    pub daily: f64,
    /// Of the week's.
    pub weekly: f64,
    /// Of the month's.
    pub monthly: f64,
}

/// What is to be set, each field by its name. `None`: it stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Changes {
    /// See [`Settings`], as all others.
    pub daily_limit: Option<f64>,
    /// See [`Settings`].
    pub weekly_limit: Option<f64>,
    /// See [`Settings`].
    pub monthly_limit: Option<f64>,
    /// See [`Thresholds`], as the next two.
    pub daily_threshold: Option<f64>,
    /// See [`Thresholds`].
    pub weekly_threshold: Option<f64>,
    /// See [`Thresholds`].
    pub monthly_threshold: Option<f64>,
    /// See [`Settings`].
    pub enable_alerts: Option<bool>,
    /// See [`Settings`].
    pub hard_limit: Option<bool>,
}

/// What the original begins with.
const THRESHOLDS: Thresholds = Thresholds { daily: 80.0, weekly: 75.0, monthly: 70.0 };

impl Settings {
    /// What the environment says.
    pub(super) fn new(config: &BudgetConfig) -> Self {
        let BudgetConfig { daily, weekly, monthly, hard_limit, webhook_url: _ } = *config;
        Self {
            daily_limit: daily,
            weekly_limit: weekly,
            monthly_limit: monthly,
            alert_thresholds: THRESHOLDS,
            enable_alerts: true,
            hard_limit,
        }
    }

    /// The limit in dollars.
    pub(super) fn limit(&self, period: Period) -> f64 {
        match period {
            Period::Daily => self.daily_limit,
            Period::Weekly => self.weekly_limit,
            Period::Monthly => self.monthly_limit,
        }
    }

    /// The share of the limit from which on to be warned, in per cent.
    pub(super) fn threshold(&self, period: Period) -> f64 {
        let Thresholds { daily, weekly, monthly } = self.alert_thresholds;
        match period {
            Period::Daily => daily,
            Period::Weekly => weekly,
            Period::Monthly => monthly,
        }
    }

    /// The amount from which on to be warned.
    pub(super) fn warned_from(&self, period: Period) -> MicroDollars {
        MicroDollars::of(self.limit(period) * self.threshold(period) / 100.0)
    }

    /// The same with `changes`.
    #[must_use]
    pub(super) fn with(self, changes: &Changes) -> Self {
        let Thresholds { daily, weekly, monthly } = self.alert_thresholds;
        Self {
            daily_limit: changes.daily_limit.unwrap_or(self.daily_limit),
            weekly_limit: changes.weekly_limit.unwrap_or(self.weekly_limit),
            monthly_limit: changes.monthly_limit.unwrap_or(self.monthly_limit),
            alert_thresholds: Thresholds {
                daily: changes.daily_threshold.unwrap_or(daily),
                weekly: changes.weekly_threshold.unwrap_or(weekly),
                monthly: changes.monthly_threshold.unwrap_or(monthly),
            },
            enable_alerts: changes.enable_alerts.unwrap_or(self.enable_alerts),
            hard_limit: changes.hard_limit.unwrap_or(self.hard_limit),
        }
    }
}

impl Changes {
    /// What instances tell one another. What is no such note, or makes no sense, changes nothing.
    pub(super) fn read(notes: &HashMap<String, Bytes>) -> Self {
        let text = |field: &str| notes.get(field).and_then(|text| std::str::from_utf8(text).ok());
        let number =
            |field| text(field).and_then(|text| text.parse().ok()).filter(|n| (0.0..=MOST_DOLLARS).contains(n));
        let share = |field| number(field).filter(|share| *share <= 100.0);
        let boolean = |field| text(field).and_then(|text| text.parse().ok());
        Self {
            daily_limit: number("dailyLimit"),
            weekly_limit: number("weeklyLimit"),
            monthly_limit: number("monthlyLimit"),
            daily_threshold: share("alertThresholds.daily"),
            weekly_threshold: share("alertThresholds.weekly"),
            monthly_threshold: share("alertThresholds.monthly"),
            enable_alerts: boolean("enableAlerts"),
            hard_limit: boolean("hardLimit"),
        }
    }

    /// The same as [`Changes::read`] reads it.
    pub(super) fn notes(&self) -> Vec<(String, String)> {
        let numbers = [
            ("dailyLimit", self.daily_limit),
            ("weeklyLimit", self.weekly_limit),
            ("monthlyLimit", self.monthly_limit),
            ("alertThresholds.daily", self.daily_threshold),
            ("alertThresholds.weekly", self.weekly_threshold),
            ("alertThresholds.monthly", self.monthly_threshold),
        ];
        let booleans = [("enableAlerts", self.enable_alerts), ("hardLimit", self.hard_limit)];
        let numbers = numbers.into_iter().filter_map(|(field, number)| Some((field, number?.to_string())));
        let booleans = booleans.into_iter().filter_map(|(field, boolean)| Some((field, boolean?.to_string())));
        numbers.chain(booleans).map(|(field, text)| (field.to_owned(), text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_instance_notes_another_reads() {
        let changes = Changes {
            daily_limit: Some(0.0),
            monthly_limit: Some(12.345_678),
            weekly_threshold: Some(33.3),
            hard_limit: Some(true),
            ..Changes::default()
        };
        let mut notes: HashMap<String, Bytes> =
            changes.notes().into_iter().map(|(field, text)| (field, text.into())).collect();
        assert_eq!(Changes::read(&notes), changes);
        for nonsense in ["-1", "NaN", "inf", "lots", ""] {
            notes.insert("dailyLimit".to_owned(), nonsense.into());
            notes.insert("hardLimit".to_owned(), nonsense.into());
            let read = Changes::read(&notes);
            assert_eq!((read.daily_limit, read.hard_limit), (None, None), "{nonsense}");
        }
    }
}
