//! Instances that are replaced one after the other, under load.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Binary, Nginx, ports, until};

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 24;

/// An instance on `port`, which another one may have left just now.
fn instance(port: u16) -> Binary {
    Binary::start(&[("RATE_LIMIT_MAX", "0"), ("PORT", &port.to_string())])
}

/// Asks one question after the other, JSON and streams in turn, some of which take three seconds, until told to stop. The
/// first bad answer is the last, and is given back.
async fn client(number: usize, url: String, is_over: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Option<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let mut questions = 0..;
    while !is_over.load(Ordering::SeqCst) {
        let question = questions.next()?;
        let model = if question % 8 == number % 8 { "demo:slow" } else { "gpt-4o" };
        let streaming = question % 2 == 0;
        let body = json!({"prompt": format!("{question} of {number}"), "model": model, "streaming": streaming});
        let is_whole = |text: &str| {
            let last = if streaming { text.rsplit("data: ").next().unwrap_or_default() } else { text };
            serde_json::from_str::<Value>(last).is_ok_and(|answer| answer["code"].is_string())
        };
        match async { client.post(&url).json(&body).send().await?.error_for_status()?.text().await }.await {
            Ok(text) if is_whole(&text) => drop(answered.fetch_add(1, Ordering::SeqCst)),
            Ok(text) => return Some(format!("{body}: {text}")),
            Err(error) => return Some(format!("{body}: {error:?}")),
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_request() {
    let [first, second, front] = ports();
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut instances = [instance(first), instance(second)];
    let nginx = Nginx::in_front_of(&[local(first), local(second)], local(front)).await;
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let url = format!("http://{}/llm/generate", nginx.address);
    let clients = (0..CLIENTS)
        .map(|number| tokio::spawn(client(number, url.clone(), Arc::clone(&is_over), Arc::clone(&answered))));
    let clients: Vec<_> = clients.collect();

    // Nobody tells the proxy beforehand: it finds out, as it would at a crash of the machine beside it.
    for round in 0..4 {
        let before = answered.load(Ordering::SeqCst);
        until("everybody is answered", async || answered.load(Ordering::SeqCst) >= before + CLIENTS).await;
        let replaced = &mut instances[round % 2];
        replaced.terminate();
        assert_eq!(replaced.ended(PATIENCE).await.code(), Some(0));
        *replaced = instance(replaced.address.port());
    }
    is_over.store(true, Ordering::SeqCst);
    let bad: Vec<_> = join_all(clients).await.into_iter().filter_map(Result::unwrap).collect();
    assert!(bad.is_empty(), "{} of {}: {:#?}\n{}", bad.len(), answered.load(Ordering::SeqCst), bad, nginx.log());
    // Both ends of it were asked.
    assert!(answered.load(Ordering::SeqCst) > 8 * CLIENTS, "{answered:?}");
}
