//! One server, one connection that everyone shares, replaced when it breaks or falls silent.

use std::sync::{Mutex, PoisonError};

use redis::{
    Client, Cmd, ConnectionInfo, RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike as _, ConnectionManager, ConnectionManagerConfig},
};

use super::{
    resp::{BadAddress, CONNECT_TIMEOUT, is_tls},
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
    connection: ConnectionManager,
}

impl Single {
    pub(super) fn new(node: ConnectionInfo, certificates: TlsCertificates) -> Result<Self, BadAddress> {
        let client = if is_tls(&node) { Client::build_with_tls(node, certificates) } else { Client::open(node) };
        let client = client.map_err(|_| BadAddress)?;
        let connection = connection(&client).map_err(|_| BadAddress)?;
        Ok(Self {
            client,
            connection: Mutex::new(Current { number: 0, connection }),
            silence: Silence::of_one_server(),
        })
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        if self.silence.has_fallen() {
            self.replace(self.current().number);
        }
        let Current { number, mut connection } = self.current();
        let waiting = Waiting::new(&self.silence);
        let answer = connection.req_packed_command(command).await;
        waiting.answered();
        // What the server refuses comes as a value: this is the connection. Left to itself it tries again at once, and tells what came of
        // that to whoever asks next, however long after: of a server that is back meanwhile, that it is not there.
        if answer.is_err() {
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
        if current.number == number
            && let Ok(connection) = connection(&self.client)
        {
            *current = Current { number: number + 1, connection };
        }
    }
}

/// A connection that is made when it is first used.
fn connection(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Callers have their own patience.
        .set_response_timeout(None)
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}
