//! Reads times of a message in the configured unit, and computes the ttl that remains until a time.
//!
//! It has no clock: the caller passes the time. A configured unit is never guessed. A number that is not a valid time
//! in the unit, or not a valid end of a record, is rejected. The rejection says in which unit it would be valid.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::Reason;
use super::numbers::{CastFailure, no_integer, unheld, whole};
use crate::config::model::{Instant, TimeUnit};
use crate::config::values::ttl_hints;
use crate::output::row::RowTtl;
use crate::output::value::{Unheld, Value};

/// Aerospike's limit for a record's ttl (10 years), in seconds.
const TTL_SECONDS_MAX: i64 = 10 * 365 * 24 * 3600;
/// A number without a configured unit counts as milliseconds from this value on, and as seconds below it (1973 in
/// milliseconds, 5138 in seconds).
const EPOCH_MS_FROM: u64 = 100_000_000_000;

/// The ttl that a message sets for its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Lasts(RowTtl),
    /// The ttl has already ended.
    Over,
}

/// A value as a number of `unit` since 1970. A number is taken unchanged; a string is read as RFC 3339 or as a number.
pub(super) fn epoch(value: &Value<'_>, unit: TimeUnit) -> Result<i64, CastFailure> {
    match read(value, Rounded::Down)? {
        Read::Instant(instant) => unit
            .count(instant)
            .ok_or((Reason::IntegerRange, "a time outside of 64 bits")),
        Read::Number(number) => match TimeUnit::of_look(number) {
            Some(looks) if looks != unit && unit.instant(number).is_none() => {
                Err((Reason::FieldType, not_in_unit(looks)))
            }
            _ => Ok(number),
        },
    }
}

/// Converts milliseconds since 1970 to a number of `unit`.
pub(super) fn from_ms(ms: i64, unit: Option<TimeUnit>) -> Result<i64, CastFailure> {
    let unit = unit.unwrap_or(TimeUnit::Milliseconds);
    TimeUnit::Milliseconds
        .instant(ms)
        .and_then(|instant| unit.count(instant))
        .ok_or((Reason::FieldType, "a time outside of the calendar"))
}

/// A time for a template. A number without a unit is milliseconds or seconds, depending on its size.
pub(super) fn instant(value: &Value<'_>, unit: Option<TimeUnit>) -> Result<Instant, CastFailure> {
    let number = match read(value, Rounded::Down)? {
        Read::Instant(instant) => return Ok(instant),
        Read::Number(number) => number,
    };
    let unit = unit.unwrap_or(if number.unsigned_abs() >= EPOCH_MS_FROM {
        TimeUnit::Milliseconds
    } else {
        TimeUnit::Seconds
    });
    unit.instant(number).ok_or_else(|| {
        let why = match TimeUnit::of_look(number) {
            Some(looks) if looks != unit => match looks {
                TimeUnit::Seconds => "a time outside of the calendar; it looks like seconds: write {… as epoch_s:%…}",
                TimeUnit::Milliseconds => {
                    "a time outside of the calendar; it looks like milliseconds: write {… as epoch_ms:%…}"
                }
                TimeUnit::Microseconds => {
                    "a time outside of the calendar; it looks like microseconds: write {… as epoch_us:%…}"
                }
                TimeUnit::Nanoseconds => {
                    "a time outside of the calendar; it looks like nanoseconds: write {… as epoch_ns:%…}"
                }
            },
            _ => "a time outside of the calendar",
        };
        (Reason::FieldType, why)
    })
}

/// The ttl from a value: a number of seconds or, with a `unit`, the time at which the record ends. `words`: 0, -1 and
/// -2 have Aerospike's meanings.
pub(super) fn life(value: &Value<'_>, unit: Option<TimeUnit>, words: bool, now_ms: i64) -> Result<Life, CastFailure> {
    // Rounded up: a record must not end too early.
    let read = match (unit, value) {
        (None, value) => Read::Number(super::numbers::integer_of(value).map_err(|failure| of_a_time(value, failure))?),
        (Some(_), value) => read(value, Rounded::Up)?,
    };
    let (number, unit) = match (read, unit) {
        // Whatever such a value means, it must not cause a deletion or a skipped record.
        (Read::Instant(instant), _) if instant < Instant::ENDS_FROM => {
            return Err((
                Reason::TtlRange,
                "no time at which a record could end: it is before 2001, as the zero time of Go and .NET is; if it stands for \
                 \"never\", see docs/reference/lifetimes.md",
            ));
        }
        (Read::Instant(instant), _) => {
            let ms = instant.nanoseconds().div_euclid(1_000_000);
            let part = i128::from(instant.nanoseconds().rem_euclid(1_000_000) != 0);
            return until(i64::try_from(ms + part).unwrap_or(i64::MAX), now_ms);
        }
        (Read::Number(number), unit) => (number, unit),
    };
    match number {
        0 if words => return Ok(Life::Lasts(RowTtl::NamespaceDefault)),
        -1 if words => return Ok(Life::Lasts(RowTtl::Never)),
        -2 if words => return Ok(Life::Lasts(RowTtl::Keep)),
        // This ignores `ttl_past`: if a producer means "never" by it, the record must not be deleted.
        -2..=0 => {
            return Err((
                Reason::TtlRange,
                "0, -1 or -2, which is no life; if it means the namespace's default, never and keep, as in Aerospike, write \
                 ttl_words = \"aerospike\"",
            ));
        }
        _ => {}
    }
    let looks = TimeUnit::of_look(number);
    let Some(unit) = unit else {
        return match (u32::try_from(number), looks) {
            (Ok(seconds), _) if number <= TTL_SECONDS_MAX => Ok(Life::Lasts(RowTtl::Seconds(seconds))),
            (_, Some(looks)) => Err((Reason::TtlRange, no_seconds(looks))),
            _ => Err((Reason::TtlRange, "a ttl outside of 1 second to 10 years")),
        };
    };
    // No record ends in 1970 or in the year 55841. A wrong unit must not cause a deletion or a skipped record.
    if let Some(looks) = looks
        && looks != unit
    {
        return Err((Reason::TtlRange, no_end(looks)));
    }
    if unit.is_before_2001(number) {
        let why = match number {
            1..=TTL_SECONDS_MAX => {
                "no time at which a record could end: it is before 2001 in the unit that `as` says; it looks like seconds \
                 from now: remove `as`"
            }
            _ if unit.instant(number).is_none_or(|end| end < Instant::OF_1900) => {
                "no time at which a record could end: it is before 1900, as the zero time of Go and .NET is; if it stands for \
                 \"never\", see docs/reference/lifetimes.md"
            }
            _ => {
                "no time at which a record could end: it is before 2001 in the unit that `as` says; if it is a length of \
                 time, have it sent in seconds and remove `as`"
            }
        };
        return Err((Reason::TtlRange, why));
    }
    let up = |per_ms: i64| number.div_euclid(per_ms) + i64::from(number.rem_euclid(per_ms) != 0);
    let ends_ms = match unit {
        TimeUnit::Seconds => number.saturating_mul(1000),
        TimeUnit::Milliseconds => number,
        TimeUnit::Microseconds => up(1000),
        TimeUnit::Nanoseconds => up(1_000_000),
    };
    until(ends_ms, now_ms)
}

/// A string that is not a number of seconds may be a time. Then the text says which `as` reads it.
#[cold]
fn of_a_time(value: &Value<'_>, failure: CastFailure) -> CastFailure {
    let Value::Str(text) = value else {
        return failure;
    };
    if Instant::parse(text).is_some() {
        (
            Reason::FieldType,
            "a string that looks like a time, no number of seconds: write as = \"epoch_s\" (any epoch word reads RFC 3339)",
        )
    } else if text.parse::<DateTime>().is_ok() {
        (
            Reason::FieldType,
            "a string that looks like a time, no number of seconds, and has no offset: have it sent as RFC 3339, with Z or \
             an offset behind it, and write as = \"epoch_s\"",
        )
    } else if is_length(text) {
        (
            Reason::FieldType,
            "a string that looks like a length of time: have it sent as a number of seconds",
        )
    } else {
        failure
    }
}

fn until(ends_ms: i64, now_ms: i64) -> Result<Life, CastFailure> {
    let left_ms = ends_ms.saturating_sub(now_ms);
    if left_ms <= 0 {
        return Ok(Life::Over);
    }
    let seconds = left_ms / 1000 + i64::from(left_ms % 1000 != 0);
    match u32::try_from(seconds) {
        Ok(life) if seconds <= TTL_SECONDS_MAX => Ok(Life::Lasts(RowTtl::Seconds(life))),
        _ => Err((
            Reason::TtlRange,
            "more than 10 years away, the longest life that Aerospike takes; if it stands for \"never\", see \
             docs/reference/lifetimes.md",
        )),
    }
}

enum Read {
    /// RFC 3339, which needs no unit.
    Instant(Instant),
    Number(i64),
}

/// How to round a fraction.
#[derive(Clone, Copy)]
enum Rounded {
    Down,
    Up,
}

fn read(value: &Value<'_>, rounded: Rounded) -> Result<Read, CastFailure> {
    match value {
        Value::Int(number) => Ok(Read::Number(*number)),
        Value::Unheld { what, .. } => Err(unheld(*what)),
        Value::Float(number) => {
            let number = match rounded {
                Rounded::Down => number.trunc(),
                Rounded::Up => number.ceil(),
            };
            whole(number).map(Read::Number).ok_or_else(|| unheld(Unheld::Integer))
        }
        Value::Str(text) => Instant::parse(text)
            .map(Read::Instant)
            .or_else(|| text.parse::<i64>().ok().map(Read::Number))
            .or_else(|| decimal(text, rounded).map(Read::Number))
            .ok_or_else(|| no_time(text)),
        _ => Err((Reason::FieldType, "not a time")),
    }
}

/// A number with a fraction, in a string: digits, a point, digits.
fn decimal(text: &str, rounded: Rounded) -> Option<i64> {
    let (number, fraction) = text.split_once('.')?;
    let digits = number.strip_prefix('-').unwrap_or(number);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(digits) || !is_digits(fraction) {
        return None;
    }
    let number_whole = number.parse::<i64>().ok()?;
    let is_up = matches!(rounded, Rounded::Up) && !number.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    number_whole.checked_add(i64::from(is_up))
}

/// For a string that is neither RFC 3339 nor a number.
#[cold]
fn no_time(text: &str) -> CastFailure {
    if text.parse::<DateTime>().is_ok() {
        (
            Reason::FieldType,
            "a string that looks like a time and has no offset: have it sent as RFC 3339, with Z or an offset behind it",
        )
    } else if is_length(text) {
        (
            Reason::FieldType,
            "a string that looks like a length of time, no RFC 3339 time: for a ttl have it sent as a number of seconds, and \
             remove `as`",
        )
    } else {
        no_integer(text, "a string that is no RFC 3339 time")
    }
}

/// Whether the text is a length of time: `30d`, `1h 30m`, `PT1H`.
fn is_length(text: &str) -> bool {
    // A plain number is checked by its digits.
    text.contains(|c: char| c.is_ascii_alphabetic())
        && (ttl_hints::length(text).is_some() || text.parse::<SignedDuration>().is_ok())
}

fn not_in_unit(looks: TimeUnit) -> &'static str {
    match looks {
        TimeUnit::Seconds => "no time in the unit that `as` says; it looks like seconds: write as = \"epoch_s\"",
        TimeUnit::Milliseconds => {
            "no time in the unit that `as` says; it looks like milliseconds: write as = \"epoch_ms\""
        }
        TimeUnit::Microseconds => {
            "no time in the unit that `as` says; it looks like microseconds: write as = \"epoch_us\""
        }
        TimeUnit::Nanoseconds => {
            "no time in the unit that `as` says; it looks like nanoseconds: write as = \"epoch_ns\""
        }
    }
}

fn no_end(looks: TimeUnit) -> &'static str {
    match looks {
        TimeUnit::Seconds => {
            "no time at which a record could end, in the unit that `as` says; it looks like seconds: write as = \"epoch_s\""
        }
        TimeUnit::Milliseconds => {
            "no time at which a record could end, in the unit that `as` says; it looks like milliseconds: write as = \"epoch_ms\""
        }
        TimeUnit::Microseconds => {
            "no time at which a record could end, in the unit that `as` says; it looks like microseconds: write as = \"epoch_us\""
        }
        TimeUnit::Nanoseconds => {
            "no time at which a record could end, in the unit that `as` says; it looks like nanoseconds: write as = \"epoch_ns\""
        }
    }
}

fn no_seconds(looks: TimeUnit) -> &'static str {
    match looks {
        TimeUnit::Seconds => {
            "a ttl of more than 10 years; it looks like an instant in seconds since 1970: write as = \"epoch_s\""
        }
        TimeUnit::Milliseconds => {
            "a ttl of more than 10 years; it looks like an instant in milliseconds since 1970: write as = \"epoch_ms\""
        }
        TimeUnit::Microseconds => {
            "a ttl of more than 10 years; it looks like an instant in microseconds since 1970: write as = \"epoch_us\""
        }
        TimeUnit::Nanoseconds => {
            "a ttl of more than 10 years; it looks like an instant in nanoseconds since 1970: write as = \"epoch_ns\""
        }
    }
}
