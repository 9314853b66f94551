//! Keeps repeated lines from flooding a log: the first passes at once, later ones at an interval, with a count of those
//! that were held back.

use std::fmt;
use std::time::{Duration, Instant};

/// The interval of most lines.
pub const LINES: Duration = Duration::from_secs(10);

/// How often something came since the line before, the one that is told now included.
///
/// Stands at the end of a line: ` repeated=N`, or nothing for what came once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated(pub u64);

impl fmt::Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => Ok(()),
            count => write!(f, " repeated={count}"),
        }
    }
}

/// Lets one line pass, and then none for `every`.
#[derive(Debug, Clone)]
pub struct Throttle {
    every: Duration,
    /// No line passes before this.
    first_at: Option<Instant>,
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// The first one passes at once.
    pub const fn new(every: Duration) -> Self {
        Throttle {
            every,
            first_at: None,
            last: None,
            held_back: 0,
        }
    }

    /// The first line does not pass before `at`: a shorter wait is not worth a line.
    pub const fn first_at(self, at: Instant) -> Self {
        Throttle {
            first_at: Some(at),
            ..self
        }
    }

    /// When the last line passed; `None`: none did.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    fn is_due(&self, now: Instant) -> bool {
        match self.last {
            Some(last) => now.saturating_duration_since(last) >= self.every,
            None => self.first_at.is_none_or(|at| now >= at),
        }
    }

    /// Lets a line pass if one is due.
    pub fn pass(&mut self) -> Option<Repeated> {
        self.pass_at(Instant::now())
    }

    /// The same at `now`.
    pub fn pass_at(&mut self, now: Instant) -> Option<Repeated> {
        if !self.is_due(now) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(self.repeated())
    }

    /// Lets a line pass at `now` although none is due, because it says something new. The interval begins again.
    pub fn pass_anyway_at(&mut self, now: Instant) -> Repeated {
        self.last = Some(now);
        self.repeated()
    }

    fn repeated(&mut self) -> Repeated {
        Repeated(std::mem::take(&mut self.held_back) + 1)
    }
}

impl Default for Throttle {
    /// One line each [`LINES`].
    fn default() -> Self {
        Self::new(LINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_at_once_and_then_one_in_a_while_with_the_count_of_the_others() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut throttle = Throttle::default();
        assert_eq!(throttle.pass_at(begin), Some(Repeated(1)));
        assert_eq!(throttle.pass_at(at(1)), None);
        assert_eq!(throttle.pass_at(at(9)), None);
        assert_eq!(throttle.pass_at(at(10)), Some(Repeated(3)));
        assert_eq!(throttle.pass_at(at(20)), Some(Repeated(1)));
    }

    #[test]
    fn what_takes_no_longer_is_not_worth_a_line() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut throttle = Throttle::new(Duration::from_secs(60)).first_at(at(8));
        assert_eq!(throttle.pass_at(at(7)), None);
        assert_eq!(throttle.last(), None);
        assert_eq!(throttle.pass_at(at(8)), Some(Repeated(2)));
        assert_eq!(throttle.last(), Some(at(8)));
        assert_eq!(throttle.pass_at(at(67)), None);
        assert_eq!(throttle.pass_at(at(68)), Some(Repeated(2)));
    }

    #[test]
    fn news_pass_and_put_the_next_one_off() {
        let begin = Instant::now();
        let mut throttle = Throttle::default();
        assert_eq!(throttle.pass_anyway_at(begin), Repeated(1));
        assert_eq!(throttle.pass_at(begin + LINES / 2), None);
        assert_eq!(throttle.pass_anyway_at(begin + LINES / 2), Repeated(2));
    }

    #[test]
    fn what_came_once_is_told_without_a_count() {
        assert_eq!(format!("x{}", Repeated(1)), "x");
        assert_eq!(format!("x{}", Repeated(7)), "x repeated=7");
    }
}
