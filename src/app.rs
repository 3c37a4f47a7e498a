//! The composition root: the only place that names concrete backends and the order of the layers.

use std::{
    any::Any,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    handler::Handler as _,
    http::{Method, Uri},
    response::{IntoResponse as _, Response},
    routing::{delete, get, patch, post, post_service},
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    caller::{Addresses, Caller, Keys},
    catalogue::{BadCatalogue, Catalogue, Configured, Retired},
    client::{BadRoots, client},
    clock::Clock,
    config::{Coalesce, Config, RetiredModels, Wire},
    dispatch::{Breakers, Dispatch, breakers},
    error::ApiError,
    generate::DEMO,
    http::{self, Api, Bodies, GenerateService, StoreHealth, cors::CorsLayer, edge::EdgeLayer},
    layers::{
        admin::AdminLayer,
        authenticate::{AuthenticateLayer, Desk, Wanted},
        cache::{CacheCounts, FlightLayer, Flights, Leases, LookupLayer, Refreshes, Shelf, fresh_until},
        load_shed::{LoadShedLayer, Places},
        meter::MeterLayer,
        rate_limit::RateLimitLayer,
    },
    ledger::Ledger,
    providers::Providers,
    sessions::Sessions,
    stores::{Room, Shared, Stores, redis::BadAddress},
};

/// The part of the time that an answer may take after which a stale one stands in for it: those who wait for a provider that
/// hangs keep the room of those who need not.
const STAND_IN_SHARE: u32 = 5;
/// How often a provider is asked which models it has, and how long it may take to say so.
const LIST_INTERVAL: Duration = Duration::from_mins(1);
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often counts are added to the store's.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// The whole service, ready to be served.
pub struct App {
    /// Answers every request.
    pub service: HttpService,
    /// Cancelled when answers still in flight have to end.
    pub stopping: CancellationToken,
    /// What outlives a request.
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
    /// The file of certificates is broken.
    #[error(transparent)]
    Roots(#[from] BadRoots),
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
}

/// What the layers and handlers share.
struct Backends {
    shelf: Arc<Shelf>,
    stores: Stores,
    catalogue: Arc<Catalogue>,
    providers: Providers,
    breakers: Arc<Breakers>,
    flights: Arc<Flights>,
    ledger: Arc<Ledger>,
    counts: Arc<CacheCounts>,
    sessions: Arc<Sessions>,
    clock: Clock,
}

impl App {
    /// The service that `config` describes.
    ///
    /// # Errors
    /// [`BadApp`], when a part of it cannot be made.
    pub fn new(mut config: Config) -> Result<Self, BadApp> {
        let configured = configured(&config);
        let providers = std::mem::replace(&mut config.providers, crate::config::ProvidersConfig::none());
        let (clock, pem) = (Clock::system(), config.extra_ca_pem.as_deref());
        let client = client(pem)?;
        let stores = Stores::new(&config.store, room(&config), clock, &client, pem)?;
        let parts = Parts { configured, providers: Providers::new(providers, &client), stores, clock };
        Self::from_parts(&config, parts)
    }

    /// The same of these parts, in place of those that `config` names.
    ///
    /// # Errors
    /// [`BadApp`], when a part of it cannot be made.
    pub fn from_parts(config: &Config, parts: Parts) -> Result<Self, BadApp> {
        let Parts { configured, providers, stores, clock } = parts;
        let stopping = CancellationToken::new();
        // As many calls may go on unattended as are ever attended to.
        let flights = Flights::new(config.server.max_in_flight, stopping.clone());
        let retired = match config.models.retired {
            RetiredModels::Replace => Retired::Replace,
            RetiredModels::Send => Retired::Send,
            RetiredModels::Refuse => Retired::Refuse,
        };
        let store_timeout = config.store.timeout;
        let (ttl, tasks) = (config.sessions.ttl, flights.tasks().clone());
        let (kept, guesses) = (Arc::clone(&stores.sessions), Arc::clone(&stores.guesses));
        let sessions = Arc::new(Sessions::new(kept, guesses, ttl, store_timeout, clock, tasks));
        let backends = Backends {
            shelf: Arc::new(Shelf::new(Arc::clone(&stores.cache), config.cache, store_timeout, clock)),
            counts: Arc::new(CacheCounts::new(Arc::clone(&stores.totals))),
            stores,
            catalogue: Arc::new(Catalogue::new(configured, config.models.file.as_deref(), retired, clock)?),
            breakers: Arc::new(breakers(&providers, config.attempts.breaker_failures)),
            providers,
            flights: Arc::new(flights),
            ledger: Arc::new(Ledger::new(clock, config.budget)),
            sessions,
            clock,
        };
        let chores = Chores {
            providers: backends.providers.clone(),
            catalogue: Arc::clone(&backends.catalogue),
            counts: Arc::clone(&backends.counts),
            store_timeout,
        };
        let places = Places::new(config.server.max_in_flight);
        let api = Arc::new(Api {
            generate: generation_stack(config, &backends),
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
        });
        let service = http_stack(config, routes(config, &backends, places, api));
        let tasks = backends.flights.tasks().clone();
        Ok(Self { service, stopping, tasks, flights: backends.flights, store: backends.stores.shared, chores })
    }
}

/// How much the stores may hold in this process.
pub fn room(config: &Config) -> Room {
    let longest_window = config.rate_limit.window.max(Sessions::GUESSES_WINDOW);
    Room { cache_bytes: config.cache.memory_bytes, longest_window, fresh_until }
}

/// What has to be done while the service serves.
#[derive(Clone)]
pub struct Chores {
    providers: Providers,
    catalogue: Arc<Catalogue>,
    counts: Arc<CacheCounts>,
    store_timeout: Duration,
}

impl Chores {
    /// Asks the providers that list their models themselves, now and every minute, and adds up what was counted. Never ends of
    /// itself.
    pub async fn run(self) {
        tokio::join!(self.list_models(), async {
            loop {
                sleep(FLUSH_INTERVAL).await;
                self.counts.flush(self.store_timeout).await;
            }
        });
    }

    /// What is left to do when the last answer is given.
    pub async fn finish(self) {
        self.counts.flush(self.store_timeout).await;
    }

    async fn list_models(&self) {
        loop {
            for (id, provider) in self.providers.iter() {
                // Who cannot be asked keeps what it said last.
                if let Ok(Some(models)) = timeout(LIST_TIMEOUT, provider.installed()).await {
                    self.catalogue.set_installed(id.clone(), models);
                }
            }
            sleep(LIST_INTERVAL).await;
        }
    }
}

/// The providers of the configuration, as the catalogue wants to know them.
fn configured(config: &Config) -> Vec<Configured> {
    let endpoints = config.providers.endpoints.iter().map(|endpoint| Configured {
        id: endpoint.name.as_str().into(),
        base_url: endpoint.base_url.clone(),
        models: endpoint.models.iter().map(|model| model.as_str().into()).collect(),
        lists_itself: endpoint.wire == Wire::Ollama,
    });
    let demo = config.providers.demo.then(|| Configured {
        id: DEMO.into(),
        base_url: String::new(),
        models: Vec::new(),
        lists_itself: false,
    });
    endpoints.chain(demo).collect()
}

/// What a generation passes through. The outermost layer comes first.
fn generation_stack(config: &Config, backends: &Backends) -> GenerateService {
    let Backends { shelf, catalogue, providers, breakers, flights, ledger, counts, stores, .. } = backends;
    let (retries, breakers) = (config.attempts.retries, Arc::clone(breakers));
    let refreshes = Refreshes::new(flights.tasks().clone());
    let leases = stores.leases.as_ref().filter(|_| config.cache.enabled && config.flight.coalesce == Coalesce::Shared);
    // Half of the time that an answer may take is left for who has waited in vain.
    let (tasks, patience) = (flights.tasks().clone(), config.bounds.answer / 2);
    let leases = leases.map(|leases| Leases::new(Arc::clone(leases), tasks, config.store.timeout, patience));
    let stack = ServiceBuilder::new()
        // Per caller: freshness is the caller's wish, and a hit must touch nothing below.
        .layer(LookupLayer::new(
            Arc::clone(shelf),
            Arc::clone(counts),
            refreshes,
            config.bounds.answer / STAND_IN_SHARE,
        ))
        // Per question: misses and refreshes meet here, so that one call serves all of them.
        .layer(FlightLayer::new(Arc::clone(flights), Arc::clone(shelf), leases, config.flight))
        // Per call: inside the flight, so that a call nobody waits for any more is paid for all the same.
        .layer(MeterLayer::new(Arc::clone(catalogue), Arc::clone(ledger)))
        .service(Dispatch::new(providers.clone(), Arc::clone(catalogue), config.bounds, retries, breakers));
    BoxCloneSyncService::new(stack)
}

/// What a request passes through once its route is known. The outermost layer comes first.
fn routes(config: &Config, backends: &Backends, places: Places, api: Arc<Api>) -> Router {
    let desk = Arc::new(Desk {
        keys: Keys::new(&config.api_keys),
        sessions: Arc::clone(&backends.sessions),
        origins: config.frontend_origins.clone().into(),
        store_timeout: config.store.timeout,
    });
    let wanted = |wanted| AuthenticateLayer::new(Arc::clone(&desk), wanted);
    let generation = ServiceBuilder::new()
        // Before anything is counted: what is shed costs its caller nothing.
        .layer(LoadShedLayer::before_the_body(places.clone()))
        .layer(wanted(Wanted::Client))
        // Refuses while the body is still unread.
        .layer(RateLimitLayer::new(
            Arc::clone(&backends.stores.counters),
            config.rate_limit,
            backends.clock,
            config.store.timeout,
            ("generate", "/llm/generate"),
        ))
        .service(http::generate::generate.with_state(Arc::clone(&api)));
    let lists = Router::new()
        .route("/llm/models", get(http::models))
        .route("/llm/providers", get(http::providers))
        .route("/llm/cache/stats", get(http::cache_stats))
        .route_layer(wanted(Wanted::Client));
    let own_session = get(http::sessions::current).delete(http::sessions::end);
    let own_session = if desk.keys.is_empty() { own_session.patch(http::not_found) } else { own_session };
    let own_session = Router::new().route("/sessions/current", own_session).route_layer(wanted(Wanted::Anyone));
    // Without keys nobody can be trusted with these.
    let trusted = (!desk.keys.is_empty()).then(|| {
        Router::new()
            .route("/sessions", post(http::sessions::create))
            .route("/sessions/current", patch(http::sessions::update))
            .route("/users/{id}/sessions", get(http::sessions::of_user).delete(http::sessions::end_all))
            .route_layer(wanted(Wanted::Key))
    });
    // Without a token there are no such routes.
    let administration = config.admin_token.clone().map(|token| {
        Router::new()
            .route("/llm/cache/explain", post(http::explain))
            .route("/llm/cache", delete(http::clear))
            .route("/llm/cache/{*key}", delete(http::forget))
            .route_layer(AdminLayer::new(token))
    });
    let optional = [trusted, administration].into_iter().flatten().fold(Router::new(), Router::merge);
    optional
        .merge(lists)
        .merge(own_session)
        .route_layer(LoadShedLayer::new(places))
        .route("/llm/generate", post_service(generation))
        // Not shed: while the process serves, it says so.
        .route("/health", get(http::health))
        .route("/health/ready", get(http::ready))
        .fallback(http::not_found)
        .method_not_allowed_fallback(http::method_not_allowed)
        .with_state(api)
}

/// What every request passes through before its route is known. The outermost layer comes first.
fn http_stack(config: &Config, routes: Router) -> HttpService {
    let addresses = Arc::new(Addresses::new(config.client_ip.clone()));
    let identify = move |mut request: Request| {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let address = addresses.of(request.headers(), peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        request.extensions_mut().insert(Caller::at(address));
        request
    };
    let stack = ServiceBuilder::new()
        // Outside everything: whatever happens below has an id, is logged, and is JSON when it is an error.
        .layer(EdgeLayer)
        // Outside everything that refuses, panics included, so that browsers can read the refusal.
        .layer(CorsLayer::new(config.frontend_origins.clone().into()))
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(CatchPanicLayer::custom(panicked))
        .map_request(canonical_path)
        // Limits, and what is kept for one caller alone, go by who is asking.
        .map_request(identify)
        .service(routes);
    BoxCloneSyncService::new(stack)
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    // The panic hook has logged where it was.
    ApiError::internal().into_response()
}

/// One spelling for each route: no trailing slash, and the first two segments of the original's routes in lower case.
fn canonical_path(mut request: Request) -> Request {
    let path = request.uri().path();
    // Where something is deleted, a last segment that is missing must not make it everything.
    if request.method() == Method::DELETE && path.ends_with('/') {
        return request;
    }
    if !path.ends_with('/') && !path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return request;
    }
    let trimmed = path.trim_end_matches('/');
    let mut segments = trimmed.splitn(4, '/').skip(1);
    let (first, second, rest) = (segments.next(), segments.next(), segments.next());
    let first = first.unwrap_or_default();
    let is_original = ["llm", "health", "metrics"].iter().any(|name| first.eq_ignore_ascii_case(name));
    let mut path = if is_original {
        let second = second.map(|second| format!("/{}", second.to_ascii_lowercase())).unwrap_or_default();
        let rest = rest.map(|rest| format!("/{rest}")).unwrap_or_default();
        format!("/{}{second}{rest}", first.to_ascii_lowercase())
    } else {
        trimmed.to_owned()
    };
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    if let Some(query) = request.uri().query() {
        path = format!("{path}?{query}");
    }
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_one_spelling() {
        for (path, expected) in [
            ("/llm/generate", "/llm/generate"),
            ("/llm/generate/", "/llm/generate"),
            ("/LLM/Generate/?a=B", "/llm/generate?a=B"),
            ("/llm/Cache/KEY", "/llm/cache/KEY"),
            ("/users/Ann/sessions/", "/users/Ann/sessions"),
            ("/", "/"),
            ("//", "/"),
        ] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            assert_eq!(canonical_path(request).uri().to_string(), expected, "{path}");
        }
    }
}
