//! What the tests of `plan` and `write` share: rules, a target, a guard, and rows.

use std::sync::Arc;

use crate::delivery::guard::{Guard, GuardIdentity};
use crate::delivery::pressure::Pressure;
use crate::observe::counters::Counters;
use crate::output::row::{Op, RecordKey, Row, RowAction, RowRules, RowTtl, Target};
use crate::output::value::Value;

/// A plain write of bins.
pub const RULES: RowRules = RowRules::UPDATE;

/// Rules of a guarded row: a replay of it would be visible.
pub fn guarded() -> RowRules {
    RowRules::guarded()
}

pub fn versioned() -> RowRules {
    RowRules {
        newer_bin: Some("v".into()),
        ..RULES
    }
}

pub fn target(namespace: &str) -> Arc<Target> {
    Arc::new(Target::new(namespace, "s"))
}

pub fn guard() -> Guard {
    Guard::new(&GuardIdentity {
        group: "g",
        topic_id: [1; 16],
        topic: "t",
        partition: 0,
        epoch: 0,
    })
}

/// The first row of its message, without a version.
pub fn row<'m>(rules: &'m RowRules, target: &'m Arc<Target>, message: usize, key: i64, ops: Vec<Op<'m>>) -> Row<'m> {
    Row {
        message,
        number: 0,
        rules,
        target,
        key: RecordKey::Integer(key),
        action: RowAction::Write(ops),
        ttl: RowTtl::NamespaceDefault,
        newer: None,
    }
}

pub fn list_append(value: i64) -> Op<'static> {
    Op::ListAppend {
        bin: "l",
        value: Value::Int(value),
    }
}

/// A pressure for one worker, with room for all its rows.
pub fn pressure() -> Pressure {
    Pressure::new(4000, None, Arc::new(Counters::new()))
}
