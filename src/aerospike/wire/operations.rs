//! Operations on bins, as they stand in a row.
//!
//! Each is a head of eight bytes (length, operation, particle type, 0, length of the name), the bin's name, and the
//! value. The value of an operation on a list or a map is an array in MessagePack: a number for what to do, then its
//! arguments.

use super::msgpack::{self, short_array};
use super::particle;
use crate::delivery::ledger::Ledger;
use crate::delivery::plan::OutgoingOp;
use crate::output::row::{Number, Op};
use crate::output::value::Value;

/// A bin's name has over 255 bytes.
#[derive(Debug)]
pub(super) struct NameTooLong;

/// The operations, as `proto.h` of the server numbers them.
const WRITE: u8 = 2;
const CDT_MODIFY: u8 = 4;
const ADD: u8 = 5;
const EXP_MODIFY: u8 = 8;
const APPEND: u8 = 9;
const PREPEND: u8 = 10;
const TOUCH: u8 = 11;

// The numbers below stand in MessagePack. All are below 128, and so their own bytes.

/// What to do with a list or a map.
const LIST_APPEND: u8 = 1;
const LIST_REMOVE_BY_INDEX_RANGE: u8 = 37;
const MAP_PUT: u8 = 67;
const MAP_INCREMENT: u8 = 73;
const MAP_REMOVE_BY_INDEX_RANGE: u8 = 85;
const MAP_REMOVE_BY_VALUE_INTERVAL: u8 = 86;

/// An unordered list, and no flags.
const LIST_UNORDERED: u8 = 0;
const LIST_NO_FLAGS: u8 = 0;
/// Maps that the service creates are ordered by key. So an entry is found without a search, and "the greatest keys"
/// needs no sorting.
const MAP_KEY_ORDERED: u8 = 1;
/// The key must be new, or must be there. Otherwise the row fails.
const MAP_CREATE_ONLY: u8 = 1;
const MAP_UPDATE_ONLY: u8 = 2;
/// Returns nothing.
const RETURN_NONE: u8 = 0;
/// Returns nothing, and applies to all elements but those of the range.
const RETURN_NONE_INVERTED: i64 = 0x10000;

/// Sets the bin only if it does not exist, and does not fail if it does.
const CREATE_ONLY_NO_FAIL: u8 = 1 | 8;
/// Marks a list in an expression as a constant. Otherwise it would be an expression itself.
const QUOTED: u8 = 126;

/// Bytes of an operation's head, and how many of them its length counts: all behind the length.
const HEAD: usize = 8;
const HEAD_COUNTED: usize = 4;

/// Adds a touch: it has neither bin nor value.
pub(super) fn touch(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 4, TOUCH, particle::NULL, 0, 0]);
}

/// Adds an operation. `order`: see [`msgpack::sorted`].
pub(super) fn write(out: &mut Vec<u8>, order: &mut Vec<usize>, op: &OutgoingOp<'_>) -> Result<(), NameTooLong> {
    let op = match op {
        OutgoingOp::Op(op) => *op,
        OutgoingOp::Sum(bin, by) => return plain(out, ADD, bin, particle::INTEGER, &by.to_be_bytes()),
        OutgoingOp::Store(bin, value) => return plain(out, WRITE, bin, particle::INTEGER, &value.to_be_bytes()),
        OutgoingOp::Enter(ledger, key) => return entry(out, ledger, *key, MAP_CREATE_ONLY),
        OutgoingOp::Confirm(ledger, key) => return entry(out, ledger, *key, MAP_UPDATE_ONLY),
        OutgoingOp::Forget(ledger) => {
            return packed(out, CDT_MODIFY, ledger.bin(), particle::BLOB, |out| {
                // From 0, without the end.
                out.extend_from_slice(&[short_array(4), MAP_REMOVE_BY_VALUE_INTERVAL, RETURN_NONE, 0]);
                msgpack::integer(out, ledger.forget_below);
            });
        }
    };
    match op {
        Op::Put { bin, value } => with_value(out, WRITE, bin, value),
        // The only operation that can be told not to fail if the bin exists.
        Op::Once { bin, value } => packed(out, EXP_MODIFY, bin, particle::BLOB, |out| {
            out.push(short_array(2));
            constant(out, order, value);
            out.push(CREATE_ONLY_NO_FAIL);
        }),
        Op::Add {
            bin,
            by: Number::Int(by),
        } => plain(out, ADD, bin, particle::INTEGER, &by.to_be_bytes()),
        Op::Add {
            bin,
            by: Number::Float(by),
        } => plain(out, ADD, bin, particle::FLOAT, &by.to_be_bytes()),
        Op::Append { bin, value } => with_value(out, APPEND, bin, value),
        Op::Prepend { bin, value } => with_value(out, PREPEND, bin, value),
        Op::ListAppend { bin, value } => packed(out, CDT_MODIFY, bin, particle::BLOB, |out| {
            out.extend_from_slice(&[short_array(4), LIST_APPEND]);
            msgpack::value(out, value);
            out.extend_from_slice(&[LIST_UNORDERED, LIST_NO_FLAGS]);
        }),
        Op::MapPut { bin, key, value } => packed(out, CDT_MODIFY, bin, particle::BLOB, |out| {
            // Without a value, the server stores nil.
            let has_value = !matches!(value, Value::Null);
            out.extend_from_slice(&[short_array(if has_value { 4 } else { 3 }), MAP_PUT]);
            msgpack::value(out, key);
            if has_value {
                msgpack::value(out, value);
            }
            out.push(MAP_KEY_ORDERED);
        }),
        Op::MapAdd { bin, key, by } => packed(out, CDT_MODIFY, bin, particle::BLOB, |out| {
            out.extend_from_slice(&[short_array(4), MAP_INCREMENT]);
            msgpack::value(out, key);
            match by {
                Number::Int(by) => msgpack::integer(out, *by),
                Number::Float(by) => msgpack::float(out, *by),
            }
            out.push(MAP_KEY_ORDERED);
        }),
        Op::KeepLast { bin, count, map } => packed(out, CDT_MODIFY, bin, particle::BLOB, |out| {
            let count = i64::from(*count);
            let remove = if *map {
                MAP_REMOVE_BY_INDEX_RANGE
            } else {
                LIST_REMOVE_BY_INDEX_RANGE
            };
            out.extend_from_slice(&[short_array(4), remove]);
            msgpack::integer(out, RETURN_NONE_INVERTED);
            msgpack::integer(out, -count);
            msgpack::integer(out, count);
        }),
    }
}

/// Puts a sequence number into the ledger of a replay. `flags`: whether it must be new there.
fn entry(out: &mut Vec<u8>, ledger: &Ledger, key: i64, flags: u8) -> Result<(), NameTooLong> {
    packed(out, CDT_MODIFY, ledger.bin(), particle::BLOB, |out| {
        out.extend_from_slice(&[short_array(5), MAP_PUT]);
        msgpack::integer(out, key);
        msgpack::integer(out, ledger.time);
        out.extend_from_slice(&[MAP_KEY_ORDERED, flags]);
    })
}

/// A value as a bin holds it.
fn with_value(out: &mut Vec<u8>, op: u8, bin: &str, value: &Value<'_>) -> Result<(), NameTooLong> {
    match value {
        // Removes the bin.
        Value::Null => plain(out, op, bin, particle::NULL, &[]),
        Value::Bool(value) => plain(out, op, bin, particle::BOOL, &[u8::from(*value)]),
        Value::Int(value) => plain(out, op, bin, particle::INTEGER, &value.to_be_bytes()),
        Value::Float(value) => plain(out, op, bin, particle::FLOAT, &value.to_be_bytes()),
        Value::Str(text) => plain(out, op, bin, particle::STRING, text.as_bytes()),
        // Not reached: `map` lets none through. The digits would lose nothing.
        Value::Unheld { text, .. } => plain(out, op, bin, particle::STRING, text.as_bytes()),
        Value::Bytes(bytes) => plain(out, op, bin, particle::BLOB, bytes),
        Value::List(_) => packed(out, op, bin, particle::LIST, |out| msgpack::value(out, value)),
        Value::Map(_) => packed(out, op, bin, particle::MAP, |out| msgpack::value(out, value)),
    }
}

/// An expression that is a constant.
fn constant(out: &mut Vec<u8>, order: &mut Vec<usize>, value: &Value<'_>) {
    match value {
        // The client does not sort the maps in a list, and the server does not ask for it.
        Value::List(_) => {
            out.extend_from_slice(&[short_array(2), QUOTED]);
            msgpack::value(out, value);
        }
        _ => msgpack::sorted(out, order, value),
    }
}

/// An operation whose value is these bytes.
#[inline]
fn plain(out: &mut Vec<u8>, op: u8, bin: &str, particle: u8, value: &[u8]) -> Result<(), NameTooLong> {
    head(out, op, bin, particle, value.len())?;
    out.extend_from_slice(value);
    Ok(())
}

/// An operation whose value `write` adds. Its length is known afterwards.
fn packed(
    out: &mut Vec<u8>,
    op: u8,
    bin: &str,
    particle: u8,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), NameTooLong> {
    let start = out.len();
    head(out, op, bin, particle, 0)?;
    write(out);
    let length = msgpack::length_u32(out.len() - start - HEAD + HEAD_COUNTED);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[inline]
fn head(out: &mut Vec<u8>, op: u8, bin: &str, particle: u8, value: usize) -> Result<(), NameTooLong> {
    // The server refuses a row with a name of over 15 bytes (code 21), as it should. Only what its one byte cannot say
    // is refused here: the server would take the rest of the name for the value.
    let name = u8::try_from(bin.len()).map_err(|_| NameTooLong)?;
    let [a, b, c, d] = msgpack::length_u32(HEAD_COUNTED + bin.len() + value).to_be_bytes();
    out.extend_from_slice(&[a, b, c, d, op, particle, 0, name]);
    out.extend_from_slice(bin.as_bytes());
    Ok(())
}
