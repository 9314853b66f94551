//! Lists and maps inside bins: the operations that the service sends, and a few with which tests read.
//!
//! A bin's list or map is unpacked, changed and packed again. This file has the common parts: calls and their arguments
//! (the table in `cdt.c`), ranges of indexes, and the kinds of answers. Not implemented: contexts (operations on nested
//! containers), ranks, intervals of keys and relative ranges. They answer 16, which the server never does, so a missing feature
//! is recognised.

mod list;
mod map;

use std::ops::Range;

use super::msgpack::{self, Value};
use super::store::Particle;
use super::wire::code;

/// The effect of an operation: the bin's new value (`None`: unchanged) and the result, if any.
#[derive(Debug, Default)]
pub struct Changed {
    pub value: Option<Particle>,
    pub result: Option<Particle>,
}

fn changed(value: &Value, result: Option<Value>) -> Changed {
    Changed {
        value: Some(Particle::from_value(value)),
        result: result.as_ref().map(Particle::from_value),
    }
}

/// The first number of a map operation. Lower numbers are for lists.
const FIRST_MAP_OPERATION: i64 = 64;
/// The first item of an operation on a nested container.
const CONTEXT: i64 = 0xff;

/// Applies an operation that writes. The error is a result code.
pub fn modify(existing: Option<&Particle>, payload: &[u8]) -> Result<Changed, u8> {
    let call = Call::parse(payload)?;
    if call.what < FIRST_MAP_OPERATION {
        list::modify(existing, &call)
    } else {
        map::modify(existing, &call)
    }
}

/// Answers an operation that reads.
pub fn read(existing: Option<&Particle>, payload: &[u8]) -> Result<Option<Particle>, u8> {
    let call = Call::parse(payload)?;
    let value = if call.what < FIRST_MAP_OPERATION {
        list::read(existing, &call)?
    } else {
        map::read(existing, &call)?
    };
    Ok(value
        .filter(|value| !matches!(value, Value::Nil))
        .as_ref()
        .map(Particle::from_value))
}

/// An operation's number and arguments.
struct Call {
    what: i64,
    args: Vec<Value>,
}

/// The required type of an argument.
#[derive(Clone, Copy, PartialEq)]
enum Param {
    /// An integer.
    Index,
    /// An integer that is not negative: flags and counts.
    Unsigned,
    /// Any value.
    Value,
    /// A value that a bin can hold.
    Stored,
}

impl Call {
    fn parse(payload: &[u8]) -> Result<Self, u8> {
        let Some(Value::List(items)) = msgpack::read_all(payload) else {
            return Err(code::PARAMETER);
        };
        let mut items = items.into_iter();
        match items.next() {
            Some(Value::Int(CONTEXT)) => Err(code::UNSUPPORTED_FEATURE),
            Some(Value::Int(what)) => Ok(Call {
                what,
                args: items.collect(),
            }),
            _ => Err(code::PARAMETER),
        }
    }

    /// Checks the types of the arguments. The last `optional` ones may be missing (`cdt_process_state_get_params`).
    fn expect(&self, optional: usize, params: &[Param]) -> Result<(), u8> {
        let counts = params.len() - optional..=params.len();
        let fits = |(param, arg): (&Param, &Value)| match (param, arg) {
            (Param::Value, _) | (Param::Index, Value::Int(_)) => true,
            (Param::Stored, value) => value.is_storable(),
            (Param::Unsigned, Value::Int(value)) => *value >= 0,
            _ => false,
        };
        if counts.contains(&self.args.len()) && params.iter().zip(&self.args).all(fits) {
            Ok(())
        } else {
            Err(code::PARAMETER)
        }
    }

    fn arg(&self, at: usize) -> Result<&Value, u8> {
        self.args.get(at).ok_or(code::PARAMETER)
    }

    fn int(&self, at: usize) -> Result<i64, u8> {
        self.arg(at)?.as_int().ok_or(code::PARAMETER)
    }

    fn int_or(&self, at: usize, default: i64) -> Result<i64, u8> {
        if at < self.args.len() {
            self.int(at)
        } else {
            Ok(default)
        }
    }

    /// A range of indexes in `len` elements. The argument at `at` is the index, the next one the count.
    fn range(&self, at: usize, len: usize) -> Result<Range<usize>, u8> {
        Ok(range(len, self.int(at)?, self.int_or(at + 1, i64::MAX)?))
    }
}

/// An index that must exist. Negative indexes count from the end.
fn index(len: usize, at: i64) -> Result<usize, u8> {
    let at = if at < 0 { at.saturating_add(len as i64) } else { at };
    usize::try_from(at)
        .ok()
        .filter(|at| *at < len)
        .ok_or(code::OP_NOT_APPLICABLE)
}

/// A range of indexes, cut to the existing elements; never an error (`calc_index_count_multi`). If the index is before
/// the first element, the missing elements count too: the last five of three elements are all three.
fn range(len: usize, at: i64, count: i64) -> Range<usize> {
    let len = len as i64;
    let from = if at < 0 { at.saturating_add(len) } else { at };
    let to = from.saturating_add(count.max(0)).clamp(0, len);
    let from = from.clamp(0, len);
    from as usize..to.max(from) as usize
}

/// The result that an operation must return.
struct Returns {
    kind: i64,
    /// The operation selects the elements outside of the range, for the result and for removal.
    inverted: bool,
}

impl Returns {
    const NONE: i64 = 0;
    const INDEX: i64 = 1;
    const REVERSE_INDEX: i64 = 2;
    const COUNT: i64 = 5;
    const KEY: i64 = 6;
    const VALUE: i64 = 7;
    const KEY_VALUE: i64 = 8;
    const EXISTS: i64 = 13;
    const UNORDERED_MAP: i64 = 16;
    const ORDERED_MAP: i64 = 17;

    fn new(flags: i64) -> Self {
        Returns {
            kind: flags & 0xffff,
            inverted: flags & 0x1_0000 != 0,
        }
    }

    /// Splits the items into the selected ones, with their indexes, and the others.
    fn divide<T>(&self, items: Vec<T>, range: &Range<usize>) -> (Vec<(usize, T)>, Vec<T>) {
        let (meant, others): (Vec<_>, Vec<_>) = items
            .into_iter()
            .enumerate()
            .partition(|(at, _)| range.contains(at) != self.inverted);
        (meant, others.into_iter().map(|(_, item)| item).collect())
    }

    /// The result, if it is about indexes or counts. `None`: the result contains the elements themselves.
    fn of_indexes<T>(&self, meant: &[(usize, T)], len: usize) -> Option<Option<Value>> {
        let indexes = |index: &dyn Fn(usize) -> usize| {
            let index = |(at, _): &(usize, T)| Value::Int(index(*at) as i64);
            Some(Value::List(meant.iter().map(index).collect()))
        };
        Some(match self.kind {
            Returns::NONE => None,
            Returns::COUNT => Some(Value::Int(meant.len() as i64)),
            Returns::EXISTS => Some(Value::Bool(!meant.is_empty())),
            Returns::INDEX => indexes(&|at| at),
            Returns::REVERSE_INDEX => indexes(&|at| len - 1 - at),
            _ => return None,
        })
    }
}

/// The amount of an increment: 1 if it is missing. The error is a result code.
fn delta(call: &Call, at: usize) -> Result<Value, u8> {
    match call.args.get(at) {
        None | Some(Value::Nil) => Ok(Value::Int(1)),
        Some(delta @ (Value::Int(_) | Value::Float(_))) => Ok(delta.clone()),
        Some(_) => Err(code::PARAMETER),
    }
}

/// The element keeps its type. If it is not a number, that is a parameter error, not a type error
/// (`cdt_calc_delta_add`).
fn add(value: &Value, by: &Value) -> Result<Value, u8> {
    match (value, by) {
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_add(*b))),
        (Value::Int(a), Value::Float(b)) => Ok(Value::Int(a.wrapping_add(*b as i64))),
        (Value::Float(a), Value::Int(b)) => Ok(Value::Float(a + *b as f64)),
        (Value::Float(a), Value::Float(b)) => Ok(Value::Float(a + b)),
        _ => Err(code::PARAMETER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ints(values: &[i64]) -> Value {
        Value::List(values.iter().map(|value| Value::Int(*value)).collect())
    }

    fn pack(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        msgpack::write(&mut out, value);
        out
    }

    fn go(start: Option<Value>, call: &[Value]) -> Result<(Option<Value>, Option<Value>), u8> {
        let start = start.as_ref().map(Particle::from_value);
        let changed = modify(start.as_ref(), &pack(&Value::List(call.to_vec())))?;
        Ok((
            changed.value.map(|value| value.to_value()),
            changed.result.map(|value| value.to_value()),
        ))
    }

    #[test]
    fn lists_change_as_the_server_does() {
        let int = Value::Int;
        let cases = [
            (
                "append creates",
                None,
                vec![int(1), int(9), int(0), int(0)],
                Ok((Some(ints(&[9])), Some(int(1)))),
            ),
            (
                "append",
                Some(ints(&[1])),
                vec![int(1), int(9)],
                Ok((Some(ints(&[1, 9])), Some(int(2)))),
            ),
            (
                "append items",
                Some(ints(&[1])),
                vec![int(2), ints(&[2, 3])],
                Ok((Some(ints(&[1, 2, 3])), Some(int(3)))),
            ),
            (
                "unique",
                Some(ints(&[1])),
                vec![int(1), int(1), int(0), int(1)],
                Err(24),
            ),
            (
                "unique, no fail",
                Some(ints(&[1])),
                vec![int(1), int(1), int(0), int(5)],
                Ok((Some(ints(&[1])), Some(int(1)))),
            ),
            (
                "insert",
                Some(ints(&[1, 3])),
                vec![int(3), int(1), int(2)],
                Ok((Some(ints(&[1, 2, 3])), Some(int(3)))),
            ),
            (
                "trim keeps the last two",
                Some(ints(&[1, 2, 3])),
                vec![int(10), int(-2), int(2)],
                Ok((Some(ints(&[2, 3])), Some(int(1)))),
            ),
            (
                "trim of a short list",
                Some(ints(&[1])),
                vec![int(10), int(-5), int(5)],
                Ok((Some(ints(&[1])), Some(int(0)))),
            ),
            (
                "pop",
                Some(ints(&[1, 2])),
                vec![int(5), int(-1)],
                Ok((Some(ints(&[1])), Some(int(2)))),
            ),
            ("pop outside", Some(ints(&[1])), vec![int(5), int(3)], Err(26)),
            (
                "remove range",
                Some(ints(&[1, 2, 3])),
                vec![int(8), int(1), int(9)],
                Ok((Some(ints(&[1])), Some(int(2)))),
            ),
            ("remove on nothing", None, vec![int(7), int(0)], Ok((None, None))),
            (
                "set",
                Some(ints(&[1])),
                vec![int(9), int(0), int(5)],
                Ok((Some(ints(&[5])), None)),
            ),
            (
                "increment",
                Some(ints(&[1])),
                vec![int(12), int(0), int(5)],
                Ok((Some(ints(&[6])), Some(int(6)))),
            ),
            ("clear", Some(ints(&[1])), vec![int(11)], Ok((Some(ints(&[])), None))),
            (
                "a map is no list",
                Some(Value::Map(vec![])),
                vec![int(1), int(9)],
                Err(12),
            ),
            (
                "nested",
                Some(ints(&[1])),
                vec![int(0xff), ints(&[0x10, 0]), ints(&[1, 2])],
                Err(16),
            ),
            ("by rank", Some(ints(&[1])), vec![int(39), int(0), int(0)], Err(16)),
            ("without operand", Some(ints(&[1])), vec![int(1)], Err(4)),
            (
                "operands to spare",
                Some(ints(&[1])),
                vec![int(10), int(1), int(1), int(1)],
                Err(4),
            ),
            (
                "a negative count",
                Some(ints(&[1])),
                vec![int(10), int(0), int(-1)],
                Err(4),
            ),
            (
                "any operands on nothing",
                None,
                vec![int(10), Value::Nil],
                Ok((None, None)),
            ),
            (
                "increment of a string",
                Some(Value::List(vec![Value::from("x")])),
                vec![int(12), int(0), int(1)],
                Err(4),
            ),
        ];
        for (name, start, call, expected) in cases {
            assert_eq!(go(start, &call), expected, "{name}");
        }
    }

    #[test]
    fn maps_change_as_the_server_does() {
        let int = Value::Int;
        let k = || Value::from("k");
        let map = |value: i64| Value::Map(vec![(Value::from("k"), Value::Int(value))]);
        let cases = [
            (
                "put creates",
                None,
                vec![int(67), k(), int(1), int(0)],
                Ok((Some(map(1)), Some(int(1)))),
            ),
            (
                "put ordered",
                None,
                vec![int(67), k(), int(1), int(1)],
                Ok((Some(Value::OrderedMap(1, vec![(k(), int(1))])), Some(int(1)))),
            ),
            (
                "put of a value left out",
                None,
                vec![int(67), k(), int(0)],
                Ok((Some(map(0)), Some(int(1)))),
            ),
            (
                "create only",
                Some(map(1)),
                vec![int(67), k(), int(2), int(0), int(1)],
                Err(24),
            ),
            (
                "create only, no fail",
                Some(map(1)),
                vec![int(67), k(), int(2), int(0), int(5)],
                Ok((Some(map(1)), Some(int(1)))),
            ),
            ("update only", None, vec![int(67), k(), int(2), int(0), int(2)], Err(23)),
            (
                "increment creates",
                None,
                vec![int(73), k(), int(3), int(0)],
                Ok((Some(map(3)), Some(int(3)))),
            ),
            (
                "increment",
                Some(map(1)),
                vec![int(73), k(), int(3), int(0)],
                Ok((Some(map(4)), Some(int(4)))),
            ),
            (
                "decrement",
                Some(map(1)),
                vec![int(74), k(), int(3), int(0)],
                Ok((Some(map(-2)), Some(int(-2)))),
            ),
            (
                "increment a string",
                Some(Value::Map(vec![(k(), Value::from("x"))])),
                vec![int(73), k(), int(3), int(0)],
                Err(4),
            ),
            (
                "increment by a string",
                Some(map(1)),
                vec![int(73), k(), Value::from("x"), int(0)],
                Err(4),
            ),
            (
                "a key of a float",
                None,
                vec![int(67), Value::Float(0.5), int(1), int(0)],
                Err(4),
            ),
            (
                "remove",
                Some(map(1)),
                vec![int(76), int(7), k()],
                Ok((Some(Value::Map(vec![])), Some(int(1)))),
            ),
            (
                "update only, of an entry",
                Some(map(1)),
                vec![int(67), k(), int(2), int(1), int(2)],
                Ok((Some(map(2)), Some(int(1)))),
            ),
            (
                "remove by value, without the end",
                Some(map(5)),
                vec![int(86), int(5), int(0), int(5)],
                Ok((Some(map(5)), Some(int(0)))),
            ),
            (
                "remove by value",
                Some(map(5)),
                vec![int(86), int(0), int(0), int(6)],
                Ok((Some(Value::Map(vec![])), None)),
            ),
            (
                "remove by value, all but",
                Some(map(5)),
                vec![int(86), int(0x1_0005), int(5), int(6)],
                Ok((Some(map(5)), Some(int(0)))),
            ),
            (
                "remove by value, on nothing",
                None,
                vec![int(86), int(0), int(0), int(6)],
                Ok((None, None)),
            ),
            (
                "a list is no map",
                Some(ints(&[])),
                vec![int(67), k(), int(1), int(0)],
                Err(12),
            ),
        ];
        for (name, start, call, expected) in cases {
            assert_eq!(go(start, &call), expected, "{name}");
        }
    }

    /// Calls `[operation, return type, index, count]` on `len` elements. Returns what is left and the answer.
    fn take(operation: i64, len: i64, returns: i64, index: i64, count: i64) -> (Vec<i64>, Value) {
        let elements = 0..len;
        let start = match operation {
            85 => Value::Map(elements.map(|at| (Value::Int(at), Value::from("v"))).collect()),
            _ => Value::List(elements.map(Value::Int).collect()),
        };
        let call = [operation, returns, index, count].map(Value::Int);
        let (left, result) = go(Some(start), &call).unwrap();
        let left = left.unwrap();
        let left = match left.as_map() {
            Some(entries) => entries.iter().filter_map(|(key, _)| key.as_int()).collect(),
            None => left.as_list().unwrap().iter().filter_map(Value::as_int).collect(),
        };
        (left, result.unwrap_or(Value::Nil))
    }

    #[test]
    fn an_inverted_range_takes_what_is_outside_it() {
        const INVERTED: i64 = 0x1_0000;
        for operation in [37, 85] {
            let take = |len, returns, index, count| take(operation, len, returns, index, count);
            assert_eq!(take(5, 0, 1, 2), (vec![0, 3, 4], Value::Nil));
            assert_eq!(take(5, INVERTED, 1, 2), (vec![1, 2], Value::Nil));
            assert_eq!(take(5, INVERTED | 5, 1, 2), (vec![1, 2], Value::Int(3)));
            assert_eq!(take(5, INVERTED | 1, 1, 2), (vec![1, 2], ints(&[0, 3, 4])));
            assert_eq!(take(5, INVERTED | 2, 1, 2), (vec![1, 2], ints(&[4, 1, 0])));
            assert_eq!(take(5, INVERTED | 13, 1, 2), (vec![1, 2], Value::Bool(true)));
            // The last three elements: of more than three, of three, of fewer and of none.
            for len in 0..6 {
                let kept: Vec<i64> = ((len - 3).max(0)..len).collect();
                let removed = Value::Int((len - 3).max(0));
                assert_eq!(take(len, INVERTED | 5, -3, 3), (kept, removed), "{len} of {operation}");
            }
            // An empty range: all elements are outside of it.
            assert_eq!(take(3, INVERTED, 9, 2), (vec![], Value::Nil));
            assert_eq!(take(3, INVERTED, -9, 2), (vec![], Value::Nil));
            assert_eq!(take(3, 5, -9, 2), (vec![0, 1, 2], Value::Int(0)));
        }
        assert_eq!(take(37, 5, INVERTED | 7, 1, 3), (vec![1, 2, 3], ints(&[0, 4])));
        assert_eq!(take(85, 5, INVERTED | 6, 1, 3), (vec![1, 2, 3], ints(&[0, 4])));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(what in -2i64..110, args in proptest::collection::vec(-3i64..20, 0..5), list in any::<bool>()) {
            let start = if list { ints(&[1, 2, 3]) } else { Value::Map(vec![(Value::Int(1), Value::Int(2))]) };
            let call: Vec<Value> = std::iter::once(what).chain(args).map(Value::Int).collect();
            let _ = go(Some(start.clone()), &call);
            let _ = go(None, &call);
            let _ = read(Some(&Particle::from_value(&start)), &pack(&Value::List(call)));
        }
    }
}
