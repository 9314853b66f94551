//! The row: what one message asks of one record. Made by `map`, ordered and merged by `plan`, sent by `write`.
//!
//! Plain data, borrowed from the message and the configuration. No client type.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::model::{InDoubt, Mode, OnConflict};
use crate::output::value::Value;

/// A record's key, before it is Aerospike's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordKey<'m> {
    String(Cow<'m, str>),
    Integer(i64),
    Bytes(Cow<'m, [u8]>),
}

/// The life of a record, as one row asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowTtl {
    /// The namespace's own.
    NamespaceDefault,
    Never,
    /// As the record has it; the namespace's own where the row makes the record.
    Keep,
    Seconds(u32),
}

/// Where a row goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    /// Empty: no set.
    pub set: String,
    /// Store the key beside the digest.
    pub send_key: bool,
}

/// What the configuration says of all rows of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRules {
    /// The line of the write in the file; 0: it stands in none.
    pub line: usize,
    pub mode: Mode,
    pub on_conflict: OnConflict,
    /// The record itself refuses what it has already taken.
    pub guarded: bool,
    /// The bin that keeps the version, where rows carry one ([`Row::newer`]).
    pub newer_bin: Option<String>,
    /// The row's ttl counts only where it makes the record.
    pub ttl_on_create: bool,
    /// Sent twice, it does what it does once.
    pub repeatable: bool,
    /// What an unknown outcome means where it is neither guarded, nor versioned, nor repeatable.
    pub in_doubt: InDoubt,
}

impl RowRules {
    /// Rows that make or change a record, and can be sent twice: they set bins.
    pub const UPDATE: RowRules = RowRules {
        line: 0,
        mode: Mode::Update,
        on_conflict: OnConflict::Reject,
        guarded: false,
        newer_bin: None,
        ttl_on_create: false,
        repeatable: true,
        in_doubt: InDoubt::Retry,
    };

    /// Rows that count or append: the record refuses a message that it has taken already.
    pub fn guarded() -> RowRules {
        RowRules {
            guarded: true,
            repeatable: false,
            ..RowRules::UPDATE
        }
    }
}

impl Target {
    /// A set, whose records do not store their keys beside the digest.
    pub fn new(namespace: impl Into<String>, set: impl Into<String>) -> Target {
        Target {
            namespace: namespace.into(),
            set: set.into(),
            send_key: false,
        }
    }
}

/// What one message asks of one record.
#[derive(Debug, Clone)]
pub struct Row<'m> {
    /// The message's place in the batch.
    pub message: usize,
    /// The row's place among the rows of its message.
    pub number: u16,
    pub rules: &'m RowRules,
    pub target: &'m Arc<Target>,
    pub key: RecordKey<'m>,
    pub action: RowAction<'m>,
    pub ttl: RowTtl,
    /// The message's version of the record. `Some` exactly where the rules name a bin for it.
    pub newer: Option<i64>,
}

impl Row<'_> {
    /// About what it weighs in memory and in a request, of which most is its values: a number in a list is two bytes in
    /// the message and some sixty here.
    pub fn bytes(&self) -> usize {
        const ROW: usize = 256;
        let ops = match &self.action {
            RowAction::Write(ops) => ops.iter().map(Op::bytes).sum(),
            RowAction::Touch | RowAction::Delete => 0,
        };
        ROW + ops
    }
}

/// What a row does to its record.
#[derive(Debug, Clone)]
pub enum RowAction<'m> {
    /// In this order; never empty.
    Write(Vec<Op<'m>>),
    /// Only the record's life begins anew.
    Touch,
    Delete,
}

impl RowAction<'_> {
    /// Whether it makes nothing: where there is no record, there is nothing to do.
    pub fn only_removes(&self) -> bool {
        match self {
            RowAction::Write(ops) => ops.iter().all(Op::removes),
            RowAction::Touch | RowAction::Delete => true,
        }
    }
}

/// What `add` counts by. The type is the bin's, from its first value on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

/// One operation on one bin.
#[derive(Debug, Clone, PartialEq)]
pub enum Op<'m> {
    /// [`Value::Null`] removes the bin.
    Put {
        bin: Cow<'m, str>,
        value: Value<'m>,
    },
    /// Set where the bin is not there. Never null.
    Once {
        bin: &'m str,
        value: Value<'m>,
    },
    Add {
        bin: &'m str,
        by: Number,
    },
    /// A string or bytes.
    Append {
        bin: &'m str,
        value: Value<'m>,
    },
    /// A string or bytes.
    Prepend {
        bin: &'m str,
        value: Value<'m>,
    },
    ListAppend {
        bin: &'m str,
        value: Value<'m>,
    },
    /// The key is a string or an integer.
    MapPut {
        bin: &'m str,
        key: Value<'m>,
        value: Value<'m>,
    },
    /// The key is a string or an integer.
    MapAdd {
        bin: &'m str,
        key: Value<'m>,
        by: Number,
    },
    /// Of a list the last `count` elements stay, of a map the `count` greatest keys.
    KeepLast {
        bin: &'m str,
        count: u32,
        map: bool,
    },
}

impl Op<'_> {
    pub fn bin(&self) -> &str {
        match self {
            Op::Put { bin, .. } => bin,
            Op::Once { bin, .. }
            | Op::Add { bin, .. }
            | Op::Append { bin, .. }
            | Op::Prepend { bin, .. }
            | Op::ListAppend { bin, .. }
            | Op::MapPut { bin, .. }
            | Op::MapAdd { bin, .. }
            | Op::KeepLast { bin, .. } => bin,
        }
    }

    fn bytes(&self) -> usize {
        const OP: usize = 96;
        OP + match self {
            Op::Put { value, .. }
            | Op::Once { value, .. }
            | Op::Append { value, .. }
            | Op::Prepend { value, .. }
            | Op::ListAppend { value, .. } => value.bytes(),
            Op::MapPut { key, value, .. } => key.bytes() + value.bytes(),
            Op::MapAdd { key, .. } => key.bytes(),
            Op::Add { .. } | Op::KeepLast { .. } => 0,
        }
    }

    /// Whether it takes the bin away.
    pub fn removes(&self) -> bool {
        matches!(self, Op::Put { value: Value::Null, .. })
    }
}
