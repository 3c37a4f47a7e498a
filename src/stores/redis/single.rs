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
    /// It makes itself anew when it breaks, but not when nothing comes any more.
    connection: Mutex<ConnectionManager>,
    silence: Silence,
}

impl Single {
    pub(super) fn new(node: ConnectionInfo, certificates: TlsCertificates) -> Result<Self, BadAddress> {
        let client = if is_tls(&node) { Client::build_with_tls(node, certificates) } else { Client::open(node) };
        let client = client.map_err(|_| BadAddress)?;
        let connection = connection(&client).map_err(|_| BadAddress)?;
        Ok(Self { client, connection: Mutex::new(connection), silence: Silence::of_one_server() })
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        if self.silence.has_fallen()
            && let Ok(fresh) = connection(&self.client)
        {
            *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waiting = Waiting::new(&self.silence);
        let answer = connection.req_packed_command(command).await;
        waiting.answered();
        answer
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
