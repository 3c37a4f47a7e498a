//! Who is asking, as far as limits, and answers that are kept for one alone, go by it: a person, a key, or an address.

mod address;
mod keys;
mod user;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

pub use address::Addresses;
pub use keys::{ApiKey, Keys};
pub use user::{BadUserId, UserId};

/// Whoever sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its address; an IPv4 address never as IPv6.
    pub address: IpAddr,
    /// What else is known of it.
    pub who: Who,
}

/// What is known of a caller besides its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nothing.
    Anyone,
    /// A live session is this user's.
    User(UserId),
    /// It has this key, and asks for this user of its own.
    UserOf(Arc<ApiKey>, UserId),
    /// It has this key.
    Key(Arc<ApiKey>),
}

impl Caller {
    /// Of whom only the address is known.
    pub fn at(address: IpAddr) -> Self {
        Self { address, who: Who::Anyone }
    }

    /// The rate that its key has of its own, in place of `RATE_LIMIT_MAX`. 0: as often as it likes. `None`: it has none.
    pub fn max(&self) -> Option<u32> {
        match &self.who {
            Who::Anyone | Who::User(_) => None,
            Who::UserOf(key, _) | Who::Key(key) => key.max,
        }
    }
}

/// The bucket that the caller shares: `user:<id>`, `user:<key>:<id>`, `key:<name>`, an IPv4 address alone, or an IPv6 address
/// with its /64, which is one household's.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Anyone => write_address(self.address, f),
            Who::User(user) => write!(f, "user:{}", Escaped(user)),
            Who::UserOf(key, user) => write!(f, "user:{}:{}", key.name, Escaped(user)),
            Who::Key(key) => write!(f, "key:{}", key.name),
        }
    }
}

fn write_address(address: IpAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match address {
        // Every request is counted under its address, and the standard library formats as if it could be padded.
        IpAddr::V4(address) => address.octets().into_iter().enumerate().try_for_each(|(at, octet)| {
            f.write_str(if at == 0 { "" } else { "." })?;
            f.write_str(itoa::Buffer::new().format(octet))
        }),
        IpAddr::V6(address) => {
            let household = u128::from(address) >> 64 << 64;
            write!(f, "{}/64", Ipv6Addr::from(household))
        }
    }
}

/// An id in which no `:` is left: nobody gets another's bucket by a name that looks like it.
struct Escaped<'a>(&'a UserId);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_str();
        while let Some((plain, behind)) = rest.find([':', '%']).and_then(|at| rest.split_at_checked(at)) {
            f.write_str(plain)?;
            f.write_str(if behind.starts_with(':') { "%3A" } else { "%25" })?;
            rest = behind.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_the_bucket_of_another() {
        let key = |name: &str| Arc::new(ApiKey { name: name.to_owned(), max: None });
        let user = |id: &str| UserId::new(id).unwrap();
        let bucket = |who| Caller { address: "2001:db8::1".parse().unwrap(), who }.to_string();
        assert_eq!(bucket(Who::Anyone), "2001:db8::/64");
        assert_eq!(bucket(Who::User(user("ann@example.com"))), "user:ann@example.com");
        assert_eq!(bucket(Who::UserOf(key("web"), user("ann"))), "user:web:ann");
        assert_eq!(bucket(Who::User(user("web:ann"))), "user:web%3Aann");
        assert_eq!(bucket(Who::User(user("web%3Aann"))), "user:web%253Aann");
        assert_eq!(bucket(Who::Key(key("web"))), "key:web");
    }
}
