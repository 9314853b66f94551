//! `[run]`: its keys, what they become, and how the log shows them.
//!
//! A new key is a row in [`RUN`], a field of [`Run`], and a line in [`Run::of`] and in `Display`; docs/architecture/extending.md
//! has the other places. What holds between two keys is checked in `config::sections`.

use std::fmt;
use std::time::Duration;

use super::key::{Kind, Section, Values, choice, with};

/// `[run]`.
pub const RUN: Section = Section {
    title: "[run]",
    keys: &[
        with(
            "memory",
            Kind::Size {
                min: "16MiB",
                max: "1TiB",
            },
            "512MiB",
        ),
        with("partitions_max", Kind::Number { min: 0, max: 10_000 }, "0"),
        with("batch_rows_max", Kind::Number { min: 1, max: 5000 }, "200"),
        with(
            "batch_bytes_max",
            Kind::Size {
                min: "1KiB",
                max: "64MiB",
            },
            "1MiB",
        ),
        with("commit_interval", Kind::Duration { min: "10ms", max: "5m" }, "1s"),
        with("shutdown_grace", Kind::Duration { min: "20ms", max: "1h" }, "8s"),
        with("start_timeout", Kind::DurationOrZero { min: "1s", max: "1d" }, "0"),
        with("write_timeout", Kind::Duration { min: "10ms", max: "1m" }, "2s"),
        with("stall_after", Kind::Duration { min: "1s", max: "1d" }, "5m"),
        with("stall_action", choice(&["report", "exit"], &[]), "report"),
        with("rows_in_flight_max", Kind::Number { min: 1, max: 1_000_000 }, "4000"),
        with(
            "rows_per_second_max",
            Kind::Number {
                min: 0,
                max: 100_000_000,
            },
            "0",
        ),
        with(
            "guard_epoch",
            Kind::Number {
                min: 0,
                max: 4_294_967_295,
            },
            "0",
        ),
    ],
    later: &[],
};

/// `[run]`: bounds and deadlines of the process.
#[derive(Debug, Clone)]
pub struct Run {
    /// The bound of the process, sized at the start for `partitions_max`.
    pub memory_bytes: u64,
    /// The file says it; otherwise it is the default, and less where the process has less (`util::memory::limit_bytes`).
    pub memory_is_written: bool,
    /// 0: all partitions of the topics.
    pub partitions_max: u32,
    /// Rows in one batch write, at most.
    pub batch_rows_max: usize,
    /// Payload bytes in one batch write, at most; half of `memory_bytes` or less.
    pub batch_bytes_max: usize,
    /// Between two commits of a partition's offset.
    pub commit_interval: Duration,
    /// From being told to stop to leaving; at least two `write_timeout`s.
    pub shutdown_grace: Duration,
    /// `None`: wait for Kafka and Aerospike for ever (written `"0"`).
    pub start_timeout: Option<Duration>,
    /// Of one attempt to write a batch.
    pub write_timeout: Duration,
    /// How long a partition may make no progress though it has messages, at least two `write_timeout`s.
    pub stall_after: Duration,
    /// What is done then.
    pub stall_action: StallAction,
    /// Rows on their way to the database at once, over all partitions.
    pub rows_in_flight_max: usize,
    /// Rows sent to the database in a second, over all partitions; `None`: no limit.
    pub rows_per_second_max: Option<u32>,
    /// Part of the guards' names: another number makes all messages count anew (a deliberate re-run).
    pub guard_epoch: u32,
}

/// `run.stall_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// An ERROR line, and the state on the progress line.
    Report,
    /// The same, and the service ends (75), for its supervisor to start it again.
    Exit,
}

impl Run {
    /// What the keys of [`RUN`] say. Nothing if one of them is faulty.
    pub fn of(values: &Values) -> Option<Run> {
        Some(Run {
            memory_bytes: values.size("memory")?,
            memory_is_written: values.is_written("memory"),
            partitions_max: values.number("partitions_max")?,
            batch_rows_max: values.number("batch_rows_max")?,
            batch_bytes_max: values.size("batch_bytes_max")?,
            commit_interval: values.duration("commit_interval")?,
            shutdown_grace: values.duration("shutdown_grace")?,
            start_timeout: values.duration_or_zero("start_timeout")?,
            write_timeout: values.duration("write_timeout")?,
            stall_after: values.duration("stall_after")?,
            stall_action: match values.word("stall_action")? {
                "exit" => StallAction::Exit,
                _ => StallAction::Report,
            },
            rows_in_flight_max: values.number("rows_in_flight_max")?,
            rows_per_second_max: values.number_or_zero("rows_per_second_max")?,
            guard_epoch: values.number("guard_epoch")?,
        })
    }
}

/// As the log shows it at the start.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory={}MiB", self.memory_bytes / (1024 * 1024))?;
        write!(f, " partitions_max={}", self.partitions_max)?;
        write!(f, " batch_rows_max={}", self.batch_rows_max)?;
        write!(f, " batch_bytes_max={}KiB", self.batch_bytes_max / 1024)?;
        write!(f, " commit_interval={:?}", self.commit_interval)?;
        write!(f, " write_timeout={:?}", self.write_timeout)?;
        write!(f, " shutdown_grace={:?}", self.shutdown_grace)?;
        match self.start_timeout {
            None => f.write_str(" start_timeout=none")?,
            Some(timeout) => write!(f, " start_timeout={timeout:?}")?,
        }
        write!(f, " stall_after={:?}", self.stall_after)?;
        let stall_action = match self.stall_action {
            StallAction::Report => "report",
            StallAction::Exit => "exit",
        };
        write!(f, " stall_action={stall_action}")?;
        write!(f, " rows_in_flight_max={}", self.rows_in_flight_max)?;
        write!(f, " rows_per_second_max={}", self.rows_per_second_max.unwrap_or(0))?;
        write!(f, " guard_epoch={}", self.guard_epoch)
    }
}
