//! What an operator is told of, once.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Period;

/// Something that an operator may want to know, in the original's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// The same for the same threshold in the same period.
    pub id: String,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: AlertKind,
    /// `daily`, `weekly` or `monthly`.
    pub period: String,
    /// A sentence.
    pub message: String,
    /// When, ISO 8601 in UTC.
    pub timestamp: String,
    /// Whether an operator has seen it.
    pub acknowledged: bool,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A budget is nearly spent.
    Warning,
    /// A budget is spent.
    LimitExceeded,
    /// An operator has begun a budget anew.
    BudgetReset,
}

impl AlertKind {
    fn as_str(self) -> &'static str {
        match self {
            AlertKind::Warning => "warning",
            AlertKind::LimitExceeded => "limit_exceeded",
            AlertKind::BudgetReset => "budget_reset",
        }
    }
}

/// Where its note stands.
const FIELD: &str = "alert.";

impl Alert {
    /// The id of an alert of `kind` about `period`, whose counting began at `since_ms`; `mark` tells thresholds of one kind apart.
    pub(super) fn id(kind: AlertKind, period: Period, since_ms: u64, mark: &str) -> String {
        format!("{}-{}-{since_ms}{mark}", kind.as_str(), period.as_str())
    }

    /// An alert.
    pub(super) fn new(id: String, kind: AlertKind, period: Period, message: String, now_ms: u64) -> Self {
        Self {
            id,
            kind,
            period: period.as_str().to_owned(),
            message,
            timestamp: timestamp(now_ms),
            acknowledged: false,
        }
    }

    /// The field of the note that holds it.
    pub(super) fn field(&self) -> String {
        format!("{FIELD}{}", self.id)
    }

    /// The note.
    pub(super) fn note(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("texts and booleans are JSON"))
    }

    /// The alert of a note. `None`: it is none.
    pub(super) fn read(field: &str, note: &[u8]) -> Option<Self> {
        let id = field.strip_prefix(FIELD)?;
        serde_json::from_slice(note).ok().filter(|alert: &Self| alert.id == id)
    }
}

/// A moment such as `2026-11-24T01:55:06.112Z`.
pub(super) fn timestamp(epoch_ms: u64) -> String {
    let nanoseconds = i128::from(epoch_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (time.date(), time.time());
    let (hour, minute, second, ms) = time.as_hms_milli();
    format!("{}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z", Period::Daily.name(date))
}
