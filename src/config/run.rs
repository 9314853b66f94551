//! `[run]`: its keys, their values, and how the log shows them.
//!
//! A new key is a row in [`RUN`], a field of [`Run`], and a line in [`Run::of`] and in `Display`;
//! docs/architecture/extending.md lists the other places. `config::sections` checks combinations of two keys.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::key::{Kind, Section, Values, choice, key, with};
use crate::util::logging::pairs::Text;

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
        key("heartbeat_file", Kind::Text),
    ],
    later: &[],
};

/// `[run]`: limits and deadlines of the process.
#[derive(Debug, Clone)]
pub struct Run {
    /// Memory limit of the process, in bytes. At the start it is divided for `partitions_max` partitions.
    pub memory_bytes: u64,
    /// The file sets it. Otherwise it is the default, or less if the process has less (`util::memory::limit_bytes`).
    pub memory_is_written: bool,
    /// Maximum number of partitions; 0: all partitions of the topics.
    pub partitions_max: u32,
    /// Maximum number of rows in one batch write.
    pub batch_rows_max: usize,
    /// Maximum payload bytes in one batch write; at most half of `memory_bytes`.
    pub batch_bytes_max: usize,
    /// Interval between two commits of a partition's offset.
    pub commit_interval: Duration,
    /// Time from the stop request to the end; at least two `write_timeout`s.
    pub shutdown_grace: Duration,
    /// `None`: wait for Kafka and Aerospike without limit (written as `"0"`).
    pub start_timeout: Option<Duration>,
    /// Time-out of one attempt to write a batch.
    pub write_timeout: Duration,
    /// How long a partition that has messages may make no progress; at least two `write_timeout`s.
    pub stall_after: Duration,
    /// What to do then.
    pub stall_action: StallAction,
    /// Maximum number of rows in flight to the database, over all partitions.
    pub rows_in_flight_max: usize,
    /// Maximum number of rows per second to the database, over all partitions; `None`: no limit.
    pub rows_per_second_max: Option<u32>,
    /// Part of the guards' names. With another number all messages count as new (a deliberate re-run).
    pub guard_epoch: u32,
    /// The file whose time moves while a restart would not help. `None`: no such file.
    pub heartbeat_file: Option<PathBuf>,
}

/// `run.stall_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// Log an ERROR line, and show the state on the progress line.
    Report,
    /// The same, and the service exits (75), so that its supervisor restarts it.
    Exit,
}

impl Run {
    /// Takes the values of the keys of [`RUN`]. `heartbeat_file` has rules of its own. `None` if a value is faulty.
    pub fn of(values: &Values, heartbeat_file: Option<PathBuf>) -> Option<Run> {
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
            heartbeat_file,
        })
    }
}

/// As the log shows it at the start.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.memory_is_written {
            true => write!(f, "memory={}MiB", self.memory_bytes / (1024 * 1024))?,
            // What it comes to depends on the partitions: the line `memory:` says it.
            false => f.write_str("memory=default")?,
        }
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
        write!(f, " guard_epoch={}", self.guard_epoch)?;
        match &self.heartbeat_file {
            None => f.write_str(" heartbeat_file=none"),
            Some(file) => write!(f, " heartbeat_file={}", Text(&file.display().to_string())),
        }
    }
}
