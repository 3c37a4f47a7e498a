//! Who answers, as the environment says.

use std::collections::HashSet;

use super::{EndpointConfig, ProvidersConfig, Wire, read::Reader};

/// A vendor of the catalogue. Another one is a row in [`VENDORS`].
struct Vendor {
    name: &'static str,
    wire: Wire,
    /// The variables that hold its key; the first that is set counts. Empty: its address configures it.
    keys: &'static [&'static str],
    base_url: &'static str,
    /// `None`: it has no address of its own.
    default: Option<&'static str>,
    /// What stands at the end of the path of its address.
    version: Version,
}

/// Whether a vendor's address ends in a version. Operators write both, and both are taken.
enum Version {
    /// It ends in `/v1`, which is added to an address without a path.
    Kept,
    /// It does not: one of these is taken off.
    Dropped(&'static [&'static str]),
}

const VENDORS: [Vendor; 5] = [
    Vendor {
        name: "openai",
        wire: Wire::OpenAi,
        keys: &["OPENAI_API_KEY"],
        base_url: "OPENAI_BASE_URL",
        default: Some("https://api.openai.com/v1"),
        version: Version::Kept,
    },
    Vendor {
        name: "anthropic",
        wire: Wire::Anthropic,
        keys: &["ANTHROPIC_API_KEY"],
        base_url: "ANTHROPIC_BASE_URL",
        default: Some("https://api.anthropic.com"),
        version: Version::Dropped(&["/v1"]),
    },
    Vendor {
        name: "google",
        wire: Wire::Gemini,
        keys: &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
        base_url: "GOOGLE_BASE_URL",
        default: Some("https://generativelanguage.googleapis.com"),
        version: Version::Dropped(&["/v1", "/v1beta"]),
    },
    Vendor {
        name: "xai",
        wire: Wire::Xai,
        keys: &["XAI_API_KEY"],
        base_url: "XAI_BASE_URL",
        default: Some("https://api.x.ai/v1"),
        version: Version::Kept,
    },
    Vendor {
        name: "ollama",
        wire: Wire::Ollama,
        keys: &[],
        base_url: "OLLAMA_BASE_URL",
        default: None,
        version: Version::Dropped(&["/v1", "/api"]),
    },
];

impl Version {
    fn normalise(&self, base_url: String) -> String {
        match self {
            Version::Kept => {
                let has_path = base_url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
                if has_path { base_url } else { base_url + "/v1" }
            }
            Version::Dropped(versions) => {
                let stripped = versions.iter().find_map(|version| base_url.strip_suffix(version));
                stripped.map(str::to_owned).unwrap_or(base_url)
            }
        }
    }
}

pub(super) fn read_providers(read: &mut Reader, production: bool) -> ProvidersConfig {
    let mut endpoints: Vec<EndpointConfig> = Vec::new();
    for Vendor { name, wire, keys, base_url: variable, default, version } in &VENDORS {
        // All are read, so that each is checked.
        let given: Vec<_> = keys.iter().filter_map(|key| Some((*key, read.secret(key)?))).collect();
        let (key_variable, api_key) = given.into_iter().next().unzip();
        let base_url = read.base_url(variable).map(|base_url| version.normalise(base_url));
        let is_configured = if keys.is_empty() { base_url.is_some() } else { api_key.is_some() };
        if let (Some(key), true) = (keys.first(), base_url.is_some() && !is_configured) {
            read.warn(format!("{variable} is set, but not {key}: nothing is sent there"));
        }
        let base_url = base_url.or_else(|| default.map(str::to_owned));
        if let Some(base_url) = base_url.filter(|_| is_configured) {
            endpoints.push(EndpointConfig {
                name: (*name).to_owned(),
                wire: *wire,
                base_url,
                api_key,
                key_variable: key_variable.map(str::to_owned),
                url_variable: (*variable).to_owned(),
                models: Vec::new(),
            });
        }
    }
    for stem in read.between("COMPATIBLE_", &["_BASE_URL", "_API_KEY", "_MODELS"]) {
        let variable = |what: &str| format!("COMPATIBLE_{stem}_{what}");
        let api_key = read.secret(&variable("API_KEY"));
        if read.text(&variable("BASE_URL")).is_none() {
            read.missing(&variable("BASE_URL"), "the address of the provider");
            continue;
        }
        let Some(base_url) = read.base_url(&variable("BASE_URL")) else { continue };
        let name = stem.to_lowercase();
        let is_vendor = name == "demo" || VENDORS.iter().any(|vendor| vendor.name == name);
        if is_vendor || name.is_empty() || endpoints.iter().any(|other| other.name == name) {
            let said = format_args!("names the provider `{name}`");
            read.problem(&variable("BASE_URL"), said, "a name that no other provider has");
        }
        let mut models = read.list(&variable("MODELS"));
        let mut seen = HashSet::new();
        models.retain(|model| seen.insert(model.clone()));
        endpoints.push(EndpointConfig {
            name,
            wire: Wire::Compatible,
            base_url,
            api_key,
            key_variable: Some(variable("API_KEY")),
            url_variable: variable("BASE_URL"),
            models,
        });
    }
    let wanted = read.one_of("DEMO_PROVIDER", None, &[("auto", None), ("on", Some(true)), ("off", Some(false))]);
    let demo = wanted.unwrap_or(endpoints.is_empty() && !production);
    ProvidersConfig { endpoints, demo }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_model_that_is_named_twice_is_one_model() {
        let values = [("COMPATIBLE_LOCAL_BASE_URL", "https://x.test/v1"), ("COMPATIBLE_LOCAL_MODELS", "b,a, b,a")];
        let config = Config::read(values.into()).unwrap_or_else(|_| panic!("it is good"));
        assert_eq!(config.providers.endpoints[0].models, ["b", "a"]);
    }
}
