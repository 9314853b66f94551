//! Which topic a partition is of, and where its worker begins.
//!
//! Runs on the worker's thread before its first batch. A group's offset belongs to the topic that was read when it was
//! committed; after that topic was deleted and created again it says nothing. So every commit carries the topic's id
//! (`offset_tag`), and an offset with the id of another topic is not begun at.

use std::time::{Duration, Instant};

use log::warn;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::topic_ids::{ReadError, TopicId, TopicIds};
use super::{Consumer, Partition};
use crate::shutdown::Stop;

/// Each request.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between a request that failed and the next one.
const PAUSE: Duration = Duration::from_millis(50);
/// What takes longer is worth a warning, and another one after that.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// What is known of a partition when its worker is started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start {
    /// Where it begins if the group has no offset for it, to be committed before the first message.
    pub begin: Option<i64>,
    /// The topic's id as it was last read before anything was fetched for this worker.
    pub topic_id: Option<TopicId>,
}

/// What its worker goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub topic_id: TopicId,
    /// Goes with each offset that is committed; empty where there is nothing to tell.
    pub tag: String,
    /// Where it begins, to be committed before the first message. `None`: where the group's offset says.
    pub begin: Option<i64>,
}

/// Finds out, and moves the consumer to the partition's beginning where the group's offset is of a former topic. Nothing
/// may have been taken from the partition's queue before. Of a topic that was created again since the consumer was made
/// nothing is read: it waits for the stop flag.
///
/// What is in the queue afterwards was fetched when the topic had this id, or a later one: never an earlier one. A guard
/// with an id that is too old is seen to be void; one that is too new would hold back what comes.
///
/// # Errors
/// See [`ReadError`].
pub fn find(
    ids: &TopicIds,
    consumer: &Consumer,
    partition: &Partition,
    start: Start,
    stop: &Stop,
) -> Result<Origin, ReadError> {
    let topic_id = ids.read(&partition.topic, Instant::now(), stop)?;
    let mut origin = Origin {
        topic_id,
        tag: offset_tag(topic_id, ids.cluster_id()),
        begin: start.begin,
    };
    if topic_id.is_none() {
        return Ok(origin);
    }
    if start
        .topic_id
        .is_some_and(|before| before != topic_id && !before.is_none())
    {
        // What the queue holds may be of either. The service starts anew.
        while !stop.wait(WARN_INTERVAL) {}
        return Err(ReadError::Stopped);
    }
    if let Some((offset, tag)) = committed(consumer, partition, stop)?
        && let Some(was) = tagged_topic(&tag, ids.cluster_id()).filter(|of| *of != topic_id)
    {
        warn!(
            "kafka: the group's offset is of a former topic of this name; reading this one from its beginning \
             {partition} offset={offset} id={topic_id} was={was}"
        );
        seek_beginning(consumer, partition, stop)?;
        // If the log begins later, so will the consumer.
        origin.begin = Some(0);
    }
    Ok(origin)
}

/// The group's offset and what was committed with it.
fn committed(consumer: &Consumer, partition: &Partition, stop: &Stop) -> Result<Option<(i64, String)>, ReadError> {
    let ask = || -> KafkaResult<Option<(i64, String)>> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&partition.topic, partition.number);
        let list = consumer.committed_offsets(list, TIMEOUT)?;
        let Some(element) = list.find_partition(&partition.topic, partition.number) else {
            return Ok(None);
        };
        element.error()?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some((offset, element.metadata().to_owned())),
            _ => None,
        })
    };
    insist("the group's offset", partition, stop, ask)
}

fn seek_beginning(consumer: &Consumer, partition: &Partition, stop: &Stop) -> Result<(), ReadError> {
    // Refused until the assignment has taken effect.
    insist("the partition's beginning", partition, stop, || {
        consumer.seek(&partition.topic, partition.number, Offset::Beginning, TIMEOUT)
    })
}

/// Until it works or the stop flag is up.
fn insist<T>(
    what: &str,
    partition: &Partition,
    stop: &Stop,
    mut attempt: impl FnMut() -> Result<T, KafkaError>,
) -> Result<T, ReadError> {
    let started = Instant::now();
    let mut warned = started;
    loop {
        if stop.requested() {
            return Err(ReadError::Stopped);
        }
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) if warned.elapsed() >= WARN_INTERVAL => {
                warned = Instant::now();
                warn!(
                    "kafka: waiting for {what}, nothing is read before {partition} waited={:.0?} error=\"{error}\"",
                    started.elapsed()
                );
            }
            Err(_) => {}
        }
        stop.wait(PAUSE);
    }
}

// A stored format: offsets that were committed with it must be understood by later releases.

/// What is committed with an offset of the topic: `penstock topic=<id> cluster=<id>`. The cluster, because tools that
/// carry a group's offsets to another cluster take this along, and every topic has another id there.
fn offset_tag(topic_id: TopicId, cluster_id: Option<&str>) -> String {
    match cluster_id {
        Some(cluster_id) if !topic_id.is_none() => format!("penstock topic={topic_id} cluster={cluster_id}"),
        _ => String::new(),
    }
}

/// The topic that an offset of this cluster belongs to; `None` where that is not said.
fn tagged_topic(tag: &str, cluster_id: Option<&str>) -> Option<TopicId> {
    let mut words = tag.split(' ');
    let (name, topic, cluster) = (words.next()?, words.next()?, words.next()?);
    if name != "penstock" || cluster.strip_prefix("cluster=") != cluster_id {
        return None;
    }
    TopicId::parse(topic.strip_prefix("topic=")?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
