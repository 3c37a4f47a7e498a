//! Ports for processes that have to be told theirs.

use std::{
    net::TcpListener,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Above those of every Redis and its cluster's traffic, below those that outgoing connections get. Such as the documents name are
/// not among them.
const PORTS: std::ops::Range<u16> = 30_100..32_700;

/// The next one to try. Other runs of the tests begin elsewhere.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(..)));

/// Ports of 127.0.0.1 that nobody listens at, and that nobody else is given.
pub(crate) fn ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| {
        let free =
            std::iter::repeat_with(next).take(PORTS.len()).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        free.expect("a free port")
    })
}

fn next() -> u16 {
    PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start)
}
