//! Waiting for what comes in its own time.

use std::time::{Duration, Instant};

/// A loaded machine takes its time; only a failure is waited out.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is` says so, or panics and names `what` never came. Not for time that is paused.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
