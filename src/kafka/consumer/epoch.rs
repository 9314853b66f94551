//! Leader epochs: how often a partition had a new leader when a message was written.
//!
//! Each batch in a log carries the epoch of the leader that wrote it. An offset says nothing of a log that was cut and
//! written anew (an unclean leader election, a disk that was lost); an offset with its epoch does, since one epoch has one
//! leader. So the epoch is committed with the offset, as Kafka's own client does (KIP-320), and read with it. `rdkafka`
//! has no call for either.

use rdkafka::bindings as sys;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;

/// That of a message; `None` where its format has none (before Kafka 0.11).
pub fn of_message(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message is alive, and nothing of it is kept.
    known(unsafe { sys::rd_kafka_message_leader_epoch(message.ptr()) })
}

/// Those of a list's elements, in its order; `None` where there is none.
pub fn of_list(list: &TopicPartitionList) -> Vec<Option<i32>> {
    elements(list)
        // SAFETY: an element of the living list.
        .map(|element| known(unsafe { sys::rd_kafka_topic_partition_get_leader_epoch(element) }))
        .collect()
}

/// Gives all elements of a list this epoch.
pub fn set(list: &mut TopicPartitionList, epoch: i32) {
    for element in elements(list) {
        // SAFETY: an element of the living list, which nobody else has while it is borrowed mutably.
        unsafe { sys::rd_kafka_topic_partition_set_leader_epoch(element, epoch) };
    }
}

/// Pointers to the elements; good as long as the list is, and none is added.
fn elements(list: &TopicPartitionList) -> impl Iterator<Item = *mut sys::rd_kafka_topic_partition_t> {
    // SAFETY: the list is alive; two of its fields are copied.
    let (first, count) = unsafe {
        let list = &*list.ptr();
        (list.elems, list.cnt)
    };
    let count = if first.is_null() {
        0
    } else {
        usize::try_from(count).unwrap_or(0)
    };
    // As many elements as told, one behind another.
    (0..count).map(move |number| first.wrapping_add(number))
}

fn known(epoch: i32) -> Option<i32> {
    (epoch >= 0).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use rdkafka::topic_partition_list::Offset;

    use super::*;

    #[test]
    fn a_list_keeps_the_epoch_that_it_is_given() {
        let mut list = TopicPartitionList::new();
        assert!(of_list(&list).is_empty());
        list.add_partition_offset("t", 0, Offset::Offset(7)).unwrap();
        assert_eq!(of_list(&list), [None]);
        set(&mut list, 3);
        assert_eq!(of_list(&list), [Some(3)]);
        assert_eq!(of_list(&list.clone()), [Some(3)]);
    }
}
