//! How long a request's store calls took.

use std::time::Duration;

/// What has been spent so far of the time that store calls together may delay a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreTook {
    /// To find out whose session it is.
    pub session: Duration,
    /// To count it. `None`: it was not counted.
    pub limiter: Option<Duration>,
}

impl StoreTook {
    /// All of it.
    pub fn total(self) -> Duration {
        self.session + self.limiter.unwrap_or_default()
    }
}
