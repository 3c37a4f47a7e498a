//! Settings that are taken and that an operator may not have meant.

use crate::config::{Backend, ClientIpSource, Config};

use super::{Finding, State};

/// One warning each; or one line that there is none.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut told: Vec<String> = config.warnings.clone();
    told.extend(config.unused.iter().map(|name| format!("{name} is set, but without effect in this version")));
    if config.is_production {
        told.extend(in_production(config).into_iter().map(str::to_owned));
    }
    if matches!(config.store.backend, Backend::Memory) && config.store.instances.get() > 1 {
        let several = "INSTANCES is more than 1, but nothing is shared: each instance has a cache, limits and budgets of its own. \
                       Set REDIS_URL, or UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN";
        told.push(several.to_owned());
    }
    if told.is_empty() {
        let mode = if config.is_production { "production" } else { "not production" };
        return vec![Finding::new("settings", State::Ok, format!("read; NODE_ENV is {mode}"))];
    }
    told.into_iter().map(|said| Finding::new("settings", State::Warning, said)).collect()
}

/// What is fit for a developer's machine, and not for the world.
fn in_production(config: &Config) -> Vec<&'static str> {
    let mut told = Vec::new();
    let mut warn = |applies: bool, said| {
        if applies {
            told.push(said);
        }
    };
    warn(
        config.api_keys.is_empty(),
        "API_KEYS is not set: whoever finds the address can spend your money. Set it as name:secret, or be sure that only \
         your own servers reach this service",
    );
    warn(
        config.admin_token.is_none(),
        "ADMIN_TOKEN is not set: anyone may read /metrics, and nobody may change budgets or clear the cache",
    );
    warn(
        config.client_ip.source == ClientIpSource::ConnectInfo
            && !config.warnings.iter().any(|told| told.contains("Set CLIENT_IP_SOURCE=")),
        "CLIENT_IP_SOURCE is ConnectInfo: behind a proxy, as on most platforms, all visitors share one rate limit. Name the \
         header that your proxy sets, such as CfConnectingIp on Render",
    );
    warn(
        config.frontend_origins.iter().all(crate::config::Origin::is_local),
        "FRONTEND_URL names only this machine: no page elsewhere may call from a browser. Set it to your pages' origins",
    );
    warn(
        config.providers.demo,
        "DEMO_PROVIDER is on: who names one of its models gets answers that are made up. Leave it out",
    );
    warn(config.rate_limit.max.is_none(), "RATE_LIMIT_MAX is 0: a client may ask as often as it likes");
    warn(
        !config.budget.hard_limit && config.budget.webhook_url.is_none(),
        "no budget stops anything, and nobody is told when one is spent. Set BUDGET_HARD_LIMIT=true, or BUDGET_WEBHOOK_URL",
    );
    warn(
        matches!(config.store.backend, Backend::Memory),
        "no shared store: counts, budgets, sessions and answers are lost at each restart. Set REDIS_URL, or \
         UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN",
    );
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    const SOUND: [(&str, &str); 8] = [
        ("NODE_ENV", "production"),
        ("API_KEYS", "web:0123456789abcdef"),
        ("ADMIN_TOKEN", "fedcba9876543210"),
        ("CLIENT_IP_SOURCE", "CfConnectingIp"),
        ("FRONTEND_URL", "https://app.example.com"),
        ("BUDGET_HARD_LIMIT", "true"),
        ("REDIS_URL", "redis://localhost"),
        ("OPENAI_API_KEY", "sk-1"),
    ];

    fn told(changes: &[(&str, &str)]) -> Vec<String> {
        let kept = SOUND.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let values: Vec<_> = kept.chain(changes).copied().collect();
        let config = Config::read(Sources::from(values.as_slice())).unwrap_or_else(|_| panic!("{values:?}"));
        let warnings = findings(&config).into_iter().filter(|finding| finding.state == State::Warning);
        warnings.map(|finding| finding.said).collect()
    }

    #[test]
    fn each_setting_that_is_not_for_the_world_is_named_and_only_that() {
        assert_eq!(told(&[]), Vec::<String>::new());
        for (name, value, begins) in [
            ("API_KEYS", "", "API_KEYS is not set"),
            ("API_KEYS", "web:short", "API_KEYS: the secret in entry 1 is short"),
            ("ADMIN_TOKEN", "", "ADMIN_TOKEN is not set"),
            ("ADMIN_TOKEN", "short", "ADMIN_TOKEN is short"),
            ("CLIENT_IP_SOURCE", "ConnectInfo", "CLIENT_IP_SOURCE is ConnectInfo"),
            ("FRONTEND_URL", "http://localhost:3000", "FRONTEND_URL names only this machine"),
            ("DEMO_PROVIDER", "on", "DEMO_PROVIDER is on"),
            ("RATE_LIMIT_MAX", "0", "RATE_LIMIT_MAX is 0"),
            ("BUDGET_HARD_LIMIT", "false", "no budget stops anything"),
            ("REDIS_URL", "", "no shared store"),
            ("STORE", "memory", "REDIS_URL is set, but STORE is memory"),
            ("SENTRY_DSN", "https://key@sentry.example/1", "SENTRY_DSN is set, but without effect"),
            ("XAI_BASE_URL", "https://x.test/v1", "XAI_BASE_URL is set, but not XAI_API_KEY"),
            ("TRUSTED_PROXIES", "10.0.0.0/8", "TRUSTED_PROXIES is set, but CLIENT_IP_SOURCE is not XForwardedFor"),
        ] {
            let told = told(&[(name, value)]);
            let allowed = match name {
                "STORE" => 2,
                "SENTRY_DSN" if cfg!(feature = "sentry") => 0,
                _ => 1,
            };
            let is_told = told.first().is_none_or(|line| line.starts_with(begins));
            assert!(told.len() == allowed && is_told, "{name}={value}: {told:?}");
            assert!(told.iter().all(|line| !line.contains("sentry.example")), "{told:?}");
        }
        let told = told(&[("TRUSTED_PROXIES", "10.0.0.0/8"), ("CLIENT_IP_SOURCE", "ConnectInfo")]);
        assert_eq!(told.len(), 2, "that proxies are named does not say by what they name the client: {told:?}");
    }

    #[test]
    fn on_a_developers_machine_nothing_of_that_matters() {
        let config = Config::read(Sources::from([])).unwrap_or_else(|_| panic!("nothing is a configuration"));
        let findings = findings(&config);
        assert_eq!(findings, [Finding::new("settings", State::Ok, "read; NODE_ENV is not production")]);
        let several = Config::read(Sources::from([("INSTANCES", "2")])).unwrap_or_else(|_| panic!("two are allowed"));
        assert!(super::findings(&several)[0].said.starts_with("INSTANCES is more than 1"));
    }
}
