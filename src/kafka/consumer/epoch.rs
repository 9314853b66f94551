//! Leader epochs: how many leaders a partition had had when a message was written.
//!
//! Each batch in a log carries the epoch of the leader that wrote it. If a log was cut and written again (an unclean
//! leader election, a lost disk), an offset alone does not show it. An offset with its epoch does, since one epoch has
//! one leader. So the epoch is committed with the offset, as Kafka's own client does (KIP-320), and read with it.
//! `rdkafka` has no call for either.

use rdkafka::bindings as sys;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;

/// The epoch of a message; `None` if its format has none (before Kafka 0.11).
pub fn of_message(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message is alive, and no pointer to it is kept.
    unsafe { of_raw(message.ptr()) }
}

/// The same for a message of librdkafka.
///
/// # Safety
/// The message must be alive, and a consumer's.
pub(super) unsafe fn of_raw(message: *const sys::rd_kafka_message_t) -> Option<i32> {
    // SAFETY: the caller's promise; no pointer to it is kept.
    known(unsafe { sys::rd_kafka_message_leader_epoch(message) })
}

/// The epochs of a list's elements, in its order; `None` if an element has none.
pub fn of_list(list: &TopicPartitionList) -> Vec<Option<i32>> {
    elements(list)
        // SAFETY: an element of a list that is alive.
        .map(|element| known(unsafe { sys::rd_kafka_topic_partition_get_leader_epoch(element) }))
        .collect()
}

/// Gives all elements of a list this epoch.
pub fn set(list: &mut TopicPartitionList, epoch: i32) {
    for element in elements(list) {
        // SAFETY: an element of a list that is alive. It is mutably borrowed, so nobody else uses it.
        unsafe { sys::rd_kafka_topic_partition_set_leader_epoch(element, epoch) };
    }
}

/// Pointers to the elements. Valid while the list is alive and no element is added.
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
    // The list has as many elements as it says, one behind another.
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
