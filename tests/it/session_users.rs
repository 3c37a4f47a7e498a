//! The sessions of a user: none is left out, whatever failed before, and whoever else had it.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use llm_gateway::{
    caller::{Caller, UserId},
    sessions::{SessionData, SessionId, Sessions},
    stores::{SessionStore, memory::MemorySessions, redis::Redis},
};
use redis::{aio::MultiplexedConnection, cmd};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::{
    stores::{clock, resp, rest, soon},
    support::{Fault, RedisServer, Upstash},
};

fn sessions(store: Arc<dyn SessionStore>) -> Sessions {
    let (day, seconds) = (Duration::from_secs(86_400), Duration::from_secs(20));
    Sessions::new(store, day, seconds, TaskTracker::new())
}

fn on(redis: &RedisServer) -> Sessions {
    sessions(Arc::new(Redis::new(resp(&redis.url(), None), clock())))
}

fn data(value: &Value) -> SessionData {
    SessionData::read(value.to_string().as_bytes()).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn someone() -> Caller {
    Caller::at("1.2.3.4".parse().unwrap())
}

async fn sign_in(sessions: &Sessions, user: &str) -> SessionId {
    sessions.create(&data(&json!({"userId": user})), soon()).await.unwrap()
}

async fn is_live(sessions: &Sessions, id: SessionId) -> bool {
    sessions.live(id, &someone(), soon()).await.unwrap().is_some()
}

async fn listed(sessions: &Sessions, of: &str) -> Vec<String> {
    let listed = sessions.of_user(&user(of), soon()).await.unwrap();
    let mut ids: Vec<_> = listed.into_iter().map(|session| session.id.to_hex()).collect();
    ids.sort_unstable();
    ids
}

/// How many places there are under a user.
async fn places(connection: &mut MultiplexedConnection, of: &str) -> u64 {
    cmd("ZCARD").arg(format!("llm:sessions:{of}")).query_async(connection).await.unwrap()
}

/// What a server lets everybody do from now on.
async fn allow(connection: &mut MultiplexedConnection, rule: &str) {
    cmd("ACL").arg("SETUSER").arg("default").arg(rule).exec_async(connection).await.unwrap();
}

#[tokio::test]
async fn sessions_that_could_not_be_ended_are_ended_by_the_next_attempt() {
    let redis = RedisServer::start().await;
    let (here, elsewhere) = (on(&redis), on(&redis));
    let mut connection = redis.connection().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(sign_in(&here, "ann").await);
    }
    allow(&mut connection, "-unlink").await;
    assert!(here.end_all(&user("ann"), soon()).await.is_err());
    sign_in(&here, "ann").await;
    assert!(here.end(ids[0], &someone(), soon()).await.is_err());
    assert_eq!((listed(&elsewhere, "ann").await.len(), places(&mut connection, "ann").await), (4, 4));
    allow(&mut connection, "+unlink").await;
    assert_eq!(here.end_all(&user("ann"), soon()).await.unwrap(), 4);
    assert_eq!(places(&mut connection, "ann").await, 0);
    for id in ids {
        assert!(!is_live(&elsewhere, id).await);
    }
}

#[tokio::test]
async fn sessions_that_became_others_hide_none_of_a_users_own() {
    let redis = RedisServer::start().await;
    let in_memory: Arc<dyn SessionStore> = Arc::new(MemorySessions::default());
    for (name, here, elsewhere) in
        [("memory", sessions(Arc::clone(&in_memory)), sessions(in_memory)), ("Redis", on(&redis), on(&redis))]
    {
        let became_another = async |number: usize| {
            let id = sign_in(&here, "guest").await;
            let part = data(&json!({"userId": format!("person{number}")}));
            here.update(id, part, soon()).await.unwrap().unwrap();
            id
        };
        let others: Vec<_> = stream::iter(0..3_000).map(became_another).buffer_unordered(64).collect().await;
        let mut own = Vec::new();
        for _ in 0..5 {
            own.push(sign_in(&here, "guest").await);
        }
        let mut expected: Vec<_> = own.iter().map(|id| id.to_hex()).collect();
        expected.sort_unstable();
        assert_eq!(listed(&elsewhere, "guest").await, expected, "{name}");
        assert_eq!(here.end_all(&user("guest"), soon()).await.unwrap(), 5, "{name}");
        for id in own {
            assert!(!is_live(&elsewhere, id).await, "{name}");
        }
        assert!(is_live(&elsewhere, others[0]).await, "{name}");
        assert_eq!(listed(&elsewhere, "person7").await.len(), 1, "{name}");
    }
    assert_eq!(places(&mut redis.connection().await, "guest").await, 0, "nobody looks at them again");
}

#[tokio::test]
async fn a_session_that_becomes_its_users_again_while_it_is_withdrawn_stays_under_it() {
    let redis = RedisServer::start().await;
    let upstash = Upstash::start(&redis).await;
    let here = sessions(Arc::new(Redis::new(rest(&upstash), clock())));
    let id = sign_in(&here, "guest").await;
    let give = async |to: &str| here.update(id, data(&json!({"userId": to})), soon()).await.unwrap().unwrap();
    give("ann").await;
    upstash.fail(Fault::Latency(Duration::from_secs(2)), &["ZREM"], 1);
    let given_back = async {
        sleep(Duration::from_secs(1)).await;
        give("guest").await;
    };
    let (seen, ()) = tokio::join!(listed(&here, "guest"), given_back);
    assert_eq!(seen, Vec::<String>::new(), "it was another's when it was looked at");
    assert_eq!(listed(&here, "guest").await, [id.to_hex()]);
}

#[tokio::test]
async fn a_session_that_is_written_down_in_both_forms_is_listed_once() {
    let redis = RedisServer::start().await;
    let (here, elsewhere) = (on(&redis), on(&redis));
    let mut connection = redis.connection().await;
    let mut expected = Vec::new();
    for _ in 0..600 {
        let id = sign_in(&here, "ann").await.to_hex();
        // As earlier versions wrote it, an hour before.
        let until = clock().epoch_ms() + (47 * 3_600 * 1_000);
        let old = format!("session:{id}");
        cmd("ZADD").arg("llm:sessions:ann").arg(until).arg(old).exec_async(&mut connection).await.unwrap();
        expected.push(id);
    }
    expected.sort_unstable();
    assert_eq!(listed(&elsewhere, "ann").await, expected);
    assert_eq!(places(&mut connection, "ann").await, 600, "nor is it looked at twice again");
    let left: Vec<String> =
        cmd("ZRANGE").arg("llm:sessions:ann").arg(0).arg(-1).query_async(&mut connection).await.unwrap();
    assert!(left.iter().all(|member| member.len() == 64));
    assert_eq!(here.end_all(&user("ann"), soon()).await.unwrap(), 600);
}

#[tokio::test]
async fn nobody_hears_of_a_session_made_for_a_user_that_is_not_written_down_under_it() {
    let redis = RedisServer::start().await;
    let (here, mut connection) = (on(&redis), redis.connection().await);
    let id = sign_in(&here, "ann").await;
    let (bobs, theme) = (data(&json!({"userId": "bob"})), data(&json!({"theme": "dark"})));
    allow(&mut connection, "-zadd").await;
    assert!(here.create(&bobs, soon()).await.is_err());
    assert!(here.update(id, bobs.clone(), soon()).await.is_err(), "it may be done");
    // What gives it to nobody is well, and so is a session of nobody's.
    here.update(id, theme.clone(), soon()).await.unwrap().unwrap();
    here.create(&theme, soon()).await.unwrap();
    assert!(is_live(&here, id).await);
    allow(&mut connection, "+zadd").await;
    here.update(id, bobs.clone(), soon()).await.unwrap().unwrap();
    assert_eq!(listed(&here, "bob").await, [id.to_hex()]);

    // What someone else has put there keeps nobody out, and whoever looks is told.
    cmd("SET").arg("llm:sessions:eve").arg("x").exec_async(&mut connection).await.unwrap();
    let eves = sign_in(&here, "eve").await;
    assert!(is_live(&on(&redis), eves).await);
    assert!(here.end_all(&user("eve"), soon()).await.is_err());
}
