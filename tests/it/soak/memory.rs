//! What each process holds while nothing is under way.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Soak, chaos::REPLACED, pair::CACHE_BYTES, pair::sum};
use crate::support::Binary;

/// Longer than a gateway keeps a connection to a provider that nobody needs (`client`, 30 s).
pub(super) const SILENCE: Duration = Duration::from_secs(33);
/// How long it may take until nothing is under way: a call that hangs ends with `PROVIDER_STREAM_SECONDS` (20).
const IDLE_WITHIN: Duration = Duration::from_secs(25);
/// The share by which memory may grow.
const GROWTH: f64 = 0.05;
/// What it may grow in a run of one round, in bytes: paths that are taken for the first time (retries, timeouts, a store that comes back)
/// bring code and the allocator's arenas into memory that stay there. Over an hour only the share counts, from the end of the first round on.
const FIRST_TIME_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// How many descriptors more than before: those of the store's connections after [`SILENCE`], and without it connections to the provider too,
/// as many as were needed at once.
const KEPT_FILES: usize = 4;
const KEPT_CONNECTIONS: usize = 64;

/// One look at one process.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) pair: usize,
    pub(super) place: usize,
    /// In bytes.
    pub(super) resident: f64,
    pub(super) open_files: usize,
    /// How full its own cache was when the load paused, in per cent.
    pub(super) full: f64,
    /// What its Redis held then, in bytes.
    pub(super) stored: f64,
}

/// Looks at all instances once nothing has been under way at any of them for so long. The load must pause.
pub(super) async fn sample(soak: &Soak, silence: Duration) {
    soak.asking.close();
    soak.asking.wait().await;
    soak.asking.reopen();
    let mut seen = Vec::new();
    for pair in &soak.pairs {
        if !pair.is_idle_within(IDLE_WITHIN).await {
            let what = format!("on {} something is still under way {IDLE_WITHIN:?} after the last request", pair.name);
            soak.tally.lock().unwrap().violation(what);
        }
        let stored = pair.store_bytes().await;
        for place in 0..2 {
            let held = sum(&pair.metrics(place).await, |name| name == "llm_gateway_cache_memory_bytes");
            seen.push((held / CACHE_BYTES * 100.0, stored));
        }
    }
    sleep(silence).await;
    for (at, (full, stored)) in seen.into_iter().enumerate() {
        let (pair, place) = (at / 2, at % 2);
        let look = |binary: &Binary| (binary.resident_bytes() / 1024, binary.open_files());
        let (kibibytes, open_files) = soak.pairs[pair].process(place, look);
        let resident = f64::from(u32::try_from(kibibytes).unwrap()) * 1024.0;
        soak.samples.lock().unwrap().push(Sample {
            at: Instant::now(),
            pair,
            place,
            resident,
            open_files,
            full,
            stored,
        });
    }
}

/// Whether what stayed from the first of `samples` to the last has grown.
pub(super) fn judge(samples: &[Sample], is_short: bool) -> Vec<String> {
    let mut violations = Vec::new();
    for pair in 0..2 {
        let of: Vec<_> = samples.iter().filter(|sample| sample.pair == pair && sample.place != REPLACED).collect();
        let (Some(first), Some(last)) = (of.first(), of.last()) else {
            violations.push("no memory was sampled".to_owned());
            continue;
        };
        let (before, after) = (first.resident, last.resident);
        let most = if is_short { (before * GROWTH).max(FIRST_TIME_BYTES) } else { before * GROWTH };
        if after - before > most {
            violations.push(format!("memory grew from {before} to {after} bytes: {of:?}"));
        }
        if first.full < 80.0 {
            violations.push(format!("the cache was not full when memory was measured first: {first:?}"));
        }
        let kept = if is_short { KEPT_CONNECTIONS } else { KEPT_FILES };
        if last.open_files > first.open_files + kept {
            violations.push(format!("open descriptors grew: {of:?}"));
        }
    }
    violations
}

/// By how much the memory of those that stayed grows, in bytes an hour, by least squares.
pub(super) fn slope(samples: &[Sample], pair: usize) -> f64 {
    let of: Vec<_> = samples.iter().filter(|sample| sample.pair == pair && sample.place != REPLACED).collect();
    let Some(first) = of.first() else { return 0.0 };
    let of: Vec<_> =
        of.iter().map(|sample| ((sample.at - first.at).as_secs_f64() / 3_600.0, sample.resident)).collect();
    let count = f64::from(u32::try_from(of.len()).unwrap());
    let (x, y) = of.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / count, b + y / count));
    let (over, under) =
        of.iter().fold((0.0, 0.0), |(a, b), (px, py)| (a + (px - x) * (py - y), b + (px - x) * (px - x)));
    if under == 0.0 { 0.0 } else { over / under }
}
