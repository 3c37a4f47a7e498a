//! A cluster: one connection to each node, made anew when a node falls silent, since another may have taken its place.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redis::{
    Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, TlsCertificates, Value,
    aio::ConnectionLike as _,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
    cmd,
};
use tokio::sync::Mutex;

use crate::stores::StoreError;

use super::{
    resp::{BadAddress, CONNECT_TIMEOUT, NO_NODE, is_tls, tcp_settings},
    silence::{Silence, Waiting},
    transport::Node,
};

pub(super) struct Cluster {
    client: ClusterClient,
    /// `None`: not connected so far.
    connection: Arc<Mutex<Option<ClusterConnection>>>,
    silence: Silence,
    /// Whether another connection is being made.
    is_renewing: Arc<AtomicBool>,
}

impl Cluster {
    pub(super) fn new(nodes: Vec<ConnectionInfo>, certificates: TlsCertificates) -> Result<Self, BadAddress> {
        let is_tls = nodes.iter().any(is_tls);
        let client = ClusterClient::builder(nodes)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(CONNECT_TIMEOUT)
            .tcp_settings(tcp_settings())
            // It would repeat what may have been done; who sends knows better.
            .retries(0);
        let client = if is_tls { client.certs(certificates) } else { client };
        let client = client.build().map_err(|_| BadAddress)?;
        let (connection, is_renewing) = Default::default();
        Ok(Self { client, connection, silence: Silence::of_many(), is_renewing })
    }

    /// Sends one command to the node that has its key, or to `node`.
    pub(super) async fn send(&self, command: &Cmd, node: &Node) -> Result<RedisResult<Value>, StoreError> {
        if self.silence.has_fallen() {
            self.renew();
        }
        let mut connection = self.connected().await?;
        let waiting = Waiting::new(&self.silence);
        let answer = match node {
            Node::Only => connection.req_packed_command(command).await.and_then(Value::extract_error),
            Node::At(host, port) => {
                let place = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                connection.route_command(command.clone(), RoutingInfo::SingleNode(place)).await
            }
        };
        let answer = match answer {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
                ask(&mut connection, command, error).await
            }
            answer => answer,
        };
        // The connection itself gives up sooner than some who wait.
        if !answer.as_ref().is_err_and(RedisError::is_timeout) {
            waiting.answered();
        }
        Ok(answer)
    }

    /// The connection, made if there is none. It finds its own way back to nodes that it lost.
    async fn connected(&self) -> Result<ClusterConnection, StoreError> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        if let Some(connected) = &*connection {
            return Ok(connected.clone());
        }
        let client = self.client.clone();
        // It goes on when nobody waits any more: a node that is gone may take longer than anybody has.
        let connecting = tokio::spawn(async move {
            let connected = client.get_async_connection().await?;
            Ok(connection.insert(connected).clone())
        });
        let connected = connecting.await.map_err(|_| StoreError::Unreached(NO_NODE))?;
        connected.map_err(|error: RedisError| {
            // What each node said stands in the text alone.
            if error.to_string().contains("AuthenticationFailed") {
                StoreError::Access("WRONGPASS".to_owned())
            } else {
                StoreError::Unreached(NO_NODE)
            }
        })
    }

    /// Makes another connection, which learns who has which keys now. Until it is there, the old one serves the nodes that
    /// still answer.
    fn renew(&self) {
        if self.is_renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (client, connection) = (self.client.clone(), Arc::clone(&self.connection));
        let is_renewing = Arc::clone(&self.is_renewing);
        // It ends by its own time-outs, within seconds, and nobody waits for it.
        tokio::spawn(async move {
            if let Ok(fresh) = client.get_async_connection().await {
                *connection.lock().await = Some(fresh);
            }
            is_renewing.store(false, Ordering::Release);
        });
    }
}

/// Asks the node that a key is moving to, which answers only who was sent there.
async fn ask(connection: &mut ClusterConnection, command: &Cmd, error: RedisError) -> RedisResult<Value> {
    let place = error.redirect_node().and_then(|(address, _)| address.rsplit_once(':'));
    let Some((host, port)) = place.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))) else {
        return Err(error);
    };
    let mut commands = Pipeline::with_capacity(2);
    commands.add_command(cmd("ASKING")).add_command(command.clone());
    let place = SingleNodeRoutingInfo::ByAddress { host, port };
    let mut answers = connection.route_pipeline(commands, 1, 1, place).await?;
    answers.pop().ok_or(error)
}
