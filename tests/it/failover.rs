//! What happens when a provider fails: again, another model, another provider, or the truth in time.

use std::time::Duration;

use llm_gateway::generate::{ErrorKind, FinishReason};
use serde_json::json;
use tokio::time::{Instant, advance, sleep};

use crate::support::{Gateway, Reply, Scripted, Step};

fn hello() -> Vec<Step> {
    vec![Step::Text("Hello, world!"), Step::Finish(FinishReason::Stop)]
}

async fn ask(gateway: &Gateway, streaming: bool, allow_failover: bool) -> Reply {
    let question = json!({
        "prompt": "x", "model": "gpt-5.5", "streaming": streaming, "allowFailover": allow_failover,
    });
    gateway.post(question).await
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_after_a_growing_wait() {
    let failing = vec![Step::Fail(ErrorKind::ServerError)];
    let gateway = Gateway::with([], Scripted::in_turn([failing.clone(), failing, hello()]));
    let begun = Instant::now();
    let reply = ask(&gateway, false, false).await;
    reply.expect(200);
    assert_eq!((gateway.provider.calls(), reply.json()["metadata"]["attempts"].as_u64()), (3, Some(3)));
    let waited = begun.elapsed().as_millis();
    assert!((1_125..=1_510).contains(&waited), "half a second, then one, less up to a quarter: {waited}");
}

#[tokio::test(start_paused = true)]
async fn each_kind_gets_its_number_of_attempts_and_its_status() {
    for (kind, calls, status) in [
        (ErrorKind::InvalidRequest, 1, 400),
        (ErrorKind::ContextLengthExceeded, 1, 400),
        (ErrorKind::ContentFilter, 1, 400),
        (ErrorKind::PayloadTooLarge, 1, 413),
        (ErrorKind::ModelNotFound, 1, 404),
        (ErrorKind::Authentication, 1, 502),
        (ErrorKind::Permission, 1, 502),
        (ErrorKind::QuotaExhausted, 1, 502),
        (ErrorKind::RateLimited, 3, 429),
        (ErrorKind::Overloaded, 3, 503),
        (ErrorKind::ServerError, 3, 502),
        (ErrorKind::Timeout, 2, 504),
        (ErrorKind::Connection, 3, 502),
        (ErrorKind::BadResponse, 2, 502),
        // Nobody has seen anything of it.
        (ErrorKind::StreamInterrupted, 2, 502),
        (ErrorKind::EmptyAnswer, 2, 502),
    ] {
        for streaming in [false, true] {
            let gateway = Gateway::with([], Scripted::failing(kind));
            let reply = ask(&gateway, streaming, false).await;
            assert_eq!(gateway.provider.calls(), calls, "{kind:?}");
            if streaming {
                assert_eq!(reply.last()["type"], "ERROR", "{kind:?}");
            } else {
                let body = reply.expect(status).json();
                assert!(body.get("code").is_none());
                assert!(!body["error"].as_str().unwrap().is_empty() && !body["message"].as_str().unwrap().is_empty());
                assert_eq!((&body["provider"], &body["model"]), (&json!("openai"), &json!("gpt-5.5")), "{kind:?}");
                assert_eq!(reply.header("cache-status"), "llm-gateway; fwd=miss");
                let waits = matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded);
                assert_eq!(!reply.header("retry-after").is_empty(), waits, "{kind:?}");
            }
            ask(&gateway, streaming, false).await;
            assert_eq!(gateway.provider.calls(), calls * 2, "nothing of it is kept: {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_provider_names_is_kept_where_there_is_time() {
    let soon = vec![Step::Refer(ErrorKind::RateLimited, Duration::from_secs(7))];
    let gateway = Gateway::with([], Scripted::in_turn([soon, hello()]));
    let begun = Instant::now();
    ask(&gateway, false, false).await.expect(200);
    assert_eq!(begun.elapsed().as_secs(), 7);

    let late = Step::Refer(ErrorKind::RateLimited, Duration::from_secs(59));
    let gateway = Gateway::with([], Scripted::new([late]));
    let begun = Instant::now();
    let reply = ask(&gateway, false, false).await;
    assert_eq!(reply.expect(429).header("retry-after"), "59");
    assert_eq!((begun.elapsed().as_secs(), gateway.provider.calls()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn another_provider_answers_says_so_and_is_not_kept_under_the_first_ones_name() {
    for streaming in [false, true] {
        let (gateway, xai) =
            Gateway::with_two([], Scripted::failing(ErrorKind::Authentication), Scripted::new(hello()));
        for calls in [1, 2] {
            let reply = ask(&gateway, streaming, true).await;
            let answer = if streaming { reply.last() } else { reply.expect(200).json() };
            assert_eq!(answer["code"], "Hello, world!");
            let metadata = &answer["metadata"];
            assert_eq!((&metadata["model"], &metadata["provider"]), (&json!("gpt-5.5"), &json!("xai")));
            assert!(metadata["servedModel"].as_str().unwrap().starts_with("grok-"), "{metadata}");
            assert_eq!((&answer["cached"], &metadata["attempts"]), (&json!(false), &json!(2)));
            // At a provider that does not take the key, one model is as good as another.
            assert_eq!((gateway.provider.calls(), xai.calls()), (calls, calls));
        }
        ask(&gateway, streaming, false).await;
        assert_eq!(xai.calls(), 2, "who forbids it gets the truth");
    }
}

#[tokio::test(start_paused = true)]
async fn another_model_of_the_same_provider_comes_first() {
    let failing = vec![Step::Fail(ErrorKind::ModelNotFound)];
    let (gateway, xai) = Gateway::with_two([], Scripted::in_turn([failing, hello()]), Scripted::new(hello()));
    let reply = ask(&gateway, false, true).await;
    let metadata = reply.expect(200).json()["metadata"].clone();
    assert_eq!((gateway.provider.calls(), xai.calls()), (2, 0));
    assert_eq!(metadata["provider"], "openai");
    assert_ne!(metadata["servedModel"], "gpt-5.5");
}

#[tokio::test(start_paused = true)]
async fn with_everyone_down_the_client_knows_in_time_what_the_first_one_said() {
    for streaming in [false, true] {
        let down = || Scripted::failing(ErrorKind::Overloaded);
        let (gateway, xai) = Gateway::with_two([], down(), down());
        let begun = Instant::now();
        let reply = ask(&gateway, streaming, true).await;
        assert!(begun.elapsed() < Duration::from_secs(55));
        // Two models there and one here, three attempts each.
        assert_eq!((gateway.provider.calls(), xai.calls()), (6, 3));
        if streaming {
            assert_eq!((&reply.last()["type"], &reply.last()["model"]), (&json!("ERROR"), &json!("gpt-5.5")));
        } else {
            assert_eq!(reply.expect(503).json()["model"], "gpt-5.5");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_first_text_there_is_no_other_attempt() {
    let cut = Scripted::new([Step::Text("Hello, "), Step::Fail(ErrorKind::ServerError)]);
    let (gateway, xai) = Gateway::with_two([], cut, Scripted::new(hello()));
    let reply = ask(&gateway, true, true).await;
    assert_eq!((reply.deltas().as_str(), &reply.last()["type"]), ("Hello, ", &json!("ERROR")));
    assert_eq!((gateway.provider.calls(), xai.calls()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_is_skipped_half_opens_and_closes() {
    let failing = vec![Step::Fail(ErrorKind::ServerError)];
    let scripts = [vec![failing; 2], vec![hello()]].concat();
    let settings = [("PROVIDER_BREAKER_FAILURES", "2"), ("PROVIDER_RETRIES", "0"), ("CACHE_ENABLED", "false")];
    let (gateway, xai) = Gateway::with_two(settings, Scripted::in_turn(scripts), Scripted::new(hello()));
    for _ in 0..2 {
        ask(&gateway, false, false).await.expect(502);
    }
    let skipped = ask(&gateway, false, false).await;
    assert_eq!(skipped.expect(503).header("retry-after"), "5");
    assert_eq!(gateway.provider.calls(), 2);
    let elsewhere = ask(&gateway, false, true).await;
    assert_eq!(elsewhere.expect(200).json()["metadata"]["provider"], "xai");
    assert_eq!((gateway.provider.calls(), xai.calls()), (2, 1));
    advance(Duration::from_secs(5)).await;
    ask(&gateway, false, false).await.expect(200);
    ask(&gateway, false, false).await.expect(200);
    assert_eq!(gateway.provider.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn who_hangs_is_left_in_time_for_another_to_answer() {
    let (gateway, xai) = Gateway::with_two([], Scripted::new([Step::Hang]), Scripted::new(hello()));
    let begun = Instant::now();
    let answer = ask(&gateway, true, true).await.last();
    assert_eq!((&answer["type"], &answer["metadata"]["provider"]), (&json!("COMPLETE"), &json!("xai")));
    // Two thirds of the 55 seconds.
    assert_eq!((begun.elapsed().as_secs(), gateway.provider.calls(), xai.calls()), (36, 1, 1));
    assert_eq!(gateway.provider.ended(), 1);

    let (gateway, xai) = Gateway::with_two([], Scripted::new([Step::Hang]), Scripted::new([Step::Hang]));
    let begun = Instant::now();
    assert_eq!(ask(&gateway, true, true).await.last()["type"], "ERROR");
    assert_eq!((begun.elapsed().as_secs(), gateway.provider.calls(), xai.calls()), (54, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_first_text_that_is_late_is_waited_for_when_nobody_else_can_be_asked() {
    let late = || [vec![Step::Pause(Duration::from_secs(50))], hello()].concat();
    let gateway = Gateway::with([], Scripted::new(late()));
    assert_eq!(ask(&gateway, true, true).await.last()["type"], "COMPLETE");
    let (gateway, _) = Gateway::with_two([], Scripted::new(late()), Scripted::new(hello()));
    assert_eq!(ask(&gateway, true, false).await.last()["type"], "COMPLETE");
    // A body in one piece shows no progress: it may be the answer, and long.
    assert_eq!(ask(&gateway, false, true).await.expect(200).json()["metadata"]["provider"], "openai");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_says_nothing_until_everyone_has_left_counts_at_the_breaker() {
    for on_abandon in ["finish", "cancel"] {
        let settings = [("PROVIDER_BREAKER_FAILURES", "1"), ("ON_ABANDON", on_abandon)];
        let gateway = Gateway::with(settings, Scripted::new([Step::Hang]));
        ask(&gateway, false, false).await.expect(504);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(gateway.provider.ended(), 1, "{on_abandon}");
        ask(&gateway, false, false).await.expect(503);
        assert_eq!(gateway.provider.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_is_told_even_when_another_hangs_to_the_end() {
    for streaming in [false, true] {
        let limited = Scripted::new([Step::Refer(ErrorKind::RateLimited, Duration::from_secs(59))]);
        let (gateway, _) = Gateway::with_two([], limited, Scripted::new([Step::Hang]));
        let begun = Instant::now();
        let reply = ask(&gateway, streaming, true).await;
        assert!(begun.elapsed() <= Duration::from_secs(55));
        if streaming {
            assert_eq!(reply.last()["error"], "The provider limits this service's rate");
        } else {
            assert_eq!(reply.expect(429).header("retry-after"), "59");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_meets_the_clients_conditions() {
    for (conditions, stands_in) in [(json!({}), true), (json!({"maxCost": 1e-9}), false)] {
        let (gateway, xai) =
            Gateway::with_two([], Scripted::failing(ErrorKind::Authentication), Scripted::new(hello()));
        let mut question = json!({"prompt": "x", "model": "gpt-5.5"});
        question.as_object_mut().unwrap().extend(conditions.as_object().unwrap().clone());
        gateway.post(question).await.expect(if stands_in { 200 } else { 502 });
        assert_eq!(xai.calls(), usize::from(stands_in), "{conditions}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_another_attempt_is_due_does_not_open_the_breaker() {
    let settings = [("PROVIDER_BREAKER_FAILURES", "1"), ("ON_ABANDON", "cancel")];
    let gateway = Gateway::with(settings, Scripted::failing(ErrorKind::Overloaded));
    tokio::select! {
        _ = ask(&gateway, true, false) => panic!("another attempt is due"),
        () = sleep(Duration::from_millis(100)) => {}
    }
    sleep(Duration::from_millis(10)).await;
    let calls = gateway.provider.calls();
    ask(&gateway, false, false).await.expect(503);
    assert!(gateway.provider.calls() > calls, "it is asked");
}

#[tokio::test(start_paused = true)]
async fn a_probe_lets_others_through_as_soon_as_its_answer_begins() {
    let long = [vec![Step::Text("Hello, "), Step::Pause(Duration::from_secs(20))], hello()].concat();
    let scripts = [vec![Step::Fail(ErrorKind::ServerError)], long, hello()];
    let settings = [("PROVIDER_BREAKER_FAILURES", "1"), ("PROVIDER_RETRIES", "0"), ("COALESCE", "off")];
    let gateway = Gateway::with(settings, Scripted::in_turn(scripts));
    ask(&gateway, false, false).await.expect(502);
    advance(Duration::from_secs(5)).await;
    let (probe, other) = tokio::join!(ask(&gateway, true, false), async {
        sleep(Duration::from_secs(1)).await;
        ask(&gateway, false, false).await
    });
    other.expect(200);
    assert_eq!(probe.last()["type"], "COMPLETE");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_too_long_for_its_model_goes_to_one_that_reads_more() {
    let too_long = Scripted::in_turn([vec![Step::Fail(ErrorKind::ContextLengthExceeded)], hello()]);
    let gateway = Gateway::with([], too_long);
    // The models nearest in price read no more than this one.
    let reply = gateway.post(json!({"prompt": "x", "model": "gpt-5.2"})).await;
    assert_eq!(reply.expect(200).json()["metadata"]["attempts"], 2);
}

#[tokio::test(start_paused = true)]
async fn nor_does_who_stands_in_have_the_last_word_on_what_is_too_long() {
    let kinds = [ErrorKind::ServerError, ErrorKind::ContextLengthExceeded].map(|kind| vec![Step::Fail(kind)]);
    let [down, too_long] = kinds;
    let gateway = Gateway::with([("PROVIDER_RETRIES", "0")], Scripted::in_turn([down, too_long, hello()]));
    // The one nearest in price, gpt-4o-mini, reads less than most.
    let reply = gateway.post(json!({"prompt": "x", "model": "gpt-6-luna"})).await.expect(200).json();
    assert_eq!(reply["metadata"]["attempts"], 3);
    assert_ne!(gateway.provider.finished().await, ["gpt-6-luna"], "that one has failed");
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_gets_the_settings_that_the_first_one_refused() {
    let refused = Scripted::failing(ErrorKind::Authentication);
    let (gateway, xai) = Gateway::with_two([], refused, Scripted::new(hello()));
    let question = json!({"prompt": "x", "model": "gpt-5.5", "temperature": 0.5});
    let metadata = gateway.post(question.clone()).await.expect(200).json()["metadata"].clone();
    assert_eq!((xai.temperature().await, &metadata["ignored"]), (Some(0.5), &json!(null)), "{metadata}");
    let gateway = Gateway::with([], Scripted::hello());
    let metadata = gateway.post(question).await.expect(200).json()["metadata"].clone();
    assert_eq!((gateway.provider.temperature().await, &metadata["ignored"]), (None, &json!(["temperature"])));
}

#[tokio::test(start_paused = true)]
async fn a_generation_counts_once_at_a_provider_whichever_of_its_models_were_tried() {
    let settings = [("PROVIDER_BREAKER_FAILURES", "2"), ("PROVIDER_RETRIES", "0")];
    let gateway = Gateway::with(settings, Scripted::failing(ErrorKind::ServerError));
    for calls in [2, 4, 4] {
        ask(&gateway, false, true).await;
        assert_eq!(gateway.provider.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_who_stands_in_refuses_the_next_may_take() {
    let scripts = [ErrorKind::ServerError, ErrorKind::InvalidRequest].map(|kind| vec![Step::Fail(kind)]);
    let settings = [("PROVIDER_RETRIES", "0"), ("PROVIDER_BREAKER_FAILURES", "1")];
    let (gateway, xai) = Gateway::with_two(settings, Scripted::in_turn(scripts), Scripted::new(hello()));
    assert_eq!(ask(&gateway, false, true).await.expect(200).json()["metadata"]["provider"], "xai");
    assert_eq!((gateway.provider.calls(), xai.calls()), (2, 1));
    ask(&gateway, false, false).await.expect(503);
    assert_eq!(gateway.provider.calls(), 2, "the model in trouble counted");
}

#[tokio::test(start_paused = true)]
async fn each_provider_is_judged_by_its_own_failure() {
    let settings = [("PROVIDER_BREAKER_FAILURES", "1"), ("PROVIDER_RETRIES", "0")];
    let refused = Scripted::failing(ErrorKind::Authentication);
    let (gateway, xai) = Gateway::with_two(settings, refused, Scripted::failing(ErrorKind::ServerError));
    for calls in [1, 2] {
        ask(&gateway, false, true).await.expect(502);
        assert_eq!((gateway.provider.calls(), xai.calls()), (calls, 1), "a refused key opens nothing, a failure does");
    }
}

#[tokio::test(start_paused = true)]
async fn neither_a_client_that_leaves_nor_a_refused_key_opens_the_breaker() {
    let settings = [("PROVIDER_BREAKER_FAILURES", "1"), ("ON_ABANDON", "cancel"), ("PROVIDER_RETRIES", "0")];
    let scripts = [vec![Step::Hang], vec![Step::Fail(ErrorKind::Authentication)], hello()];
    let gateway = Gateway::with(settings, Scripted::in_turn(scripts));
    tokio::select! {
        _ = ask(&gateway, false, false) => panic!("it hangs"),
        () = sleep(Duration::from_secs(1)) => {}
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(gateway.provider.ended(), 1);
    ask(&gateway, false, false).await.expect(502);
    ask(&gateway, false, false).await.expect(200);
}

#[tokio::test]
async fn a_model_that_its_vendor_no_longer_serves_is_replaced_sent_or_refused() {
    let question = json!({"prompt": "x", "model": "gpt-4-turbo"});
    let gateway = Gateway::start();
    let metadata = gateway.post(question.clone()).await.expect(200).json()["metadata"].clone();
    assert_eq!(metadata["model"], "gpt-4-turbo");
    assert!(metadata["servedModel"].is_string(), "{metadata}");
    let again = gateway.post(question.clone()).await.expect(200).json();
    assert_eq!((&again["cached"], &again["metadata"]["servedModel"]), (&json!(true), &metadata["servedModel"]));

    let gateway = Gateway::with([("RETIRED_MODELS", "send")], Scripted::hello());
    assert!(gateway.post(question.clone()).await.expect(200).json()["metadata"]["servedModel"].is_null());

    let gateway = Gateway::with([("RETIRED_MODELS", "refuse")], Scripted::hello());
    let refused = gateway.post(question).await;
    assert_eq!(refused.expect(422).json()["availableModels"].as_array().unwrap().len(), 1);
    assert_eq!(gateway.provider.calls(), 0);
}
