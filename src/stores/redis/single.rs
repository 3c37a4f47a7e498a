//! One server, one connection that everyone shares, replaced when it breaks or falls silent.

use std::sync::{Mutex, PoisonError};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};

use crate::stores::StoreError;

use super::{
    resp::{BadAddress, CONNECT_TIMEOUT, connect_error, is_tls},
    silence::{Silence, Waiting},
};

pub(super) struct Single {
    client: Client,
    connection: Mutex<Current>,
    silence: Silence,
}

/// The connection that everyone uses now.
#[derive(Clone)]
struct Current {
    /// Counts up with each that takes another's place.
    number: u64,
    connection: Connecting,
}

/// A connection, or what came of making one.
type Connecting = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

impl Single {
    pub(super) fn new(node: ConnectionInfo, certificates: TlsCertificates) -> Result<Self, BadAddress> {
        let client = if is_tls(&node) { Client::build_with_tls(node, certificates) } else { Client::open(node) };
        let client = client.map_err(|_| BadAddress)?;
        let current = Current { number: 0, connection: connection(&client) };
        Ok(Self { client, connection: Mutex::new(current), silence: Silence::of_one_server() })
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<RedisResult<Value>, StoreError> {
        if self.silence.has_fallen() {
            self.replace(self.current().number);
        }
        let Current { number, connection } = self.current();
        let waiting = Waiting::new(&self.silence);
        let answer = match connection.await {
            Ok(mut connection) => Ok(connection.req_packed_command(command).await),
            Err(error) => Err(connect_error(&error)),
        };
        waiting.answered();
        // What the server refuses comes as a value: this is the connection.
        if !matches!(answer, Ok(Ok(_))) {
            self.replace(number);
        }
        answer
    }

    fn current(&self) -> Current {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another connection in the place of the one of this `number`, if nobody has done so.
    fn replace(&self, number: u64) {
        let mut current = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == number {
            *current = Current { number: number + 1, connection: connection(&self.client) };
        }
    }
}

/// A connection that is made when it is first used: made before, it would tell whoever comes of a server as it was then.
fn connection(client: &Client) -> Connecting {
    let client = client.clone();
    // Callers have their own patience.
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
    async move { client.get_multiplexed_async_connection_with_config(&config).await }.boxed().shared()
}
