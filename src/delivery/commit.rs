//! Commit: which offset of a partition is next. The only place that computes it.
//!
//! Pure: the worker tells it what it was handed and what is finished, and asks what may be committed. It asserts
//! that the next offset never goes back and never passes a message that was handed over and is unfinished. A gap
//! in the numbers is Kafka's right (compaction, transaction markers) and no hole.

/// The progress of one partition during one assignment. An offset reset starts a new tracker.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    /// The last message taken from the queue.
    handed_over: Option<i64>,
    /// All messages below it are finished.
    next: Option<i64>,
    /// The highest offset that a commit was asked for.
    committed: Option<i64>,
}

impl OffsetTracker {
    pub fn new() -> Self {
        Self::default()
    }

    /// An assignment that begins at `offset`, which is to be committed before any message comes.
    pub fn starting_at(offset: i64) -> Self {
        Self {
            next: Some(offset),
            ..Self::default()
        }
    }

    /// Whether `offset` is not above the last message: the partition was truncated, or its topic created again. What
    /// was known of it is void then, and a new tracker begins.
    pub fn goes_back(&self, offset: i64) -> bool {
        self.handed_over.is_some_and(|last| offset <= last)
    }

    /// A message was taken from the queue.
    ///
    /// # Panics
    /// When it is not above every message before it: Kafka's order within a partition is what all else rests on.
    pub fn handed_over(&mut self, offset: i64) {
        assert!(
            self.handed_over.is_none_or(|last| offset > last),
            "offset {offset} was handed over after {:?}",
            self.handed_over
        );
        self.handed_over = Some(offset);
    }

    /// Everything handed over below `next` is finished, and nothing at or above it.
    ///
    /// # Panics
    /// When the next offset would go back.
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

    /// Everything handed over is finished, and the consumer stands at `position`, which may lie beyond the last
    /// message: behind what was compacted away, or behind the markers of a transaction.
    ///
    /// Before the first message it says nothing: the position may still be that of an earlier assignment, which was
    /// handed messages that it did not finish.
    ///
    /// # Panics
    /// When a message that was handed over is unfinished.
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

    /// The next offset, where it is known and no commit was asked for it yet.
    pub fn due(&self) -> Option<i64> {
        self.next
            .filter(|next| self.committed.is_none_or(|committed| *next > committed))
    }

    /// A commit of `offset` was sent.
    pub fn committed(&mut self, offset: i64) {
        self.committed = Some(offset);
    }

    /// A commit was refused or lost: what it held is due again.
    pub fn commit_failed(&mut self) {
        self.committed = None;
    }

    /// The next offset, committed or not.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether every message handed over is finished.
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
