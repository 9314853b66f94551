//! One batch call: planned rows become client rows, the client's answers become one result a row.
//!
//! The client's rows are built anew for each call: a call that fails can hand back placeholders instead of them.

use std::time::Instant;

use aerospike::operations;
use aerospike::{BatchOperation, BatchRecord, Bin, Expiration, FloatValue, IndexMap, Key, Value as ClientValue};

use super::disposition::{Disposition, disposition, disposition_of_removal};
use super::{Store, chain};
use crate::pipeline::map::{RecordKey, RowTtl};
use crate::pipeline::plan::PlannedRow;
use crate::pipeline::value::Value;
use crate::pipeline::write::{Fatal, RowResult, RowWriter};

impl RowWriter for Store {
    fn write(&self, rows: &[&PlannedRow<'_>]) -> Vec<RowResult> {
        let mut operations: Vec<BatchOperation> = rows.iter().map(|row| self.operation(row)).collect();
        let started = Instant::now();
        // Nodes come and go: which policy fits is decided at each call.
        let policy = if self.client.nodes().len() == 1 {
            &self.batch_policy_one_node
        } else {
            &self.batch_policy
        };
        let call = self.client.batch(policy, &mut operations);
        self.counters.batch(rows.len(), started.elapsed());

        // `Ok` says nothing about the rows, and `Err` may have destroyed them: only a row's own code counts.
        let mut failure: Option<String> = None;
        let results: Vec<RowResult> = rows
            .iter()
            .zip(&operations)
            .map(|(row, operation)| {
                let record = operation.batch_record();
                let result = row_result(row, record);
                if result == RowResult::Retry && failure.is_none() {
                    failure = record.error().map(|e| chain(e));
                }
                result
            })
            .collect();

        let done = results.iter().filter(|r| **r == RowResult::Done).count();
        let unresolved = results.iter().filter(|r| **r == RowResult::Retry).count();
        self.counters.rows_written.add(done as u64);
        self.counters.rows_retried.add(unresolved as u64);
        if unresolved > 0 {
            let reason = failure
                .or_else(|| call.err().map(|e| chain(&e)))
                .unwrap_or_else(|| "the server ended the batch without an answer for every row".into());
            self.health.failed(started, rows.len(), unresolved, &reason);
        } else {
            self.health.succeeded();
        }
        results
    }
}

impl Store {
    fn operation(&self, planned: &PlannedRow<'_>) -> BatchOperation {
        let row = &planned.row;
        let user_key = row.target.send_key.then(|| match &row.key {
            RecordKey::String(text) => ClientValue::String(text.to_string()),
            RecordKey::Integer(n) => ClientValue::Int(*n),
            RecordKey::Bytes(bytes) => ClientValue::Blob(bytes.to_vec()),
        });
        let key = Key::with_digest(
            row.target.namespace.as_str(),
            row.target.set.as_str(),
            user_key,
            planned.digest,
        );
        let mut policy = self.write_policy.clone();
        policy.send_key = row.target.send_key;
        policy.expiration = match row.ttl {
            RowTtl::NamespaceDefault => Expiration::NamespaceDefault,
            RowTtl::Never => Expiration::Never,
            RowTtl::Keep => Expiration::DontUpdate,
            RowTtl::Seconds(seconds) => Expiration::Seconds(seconds),
        };
        let puts: Vec<_> = row
            .bins
            .iter()
            .map(|(name, value)| operations::put(&Bin::new(&**name, client_value(value))))
            .collect();
        BatchOperation::write(&policy, key, puts)
    }
}

fn row_result(row: &PlannedRow<'_>, record: &BatchRecord) -> RowResult {
    let Some(code) = record.result_code() else {
        return RowResult::Retry;
    };
    let code = u8::from(code);
    // The client stamps its own time-outs with the server's code for one, so a code is only the server's word
    // when the error says so; both are sent again.
    let only_removes = row.row.bins.iter().all(|(_, value)| matches!(value, Value::Null));
    match if only_removes {
        disposition_of_removal(code)
    } else {
        disposition(code)
    } {
        Disposition::Done => RowResult::Done,
        Disposition::Retry => RowResult::Retry,
        Disposition::Refuse => RowResult::Refused(code),
        Disposition::Credentials => RowResult::Fatal(Fatal::Credentials(code)),
    }
}

/// Our value as the client's. A map is sent in the order of the text; the server keeps it unordered.
fn client_value(value: &Value<'_>) -> ClientValue {
    match value {
        Value::Null => ClientValue::Nil,
        Value::Bool(b) => ClientValue::Bool(*b),
        Value::Int(n) => ClientValue::Int(*n),
        Value::Float(n) => ClientValue::Float(FloatValue::from(*n)),
        // `map` lets none through; its digits are the nearest thing that loses nothing.
        Value::BigInt(text) => ClientValue::String((*text).to_owned()),
        Value::Str(text) => ClientValue::String(text.to_string()),
        Value::Bytes(bytes) => ClientValue::Blob(bytes.to_vec()),
        Value::List(items) => ClientValue::List(items.iter().map(client_value).collect()),
        Value::Map(members) => ClientValue::OrderedMap(
            members
                .iter()
                .map(|(name, value)| (ClientValue::String(name.to_string()), client_value(value)))
                .collect::<IndexMap<_, _>>(),
        ),
    }
}
