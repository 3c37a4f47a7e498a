//! What a session holds: a JSON object, of which only `userId` means something here.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    caller::{BadUserId, UserId},
    json,
};

/// The most that a session holds, as JSON.
pub const MAX_SESSION_BYTES: usize = 16 << 10;

/// Fields and their values, which stay as they were written.
#[derive(Clone, Debug, Default)]
pub struct SessionData(BTreeMap<String, Box<RawValue>>);

impl SessionData {
    /// The fields of the object `json`. `None`: it is no object.
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).map(Self).ok()
    }

    /// Puts the fields of `part` in place of its own, one level deep.
    pub(super) fn merge(&mut self, part: &Self) {
        self.0.extend(part.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    /// Whose it is: `userId`, a text or a whole number. `None`: nobody's in particular.
    ///
    /// # Errors
    /// When `userId` is something else, or no text that an id can be.
    pub fn user(&self) -> Result<Option<UserId>, BadUserId> {
        let Some(value) = self.0.get("userId").map(|value| value.get()).filter(|value| *value != "null") else {
            return Ok(None);
        };
        let is_number = value.strip_prefix('-').unwrap_or(value).bytes().all(|byte| byte.is_ascii_digit());
        let text = if is_number { Cow::Borrowed(value) } else { serde_json::from_str(value).map_err(|_| BadUserId)? };
        UserId::new(&text).map(Some)
    }

    /// As it is kept: JSON, as the original wrote it.
    pub(super) fn to_json(&self) -> Bytes {
        json::with_room(0, &self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> SessionData {
        SessionData::read(json.as_bytes()).unwrap_or_else(|| panic!("{json}"))
    }

    #[test]
    fn values_stay_as_they_were_written() {
        let mut all = data(r#"{"userId":"ann","n":12345678901234567890.10,"deep":{"a":[1, 2]},"gone":1}"#);
        all.merge(&data(r#"{"deep":{"b":"\u00e9"},"gone":null}"#));
        assert_eq!(all.to_json(), r#"{"deep":{"b":"\u00e9"},"gone":null,"n":12345678901234567890.10,"userId":"ann"}"#);
    }

    #[test]
    fn only_an_object_is_a_session() {
        for json in ["", "[]", "1", "\"x\"", "null", "{", "{}x"] {
            assert!(SessionData::read(json.as_bytes()).is_none(), "{json}");
        }
    }

    #[test]
    fn a_user_is_a_text_or_a_whole_number() {
        for (json, user) in [
            (r#"{"userId":"ann"}"#, Ok(Some("ann"))),
            (r#"{"userId":"\u0061nn"}"#, Ok(Some("ann"))),
            (r#"{"userId": 42}"#, Ok(Some("42"))),
            (r#"{"userId":-9223372036854775809}"#, Ok(Some("-9223372036854775809"))),
            (r#"{"userId":null}"#, Ok(None)),
            (r#"{"name":"ann"}"#, Ok(None)),
            (r#"{"userId":""}"#, Err(BadUserId)),
            (r#"{"userId":1.5}"#, Err(BadUserId)),
            (r#"{"userId":["ann"]}"#, Err(BadUserId)),
            (r#"{"userId":"a\nb"}"#, Err(BadUserId)),
        ] {
            let found = data(json).user();
            assert_eq!(
                found.as_ref().map(|user| user.as_ref().map(UserId::as_str)),
                user.as_ref().map(|user| *user),
                "{json}"
            );
        }
    }
}
