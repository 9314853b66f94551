//! Publishing to a broker in the process. Every message is acknowledged before the stage returns, whatever the brokers
//! and the topic do meanwhile. The order of each key is kept. A worker that ends leaves no message behind.
//!
//! Only the stage and the producer, without the service: `rejects.rs` tests that.

use std::borrow::Cow;
use std::thread;
use std::time::{Duration, Instant};

use penstock::delivery::publish::{PublishEnd, PublishFatal};
use penstock::kafka::producer::{Unproducible, WhyNot};
use penstock::output::publication::Publication;
use penstock::util::exit::Exit;
use penstock::util::memory;
use penstock::util::start_limit::StartLimit;
use penstock::util::stop::{Stop, StopKind};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::publishing::{
    MIB, QUICK, Stored, Worker, assert_finished, assert_in_order, numbered, producer, run, small_memory, stored,
};
use crate::support::{Kafka, Topic, wait_until};

/// Every broker of a mock cluster.
const ALL: i32 = -1;

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // User and system time, in hundredths of a second.
    let ticks: u64 = [11, 12]
        .iter()
        .map(|field| fields[*field].parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(10 * ticks)
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

/// The results of `org.apache.kafka.common.utils.Utils.murmur2` for these keys, as in librdkafka's own test
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

/// Failures that librdkafka retries itself, and failures that it reports.
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
        producer.check_topics([topic.name.as_str()], &StartLimit::none(), &Stop::new()),
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
    assert!(
        producer
            .check_topics([topic.name.as_str()], &StartLimit::none(), &Stop::new())
            .is_empty()
    );
}

#[test]
fn a_topic_that_is_away_does_not_hold_up_another_workers_topic() {
    let kafka = Kafka::mock();
    let (away, there) = (kafka.topic("away", 3), kafka.topic("there", 3));
    kafka.fail_topic(&away.name);
    let producer = producer(&kafka, &small_memory(2), QUICK);
    // More than the worker's share of the queue.
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
        (fatal.exit(), fatal.offset(), published.done),
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
        assert_eq!((fatal.exit(), fatal.offset()), (Exit::Rejected, Some(1)));
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
                producer.check_topics([topic.name.as_str()], &StartLimit::none(), &Stop::new()),
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

/// Brokers before 3.0 accept an idempotent producer only if the user has that right on the cluster.
#[test]
fn who_may_not_be_an_idempotent_producer_is_refused_as_who_may_not_write() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("out", 1);
    kafka.cluster().request_errors(
        RDKafkaApiKey::InitProducerId,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED; 10],
    );
    let producer = producer(&kafka, &small_memory(1), QUICK);
    let published = run(&producer, &numbered(&topic.name, 3, "a"), &Stop::new());
    let PublishEnd::Fatal(fatal @ PublishFatal::Unauthorized { .. }) = published.end else {
        panic!("{published:?}");
    };
    assert_eq!(fatal.exit(), Exit::Credentials);
    assert!(fatal.to_string().contains("IDEMPOTENT_WRITE"), "{fatal}");
}

/// The first request of a partition is out of order, so librdkafka cannot tell what is stored (`rdkafka_request.c`,
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

/// The purge also removes the other worker's messages; that worker sends them again.
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

/// The same while the brokers are reachable but slow, and requests are in flight.
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

/// How fast eight workers publish batches of 200 messages of 562 bytes, including the broker's time.
#[test]
#[ignore = "a measurement: cargo test --release --locked --test it publish:: -- --ignored --nocapture --test-threads=1"]
fn measure_linger() {
    const BATCHES: usize = 100;
    for workers in [1, 8] {
        for linger in ["0", "0.5", "1", "2", "5"] {
            let kafka = match std::env::var_os("KAFKA_BROKERS") {
                Some(_) => Kafka::real(),
                None => Kafka::mock(),
            };
            let topic = kafka.topic("out", 8);
            let properties = format!("{QUICK}\n\"linger.ms\" = \"{linger}\"");
            let producer = producer(&kafka, &memory::plan(512 * MIB, MIB, 8, 1, true).unwrap(), &properties);
            assert_finished(&run(&producer, &numbered(&topic.name, 10, "first"), &Stop::new()), 10);
            let mut batch = numbered(&topic.name, 200, "a");
            for publication in &mut batch {
                publication.payload = Some(Cow::Owned(vec![b'x'; 562]));
            }
            let (began, cpu_before) = (Instant::now(), cpu());
            thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| {
                        for _ in 0..BATCHES {
                            assert_finished(&run(&producer, &batch, &Stop::new()), 200);
                        }
                    });
                }
            });
            let messages = workers * BATCHES * 200;
            let seconds = began.elapsed().as_secs_f64();
            println!(
                "workers={workers} linger={linger} batch_ms={:.1} messages/s={:.0} cpu_us/message={:.2}",
                1000.0 * seconds / BATCHES as f64,
                messages as f64 / seconds,
                (cpu() - cpu_before).as_secs_f64() * 1e6 / messages as f64,
            );
        }
    }
}

/// How much more memory the process takes while the queue is full, the brokers are away, and the queue empties. For
/// small and large messages.
#[test]
#[ignore = "a measurement: cargo test --release --locked --test it publish:: -- --ignored --nocapture --test-threads=1"]
fn measure_full_queue() {
    for (bytes, headers) in [(0, 0), (100, 0), (562, 8), (10_000, 2), (100_000, 0)] {
        let kafka = Kafka::mock();
        let topic = kafka.topic("out", 8);
        let memory = memory::plan(1024 * MIB, MIB, 1, 1, true).unwrap();
        let producer = producer(&kafka, &memory, QUICK);
        assert_finished(&run(&producer, &numbered(&topic.name, 10, "first"), &Stop::new()), 10);
        kafka.cluster().broker_down(ALL).unwrap();
        let name: &'static str = topic.name.clone().leak();
        // Borrowed, so that the batch itself takes little memory compared with the queue.
        let one = || Publication {
            message: 0,
            topic: name,
            key: Some(Cow::Borrowed(&b"a key of 20 bytes..."[..])),
            payload: Some(Cow::Borrowed(&PAYLOAD[..bytes])),
            headers: (0..headers)
                .map(|n| (format!("a-header-{n}").into(), Some(Cow::Borrowed(&b"its value"[..]))))
                .collect(),
            timestamp_ms: None,
        };
        let full = memory.producer_queue_bytes;
        let count = usize::try_from(full / (one().bytes() + 512)).unwrap();
        let batch: Vec<Publication<'static>> = (0..count).map(|_| one()).collect();
        let before = memory::resident_bytes().unwrap();
        let worker = Worker::start(&producer, batch);
        worker.wait_while_it_waits();
        let queued = producer.queued_bytes();
        let at_full = memory::resident_bytes().unwrap();
        kafka.cluster().broker_up(ALL).unwrap();
        let mut most = at_full;
        while worker.is_waiting() && producer.queued_bytes() > queued / 100 {
            most = most.max(memory::resident_bytes().unwrap());
            thread::sleep(Duration::from_millis(1));
        }
        println!(
            "payload={bytes} headers={headers} messages={count} queued={:.1}MiB of {}MiB resident: full +{:.1}MiB, \
             emptying +{:.1}MiB (with the mock broker's log)",
            queued as f64 / MIB as f64,
            full / MIB,
            (at_full as f64 - before as f64) / MIB as f64,
            (most as f64 - before as f64) / MIB as f64,
        );
        worker.stop();
    }
}

static PAYLOAD: [u8; 100_000] = [b'x'; 100_000];
