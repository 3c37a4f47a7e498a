//! A file in the binary, as HTTP serves it: compressed where that is wanted and pays, and not again to who has it.

use std::io::Write as _;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

/// What compression must save to be worth it: a reply's head is about as long.
const WORTH_BYTES: usize = 256;

/// How long a browser may keep a file.
#[derive(Clone, Copy)]
pub(super) enum Lasting {
    /// It asks each time whether the file is still the same.
    Checked,
    /// Whatever is at the path never changes.
    ForGood,
}

/// A file, in the forms in which it is served.
pub(super) struct Asset {
    media_type: &'static str,
    lasting: Lasting,
    plain: Form,
    /// `None`: it would hardly be smaller.
    gzip: Option<Form>,
}

/// One form of a file.
struct Form {
    body: Bytes,
    /// Each form has its own: they are not the same bytes.
    etag: HeaderValue,
}

impl Form {
    fn new(body: Bytes) -> Self {
        let digest = hex::encode(Sha256::digest(&body).get(..16).unwrap_or_default());
        let etag = HeaderValue::try_from(format!("\"{digest}\""));
        Self { body, etag: etag.unwrap_or_else(|_| unreachable!("digits between quotation marks")) }
    }
}

impl Asset {
    /// The file with this `content`.
    pub(super) fn new(media_type: &'static str, lasting: Lasting, content: &'static [u8]) -> Self {
        let gzip = gzip(content).filter(|gzip| gzip.len() + WORTH_BYTES < content.len());
        let gzip = gzip.map(|gzip| Form::new(gzip.into()));
        Self { media_type, lasting, plain: Form::new(Bytes::from_static(content)), gzip }
    }

    /// The reply to a request with these `headers`: the file, or 304 when who asks has it.
    pub(super) fn reply(&self, headers: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(headers));
        let form = gzip.unwrap_or(&self.plain);
        let cache_control = match self.lasting {
            Lasting::Checked => "no-cache",
            Lasting::ForGood => "public, max-age=31536000, immutable",
        };
        let mut said = HeaderMap::new();
        said.insert(header::ETAG, form.etag.clone());
        said.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
        if self.gzip.is_some() {
            said.insert(header::VARY, header::ACCEPT_ENCODING.into());
        }
        if has(headers, &form.etag) {
            return (StatusCode::NOT_MODIFIED, said).into_response();
        }
        said.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if gzip.is_some() {
            said.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        (said, form.body.clone()).into_response()
    }
}

fn gzip(content: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).ok()?;
    encoder.finish().ok()
}

/// The members of a header that is a list (RFC 9110, section 5.6.1).
fn members(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether `Accept-Encoding` (section 12.5.3) names gzip, by its name or by `*`, and not with the weight of nothing.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let weight_of = |name: &str| {
        members(headers, header::ACCEPT_ENCODING).find_map(|member| {
            let (coding, parameters) = member.split_once(';').unwrap_or((member, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            coding.trim().eq_ignore_ascii_case(name).then(|| weight.unwrap_or_default())
        })
    };
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
}

/// Whether `If-None-Match` (section 13.1.2) names `etag`. A proxy that compresses makes an entity tag a weak one.
fn has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let named = |member: &str| member == "*" || member.trim_start_matches("W/").as_bytes() == etag.as_bytes();
    members(headers, header::IF_NONE_MATCH).any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_for_who_accepts_it() {
        for value in ["gzip", "GZIP", "deflate, gzip;q=0.5, br", "*", "gzip ; q=1", "*;q=0, gzip"] {
            assert!(accepts_gzip(&headers(header::ACCEPT_ENCODING, value)), "{value}");
        }
        for value in ["", "identity", "br", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "gzip;q=much", "gzipped"] {
            assert!(!accepts_gzip(&headers(header::ACCEPT_ENCODING, value)), "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn who_has_a_file_names_it() {
        let etag = HeaderValue::from_static("\"abc\"");
        for value in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert!(has(&headers(header::IF_NONE_MATCH, value), &etag), "{value}");
        }
        for value in ["", "abc", "\"abcd\"", "\"x\""] {
            assert!(!has(&headers(header::IF_NONE_MATCH, value), &etag), "{value}");
        }
    }

    #[test]
    fn a_file_that_would_not_be_smaller_is_served_as_it_is() {
        let asked = headers(header::ACCEPT_ENCODING, "gzip");
        let small = Asset::new("text/plain", Lasting::Checked, b"hello").reply(&asked);
        assert!(small.headers().get(header::CONTENT_ENCODING).is_none() && small.headers().get(header::VARY).is_none());
        let large = Asset::new("text/plain", Lasting::Checked, &[b'a'; 4096]).reply(&asked);
        assert_eq!(large.headers()[header::CONTENT_ENCODING], "gzip");
    }
}
