//! `[[route.write]]`: what a message of the route asks of a record, or of several.

use crate::config::model::bins::Bin;
use crate::config::model::cel::When;
use crate::config::model::source::Path;
use crate::config::model::value::Typed;
use crate::config::operations;

/// One `[[route.write]]`: what a message of the route asks of a record, or of several.
#[derive(Debug, Clone)]
pub struct Write {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// Where it does not hold, no record is written; of `each`, none for that element if it reads the element.
    pub when: Option<When>,
    /// Its own, or `aerospike.namespace`.
    pub namespace: Name,
    /// The empty set when absent.
    pub set: Name,
    /// The record's user key; never a constant.
    pub key: Typed,
    /// One record for each element of this array.
    pub each: Option<Each>,
    /// What is done to the record.
    pub action: Action,
    /// What a message without payload does here.
    pub tombstone: Tombstone,
    /// Whether the record must, may or must not be there.
    pub mode: Mode,
    /// What it means that it is there, or is not, against `mode`.
    pub on_conflict: OnConflict,
    /// Applied only if this is greater than what the record holds.
    pub newer: Option<Newer>,
    /// As written; nothing: guarded where a replay would do harm.
    pub guard: Option<bool>,
    /// What an unguarded write that cannot be repeated does when its outcome is unknown.
    pub in_doubt: InDoubt,
    /// The record's life.
    pub ttl: Ttl,
    /// When `ttl` counts.
    pub ttl_on: TtlOn,
    /// What a life that is over does; only where `ttl` is an instant.
    pub ttl_past: TtlPast,
    /// 0, -1 and -2 are Aerospike's words: the namespace's default, never, and keep.
    pub ttl_words: bool,
    /// Store the user key beside the digest.
    pub send_key: bool,
}

/// The name of a namespace or set.
#[derive(Debug, Clone)]
pub enum Name {
    /// The same for all messages.
    Fixed(String),
    /// From the message; a name that is not among `allowed` rejects it. (The server never frees a set's name.)
    FromMessage {
        /// A string.
        value: Box<Typed>,
        /// `sets_allowed` or `namespaces_allowed`; not empty.
        allowed: Vec<String>,
    },
}

impl Name {
    /// Every name it can be.
    pub fn all(&self) -> &[String] {
        match self {
            Name::Fixed(name) => std::slice::from_ref(name),
            Name::FromMessage { allowed, .. } => allowed,
        }
    }
}

/// An operation on one bin.
pub type Operation = operations::Operation<Typed>;

/// What is done to a bin.
pub type OperationKind = operations::OperationKind<Typed>;

/// What a write does to its record.
#[derive(Debug, Clone)]
pub enum Action {
    /// Operations on its bins, in this order; at least one of them.
    Write {
        /// No two of one name.
        bins: Vec<Bin>,
        /// No bin of `bins`, and no bin twice, but for the operation that a `KeepLast` trims after.
        operations: Vec<Operation>,
    },
    /// `touch = true`: only its life begins anew. Nothing where there is no record.
    Touch,
    /// `delete = true`: the record ends.
    Delete,
}

/// `tombstone`: what a message without payload does, before anything else is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tombstone {
    /// It is rejected.
    Reject,
    /// It asks nothing of this write.
    Ignore,
    /// It deletes the record. The key then comes from the message key, a header or other metadata alone, and there is
    /// no `each`.
    Delete,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Made if it is not there; other bins stay.
    Update,
    /// Made if it is not there; other bins go.
    Replace,
    /// Only if it is not there.
    Create,
    /// Only if it is there.
    UpdateOnly,
}

/// `on_conflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The message is rejected.
    Reject,
    /// The row is done, and counted.
    Ignore,
}

/// `newer = { path = "source.lsn", bin = "_lsn" }`.
#[derive(Debug, Clone)]
pub struct Newer {
    /// An integer: its `as` is `integer` or an instant. Missing or null rejects, or with `missing = "skip"` makes no
    /// record.
    pub value: Typed,
    /// Where the record keeps it: 1 to 15 bytes, no other bin of the write.
    pub bin: String,
}

/// `in_doubt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// Sent again: it may be applied twice.
    Retry,
    /// The message is rejected.
    Reject,
    /// The partition waits, whatever `[reject]` says.
    Hold,
}

/// The life of a record.
#[derive(Debug, Clone)]
pub enum Ttl {
    /// `"default"`: the namespace's own.
    Default,
    /// `"never"`.
    Never,
    /// `"keep"`: as the record has it.
    Keep,
    /// A duration from the write on, in seconds, 1 second to 10 years.
    Seconds(u32),
    /// From the message: seconds, or where its `as` has a unit ([`unit`](super::As::unit)) the instant at which the record
    /// ends.
    Field(Typed),
}

/// `ttl_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlOn {
    /// Each write sets it.
    Write,
    /// Only the write that makes the record; others keep what it has.
    Create,
}

/// `ttl_past`: what a message asks for whose record has ended before the message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlPast {
    /// The message is rejected.
    Reject,
    /// The write leaves the record out.
    Skip,
    /// The record is deleted.
    Delete,
}

/// `each` and `each_max`.
#[derive(Debug, Clone)]
pub struct Each {
    /// Where the array is, from the top of the message (the route's `root` is already in front).
    pub path: Path,
    /// More elements than this reject the message.
    pub max: usize,
}
