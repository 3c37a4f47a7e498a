//! Where the log's lines go, and how they look.

mod json;
mod lines;

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    config::{LogConfig, LogFormat},
    trace,
};

use json::{JsonEvent, JsonFields};
use lines::Lines;
pub use lines::LogGuard;

/// Begins to log, to standard output, and lets `others` listen, who have filters of their own. Lines that still wait are written when
/// the guard is dropped.
///
/// # Errors
/// When the thread that writes cannot be started.
pub fn start(config: &LogConfig, mut others: Vec<Box<dyn Layer<Registry> + Send + Sync>>) -> io::Result<LogGuard> {
    let lines = Lines::default();
    let guard = lines.write_to(io::stdout())?;
    let layer = fmt::layer().with_writer(lines).with_target(false);
    let filter = config.filter.clone().with_target(trace::TARGET, LevelFilter::OFF);
    // In one list with the others: each then has a filter, and what nobody wants to hear is never even asked about.
    others.push(match config.format {
        LogFormat::Json => layer.event_format(JsonEvent).fmt_fields(JsonFields).with_filter(filter).boxed(),
        LogFormat::Pretty => layer.with_ansi(io::stdout().is_terminal()).with_filter(filter).boxed(),
    });
    tracing_subscriber::registry().with(others).init();
    Ok(guard)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    /// Keeps what is written.
    #[derive(Clone, Default)]
    pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
