//! May this be spent? What is under way counts as spent, at its worst, until it is known what it took.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    generate::{ErrorKind, GenerateError, MicroDollars, Periods},
    stores::{Reservation, Reserving},
};

use super::{AlertKind, Each, Ledger, NEWS_MS, Period, batch::BUDGET};

/// When to come back where only what is under way stands in the way: calls take seconds.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// How long, once the store is back, others may take to post what they have spent alone: until then their shares count as reserved.
const OTHERS_POST_MS: u64 = 15_000;

/// An amount that may be spent. Dropped, it is free again.
pub struct Reserved {
    ledger: Arc<Ledger>,
    /// `None`: the store knows nothing of it.
    field: Option<String>,
    amount: MicroDollars,
    is_alone: bool,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let field = self.field.take();
        if field.is_none() && self.amount == MicroDollars(0) {
            return;
        }
        self.ledger.books().release(field, self.amount, self.is_alone);
        // At once: whoever was refused because of it need not wait for the next posting.
        self.ledger.flush_soon();
    }
}

/// What stands in the way in one period: what it has had, and what else counts as if it had.
#[derive(Clone, Copy, Default)]
struct InTheWay {
    spent: MicroDollars,
    besides: MicroDollars,
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
    /// [`ErrorKind::OverBudget`], with the time when it may succeed: never, where it is more than a budget has.
    pub async fn reserve(
        self: &Arc<Self>,
        amount: MicroDollars,
        lasts: Duration,
        by: Instant,
    ) -> Result<Reserved, GenerateError> {
        let mut answer = self.try_reserve(amount, lasts, by).await;
        // A budget may have been raised or begun anew elsewhere.
        if answer.is_err() && !self.is_news(NEWS_MS) && self.refresh(by).await.is_ok() {
            answer = self.try_reserve(amount, lasts, by).await;
        }
        answer.map_err(|in_the_way| self.refusal(amount, in_the_way))
    }

    async fn try_reserve(
        self: &Arc<Self>,
        amount: MicroDollars,
        lasts: Duration,
        by: Instant,
    ) -> Result<Reserved, Each<InTheWay>> {
        let now_ms = self.clock.epoch_ms();
        let until_ms = now_ms.saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
        let field = format!("reserved:{}", Uuid::now_v7().simple());
        let (limits, besides, own) = {
            let mut books = self.books();
            books.ask(&field, amount);
            (books.limits(), books.unknown_to_the_store(now_ms).0, books.own_besides(&field))
        };
        let reservation = Reservation { field: &field, amount: amount.0, now_ms, until_ms, besides };
        // From here on it may be reserved, whatever becomes of the answer, and of who waits for it.
        let ledger = Arc::clone(self);
        let mut reserved =
            Reserved { ledger, field: Some(field.clone()), amount: MicroDollars::default(), is_alone: false };
        match self.store.reserve(BUDGET, &reservation, &limits, by).await {
            Ok(answer) => {
                let mut books = self.books();
                books.hear(limits, &answer.amounts);
                // Others of its own may have come and gone meanwhile.
                let own = own.max(books.own_besides(&field));
                let others = MicroDollars(answer.others).saturating_sub(own + MicroDollars(besides));
                books.hear_of_others(others, until_ms);
                if !answer.is_reserved {
                    books.refused(&field);
                    drop(books);
                    reserved.field = None;
                    return Err(self.in_the_way(&answer));
                }
                books.reserve(amount, false);
            }
            Err(error) => {
                tracing::debug!(%error, "this process reserves alone");
                if error.is_undone() {
                    self.books().refused(&field);
                    reserved.field = None;
                }
                self.reserve_alone(amount, now_ms)?;
                reserved.is_alone = true;
            }
        }
        reserved.amount = amount;
        Ok(reserved)
    }

    /// What stands in the way by what the store says.
    fn in_the_way(&self, answer: &Reserving) -> Each<InTheWay> {
        let books = self.books();
        let mut amounts = answer.amounts.iter();
        Each::of(|period| {
            let spent = MicroDollars(amounts.next().copied().unwrap_or_default());
            let spent = spent.saturating_sub(books.spent_before(period));
            InTheWay { spent, besides: MicroDollars(answer.others) }
        })
    }

    /// Reserves `amount` within this process's share of what was left when the store spoke last.
    fn reserve_alone(&self, amount: MicroDollars, now_ms: u64) -> Result<(), Each<InTheWay>> {
        let mut books = self.books();
        let (reserved, held) = (books.reserved(), books.held_by_others(now_ms));
        let (mut fits, mut others) = (true, MicroDollars(u64::MAX));
        let in_the_way = Each::of(|period| {
            let (said, unposted) = (books.said(period), books.unposted_spending(period));
            let left = books.limit(period).saturating_sub(said + held);
            let share = MicroDollars(left.0 / u64::from(self.instances.get()));
            fits &= unposted + reserved + amount <= share;
            others = others.min(left.saturating_sub(share));
            // The shares of others count as if they had been reserved.
            InTheWay { spent: said + unposted, besides: reserved + held + left.saturating_sub(share) }
        });
        books.leave_to_others(others, now_ms.saturating_add(OTHERS_POST_MS));
        if !fits {
            return Err(in_the_way);
        }
        books.reserve(amount, true);
        Ok(())
    }

    /// The refusal of `amount`, where so much stands in the way.
    fn refusal(self: &Arc<Self>, amount: MicroDollars, in_the_way: Each<InTheWay>) -> GenerateError {
        let now_ms = self.clock.epoch_ms();
        let mut books = self.books();
        let (mut exceeded, mut retry_after, mut has_raised) = (Periods::default(), Some(UNDER_WAY), false);
        for period in Period::ALL {
            let (limit, InTheWay { spent, besides }) = (books.limit(period), in_the_way[period]);
            let would_exceed = spent + besides + amount > limit;
            match period {
                Period::Daily => exceeded.daily = would_exceed,
                Period::Weekly => exceeded.weekly = would_exceed,
                Period::Monthly => exceeded.monthly = would_exceed,
            }
            // Who asks for more than there ever is says nothing of what is left, and may come back as often as it likes.
            if amount > limit && limit > MicroDollars(0) {
                retry_after = None;
            } else if spent + amount > limit {
                let ends_in = Duration::from_millis(books.ends_ms(period).saturating_sub(now_ms));
                retry_after = retry_after.map(|wait| wait.max(ends_in));
                let message = || {
                    let (word, left) = (period.as_str(), limit.saturating_sub(spent));
                    format!(
                        "The {word} budget of {limit} has {left} left: a generation that may cost {amount} was refused."
                    )
                };
                has_raised |= books.alert(AlertKind::LimitExceeded, period, limit, message, now_ms);
            }
        }
        drop(books);
        if has_raised {
            self.save_alerts_soon();
        }
        GenerateError { retry_after, ..ErrorKind::OverBudget(exceeded).into() }
    }
}
