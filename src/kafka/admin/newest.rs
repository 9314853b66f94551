//! Reads the newest messages of a topic, for `try`, given ranges of messages, for `check`, or a whole topic, for
//! `replay`. Reads by assignment, outside of the group.
//!
//! Does not join a group, commits nothing, changes no offset. (librdkafka requires a group's name for reading. Without
//! a subscription it only uses the name to find the group's coordinator.)

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::kafka::client::{LogContext, outside_config};
use crate::kafka::consumer::committed::is_refusal;
use crate::kafka::view;
use crate::message::Message;

/// Time-out of each request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// If neither a message nor an end of a partition comes for this long, reading fails.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Room for messages that are fetched and not taken yet: for a partition, for all partitions of a topic that is read
/// whole, and the least for each of them.
const QUEUE_KIB: usize = 16 * 1024;
const QUEUES_KIB: usize = 64 * 1024;
const QUEUE_KIB_MIN: usize = 256;

/// Why the messages could not be read.
#[derive(Debug)]
pub struct NewestError {
    topic: String,
    cause: KafkaError,
}

impl NewestError {
    /// Whether the reason is a missing right.
    pub fn is_refusal(&self) -> bool {
        is_refusal(&self.cause)
    }

    /// Whether there is no such topic.
    pub fn is_absent(&self) -> bool {
        matches!(
            self.cause,
            KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
        )
    }
}

impl fmt::Display for NewestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kafka: cannot read the topic {}", self.topic)
    }
}

impl std::error::Error for NewestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Passes the last `count` messages of each partition of the topic to `take`, in order within a partition. Messages
/// that arrive meanwhile are left out. Reading ends where `take` breaks.
///
/// # Errors
/// If a broker does not answer, or refuses.
pub fn newest(
    kafka: &Kafka,
    topic: &str,
    count: u32,
    take: &mut dyn FnMut(&Message<'_>) -> ControlFlow<()>,
) -> Result<(), NewestError> {
    let mut read = || {
        let consumer = consumer(kafka)?;
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
        let mut spans = Vec::new();
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            let (oldest, end) = consumer.fetch_watermarks(topic, partition.id(), REQUEST_TIMEOUT)?;
            spans.push(Span {
                partition: partition.id(),
                begin: oldest.max(end - i64::from(count)),
                end,
            });
        }
        read(&consumer, topic, &spans, &mut of_messages(take))
    };
    read().map_err(|cause| NewestError {
        topic: topic.to_owned(),
        cause,
    })
}

/// A range of a partition's offsets.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub partition: i32,
    /// The first offset.
    pub begin: i64,
    /// The offset behind the last one.
    pub end: i64,
}

/// Passes the messages of these ranges to `take`.
///
/// # Errors
/// If a broker does not answer, or refuses.
pub fn spans(
    kafka: &Kafka,
    topic: &str,
    spans: &[Span],
    take: &mut dyn FnMut(&Message<'_>),
) -> Result<(), NewestError> {
    let mut take = |message: &Message<'_>| {
        take(message);
        ControlFlow::Continue(())
    };
    let read = consumer(kafka).and_then(|consumer| read(&consumer, topic, spans, &mut of_messages(&mut take)));
    read.map_err(|cause| NewestError {
        topic: topic.to_owned(),
        cause,
    })
}

/// What each partition of the topic has now.
///
/// # Errors
/// If there is no such topic, or a broker does not answer, or refuses.
pub fn whole(kafka: &Kafka, topic: &str) -> Result<Vec<Span>, NewestError> {
    let ask = || {
        let consumer = consumer(kafka)?;
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
        let mut spans = Vec::new();
        for found in metadata.topics() {
            if let Some(error) = found.error() {
                return Err(KafkaError::MetadataFetch(error.into()));
            }
            for partition in found.partitions() {
                let (begin, end) = consumer.fetch_watermarks(topic, partition.id(), REQUEST_TIMEOUT)?;
                spans.push(Span {
                    partition: partition.id(),
                    begin,
                    end,
                });
            }
        }
        Ok(spans)
    };
    ask().map_err(|cause| NewestError {
        topic: topic.to_owned(),
        cause,
    })
}

/// Passes the messages of these ranges to `take`, until it breaks. `None`: there is nothing to read for a moment.
/// `take` may block for as long as it likes.
///
/// # Errors
/// If a broker does not answer, or refuses.
pub fn read_through(
    kafka: &Kafka,
    topic: &str,
    spans: &[Span],
    take: &mut dyn FnMut(Option<&Message<'_>>) -> ControlFlow<()>,
) -> Result<(), NewestError> {
    let mut config = reading_config(kafka);
    // It applies to each partition, and `take` may block while the queues fill.
    let queue_kib = (QUEUES_KIB / spans.len().max(1)).clamp(QUEUE_KIB_MIN, QUEUE_KIB);
    config.set("queued.max.messages.kbytes", queue_kib.to_string());
    let consumer: KafkaResult<BaseConsumer<LogContext>> = config.create_with_context(LogContext::ErrorsAtDebug);
    let read = consumer.and_then(|consumer| read(&consumer, topic, spans, take));
    read.map_err(|cause| NewestError {
        topic: topic.to_owned(),
        cause,
    })
}

/// For callers that only care for messages.
fn of_messages(
    take: &mut dyn FnMut(&Message<'_>) -> ControlFlow<()>,
) -> impl FnMut(Option<&Message<'_>>) -> ControlFlow<()> {
    |message| message.map_or(ControlFlow::Continue(()), &mut *take)
}

fn consumer(kafka: &Kafka) -> KafkaResult<BaseConsumer<LogContext>> {
    reading_config(kafka).create_with_context(LogContext::ErrorsAtDebug)
}

/// Settings of a client that reads by assignment.
pub(in crate::kafka) fn reading_config(kafka: &Kafka) -> ClientConfig {
    let mut config = outside_config(kafka);
    // Reports the end of what can be read. Needed because aborted transactions or compaction may leave nothing at the
    // last offset.
    config.set("enable.partition.eof", "true");
    // The message that was the oldest one a moment ago may be deleted by now.
    config.set("auto.offset.reset", "earliest");
    config.set("queued.max.messages.kbytes", QUEUE_KIB.to_string());
    config
}

fn read(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    spans: &[Span],
    take: &mut dyn FnMut(Option<&Message<'_>>) -> ControlFlow<()>,
) -> KafkaResult<()> {
    let mut begins = TopicPartitionList::new();
    // For each partition that is not read to its end yet: the end.
    let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.begin < span.end) {
        begins.add_partition_offset(topic, span.partition, Offset::Offset(span.begin))?;
        ends.insert(span.partition, span.end);
    }
    consumer.assign(&begins)?;
    let mut heard = Instant::now();
    while !ends.is_empty() {
        match consumer.poll(POLL_WAIT) {
            None if take(None).is_break() => return Ok(()),
            None if heard.elapsed() < SILENCE_MAX => continue,
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.remove(&partition);
            }
            // For example, a broker is not reachable. librdkafka retries.
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => continue,
            Some(Err(error)) => return Err(error),
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                if let Some(end) = ends.get(&partition).copied() {
                    if offset < end && take(Some(&view(&message, true))).is_break() {
                        return Ok(());
                    }
                    if offset + 1 >= end {
                        ends.remove(&partition);
                    }
                }
            }
        }
        heard = Instant::now();
    }
    Ok(())
}

pub(in crate::kafka) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::OperationTimedOut
    )
}
