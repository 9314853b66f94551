//! Operations on maps. Follows `particle_map.c` of the server (8.1.2.0).

use super::{Call, Changed, Param, Returns, add, changed, delta};
use crate::msgpack::Value;
use crate::store::Particle;
use crate::wire::code;

const SET_TYPE: i64 = 64;
const PUT: i64 = 67;
const PUT_ITEMS: i64 = 68;
const INCREMENT: i64 = 73;
const DECREMENT: i64 = 74;
const CLEAR: i64 = 75;
const REMOVE_BY_KEY: i64 = 76;
const REMOVE_BY_INDEX_RANGE: i64 = 85;
const REMOVE_BY_VALUE_INTERVAL: i64 = 86;
const SIZE: i64 = 96;
const GET_BY_KEY: i64 = 97;

const CREATE_ONLY: i64 = 1;
const UPDATE_ONLY: i64 = 2;
const NO_FAIL: i64 = 4;
const PARTIAL: i64 = 8;
const GET_BY_INDEX_RANGE: i64 = 104;

/// An unpacked map: its entries in key order, whatever its order attribute.
struct Map {
    order: u8,
    items: Vec<(Value, Value)>,
}

impl Map {
    fn of(existing: Option<&Particle>) -> Result<Option<Self>, u8> {
        match existing.map(Particle::to_value) {
            None => Ok(None),
            Some(Value::Map(items)) => Ok(Some(Map { order: 0, items })),
            Some(Value::OrderedMap(order, items)) => Ok(Some(Map { order, items })),
            Some(_) => Err(code::INCOMPATIBLE_TYPE),
        }
    }

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

    fn count(&self) -> Option<Value> {
        Some(Value::Int(self.items.len() as i64))
    }
}

fn expect(call: &Call) -> Result<(), u8> {
    use Param::{Index, Stored, Unsigned, Value};
    match call.what {
        SET_TYPE => call.expect(0, &[Unsigned]),
        PUT => call.expect(2, &[Stored, Stored, Unsigned, Unsigned]),
        PUT_ITEMS => call.expect(2, &[Stored, Unsigned, Unsigned]),
        INCREMENT | DECREMENT => call.expect(2, &[Value, Value, Unsigned]),
        CLEAR | SIZE => call.expect(0, &[]),
        REMOVE_BY_KEY | GET_BY_KEY => call.expect(0, &[Index, Value]),
        REMOVE_BY_INDEX_RANGE | GET_BY_INDEX_RANGE => call.expect(1, &[Index, Index, Unsigned]),
        REMOVE_BY_VALUE_INTERVAL => call.expect(1, &[Index, Value, Value]),
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

pub fn read(existing: Option<&Particle>, call: &Call) -> Result<Option<Value>, u8> {
    let Some(mut map) = Map::of(existing)? else {
        return Ok(None);
    };
    expect(call)?;
    match call.what {
        SIZE => Ok(map.count()),
        GET_BY_KEY => {
            let found = map.find(call.arg(1)?).ok().map(|at| &map.items[at]);
            one(call.int(0)?, found)
        }
        GET_BY_INDEX_RANGE => take(&mut map, call),
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

/// The answer of an operation on one entry.
fn one(kind: i64, found: Option<&(Value, Value)>) -> Result<Option<Value>, u8> {
    match kind {
        Returns::NONE => Ok(None),
        Returns::COUNT => Ok(Some(Value::Int(i64::from(found.is_some())))),
        Returns::EXISTS => Ok(Some(Value::Bool(found.is_some()))),
        Returns::KEY => Ok(found.map(|(key, _)| key.clone())),
        Returns::VALUE => Ok(found.map(|(_, value)| value.clone())),
        Returns::KEY_VALUE => Ok(Some(Value::Map(found.into_iter().cloned().collect()))),
        _ => Err(code::UNSUPPORTED_FEATURE),
    }
}

/// Removes a range of indexes, in key order, and returns what the call asks for.
fn take(map: &mut Map, call: &Call) -> Result<Option<Value>, u8> {
    let len = map.items.len();
    let (returns, range) = (Returns::new(call.int(0)?), call.range(1, len)?);
    let (taken, left) = returns.divide(std::mem::take(&mut map.items), &range);
    map.items = left;
    if let Some(answer) = returns.of_indexes(&taken, len) {
        return Ok(answer);
    }
    let taken = taken.into_iter().map(|(_, entry)| entry);
    Ok(Some(match returns.kind {
        Returns::KEY => Value::List(taken.map(|(key, _)| key).collect()),
        Returns::VALUE => Value::List(taken.map(|(_, value)| value).collect()),
        Returns::UNORDERED_MAP => Value::Map(taken.collect()),
        Returns::ORDERED_MAP => Value::OrderedMap(1, taken.collect()),
        _ => return Err(code::UNSUPPORTED_FEATURE),
    }))
}

/// Removes the entries whose values are at or above the first bound and below the second one, and returns what the call
/// asks for. Without a second bound there is no upper one. (`packed_map_get_remove_by_value_interval`)
fn take_values(map: &mut Map, call: &Call) -> Result<Option<Value>, u8> {
    let returns = Returns::new(call.int(0)?);
    let (begin, end) = (call.arg(1)?, call.args.get(2));
    let items = std::mem::take(&mut map.items).into_iter();
    let is_meant = |value: &Value| value >= begin && end.is_none_or(|end| value < end);
    let (taken, left): (Vec<_>, Vec<_>) = items.partition(|(_, value)| is_meant(value) != returns.inverted);
    map.items = left;
    let taken_count = taken.len() as i64;
    let taken = taken.into_iter();
    Ok(match returns.kind {
        Returns::NONE => None,
        Returns::COUNT => Some(Value::Int(taken_count)),
        Returns::EXISTS => Some(Value::Bool(taken_count > 0)),
        Returns::KEY => Some(Value::List(taken.map(|(key, _)| key).collect())),
        Returns::VALUE => Some(Value::List(taken.map(|(_, value)| value).collect())),
        _ => return Err(code::UNSUPPORTED_FEATURE),
    })
}

fn key(value: &Value) -> Result<&Value, u8> {
    if value.is_key() {
        Ok(value)
    } else {
        Err(code::PARAMETER)
    }
}

pub fn modify(existing: Option<&Particle>, call: &Call) -> Result<Changed, u8> {
    // The argument with the order of a new map. Arguments are identified by position (`cdt.c`): if a client leaves out
    // a nil value, its order is taken for the value.
    let order_at = match call.what {
        SET_TYPE => Some(0),
        PUT_ITEMS => Some(1),
        PUT | INCREMENT | DECREMENT => Some(2),
        _ => None,
    };
    let mut map = match (Map::of(existing)?, order_at) {
        (Some(map), _) => {
            expect(call)?;
            map
        }
        (None, Some(at)) => {
            expect(call)?;
            Map {
                order: call.int_or(at, 0)? as u8 & 3,
                items: Vec::new(),
            }
        }
        // There is nothing to remove from: no bin, no result, and no argument is read.
        (None, None) => return Ok(Changed::default()),
    };
    let result = match call.what {
        SET_TYPE => {
            map.order = call.int(0)? as u8 & 3;
            None
        }
        PUT => {
            let entry = (key(call.arg(0)?)?.clone(), call.arg(1)?.clone());
            put(&mut map, vec![entry], call.int_or(3, 0)?)?;
            map.count()
        }
        PUT_ITEMS => {
            let entries = call.arg(0)?.as_map().ok_or(code::PARAMETER)?.to_vec();
            put(&mut map, entries, call.int_or(2, 0)?)?;
            map.count()
        }
        INCREMENT | DECREMENT => {
            let by = match (call.what, delta(call, 1)?) {
                (DECREMENT, Value::Int(by)) => Value::Int(by.wrapping_neg()),
                (DECREMENT, Value::Float(by)) => Value::Float(-by),
                (_, by) => by,
            };
            let key = key(call.arg(0)?)?;
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
        CLEAR => {
            map.items.clear();
            None
        }
        REMOVE_BY_KEY => {
            let removed = map.find(call.arg(1)?).ok().map(|at| map.items.remove(at));
            one(call.int(0)?, removed.as_ref())?
        }
        REMOVE_BY_INDEX_RANGE => take(&mut map, call)?,
        REMOVE_BY_VALUE_INTERVAL => take_values(&mut map, call)?,
        _ => return Err(code::UNSUPPORTED_FEATURE),
    };
    Ok(changed(&map.value(), result))
}

fn put(map: &mut Map, entries: Vec<(Value, Value)>, flags: i64) -> Result<(), u8> {
    let before = map.items.clone();
    for (key, value) in entries {
        let refused = match map.find(&key) {
            Ok(_) if flags & CREATE_ONLY != 0 => Some(code::ELEMENT_EXISTS),
            Err(_) if flags & UPDATE_ONLY != 0 => Some(code::ELEMENT_NOT_FOUND),
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
            Some(code) if flags & NO_FAIL == 0 => return Err(code),
            Some(_) if flags & PARTIAL != 0 => {}
            Some(_) => {
                map.items = before;
                return Ok(());
            }
        }
    }
    Ok(())
}
