//! What an administrator may see of the cache, and do with it.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use crate::support::{Gateway, Reply, Scripted, post, post_from};

const TOKEN: &str = "right";

fn gateway() -> Gateway {
    Gateway::with([("ADMIN_TOKEN", TOKEN)], Scripted::hello())
}

async fn delete(gateway: &Gateway, path: &str, token: &str) -> Reply {
    let request = Request::delete(path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
    gateway.send(request).await
}

async fn explain(gateway: &Gateway, body: &Value, directives: &str) -> Reply {
    let mut request = post("/llm/cache/explain", body);
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request.headers_mut().insert("cache-control", directives.parse().unwrap());
    gateway.send(request).await
}

#[tokio::test(start_paused = true)]
async fn only_the_administrator_may_and_without_a_token_there_is_no_such_route() {
    let (open, closed) = (gateway(), Gateway::start());
    let key = "/llm/cache/llm:cache:openai:gpt-4o:00";
    for path in ["/llm/cache", key] {
        delete(&open, path, TOKEN).await.expect(200);
        for wrong in ["", "wrong", "righ", "right2", "RIGHT"] {
            let refused = delete(&open, path, wrong).await;
            assert_eq!(refused.expect(401).header("www-authenticate"), "Bearer realm=\"llm-gateway administration\"");
        }
        assert_eq!(delete(&closed, path, "").await.expect(404).json()["error"], "Not found");
    }
    for scheme in ["Basic right", "right", "Bearer"] {
        let request = Request::delete("/llm/cache").header("authorization", scheme).body(Body::empty()).unwrap();
        open.send(request).await.expect(401);
    }
    let body = json!({"prompt": "x"});
    open.send(post("/llm/cache/explain", &body)).await.expect(401);
    closed.send(post("/llm/cache/explain", &body)).await.expect(404);
    open.get("/llm/cache/stats").await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_is_what_a_generation_meets() {
    let gateway = gateway();
    let body = json!({"prompt": "the secret question", "model": "GPT-4o", "temperature": 0.5, "streaming": true});
    let before = explain(&gateway, &body, "").await.expect(200).json();
    assert_eq!((&before["stored"], &before["cacheStatus"]), (&json!(false), &json!("llm-gateway; fwd=miss")));
    assert_eq!((before.get("age"), &before["lifetime"]), (None, &json!(3600)));
    assert_eq!(gateway.provider.calls(), 0);

    gateway.send(post("/llm/generate", &body)).await.expect(200);
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    let after = explain(&gateway, &body, "").await;
    assert!(!after.body.contains("secret question"), "{}", after.body);
    let after = after.json();
    assert_eq!(after["key"], before["key"]);
    assert_eq!((&after["stored"], &after["age"], &after["ttl"]), (&json!(true), &json!(60), &json!(3540)));
    for (directives, says) in [
        ("", "hit; ttl=3540"),
        ("no-cache", "fwd=request"),
        ("no-store", "fwd=bypass"),
        ("max-age=5", "fwd=request"),
        ("max-age=5, only-if-cached", "detail=only-if-cached"),
    ] {
        let explained = explain(&gateway, &body, directives).await.json();
        assert_eq!(explained["cacheStatus"], format!("llm-gateway; {says}"), "{directives}");
    }
    let fields = &after["fields"];
    assert_eq!((&fields["provider"], &fields["model"]), (&json!("openai"), &json!("gpt-4o")));
    assert_eq!((&fields["sampling"], &fields["caller"]), (&json!({"temperature": 0.5}), &Value::Null));
    let messages = fields["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[1]["role"], &messages[1]["bytes"]), (2, &json!("user"), &json!(19)));

    // It counts for nothing, and a bad body is refused as it is elsewhere.
    assert_eq!(gateway.get("/llm/cache/stats?detail=true").await.json()["requests"], 1);
    explain(&gateway, &json!({"prompt": ""}), "").await.expect(400);
    explain(&gateway, &json!({"prompt": "x", "model": "gpt-9"}), "").await.expect(422);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_may_be_for_another_caller() {
    let gateway = Gateway::with([("ADMIN_TOKEN", TOKEN), ("CACHE_SCOPE", "caller")], Scripted::hello());
    let body = json!({"prompt": "x", "model": "gpt-4o"});
    for peer in ["10.0.0.7:1", "[2001:db8:1:2::7]:1"] {
        gateway.send(post_from(peer, "/llm/generate", &body)).await.expect(200);
    }
    for (query, caller, stored) in [
        ("", "10.0.0.1", false),
        ("?caller=10.0.0.7", "10.0.0.7", true),
        ("?caller=+10.0.0.7+", "10.0.0.7", true),
        ("?caller=::ffff:10.0.0.7", "10.0.0.7", true),
        ("?caller=10.0.0.8", "10.0.0.8", false),
        ("?caller=2001:db8:1:2::8", "2001:db8:1:2::/64", true),
        ("?caller=2001:db8:1:2::/64", "2001:db8:1:2::/64", true),
        ("?caller=2001:db8:1:3::7", "2001:db8:1:3::/64", false),
        ("?caller=key:web", "key:web", false),
        ("?caller=user:web:ann", "user:web:ann", false),
    ] {
        let mut request = post(&format!("/llm/cache/explain{query}"), &body);
        request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        let explained = gateway.send(request).await.expect(200).json();
        let found = (&explained["fields"]["caller"], &explained["stored"]);
        assert_eq!(found, (&json!(caller), &json!(stored)), "{query}");
    }
    let mut request = post("/llm/cache/explain?caller=ann", &body);
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    assert_eq!(gateway.send(request).await.expect(400).json()["error"], "Not a caller");
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_fetched_anew() {
    let gateway = gateway();
    for prompt in ["x", "y", "z"] {
        gateway.generate(prompt).await.expect(200);
    }
    let key = explain(&gateway, &json!({"prompt": "x", "model": "gpt-4o"}), "").await.json()["key"].clone();
    let path = format!("/llm/cache/{}", key.as_str().unwrap());
    assert_eq!(delete(&gateway, &path, TOKEN).await.expect(200).body, r#"{"deleted":1}"#);
    assert_eq!(delete(&gateway, &path, TOKEN).await.expect(200).body, r#"{"deleted":0}"#);
    assert_eq!(gateway.generate("x").await.json()["cached"], false);
    assert_eq!(gateway.generate("y").await.json()["cached"], true);
    for elsewhere in ["session:00", "ratelimit:generate:1.2.3.4", "llm:stats:cache:hits", "*"] {
        delete(&gateway, &format!("/llm/cache/{elsewhere}"), TOKEN).await.expect(400);
    }
    assert_eq!(delete(&gateway, "/llm/cache/%FF", TOKEN).await.expect(400).json()["error"], "Bad Request");
    // A key that is missing is not all of them.
    delete(&gateway, "/llm/cache/", TOKEN).await.expect(404);
    assert_eq!(delete(&gateway, "/llm/cache", TOKEN).await.expect(200).body, r#"{"deleted":3}"#);
    assert_eq!(gateway.generate("y").await.json()["cached"], false);
}

#[tokio::test(start_paused = true)]
async fn the_statistics_tell_more_to_who_asks() {
    let gateway = Gateway::start();
    for prompt in ["x", "x", "y"] {
        gateway.generate(prompt).await.expect(200);
    }
    let plain = gateway.get("/llm/cache/stats").await;
    assert_eq!(plain.body, r#"{"hits":1,"misses":2,"hitRate":33.33,"estimatedSavings":"$0.01"}"#);
    for query in ["?detail=false", "?detail", "?x=detail", "?%"] {
        assert_eq!(gateway.get(&format!("/llm/cache/stats{query}")).await.body, plain.body, "{query}");
    }
    let detail = gateway.get("/llm/cache/stats?detail=true").await.json();
    let instance = &detail["instance"];
    assert_eq!((&instance["entries"], &instance["since"]), (&json!(2), &json!("2026-11-24T00:00:00Z")));
    assert!(instance["bytes"].as_u64().unwrap() > 300);
    let model = json!({"provider": "openai", "model": "gpt-4o", "hits": 1, "misses": 2, "joined": 0, "stale": 0,
        "bypassed": 0});
    assert_eq!(instance["models"], json!([model]));
}
