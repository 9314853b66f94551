//! `[run]`: bounds and deadlines of the process.

use std::time::Duration;

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
