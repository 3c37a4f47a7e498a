//! Where the log's lines go, and how they look.

use std::{
    io::{self, BufWriter, IsTerminal as _, Stdout, Write},
    thread,
    time::Duration,
};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// How long lines are gathered before they are written together. The first one after a silence is written at once.
const GATHER: Duration = Duration::from_millis(5);
/// Lines that wait to be written while standard output takes none; more are dropped, for a log must not stop the service.
const MAX_WAITING_LINES: usize = 16 << 10;

/// Begins to log, to standard output. Lines that still wait are written when the guard is dropped.
pub fn start(config: &LogConfig) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING_LINES)
        .finish(Gathering(BufWriter::with_capacity(64 << 10, io::stdout())));
    let filter = EnvFilter::builder().parse_lossy(&config.filter);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match config.format {
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
        LogFormat::Pretty => subscriber.with_ansi(io::stdout().is_terminal()).init(),
    }
    guard
}

/// Writes in batches. The thread behind the queue flushes whenever the queue is empty; resting there lets it fill again,
/// so that a line under load costs neither a wake-up nor a system call of its own.
struct Gathering(BufWriter<Stdout>);

impl Write for Gathering {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    #[expect(clippy::disallowed_methods, reason = "the thread is the log's own")]
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(GATHER);
        flushed
    }
}
