//! Reads the newest messages of a topic, for `try`, given ranges of messages, for `check`, or a whole topic, for
//! `replay`. Reads by assignment, outside of the group.
//!
//! Does not join a group, commits nothing, changes no offset. (librdkafka requires a group's name for reading. Without
//! a subscription it only uses the name to find the group's coordinator.)

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::thread;
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
use crate::message::{self, Message};

/// Time-out of each request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// If neither a message nor an end of a partition comes for this long, reading fails.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// If a log ends too early for this long, the caller hears what is waited for.
const SILENCE_TOLD: Duration = Duration::from_secs(1);

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
        read(&consumer, topic, &spans, &mut of_messages(take)).map(drop)
    };
    read().map_err(|cause| NewestError {
        topic: topic.to_owned(),
        cause,
    })
}

/// A range of a partition's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    read.map(drop).map_err(|cause| NewestError {
        topic: topic.to_owned(),
        cause,
    })
}

/// What each partition of the topic has now, with what transactions hide that are open.
///
/// # Errors
/// If there is no such topic, or a broker does not answer, or refuses.
pub fn whole(kafka: &Kafka, topic: &str) -> Result<Vec<Span>, NewestError> {
    let ask = || {
        let mut config = reading_config(kafka);
        // A client that reads what is committed is told the end of that (librdkafka 2.12.1, `ListOffsets`).
        config.set("isolation.level", "read_uncommitted");
        let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext::ErrorsAtDebug)?;
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

/// What reading passes on.
#[derive(Debug, Clone, Copy)]
pub enum Step<'s, 'm> {
    Message(&'s Message<'m>),
    /// There is nothing to read for a moment.
    Nothing,
    /// This range cannot be read, and is given up after 20 seconds (`SILENCE_MAX`). Said once until a message of it comes.
    Waits(Span),
}

/// What is waited for, in words. `topic` is as a terminal can show it.
#[must_use]
pub fn waits(topic: &str, span: &Span) -> String {
    format!(
        "waiting up to {} s for {}: a transaction of another producer is open there, or the log was cut",
        SILENCE_MAX.as_secs(),
        message::place(topic, span.partition, span.begin)
    )
}

/// Passes the messages of these ranges to `take`, until it breaks. `take` may block for as long as it likes.
///
/// Messages of aborted transactions are left out. A transaction that is open hides what is behind its first message,
/// also messages of others: after 20 seconds (`SILENCE_MAX`) these ranges are given up, and returned.
///
/// # Errors
/// If a broker does not answer, or refuses.
pub fn read_through(
    kafka: &Kafka,
    topic: &str,
    spans: &[Span],
    take: &mut dyn FnMut(Step<'_, '_>) -> ControlFlow<()>,
) -> Result<Vec<Span>, NewestError> {
    let mut config = reading_config(kafka);
    // Otherwise librdkafka hands over the messages of aborted transactions like any others.
    config.set("isolation.level", "read_committed");
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
fn of_messages(take: &mut dyn FnMut(&Message<'_>) -> ControlFlow<()>) -> impl FnMut(Step<'_, '_>) -> ControlFlow<()> {
    |step| match step {
        Step::Message(message) => take(message),
        Step::Nothing | Step::Waits(_) => ControlFlow::Continue(()),
    }
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

/// Returns the ranges that were given up: the log ended before them.
fn read(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    spans: &[Span],
    take: &mut dyn FnMut(Step<'_, '_>) -> ControlFlow<()>,
) -> KafkaResult<Vec<Span>> {
    let mut begins = TopicPartitionList::new();
    // The partitions that are not read to their end yet.
    let mut unread: BTreeMap<i32, Unread> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.begin < span.end) {
        begins.add_partition_offset(topic, span.partition, Offset::Offset(span.begin))?;
        unread.insert(span.partition, Unread::new(span));
    }
    consumer.assign(&begins)?;
    let mut given_up = Vec::new();
    let mut heard = Instant::now();
    while !unread.is_empty() {
        match consumer.poll(POLL_WAIT) {
            None if take(Step::Nothing).is_break() => return Ok(given_up),
            None if heard.elapsed() < SILENCE_MAX => continue,
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let Some(left) = unread.get_mut(&partition) else {
                    continue;
                };
                let high = || Ok(consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?.1);
                if left.is_end(high, Instant::now())? {
                    given_up.extend(left.given_up(partition));
                    unread.remove(&partition);
                } else {
                    let waits = left.waits(partition, Instant::now());
                    if take(waits.map_or(Step::Nothing, Step::Waits)).is_break() {
                        return Ok(given_up);
                    }
                    if !left.is_confirmed {
                        thread::sleep(POLL_WAIT);
                    }
                    consumer.seek(topic, partition, Offset::Offset(left.next), REQUEST_TIMEOUT)?;
                }
            }
            // For example, a broker is not reachable. librdkafka retries.
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => continue,
            Some(Err(error)) => return Err(error),
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                if let Some(left) = unread.get_mut(&partition) {
                    let is_new = (left.next..left.end).contains(&offset);
                    if is_new && take(Step::Message(&view(&message, true))).is_break() {
                        return Ok(given_up);
                    }
                    if offset >= left.next {
                        left.passed(offset);
                    }
                    if left.next >= left.end {
                        unread.remove(&partition);
                    }
                }
            }
        }
        heard = Instant::now();
    }
    given_up.sort_unstable_by_key(|span: &Span| span.partition);
    Ok(given_up)
}

/// What is left of a range.
struct Unread {
    /// The offset behind the last message.
    next: i64,
    end: i64,
    /// The leader knows of all that is to be read.
    is_confirmed: bool,
    /// Since when the log has ended too early.
    short_since: Option<Instant>,
    /// The caller has heard of that.
    is_told: bool,
}

impl Unread {
    fn new(span: &Span) -> Unread {
        Unread {
            next: span.begin,
            end: span.end,
            is_confirmed: false,
            short_since: None,
            is_told: false,
        }
    }

    /// The message at `offset` has come.
    fn passed(&mut self, offset: i64) {
        self.next = offset + 1;
        (self.is_confirmed, self.short_since, self.is_told) = (false, None, false);
    }

    /// What the caller is to hear, once.
    fn waits(&mut self, partition: i32, now: Instant) -> Option<Span> {
        let is_long = self.short_since.is_some_and(|since| now - since >= SILENCE_TOLD);
        if self.is_told || !is_long {
            return None;
        }
        self.is_told = true;
        self.given_up(partition)
    }

    /// The broker has said that nothing more is in the log. Returns whether that is so; otherwise it is read once more
    /// from `next` on. `high` asks for the end of the log.
    fn is_end(&mut self, high: impl FnOnce() -> KafkaResult<i64>, now: Instant) -> KafkaResult<bool> {
        if self.next >= self.end || self.is_confirmed {
            // Behind the last message are only marks of transactions, or what compaction has left.
            return Ok(true);
        }
        // A leader that has just been elected may not know the end yet.
        let is_over = now - *self.short_since.get_or_insert(now) >= SILENCE_MAX;
        match high() {
            Ok(high) if high >= self.end => {
                self.is_confirmed = true;
                Ok(false)
            }
            // A transaction is open, or the log was cut.
            Ok(_) => Ok(is_over),
            Err(error) if is_over => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// What is not there to be read.
    fn given_up(&self, partition: i32) -> Option<Span> {
        (self.next < self.end && !self.is_confirmed).then_some(Span {
            partition,
            begin: self.next,
            end: self.end,
        })
    }
}

pub(in crate::kafka) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::OperationTimedOut
    )
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

    use super::*;

    fn unread() -> Unread {
        Unread::new(&Span {
            partition: 0,
            begin: 5,
            end: 9,
        })
    }

    fn silent() -> KafkaResult<i64> {
        Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
    }

    #[test]
    fn an_end_below_the_range_is_believed_once_the_leader_knows_the_range() {
        let now = Instant::now();
        let mut left = unread();
        // The leader lags, or does not answer.
        assert_eq!(left.is_end(|| Ok(6), now), Ok(false));
        assert_eq!(left.is_end(silent, now), Ok(false));
        assert!(!left.is_confirmed);
        // It knows: once more, and then there are only marks of transactions.
        assert_eq!(left.is_end(|| Ok(9), now), Ok(false));
        assert_eq!(left.is_end(silent, now), Ok(true));
        // A message came after all.
        left.passed(6);
        assert_eq!(left.next, 7);
        assert_eq!(left.is_end(|| Ok(7), now), Ok(false));
        left.passed(8);
        assert_eq!(left.is_end(silent, now), Ok(true));
        assert_eq!(left.given_up(3), None);
    }

    #[test]
    fn a_log_that_stays_too_short_ends_there_and_silence_is_an_error() {
        let now = Instant::now();
        let mut left = unread();
        assert_eq!(left.is_end(|| Ok(6), now), Ok(false));
        let later = now + SILENCE_MAX;
        assert_eq!(left.is_end(silent, later), silent().map(|_| true));
        assert_eq!(left.is_end(|| Ok(6), later), Ok(true));
        let given_up = Span {
            partition: 3,
            begin: 5,
            end: 9,
        };
        assert_eq!(left.given_up(3), Some(given_up));
    }

    #[test]
    fn what_is_waited_for_is_told_once_and_not_at_once() {
        let now = Instant::now();
        let mut left = unread();
        assert_eq!(left.waits(3, now), None);
        assert_eq!(left.is_end(|| Ok(6), now), Ok(false));
        assert_eq!(left.waits(3, now), None);
        let later = now + SILENCE_TOLD;
        let hidden = |begin| Span {
            partition: 3,
            begin,
            end: 9,
        };
        assert_eq!(left.waits(3, later), Some(hidden(5)));
        assert_eq!(left.waits(3, later + SILENCE_TOLD), None);
        // It went on, and stands again.
        left.passed(6);
        assert_eq!(left.is_end(|| Ok(7), later), Ok(false));
        assert_eq!(left.waits(3, later), None);
        assert_eq!(left.waits(3, later + SILENCE_TOLD), Some(hidden(7)));
        assert_eq!(
            waits("dead", &hidden(7)),
            "waiting up to 20 s for dead:3:7: a transaction of another producer is open there, or the log was cut"
        );
    }

    /// As after an election: the leader gets the rest of the range only when the client has heard of an end.
    #[test]
    fn a_leader_that_is_behind_does_not_end_the_range() {
        let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 1, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let producer: BaseProducer = config.create().unwrap();
        let produce_two = || {
            for payload in ["a", "b"] {
                let record = BaseRecord::<(), str>::to("events").partition(0).payload(payload);
                producer.send(record).unwrap();
            }
            producer.flush(Duration::from_secs(60)).unwrap();
        };
        produce_two();
        config
            .set("group.id", "g")
            .set("enable.partition.eof", "true")
            // The end is told at once, before a poll comes back empty.
            .set("fetch.wait.max.ms", "1");
        let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext::ErrorsAtDebug).unwrap();
        let span = Span {
            partition: 0,
            begin: 0,
            end: 4,
        };
        let mut offsets = Vec::new();
        read(&consumer, "events", &[span], &mut |message| {
            match message {
                Step::Message(message) => offsets.push(message.offset),
                Step::Nothing if offsets.len() == 2 => produce_two(),
                Step::Nothing | Step::Waits(_) => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(offsets, [0, 1, 2, 3]);
    }
}
