//! From bytes, however they were chunked, to the data of server-sent events.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sseer::EventStream;

/// The longest event (`providers.md` 2). The splitter itself would hold an endless line for ever.
const MAX_EVENT_BYTES: usize = 8 << 20;

/// Why there are no more events.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// The connection broke.
    Broken,
    /// What came is not UTF-8 or has no end.
    Malformed,
}

/// The `data` of each event, in order. Comments, names and ids are left out; an event without its closing blank line too.
pub(super) fn frames<E: Send>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send,
) -> impl Stream<Item = Result<Bytes, FrameError>> + Send {
    let since_event = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&since_event);
    let bounded = bytes.map(move |chunk| {
        let chunk = chunk.map_err(|_| FrameError::Broken)?;
        let held = counter.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
        if held > MAX_EVENT_BYTES { Err(FrameError::Malformed) } else { Ok(chunk) }
    });
    EventStream::new(bounded).map(move |event| {
        since_event.store(0, Ordering::Relaxed);
        match event {
            Ok(event) => Ok(event.data.into_inner()),
            Err(sseer::errors::EventStreamError::Transport(error)) => Err(error),
            Err(sseer::errors::EventStreamError::Utf8Error(_)) => Err(FrameError::Malformed),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    async fn split(body: &[u8], size: usize) -> Vec<Result<Bytes, FrameError>> {
        let chunks: Vec<Result<Bytes, Infallible>> =
            body.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        frames(stream::iter(chunks)).collect().await
    }

    #[tokio::test]
    async fn events_are_the_same_however_the_bytes_were_chunked() {
        let body = "\u{feff}: hello\r\ndata: one\r\ndata:two\r\n\r\nevent: x\nid: 7\ndata: dreißig ✅\n\ndata: last\r\rdata: unfinished\n";
        let whole = split(body.as_bytes(), usize::MAX).await;
        assert_eq!(whole, ["one\ntwo", "dreißig ✅", "last"].map(|data| Ok(Bytes::from(data))));
        for size in 1..body.len() {
            assert_eq!(split(body.as_bytes(), size).await, whole, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn an_event_without_end_is_given_up() {
        let endless = stream::iter(std::iter::repeat_n(Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1 << 20])), 20));
        let got: Vec<_> = frames(endless).take(1).collect().await;
        assert_eq!(got, [Err(FrameError::Malformed)]);
    }
}
