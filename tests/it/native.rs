//! What goes wrong with Redis itself: connections that fall silent, clusters that change, and values that others have put there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use llm_gateway::stores::{CounterStore as _, Quota, StoreError, TotalStore as _, redis::Redis};
use redis::{AsyncCommands as _, cmd};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    outage::{ask, on_redis, settled},
    stores::resp,
    support::{Gateway, RedisCluster, RedisServer, Scripted, until},
};

/// Stands between the gateway and Redis. Connections that were there when it fell silent carry nothing any more.
struct Forwarder {
    url: String,
    accepted: Arc<AtomicUsize>,
    silence: watch::Sender<()>,
}

impl Forwarder {
    async fn start(redis: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, port) = (format!("redis://{}", listener.local_addr().unwrap()), redis.port());
        let (accepted, silence) = (Arc::new(AtomicUsize::new(0)), watch::channel(()).0);
        let (count, quiet) = (Arc::clone(&accepted), silence.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut silenced = quiet.subscribe();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::select! {
                        // Once it is silent, nothing that has come meanwhile is carried any more.
                        biased;
                        _ = silenced.changed() => std::future::pending().await,
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        Self { url, accepted, silence }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_is_replaced() {
    let redis = RedisServer::start().await;
    let forwarder = Forwarder::start(&redis).await;
    let gateway = on_redis(&forwarder.url, "500");
    ask(&gateway, 1, "x").await.expect(200);
    assert_eq!(forwarder.accepted.load(Ordering::SeqCst), 1);
    forwarder.silence.send(()).unwrap();
    let begun = Instant::now();
    // Until another is there, and is used: the first may answer once more before it falls silent.
    while ask(&gateway, 1, "x").await.expect(200).header("x-ratelimit-mode") == "local"
        || forwarder.accepted.load(Ordering::SeqCst) == 1
    {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is used again");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_back_answers_whoever_asks_first() {
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), crate::stores::clock());
    let soon = || tokio::time::Instant::now() + Duration::from_secs(5);
    let add = async || store.add(&[("llm:stats:n", 1)], soon()).await.and_then(|mut added| added.remove(0));
    add().await.unwrap();
    redis.kill();
    // What is known of an attempt by then says nothing of the server that comes afterwards.
    for _ in 0..3 {
        add().await.unwrap_err();
        sleep(Duration::from_millis(100)).await;
    }
    redis.restart().await;
    add().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_reached_though_that_takes_longer_than_anybody_waits() {
    let redis = RedisServer::tls().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Each side waits for the other twice before the connection is there: for TLS, and for the database.
    let (url, port) = (format!("rediss://localhost:{}/1", listener.local_addr().unwrap().port()), redis.port());
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let (mut from_near, mut to_near) = near.into_split();
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_far, mut to_far) = far.into_split();
            tokio::spawn(async move { copy(&mut from_near, &mut to_far).await });
            tokio::spawn(async move {
                let mut piece = [0; 16 << 10];
                while let Ok(length @ 1..) = from_far.read(&mut piece).await {
                    sleep(Duration::from_millis(200)).await;
                    to_near.write_all(&piece[..length]).await.unwrap();
                }
            });
        }
    });
    let store = Redis::new(resp(&url, Some(redis.ca_pem())), crate::stores::clock());
    let check = async || timeout(Duration::from_millis(150), store.check(Instant::now().into())).await;
    check().await.unwrap_err();
    // Longer than an attempt may take at all.
    sleep(Duration::from_millis(1_500)).await;
    let told = timeout(Duration::from_secs(5), store.check(Instant::now().into())).await;
    assert_eq!(told, Ok(Ok(())), "what was begun is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_an_attempt_that_others_gave_up_is_told_to_nobody() {
    let redis = RedisServer::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, port) = (format!("redis://{}/1", listener.local_addr().unwrap()), redis.port());
    tokio::spawn(async move {
        let (_silent, _) = listener.accept().await.unwrap();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let store = Redis::new(resp(&url, None), crate::stores::clock());
    timeout(Duration::from_millis(150), store.check(Instant::now().into())).await.unwrap_err();
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(store.check(Instant::now().into()).await, Ok(()));
}

/// A cluster whose nodes answer also when one of them does not.
async fn incomplete_cluster() -> RedisCluster {
    let cluster = RedisCluster::start().await;
    for node in &cluster.nodes {
        let mut connection = node.connection().await;
        let mut set = cmd("CONFIG");
        set.arg("SET").arg("cluster-require-full-coverage").arg("no").exec_async(&mut connection).await.unwrap();
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_each_node_answers_for_itself() {
    let cluster = incomplete_cluster().await;
    let store = Redis::new(resp(&cluster.urls(), None), crate::stores::clock());
    let soon = || tokio::time::Instant::now() + Duration::from_secs(2);
    let keys: Vec<String> = (0..9).map(|n| format!("llm:stats:{n}")).collect();
    let amounts: Vec<_> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    assert!(store.add(&amounts, soon()).await.unwrap().iter().all(Result::is_ok));
    cluster.nodes[0].kill();
    let added = store.add(&amounts, soon()).await.unwrap();
    let (done, undone): (Vec<_>, Vec<_>) = added.iter().partition(|added| added.is_ok());
    assert!(!done.is_empty() && !undone.is_empty(), "{added:?}");
    // A total that its node does not tell is not none.
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let totals = store.read(&keys, soon()).await;
    assert!(totals.as_ref().is_err_and(StoreError::is_outage), "{totals:?}");
}

/// Whoever waits so long for an answer finds who has taken the place of a node that fell silent.
async fn finds_the_heir(wait: Duration) {
    let cluster = incomplete_cluster().await;
    let [silent, heir, witness] = &cluster.nodes[..] else { panic!("{} nodes", cluster.nodes.len()) };
    let (mut at_heir, mut at_witness) = (heir.connection().await, witness.connection().await);
    let mut slots = Vec::new();
    for n in 0..99 {
        let key = format!("llm:stats:{n}");
        let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(&key).query_async(&mut at_heir).await.unwrap();
        slots.push((key, slot));
    }
    let (lost, slot) = slots.iter().find(|(_, slot)| *slot <= 5_460).unwrap();
    let (kept, _) = slots.iter().find(|(_, slot)| *slot > 5_460).unwrap();
    let store = Redis::new(resp(&cluster.urls(), None), crate::stores::clock());
    let add = async |key: &str, wait: Duration| {
        let amounts = [(key, 1)];
        let added = timeout(wait, store.add(&amounts, tokio::time::Instant::now() + wait)).await;
        added.is_ok_and(|added| added.is_ok_and(|added| added.iter().all(Result::is_ok)))
    };
    let patience = Duration::from_secs(20);
    assert!(add(lost, patience).await && add(kept, patience).await);
    silent.freeze();
    let id: String = cmd("CLUSTER").arg("MYID").query_async(&mut at_heir).await.unwrap();
    for connection in [&mut at_heir, &mut at_witness] {
        cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&id).exec_async(connection).await.unwrap();
    }
    until(&format!("the heir is asked by who waits {wait:?}"), async || {
        assert!(add(kept, patience).await, "the others are asked as ever");
        add(lost, wait).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_the_place_of_a_node_that_fell_silent_is_found() {
    // Less than the connection itself waits, and more.
    for wait in [Duration::from_millis(300), Duration::from_secs(5)] {
        finds_the_heir(wait).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_reached_though_it_takes_longer_than_anybody_waits() {
    let cluster = RedisCluster::start().await;
    // It takes what is sent, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = format!("{},redis://{}", cluster.urls(), silent.local_addr().unwrap());
    let store = Redis::new(resp(&urls, None), crate::stores::clock());
    let check = || timeout(Duration::from_millis(500), store.check(Instant::now().into()));
    let begun = Instant::now();
    while check().await != Ok(Ok(())) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is used");
    }
    assert!(begun.elapsed() > Duration::from_millis(500), "it took longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_moving_is_served_where_it_is() {
    let cluster = RedisCluster::start().await;
    let store = Redis::new(resp(&cluster.urls(), None), crate::stores::clock());
    let (key, by) = ("ratelimit:generate:1.2.3.4", tokio::time::Instant::now() + Duration::from_secs(5));
    let quota = Quota { max: 3.try_into().unwrap(), window: Duration::from_secs(60) };
    let admit = async || store.admit(key, quota, 1.try_into().unwrap(), by).await.unwrap().remaining;
    assert_eq!(admit().await, 2);
    let (mut owner, mut other) = (None, None);
    for node in &cluster.nodes {
        let mut connection = node.connection().await;
        let id: String = cmd("CLUSTER").arg("MYID").query_async(&mut connection).await.unwrap();
        match connection.exists::<_, bool>(key).await {
            Ok(true) => owner = Some((connection, id)),
            _ => other = Some((connection, id, node.port())),
        }
    }
    let ((mut owner, owner_id), (mut other, other_id, port)) = (owner.unwrap(), other.unwrap());
    let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut owner).await.unwrap();
    let set_slot = |state: &str, id: &str| cmd("CLUSTER").arg("SETSLOT").arg(slot).arg(state).arg(id).to_owned();
    set_slot("IMPORTING", &owner_id).exec_async(&mut other).await.unwrap();
    set_slot("MIGRATING", &other_id).exec_async(&mut owner).await.unwrap();
    let mut migrate = cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(port).arg(key).arg(0).arg(1_000);
    migrate.exec_async(&mut owner).await.unwrap();
    assert_eq!(admit().await, 1, "on its way");
    set_slot("NODE", &other_id).exec_async(&mut other).await.unwrap();
    set_slot("NODE", &other_id).exec_async(&mut owner).await.unwrap();
    assert_eq!(admit().await, 0, "arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_of_ours_is_a_miss_and_overwritten() {
    let redis = RedisServer::start().await;
    let first = on_redis(&redis.url(), "500");
    let answer = ask(&first, 1, "x").await.expect(200).json()["code"].clone();
    settled(&first).await;
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("llm:cache:*").await.unwrap();
    let entry: Vec<u8> = connection.get(&keys[0]).await.unwrap();
    let line = entry.iter().position(|byte| *byte == b'\n').unwrap();
    let head: serde_json::Value = serde_json::from_slice(&entry[..line]).unwrap();
    let with_text = |text: &[u8]| {
        let mut head = head.clone();
        head["text"] = text.len().into();
        [head.to_string().as_bytes(), b"\n", text].concat()
    };
    let mut filtered = head.clone();
    filtered["reason"] = json!("content_filter");
    let rubbish = [
        with_text(b"\"ab\"x\"cd\""),
        with_text(b"\"\\q12\""),
        with_text(b"\"a\nb\""),
        with_text(b"\""),
        with_text(b"\"\""),
        with_text(b"\"\xff\xfe\""),
        [filtered.to_string().as_bytes(), &entry[line..]].concat(),
        entry[..entry.len() - 1].to_vec(),
        b"plain text".to_vec(),
        Vec::new(),
    ];
    for value in rubbish {
        let () = connection.set_ex(&keys[0], value.as_slice(), 60).await.unwrap();
        let elsewhere = on_redis(&redis.url(), "500");
        let reply = ask(&elsewhere, 1, "x").await.expect(200).json();
        assert_eq!((&reply["code"], &reply["cached"]), (&answer, &json!(false)), "{}", value.escape_ascii());
        settled(&elsewhere).await;
        let now: Vec<u8> = connection.get(&keys[0]).await.unwrap();
        assert_ne!(now, value, "it is overwritten");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_others_under_our_keys_take_nothing_off_the_store() {
    let redis = RedisServer::start().await;
    let gateway = on_redis(&redis.url(), "500");
    let mut connection = redis.connection().await;
    for value in ["-1", "abc", "\"12\""] {
        let () = connection.set("llm:stats:cache:hits", value).await.unwrap();
        let () = connection.set("llm:stats:cache:misses", "7").await.unwrap();
        for _ in 0..8 {
            let stats = gateway.get("/llm/cache/stats").await.expect(200).json();
            assert_eq!((&stats["hits"], stats["misses"].as_u64() >= Some(7)), (&json!(0), true), "{stats}");
        }
        assert_eq!(ask(&gateway, 2, value).await.expect(200).header("x-ratelimit-mode"), "");
    }
    let () = connection.del("llm:stats:cache:hits").await.unwrap();
    let () = connection.hset("llm:stats:cache:hits", "a", "b").await.unwrap();
    let stats = on_redis(&redis.url(), "500").get("/llm/cache/stats").await.expect(200).json();
    assert_eq!((&stats["hits"], stats["misses"].as_u64() >= Some(7)), (&json!(0), true), "{stats}");
    // A client whose counter was spoilt has a local limit, and nobody else has.
    let () = connection.hset("ratelimit:generate:10.0.0.9", "a", "b").await.unwrap();
    for _ in 0..8 {
        assert_eq!(ask(&gateway, 9, "x").await.expect(200).header("x-ratelimit-mode"), "local");
        assert_eq!(ask(&gateway, 8, "x").await.expect(200).header("x-ratelimit-mode"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_wait_no_longer_than_any_other_request() {
    let redis = RedisServer::start().await;
    let settings = [("REDIS_URL", &*redis.url()), ("STORE_TIMEOUT_MS", "2000")];
    let gateway = Gateway::with(settings, Scripted::hello());
    gateway.get("/llm/cache/stats").await.expect(200);
    redis.freeze();
    let begun = Instant::now();
    join_all((0..4).map(|_| gateway.get("/llm/cache/stats"))).await;
    // In turn it were eight.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_sessions_of_a_user_take_little_room() {
    use llm_gateway::stores::SessionStore as _;
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), crate::stores::clock());
    let (group, hour) = ("llm:sessions:ann", Duration::from_secs(3600));
    let by = tokio::time::Instant::now() + Duration::from_secs(5);
    let key = format!("session:{}", "a".repeat(64));
    store.enrol(group, &key, hour, by).await.unwrap();
    let mut connection = redis.connection().await;
    let encoding: String = cmd("OBJECT").arg("ENCODING").arg(group).query_async(&mut connection).await.unwrap();
    assert_eq!(encoding, "listpack");
    store.withdraw(group, &key, by).await.unwrap();
    assert!(!connection.exists::<_, bool>(group).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_any_number_of_sessions_that_are_gone_those_are_found_that_are_not() {
    use llm_gateway::stores::SessionStore as _;
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), crate::stores::clock());
    let (group, hour) = ("llm:sessions:ann", Duration::from_secs(3600));
    let by = tokio::time::Instant::now() + Duration::from_secs(5);
    for number in 0..1_500 {
        store.enrol(group, &format!("session:gone {number}"), hour / 2, by).await.unwrap();
    }
    store.put("session:live", "{}".into(), hour, by).await.unwrap();
    store.enrol(group, "session:live", hour, by).await.unwrap();
    // As earlier versions wrote it.
    let mut connection = redis.connection().await;
    connection.zadd::<_, _, _, ()>(group, "session:old", 9_999_999_999_999_u64).await.unwrap();
    store.put("session:old", "{}".into(), hour, by).await.unwrap();
    let members = async || {
        let mut keys: Vec<_> =
            store.members(group, &|_| true, by).await.unwrap().into_iter().map(|kept| kept.key).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(members().await, ["session:live", "session:old"]);
    store.withdraw(group, "session:old", by).await.unwrap();
    assert_eq!(connection.zcard::<_, u64>(group).await.unwrap(), 1);
    assert_eq!(members().await, ["session:live"]);
}

#[tokio::test]
async fn what_is_too_large_is_not_sent() {
    use llm_gateway::stores::CacheStore as _;
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), crate::stores::clock());
    let by = tokio::time::Instant::now() + Duration::from_secs(5);
    // Letters and digits by chance do not become smaller.
    let digits = |count: usize| -> String { (0..count).map(|_| fastrand::alphanumeric()).collect() };
    let put = |value: String| store.put("llm:cache:x", value.into(), Duration::from_secs(9), by);
    assert_eq!(put("x".repeat(8 << 20)).await, Ok(()), "as it travels, it is small");
    assert_eq!(put(digits(1 << 20)).await, Ok(()));
    assert_eq!(put(digits(2 << 20)).await, Err(StoreError::TooLarge));
}
