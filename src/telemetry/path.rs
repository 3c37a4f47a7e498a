//! What the log shows of an address.

use std::borrow::Cow;

/// A path as the log may show it: whoever puts the id of a session there by mistake has not published it.
pub fn without_ids(path: &str) -> Cow<'_, str> {
    let is_id = |segment: &str| segment.len() == 64 && segment.bytes().all(|byte| byte.is_ascii_hexdigit());
    if path.len() < 64 || !path.split('/').any(is_id) {
        return path.into();
    }
    let segments: Vec<_> = path.split('/').map(|segment| if is_id(segment) { "…" } else { segment }).collect();
    segments.join("/").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_no_id_of_a_session() {
        let id = "4f".repeat(32);
        assert_eq!(without_ids(&format!("/sessions/{id}/x")), "/sessions/…/x");
        assert_eq!(
            without_ids(&format!("/llm/cache/llm:cache:demo:gpt-4o:{id}")),
            format!("/llm/cache/llm:cache:demo:gpt-4o:{id}")
        );
    }
}
