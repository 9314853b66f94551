//! One batch call: sends rows and gives each row its own answer.

use std::time::Instant;

use aerospike::{AdminPolicy, BatchOperation, BatchPolicy, BatchRecord, Error, ErrorKind, Value as ClientValue};

use super::health::Trouble;
use super::{Store, chain, request};
use crate::delivery::plan::OutgoingRow;
use crate::delivery::result_codes::Told;
use crate::delivery::row_outcomes::{CallFailure, Disposition, NOT_AUTHENTICATED, NOT_FOUND, refuses_all};
use crate::delivery::write::{Answer, RowWriter, Stored};
use crate::observe::counters::Counters;

impl RowWriter for Store {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let mut operations = request::write(rows);
        let started = Instant::now();
        // `Ok` says nothing about the rows, and `Err` may have destroyed them. So only a row's own code counts.
        let client = self.client();
        let nodes = client.nodes().len();
        let call = client.batch(self.policy(nodes), &mut operations);
        self.counters.batch(rows.len(), started.elapsed());

        let refused = operations
            .iter()
            .any(|operation| is_batch_refused(operation.batch_record()));
        // With several nodes, it is unknown which rows went to which node.
        let nothing_applied = refused && nodes == 1;
        let answers: Vec<Answer> = operations
            .iter()
            .map(|operation| answer(operation.batch_record(), call.as_ref().err(), nothing_applied))
            .collect();

        let reason = || {
            let records = operations.iter().map(BatchOperation::batch_record);
            self.why(records.zip(answers.iter().copied()), call.as_ref().err())
        };
        self.report(started, rows, &answers, reason);
        if answers.iter().all(|answer| matches!(answer, Answer::Failed { .. })) {
            self.connection.look_for_cluster();
        } else {
            self.connection.remember_nodes();
        }
        answers
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        let mut operations: Vec<BatchOperation> = rows.iter().map(request::read_conditions).collect();
        let started = Instant::now();
        let client = self.client();
        let call = client.batch(self.policy(client.nodes().len()), &mut operations);
        let stored: Vec<Option<Stored>> = rows
            .iter()
            .zip(&operations)
            .map(|(row, operation)| stored_numbers(row, operation.batch_record()))
            .collect();
        let unread = stored.iter().filter(|stored| stored.is_none()).count();
        if unread > 0 {
            let call = call.as_ref().err();
            let records = operations.iter().map(BatchOperation::batch_record);
            let answers = records.map(|record| (record, answer(record, call, false)));
            let reason = format!("reading guards: {}", self.why(answers, call));
            self.health.failed(started, rows.len(), unread, &reason);
        }
        stored
    }

    fn rows_max(&self) -> usize {
        self.limit.rows()
    }

    fn lacks_namespace(&self, namespace: &str) -> bool {
        let policy = AdminPolicy::default();
        match self.client().info(&policy, &["namespaces"]) {
            // Not reachable: the namespace may exist.
            Err(_) => false,
            Ok(answer) => answer
                .get("namespaces")
                .is_some_and(|present| !present.split(';').any(|name| name == namespace)),
        }
    }
}

impl Store {
    /// Nodes come and go, so the policy is chosen for each call.
    pub(super) fn policy(&self, nodes: usize) -> &BatchPolicy {
        if nodes == 1 {
            &self.batch_policy_one_node
        } else {
            &self.batch_policy
        }
    }

    /// Why rows of a call are open: the most frequent answer among the rows that wait for the database. Other rows of
    /// the call have answers of their own, which explain nothing.
    fn why<'r>(&self, rows: impl Iterator<Item = (&'r BatchRecord, Answer)>, call: Option<&Error>) -> String {
        let waits = |answer: Answer| matches!(answer.disposition(), Disposition::Retry | Disposition::NoNamespace);
        let mut kinds: Vec<(Kind, usize, Option<&Error>)> = Vec::new();
        for (record, answer) in rows.filter(|(_, answer)| waits(*answer)) {
            let kind = match answer {
                Answer::Code(code) => Kind::Code(code),
                Answer::Failed { failure, .. } => Kind::Failure(failure),
            };
            match kinds.iter_mut().find(|(known, ..)| *known == kind) {
                Some((_, rows, _)) => *rows += 1,
                None => kinds.push((kind, 1, record.error())),
            }
        }
        // A row without an answer usually has the same cause as another row: the header that ended the batch. So an
        // answered row is preferred.
        let weight = |(kind, rows, _): &(Kind, usize, _)| (*kind != Kind::Failure(CallFailure::Unanswered), *rows);
        let Some((kind, _, error)) = kinds.into_iter().max_by_key(weight) else {
            return call.map_or_else(|| "unknown".into(), |error| chain(error));
        };
        let (reason, is_far) = match kind {
            Kind::Code(code) => (Told(code).to_string(), matches!(code, UNAVAILABLE | NOT_AUTHENTICATED)),
            Kind::Failure(failure) => {
                // The call's error may contain the answer of another row.
                let of_client = |error: &&Error| error.server_result_code().is_none();
                let error = error.or(call).filter(of_client).map(|error| chain(error));
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                (format!("{}{error}", failure.as_str()), true)
            }
        };
        match self.lookout.told() {
            Some(told) if is_far => format!("{reason}; {told}"),
            _ => reason,
        }
    }

    /// Counts the rows that a call left open, and logs what an operator must know.
    fn report(&self, started: Instant, rows: &[OutgoingRow<'_>], answers: &[Answer], reason: impl Fn() -> String) {
        let mut retried = Retried::default();
        let mut troubled = false;
        let mut too_big = false;
        for (row, answer) in rows.iter().zip(answers) {
            let namespace = row.target.namespace.as_str();
            match answer.disposition() {
                Disposition::Done => self.health.taken(namespace),
                Disposition::Reject | Disposition::Credentials => {}
                Disposition::Retry | Disposition::NoNamespace => {
                    retried.add(*answer, &self.counters);
                    troubled = true;
                }
                Disposition::Halve => {
                    retried.add(*answer, &self.counters);
                    too_big = true;
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
        if too_big {
            // The other rows have no answer, but nothing is wrong with the database.
            self.limit.refused(rows.len());
        } else if troubled {
            self.health.failed(started, rows.len(), retried.open, &reason());
        } else {
            self.limit.accepted();
            self.health.succeeded();
        }
    }
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

/// The record's partition has no node that accepts writes.
const UNAVAILABLE: u8 = 11;

fn is_batch_refused(record: &BatchRecord) -> bool {
    record
        .error()
        .and_then(Error::server_result_code)
        .map(u8::from)
        .is_some_and(refuses_all)
}

/// Why no row of a call was sent. The client knew no node for any of the rows and replaced each row with a placeholder
/// (`aerospike-core` 3.0.0, `batch_executor.rs`).
fn unroutable(record: &BatchRecord, call: Option<&Error>) -> Option<CallFailure> {
    if !record.key.namespace().is_empty() {
        return None;
    }
    match call?.kind() {
        ErrorKind::InvalidNamespace => Some(CallFailure::NoNamespace),
        ErrorKind::InvalidNode => Some(CallFailure::NoNode),
        _ => None,
    }
}

pub(super) fn answer(record: &BatchRecord, call: Option<&Error>, nothing_applied: bool) -> Answer {
    if let Some(failure) = unroutable(record, call) {
        return Answer::Failed {
            failure,
            in_doubt: false,
        };
    }
    let Some(error) = record.error() else {
        return match record.result_code() {
            Some(code) => Answer::Code(u8::from(code)),
            None => Answer::Failed {
                failure: CallFailure::Unanswered,
                // The client does not mark it as in doubt, but a batch that ended early may have applied it.
                in_doubt: !nothing_applied,
            },
        };
    };
    if let Some(code) = error.server_result_code() {
        return Answer::Code(u8::from(code));
    }
    // Without retries, the client reports every failure as a time-out. The cause is deeper in the error.
    let mut failure = CallFailure::TimedOut;
    let mut cause = Some(error);
    while let Some(error) = cause {
        failure = match error.kind() {
            ErrorKind::Connection | ErrorKind::Io(_) | ErrorKind::ParseAddr(_) => CallFailure::Connection,
            ErrorKind::ConnectionPoolEmpty | ErrorKind::NoMoreConnections | ErrorKind::MaxErrorRate => {
                CallFailure::NoConnection
            }
            ErrorKind::InvalidNode => CallFailure::NoNode,
            ErrorKind::InvalidNamespace => CallFailure::NoNamespace,
            ErrorKind::InvalidArgument | ErrorKind::Client => CallFailure::Unsendable,
            ErrorKind::BadResponse | ErrorKind::StreamTerminated | ErrorKind::InvalidUtf8(_) => CallFailure::BadAnswer,
            _ => failure,
        };
        cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    }
    Answer::Failed {
        failure,
        // The client knows whether it sent the request.
        in_doubt: record.in_doubt(),
    }
}

fn stored_numbers(row: &OutgoingRow<'_>, record: &BatchRecord) -> Option<Stored> {
    let bins = match (&record.record, record.result_code().map(u8::from)) {
        (Some(record), Some(0)) => &record.bins,
        // The record no longer exists, and its guard neither.
        (_, Some(NOT_FOUND)) => return Some([None, None]),
        _ => return None,
    };
    Some(row.conditions.map(|condition| match bins.get(condition?.bin) {
        Some(ClientValue::Int(value)) => Some(*value),
        _ => None,
    }))
}
