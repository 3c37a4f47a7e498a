//! A reply's body that holds something until it has ended: a permit, a line for the log.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body, and what is dropped with it.
pub struct Held<T> {
    body: Body,
    _held: T,
}

impl<T> Held<T> {
    /// `body`, holding `held`.
    pub fn new(body: Body, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<T: Send + Unpin + 'static> Held<T> {
    /// The same, for where any body is taken.
    pub fn body(body: Body, held: T) -> Body {
        Body::new(Self::new(body, held))
    }
}

impl<T: Unpin> HttpBody for Held<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
