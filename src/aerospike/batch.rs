//! A batch call of the client: sends rows, or reads records, and gives each row its own answer.

use std::time::Instant;

use aerospike::{BatchOperation, BatchPolicy, BatchRecord, Error, ErrorKind, Value as ClientValue};

use super::report::Waiting;
use super::{Store, chain, request};
use crate::delivery::plan::OutgoingRow;
use crate::delivery::row_outcomes::{CallFailure, NOT_FOUND, refuses_all};
use crate::delivery::write::{Answer, Stored};

impl Store {
    /// Writes with the client.
    pub(super) fn write_by_client(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        if self.is_login_refused() {
            return self.held_back(rows);
        }
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
        let call = call.as_ref().err();
        let answers: Vec<Answer> = operations
            .iter()
            .map(|operation| answer(operation.batch_record(), call, nothing_applied))
            .collect();

        let left = self.count(rows, &answers);
        if left.is_too_big {
            // The other rows have no answer, but nothing is wrong with the database.
            self.limit.refused(rows.len());
        } else if left.is_troubled {
            self.failed(started, &answers, &left, |row| cause(row, &operations, call));
        } else {
            self.limit.accepted();
            self.health.succeeded();
        }
        self.follow_nodes(&answers);
        answers
    }

    /// The answers for rows that are not sent, because no node accepts the login.
    fn held_back(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        const NOT_SENT: Answer = Answer::Failed {
            failure: CallFailure::NoConnection,
            in_doubt: false,
        };
        let answers = vec![NOT_SENT; rows.len()];
        self.count(rows, &answers);
        self.held_back_since(Instant::now(), rows.len());
        answers
    }

    fn held_back_since(&self, began: Instant, rows: usize) {
        let why = self.why_away();
        let why = why.as_deref().unwrap_or("the cluster refuses the login");
        self.health.failed(began, rows, rows, why);
    }

    /// Reads the bins of the rows' conditions, with the client.
    pub(super) fn read_conditions(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        if self.is_login_refused() {
            self.held_back_since(Instant::now(), rows.len());
            return vec![None; rows.len()];
        }
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
            let answers: Vec<Answer> = records.map(|record| answer(record, call, false)).collect();
            let why = self.why(&answers, |row| cause(row, &operations, call));
            let reason = format!("reading guards: {why}");
            self.health.failed(started, rows.len(), unread, &reason);
        }
        stored
    }

    /// Nodes come and go, so the policy is chosen for each call.
    pub(super) fn policy(&self, nodes: usize) -> &BatchPolicy {
        if nodes == 1 {
            &self.batch_policy_one_node
        } else {
            &self.batch_policy
        }
    }
}

/// The client's own words for a failure.
fn cause(waiting: Waiting, operations: &[BatchOperation], call: Option<&Error>) -> Option<String> {
    let row = match waiting {
        Waiting::None => return call.map(|error| chain(error)),
        Waiting::Row(row) => row,
    };
    let error = operations
        .get(row)
        .and_then(|operation| operation.batch_record().error());
    // The call's error may contain the answer of another row.
    let of_client = |error: &&Error| error.server_result_code().is_none();
    error.or(call).filter(of_client).map(|error| chain(error))
}

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
