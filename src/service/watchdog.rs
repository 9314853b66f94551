//! The watchdog finds a partition that has messages and makes no progress, without a known reason.
//!
//! Kafka never notices a stuck worker, because the main thread's `poll` alone keeps the process in the group. So the
//! main thread checks by itself, once per second. A partition has an excuse while it is held at a message, while its
//! leader is not reached, while it waits for a namespace or for a database that is known to be unavailable, and while
//! no broker is reached. Time counts only without an excuse, and starts again with every step forward.
//!
//! Depends only on its arguments, and only decides. The supervisor acts (`run.stall_action`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::kafka::Partition;

/// The time between two checks.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// If more time than this passes between two checks, the process was stopped: nothing could make progress, and only
/// this much counts.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// How far an assigned partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub partition: Partition,
    /// Changes with every step forward.
    pub mark: Mark,
    /// Whether the worker has messages in hand, or Kafka has messages for it, or it never began to read.
    pub has_work: bool,
    /// Whether it waits at a message until a person acts, or its leader is not reached.
    pub is_held: bool,
}

/// The next offset, and the number of messages taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub next: Option<i64>,
    pub taken: u64,
}

/// What the supervisor logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// No progress for this long. Reported again each time that `run.stall_after` has passed.
    Stalled(Partition, Mark, Duration),
    /// It makes progress again, after this long.
    Moves(Partition, Duration),
}

/// Remembers how far each partition was.
#[derive(Debug)]
pub struct Watchdog {
    after: Duration,
    last: Option<Instant>,
    seen: HashMap<Partition, Seen>,
}

#[derive(Debug)]
struct Seen {
    mark: Mark,
    /// The time without progress and without an excuse.
    idle: Duration,
    told: u32,
}

impl Watchdog {
    /// `after`: `run.stall_after`.
    pub fn new(after: Duration) -> Self {
        Watchdog {
            after,
            last: None,
            seen: HashMap::new(),
        }
    }

    /// Checks the partitions if a check is due. `standings` is called only then. `is_excused`: no partition can make
    /// progress now.
    pub fn tick(&mut self, now: Instant, is_excused: bool, standings: impl FnOnce() -> Vec<Standing>) -> Vec<Sight> {
        let passed = self.last.map(|last| now.saturating_duration_since(last));
        if passed.is_some_and(|passed| passed < LOOK_INTERVAL) {
            return Vec::new();
        }
        self.last = Some(now);
        self.look(passed.unwrap_or_default().min(LOOK_MAX), is_excused, standings())
    }

    fn look(&mut self, passed: Duration, is_excused: bool, standings: Vec<Standing>) -> Vec<Sight> {
        let mut sights = Vec::new();
        let mut before = std::mem::take(&mut self.seen);
        for standing in standings {
            let Standing {
                partition,
                mark,
                has_work,
                is_held,
            } = standing;
            let mut seen = before.remove(&partition).unwrap_or(Seen {
                mark,
                idle: Duration::ZERO,
                told: 0,
            });
            if seen.mark != mark || !has_work {
                if seen.told > 0 {
                    sights.push(Sight::Moves(partition.clone(), seen.idle));
                }
                seen = Seen {
                    mark,
                    idle: Duration::ZERO,
                    told: 0,
                };
            } else if !is_excused && !is_held {
                seen.idle += passed;
            }
            if seen.idle >= self.after * (seen.told + 1) {
                seen.told += 1;
                sights.push(Sight::Stalled(partition.clone(), mark, seen.idle));
            }
            self.seen.insert(partition, seen);
        }
        sights
    }

    /// The partitions that are stalled now.
    pub fn stalled(&self) -> Vec<Partition> {
        let stalled = self.seen.iter().filter(|(_, seen)| seen.told > 0);
        stalled.map(|(partition, _)| partition.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    fn standing(number: i32, taken: u64) -> Standing {
        Standing {
            partition: Partition {
                topic: "t".into(),
                number,
            },
            mark: Mark { next: Some(5), taken },
            has_work: true,
            is_held: false,
        }
    }

    /// Checks once per second. `at` says how far each partition is at that second.
    fn watch(seconds: u64, at: impl Fn(u64) -> (bool, Vec<Standing>)) -> Vec<(u64, Sight)> {
        let mut watchdog = Watchdog::new(AFTER);
        let mut told = Vec::new();
        for second in 0..seconds {
            let (is_excused, standings) = at(second);
            let passed = if second == 0 { Duration::ZERO } else { SECOND };
            told.extend(
                watchdog
                    .look(passed, is_excused, standings)
                    .into_iter()
                    .map(|sight| (second, sight)),
            );
        }
        told
    }

    #[test]
    fn a_partition_without_progress_is_told_once_and_again_when_as_much_has_passed() {
        let told = watch(25, |_| (false, vec![standing(0, 7)]));
        let stalled = |seconds| {
            let Standing { partition, mark, .. } = standing(0, 7);
            (seconds, Sight::Stalled(partition, mark, seconds as u32 * SECOND))
        };
        assert_eq!(told, [stalled(10), stalled(20)]);
    }

    #[test]
    fn any_step_forward_begins_anew() {
        assert_eq!(watch(100, |second| (false, vec![standing(0, second / 9)])), []);
    }

    #[test]
    fn a_partition_that_goes_on_is_told_once() {
        let told = watch(40, |second| (false, vec![standing(0, u64::from(second >= 15))]));
        let moves = Sight::Moves(standing(0, 0).partition, 14 * SECOND);
        assert_eq!(told.iter().filter(|(_, sight)| *sight == moves).count(), 1, "{told:?}");
        assert_eq!(told[1], (15, moves));
    }

    #[test]
    fn without_work_held_or_excused_nothing_is_stalled() {
        let idle = Standing {
            has_work: false,
            ..standing(0, 0)
        };
        let held = Standing {
            is_held: true,
            ..standing(1, 0)
        };
        assert_eq!(watch(100, |_| (false, vec![idle.clone(), held.clone()])), []);
        assert_eq!(watch(100, |_| (true, vec![standing(0, 0)])), []);
    }

    #[test]
    fn an_excuse_now_and_then_does_not_hide_a_stall() {
        let told = watch(30, |second| (second % 2 == 0, vec![standing(0, 0)]));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(matches!(told[0], (19 | 20, Sight::Stalled(..))), "{told:?}");
    }

    #[test]
    fn one_stalled_partition_among_others_is_named() {
        let told = watch(12, |second| (false, vec![standing(0, second), standing(1, 0)]));
        assert!(
            matches!(&told[..], [(_, Sight::Stalled(partition, ..))] if partition.number == 1),
            "{told:?}"
        );
    }

    #[test]
    fn a_partition_that_came_back_is_looked_at_anew() {
        // The partition is missing at one check.
        let told = watch(18, |second| {
            let there = if second == 9 { vec![] } else { vec![standing(0, 0)] };
            (false, there)
        });
        assert_eq!(told, []);
    }

    #[test]
    fn time_in_which_the_process_was_stopped_does_not_count() {
        let mut watchdog = Watchdog::new(AFTER);
        let began = Instant::now();
        let look = |watchdog: &mut Watchdog, seconds| {
            watchdog.tick(began + Duration::from_secs(seconds), false, || vec![standing(0, 0)])
        };
        assert_eq!(look(&mut watchdog, 0), []);
        assert_eq!(look(&mut watchdog, 3600), []);
        assert!(watchdog.stalled().is_empty());
    }
}
