//! Finds a partition that is assigned to us but has no worker.
//!
//! A worker ends by itself when Kafka says that the partition belongs to another member. The revocation must follow.
//! If it does not, nobody would ever read the partition.

use std::time::{Duration, Instant};

use crate::kafka::Partition;

/// How long the revocation may take after the worker has ended.
const MAX: Duration = Duration::from_secs(30);

/// Since when a partition has had no worker.
#[derive(Debug, Default)]
pub struct Unread(Option<Instant>);

impl Unread {
    /// The partition that nobody has read for too long. `ended`: a partition whose worker ended although nobody stopped
    /// it.
    pub fn too_long(&mut self, now: Instant, ended: Option<Partition>) -> Option<Partition> {
        let Some(partition) = ended else {
            self.0 = None;
            return None;
        };
        let since = *self.0.get_or_insert(now);
        (now.saturating_duration_since(since) > MAX).then_some(partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_has_half_a_minute_to_follow() {
        let partition = Partition {
            topic: "t".into(),
            number: 3,
        };
        let ended = || Some(partition.clone());
        let now = Instant::now();
        let mut unread = Unread::default();
        assert_eq!(unread.too_long(now, ended()), None);
        assert_eq!(unread.too_long(now + MAX, ended()), None);
        // The revocation came, and then another worker ends: the time starts again.
        assert_eq!(unread.too_long(now + MAX, None), None);
        let again = now + 2 * MAX;
        assert_eq!(unread.too_long(again, ended()), None);
        assert_eq!(unread.too_long(again + MAX, ended()), None);
        let late = again + MAX + Duration::from_millis(1);
        assert_eq!(unread.too_long(late, ended()), ended());
    }
}
