//! Gathers lines and writes them together, on a thread of their own.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered before they are written together. The first one after a silence is written at once.
const GATHER: Duration = Duration::from_millis(5);
/// How long the last lines may take: whoever reads them may have stopped to.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How much may wait while standard output takes nothing. More is dropped, for a log must not stop the service.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// Keeps the log going.
#[must_use]
pub struct LogGuard(Lines);

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.is_closed = true;
        self.0.0.changed.notify_all();
        drop(self.0.0.changed.wait_timeout_while(waiting, LAST_LINES, |waiting| !waiting.is_over));
    }
}

/// Lines on their way to a thread of their own, gathered in one buffer: under load a line costs neither an allocation nor a
/// wake-up nor a system call. (`tracing-appender` has all three.)
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// There will be no more lines.
    is_closed: bool,
    /// And all of them are written.
    is_over: bool,
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Every statement leaves it whole.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to `out` what comes, until the guard is dropped.
    pub(super) fn write_to(&self, mut out: impl Write + Send + 'static) -> io::Result<LogGuard> {
        let lines = self.clone();
        let write = move || {
            let mut batch = Vec::new();
            while lines.take(&mut batch) {
                // There is nowhere to say that the log cannot be written.
                drop(out.write_all(&batch).and_then(|()| out.flush()));
                batch.clear();
                lines.gather();
            }
            lines.waiting().is_over = true;
            lines.0.changed.notify_all();
        };
        thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(LogGuard(self.clone()))
    }

    /// Waits for lines and moves them to `batch`. False: there will be no more.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let is_idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.is_closed;
        let waiting = self.0.changed.wait_while(self.waiting(), is_idle);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.bytes, batch);
        !batch.is_empty()
    }

    /// Lets lines come for a while, unless there will be no more.
    fn gather(&self) {
        let waiting = self.0.changed.wait_timeout_while(self.waiting(), GATHER, |waiting| !waiting.is_closed);
        drop(waiting);
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Takes one line, whole, as the formatter writes it.
pub(super) struct Line<'a>(&'a Lines);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.waiting();
        let is_first = waiting.bytes.is_empty();
        if waiting.bytes.len() + line.len() <= MAX_WAITING_BYTES {
            waiting.bytes.extend_from_slice(line);
        }
        drop(waiting);
        if is_first {
            self.0.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::Written;

    #[test]
    fn every_line_is_written_whole_and_the_last_ones_at_the_end() {
        let (lines, written) = (Lines::default(), Written::default());
        let guard = lines.write_to(written.clone()).unwrap();
        let threads = ["a", "b", "c", "d"].map(|name| {
            let lines = lines.clone();
            thread::spawn(move || {
                for n in 0..1_000 {
                    lines.make_writer().write_all(format!("{name} {n}\n").as_bytes()).unwrap();
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        drop(guard);
        let written = written.text();
        for name in ["a", "b", "c", "d"] {
            let numbers: Vec<usize> =
                written.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok()).collect();
            assert_eq!(numbers, (0..1_000).collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn lines_that_nobody_takes_are_dropped_at_the_limit() {
        let lines = Lines::default();
        for _ in 0..10_000 {
            lines.make_writer().write_all(&[b'x'; 1_000]).unwrap();
        }
        assert!(lines.waiting().bytes.len() <= MAX_WAITING_BYTES);
    }
}
