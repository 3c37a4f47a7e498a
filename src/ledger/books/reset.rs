//! Budgets that were begun anew by hand.

use crate::ledger::Period;

/// A budget that was begun anew by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Reset {
    /// When, in milliseconds since the Unix epoch.
    pub(in crate::ledger) since_ms: u64,
    /// The period's field, and what it had had.
    pub(in crate::ledger) field: String,
    pub(in crate::ledger) spent: u64,
}

impl Reset {
    /// The note of it.
    pub(in crate::ledger) fn note(&self) -> String {
        format!("{} {} {}", self.since_ms, self.spent, self.field)
    }

    pub(super) fn read(note: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(note).ok()?.splitn(3, ' ');
        let (since_ms, spent) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { since_ms, spent, field: parts.next()?.to_owned() })
    }
}

/// The note that says when the budget of `period` was begun anew by hand.
pub(in crate::ledger) fn reset_field(period: Period) -> String {
    format!("reset.{}", period.as_str())
}
