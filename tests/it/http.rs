//! Routes, errors, origins, ids: what every client of HTTP meets.

use std::{convert::Infallible, io::Read, pin::pin, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Method, Request},
};
use flate2::{
    Compression,
    read::{GzEncoder, ZlibEncoder},
};
use futures_util::{Stream, StreamExt as _, stream};
use llm_gateway::generate::ErrorKind;
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Gateway, Scripted, post};

/// A generation whose body comes piece by piece.
fn sending(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Request<Body> {
    let body = Body::from_stream(pieces.map(Ok::<_, Infallible>));
    Request::post("/llm/generate").header("content-type", "application/json").body(body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn health_is_ok_exactly() {
    let gateway = Gateway::start();
    let reply = gateway.get("/health").await;
    assert_eq!(reply.expect(200).body, r#"{"status":"ok"}"#);
    let head = Request::builder().method(Method::HEAD).uri("/health").body(Body::empty()).unwrap();
    assert_eq!(gateway.send(head).await.expect(200).body, "");
}

#[tokio::test(start_paused = true)]
async fn every_error_is_json_with_the_requests_id() {
    let gateway = Gateway::with([("BODY_LIMIT_KB", "1")], Scripted::hello());
    let request = |method: Method, path: &str, content_type: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        request.body(Body::from(body.to_owned())).unwrap()
    };
    let large = format!("{{\"prompt\":\"{}\"}}", "x".repeat(2_000));
    let encoded = {
        let mut request = request(Method::POST, "/llm/generate", "application/json", "{}");
        request.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
        request
    };
    let promised = {
        let mut request = request(Method::POST, "/llm/generate", "application/json", "");
        request.headers_mut().insert("content-length", "1025".parse().unwrap());
        request
    };
    // As many as there are fields.
    let list = json!(["x", "gpt-4o", null, null, null, null, null, null, null, null, null]).to_string();
    for (name, request, status) in [
        ("unknown path", request(Method::GET, "/nope", "", ""), 404),
        ("longer by its own word", promised, 413),
        ("no object", request(Method::POST, "/llm/generate", "application/json", &list), 400),
        ("wrong method", request(Method::PUT, "/llm/generate", "", ""), 405),
        ("too large", request(Method::POST, "/llm/generate", "application/json", &large), 413),
        ("not JSON by its type", request(Method::POST, "/llm/generate", "text/plain", "{}"), 415),
        ("unknown encoding", encoded, 415),
        ("malformed", request(Method::POST, "/llm/generate", "application/json", "{"), 400),
    ] {
        let reply = gateway.send(request).await;
        let body = reply.expect(status).json();
        assert!(body["error"].is_string(), "{name}");
        assert_eq!(reply.header("content-type"), "application/json", "{name}");
        assert_eq!(body["requestId"], reply.header("x-request-id"), "{name}");
        assert_eq!(reply.header("x-request-id").len(), 36, "{name}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{name}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{name}");
        if status == 405 {
            assert_eq!(reply.header("allow"), "POST");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_is_read_and_its_limit_is_that_of_what_it_holds() {
    let gateway = Gateway::with([("BODY_LIMIT_KB", "1")], Scripted::hello());
    let gzip = |body: &[u8]| whole(GzEncoder::new(body, Compression::default()));
    let zlib = |body: &[u8]| whole(ZlibEncoder::new(body, Compression::default()));
    let codings: [(&str, Pack); 5] =
        [("gzip", gzip), ("X-GZip", gzip), ("deflate", zlib), ("Deflate", zlib), ("Identity", <[u8]>::to_vec)];
    for (coding, pack) in codings {
        for (length, status) in [(1, 200), (100_000, 413)] {
            let body = json!({"prompt": "x".repeat(length), "model": "gpt-4o"}).to_string();
            let request = Request::post("/llm/generate")
                .header("content-type", "application/json")
                .header("content-encoding", coding)
                .body(Body::from(pack(body.as_bytes())))
                .unwrap();
            assert_eq!(gateway.send(request).await.status.as_u16(), status, "{coding} {length}");
        }
    }
}

/// Makes of a body what is sent.
type Pack = fn(&[u8]) -> Vec<u8>;

fn whole(mut reader: impl Read) -> Vec<u8> {
    let mut whole = Vec::new();
    reader.read_to_end(&mut whole).unwrap();
    whole
}

#[tokio::test(start_paused = true)]
async fn a_page_of_an_allowed_origin_may_read_answers_and_refusals() {
    let origins = "https://app.example.com/, http://localhost:3000, https://shop-*-team.vercel.app";
    let gateway = Gateway::with([("FRONTEND_URL", origins), ("RATE_LIMIT_MAX", "1")], Scripted::hello());
    let from = |origin: &str| {
        let mut request = post("/llm/generate", &json!({"prompt": "x", "model": "gpt-4o"}));
        request.headers_mut().insert("origin", origin.parse().unwrap());
        request
    };
    for (status, origin) in [(200, "https://app.example.com"), (429, "https://shop-git-x-team.vercel.app")] {
        let reply = gateway.send(from(origin)).await;
        assert_eq!(reply.expect(status).header("access-control-allow-origin"), origin);
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
        let exposed = reply.header("access-control-expose-headers");
        for header in ["x-ratelimit-remaining", "retry-after", "cache-status", "x-request-id", "age", "ratelimit"] {
            assert!(exposed.contains(header), "{header} in {exposed}");
        }
        assert!(reply.header("vary").contains("origin"));
    }
    for origin in ["https://evil.example.com", "https://app.example.com.evil.com", "null", "http://app.example.com"] {
        let reply = gateway.send(from(origin)).await;
        assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(reply.header("access-control-allow-credentials"), "", "{origin}");
    }
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("/llm/generate")
        .header("origin", "http://localhost:3000")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-session-id")
        .body(Body::empty())
        .unwrap();
    let reply = gateway.send(preflight).await;
    assert!(reply.expect(204).body.is_empty());
    assert_eq!(reply.header("access-control-allow-origin"), "http://localhost:3000");
    assert_eq!(reply.header("access-control-allow-headers"), "content-type,x-session-id");
    assert_eq!(reply.header("access-control-allow-methods"), "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert_eq!(reply.header("access-control-max-age"), "600");
    let plain = Request::builder().method(Method::OPTIONS).uri("/llm/generate").body(Body::empty()).unwrap();
    assert_eq!(gateway.send(plain).await.expect(405).header("allow"), "POST");
}

#[tokio::test(start_paused = true)]
async fn a_page_may_read_every_kind_of_refusal() {
    let settings = [("API_KEYS", "web:0123456789abcdef"), ("BODY_LIMIT_KB", "1"), ("PROVIDER_RETRIES", "0")];
    let (key, large) = ("Bearer 0123456789abcdef", "x".repeat(2_000));
    for (status, kind, key, prompt) in [
        (401, ErrorKind::ServerError, "", "x"),
        (413, ErrorKind::ServerError, key, &*large),
        (429, ErrorKind::RateLimited, key, "x"),
        (500, ErrorKind::Internal, key, "x"),
        (502, ErrorKind::ServerError, key, "x"),
        (503, ErrorKind::Overloaded, key, "x"),
        (504, ErrorKind::Timeout, key, "x"),
    ] {
        let gateway = Gateway::with(settings, Scripted::failing(kind));
        let mut request = post("/llm/generate", &json!({"prompt": prompt, "model": "gpt-4o", "allowFailover": false}));
        request.headers_mut().insert("origin", "http://localhost:3000".parse().unwrap());
        request.headers_mut().insert("authorization", key.parse().unwrap());
        let reply = gateway.send(request).await;
        assert_eq!(reply.expect(status).header("access-control-allow-origin"), "http://localhost:3000");
        assert!(reply.header("access-control-expose-headers").contains("retry-after"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sane_id_comes_back_and_another_does_not() {
    let gateway = Gateway::start();
    let ask = async |id: &str| {
        let mut request = Request::get("/health").body(Body::empty()).unwrap();
        request.headers_mut().insert("x-request-id", id.parse().unwrap());
        gateway.send(request).await.header("x-request-id").to_owned()
    };
    assert_eq!(ask("req-1-abc").await, "req-1-abc");
    assert_eq!(ask(&"x".repeat(3_000)).await.len(), 36);
}

#[tokio::test(start_paused = true)]
async fn paths_do_not_mind_a_trailing_slash_or_case() {
    let gateway = Gateway::start();
    for path in ["/health/", "/llm/models/", "/LLM/Cache/stats", "/llm/providers?x=1"] {
        gateway.get(path).await.expect(200);
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_room_there_is_is_turned_away_but_health_is_not() {
    let gateway = Gateway::with([("MAX_IN_FLIGHT", "1")], Scripted::slow(Duration::from_secs(1)));
    let mut stream = gateway.stream("x").await;
    stream.until("executing").await;
    let reply = gateway.generate("y").await;
    assert_eq!(reply.expect(503).header("retry-after"), "1");
    assert_eq!(reply.header("x-ratelimit-limit"), "", "what is shed is not counted");
    gateway.get("/health").await.expect(200);
    stream.finish().await;
    gateway.generate("y").await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_takes_nobodys_place() {
    let gateway = Gateway::with([("MAX_IN_FLIGHT", "1")], Scripted::hello());
    let mut never = pin!(gateway.send(sending(stream::pending())));
    tokio::select! {
        biased;
        reply = &mut never => panic!("{reply:?}"),
        reply = gateway.generate("x") => drop(reply.expect(200)),
    }
    assert_eq!(never.await.expect(408).json()["error"], "The body did not come in time");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_when_all_places_are_taken_is_turned_away() {
    let gateway = Gateway::with([("MAX_IN_FLIGHT", "1")], Scripted::slow(Duration::from_secs(1)));
    let body = json!({"prompt": "x", "model": "gpt-4o"}).to_string();
    let late = stream::once(async {
        sleep(Duration::from_millis(500)).await;
        Bytes::from(body)
    });
    let (late, first) = tokio::join!(gateway.send(sending(late)), gateway.generate("y"));
    first.expect(200);
    assert_eq!(late.expect(503).header("retry-after"), "1");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_stall_just_short_of_their_limit_hold_no_more_than_all_may() {
    let gateway = Gateway::with([("BODY_LIMIT_KB", "65536"), ("RATE_LIMIT_MAX", "0")], Scripted::hello());
    // No JSON: that they were read whole shows in that they are refused as such.
    let megabytes = stream::iter(vec![Bytes::from(vec![b'x'; 1 << 20]); 63]);
    let stalling = || gateway.send(sending(megabytes.clone().chain(stream::pending())));
    let long = || gateway.send(sending(megabytes.clone()));

    let mut two = pin!(async { tokio::join!(stalling(), stalling()) });
    tokio::select! {
        biased;
        replies = &mut two => panic!("{replies:?}"),
        () = async {
            let third = stalling().await;
            assert_eq!(third.expect(503).header("retry-after"), "1");
            assert_eq!(third.json()["message"], "Too much is being sent to it. Try again in a moment.");
            long().await.expect(503);
            gateway.generate("who asks an ordinary question").await.expect(200);
        } => {}
    }
    let (one, other) = two.await;
    one.expect(408);
    other.expect(408);
    for _ in 0..3 {
        long().await.expect(400);
    }
}

#[tokio::test(start_paused = true)]
async fn lists_have_the_originals_form() {
    let gateway = Gateway::start();
    let models = gateway.get("/llm/models").await.expect(200).json();
    let names: Vec<_> = models["providers"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["OpenAI", "Anthropic", "Google AI", "Ollama (Local)", "xAI"]);
    let model = &models["providers"][0]["models"]["gpt-4o"];
    assert_eq!(model["name"], "GPT-4o");
    assert_eq!(model["inputCostPer1k"], 0.0025);
    for field in ["contextWindow", "maxTokens", "outputCostPer1k", "capabilities", "strengths", "routing", "limits"] {
        assert!(!model[field].is_null(), "{field}");
    }
    assert_eq!(models["routingModes"]["cost-aware"]["selection"], "cost-optimization");
    assert_eq!(models["usageStats"]["totalRequests"], 0);

    gateway.generate("x").await.expect(200);
    let usage = gateway.get("/llm/models").await.json()["usageStats"].clone();
    assert_eq!(
        usage,
        json!({"totalRequests": 1, "totalCost": 0.0075, "totalInputTokens": 1000, "totalOutputTokens": 500, "averageCostPerRequest": 0.0075})
    );

    let providers = gateway.get("/llm/providers").await.expect(200).json();
    assert_eq!(providers["providerStatuses"][0]["name"], "openai");
    assert_eq!(providers["providerStatuses"][0]["status"]["available"], true);
    assert_eq!(providers["allModels"][0]["provider"], "openai");
    assert!(providers["allModels"][0]["models"].as_array().unwrap().contains(&json!("gpt-4o")));
    let nobody = Gateway::configured([("NODE_ENV", "production")]).get("/llm/providers").await.json();
    assert_eq!((&nobody["providerStatuses"], &nobody["allModels"]), (&json!([]), &json!([])));
}
