//! Lists and maps inside bins: the operations on them that the service sends, and a few that tests read with.
//!
//! A bin's list or map is unpacked, changed and packed again. Not there: contexts (operations on nested containers),
//! ranks, intervals and relative ranges; they answer 16, which the server does not, so that a gap is seen as one.

use super::msgpack::{self, Value};
use super::store::Particle;
use super::wire::code;

/// What an operation leaves: the bin's new value (`None`: as it was) and the result, where it has one.
#[derive(Debug, Default)]
pub struct Changed {
    pub value: Option<Particle>,
    pub result: Option<Particle>,
}

mod list {
    pub const SET_TYPE: i64 = 0;
    pub const APPEND: i64 = 1;
    pub const APPEND_ITEMS: i64 = 2;
    pub const INSERT: i64 = 3;
    pub const INSERT_ITEMS: i64 = 4;
    pub const POP: i64 = 5;
    pub const POP_RANGE: i64 = 6;
    pub const REMOVE: i64 = 7;
    pub const REMOVE_RANGE: i64 = 8;
    pub const SET: i64 = 9;
    pub const TRIM: i64 = 10;
    pub const CLEAR: i64 = 11;
    pub const INCREMENT: i64 = 12;
    pub const SIZE: i64 = 16;
    pub const GET: i64 = 17;
    pub const GET_RANGE: i64 = 18;
    pub const GET_BY_INDEX_RANGE: i64 = 24;
    pub const REMOVE_BY_INDEX_RANGE: i64 = 37;

    pub const ADD_UNIQUE: i64 = 1;
    pub const INSERT_BOUNDED: i64 = 2;
    pub const NO_FAIL: i64 = 4;
    pub const PARTIAL: i64 = 8;
}

mod map {
    pub const SET_TYPE: i64 = 64;
    pub const PUT: i64 = 67;
    pub const PUT_ITEMS: i64 = 68;
    pub const INCREMENT: i64 = 73;
    pub const DECREMENT: i64 = 74;
    pub const CLEAR: i64 = 75;
    pub const REMOVE_BY_KEY: i64 = 76;
    pub const REMOVE_BY_INDEX_RANGE: i64 = 85;
    pub const SIZE: i64 = 96;
    pub const GET_BY_KEY: i64 = 97;

    pub const CREATE_ONLY: i64 = 1;
    pub const UPDATE_ONLY: i64 = 2;
    pub const NO_FAIL: i64 = 4;
    pub const PARTIAL: i64 = 8;
}

/// The first number of a map operation; lists have those below.
const FIRST_MAP_OPERATION: i64 = 64;

/// What a range operation answers with. The inverted flag is not there.
const RETURN_NONE: i64 = 0;
const RETURN_COUNT: i64 = 5;
const RETURN_KEY: i64 = 6;
const RETURN_VALUE: i64 = 7;
const RETURN_MAP: i64 = 8;
const RETURN_EXISTS: i64 = 13;

struct Call {
    what: i64,
    args: Vec<Value>,
}

fn parse(payload: &[u8]) -> Result<Call, u8> {
    let Some(Value::List(items)) = msgpack::read_all(payload) else {
        return Err(code::PARAMETER);
    };
    let mut items = items.into_iter();
    match items.next() {
        // The first item of an operation on a nested container.
        Some(Value::Int(0xff)) => Err(code::UNSUPPORTED_FEATURE),
        Some(Value::Int(what)) => Ok(Call {
            what,
            args: items.collect(),
        }),
        _ => Err(code::PARAMETER),
    }
}

impl Call {
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
}

/// A list or a map, taken apart.
struct Items<T> {
    order: u8,
    items: Vec<T>,
}

type ListItems = Items<Value>;
type MapItems = Items<(Value, Value)>;

fn list_of(existing: Option<&Particle>) -> Result<Option<ListItems>, u8> {
    match existing.map(Particle::to_value) {
        None => Ok(None),
        Some(Value::List(items)) => Ok(Some(Items { order: 0, items })),
        Some(Value::OrderedList(order, items)) => Ok(Some(Items { order, items })),
        Some(_) => Err(code::INCOMPATIBLE_TYPE),
    }
}

fn map_of(existing: Option<&Particle>) -> Result<Option<MapItems>, u8> {
    match existing.map(Particle::to_value) {
        None => Ok(None),
        Some(Value::Map(items)) => Ok(Some(Items { order: 0, items })),
        Some(Value::OrderedMap(order, items)) => Ok(Some(Items { order, items })),
        Some(_) => Err(code::INCOMPATIBLE_TYPE),
    }
}

impl ListItems {
    fn value(mut self) -> Value {
        if self.order == 0 {
            return Value::List(self.items);
        }
        self.items.sort();
        Value::OrderedList(self.order, self.items)
    }
}

impl MapItems {
    fn value(self) -> Value {
        if self.order == 0 {
            Value::Map(self.items)
        } else {
            Value::OrderedMap(self.order, self.items)
        }
    }

    fn find(&self, key: &Value) -> Result<usize, usize> {
        self.items.binary_search_by(|(candidate, _)| candidate.cmp(key))
    }
}

fn changed(value: &Value, result: Option<Value>) -> Changed {
    Changed {
        value: Some(Particle::from_value(value)),
        result: result.as_ref().map(Particle::from_value),
    }
}

/// Applies an operation that writes. The error is a result code.
pub fn modify(existing: Option<&Particle>, payload: &[u8]) -> Result<Changed, u8> {
    let call = parse(payload)?;
    if call.what < FIRST_MAP_OPERATION {
        modify_list(list_of(existing)?, &call)
    } else {
        modify_map(map_of(existing)?, &call)
    }
}

/// Answers an operation that reads.
pub fn read(existing: Option<&Particle>, payload: &[u8]) -> Result<Option<Particle>, u8> {
    let call = parse(payload)?;
    let value = match call.what {
        list::SIZE | list::GET | list::GET_RANGE | list::GET_BY_INDEX_RANGE => {
            let Some(list) = list_of(existing)? else {
                return Ok(None);
            };
            read_list(&list.items, &call)?
        }
        map::SIZE | map::GET_BY_KEY => {
            let Some(map) = map_of(existing)? else { return Ok(None) };
            read_map(&map, &call)?
        }
        _ => return Err(code::UNSUPPORTED_FEATURE),
    };
    Ok(value
        .filter(|value| !matches!(value, Value::Nil))
        .as_ref()
        .map(Particle::from_value))
}

fn read_list(items: &[Value], call: &Call) -> Result<Option<Value>, u8> {
    Ok(match call.what {
        list::SIZE => Some(Value::Int(items.len() as i64)),
        list::GET => Some(items[index(items.len(), call.int(0)?)?].clone()),
        list::GET_RANGE => {
            let (from, to) = range(items.len(), call.int(0)?, call.int_or(1, i64::MAX)?);
            Some(Value::List(items[from..to].to_vec()))
        }
        _ => {
            let (from, to) = range(items.len(), call.int(1)?, call.int_or(2, i64::MAX)?);
            list_result(call.int(0)?, &items[from..to])?
        }
    })
}

fn list_result(kind: i64, items: &[Value]) -> Result<Option<Value>, u8> {
    match kind {
        RETURN_NONE => Ok(None),
        RETURN_COUNT => Ok(Some(Value::Int(items.len() as i64))),
        RETURN_VALUE => Ok(Some(Value::List(items.to_vec()))),
        RETURN_EXISTS => Ok(Some(Value::Bool(!items.is_empty()))),
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

fn read_map(map: &MapItems, call: &Call) -> Result<Option<Value>, u8> {
    if call.what == map::SIZE {
        return Ok(Some(Value::Int(map.items.len() as i64)));
    }
    let found = map.find(call.arg(1)?).ok().map(|at| &map.items[at]);
    map_result(call.int(0)?, found)
}

fn map_result(kind: i64, found: Option<&(Value, Value)>) -> Result<Option<Value>, u8> {
    match kind {
        RETURN_NONE => Ok(None),
        RETURN_COUNT => Ok(Some(Value::Int(i64::from(found.is_some())))),
        RETURN_EXISTS => Ok(Some(Value::Bool(found.is_some()))),
        RETURN_KEY => Ok(found.map(|(key, _)| key.clone())),
        RETURN_VALUE => Ok(found.map(|(_, value)| value.clone())),
        RETURN_MAP => Ok(Some(Value::Map(found.into_iter().cloned().collect()))),
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

/// An index that must be inside; negative ones count from the end.
fn index(len: usize, at: i64) -> Result<usize, u8> {
    let at = if at < 0 { at + len as i64 } else { at };
    usize::try_from(at)
        .ok()
        .filter(|at| *at < len)
        .ok_or(code::OP_NOT_APPLICABLE)
}

/// A range of indexes, cut to what is there.
fn range(len: usize, at: i64, count: i64) -> (usize, usize) {
    let len = len as i64;
    let from = if at < 0 { at.saturating_add(len) } else { at };
    let to = from.saturating_add(count.max(0)).clamp(0, len);
    let from = from.clamp(0, len);
    (from as usize, to.max(from) as usize)
}

fn modify_list(list: Option<ListItems>, call: &Call) -> Result<Changed, u8> {
    let creates = matches!(
        call.what,
        list::SET_TYPE
            | list::APPEND
            | list::APPEND_ITEMS
            | list::INSERT
            | list::INSERT_ITEMS
            | list::SET
            | list::INCREMENT
    );
    let Some(mut list) = list.or_else(|| {
        creates.then_some(Items {
            order: 0,
            items: Vec::new(),
        })
    }) else {
        // Nothing there to take from: the server leaves the bin out and answers without a result.
        return Ok(Changed::default());
    };
    let len = list.items.len();
    let result = match call.what {
        list::SET_TYPE => {
            list.order = call.int(0)? as u8 & 1;
            None
        }
        list::APPEND => {
            insert(&mut list, len as i64, std::slice::from_ref(call.arg(0)?), call, 1)?;
            Some(Value::Int(list.items.len() as i64))
        }
        list::APPEND_ITEMS => {
            insert(
                &mut list,
                len as i64,
                call.arg(0)?.as_list().ok_or(code::PARAMETER)?,
                call,
                1,
            )?;
            Some(Value::Int(list.items.len() as i64))
        }
        list::INSERT => {
            insert(
                &mut list,
                call.int(0)?,
                std::slice::from_ref(call.arg(1)?),
                call,
                usize::MAX,
            )?;
            Some(Value::Int(list.items.len() as i64))
        }
        list::INSERT_ITEMS => {
            insert(
                &mut list,
                call.int(0)?,
                call.arg(1)?.as_list().ok_or(code::PARAMETER)?,
                call,
                usize::MAX,
            )?;
            Some(Value::Int(list.items.len() as i64))
        }
        list::POP => Some(list.items.remove(index(len, call.int(0)?)?)),
        list::REMOVE => {
            list.items.remove(index(len, call.int(0)?)?);
            Some(Value::Int(1))
        }
        list::POP_RANGE => {
            let (from, to) = range(len, call.int(0)?, call.int_or(1, i64::MAX)?);
            Some(Value::List(list.items.drain(from..to).collect()))
        }
        list::REMOVE_RANGE => {
            let (from, to) = range(len, call.int(0)?, call.int_or(1, i64::MAX)?);
            Some(Value::Int(list.items.drain(from..to).count() as i64))
        }
        list::REMOVE_BY_INDEX_RANGE => {
            let (from, to) = range(len, call.int(1)?, call.int_or(2, i64::MAX)?);
            let removed: Vec<Value> = list.items.drain(from..to).collect();
            list_result(call.int(0)?, &removed)?
        }
        list::TRIM => {
            let (from, to) = range(len, call.int(0)?, call.int_or(1, i64::MAX)?);
            list.items.truncate(to);
            list.items.drain(..from);
            // The number of items removed.
            Some(Value::Int((len - list.items.len()) as i64))
        }
        list::SET => {
            let (at, value) = (call.int(0)?, call.arg(1)?.clone());
            pad(&mut list.items, at, call.int_or(2, 0)?)?;
            let len = list.items.len();
            if at == len as i64 {
                list.items.push(value);
            } else {
                list.items[index(len, at)?] = value;
            }
            None
        }
        list::INCREMENT => {
            let (at, by) = (
                call.int(0)?,
                if call.args.len() > 1 {
                    call.arg(1)?.clone()
                } else {
                    Value::Int(1)
                },
            );
            if at == len as i64 {
                list.items.push(Value::Int(0));
            }
            let at = index(list.items.len(), at)?;
            list.items[at] = add(&list.items[at], &by)?;
            Some(list.items[at].clone())
        }
        list::CLEAR => {
            list.items.clear();
            None
        }
        _ => return Err(code::UNSUPPORTED_FEATURE),
    };
    Ok(changed(&list.value(), result))
}

/// Fills a list with nil up to `at`, unless that is forbidden.
fn pad(items: &mut Vec<Value>, at: i64, flags: i64) -> Result<(), u8> {
    let Ok(wanted) = usize::try_from(at) else { return Ok(()) };
    if wanted > items.len() {
        if flags & list::INSERT_BOUNDED != 0 || wanted > 1 << 20 {
            return Err(code::OP_NOT_APPLICABLE);
        }
        items.resize(wanted, Value::Nil);
    }
    Ok(())
}

/// `order_at`: where the call's arguments hold the order of a list to be created; flags follow it, or stand there alone.
fn insert(target: &mut ListItems, at: i64, items: &[Value], call: &Call, order_at: usize) -> Result<(), u8> {
    let flags = match order_at.checked_add(1) {
        Some(flags_at) => {
            if target.items.is_empty() && target.order == 0 {
                target.order = call.int_or(order_at, 0)? as u8 & 1;
            }
            call.int_or(flags_at, 0)?
        }
        None => call.int_or(2, 0)?,
    };
    let mut at = if at < 0 { at + target.items.len() as i64 } else { at };
    if at < 0 {
        return Err(code::OP_NOT_APPLICABLE);
    }
    if flags & list::INSERT_BOUNDED != 0 && at > target.items.len() as i64 {
        return if flags & list::NO_FAIL != 0 {
            Ok(())
        } else {
            Err(code::OP_NOT_APPLICABLE)
        };
    }
    pad(&mut target.items, at, 0)?;
    let before = target.items.clone();
    for item in items {
        if flags & list::ADD_UNIQUE != 0 && target.items.contains(item) {
            match (flags & list::NO_FAIL != 0, flags & list::PARTIAL != 0) {
                (true, true) => continue,
                (true, false) => {
                    target.items = before;
                    return Ok(());
                }
                _ => return Err(code::ELEMENT_EXISTS),
            }
        }
        target.items.insert(at as usize, item.clone());
        at += 1;
    }
    Ok(())
}

fn add(value: &Value, by: &Value) -> Result<Value, u8> {
    match (value, by) {
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_add(*b))),
        (Value::Int(a), Value::Float(b)) => Ok(Value::Int(a.wrapping_add(*b as i64))),
        (Value::Float(a), Value::Int(b)) => Ok(Value::Float(a + *b as f64)),
        (Value::Float(a), Value::Float(b)) => Ok(Value::Float(a + b)),
        _ => Err(code::INCOMPATIBLE_TYPE),
    }
}

fn modify_map(map: Option<MapItems>, call: &Call) -> Result<Changed, u8> {
    // Where the order of a map to be created stands among the arguments. They go by position (`cdt.c`): a client that
    // leaves a nil value out has its order taken for the value.
    let order_at = match call.what {
        map::SET_TYPE => Some(0),
        map::PUT_ITEMS => Some(1),
        map::PUT | map::INCREMENT | map::DECREMENT => Some(2),
        _ => None,
    };
    let created = match order_at {
        Some(at) => Some(Items {
            order: call.int_or(at, 0)? as u8 & 3,
            items: Vec::new(),
        }),
        None => None,
    };
    let Some(mut map) = map.or(created) else {
        return Ok(Changed::default());
    };
    let size = |map: &MapItems| Some(Value::Int(map.items.len() as i64));
    let result = match call.what {
        map::SET_TYPE => {
            map.order = call.int(0)? as u8 & 3;
            None
        }
        map::PUT => {
            let entry = (call.arg(0)?.clone(), call.arg(1)?.clone());
            put(&mut map, vec![entry], call.int_or(3, 0)?)?;
            size(&map)
        }
        map::PUT_ITEMS => {
            let entries = call.arg(0)?.as_map().ok_or(code::PARAMETER)?.to_vec();
            put(&mut map, entries, call.int_or(2, 0)?)?;
            size(&map)
        }
        map::INCREMENT | map::DECREMENT => {
            let by = call.args.get(1).cloned().unwrap_or(Value::Int(1));
            let by = match (call.what, by) {
                (map::DECREMENT, Value::Int(by)) => Value::Int(by.wrapping_neg()),
                (map::DECREMENT, Value::Float(by)) => Value::Float(-by),
                (_, by @ (Value::Int(_) | Value::Float(_))) => by,
                _ => return Err(code::PARAMETER),
            };
            let key = call.arg(0)?;
            let value = match map.find(key) {
                Ok(at) => {
                    map.items[at].1 = add(&map.items[at].1, &by)?;
                    map.items[at].1.clone()
                }
                Err(at) => {
                    map.items.insert(at, (key.clone(), by.clone()));
                    by
                }
            };
            Some(value)
        }
        map::CLEAR => {
            map.items.clear();
            None
        }
        map::REMOVE_BY_KEY => {
            let removed = map.find(call.arg(1)?).ok().map(|at| map.items.remove(at));
            map_result(call.int(0)?, removed.as_ref())?
        }
        map::REMOVE_BY_INDEX_RANGE => {
            let (from, to) = range(map.items.len(), call.int(1)?, call.int_or(2, i64::MAX)?);
            map.items.drain(from..to);
            match call.int(0)? {
                RETURN_NONE => None,
                RETURN_COUNT => Some(Value::Int((to - from) as i64)),
                _ => return Err(code::UNSUPPORTED_FEATURE),
            }
        }
        _ => return Err(code::UNSUPPORTED_FEATURE),
    };
    Ok(changed(&map.value(), result))
}

fn put(map: &mut MapItems, entries: Vec<(Value, Value)>, flags: i64) -> Result<(), u8> {
    let before = map.items.clone();
    for (key, value) in entries {
        let refused = match map.find(&key) {
            Ok(_) if flags & map::CREATE_ONLY != 0 => Some(code::ELEMENT_EXISTS),
            Err(_) if flags & map::UPDATE_ONLY != 0 => Some(code::ELEMENT_NOT_FOUND),
            Ok(at) => {
                map.items[at].1 = value;
                None
            }
            Err(at) => {
                map.items.insert(at, (key, value));
                None
            }
        };
        match refused {
            None => {}
            Some(code) if flags & map::NO_FAIL == 0 => return Err(code),
            Some(_) if flags & map::PARTIAL != 0 => {}
            Some(_) => {
                map.items = before;
                return Ok(());
            }
        }
    }
    Ok(())
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
                Err(12),
            ),
            (
                "remove",
                Some(map(1)),
                vec![int(76), int(7), k()],
                Ok((Some(Value::Map(vec![])), Some(int(1)))),
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
