//! Who is told outside of what happens here, besides who reads the log and the metrics: a collector of spans, and Sentry. A build
//! without their features tells nobody.

use tracing_subscriber::{Layer, Registry};

#[cfg(feature = "sentry")]
use crate::sentry::Alarm;
#[cfg(feature = "otel")]
use crate::trace::Export;
use crate::{client::BadRoots, config::Config};
#[cfg(any(feature = "otel", feature = "sentry"))]
use crate::{client::client, courier::Courier};

/// All who are told. Nobody who is not configured costs anything.
pub struct Observers {
    #[cfg(feature = "otel")]
    spans: Option<Export>,
    #[cfg(feature = "sentry")]
    errors: Option<Alarm>,
}

/// Someone who cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum BadObserver {
    /// The file of certificates is broken.
    #[error(transparent)]
    Roots(#[from] BadRoots),
    /// Spans cannot be exported.
    #[cfg(feature = "otel")]
    #[error(transparent)]
    Export(#[from] crate::trace::BadExport),
}

impl Observers {
    /// Those of `config`, told on the runtime that this is called on.
    ///
    /// # Errors
    /// [`BadObserver`], when one of them cannot be told.
    #[cfg_attr(not(any(feature = "otel", feature = "sentry")), expect(unused_variables))]
    pub fn new(config: &Config) -> Result<Self, BadObserver> {
        // Connections of their own: nothing that a provider needs waits for them.
        #[cfg(any(feature = "otel", feature = "sentry"))]
        let courier = |setting| client(config.extra_ca_pem.as_deref()).map(|client| Courier::new(client, setting));
        Ok(Self {
            #[cfg(feature = "otel")]
            spans: match &config.otel {
                Some(otel) => Some(Export::new(otel, courier("OTEL_EXPORTER_OTLP_ENDPOINT")?)?),
                None => None,
            },
            #[cfg(feature = "sentry")]
            errors: match &config.sentry {
                Some(sentry) => Some(Alarm::new(sentry, courier("SENTRY_DSN")?)),
                None => None,
            },
        })
    }

    /// Their ears, for whoever begins the log.
    pub fn layers(&self) -> Vec<Box<dyn Layer<Registry> + Send + Sync>> {
        #[cfg(feature = "otel")]
        let spans = self.spans.as_ref().map(Export::layer);
        #[cfg(not(feature = "otel"))]
        let spans = None;
        #[cfg(feature = "sentry")]
        let errors = self.errors.as_ref().map(Alarm::layer);
        #[cfg(not(feature = "sentry"))]
        let errors = None;
        [spans, errors].into_iter().flatten().collect()
    }

    /// Tells them what they have not been told yet, if they can be reached soon.
    pub async fn finish(self) {
        #[cfg(feature = "otel")]
        let spans = async {
            if let Some(spans) = self.spans {
                spans.finish().await;
            }
        };
        #[cfg(not(feature = "otel"))]
        let spans = std::future::ready(());
        #[cfg(feature = "sentry")]
        let errors = async {
            if let Some(errors) = self.errors {
                errors.finish().await;
            }
        };
        #[cfg(not(feature = "sentry"))]
        let errors = std::future::ready(());
        tokio::join!(spans, errors);
    }
}
