//! What every store promises, held against each of them: this process, Redis alone, behind TLS and as a cluster, Upstash, and
//! everything that stands around them.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::Router;
use bytes::Bytes;
use futures_util::future::join_all;
use llm_gateway::{
    client::client,
    clock::Clock,
    metrics::Metrics,
    stores::{
        BookStore, CacheStore, CounterStore, Degrade, Guard, Near, Quota, SessionStore, StoreError, Swapped,
        TotalStore,
        memory::{MemoryBooks, MemoryCache, MemoryCounters, MemorySessions, MemoryTotals},
        redis::{Redis, Resp, Rest, Transport},
    },
};
use secrecy::SecretString;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::support::{Fault, RedisCluster, RedisServer, Upstash};

/// A store under its name, with what keeps it alive.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    cache: Arc<dyn CacheStore>,
    counters: Arc<dyn CounterStore>,
    totals: Arc<dyn TotalStore>,
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) books: Arc<dyn BookStore>,
    pub(crate) _alive: Box<dyn std::any::Any>,
}

impl Subject {
    fn of<T: Transport + 'static>(name: &'static str, transport: T, alive: impl std::any::Any) -> Self {
        let store = Arc::new(Redis::new(transport, clock()));
        let (cache, counters, totals) = (Arc::clone(&store) as _, Arc::clone(&store) as _, Arc::clone(&store) as _);
        let books = Arc::clone(&store) as _;
        Self { name, cache, counters, totals, books, sessions: store, _alive: Box::new(alive) }
    }

    fn around<T: Transport + 'static>(name: &'static str, transport: T, alive: impl std::any::Any) -> Self {
        let store = Arc::new(Guard::new(Redis::new(transport, clock()), Metrics::default().store));
        Self {
            name,
            cache: Arc::new(Near::new(Arc::clone(&store), 1 << 20, |_| Some(u64::MAX), clock())),
            counters: Arc::new(Degrade::new(Arc::clone(&store) as _, NonZeroU32::MIN, Duration::from_secs(60))),
            totals: Arc::clone(&store) as _,
            books: Arc::clone(&store) as _,
            sessions: store,
            _alive: Box::new(alive),
        }
    }
}

pub(crate) fn clock() -> Clock {
    Clock::at(SystemTime::now())
}

pub(crate) fn resp(urls: &str, ca_pem: Option<&str>) -> Resp {
    let addresses: Vec<_> = urls.split(',').map(SecretString::from).collect();
    Resp::new(&addresses, ca_pem).unwrap()
}

pub(crate) fn rest(upstash: &Upstash) -> Rest {
    Rest::new(client(None).unwrap(), &upstash.url(), &upstash.token().into()).unwrap()
}

pub(crate) async fn subjects() -> Vec<Subject> {
    let memory = Subject {
        name: "memory",
        cache: Arc::new(MemoryCache::new(1 << 20)),
        counters: Arc::new(MemoryCounters::new(Duration::from_secs(60))),
        totals: Arc::new(MemoryTotals::default()),
        books: Arc::new(MemoryBooks::default()),
        sessions: Arc::new(MemorySessions::default()),
        _alive: Box::new(()),
    };
    let (redis, tls, cluster) = (RedisServer::start().await, RedisServer::tls().await, RedisCluster::start().await);
    let (behind, guarded, near) = (RedisServer::start().await, RedisServer::start().await, RedisServer::start().await);
    let (upstash, upstash_near) = (Upstash::start(&behind).await, Upstash::start(&near).await);
    vec![
        memory,
        Subject::of("Redis", resp(&redis.url(), None), redis),
        Subject::of("Redis behind TLS", resp(&tls.url(), Some(tls.ca_pem())), tls),
        Subject::of("a cluster", resp(&cluster.urls(), None), cluster),
        Subject::of("Upstash", rest(&upstash), (upstash, behind)),
        Subject::around("Redis with everything around it", resp(&guarded.url(), None), guarded),
        Subject::around("Upstash with everything around it", rest(&upstash_near), (upstash_near, near)),
    ]
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test]
async fn a_cache_gives_back_what_it_was_given_and_forgets() {
    for Subject { name, cache, _alive, .. } in subjects().await {
        let hour = Duration::from_secs(3600);
        assert_eq!(cache.get("llm:cache:nothing", soon()).await, Ok(None), "{name}");
        let texts = ["", "OK", "42", "\u{0}\r\n\"\\", "naïve café ✅ 𝄞", &"{\"a\":[1,2]}".repeat(20_000)];
        for (at, text) in texts.into_iter().enumerate() {
            let (key, value) = (format!("llm:cache:openai:m:{at}"), Bytes::from(text.to_owned()));
            cache.put(&key, value.clone(), hour, soon()).await.unwrap();
            assert_eq!(cache.get(&key, soon()).await, Ok(Some(value)), "{name}: text {at}");
        }
        let key = "llm:cache:openai:m:0";
        cache.put(key, "another".into(), hour, soon()).await.unwrap();
        assert_eq!(cache.get(key, soon()).await, Ok(Some("another".into())), "{name}");
        assert_eq!(cache.delete(key, soon()).await, Ok(true), "{name}");
        assert_eq!(cache.delete(key, soon()).await, Ok(false), "{name}");
        assert_eq!((cache.get(key, soon()).await, cache.peek(key)), (Ok(None), None), "{name}");

        for at in 0..2_500 {
            cache.put(&format!("llm:cache:many:{at}"), "x".into(), hour, soon()).await.unwrap();
        }
        assert_eq!(cache.clear(soon()).await, Ok(2_505), "{name}");
        assert_eq!(cache.get("llm:cache:openai:m:1", soon()).await, Ok(None), "{name}");

        cache.put("llm:cache:short", "x".into(), Duration::from_millis(900), soon()).await.unwrap();
        sleep(Duration::from_millis(1_200)).await;
        assert_eq!(cache.get("llm:cache:short", soon()).await, Ok(None), "{name}");
    }
}

#[tokio::test]
async fn a_cache_takes_and_gives_many_at_once() {
    for Subject { name, cache, _alive, .. } in subjects().await {
        let hour = Duration::from_secs(3600);
        assert_eq!(cache.get_many(&[], soon()).await, Ok(Vec::new()), "{name}");
        assert_eq!(cache.put_many(&[], hour, soon()).await, Ok(()), "{name}");
        // More than go into one message, by number and by length.
        let keys: Vec<String> = (0..300).map(|at| format!("llm:cache:openai:m:{at}")).collect();
        let value = |at: usize| Bytes::from(format!("~{at}\n").repeat(if at < 3 { 1 << 15 } else { at }));
        let entries: Vec<_> = keys.iter().enumerate().map(|(at, key)| (key.as_str(), value(at))).collect();
        let (first, rest) = entries.split_at(5);
        cache.put_many(rest, hour, soon()).await.unwrap();
        for (key, value) in first {
            cache.put(key, value.clone(), hour, soon()).await.unwrap();
        }
        // In the order in which they are asked for, whatever is missing and whatever is asked for twice.
        let mut asked: Vec<&str> = keys.iter().rev().map(String::as_str).collect();
        asked.splice(7..7, ["llm:cache:nothing", &keys[299]]);
        let mut expected: Vec<_> = (0..300).rev().map(|at| Some(value(at))).collect();
        expected.splice(7..7, [None, Some(value(299))]);
        assert!(cache.get_many(&asked, soon()).await.unwrap() == expected, "{name}");
        assert_eq!(cache.get(&keys[299], soon()).await, Ok(Some(value(299))), "{name}");

        cache.put_many(&[(&keys[0], "another".into()), ("llm:cache:new", "".into())], hour, soon()).await.unwrap();
        let now = cache.get_many(&[&keys[0], "llm:cache:new", "llm:cache:nothing"], soon()).await;
        assert_eq!(now, Ok(vec![Some("another".into()), Some("".into()), None]), "{name}");
        assert_eq!(cache.clear(soon()).await, Ok(301), "{name}");
        assert_eq!(cache.get_many(&[&keys[0], &keys[1]], soon()).await, Ok(vec![None, None]), "{name}");

        cache.put_many(&[("llm:cache:short", "x".into())], Duration::from_millis(900), soon()).await.unwrap();
        sleep(Duration::from_millis(1_200)).await;
        assert_eq!(cache.get_many(&["llm:cache:short"], soon()).await, Ok(vec![None]), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_value_is_missing_among_many_and_what_is_too_large_is_not_kept() {
    let (redis, cluster) = (RedisServer::start().await, RedisCluster::start().await);
    let hour = Duration::from_secs(3600);
    for urls in [redis.url(), cluster.urls()] {
        let transport = resp(&urls, None);
        transport.send(redis::cmd("HSET").arg("llm:cache:hash").arg("a").arg(1)).await.unwrap();
        let store = Redis::new(transport, clock());
        store.put_many(&[("llm:cache:b", "b".into())], hour, soon()).await.unwrap();
        assert_eq!(store.get_many(&["llm:cache:hash"], soon()).await, Ok(vec![None]));
        let found = store.get_many(&["llm:cache:hash", "llm:cache:b"], soon()).await;
        assert_eq!(found, Ok(vec![None, Some("b".into())]));
        // More than is sent at once, each of them and all together.
        let half = Bytes::from("x".repeat(700_000));
        let halves: [(&str, Bytes); 3] = ["llm:cache:d", "llm:cache:e", "llm:cache:f"].map(|key| (key, half.clone()));
        store.put_many(&halves, hour, soon()).await.unwrap();
        assert_eq!(
            store.get_many(&["llm:cache:f", "llm:cache:d"], soon()).await.unwrap(),
            [Some(half.clone()), Some(half)]
        );
        let large = Bytes::from("x".repeat((1 << 20) + 1));
        let kept = store.put_many(&[("llm:cache:large", large), ("llm:cache:c", "c".into())], hour, soon()).await;
        assert_eq!(kept, Err(StoreError::TooLarge));
        let found = store.get_many(&["llm:cache:large", "llm:cache:c"], soon()).await;
        assert_eq!(found, Ok(vec![None, Some("c".into())]));
    }
}

#[tokio::test]
async fn many_values_are_one_round_trip() {
    let redis = RedisServer::start().await;
    let upstash = Upstash::start(&redis).await;
    let store = Redis::new(rest(&upstash), clock());
    let keys: Vec<String> = (0..100).map(|at| format!("llm:cache:{at}")).collect();
    let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), Bytes::from_static(b"x"))).collect();
    let before = upstash.requests();
    store.put_many(&entries, Duration::from_secs(60), soon()).await.unwrap();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(store.get_many(&keys, soon()).await.unwrap().len(), 100);
    assert_eq!(upstash.requests() - before, 2);
}

#[tokio::test]
async fn what_is_forgotten_is_forgotten_together() {
    let redis = RedisServer::start().await;
    let upstash = Upstash::start(&redis).await;
    let store = Redis::new(rest(&upstash), clock());
    let keys: Vec<String> = (0..500).map(|at| format!("llm:cache:{at}")).collect();
    let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), Bytes::from_static(b"x"))).collect();
    store.put_many(&entries, Duration::from_secs(60), soon()).await.unwrap();
    upstash.fail(Fault::Latency(Duration::from_secs(1)), &["UNLINK"], usize::MAX);
    let begun = Instant::now();
    assert_eq!(store.clear(soon()).await, Ok(500));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_copy_that_is_made_while_the_store_forgets_is_forgotten_too() {
    let redis = RedisServer::start().await;
    let upstash = Upstash::start(&redis).await;
    let cache = Near::new(Arc::new(Redis::new(rest(&upstash), clock())), 1 << 20, |_| Some(u64::MAX), clock());
    let key = "llm:cache:x";
    let asked = async || {
        sleep(Duration::from_millis(300)).await;
        assert_eq!(cache.get(key, soon()).await, Ok(Some("x".into())), "it is not forgotten yet");
    };
    upstash.fail(Fault::Latency(Duration::from_secs(1)), &["SCAN", "UNLINK"], usize::MAX);
    cache.put(key, "x".into(), Duration::from_secs(60), soon()).await.unwrap();
    assert_eq!(tokio::join!(cache.delete(key, soon()), asked()).0, Ok(true));
    assert_eq!(cache.peek(key), None);
    cache.put(key, "x".into(), Duration::from_secs(60), soon()).await.unwrap();
    assert_eq!(tokio::join!(cache.clear(soon()), asked()).0, Ok(1));
    assert_eq!(cache.peek(key), None);
}

#[tokio::test]
async fn a_counter_admits_exactly_its_quota_of_many_at_once_and_says_when() {
    for Subject { name, counters, _alive, .. } in subjects().await {
        for max in [20, 600] {
            let quota = Quota { max: NonZeroU32::new(max).unwrap(), window: Duration::from_secs(60) };
            let key = format!("ratelimit:generate:1.2.3.{max}");
            let asking = (0..max + 80).map(|_| counters.admit(&key, quota, NonZeroU32::MIN, soon()));
            let (mut left, mut refused) = (Vec::new(), 0);
            for admission in join_all(asking).await {
                let admission = admission.unwrap();
                // A caller's clock may have been read before another's that came first.
                assert!(
                    admission.grows_in < quota.window + Duration::from_secs(1) && !admission.local,
                    "{name}: {admission:?}"
                );
                if admission.admitted {
                    left.push(admission.remaining);
                } else {
                    refused += 1;
                    assert!(!admission.retry_in.is_zero(), "{name}: {admission:?}");
                }
            }
            left.sort_unstable();
            assert_eq!((left, refused), ((0..max).collect(), 80), "{name}");
        }
        let quota = Quota { max: NonZeroU32::MIN, window: Duration::from_millis(300) };
        let ask = || counters.admit("ratelimit:generate:short", quota, NonZeroU32::MIN, soon());
        assert!(ask().await.unwrap().admitted, "{name}");
        let refused = ask().await.unwrap();
        assert!(!refused.admitted, "{name}");
        sleep(refused.retry_in).await;
        assert!(ask().await.unwrap().admitted, "{name}: when it said");
    }
}

#[tokio::test]
async fn totals_are_sums() {
    for Subject { name, totals, _alive, .. } in subjects().await {
        let keys = ["llm:stats:cache:hits", "llm:stats:cache:misses", "llm:stats:never"];
        assert_eq!(totals.read(&keys, soon()).await, Ok(vec![0, 0, 0]), "{name}");
        totals.add(&[(keys[0], 3), (keys[1], 4)], soon()).await.unwrap();
        totals.add(&[(keys[0], 5)], soon()).await.unwrap();
        assert_eq!(totals.read(&keys, soon()).await, Ok(vec![8, 4, 0]), "{name}");
    }
}

#[tokio::test]
async fn a_session_lives_as_long_as_it_is_used_and_is_changed_only_by_who_knows_it() {
    let hour = Duration::from_secs(3600);
    // All wait together.
    let subjects = subjects().await.into_iter();
    let each = subjects.map(async |Subject { name, sessions, _alive, .. }| {
        let key = "session:aa";
        let (a, b, c) = (Bytes::from(r#"{"a":"naïve ✅"}"#), Bytes::from(r#"{"b":1}"#), Bytes::from("{}"));
        assert_eq!(sessions.load(key, hour, soon()).await, Ok(None), "{name}");
        assert_eq!(sessions.swap(key, a.clone(), b.clone(), hour, soon()).await, Ok(Swapped::Gone), "{name}");
        sessions.put(key, a.clone(), hour, soon()).await.unwrap();
        assert_eq!(sessions.load(key, hour, soon()).await, Ok(Some(a.clone())), "{name}");
        assert_eq!(sessions.swap(key, c.clone(), b.clone(), hour, soon()).await, Ok(Swapped::Not(a.clone())), "{name}");
        assert_eq!(sessions.swap(key, a, b.clone(), hour, soon()).await, Ok(Swapped::Done), "{name}");
        assert_eq!(sessions.load(key, hour, soon()).await, Ok(Some(b.clone())), "{name}");

        // Groups name those that are kept.
        let group = "llm:sessions:ann";
        assert_eq!(sessions.members(group, &|_| true, soon()).await, Ok(Vec::new()), "{name}");
        sessions.put("session:bb", b.clone(), hour, soon()).await.unwrap();
        sessions.put("session:other", c.clone(), hour, soon()).await.unwrap();
        for (key, ttl) in
            [(key, hour), (key, hour), ("session:bb", hour), ("session:gone", hour), ("session:other", hour)]
        {
            sessions.enrol(group, key, ttl, soon()).await.unwrap();
        }
        // One that is another's is withdrawn by the look.
        let members = sessions.members(group, &|value| value == b, soon()).await.unwrap();
        let mut keys: Vec<_> = members.iter().map(|kept| &*kept.key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [key, "session:bb"], "{name}");
        assert_eq!(sessions.members(group, &|_| true, soon()).await.unwrap().len(), 2, "{name}");
        assert!(members.iter().all(|kept| kept.value == b && kept.expires_in + hour / 60 > hour), "{name}");

        assert_eq!(sessions.delete(key, soon()).await, Ok(true), "{name}");
        assert_eq!(sessions.delete(key, soon()).await, Ok(false), "{name}");
        assert_eq!(sessions.swap(key, b.clone(), b.clone(), hour, soon()).await, Ok(Swapped::Gone), "{name}");

        let key = "session:cc";
        sessions.put(key, b.clone(), hour, soon()).await.unwrap();
        sessions.enrol(group, key, hour, soon()).await.unwrap();
        for (ttl, left) in [(hour / 2, hour / 4..=hour / 2), (hour, hour / 2..=hour)] {
            assert_eq!(sessions.load(key, ttl, soon()).await, Ok(Some(b.clone())), "{name}");
            let members = sessions.members(group, &|_| true, soon()).await.unwrap();
            let kept = members.iter().find(|kept| kept.key == key).unwrap();
            assert!(left.contains(&kept.expires_in), "{name}: {:?}", kept.expires_in);
        }
        assert_eq!(sessions.load(key, Duration::from_secs(1), soon()).await, Ok(Some(b)), "{name}");
        sleep(Duration::from_secs(3)).await;
        assert_eq!(sessions.load(key, hour, soon()).await, Ok(None), "{name}");
        assert_eq!(sessions.delete(key, soon()).await, Ok(false), "{name}");
    });
    join_all(each).await;
}

#[tokio::test]
async fn what_is_no_text_is_no_session() {
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), clock());
    let mut connection = redis.connection().await;
    redis::cmd("HSET").arg("session:aa").arg("a").arg(1).exec_async(&mut connection).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(store.load("session:aa", hour, soon()).await, Ok(None));
    let swapped = SessionStore::swap(&store, "session:aa", "{}".into(), "{}".into(), hour, soon()).await;
    assert_eq!(swapped, Ok(Swapped::Gone));
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again_and_counts_once() {
    let (redis, behind) = (RedisServer::start().await, RedisServer::start().await);
    let upstash = Upstash::start(&behind).await;
    let quota = Quota { max: NonZeroU32::new(3).unwrap(), window: Duration::from_secs(60) };
    let native = Redis::new(resp(&redis.url(), None), clock());
    let over_rest = Redis::new(rest(&upstash), clock());
    for (store, server) in [(&native as &dyn CounterStore, &redis), (&over_rest, &behind)] {
        for remaining in [2, 1, 0] {
            let admission = store.admit("ratelimit:x:y", quota, NonZeroU32::MIN, soon()).await.unwrap();
            assert_eq!((admission.admitted, admission.remaining), (true, remaining));
            let mut connection = server.connection().await;
            redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let long = Bytes::from(format!(r#"{{"result":"{}"}}"#, "A".repeat(16 << 20)));
    let router = Router::new().fallback(move || std::future::ready(long.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let store = Redis::new(Rest::new(client(None).unwrap(), &url, &"token".into()).unwrap(), clock());
    assert_eq!(store.get("llm:cache:x", soon()).await, Err(StoreError::TooLarge));
}

#[tokio::test]
async fn a_store_that_is_nowhere_is_unreached_and_one_that_refuses_says_so() {
    let redis = RedisServer::start_with(&["--requirepass", "right"]).await;
    let wrong = redis.url().replace("redis://", "redis://:wrong@");
    let error = Redis::new(resp(&wrong, None), clock()).check(soon()).await.unwrap_err();
    assert!(matches!(error, StoreError::Access(_)), "{error:?}");
    let right = redis.url().replace("redis://", "redis://:right@");
    Redis::new(resp(&right, None), clock()).check(soon()).await.unwrap();

    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    for token in ["wrong", upstash.read_only_token()] {
        let rest = Rest::new(client(None).unwrap(), &upstash.url(), &token.into()).unwrap();
        let error = Redis::new(rest, clock()).check(soon()).await.unwrap_err();
        assert!(matches!(error, StoreError::Access(_)), "{error:?}");
    }
    // It ends every connection before anybody is let in.
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("redis://:right@{}", door.local_addr().unwrap());
    tokio::spawn(async move { while door.accept().await.is_ok() {} });
    for urls in [
        "redis://127.0.0.1:9",
        "redis://127.0.0.1:9,redis://127.0.0.1:10",
        "redis://no-such-host.invalid:6379",
        closed.as_str(),
    ] {
        let error = resp(urls, None).send(&redis::cmd("PING")).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreached(_)), "{urls}: {error:?}");
        // It is never said that nobody is signed in.
        let loaded = Redis::new(resp(urls, None), clock()).load("session:aa", Duration::from_secs(9), soon()).await;
        assert!(matches!(loaded, Err(StoreError::Unreached(_))), "{urls}: {loaded:?}");
    }
}
