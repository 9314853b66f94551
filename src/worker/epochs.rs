//! The leader epochs of the messages that a worker was handed: what is committed with an offset, and what tells where a log
//! was cut (`broker::cut`).
//!
//! Pure. An epoch begins with a new leader, so there are few, and most batches have one.

use std::collections::VecDeque;

/// So many are remembered: epochs that begin within what is handed over and not committed.
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
        while self.0.len() > KEPT_MAX {
            self.0.pop_front();
        }
    }

    /// The epoch of the message before `next`, where it is known.
    pub fn before(&self, next: i64) -> Option<i32> {
        let known = self.0.iter().rev().find(|(from, _)| *from < next);
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
    fn an_offset_has_the_epoch_of_the_message_before_it() {
        let mut epochs = Epochs::starting_at(10, Some(1));
        assert_eq!((epochs.before(10), epochs.before(9)), (Some(1), None));
        hand(&mut epochs, &[(10, 1), (11, 1)]);
        hand(&mut epochs, &[(12, 1), (13, 4), (14, 4), (17, 6)]);
        for (next, expected) in [(12, 1), (13, 1), (14, 4), (15, 4), (17, 4), (18, 6), (99, 6)] {
            assert_eq!(epochs.before(next), Some(expected), "{next}");
        }
    }

    #[test]
    fn where_no_message_has_an_epoch_none_is_known() {
        let mut epochs = Epochs::starting_at(10, None);
        assert_eq!(epochs.before(10), None);
        hand(&mut epochs, &[(10, -1), (11, -1)]);
        hand(&mut epochs, &[]);
        assert_eq!(epochs.before(12), None);
    }

    #[test]
    fn no_more_are_remembered_than_are_of_use() {
        let mut epochs = Epochs::default();
        for offset in 0..1000 {
            hand(&mut epochs, &[(i64::from(offset), offset)]);
        }
        assert_eq!(epochs.0.len(), KEPT_MAX);
        assert_eq!(epochs.before(1000), Some(999));
    }
}
