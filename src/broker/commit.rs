//! A commit whose answer is waited for, but not for ever.
//!
//! `rdkafka`'s synchronous commit waits without a bound while the group has no coordinator. A worker that has written
//! all it will write has nothing to lose by leaving without the answer: the messages are delivered again. Should the
//! request go out later all the same, it names nothing that is not written.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::topic_ids::Owned;

/// Between two attempts while the group shares out its partitions: it takes no commit for a moment then.
const PAUSE: Duration = Duration::from_millis(100);

/// Commits and waits for the answer until `deadline`. Nothing of it needs `poll`.
///
/// # Errors
/// When the commit is refused, for any of the partitions, or not answered in time.
pub fn commit_by<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    deadline: Instant,
) -> KafkaResult<()> {
    loop {
        match attempt(consumer, offsets, deadline) {
            Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::RebalanceInProgress | RDKafkaErrorCode::IllegalGeneration,
            )) if Instant::now() + PAUSE < deadline && !consumer.assignment_lost() => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn attempt<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    deadline: Instant,
) -> KafkaResult<()> {
    const NO_MEMORY: KafkaError = KafkaError::ConsumerCommit(RDKafkaErrorCode::CriticalSystemResource);
    let native = consumer.client().native_ptr();
    // SAFETY: the client is alive, and outlives the queue, which does not leave this function.
    let queue = unsafe { sys::rd_kafka_queue_new(native) };
    // SAFETY: just made for us. An answer that comes after its destruction is thrown away by librdkafka.
    let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }.ok_or(NO_MEMORY)?;
    // SAFETY: all three are alive; the call copies the list, and keeps the queue by counting it. No callback: the
    // answer is an event in the queue.
    let code = unsafe { sys::rd_kafka_commit_queue(native, offsets.ptr(), queue.as_ptr(), None, std::ptr::null_mut()) };
    refused(code)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = i32::try_from(left.min(Duration::from_secs(3600)).as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive.
        let event = unsafe { sys::rd_kafka_queue_poll(queue.as_ptr(), left_ms) };
        // SAFETY: an event is its taker's.
        if let Some(event) = unsafe { Owned::new(event, sys::rd_kafka_event_destroy) } {
            // SAFETY: the event is alive.
            return refused(unsafe { sys::rd_kafka_event_error(event.as_ptr()) });
        }
        if left.is_zero() {
            return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut));
        }
    }
}

fn refused(code: sys::rd_kafka_resp_err_t) -> KafkaResult<()> {
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::ConsumerCommit(code.into())),
    }
}
