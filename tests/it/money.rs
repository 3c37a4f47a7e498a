//! What was spent and what was saved, as clients and operators see it.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, Request};
use llm_gateway::generate::{ErrorKind, FinishReason, MicroDollars};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    outage::settled,
    support::{Gateway, Reply, Scripted, Step, Vendor, post},
};

/// 1,000 tokens in and 500 out, which every scripted answer takes, in micro-dollars: $2.50 and $10 for a million, and what the
/// catalogue says of the other model.
const GPT_4O: u64 = 1_000 * 25 / 10 + 500 * 10;

fn micro_dollars(dollars: &Value) -> u64 {
    MicroDollars::of(dollars.as_f64().unwrap()).0
}

async fn analytics(gateway: &Gateway) -> Value {
    gateway.get("/llm/budget/analytics").await.expect(200).json()
}

/// What was spent for clients and avoided.
fn for_clients(analytics: &Value) -> u64 {
    let avoided = ["hits", "joined", "stale"].map(|kind| micro_dollars(&analytics["avoided"][kind]["cost"]));
    micro_dollars(&analytics["spent"]["clients"]["cost"]) + avoided.iter().sum::<u64>()
}

fn spent(analytics: &Value, kind: &str) -> (u64, u64) {
    let share = &analytics["spent"][kind];
    (share["requests"].as_u64().unwrap(), micro_dollars(&share["cost"]))
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_what_it_cost_and_a_hit_costs_nothing() {
    let gateway = Gateway::start();
    let first = gateway.generate("x").await.expect(200).json();
    assert_eq!(micro_dollars(&first["metadata"]["estimatedCost"]), GPT_4O);
    assert_eq!(first["metadata"]["estimatedTokens"], 1_500);
    assert_eq!(micro_dollars(&first["budget"]["status"]["daily"]["used"]), GPT_4O);
    for _ in 0..3 {
        let hit = gateway.generate("x").await.expect(200).json();
        assert_eq!((&hit["cached"], micro_dollars(&hit["metadata"]["estimatedCost"])), (&json!(true), 0));
        assert_eq!(micro_dollars(&hit["budget"]["status"]["monthly"]["used"]), GPT_4O);
    }
    let stats = gateway.get("/llm/cache/stats").await.expect(200).body.clone();
    assert_eq!(stats, r#"{"hits":3,"misses":1,"hitRate":75,"estimatedSavings":"$0.02"}"#);
    let usage = gateway.get("/llm/usage").await.expect(200).body.clone();
    assert_eq!(
        usage,
        r#"{"totalRequests":1,"totalCost":0.0075,"totalInputTokens":1000,"totalOutputTokens":500,"averageCostPerRequest":0.0075}"#
    );
    assert_eq!(gateway.get("/llm/models").await.json()["usageStats"], serde_json::from_str::<Value>(&usage).unwrap());
}

#[tokio::test(start_paused = true)]
async fn usage_is_that_of_the_provider_and_model_that_are_named() {
    let (gateway, _) = Gateway::with_two([], Scripted::hello(), Scripted::hello());
    for body in [
        json!({"prompt": "x", "model": "gpt-4o"}),
        json!({"prompt": "y", "model": "gpt-4o"}),
        json!({"prompt": "x", "model": "grok-4.7"}),
    ] {
        gateway.post(body).await.expect(200);
    }
    for (query, requests) in [
        ("", 3),
        ("?provider=openai", 2),
        ("?provider=OpenAI&model=GPT-4o", 2),
        ("?model=grok-4.7", 1),
        ("?provider=xai&model=gpt-4o", 0),
        ("?provider=acme", 0),
        ("?provider=", 3),
        ("?provider=openai&provider=openai", 0),
        ("?other=1", 3),
    ] {
        let usage = gateway.get(&format!("/llm/usage{query}")).await.expect(200).json();
        assert_eq!(usage["totalRequests"], requests, "{query}");
    }
    let analytics = analytics(&gateway).await;
    let top = analytics["topModels"].as_array().unwrap();
    assert_eq!(
        (top.len(), &top[0]["model"], &top[0]["provider"], &top[0]["requests"]),
        (2, &json!("gpt-4o"), &json!("openai"), &json!(2))
    );
    assert_eq!(micro_dollars(&top[0]["cost"]), 2 * GPT_4O);
    assert_eq!((&analytics["totalRequests"], &analytics["totalTokens"]), (&json!(3), &json!(4_500)));
    assert_eq!(analytics["costByPeriod"]["today"], analytics["totalCost"]);
}

#[tokio::test(start_paused = true)]
async fn trends_compare_with_the_period_before() {
    let gateway = Gateway::start();
    let change = |analytics: &Value| analytics["trends"].clone();
    gateway.generate("1").await.expect(200);
    assert_eq!(change(&analytics(&gateway).await), json!({"dailyChange": 0.0, "weeklyChange": 0.0}));
    sleep(Duration::from_hours(24)).await;
    for prompt in ["2", "3", "4"] {
        gateway.generate(prompt).await.expect(200);
    }
    assert_eq!(change(&analytics(&gateway).await), json!({"dailyChange": 200.0, "weeklyChange": 0.0}));
    // A week later: yesterday there was nothing.
    sleep(Duration::from_hours(24 * 6)).await;
    gateway.generate("5").await.expect(200);
    let later = analytics(&gateway).await;
    assert_eq!(change(&later), json!({"dailyChange": 0.0, "weeklyChange": -75.0}));
    let [today, week, month] =
        ["today", "thisWeek", "thisMonth"].map(|period| micro_dollars(&later["costByPeriod"][period]));
    // 2026-12-01: another day, week and month than 2026-11-24.
    assert_eq!((today, week, month), (GPT_4O, GPT_4O, GPT_4O));
    assert_eq!(micro_dollars(&later["totalCost"]), 5 * GPT_4O);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_booked_with_what_it_took() {
    let cut = || vec![Step::Text("Hello, world, hello!"), Step::Fail(ErrorKind::StreamInterrupted)];
    let refused = || vec![Step::Fail(ErrorKind::RateLimited)];
    let empty = || vec![Step::Finish(FinishReason::Stop)];
    let good = || vec![Step::Text("Hello"), Step::Finish(FinishReason::Stop)];
    let settings = [("PROMPT_STYLE", "plain"), ("PROVIDER_BREAKER_FAILURES", "0")];
    let gateway = Gateway::with(settings, Scripted::in_turn([empty(), refused(), good(), cut()]));
    let ask = |prompt: &str| gateway.post(json!({"prompt": prompt, "model": "gpt-4o", "allowFailover": false}));
    // An answer without a word, whose tokens the provider counted; refused, which costs nothing; then a good one.
    let reply = ask("x").await.expect(200).json();
    assert_eq!(reply["metadata"]["attempts"], 3);
    let booked = analytics(&gateway).await;
    assert_eq!((spent(&booked, "clients"), spent(&booked, "failed")), ((1, GPT_4O), (2, GPT_4O)));
    assert_eq!(micro_dollars(&reply["budget"]["status"]["daily"]["used"]), 2 * GPT_4O);
    assert_eq!(booked["estimatedCost"], 0.0);

    // Cut in the middle: 40 bytes of question are 10 tokens, 20 bytes of answer are 5.
    ask(&"y".repeat(40)).await.expect(502);
    let booked = analytics(&gateway).await;
    assert_eq!(spent(&booked, "failed"), (3, GPT_4O + 10 * 25 / 10 + 5 * 10));
    assert_eq!(micro_dollars(&booked["estimatedCost"]), 10 * 25 / 10 + 5 * 10);
    assert_eq!((&booked["totalRequests"], micro_dollars(&booked["totalCost"])), (&json!(1), 2 * GPT_4O + 75));
}

#[tokio::test]
async fn an_answer_that_its_server_gave_up_is_booked_with_all_that_was_counted() {
    let usage = json!({"prompt_tokens": 1_000, "completion_tokens": 500});
    let said = json!({"content": "Hello"});
    let events =
        |events: &[Value]| events.iter().map(|event| format!("data: {event}\n\n")).collect::<Vec<_>>().concat();
    let counted = json!({"choices": [{"delta": said}], "usage": usage});
    for (content_type, body) in [
        (
            "application/json",
            json!({"choices": [{"message": said, "finish_reason": "error"}], "usage": usage}).to_string(),
        ),
        (
            "text/event-stream",
            events(&[json!({"choices": [{"delta": said, "finish_reason": "aborted"}]}), counted.clone()]),
        ),
        ("text/event-stream", events(&[counted, json!({"error": {"code": 502, "message": "Provider disconnected"}})])),
    ] {
        let headers = HeaderMap::from_iter([("content-type".parse().unwrap(), content_type.parse().unwrap())]);
        let vendor = Vendor::serving(200, headers, body.clone().into(), usize::MAX).await;
        let settings = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", &*vendor.base_url), ("PROVIDER_RETRIES", "0")];
        let gateway = Gateway::configured(settings);
        gateway.post(json!({"prompt": "x", "model": "gpt-4o", "allowFailover": false})).await.expect(502);
        let booked = analytics(&gateway).await;
        assert_eq!((spent(&booked, "failed"), spent(&booked, "clients")), ((1, GPT_4O), (0, 0)), "{body}");
        assert_eq!(booked["estimatedCost"], 0.0, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_booked_apart() {
    let second = Duration::from_secs(1);
    for (no_store, kind, cost) in [
        // It is finished for the cache.
        (false, "abandoned", GPT_4O),
        // It is cancelled: what had come of it is a guess. 8 bytes of question, 7 of answer.
        (true, "abandoned", 2 * 25 / 10 + 2 * 10),
    ] {
        let gateway = Arc::new(Gateway::with([("PROMPT_STYLE", "plain")], Scripted::slow(second)));
        let leaves = Arc::clone(&gateway);
        let leaving = tokio::spawn(async move {
            let mut request =
                post("/llm/generate", &json!({"prompt": "question", "model": "gpt-4o", "streaming": true}));
            if no_store {
                request.headers_mut().insert("cache-control", "no-store".parse().unwrap());
            }
            leaves.open(request).await.until("DELTA").await;
        });
        leaving.await.unwrap();
        settled(&gateway).await;
        let booked = analytics(&gateway).await;
        assert_eq!((spent(&booked, kind), spent(&booked, "clients")), ((1, cost), (0, 0)), "{no_store}");
        assert_eq!(for_clients(&booked), 0);
    }
}

/// What happens in a trace.
#[derive(Clone, Debug)]
enum Move {
    Ask { question: u8, other_model: bool, streaming: bool, cache_control: &'static str, leaves_after: Option<u64> },
    Wait(u64),
}

fn traces() -> impl Strategy<Value = Vec<Move>> {
    let directives = prop_oneof![6 => Just(""), 1 => Just("no-cache"), 1 => Just("no-store"), 1 => Just("max-age=20")];
    let leaves_after = prop_oneof![3 => Just(None), 1 => (0_u64..80).prop_map(|tenths| Some(tenths * 100 + 50))];
    let ask = (0_u8..3, any::<bool>(), any::<bool>(), directives, leaves_after).prop_map(
        |(question, other_model, streaming, cache_control, leaves_after)| Move::Ask {
            question,
            other_model,
            streaming,
            cache_control,
            leaves_after,
        },
    );
    let wait = prop_oneof![3 => 0_u64..30, 1 => 30_u64..1_500].prop_map(|tenths| Move::Wait(tenths * 100));
    prop::collection::vec(prop_oneof![2 => ask, 1 => wait], 1..40)
}

fn scripts() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let pause = |tenths: u64| Step::Pause(Duration::from_millis(tenths * 100));
    let good = (0_u64..30, 0_u64..30).prop_map(move |(before, after)| {
        vec![pause(before), Step::Text("Hello, "), pause(after), Step::Text("world!"), Step::Finish(FinishReason::Stop)]
    });
    let failing = (0_u64..30).prop_map(move |before| vec![pause(before), Step::Fail(ErrorKind::ServerError)]);
    let cut = (0_u64..30)
        .prop_map(move |before| vec![pause(before), Step::Text("Hel"), Step::Fail(ErrorKind::StreamInterrupted)]);
    prop::collection::vec(prop_oneof![5 => good, 1 => failing, 1 => cut], 1..12)
}

/// Asks, and says what the answer would have cost alone. `None`: there was none, or a stored one stood in for it.
async fn ask(gateway: Arc<Gateway>, step: Move, costs: [u64; 2]) -> Option<u64> {
    let Move::Ask { question, other_model, streaming, cache_control, leaves_after } = step else { return None };
    let model = MODELS[usize::from(other_model)];
    let body = json!({"prompt": question.to_string(), "model": model, "streaming": streaming, "allowFailover": false});
    let mut request = post("/llm/generate", &body);
    if !cache_control.is_empty() {
        request.headers_mut().insert("cache-control", cache_control.parse().unwrap());
    }
    let reply = tokio::select! {
        reply = gateway.send(request) => reply,
        () = sleep(leaves_after.map_or(Duration::MAX, Duration::from_millis)) => return None,
    };
    let answer = answer(&reply)?;
    let stands_in = answer["metadata"]["cache"].as_str().unwrap().contains("stale-if-error");
    (!stands_in).then_some(costs[usize::from(other_model)])
}

const MODELS: [&str; 2] = ["gpt-4o", "gpt-6-luna"];

fn answer(reply: &Reply) -> Option<Value> {
    if reply.status != 200 {
        return None;
    }
    let answer = if reply.body.starts_with('{') { reply.json() } else { reply.last() };
    answer.get("code").is_some().then_some(answer)
}

/// Plays `trace`, and compares the books with what clients got and providers gave.
async fn balance(trace: Vec<Move>, scripts: Vec<Vec<Step>>) {
    let mut costs = [0; 2];
    for (model, cost) in MODELS.into_iter().zip(&mut costs) {
        let reply = Gateway::start().post(json!({"prompt": "x", "model": model})).await;
        *cost = micro_dollars(&reply.expect(200).json()["metadata"]["estimatedCost"]);
    }
    assert!(costs[0] != costs[1] && costs[1] > 0);

    let settings = [
        ("CACHE_TTL_SECONDS", "30"),
        ("CACHE_REVALIDATE_SECONDS", "30"),
        ("CACHE_STALE_SECONDS", "60"),
        ("RATE_LIMIT_MAX", "0"),
        ("PROVIDER_RETRIES", "1"),
        ("PROVIDER_BREAKER_FAILURES", "0"),
    ];
    let gateway = Arc::new(Gateway::with(settings, Scripted::in_turn(scripts)));
    let mut asking = Vec::new();
    for step in trace {
        match step {
            Move::Wait(ms) => sleep(Duration::from_millis(ms)).await,
            Move::Ask { .. } => asking.push(tokio::spawn(ask(Arc::clone(&gateway), step, costs))),
        }
    }
    let mut alone = 0;
    for asked in asking {
        alone += asked.await.unwrap().unwrap_or_default();
    }
    settled(&gateway).await;
    let booked = analytics(&gateway).await;
    assert_eq!(for_clients(&booked), alone, "without a cache: {booked}");
    let finished: u64 = gateway
        .provider
        .finished()
        .await
        .iter()
        .map(|model| costs[MODELS.iter().position(|known| known == model).unwrap()])
        .sum();
    let known: u64 = ["clients", "refreshes", "abandoned", "failed"].map(|kind| spent(&booked, kind).1).iter().sum();
    assert_eq!(known - micro_dollars(&booked["estimatedCost"]), finished, "what providers gave: {booked}");
    let status = gateway.get("/llm/budget/status").await.json();
    assert_eq!(micro_dollars(&booked["totalCost"]), known);
    // A trace is shorter than a week, and begins on a Tuesday.
    assert_eq!(micro_dollars(&status["weekly"]["used"]), known);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn money_balances_whatever_happens(trace in traces(), scripts in scripts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(balance(trace, scripts));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_tested_past_the_cache_and_counted() {
    let gateway = Gateway::with(
        [("RATE_LIMIT_MAX", "5")],
        Scripted::in_turn([
            vec![Step::Text("Hello!"), Step::Finish(FinishReason::Stop)],
            vec![Step::Finish(FinishReason::Stop)],
            vec![Step::Fail(ErrorKind::Authentication)],
        ]),
    );
    let test = |body: Value| gateway.send(post("/llm/test-provider", &body));
    let good = test(json!({"providerName": "OpenAI"})).await.expect(200).json();
    assert_eq!((&good["provider"], &good["success"], good.get("error")), (&json!("OpenAI"), &json!(true), None));
    assert!(good["responseTime"].is_u64(), "{good}");
    assert_eq!(gateway.provider.questions().await, ["user: Hello"]);
    let failed = gateway.send(post("/llm/test-provider", &json!({"providerName": "acme"}))).await.expect(200).json();
    assert_eq!(failed, json!({"provider": "acme", "success": false, "error": "Provider not found"}));
    test(json!({"providerName": null})).await.expect(400);
    let refused = test(json!({})).await;
    assert_eq!(refused.expect(400).json()["error"], "Provider name is required");
    // It is limited as a generation is, and costs what one costs.
    test(json!({"providerName": "openai"})).await.expect(200);
    test(json!({"providerName": "openai"})).await.expect(429);
    gateway.generate("x").await.expect(429);
    // One good answer, and one without a word, whose tokens the provider counted all the same.
    let booked = analytics(&gateway).await;
    assert_eq!((spent(&booked, "clients"), micro_dollars(&booked["totalCost"])), ((1, GPT_4O), 2 * GPT_4O));
}

#[tokio::test(start_paused = true)]
async fn what_a_tested_provider_says_is_told_in_our_own_words() {
    let scripts = [vec![Step::Finish(FinishReason::Stop)], vec![Step::Fail(ErrorKind::Authentication)]];
    let gateway = Gateway::with([("PROVIDER_RETRIES", "0")], Scripted::in_turn(scripts));
    let test = || gateway.send(post("/llm/test-provider", &json!({"providerName": "openai"})));
    assert_eq!(test().await.expect(200).json()["success"], true, "an empty answer is an answer");
    let failed = test().await.expect(200).json();
    assert_eq!(
        (&failed["success"], &failed["error"]),
        (&json!(false), &json!("The provider does not accept this service's key"))
    );
    assert_eq!(gateway.provider.calls(), 2);
    let request = Request::post("/llm/test-provider").header("content-type", "application/json");
    gateway.send(request.body("{".into()).unwrap()).await.expect(400);
}
