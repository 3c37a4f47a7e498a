//! The operator's own names for models (`MODEL_ALIASES`), each for one or several that are tried in order.

use std::collections::BTreeMap;

use super::{Catalogue, Resolved, Unresolved};

/// Names in lower case, with the models that each stands for, as clients name them.
pub(super) type Aliases = BTreeMap<String, Vec<String>>;

/// A name that stands for a model that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("MODEL_ALIASES: `{name}` stands for `{model}`, which {why}")]
pub struct BadAlias {
    name: String,
    model: String,
    why: &'static str,
}

impl Catalogue {
    /// The same catalogue with names of the operator's.
    ///
    /// # Errors
    /// [`BadAlias`] when one stands for a model of nobody, or for one that its provider does not offer. A provider that is not
    /// configured may be named: it is passed over.
    pub fn with_aliases(mut self, aliases: Vec<(String, Vec<String>)>) -> Result<Self, BadAlias> {
        for (name, models) in &aliases {
            for model in models {
                let why = match self.resolve_named(model, None) {
                    Ok(_) | Err(Unresolved::NotConfigured { variable: Some(_), .. } | Unresolved::NoneFits) => continue,
                    Err(_) if self.has_embedding(model) => continue,
                    Err(Unresolved::NotConfigured { variable: None, .. }) => "no provider that is known here offers",
                    Err(Unresolved::NotOffered { .. }) => "its provider does not offer",
                    Err(Unresolved::Retired { .. }) => "its vendor no longer serves",
                };
                return Err(BadAlias { name: name.clone(), model: model.clone(), why });
            }
        }
        self.aliases = aliases.into_iter().map(|(name, models)| (name.to_lowercase(), models)).collect();
        Ok(self)
    }

    /// What the operator's `name` stands for: the first of its models that can be asked, and the others behind it. `None`: the name
    /// is none of the operator's.
    pub(super) fn resolve_alias(&self, name: &str) -> Option<Result<Resolved<'_>, Unresolved>> {
        let models = self.aliases.get(&name.to_lowercase())?;
        let mut resolved = models.iter().map(|model| self.resolve_named(model, None));
        let mut first = resolved.next()?;
        for next in resolved {
            match (&mut first, next) {
                (Ok(first), Ok(next)) if next.target != first.target && !first.fallbacks.contains(&next.target) => {
                    first.fallbacks.push(next.target);
                }
                (first @ Err(_), Ok(next)) => *first = Ok(next),
                (_, Ok(_) | Err(_)) => {}
            }
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{Configured, Route, Wanted},
        config::RetiredModels,
    };

    fn catalogue(providers: &[&str]) -> Catalogue {
        let configured = |id: &&str| Configured {
            id: (*id).into(),
            base_url: String::new(),
            models: Vec::new(),
            lists_itself: false,
        };
        Catalogue::built_in(providers.iter().map(configured).collect())
    }

    fn alias(name: &str, models: &[&str]) -> Vec<(String, Vec<String>)> {
        vec![(name.to_owned(), models.iter().map(|&model| model.to_owned()).collect())]
    }

    fn resolve<'a>(catalogue: &'a Catalogue, model: &str) -> Result<Resolved<'a>, Unresolved> {
        catalogue.resolve(&Wanted { model: Some(model), provider: None, routing: Route::default() })
    }

    #[test]
    fn a_name_stands_for_the_first_that_can_be_asked_and_those_behind_it() {
        let models =
            ["anthropic:claude-sonnet-5-5", "google:gemini-3.8-flash", "openai/gpt-6-luna", "openai:gpt-6-luna"];
        let catalogue = catalogue(&["openai", "google"]).with_aliases(alias("Fast", &models)).unwrap();
        let resolved = resolve(&catalogue, " fast ").unwrap();
        assert_eq!(resolved.target.model.as_str(), "gemini-3.8-flash");
        let others: Vec<_> = resolved.fallbacks.iter().map(|target| target.model.as_str()).collect();
        assert_eq!(others, ["gpt-6-luna"]);
        assert_eq!(resolve(&catalogue, "gpt-6-luna").unwrap().fallbacks, []);
    }

    #[test]
    fn a_name_may_take_the_place_of_a_model() {
        let catalogue = catalogue(&["openai"]).with_aliases(alias("gpt-4o", &["openai:gpt-6-luna", "gpt-4o"])).unwrap();
        let resolved = resolve(&catalogue, "gpt-4o").unwrap();
        assert_eq!((resolved.target.model.as_str(), resolved.fallbacks.len()), ("gpt-6-luna", 1));
    }

    #[test]
    fn what_nobody_can_ever_answer_stops_the_start() {
        for (model, words) in
            [("acme:rocket", "no provider that is known here offers"), ("openai:gpt-9", "its provider does not offer")]
        {
            let Err(error) = catalogue(&["openai"]).with_aliases(alias("fast", &[model])) else {
                panic!("{model} was taken")
            };
            assert_eq!(error.to_string(), format!("MODEL_ALIASES: `fast` stands for `{model}`, which {words}"));
        }
        let refusing = Catalogue { retired: RetiredModels::Refuse, ..catalogue(&["openai"]) };
        let error = refusing.with_aliases(alias("fast", &["openai:gpt-4-turbo"])).err().unwrap();
        assert!(error.to_string().ends_with("`openai:gpt-4-turbo`, which its vendor no longer serves"), "{error}");
        let unconfigured = catalogue(&["openai"]).with_aliases(alias("fast", &["xai:grok-4.7"])).unwrap();
        assert!(matches!(resolve(&unconfigured, "fast"), Err(Unresolved::NotConfigured { .. })));
    }
}
