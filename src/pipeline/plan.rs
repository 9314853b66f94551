//! Plan: the rows of a batch, ordered into calls that hold a record at most once.
//!
//! The rows of one batch call are not ordered among themselves: two on one record race (the server runs a batch's
//! rows in parallel unless it runs it inline). So the n-th row of a record goes into the n-th wave, a wave
//! begins when the one before it is acknowledged to the last row, and a record's rows keep the messages' order.
//! Pure: no clock, no client type.

use std::collections::HashMap;

use ripemd::{Digest as _, Ripemd160};

use crate::pipeline::map::{RecordKey, Row};

/// What the server addresses a record by, inside its namespace.
pub type Digest = [u8; 20];

/// A row with the digest of its record.
#[derive(Debug)]
pub struct PlannedRow<'m> {
    pub row: Row<'m>,
    pub digest: Digest,
}

/// The calls of one batch, in the order in which they are to be made.
#[derive(Debug)]
pub struct Plan<'m> {
    /// In message order.
    pub rows: Vec<PlannedRow<'m>>,
    /// Numbers of `rows`. No call holds a record twice, nor more rows than the cap.
    pub calls: Vec<Vec<usize>>,
}

/// Orders `rows` into calls of at most `rows_max` rows.
pub fn plan(rows: Vec<Row<'_>>, rows_max: usize) -> Plan<'_> {
    assert!(rows_max > 0, "a call holds at least one row");
    let rows: Vec<PlannedRow<'_>> = rows
        .into_iter()
        .map(|row| PlannedRow {
            digest: digest(&row.target.set, &row.key),
            row,
        })
        .collect();
    let mut waves: Vec<Vec<usize>> = Vec::new();
    let mut next_wave: HashMap<(&str, Digest), usize> = HashMap::with_capacity(rows.len());
    for (number, planned) in rows.iter().enumerate() {
        let wave = next_wave
            .entry((&planned.row.target.namespace, planned.digest))
            .or_insert(0);
        if *wave == waves.len() {
            waves.push(Vec::new());
        }
        waves[*wave].push(number);
        *wave += 1;
    }
    let calls = waves
        .iter()
        .flat_map(|wave| wave.chunks(rows_max).map(<[usize]>::to_vec))
        .collect();
    Plan { rows, calls }
}

/// RIPEMD-160 over the set's name, the key's particle type and its bytes, as every Aerospike client computes it
/// (`aerospike-core` 3.0.0, `key.rs`).
pub fn digest(set: &str, key: &RecordKey<'_>) -> Digest {
    /// Particle types of the wire protocol.
    const INTEGER: u8 = 1;
    const STRING: u8 = 3;
    const BLOB: u8 = 4;
    let mut hash = Ripemd160::new();
    hash.update(set.as_bytes());
    match key {
        RecordKey::Integer(n) => {
            hash.update([INTEGER]);
            hash.update(n.to_be_bytes());
        }
        RecordKey::String(text) => {
            hash.update([STRING]);
            hash.update(text.as_bytes());
        }
        RecordKey::Bytes(bytes) => {
            hash.update([BLOB]);
            hash.update(bytes);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::{HashMap, HashSet};
    use std::sync::Arc;

    use aerospike::{Key, Value as ClientValue};
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::map::{RowTtl, Target};
    use crate::pipeline::value::Value;

    fn target(namespace: &str, set: &str) -> Arc<Target> {
        Arc::new(Target {
            namespace: namespace.into(),
            set: set.into(),
            send_key: false,
        })
    }

    #[test]
    fn the_digest_is_the_one_the_client_computes() {
        let cases = [
            (RecordKey::String("user-1".into()), ClientValue::String("user-1".into())),
            (RecordKey::String("".into()), ClientValue::String(String::new())),
            (RecordKey::String("ключ".into()), ClientValue::String("ключ".into())),
            (RecordKey::Integer(42), ClientValue::Int(42)),
            (RecordKey::Integer(-1), ClientValue::Int(-1)),
            (
                RecordKey::Bytes(Cow::Borrowed(&[0, 1, 255])),
                ClientValue::Blob(vec![0, 1, 255]),
            ),
        ];
        for set in ["", "users"] {
            for (ours, theirs) in &cases {
                let expected = Key::new("test", set, theirs.clone()).unwrap().digest();
                assert_eq!(digest(set, ours), expected, "{set} {ours:?}");
            }
        }
    }

    proptest! {
        /// Whatever the keys: no call holds a record twice or too many rows, no row is lost or doubled, and the
        /// rows of a record stand in the calls in message order.
        #[test]
        fn calls_hold_a_record_once_and_keep_its_order(keys in proptest::collection::vec(0u8..12, 0..200), rows_max in 1usize..40) {
            let targets = [target("test", "a"), target("test", "b"), target("other", "a")];
            let rows: Vec<Row<'_>> = keys.iter().enumerate().map(|(message, key)| Row {
                message,
                target: &targets[usize::from(key % 3)],
                key: RecordKey::Integer(i64::from(key / 3)),
                bins: vec![("n".into(), Value::Int(1))],
                ttl: RowTtl::NamespaceDefault,
            }).collect();
            let plan = plan(rows, rows_max);
            let mut seen = HashSet::new();
            let mut last: HashMap<(String, Digest), usize> = HashMap::new();
            for call in &plan.calls {
                prop_assert!(!call.is_empty() && call.len() <= rows_max);
                let mut records = HashSet::new();
                for &number in call {
                    prop_assert!(seen.insert(number));
                    let row = &plan.rows[number];
                    let record = (row.row.target.namespace.clone(), row.digest);
                    prop_assert!(records.insert(record.clone()));
                    if let Some(before) = last.insert(record, number) {
                        prop_assert!(before < number);
                    }
                }
            }
            prop_assert_eq!(seen.len(), keys.len());
        }
    }
}
