//! One call for many.

use std::{sync::Arc, time::Duration};

use llm_gateway::generate::{ErrorKind, FinishReason};
use tokio::time::{advance, sleep};

use crate::support::{Gateway, Reply, Scripted, Step, stats};

fn story() -> (Scripted, String) {
    let pieces: Vec<&'static str> = (0..200).map(|n| &*Box::leak(format!("piece {n} ✅\n").into_boxed_str())).collect();
    let text = pieces.concat();
    let mut steps = Vec::new();
    for piece in pieces {
        steps.extend([Step::Pause(Duration::from_millis(50)), Step::Text(piece)]);
    }
    steps.push(Step::Finish(FinishReason::Stop));
    (Scripted::new(steps), text)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_join_and_leave_at_any_time_cause_one_call() {
    let (provider, text) = story();
    let gateway = Arc::new(Gateway::with([("RATE_LIMIT_MAX", "0")], provider));
    let mut numbers = fastrand::Rng::with_seed(9);
    let mut clients = Vec::new();
    for n in 0..1_000_u64 {
        let gateway = Arc::clone(&gateway);
        let (is_stream, arrives) = (n % 2 == 0, if n == 0 { 0 } else { numbers.u64(..9_900) });
        // The first leaves soon, and so does every third.
        let leaves = (n == 0 || n % 3 == 0).then(|| Duration::from_millis(1 + numbers.u64(..3_000)));
        clients.push(tokio::spawn(async move {
            sleep(Duration::from_millis(arrives)).await;
            let asking = async {
                if is_stream {
                    let reply = gateway.stream("the same").await.finish().await;
                    (reply.deltas(), reply.last()["code"].as_str().unwrap().to_owned())
                } else {
                    let code =
                        gateway.generate("the same").await.expect(200).json()["code"].as_str().unwrap().to_owned();
                    (code.clone(), code)
                }
            };
            match leaves {
                None => Some(asking.await),
                Some(leaves) => tokio::time::timeout(leaves, asking).await.ok(),
            }
        }));
    }
    let mut whole = 0;
    for client in clients {
        if let Some((deltas, code)) = client.await.unwrap() {
            assert_eq!(code, text);
            assert_eq!(deltas, text);
            whole += 1;
        }
    }
    assert!(whole > 600, "{whole}");
    assert_eq!(gateway.provider.calls(), 1);
    assert_eq!(gateway.provider.ended(), 1);
    assert!(gateway.app.flights.is_empty());
    assert!(gateway.app.tasks.is_empty());
}

async fn both(gateway: &Arc<Gateway>) -> (Reply, Reply) {
    let (json, stream) = (Arc::clone(gateway), Arc::clone(gateway));
    let json = tokio::spawn(async move { json.generate("x").await });
    sleep(Duration::from_millis(1)).await;
    let stream = tokio::spawn(async move { stream.stream("x").await.finish().await });
    (json.await.unwrap(), stream.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn who_joins_is_told_so_and_pays_nothing() {
    let gateway = Arc::new(Gateway::with([], Scripted::slow(Duration::from_secs(1))));
    let (first, joined) = both(&gateway).await;
    assert_eq!(first.header("cache-status"), "llm-gateway; fwd=miss; stored");
    assert_eq!(joined.header("cache-status"), "llm-gateway; fwd=miss; collapsed");
    assert_eq!(joined.last()["metadata"]["estimatedCost"].as_f64(), Some(0.0));
    assert_eq!(joined.last()["metadata"]["cache"], "llm-gateway; fwd=miss; collapsed");
    let researching = joined.events()[2]["items"][0].as_str().unwrap().to_owned();
    assert!(researching.contains("joined"), "{researching}");
    assert_eq!(gateway.provider.calls(), 1);
    assert_eq!(stats(&gateway).await["estimatedSavings"], "$0.01");
}

#[tokio::test(start_paused = true)]
async fn every_way_of_failing_reaches_everyone_and_leaves_nothing_behind() {
    let pause = Step::Pause(Duration::from_secs(1));
    for (name, end, status) in [
        ("panics", Some(Step::Panic), 500),
        ("fails", Some(Step::Fail(ErrorKind::ServerError)), 502),
        ("is cut", None, 502),
        ("hangs in the middle", Some(Step::Hang), 502),
    ] {
        let mut steps = vec![pause.clone(), Step::Text("Half"), pause.clone()];
        steps.extend(end);
        let gateway = Arc::new(Gateway::with([], Scripted::new(steps)));
        let (json, stream) = both(&gateway).await;
        assert_eq!(json.status.as_u16(), status, "{name}: {}", json.body);
        assert_eq!(stream.last()["type"], "ERROR", "{name}");
        assert_eq!(gateway.provider.calls(), 1, "{name}");
        assert_eq!(gateway.provider.ended(), 1, "{name}");
        assert!(gateway.app.flights.is_empty() && gateway.app.tasks.is_empty(), "{name}");
        // And nothing of it was kept.
        gateway.generate("x").await.expect(status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_goes_on_for_the_cache() {
    let gateway = Gateway::with([], Scripted::slow(Duration::from_secs(1)));
    let mut stream = gateway.stream("x").await;
    stream.until("executing").await;
    drop(stream);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(gateway.generate("x").await.json()["cached"], true);
    assert_eq!(gateway.provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn or_it_is_cancelled_if_so_set_or_if_nothing_could_be_kept() {
    for settings in [("ON_ABANDON", "cancel"), ("CACHE_ENABLED", "false")] {
        let gateway = Gateway::with([settings], Scripted::slow(Duration::from_secs(1)));
        let mut stream = gateway.stream("x").await;
        stream.until("executing").await;
        drop(stream);
        advance(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
        assert_eq!(gateway.provider.ended(), 1, "{settings:?}");
        assert!(gateway.app.flights.is_empty() && gateway.app.tasks.is_empty(), "{settings:?}");
        assert_eq!(gateway.generate("x").await.json()["cached"], false);
        assert_eq!(gateway.provider.calls(), 2);
    }
}

/// Asks and leaves when the call is under way.
async fn abandon(gateway: &Gateway, prompt: &str) {
    let mut stream = gateway.stream(prompt).await;
    stream.until("executing").await;
    drop(stream);
    sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_go_on_for_nobody_than_there_may_be_requests() {
    let gateway = Gateway::with([("MAX_IN_FLIGHT", "2")], Scripted::slow(Duration::from_secs(1)));
    for prompt in ["a", "b", "c", "d", "e"] {
        abandon(&gateway, prompt).await;
    }
    assert_eq!((gateway.provider.calls(), gateway.provider.ended()), (5, 3));
    sleep(Duration::from_secs(4)).await;
    for (prompt, cached) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(gateway.generate(prompt).await.json()["cached"], cached, "{prompt}");
    }
    // And there is room again.
    abandon(&gateway, "f").await;
    assert_eq!((gateway.provider.calls(), gateway.provider.ended()), (7, 6));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_ends_when_the_service_has_to() {
    let gateway = Gateway::with([], Scripted::new([Step::Hang]));
    abandon(&gateway, "x").await;
    assert_eq!(gateway.app.tasks.len(), 1);
    gateway.app.stopping.cancel();
    sleep(Duration::from_millis(1)).await;
    assert!(gateway.app.flights.is_empty() && gateway.app.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_joins_an_impatient_request_has_its_own_patience() {
    let steps = [Step::Pause(Duration::from_secs(70)), Step::Text("Late"), Step::Finish(FinishReason::Stop)];
    let gateway = Arc::new(Gateway::with([], Scripted::new(steps)));
    let json = Arc::clone(&gateway);
    let json = tokio::spawn(async move { json.generate("x").await });
    sleep(Duration::from_secs(50)).await;
    let stream = gateway.stream("x").await.finish().await;
    json.await.unwrap().expect(504);
    assert_eq!(stream.last()["code"], "Late");
    assert_eq!(gateway.provider.calls(), 1);
    assert_eq!(gateway.generate("x").await.json()["cached"], true);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_with_the_patience_of_the_last_who_waits() {
    let gateway = Gateway::with([], Scripted::new([Step::Hang]));
    gateway.generate("x").await.expect(504);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(gateway.provider.ended(), 1);
    assert!(gateway.app.flights.is_empty() && gateway.app.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_brought_nothing_for_too_long_is_joined_by_nobody() {
    let gateway = Arc::new(Gateway::with([], Scripted::new([Step::Hang])));
    let mut asking = Vec::new();
    for pause in [0, 50, 10] {
        sleep(Duration::from_secs(pause)).await;
        let gateway = Arc::clone(&gateway);
        asking.push(tokio::spawn(async move { gateway.generate("x").await }));
    }
    sleep(Duration::from_secs(1)).await;
    // The second joined the first, which was 50 s old then; for the third it was too old. Whoever began the first has left, so it
    // goes on in a task; who began the other goes on with it itself.
    assert_eq!((gateway.provider.calls(), gateway.app.flights.len(), gateway.app.tasks.len()), (2, 1, 1));
    for one in asking {
        one.await.unwrap().expect(504);
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(gateway.provider.ended(), 2);
    assert!(gateway.app.flights.is_empty() && gateway.app.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_forbids_failover_does_not_join_who_allows_it() {
    let gateway = Arc::new(Gateway::with([], Scripted::slow(Duration::from_secs(1))));
    let ask = |allow: bool| {
        let gateway = Arc::clone(&gateway);
        let body = serde_json::json!({"prompt": "x", "model": "gpt-4o", "allowFailover": allow});
        tokio::spawn(async move { gateway.post(body).await })
    };
    let (allows, forbids) = (ask(true), ask(false));
    allows.await.unwrap().expect(200);
    forbids.await.unwrap().expect(200);
    assert_eq!(gateway.provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn switched_off_everyone_calls_for_himself() {
    let gateway = Arc::new(Gateway::with([("COALESCE", "off")], Scripted::slow(Duration::from_secs(1))));
    let (json, stream) = both(&gateway).await;
    json.expect(200);
    assert_eq!(stream.last()["type"], "COMPLETE");
    assert_eq!(gateway.provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stands_still_holds_up_nobody() {
    let (provider, text) = story();
    let gateway = Gateway::with([], provider);
    let mut still = gateway.stream("x").await;
    still.until("executing").await;
    let reply = gateway.generate("x").await;
    assert_eq!(reply.json()["code"], text);
    assert_eq!(still.finish().await.deltas(), text);
}
