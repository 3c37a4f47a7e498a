//! Makes trouble, and ends it.

use std::time::{Duration, Instant};

use tokio::time::{interval, sleep};

use super::{Soak, pair::Pair, phases::Trouble, provider::Mood};
use crate::support::{Fault, Upstash};

/// The place whose instance is killed and stopped. The other one stays from the beginning to the end.
pub(super) const REPLACED: usize = 1;
/// What a slow store takes: at first so long that it just answers in time, then too long.
const SLOW: Duration = Duration::from_millis(120);
const TOO_SLOW: Duration = Duration::from_millis(1_200);
/// How often connections to the store are cut.
const CUTS: Duration = Duration::from_millis(150);

/// An instance that was killed.
pub(super) struct Kill {
    pub(super) pair: usize,
    pub(super) key: String,
    pub(super) at: Instant,
}

/// `trouble` at both pairs for so `long`. It is over when this comes back.
pub(super) async fn strike(soak: &Soak, trouble: Trouble, long: Duration) {
    let [one, other] = &soak.pairs;
    tokio::join!(at_pair(soak, 0, one, trouble, long), at_pair(soak, 1, other, trouble, long));
}

async fn at_pair(soak: &Soak, at: usize, pair: &Pair, trouble: Trouble, long: Duration) {
    match (&pair.upstash, trouble) {
        (_, Trouble::ProviderFailing) => in_mood(pair, Mood::Failing, long).await,
        (_, Trouble::ProviderCutting) => in_mood(pair, Mood::Cutting, long).await,
        (_, Trouble::ProviderHanging) => in_mood(pair, Mood::Hanging, long).await,
        (_, Trouble::InstanceKilled) => {
            let now = Instant::now();
            let key = pair.kill(REPLACED);
            soak.kills.lock().unwrap().push(Kill { pair: at, key, at: now });
            sleep(long).await;
            pair.launch(REPLACED);
        }
        (_, Trouble::InstanceStopped) => {
            let status = pair.stop(REPLACED).await;
            if status != Some(0) {
                let what = format!("an instance on {} that was told to stop ended with {status:?}", pair.name);
                soak.tally.lock().unwrap().violation(what);
            }
            sleep(long).await;
            pair.launch(REPLACED);
        }
        (Some(upstash), _) => over_rest(upstash, trouble, long).await,
        (None, _) => natively(pair, trouble, long).await,
    }
}

async fn in_mood(pair: &Pair, mood: Mood, long: Duration) {
    pair.provider.turns(mood);
    sleep(long).await;
    pair.provider.turns(Mood::Well);
}

async fn over_rest(upstash: &Upstash, trouble: Trouble, long: Duration) {
    if trouble == Trouble::StoreKilled {
        upstash.close().await;
        sleep(long).await;
        upstash.reopen().await;
        return;
    }
    let faults = match trouble {
        Trouble::StoreFrozen => [Fault::NoAnswer; 2],
        Trouble::StoreSlow => [Fault::Latency(SLOW), Fault::Latency(TOO_SLOW)],
        Trouble::StoreFull => [Fault::Full; 2],
        _ => [Fault::ServerError(500), Fault::TooManyRequests { retry_after: 1 }],
    };
    for fault in faults {
        upstash.fail(fault, &[], usize::MAX);
        sleep(long / 2).await;
        upstash.heal();
    }
}

async fn natively(pair: &Pair, trouble: Trouble, long: Duration) {
    let relay = pair.relay.as_ref().expect("a pair on Redis has one");
    match trouble {
        Trouble::StoreKilled => {
            pair.redis.kill();
            sleep(long).await;
            pair.redis.restart().await;
        }
        Trouble::StoreFrozen => {
            pair.redis.freeze();
            sleep(long).await;
            pair.redis.thaw();
        }
        Trouble::StoreSlow => {
            for delay in [SLOW, TOO_SLOW] {
                relay.delay(delay);
                sleep(long / 2).await;
            }
            relay.delay(Duration::ZERO);
        }
        Trouble::StoreFull => {
            // Nothing may be evicted, which is the default.
            may_hold(pair, 1).await;
            sleep(long).await;
            may_hold(pair, 0).await;
        }
        _ => {
            let (begun, mut cuts) = (Instant::now(), interval(CUTS));
            while begun.elapsed() < long {
                cuts.tick().await;
                relay.cut();
            }
        }
    }
}

/// 0: as much as there is.
async fn may_hold(pair: &Pair, bytes: u32) {
    let mut connection = pair.redis.connection().await;
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).exec_async(&mut connection).await.unwrap();
}
