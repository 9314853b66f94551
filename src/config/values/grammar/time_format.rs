//! Times in templates: `{ts:%Y%m%d}`, `{ts as epoch_s:%F}`; and what users mean who write them in another form.

use crate::config::file::wording::{did_you_mean, quoted};
use crate::config::model::{Source, TimeUnit};
use crate::config::values::grammar::scope::{Bad, bad};
use crate::config::values::type_names;

/// The name of metadata that is not a time. With a time format, every message would be rejected.
pub(super) fn no_time(source: &Source) -> Option<&'static str> {
    match source {
        Source::Topic => Some("@topic"),
        Source::Partition => Some("@partition"),
        Source::Offset => Some("@offset"),
        Source::Index => Some("@index"),
        _ => None,
    }
}

/// The unit that this word means in other programs.
pub(super) fn meant_unit(word: &str) -> Option<TimeUnit> {
    let meant = type_names::meant_by(&word.to_ascii_lowercase())?;
    TimeUnit::ALL.into_iter().find(|unit| unit.word() == meant)
}

/// A unit inside a time format: as written, the unit that is meant, and the format without it.
fn unit_in(format: &str) -> Option<(&str, TimeUnit, String)> {
    let named = TimeUnit::ALL.into_iter().find_map(|unit| {
        let (before, after) = format.split_once(unit.word())?;
        Some((before, after, unit.word(), unit))
    });
    let last_word = || {
        let (before, word) = format.trim_end_matches(' ').rsplit_once(' ')?;
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let unit = meant_unit(word).unwrap_or(TimeUnit::Milliseconds);
        (is_word && (before == "as" || before.ends_with(" as"))).then_some((before, "", word, unit))
    };
    let (before, after, word, unit) = named.or_else(last_word)?;
    let apart = [' ', ':', ','];
    let before = before.trim_end_matches(apart);
    let before = before.strip_suffix("as").unwrap_or(before).trim_end_matches(apart);
    let after = if before.is_empty() {
        after.trim_start_matches(apart)
    } else {
        after
    };
    Some((word, unit, format!("{before}{after}")))
}

/// A valid part of a template with a time format, as near as possible to what is written. For cures.
pub(super) fn right_time(source: &Source, field: &str, unit: Option<TimeUnit>, format: &str) -> String {
    if no_time(source).is_some() {
        return format!("{{{field}}}");
    }
    let mut unit = unit;
    let mut format = format.to_owned();
    while let Some((_, meant, rest)) = unit_in(&format) {
        unit = unit.or(Some(meant));
        format = rest;
    }
    if check_time_format(&format).is_err() {
        format = "%Y%m%d".to_owned();
    }
    // The unit of `@timestamp` is known.
    match unit.filter(|_| *source != Source::Timestamp) {
        Some(unit) => format!("{{{field} as {}:{format}}}", unit.word()),
        None => format!("{{{field}:{format}}}"),
    }
}

/// Parses the unit of a time, behind ` as `. `format`: what follows it, if anything.
pub(super) fn unit(source: &Source, field: &str, word: &str, format: Option<&str>) -> Result<TimeUnit, Bad> {
    if let Some(name) = no_time(source) {
        return bad(
            format!("`{name}` is no time, and has no unit"),
            format!("write {{{name}}}, or name a time, e.g. {{@timestamp:%Y%m%d}}"),
        );
    }
    let known = TimeUnit::ALL.into_iter().find(|unit| unit.word() == word);
    if *source == Source::Timestamp && known != Some(TimeUnit::Milliseconds) {
        let cure = match format {
            Some(format) => format!("write {}", right_time(source, field, None, format)),
            None => format!("write {{{field}:%Y%m%d}}, or {{{field}}} for the milliseconds"),
        };
        return bad(
            "`@timestamp` is in milliseconds, whatever the payload's times are in",
            cure,
        );
    }
    known.ok_or_else(|| {
        let words: Vec<&str> = TimeUnit::ALL.iter().map(|unit| unit.word()).collect();
        let meant = meant_unit(word).map_or(word, |unit| unit.word());
        Bad {
            problem: format!("{} is no unit of a time", quoted(word)),
            cure: did_you_mean(meant, &words, "write one of"),
        }
    })
}

/// Checks a time format. It must not contain a unit, which would become text in each value: the unit belongs in front
/// of the format.
pub(super) fn check_time(source: &Source, field: &str, unit: Option<TimeUnit>, format: &str) -> Result<(), Bad> {
    if let Some(name) = no_time(source) {
        return bad(
            format!("`{name}` is no time, and has no time format"),
            format!("write {{{name}}}, or name a time, e.g. {{@timestamp:%Y%m%d}}"),
        );
    }
    if let Some((word, ..)) = unit_in(format) {
        return bad(
            format!("`{word}` stands in the time format, where it is text and no unit"),
            format!("write {}", right_time(source, field, unit, format)),
        );
    }
    check_time_format(format).map_err(|bad| match strftime(format) {
        Some(meant) => Bad {
            cure: format!("write {}", right_time(source, field, unit, &meant)),
            ..bad
        },
        None => bad,
    })
}

/// Formats sample instants, so that a wrong format is found before the first message.
fn check_time_format(format: &str) -> Result<(), Bad> {
    let cure = "write a strftime format, e.g. {ts:%Y%m%d%H}";
    if format.is_empty() {
        return bad("a time format is empty", cure);
    }
    // Two instants that differ in every part that a format can use: 1970-01-01T00:00:00 and
    // 2001-06-16T17:45:36.987654321.
    let formatted = |second, nanosecond| {
        let sample = jiff::Timestamp::new(second, nanosecond)?.to_zoned(jiff::tz::TimeZone::UTC);
        jiff::fmt::strtime::format(format, &sample)
    };
    match (formatted(0, 0), formatted(992_713_536, 987_654_321)) {
        (Ok(one), Ok(other)) if one == other => bad(
            format!("the time format {} takes nothing from the time", quoted(format)),
            cure,
        ),
        (Ok(_), Ok(_)) => Ok(()),
        (Err(error), _) | (_, Err(error)) => bad(format!("the time format {} is wrong: {error}", quoted(format)), cure),
    }
}

/// Converts a format of letters, as in Java, .NET and moment (`yyyy-MM-dd`), to strftime. `None` if it has other
/// letters.
fn strftime(format: &str) -> Option<String> {
    const WORDS: [(&str, &str); 13] = [
        ("yyyy", "%Y"),
        ("YYYY", "%Y"),
        ("yy", "%y"),
        ("YY", "%y"),
        ("MMM", "%b"),
        ("MM", "%m"),
        ("dd", "%d"),
        ("DD", "%d"),
        ("HH", "%H"),
        ("hh", "%I"),
        ("mm", "%M"),
        ("SSS", "%3f"),
        ("ss", "%S"),
    ];
    if format.contains('%') {
        return None;
    }
    let mut meant = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        if let Some((word, conversion)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            meant.push_str(conversion);
            rest = rest.get(word.len()..)?;
        } else if c == '\'' {
            rest = rest.get(1..)?;
        } else if c.is_ascii_alphabetic() && c != 'T' && c != 'Z' {
            return None;
        } else {
            meant.push(c);
            rest = rest.get(c.len_utf8()..)?;
        }
    }
    meant.contains('%').then_some(meant)
}
