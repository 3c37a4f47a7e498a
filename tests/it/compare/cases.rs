//! One case for each rule of whole replies, and one near miss.

use serde_json::{Value, json};

use super::replies::{
    Case, Near, answer, answered, complete, error, errors, failure, generate, get, page, periods, says, streams,
    thoughts, with, would_be,
};

fn case(rule: &'static str, request: Value, old: Value, new: Value, near: Near) -> Case {
    Case { rule, request, old, new, near }
}

const NEW: [&str; 7] = ["user", "planning", "researching", "executing", "DELTA", "drafting", "summary"];

fn limited() -> Value {
    let body = json!({"error": "Rate limit exceeded", "message": "Wait.", "retryAfter": 9, "requestId": "id"});
    with(says(429, body), "retry-after", "9")
}

/// A provider's failure, in these words.
fn with_error(said: &str) -> Value {
    let mut failure = failure();
    failure["error"] = said.into();
    failure
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn of_replies() -> Vec<Case> {
    let prompt = || generate(json!({"prompt": "x"}));
    let streamed = || generate(json!({"prompt": "x", "streaming": true}));
    let made_up = || answer(json!({"mock": true, "error": "No key"}));
    let health = || json!({"healthy": true, "redis": true, "memory": true, "uptime": 3.5});
    let exception = |words: &str| says(500, json!({"error": "Failed to generate code", "details": words}));
    let put = |body: Value| json!({"method": "PUT", "path": "/llm/budget/config", "body": body});
    let large = || generate(json!({"prompt": "x".repeat(110_000)}));
    let refused =
        || thoughts(&["user", "planning"], json!({"type": "ERROR", "error": "Model not supported for provider"}));
    let begun =
        |last: Value| streams(thoughts(&["user", "planning", "researching", "executing", "executing", "DELTA"], last));
    let old_begun =
        || streams(thoughts(&["user", "planning", "researching", "executing", "summary"], complete(made_up())));
    let end = || {
        let mut end = failure();
        end["type"] = "ERROR".into();
        end
    };
    let ended = |said: &str| {
        let mut end = end();
        end["error"] = said.into();
        end
    };
    let exceptional = || json!({"type": "ERROR", "error": "Cannot set headers after they are sent to the client"});
    let haiku = || json!({"model": "claude-3-haiku-20240307", "provider": "anthropic"});
    let unshowable = || {
        let mut end = end();
        end.as_object_mut().unwrap().remove("message");
        end
    };
    let own_page = |title: &str| json!({"status": 200, "page": format!("<!doctype html><title>{title}</title>")});
    let head = |path: &str| json!({"method": "HEAD", "path": path});
    let unsupported =
        || says(422, json!({"error": "Model not supported for provider", "provider": "openai", "model": "GPT-4O"}));
    let over = || says(429, json!({"error": "Budget limit exceeded"}));
    let test_provider = || json!({"method": "POST", "path": "/llm/test-provider", "body": {"providerName": "openai"}});
    let unread =
        || json!({"method": "POST", "path": "/llm/generate", "headers": {"content-type": "text/plain"}, "text": "x"});
    let nulls = |value: Value| generate(json!({"prompt": "x", "priority": value}));
    let mode = |body: Value| generate(body);
    vec![
        case(
            "health-is-one-word",
            get("/health"),
            says(503, health()),
            says(200, json!({"status": "ok"})),
            Near::New(says(200, json!({"status": "ok", "redis": true}))),
        ),
        case(
            "status-page",
            get("/"),
            with(json!({"status": 200, "page": "Hello!"}), "etag", "W/\"1\""),
            with(own_page("llm-gateway"), "etag", "\"1\""),
            Near::New(own_page("Parked domain")),
        ),
        case(
            "status-page",
            head("/"),
            with(would_be(200, "text/html; charset=utf-8"), "etag", "W/\"1\""),
            with(would_be(200, "text/html; charset=utf-8"), "etag", "\"1\""),
            Near::New(would_be(404, "text/html")),
        ),
        case(
            "health-is-one-word",
            head("/health"),
            would_be(503, "application/json"),
            would_be(200, "application/json"),
            Near::New(would_be(200, "text/html")),
        ),
        case(
            "prometheus",
            head("/metrics"),
            would_be(200, "application/json"),
            would_be(200, "text/plain; version=0.0.4"),
            Near::New(would_be(401, "application/json")),
        ),
        case(
            "json-errors",
            head("/nothing"),
            would_be(404, "text/html"),
            would_be(404, "application/json"),
            Near::Request(head("/llm/usage")),
        ),
        case(
            "wrong-method",
            head("/llm/generate"),
            with(would_be(404, "text/html"), "content-security-policy", "default-src 'none'"),
            with(would_be(405, "application/json"), "allow", "POST"),
            Near::New(with(would_be(405, "application/json"), "allow", "HEAD, POST")),
        ),
        case(
            "no-304",
            json!({"method": "HEAD", "path": "/llm/usage", "headers": {"if-none-match": "*"}}),
            json!({"status": 304}),
            would_be(200, "application/json"),
            Near::New(would_be(200, "text/html")),
        ),
        case(
            "prometheus",
            get("/metrics"),
            says(200, json!({"httpRequests": {}})),
            with(json!({"status": 200, "text": "# HELP x\n"}), "content-type", "text/plain; version=1.0.0"),
            Near::New(says(401, error("Administrator only"))),
        ),
        case(
            "json-errors",
            get("/nothing"),
            page(404),
            says(404, error("Not found")),
            Near::New(says(400, error("Not found"))),
        ),
        case(
            "wrong-method",
            get("/llm/generate"),
            page(404),
            with(says(405, error("Method not allowed")), "allow", "POST"),
            Near::New(says(405, error("Method not allowed"))),
        ),
        case("larger-bodies", large(), page(413), says(200, answered(json!({}))), Near::Request(prompt())),
        case(
            "body-must-be-json",
            unread(),
            says(400, errors("prompt")),
            says(415, error("The body must be JSON")),
            Near::Request(prompt()),
        ),
        case(
            "streaming-is-a-flag",
            generate(json!({"prompt": "x", "streaming": 0})),
            old_begun(),
            says(400, errors("streaming")),
            Near::New(says(400, errors("prompt"))),
        ),
        case(
            "refused-before-the-stream",
            streamed(),
            streams(refused()),
            says(422, error("Model not supported for provider")),
            Near::New(says(502, failure())),
        ),
        case(
            "failures-are-errors",
            prompt(),
            says(200, made_up()),
            says(502, failure()),
            Near::New(says(500, failure())),
        ),
        case(
            "failures-are-errors",
            prompt(),
            says(200, made_up()),
            with(says(429, failure()), "retry-after", "3"),
            Near::New(says(429, failure())),
        ),
        case("failures-are-errors", streamed(), old_begun(), begun(end()), Near::New(begun(unshowable()))),
        case(
            "failures-are-errors",
            prompt(),
            says(200, made_up()),
            says(502, failure()),
            Near::Old(says(200, answer(json!({})))),
        ),
        case(
            "empty-answers-fail",
            prompt(),
            exception("No response generated from model"),
            says(502, with_error("The provider's answer is empty")),
            Near::Old(exception("Something else")),
        ),
        case(
            "empty-answers-fail",
            streamed(),
            streams(thoughts(
                &NEW[..4],
                json!({"type": "ERROR", "error": "Failed to generate code", "details": "No response generated from model"}),
            )),
            begun(ended("The provider's answer is empty")),
            Near::New(begun(ended("The provider failed"))),
        ),
        case(
            "every-mode-answers",
            mode(json!({"prompt": "x", "routingMode": "cost-aware"})),
            says(422, json!({"error": "Model not supported for provider"})),
            says(200, answered(json!({"routingMode": "cost-aware"}))),
            Near::Request(mode(json!({"prompt": "x", "routingMode": "manual"}))),
        ),
        case(
            "one-catalogue",
            generate(json!({"prompt": "x", "model": "GPT-4O"})),
            unsupported(),
            says(200, answered(json!({}))),
            Near::New(says(200, answered(json!({"mock": true})))),
        ),
        case(
            "one-catalogue",
            generate(json!({"prompt": "x", "model": "claude-3-haiku-20240307", "streaming": true})),
            streams(thoughts(&["user", "planning"], exceptional())),
            streams(thoughts(&NEW, complete(answered(haiku())))),
            Near::Request(generate(json!({"prompt": "x", "model": "claude-3-opus-20240229", "streaming": true}))),
        ),
        case(
            "blank-prompts",
            generate(json!({"prompt": "  "})),
            says(200, answer(json!({}))),
            says(400, errors("prompt")),
            Near::Request(prompt()),
        ),
        case(
            "all-parts-are-read",
            prompt(),
            exception("No response generated from model"),
            says(200, answered(json!({}))),
            Near::Old(exception("Something else")),
        ),
        case(
            "empty-answers-fail",
            prompt(),
            exception("No response generated from model"),
            says(502, with_error("The provider's answer is empty")),
            Near::New(says(502, with_error("The provider does not accept this service's key"))),
        ),
        case(
            "failures-are-errors",
            prompt(),
            says(200, answer(json!({"mock": true, "error": "404 model not found"}))),
            says(502, failure()),
            Near::New(says(502, with_error("The provider cannot be reached"))),
        ),
        case(
            "larger-bodies",
            large(),
            page(413),
            says(422, error("Model not supported for provider")),
            Near::New(says(422, error("Provider not configured"))),
        ),
        case("larger-bodies", large(), page(413), says(400, errors("priority")), Near::New(says(502, failure()))),
        case(
            "blank-prompts",
            generate(json!({"prompt": "  ", "model": "gpt-9"})),
            says(422, json!({"error": "Model not supported for provider"})),
            says(400, errors("prompt")),
            Near::New(says(400, errors("model"))),
        ),
        case(
            "body-must-be-json",
            generate(json!([])),
            says(400, errors("prompt")),
            says(400, error("The body is no object")),
            Near::Request(prompt()),
        ),
        case(
            "null-is-absent",
            nulls(Value::Null),
            says(400, errors("priority")),
            says(200, answered(json!({}))),
            Near::Request(nulls(json!("urgent"))),
        ),
        case(
            "own-sentences",
            generate(json!([1])),
            exception("Cannot destructure property 'prompt'"),
            says(400, error("Malformed JSON")),
            Near::New(says(500, error("Internal"))),
        ),
        case(
            "spelling-is-no-bucket",
            json!({"method": "POST", "path": "/LLM/Generate/", "body": {"prompt": "x"}}),
            says(200, answer(json!({}))),
            limited(),
            Near::Request(prompt()),
        ),
        case(
            "limited-before-reading",
            json!({"method": "POST", "path": "/llm/generate", "text": "{"}),
            page(400),
            limited(),
            Near::Old(says(400, errors("prompt"))),
        ),
        case(
            "limited-before-reading",
            test_provider(),
            says(200, json!({"provider": "openai", "success": true, "responseTime": 1})),
            limited(),
            Near::New(says(429, json!({"error": "Rate limit exceeded", "retryAfter": 9, "requestId": "id"}))),
        ),
        case(
            "hits-are-free",
            prompt(),
            over(),
            says(200, answered(json!({"cached": true}))),
            Near::New(says(200, answered(json!({})))),
        ),
        case(
            "administrators-only",
            put(json!({})),
            says(200, json!({"success": true})),
            says(401, error("Administrator only")),
            Near::Request(json!({"method": "GET", "path": "/llm/budget/config"})),
        ),
        case(
            "settings-break-nothing",
            get("/llm/budget/status"),
            exception("Cannot read properties of null (reading 'daily')"),
            says(200, periods()),
            Near::New(says(200, json!({"daily": null}))),
        ),
        case(
            "settings-are-checked",
            put(json!({"dailyLimit": "x"})),
            says(200, json!({"success": true})),
            says(400, error("Invalid")),
            Near::New(says(500, error("Internal"))),
        ),
        case(
            "settings-are-checked",
            put(json!({"alertThresholds": {"daily": 101}})),
            says(200, json!({"success": true})),
            says(400, error("Invalid")),
            Near::Request(put(json!({"alertThresholds": {"daily": 100}, "enableAlerts": true, "hardLimit": false}))),
        ),
        case(
            "settings-are-checked",
            put(json!({"hardLimit": "yes"})),
            says(200, json!({"success": true})),
            says(400, error("Invalid")),
            Near::Request(put(json!({"hardLimit": true}))),
        ),
        case(
            "settings-are-checked",
            put(json!({"yearlyLimit": 5})),
            says(200, json!({"success": true})),
            says(400, error("Invalid")),
            Near::Request(put(json!({"monthlyLimit": 5}))),
        ),
        case(
            "no-304",
            json!({"method": "GET", "path": "/llm/usage", "headers": {"if-none-match": "W/\"x\""}}),
            json!({"status": 304}),
            says(200, json!({"totalCost": 1})),
            Near::Request(get("/llm/usage")),
        ),
    ]
}
