//! Alerts: kept in the store, and told once.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{generate::Periods, stores::StoreError};

use super::{Alert, BUDGET, Ledger, NOTES};

impl Ledger {
    /// The alerts that were raised here and that no answer has told so far.
    pub fn take_alerts(&self) -> Vec<Alert> {
        self.books().take_untold()
    }

    /// The alerts that nobody has acknowledged, oldest first, as far as this process knows.
    pub fn alerts(&self) -> Vec<Alert> {
        self.books().open_alerts()
    }

    /// Those of them that are about the present ones of `periods`.
    pub fn alerts_of(&self, periods: Periods) -> Vec<Alert> {
        self.books().open_alerts_of(periods)
    }

    /// Takes down that an operator has seen the alert `id`, and says whether there is one.
    ///
    /// # Errors
    /// When the store does not say that it is done.
    pub async fn acknowledge(self: &Arc<Self>, id: &str, by: Instant) -> Result<bool, StoreError> {
        let _travelling = self.travel(by).await?;
        self.catch_up(by).await?;
        let Some(alert) = self.books().find_alert(id).cloned() else { return Ok(false) };
        let alert = Alert { acknowledged: true, ..alert };
        self.store.note(NOTES, &[(alert.field(), alert.note())], by).await?;
        self.books().set_alert(alert);
        Ok(true)
    }

    /// The same as [`Ledger::save_alerts`], with nobody waiting.
    pub(super) fn save_alerts_soon(self: &Arc<Self>) {
        let ledger = Arc::clone(self);
        self.tasks.spawn(async move { ledger.save_alerts().await });
    }

    /// Keeps the alerts that were raised here in the store, and tells those that no other instance has told.
    pub(super) async fn save_alerts(&self) {
        if self.books().unsaved.is_empty() {
            return;
        }
        let _travelling = self.travelling.lock().await;
        let alerts = self.books().unsaved.clone();
        for alert in alerts {
            let is_unsure = self.books().unsure.contains(&alert.id);
            match self.save(&alert, is_unsure).await {
                Ok(is_own) => {
                    self.books().saved(&alert.id);
                    if is_own {
                        self.notify(alert);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "an alert waits for the store");
                    if !error.is_undone() {
                        self.books().unsure.insert(alert.id);
                    }
                    return;
                }
            }
        }
    }

    /// Keeps an alert, and says whether it is this one that is kept. `is_unsure`: it may be already.
    pub(super) async fn save(&self, alert: &Alert, is_unsure: bool) -> Result<bool, StoreError> {
        let (by, field, note) = (Instant::now() + self.patience, alert.field(), alert.note());
        let is_new = self.store.note_new(NOTES, &field, &note, by).await?;
        if is_new || !is_unsure {
            return Ok(is_new);
        }
        let (_, kept) = self.store.sheet_and_notes(BUDGET, NOTES, by).await?;
        Ok(kept.get(&field).is_some_and(|kept| *kept == note))
    }

    /// Tells `alert` to the log and the webhook.
    pub(super) fn notify(&self, alert: Alert) {
        tracing::warn!(period = alert.period, "budget: {}", alert.message);
        if let Some(webhook) = self.webhook.clone() {
            self.tasks.spawn(async move { webhook.post(&alert).await });
        }
    }
}
