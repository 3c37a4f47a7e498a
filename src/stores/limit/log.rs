//! Every admission, one by one: no window of the quota's length ever holds more than the quota (`upstash-rest.md` 14.4).

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use super::{Admission, Quota, ms};

/// When the last ones were admitted: milliseconds, ascending.
#[derive(Default)]
pub(super) struct Log(VecDeque<u64>);

impl Log {
    pub(super) fn admit(&mut self, quota: Quota, cost: NonZeroU32, now: u64) -> Admission {
        let window = quota.window_ms();
        self.forget(window, now);
        let max = quota.max.get() as usize;
        let held = self.0.len() + cost.get() as usize;
        let admitted = held <= max;
        if admitted {
            self.push(cost, now);
        }
        let leaves_in = |at: usize| ms(self.0.get(at).or(self.0.back()).map_or(0, |then| then + window - now));
        Admission {
            admitted,
            limit: quota.max.get(),
            remaining: u32::try_from(max.saturating_sub(self.0.len())).unwrap_or(u32::MAX),
            grows_in: leaves_in(0),
            // When so many have left that the rest and this one fit.
            retry_in: if admitted { Duration::ZERO } else { leaves_in(held - max - 1) },
            local: false,
        }
    }

    pub(super) fn record(&mut self, quota: Quota, cost: NonZeroU32, now: u64) {
        self.forget(quota.window_ms(), now);
        self.push(cost, now);
    }

    /// An entry leaves exactly one window after it was made.
    fn forget(&mut self, window: u64, now: u64) {
        while self.0.front().is_some_and(|then| then + window <= now) {
            self.0.pop_front();
        }
    }

    fn push(&mut self, cost: NonZeroU32, now: u64) {
        // Two threads may read the clock in one order and arrive here in the other.
        let at = now.max(self.0.back().copied().unwrap_or_default());
        self.0.extend(std::iter::repeat_n(at, cost.get() as usize));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quota(max: u32, window_ms: u64) -> Quota {
        Quota { max: NonZeroU32::new(max).unwrap(), window: ms(window_ms) }
    }

    /// Every admission ever made, looked through from the start each time.
    #[derive(Clone, Default)]
    struct Oracle(Vec<u64>);

    impl Oracle {
        fn admit(&mut self, max: u32, window: u64, cost: NonZeroU32, now: u64) -> bool {
            let within = self.0.iter().filter(|&&then| then + window > now).count();
            let admitted = within + cost.get() as usize <= max as usize;
            if admitted {
                self.0.extend(std::iter::repeat_n(now, cost.get() as usize));
            }
            admitted
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn it_agrees_with_a_naive_oracle(
            max in 1_u32..8,
            window in 1_u64..200,
            schedule in prop::collection::vec((0_u64..60, 1_u32..4), 1..60),
        ) {
            let (mut log, mut oracle) = (Log::default(), Oracle::default());
            let mut now = 0;
            for (pause, cost) in schedule {
                now += pause;
                let cost = NonZeroU32::new(cost.min(max)).unwrap();
                let admission = log.admit(quota(max, window), cost, now);
                prop_assert_eq!(admission.admitted, oracle.admit(max, window, cost, now));
                let live: Vec<u64> = oracle.0.iter().copied().filter(|then| then + window > now).collect();
                prop_assert_eq!(admission.remaining as usize, max as usize - live.len());
                prop_assert_eq!(admission.grows_in, ms(live[0] + window - now));
                if !admission.admitted {
                    let wait = u64::try_from(admission.retry_in.as_millis()).unwrap();
                    prop_assert!(!oracle.clone().admit(max, window, cost, now + wait - 1), "a millisecond too early");
                    prop_assert!(oracle.clone().admit(max, window, cost, now + wait), "then it passes");
                }
            }
            for &then in &oracle.0 {
                let within = oracle.0.iter().filter(|&&t| t >= then && t < then + window).count();
                prop_assert!(within <= max as usize, "no window holds more than the quota");
            }
        }
    }
}
