//! Asking for a commit, and telling of those that fail.
//!
//! librdkafka hands the outcome of an asynchronous `rd_kafka_commit` to `offset_commit_cb`, which rust-rdkafka 0.39 does
//! not set: it listens to events, and there is none without a queue to answer to (`rdkafka_cgrp.c`,
//! `rd_kafka_cgrp_propagate_commit_result`). Nobody would ever know that a commit was refused. So the consumer's own
//! queue is named, and the outcome comes to `Context::commit_callback`, on the main thread.

use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;
use rdkafka::bindings as sys;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Consumer, Partition};

const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Commits these offsets. `Sync` waits for the answer; of `Async` the consumer's context hears.
///
/// # Errors
/// When the commit cannot be sent, or, of `Sync`, when it is refused.
pub fn commit(consumer: &Consumer, offsets: &TopicPartitionList, mode: CommitMode) -> KafkaResult<()> {
    if matches!(mode, CommitMode::Sync) {
        return consumer.commit(offsets, mode);
    }
    let client = consumer.client().native_ptr();
    // SAFETY: the client is alive; it gives us a reference of our own.
    let queue = unsafe { sys::rd_kafka_queue_get_consumer(client) };
    if queue.is_null() {
        return consumer.commit(offsets, mode);
    }
    // SAFETY: all are alive; the call copies the offsets, keeps the queue by counting it, and has no callback to call.
    let code = unsafe { sys::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, std::ptr::null_mut()) };
    // SAFETY: the reference is ours, and used no more.
    unsafe { sys::rd_kafka_queue_destroy(queue) };
    if code.is_error() {
        return Err(KafkaError::ConsumerCommit(code.into()));
    }
    Ok(())
}

/// Tells of commits that fail: at once, and then every 10 seconds, of all partitions together.
#[derive(Debug, Default)]
pub struct FailedCommits {
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    untold: u64,
}

impl FailedCommits {
    pub fn failed(&self, partition: &Partition, error: &KafkaError) {
        let mut told = self.told.lock();
        told.untold += 1;
        if told.last.is_some_and(|last| last.elapsed() < LINE_INTERVAL) {
            return;
        }
        warn!(
            "kafka: a commit failed, it is sent again; nothing is lost {partition} failed={} error=\"{error}\"",
            told.untold
        );
        *told = Told {
            last: Some(Instant::now()),
            untold: 0,
        };
    }
}
