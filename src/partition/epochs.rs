//! The leader epochs of the messages that a worker was handed: what is committed with an offset, and what tells where a log
//! was cut (`broker::cut`).
//!
//! With an offset goes the latest epoch that the log is known to have had up to there, the message at the offset
//! included. That of the message before it would not do: what lies between the two and is no message to us (a
//! transaction's marker, what was aborted or compacted away) can be a later leader's, and then the brokers say that the log of
//! the earlier one ends below the offset, as if it had been cut.
//!
//! Pure. An epoch begins with a new leader, so there are few, and most batches have one.

use std::collections::VecDeque;

/// How many epochs are remembered: those that begin within what is read and not yet committed.
const KEPT_MAX: usize = 64;

/// From which offset on which epoch.
#[derive(Debug, Default)]
pub(super) struct Epochs(VecDeque<(i64, i32)>);

impl Epochs {
    /// The message before `next` had this epoch, if it is known.
    pub fn starting_at(next: i64, epoch: Option<i32>) -> Epochs {
        Epochs(epoch.map(|epoch| (next - 1, epoch)).into_iter().collect())
    }

    /// Messages were handed over, one behind another: their offsets and epochs.
    pub fn handed_over<M>(&mut self, messages: &[M], offset: impl Fn(&M) -> i64, epoch: impl Fn(&M) -> Option<i32>) {
        let Some(last) = messages.last().and_then(&epoch) else {
            return;
        };
        // An epoch is never lower than that before it: where the last one is the same, all are.
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

    /// The consumer stands at `position`; what moved it there, if it was no message, had this epoch.
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

    /// The latest epoch up to `next`, where one is known.
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
        // At 17: what lies at 15 and 16 and is no message can be of the leader of 17.
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
