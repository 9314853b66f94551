//! What all workers of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use log::warn;

use crate::config::model::{OffsetGone, RejectAction};
use crate::delivery::guard::{Guard, GuardIdentity};
use crate::delivery::pressure::Pressure;
use crate::delivery::publish::Publisher;
use crate::delivery::reject_limit::Rejects;
use crate::delivery::write::RowWriter;
use crate::kafka::Partition;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::letters::Letters;
use crate::observe::counters::Counters;
use crate::partition::hooks::Hooks;
use crate::rules::code::Checked;
use crate::util::memory::MemoryPlan;

/// What all workers share.
pub struct Shared {
    pub group: Group,
    pub processors: Checked,
    pub writer: Arc<dyn RowWriter + Send + Sync>,
    pub pressure: Arc<Pressure>,
    /// The producer; `None` if the configuration publishes nothing and has no dead letters.
    pub publisher: Option<Arc<dyn Publisher>>,
    pub rejecting: Rejecting,
    /// The topic of dead letters.
    pub letters: Arc<dyn Letters>,
    pub sizes: Sizes,
    pub times: Times,
    pub offset_gone: OffsetGone,
    pub counters: Arc<Counters>,
    /// Where tests can intervene.
    pub hooks: Arc<dyn Hooks>,
}

/// The consumer group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Part of the guards' names.
    pub name: String,
    /// Also part of the guards' names (`run.guard_epoch`).
    pub guard_epoch: u32,
}

impl Group {
    /// The guard for what this partition's worker writes.
    pub(super) fn guard(&self, partition: &Partition, topic_id: TopicId) -> Guard {
        Guard::new(&GuardIdentity {
            group: &self.name,
            topic_id: *topic_id.as_bytes(),
            topic: &partition.topic,
            partition: partition.number,
            epoch: self.guard_epoch,
        })
    }
}

/// What happens to rejected messages.
#[derive(Debug)]
pub struct Rejecting {
    pub action: RejectAction,
    pub counts: Arc<Rejects>,
}

/// Limits for what a worker takes at once.
#[derive(Debug)]
pub struct Sizes {
    pub batch_rows_max: usize,
    /// Smaller than planned if more partitions are assigned than the memory was sized for.
    batch_bytes_max: AtomicUsize,
    pub memory: MemoryPlan,
    /// Payload bytes that all workers together have taken from their queues so far.
    pub(super) bytes_taken: AtomicU64,
}

impl Sizes {
    pub fn new(batch_rows_max: usize, memory: MemoryPlan) -> Sizes {
        Sizes {
            batch_rows_max,
            batch_bytes_max: AtomicUsize::new(usize::try_from(memory.batch_bytes).unwrap_or(usize::MAX)),
            memory,
            bytes_taken: AtomicU64::new(0),
        }
    }

    pub(super) fn batch_bytes_max(&self) -> usize {
        self.batch_bytes_max.load(Relaxed)
    }

    /// Limit for the publications that one worker keeps until they are acknowledged, in bytes: its share of the
    /// producer's queue.
    pub(super) fn pending_bytes_max(&self) -> u64 {
        (self.batch_bytes_max() as u64).min(self.memory.producer_queue_bytes / self.memory.partitions.max(1))
    }

    /// Sets the batch size for the number of partitions that are assigned now.
    pub fn assigned(&self, partitions: usize) {
        let planned = self.memory.partitions;
        let partitions = partitions as u64;
        let bytes = usize::try_from(self.memory.batch_bytes_for(partitions)).unwrap_or(usize::MAX);
        let before = self.batch_bytes_max.swap(bytes, Relaxed);
        if bytes < before {
            warn!(
                "memory: {partitions} partitions are assigned and the bound was sized for {planned}: batches are {} KiB \
                 at the most now, and the bound may be passed cure=\"raise run.memory, or run.partitions_max where it is \
                 set, and restart; or start another process\"",
                bytes / 1024
            );
        }
    }
}

/// Intervals and time limits.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub commit_interval: Duration,
    /// How long after a stop, or after the worker's own end, it waits for the answer to the last commit.
    pub commit_max: Duration,
    /// How long after a stop a batch may take to finish, if the database works.
    pub finish_max: Duration,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("group", &self.group)
            .field("sizes", &self.sizes)
            .finish_non_exhaustive()
    }
}
