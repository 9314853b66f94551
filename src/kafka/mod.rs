//! Kafka's side: the client's settings, its callbacks, and what is asked of the brokers at start.
//!
//! Beside `partition` and `service`, this is the only code that knows the `rdkafka` crate. It commits no offset and reads
//! no message: workers do.

// The group's consumer.
pub mod consumer;
// What is produced.
pub mod producer;
// What is asked of the brokers outside of the group.
pub mod admin;
// Why a broker is not reached.
pub mod diagnosis;
// What clients outside of the group have in common.
mod client;
// Calls that `rdkafka` does not have.
mod ffi;
// librdkafka's log, in our words.
pub mod log;

use std::sync::Arc;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};

use crate::config::model::{Kafka, Secret};
use crate::message::Message;
use crate::util::memory::MemoryPlan;
pub use consumer::context::Context;

/// The group's consumer, with our callbacks.
pub type Consumer = BaseConsumer<Context>;

/// Partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
}

impl Partition {
    /// The one that an element of a list is about.
    pub fn of(element: &TopicPartitionListElem<'_>) -> Partition {
        Partition {
            topic: element.topic().into(),
            number: element.partition(),
        }
    }

    /// A list of this one.
    pub fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, self.number);
        list
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic={} partition={}", self.topic, self.number)
    }
}

/// The partitions of an assignment in few words: `events:0-7, orders:0,3`.
fn summary(partitions: &[Partition]) -> String {
    let mut sorted = partitions.to_vec();
    sorted.sort();
    let mut text = String::new();
    let mut rest = sorted.as_slice();
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .enumerate()
            .take_while(|(i, p)| p.topic == first.topic && usize::try_from(p.number - first.number) == Ok(*i))
            .count();
        let (same, later) = rest.split_at(run);
        if !text.is_empty() {
            text.push(',');
        }
        match same {
            [one] => text.push_str(&format!("{}:{}", one.topic, one.number)),
            [.., last] => text.push_str(&format!("{}:{}-{}", first.topic, first.number, last.number)),
            [] => break,
        }
        rest = later;
    }
    text
}

/// librdkafka's settings for the consumer: the user's, between our defaults and what delivery rests on.
pub fn consumer_config(kafka: &Kafka, memory: &MemoryPlan) -> ClientConfig {
    let mut config = connection_config(kafka);
    let has = |name: &str| kafka.consumer_property(name).is_some();
    let next_generation = kafka
        .consumer_property("group.protocol")
        .is_some_and(|protocol| protocol.eq_ignore_ascii_case("consumer"));

    // Defaults that the user may change. The consumer protocol refuses a strategy that is set.
    if !next_generation && !has("partition.assignment.strategy") {
        config.set("partition.assignment.strategy", "cooperative-sticky");
    }

    // Topics and partitions that appear are found with this, 300 seconds by default.
    if !has("topic.metadata.refresh.interval.ms") {
        config.set("topic.metadata.refresh.interval.ms", "10000");
    }

    // What delivery and the memory bound rest on; `[kafka.properties]` refuses these names.
    config.set("group.id", &kafka.group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("enable.partition.eof", "false");
    // Every beginning is given (`committed`). A reset is an offset that is gone, and told to its worker, in order.
    config.set("auto.offset.reset", "error");
    config.set("allow.auto.create.topics", "false");
    config.set("statistics.interval.ms", "5000");
    config.set("queued.max.messages.kbytes", (memory.queue_bytes / 1024).to_string());
    // No less than what it fetches up to: it is where fetching stops (`rdkafka_fetcher.c`, `fetch_decide`). The cap in
    // bytes counts payloads only, and each message takes as much again.
    config.set("queued.min.messages", memory.queue_messages.to_string());
    // A queue at its cap sleeps this long, 1000 by default: with a small cap that would set the rate.
    config.set("fetch.queue.backoff.ms", memory.queue_backoff.as_millis().to_string());
    config.set("fetch.max.bytes", memory.fetch_bytes.to_string());
    config.set("max.partition.fetch.bytes", memory.fetch_partition_bytes.to_string());
    config
}

/// The settings that any client of ours shares: where the brokers are and how to speak to them.
pub fn connection_config(kafka: &Kafka) -> ClientConfig {
    connection_config_of(kafka, &kafka.consumer_properties)
}

/// The same with the properties of one of the sides.
fn connection_config_of(kafka: &Kafka, properties: &[(String, Secret)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("client.id", "penstock");
    config.set("socket.keepalive.enable", "true");
    for (name, value) in properties {
        config.set(name, &value.0);
    }
    config.set("bootstrap.servers", &kafka.brokers);
    // Its lines go where ours go; which of them are shown is the log's own filter (`RUST_LOG`).
    let debug = properties.iter().any(|(name, _)| name == "debug");
    config.set_log_level(if debug {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    });
    config
}

/// A message as the stages see it; its headers only where they are asked for.
pub fn view<'m>(message: &'m BorrowedMessage<'_>, with_headers: bool) -> Message<'m> {
    let headers = message.headers().filter(|_| with_headers);
    Message {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key(),
        payload: message.payload(),
        headers: headers
            .map(|headers| headers.iter().map(|header| (header.key, header.value)).collect())
            .unwrap_or_default(),
    }
}
