//! Values in MessagePack, as Aerospike writes them inside of lists, maps, operations and expressions.
//!
//! A string or bytes begin with a byte for their type (the server's particle type), which counts in the length. Names
//! of bins in expressions have none.

use super::particle;
use crate::output::value::Value;

const NIL: u8 = 0xc0;
const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;
const FLOAT_64: u8 = 0xcb;
const UINT_8: u8 = 0xcc;
const UINT_16: u8 = 0xcd;
const UINT_32: u8 = 0xce;
const UINT_64: u8 = 0xcf;
const INT_8: u8 = 0xd0;
const INT_16: u8 = 0xd1;
const INT_32: u8 = 0xd2;
const INT_64: u8 = 0xd3;

/// The markers of the lengths of one type: in the marker itself below `short_below`, then in 1 (if the type has it), 2
/// or 4 bytes.
struct Lengths {
    short: u8,
    short_below: usize,
    byte: Option<u8>,
    two: u8,
    four: u8,
}

const STRING: Lengths = Lengths {
    short: 0xa0,
    short_below: 32,
    byte: Some(0xd9),
    two: 0xda,
    four: 0xdb,
};
const ARRAY: Lengths = Lengths {
    short: 0x90,
    short_below: 16,
    byte: None,
    two: 0xdc,
    four: 0xdd,
};
const MAP: Lengths = Lengths {
    short: 0x80,
    short_below: 16,
    byte: None,
    two: 0xde,
    four: 0xdf,
};

/// A length that does not fit into four bytes makes the frame longer than any frame may be, so that the row is refused.
/// Until then its number does not matter.
pub(super) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[inline]
fn length(out: &mut Vec<u8>, of: &Lengths, length: usize) {
    match (u8::try_from(length), of.byte, u16::try_from(length)) {
        (Ok(byte), ..) if length < of.short_below => out.push(of.short | byte),
        (Ok(byte), Some(marker), _) => out.extend_from_slice(&[marker, byte]),
        (.., Ok(two)) => with_marker(out, of.two, two.to_be_bytes()),
        _ => with_marker(out, of.four, length_u32(length).to_be_bytes()),
    }
}

#[inline]
fn with_marker<const N: usize>(out: &mut Vec<u8>, marker: u8, bytes: [u8; N]) {
    out.push(marker);
    out.extend_from_slice(&bytes);
}

/// What begins an array of fewer than 16 elements.
pub(super) const fn short_array(elements: u8) -> u8 {
    ARRAY.short | elements
}

/// The shortest form of an integer. What is not negative has the unsigned markers.
pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        match (u8::try_from(value), u16::try_from(value), u32::try_from(value)) {
            (Ok(value), ..) if value < 128 => out.push(value),
            (Ok(value), ..) => out.extend_from_slice(&[UINT_8, value]),
            (_, Ok(value), _) => with_marker(out, UINT_16, value.to_be_bytes()),
            (.., Ok(value)) => with_marker(out, UINT_32, value.to_be_bytes()),
            _ => with_marker(out, UINT_64, value.to_be_bytes()),
        }
    } else {
        match (i8::try_from(value), i16::try_from(value), i32::try_from(value)) {
            // The last 32 numbers before 0 are their own marker.
            (Ok(value), ..) if value >= -32 => out.extend_from_slice(&value.to_be_bytes()),
            (Ok(value), ..) => with_marker(out, INT_8, value.to_be_bytes()),
            (_, Ok(value), _) => with_marker(out, INT_16, value.to_be_bytes()),
            (.., Ok(value)) => with_marker(out, INT_32, value.to_be_bytes()),
            _ => integer_64(out, value),
        }
    }
}

/// An integer in eight bytes, whatever it is.
pub(super) fn integer_64(out: &mut Vec<u8>, value: i64) {
    with_marker(out, INT_64, value.to_be_bytes());
}

pub(super) fn float(out: &mut Vec<u8>, value: f64) {
    with_marker(out, FLOAT_64, value.to_be_bytes());
}

/// A name in an expression.
pub(super) fn name(out: &mut Vec<u8>, name: &str) {
    length(out, &STRING, name.len());
    out.extend_from_slice(name.as_bytes());
}

fn typed(out: &mut Vec<u8>, particle: u8, bytes: &[u8]) {
    length(out, &STRING, bytes.len() + 1);
    out.push(particle);
    out.extend_from_slice(bytes);
}

fn string(out: &mut Vec<u8>, text: &str) {
    typed(out, particle::STRING, text.as_bytes());
}

/// A value. The entries of a map keep their order. Their names differ: decode and the check of processors see to it, and
/// the server would refuse the row.
pub(super) fn value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::List(items) => {
            length(out, &ARRAY, items.len());
            for item in items {
                self::value(out, item);
            }
        }
        Value::Map(members) => {
            length(out, &MAP, members.len());
            for (name, member) in members {
                string(out, name);
                self::value(out, member);
            }
        }
        plain => scalar(out, plain),
    }
}

/// A value as an expression wants it: the entries of all maps are sorted by their keys. Since 8.1.2.3 the server
/// requires it. `order` is memory for the sorting, which is left as it was.
pub(super) fn sorted(out: &mut Vec<u8>, order: &mut Vec<usize>, value: &Value<'_>) {
    match value {
        Value::List(items) => {
            length(out, &ARRAY, items.len());
            for item in items {
                sorted(out, order, item);
            }
        }
        Value::Map(members) => {
            length(out, &MAP, members.len());
            let start = order.len();
            order.extend(0..members.len());
            order[start..].sort_unstable_by(|one, other| members[*one].0.cmp(&members[*other].0));
            for place in start..start + members.len() {
                let (name, member) = &members[order[place]];
                string(out, name);
                sorted(out, order, member);
            }
            order.truncate(start);
        }
        plain => scalar(out, plain),
    }
}

fn scalar(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.push(NIL),
        Value::Bool(value) => out.push(if *value { TRUE } else { FALSE }),
        Value::Int(value) => integer(out, *value),
        Value::Float(value) => float(out, *value),
        Value::Str(text) => string(out, text),
        // Not reached: `map` lets none through. The digits would lose nothing.
        Value::Unheld { text, .. } => string(out, text),
        Value::Bytes(bytes) => typed(out, particle::BLOB, bytes),
        // Not reached: the callers handle them.
        Value::List(_) | Value::Map(_) => out.push(NIL),
    }
}
