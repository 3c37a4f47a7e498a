//! What a rule means, with one thing wrong in it: nothing that the old said makes that right.

use llm_gateway::compare::{Body, Strictness, judge};
use serde_json::{Value, json};

use super::replies::{
    answer, answered, complete, error, errors, failure, generate, get, page, periods, recorded, reply, says, streams,
    thought, thoughts, with,
};

const NEW: [&str; 7] = ["user", "planning", "researching", "executing", "DELTA", "drafting", "summary"];

/// What is wrong, and how it comes about.
type Fault = (&'static str, fn(&mut Value));

/// What is not explained, where it is.
fn places(request: &Value, old: &Value, new: &Value) -> Vec<String> {
    let found = judge(&recorded(request), &reply(old), &reply(new), Strictness::default());
    found
        .into_iter()
        .filter(|found| found.rule.is_none())
        .map(|found| format!("{}: {}", found.place, found.what))
        .collect()
}

/// That all is meant as it is, and nothing is with any of the faults.
fn assert_each_is_found(request: &Value, old: &Value, new: &Value, faults: &[Fault]) {
    assert_eq!(places(request, old, new), [""; 0]);
    for (what, make) in faults {
        let mut wrong = new.clone();
        make(&mut wrong);
        assert_ne!(wrong.to_string(), new.to_string(), "{what} changes nothing");
        assert!(!places(request, old, &wrong).is_empty(), "{what}");
    }
}

const OF_ANSWERS: [Fault; 21] = [
    ("no code", |new| drop(new["body"].as_object_mut().unwrap().remove("code"))),
    ("no `cached`", |new| drop(new["body"].as_object_mut().unwrap().remove("cached"))),
    ("no finishReason", |new| drop(new["body"]["metadata"].as_object_mut().unwrap().remove("finishReason"))),
    ("no usage", |new| drop(new["body"]["metadata"].as_object_mut().unwrap().remove("usage"))),
    ("no budget", |new| new["body"]["budget"] = json!({})),
    ("another status", |new| new["body"]["budget"]["status"] = Value::Null),
    ("an alert of nobody's", |new| new["body"]["budget"]["alerts"] = json!([{"apiKey": "sk"}])),
    ("an alert that is none", |new| new["body"]["budget"]["alerts"] = json!([7])),
    ("tokens in words", |new| new["body"]["metadata"]["estimatedTokens"] = "many".into()),
    ("half a token", |new| new["body"]["metadata"]["estimatedTokens"] = 0.5.into()),
    ("no amount", |new| new["body"]["metadata"]["estimatedCost"] = Value::Null),
    ("another mode", |new| new["body"]["metadata"]["routingMode"] = 7.into()),
    ("another model", |new| new["body"]["metadata"]["model"] = "gpt-3".into()),
    ("another provider", |new| new["body"]["metadata"]["provider"] = "xai".into()),
    ("another model served", |new| new["body"]["metadata"]["servedModel"] = "gpt-4".into()),
    ("cut off", |new| new["body"]["metadata"]["finishReason"] = "length".into()),
    ("blank", |new| new["body"]["code"] = " \n".into()),
    ("both ways", |new| new["body"]["cached"] = (new["body"]["cached"] != true).into()),
    ("more", |new| new["body"]["metadata"]["apiKey"] = "sk".into()),
    ("a date of long ago", |new| {
        new["body"]["budget"]["status"]["daily"]["resetDate"] = "1970-01-01T00:00:00.000Z".into();
    }),
    ("a stream", |new| *new = streams(thoughts(&NEW, complete(new["body"].take())))),
];

#[test]
fn an_answer_is_one_whatever_the_old_said() {
    let asks = |more: Value| {
        let mut body = json!({"prompt": "x", "model": "openai:gpt-4o", "streaming": false});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        generate(body)
    };
    let new = says(200, answered(json!({})));
    let refused = says(422, json!({"error": "Missing model registry entry"}));
    let hit = says(200, answered(json!({"cached": true})));
    for (request, old, new) in [
        (asks(json!({})), says(200, answer(json!({}))), &new),
        (asks(json!({})), refused, &new),
        (asks(json!({"priority": null})), says(400, errors("priority")), &new),
        (asks(json!({"prompt": "x".repeat(110_000)})), page(413), &new),
        (asks(json!({})), says(429, json!({"error": "Budget limit exceeded"})), &hit),
    ] {
        assert_each_is_found(&request, &old, new, &OF_ANSWERS);
    }
}

const OF_STREAMS: [Fault; 13] = [
    ("from its end", |new| new["events"].as_array_mut().unwrap().reverse()),
    ("what it ends in first", |new| new["events"].as_array_mut().unwrap().swap(0, 1)),
    ("no thoughts", |new| drop(new["events"].as_array_mut().unwrap().drain(..4))),
    ("no call", |new| drop(new["events"].as_array_mut().unwrap().remove(3))),
    ("what nobody can read", |new| new["events"].as_array_mut().unwrap().insert(0, json!({"type": "unreadable"}))),
    ("a thought by name only", |new| new["events"][1] = json!({"type": "planning"})),
    ("no time", |new| drop(new["events"][1].as_object_mut().unwrap().remove("ts"))),
    ("no sentences", |new| new["events"][2]["items"] = json!([])),
    ("more in a thought", |new| new["events"][2]["output"] = "x".into()),
    ("another's prompt", |new| new["events"][0]["text"] = "Prompt: of somebody else".into()),
    ("another text", |new| new["events"][4]["text"] = "y".into()),
    ("a field less", |new| drop(new["events"][7]["metadata"].as_object_mut().unwrap().remove("attempts"))),
    ("JSON", |new| {
        let mut complete = new["events"][7].take();
        complete.as_object_mut().unwrap().remove("type");
        *new = says(200, complete);
    }),
];

#[test]
fn a_stream_is_one_whatever_the_old_said() {
    let streamed = |mode: &str| generate(json!({"prompt": "x", "routingMode": mode, "streaming": true}));
    let refused = |said: &str| streams(thoughts(&["user", "planning"], json!({"type": "ERROR", "error": said})));
    for (mode, old) in [
        (
            "manual",
            streams(thoughts(
                &["user", "planning", "researching", "executing", "drafting", "summary"],
                complete(answer(json!({}))),
            )),
        ),
        ("cost-aware", refused("Model not supported for provider")),
    ] {
        let new = streams(thoughts(&NEW, complete(answered(json!({"routingMode": mode})))));
        assert_each_is_found(&streamed(mode), &old, &new, &OF_STREAMS);
    }
}

const OF_ERRORS: [Fault; 7] = [
    ("no sentence", |new| new["body"]["error"] = Value::Null),
    ("a key", |new| new["body"]["env"] = json!({"OPENAI_API_KEY": "sk-live"})),
    ("a stack", |new| new["body"]["stack"] = "at /srv".into()),
    ("details of nobody's", |new| new["body"]["details"] = json!({"authorization": "Bearer sk"})),
    ("a message that is none", |new| new["body"]["message"] = 3.into()),
    ("a problem of nobody's", |new| new["body"]["errors"] = json!([{"stack": "at /srv"}])),
    ("to be tried again, or not", |new| new["body"]["retryAfter"] = 3.into()),
];

#[test]
fn an_error_has_only_what_errors_have() {
    let prompt = generate(json!({"prompt": "x"}));
    let made_up = says(200, answer(json!({"mock": true})));
    let exception = says(500, json!({"error": "x", "details": "Cannot read properties of null"}));
    let test = json!({"method": "POST", "path": "/llm/test-provider", "body": []});
    for (request, old, new) in [
        (&get("/nothing"), page(404), says(404, error("Not found"))),
        (&prompt, made_up.clone(), says(502, failure())),
        (&test, exception, says(400, error("Provider name is required"))),
        (&generate(json!({})), says(400, json!({"errors": errors("prompt")["errors"]})), says(400, errors("prompt"))),
    ] {
        assert_each_is_found(request, &old, &new, &OF_ERRORS);
    }
    let other_names: [Fault; 3] = [
        ("another provider", |new| new["body"]["provider"] = "xai".into()),
        ("another model", |new| new["body"]["model"] = "gpt-4".into()),
        ("an answer too", |new| new["body"]["code"] = "x".into()),
    ];
    assert_each_is_found(&prompt, &made_up, &says(502, failure()), &other_names);
    let asked = generate(json!({"prompt": "x", "streaming": false}));
    let event = json!({"type": "ERROR", "error": "Failed", "message": "m", "provider": "openai", "model": "gpt-4o", "requestId": "id"});
    let stream = streams(thoughts(&["user", "planning", "researching", "executing"], event));
    assert!(!places(&asked, &made_up, &stream).is_empty(), "a stream that nobody asked for");
    let of_events: [Fault; 5] = [
        ("a key", |new| new["events"][4]["apiKey"] = "sk-live".into()),
        ("another model", |new| new["events"][4]["model"] = "gpt-4".into()),
        ("another's prompt", |new| new["events"][0]["text"] = "Prompt: of somebody else".into()),
        ("a bare thought", |new| new["events"][1] = json!({"type": "THINKING", "kind": "planning"})),
        ("a thought too many", |new| new["events"].as_array_mut().unwrap().insert(4, thought("drafting"))),
    ];
    assert_each_is_found(&generate(json!({"prompt": "x", "streaming": true})), &made_up, &stream, &of_events);
}

#[test]
fn what_is_no_longer_there_is_a_difference() {
    let exception = || says(500, json!({"error": "x", "details": "providerName.toLowerCase is not a function"}));
    let thrown = json!({"type": "ERROR", "error": "Cannot set headers after they are sent to the client"});
    let no_key = || {
        says(422, json!({"error": "Provider not configured", "provider": "openai", "hint": "Set", "requestId": "1"}))
    };
    let put = json!({"method": "PUT", "path": "/llm/budget/config", "headers": {"authorization": "Bearer x"}, "body": {"dailyLimit": 50}});
    let unknown = json!({"prompt": "x", "model": "openai:gpt-9", "streaming": true});
    let known = json!({"prompt": "x", "model": "gpt-4o", "streaming": true});
    let events = || streams(thoughts(&["user", "planning"], thrown.clone()));
    let refused_key = || {
        let mut refused = failure();
        refused["error"] = "The provider does not accept this service's key".into();
        says(502, refused)
    };
    let made_up = |error: &str| says(200, answer(json!({"mock": true, "error": error})));
    assert_eq!(places(&generate(json!({"prompt": "x"})), &made_up("401 Unauthorized"), &refused_key()), [""; 0]);
    for (what, request, old, new) in [
        ("a key that is taken", generate(json!({"prompt": "x"})), made_up("500 boom"), refused_key()),
        ("a key", generate(json!({"prompt": "x", "routingMode": "heuristic"})), exception(), no_key()),
        ("a key, streamed", generate(unknown), events(), no_key()),
        ("a route", get("/llm/budget/status"), exception(), says(404, error("Not found"))),
        ("a route of questions", generate(json!({"prompt": "x"})), exception(), says(404, error("Not found"))),
        ("a question", generate(json!({"prompt": "x"})), exception(), says(400, error("Invalid request"))),
        ("a token", put, says(200, json!({"success": true})), says(401, error("Administrator only"))),
        ("a model", generate(known.clone()), events(), says(422, error("Model not supported for provider"))),
        ("a budget", generate(known), events(), streams(thoughts(&NEW, complete(answered(json!({})))))),
    ] {
        assert!(!places(&request, &old, &new).is_empty(), "{what}");
    }
}

#[test]
fn headers_look_like_what_they_are() {
    let limited = |name: &str, value: &str| {
        let all = with(says(200, json!({"totalCost": 1})), "x-ratelimit-limit", "20");
        let all = with(with(all, "x-ratelimit-remaining", "19"), "x-ratelimit-reset", "1795655320553");
        if name.is_empty() { all } else { with(all, name, value) }
    };
    let old = with(limited("", ""), "x-request-id", "req-1-abc");
    let usage = get("/llm/usage");
    for right in [("x-request-id", "01a2"), ("age", "3"), ("x-ratelimit-reset", "1795655290000")] {
        let new = with(limited(right.0, right.1), "x-request-id", "01a2");
        assert_eq!(places(&usage, &old, &new), [""; 0], "{right:?}");
    }
    for wrong in [
        ("x-ratelimit-reset", "42"),
        ("x-ratelimit-reset", "0"),
        ("x-ratelimit-remaining", "999"),
        ("age", "soon"),
        ("x-request-id", "a, b"),
        ("cache-status", "x"),
    ] {
        let new = with(with(limited("", ""), "x-request-id", "01a2"), wrong.0, wrong.1);
        assert!(!places(&usage, &old, &new).is_empty(), "{wrong:?}");
    }
}

#[test]
fn lists_and_statistics_look_like_what_they_are() {
    let stats = json!({"hits": 1, "misses": 2, "hitRate": 33.33, "estimatedSavings": "$0.01"});
    let model = json!({"name": "GPT-4o", "contextWindow": 128_000, "maxTokens": 4096, "inputCostPer1k": 0.005,
                       "capabilities": ["text-generation"], "strengths": ["code-generation"],
                       "routing": {"priority": 1, "fallback": true, "loadBalance": true}});
    let models = json!({"providers": [{"name": "OpenAI", "apiBaseUrl": "", "models": {"gpt-4o": model}}]});
    let of_stats: [Fault; 3] = [
        ("half a hit", |new| new["body"]["hits"] = 1.5.into()),
        ("more than all", |new| new["body"]["hitRate"] = 3_333.33.into()),
        ("another order", |new| {
            new["body"] = json!({"misses": 2, "hits": 1, "hitRate": 33.33, "estimatedSavings": "$0.01"});
        }),
    ];
    let of_models: [Fault; 9] = [
        ("no capabilities", |new| new["body"]["providers"][0]["models"]["gpt-4o"]["capabilities"] = json!([])),
        ("no strengths", |new| new["body"]["providers"][0]["models"]["gpt-4o"]["strengths"] = json!([])),
        ("no window", |new| new["body"]["providers"][0]["models"]["gpt-4o"]["contextWindow"] = 1.into()),
        ("no window known", |new| new["body"]["providers"][0]["models"]["gpt-4o"]["contextWindow"] = Value::Null),
        ("nothing to say", |new| new["body"]["providers"][0]["models"]["gpt-4o"]["maxTokens"] = 0.into()),
        ("for nothing", |new| new["body"]["providers"][0]["models"]["gpt-4o"]["inputCostPer1k"] = 0.into()),
        ("no fallback", |new| new["body"]["providers"][0]["models"]["gpt-4o"]["routing"]["fallback"] = false.into()),
        ("twice", |new| {
            let provider = new["body"]["providers"][0].clone();
            new["body"]["providers"].as_array_mut().unwrap().push(provider);
        }),
        ("a secret in an address", |new| {
            new["body"]["providers"][0]["apiBaseUrl"] = "http://user:secret@10.0.0.1/v1?key=sk".into();
        }),
    ];
    assert_each_is_found(&get("/llm/cache/stats"), &says(200, stats.clone()), &says(200, stats), &of_stats);
    assert_each_is_found(&get("/llm/models"), &says(200, models.clone()), &says(200, models), &of_models);
    let alerts = |list: Value| says(200, json!({"alerts": list}));
    assert!(!places(&get("/llm/budget/alerts"), &alerts(json!([])), &alerts(json!([{"apiKey": "sk"}]))).is_empty());
    assert_eq!(places(&get("/llm/budget/status"), &says(200, periods()), &says(200, periods())), [""; 0]);
}

#[test]
fn a_stream_has_a_blank_line_behind_each_event_and_no_byte_that_is_none() {
    let read = |bytes: &[u8]| Body::read("text/event-stream", bytes);
    let (one, unreadable) = (json!({"type": "A"}), json!({"type": "unreadable"}));
    let events = |events: &[&Value]| Body::Events(events.iter().map(|event| (*event).clone()).collect());
    assert_eq!(read(b": ping\n\ndata: {\"type\":\"A\"}\n\n:\n\ndata: {\"type\":\"A\"}\r\n\r\n"), events(&[&one, &one]));
    for wrong in [
        &b"data: {\"type\":\"A\"}"[..],
        b"data: {\"type\":\"A\"}\n",
        b"data: {\"type\":\"A\"}\ndata: {\"type\":\"A\"}\n\n",
        b"data:{\"type\":\"A\"}\n\n",
        b"data: {\"type\":\"\xff\"}\n\n",
        b"event: x\ndata: {\"type\":\"A\"}\n\n",
    ] {
        assert_eq!(read(wrong), events(&[&unreadable]), "{}", String::from_utf8_lossy(wrong));
    }
    assert!(matches!(Body::read("application/json", b"{\"a\":\"\xff\"}"), Body::Text(_)));
}

#[test]
fn what_is_no_name_is_not_repeated() {
    let request = generate(json!({"prompt": "x", "streaming": true}));
    let long = "T".repeat(1_000_000);
    let old = streams(thoughts(&NEW, complete(answer(json!({})))));
    let said = places(
        &request,
        &old,
        &streams(json!([{"type": long}, {"type": "Bearer s3cr3t"}, {"type": "THINKING", "kind": "sk\u{1b}[31m"}])),
    )
    .concat();
    assert!(
        said.len() < 10_000 && !said.contains("TTTT") && !said.contains("31m") && !said.contains("s3cr3t"),
        "{said}"
    );
    let list = |name: &str| says(200, json!({"providers": [{"name": name, name: 1}]}));
    let said = places(&get("/llm/providers"), &list("a"), &list(&long)).concat();
    assert!(said.len() < 1_000 && said.contains("providers[…]"), "{said}");
}
