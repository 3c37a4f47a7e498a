//! llm-gateway: what a small team puts in front of its LLM providers.
//!
//! # The path of a request
//!
//! ```text
//!  client
//!    │ HTTP
//!    ▼
//!  serve         accept, limits of time and number, drain                       serve/
//!    ▼
//!  edge          id ▸ span ▸ errors as JSON ▸ CORS ▸ catch panic ▸ address      app/, http/edge.rs
//!    ▼
//!  load shed     is there a place? it is taken when the body is there           layers/load_shed.rs
//!    ▼
//!  authenticate  who is it: a person, a key, or an address; or 401              layers/authenticate.rs
//!    ▼
//!  rate limit    admit, or 429 with the body still unread                       layers/rate_limit.rs
//!    ▼
//!  handler       body, JSON ▸ GenerateRequest: the original's API, or OpenAI's  http/generate.rs, http/openai/
//!    ▼ ── typed from here: GenerateRequest ▸ Generation ──
//!  lookup        stored, and fresh enough for who asks? that is the answer;
//!                stale? it stands in when the call fails                        layers/cache/lookup.rs
//!    ▼
//!  flight        the same request under way, here or at another instance?
//!                follow it; else begin it, and keep what it brings              layers/cache/flight.rs
//!    ▼
//!  meter         may this be spent, and what was                                layers/meter/
//!    ▼
//!  dispatch      retries, failover, breaker, within the time there is           dispatch/
//!    ▼
//!  provider      dialect ▸ one HTTP exchange ▸ pieces of the answer             providers/
//!    │
//!    └── events return the same way; the handler writes SSE, or collects them into JSON
//! ```
//!
//! Vectors pass the same places from `http/openai/embeddings.rs` on, but for the flight: `layers/cache/embeddings/` gives those that are
//! kept, each under its own input, and only the rest is metered and called for. Nobody stands in for who fails, because the
//! vectors of two models cannot be compared.
//!
//! [`app`] lists the stacks in order and says why each layer stands where it does.
//!
//! An answer is *decided* before it is *finished*: [`generate::Generation`] comes as soon as it is known where the answer
//! will come from, so whatever can be refused beforehand has a status of its own. Every answer is a stream of
//! [`generate::Event`]s; JSON is a collected stream, and a stored answer is a finished one.
//!
//! # Who may know whom
//!
//! From the bottom to the top. The test `it::map` holds this table against the imports.
//!
//! | level | module | may import from this crate |
//! |---|---|---|
//! | 0 | `config` | nothing |
//! | 0 | `clock` | nothing |
//! | 0 | `json` | nothing |
//! | 0 | `generate` | `json` |
//! | 0 | `embed` | `generate` |
//! | 0 | `client` | nothing |
//! | 0 | `courier` | `client` |
//! | 0 | `bounded` | nothing |
//! | 0 | `remembered` | `bounded` |
//! | 1 | `trace` | `config`, `courier`, `generate` |
//! | 1 | `breaker` | nothing |
//! | 1 | `metrics` | `generate` |
//! | 1 | `catalogue` | `clock`, `config`, `generate` |
//! | 1 | `error` | `generate` |
//! | 1 | `caller` | `config` |
//! | 1 | `sentry` | `config`, `courier` |
//! | 2 | `log` | `config`, `trace` |
//! | 2 | `providers` | `client`, `config`, `embed`, `generate`, `json`, `trace` |
//! | 2 | `stores` | `bounded`, `breaker`, `client`, `clock`, `config`, `json`, `metrics`, `remembered`, `trace` |
//! | 2 | `telemetry` | `caller`, `clock`, `generate`, `metrics` |
//! | 2 | `observers` | `client`, `config`, `courier`, `sentry`, `trace` |
//! | 2 | `compare` | `client` |
//! | 3 | `sessions` | `caller`, `json`, `remembered`, `stores` |
//! | 3 | `ledger` | `client`, `clock`, `config`, `generate`, `json`, `remembered`, `stores` |
//! | 3 | `dispatch` | `breaker`, `catalogue`, `config`, `embed`, `generate`, `metrics`, `providers`, `trace` |
//! | 3 | `layers` | `caller`, `catalogue`, `clock`, `config`, `embed`, `error`, `generate`, `json`, `ledger`, `metrics`, `remembered`, `sessions`, `stores`, `telemetry`, `trace` |
//! | 4 | `http` | `breaker`, `caller`, `catalogue`, `clock`, `config`, `embed`, `error`, `generate`, `json`, `layers`, `ledger`, `metrics`, `sessions`, `stores`, `telemetry`, `trace` |
//! | 5 | `app` | `breaker`, `caller`, `catalogue`, `client`, `clock`, `config`, `dispatch`, `error`, `generate`, `http`, `layers`, `ledger`, `metrics`, `providers`, `sessions`, `stores`, `telemetry` |
//! | 6 | `serve` | `app`, `http`, `layers` |
//! | 6 | `check` | `app`, `catalogue`, `client`, `config`, `generate`, `ledger`, `providers`, `stores` |
//!
//! Layers never know one another, nor dispatch, nor providers.
//!
//! On top of all stands the binary: `main.rs` reads the arguments, and `commands/` has a file for each command, which uses this crate as
//! anyone could.
//!
//! # What operators can know
//!
//! The edge gives every request a [`telemetry::Record`]; layers and handlers take down in it what they learn. When the reply has ended,
//! [`telemetry`] tells it to the log, to [`metrics`], and to the memory of `GET /llm/status`. Where something else is counted (an
//! attempt, a store call, a decision of the limiter), it is counted where it happens.
//!
//! [`http::page`] shows it to people: plain files in the binary, which ask `GET /llm/status` as anyone could.
//!
//! [`trace`] makes the spans of a request where what they tell of happens. With the features `otel` and `sentry`, and an address for each,
//! [`observers`] are told outside: a collector of the spans, and Sentry of panics and errors.
//!
//! # What clients can know
//!
//! [`http::openapi`] describes every route, from what stands at its handler and what the layers in front of it say.
//!
//! # What always holds
//!
//! - Only [`stores`] names concrete stores, and only [`providers`] concrete providers; [`app`] puts them in their places.
//! - [`generate`] knows no HTTP, no vendor and no store; [`stores`] know keys, bytes and time only.
//! - A stream ends in one finish or one error. Only a provider's own end makes a [`generate::Completion`], and only a
//!   completion can be stored.
//! - After the first text there is no second attempt, and nothing stands in.
//! - Only [`config`] reads the environment, and only [`trace`] knows OpenTelemetry, whose SDK reads some variables itself.
//! - What lasts as long as a reply (a permit, the line in the log) lives in its body.
//! - Every task is waited for, and hears of the stop: [`app::App::tasks`]. One that makes a connection anew ends by itself.
//! - Everything held is bounded: the cache by bytes, the limiter by clients, an answer by its length, a body by its own,
//!   all that are on their way by bytes, connections and calls that go on for nobody by their number.
//! - Who sends slowly takes nobody's place, and no descriptor that a call needs.
//! - What was spent is booked once, whoever has left, and by kinds; with a hard limit, what might exceed it is not begun.
//! - Every label of a metric has a bounded number of values, whatever clients name.
//! - No secret is printable; prompts and ids of sessions reach no log.
//! - A store that cannot say who is signed in is never taken for one that says «nobody».
//! - `/health` waits on nothing, and no request for an answer waits for a store longer than `STORE_TIMEOUT_MS` in all.

pub mod app;
pub mod check;
pub mod compare;
pub mod serve;

pub mod http;
pub mod layers;

pub mod dispatch;
pub mod providers;
pub mod sessions;

pub mod breaker;
pub mod caller;
pub mod catalogue;
pub mod client;
#[cfg(any(feature = "otel", feature = "sentry"))]
pub mod courier;
pub mod error;
pub mod ledger;
pub mod observers;
#[cfg(feature = "sentry")]
pub mod sentry;
pub mod stores;
pub mod telemetry;

mod bounded;
pub mod clock;
pub mod config;
pub mod embed;
pub mod generate;
pub mod json;
pub mod log;
pub mod metrics;
pub mod remembered;
pub mod trace;
