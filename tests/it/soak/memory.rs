//! What each process holds while nothing is under way.

use std::time::{Duration, Instant};

use super::{Soak, chaos::REPLACED, pair::CACHE_BYTES, pair::sum};

/// How long it may take until nothing is under way: a call that hangs ends with `PROVIDER_STREAM_SECONDS` (20).
const IDLE_WITHIN: Duration = Duration::from_secs(25);
/// The share by which memory may grow.
const GROWTH: f64 = 0.05;
/// What it may grow in a run of one round, in bytes: paths that are taken for the first time (retries, timeouts, a store that comes back)
/// bring code and the allocator's arenas into memory that stay there. Over an hour only the share counts, from the end of the first round on.
const FIRST_TIME_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// How many descriptors more than before: connections to the provider are kept for 30 s, as many as were needed at once.
const KEPT_CONNECTIONS: usize = 24;

/// One look at one process.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) pair: usize,
    pub(super) place: usize,
    pub(super) resident: usize,
    pub(super) open_files: usize,
    /// How full its own cache is, in per cent.
    pub(super) full: f64,
}

/// Looks at all instances once nothing is under way at any of them. The load must pause.
pub(super) async fn sample(soak: &Soak) {
    soak.asking.close();
    soak.asking.wait().await;
    soak.asking.reopen();
    for (pair, around) in soak.pairs.iter().enumerate() {
        if !around.is_idle_within(IDLE_WITHIN).await {
            let what = format!("on {} something is still under way {IDLE_WITHIN:?} after the last request", around.name);
            soak.tally.lock().unwrap().violation(what);
        }
        for place in 0..2 {
            let metrics = around.metrics(place).await;
            let full = sum(&metrics, |name| name == "llm_gateway_cache_memory_bytes") / CACHE_BYTES * 100.0;
            let (resident, open_files) =
                around.process(place, |binary| (binary.resident_bytes(), binary.open_files()));
            let sample = Sample { at: Instant::now(), pair, place, resident, open_files, full };
            soak.samples.lock().unwrap().push(sample);
        }
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
        let (before, after) = (first.resident as f64, last.resident as f64);
        let most = if is_short { (before * GROWTH).max(FIRST_TIME_BYTES) } else { before * GROWTH };
        if after - before > most {
            violations.push(format!("memory grew from {before} to {after} bytes: {of:?}"));
        }
        if first.full < 80.0 {
            violations.push(format!("the cache was not full when memory was measured first: {first:?}"));
        }
        if last.open_files > first.open_files + KEPT_CONNECTIONS {
            violations.push(format!("open descriptors grew: {of:?}"));
        }
    }
    violations
}

/// By how much the memory of those that stayed grows, in bytes an hour, by least squares.
pub(super) fn slope(samples: &[Sample], pair: usize) -> f64 {
    let of: Vec<_> = samples.iter().filter(|sample| sample.pair == pair && sample.place != REPLACED).collect();
    let Some(first) = of.first() else { return 0.0 };
    let points: Vec<(f64, f64)> =
        of.iter().map(|sample| ((sample.at - first.at).as_secs_f64() / 3_600.0, sample.resident as f64)).collect();
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / count, b + y / count));
    let (over, under) =
        points.iter().fold((0.0, 0.0), |(a, b), (px, py)| (a + (px - x) * (py - y), b + (px - x) * (px - x)));
    if under == 0.0 { 0.0 } else { over / under }
}
