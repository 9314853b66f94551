//! The names of types in the file (`as = "…"`), and their names in other programs.

use crate::config::model::As;

const NAMES: &[(&str, As)] = &[
    ("string", As::String),
    ("integer", As::Integer),
    ("float", As::Float),
    ("bool", As::Bool),
    ("json", As::Json),
    ("base64", As::Base64),
    ("hex", As::Hex),
    ("epoch_s", As::EpochS),
    ("epoch_ms", As::EpochMs),
    ("epoch_us", As::EpochUs),
    ("epoch_ns", As::EpochNs),
    ("decimal", As::DECIMAL),
    ("decimal_integer", As::DECIMAL_INTEGER),
    ("decimal_float", As::DECIMAL_FLOAT),
];

/// The type that this word means in other programs. The word is in lower case.
pub fn meant_by(word: &str) -> Option<&'static str> {
    let word = word.replace(['_', '-', ' '], "");
    let unit = ["epoch", "unix"].iter().find_map(|prefix| word.strip_prefix(prefix));
    match unit.unwrap_or(&word) {
        "" if unit.is_some() => Some("epoch_s"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("epoch_s"),
        "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => Some("epoch_ms"),
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => Some("epoch_us"),
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => Some("epoch_ns"),
        "int" | "int32" | "int64" | "i32" | "i64" | "uint" | "long" | "bigint" | "short" => Some("integer"),
        "float32" | "float64" | "f32" | "f64" | "double" | "real" => Some("float"),
        "numeric" | "bigdecimal" | "connectdecimal" | "decimalstring" | "variablescaledecimal" => Some("decimal"),
        "decimalint" | "decimallong" | "decimalint64" => Some("decimal_integer"),
        "decimaldouble" | "decimalnumber" => Some("decimal_float"),
        "boolean" => Some("bool"),
        "str" | "text" | "varchar" | "char" => Some("string"),
        "b64" => Some("base64"),
        "hexadecimal" => Some("hex"),
        _ => None,
    }
}

pub fn as_named(name: &str) -> As {
    NAMES
        .iter()
        .find(|(each, _)| *each == name)
        .map_or(As::String, |(_, cast)| *cast)
}

pub fn name_of(cast: As) -> &'static str {
    NAMES
        .iter()
        .find(|(_, each)| each.is_same_word(cast))
        .map_or("string", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn what_others_call_a_type_is_one_of_the_names() {
        for (word, name) in [
            ("int", "integer"),
            ("epoch", "epoch_s"),
            ("unix", "epoch_s"),
            ("seconds", "epoch_s"),
            ("unix_ms", "epoch_ms"),
            ("epoch_millis", "epoch_ms"),
            ("double", "float"),
            ("numeric", "decimal"),
            ("BigDecimal", "decimal"),
            ("decimal_double", "decimal_float"),
        ] {
            assert_eq!(meant_by(&word.to_lowercase()), Some(name), "{word}");
            assert!(keys::AS.contains(&name));
        }
        assert_eq!(meant_by(""), None);
        assert_eq!(meant_by("thing"), None);
    }

    #[test]
    fn the_names_of_types_are_the_table_of_keys() {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, keys::AS);
    }
}
