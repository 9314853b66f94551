//! The memory bound: how much memory the process may use, computed from settings alone, before anything is started.
//!
//! bound = process + answers kept by one message + brokers × one answer + producer queue × copies + partitions ×
//! (thread + queue + one fetch, unpacked + batch × copies)
//!
//! A queue is limited twice: by the bytes of its messages and by their number, since librdkafka keeps some 360 bytes of
//! its own for each (measured: 4,000,000 queued messages of 33 bytes were 1,390 MiB; its limit in bytes counts payloads
//! only).
//!
//! Messages that are taken from a queue ahead of their batch count as part of it: no more are taken than it has room
//! for, unless messages suddenly become larger (`kafka/consumer/intake.rs`). That is not in the bound.
//!
//! The limits are fixed when the Kafka client is created. So settings that do not fit are refused at the start and
//! never later. If more partitions are assigned than planned for, batches get smaller
//! ([`MemoryPlan::batch_bytes_for`]). A member that refused partitions would only pass the problem on to the next
//! member.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The program, the state of librdkafka and of the Aerospike client, allocator slack.
const PROCESS_BYTES: u64 = 64 * MIB;
/// The used part of a worker's stack, its connection to the database, librdkafka's state of the partition.
const THREAD_BYTES: u64 = 128 * KIB;
/// What librdkafka keeps for each queued message, in addition to its payload.
const MESSAGE_BYTES: u64 = 400;
/// A fetch needs more memory than its bytes on the network: it is decompressed as a whole, and each message gets its
/// [`MESSAGE_BYTES`].
const UNPACKED: u64 = 6;
/// A batch exists as messages, as rows, as client rows, and in the connection's send and receive buffers.
const BATCH_COPIES: u64 = 4;
/// A larger queue per partition makes nothing faster.
const QUEUE_BYTES_MAX: u64 = 8 * MIB;
const QUEUE_BYTES_MIN: u64 = 64 * KIB;
/// Kafka's largest batch of records, unless a topic's `max.message.bytes` is changed (1 MiB and 12 bytes). A broker sends
/// whole batches only, and a batch above this limit only as the first one of an answer. So with a lower limit an answer
/// can have one batch of one partition, and the broker has looked up the other partitions for nothing. (Measured with 256
/// partitions: `docs/architecture/decisions-memory-and-speed.md`.)
const FETCH_PARTITION_BYTES_MAX: u64 = MIB + 4 * KIB;
const FETCH_PARTITION_BYTES_MIN: u64 = 32 * KIB;
/// One answer of one broker, for all partitions.
const FETCH_BYTES_MAX: u64 = 4 * MIB;
/// A waiting message keeps in memory the whole answer in which it came, including messages of other partitions that
/// were read long ago. So many bytes may be read of other partitions before a partition that falls behind gives up its
/// queue (`worker`). About as many more may be read before that takes effect.
const PIN_BYTES_MAX: u64 = 16 * MIB;
const PIN_BYTES_MIN: u64 = 2 * MIB;
const PINS: u64 = 4;
/// What librdkafka and we keep for each message to produce, in addition to key, payload and headers.
pub const PRODUCED_MESSAGE_BYTES: u64 = 512;
/// The producer's queue.
const PRODUCER_QUEUE_BYTES_MAX: u64 = 64 * MIB;
const PRODUCER_QUEUE_BYTES_MIN: u64 = MIB;
/// A message to produce exists three times: in the queue, in the request that carries it (compressed or not), and in
/// the worker's outbox, which may have to send it again.
const PRODUCER_COPIES: u64 = 3;
/// With a smaller share, a partition cannot hold a queue, a fetch and a batch.
const SHARE_BYTES_MIN: u64 = 768 * KIB;
/// A fetch's part of a partition's share.
const FETCH_SHARE: (u64, u64) = (3, 5);
/// With this share, a fetch has its largest size.
const SHARE_BYTES_FULL: u64 = THREAD_BYTES + UNPACKED * FETCH_PARTITION_BYTES_MAX * FETCH_SHARE.1 / FETCH_SHARE.0;
/// The highest rate at which one partition is read. It determines how long a full queue needs no fetch.
const BYTES_PER_SECOND: u64 = 100 * MIB;
const MESSAGES_PER_SECOND: u64 = 300_000;
/// If the process may have less memory than the default of `run.memory`, it uses this fraction of it.
const PART_OF_LIMIT: (u64, u64) = (7, 10);

/// The limits that keep the process within its memory bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The number of partitions for which it was computed.
    pub partitions: u64,
    pub brokers: u64,
    /// librdkafka's `queued.max.messages.kbytes`, in bytes. It applies to each partition.
    pub queue_bytes: u64,
    /// librdkafka's `queued.min.messages`: a partition with this many queued messages is not fetched.
    pub queue_messages: u64,
    /// `fetch.queue.backoff.ms`: how long librdkafka waits before it checks a partition with a full queue again.
    pub queue_backoff: Duration,
    /// `max.partition.fetch.bytes`.
    pub fetch_partition_bytes: u64,
    /// `fetch.max.bytes`.
    pub fetch_bytes: u64,
    /// How many bytes may be read of other partitions while a partition with a full queue falls behind.
    pub pin_bytes: u64,
    /// The limit of a batch's payload: `run.batch_bytes_max`, or less if many partitions share the memory.
    pub batch_bytes: u64,
    /// The limit of the producer's queue, by our own count (`kafka::producer`); 0 if nothing is produced.
    pub producer_queue_bytes: u64,
    /// The most memory that all of it can use.
    pub bound_bytes: u64,
}

impl MemoryPlan {
    /// The limit of a batch's payload for this many assigned partitions. Less than planned if there are more partitions
    /// than planned.
    pub fn batch_bytes_for(&self, partitions: u64) -> u64 {
        if partitions <= self.partitions {
            return self.batch_bytes;
        }
        (self.batch_bytes * self.partitions / partitions).max(BATCH_BYTES_MIN)
    }
}

/// A batch has at least about one message.
const BATCH_BYTES_MIN: u64 = 4 * KIB;

/// `run.memory` is too small for this many partitions.
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

/// Computes the limits for `partitions` partitions and `brokers` brokers within `memory_bytes`. `produces`: whether the
/// service has a producer.
///
/// # Errors
/// If the memory is too small for this many partitions.
pub fn plan(
    memory_bytes: u64,
    batch_bytes_max: u64,
    partitions: usize,
    brokers: usize,
    produces: bool,
) -> Result<MemoryPlan, TooSmall> {
    let partitions = partitions.max(1) as u64;
    let brokers = brokers.max(1) as u64;
    let fetch_bytes = fetch_bytes(memory_bytes, brokers);
    let pin_bytes = pin_bytes(memory_bytes);
    let producer_queue_bytes = producer_queue_bytes(memory_bytes, produces);
    let fixed = fixed_bytes(memory_bytes, brokers, produces);
    let share = memory_bytes.saturating_sub(fixed) / partitions;
    if share < SHARE_BYTES_MIN {
        return Err(TooSmall {
            memory_bytes,
            partitions,
            needed_bytes: needed_bytes(partitions, SHARE_BYTES_MIN, brokers, produces),
        });
    }
    let share = share - THREAD_BYTES;
    // With these shares, a batch of 200 messages of half a KiB and a fetch that makes one still fit if 256 partitions
    // share 512 MiB. (Measured: with fetches of 52 KiB, batches had 113 rows, and a message took 1.3 times the CPU.)
    let batch_bytes = batch_bytes_max.min(share * 3 / 10 / BATCH_COPIES);
    let (part, of) = FETCH_SHARE;
    let fetch_share = (share * part / of).min(share - BATCH_COPIES * batch_bytes - 2 * QUEUE_BYTES_MIN);
    let fetch_partition_bytes =
        (fetch_share / UNPACKED / KIB * KIB).clamp(FETCH_PARTITION_BYTES_MIN, FETCH_PARTITION_BYTES_MAX);
    let left = share - BATCH_COPIES * batch_bytes - UNPACKED * fetch_partition_bytes;
    // Half for payloads, half for what librdkafka keeps for each message.
    let queue_bytes = (left / 2 / KIB * KIB).clamp(QUEUE_BYTES_MIN, QUEUE_BYTES_MAX);
    let queue_messages = queue_bytes / MESSAGE_BYTES;
    let in_queue = 2 * queue_bytes;
    let bound_bytes =
        fixed + partitions * (THREAD_BYTES + in_queue + UNPACKED * fetch_partition_bytes + BATCH_COPIES * batch_bytes);
    Ok(MemoryPlan {
        partitions,
        brokers,
        queue_bytes,
        queue_messages,
        queue_backoff: queue_backoff(queue_bytes, queue_messages),
        fetch_partition_bytes,
        fetch_bytes,
        pin_bytes,
        batch_bytes,
        producer_queue_bytes,
        bound_bytes,
    })
}

fn producer_queue_bytes(memory_bytes: u64, produces: bool) -> u64 {
    if produces {
        (memory_bytes / 16 / KIB * KIB).clamp(PRODUCER_QUEUE_BYTES_MIN, PRODUCER_QUEUE_BYTES_MAX)
    } else {
        0
    }
}

fn pin_bytes(memory_bytes: u64) -> u64 {
    (memory_bytes / 32).clamp(PIN_BYTES_MIN, PIN_BYTES_MAX)
}

/// Short enough that half of a full queue is left at the next check, even at the highest rate.
fn queue_backoff(bytes: u64, messages: u64) -> Duration {
    const SHORTEST_MS: u64 = 10;
    const LONGEST_MS: u64 = 100;
    let ms = (500 * bytes / BYTES_PER_SECOND).min(500 * messages / MESSAGES_PER_SECOND);
    Duration::from_millis(ms.clamp(SHORTEST_MS, LONGEST_MS))
}

/// Space for an answer of each broker: at most a quarter of the memory.
fn fetch_bytes(memory_bytes: u64, brokers: u64) -> u64 {
    (memory_bytes / 4 / brokers).clamp(MIB, FETCH_BYTES_MAX)
}

/// What does not depend on the number of partitions. It grows with the memory, up to a limit.
fn fixed_bytes(memory_bytes: u64, brokers: u64, produces: bool) -> u64 {
    PROCESS_BYTES
        + PINS * pin_bytes(memory_bytes)
        + brokers * fetch_bytes(memory_bytes, brokers)
        + PRODUCER_COPIES * producer_queue_bytes(memory_bytes, produces)
}

/// The least memory in which each partition has this share.
fn needed_bytes(partitions: u64, share: u64, brokers: u64, produces: bool) -> u64 {
    let mut needed = 0;
    loop {
        let with_it = fixed_bytes(needed, brokers, produces) + partitions * share;
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
            "bound={}MiB partitions={} queue={}KiB queue_messages={} backoff={:?} fetch={}KiB batch={}KiB brokers={} \
             answer={}MiB process={}MiB",
            self.bound_bytes.div_ceil(MIB),
            self.partitions,
            self.queue_bytes / KIB,
            self.queue_messages,
            self.queue_backoff,
            self.fetch_partition_bytes / KIB,
            self.batch_bytes / KIB,
            self.brokers,
            self.fetch_bytes / MIB,
            PROCESS_BYTES / MIB
        )?;
        match self.producer_queue_bytes {
            0 => Ok(()),
            bytes => write!(f, " producer_queue={}KiB", bytes / KIB),
        }
    }
}

/// The memory that the process may have: the least of the limits of its control group, of the groups above it, and of
/// the machine. `None` if nothing tells. (`/proc/self/cgroup`; `memory.max` in version 2, `memory.limit_in_bytes` in
/// version 1.)
pub fn limit_bytes() -> Option<u64> {
    limit_bytes_under(Path::new("/"))
}

fn limit_bytes_under(root: &Path) -> Option<u64> {
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let groups = read(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits: Vec<u64> = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (tree, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // In a container the path may be that of the host, while the tree begins at the container's own group.
        let group = Path::new(group.trim_start_matches('/'));
        limits.extend(
            group
                .ancestors()
                .filter_map(|group| read(root.join(tree).join(group).join(file)))
                // "max" is not a number and means no limit.
                .filter_map(|text| text.trim().parse::<u64>().ok()),
        );
    }
    let machine = read(root.join("proc/meminfo")).and_then(|text| kib_of(&text, "MemTotal:"));
    limits.into_iter().chain(machine).min()
}

/// `run.memory` if the file does not set it: `least_bytes`, or more if many partitions need more for fetches of the
/// largest size; but at most 70 % of the available memory (`limit_bytes`).
pub fn default_bytes(
    least_bytes: u64,
    partitions: usize,
    brokers: usize,
    produces: bool,
    limit_bytes: Option<u64>,
) -> u64 {
    let full = needed_bytes(partitions as u64, SHARE_BYTES_FULL, brokers.max(1) as u64, produces);
    let wanted = least_bytes.max(full);
    let (part, of) = PART_OF_LIMIT;
    limit_bytes.map_or(wanted, |limit| wanted.min(limit / of * part))
}

/// The value of a line in a file of `/proc`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * KIB)
}

/// The resident memory of this process, in bytes. `None` if `/proc` does not have it.
pub fn resident_bytes() -> Option<u64> {
    kib_of(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_never_passes_the_memory() {
        for memory_mib in [128, 256, 512, 1024, 8192] {
            for partitions in [1, 8, 64, 256, 1000] {
                for brokers in [1, 3, 12] {
                    for produces in [false, true] {
                        if let Ok(plan) = plan(memory_mib * MIB, MIB, partitions, brokers, produces) {
                            assert!(plan.bound_bytes <= memory_mib * MIB, "{plan:?}");
                            assert!(plan.batch_bytes > 0 && plan.queue_bytes >= QUEUE_BYTES_MIN);
                            assert_eq!(plan.producer_queue_bytes > 0, produces);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_default_memory_holds_256_partitions() {
        let plan = plan(512 * MIB, MIB, 256, 3, false).unwrap();
        assert!(plan.batch_bytes >= 80 * KIB, "{plan:?}");
    }

    #[test]
    fn what_cannot_hold_is_refused_with_the_way_out() {
        let error = plan(96 * MIB, MIB, 256, 1, false).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("run.memory = 96 MiB cannot hold 256 partitions"),
            "{text}"
        );
        for (partitions, brokers) in [(256, 1), (8, 12), (1, 1), (1000, 40)] {
            for produces in [false, true] {
                let needed = needed_bytes(partitions, SHARE_BYTES_MIN, brokers, produces);
                let count = |n: u64| usize::try_from(n).unwrap();
                assert!(
                    plan(needed, MIB, count(partitions), count(brokers), produces).is_ok(),
                    "{partitions} {brokers} {produces}"
                );
            }
        }
    }

    #[test]
    fn a_queue_is_bounded_by_bytes_and_by_messages() {
        for partitions in [1, 8, 256] {
            let plan = plan(512 * MIB, MIB, partitions, 1, false).unwrap();
            assert!(plan.queue_messages * MESSAGE_BYTES <= plan.queue_bytes, "{plan:?}");
            assert!(plan.queue_messages >= 150, "{plan:?}");
        }
    }

    #[test]
    fn a_full_queue_is_looked_at_again_before_it_is_empty() {
        assert_eq!(queue_backoff(64 * KIB, 160).as_millis(), 10);
        assert_eq!(queue_backoff(8 * MIB, 20_000).as_millis(), 33);
        assert_eq!(queue_backoff(1024 * MIB, 10_000_000).as_millis(), 100);
    }

    #[test]
    fn more_partitions_than_planned_get_smaller_batches() {
        let plan = plan(512 * MIB, MIB, 8, 1, false).unwrap();
        assert_eq!(plan.batch_bytes_for(4), plan.batch_bytes);
        assert_eq!(plan.batch_bytes_for(8), plan.batch_bytes);
        assert_eq!(plan.batch_bytes_for(32), plan.batch_bytes / 4);
        assert_eq!(plan.batch_bytes_for(u64::MAX / MIB / 16), BATCH_BYTES_MIN);
    }

    /// The limit found with these files of control groups, under a temporary root.
    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        limit_bytes_under(root.path())
    }

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let own = ("proc/self/cgroup", "0::/system.slice/penstock.service\n");
        let machine = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");
        let service = "sys/fs/cgroup/system.slice/penstock.service/memory.max";
        let slice = "sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[own, machine]), Some(16 << 30));
        assert_eq!(limit(&[own, machine, (service, "max\n")]), Some(16 << 30));
        assert_eq!(limit(&[own, machine, (service, "268435456\n")]), Some(256 << 20));
        assert_eq!(
            limit(&[own, machine, (service, "268435456\n"), (slice, "134217728\n")]),
            Some(128 << 20)
        );
        // A container of version 2: the host's path, and the container's own group at the top of the tree.
        let host = ("proc/self/cgroup", "0::/docker/0123\n");
        assert_eq!(
            limit(&[host, machine, ("sys/fs/cgroup/memory.max", "536870912\n")]),
            Some(512 << 20)
        );
        // A container of version 1.
        let first = ("proc/self/cgroup", "7:cpu,cpuacct:/x\n5:memory:/docker/0123\n");
        let no_limit = (
            "sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes",
            "9223372036854771712",
        );
        assert_eq!(limit(&[first, machine, no_limit]), Some(16 << 30));
        assert_eq!(
            limit(&[
                first,
                machine,
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600")
            ]),
            Some(100 << 20)
        );
    }

    #[test]
    fn the_default_is_at_most_seven_tenths_of_the_limit() {
        let default = |partitions, limit| default_bytes(512 * MIB, partitions, 1, false, limit);
        assert_eq!(default(8, None), 512 * MIB);
        assert_eq!(default(8, Some(16 << 30)), 512 * MIB);
        assert_eq!(default(8, Some(100)), 70);
        assert_eq!(default(256, Some(1 << 30)), (1 << 30) / 10 * 7);
    }

    #[test]
    fn by_default_each_partition_can_fetch_kafkas_largest_batch() {
        for partitions in [1, 8, 36, 64, 256, 1000] {
            for brokers in [1, 3, 12] {
                for produces in [false, true] {
                    let memory = default_bytes(512 * MIB, partitions, brokers, produces, None);
                    let plan = plan(memory, MIB, partitions, brokers, produces).unwrap();
                    assert!(plan.fetch_partition_bytes > MIB + 12, "{plan:?}");
                    assert!(plan.batch_bytes >= 512 * KIB && plan.queue_messages >= 1000, "{plan:?}");
                    let share = memory / partitions as u64;
                    assert!(
                        memory == 512 * MIB || share <= 1024 * MIB / partitions as u64 + 11 * MIB,
                        "{plan:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn this_process_has_a_resident_size() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > MIB));
    }
}
