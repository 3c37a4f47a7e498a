//! Both stacks and the routes: every layer in order, and why it stands there.

use std::{
    any::Any,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request},
    handler::Handler as _,
    response::{IntoResponse as _, Response},
    routing::{delete, get, patch, post, post_service, put},
};
use futures_util::FutureExt as _;
use tower::{
    ServiceBuilder, ServiceExt,
    layer::layer_fn,
    service_fn,
    util::{BoxCloneSyncService, MapRequestLayer},
};

use crate::{
    caller::{Addresses, Caller, Keys},
    config::{Coalesce, Config},
    dispatch::Dispatch,
    error::ApiError,
    http::{self, Api, EmbedService, GenerateService, cors::CorsLayer, edge::EdgeLayer},
    layers::{
        admin::AdminLayer,
        authenticate::{AuthenticateLayer, Desk, Wanted},
        cache::{EmbedLookupLayer, FlightLayer, Leases, LookupLayer, Refreshes, Savings},
        load_shed::{LoadShedLayer, Places},
        meter::MeterLayer,
        rate_limit::RateLimitLayer,
    },
    telemetry::{Record, Telemetry},
};

use super::{Backends, HttpService, spelling::canonical_path};

/// The part of the time that an answer may take after which a stale one stands in for it: those who wait for a provider that
/// hangs keep the room of those who need not.
const STAND_IN_SHARE: u32 = 5;

/// How much longer than a call may take money is reserved for it: what its instance, if that lives, needs to book it.
const RESERVED_LONGER: Duration = Duration::from_mins(1);

/// What a generation passes through. The outermost layer comes first.
pub(super) fn generation_stack(config: &Config, backends: &Backends) -> GenerateService {
    let Backends { shelf, flights, counts, stores, tasks, .. } = backends;
    let leases = stores.leases.as_ref().filter(|_| config.cache.enabled && config.flight.coalesce == Coalesce::Shared);
    // Half of the time that an answer may take is left for who has waited in vain.
    let patience = config.bounds.answer / 2;
    let leases = leases.map(|leases| Leases::new(Arc::clone(leases), tasks.clone(), config.store.timeout, patience));
    let stack = ServiceBuilder::new()
        // Per caller: freshness is the caller's wish, and a hit must touch nothing below.
        .layer(LookupLayer::new(
            Arc::clone(shelf),
            Arc::clone(counts),
            savings(backends),
            Refreshes::new(tasks.clone()),
            config.bounds.answer / STAND_IN_SHARE,
        ))
        // Per question: misses and refreshes meet here, so that one call serves all of them.
        .layer(FlightLayer::new(Arc::clone(flights), Arc::clone(shelf), leases, config.flight))
        // Per call: inside the flight, so that a call nobody waits for any more is paid for all the same.
        .layer(meter(backends, config.bounds.answer.max(config.bounds.stream)))
        .service(dispatch(config, backends));
    BoxCloneSyncService::new(stack)
}

/// What a request for vectors passes through. The outermost layer comes first.
pub(super) fn embedding_stack(config: &Config, backends: &Backends) -> EmbedService {
    let Backends { shelf, counts, tasks, .. } = backends;
    let stack = ServiceBuilder::new()
        // Per caller, and input by input: what is stored must touch nothing below.
        .layer(EmbedLookupLayer::new(Arc::clone(shelf), Arc::clone(counts), savings(backends), tasks.clone()))
        // Around all calls of a request: what it may cost is reserved once, and what it did cost is booked call by call.
        .layer(meter(backends, config.bounds.answer))
        .service(dispatch(config, backends));
    BoxCloneSyncService::new(stack)
}

fn savings(backends: &Backends) -> Savings {
    let Backends { catalogue, ledger, telemetry, .. } = backends;
    Savings::new(Arc::clone(catalogue), Arc::clone(ledger), Arc::clone(telemetry))
}

/// Reserves money for calls that take at most `longest`.
fn meter(backends: &Backends, longest: Duration) -> MeterLayer {
    let Backends { catalogue, ledger, telemetry, .. } = backends;
    let (catalogue, ledger, telemetry) = (Arc::clone(catalogue), Arc::clone(ledger), Arc::clone(telemetry));
    MeterLayer::new(catalogue, ledger, telemetry, longest + RESERVED_LONGER)
}

fn dispatch(config: &Config, backends: &Backends) -> Dispatch {
    let Backends { catalogue, providers, breakers, telemetry, .. } = backends;
    let (catalogue, breakers, calls) = (Arc::clone(catalogue), Arc::clone(breakers), telemetry.metrics.calls.clone());
    Dispatch::new(providers.clone(), catalogue, config.bounds, config.attempts.retries, breakers, calls)
}

/// What a request passes through once its route is known. The outermost layer comes first.
pub(super) fn routes(config: &Config, backends: &Backends, places: Places, api: Arc<Api>) -> Router {
    let desk = Arc::new(Desk {
        keys: Keys::new(&config.api_keys),
        sessions: Arc::clone(&backends.sessions),
        origins: config.frontend_origins.clone().into(),
        store_timeout: config.store.timeout,
    });
    let wanted = |wanted| AuthenticateLayer::new(Arc::clone(&desk), wanted);
    let spending = |path| {
        ServiceBuilder::new()
            // Before anything is counted: what is shed costs its caller nothing.
            .layer(LoadShedLayer::before_the_body(places.clone()))
            .layer(wanted(Wanted::Client))
            // Refuses while the body is still unread.
            .layer(RateLimitLayer::new(
                Arc::clone(&backends.stores.counters),
                backends.telemetry.metrics.limiter.clone(),
                config.rate_limit,
                backends.clock,
                config.store.timeout,
                path,
            ))
    };
    let generation = spending("/llm/generate").service(http::generate::generate.with_state(Arc::clone(&api)));
    let chat = spending("/v1/chat/completions").service(http::openai::chat_completions.with_state(Arc::clone(&api)));
    let embeddings = spending("/v1/embeddings").service(http::openai::embeddings.with_state(Arc::clone(&api)));
    let test_provider = spending("/llm/test-provider").service(http::test_provider.with_state(Arc::clone(&api)));
    let lists = Router::new()
        .route("/llm/budget/status", get(http::budget::status))
        .route("/llm/budget/config", get(http::budget::config))
        .route("/llm/budget/analytics", get(http::budget::analytics))
        .route("/llm/budget/alerts", get(http::budget::alerts))
        .route("/llm/usage", get(http::usage))
        .route("/llm/models", get(http::models))
        .route("/llm/providers", get(http::providers))
        .route("/llm/cache/stats", get(http::cache_stats))
        .route("/v1/models", get(http::openai::models))
        .route("/v1/models/{*name}", get(http::openai::model))
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
    let administration = config.admin_token.clone().map_or_else(
        || Router::new().route("/llm/budget/config", put(http::not_found)),
        |token| {
            Router::new()
                .route("/llm/budget/config", put(http::budget::set_config))
                .route("/llm/budget/reset/{period}", post(http::budget::reset))
                .route("/llm/budget/alerts/{id}/acknowledge", post(http::budget::acknowledge))
                .route("/llm/cache/explain", post(http::explain))
                .route("/llm/cache", delete(http::clear))
                .route("/llm/cache/{*key}", delete(http::forget))
                .route_layer(AdminLayer::new(token))
        },
    );
    // For anyone, and where there is an administrator, for nobody else: they tell who asks what of whom, and what that costs.
    let (metrics, status) =
        (Router::new().route("/metrics", get(http::metrics)), Router::new().route("/llm/status", get(http::status)));
    let watched = match config.admin_token.clone() {
        Some(token) => metrics.merge(status).route_layer(AdminLayer::new(token)),
        None => metrics.merge(status.route_layer(wanted(Wanted::Client))),
    };
    administration
        .merge(trusted.unwrap_or_default())
        .merge(lists)
        .merge(own_session)
        .route_layer(LoadShedLayer::new(places))
        .route("/llm/generate", post_service(generation))
        .route("/llm/test-provider", post_service(test_provider))
        .route("/v1/chat/completions", post_service(chat))
        .route("/v1/embeddings", post_service(embeddings))
        // Not shed: while the process serves, it says so.
        .route("/", get(http::page::page))
        .route("/assets/{*name}", get(http::page::asset))
        .route("/openapi.json", get(http::openapi::openapi))
        .route("/health", get(http::health))
        .route("/health/ready", get(http::ready))
        .merge(watched)
        // Everything that follows knows for which route it is, for the log and the metrics.
        .route_layer(MapRequestLayer::new(take_down_route))
        .fallback(http::not_found)
        .method_not_allowed_fallback(http::method_not_allowed)
        .with_state(api)
}

/// What every request passes through before its route is known. The outermost layer comes first.
pub(super) fn http_stack(config: &Config, telemetry: Arc<Telemetry>, routes: Router) -> HttpService {
    let addresses = Arc::new(Addresses::new(config.client_ip.clone()));
    let identify = move |mut request: Request| {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let address = addresses.of(request.headers(), peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        request.extensions_mut().insert(Caller::at(address));
        request
    };
    let stack = ServiceBuilder::new()
        // Outside everything: whatever happens below has an id, is logged, and is JSON when it is an error.
        .layer(EdgeLayer::new(telemetry))
        // Outside everything that refuses, panics included, so that browsers can read the refusal.
        .layer(CorsLayer::new(config.frontend_origins.clone().into()))
        .layer(layer_fn(|inner| {
            service_fn(move |request| {
                let answering = AssertUnwindSafe(ServiceExt::oneshot(Clone::clone(&inner), request)).catch_unwind();
                answering.map(|answer| answer.unwrap_or_else(|panic| Ok(panicked(panic))))
            })
        }))
        .map_request(canonical_path)
        // Limits, and what is kept for one caller alone, go by who is asking.
        .map_request(identify)
        .service(routes);
    BoxCloneSyncService::new(stack)
}

fn take_down_route(request: Request) -> Request {
    let extensions = request.extensions();
    if let (Some(record), Some(route)) = (extensions.get::<Arc<Record>>(), extensions.get::<MatchedPath>()) {
        record.set_route(route.as_str());
    }
    request
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    // The panic hook has logged where it was.
    ApiError::internal().into_response()
}
