//! Asks the service of this machine whether it serves, for `HEALTHCHECK`.

use std::{process::ExitCode, time::Duration};

use llm_gateway::client::client;
use tokio::time::timeout;

use super::{configuration, failed, said};

/// How long it waits.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) async fn health() -> ExitCode {
    let config = match configuration() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let host = match config.server.host {
        host if host.is_unspecified() => "127.0.0.1".to_owned(),
        host if host.is_ipv6() => format!("[{host}]"),
        host => host.to_string(),
    };
    let url = format!("http://{host}:{}/health", config.server.port);
    let Ok(client) = client(None) else { return failed("the client cannot be built") };
    let Ok(address) = url.parse() else { return failed(&format!("{url} is no address")) };
    match timeout(HEALTH_TIMEOUT, client.get(address)).await {
        Ok(Ok(response)) if response.status().is_success() => said("ok"),
        Ok(Ok(response)) => failed(&format!("{url} answers {}", response.status())),
        Ok(Err(error)) => failed(&format!("{url} does not answer: {error}")),
        Err(_) => failed(&format!("{url} does not answer in time")),
    }
}
