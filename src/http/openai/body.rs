//! Reads a body of this API: whatever is wrong with it is told by the field that it is wrong with.

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Deserializer;
use serde_path_to_error::Track;
use utoipa::ToSchema;

use crate::error::ApiError;

use super::dropped::Dropped;

/// What a body says.
pub(super) struct Body<T> {
    pub(super) fields: T,
    /// The fields that nobody here knows.
    pub(super) dropped: Dropped,
}

impl<T: DeserializeOwned> Body<T> {
    /// Reads `body`.
    ///
    /// # Errors
    /// 400, with what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let (mut dropped, mut track) = (Dropped::default(), Track::new());
        let mut json = Deserializer::from_slice(body);
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        let fields = serde_ignored::deserialize(tracked, |path| dropped.add_unknown(&path.to_string()));
        let fields = fields.and_then(|fields| json.end().map(|()| fields)).map_err(|error| {
            if !error.is_data() {
                return refuse(None, format!("The body is not valid JSON: {error}"));
            }
            match track.path().to_string() {
                root if root == "." => refuse(None, error.to_string()),
                path => refuse(path.clone(), format!("`{path}`: {error}")),
            }
        })?;
        Ok(Self { fields, dropped })
    }
}

/// A value alone, or several.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// 400: a field holds what it must not, or lacks what it needs.
pub(super) fn refuse(param: impl Into<Param>, error: impl Into<Cow<'static, str>>) -> ApiError {
    let error = ApiError::new(StatusCode::BAD_REQUEST, error).code("invalid_value");
    match param.into().0 {
        Some(param) => error.param(param),
        None => error,
    }
}

/// 400: a field asks for what is not to be had here.
pub(super) fn unsupported(param: impl Into<Param>, error: impl Into<Cow<'static, str>>) -> ApiError {
    refuse(param, error).code("unsupported_value")
}

/// The field that is at fault, if it is a single one.
pub(super) struct Param(Option<Cow<'static, str>>);

impl From<&'static str> for Param {
    fn from(name: &'static str) -> Self {
        Self(Some(name.into()))
    }
}

impl From<String> for Param {
    fn from(name: String) -> Self {
        Self(Some(name.into()))
    }
}

impl From<Option<&'static str>> for Param {
    fn from(name: Option<&'static str>) -> Self {
        Self(name.map(Cow::Borrowed))
    }
}
