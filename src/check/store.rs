//! The shared store: whether it does, and lets us do, what requests ask of it.

use hyper::Uri;
use secrecy::ExposeSecret;
use tokio::{
    net::lookup_host,
    time::{Instant, timeout},
};

use crate::{
    config::{Backend, StoreConfig},
    ledger::STANDING,
    stores::{Shared, Step, StoreError},
};

use super::{Finding, PATIENCE, State};

/// Names of what an operator can change.
struct Names {
    address: &'static str,
    /// Where the password or token stands.
    secret: &'static str,
    /// What an address that leads to another service should have been.
    meant: &'static str,
    /// What the service behind it must be.
    able: &'static str,
}

const REDIS: Names = Names {
    address: "REDIS_URL",
    secret: "REDIS_URL",
    meant: "names a Redis, with rediss:// where it wants TLS, and one that is not in protected mode",
    able: "It must be Redis 6.2 or later, and the database number one that it has",
};
const REDIS_TLS: Names =
    Names { meant: "names a Redis, and one that speaks TLS: else it begins with redis://", ..REDIS };
const UPSTASH: Names = Names {
    address: "UPSTASH_REDIS_REST_URL",
    secret: "UPSTASH_REDIS_REST_TOKEN",
    meant: "is the REST address of an Upstash database, with https://",
    able: "Look at the database in Upstash's console",
};

pub(super) async fn check(config: &StoreConfig, shared: Option<&Shared>) -> Finding {
    let Some(shared) = shared else {
        return Finding::new("store", State::Ok, "this process's own memory: nothing to reach");
    };
    let addresses: Vec<&str> = match &config.backend {
        Backend::Memory => Vec::new(),
        Backend::Redis(addresses) => addresses.iter().map(ExposeSecret::expose_secret).collect(),
        Backend::Upstash { url, .. } => vec![url],
    };
    let names = match config.backend {
        Backend::Upstash { .. } => UPSTASH,
        Backend::Redis(_) if addresses.iter().any(|address| address.starts_with("rediss:")) => REDIS_TLS,
        Backend::Redis(_) | Backend::Memory => REDIS,
    };
    let what = format!("store {}", shared.name);
    let begun = Instant::now();
    let finding = match shared.try_out(&STANDING, begun + PATIENCE).await {
        Ok(()) => Finding::new(what, State::Ok, "reads, writes, counts, books, runs scripts and deletes"),
        Err((_, StoreError::Unreached(_))) if is_unknown(&addresses).await => {
            let address = names.address;
            let said = format!("not found: the name in {address} has no address. Mend it, or this machine's DNS");
            Finding::new(what, State::Failed, said)
        }
        Err((step, error)) => Finding::new(what, state(&error), said(step, &error, &names)),
    };
    finding.after(begun.elapsed())
}

/// Whether none of these names has an address: the client of Redis does not tell.
async fn is_unknown(addresses: &[&str]) -> bool {
    for address in addresses {
        let Ok(address) = address.parse::<Uri>() else { return false };
        let Some(host) = address.host() else { return false };
        // In brackets it is no name.
        if host.starts_with('[') || !matches!(timeout(PATIENCE, lookup_host((host, 0))).await, Ok(Err(_))) {
            return false;
        }
    }
    !addresses.is_empty()
}

/// The status in place of an answer.
fn status(error: &StoreError) -> Option<u16> {
    match error {
        StoreError::Busy(status) => Some(*status),
        StoreError::Broken(why) => why.strip_prefix("status ")?.parse().ok(),
        _ => None,
    }
}

/// Whether a node of a cluster was taken for a server of its own, and says that others have the key.
fn is_elsewhere(code: &str) -> bool {
    code == "MOVED" || code == "ASK"
}

/// What passes by itself is nothing to mend.
fn state(error: &StoreError) -> State {
    match error {
        StoreError::NotReady(code) if is_elsewhere(code) => State::Failed,
        StoreError::NotReady(_) | StoreError::Busy(_) => State::Warning,
        StoreError::Broken(_) if status(error).is_some_and(passes) => State::Warning,
        StoreError::Skipped
        | StoreError::Timeout
        | StoreError::Unreached(_)
        | StoreError::ReadOnly
        | StoreError::Broken(_)
        | StoreError::Access(_)
        | StoreError::Quota
        | StoreError::Full
        | StoreError::Disk
        | StoreError::TooLarge
        | StoreError::NoScript
        | StoreError::WrongType
        | StoreError::Refused(_) => State::Failed,
    }
}

/// Whether a service that answers with this status may soon answer with another.
fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

fn said(step: Step, error: &StoreError, names: &Names) -> String {
    let Names { address, secret, meant, able } = names;
    match error {
        // Someone may be there who does not speak as the address says.
        StoreError::Unreached(why @ "no connection") => {
            format!("not reached ({why}). Look whether this machine may connect there, and whether {address} {meant}")
        }
        StoreError::Unreached(why) => {
            format!("not reached ({why}). Look whether {address} is right, and whether this machine may connect there")
        }
        StoreError::Timeout => {
            format!("no answer in {} s. Look whether {address} is right, and how the store is", PATIENCE.as_secs())
        }
        StoreError::NotReady(code) if is_elsewhere(code) => {
            format!("this is a cluster: name several of its nodes in {address}, with commas between")
        }
        StoreError::NotReady(code) => format!("not ready yet ({code}). Try again in a moment"),
        StoreError::Busy(status) => format!("too much to do (status {status}). Try again later"),
        StoreError::ReadOnly => format!("takes no writes: it is a replica. {address} has to name the primary"),
        StoreError::Access(code) if code == "NOPERM" => {
            format!("the user or token of {secret} may not {step}. Give it that right, or name another")
        }
        StoreError::Access(code) if code == "DENIED" => {
            "is in protected mode: it serves only its own machine until it has a password, or that mode is off"
                .to_owned()
        }
        StoreError::Access(_) => format!("the password or token is refused. Put the right one in {secret}"),
        StoreError::Quota => {
            "the account's commands are used up. Wait for the next period, or enlarge the plan".to_owned()
        }
        StoreError::Full => "full: it takes no writes. Enlarge it, or let it evict".to_owned(),
        StoreError::Disk => "cannot write to its disk, and takes no writes until it can. Look at its log".to_owned(),
        StoreError::Broken(why) => match status(error) {
            Some(429) => "too many commands for the moment (status 429). Try again later".to_owned(),
            Some(status) if passes(status) => format!("is in trouble itself (status {status}). Try again later"),
            _ => format!("no answer that makes sense ({why}). Look whether {address} {meant}"),
        },
        StoreError::WrongType => {
            format!("cannot {step}: a key there holds something else. Rename or delete it, or name another database")
        }
        StoreError::Refused(code) if code == "NOREPLICAS" => {
            "takes no writes: too few of its replicas are there (min-replicas-to-write). Look at them".to_owned()
        }
        StoreError::Refused(code) => format!("refuses to {step} ({code}). {able}"),
        StoreError::Skipped | StoreError::TooLarge | StoreError::NoScript => format!("cannot {step}: {error}"),
    }
}
