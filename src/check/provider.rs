//! A provider: whether it is there, takes the key, and has the models that it will be asked for.

use tokio::time::Instant;

use crate::{
    app::Surroundings,
    client::Distrust,
    config::{Config, EndpointConfig, Wire},
    generate::{DEMO, ErrorKind},
    providers::{Listed, NoList, Unreachable, list},
};

use super::{Finding, PATIENCE, State, models::lacking};

pub(super) async fn check(endpoint: &EndpointConfig, around: &Surroundings, config: &Config) -> Finding {
    let what = format!("provider {}", endpoint.name);
    let begun = Instant::now();
    let (state, said) = match list(endpoint, &around.client, PATIENCE).await {
        Ok(listed) => {
            let is_public = endpoint.api_key.is_some() && lists_to_anyone(endpoint, around).await;
            listing(endpoint, &listed, is_public, lacking(endpoint, &around.catalogue, &listed))
        }
        Err(reason) => said(endpoint, reason, config.extra_ca_pem.is_some()),
    };
    Finding::new(what, state, said).after(begun.elapsed())
}

/// What the list of a provider says, which gives it to anyone or to who has a key, and in which something is lacking.
fn listing(endpoint: &EndpointConfig, listed: &Listed, is_public: bool, lacking: Option<String>) -> (State, String) {
    let models = if listed.models.len() == 1 { "model" } else { "models" };
    let lists = format!("lists {} {models}", listed.models.len());
    if is_public {
        let lacking = lacking.map(|lacking| format!(". It has {lacking}")).unwrap_or_default();
        let unknown = "whether it takes the key cannot be tried for free";
        return (State::Warning, format!("{lists} to anyone: {unknown}{lacking}"));
    }
    let has = if endpoint.api_key.is_some() { format!("takes the key, and {lists}") } else { lists };
    match lacking {
        // Ollama's own sentence says more.
        _ if listed.models.is_empty() && endpoint.wire != Wire::Ollama => {
            let address = &endpoint.url_variable;
            (State::Warning, format!("{has}: this key may see none, or {address} leads elsewhere"))
        }
        Some(lacking) => (State::Warning, format!("{has}, but {lacking}")),
        None => (State::Ok, has),
    }
}

/// Whether who has no key gets the list too, as from some that others made after `OpenAI`'s: then nobody has looked at the key.
async fn lists_to_anyone(endpoint: &EndpointConfig, around: &Surroundings) -> bool {
    let without_key = EndpointConfig { api_key: None, ..endpoint.clone() };
    list(&without_key, &around.client, PATIENCE).await.is_ok()
}

/// The provider that is built in, or that there is none.
pub(super) fn made_up(config: &Config) -> Option<Finding> {
    if config.providers.demo {
        let said = "built in: its answers are made up, and marked with metadata.mock";
        return Some(Finding::new(format!("provider {DEMO}"), State::Ok, said));
    }
    config.providers.endpoints.is_empty().then(|| {
        let said = "none is configured: every generation is refused. Set OPENAI_API_KEY, or another provider's";
        Finding::new("providers", State::Failed, said)
    })
}

fn said(endpoint: &EndpointConfig, reason: NoList, trusts_more: bool) -> (State, String) {
    let address = &endpoint.url_variable;
    match reason {
        NoList::Unreachable(Unreachable::Untrusted(Distrust::Unknown)) if trusts_more => {
            let advice = "It must hold the CA that signed it (CA:TRUE), and not the server's own certificate";
            (State::Failed, format!("its certificate is not trusted, even with EXTRA_CA_FILE. {advice}"))
        }
        NoList::Unreachable(Unreachable::Broke) if endpoint.base_url.starts_with("https:") => {
            let advice = format!("Look whether {address} is right, and at what stands between here and there");
            (State::Failed, format!("the connection broke before there was an answer. {advice}"))
        }
        NoList::Unreachable(reason) => (State::Failed, unreachable(reason, address)),
        NoList::Refused { status, kind } => refused(endpoint, status.as_u16(), kind),
        NoList::NoSense => (
            State::Failed,
            format!("answers, but with no list of models: a web page, or another service. {address} leads there"),
        ),
    }
}

fn unreachable(reason: Unreachable, address: &str) -> String {
    match reason {
        Unreachable::NoSuchHost => {
            format!("not found: the name in {address} has no address. Mend it, or this machine's DNS")
        }
        Unreachable::NobodyListens => {
            format!("nobody listens there. Look whether host and port of {address} are right, and the server runs")
        }
        Unreachable::Untrusted(Distrust::Unknown) => {
            "its certificate is not trusted. Name who vouches for it in EXTRA_CA_FILE".to_owned()
        }
        Unreachable::Untrusted(Distrust::OutOfTime) => {
            "its certificate has expired, or is not valid yet. It needs another, or this machine's clock is wrong"
                .to_owned()
        }
        Unreachable::Untrusted(Distrust::OtherHost) => {
            format!("its certificate is for another host. Mend the host in {address}")
        }
        Unreachable::OtherTls => {
            format!("speaks a TLS that is not spoken here: 1.2 is the oldest. Look what serves {address}")
        }
        Unreachable::NoTls => {
            format!("does not speak TLS. Look whether {address} should begin with http://, or has another port")
        }
        Unreachable::Slow => {
            format!(
                "no answer in {} s. Look whether {address} is right, and whether this machine may connect there",
                PATIENCE.as_secs()
            )
        }
        Unreachable::Broke => {
            format!(
                "the connection broke before there was an answer. Look whether {address} should begin with https://"
            )
        }
        Unreachable::BrokeOff => {
            format!("its answer broke off. Try again; if it stays so, look at what stands between here and {address}")
        }
        Unreachable::TooLong => {
            format!("its answer is too long for a list of models. Look whether {address} leads to another service")
        }
    }
}

/// What a vendor means that gives no list, by the status and what its words make of it.
fn refused(endpoint: &EndpointConfig, status: u16, kind: ErrorKind) -> (State, String) {
    let address = &endpoint.url_variable;
    let has_no_key = endpoint.key_variable.is_none();
    let key = endpoint.key_variable.as_deref().unwrap_or(address);
    let is_compatible = endpoint.wire == Wire::Compatible;
    match (status, kind) {
        (401 | 403, _) if has_no_key => {
            let advice = "Let this service pass at what stands in front of it";
            (State::Failed, format!("wants a key (status {status}), which Ollama cannot be given here. {advice}"))
        }
        (_, ErrorKind::Authentication) if endpoint.api_key.is_none() => {
            (State::Failed, format!("wants a key. Set {key}"))
        }
        (_, ErrorKind::Authentication) => (State::Failed, format!("refuses the key. Put a valid one in {key}")),
        (_, ErrorKind::QuotaExhausted) => {
            (State::Failed, format!("the account of {key} has nothing left. Pay in, or raise its limit"))
        }
        // A key may answer questions that may not list models.
        (_, ErrorKind::Permission) => {
            let advice = "Give it that right, or look whether key, account, project and region are still allowed";
            let unknown = "whether it may answer cannot be tried for free";
            (State::Warning, format!("the key in {key} may not list models (status {status}): {unknown}. {advice}"))
        }
        (301 | 302 | 303 | 307 | 308, _) => {
            (State::Failed, format!("has moved (status {status}). Put its new address in {address}"))
        }
        (404 | 405 | 501, _) if is_compatible => {
            let advice = format!("The path of {address} may be wrong");
            (State::Warning, format!("is there, but lists no models: it cannot be checked for free. {advice}"))
        }
        (404, _) => {
            (State::Failed, format!("there is nothing at this address (status 404). Look at the path of {address}"))
        }
        (429, _) if has_no_key => {
            (State::Warning, "has too much to do for the moment (status 429). Try again later".to_owned())
        }
        (429, _) => {
            let advice = "Try again later; meanwhile nobody knows whether it is valid";
            (State::Warning, format!("limits the key in {key} for the moment (status 429). {advice}"))
        }
        (408 | 500.., _) if has_no_key => {
            (State::Warning, format!("is in trouble itself (status {status}). Try again later"))
        }
        (408 | 500.., _) => {
            let advice = "Try again later; meanwhile nobody knows whether it takes the key";
            (State::Warning, format!("is in trouble itself (status {status}). {advice}"))
        }
        _ if has_no_key => (State::Failed, format!("refuses to list its models (status {status}). Look at {address}")),
        _ => (State::Failed, format!("refuses to list its models (status {status}). Look at {address} and {key}")),
    }
}
