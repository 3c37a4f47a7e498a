//! What is known of one answer, or of vectors, on the way.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    generate::{
        CacheResult, Completion, ErrorKind, GenerateError, MicroDollars, Outcome, Receipt, Served, Target, Usage,
    },
    metrics::Operation,
};

use super::Ending;

/// A generation. Each part is known once.
pub struct Generating {
    /// What is asked for.
    pub operation: Operation,
    /// Who is asked first.
    pub asked: Target,
    /// Whether the client reads along.
    pub is_stream: bool,
    receipt: OnceLock<Receipt>,
    calls: AtomicU32,
    first_text: OnceLock<Duration>,
    answer: OnceLock<Answered>,
    failure: OnceLock<Failure>,
}

/// An answer that has come to its end.
pub struct Answered {
    /// Who gave it.
    pub served: Target,
    /// Calls that were made for it, whenever that was.
    pub attempts: u32,
    /// What those took, whoever paid for it and when.
    pub usage: Usage,
    /// What became of it in the cache.
    pub outcome: Outcome,
    /// What it costs who asked. `None`: nothing.
    pub cost: Option<MicroDollars>,
}

/// What came instead of an answer.
pub struct Failure {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Calls that it says were made.
    attempts: u32,
}

impl Generating {
    pub(super) fn new(operation: Operation, asked: Target, is_stream: bool) -> Self {
        let (receipt, first_text) = (OnceLock::new(), OnceLock::new());
        let (answer, failure) = (OnceLock::new(), OnceLock::new());
        Self { operation, asked, is_stream, receipt, calls: AtomicU32::new(0), first_text, answer, failure }
    }

    /// It is known where the answer comes from.
    pub fn decided(&self, receipt: &Receipt) {
        self.receipt.get_or_init(|| receipt.clone());
    }

    /// The `number`th call for it begins.
    pub fn calling(&self, number: u32) {
        self.calls.fetch_max(number, Relaxed);
    }

    /// Its first piece is there, so long after the request.
    pub fn has_begun(&self, after: Duration) {
        self.first_text.get_or_init(|| after);
    }

    /// It has ended.
    pub fn finished(&self, completion: &Completion, outcome: Outcome, cost: Option<MicroDollars>) {
        let Served { target, attempts, .. } = &completion.served;
        self.answered(Answered { served: target.clone(), attempts: *attempts, usage: completion.usage, outcome, cost });
    }

    /// The same, in as many words.
    pub fn answered(&self, answered: Answered) {
        self.answer.get_or_init(|| answered);
    }

    /// It will not, or must not be given.
    pub fn failed(&self, error: &GenerateError) {
        self.failure.get_or_init(|| Failure { kind: error.kind, attempts: error.attempts });
    }

    /// The cache's key, and whether its answer was given. `None`: nobody looked.
    pub fn looked_up(&self) -> Option<(&Arc<str>, bool)> {
        let receipt = self.receipt.get()?;
        match receipt.cache {
            CacheResult::Hit(_) => Some((receipt.key.as_ref()?, true)),
            CacheResult::Miss | CacheResult::Stale | CacheResult::Request => Some((receipt.key.as_ref()?, false)),
            CacheResult::Bypass => None,
        }
    }

    /// How long after the request its first piece was there. `None`: it has none, or came whole.
    pub fn first_text(&self) -> Option<Duration> {
        self.first_text.get().copied()
    }

    /// Calls that were made for it, as far as is known. 0: it was stored, or nobody was asked; or who waited for the whole left, or was
    /// told that there is no more time, before its end.
    pub fn attempts(&self) -> u32 {
        // An answer that must not be given was called for as any other; one that was left, or panicked, has neither.
        let failed = self.failure.get().map_or(0, |failure| failure.attempts);
        let answered = self.answer.get().filter(|_| !self.ending().is_stored()).map_or(0, |answer| answer.attempts);
        self.calls.load(Relaxed).max(failed).max(answered)
    }

    /// How it ended, if it was well.
    pub fn answer(&self) -> Option<&Answered> {
        self.answer.get().filter(|_| self.failure.get().is_none())
    }

    /// How it ended, if it was not.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// What it came to, as far as is known of it. A reply that never began is not.
    pub(super) fn ending(&self) -> Ending {
        if let Some(failure) = self.failure.get() {
            return Ending::of_failure(failure.kind);
        }
        let Some(answer) = self.answer.get() else { return Ending::Left };
        let receipt = self.receipt.get();
        match (answer.outcome, receipt.map(|receipt| receipt.cache)) {
            (Outcome::StandIn { .. }, _) => Ending::Stale,
            (Outcome::Collapsed, _) => Ending::Joined,
            (_, Some(CacheResult::Hit(freshness))) if freshness.is_fresh() => Ending::Hit,
            (_, Some(CacheResult::Hit(_))) => Ending::Stale,
            (_, Some(CacheResult::Bypass) | None) => Ending::Bypassed,
            _ if receipt.is_some_and(|receipt| receipt.joined.is_some()) => Ending::Joined,
            (_, Some(CacheResult::Miss | CacheResult::Stale | CacheResult::Request)) => Ending::Miss,
        }
    }
}
