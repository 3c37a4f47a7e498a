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
        // Copied: what is left of a chunk, even nothing, would keep all that was read with it until the next one comes.
        if held > MAX_EVENT_BYTES { Err(FrameError::Malformed) } else { Ok(Bytes::copy_from_slice(&chunk)) }
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

/// JSON that stands on lines of its own, where a stream of events has none.
#[derive(Default)]
struct Rest {
    /// From its first line on. Empty: there is none so far.
    json: Vec<u8>,
    /// Whether the next byte continues a line.
    is_within_line: bool,
}

impl Rest {
    fn add(&mut self, chunk: &[u8]) {
        /// More than any error; what is longer is not read.
        const MAX_BYTES: usize = 64 << 10;
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            if !std::mem::replace(&mut self.is_within_line, !line.ends_with(b"\n")) {
                match line.first() {
                    Some(b'{' | b'[') if self.json.is_empty() => self.json.extend(line),
                    // A field of an event, or a comment: it goes on.
                    Some(b'd' | b'e' | b'i' | b'r' | b':') => self.json.clear(),
                    _ if self.json.is_empty() => {}
                    _ => self.json.extend(line),
                }
            } else if !self.json.is_empty() {
                self.json.extend(line);
            }
        }
        self.json.truncate(MAX_BYTES);
    }

    /// The JSON, if there is some.
    fn json(&mut self) -> Option<Bytes> {
        let json = std::mem::take(&mut self.json);
        (!json.is_empty()).then(|| Bytes::from(json))
    }
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
        for json in ["{\n  \"error\": 1\n}\n", "{\r\n\"error\": 1}\r\n\r\n", "[{}]"] {
            let body = format!("data: one\r\n\r\n{json}");
            for size in 1..body.len() {
                let frames = split(body.as_bytes(), size).await;
                assert_eq!(frames, ["one", json].map(|data| Ok(Bytes::from(data.to_owned()))), "in pieces of {size}");
            }
        }
        let goes_on = split(b"data: one\n\n{\n}\n\ndata: two\n\n", usize::MAX).await;
        assert_eq!(goes_on, ["one", "two"].map(|data| Ok(Bytes::from(data))));
    }

    #[tokio::test]
    async fn what_is_no_text_is_no_frame() {
        let events = split(b"data: one\n\ndata: \xff\n\n", usize::MAX).await;
        assert_eq!(events.get(..2), Some(&[Ok("one".into()), Err(FrameError::Malformed)][..]));
        let lines = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{}\n\xff\n"))]);
        let lines: Vec<_> = frames(Framing::Lines, lines).take(2).collect().await;
        assert_eq!(lines, [Ok("{}".into()), Err(FrameError::Malformed)]);
    }

    #[tokio::test]
    async fn an_event_without_end_is_given_up() {
        let endless = stream::iter(std::iter::repeat_n(Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1 << 20])), 20));
        let got: Vec<_> = frames(Framing::Events, endless).take(1).collect().await;
        assert_eq!(got, [Err(FrameError::Malformed)]);
    }
}
