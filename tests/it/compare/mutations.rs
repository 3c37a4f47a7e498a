//! What would break a client is a difference, whichever side it comes from: every reply is changed on its way, one thing at a time.

use super::{
    old_backend::OldBackend,
    proxy::{Passing, in_front_of},
    whole::{compare, gateway},
};

/// What is changed in replies to a path, and what the report has to name.
struct Mutation {
    path: &'static str,
    change: fn(&mut Passing),
    named: &'static str,
}

fn replace(passing: &mut Passing, text: &str, other: &str) {
    assert!(passing.body.contains(text), "`{text}` is not in {}", passing.body);
    passing.body = passing.body.replacen(text, other, 1);
}

/// The lines of a stream without, or with, what `keep` says.
fn keep_lines(passing: &mut Passing, keep: fn(&str) -> bool) {
    let before = passing.body.len();
    passing.body =
        passing.body.split("\n\n").filter(|event| event.is_empty() || keep(event)).collect::<Vec<_>>().join("\n\n");
    assert_ne!(passing.body.len(), before);
}

fn swap_lines(passing: &mut Passing, one: &str, other: &str) {
    let mut events: Vec<String> = passing.body.split("\n\n").map(str::to_owned).collect();
    let at = |events: &[String], text: &str| events.iter().position(|event| event.contains(text)).unwrap();
    let (one, other) = (at(&events, one), at(&events, other));
    events.swap(one, other);
    passing.body = events.join("\n\n");
}

const JSON: &str = "/llm/generate";
const STREAM: &str = "/llm/generate?stream";

/// Of the new side.
const OF_THE_NEW: [Mutation; 19] = [
    Mutation { path: JSON, change: |p| p.status = 500, named: "reply: 200 JSON → 500 JSON" },
    Mutation { path: JSON, change: |p| p.status = 201, named: "reply: 200 JSON → 201 JSON" },
    Mutation { path: JSON, change: |p| replace(p, "\"code\":", "\"text\":"), named: "code: " },
    Mutation {
        path: JSON,
        change: |p| replace(p, "\"mock\":false", "\"mock\":true"),
        named: "metadata.mock: false → true",
    },
    Mutation {
        path: JSON,
        change: |p| replace(p, "\"mock\":false", "\"mock\":\"no\""),
        named: "metadata.mock: false → a text of 2 characters",
    },
    Mutation {
        path: JSON,
        change: |p| replace(p, "\"provider\":\"openai\"", "\"provider\":\"xai\""),
        named: "metadata.provider: `openai` → `xai`",
    },
    Mutation {
        path: JSON,
        change: |p| replace(p, "\"estimatedTokens\":", "\"tokens\":"),
        named: "metadata.estimatedTokens: ",
    },
    Mutation {
        path: JSON,
        change: |p| replace(p, "\"limit\":50.0", "\"limit\":60.0"),
        named: "budget.status.daily.limit: 50 → 60.0",
    },
    Mutation { path: JSON, change: |p| replace(p, "\"monthly\":{", "\"yearly\":{"), named: "budget.status.monthly: " },
    Mutation {
        path: JSON,
        change: |p| drop(p.headers.remove("x-ratelimit-remaining")),
        named: "header x-ratelimit-remaining: a value → nothing",
    },
    Mutation {
        path: JSON,
        change: |p| drop(p.headers.insert("x-ratelimit-limit", 5.into())),
        named: "header x-ratelimit-limit: a value → another",
    },
    Mutation {
        path: JSON,
        change: |p| drop(p.headers.insert("content-type", "text/html".parse().unwrap())),
        named: "reply: 200 JSON → 200 a page",
    },
    Mutation {
        path: STREAM,
        change: |p| keep_lines(p, |event| !event.contains("\"drafting\"")),
        named: "event drafting: ",
    },
    Mutation {
        path: STREAM,
        change: |p| keep_lines(p, |event| !event.contains("\"COMPLETE\"")),
        named: "event COMPLETE: ",
    },
    Mutation {
        path: STREAM,
        change: |p| swap_lines(p, "\"planning\"", "\"researching\""),
        named: "event researching: ",
    },
    Mutation {
        path: STREAM,
        change: |p| swap_lines(p, "\"user\"", "\"DELTA\""),
        named: "event DELTA: not there → there, out of its place or form",
    },
    Mutation {
        path: STREAM,
        change: |p| replace(p, "data: {\"type\":\"THINKING\"", "data:{\"type\":\"THINKING\""),
        named: "event user: ",
    },
    Mutation {
        path: STREAM,
        change: |p| replace(p, "\"items\":[", "\"items\":[],\"more\":["),
        named: "planning items: ",
    },
    Mutation { path: "/llm/cache/stats", change: |p| replace(p, "\"$", "\""), named: "estimatedSavings: " },
];

/// Of the old side: what it promised, and the new has not.
const OF_THE_OLD: [Mutation; 6] = [
    Mutation {
        path: JSON,
        change: |p| replace(p, "\"metadata\":{", "\"metadata\":{\"confidence\":1,"),
        named: "metadata.confidence: 1 → nothing",
    },
    Mutation { path: JSON, change: |p| p.status = 503, named: "reply: 503 JSON → 200 JSON" },
    Mutation {
        path: JSON,
        change: |p| drop(p.headers.insert("x-promised", 1.into())),
        named: "header x-promised: a value → nothing",
    },
    Mutation {
        path: STREAM,
        change: |p| replace(p, "\"kind\":\"drafting\"", "\"kind\":\"testing\""),
        named: "event testing: ",
    },
    Mutation {
        path: "/llm/cache/stats",
        change: |p| replace(p, "\"hits\":", "\"size\":1,\"hits\":"),
        named: "size: 1 → nothing",
    },
    Mutation {
        path: "/llm/models",
        change: |p| replace(p, "\"gpt-3.5-turbo\":", "\"gpt-0\":"),
        named: "providers[OpenAI].models.*: ",
    },
];

/// The request for a mutation, which nobody has asked before.
fn request(path: &str, at: usize) -> String {
    let ask = |streaming: bool| {
        format!(
            r#"{{"method":"POST","path":"/llm/generate","body":{{"prompt":"question {at}","streaming":{streaming}}}}}"#
        )
    };
    match path {
        JSON => ask(false),
        STREAM => ask(true),
        path => format!(r#"{{"method":"GET","path":"{path}"}}"#),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_break_a_client_is_a_difference() {
    let (old, new) = (OldBackend::start(1_000).await, gateway(&[("RATE_LIMIT_MAX", "1000")]).await);
    let (old, new) = (old.url, new.url(""));
    let mut wrong = Vec::new();
    for (at, Mutation { path, change, named }) in OF_THE_NEW.iter().chain(&OF_THE_OLD).enumerate() {
        let is_new = at < OF_THE_NEW.len();
        let request = request(path, at);
        // Without it there is none, so that it is this which is found.
        let (code, said, _) = compare(&old, &new, &request, &[]).await;
        assert_eq!(code, 0, "before `{named}`: {said}");
        let between = in_front_of(if is_new { &new } else { &old }, *change).await;
        let (one, other) = if is_new { (&old, &between) } else { (&between, &new) };
        let request = request.replace("question", "another question");
        let (code, said, _) = compare(one, other, &request, &[]).await;
        if code != 1 || !said.contains(&format!("    {named}")) {
            wrong.push(format!("`{named}` ({code}): {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
