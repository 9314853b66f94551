//! The texts that say why an expression cannot be computed. They may appear in a log and a dead letter. The crate's own
//! texts may not: they quote values of the message.

use cel::ExecutionError;
use cel::common::value::Val;
use cel::objects::ValueType;

use super::facts::number;
use super::{Facts, Rule};
use crate::config::model::{READ, What};
use crate::output::value::Value;

/// The name of a value's type, as users of CEL know it.
pub(super) fn type_of(value: &dyn Val) -> &'static str {
    known(value.get_type().name())
}

/// Only known type names are repeated; any other text may be a value.
fn known(name: &str) -> &'static str {
    match name {
        "bool" => "bool",
        "int" => "int",
        "uint" => "uint",
        "double" => "double",
        "string" => "string",
        "bytes" => "bytes",
        "null_type" | "null" => "null",
        "list" => "list",
        "map" => "map",
        "type" => "type",
        "google.protobuf.Timestamp" | "timestamp" => "timestamp",
        "google.protobuf.Duration" | "duration" => "duration",
        // `facts::Beyond`.
        "beyond" => "a number outside of 64 bits",
        "half pair" => "a string with half of a surrogate pair",
        _ => "another type",
    }
}

fn of_value(kind: ValueType) -> &'static str {
    known(&kind.to_string())
}

/// The text for `error`, with which the evaluation of `rule` ended.
pub(super) fn text(rule: &Rule, facts: &Facts<'_, '_>, error: &ExecutionError) -> String {
    match error {
        ExecutionError::UndeclaredReference(name) => match name.strip_prefix(READ) {
            Some(digits) => unread(rule, facts, number(digits)),
            None => "something in it is not known".to_owned(),
        },
        ExecutionError::NoSuchKey(name) if rule.program.names.iter().any(|each| *each == **name) => {
            format!("no such key: {name}")
        }
        ExecutionError::NoSuchKey(_) => "no such key".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "no such element".to_owned(),
        ExecutionError::NoSuchOverload(overload) => {
            let types: Vec<&str> = overload.argument_types().iter().map(|name| known(name)).collect();
            let what = overload.function().trim_matches(['_', '@']);
            let what = match what {
                "[" | "[_" | "_[" | "[_]" => "[…]",
                other => other,
            };
            let cure = match (what, types.as_slice()) {
                ("+" | "-" | "*" | "/", ["uint", "int"] | ["int", "uint"]) => {
                    "; an integer beyond 64 bits with a sign is a uint: write double(…) around it"
                }
                ("%", ["uint", "int"] | ["int", "uint"]) => {
                    "; an integer beyond 64 bits with a sign is a uint: write uint(…) around both"
                }
                _ => "",
            };
            let number = number_in_string(rule, facts, what, &types);
            format!("`{what}` cannot take ({}){cure}{number}", types.join(", "))
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let (left, right) = (of_value(left.type_of()), of_value(right.type_of()));
            let number = number_in_string(rule, facts, operator, &[left, right]);
            format!("`{operator}` cannot take ({left}, {right}){number}")
        }
        ExecutionError::UnexpectedType { got, want } => {
            format!(
                "{} where {} must be",
                known(got),
                match want.as_str() {
                    "iterable" => "a list or map",
                    other => known(other),
                }
            )
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(..) => "an integer outside of 64 bits".to_owned(),
        ExecutionError::DuplicateKey(_) => "a map with one key twice".to_owned(),
        ExecutionError::UnsupportedKeyType(_) => "a value that is no key of a map".to_owned(),
        ExecutionError::FunctionError { function, .. } if function == "timestamp" => {
            "timestamp() cannot take this value: it takes RFC 3339, or a number of seconds since 1970".to_owned()
        }
        ExecutionError::FunctionError { function, .. } => format!("{function}() cannot take this value"),
        _ => "an operation in it cannot take its values".to_owned(),
    }
}

/// What to write where a number may have come as a string. Not for `+`: there the other one may be meant as a text.
fn number_in_string(rule: &Rule, facts: &Facts<'_, '_>, operator: &str, types: &[&str]) -> String {
    let is_number = |name: &str| matches!(name, "int" | "uint" | "double");
    let is_one = match types {
        [left, right] => (*left == "string" && is_number(right)) || (is_number(left) && *right == "string"),
        _ => false,
    };
    if !is_one || !matches!(operator, "<" | "<=" | ">" | ">=" | "-" | "*" | "/" | "%") {
        return String::new();
    }
    let reads = rule.program.reads.iter().zip(&rule.reads);
    let is_string = |place| matches!(facts.field(place), Some(Value::Str(_)));
    let mut strings = reads
        .filter(|(_, place)| is_string(**place))
        .map(|(read, _)| &read.written);
    match (strings.next(), strings.next()) {
        (Some(one), None) => format!("; {one} is a string: if it holds a number, write double({one})"),
        _ => "; if a string holds a number, write double(…) around it".to_owned(),
    }
}

/// Why a read has no value.
fn unread(rule: &Rule, facts: &Facts<'_, '_>, number: usize) -> String {
    let (Some(read), Some(place)) = (rule.program.reads.get(number), rule.reads.get(number)) else {
        return "something in it is not known".to_owned();
    };
    let written = &read.written;
    match &read.what {
        What::Has(_) => format!("{written}: what should have the field is missing, or no object"),
        // The field is there, but no type of CEL can hold it.
        _ if facts.field(*place).is_some() => match facts.field(*place) {
            Some(Value::Unheld { what, .. }) => format!("{written} is {what}"),
            _ => format!("{written} is nothing that can be computed with"),
        },
        What::Value(crate::config::model::Source::Header(_)) => format!("no such header: {written}"),
        _ => format!("no such field: {written}"),
    }
}
