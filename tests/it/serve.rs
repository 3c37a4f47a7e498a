//! The binary on its socket: starting, refusing, stalling, stopping.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use llm_gateway::serve::{Limits, serve};

use crate::support::{Binary, Gateway, http, until};

#[test]
fn a_broken_file_of_certificates_stops_the_start() {
    let file = std::env::temp_dir().join(format!("llm-gateway-ca-{}.pem", std::process::id()));
    std::fs::write(&file, "not a certificate").unwrap();
    let output = Binary::command(&[("EXTRA_CA_FILE", file.to_str().unwrap())]).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(78));
}

#[tokio::test]
async fn the_binary_asks_itself_for_its_health() {
    let gateway = Binary::start(&[]);
    let port = gateway.address.port().to_string();
    let health = |port: &str| {
        let mut command = Binary::command(&[]);
        command.env("PORT", port).arg("health").stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
    };
    assert!(health(&port).success());
    drop(gateway);
    assert_eq!(health(&port).code(), Some(1));
}

#[tokio::test]
async fn a_client_that_is_still_sending_hears_413() {
    let gateway = Binary::start(&[("BODY_LIMIT_KB", "64")]);
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /llm/generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    // Without a length it is noticed on the way, with one at once; either way eight megabytes are being sent.
    for (framing, chunked) in [("content-length: 8388608\r\n\r\n", false), ("transfer-encoding: chunked\r\n\r\n", true)]
    {
        socket.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
        let (mut read, mut write) = socket.into_split();
        let sending = tokio::spawn(async move {
            let block = vec![b' '; 64 * 1024];
            for _ in 0..128 {
                if chunked {
                    write.write_all(b"10000\r\n").await?;
                }
                write.write_all(&block).await?;
                if chunked {
                    write.write_all(b"\r\n").await?;
                }
            }
            if chunked {
                write.write_all(b"0\r\n\r\n").await?;
            }
            Ok::<_, std::io::Error>(write)
        });
        let mut reply = vec![0; 4096];
        let length = read.read(&mut reply).await.unwrap();
        let reply = String::from_utf8_lossy(&reply[..length]).into_owned();
        assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
        assert!(reply.contains("The body is too large"), "{reply}");
        // And the connection lives on.
        let write = sending.await.unwrap().expect("the connection was not reset");
        socket = read.reunite(write).unwrap();
    }
}

#[tokio::test]
async fn a_half_sent_head_is_not_waited_for() {
    let gateway = Binary::start(&[]);
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    socket.write_all(b"POST /llm/generate HTTP/1.1\r\nhost:").await.unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!((9..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_431() {
    let gateway = Binary::start(&[]);
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let head = "GET /health HTTP/1.1\r\nhost: x\r\n";
    // Not a byte more than is read: a connection that is closed over the rest is reset.
    socket.write_all(format!("{head}{}", "x".repeat(16_384 - head.len())).as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
}

#[tokio::test]
async fn beyond_its_connections_new_ones_wait_and_a_stop_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { connections: 2, stalled: Duration::from_secs(30), grace: Duration::from_secs(5) };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, Gateway::start().app, limits, async { drop(stopped.await) }));
    let ask = async || {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        socket
    };
    let is_answered = async |socket: &mut TcpStream, within| {
        let reply = tokio::time::timeout(within, socket.read(&mut [0; 4096])).await;
        reply.is_ok_and(|read| read.unwrap() > 0)
    };
    let (mut first, mut second, mut third) = (ask().await, ask().await, ask().await);
    assert!(is_answered(&mut first, Duration::from_secs(5)).await);
    assert!(is_answered(&mut second, Duration::from_secs(5)).await);
    assert!(!is_answered(&mut third, Duration::from_millis(300)).await);
    drop(first);
    assert!(is_answered(&mut third, Duration::from_secs(5)).await);
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(3), serving).await.expect("idle connections are closed").unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_up_no_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { connections: 9, stalled: Duration::from_secs(90), grace: Duration::ZERO };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, Gateway::start().app, limits, async { drop(stopped.await) }));
    let mut socket = TcpStream::connect(address).await.unwrap();
    // It asks until nobody reads it any more, because it does not read either.
    let asking = "GET /llm/models HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), socket.write_all(asking.as_bytes())).await {
        written.unwrap();
    }
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(45), serving).await.expect("it is cut off").unwrap();
}

async fn stream(client: reqwest::Client, url: String, prompt: String, model: &'static str) -> String {
    begun(client, url, prompt, model).await.text().await.unwrap()
}

/// A stream whose head is there.
async fn begun(client: reqwest::Client, url: String, prompt: String, model: &'static str) -> reqwest::Response {
    let body = json!({"prompt": prompt, "model": model, "streaming": true});
    let reply = client.post(url).json(&body).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    reply
}

/// Two hundred of them, read from then on.
async fn two_hundred(
    client: &reqwest::Client,
    url: &str,
    model: &'static str,
) -> Vec<impl Future<Output = reqwest::Result<String>>> {
    let asking = (0..200).map(|n| begun(client.clone(), url.to_owned(), format!("question {n}"), model));
    join_all(asking).await.into_iter().map(reqwest::Response::text).collect()
}

#[tokio::test]
async fn at_sigterm_two_hundred_streams_get_their_whole_answer() {
    let mut gateway = Binary::start(&[("RATE_LIMIT_MAX", "0")]);
    let (client, url) = (http(), gateway.url("/llm/generate"));
    let streams = two_hundred(&client, &url, "gpt-4o").await;
    gateway.terminate();
    for stream in join_all(streams).await {
        let body = stream.unwrap();
        assert!(body.contains("\"type\":\"COMPLETE\""), "{body}");
    }
    assert_eq!(gateway.ended(Duration::from_secs(10)).await.code(), Some(0));
}

#[tokio::test]
async fn at_sigterm_what_cannot_finish_in_time_ends_with_an_error() {
    let mut gateway = Binary::start(&[("RATE_LIMIT_MAX", "0"), ("SHUTDOWN_GRACE_SECONDS", "1")]);
    let (client, url) = (http(), gateway.url("/llm/generate"));
    let streams = two_hundred(&client, &url, "demo:hang").await;
    let json = {
        let body = json!({"prompt": "json", "model": "demo:hang"});
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move { client.post(url).json(&body).send().await.unwrap() })
    };
    gateway.until_under_way(201).await;
    gateway.terminate();
    for stream in join_all(streams).await {
        let body = stream.unwrap();
        assert!(body.contains("\"type\":\"ERROR\",\"error\":\"The service is stopping\""), "{body}");
    }
    assert_eq!(json.await.unwrap().status(), 503);
    assert_eq!(gateway.ended(Duration::from_secs(10)).await.code(), Some(0));
}

#[tokio::test]
async fn the_log_says_what_runbooks_search_for_and_never_what_was_asked() {
    let mut gateway = Binary::start(&[("RATE_LIMIT_MAX", "3"), ("SHUTDOWN_GRACE_SECONDS", "0")]);
    let (client, url) = (http(), gateway.url("/llm/generate"));
    let ask = |id: &'static str, model: &'static str| {
        let body = json!({"prompt": "a secret \"question\"", "model": model});
        client.post(&url).header("x-request-id", id).json(&body).send()
    };
    for id in ["first", "second"] {
        ask(id, "gpt-4o").await.unwrap();
    }
    let leaves = tokio::spawn(ask("leaves", "demo:hang"));
    gateway.until_under_way(1).await;
    leaves.abort();
    gateway.until_under_way(0).await;
    ask("refused", "gpt-4o").await.unwrap();
    gateway.terminate();
    gateway.ended(Duration::from_secs(10)).await;

    let log = gateway.log();
    let of = |id: &str| -> Vec<(String, u64)> {
        let lines = log.iter().filter(|line| line["request_id"] == id);
        lines.map(|line| (line["message"].as_str().unwrap().to_owned(), line["status"].as_u64().unwrap_or(0))).collect()
    };
    let key = of("first")[0].0.strip_prefix("LLM Cache MISS: llm:cache:demo:gpt-4o:").unwrap().to_owned();
    assert_eq!(key.len(), 64);
    assert_eq!(of("second"), [(format!("LLM Cache HIT: llm:cache:demo:gpt-4o:{key}"), 200)]);
    let left = of("leaves").into_iter().find(|(message, _)| message.starts_with("LLM Cache MISS: ")).unwrap();
    assert_eq!(left.1, 499);
    let refused = of("refused");
    assert_eq!(refused[0].0, "Rate limit exceeded: 127.0.0.1 on /llm/generate (4/3)");
    assert_eq!(refused[1], ("answered".to_owned(), 429));
    assert!(log.iter().all(|line| !line.to_string().contains("secret")));
}

#[tokio::test]
async fn at_sigterm_nobody_waits_for_what_is_half_sent_or_wanted_by_nobody() {
    let mut gateway = Binary::start(&[("SHUTDOWN_GRACE_SECONDS", "1")]);
    let hanging = tokio::spawn(stream(http(), gateway.url("/llm/generate"), "x".to_owned(), "demo:hang"));
    gateway.until_under_way(1).await;
    hanging.abort();
    gateway.until_under_way(0).await;
    let mut half_head = TcpStream::connect(gateway.address).await.unwrap();
    half_head.write_all(b"POST /llm/generate HTTP/1.1\r\nhost:").await.unwrap();
    let mut half_body = TcpStream::connect(gateway.address).await.unwrap();
    let head =
        "POST /llm/generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    half_body.write_all(head.as_bytes()).await.unwrap();
    // The other connection was accepted before.
    gateway.until_under_way(1).await;
    gateway.terminate();
    let mut reply = Vec::new();
    half_body.read_to_end(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply);
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("The service is stopping"), "{reply}");
    // A head may take ten seconds, a body fifteen, and a call that is wanted by nobody fifty-five.
    assert!(gateway.ended(Duration::from_secs(8)).await.success());
}

#[tokio::test]
async fn after_sigterm_nobody_is_let_in() {
    let mut gateway = Binary::start(&[]);
    let (client, url) = (http(), gateway.url("/llm/generate"));
    let slow = tokio::spawn(stream(client, url, "x".to_owned(), "demo:slow"));
    gateway.until_under_way(1).await;
    gateway.terminate();
    until("nobody is let in", async || TcpStream::connect(gateway.address).await.is_err()).await;
    assert!(!slow.is_finished());
    assert!(slow.await.unwrap().contains("COMPLETE"));
    assert_eq!(gateway.ended(Duration::from_secs(10)).await.code(), Some(0));
}
