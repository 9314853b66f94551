//! The ledger: compares the records in the database with what the messages ask for.

use std::collections::BTreeMap;

use penstock_sim::Simulator;

/// A place from which records can be read.
pub trait Records {
    /// The bin `n` of each record of a set; `None` if there is no record.
    fn ints(&self, set: &str, keys: &[&str]) -> Vec<Option<i64>>;
    /// How many records the set has.
    fn count(&self, set: &str) -> u64;
}

impl Records for Simulator {
    fn ints(&self, set: &str, keys: &[&str]) -> Vec<Option<i64>> {
        keys.iter().map(|key| self.get("test", set, *key)?.int("n")).collect()
    }

    fn count(&self, set: &str) -> u64 {
        self.records("test", set).len() as u64
    }
}

/// Fails unless `records` contains what is expected, and nothing else in the same sets.
pub fn assert_ledger(expected: &BTreeMap<(&'static str, String), i64>, records: &impl Records) {
    let mut faults = Vec::new();
    let mut sets: BTreeMap<&str, Vec<(&str, i64)>> = BTreeMap::new();
    for ((set, key), n) in expected {
        sets.entry(*set).or_default().push((key, *n));
    }
    for (set, expected) in sets {
        let keys: Vec<&str> = expected.iter().map(|(key, _)| *key).collect();
        for ((key, n), found) in expected.iter().zip(records.ints(set, &keys)) {
            if found != Some(*n) {
                faults.push(format!("{set}/{key}: expected {n}, found {found:?}"));
            }
        }
        let count = records.count(set);
        if count != expected.len() as u64 {
            faults.push(format!("{set}: expected {} records, it has {count}", expected.len()));
        }
    }
    faults.truncate(20);
    assert!(faults.is_empty(), "the ledger does not balance:\n{}", faults.join("\n"));
}
