//! Publishing against a broker in the process: every message is acknowledged before the stage returns, whatever the
//! brokers and the topic do meanwhile; a key keeps its order; and who leaves leaves nothing behind.
//!
//! The stage and the producer alone, without the service: that is in `rejects.rs`.

#![cfg(feature = "sim")]

mod support;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use penstock::broker::producer::{Producer, Unproducible, WhyNot};
use penstock::config;
use penstock::ops::exit::Exit;
use penstock::ops::memory::{self, MemoryPlan};
use penstock::pipeline::publication::Publication;
use penstock::pipeline::publish::{PublishCalls, PublishEnd, PublishFatal, Published, publish};
use penstock::shutdown::{Stop, StopKind};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use support::{DEADLINE, Kafka, Topic, wait_until};

const MIB: u64 = 1024 * 1024;
/// Every broker of a mock cluster.
const ALL: i32 = -1;

/// The memory that gives the producer the smallest queue, 8 MiB, shared by so many workers.
fn small_memory(workers: usize) -> MemoryPlan {
    memory::plan(128 * MIB, 64 * 1024, workers, 1, true).unwrap()
}

fn producer(kafka: &Kafka, memory: &MemoryPlan, properties: &str) -> Arc<Producer> {
    // Shown with a test that fails.
    let _ = env_logger::builder()
        .is_test(true)
        .filter_level(log::LevelFilter::Info)
        .try_init();
    let text = format!(
        "[kafka]\nbrokers = \"{}\"\ntopics = [\"in\"]\ngroup = \"g\"\n[kafka.producer]\n{properties}\n\
         [aerospike]\nhosts = \"127.0.0.1:1\"\nnamespace = \"test\"\n\
         [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"k\"\nbins = [\"b\"]\n",
        kafka.brokers
    );
    let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
    Arc::new(Producer::new(&config.kafka, memory).unwrap())
}

/// Reconnects at once, so that a test waits for what it tests.
const QUICK: &str = "\"reconnect.backoff.ms\" = 50\n\"reconnect.backoff.max.ms\" = 100\n\"retry.backoff.ms\" = 20";

/// `messages` numbered payloads over 10 keys.
fn numbered(topic: &str, messages: usize, prefix: &str) -> Vec<Publication<'static>> {
    let topic: &'static str = topic.to_owned().leak();
    (0..messages)
        .map(|n| Publication {
            message: n,
            topic,
            key: Some(Cow::Owned(format!("{prefix}{}", n % 10).into_bytes())),
            payload: Some(Cow::Owned(format!("{prefix}-{n}").into_bytes())),
            headers: Vec::new(),
            timestamp_ms: None,
        })
        .collect()
}

fn run(producer: &Producer, publications: &[Publication<'_>], stop: &Stop) -> Published {
    publish(
        publications,
        &PublishCalls {
            publisher: producer,
            stop,
            finish_max: Duration::from_millis(300),
            meanwhile: &|| {},
        },
    )
}

/// Publishes on a thread of its own; [`Worker::end`] waits for it.
struct Worker {
    stop: Stop,
    /// How often time has passed for it.
    glances: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<Published>>,
}

impl Worker {
    fn start(producer: &Arc<Producer>, publications: Vec<Publication<'static>>) -> Worker {
        let (stop, glances) = (Stop::new(), Arc::new(AtomicU64::new(0)));
        let thread = {
            let (producer, stop, glances) = (producer.clone(), stop.clone(), glances.clone());
            thread::spawn(move || {
                publish(
                    &publications,
                    &PublishCalls {
                        publisher: &*producer,
                        stop: &stop,
                        finish_max: Duration::from_millis(300),
                        meanwhile: &|| {
                            glances.fetch_add(1, Ordering::Relaxed);
                        },
                    },
                )
            })
        };
        Worker {
            stop,
            glances,
            thread: Some(thread),
        }
    }

    fn is_waiting(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until it has looked around some times more, and waits still.
    fn wait_while_it_waits(&self) {
        let before = self.glances.load(Ordering::Relaxed);
        wait_until(
            "the worker to look around",
            || self.glances.load(Ordering::Relaxed),
            |glances| *glances > before + 3,
        );
        assert!(self.is_waiting());
    }

    fn stop(self) -> Published {
        self.stop.request(StopKind::Drain);
        self.end()
    }

    fn end(mut self) -> Published {
        let thread = self.thread.take().unwrap();
        wait_until("the worker to end", || thread.is_finished(), |finished| *finished);
        thread.join().unwrap()
    }
}

/// A stored message.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    partition: i32,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp_ms: Option<i64>,
}

/// Everything that the topic has.
fn stored(topic: &Topic) -> Vec<Stored> {
    let consumer: BaseConsumer = topic.client.clone().set("group.id", "reader").create().unwrap();
    let ends: Vec<i64> = topic.ends().into_iter().map(Option::unwrap).collect();
    let mut list = TopicPartitionList::new();
    for partition in 0..topic.partitions {
        list.add_partition_offset(&topic.name, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let total = usize::try_from(ends.iter().sum::<i64>()).unwrap();
    let mut found = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while found.len() < total {
        assert!(Instant::now() < deadline, "read {} of {total}", found.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.unwrap();
        found.push(Stored {
            partition: message.partition(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map_or_else(Vec::new, |headers| {
                headers
                    .iter()
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect()
            }),
            timestamp_ms: message.timestamp().to_millis(),
        });
    }
    found
}

/// Fails unless all of them are there, and each key ends in their order: of a message that is there twice the last one
/// counts.
fn assert_in_order(topic: &Topic, expected: &[Publication<'_>]) {
    let found = stored(topic);
    let mut last: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (place, message) in found.iter().enumerate() {
        last.insert(message.payload.clone().unwrap(), place);
    }
    let mut by_key: BTreeMap<&[u8], usize> = BTreeMap::new();
    for publication in expected {
        let payload = publication.payload.as_deref().unwrap();
        let place = *last
            .get(payload)
            .unwrap_or_else(|| panic!("{} is not there", String::from_utf8_lossy(payload)));
        let before = by_key.insert(publication.key.as_deref().unwrap(), place);
        assert!(
            before.is_none_or(|before| before < place),
            "{} is out of order",
            String::from_utf8_lossy(payload)
        );
    }
}

fn assert_finished(published: &Published, messages: usize) {
    assert_eq!(published.end, PublishEnd::Finished);
    assert_eq!(published.done, messages);
}

fn fail_produces(kafka: &Kafka, errors: &[RDKafkaRespErr]) {
    kafka.cluster().request_errors(RDKafkaApiKey::Produce, errors);
}

#[test]
fn every_message_is_acknowledged_before_the_stage_returns() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 4);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    let publications = numbered(&topic.name, 1000, "a");
    assert_finished(&run(&producer, &publications, &Stop::new()), 1000);
    assert_eq!(topic.ends().into_iter().flatten().sum::<i64>(), 1000);
    assert_eq!(producer.stored(), 1000);
    assert_eq!(producer.queued_bytes(), 0);
    assert_in_order(&topic, &publications);
}

#[test]
fn a_message_arrives_as_it_was_given() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 1);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    let publications = [
        Publication {
            message: 0,
            topic: &topic.name,
            key: Some(Cow::Borrowed(b"k\0ey")),
            payload: Some(Cow::Borrowed(b"")),
            headers: vec![
                ("h".into(), Some(Cow::Borrowed(&b"1"[..]))),
                ("h".into(), None),
                ("empty".into(), Some(Cow::Borrowed(&b""[..]))),
            ],
            timestamp_ms: Some(1_700_000_000_123),
        },
        Publication {
            message: 1,
            topic: &topic.name,
            key: None,
            payload: None,
            headers: Vec::new(),
            timestamp_ms: Some(1),
        },
    ];
    assert_finished(&run(&producer, &publications, &Stop::new()), 2);
    let bytes = |bytes: &[u8]| Some(bytes.to_vec());
    assert_eq!(
        stored(&topic),
        [
            Stored {
                partition: 0,
                key: bytes(b"k\0ey"),
                payload: bytes(b""),
                headers: vec![
                    ("h".into(), bytes(b"1")),
                    ("h".into(), None),
                    ("empty".into(), bytes(b""))
                ],
                timestamp_ms: Some(1_700_000_000_123),
            },
            Stored {
                partition: 0,
                key: None,
                payload: None,
                headers: Vec::new(),
                timestamp_ms: Some(1),
            },
        ]
    );
}

/// What `org.apache.kafka.common.utils.Utils.murmur2` makes of these keys, as librdkafka's own test has it
/// (`rdmurmur2.c`).
#[test]
fn a_key_goes_to_the_partition_that_a_java_producer_chooses() {
    const JAVA: [(&str, u32); 3] = [
        ("kafka", 0xd067_cf64),
        ("giberish123456789", 0x8f55_2b0c),
        ("1234", 0x9fc9_7b14),
    ];
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 7);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    let publications = JAVA.map(|(key, _)| Publication {
        message: 0,
        topic: &topic.name,
        key: Some(Cow::Borrowed(key.as_bytes())),
        payload: Some(Cow::Borrowed(b"x")),
        headers: Vec::new(),
        timestamp_ms: None,
    });
    assert_finished(&run(&producer, &publications, &Stop::new()), 3);
    for message in stored(&topic) {
        let key = String::from_utf8(message.key.unwrap()).unwrap();
        let (_, hash) = JAVA.iter().find(|(of, _)| *of == key).unwrap();
        assert_eq!(
            message.partition,
            i32::try_from((hash & 0x7fff_ffff) % 7).unwrap(),
            "{key}"
        );
    }
}

/// What librdkafka retries itself, and what it gives back.
#[test]
fn failures_that_pass_leave_everything_there_and_in_order() {
    use RDKafkaRespErr::*;
    let kafka = Kafka::mock();
    let producer = producer(&kafka, &small_memory(1), QUICK);
    for errors in [
        [RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 3],
        [RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 3],
        [RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 3],
        [RD_KAFKA_RESP_ERR__TRANSPORT; 3],
        [RD_KAFKA_RESP_ERR_INVALID_MSG; 3],
        [RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH; 3],
        [RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED; 3],
        [RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT; 3],
    ] {
        let topic = kafka.topic("out", 3);
        let publications = numbered(&topic.name, 300, "a");
        fail_produces(&kafka, &errors);
        assert_finished(&run(&producer, &publications, &Stop::new()), 300);
        assert_in_order(&topic, &publications);
        kafka.cluster().clear_request_errors(RDKafkaApiKey::Produce);
    }
}

#[test]
fn brokers_that_are_away_are_waited_for_and_told() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 3);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    kafka.cluster().broker_down(ALL).unwrap();
    let publications = numbered(&topic.name, 300, "a");
    let worker = Worker::start(&producer, publications.clone());
    let failing = wait_until("the topic to be told", || producer.failing(), Option::is_some).unwrap();
    assert_eq!(failing.topic, topic.name);
    worker.wait_while_it_waits();
    kafka.cluster().broker_up(ALL).unwrap();
    assert_finished(&worker.end(), 300);
    assert_eq!(producer.failing(), None);
    assert_in_order(&topic, &publications);
}

#[test]
fn brokers_that_answer_late_are_waited_for() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 3);
    // Requests time out before they are answered.
    let properties = format!("{QUICK}\n\"socket.timeout.ms\" = 300\n\"request.timeout.ms\" = 200");
    let producer = producer(&kafka, &small_memory(1), &properties);
    assert_finished(&run(&producer, &numbered(&topic.name, 3, "before"), &Stop::new()), 3);
    kafka
        .cluster()
        .broker_round_trip_time(ALL, Duration::from_secs(2))
        .unwrap();
    let publications = numbered(&topic.name, 300, "a");
    let worker = Worker::start(&producer, publications.clone());
    worker.wait_while_it_waits();
    kafka.cluster().broker_round_trip_time(ALL, Duration::ZERO).unwrap();
    assert_finished(&worker.end(), 300);
    assert_in_order(&topic, &publications);
}

#[test]
fn a_topic_that_is_not_there_is_waited_for_and_told_with_the_reason() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 3);
    kafka.fail_topic(&topic.name);
    let properties = format!("{QUICK}\n\"topic.metadata.propagation.max.ms\" = 100");
    let producer = producer(&kafka, &small_memory(1), &properties);
    assert_eq!(
        producer.check_topics([topic.name.as_str()], &Stop::new()),
        [Unproducible {
            topic: topic.name.clone(),
            why: WhyNot::Absent
        }]
    );
    let publications = numbered(&topic.name, 300, "a");
    let worker = Worker::start(&producer, publications.clone());
    let failing = wait_until(
        "the reason",
        || producer.failing(),
        |failing| failing.as_ref().is_some_and(|failing| failing.why.contains("nknown")),
    );
    assert_eq!(failing.unwrap().topic, topic.name);
    worker.wait_while_it_waits();
    kafka.heal_topic(&topic.name);
    assert_finished(&worker.end(), 300);
    assert_in_order(&topic, &publications);
    assert!(producer.check_topics([topic.name.as_str()], &Stop::new()).is_empty());
}

#[test]
fn a_topic_that_is_away_does_not_hold_up_another_workers_topic() {
    let kafka = Kafka::mock();
    let (away, there) = (kafka.topic("away", 3), kafka.topic("there", 3));
    kafka.fail_topic(&away.name);
    let producer = producer(&kafka, &small_memory(2), QUICK);
    // More than its share of the queue.
    let mut publications = numbered(&away.name, 3000, "a");
    for publication in &mut publications {
        publication
            .headers
            .push(("h".into(), Some(Cow::Owned(vec![b'x'; 2000]))));
    }
    let worker = Worker::start(&producer, publications);
    wait_until(
        "its share to be full",
        || producer.queued_bytes(),
        |bytes| *bytes > 3 * MIB,
    );
    let publications = numbered(&there.name, 1000, "b");
    assert_finished(&run(&producer, &publications, &Stop::new()), 1000);
    assert_in_order(&there, &publications);
    let published = worker.stop();
    assert_eq!((published.end, published.done), (PublishEnd::Stopped, 0));
}

#[test]
fn a_stop_ends_the_wait_and_what_was_left_never_arrives() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 3);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    assert_finished(&run(&producer, &numbered(&topic.name, 3, "before"), &Stop::new()), 3);
    kafka.cluster().broker_down(ALL).unwrap();
    let worker = Worker::start(&producer, numbered(&topic.name, 300, "left"));
    wait_until("the queue to fill", || producer.queued_bytes(), |bytes| *bytes > 0);
    worker.wait_while_it_waits();
    let published = worker.stop();
    assert_eq!((published.end, published.done), (PublishEnd::Stopped, 0));
    assert_eq!(producer.queued_bytes(), 0);
    kafka.cluster().broker_up(ALL).unwrap();
    let publications = numbered(&topic.name, 300, "after");
    assert_finished(&run(&producer, &publications, &Stop::new()), 300);
    assert_in_order(&topic, &publications);
    let left = stored(&topic)
        .into_iter()
        .filter(|message| message.payload.as_deref().unwrap().starts_with(b"left"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_partition_that_is_lost_is_left_at_once() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 3);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    kafka.cluster().broker_down(ALL).unwrap();
    let worker = Worker::start(&producer, numbered(&topic.name, 10, "left"));
    wait_until("the queue to fill", || producer.queued_bytes(), |bytes| *bytes > 0);
    worker.stop.request(StopKind::Abandon);
    let published = worker.end();
    assert_eq!((published.end, published.done), (PublishEnd::Stopped, 0));
    assert_eq!(producer.queued_bytes(), 0);
}

#[test]
fn a_full_queue_is_waited_for_inside_its_bound() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 8);
    let memory = small_memory(1);
    let producer = producer(&kafka, &memory, QUICK);
    kafka.cluster().broker_down(ALL).unwrap();
    let mut publications = numbered(&topic.name, 3000, "a");
    for publication in &mut publications {
        publication
            .headers
            .push(("h".into(), Some(Cow::Owned(vec![b'x'; 5000]))));
    }
    let expected = publications.clone();
    let worker = Worker::start(&producer, publications);
    let full = memory.producer_queue_bytes;
    wait_until(
        "the queue to be full",
        || producer.queued_bytes(),
        |bytes| *bytes > full - 8192,
    );
    worker.wait_while_it_waits();
    assert!(producer.queued_bytes() <= full);
    kafka.cluster().broker_up(ALL).unwrap();
    assert_finished(&worker.end(), 3000);
    assert_in_order(&topic, &expected);
    assert_eq!(producer.queued_bytes(), 0);
}

#[test]
fn a_batch_that_the_topic_finds_too_large_is_sent_in_parts() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 1);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    fail_produces(&kafka, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 3]);
    let publications = numbered(&topic.name, 300, "a");
    let published = run(&producer, &publications, &Stop::new());
    assert_finished(&published, 300);
    assert!(published.resent > 0);
    assert_in_order(&topic, &publications);
}

#[test]
fn a_message_that_the_topic_finds_too_large_ends_it_with_the_topics_name() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 1);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    fail_produces(&kafka, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 1000]);
    let published = run(&producer, &numbered(&topic.name, 300, "a"), &Stop::new());
    let PublishEnd::Fatal(fatal) = published.end else {
        panic!("{published:?}");
    };
    assert_eq!(
        (fatal.exit(), fatal.message(), published.done),
        (Exit::Rejected, Some(0), 0)
    );
    let text = fatal.to_string();
    assert!(
        text.contains(&topic.name) && text.contains("raise max.message.bytes of the topic"),
        "{text}"
    );
    assert_eq!(producer.queued_bytes(), 0);
}

#[test]
fn a_message_that_can_never_be_sent_ends_it_with_the_topic_and_the_cure() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 1);
    let memory = small_memory(1);
    let cases = [
        (memory.producer_queue_bytes, QUICK.to_owned(), "run.memory"),
        (
            100_000,
            format!("{QUICK}\n\"message.max.bytes\" = 50000"),
            "message.max.bytes in [kafka.producer]",
        ),
    ];
    for (bytes, properties, cure) in cases {
        let producer = producer(&kafka, &memory, &properties);
        let mut publications = numbered(&topic.name, 3, "a");
        publications[1].payload = Some(Cow::Owned(vec![b'x'; usize::try_from(bytes).unwrap()]));
        let published = run(&producer, &publications, &Stop::new());
        let PublishEnd::Fatal(fatal) = published.end else {
            panic!("{published:?}");
        };
        assert_eq!((fatal.exit(), fatal.message()), (Exit::Rejected, Some(1)));
        let text = fatal.to_string();
        assert!(text.contains(&topic.name) && text.contains(cure), "{text}");
    }
}

#[test]
fn a_topic_that_may_not_be_written_ends_it_with_its_name() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 1);
    for in_metadata in [true, false] {
        let producer = producer(&kafka, &small_memory(1), QUICK);
        if in_metadata {
            kafka
                .cluster()
                .topic_error(
                    &topic.name,
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                )
                .unwrap();
            assert_eq!(
                producer.check_topics([topic.name.as_str()], &Stop::new()),
                [Unproducible {
                    topic: topic.name.clone(),
                    why: WhyNot::Unauthorized
                }]
            );
        } else {
            kafka.heal_topic(&topic.name);
            fail_produces(&kafka, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
        }
        let published = run(&producer, &numbered(&topic.name, 3, "a"), &Stop::new());
        let PublishEnd::Fatal(fatal @ PublishFatal::Unauthorized { .. }) = published.end else {
            panic!("{published:?}");
        };
        assert_eq!(fatal.exit(), Exit::Credentials);
        assert!(fatal.to_string().contains(&topic.name), "{fatal}");
    }
}

/// The first request of a partition, out of order: librdkafka cannot tell what is stored (`rdkafka_request.c`,
/// "sequence desynchronization").
#[test]
fn a_producer_that_cannot_go_on_ends_it() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 1);
    let producer = producer(&kafka, &small_memory(1), QUICK);
    fail_produces(
        &kafka,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER],
    );
    let published = run(&producer, &numbered(&topic.name, 3, "a"), &Stop::new());
    let PublishEnd::Fatal(fatal @ PublishFatal::Producer { .. }) = published.end else {
        panic!("{published:?}");
    };
    assert_eq!(fatal.exit(), Exit::Restart);
}

/// The purge takes the other worker's messages along; it sends them again.
#[test]
fn a_worker_that_leaves_takes_nothing_from_another() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 3);
    let producer = producer(&kafka, &small_memory(2), QUICK);
    assert_finished(&run(&producer, &numbered(&topic.name, 3, "before"), &Stop::new()), 3);
    for round in 0..3 {
        kafka.cluster().broker_down(ALL).unwrap();
        let (stays, leaves) = (
            numbered(&topic.name, 300, &format!("stays{round}")),
            format!("leaves{round}"),
        );
        let staying = Worker::start(&producer, stays.clone());
        let leaving = Worker::start(&producer, numbered(&topic.name, 300, &leaves));
        wait_until(
            "both to be in the queue",
            || producer.queued_bytes(),
            |bytes| *bytes > 600 * 512,
        );
        let published = leaving.stop();
        assert_eq!((published.end, published.done), (PublishEnd::Stopped, 0));
        staying.wait_while_it_waits();
        kafka.cluster().broker_up(ALL).unwrap();
        assert_finished(&staying.end(), 300);
        assert_in_order(&topic, &stays);
        let left = stored(&topic)
            .into_iter()
            .filter(|message| message.payload.as_deref().unwrap().starts_with(leaves.as_bytes()));
        assert_eq!(left.count(), 0);
    }
}

/// The same where the brokers are there, slow, and requests are under way.
#[test]
fn a_purge_of_requests_under_way_loses_nothing() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 3);
    let producer = producer(&kafka, &small_memory(2), QUICK);
    assert_finished(&run(&producer, &numbered(&topic.name, 3, "before"), &Stop::new()), 3);
    kafka
        .cluster()
        .broker_round_trip_time(ALL, Duration::from_secs(5))
        .unwrap();
    let stays = numbered(&topic.name, 300, "stays");
    let staying = Worker::start(&producer, stays.clone());
    let leaving = Worker::start(&producer, numbered(&topic.name, 300, "leaves"));
    wait_until(
        "both to be in the queue",
        || producer.queued_bytes(),
        |bytes| *bytes > 600 * 512,
    );
    assert_eq!(leaving.stop().end, PublishEnd::Stopped);
    kafka.cluster().broker_round_trip_time(ALL, Duration::ZERO).unwrap();
    assert_finished(&staying.end(), 300);
    assert_in_order(&topic, &stays);
}

#[test]
fn many_workers_share_the_producer() {
    let kafka = Kafka::mock_of(3);
    let producer = producer(&kafka, &small_memory(8), QUICK);
    let topics: Vec<Topic> = (0..2).map(|_| kafka.topic("out", 3)).collect();
    let batches: Vec<Vec<Publication<'static>>> = (0..8)
        .map(|worker| numbered(&topics[worker % 2].name, 500, &format!("w{worker}-")))
        .collect();
    let workers: Vec<Worker> = batches
        .iter()
        .map(|batch| Worker::start(&producer, batch.clone()))
        .collect();
    for worker in workers {
        assert_finished(&worker.end(), 500);
    }
    for (worker, batch) in batches.iter().enumerate() {
        assert_in_order(&topics[worker % 2], batch);
    }
}
