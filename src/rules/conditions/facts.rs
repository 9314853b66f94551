//! What a message provides to an expression: resolves reads, and converts values to CEL's and back.

use std::any::Any;
use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, Kind, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;

use super::{Place, Rule};
use crate::config::model::{CONSTANT, READ};
use crate::message::Message;
use crate::output::value::{Unheld, Value};
use crate::rules::decode::{Fields, Items, Shape};

static TRUE: CelBool = CelBool::TRUE;
static FALSE: CelBool = CelBool::FALSE;
static NULL: CelNull = CelNull;

/// All that a message provides to expressions.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'c, 'm> {
    pub message: &'c Message<'m>,
    pub fields: &'c Fields<'m>,
    /// Indexed by the header numbers in the rules.
    pub header_names: &'c [String],
    /// The current element of `each`, with its number.
    pub element: Option<(&'c Items<'c, 'm>, usize)>,
}

/// Answers the reads of one evaluation.
pub(super) struct Resolver<'c, 'm> {
    pub rule: &'c Rule,
    pub facts: &'c Facts<'c, 'm>,
}

impl VariableResolver for Resolver<'_, '_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let number = |sign: char| variable.strip_prefix(sign).map(number);
        if let Some(number) = number(READ) {
            return self.facts.read(*self.rule.reads.get(number)?);
        }
        let constant = self.rule.program.constants.get(number(CONSTANT)?)?;
        Some(CowVal::Borrowed(&**constant))
    }
}

/// The number after the prefix of a read or constant. It has digits only, because the configuration wrote it.
pub(super) fn number(digits: &str) -> usize {
    digits
        .bytes()
        .fold(0, |number, digit| number * 10 + usize::from(digit.wrapping_sub(b'0')))
}

impl<'m> Facts<'_, 'm> {
    /// `None`: there is no such value, or CEL cannot hold it.
    fn read(&self, place: Place) -> Option<CowVal<'_, '_>> {
        let message = self.message;
        match place {
            Place::Slot(_) | Place::Item(_) => value(self.field(place)?),
            Place::Index => Some(integer(i64::try_from(self.element?.1).ok()?)),
            Place::Key => Some(message.key.map_or(CowVal::Borrowed(&NULL), raw)),
            Place::Topic => Some(CowVal::owned(CelString::from(message.topic))),
            Place::Partition => Some(integer(message.partition.into())),
            Place::Offset => Some(integer(message.offset)),
            Place::Timestamp => Some(message.timestamp_ms.map_or(CowVal::Borrowed(&NULL), integer)),
            Place::Header(number) => Some(self.header(number)?.map_or(CowVal::Borrowed(&NULL), raw)),
            Place::Headers => {
                let headers = message.headers.iter().map(|(name, value)| {
                    let value: Box<dyn Val + '_> = match value {
                        None => Box::new(NULL),
                        Some(bytes) => raw(bytes).into_owned(),
                    };
                    (CelMapKey::from(*name), value)
                });
                // If a name occurs several times, the last one counts.
                Some(CowVal::owned(CelMap::from(headers.collect::<HashMap<_, _>>())))
            }
            Place::Has { parent, field } => {
                let is_there = self.fields.shape(field).is_some();
                has(self.fields.shape(parent), is_there)
            }
            Place::HasItem { parent, field } => {
                let (items, number) = self.element?;
                has(items.shape(number, parent), items.shape(number, field).is_some())
            }
            Place::HasHeader(number) => Some(boolean(self.header(number).is_some())),
        }
    }

    /// The value of a field, as decode kept it.
    pub(super) fn field(&self, place: Place) -> Option<&Value<'m>> {
        match place {
            Place::Slot(slot) => self.fields.get(slot),
            Place::Item(slot) => {
                let (items, number) = self.element?;
                items.get(number, slot)
            }
            _ => None,
        }
    }

    pub(super) fn header(&self, number: usize) -> Option<Option<&'m [u8]>> {
        let name = self.header_names.get(number)?;
        let (_, value) = self.message.headers.iter().rev().find(|(each, _)| each == name)?;
        Some(*value)
    }
}

/// Whether a field is present. `None` if its parent is not an object.
fn has(parent: Option<Shape>, is_there: bool) -> Option<CowVal<'static, 'static>> {
    (parent == Some(Shape::Object)).then(|| boolean(is_there))
}

fn boolean(value: bool) -> CowVal<'static, 'static> {
    CowVal::Borrowed(if value { &TRUE } else { &FALSE })
}

fn integer<'b>(value: i64) -> CowVal<'b, 'b> {
    CowVal::owned(CelInt::from(value))
}

/// Converts bytes of Kafka: to a string if they are UTF-8, otherwise to bytes.
fn raw(bytes: &[u8]) -> CowVal<'_, '_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => CowVal::owned(CelString::from(text)),
        Err(_) => CowVal::owned(CelBytes::from(bytes)),
    }
}

/// A part of a list or map that no type of CEL can hold. It equals a value that is written the same way, and nothing
/// can be computed with it. An expression that does not look at it still works (`size(items)`) and can pass it on
/// (`items`).
#[derive(Debug, Clone)]
struct Beyond {
    what: Unheld,
    text: String,
}

static BEYOND: Type = Type::new_unspecified_type("beyond");
static HALF_PAIR: Type = Type::new_unspecified_type("half pair");

impl Val for Beyond {
    fn get_type(&self) -> &Type {
        match self.what {
            Unheld::Integer | Unheld::Float => &BEYOND,
            Unheld::HalfPair => &HALF_PAIR,
        }
    }

    fn cel_type() -> &'static Type {
        &BEYOND
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let other = other.downcast_ref::<Beyond>();
        other.is_some_and(|other| self.what == other.what && self.text == other.text)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Beyond {}

/// A field as a CEL value. `None` if no type of CEL can hold it.
fn value<'b>(value: &'b Value<'_>) -> Option<CowVal<'b, 'b>> {
    Some(match value {
        Value::Null => CowVal::Borrowed(&NULL),
        Value::Bool(value) => boolean(*value),
        Value::Int(value) => integer(*value),
        Value::Str(text) => CowVal::owned(CelString::from(&**text)),
        Value::Unheld { what, text } => CowVal::owned(unsigned(*what, text)?),
        other => CowVal::Owned(boxed(other)),
    })
}

/// An integer that is too large for `i64` but fits `u64`.
fn unsigned(what: Unheld, text: &str) -> Option<CelUInt> {
    let value = (what == Unheld::Integer).then(|| text.parse::<u64>().ok())??;
    Some(CelUInt::from(value))
}

/// A value inside a list or map.
fn boxed<'b>(value: &'b Value<'_>) -> Box<dyn Val + 'b> {
    match value {
        Value::Null => Box::new(NULL),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Int(value) => Box::new(CelInt::from(*value)),
        Value::Unheld { what, text } => match unsigned(*what, text) {
            Some(value) => Box::new(value),
            None => Box::new(Beyond {
                what: *what,
                text: text.clone().into_owned(),
            }),
        },
        Value::Float(value) => Box::new(CelDouble::from(*value)),
        Value::Str(text) => Box::new(CelString::from(&**text)),
        Value::Bytes(bytes) => Box::new(CelBytes::from(&**bytes)),
        Value::List(elements) => Box::new(CelList::from(elements.iter().map(boxed).collect::<Vec<_>>())),
        Value::Map(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (CelMapKey::from(&**name), boxed(value)));
            Box::new(CelMap::from(members.collect::<HashMap<_, _>>()))
        }
    }
}

/// Converts a CEL value to ours. It may contain parts that no bin can hold; they are checked where the value is kept.
///
/// # Errors
/// If neither a record nor JSON can hold it.
pub(super) fn ours(value: &dyn Val) -> Result<Value<'static>, &'static str> {
    const OTHER: &str = "it is of a type that no record can hold";
    Ok(match value.get_type().kind() {
        Kind::NullType => Value::Null,
        Kind::Boolean => Value::Bool(*value.downcast_ref::<CelBool>().ok_or(OTHER)?.inner()),
        Kind::Int => Value::Int(*value.downcast_ref::<CelInt>().ok_or(OTHER)?.inner()),
        Kind::UInt => {
            let value = *value.downcast_ref::<CelUInt>().ok_or(OTHER)?.inner();
            match i64::try_from(value) {
                Ok(value) => Value::Int(value),
                Err(_) => Value::Unheld {
                    what: Unheld::Integer,
                    text: value.to_string().into(),
                },
            }
        }
        Kind::Double => match *value.downcast_ref::<CelDouble>().ok_or(OTHER)?.inner() {
            value if value.is_finite() => Value::Float(value),
            _ => return Err("it is no finite number"),
        },
        Kind::String => {
            let text = value.downcast_ref::<CelString>().ok_or(OTHER)?;
            Value::Str(text.inner().to_owned().into())
        }
        Kind::Bytes => {
            let bytes = value.downcast_ref::<CelBytes>().ok_or(OTHER)?;
            Value::Bytes(bytes.inner().to_vec().into())
        }
        Kind::List => {
            let elements = value.downcast_ref::<CelList>().ok_or(OTHER)?.inner();
            Value::List(elements.iter().map(|each| ours(&**each)).collect::<Result<_, _>>()?)
        }
        Kind::Map => {
            let members = value.downcast_ref::<CelMap>().ok_or(OTHER)?.inner();
            let members = members.iter().map(|(name, value)| match name {
                CelMapKey::String(name) => Ok((name.inner().to_owned().into(), ours(&**value)?)),
                _ => Err("a map in it has a key that is no string"),
            });
            let mut members: Vec<(std::borrow::Cow<'static, str>, Value<'static>)> =
                members.collect::<Result<_, _>>()?;
            // CEL's map has no order. Members are sorted, so that the same value gives the same record.
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Map(members)
        }
        Kind::Timestamp => return Err("it is a timestamp: write string(…), or int(…) for seconds"),
        Kind::Duration => return Err("it is a duration: write string(…), or its .getSeconds()"),
        _ => match value.downcast_ref::<Beyond>() {
            Some(Beyond { what, text }) => Value::Unheld {
                what: *what,
                text: text.clone().into(),
            },
            None => return Err(OTHER),
        },
    })
}

/// A copy of `value` that borrows nothing, if it is a [`Value::Unheld`].
pub(super) fn unheld(value: &Value<'_>) -> Option<Value<'static>> {
    match value {
        Value::Unheld { what, text } => Some(Value::Unheld {
            what: *what,
            text: text.clone().into_owned().into(),
        }),
        _ => None,
    }
}
