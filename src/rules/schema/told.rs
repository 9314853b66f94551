//! Tells why a payload does not satisfy its schema: the place, and the rule. Runs for rejected messages only.
//!
//! A text contains nothing of the message but the types of values and the names of fields that stand in the schema.
//! Other names are data, as in `{"+49 30 901820": …}`. A place shows each of them as [`UNKNOWN`].

use std::collections::HashSet;
use std::fmt::Write as _;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value as Schema;

use crate::config::model::{Documents, Segment};
use crate::config::values::json_schema::FOLDER;
use crate::output::value::Value;

/// A name that does not stand in the schema.
const UNKNOWN: &str = "*";

/// Maximum length of a pointer in a text.
const POINTER_BYTES_MAX: usize = 200;

/// The names that may be shown.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<Box<str>>);

impl Names {
    /// All names of objects in the schema's files, and those of `required`.
    pub fn of(documents: &Documents) -> Names {
        fn collect(schema: &Schema, names: &mut HashSet<Box<str>>) {
            match schema {
                Schema::Object(members) => {
                    for (name, member) in members {
                        names.insert(name.as_str().into());
                        if let ("required", Some(required)) = (name.as_str(), member.as_array()) {
                            names.extend(required.iter().filter_map(Schema::as_str).map(Box::from));
                        }
                        collect(member, names);
                    }
                }
                Schema::Array(elements) => elements.iter().for_each(|element| collect(element, names)),
                _ => {}
            }
        }
        let mut names = HashSet::new();
        collect(&documents.main, &mut names);
        documents.others.values().for_each(|other| collect(other, &mut names));
        Names(names)
    }

    fn shown<'n>(&self, name: &'n str) -> &'n str {
        match self.0.contains(name) && !name.contains(char::is_control) {
            true => name,
            false => UNKNOWN,
        }
    }
}

/// The place of a value: the pointer from the top of the message, and what is there.
pub(super) struct Place<'v, 'm> {
    pointer: String,
    value: Option<&'v Value<'m>>,
}

impl<'v, 'm> Place<'v, 'm> {
    /// `root`: where `value` is in the message. `path`: the pointer from there.
    pub fn of(root: &[Segment], value: &'v Value<'m>, path: &str, names: &Names) -> Place<'v, 'm> {
        let mut pointer = String::new();
        for segment in root {
            match segment {
                Segment::Name(name) => push(&mut pointer, name),
                Segment::Index(index) => push(&mut pointer, &index.to_string()),
                // The pointer goes on in the text of the string.
                Segment::Json => {}
            }
        }
        let mut here = Some(value);
        for token in path.split('/').skip(1) {
            let name = token.replace("~1", "/").replace("~0", "~");
            // The number of an element can be shown, the same digits as a name cannot.
            match here {
                Some(Value::List(elements)) => {
                    push(&mut pointer, token);
                    here = name.parse().ok().and_then(|index: usize| elements.get(index));
                }
                Some(Value::Map(members)) => {
                    push(&mut pointer, names.shown(&name));
                    here = members
                        .iter()
                        .find(|(other, _)| *other == *name)
                        .map(|(_, value)| value);
                }
                _ => push(&mut pointer, UNKNOWN),
            }
        }
        Place {
            pointer: cut(pointer),
            value: here,
        }
    }

    pub fn shown(&self) -> &str {
        match self.pointer.as_str() {
            "" => "the payload",
            pointer => pointer,
        }
    }
}

fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

fn cut(mut text: String) -> String {
    if text.len() > POINTER_BYTES_MAX {
        let end = (0..=POINTER_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// What is wrong at the place, and which rule says so.
pub(super) fn told(error: &ValidationError<'_>, place: &Place<'_, '_>) -> String {
    let mut text = format!("{} {}", place.shown(), broken(error.kind(), place.value));
    let _ = write!(text, "; rule: {} at {}", keyword(error.kind()), rule(error)); // a String takes everything
    text
}

fn keyword(kind: &Kind) -> &str {
    match kind {
        Kind::FalseSchema => "false",
        kind => kind.keyword(),
    }
}

/// Where the rule stands: file and pointer.
fn rule(error: &ValidationError<'_>) -> String {
    let place = match error.absolute_keyword_location() {
        Some(uri) => uri.as_str().strip_prefix(FOLDER).unwrap_or(uri.as_str()).to_owned(),
        None => format!("#{}", error.schema_path().as_str()),
    };
    cut(place)
}

/// What is wrong, without any value of the message. Numbers and names come from the schema.
fn broken(kind: &Kind, found: Option<&Value<'_>>) -> String {
    let fields = |unexpected: &[String]| match unexpected.len() {
        1 => "has a field that is not allowed".to_owned(),
        count => format!("has {count} fields that are not allowed"),
    };
    match kind {
        Kind::Type { kind } => {
            let found = found.map_or("another", Value::type_name);
            format!("is of type {found}, not {}", types(kind))
        }
        Kind::Required { property } => format!("has no field {property}"),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => fields(unexpected),
        Kind::AdditionalItems { limit } => format!("has more than {limit} elements"),
        Kind::UnevaluatedItems { .. } => "has elements that are not allowed".to_owned(),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => "satisfies none of the schemas".to_owned(),
        Kind::OneOfMultipleValid { .. } => "satisfies more than one of the schemas".to_owned(),
        Kind::Constant { .. } => "is not the only value that is allowed".to_owned(),
        Kind::Enum { .. } => "is none of the values that are allowed".to_owned(),
        Kind::Contains => "has too few or too many elements of the kind that it must contain".to_owned(),
        Kind::Maximum { limit } => format!("is greater than {limit}"),
        Kind::Minimum { limit } => format!("is less than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("is not less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("is not greater than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("is no multiple of {multiple_of}"),
        Kind::MaxLength { limit } => format!("has more than {limit} characters"),
        Kind::MinLength { limit } => format!("has fewer than {limit} characters"),
        Kind::MaxItems { limit } => format!("has more than {limit} elements"),
        Kind::MinItems { limit } => format!("has fewer than {limit} elements"),
        Kind::MaxProperties { limit } => format!("has more than {limit} fields"),
        Kind::MinProperties { limit } => format!("has fewer than {limit} fields"),
        Kind::UniqueItems => "has two equal elements".to_owned(),
        Kind::Pattern { .. } => "does not match the pattern".to_owned(),
        Kind::Format { format } => format!("is not of the format {format}"),
        Kind::Not { .. } => "satisfies what it must not satisfy".to_owned(),
        Kind::PropertyNames { .. } => "has a field whose name is not allowed".to_owned(),
        Kind::FalseSchema => "is not allowed".to_owned(),
        Kind::ContentEncoding { .. } | Kind::FromUtf8 { .. } => "is not in the encoding".to_owned(),
        Kind::ContentMediaType { .. } => "is not of the media type".to_owned(),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "cannot be compared with the pattern".to_owned()
        }
        Kind::Custom { .. } | Kind::Referencing(_) => "cannot be checked".to_owned(),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.as_str().to_owned(),
        TypeKind::Multiple(several) => {
            let names: Vec<&str> = several.iter().map(jsonschema::JsonType::as_str).collect();
            names.join(" or ")
        }
    }
}
