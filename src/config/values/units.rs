//! Durations and sizes: a whole number and a unit, without a space.
//!
//! Pure: takes a text, returns a number. The limits belong to the keys ([`crate::config::keys`]).

use std::time::Duration;

const DURATIONS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Why a text is not a valid quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    NoNumber,
    NoUnit,
    UnknownUnit,
    TooLarge,
}

impl Bad {
    pub fn problem(self, what: &str) -> String {
        match self {
            Bad::NoNumber => format!("a {what} is a whole number and a unit"),
            Bad::NoUnit => format!("a {what} needs a unit"),
            Bad::UnknownUnit => format!("this is not a unit of a {what}"),
            Bad::TooLarge => format!("a {what} this large cannot be told"),
        }
    }
}

/// `"500ms"`, `"10s"`, `"5m"`, `"1h"`, `"30d"`.
pub fn duration(text: &str) -> Result<Duration, Bad> {
    quantity(text, DURATIONS).map(Duration::from_millis)
}

/// `"512MiB"`, `"64KiB"`, `"1GB"`: bytes.
pub fn size(text: &str) -> Result<u64, Bad> {
    quantity(text, SIZES)
}

/// All units of durations.
pub fn duration_units() -> Vec<&'static str> {
    DURATIONS.iter().map(|(unit, _)| *unit).collect()
}

/// All units of sizes.
pub fn size_units() -> Vec<&'static str> {
    SIZES.iter().map(|(unit, _)| *unit).collect()
}

pub const DURATION_UNITS: &str = "ms, s, m, h, d";
pub const SIZE_UNITS: &str = "KiB, MiB, GiB, TiB (1024), kB, MB, GB, TB (1000), B";

fn quantity(text: &str, units: &[(&str, u64)]) -> Result<u64, Bad> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(Bad::NoNumber);
    }
    if unit.is_empty() {
        return Err(Bad::NoUnit);
    }
    if unit.starts_with('.') || unit.starts_with(',') {
        return Err(Bad::NoNumber);
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or(Bad::UnknownUnit)?;
    let number: u64 = number.parse().map_err(|_| Bad::TooLarge)?;
    number.checked_mul(*factor).ok_or(Bad::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let cases = [
            ("500ms", Ok(500)),
            ("10s", Ok(10_000)),
            ("5m", Ok(300_000)),
            ("1h", Ok(3_600_000)),
            ("30d", Ok(2_592_000_000)),
            ("007s", Ok(7000)),
            ("0s", Ok(0)),
            ("10", Err(Bad::NoUnit)),
            ("", Err(Bad::NoNumber)),
            ("s", Err(Bad::NoNumber)),
            ("-1s", Err(Bad::NoNumber)),
            ("1.5s", Err(Bad::NoNumber)),
            ("10 s", Err(Bad::UnknownUnit)),
            ("10S", Err(Bad::UnknownUnit)),
            ("1h30m", Err(Bad::UnknownUnit)),
            ("10MiB", Err(Bad::UnknownUnit)),
            ("99999999999999999999s", Err(Bad::TooLarge)),
            ("999999999999999999d", Err(Bad::TooLarge)),
            ("１０s", Err(Bad::NoNumber)),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes_tell_1024_from_1000() {
        let cases = [
            ("512MiB", Ok(512 << 20)),
            ("64KiB", Ok(65_536)),
            ("1GiB", Ok(1 << 30)),
            ("1kB", Ok(1000)),
            ("2MB", Ok(2_000_000)),
            ("3GB", Ok(3_000_000_000)),
            ("7B", Ok(7)),
            ("1TiB", Ok(1 << 40)),
            ("1KB", Err(Bad::UnknownUnit)),
            ("1M", Err(Bad::UnknownUnit)),
            ("512", Err(Bad::NoUnit)),
            ("99999999TiB", Err(Bad::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
