//! Real Redis: servers as processes of their own, empty at their start and gone with their handles.
//!
//! Not for tests that pause time: a paused clock runs ahead while a socket is waited for.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use redis::{AsyncConnectionConfig, Client, RedisResult, TlsCertificates, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Below the ports that outgoing connections get, so that nobody takes the port of a server that is to come back.
/// A cluster's own traffic takes the port 10,000 above.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

const PATIENCE: Duration = Duration::from_secs(20);

/// One server on 127.0.0.1, with nothing kept on disk.
pub(crate) struct RedisServer {
    child: Mutex<Option<Child>>,
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    ca_pem: Option<String>,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further arguments, such as `--requirepass x`, each word apart.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::launch(folder, arguments.iter().map(ToString::to_string).collect(), None).await
    }

    /// Speaks TLS only, with a certificate for `localhost` and 127.0.0.1 that only [`Self::ca_pem`] vouches for.
    pub(crate) async fn tls() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca_pem = make_certificates(&folder);
        let arguments = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca.pem"];
        let arguments = arguments.iter().chain(&["--tls-auth-clients", "no"]).map(ToString::to_string).collect();
        Self::launch(folder, arguments, Some(ca_pem)).await
    }

    async fn launch(folder: TempDir, arguments: Vec<String>, ca_pem: Option<String>) -> Self {
        let mut server = Self { child: Mutex::default(), port: 0, arguments, folder, ca_pem };
        for _ in 0..20 {
            server.port = fastrand::u16(PORTS);
            if server.spawn().await {
                return server;
            }
        }
        panic!("redis-server does not start with {:?}: {}", server.arguments, server.log());
    }

    /// False when the server ended at once, as it does when the port is taken.
    async fn spawn(&self) -> bool {
        let port = self.port.to_string();
        let ports =
            if self.ca_pem.is_some() { ["--port", "0", "--tls-port", &port] } else { ["--port", &port, "", ""] };
        let child = Command::new("redis-server")
            .args(ports.iter().filter(|argument| !argument.is_empty()))
            .args(["--bind", "127.0.0.1", "-::1", "--save", "", "--appendonly", "no", "--logfile", "redis.log"])
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need `redis-server`: run scripts/install-test-tools");
        let pid = child.id();
        *self.child() = Some(child);
        let begun = Instant::now();
        loop {
            // Someone else's server may have the port, and answer or not.
            let answering = timeout(Duration::from_secs(1), self.process_id()).await;
            if matches!(answering, Ok(Ok(other)) if other == pid) {
                return true;
            }
            if self.child().as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "redis-server does not answer: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Without the password, if there is one.
    pub(crate) fn url(&self) -> String {
        match self.ca_pem {
            Some(_) => format!("rediss://localhost:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What vouches for the certificate of a server that speaks TLS.
    pub(crate) fn ca_pem(&self) -> &str {
        self.ca_pem.as_deref().expect("a server that speaks TLS")
    }

    pub(super) fn password(&self) -> Option<&str> {
        let place = self.arguments.iter().position(|argument| argument == "--requirepass")?;
        self.arguments.get(place + 1).map(String::as_str)
    }

    /// Ends the server at once; what it held is gone.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// An empty server at the same address.
    pub(crate) async fn restart(&self) {
        self.kill();
        assert!(self.spawn().await, "redis-server does not come back: {}", self.log());
    }

    /// Accepts and answers nothing until [`Self::thaw`]; connections stay.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child().as_ref().expect("a server that runs").id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// For a look inside.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        self.connect().await.unwrap()
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let client = match &self.ca_pem {
            Some(ca) => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(ca.clone().into_bytes()) };
                Client::build_with_tls(self.url(), certificates)?
            }
            None => Client::open(self.url())?,
        };
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        if let Some(password) = self.password() {
            redis::cmd("AUTH").arg(password).query_async::<()>(&mut connection).await?;
        }
        Ok(connection)
    }

    async fn process_id(&self) -> RedisResult<u32> {
        let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut self.connect().await?).await?;
        Ok(info.get("process_id").unwrap_or_default())
    }

    /// How often each command ran since [`Self::reset_stats`], also those that scripts called. Names are in capitals,
    /// with a bar before a subcommand. The looks inside are among them: `INFO`, `CONFIG|RESETSTAT`, `CLIENT|SETINFO`.
    pub(crate) async fn commandstats(&self) -> BTreeMap<String, u64> {
        let info: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut self.connection().await).await.unwrap();
        let calls = |line: &str| {
            let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = numbers.split(',').next()?.parse().ok()?;
            Some((name.to_ascii_uppercase(), calls)).filter(|&(_, calls)| calls > 0)
        };
        info.lines().filter_map(calls).collect()
    }

    pub(crate) async fn reset_stats(&self) {
        redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut self.connection().await).await.unwrap();
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("redis.log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Leaves `ca.pem`, `cert.pem` and `key.pem` in `folder`, and gives back the first.
fn make_certificates(folder: &TempDir) -> String {
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    for (name, text) in [("ca.pem", &ca_pem), ("cert.pem", &certificate.pem()), ("key.pem", &key.serialize_pem())] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    ca_pem
}

/// Three masters that share all slots, without replicas.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub(crate) async fn start() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
        let mut nodes = Vec::new();
        for (epoch, slots) in [(1, [0, 5_460]), (2, [5_461, 10_922]), (3, [10_923, 16_383])] {
            let node = RedisServer::start_with(&arguments).await;
            let mut connection = node.connection().await;
            let mut ask = redis::pipe();
            ask.cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(epoch).cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(&slots);
            for other in &nodes {
                ask.cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(RedisServer::port(other));
            }
            ask.exec_async(&mut connection).await.unwrap();
            nodes.push(node);
        }
        for node in &nodes {
            ready(node).await;
        }
        Self { nodes }
    }

    /// Of every node, separated by commas.
    pub(crate) fn urls(&self) -> String {
        self.nodes.iter().map(RedisServer::url).collect::<Vec<_>>().join(",")
    }
}

async fn ready(node: &RedisServer) {
    let mut connection = node.connection().await;
    let begun = Instant::now();
    loop {
        let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.unwrap();
        if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the cluster does not form: {info}");
        sleep(Duration::from_millis(20)).await;
    }
}
