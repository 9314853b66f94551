//! What a key of the file is: its name, its kind with limits, its default. And the values of one table's keys after
//! reading.
//!
//! The list of keys is in [`super::keys`]. Knows nothing of TOML.

use std::time::Duration;

/// The keys of one table of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The name in the documentation: `[run]`, `[[route.write]]`.
    pub title: &'static str,
    /// In the order of the documentation.
    pub keys: &'static [Key],
    /// Words of the language that this version does not support.
    pub later: &'static [&'static str],
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// As written in the file, without quotes.
    pub default: Option<&'static str>,
}

/// The kind of a key's value. Limits are inclusive, and written as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // min and max, known and later: explained above and below
pub enum Kind {
    /// `"10s"`.
    Duration { min: &'static str, max: &'static str },
    /// A duration, or `"0"` for no limit.
    DurationOrZero { min: &'static str, max: &'static str },
    /// `"512MiB"`.
    Size { min: &'static str, max: &'static str },
    /// A whole number.
    Number { min: i64, max: i64 },
    /// `true` or `false`.
    Flag,
    /// A string with its own rules.
    Text,
    /// One of the known strings. Those in `later` are refused by name.
    Choice {
        known: &'static [&'static str],
        later: &'static [&'static str],
    },
    /// An array of strings.
    List,
    /// A value expression, or what is allowed in its place.
    Value,
    /// `[…]` or `{ … }`.
    Table,
    /// `[[…]]`.
    Tables,
}

impl Key {
    /// The default in the form of the file.
    pub fn default_written(&self) -> Option<String> {
        let default = self.default?;
        Some(match self.kind {
            Kind::Number { .. } | Kind::Flag | Kind::List | Kind::Value => default.to_owned(),
            _ => format!("\"{default}\""),
        })
    }
}

/// A key without a default.
pub const fn key(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        default: None,
    }
}

/// A key with a default.
pub const fn with(name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
    }
}

/// One of these strings.
pub const fn choice(known: &'static [&'static str], later: &'static [&'static str]) -> Kind {
    Kind::Choice { known, later }
}

/// The values of one table's keys, with defaults for those that are not written.
#[derive(Debug)]
pub struct Values(pub Vec<Value>);

/// A key that was read.
#[derive(Debug)]
pub struct Value {
    /// As written in the file.
    pub name: &'static str,
    /// It is written in the file.
    pub is_written: bool,
    /// `None`: it is faulty, and a fault was noted.
    pub read: Option<Read>,
}

/// The value of a key, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Zero: `"0"`.
    Duration(Duration),
    /// In bytes.
    Size(u64),
    /// A whole number.
    Number(usize),
    /// `true` or `false`.
    Flag(bool),
    /// One of the known strings.
    Word(&'static str),
}

/// All methods return `None` for a faulty key.
impl Values {
    #[allow(clippy::expect_used)] // only an error in our own table fails, not one in the file
    fn value(&self, name: &str) -> &Value {
        let value = self.0.iter().find(|value| value.name == name);
        value.expect("every key that is asked for stands in its section")
    }

    /// Whether the key is written in the file.
    pub fn is_written(&self, name: &str) -> bool {
        self.value(name).is_written
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.value(name).read? {
            Read::Duration(duration) => Some(duration),
            other => unreachable!("{name} is no duration: {other:?}"),
        }
    }

    /// A duration; `Some(None)` for `"0"`.
    pub fn duration_or_zero(&self, name: &str) -> Option<Option<Duration>> {
        let duration = self.duration(name)?;
        Some((!duration.is_zero()).then_some(duration))
    }

    /// A size in bytes.
    pub fn size<N: TryFrom<u64>>(&self, name: &str) -> Option<N> {
        match self.value(name).read? {
            Read::Size(bytes) => N::try_from(bytes).ok(),
            other => unreachable!("{name} is no size: {other:?}"),
        }
    }

    /// A whole number.
    pub fn number<N: TryFrom<usize>>(&self, name: &str) -> Option<N> {
        match self.value(name).read? {
            Read::Number(number) => N::try_from(number).ok(),
            other => unreachable!("{name} is no number: {other:?}"),
        }
    }

    /// A whole number; `Some(None)` for 0.
    pub fn number_or_zero<N: TryFrom<usize> + Default + PartialEq>(&self, name: &str) -> Option<Option<N>> {
        let number: N = self.number(name)?;
        Some((number != N::default()).then_some(number))
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.value(name).read? {
            Read::Flag(flag) => Some(flag),
            other => unreachable!("{name} is no flag: {other:?}"),
        }
    }

    /// One of the known strings.
    pub fn word(&self, name: &str) -> Option<&'static str> {
        match self.value(name).read? {
            Read::Word(word) => Some(word),
            other => unreachable!("{name} is no word: {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_it_was_read_as_and_a_faulty_one_is_nothing() {
        let value = |name, read| Value {
            name,
            is_written: read != Some(Read::Size(0)),
            read,
        };
        let values = Values(vec![
            value("wait", Some(Read::Duration(Duration::from_secs(3)))),
            value("limit", Some(Read::Duration(Duration::ZERO))),
            value("memory", Some(Read::Size(0))),
            value("rows", Some(Read::Number(70_000))),
            value("none", Some(Read::Number(0))),
            value("on", Some(Read::Flag(true))),
            value("word", Some(Read::Word("exit"))),
            value("faulty", None),
        ]);
        assert_eq!(values.duration("wait"), Some(Duration::from_secs(3)));
        assert_eq!(values.duration_or_zero("wait"), Some(Some(Duration::from_secs(3))));
        assert_eq!(values.duration_or_zero("limit"), Some(None));
        assert_eq!(
            (values.size::<u64>("memory"), values.is_written("memory")),
            (Some(0), false)
        );
        assert_eq!(values.number::<u32>("rows"), Some(70_000));
        assert_eq!(values.number::<u16>("rows"), None);
        assert_eq!(values.number_or_zero::<u32>("rows"), Some(Some(70_000)));
        assert_eq!(values.number_or_zero::<u32>("none"), Some(None));
        assert_eq!((values.flag("on"), values.word("word")), (Some(true), Some("exit")));
        assert!(values.is_written("faulty") && values.number::<u32>("faulty").is_none());
    }
}
