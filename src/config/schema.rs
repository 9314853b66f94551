//! The configuration as a JSON Schema (2020-12), for editors that complete and check a file while it is edited.
//!
//! Generated from [`keys`], the table that the reader itself uses. What a key means and which keys are required comes
//! from the [`pages`] of `docs/reference`; a test compares these with that table. The schema describes only the form of
//! a file. `penstock check` finds what needs the program (references without a value, keys that contradict each other,
//! librdkafka's opinion of a property). So the schema refuses less, but never refuses a valid file.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind, Section};
use super::model::As;
use super::names;
use super::pages;
use crate::config::kafka::settable;
use crate::config::operations::{self, Descriptor, Form, KEPT_MAX};
use crate::config::routes::operations::place_of;
use crate::config::values::expressions::Place;
use crate::config::values::type_names;
use crate::config::values::units;

/// A value that is a reference to a value outside of the file.
const REFERENCE: &str = r"\$\{(env|file):[^{}$]+\}";

/// The schema of the whole file.
pub fn schema() -> Value {
    let mut root = section(&keys::TOP);
    let mut definitions = Map::new();
    definitions.insert(
        "reference".to_owned(),
        described(
            json!({ "type": "string", "pattern": whole(REFERENCE) }),
            "the environment variable or the file that holds the value",
        ),
    );
    for place in [
        Place::Bin,
        Place::Key,
        Place::Ttl,
        Place::Number,
        Place::Text,
        Place::MapKey,
        Place::Name,
        Place::PublishedKey,
    ] {
        definitions.insert(definition(place).to_owned(), value(place));
    }
    if let Value::Object(root) = &mut root {
        root.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        root.insert("title".to_owned(), json!("Penstock's configuration"));
        root.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

/// The schema of a table whose keys are known.
fn section(section: &Section) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in section.keys {
        let row = row(section, key.name);
        if row.as_ref().is_some_and(|row| row.is_required) {
            required.push(key.name);
        }
        properties.insert(key.name.to_owned(), annotated(shape(section, key), key, row.as_ref()));
    }
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    if section.title == keys::ROUTE.title {
        table["anyOf"] = json!([{ "required": ["write"] }, { "required": ["publish"] }]);
    }
    table
}

/// The schema of the key's value.
fn shape(section: &Section, key: &Key) -> Value {
    if section.title == keys::WRITE.title
        && let Some(descriptor) = operations::named(key.name)
    {
        return operation(descriptor);
    }
    if let Some(operand) = operations::operand_at(section, key.name) {
        return at(place_of(operand));
    }
    match (section.title, key.name) {
        ("the file", "run") => self::section(&keys::RUN),
        ("the file", "kafka") => self::section(&keys::KAFKA),
        ("the file", "aerospike") => self::section(&keys::AEROSPIKE),
        ("the file", "reject") => self::section(&keys::REJECT),
        ("the file", "log") => self::section(&keys::LOG),
        ("the file", "http") => self::section(&keys::HTTP),
        ("[aerospike]", "tls") => self::section(&keys::AEROSPIKE_TLS),
        ("[http]", "listen") => either(r"[0-9A-Fa-f.:%\[\]]+:[0-9]{1,5}"),
        ("the file", "route") => tables(&keys::ROUTE),
        ("[[route]]", "write") => tables(&keys::WRITE),
        ("[[route]]", "publish") => tables(&keys::PUBLISH),
        ("[[route.publish]]", "key") => at(Place::PublishedKey),
        ("[[route.publish]]", "headers") => json!({ "type": "object", "additionalProperties": at(Place::Header) }),
        ("[[route.publish]]", "payload") => at(Place::Payload),
        ("[kafka]" | "[[route]]", "topics") => {
            let topic = either(r"[A-Za-z0-9._-]{1,249}");
            json!({ "type": "array", "items": topic, "minItems": 1, "uniqueItems": true })
        }
        ("[[route]]", "root") => {
            let path = json!({ "type": "string" });
            let text = json!({
                "type": "object",
                "properties": { "path": path, "as": or_reference(&json!({ "enum": ["json"] })) },
                "required": ["path"],
                "additionalProperties": false,
            });
            json!({ "anyOf": [path, text] })
        }
        ("[[route]]", "json_strings") => texts(&json!({ "type": "string" })),
        ("[kafka]", "offset_gone") => {
            let both = or_reference(&json!({ "enum": keys::OFFSET_GONE_BOTH }));
            json!({ "anyOf": [both, self::section(&keys::OFFSET_GONE)] })
        }
        ("[kafka]", "properties" | "consumer") => librdkafka(false),
        ("[kafka]", "producer") => librdkafka(true),
        ("[[route.write]]", "namespace" | "set") => at(Place::Name),
        ("[[route.write]]", "namespaces_allowed" | "sets_allowed") => texts(&json!({ "type": "string" })),
        ("[[route.write]]", "key") => at(Place::Key),
        ("[[route.write]]", "bins") => bins(),
        ("[[route.write]]", "newer") => self::section(&keys::NEWER),
        ("[[route.write]]", "ttl") => at(Place::Ttl),
        ("all fields as bins", "path") => json!({ "type": "string", "pattern": ALL_FIELDS }),
        ("all fields as bins", "except") => {
            json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true })
        }
        ("all fields as bins", "rename") => {
            json!({ "type": "object", "additionalProperties": or_reference(&bin_name()) })
        }
        ("newer", "bin") => or_reference(&bin_name()),
        _ => by_kind(key.kind),
    }
}

fn by_kind(kind: Kind) -> Value {
    let duration = format!("[0-9]+({})", units::duration_units().join("|"));
    match kind {
        Kind::Duration { .. } => either(&duration),
        Kind::DurationOrZero { .. } => either(&format!("0|{duration}")),
        Kind::Size { .. } => either(&format!("[0-9]+({})", units::size_units().join("|"))),
        Kind::Number { min, max } => or_reference(&json!({ "type": "integer", "minimum": min, "maximum": max })),
        Kind::Flag => or_reference(&json!({ "type": "boolean" })),
        Kind::Choice { known, .. } => or_reference(&json!({ "enum": known })),
        Kind::Text => json!({ "type": "string" }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Value => at(Place::Bin),
        Kind::Table => json!({ "type": "object" }),
        Kind::Tables => json!({ "type": "array", "items": { "type": "object" }, "minItems": 1 }),
    }
}

fn tables(of: &Section) -> Value {
    json!({ "type": "array", "items": section(of), "minItems": 1 })
}

fn texts(of: &Value) -> Value {
    json!({ "type": "array", "items": of, "minItems": 1, "uniqueItems": true })
}

/// A string that matches the pattern, or a reference.
fn either(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": whole(&format!("{pattern}|{REFERENCE}")) })
}

fn or_reference(value: &Value) -> Value {
    json!({ "anyOf": [value, { "$ref": "#/$defs/reference" }] })
}

fn whole(pattern: &str) -> String {
    format!("^({pattern})$")
}

// ---- librdkafka's properties

/// The names may be in quotes, with dots, or unquoted, as tables in tables.
fn librdkafka(is_producer: bool) -> Value {
    let mut patterns = Map::new();
    for refused in settable::REFUSED {
        for name in refused.names {
            if is_producer && *name == "message.max.bytes" {
                continue;
            }
            let pattern = match (name.strip_prefix('*'), name.strip_suffix('*')) {
                (Some(end), _) => format!("{}$", literal(end)),
                (_, Some(start)) => format!("^{}", literal(start)),
                _ => format!("^{}$", literal(name)),
            };
            let refusal = described(json!({ "not": {} }), &format!("{}; {}", refused.reason, refused.cure));
            patterns.insert(pattern, refusal);
        }
    }
    json!({
        "type": "object",
        "patternProperties": patterns,
        "additionalProperties": { "type": ["string", "number", "boolean", "object"] },
    })
}

fn literal(name: &str) -> String {
    name.replace('.', r"\.")
}

// ---- values

fn definition(place: Place) -> &'static str {
    match place {
        Place::Bin | Place::Payload => "value",
        Place::Key => "key",
        Place::Ttl => "ttl",
        Place::Number => "number",
        Place::Text => "text",
        Place::MapKey => "map_key",
        Place::Name => "name",
        Place::PublishedKey | Place::Header => "of_message",
    }
}

fn at(place: Place) -> Value {
    json!({ "$ref": format!("#/$defs/{}", definition(place)) })
}

/// The values that are allowed in this place: exactly one of these forms.
fn value(place: Place) -> Value {
    let path = "a path into the message (\"user.id\"), a template (\"{tenant}:{user.id}\"), or metadata (\"@key\")";
    let string = described(json!({ "type": "string" }), path);
    let mut forms = match place {
        Place::Bin | Place::Payload => vec![string, json!({ "type": ["number", "boolean"] })],
        // A path alone does not tell the type of the bin.
        Place::Number => vec![json!({ "type": "number" })],
        Place::MapKey | Place::PublishedKey | Place::Header => vec![string, json!({ "type": "integer" })],
        Place::Key | Place::Text | Place::Name => vec![string],
        Place::Ttl => {
            let life = format!("default|never|keep|[0-9]+({})", units::duration_units().join("|"));
            vec![either(&life)]
        }
    };
    forms.push(from_path(place));
    let constant = match place {
        Place::Bin | Place::Payload => Some(json!({ "type": ["string", "number", "boolean", "array", "object"] })),
        Place::Number => Some(json!({ "type": "number" })),
        Place::MapKey | Place::PublishedKey | Place::Header => Some(json!({ "type": ["string", "integer"] })),
        Place::Text | Place::Name => Some(json!({ "type": "string" })),
        Place::Key | Place::Ttl => None,
    };
    forms.extend(constant.map(|constant| alone("value", constant)));
    forms.push(computed(place));
    if place == Place::Bin || place == Place::Payload {
        let fields = json!({ "type": "object", "additionalProperties": at(Place::Bin), "minProperties": 1 });
        forms.push(alone("object", fields));
    }
    json!({ "oneOf": forms })
}

/// `{ path = …, as = …, missing = … }`.
fn from_path(place: Place) -> Value {
    let mut properties = Map::new();
    for key in keys::VALUE.keys {
        let shape = match key.name {
            "path" => json!({ "type": "string", "minLength": 1 }),
            "as" => types(place),
            "default" => json!({ "type": ["string", "number", "boolean", "array", "object"] }),
            "missing" => by_kind(key.kind),
            "scale" if takes_decimals(place) => by_kind(key.kind),
            "big_numbers" if place == Place::Bin => by_kind(key.kind),
            // Forms with a schema of their own.
            _ => continue,
        };
        let row = row(&keys::VALUE, key.name);
        properties.insert(key.name.to_owned(), annotated(shape, key, row.as_ref()));
    }
    // The type of a number to add is required.
    let required = if place == Place::Number {
        json!(["path", "as"])
    } else {
        json!(["path"])
    };
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "not": { "required": ["missing", "default"] },
        "additionalProperties": false,
    })
}

/// `{ expr = …, as = … }`.
fn computed(place: Place) -> Value {
    let mut properties = Map::new();
    for (name, shape) in [
        ("expr", json!({ "type": "string", "minLength": 1 })),
        ("as", types(place)),
        ("scale", by_kind(keys::SCALE)),
    ] {
        if name == "scale" && !takes_decimals(place) {
            continue;
        }
        let key = keys::VALUE.keys.iter().find(|key| key.name == name);
        let row = row(&keys::VALUE, name);
        let shape = key.map_or(shape.clone(), |key| annotated(shape, key, row.as_ref()));
        properties.insert(name.to_owned(), shape);
    }
    let required = if place == Place::Number {
        json!(["expr", "as"])
    } else {
        json!(["expr"])
    };
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn takes_decimals(place: Place) -> bool {
    let is_decimal = |each: &As| matches!(each, As::Decimal { .. });
    place.allowed().is_none_or(|allowed| allowed.iter().any(is_decimal))
}

/// The values that `as` may have.
fn types(place: Place) -> Value {
    let types: Vec<&str> = match place.allowed() {
        None => keys::AS.to_vec(),
        Some(allowed) => allowed.iter().map(|each: &As| type_names::name_of(*each)).collect(),
    };
    or_reference(&json!({ "enum": types }))
}

/// `{ value = … }`, `{ object = … }`.
fn alone(name: &str, shape: Value) -> Value {
    let key = keys::VALUE.keys.iter().find(|key| key.name == name);
    let shape = match key {
        Some(key) => annotated(shape, key, row(&keys::VALUE, name).as_ref()),
        None => shape,
    };
    json!({ "type": "object", "properties": { name: shape }, "required": [name], "additionalProperties": false })
}

// ---- bins

/// The schema of an operation's value.
fn operation(descriptor: &Descriptor) -> Value {
    match &descriptor.form {
        Form::Value(shape) => {
            let operands = shape.operands();
            let beside = operands.first().map(|(part, ())| at(place_of(part.operand)));
            table_of_bins(&beside.unwrap_or_default())
        }
        Form::Entry(_, entry) => table_of_bins(&section(&entry.section)),
        Form::Count => table_of_bins(&json!({ "type": "integer", "minimum": 1, "maximum": KEPT_MAX })),
        Form::Names => texts(&or_reference(&bin_name())),
    }
}

/// `"*"`, `"after.*"`.
const ALL_FIELDS: &str = r"^(\*|.*\.\*)$";

fn bins() -> Value {
    let is_all = json!({
        "properties": { "path": { "type": "string", "pattern": ALL_FIELDS } },
        "required": ["path"],
    });
    let mut by_name = table_of_bins(&at(Place::Bin));
    by_name["not"] = is_all;
    json!({ "oneOf": [
        { "type": "string", "pattern": whole(&format!(r"\*|.*\.\*|{REFERENCE}")) },
        { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        by_name,
        section(&keys::ALL_BINS),
    ] })
}

/// A table whose keys are bin names.
fn table_of_bins(of: &Value) -> Value {
    json!({ "type": "object", "propertyNames": bin_name(), "additionalProperties": of, "minProperties": 1 })
}

/// The limit is in bytes. A name never has fewer bytes than characters.
fn bin_name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": names::BIN_BYTES_MAX })
}

// ---- texts of the pages

/// The texts of the pages about a key, without markup.
struct Row {
    is_required: bool,
    values: String,
    meaning: String,
    more: String,
}

/// The texts of the pages about this section's key.
fn row(section: &Section, key: &str) -> Option<Row> {
    let row = pages::row(pages::part(section.title)?, key)?;
    Some(Row {
        is_required: row.default == "required",
        values: if is_link(&row.values) {
            String::new()
        } else {
            without_links(&row.values)
        },
        meaning: without_links(&row.meaning),
        more: without_links(&row.more),
    })
}

/// Whether the text is only a link. Links to the pages mean nothing in an editor.
fn is_link(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(')') && text.matches("](").count() == 1
}

/// Replaces `[words](where)` by `words`: links to the pages mean nothing in an editor.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        match after
            .split_once("](")
            .and_then(|(words, link)| Some((words, link.split_once(')')?.1)))
        {
            Some((words, behind)) if !words.contains('[') => {
                plain.push_str(words);
                rest = behind;
            }
            _ => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain + rest
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

fn annotated(mut schema: Value, key: &Key, row: Option<&Row>) -> Value {
    if let Some(row) = row {
        let values = match row.values.as_str() {
            "" | "the same" | "–" => String::new(),
            values => format!(" ({values})"),
        };
        let mut description = format!("{}{values}", row.meaning);
        if !row.more.is_empty() {
            description = format!("{description}. {}", row.more);
        }
        schema = described(schema, &description);
    }
    // JSON writes a string, number or boolean as TOML does.
    let default = key
        .default_written()
        .and_then(|default| serde_json::from_str(&default).ok());
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_their_words() {
        for (text, plain) in [
            (
                "see [below](#x), or [OPERATION](OPERATION.md)",
                "see below, or OPERATION",
            ),
            ("`[\"a\"]` and [x](y)", "`[\"a\"]` and x"),
            ("none", "none"),
            ("[", "["),
        ] {
            assert_eq!(without_links(text), plain);
        }
    }

    #[test]
    fn every_key_has_its_meaning() {
        for section in keys::ALL {
            for key in section.keys {
                let row = row(section, key.name);
                assert!(
                    row.is_some_and(|row| !row.meaning.is_empty()),
                    "{} {}",
                    section.title,
                    key.name
                );
            }
        }
    }
}
