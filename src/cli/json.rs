//! The JSON that `try` and `test` write: the members of an object are in an order that is easy to read, and a payload
//! keeps its exact bytes.

use serde_json::Value;

use crate::config::operations;

/// The known members, in the order in which they are written: the first part, the words of the operations, the second
/// part. Others follow, sorted by name.
#[rustfmt::skip] // by what they are of
const ORDER: [&[&str]; 2] = [&[
    "name", "now", "message", "verdict", "reason", "detail", "records", "publishes", // of a case
    "topic", "partition", "offset", "timestamp", "namespace", "set", "key", "headers", "payload",
    "payload_text", // of a message, a record
    "bins", // of a write
], &[
    "touch", "delete", "mode", "on_conflict", "newer", "ttl", "ttl_on", "send_key", "guarded",
]];
/// A value that fits into this many columns is written on one line.
const COLUMNS: usize = 100;

/// An object. The values of `members` are JSON already.
pub(super) fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(*name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The value on one line.
pub(super) fn line(value: &Value) -> String {
    on_one_line(value, "")
}

/// The value on as many lines as it needs to be readable.
pub(super) fn lines(value: &Value) -> String {
    let mut text = String::new();
    write_lines(value, 0, &mut text);
    text
}

fn write_lines(value: &Value, depth: usize, text: &mut String) {
    let short = on_one_line(value, " ");
    let column = text.len() - text.rfind('\n').map_or(0, |at| at + 1);
    let is_case = depth == 0 && value.is_object();
    if column + short.chars().count() <= COLUMNS && !is_case {
        text.push_str(&short);
        return;
    }
    let indent = |depth: usize| "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('{');
            for (number, (name, value)) in ordered(value).enumerate() {
                text.push_str(if number > 0 { ",\n" } else { "\n" });
                text.push_str(&format!("{}{}: ", indent(depth + 1), Value::from(name)));
                write_lines(value, depth + 1, text);
            }
            text.push_str(&format!("\n{}}}", indent(depth)));
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (number, item) in items.iter().enumerate() {
                text.push_str(if number > 0 { ",\n" } else { "\n" });
                text.push_str(&indent(depth + 1));
                write_lines(item, depth + 1, text);
            }
            text.push_str(&format!("\n{}]", indent(depth)));
        }
        _ => text.push_str(&short),
    }
}

/// The value on one line. `space` stands between the words.
fn on_one_line(value: &Value, space: &str) -> String {
    match value {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(_) => {
            let members: Vec<String> = ordered(value)
                .map(|(name, value)| format!("{}:{space}{}", Value::from(name), on_one_line(value, space)))
                .collect();
            format!("{{{space}{}{space}}}", members.join(&format!(",{space}")))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| on_one_line(item, space)).collect();
            format!("[{}]", items.join(&format!(",{space}")))
        }
        _ => value.to_string(),
    }
}

pub(super) fn ordered(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mut members: Vec<(&str, &Value)> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let rank = |name: &str| {
        let [front, back] = ORDER.map(|part| part.iter().copied());
        let mut known = front.chain(operations::words()).chain(back);
        known.position(|known| known == name).unwrap_or(usize::MAX)
    };
    members.sort_by_key(|(name, _)| rank(name));
    members.into_iter()
}

/// Compares two texts by line: `-` marks lines only in the first, `+` lines only in the second.
pub(super) fn difference(expected: &str, actual: &str) -> Vec<(char, String)> {
    /// The comparison needs a number in memory for each pair of lines. Beyond this many, both texts are shown whole.
    const COMPARISONS_MAX: usize = 4_000_000;
    let (expected, actual): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    if expected.len().saturating_mul(actual.len()) > COMPARISONS_MAX {
        let expected = expected.iter().map(|line| ('-', (*line).to_owned()));
        let actual = actual.iter().map(|line| ('+', (*line).to_owned()));
        return expected.chain(actual).collect();
    }
    // `common[i][j]`: how many lines the rests of both texts from `i` and `j` on have in common.
    let mut common = vec![vec![0u32; actual.len() + 1]; expected.len() + 1];
    for (i, left) in expected.iter().enumerate().rev() {
        for (j, right) in actual.iter().enumerate().rev() {
            common[i][j] = if left == right {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < expected.len() || j < actual.len() {
        if i < expected.len() && j < actual.len() && expected[i] == actual[j] {
            lines.push((' ', expected[i].to_owned()));
            i += 1;
            j += 1;
        } else if j == actual.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', expected[i].to_owned()));
            i += 1;
        } else {
            lines.push(('+', actual[j].to_owned()));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_stand_in_the_order_of_reading() {
        let value = json!({ "z": 1, "records": [], "verdict": "kept", "a": 1.0, "name": "x" });
        assert_eq!(
            line(&value),
            r#"{"name":"x","verdict":"kept","records":[],"a":1.0,"z":1}"#
        );
    }

    #[test]
    fn what_is_short_stands_on_one_line() {
        let long = "x".repeat(70);
        let value = json!({ "verdict": "kept", "records": [{ "key": long, "bins": { "a": long } }, {}] });
        let expected = format!(
            "{{\n  \"verdict\": \"kept\",\n  \"records\": [\n    {{\n      \"key\": \"{long}\",\n      \
             \"bins\": {{ \"a\": \"{long}\" }}\n    }},\n    {{}}\n  ]\n}}"
        );
        assert_eq!(lines(&value), expected);
    }

    #[test]
    fn a_difference_has_the_lines_of_both() {
        let said = |expected: &str, actual: &str| -> String {
            let lines = difference(expected, actual);
            lines.iter().map(|(sign, line)| format!("{sign}{line} ")).collect()
        };
        assert_eq!(said("a\nb\nc", "a\nx\nc\nd"), " a -b +x  c +d ");
        assert_eq!(said("", "a"), "+a ");
        assert_eq!(said("a", ""), "-a ");
        assert_eq!(said("a\nb", "a\nb"), " a  b ");
    }
}
