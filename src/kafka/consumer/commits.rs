//! Commits whose result is known, and log lines for those that fail.
//!
//! librdkafka passes the result of an asynchronous `rd_kafka_commit` to `offset_commit_cb`. rust-rdkafka 0.39 does not
//! set that callback: it listens to events, and there is none without a queue for the answer (`rdkafka_cgrp.c`,
//! `rd_kafka_cgrp_propagate_commit_result`). So nobody would learn that a commit was refused. Here the commit names the
//! consumer's own queue, and the result comes to `Context::commit_callback`, on the main thread.
//!
//! A synchronous commit waits without limit while the group has no coordinator. So this code waits for the answer to a
//! worker's last commit itself, with a deadline. A worker that has written everything loses nothing if it leaves
//! without the answer: the messages are delivered again. If the request is sent later anyway, it contains only offsets
//! whose messages are written.

use std::thread;
use std::time::{Duration, Instant};

use log::{debug, warn};
use parking_lot::Mutex;
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{IsError as _, KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::kafka::ffi::Owned;
use crate::kafka::{Consumer, Partition};
use crate::util::throttle::Throttle;

/// Pause between two attempts during a rebalance: the group accepts no commit for a moment then.
const PAUSE: Duration = Duration::from_millis(100);
/// Time limit for these attempts. If the other members wait for this one, waiting longer would not help.
const ATTEMPTS_MAX: Duration = Duration::from_secs(2);

type Queue = Owned<sys::rd_kafka_queue_t>;

/// Commits these offsets. The result goes to the consumer's context.
///
/// # Errors
/// If the commit cannot be sent.
pub fn send(consumer: &Consumer, offsets: &TopicPartitionList) -> KafkaResult<()> {
    // SAFETY: the client is alive, and outlives the queue, which does not leave this function.
    let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    // SAFETY: the reference is ours.
    let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }.ok_or(NO_QUEUE)?;
    ask(consumer, offsets, &queue)
}

/// Commits and waits for the answer until `deadline`. Does not need `poll`.
///
/// # Errors
/// If the commit is refused for any of the partitions, or not answered in time.
pub fn commit_by<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    deadline: Instant,
) -> KafkaResult<()> {
    let last = deadline.min(Instant::now() + ATTEMPTS_MAX);
    loop {
        match attempt(consumer, offsets, deadline) {
            Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::RebalanceInProgress | RDKafkaErrorCode::IllegalGeneration,
            )) if Instant::now() + PAUSE < last && !consumer.assignment_lost() => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn attempt<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    deadline: Instant,
) -> KafkaResult<()> {
    // SAFETY: the client is alive, and outlives the queue, which does not leave this function.
    let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
    // SAFETY: just created for us. librdkafka discards an answer that comes after its destruction.
    let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }.ok_or(NO_QUEUE)?;
    ask(consumer, offsets, &queue)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive.
        let event = unsafe { sys::rd_kafka_queue_poll(queue.as_ptr(), left_ms) };
        // SAFETY: whoever takes an event owns it.
        if let Some(event) = unsafe { Owned::new(event, sys::rd_kafka_event_destroy) } {
            return answer(&event);
        }
        if left.is_zero() {
            return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut));
        }
    }
}

const NO_QUEUE: KafkaError = KafkaError::ConsumerCommit(RDKafkaErrorCode::CriticalSystemResource);

/// Sends a commit whose answer goes to the queue.
fn ask<C: ConsumerContext>(consumer: &BaseConsumer<C>, offsets: &TopicPartitionList, queue: &Queue) -> KafkaResult<()> {
    let client = consumer.client().native_ptr();
    // SAFETY: all are alive. The call copies the offsets, counts a reference to the queue, and has no callback to call.
    result(unsafe { sys::rd_kafka_commit_queue(client, offsets.ptr(), queue.as_ptr(), None, std::ptr::null_mut()) })
}

/// The result: refused as a whole, or for one of its partitions.
fn answer(event: &Owned<sys::rd_kafka_event_t>) -> KafkaResult<()> {
    // SAFETY: the event is alive.
    result(unsafe { sys::rd_kafka_event_error(event.as_ptr()) })?;
    // SAFETY: the event is alive. The result is null if the event has no list.
    let list = unsafe { sys::rd_kafka_event_topic_partition_list(event.as_ptr()) };
    if list.is_null() {
        return Ok(());
    }
    // SAFETY: the list lives as long as its event, and nobody changes it.
    let list = unsafe { &*list };
    if list.elems.is_null() {
        return Ok(());
    }
    // SAFETY: the list has as many elements as it says.
    let elements = unsafe { std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0)) };
    elements.iter().try_for_each(|element| result(element.err))
}

/// Whether a commit was refused because of the leader epoch in it. Kafka's coordinators store the epoch without
/// checking it. Other implementations of the protocol (librdkafka's own mock) compare it with the epoch of the
/// partition's current leader. That is right for a fetch and wrong for an offset: the commit would be refused for ever.
pub fn refuses_epoch(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::FencedLeaderEpoch | RDKafkaErrorCode::UnknownLeaderEpoch)
    )
}

/// Whether a commit was refused because its metadata is longer than the brokers' `offset.metadata.max.bytes`.
pub fn refuses_metadata(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetMetadataTooLarge)
}

fn result(code: sys::rd_kafka_resp_err_t) -> KafkaResult<()> {
    if code.is_error() {
        return Err(KafkaError::ConsumerCommit(code.into()));
    }
    Ok(())
}

/// Logs failed commits: the first at once, then at most every 10 seconds, for all partitions together.
#[derive(Debug, Default)]
pub struct FailedCommits {
    lines: Mutex<Throttle>,
    /// For workers' last commits.
    last_lines: Mutex<Throttle>,
}

impl FailedCommits {
    pub fn failed(&self, partition: &Partition, error: &KafkaError) {
        let Some(repeated) = self.lines.lock().pass() else {
            return;
        };
        warn!("kafka: a commit failed, it is sent again; nothing is lost {partition} error=\"{error}\"{repeated}");
    }

    /// Logs that a worker leaves without the answer to its last commit. Many workers do so at the same time.
    pub fn last_failed(&self, partition: &Partition, next: i64, error: &KafkaError) {
        let Some(repeated) = self.last_lines.lock().pass() else {
            debug!("kafka: the last commit failed {partition} next={next} error=\"{error}\"");
            return;
        };
        warn!(
            "kafka: the last commit failed; messages since the commit before are delivered again (failures of other \
             partitions are logged at DEBUG) {partition} next={next} error=\"{error}\"{repeated}"
        );
    }
}
