//! `ttl`: how long a record lives, given in the file or taken from the message.
//!
//! In the file, it is a length (`"30d"`) or a word. In a message, it is a number of seconds or, with an epoch word, the
//! instant of the record's end. For other spellings, the fault says how to write them.

use toml::de::DeValue;

use crate::config::file::reader::Node;
use crate::config::file::wording::{nearest, quoted};
use crate::config::model::{As, Constant, Instant, Missing, TimeUnit, Ttl};
use crate::config::values::expressions::{self, Place};
use crate::config::values::grammar::{self, Scope};
use crate::config::values::ttl_hints;
use crate::config::values::units;

/// Aerospike refuses a longer life.
const TTL_SECONDS_MAX: u64 = 10 * 365 * 86_400;

/// 2100-01-01, in seconds since 1970. A life that ends later is longer than `TTL_SECONDS_MAX`, as long as this program
/// is in use.
const ENDS_BEFORE: i64 = 4_102_444_800;

const CURE: &str =
    "write e.g. \"30d\", \"never\", \"keep\", \"default\", or { path = \"expires_at\", as = \"epoch_ms\" }";

const WORDS: [&str; 3] = ["never", "keep", "default"];

/// Reads the ttl at `node`. Returns nothing, and notes a fault, if it is wrong. `words`: there is a `ttl_words`.
pub fn ttl(node: &Node<'_>, scope: Scope<'_>, words: bool) -> Option<Ttl> {
    match node.value() {
        DeValue::Table(table) => {
            if let Some((name, _)) = table
                .iter()
                .find(|(name, _)| matches!(name.get_ref().as_ref(), "value" | "object"))
            {
                node.fault(
                    format!("a ttl from the message names a `path`, not `{}`", name.get_ref()),
                    CURE,
                );
                return None;
            }
            let typed = expressions::typed(node, scope, Place::Ttl)?;
            let unit = typed.cast.and_then(As::unit);
            // The default as written in the file.
            let found = |number: &i64| {
                let default = table.iter().find(|(name, _)| name.get_ref() == "default");
                match default.map(|(_, value)| value.get_ref()) {
                    Some(DeValue::String(text)) if !text.starts_with("${") => quoted(text),
                    Some(DeValue::String(_)) => "a reference".to_owned(),
                    _ => number.to_string(),
                }
            };
            let word = |number: &i64| words && (-2..=0).contains(number);
            if let (Missing::Default(Constant::Int(number)), Some(unit)) = (&typed.missing, unit)
                && let Some(looks) = TimeUnit::of_look(*number)
                && looks != unit
            {
                node.fault_found(
                    found(number),
                    format!(
                        "a default that is no {}: it looks like {}",
                        unit.plural(),
                        looks.plural()
                    ),
                    format!("write it in {}, or as = \"{}\"", unit.plural(), looks.word()),
                );
                return None;
            }
            if let (Missing::Default(Constant::Int(number)), Some(unit)) = (&typed.missing, unit)
                && unit.is_before_2001(*number)
                && !word(number)
            {
                let seconds = 1_893_456_000_i64;
                let example = TimeUnit::Seconds.instant(seconds).and_then(|end| unit.count(end));
                node.fault_found(
                    found(number),
                    format!(
                        "a default that is no ttl: with as = \"{}\" it is an instant before 2001, which is over for every record",
                        unit.word()
                    ),
                    format!(
                        "write {} since 1970, e.g. default = {}, or remove `as` for seconds from now",
                        unit.plural(),
                        example.unwrap_or(seconds)
                    ),
                );
                return None;
            }
            if let (Missing::Default(Constant::Int(number)), Some(unit)) = (&typed.missing, unit)
                && let Some(end) = Instant::of_calendar(i128::from(ENDS_BEFORE) * 1_000_000_000)
                && unit.count(end).is_some_and(|end| *number >= end)
            {
                node.fault_found(
                    found(number),
                    "a default that is no ttl: more than 10 years away, the longest life that Aerospike takes",
                    "write an earlier end, or missing = \"skip\"; for \"never\" write default = -1 and ttl_words = \"aerospike\"",
                );
                return None;
            }
            if let (Missing::Default(Constant::Int(seconds)), None) = (&typed.missing, unit)
                && !word(seconds)
            {
                let fits = u64::try_from(*seconds).is_ok_and(|seconds| (1..=TTL_SECONDS_MAX).contains(&seconds));
                if !fits {
                    node.fault_found(
                        seconds.to_string(),
                        "a default that is no ttl: 1 second to 10 years (315360000 seconds)",
                        "write e.g. default = 86400",
                    );
                    return None;
                }
            }
            Some(Ttl::Field(typed))
        }
        DeValue::String(_) => {
            let text = node.text()?;
            let duration = match text.value.as_str() {
                "default" => return Some(Ttl::Default),
                "never" => return Some(Ttl::Never),
                "keep" => return Some(Ttl::Keep),
                other => units::duration(other),
            };
            match duration {
                Err(bad) => {
                    let cure = match text.from_outside {
                        true => None,
                        false => meant(&text.value, scope),
                    };
                    node.fault(bad.problem("ttl"), cure.as_deref().unwrap_or(CURE));
                    None
                }
                Ok(life) => {
                    let whole = life.subsec_millis() == 0;
                    match u32::try_from(life.as_secs()) {
                        Ok(seconds) if whole && seconds > 0 && u64::from(seconds) <= TTL_SECONDS_MAX => {
                            Some(Ttl::Seconds(seconds))
                        }
                        _ => {
                            node.fault("a ttl is whole seconds, 1s to 3650d", CURE);
                            None
                        }
                    }
                }
            }
        }
        _ => {
            let text = match node.value() {
                DeValue::Integer(_) => node.integer().map(|number| number.to_string()),
                _ => None,
            };
            let cure = text.and_then(|text| meant(&text, scope));
            node.fault("expected a ttl", cure.as_deref().unwrap_or(CURE));
            None
        }
    }
}

/// What to write for a ttl in another spelling.
fn meant(text: &str, scope: Scope<'_>) -> Option<String> {
    let word = text.trim().to_ascii_lowercase();
    let known = match word.as_str() {
        "-1" | "none" | "null" | "infinite" | "infinity" | "inf" | "unlimited" | "forever" => Some("never"),
        "0" => Some("default"),
        "-2" => Some("keep"),
        _ => nearest(&word, &WORDS),
    };
    if let Some(known) = known {
        return Some(format!("write ttl = \"{known}\""));
    }
    if let Some(seconds) = ttl_hints::length(text).filter(|seconds| (1..=TTL_SECONDS_MAX).contains(seconds)) {
        // A number without a unit may be seconds or days.
        let or_days = match word.parse::<u64>() {
            Ok(days) if days <= 365 => format!(" for seconds, \"{days}d\" for days"),
            _ => String::new(),
        };
        return Some(format!("write ttl = \"{}\"{or_days}", ttl_hints::shortest(seconds)));
    }
    // `P1M`: a month has no fixed length.
    let is_path = text.parse::<jiff::Span>().is_err()
        && word.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '@' | '_' | '{' | '$'));
    let path = match grammar::value(text, scope) {
        Ok(crate::config::model::Expr::Source(_)) => Some(text.to_owned()),
        _ => grammar::meant_path(text, scope),
    };
    let path = quoted(&path.filter(|_| is_path)?);
    Some(format!(
        "write ttl = {{ path = {path} }} for a number of seconds, {{ path = {path}, as = \"epoch_s\" }} for the instant of its end"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_TOP: Scope<'static> = Scope {
        root: &[],
        each: false,
        strings: &[],
    };

    #[test]
    fn a_length_in_other_words_is_told_in_ours() {
        for (text, ttl) in [
            ("3600", "1h"),
            ("3601", "3601s"),
            ("30 d", "30d"),
            ("30D", "30d"),
            ("1w", "7d"),
            ("1y", "365d"),
            ("1h30m", "90m"),
            ("30min", "30m"),
            ("30days", "30d"),
            ("2 weeks", "14d"),
            ("P30D", "30d"),
            ("PT1H", "1h"),
            ("-1", "never"),
            ("0", "default"),
            ("-2", "keep"),
            ("Never", "never"),
            ("never ", "never"),
            ("nevr", "never"),
            ("none", "never"),
        ] {
            assert_eq!(meant(text, AT_TOP), Some(format!("write ttl = \"{ttl}\"")), "{text}");
            assert!(WORDS.contains(&ttl) || units::duration(ttl).is_ok(), "{text}");
        }
        for text in [
            "1M",
            "P1M",
            "11y",
            "0d",
            "2027-01-01",
            "2027-01-01T00:00:00Z",
            "",
            "1 2",
            "99999999999999999999",
        ] {
            assert_eq!(meant(text, AT_TOP), None, "{text}");
        }
        for (text, path) in [
            ("exp", "exp"),
            ("{exp}", "exp"),
            ("@header.ttl", "@header.ttl"),
            ("user.ttl", "user.ttl"),
        ] {
            let said = meant(text, AT_TOP).unwrap();
            assert!(
                said.starts_with(&format!("write ttl = {{ path = \"{path}\" }} for")),
                "{said}"
            );
        }
    }
}
