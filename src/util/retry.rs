//! Tries until something works, the stop flag is raised, the time is over, or trying again does not help.
//!
//! For a thread that has nothing else to do meanwhile: the start, and a worker before it reads. A failure is logged at
//! once or, if a short wait is not worth a line, after a while; then once per [`LINES`]. Retries that happen besides
//! other work (rows, messages to produce) keep their own state in `delivery`.

use std::time::{Duration, Instant};

use crate::util::stop::Stop;
use crate::util::throttle::{LINES, Repeated, Throttle};

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptError<E, F> {
    /// Trying again may help.
    Passing(E),
    /// The same, but the reason differs from the last line: it is logged although no line is due.
    News(E),
    /// Trying again does not help.
    Final(F),
}

/// Lets `?` end the attempts with a final failure.
impl<E, F> From<F> for AttemptError<E, F> {
    fn from(error: F) -> Self {
        AttemptError::Final(error)
    }
}

/// Why nothing worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryError<E, F> {
    /// The stop flag was raised.
    Stopped,
    /// The time is over: how the last attempt failed.
    TooLate(E),
    /// Trying again does not help.
    Final(F),
}

/// How something is tried.
#[derive(Debug, Clone)]
pub struct Retry<'s> {
    stop: &'s Stop,
    pause: Duration,
    quiet_for: Duration,
    deadline: Option<Instant>,
}

impl<'s> Retry<'s> {
    /// Without time limit, with this pause after each failure. The first failure is logged at once.
    pub const fn new(stop: &'s Stop, pause: Duration) -> Self {
        Retry {
            stop,
            pause,
            quiet_for: Duration::ZERO,
            deadline: None,
        }
    }

    /// Nothing is logged before this.
    pub const fn quiet_for(self, quiet_for: Duration) -> Self {
        Retry { quiet_for, ..self }
    }

    /// A failure at the deadline or later is the last one. `None`: no deadline. If called several times, the earliest
    /// deadline counts.
    pub fn until(self, deadline: Option<Instant>) -> Self {
        Retry {
            deadline: self.deadline.into_iter().chain(deadline).min(),
            ..self
        }
    }

    /// Tries at least once, whatever the stop flag and the deadline are. `tell` logs a failure. Its second argument is how
    /// long the attempts have taken so far, its third how many have failed since the line before.
    ///
    /// # Errors
    /// See [`RetryError`].
    pub fn run<T, E, F>(
        &self,
        attempt: impl FnMut() -> Result<T, AttemptError<E, F>>,
        tell: impl FnMut(&E, Duration, Repeated),
    ) -> Result<T, RetryError<E, F>> {
        self.run_by(self.stop, attempt, tell)
    }

    fn run_by<T, E, F>(
        &self,
        clock: &impl Clock,
        mut attempt: impl FnMut() -> Result<T, AttemptError<E, F>>,
        mut tell: impl FnMut(&E, Duration, Repeated),
    ) -> Result<T, RetryError<E, F>> {
        let began = clock.now();
        let mut lines = Throttle::new(LINES).first_at(began + self.quiet_for);
        loop {
            let (error, is_news) = match attempt() {
                Ok(done) => return Ok(done),
                Err(AttemptError::Final(error)) => return Err(RetryError::Final(error)),
                Err(AttemptError::News(error)) => (error, true),
                Err(AttemptError::Passing(error)) => (error, false),
            };
            let now = clock.now();
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                return Err(RetryError::TooLate(error));
            }
            let due = if is_news {
                Some(lines.pass_anyway_at(now))
            } else {
                lines.pass_at(now)
            };
            if let Some(repeated) = due {
                tell(&error, now - began, repeated);
            }
            if clock.wait(self.pause) {
                return Err(RetryError::Stopped);
            }
        }
    }
}

/// The time, and waiting. Tests replace it, so that they do not sleep.
trait Clock {
    fn now(&self) -> Instant;
    /// `true`: the stop flag is raised.
    fn wait(&self, pause: Duration) -> bool;
}

impl Clock for Stop {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wait(&self, pause: Duration) -> bool {
        Stop::wait(self, pause)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use AttemptError::{Final, News, Passing};

    type Attempt = Result<&'static str, AttemptError<u64, &'static str>>;
    type Ended = Result<&'static str, RetryError<u64, &'static str>>;

    const SECOND: Duration = Duration::from_secs(1);

    /// Time passes only in pauses.
    struct Fake {
        began: Instant,
        now: Cell<Instant>,
        /// When the stop flag is raised.
        stop_at: Option<Duration>,
    }

    impl Fake {
        fn new(stop_at: Option<Duration>) -> Fake {
            let began = Instant::now();
            Fake {
                began,
                now: Cell::new(began),
                stop_at,
            }
        }

        fn passed(&self) -> Duration {
            self.now.get() - self.began
        }
    }

    impl Clock for Fake {
        fn now(&self) -> Instant {
            self.now.get()
        }

        fn wait(&self, pause: Duration) -> bool {
            self.now.set(self.now.get() + pause);
            self.stop_at.is_some_and(|at| self.passed() >= at)
        }
    }

    /// How it ends, and the lines: the number of the failure in each, after how many seconds, and for how many failures.
    /// The attempts get their number, the first one 0.
    fn run(clock: &Fake, retry: &Retry<'_>, mut attempt: impl FnMut(u64) -> Attempt) -> (Ended, Vec<(u64, u64, u64)>) {
        let mut lines = Vec::new();
        let mut count = 0;
        let ended = retry.run_by(
            clock,
            || {
                count += 1;
                attempt(count - 1)
            },
            |error, waited, repeated| lines.push((*error, waited.as_secs(), repeated.0)),
        );
        (ended, lines)
    }

    #[test]
    fn the_first_failure_is_told_at_once_and_then_one_in_ten_seconds_until_it_works() {
        let (stop, clock) = (Stop::new(), Fake::new(None));
        let works_after = |number| if number == 25 { Ok("done") } else { Err(Passing(number)) };
        let (ended, lines) = run(&clock, &Retry::new(&stop, SECOND), works_after);
        assert_eq!(ended, Ok("done"));
        assert_eq!(lines, [(0, 0, 1), (10, 10, 10), (20, 20, 10)]);
        assert_eq!(clock.passed(), 25 * SECOND);
    }

    #[test]
    fn a_short_wait_is_not_worth_a_line() {
        let (stop, clock) = (Stop::new(), Fake::new(None));
        let works_after = |number| if number == 25 { Ok("done") } else { Err(Passing(number)) };
        let (_, lines) = run(&clock, &Retry::new(&stop, SECOND).quiet_for(LINES), works_after);
        assert_eq!(lines, [(10, 10, 11), (20, 20, 10)]);
    }

    #[test]
    fn news_are_told_at_once_and_put_the_next_line_off() {
        let (stop, clock) = (Stop::new(), Fake::new(None));
        let (_, lines) = run(&clock, &Retry::new(&stop, SECOND), |number| match number {
            3 => Err(News(number)),
            25 => Ok("done"),
            _ => Err(Passing(number)),
        });
        assert_eq!(lines, [(0, 0, 1), (3, 3, 3), (13, 13, 10), (23, 23, 10)]);
    }

    #[test]
    fn the_earliest_deadline_ends_it_with_the_last_failure_which_is_not_told() {
        let (stop, clock) = (Stop::new(), Fake::new(None));
        let at = |seconds: u32| Some(clock.began + seconds * SECOND);
        let retry = Retry::new(&stop, SECOND).until(at(10)).until(None).until(at(60));
        let (ended, lines) = run(&clock, &retry, |number| Err(Passing(number)));
        assert_eq!(ended, Err(RetryError::TooLate(10)));
        assert_eq!(lines, [(0, 0, 1)]);
    }

    #[test]
    fn there_is_one_attempt_although_the_time_is_over_and_the_flag_is_up() {
        let (stop, clock) = (Stop::new(), Fake::new(Some(Duration::ZERO)));
        let late = Retry::new(&stop, SECOND).until(Some(clock.began));
        assert_eq!(run(&clock, &late, |_| Ok("done")).0, Ok("done"));
        assert_eq!(
            run(&clock, &late, |number| Err(Passing(number))).0,
            Err(RetryError::TooLate(0))
        );
    }

    #[test]
    fn the_stop_flag_ends_a_pause() {
        let (stop, clock) = (Stop::new(), Fake::new(Some(3 * SECOND)));
        let (ended, lines) = run(&clock, &Retry::new(&stop, SECOND), |number| Err(Passing(number)));
        assert_eq!((ended, lines), (Err(RetryError::Stopped), vec![(0, 0, 1)]));
        assert_eq!(clock.passed(), 3 * SECOND);
        // The real clock, with a pause that nobody would wait for.
        stop.request(crate::util::stop::StopKind::Drain);
        let ended: Ended = Retry::new(&stop, 3600 * SECOND).run(|| Err(Passing(0)), |_, _, _| {});
        assert_eq!(ended, Err(RetryError::Stopped));
    }

    #[test]
    fn what_cannot_be_mended_ends_it_at_once_and_untold() {
        let (stop, clock) = (Stop::new(), Fake::new(None));
        let (ended, lines) = run(&clock, &Retry::new(&stop, SECOND), |_| Err(Final("refused")));
        assert_eq!((ended, lines), (Err(RetryError::Final("refused")), Vec::new()));
    }
}
