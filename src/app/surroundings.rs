//! What the service leans on, for who wants to try it before anything is served.

use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::Catalogue,
    client::{HttpClient, client},
    clock::Clock,
    config::Config,
    metrics::Metrics,
    stores::{Shared, Stores},
};

use super::{BadApp, catalogue, configured, room, webhook};

/// What a configuration names outside of this process, and what it means by models.
pub struct Surroundings {
    /// Reaches the providers.
    pub client: HttpClient,
    /// What instances share. `None`: nothing.
    pub store: Option<Shared>,
    /// The models that can be asked for.
    pub catalogue: Catalogue,
}

impl Surroundings {
    /// The surroundings that `config` describes, put together as [`super::App::new`] does. Connects to nobody yet.
    ///
    /// # Errors
    /// [`BadApp`], when a part of them cannot be made.
    pub fn new(config: &Config) -> Result<Self, BadApp> {
        let (clock, pem) = (Clock::system(), config.extra_ca_pem.as_deref());
        let client = client(pem)?;
        // Nobody is told of anything, only whether somebody could be.
        drop(webhook(config, client.clone(), CancellationToken::new())?);
        let stores = Stores::new(&config.store, room(config), clock, &client, pem, Metrics::default().store)?;
        Ok(Self { client, store: stores.shared, catalogue: catalogue(config, configured(config), clock)? })
    }
}
