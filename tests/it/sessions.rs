//! Who is signed in: sessions over HTTP, and what they are good for.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};

use crate::support::{Gateway, RedisServer, Reply, Scripted};

const KEY: &str = "0123456789abcdef";
const KEYS: (&str, &str) = ("API_KEYS", "web:0123456789abcdef");

fn gateway() -> Gateway {
    Gateway::with([KEYS], Scripted::hello())
}

/// What a request is known by.
#[derive(Clone, Copy, Default)]
struct As<'a> {
    key: &'a str,
    session: &'a str,
    cookie: &'a str,
    origin: &'a str,
}

async fn ask(gateway: &Gateway, method: Method, path: &str, who: As<'_>, body: Option<Value>) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if !who.key.is_empty() {
        request = request.header("authorization", format!("Bearer {}", who.key));
    }
    if !who.cookie.is_empty() {
        request = request.header("cookie", format!("a=b; sessionId={}", who.cookie));
    }
    for (name, value) in [("x-session-id", who.session), ("origin", who.origin)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    gateway.send(request.body(body).unwrap()).await
}

/// A session of ann's.
async fn sign_in(gateway: &Gateway) -> String {
    let who = As { key: KEY, ..As::default() };
    let reply = ask(gateway, Method::POST, "/sessions", who, Some(json!({"userId": "ann", "role": "admin"}))).await;
    reply.expect(201).json()["sessionId"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_made_read_changed_and_ended() {
    let gateway = gateway();
    let server = As { key: KEY, ..As::default() };
    let made = ask(&gateway, Method::POST, "/sessions", server, Some(json!({"userId": "ann"}))).await;
    let body = made.expect(201).json();
    assert_eq!(body["expiresAt"], "2026-11-25T00:00:00Z");
    let id = body["sessionId"].as_str().unwrap();
    assert_eq!(id.len(), 64);
    assert_eq!(made.header("cache-control"), "no-store");
    let cookie = format!("sessionId={id}; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400");
    assert_eq!(made.header("set-cookie"), cookie);

    let with = As { session: id, ..As::default() };
    let read = ask(&gateway, Method::GET, "/sessions/current", with, None).await;
    assert_eq!((read.expect(200).json(), read.header("set-cookie")), (json!({"userId": "ann"}), ""));
    let browser = As { cookie: id, ..As::default() };
    let read = ask(&gateway, Method::GET, "/sessions/current", browser, None).await;
    assert_eq!(read.expect(200).header("set-cookie"), cookie, "it lives on with the session");

    let part = Some(json!({"theme": {"dark": true}, "userId": "bob"}));
    ask(&gateway, Method::PATCH, "/sessions/current", with, part.clone()).await.expect(401);
    let changed = ask(&gateway, Method::PATCH, "/sessions/current", As { key: KEY, ..with }, part).await;
    assert_eq!(changed.expect(200).json(), json!({"theme": {"dark": true}, "userId": "bob"}));

    assert_eq!(
        ask(&gateway, Method::DELETE, "/sessions/current", with, None).await.expect(200).body,
        r#"{"deleted":1}"#
    );
    let again = ask(&gateway, Method::DELETE, "/sessions/current", with, None).await;
    assert_eq!(again.expect(404).header("set-cookie"), "sessionId=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    ask(&gateway, Method::GET, "/sessions/current", with, None).await.expect(404);
    let part = Some(json!({"theme": 1}));
    ask(&gateway, Method::PATCH, "/sessions/current", As { key: KEY, ..with }, part).await.expect(404);
    ask(&gateway, Method::GET, "/sessions/current", with, None).await.expect(404);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_a_day_after_its_last_use() {
    let gateway = gateway();
    let id = sign_in(&gateway).await;
    let with = As { session: &id, ..As::default() };
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(86_399)).await;
        ask(&gateway, Method::GET, "/sessions/current", with, None).await.expect(200);
    }
    tokio::time::advance(Duration::from_secs(86_400)).await;
    ask(&gateway, Method::GET, "/sessions/current", with, None).await.expect(404);
}

#[tokio::test(start_paused = true)]
async fn where_pages_of_other_sites_may_name_it_the_cookie_says_so() {
    let gateway = Gateway::with([KEYS, ("SESSION_SAME_SITE", "none")], Scripted::hello());
    let server = As { key: KEY, ..As::default() };
    let made = ask(&gateway, Method::POST, "/sessions", server, Some(json!({}))).await;
    let (_, attributes) = made.expect(201).header("set-cookie").split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=None; Secure; Path=/; Max-Age=86400");
}

#[tokio::test(start_paused = true)]
async fn who_names_unknown_sessions_too_often_is_refused_for_a_while_and_nobody_else() {
    let gateway = gateway();
    let live = sign_in(&gateway).await;
    let look = async |path: &str, session: &str, key: &str| {
        ask(&gateway, Method::GET, path, As { key, session, ..As::default() }, None).await
    };
    let unknown = |number: u32| format!("{number:064x}");
    for number in 0..60 {
        let (path, status) = if number % 2 == 0 { ("/sessions/current", 404) } else { ("/llm/models", 401) };
        look(path, &unknown(number), "").await.expect(status);
        // The same again costs the store nothing, and does not count.
        look(path, &unknown(number), "").await.expect(status);
    }
    for path in ["/sessions/current", "/llm/models"] {
        let refused = look(path, &unknown(60), "").await;
        assert_eq!(refused.expect(429).json()["error"], "Too many unknown sessions");
        assert_eq!(refused.header("retry-after"), "60");
        look(path, &live, "").await.expect(200);
    }
    ask(&gateway, Method::DELETE, "/sessions/current", As { session: &unknown(61), ..As::default() }, None)
        .await
        .expect(429);
    // Behind a key are many.
    look("/sessions/current", &unknown(62), KEY).await.expect(404);
    tokio::time::advance(Duration::from_secs(60)).await;
    look("/sessions/current", &unknown(60), "").await.expect(404);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_session_is_not_made() {
    let gateway = gateway();
    let server = As { key: KEY, ..As::default() };
    for (body, status) in [
        (json!([]), 400),
        (json!("ann"), 400),
        (json!({"userId": ""}), 400),
        (json!({"userId": {"id": 1}}), 400),
        (json!({"userId": "x".repeat(257)}), 400),
        (json!({"x": "y".repeat(17_000)}), 413),
        (json!({"x": "y".repeat(16_000)}), 201),
        (json!({}), 201),
    ] {
        let text = body.to_string();
        let made = ask(&gateway, Method::POST, "/sessions", server, Some(body)).await;
        assert_eq!(made.status.as_u16(), status, "{}", &text[..text.len().min(60)]);
    }
    ask(&gateway, Method::POST, "/sessions", server, None).await.expect(415);
    // And what is there does not grow beyond it.
    let id = sign_in(&gateway).await;
    let server = As { key: KEY, session: &id, ..As::default() };
    let half = |name: &str| Some(json!({name: "y".repeat(9_000)}));
    ask(&gateway, Method::PATCH, "/sessions/current", server, half("a")).await.expect(200);
    ask(&gateway, Method::PATCH, "/sessions/current", server, half("b")).await.expect(413);
    let kept = ask(&gateway, Method::PATCH, "/sessions/current", server, half("a")).await.expect(200).json();
    assert_eq!((&kept["role"], &kept["b"]), (&json!("admin"), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn the_sessions_of_a_user_are_listed_and_ended() {
    let gateway = gateway();
    let server = As { key: KEY, ..As::default() };
    let mut ids = vec![sign_in(&gateway).await, sign_in(&gateway).await];
    let bobs = ask(&gateway, Method::POST, "/sessions", server, Some(json!({"userId": 42}))).await.json();
    let list = async |user: &str| ask(&gateway, Method::GET, &format!("/users/{user}/sessions"), server, None).await;
    let listed = list("ann").await.expect(200).json();
    let mut found: Vec<_> =
        listed["sessions"].as_array().unwrap().iter().map(|s| s["sessionId"].as_str().unwrap()).collect();
    found.sort_unstable();
    ids.sort_unstable();
    assert_eq!(found, ids);
    assert_eq!(listed["sessions"][0]["data"], json!({"userId": "ann", "role": "admin"}));
    assert_eq!(listed["sessions"][0]["expiresAt"], "2026-11-25T00:00:00Z");

    // Whose it is may change.
    let first = As { key: KEY, session: &ids[0], ..As::default() };
    ask(&gateway, Method::PATCH, "/sessions/current", first, Some(json!({"userId": "bob/é"}))).await.expect(200);
    assert_eq!(list("bob%2F%C3%A9").await.json()["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(list("ann").await.json()["sessions"].as_array().unwrap().len(), 1);

    let end = async |user: &str| ask(&gateway, Method::DELETE, &format!("/users/{user}/sessions"), server, None).await;
    assert_eq!(end("ann").await.expect(200).body, r#"{"deleted":1}"#);
    assert_eq!(end("ann").await.expect(200).body, r#"{"deleted":0}"#);
    assert_eq!(end("nobody").await.expect(200).body, r#"{"deleted":0}"#);
    assert_eq!(end("42").await.expect(200).body, r#"{"deleted":1}"#);
    let ended = As { session: bobs["sessionId"].as_str().unwrap(), ..As::default() };
    ask(&gateway, Method::GET, "/sessions/current", ended, None).await.expect(404);
    for bad in ["%0A", &"x".repeat(300)] {
        list(bad).await.expect(400);
    }
}

#[tokio::test(start_paused = true)]
async fn without_keys_nobody_makes_sessions() {
    let gateway = Gateway::start();
    let (body, id) = (Some(json!({"userId": "ann"})), "a".repeat(64));
    let with = As { key: KEY, session: &id, ..As::default() };
    for (method, path) in [
        (Method::POST, "/sessions"),
        (Method::PATCH, "/sessions/current"),
        (Method::GET, "/users/ann/sessions"),
        (Method::DELETE, "/users/ann/sessions"),
    ] {
        ask(&gateway, method, path, with, body.clone()).await.expect(404);
    }
    assert_eq!(
        ask(&gateway, Method::GET, "/sessions/current", with, None).await.expect(404).json()["error"],
        "No such session"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cookie_changes_nothing_from_a_page_that_is_not_known() {
    let gateway = gateway();
    let id = sign_in(&gateway).await;
    let page = |origin| As { cookie: &id, origin, ..As::default() };
    let question = Some(json!({"prompt": "x", "model": "gpt-4o"}));
    for origin in ["", "null", "https://evil.example", "http://localhost:3000.evil.example"] {
        let asked = ask(&gateway, Method::POST, "/llm/generate", page(origin), question.clone()).await;
        assert_eq!(asked.expect(403).json()["error"], "The page may not use this session", "{origin}");
        ask(&gateway, Method::DELETE, "/sessions/current", page(origin), None).await.expect(403);
        // To look changes nothing, and CORS keeps the page from reading.
        ask(&gateway, Method::GET, "/llm/models", page(origin), None).await.expect(200);
    }
    assert_eq!(gateway.provider.calls(), 0);
    let known = page("http://localhost:3000");
    let asked = ask(&gateway, Method::POST, "/llm/generate", known, question.clone()).await;
    assert_eq!(asked.expect(200).header("access-control-allow-credentials"), "true");
    // Neither a header nor a key is added by a browser itself.
    let both = As { session: &id, ..page("") };
    ask(&gateway, Method::POST, "/llm/generate", both, question.clone()).await.expect(200);
    ask(&gateway, Method::POST, "/llm/generate", As { session: &id, ..As::default() }, question.clone())
        .await
        .expect(200);
    ask(&gateway, Method::POST, "/llm/generate", As { key: KEY, ..page("") }, question.clone()).await.expect(200);
    ask(&gateway, Method::DELETE, "/sessions/current", known, None).await.expect(200);
    ask(&gateway, Method::POST, "/llm/generate", known, question).await.expect(401);
}

#[tokio::test]
async fn a_session_of_the_original_is_read_renewed_and_changed() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let gateway = Gateway::with([KEYS, ("REDIS_URL", &url)], Scripted::hello());
    let (id, mut connection) = ("0f".repeat(32), redis.connection().await);
    let key = format!("session:{id}");
    let json = r#"{"userId":"user_1","email":"ann@example.com","name":"Ann","cart":[1.50,{"a":null}]}"#;
    redis::cmd("SET").arg(&key).arg(json).arg("EX").arg(100).exec_async(&mut connection).await.unwrap();
    let with = As { session: &id, ..As::default() };
    assert_eq!(ask(&gateway, Method::GET, "/sessions/current", with, None).await.expect(200).body, json);
    let ttl: u64 = redis::cmd("TTL").arg(&key).query_async(&mut connection).await.unwrap();
    assert!((86_390..=86_400).contains(&ttl), "{ttl}");

    let reply =
        ask(&gateway, Method::POST, "/llm/generate", with, Some(json!({"prompt": "x", "model": "gpt-4o"}))).await;
    assert_eq!(reply.expect(200).header("x-ratelimit-remaining"), "19");
    let bucket: bool =
        redis::cmd("EXISTS").arg("ratelimit:generate:user:user_1").query_async(&mut connection).await.unwrap();
    assert!(bucket);

    let server = As { key: KEY, ..with };
    ask(&gateway, Method::PATCH, "/sessions/current", server, Some(json!({"name": "Ann B."}))).await.expect(200);
    let kept: String = redis::cmd("GET").arg(&key).query_async(&mut connection).await.unwrap();
    let expected = json.replace("\"Ann\"", "\"Ann B.\"");
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), serde_json::from_str::<Value>(&expected).unwrap());
    assert!(kept.contains("1.50"), "a value stays as it was written: {kept}");
    let listed = ask(&gateway, Method::GET, "/users/user_1/sessions", server, None).await.json();
    assert_eq!(listed["sessions"][0]["sessionId"], id.as_str());
}

#[tokio::test]
async fn what_is_no_id_never_reaches_the_store() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let gateway = Gateway::with([KEYS, ("REDIS_URL", &url)], Scripted::hello());
    redis.reset_stats().await;
    let large = "a".repeat(1 << 20);
    let upper = "A".repeat(64);
    for id in
        ["../", "stats", "../../llm:cache:x", "*", &upper, &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &large]
    {
        for who in [As { session: id, ..As::default() }, As { cookie: id, ..As::default() }] {
            ask(&gateway, Method::GET, "/sessions/current", who, None).await.expect(404);
            ask(&gateway, Method::GET, "/llm/models", who, None).await.expect(401);
            ask(&gateway, Method::DELETE, "/sessions/current", who, None).await.expect(404);
        }
    }
    let calls = redis.commandstats().await;
    assert!(!calls.keys().any(|name| ["GETEX", "GET", "UNLINK", "EVALSHA"].contains(&&**name)), "{calls:?}");
}

#[tokio::test]
async fn a_store_that_is_away_logs_nobody_out() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let gateway = Gateway::with([KEYS, ("REDIS_URL", &url)], Scripted::hello());
    let id = sign_in(&gateway).await;
    let other = sign_in(&gateway).await;
    ask(&gateway, Method::GET, "/sessions/current", As { session: &id, ..As::default() }, None).await.expect(200);
    redis.kill();
    let question = Some(json!({"prompt": "x", "model": "gpt-4o"}));
    let fresh = "f".repeat(64);
    for (name, who, status) in [
        ("seen within half a minute", As { session: &id, ..As::default() }, 200),
        ("made within half a minute", As { session: &other, ..As::default() }, 200),
        ("not known here", As { session: &fresh, ..As::default() }, 503),
        ("with a key", As { session: &fresh, key: KEY, ..As::default() }, 200),
    ] {
        let reply = ask(&gateway, Method::POST, "/llm/generate", who, question.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{name}: {}", reply.body);
        if status == 503 {
            assert_eq!(reply.header("retry-after"), "1");
        }
    }
    let server = As { session: &id, key: KEY, ..As::default() };
    for (method, path, body) in [
        (Method::GET, "/sessions/current", None),
        (Method::PATCH, "/sessions/current", Some(json!({"a": 1}))),
        (Method::DELETE, "/sessions/current", None),
        (Method::POST, "/sessions", Some(json!({}))),
        (Method::GET, "/users/ann/sessions", None),
        (Method::DELETE, "/users/ann/sessions", None),
    ] {
        let reply = ask(&gateway, method.clone(), path, server, body).await;
        assert_eq!(reply.expect(503).header("set-cookie"), "", "{method} {path}");
    }
    redis.restart().await;
}

#[tokio::test]
async fn the_limit_costs_the_store_one_look_up_in_half_a_minute() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let gateway = Gateway::with([KEYS, ("REDIS_URL", &url), ("RATE_LIMIT_MAX", "0")], Scripted::hello());
    let id = sign_in(&gateway).await;
    let second = Gateway::with([KEYS, ("REDIS_URL", &url), ("RATE_LIMIT_MAX", "0")], Scripted::hello());
    redis.reset_stats().await;
    for _ in 0..20 {
        ask(&second, Method::GET, "/llm/models", As { session: &id, ..As::default() }, None).await.expect(200);
    }
    let calls = redis.commandstats().await;
    assert_eq!((calls.get("GETEX"), calls.get("ZADD")), (Some(&1), Some(&1)), "{calls:?}");
}
