//! The processes of a run: each side in one of its own, as in life, and each gone when its part is over.

use std::{
    env,
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use procfs::process::Process;
use tempfile::TempDir;

/// Resident memory, in MB of a million bytes.
pub struct Memory {
    pub now: f64,
    /// What it was at its highest.
    pub most: f64,
}

/// A server in a process of its own, that listens.
pub struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// The gateway as it is released, with these settings, and its log in a file.
    pub fn gateway(binary: &Path, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = Command::new(binary.canonicalize().unwrap());
        Self::listening(command.env("PORT", port.to_string()).envs(settings.iter().copied()), port)
    }

    /// The same, before it listens, and when it was spawned.
    pub fn gateway_that_starts(binary: &Path, settings: &[(&str, &str)]) -> (Self, Instant) {
        let port = free_port();
        let mut command = Command::new(binary.canonicalize().unwrap());
        Self::starting(command.env("PORT", port.to_string()).envs(settings.iter().copied()), port)
    }

    /// The same, under valgrind, which writes down in `valgrind` what it has seen.
    pub fn gateway_under_valgrind(binary: &Path, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = Command::new("valgrind");
        command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--log-file=valgrind"]);
        command.arg(binary.canonicalize().unwrap());
        Self::listening(command.env("PORT", port.to_string()).envs(settings.iter().copied()), port)
    }

    /// The least that could be in its place, with these arguments.
    pub fn floor(arguments: &[&str]) -> Self {
        Self::playing("floor", arguments)
    }

    /// Whom both sides ask.
    pub fn provider() -> Self {
        Self::playing("provider", &[])
    }

    fn playing(role: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(env::current_exe().unwrap());
        Self::listening(command.args([role, &port.to_string()]).args(arguments), port)
    }

    /// A Redis that keeps nothing on disk.
    pub fn redis() -> Self {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(["--save", "", "--appendonly", "no", "--port", &port.to_string()]);
        Self::listening(&mut command, port)
    }

    fn listening(command: &mut Command, port: u16) -> Self {
        let (server, begun) = Self::starting(command, port);
        while TcpStream::connect(server.address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{command:?} does not listen");
            sleep(Duration::from_millis(10));
        }
        server
    }

    fn starting(command: &mut Command, port: u16) -> (Self, Instant) {
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        command.current_dir(folder.path()).stdout(log).stderr(Stdio::null());
        let begun = Instant::now();
        let child = command.spawn().unwrap();
        (Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), folder }, begun)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `path` is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it is, as Redis.
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What it has used of processors.
    pub fn cpu(&self) -> Duration {
        let stat = Process::new(self.child.id().cast_signed()).unwrap().stat().unwrap();
        Duration::from_secs_f64((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
    }

    /// What it holds of the machine's memory.
    pub fn memory(&self) -> Memory {
        let status = Process::new(self.child.id().cast_signed()).unwrap().status().unwrap();
        let mb = |kib: Option<u64>| kib.unwrap() as f64 * 1024.0 / 1e6;
        Memory { now: mb(status.vmrss), most: mb(status.vmhwm) }
    }

    /// What it has read from sockets, as Redis: as often as somebody waited for it, where nobody asks at once.
    pub fn round_trips(&self) -> u64 {
        let mut connection = redis::Client::open(self.redis_url()).unwrap().get_connection().unwrap();
        let info: redis::InfoDict = redis::cmd("INFO").arg("stats").query(&mut connection).unwrap();
        info.get("total_reads_processed").unwrap()
    }

    /// A folder that is gone when it is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Server {
    /// Lets it end by itself, and leaves its folder.
    pub fn stopped(mut self) -> TempDir {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
