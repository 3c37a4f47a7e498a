//! A store that gave no answer, and what may be done about it.

use std::error::Error;

use crate::client::{Distrust, distrust, reasons};

/// Why a store gave no answer (`upstash-rest.md` 8 and 13). Holds no key, no value, and nothing that the server said besides
/// the code that it leads with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It was not asked: it has failed too often just now.
    #[error("it is not asked for a while")]
    Skipped,
    /// The time was over. What was asked may have been done.
    #[error("no answer in time")]
    Timeout,
    /// It was not reached. Nothing was done.
    #[error("not reached: {0}")]
    Unreached(&'static str),
    /// It refused for the moment. Nothing was done.
    #[error("not ready: {0}")]
    NotReady(String),
    /// It takes no writes for the moment. Nothing was done.
    #[error("no writes for the moment")]
    ReadOnly,
    /// It wants to be left alone for longer than anybody waits, and says so with this status.
    #[error("too much to do: status {0}")]
    Busy(u16),
    /// No whole answer, or none that makes sense. What was asked may have been done.
    #[error("no answer that makes sense: {0}")]
    Broken(String),
    /// It does not take the password or the token, or that does not allow the command.
    #[error("access refused: {0}")]
    Access(String),
    /// The account's commands are used up.
    #[error("the store's quota is used up")]
    Quota,
    /// It is full, and takes no writes and no scripts.
    #[error("the store is full")]
    Full,
    /// It cannot write to its disk, and takes no writes.
    #[error("the store cannot write to its disk")]
    Disk,
    /// What was sent is too large for it.
    #[error("too large for the store")]
    TooLarge,
    /// It does not know the script yet.
    #[error("the script is not known")]
    NoScript,
    /// The key holds something else.
    #[error("the key holds something else")]
    WrongType,
    /// It refused the command.
    #[error("refused: {0}")]
    Refused(String),
}

/// The codes of Redis that an error may show.
const CODES: [&str; 19] = [
    "ERR",
    "WRONGPASS",
    "NOAUTH",
    "NOPERM",
    "LOADING",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "BUSY",
    "BUSYKEY",
    "CROSSSLOT",
    "DENIED",
    "EXECABORT",
    "NOREPLICAS",
    "NOPROTO",
    "NOTBUSY",
    "UNKILLABLE",
];
/// In place of another.
const UNKNOWN: &str = "no code of Redis";

impl StoreError {
    /// Its word in metrics (`error.type`).
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Timeout => "timeout",
            Self::Unreached(_) => "unreached",
            Self::NotReady(_) => "not_ready",
            Self::ReadOnly => "read_only",
            Self::Busy(_) => "busy",
            Self::Broken(_) => "broken",
            Self::Access(_) => "access",
            Self::Quota => "quota",
            Self::Full => "full",
            Self::Disk => "disk",
            Self::TooLarge => "too_large",
            Self::NoScript => "no_script",
            Self::WrongType => "wrong_type",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether what was asked has certainly not been done, so that it may be asked again whatever it is.
    pub fn is_undone(&self) -> bool {
        match self {
            Self::Skipped
            | Self::Unreached(_)
            | Self::NotReady(_)
            | Self::ReadOnly
            | Self::NoScript
            | Self::Full
            | Self::Disk
            | Self::Quota => true,
            Self::Timeout
            | Self::Busy(_)
            | Self::Broken(_)
            | Self::Access(_)
            | Self::TooLarge
            | Self::WrongType
            | Self::Refused(_) => false,
        }
    }

    /// Whether the store as a whole is in trouble, rather than this one command.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Timeout
            | Self::Unreached(_)
            | Self::NotReady(_)
            | Self::Busy(_)
            | Self::Broken(_)
            | Self::Access(_)
            | Self::Quota => true,
            Self::Skipped
            | Self::ReadOnly
            | Self::Full
            | Self::Disk
            | Self::TooLarge
            | Self::NoScript
            | Self::WrongType
            | Self::Refused(_) => false,
        }
    }

    /// What is known of a connection that did not come about.
    pub(super) fn unreached(error: &(dyn Error + 'static)) -> Self {
        Self::Unreached(match distrust(error) {
            Some(Distrust::Unknown) => "its certificate is not trusted; EXTRA_CA_FILE can name who vouches for it",
            Some(Distrust::OutOfTime) => "its certificate has expired, or this machine's clock is wrong",
            Some(Distrust::OtherHost) => "its certificate is for another host than the address names",
            None if reasons(error).contains("corrupt message") => "it does not speak TLS",
            None => "no connection",
        })
    }

    /// What a server's own error means, by what `upstash-rest.md` 4 promises of its text.
    pub(super) fn of_server(text: &str) -> Self {
        let code = text.split([' ', ':']).next().unwrap_or_default();
        // A server that is no Redis leads with anything, a secret even.
        let code =
            || CODES.iter().find(|known| **known == code).map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
        let has = |part: &str| text.contains(part);
        match text {
            _ if has("max requests limit exceeded") || has("max daily request limit exceeded") => Self::Quota,
            _ if has("max request size exceeded") || has("max single record size") || has("max key size exceeded") => {
                Self::TooLarge
            }
            _ if has("DB capacity quota exceeded") => Self::Full,
            _ if has("max number of clients reached") => Self::NotReady("too many clients".to_owned()),
            // Only so it tells that a script may not do something.
            _ if has("ACL failure in script") || has("executing the script can't") => Self::Access("NOPERM".to_owned()),
            _ if text.starts_with("OOM") => Self::Full,
            _ if text.starts_with("MISCONF") => Self::Disk,
            _ if text.starts_with("READONLY") => Self::ReadOnly,
            _ if text.starts_with("NOSCRIPT") => Self::NoScript,
            _ if text.starts_with("WRONGTYPE") => Self::WrongType,
            _ if ["WRONGPASS", "NOAUTH", "NOPERM", "DENIED"].iter().any(|code| text.starts_with(code)) => {
                Self::Access(code())
            }
            _ if ["LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY"]
                .iter()
                .any(|code| text.starts_with(code)) =>
            {
                Self::NotReady(code())
            }
            _ => Self::Refused(code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_known_by_its_code_or_its_words_and_not_repeated() {
        let not_ready = |code: &str| StoreError::NotReady(code.to_owned());
        let access = |code: &str| StoreError::Access(code.to_owned());
        for (text, expected, word) in [
            ("ERR max requests limit exceeded. Limit: 500000, Usage: 500001", StoreError::Quota, "quota"),
            ("ERR max daily request limit exceeded. Limit: 10000", StoreError::Quota, "quota"),
            ("ERR max request size exceeded. Limit: 1048576 bytes", StoreError::TooLarge, "too_large"),
            ("ERR max single record size exceeded", StoreError::TooLarge, "too_large"),
            ("ERR max key size exceeded", StoreError::TooLarge, "too_large"),
            ("ERR DB capacity quota exceeded", StoreError::Full, "full"),
            ("OOM command not allowed when used memory > 'maxmemory'", StoreError::Full, "full"),
            ("MISCONF Redis is configured to save RDB snapshots", StoreError::Disk, "disk"),
            ("READONLY You can't write against a read only replica", StoreError::ReadOnly, "read_only"),
            ("NOSCRIPT No matching script", StoreError::NoScript, "no_script"),
            ("WRONGTYPE Operation against a key", StoreError::WrongType, "wrong_type"),
            ("ERR max number of clients reached", not_ready("too many clients"), "not_ready"),
            ("LOADING Redis is loading the dataset in memory", not_ready("LOADING"), "not_ready"),
            ("CLUSTERDOWN The cluster is down", not_ready("CLUSTERDOWN"), "not_ready"),
            ("WRONGPASS invalid or missing auth token s3cr3t", access("WRONGPASS"), "access"),
            ("ERR ACL failure in script: User can't run this", access("NOPERM"), "access"),
            ("ERR unknown command 's3cr3t'", StoreError::Refused("ERR".to_owned()), "refused"),
            ("s3cr3t is what I say", StoreError::Refused(UNKNOWN.to_owned()), "refused"),
            ("", StoreError::Refused(UNKNOWN.to_owned()), "refused"),
        ] {
            let error = StoreError::of_server(text);
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
            assert_eq!((error.as_str(), error), (word, expected), "{text}");
        }
    }
}
