//! Which models there are, who offers them, what they take and what they cost.
//!
//! One catalogue: what is listed works, and what works is listed.

mod alias;
mod date;
mod embeddings;
mod fallback;
mod file;
mod offers;
mod price;
mod resolve;
mod route;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use serde::Deserialize;

use crate::{
    clock::Clock,
    config::RetiredModels,
    generate::{Api, DEMO, ModelId, Params, ProviderId, Target},
};

use alias::Aliases;

pub use alias::BadAlias;
pub use embeddings::{EmbeddingModel, NoEmbedding};
pub use offers::Offer;
pub use price::Price;
pub use resolve::{Resolved, Routed, Unresolved, Wanted};
pub use route::{Priority, Route, RoutingMode};

const BUILT_IN: &str = include_str!("models.json");

/// The providers whose models are built in, in the order of the original's lists, with their display names, the variable
/// that configures them, and the model that the original fell back on.
const VENDORS: [Vendor; 5] = [
    Vendor { id: "openai", name: "OpenAI", variable: "OPENAI_API_KEY", default: "gpt-4o" },
    Vendor { id: "anthropic", name: "Anthropic", variable: "ANTHROPIC_API_KEY", default: "claude-3-5-sonnet-20241022" },
    Vendor { id: "google", name: "Google AI", variable: "GOOGLE_API_KEY", default: "gemini-1.5-pro" },
    Vendor { id: "ollama", name: "Ollama (Local)", variable: "OLLAMA_BASE_URL", default: "llama3.2" },
    Vendor { id: "xai", name: "xAI", variable: "XAI_API_KEY", default: "grok-4-fast-reasoning" },
];

struct Vendor {
    id: &'static str,
    name: &'static str,
    variable: &'static str,
    default: &'static str,
}

fn vendor(id: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.id == id)
}

/// A provider that this service can call, for [`Catalogue::new`].
pub struct Configured {
    /// Its name.
    pub id: ProviderId,
    /// Where it answers, for lists.
    pub base_url: String,
    /// Models that are not built in; the first is its default. Empty for a built-in vendor.
    pub models: Vec<ModelId>,
    /// Whether it says itself which models it has ([`Catalogue::set_installed`]), and may be asked for any.
    pub lists_itself: bool,
}

/// A model as lists and layers see it.
#[derive(Clone, Debug)]
pub struct Model {
    /// Who offers it.
    pub provider: ProviderId,
    /// Its vendor's name for it.
    pub id: ModelId,
    /// Its name for people.
    pub display_name: String,
    /// Tokens of question and answer together. `None`: unknown.
    pub context_window: Option<u64>,
    /// Tokens of the longest answer. `None`: unknown.
    pub max_output_tokens: Option<u32>,
    /// What it costs; nothing when unknown.
    price: Price,
    /// What it will cost from then on, in milliseconds since the Unix epoch. `None`: nothing is announced.
    price_change: Option<(u64, Price)>,
    /// Dollars for 1000 tokens of input and of output, for lists.
    pub per_1k: (f64, f64),
    /// What it can do.
    pub capabilities: Capabilities,
    /// Whether its vendor still serves it.
    pub status: Status,
    /// When its vendor ends it, in milliseconds since the Unix epoch. `None`: nothing is announced.
    pub ends_ms: Option<u64>,
    /// Its successor, when it has one.
    pub replacement: Option<ModelId>,
    /// What it takes.
    pub params: Arc<Params>,
}

/// What a model can do.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the vendor's list of independent yes and no")]
pub struct Capabilities {
    /// Calls tools.
    pub tools: bool,
    /// Sees pictures.
    pub vision: bool,
    /// Thinks before it answers.
    pub reasoning: bool,
    /// Answers in JSON when asked to.
    pub json: bool,
}

/// Whether a model's vendor still serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Active,
    /// It does, and has announced the end.
    Deprecated,
    /// It does not.
    Retired,
}

/// What stands in metrics for every model that nobody lists (OpenTelemetry's word for such).
const OTHER_MODEL: &str = "_OTHER";

/// All models, and which of them can be asked for.
pub struct Catalogue {
    models: Vec<Model>,
    /// Those that make vectors, and never answer.
    embeddings: Vec<EmbeddingModel>,
    /// Spellings to places in `models`.
    names: HashMap<String, Vec<usize>>,
    /// What is configured, in the order of lists.
    configured: Vec<Configured>,
    retired: RetiredModels,
    clock: Clock,
    aliases: Aliases,
    /// What providers said that they have.
    installed: RwLock<HashMap<ProviderId, Vec<ModelId>>>,
}

/// A catalogue that cannot be read, or makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("MODELS_FILE, or the built-in catalogue: {0}")]
pub struct BadCatalogue(String);

impl Catalogue {
    /// The models of `file`, or the built-in ones, and those of `configured`, of which only the latter's providers can be
    /// called.
    ///
    /// # Errors
    /// [`BadCatalogue`] when the file is broken.
    pub fn new(
        configured: Vec<Configured>,
        file: Option<&str>,
        retired: RetiredModels,
        clock: Clock,
    ) -> Result<Self, BadCatalogue> {
        let mut models = file::models(file.unwrap_or(BUILT_IN))?;
        for provider in &configured {
            models.extend(provider.models.iter().map(|id| Model::unlisted(provider.id.clone(), id.clone())));
        }
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, model) in models.iter().enumerate() {
            names.entry(spelling(model.id.as_str())).or_default().push(at);
        }
        // Ids first: where a display name reads like another model's id, the id is meant.
        for (at, model) in models.iter().enumerate() {
            let places = names.entry(spelling(&model.display_name)).or_default();
            if !places.contains(&at) {
                places.push(at);
            }
        }
        let (aliases, installed) = Default::default();
        let embeddings = embeddings::built_in()?;
        Ok(Self { models, embeddings, names, configured, retired, clock, aliases, installed })
    }

    /// As it is on 2026-11-24, whenever the tests run.
    #[cfg(test)]
    fn built_in(configured: Vec<Configured>) -> Self {
        let day = std::time::Duration::from_millis(date::epoch_ms("2026-11-24").unwrap());
        Self::new(configured, None, RetiredModels::Replace, Clock::at(std::time::UNIX_EPOCH + day)).unwrap()
    }

    /// Providers that can be called, in the order of lists.
    pub fn configured(&self) -> &[Configured] {
        &self.configured
    }

    /// Whether `provider` can be called.
    pub fn is_configured(&self, provider: &str) -> bool {
        self.configured.iter().any(|configured| configured.id.as_str() == provider)
    }

    /// Whether the demo provider stands in for every other.
    pub fn is_demo_only(&self) -> bool {
        matches!(self.configured.as_slice(), [only] if only.id.as_str() == DEMO)
    }

    /// The models of `provider`, in the order of the catalogue.
    pub fn models_of<'a, 'p: 'a>(&'a self, provider: &'p str) -> impl Iterator<Item = &'a Model> + use<'a, 'p> {
        self.models.iter().filter(move |model| model.provider.as_str() == provider)
    }

    /// Takes down what `provider` says that it has.
    pub fn set_installed(&self, provider: ProviderId, mut models: Vec<ModelId>) {
        models.retain(|model| !self.is_embedding(provider.as_str(), model.as_str()));
        self.installed.write().unwrap_or_else(PoisonError::into_inner).insert(provider, models);
    }

    /// What `provider` said that it has. `None`: it lists nothing itself, or has not said so far.
    fn installed(&self, provider: &str) -> Option<Vec<ModelId>> {
        let installed = self.installed.read().unwrap_or_else(PoisonError::into_inner);
        installed.iter().find(|(id, _)| id.as_str() == provider).map(|(_, models)| models.clone())
    }

    /// Whether its provider said that it has it.
    fn is_installed(&self, Target { provider, model }: &Target) -> bool {
        let installed = self.installed.read().unwrap_or_else(PoisonError::into_inner);
        installed.get(provider).is_some_and(|models| models.contains(model))
    }

    /// Whether `provider` says itself which models it has.
    fn lists_itself(&self, provider: &str) -> bool {
        self.configured.iter().any(|configured| configured.lists_itself && configured.id.as_str() == provider)
    }

    /// The models of `provider` for lists: those that it said it has, or those of the catalogue.
    pub fn listed(&self, provider: &str) -> Vec<Model> {
        let Some(installed) = self.installed(provider) else {
            let is_there = |_: &&Model| !self.lists_itself(provider);
            return self.models_of(provider).filter(is_there).cloned().collect();
        };
        let id = ProviderId::from(provider);
        let known = |model: &ModelId| self.model(&id, model).cloned();
        installed.into_iter().map(|name| known(&name).unwrap_or_else(|| Model::unlisted(id.clone(), name))).collect()
    }

    /// The models of `provider` that can be chosen without being named.
    fn on_offer<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a Model> {
        let installed = self.lists_itself(provider).then(|| self.installed(provider).unwrap_or_default());
        let is_there = move |model: &&Model| installed.as_ref().is_none_or(|installed| installed.contains(&model.id));
        self.models_of(provider).filter(is_there).filter(|model| !self.is_retired(model))
    }

    /// The model `id` of `provider`. `None` when the catalogue does not have it.
    pub fn model(&self, provider: &ProviderId, id: &ModelId) -> Option<&Model> {
        self.models.iter().find(|model| model.id == *id && model.provider == *provider)
    }

    /// The target by names of which there is a bounded number, for metrics: a model that nobody lists is `_OTHER`.
    pub fn bounded(&self, target: &Target) -> Target {
        let Target { provider, model } = target;
        let is_demo = provider.as_str() == DEMO;
        // The demo provider stands in for any model.
        let is_listed = self
            .models
            .iter()
            .any(|listed| listed.id == *model && (is_demo || listed.provider == *provider))
            || self.embeddings.iter().any(|listed| listed.id == *model && (is_demo || listed.provider == *provider))
            || self.is_installed(target);
        let model = if is_listed { model.clone() } else { OTHER_MODEL.into() };
        Target { provider: provider.clone(), model }
    }

    /// What the model costs today; nothing when the catalogue does not have it.
    pub fn price(&self, provider: &ProviderId, id: &ModelId) -> Price {
        self.model(provider, id).map(|model| self.price_of(model)).unwrap_or_default()
    }

    /// What the model takes; anything when the catalogue does not have it.
    pub fn params(&self, target: &Target) -> Arc<Params> {
        let model = self.model(&target.provider, &target.model);
        model.map_or_else(|| Arc::new(unknown_params(&target.provider)), |model| Arc::clone(&model.params))
    }

    fn price_of(&self, model: &Model) -> Price {
        match model.price_change {
            Some((from_ms, price)) if from_ms <= self.clock.epoch_ms() => price,
            _ => model.price,
        }
    }

    /// Whether its vendor no longer serves `model`, today.
    pub fn is_retired(&self, model: &Model) -> bool {
        let has_ended = model.ends_ms.is_some_and(|ends_ms| ends_ms <= self.clock.epoch_ms());
        has_ended || model.status == Status::Retired
    }

    /// Providers for lists: id, display name, address; the built-in ones whether configured or not, then the others.
    pub fn providers(&self) -> Vec<(&str, &str, &str)> {
        let base_url = |id: &str| {
            self.configured.iter().find(|c| c.id.as_str() == id).map(|c| c.base_url.as_str()).unwrap_or_default()
        };
        let built_in = VENDORS.iter().map(|vendor| (vendor.id, vendor.name, base_url(vendor.id)));
        let others = self.configured.iter().map(|c| (c.id.as_str(), c.id.as_str(), c.base_url.as_str()));
        built_in.chain(others.filter(|(id, ..)| vendor(id).is_none())).collect()
    }
}

impl Model {
    /// A model of which only the name is known.
    fn unlisted(provider: ProviderId, id: ModelId) -> Self {
        let params = Arc::new(unknown_params(&provider));
        Self {
            provider,
            display_name: id.to_string(),
            id,
            context_window: None,
            max_output_tokens: None,
            price: Price::default(),
            price_change: None,
            per_1k: (0.0, 0.0),
            capabilities: Capabilities::default(),
            status: Status::Active,
            ends_ms: None,
            replacement: None,
            params,
        }
    }
}

/// What is known of every model of `provider`.
fn unknown_params(provider: &ProviderId) -> Params {
    Params { api: api_of(provider.as_str(), Api::ChatCompletions), ..Params::unknown() }
}

/// How `provider` is asked, of which files say that it is asked by `api`: Ollama has one of its own besides.
fn api_of(provider: &str, api: Api) -> Api {
    if provider == "ollama" { Api::Ollama } else { api }
}

/// A name without what people write differently: case, spaces, dashes, dots.
fn spelling(name: &str) -> String {
    if name.is_ascii() {
        let mut spelling = String::with_capacity(name.len());
        let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
        spelling.extend(letters.map(|byte| char::from(byte.to_ascii_lowercase())));
        return spelling;
    }
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_models_of_a_provider_are_spelled_alike() {
        let catalogue = Catalogue::built_in(Vec::new());
        for (name, places) in &catalogue.names {
            let mut providers: Vec<_> = places.iter().map(|&at| &catalogue.models[at].provider).collect();
            providers.sort();
            providers.dedup();
            assert_eq!(providers.len(), places.len(), "`{name}` means several models of one provider");
        }
    }

    #[test]
    fn every_default_is_in_the_catalogue_and_leads_to_a_model_that_is_served() {
        let catalogue = Catalogue::built_in(Vec::new());
        for vendor in VENDORS {
            let model = catalogue.default_model(vendor.id).unwrap();
            assert!(!catalogue.is_retired(model), "{}", vendor.id);
        }
    }

    #[test]
    fn metrics_name_what_is_listed_or_installed_and_nothing_else() {
        let catalogue = Catalogue::built_in(Vec::new());
        catalogue.set_installed("ollama".into(), vec!["tiny:1b".into()]);
        for (provider, model, expected) in [
            ("openai", "gpt-4o", "gpt-4o"),
            ("openai", "text-embedding-3-small", "text-embedding-3-small"),
            (DEMO, "gpt-4o", "gpt-4o"),
            ("xai", "gpt-4o", OTHER_MODEL),
            ("ollama", "tiny:1b", "tiny:1b"),
            ("ollama", "tiny:2b", OTHER_MODEL),
            ("xai", "tiny:1b", OTHER_MODEL),
        ] {
            let target = Target { provider: provider.into(), model: model.into() };
            assert_eq!(catalogue.bounded(&target).model.as_str(), expected, "{model} of {provider}");
        }
    }
}
