//! How each vendor is asked for vectors, over a real socket: what is sent, and what is made of the reply.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use llm_gateway::{
    client::client,
    embed::{EmbedRequest, Input},
    generate::{ErrorKind, Policy, Target},
    providers::{Anthropic, Provider as _, Upstream},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

use crate::support::{Gateway, Reply, post};

/// A vendor that gives the same reply to every call, and remembers what it was sent.
struct Vendor {
    url: String,
    seen: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
}

#[derive(Clone)]
struct Script {
    status: u16,
    reply: Arc<dyn Fn(&Value) -> Value + Send + Sync>,
    seen: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
}

async fn answer(State(script): State<Script>, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = (script.reply)(&body);
    script.seen.lock().unwrap().push((uri.path().to_owned(), headers, body));
    (StatusCode::from_u16(script.status).unwrap(), axum::Json(reply))
}

impl Vendor {
    async fn start(status: u16, reply: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Script { status, reply: Arc::new(reply), seen: Arc::clone(&seen) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(async move {
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
                });
            }
        });
        Self { url, seen }
    }

    /// Path and body of every call.
    fn calls(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap().iter().map(|(path, _, body)| (path.clone(), body.clone())).collect()
    }

    fn header(&self, name: &str) -> String {
        let seen = self.seen.lock().unwrap();
        seen[0].1.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

async fn ask(gateway: &Gateway, body: Value) -> Reply {
    gateway.send(post("/v1/embeddings", &body)).await
}

fn vectors(reply: &Reply) -> Value {
    let json = reply.expect(200).json();
    json["data"].as_array().unwrap().iter().map(|item| item["embedding"].clone()).collect()
}

fn base64(numbers: &[f32]) -> String {
    BASE64_STANDARD.encode(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
}

#[tokio::test]
async fn openai_is_asked_for_base64_and_its_order_is_its_indices() {
    let vendor = Vendor::start(200, |_| {
        json!({"object": "list", "data": [
            {"object": "embedding", "index": 1, "embedding": base64(&[0.25, -1.5])},
            {"object": "embedding", "index": 0, "embedding": base64(&[1.0, 2.0])},
        ], "model": "x", "usage": {"prompt_tokens": 9, "total_tokens": 9}})
    })
    .await;
    let base_url = format!("{}/v1", vendor.url);
    let gateway = Gateway::configured([("OPENAI_API_KEY", "sk-secret"), ("OPENAI_BASE_URL", base_url.as_str())]);
    let reply = ask(&gateway, json!({"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 2})).await;
    assert_eq!(vectors(&reply), json!([[1.0, 2.0], [0.25, -1.5]]));
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 9);
    let expected =
        json!({"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 2, "encoding_format": "base64"});
    assert_eq!(vendor.calls(), [("/v1/embeddings".to_owned(), expected)]);
    assert_eq!(vendor.header("authorization"), "Bearer sk-secret");
    // Tokens go as they are.
    ask(&gateway, json!({"model": "openai:text-embedding-3-large", "input": [[5, 6], [7]]})).await.expect(200);
    let expected = json!({"model": "text-embedding-3-large", "input": [[5, 6], [7]], "encoding_format": "base64"});
    assert_eq!(vendor.calls()[1].1, expected);
}

#[tokio::test]
async fn openai_is_sent_no_more_at_once_than_it_takes_and_its_reply_may_hold() {
    let vendor = Vendor::start(200, |body| {
        let count = body["input"].as_array().unwrap().len();
        let vectors = (1..=u16::MAX).map(|number| base64(&[f32::from(number)]));
        let data: Value =
            (0..count).zip(vectors).map(|(at, vector)| json!({"index": at, "embedding": vector})).collect();
        json!({"data": data, "usage": {"prompt_tokens": count, "total_tokens": count}})
    })
    .await;
    let base_url = format!("{}/v1", vendor.url);
    let gateway = Gateway::configured([("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", base_url.as_str())]);
    let texts: Vec<String> = (0..2_048).map(|at| at.to_string()).collect();
    let reply = ask(&gateway, json!({"model": "text-embedding-3-small", "input": texts})).await;
    let vectors = vectors(&reply);
    assert_eq!(
        (vectors.as_array().unwrap().len(), &vectors[1_023], &vectors[1_024]),
        (2_048, &json!([1_024.0]), &json!([1.0]))
    );
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 2_048);
    // 290 texts of 1,000 bytes are 290,000 tokens at most, wrapping apart.
    let long: Vec<String> = (0..400).map(|at| format!("{at:01000}")).collect();
    ask(&gateway, json!({"model": "text-embedding-3-small", "input": long})).await.expect(200);
    let sizes: Vec<_> = vendor.calls().iter().map(|(_, body)| body["input"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [1_024, 1_024, 298, 102]);
}

#[tokio::test]
async fn compatible_servers_and_xai_are_asked_in_openais_form() {
    let vendor = Vendor::start(200, |_| json!({"data": [{"embedding": [0.5, 0.125]}]})).await;
    let base_url = format!("{}/v1", vendor.url);
    let gateway = Gateway::configured([
        ("COMPATIBLE_LOCAL_BASE_URL", base_url.as_str()),
        ("XAI_API_KEY", "k"),
        ("XAI_BASE_URL", base_url.as_str()),
    ]);
    for (model, input) in
        [("local:BAAI/bge-m3", json!("hello")), ("bge-m3", json!([1, 2])), ("xai/embed-1", json!(["x"]))]
    {
        let reply = ask(&gateway, json!({"model": model, "input": input})).await;
        assert_eq!(vectors(&reply), json!([[0.5, 0.125]]), "{model}");
        assert!(
            reply.json()["usage"]["prompt_tokens"].as_u64().unwrap() > 0,
            "{model}: nobody counted, so it is guessed"
        );
    }
    let asked = vendor.calls();
    assert_eq!(asked[0].1, json!({"model": "BAAI/bge-m3", "input": ["hello"], "encoding_format": "float"}));
    assert_eq!(asked[1].1, json!({"model": "bge-m3", "input": [[1, 2]], "encoding_format": "float"}));
    assert_eq!(asked[2].1["model"], "embed-1");
}

#[tokio::test]
async fn gemini_is_asked_a_hundred_at_a_time() {
    let vendor = Vendor::start(200, |body| {
        let texts = body["requests"].as_array().unwrap().iter().map(|one| &one["content"]["parts"][0]["text"]);
        let number = |text: &Value| text.as_str().unwrap().parse::<f32>().unwrap();
        json!({"embeddings": texts.map(|text| json!({"values": [number(text), 1.0]})).collect::<Value>()})
    })
    .await;
    let gateway = Gateway::configured([("GOOGLE_API_KEY", "g-secret"), ("GOOGLE_BASE_URL", vendor.url.as_str())]);
    let texts: Vec<String> = (0..150).map(|at| at.to_string()).collect();
    let body = json!({"model": "google/gemini-embedding-001", "input": texts, "dimensions": 2});
    let reply = ask(&gateway, body).await;
    assert_eq!(vectors(&reply)[149], json!([149.0, 1.0]));
    // A token each, by a guess: nobody counts.
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 150);
    let asked = vendor.calls();
    assert_eq!((asked.len(), asked[1].1["requests"].as_array().unwrap().len()), (2, 50));
    assert_eq!(asked[0].0, "/v1/models/gemini-embedding-001:batchEmbedContents");
    let first = json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "0"}]}, "outputDimensionality": 2});
    assert_eq!(asked[0].1["requests"][0], first);
    assert_eq!(vendor.header("x-goog-api-key"), "g-secret");
    // It knows no tokens but its own.
    let refused = ask(&gateway, json!({"model": "gemini-embedding-001", "input": [1, 2]})).await;
    let error = &refused.expect(400).json()["error"];
    assert_eq!(error["param"], "input");
    assert!(error["message"].as_str().unwrap().contains("takes no tokens"), "{error}");
    assert_eq!(vendor.calls().len(), 2);
}

#[tokio::test]
async fn ollama_is_asked_in_its_own_form_and_cuts_nothing_off() {
    let vendor =
        Vendor::start(200, |_| json!({"model": "m", "embeddings": [[0.5], [1.5]], "prompt_eval_count": 6})).await;
    let gateway = Gateway::configured([("OLLAMA_BASE_URL", vendor.url.as_str())]);
    let reply = ask(&gateway, json!({"model": "nomic-embed-text", "input": ["a", "b"], "dimensions": 1})).await;
    assert_eq!((vectors(&reply), reply.json()["usage"]["total_tokens"].as_u64()), (json!([[0.5], [1.5]]), Some(6)));
    let expected = json!({"model": "nomic-embed-text", "input": ["a", "b"], "dimensions": 1, "truncate": false});
    assert_eq!(vendor.calls(), [("/api/embed".to_owned(), expected)]);
}

#[tokio::test]
async fn anthropic_has_none_and_is_not_asked() {
    let vendor = Vendor::start(200, |_| json!({})).await;
    let gateway = Gateway::configured([("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", vendor.url.as_str())]);
    let refused = ask(&gateway, json!({"model": "anthropic/claude-opus-5", "input": "x"})).await;
    assert!(refused.expect(400).body.contains("Anthropic has no embeddings"), "{}", refused.body);
    ask(&gateway, json!({"model": "text-embedding-9", "input": "x"})).await.expect(404);
    let provider = Upstream::new(Anthropic, client(None).unwrap(), &vendor.url, None);
    let request = EmbedRequest {
        target: Target { provider: "anthropic".into(), model: "claude-opus-5".into() },
        inputs: vec![Input::Text("x".into())],
        dimensions: None,
        policy: Policy::default(),
        private_to: None,
        lookup_time: Duration::ZERO,
        begun: Instant::now(),
    };
    let refused = provider.embed(&request, &request.inputs).await.err().unwrap();
    assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some("model")));
    assert!(provider.embeds().is_none());
    assert_eq!(vendor.calls(), []);
}

#[tokio::test]
async fn what_a_vendor_gives_is_checked() {
    for data in [
        json!([]),
        json!([{"index": 0, "embedding": [1.0]}]),
        json!([{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]),
        json!([{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]),
        json!([{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]),
        json!([{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1e300]}]),
        json!("no list"),
    ] {
        let body = json!({"data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}});
        let vendor = Vendor::start(200, move |_| body.clone()).await;
        let base_url = format!("{}/v1", vendor.url);
        let settings = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", base_url.as_str()), ("PROVIDER_RETRIES", "0")];
        let gateway = Gateway::configured(settings);
        let reply = ask(&gateway, json!({"model": "text-embedding-3-small", "input": ["a", "b"]})).await;
        assert!(reply.expect(502).body.contains("could not be understood"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_vendors_refusal_keeps_its_meaning() {
    let openai = |message: &str, code: &str| json!({"error": {"message": message, "type": "invalid_request_error", "code": code}});
    for (status, body, expected, says) in [
        (400, openai("maximum context length is 8192 tokens", "context_length_exceeded"), 400, "too long"),
        (404, openai("The model does not exist", "model_not_found"), 404, "does not have this model"),
        (401, openai("Incorrect API key provided: k", "invalid_api_key"), 502, "does not accept"),
        (429, openai("You exceeded your current quota", "insufficient_quota"), 502, "exhausted"),
    ] {
        let vendor = Vendor::start(status, move |_| body.clone()).await;
        let base_url = format!("{}/v1", vendor.url);
        let gateway = Gateway::configured([("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", base_url.as_str())]);
        let reply = ask(&gateway, json!({"model": "text-embedding-3-small", "input": "a"})).await;
        assert!(reply.expect(expected).body.contains(says), "{}", reply.body);
        assert_eq!(vendor.calls().len(), 1);
    }
}

#[tokio::test]
async fn vectors_that_cannot_be_compared_are_no_answer_and_are_forgotten() {
    // The first text has another length than all that come later: another model has taken its name.
    let vendor = Vendor::start(200, |body| {
        let texts = body["input"].as_array().unwrap();
        let length = if texts[0] == "old" && texts.len() == 1 { 3 } else { 2 };
        let data = (0..texts.len()).map(|at| json!({"index": at, "embedding": vec![0.5; length]}));
        json!({"data": data.collect::<Vec<_>>(), "usage": {"prompt_tokens": 2}})
    })
    .await;
    let address = ("COMPATIBLE_LOCAL_BASE_URL", vendor.url.as_str());
    let gateway = Gateway::configured([address, ("PROVIDER_RETRIES", "0")]);
    let input = |texts: Value| json!({"model": "local/any", "input": texts});
    assert_eq!(vectors(&ask(&gateway, input(json!(["old"]))).await)[0].as_array().unwrap().len(), 3);
    let mixed = ask(&gateway, input(json!(["old", "new"]))).await;
    assert_eq!(mixed.expect(502).json()["error"]["code"], "bad_upstream_response");
    tokio::task::yield_now().await;
    let anew = vectors(&ask(&gateway, input(json!(["old", "new"]))).await);
    assert!(anew.as_array().unwrap().iter().all(|vector| vector.as_array().unwrap().len() == 2), "{anew}");
    let other = json!({"model": "local/any", "input": "x", "dimensions": 5});
    ask(&gateway, other).await.expect(502);
}
