//! Configuration or exit 78, logging, serve until told to stop.

use std::{
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use llm_gateway::{
    app::App,
    config::{Config, Problem, Sources},
    log,
    observers::Observers,
    serve::{Limits, connections, serve},
    stores::{Shared, StoreError},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout},
};

/// `EX_CONFIG` of `sysexits.h`.
const EXIT_CONFIG: u8 = 78;

/// How many connections the system may keep until they are accepted: who comes when there
/// are more tries again a second later.
const BACKLOG: u32 = 4096;

/// How long the start waits for the store.
const STORE_CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long `llm-gateway health` waits.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let config = match Config::read(Sources::environment()) {
        Ok(config) => config,
        Err(problems) => return misconfigured(&problems),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("The runtime cannot start: {error}")),
    };
    let code = match std::env::args().nth(1).as_deref() {
        None => runtime.block_on(run(config)),
        Some("health") => runtime.block_on(health(&config)),
        Some("--version") => said(concat!("llm-gateway ", env!("CARGO_PKG_VERSION"))),
        Some(_) => {
            failed("usage: llm-gateway [health | --version]; settings are environment variables, see .env.example")
        }
    };
    // A look-up of a name may still block a thread, and nobody waits for it any more.
    runtime.shutdown_background();
    code
}

async fn run(config: Config) -> ExitCode {
    let observers = match Observers::new(&config) {
        Ok(observers) => observers,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let _flushed_on_drop = match log::start(&config.log, observers.layers()) {
        Ok(guard) => guard,
        Err(error) => return failed(&format!("The log cannot be written: {error}")),
    };
    std::panic::set_hook(Box::new(|panic| {
        // Where, and not what: a panic's text may hold anything.
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panic");
    }));
    let address = SocketAddr::from((config.server.host, config.server.port));
    let listener = match listen(address) {
        Ok(listener) => listener,
        Err(error) => return failed(&format!("HOST and PORT: cannot listen on {address}: {error}")),
    };
    let limits = Limits {
        connections: connections(descriptors(), config.server.max_in_flight),
        stalled: config.bounds.idle,
        grace: config.server.shutdown_grace,
    };
    let providers: Vec<_> = config.providers.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
    let demo = config.providers.demo;
    if !config.unused.is_empty() {
        tracing::warn!(settings = ?config.unused, "set, but without effect in this version");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => return failed(&format!("Signals cannot be received: {error}")),
    };
    let app = match App::new(config) {
        Ok(app) => app,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if let Some(store) = &app.store
        && let Err(problem) = check(store).await
    {
        complain(&problem);
        return ExitCode::from(EXIT_CONFIG);
    }
    if demo {
        tracing::warn!("the demo provider is on: its answers are made up, and marked with `metadata.mock`");
    }
    if providers.is_empty() && !demo {
        tracing::warn!("no provider is configured: every generation will be refused");
    }
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, ?providers, connections = limits.connections, version = env!("CARGO_PKG_VERSION"), "listening");
    serve(listener, app, limits, stop).await;
    // The last requests are among what they have not been told yet.
    observers.finish().await;
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for what the system keeps of former connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How many file descriptors this process may have, once it has asked for as many as it can get: what it starts with is
/// often 1,024, for the sake of programs that cannot handle more.
fn descriptors() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
        rlimit::Resource::NOFILE.get_soft().unwrap_or(1024)
    })
}

/// Looks whether the store takes what it is given. One that cannot be reached may come later.
///
/// # Errors
/// What the operator must set right.
async fn check(store: &Shared) -> Result<(), String> {
    match store.check(Instant::now() + STORE_CHECK_TIMEOUT).await {
        Err(error @ (StoreError::Access(_) | StoreError::Refused(_))) => {
            Err(format!("Failed to connect to {}: {error}", store.name))
        }
        Err(error) => {
            tracing::warn!(%error, store = store.name, "the store does not work yet: the service starts without it");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Resolves at the first SIGTERM or SIGINT.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Asks the service of this machine whether it serves, for `HEALTHCHECK`.
async fn health(config: &Config) -> ExitCode {
    let host = match config.server.host {
        host if host.is_unspecified() => "127.0.0.1".to_owned(),
        host if host.is_ipv6() => format!("[{host}]"),
        host => host.to_string(),
    };
    let url = format!("http://{host}:{}/health", config.server.port);
    let Ok(client) = llm_gateway::client::client(None) else { return failed("the client cannot be built") };
    let Ok(address) = url.parse() else { return failed(&format!("{url} is no address")) };
    match timeout(HEALTH_TIMEOUT, client.get(address)).await {
        Ok(Ok(response)) if response.status().is_success() => said("ok"),
        Ok(Ok(response)) => failed(&format!("{url} answers {}", response.status())),
        Ok(Err(error)) => failed(&format!("{url} does not answer: {error}")),
        Err(_) => failed(&format!("{url} does not answer in time")),
    }
}

fn misconfigured(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        complain(&problem.to_string());
    }
    ExitCode::from(EXIT_CONFIG)
}

fn failed(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::FAILURE
}

fn said(line: &str) -> ExitCode {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(line: &str) {
    // If nobody can be told, the exit status still does.
    drop(writeln!(io::stderr(), "{line}"));
}
