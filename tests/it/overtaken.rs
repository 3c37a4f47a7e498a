//! What comes between a look-up and the call: an answer that others have brought meanwhile, their lease, and a stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use llm_gateway::{
    generate::FinishReason,
    stores::{CacheStore, Held, Lease, LeaseStore, Room, StoreError, Stores, memory::MemoryCache},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    outage::settled,
    support::{Gateway, Reply, Scripted, Step, post, stats},
};

/// How long a look-up takes, and how long a lease.
const LOOK_UP: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(1);

/// Tells what was kept when it was asked, and takes its time to tell it.
struct Late {
    kept: Arc<dyn CacheStore>,
    is_elsewhere: bool,
}

#[async_trait]
impl CacheStore for Late {
    async fn get(&self, key: &str, by: Instant) -> Result<Option<Bytes>, StoreError> {
        let found = self.kept.get(key, by).await;
        sleep(LOOK_UP).await;
        found
    }

    fn peek(&self, key: &str) -> Option<Bytes> {
        if self.is_elsewhere { None } else { self.kept.peek(key) }
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.kept.put(key, value, ttl, by).await
    }

    async fn get_many(&self, keys: &[&str], by: Instant) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.kept.get_many(keys, by).await
    }

    async fn put_many(&self, entries: &[(&str, Bytes)], ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.kept.put_many(entries, ttl, by).await
    }

    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        self.kept.delete(key, by).await
    }

    async fn clear(&self, by: Instant) -> Result<u64, StoreError> {
        self.kept.clear(by).await
    }

    fn held(&self) -> Held {
        self.kept.held()
    }
}

/// Leases on what is kept, all of them free or none, that are renewed as told; it counts those that are ended.
struct Leases {
    kept: Arc<dyn CacheStore>,
    are_free: bool,
    renewed: Result<bool, StoreError>,
    ended: AtomicUsize,
}

#[async_trait]
impl LeaseStore for Leases {
    async fn take(&self, key: &str, _: Duration, by: Instant) -> Result<Lease, StoreError> {
        sleep(LEASE).await;
        self.look(key, by).await
    }

    async fn look(&self, key: &str, by: Instant) -> Result<Lease, StoreError> {
        Ok(Lease { is_free: self.are_free, value: self.kept.get(key, by).await? })
    }

    async fn renew(&self, _: &str, _: Duration, _: Instant) -> Result<bool, StoreError> {
        self.renewed.clone()
    }

    async fn release(&self, _: &str, _: Instant) -> Result<(), StoreError> {
        self.ended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// An instance beside others, which keep things where it does. Nobody is at the address that it is given for that.
fn instance(leases: &Arc<Leases>, provider: Scripted) -> Gateway {
    let room = Room { cache_bytes: 0, longest_window: Duration::from_mins(1), fresh_until: |_| None };
    Gateway::with_stores(&[("REDIS_URL", "redis://127.0.0.1:9")], provider, |_| Stores {
        cache: Arc::new(Late { kept: Arc::clone(&leases.kept), is_elsewhere: true }),
        leases: Some(Arc::clone(leases) as _),
        ..Stores::memory(room)
    })
}

fn leases(are_free: bool, renewed: Result<bool, StoreError>) -> Arc<Leases> {
    Arc::new(Leases { kept: Arc::new(MemoryCache::new(1 << 20)), are_free, renewed, ended: AtomicUsize::new(0) })
}

async fn ask_with(gateway: &Gateway, cache_control: &str) -> Reply {
    let mut request = post("/llm/generate", &json!({"prompt": "x", "model": "gpt-4o"}));
    request.headers_mut().insert("cache-control", cache_control.parse().unwrap());
    gateway.send(request).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_since_the_look_up_is_given_without_a_call() {
    let gateway = Gateway::with_stores(&[], Scripted::slow(Duration::from_secs(1)), |stores| Stores {
        cache: Arc::new(Late { kept: Arc::clone(&stores.cache), is_elsewhere: false }),
        ..stores
    });
    let later = async {
        // The first is called for now, and there a second before these know that nothing is kept.
        sleep(Duration::from_secs(4)).await;
        tokio::join!(gateway.generate("x"), async { gateway.stream("x").await.finish().await })
    };
    let (first, (whole, streamed)) = tokio::join!(gateway.generate("x"), later);
    assert_eq!(first.expect(200).header("cache-status"), "llm-gateway; fwd=miss; stored");
    for reply in [&whole, &streamed] {
        assert_eq!(reply.expect(200).header("cache-status"), "llm-gateway; hit; ttl=3599");
    }
    for answer in [whole.json(), streamed.last()] {
        assert_eq!((&answer["code"], &answer["cached"]), (&json!("Hello, world!"), &json!(true)));
    }
    assert_eq!(gateway.provider.calls(), 1);
    let counted = stats(&gateway).await;
    assert_eq!((&counted["hits"], &counted["misses"]), (&json!(2), &json!(1)));
    assert_eq!(counted["estimatedSavings"], "$0.02");
}

#[tokio::test(start_paused = true)]
async fn what_another_instance_has_brought_by_then_is_given_to_whom_it_is_fresh_enough() {
    let leases = leases(true, Ok(true));
    let other =
        Gateway::with_stores(&[], Scripted::hello(), |stores| Stores { cache: Arc::clone(&leases.kept), ..stores });
    let gateway = instance(&leases, Scripted::hello());
    let brought = async {
        sleep(Duration::from_secs(1)).await;
        other.generate("x").await
    };
    let choosy = async {
        // It joins the first, whose flight is to bring what is too old for it.
        sleep(Duration::from_millis(1)).await;
        ask_with(&gateway, "max-age=2").await
    };
    let (first, choosy, brought) = tokio::join!(gateway.generate("x"), choosy, brought);
    assert_eq!(brought.expect(200).header("cache-status"), "llm-gateway; fwd=miss; stored");
    assert_eq!(first.expect(200).header("cache-status"), "llm-gateway; hit; ttl=3595");
    assert_eq!(choosy.expect(200).header("cache-status"), "llm-gateway; fwd=miss; stored");
    assert_eq!(gateway.provider.calls(), 1);
    assert!(gateway.app.flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_ended_only_by_who_is_sure_to_have_it_still() {
    for (renewed, seconds, ended) in [
        (Ok(true), 12, 1),
        (Ok(false), 5, 0),
        (Err(StoreError::Timeout), 5, 1),
        // It may be another's by now.
        (Err(StoreError::Timeout), 12, 0),
    ] {
        let leases = leases(true, renewed.clone());
        let pause = Step::Pause(Duration::from_secs(seconds));
        let steps = [pause, Step::Text("Hello, world!"), Step::Finish(FinishReason::Stop)];
        let gateway = instance(&leases, Scripted::new(steps));
        gateway.generate("x").await.expect(200);
        settled(&gateway).await;
        assert_eq!(leases.ended.load(Ordering::SeqCst), ended, "{renewed:?} {seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_instance_is_told_when_the_service_has_to_stop() {
    let gateway = instance(&leases(false, Ok(true)), Scripted::hello());
    let stopping = async {
        sleep(LOOK_UP + LEASE + Duration::from_secs(1)).await;
        assert_eq!(gateway.app.flights.len(), 1);
        gateway.app.stopping.cancel();
    };
    let (reply, ()) = tokio::join!(gateway.generate("x"), stopping);
    assert_eq!(reply.expect(503).json()["error"], "The service is stopping");
    settled(&gateway).await;
    assert_eq!((gateway.provider.calls(), gateway.app.flights.len()), (0, 0));
}
