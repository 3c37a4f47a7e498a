//! The binary between the emulated old backend and a gateway as a process of its own.

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::old_backend::OldBackend;
use crate::support::Binary;

const SAMPLE: &str = include_str!("../../../docs/compare.jsonl");

/// A provider that answers by the prompt as the old backend's does.
pub(super) async fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().fallback(async |Json(question): Json<Value>| said(&question));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn said(question: &Value) -> Response {
    let prompt = question["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
    let text = match prompt.as_str() {
        prompt if prompt.contains("fail") => {
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": {"message": "boom"}}))).into_response();
        }
        prompt if prompt.contains("empty") => "",
        prompt if prompt.contains("JSON") => r#"{"answer":42}"#,
        _ => "```tsx\n// src/Other.tsx\nexport const Other = () => null;\n```",
    };
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18});
    if question["stream"] != true {
        let choice = json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
        return Json(json!({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}))
            .into_response();
    }
    let chunk =
        |delta: Value, finish: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let chunks = [
        chunk(json!({"role": "assistant", "content": text}), Value::Null),
        chunk(json!({}), json!("stop")),
        json!({"choices": [], "usage": usage}),
    ];
    let body =
        chunks.iter().fold(String::new(), |body, chunk| body + &format!("data: {chunk}\n\n")) + "data: [DONE]\n\n";
    ([("content-type", "text/event-stream")], body).into_response()
}

/// A gateway in front of such a provider.
pub(super) async fn gateway(settings: &[(&str, &str)]) -> Binary {
    let url = provider().await;
    let own = [("OPENAI_API_KEY", "sk-1"), ("OPENAI_BASE_URL", url.as_str()), ("PROVIDER_RETRIES", "0")];
    let settings: Vec<_> = own.iter().chain(settings).copied().collect();
    tokio::task::block_in_place(|| Binary::start(&settings))
}

/// Exit status, and what is said on both ways.
pub(super) async fn compare(old: &str, new: &str, requests: &str, arguments: &[&str]) -> (i32, String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), requests).unwrap();
    let mut command = Binary::command(&[("PORT", "not read")]);
    command.args(["compare", "--old", old, "--new", new, "--requests"]).arg(file.path()).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The outcomes by their requests.
fn outcomes(report: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(report).unwrap();
    let of = |request: &Value| {
        (request["name"].as_str().unwrap().to_owned(), request["outcome"].as_str().unwrap().to_owned())
    };
    report["requests"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_every_kind_have_no_difference() {
    let (old, new) = (OldBackend::start(20).await, gateway(&[]).await);
    let (code, said, complained) = compare(&old.url, &new.url(""), SAMPLE, &[]).await;
    assert_eq!((code, complained.as_str()), (0, ""), "{said}");
    let sent = SAMPLE.lines().filter(|line| line.starts_with('{')).count();
    let last = said.lines().last().unwrap();
    assert!(last.starts_with(&format!("{sent} requests: ")), "{last}");
    assert!(last.ends_with(": 11 same, 38 intended, 0 with a difference, 0 unreached."), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_empty_or_strange_has_no_difference_but_those_that_are_meant() {
    let (old, new) = (OldBackend::start(20).await, gateway(&[]).await);
    let ask = |name: &str, body: Value| {
        json!({"name": name, "method": "POST", "path": "/llm/generate", "body": body}).to_string()
    };
    let large = "large ".repeat(20_000);
    let requests = [
        ask("fails", json!({"prompt": "please fail", "streaming": false})),
        ask("fails in a stream", json!({"prompt": "please fail", "streaming": true})),
        ask("says nothing", json!({"prompt": "an empty file", "streaming": false})),
        ask("JSON", json!({"prompt": "as JSON", "streaming": false})),
        ask("JSON, again", json!({"prompt": "as JSON", "streaming": false})),
        ask("large", json!({"prompt": large, "streaming": false})),
        ask("unknown provider", json!({"prompt": "x", "model": "acme:rocket", "streaming": false})),
        ask("neither true nor false", json!({"prompt": "x", "streaming": 0})),
        json!({"name": "test no provider", "method": "POST", "path": "/llm/test-provider", "body": {}}).to_string(),
        json!({"name": "test without a body", "method": "POST", "path": "/llm/test-provider"}).to_string(),
        json!({"name": "an alert", "method": "POST", "path": "/llm/budget/alerts/x/acknowledge"}).to_string(),
        json!({"name": "the same path", "method": "GET", "path": "/LLM/Usage/"}).to_string(),
    ];
    let (code, said, _) = compare(&old.url, &new.url(""), &requests.join("\n"), &["--json"]).await;
    let expected = [
        ("fails", "intended"),
        ("fails in a stream", "intended"),
        ("says nothing", "intended"),
        ("JSON", "intended"),
        ("JSON, again", "intended"),
        ("large", "intended"),
        ("unknown provider", "intended"),
        ("neither true nor false", "intended"),
        ("test no provider", "intended"),
        ("test without a body", "intended"),
        ("an alert", "intended"),
        ("the same path", "same"),
    ];
    let expected = expected.map(|(name, outcome)| (name.to_owned(), outcome.to_owned()));
    assert_eq!((code, outcomes(&said)), (0, expected.to_vec()), "{said}");
    for rule in ["failures-are-errors", "empty-answers-fail", "text-stays-text", "larger-bodies", "no-express"] {
        assert!(said.contains(&format!("\"rule\":\"{rule}\"")), "{rule}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_limit_the_same_and_other_spellings_are_no_way_around() {
    let (old, new) = (OldBackend::start(20).await, gateway(&[]).await);
    let ask =
        |path: &str| json!({"method": "POST", "path": path, "body": {"prompt": "x", "streaming": false}}).to_string();
    let mut requests = vec![ask("/llm/generate"); 22];
    requests.push(ask("/LLM/Generate/"));
    let (code, said, _) = compare(&old.url, &new.url(""), &requests.join("\n"), &[]).await;
    assert_eq!(code, 0, "{said}");
    let with = |rule: &str| said.lines().filter(|line| line.starts_with("POST ") && line.contains(rule)).count();
    assert_eq!((with("retry-after"), with("spelling-is-no-bucket")), (3, 1), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_needs_a_key_is_sent_one_and_nobody_is_shown_it() {
    let old = OldBackend::start(20).await;
    let new = gateway(&[("API_KEYS", "web:s3cr3t-0123456789")]).await;
    let requests = r#"{"method":"GET","path":"/llm/usage","headers":{"X-Own":"0wn-s3cr3t"}}"#;
    let (code, said, _) = compare(&old.url, &new.url(""), requests, &[]).await;
    assert!(code == 1 && said.contains("reply: 200 JSON → 401 JSON"), "{said}");
    for json in [&[][..], &["--json"]] {
        let header = ["--new-header", "Authorization: Bearer s3cr3t-0123456789"];
        let arguments: Vec<_> = header.iter().chain(json).copied().collect();
        let (code, said, complained) = compare(&old.url, &new.url(""), requests, &arguments).await;
        assert!(code == 0 && !said.contains("s3cr3t") && !complained.contains("s3cr3t"), "{said}{complained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_free_unless_they_are_to_be_equal() {
    let (old, new) = (OldBackend::start(20).await, gateway(&[]).await);
    let requests = r#"{"method":"POST","path":"/llm/generate","body":{"prompt":"x","streaming":false}}"#;
    assert_eq!(compare(&old.url, &new.url(""), requests, &[]).await.0, 0);
    let (code, said, _) = compare(&old.url, &new.url(""), requests, &["--same-text"]).await;
    assert!(code == 1 && said.contains("    code: a text of "), "{said}");
    assert!(!said.contains("Login"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_to_compare_with_is_status_3_and_wrong_arguments_are_2() {
    let old = OldBackend::start(20).await;
    let closed = format!("http://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let requests = r#"{"name":"usage","method":"GET","path":"/llm/usage"}"#;
    for (one, other, why) in [
        (closed.as_str(), old.url.as_str(), "old: it was not reached: client error (Connect): "),
        (&old.url, &closed, "new: it was not reached"),
        (&old.url, &silent_url, "new: it took too long"),
    ] {
        let (code, said, _) = compare(one, other, requests, &["--timeout", "2"]).await;
        assert!(code == 3 && said.contains(&format!("usage    unreached   {why}")), "{said}");
    }
    let (code, said, _) = compare(&old.url, &closed, requests, &["--json"]).await;
    let report: Value = serde_json::from_str(&said).unwrap();
    let why = report["requests"][0]["why"].as_str().unwrap();
    assert!(code == 3 && why.starts_with("new: it was not reached") && report["counts"]["unreached"] == 1, "{said}");
    for (url, requests, arguments, why) in [
        ("http://me:s3cr3t@localhost", requests, &[][..], "error: --new is an address with credentials"),
        ("backend", requests, &[], "error: --new is not an address"),
        ("http://localhost/#/s3cr3t", requests, &[], "error: --new is not an address"),
        ("http://localhost/?s3cr3t", requests, &[], "error: --new is not an address"),
        (&old.url, "", &[], " holds no request"),
        (&old.url, "{}", &[], ", line 1: missing field"),
        (&old.url, requests, &["--new-header", "s3cr3t"], "error: --new-header is not a header"),
        (&old.url, requests, &["--timeout", "0"], "error: invalid value '0'"),
    ] {
        let (code, said, complained) = compare(&old.url, url, requests, arguments).await;
        assert_eq!((code, said.as_str()), (2, ""), "{complained}");
        assert!(complained.contains(why) && !complained.contains("s3cr3t"), "{complained}");
    }
    let missing = ["compare", "--old", "http://x", "--new", "http://x", "--requests", "/no/such/file"];
    let output = Binary::command(&[]).args(missing).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_that_nobody_answered_prove_nothing() {
    let (old, new) = (OldBackend::start(0).await, gateway(&[]).await);
    let (old, new) = (old.url, new.url(""));
    let ask = |name: &str, prompt: &str| {
        json!({"name": name, "method": "POST", "path": "/llm/generate", "body": {"prompt": prompt, "streaming": false}})
            .to_string()
    };
    // Both refuse alike.
    let (code, said, _) = compare(&new, &new, &ask("a\u{1b}[31mb", ""), &[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("No generation was answered by both") && said.contains(" 0 with a difference"), "{said}");
    assert!(said.contains("a\\u{1b}[31mb  same"), "{said}");
    // A wrong address on both sides is no «not found» that is meant.
    let (code, said, _) = compare(&old, &format!("{new}/base"), &ask("wrong", "x"), &[]).await;
    assert!(code == 1 && said.contains("No generation was answered by both"), "{said}");
    let usage = r#"{"method":"GET","path":"/llm/usage"}"#;
    assert_eq!(compare(&old, &new, usage, &[]).await.0, 0);
}
