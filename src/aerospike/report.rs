//! What both writers report of a call: the rows that it left open, and why.

use std::time::Instant;

use super::Store;
use super::health::Trouble;
use crate::delivery::plan::OutgoingRow;
use crate::delivery::result_codes::Told;
use crate::delivery::row_outcomes::{CallFailure, Disposition, NOT_AUTHENTICATED, UNAVAILABLE};
use crate::delivery::write::Answer;
use crate::observe::counters::Counters;

/// What the rows that a call left open say of the call.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// How many rows are open.
    pub open: usize,
    /// Rows wait for the database.
    pub is_troubled: bool,
    /// The server refused the batch, or a part of it, as too big.
    pub is_too_big: bool,
}

impl Store {
    /// Counts the rows that a call left open, and logs what an operator must know of single rows.
    pub(super) fn count(&self, rows: &[OutgoingRow<'_>], answers: &[Answer]) -> Left {
        let mut retried = Retried::default();
        let mut left = Left::default();
        for (row, answer) in rows.iter().zip(answers) {
            let namespace = row.target.namespace.as_str();
            match answer.disposition() {
                Disposition::Done => self.health.taken(namespace),
                Disposition::Reject => {}
                // Without another login to wait for, it is the end.
                Disposition::Credentials if self.rotation.is_none() => {}
                Disposition::Retry | Disposition::NoNamespace | Disposition::Credentials => {
                    retried.add(*answer, &self.counters);
                    left.is_troubled = true;
                }
                Disposition::Halve => {
                    retried.add(*answer, &self.counters);
                    left.is_too_big = true;
                }
                Disposition::RetryRecord => retried.add(*answer, &self.counters),
                Disposition::HoldRecord => {
                    // A code that depends on the request is not a problem of the database.
                    if let Answer::Code(code) = *answer
                        && !row.answers_with(code)
                    {
                        retried.add(*answer, &self.counters);
                        self.health.trouble(&Trouble::UnknownCode(code), namespace);
                    }
                }
                Disposition::HoldNamespace => {
                    retried.add(*answer, &self.counters);
                    if let Answer::Code(code) = *answer {
                        self.health.trouble(&Trouble::NamespaceClosed(code), namespace);
                    }
                }
            }
        }
        retried.count(&self.counters);
        left.open = retried.open;
        left
    }

    /// Rows of a call wait for the database: logs why.
    pub(super) fn failed(
        &self,
        began: Instant,
        answers: &[Answer],
        left: &Left,
        cause: impl Fn(Waiting) -> Option<String>,
    ) {
        let reason = self.why(answers, cause);
        self.health.failed(began, answers.len(), left.open, &reason);
    }

    /// Why rows of a call are open: the most frequent answer among the rows that wait for the database. Other rows of
    /// the call have answers of their own, which explain nothing.
    ///
    /// `cause`: what the writer knows beyond the answer.
    pub(super) fn why(&self, answers: &[Answer], cause: impl Fn(Waiting) -> Option<String>) -> String {
        let waits = |answer: Answer| {
            matches!(
                answer.disposition(),
                Disposition::Retry | Disposition::NoNamespace | Disposition::Credentials
            )
        };
        let mut kinds: Vec<(Kind, usize, usize)> = Vec::new();
        for (row, answer) in answers.iter().enumerate().filter(|(_, answer)| waits(**answer)) {
            let kind = match *answer {
                Answer::Code(code) => Kind::Code(code),
                Answer::Failed { failure, .. } => Kind::Failure(failure),
            };
            match kinds.iter_mut().find(|(known, ..)| *known == kind) {
                Some((_, rows, _)) => *rows += 1,
                None => kinds.push((kind, 1, row)),
            }
        }
        // A row without an answer usually has the same cause as another row: the header that ended the batch. So an
        // answered row is preferred.
        let weight = |(kind, rows, _): &(Kind, usize, _)| (*kind != Kind::Failure(CallFailure::Unanswered), *rows);
        let Some((kind, _, row)) = kinds.into_iter().max_by_key(weight) else {
            return cause(Waiting::None).unwrap_or_else(|| "unknown".into());
        };
        let (reason, is_far) = match kind {
            Kind::Code(code) => (Told(code).to_string(), matches!(code, UNAVAILABLE | NOT_AUTHENTICATED)),
            Kind::Failure(failure) => {
                let cause = cause(Waiting::Row(row))
                    .map(|cause| format!(": {cause}"))
                    .unwrap_or_default();
                (format!("{}{cause}", failure.as_str()), true)
            }
        };
        match self.lookout.told() {
            Some(told) if is_far => format!("{reason}; {told}"),
            _ => reason,
        }
    }

    /// Looks for the cluster if no row was answered, and remembers its nodes otherwise.
    pub(super) fn follow_nodes(&self, answers: &[Answer]) {
        if answers.iter().all(|answer| matches!(answer, Answer::Failed { .. })) {
            self.connection.look_for_cluster();
        } else {
            self.connection.remember_nodes();
        }
    }
}

/// Which cause is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waiting {
    /// The failure of this row of the call.
    Row(usize),
    /// No row waits for the database: the failure of the call.
    None,
}

/// Counts the rows that a call left open. Rows with the same answer are usually neighbours: they are counted together.
#[derive(Default)]
struct Retried {
    /// All of them.
    open: usize,
    /// Those that may have been applied all the same.
    in_doubt: u64,
    /// The last answer, and how many rows in a row had it.
    last: Option<(Answer, u64)>,
}

impl Retried {
    fn add(&mut self, answer: Answer, counters: &Counters) {
        self.open += 1;
        self.in_doubt += u64::from(answer.in_doubt());
        match &mut self.last {
            Some((last, rows)) if *last == answer => *rows += 1,
            _ => {
                self.count_last(counters);
                self.last = Some((answer, 1));
            }
        }
    }

    /// Counts what is not counted yet.
    fn count(&mut self, counters: &Counters) {
        self.count_last(counters);
        counters.rows_in_doubt.add(std::mem::take(&mut self.in_doubt));
    }

    fn count_last(&mut self, counters: &Counters) {
        match self.last.take() {
            Some((Answer::Code(code), rows)) => counters.rows_retried.add(code, rows),
            Some((Answer::Failed { failure, .. }, rows)) => counters.rows_retried.add_failure(failure.label(), rows),
            None => {}
        }
    }
}

/// Why a row waits for the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code(u8),
    Failure(CallFailure),
}
