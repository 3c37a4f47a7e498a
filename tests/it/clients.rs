//! Who is asking: what each may do, and whose bucket it is counted in.

use std::time::Duration;

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderName, Request},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use crate::support::{Binary, Gateway, RedisServer, Reply, Scripted, post_from};

const KEY: &str = "0123456789abcdef";
const KEYS: &str = "web:0123456789abcdef,web:fedcba9876543210,batch:00112233445566778899:3,free:99887766554433221100:0";
const ADMIN: &str = "the-administrators-own";

/// Method, path, and whether there is a body.
const ROUTES: [(&str, &str); 13] = [
    ("POST", "/llm/generate"),
    ("GET", "/llm/models"),
    ("GET", "/llm/budget/status"),
    ("POST", "/sessions"),
    ("GET", "/sessions/current"),
    ("PATCH", "/sessions/current"),
    ("GET", "/users/ann/sessions"),
    ("DELETE", "/users/bob/sessions"),
    ("DELETE", "/llm/cache"),
    ("POST", "/llm/budget/reset/daily"),
    ("GET", "/health"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
];

/// What each gets where, in the order of [`ROUTES`], and the bucket where its generation was counted.
const WITH_KEYS: &str = "
    nobody           401 401 401 401 404 401 401 401 401 401 200 401 401 -
    a wrong key      401 401 401 401 404 401 401 401 401 401 200 401 401 -
    the key          200 200 200 201 404 404 200 200 401 401 200 400 200 key:web
    its other secret 200 200 200 201 404 404 200 200 401 401 200 400 200 key:web
    key with user    200 200 200 201 404 404 200 200 401 401 200 400 200 user:web:bob
    key with nobody  200 200 200 201 404 404 200 200 401 401 200 400 200 key:web
    session          200 200 200 401 200 401 401 401 401 401 200 400 200 user:ann
    key and session  200 200 200 201 200 200 200 200 401 401 200 400 200 user:ann
    nobody's session 200 200 200 401 200 401 401 401 401 401 200 400 200 10.0.0.1
    expired session  401 401 401 401 404 401 401 401 401 401 200 401 401 -
    user alone       401 401 401 401 404 401 401 401 401 401 200 401 401 -
    admin            401 401 401 401 404 401 401 401 200 200 200 401 401 -
";

/// The same where there are no keys: sessions come from elsewhere.
const WITHOUT_KEYS: &str = "
    nobody           200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    a wrong key      200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    the key          200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    its other secret 200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    key with user    200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    key with nobody  200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    session          200 200 200 404 200 404 404 404 401 401 200 400 200 user:ann
    key and session  200 200 200 404 200 404 404 404 401 401 200 400 200 user:ann
    nobody's session 200 200 200 404 200 404 404 404 401 401 200 400 200 10.0.0.1
    expired session  200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    user alone       200 200 200 404 404 404 404 404 401 401 200 400 200 10.0.0.1
    admin            200 200 200 404 404 404 404 404 200 200 200 400 200 10.0.0.1
";

/// The headers by which someone is known.
fn headers(who: &str) -> Vec<(&'static str, String)> {
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let session = |digit: &str| ("x-session-id", digit.repeat(64));
    let user = |id: &str| ("x-user-id", id.to_owned());
    match who {
        "nobody" => vec![],
        "a wrong key" => vec![bearer("0123456789abcdeF")],
        "the key" => vec![bearer(KEY)],
        "its other secret" => vec![bearer("fedcba9876543210")],
        "key with user" => vec![bearer(KEY), user("bob")],
        "key with nobody" => vec![bearer(KEY), user("")],
        "session" => vec![session("a")],
        "key and session" => vec![bearer(KEY), user("bob"), session("a")],
        "nobody's session" => vec![session("b")],
        "expired session" => vec![session("e")],
        "user alone" => vec![user("bob")],
        "admin" => vec![bearer(ADMIN)],
        other => panic!("{other}"),
    }
}

async fn ask(gateway: &Gateway, (method, path): (&str, &str), headers: &[(&str, String)]) -> Reply {
    let mut request = post_from("10.0.0.1:4000", path, &json!({"prompt": "x", "model": "gpt-4o"}));
    *request.method_mut() = method.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    gateway.send(request).await
}

async fn hold_to(table: &str, redis: &RedisServer, gateway: &Gateway) {
    let mut connection = redis.connection().await;
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (who, cells) = row.split_at(17);
        let who = who.trim();
        let expected: Vec<_> = cells.split_whitespace().collect();
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
        for (digit, session, seconds) in [("a", r#"{"userId":"ann"}"#, 600), ("b", "{}", 600)] {
            let key = format!("session:{}", digit.repeat(64));
            redis::cmd("SET").arg(key).arg(session).arg("EX").arg(seconds).exec_async(&mut connection).await.unwrap();
        }
        for (route, status) in ROUTES.iter().zip(&expected) {
            let reply = ask(gateway, *route, &headers(who)).await;
            assert_eq!(reply.status.as_str(), *status, "{who} at {route:?}: {}", reply.body);
            if *status == "401" {
                // Who has several tokens knows by it which is wanted.
                let is_admins = ["/llm/cache", "/llm/budget/reset/daily"].contains(&route.1);
                let realm = if is_admins { "llm-gateway administration" } else { "llm-gateway" };
                let challenge = format!("Bearer realm=\"{realm}\"");
                assert_eq!(reply.header("www-authenticate"), challenge, "{who} at {route:?}");
            }
        }
        let buckets: Vec<String> = redis::cmd("KEYS").arg("ratelimit:*").query_async(&mut connection).await.unwrap();
        let bucket = expected[ROUTES.len()];
        let expected = if bucket == "-" { vec![] } else { vec![format!("ratelimit:generate:{bucket}")] };
        assert_eq!(buckets, expected, "{who}");
    }
}

#[tokio::test]
async fn each_may_do_what_the_table_says_and_is_counted_in_its_bucket() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let mut connection = redis.connection().await;
    // Not only one that never was.
    let expired = format!("session:{}", "e".repeat(64));
    redis::cmd("SET").arg(&expired).arg("{}").arg("PX").arg(1).exec_async(&mut connection).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let common = [("REDIS_URL", &*url), ("ADMIN_TOKEN", ADMIN), ("RATE_LIMIT_MAX", "1000")];
    let keyed = Gateway::with_all(&[&common[..], &[("API_KEYS", KEYS)]].concat(), Scripted::hello());
    hold_to(WITH_KEYS, &redis, &keyed).await;
    hold_to(WITHOUT_KEYS, &redis, &Gateway::with_all(&common, Scripted::hello())).await;
}

fn bearer(secret: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {secret}"))]
}

#[tokio::test(start_paused = true)]
async fn a_key_may_have_a_rate_of_its_own_and_its_users_have_each_their_own() {
    let gateway = Gateway::with([("API_KEYS", KEYS), ("RATE_LIMIT_MAX", "2")], Scripted::hello());
    let generate = ("POST", "/llm/generate");
    let statuses = async |headers: &[(&'static str, String)], count: usize| {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(ask(&gateway, generate, headers).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses(&bearer(KEY), 3).await, [200, 200, 429]);
    let batch = bearer("00112233445566778899");
    let reply = ask(&gateway, generate, &batch).await;
    assert_eq!((reply.header("x-ratelimit-limit"), reply.header("x-ratelimit-remaining")), ("3", "2"));
    assert_eq!(reply.header("ratelimit-policy"), "\"generate\";q=3;w=60");
    assert_eq!(statuses(&batch, 3).await, [200, 200, 429]);
    let free = ask(&gateway, generate, &bearer("99887766554433221100")).await;
    assert_eq!(free.expect(200).header("x-ratelimit-limit"), "");
    // People behind one server do not share its bucket, whatever each has done.
    for user in ["ann", "bob", "a:b"] {
        let headers = [bearer(KEY), vec![("x-user-id", user.to_owned())]].concat();
        assert_eq!(statuses(&headers, 3).await, [200, 200, 429], "{user}");
    }
    let headers = [bearer(KEY), vec![("x-user-id", "x".repeat(257))]].concat();
    assert_eq!(ask(&gateway, generate, &headers).await.expect(400).json()["error"], "`X-User-Id` is not an id");
}

#[tokio::test]
async fn the_log_names_who_was_refused_and_no_secret() {
    let settings = [("API_KEYS", KEYS), ("RATE_LIMIT_MAX", "1"), ("SHUTDOWN_GRACE_SECONDS", "0")];
    let mut gateway = Binary::start(&settings);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let session = {
        let made = client.post(gateway.url("/sessions")).bearer_auth(KEY).json(&json!({"userId": "ann"}));
        let made: serde_json::Value = made.send().await.unwrap().json().await.unwrap();
        made["sessionId"].as_str().unwrap().to_owned()
    };
    let question = || client.post(gateway.url("/llm/generate")).json(&json!({"prompt": "x", "model": "gpt-4o"}));
    for _ in 0..2 {
        question().bearer_auth(KEY).send().await.unwrap();
        question().bearer_auth(KEY).header("x-user-id", "bob").send().await.unwrap();
        question().header("x-session-id", &session).send().await.unwrap();
        question().bearer_auth("a-wrong-secret").send().await.unwrap();
    }
    client.get(gateway.url("/sessions/current")).header("cookie", format!("sessionId={session}")).send().await.unwrap();
    gateway.terminate();
    gateway.ended(Duration::from_secs(10)).await;
    let log = gateway.log();
    let lines: Vec<_> = log.iter().filter_map(|line| line["message"].as_str()).collect();
    for client in ["key:web", "user:web:bob", "user:ann"] {
        let line = format!("Rate limit exceeded: {client} on /llm/generate (2/1)");
        assert!(lines.contains(&&*line), "{line}");
    }
    let log = format!("{log:?}");
    for secret in [KEY, "a-wrong-secret", &session, &session[..8]] {
        assert!(!log.contains(secret), "{secret}");
    }
}

/// A header in which proxies, or those who play one, write addresses.
fn forged() -> impl Strategy<Value = (&'static str, String)> {
    let names = ["x-forwarded-for", "cf-connecting-ip", "true-client-ip", "x-real-ip", "forwarded", "x-client-ip"];
    let entry = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<u128>().prop_map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        any::<(u32, u16)>().prop_map(|(ip, port)| format!("{}:{port}", std::net::Ipv4Addr::from(ip))),
        any::<u128>().prop_map(|ip| format!("for=\"[{}]\"", std::net::Ipv6Addr::from(ip))),
        "[ -~]{0,12}",
        select(vec![
            "",
            "unknown",
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "_hidden",
            "1.2.3.4]",
            "[[::1]]",
            "0x7f.1",
            "1.2.3"
        ])
        .prop_map(str::to_owned),
    ];
    (select(names.to_vec()), vec(entry, 0..4).prop_map(|entries| entries.join(", ")))
}

/// How many are left to who sends these headers over a connection from 9.9.9.9, which has asked once before.
async fn left(gateway: &Gateway, headers: &[(&'static str, String)], peer: &str) -> String {
    let mut request = post_from(peer, "/llm/generate", &json!({"prompt": "x", "model": "gpt-4o"}));
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    gateway.send(request).await.header("x-ratelimit-remaining").to_owned()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn nobody_gets_a_fresh_bucket_by_what_it_writes_itself(headers in vec(forged(), 0..5)) {
        run(async {
            let gateway = Gateway::start();
            assert_eq!(left(&gateway, &[], "9.9.9.9:1").await, "19");
            assert_eq!(left(&gateway, &headers, "9.9.9.9:2").await, "18", "{headers:?}");
        });
    }

    /// What a client writes stands before what the proxy adds, in the same header or in one of its own.
    #[test]
    fn behind_a_proxy_only_what_the_proxy_writes_counts(headers in vec(forged(), 0..5), joined in any::<bool>()) {
        for (source, name) in [
            ("RightmostXForwardedFor", "x-forwarded-for"),
            ("XForwardedFor", "x-forwarded-for"),
            ("CfConnectingIp", "cf-connecting-ip"),
            ("TrueClientIp", "true-client-ip"),
            ("XRealIp", "x-real-ip"),
        ] {
            let mut headers = headers.clone();
            let is_list = name == "x-forwarded-for";
            match headers.iter_mut().rfind(|(other, _)| *other == name) {
                // A proxy adds to the list that is there.
                Some((_, value)) if is_list && joined => value.push_str(", 1.2.3.4"),
                _ => headers.push((name, "1.2.3.4".to_owned())),
            }
            run(async {
                let gateway = Gateway::with([("CLIENT_IP_SOURCE", source)], Scripted::hello());
                assert_eq!(left(&gateway, &[(name, "1.2.3.4".to_owned())], "10.0.0.9:1").await, "19");
                assert_eq!(left(&gateway, &headers, "10.0.0.9:2").await, "18", "{source}: {headers:?}");
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_household_shares_a_bucket_and_its_neighbours_do_not() {
    let gateway = Gateway::with([("CLIENT_IP_SOURCE", "XForwardedFor")], Scripted::hello());
    let left = async |address: &str| left(&gateway, &[("x-forwarded-for", address.to_owned())], "10.0.0.9:1").await;
    assert_eq!(left("2001:db8:1:2::1").await, "19");
    assert_eq!(left("2001:db8:1:2:ffff::9").await, "18");
    assert_eq!(left("2001:db8:1:3::1").await, "19");
    assert_eq!(left("::ffff:1.2.3.4").await, "19");
    assert_eq!(left("1.2.3.4").await, "18");
}

#[tokio::test(start_paused = true)]
async fn who_promises_a_header_and_does_not_send_it_is_its_peer() {
    for source in ["RightmostXForwardedFor", "XForwardedFor", "CfConnectingIp", "TrueClientIp", "XRealIp"] {
        let gateway = Gateway::with([("CLIENT_IP_SOURCE", source)], Scripted::hello());
        assert_eq!(left(&gateway, &[], "10.0.0.9:1").await, "19");
        for garbage in ["", "unknown", "1.2.3", "for=1.2.3.4"] {
            let names = ["x-forwarded-for", "cf-connecting-ip", "true-client-ip", "x-real-ip"];
            let headers: Vec<_> = names.iter().map(|name| (*name, garbage.to_owned())).collect();
            assert_ne!(left(&gateway, &headers, "10.0.0.9:1").await, "19", "{source} {garbage}");
        }
    }
    let request = Request::get("/health").extension(ConnectInfo(std::net::SocketAddr::from(([1, 1, 1, 1], 1))));
    Gateway::start().send(request.body(Body::empty()).unwrap()).await.expect(200);
}

#[test]
fn keys_that_cannot_be_told_apart_stop_the_start() {
    for (keys, problem) in [
        ("web", "API_KEYS is not a key in entry 1"),
        ("web:", "API_KEYS is not a key in entry 1"),
        (":0123456789abcdef", "API_KEYS is not a key in entry 1"),
        ("web:0123456789abcdef:many", "API_KEYS is not a key in entry 1"),
        ("web:0123456789abcdef:1:2", "API_KEYS is not a key in entry 1"),
        ("a b:0123456789abcdef", "API_KEYS is not a key in entry 1"),
        (",", "API_KEYS names no key"),
        ("a:0123456789abcdef,b:0123456789abcdef", "API_KEYS repeats a secret in entry 2"),
        ("a:0123456789abcdef:5,a:fedcba9876543210", "API_KEYS gives `a` another rate in entry 2"),
        ("a:the-administrators-own", "ADMIN_TOKEN is one of API_KEYS"),
    ] {
        let output = Binary::command(&[("API_KEYS", keys), ("ADMIN_TOKEN", ADMIN)]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{keys}: {told}");
        assert!(told.starts_with(problem) && told.lines().count() == 1, "{keys}: {told}");
        assert!(!told.contains("0123456789abcdef") && !told.contains(ADMIN), "{told}");
    }
}

#[tokio::test]
async fn the_start_warns_where_everyone_would_be_one_client() {
    for (settings, warns) in [
        (&[("RENDER", "true")][..], true),
        (&[("RENDER", "true"), ("CLIENT_IP_SOURCE", "CfConnectingIp")], false),
        (&[], false),
    ] {
        let mut gateway = Binary::start(settings);
        gateway.terminate();
        gateway.ended(Duration::from_secs(10)).await;
        let told = json!(gateway.log()).to_string();
        assert_eq!(told.contains("this looks like Render"), warns, "{settings:?}: {told}");
    }
}
