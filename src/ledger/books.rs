//! The books of one process: what the store said last, and what was booked here since. No store and no waiting.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use time::Date;

use crate::{
    generate::{MicroDollars, Periods, Target, Usage},
    stores::{Entry, Posting, Sheet},
};

use super::{
    Alert, AlertKind, Changes, Period, Settings,
    alert::timestamp,
    batch::{ALL, AVOIDED, BUDGET, Batch, budget_field},
    lines::{Amounts, Kind, is_cost},
    period::{begins_ms, day},
    status::{PeriodStatus, status},
};

/// How many models are booked under their names; any model may be named where a provider takes any.
const MAX_MODELS: usize = 1_000;
/// How many periods of each kind the budget's sheet remembers. Counted, and not by the time of day: no instance whose clock is wrong
/// makes the others forget what they have spent.
const PERIODS_REMEMBERED: usize = 10;
/// How many reservations that are over are remembered until they can be posted; those beyond end by themselves.
const MAX_OVER: usize = 10_000;

/// A budget that was begun anew by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    /// When, in milliseconds since the Unix epoch.
    pub(super) since_ms: u64,
    /// The period's field, and what it had had.
    pub(super) field: String,
    pub(super) spent: u64,
}

impl Reset {
    /// The note of it.
    pub(super) fn note(&self) -> String {
        format!("{} {} {}", self.since_ms, self.spent, self.field)
    }

    fn read(note: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(note).ok()?.splitn(3, ' ');
        let (since_ms, spent) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { since_ms, spent, field: parts.next()?.to_owned() })
    }
}

pub(super) struct Books {
    /// What the environment says.
    configured: Settings,
    /// What holds.
    pub(super) settings: Settings,
    /// The day that the sums below are of, and where it begins and ends in milliseconds since the Unix epoch.
    today: Date,
    begins_ms: u64,
    ends_ms: u64,
    /// What was spent in each period of today, booked anywhere, since it was last begun anew.
    used: [MicroDollars; 3],
    /// When each period's budget was last begun anew by hand.
    resets: [Option<Reset>; 3],
    /// The budget's sheet: as the store said last, and what was posted since.
    known: Sheet,
    /// When the store said so. `None`: never.
    pub(super) known_ms: Option<u64>,
    fresh: Batch,
    /// On their way, in order. What became of the first may not be known.
    postings: VecDeque<Arc<Posting>>,
    /// Whether somebody is about to post what was booked.
    pub(super) is_flush_due: bool,
    /// Reservations that are over.
    over: Vec<String>,
    /// What is reserved by this process alone, of which the store knows nothing, and whether something of that kind was spent and is
    /// not posted.
    alone: u64,
    has_spent_alone: bool,
    /// What is reserved by this process in all.
    reserved: u64,
    /// What other instances may have spent alone, and until when in milliseconds since the Unix epoch that counts.
    others: MicroDollars,
    others_until_ms: u64,
    models: HashSet<Target>,
    /// By their ids.
    alerts: BTreeMap<String, Alert>,
    /// Raised here: not kept in the store yet, and in no answer yet.
    pub(super) unsaved: Vec<Alert>,
    untold: Vec<Alert>,
    /// The ids of those that may be kept, though the store did not say so.
    pub(super) unsure: HashSet<String>,
    /// The status as JSON, until something changes.
    status: Option<Bytes>,
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
            is_flush_due: false,
            over: Vec::new(),
            alone: 0,
            has_spent_alone: false,
            reserved: 0,
            others: MicroDollars(0),
            others_until_ms: 0,
            models: HashSet::new(),
            alerts: BTreeMap::new(),
            unsaved: Vec::new(),
            untold: Vec::new(),
            unsure: HashSet::new(),
            status: None,
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
        let mut unposted = self.unposted_spending().into_iter();
        self.used = Period::ALL.map(|period| {
            let known = self.known.amounts.get(&budget_field(period, self.today)).copied().unwrap_or_default();
            let spent = MicroDollars(known) + unposted.next().unwrap_or_default();
            spent.saturating_sub(self.spent_before(period))
        });
        self.status = None;
    }

    /// What the present period had had when its budget was begun anew. Nothing, if it was not.
    pub(super) fn spent_before(&self, period: Period) -> MicroDollars {
        self.reset_of(period).map(|reset| MicroDollars(reset.spent)).unwrap_or_default()
    }

    fn reset_of(&self, period: Period) -> Option<&Reset> {
        let [daily, weekly, monthly] = &self.resets;
        let reset = match period {
            Period::Daily => daily,
            Period::Weekly => weekly,
            Period::Monthly => monthly,
        };
        reset.as_ref().filter(|reset| reset.field == budget_field(period, self.today))
    }

    /// What is booked and not known to be posted, in each of today's budgets.
    pub(super) fn unposted_spending(&self) -> [MicroDollars; 3] {
        Period::ALL.map(|period| {
            let fresh = MicroDollars(self.fresh.spent(period, self.today));
            if self.postings.is_empty() { fresh } else { fresh + self.on_its_way(&budget_field(period, self.today)) }
        })
    }

    /// All that is booked and not known to be posted, spent and avoided.
    pub(super) fn unposted(&self) -> MicroDollars {
        let entries = self.postings.iter().flat_map(|posting| &posting.entries).filter(|entry| entry.sheet == ALL);
        let fields = entries.flat_map(|entry| &entry.amounts).filter(|(field, _)| is_cost(field));
        let on_its_way: MicroDollars = fields.map(|(_, amount)| MicroDollars(*amount)).sum();
        on_its_way + MicroDollars(self.fresh.sum())
    }

    /// Whether something is on its way that should have arrived.
    pub(super) fn is_behind(&self) -> bool {
        !self.postings.is_empty()
    }

    /// What is on its way to a field of the budget's sheet.
    fn on_its_way(&self, field: &str) -> MicroDollars {
        let entries = self.postings.iter().flat_map(|posting| &posting.entries).filter(|entry| entry.sheet == BUDGET);
        let amounts = entries.flat_map(|entry| &entry.amounts).filter(|(other, _)| other == field);
        amounts.map(|(_, amount)| MicroDollars(*amount)).sum()
    }

    /// All that is booked and not known to be posted.
    pub(super) fn unposted_entries(&self) -> Vec<Entry> {
        let fresh = self.fresh.postings(&[]).into_iter().flat_map(|posting| posting.entries);
        self.postings.iter().flat_map(|posting| posting.entries.iter().cloned()).chain(fresh).collect()
    }

    /// Books one answer, today. Says whether that raised an alert.
    pub(super) fn book(&mut self, kind: Kind, target: &Target, usage: &Usage, cost: MicroDollars, now_ms: u64) -> bool {
        let amounts = Amounts::of(usage, cost);
        // A name that brought nothing may be anybody's invention.
        let is_named = self.models.contains(target) || (amounts.is_substantial() && self.name(target));
        if is_named {
            self.fresh.book(self.today, target, kind, amounts);
        } else {
            let other = Target { provider: target.provider.clone(), model: "(other)".into() };
            self.fresh.book(self.today, &other, kind, amounts);
        }
        if !kind.is_spent() || cost == MicroDollars(0) {
            return false;
        }
        for used in &mut self.used {
            *used = *used + cost;
        }
        self.status = None;
        let known = self.unsaved.len();
        let has_raised = self.raise(now_ms);
        // The answer that brought them about tells them.
        self.untold.extend(self.unsaved.iter().skip(known).cloned());
        has_raised
    }

    /// Whether `target` is booked under its name from now on.
    fn name(&mut self, target: &Target) -> bool {
        self.models.len() < MAX_MODELS && self.models.insert(target.clone())
    }

    /// Raises an alert for each threshold that was crossed, unless it was. Says whether it raised any.
    fn raise(&mut self, now_ms: u64) -> bool {
        let mut has_raised = false;
        for (period, used) in Period::ALL.into_iter().zip(self.used) {
            let (limit, word) = (self.settings.limit(period), period.as_str());
            if used >= self.settings.warned_from(period) && used > MicroDollars(0) {
                let (percent, limit) = (self.settings.threshold(period), MicroDollars::of(limit));
                let message = || format!("{percent}% of the {word} budget of {limit} is spent: {used}.");
                has_raised |= self.alert(AlertKind::Warning, period, message, now_ms);
            }
            let limit = MicroDollars::of(limit);
            if used > limit {
                let message = || format!("The {word} budget of {limit} is exceeded: {used} is spent.");
                has_raised |= self.alert(AlertKind::LimitExceeded, period, message, now_ms);
            }
        }
        has_raised
    }

    /// Raises an alert unless it was raised before, and says whether it did.
    pub(super) fn alert(
        &mut self,
        kind: AlertKind,
        period: Period,
        message: impl FnOnce() -> String,
        now_ms: u64,
    ) -> bool {
        if !self.settings.enable_alerts {
            return false;
        }
        let threshold = match kind {
            AlertKind::Warning => self.settings.warned_from(period),
            AlertKind::LimitExceeded | AlertKind::BudgetReset => MicroDollars::of(self.settings.limit(period)),
        };
        let id = Alert::id(kind, period, self.since_ms(period), &format!("-{}", threshold.dollars()));
        let is_new = !self.alerts.contains_key(&id);
        if is_new {
            let alert = Alert::new(id.clone(), kind, period, message(), now_ms);
            self.alerts.insert(id, alert.clone());
            self.unsaved.push(alert);
        }
        is_new
    }

    /// The alert `id` need not be saved any more. Says whether that is news.
    pub(super) fn saved(&mut self, id: &str) -> bool {
        let count = self.unsaved.len();
        self.unsaved.retain(|alert| alert.id != id);
        self.unsure.remove(id);
        self.unsaved.len() < count
    }

    /// When the budget of `period` began to be counted.
    fn since_ms(&self, period: Period) -> u64 {
        let since_ms = self.reset_of(period).map(|reset| reset.since_ms).unwrap_or_default();
        since_ms.max(begins_ms(period.first_day(self.today)))
    }

    /// Alerts that no answer has told yet.
    pub(super) fn take_untold(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.untold)
    }

    /// Alerts that nobody has acknowledged, oldest first.
    pub(super) fn open_alerts(&self) -> Vec<Alert> {
        let mut open: Vec<_> = self.alerts.values().filter(|alert| !alert.acknowledged).cloned().collect();
        open.sort_by(|a, b| (&a.timestamp, a.kind).cmp(&(&b.timestamp, b.kind)));
        open
    }

    /// Those of them that are about the present ones of `periods`.
    pub(super) fn open_alerts_of(&self, periods: Periods) -> Vec<Alert> {
        let words = periods.words();
        let present = Period::ALL.into_iter().filter(|period| words.contains(&period.as_str()));
        let present: Vec<_> = present.map(|period| (period.as_str(), timestamp(self.since_ms(period)))).collect();
        let is_present =
            |alert: &Alert| present.iter().any(|(word, since)| alert.period == *word && alert.timestamp >= *since);
        self.open_alerts().into_iter().filter(is_present).collect()
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

    /// The fields of today's budgets, each with what may stand in it.
    pub(super) fn limits(&self) -> Vec<(String, u64)> {
        let limit = |(period, _, limit, _)| (budget_field(period, self.today), (self.spent_before(period) + limit).0);
        self.periods().map(limit).into()
    }

    /// The field of today's budget of `period`.
    pub(super) fn field(&self, period: Period) -> String {
        budget_field(period, self.today)
    }

    /// What hits and joined calls would have cost, ever.
    pub(super) fn avoided(&self) -> MicroDollars {
        let known = self.known.amounts.get(AVOIDED).copied().unwrap_or_default();
        MicroDollars(known) + self.on_its_way(AVOIDED) + MicroDollars(self.fresh.avoided())
    }

    /// What counts as reserved, and the store does not know of.
    pub(super) fn unknown_to_the_store(&self, now_ms: u64) -> MicroDollars {
        let spent = self.unposted_spending().into_iter().max().filter(|_| self.has_spent_alone).unwrap_or_default();
        let others = if now_ms < self.others_until_ms { self.others } else { MicroDollars(0) };
        MicroDollars(self.alone) + spent + others
    }

    /// Other instances may have spent so much alone, and will have posted it by then.
    pub(super) fn leave_to_others(&mut self, amount: MicroDollars, until_ms: u64) {
        (self.others, self.others_until_ms) = (amount, until_ms);
    }

    /// What is reserved by this process.
    pub(super) fn reserved(&self) -> MicroDollars {
        MicroDollars(self.reserved)
    }

    /// `amount` is reserved, by this process alone or at the store.
    pub(super) fn reserve(&mut self, amount: MicroDollars, is_alone: bool) {
        self.reserved = self.reserved.saturating_add(amount.0);
        self.alone = self.alone.saturating_add(if is_alone { amount.0 } else { 0 });
    }

    /// A reservation of `amount` is over. `field`: where the store may know of it.
    pub(super) fn release(&mut self, field: Option<String>, amount: MicroDollars, is_alone: bool) {
        self.reserved = self.reserved.saturating_sub(amount.0);
        if is_alone {
            self.alone = self.alone.saturating_sub(amount.0);
            self.has_spent_alone = true;
        }
        if self.over.len() < MAX_OVER {
            self.over.extend(field);
        }
    }

    /// The first posting that is on its way; where there is none, what was booked since.
    pub(super) fn next_posting(&mut self, now_ms: u64) -> Option<Arc<Posting>> {
        if self.postings.is_empty() && !(self.fresh.is_empty() && self.over.is_empty()) {
            let mut dropped = std::mem::take(&mut self.over);
            dropped.extend(self.outdated(now_ms));
            let fresh = std::mem::take(&mut self.fresh);
            self.postings.extend(fresh.postings(&dropped).into_iter().map(Arc::new));
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
    pub(super) fn posted(&mut self) -> bool {
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
        self.has_spent_alone &= !(self.postings.is_empty() && self.fresh.is_empty());
        self.recount();
        self.postings.is_empty()
    }

    /// Takes over what the store says, when nothing is on its way there. Says whether that raised an alert.
    pub(super) fn learn(&mut self, budget: Sheet, notes: &HashMap<String, Bytes>, now_ms: u64) -> bool {
        (self.known, self.known_ms, self.is_wanted) = (budget, Some(now_ms), false);
        self.settings = self.configured.with(&Changes::read(notes));
        self.resets = Period::ALL.map(|period| notes.get(&reset_field(period)).and_then(|note| Reset::read(note)));
        let kept = notes.iter().filter_map(|(field, note)| Alert::read(field, note));
        let own = self.unsaved.iter().cloned();
        self.alerts = own.chain(kept).map(|alert| (alert.id.clone(), alert)).collect();
        let alerts = &self.alerts;
        self.untold.retain(|alert| alerts.get(&alert.id).is_some_and(|alert| !alert.acknowledged));
        self.recount();
        self.raise(now_ms)
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
