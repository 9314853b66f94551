//! Topics and their messages.

use std::error::Error;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

pub const PARTITIONS: i32 = 8;
const HOT_KEYS: u64 = 100;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Creates a topic with this maximum message size in bytes.
pub fn create_topic(
    brokers: &str,
    topic: &str,
    partitions: i32,
    message_bytes_max: usize,
) -> Result<(), Box<dyn Error>> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let bytes = message_bytes_max.to_string();
    let topics = [NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", &bytes)];
    for result in futures_executor::block_on(admin.create_topics(&topics, &AdminOptions::new()))? {
        result.map_err(|(topic, code)| format!("cannot create {topic}: {code}"))?;
    }
    Ok(())
}

/// One of 100 keys.
pub fn hot(id: u64) -> u64 {
    id * 2_654_435_761 % HOT_KEYS
}

/// All partitions have the same number of messages, and all messages of a key are in one partition.
fn partition(id: u64) -> i32 {
    i32::try_from(hot(id)).map_or(0, |hot| hot % PARTITIONS)
}

/// Letters and digits that hardly compress. The same `seed` gives the same text.
pub fn filler(seed: u64, length: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

/// A message of about 560 bytes. `id` is unique, `hot` is one of 100.
pub fn payload(id: u64) -> String {
    let padding = filler(id, 440);
    format!(
        "{{\"id\":\"m{id}\",\"hot\":\"k{}\",\"a\":\"country\",\"b\":{id},\"c\":{}.5,\"d\":true,\"seen\":{id},\"padding\":\"{padding}\"}}",
        hot(id),
        id % 97
    )
}

/// A message to send.
#[derive(Debug, Clone)]
pub struct Keyed {
    pub partition: i32,
    pub key: String,
    pub payload: Option<Vec<u8>>,
}

/// Produces `messages` messages. `make` makes each one from its number.
pub fn produce(
    brokers: &str,
    topic: &str,
    messages: u64,
    message_bytes_max: usize,
    make: impl Fn(u64) -> Option<Vec<u8>>,
) -> Result<(), Box<dyn Error>> {
    let made = (0..messages).map(|id| Keyed {
        partition: partition(id),
        key: hot(id).to_string(),
        payload: make(id),
    });
    send(brokers, topic, message_bytes_max, made)
}

/// Sends messages to their partitions.
pub fn send(
    brokers: &str,
    topic: &str,
    message_bytes_max: usize,
    messages: impl IntoIterator<Item = Keyed>,
) -> Result<(), Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        // Batches are full, so their size does not depend on the broker's speed and is the same in all topics.
        .set("linger.ms", "1000")
        .set("message.max.bytes", message_bytes_max.to_string())
        .create()?;
    for message in messages {
        loop {
            let mut record = BaseRecord::<str, [u8]>::to(topic)
                .key(&message.key)
                .partition(message.partition);
            record.payload = message.payload.as_deref();
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(TIMEOUT)?;
    Ok(())
}
