//! What is under way, and counts as spent.

use crate::{generate::MicroDollars, ledger::Period, stores::Sheet};

use super::Books;

/// How many reservations that are over are remembered until they can be posted; those beyond end by themselves.
const MAX_OVER: usize = 10_000;

impl Books {
    /// The fields of today's budgets, each with what may stand in it.
    pub(in crate::ledger) fn limits(&self) -> Vec<(String, u64)> {
        Period::ALL.map(|period| (self.field(period), (self.spent_before(period) + self.limit(period)).0)).into()
    }

    /// What counts as reserved, and the store does not know of.
    pub(in crate::ledger) fn unknown_to_the_store(&self, now_ms: u64) -> MicroDollars {
        let unposted = Period::ALL.map(|period| self.unposted_spending(period)).into_iter().max();
        let spent = unposted.filter(|_| self.has_spent_alone).unwrap_or_default();
        let others = if now_ms < self.others_until_ms { self.others } else { MicroDollars(0) };
        MicroDollars(self.alone) + spent + others
    }

    /// The store has said that so much stands in each of `limits`, without what it has not been told. Answers may overtake one another,
    /// and what stands there only grows.
    pub(in crate::ledger) fn hear(&mut self, limits: Vec<(String, u64)>, amounts: &[u64]) {
        let fields = limits.into_iter().map(|(field, _)| field).zip(amounts);
        let heard = fields.map(|(field, amount)| {
            let before = self.heard.get(&field).copied().unwrap_or_default();
            (field, before.max(*amount))
        });
        self.heard = heard.collect();
    }

    /// `field` is about to be reserved at the store.
    pub(in crate::ledger) fn ask(&mut self, field: &str, amount: MicroDollars) {
        self.own.insert(field.to_owned(), amount.0);
    }

    /// `field` has certainly not been reserved there.
    pub(in crate::ledger) fn refused(&mut self, field: &str) {
        self.own.remove(field);
    }

    /// What this process may have reserved there besides `field`.
    pub(in crate::ledger) fn own_besides(&self, field: &str) -> MicroDollars {
        let others = self.own.iter().filter(|(other, _)| *other != field);
        others.map(|(_, amount)| MicroDollars(*amount)).sum()
    }

    /// The store has said that others have reserved so much. It lasts until then at most.
    pub(in crate::ledger) fn hear_of_others(&mut self, amount: MicroDollars, until_ms: u64) {
        (self.held_by_others, self.held_until_ms) = (amount, until_ms);
    }

    /// The same, by all that is there.
    pub(in crate::ledger) fn learn_of_others(&mut self, budget: &Sheet) {
        let others = budget.reservations.iter().filter(|(field, _)| !self.own.contains_key(*field));
        let (amounts, ends): (Vec<_>, Vec<_>) =
            others.map(|(_, (amount, until_ms))| (MicroDollars(*amount), *until_ms)).unzip();
        self.held_by_others = amounts.into_iter().sum();
        self.held_until_ms = ends.into_iter().max().unwrap_or_default();
    }

    /// What was spent of the budget of `period` when the store spoke last.
    pub(in crate::ledger) fn said(&self, period: Period) -> MicroDollars {
        let known = self.used[period].saturating_sub(self.unposted_spending(period));
        let heard = MicroDollars(self.heard.get(&self.field(period)).copied().unwrap_or_default());
        known.max(heard.saturating_sub(self.spent_before(period)))
    }

    /// What others had reserved when the store spoke last, as long as that may last.
    pub(in crate::ledger) fn held_by_others(&self, now_ms: u64) -> MicroDollars {
        if now_ms < self.held_until_ms { self.held_by_others } else { MicroDollars(0) }
    }

    /// Other instances may have spent so much alone, and will have posted it by then.
    pub(in crate::ledger) fn leave_to_others(&mut self, amount: MicroDollars, until_ms: u64) {
        (self.others, self.others_until_ms) = (amount, until_ms);
    }

    /// What is reserved by this process.
    pub(in crate::ledger) fn reserved(&self) -> MicroDollars {
        MicroDollars(self.reserved)
    }

    /// `amount` is reserved, by this process alone or at the store.
    pub(in crate::ledger) fn reserve(&mut self, amount: MicroDollars, is_alone: bool) {
        self.reserved = self.reserved.saturating_add(amount.0);
        self.alone = self.alone.saturating_add(if is_alone { amount.0 } else { 0 });
    }

    /// A reservation of `amount` is over. `field`: where the store may know of it.
    pub(in crate::ledger) fn release(&mut self, field: Option<String>, amount: MicroDollars, is_alone: bool) {
        self.reserved = self.reserved.saturating_sub(amount.0);
        if is_alone {
            self.alone = self.alone.saturating_sub(amount.0);
            self.has_spent_alone = true;
        }
        let Some(field) = field else { return };
        if self.over.len() < MAX_OVER {
            self.over.push(field);
        } else {
            self.own.remove(&field);
        }
    }
}
