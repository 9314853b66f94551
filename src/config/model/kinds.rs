//! The kinds of value that a part of a CEL expression can have.
//!
//! A set of kinds instead of one, because a field of a message can have any JSON type.

use std::fmt;

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
    /// What the bytes of a key or a header become.
    pub const RAW: Kinds = Kinds(Self::STRING.0 | Self::BYTES.0 | Self::NULL.0);
    /// What a field can be. (An integer that is too large for `int` is a `uint`.)
    pub const JSON: Kinds =
        Kinds(Self::BOOL.0 | Self::NUMBER.0 | Self::STRING.0 | Self::NULL.0 | Self::LIST.0 | Self::MAP.0);

    /// CEL's names of the kinds, by bit number.
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

    /// Whether the two sets have a common kind.
    pub const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it is exactly one kind.
    pub const fn is_one(self) -> bool {
        self.0.is_power_of_two()
    }

    /// The kinds, one at a time.
    pub fn each(self) -> impl Iterator<Item = Kinds> {
        (0..12)
            .map(|place| Kinds(1 << place))
            .filter(move |kind| self.meets(*kind))
    }
}

/// As in faults: `a field`, `int`, `string, bytes or null`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_in_words() {
        assert_eq!(Kinds::RAW.to_string(), "string, bytes or null");
        assert_eq!(Kinds::JSON.to_string(), "a field");
        assert_eq!(Kinds::INT.to_string(), "int");
    }
}
