//! Tests against a real Kafka broker: `make test-kafka` starts one and runs them. They want its address in
//! `KAFKA_BROKERS`, and are ignored otherwise, since `make test` needs no service.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

/// How long anything here may take, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// A client's configuration for the broker under test.
fn client() -> ClientConfig {
    let brokers = std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS is not set: run `make test-kafka`");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// A name that no other test, nor another run, uses.
fn unique(name: &str) -> String {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("{name}-{}-{}", std::process::id(), since_epoch.as_nanos())
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future of rdkafka's admin client, the only one of its clients without a blocking form.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no answer from the broker within {DEADLINE:?}");
        std::thread::park_timeout(left);
    }
}

fn create_topic(name: &str, partitions: i32) {
    let admin: AdminClient<_> = client().create().unwrap();
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let results = wait_for(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert_eq!(results, [Ok(name.to_owned())]);
}

/// Writes messages, one with each key to the topic, and reads as many as a group with this protocol.
fn a_group_reads_what_was_written(protocol: &str) {
    let topic = unique("round-trip");
    create_topic(&topic, 3);

    let producer: BaseProducer = client().set("enable.idempotence", "true").create().unwrap();
    let keys: Vec<String> = (0..30).map(|number| format!("key-{number:02}")).collect();
    for key in &keys {
        producer
            .send(BaseRecord::to(&topic).key(key).payload(&format!("value of {key}")))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(DEADLINE).unwrap();

    let consumer: BaseConsumer = client()
        .set("group.id", unique("group"))
        .set("group.protocol", protocol)
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    while seen.len() < keys.len() {
        assert!(
            Instant::now() < deadline,
            "{} of {} messages: {seen:?}",
            seen.len(),
            keys.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            let key = message.key_view::<str>().unwrap().unwrap();
            assert_eq!(
                message.payload_view::<str>().unwrap().unwrap(),
                format!("value of {key}")
            );
            seen.push(key.to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, keys);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_group_of_the_classic_protocol_reads_what_was_written() {
    a_group_reads_what_was_written("classic");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_group_of_the_consumer_protocol_reads_what_was_written() {
    a_group_reads_what_was_written("consumer");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_nobody_created_is_not_created_by_asking() {
    let topic = unique("missing");
    let consumer: BaseConsumer = client().create().unwrap();
    for _ in 0..2 {
        let metadata = consumer.fetch_metadata(Some(&topic), DEADLINE).unwrap();
        assert!(metadata.topics()[0].error().is_some(), "{topic} is there");
    }
}
