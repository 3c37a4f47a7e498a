//! Typed look-ups over the merged sources, which collect every problem instead of stopping at the first.

use std::{
    collections::BTreeSet,
    fmt::Display,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use secrecy::SecretString;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use url::Url;

use super::{
    address::{is_link_local, is_loopback, is_plain_address},
    sources::{Problem, Sources},
};

/// What a template leaves in place of a key: such a value counts as unset.
const TEMPLATE_VALUES: [&str; 2] = ["your_token_here", "..."];

/// What a word of `LOG_LEVEL` without `=` must be.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The largest budget, in dollars: far more than anyone has, and exact in millionths.
pub const MOST_DOLLARS: f64 = 1e9;

/// Reads settings and remembers what was wrong.
pub(super) struct Reader {
    sources: Sources,
    warnings: Vec<String>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, warnings: Vec::new() }
    }

    /// What the operator may want to think about.
    pub(super) fn finish(self) -> Result<Vec<String>, Vec<Problem>> {
        if self.sources.problems.is_empty() { Ok(self.warnings) } else { Err(self.sources.problems) }
    }

    pub(super) fn problem(&mut self, name: &str, wrong: impl Display, accepted: impl Display) {
        self.sources.problems.push(Problem(format!("{name} {wrong}; accepted: {accepted}")));
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.sources.values.get(name).map(|value| value.trim().to_owned())
    }

    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, default: T, accepted: &str) -> T {
        let Some(text) = self.text(name) else { return default };
        text.parse().unwrap_or_else(|_| {
            self.problem(name, format_args!("is `{text}`"), accepted);
            default
        })
    }

    pub(super) fn number<T>(&mut self, name: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.text(name) else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                self.problem(name, format_args!("is `{text}`"), format_args!("a whole number from {least} to {most}"));
                default
            }
        }
    }

    pub(super) fn seconds(&mut self, name: &str, default: u64, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(name, default, range))
    }

    pub(super) fn dollars(&mut self, name: &str, default: f64) -> f64 {
        let accepted = format!("an amount in dollars from 0 to {MOST_DOLLARS}");
        let amount = self.parsed(name, default, &accepted);
        if (0.0..=MOST_DOLLARS).contains(&amount) {
            return amount;
        }
        let text = self.text(name).unwrap_or_default();
        self.problem(name, format_args!("is `{text}`"), accepted);
        default
    }

    pub(super) fn boolean(&mut self, name: &str, default: bool) -> bool {
        self.one_of(name, default, &[("true", true), ("false", false), ("1", true), ("0", false)])
    }

    pub(super) fn one_of<T: Copy>(&mut self, name: &str, default: T, words: &[(&str, T)]) -> T {
        let Some(text) = self.text(name) else { return default };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        if let Some((_, value)) = found {
            return *value;
        }
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.problem(name, format_args!("is `{text}`"), words.join(", "));
        default
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn networks(&mut self, name: &str, default: &[&str]) -> Vec<IpNet> {
        let list = self.list(name);
        let texts = if list.is_empty() { default.iter().map(|&text| text.to_owned()).collect() } else { list };
        let mut networks = Vec::new();
        for text in texts {
            let single = text.parse::<IpAddr>().map(IpNet::from);
            match text.parse::<IpNet>().or(single) {
                Ok(network) => networks.push(network),
                Err(_) => self.problem(name, format_args!("has `{text}`"), "networks such as 10.0.0.0/8"),
            }
        }
        networks
    }

    pub(super) fn log_filter(&mut self, name: &str, default: Level) -> Targets {
        let default = Targets::new().with_default(default);
        let Some(text) = self.text(name).map(|text| text.to_lowercase()) else { return default };
        // A bare word that is no level would be taken for the name of a module, and the log would stay empty.
        let mut words = text.split(',').filter(|directive| !directive.contains('='));
        let are_levels = words.all(|word| LEVELS.contains(&word.trim()));
        match text.parse() {
            Ok(filter) if are_levels => filter,
            _ => {
                self.problem(name, format_args!("is `{text}`"), "off, error, warn, info, debug, trace");
                default
            }
        }
    }

    pub(super) fn secret(&mut self, name: &str) -> Option<SecretString> {
        let text = self.text(name)?;
        let is_template = TEMPLATE_VALUES.contains(&text.as_str())
            || (text.starts_with("your") && (text.ends_with("key-here") || text.ends_with("key_here")));
        if is_template {
            return None;
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            self.problem(name, "has spaces or letters that no key has", "a key as its vendor gave it");
            return None;
        }
        Some(text.into())
    }

    /// An address to call. In the clear it is taken, and beyond this machine with a warning.
    pub(super) fn base_url(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let url = text.parse::<Url>().ok().filter(is_plain_address);
        let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            // A URL may hold a password, so it is not repeated.
            self.problem(name, "is not an address to call", "https://…, or http://…");
            return None;
        };
        if is_link_local(&url) {
            self.problem(name, "is a link-local address", "one that a provider can have");
            return None;
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            self.warn(format!("{name} is not https: prompts, answers and keys travel in the clear"));
        }
        Some(url.as_str().trim_end_matches('/').to_owned())
    }

    /// The text between `prefix` and one of `suffixes` in the names of variables, each once, in order.
    pub(super) fn between(&self, prefix: &str, suffixes: &[&str]) -> BTreeSet<String> {
        let names = self.sources.values.keys().filter_map(|name| name.strip_prefix(prefix));
        let stems = names.filter_map(|name| suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)));
        stems.map(str::to_owned).collect()
    }

    /// Tells the operator something to think about.
    pub(super) fn warn(&mut self, advice: String) {
        self.warnings.push(advice);
    }

    /// How much is wrong so far.
    pub(super) fn problems(&self) -> usize {
        self.sources.problems.len()
    }

    /// Complains in these words.
    pub(super) fn complain(&mut self, problem: String) {
        self.sources.problems.push(Problem(problem));
    }

    /// Complains that `name` is not set although others make no sense without it.
    pub(super) fn missing(&mut self, name: &str, accepted: &str) {
        self.problem(name, "is not set, and others need it", accepted);
    }

    /// Those of `names` that are set.
    pub(super) fn set_among(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|name| self.text(name).is_some()).collect()
    }

    /// An IP address, or this machine's name for itself.
    pub(super) fn host(&mut self, name: &str, default: IpAddr) -> IpAddr {
        match self.text(name) {
            Some(text) if text.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => self.parsed(name, default, "an IP address"),
        }
    }

    pub(super) fn file(&mut self, name: &str) -> Option<String> {
        let path = self.text(name)?;
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.problem(name, format_args!("names `{path}`, which cannot be read ({error})"), "a file");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn problems<const N: usize>(values: [(&str, &str); N]) -> Vec<String> {
        match Config::read(values.into()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn nothing_set_is_a_whole_configuration() {
        assert_eq!(problems([]), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_told_at_once_with_what_is_accepted() {
        let told = problems([("PORT", "99999"), ("CACHE_ENABLED", "maybe"), ("RATE_LIMIT_MAX", "-1")]);
        assert_eq!(
            told,
            [
                "PORT is `99999`; accepted: a whole number from 0 to 65535",
                "CACHE_ENABLED is `maybe`; accepted: true, false, 1, 0",
                "RATE_LIMIT_MAX is `-1`; accepted: a whole number from 0 to 1000000000",
            ]
        );
    }

    #[test]
    fn a_secret_is_never_repeated() {
        let told = problems([("OPENAI_API_KEY", "sk secret"), ("XAI_BASE_URL", "http://user:secret@example.com/v1")]);
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|line| !line.contains("secret")), "{told:?}");
    }

    #[test]
    fn a_misspelt_level_does_not_start_with_an_empty_log() {
        for level in ["loud", "warning", "info,loud"] {
            assert_eq!(problems([("LOG_LEVEL", level)]).len(), 1, "{level}");
        }
        for level in ["warn", "INFO", "off", "info,hyper=debug", "llm_gateway::serve=trace"] {
            assert_eq!(problems([("LOG_LEVEL", level)]).len(), 0, "{level}");
        }
    }

    #[test]
    fn template_values_and_empty_ones_count_as_unset() {
        for value in ["your-openai-api-key-here", "your_openai_api_key_here", "your_token_here", "...", "", "  "] {
            let config = Config::read([("OPENAI_API_KEY", value)].into()).unwrap_or_else(|_| panic!("{value}"));
            assert!(config.providers.endpoints.is_empty(), "{value}");
        }
    }

    #[test]
    fn what_would_be_half_configured_or_makes_no_sense_is_told() {
        for (values, line) in [
            ([("COMPATIBLE_GROQ_API_KEY", "gsk-1")], "COMPATIBLE_GROQ_BASE_URL is not set"),
            ([("COMPATIBLE_GROQ_MODELS", "llama")], "COMPATIBLE_GROQ_BASE_URL is not set"),
            ([("BUDGET_HARD_LIMIT", "maybe")], "BUDGET_HARD_LIMIT is `maybe`"),
            ([("BUDGET_WEBHOOK_URL", "https://user:secret@example.com")], "BUDGET_WEBHOOK_URL is not an address"),
            ([("BUDGET_WEBHOOK_URL", "http://169.254.169.254/secret")], "BUDGET_WEBHOOK_URL is a link-local address"),
            ([("COMPATIBLE_GROQ_BASE_URL", "http://[fe80::1]/v1")], "COMPATIBLE_GROQ_BASE_URL is a link-local address"),
            ([("OLLAMA_BASE_URL", "https://[::ffff:169.254.169.254]")], "OLLAMA_BASE_URL is a link-local address"),
            ([("TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.0/33,::1")], "TRUSTED_PROXIES has `10.0.0.0/33`"),
            (
                [("MODELS_FILE", "/nowhere/models.json")],
                "MODELS_FILE names `/nowhere/models.json`, which cannot be read",
            ),
            ([("BUDGET_DAILY_USD", "-1")], "BUDGET_DAILY_USD is `-1`"),
            ([("HOST", "my-machine")], "HOST is `my-machine`"),
        ] {
            let told = problems(values);
            assert!(
                matches!(told.as_slice(), [told] if told.starts_with(line) && !told.contains("secret")),
                "{told:?}"
            );
        }
        let config = Config::read([("HOST", "localhost")].into()).unwrap_or_else(|_| panic!("it is known"));
        assert_eq!(config.server.host, IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn what_this_build_cannot_do_is_said_and_stops_nothing() {
        let told = [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://x.test"), ("SENTRY_DSN", "https://key@x.test/1")];
        let config = Config::read(told.into()).unwrap_or_else(|_| panic!("both are known"));
        let built_in = [cfg!(feature = "otel"), cfg!(feature = "sentry")];
        let missing = told.iter().zip(built_in).filter(|(_, built_in)| !built_in).map(|((name, _), _)| *name);
        assert_eq!(config.unused, missing.collect::<Vec<_>>());
    }

    #[test]
    fn an_address_in_the_clear_is_taken_with_a_warning() {
        for (url, warnings) in [
            ("http://example.com/v1", 1),
            ("http://127.0.0.1:9100/v1/", 0),
            ("http://[::1]:9100", 0),
            ("https://api.example.com/openai/v1", 0),
        ] {
            for name in ["COMPATIBLE_GROQ_BASE_URL", "BUDGET_WEBHOOK_URL"] {
                let config = Config::read([(name, url)].into()).unwrap_or_else(|_| panic!("{url}"));
                assert_eq!(config.warnings.len(), warnings, "{name} {url}");
            }
        }
        assert_eq!(problems([("COMPATIBLE_GROQ_BASE_URL", "ftp://example.com")]).len(), 1);
        assert_eq!(problems([("COMPATIBLE_OPENAI_BASE_URL", "https://api.example.com/v1")]).len(), 1);
        let twice =
            [("COMPATIBLE_Groq_BASE_URL", "https://a.example"), ("COMPATIBLE_GROQ_BASE_URL", "https://b.example")];
        assert_eq!(problems(twice).len(), 1, "names differ by more than case");
    }

    #[test]
    fn a_version_in_an_address_may_be_there_or_not() {
        for (key, variable, given, expected) in [
            ("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://x.test", "https://x.test/v1"),
            ("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://x.test/proxy/", "https://x.test/proxy"),
            ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://x.test/v1/", "https://x.test"),
            ("GEMINI_API_KEY", "GOOGLE_BASE_URL", "https://x.test/v1beta", "https://x.test"),
            ("PORT", "OLLAMA_BASE_URL", "http://localhost:11434/v1", "http://localhost:11434"),
        ] {
            let config = Config::read([(key, "1"), (variable, given)].into()).unwrap_or_else(|_| panic!("{given}"));
            let urls: Vec<_> = config.providers.endpoints.iter().map(|endpoint| endpoint.base_url.as_str()).collect();
            assert_eq!(urls, [expected]);
        }
    }

    #[test]
    fn the_demo_provider_is_on_only_where_nothing_else_is() {
        let demo = |values: &[(&str, &str)]| {
            Config::read(values.into()).map_or_else(|_| panic!("{values:?}"), |config| config.providers.demo)
        };
        assert!(demo(&[]));
        assert!(!demo(&[("OPENAI_API_KEY", "sk-1")]));
        assert!(!demo(&[("NODE_ENV", "production")]));
        assert!(demo(&[("NODE_ENV", "production"), ("DEMO_PROVIDER", "on")]));
        assert!(!demo(&[("DEMO_PROVIDER", "off")]));
    }
}
