//! The memory bound: what the process may hold, computed before anything is started, from settings alone.
//!
//! bound = process + brokers × one fetch + partitions × (queue cap + one fetch of overshoot + batch × copies).
//! The caps are fixed when the Kafka client is made, so the bound is decided then: refused at the start if the
//! settings cannot hold, and never later.

use std::fmt;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The program, librdkafka's and the Aerospike client's own state, thread stacks in use, allocator slack.
const PROCESS_BYTES: u64 = 64 * MIB;
/// A batch exists as messages, as rows, as client rows, and in the connection's send and answer buffers.
const BATCH_COPIES: u64 = 4;
/// More than this in a partition's queue makes nothing faster.
const QUEUE_BYTES_MAX: u64 = 16 * MIB;
const QUEUE_BYTES_MIN: u64 = 64 * KIB;
const FETCH_PARTITION_BYTES_MAX: u64 = MIB;
const FETCH_PARTITION_BYTES_MIN: u64 = 64 * KIB;
/// One answer of one broker, over all partitions.
const FETCH_BYTES_MAX: u64 = 16 * MIB;
/// Below this share a partition cannot hold a queue, a fetch and a batch.
const SHARE_BYTES_MIN: u64 = 512 * KIB;

/// The caps that keep the process inside its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// What it was sized for.
    pub partitions: u64,
    pub brokers: u64,
    /// librdkafka's `queued.max.messages.kbytes`, in bytes; it applies to each partition.
    pub queue_bytes: u64,
    /// `max.partition.fetch.bytes`.
    pub fetch_partition_bytes: u64,
    /// `fetch.max.bytes`.
    pub fetch_bytes: u64,
    /// The cap of a batch's payload: `run.batch_bytes_max`, or less where many partitions share the memory.
    pub batch_bytes: u64,
    /// What all of it can come to.
    pub bound_bytes: u64,
}

/// `run.memory` cannot hold that many partitions.
#[derive(Debug, PartialEq, Eq)]
pub struct TooSmall {
    memory_bytes: u64,
    partitions: u64,
    needed_bytes: u64,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "run.memory = {} MiB cannot hold {} partitions; set it to \"{}MiB\" or more, or lower run.partitions_max",
            self.memory_bytes / MIB,
            self.partitions,
            self.needed_bytes.div_ceil(MIB)
        )
    }
}

impl std::error::Error for TooSmall {}

/// Sizes the caps for `partitions` partitions over `brokers` brokers within `memory_bytes`.
///
/// # Errors
/// When the memory is too small for that many partitions.
pub fn plan(
    memory_bytes: u64,
    batch_bytes_max: u64,
    partitions: usize,
    brokers: usize,
) -> Result<MemoryPlan, TooSmall> {
    let partitions = partitions.max(1) as u64;
    let brokers = brokers.max(1) as u64;
    // Room for the brokers' answers: at most a quarter of the memory.
    let fetch_bytes = (memory_bytes / 4 / brokers).clamp(MIB, FETCH_BYTES_MAX);
    let fixed = PROCESS_BYTES + brokers * fetch_bytes;
    let share = memory_bytes.saturating_sub(fixed) / partitions;
    if share < SHARE_BYTES_MIN {
        return Err(TooSmall {
            memory_bytes,
            partitions,
            needed_bytes: needed_bytes(partitions, brokers),
        });
    }
    let batch_bytes = batch_bytes_max.min(share / 2 / BATCH_COPIES);
    let fetch_partition_bytes = (share / 4).clamp(FETCH_PARTITION_BYTES_MIN, FETCH_PARTITION_BYTES_MAX);
    let queue_bytes =
        (share - BATCH_COPIES * batch_bytes - fetch_partition_bytes).clamp(QUEUE_BYTES_MIN, QUEUE_BYTES_MAX);
    let bound_bytes = fixed + partitions * (queue_bytes + fetch_partition_bytes + BATCH_COPIES * batch_bytes);
    Ok(MemoryPlan {
        partitions,
        brokers,
        queue_bytes,
        fetch_partition_bytes,
        fetch_bytes,
        batch_bytes,
        bound_bytes,
    })
}

/// The least memory that holds so many partitions. What the brokers' answers take grows with the memory, up to its cap.
fn needed_bytes(partitions: u64, brokers: u64) -> u64 {
    let mut needed = 0;
    loop {
        let fetch_bytes = (needed / 4 / brokers).clamp(MIB, FETCH_BYTES_MAX);
        let with_it = PROCESS_BYTES + brokers * fetch_bytes + partitions * SHARE_BYTES_MIN;
        if with_it <= needed {
            return needed;
        }
        needed = with_it.next_multiple_of(MIB);
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bound={}MiB partitions={} queue={}KiB fetch={}KiB batch={}KiB brokers={} answer={}MiB process={}MiB",
            self.bound_bytes.div_ceil(MIB),
            self.partitions,
            self.queue_bytes / KIB,
            self.fetch_partition_bytes / KIB,
            self.batch_bytes / KIB,
            self.brokers,
            self.fetch_bytes / MIB,
            PROCESS_BYTES / MIB
        )
    }
}

/// The resident memory of this process, in bytes; `None` where `/proc` has none.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_never_passes_the_memory() {
        for memory_mib in [128, 256, 512, 1024, 8192] {
            for partitions in [1, 8, 64, 256, 1000] {
                for brokers in [1, 3, 12] {
                    if let Ok(plan) = plan(memory_mib * MIB, MIB, partitions, brokers) {
                        assert!(plan.bound_bytes <= memory_mib * MIB, "{plan:?}");
                        assert!(plan.batch_bytes > 0 && plan.queue_bytes >= QUEUE_BYTES_MIN);
                    }
                }
            }
        }
    }

    #[test]
    fn the_default_memory_holds_256_partitions() {
        let plan = plan(512 * MIB, MIB, 256, 3).unwrap();
        assert!(plan.batch_bytes >= 128 * KIB, "{plan:?}");
    }

    #[test]
    fn what_cannot_hold_is_refused_with_the_way_out() {
        let error = plan(96 * MIB, MIB, 256, 1).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("run.memory = 96 MiB cannot hold 256 partitions"),
            "{text}"
        );
        for (partitions, brokers) in [(256, 1), (8, 12), (1, 1), (1000, 40)] {
            let needed = needed_bytes(partitions, brokers);
            let count = |n: u64| usize::try_from(n).unwrap();
            assert!(
                plan(needed, MIB, count(partitions), count(brokers)).is_ok(),
                "{partitions} {brokers}"
            );
        }
    }

    #[test]
    fn this_process_has_a_resident_size() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > MIB));
    }
}
