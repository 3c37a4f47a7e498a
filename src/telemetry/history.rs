//! The last hours of this process, in slices of five minutes: enough to see what changed, and bounded.

use std::{collections::VecDeque, time::Duration};

use serde::{Serialize, ser::SerializeMap as _};
use utoipa::ToSchema;

use crate::generate::MicroDollars;

use super::{Ending, ending::ENDINGS};

/// How long a slice is.
pub const SLICE: Duration = Duration::from_mins(5);
/// How many are remembered: twelve hours.
pub(super) const SLICES: usize = 144;

/// Upper ends of what durations are counted by, in milliseconds, each a quarter of a magnitude longer than the one before; what takes
/// longer is counted by the last.
const DURATIONS: usize = 26;

/// What happened in five minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// When it begins, in milliseconds since the Unix epoch.
    start_ms: u64,
    endings: [u32; ENDINGS],
    durations: [u32; DURATIONS],
    pub(super) spent: MicroDollars,
    pub(super) saved: MicroDollars,
}

/// What happened in a slice of time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatusSlice)]
pub struct SliceForm {
    /// When it begins, in milliseconds since the Unix epoch.
    pub start_ms: u64,
    /// How many generations came to which ending; those that none came to are left out.
    #[schema(value_type = std::collections::HashMap<String, u32>)]
    pub endings: Endings,
    /// In dollars.
    pub spent: f64,
    /// In dollars.
    pub saved: f64,
    /// What half of the generations took at most, in milliseconds. `null`: there were none.
    pub median_milliseconds: Option<f64>,
    /// What 19 of 20 took at most.
    pub p95_milliseconds: Option<f64>,
}

/// A number for each ending.
pub struct Endings([u32; ENDINGS]);

impl Serialize for Endings {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (ending, count) in Ending::ALL.iter().zip(self.0).filter(|(_, count)| *count > 0) {
            map.serialize_entry(ending.as_str(), &count)?;
        }
        map.end()
    }
}

impl Slice {
    fn new(start_ms: u64) -> Self {
        let (spent, saved) = Default::default();
        Self { start_ms, endings: [0; ENDINGS], durations: [0; DURATIONS], spent, saved }
    }

    /// A generation came to this `ending` after so long.
    #[expect(
        clippy::indexing_slicing,
        reason = "there is a place for each ending, and `place` is one of the durations'"
    )]
    pub(super) fn add(&mut self, ending: Ending, took: Duration) {
        self.endings[ending as usize] += 1;
        self.durations[place(took)] += 1;
    }

    /// As replies show it.
    pub(super) fn form(&self) -> SliceForm {
        SliceForm {
            start_ms: self.start_ms,
            endings: Endings(self.endings),
            spent: self.spent.dollars(),
            saved: self.saved.dollars(),
            median_milliseconds: self.quantile(1, 2),
            p95_milliseconds: self.quantile(19, 20),
        }
    }

    /// The duration that `part` of `of` took at most, as far as it is known.
    fn quantile(&self, part: u64, of: u64) -> Option<f64> {
        let all: u64 = self.durations.iter().map(|count| u64::from(*count)).sum();
        let mut left = (all * part).div_ceil(of);
        for (place, count) in self.durations.iter().enumerate() {
            left = left.saturating_sub(u64::from(*count));
            if all > 0 && left == 0 {
                return Some(upper_end(place));
            }
        }
        None
    }
}

/// The place of a duration among those that are counted.
fn place(took: Duration) -> usize {
    let milliseconds = took.as_secs_f64() * 1e3;
    (0..DURATIONS).find(|place| milliseconds <= upper_end(*place)).unwrap_or(DURATIONS - 1)
}

/// From a tenth of a millisecond to three minutes.
#[expect(clippy::cast_precision_loss, reason = "there are 26 of them")]
fn upper_end(place: usize) -> f64 {
    let milliseconds = 0.1 * 10_f64.powf(place as f64 / 4.0);
    (milliseconds * 100.0).round() / 100.0
}

/// The slices that are remembered, oldest first, without gaps.
pub(super) struct History(VecDeque<Slice>);

impl History {
    /// That begins at `now_ms`.
    pub(super) fn new(now_ms: u64) -> Self {
        Self(VecDeque::from([Slice::new(start_of(now_ms))]))
    }

    /// The slice that `now_ms` belongs to. A clock that was set back writes to the last.
    pub(super) fn at(&mut self, now_ms: u64) -> &mut Slice {
        let start_ms = start_of(now_ms);
        let last_ms = self.0.back().map_or(start_ms, |last| last.start_ms);
        let missing = start_ms.saturating_sub(last_ms) / slice_ms();
        // What would be forgotten at once need not be made.
        for ago in (0..missing.min(SLICES as u64)).rev() {
            if self.0.len() == SLICES {
                self.0.pop_front();
            }
            self.0.push_back(Slice::new(start_ms - ago * slice_ms()));
        }
        self.0.back_mut().unwrap_or_else(|| unreachable!("one is there from the beginning"))
    }

    /// All of them, up to the one that `now_ms` belongs to.
    pub(super) fn until(&mut self, now_ms: u64) -> Vec<Slice> {
        self.at(now_ms);
        self.0.iter().cloned().collect()
    }
}

fn start_of(ms: u64) -> u64 {
    ms - ms % slice_ms()
}

const fn slice_ms() -> u64 {
    SLICE.as_secs() * 1_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_are_no_gaps_and_never_more_slices_than_are_remembered() {
        let mut history = History::new(1_000);
        let mut now_ms = 1_000;
        for step in [0, 60_000, 299_999, 300_000, 3_600_000, 24 * 3_600_000, 1] {
            now_ms += step;
            history.at(now_ms).add(Ending::Hit, Duration::ZERO);
            let slices = history.until(now_ms);
            assert!(slices.len() <= SLICES);
            assert_eq!(slices.last().unwrap().start_ms, start_of(now_ms));
            assert!(slices.windows(2).all(|pair| pair[1].start_ms - pair[0].start_ms == slice_ms()), "{now_ms}");
        }
        history.at(0).add(Ending::Miss, Duration::ZERO);
        let last = history.until(0).pop().unwrap();
        assert_eq!((last.start_ms, last.endings[Ending::Miss as usize]), (start_of(now_ms), 1));
    }

    #[test]
    fn quantiles_are_upper_ends() {
        let mut slice = Slice::new(0);
        assert_eq!(slice.quantile(1, 2), None);
        for ms in [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1_000] {
            slice.add(Ending::Miss, Duration::from_millis(ms));
        }
        assert_eq!(
            (slice.quantile(1, 2), slice.quantile(19, 20), slice.quantile(1, 1)),
            (Some(1.0), Some(1.0), Some(1000.0))
        );
        slice.add(Ending::Miss, Duration::from_secs(3_600));
        assert_eq!(slice.quantile(1, 1), Some(upper_end(DURATIONS - 1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_duration_is_at_most_the_end_of_its_place_and_more_than_that_of_the_one_before(ms in 0.0..170_000.0) {
            let place = place(Duration::from_secs_f64(ms / 1e3));
            prop_assert!(ms <= upper_end(place) + 1e-6);
            prop_assert!(place == 0 || ms > upper_end(place - 1) - 1e-6);
        }
    }
}
