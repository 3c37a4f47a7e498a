//! Sends spans to a collector by OTLP over HTTP (OpenTelemetry's «OTLP specification», section OTLP/HTTP).
//!
//! The SDK gathers and sends from a thread of its own; its calls go out by this service's client.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{Layer, Registry, filter::FilterFn};

use crate::{config::OtelConfig, courier::Courier};

use super::{IS_ON, REQUEST, TARGET, tracer::Requests};

/// How long the end of the service waits for a collector that does not take what is left.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Spans cannot be exported as the environment says.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be exported: {0}")]
pub struct BadExport(#[from] ExporterBuildError);

/// Sends spans out as they end, some seconds later and many at once.
pub struct Export(SdkTracerProvider);

impl Export {
    /// To where `config` says, brought by `courier` on the runtime that this is called on.
    ///
    /// # Errors
    /// [`BadExport`], when a variable that the SDK reads itself asks for what there is not.
    pub fn new(config: &OtelConfig, courier: Courier) -> Result<Self, BadExport> {
        let post = Post { courier: courier.into(), headers: config.headers.clone(), runtime: Handle::current() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(post)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(config.traces_url.as_str())
            .build()?;
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("deployment.environment.name", config.environment.clone()))
            .build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// What listens to spans: to requests and what happens below them, and to no line of the log.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        IS_ON.store(true, Ordering::Relaxed);
        tracing_opentelemetry::layer()
            .with_tracer(Requests(self.0.tracer("llm-gateway")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // The parent is the span around, as `tracing` knows it.
            .with_context_activation(false)
            .with_filter(FilterFn::new(is_told).with_max_level_hint(LevelFilter::INFO))
            .boxed()
    }

    /// Sends what is left, if the collector takes it soon.
    pub async fn finish(self) {
        // It waits for the thread that sends.
        let finishing = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_SPANS));
        if !matches!(finishing.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported");
        }
    }
}

fn is_told(metadata: &Metadata<'_>) -> bool {
    let is_request = || metadata.name() == REQUEST && metadata.target().starts_with("llm_gateway");
    metadata.is_span() && (metadata.target() == TARGET || is_request())
}

/// Carries the exporter's requests to where this service's own client works.
struct Post {
    courier: Arc<Courier>,
    headers: HeaderMap,
    runtime: Handle,
}

/// The headers are secret.
impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        let courier = Arc::clone(&self.courier);
        // The thread that asks knows nothing of tokio.
        let posting = self.runtime.spawn(async move { courier.post(request).await });
        Ok(posting.await??)
    }
}
