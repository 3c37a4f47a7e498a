//! May this be spent? What is under way counts as spent, at its worst, until it is known what it took.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    generate::{ErrorKind, GenerateError, MicroDollars, Periods},
    stores::Reservation,
};

use super::{AlertKind, Ledger, Period, batch::BUDGET};

/// When to come back where only what is under way stands in the way: calls take seconds.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// An amount that may be spent. Dropped, it is free again.
pub struct Reserved {
    ledger: Arc<Ledger>,
    field: String,
    amount: MicroDollars,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.ledger.books().release(std::mem::take(&mut self.field), self.amount);
        // At once: whoever was refused because of it need not wait for the next posting. Nothing else holds the ledger up.
        let ledger = Arc::clone(&self.ledger);
        self.ledger.tasks.spawn(async move { ledger.flush().await });
    }
}

impl Ledger {
    /// Whether a generation that might exceed a budget is refused, as far as this process knows.
    pub fn is_limited(&self) -> bool {
        self.books().settings.hard_limit
    }

    /// Reserves `amount` for `lasts` in every budget. A store that does not say `by` then leaves it to this process, which has its
    /// share of what was left when the store spoke last.
    ///
    /// # Errors
    /// [`ErrorKind::OverBudget`], with the time when it may succeed.
    pub async fn reserve(
        self: &Arc<Self>,
        amount: MicroDollars,
        lasts: Duration,
        by: Instant,
    ) -> Result<Reserved, GenerateError> {
        let now_ms = self.clock.epoch_ms();
        let until_ms = now_ms.saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
        let field = format!("reserved:{}", Uuid::now_v7().simple());
        let (limits, besides) = {
            let books = self.books();
            // What this process spent while it was alone, and what was under way then, the store does not know yet.
            let [unposted, ..] = books.unposted_spending();
            (books.limits(), if books.is_stuck { unposted.0.saturating_add(books.reserved) } else { 0 })
        };
        let reservation = Reservation { field: &field, amount: amount.0, now_ms, until_ms, besides };
        let verdict = match self.store.reserve(BUDGET, &reservation, &limits, by).await {
            Ok(reserved) if reserved.is_reserved => None,
            Ok(reserved) => Some((reserved.amounts.into_iter().map(MicroDollars).collect(), reserved.others)),
            Err(error) => {
                tracing::debug!(%error, "this process reserves alone");
                self.decide_alone(amount)
            }
        };
        match verdict {
            None => {
                self.books().reserved += amount.0;
                Ok(Reserved { ledger: Arc::clone(self), field, amount })
            }
            Some((used, others)) => Err(self.refusal(amount, &used, MicroDollars(others))),
        }
    }

    /// `None`: it may be spent. Otherwise what each period has had, and what stands in the way besides.
    fn decide_alone(&self, amount: MicroDollars) -> Option<(Vec<MicroDollars>, u64)> {
        let books = self.books();
        let (periods, unposted) = (books.periods(), books.unposted_spending());
        let reserved = MicroDollars(books.reserved);
        let fits = periods.iter().zip(unposted).all(|((_, used, limit, _), unposted)| {
            let left = limit.saturating_sub(used.saturating_sub(unposted));
            let share = MicroDollars(left.0 / u64::from(self.instances.get()));
            unposted + reserved + amount <= share
        });
        if fits {
            return None;
        }
        // The shares of others count as if they had been reserved.
        let shares = |used: MicroDollars, limit: MicroDollars, unposted: MicroDollars| {
            let left = limit.saturating_sub(used.saturating_sub(unposted));
            left.0 - left.0 / u64::from(self.instances.get())
        };
        let others =
            periods.iter().zip(unposted).map(|((_, used, limit, _), unposted)| shares(*used, *limit, unposted));
        let others = others.max().unwrap_or_default();
        Some((periods.iter().map(|(_, used, ..)| *used).collect(), reserved.0.saturating_add(others)))
    }

    /// The refusal of `amount`, where the periods have had so much and `others` is reserved.
    fn refusal(self: &Arc<Self>, amount: MicroDollars, used: &[MicroDollars], others: MicroDollars) -> GenerateError {
        let now_ms = self.clock.epoch_ms();
        let mut books = self.books();
        let (mut exceeded, mut retry_after) = (Periods::default(), UNDER_WAY);
        for ((period, _, limit, ends_ms), used) in books.periods().into_iter().zip(used) {
            let would_exceed = *used + others + amount > limit;
            match period {
                Period::Daily => exceeded.daily = would_exceed,
                Period::Weekly => exceeded.weekly = would_exceed,
                Period::Monthly => exceeded.monthly = would_exceed,
            }
            if *used + amount > limit {
                retry_after = retry_after.max(Duration::from_millis(ends_ms.saturating_sub(now_ms)));
                let (word, left) = (period.as_str(), limit.saturating_sub(*used).dollars());
                let (limit, wanted) = (limit.dollars(), amount.dollars());
                let message = format!(
                    "The {word} budget of ${limit:.2} has ${left:.4} left: a generation that may cost ${wanted:.4} was refused."
                );
                books.alert(AlertKind::LimitExceeded, period, message, now_ms);
            }
        }
        let has_alerts = !books.unsaved.is_empty();
        drop(books);
        if has_alerts {
            self.tasks.spawn(Arc::clone(self).save_alerts());
        }
        GenerateError { retry_after: Some(retry_after), ..ErrorKind::OverBudget(exceeded).into() }
    }
}
