//! Behaviour, from outside: through the router in process, through sockets where sockets are the point.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    reason = "a test that fails says so by panicking"
)]

mod support;
mod vendors;

mod generate;
mod stream;

mod admin;
mod books;
mod budget;
mod cache;
mod clients;
mod embed_wire;
mod embeddings;
mod flight;
mod freshness;
mod limiter;
mod money;
mod native;
mod openai;
mod openapi;
mod outage;
mod overtaken;
mod rate_limit;
mod requests;
mod session_keeping;
mod session_users;
mod sessions;
mod sharing;
mod stale;
mod stores;

mod dialects;
mod fingerprint;
mod scenarios;
mod sdk;

mod browser;
mod check;
mod commands;
mod compare;
mod crowd;
mod http;
mod page;
mod page_files;
mod rolling;
mod serve;
mod soak;
mod start;

mod documents;
mod failover;
mod files;
mod map;
mod metrics;
#[cfg(feature = "sentry")]
mod sentry;
mod spans;

mod telling;
mod upstash_fixture;
