//! The operator's own names for models: whether they lead to anybody.

use crate::{
    catalogue::{Catalogue, Route, Unresolved, Wanted},
    config::Config,
};

use super::{Finding, State};

pub(super) fn findings(config: &Config, catalogue: &Catalogue) -> Vec<Finding> {
    config.models.aliases.iter().map(|(name, models)| finding(name, models, catalogue)).collect()
}

fn finding(name: &str, models: &[String], catalogue: &Catalogue) -> Finding {
    let what = format!("alias {name}");
    let wanted = Wanted { model: Some(name), provider: None, routing: Route::default() };
    let unresolved = match catalogue.resolve(&wanted) {
        Ok(found) => {
            let others = match found.fallbacks.len() {
                0 => String::new(),
                others => format!(", and {others} behind it"),
            };
            let said = format!("leads to {}:{}{others}", found.target.provider, found.target.model);
            return Finding::new(what, State::Ok, said);
        }
        Err(unresolved) => unresolved,
    };
    let makes_vectors =
        |model: &String| catalogue.resolve_embedding(model).ok().filter(|target| catalogue.embedding(target).is_some());
    if let Some(target) = models.iter().find_map(makes_vectors) {
        return Finding::new(what, State::Ok, format!("leads to {}:{}, for vectors", target.provider, target.model));
    }
    let advice = match unresolved {
        Unresolved::NotConfigured { variable: Some(variable), .. } => format!("Set {variable}, or name another model"),
        Unresolved::NotConfigured { variable: None, .. }
        | Unresolved::NotOffered { .. }
        | Unresolved::Retired { .. }
        | Unresolved::NoneFits => "Name another model".to_owned(),
    };
    Finding::new(what, State::Warning, format!("leads to nobody. {advice} in MODEL_ALIASES"))
}
