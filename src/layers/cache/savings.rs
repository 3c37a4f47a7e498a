//! What a request would have cost that nobody had to pay for.

use std::sync::Arc;

use crate::{
    catalogue::Catalogue,
    generate::{Completion, Freshness, MicroDollars, Outcome, Target, Usage},
    ledger::{Kind, Ledger},
    telemetry::Telemetry,
};

/// Books what was avoided, at today's prices.
pub struct Savings {
    catalogue: Arc<Catalogue>,
    ledger: Arc<Ledger>,
    telemetry: Arc<Telemetry>,
}

impl Savings {
    /// Books in `ledger` at the prices of `catalogue`, and tells `telemetry`.
    pub fn new(catalogue: Arc<Catalogue>, ledger: Arc<Ledger>, telemetry: Arc<Telemetry>) -> Self {
        Self { catalogue, ledger, telemetry }
    }

    /// A stored answer answered.
    pub(super) fn stored(&self, completion: &Completion, freshness: Freshness) {
        self.answer(kind(freshness), completion, |cost| cost);
    }

    /// An answer that had to be called for, and not paid. Where a stored one stands in for a call that failed, nothing was
    /// avoided: the call would have cost nothing either.
    pub(super) fn not_paid(&self, completion: &Completion, outcome: Outcome) {
        match outcome {
            Outcome::StandIn { .. } => self.answer(Kind::Stale, completion, |_| MicroDollars(0)),
            Outcome::Stored | Outcome::NotStored | Outcome::Collapsed => {
                self.answer(Kind::Joined, completion, |cost| cost);
            }
        }
    }

    /// Stored vectors answered an input or more, for which `usage` was counted.
    pub(super) fn vectors(&self, target: &Target, usage: &Usage, freshness: Freshness) {
        let cost = self.catalogue.embedding_price(target).cost(usage);
        self.book(kind(freshness), target, usage, cost);
    }

    fn answer(&self, kind: Kind, completion: &Completion, avoided: fn(MicroDollars) -> MicroDollars) {
        let Completion { served, usage, .. } = completion;
        let target = &served.target;
        let cost = self.catalogue.price(&target.provider, &target.model).cost(usage);
        self.book(kind, target, usage, avoided(cost));
    }

    fn book(&self, kind: Kind, target: &Target, usage: &Usage, avoided: MicroDollars) {
        self.ledger.book(kind, target, usage, avoided);
        self.telemetry.avoided(kind.as_str(), self.catalogue.bounded(target), avoided);
    }
}

fn kind(freshness: Freshness) -> Kind {
    if freshness.is_fresh() { Kind::Hit } else { Kind::Stale }
}
