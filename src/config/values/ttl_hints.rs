//! What users mean who write the life of a record in another form.

use toml::de::DeValue;

use crate::config::file::reader::Table;
use crate::config::file::wording::quoted;
use crate::config::model::As;

/// The seconds of a length of time in another form: `3600`, `30 D`, `1h30m`, `2 weeks`, `P30D`. Not months: they have
/// no fixed length.
pub fn length(text: &str) -> Option<u64> {
    const UNITS: [(u64, &[&str]); 6] = [
        (1, &["", "s", "sec", "secs", "second", "seconds"]),
        (60, &["m", "min", "mins", "minute", "minutes"]),
        (3600, &["h", "hr", "hrs", "hour", "hours"]),
        (86_400, &["d", "day", "days"]),
        (7 * 86_400, &["w", "wk", "week", "weeks"]),
        (365 * 86_400, &["y", "yr", "year", "years"]),
    ];
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let words: Vec<&str> = text.split_whitespace().collect();
    // These are two numbers, not one.
    if words
        .windows(2)
        .any(|pair| matches!(pair, [one, other] if is_digit(one.chars().last()) && is_digit(other.chars().next())))
    {
        return None;
    }
    let text = words.concat();
    let iso = text.strip_prefix(['P', 'p']).map(|rest| rest.replace('t', "T"));
    let (text, is_iso) = match iso {
        Some(rest) => {
            let (days, time) = rest.split_once('T').unwrap_or((rest.as_str(), ""));
            if days.contains(['M', 'm']) {
                return None;
            }
            (format!("{days}{time}"), true)
        }
        None => (text, false),
    };
    let mut seconds = 0_u64;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let is_month = unit == "M" && !is_iso;
        // A number without a unit is valid only if it is the whole text.
        if is_month || (unit.is_empty() && digits < text.len()) {
            return None;
        }
        let unit = unit.to_ascii_lowercase();
        let (of, _) = UNITS.iter().find(|(_, names)| names.contains(&unit.as_str()))?;
        seconds = number.parse::<u64>().ok()?.checked_mul(*of)?.checked_add(seconds)?;
        rest = behind;
    }
    (seconds > 0).then_some(seconds)
}

/// What to write for a default that is a word or a length.
pub fn default_meant(text: &str, cast: As) -> Option<String> {
    let word = text.trim().to_ascii_lowercase();
    match word.as_str() {
        "never" => Some("write default = -1, and ttl_words = \"aerospike\" beside the ttl".to_owned()),
        "default" => Some("write default = 0, and ttl_words = \"aerospike\" beside the ttl".to_owned()),
        "keep" => Some("write default = -2, and ttl_words = \"aerospike\" beside the ttl".to_owned()),
        _ if cast == As::Integer => Some(format!("write default = {}, a number of seconds", length(text)?)),
        _ => None,
    }
}

/// A length in the largest unit in which it is a whole number.
pub fn shortest(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    match units.into_iter().find(|(of, _)| seconds.is_multiple_of(*of)) {
        Some((of, unit)) => format!("{}{unit}", seconds / of),
        None => format!("{seconds}s"),
    }
}

/// What to write if `as` is a word for a length of time. (Without `as`, a ttl is a length, in seconds.) `None` for
/// other words.
pub fn instead_of_type(table: &Table<'_>, word: &str) -> Option<String> {
    let word = word.trim().to_ascii_lowercase();
    let instants = "as = \"epoch_s\" or its kin is for the instant of its end";
    let (computed, instants) = match word.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" | "duration" | "length" | "ttl" | "life" | "lifetime"
        | "max_age" => ("", "as = \"epoch_s\" is for the instant of its end"),
        "ms" | "msec" | "milli" | "millis" | "millisecond" | "milliseconds" => {
            (" / 1000", "as = \"epoch_ms\" is for the instant of its end")
        }
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => {
            (" / 1000000", "as = \"epoch_us\" is for the instant of its end")
        }
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => {
            (" / 1000000000", "as = \"epoch_ns\" is for the instant of its end")
        }
        "m" | "min" | "mins" | "minute" | "minutes" => (" * 60", instants),
        "h" | "hour" | "hours" => (" * 3600", instants),
        "d" | "day" | "days" => (" * 86400", instants),
        "w" | "week" | "weeks" => (" * 604800", instants),
        "timestamp" | "datetime" | "date" | "time" | "instant" | "rfc3339" | "iso8601" | "iso" => {
            return Some(
                "write as = \"epoch_s\" for RFC 3339 or seconds since 1970; \"epoch_ms\", \"epoch_us\" and \"epoch_ns\" for the others"
                    .to_owned(),
            );
        }
        _ => return None,
    };
    let written = |name: &str| match table.get(name).map(|node| (node, node.value())) {
        Some((node, DeValue::String(text))) if !node.is_reference() => Some(text.to_string()),
        _ => None,
    };
    let value = match (written("path"), written("expr")) {
        (_, Some(expr)) if computed.is_empty() => format!("{{ expr = {} }}", quoted(&expr)),
        (_, Some(expr)) => format!("{{ expr = {} }}", quoted(&format!("({expr}){computed}"))),
        (Some(path), _) if computed.is_empty() => format!("{{ path = {} }}", quoted(&path)),
        (path, _) => {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
            let path =
                path.filter(|path| path.starts_with(|c: char| c.is_ascii_alphabetic()) && path.chars().all(is_name));
            let path = path.unwrap_or_else(|| "expires_in".to_owned());
            format!("{{ expr = {} }}", quoted(&format!("{path}{computed}")))
        }
    };
    Some(format!(
        "write {value}: a ttl that is a length of time is a number of seconds, without `as`; {instants}"
    ))
}
