//! The Kafka side: settings of the clients, their callbacks, and questions to the brokers at start.
//!
//! Besides `partition` and `service`, this is the only code that uses the `rdkafka` crate. It commits no offset and
//! reads no message by itself: the workers do, and some commands.

// The group's consumer.
pub mod consumer;
// The producer.
pub mod producer;
// The topic of dead letters.
pub mod letters;
// One message, produced and waited for.
pub mod one;
// Questions to the brokers outside of the group.
pub mod admin;
// Why a broker is not reached.
pub mod diagnosis;
// What the clients outside of the group have in common.
mod client;
// A login that changes while the service runs.
mod login;
// Calls that `rdkafka` does not offer.
mod ffi;
// How librdkafka's log is logged.
pub mod log;

use std::env;
use std::sync::Arc;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;
use rdkafka::message::Headers as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use crate::config::model::{Kafka, LoginFiles, Secret};
use crate::message::Message;
use crate::util::memory::MemoryPlan;
pub use consumer::context::Context;

/// The group's consumer, with our callbacks.
pub type Consumer = BaseConsumer<Context>;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
}

impl Partition {
    /// The partition of a list's element.
    pub fn of(element: &TopicPartitionListElem<'_>) -> Partition {
        Partition {
            topic: element.topic().into(),
            number: element.partition(),
        }
    }

    /// A list with only this partition.
    pub fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, self.number);
        list
    }

    /// The same with an offset.
    ///
    /// # Errors
    /// If librdkafka does not accept the offset.
    pub fn list_at(&self, offset: i64) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, self.number, Offset::Offset(offset))?;
        Ok(list)
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic={} partition={}", self.topic, self.number)
    }
}

/// The partitions of an assignment in short form: `events:0-7, orders:0,3`.
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

/// librdkafka's settings for the consumer. The user's settings replace our defaults; the settings that delivery depends
/// on replace both.
pub fn consumer_config(kafka: &Kafka, memory: &MemoryPlan) -> ClientConfig {
    let mut config = connection_config(kafka);
    let has = |name: &str| kafka.consumer_property(name).is_some();
    let next_generation = kafka
        .consumer_property("group.protocol")
        .is_some_and(|protocol| protocol.eq_ignore_ascii_case("consumer"));

    // Defaults that the user may change. With the consumer protocol, librdkafka refuses this strategy setting.
    if !next_generation && !has("partition.assignment.strategy") {
        config.set("partition.assignment.strategy", "cooperative-sticky");
    }

    // New topics and partitions are found at this interval; librdkafka's default is 300 seconds.
    if !has("topic.metadata.refresh.interval.ms") {
        config.set("topic.metadata.refresh.interval.ms", "10000");
    }

    // Delivery and the memory bound depend on these settings; `[kafka.properties]` refuses their names.
    config.set("group.id", &kafka.group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("enable.partition.eof", "false");
    // Each partition is given its start offset (`committed`). So a reset only means that the next offset is not in the
    // log. It is reported to the worker, in order.
    config.set("auto.offset.reset", "error");
    config.set("allow.auto.create.topics", "false");
    config.set("statistics.interval.ms", "5000");
    config.set("queued.max.messages.kbytes", (memory.queue_bytes / 1024).to_string());
    // Fetching stops at this number of messages (`rdkafka_fetcher.c`, `fetch_decide`), so it must not be lower. The cap
    // in bytes counts payloads only; each message takes about as much again.
    config.set("queued.min.messages", memory.queue_messages.to_string());
    // How long fetching sleeps when a queue has reached its cap, 1000 by default. With a small cap, the default would
    // limit the rate.
    config.set("fetch.queue.backoff.ms", memory.queue_backoff.as_millis().to_string());
    config.set("fetch.max.bytes", memory.fetch_bytes.to_string());
    config.set("max.partition.fetch.bytes", memory.fetch_partition_bytes.to_string());
    config
}

/// Our default of `reconnect.backoff.ms` with TLS or a login.
const RECONNECT_BACKOFF_MS: &str = "1000";

/// The settings that all our clients share: where the brokers are and how to connect to them.
pub fn connection_config(kafka: &Kafka) -> ClientConfig {
    connection_config_of(kafka, &kafka.consumer_properties, &kafka.consumer_login)
}

/// The same, with the properties of the consumer or of the producer.
fn connection_config_of(kafka: &Kafka, properties: &[(String, Secret)], files: &LoginFiles) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("client.id", "penstock");
    config.set("socket.keepalive.enable", "true");
    // Requests that wait for a broker make librdkafka connect again at once, whatever its backoff. It only keeps half of
    // this time between two attempts (`rdkafka_broker.c`, `rd_kafka_connect_any`). With its default, 100, connections
    // that failed in the TLS handshake were tried 20 times a second. A connection that has lasted is still tried again at
    // once. A start takes a second longer by it (it makes several connections, one after the other), so brokers without
    // TLS and login are spared it.
    let is_set = |wanted: &str| properties.iter().any(|(name, _)| name.starts_with(wanted));
    let is_plain = properties
        .iter()
        .all(|(name, value)| name != "security.protocol" || value.0.eq_ignore_ascii_case("plaintext"));
    if !is_plain && !is_set("reconnect.backoff.") {
        config.set("reconnect.backoff.ms", RECONNECT_BACKOFF_MS);
    }
    if let Some(location) = default_ca_location(cfg!(feature = "static-openssl"), |name| env::var_os(name).is_some()) {
        config.set("ssl.ca.location", location);
    }
    for (name, value) in properties {
        config.set(name, &value.0);
    }
    // A client that is made later has the login of that time.
    let value = |name: &str| config.get(name).map(|value| Secret(value.to_owned()));
    if files.any()
        && let Some(written) = value("sasl.username").zip(value("sasl.password"))
        && let Ok((user, password)) = files.read(&written)
    {
        config.set("sasl.username", user.0).set("sasl.password", password.0);
    }
    config.set("bootstrap.servers", &kafka.brokers);
    // Its lines go to our log. The log's own filter (`RUST_LOG`) decides which are shown.
    let debug = properties.iter().any(|(name, _)| name == "debug");
    config.set_log_level(if debug {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    });
    config
}

/// Where the authorities' certificates are, unless the configuration says it. The system's OpenSSL knows. An OpenSSL that
/// is linked in does not: it looks in `/usr/local/ssl`. librdkafka looks for the system's certificates for it, in the
/// places of all common distributions, if it is told so. (By itself it does so only where its own build linked OpenSSL.)
/// OpenSSL's own variables go before that, as they do in the system's.
fn default_ca_location(is_linked_in: bool, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    let is_told = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(is_set);
    (is_linked_in && !is_told).then_some("probe")
}

/// A message as the stages see it. Headers are read only if `with_headers`.
pub fn view<'m>(message: &'m impl rdkafka::Message, with_headers: bool) -> Message<'m> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openssl_that_is_linked_in_is_told_to_look_for_the_systems_certificates() {
        assert_eq!(default_ca_location(false, |_| false), None);
        assert_eq!(default_ca_location(true, |_| false), Some("probe"));
        assert_eq!(default_ca_location(true, |name| name == "SSL_CERT_FILE"), None);
        assert_eq!(default_ca_location(true, |name| name == "SSL_CERT_DIR"), None);
    }
}
