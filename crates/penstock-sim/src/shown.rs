//! A record as a person reads it: its place on the first line, and a line for each bin. For the control port.

use std::fmt::Write as _;

use super::RecordView;
use super::msgpack::Value;

/// `key`: as it was asked for. `set`: empty for none.
pub fn record(namespace: &str, set: &str, key: &Value, record: &RecordView) -> String {
    let ttl = record
        .ttl
        .map_or_else(|| "never".to_owned(), |seconds| seconds.to_string());
    let mut text = format!(
        "record {} {} generation={} ttl={ttl}",
        target(namespace, set),
        value(key),
        record.generation
    );
    for (name, held) in &record.bins {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {} {}", name.escape_debug(), value(held));
    }
    text
}

/// The set with its namespace.
pub fn target(namespace: &str, set: &str) -> String {
    match set {
        "" => namespace.to_owned(),
        set => format!("{namespace}.{set}"),
    }
}

/// A value in the manner of JSON. Bytes are hexadecimal: `0x00ff`.
pub fn value(value: &Value) -> String {
    match value {
        Value::Nil => "null".to_owned(),
        Value::Bool(held) => held.to_string(),
        Value::Int(held) => held.to_string(),
        Value::Float(held) => format!("{held:?}"),
        Value::Float32(held) => format!("{held:?}"),
        Value::Str(held) => format!("{held:?}"),
        Value::Blob(bytes) => hexadecimal(bytes),
        Value::Particle(kind, bytes) | Value::Extension(kind, bytes) => format!("type {kind} {}", hexadecimal(bytes)),
        Value::List(items) | Value::OrderedList(_, items) => {
            let items: Vec<String> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) | Value::OrderedMap(_, entries) => {
            let entry = |(key, held): &(Value, Value)| format!("{}: {}", self::value(key), self::value(held));
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = "0x".to_owned();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_with_a_line_for_each_bin_and_no_control_characters() {
        let map = vec![(Value::Str("a".into()), Value::List(vec![Value::Nil, Value::Float(1.0)]))];
        let bins = [
            ("b", Value::Blob(vec![0, 255])),
            ("m", Value::OrderedMap(1, map)),
            ("s", Value::Str("x\u{1b}[31m\n\"y\"".into())),
        ];
        let view = RecordView {
            bins: bins.map(|(name, held)| (name.to_owned(), held)).into(),
            generation: 2,
            ttl: Some(60),
            key: None,
        };
        let shown = "record test.users \"u1\" generation=2 ttl=60\n  b 0x00ff\n  m {\"a\": [null, 1.0]}\n  s \
                     \"x\\u{1b}[31m\\n\\\"y\\\"\"";
        assert_eq!(record("test", "users", &Value::Str("u1".into()), &view), shown);
        let bare = RecordView {
            bins: [].into(),
            ttl: None,
            ..view
        };
        assert_eq!(
            record("test", "", &Value::Int(7), &bare),
            "record test 7 generation=2 ttl=never"
        );
    }
}
