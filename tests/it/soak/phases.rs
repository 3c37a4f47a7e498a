//! What goes wrong, when, and what clients may be told meanwhile.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// What goes wrong, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    StoreKilled,
    StoreFrozen,
    StoreSlow,
    StoreFull,
    StoreRefusing,
    ProviderFailing,
    ProviderCutting,
    ProviderHanging,
    InstanceKilled,
    InstanceStopped,
}

impl Trouble {
    pub(super) const ALL: [Self; 10] = [
        Self::StoreKilled,
        Self::StoreFrozen,
        Self::StoreSlow,
        Self::StoreFull,
        Self::StoreRefusing,
        Self::ProviderFailing,
        Self::ProviderCutting,
        Self::ProviderHanging,
        Self::InstanceKilled,
        Self::InstanceStopped,
    ];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::StoreKilled => "store killed",
            Self::StoreFrozen => "store hung",
            Self::StoreSlow => "store slow",
            Self::StoreFull => "store full",
            Self::StoreRefusing => "store cut, 500, 429",
            Self::ProviderFailing => "provider failing",
            Self::ProviderCutting => "provider cut",
            Self::ProviderHanging => "provider hung",
            Self::InstanceKilled => "instance killed",
            Self::InstanceStopped => "instance stopped",
        }
    }

    /// What is done for it: natively, and over REST.
    pub(super) fn deeds(self) -> [&'static str; 2] {
        match self {
            Self::StoreKilled => ["`SIGKILL`, then the same data", "nobody listens"],
            Self::StoreFrozen => ["`SIGSTOP`", "no answer"],
            Self::StoreSlow => ["120 ms, then 1.2 s for each piece"; 2],
            Self::StoreFull => ["`maxmemory 1`, nothing to evict", "«DB capacity quota exceeded»"],
            Self::StoreRefusing => ["every connection cut, each 150 ms", "500, then 429"],
            Self::ProviderFailing => ["500, 429, 529, 503, and a page with 200"; 2],
            Self::ProviderCutting => ["cut, shortened or spoiled in the middle"; 2],
            Self::ProviderHanging => ["silence, before or behind the first text"; 2],
            Self::InstanceKilled => ["`SIGKILL`, then another one"; 2],
            Self::InstanceStopped => ["`SIGTERM`, then another one"; 2],
        }
    }

    pub(super) fn is_of_store(self) -> bool {
        self < Self::ProviderFailing
    }

    pub(super) fn is_of_provider(self) -> bool {
        (Self::ProviderFailing..Self::InstanceKilled).contains(&self)
    }
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Nothing is wrong, and nothing was for a while.
    Quiet,
    /// It goes wrong; of an instance that is replaced, its place.
    Trouble(Trouble, usize),
    /// It is over, and whoever stepped back may still do so.
    Settling(Trouble, usize),
}

impl Phase {
    /// What is wrong, or was just now.
    pub(super) fn trouble(self) -> Option<(Trouble, usize)> {
        match self {
            Self::Quiet => None,
            Self::Trouble(trouble, place) | Self::Settling(trouble, place) => Some((trouble, place)),
        }
    }

    /// Its column in the report.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Trouble(trouble, _) => trouble.words(),
            Self::Settling(..) => "settling",
        }
    }
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) trouble: Duration,
    pub(super) quiet: Duration,
    /// Until the store is used again: an instance looks after 1, 2 and 4 s (`stores::guard`), what it has posted in vain comes
    /// with the next of its postings.
    store_settles: Duration,
    /// Until the provider is asked again: it is skipped for 5 s, and for 10 s when it fails once more.
    provider_settles: Duration,
    /// Until a new instance is used, and the other has seen its peer's leases end.
    instance_settles: Duration,
}

impl Pace {
    /// Everything once within a minute.
    const SHORT: Self = Self {
        trouble: Duration::from_secs(1),
        quiet: Duration::from_millis(800),
        store_settles: Duration::from_millis(2_500),
        provider_settles: Duration::from_millis(5_200),
        instance_settles: Duration::from_millis(1_500),
    };
    /// Everything once in some five minutes.
    const LONG: Self = Self {
        trouble: Duration::from_secs(8),
        quiet: Duration::from_secs(12),
        store_settles: Duration::from_secs(6),
        provider_settles: Duration::from_secs(12),
        instance_settles: Duration::from_secs(3),
    };

    /// For a soak of so long.
    pub(super) fn for_a_soak_of(time: Duration) -> Self {
        if time < Duration::from_secs(240) { Self::SHORT } else { Self::LONG }
    }

    /// Whether one round is all.
    pub(super) fn is_short(self) -> bool {
        self.trouble == Self::SHORT.trouble
    }

    /// How long `trouble` lasts. A provider that hangs is noticed when `PROVIDER_TIMEOUT_SECONDS` (3) are over.
    pub(super) fn lasts(self, trouble: Trouble) -> Duration {
        if trouble == Trouble::ProviderHanging { self.trouble.max(Duration::from_millis(3_500)) } else { self.trouble }
    }

    pub(super) fn settles(self, trouble: Trouble) -> Duration {
        if trouble.is_of_store() {
            self.store_settles
        } else if trouble.is_of_provider() {
            self.provider_settles
        } else {
            self.instance_settles
        }
    }
}

/// When each phase began.
pub(super) struct Timeline(Mutex<Vec<(Instant, Phase)>>);

impl Timeline {
    pub(super) fn new() -> Self {
        Self(Mutex::new(vec![(Instant::now(), Phase::Quiet)]))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.0.lock().unwrap().push((Instant::now(), phase));
    }

    /// All that there was between the two.
    pub(super) fn between(&self, begun: Instant, ended: Instant) -> Vec<Phase> {
        let phases = self.0.lock().unwrap();
        let first = phases.iter().rposition(|(since, _)| *since <= begun).unwrap_or_default();
        phases[first..].iter().take_while(|(since, _)| *since <= ended).map(|(_, phase)| *phase).collect()
    }
}
