//! The effect of one operation on the bins of one record: put, null put, add, append, prepend, and the calls to lists,
//! maps and expressions. It works on a copy of the bins; the caller keeps or drops the copy.
//!
//! It follows `write_master_bin_ops_loop` and `as_bin_particle_modify_from_client` of the server (8.1.2.0). Bit,
//! HyperLogLog and string operations are not implemented: they answer 16, which the server never does, so a missing
//! feature is recognised.

use std::sync::Arc;

use super::cdt;
use super::expression::{self, Context};
use super::message::Op;
use super::store::{Bin, BinName, Particle, particle};
use super::wire::{code, op};

pub fn find<'b>(bins: &'b [Bin], name: &[u8]) -> Option<&'b Particle> {
    bins.iter()
        .find(|bin| bin.name.as_bytes() == name)
        .map(|bin| &bin.particle)
}

fn set(bins: &mut Vec<Bin>, name: &[u8], particle: Particle) -> Result<(), u8> {
    match bins.iter_mut().find(|bin| bin.name.as_bytes() == name) {
        Some(bin) => bin.particle = particle,
        None => bins.push(Bin {
            name: BinName::new(name).ok_or(code::BIN_NAME)?,
            particle,
        }),
    }
    Ok(())
}

fn remove(bins: &mut Vec<Bin>, name: &[u8]) {
    bins.retain(|bin| bin.name.as_bytes() != name);
}

/// The answer of an operation, in addition to its effect.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing, or an empty result if the message asked for a result per operation.
    Silent,
    /// A result.
    Result(Particle),
    /// Touch: no result, even if the message asked for a result per operation.
    None,
}

/// Applies a write. The error is a result code; then `bins` must not be used any more.
pub fn modify(bins: &mut Vec<Bin>, operation: &Op<'_>, context: &Context<'_>) -> Result<Outcome, u8> {
    match operation.code {
        op::TOUCH => Ok(Outcome::None),
        op::WRITE if operation.particle == particle::NULL => {
            remove(bins, operation.name);
            Ok(Outcome::Silent)
        }
        op::WRITE => {
            set(
                bins,
                operation.name,
                Particle::from_wire(operation.particle, operation.value)?,
            )?;
            Ok(Outcome::Silent)
        }
        op::INCR | op::APPEND | op::PREPEND => {
            let operand = Particle::from_wire(operation.particle, operation.value)?;
            let value = match find(bins, operation.name) {
                // "Currently all operations become creates if there's no existing particle."
                None => operand,
                Some(existing) => combine(operation.code, existing, &operand)?,
            };
            set(bins, operation.name, value)?;
            Ok(Outcome::Silent)
        }
        op::DELETE_ALL => {
            bins.clear();
            Ok(Outcome::Silent)
        }
        op::CDT_MODIFY => {
            let changed = cdt::modify(find(bins, operation.name), operation.value)?;
            if let Some(value) = changed.value {
                set(bins, operation.name, value)?;
            }
            Ok(changed.result.map_or(Outcome::Silent, Outcome::Result))
        }
        op::EXP_MODIFY => {
            match expression::write(bins, operation.name, operation.value, context)? {
                expression::Write::Keep => {}
                expression::Write::Set(value) => set(bins, operation.name, value)?,
                expression::Write::Remove => remove(bins, operation.name),
            }
            Ok(Outcome::Silent)
        }
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

fn combine(code: u8, existing: &Particle, operand: &Particle) -> Result<Particle, u8> {
    match (code, existing, operand) {
        (op::INCR, Particle::Integer(a), Particle::Integer(b)) => Ok(Particle::Integer(a.wrapping_add(*b))),
        (op::INCR, Particle::Float(a), Particle::Float(b)) => Ok(Particle::Float(a + b)),
        (op::APPEND, Particle::Bytes(kind, a), Particle::Bytes(other, b)) => concat(*kind, *other, a, b),
        (op::PREPEND, Particle::Bytes(kind, a), Particle::Bytes(other, b)) => concat(*kind, *other, b, a),
        _ => Err(code::INCOMPATIBLE_TYPE),
    }
}

fn concat(kind: u8, other: u8, first: &[u8], second: &[u8]) -> Result<Particle, u8> {
    if kind != other || !matches!(kind, particle::STRING | particle::BLOB) {
        return Err(code::INCOMPATIBLE_TYPE);
    }
    Ok(Particle::Bytes(kind, Arc::from([first, second].concat())))
}

/// Answers a read of one bin. `None`: there is nothing to answer.
pub fn read(bins: &[Bin], operation: &Op<'_>, context: &Context<'_>) -> Result<Option<Particle>, u8> {
    match operation.code {
        op::READ => Ok(find(bins, operation.name).cloned()),
        op::CDT_READ => cdt::read(find(bins, operation.name), operation.value),
        op::EXP_READ => expression::read(bins, operation.value, context),
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

pub fn is_read(code: u8) -> bool {
    // 12, 15, 17 and 19 are the bit, HyperLogLog and string reads.
    matches!(code, op::READ | op::CDT_READ | op::EXP_READ | 12 | 15 | 17 | 19)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msgpack::Value;

    const CONTEXT: Context<'_> = Context {
        bins: &[],
        void_time: 0,
        now: 0,
    };

    fn apply(start: &[(&str, Value)], ops: &[(u8, u8, &str, &[u8])]) -> Result<Vec<(String, Value)>, u8> {
        let mut bins = Vec::new();
        for (name, value) in start {
            set(&mut bins, name.as_bytes(), Particle::from_value(value))?;
        }
        for &(code, particle, name, value) in ops {
            modify(
                &mut bins,
                &Op {
                    code,
                    particle,
                    name: name.as_bytes(),
                    value,
                },
                &CONTEXT,
            )?;
        }
        Ok(bins
            .iter()
            .map(|bin| {
                (
                    String::from_utf8_lossy(bin.name.as_bytes()).into_owned(),
                    bin.particle.to_value(),
                )
            })
            .collect())
    }

    fn int(value: i64) -> [u8; 8] {
        value.to_be_bytes()
    }

    #[test]
    fn operations_change_bins_as_the_server_does() {
        let x = |value: Value| vec![("x".to_owned(), value)];
        let cases: Vec<(&str, Result<_, u8>, Result<_, u8>)> = vec![
            ("put", apply(&[], &[(op::WRITE, 1, "x", &int(1))]), Ok(x(Value::Int(1)))),
            (
                "null put",
                apply(&[("x", Value::Int(1))], &[(op::WRITE, 0, "x", &[])]),
                Ok(vec![]),
            ),
            (
                "add creates",
                apply(&[], &[(op::INCR, 1, "x", &int(5))]),
                Ok(x(Value::Int(5))),
            ),
            (
                "add",
                apply(&[("x", Value::Int(2))], &[(op::INCR, 1, "x", &int(-5))]),
                Ok(x(Value::Int(-3))),
            ),
            (
                "add wraps",
                apply(&[("x", Value::Int(i64::MAX))], &[(op::INCR, 1, "x", &int(1))]),
                Ok(x(Value::Int(i64::MIN))),
            ),
            (
                "float add on integer",
                apply(&[("x", Value::Int(2))], &[(op::INCR, 2, "x", &1.0f64.to_be_bytes())]),
                Err(12),
            ),
            (
                "add float",
                apply(
                    &[("x", Value::Float(2.0))],
                    &[(op::INCR, 2, "x", &0.5f64.to_be_bytes())],
                ),
                Ok(x(Value::Float(2.5))),
            ),
            (
                "add to string",
                apply(&[("x", Value::from("a"))], &[(op::INCR, 1, "x", &int(1))]),
                Err(12),
            ),
            (
                "append",
                apply(&[("x", Value::from("a"))], &[(op::APPEND, 3, "x", b"b")]),
                Ok(x(Value::from("ab"))),
            ),
            (
                "prepend",
                apply(&[("x", Value::from("a"))], &[(op::PREPEND, 3, "x", b"b")]),
                Ok(x(Value::from("ba"))),
            ),
            (
                "append to integer",
                apply(&[("x", Value::Int(1))], &[(op::APPEND, 3, "x", b"b")]),
                Err(12),
            ),
            (
                "append blob to string",
                apply(&[("x", Value::from("a"))], &[(op::APPEND, 4, "x", b"b")]),
                Err(12),
            ),
            (
                "delete then put",
                apply(
                    &[("y", Value::Int(1))],
                    &[(op::DELETE_ALL, 0, "", &[]), (op::WRITE, 1, "x", &int(1))],
                ),
                Ok(x(Value::Int(1))),
            ),
            (
                "integer of three bytes",
                apply(&[], &[(op::WRITE, 1, "x", &[1, 2, 3])]),
                Err(4),
            ),
            ("boolean of 2", apply(&[], &[(op::WRITE, 17, "x", &[2])]), Err(4)),
            (
                "list that is none",
                apply(&[], &[(op::WRITE, 20, "x", &[0x81, 1, 1])]),
                Err(1),
            ),
            (
                "map with a float for a key",
                apply(&[], &[(op::WRITE, 19, "x", &[0x81, 0xca, 0, 0, 0, 0, 1])]),
                Err(1),
            ),
            ("unknown particle", apply(&[], &[(op::WRITE, 99, "x", &[1])]), Err(4)),
            ("bits", apply(&[], &[(13, 4, "x", &[1])]), Err(16)),
            (
                "long name",
                apply(&[], &[(op::WRITE, 1, "abcdefghijklmnop", &int(1))]),
                Err(21),
            ),
        ];
        for (name, got, expected) in cases {
            assert_eq!(got, expected, "{name}");
        }
    }
}
