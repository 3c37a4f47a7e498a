//! Where spans are exported to, by the variables that OpenTelemetry's specification names.
//!
//! The SDK reads others itself, of the process environment alone; `docs/tracing.md` names them.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::{
    address::{is_loopback, is_plain_address},
    read::Reader,
};

/// Where spans are exported to.
pub struct OtelConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, with the path for traces behind it.
    pub traces_url: Url,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: sent with every export. Most hold a key, so all are marked as secret.
    pub headers: HeaderMap,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: String,
    /// `NODE_ENV`.
    pub environment: String,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// `None`: they are not.
pub(super) fn read_otel(read: &mut Reader, environment: &str) -> Option<OtelConfig> {
    let text = read.text(ENDPOINT)?;
    let url = text.parse::<Url>().ok().filter(is_plain_address);
    let Some(mut traces_url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
        // It may hold a password, so it is not repeated.
        read.problem(ENDPOINT, "is not an address to send to", "https://…, or http://…; a key goes into the headers");
        return None;
    };
    traces_url.set_path(&format!("{}/v1/traces", traces_url.path().trim_end_matches('/')));
    let headers = read_headers(read);
    if traces_url.scheme() == "http" && !is_loopback(&traces_url) && !headers.is_empty() {
        read.warn(format!("{ENDPOINT} is not https: {HEADERS} travel in the clear"));
    }
    let service_name = read.text("OTEL_SERVICE_NAME").unwrap_or_else(|| "llm-gateway".to_owned());
    Some(OtelConfig { traces_url, headers, service_name, environment: environment.to_owned() })
}

/// `name=value,name=value`, values with `%` escapes (OpenTelemetry's «OTLP exporter», which refers to W3C Baggage).
fn read_headers(read: &mut Reader) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for entry in read.list(HEADERS) {
        let header = entry.split_once('=').and_then(|(name, value)| {
            let name: HeaderName = name.trim().parse().ok()?;
            let mut value = HeaderValue::from_str(&percent_decode_str(value.trim()).decode_utf8().ok()?).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        match header {
            Some((name, value)) => drop(headers.insert(name, value)),
            // Its text may be a key.
            None => read.problem(HEADERS, "has an entry that is no header", "name=value, with commas between"),
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read<const N: usize>(settings: [(&str, &str); N]) -> Result<Config, Vec<String>> {
        let problems = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect();
        Config::read(settings.into()).map_err(|told: Vec<crate::config::Problem>| problems(told))
    }

    #[test]
    fn the_path_for_traces_is_added_to_what_is_given() {
        for (given, expected) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("https://otlp.example.com/", "https://otlp.example.com/v1/traces"),
            ("https://api.example.com/otlp/", "https://api.example.com/otlp/v1/traces"),
        ] {
            let config = read([(ENDPOINT, given)]).unwrap_or_else(|_| panic!("{given}"));
            let otel = config.otel.unwrap_or_else(|| panic!("{given}"));
            assert_eq!((otel.traces_url.as_str(), otel.service_name.as_str()), (expected, "llm-gateway"));
        }
        assert!(read([(HEADERS, "a=b")]).is_ok_and(|config| config.otel.is_none()));
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let headers = "Authorization=Basic%20c2VjcmV0, x-scope = a=b ";
        let config = read([(ENDPOINT, "https://x.test"), (HEADERS, headers)]).unwrap_or_else(|_| panic!("{headers}"));
        let headers = config.otel.unwrap_or_else(|| panic!("it is set")).headers;
        assert!(headers["authorization"] == "Basic c2VjcmV0" && headers["x-scope"] == "a=b");
        assert!(!format!("{headers:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line_and_not_repeated() {
        for settings in [
            [(ENDPOINT, "collector-s3cret:4318"), (HEADERS, "")],
            [(ENDPOINT, "ftp://s3cret.test"), (HEADERS, "")],
            [(ENDPOINT, "https://user:s3cret@x.test"), (HEADERS, "")],
            [(ENDPOINT, "https://x.test"), (HEADERS, "s3cret")],
            [(ENDPOINT, "https://x.test"), (HEADERS, "a b=s3cret")],
            [(ENDPOINT, "https://x.test"), (HEADERS, "a=s3cret%0A")],
        ] {
            let told = read(settings).err().unwrap_or_default();
            let is_told = matches!(told.as_slice(), [line] if line.starts_with("OTEL_EXPORTER_OTLP_"));
            assert!(is_told && !told.concat().contains("s3cret"), "{settings:?}: {told:?}");
        }
    }

    #[test]
    fn a_key_in_the_clear_is_warned_of() {
        for (endpoint, headers, warnings) in [
            ("http://collector:4318", "", 0),
            ("http://collector:4318", "key=1", 1),
            ("http://localhost:4318", "key=1", 0),
            ("https://collector:4318", "key=1", 0),
        ] {
            let config = read([(ENDPOINT, endpoint), (HEADERS, headers)]).unwrap_or_else(|_| panic!("{endpoint}"));
            assert_eq!(config.warnings.len(), warnings, "{endpoint} {headers}");
        }
    }
}
