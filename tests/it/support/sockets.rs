//! Real sockets: the binary as a process, and a vendor that serves what it is given.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;

use super::until;

/// The gateway that was built with the tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_llm-gateway");

/// Where a process of a build that counts its lines writes down which of them it ran (`scripts/coverage`).
pub(crate) fn profile() -> Option<(&'static str, OsString)> {
    let name = "LLVM_PROFILE_FILE";
    std::env::var_os(name).map(|file| (name, file))
}

/// A client whom no proxy of the environment leads astray.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The gateway as a process of its own, on a free port, with an environment of its own.
pub(crate) struct Binary {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Option<JoinHandle<String>>,
}

impl Binary {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_from(Path::new(PROGRAM), settings, |_| true)
    }

    /// The gateway that stands at `program`; of its log only the lines that `is_kept` are remembered.
    pub(crate) fn start_from(program: &Path, settings: &[(&str, &str)], is_kept: fn(&str) -> bool) -> Self {
        let mut child = Self::command_of(program, settings).stdout(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let (mut kept, mut line) = (String::new(), String::new());
        while !line.contains("\"listening\"") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the gateway did not start");
            if is_kept(&line) {
                kept.push_str(&line);
            }
        }
        let listening: serde_json::Value = serde_json::from_str(&line).unwrap();
        // Keep reading, or the pipe fills up and the gateway's log with it.
        let log = std::thread::spawn(move || {
            line.clear();
            while log.read_line(&mut line).unwrap() > 0 {
                if is_kept(&line) {
                    kept.push_str(&line);
                }
                line.clear();
            }
            kept
        });
        Self { child, address: listening["address"].as_str().unwrap().parse().unwrap(), log: Some(log) }
    }

    pub(crate) fn command(settings: &[(&str, &str)]) -> Command {
        Self::command_of(Path::new(PROGRAM), settings)
    }

    fn command_of(program: &Path, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOST", "127.0.0.1").env("PORT", "0").env("LOG_FORMAT", "json");
        command.envs(settings.iter().copied()).envs(profile()).current_dir(std::env::temp_dir());
        command
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it holds in memory.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }

    /// How many descriptors it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub(crate) fn terminate(&self) {
        let killed = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until so many requests are under way, those whose body is still to come among them.
    pub(crate) async fn until_under_way(&self, requests: usize) {
        let client = http();
        // The look is one of them.
        let expected = format!("http_server_active_requests {}", requests + 1);
        until(&format!("{requests} requests under way"), async || {
            let metrics = client.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
            metrics.lines().any(|line| line == expected)
        })
        .await;
    }

    /// Every line of the log, once the gateway has ended.
    pub(crate) fn log(&mut self) -> Vec<serde_json::Value> {
        let log = self.log.take().unwrap().join().unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < within, "the gateway does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A vendor on a socket: the same reply to every call, in pieces.
pub(crate) struct Vendor {
    pub(crate) base_url: String,
    calls: Arc<AtomicUsize>,
}

impl Vendor {
    pub(crate) async fn serving(status: u16, headers: HeaderMap, body: Bytes, piece: usize) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let reply = move || {
            count.fetch_add(1, Ordering::SeqCst);
            reply(status, headers.clone(), &body, piece)
        };
        let router = Router::new().fallback(post(|| async move { reply() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(async move {
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
                });
            }
        });
        Self { base_url, calls }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn reply(status: u16, headers: HeaderMap, body: &Bytes, piece: usize) -> Response {
    let pieces: Vec<Bytes> = body.chunks(piece).map(Bytes::copy_from_slice).collect();
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>));
    (StatusCode::from_u16(status).unwrap(), headers, Body::from_stream(pieces.boxed())).into_response()
}
