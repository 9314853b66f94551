//! `as = …`: converts a value to a type, or says why it cannot be converted.
//!
//! Nothing is rounded, cut or guessed. If a value is not exactly a value of the type, the message is rejected.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::numbers::{CastFailure, HALF_PAIR, integer_of, unheld};
use super::{decimal, time};
use crate::config::model::{As, TimeUnit};
use crate::message::DecodeErrorKind;
use crate::message::Reason;
use crate::output::value::{Unheld, Value};
use crate::rules::decode::{self, PathTree, PathTreeBuilder};

/// Converts `value` to `cast`. JSON null stays null for every type: it removes a bin.
pub(super) fn cast<'m>(value: Value<'m>, cast: As) -> Result<Value<'m>, CastFailure> {
    match value {
        Value::Null => return Ok(value),
        Value::Unheld {
            what: Unheld::HalfPair, ..
        } => return Err(HALF_PAIR),
        _ => {}
    }
    match cast {
        As::String => string(value),
        As::Integer => integer_of(&value).map(Value::Int),
        As::Float => float(value).map(Value::Float),
        As::Bool => match value {
            Value::Bool(_) => Ok(value),
            Value::Str(text) if text == "true" => Ok(Value::Bool(true)),
            Value::Str(text) if text == "false" => Ok(Value::Bool(false)),
            _ => Err((Reason::FieldType, "not a boolean, nor \"true\" or \"false\"")),
        },
        As::Json => match value {
            Value::Str(text) => json(text.as_bytes()),
            Value::Bytes(bytes) => json(&bytes),
            // It is already the value that a JSON text would give.
            other => Ok(other),
        },
        As::Base64 => match value {
            Value::Str(text) => STANDARD
                .decode(text.as_bytes())
                .or_else(|_| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=').as_bytes()))
                .map(|bytes| Value::Bytes(Cow::Owned(bytes)))
                .map_err(|_| (Reason::FieldType, "not base64")),
            Value::Bytes(_) => Ok(value),
            _ => Err((Reason::FieldType, "not a string, so not base64")),
        },
        As::Hex => match value {
            Value::Str(text) => hex(text.as_bytes()).map(|bytes| Value::Bytes(Cow::Owned(bytes))),
            Value::Bytes(_) => Ok(value),
            _ => Err((Reason::FieldType, "not a string, so not hexadecimal")),
        },
        As::EpochS => time::epoch(&value, TimeUnit::Seconds).map(Value::Int),
        As::EpochMs => time::epoch(&value, TimeUnit::Milliseconds).map(Value::Int),
        As::EpochUs => time::epoch(&value, TimeUnit::Microseconds).map(Value::Int),
        As::EpochNs => time::epoch(&value, TimeUnit::Nanoseconds).map(Value::Int),
        As::Decimal { to, scale } => decimal::decimal(&value, scale, to),
    }
}

fn string<'m>(value: Value<'m>) -> Result<Value<'m>, CastFailure> {
    Ok(Value::Str(match value {
        Value::Str(text) => text,
        Value::Int(n) => Cow::Owned(n.to_string()),
        Value::Unheld { text, .. } => text,
        Value::Float(n) => Cow::Owned(n.to_string()),
        Value::Bool(b) => Cow::Borrowed(if b { "true" } else { "false" }),
        Value::Bytes(Cow::Borrowed(bytes)) => {
            Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| (Reason::FieldType, "not UTF-8"))?)
        }
        Value::Bytes(Cow::Owned(bytes)) => {
            Cow::Owned(String::from_utf8(bytes).map_err(|_| (Reason::FieldType, "not UTF-8"))?)
        }
        Value::Null | Value::List(_) => return Err((Reason::FieldType, "an array, not a string")),
        Value::Map(_) => return Err((Reason::FieldType, "an object, not a string")),
    }))
}

fn float(value: Value<'_>) -> Result<f64, CastFailure> {
    let parsed = |text: &str| {
        match text.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(n),
            // Rejected like a number that is out of range, unlike words such as "inf".
            Ok(_) if text.bytes().any(|byte| byte.is_ascii_digit()) => Err(unheld(Unheld::Float)),
            _ => Err((Reason::FieldType, "a text that is no finite number")),
        }
    };
    match value {
        Value::Float(n) => Ok(n),
        #[expect(clippy::cast_precision_loss, reason = "asked for: a float has 53 bits")]
        Value::Int(n) => Ok(n as f64),
        // An integer of some 300 digits does not fit a float either.
        Value::Unheld { text, .. } => parsed(&text).map_err(|_| unheld(Unheld::Float)),
        Value::Str(text) => parsed(&text),
        _ => Err((Reason::FieldType, "not a number")),
    }
}

fn hex(text: &[u8]) -> Result<Vec<u8>, CastFailure> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => digit(*high)
            .zip(digit(*low))
            .and_then(|(h, l)| u8::try_from(h * 16 + l).ok()),
        _ => None,
    });
    pairs
        .collect::<Option<_>>()
        .ok_or((Reason::FieldType, "not hexadecimal"))
}

/// Parses a JSON text inside a value. The result is owned, because the text may be an unescaped copy.
fn json(text: &[u8]) -> Result<Value<'static>, CastFailure> {
    // One slot: the whole value. Built each time, because an embedded JSON text is rare and the tree is tiny.
    let mut builder = PathTreeBuilder::default();
    let whole = builder.slot(&[]);
    let tree: PathTree = builder.build();
    let fields = decode::decode(&tree, text).map_err(|error| match error.kind {
        kind @ DecodeErrorKind::TooDeep => (
            Reason::Payload(kind),
            "an embedded text with more than 128 arrays and objects inside one another",
        ),
        kind => (Reason::Payload(kind), "an embedded text that is not JSON"),
    })?;
    let value = fields.get(whole).cloned().ok_or((Reason::FieldType, "not JSON"))?;
    Ok(value.into_owned())
}
