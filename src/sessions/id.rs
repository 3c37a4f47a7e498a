//! What names a session, and opens it to whoever knows it.

use std::fmt;

/// 32 random bytes, written as 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// A new one, that nobody can guess.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The id that `text` is. `None`: it cannot be one, and nothing needs to be looked up.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let is_upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_upper || hex::decode_to_slice(text, &mut bytes).is_err() {
            return None;
        }
        Some(Self(bytes))
    }

    /// The 64 digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Where it is kept: `session:<64 hex>`, as the original has it.
    pub(super) fn key(self) -> String {
        format!("{PREFIX}{}", self.to_hex())
    }

    /// The id whose key this is.
    pub(super) fn of_key(key: &str) -> Option<Self> {
        Self::parse(key.strip_prefix(PREFIX)?)
    }
}

const PREFIX: &str = "session:";

/// Whoever reads an id in a log has the session.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_64_digits_and_nothing_else() {
        let id = SessionId::random().unwrap();
        assert_eq!(SessionId::parse(&id.to_hex()), Some(id));
        assert_eq!(SessionId::of_key(&id.key()), Some(id));
        assert_ne!(SessionId::random().unwrap(), id);
        let a = "a".repeat(64);
        for text in ["", "../", "stats", &a[1..], &format!("{a}0"), &a.to_uppercase(), &format!("{}g", &a[1..])] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
        assert_eq!(format!("{id:?}"), "SessionId(…)");
    }
}
