//! The database as one thread of a step sees it: how long calls take, what is refused, and the first sign of distress.
//!
//! It is also the last check: a row for another set than the scratch set is not sent.

use std::cell::RefCell;
use std::fmt;
use std::time::Instant;

use parking_lot::Mutex;

use crate::bench::scratch::SET;
use crate::delivery::plan::OutgoingRow;
use crate::delivery::result_codes::Told;
use crate::delivery::row_outcomes::{CallFailure, Disposition};
use crate::delivery::write::{Answer, RowWriter, Stored};
use crate::util::stop::{Stop, StopKind};

/// A sign that the database has enough, or that it does not take writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distress {
    Code(u8),
    Failed(CallFailure),
    /// A row was for another set. A bug of ours: nothing was sent.
    Misdirected,
}

impl fmt::Display for Distress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distress::Code(code) => write!(f, "the database answers {}", Told(*code)),
            Distress::Failed(CallFailure::TimedOut) => {
                f.write_str("the database does not answer within run.write_timeout")
            }
            Distress::Failed(failure) => write!(f, "a call to the database fails: {}", failure.as_str()),
            Distress::Misdirected => f.write_str("a row was not for the scratch set, so nothing was sent (a bug)"),
        }
    }
}

/// The first sign of distress of a step. It ends the step.
#[derive(Debug, Default)]
pub struct Alarm {
    first: Mutex<Option<Distress>>,
    pub halt: Stop,
}

impl Alarm {
    fn raise(&self, distress: Distress) {
        self.first.lock().get_or_insert(distress);
        self.halt.request(StopKind::Drain);
    }

    pub fn first(&self) -> Option<Distress> {
        *self.first.lock()
    }
}

/// What a thread has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How long each call took, in microseconds.
    pub calls_us: Vec<u32>,
    pub rows: u64,
}

/// A writer that is watched. Each thread has its own.
pub struct Watched<'w> {
    writer: &'w dyn RowWriter,
    alarm: &'w Alarm,
    seen: RefCell<Seen>,
}

impl<'w> Watched<'w> {
    pub fn new(writer: &'w dyn RowWriter, alarm: &'w Alarm) -> Watched<'w> {
        Watched {
            writer,
            alarm,
            seen: RefCell::default(),
        }
    }

    pub fn into_seen(self) -> Seen {
        self.seen.into_inner()
    }
}

/// What an answer says about the database's state.
fn distress(answer: Answer) -> Option<Distress> {
    match (answer.disposition(), answer) {
        (
            Disposition::Done
            | Disposition::Reject
            | Disposition::Halve
            // A hot record is the messages' own.
            | Disposition::RetryRecord
            // Codes that depend on the request: no record, the record exists, a condition does not hold.
            | Disposition::HoldRecord,
            _,
        ) => None,
        (_, Answer::Code(code)) => Some(Distress::Code(code)),
        (_, Answer::Failed { failure, .. }) => Some(Distress::Failed(failure)),
    }
}

impl RowWriter for Watched<'_> {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        if rows.iter().any(|row| row.target.set != SET) {
            self.alarm.raise(Distress::Misdirected);
            let unsent = Answer::Failed {
                failure: CallFailure::Unsendable,
                in_doubt: false,
            };
            return vec![unsent; rows.len()];
        }
        let began = Instant::now();
        let answers = self.writer.write(rows);
        let took_us = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
        let mut seen = self.seen.borrow_mut();
        seen.calls_us.push(took_us);
        seen.rows += rows.len() as u64;
        if let Some(distress) = answers.iter().copied().find_map(distress) {
            self.alarm.raise(distress);
        }
        answers
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        self.writer.stored(rows)
    }

    fn rows_max(&self) -> usize {
        self.writer.rows_max()
    }

    fn codes_are_exact(&self) -> bool {
        self.writer.codes_are_exact()
    }

    fn lacks_namespace(&self, namespace: &str) -> bool {
        self.writer.lacks_namespace(namespace)
    }
}

/// A database that answers at once, for the CPU of the rules alone.
#[derive(Debug)]
pub struct Nowhere;

impl RowWriter for Nowhere {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        vec![Answer::Code(0); rows.len()]
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        vec![None; rows.len()]
    }

    fn rows_max(&self) -> usize {
        usize::MAX
    }

    fn lacks_namespace(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distress_is_what_more_load_would_make_worse_or_what_refuses_all() {
        let failed = |failure| Answer::Failed {
            failure,
            in_doubt: false,
        };
        // Overload, out of space, quota, batch queues, partition unavailable, not allowed, the server's own time-out.
        for code in [18, 8, 83, 152, 11, 22, 9, 81] {
            assert_eq!(distress(Answer::Code(code)), Some(Distress::Code(code)), "{code}");
        }
        for failure in [CallFailure::TimedOut, CallFailure::Connection, CallFailure::Unanswered] {
            assert_eq!(distress(failed(failure)), Some(Distress::Failed(failure)));
        }
        // Done, no record, the record exists, too big, busy, a condition, the bin's type, too many rows.
        for code in [0, 2, 5, 13, 14, 27, 12, 151] {
            assert_eq!(distress(Answer::Code(code)), None, "{code}");
        }
    }
}
