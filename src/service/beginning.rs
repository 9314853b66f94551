//! The last part of the start: from joining the group until the workers read the first assignment. It must be over
//! within `run.start_timeout`.
//!
//! Runs on the main thread. Time counts only while Kafka does not answer: the coordinator is not connected, or no
//! broker gives the topic ids. Time does not count while the group waits for its other members, however long that
//! takes. Kafka is there then, and a restart would only make the group rebalance once more.

use std::time::{Duration, Instant};

use crate::util::start_limit::StartLimit;

/// How far the service is with its first assignment.
#[derive(Debug)]
pub struct Beginning {
    /// How much of the limit was left when the service joined the group.
    left: Option<Duration>,
    /// Since when the group's coordinator has not been connected.
    away_since: Option<Instant>,
    is_over: bool,
}

/// What is known now.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Whether the group's coordinator is connected, according to the last statistics.
    pub has_coordinator: Option<bool>,
    /// The time limit for the first assignment, once Kafka has sent it.
    pub assignment: Option<StartLimit>,
    /// Number of workers that do not know their topic's id yet. `None` before there are workers.
    pub unbegun: Option<usize>,
}

impl Beginning {
    /// The service joins the group now.
    pub fn new(limit: &StartLimit, now: Instant) -> Self {
        Beginning {
            left: limit.rest(),
            away_since: Some(now),
            is_over: limit.left().is_none(),
        }
    }

    /// The reason if the start has taken too long; otherwise `None`.
    pub fn too_late(&mut self, now: Instant, known: &Known) -> Option<&'static str> {
        let left = self.left.filter(|_| !self.is_over)?;
        if known.unbegun == Some(0) {
            self.is_over = true;
            return None;
        }
        if let Some(assignment) = known.assignment {
            return (known.unbegun.is_some() && assignment.is_over()).then_some("no broker gives the id of a topic");
        }
        match known.has_coordinator {
            Some(true) => self.away_since = None,
            Some(false) => {
                let since = *self.away_since.get_or_insert(now);
                return (now.duration_since(since) >= left).then_some("the group's coordinator is not reached");
            }
            None => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn known(has_coordinator: Option<bool>, assignment: Option<StartLimit>, unbegun: Option<usize>) -> Known {
        Known {
            has_coordinator,
            assignment,
            unbegun,
        }
    }

    #[test]
    fn a_coordinator_that_is_away_is_waited_for_as_long_as_is_left() {
        let began = Instant::now();
        let mut beginning = Beginning::new(&StartLimit::new(Some(12 * SECOND)), began);
        let away = known(Some(false), None, None);
        assert_eq!(beginning.too_late(began + 5 * SECOND, &away), None);
        // It is unknown whether the coordinator is connected.
        assert_eq!(beginning.too_late(began + 20 * SECOND, &known(None, None, None)), None);
        assert!(beginning.too_late(began + 20 * SECOND, &away).is_some());
    }

    #[test]
    fn waiting_for_the_other_members_does_not_count() {
        let began = Instant::now();
        let mut beginning = Beginning::new(&StartLimit::new(Some(2 * SECOND)), began);
        let sharing = known(Some(true), None, None);
        let away = known(Some(false), None, None);
        assert_eq!(beginning.too_late(began + 300 * SECOND, &sharing), None);
        // A coordinator that moves in the meantime gets its time, too.
        assert_eq!(beginning.too_late(began + 301 * SECOND, &away), None);
        assert_eq!(beginning.too_late(began + 302 * SECOND, &sharing), None);
        assert_eq!(beginning.too_late(began + 400 * SECOND, &away), None);
        assert!(beginning.too_late(began + 403 * SECOND, &away).is_some());
    }

    #[test]
    fn an_assignment_has_what_is_left_and_is_told_once_it_is_read() {
        let began = Instant::now();
        let limit = StartLimit::new(Some(2 * SECOND));
        let over = StartLimit::new(Some(Duration::ZERO));
        let mut beginning = Beginning::new(&limit, began);
        assert_eq!(beginning.too_late(began, &known(None, Some(limit), Some(3))), None);
        // Its offsets are still being looked up. That step has its own limit.
        assert_eq!(beginning.too_late(began, &known(None, Some(over), None)), None);
        assert!(beginning.too_late(began, &known(None, Some(over), Some(1))).is_some());
        assert_eq!(beginning.too_late(began, &known(None, Some(over), Some(0))), None);
        // Whatever happens later is not part of the start.
        assert_eq!(beginning.too_late(began, &known(None, Some(over), Some(1))), None);
    }

    #[test]
    fn without_a_limit_nothing_is_too_late() {
        let began = Instant::now();
        let mut beginning = Beginning::new(&StartLimit::none(), began);
        assert_eq!(
            beginning.too_late(began + 9999 * SECOND, &known(Some(false), None, None)),
            None
        );
    }
}
