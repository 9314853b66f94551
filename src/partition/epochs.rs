//! The leader epochs of the messages that a worker has taken. An epoch is committed with each offset, and shows where a
//! log was cut (`kafka/consumer/cut.rs`).
//!
//! An offset is committed with the latest epoch that the log is known to have up to and including the message at that
//! offset. The epoch of the message before it would be wrong: between the two messages there can be entries that are
//! not delivered (a transaction's marker, aborted or compacted messages), and a later leader may have written them. The
//! brokers would then answer that the earlier leader's log ends below the offset, as if the log had been cut.
//!
//! Depends only on its arguments. An epoch begins with a new leader, so there are few, and most batches have only one.

use std::collections::VecDeque;

/// Maximum number of epochs in memory. They cover the offsets between the last commit and the last message taken.
const KEPT_MAX: usize = 64;

/// Pairs of an epoch's first offset and the epoch.
#[derive(Debug, Default)]
pub(super) struct Epochs(VecDeque<(i64, i32)>);

impl Epochs {
    /// The message before `next` had this epoch, if the epoch is known.
    pub fn starting_at(next: i64, epoch: Option<i32>) -> Epochs {
        Epochs(epoch.map(|epoch| (next - 1, epoch)).into_iter().collect())
    }

    /// Notes the offsets and epochs of messages that were taken, in their order.
    pub fn handed_over<M>(&mut self, messages: &[M], offset: impl Fn(&M) -> i64, epoch: impl Fn(&M) -> Option<i32>) {
        let Some(last) = messages.last().and_then(&epoch) else {
            return;
        };
        // Epochs never decrease. So if the last message has the known epoch, all have.
        if self.0.back().is_some_and(|(_, known)| *known == last) {
            return;
        }
        for message in messages {
            if let Some(epoch) = epoch(message)
                && self.0.back().is_none_or(|(_, known)| *known != epoch)
            {
                self.0.push_back((offset(message), epoch));
            }
        }
        self.bound();
    }

    /// The consumer's position is `position`. If something other than a message moved it there, that had this epoch.
    pub fn stands_at(&mut self, position: i64, epoch: i32) {
        if self.0.back().is_some_and(|(_, known)| *known < epoch) {
            self.0.push_back((position, epoch));
            self.bound();
        }
    }

    fn bound(&mut self) {
        while self.0.len() > KEPT_MAX {
            self.0.pop_front();
        }
    }

    /// The latest epoch up to `next`, if one is known.
    pub fn up_to(&self, next: i64) -> Option<i32> {
        let known = self.0.iter().rev().find(|(from, _)| *from <= next);
        known.map(|(_, epoch)| *epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand(epochs: &mut Epochs, messages: &[(i64, i32)]) {
        epochs.handed_over(
            messages,
            |(offset, _)| *offset,
            |(_, epoch)| Some(*epoch).filter(|epoch| *epoch >= 0),
        );
    }

    #[test]
    fn an_offset_has_the_latest_epoch_that_was_seen_up_to_it() {
        let mut epochs = Epochs::starting_at(10, Some(1));
        assert_eq!((epochs.up_to(10), epochs.up_to(8)), (Some(1), None));
        hand(&mut epochs, &[(10, 1), (11, 1)]);
        hand(&mut epochs, &[(12, 1), (13, 4), (14, 4), (17, 6)]);
        // At 17: the entries at 15 and 16 are not messages, and the leader of 17 may have written them.
        for (next, expected) in [(12, 1), (13, 4), (14, 4), (15, 4), (16, 4), (17, 6), (18, 6), (99, 6)] {
            assert_eq!(epochs.up_to(next), Some(expected), "{next}");
        }
    }

    #[test]
    fn what_moves_the_consumer_and_is_no_message_counts() {
        let mut epochs = Epochs::default();
        epochs.stands_at(7, 1);
        assert_eq!(epochs.up_to(7), None, "it may be the position of an assignment before");
        hand(&mut epochs, &[(9, 3)]);
        for (position, epoch) in [(10, 3), (12, 4), (14, 2)] {
            epochs.stands_at(position, epoch);
        }
        for (next, expected) in [(10, 3), (11, 3), (12, 4), (99, 4)] {
            assert_eq!(epochs.up_to(next), Some(expected), "{next}");
        }
        for epoch in 5..200 {
            epochs.stands_at(100 + i64::from(epoch), epoch);
        }
        assert_eq!(epochs.0.len(), KEPT_MAX);
    }

    #[test]
    fn where_no_message_has_an_epoch_none_is_known() {
        let mut epochs = Epochs::starting_at(10, None);
        assert_eq!(epochs.up_to(10), None);
        hand(&mut epochs, &[(10, -1), (11, -1)]);
        hand(&mut epochs, &[]);
        assert_eq!(epochs.up_to(12), None);
    }

    #[test]
    fn no_more_are_remembered_than_are_of_use() {
        let mut epochs = Epochs::default();
        for offset in 0..1000 {
            hand(&mut epochs, &[(i64::from(offset), offset)]);
        }
        assert_eq!(epochs.0.len(), KEPT_MAX);
        assert_eq!(epochs.up_to(1000), Some(999));
    }
}
