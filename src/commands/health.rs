//! Asks the service of this machine whether it serves, for `HEALTHCHECK`.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use http_body_util::{BodyExt as _, Limited};
use hyper::Uri;
use llm_gateway::client::{HttpClient, client, reasons};
use serde_json::Value;
use tokio::time::timeout;

use super::{configuration, failed, said};

/// How long it waits.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);
/// The answer is far shorter.
const MAX_BODY_BYTES: usize = 4096;

pub(crate) async fn health() -> ExitCode {
    let config = match configuration() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let host = match config.server.host {
        IpAddr::V6(host) if host.is_unspecified() => "[::1]".to_owned(),
        host if host.is_unspecified() => "127.0.0.1".to_owned(),
        host if host.is_ipv6() => format!("[{host}]"),
        host => host.to_string(),
    };
    let url = format!("http://{host}:{}/health", config.server.port);
    let Ok(client) = client(None) else { return failed("the client cannot be built") };
    let Ok(address) = url.parse() else { return failed(&format!("{url} is no address")) };
    match timeout(HEALTH_TIMEOUT, ask(&client, address)).await {
        Ok(Ok(())) => said("ok"),
        Ok(Err(problem)) => failed(&format!("{url} {problem}")),
        Err(_) => failed(&format!("{url} does not answer in time")),
    }
}

/// Asks, and says what is wrong with the answer.
async fn ask(client: &HttpClient, address: Uri) -> Result<(), String> {
    let response = client.get(address).await.map_err(|error| format!("does not answer: {}", reasons(&error)))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("answers {status}"));
    }
    let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
    let body = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
    if body.is_some_and(|body| body.get("status").is_some_and(|status| status == "ok")) {
        Ok(())
    } else {
        Err("is another service".to_owned())
    }
}
