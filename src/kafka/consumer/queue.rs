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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fmt;
    use std::time::Instant;

    use rdkafka::ClientConfig;
    use rdkafka::error::KafkaError;
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

    use super::*;
    use crate::kafka::consumer::committed::Committed;
    use crate::kafka::consumer::context::Readers;
    use crate::kafka::consumer::fetched::{PartitionMessage, QueuedMessage as _, SourceMessage as _};
    use crate::kafka::consumer::intake::{Intake, Room};
    use crate::kafka::{Context, view};
    use crate::observe::counters::Counters;
    use crate::util::exit::Exit;
    use crate::util::stop::{Stop, StopKind};

    /// The test assigns its partition itself.
    #[derive(Debug)]
    struct NoReaders;

    impl Readers for NoReaders {
        fn assign(&self, _: &Arc<Consumer>, _: &[Partition], _: &HashMap<Partition, Committed>) {}
        fn revoke(&self, _: &[Partition], _: StopKind) {}
        fn commit_failed(&self, _: &Partition, _: &KafkaError) {}
        fn positions(&self) -> Vec<(Partition, Option<i64>, i64)> {
            Vec::new()
        }
        fn fatal(&self, _: Exit, why: fmt::Arguments<'_>) {
            panic!("{why}");
        }
    }

    const ROOM: Room = Room {
        messages: 100,
        bytes: 1 << 20,
    };

    fn partition() -> Partition {
        Partition {
            topic: "events".into(),
            number: 0,
        }
    }

    /// A broker with one partition, and a producer for it.
    fn broker() -> (MockCluster<'static, DefaultProducerContext>, BaseProducer) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 1, 1).unwrap();
        let producer = client(&cluster).create().unwrap();
        (cluster, producer)
    }

    fn client(cluster: &MockCluster<'static, DefaultProducerContext>) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        config
    }

    /// A consumer that reads the partition from its beginning.
    fn consumer(cluster: &MockCluster<'static, DefaultProducerContext>) -> Arc<Consumer> {
        let context = Context::new(Arc::new(NoReaders), Arc::new(Counters::new()), Stop::new());
        let mut config = client(cluster);
        config.set("group.id", "g").set("enable.auto.commit", "false");
        Arc::new(config.create_with_context(context).unwrap())
    }

    fn assign(consumer: &Consumer) {
        consumer.assign(&partition().list_at(0).unwrap()).unwrap();
    }

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn next(intake: &Intake<PartitionQueue>) -> Fetched {
        let deadline = deadline();
        loop {
            match intake.poll(Duration::from_secs(1), ROOM) {
                Some(next) => return next.unwrap(),
                None => assert!(Instant::now() < deadline, "it did not come"),
            }
        }
    }

    #[test]
    fn a_message_is_what_rdkafka_reads() {
        let (cluster, producer) = broker();
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "a",
                value: Some("1"),
            })
            .insert(Header {
                key: "",
                value: Some(""),
            })
            .insert(Header {
                key: "a",
                value: None::<&str>,
            });
        let to = || BaseRecord::<str, str>::to("events").partition(0);
        let records = [
            to().key("k")
                .payload("{}")
                .timestamp(1_700_000_000_123)
                .headers(headers),
            to().key("").payload(""),
            to().payload("no key").timestamp(0),
            to().key("no payload"),
        ];
        for record in records {
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
        let theirs = consumer(&cluster);
        assign(&theirs);
        let ours = consumer(&cluster);
        let intake = Intake::new(PartitionQueue::split(&ours, &partition()).unwrap());
        assign(&ours);
        let deadline = deadline();
        for bytes in [3, 0, 6, 10] {
            let expected = loop {
                if let Some(message) = theirs.poll(Duration::from_secs(1)) {
                    break message.unwrap();
                }
                assert!(Instant::now() < deadline, "it did not come");
            };
            let message = next(&intake);
            assert_eq!(
                (message.offset(), message.bytes()),
                (view(&expected, false).offset, bytes)
            );
            let partition = partition();
            let message = PartitionMessage::new(message, &partition);
            for with_headers in [true, false] {
                assert_eq!(
                    format!("{:?}", message.view(with_headers)),
                    format!("{:?}", view(&expected, with_headers))
                );
            }
            assert_eq!(message.timestamp_ms(), message.view(false).timestamp_ms);
            assert_eq!(message.leader_epoch(), epoch::of_message(&expected));
        }
    }

    #[test]
    fn nothing_is_lost_or_out_of_order_around_a_pause_and_a_seek() {
        const MESSAGES: i64 = 200;
        let (cluster, producer) = broker();
        for _ in 0..MESSAGES {
            let record = BaseRecord::<str, str>::to("events").partition(0).payload("x");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
        let consumer = consumer(&cluster);
        let intake = Intake::new(PartitionQueue::split(&consumer, &partition()).unwrap());
        assign(&consumer);
        for offset in 0..MESSAGES {
            assert_eq!(next(&intake).offset(), offset);
            // At the first of these, messages are ahead; at the second there are none, unless the broker was slow.
            if offset == 1 || offset == 33 {
                intake.pause().unwrap();
                assert!(intake.poll(Duration::ZERO, ROOM).is_none(), "it is paused");
                consumer.resume(&partition().list()).unwrap();
            }
        }
        assert_eq!(intake.position().map(|(offset, _)| offset), Some(MESSAGES));
        intake.seek(7, None).unwrap();
        for offset in 7..MESSAGES {
            assert_eq!(next(&intake).offset(), offset);
        }
    }
}
