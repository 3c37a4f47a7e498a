//! One stream, many readers, each from the start and at its own pace.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::{sync::watch, time::Instant};
use tracing::Span;

use crate::generate::{ErrorKind, Event, EventStream, GenerateError, Purpose, Seat, ToolPiece, Waiting};

use super::{pilot::Pilot, shelf::Found};

/// Pieces of the same text are joined up to this length, so that an answer in crumbs takes no more memory than one in slices.
const SEGMENT_BYTES: usize = 8 << 10;

/// What a flight brings, as it comes. Dropped before its end, it tells every reader so.
pub(super) struct Log {
    state: watch::Sender<State>,
    waiting: Waiting,
    begun: Instant,
    /// What the call is a part of: the request that began it.
    span: Span,
}

/// One who reads a [`Log`]. As long as there is one, the log is not abandoned.
pub(super) struct Reader {
    state: watch::Receiver<State>,
    /// The segment that is read next, and how much of it was read.
    at: usize,
    offset: usize,
    is_over: bool,
    /// Its place among the clients that wait. `None`: it is none, and pays nothing.
    seat: Option<Seat>,
}

/// How a flight began.
#[derive(Clone)]
pub(super) enum Opening {
    /// The cache had the answer after all.
    Stored(Found),
    /// A provider is asked.
    Live,
}

#[derive(Default)]
struct State {
    opening: Option<Opening>,
    /// Whether anybody reads along. While nobody does, those who wait for the end are not woken before it.
    is_read_along: AtomicBool,
    segments: Vec<Segment>,
    end: Option<Result<(), GenerateError>>,
    /// The client that pays: of those that wait at the end, the one that has waited longest. What it pays for, the others have for
    /// nothing.
    payer: Option<u64>,
}

enum Segment {
    /// Text of the answer, or of the arguments of a call.
    Text(Vec<u8>, Whose),
    Event(Event),
}

/// What a text belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The answer.
    Answer,
    /// The arguments of this call.
    Call(usize),
}

impl Whose {
    fn event(self, text: Bytes) -> Event {
        match self {
            Whose::Answer => Event::Text(text),
            Whose::Call(of) => Event::Tool(ToolPiece::Arguments { of, text }),
        }
    }
}

impl Log {
    /// An empty log and its first reader, who reads for `purpose`.
    pub(super) fn new(purpose: &Purpose) -> (Self, Reader) {
        let (state, waiting) = (watch::Sender::new(State::default()), Waiting::default());
        let log = Self { state, waiting, begun: Instant::now(), span: Span::current() };
        let reader = log.reader(purpose);
        (log, reader)
    }

    /// One more reader, who reads for `purpose`.
    pub(super) fn reader(&self, purpose: &Purpose) -> Reader {
        let seat = match purpose {
            Purpose::Clients(_) => Some(self.waiting.seat()),
            Purpose::Refresh => None,
        };
        Reader { state: self.state.subscribe(), at: 0, offset: 0, is_over: false, seat }
    }

    /// The clients among its readers.
    pub(super) fn waiting(&self) -> Waiting {
        self.waiting.clone()
    }

    /// What the call is a part of.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// How long ago the log was begun.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether any of the answer has come.
    pub(super) fn has_text(&self) -> bool {
        self.state.borrow().segments.iter().any(|segment| matches!(segment, Segment::Text(..)))
    }

    pub(super) fn open(&self, opening: Opening) {
        self.state.send_modify(|state| state.opening = Some(opening));
    }

    pub(super) fn push(&self, event: Event) {
        let (text, whose) = match event {
            Event::Text(text) => (text, Whose::Answer),
            Event::Tool(ToolPiece::Arguments { of, text }) => (text, Whose::Call(of)),
            event => return self.add(|segments| segments.push(Segment::Event(event))),
        };
        self.add(|segments| match segments.last_mut() {
            Some(Segment::Text(segment, of)) if *of == whose && segment.len() + text.len() <= SEGMENT_BYTES => {
                segment.extend_from_slice(&text);
            }
            _ => segments.push(Segment::Text(text.into(), whose)),
        });
    }

    fn add(&self, piece: impl FnOnce(&mut Vec<Segment>)) {
        self.state.send_if_modified(|state| {
            piece(&mut state.segments);
            *state.is_read_along.get_mut()
        });
    }

    /// The end, with the last event if it is a good one.
    pub(super) fn close(&self, end: Result<Option<Event>, GenerateError>) {
        let payer = self.waiting.first();
        self.state.send_modify(|state| {
            state.payer = payer;
            state.end = Some(end.map(|last| state.segments.extend(last.map(Segment::Event))));
        });
    }

    /// Waits until nobody reads any more. Someone may begin to again.
    pub(super) async fn abandoned(&self) {
        self.state.closed().await;
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.state.receiver_count() == 0
    }
}

impl State {
    /// `event` as a reader is told it: only who pays is told what the answer costs.
    fn tell(&self, event: &Event, seat: Option<&Seat>) -> Event {
        let mut event = event.clone();
        if let Event::Finish { cost, .. } = &mut event {
            *cost = cost.filter(|_| seat.is_some_and(|seat| self.payer == Some(seat.number())));
        }
        event
    }
}

impl Reader {
    /// Waits until it is known how the flight began.
    ///
    /// # Errors
    /// What it was refused for before it began.
    pub(super) async fn opening(&mut self) -> Result<Opening, GenerateError> {
        let state = self.state.wait_for(|state| state.opening.is_some() || state.end.is_some()).await;
        // The log is gone without an end: whoever wrote it panicked.
        let state = state.map_err(|_| ErrorKind::Internal)?;
        match (&state.opening, &state.end) {
            (Some(opening), _) => Ok(opening.clone()),
            (None, Some(Err(error))) => Err(error.clone()),
            (None, _) => Err(ErrorKind::Internal.into()),
        }
    }

    async fn next(&mut self) -> Option<Result<Event, GenerateError>> {
        while !self.is_over {
            if let Some(next) = self.at_hand() {
                self.is_over = next.is_err();
                return Some(next);
            }
            if self.is_over {
                break;
            }
            if self.state.changed().await.is_err() && !self.has_more() {
                self.is_over = true;
                return Some(Err(ErrorKind::Internal.into()));
            }
        }
        None
    }

    /// What can be read without waiting.
    fn at_hand(&mut self) -> Option<Result<Event, GenerateError>> {
        let state = self.state.borrow_and_update();
        while let Some(segment) = state.segments.get(self.at) {
            match segment {
                Segment::Text(text, whose) => {
                    let unread = text.get(self.offset..).unwrap_or_default();
                    // The last segment may grow yet.
                    let is_last = self.at + 1 == state.segments.len();
                    if is_last && unread.is_empty() {
                        break;
                    }
                    self.offset = text.len();
                    if !is_last {
                        (self.at, self.offset) = (self.at + 1, 0);
                    }
                    if !unread.is_empty() {
                        return Some(Ok(whose.event(Bytes::copy_from_slice(unread))));
                    }
                }
                Segment::Event(event) => {
                    self.at += 1;
                    return Some(Ok(state.tell(event, self.seat.as_ref())));
                }
            }
        }
        match &state.end {
            Some(Err(error)) => Some(Err(error.clone())),
            Some(Ok(())) => {
                self.is_over = true;
                None
            }
            None => None,
        }
    }

    /// Whether something is left to read now that the log is gone.
    fn has_more(&self) -> bool {
        let state = self.state.borrow();
        let unread_text = |segment: &Segment| match segment {
            Segment::Text(text, _) => text.len() > self.offset,
            Segment::Event(_) => true,
        };
        state.end.is_some() || state.segments.get(self.at).is_some_and(unread_text)
    }

    /// All events.
    pub(super) fn into_events(self) -> EventStream {
        // Under the lock, so that what is added from here on wakes it, and what was added before is there.
        self.state.borrow().is_read_along.store(true, Relaxed);
        stream::unfold(self, |mut reader| async move { reader.next().await.map(|event| (event, reader)) }).boxed()
    }

    /// The last event alone, for one who waits for the whole, and goes on with the flight meanwhile if that is its own.
    pub(super) fn into_end(mut self, pilot: Option<Pilot>) -> EventStream {
        let end = async move {
            match pilot {
                Some(mut pilot) => pilot.until(self.end()).await,
                None => self.end().await,
            }
        };
        stream::once(end).boxed()
    }

    async fn end(&mut self) -> Result<Event, GenerateError> {
        let state = self.state.wait_for(|state| state.end.is_some()).await.map_err(|_| ErrorKind::Internal)?;
        match (&state.end, state.segments.last()) {
            (Some(Err(error)), _) => Err(error.clone()),
            (_, Some(Segment::Event(last))) => Ok(state.tell(last, self.seat.as_ref())),
            (_, _) => Err(ErrorKind::Internal.into()),
        }
    }
}
