//! The values that pass from the payload to the plan. They come from JSON, from a constant or from metadata.
//!
//! A value borrows from the message if it can use the bytes unchanged, so a batch in flight needs no copy of its
//! strings. This module knows nothing of the Aerospike client: `aerospike` converts the values to client values for
//! every call.

use std::borrow::Cow;
use std::fmt;

/// A value for a record. `'m` is the lifetime of the message from which it borrows.
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
    /// A string. Owned only if the JSON text has an escape, or if a template built it.
    Str(Cow<'m, str>),
    /// Bytes, from `as = "base64"`, `as = "hex"` or raw Kafka data.
    Bytes(Cow<'m, [u8]>),
    /// A JSON array.
    List(Vec<Value<'m>>),
    /// A JSON object, in the order of the text. Each name occurs once, with its last value.
    Map(Vec<(Cow<'m, str>, Value<'m>)>),
    /// A value that JSON can express but no bin can hold, as it was written. Decode keeps it, and it is checked only if
    /// a rule keeps it (`map::keep`). It never reaches a row.
    Unheld {
        /// What kind of value it is.
        what: Unheld,
        /// The text of a number, or the text between a string's quotes.
        text: Cow<'m, str>,
    },
}

/// Kinds of values that JSON can express but no bin can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheld {
    /// An integer outside `i64`.
    Integer,
    /// A number with a fraction or exponent that is outside `f64`.
    Float,
    /// A string with half of a surrogate pair, or the value of a name with one. JSON's grammar allows it, but it is not
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
    /// The same value, which borrows nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(b) => Value::Bool(b),
            Value::Int(n) => Value::Int(n),
            Value::Unheld { what, text } => Value::Unheld {
                what,
                text: Cow::Owned(text.into_owned()),
            },
            Value::Float(n) => Value::Float(n),
            Value::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Value::Map(members) => {
                let members = members.into_iter();
                Value::Map(
                    members
                        .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
                        .collect(),
                )
            }
        }
    }

    /// Its estimated size in memory, together with the client's value made from it.
    pub fn bytes(&self) -> usize {
        /// Our value and the client's, without the data to which they point.
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

    /// The name of this value's type, as in texts for users.
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
