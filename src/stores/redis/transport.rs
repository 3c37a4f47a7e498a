//! What carries commands to Redis.

use async_trait::async_trait;
use redis::{Cmd, Value};

use crate::stores::StoreError;

/// Carries commands, each once, and brings back what Redis says. Dropped, it may have been done or not.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one command.
    ///
    /// # Errors
    /// [`StoreError`], by what is known of whether it was done.
    async fn send(&self, command: &Cmd) -> Result<Value, StoreError>;

    /// Sends several, in one round trip, each with its own answer. Those for the same node are done in their order.
    ///
    /// # Errors
    /// When there is no answer to any of them.
    async fn send_all(&self, commands: &[Cmd]) -> Result<Vec<Result<Value, StoreError>>, StoreError>;

    /// All places where keys are.
    ///
    /// # Errors
    /// When nobody says.
    async fn nodes(&self) -> Result<Vec<Node>, StoreError>;

    /// Sends one command to one place.
    ///
    /// # Errors
    /// As [`Transport::send`].
    async fn send_to(&self, node: &Node, command: &Cmd) -> Result<Value, StoreError>;

    /// What scripts must begin with.
    fn dialect(&self) -> Dialect;
}

/// A place where keys are.
#[derive(Clone, Debug)]
pub enum Node {
    /// Wherever a command's key is; without a cluster, the only place.
    Only,
    /// One of a cluster, by host and port.
    At(String, u16),
}

/// How scripts are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As they are: Redis refuses flags that it does not know.
    Redis,
    /// With a flag, without which a script would lock the whole database (`upstash-rest.md` 10).
    Upstash,
}
