//! A script, known by its hash. Its keys share a slot.

use redis::{Cmd, ToRedisArgs, cmd};

use super::transport::Dialect;

/// A script as it is sent.
pub(super) struct Script {
    body: String,
    hash: String,
}

impl Script {
    pub(super) fn new(body: &str, dialect: Dialect) -> Self {
        let body = match dialect {
            Dialect::Redis => body.to_owned(),
            Dialect::Upstash => format!("#!lua flags=allow-key-locking\n{body}"),
        };
        let hash = redis::Script::new(&body).get_hash().to_owned();
        Self { body, hash }
    }

    /// Runs it if the server knows it.
    pub(super) fn by_hash(&self, keys: &[&str], args: &[impl ToRedisArgs]) -> Cmd {
        Self::command("EVALSHA", &self.hash, keys, args)
    }

    /// Runs it, and the server knows it from then on.
    pub(super) fn by_body(&self, keys: &[&str], args: &[impl ToRedisArgs]) -> Cmd {
        Self::command("EVAL", &self.body, keys, args)
    }

    fn command(name: &str, script: &str, keys: &[&str], args: &[impl ToRedisArgs]) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(keys.len()).arg(keys).arg(args);
        command
    }
}
