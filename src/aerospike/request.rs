//! A row in the client's form: its operations, its policy and its condition.
//!
//! Built again for each call: a failed call may return placeholders instead of the client's rows.

use aerospike::expressions::{self as exp, Expression};
use aerospike::operations::exp::{ExpWriteFlags, write_exp};
use aerospike::operations::lists::{self, ListPolicy, ListReturnType};
use aerospike::operations::maps::{self, MapOrder, MapPolicy, MapReturnType, MapWriteFlags};
use aerospike::operations::{self, Operation};
use aerospike::{
    BatchDeletePolicy, BatchOperation, BatchReadPolicy, BatchWritePolicy, Bin, Bins, Expiration, FloatValue, IndexMap,
    Key, RecordExistsAction, Value as ClientValue,
};

use super::condition::filter;
use crate::config::model::Mode;
use crate::delivery::ledger::Ledger;
use crate::delivery::plan::{OutgoingAction, OutgoingOp, OutgoingRow};
use crate::output::row::{Number, Op, RecordKey, RowTtl};
use crate::output::value::Value;

/// Maps that the service creates are ordered by key. So an entry is found without a search, and "the greatest keys"
/// needs no sorting.
const MAPS: MapPolicy = MapPolicy::new(MapOrder::KeyOrdered, MapWriteFlags::DEFAULT);

/// Bins that are lent to the client for each operation. The client takes a bin by reference and copies it
/// (`aerospike-core` 3.0.0, `operations/scalar.rs`). So the names and texts of all rows of a call are written into the
/// same memory, and only the client's copies are allocated.
struct Lent {
    text: Bin,
    other: Bin,
}

impl Lent {
    fn new() -> Lent {
        Lent {
            text: Bin::new("", ClientValue::String(String::new())),
            other: Bin::new("", ClientValue::Nil),
        }
    }

    fn bin(&mut self, name: &str, value: &Value<'_>) -> &Bin {
        match (value, &mut self.text.value) {
            (Value::Str(new), ClientValue::String(text)) => {
                set(&mut self.text.name, name);
                set(text, new);
                &self.text
            }
            _ => self.client_bin(name, client_value(value)),
        }
    }

    fn client_bin(&mut self, name: &str, value: ClientValue) -> &Bin {
        set(&mut self.other.name, name);
        self.other.value = value;
        &self.other
    }
}

fn set(text: &mut String, new: &str) {
    text.clear();
    text.push_str(new);
}

/// The write operations for the rows of a call.
pub(super) fn write(rows: &[OutgoingRow<'_>]) -> Vec<BatchOperation> {
    let mut lent = Lent::new();
    rows.iter().map(|row| write_row(row, &mut lent)).collect()
}

fn write_row(row: &OutgoingRow<'_>, lent: &mut Lent) -> BatchOperation {
    let filter = filter(row);
    let ops = match &row.action {
        OutgoingAction::Delete => {
            let policy = BatchDeletePolicy {
                filter_expression: filter,
                ..BatchDeletePolicy::default()
            };
            return BatchOperation::delete(&policy, key(row));
        }
        OutgoingAction::Touch => vec![operations::touch()],
        OutgoingAction::Write(ops) => ops.iter().map(|op| operation(op, lent)).collect(),
    };
    let policy = BatchWritePolicy {
        record_exists_action: match row.exists {
            Mode::Update => RecordExistsAction::Update,
            Mode::Replace => RecordExistsAction::Replace,
            Mode::Create => RecordExistsAction::CreateOnly,
            Mode::UpdateOnly => RecordExistsAction::UpdateOnly,
        },
        expiration: match row.ttl {
            RowTtl::NamespaceDefault => Expiration::NamespaceDefault,
            RowTtl::Never => Expiration::Never,
            RowTtl::Keep => Expiration::DontUpdate,
            RowTtl::Seconds(seconds) => Expiration::Seconds(seconds),
        },
        send_key: row.target.send_key,
        filter_expression: filter,
        ..BatchWritePolicy::default()
    };
    BatchOperation::write(&policy, key(row), ops)
}

/// An operation that reads the bins of `row`'s conditions.
pub(super) fn read_conditions(row: &OutgoingRow<'_>) -> BatchOperation {
    let bins = row
        .conditions
        .iter()
        .flatten()
        .map(|condition| condition.bin.to_owned());
    BatchOperation::read(&BatchReadPolicy::default(), key(row), Bins::Some(bins.collect()))
}

/// Operations that only read whether a record exists, to find out whether the database answers. They go through the
/// namespaces in turn and use random digests, so they reach any partition.
pub(super) fn probes(namespaces: &[String], rows: usize) -> Vec<BatchOperation> {
    let policy = BatchReadPolicy::default();
    let probe = |namespace: &String| {
        let mut digest = [0; 20];
        digest.fill_with(|| fastrand::u8(..));
        BatchOperation::read(&policy, Key::with_digest(namespace, "", None, digest), Bins::None)
    };
    namespaces
        .iter()
        .cycle()
        .take(if namespaces.is_empty() { 0 } else { rows })
        .map(probe)
        .collect()
}

fn key(row: &OutgoingRow<'_>) -> Key {
    let user_key = row.target.send_key.then(|| match row.key {
        RecordKey::String(text) => ClientValue::String(text.to_string()),
        RecordKey::Integer(n) => ClientValue::Int(*n),
        RecordKey::Bytes(bytes) => ClientValue::Blob(bytes.to_vec()),
    });
    Key::with_digest(
        row.target.namespace.as_str(),
        row.target.set.as_str(),
        user_key,
        row.digest,
    )
}

fn operation(op: &OutgoingOp<'_>, lent: &mut Lent) -> Operation {
    let op = match op {
        OutgoingOp::Op(op) => *op,
        OutgoingOp::Sum(bin, by) => return operations::add(lent.client_bin(bin, ClientValue::Int(*by))),
        OutgoingOp::Store(bin, value) => return operations::put(lent.client_bin(bin, ClientValue::Int(*value))),
        OutgoingOp::Enter(ledger, key) => return entry(ledger, *key, MapWriteFlags::CREATE_ONLY),
        OutgoingOp::Confirm(ledger, key) => return entry(ledger, *key, MapWriteFlags::UPDATE_ONLY),
        OutgoingOp::Forget(ledger) => {
            let (begin, end) = (ClientValue::Int(0), ClientValue::Int(ledger.forget_below));
            return maps::remove_by_value_range(ledger.bin(), begin, end, MapReturnType::NONE);
        }
    };
    match op {
        Op::Put { bin, value } => operations::put(lent.bin(bin, value)),
        Op::Once { bin, value } => {
            // The only operation that can be told not to fail if the bin exists.
            let flags = ExpWriteFlags::CREATE_ONLY | ExpWriteFlags::POLICY_NO_FAIL;
            write_exp(*bin, literal(value), flags)
        }
        Op::Add { bin, by } => operations::add(lent.client_bin(bin, number(*by))),
        Op::Append { bin, value } => operations::append(lent.bin(bin, value)),
        Op::Prepend { bin, value } => operations::prepend(lent.bin(bin, value)),
        Op::ListAppend { bin, value } => lists::append(&ListPolicy::default(), *bin, client_value(value)),
        Op::MapPut { bin, key, value } => maps::put(&MAPS, *bin, client_value(key), client_value(value)),
        Op::MapAdd { bin, key, by } => maps::increment_value(&MAPS, *bin, client_value(key), number(*by)),
        Op::KeepLast { bin, count, map: false } => {
            let count = i64::from(*count);
            lists::remove_by_index_range_count(*bin, -count, count, ListReturnType::NONE.inverted())
        }
        Op::KeepLast { bin, count, map: true } => {
            let count = i64::from(*count);
            maps::remove_by_index_range(*bin, -count, count, MapReturnType::NONE.inverted())
        }
    }
}

/// Puts a sequence number into the ledger of a replay. `flags`: whether it must be new there.
fn entry(ledger: &Ledger, key: i64, flags: MapWriteFlags) -> Operation {
    let policy = MapPolicy::new(MapOrder::KeyOrdered, flags);
    maps::put(
        &policy,
        ledger.bin(),
        ClientValue::Int(key),
        ClientValue::Int(ledger.time),
    )
}

fn number(number: Number) -> ClientValue {
    match number {
        Number::Int(n) => ClientValue::Int(n),
        Number::Float(n) => ClientValue::Float(FloatValue::from(n)),
    }
}

/// The expression for a constant value.
fn literal(value: &Value<'_>) -> Expression {
    match client_value(value) {
        ClientValue::Bool(b) => exp::bool_val(b),
        ClientValue::Int(n) => exp::int_val(n),
        ClientValue::Float(n) => exp::float_val(f64::from(n)),
        ClientValue::String(text) => exp::string_val(text),
        ClientValue::Blob(bytes) => exp::blob_val(bytes),
        ClientValue::List(items) => exp::list_val(items),
        ClientValue::OrderedMap(members) => exp::map_val(members),
        // Not reached: `client_value` makes only the types above, and null is never set once.
        _ => exp::nil(),
    }
}

/// Converts our value to the client's. A map is sent in the order of the text; the server stores it unordered.
fn client_value(value: &Value<'_>) -> ClientValue {
    match value {
        Value::Null => ClientValue::Nil,
        Value::Bool(b) => ClientValue::Bool(*b),
        Value::Int(n) => ClientValue::Int(*n),
        Value::Float(n) => ClientValue::Float(FloatValue::from(*n)),
        // Not reached: `map` lets none through. The digits would lose nothing.
        Value::Unheld { text, .. } => ClientValue::String(text.clone().into_owned()),
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
