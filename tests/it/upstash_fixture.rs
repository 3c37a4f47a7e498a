//! The stand-ins for stores behave as the stores do, so that what is tested on them means something.

use std::time::{Duration, Instant};

use redis::AsyncTypedCommands as _;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Fault, RedisCluster, RedisServer, Upstash, http, until};

const FLAG: &str = "#!lua flags=allow-key-locking\n";

/// A Redis, the service in front of it, and a client with one connection at a time.
struct Rest {
    redis: RedisServer,
    upstash: Upstash,
    client: Client,
}

impl Rest {
    async fn start() -> Self {
        let redis = RedisServer::start().await;
        let upstash = Upstash::start(&redis).await;
        Self { redis, upstash, client: http() }
    }

    fn request(&self, path: &str, body: &Value) -> RequestBuilder {
        let url = format!("{}{path}", self.upstash.url());
        self.client.post(url).bearer_auth(self.upstash.token()).body(body.to_string())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(path, &body)).await
    }

    async fn ask(&self, words: &[&str]) -> (u16, Value) {
        self.post("/", json!(words)).await
    }

    /// What became of a command that a fault may spoil.
    async fn attempt(&self, words: &[&str]) -> Result<String, reqwest::Error> {
        self.request("/", &json!(words)).send().await?.text().await
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn error((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["error"].as_str().unwrap_or_else(|| panic!("no error: {body}")))
}

#[tokio::test]
async fn strings_are_in_base64_when_asked_for_but_for_a_bare_ok() {
    let rest = Rest::start().await;
    let commands = json!([["SET", "k", "é"], ["MGET", "k", "none"], ["INCR", "n"], ["PING"], ["INCR", "k"]]);
    let request = rest.request("/pipeline", &commands).header("upstash-encoding", "base64");
    let (status, body) = answer(request).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!([
            {"result": "OK"},
            {"result": ["w6k=", null]},
            {"result": 1},
            {"result": "UE9ORw=="},
            {"error": "ERR value is not an int or out of range"},
        ])
    );
}

#[tokio::test]
async fn without_base64_bytes_that_are_no_text_are_damaged() {
    let rest = Rest::start().await;
    rest.redis.connection().await.set("k", b"a\xff").await.unwrap();
    assert_eq!(rest.ask(&["GET", "k"]).await.1, json!({"result": "a\u{fffd}"}));
}

#[tokio::test]
async fn a_token_is_asked_for_and_the_read_only_one_writes_nothing() {
    let rest = Rest::start().await;
    let ask = |token: &str, words: &[&str]| {
        answer(rest.client.post(rest.upstash.url()).bearer_auth(token).body(json!(words).to_string()))
    };
    assert_eq!(error(&ask("wrong", &["PING"]).await), (401, "WRONGPASS invalid or missing auth token"));
    let reader = rest.upstash.read_only_token();
    assert_eq!(ask(reader, &["GET", "k"]).await, (200, json!({"result": null})));
    for words in [&["SET", "k", "v"][..], &["SCAN", "0"], &["EVAL", "return 1", "0"]] {
        let refused = ask(reader, words).await;
        assert!(error(&refused).1.starts_with("NOPERM "), "{refused:?}");
        assert_eq!(refused.0, 400);
    }
}

#[tokio::test]
async fn what_is_no_command_is_refused() {
    let rest = Rest::start().await;
    for (path, body) in [
        ("/", json!([])),
        ("/", json!({})),
        ("/", json!(["SET", "k", null])),
        ("/", json!(["SET", "k", ["v"]])),
        ("/", json!(["NOSUCH"])),
        ("/", json!(["AUTH", "x"])),
        ("/", json!(["BLPOP", "k", "0"])),
        ("/", json!(["XREAD", "BLOCK", "0", "STREAMS", "s", "0"])),
        ("/pipeline", json!([])),
        ("/pipeline", json!([["PING"], []])),
        ("/set/k/v", json!("")),
    ] {
        let refused = rest.post(path, body.clone()).await;
        assert!(error(&refused).0 == 400 && error(&refused).1.starts_with("ERR "), "{path} {body}: {refused:?}");
    }
    assert_eq!(rest.upstash.units(), 0);
    let deleted = rest.client.delete(rest.upstash.url()).send().await.unwrap();
    assert_eq!(deleted.status(), 405);
}

#[tokio::test]
async fn numbers_and_booleans_are_arguments_too() {
    let rest = Rest::start().await;
    rest.post("/", json!(["MSET", "a", 60, "b", true])).await;
    assert_eq!(rest.ask(&["MGET", "a", "b"]).await.1, json!({"result": ["60", "true"]}));
}

#[tokio::test]
async fn a_command_that_fails_stops_neither_a_pipeline_nor_a_transaction() {
    let rest = Rest::start().await;
    for path in ["/pipeline", "/multi-exec"] {
        let (status, body) = rest.post(path, json!([["SET", "k", "v"], ["LPUSH", "k", "w"], ["DEL", "k"]])).await;
        assert_eq!((status, &body[0], &body[2]), (200, &json!({"result": "OK"}), &json!({"result": 1})));
        assert!(body[1]["error"].as_str().unwrap().starts_with("WRONGTYPE "));
    }
}

#[tokio::test]
async fn a_discarded_transaction_is_one_error_and_ran_nothing() {
    let rest = Rest::start().await;
    for wrong in [json!(["NOSUCH"]), json!(["GET"])] {
        let discarded = rest.post("/multi-exec", json!([["SET", "k", "v"], wrong])).await;
        assert!(error(&discarded).0 == 400 && error(&discarded).1.starts_with("EXECABORT "), "{discarded:?}");
    }
    assert_eq!(rest.ask(&["GET", "k"]).await.1, json!({"result": null}));
}

#[tokio::test]
async fn a_script_with_the_vendors_flag_is_known_by_the_sha1_of_its_text() {
    let rest = Rest::start().await;
    let text = format!("{FLAG}redis.call('SET', KEYS[1], ARGV[1])\nreturn {{redis.call('GET', KEYS[1]), false, 3.9}}");
    let sha1 = redis::Script::new(&text).get_hash().to_owned();
    let by_sha1 = ["EVALSHA", &sha1, "1", "k", "v"];
    assert!(error(&rest.ask(&by_sha1).await).1.starts_with("NOSCRIPT "));
    let answered = (200, json!({"result": ["v", null, 3]}));
    assert_eq!(rest.ask(&["EVAL", &text, "1", "k", "v"]).await, answered);
    assert_eq!(rest.ask(&by_sha1).await, answered);
    assert_eq!(rest.ask(&["SCRIPT", "EXISTS", &sha1, "none"]).await.1, json!({"result": [1, 0]}));
    rest.ask(&["SCRIPT", "FLUSH"]).await;
    assert!(error(&rest.ask(&by_sha1).await).1.starts_with("NOSCRIPT "));
    assert_eq!(rest.ask(&["SCRIPT", "LOAD", &text]).await.1, json!({"result": sha1}));
    let (_, body) = rest.post("/multi-exec", json!([by_sha1, ["GET", "k"]])).await;
    assert_eq!(body, json!([{"result": ["v", null, 3]}, {"result": "v"}]));
}

#[tokio::test]
async fn under_the_flag_a_script_touches_only_the_keys_it_named() {
    let rest = Rest::start().await;
    let body = "redis.call('SET', KEYS[1], 'v') return redis.call('SET', 'other', 'v')";
    assert_eq!(rest.ask(&["EVAL", body, "1", "k"]).await.1, json!({"result": "OK"}));
    let refused = rest.ask(&["EVAL", &format!("{FLAG}{body}"), "1", "k"]).await;
    assert!(error(&refused).1.starts_with("ERR Dynamic keys are not allowed"), "{refused:?}");
}

#[tokio::test]
async fn a_scripts_error_is_its_answer() {
    let rest = Rest::start().await;
    for (body, start) in [
        ("redis.call('SET', KEYS[1], 'v') return redis.call('LPUSH', KEYS[1], 'w')", "WRONGTYPE "),
        ("return redis.error_reply('MINE it is')", "MINE it is"),
        ("return nothing.at_all", "ERR "),
        ("return (", "ERR Error compiling script"),
    ] {
        let failed = rest.ask(&["EVAL", body, "1", "k"]).await;
        assert!(error(&failed).0 == 400 && error(&failed).1.starts_with(start), "{body}: {failed:?}");
    }
}

#[tokio::test]
async fn a_script_costs_itself_and_what_it_calls() {
    let rest = Rest::start().await;
    rest.redis.reset_stats().await;
    let body = "redis.call('get', KEYS[1]) redis.pcall('SET', KEYS[1], '1') return redis.status_reply('OK')";
    let commands = json!([["EVAL", body, "1", "k"], ["get", "k"]]);
    rest.post("/pipeline", commands).await;
    assert_eq!(rest.upstash.units(), 4);
    let counted = rest.upstash.commands();
    assert_eq!((counted["EVAL"], counted["GET"], counted["SET"]), (1, 2, 1));
    let stats = rest.redis.commandstats().await;
    assert_eq!((stats["EVAL"], stats["GET"], stats["SET"]), (1, 2, 1));
    assert_eq!(rest.upstash.requests(), 1);
}

#[tokio::test]
async fn requests_are_seen_as_they_came_and_connections_counted() {
    let rest = Rest::start().await;
    let sent = rest.request("/?q=1", &json!(["PING"])).header("upstash-sync-token", "mine").send().await.unwrap();
    let token = sent.headers()["upstash-sync-token"].clone();
    sent.bytes().await.unwrap();
    let sent = rest.request("/", &json!(["PING"])).send().await.unwrap();
    assert_ne!(token, sent.headers()["upstash-sync-token"]);
    let seen = rest.upstash.seen();
    assert_eq!((seen[0].path.as_str(), seen[0].body.as_str()), ("/?q=1", r#"["PING"]"#));
    assert_eq!(seen[0].headers["upstash-sync-token"], "mine");
    assert_eq!((rest.upstash.connections(), rest.upstash.requests()), (1, 2));
    rest.upstash.reset_counts();
    assert_eq!((rest.upstash.connections(), rest.upstash.requests(), rest.upstash.units()), (0, 0, 0));
    assert!(rest.upstash.seen().is_empty());
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_refused() {
    let rest = Rest::start().await;
    let (long, longer) = ("k".repeat(32 * 1024), "k".repeat(32 * 1024 + 1));
    assert_eq!(rest.ask(&["SET", &long, &longer]).await.0, 200);
    assert!(error(&rest.ask(&["SET", &longer, "v"]).await).1.starts_with("ERR max key size exceeded"));
    let half = "v".repeat(6 * 1024 * 1024);
    assert_eq!(rest.ask(&["SET", "k", &half]).await.0, 200);
    let two_halves = ["SET", "k", &half, &half];
    assert!(error(&rest.ask(&two_halves).await).1.starts_with("ERR max request size exceeded"));
    assert!(error(&rest.ask(&["MGET", "k", "k"]).await).1.starts_with("ERR max request size exceeded"));
    rest.upstash.set_quota(1);
    assert_eq!(rest.ask(&["PING"]).await.0, 200);
    assert!(error(&rest.ask(&["PING"]).await).1.starts_with("ERR max requests limit exceeded"));
    rest.upstash.heal();
    assert_eq!(rest.ask(&["PING"]).await.0, 200);
}

#[tokio::test]
async fn a_connection_dropped_before_ran_nothing_and_one_dropped_after_ran_it() {
    let rest = Rest::start().await;
    rest.upstash.fail(Fault::DropBefore, &["incr"], 1);
    rest.upstash.fail(Fault::DropAfter, &["INCR"], 1);
    assert_eq!(rest.ask(&["PING"]).await.0, 200);
    for counted in [None, Some("1")] {
        assert!(rest.attempt(&["INCR", "n"]).await.is_err());
        assert_eq!(rest.redis.connection().await.get("n").await.unwrap().as_deref(), counted);
    }
    assert_eq!(rest.ask(&["INCR", "n"]).await.1, json!({"result": 2}));
}

#[tokio::test]
async fn a_fault_answers_in_place_of_the_commands() {
    let rest = Rest::start().await;
    for (fault, status, start) in [
        (Fault::Unauthorized, 401, r#"{"error":"WRONGPASS "#),
        (Fault::TooManyRequests { retry_after: 7 }, 429, "<html>"),
        (Fault::ServerError(503), 503, "<html>"),
        (Fault::ReadOnly, 400, r#"{"error":"READONLY "#),
        (Fault::Full, 400, r#"{"error":"ERR DB capacity quota exceeded"#),
        (Fault::QuotaExceeded, 400, r#"{"error":"ERR max requests limit exceeded"#),
    ] {
        rest.upstash.fail(fault, &["SET"], 1);
        let response = rest.request("/", &json!(["SET", "k", "v"])).send().await.unwrap();
        assert_eq!(response.status(), status, "{fault:?}");
        let wait = response.headers().get("retry-after").map(|seconds| seconds.to_str().unwrap().to_owned());
        assert_eq!(wait.as_deref(), (status == 429).then_some("7"));
        let body = response.text().await.unwrap();
        assert!(body.starts_with(start), "{fault:?}: {body}");
    }
    assert_eq!(rest.upstash.units(), 0);
}

#[tokio::test]
async fn a_full_database_still_reads_and_deletes_but_runs_no_script() {
    let rest = Rest::start().await;
    rest.upstash.fail(Fault::Full, &[], usize::MAX);
    for (words, status) in
        [(&["SET", "k", "v"][..], 400), (&["EVAL", "return 1", "0"], 400), (&["GET", "k"], 200), (&["DEL", "k"], 200)]
    {
        assert_eq!(rest.ask(words).await.0, status, "{words:?}");
    }
    rest.upstash.heal();
    assert_eq!(rest.ask(&["SET", "k", "v"]).await.0, 200);
}

#[tokio::test]
async fn an_answer_comes_late_or_broken_or_never() {
    let rest = Rest::start().await;
    let ping = ["PING"];
    let whole = rest.attempt(&ping).await.unwrap();
    let begun = Instant::now();
    rest.upstash.fail(Fault::Latency(Duration::from_millis(150)), &[], 1);
    assert_eq!(rest.attempt(&ping).await.unwrap(), whole);
    assert!(begun.elapsed() >= Duration::from_millis(150));
    rest.upstash.fail(Fault::MalformedJson, &[], 1);
    assert_eq!(rest.attempt(&ping).await.unwrap(), whole[..whole.len() / 2]);
    rest.upstash.fail(Fault::ShortBody, &[], 1);
    let response = rest.request("/", &json!(ping)).send().await.unwrap();
    assert_eq!(response.content_length(), Some(whole.len() as u64));
    assert!(response.bytes().await.is_err());
    rest.upstash.fail(Fault::Trickle, &[], 1);
    let trickle = timeout(Duration::from_millis(500), rest.attempt(&ping)).await;
    assert!(trickle.is_err());
    rest.upstash.fail(Fault::NoAnswer, &[], 1);
    let answer = timeout(Duration::from_millis(200), rest.attempt(&ping)).await;
    assert!(answer.is_err());
    assert_eq!(rest.attempt(&ping).await.unwrap(), whole);
}

#[tokio::test]
async fn the_service_goes_away_and_comes_back_at_the_same_address() {
    let rest = Rest::start().await;
    rest.ask(&["SET", "k", "v"]).await;
    rest.upstash.fail(Fault::NoAnswer, &["PING"], usize::MAX);
    let (pending, ()) = tokio::join!(rest.attempt(&["PING"]), async {
        until("it is asked", async || rest.upstash.requests() == 2).await;
        rest.upstash.close().await;
    });
    assert!(pending.is_err());
    // The client may not have seen yet that the connection it had is closed.
    until("nobody listens", async || rest.attempt(&["GET", "k"]).await.unwrap_err().is_connect()).await;
    rest.upstash.reopen().await;
    assert_eq!(rest.ask(&["GET", "k"]).await.1, json!({"result": "v"}));
    let connections = rest.upstash.connections();
    rest.upstash.close_idle();
    until("another connection", async || {
        rest.attempt(&["GET", "k"]).await.is_ok() && rest.upstash.connections() == connections + 1
    })
    .await;
}

#[tokio::test]
async fn a_redis_with_a_password_serves_both_ways() {
    let redis = RedisServer::start_with(&["--requirepass", "secret"]).await;
    let bare = redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await;
    let refused = match bare {
        Ok(mut connection) => connection.get("k").await.unwrap_err(),
        Err(refused) => refused,
    };
    assert_eq!(refused.code(), Some("NOAUTH"));
    redis.connection().await.set("k", "v").await.unwrap();
    let upstash = Upstash::start(&redis).await;
    let rest = Rest { redis, upstash, client: http() };
    assert_eq!(rest.ask(&["GET", "k"]).await.1, json!({"result": "v"}));
}

#[tokio::test]
async fn a_redis_that_is_killed_comes_back_empty_at_the_same_address() {
    let rest = Rest::start().await;
    rest.ask(&["SET", "k", "v"]).await;
    let url = rest.redis.url();
    rest.redis.kill();
    assert_eq!(rest.ask(&["GET", "k"]).await.0, 500);
    rest.redis.restart().await;
    assert_eq!((rest.redis.url(), rest.ask(&["GET", "k"]).await.1), (url, json!({"result": null})));
}

#[tokio::test]
async fn a_frozen_redis_answers_once_it_thaws() {
    let redis = RedisServer::start().await;
    let mut connection = redis.connection().await;
    redis.freeze();
    let answer = {
        let mut answer = std::pin::pin!(connection.set("k", "v"));
        assert!(timeout(Duration::from_millis(200), &mut answer).await.is_err());
        redis.thaw();
        answer.await
    };
    answer.unwrap();
}

#[tokio::test]
async fn a_redis_that_speaks_tls_is_trusted_through_its_own_authority_only() {
    let redis = RedisServer::tls().await;
    assert!(redis.url().starts_with("rediss://localhost:") && redis.ca_pem().starts_with("-----BEGIN CERTIFICATE"));
    let mut connection = redis.connection().await;
    connection.set("k", "v").await.unwrap();
    assert_eq!(connection.get("k").await.unwrap().as_deref(), Some("v"));
    let stranger = redis::Client::open(redis.url()).unwrap();
    assert!(stranger.get_multiplexed_async_connection().await.is_err());
}

#[tokio::test]
async fn a_cluster_answers_for_every_slot() {
    let cluster = RedisCluster::start().await;
    let urls = cluster.urls();
    let client = redis::cluster::ClusterClient::new(urls.split(',')).unwrap();
    let mut connection = client.get_async_connection().await.unwrap();
    for n in 0..30 {
        connection.set(format!("k{n}"), n).await.unwrap();
    }
    for node in &cluster.nodes {
        let keys = node.connection().await.keys("*").await.unwrap();
        assert!(!keys.is_empty(), "{}", node.url());
    }
}
