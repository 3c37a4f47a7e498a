//! The catalogue as a file: `models.json`, or `MODELS_FILE`.

use std::sync::Arc;

use serde::Deserialize;

use crate::generate::{ModelId, Params};

use super::{BadCatalogue, Capabilities, Model, Price, Rates, Status, date};

/// The models in `text`.
///
/// # Errors
/// [`BadCatalogue`] when it is not the form, or makes no sense.
pub(super) fn models(text: &str) -> Result<Vec<Model>, BadCatalogue> {
    let file: File = serde_json::from_str(text).map_err(|error| BadCatalogue(error.to_string()))?;
    let models = file.models.into_iter().map(Model::try_from).collect::<Result<Vec<_>, _>>()?;
    check_replacements(&models)?;
    Ok(models)
}

#[derive(Deserialize)]
struct File {
    models: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    provider: String,
    id: String,
    display_name: String,
    context_window: u64,
    max_output_tokens: u32,
    input_price: f64,
    output_price: f64,
    cached_input_price: Option<f64>,
    cache_write_price: Option<f64>,
    long_context: Option<LongContext>,
    price_change: Option<PriceChange>,
    capabilities: Capabilities,
    status: Status,
    shutdown_date: Option<String>,
    replacement: Option<String>,
    params: Params,
}

#[derive(Deserialize)]
struct LongContext {
    threshold_input_tokens: u64,
    input_price: f64,
    output_price: f64,
    cached_input_price: Option<f64>,
}

#[derive(Deserialize)]
struct PriceChange {
    date: String,
    input_price: f64,
    output_price: f64,
    cached_input_price: Option<f64>,
}

/// Every successor is a model of the same provider.
fn check_replacements(models: &[Model]) -> Result<(), BadCatalogue> {
    let is_known = |model: &Model, id: &ModelId| models.iter().any(|m| m.provider == model.provider && m.id == *id);
    let lost = models.iter().find(|model| model.replacement.as_ref().is_some_and(|id| !is_known(model, id)));
    lost.map_or(Ok(()), |model| Err(BadCatalogue(format!("the replacement of {} is not in it", model.id))))
}

impl TryFrom<Entry> for Model {
    type Error = BadCatalogue;

    fn try_from(entry: Entry) -> Result<Self, BadCatalogue> {
        let date =
            |text: &str| date::epoch_ms(text).ok_or_else(|| BadCatalogue(format!("{}: `{text}` is no date", entry.id)));
        let ends_ms = entry.shutdown_date.as_deref().map(date).transpose()?;
        let rates = Rates::per_million(
            entry.input_price,
            entry.output_price,
            entry.cached_input_price,
            entry.cache_write_price,
        );
        let long_context = entry.long_context.as_ref().map(|long| {
            let LongContext { threshold_input_tokens, input_price, output_price, cached_input_price } = *long;
            (threshold_input_tokens, Rates::per_million(input_price, output_price, cached_input_price, None))
        });
        let price_change = entry.price_change.as_ref().map(|change| {
            let PriceChange { date: from, input_price, output_price, cached_input_price } = change;
            let rates = Rates::per_million(*input_price, *output_price, *cached_input_price, entry.cache_write_price);
            // What long questions cost is not announced apart.
            Ok((date(from)?, Price { rates, long_context }))
        });
        let price_change = price_change.transpose()?;
        Ok(Self {
            provider: entry.provider.as_str().into(),
            id: entry.id.as_str().into(),
            display_name: entry.display_name,
            context_window: Some(entry.context_window),
            max_output_tokens: Some(entry.max_output_tokens),
            price: Price { rates, long_context },
            price_change,
            per_1k: (entry.input_price / 1000.0, entry.output_price / 1000.0),
            capabilities: entry.capabilities,
            status: entry.status,
            ends_ms,
            replacement: entry.replacement.as_deref().map(ModelId::from),
            params: Arc::new(Params {
                reasoning: entry.capabilities.reasoning,
                max_output_tokens: Some(entry.max_output_tokens),
                ..entry.params
            }),
        })
    }
}
