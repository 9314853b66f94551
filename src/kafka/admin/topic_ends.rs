//! The id of a topic and the ends of all its partitions, in one step. For the topic of dead letters.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::admin::describe_topics::Found;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::TopicIds;
use crate::kafka::consumer::committed::is_refusal;
use crate::kafka::consumer::epoch;
use crate::util::stop::Stop;

/// A topic's id, and where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicEnds {
    /// [`TopicId::NONE`]: the brokers give no ids.
    pub id: TopicId,
    /// By partition. `None`: its leader has not told.
    pub ends: Vec<Option<End>>,
}

/// Where a partition's log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The offset behind its last message.
    pub offset: i64,
    /// The epoch of the leader that says so. `None`: brokers before Kafka 2.1.
    pub epoch: Option<i32>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Ends(TopicEnds),
    /// There is no such topic.
    Absent,
    /// The user may not see it.
    Refused(String),
    /// Nobody has answered, for this reason.
    NotYet(String),
}

/// Asks for the ends of a topic. Each of the three requests takes `timeout` at most, and none begins after a stop.
pub fn ends(ids: &TopicIds, topic: &str, timeout: Duration, stop: &Stop) -> Told {
    let Some(client) = ids.client() else {
        return Told::NotYet("the client is closed".to_owned());
    };
    let metadata = match client.fetch_metadata(Some(topic), timeout) {
        Ok(metadata) => metadata,
        Err(error) => return Told::NotYet(error.to_string()),
    };
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Told::NotYet("the topic is not in the broker's answer".to_owned());
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Told::Absent,
        Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => return Told::Refused(code.to_string()),
        Some(code) => return Told::NotYet(code.to_string()),
    }
    if stop.requested() {
        return Told::NotYet("stopped".to_owned());
    }
    let id = match ids.describe_other(topic, timeout, stop) {
        Found::Id(id) => id,
        Found::Absent => return Told::Absent,
        Found::Refused(why) => return Told::Refused(why),
        Found::NotYet(why) => return Told::NotYet(why),
    };
    if stop.requested() {
        return Told::NotYet("stopped".to_owned());
    }
    let partitions = found.partitions().len();
    let mut list = TopicPartitionList::with_capacity(partitions);
    for partition in found.partitions() {
        // In place of a time, for librdkafka and in Kafka's protocol: the end.
        if let Err(error) = list.add_partition_offset(topic, partition.id(), Offset::End) {
            return Told::NotYet(error.to_string());
        }
    }
    let list = match client.offsets_for_times(list, timeout) {
        Ok(list) => list,
        Err(error) if is_refusal(&error) => return Told::Refused(error.to_string()),
        Err(error) => return Told::NotYet(error.to_string()),
    };
    let mut ends = vec![None; partitions];
    for (element, epoch) in list.elements().into_iter().zip(epoch::of_list(&list)) {
        if let Offset::Offset(offset) = element.offset()
            && element.error().is_ok()
            && let Some(place) = usize::try_from(element.partition())
                .ok()
                .and_then(|of| ends.get_mut(of))
        {
            *place = Some(End { offset, epoch });
        }
    }
    Told::Ends(TopicEnds { id, ends })
}
