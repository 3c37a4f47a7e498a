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
    /// Whether a cookie names it: a browser sends that whoever wrote the page.
    pub is_cookie: bool,
}

impl NamedSession {
    /// By the cookie, else by `X-Session-Id`. `None`: neither holds what could be an id.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies = cookies.flat_map(Cookie::split_parse).filter_map(Result::ok);
        let mut ids = cookies.filter(|cookie| cookie.name() == SESSION_COOKIE);
        let by_cookie = ids.find_map(|cookie| SessionId::parse(cookie.value()));
        let by_header = || SessionId::parse(headers.get(SESSION_HEADER)?.to_str().ok()?.trim());
        match by_cookie {
            Some(id) => Some(Self { id, is_cookie: true }),
            None => by_header().map(|id| Self { id, is_cookie: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_wins_and_what_is_no_id_names_nothing() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        for (cookie, header, named) in [
            (format!("x=1; sessionId={a}; y"), b.clone(), Some((&a, true))),
            (format!("SESSIONID={a}"), b.clone(), Some((&b, false))),
            ("sessionId=../stats".to_owned(), b.clone(), Some((&b, false))),
            (String::new(), format!(" {a} "), Some((&a, false))),
            (String::new(), "stats".to_owned(), None),
            (format!("xsessionId={a}"), a.to_uppercase(), None),
        ] {
            let headers = [("cookie", cookie), ("x-session-id", header)];
            let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let expected = named.map(|(id, is_cookie)| NamedSession { id: SessionId::parse(id).unwrap(), is_cookie });
            assert_eq!(NamedSession::read(&headers.collect::<HeaderMap>()), expected);
        }
    }
}
