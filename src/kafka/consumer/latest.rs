//! `start = "latest"`: sets where a group starts that has no offset yet.
//!
//! It happens once, before the group is joined: the ends of all partitions of the existing topics are committed in one
//! request. A partition without an offset afterwards is new, and is read from its beginning. A look-up at each
//! assignment would not be enough. It could not distinguish a new partition from one that another member is about to
//! start, or from one that a process had started before it died without a commit.
//!
//! A group accepts a commit from a non-member only while it has no members: a refusal means that the group has started.
//! If two processes start at the same time, both commit, and both read from what was committed last.

use std::time::{Duration, Instant};

use log::{info, warn};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::kafka::admin::advertised;
use crate::kafka::admin::topic_ids::TopicIds;
use crate::kafka::client::LogContext;
use crate::kafka::connection_config;
use crate::kafka::consumer::commits::commit_by;
use crate::kafka::consumer::committed::passing_or_refusal;
use crate::kafka::consumer::origin::offset_tag;
use crate::util::retry::{Retry, RetryError};
use crate::util::seconds::Seconds;
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;
use crate::util::throttle::LINES;

/// Time-out of each request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between a failed attempt and the next one.
const PAUSE: Duration = Duration::from_millis(200);

/// A topic that exists.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    pub name: &'a str,
    /// It did not exist when this process first asked.
    pub appeared: bool,
}

/// Why the group cannot start.
#[derive(Debug)]
pub enum LatestError {
    /// librdkafka refuses the settings, or Kafka refuses access.
    Refused(KafkaError),
    /// Not done within `run.start_timeout`. The text is the last reason.
    TooLate(String),
}

/// Commits where the group starts, if it has not started yet. `false`: the stop flag was raised.
///
/// Needs the end of every partition, so it waits for all their leaders.
///
/// # Errors
/// See [`LatestError`].
pub fn begin_at_end(
    kafka: &Kafka,
    topics: &[Present<'_>],
    ids: &TopicIds,
    limit: &StartLimit,
    stop: &Stop,
) -> Result<bool, LatestError> {
    let mut config = connection_config(kafka);
    config.set("group.id", &kafka.group);
    // This setting is for members; this client is not one.
    config.remove("group.instance.id");
    let client: BaseConsumer<LogContext> = config
        .create_with_context(LogContext::Told)
        .map_err(LatestError::Refused)?;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name).collect();
    let why = |error: &KafkaError| advertised::why(&client, &names, limit, stop).unwrap_or_else(|| error.to_string());
    let begun = Retry::new(stop, PAUSE).quiet_for(LINES).until(limit.deadline()).run(
        || attempt(&client, topics, ids, limit).map_err(passing_or_refusal),
        |error, waited, repeated| {
            warn!(
                "kafka: waiting for the group's offsets, to begin at the end (kafka.start = \"latest\") \
                     waited={waited} reason=\"{}\"{repeated}",
                why(error),
                waited = Seconds(waited)
            );
        },
    );
    match begun {
        Ok(()) => Ok(true),
        Err(RetryError::Stopped) => Ok(false),
        Err(RetryError::TooLate(error)) => Err(LatestError::TooLate(why(&error))),
        Err(RetryError::Final(error)) => Err(LatestError::Refused(error)),
    }
}

fn attempt(
    client: &BaseConsumer<LogContext>,
    topics: &[Present<'_>],
    ids: &TopicIds,
    limit: &StartLimit,
) -> KafkaResult<()> {
    let mut begins = TopicPartitionList::new();
    for topic in topics {
        let metadata = client.fetch_metadata(Some(topic.name), limit.bound(TIMEOUT))?;
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            let (oldest, end) = client.fetch_watermarks(topic.name, partition.id(), limit.bound(TIMEOUT))?;
            let begin = if topic.appeared { oldest } else { end };
            begins.add_partition_offset(topic.name, partition.id(), Offset::Offset(begin))?;
        }
    }
    if begins.count() == 0 {
        return Ok(());
    }
    // This check comes after reading the ends. So it sees what another process committed before, and does not skip
    // messages that the other process still has to read.
    for element in client
        .committed_offsets(begins.clone(), limit.bound(TIMEOUT))?
        .elements()
    {
        element.error()?;
        if matches!(element.offset(), Offset::Offset(_)) {
            return Ok(());
        }
    }
    for mut element in begins.elements() {
        let tag = ids
            .known(element.topic())
            .map_or_else(String::new, |id| offset_tag(id, ids.cluster_id()));
        if !tag.is_empty() {
            element.set_metadata(&tag);
        }
    }
    match commit_by(client, &begins, Instant::now() + limit.bound(TIMEOUT)) {
        Ok(()) => {
            info!(
                "kafka: the group starts at the current ends of its topics partitions={}",
                begins.count()
            );
            Ok(())
        }
        // The group has a member, so it has started.
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownMemberId)) => Ok(()),
        Err(error) => Err(error),
    }
}
