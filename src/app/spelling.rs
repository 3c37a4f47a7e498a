//! How a path may be spelled, so that whoever called the original service finds its routes.

use axum::{
    extract::Request,
    http::{Method, Uri},
};

/// One spelling for each route: no trailing slash, and the first two segments of the original's routes in lower case.
pub(super) fn canonical_path(mut request: Request) -> Request {
    let path = request.uri().path();
    // Where something is deleted, a last segment that is missing must not make it everything.
    if request.method() == Method::DELETE && path.ends_with('/') {
        return request;
    }
    if !path.ends_with('/') && !path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return request;
    }
    let trimmed = path.trim_end_matches('/');
    let mut segments = trimmed.splitn(4, '/').skip(1);
    let (first, second, rest) = (segments.next(), segments.next(), segments.next());
    let first = first.unwrap_or_default();
    let is_original = ["llm", "health", "metrics"].iter().any(|name| first.eq_ignore_ascii_case(name));
    let mut path = if is_original {
        let second = second.map(|second| format!("/{}", second.to_ascii_lowercase())).unwrap_or_default();
        let rest = rest.map(|rest| format!("/{rest}")).unwrap_or_default();
        format!("/{}{second}{rest}", first.to_ascii_lowercase())
    } else {
        trimmed.to_owned()
    };
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    if let Some(query) = request.uri().query() {
        path = format!("{path}?{query}");
    }
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_route_has_one_spelling() {
        for (path, expected) in [
            ("/llm/generate", "/llm/generate"),
            ("/llm/generate/", "/llm/generate"),
            ("/LLM/Generate/?a=B", "/llm/generate?a=B"),
            ("/llm/Cache/KEY", "/llm/cache/KEY"),
            ("/users/Ann/sessions/", "/users/Ann/sessions"),
            ("/", "/"),
            ("//", "/"),
        ] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            assert_eq!(canonical_path(request).uri().to_string(), expected, "{path}");
        }
    }
}
