//! Values: where they come from, which type they are read as, and what happens if they are missing.

use crate::config::model::cel::Cel;
use crate::config::model::source::Source;
use crate::config::model::time::TimeUnit;

/// A value expression, its type, and what happens if it is missing.
#[derive(Debug, Clone)]
pub struct Typed {
    /// Where the value comes from.
    pub expr: Expr,
    /// The type it is read as. `None`: unchanged (a key: as a string). Only for a source, or `String` for a template.
    pub cast: Option<As>,
    /// What happens if it is missing; for a template: if one of its parts is missing.
    pub missing: Missing,
    /// What to do with a number that a bin cannot store. Not `Reject` only for a source in a bin.
    pub big_numbers: BigNumbers,
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its text as written, for reject reasons. A `${…}` is not resolved.
    pub written: String,
}

/// What happens if a field is missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// What the place prescribes. A bin stays unchanged. A missing key, ttl, name or version rejects the message; so do
    /// operations other than `once`.
    AsPlace,
    /// `missing = "skip"`. A bin stays unchanged; an operation is left out. Without a key, ttl, name or version, no
    /// record is written.
    Skip,
    /// `missing = "reject"`.
    Reject,
    /// `default = …`: the value itself, already of the type in `as`. It is not converted again.
    Default(Constant),
}

/// Where a value comes from.
#[derive(Debug, Clone)]
pub enum Expr {
    /// Written in the file.
    Constant(Constant),
    /// Taken from the message.
    Source(Source),
    /// `"{tenant}:{user.id}"`: a string. At least one part is not a literal.
    Template(Vec<Part>),
    /// `{ object = { … } }`: a map, in file order; not empty. Only where a bin, an element or an entry is set.
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
    /// Literal text. Never empty, never two in a row.
    Literal(String),
    /// `{user.id}`.
    Source(Source),
    /// `{ts:%Y%m%d}`: an instant, in UTC.
    Time {
        /// An epoch number or an RFC 3339 string.
        source: Source,
        /// `{ts as epoch_s:…}`. `None`: numbers from 100,000,000,000 on are milliseconds, smaller ones are seconds.
        unit: Option<TimeUnit>,
        /// A strftime format with which jiff can format an instant.
        format: String,
    },
}

/// What to do with a number that a bin cannot store: an integer outside of 64 bits, or a number outside of a 64-bit
/// float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BigNumbers {
    /// The message is rejected.
    Reject,
    /// Its text is stored instead.
    String,
    /// The nearest float is stored instead. If there is none, the message is rejected.
    Float,
    /// It counts as missing. In a list it becomes null, so that the other elements keep their places.
    Skip,
}

/// `as = …`: the type that a value is read as.
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
    /// A string (or raw bytes) that contains a JSON text: the value of that text.
    Json,
    /// A string in base64: bytes.
    Base64,
    /// A string in hexadecimal: bytes.
    Hex,
    /// `"epoch_s"`: an RFC 3339 string or a number of seconds. Becomes an integer, seconds since 1970.
    EpochS,
    /// The same in milliseconds.
    EpochMs,
    /// The same in microseconds.
    EpochUs,
    /// The same in nanoseconds.
    EpochNs,
    /// `"decimal"`, `"decimal_integer"`, `"decimal_float"`: a decimal of Kafka Connect, which is the bytes of its
    /// unscaled integer in base64.
    Decimal {
        /// What it becomes.
        to: DecimalTo,
        /// The number of digits after the point. `None`: the message has it, in Debezium's `{"scale": …, "value": …}`.
        scale: Option<i16>,
    },
}

/// What a decimal becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalTo {
    /// A string with all its digits: `"-12.30"`.
    Text,
    /// An integer of 64 bits, if it is one.
    Integer,
    /// The nearest float.
    Float,
}

impl As {
    /// `"decimal"` without a scale.
    pub const DECIMAL: As = As::decimal(DecimalTo::Text);
    /// `"decimal_integer"` without a scale.
    pub const DECIMAL_INTEGER: As = As::decimal(DecimalTo::Integer);
    /// `"decimal_float"` without a scale.
    pub const DECIMAL_FLOAT: As = As::decimal(DecimalTo::Float);

    const fn decimal(to: DecimalTo) -> As {
        As::Decimal { to, scale: None }
    }

    /// Whether both have the same word in the file, whatever their `scale`.
    pub fn is_same_word(self, other: As) -> bool {
        match (self, other) {
            (As::Decimal { to, .. }, As::Decimal { to: other, .. }) => to == other,
            _ => self == other,
        }
    }

    /// The unit, if the type is an instant.
    pub fn unit(self) -> Option<TimeUnit> {
        match self {
            As::EpochS => Some(TimeUnit::Seconds),
            As::EpochMs => Some(TimeUnit::Milliseconds),
            As::EpochUs => Some(TimeUnit::Microseconds),
            As::EpochNs => Some(TimeUnit::Nanoseconds),
            As::String | As::Integer | As::Float | As::Bool | As::Json | As::Base64 | As::Hex | As::Decimal { .. } => {
                None
            }
        }
    }
}
