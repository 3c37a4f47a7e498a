//! Makes events of what the log calls errors.

use std::{borrow::Cow, fmt};

use sentry_types::protocol::v7::Event;
use tokio::sync::mpsc::Sender;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

/// Sends errors on, with the id of the request they belong to.
pub(super) struct ErrorLayer {
    events: Sender<Event<'static>>,
    environment: String,
}

impl ErrorLayer {
    pub(super) fn new(events: Sender<Event<'static>>, environment: String) -> Self {
        Self { events, environment }
    }
}

/// The id of a request, kept at its span.
struct RequestId(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ErrorLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let request_id = fields.0.into_iter().find(|(name, _)| *name == "request_id");
        if let (Some(span), Some((_, request_id))) = (context.span(id), request_id) {
            span.extensions_mut().insert(RequestId(request_id));
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let spoken = format!("{}:{}", metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
        let mut told = Event {
            // A panic is where it happened, not where it was noted.
            culprit: fields
                .0
                .iter()
                .find(|(name, _)| *name == "location")
                .map(|(_, place)| place.clone())
                .or(Some(spoken)),
            release: Some(Cow::Borrowed(concat!("llm-gateway@", env!("CARGO_PKG_VERSION")))),
            environment: Some(Cow::Owned(self.environment.clone())),
            ..Event::default()
        };
        for (name, value) in fields.0 {
            if name == "message" {
                told.message = Some(value);
            } else {
                told.extra.insert(name.to_owned(), value.into());
            }
        }
        // The same message from elsewhere is another trouble.
        told.fingerprint =
            Cow::Owned([told.message.clone(), told.culprit.clone()].into_iter().flatten().map(Cow::Owned).collect());
        let mut spans = context.event_scope(event).into_iter().flatten();
        let request_id = spans.find_map(|span| Some(span.extensions().get::<RequestId>()?.0.clone()));
        told.tags.extend(request_id.map(|id| ("request_id".to_owned(), id)));
        // Too many: the first say what is wrong.
        drop(self.events.try_send(told));
    }
}

/// Fields as text, in their order.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }
}
