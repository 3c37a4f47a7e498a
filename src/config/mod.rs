//! Settings as plain data. Only this module reads the environment.

mod access;
mod address;
mod aliases;
mod budget;
mod cache;
mod dotenv;
mod origin;
#[cfg(feature = "otel")]
mod otel;
mod providers;
mod read;
#[cfg(feature = "sentry")]
mod sentry;
mod sources;
mod store;

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::Duration,
};

use secrecy::SecretString;
use tracing::Level;
use tracing_subscriber::filter::Targets;

pub use access::{ApiKeyConfig, ClientIpConfig, ClientIpSource, SameSite, SessionConfig};
use access::{read_client_ip, read_secrets, read_sessions};
use aliases::read_aliases;

pub use budget::BudgetConfig;
use budget::read_budget;
pub use cache::{CacheConfig, CacheScope, Coalesce, FlightConfig};
use cache::{read_cache, read_flight};
pub use origin::Origin;
use origin::read_origins;
#[cfg(feature = "otel")]
pub use otel::OtelConfig;
#[cfg(feature = "otel")]
use otel::read_otel;
use providers::read_providers;
pub use read::MOST_DOLLARS;
use read::Reader;
#[cfg(feature = "sentry")]
pub use sentry::SentryConfig;
#[cfg(feature = "sentry")]
use sentry::read_sentry;
pub use sources::{Problem, Sources};
use store::read_store;
pub use store::{Backend, StoreConfig};

/// Everything that can be set, each with its default (`.env.example` explains them).
pub struct Config {
    /// `NODE_ENV`: whether it is `production`.
    pub is_production: bool,
    /// Where and how to listen.
    pub server: ServerConfig,
    /// `FRONTEND_URL`: who may call from a browser.
    pub frontend_origins: Vec<Origin>,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What instances share, and how.
    pub store: StoreConfig,
    /// The response cache.
    pub cache: CacheConfig,
    /// One call for many.
    pub flight: FlightConfig,
    /// How often a client may ask.
    pub rate_limit: RateLimitConfig,
    /// Whose address a client has.
    pub client_ip: ClientIpConfig,
    /// `API_KEYS`. Empty: anyone may ask.
    pub api_keys: Vec<ApiKeyConfig>,
    /// `ADMIN_TOKEN`: opens the administrative routes. `None`: there are none.
    pub admin_token: Option<SecretString>,
    /// How sessions are kept.
    pub sessions: SessionConfig,
    /// Who answers.
    pub providers: ProvidersConfig,
    /// `EXTRA_CA_FILE`: PEM text of root certificates to trust besides the built-in ones, for stores and providers.
    pub extra_ca_pem: Option<String>,
    /// The catalogue of models.
    pub models: ModelsConfig,
    /// What is done when a provider fails.
    pub attempts: AttemptsConfig,
    /// How long answers may take and be.
    pub bounds: BoundsConfig,
    /// Whether the system message asks for fenced code with a path for each file.
    pub prompt_style: PromptStyle,
    /// What may be spent.
    pub budget: BudgetConfig,
    /// Where spans are exported to. `None`: nowhere.
    #[cfg(feature = "otel")]
    pub otel: Option<OtelConfig>,
    /// Which Sentry is told of errors. `None`: none.
    #[cfg(feature = "sentry")]
    pub sentry: Option<SentryConfig>,
    /// Settings that are set and do nothing in this build.
    pub unused: Vec<&'static str>,
    /// Settings that are taken, and that the operator may want to think about.
    pub warnings: Vec<String>,
}

/// Where and how to listen.
pub struct ServerConfig {
    /// `HOST`.
    pub host: IpAddr,
    /// `PORT`. 0: any free one.
    pub port: u16,
    /// `MAX_IN_FLIGHT`: requests being answered at once; beyond it 503.
    pub max_in_flight: usize,
    /// `BODY_LIMIT_KB` in bytes.
    pub body_limit_bytes: usize,
    /// `SHUTDOWN_GRACE_SECONDS`: how long answers in flight may take to finish after SIGTERM.
    pub shutdown_grace: Duration,
}

/// What is logged, and how.
pub struct LogConfig {
    /// `LOG_LEVEL`: a level, or a list of `module=level`.
    pub filter: Targets,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For eyes.
    Pretty,
}

/// How often a client may ask.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitConfig {
    /// `RATE_LIMIT_MAX`. `None`: as often as it likes.
    pub max: Option<NonZeroU32>,
    /// `RATE_LIMIT_WINDOW_SECONDS`.
    pub window: Duration,
}

/// Who answers.
pub struct ProvidersConfig {
    /// The vendors that have a key, then every `COMPATIBLE_<NAME>_BASE_URL`, in the order of lists.
    pub endpoints: Vec<EndpointConfig>,
    /// `DEMO_PROVIDER`: whether the demo provider answers.
    pub demo: bool,
}

impl ProvidersConfig {
    /// Nobody.
    pub fn none() -> Self {
        Self { endpoints: Vec::new(), demo: false }
    }
}

/// A provider's address and how to speak there.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Its name, in lower case.
    pub name: String,
    /// How it is spoken to.
    pub wire: Wire,
    /// Its address as its wire format wants it, no trailing slash.
    pub base_url: String,
    /// `None`: it wants none.
    pub api_key: Option<SecretString>,
    /// The variable that holds the key, or would. `None`: it never wants one.
    pub key_variable: Option<String>,
    /// The variable that changes its address.
    pub url_variable: String,
    /// Models that the catalogue need not know. Empty for a compatible server: it takes any.
    pub models: Vec<String>,
}

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `OpenAI`'s chat completions, and responses where tools need them.
    OpenAi,
    /// Chat completions as xAI speaks them.
    Xai,
    /// Chat completions as many others speak them.
    Compatible,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
    /// Ollama's own chat.
    Ollama,
}

/// The catalogue of models.
#[derive(Clone, Debug)]
pub struct ModelsConfig {
    /// `MODELS_FILE`, read. `None`: the built-in catalogue.
    pub file: Option<String>,
    /// `RETIRED_MODELS`.
    pub retired: RetiredModels,
    /// `MODEL_ALIASES`: names in lower case, with the models that each stands for, in order.
    pub aliases: Vec<(String, Vec<String>)>,
}

/// What becomes of a question to a model that its vendor no longer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetiredModels {
    /// Its successor answers.
    Replace,
    /// It is asked all the same.
    Send,
    /// It is refused.
    Refuse,
}

/// What is done when a provider fails.
#[derive(Clone, Copy, Debug)]
pub struct AttemptsConfig {
    /// `PROVIDER_RETRIES`: further attempts at the same model.
    pub retries: u32,
    /// `PROVIDER_BREAKER_FAILURES`: generations that fail in a row before the provider is skipped. 0: any number.
    pub breaker_failures: u32,
}

/// How long answers may take and be.
#[derive(Clone, Copy, Debug)]
pub struct BoundsConfig {
    /// `PROVIDER_TIMEOUT_SECONDS`: JSON: the whole answer; stream: its first text.
    pub answer: Duration,
    /// `PROVIDER_IDLE_SECONDS`: the longest silence inside an answer.
    pub idle: Duration,
    /// `PROVIDER_STREAM_SECONDS`: the longest stream.
    pub stream: Duration,
    /// `MAX_ANSWER_KB` in bytes.
    pub answer_bytes: usize,
}

/// What the system message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptStyle {
    /// Fenced code with a path for each file.
    Code,
    /// Nothing: there is none.
    Plain,
}

/// Settings of features that this build was made without: the start says so instead of keeping quiet.
const NOT_BUILT_IN: &[&str] = &[
    #[cfg(not(feature = "otel"))]
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    #[cfg(not(feature = "sentry"))]
    "SENTRY_DSN",
];

impl Config {
    /// Reads every setting.
    ///
    /// # Errors
    /// All problems at once, in the order of the settings.
    pub fn read(sources: Sources) -> Result<Self, Vec<Problem>> {
        let mut read = Reader::new(sources);
        let environment = read.text("NODE_ENV").unwrap_or_else(|| "development".to_owned());
        let production = environment == "production";
        let bounds = BoundsConfig {
            answer: read.seconds("PROVIDER_TIMEOUT_SECONDS", 55, 1..=3_600),
            idle: read.seconds("PROVIDER_IDLE_SECONDS", 30, 1..=3_600),
            stream: read.seconds("PROVIDER_STREAM_SECONDS", 300, 1..=86_400),
            answer_bytes: read.number("MAX_ANSWER_KB", 4096, 1..=1_048_576_usize) * 1024,
        };
        let store = read_store(&mut read);
        let flight = read_flight(&mut read, bounds.answer, &store.backend);
        let (api_keys, admin_token) = read_secrets(&mut read);
        let config = Self {
            is_production: production,
            server: ServerConfig {
                host: read.host("HOST", IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                port: read.number("PORT", 3001, 0..=65_535),
                max_in_flight: read.number("MAX_IN_FLIGHT", 1024, 1..=1_000_000),
                body_limit_bytes: read.number("BODY_LIMIT_KB", 1024, 1..=102_400_usize) * 1024,
                shutdown_grace: read.seconds("SHUTDOWN_GRACE_SECONDS", 25, 0..=3_600),
            },
            frontend_origins: read_origins(&mut read),
            log: LogConfig {
                filter: read.log_filter("LOG_LEVEL", Level::INFO),
                format: {
                    let default = if production { LogFormat::Json } else { LogFormat::Pretty };
                    read.one_of("LOG_FORMAT", default, &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)])
                },
            },
            store,
            cache: read_cache(&mut read),
            flight,
            rate_limit: RateLimitConfig {
                max: NonZeroU32::new(read.number("RATE_LIMIT_MAX", 20, 0..=1_000_000_000)),
                window: read.seconds("RATE_LIMIT_WINDOW_SECONDS", 60, 1..=86_400),
            },
            client_ip: read_client_ip(&mut read),
            sessions: read_sessions(&mut read, production),
            api_keys,
            admin_token,
            providers: read_providers(&mut read, production),
            extra_ca_pem: read.file("EXTRA_CA_FILE"),
            models: ModelsConfig {
                file: read.file("MODELS_FILE"),
                retired: read.one_of(
                    "RETIRED_MODELS",
                    RetiredModels::Replace,
                    &[
                        ("replace", RetiredModels::Replace),
                        ("send", RetiredModels::Send),
                        ("refuse", RetiredModels::Refuse),
                    ],
                ),
                aliases: read_aliases(&mut read),
            },
            attempts: AttemptsConfig {
                retries: read.number("PROVIDER_RETRIES", 2, 0..=10),
                breaker_failures: read.number("PROVIDER_BREAKER_FAILURES", 10, 0..=1_000_000),
            },
            bounds,
            prompt_style: read.one_of(
                "PROMPT_STYLE",
                PromptStyle::Code,
                &[("code", PromptStyle::Code), ("plain", PromptStyle::Plain)],
            ),
            budget: read_budget(&mut read),
            #[cfg(feature = "otel")]
            otel: read_otel(&mut read, &environment),
            #[cfg(feature = "sentry")]
            sentry: read_sentry(&mut read, &environment),
            unused: read.set_among(NOT_BUILT_IN),
            warnings: Vec::new(),
        };
        read.finish().map(|warnings| Self { warnings, ..config })
    }
}
