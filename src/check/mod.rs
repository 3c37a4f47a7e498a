//! Tries everything that a configuration names, before anything is served: with calls that cost nothing, and nothing that stays.

mod aliases;
mod models;
mod provider;
mod report;
mod settings;
mod store;

use std::time::Duration;

use futures_util::future::join_all;

use crate::{
    app::{BadApp, Surroundings},
    config::Config,
};

pub use report::{Finding, Report, State};

/// How long each part of the world may take. All are asked at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries what `config` names.
///
/// # Errors
/// [`BadApp`], when the service could not even be put together: the configuration is at fault.
pub async fn check(config: &Config) -> Result<Report, BadApp> {
    let around = Surroundings::new(config)?;
    let providers = config.providers.endpoints.iter().map(|endpoint| provider::check(endpoint, &around, config));
    let (store, providers) = tokio::join!(store::check(&config.store, around.store.as_ref()), join_all(providers));
    let mut findings = settings::findings(config);
    findings.push(store);
    findings.extend(providers);
    findings.extend(provider::made_up(config));
    findings.extend(aliases::findings(config, &around.catalogue));
    Ok(Report { findings })
}
