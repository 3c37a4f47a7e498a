//! What the breaker of a provider hears of a generation.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    breaker::{Breaker, Pass},
    generate::ErrorKind,
};

/// A generation at one provider, whichever of its models are tried: it counts once, when it is closed. Dropped before, because
/// the client left, it says nothing against the provider, unless that was overdue.
pub(super) struct Verdict {
    /// Leave to ask. `None`: it is skipped, or the breaker has heard.
    pass: Option<Pass>,
    /// How long the provider is skipped. `None`: it can be asked.
    skipped: Option<Duration>,
    /// Whether a model was in trouble.
    had_outage: bool,
    /// When saying nothing is trouble. `None`: it has said something.
    overdue: Option<Instant>,
}

impl Verdict {
    /// A generation that the provider behind `breaker` must have said something of by `overdue`.
    pub(super) fn new(breaker: Option<&Breaker>, overdue: Instant) -> Self {
        let (pass, skipped) = match breaker.map(|breaker| breaker.pass(Instant::now())) {
            Some(Ok(pass)) => (Some(pass), None),
            Some(Err(wait)) => (None, Some(wait)),
            None => (None, None),
        };
        Self { pass, skipped, had_outage: false, overdue: Some(overdue) }
    }

    /// How long the provider is skipped. `None`: it can be asked.
    pub(super) fn skipped(&self) -> Option<Duration> {
        self.skipped
    }

    /// An attempt failed. What is wrong with a request, a key or a rate says nothing of the provider's health.
    pub(super) fn failed(&mut self, kind: ErrorKind) {
        self.had_outage |= kind.outlook().is_outage;
    }

    /// An answer has begun: what failed before is made good.
    pub(super) fn has_begun(&mut self) {
        (self.had_outage, self.overdue) = (false, None);
        if let Some(pass) = &mut self.pass {
            pass.has_begun();
        }
    }

    /// The generation has come to its end at this provider.
    pub(super) fn close(mut self) {
        match self.pass.take() {
            Some(pass) if self.had_outage => drop(pass.failed(Instant::now())),
            // Nothing was brought, and nothing is wrong with the provider: the request, the key or the rate was.
            Some(pass) if self.overdue.is_some() => drop(pass),
            Some(pass) => drop(pass.succeeded()),
            None => {}
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        let is_overdue = self.overdue.is_some_and(|overdue| Instant::now() >= overdue);
        if let Some(pass) = self.pass.take_if(|_| is_overdue) {
            pass.failed(Instant::now());
        }
    }
}
