//! Log lines for partitions that are held: place, reason and cure. They never contain payloads.

use log::error;
use rdkafka::error::KafkaError;

use crate::delivery::reject_limit::TooMany;
use crate::kafka::Partition;
use crate::message::{self, Rejection};

/// Logs that a partition is held since a part of Kafka's log cannot be read, and returns the text. `next`: the first
/// offset that is not finished.
pub(super) fn unreadable(partition: &Partition, next: Option<i64>, error: &KafkaError) -> String {
    let next = next.map_or_else(|| "unknown".to_owned(), |next| next.to_string());
    let why = format!(
        "{partition} next={next} reason=unreadable error=\"{error}\" cure=\"look at the broker's disk and at \
         check.crcs; or, to skip it, stop the service, set the group's offset of this partition behind it \
         (kafka-consumer-groups.sh --reset-offsets) and start it\"",
    );
    error!("kafka: a part of the log cannot be read, its partition is held; the other partitions go on {why}");
    why
}

/// Logs that a partition is held at a rejected message, and returns the text. Logged once here; `service/holds.rs`
/// repeats it while the hold lasts.
pub(super) fn rejected(partition: &Partition, offset: i64, rejection: &Rejection) -> String {
    let why = format!(
        "{partition} offset={offset} reason={} detail={:?} cure=\"correct the rule and restart; or, to skip this message, \
         stop the service, run {} and start it (FILE: the configuration; the message is kept in the other file); or let \
         such messages be dead letters (reject.action)\"",
        rejection.reason.as_str(),
        rejection.detail,
        skipping(partition, offset),
    );
    error!("message rejected, its partition is held; the other partitions go on {why}");
    why
}

/// Logs that the service stops at this message. Neither its offset nor any later one is committed.
pub(super) fn stops_at(partition: &Partition, offset: i64, rejection: &Rejection, too_many: Option<TooMany>) {
    let why = match too_many {
        None => "reject.action is stop".to_owned(),
        Some(too_many) => too_many.to_string(),
    };
    error!(
        "message rejected, and the service stops: {why} {partition} offset={offset} reason={} detail={:?} cure=\"correct \
         the rule, or what produces the messages, and start the service: it goes on at this message; to skip it, run {} \
         before (FILE: the configuration; the message is kept in the other file)\"",
        rejection.reason.as_str(),
        rejection.detail,
        skipping(partition, offset),
    );
}

/// The command that keeps the message and sets the group's offset behind it. Kafka accepts it only while the group has
/// no members. `cli::skip` proposes the same file.
fn skipping(partition: &Partition, offset: i64) -> String {
    let Partition { topic, number } = partition;
    let place = message::place(topic, *number, offset);
    format!("penstock skip FILE {place} --to-file {topic}-{number}-{offset}.json")
}
