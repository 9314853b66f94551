//! Commits whose outcome is known, and telling of those that fail.
//!
//! librdkafka hands the outcome of an asynchronous `rd_kafka_commit` to `offset_commit_cb`, which rust-rdkafka 0.39 does
//! not set: it listens to events, and there is none without a queue to answer to (`rdkafka_cgrp.c`,
//! `rd_kafka_cgrp_propagate_commit_result`). Nobody would ever know that a commit was refused. So the consumer's own
//! queue is named, and the outcome comes to `Context::commit_callback`, on the main thread.
//!
//! A synchronous one waits without a bound while the group has no coordinator; so the answer to a worker's last commit is
//! waited for here. A worker that has written all it will write has nothing to lose by leaving without the answer: the
//! messages are delivered again. Should the request go out later all the same, it names nothing that is not written.

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

/// Between two attempts while the group shares out its partitions: it takes no commit for a moment then.
const PAUSE: Duration = Duration::from_millis(100);
/// How long such attempts go on. If the other members wait for this one, a longer wait would not help.
const ATTEMPTS_MAX: Duration = Duration::from_secs(2);

type Queue = Owned<sys::rd_kafka_queue_t>;

/// Commits these offsets; the consumer's context hears of the outcome.
///
/// # Errors
/// When the commit cannot be sent.
pub fn send(consumer: &Consumer, offsets: &TopicPartitionList) -> KafkaResult<()> {
    // SAFETY: the client is alive, and outlives the queue, which does not leave this function.
    let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    // SAFETY: the reference is ours.
    let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }.ok_or(NO_QUEUE)?;
    ask(consumer, offsets, &queue)
}

/// Commits and waits for the answer until `deadline`. Nothing of it needs `poll`.
///
/// # Errors
/// When the commit is refused, for any of the partitions, or not answered in time.
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
    // SAFETY: just made for us. An answer that comes after its destruction is thrown away by librdkafka.
    let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }.ok_or(NO_QUEUE)?;
    ask(consumer, offsets, &queue)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive.
        let event = unsafe { sys::rd_kafka_queue_poll(queue.as_ptr(), left_ms) };
        // SAFETY: an event is its taker's.
        if let Some(event) = unsafe { Owned::new(event, sys::rd_kafka_event_destroy) } {
            return answer(&event);
        }
        if left.is_zero() {
            return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut));
        }
    }
}

const NO_QUEUE: KafkaError = KafkaError::ConsumerCommit(RDKafkaErrorCode::CriticalSystemResource);

/// Asks for a commit, to be answered in the queue.
fn ask<C: ConsumerContext>(consumer: &BaseConsumer<C>, offsets: &TopicPartitionList, queue: &Queue) -> KafkaResult<()> {
    let client = consumer.client().native_ptr();
    // SAFETY: all are alive; the call copies the offsets, keeps the queue by counting it, and has no callback to call.
    result(unsafe { sys::rd_kafka_commit_queue(client, offsets.ptr(), queue.as_ptr(), None, std::ptr::null_mut()) })
}

/// Refused as a whole, or for one of its partitions.
fn answer(event: &Owned<sys::rd_kafka_event_t>) -> KafkaResult<()> {
    // SAFETY: the event is alive.
    result(unsafe { sys::rd_kafka_event_error(event.as_ptr()) })?;
    // SAFETY: the event is alive; null where it has none.
    let list = unsafe { sys::rd_kafka_event_topic_partition_list(event.as_ptr()) };
    if list.is_null() {
        return Ok(());
    }
    // SAFETY: the list lives as long as its event, and nobody changes it.
    let list = unsafe { &*list };
    if list.elems.is_null() {
        return Ok(());
    }
    // SAFETY: as many elements as told.
    let elements = unsafe { std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0)) };
    elements.iter().try_for_each(|element| result(element.err))
}

/// Whether a commit was refused for the leader epoch that it named. Kafka's coordinators store the epoch unseen; others
/// that speak its protocol (librdkafka's own mock) hold it against the partition's leader of today, which is right for a
/// fetch and wrong for an offset: it would be refused for good.
pub fn refuses_epoch(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::FencedLeaderEpoch | RDKafkaErrorCode::UnknownLeaderEpoch)
    )
}

fn result(code: sys::rd_kafka_resp_err_t) -> KafkaResult<()> {
    if code.is_error() {
        return Err(KafkaError::ConsumerCommit(code.into()));
    }
    Ok(())
}

/// Tells of commits that fail: at once, and then every 10 seconds, of all partitions together.
#[derive(Debug, Default)]
pub struct FailedCommits {
    lines: Mutex<Throttle>,
    /// Of workers' last ones.
    last_lines: Mutex<Throttle>,
}

impl FailedCommits {
    pub fn failed(&self, partition: &Partition, error: &KafkaError) {
        let Some(others) = self.lines.lock().pass() else {
            return;
        };
        warn!(
            "kafka: a commit failed, it is sent again; nothing is lost {partition} failed={} error=\"{error}\"",
            others + 1
        );
    }

    /// A worker leaves without the answer to its last commit. Many do so together.
    pub fn last_failed(&self, partition: &Partition, next: i64, error: &KafkaError) {
        if self.last_lines.lock().pass().is_none() {
            debug!("kafka: the last commit failed {partition} next={next} error=\"{error}\"");
            return;
        }
        warn!(
            "kafka: the last commit failed; messages since the commit before are delivered again {partition} next={next} \
             error=\"{error}\" (of other partitions it is told at DEBUG)"
        );
    }
}
