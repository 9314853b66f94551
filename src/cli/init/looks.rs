//! What strings and numbers look like. A look is kept only while all values of a field have it.
//!
//! Guesses, made for proposals that a person reads. They say nothing of the values themselves.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::config::model::Instant;
use crate::rules::decode;

/// A longer string looks like nothing: it would be read again and again.
const BYTES_MAX: usize = 64 * 1024;

/// What a string can look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Rfc3339,
    Date,
    Uuid,
    Integer,
    Decimal,
    Hex,
    Base64,
    Json,
}

impl Look {
    /// The more special ones first.
    pub const ALL: [Look; 8] = [
        Look::Rfc3339,
        Look::Date,
        Look::Uuid,
        Look::Integer,
        Look::Decimal,
        Look::Hex,
        Look::Base64,
        Look::Json,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Look::Rfc3339 => "RFC 3339 time",
            Look::Date => "date",
            Look::Uuid => "UUID",
            Look::Integer => "integer in a string",
            Look::Decimal => "decimal in a string",
            Look::Hex => "hex",
            Look::Base64 => "base64",
            Look::Json => "JSON in a string",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }

    fn is_of(self, text: &str) -> bool {
        match self {
            Look::Rfc3339 => text.len() >= 20 && Instant::parse(text).is_some(),
            Look::Date => {
                text.len() == 10
                    && text.bytes().enumerate().all(|(at, byte)| match at {
                        4 | 7 => byte == b'-',
                        _ => byte.is_ascii_digit(),
                    })
            }
            Look::Uuid => {
                text.len() == 36
                    && text.bytes().enumerate().all(|(at, byte)| match at {
                        8 | 13 | 18 | 23 => byte == b'-',
                        _ => byte.is_ascii_hexdigit(),
                    })
            }
            // Without zeros in front: those are digits of a code.
            Look::Integer => text.parse::<i64>().is_ok_and(|number| number.to_string() == text),
            Look::Decimal => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
                [whole, fraction]
                    .iter()
                    .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            }
            Look::Hex => {
                text.len() >= 16
                    && text.len().is_multiple_of(2)
                    && text.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && text.bytes().any(|byte| byte.is_ascii_alphabetic())
            }
            Look::Base64 => {
                let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
                // A word in letters is base64, too.
                let is_odd = has(|byte| matches!(byte, b'=' | b'+'))
                    || (has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase));
                text.len() >= 16 && is_odd && (STANDARD.decode(text).is_ok() || URL_SAFE_NO_PAD.decode(text).is_ok())
            }
            Look::Json => {
                text.starts_with(['{', '['])
                    && decode::decode(&decode::PathTreeBuilder::new().build(), text.as_bytes()).is_ok()
            }
        }
    }
}

/// What all strings of a field look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks(u16);

impl Default for Looks {
    fn default() -> Looks {
        Looks(u16::MAX)
    }
}

impl Looks {
    pub fn take(&mut self, text: &str) {
        for look in Look::ALL {
            if self.0 & look.bit() != 0 && (text.len() > BYTES_MAX || !look.is_of(text)) {
                self.0 &= !look.bit();
            }
        }
    }

    /// The most special look that all have. Only of a field that had strings.
    pub fn common(self) -> Option<Look> {
        Look::ALL.into_iter().find(|look| self.0 & look.bit() != 0)
    }
}

/// The unit in which all integers from `min` to `max` are times of 2001 to 2100.
pub(super) fn epoch(min: i64, max: i64) -> Option<&'static str> {
    const FROM: i64 = 978_307_200;
    const TO: i64 = 4_102_444_800;
    [
        ("epoch_s", 1),
        ("epoch_ms", 1_000),
        ("epoch_us", 1_000_000),
        ("epoch_ns", 1_000_000_000),
    ]
    .into_iter()
    .find(|(_, unit)| min >= FROM.saturating_mul(*unit) && max <= TO.saturating_mul(*unit))
    .map(|(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_that_of_all_strings() {
        let cases: [(&[&str], Option<Look>); 15] = [
            (
                &["2026-01-01T10:00:00Z", "2026-01-01T10:00:00.5+02:00"],
                Some(Look::Rfc3339),
            ),
            (&["2026-01-01"], Some(Look::Date)),
            (&["2026-01-01", "2026-01-01T10:00:00Z"], None),
            (&["123e4567-e89b-12d3-a456-426614174000"], Some(Look::Uuid)),
            (&["12", "-7"], Some(Look::Integer)),
            (&["12", "7.50"], Some(Look::Decimal)),
            (&["007"], Some(Look::Decimal)),
            (&["99999999999999999999"], Some(Look::Decimal)),
            (&["deadbeefdeadbeef"], Some(Look::Hex)),
            (&["SGVsbG8sIHdvcmxkIQ=="], Some(Look::Base64)),
            (&["abcdefghijklmnop"], None),
            (&["application/json"], None),
            (&["{\"a\": 1}", "[]"], Some(Look::Json)),
            (&["{a}"], None),
            (&[""], None),
        ];
        for (texts, expected) in cases {
            let mut looks = Looks::default();
            texts.iter().for_each(|text| looks.take(text));
            assert_eq!(looks.common(), expected, "{texts:?}");
        }
    }

    #[test]
    fn a_unit_is_that_of_all_numbers() {
        assert_eq!(epoch(1_767_225_600, 1_767_225_700), Some("epoch_s"));
        assert_eq!(epoch(1_767_225_600_000, 1_767_225_700_000), Some("epoch_ms"));
        assert_eq!(epoch(1_767_225_600_000_000, 1_767_225_700_000_000), Some("epoch_us"));
        assert_eq!(epoch(1_767_225_600_000_000_000, i64::MAX), None);
        assert_eq!(epoch(0, 1_767_225_600), None);
        assert_eq!(epoch(7, 9), None);
    }
}
