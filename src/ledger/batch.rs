//! What was booked here and is not posted yet.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use time::Date;
use uuid::Uuid;

use crate::{generate::Target, stores::Entry};

use super::{
    Period,
    lines::{Amounts, Kind, Lines, fields},
};

/// The sheet of what each period's budget has had, of what was avoided in all, and of what is reserved. The tag keeps all keys of
/// the ledger in one slot of a cluster.
pub(super) const BUDGET: &str = "llm:{ledger}:budget";
/// What was avoided in all, on that sheet.
pub(super) const AVOIDED: &str = "avoided";
/// The sheet of everything that was ever booked.
pub(super) const ALL: &str = "llm:{ledger}:all";

/// The key of one who posts and has not posted before.
pub(super) fn new_poster() -> String {
    format!("llm:{{ledger}}:poster:{}", Uuid::now_v7().simple())
}

/// How long the sheets of days, weeks and months are kept: as long as anyone compares them.
const DAYS_KEPT: Duration = Duration::from_hours(24 * 62);
const WEEKS_KEPT: Duration = Duration::from_hours(24 * 400);
const MONTHS_KEPT: Duration = Duration::from_hours(24 * 800);
/// A posting holds no more fields of a sheet than that, a little more or less: a script takes only so many words.
const MAX_FIELDS: usize = 400;

/// The sheet of the period that holds `date`.
pub(super) fn sheet(period: Period, date: Date) -> String {
    format!("llm:{{ledger}}:{}:{}", period.as_str(), period.name(date))
}

/// The field of the period's budget that holds `date`.
pub(super) fn budget_field(period: Period, date: Date) -> String {
    format!("{}:{}", period.as_str(), period.name(date))
}

/// Bookings by their days.
#[derive(Default)]
pub(super) struct Batch(BTreeMap<Date, Day>);

#[derive(Default)]
struct Day {
    models: HashMap<Target, Lines>,
    spent: u64,
    avoided: u64,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Books one answer.
    pub(super) fn book(&mut self, date: Date, target: &Target, kind: Kind, amounts: Amounts) {
        let day = self.0.entry(date).or_default();
        if !day.models.contains_key(target) {
            day.models.insert(target.clone(), Lines::default());
        }
        if let Some(line) = day.models.get_mut(target).and_then(|lines| lines.get_mut(kind as usize)) {
            line.add(amounts);
        }
        let sum = if kind.is_spent() { &mut day.spent } else { &mut day.avoided };
        *sum = sum.saturating_add(amounts.cost);
    }

    /// What was spent in the period that holds `date`.
    pub(super) fn spent(&self, period: Period, date: Date) -> u64 {
        let (first, next) = (period.first_day(date), period.next_first_day(date));
        self.0.range(first..next).map(|(_, day)| day.spent).sum()
    }

    /// What was spent and avoided.
    pub(super) fn sum(&self) -> u64 {
        self.0.values().map(|day| day.spent.saturating_add(day.avoided)).sum()
    }

    /// What was avoided.
    pub(super) fn avoided(&self) -> u64 {
        self.0.values().map(|day| day.avoided).sum()
    }

    /// The same as entries, each part for a posting of its own, which drop `dropped` from the budget's sheet too.
    pub(super) fn parts(&self, dropped: &[String]) -> Vec<Vec<Entry>> {
        let mut budget = BTreeMap::new();
        for (date, day) in &self.0 {
            let periods = Period::ALL.map(|period| (budget_field(period, *date), day.spent));
            for (field, amount) in periods.into_iter().chain([(AVOIDED.to_owned(), day.avoided)]) {
                *budget.entry(field).or_default() += amount;
            }
        }
        let mut amounts: Vec<(String, u64)> = budget.into_iter().filter(|(_, amount)| *amount > 0).collect();
        let mut chunks = dropped.chunks(MAX_FIELDS);
        let mut budget_entry = |dropped: &[String]| Entry {
            sheet: BUDGET.to_owned(),
            keep: None,
            amounts: std::mem::take(&mut amounts),
            dropped: dropped.to_vec(),
        };
        let mut parts = vec![vec![budget_entry(chunks.next().unwrap_or_default())]];
        parts.extend(chunks.map(|dropped| vec![budget_entry(dropped)]));
        let mut sheets = Sheets::default();
        for (date, day) in &self.0 {
            for (target, lines) in &day.models {
                sheets.add(*date, target, lines);
                if sheets.fields >= MAX_FIELDS {
                    parts.push(std::mem::take(&mut sheets).entries());
                }
            }
        }
        // Mostly there is one part, and it all goes together.
        parts.iter_mut().take(1).for_each(|first| first.extend(std::mem::take(&mut sheets).entries()));
        parts
    }
}

/// Fields on their sheets.
#[derive(Default)]
struct Sheets {
    sheets: BTreeMap<String, (Option<Duration>, BTreeMap<String, u64>)>,
    /// How many there are on each, at most.
    fields: usize,
}

impl Sheets {
    fn add(&mut self, date: Date, target: &Target, lines: &Lines) {
        let mut written = Vec::new();
        fields(target, lines, &mut written);
        self.fields += written.len();
        let kept = [Some(DAYS_KEPT), Some(WEEKS_KEPT), Some(MONTHS_KEPT)];
        let periods = Period::ALL.into_iter().zip(kept).map(|(period, keep)| (sheet(period, date), keep));
        for (sheet, keep) in periods.chain([(ALL.to_owned(), None)]) {
            let (_, amounts) = self.sheets.entry(sheet).or_insert_with(|| (keep, BTreeMap::new()));
            for (field, amount) in &written {
                *amounts.entry(field.clone()).or_default() += amount;
            }
        }
    }

    fn entries(self) -> Vec<Entry> {
        let entry = |(sheet, (keep, amounts)): (String, (_, BTreeMap<_, _>))| Entry {
            sheet,
            keep,
            amounts: amounts.into_iter().collect(),
            dropped: Vec::new(),
        };
        self.sheets.into_iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{MicroDollars, Usage};

    #[test]
    fn no_posting_is_too_large_for_a_script_and_nothing_is_left_out() {
        let mut batch = Batch::default();
        let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() };
        for at in 0..1_000 {
            let target = Target { provider: "openai".into(), model: format!("m{at}").as_str().into() };
            for date in [Date::MIN, Date::MIN.next_day().unwrap()] {
                batch.book(date, &target, Kind::Client, Amounts::of(&usage, MicroDollars(2)));
            }
        }
        let dropped: Vec<String> = (0..9_999).map(|at| format!("reserved:{at}")).collect();
        let parts = batch.parts(&dropped);
        let entries = || parts.iter().flatten();
        assert!(entries().all(|entry| entry.amounts.len() + entry.dropped.len() < 2 * MAX_FIELDS));
        assert_eq!(entries().map(|entry| entry.dropped.len()).sum::<usize>(), dropped.len());
        let sum = |sheet: &str, part: &str| {
            let entries = entries().filter(|entry| entry.sheet == sheet);
            let amounts = entries.flat_map(|entry| &entry.amounts).filter(|(field, _)| field.contains(part));
            amounts.map(|(_, amount)| amount).sum::<u64>()
        };
        assert_eq!((sum(ALL, ":cost:"), sum(BUDGET, "daily:"), sum(BUDGET, "monthly:")), (4_000, 4_000, 4_000));
        for part in &parts {
            let mut sheets: Vec<_> = part.iter().map(|entry| &entry.sheet).collect();
            sheets.sort_unstable();
            assert!(sheets.windows(2).all(|pair| pair[0] != pair[1]), "no sheet twice");
        }
    }
}
