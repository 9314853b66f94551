//! The queue of one partition in librdkafka, split from the group's consumer.

use std::collections::VecDeque;
use std::ffi::{CString, c_int};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};

use crate::kafka::consumer::epoch;
use crate::kafka::consumer::fetched::{FetchError, Fetched};
use crate::kafka::consumer::intake::{AHEAD_MAX, Queue};
use crate::kafka::ffi::Owned;
use crate::kafka::{Consumer, Partition};

/// librdkafka's own threads answer a seek.
const SEEK_TIMEOUT: Duration = Duration::from_secs(2);

/// A partition's own queue: its messages do not go to the consumer's queue.
pub(super) struct PartitionQueue {
    // Dropped in this order: the queue does not outlive its consumer.
    queue: Owned<sys::rd_kafka_queue_t>,
    consumer: Arc<Consumer>,
    partition: Partition,
}

// SAFETY: librdkafka's queues are locked inside and counted atomically. Any thread may use and destroy them.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// `None` if librdkafka cannot.
    pub fn split(consumer: &Arc<Consumer>, partition: &Partition) -> Option<PartitionQueue> {
        let topic = CString::new(&*partition.topic).ok()?;
        // SAFETY: the client is alive, and librdkafka copies the name.
        let queue = unsafe {
            sys::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition.number)
        };
        // SAFETY: the call gives us a reference of our own, which this function gives back.
        let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }?;
        // SAFETY: the queue is alive. Without a destination it keeps its messages.
        unsafe { sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(PartitionQueue {
            queue,
            consumer: consumer.clone(),
            partition: partition.clone(),
        })
    }
}

impl Queue for PartitionQueue {
    type Message = Fetched;

    fn next(&self, wait: Duration) -> Option<Result<Fetched, FetchError>> {
        let wait_ms = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is alive.
        let pointer = unsafe { sys::rd_kafka_consume_queue(self.queue.as_ptr(), wait_ms) };
        // SAFETY: null or a message that the caller destroys, as the call says.
        unsafe { Fetched::new(pointer) }
    }

    fn ready(&self, max: usize, into: &mut VecDeque<Result<Fetched, FetchError>>) {
        let mut pointers = [ptr::null_mut(); AHEAD_MAX];
        let max = max.min(AHEAD_MAX);
        // SAFETY: the queue is alive, and there is space for `max` pointers. No other thread takes messages from this
        // queue.
        let count = unsafe { sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, pointers.as_mut_ptr(), max) };
        let count = usize::try_from(count).unwrap_or(0);
        let pointers = pointers.into_iter().take(count);
        // SAFETY: so many pointers were set, to messages that the caller destroys.
        into.extend(pointers.filter_map(|pointer| unsafe { Fetched::new(pointer) }));
    }

    fn position(&self) -> Option<(i64, Option<i32>)> {
        let Partition { topic, number } = &self.partition;
        let positions = self.consumer.position().ok()?;
        let epochs = epoch::of_list(&positions);
        let elements = positions.elements();
        let mut found = elements.iter().zip(epochs);
        let (element, epoch) =
            found.find(|(element, _)| element.topic() == &**topic && element.partition() == *number)?;
        match element.offset() {
            Offset::Offset(offset) => Some((offset, epoch)),
            _ => None,
        }
    }

    fn seek(&self, offset: i64, epoch: Option<i32>) -> KafkaResult<()> {
        let mut list = self.partition.list_at(offset)?;
        if let Some(epoch) = epoch {
            epoch::set(&mut list, epoch);
        }
        let list = self.consumer.seek_partitions(list, SEEK_TIMEOUT)?;
        list.elements().iter().try_for_each(TopicPartitionListElem::error)
    }

    fn pause(&self) -> KafkaResult<()> {
        self.consumer.pause(&self.partition.list())
    }
}
