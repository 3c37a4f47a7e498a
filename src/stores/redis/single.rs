//! One server, one connection that everyone shares, replaced when it breaks or falls silent.

use std::sync::{Mutex, PoisonError};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, RedisError, RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};

use tokio::time::Instant;

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

/// What came of making a connection, and when.
type Connecting = Shared<BoxFuture<'static, (RedisResult<MultiplexedConnection>, Instant)>>;

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
        let (number, made) = self.connected().await;
        let answer = match made {
            Ok(mut connection) => {
                let waiting = Waiting::new(&self.silence);
                let answer = connection.req_packed_command(command).await;
                waiting.answered();
                Ok(answer)
            }
            Err(error) => Err(connect_error(&error)),
        };
        // What the server refuses comes as a value: this is the connection.
        if !matches!(answer, Ok(Ok(_))) {
            self.replace(number);
        }
        answer
    }

    /// The connection that everyone uses now, or why there is none, and its number.
    async fn connected(&self) -> (u64, RedisResult<MultiplexedConnection>) {
        let begun = Instant::now();
        let Current { number, connection } = self.current();
        match connection.await {
            // Of an attempt that others gave up: it says nothing of now.
            (Err(_), at) if at < begun => {
                self.replace(number);
                let Current { number, connection } = self.current();
                (number, connection.await.0)
            }
            (made, _) => (number, made),
        }
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
    let connecting = async move {
        let made = client.get_multiplexed_async_connection_with_config(&config).await;
        (made, Instant::now())
    };
    // It goes on when nobody waits any more: to connect may take longer than anybody has.
    async move { tokio::spawn(connecting).await.unwrap_or_else(|_| (Err(gone()), Instant::now())) }.boxed().shared()
}

/// The runtime that was to make the connection is gone.
fn gone() -> RedisError {
    (ErrorKind::Io, "nobody makes it any more").into()
}
