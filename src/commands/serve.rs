//! Logging, and serving until told to stop.

use std::{future::Future, io, net::SocketAddr, process::ExitCode, time::Duration};

use llm_gateway::{
    app::App,
    log,
    observers::Observers,
    serve::{self, Limits, connections},
    stores::{Shared, StoreError},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use super::{configuration, failed, misconfigured};

/// How many connections the system may keep until they are accepted: who comes when there
/// are more tries again a second later.
const BACKLOG: u32 = 4096;

/// How long the start waits for the store.
const STORE_CHECK_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) async fn serve() -> ExitCode {
    let config = match configuration() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let observers = match Observers::new(&config) {
        Ok(observers) => observers,
        Err(error) => return misconfigured(&[error.to_string()]),
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
    let app = match App::new(&config) {
        Ok(app) => app,
        Err(error) => return misconfigured(&[error.to_string()]),
    };
    if let Some(store) = &app.store
        && let Err(problem) = check(store).await
    {
        return misconfigured(&[problem]);
    }
    if demo {
        tracing::warn!("the demo provider is on: its answers are made up, and marked with `metadata.mock`");
    }
    if providers.is_empty() && !demo {
        tracing::warn!("no provider is configured: every generation will be refused");
    }
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, ?providers, connections = limits.connections, version = env!("CARGO_PKG_VERSION"), "listening");
    serve::serve(listener, app, limits, stop).await;
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
