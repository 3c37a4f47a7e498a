//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The machine's clock, whatever it does: it is set right, or sleeps with the machine.
    System,
    /// Tokio's, so that a test which pauses time pauses freshness and budgets too.
    Tokio {
        started: Instant,
        /// Time since the Unix epoch at `started`.
        epoch: Duration,
    },
    #[cfg(test)]
    Steered(&'static std::sync::atomic::AtomicU64),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `time` now and follows tokio's from then on. A time before 1970 counts as 1970.
    pub fn at(time: SystemTime) -> Self {
        Self(Source::Tokio { started: Instant::now(), epoch: time.duration_since(UNIX_EPOCH).unwrap_or_default() })
    }

    /// A clock that shows so many milliseconds since the Unix epoch as are stored there.
    #[cfg(test)]
    pub(crate) fn steered(epoch_ms: u64) -> (Self, &'static std::sync::atomic::AtomicU64) {
        let hand = Box::leak(Box::new(std::sync::atomic::AtomicU64::new(epoch_ms)));
        (Self(Source::Steered(hand)), hand)
    }

    /// Time since the Unix epoch.
    pub fn since_epoch(&self) -> Duration {
        match self.0 {
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Source::Tokio { started, epoch } => epoch + started.elapsed(),
            #[cfg(test)]
            Source::Steered(hand) => Duration::from_millis(hand.load(std::sync::atomic::Ordering::Relaxed)),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn epoch_ms(&self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }
}
