//! `run.start_timeout`: one time limit for everything that the service waits for before the first message.
//!
//! Each wait makes at least one attempt, however late it begins. The waiter decides what happens when the time is over.

use std::time::{Duration, Instant};

/// An attempt gets at least this much time, even if little or no time is left.
const ATTEMPT_MIN: Duration = Duration::from_millis(500);
/// Later steps get at least this much time.
const REST_MIN: Duration = Duration::from_secs(1);

/// The time limit of the start. Copies share the clock.
#[derive(Debug, Clone, Copy)]
pub struct StartLimit {
    began: Instant,
    limit: Option<Duration>,
}

impl StartLimit {
    /// Starts now. `None`: no limit.
    pub fn new(limit: Option<Duration>) -> Self {
        StartLimit {
            began: Instant::now(),
            limit,
        }
    }

    /// No limit.
    pub fn none() -> Self {
        Self::new(None)
    }

    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.began.elapsed() >= limit)
    }

    /// When the time is over. `None`: there is no limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.began.checked_add(self.limit?)
    }

    /// The time that is left. `None`: there is no limit.
    pub fn left(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_sub(self.began.elapsed()))
    }

    /// The limit for a new clock that starts later, with the time that is left now.
    pub fn rest(&self) -> Option<Duration> {
        self.left().map(|left| left.max(REST_MIN))
    }

    /// The time-out of one attempt: `timeout`, or what is left if that is less.
    pub fn bound(&self, timeout: Duration) -> Duration {
        match self.left() {
            Some(left) => timeout.min(left.max(ATTEMPT_MIN)),
            None => timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_gets_what_is_left_and_never_nothing() {
        let second = Duration::from_secs(1);
        let over = StartLimit::new(Some(Duration::ZERO));
        assert!(over.is_over());
        assert_eq!(over.bound(5 * second), ATTEMPT_MIN);
        assert_eq!(over.rest(), Some(REST_MIN));
        let long = StartLimit::new(Some(3600 * second));
        assert!(!long.is_over());
        assert_eq!(long.bound(5 * second), 5 * second);
        assert!(StartLimit::new(Some(3 * second)).bound(5 * second) <= 3 * second);
        assert_eq!(long.deadline(), Some(long.began + 3600 * second));
        let none = StartLimit::none();
        assert!(!none.is_over() && none.deadline().is_none());
        assert_eq!((none.left(), none.bound(5 * second)), (None, 5 * second));
    }

    #[test]
    fn the_clock_goes_on() {
        let second = Duration::from_secs(1);
        let Some(began) = Instant::now().checked_sub(2 * second) else {
            return;
        };
        let limit = StartLimit {
            began,
            limit: Some(60 * second),
        };
        assert!(
            limit.left().is_some_and(|left| left <= 58 * second),
            "{:?}",
            limit.left()
        );
        assert!(limit.rest().is_some_and(|rest| rest <= 58 * second));
        assert!(limit.bound(60 * second) <= 58 * second);
        let over = StartLimit {
            began,
            limit: Some(second),
        };
        assert!(over.is_over());
        assert_eq!(over.left(), Some(Duration::ZERO));
    }
}
