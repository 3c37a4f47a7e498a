//! The composition root: the only place that names concrete backends and the order of the layers.

mod chores;
mod spelling;
mod stacks;
mod surroundings;

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::util::BoxCloneSyncService;

use crate::{
    catalogue::{BadAlias, BadCatalogue, Catalogue, Configured},
    client::{BadRoots, HttpClient, client},
    clock::Clock,
    config::{Config, EndpointConfig, ModelsConfig, Wire},
    dispatch::{Breakers, breakers},
    generate::DEMO,
    http::{Api, Bodies, StoreHealth},
    layers::{
        cache::{CacheCounts, Flights, Shelf, fresh_until},
        load_shed::Places,
    },
    ledger::{Ledger, Webhook},
    metrics::Metrics,
    providers::Providers,
    sessions::Sessions,
    stores::{Room, Shared, Stores, redis::BadAddress},
    telemetry::Telemetry,
};

pub use chores::Chores;
use stacks::{embedding_stack, generation_stack, http_stack, routes};
pub use surroundings::Surroundings;

/// The whole service, ready to be served.
pub struct App {
    /// Answers every request.
    pub service: HttpService,
    /// Cancelled when nothing new is wanted.
    pub draining: CancellationToken,
    /// Cancelled when answers still in flight have to end.
    pub stopping: CancellationToken,
    /// What outlives a request. All of it is there when all connections have ended: a call becomes a task when who began it leaves.
    pub tasks: TaskTracker,
    /// The calls under way.
    pub flights: Arc<Flights>,
    /// What other instances share too. `None`: nothing.
    pub store: Option<Shared>,
    /// What has to be done while the service serves.
    pub chores: Chores,
}

/// All routes with all layers.
pub type HttpService = BoxCloneSyncService<Request, Response, std::convert::Infallible>;

/// A service that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BadApp {
    /// The catalogue is broken.
    #[error(transparent)]
    Catalogue(#[from] BadCatalogue),
    /// A name of the operator's stands for nothing.
    #[error(transparent)]
    Alias(#[from] BadAlias),
    /// The file of certificates is broken.
    #[error(transparent)]
    Roots(#[from] BadRoots),
    /// The webhook's address is none that can be posted to.
    #[error("BUDGET_WEBHOOK_URL is not an address to post to")]
    Webhook,
    /// The store's address is none.
    #[error(transparent)]
    Store(#[from] BadAddress),
}

/// What the world outside gives to the service.
pub struct Parts {
    /// The providers that can be called, as the catalogue knows them.
    pub configured: Vec<Configured>,
    /// The same, as they are called.
    pub providers: Providers,
    /// Where things are kept.
    pub stores: Stores,
    /// The time of day.
    pub clock: Clock,
    /// Reaches whoever is told of budgets.
    pub client: HttpClient,
    /// Counts what happens, in the stores too.
    pub metrics: Metrics,
}

/// What the layers and handlers share.
struct Backends {
    shelf: Arc<Shelf>,
    stores: Stores,
    catalogue: Arc<Catalogue>,
    providers: Providers,
    breakers: Arc<Breakers>,
    flights: Arc<Flights>,
    tasks: TaskTracker,
    ledger: Arc<Ledger>,
    counts: Arc<CacheCounts>,
    sessions: Arc<Sessions>,
    telemetry: Arc<Telemetry>,
    clock: Clock,
}

impl App {
    /// The service that `config` describes.
    ///
    /// # Errors
    /// [`BadApp`], when a part of it cannot be made.
    pub fn new(config: &Config) -> Result<Self, BadApp> {
        let configured = configured(config);
        let (clock, pem) = (Clock::system(), config.extra_ca_pem.as_deref());
        let client = client(pem)?;
        let metrics = Metrics::default();
        let stores = Stores::new(&config.store, room(config), clock, &client, pem, metrics.store.clone())?;
        let providers = Providers::new(&config.providers, &client);
        Self::from_parts(config, Parts { configured, providers, stores, clock, client, metrics })
    }

    /// The same of these parts, in place of those that `config` names.
    ///
    /// # Errors
    /// [`BadApp`], when a part of it cannot be made.
    pub fn from_parts(config: &Config, parts: Parts) -> Result<Self, BadApp> {
        let Parts { configured, providers, stores, clock, client, metrics } = parts;
        let (draining, stopping) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        // As many calls may go on unattended as are ever attended to.
        let flights = Flights::new(config.server.max_in_flight, tasks.clone(), stopping.clone());
        let (ttl, store_timeout) = (config.sessions.ttl, config.store.timeout);
        let sessions = Arc::new(Sessions::new(Arc::clone(&stores.sessions), ttl, store_timeout, tasks.clone()));
        let ledger = Arc::new(Ledger::new(
            clock,
            &config.budget,
            Arc::clone(&stores.books),
            store_timeout,
            config.store.instances,
            tasks.clone(),
            webhook(config, client.clone(), draining.clone())?,
        ));
        let catalogue = catalogue(config, configured, clock)?;
        let backends = Backends {
            shelf: Arc::new(Shelf::new(Arc::clone(&stores.cache), config.cache, store_timeout, clock)),
            counts: Arc::new(CacheCounts::new(Arc::clone(&stores.totals), metrics.cache.clone())),
            stores,
            catalogue: Arc::new(catalogue),
            breakers: Arc::new(breakers(&providers, config.attempts.breaker_failures)),
            providers,
            flights: Arc::new(flights),
            tasks: tasks.clone(),
            ledger,
            sessions,
            telemetry: Arc::new(Telemetry::new(metrics, clock)),
            clock,
        };
        let chores = Chores {
            listing: config.providers.endpoints.iter().filter(|endpoint| lists_itself(endpoint)).cloned().collect(),
            client,
            catalogue: Arc::clone(&backends.catalogue),
            counts: Arc::clone(&backends.counts),
            ledger: Arc::clone(&backends.ledger),
            store_timeout,
        };
        let places = Places::new(config.server.max_in_flight);
        let api = Arc::new(Api {
            generate: generation_stack(config, &backends),
            embed: embedding_stack(config, &backends),
            catalogue: Arc::clone(&backends.catalogue),
            ledger: Arc::clone(&backends.ledger),
            counts: Arc::clone(&backends.counts),
            shelf: Arc::clone(&backends.shelf),
            cache: config.cache,
            breakers: Arc::clone(&backends.breakers),
            store_health: StoreHealth::new(backends.stores.shared.clone()),
            started: Instant::now(),
            sessions: Arc::clone(&backends.sessions),
            session_cookie: config.sessions,
            clock,
            store_timeout,
            bounds: config.bounds,
            bodies: Bodies::new(config.server.body_limit_bytes, stopping.clone()),
            places: places.clone(),
            prompt_style: config.prompt_style,
            rate_limit: config.rate_limit,
            stopping: stopping.clone(),
            telemetry: Arc::clone(&backends.telemetry),
            flights: Arc::clone(&backends.flights),
        });
        let telemetry = Arc::clone(&backends.telemetry);
        let service = http_stack(config, telemetry, routes(config, &backends, places, api));
        Ok(Self {
            service,
            draining,
            stopping,
            tasks,
            flights: backends.flights,
            store: backends.stores.shared,
            chores,
        })
    }
}

/// How much the stores may hold in this process.
pub fn room(config: &Config) -> Room {
    Room { cache_bytes: config.cache.memory_bytes, longest_window: config.rate_limit.window, fresh_until }
}

/// Where alerts are posted.
fn webhook(config: &Config, client: HttpClient, draining: CancellationToken) -> Result<Option<Webhook>, BadApp> {
    let Some(url) = &config.budget.webhook_url else { return Ok(None) };
    let address = url.expose_secret().parse().map_err(|_| BadApp::Webhook)?;
    Ok(Some(Webhook::new(client, address, draining)))
}

/// The models that `config` names, of which those of `configured` can be called.
fn catalogue(config: &Config, configured: Vec<Configured>, clock: Clock) -> Result<Catalogue, BadApp> {
    let ModelsConfig { file, retired, aliases } = &config.models;
    let catalogue = Catalogue::new(configured, file.as_deref(), *retired, clock)?;
    Ok(catalogue.with_aliases(aliases.clone())?)
}

/// The providers of the configuration, as the catalogue wants to know them.
fn configured(config: &Config) -> Vec<Configured> {
    let endpoints = config.providers.endpoints.iter().map(|endpoint| Configured {
        id: endpoint.name.as_str().into(),
        base_url: endpoint.base_url.clone(),
        models: endpoint.models.iter().map(|model| model.as_str().into()).collect(),
        lists_itself: lists_itself(endpoint),
    });
    let demo = config.providers.demo.then(|| Configured {
        id: DEMO.into(),
        base_url: String::new(),
        models: Vec::new(),
        lists_itself: false,
    });
    endpoints.chain(demo).collect()
}

/// Whether it says itself which models it has, and may be asked for any.
fn lists_itself(endpoint: &EndpointConfig) -> bool {
    endpoint.wire == Wire::Ollama
}
