//! The way to a Redis, which can be long, or break.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    time::sleep,
};

/// How the way is now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// What each piece waits before it goes on, in the direction of the server.
    pub(super) delay: Duration,
    /// Counts up with every break: connections of before are gone.
    breaks: u32,
}

/// Stands in front of a server as long as the soak lasts.
pub(super) struct Relay {
    pub(super) port: u16,
    way: watch::Sender<Way>,
}

impl Relay {
    /// In front of the server on `port`.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let (way, seen) = watch::channel(Way::default());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, seen.clone()));
            }
        });
        Self { port: here, way }
    }

    /// From now on each piece is delayed by so much.
    pub(super) fn delay(&self, delay: Duration) {
        self.way.send_modify(|way| way.delay = delay);
    }

    /// Breaks every connection that there is.
    pub(super) fn cut(&self) {
        self.way.send_modify(|way| way.breaks += 1);
    }
}

/// Both directions of one connection, until either side ends it or the way breaks.
async fn carry(client: TcpStream, port: u16, mut way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let breaks = way.borrow().breaks;
    let slow = way.clone();
    tokio::select! {
        () = pass(from_client, to_server, Some(slow)) => {}
        () = pass(from_server, to_client, None) => {}
        _ = way.wait_for(|way| way.breaks != breaks) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Option<watch::Receiver<Way>>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let delay = way.as_ref().map(|way| way.borrow().delay).unwrap_or_default();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
