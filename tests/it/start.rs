//! How the service starts with a store, and what it tells whom about it.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{Binary, Fault, RedisServer, Upstash, http, until};
use serde_json::{Value, json};

/// What the binary says when it does not start.
fn refused(settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Binary::command(settings).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_or_may_only_read_stops_the_start() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let url = upstash.url();
    for token in ["0123456789abcdef", upstash.read_only_token()] {
        let settings = [("UPSTASH_REDIS_REST_URL", url.as_str()), ("UPSTASH_REDIS_REST_TOKEN", token)];
        let (code, said) = refused(&settings);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.starts_with("Failed to connect to Upstash: access refused: "), "{said}");
        assert_eq!((said.lines().count(), said.contains(token)), (1, false), "{said}");
    }
    let (code, said) = refused(&[("UPSTASH_REDIS_REST_URL", &url)]);
    assert_eq!((code, said.as_str()), (Some(78), "Missing Redis credentials: UPSTASH_REDIS_REST_TOKEN is not set\n"));

    let redis = RedisServer::start_with(&["--requirepass", "right-password"]).await;
    let url = redis.url().replace("redis://", "redis://:wrong-password@");
    for url in
        [url.clone(), format!("{url},{url}"), redis.url().replace("redis://", "redis://:right-password@") + "/99"]
    {
        let (code, said) = refused(&[("REDIS_URL", &url)]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.starts_with("Failed to connect to Redis: ") && !said.contains("password"), "{said}");
    }
}

async fn generate(gateway: &Binary, prompt: &str) -> (u16, Value) {
    let request = http().post(gateway.url("/llm/generate")).json(&json!({"prompt": prompt}));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_yet_is_used_when_it_comes() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let (url, token) = (upstash.url(), upstash.token());
    upstash.fail(Fault::NoAnswer, &[], 1);
    let settings =
        [("UPSTASH_REDIS_REST_URL", url.as_str()), ("UPSTASH_REDIS_REST_TOKEN", token), ("RATE_LIMIT_MAX", "1000000")];
    let silent = Binary::start(&settings);
    assert_eq!(generate(&silent, "x").await.0, 200);
    upstash.close().await;
    let gateway = Binary::start(&settings);
    assert_eq!(generate(&gateway, "x").await.0, 200);
    upstash.reset_counts();
    upstash.reopen().await;
    until("it is used again", async || {
        assert_eq!(generate(&gateway, "x").await.0, 200);
        upstash.commands().contains_key("EVALSHA")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_is_not_there_yet() {
    let mut gateway = Binary::start(&[("DEMO_PROVIDER", "off"), ("REDIS_URL", "redis://127.0.0.1:9")]);
    gateway.terminate();
    assert_eq!(gateway.ended(Duration::from_secs(60)).await.code(), Some(0));
    let log = gateway.log();
    for said in [
        "the store does not work yet: the service starts without it",
        "no provider is configured: every generation will be refused",
        "it is not known yet how budgets stand",
    ] {
        let told = log.iter().filter(|line| line["level"] == "WARN" && line.to_string().contains(said)).count();
        assert_eq!(told, 1, "{said}: {log:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_names_a_key_a_token_or_a_value_and_trouble_is_said_once_a_second() {
    let (redis, behind) =
        (RedisServer::start_with(&["--requirepass", "s3cr3t-pass"]).await, RedisServer::start().await);
    let upstash = Upstash::start(&behind).await;
    let (redis_url, url) = (redis.url().replace("redis://", "redis://:s3cr3t-pass@"), upstash.url());
    let on_redis = [("REDIS_URL", redis_url.as_str()), ("LOG_LEVEL", "trace"), ("RATE_LIMIT_MAX", "1000000")];
    let on_upstash = [
        ("UPSTASH_REDIS_REST_URL", url.as_str()),
        ("UPSTASH_REDIS_REST_TOKEN", upstash.token()),
        ("LOG_LEVEL", "trace"),
        ("RATE_LIMIT_MAX", "1000000"),
    ];
    for (settings, fail) in [(&on_redis[..], Fault::NoAnswer), (&on_upstash[..], Fault::ServerError(500))] {
        let mut gateway = Binary::start(settings);
        generate(&gateway, "a pr1vate question").await;
        redis.freeze();
        upstash.fail(fail, &[], usize::MAX);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            assert_eq!(generate(&gateway, "a pr1vate question").await.0, 200);
        }
        let seconds = begun.elapsed().as_secs();
        redis.thaw();
        upstash.heal();
        gateway.terminate();
        gateway.ended(Duration::from_secs(10)).await;
        let log: Vec<_> = gateway.log().iter().map(ToString::to_string).collect();
        let log = log.join("\n");
        for secret in ["s3cr3t-pass", upstash.token(), "pr1vate", "no model was asked"] {
            assert!(!log.contains(secret), "`{secret}` is in the log");
        }
        let trouble =
            log.lines().filter(|line| line.contains("\"WARN\"") && line.contains("the store fails")).count() as u64;
        assert!((1..=seconds + 2).contains(&trouble), "{trouble} lines in {seconds} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_whole_whenever_the_service_is_killed() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str()), ("RATE_LIMIT_MAX", "0")];
    let alone = Binary::start(&[("RATE_LIMIT_MAX", "0")]);
    for round in 0..20_u64 {
        let gateway = Binary::start(&settings);
        let asking: Vec<_> = (0..8).map(|n| format!("round {round} question {n}")).collect();
        let storm = futures_util::future::join_all(asking.iter().map(async |prompt| {
            drop(http().post(gateway.url("/llm/generate")).json(&json!({"prompt": prompt})).send().await);
        }));
        let _killed = tokio::time::timeout(Duration::from_millis(fastrand::u64(..40)), storm).await;
        // Killed, not stopped.
        drop(gateway);
        let after = Binary::start(&settings);
        for prompt in &asking {
            let (status, body) = generate(&after, prompt).await;
            let (_, fresh) = generate(&alone, prompt).await;
            assert_eq!((status, &body["code"]), (200, &fresh["code"]), "{body}");
        }
    }
}
