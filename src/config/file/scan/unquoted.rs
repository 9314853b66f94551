//! What should be written in place of text without quotes.

use crate::config::file::scan::cursor::is_typographic_quote;

/// What should be written in place of text without quotes.
pub(super) enum Text {
    InQuotes(String),
    Word(String),
    /// The possible values, in words.
    OneOf(String),
    Remove,
}

pub(super) fn unquoted(raw: &str) -> (String, Text) {
    let in_quotes = |problem: &str, text: &str| (problem.to_owned(), Text::InQuotes(text.to_owned()));
    let first = raw.chars().next().unwrap_or(' ');
    let last = raw.chars().next_back().unwrap_or(' ');
    match raw.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => return ("this is no boolean of TOML".to_owned(), Text::Word("true".to_owned())),
        "no" | "off" | "false" => return ("this is no boolean of TOML".to_owned(), Text::Word("false".to_owned())),
        "null" | "nil" | "none" | "~" => return ("TOML has no null".to_owned(), Text::Remove),
        _ => {}
    }
    if is_typographic_quote(first) {
        let text = raw.trim_matches(is_typographic_quote);
        let problem = format!("`{first}` is a typographic quote, which opens no string");
        return (problem, Text::InQuotes(text.to_owned()));
    }
    if matches!(last, '"' | '\'') && !raw.trim_end_matches(last).contains(last) {
        let problem = format!("the `{last}` that opens the string is missing");
        return (problem, Text::InQuotes(raw.trim_end_matches(last).to_owned()));
    }
    if let Some((mark, rest)) = raw.char_indices().nth(1).map(|(at, _)| raw.split_at(at))
        && matches!(mark, "r" | "f" | "b" | "u" | "R" | "F" | "B" | "@" | "$")
        && rest.len() > 1
        && ['"', '\'']
            .iter()
            .any(|quote| rest.starts_with(*quote) && rest.ends_with(*quote))
    {
        return (
            format!("`{mark}` stands before the string"),
            Text::Word(rest.to_owned()),
        );
    }
    if let Some(text) = raw.strip_prefix("\\\"").and_then(|text| text.strip_suffix("\\\"")) {
        return in_quotes("`\\` stands before the quotes", text);
    }
    if let Some(name) = variable(raw) {
        return in_quotes("text stands without quotes", &format!("${{env:{name}}}"));
    }
    if let Some(number) = with_radix(raw) {
        return (
            "this is not how TOML writes a number".to_owned(),
            Text::Word(number.to_string()),
        );
    }
    if raw.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-')) && has_thousands(raw) {
        let plain = raw.replace([',', '_', ' ', '\''], "");
        if let (Ok(_), true) = (plain.parse::<f64>(), plain.bytes().all(|c| !c.is_ascii_alphabetic())) {
            let sign = if plain.starts_with('-') { "-" } else { "" };
            let digits = plain.trim_start_matches(['+', '-']).trim_start_matches('0');
            let number = match digits {
                "" => "0".to_owned(),
                digits if digits.starts_with('.') => format!("0{digits}"),
                digits => digits.to_owned(),
            };
            let number = if number.ends_with('.') {
                format!("{number}0")
            } else {
                number
            };
            return (
                "this is not how TOML writes a number".to_owned(),
                Text::Word(format!("{sign}{number}")),
            );
        }
    }
    let (number, unit) = raw.split_once(' ').unwrap_or((raw, ""));
    let is_quantity = |text: &str, is: fn(&char) -> bool| !text.is_empty() && text.chars().all(|c| is(&c));
    if is_quantity(number, char::is_ascii_digit) && is_quantity(unit, char::is_ascii_alphabetic) {
        return in_quotes("text stands without quotes", &format!("{number}{unit}"));
    }
    in_quotes("text stands without quotes", raw)
}

/// The name in `$NAME`, `${NAME}` or `%NAME%`.
fn variable(raw: &str) -> Option<&str> {
    let inside = |opens: &str, closes: &str| raw.strip_prefix(opens)?.strip_suffix(closes);
    let name = inside("${", "}")
        .or_else(|| inside("%", "%"))
        .or_else(|| inside("$", ""))?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).then_some(name)
}

/// The number in `0XFF`, `+0x10`, `0d10`.
fn with_radix(raw: &str) -> Option<i64> {
    let (sign, digits) = match raw.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, raw.strip_prefix('+').unwrap_or(raw)),
    };
    let mut chars = digits.strip_prefix('0')?.chars();
    let radix = match chars.next()?.to_ascii_lowercase() {
        'x' => 16,
        'o' => 8,
        'b' => 2,
        'd' => 10,
        _ => return None,
    };
    let number = i64::from_str_radix(&chars.as_str().replace('_', ""), radix).ok()?;
    Some(sign * number)
}

/// Whether commas, spaces or apostrophes separate thousands in a number.
fn has_thousands(raw: &str) -> bool {
    let mut groups = raw.split([',', ' ', '\'']).skip(1);
    groups.all(|group| group.split('.').next().is_some_and(|digits| digits.len() == 3))
}

/// Uses the quotes that need no escapes, if possible.
pub(super) fn in_quotes(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    let text = if cut.len() < text.len() {
        format!("{cut}…")
    } else {
        cut
    };
    if text.contains(['"', '\\']) && !text.contains('\'') {
        format!("'{text}'")
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Whether a word is one of TOML's numbers, booleans or dates.
pub(super) fn is_scalar(word: &str) -> bool {
    if matches!(word, "true" | "false") {
        return true;
    }
    let text = format!("a = {word}\n");
    !word.is_empty() && toml::de::DeTable::parse(&text).is_ok()
}
