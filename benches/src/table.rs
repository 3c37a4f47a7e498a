//! What is printed: the figures for `docs/performance.md`.

use std::{fmt, fs, thread::available_parallelism, time::Duration};

use crate::{memory::Row, wrk::Asked};

/// Where this was measured.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let processors = available_parallelism().map_or(0, usize::from);
    format!("{processors} processors ({name}), which the load and both sides share")
}

/// How many requests both sides answer, and what each costs.
pub struct Throughput {
    what: String,
    rows: Vec<String>,
}

impl Throughput {
    pub fn new(what: &str) -> Self {
        Self { what: what.to_owned(), rows: Vec::new() }
    }

    /// What came of the rounds: of the floor, and of the gateway.
    pub fn row(&mut self, connections: usize, rounds: &[(Asked, Asked)]) {
        let of = |number: fn(&(Asked, Asked)) -> f64| Spread::of(rounds.iter().map(number));
        let ratio = of(|(floor, gateway)| gateway.rate / floor.rate);
        self.rows.push(format!(
            "| {connections} | {:.0} | {:.0} | **{:.2}** ({:.2}–{:.2}) | {:.0} | {:.0} |",
            of(|(floor, _)| floor.rate).median,
            of(|(_, gateway)| gateway.rate).median,
            ratio.median,
            ratio.least,
            ratio.most,
            of(|(floor, _)| floor.cpu).median,
            of(|(_, gateway)| gateway.cpu).median,
        ));
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:\n", self.what)?;
        writeln!(
            f,
            "| connections | floor, a second | gateway, a second | ratio (range) | floor, CPU µs | gateway, CPU µs |"
        )?;
        write!(f, "|---:|---:|---:|---:|---:|---:|\n{}", self.rows.join("\n"))
    }
}

/// How much longer each way takes than the first.
pub fn added(what: &str, names: &[&str], took: Vec<Vec<Duration>>) -> String {
    let times: Vec<_> = took
        .into_iter()
        .map(|mut took| {
            took.sort_unstable();
            let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e3;
            (at(50), at(99))
        })
        .collect();
    let (median, late) = times[0];
    let rows = names.iter().zip(&times).map(|(name, (at_50, at_99))| {
        format!("| {name} | {at_50:.3} | {at_99:.3} | {:+.3} | {:+.3} |", at_50 - median, at_99 - late)
    });
    let rows: Vec<_> = rows.collect();
    format!(
        "{what}, in milliseconds:\n\n| | median | p99 | added | at p99 |\n|---|---:|---:|---:|---:|\n{}",
        rows.join("\n")
    )
}

/// How long starts take.
pub fn starts(what: &str, took: &[Duration]) -> String {
    let spread = Spread::of(took.iter().map(|took| took.as_secs_f64() * 1e3));
    format!(
        "{what}, in milliseconds:\n\n| starts | median | worst |\n|---:|---:|---:|\n| {} | {:.1} | {:.1} |",
        took.len(),
        spread.median,
        spread.most
    )
}

/// What is held, and may be.
pub fn memory(what: &str, rows: &[Row]) -> String {
    let rows = rows.iter().map(|Row { what, held, line }| {
        let line = line.map_or_else(String::new, |line| {
            let is_kept = if held.now < line { "" } else { " **missed**" };
            format!("{line:.1}{is_kept}")
        });
        format!("| {what} | {:.1} | {:.1} | {line} |", held.now, held.most)
    });
    let rows: Vec<_> = rows.collect();
    format!(
        "{what}, in MB:\n\n| | resident | at most so far | should be below |\n|---|---:|---:|---:|\n{}",
        rows.join("\n")
    )
}

/// Several measurements of one thing.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        Self { least: numbers[0], median: numbers[numbers.len() / 2], most: numbers[numbers.len() - 1] }
    }
}
