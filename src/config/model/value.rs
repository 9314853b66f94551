//! Values: where they come from, what they are read as, and what their absence does.

use crate::config::model::cel::Cel;
use crate::config::model::source::Source;
use crate::config::model::time::TimeUnit;

/// A value expression, with its type and what its absence does.
#[derive(Debug, Clone)]
pub struct Typed {
    /// Where the value comes from.
    pub expr: Expr,
    /// What it is read as; nothing: as it is (in a key: a string). Only over a source, or `String` over a template.
    pub cast: Option<As>,
    /// What happens if it is not there; for a template, if a part of it is not.
    pub missing: Missing,
    /// What a number in it does that no bin can hold. Other than `Reject` only over a source, in a bin.
    pub big_numbers: BigNumbers,
    /// The line in the file where it stands, from 1.
    pub line: usize,
    /// Its text as written, for reject reasons; a `${…}` as such, never what it stands for.
    pub written: String,
}

/// What a missing field does.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// As the place has it: a bin is left as it is; a key, ttl, name or version rejects, and so do operations other than
    /// `once`.
    AsPlace,
    /// `missing = "skip"`: in a bin, the bin is left; an operation is left out; for want of a key, ttl, name or version no
    /// record is written.
    Skip,
    /// `missing = "reject"`.
    Reject,
    /// `default = …`: the value itself, already of the type that `as` says; it is not read again.
    Default(Constant),
}

/// Where a value comes from.
#[derive(Debug, Clone)]
pub enum Expr {
    /// From the file.
    Constant(Constant),
    /// From the message.
    Source(Source),
    /// `"{tenant}:{user.id}"`: a string. At least one part is no literal.
    Template(Vec<Part>),
    /// `{ object = { … } }`: a map, in the order of the file; not empty. Only where a bin, an element or an entry is
    /// set.
    Object(Vec<(String, Typed)>),
    /// `{ expr = "price * qty" }`.
    Cel(Cel),
}

/// A constant of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// `{ value = "web" }`.
    String(String),
    /// `1`.
    Int(i64),
    /// `2.5`; finite.
    Float(f64),
    /// `true`.
    Bool(bool),
    /// `{ value = [1, 2] }`.
    List(Vec<Constant>),
    /// `{ value = { a = 1 } }`, in the order of the file.
    Map(Vec<(String, Constant)>),
}

/// One piece of a template.
#[derive(Debug, Clone)]
pub enum Part {
    /// Text that stands for itself; never empty, never two in a row.
    Literal(String),
    /// `{user.id}`.
    Source(Source),
    /// `{ts:%Y%m%d}`: an instant, in UTC.
    Time {
        /// An epoch number or an RFC 3339 string.
        source: Source,
        /// `{ts as epoch_s:…}`; nothing: milliseconds from 100,000,000,000 on, else seconds.
        unit: Option<TimeUnit>,
        /// A strftime format that jiff can write an instant in.
        format: String,
    },
}

/// What a number that no bin can hold does where it is kept: an integer outside of 64 bits, a number outside of a 64-bit
/// float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BigNumbers {
    /// It rejects the message.
    Reject,
    /// Its text is kept instead.
    String,
    /// The nearest float is kept instead; where there is none, it rejects the message.
    Float,
    /// It is as if it were not there; in a list it is null, so that the others keep their places.
    Skip,
}

/// `as = …`: the type a value is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// `"string"`.
    String,
    /// `"integer"`.
    Integer,
    /// `"float"`.
    Float,
    /// `"bool"`.
    Bool,
    /// A string (or raw bytes) that holds a JSON text: the value it says.
    Json,
    /// A string in base64: bytes.
    Base64,
    /// A string in hexadecimal: bytes.
    Hex,
    /// `"epoch_s"`: an RFC 3339 string or a number of seconds: an integer, seconds since the epoch.
    EpochS,
    /// The same in milliseconds.
    EpochMs,
    /// The same in microseconds.
    EpochUs,
    /// The same in nanoseconds.
    EpochNs,
}

impl As {
    /// The unit, if it is an instant.
    pub fn unit(self) -> Option<TimeUnit> {
        match self {
            As::EpochS => Some(TimeUnit::Seconds),
            As::EpochMs => Some(TimeUnit::Milliseconds),
            As::EpochUs => Some(TimeUnit::Microseconds),
            As::EpochNs => Some(TimeUnit::Nanoseconds),
            As::String | As::Integer | As::Float | As::Bool | As::Json | As::Base64 | As::Hex => None,
        }
    }
}
