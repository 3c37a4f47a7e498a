//! One case for each rule of single fields, events and headers, and one near miss.

use serde_json::{Value, json};

use super::replies::{
    Case, Near, answer, answered, complete, error, errors, generate, get, page, says, streams, thoughts, with,
};

fn case(rule: &'static str, request: Value, old: Value, new: Value, near: Near) -> Case {
    Case { rule, request, old, new, near }
}

const MISS: [&str; 6] = ["user", "planning", "researching", "executing", "drafting", "summary"];
/// As this service tells it: with the text as it comes.
const NEW: [&str; 7] = ["user", "planning", "researching", "executing", "DELTA", "drafting", "summary"];
const HIT: [&str; 5] = ["user", "planning", "researching", "drafting", "summary"];

/// A reply to `GET /llm/usage` with a header.
fn usage(name: &str, value: &str) -> Value {
    with(says(200, json!({"totalCost": 1})), name, value)
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn of_fields() -> Vec<Case> {
    let prompt = || generate(json!({"prompt": "x"}));
    let streamed = || generate(json!({"prompt": "x", "streaming": true}));
    let stream = |kinds: &[&str], changes: Value| streams(thoughts(kinds, complete(answer(changes))));
    let told = |kinds: &[&str], changes: Value| streams(thoughts(kinds, complete(answered(changes))));
    let failed = |event: Value| streams(thoughts(&["user", "planning", "researching", "executing"], event));
    let with_code = |mut answer: Value, code: Value| {
        answer["code"] = code;
        says(200, answer)
    };
    let of_json = |tokens: Value| json!({"estimatedTokens": tokens, "cached": true});
    let model = |changes: Value| {
        let mut model = json!({"name": "GPT-4o", "contextWindow": 128_000, "inputCostPer1k": 0.005,
                               "routing": {"priority": 1, "fallback": true, "loadBalance": true}});
        model.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        says(200, json!({"providers": [{"name": "OpenAI", "apiBaseUrl": "", "models": {"gpt-4o": model}}]}))
    };
    let models =
        |names: &[&str]| says(422, json!({"error": "Model not supported for provider", "availableModels": names}));
    let emoji = || format!("{}🦀 and more", "x".repeat(99));
    let prompted = |kinds: &[&str], answer: Value, text: String| {
        let mut events = thoughts(kinds, complete(answer));
        events[0]["text"] = text.into();
        streams(events)
    };
    let providers = |names: &[&str]| {
        let provider = |name: &&str| json!({"name": name, "apiBaseUrl": "", "models": {}});
        says(200, json!({"providers": names.iter().map(provider).collect::<Vec<_>>()}))
    };
    let tested = |said: &str| says(200, json!({"provider": "xai", "success": false, "error": said, "responseTime": 3}));
    let waits = |seconds: Value| says(429, json!({"error": "Rate limit exceeded", "retryAfter": seconds}));
    let test = || json!({"method": "POST", "path": "/llm/test-provider", "body": {"providerName": "xai"}});
    let complains = |paths: &[&str]| {
        let mut all = errors("");
        all["errors"] = paths.iter().map(|path| errors(path)["errors"][0].clone()).collect();
        all
    };
    // With this `value`, or none.
    let of_value = |value: Option<Value>| {
        let mut all = errors("prompt");
        let error = all["errors"][0].as_object_mut().unwrap();
        error.remove("value");
        error.extend(value.map(|value| ("value".to_owned(), value)));
        all
    };
    vec![
        case(
            "made-up-no-more",
            prompt(),
            says(200, answer(json!({"mock": true, "error": "x"}))),
            says(200, answered(json!({}))),
            Near::Old(says(200, answer(json!({"mock": false, "error": "x"})))),
        ),
        case(
            "made-up-no-more",
            streamed(),
            stream(&["user", "planning", "researching", "executing", "summary"], json!({"mock": true})),
            told(&NEW, json!({})),
            Near::New(told(&HIT, json!({}))),
        ),
        case(
            "text-stays-text",
            prompt(),
            with_code(answer(of_json(Value::Null)), json!({"answer": 42})),
            with_code(answered(of_json(json!(2))), json!("x")),
            Near::New(with_code(answered(of_json(json!("2"))), json!("x"))),
        ),
        case(
            "text-stays-text",
            get("/llm/usage"),
            says(200, json!({"totalCost": null, "totalInputTokens": null})),
            says(200, json!({"totalCost": 0.1, "totalInputTokens": 0})),
            Near::New(says(200, json!({"totalCost": 0.1, "totalInputTokens": "0"}))),
        ),
        case(
            "text-stays-text",
            get("/llm/budget/analytics"),
            says(200, json!({"totalTokens": null, "costByPeriod": {"today": null}})),
            says(200, json!({"totalTokens": 5, "costByPeriod": {"today": 0.5}})),
            Near::New(says(200, json!({"totalTokens": 5, "costByPeriod": {"today": -0.5}}))),
        ),
        case(
            "cold-cache",
            streamed(),
            stream(&HIT, json!({"cached": true})),
            told(&NEW, json!({})),
            Near::Old(stream(&HIT, json!({"cached": false}))),
        ),
        case(
            "cold-cache",
            prompt(),
            says(200, answer(json!({"cached": true}))),
            says(200, answered(json!({}))),
            Near::New(says(200, answered(json!({"routingMode": "heuristic"})))),
        ),
        case(
            "pieces",
            streamed(),
            stream(&MISS, json!({})),
            told(&NEW, json!({})),
            Near::New(told(
                &["user", "planning", "DELTA", "researching", "executing", "drafting", "summary"],
                json!({}),
            )),
        ),
        case(
            "each-attempt-is-told",
            streamed(),
            stream(&MISS, json!({})),
            told(
                &["user", "planning", "researching", "executing", "executing", "DELTA", "drafting", "summary"],
                json!({"attempts": 2}),
            ),
            Near::New(told(
                &["user", "planning", "planning", "researching", "executing", "drafting", "summary"],
                json!({}),
            )),
        ),
        case(
            "error-message",
            streamed(),
            failed(json!({"type": "ERROR", "error": "Failed"})),
            failed(json!({"type": "ERROR", "error": "Failed", "message": "Try again."})),
            Near::New(failed(json!({"type": "ERROR", "error": "Failed", "message": ""}))),
        ),
        case(
            "additions",
            prompt(),
            says(200, answer(json!({}))),
            says(200, answered(json!({}))),
            Near::New(says(200, answered(json!({"raw": "x"})))),
        ),
        case(
            "error-fields",
            generate(json!({})),
            says(400, json!({"errors": errors("prompt")["errors"]})),
            says(400, errors("prompt")),
            Near::New(says(400, json!({"errors": errors("prompt")["errors"], "stack": "at line 3"}))),
        ),
        case(
            "whole-characters",
            generate(json!({"prompt": emoji(), "streaming": true})),
            prompted(&MISS, answer(json!({})), format!("Prompt: {}\u{fffd}...", "x".repeat(99))),
            prompted(&NEW, answered(json!({})), format!("Prompt: {}...", "x".repeat(99))),
            Near::New(prompted(&NEW, answered(json!({})), format!("Prompt: {}...", "x".repeat(50)))),
        ),
        case(
            "retry-after",
            prompt(),
            waits(json!(60)),
            with(waits(json!(7)), "retry-after", "7"),
            Near::New(with(waits(json!(3)), "retry-after", "3000")),
        ),
        case(
            "more-models",
            generate(json!({"prompt": "x", "model": "gpt-9"})),
            models(&["gpt-4o"]),
            models(&["gpt-5", "gpt-4o"]),
            Near::New(models(&["gpt-5"])),
        ),
        case(
            "todays-catalogue",
            get("/llm/models"),
            model(json!({})),
            model(json!({"contextWindow": 400_000, "inputCostPer1k": 0.001,
                         "routing": {"priority": 9, "fallback": true, "loadBalance": false}})),
            Near::New(model(json!({"routing": {"priority": 1, "fallback": false, "loadBalance": true}}))),
        ),
        case(
            "no-supernova",
            get("/llm/models"),
            providers(&["OpenAI", "Supernova AI"]),
            providers(&["OpenAI"]),
            Near::New(providers(&["Supernova AI"])),
        ),
        case(
            "vendors-words",
            test(),
            tested("{\"error\":{\"message\":\"key sk-x\"}}"),
            tested("The provider does not take the key"),
            Near::New(tested("Provider not found")),
        ),
        case(
            "made-up-no-more",
            streamed(),
            stream(&["user", "planning", "researching", "executing", "summary"], json!({"mock": true})),
            told(&HIT, json!({"cached": true})),
            Near::Old(stream(&["user", "planning", "researching", "executing", "summary"], json!({}))),
        ),
        case(
            "todays-checks",
            generate(json!({"priority": null})),
            says(400, json!({"errors": [errors("prompt")["errors"][0], errors("priority")["errors"][0]]})),
            says(400, errors("prompt")),
            Near::New(says(400, errors("streaming"))),
        ),
        case(
            "settings-stay",
            get("/llm/budget/config"),
            says(200, json!({"alertThresholds": {"daily": 90}, "foo": 1})),
            says(200, json!({"alertThresholds": {"daily": 90, "weekly": 75}})),
            Near::New(says(200, json!({"alertThresholds": {"weekly": 75}}))),
        ),
        case(
            "settings-stay",
            get("/llm/budget/config"),
            says(200, json!({"dailyLimit": "lots", "alertThresholds": null, "hardLimit": "no", "enableAlerts": 1})),
            says(200, json!({"dailyLimit": 50, "alertThresholds": {}, "hardLimit": false, "enableAlerts": true})),
            Near::New(says(
                200,
                json!({"dailyLimit": 50, "alertThresholds": {}, "hardLimit": 7, "enableAlerts": true}),
            )),
        ),
        case(
            "settings-stay",
            get("/llm/budget/config"),
            says(200, json!({"dailyLimit": 50, "alertThresholds": {"daily": "soon"}})),
            says(200, json!({"dailyLimit": 50, "alertThresholds": {"daily": 80}})),
            Near::New(says(200, json!({"dailyLimit": 60, "alertThresholds": {"daily": 80}}))),
        ),
        case(
            "todays-checks",
            generate(json!({"prompt": "  ", "priority": 7})),
            says(400, json!({"errors": errors("priority")["errors"]})),
            says(400, complains(&["prompt", "priority"])),
            Near::New(says(400, complains(&["model", "priority"]))),
        ),
        case(
            "todays-checks",
            generate(json!({"prompt": "x", "priority": 7, "streaming": "yes"})),
            says(400, json!({"errors": errors("priority")["errors"]})),
            says(400, complains(&["priority", "streaming"])),
            Near::Request(generate(json!({"prompt": "x", "priority": 7, "streaming": null}))),
        ),
        case(
            "todays-checks",
            generate(json!({"priority": 7})),
            says(400, of_value(Some(Value::Null))),
            says(400, of_value(None)),
            Near::Old(says(400, of_value(Some(json!(7))))),
        ),
        case(
            "real-analytics",
            get("/llm/budget/analytics"),
            says(200, json!({"totalCost": 1})),
            says(200, json!({"totalCost": 1, "spent": {}, "avoided": {}, "estimatedCost": 0.1})),
            Near::New(says(200, json!({"totalCost": 1, "spent": 3}))),
        ),
        case(
            "real-analytics",
            get("/llm/budget/analytics"),
            says(200, json!({"totalCost": 1})),
            says(200, json!({"totalCost": 1, "spent": {}})),
            Near::New(says(200, json!({"totalCost": 1, "spent": {}, "apiKey": "sk"}))),
        ),
    ]
}

pub(super) fn of_headers() -> Vec<Case> {
    let page_of = |origin: &str| json!({"method": "GET", "path": "/llm/usage", "headers": {"origin": origin}});
    let with_id = |id: &str| json!({"method": "GET", "path": "/llm/usage", "headers": {"x-request-id": id}});
    let plain = || says(200, json!({"totalCost": 1}));
    let app = "https://app.example.com";
    let allowed = || usage("access-control-allow-origin", app);
    let streamed = || generate(json!({"prompt": "x", "streaming": true}));
    let events = |kinds: &[&str], answer: Value, control: &str| {
        with(streams(thoughts(kinds, complete(answer))), "cache-control", control)
    };
    vec![
        case(
            "no-express",
            get("/llm/usage"),
            usage("x-powered-by", "Express"),
            plain(),
            Near::New(usage("x-powered-by", "PHP")),
        ),
        case("no-etags", get("/llm/usage"), usage("etag", "W/\"1\""), plain(), Near::New(usage("etag", "W/\"2\""))),
        case(
            "new-headers",
            get("/llm/usage"),
            plain(),
            usage("x-content-type-options", "nosniff"),
            Near::New(usage("x-debug", "1")),
        ),
        // It says that the store is away.
        case(
            "new-headers",
            get("/llm/usage"),
            plain(),
            usage("ratelimit", "\"generate\";r=1;t=1"),
            Near::New(usage("x-ratelimit-mode", "local")),
        ),
        case(
            "new-headers",
            get("/nothing"),
            page(404),
            with(says(404, error("Not found")), "cache-control", "no-store"),
            Near::New(with(says(404, error("Not found")), "cache-control", "public")),
        ),
        case(
            "readable-headers",
            page_of(app),
            allowed(),
            with(allowed(), "access-control-expose-headers", "age"),
            Near::New(usage("access-control-expose-headers", "age")),
        ),
        case("more-origins", page_of(app), plain(), allowed(), Near::New(usage("access-control-allow-origin", "*"))),
        // Who could call must still be able to.
        case(
            "more-origins",
            page_of(app),
            plain(),
            allowed(),
            Near::Old(usage("access-control-allow-origin", "https://other.example")),
        ),
        case(
            "cookies-across-sites",
            page_of(app),
            allowed(),
            with(allowed(), "access-control-allow-credentials", "true"),
            Near::New(with(allowed(), "access-control-allow-credentials", "maybe")),
        ),
        case(
            "unchanged-streams",
            streamed(),
            events(&MISS, answer(json!({})), "no-cache"),
            events(&NEW, answered(json!({})), "no-cache, no-transform"),
            Near::New(events(&NEW, answered(json!({})), "max-age=60")),
        ),
        case(
            "sane-ids",
            with_id("a b c"),
            usage("x-request-id", "a b c"),
            usage("x-request-id", "0123-abc"),
            Near::Request(with_id("abc")),
        ),
        case(
            "streams-when-asked",
            generate(json!({"prompt": "x"})),
            events(&MISS, answer(json!({})), "no-cache"),
            says(200, answered(json!({}))),
            Near::Request(streamed()),
        ),
    ]
}
