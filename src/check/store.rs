//! The shared store: whether it does, and lets us do, what requests ask of it.

use tokio::time::Instant;

use crate::{
    config::{Backend, StoreConfig},
    stores::{Shared, Step, StoreError},
};

use super::{Finding, PATIENCE, State};

/// Names of what an operator can change.
struct Names {
    address: &'static str,
    /// Where the password or token stands.
    secret: &'static str,
}

pub(super) async fn check(config: &StoreConfig, shared: Option<&Shared>) -> Finding {
    let Some(shared) = shared else {
        return Finding::new("store", State::Ok, "this process's own memory: nothing to reach");
    };
    let names = match config.backend {
        Backend::Upstash { .. } => Names { address: "UPSTASH_REDIS_REST_URL", secret: "UPSTASH_REDIS_REST_TOKEN" },
        Backend::Memory | Backend::Redis(_) => Names { address: "REDIS_URL", secret: "REDIS_URL" },
    };
    let what = format!("store {}", shared.name);
    let begun = Instant::now();
    let finding = match shared.try_out(begun + PATIENCE).await {
        Ok(()) => Finding::new(what, State::Ok, "reads, writes, counts, runs scripts and deletes"),
        Err((step, error)) => Finding::new(what, state(&error), said(step, &error, &names)),
    };
    finding.after(begun.elapsed())
}

/// What passes by itself is nothing to mend.
fn state(error: &StoreError) -> State {
    match error {
        StoreError::NotReady(_) | StoreError::Busy(_) => State::Warning,
        StoreError::Skipped
        | StoreError::Timeout
        | StoreError::Unreached(_)
        | StoreError::ReadOnly
        | StoreError::Broken(_)
        | StoreError::Access(_)
        | StoreError::Quota
        | StoreError::Full
        | StoreError::TooLarge
        | StoreError::NoScript
        | StoreError::WrongType
        | StoreError::Refused(_) => State::Failed,
    }
}

fn said(step: Step, error: &StoreError, names: &Names) -> String {
    let Names { address, secret } = names;
    match error {
        StoreError::Unreached(why) => {
            format!("not reached ({why}). Look whether {address} is right, and whether this machine may connect there")
        }
        StoreError::Timeout => {
            format!("no answer in {} s. Look whether {address} is right, and how the store is", PATIENCE.as_secs())
        }
        StoreError::NotReady(code) => format!("not ready yet ({code}). Try again in a moment"),
        StoreError::Busy(status) => format!("too much to do (status {status}). Try again later"),
        StoreError::ReadOnly => format!("takes no writes: it is a replica. {address} has to name the primary"),
        StoreError::Access(code) if code == "NOPERM" => {
            format!("the user or token of {secret} may not {step}. Give it that right, or name another")
        }
        StoreError::Access(_) => format!("the password or token is refused. Put the right one in {secret}"),
        StoreError::Quota => {
            "the account's commands are used up. Wait for the next period, or enlarge the plan".to_owned()
        }
        StoreError::Full => "full: it takes no writes. Enlarge it, or let it evict".to_owned(),
        StoreError::Broken(why) => {
            format!(
                "no answer that makes sense ({why}). Look whether {address} names a Redis, with rediss:// where it wants TLS"
            )
        }
        StoreError::Refused(code) => {
            format!(
                "refuses to {step} ({code}). It must be Redis 6.2 or later, and the database number one that it has"
            )
        }
        StoreError::Skipped | StoreError::TooLarge | StoreError::NoScript | StoreError::WrongType => {
            format!("cannot {step}: {error}")
        }
    }
}
