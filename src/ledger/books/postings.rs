//! What is on its way to the store, and what will be.

use std::sync::Arc;

use crate::{
    generate::MicroDollars,
    ledger::{
        Period,
        batch::{ALL, AVOIDED, BUDGET},
        lines::is_cost,
    },
    stores::{Entry, Posting},
};

use super::Books;

/// How many periods of each kind the budget's sheet remembers. Counted, and not by the time of day: no instance whose clock is wrong
/// makes the others forget what they have spent.
const PERIODS_REMEMBERED: usize = 10;

impl Books {
    /// The first posting that is on its way; where there is none, what was booked since.
    pub(in crate::ledger) fn next_posting(&mut self, now_ms: u64) -> Option<Arc<Posting>> {
        if self.postings.is_empty() && self.has_unposted() {
            let mut dropped = std::mem::take(&mut self.over);
            dropped.extend(self.outdated(now_ms));
            for entries in std::mem::take(&mut self.fresh).parts(&dropped) {
                self.number += 1;
                let posting = Posting { poster: self.poster.clone(), number: self.number, entries };
                self.postings.push_back(Arc::new(posting));
            }
        }
        self.postings.front().cloned()
    }

    /// What the budget's sheet need not say any more.
    fn outdated(&self, now_ms: u64) -> Vec<String> {
        let mut outdated = Vec::new();
        for period in Period::ALL {
            let is_of = |field: &&String| field.split(':').next() == Some(period.as_str());
            let mut fields: Vec<_> = self.known.amounts.keys().filter(is_of).cloned().collect();
            fields.sort_unstable_by(|a, b| b.cmp(a));
            outdated.extend(fields.into_iter().skip(PERIODS_REMEMBERED));
        }
        let ended = self.known.reservations.iter().filter(|(_, (_, until_ms))| *until_ms <= now_ms);
        outdated.extend(ended.map(|(field, _)| field.clone()));
        outdated
    }

    /// The first posting was posted. Says whether it was the last on its way.
    pub(in crate::ledger) fn posted(&mut self) -> bool {
        let Some(posting) = self.postings.pop_front() else { return true };
        for entry in posting.entries.iter().filter(|entry| entry.sheet == BUDGET) {
            for (field, amount) in &entry.amounts {
                let known = self.known.amounts.entry(field.clone()).or_default();
                *known = known.saturating_add(*amount);
                if let Some(heard) = self.heard.get_mut(field) {
                    *heard = heard.saturating_add(*amount);
                }
            }
            for field in &entry.dropped {
                self.known.amounts.remove(field);
                self.known.reservations.remove(field);
                self.own.remove(field);
            }
        }
        self.has_spent_alone &= !(self.postings.is_empty() && self.fresh.is_empty());
        self.recount();
        self.postings.is_empty()
    }

    /// Whether anything is booked, or over, and not known to be posted.
    pub(in crate::ledger) fn has_unposted(&self) -> bool {
        !(self.postings.is_empty() && self.fresh.is_empty() && self.over.is_empty())
    }

    /// Whether something is on its way that should have arrived.
    pub(in crate::ledger) fn is_behind(&self) -> bool {
        !self.postings.is_empty()
    }

    /// What is booked and not known to be posted, in today's budget of `period`.
    pub(in crate::ledger) fn unposted_spending(&self, period: Period) -> MicroDollars {
        let fresh = MicroDollars(self.fresh.spent(period, self.today));
        if self.postings.is_empty() { fresh } else { fresh + self.on_its_way(&self.field(period)) }
    }

    /// All that is booked and not known to be posted, spent and avoided.
    pub(in crate::ledger) fn unposted(&self) -> MicroDollars {
        let entries = self.postings.iter().flat_map(|posting| &posting.entries).filter(|entry| entry.sheet == ALL);
        let fields = entries.flat_map(|entry| &entry.amounts).filter(|(field, _)| is_cost(field));
        let on_its_way: MicroDollars = fields.map(|(_, amount)| MicroDollars(*amount)).sum();
        on_its_way + MicroDollars(self.fresh.sum())
    }

    /// All that is booked and not known to be posted.
    pub(in crate::ledger) fn unposted_entries(&self) -> Vec<Entry> {
        let fresh = self.fresh.parts(&[]).into_iter().flatten();
        self.postings.iter().flat_map(|posting| posting.entries.iter().cloned()).chain(fresh).collect()
    }

    /// What hits and joined calls would have cost, ever.
    pub(in crate::ledger) fn avoided(&self) -> MicroDollars {
        let known = self.known.amounts.get(AVOIDED).copied().unwrap_or_default();
        MicroDollars(known) + self.on_its_way(AVOIDED) + MicroDollars(self.fresh.avoided())
    }

    /// What is on its way to a field of the budget's sheet.
    fn on_its_way(&self, field: &str) -> MicroDollars {
        let entries = self.postings.iter().flat_map(|posting| &posting.entries).filter(|entry| entry.sheet == BUDGET);
        let amounts = entries.flat_map(|entry| &entry.amounts).filter(|(other, _)| other == field);
        amounts.map(|(_, amount)| MicroDollars(*amount)).sum()
    }
}
