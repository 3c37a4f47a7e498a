//! The books of one process: what the store said last, and what was booked here since. No store and no waiting.

mod alerts;
mod postings;
mod reservations;
mod reset;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use time::Date;

use crate::{
    generate::{MicroDollars, Target, Usage},
    stores::{Posting, Sheet},
};

pub(in crate::ledger) use reset::{Reset, reset_field};

use super::{
    Alert, Changes, Each, Period, Settings,
    alert::timestamp,
    batch::{Batch, budget_field, new_poster},
    lines::{Amounts, Kind},
    period::{begins_ms, day},
    status::{PeriodStatus, status},
};

/// How many models are booked under their names; any model may be named where a provider takes any.
const MAX_MODELS: usize = 1_000;

pub(in crate::ledger) struct Books {
    /// What the environment says.
    configured: Settings,
    /// What holds.
    pub(in crate::ledger) settings: Settings,
    /// The day that the sums below are of, and where it begins and ends in milliseconds since the Unix epoch.
    today: Date,
    begins_ms: u64,
    ends_ms: u64,
    /// When each period of today ends, as an answer says it.
    reset_dates: Each<String>,
    /// What was spent in each period of today, booked anywhere, since it was last begun anew.
    pub(in crate::ledger) used: Each<MicroDollars>,
    /// When each period's budget was last begun anew by hand.
    resets: Each<Option<Reset>>,
    /// The budget's sheet: as the store said last, and what was posted since.
    known: Sheet,
    /// When the store said so. `None`: never.
    pub(in crate::ledger) known_ms: Option<u64>,
    fresh: Batch,
    /// How much was booked here, ever.
    pub(in crate::ledger) bookings: u64,
    /// Who posts, and the number of the last posting.
    poster: String,
    number: u64,
    /// On their way, in order. What became of the first may not be known.
    postings: VecDeque<Arc<Posting>>,
    /// Whether somebody is about to post what was booked.
    pub(in crate::ledger) is_flush_due: bool,
    /// Reservations that are over.
    over: Vec<String>,
    /// What is reserved by this process alone, of which the store knows nothing, and whether something of that kind was spent and is
    /// not posted.
    alone: u64,
    has_spent_alone: bool,
    /// What is reserved by this process in all.
    reserved: u64,
    /// What stands in each budget's field, as the store said when something was reserved there, and what was posted since.
    heard: HashMap<String, u64>,
    /// What this process may have reserved at the store, by its fields there.
    own: HashMap<String, u64>,
    /// What others had reserved when the store spoke last, and until when in milliseconds since the Unix epoch that counts.
    held_by_others: MicroDollars,
    held_until_ms: u64,
    /// What other instances may have spent alone, and until when in milliseconds since the Unix epoch that counts.
    others: MicroDollars,
    others_until_ms: u64,
    models: HashSet<Target>,
    /// By their ids.
    alerts: BTreeMap<String, Alert>,
    /// Raised here: not kept in the store yet, and in no answer yet.
    pub(in crate::ledger) unsaved: Vec<Alert>,
    untold: Vec<Alert>,
    /// The ids of those that may be kept, though the store did not say so.
    pub(in crate::ledger) unsure: HashSet<String>,
    /// The status as JSON, until something changes.
    status: Option<Bytes>,
    /// Whether somebody has looked since the store was asked last.
    pub(in crate::ledger) is_wanted: bool,
}

impl Books {
    /// Empty ones.
    pub(in crate::ledger) fn new(configured: Settings) -> Self {
        Self {
            configured,
            settings: configured,
            today: Date::MIN,
            begins_ms: 0,
            ends_ms: 0,
            reset_dates: Each::default(),
            used: Each::default(),
            resets: Each::default(),
            known: Sheet::default(),
            known_ms: None,
            fresh: Batch::default(),
            bookings: 0,
            poster: new_poster(),
            number: 0,
            postings: VecDeque::new(),
            is_flush_due: false,
            over: Vec::new(),
            alone: 0,
            has_spent_alone: false,
            reserved: 0,
            heard: HashMap::new(),
            own: HashMap::new(),
            held_by_others: MicroDollars(0),
            held_until_ms: 0,
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
    pub(in crate::ledger) fn turn(&mut self, now_ms: u64) {
        if (self.begins_ms..self.ends_ms).contains(&now_ms) {
            return;
        }
        self.today = day(now_ms);
        (self.begins_ms, self.ends_ms) = (begins_ms(self.today), self.ends_ms(Period::Daily));
        self.reset_dates = Each::of(|period| timestamp(self.ends_ms(period)));
        self.recount();
    }

    /// Adds up what each period has had.
    fn recount(&mut self) {
        self.used = Each::of(|period| {
            let known = self.known.amounts.get(&self.field(period)).copied().unwrap_or_default();
            let spent = MicroDollars(known) + self.unposted_spending(period);
            spent.saturating_sub(self.spent_before(period))
        });
        self.status = None;
    }

    /// What the present period had had when its budget was begun anew. Nothing, if it was not.
    pub(in crate::ledger) fn spent_before(&self, period: Period) -> MicroDollars {
        self.reset_of(period).map(|reset| MicroDollars(reset.spent)).unwrap_or_default()
    }

    fn reset_of(&self, period: Period) -> Option<&Reset> {
        self.resets[period].as_ref().filter(|reset| reset.field == self.field(period))
    }

    /// Books one answer, today. Says whether that raised an alert.
    pub(in crate::ledger) fn book(
        &mut self,
        kind: Kind,
        target: &Target,
        usage: &Usage,
        cost: MicroDollars,
        now_ms: u64,
    ) -> bool {
        let amounts = Amounts::of(usage, cost);
        self.bookings += 1;
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
        self.used = Each::of(|period| self.used[period] + cost);
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

    /// `{"daily":{…},"weekly":{…},"monthly":{…}}` as JSON.
    pub(in crate::ledger) fn status(&mut self) -> Bytes {
        self.is_wanted = true;
        if let Some(status) = &self.status {
            return status.clone();
        }
        let of = |period| PeriodStatus::new(period, self.used[period], &self.settings, &self.reset_dates[period]);
        let json = status(Period::ALL.map(of));
        self.status = Some(json.clone());
        json
    }

    /// What the budget of `period` is.
    pub(in crate::ledger) fn limit(&self, period: Period) -> MicroDollars {
        MicroDollars::of(self.settings.limit(period))
    }

    /// When today's `period` ends, in milliseconds since the Unix epoch.
    pub(in crate::ledger) fn ends_ms(&self, period: Period) -> u64 {
        begins_ms(period.next_first_day(self.today))
    }

    /// The field of today's budget of `period`.
    pub(in crate::ledger) fn field(&self, period: Period) -> String {
        budget_field(period, self.today)
    }

    /// Takes over what the store says, when nothing is on its way there. Says whether that raised an alert.
    pub(in crate::ledger) fn learn(&mut self, budget: Sheet, notes: &HashMap<String, Bytes>, now_ms: u64) -> bool {
        self.learn_of_others(&budget);
        (self.known, self.known_ms, self.is_wanted) = (budget, Some(now_ms), false);
        // It says all of that.
        self.heard.clear();
        self.settings = self.configured.with(&Changes::read(notes));
        self.resets = Each::of(|period| notes.get(&reset_field(period)).and_then(|note| Reset::read(note)));
        let kept = notes.iter().filter_map(|(field, note)| Alert::read(field, note));
        let own = self.unsaved.iter().cloned();
        self.alerts = own.chain(kept).map(|alert| (alert.id.clone(), alert)).collect();
        let alerts = &self.alerts;
        self.untold.retain(|alert| alerts.get(&alert.id).is_some_and(|alert| !alert.acknowledged));
        self.recount();
        self.raise(now_ms)
    }
}
