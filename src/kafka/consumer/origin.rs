//! Which topic a partition belongs to, and where its worker starts.
//!
//! Runs on the worker's thread before its first batch. A group's offset belongs to the topic that existed when it was
//! committed. If that topic was deleted and created again, the offset means nothing. So every commit carries the
//! topic's id (`offset_tag`), and a worker does not start at an offset that has another topic's id.

use std::time::{Duration, Instant};

use log::warn;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::{ReadError, TopicIds};
use crate::kafka::consumer::committed::Committed;
use crate::kafka::{Consumer, Partition};
use crate::util::retry::{AttemptError, Retry, RetryError};
use crate::util::stop::Stop;
use crate::util::throttle::LINES;

/// Time-out of each request.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between a failed request and the next one.
const PAUSE: Duration = Duration::from_millis(50);

/// Where fetching starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    Offset(i64),
    /// At the oldest message in the log.
    Oldest,
}

impl StartOffset {
    /// The offset in librdkafka's form.
    pub fn offset(self) -> Offset {
        match self {
            StartOffset::Offset(offset) => Offset::Offset(offset),
            StartOffset::Oldest => Offset::Beginning,
        }
    }
}

impl std::fmt::Display for StartOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartOffset::Offset(offset) => offset.fmt(f),
            StartOffset::Oldest => f.write_str("oldest"),
        }
    }
}

/// What is known about a partition when its worker starts.
#[derive(Debug, Clone)]
pub struct PartitionStart {
    pub from: StartOffset,
    /// Where it starts, if that differs from the group's offset. Committed before the first message.
    pub begin: Option<i64>,
    /// The metadata that was committed with the group's offset.
    pub tag: String,
    /// The leader epoch of the message before the group's offset, if it is known.
    pub epoch: Option<i32>,
    /// The topic's id as last read before anything was fetched for this worker.
    pub topic_id: Option<TopicId>,
}

impl PartitionStart {
    /// Starts at the group's offset; at the oldest message if the group has none.
    pub fn at(committed: Option<&Committed>, topic_id: Option<TopicId>) -> Self {
        PartitionStart {
            from: committed.map_or(StartOffset::Oldest, |committed| StartOffset::Offset(committed.offset)),
            begin: None,
            tag: committed.map_or_else(String::new, |committed| committed.tag.clone()),
            epoch: committed.and_then(|committed| committed.epoch),
            topic_id,
        }
    }

    /// Starts a second time, at another place than the group's offset.
    pub fn again(from: StartOffset, topic_id: Option<TopicId>) -> Self {
        PartitionStart {
            from,
            begin: match from {
                StartOffset::Offset(offset) => Some(offset),
                StartOffset::Oldest => None,
            },
            tag: String::new(),
            epoch: None,
            topic_id,
        }
    }
}

/// What the worker needs to know about its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub topic_id: TopicId,
    /// The metadata for each commit; empty if there is nothing to say.
    pub tag: String,
    /// The leader epoch that was committed with the group's offset, if it belongs to this topic.
    pub epoch: Option<i32>,
}

/// Why the worker does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoOrigin {
    Stopped,
    /// Kafka does not allow us to describe the topic.
    Refused(String),
    /// The group's offset belongs to a former topic of this name. This one is read from its oldest message.
    Former,
}

impl NoOrigin {
    /// Why a worker's wait ended. The wait has no deadline.
    pub(super) fn of_retry<E>(ended: RetryError<E, NoOrigin>) -> NoOrigin {
        match ended {
            RetryError::Final(why) => why,
            RetryError::Stopped | RetryError::TooLate(_) => NoOrigin::Stopped,
        }
    }
}

impl From<ReadError> for NoOrigin {
    fn from(error: ReadError) -> Self {
        match error {
            // A worker's wait has no limit of its own; the main thread watches it.
            ReadError::Stopped | ReadError::TooLate(_) => NoOrigin::Stopped,
            ReadError::Refused(why) => NoOrigin::Refused(why),
        }
    }
}

/// Finds out which topic this is. If the topic was created again since the consumer was created, nothing is read: the
/// worker waits for the stop flag.
///
/// Everything that is in the queue afterwards was fetched when the topic had this id or a later one, never an earlier
/// one. A guard with an old id can be recognised as invalid. A guard with an id that is too new would block the
/// messages to come.
///
/// # Errors
/// See [`NoOrigin`].
pub fn find(ids: &TopicIds, partition: &Partition, start: &PartitionStart, stop: &Stop) -> Result<Origin, NoOrigin> {
    let topic_id = ids.read(&partition.topic, Instant::now(), stop)?;
    if start
        .topic_id
        .is_some_and(|before| before != topic_id && !before.is_none() && !topic_id.is_none())
    {
        return Err(wait_for_stop(stop));
    }
    if !topic_id.is_none()
        && let Some(was) = tagged_topic(&start.tag, ids.cluster_id()).filter(|of| *of != topic_id)
    {
        warn!(
            "kafka: the group's offset is of a former topic of this name; reading this one from its beginning \
             {partition} offset={} id={topic_id} was={was}",
            start.from
        );
        return Err(NoOrigin::Former);
    }
    Ok(Origin {
        topic_id,
        tag: offset_tag(topic_id, ids.cluster_id()),
        epoch: start
            .epoch
            .filter(|_| is_own_epoch(&start.tag, topic_id, ids.cluster_id())),
    })
}

/// Fails unless the topic still has this id. Otherwise what a broker says about the log may be about another topic.
///
/// # Errors
/// See [`NoOrigin`]; never `Former`.
pub fn confirm(ids: &TopicIds, partition: &Partition, topic_id: TopicId, stop: &Stop) -> Result<(), NoOrigin> {
    match ids.read(&partition.topic, Instant::now(), stop)? {
        now if now == topic_id => Ok(()),
        _ => Err(wait_for_stop(stop)),
    }
}

/// The service restarts when the main thread sees the topic's new id.
fn wait_for_stop(stop: &Stop) -> NoOrigin {
    while !stop.wait(LINES) {}
    NoOrigin::Stopped
}

/// The oldest offset of the partition's log, and its end.
///
/// # Errors
/// If the stop flag was raised.
pub fn log_ends(consumer: &Consumer, partition: &Partition, stop: &Stop) -> Result<(i64, i64), NoOrigin> {
    let ends = Retry::new(stop, PAUSE).quiet_for(LINES).run(
        || {
            // A worker that is stopped before it starts asks nothing.
            if stop.requested() {
                return Err(AttemptError::Final(NoOrigin::Stopped));
            }
            consumer
                .fetch_watermarks(&partition.topic, partition.number, TIMEOUT)
                .map_err(AttemptError::Passing)
        },
        |error, waited, repeated| {
            warn!(
                "kafka: waiting for the ends of the partition's log; nothing is read until then {partition} \
                 waited={waited:.0?} error=\"{error}\"{repeated}"
            );
        },
    );
    ends.map_err(NoOrigin::of_retry)
}

// A stored format: later releases must understand offsets that were committed with it.

/// The metadata that is committed with an offset: `penstock topic=<id> cluster=<id>`. It names the cluster because
/// tools that copy a group's offsets to another cluster copy the metadata too, and every topic has another id there.
pub(in crate::kafka) fn offset_tag(topic_id: TopicId, cluster_id: Option<&str>) -> String {
    match cluster_id {
        Some(cluster_id) if !topic_id.is_none() => format!("penstock topic={topic_id} cluster={cluster_id}"),
        _ => String::new(),
    }
}

/// The topic that an offset of this cluster belongs to; `None` if the metadata does not say.
pub(in crate::kafka) fn tagged_topic(tag: &str, cluster_id: Option<&str>) -> Option<TopicId> {
    let mut words = tag.split(' ');
    let (name, topic, cluster) = (words.next()?, words.next()?, words.next()?);
    if name != "penstock" || cluster.strip_prefix("cluster=") != cluster_id {
        return None;
    }
    TopicId::parse(topic.strip_prefix("topic=")?)
}

/// Whether a leader epoch that was committed with this tag is valid for this topic's log. Tools that copy offsets to
/// another cluster may copy the epoch too, but that cluster counts its leaders from the start.
fn is_own_epoch(tag: &str, topic_id: TopicId, cluster_id: Option<&str>) -> bool {
    tag.is_empty() || tagged_topic(tag, cluster_id) == Some(topic_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_of_another_clusters_log_is_not_believed() {
        let id = TopicId::new([7; 16]);
        let tag = offset_tag(id, Some("here"));
        assert!(is_own_epoch(&tag, id, Some("here")));
        assert!(!is_own_epoch(&tag, id, Some("there")));
        assert!(!is_own_epoch(&tag, TopicId::new([8; 16]), Some("here")));
        assert!(!is_own_epoch("a note of somebody's own", id, Some("here")));
        // Brokers that have no topic ids, or a program that uses Kafka's own client.
        assert!(is_own_epoch("", TopicId::NONE, None));
    }

    #[test]
    fn an_offsets_tag_is_the_stored_format_and_is_read_again() {
        let id = TopicId::new(*b"0123456789abcdef");
        let tag = offset_tag(id, Some("4L6g3nShT-eMCtK--X86sw"));
        assert_eq!(
            tag,
            "penstock topic=MDEyMzQ1Njc4OWFiY2RlZg cluster=4L6g3nShT-eMCtK--X86sw"
        );
        assert_eq!(tagged_topic(&tag, Some("4L6g3nShT-eMCtK--X86sw")), Some(id));
        // A later release may add more words.
        assert_eq!(
            tagged_topic(&(tag + " more=1"), Some("4L6g3nShT-eMCtK--X86sw")),
            Some(id)
        );
    }

    #[test]
    fn an_offset_that_does_not_say_its_topic_is_believed() {
        let id = TopicId::new([7; 16]);
        assert_eq!(offset_tag(id, None), "");
        assert_eq!(offset_tag(TopicId::NONE, Some("c")), "");
        let tag = offset_tag(id, Some("c"));
        assert_eq!(tagged_topic(&tag, Some("d")), None);
        assert_eq!(tagged_topic(&tag, None), None);
        for tag in [
            "",
            "penstock",
            "penstock topic=x cluster=c",
            "other topic=BwcHBwcHBwcHBwcHBwcHBw cluster=c",
        ] {
            assert_eq!(tagged_topic(tag, Some("c")), None, "{tag}");
        }
    }
}
