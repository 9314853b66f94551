//! The group's offsets, looked up when partitions are assigned: where each of them is begun.
//!
//! Runs on the main thread, inside the rebalance callback, and waits for brokers alone: nothing of it needs `poll`.
//! librdkafka's own look-up is not used. An error that it does not retry leaves a partition unread without a word; and
//! with every beginning given, an offset reset (`auto.offset.reset = error`) means one thing only: what was to be read
//! is not there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::warn;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Consumer, Partition, epoch};
use crate::shutdown::Stop;

/// Each request.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Between a request that failed and the next one.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two warnings.
const WARN_INTERVAL: Duration = Duration::from_secs(10);
/// After this it is better to start anew: other members wait for this one.
const GIVE_UP: Duration = Duration::from_secs(60);

/// An offset of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    /// What was committed with it.
    pub tag: String,
    /// The leader epoch of the message before it, where it was committed with it.
    pub epoch: Option<i32>,
}

/// The group's offsets of these partitions; those without one are left out. `None`: told to stop.
///
/// # Errors
/// When access is refused, or no coordinator answers for too long.
pub fn look_up(
    consumer: &Consumer,
    partitions: &[Partition],
    stop: &Stop,
) -> KafkaResult<Option<HashMap<Partition, Committed>>> {
    if partitions.is_empty() {
        return Ok(Some(HashMap::new()));
    }
    let started = Instant::now();
    let mut warned = started;
    loop {
        let error = match ask(consumer, partitions) {
            Ok(committed) => return Ok(Some(committed)),
            Err(error) => error,
        };
        if started.elapsed() >= GIVE_UP || is_refusal(&error) {
            return Err(error);
        }
        if warned.elapsed() >= WARN_INTERVAL {
            warned = Instant::now();
            warn!(
                "kafka: waiting for the group's offsets, nothing that was assigned is read before waited={:.0?} error=\"{error}\"",
                started.elapsed()
            );
        }
        if stop.wait(PAUSE) {
            return Ok(None);
        }
    }
}

/// Whether waiting does not help.
pub fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed)
    )
}

fn ask(consumer: &Consumer, partitions: &[Partition]) -> KafkaResult<HashMap<Partition, Committed>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    let mut committed = HashMap::new();
    let found = consumer.committed_offsets(list, TIMEOUT)?;
    for (element, epoch) in found.elements().iter().zip(epoch::of_list(&found)) {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            let partition = Partition {
                topic: element.topic().into(),
                number: element.partition(),
            };
            let tag = element.metadata().to_owned();
            committed.insert(partition, Committed { offset, tag, epoch });
        }
    }
    Ok(committed)
}
