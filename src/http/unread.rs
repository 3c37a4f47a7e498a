//! Lets a client that is still sending hear why it is refused.
//!
//! A connection that is closed over unread bytes is reset, and the reset may overtake the reply. So what is left of a
//! request's body when nobody wants it any more is read and thrown away, for a little while.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the rest may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of it is read.
const LIMIT_BYTES: usize = 32 << 20;

/// A request's body that is drained when it is dropped before its end.
pub struct Unread {
    body: Option<Incoming>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Unread {
    /// Drains in `tasks`, until `stopping` is cancelled.
    pub fn new(body: Incoming, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        Self { body: Some(body), tasks, stopping }
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(rest) = self.body.take().filter(|body| !body.is_end_stream()) {
            // A body that ends by an error, the limit or the clock is dropped, which closes the connection.
            let stopping = self.stopping.clone();
            self.tasks.spawn(async move { stopping.run_until_cancelled(timeout(PATIENCE, drain(rest))).await });
        }
    }
}

async fn drain(mut rest: Incoming) {
    let mut left = LIMIT_BYTES;
    while let Some(Ok(frame)) = rest.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(read) {
            Some(less) => left = less,
            None => return,
        }
    }
}
