//! API keys: who has which.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::ApiKeyConfig;

/// A key, by what may be told of it.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, plain and without `:`.
    pub name: String,
    /// Its own rate in place of `RATE_LIMIT_MAX`. 0: as often as its holder likes. `None`: it has none.
    pub max: Option<u32>,
}

/// Every secret that opens something, as its hash: hashes are of one length, so that not even that of a secret shows in how
/// long they take to compare.
pub struct Keys(Vec<([u8; 32], Arc<ApiKey>)>);

impl Keys {
    /// The keys of the configuration.
    pub fn new(configs: &[ApiKeyConfig]) -> Self {
        let key = |ApiKeyConfig { name, secret, max }: &ApiKeyConfig| {
            (hash(secret.expose_secret()), Arc::new(ApiKey { name: name.clone(), max: *max }))
        };
        Self(configs.iter().map(key).collect())
    }

    /// Whether there are none, so that anyone may ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key whose secret this is. Looks at all of them, whichever it is.
    pub fn of(&self, secret: &str) -> Option<&Arc<ApiKey>> {
        let given = hash(secret);
        let is_it = |hash: &[u8; 32]| hash.ct_eq(&given).into();
        self.0.iter().fold(None, |found, (hash, key)| if is_it(hash) { Some(key) } else { found })
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn two_secrets_may_bear_one_name() {
        let config = Config::read(
            [("API_KEYS", "web:0123456789abcdef:5,web:fedcba9876543210:5, cli:00112233445566778899")].into(),
        );
        let keys = Keys::new(&config.unwrap_or_else(|_| panic!("three keys")).api_keys);
        let name = |secret| keys.of(secret).map(|key| (&*key.name, key.max));
        assert_eq!(name("0123456789abcdef"), Some(("web", Some(5))));
        assert_eq!(name("fedcba9876543210"), Some(("web", Some(5))));
        assert_eq!(name("00112233445566778899"), Some(("cli", None)));
        for wrong in ["", "0", "0123456789abcdeF", "0123456789abcdef:5", "web"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }
}
