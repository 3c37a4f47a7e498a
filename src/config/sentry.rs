//! Which Sentry is told of errors.

use sentry_types::Dsn;

use super::read::Reader;

/// Which Sentry is told of errors.
pub struct SentryConfig {
    /// `SENTRY_DSN`: its address, the project and a key.
    pub dsn: Dsn,
    /// `NODE_ENV`.
    pub environment: String,
}

const DSN: &str = "SENTRY_DSN";

/// `None`: none is.
pub(super) fn read_sentry(read: &mut Reader, environment: &str) -> Option<SentryConfig> {
    let Ok(dsn) = read.text(DSN)?.parse() else {
        // It holds a key, so it is not repeated.
        read.problem(DSN, "is not a DSN", "https://<key>@<host>/<project>, as Sentry shows it");
        return None;
    };
    Some(SentryConfig { dsn, environment: environment.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_dsn_is_read_or_told_of_without_repeating_it() {
        let config = Config::read([(DSN, "https://k3y@o1.ingest.sentry.io/42")].into());
        let dsn = config.ok().and_then(|config| config.sentry).map(|sentry| sentry.dsn);
        assert_eq!(
            dsn.map(|dsn| dsn.envelope_api_url().to_string()).as_deref(),
            Some("https://o1.ingest.sentry.io/api/42/envelope/")
        );
        for wrong in ["k3y", "https://sentry.io/42", "ftp://k3y@sentry.io/42", "https://k3y@sentry.io"] {
            let told = Config::read([(DSN, wrong)].into()).err().unwrap_or_default();
            let told: Vec<_> = told.iter().map(ToString::to_string).collect();
            assert!(
                matches!(told.as_slice(), [line] if line.starts_with("SENTRY_DSN is not a DSN") && !line.contains("k3y")),
                "{told:?}"
            );
        }
    }
}
