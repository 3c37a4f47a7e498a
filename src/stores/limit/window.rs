//! Two counters in place of a log: the window before counts by how much of it is still within reach, rounded up
//! (`upstash-rest.md` 14.5).

use std::{num::NonZeroU32, time::Duration};

use super::{Admission, Quota, ms};

/// How many were admitted in the present window and in the one before.
#[derive(Default)]
pub(super) struct Window {
    number: u64,
    count: u64,
    before: u64,
}

impl Window {
    pub(super) fn admit(&mut self, quota: Quota, cost: NonZeroU32, now: u64) -> Admission {
        let (length, max, cost) = (quota.window_ms(), u64::from(quota.max.get()), u64::from(cost.get()));
        let elapsed = self.turn(length, now);
        let used = (self.before * (length - elapsed)).div_ceil(length) + self.count;
        let admitted = used + cost <= max;
        let retry_in = if admitted {
            self.count += cost;
            0
        } else {
            self.wait(length, elapsed, max, cost)
        };
        let used = if admitted { used + cost } else { used };
        Admission {
            admitted,
            limit: quota.max.get(),
            remaining: u32::try_from(max.saturating_sub(used)).unwrap_or(u32::MAX),
            grows_in: if admitted { ms(length - elapsed) } else { ms(retry_in) },
            retry_in: if admitted { Duration::ZERO } else { ms(retry_in) },
            local: false,
        }
    }

    pub(super) fn record(&mut self, quota: Quota, cost: NonZeroU32, now: u64) {
        self.turn(quota.window_ms(), now);
        self.count += u64::from(cost.get());
    }

    /// Moves to the window of `now`, never back, and says how much of it is over.
    fn turn(&mut self, length: u64, now: u64) -> u64 {
        let (number, elapsed) = (now / length, now % length);
        match number.checked_sub(self.number) {
            // A clock that is a little behind.
            None if number + 1 == self.number => return 0,
            Some(0) => return elapsed,
            Some(1) => (self.before, self.count) = (self.count, 0),
            _ => (self.before, self.count) = (0, 0),
        }
        self.number = number;
        elapsed
    }

    /// How long until `cost` would pass if nothing else came.
    fn wait(&self, length: u64, elapsed: u64, max: u64, cost: u64) -> u64 {
        if let Some(room) = max.checked_sub(cost + self.count) {
            return (length * (self.before.saturating_sub(room))).div_ceil(self.before.max(1)) - elapsed;
        }
        let over = self.count.saturating_sub(max.saturating_sub(cost));
        length - elapsed + (length * over).div_ceil(self.count.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_published_vectors() {
        // `upstash-rest.md` 14.5: time, cost, admitted, remaining, wait.
        let steps = [
            (0, 1, true, 9, 0),
            (0, 1, true, 8, 0),
            (1_000, 8, true, 0, 0),
            (1_000, 1, false, 0, 65_000),
            (30_000, 1, false, 0, 36_000),
            (60_000, 1, false, 0, 6_000),
            (66_000, 1, true, 0, 0),
            (66_000, 1, false, 0, 6_000),
            (72_000, 1, true, 0, 0),
            (90_000, 3, true, 0, 0),
            (90_000, 2, false, 0, 12_000),
            (119_999, 1, true, 3, 0),
            (120_000, 1, true, 3, 0),
            (240_000, 10, true, 0, 0),
            (240_000, 1, false, 0, 66_000),
        ];
        let (mut window, ten) = (Window::default(), NonZeroU32::new(10).unwrap());
        let quota = Quota { max: ten, window: ms(60_000) };
        for (now, cost, admitted, remaining, wait) in steps {
            let admission = window.admit(quota, NonZeroU32::new(cost).unwrap(), now);
            let got = (admission.admitted, admission.remaining, admission.retry_in);
            assert_eq!(got, (admitted, remaining, ms(wait)), "{cost} at {now} ms");
        }
    }
}
