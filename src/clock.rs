//! Wall-clock time that follows tokio's clock, so that a test which pauses time pauses freshness too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Reads the time of day as an offset from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    /// Time since the Unix epoch at `started`.
    epoch: Duration,
}

impl Clock {
    /// A clock that shows the system's time now.
    pub fn system() -> Self {
        Self::at(SystemTime::now())
    }

    /// A clock that shows `time` now. A time before 1970 counts as 1970.
    pub fn at(time: SystemTime) -> Self {
        let epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), epoch }
    }

    /// Time since the Unix epoch.
    pub fn since_epoch(&self) -> Duration {
        self.epoch + self.started.elapsed()
    }

    /// Milliseconds since the Unix epoch.
    pub fn epoch_ms(&self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }
}
