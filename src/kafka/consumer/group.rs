//! What the service asks the group's consumer about its assigned partitions: the trait [`Assignment`], and
//! [`GroupAssignment`], which uses librdkafka.

use std::sync::Arc;

use rdkafka::consumer::{Consumer as _, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::consumer::origin::StartOffset;
use crate::kafka::consumer::source::{PartitionSource, Source, SourceOptions};
use crate::kafka::{Consumer, Partition};

/// The partitions that the group has assigned to this process.
pub trait Assignment {
    type Source: Source + Send + 'static;

    /// The source of one partition; `None` if its queue cannot be split.
    fn source(&self, partition: &Partition) -> Option<Self::Source>;

    /// The topic's id when it was last read; `None` before that.
    fn topic_id(&self, topic: &str) -> Option<TopicId>;

    /// Whether a rebalance takes all partitions (`range`, `roundrobin`). librdkafka then does not support the
    /// assignment of a single one.
    fn is_whole(&self) -> bool;

    /// Removes some partitions from the assignment. Must not be called if `is_whole`.
    ///
    /// # Errors
    /// If librdkafka refuses.
    fn unassign(&self, partitions: &[(Partition, StartOffset)]) -> KafkaResult<()>;

    /// Assigns these partitions, each fetched from its offset. They are added to the others, or replace all of them if
    /// `is_whole`.
    ///
    /// # Errors
    /// If librdkafka refuses.
    fn assign(&self, partitions: &[(Partition, StartOffset)]) -> KafkaResult<()>;
}

/// The assignment of the group's consumer.
#[expect(missing_debug_implementations, reason = "the consumer has none")]
pub struct GroupAssignment<'a> {
    pub consumer: &'a Arc<Consumer>,
    pub options: &'a SourceOptions,
}

impl Assignment for GroupAssignment<'_> {
    type Source = PartitionSource;

    fn source(&self, partition: &Partition) -> Option<PartitionSource> {
        PartitionSource::split(self.consumer, partition, self.options)
    }

    fn topic_id(&self, topic: &str) -> Option<TopicId> {
        self.options.topic_ids.known(topic)
    }

    fn is_whole(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Eager)
    }

    fn unassign(&self, partitions: &[(Partition, StartOffset)]) -> KafkaResult<()> {
        self.consumer.incremental_unassign(&list(partitions)?)
    }

    fn assign(&self, partitions: &[(Partition, StartOffset)]) -> KafkaResult<()> {
        let list = list(partitions)?;
        if self.is_whole() {
            self.consumer.assign(&list)
        } else {
            self.consumer.incremental_assign(&list)
        }
    }
}

fn list(partitions: &[(Partition, StartOffset)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (partition, from) in partitions {
        list.add_partition_offset(&partition.topic, partition.number, from.offset())?;
    }
    Ok(list)
}
