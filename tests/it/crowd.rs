//! Five thousand clients that send a byte a second, and one who does not.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};

use crate::support::{Binary, http, until};

const CLIENTS: usize = 5_000;
/// Where the crowd finds its gateway.
const ADDRESS: &str = "CROWD_ADDRESS";
/// What it says when all of it is there.
const CONNECTED: &str = "the crowd is there";

/// The crowd, in a process of its own: this one may not have descriptors enough, and its runtime has to stay at ease.
struct Crowd(Child);

impl Crowd {
    /// Back when all of it is connected.
    fn around(gateway: &Binary) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crowd::of_five_thousand", "--ignored", "--nocapture"])
            .env(ADDRESS, gateway.address.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(CONNECTED)), "the crowd did not come");
        Self(child)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
#[ignore = "the crowd itself, which the test below starts"]
#[expect(clippy::disallowed_methods, reason = "no setting of the gateway")]
async fn of_five_thousand() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let address: SocketAddr = address.parse().unwrap();
    assert!(rlimit::increase_nofile_limit(u64::MAX).unwrap() > CLIENTS as u64 + 100);
    let connected = Arc::new(AtomicUsize::new(0));
    for number in 0..CLIENTS {
        let connected = Arc::clone(&connected);
        tokio::spawn(async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            connected.fetch_add(1, Ordering::Relaxed);
            loop {
                trickle(socket, number % 2 == 0).await;
                socket = TcpStream::connect(address).await.unwrap();
            }
        });
    }
    until("the crowd is there", async || connected.load(Ordering::Relaxed) >= CLIENTS).await;
    writeln!(std::io::stdout(), "{CONNECTED}").unwrap();
    std::future::pending::<()>().await;
}

/// Sends a head, or a body, a byte a second until the gateway has enough of it.
async fn trickle(mut socket: TcpStream, is_head: bool) {
    let mut sent = "POST /llm/generate HTTP/1.1\r\nhost: x\r\n".to_owned();
    if !is_head {
        sent.push_str("content-type: application/json\r\ncontent-length: 10000\r\n\r\n");
    }
    if socket.write_all(sent.as_bytes()).await.is_err() {
        return;
    }
    // A name of a header, or blanks before the JSON.
    let byte = if is_head { b"x" } else { b" " };
    while socket.write_all(byte).await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_crowd_that_sends_a_byte_a_second_keeps_nobody_waiting() {
    let gateway = Binary::start(&[("RATE_LIMIT_MAX", "0")]);
    let (url, question) = (gateway.url("/llm/generate"), json!({"prompt": "x", "model": "gpt-4o"}));
    let kept = http();
    let anew = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let ask = async |client: &reqwest::Client| {
        let begun = Instant::now();
        let reply = client.post(&url).json(&question).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.bytes().await.unwrap();
        begun.elapsed()
    };
    let mut calm = Vec::new();
    for _ in 0..200 {
        calm.push(ask(&kept).await);
    }
    let before = gateway.resident_bytes();
    let crowd = Crowd::around(&gateway);
    let (mut took, begun) = (Vec::new(), Instant::now());
    // Past the first heads' time and through the crowd's return.
    while begun.elapsed() < Duration::from_secs(12) {
        took.push(ask(&kept).await);
        took.push(ask(&anew).await);
        sleep(Duration::from_millis(10)).await;
    }
    let during = gateway.resident_bytes();
    drop(crowd);
    calm.sort_unstable();
    took.sort_unstable();
    let (calm, median, worst) = (calm[calm.len() / 2], took[took.len() / 2], took[took.len() - 1]);
    eprintln!(
        "{} answers, median {median:?} after {calm:?}, worst {worst:?}, {before} bytes, then {during}",
        took.len()
    );
    assert!(median < calm * 10 + Duration::from_millis(100), "median {median:?} after {calm:?}");
    // Half of what a head may take, which is what the crowd would make everybody wait.
    assert!(worst < Duration::from_secs(5), "worst {worst:?}");
    assert!(during.saturating_sub(before) < 256 << 20, "{before} bytes, then {during}");
}
