//! Reading a request as strictly as a vendor does.

use std::fmt::Display;

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    asked::Picture,
    script::{Fault, FaultKind},
};

pub(super) type Read<T> = Result<T, Fault>;

/// Refuses what is not so.
pub(super) fn must(holds: bool, message: impl Display) -> Read<()> {
    if holds { Ok(()) } else { Err(Fault::invalid(message.to_string())) }
}

/// The fields of an object that has none but `known` ones.
pub(super) fn only<'a>(value: &'a Value, place: &str, known: &[&str]) -> Read<&'a Map<String, Value>> {
    let Some(fields) = value.as_object() else { return Err(Fault::invalid(format!("`{place}` is no object"))) };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(Fault::invalid(format!("`{place}` has no field `{unknown}`"))),
        None => Ok(fields),
    }
}

pub(super) fn string<'a>(value: &'a Value, field: &str) -> Read<&'a str> {
    value[field].as_str().ok_or_else(|| Fault::invalid(format!("`{field}` must be a string, not {}", value[field])))
}

/// A list that may be left out.
pub(super) fn list<'a>(value: &'a Value, field: &str) -> Read<&'a [Value]> {
    match &value[field] {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        other => Err(Fault::invalid(format!("`{field}` must be a list, not {other}"))),
    }
}

/// The value of `header`, which must be `expected`.
pub(super) fn key(headers: &HeaderMap, header: &str, expected: &str) -> Read<()> {
    let found = headers.get(header).and_then(|value| value.to_str().ok());
    if found == Some(expected) {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Unauthorized, format!("the key is missing or wrong in `{header}`")))
}

/// A picture in the request itself.
pub(super) fn inline(media_type: &str, base64: &str) -> Read<Picture> {
    let known = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    must(known.contains(&media_type), format!("no picture: {media_type}"))?;
    let bytes = STANDARD.decode(base64).map_err(|_| Fault::invalid("the picture is no base64"))?;
    Ok(Picture::Inline { media_type: media_type.to_owned(), length: bytes.len() })
}

/// A picture by its address, which may hold it.
pub(super) fn by_url(url: &str) -> Read<Picture> {
    if url.starts_with("https://") {
        return Ok(Picture::Url(url.to_owned()));
    }
    let inside = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let (media_type, data) = inside.ok_or_else(|| Fault::invalid("the URL of a picture is https or data"))?;
    inline(media_type, data)
}

/// What a setting is called in `OpenAI`'s request, with its value.
pub(super) fn named<'a>(
    fields: &'a Map<String, Value>,
    names: &'a [(&'a str, &'a str)],
) -> impl Iterator<Item = (String, Value)> + 'a {
    names.iter().filter_map(|(theirs, ours)| Some(((*ours).to_owned(), fields.get(*theirs)?.clone())))
}

/// Calls that have no result yet.
#[derive(Default)]
pub(super) struct Pending(Vec<(String, String)>);

impl Pending {
    pub(super) fn call(&mut self, id: &str, name: &str) {
        self.0.push((id.to_owned(), name.to_owned()));
    }

    /// The name of the function whose result this is.
    pub(super) fn result(&mut self, id: &str) -> Read<String> {
        let found = self.0.iter().position(|(pending, _)| pending == id);
        let at = found.ok_or_else(|| Fault::invalid(format!("the result `{id}` belongs to no call before it")))?;
        Ok(self.0.remove(at).1)
    }

    /// That every call has its result.
    pub(super) fn none(&self) -> Read<()> {
        match self.0.first() {
            Some((id, name)) => Err(Fault::invalid(format!("the call `{id}` of `{name}` has no result after it"))),
            None => Ok(()),
        }
    }
}
