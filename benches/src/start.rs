//! How long the gateway takes from nothing to its first answer.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    thread::sleep,
    time::Duration,
};

use crate::servers::Server;

/// How long it is left alone after each refusal: it needs a processor too.
const PAUSE: Duration = Duration::from_micros(100);

/// From when each of so many processes is spawned to when `/health` has answered 200.
pub fn of_processes(binary: &Path, settings: &[(&str, &str)], starts: usize) -> Vec<Duration> {
    let start = |_| {
        let (gateway, begun) = Server::gateway_that_starts(binary, settings);
        while !matches!(health(gateway.address()), Ok(true)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not start");
            sleep(PAUSE);
        }
        begun.elapsed()
    };
    (0..starts).map(start).collect()
}

fn health(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply.starts_with(b"HTTP/1.1 200 "))
}
