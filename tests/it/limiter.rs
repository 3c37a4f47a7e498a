//! The limiter's rule: the published vectors, and a long random walk, the same in this process, in Redis and over REST.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use llm_gateway::{
    clock::Clock,
    stores::{
        Admission, Quota,
        memory::MemoryCounters,
        redis::{Redis, Resp, Rest},
    },
};
use tokio::time::Instant;

use crate::{
    stores::{resp, rest},
    support::{RedisServer, Upstash},
};

/// Time, cost; admitted, remaining, when that grows, when the refused may pass; in milliseconds (`upstash-rest.md` 14.4).
const LOG: [(u64, u32, bool, u32, u64, u64); 14] = [
    (0, 1, true, 2, 60_000, 0),
    (10_000, 1, true, 1, 50_000, 0),
    (10_000, 1, true, 0, 50_000, 0),
    (10_000, 1, false, 0, 50_000, 50_000),
    (30_000, 1, false, 0, 30_000, 30_000),
    (59_999, 1, false, 0, 1, 1),
    (60_000, 1, true, 0, 10_000, 0),
    (60_000, 1, false, 0, 10_000, 10_000),
    (70_000, 3, false, 2, 50_000, 50_000),
    (70_000, 2, true, 0, 50_000, 0),
    (70_000, 1, false, 0, 50_000, 50_000),
    (130_000, 3, true, 0, 60_000, 0),
    (129_990, 1, false, 0, 60_010, 60_010),
    (400_000, 1, true, 2, 60_000, 0),
];

/// Time, cost; admitted, remaining, when the refused may pass (14.5). Hundredfold, because small quotas are kept exactly.
const WINDOW: [(u64, u32, bool, u32, u64); 15] = [
    (0, 100, true, 900, 0),
    (0, 100, true, 800, 0),
    (1_000, 800, true, 0, 0),
    (1_000, 100, false, 0, 65_000),
    (30_000, 100, false, 0, 36_000),
    (60_000, 100, false, 0, 6_000),
    (66_000, 100, true, 0, 0),
    (66_000, 100, false, 0, 6_000),
    (72_000, 100, true, 0, 0),
    (90_000, 300, true, 0, 0),
    (90_000, 200, false, 0, 12_000),
    (119_999, 100, true, 399, 0),
    (120_000, 100, true, 300, 0),
    (240_000, 1_000, true, 0, 0),
    (240_000, 100, false, 0, 66_000),
];

/// A multiple of the window, as the vectors want it, of this century.
const T: u64 = 1_795_478_400_000;

struct Homes {
    memory: MemoryCounters,
    native: Redis<Resp>,
    rest: Redis<Rest>,
    _alive: (RedisServer, RedisServer, Upstash),
}

impl Homes {
    async fn start() -> Self {
        let (server, behind) = (RedisServer::start().await, RedisServer::start().await);
        let upstash = Upstash::start(&behind).await;
        let clock = Clock::at(SystemTime::now());
        Self {
            memory: MemoryCounters::new(Duration::from_secs(600)),
            native: Redis::new(resp(&server.url(), None), clock),
            rest: Redis::new(rest(&upstash), clock),
            _alive: (server, behind, upstash),
        }
    }

    /// What each says, in turn.
    async fn ask(&self, key: &str, quota: Quota, cost: u32, now: u64) -> [Admission; 3] {
        let (cost, by) = (NonZeroU32::new(cost).unwrap(), Instant::now() + Duration::from_secs(5));
        [
            self.memory.decide_at(key, quota, cost, now),
            self.native.admit_at(key, quota, cost, now, by).await.unwrap(),
            self.rest.admit_at(key, quota, cost, now, by).await.unwrap(),
        ]
    }
}

fn quota(max: u32, window_ms: u64) -> Quota {
    Quota { max: NonZeroU32::new(max).unwrap(), window: Duration::from_millis(window_ms) }
}

#[tokio::test]
async fn it_agrees_with_the_vectors_of_the_exact_log() {
    let homes = Homes::start().await;
    for (time, cost, admitted, remaining, grows, wait) in LOG {
        let expected = Admission {
            admitted,
            limit: 3,
            remaining,
            grows_in: Duration::from_millis(grows),
            retry_in: Duration::from_millis(wait),
            local: false,
        };
        let got = homes.ask("ratelimit:a:b", quota(3, 60_000), cost, T + time).await;
        assert_eq!(got, [expected; 3], "{cost} at {time} ms");
    }
}

#[tokio::test]
async fn it_agrees_with_the_vectors_of_the_window_counter() {
    let homes = Homes::start().await;
    for (time, cost, admitted, remaining, wait) in WINDOW {
        for admission in homes.ask("ratelimit:a:b", quota(1_000, 60_000), cost, T + time).await {
            let got = (admission.admitted, admission.remaining, admission.retry_in);
            assert_eq!(got, (admitted, remaining, Duration::from_millis(wait)), "{cost} at {time} ms");
        }
    }
}

#[tokio::test]
async fn a_long_random_walk_is_the_same_everywhere() {
    let homes = Homes::start().await;
    let mut random = fastrand::Rng::with_seed(7);
    for (walk, max) in [1, 3, 20, 200, 501, 2_000].into_iter().enumerate() {
        let (quota, key) = (quota(max, random.u64(1..5_000)), format!("ratelimit:walk:{walk}"));
        let mut now = T;
        for step in 0..300 {
            // Now and then a node whose clock is a little behind.
            now = if random.u8(..10) == 0 { now - random.u64(..20) } else { now + random.u64(..1_000) };
            let [memory, native, rest] = homes.ask(&key, quota, random.u32(1..=max.min(40)), now).await;
            assert_eq!((memory, memory), (native, rest), "{quota:?}, step {step}");
        }
    }
}
