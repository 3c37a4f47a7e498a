//! From what a client writes to a provider and a model.

use crate::{
    config::RetiredModels,
    generate::{DEMO, ModelId, ProviderId, Target},
};

use super::{Catalogue, Model, Route, RoutingMode, VENDORS, spelling, vendor};

/// What a client says about where its question should go.
pub struct Wanted<'a> {
    /// A model, bare or behind its provider (`openai:gpt-4o`). `None` and blank: any.
    pub model: Option<&'a str>,
    /// The provider of a bare model, or of no model. `None` and blank: any.
    pub provider: Option<&'a str>,
    /// How a model is chosen when none is named.
    pub routing: Route<'a>,
}

/// Where a question goes.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// Provider and model.
    pub target: Target,
    /// Who is asked where the target fails, in order: the others that the operator's name for it stands for.
    pub fallbacks: Vec<Target>,
    /// The model that the client named, where another takes its place. `None`: it is the target's.
    pub replaced: Option<ModelId>,
    /// What is known of the model. `None` for the demo provider's.
    pub model: Option<&'a Model>,
    /// What the router thought. `None` when the client or the default decided.
    pub routed: Option<Routed>,
}

/// What a router thought.
#[derive(Debug)]
pub struct Routed {
    /// Why this model, as a sentence.
    pub reason: String,
    /// What the question would cost there, in dollars.
    pub estimated_cost: f64,
    /// Those that came next, best first.
    pub alternatives: Vec<Target>,
}

/// Why a question cannot go anywhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The provider is unknown or has no key.
    NotConfigured {
        /// The provider that was asked for.
        provider: String,
        /// The variable that would configure it. `None` when nobody knows the provider.
        variable: Option<&'static str>,
    },
    /// The provider does not offer the model.
    NotOffered {
        /// The provider that was asked for.
        provider: ProviderId,
        /// The model that was asked for.
        model: String,
        /// What it offers.
        available: Vec<ModelId>,
    },
    /// Its vendor no longer serves the model, and `RETIRED_MODELS` refuses it.
    Retired {
        /// The provider that was asked for.
        provider: ProviderId,
        /// The model that was asked for.
        model: ModelId,
        /// What took its place.
        replacement: Option<ModelId>,
    },
    /// No configured model meets the client's conditions.
    NoneFits,
}

impl Catalogue {
    /// Finds provider and model.
    ///
    /// # Errors
    /// [`Unresolved`], when there is no such provider or model, or none that can be asked.
    pub fn resolve(&self, wanted: &Wanted<'_>) -> Result<Resolved<'_>, Unresolved> {
        let provider = wanted.provider.map(str::trim).filter(|name| !name.is_empty()).map(str::to_lowercase);
        let Some(model) = wanted.model.map(str::trim).filter(|name| !name.is_empty()) else {
            return self.resolve_unnamed(provider.as_deref(), wanted.routing);
        };
        self.resolve_alias(model).unwrap_or_else(|| self.resolve_named(model, provider))
    }

    /// Finds `model`, bare or behind its provider; if bare, it is `provider`'s.
    pub(super) fn resolve_named(&self, model: &str, provider: Option<String>) -> Result<Resolved<'_>, Unresolved> {
        let (prefix, name) = self.split(model, provider.as_deref());
        if self.is_demo_only() || prefix == Some(DEMO) {
            return self.resolve_demo(prefix, name);
        }
        // A bare name belongs to whoever offers it, if nobody says otherwise.
        let provider = prefix.map(str::to_owned).or(provider).or_else(|| self.provider_of(name));
        let provider = match provider {
            Some(provider) => self.callable(&provider)?,
            None => self.first_configured()?,
        };
        match self.named(&provider, name) {
            Some(model) => self.in_service(model),
            // A server that lists nothing, or itself, is asked for what the client wants.
            None if self.takes_any(&provider) && is_name(name) && !self.is_embedding(provider.as_str(), name) => {
                Ok(Resolved::unlisted(Target { provider, model: name.into() }))
            }
            None => Err(Unresolved::NotOffered {
                model: name.to_owned(),
                available: self.models_of(provider.as_str()).map(|model| model.id.clone()).collect(),
                provider,
            }),
        }
    }

    /// `model`, or what became of it.
    fn in_service<'a>(&'a self, model: &'a Model) -> Result<Resolved<'a>, Unresolved> {
        let successor = model.replacement.as_ref().and_then(|id| self.model(&model.provider, id));
        match (self.retired, successor) {
            (RetiredModels::Replace, Some(successor)) if self.is_retired(model) => {
                Ok(Resolved { replaced: Some(model.id.clone()), ..Resolved::plain(successor) })
            }
            (RetiredModels::Refuse, _) if self.is_retired(model) => Err(Unresolved::Retired {
                provider: model.provider.clone(),
                model: model.id.clone(),
                replacement: model.replacement.clone(),
            }),
            _ => Ok(Resolved::plain(model)),
        }
    }

    /// The model that `provider` answers with when none is named: the original's, or the one that took its place.
    pub(super) fn default_model(&self, provider: &str) -> Option<&Model> {
        let find = |id: Option<&str>| {
            let mut models = self.models.iter().filter(|model| model.provider.as_str() == provider);
            models.find(|model| id.is_none_or(|id| model.id.as_str() == id))
        };
        match find(vendor(provider).map(|vendor| vendor.default)) {
            Some(model) if self.is_retired(model) => find(model.replacement.as_ref().map(ModelId::as_str)),
            found => found,
        }
    }

    fn resolve_unnamed(&self, provider: Option<&str>, route: Route<'_>) -> Result<Resolved<'_>, Unresolved> {
        if self.is_demo_only() {
            let vendor = VENDORS.iter().find(|vendor| provider.is_none_or(|name| name == vendor.id));
            let model = vendor.and_then(|vendor| self.default_model(vendor.id));
            return self.resolve_demo(None, model.map_or("demo", |model| model.id.as_str()));
        }
        let provider = provider.map(|name| self.callable(name)).transpose()?;
        match route.mode {
            RoutingMode::Manual | RoutingMode::SingleModel => {
                let provider = provider.map_or_else(|| self.first_configured(), Ok)?;
                self.resolve_default(provider).ok_or(Unresolved::NoneFits)
            }
            RoutingMode::Heuristic | RoutingMode::CostAware | RoutingMode::Orchestrated => {
                self.route(provider.as_ref(), route).ok_or(Unresolved::NoneFits)
            }
        }
    }

    /// The model that `provider` answers with when none is named. Of one that lists its models itself, one that it has.
    fn resolve_default(&self, provider: ProviderId) -> Option<Resolved<'_>> {
        let default = self.default_model(provider.as_str());
        match self.installed(provider.as_str()) {
            Some(installed) if default.is_none_or(|model| !installed.contains(&model.id)) => {
                let model = installed.into_iter().next()?;
                Some(Resolved::unlisted(Target { provider, model }))
            }
            _ => default.map(Resolved::plain),
        }
    }

    /// The demo provider answers for any model, under that model's name.
    fn resolve_demo(&self, prefix: Option<&str>, name: &str) -> Result<Resolved<'_>, Unresolved> {
        let provider = self.callable(DEMO)?;
        let is_of_prefix = |model: &&Model| prefix.is_none_or(|prefix| model.provider.as_str() == prefix);
        let spelled = || self.spelled(name).filter(|_| prefix != Some(DEMO));
        let listed = spelled().find(is_of_prefix).or_else(|| spelled().next());
        let name = if name.is_empty() { "demo" } else { name };
        let model = listed.map_or_else(|| invented(name), |model| model.id.clone());
        Ok(Resolved::unlisted(Target { provider, model }))
    }

    /// Takes a provider off a model's name. A colon may also be part of the name (`llama3.2:3b`), and so may a slash.
    pub(super) fn split<'a>(&'a self, model: &'a str, provider: Option<&str>) -> (Option<&'a str>, &'a str) {
        if self.names.contains_key(&spelling(model)) {
            return (None, model);
        }
        let known = |prefix: &str| {
            let vendors = VENDORS.iter().map(|vendor| vendor.id);
            let mut ids = vendors.chain(self.configured.iter().map(|configured| configured.id.as_str())).chain([DEMO]);
            ids.find(|id| id.eq_ignore_ascii_case(prefix))
        };
        let parts = [':', '/'].map(|separator| model.split_once(separator));
        for (prefix, name) in parts.into_iter().flatten() {
            if let Some(id) = known(prefix.trim()) {
                return (Some(id), name.trim());
            }
        }
        match parts {
            [Some((prefix, name)), _] if provider.is_none() => (Some(prefix.trim()), name.trim()),
            _ => (None, model),
        }
    }

    pub(super) fn named(&self, provider: &ProviderId, name: &str) -> Option<&Model> {
        self.spelled(name).find(|model| model.provider == *provider)
    }

    /// Whoever offers a model of this name, those that can be called first.
    fn provider_of(&self, name: &str) -> Option<String> {
        let callable = self.spelled(name).find(|model| self.is_configured(model.provider.as_str()));
        callable.or_else(|| self.spelled(name).next()).map(|model| model.provider.to_string())
    }

    pub(super) fn callable(&self, provider: &str) -> Result<ProviderId, Unresolved> {
        let configured = self.configured.iter().find(|configured| configured.id.as_str() == provider);
        configured.map(|configured| configured.id.clone()).ok_or_else(|| Unresolved::not_configured(provider))
    }

    fn takes_any(&self, provider: &ProviderId) -> bool {
        self.lists_itself(provider.as_str()) || self.models_of(provider.as_str()).next().is_none()
    }

    fn first_configured(&self) -> Result<ProviderId, Unresolved> {
        let first = self.configured.first();
        first.map(|configured| configured.id.clone()).ok_or_else(|| Unresolved::not_configured("openai"))
    }

    /// The models of this id or display name, whoever offers them, in the order of the catalogue; those of the id first.
    fn spelled(&self, name: &str) -> impl Iterator<Item = &Model> + use<'_> {
        let places = self.names.get(&spelling(name)).into_iter().flatten();
        places.filter_map(|&at| self.models.get(at))
    }
}

impl Unresolved {
    fn not_configured(provider: &str) -> Self {
        let variable = vendor(provider).map(|vendor| vendor.variable);
        Self::NotConfigured { provider: provider.to_owned(), variable }
    }
}

impl<'a> Resolved<'a> {
    pub(super) fn plain(model: &'a Model) -> Self {
        Self { target: model.target(), fallbacks: Vec::new(), replaced: None, model: Some(model), routed: None }
    }

    fn unlisted(target: Target) -> Self {
        Self { target, fallbacks: Vec::new(), replaced: None, model: None, routed: None }
    }
}

/// Whether a name that nobody knows is fit for keys and logs.
pub(super) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A name that nobody checked, fit for keys and logs: at most 64 printable ASCII characters in lower case.
pub(super) fn invented(name: &str) -> ModelId {
    let clean = |c: char| if c.is_ascii_graphic() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(clean).take(64).collect();
    name.as_str().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Configured;

    fn catalogue(providers: &[&str]) -> Catalogue {
        let configured = |id: &&str| Configured {
            id: (*id).into(),
            base_url: String::new(),
            models: Vec::new(),
            lists_itself: *id == "ollama",
        };
        Catalogue::built_in(providers.iter().map(configured).collect())
    }

    fn resolve(catalogue: &Catalogue, model: &str, provider: &str) -> Result<(String, String), Unresolved> {
        let routing = Route { mode: RoutingMode::Manual, ..Route::default() };
        let resolved = catalogue.resolve(&Wanted { model: Some(model), provider: Some(provider), routing })?;
        Ok((resolved.target.provider.to_string(), resolved.target.model.to_string()))
    }

    #[test]
    fn models_are_found_however_they_are_spelled() {
        let catalogue = catalogue(&["openai", "anthropic", "xai"]);
        for (model, provider, expected) in [
            ("gpt-4o", "", ("openai", "gpt-4o")),
            (" GPT-4o ", "", ("openai", "gpt-4o")),
            ("gpt 4o", "openai", ("openai", "gpt-4o")),
            // With a dash of typesetters.
            ("GPT\u{2011}4o", "", ("openai", "gpt-4o")),
            ("openai:gpt-4o", "", ("openai", "gpt-4o")),
            ("OpenAI: GPT-5.5", "xai", ("openai", "gpt-5.5")),
            ("openai/gpt-4o", "", ("openai", "gpt-4o")),
            // Their vendors no longer serve these.
            ("claude-3-5-sonnet-20241022", "", ("anthropic", "claude-sonnet-5-5")),
            ("Claude 3.5 Sonnet", "", ("anthropic", "claude-sonnet-5-5")),
            ("grok-3", "XAI", ("xai", "grok-4.3")),
            ("", "", ("openai", "gpt-4o")),
            ("  ", "anthropic", ("anthropic", "claude-sonnet-5-5")),
        ] {
            let found = resolve(&catalogue, model, provider).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_str()), expected, "`{model}` at `{provider}`");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let catalogue = catalogue(&["openai"]);
        let not_configured =
            |provider: &str, variable| Err(Unresolved::NotConfigured { provider: provider.to_owned(), variable });
        assert_eq!(resolve(&catalogue, "xai:grok-4.7", ""), not_configured("xai", Some("XAI_API_KEY")));
        assert_eq!(resolve(&catalogue, "grok-4.7", ""), not_configured("xai", Some("XAI_API_KEY")));
        assert_eq!(resolve(&catalogue, "acme:rocket", ""), not_configured("acme", None));
        assert_eq!(resolve(&catalogue, "", "acme"), not_configured("acme", None));
        assert!(matches!(resolve(&catalogue, "gpt-9", ""), Err(Unresolved::NotOffered { .. })));
        assert!(matches!(resolve(&catalogue, "grok-3", "openai"), Err(Unresolved::NotOffered { .. })));
    }

    #[test]
    fn a_server_that_lists_nothing_is_asked_for_anything() {
        let catalogue = catalogue(&["local"]);
        for (model, provider, expected) in
            [("local:llama3.2:3b", "", "llama3.2:3b"), ("qwen3-coder", "local", "qwen3-coder")]
        {
            let found = resolve(&catalogue, model, provider).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_str()), ("local", expected));
        }
        for name in ["two words", "line\nbreak", &"x".repeat(129)] {
            assert!(resolve(&catalogue, &format!("local:{name}"), "").is_err(), "{name}");
        }
    }

    #[test]
    fn who_lists_its_models_itself_is_asked_for_any_and_falls_back_on_what_it_has() {
        let catalogue = catalogue(&["ollama"]);
        assert!(catalogue.listed("ollama").is_empty(), "it has not said so far");
        assert_eq!(resolve(&catalogue, "ollama:qwen3:8b", "").unwrap().1, "qwen3:8b");
        assert_eq!(resolve(&catalogue, "", "ollama").unwrap().1, "llama3.2");
        catalogue.set_installed("ollama".into(), vec!["tiny:1b".into(), "mistral".into()]);
        assert_eq!(resolve(&catalogue, "", "ollama").unwrap().1, "tiny:1b");
        let names: Vec<_> = catalogue.listed("ollama").into_iter().map(|model| model.display_name).collect();
        assert_eq!(names, ["tiny:1b", "Mistral 7B"]);
    }

    #[test]
    fn the_demo_provider_answers_for_any_model() {
        let catalogue = catalogue(&[DEMO]);
        for (model, expected) in [
            ("gpt-4o", "gpt-4o"),
            ("anthropic:Claude 3.5 Sonnet", "claude-3-5-sonnet-20241022"),
            ("demo:slow", "slow"),
            ("demo:", "demo"),
            ("acme:rocket\n9", "rocket-9"),
            ("", "gpt-4o"),
        ] {
            assert_eq!(resolve(&catalogue, model, "").unwrap(), (DEMO.to_owned(), expected.to_owned()));
        }
    }

    #[test]
    fn every_routing_mode_yields_a_model() {
        let catalogue = catalogue(&["openai", "xai"]);
        for mode in RoutingMode::ALL {
            let routing = Route { mode, ..Route::default() };
            let resolved = catalogue.resolve(&Wanted { model: None, provider: None, routing });
            assert!(resolved.is_ok(), "{mode:?}");
        }
    }
}
