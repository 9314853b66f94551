//! A decoded payload in the form that the crate jsonschema reads. Nothing is converted: the schema sees the values that
//! decode made, with its integers, its numbers out of range, and the last of several equal names.
//!
//! The crate's error messages would contain values of the message. Here they cannot: [`Node::to_value`], which the
//! crate calls for its errors alone, is always null.

use std::borrow::Cow;
use std::cmp::Ordering;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use serde_json::{Number, Value as Schema};

use super::effort::{error, step};
use crate::output::value::{Unheld, Value};

/// The representation of JSON whose nodes are [`Value`]s.
pub(super) struct Payload;

type Member<'a> = (Cow<'a, str>, Value<'a>);

/// Members of larger objects are sorted by name ([`arrange`]), those of others are scanned. Otherwise an object with
/// 100,000 members would be scanned for each name of the schema.
const SCANNED_MAX: usize = 16;

/// Sorts the members of large objects, everywhere in `value`. Must be called before the value is checked.
pub(super) fn arrange(value: &mut Value<'_>) {
    match value {
        Value::List(elements) => elements.iter_mut().for_each(arrange),
        Value::Map(members) => {
            if members.len() > SCANNED_MAX {
                members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            }
            members.iter_mut().for_each(|(_, value)| arrange(value));
        }
        _ => {}
    }
}

impl Json for Payload {
    type Node<'a> = &'a Value<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    const KEYS_PER_LOOKUP: usize = 2;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Self::Node<'_>) -> T) -> T {
        f(&Value::Str(Cow::Borrowed(string)))
    }
}

impl<'a> Node<'a, Payload> for &'a Value<'a> {
    type Object = &'a [Member<'a>];
    type Array = &'a [Value<'a>];
    type Number = &'a Value<'a>;

    fn as_object(&self) -> Option<&'a [Member<'a>]> {
        step();
        match self {
            Value::Map(members) => Some(members),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Value<'a>]> {
        step();
        match self {
            Value::List(elements) => Some(elements),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Value::Str(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<&'a Value<'a>> {
        self.is_number().then_some(*self)
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Bool(boolean) => Some(*boolean),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    fn is_number(&self) -> bool {
        self.json_type() == JsonType::Number
    }

    fn json_type(&self) -> JsonType {
        match self {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Int(_) | Value::Float(_) => JsonType::Number,
            // Decode makes no bytes.
            Value::Str(_) | Value::Bytes(_) => JsonType::String,
            Value::List(_) => JsonType::Array,
            Value::Map(_) => JsonType::Object,
            Value::Unheld { what, .. } => match what {
                Unheld::Integer | Unheld::Float => JsonType::Number,
                Unheld::HalfPair => JsonType::String,
            },
        }
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let Value::Str(text) = self else {
            return None;
        };
        // A code point has one to four bytes.
        let bytes = text.len() as u64;
        if bytes < min || bytes.div_ceil(4) > max {
            return Some(false);
        }
        if bytes.div_ceil(4) >= min && bytes <= max {
            return Some(true);
        }
        Some((min..=max).contains(&(text.chars().count() as u64)))
    }

    fn equals_value(&self, expected: &Schema) -> bool {
        equals(self, expected)
    }

    fn to_value(&self) -> Cow<'a, Schema> {
        error();
        Cow::Owned(Schema::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        step();
        Some(NodeIdentity::new(std::ptr::from_ref::<Value<'_>>(self) as usize))
    }
}

impl<'a> Object<'a, Payload> for &'a [Member<'a>] {
    type Node = &'a Value<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        <[Member<'a>]>::len(self)
    }

    fn get(&self, key: &Box<str>) -> Option<&'a Value<'a>> {
        let found = if <[Member<'a>]>::len(self) > SCANNED_MAX {
            self.binary_search_by(|(name, _)| (**name).cmp(&**key)).ok()
        } else {
            self.iter().position(|(name, _)| **name == **key)
        };
        found.map(|at| &self[at].1)
    }

    fn members(&self) -> Members<'a> {
        Members(self.iter())
    }
}

pub(super) struct Members<'a>(std::slice::Iter<'a, Member<'a>>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (&**name, value))
    }
}

impl<'a> Array<'a, Payload> for &'a [Value<'a>] {
    type Node = &'a Value<'a>;
    type ElementsIter = std::slice::Iter<'a, Value<'a>>;

    fn len(&self) -> usize {
        <[Value<'a>]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Value<'a>> {
        (*self).iter()
    }

    fn is_unique(&self) -> bool {
        let mut sorted: Vec<&Value<'_>> = self.iter().collect();
        sorted.sort_unstable_by(|one, other| order(one, other));
        sorted.windows(2).all(|pair| order(pair[0], pair[1]).is_ne())
    }
}

/// The value is one of the numbers.
impl JsonNumber for &Value<'_> {
    fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Int(int) => u64::try_from(*int).ok(),
            Value::Unheld {
                what: Unheld::Integer,
                text,
            } => text.parse().ok(),
            _ => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// `None` beyond the range of `f64`. The crate takes that for an infinity.
    #[allow(
        clippy::cast_precision_loss,
        reason = "what a caller asks for who did not find an integer"
    )]
    fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(int) => Some(*int as f64),
            Value::Float(float) => Some(*float),
            Value::Unheld { text, .. } => {
                let float = text.parse().ok().filter(|float: &f64| float.is_finite());
                // An integer below those of 64 bits does not become the lowest of them.
                float.map(|float| if float == -I64_END { float.next_down() } else { float })
            }
            _ => None,
        }
    }

    fn as_str(&self) -> Cow<'_, str> {
        match self {
            Value::Int(int) => Cow::Owned(int.to_string()),
            Value::Float(float) => Cow::Owned(float.to_string()),
            Value::Unheld { text, .. } => Cow::Borrowed(text),
            _ => Cow::Borrowed("0"),
        }
    }

    /// For texts of errors, which contain no value.
    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(Number::from(0))
    }

    fn is_integer(&self) -> bool {
        match self {
            Value::Int(_) => true,
            Value::Float(float) => float.fract() == 0.0,
            // A number beyond f64's range has more digits before its point than it could have behind it, unless it is
            // written with hundreds of digits.
            Value::Unheld { what, text } => *what == Unheld::Integer || is_whole(text),
            _ => false,
        }
    }

    fn is_written_as_integer(&self) -> bool {
        match self {
            Value::Int(_) => true,
            Value::Unheld { what, .. } => *what == Unheld::Integer,
            _ => false,
        }
    }
}

/// The first integer that is no `i64`.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// Whether the number in `text`, which is beyond the range of `f64`, has no fraction.
fn is_whole(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction);
    let places = fraction.trim_end_matches('0').len();
    // An exponent that no integer holds is larger than any number of places.
    exponent.parse::<i64>().map_or(true, |exponent| {
        usize::try_from(exponent).is_ok_and(|exponent| exponent >= places)
    })
}

/// A number as one of its equals. Different forms are different numbers, except beyond the range of `f64`, where
/// different texts are.
#[derive(PartialEq)]
enum Exact<'a> {
    Int(i64),
    /// No integer of 64 bits.
    Float(f64),
    /// The digits of an integer that is no `i64`, or a number beyond the range of `f64`.
    Text(Cow<'a, str>),
}

impl<'a> Exact<'a> {
    fn of(value: &'a Value<'_>) -> Option<Exact<'a>> {
        match value {
            Value::Int(int) => Some(Exact::Int(*int)),
            Value::Float(float) => Some(Exact::of_float(*float)),
            Value::Unheld {
                what: Unheld::Integer | Unheld::Float,
                text,
            } => Some(Exact::Text(Cow::Borrowed(text))),
            _ => None,
        }
    }

    fn of_schema(number: &Number) -> Exact<'static> {
        match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Exact::Int(int),
            (None, Some(float)) if !number.is_u64() => Exact::of_float(float),
            _ => Exact::Text(Cow::Owned(number.to_string())),
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "in the range, and without a fraction")]
    fn of_float(float: f64) -> Exact<'static> {
        if float.fract() != 0.0 {
            Exact::Float(float)
        } else if (-I64_END..I64_END).contains(&float) {
            Exact::Int(float as i64)
        } else {
            // All digits of the double.
            Exact::Text(Cow::Owned(format!("{float:.0}")))
        }
    }

    /// Any order.
    fn order(&self, other: &Exact<'_>) -> Ordering {
        match (self, other) {
            (Exact::Int(one), Exact::Int(other)) => one.cmp(other),
            (Exact::Float(one), Exact::Float(other)) => one.total_cmp(other),
            (Exact::Text(one), Exact::Text(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Exact::Int(_) => 0,
            Exact::Float(_) => 1,
            Exact::Text(_) => 2,
        }
    }
}

/// Whether a value of the message is a value of the schema.
fn equals(value: &Value<'_>, expected: &Schema) -> bool {
    match (value, expected) {
        (Value::Null, Schema::Null) => true,
        (Value::Bool(one), Schema::Bool(other)) => one == other,
        (Value::Str(one), Schema::String(other)) => **one == **other,
        (Value::List(elements), Schema::Array(others)) => {
            elements.len() == others.len() && elements.iter().zip(others).all(|(one, other)| equals(one, other))
        }
        (Value::Map(members), Schema::Object(others)) => {
            let same = |(name, value): &Member<'_>| others.get(&**name).is_some_and(|other| equals(value, other));
            members.len() == others.len() && members.iter().all(same)
        }
        (value, Schema::Number(number)) => Exact::of(value).is_some_and(|value| value == Exact::of_schema(number)),
        _ => false,
    }
}

/// Any order in which two values are equal if they are the same JSON value.
fn order(one: &Value<'_>, other: &Value<'_>) -> Ordering {
    fn rank(value: &Value<'_>) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Str(_) | Value::Bytes(_) => 2,
            Value::List(_) => 3,
            Value::Map(_) => 4,
            Value::Int(_) | Value::Float(_) | Value::Unheld { .. } => 5,
        }
    }
    fn sorted<'v, 'm>(members: &'v [Member<'m>]) -> Vec<&'v Member<'m>> {
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        sorted
    }
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Str(one), Value::Str(other)) => one.cmp(other),
        (Value::List(one), Value::List(other)) => {
            let pairs = one.iter().zip(other).map(|(one, other)| order(one, other));
            let first = pairs.into_iter().find(|order| order.is_ne());
            first.unwrap_or_else(|| one.len().cmp(&other.len()))
        }
        (Value::Map(one), Value::Map(other)) => {
            let length = one.len().cmp(&other.len());
            if length.is_ne() {
                return length;
            }
            let pairs = sorted(one).into_iter().zip(sorted(other));
            let mut orders = pairs.map(|((name, value), (other_name, other_value))| {
                name.cmp(other_name).then_with(|| order(value, other_value))
            });
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }
        _ => match (Exact::of(one), Exact::of(other)) {
            (Some(one), Some(other)) => one.order(&other),
            _ => rank(one).cmp(&rank(other)),
        },
    }
}
