//! `GET /openapi.json`: it is valid, it describes the routes that there are, and the service does as it says.

use std::{collections::BTreeSet, fs};

use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Binary, Gateway, Reply, Scripted, python, succeeds};

const KEY: &str = "0123456789abcdef";
const ADMIN: &str = "the-administrators-own";
const SETTINGS: [(&str, &str); 3] =
    [("API_KEYS", "web:0123456789abcdef"), ("ADMIN_TOKEN", ADMIN), ("RATE_LIMIT_MAX", "1000")];

fn gateway() -> Gateway {
    Gateway::with(SETTINGS, Scripted::hello())
}

async fn document(gateway: &Gateway) -> Value {
    let reply = gateway.get("/openapi.json").await;
    assert_eq!(reply.expect(200).header("content-type"), "application/json");
    reply.json()
}

/// The operations: path, method in lower case, and description.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.collect()
}

fn file(folder: &TempDir, name: &str, content: &Value) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content.to_string()).unwrap();
    path
}

#[tokio::test]
async fn the_document_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let mut validator = python("openapi-spec-validator");
    validator.arg(file(&folder, "openapi.json", &document(&gateway()).await));
    succeeds(validator).await;
}

#[test]
fn what_is_served_is_what_stands_at_the_handlers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/openapi/openapi.json");
    let described = format!("{}\n", llm_gateway::http::openapi::document().unwrap());
    if std::env::var_os("WRITE_OPENAPI").is_some() {
        fs::write(path, &described).unwrap();
    }
    let is_same = fs::read_to_string(path).unwrap() == described;
    assert!(
        is_same,
        "write openapi.json anew: WRITE_OPENAPI=1 cargo test --all-features what_is_served_is_what_stands"
    );
}

#[tokio::test]
async fn it_describes_every_route_and_no_other() {
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/app/stacks.rs")).unwrap();
    let literals = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().replace("{*", "{"));
    let routed: BTreeSet<String> = literals.collect();
    let gateway = gateway();
    let document = document(&gateway).await;
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(routed, described);
}

#[tokio::test]
async fn it_describes_every_method_of_a_route_and_no_other() {
    let gateway = gateway();
    let document = document(&gateway).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let request = Request::builder().method("TRACE").uri(path.replace(['{', '}'], "")).body(Body::empty()).unwrap();
        let reply = gateway.send(request).await;
        let allowed = reply.expect(405).header("allow").split(',').map(str::to_owned);
        // A `GET` answers `HEAD` too.
        let allowed: BTreeSet<_> = allowed.filter(|method| method != "HEAD").collect();
        let described: BTreeSet<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        assert_eq!(allowed, described, "{path}");
    }
}

/// The bodies that an operation gives as examples; one of `Null` where it has none.
fn bodies(operation: &Value) -> Vec<Value> {
    let content = &operation["requestBody"]["content"]["application/json"];
    match (content["examples"].as_object(), content.get("example")) {
        (Some(examples), _) => examples.values().map(|example| example["value"].clone()).collect(),
        (None, Some(example)) => vec![example.clone()],
        (None, None) => {
            assert!(operation.get("requestBody").is_none(), "a body without an example: {operation}");
            vec![Value::Null]
        }
    }
}

/// The path with the examples of its parameters.
fn filled(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "path");
    parameters.fold(path.to_owned(), |path, parameter| {
        let example = parameter["example"].as_str().unwrap_or("none");
        path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), example)
    })
}

/// A request as the operation wants it.
async fn request(gateway: &Gateway, (path, method, operation): (&str, &str, &Value), body: &Value) -> Request<Body> {
    let request = Request::builder().method(&*method.to_uppercase()).uri(filled(path, operation));
    let is_admins = operation["security"][0].get("admin").is_some();
    let bearer = if is_admins { ADMIN } else { KEY };
    let mut request = request.header("authorization", format!("Bearer {bearer}"));
    if path == "/sessions/current" {
        let made = Request::post("/sessions").header("authorization", format!("Bearer {KEY}"));
        let made = made.header("content-type", "application/json").body(Body::from(r#"{"userId":"ann"}"#)).unwrap();
        let made = gateway.send(made).await.expect(201).json();
        request = request.header("x-session-id", made["sessionId"].as_str().unwrap());
    }
    if body.is_null() {
        return request.body(Body::empty()).unwrap();
    }
    request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
}

fn noted((path, method, _): (&str, &str, &Value), reply: &Reply) -> Value {
    let headers = reply.headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
    let headers: serde_json::Map<_, _> = headers.collect();
    json!({"path": path, "method": method, "status": reply.status.as_u16(), "headers": headers, "body": reply.body})
}

/// What a client may get wrong, whoever it is: each changes a good request.
const MISTAKES: [fn(&mut Request<Body>); 4] = [
    |request| drop(request.headers_mut().remove("authorization")),
    |request| drop(request.headers_mut().insert("content-type", "text/plain".parse().unwrap())),
    |request| *request.body_mut() = Body::from("[]"),
    |request| drop(request.headers_mut().insert("content-encoding", "gzip".parse().unwrap())),
];

#[tokio::test]
async fn its_examples_are_good_and_replies_are_as_described() {
    let gateway = gateway();
    let document = document(&gateway).await;
    let mut replies = Vec::new();
    for operation in operations(&document) {
        for body in bodies(operation.2) {
            let reply = gateway.send(request(&gateway, operation, &body).await).await;
            // Nothing has been spent that anyone must be told of.
            let is_missing = operation.0.ends_with("/acknowledge");
            assert!(reply.status.is_success() || is_missing, "{operation:?}: {} {}", reply.status, reply.body);
            replies.push(noted(operation, &reply));
            for mistake in MISTAKES {
                let mut request = request(&gateway, operation, &body).await;
                mistake(&mut request);
                replies.push(noted(operation, &gateway.send(request).await));
            }
        }
    }
    assert_described(&document, replies).await;
}

/// Holds the replies, and the examples too, against the document: also that there is nothing in them which it does not name.
async fn assert_described(document: &Value, replies: Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let mut validator = python("python");
    validator.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/python/described_replies.py"));
    validator.arg(file(&folder, "openapi.json", document)).arg(file(&folder, "replies.json", &Value::Array(replies)));
    succeeds(validator).await;
}

#[tokio::test]
async fn what_goes_wrong_at_a_provider_is_as_described() {
    let settings = [("API_KEYS", "web:0123456789abcdef"), ("PROVIDER_RETRIES", "0"), ("DEMO_PROVIDER", "on")];
    let gateway = Gateway::configured(settings);
    let document = document(&gateway).await;
    let mut replies = Vec::new();
    for operation in
        operations(&document).into_iter().filter(|(_, _, operation)| operation["tags"] == json!(["generation"]))
    {
        for model in
            ["error", "cut", "rate-limited", "overloaded", "unauthorized", "refusal", "empty", "truncated", "panic"]
        {
            for stream in [false, true] {
                let model = format!("demo:{model}");
                let mut body = bodies(operation.2).remove(0);
                let more = match operation.0 {
                    "/llm/generate" => json!({"model": model, "streaming": stream, "allowFailover": false}),
                    _ => json!({"model": model, "stream": stream}),
                };
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                let reply = gateway.send(request(&gateway, operation, &body).await).await;
                replies.push(noted(operation, &reply));
            }
        }
    }
    assert_described(&document, replies).await;
}

/// Runs schemathesis against a gateway of its own, which has `settings` besides.
async fn schemathesis(settings: &[(&str, &str)], more_checks: &str) {
    let usual = [("RATE_LIMIT_MAX", "0"), ("PROVIDER_TIMEOUT_SECONDS", "2"), ("SHUTDOWN_GRACE_SECONDS", "0")];
    let gateway = Binary::start(&[&usual[..], settings].concat());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let made = client.post(gateway.url("/sessions")).bearer_auth(KEY).json(&json!({"userId": "ann"}));
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let session = made["sessionId"].as_str().unwrap_or_default();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[auth.openapi.apiKey]\nbearer = \"{KEY}\"\n[auth.openapi.admin]\nbearer = \"{ADMIN}\"\n\
         [auth.openapi.sessionHeader]\napi_key = \"{session}\"\n"
    );
    fs::write(folder.path().join("schemathesis.toml"), config).unwrap();
    let mut command = python("schemathesis");
    command.current_dir(&folder).args(["run", &gateway.url("/openapi.json"), "--phases", "examples,coverage,fuzzing"]);
    // Those aside that want a schema to say all that is refused: what a model takes, and which there are, no schema says.
    command.args([
        "--checks",
        &[CHECKS, more_checks].concat(),
        "--continue-on-failure",
        "--warnings",
        "off",
        "--no-color",
    ]);
    command.args(["--max-examples", "20", "--seed", "8", "--generation-deterministic"]);
    succeeds(command).await;
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      response_headers_conformance";

#[tokio::test]
async fn schemathesis_finds_nothing_that_is_not_described() {
    let keyed = [("API_KEYS", "web:0123456789abcdef"), ("ADMIN_TOKEN", ADMIN)];
    schemathesis(&keyed, ",unsupported_method,allow_header_conformance").await;
}

#[tokio::test]
async fn schemathesis_finds_nothing_where_nothing_is_set() {
    // Routes that are not there answer 404 to any method.
    schemathesis(&[], "").await;
}
