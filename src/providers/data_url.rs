//! Pictures that come inside their own address.

/// The media type and the base64 data of a `data:` URL. `None`: it is something else.
pub(super) fn parse(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("data"))?;
    let (head, data) = rest.split_once(',')?;
    let mime = head.strip_suffix(";base64")?.split(';').next()?;
    (!mime.is_empty()).then_some((mime, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_with_a_type_is_read() {
        assert_eq!(parse("data:image/png;base64,AA=="), Some(("image/png", "AA==")));
        assert_eq!(parse("DATA:image/png;base64,AA=="), Some(("image/png", "AA==")));
        assert_eq!(parse("data:image/png;name=a.png;base64,AA=="), Some(("image/png", "AA==")));
        for other in ["https://a/b.png", "data:image/png,AA", "data:;base64,AA", "data:image/png;base64"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
