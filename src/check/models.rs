//! Whether a vendor has the models that it will be asked for.

use crate::{
    catalogue::{Catalogue, Route, Wanted},
    config::{EndpointConfig, Wire},
    generate::ModelId,
    providers::Listed,
};

/// How many names are told; of the others, how many they are.
const NAMED: usize = 5;

/// What the list of `endpoint` lacks. `None`: nothing, or it does not say all that it has.
pub(super) fn lacking(endpoint: &EndpointConfig, catalogue: &Catalogue, listed: &Listed) -> Option<String> {
    if !listed.is_whole {
        return None;
    }
    let lacks = |model: &&str| !listed.models.iter().any(|listed| is_meant(model, listed.as_str()));
    match endpoint.wire {
        // It is asked for what it has installed, and takes any of it.
        Wire::Ollama if listed.models.is_empty() => {
            Some("has none that could answer. Install one, as by `ollama pull llama3.2`".to_owned())
        }
        Wire::Ollama => None,
        Wire::Compatible => {
            let named = endpoint.models.iter().map(String::as_str).filter(lacks).collect::<Vec<_>>();
            let variable = endpoint.url_variable.replace("_BASE_URL", "_MODELS");
            (!named.is_empty()).then(|| format!("not {}. Mend {variable}", names(&named)))
        }
        Wire::OpenAi | Wire::Xai | Wire::Anthropic | Wire::Gemini => {
            let wanted = Wanted { model: None, provider: Some(&endpoint.name), routing: Route::default() };
            let default = catalogue.resolve(&wanted).ok().map(|resolved| resolved.target.model);
            if let Some(default) = default.as_ref().map(ModelId::as_str).filter(lacks) {
                return Some(format!(
                    "not `{default}`, which answers when no model is named. Put a newer catalogue in MODELS_FILE"
                ));
            }
            let served = catalogue.models_of(&endpoint.name).filter(|model| !catalogue.is_retired(model));
            let named: Vec<&str> = served.map(|model| model.id.as_str()).filter(lacks).collect();
            let advice = "Questions to them will fail; MODELS_FILE can name others";
            (!named.is_empty()).then(|| format!("not {} of the catalogue. {advice}", names(&named)))
        }
    }
}

/// Whether `listed` is `model`, or one of its dated versions: vendors take the short name, and some list only the long one.
fn is_meant(model: &str, listed: &str) -> bool {
    let Some(rest) = listed.strip_prefix(model) else { return false };
    let is_date = |date: &str| date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    rest.is_empty() || rest.strip_prefix('-').is_some_and(is_date)
}

fn names(models: &[&str]) -> String {
    let (named, others) = models.split_at(models.len().min(NAMED));
    let named: Vec<_> = named.iter().map(|model| format!("`{model}`")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" and {} others", others.len()) };
    named.join(", ") + &others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_version_is_the_model_and_another_model_is_not() {
        for (model, listed, expected) in [
            ("gpt-5", "gpt-5", true),
            ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", true),
            ("gpt-4o", "gpt-4o-2024-08-06", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-5", "gpt-5.1", false),
            ("gpt-5-mini", "gpt-5", false),
        ] {
            assert_eq!(is_meant(model, listed), expected, "{model} {listed}");
        }
    }

    #[test]
    fn of_many_names_some_are_told() {
        assert_eq!(names(&["a", "b"]), "`a`, `b`");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f", "g"]), "`a`, `b`, `c`, `d`, `e` and 2 others");
    }
}
