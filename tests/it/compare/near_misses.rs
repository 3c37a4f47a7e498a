//! What looks as if a rule meant it, and is a fault all the same; and what only looks different.

#![expect(clippy::needless_pass_by_value, reason = "cases are read, not run")]

use llm_gateway::compare::{Body, Recorded, Strictness, judge};
use serde_json::{Value, json};

use super::replies::{
    answer, answered, complete, error, failure, generate, get, page, recorded, reply, says, streams, thought, thoughts,
    with, would_be,
};

const MISS: [&str; 6] = ["user", "planning", "researching", "executing", "drafting", "summary"];
const NEW: [&str; 7] = ["user", "planning", "researching", "executing", "DELTA", "drafting", "summary"];
const HIT: [&str; 5] = ["user", "planning", "researching", "drafting", "summary"];

/// What has no rule.
fn unexplained(request: &Recorded, old: &Value, new: &Value) -> Vec<String> {
    let found = judge(request, &reply(old), &reply(new), Strictness::default());
    found.into_iter().filter(|found| found.rule.is_none()).map(|found| found.place).collect()
}

fn prompt() -> Value {
    generate(json!({"prompt": "x"}))
}

fn streamed() -> Value {
    generate(json!({"prompt": "x", "streaming": true}))
}

fn stream(kinds: &[&str], changes: Value) -> Value {
    streams(thoughts(kinds, complete(answer(changes))))
}

fn told(kinds: &[&str], changes: Value) -> Value {
    streams(thoughts(kinds, complete(answered(changes))))
}

/// The stream of the new, in which an event comes in place of those at `at`.
fn spliced(at: std::ops::Range<usize>, events: Vec<Value>) -> Value {
    let mut reply = told(&NEW, json!({}));
    reply["events"].as_array_mut().unwrap().splice(at, events);
    reply
}

fn delta(text: &str) -> Value {
    json!({"type": "DELTA", "text": text})
}

fn assert_each(cases: Vec<(&str, Value, Value, Value)>) {
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(_, request, old, new)| unexplained(&recorded(request), old, new).is_empty())
        .map(|(what, ..)| *what)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn an_answer_that_does_not_hold_together_is_a_difference() {
    let says_code = |code: &str| {
        let mut answer = answered(json!({}));
        answer["code"] = code.into();
        says(200, answer)
    };
    let mut cached = answered(json!({}));
    cached["cached"] = true.into();
    let old = || says(200, answer(json!({})));
    let old_stream = || stream(&MISS, json!({}));
    assert!(unexplained(&recorded(&streamed()), &old_stream(), &told(&NEW, json!({}))).is_empty());
    assert_each(vec![
        ("another text", streamed(), old_stream(), spliced(4..5, vec![delta("y")])),
        ("the text twice", streamed(), old_stream(), spliced(4..5, vec![delta("x"), delta("x")])),
        ("no pieces of a miss", streamed(), old_stream(), told(&MISS, json!({}))),
        ("another model served", prompt(), old(), says(200, answered(json!({"servedModel": "gpt-4"})))),
        ("cut off", prompt(), old(), says(200, answered(json!({"finishReason": "length"})))),
        ("blank", prompt(), old(), says_code(" ")),
        ("cached and not", prompt(), old(), says(200, cached)),
    ]);
}

#[test]
fn events_of_its_own_have_a_place_a_number_and_a_form() {
    let bare = |kind: &str| json!({"type": "THINKING", "kind": kind});
    let hit = || stream(&HIT, json!({"cached": true}));
    let mut moved = spliced(3..4, vec![]);
    moved["events"].as_array_mut().unwrap().insert(0, thought("executing"));
    let made_up = stream(&["user", "planning", "researching", "executing", "summary"], json!({"mock": true}));
    assert_each(vec![
        ("300 calls", streamed(), stream(&MISS, json!({})), spliced(3..3, vec![thought("executing"); 300])),
        ("a bare call", streamed(), stream(&MISS, json!({})), spliced(4..4, vec![bare("executing")])),
        ("a call first", streamed(), hit(), moved),
        ("a bare call of a miss", streamed(), hit(), spliced(3..4, vec![bare("executing")])),
        ("a bare draft", streamed(), made_up, spliced(5..6, vec![bare("drafting")])),
        ("more in a piece", streamed(), stream(&MISS, json!({})), {
            spliced(4..5, vec![json!({"type": "DELTA", "text": "x", "more": 1})])
        }),
    ]);
}

#[test]
fn a_cache_is_cold_only_once() {
    let requests = Recorded::read(&format!("{0}\n{0}", prompt())).unwrap();
    let (old, new) = (says(200, answer(json!({"cached": true}))), says(200, answered(json!({}))));
    assert!(unexplained(&requests[0], &old, &new).is_empty());
    assert_eq!(unexplained(&requests[1], &old, &new), ["metadata.cached"]);
}

#[test]
fn who_answers_is_whom_one_asked_for() {
    let refused = || says(422, json!({"error": "Model not supported for provider"}));
    let ask = |model: &str| generate(json!({"prompt": "x", "model": model}));
    let mode =
        |provider: &str| generate(json!({"prompt": "x", "routingMode": "cost-aware", "activeProvider": provider}));
    let by_openai = || says(200, answered(json!({})));
    let by_cost = || says(200, answered(json!({"routingMode": "cost-aware"})));
    for (meant, new) in
        [(ask("openai:GPT-4o"), by_openai()), (ask(" GPT-4O "), by_openai()), (mode("openai"), by_cost())]
    {
        assert_eq!(unexplained(&recorded(&meant), &refused(), &new), [""; 0], "{meant}");
    }
    // Nor is a failure anybody else's, though the old named them too.
    let made_up = says(200, answer(json!({"mock": true, "model": "gpt-4"})));
    let mut failed = failure();
    failed["model"] = "gpt-4".into();
    assert!(unexplained(&recorded(&ask("gpt-4")), &made_up, &says(502, failed.clone())).is_empty());
    assert_eq!(unexplained(&recorded(&ask("gpt-4o")), &made_up, &says(502, failed)), ["model"]);
    let grok = says(200, answered(json!({"model": "grok-3", "provider": "xai"})));
    assert_each(vec![
        ("a Claude by a Grok", ask("claude-3-haiku-20240307"), refused(), grok),
        ("an unknown model", ask("openai:gpt-9"), refused(), by_openai()),
        ("another provider", mode("anthropic"), refused(), by_cost()),
    ]);
}

#[test]
fn refusals_are_of_the_same_sort() {
    let put = json!({"method": "PUT", "path": "/llm/budget/config", "body": {"dailyLimit": 50}});
    let failed = |said: &str| streams(thoughts(&["user", "planning"], json!({"type": "ERROR", "error": said})));
    let exception = "Cannot set headers after they are sent to the client";
    let test = json!({"method": "POST", "path": "/llm/test-provider", "body": {"providerName": "xai"}});
    let tested = |said: &str| says(200, json!({"provider": "xai", "success": false, "error": said}));
    let over = says(429, error("Budget limit exceeded"));
    assert!(unexplained(&recorded(&streamed()), &failed(exception), &over).is_empty());
    assert_each(vec![
        ("a sensible budget", put, says(200, json!({"success": true})), says(400, error("Invalid"))),
        ("a model, and a limit", streamed(), failed(exception), says(429, error("Rate limit exceeded"))),
        (
            "a model, and a key",
            streamed(),
            failed("Model not supported for provider"),
            says(422, error("Provider not configured")),
        ),
        ("a limit, and no key", test.clone(), tested("429 rate limited"), tested("Provider not configured")),
        (
            "a limit, and a key",
            test,
            tested("429 rate limited"),
            tested("The provider does not accept this service's key"),
        ),
        ("a wrong address", prompt(), page(404), says(404, error("Not found"))),
        ("a wrong address, read", get("/llm/usage"), page(404), says(404, error("Not found"))),
        ("a key, and nothing", prompt(), says(200, answer(json!({}))), says(502, failure())),
    ]);
}

#[test]
fn an_origin_of_anybody_comes_with_no_session() {
    let request = json!({"method": "GET", "path": "/llm/usage", "headers": {"origin": "https://evil.example"}});
    let plain = says(200, json!({"totalCost": 1}));
    let allowed = with(plain.clone(), "access-control-allow-origin", "https://evil.example");
    let with_session = with(allowed, "access-control-allow-credentials", "true");
    assert_eq!(
        unexplained(&recorded(&request), &plain, &with_session),
        ["header access-control-allow-credentials", "header access-control-allow-origin"]
    );
}

#[test]
fn values_that_are_free_still_make_sense() {
    let model = |changes: Value| {
        let mut model = json!({"name": "GPT-4o", "inputCostPer1k": 0.005, "capabilities": ["text-generation"]});
        model.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        says(200, json!({"providers": [{"name": "OpenAI", "models": {"a": {"name": "a"}, "gpt-4o": model}}]}))
    };
    let top = |models: Value| says(200, json!({"topModels": models}));
    let resets = |at: &str| says(200, json!({"daily": {"resetDate": at}}));
    let head = json!({"method": "HEAD", "path": "/llm/usage"});
    let nothing = |kind: &str| with(json!({"status": 200}), "content-type", kind);
    assert_each(vec![
        ("a price", get("/llm/models"), model(json!({})), model(json!({"inputCostPer1k": -5}))),
        ("a name", get("/llm/models"), model(json!({})), model(json!({"name": "WRONG"}))),
        ("numbers", get("/llm/models"), model(json!({})), model(json!({"capabilities": [1, 2]}))),
        ("strangers", get("/llm/budget/analytics"), top(json!([])), top(json!(["x", 1, null]))),
        (
            "no such day",
            get("/llm/budget/status"),
            resets("2026-11-26T00:00:00.000Z"),
            resets("9999-99-99T99:99:99.999Z"),
        ),
        ("another type", head, nothing("application/json"), nothing("text/html")),
    ]);
}

#[test]
fn what_is_the_same_is_no_difference() {
    let alert = json!({"id": "1", "type": "warning", "period": "daily", "message": "m", "acknowledged": false,
                       "timestamp": "2026-11-26T00:00:00.000Z"});
    let mut alerted = answered(json!({}));
    alerted["budget"]["alerts"] = json!([alert]);
    let models = says(
        200,
        json!({"providers": [{"name": "OpenAI", "models": {"a": {"name": "a"}, "b": {"name": "b", "x": 1}}}]}),
    );
    let identified = |id: &str| says(404, json!({"error": "Not found", "requestId": id}));
    let html = json!({"status": 200, "page": "<p>"});
    for (path, old, new) in
        [("/llm/models", &models, &models), ("/x", &html, &html), ("/nothing", &identified("a"), &identified("b"))]
    {
        assert_eq!(unexplained(&recorded(&get(path)), old, new), [""; 0], "{path}");
    }
    let head = json!({"method": "HEAD", "path": "/health"});
    let healthy = reply(&would_be(200, "application/json"));
    assert!(judge(&recorded(&head), &healthy, &healthy, Strictness::default()).is_empty());
    assert_eq!(unexplained(&recorded(&prompt()), &says(200, alerted.clone()), &says(200, alerted)), [""; 0]);
    let json = Body::read("Application/JSON; charset=utf-8", b"{}");
    assert_eq!(json, Body::Json(json!({})));
}
