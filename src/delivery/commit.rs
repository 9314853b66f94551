//! Commit: computes the next offset of a partition. This is the only place that does.
//!
//! It is pure: the worker tells it which messages were taken from the queue and which are finished, and asks which
//! offset to commit. It asserts that the next offset never goes back and never passes an unfinished message. A gap in
//! the offsets is not an unfinished message: Kafka leaves gaps (compaction, transaction markers).

/// The progress of one partition during one assignment. An offset reset starts a new tracker.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    /// The offset of the last message taken from the queue.
    handed_over: Option<i64>,
    /// All messages below this offset are finished.
    next: Option<i64>,
    /// The highest offset for which a commit was sent.
    committed: Option<i64>,
}

impl OffsetTracker {
    pub fn new() -> Self {
        Self::default()
    }

    /// An assignment that begins at `offset`. That offset is committed before any message arrives.
    pub fn starting_at(offset: i64) -> Self {
        Self {
            next: Some(offset),
            ..Self::default()
        }
    }

    /// Whether `offset` is not above the last message. Then the partition was truncated, or its topic was created
    /// again. The old progress is void, and the caller starts a new tracker.
    pub fn goes_back(&self, offset: i64) -> bool {
        self.handed_over.is_some_and(|last| offset <= last)
    }

    /// A message was taken from the queue.
    ///
    /// # Panics
    /// If the offset is not above all offsets before it. Everything relies on Kafka's order within a partition.
    pub fn handed_over(&mut self, offset: i64) {
        assert!(
            self.handed_over.is_none_or(|last| offset > last),
            "offset {offset} was handed over after {:?}",
            self.handed_over
        );
        self.handed_over = Some(offset);
    }

    /// Every message taken from the queue with an offset below `next` is finished; none at or above it is.
    ///
    /// # Panics
    /// If the next offset would go back.
    pub fn finished_below(&mut self, next: i64) {
        assert!(
            self.next.is_none_or(|before| next >= before),
            "the next offset went from {:?} to {next}",
            self.next
        );
        assert!(
            self.handed_over.is_some_and(|last| next <= last + 1),
            "the next offset {next} is beyond what was handed over: {:?}",
            self.handed_over
        );
        self.next = Some(next);
    }

    /// All messages taken from the queue are finished, and the consumer is at `position`. The position may lie beyond
    /// the last message: behind compacted messages, or behind the markers of a transaction.
    ///
    /// Does nothing before the first message. The position may then still be that of an earlier assignment, which took
    /// messages and did not finish them.
    ///
    /// # Panics
    /// If a message that was taken from the queue is unfinished.
    pub fn all_finished_at(&mut self, position: i64) {
        let Some(last) = self.handed_over else { return };
        assert!(
            self.next.is_some_and(|next| next > last),
            "message {last} was handed over and is unfinished"
        );
        if self.next.is_none_or(|before| position > before) {
            self.next = Some(position);
        }
    }

    /// The next offset, if it is known and no commit was sent for it yet.
    pub fn due(&self) -> Option<i64> {
        self.next
            .filter(|next| self.committed.is_none_or(|committed| *next > committed))
    }

    /// A commit of `offset` was sent.
    pub fn committed(&mut self, offset: i64) {
        self.committed = Some(offset);
    }

    /// A commit was refused or lost: its offset is due again.
    pub fn commit_failed(&mut self) {
        self.committed = None;
    }

    /// The next offset, committed or not.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether every message taken from the queue is finished.
    pub fn is_clear(&self) -> bool {
        match (self.handed_over, self.next) {
            (None, _) => true,
            (Some(last), Some(next)) => next > last,
            (Some(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_in_the_numbers_are_no_holes() {
        let mut tracker = OffsetTracker::new();
        for offset in [5, 9, 40] {
            tracker.handed_over(offset);
        }
        assert!(!tracker.is_clear());
        tracker.finished_below(41);
        assert!(tracker.is_clear());
        assert_eq!(tracker.due(), Some(41));
        tracker.all_finished_at(43);
        assert_eq!(tracker.due(), Some(43));
    }

    #[test]
    fn nothing_is_due_twice_unless_the_commit_failed() {
        let mut tracker = OffsetTracker::new();
        tracker.handed_over(0);
        tracker.finished_below(1);
        tracker.committed(1);
        assert_eq!(tracker.due(), None);
        tracker.commit_failed();
        assert_eq!(tracker.due(), Some(1));
    }

    #[test]
    fn a_position_behind_the_last_message_does_not_take_the_next_offset_back() {
        let mut tracker = OffsetTracker::new();
        tracker.handed_over(7);
        tracker.finished_below(8);
        tracker.all_finished_at(8);
        tracker.all_finished_at(3);
        assert_eq!(tracker.next(), Some(8));
    }

    #[test]
    fn a_start_is_due_before_the_first_message() {
        let mut tracker = OffsetTracker::starting_at(20);
        assert_eq!(tracker.due(), Some(20));
        tracker.handed_over(20);
        assert!(!tracker.is_clear());
        tracker.finished_below(21);
        assert_eq!(tracker.due(), Some(21));
    }

    #[test]
    fn an_offset_that_goes_back_is_noticed() {
        let mut tracker = OffsetTracker::new();
        assert!(!tracker.goes_back(0));
        tracker.handed_over(7);
        assert!(!tracker.goes_back(8));
        assert!(tracker.goes_back(7) && tracker.goes_back(0));
    }

    #[test]
    fn a_position_from_before_the_first_message_is_not_believed() {
        let mut tracker = OffsetTracker::new();
        tracker.all_finished_at(100);
        assert_eq!(tracker.next(), None);
    }

    #[test]
    #[should_panic(expected = "unfinished")]
    fn a_position_never_passes_an_unfinished_message() {
        let mut tracker = OffsetTracker::new();
        tracker.handed_over(7);
        tracker.finished_below(7);
        tracker.all_finished_at(8);
    }

    #[test]
    #[should_panic(expected = "went from")]
    fn the_next_offset_never_goes_back() {
        let mut tracker = OffsetTracker::new();
        tracker.handed_over(7);
        tracker.finished_below(8);
        tracker.finished_below(7);
    }

    #[test]
    #[should_panic(expected = "was handed over after")]
    fn messages_come_in_offset_order() {
        let mut tracker = OffsetTracker::new();
        tracker.handed_over(7);
        tracker.handed_over(7);
    }
}
