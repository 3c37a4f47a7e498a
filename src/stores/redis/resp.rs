//! Redis in its own protocol: one connection for everyone, or one to each node of a cluster; made when it is first needed, and
//! again when it breaks or falls silent.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, ProtocolVersion, RedisError,
    ServerErrorKind, TlsCertificates, Value, cmd, io::tcp::TcpSettings,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{client::distrust, stores::StoreError};

use super::{
    Transport,
    cluster::Cluster,
    single::Single,
    transport::{Dialect, Node},
};

/// How long a connection may take to open.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the other side may leave what was sent unacknowledged before the connection counts as broken.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// An address or a token is not what it should be. Says nothing of it, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("the address of the store, or EXTRA_CA_FILE, cannot be used to reach it")]
pub struct BadAddress;

/// Redis or a cluster of it.
pub struct Resp {
    server: Server,
    dialect: Dialect,
}

enum Server {
    Single(Box<Single>),
    Cluster(Box<Cluster>),
}

impl Resp {
    /// The server at the one address, or the cluster of which some are given. Connects to nobody yet.
    ///
    /// # Errors
    /// [`BadAddress`], also when `extra_ca_pem` holds no certificates.
    pub fn new(addresses: &[SecretString], extra_ca_pem: Option<&str>) -> Result<Self, BadAddress> {
        let is_upstash = |address: &SecretString| address.expose_secret().contains(".upstash.io");
        let dialect = if addresses.iter().any(is_upstash) { Dialect::Upstash } else { Dialect::Redis };
        let nodes: Vec<ConnectionInfo> = addresses.iter().map(connection_info).collect::<Result<_, _>>()?;
        let certificates = TlsCertificates { client_tls: None, root_cert: extra_ca_pem.map(with_built_in) };
        let server = match <[ConnectionInfo; 1]>::try_from(nodes) {
            Ok([node]) => Server::Single(Box::new(Single::new(node, certificates)?)),
            Err(nodes) => Server::Cluster(Box::new(Cluster::new(nodes, certificates)?)),
        };
        Ok(Self { server, dialect })
    }

    async fn send_routed(&self, command: &Cmd, node: &Node) -> Result<Value, StoreError> {
        let answer = match &self.server {
            Server::Single(single) => single.send(command).await?,
            Server::Cluster(cluster) => cluster.send(command, node).await?,
        };
        // What the server refuses comes as a value.
        answer.and_then(Value::extract_error).map_err(|error| store_error(&error))
    }
}

fn connection_info(address: &SecretString) -> Result<ConnectionInfo, BadAddress> {
    let info = address.expose_secret().into_connection_info().map_err(|_| BadAddress)?;
    // RESP2, so that answers have the shapes that they have over REST.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp_settings()))
}

pub(super) fn is_tls(node: &ConnectionInfo) -> bool {
    matches!(node.addr(), ConnectionAddr::TcpTls { .. })
}

pub(super) fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_user_timeout(UNACKNOWLEDGED)
}

/// The extra certificates and the built-in ones: the client takes either its own or what it is given.
fn with_built_in(extra_pem: &str) -> Vec<u8> {
    let mut pem = format!("{extra_pem}\n");
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        pem.push_str(&STANDARD.encode(certificate));
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    pem.into_bytes()
}

/// What is said when no node of a cluster answers as one.
pub(super) const NO_NODE: &str = "no node of a cluster; a server that is none is named alone";

/// What is known of a failure, and nothing of what was sent.
fn store_error(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreError::Access("WRONGPASS".to_owned()),
        ErrorKind::Server(ServerErrorKind::NoPerm) => StoreError::Access("NOPERM".to_owned()),
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            StoreError::of_server(&format!("ERR {}", error.detail().unwrap_or_default()))
        }
        ErrorKind::Server(_) | ErrorKind::Extension => StoreError::of_server(error.code().unwrap_or_default()),
        ErrorKind::ClusterConnectionNotFound => StoreError::Unreached(NO_NODE),
        ErrorKind::Io if error.is_connection_refusal() => StoreError::Unreached("connection refused"),
        _ if distrust(error).is_some() => StoreError::unreached(error),
        ErrorKind::Io => StoreError::Broken("the connection broke".to_owned()),
        ErrorKind::Parse => StoreError::Broken("not the protocol of Redis".to_owned()),
        kind => StoreError::Broken(format!("{kind:?}")),
    }
}

/// The same of a connection that did not come about: nothing was sent.
pub(super) fn connect_error(error: &RedisError) -> StoreError {
    if error.kind() == ErrorKind::Io && !error.is_connection_refusal() {
        return StoreError::unreached(error);
    }
    store_error(error)
}

#[async_trait]
impl Transport for Resp {
    async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
        self.send_routed(command, &Node::Only).await
    }

    async fn send_all(&self, commands: &[Cmd]) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        // The connection is shared: what is sent at once travels together.
        Ok(join_all(commands.iter().map(|command| self.send(command))).await)
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        if matches!(self.server, Server::Single(_)) {
            return Ok(vec![Node::Only]);
        }
        let slots = self.send(cmd("CLUSTER").arg("SLOTS")).await?;
        let Value::Array(ranges) = slots else { return Err(StoreError::Broken("no slots".to_owned())) };
        let mut nodes: Vec<(String, u16)> = Vec::new();
        for range in ranges {
            // First and last slot, then the master; replicas follow.
            let Value::Array(range) = range else { continue };
            let Some(Value::Array(master)) = range.into_iter().nth(2) else { continue };
            let mut master = master.into_iter();
            let (Some(Value::BulkString(host)), Some(Value::Int(port))) = (master.next(), master.next()) else {
                continue;
            };
            let (host, port) = (String::from_utf8_lossy(&host).into_owned(), u16::try_from(port).unwrap_or_default());
            if !nodes.contains(&(host.clone(), port)) {
                nodes.push((host, port));
            }
        }
        Ok(nodes.into_iter().map(|(host, port)| Node::At(host, port)).collect())
    }

    async fn send_to(&self, node: &Node, command: &Cmd) -> Result<Value, StoreError> {
        self.send_routed(command, node).await
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }
}
