//! The row: what one message asks of one record. `map` creates it, `plan` orders and merges it, `write` sends it.
//!
//! Plain data, borrowed from the message and the configuration. No client type.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::model::{InDoubt, Mode, OnConflict};
use crate::config::operations::{self, Descriptor};
use crate::output::value::Value;

/// A record's key, before it is converted to the client's type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordKey<'m> {
    String(Cow<'m, str>),
    Integer(i64),
    Bytes(Cow<'m, [u8]>),
}

/// The ttl of a record that a row sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowTtl {
    /// The namespace's default.
    NamespaceDefault,
    Never,
    /// The record's present ttl. If the row creates the record: the namespace's default.
    Keep,
    Seconds(u32),
}

/// The namespace and set of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    /// Empty: no set.
    pub set: String,
    /// Whether to store the key in addition to the digest.
    pub send_key: bool,
}

/// The settings that apply to all rows of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRules {
    /// The line of the write in the file; 0 if it is not from a file.
    pub line: usize,
    pub mode: Mode,
    pub on_conflict: OnConflict,
    /// The record refuses rows that it has already applied, by its guard.
    pub guarded: bool,
    /// The bin that stores the version, if rows have one ([`Row::newer`]).
    pub newer_bin: Option<String>,
    /// The row's ttl applies only if the row creates the record.
    pub ttl_on_create: bool,
    /// Sending a row twice has the same effect as once.
    pub repeatable: bool,
    /// What to do after an unknown outcome, if the row is not guarded, versioned or repeatable.
    pub in_doubt: InDoubt,
}

impl RowRules {
    /// Rules for rows that create or change a record and can be sent twice: they set bins.
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

    /// Rules for rows that count or append: the record refuses a message that it has already applied.
    pub fn guarded() -> RowRules {
        RowRules {
            guarded: true,
            repeatable: false,
            ..RowRules::UPDATE
        }
    }
}

impl Target {
    /// A set whose records do not store their keys.
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
    /// The row's number among the rows of its message.
    pub number: u16,
    pub rules: &'m RowRules,
    pub target: &'m Arc<Target>,
    pub key: RecordKey<'m>,
    pub action: RowAction<'m>,
    pub ttl: RowTtl,
    /// The message's version of the record. `Some` exactly if the rules name a bin for it.
    pub newer: Option<i64>,
}

impl Row<'_> {
    /// Its estimated size in bytes, in memory and in a request. Most of it is the values: a number in a list takes two
    /// bytes in the message and about sixty here.
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
    /// The operations, in this order; never empty.
    Write(Vec<Op<'m>>),
    /// Only resets the record's ttl.
    Touch,
    Delete,
}

impl RowAction<'_> {
    /// Whether it creates nothing: if there is no record, there is nothing to do.
    pub fn only_removes(&self) -> bool {
        match self {
            RowAction::Write(ops) => ops.iter().all(Op::removes),
            RowAction::Touch | RowAction::Delete => true,
        }
    }
}

/// The increment of `add`. The first value determines the type of the bin.
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
    /// Sets the bin only if it does not exist. Never null.
    Once {
        bin: &'m str,
        value: Value<'m>,
    },
    Add {
        bin: &'m str,
        by: Number,
    },
    /// The value is a string or bytes.
    Append {
        bin: &'m str,
        value: Value<'m>,
    },
    /// The value is a string or bytes.
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
    /// Keeps the last `count` elements of a list, or the `count` greatest keys of a map.
    KeepLast {
        bin: &'m str,
        count: u32,
        map: bool,
    },
}

/// What an operation takes along.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument<'o> {
    /// What a bin can hold.
    Value(&'o Value<'o>),
    /// A string or bytes.
    Text(&'o Value<'o>),
    /// A string or an integer.
    MapKey(&'o Value<'o>),
    Number(Number),
    Count(u32),
}

impl<'m> Op<'m> {
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

    /// Its row among the operations of the configuration; `None`: it sets the bin, as `bins` does.
    pub fn descriptor(&self) -> Option<&'static Descriptor> {
        Some(match self {
            Op::Put { value: Value::Null, .. } => &operations::REMOVE,
            Op::Put { .. } => return None,
            Op::Once { .. } => &operations::ONCE,
            Op::Add { .. } => &operations::ADD,
            Op::Append { .. } => &operations::APPEND,
            Op::Prepend { .. } => &operations::PREPEND,
            Op::ListAppend { .. } => &operations::LIST_APPEND,
            Op::MapPut { .. } => &operations::MAP_PUT,
            Op::MapAdd { .. } => &operations::MAP_ADD,
            Op::KeepLast { .. } => &operations::KEEP_LAST,
        })
    }

    /// What it takes along, each by its key in the configuration; without a key where it stands beside the bin itself.
    pub fn arguments(&self) -> [Option<(&'static str, Argument<'_>)>; 2] {
        let alone = |argument| [Some(("", argument)), None];
        let two = |first, second| [Some(first), Some(second)];
        match self {
            Op::Put { value, .. } | Op::Once { value, .. } | Op::ListAppend { value, .. } => {
                alone(Argument::Value(value))
            }
            Op::Append { value, .. } | Op::Prepend { value, .. } => alone(Argument::Text(value)),
            Op::Add { by, .. } => alone(Argument::Number(*by)),
            Op::MapPut { key, value, .. } => two(("key", Argument::MapKey(key)), ("value", Argument::Value(value))),
            Op::MapAdd { key, by, .. } => two(("key", Argument::MapKey(key)), ("by", Argument::Number(*by))),
            Op::KeepLast { count, .. } => alone(Argument::Count(*count)),
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

    /// The values that it takes along, to be taken apart.
    pub fn into_values(self) -> [Option<Value<'m>>; 2] {
        match self {
            Op::Put { value, .. }
            | Op::Once { value, .. }
            | Op::Append { value, .. }
            | Op::Prepend { value, .. }
            | Op::ListAppend { value, .. } => [Some(value), None],
            Op::MapPut { key, value, .. } => [Some(key), Some(value)],
            Op::MapAdd { key, .. } => [Some(key), None],
            Op::Add { .. } | Op::KeepLast { .. } => [None, None],
        }
    }

    /// Whether it removes the bin.
    pub fn removes(&self) -> bool {
        matches!(self, Op::Put { value: Value::Null, .. })
    }
}
