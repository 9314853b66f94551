//! What kinds of value a part of an expression can have, and what the operators do with them.
//!
//! A set of kinds, not one: a field of a message can be whatever JSON has. An operation is refused at the start if no
//! pair of kinds that its sides can have would do.

use std::fmt;

use cel::common::ast::operators as op;

/// A set of CEL's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const BOOL: Kinds = Kinds(1);
    pub const INT: Kinds = Kinds(1 << 1);
    pub const UINT: Kinds = Kinds(1 << 2);
    pub const DOUBLE: Kinds = Kinds(1 << 3);
    pub const STRING: Kinds = Kinds(1 << 4);
    pub const BYTES: Kinds = Kinds(1 << 5);
    pub const NULL: Kinds = Kinds(1 << 6);
    pub const LIST: Kinds = Kinds(1 << 7);
    pub const MAP: Kinds = Kinds(1 << 8);
    pub const TIMESTAMP: Kinds = Kinds(1 << 9);
    pub const DURATION: Kinds = Kinds(1 << 10);
    pub const TYPE: Kinds = Kinds(1 << 11);
    pub const ANY: Kinds = Kinds((1 << 12) - 1);
    pub const NUMBER: Kinds = Kinds(Self::INT.0 | Self::UINT.0 | Self::DOUBLE.0);
    /// What Kafka's bytes become: of a key, or a header.
    pub const RAW: Kinds = Kinds(Self::STRING.0 | Self::BYTES.0 | Self::NULL.0);
    /// What a field can be. (An integer beyond `int` is a `uint`.)
    pub const JSON: Kinds =
        Kinds(Self::BOOL.0 | Self::NUMBER.0 | Self::STRING.0 | Self::NULL.0 | Self::LIST.0 | Self::MAP.0);

    /// As CEL calls them, each by its place.
    const NAMES: [&'static str; 12] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "null",
        "list",
        "map",
        "timestamp",
        "duration",
        "type",
    ];

    pub const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Whether a value can be of both.
    pub const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it is one kind, known for sure.
    pub const fn is_one(self) -> bool {
        self.0.is_power_of_two()
    }

    /// Each of them alone.
    fn each(self) -> impl Iterator<Item = Kinds> {
        (0..12)
            .map(|place| Kinds(1 << place))
            .filter(move |kind| self.meets(*kind))
    }
}

/// For faults: `a field`, `int`, `string, bytes or null`.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Kinds::ANY {
            return f.write_str("any value");
        }
        if *self == Kinds::JSON {
            return f.write_str("a field");
        }
        let names = (0..12).filter(|place| self.0 & (1 << place) != 0);
        let names: Vec<&str> = names.map(|place| Self::NAMES[place]).collect();
        match names.split_last() {
            None => f.write_str("nothing"),
            Some((last, [])) => f.write_str(last),
            Some((last, before)) => write!(f, "{} or {last}", before.join(", ")),
        }
    }
}

/// The kinds that `left operator right` can have; none: it never works.
pub fn binary(operator: &str, left: Kinds, right: Kinds) -> Kinds {
    let mut result = Kinds::NONE;
    for left in left.each() {
        for right in right.each() {
            result = result.or(pair(operator, left, right));
        }
    }
    result
}

/// The same for one kind on each side.
fn pair(operator: &str, left: Kinds, right: Kinds) -> Kinds {
    use Kinds as K;
    let is_same = left == right;
    let are_numbers = left.meets(K::NUMBER) && right.meets(K::NUMBER);
    let has_double = left == K::DOUBLE || right == K::DOUBLE;
    let ordered = K::BOOL.or(K::STRING).or(K::BYTES).or(K::TIMESTAMP).or(K::DURATION);
    let joined = K::STRING.or(K::BYTES).or(K::LIST).or(K::DURATION);
    match operator {
        op::EQUALS | op::NOT_EQUALS if is_same || are_numbers => K::BOOL,
        op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS
            if are_numbers || (is_same && left.meets(ordered)) =>
        {
            K::BOOL
        }
        op::MODULO if is_same && left.meets(K::INT.or(K::UINT)) => left,
        // A JSON number is an int or a double as its text happens to be: mixed, both are doubles.
        op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE if are_numbers && has_double => K::DOUBLE,
        op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE if are_numbers && is_same => left,
        op::ADD if is_same && left.meets(joined) => left,
        op::ADD if [(K::TIMESTAMP, K::DURATION), (K::DURATION, K::TIMESTAMP)].contains(&(left, right)) => K::TIMESTAMP,
        op::SUBSTRACT if (left, right) == (K::TIMESTAMP, K::DURATION) => K::TIMESTAMP,
        op::SUBSTRACT if is_same && left.meets(K::TIMESTAMP.or(K::DURATION)) => K::DURATION,
        _ => K::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_can_be_added_compared_and_joined_and_is_never_a_timestamp() {
        assert_eq!(
            binary(op::MULTIPLY, Kinds::JSON, Kinds::INT),
            Kinds::INT.or(Kinds::DOUBLE)
        );
        assert_eq!(binary(op::LESS, Kinds::JSON, Kinds::STRING), Kinds::BOOL);
        assert_eq!(binary(op::EQUALS, Kinds::JSON, Kinds::TIMESTAMP), Kinds::NONE);
        assert_eq!(binary(op::ADD, Kinds::STRING, Kinds::INT), Kinds::NONE);
        assert_eq!(
            binary(op::SUBSTRACT, Kinds::TIMESTAMP, Kinds::TIMESTAMP),
            Kinds::DURATION
        );
    }

    #[test]
    fn kinds_are_told_in_words() {
        assert_eq!(Kinds::RAW.to_string(), "string, bytes or null");
        assert_eq!(Kinds::JSON.to_string(), "a field");
        assert_eq!(Kinds::INT.to_string(), "int");
    }
}
