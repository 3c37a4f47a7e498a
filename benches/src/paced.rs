//! Requests that leave both sides time: how long each takes, and when its first text comes.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all};
use reqwest::{Client, header::CONTENT_TYPE};
use serde_json::json;
use tokio::{
    runtime,
    time::{Instant, MissedTickBehavior, interval},
};

/// Of which API a question is.
#[derive(Clone, Copy)]
pub enum Form {
    Generate,
    OpenAi,
}

impl Form {
    /// A question about `what`, which makes it unlike others.
    pub fn question(self, what: &str, stream: bool) -> String {
        let prompt = prompt(what);
        match self {
            Form::Generate => json!({"prompt": prompt, "model": "openai:gpt-4o", "streaming": stream}).to_string(),
            Form::OpenAi => {
                let messages = json!([{"role": "user", "content": prompt}]);
                json!({"model": "gpt-4o", "messages": messages, "stream": stream}).to_string()
            }
        }
    }
}

/// A prompt about `what`.
pub fn prompt(what: &str) -> String {
    format!(
        "Explain how a rate limiter protects a service, what a token bucket is, how a sliding window differs from it, and \
         where several instances should count. {what}"
    )
}

/// How long whole answers take on each way, at `rate` a second, in turns.
pub fn answers(ways: &[(String, Form)], rate: u64, seconds: u64, rounds: usize) -> Vec<Vec<Duration>> {
    let mut took = vec![Vec::new(); ways.len()];
    on_a_runtime(async {
        let client = Client::builder().no_proxy().build().unwrap();
        for round in 0..=rounds {
            for ((url, form), took) in ways.iter().zip(&mut took) {
                let mut ticks = interval(Duration::from_micros(1_000_000 / rate));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                let mut asking = Vec::new();
                for number in 0..rate * seconds {
                    // From when it was to be sent: whoever is kept waiting by the one before has waited.
                    let begun = ticks.tick().await;
                    let (client, url) = (client.clone(), url.clone());
                    let question = form.question(&format!("{round} {number}"), false);
                    asking.push(tokio::spawn(async move {
                        let reply = client
                            .post(url)
                            .header(CONTENT_TYPE, "application/json")
                            .body(question)
                            .send()
                            .await
                            .unwrap();
                        assert_eq!(reply.status(), 200);
                        reply.bytes().await.unwrap();
                        begun.elapsed()
                    }));
                }
                let times = join_all(asking).await.into_iter().map(Result::unwrap);
                // The first round fills pools and caches.
                if round > 0 {
                    took.extend(times);
                }
            }
        }
    });
    took
}

/// How long the first text of a stream takes on each way, one stream after the other, in turns.
pub fn first_texts(ways: &[(String, Form)], streams: u64, rounds: usize) -> Vec<Vec<Duration>> {
    let mut took = vec![Vec::new(); ways.len()];
    on_a_runtime(async {
        let client = Client::builder().no_proxy().build().unwrap();
        for round in 0..=rounds {
            for number in 0..streams {
                for ((url, form), took) in ways.iter().zip(&mut took) {
                    let time = first_text(&client, url, form.question(&format!("{round} {number}"), true)).await;
                    if round > 0 {
                        took.push(time);
                    }
                }
            }
        }
    });
    took
}

/// Asks so often, always the same or not.
pub fn one_after_the_other(url: &str, form: Form, requests: u64, is_same: bool) {
    on_a_runtime(async {
        let client = Client::builder().no_proxy().build().unwrap();
        for number in 0..requests {
            let what = if is_same { String::new() } else { number.to_string() };
            let question = client.post(url).header(CONTENT_TYPE, "application/json").body(form.question(&what, false));
            let reply = question.send().await.unwrap();
            assert_eq!(reply.status(), 200);
            reply.bytes().await.unwrap();
        }
    });
}

async fn first_text(client: &Client, url: &str, question: String) -> Duration {
    let begun = Instant::now();
    let reply = client.post(url).header(CONTENT_TYPE, "application/json").body(question).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let (mut pieces, mut came, mut took) = (reply.bytes_stream(), Vec::new(), None);
    while let Some(piece) = pieces.next().await {
        came.extend_from_slice(&piece.unwrap());
        let is_there = || came.windows(14).any(|window| window == b"A rate limiter");
        if took.is_none() && is_there() {
            took = Some(begun.elapsed());
        }
    }
    assert!(came.ends_with(b"\n\n"), "{}", String::from_utf8_lossy(&came));
    took.unwrap()
}

fn on_a_runtime(work: impl Future<Output = ()>) {
    runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}
