//! Decides what part of a value a record can hold. This is the only place that handles numbers out of range and strings
//! that are not text.
//!
//! Decode keeps such values as they are written, because it does not know what they are used for. Here a rule puts the
//! value into a bin. A message without such values never comes here ([`Fields::has_unheld`]).
//!
//! [`Fields::has_unheld`]: crate::rules::decode::Fields::has_unheld

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Reason;
use crate::config::model::BigNumbers;
use crate::message::{DecodeErrorKind, Syntax};
use crate::output::value::{Unheld, Value};

/// What a value is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Whatever uses it checks it: a key, a ttl, a number to add.
    ByPlace,
    /// JSON again, which can hold every number.
    Json,
    /// A record.
    Record(BigNumbers),
}

/// A value that cannot be kept, and its place in the value that should be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHeld {
    pub what: Unheld,
    /// `.items[3].id`. Empty: the value itself.
    pub below: String,
    /// Whether a float could hold the number approximately.
    pub has_float: bool,
}

/// Maximum length of a path in a text. Names in a message can be as long as the message.
const PATH_BYTES_MAX: usize = 200;

/// Changes `value` to what can be kept. `false`: keep nothing.
pub(super) fn hold(value: &mut Value<'_>, keeps: Keeps) -> Result<bool, NotHeld> {
    let is_record = match keeps {
        Keeps::ByPlace => return Ok(true),
        Keeps::Json => false,
        Keeps::Record(_) => true,
    };
    match value {
        Value::Unheld { what, text } => {
            let what = *what;
            let refused = || NotHeld {
                what,
                below: String::new(),
                has_float: text.parse::<f64>().is_ok_and(f64::is_finite),
            };
            match (keeps, what) {
                (_, Unheld::HalfPair) | (Keeps::Record(BigNumbers::Reject), _) => return Err(refused()),
                (Keeps::Record(BigNumbers::Skip), _) => return Ok(false),
                (Keeps::Record(BigNumbers::String), _) => *value = Value::Str(std::mem::take(text)),
                (Keeps::Record(BigNumbers::Float), _) => match text.parse::<f64>() {
                    Ok(float) if float.is_finite() => *value = Value::Float(float),
                    _ => {
                        return Err(NotHeld {
                            what: Unheld::Float,
                            ..refused()
                        });
                    }
                },
                (Keeps::Json | Keeps::ByPlace, _) => {}
            }
        }
        Value::List(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                let is_held = hold(element, keeps).map_err(|refused| refused.inside(&format!("[{index}]")))?;
                if !is_held && is_record {
                    *element = Value::Null;
                }
            }
        }
        Value::Map(members) => {
            let mut refused = None;
            members.retain_mut(|(name, value)| match hold(value, keeps) {
                Ok(is_held) => is_held,
                Err(inside) => {
                    refused.get_or_insert_with(|| inside.inside(&format!(".{}", shown(name))));
                    true
                }
            });
            if let Some(refused) = refused {
                return Err(refused);
            }
        }
        _ => {}
    }
    Ok(true)
}

impl NotHeld {
    fn inside(mut self, step: &str) -> NotHeld {
        self.below.insert_str(0, step);
        if self.below.len() > PATH_BYTES_MAX {
            let end = (0..=PATH_BYTES_MAX)
                .rev()
                .find(|at| self.below.is_char_boundary(*at))
                .unwrap_or(0);
            self.below.truncate(end);
            self.below.push('…');
        }
        self
    }
}

/// The rejection reason for such a value where it is kept.
pub(super) fn reason(what: Unheld) -> Reason {
    match what {
        Unheld::Integer => Reason::IntegerRange,
        Unheld::Float => Reason::FloatRange,
        Unheld::HalfPair => Reason::Payload(DecodeErrorKind::NotJson(Syntax::LoneSurrogate)),
    }
}

/// A name of the message as a path shows it: quoted if it has special characters, cut if it is long.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 64;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    if !name.is_empty() && name.len() <= CHARS_MAX && name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut text: String = name.chars().take(CHARS_MAX).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    let mut quoted = String::new();
    let _ = write!(quoted, "{text:?}"); // a String takes everything
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unheld(what: Unheld, text: &str) -> Value<'_> {
        Value::Unheld {
            what,
            text: Cow::Borrowed(text),
        }
    }

    fn map<'m>(members: Vec<(&'m str, Value<'m>)>) -> Value<'m> {
        Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// `{"a": [1, BIG], "b": BIG, "c": 2}`
    fn nested<'m>(what: Unheld, text: &'m str) -> Value<'m> {
        map(vec![
            ("a", Value::List(vec![Value::Int(1), unheld(what, text)])),
            ("b", unheld(what, text)),
            ("c", Value::Int(2)),
        ])
    }

    #[test]
    fn each_word_makes_something_else_of_a_big_number() {
        let big = "18446744073709551616";
        let with = |big: Value<'static>| {
            map(vec![
                ("a", Value::List(vec![Value::Int(1), big.clone()])),
                ("b", big),
                ("c", Value::Int(2)),
            ])
        };
        let mut value = nested(Unheld::Integer, big);
        assert_eq!(hold(&mut value, Keeps::Record(BigNumbers::String)), Ok(true));
        assert_eq!(value, with(Value::Str(big.into())));

        let mut value = nested(Unheld::Integer, big);
        assert_eq!(hold(&mut value, Keeps::Record(BigNumbers::Float)), Ok(true));
        assert_eq!(value, with(Value::Float(18_446_744_073_709_551_616.0)));

        let mut value = nested(Unheld::Integer, big);
        assert_eq!(hold(&mut value, Keeps::Record(BigNumbers::Skip)), Ok(true));
        let kept = vec![
            ("a", Value::List(vec![Value::Int(1), Value::Null])),
            ("c", Value::Int(2)),
        ];
        assert_eq!(value, map(kept));
        assert_eq!(
            hold(&mut unheld(Unheld::Float, "1e999"), Keeps::Record(BigNumbers::Skip)),
            Ok(false)
        );

        let mut value = nested(Unheld::Integer, big);
        assert_eq!(hold(&mut value, Keeps::Json), Ok(true));
        assert_eq!(value, nested(Unheld::Integer, big));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_place() {
        let refused = |what, text, keeps| hold(&mut nested(what, text), keeps).unwrap_err();
        let record = Keeps::Record;
        for (what, text, keeps, expected) in [
            (
                Unheld::Integer,
                "99999999999999999999",
                record(BigNumbers::Reject),
                Unheld::Integer,
            ),
            (Unheld::Float, "1e999", record(BigNumbers::Reject), Unheld::Float),
            (Unheld::Float, "-1e999", record(BigNumbers::Float), Unheld::Float),
            (
                Unheld::HalfPair,
                "\\ud800",
                record(BigNumbers::Reject),
                Unheld::HalfPair,
            ),
            (
                Unheld::HalfPair,
                "\\ud800",
                record(BigNumbers::String),
                Unheld::HalfPair,
            ),
            (Unheld::HalfPair, "\\ud800", record(BigNumbers::Skip), Unheld::HalfPair),
            (Unheld::HalfPair, "\\ud800", Keeps::Json, Unheld::HalfPair),
        ] {
            let NotHeld { what, below, .. } = refused(what, text, keeps);
            assert_eq!((what, below.as_str()), (expected, ".a[1]"), "{text} {keeps:?}");
        }
        // The same for an integer beyond the range of a float.
        let digits = "9".repeat(400);
        assert_eq!(
            refused(Unheld::Integer, &digits, record(BigNumbers::Float)).what,
            Unheld::Float
        );
    }

    #[test]
    fn a_place_is_told_in_quotes_and_not_at_any_length() {
        let long = "n".repeat(5000);
        let mut value = map(vec![(&long, map(vec![("odd name", unheld(Unheld::Integer, "9"))]))]);
        let below = hold(&mut value, Keeps::Record(BigNumbers::Reject)).unwrap_err().below;
        assert_eq!(below, format!(".\"{}…\".\"odd name\"", "n".repeat(64)));
        let mut deep = unheld(Unheld::Integer, "9");
        for _ in 0..100 {
            deep = map(vec![("äöü", deep)]);
        }
        let below = hold(&mut deep, Keeps::Record(BigNumbers::Reject)).unwrap_err().below;
        assert!(below.len() <= PATH_BYTES_MAX + 3 && below.ends_with('…'), "{below}");
    }

    #[test]
    fn plain_names_stand_as_they_are_up_to_a_length() {
        let (long, longer) = ("n".repeat(64), "n".repeat(65));
        for name in ["a-b_$9", &long] {
            assert_eq!(shown(name), name);
        }
        assert_eq!(shown(&longer), format!("\"{long}…\""));
        assert_eq!(shown(""), "\"\"");
    }

    #[test]
    fn what_a_place_judges_itself_is_left_to_it() {
        for (what, text) in [(Unheld::HalfPair, "\\ud800"), (Unheld::Float, "1e999")] {
            let mut value = nested(what, text);
            assert_eq!(hold(&mut value, Keeps::ByPlace), Ok(true));
            assert_eq!(value, nested(what, text));
        }
    }
}
