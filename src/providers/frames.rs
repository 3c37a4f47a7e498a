//! From bytes, however they were chunked, to the data of server-sent events, or to lines of JSON.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use sseer::EventStream;
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};

/// The longest event (`providers.md` 2). The splitter itself would hold an endless line for ever.
const MAX_EVENT_BYTES: usize = 8 << 20;

/// How a body is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// Lines of JSON.
    Lines,
}

/// Why there are no more frames.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// The connection broke.
    Broken,
    /// What came is not UTF-8 or has no end.
    Malformed,
}

/// The frames of a body.
pub(super) fn frames<E: Send + 'static>(
    framing: Framing,
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, FrameError>> {
    match framing {
        Framing::Events => events(bytes).boxed(),
        Framing::Lines => lines(bytes).boxed(),
    }
}

/// The lines, those without content left out. A last one without its end counts: whether it is whole, its JSON tells.
fn lines<E: Send>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send,
) -> impl Stream<Item = Result<Bytes, FrameError>> + Send {
    let bytes = bytes.map(|chunk| chunk.map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset)));
    let lines = FramedRead::new(StreamReader::new(bytes), LinesCodec::new_with_max_length(MAX_EVENT_BYTES));
    let frames = lines.map(|line| match line {
        Ok(line) => Ok(Bytes::from(line)),
        Err(LinesCodecError::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => Err(FrameError::Broken),
        Err(_) => Err(FrameError::Malformed),
    });
    frames.filter(|frame| std::future::ready(!matches!(frame, Ok(line) if line.iter().all(u8::is_ascii_whitespace))))
}

/// The `data` of each event, in order. Comments, names and ids are left out; an event without its closing blank line too.
/// Bare JSON behind the last event is the last frame: so Google says why it broke off.
fn events<E: Send>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send,
) -> impl Stream<Item = Result<Bytes, FrameError>> + Send {
    let since_event = Arc::new(AtomicUsize::new(0));
    let rest = Arc::new(Mutex::new(Rest::default()));
    let (counter, written) = (Arc::clone(&since_event), Arc::clone(&rest));
    let bounded = bytes.map(move |chunk| {
        let chunk = chunk.map_err(|_| FrameError::Broken)?;
        let held = counter.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
        written.lock().unwrap_or_else(PoisonError::into_inner).add(&chunk);
        if held > MAX_EVENT_BYTES { Err(FrameError::Malformed) } else { Ok(chunk) }
    });
    let events = EventStream::new(bounded).map(move |event| {
        since_event.store(0, Ordering::Relaxed);
        match event {
            Ok(event) => Ok(event.data.into_inner()),
            Err(sseer::errors::EventStreamError::Transport(error)) => Err(error),
            Err(sseer::errors::EventStreamError::Utf8Error(_)) => Err(FrameError::Malformed),
        }
    });
    let last = async move { rest.lock().unwrap_or_else(PoisonError::into_inner).json().map(Ok) };
    events.chain(stream::once(last).filter_map(std::future::ready))
}

/// What has come since the last blank line.
#[derive(Default)]
struct Rest {
    bytes: Vec<u8>,
    /// Whether it is longer than any error, so that nothing of it is kept.
    is_long: bool,
}

impl Rest {
    fn add(&mut self, chunk: &[u8]) {
        const MAX_REST_BYTES: usize = 64 << 10;
        if let Some(at) = behind_blank_line(chunk) {
            self.bytes.clear();
            self.is_long = false;
            self.bytes.extend(chunk.get(at..).unwrap_or_default());
            return;
        }
        self.bytes.extend(chunk);
        if let Some(at) = behind_blank_line(&self.bytes) {
            self.bytes.drain(..at);
            self.is_long = false;
        }
        self.is_long |= self.bytes.len() > MAX_REST_BYTES;
        if self.is_long {
            // What is left is enough to see the next blank line.
            self.bytes.drain(..self.bytes.len().saturating_sub(3));
        }
    }

    /// The rest, if it looks like JSON.
    fn json(&mut self) -> Option<Bytes> {
        let bytes = std::mem::take(&mut self.bytes);
        let is_json = bytes.trim_ascii().starts_with(b"{") || bytes.trim_ascii().starts_with(b"[");
        (is_json && !self.is_long).then(|| Bytes::from(bytes))
    }
}

/// The place behind the last blank line, if there is one.
fn behind_blank_line(bytes: &[u8]) -> Option<usize> {
    let ends: [&[u8]; 2] = [b"\n\n", b"\n\r\n"];
    let last = |end: &[u8]| bytes.windows(end.len()).rposition(|window| window == end).map(|at| at + end.len());
    ends.into_iter().filter_map(last).max()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn split(body: &[u8], size: usize) -> Vec<Result<Bytes, FrameError>> {
        let chunks: Vec<Result<Bytes, Infallible>> =
            body.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        frames(Framing::Events, stream::iter(chunks)).collect().await
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
    async fn bare_json_behind_the_last_event_is_a_frame() {
        let body = b"data: one\r\n\r\n{\n  \"error\": 1\n}\n";
        for size in 1..body.len() {
            let frames = split(body, size).await;
            assert_eq!(
                frames,
                ["one", "{\n  \"error\": 1\n}\n"].map(|data| Ok(Bytes::from(data))),
                "in pieces of {size}"
            );
        }
    }

    #[tokio::test]
    async fn an_event_without_end_is_given_up() {
        let endless = stream::iter(std::iter::repeat_n(Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1 << 20])), 20));
        let got: Vec<_> = frames(Framing::Events, endless).take(1).collect().await;
        assert_eq!(got, [Err(FrameError::Malformed)]);
    }
}
