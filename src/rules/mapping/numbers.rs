//! Reads integers of a message, exactly or not at all, and has the texts for values that are not integers.

use crate::message::{DecodeErrorKind, Reason, Syntax};
use crate::output::value::{Unheld, Value};

/// Why a cast failed: the reason, and a text without data.
pub(super) type CastFailure = (Reason, &'static str);

pub(super) const HALF_PAIR: CastFailure = (
    Reason::Payload(DecodeErrorKind::NotJson(Syntax::LoneSurrogate)),
    "a string with half of a surrogate pair, which is no text",
);

pub(super) fn unheld(what: Unheld) -> CastFailure {
    match what {
        Unheld::Integer => (Reason::IntegerRange, "an integer outside of 64 bits"),
        Unheld::Float => (Reason::FloatRange, "a number outside of a 64-bit float"),
        Unheld::HalfPair => HALF_PAIR,
    }
}

pub(super) fn integer_of(value: &Value<'_>) -> Result<i64, CastFailure> {
    match value {
        Value::Int(n) => Ok(*n),
        Value::Unheld { what, .. } => Err(unheld(*what)),
        Value::Float(n) => whole(*n).ok_or_else(|| {
            if n.fract() == 0.0 {
                unheld(Unheld::Integer)
            } else {
                (Reason::FieldType, "a number with a fraction")
            }
        }),
        Value::Str(text) => text
            .parse()
            .map_err(|_| no_integer(text, "a string that is no 64-bit integer")),
        _ => Err((Reason::FieldType, "not an integer")),
    }
}

/// For a string that is not an `i64`. One with too many digits is rejected like the number would be.
#[cold]
pub(super) fn no_integer(text: &str, why: &'static str) -> CastFailure {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        unheld(Unheld::Integer)
    } else {
        (Reason::FieldType, why)
    }
}

/// `n` as an integer, if it is exactly an integer in the range of `i64`.
pub(super) fn whole(n: f64) -> Option<i64> {
    // -2^63 and 2^63 are exact in f64. The upper bound is outside of i64.
    let inside = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n);
    #[expect(clippy::cast_possible_truncation, reason = "inside the range and without a fraction")]
    (inside && n.fract() == 0.0).then_some(n as i64)
}
