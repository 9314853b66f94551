//! Looks up the group's offsets when partitions are assigned, to find where each partition starts.
//!
//! Runs on the main thread, inside the rebalance callback. It waits only for brokers and does not need `poll`. The
//! start uses it once before the group is joined, to see whether the coordinator is reachable. librdkafka's own look-up
//! is not used: after an error that it does not retry, it leaves a partition unread without reporting it. And since
//! each partition is given its start offset, an offset reset (`auto.offset.reset = error`) has only one meaning: the
//! next offset is not in the log.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use log::warn;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::admin::advertised;
use crate::kafka::consumer::epoch;
use crate::kafka::{Consumer, Partition};
use crate::util::retry::{AttemptError, Retry, RetryError};
use crate::util::seconds::Seconds;
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;
use crate::util::throttle::LINES;

/// Time-out of each request.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between a failed request and the next one.
const PAUSE: Duration = Duration::from_millis(100);
/// After this time it is better to start again: other members wait for this one.
const GIVE_UP: Duration = Duration::from_secs(60);

/// A committed offset of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    /// The metadata that was committed with it.
    pub tag: String,
    /// The leader epoch that was committed with it, of the message before it.
    pub epoch: Option<i32>,
}

/// Why the offsets are not known.
#[derive(Debug)]
pub enum LookUpError {
    /// Kafka refuses access.
    Refused(KafkaError),
    /// No coordinator answered in time. The text is the last reason.
    TooLate(String),
}

impl fmt::Display for LookUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookUpError::Refused(error) => error.fmt(f),
            LookUpError::TooLate(why) => f.write_str(why),
        }
    }
}

/// The group's offsets of these partitions. Partitions without an offset are left out. `None`: the stop flag was
/// raised.
///
/// `limit`: the time limit of the service's start.
///
/// # Errors
/// See [`LookUpError`].
pub fn look_up(
    consumer: &Consumer,
    partitions: &[Partition],
    limit: &StartLimit,
    stop: &Stop,
) -> Result<Option<HashMap<Partition, Committed>>, LookUpError> {
    if partitions.is_empty() {
        return Ok(Some(HashMap::new()));
    }
    let why = |error: &KafkaError| why(consumer, partitions, error, limit, stop);
    let committed = Retry::new(stop, PAUSE)
        .quiet_for(LINES)
        .until(limit.deadline())
        .until(Some(Instant::now() + GIVE_UP))
        .run(
            || ask(consumer, partitions, limit).map_err(passing_or_refusal),
            |error, waited, repeated| {
                warn!(
                    "kafka: waiting for the group's offsets; nothing is read until then waited={waited} reason=\"{}\"{repeated}",
                    why(error),
                    waited = Seconds(waited)
                );
            },
        );
    match committed {
        Ok(committed) => Ok(Some(committed)),
        Err(RetryError::Stopped) => Ok(None),
        Err(RetryError::TooLate(error)) => Err(LookUpError::TooLate(why(&error))),
        Err(RetryError::Final(error)) => Err(LookUpError::Refused(error)),
    }
}

/// Classifies an error: a refusal is final.
pub(super) fn passing_or_refusal(error: KafkaError) -> AttemptError<KafkaError, KafkaError> {
    if is_refusal(&error) {
        AttemptError::Final(error)
    } else {
        AttemptError::Passing(error)
    }
}

/// Whether the error is a refusal, so that retrying does not help.
pub fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed)
    )
}

/// Why the coordinator does not answer.
fn why(consumer: &Consumer, partitions: &[Partition], error: &KafkaError, limit: &StartLimit, stop: &Stop) -> String {
    let topics: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
    let topics: Vec<&str> = topics.into_iter().take(1).collect();
    match advertised::why(consumer, &topics, limit, stop) {
        Some(why) => format!("{error}; {why}"),
        None => error.to_string(),
    }
}

fn ask(
    consumer: &Consumer,
    partitions: &[Partition],
    limit: &StartLimit,
) -> KafkaResult<HashMap<Partition, Committed>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    let mut committed = HashMap::new();
    let found = consumer.committed_offsets(list, limit.bound(TIMEOUT))?;
    for (element, epoch) in found.elements().iter().zip(epoch::of_list(&found)) {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            let tag = element.metadata().to_owned();
            committed.insert(Partition::of(element), Committed { offset, tag, epoch });
        }
    }
    Ok(committed)
}
