//! Models that turn texts into vectors: apart from those that answer, so that none is ever listed or chosen as one of them.

use serde::Deserialize;

use crate::generate::{DEMO, ModelId, ProviderId, Target};

use super::{
    BadCatalogue, Catalogue, Price, Unresolved,
    price::Rates,
    resolve::{invented, is_name},
    spelling, vendor,
};

const BUILT_IN: &str = include_str!("embeddings.json");

/// Vendors that have no models of this kind.
const HAVE_NONE: [&str; 1] = ["anthropic"];
/// Vendors whose models take no tokens: theirs are cut by nobody else.
const TAKE_TEXTS_ALONE: [&str; 2] = ["google", "ollama"];
/// Vendors that have none in the catalogue, and are asked only by name.
const ASKED_BY_NAME: [&str; 1] = ["xai"];

/// A model that turns texts into vectors.
#[derive(Clone, Debug)]
pub struct EmbeddingModel {
    /// Who offers it.
    pub provider: ProviderId,
    /// Its vendor's name for it.
    pub id: ModelId,
    /// The length of its vectors where nobody asks for another, and the longest there is.
    pub dimensions: u32,
    /// Tokens of the longest input.
    pub max_input_tokens: u64,
    price: Price,
}

/// Why a request for vectors cannot go anywhere.
#[derive(Debug, PartialEq, Eq)]
pub enum NoEmbedding {
    /// The provider makes none, whatever the model; its name for people.
    Vendor(&'static str),
    /// Nobody knows the model, and several could be asked, or none.
    WhoseModel,
    /// As for answers.
    Other(Unresolved),
}

/// The built-in models.
///
/// # Errors
/// [`BadCatalogue`] when they are not the form, or make no sense.
pub(super) fn built_in() -> Result<Vec<EmbeddingModel>, BadCatalogue> {
    let file: File = serde_json::from_str(BUILT_IN).map_err(|error| BadCatalogue(error.to_string()))?;
    file.models.into_iter().map(EmbeddingModel::try_from).collect()
}

#[derive(Deserialize)]
struct File {
    models: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    provider: String,
    id: String,
    /// Dollars for a million tokens.
    input_price: f64,
    dimensions: u32,
    max_input_tokens: u64,
}

impl TryFrom<Entry> for EmbeddingModel {
    type Error = BadCatalogue;

    fn try_from(entry: Entry) -> Result<Self, BadCatalogue> {
        let Entry { provider, id, input_price, dimensions, max_input_tokens } = entry;
        if !is_name(&id) || !(0.0..=100_000.0).contains(&input_price) || dimensions == 0 || max_input_tokens == 0 {
            return Err(BadCatalogue(format!("{id} makes no sense")));
        }
        let price = Price { rates: Rates::per_million(input_price, 0.0, None, None), long_context: None };
        Ok(Self { provider: provider.as_str().into(), id: id.as_str().into(), dimensions, max_input_tokens, price })
    }
}

impl Catalogue {
    /// Finds who turns texts into vectors: `text-embedding-3-small`, alone or behind a provider and a colon or a slash, or a name of
    /// the operator's, which means the first of its models that can be asked.
    ///
    /// # Errors
    /// [`NoEmbedding`], when there is no such provider or model, or none that can be asked.
    pub fn resolve_embedding(&self, model: &str) -> Result<Target, NoEmbedding> {
        let model = model.trim();
        let mut meant = self.aliases.get(&model.to_lowercase()).into_iter().flatten();
        let meant = meant.find_map(|model| self.resolve_named_embedding(model).ok());
        meant.map_or_else(|| self.resolve_named_embedding(model), Ok)
    }

    /// Whether the catalogue has `model`, as clients name it, among those that make vectors.
    pub(super) fn has_embedding(&self, model: &str) -> bool {
        self.resolve_named_embedding(model).is_ok_and(|target| self.embedding(&target).is_some())
    }

    fn resolve_named_embedding(&self, model: &str) -> Result<Target, NoEmbedding> {
        let (prefix, name) = self.split_embedding(model);
        if self.is_demo_only() || prefix == Some(DEMO) {
            return self.demo_embedding(prefix, name);
        }
        let listed = || self.embeddings.iter().filter(|listed| listed.is_spelled(name));
        let owner = || {
            let callable = listed().find(|listed| self.is_configured(listed.provider.as_str()));
            callable.or(listed().next()).map(|listed| listed.provider.to_string())
        };
        let provider = match prefix.map(str::to_owned).or_else(owner) {
            Some(provider) => self.callable(&provider).map_err(NoEmbedding::Other)?,
            None => self.only_embedder().ok_or(NoEmbedding::WhoseModel)?,
        };
        if HAVE_NONE.contains(&provider.as_str()) {
            return Err(NoEmbedding::Vendor(vendor(provider.as_str()).map_or("The provider", |vendor| vendor.name)));
        }
        if let Some(listed) = listed().find(|listed| listed.provider == provider) {
            return Ok(Target { provider, model: listed.id.clone() });
        }
        // What answers questions makes no vectors, and a name must be fit for keys and logs.
        if self.named(&provider, name).is_some_and(|model| !model.is_unknown()) || !is_name(name) {
            let available = self.embeddings_of(&provider).map(|listed| listed.id.clone()).collect();
            return Err(NoEmbedding::Other(Unresolved::NotOffered { provider, model: name.to_owned(), available }));
        }
        Ok(Target { provider, model: name.into() })
    }

    /// Whether the target may be given tokens in place of texts.
    pub fn takes_tokens(&self, target: &Target) -> bool {
        !TAKE_TEXTS_ALONE.contains(&target.provider.as_str())
    }

    /// What is known of the target. `None`: only its name.
    pub fn embedding(&self, target: &Target) -> Option<&EmbeddingModel> {
        self.embeddings.iter().find(|listed| listed.id == target.model && listed.provider == target.provider)
    }

    /// What the target costs; of a vendor's model that is not in the catalogue, what its dearest costs, so that no budget is exceeded
    /// for want of a name; nothing where no price is known at all.
    pub fn embedding_price(&self, target: &Target) -> Price {
        let dearest = || {
            let prices = self.embeddings_of(&target.provider).map(|listed| listed.price);
            prices.max_by_key(|price| price.worst(1_000_000, 0)).unwrap_or_default()
        };
        self.embedding(target).map_or_else(dearest, |listed| listed.price)
    }

    /// Whether `id` of `provider` makes vectors, and so cannot answer. A tag behind a colon is a version of the same.
    pub(super) fn is_embedding(&self, provider: &str, id: &str) -> bool {
        let untagged = id.split(':').next().unwrap_or(id);
        let names = [id, untagged].map(spelling);
        let mut listed = self.embeddings.iter().filter(|listed| listed.provider.as_str() == provider);
        listed.any(|listed| names.contains(&spelling(listed.id.as_str())))
    }

    fn embeddings_of(&self, provider: &ProviderId) -> impl Iterator<Item = &EmbeddingModel> {
        self.embeddings.iter().filter(move |listed| listed.provider == *provider)
    }

    /// The one provider that an unknown model can be meant of. `None`: there are several, or none.
    fn only_embedder(&self) -> Option<ProviderId> {
        let others = [DEMO].into_iter().chain(HAVE_NONE).chain(ASKED_BY_NAME).collect::<Vec<_>>();
        let mut able = self.configured.iter().filter(|configured| !others.contains(&configured.id.as_str()));
        let only = able.next()?;
        able.next().is_none().then(|| only.id.clone())
    }

    /// Takes a provider off a model's name, which may itself hold colons and slashes.
    fn split_embedding<'a>(&'a self, model: &'a str) -> (Option<&'a str>, &'a str) {
        if self.embeddings.iter().any(|listed| listed.is_spelled(model)) {
            return (None, model);
        }
        self.split(model, None)
    }

    /// The demo provider makes vectors under any name.
    fn demo_embedding(&self, prefix: Option<&str>, name: &str) -> Result<Target, NoEmbedding> {
        let provider = self.callable(DEMO).map_err(NoEmbedding::Other)?;
        let listed = self.embeddings.iter().find(|listed| prefix != Some(DEMO) && listed.is_spelled(name));
        let model = listed.map_or_else(|| invented(name), |listed| listed.id.clone());
        Ok(Target { provider, model })
    }
}

impl EmbeddingModel {
    fn is_spelled(&self, name: &str) -> bool {
        spelling(self.id.as_str()) == spelling(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{Configured, Route, RoutingMode, Wanted},
        generate::Usage,
    };

    fn catalogue(providers: &[&str]) -> Catalogue {
        let configured = |id: &&str| Configured {
            id: (*id).into(),
            base_url: String::new(),
            models: Vec::new(),
            lists_itself: *id == "ollama",
        };
        Catalogue::built_in(providers.iter().map(configured).collect())
    }

    fn resolve(catalogue: &Catalogue, model: &str) -> Result<String, NoEmbedding> {
        catalogue.resolve_embedding(model).map(|target| format!("{} {}", target.provider, target.model))
    }

    #[test]
    fn models_are_found_bare_and_behind_their_providers() {
        let catalogue = catalogue(&["openai", "google", "ollama", "local", "anthropic", "xai"]);
        for (model, expected) in [
            ("text-embedding-3-small", "openai text-embedding-3-small"),
            ("openai/text-embedding-3-small", "openai text-embedding-3-small"),
            ("openai:text-embedding-3-small", "openai text-embedding-3-small"),
            (" OpenAI: Text-Embedding-3-Large", "openai text-embedding-3-large"),
            ("openai/text-embedding-9", "openai text-embedding-9"),
            ("gemini-embedding-001", "google gemini-embedding-001"),
            ("nomic-embed-text", "ollama nomic-embed-text"),
            ("ollama:nomic-embed-text:v1.5", "ollama nomic-embed-text:v1.5"),
            ("ollama/bge-m3", "ollama bge-m3"),
            ("local:BAAI/bge-m3", "local BAAI/bge-m3"),
            ("xai/embed", "xai embed"),
        ] {
            assert_eq!(resolve(&catalogue, model).unwrap(), expected, "{model}");
        }
    }

    #[test]
    fn an_unknown_model_goes_to_the_only_one_who_can_be_meant() {
        assert_eq!(resolve(&catalogue(&["anthropic", "local"]), "bge-m3").unwrap(), "local bge-m3");
        assert_eq!(resolve(&catalogue(&["xai", "openai"]), "text-embedding-9").unwrap(), "openai text-embedding-9");
        for providers in [&["openai", "local"][..], &["anthropic"]] {
            assert_eq!(resolve(&catalogue(providers), "bge-m3"), Err(NoEmbedding::WhoseModel));
        }
    }

    #[test]
    fn the_operators_names_mean_models_that_make_vectors_too() {
        let aliases =
            |model: &str| vec![("Embed".to_owned(), vec!["google:gemini-embedding-2".to_owned(), model.to_owned()])];
        let catalogue = || catalogue(&["openai"]);
        let named = catalogue().with_aliases(aliases("openai/text-embedding-3-large")).unwrap();
        assert_eq!(resolve(&named, "embed").unwrap(), "openai text-embedding-3-large");
        assert!(!named.offers().iter().any(|offer| offer.name == "embed"), "it answers nobody");
        assert!(catalogue().with_aliases(aliases("openai/text-embedding-typo")).is_err());
    }

    #[test]
    fn who_makes_none_says_so() {
        let openai = catalogue(&["openai", "anthropic"]);
        assert_eq!(resolve(&openai, "anthropic/claude-opus-5"), Err(NoEmbedding::Vendor("Anthropic")));
        assert_eq!(resolve(&openai, "anthropic:whatever"), Err(NoEmbedding::Vendor("Anthropic")));
        let not_offered =
            |model| matches!(resolve(&openai, model), Err(NoEmbedding::Other(Unresolved::NotOffered { .. })));
        assert!(not_offered("openai/gpt-4o") && not_offered("openai/two words"));
        let not_configured = Unresolved::NotConfigured { provider: "google".into(), variable: Some("GOOGLE_API_KEY") };
        assert_eq!(resolve(&openai, "gemini-embedding-001"), Err(NoEmbedding::Other(not_configured)));
    }

    #[test]
    fn the_demo_provider_makes_them_all() {
        let catalogue = catalogue(&[DEMO]);
        for (model, expected) in [
            ("openai/text-embedding-3-small", "demo text-embedding-3-small"),
            ("anthropic/claude", "demo claude"),
            ("acme:rocket\n9", "demo rocket-9"),
            ("demo:slow", "demo slow"),
        ] {
            assert_eq!(resolve(&catalogue, model).unwrap(), expected);
        }
    }

    #[test]
    fn a_model_without_a_price_costs_what_the_dearest_of_its_vendor_costs() {
        let catalogue = catalogue(&["openai", "ollama", "local"]);
        let million = Usage { input_tokens: 1_000_000, ..Usage::default() };
        let cost = |provider: &str, model: &str| {
            catalogue.embedding_price(&Target { provider: provider.into(), model: model.into() }).cost(&million).0
        };
        assert_eq!(cost("openai", "text-embedding-3-small"), 20_000);
        assert_eq!(cost("openai", "text-embedding-9"), 130_000);
        assert_eq!((cost("ollama", "bge-m3"), cost("local", "bge-m3")), (0, 0));
    }

    #[test]
    fn none_of_them_is_listed_or_chosen_to_answer() {
        let catalogue = catalogue(&["openai", "ollama"]);
        catalogue.set_installed("ollama".into(), vec!["nomic-embed-text".into(), "mxbai-embed-large:335m".into()]);
        assert!(catalogue.listed("ollama").is_empty());
        let ask = |model, provider, mode| {
            let routing = Route { mode, ..Route::default() };
            catalogue.resolve(&Wanted { model, provider, routing }).map(|resolved| resolved.target)
        };
        for mode in RoutingMode::ALL {
            let target = ask(None, None, mode).unwrap();
            assert!(catalogue.embedding(&target).is_none(), "{mode:?} chose {target:?}");
        }
        assert_eq!(ask(None, Some("ollama"), RoutingMode::Manual), Err(Unresolved::NoneFits));
        for model in ["ollama:nomic-embed-text", "ollama:nomic-embed-text:v1.5", "openai/text-embedding-3-small"] {
            let refused = ask(Some(model), None, RoutingMode::Manual);
            assert!(matches!(refused, Err(Unresolved::NotOffered { .. })), "{model}: {refused:?}");
        }
    }
}
