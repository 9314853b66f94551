//! The values that travel from the payload to the plan: what JSON, a constant, or metadata became.
//!
//! Borrowed from the message wherever the bytes can be used as they stand, so that a batch in flight costs
//! no copy of its strings. Knows nothing of the Aerospike client: `aerospike` turns these into client values,
//! anew for every call.

use std::borrow::Cow;
use std::fmt;

/// One value on its way into a record. `'m` is the life of the message it borrows from.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'m> {
    /// JSON `null`. As a bin it removes the bin; inside a list or map it is Aerospike's nil.
    Null,
    /// JSON `true`, `false`: Aerospike's boolean particle.
    Bool(bool),
    /// A JSON integer (no fraction, no exponent) inside the range of `i64`.
    Int(i64),
    /// A JSON number with a fraction or an exponent.
    Float(f64),
    /// A string; owned only where the JSON text held an escape, or where a template built it.
    Str(Cow<'m, str>),
    /// Bytes, from `as = "base64"`, `as = "hex"` or raw Kafka data.
    Bytes(Cow<'m, [u8]>),
    /// A JSON array.
    List(Vec<Value<'m>>),
    /// A JSON object, in the order of the text, each name once (the last one counted).
    Map(Vec<(Cow<'m, str>, Value<'m>)>),
    /// What JSON can say and no bin can hold, as it was written. Decode keeps it, so that it is judged only where
    /// somebody keeps it (`map::keep`): nothing of it reaches a row.
    Unheld {
        /// What it is.
        what: Unheld,
        /// A number's text; what stands between a string's quotes.
        text: Cow<'m, str>,
    },
}

/// What JSON can say and no bin can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheld {
    /// An integer outside `i64`.
    Integer,
    /// A number with a fraction or exponent that is outside `f64`.
    Float,
    /// A string, or the value under a name, with half of a surrogate pair: JSON's grammar lets it pass, and it is no
    /// text.
    HalfPair,
}

impl fmt::Display for Unheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unheld::Integer => "an integer outside of 64 bits",
            Unheld::Float => "a number outside of a 64-bit float",
            Unheld::HalfPair => "a string with half of a surrogate pair (\\ud800 to \\udfff alone), which is no text",
        })
    }
}

impl Value<'_> {
    /// About what it weighs in memory, here and as the client's value beside it.
    pub fn bytes(&self) -> usize {
        /// Ours and the client's, without what they point to.
        const VALUE: usize = 96;
        VALUE
            + match self {
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
                Value::Unheld { text, .. } => text.len(),
                Value::Str(text) => text.len(),
                Value::Bytes(bytes) => bytes.len(),
                Value::List(items) => items.iter().map(Value::bytes).sum(),
                Value::Map(members) => members
                    .iter()
                    .map(|(name, value)| VALUE + name.len() + value.bytes())
                    .sum(),
            }
    }

    /// The word for this value's type, as messages to the user name it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_)
            | Value::Unheld {
                what: Unheld::Integer, ..
            } => "integer",
            Value::Float(_)
            | Value::Unheld {
                what: Unheld::Float, ..
            } => "float",
            Value::Str(_)
            | Value::Unheld {
                what: Unheld::HalfPair, ..
            } => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "array",
            Value::Map(_) => "object",
        }
    }
}
