//! Which topic a partition is of, and where its worker begins.
//!
//! Runs on the worker's thread before its first batch. A group's offset belongs to the topic that was read when it was
//! committed; after that topic was deleted and created again it says nothing. So every commit carries the topic's id
//! (`offset_tag`), and an offset with the id of another topic is not begun at.

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

/// Each request.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between a request that failed and the next one.
const PAUSE: Duration = Duration::from_millis(50);

/// Where fetching begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    Offset(i64),
    /// At the oldest message that is kept.
    Oldest,
}

impl StartOffset {
    /// What the consumer is told.
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

/// What is known of a partition when its worker is started.
#[derive(Debug, Clone)]
pub struct PartitionStart {
    pub from: StartOffset,
    /// Where it begins if that is not what the group's offset says, to be committed before the first message.
    pub begin: Option<i64>,
    /// What was committed with the group's offset.
    pub tag: String,
    /// The leader epoch of the message before it, where it is known.
    pub epoch: Option<i32>,
    /// The topic's id as it was last read before anything was fetched for this worker.
    pub topic_id: Option<TopicId>,
}

impl PartitionStart {
    /// At the group's offset; where it has none, at the oldest message.
    pub fn at(committed: Option<&Committed>, topic_id: Option<TopicId>) -> Self {
        PartitionStart {
            from: committed.map_or(StartOffset::Oldest, |committed| StartOffset::Offset(committed.offset)),
            begin: None,
            tag: committed.map_or_else(String::new, |committed| committed.tag.clone()),
            epoch: committed.and_then(|committed| committed.epoch),
            topic_id,
        }
    }

    /// Begun once more, elsewhere than the group's offset says.
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

/// What its worker goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub topic_id: TopicId,
    /// Goes with each offset that is committed; empty where there is nothing to tell.
    pub tag: String,
    /// The leader epoch that was committed with the group's offset, where it is of this topic.
    pub epoch: Option<i32>,
}

/// Why nothing is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoOrigin {
    Stopped,
    /// Kafka does not let us describe the topic.
    Refused(String),
    /// The group's offset is of a former topic of this name: this one is to be begun at its oldest message.
    Former,
}

impl NoOrigin {
    /// What ended a worker's wait. It has no deadline.
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
            // A worker's wait has no limit of its own; the main thread looks at it.
            ReadError::Stopped | ReadError::TooLate(_) => NoOrigin::Stopped,
            ReadError::Refused(why) => NoOrigin::Refused(why),
        }
    }
}

/// Finds out. Of a topic that was created again since the consumer was made nothing is read: it waits for the stop flag.
///
/// What is in the queue afterwards was fetched when the topic had this id, or a later one: never an earlier one. A guard
/// with an id that is too old is seen to be void; one that is too new would hold back what comes.
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

/// Fails unless the topic is still the one that was begun: what a broker says of its log may be of another.
///
/// # Errors
/// See [`NoOrigin`]; never `Former`.
pub fn confirm(ids: &TopicIds, partition: &Partition, topic_id: TopicId, stop: &Stop) -> Result<(), NoOrigin> {
    match ids.read(&partition.topic, Instant::now(), stop)? {
        now if now == topic_id => Ok(()),
        _ => Err(wait_for_stop(stop)),
    }
}

/// The service starts anew when the main thread sees the topic's new id.
fn wait_for_stop(stop: &Stop) -> NoOrigin {
    while !stop.wait(LINES) {}
    NoOrigin::Stopped
}

/// The oldest offset of the partition's log and its end.
///
/// # Errors
/// When told to stop.
pub fn log_ends(consumer: &Consumer, partition: &Partition, stop: &Stop) -> Result<(i64, i64), NoOrigin> {
    let ends = Retry::new(stop, PAUSE).quiet_for(LINES).run(
        || {
            // A worker that is told to stop before it begins asks nothing.
            if stop.requested() {
                return Err(AttemptError::Final(NoOrigin::Stopped));
            }
            consumer
                .fetch_watermarks(&partition.topic, partition.number, TIMEOUT)
                .map_err(AttemptError::Passing)
        },
        |error, waited| {
            warn!(
                "kafka: waiting for the ends of the partition's log, nothing is read before {partition} \
                 waited={waited:.0?} error=\"{error}\""
            );
        },
    );
    ends.map_err(NoOrigin::of_retry)
}

// A stored format: offsets that were committed with it must be understood by later releases.

/// What is committed with an offset of the topic: `penstock topic=<id> cluster=<id>`. The cluster, because tools that
/// carry a group's offsets to another cluster take this along, and every topic has another id there.
pub(in crate::kafka) fn offset_tag(topic_id: TopicId, cluster_id: Option<&str>) -> String {
    match cluster_id {
        Some(cluster_id) if !topic_id.is_none() => format!("penstock topic={topic_id} cluster={cluster_id}"),
        _ => String::new(),
    }
}

/// The topic that an offset of this cluster belongs to; `None` where that is not said.
pub(in crate::kafka) fn tagged_topic(tag: &str, cluster_id: Option<&str>) -> Option<TopicId> {
    let mut words = tag.split(' ');
    let (name, topic, cluster) = (words.next()?, words.next()?, words.next()?);
    if name != "penstock" || cluster.strip_prefix("cluster=") != cluster_id {
        return None;
    }
    TopicId::parse(topic.strip_prefix("topic=")?)
}

/// Whether a leader epoch that was committed with this tag says anything of this topic's log: tools that carry offsets to
/// another cluster may take it along, and leaders are counted anew there.
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
        // Brokers that give no ids, or another program of Kafka's own client.
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
        // A later release may have more to say.
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
