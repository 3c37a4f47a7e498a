//! How sessions are kept, below HTTP: what many do at once, and what a process remembers of them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use llm_gateway::{
    caller::{ApiKey, Caller, UserId, Who},
    sessions::{SessionData, SessionError, SessionId, Sessions},
    stores::{IsOwn, Kept, SessionStore, StoreError, Swapped, memory::MemorySessions, redis::Redis},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{
    stores::{Subject, clock, resp, soon, subjects},
    support::RedisServer,
};

fn sessions(store: Arc<dyn SessionStore>) -> Arc<Sessions> {
    let (day, seconds) = (Duration::from_secs(86_400), Duration::from_secs(20));
    Arc::new(Sessions::new(store, day, seconds, TaskTracker::new()))
}

fn data(value: &Value) -> SessionData {
    SessionData::read(value.to_string().as_bytes()).unwrap()
}

fn someone() -> Caller {
    Caller::at("1.2.3.4".parse().unwrap())
}

#[tokio::test]
async fn of_a_hundred_updates_at_once_at_four_instances_none_is_lost() {
    for Subject { name, sessions: store, _alive, .. } in subjects().await {
        let instances: Vec<_> = (0..4).map(|_| sessions(Arc::clone(&store))).collect();
        let id = instances[0].create(&data(&json!({"userId": "ann"})), soon()).await.unwrap();
        let updates = (0..100).map(|n| {
            let instance = &instances[n % 4];
            async move { instance.update(id, data(&json!({format!("field{n}"): n})), soon()).await }
        });
        for updated in join_all(updates).await {
            let json = updated.unwrap_or_else(|error| panic!("{name}: {error}")).expect("the session");
            assert!(SessionData::read(&json).is_some());
        }
        let kept = instances[1].get(id, &someone(), soon()).await.unwrap().unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!(kept["userId"], "ann", "{name}");
        for n in 0..100 {
            assert_eq!(kept[format!("field{n}")], n, "{name}");
        }
        // One that was ended is not brought back.
        assert!(instances[2].end(id, &someone(), soon()).await.unwrap());
        assert_eq!(instances[3].update(id, data(&json!({"a": 1})), soon()).await.unwrap(), None, "{name}");
        assert_eq!(instances[3].get(id, &someone(), soon()).await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn unknown_sessions_are_looked_up_only_so_often_for_an_address() {
    let redis = RedisServer::start().await;
    let store = Arc::new(Redis::new(resp(&redis.url(), None), clock()));
    let (here, elsewhere) = (sessions(Arc::clone(&store) as _), sessions(store));
    let known = here.create(&data(&json!({"userId": "ann"})), soon()).await.unwrap();
    let other = elsewhere.create(&data(&json!({"userId": "bob"})), soon()).await.unwrap();
    let random = || SessionId::random().unwrap();
    // The same one again is known not to be there.
    let dead = random();
    for _ in 0..100 {
        assert_eq!(here.live(dead, &someone(), soon()).await.unwrap(), None);
        assert_eq!(here.get(dead, &someone(), soon()).await.unwrap(), None);
        assert!(!here.end(dead, &someone(), soon()).await.unwrap());
    }
    for _ in 0..29 {
        assert_eq!(here.live(random(), &someone(), soon()).await.unwrap(), None);
        assert!(!here.end(random(), &someone(), soon()).await.unwrap());
    }
    assert_eq!(here.get(random(), &someone(), soon()).await.unwrap(), None);
    redis.reset_stats().await;
    for _ in 0..20 {
        let refused = here.get(random(), &someone(), soon()).await;
        assert!(matches!(refused, Err(SessionError::Guessing(wait)) if wait.as_secs() > 50), "{refused:?}");
        assert!(matches!(here.end(random(), &someone(), soon()).await, Err(SessionError::Guessing(_))));
    }
    assert!(matches!(here.live(other, &someone(), soon()).await, Err(SessionError::Guessing(_))));
    let calls = redis.commandstats().await;
    assert!(!calls.contains_key("GETEX") && !calls.contains_key("UNLINK"), "{calls:?}");
    // Whom this process has seen is not kept out, and neither is another address.
    assert_eq!(here.live(known, &someone(), soon()).await.unwrap().unwrap().user.unwrap().as_str(), "ann");
    assert!(here.get(known, &someone(), soon()).await.unwrap().is_some());
    assert_eq!(here.live(random(), &Caller::at("1.2.3.5".parse().unwrap()), soon()).await.unwrap(), None);
    // And behind a server that has a key are many.
    let key = Arc::new(ApiKey { name: "web".to_owned(), max: None });
    let server = Caller { who: Who::Key(key), ..someone() };
    for _ in 0..100 {
        assert_eq!(here.live(random(), &server, soon()).await.unwrap(), None);
    }
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// It takes a second to hear that a session was changed, and to write down whose it is.
    Slow,
    /// Another instance has always changed it meanwhile, which takes a second to hear.
    Contended,
    /// Whatever is changed ends just before.
    Ending,
    /// Who changes something panics.
    Panicking,
    /// Nobody can write down whose a session is.
    Unwritten,
}

/// Sessions in memory, with trouble.
struct Troubled(MemorySessions, Trouble);

impl Troubled {
    fn by(trouble: Trouble) -> Arc<Self> {
        Arc::new(Self(MemorySessions::default(), trouble))
    }
}

#[async_trait::async_trait]
impl SessionStore for Troubled {
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.0.put(key, value, ttl, by).await
    }
    async fn load(&self, key: &str, ttl: Duration, by: Instant) -> Result<Option<Bytes>, StoreError> {
        self.0.load(key, ttl, by).await
    }
    async fn swap(
        &self,
        key: &str,
        expected: Bytes,
        new: Bytes,
        ttl: Duration,
        by: Instant,
    ) -> Result<Swapped, StoreError> {
        match self.1 {
            Trouble::Slow => {
                let swapped = self.0.swap(key, expected, new, ttl, by).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                swapped
            }
            Trouble::Contended => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Swapped::Not(expected))
            }
            Trouble::Ending => {
                self.0.delete(key, by).await?;
                self.0.swap(key, expected, new, ttl, by).await
            }
            Trouble::Panicking => panic!("as told"),
            Trouble::Unwritten => self.0.swap(key, expected, new, ttl, by).await,
        }
    }
    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        self.0.delete(key, by).await
    }
    async fn enrol(&self, group: &str, key: &str, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        match self.1 {
            Trouble::Unwritten => return Err(StoreError::Full),
            Trouble::Slow => tokio::time::sleep(Duration::from_secs(1)).await,
            Trouble::Contended | Trouble::Ending | Trouble::Panicking => {}
        }
        self.0.enrol(group, key, ttl, by).await
    }
    async fn withdraw(&self, group: &str, key: &str, by: Instant) -> Result<(), StoreError> {
        if self.1 == Trouble::Unwritten {
            return Err(StoreError::Full);
        }
        self.0.withdraw(group, key, by).await
    }
    async fn members(&self, group: &str, is_own: IsOwn<'_>, by: Instant) -> Result<Vec<Kept>, StoreError> {
        self.0.members(group, is_own, by).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_comes_to_nothing_says_so_and_keeps_nobody_waiting() {
    for (trouble, is_known, longest) in [
        // A store call takes 20 seconds at most.
        (Trouble::Contended, false, 21),
        (Trouble::Panicking, false, 0),
        (Trouble::Ending, true, 0),
    ] {
        let sessions = sessions(Troubled::by(trouble));
        let id = sessions.create(&data(&json!({"userId": "ann"})), soon()).await.unwrap();
        // Nor whoever comes later.
        for _ in 0..2 {
            let begun = Instant::now();
            let updated = sessions.update(id, data(&json!({"a": 1})), begun + Duration::from_secs(60)).await;
            match updated {
                Ok(None) => assert!(is_known, "{trouble:?}"),
                Err(SessionError::Unavailable(StoreError::Timeout)) => assert!(!is_known, "{trouble:?}"),
                other => panic!("{trouble:?}: {other:?}"),
            }
            assert!(begun.elapsed() <= Duration::from_secs(longest), "{trouble:?}: {:?}", begun.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_lives_and_ends_though_nobody_can_write_down_whose_it_is() {
    let (store, id) = (Troubled::by(Trouble::Unwritten), SessionId::random().unwrap());
    let key = format!("session:{}", id.to_hex());
    store.put(&key, r#"{"userId":"ann"}"#.into(), Duration::from_secs(60), soon()).await.unwrap();
    let sessions = sessions(store);
    let live = sessions.live(id, &someone(), soon()).await.unwrap().unwrap();
    assert_eq!(live.user.unwrap().as_str(), "ann");
    assert!(sessions.end(id, &someone(), soon()).await.unwrap());
    assert_eq!(sessions.live(id, &someone(), soon()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_no_session() {
    let sessions = sessions(Arc::new(MemorySessions::default()));
    let refused = sessions.create(&data(&json!({"a": "x".repeat(16 << 10)})), soon()).await;
    assert!(matches!(refused, Err(SessionError::TooLarge)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_ended_here_lets_nobody_in_whoever_was_just_looking() {
    let store = Troubled::by(Trouble::Slow);
    let elsewhere = sessions(Arc::clone(&store) as _);
    let id = elsewhere.create(&data(&json!({"userId": "ann"})), soon()).await.unwrap();
    let here = sessions(store);
    let looking = {
        let here = Arc::clone(&here);
        tokio::spawn(async move { here.live(id, &someone(), soon()).await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(here.end(id, &someone(), soon()).await.unwrap());
    assert!(looking.await.unwrap().is_some(), "it was there when it was looked up");
    for _ in 0..40 {
        assert_eq!(here.live(id, &someone(), soon()).await.unwrap(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_changed_while_it_was_ended_here_lets_nobody_in() {
    let here = sessions(Troubled::by(Trouble::Slow));
    let id = here.create(&data(&json!({"userId": "ann"})), soon()).await.unwrap();
    let changing = {
        let here = Arc::clone(&here);
        tokio::spawn(async move { here.update(id, data(&json!({"a": 1})), soon()).await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(here.end(id, &someone(), soon()).await.unwrap());
    assert!(changing.await.unwrap().is_some(), "it was there when it was changed");
    for _ in 0..40 {
        assert_eq!(here.live(id, &someone(), soon()).await.unwrap(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn however_many_sessions_a_user_had_those_that_are_left_are_found_and_ended() {
    let redis = RedisServer::start().await;
    let sessions = sessions(Arc::new(Redis::new(resp(&redis.url(), None), clock())));
    let (user, mut ids) = (UserId::new("bot").unwrap(), Vec::new());
    for _ in 0..1_500 {
        ids.push(sessions.create(&data(&json!({"userId": "bot"})), soon()).await.unwrap());
    }
    let mut connection = redis.connection().await;
    // Ended by hand, and by time, of which nobody tells.
    assert!(sessions.end(ids[0], &someone(), soon()).await.unwrap());
    let forgotten: Vec<_> = ids[1..200].iter().map(|id| format!("session:{}", id.to_hex())).collect();
    redis::cmd("DEL").arg(forgotten).exec_async(&mut connection).await.unwrap();
    let written = async |connection: &mut redis::aio::MultiplexedConnection| {
        redis::cmd("ZCARD").arg("llm:sessions:bot").query_async::<u64>(connection).await.unwrap()
    };
    assert_eq!(written(&mut connection).await, 1_499);
    assert!((801..=1_000).contains(&sessions.of_user(&user, soon()).await.unwrap().len()));
    assert_eq!(sessions.end_all(&user, soon()).await.unwrap(), 1_300);
    assert_eq!(written(&mut connection).await, 0);
    let left: Vec<String> = redis::cmd("KEYS").arg("session:*").query_async(&mut connection).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
}
