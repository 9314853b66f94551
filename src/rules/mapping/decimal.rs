//! `as = "decimal"`: decimals as Kafka Connect writes them in JSON (`org.apache.kafka.connect.data.Decimal`), and
//! Debezium's `io.debezium.data.VariableScaleDecimal`.
//!
//! Both have the unscaled integer: its bytes in two's complement, the highest first, in base64. The scale, the number of
//! digits after the point, is in the schema of the one and beside the value of the other. Nothing is rounded here, except
//! that a float is the nearest one.
//!
//! A string is always read as base64. A text of digits is not taken as well, because `"1234"` is base64, too, and means
//! another number.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::numbers::{CastFailure, unheld};
use crate::config::keys;
use crate::config::model::DecimalTo;
use crate::message::Reason;
use crate::output::value::{Unheld, Value};

/// The most bytes of an unscaled integer: 617 digits. The time for a conversion grows with their square. (The longest of
/// MySQL has 28 bytes, of Oracle 16; only PostgreSQL's `numeric` without a precision can be longer.)
const BYTES_MAX: usize = 256;

/// Reads a decimal. `scale`: `None` if the value has its own.
pub(super) fn decimal<'m>(value: &Value<'_>, scale: Option<i16>, to: DecimalTo) -> Result<Value<'m>, CastFailure> {
    let (text, scale) = match (value, scale) {
        (Value::Str(text), Some(scale)) => (&**text, scale),
        (Value::Map(members), None) => parts(members)?,
        (other, scale) => return Err(no_decimal(other, scale)),
    };
    let bytes = bytes(text)?;
    let decimal = Decimal::new(&bytes, scale);
    Ok(match to {
        DecimalTo::Text => Value::Str(Cow::Owned(decimal.text())),
        DecimalTo::Integer => Value::Int(decimal.integer()?),
        DecimalTo::Float => Value::Float(decimal.float()?),
    })
}

/// Whether this may be a number in digits, rather than base64. The base64 of a decimal rarely has only digits: that of
/// some negative integers of three bytes, of six, and so on.
pub(super) fn is_digits(value: &Value<'_>) -> bool {
    matches!(value, Value::Str(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The text and the scale of `{"scale": 2, "value": "BM4="}`.
fn parts<'v>(members: &'v [(Cow<'_, str>, Value<'_>)]) -> Result<(&'v str, i16), CastFailure> {
    let of = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    match (of("scale"), of("value")) {
        (Some(Value::Int(scale)), Some(Value::Str(text))) => {
            let keys::Kind::Number { min, max } = keys::SCALE else {
                return Err(BAD_SCALE);
            };
            let scale = Some(*scale).filter(|scale| (min..=max).contains(scale));
            let scale = scale.and_then(|scale| i16::try_from(scale).ok()).ok_or(BAD_SCALE)?;
            Ok((text, scale))
        }
        _ => Err((
            Reason::FieldType,
            "an object without an integer `scale` and a string `value`, and so no decimal of a variable scale",
        )),
    }
}

const BAD_SCALE: CastFailure = (Reason::FieldType, "a decimal whose scale is not from -1000 to 1000");

#[cold]
fn no_decimal(value: &Value<'_>, scale: Option<i16>) -> CastFailure {
    let why = match (value, scale) {
        (Value::Map(_), Some(_)) => "an object, which has a scale of its own; cure: remove `scale`",
        (Value::Str(_), None) => {
            "a string, which does not say its scale; cure: scale = N beside `as`, as the column has it"
        }
        (Value::Int(_) | Value::Float(_) | Value::Unheld { .. }, _) => {
            "a number already, no decimal in base64; cure: as = \"float\", or no `as`"
        }
        _ => "no decimal: neither a string in base64, nor an object of `scale` and `value`",
    };
    (Reason::FieldType, why)
}

fn bytes(text: &str) -> Result<Vec<u8>, CastFailure> {
    // Four characters for three bytes. Judged before anything is allocated.
    if text.len() > BYTES_MAX.div_ceil(3) * 4 {
        return Err(TOO_LONG);
    }
    let bytes = STANDARD.decode(text).map_err(|_| not_base64(text))?;
    match bytes.len() {
        0 => Err((Reason::FieldType, "an empty string, which is no number")),
        1..=BYTES_MAX => Ok(bytes),
        _ => Err(TOO_LONG),
    }
}

const TOO_LONG: CastFailure = (Reason::FieldType, "a decimal of more than 256 bytes (617 digits)");

#[cold]
fn not_base64(text: &str) -> CastFailure {
    let is_number = text.parse::<f64>().is_ok() && text.bytes().any(|byte| byte.is_ascii_digit());
    let why = if is_number {
        "a string with a number in digits, no decimal in base64; cure: as = \"string\" or \"float\""
    } else {
        "a string that is not base64, and so no decimal"
    };
    (Reason::FieldType, why)
}

/// A decimal: digits without leading zeros (`"0"` for zero), and where the point is.
struct Decimal {
    is_negative: bool,
    digits: String,
    scale: i16,
}

impl Decimal {
    /// `bytes`: 1 to `BYTES_MAX`.
    fn new(bytes: &[u8], scale: i16) -> Decimal {
        let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
        let digits = match small(bytes, is_negative) {
            Some(number) => number.unsigned_abs().to_string(),
            None => digits(bytes, is_negative),
        };
        Decimal {
            is_negative,
            digits,
            scale,
        }
    }

    /// All digits, without an exponent: as Java's `BigDecimal.toPlainString`.
    fn text(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let digits = &self.digits;
        let places = usize::from(self.scale.unsigned_abs());
        if self.scale > 0 {
            // At least one digit stands before the point.
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            format!("{sign}{whole}.{fraction}")
        } else if digits == "0" {
            "0".to_owned()
        } else {
            format!("{sign}{digits}{:0<places$}", "")
        }
    }

    fn integer(&self) -> Result<i64, CastFailure> {
        let text = self.text();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        if fraction.bytes().any(|digit| digit != b'0') {
            return Err((
                Reason::FieldType,
                "a decimal with a fraction; cure: as = \"decimal\" or \"decimal_float\", or scale = 0 for the unscaled integer",
            ));
        }
        whole.parse().map_err(|_| unheld(Unheld::Integer))
    }

    fn float(&self) -> Result<f64, CastFailure> {
        // The standard library rounds correctly. The text is always a number, so the only failure is infinity.
        match self.text().parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(float),
            _ => Err(unheld(Unheld::Float)),
        }
    }
}

/// The integer, if it has at most 16 bytes: the usual case.
fn small(bytes: &[u8], is_negative: bool) -> Option<i128> {
    let mut extended = [if is_negative { 0xff } else { 0 }; 16];
    let start = extended.len().checked_sub(bytes.len())?;
    extended.get_mut(start..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(extended))
}

/// The digits of the absolute value of an integer of any length.
fn digits(bytes: &[u8], is_negative: bool) -> String {
    /// The largest power of ten in 32 bits, and its zeros.
    const CHUNK: u64 = 1_000_000_000;
    const CHUNK_DIGITS: usize = 9;
    // 32 bits each, the lowest first; the absolute value.
    let mut limbs: Vec<u32> = Vec::with_capacity(bytes.len() / 4 + 1);
    let mut carry = is_negative;
    for chunk in bytes.rchunks(4) {
        let fill = if is_negative { 0xff } else { 0 };
        let mut limb = [fill; 4];
        for (place, byte) in limb.iter_mut().rev().zip(chunk.iter().rev()) {
            *place = *byte;
        }
        let limb = u32::from_be_bytes(limb);
        if is_negative {
            let (negated, is_over) = (!limb).overflowing_add(u32::from(carry));
            limbs.push(negated);
            carry = is_over;
        } else {
            limbs.push(limb);
        }
    }
    // Nine digits each, the lowest first.
    let mut chunks: Vec<u64> = Vec::new();
    while let Some(last) = limbs.last() {
        if *last == 0 {
            limbs.pop();
            continue;
        }
        let mut rest: u64 = 0;
        for limb in limbs.iter_mut().rev() {
            let number = rest << 32 | u64::from(*limb);
            // Below 2^32, because the rest is below the divisor.
            *limb = u32::try_from(number / CHUNK).unwrap_or(u32::MAX);
            rest = number % CHUNK;
        }
        chunks.push(rest);
    }
    let mut text = chunks.pop().unwrap_or(0).to_string();
    for chunk in chunks.iter().rev() {
        text.push_str(&format!("{chunk:0>CHUNK_DIGITS$}"));
    }
    text
}
