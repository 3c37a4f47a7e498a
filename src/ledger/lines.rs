//! What is booked: kinds, amounts, and how sheets name them.

use std::collections::HashMap;

use crate::{
    generate::{MicroDollars, Target, Usage},
    stores::Sheet,
};

/// What became of an answer, as money sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spent: a client got the answer.
    Client,
    /// Spent: it replaced an answer that was no longer fresh.
    Refresh,
    /// Spent: every client had left.
    Abandoned,
    /// Spent: it brought no answer.
    Failed,
    /// Avoided: a fresh answer was there.
    Hit,
    /// Avoided: another pays for the same.
    Joined,
    /// Avoided: an answer that was no longer fresh did.
    Stale,
}

/// As many as there are kinds.
pub(super) const KINDS: usize = 7;

impl Kind {
    /// All, in the order of the sheets' lines.
    pub(super) const ALL: [Self; KINDS] =
        [Kind::Client, Kind::Refresh, Kind::Abandoned, Kind::Failed, Kind::Hit, Kind::Joined, Kind::Stale];

    /// Its word in sheets and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Client => "client",
            Kind::Refresh => "refresh",
            Kind::Abandoned => "abandoned",
            Kind::Failed => "failed",
            Kind::Hit => "hit",
            Kind::Joined => "joined",
            Kind::Stale => "stale",
        }
    }

    /// Whether it is money that was spent, rather than avoided.
    pub(super) fn is_spent(self) -> bool {
        match self {
            Kind::Client | Kind::Refresh | Kind::Abandoned | Kind::Failed => true,
            Kind::Hit | Kind::Joined | Kind::Stale => false,
        }
    }
}

/// What was counted, all of it in whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    /// Answers, or attempts at one.
    pub(super) requests: u64,
    /// In micro-dollars.
    pub(super) cost: u64,
    /// Of the cost, what is known by estimates alone.
    pub(super) estimated: u64,
    /// In tokens, as all that follow.
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cached_input: u64,
    pub(super) cache_write: u64,
    pub(super) reasoning: u64,
}

impl Amounts {
    /// One answer.
    pub(super) fn of(usage: &Usage, cost: MicroDollars) -> Self {
        let Usage { input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, estimated } =
            *usage;
        Self {
            requests: 1,
            cost: cost.0,
            estimated: if estimated { cost.0 } else { 0 },
            input: input_tokens,
            output: output_tokens,
            cached_input: cached_input_tokens,
            cache_write: cache_write_tokens,
            reasoning: reasoning_tokens,
        }
    }

    /// Whether there is more to it than that somebody asked.
    pub(super) fn is_substantial(&self) -> bool {
        self.input > 0 || self.output > 0
    }

    fn each(&mut self) -> [(&'static str, &mut u64); 8] {
        let Self { requests, cost, estimated, input, output, cached_input, cache_write, reasoning } = self;
        [
            ("requests", requests),
            ("cost", cost),
            ("estimated", estimated),
            ("input", input),
            ("output", output),
            ("cachedInput", cached_input),
            ("cacheWrite", cache_write),
            ("reasoning", reasoning),
        ]
    }

    /// Adds `other`.
    pub(super) fn add(&mut self, mut other: Self) {
        for ((_, sum), (_, amount)) in self.each().into_iter().zip(other.each()) {
            *sum = sum.saturating_add(*amount);
        }
    }
}

/// What was booked for one model, by kinds.
pub(super) type Lines = [Amounts; KINDS];

/// Writes the amounts that are not zero as fields of a sheet.
pub(super) fn fields(target: &Target, lines: &Lines, out: &mut Vec<(String, u64)>) {
    let Target { provider, model } = target;
    for (kind, mut amounts) in Kind::ALL.into_iter().zip(*lines) {
        let amounts = amounts.each().into_iter().filter(|(_, amount)| **amount > 0);
        out.extend(amounts.map(|(name, amount)| (format!("{}:{name}:{provider}:{model}", kind.as_str()), *amount)));
    }
}

/// Whether a field is that of an amount of money.
pub(super) fn is_cost(field: &str) -> bool {
    field.split(':').nth(1) == Some("cost")
}

/// What a sheet says of each model. What is no such field is someone else's.
pub(super) fn read(sheet: &Sheet) -> HashMap<Target, Lines> {
    let mut models: HashMap<Target, Lines> = HashMap::new();
    for (field, amount) in &sheet.amounts {
        let mut parts = field.splitn(4, ':');
        let (Some(kind), Some(name), Some(provider), Some(model)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Some(at) = Kind::ALL.iter().position(|known| known.as_str() == kind) else { continue };
        let lines = models.entry(Target { provider: provider.into(), model: model.into() }).or_default();
        let there = lines.get_mut(at).into_iter().flat_map(Amounts::each).find(|(known, _)| *known == name);
        if let Some((_, there)) = there {
            *there = *amount;
        }
    }
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let usage = Usage { input_tokens: 7, output_tokens: 9, estimated: true, ..Usage::default() };
        let mut lines = Lines::default();
        lines[Kind::Client as usize].add(Amounts::of(&usage, MicroDollars(5)));
        lines[Kind::Stale as usize].add(Amounts::of(&Usage { reasoning_tokens: 3, ..usage }, MicroDollars(0)));
        let target = Target { provider: "groq".into(), model: "org/model: v2".into() };
        let mut written = vec![("daily:2026-11-24".to_owned(), 3)];
        fields(&target, &lines, &mut written);
        let sheet = Sheet { amounts: written.into_iter().collect(), ..Sheet::default() };
        assert_eq!(read(&sheet), HashMap::from([(target, lines)]));
    }
}
