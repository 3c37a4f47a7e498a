//! Lets in as many connections as there may be at once; the others wait outside.
//!
//! Each takes a file descriptor, and so does each call to a provider or a store: a crowd must leave some for them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// How many may be of use where no more requests than that are answered at once. Each holds some 30 KB, and three times that
/// while it stalls within a long head or body.
const MOST_CONNECTIONS: usize = 16_384;
/// Descriptors for what is neither a client nor a call that answers one: stores, files, the runtime.
const OTHER_DESCRIPTORS: usize = 256;

/// How many connections `descriptors` allow, when each of `max_in_flight` requests may call a provider.
pub fn connections(descriptors: u64, max_in_flight: usize) -> usize {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let kept_back = (max_in_flight + OTHER_DESCRIPTORS).min(descriptors / 4);
    (descriptors - kept_back).min(max_in_flight.max(MOST_CONNECTIONS))
}

/// Where connections come in.
pub(super) struct Door {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    is_full: bool,
}

/// A connection that was let in. Another one may take its seat when that is dropped.
pub(super) struct Guest {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) seat: OwnedSemaphorePermit,
}

impl Door {
    pub(super) fn new(listener: TcpListener, connections: usize) -> Self {
        Self { listener, seats: Arc::new(Semaphore::new(connections)), is_full: false }
    }

    /// The next connection. None is lost when this is dropped on the way.
    pub(super) async fn next(&mut self) -> Guest {
        let seat = self.seat().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return Guest { stream, peer, seat },
                Err(error) => accept_failed(&error).await,
            }
        }
    }

    /// Shuts the door. Those whom the system has let in already, and nobody has met, are no newcomers: a client that is refused
    /// goes elsewhere, but one that was let in may have asked.
    pub(super) fn close(self) -> Vec<Guest> {
        let Ok(listener) = self.listener.into_std() else { return Vec::new() };
        let mut guests = Vec::new();
        while let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned()
            && let Ok((stream, peer)) = listener.accept()
            && let Ok(()) = stream.set_nonblocking(true)
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            guests.push(Guest { stream, peer, seat });
        }
        guests
    }

    async fn seat(&mut self) -> OwnedSemaphorePermit {
        let was_full = self.is_full;
        if let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() {
            self.is_full = false;
            return seat;
        }
        self.is_full = true;
        if !was_full {
            tracing::warn!("there are as many connections as there may be: new ones wait");
        }
        let seat = Arc::clone(&self.seats).acquire_owned().await;
        seat.unwrap_or_else(|_| unreachable!("nobody closes the semaphore"))
    }
}

async fn accept_failed(error: &io::Error) {
    // A client that left before it was accepted is no failure of ours.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    // Most likely out of file descriptors: some will be free in a moment.
    tracing::error!(%error, "a connection could not be accepted");
    sleep(Duration::from_millis(100)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whom_the_system_has_let_in_is_met_when_the_door_is_shut_as_far_as_there_are_seats() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let guests = Door::new(listener, 2).close();
        let met: Vec<_> = guests.iter().map(|guest| guest.peer).collect();
        let first: Vec<_> = clients[..2].iter().map(|client| client.local_addr().unwrap()).collect();
        assert_eq!(met, first);
        assert!(TcpStream::connect(address).await.is_err(), "nobody else is let in");
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_in_a_moment_is_waited_for() {
        for (kind, wait_ms) in [
            (io::ErrorKind::ConnectionAborted, 0),
            (io::ErrorKind::ConnectionReset, 0),
            // As where there are no descriptors left.
            (io::ErrorKind::Other, 100),
        ] {
            let begun = tokio::time::Instant::now();
            accept_failed(&kind.into()).await;
            assert_eq!(begun.elapsed(), Duration::from_millis(wait_ms), "{kind}");
        }
    }

    #[test]
    fn a_crowd_leaves_descriptors_for_the_calls_that_answer_it() {
        for (descriptors, max_in_flight, expected) in [
            (0, 1, 0),
            (256, 1_024, 192),
            (1_024, 1_024, 768),
            (8_192, 1_024, 6_912),
            (1_048_576, 1_024, 16_384),
            (u64::MAX, 100_000, 100_000),
        ] {
            assert_eq!(connections(descriptors, max_in_flight), expected, "{descriptors}");
        }
    }
}
