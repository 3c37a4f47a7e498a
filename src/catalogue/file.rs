//! The catalogue as a file: `models.json`, or `MODELS_FILE`.

use std::{collections::HashSet, sync::Arc};

use serde::Deserialize;

use crate::generate::{Api, ModelId, Params};

use super::{BadCatalogue, Capabilities, Model, Price, Status, api_of, date, price::Rates, resolve::is_name};

/// The models in `text`.
///
/// # Errors
/// [`BadCatalogue`] when it is not the form, or makes no sense.
pub(super) fn models(text: &str) -> Result<Vec<Model>, BadCatalogue> {
    let file: File = serde_json::from_str(text).map_err(|error| BadCatalogue(error.to_string()))?;
    let models = file.models.into_iter().map(Model::try_from).collect::<Result<Vec<_>, _>>()?;
    if models.is_empty() {
        return Err(BadCatalogue("it names no model".to_owned()));
    }
    check_ids(&models)?;
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

/// Every id can stand in a key and a header, and means one model of its provider.
fn check_ids(models: &[Model]) -> Result<(), BadCatalogue> {
    let mut seen = HashSet::new();
    for model in models {
        if !is_name(model.id.as_str()) || !is_name(model.provider.as_str()) {
            return Err(BadCatalogue(format!("{:?} is no name", model.id.as_str())));
        }
        if !seen.insert((&model.provider, &model.id)) {
            return Err(BadCatalogue(format!("{} is there twice", model.id)));
        }
    }
    Ok(())
}

/// Every successor is a model of the same provider that is served, or has one in turn that is.
fn check_replacements(models: &[Model]) -> Result<(), BadCatalogue> {
    let is_known = |model: &Model, id: &ModelId| models.iter().any(|m| m.provider == model.provider && m.id == *id);
    let lost = models.iter().find(|model| model.replacement.as_ref().is_some_and(|id| !is_known(model, id)));
    if let Some(model) = lost {
        return Err(BadCatalogue(format!("the replacement of {} is not in it", model.id)));
    }
    let retired = |id: &ModelId, provider| {
        models.iter().find(|m| m.provider == provider && m.id == *id).is_some_and(|m| m.status == Status::Retired)
    };
    let dead_end = models.iter().find(|model| {
        model.status == Status::Retired
            && model.replacement.as_ref().is_some_and(|id| retired(id, model.provider.clone()))
    });
    dead_end.map_or(Ok(()), |model| Err(BadCatalogue(format!("the replacement of {} is retired too", model.id))))
}

/// What a million tokens cost, in dollars: nothing, or something that can be reckoned with.
fn check_prices(entry: &Entry) -> Result<(), BadCatalogue> {
    const MOST: f64 = 100_000.0;
    let long =
        entry.long_context.iter().flat_map(|l| [Some(l.input_price), Some(l.output_price), l.cached_input_price]);
    let later =
        entry.price_change.iter().flat_map(|c| [Some(c.input_price), Some(c.output_price), c.cached_input_price]);
    let now = [Some(entry.input_price), Some(entry.output_price), entry.cached_input_price, entry.cache_write_price];
    let mut all = now.into_iter().chain(long).chain(later).flatten();
    if all.all(|price| (0.0..=MOST).contains(&price)) {
        return Ok(());
    }
    Err(BadCatalogue(format!("a price of {} is not from 0 to {MOST} dollars", entry.id)))
}

/// The wire format that a provider of the table has.
fn check_api(entry: &Entry) -> Result<(), BadCatalogue> {
    let expected = match entry.provider.as_str() {
        "anthropic" => Api::Messages,
        "google" => Api::GenerateContent,
        _ => Api::ChatCompletions,
    };
    if entry.params.api == expected {
        return Ok(());
    }
    Err(BadCatalogue(format!("{}: {} is not asked that way", entry.id, entry.provider)))
}

impl TryFrom<Entry> for Model {
    type Error = BadCatalogue;

    fn try_from(entry: Entry) -> Result<Self, BadCatalogue> {
        check_prices(&entry)?;
        check_api(&entry)?;
        if entry.context_window == 0 || entry.max_output_tokens == 0 {
            return Err(BadCatalogue(format!("{} reads or writes nothing", entry.id)));
        }
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
                api: api_of(&entry.provider, entry.params.api),
                ..entry.params
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut serde_json::Value);

    /// The built-in catalogue with its first model changed.
    fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Result<(), String> {
        let mut file: serde_json::Value = serde_json::from_str(super::super::BUILT_IN).unwrap();
        change(&mut file["models"]);
        models(&file.to_string()).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(changed(|_| {}), Ok(()));
        let changes: [(Change, &str); 10] = [
            (|models| *models = serde_json::json!([]), "names no model"),
            (|models| models[0]["id"] = "two words".into(), "is no name"),
            (|models| models[0]["id"] = "".into(), "is no name"),
            (|models| models[0]["id"] = models[1]["id"].clone(), "is there twice"),
            (|models| models[0]["input_price"] = (-1).into(), "a price of"),
            (|models| models[0]["output_price"] = 1e300.into(), "a price of"),
            (|models| models[0]["max_output_tokens"] = 0.into(), "reads or writes nothing"),
            (|models| models[0]["params"]["api"] = "messages".into(), "is not asked that way"),
            (|models| models[0]["replacement"] = "nobody".into(), "is not in it"),
            (
                |models| {
                    models[0]["status"] = "retired".into();
                    models[0]["replacement"] = models[0]["id"].clone();
                },
                "is retired too",
            ),
        ];
        for (change, problem) in changes {
            let refused = changed(change).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
    }
}
