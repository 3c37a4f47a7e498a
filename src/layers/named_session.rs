//! Which session a request names.

use axum::http::{HeaderMap, header};
use cookie::Cookie;

use crate::sessions::SessionId;

/// The cookie that names a session, as the original has it.
pub const SESSION_COOKIE: &str = "sessionId";
const SESSION_HEADER: &str = "x-session-id";

/// A session that a request names. Whether there is one is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedSession {
    /// Its id.
    pub id: SessionId,
    /// Whether a cookie names it.
    pub is_cookie: bool,
    /// Whether nothing but a cookie does: a browser adds that by itself, whoever wrote the page. A header it adds only for pages
    /// that may.
    pub is_forgeable: bool,
}

impl NamedSession {
    /// By the cookie, else by `X-Session-Id`. `None`: neither holds what could be an id.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let by_header = headers.get(SESSION_HEADER).and_then(|value| SessionId::parse(value.to_str().ok()?.trim()));
        let by_cookie = headers.get_all(header::COOKIE).iter().find_map(|value| {
            // Other cookies may hold any bytes.
            let cookies = String::from_utf8_lossy(value.as_bytes());
            let mut cookies = Cookie::split_parse(&*cookies).filter_map(Result::ok);
            cookies.find_map(|cookie| SessionId::parse(cookie.value()).filter(|_| cookie.name() == SESSION_COOKIE))
        });
        let is_cookie = by_cookie.is_some();
        let id = by_cookie.or(by_header)?;
        Some(Self { id, is_cookie, is_forgeable: is_cookie && by_header.is_none() })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_cookie_wins_and_what_is_no_id_names_nothing() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let bytes = |text: String| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        for (cookie, header, named) in [
            (format!("theme=dünkel; sessionId={a}"), String::new(), Some((&a, true))),
            (format!("x=1; sessionId={a}; y"), b.clone(), Some((&a, true))),
            (format!("SESSIONID={a}"), b.clone(), Some((&b, false))),
            ("sessionId=../stats".to_owned(), b.clone(), Some((&b, false))),
            (String::new(), format!(" {a} "), Some((&a, false))),
            (String::new(), "stats".to_owned(), None),
            (format!("xsessionId={a}"), a.to_uppercase(), None),
        ] {
            let headers = [("cookie", cookie), ("x-session-id", header)];
            let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), bytes(value)));
            let expected = named.map(|(id, is_cookie)| (SessionId::parse(id).unwrap(), is_cookie));
            let read = NamedSession::read(&headers.collect::<HeaderMap>());
            assert_eq!(read.map(|named| (named.id, named.is_cookie)), expected);
        }
    }
}
