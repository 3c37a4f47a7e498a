//! Every cell of the tables in `docs/cache.md`: what a client asks for, how the stored answer stands, how the provider is, and
//! what comes of it.

use std::{fs, time::Duration};

use llm_gateway::generate::{ErrorKind, FinishReason};
use serde_json::json;
use tokio::time::advance;

use crate::support::{Gateway, Scripted, Step, post};

const TTL: u64 = 3_600;

/// One cell.
#[derive(Debug)]
struct Cell {
    directives: String,
    /// How old the stored answer is, in seconds. `None`: there is none.
    age: Option<u64>,
    provider: Provider,
    revalidate: &'static str,
    /// Status and `Cache-Status`, without the name of the cache.
    expected: (u16, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Up,
    Failing,
    BreakerOpen,
}

/// The tables under the headings that say how the stored answer stands.
fn cells() -> Vec<Cell> {
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cache.md")).unwrap();
    let mut cells = Vec::new();
    let (mut age, mut revalidate, mut is_table) = (None, "0", false);
    for line in docs.lines() {
        if line.starts_with("## ") {
            is_table = false;
        }
        if let Some(heading) = line.strip_prefix("### ") {
            (is_table, age, revalidate) = match heading {
                "Fresh, 60 seconds old" => (true, Some(60), "0"),
                "Stale for 30 seconds" => (true, Some(TTL + 30), "0"),
                "Stale for 30 seconds, with `CACHE_REVALIDATE_SECONDS=60`" => (true, Some(TTL + 30), "60"),
                "Not stored" => (true, None, "0"),
                _ => (false, None, "0"),
            };
        }
        let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")).filter(|_| is_table) else {
            continue;
        };
        let row: Vec<&str> = row.split(" | ").collect();
        let [directives, results @ ..] = row.as_slice() else { continue };
        if *directives == "`Cache-Control`" || directives.starts_with("---") {
            continue;
        }
        let providers = [Provider::Up, Provider::Failing, Provider::BreakerOpen];
        assert_eq!(results.len(), providers.len(), "{line}");
        for (provider, result) in providers.into_iter().zip(results) {
            let (status, cache_status) = result.split_once(' ').unwrap();
            let cache_status = cache_status.trim_matches('`').to_owned();
            let directives = directives.trim_matches(|letter| letter == '`' || letter == '—').to_owned();
            let expected = (status.parse().unwrap(), cache_status);
            cells.push(Cell { directives, age, provider, revalidate, expected });
        }
    }
    cells
}

/// A gateway in which everything stands as the cell says.
async fn stage(cell: &Cell) -> Gateway {
    let whole = vec![Step::Text("stored"), Step::Finish(FinishReason::Stop)];
    let next = match cell.provider {
        Provider::Up => vec![Step::Text("anew"), Step::Finish(FinishReason::Stop)],
        Provider::Failing | Provider::BreakerOpen => vec![Step::Fail(ErrorKind::ServerError)],
    };
    let scripts = if cell.age.is_some() { vec![whole, next] } else { vec![next] };
    let failures = if cell.provider == Provider::BreakerOpen { "1" } else { "0" };
    let settings = [
        ("CACHE_REVALIDATE_SECONDS", cell.revalidate),
        ("PROVIDER_BREAKER_FAILURES", failures),
        ("PROVIDER_RETRIES", "0"),
    ];
    let gateway = Gateway::with(settings, Scripted::in_turn(scripts));
    if let Some(age) = cell.age {
        gateway.generate("x").await.expect(200);
        advance(Duration::from_secs(age)).await;
    }
    if cell.provider == Provider::BreakerOpen {
        gateway.generate("another").await.expect(502);
    }
    gateway
}

#[tokio::test(start_paused = true)]
async fn every_cell_of_the_tables_is_true() {
    let cells = cells();
    assert!(cells.len() >= 4 * 3 * 15, "{}", cells.len());
    for cell in cells {
        for streaming in [false, true] {
            let gateway = stage(&cell).await;
            let before = gateway.provider.calls();
            let body = json!({"prompt": "x", "model": "gpt-4o", "streaming": streaming});
            let mut request = post("/llm/generate", &body);
            if !cell.directives.is_empty() {
                request.headers_mut().insert("cache-control", cell.directives.parse().unwrap());
            }
            let reply = gateway.send(request).await;
            let (status, expected) = &cell.expected;
            let expected = ["llm-gateway; ", expected].concat();
            let is_event = reply.header("content-type") == "text/event-stream";
            let (code, cached, cache_status) = if is_event && *status == 200 {
                let last = reply.last();
                assert_eq!(last["type"], "COMPLETE", "{cell:?}: {}", reply.body);
                (last["code"].clone(), last["cached"].clone(), last["metadata"]["cache"].as_str().unwrap().to_owned())
            } else if is_event {
                assert_eq!(reply.last()["type"], "ERROR", "{cell:?}: {}", reply.body);
                // What a stream's head says is all there is.
                (json!(null), json!(null), reply.header("cache-status").to_owned())
            } else {
                assert_eq!(reply.status.as_u16(), *status, "{cell:?}: {}", reply.body);
                let json = reply.json();
                (json["code"].clone(), json["cached"].clone(), reply.header("cache-status").to_owned())
            };
            assert_eq!(cache_status, expected, "{cell:?} streaming: {streaming}");
            let is_stored = expected.contains("; hit") || expected.contains("stale-if-error");
            if *status == 200 {
                assert_eq!(
                    (code, cached),
                    (json!(if is_stored { "stored" } else { "anew" }), json!(is_stored)),
                    "{cell:?}"
                );
            }
            if is_stored && !is_event {
                assert_eq!(reply.header("age"), cell.age.unwrap().to_string(), "{cell:?}");
            } else if !is_stored {
                assert_eq!(reply.header("age"), "", "{cell:?}");
            }
            // Nobody is called for who wants no call, or has an answer, or must leave the provider alone.
            if cell.revalidate == "0" {
                let is_called = expected.contains("fwd=") && cell.provider != Provider::BreakerOpen;
                assert_eq!(gateway.provider.calls() > before, is_called, "{cell:?}");
            }
            let counted = gateway.get("/llm/cache/stats?detail=true").await.json();
            let made = 1 + u64::from(cell.age.is_some()) + u64::from(cell.provider == Provider::BreakerOpen);
            assert_eq!(counted["requests"], made, "{cell:?}: {counted}");
        }
    }
}
