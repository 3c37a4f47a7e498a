//! One question, one JSON answer.

use std::time::Duration;

use axum::http::Request;
use llm_gateway::generate::{ErrorKind, FinishReason};
use serde_json::{Value, json};

use crate::support::{Gateway, Scripted, Step, post};

#[tokio::test(start_paused = true)]
async fn the_answer_has_every_field_of_the_contract() {
    let reply = Gateway::start().generate("Say hello").await;
    let body = reply.expect(200).json();
    assert_eq!(body["code"], "Hello, world!");
    assert_eq!(body["cached"], false);
    let metadata = &body["metadata"];
    assert_eq!(metadata["model"], "gpt-4o");
    assert_eq!(metadata["provider"], "openai");
    assert_eq!(metadata["estimatedTokens"], 1500);
    // 1000 tokens at $2.50 and 500 at $10 a million.
    assert_eq!(metadata["estimatedCost"], 0.0075);
    assert_eq!(metadata["routingMode"], "manual");
    assert_eq!(metadata["mock"], false);
    assert_eq!(metadata["cached"], false);
    assert_eq!(metadata["finishReason"], "stop");
    assert_eq!(metadata["attempts"], 1);
    assert_eq!(metadata["requestId"], reply.header("x-request-id"));
    let usage = json!({"inputTokens": 1000, "outputTokens": 500, "cachedInputTokens": 0, "reasoningTokens": 0});
    assert_eq!(metadata["usage"], usage);
    assert_eq!(body["budget"]["alerts"], json!([]));
    let daily = &body["budget"]["status"]["daily"];
    assert_eq!(daily["used"], 0.0075);
    assert_eq!(daily["limit"].as_f64(), Some(50.0));
    assert_eq!(daily["isOverLimit"], false);
    assert_eq!(reply.header("cache-status"), "llm-gateway; fwd=miss; stored");
    assert!(reply.header("server-timing").contains("provider;dur="));
}

#[tokio::test(start_paused = true)]
async fn the_prompt_goes_to_the_provider_as_it_is_and_instructions_stand_above_it() {
    let gateway = Gateway::start();
    gateway.generate("  A button,\nplease  ").await.expect(200);
    let question = gateway.provider.questions().await.remove(0);
    let (system, user) = question.split_once("\nuser: ").unwrap();
    assert!(system.starts_with("system: ") && system.contains("fenced code block") && system.contains("path"));
    assert_eq!(user, "  A button,\nplease  ");

    let gateway = Gateway::with([("PROMPT_STYLE", "plain")], Scripted::hello());
    gateway.generate("A button").await.expect(200);
    assert_eq!(gateway.provider.questions().await, ["user: A button"]);
}

#[tokio::test(start_paused = true)]
async fn json_is_the_answer_unless_a_stream_is_asked_for() {
    let ask = |streaming: Option<Value>, accept: Option<&'static str>| async move {
        let mut body = json!({"prompt": "x", "model": "gpt-4o"});
        if let Some(streaming) = streaming {
            body["streaming"] = streaming;
        }
        let mut request = post("/llm/generate", &body);
        if let Some(accept) = accept {
            request.headers_mut().insert("accept", accept.parse().unwrap());
        }
        let reply = Gateway::start().send(request).await;
        (reply.status.as_u16(), reply.header("content-type").to_owned())
    };
    let json_reply = || (200, "application/json".to_owned());
    let stream_reply = || (200, "text/event-stream".to_owned());
    assert_eq!(ask(None, None).await, json_reply());
    assert_eq!(ask(None, Some("*/*")).await, json_reply());
    assert_eq!(ask(None, Some("application/json, text/event-stream;q=0.5")).await, stream_reply());
    assert_eq!(ask(None, Some("application/json, text/event-stream;q=0")).await, json_reply());
    assert_eq!(ask(Some(json!(null)), Some("text/event-stream")).await, stream_reply());
    assert_eq!(ask(Some(json!(false)), Some("text/event-stream")).await, json_reply());
    assert_eq!(ask(Some(json!(true)), Some("application/json")).await, stream_reply());
    assert_eq!(ask(Some(json!("true")), None).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_refused_with_422() {
    let gateway = Gateway::start();
    let refused = async |body: Value| {
        let reply = gateway.post(body).await;
        let mut body = reply.expect(422).json();
        assert_eq!(body["requestId"], reply.header("x-request-id"));
        body.as_object_mut().unwrap().remove("requestId");
        body
    };
    assert_eq!(
        refused(json!({"prompt": "x", "model": "xai:grok-3"})).await,
        json!({"error": "Provider not configured", "provider": "xai", "hint": "Set XAI_API_KEY in .env.local"})
    );
    assert_eq!(
        refused(json!({"prompt": "x", "model": "acme:rocket"})).await,
        json!({"error": "Provider not configured", "provider": "acme", "hint": "Check provider setup"})
    );
    let body = refused(json!({"prompt": "x", "model": "gpt-9", "streaming": true})).await;
    assert_eq!(body["error"], "Model not supported for provider");
    assert_eq!((&body["provider"], &body["model"]), (&json!("openai"), &json!("gpt-9")));
    assert!(body["availableModels"].as_array().unwrap().contains(&json!("gpt-4o")));
    assert_eq!(gateway.provider.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_routing_mode_yields_an_answer() {
    let gateway = Gateway::start();
    for mode in ["manual", "heuristic", "cost-aware", "orchestrated", "single-model"] {
        let reply = gateway.post(json!({"prompt": "x", "routingMode": mode})).await;
        let body = reply.expect(200).json();
        assert_eq!(body["metadata"]["routingMode"], mode);
        let is_routed = !["manual", "single-model"].contains(&mode);
        assert_eq!(!reply.header("x-routing-decision").is_empty(), is_routed, "{mode}");
        if is_routed {
            let decision: Value = serde_json::from_str(reply.header("x-routing-decision")).unwrap();
            assert_eq!(decision["selectedModel"], body["metadata"]["model"]);
            assert_eq!(decision["fallbackOptions"].as_array().unwrap().len(), 3);
        }
    }
    let reply = gateway.post(json!({"prompt": "x", "routingMode": "cost-aware", "maxCost": 0.0})).await;
    assert_eq!(reply.expect(422).json()["error"], "No configured model fits the request");
}

#[tokio::test(start_paused = true)]
async fn what_a_model_does_not_take_is_left_out_and_named() {
    let gateway = Gateway::start();
    let ask = async |model: &str| {
        let body = json!({"prompt": "x", "model": model, "temperature": 0.5, "maxTokens": 100});
        gateway.post(body).await.expect(200).json()["metadata"]["ignored"].clone()
    };
    assert_eq!(ask("gpt-4o").await, Value::Null);
    assert_eq!(ask("gpt-6.2-sol").await, json!(["temperature"]));
}

#[tokio::test(start_paused = true)]
async fn only_a_whole_answer_is_an_answer_and_nothing_else_is_kept() {
    let text = Step::Text("Half an ans");
    let endings: [(&str, Vec<Step>, u16, &str); 7] = [
        ("nothing", Vec::new(), 502, "The provider's answer could not be understood"),
        ("cut", vec![text.clone()], 502, "The answer broke off"),
        ("error event", vec![text.clone(), Step::Fail(ErrorKind::ServerError)], 502, "The answer broke off"),
        ("empty", vec![Step::Finish(FinishReason::Stop)], 502, "The provider's answer is empty"),
        ("thought only", vec![Step::Finish(FinishReason::Length)], 502, "The provider's answer is empty"),
        ("refusal", vec![Step::Refuse("I will not.")], 400, "The provider refused to answer"),
        ("filtered", vec![text, Step::Finish(FinishReason::ContentFilter)], 400, "The provider refused to answer"),
    ];
    for (name, steps, status, error) in endings {
        let gateway = Gateway::with([("PROVIDER_RETRIES", "0")], Scripted::new(steps));
        let mut calls = Vec::new();
        for _ in 0..2 {
            let reply = gateway.generate("x").await;
            assert_eq!(reply.expect(status).json()["error"], error, "{name}");
            let stream = gateway.stream("x").await.finish().await;
            assert_eq!(stream.last()["type"], "ERROR", "{name}");
            assert_eq!(stream.last()["error"], error, "{name}");
            assert!(!stream.last()["message"].as_str().unwrap().is_empty());
            calls.push(gateway.provider.calls());
        }
        assert_eq!(calls[1], calls[0] * 2, "{name}: nothing was kept");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_off_by_length_is_delivered_marked_and_not_kept() {
    let cut = Scripted::new([Step::Text("Once upon a"), Step::Finish(FinishReason::Length)]);
    let gateway = Gateway::with([], cut);
    for calls in 1..=2 {
        let reply = gateway.generate("x").await;
        assert_eq!(reply.expect(200).json()["code"], "Once upon a");
        assert_eq!(reply.json()["metadata"]["finishReason"], "length");
        assert_eq!(reply.header("cache-status"), "llm-gateway; fwd=miss");
        assert_eq!(gateway.provider.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up() {
    let settings = [("PROVIDER_TIMEOUT_SECONDS", "5"), ("PROVIDER_IDLE_SECONDS", "3")];
    let gateway = Gateway::with(settings, Scripted::new([Step::Hang]));
    let begun = tokio::time::Instant::now();
    assert_eq!(gateway.generate("x").await.expect(504).json()["error"], "The provider did not answer in time");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(gateway.stream("y").await.finish().await.last()["error"], "The provider did not answer in time");

    let gateway = Gateway::with(settings, Scripted::new([Step::Text("Half"), Step::Hang]));
    let begun = tokio::time::Instant::now();
    assert_eq!(gateway.stream("x").await.finish().await.last()["error"], "The answer broke off");
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert!(gateway.app.flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_thinks_is_not_silent() {
    let settings = [
        ("PROVIDER_TIMEOUT_SECONDS", "5"),
        ("PROVIDER_IDLE_SECONDS", "3"),
        ("PROVIDER_STREAM_SECONDS", "30"),
        ("PROVIDER_BREAKER_FAILURES", "1"),
    ];
    let thought = |seconds| std::iter::repeat_n([Step::Pause(Duration::from_secs(1)), Step::Think], seconds).flatten();
    let (half, end) = (Step::Text("Half"), [Step::Text(", and whole"), Step::Finish(FinishReason::Stop)]);
    let script =
        |seconds| -> Vec<_> { [half.clone()].into_iter().chain(thought(seconds)).chain(end.clone()).collect() };
    let gateway = Gateway::with(settings, Scripted::in_turn([script(20), script(60)]));
    let reply = gateway.stream("x").await.finish().await;
    assert_eq!((reply.deltas().as_str(), &reply.last()["type"]), ("Half, and whole", &json!("COMPLETE")));

    // As long as the longest stream, and no longer.
    let begun = tokio::time::Instant::now();
    assert_eq!(gateway.stream("y").await.finish().await.last()["error"], "The answer broke off");
    assert_eq!(begun.elapsed(), Duration::from_secs(30));

    // What is thought before the first text is no beginning of the answer.
    let late: Vec<_> = thought(10).chain(end.clone()).collect();
    let gateway = Gateway::with(settings, Scripted::new(late));
    let begun = tokio::time::Instant::now();
    assert_eq!(gateway.stream("x").await.finish().await.last()["error"], "The provider did not answer in time");
    assert_eq!(begun.elapsed().as_secs(), 4);
    let nothing = Scripted::new([Step::Think, Step::Finish(FinishReason::Stop)]);
    let (gateway, xai) = Gateway::with_two(settings, nothing, Scripted::hello());
    assert_eq!(gateway.stream("x").await.finish().await.deltas(), "Hello, world!");
    assert_eq!(xai.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_is_an_error() {
    let long = Step::Text(Box::leak("x".repeat(2_000).into_boxed_str()));
    let gateway = Gateway::with([("MAX_ANSWER_KB", "1")], Scripted::new([long, Step::Finish(FinishReason::Stop)]));
    assert_eq!(gateway.generate("x").await.expect(502).json()["error"], "The provider's answer is too long");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_provider_is_one_requests_500() {
    let gateway = Gateway::with([], Scripted::new([Step::Text("Half"), Step::Panic]));
    assert_eq!(gateway.generate("x").await.expect(500).json()["error"], "Internal error");
    assert_eq!(gateway.stream("x").await.finish().await.last()["error"], "Internal error");
    assert!(gateway.app.flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_demo_provider_answers_for_any_model_and_says_what_it_is() {
    let gateway = Gateway::configured([]);
    let ask = async |prompt: &str, model: &str| {
        let reply = gateway.post(json!({"prompt": prompt, "model": model})).await;
        reply.expect(200).json()
    };
    let first = ask("Create a button", "claude-3-5-sonnet-20241022").await;
    assert_eq!(first["metadata"]["mock"], true);
    assert_eq!(first["metadata"]["provider"], "demo");
    assert_eq!(first["metadata"]["model"], "claude-3-5-sonnet-20241022");
    let code = first["code"].as_str().unwrap();
    assert!(code.contains("```tsx src/") && code.contains("```python server/") && code.contains("demo provider"));
    assert_eq!(
        Gateway::configured([])
            .post(json!({"prompt": "Create a button", "model": "claude-3-5-sonnet-20241022"}))
            .await
            .json()["code"],
        code
    );
    assert_ne!(ask("Create a form", "claude-3-5-sonnet-20241022").await["code"], code);

    let scripted = [
        ("error", 502),
        ("cut", 502),
        ("empty", 502),
        ("rate-limited", 429),
        ("overloaded", 503),
        ("unauthorized", 502),
        ("refusal", 400),
        ("truncated", 200),
        ("slow", 200),
        ("hang", 504),
        ("panic", 500),
    ];
    assert_eq!(scripted.len(), llm_gateway::providers::DEMO_SCRIPTS.len());
    for (script, status) in scripted {
        let gateway = Gateway::configured([]);
        gateway.post(json!({"prompt": "x", "model": format!("demo:{script}")})).await.expect(status);
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_provider_the_hint_says_what_to_set() {
    let gateway = Gateway::configured([("NODE_ENV", "production")]);
    let body = gateway.post(json!({"prompt": "x"})).await.expect(422).json();
    assert_eq!(body["hint"], "Set OPENAI_API_KEY in .env.local");
}

#[tokio::test(start_paused = true)]
async fn little_of_a_bad_request_comes_back() {
    let gateway = Gateway::start();
    let errors = async |body: String| {
        let request = Request::post("/llm/generate").header("content-type", "application/json");
        let reply = gateway.send(request.body(body.into()).unwrap()).await;
        assert!(reply.expect(400).body.len() < 4_000, "{}", reply.body.len());
        reply.json()["errors"].clone()
    };
    let many = errors(format!(r#"{{"prompt":"x","capabilities":[{}1]}}"#, "1,".repeat(50_000))).await;
    assert_eq!(many.as_array().unwrap().len(), 20);
    let long = errors(format!(r#"{{"prompt":"x","priority":"{}"}}"#, "y".repeat(50_000))).await;
    assert_eq!((&long[0]["path"], long[0].get("value")), (&json!("priority"), None));
    // Not every parser takes half a surrogate pair.
    let half = errors(r#"{"prompt":"x","maxCost":"\ude00"}"#.to_owned()).await;
    assert_eq!((&half[0]["path"], half[0].get("value")), (&json!("maxCost"), None));

    let unknown = gateway.post(json!({"prompt": "x", "model": "m".repeat(50_000), "activeProvider": "openai"})).await;
    assert_eq!(unknown.expect(422).json()["model"], "m".repeat(100));
}

#[tokio::test(start_paused = true)]
async fn validation_tells_every_problem_in_the_originals_form() {
    let gateway = Gateway::start();
    let reply = gateway.post(json!({"model": 5})).await;
    let body = reply.expect(400).json();
    assert_eq!(
        body["errors"],
        json!([
            {"type": "field", "msg": "Invalid value", "path": "prompt", "location": "body"},
            {"type": "field", "msg": "Prompt must be a non-empty string.", "path": "prompt", "location": "body"},
            {"type": "field", "value": 5, "msg": "Model must be a string.", "path": "model", "location": "body"},
        ])
    );
    assert!(body["error"].is_string());
    let request = Request::post("/llm/generate").header("content-type", "application/json").body("{".into()).unwrap();
    assert_eq!(gateway.send(request).await.expect(400).json()["error"], "Malformed JSON");
}
