//! `OpenAI`'s API: what is asked, what is answered, and what the cache, the limit and the ledger have to do with it.

use std::time::Duration;

use axum::{body::Body, http::Request};
use llm_gateway::generate::{ErrorKind, FinishReason};
use serde_json::{Value, json};

use crate::support::{Gateway, Reply, Scripted, Step, post, stats};

const PATH: &str = "/v1/chat/completions";

fn asking(more: &Value) -> Value {
    let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn request(more: &Value) -> Request<Body> {
    post(PATH, &asking(more))
}

async fn ask(gateway: &Gateway, more: Value) -> Reply {
    gateway.send(request(&more)).await
}

async fn ask_with(gateway: &Gateway, more: Value, cache_control: &'static str) -> Reply {
    let mut request = request(&more);
    request.headers_mut().insert("cache-control", cache_control.parse().unwrap());
    gateway.send(request).await
}

fn weather() -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}}])
}

fn calling() -> Scripted {
    Scripted::new([
        Step::Text("Let me see."),
        Step::Call("weather"),
        Step::Arguments(0, "{\"city\""),
        Step::Call("time"),
        Step::Arguments(0, ":\"Paris\"}"),
        Step::Arguments(1, "{}"),
        Step::Finish(FinishReason::ToolCalls),
    ])
}

/// What the chunks of a stream add up to, and how many there are of each kind.
fn chunks(reply: &Reply) -> Vec<Value> {
    let data: Vec<_> = reply.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (last, chunks) = data.split_last().unwrap();
    let mut chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    if *last != "[DONE]" {
        chunks.push(serde_json::from_str(last).unwrap());
    }
    chunks
}

#[tokio::test(start_paused = true)]
async fn the_demo_provider_answers_in_the_form_that_was_asked_for() {
    let gateway = Gateway::configured([("DEMO_PROVIDER", "on")]);
    let picture = json!({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}});
    let question = json!([picture, {"type": "text", "text": "Who is that?"}]);
    let messages = json!([{"role": "user", "content": question}, {"role": "assistant", "content": "She."}]);
    let said = async |format: Value| {
        let more = json!({"model": "demo:any", "messages": messages, "response_format": format});
        let answer = ask(&gateway, more).await.expect(200).json();
        answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    let text = said(json!({"type": "text"})).await;
    assert!(text.contains("You asked: Who is that?"), "{text}");
    let object: Value = serde_json::from_str(&said(json!({"type": "json_object"})).await).unwrap();
    assert_eq!(object["asked"], "Who is that?");
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema}});
    let person: Value = serde_json::from_str(&said(format).await).unwrap();
    assert!(person["name"].is_string() && person["age"].is_u64(), "{person}");
}

#[tokio::test]
async fn a_conversation_is_answered_in_the_form_that_clients_know() {
    let gateway = Gateway::start();
    let messages = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What?"},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]},
        {"role": "assistant", "content": "That.", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "21C"},
    ]);
    let reply = ask(&gateway, json!({"messages": messages, "user": "ann"})).await;
    let mut answer = reply.expect(200).json();
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-") && answer["created"] == 1_795_478_400);
    for volatile in ["id", "created"] {
        answer.as_object_mut().unwrap().remove(volatile);
    }
    let message = json!({"role": "assistant", "content": "Hello, world!", "refusal": null});
    let expected = json!({
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": null,
    });
    assert_eq!(answer, expected);
    let question = "system: Be brief.\nuser: What? <https://x.test/a.png>\nassistant: That. weather({})\ntool: a 21C";
    assert_eq!(gateway.provider.questions().await, [question]);
}

#[tokio::test]
async fn a_stream_brings_each_piece_and_its_end_once() {
    let gateway = Gateway::start();
    for (options, with_usage) in [(json!({"include_usage": true}), true), (Value::Null, false)] {
        let reply = ask(&gateway, json!({"stream": true, "stream_options": options})).await;
        assert_eq!(reply.expect(200).header("content-type"), "text/event-stream");
        assert!(reply.body.ends_with("data: [DONE]\n\n"));
        let mut chunks = chunks(&reply);
        let usage = with_usage.then(|| chunks.pop().unwrap());
        if let Some(usage) = usage {
            assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(1_500)));
        }
        assert!(chunks.iter().all(|chunk| chunk.get("usage").is_some() == with_usage && chunk["usage"].is_null()));
        assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["model"] == "gpt-4o"));
        let choices: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]).collect();
        assert_eq!(choices[0]["delta"], json!({"role": "assistant", "content": ""}));
        let text: String = choices.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(text, "Hello, world!");
        let (last, others) = choices.split_last().unwrap();
        assert_eq!((&last["finish_reason"], &last["delta"]), (&json!("stop"), &json!({})));
        assert!(others.iter().all(|choice| choice["finish_reason"].is_null()));
    }
    assert_eq!(gateway.provider.calls(), 1, "the second comes from the cache");
}

#[tokio::test]
async fn calls_of_tools_come_piece_by_piece_and_whole() {
    let gateway = Gateway::with([], calling());
    let tools = json!({"tools": weather(), "temperature": 0});
    let whole = ask(&gateway, tools.clone()).await.expect(200).json();
    let call = |name: &str, arguments: &str| {
        json!({
            "id": format!("id of {name}"), "type": "function", "function": {"name": name, "arguments": arguments},
            "extra_content": {"google": {"thought_signature": format!("signature of {name}")}},
        })
    };
    let expected = json!([call("weather", "{\"city\":\"Paris\"}"), call("time", "{}")]);
    assert_eq!(whole["choices"][0]["message"]["tool_calls"], expected);
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");

    let mut body = tools;
    body["stream"] = json!(true);
    let hit = ask(&gateway, body.clone()).await;
    assert!(hit.header("cache-status").contains("hit"));
    for reply in [hit, ask_with(&gateway, body, "no-cache").await] {
        let mut calls = vec![json!({"function": {"arguments": ""}}); 2];
        for chunk in chunks(&reply) {
            for piece in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let call = &mut calls[piece["index"].as_u64().unwrap() as usize];
                let so_far = call["function"]["arguments"].as_str().unwrap().to_owned();
                let more = piece["function"]["arguments"].as_str().unwrap();
                if piece.get("id").is_some() {
                    *call = piece.clone();
                    call.as_object_mut().unwrap().remove("index");
                }
                call["function"]["arguments"] = json!(so_far + more);
            }
        }
        assert_eq!(json!(calls), expected);
    }
    assert_eq!(gateway.provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_calls_tools_is_cached_only_for_who_wants_that() {
    let gateway = Gateway::with([], calling());
    let tools = json!({"tools": weather()});
    for (body, cache_control, status) in [
        (tools.clone(), "", "llm-gateway; fwd=bypass"),
        (tools.clone(), "", "llm-gateway; fwd=bypass"),
        (tools.clone(), "max-age=60", "llm-gateway; fwd=miss; stored"),
        (tools.clone(), "max-age=60", "llm-gateway; hit; ttl=3600"),
        (tools.clone(), "", "llm-gateway; fwd=bypass"),
        (json!({"tools": weather(), "temperature": 0}), "", "llm-gateway; fwd=miss; stored"),
        (json!({"tools": weather(), "temperature": 0.0}), "", "llm-gateway; hit; ttl=3600"),
    ] {
        let reply = ask_with(&gateway, body, cache_control).await;
        assert_eq!(reply.expect(200).header("cache-status"), status);
    }
}

#[tokio::test]
async fn the_whole_conversation_is_the_key_and_usage_on_a_hit_the_originals() {
    let gateway = Gateway::start();
    let first = ask(&gateway, json!({})).await;
    let second = ask(&gateway, json!({"user": "bob", "metadata": {"a": "b"}})).await;
    assert_eq!(first.json()["usage"], second.json()["usage"]);
    assert!(second.header("cache-status").starts_with("llm-gateway; hit") && second.header("age") == "0");
    assert_ne!(first.json()["id"], second.json()["id"]);
    let longer = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Hi"}]);
    for more in [json!({"messages": longer}), json!({"seed": 7}), json!({"response_format": {"type": "json_object"}})] {
        assert!(ask(&gateway, more).await.expect(200).header("cache-status").contains("fwd=miss"));
    }
    let counted = stats(&gateway).await;
    assert_eq!((&counted["hits"], &counted["misses"]), (&json!(1), &json!(4)));
    let usage = gateway.get("/llm/usage").await.expect(200).json();
    assert_eq!(usage["totalRequests"], 4, "{usage}");
    for effort in [Value::Null, json!("none"), json!("low"), json!("medium"), json!("high")] {
        let reply = ask(&gateway, json!({"model": "gpt-6-luna", "reasoning_effort": effort})).await;
        assert!(reply.expect(200).header("cache-status").contains("fwd=miss"), "{effort} is another question");
    }
}

#[tokio::test]
async fn both_apis_share_one_limit() {
    let gateway = Gateway::with([("RATE_LIMIT_MAX", "2")], Scripted::hello());
    gateway.generate("x").await.expect(200);
    let reply = ask(&gateway, json!({})).await;
    assert_eq!(reply.expect(200).header("x-ratelimit-remaining-requests"), "0");
    assert_eq!((reply.header("x-ratelimit-limit-requests"), reply.header("x-ratelimit-reset-requests")), ("2", "1m0s"));
    let reply = ask(&gateway, json!({})).await;
    let error = reply.expect(429).json()["error"].clone();
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limit_error"), &json!("rate_limit_exceeded")));
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("60", ""));
}

#[tokio::test]
async fn what_is_left_out_is_named_for_the_model_that_answers() {
    let gateway = Gateway::start();
    let left_out = async |more: Value| ask(&gateway, more).await.expect(200).header("x-gateway-dropped").to_owned();
    let all = json!({"temperature": 1, "seed": 7, "stop": "x", "logit_bias": {"1": 2}, "top_k": 5});
    let with = |model: &str| {
        let mut all = all.clone();
        all["model"] = json!(model);
        all
    };
    assert_eq!(left_out(with("gpt-4o")).await, "top_k,logit_bias");
    assert_eq!(left_out(with("gpt-6.2-sol")).await, "top_k,logit_bias,temperature,seed,stop");
    let mut tools = with("gpt-6-luna");
    tools["tools"] = weather();
    assert_eq!(left_out(tools).await, "top_k,logit_bias,temperature,seed,stop");
    let mut streamed = with("gpt-6.2-sol");
    streamed["stream"] = json!(true);
    assert_eq!(left_out(streamed).await, "top_k,logit_bias,temperature,seed,stop");
    assert_eq!(left_out(json!({})).await, "");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_its_field() {
    let gateway = Gateway::start();
    for (more, status, param, code) in [
        (json!({"model": "gpt-9"}), 404, json!("model"), "model_not_found"),
        (json!({"model": "anthropic/claude-opus-5-5"}), 404, json!("model"), "model_not_found"),
        (json!({"n": 3}), 400, json!("n"), "unsupported_value"),
        (
            json!({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}),
            400,
            json!("messages[0].tool_call_id"),
            "invalid_value",
        ),
    ] {
        let reply = ask(&gateway, more.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{more}: {}", reply.body);
        let error = &reply.json()["error"];
        assert_eq!((&error["param"], &error["code"]), (&param, &json!(code)), "{more}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let broken =
        Request::post(PATH).header("content-type", "application/json").body(Body::from("{\"model\":")).unwrap();
    let reply = gateway.send(broken).await;
    assert_eq!(reply.expect(400).json()["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn what_a_model_cannot_do_is_refused_before_it_is_asked() {
    let old = Gateway::with([("RETIRED_MODELS", "send")], Scripted::hello());
    let local = Gateway::configured([("OLLAMA_BASE_URL", "http://127.0.0.1:1")]);
    let picture = json!([
        {"role": "system", "content": "Look."},
        {"role": "user", "content": [
            {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ]},
    ]);
    for (gateway, more, param, says) in [
        (&local, json!({"model": "ollama/llama2", "tools": weather()}), "tools", "`llama2` calls no tools"),
        (
            &old,
            json!({"model": "gpt-4", "response_format": {"type": "json_object"}}),
            "response_format",
            "`gpt-4` cannot be held to JSON",
        ),
        (&old, json!({"model": "gpt-4", "messages": picture}), "messages[1].content[1]", "`gpt-4` sees no pictures"),
    ] {
        let error = ask(gateway, more).await.expect(400).json()["error"].clone();
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!("unsupported_value")), "{error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    ask(&old, json!({"model": "gpt-4"})).await.expect(200);
    assert_eq!(old.provider.calls(), 1);

    let refusing = Gateway::with([("RETIRED_MODELS", "refuse")], Scripted::hello());
    let error = ask(&refusing, json!({"model": "gpt-4"})).await.expect(404).json()["error"].clone();
    assert_eq!((&error["param"], &error["code"]), (&json!("model"), &json!("model_not_found")));
    assert!(
        error["message"].as_str().unwrap().contains("no longer serves it; `gpt-6.2-sol` took its place"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_nothing_is_none_and_is_not_kept() {
    for reason in [FinishReason::Stop, FinishReason::ToolCalls, FinishReason::Other] {
        let gateway = Gateway::with([], Scripted::new([Step::Text(""), Step::Finish(reason)]));
        for _ in 0..2 {
            let error = ask(&gateway, json!({})).await.expect(502).json()["error"].clone();
            assert_eq!((&error["code"], &error["type"]), (&json!("bad_upstream_response"), &json!("upstream_error")));
        }
        assert_eq!(gateway.provider.calls(), 2);

        // Before anything has come, another may answer.
        let (gateway, xai) = Gateway::with_two([], Scripted::new([Step::Finish(reason)]), Scripted::hello());
        assert_eq!(gateway.generate("x").await.expect(200).json()["code"], "Hello, world!", "{reason:?}");
        assert_eq!(xai.calls(), 1);
    }
}

#[tokio::test]
async fn a_call_whose_arguments_are_no_object_is_passed_on_and_not_kept() {
    for arguments in ["{\"city\":", "[]", "{} {}"] {
        let script = [Step::Call("weather"), Step::Arguments(0, arguments), Step::Finish(FinishReason::ToolCalls)];
        let gateway = Gateway::with([], Scripted::new(script));
        for calls in 1..=2 {
            let reply = ask(&gateway, json!({"tools": weather(), "temperature": 0})).await;
            assert_eq!(reply.expect(200).header("cache-status"), "llm-gateway; fwd=miss", "{arguments}");
            assert_eq!(gateway.provider.calls(), calls);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_piece_has_its_status_streamed_or_not() {
    for (kind, status, code, should_retry) in [
        (ErrorKind::RateLimited, 429, "rate_limit_exceeded", "false"),
        (ErrorKind::Authentication, 502, "upstream_authentication", "false"),
        (ErrorKind::QuotaExhausted, 502, "upstream_quota_exhausted", "false"),
        (ErrorKind::Overloaded, 503, "upstream_overloaded", "false"),
        (ErrorKind::ServerError, 502, "upstream_error", "false"),
        (ErrorKind::Timeout, 504, "upstream_timeout", "false"),
        (ErrorKind::ContextLengthExceeded, 400, "context_length_exceeded", ""),
        (ErrorKind::ModelNotFound, 404, "model_not_found", ""),
    ] {
        for stream in [false, true] {
            let gateway = Gateway::with([], Scripted::failing(kind));
            let reply = ask(&gateway, json!({"stream": stream})).await;
            let error = reply.expect(status).json()["error"].clone();
            assert_eq!((&error["code"], reply.header("x-should-retry")), (&json!(code), should_retry), "{kind:?}");
            assert!(reply.header("cache-status").contains("fwd=miss"), "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_ends_with_an_error_and_no_mark_of_its_end() {
    let gateway = Gateway::with([], Scripted::new([Step::Text("Hel"), Step::Fail(ErrorKind::ServerError)]));
    let reply = ask(&gateway, json!({"stream": true})).await;
    assert!(!reply.expect(200).body.contains("[DONE]") && !reply.body.contains("finish_reason\":\""));
    assert_eq!(chunks(&reply).pop().unwrap()["error"]["code"], "stream_interrupted");
    assert!(ask(&gateway, json!({})).await.header("cache-status").contains("fwd=miss"), "nothing of it is kept");
}

#[tokio::test(start_paused = true)]
async fn a_head_waits_for_the_first_piece_but_not_for_ever() {
    let gateway = Gateway::with([], Scripted::slow(Duration::from_secs(20)));
    let begun = tokio::time::Instant::now();
    let opened = gateway.open(request(&json!({"stream": true}))).await;
    assert_eq!((opened.status.as_u16(), begun.elapsed().as_secs()), (200, 20));
    let gateway = Gateway::with([], Scripted::slow(Duration::from_secs(29)));
    let begun = tokio::time::Instant::now();
    let opened = gateway.open(request(&json!({"stream": true}))).await;
    assert_eq!((opened.status.as_u16(), begun.elapsed().as_secs()), (200, 25));
    let reply = opened.finish().await;
    assert!(reply.body.contains(": ping") && reply.body.contains("world!") && reply.body.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn who_refuses_says_so_in_a_whole_answer() {
    let gateway = Gateway::with([], Scripted::new([Step::Refuse("I will not.")]));
    let whole = ask(&gateway, json!({})).await.expect(200).json();
    let choice = &whole["choices"][0];
    assert_eq!((&choice["message"]["refusal"], &choice["message"]["content"]), (&json!("I will not."), &Value::Null));
    assert_eq!(choice["finish_reason"], "content_filter");
    let streamed = ask(&gateway, json!({"stream": true})).await;
    let deltas: Vec<_> = chunks(&streamed).iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    assert!(deltas.contains(&json!({"refusal": "I will not."})), "{deltas:?}");
    assert_eq!(gateway.provider.calls(), 2, "a refusal is not kept");
}

#[tokio::test(start_paused = true)]
async fn a_name_of_the_operators_is_tried_in_order_and_a_models_own_is_meant() {
    let aliases = ("MODEL_ALIASES", "Fast=openai:gpt-4o|xai:grok-4.7");
    let failing = || Scripted::failing(ErrorKind::ServerError);
    let (gateway, xai) = Gateway::with_two([aliases], failing(), Scripted::hello());
    for stream in [false, true] {
        let reply = ask(&gateway, json!({"model": "fast", "stream": stream, "seed": 7, "presence_penalty": 1})).await;
        let answer = if stream { chunks(reply.expect(200))[0].clone() } else { reply.expect(200).json() };
        assert_eq!(answer["model"], "grok-4.7", "the model that answers");
        assert_eq!(reply.header("x-gateway-dropped"), "presence_penalty", "what it refuses");
    }
    assert_eq!(xai.calls(), 2, "an answer by failover is not kept under another model's name");
    ask(&gateway, json!({"model": "gpt-4o"})).await.expect(502);
    assert_eq!(xai.calls(), 2, "nobody stands in for who is named");
    let offered = gateway.get("/v1/models").await.expect(200).json();
    assert_eq!(offered["data"][0], json!({"id": "fast", "object": "model", "created": 0, "owned_by": "llm-gateway"}));
    gateway.get("/v1/models/xai/grok-4.7").await.expect(200);
    assert_eq!(gateway.get("/v1/models/nothing").await.expect(404).json()["error"]["code"], "model_not_found");
    // The same name in the original's API.
    let reply = gateway.post(json!({"prompt": "x", "model": "fast"})).await;
    assert_eq!(reply.expect(200).json()["metadata"]["servedModel"], "grok-4.7");
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_stands_in_whole_or_streamed() {
    let script = [Step::Text("Hello, "), Step::Text("world!"), Step::Finish(FinishReason::Stop)].to_vec();
    let gateway = Gateway::with(
        [("CACHE_TTL_SECONDS", "1"), ("PROVIDER_RETRIES", "0")],
        Scripted::in_turn([script, vec![Step::Fail(ErrorKind::ServerError)]]),
    );
    ask(&gateway, json!({})).await.expect(200);
    tokio::time::advance(Duration::from_secs(5)).await;
    let whole = ask(&gateway, json!({})).await;
    assert_eq!(whole.expect(200).json()["choices"][0]["message"]["content"], "Hello, world!");
    assert_eq!(whole.header("cache-status"), "llm-gateway; fwd=stale; detail=stale-if-error");
    let streamed = ask(&gateway, json!({"stream": true})).await;
    assert_eq!(streamed.expect(200).header("cache-status"), "llm-gateway; fwd=stale; detail=stale-if-error");
    assert_eq!(chunks(&streamed)[1]["choices"][0]["delta"]["content"], "Hello, world!");
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_head_went_out_early_names_who_answers_and_what_any_of_them_refuses() {
    let aliases = ("MODEL_ALIASES", "slow=openai:gpt-6.2-sol|xai:grok-4.7");
    let late = Scripted::new([Step::Pause(Duration::from_secs(26)), Step::Fail(ErrorKind::ModelNotFound)]);
    let (gateway, _) = Gateway::with_two([aliases], late, Scripted::hello());
    let more = json!({"model": "slow", "stream": true, "temperature": 0.5, "presence_penalty": 1});
    let reply = ask(&gateway, more).await;
    let chunks = chunks(reply.expect(200));
    assert!(chunks.iter().all(|chunk| chunk["model"] == "grok-4.7"), "{chunks:?}");
    assert_eq!(reply.header("x-gateway-dropped"), "temperature,presence_penalty");
}

#[tokio::test]
async fn a_model_writes_in_the_order_of_its_schema() {
    let gateway = Gateway::start();
    let asking = |first: &str, second: &str| {
        let schema = format!(r#"{{"type":"object","properties":{{"{first}":{{}},"{second}":{{}}}}}}"#);
        let schema: Value = serde_json::from_str(&schema).unwrap();
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}})
    };
    for (first, second) in [("reasoning", "answer"), ("answer", "reasoning")] {
        let reply = ask(&gateway, asking(first, second)).await;
        assert!(reply.expect(200).header("cache-status").contains("fwd=miss"), "another order is another question");
    }
}

#[tokio::test]
async fn an_answer_that_the_client_has_begun_goes_only_to_who_goes_on_with_it() {
    let gateway = Gateway::start();
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}]);
    ask(&gateway, json!({"messages": messages, "model": "gpt-4o"})).await.expect(200);
    let anthropic = Gateway::configured([("ANTHROPIC_API_KEY", "sk-x"), ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")]);
    let reply = ask(&anthropic, json!({"messages": messages, "model": "claude-sonnet-5-5"})).await;
    assert_eq!(reply.expect(400).json()["error"]["param"], "messages[1]");
}
