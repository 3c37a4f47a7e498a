//! Alerts: raised once, kept until they are saved, told by the answer that brought them about.

use crate::{
    generate::{MicroDollars, Periods},
    ledger::{Alert, AlertKind, Period, alert::timestamp, period::begins_ms},
};

use super::Books;

/// How long alerts are remembered, in milliseconds: 90 days.
const KEPT_MS: u64 = 90 * 24 * 3_600_000;

impl Books {
    /// Raises an alert for each threshold that was crossed, unless it was. Says whether it raised any.
    pub(super) fn raise(&mut self, now_ms: u64) -> bool {
        let mut has_raised = false;
        for period in Period::ALL {
            let (used, limit, from) = (self.used[period], self.limit(period), self.settings.warned_from(period));
            let word = period.as_str();
            if used >= from && used > MicroDollars(0) {
                let percent = self.settings.threshold(period);
                let message = || format!("{percent}% of the {word} budget of {limit} is spent: {used}.");
                has_raised |= self.alert(AlertKind::Warning, period, from, message, now_ms);
            }
            if used > limit {
                let message = || format!("The {word} budget of {limit} is exceeded: {used} is spent.");
                has_raised |= self.alert(AlertKind::LimitExceeded, period, limit, message, now_ms);
            }
        }
        has_raised
    }

    /// Raises an alert of the amount `threshold` unless it was raised before, and says whether it did.
    pub(in crate::ledger) fn alert(
        &mut self,
        kind: AlertKind,
        period: Period,
        threshold: MicroDollars,
        message: impl FnOnce() -> String,
        now_ms: u64,
    ) -> bool {
        if !self.settings.enable_alerts {
            return false;
        }
        let id = Alert::id(kind, period, self.since_ms(period), &format!("-{}", threshold.dollars()));
        let is_new = !self.alerts.contains_key(&id);
        if is_new {
            let alert = Alert::new(id.clone(), kind, period, message(), now_ms);
            self.alerts.insert(id, alert.clone());
            self.unsaved.push(alert);
        }
        is_new
    }

    /// The alert `id` need not be saved any more.
    pub(in crate::ledger) fn saved(&mut self, id: &str) {
        self.unsaved.retain(|alert| alert.id != id);
        self.unsure.remove(id);
    }

    /// When the budget of `period` began to be counted.
    fn since_ms(&self, period: Period) -> u64 {
        let since_ms = self.reset_of(period).map(|reset| reset.since_ms).unwrap_or_default();
        since_ms.max(begins_ms(period.first_day(self.today)))
    }

    /// Alerts that no answer has told yet.
    pub(in crate::ledger) fn take_untold(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.untold)
    }

    /// Alerts that nobody has acknowledged, oldest first.
    pub(in crate::ledger) fn open_alerts(&self) -> Vec<Alert> {
        let mut open: Vec<_> = self.alerts.values().filter(|alert| !alert.acknowledged).cloned().collect();
        open.sort_by(|a, b| (&a.timestamp, a.kind).cmp(&(&b.timestamp, b.kind)));
        open
    }

    /// Those of them that are about the present ones of `periods`.
    pub(in crate::ledger) fn open_alerts_of(&self, periods: Periods) -> Vec<Alert> {
        let words = periods.words();
        let present = Period::ALL.into_iter().filter(|period| words.contains(&period.as_str()));
        let present: Vec<_> = present.map(|period| (period.as_str(), timestamp(self.since_ms(period)))).collect();
        let is_present =
            |alert: &Alert| present.iter().any(|(word, since)| alert.period == *word && alert.timestamp >= *since);
        self.open_alerts().into_iter().filter(is_present).collect()
    }

    /// The alert of this id.
    pub(in crate::ledger) fn find_alert(&self, id: &str) -> Option<&Alert> {
        self.alerts.get(id)
    }

    /// Keeps what the store now says of an alert.
    pub(in crate::ledger) fn set_alert(&mut self, alert: Alert) {
        self.alerts.insert(alert.id.clone(), alert);
    }

    /// The notes of alerts that are so old that nobody asks for them any more.
    pub(in crate::ledger) fn old_alerts(&self, now_ms: u64) -> Vec<String> {
        let before = timestamp(now_ms.saturating_sub(KEPT_MS));
        self.alerts.values().filter(|alert| alert.timestamp < before).map(Alert::field).collect()
    }
}
