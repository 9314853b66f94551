//! Filter expressions and expression writes: the part of the language for comparing bins, their types and constants. An
//! expression is evaluated directly from the message's bytes and always to its end. So a malformed expression is
//! refused whatever the record holds; the server refuses it when it builds it.
//!
//! It follows `exp.c` and, for operations, `expop.c` (8.1.2.0). A bin that is missing or of another type is *unknown*.
//! Unknown spreads through an expression; `or` and `and` ignore it if another operand decides. A record passes only if
//! the whole is true. Lists and maps are supported as constants and bins, to be stored and compared. Not implemented:
//! regular expressions, geo, operations on lists and maps, variables, metadata other than ttl. They answer 16.

use super::msgpack;
use super::store::{Bin, Particle, particle};
use super::wire::{Reader, code};

const DEPTH_MAX: usize = 64;

mod call {
    pub const UNKNOWN: i64 = 0;
    pub const EQ: i64 = 1;
    pub const NE: i64 = 2;
    pub const GT: i64 = 3;
    pub const GE: i64 = 4;
    pub const LT: i64 = 5;
    pub const LE: i64 = 6;
    pub const AND: i64 = 16;
    pub const OR: i64 = 17;
    pub const NOT: i64 = 18;
    pub const XOR: i64 = 19;
    pub const ADD: i64 = 20;
    pub const SUB: i64 = 21;
    pub const MUL: i64 = 22;
    pub const MIN: i64 = 50;
    pub const MAX: i64 = 51;
    pub const VOID_TIME: i64 = 68;
    pub const TTL: i64 = 69;
    pub const BIN: i64 = 81;
    pub const BIN_TYPE: i64 = 82;
    pub const COND: i64 = 123;
    pub const QUOTE: i64 = 126;
}

/// What an expression may read, in addition to the bins of its record.
pub struct Context<'a> {
    pub bins: &'a [Bin],
    pub void_time: u32,
    pub now: u32,
}

/// A value. It has a type even if it is unknown.
#[derive(Debug, Clone, PartialEq)]
enum Term<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A string, blob, list, map or other particle with bytes.
    Bytes(u8, &'a [u8]),
    /// Has a type, but no value.
    Unknown(Type),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Nil,
    Bool,
    Int,
    Float,
    Bytes(u8),
    /// The type of the `unknown` expression, which fits everywhere.
    Any,
}

impl Term<'_> {
    fn kind(&self) -> Type {
        match self {
            Term::Nil => Type::Nil,
            Term::Bool(_) => Type::Bool,
            Term::Int(_) => Type::Int,
            Term::Float(_) => Type::Float,
            Term::Bytes(kind, _) => Type::Bytes(*kind),
            Term::Unknown(kind) => *kind,
        }
    }
}

/// Whether a record passes a filter. The error is a result code.
pub fn matches(expression: &[u8], context: &Context<'_>) -> Result<bool, u8> {
    let mut reader = Reader::new(expression);
    let term = eval(&mut reader, context, DEPTH_MAX)?;
    if !reader.is_empty() || !matches!(term.kind(), Type::Bool | Type::Any) {
        return Err(code::PARAMETER);
    }
    Ok(term == Term::Bool(true))
}

/// The effect of an expression write on its bin.
#[derive(Debug)]
pub enum Write {
    Keep,
    Set(Particle),
    Remove,
}

const WRITE_CREATE_ONLY: i64 = 1 << 0;
const WRITE_UPDATE_ONLY: i64 = 1 << 1;
const WRITE_ALLOW_DELETE: i64 = 1 << 2;
const WRITE_POLICY_NO_FAIL: i64 = 1 << 3;
const EVAL_NO_FAIL: i64 = 1 << 4;
const WRITE_FLAGS: i64 = (1 << 5) - 1;

/// Evaluates an expression write, `[expression, flags]`, like `as_exp_modify_tr`.
pub fn write(bins: &[Bin], name: &[u8], payload: &[u8], context: &Context<'_>) -> Result<Write, u8> {
    let context = Context { bins, ..*context };
    let (term, flags) = operation(payload, WRITE_FLAGS, &context)?;
    let refused = |code: u8, pardon: i64| {
        if flags & pardon != 0 {
            Ok(Write::Keep)
        } else {
            Err(code)
        }
    };
    let exists = super::ops::find(bins, name).is_some();
    if flags & WRITE_CREATE_ONLY != 0 && exists {
        return refused(code::BIN_EXISTS, WRITE_POLICY_NO_FAIL);
    }
    if flags & WRITE_UPDATE_ONLY != 0 && !exists {
        return refused(code::BIN_NOT_FOUND, WRITE_POLICY_NO_FAIL);
    }
    match to_particle(&term)? {
        Some(value) => Ok(Write::Set(value)),
        None if !matches!(term, Term::Nil) => refused(code::OP_NOT_APPLICABLE, EVAL_NO_FAIL),
        None if !exists => Ok(Write::Keep),
        None if flags & WRITE_ALLOW_DELETE != 0 => Ok(Write::Remove),
        // The server intends to check for `POLICY_NO_FAIL`, but any flag has this effect (`flags && … != 0`).
        None => refused(code::OP_NOT_APPLICABLE, WRITE_FLAGS),
    }
}

/// Evaluates an expression read, `[expression, flags]`.
pub fn read(bins: &[Bin], payload: &[u8], context: &Context<'_>) -> Result<Option<Particle>, u8> {
    let (term, flags) = operation(payload, EVAL_NO_FAIL, &Context { bins, ..*context })?;
    match to_particle(&term)? {
        Some(value) => Ok(Some(value)),
        None if matches!(term, Term::Nil) || flags & EVAL_NO_FAIL != 0 => Ok(None),
        None => Err(code::OP_NOT_APPLICABLE),
    }
}

/// The expression and its optional flags (`as_exp_op_parse`).
fn operation<'a>(payload: &'a [u8], known_flags: i64, context: &Context<'a>) -> Result<(Term<'a>, i64), u8> {
    let mut reader = Reader::new(payload);
    let items = array(&mut reader)?;
    if !(1..=2).contains(&items) {
        return Err(code::PARAMETER);
    }
    let term = eval(&mut reader, context, DEPTH_MAX)?;
    let flags = if items == 2 { int(&mut reader)? } else { 0 };
    if flags & !known_flags != 0 {
        return Err(code::PARAMETER);
    }
    Ok((term, flags))
}

/// The particle to store for a value. `None`: no bin can hold it. The error is a result code.
fn to_particle(term: &Term<'_>) -> Result<Option<Particle>, u8> {
    Ok(Some(match term {
        Term::Bool(value) => Particle::Bool(*value),
        Term::Int(value) => Particle::Integer(*value),
        Term::Float(value) => Particle::Float(*value),
        Term::Bytes(kind @ (particle::LIST | particle::MAP), bytes) => Particle::from_wire(*kind, bytes)?,
        Term::Bytes(kind, bytes) => Particle::Bytes(*kind, (*bytes).into()),
        Term::Nil | Term::Unknown(_) => return Ok(None),
    }))
}

fn array(reader: &mut Reader<'_>) -> Result<usize, u8> {
    match reader.u8() {
        Some(marker @ 0x90..=0x9f) => Ok(usize::from(marker & 0x0f)),
        Some(0xdc) => reader.u16().map(usize::from).ok_or(code::PARAMETER),
        _ => Err(code::PARAMETER),
    }
}

fn int(reader: &mut Reader<'_>) -> Result<i64, u8> {
    match scalar(reader)? {
        Term::Int(value) => Ok(value),
        _ => Err(code::PARAMETER),
    }
}

/// A constant. In a string, the first byte is the particle type.
fn scalar<'a>(reader: &mut Reader<'a>) -> Result<Term<'a>, u8> {
    scalar_or_none(reader).ok_or(code::PARAMETER)
}

fn scalar_or_none<'a>(reader: &mut Reader<'a>) -> Option<Term<'a>> {
    if let Some(0x80..=0x8f | 0xde | 0xdf) = reader.rest().first() {
        return Some(Term::Bytes(particle::MAP, container(reader)?));
    }
    let marker = reader.u8()?;
    Some(match marker {
        0x00..=0x7f => Term::Int(i64::from(marker)),
        0xe0..=0xff => Term::Int(i64::from(marker as i8)),
        0xc0 => Term::Nil,
        0xc2 => Term::Bool(false),
        0xc3 => Term::Bool(true),
        0xca => Term::Float(f64::from(f32::from_be_bytes(reader.array()?))),
        0xcb => Term::Float(f64::from_be_bytes(reader.array()?)),
        0xcc => Term::Int(i64::from(reader.u8()?)),
        0xcd => Term::Int(i64::from(reader.u16()?)),
        0xce => Term::Int(i64::from(reader.u32()?)),
        0xcf | 0xd3 => Term::Int(reader.u64()? as i64),
        0xd0 => Term::Int(i64::from(reader.u8()? as i8)),
        0xd1 => Term::Int(i64::from(reader.u16()? as i16)),
        0xd2 => Term::Int(i64::from(reader.u32()? as i32)),
        _ => {
            let (&kind, bytes) = raw_after(marker, reader)?.split_first()?;
            Term::Bytes(kind, bytes)
        }
    })
}

/// The bytes of a list or map literal.
fn container<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let before = reader.rest();
    msgpack::read(reader)?;
    Some(&before[..before.len() - reader.rest().len()])
}

/// A string without a particle type: the name of a bin.
fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], u8> {
    let marker = reader.u8().ok_or(code::PARAMETER)?;
    raw_after(marker, reader).ok_or(code::PARAMETER)
}

fn raw_after<'a>(marker: u8, reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = match marker {
        0xa0..=0xbf => usize::from(marker & 0x1f),
        0xc4 | 0xd9 => usize::from(reader.u8()?),
        0xc5 | 0xda => usize::from(reader.u16()?),
        0xc6 | 0xdb => reader.u32()? as usize,
        _ => return None,
    };
    reader.take(len)
}

fn eval<'a>(reader: &mut Reader<'a>, context: &Context<'a>, depth: usize) -> Result<Term<'a>, u8> {
    let depth = depth.checked_sub(1).ok_or(code::PARAMETER)?;
    if !matches!(reader.rest().first(), Some(0x90..=0x9f | 0xdc)) {
        return scalar(reader);
    }
    let args = array(reader)?.checked_sub(1).ok_or(code::PARAMETER)?;
    let what = int(reader)?;
    let next = |reader: &mut Reader<'a>| eval(reader, context, depth);
    let expect = |count: usize| if args == count { Ok(()) } else { Err(code::PARAMETER) };
    match what {
        call::UNKNOWN => expect(0).map(|()| Term::Unknown(Type::Any)),
        call::EQ..=call::LE => {
            expect(2)?;
            let (a, b) = (next(reader)?, next(reader)?);
            compare(what, &a, &b)
        }
        call::AND | call::OR | call::XOR => {
            if args < 2 {
                return Err(code::PARAMETER);
            }
            let mut truths = Truths::default();
            for _ in 0..args {
                truths.count(&next(reader)?)?;
            }
            Ok(truths.decide(what))
        }
        call::NOT => {
            expect(1)?;
            match next(reader)? {
                Term::Bool(value) => Ok(Term::Bool(!value)),
                Term::Unknown(Type::Bool | Type::Any) => Ok(Term::Unknown(Type::Bool)),
                _ => Err(code::PARAMETER),
            }
        }
        call::ADD | call::SUB | call::MUL | call::MIN | call::MAX => {
            if args < 2 {
                return Err(code::PARAMETER);
            }
            let mut result = next(reader)?;
            for _ in 1..args {
                result = calculate(what, &result, &next(reader)?)?;
            }
            Ok(result)
        }
        call::VOID_TIME => expect(0).map(|()| match context.void_time {
            0 => Term::Int(-1),
            seconds => Term::Int((i64::from(seconds) + 1_262_304_000) * 1_000_000_000),
        }),
        call::TTL => expect(0).map(|()| match context.void_time {
            0 => Term::Int(-1),
            seconds => Term::Int(i64::from(seconds) - i64::from(context.now)),
        }),
        call::BIN => {
            expect(2)?;
            let (kind, bin) = (int(reader)?, name(reader)?);
            read_bin(kind, super::ops::find(context.bins, bin))
        }
        call::BIN_TYPE => {
            expect(1)?;
            let bin = name(reader)?;
            let kind = super::ops::find(context.bins, bin).map_or(particle::NULL, Particle::kind);
            Ok(Term::Int(i64::from(kind)))
        }
        call::COND => {
            // condition, value, condition, value, ..., default.
            if args % 2 == 0 {
                return Err(code::PARAMETER);
            }
            let mut chosen: Option<Term<'a>> = None;
            for _ in 0..args / 2 {
                let (condition, value) = (next(reader)?, next(reader)?);
                if chosen.is_none() {
                    chosen = match condition {
                        Term::Bool(true) => Some(value),
                        Term::Bool(false) => None,
                        Term::Unknown(_) => Some(Term::Unknown(value.kind())),
                        _ => return Err(code::PARAMETER),
                    };
                }
            }
            let default = next(reader)?;
            Ok(chosen.unwrap_or(default))
        }
        call::QUOTE => {
            expect(1)?;
            if !matches!(reader.rest().first(), Some(0x90..=0x9f | 0xdc | 0xdd)) {
                return Err(code::PARAMETER);
            }
            let list = container(reader).ok_or(code::PARAMETER)?;
            Ok(Term::Bytes(particle::LIST, list))
        }
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

fn read_bin<'a>(kind: i64, particle: Option<&'a Particle>) -> Result<Term<'a>, u8> {
    // The numbers of expression types differ from those of particles.
    let kind = match kind {
        1 => Type::Bool,
        2 => Type::Int,
        3 => Type::Bytes(particle::STRING),
        4 => Type::Bytes(particle::LIST),
        5 => Type::Bytes(particle::MAP),
        6 => Type::Bytes(particle::BLOB),
        7 => Type::Float,
        8 => Type::Bytes(particle::GEOJSON),
        9 => Type::Bytes(particle::HLL),
        _ => return Err(code::PARAMETER),
    };
    let term = match particle {
        Some(Particle::Integer(value)) => Term::Int(*value),
        Some(Particle::Float(value)) => Term::Float(*value),
        Some(Particle::Bool(value)) => Term::Bool(*value),
        Some(Particle::Bytes(kind, bytes)) => Term::Bytes(*kind, bytes),
        None => Term::Unknown(kind),
    };
    Ok(if term.kind() == kind { term } else { Term::Unknown(kind) })
}

fn compare<'a>(what: i64, a: &Term<'a>, b: &Term<'a>) -> Result<Term<'a>, u8> {
    let (left, right) = (a.kind(), b.kind());
    if left != right && left != Type::Any && right != Type::Any {
        return Err(code::PARAMETER);
    }
    let order = match (a, b) {
        (Term::Nil, Term::Nil) => Some(std::cmp::Ordering::Equal),
        (Term::Bool(a), Term::Bool(b)) => Some(a.cmp(b)),
        (Term::Int(a), Term::Int(b)) => Some(a.cmp(b)),
        (Term::Float(a), Term::Float(b)) => match a.partial_cmp(b) {
            Some(order) => Some(order),
            // A NaN is unequal to everything.
            None => return Ok(Term::Bool(what == call::NE)),
        },
        (Term::Bytes(particle::LIST | particle::MAP, a), Term::Bytes(_, b)) => {
            let (a, b) = (msgpack::read_all(a), msgpack::read_all(b));
            Some(a.ok_or(code::PARAMETER)?.cmp(&b.ok_or(code::PARAMETER)?))
        }
        (Term::Bytes(_, a), Term::Bytes(_, b)) => Some(a.cmp(b)),
        _ => None,
    };
    let Some(order) = order else {
        return Ok(Term::Unknown(Type::Bool));
    };
    Ok(Term::Bool(match what {
        call::EQ => order.is_eq(),
        call::NE => order.is_ne(),
        call::GT => order.is_gt(),
        call::GE => order.is_ge(),
        call::LT => order.is_lt(),
        _ => order.is_le(),
    }))
}

fn calculate<'a>(what: i64, a: &Term<'a>, b: &Term<'a>) -> Result<Term<'a>, u8> {
    Ok(match (a, b) {
        (Term::Int(a), Term::Int(b)) => Term::Int(match what {
            call::ADD => a.wrapping_add(*b),
            call::SUB => a.wrapping_sub(*b),
            call::MUL => a.wrapping_mul(*b),
            call::MIN => *a.min(b),
            _ => *a.max(b),
        }),
        (Term::Float(a), Term::Float(b)) => Term::Float(match what {
            call::ADD => a + b,
            call::SUB => a - b,
            call::MUL => a * b,
            call::MIN => a.min(*b),
            _ => a.max(*b),
        }),
        (a, b) => match (a.kind(), b.kind()) {
            (kind @ (Type::Int | Type::Float | Type::Any), other) if kind == other || other == Type::Any => {
                Term::Unknown(kind)
            }
            (Type::Any, kind @ (Type::Int | Type::Float)) => Term::Unknown(kind),
            _ => return Err(code::PARAMETER),
        },
    })
}

#[derive(Default)]
struct Truths {
    yes: usize,
    no: usize,
    unknown: usize,
}

impl Truths {
    fn count(&mut self, term: &Term<'_>) -> Result<(), u8> {
        match term {
            Term::Bool(true) => self.yes += 1,
            Term::Bool(false) => self.no += 1,
            Term::Unknown(Type::Bool | Type::Any) => self.unknown += 1,
            _ => return Err(code::PARAMETER),
        }
        Ok(())
    }

    fn decide<'a>(&self, what: i64) -> Term<'a> {
        match what {
            call::AND if self.no > 0 => Term::Bool(false),
            call::OR if self.yes > 0 => Term::Bool(true),
            _ if self.unknown > 0 => Term::Unknown(Type::Bool),
            call::AND => Term::Bool(true),
            call::OR => Term::Bool(false),
            // Exclusive or: exactly one.
            _ => Term::Bool(self.yes == 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msgpack::Value;
    use crate::store::BinName;
    use proptest::prelude::*;

    fn bins() -> Vec<Bin> {
        [
            ("n", Value::Int(5)),
            ("s", Value::from("text")),
            ("f", Value::Float(0.5)),
            ("b", Value::Bool(true)),
        ]
        .iter()
        .map(|(name, value)| Bin {
            name: BinName::new(name.as_bytes()).unwrap(),
            particle: Particle::from_value(value),
        })
        .collect()
    }

    fn check(expression: &[u8]) -> Result<bool, u8> {
        matches(
            expression,
            &Context {
                bins: &bins(),
                void_time: 0,
                now: 0,
            },
        )
    }

    /// `[81, type, name]`
    fn bin(kind: u8, name: &str) -> Vec<u8> {
        [&[0x93, 81, kind, 0xa0 | name.len() as u8], name.as_bytes()].concat()
    }

    /// `[82, name]`
    fn bin_type(name: &str) -> Vec<u8> {
        [&[0x92, 82, 0xa0 | name.len() as u8], name.as_bytes()].concat()
    }

    fn call(what: u8, args: &[&[u8]]) -> Vec<u8> {
        [&[0x91 + args.len() as u8, what], args.concat().as_slice()].concat()
    }

    #[test]
    fn expressions_decide_as_the_server_does() {
        let string = |text: &str| [&[0xa1 + text.len() as u8, 3], text.as_bytes()].concat();
        let (n, absent) = (bin(2, "n"), bin(2, "gone"));
        let yes = call(1, &[&n, &[5]]);
        let no = call(1, &[&n, &[6]]);
        let unknown = call(1, &[&absent, &[5]]);
        let cases: Vec<(&str, Vec<u8>, Result<bool, u8>)> = vec![
            ("eq", yes.clone(), Ok(true)),
            ("ne", call(2, &[&n, &[5]]), Ok(false)),
            ("gt", call(3, &[&n, &[4]]), Ok(true)),
            ("ge", call(4, &[&n, &[5]]), Ok(true)),
            ("lt", call(5, &[&n, &[5]]), Ok(false)),
            ("le", call(6, &[&n, &[5]]), Ok(true)),
            ("negative", call(3, &[&n, &[0xff]]), Ok(true)),
            (
                "64 bits",
                call(5, &[&n, &[0xcf, 0x7f, 255, 255, 255, 255, 255, 255, 255]]),
                Ok(true),
            ),
            ("string", call(1, &[&bin(3, "s"), &string("text")]), Ok(true)),
            (
                "float",
                call(5, &[&bin(7, "f"), &[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]]),
                Ok(true),
            ),
            ("boolean", call(1, &[&bin(1, "b"), &[0xc3]]), Ok(true)),
            ("absent is unknown", unknown.clone(), Ok(false)),
            ("not unknown is unknown", call(18, &[&unknown]), Ok(false)),
            ("other type is unknown", call(1, &[&bin(2, "s"), &[5]]), Ok(false)),
            ("or", call(17, &[&no, &yes]), Ok(true)),
            ("or ignores unknown", call(17, &[&unknown, &yes]), Ok(true)),
            ("or of unknown and false", call(17, &[&unknown, &no]), Ok(false)),
            ("and", call(16, &[&yes, &yes]), Ok(true)),
            (
                "not (and of unknown and false)",
                call(18, &[&call(16, &[&unknown, &no])]),
                Ok(true),
            ),
            ("bin type", call(1, &[&bin_type("s"), &[3]]), Ok(true)),
            (
                "bin type of an absent bin",
                call(1, &[&bin_type("gone"), &[0]]),
                Ok(true),
            ),
            (
                "guard, absent",
                call(
                    17,
                    &[&call(2, &[&bin_type("g"), &[1]]), &call(5, &[&bin(2, "g"), &[9]])],
                ),
                Ok(true),
            ),
            (
                "guard, passed",
                call(
                    17,
                    &[&call(2, &[&bin_type("n"), &[1]]), &call(5, &[&bin(2, "n"), &[5]])],
                ),
                Ok(false),
            ),
            (
                "guard, of another type",
                call(
                    17,
                    &[&call(2, &[&bin_type("s"), &[1]]), &call(5, &[&bin(2, "s"), &[5]])],
                ),
                Ok(true),
            ),
            ("sum", call(1, &[&call(20, &[&n, &[2]]), &[7]]), Ok(true)),
            ("types that differ", call(1, &[&n, &string("5")]), Err(4)),
            ("no boolean", n.clone(), Err(4)),
            ("more behind it", [yes.as_slice(), &[1]].concat(), Err(4)),
            ("cut", yes[..yes.len() - 1].to_vec(), Err(4)),
            (
                "malformed behind the deciding operand",
                call(17, &[&yes, &[0xc1]]),
                Err(4),
            ),
            ("empty", vec![], Err(4)),
            ("regular expression", call(7, &[&[0], &string("a"), &n]), Err(16)),
        ];
        for (name, expression, expected) in cases {
            assert_eq!(check(&expression), expected, "{name}: {expression:02x?}");
        }
    }

    #[test]
    fn an_expression_write_keeps_its_flags() {
        let bins = bins();
        let context = Context {
            bins: &[],
            void_time: 0,
            now: 0,
        };
        let go = |name: &str, expression: &[u8], flags: u8| {
            let payload = [&[0x92], expression, &[flags]].concat();
            match write(&bins, name.as_bytes(), &payload, &context) {
                Ok(Write::Keep) => "keep".to_owned(),
                Ok(Write::Remove) => "remove".to_owned(),
                Ok(Write::Set(particle)) => format!("{:?}", particle.to_value()),
                Err(code) => code.to_string(),
            }
        };
        assert_eq!(go("x", &[7], 0), "Int(7)");
        assert_eq!(go("n", &[7], 1), "6");
        assert_eq!(go("n", &[7], 1 | 8), "keep");
        assert_eq!(go("x", &[7], 2), "17");
        assert_eq!(go("n", &[0xc0], 4), "remove");
        assert_eq!(go("n", &[0xc0], 0), "26");
        assert_eq!(go("n", &[0xc0], 8), "keep");
        assert_eq!(go("n", &[0xc0], 2), "keep", "any flag pardons");
        assert_eq!(go("x", &[0xc0], 0), "keep", "an absent bin stays absent");
        assert_eq!(go("x", &[7], 32), "4", "an unknown flag");
        assert_eq!(go("x", &[0x92, 126, 0x91, 1], 0), "List([Int(1)])");
        assert_eq!(go("x", &[0x81, 1, 2], 0), "Map([(Int(1), Int(2))])");
        assert_eq!(go("x", &[0x92, 126, 1], 0), "4", "a quoted integer");
        assert_eq!(go("n", &bin(2, "gone"), 0), "26");
        assert_eq!(go("n", &bin(2, "gone"), 16), "keep");
        assert_eq!(
            go("n", &call(123, &[&call(1, &[&bin(2, "n"), &[5]]), &[1], &[2]]), 0),
            "Int(1)"
        );
    }

    #[test]
    fn nesting_has_a_bound() {
        let mut deep: Vec<u8> = std::iter::repeat_n([0x92, 18], 100).flatten().collect();
        deep.push(0xc3);
        assert_eq!(check(&deep), Err(4));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = check(&bytes);
        }
    }
}
