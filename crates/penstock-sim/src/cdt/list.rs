//! Operations on lists. Follows `particle_list.c` of the server (8.1.2.0).

use super::{Call, Changed, Param, Returns, add, changed, delta, index};
use crate::msgpack::Value;
use crate::store::Particle;
use crate::wire::code;

const SET_TYPE: i64 = 0;
const APPEND: i64 = 1;
const APPEND_ITEMS: i64 = 2;
const INSERT: i64 = 3;
const INSERT_ITEMS: i64 = 4;
const POP: i64 = 5;
const POP_RANGE: i64 = 6;
const REMOVE: i64 = 7;
const REMOVE_RANGE: i64 = 8;
const SET: i64 = 9;
const TRIM: i64 = 10;
const CLEAR: i64 = 11;
const INCREMENT: i64 = 12;
const SIZE: i64 = 16;
const GET: i64 = 17;
const GET_RANGE: i64 = 18;
const GET_BY_INDEX_RANGE: i64 = 24;
const REMOVE_BY_INDEX_RANGE: i64 = 37;

const ADD_UNIQUE: i64 = 1;
const INSERT_BOUNDED: i64 = 2;
const NO_FAIL: i64 = 4;
const PARTIAL: i64 = 8;

/// An unpacked list.
struct List {
    order: u8,
    items: Vec<Value>,
}

impl List {
    fn new() -> Self {
        List {
            order: 0,
            items: Vec::new(),
        }
    }

    fn of(existing: Option<&Particle>) -> Result<Option<Self>, u8> {
        match existing.map(Particle::to_value) {
            None => Ok(None),
            Some(Value::List(items)) => Ok(Some(List { order: 0, items })),
            Some(Value::OrderedList(order, items)) => Ok(Some(List { order, items })),
            Some(_) => Err(code::INCOMPATIBLE_TYPE),
        }
    }

    fn value(mut self) -> Value {
        if self.order == 0 {
            return Value::List(self.items);
        }
        self.items.sort();
        Value::OrderedList(self.order, self.items)
    }

    fn count(&self) -> Option<Value> {
        Some(Value::Int(self.items.len() as i64))
    }
}

fn expect(call: &Call) -> Result<(), u8> {
    use Param::{Index, Stored, Unsigned, Value};
    match call.what {
        SET_TYPE => call.expect(0, &[Unsigned]),
        APPEND | APPEND_ITEMS => call.expect(2, &[Stored, Unsigned, Unsigned]),
        INSERT | INSERT_ITEMS | SET => call.expect(1, &[Index, Stored, Unsigned]),
        POP | REMOVE | GET => call.expect(0, &[Index]),
        POP_RANGE | REMOVE_RANGE | GET_RANGE => call.expect(1, &[Index, Unsigned]),
        // Unlike all other operations, this one has no optional argument in the table.
        TRIM => call.expect(0, &[Index, Unsigned]),
        CLEAR | SIZE => call.expect(0, &[]),
        INCREMENT => call.expect(3, &[Index, Value, Unsigned, Unsigned]),
        GET_BY_INDEX_RANGE | REMOVE_BY_INDEX_RANGE => call.expect(1, &[Unsigned, Index, Unsigned]),
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

pub fn read(existing: Option<&Particle>, call: &Call) -> Result<Option<Value>, u8> {
    let Some(mut list) = List::of(existing)? else {
        return Ok(None);
    };
    expect(call)?;
    let len = list.items.len();
    Ok(match call.what {
        SIZE => list.count(),
        GET => Some(list.items.swap_remove(index(len, call.int(0)?)?)),
        GET_RANGE => Some(Value::List(list.items.drain(call.range(0, len)?).collect())),
        GET_BY_INDEX_RANGE => take(&mut list, call)?,
        _ => return Err(code::UNSUPPORTED_FEATURE),
    })
}

/// Removes a range and returns what the call asks for.
fn take(list: &mut List, call: &Call) -> Result<Option<Value>, u8> {
    let len = list.items.len();
    let (returns, range) = (Returns::new(call.int(0)?), call.range(1, len)?);
    let (taken, left) = returns.divide(std::mem::take(&mut list.items), &range);
    list.items = left;
    if let Some(answer) = returns.of_indexes(&taken, len) {
        return Ok(answer);
    }
    match returns.kind {
        Returns::VALUE => Ok(Some(Value::List(taken.into_iter().map(|(_, item)| item).collect()))),
        Returns::KEY | Returns::KEY_VALUE | Returns::UNORDERED_MAP | Returns::ORDERED_MAP => {
            Err(code::OP_NOT_APPLICABLE)
        }
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

pub fn modify(existing: Option<&Particle>, call: &Call) -> Result<Changed, u8> {
    let creates = matches!(
        call.what,
        SET_TYPE | APPEND | APPEND_ITEMS | INSERT | INSERT_ITEMS | SET | INCREMENT
    );
    let Some(mut list) = List::of(existing)?.or_else(|| creates.then(List::new)) else {
        // There is nothing to remove from: the server creates no bin, returns no result and reads no arguments.
        return Ok(Changed::default());
    };
    expect(call)?;
    let len = list.items.len();
    let result = match call.what {
        SET_TYPE => {
            list.order = call.int(0)? as u8 & 1;
            None
        }
        APPEND => {
            insert(&mut list, len as i64, std::slice::from_ref(call.arg(0)?), call, Some(1))?;
            list.count()
        }
        APPEND_ITEMS => {
            let items = call.arg(0)?.as_list().ok_or(code::PARAMETER)?;
            insert(&mut list, len as i64, items, call, Some(1))?;
            list.count()
        }
        INSERT => {
            insert(&mut list, call.int(0)?, std::slice::from_ref(call.arg(1)?), call, None)?;
            list.count()
        }
        INSERT_ITEMS => {
            let items = call.arg(1)?.as_list().ok_or(code::PARAMETER)?;
            insert(&mut list, call.int(0)?, items, call, None)?;
            list.count()
        }
        POP => Some(list.items.remove(index(len, call.int(0)?)?)),
        REMOVE => {
            list.items.remove(index(len, call.int(0)?)?);
            Some(Value::Int(1))
        }
        POP_RANGE => Some(Value::List(list.items.drain(call.range(0, len)?).collect())),
        REMOVE_RANGE => Some(Value::Int(list.items.drain(call.range(0, len)?).count() as i64)),
        REMOVE_BY_INDEX_RANGE => take(&mut list, call)?,
        TRIM => {
            // Like an inverted removal by index range that returns the number of removed elements.
            let range = call.range(0, len)?;
            list.items.truncate(range.end);
            list.items.drain(..range.start);
            Some(Value::Int((len - list.items.len()) as i64))
        }
        SET => {
            let (at, value) = (call.int(0)?, call.arg(1)?.clone());
            set(&mut list.items, at, value, call.int_or(2, 0)?)?;
            None
        }
        INCREMENT => {
            let (at, by) = (call.int(0)?, delta(call, 1)?);
            let value = match index(len, at) {
                Ok(at) => add(&list.items[at], &by)?,
                Err(code) if at < 0 => return Err(code),
                Err(_) => by,
            };
            set(&mut list.items, at, value.clone(), call.int_or(3, 0)?)?;
            Some(value)
        }
        CLEAR => {
            list.items.clear();
            None
        }
        _ => return Err(code::UNSUPPORTED_FEATURE),
    };
    Ok(changed(&list.value(), result))
}

fn set(items: &mut Vec<Value>, at: i64, value: Value, flags: i64) -> Result<(), u8> {
    pad(items, at, flags)?;
    if at == items.len() as i64 {
        items.push(value);
    } else {
        let at = index(items.len(), at)?;
        items[at] = value;
    }
    Ok(())
}

/// Fills a list with nil up to `at`, unless the flags forbid it.
fn pad(items: &mut Vec<Value>, at: i64, flags: i64) -> Result<(), u8> {
    let Ok(wanted) = usize::try_from(at) else { return Ok(()) };
    if wanted > items.len() {
        if flags & INSERT_BOUNDED != 0 || wanted > 1 << 20 {
            return Err(code::OP_NOT_APPLICABLE);
        }
        items.resize(wanted, Value::Nil);
    }
    Ok(())
}

/// `order_at`: the argument with the order of a new list, followed by the flags. Without it there are only flags.
fn insert(target: &mut List, at: i64, items: &[Value], call: &Call, order_at: Option<usize>) -> Result<(), u8> {
    let flags = match order_at {
        Some(order_at) => {
            if target.items.is_empty() && target.order == 0 {
                target.order = call.int_or(order_at, 0)? as u8 & 1;
            }
            call.int_or(order_at + 1, 0)?
        }
        None => call.int_or(2, 0)?,
    };
    let mut at = if at < 0 {
        at.saturating_add(target.items.len() as i64)
    } else {
        at
    };
    if at < 0 {
        return Err(code::OP_NOT_APPLICABLE);
    }
    if flags & INSERT_BOUNDED != 0 && at > target.items.len() as i64 {
        return if flags & NO_FAIL != 0 {
            Ok(())
        } else {
            Err(code::OP_NOT_APPLICABLE)
        };
    }
    pad(&mut target.items, at, 0)?;
    let before = target.items.clone();
    for item in items {
        if flags & ADD_UNIQUE != 0 && target.items.contains(item) {
            match (flags & NO_FAIL != 0, flags & PARTIAL != 0) {
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
