//! The models that can be asked, by names that mean them.

use crate::generate::{DEMO, Target};

use super::{Catalogue, Resolved, Route, Unresolved, VENDORS, Wanted};

/// A model that can be asked.
pub struct Offer {
    /// A name that means it.
    pub name: String,
    /// Whose it is: a provider's name, or this service's for what the operator named.
    pub owner: String,
}

/// Whose the operator's own names are.
const OPERATOR: &str = "llm-gateway";

impl Catalogue {
    /// All that can be asked today, each by the shortest name that means it; the operator's own names first.
    pub fn offers(&self) -> Vec<Offer> {
        let aliases = self.aliases.keys().filter(|name| self.resolve_alias(name).is_some_and(|found| found.is_ok()));
        let aliases = aliases.map(|name| Offer { name: name.clone(), owner: OPERATOR.to_owned() });
        let configured = self.configured.iter().map(|configured| configured.id.as_str());
        // The demo provider answers for everybody's.
        let vendors = VENDORS.iter().map(|vendor| vendor.id).filter(|_| self.is_demo_only());
        let models = configured.chain(vendors).flat_map(|provider| self.listed(provider));
        let models = models.filter(|model| !self.is_retired(model)).map(|model| {
            let owner = if self.is_demo_only() { DEMO.to_owned() } else { model.provider.to_string() };
            Offer { name: self.shortest_name(&model.target()), owner }
        });
        // Of a server that lists its models itself, nobody knows which of these it has.
        let is_there = |provider: &str| self.is_configured(provider) && !self.lists_itself(provider);
        let vectors = self.embeddings.iter().filter(|listed| self.is_demo_only() || is_there(listed.provider.as_str()));
        let vectors = vectors.map(|listed| Offer {
            name: listed.id.to_string(),
            owner: if self.is_demo_only() { DEMO.to_owned() } else { listed.provider.to_string() },
        });
        aliases.chain(models).chain(vectors).collect()
    }

    /// What `name` means.
    ///
    /// # Errors
    /// [`Unresolved`], when it cannot be asked.
    pub fn offer(&self, name: &str) -> Result<Offer, Unresolved> {
        let is_operators = self.aliases.contains_key(&name.trim().to_lowercase());
        let answers = || self.resolve(&Wanted { model: Some(name), provider: None, routing: Route::default() });
        let target = match self.resolve_embedding(name) {
            Ok(target) if self.has_embedding(name) => target,
            Ok(_) | Err(_) => answers()?.target,
        };
        let owner = if is_operators { OPERATOR.to_owned() } else { target.provider.to_string() };
        Ok(Offer { name: name.trim().to_owned(), owner })
    }

    fn shortest_name(&self, target: &Target) -> String {
        let bare = target.model.as_str();
        let is_meant = |found: Result<Resolved<'_>, Unresolved>| found.is_ok_and(|found| found.target == *target);
        if self.is_demo_only() || (!self.aliases.contains_key(bare) && is_meant(self.resolve_named(bare, None))) {
            return bare.to_owned();
        }
        format!("{}/{bare}", target.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Configured;

    #[test]
    fn every_name_that_is_offered_means_a_model() {
        let configured = |id: &str, models: &[&str]| Configured {
            id: id.into(),
            base_url: String::new(),
            models: models.iter().map(|&model| model.into()).collect(),
            lists_itself: false,
        };
        let catalogues = [
            vec![configured("openai", &[]), configured("local", &["gpt-4o", "meta/llama"]), configured("xai", &[])],
            vec![configured(DEMO, &[])],
        ];
        for providers in catalogues {
            let aliases = vec![("Fast".to_owned(), vec!["openai:gpt-6-luna".to_owned()])];
            let catalogue = Catalogue::built_in(providers).with_aliases(aliases).unwrap();
            let offers = catalogue.offers();
            assert!(offers.len() > 10);
            assert_eq!((offers[0].name.as_str(), offers[0].owner.as_str()), ("fast", OPERATOR));
            for Offer { name, owner } in &offers {
                assert_eq!(catalogue.offer(name).unwrap().owner, *owner, "{name}");
            }
            let mut names: Vec<_> = offers.iter().map(|offer| &offer.name).collect();
            names.sort();
            names.dedup();
            assert!(names.len() == offers.len() || catalogue.is_demo_only());
        }
    }
}
