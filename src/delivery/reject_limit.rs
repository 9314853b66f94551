//! Limits on rejected messages over all partitions, the last of them, and the throttle of their log lines.
//!
//! The workers share it, and no lock is held during I/O. A bad deployment of a producer or of the rules rejects every
//! message. The limits stop the service before a whole topic has become dead letters or was dropped.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use crate::config::model::Reject;
use crate::observe::snapshot::{RECENT_REJECTS_MAX, RecentReject};
use crate::util::throttle::{Repeated, Throttle};

/// What the workers share about rejected messages.
#[derive(Debug)]
pub struct Rejects {
    /// The maximum share of the last messages that may be rejected.
    share: Option<Share>,
    consecutive_max: Option<u32>,
    window: Mutex<Window>,
    /// By reason.
    lines: Mutex<BTreeMap<&'static str, Throttle>>,
    recent: Mutex<VecDeque<RecentReject>>,
}

#[derive(Debug, Clone, Copy)]
struct Share {
    of: u64,
    percent: u32,
}

/// The last messages, batch by batch.
#[derive(Debug, Default)]
struct Window {
    /// (number of messages, number of rejected ones)
    batches: VecDeque<(u64, u64)>,
    messages: u64,
    rejected: u64,
}

/// The limit that was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// `reject.percent_max` of `reject.percent_of`.
    Share { percent: u32, of: u64 },
    /// `reject.consecutive_max`.
    Consecutive { max: u32 },
}

impl std::fmt::Display for TooMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TooMany::Share { percent, of } => write!(
                f,
                "more than {percent} % of the last {of} messages are rejected (reject.percent_max, reject.percent_of)"
            ),
            TooMany::Consecutive { max } => write!(
                f,
                "more than {max} messages are rejected one after another (reject.consecutive_max)"
            ),
        }
    }
}

impl Rejects {
    pub fn new(reject: &Reject) -> Self {
        let of = u64::from(reject.percent_of);
        Rejects {
            share: reject.percent_max.map(|percent| Share { of, percent }),
            consecutive_max: reject.consecutive_max,
            window: Mutex::default(),
            lines: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// Checks whether one more rejection is too many. The counts are of messages that are not
    /// [`finished`](Rejects::finished) yet: `messages` in total, `rejected` rejected ones without this one, and
    /// `consecutive` rejections in a row.
    pub fn one_more(&self, messages: u64, rejected: u64, consecutive: u32) -> Option<TooMany> {
        if let Some(max) = self.consecutive_max
            && consecutive >= max
        {
            return Some(TooMany::Consecutive { max });
        }
        let Share { of, percent } = self.share?;
        let window = self.window.lock();
        let (mut all, mut all_rejected) = (window.messages + messages, window.rejected + rejected);
        // The new messages push the oldest batches out of the window.
        for (messages, rejected) in &window.batches {
            if all - messages < of {
                break;
            }
            all -= messages;
            all_rejected -= rejected;
        }
        let rejected_max = all.max(of) * u64::from(percent) / 100;
        (all_rejected >= rejected_max).then_some(TooMany::Share { percent, of })
    }

    /// Adds a finished batch: its messages, and how many of them were rejected.
    pub fn finished(&self, messages: u64, rejected: u64) {
        let Some(share) = self.share else { return };
        let mut window = self.window.lock();
        window.batches.push_back((messages, rejected));
        window.messages += messages;
        window.rejected += rejected;
        while let Some((messages, rejected)) = window.batches.front().copied()
            && window.messages - messages >= share.of
        {
            window.batches.pop_front();
            window.messages -= messages;
            window.rejected -= rejected;
        }
    }

    /// Remembers where the message is, as one of the last [`RECENT_REJECTS_MAX`].
    pub fn remember(&self, reject: RecentReject) {
        let mut recent = self.recent.lock();
        recent.truncate(RECENT_REJECTS_MAX - 1);
        recent.push_front(reject);
    }

    /// The last rejected messages, the newest first.
    pub fn recent(&self) -> Vec<RecentReject> {
        self.recent.lock().iter().cloned().collect()
    }

    /// Whether to log a rejection. `Some`: how many of the same reason were not logged since the last line.
    pub fn tell(&self, reason: &'static str) -> Option<Repeated> {
        self.lines.lock().entry(reason).or_default().pass()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::RejectAction;

    fn rejects(percent_max: u32, percent_of: u32, consecutive_max: u32) -> Rejects {
        let some = |limit| (limit > 0).then_some(limit);
        Rejects::new(&Reject {
            action: RejectAction::Drop,
            percent_max: some(percent_max),
            percent_of,
            consecutive_max: some(consecutive_max),
        })
    }

    #[test]
    fn so_many_of_the_last_messages_may_be_rejected_and_no_more() {
        let rejects = rejects(10, 100, 0);
        let too_many = Some(TooMany::Share { percent: 10, of: 100 });
        // At the beginning fewer than 100 messages are known. The limit is the same number of rejections.
        assert_eq!(rejects.one_more(10, 9, 9), None);
        assert_eq!(rejects.one_more(11, 10, 10), too_many);
        rejects.finished(50, 9);
        assert_eq!(rejects.one_more(1, 0, 0), None);
        assert_eq!(rejects.one_more(2, 1, 1), too_many);
        rejects.finished(1, 1);
        assert_eq!(rejects.one_more(1, 0, 0), too_many);
        // 100 more messages push the old ones out, even if they are not finished yet.
        assert_eq!(rejects.one_more(101, 9, 0), None);
        rejects.finished(100, 0);
        assert_eq!(rejects.one_more(10, 9, 0), None);
        // If there are more messages than the window holds, the same percentage applies.
        assert_eq!(rejects.one_more(1000, 99, 0), None);
        assert_eq!(rejects.one_more(1000, 100, 0), too_many);
    }

    #[test]
    fn so_many_may_be_rejected_one_after_another() {
        let rejects = rejects(0, 100, 3);
        assert_eq!(rejects.one_more(100, 90, 2), None);
        assert_eq!(rejects.one_more(4, 3, 3), Some(TooMany::Consecutive { max: 3 }));
    }

    #[test]
    fn without_limits_there_is_none() {
        let rejects = rejects(0, 100, 0);
        rejects.finished(1000, 1000);
        assert_eq!(rejects.one_more(1001, 1000, 1000), None);
    }

    #[test]
    fn a_reason_is_told_once_in_a_while() {
        let rejects = rejects(10, 100, 0);
        assert_eq!(rejects.tell("tombstone"), Some(Repeated(1)));
        assert_eq!(rejects.tell("tombstone"), None);
        assert_eq!(rejects.tell("not_json"), Some(Repeated(1)));
    }
}
