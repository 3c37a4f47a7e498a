//! What was spent and what was saved, as far as this process knows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use time::{Date, Duration as Days, Month, OffsetDateTime};

use crate::{catalogue::MicroDollars, clock::Clock, config::BudgetConfig, generate::Usage};

/// From which share of a budget on it counts as nearly spent, in per cent: day, week, month (the original's settings).
const NEAR_PERCENT: [f64; 3] = [80.0, 75.0, 70.0];

/// Books of one process.
pub struct Ledger {
    clock: Clock,
    books: Mutex<Books>,
}

/// What was spent since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Answers that were paid for.
    pub requests: u64,
    /// What they cost.
    pub cost: MicroDollars,
    /// What they read.
    pub input_tokens: u64,
    /// What they wrote.
    pub output_tokens: u64,
}

struct Books {
    totals: Totals,
    saved: MicroDollars,
    periods: [Period; 3],
    /// The status as JSON, until something is spent or a period ends.
    status: Option<Bytes>,
}

struct Period {
    kind: PeriodKind,
    limit: f64,
    spent: MicroDollars,
    /// When it ends, in milliseconds since the Unix epoch.
    ends_ms: u64,
    /// The same as JSON has it: a date and midnight.
    reset_date: String,
}

#[derive(Clone, Copy)]
enum PeriodKind {
    Daily,
    Weekly,
    Monthly,
}

impl Ledger {
    /// Empty books; periods are days, ISO weeks and months in UTC.
    pub fn new(clock: Clock, limits: BudgetConfig) -> Self {
        let BudgetConfig { daily, weekly, monthly } = limits;
        let kinds = [(PeriodKind::Daily, daily), (PeriodKind::Weekly, weekly), (PeriodKind::Monthly, monthly)];
        let periods = kinds.map(|(kind, limit)| Period::ended(kind, limit));
        let books = Books { totals: Totals::default(), saved: MicroDollars(0), periods, status: None };
        Self { clock, books: Mutex::new(books) }
    }

    /// Books an answer that was paid for.
    pub fn spend(&self, cost: MicroDollars, usage: &Usage) {
        let mut books = self.books();
        let totals = &mut books.totals;
        totals.requests += 1;
        totals.cost = totals.cost + cost;
        totals.input_tokens = totals.input_tokens.saturating_add(usage.input_tokens);
        totals.output_tokens = totals.output_tokens.saturating_add(usage.output_tokens);
        for period in &mut books.periods {
            period.spent = period.spent + cost;
        }
        books.status = None;
    }

    /// Books what an answer would have cost that nobody had to pay for.
    pub fn save(&self, cost: MicroDollars) {
        let mut books = self.books();
        books.saved = books.saved + cost;
    }

    /// What was spent since the process began.
    pub fn totals(&self) -> Totals {
        self.books().totals
    }

    /// What hits and joined calls would have cost.
    pub fn saved(&self) -> MicroDollars {
        self.books().saved
    }

    /// What was spent today and what may be, in dollars.
    pub fn today(&self) -> (f64, f64) {
        let [daily, ..] = &self.books().periods;
        (daily.spent.dollars(), daily.limit)
    }

    /// `{"daily":{…},"weekly":{…},"monthly":{…}}` as JSON.
    pub fn status(&self) -> Bytes {
        let mut books = self.books();
        let books = &mut *books;
        let periods = &books.periods;
        books.status.get_or_insert_with(|| status(periods)).clone()
    }

    /// The books, with every period that is over begun anew.
    fn books(&self) -> MutexGuard<'_, Books> {
        let now_ms = self.clock.epoch_ms();
        // Every statement leaves the books whole.
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if books.periods.iter().any(|period| period.ends_ms <= now_ms) {
            books.periods.iter_mut().filter(|period| period.ends_ms <= now_ms).for_each(|period| period.begin(now_ms));
            books.status = None;
        }
        books
    }
}

impl PeriodKind {
    fn as_str(self) -> &'static str {
        match self {
            PeriodKind::Daily => "daily",
            PeriodKind::Weekly => "weekly",
            PeriodKind::Monthly => "monthly",
        }
    }

    /// The end of the period that holds `now_ms`: the next midnight, Monday or first of a month, in UTC.
    fn end(self, now_ms: u64) -> u64 {
        let today = utc_date(now_ms);
        let next = match self {
            PeriodKind::Daily => today.next_day(),
            PeriodKind::Weekly => {
                today.checked_add(Days::days(7 - i64::from(today.weekday().number_days_from_monday())))
            }
            PeriodKind::Monthly => {
                let year = if today.month() == Month::December { today.year() + 1 } else { today.year() };
                Date::from_calendar_date(year, today.month().next(), 1).ok()
            }
        };
        let seconds = next.map(|date| date.midnight().assume_utc().unix_timestamp());
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(u64::MAX, |seconds| seconds * 1000)
    }
}

fn utc_date(epoch_ms: u64) -> Date {
    let seconds = i64::try_from(epoch_ms / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MIN, OffsetDateTime::date)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PeriodStatus<'a> {
    period: &'static str,
    used: f64,
    limit: f64,
    remaining: f64,
    percentage: f64,
    is_over_limit: bool,
    is_near_limit: bool,
    reset_date: &'a str,
}

fn status([daily, weekly, monthly]: &[Period; 3]) -> Bytes {
    #[derive(Serialize)]
    struct Status<'a> {
        daily: PeriodStatus<'a>,
        weekly: PeriodStatus<'a>,
        monthly: PeriodStatus<'a>,
    }
    let [near_daily, near_weekly, near_monthly] = NEAR_PERCENT;
    let status = Status {
        daily: daily.status(near_daily),
        weekly: weekly.status(near_weekly),
        monthly: monthly.status(near_monthly),
    };
    serde_json::to_vec(&status).unwrap_or_else(|_| unreachable!("numbers, booleans and texts are JSON")).into()
}

impl Period {
    /// One that is over, so that the first look begins it.
    fn ended(kind: PeriodKind, limit: f64) -> Self {
        Self { kind, limit, spent: MicroDollars(0), ends_ms: 0, reset_date: String::new() }
    }

    fn begin(&mut self, now_ms: u64) {
        self.spent = MicroDollars(0);
        self.ends_ms = self.kind.end(now_ms);
        let date = utc_date(self.ends_ms);
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        self.reset_date = format!("{year:04}-{month:02}-{day:02}T00:00:00.000Z");
    }

    fn status(&self, near_percent: f64) -> PeriodStatus<'_> {
        let (used, limit) = (self.spent.dollars(), self.limit);
        let percentage = match (used, limit) {
            (_, limit) if limit > 0.0 => used / limit * 100.0,
            (used, _) if used > 0.0 => 100.0,
            _ => 0.0,
        };
        PeriodStatus {
            period: self.kind.as_str(),
            used,
            limit,
            remaining: (limit - used).max(0.0),
            percentage,
            is_over_limit: used > limit,
            is_near_limit: percentage >= near_percent,
            reset_date: &self.reset_date,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::Value;

    use super::*;

    /// Friday, 2026-12-25, 23:59:00 UTC.
    const CHRISTMAS: Duration = Duration::from_secs(1_798_243_140);

    #[tokio::test(start_paused = true)]
    async fn each_period_ends_for_itself() {
        let limits = BudgetConfig { daily: 1.0, weekly: 10.0, monthly: 100.0 };
        let ledger = Ledger::new(Clock::at(SystemTime::UNIX_EPOCH + CHRISTMAS), limits);
        ledger.spend(MicroDollars(900_000), &Usage::default());
        let read = || serde_json::from_slice::<Value>(&ledger.status()).unwrap();

        let status = read();
        assert_eq!(status["daily"]["used"], 0.9);
        assert_eq!(status["daily"]["isNearLimit"], true);
        assert_eq!(status["daily"]["resetDate"], "2026-12-26T00:00:00.000Z");
        assert_eq!(status["weekly"]["resetDate"], "2026-12-28T00:00:00.000Z");
        assert_eq!(status["monthly"]["resetDate"], "2027-01-01T00:00:00.000Z");

        tokio::time::advance(Duration::from_mins(2)).await;
        let status = read();
        assert_eq!(status["daily"]["used"], 0.0);
        assert_eq!(status["weekly"]["used"], 0.9);
        assert_eq!(status["daily"]["resetDate"], "2026-12-27T00:00:00.000Z");
        assert_eq!(ledger.totals().cost, MicroDollars(900_000));
    }
}
