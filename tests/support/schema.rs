//! Checks a file against the configuration's JSON Schema.

// Each test file is a crate of its own and uses a part of it.
#![allow(dead_code)]
// A test may fail by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::OnceLock;

use jsonschema::Validator;
use penstock::config::schema::schema;
use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

/// The schema's complaints about this file; empty if it is valid.
pub fn faults(text: &str) -> Vec<String> {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    let validator = VALIDATOR.get_or_init(|| jsonschema::draft202012::new(&schema()).unwrap());
    let table = DeTable::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let document = object(table.get_ref());
    let faults = validator.iter_errors(&document);
    faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

/// # Panics
/// If the schema refuses this file.
pub fn assert_accepts(text: &str) {
    let faults = faults(text);
    assert!(
        faults.is_empty(),
        "the schema refuses:\n{text}\n\n{}",
        faults.join("\n")
    );
}

/// Converts TOML values to JSON values as editors do: dates are strings.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Null, |number| Value::Number(number.into())),
        DeValue::Float(number) => Number::from_f64(number.as_str().parse().unwrap()).map_or(Value::Null, Value::Number),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => object(table),
    }
}

fn object(table: &DeTable<'_>) -> Value {
    let members = table
        .iter()
        .map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())));
    Value::Object(members.collect::<Map<_, _>>())
}
