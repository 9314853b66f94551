//! `[[route.write]]`: what to write to one or several records for a message of the route.

use crate::config::model::bins::Bin;
use crate::config::model::cel::When;
use crate::config::model::source::Path;
use crate::config::model::value::Typed;
use crate::config::operations;

/// One `[[route.write]]`: what to write to one or several records for a message of the route.
#[derive(Debug, Clone)]
pub struct Write {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// If it does not hold, no record is written. If it reads the element of `each`, this applies to that element only.
    pub when: Option<When>,
    /// The write's own, or `aerospike.namespace`.
    pub namespace: Name,
    /// The empty set if not given.
    pub set: Name,
    /// The record's user key; never a constant.
    pub key: Typed,
    /// One record for each element of this array.
    pub each: Option<Each>,
    /// What to do with the record.
    pub action: Action,
    /// What to do with a message without payload.
    pub tombstone: Tombstone,
    /// Whether the record must, may or must not exist.
    pub mode: Mode,
    /// What to do if the record's existence contradicts `mode`.
    pub on_conflict: OnConflict,
    /// The write is applied only if this is greater than the record's version.
    pub newer: Option<Newer>,
    /// As written. `None`: guarded if a repeated write would do harm.
    pub guard: Option<bool>,
    /// What to do if the result of an unguarded write is unknown and the write cannot be repeated.
    pub in_doubt: InDoubt,
    /// How long the record lives.
    pub ttl: Ttl,
    /// When `ttl` is set.
    pub ttl_on: TtlOn,
    /// What to do if the record's life is already over. Only if `ttl` is an instant.
    pub ttl_past: TtlPast,
    /// 0, -1 and -2 have Aerospike's meanings: the namespace's default, never, and keep.
    pub ttl_words: bool,
    /// Store the user key together with the digest.
    pub send_key: bool,
}

/// The name of a namespace or set.
#[derive(Debug, Clone)]
pub enum Name {
    /// The same for all messages.
    Fixed(String),
    /// From the message. A name that is not in `allowed` rejects the message. (The server never frees a set's name.)
    FromMessage {
        /// A string.
        value: Box<Typed>,
        /// `sets_allowed` or `namespaces_allowed`; not empty.
        allowed: Vec<String>,
    },
}

impl Name {
    /// All possible names.
    pub fn all(&self) -> &[String] {
        match self {
            Name::Fixed(name) => std::slice::from_ref(name),
            Name::FromMessage { allowed, .. } => allowed,
        }
    }
}

/// An operation on one bin.
pub type Operation = operations::Operation<Typed>;

/// What an operation does to a bin.
pub type OperationKind = operations::OperationKind<Typed>;

/// What a write does to its record.
#[derive(Debug, Clone)]
pub enum Action {
    /// Operations on its bins, in this order; at least one of `bins` and `operations` is not empty.
    Write {
        /// No two with the same name.
        bins: Vec<Bin>,
        /// No bin of `bins`. No bin twice, except for a `KeepLast` behind the operation that it trims after.
        operations: Vec<Operation>,
    },
    /// `touch = true`: only restarts the record's life. Does nothing if there is no record.
    Touch,
    /// `delete = true`: deletes the record.
    Delete,
}

/// `tombstone`: what to do with a message without payload. Checked before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tombstone {
    /// The message is rejected.
    Reject,
    /// This write does nothing for it.
    Ignore,
    /// It deletes the record. Then the key comes only from the message key, a header or other metadata, and there is no
    /// `each`.
    Delete,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Creates the record if it does not exist. Other bins stay.
    Update,
    /// Creates the record if it does not exist. Other bins are removed.
    Replace,
    /// Only if the record does not exist.
    Create,
    /// Only if the record exists.
    UpdateOnly,
}

/// `on_conflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The message is rejected.
    Reject,
    /// The row counts as done, and a counter is increased.
    Ignore,
}

/// `newer = { path = "source.lsn", bin = "_lsn" }`.
#[derive(Debug, Clone)]
pub struct Newer {
    /// An integer: its `as` is `integer` or an instant. If it is missing or null, the message is rejected; with
    /// `missing = "skip"` no record is written.
    pub value: Typed,
    /// The bin in which the record stores the version: 1 to 15 bytes, not another bin of the write.
    pub bin: String,
}

/// `in_doubt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// The write is repeated. It may be applied twice.
    Retry,
    /// The message is rejected.
    Reject,
    /// The partition is held, whatever `[reject]` says.
    Hold,
}

/// How long a record lives.
#[derive(Debug, Clone)]
pub enum Ttl {
    /// `"default"`: the default of the namespace.
    Default,
    /// `"never"`.
    Never,
    /// `"keep"`: the record's life is not changed.
    Keep,
    /// Seconds from the write on; from 1 second to 10 years.
    Seconds(u32),
    /// From the message: seconds. If its `as` has a unit ([`unit`](super::As::unit)): the instant at which the record
    /// ends.
    Field(Typed),
}

/// `ttl_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlOn {
    /// Every write sets it.
    Write,
    /// Only the write that creates the record sets it. Later writes do not change it.
    Create,
}

/// `ttl_past`: what to do with a message whose record's life is over before the message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlPast {
    /// The message is rejected.
    Reject,
    /// The record is not written.
    Skip,
    /// The record is deleted.
    Delete,
}

/// `each` and `each_max`.
#[derive(Debug, Clone)]
pub struct Each {
    /// The path of the array, from the top of the message. It already includes the route's `root`.
    pub path: Path,
    /// A message with more elements than this is rejected.
    pub max: usize,
}
