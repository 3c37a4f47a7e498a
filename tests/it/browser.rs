//! Pages of other sites in a real Chromium, over TLS: what it makes of the gateway's headers and cookies.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, response::Html};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Binary, Browser, Certificate, Seen};

const PATIENCE: Duration = Duration::from_secs(60);

/// Three sites, each of its own to a browser, and a browser.
struct Web {
    browser: Browser,
    gateway: Binary,
    /// Where the gateway is.
    api: String,
    /// The origin of a page that `FRONTEND_URL` lists.
    listed: String,
    /// And of one that it does not.
    unlisted: String,
}

impl Web {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let certificate = Certificate::of(["app.frontend.test", "evil.other.test", "gateway.backend.test"]);
        let port = certificate.in_front_of(serve_pages().await).await;
        let listed = format!("https://app.frontend.test:{port}");
        let gateway = Binary::start(&[settings, &[("FRONTEND_URL", &listed)]].concat());
        let api = format!("https://gateway.backend.test:{}", certificate.in_front_of(gateway.address).await);
        let browser = Browser::start(&certificate).await;
        Self { browser, gateway, api, listed, unlisted: format!("https://evil.other.test:{port}") }
    }

    /// What the page that is open gets from the gateway.
    async fn fetch(&self, path: &str, init: Value) -> Result<Seen, String> {
        self.browser.fetch(&format!("{}{path}", self.api), init).await
    }

    /// What reached the gateway and how it was answered, by its log. Ends the gateway.
    async fn log(&mut self) -> Vec<String> {
        self.gateway.terminate();
        self.gateway.ended(PATIENCE).await;
        let log = self.gateway.log();
        let requests = log.iter().filter(|line| line["method"].is_string());
        let told = |line: &Value, name: &str| line[name].to_string().replace('"', "");
        requests.map(|line| ["method", "path", "status"].map(|name| told(line, name)).join(" ")).collect()
    }
}

/// A page with nothing on it, at every path.
async fn serve_pages() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pages = Router::new().fallback(|| async { Html("<!doctype html><title>A page</title>") });
    tokio::spawn(async move { axum::serve(listener, pages).await });
    address
}

/// `fetch`'s second argument for a generation. Its type is none that a form has, so the browser asks beforehand.
fn generation(model: &str, streaming: bool) -> Value {
    let body = json!({"prompt": "Create a login form", "model": model, "streaming": streaming});
    json!({"method": "POST", "headers": {"content-type": "application/json"}, "body": body.to_string()})
}

#[tokio::test]
async fn a_page_on_another_site_generates_streams_and_reads_its_limit() {
    // A window that does not end meanwhile.
    let web = Web::start(&[("RATE_LIMIT_MAX", "2"), ("RATE_LIMIT_WINDOW_SECONDS", "3600")]).await;
    web.browser.open(&web.listed).await;

    let Seen { reply, .. } = web.fetch("/llm/generate", generation("gpt-4o", false)).await.unwrap();
    assert_ne!(reply.expect(200).json()["code"].as_str().unwrap(), "");
    assert_eq!((reply.header("x-ratelimit-limit"), reply.header("x-ratelimit-remaining")), ("2", "1"));
    for header in ["x-ratelimit-reset", "cache-status", "x-request-id"] {
        assert_ne!(reply.header(header), "", "{header}");
    }

    // It thinks for three seconds, before which the stream has begun.
    let Seen { reply, reads } = web.fetch("/llm/generate", generation("demo:slow", true)).await.unwrap();
    assert!(reads.len() > 1 && !reads[0].contains("COMPLETE"), "{reads:?}");
    let last = reply.expect(200).last();
    assert_eq!(last["type"], "COMPLETE");
    assert_eq!(last["code"], reply.deltas());
    assert_ne!(reply.deltas(), "");

    let Seen { reply, .. } = web.fetch("/llm/generate", generation("gpt-4o", false)).await.unwrap();
    assert!(reply.expect(429).json()["error"].is_string());
    assert_eq!(reply.header("x-ratelimit-remaining"), "0");
    assert!((1..=3_600).contains(&reply.header("retry-after").parse().unwrap()));
}

#[tokio::test]
async fn a_page_that_is_not_listed_is_refused() {
    let mut web = Web::start(&[]).await;
    web.browser.open(&web.unlisted).await;
    assert_eq!(web.fetch("/llm/generate", generation("gpt-4o", false)).await.unwrap_err(), "TypeError");
    assert_eq!(web.fetch("/llm/models", json!({})).await.unwrap_err(), "TypeError");
    // It would hear the same if the gateway could not be reached, but another page reaches it.
    web.browser.open(&web.listed).await;
    web.fetch("/llm/models", json!({})).await.unwrap().reply.expect(200);
    // Of the generation, no more than the question whether it may be asked for has come.
    let log = ["OPTIONS /llm/generate 204", "GET /llm/models 200", "GET /llm/models 200"];
    assert_eq!(web.log().await, log);
}

#[tokio::test]
async fn a_session_lives_in_a_cookie_that_other_sites_cannot_use() {
    let settings = [("API_KEYS", "web:0123456789abcdef0123456789abcdef"), ("SESSION_SAME_SITE", "none")];
    let mut web = Web::start(&settings).await;
    web.browser.open(&web.listed).await;
    let cookies = json!({"credentials": "include"});

    let opening = json!({
        "method": "POST",
        "credentials": "include",
        "headers": {
            "authorization": "Bearer 0123456789abcdef0123456789abcdef",
            "content-type": "application/json",
        },
        "body": r#"{"userId":"ann"}"#,
    });
    let opened = web.fetch("/sessions", opening).await.unwrap().reply;
    assert!(opened.expect(201).json()["sessionId"].is_string() && !opened.json()["expiresAt"].is_null());
    let current = web.fetch("/sessions/current", cookies.clone()).await.unwrap().reply;
    assert_eq!(current.expect(200).json()["userId"], "ann");

    // The session lets it in. Without one it hears why not.
    let mut post = generation("gpt-4o", false);
    let refused = web.fetch("/llm/generate", post.clone()).await.unwrap().reply;
    assert!(refused.expect(401).json()["error"].is_string());
    post["credentials"] = "include".into();
    web.fetch("/llm/generate", post.clone()).await.unwrap().reply.expect(200);

    // No script reads the cookie, not even one of the gateway's own site.
    web.browser.open(&format!("{}/health", web.api)).await;
    assert_eq!(web.browser.evaluate("document.cookie").await, "");

    // Another site's page may send what a form could, with the cookie; what comes of it, only the log knows.
    web.browser.open(&web.unlisted).await;
    let form = json!({"method": "POST", "mode": "no-cors", "credentials": "include", "body": post["body"]});
    let form = format!("fetch('{}/llm/generate', {form}).then(reply => reply.type)", web.api);
    assert_eq!(web.browser.evaluate(&form).await, "opaque");

    web.browser.open(&web.listed).await;
    let closing = json!({"method": "DELETE", "credentials": "include"});
    web.fetch("/sessions/current", closing).await.unwrap().reply.expect(200);
    web.fetch("/sessions/current", cookies).await.unwrap().reply.expect(404);

    let log = web.log().await;
    let generations: Vec<_> = log.iter().filter_map(|line| line.strip_prefix("POST /llm/generate ")).collect();
    assert_eq!(generations[..2], ["401", "200"], "{log:?}");
    assert!(generations.len() == 3 && generations[2].starts_with('4'), "{log:?}");
}
