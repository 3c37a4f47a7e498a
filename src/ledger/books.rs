//! The books of one process: what the store said last, and what was booked here since. No store and no waiting.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use time::Date;

use crate::{
    generate::{MicroDollars, Target, Usage},
    stores::{Entry, Posting, Sheet},
};

use super::{
    Alert, AlertKind, Changes, Period, Settings,
    alert::timestamp,
    batch::{AVOIDED, BUDGET, Batch, budget_field},
    lines::{Amounts, Kind},
    period::{begins_ms, day},
    status::{PeriodStatus, status},
};

/// How many models are booked under their names; any model may be named where a provider takes any.
const MAX_MODELS: usize = 1_000;
/// How long the budget's sheet remembers periods that are over: longer than any instance's clock is wrong. In days.
const PERIODS_REMEMBERED: i64 = 8;

pub(super) struct Books {
    /// What the environment says.
    configured: Settings,
    /// What holds.
    pub(super) settings: Settings,
    /// The day that the sums below are of, and where it begins and ends in milliseconds since the Unix epoch.
    today: Date,
    begins_ms: u64,
    ends_ms: u64,
    /// What was spent in each period of today, booked anywhere.
    used: [MicroDollars; 3],
    /// When each period's budget was last begun anew by hand, in milliseconds since the Unix epoch. 0: never.
    resets: [u64; 3],
    /// The budget's sheet: as the store said last, and what was posted since.
    known: Sheet,
    /// When the store said so. `None`: never.
    pub(super) known_ms: Option<u64>,
    fresh: Batch,
    /// On their way, in order. What became of the first may not be known.
    postings: VecDeque<Arc<Posting>>,
    /// Whether the first could not be posted when it was tried last.
    pub(super) is_stuck: bool,
    /// Reservations that are over, and what is reserved by this process.
    over: Vec<String>,
    pub(super) reserved: u64,
    models: HashSet<Target>,
    /// By their ids.
    alerts: BTreeMap<String, Alert>,
    /// Raised here: not kept in the store yet, and in no answer yet.
    pub(super) unsaved: Vec<Alert>,
    untold: Vec<Alert>,
    /// The status as JSON, until something changes.
    status: Option<Bytes>,
    /// Whether the store is being asked already.
    pub(super) is_asking: bool,
    /// Whether somebody has looked since the store was asked last.
    pub(super) is_wanted: bool,
}

impl Books {
    /// Empty ones.
    pub(super) fn new(configured: Settings) -> Self {
        Self {
            configured,
            settings: configured,
            today: Date::MIN,
            begins_ms: 0,
            ends_ms: 0,
            used: Default::default(),
            resets: Default::default(),
            known: Sheet::default(),
            known_ms: None,
            fresh: Batch::default(),
            postings: VecDeque::new(),
            is_stuck: false,
            over: Vec::new(),
            reserved: 0,
            models: HashSet::new(),
            alerts: BTreeMap::new(),
            unsaved: Vec::new(),
            untold: Vec::new(),
            status: None,
            is_asking: false,
            is_wanted: false,
        }
    }

    /// Turns to the day of `now_ms`, be it a later or, by a clock that was set right, an earlier one.
    pub(super) fn turn(&mut self, now_ms: u64) {
        if (self.begins_ms..self.ends_ms).contains(&now_ms) {
            return;
        }
        self.today = day(now_ms);
        (self.begins_ms, self.ends_ms) = (begins_ms(self.today), begins_ms(Period::Daily.next_first_day(self.today)));
        self.recount();
    }

    /// Adds up what each period has had.
    fn recount(&mut self) {
        let today = self.today;
        self.used = Period::ALL.map(|period| {
            let field = budget_field(period, today);
            let known = self.known.amounts.get(&field).copied().unwrap_or_default();
            MicroDollars(known) + self.unposted(BUDGET, &field)
        });
        self.status = None;
    }

    /// What is booked and not known to be posted, in a field of a sheet.
    fn unposted(&self, sheet: &str, field: &str) -> MicroDollars {
        let entries = self.unposted_entries();
        let amounts = entries.iter().filter(|entry| entry.sheet == sheet).flat_map(|entry| &entry.amounts);
        amounts.filter(|(other, _)| other == field).map(|(_, amount)| MicroDollars(*amount)).sum()
    }

    /// The same for all sheets.
    pub(super) fn unposted_entries(&self) -> Vec<Entry> {
        let fresh = self.fresh.postings(Vec::new()).into_iter().flat_map(|posting| posting.entries);
        self.postings.iter().flat_map(|posting| posting.entries.iter().cloned()).chain(fresh).collect()
    }

    /// Books one answer, today.
    pub(super) fn book(&mut self, kind: Kind, target: &Target, usage: &Usage, cost: MicroDollars, now_ms: u64) {
        self.turn(now_ms);
        let amounts = Amounts::of(usage, cost);
        if self.models.contains(target) || self.models.len() < MAX_MODELS {
            if !self.models.contains(target) {
                self.models.insert(target.clone());
            }
            self.fresh.book(self.today, target, kind, amounts);
        } else {
            let other = Target { provider: target.provider.clone(), model: "(other)".into() };
            self.fresh.book(self.today, &other, kind, amounts);
        }
        if kind.is_spent() && cost > MicroDollars(0) {
            for used in &mut self.used {
                *used = *used + cost;
            }
            self.status = None;
            self.raise(now_ms);
        }
    }

    /// Raises an alert for each threshold that was crossed, unless it was.
    fn raise(&mut self, now_ms: u64) {
        for (period, used) in Period::ALL.into_iter().zip(self.used) {
            let (limit, word) = (self.settings.limit(period), period.as_str());
            if used >= self.settings.warned_from(period) && used > MicroDollars(0) {
                let (percent, used) = (self.settings.threshold(period), used.dollars());
                let message = format!("{percent}% of the {word} budget of ${limit:.2} is spent: ${used:.2}.");
                self.alert(AlertKind::Warning, period, message, now_ms);
            }
            if used > MicroDollars::of(limit) {
                let message = format!("The {word} budget of ${limit:.2} is exceeded: ${:.2} is spent.", used.dollars());
                self.alert(AlertKind::LimitExceeded, period, message, now_ms);
            }
        }
    }

    /// Raises an alert unless it was raised before.
    pub(super) fn alert(&mut self, kind: AlertKind, period: Period, message: String, now_ms: u64) {
        if !self.settings.enable_alerts {
            return;
        }
        let threshold = match kind {
            AlertKind::Warning => self.settings.warned_from(period),
            AlertKind::LimitExceeded | AlertKind::BudgetReset => MicroDollars::of(self.settings.limit(period)),
        };
        let mark = format!("-{}", threshold.dollars());
        let alert = Alert::new(kind, period, self.since_ms(period), &mark, message, now_ms);
        if !self.alerts.contains_key(&alert.id) {
            self.alerts.insert(alert.id.clone(), alert.clone());
            self.unsaved.push(alert.clone());
            self.untold.push(alert);
        }
    }

    /// The alert `id` need not be saved any more. Says whether that is news.
    pub(super) fn saved(&mut self, id: &str) -> bool {
        let count = self.unsaved.len();
        self.unsaved.retain(|alert| alert.id != id);
        self.unsaved.len() < count
    }

    /// When the budget of `period` began to be counted.
    fn since_ms(&self, period: Period) -> u64 {
        let [daily, weekly, monthly] = self.resets;
        let reset = match period {
            Period::Daily => daily,
            Period::Weekly => weekly,
            Period::Monthly => monthly,
        };
        reset.max(begins_ms(period.first_day(self.today)))
    }

    /// Alerts that no answer has told yet, as a JSON array.
    pub(super) fn take_untold(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.untold)
    }

    /// Alerts that nobody has acknowledged, oldest first.
    pub(super) fn open_alerts(&self) -> Vec<Alert> {
        let mut open: Vec<_> = self.alerts.values().filter(|alert| !alert.acknowledged).cloned().collect();
        open.sort_by(|a, b| (&a.timestamp, a.kind).cmp(&(&b.timestamp, b.kind)));
        open
    }

    /// The alert of this id.
    pub(super) fn find_alert(&self, id: &str) -> Option<&Alert> {
        self.alerts.get(id)
    }

    /// Keeps what the store now says of an alert.
    pub(super) fn set_alert(&mut self, alert: Alert) {
        self.alerts.insert(alert.id.clone(), alert);
    }

    /// `{"daily":{…},"weekly":{…},"monthly":{…}}` as JSON.
    pub(super) fn status(&mut self) -> Bytes {
        self.is_wanted = true;
        if let Some(status) = &self.status {
            return status.clone();
        }
        let (settings, today) = (self.settings, self.today);
        let mut used = self.used.into_iter();
        let json = status(Period::ALL.map(|period| {
            let resets_ms = begins_ms(period.next_first_day(today));
            PeriodStatus::new(period, used.next().unwrap_or_default(), &settings, timestamp(resets_ms))
        }));
        self.status = Some(json.clone());
        json
    }

    /// What each period has had, with its limit and its end in milliseconds since the Unix epoch.
    pub(super) fn periods(&self) -> [(Period, MicroDollars, MicroDollars, u64); 3] {
        let mut used = self.used.into_iter();
        Period::ALL.map(|period| {
            let ends_ms = begins_ms(period.next_first_day(self.today));
            let limit = MicroDollars::of(self.settings.limit(period));
            (period, used.next().unwrap_or_default(), limit, ends_ms)
        })
    }

    /// The fields of today's budgets with their limits.
    pub(super) fn limits(&self) -> Vec<(String, u64)> {
        self.periods().map(|(period, _, limit, _)| (budget_field(period, self.today), limit.0)).into()
    }

    /// What is booked and not known to be posted, in each of today's budgets.
    pub(super) fn unposted_spending(&self) -> [MicroDollars; 3] {
        Period::ALL.map(|period| self.unposted(BUDGET, &budget_field(period, self.today)))
    }

    /// What hits and joined calls would have cost, ever.
    pub(super) fn avoided(&self) -> MicroDollars {
        MicroDollars(self.known.amounts.get(AVOIDED).copied().unwrap_or_default()) + self.unposted(BUDGET, AVOIDED)
    }

    /// A reservation is over.
    pub(super) fn release(&mut self, field: String, amount: MicroDollars) {
        self.reserved = self.reserved.saturating_sub(amount.0);
        self.over.push(field);
    }

    /// The first posting that is on its way; where there is none, what was booked since.
    pub(super) fn next_posting(&mut self, now_ms: u64) -> Option<Arc<Posting>> {
        if self.postings.is_empty() && !(self.fresh.is_empty() && self.over.is_empty()) {
            let mut dropped = std::mem::take(&mut self.over);
            dropped.extend(self.outdated(now_ms));
            let fresh = std::mem::take(&mut self.fresh);
            self.postings.extend(fresh.postings(dropped).into_iter().map(Arc::new));
        }
        self.postings.front().cloned()
    }

    /// What the budget's sheet need not say any more.
    fn outdated(&self, now_ms: u64) -> Vec<String> {
        let long_ago = self.today.saturating_sub(time::Duration::days(PERIODS_REMEMBERED));
        let oldest = Period::ALL.map(|period| (period.as_str(), budget_field(period, long_ago)));
        let is_old = |field: &&String| {
            oldest.iter().any(|(word, oldest)| field.starts_with(word) && field.as_str() < oldest.as_str())
        };
        let periods = self.known.amounts.keys().filter(is_old);
        let ended = self.known.reservations.iter().filter(|(_, (_, until_ms))| *until_ms <= now_ms);
        periods.chain(ended.map(|(field, _)| field)).cloned().collect()
    }

    /// The first posting was posted. Says whether it was the last on its way.
    pub(super) fn posted(&mut self) -> bool {
        self.is_stuck = false;
        let Some(posting) = self.postings.pop_front() else { return true };
        for entry in posting.entries.iter().filter(|entry| entry.sheet == BUDGET) {
            for (field, amount) in &entry.amounts {
                let known = self.known.amounts.entry(field.clone()).or_default();
                *known = known.saturating_add(*amount);
            }
            for field in &entry.dropped {
                self.known.amounts.remove(field);
                self.known.reservations.remove(field);
            }
        }
        self.recount();
        self.postings.is_empty()
    }

    /// A posting that begins today's budget of `period` anew. Nothing else may be on its way.
    pub(super) fn begin_anew(&mut self, period: Period) {
        self.over.push(budget_field(period, self.today));
    }

    /// Takes over what the store says, when nothing is on its way there.
    pub(super) fn learn(&mut self, budget: Sheet, notes: &HashMap<String, Bytes>, now_ms: u64) {
        (self.known, self.known_ms, self.is_wanted) = (budget, Some(now_ms), false);
        self.settings = self.configured.with(&Changes::read(notes));
        self.resets = Period::ALL.map(|period| {
            let note = notes.get(&reset_field(period)).and_then(|note| std::str::from_utf8(note).ok()?.parse().ok());
            note.unwrap_or_default()
        });
        let kept = notes.iter().filter_map(|(field, note)| Alert::read(field, note));
        let own = self.unsaved.iter().cloned();
        self.alerts = own.chain(kept).map(|alert| (alert.id.clone(), alert)).collect();
        self.recount();
        self.raise(now_ms);
    }

    /// Alerts that are so old that nobody asks for them any more.
    pub(super) fn old_alerts(&self, before: &str) -> Vec<String> {
        self.alerts.values().filter(|alert| alert.timestamp.as_str() < before).map(Alert::field).collect()
    }
}

/// The note that says when the budget of `period` was begun anew by hand.
pub(super) fn reset_field(period: Period) -> String {
    format!("reset.{}", period.as_str())
}
