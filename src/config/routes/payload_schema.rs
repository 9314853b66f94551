//! `payload_schema`: reads the JSON Schema of a route from its file, with the files that it refers to, and checks it.
//!
//! Only files at or below the configuration's folder can be referred to. Nothing is fetched from the network.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::json::SerdeJson;
use jsonschema::{Draft, ValidationError};
use serde_json::Value;

use crate::config::file::reader::{Node, Table};
use crate::config::file::wording::{cut, quoted};
use crate::config::model::{Documents, PayloadSchema};
use crate::config::values::json_schema::{self, FOLDER, Refused};

/// At most this many files together, so that a mistake cannot read a whole disk.
const FILES_MAX: usize = 100;

/// References in all files of a schema. The library follows each when it compiles, and each calls the next.
const REFERENCES_MAX: usize = 5_000;

/// Problem and cure.
type Wrong = (String, String);

/// The route's schema. `Some(None)`: not in the file. `None`: faulty, and a fault was noted.
pub fn payload_schema(table: &Table<'_>) -> Option<Option<PayloadSchema>> {
    let Some(node) = table.get("payload_schema") else {
        if let (Some(node), false) = (table.get("payload_schema_formats"), table.is_misspelt("payload_schema")) {
            node.fault(
                "`payload_schema_formats` without `payload_schema`",
                "add payload_schema = \"….schema.json\", or remove it",
            );
            return None;
        }
        return Some(None);
    };
    let formats = table.choice("payload_schema_formats");
    let text = node.text()?;
    let checks_formats = formats? == "check";
    // What a reference holds is not shown.
    let shown = if text.from_outside {
        node.written()
    } else {
        text.value.clone()
    };
    match documents(node, &text.value, &shown, checks_formats) {
        Ok(documents) => Some(Some(PayloadSchema {
            line: node.line(),
            written: node.written(),
            checks_formats,
            documents: Arc::new(documents),
        })),
        Err((problem, cure)) => {
            node.fault(problem, cure);
            None
        }
    }
}

/// Reads the schema and everything that it refers to, and compiles it for the check.
fn documents(node: &Node<'_>, path: &str, shown: &str, checks_formats: bool) -> Result<Documents, Wrong> {
    if path.trim_start().starts_with(['{', '[']) {
        let cure = "put the schema into a file, and write its name, e.g. \"orders.schema.json\"";
        return Err(("is a schema, not the name of a file".to_owned(), cure.to_owned()));
    }
    let mut documents = Documents {
        base: uri_of(path),
        main: read_schema(node, path, shown)?,
        others: BTreeMap::new(),
    };
    loop {
        let all = [&documents.main].into_iter().chain(documents.others.values());
        if all.map(references).sum::<usize>() > REFERENCES_MAX {
            let problem = format!("has more than {REFERENCES_MAX} references");
            return Err((problem, "write a smaller schema for what is needed here".to_owned()));
        }
        // The library's own representation: this validator is only to find faults.
        let compiled = json_schema::compile::<SerdeJson>(&documents, checks_formats);
        let Err(refused) = compiled else {
            return Ok(documents);
        };
        match refused {
            Refused::Missing(uris) => {
                for uri in uris {
                    if documents.others.len() + 2 > FILES_MAX {
                        let problem = format!("refers to more than {FILES_MAX} files");
                        return Err((problem, "put the schemas into fewer files".to_owned()));
                    }
                    let path = referred(&uri)?;
                    let document = read_schema(node, &path, &path)?;
                    documents.others.insert(uri, document);
                }
            }
            Refused::Wrong(wrong) => return Err(told(&wrong, shown)),
            Refused::Failed(why) => {
                return Err((format!("cannot be compiled: {why}"), "make it smaller".to_owned()));
            }
        }
    }
}

/// The number of references in a schema.
fn references(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => {
            let is_reference = |name: &str| matches!(name, "$ref" | "$dynamicRef" | "$recursiveRef");
            let of = |(name, member): (&String, &Value)| references(member) + usize::from(is_reference(name));
            members.iter().map(of).sum()
        }
        Value::Array(elements) => elements.iter().map(references).sum(),
        _ => 0,
    }
}

/// The schema in a file. It is a valid one, but its references and patterns can still be wrong.
fn read_schema(node: &Node<'_>, path: &str, shown: &str) -> Result<Value, Wrong> {
    let schema = read(node, path, shown)?;
    if Draft::default().detect(&schema) == Draft::Unknown {
        let problem = format!("the `$schema` of {} is none that is known", cut(shown));
        let cure = "write \"https://json-schema.org/draft/2020-12/schema\", or remove `$schema`";
        return Err((problem, cure.to_owned()));
    }
    match jsonschema::meta::validate(&schema) {
        Ok(()) => Ok(schema),
        Err(wrong) => Err(told(&wrong, shown)),
    }
}

/// The JSON in a file that is named relative to the configuration's folder.
fn read(node: &Node<'_>, path: &str, shown: &str) -> Result<Value, Wrong> {
    let named = quoted(shown);
    let text = node.context.outside().document(path).map_err(|why| {
        let cure = "name a file with a JSON Schema that this user may read, relative to the configuration's folder";
        (format!("the file {named} {why}"), cure.to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let schema: Value = serde_json::from_str(text).map_err(|error| {
        let problem = format!("the file {named} is not JSON: {error}");
        (problem, "correct it; `jq . FILE` shows the place, too".to_owned())
    })?;
    if schema.is_object() || schema.is_boolean() {
        return Ok(schema);
    }
    let cure = "write an object, e.g. {\"type\": \"object\", \"required\": [\"id\"]}";
    Err((format!("the file {named} holds JSON, but no schema"), cure.to_owned()))
}

/// The URI of the main schema. Outside of the configuration's folder it refers to itself alone.
fn uri_of(path: &str) -> String {
    let mut below: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "." => {}
            "" if !below.is_empty() => {}
            ".." if below.last().is_some_and(|last| !last.is_empty() && *last != "..") => {
                below.pop();
            }
            step => below.push(step),
        }
    }
    match below.first() {
        Some(&("" | "..")) | None => format!("file:///{}", encoded(below.last().unwrap_or(&""))),
        Some(_) => {
            let steps: Vec<String> = below.into_iter().map(encoded).collect();
            format!("{FOLDER}{}", steps.join("/"))
        }
    }
}

/// The file behind the URI of a reference.
fn referred(uri: &str) -> Result<String, Wrong> {
    let refused = || {
        let problem = format!("refers to {}, which is not read", cut(uri));
        let cure = "refer to a file below the configuration's folder by a relative path; if the schema has an `$id`, \
                    remove it: relative references start there";
        (problem, cure.to_owned())
    };
    let path = uri.strip_prefix(FOLDER).and_then(decoded).ok_or_else(refused)?;
    let climbs = path.split('/').any(|step| step == ".." || step.is_empty());
    if climbs || path.contains('\0') {
        return Err(refused());
    }
    Ok(path)
}

/// Percent-encoding of everything that a URI could take for something else.
fn encoded(step: &str) -> String {
    let mut text = String::new();
    for byte in step.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// What is wrong with the schema, where, and what to do. Shows the schema, which is no secret.
fn told(wrong: &ValidationError<'_>, shown: &str) -> Wrong {
    let place = format!("{}#{}", cut(shown), wrong.instance_path().as_str());
    let why = one_line(&wrong.to_string());
    match wrong.kind() {
        Kind::Format { format } if format == "regex" => {
            let problem = format!("the pattern at {place} cannot be used: {why}");
            let cure = "correct it; patterns have no look-around and no back references, so that each is matched in \
                        linear time";
            (problem, cure.to_owned())
        }
        _ if why.starts_with("Unknown format") => {
            let problem = format!("the format at {place} is unknown: {why}");
            let cure = "remove it from the schema, or remove payload_schema_formats = \"check\"";
            (problem, cure.to_owned())
        }
        Kind::Referencing(_) => {
            let problem = format!("a reference in {} leads nowhere: {why}", cut(shown));
            let cure = "correct the `$ref`: \"#/$defs/NAME\", or \"FILE#/$defs/NAME\" below the configuration's folder";
            (problem, cure.to_owned())
        }
        _ => {
            let problem = format!("is no valid JSON Schema: {place}: {why}");
            (problem, "correct the file there".to_owned())
        }
    }
}

/// A text of the library in one line, cut to a readable length.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri_and_a_reference_a_path_again() {
        for (path, uri) in [
            ("a.json", "file:///configuration/a.json"),
            ("./schemas//a b.json", "file:///configuration/schemas/a%20b.json"),
            ("schemas/../ä.json", "file:///configuration/%C3%A4.json"),
            ("../a.json", "file:///a.json"),
            ("x/../../a.json", "file:///a.json"),
            ("/etc/a.json", "file:///a.json"),
        ] {
            assert_eq!(uri_of(path), uri, "{path}");
        }
        for (uri, path) in [
            ("file:///configuration/a.json", Some("a.json")),
            ("file:///configuration/s/a%20b.json", Some("s/a b.json")),
            ("file:///configuration/%2E%2e/a.json", None),
            ("file:///configuration/s%2f..%2f..%2fa.json", None),
            ("file:///configuration//etc/passwd", None),
            ("file:///configuration/%00", None),
            ("file:///configuration/%zz", None),
            ("file:///configuration/%e4", None),
            ("file:///etc/passwd", None),
            ("https://example.com/a.json", None),
        ] {
            assert_eq!(referred(uri).ok().as_deref(), path, "{uri}");
        }
    }
}
