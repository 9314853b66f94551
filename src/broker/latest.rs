//! `start = "latest"`: where a group begins that has no offset yet.
//!
//! librdkafka's own reset would do it anew at every start until the first commit, and so skip what came in between
//! on a partition that was quiet. Here the end is looked up once, given to the assignment, and committed by the
//! worker before the first message. A topic of which the group has committed anything is not new: its
//! other partitions appeared later, and are read from their beginning.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Context, Partition};

/// Each request; they run inside the rebalance callback.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sets the start of the partitions in `list` that are to begin at their end, and returns it for each.
///
/// # Errors
/// When a broker does not answer in time: nothing may be read then.
pub fn begin_at_end(
    consumer: &BaseConsumer<Context>,
    list: &TopicPartitionList,
) -> KafkaResult<HashMap<Partition, i64>> {
    let topics: BTreeSet<String> = list.elements().iter().map(|e| e.topic().to_string()).collect();
    let mut begins = HashMap::new();
    for topic in topics {
        if is_known(consumer, &topic)? {
            continue;
        }
        for mut element in list.elements_for_topic(&topic) {
            let (_, end) = consumer.fetch_watermarks(&topic, element.partition(), TIMEOUT)?;
            element.set_offset(Offset::Offset(end))?;
            let partition = Partition {
                topic: topic.as_str().into(),
                number: element.partition(),
            };
            begins.insert(partition, end);
        }
    }
    Ok(begins)
}

/// Whether the group has a committed offset for any partition of the topic.
fn is_known(consumer: &BaseConsumer<Context>, topic: &str) -> KafkaResult<bool> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
        all.add_partition(topic, partition.id());
    }
    let committed = consumer.committed_offsets(all, TIMEOUT)?;
    Ok(committed
        .elements()
        .iter()
        .any(|e| matches!(e.offset(), Offset::Offset(_))))
}
