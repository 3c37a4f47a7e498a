//! What the system says of this process, under the names that every Prometheus client uses.

use std::sync::atomic::AtomicU64;

use procfs::{
    WithCurrentSystemInfo as _,
    process::{self, LimitValue},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::Counter, gauge::Gauge},
};

/// Read when it is asked for.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(read) = read() else { return Ok(()) };
        let Read { cpu_seconds, resident_bytes, start_seconds, open_files, max_files } = read;
        let cpu = Counter::<f64, AtomicU64>::default();
        cpu.inc_by(cpu_seconds);
        let help = "CPU time that the process took";
        let counter = encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?;
        cpu.encode(counter)?;
        let gauges = [
            ("process_resident_memory_bytes", "Memory that the process holds", resident_bytes),
            ("process_start_time_seconds", "When the process began, since the Unix epoch", start_seconds),
            ("process_open_fds", "File descriptors that are open", open_files),
            ("process_max_fds", "File descriptors that may be open", max_files),
        ];
        for (name, help, value) in gauges {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

struct Read {
    cpu_seconds: f64,
    resident_bytes: f64,
    start_seconds: f64,
    open_files: f64,
    max_files: f64,
}

/// `None`: there is no `/proc`.
#[expect(clippy::cast_precision_loss, reason = "exact up to nine petabytes")]
fn read() -> Option<Read> {
    let process = process::Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let limit = process.limits().ok()?.max_open_files.soft_limit;
    let since_epoch = procfs::boot_time_secs().ok()? as f64;
    let ticks = procfs::ticks_per_second() as f64;
    Some(Read {
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        resident_bytes: stat.rss_bytes().get() as f64,
        start_seconds: since_epoch + stat.starttime as f64 / ticks,
        open_files: process.fd_count().ok()? as f64,
        max_files: match limit {
            LimitValue::Value(limit) => limit as f64,
            LimitValue::Unlimited => f64::INFINITY,
        },
    })
}
