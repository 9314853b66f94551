//! How fast the brokers deliver messages to this process, for `bench`: messages are read and dropped.
//!
//! Like [`newest`](crate::kafka::admin::newest), it reads by assignment: it joins no group, commits nothing and changes
//! no offset.

use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::kafka::admin::newest::{Span, is_passing, reading_config};
use crate::kafka::client::{LogContext, leave_behind};
use crate::kafka::consumer::fetched::{FetchError, Fetched, QueuedMessage as _};
use crate::kafka::ffi::Owned;
use crate::util::process::cpu_time;
use crate::util::stop::Stop;

/// Taken from the queue at once.
const AT_ONCE: usize = 500;
const POLL_WAIT_MS: i32 = 50;
/// If nothing comes for this long, reading ends.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// All queues together, in KiB, and the least and the most for one of them.
const QUEUES_KIB: usize = 64 * 1024;
const QUEUE_KIB_MIN: usize = 256;
const QUEUE_KIB_MAX: usize = 16 * 1024;
/// Fewer messages, or a shorter time, say nothing.
const MESSAGES_MIN: u64 = 1000;
const TIME_MIN: Duration = Duration::from_millis(50);
/// A topic with few messages is read so much longer, until the time of its messages is enough: between two times it
/// waits for the ends of the partitions.
const LONGER_MAX: Duration = Duration::from_secs(5);

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadingRate {
    pub messages_per_s: f64,
    pub bytes_per_s: f64,
    /// The process's CPU time for each message. 0: not known.
    pub cpu_us_per_message: f64,
}

#[derive(Debug, Default)]
struct Totals {
    messages: u64,
    bytes: u64,
    took: Duration,
    cpu: Duration,
    /// When it is enough: counted from the first messages on, because a connection with TLS and a login takes a while.
    until: Option<Instant>,
}

impl Totals {
    /// `more`: the time of messages that are not added yet.
    fn is_over(&self, more: Duration) -> bool {
        let is_past = |until| Instant::now() >= until;
        let is_enough = self.took + more >= TIME_MIN;
        self.until
            .is_some_and(|until| is_past(until) && (is_enough || is_past(until + LONGER_MAX)))
    }

    fn rate(&self) -> Option<ReadingRate> {
        if self.messages < MESSAGES_MIN || self.took < TIME_MIN {
            return None;
        }
        let seconds = self.took.as_secs_f64();
        Some(ReadingRate {
            messages_per_s: self.messages as f64 / seconds,
            bytes_per_s: self.bytes as f64 / seconds,
            cpu_us_per_message: 1e6 * self.cpu.as_secs_f64() / self.messages as f64,
        })
    }
}

/// Reads these ranges of topics, again and again, for about `lasts`, or until `bytes_max` are read. `None`: there are
/// too few messages to tell, or it was stopped.
///
/// # Errors
/// If a broker refuses, or does not answer.
pub fn reading_rate(
    kafka: &Kafka,
    topics: &[(String, Vec<Span>)],
    lasts: Duration,
    bytes_max: u64,
    stop: &Stop,
) -> Result<Option<ReadingRate>, KafkaError> {
    let partitions: usize = topics.iter().map(|(_, spans)| spans.len()).sum();
    let mut config = reading_config(kafka);
    let queue_kib = (QUEUES_KIB / partitions.max(1)).clamp(QUEUE_KIB_MIN, QUEUE_KIB_MAX);
    config.set("queued.max.messages.kbytes", queue_kib.to_string());
    // A small queue that was full would otherwise not be filled for a second.
    config.set("fetch.queue.backoff.ms", "5");
    // How long a broker waits before it says that a partition is at its end.
    config.set("fetch.wait.max.ms", "50");
    let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext::ErrorsAtDebug)?;
    let mut totals = Totals::default();
    let mut read = Ok(true);
    while read == Ok(true) && !totals.is_over(Duration::ZERO) && totals.bytes < bytes_max && !stop.requested() {
        read = once(&consumer, topics, lasts, bytes_max, stop, &mut totals);
    }
    leave_behind(consumer, "rate");
    read.map(|_| totals.rate())
}

fn spent(began: Option<(Instant, Duration)>, last: Instant) -> Duration {
    began.map_or(Duration::ZERO, |(at, _)| last.saturating_duration_since(at))
}

/// Reads the ranges once. Returns whether there is enough to read them again.
fn once(
    consumer: &BaseConsumer<LogContext>,
    topics: &[(String, Vec<Span>)],
    lasts: Duration,
    bytes_max: u64,
    stop: &Stop,
    totals: &mut Totals,
) -> Result<bool, KafkaError> {
    let mut begins = TopicPartitionList::new();
    let mut partitions = 0;
    for (topic, spans) in topics {
        for span in spans.iter().filter(|span| span.begin < span.end) {
            begins.add_partition_offset(topic, span.partition, Offset::Offset(span.begin))?;
            partitions += 1;
        }
    }
    consumer.assign(&begins)?;
    // SAFETY: the client is alive.
    let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    // SAFETY: the call gives us a reference of our own, which is given back here.
    let Some(queue) = (unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }) else {
        return Ok(false);
    };
    let mut began: Option<(Instant, Duration)> = None;
    let (mut heard, mut last) = (Instant::now(), Instant::now());
    let (mut all, mut messages, mut ended, mut failed) = (0_u64, 0_u64, 0, None);
    while ended < partitions && !totals.is_over(spent(began, last)) && totals.bytes < bytes_max && !stop.requested() {
        let mut pointers = [ptr::null_mut(); AT_ONCE];
        // SAFETY: the queue is alive, and there is space for so many pointers.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(queue.as_ptr(), POLL_WAIT_MS, pointers.as_mut_ptr(), AT_ONCE) };
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: so many pointers were set, to messages that the caller destroys.
        let taken = pointers
            .into_iter()
            .take(count)
            .filter_map(|pointer| unsafe { Fetched::new(pointer) });
        let now = Instant::now();
        for next in taken {
            match next {
                // The time counts from the first messages on: what comes before is the connection.
                Ok(message) => {
                    all += 1;
                    last = now;
                    if began.is_some() {
                        messages += 1;
                        totals.bytes += message.bytes() as u64;
                    }
                }
                Err(FetchError::Passing(KafkaError::MessageConsumption(code))) => {
                    if code == RDKafkaErrorCode::PartitionEOF {
                        ended += 1;
                    } else if !is_passing(code) {
                        failed = Some(KafkaError::MessageConsumption(code));
                    }
                }
                Err(FetchError::Refused(error) | FetchError::Unreadable(error) | FetchError::Passing(error)) => {
                    failed = Some(error);
                }
                // The beginning of the range is deleted by now: librdkafka goes on at the oldest message.
                Err(FetchError::Gone) => {}
            }
        }
        if count > 0 {
            heard = now;
            began.get_or_insert_with(|| (now, cpu_time().unwrap_or_default()));
            totals.until.get_or_insert(now + lasts);
        } else if heard.elapsed() >= SILENCE_MAX {
            failed = Some(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        }
        if let Some(error) = failed.take() {
            return Err(error);
        }
    }
    if let Some((_, cpu)) = began {
        // Not until the ends of the partitions: the brokers wait before they tell them.
        totals.took += spent(began, last);
        totals.cpu += cpu_time().unwrap_or_default().saturating_sub(cpu);
    }
    totals.messages += messages;
    Ok(all >= MESSAGES_MIN)
}
