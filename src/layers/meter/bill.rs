//! What one request costs, taken down as it happens.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    catalogue::{Catalogue, Price},
    generate::{Calling, Failed, GenerateError, MicroDollars, Target, Usage},
    ledger::{Kind, Ledger, Reserved},
    telemetry::Telemetry,
};

/// What is needed to know what things cost, and to book it.
pub(super) struct Desk {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) longest_call: Duration,
}

impl Desk {
    /// Reserves what `worst` says that an answer of `target` may cost at worst, where budgets are limits, and says how much that is.
    /// `None`: they are not.
    pub(super) async fn reserve(
        &self,
        target: &Target,
        by: Instant,
        worst: impl FnOnce(&Catalogue) -> MicroDollars + Send,
    ) -> Result<Option<(Reserved, MicroDollars)>, GenerateError> {
        // An instance that was idle, or has just begun, may not know what is set and what others have spent.
        self.ledger.freshen(by).await;
        if !self.ledger.is_limited() {
            return Ok(None);
        }
        let worst = worst(&self.catalogue);
        let reserved = self.ledger.reserve(worst, self.longest_call, by).await;
        let reserved = reserved.map_err(|error| error.at(target.clone()))?;
        Ok(Some((reserved, worst)))
    }
}

/// What one request has cost so far. Dropped before its end, because nobody wants it any more, what was under way is booked by a
/// guess.
pub(super) struct Bill {
    desk: Arc<Desk>,
    price: fn(&Catalogue, &Target) -> Price,
    /// The attempt that is under way.
    open: Option<Attempt>,
    /// What is reserved for it, until all of it is booked.
    _reserved: Option<Reserved>,
}

struct Attempt {
    target: Target,
    question_tokens: u64,
    answer_bytes: u64,
}

impl Bill {
    /// An empty one, at the prices that `price` finds, against what is `reserved`.
    pub(super) fn new(desk: Arc<Desk>, price: fn(&Catalogue, &Target) -> Price, reserved: Option<Reserved>) -> Self {
        Self { desk, price, open: None, _reserved: reserved }
    }

    /// A call begins, of about so many tokens.
    pub(super) fn calling(&mut self, calling: &Calling, question_tokens: u64) {
        let target = calling.target.clone();
        self.open = Some(Attempt { target, question_tokens, answer_bytes: 0 });
    }

    /// It has brought so many bytes more.
    pub(super) fn had(&mut self, bytes: usize) {
        if let Some(attempt) = &mut self.open {
            attempt.answer_bytes += bytes as u64;
        }
    }

    /// It brought no answer.
    pub(super) fn failed(&mut self, failed: &Failed) {
        let Failed { target, usage } = failed;
        self.finished(Kind::Failed, target, usage);
    }

    /// It is over, and took that much.
    pub(super) fn finished(&mut self, kind: Kind, target: &Target, usage: &Usage) -> MicroDollars {
        self.open = None;
        self.book(kind, target, usage)
    }

    fn book(&self, kind: Kind, target: &Target, usage: &Usage) -> MicroDollars {
        let Desk { catalogue, ledger, telemetry, .. } = &*self.desk;
        let cost = (self.price)(catalogue, target).cost(usage);
        ledger.book(kind, target, usage, cost);
        telemetry.spent(kind.as_str(), catalogue.bounded(target), usage, cost);
        cost
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if let Some(Attempt { target, question_tokens, answer_bytes }) = self.open.take() {
            self.book(Kind::Abandoned, &target, &Usage::estimate(question_tokens, answer_bytes));
        }
    }
}
