//! The configuration: what the file may say, and the checked values it becomes.
//!
//! One TOML file in, a [`model::Config`] out, or every fault of the file at once, in its order. Runs on the main
//! thread, once, before anything else starts. Reads the file and what its `${env:…}` and `${file:…}` name; talks to no
//! service: whether the brokers answer, the topics exist or the namespace takes a ttl is for the start to find out.
//!
//! The way of a file: `reader` and `table` walk the TOML with its lines, resolve references through `references` and hold
//! names against [`keys`]; `sections`, `route` and `write` say what each key must be; `units`, `names`, `grammar` and `values` know
//! the small languages in strings; [`kafka_properties`] decides what librdkafka may be told.

// The checked values: what the rest of the program sees.
pub mod model;
// What is wrong with a file, for its author.
pub mod fault;
// Every key the file may hold, with kind, limits and default: the one table.
pub mod keys;
// `"10s"`, `"512MiB"`.
mod units;
// RFC 3339, to the last second of the calendar.
pub(crate) mod instant;
// What a key that is not known was meant to be.
mod synonyms;
// What topics, bins, sets, namespaces and hosts may be called.
pub(crate) mod names;
// Addresses that hold a login, a scheme or a TLS name.
mod addresses;
// The strings of value expressions: paths, metadata, templates.
mod grammar;
// `${env:NAME}` and `${file:path}`.
mod references;
// The walk through the TOML: places, lines, faults.
mod reader;
// Tables: keys with limits and defaults.
mod table;
// Where a file that is no TOML goes wrong.
mod scan;
// Syntax errors, and what they put in doubt.
mod syntax;
// Value expressions: strings, constants and tables.
mod values;
// CEL: conditions and computed values.
pub mod cel;
// The JSON Schema of the file, for editors.
pub mod schema;
// Which librdkafka properties may be set, and why not the others.
pub mod kafka_properties;
// What integers, booleans and names of librdkafka's properties are.
pub mod kafka_types;
// Names and addresses that are written as for Kafka's Java clients or its brokers.
pub mod kafka_foreign;
// What librdkafka's properties say together: TLS, login, and what it refuses to start with.
pub mod kafka_together;
// Whether the files of TLS are there, and what they ought to be.
pub mod tls_files;
// `[[route]]`.
mod route;
// `[[route.write]]`: which record, its life, and what becomes of it.
mod write;
// `ttl`: how long a record lives.
pub(crate) mod ttl;
// `[[route.publish]]`: what goes to another topic.
mod publish;
// `bins`: what a record's bins are set to.
mod bins;
// `once`, `add`, `append` and the other operations on bins.
mod operations;
// Which words of a write contradict each other.
mod contradictions;
// `[reject]`: what becomes of a message that is rejected.
mod reject;
// The other sections, and what holds between them.
mod sections;

use std::io::Read;
use std::path::Path;

pub use fault::{Fault, Faults};
pub use model::Config;
pub use references::{Outside, System};

/// A larger file is refused unread: no configuration is, and everything here has a bound.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What makes checked values of a file's top level.
type Sections = fn(&table::Table<'_>) -> Option<Config>;

/// Reads and checks the configuration at `path`. A relative `${file:…}` is looked up beside it.
pub fn load(path: &Path) -> Result<Config, Faults> {
    load_by(path, sections::config)
}

/// As [`load`], for a program whose rules are code (a [`crate::processor::Processor`]): the file has no `[[route]]`.
pub fn load_settings(path: &Path) -> Result<Config, Faults> {
    load_by(path, sections::settings)
}

fn load_by(path: &Path, sections: Sections) -> Result<Config, Faults> {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let opened = std::fs::File::open(path).map_err(|error| unreadable(&error));
    let text = opened.and_then(read);
    read_and_checked(text, &path.display().to_string(), &System { folder }, sections)
}

/// As [`load`], from where bytes come that are in no file, such as standard input; `file_name` is what faults call it. A
/// relative `${file:…}` is looked up in the working directory.
pub fn load_from(reader: impl Read, file_name: &str) -> Result<Config, Faults> {
    read_and_checked(read(reader), file_name, &System::default(), sections::config)
}

fn read_and_checked(
    text: Result<String, Box<Fault>>,
    file_name: &str,
    outside: &dyn Outside,
    sections: Sections,
) -> Result<Config, Faults> {
    let text = text.map_err(|fault| Faults {
        file: file_name.to_owned(),
        faults: vec![*fault],
    })?;
    checked(&text, file_name, outside, sections)
}

/// Checks the configuration in `text`; `file_name` is what faults call it. A relative `${file:…}` is looked up in the
/// working directory.
pub fn parse(text: &str, file_name: &str) -> Result<Config, Faults> {
    parse_with(text, file_name, &System::default())
}

/// As [`parse`], with the environment and the files that references name taken from `outside`.
pub fn parse_with(text: &str, file_name: &str, outside: &dyn Outside) -> Result<Config, Faults> {
    checked(text, file_name, outside, sections::config)
}

fn checked(text: &str, file_name: &str, outside: &dyn Outside, sections: Sections) -> Result<Config, Faults> {
    let (config, faults) = reader::with_document(text, outside, sections);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(Faults {
            file: file_name.to_owned(),
            faults,
        }),
    }
}

/// A fault of the file as a whole.
fn whole(problem: String, cure: &str) -> Box<Fault> {
    Box::new(Fault {
        line: 0,
        key: String::new(),
        found: None,
        problem,
        cure: cure.to_owned(),
    })
}

fn unreadable(error: &std::io::Error) -> Box<Fault> {
    whole(
        format!("cannot be read: {error}"),
        "name a file that exists and that this user may read",
    )
}

fn read(reader: impl Read) -> Result<String, Box<Fault>> {
    let mut bytes = Vec::new();
    reader
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(whole(
            "is larger than 1 MiB".to_owned(),
            "name a configuration file; none needs that much",
        ));
    }
    // Editors of Windows call it "Unicode".
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        return Err(whole(
            "is UTF-16, or no text at all".to_owned(),
            "save the file as UTF-8",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error
            .as_bytes()
            .iter()
            .take(good)
            .filter(|byte| **byte == b'\n')
            .count();
        let mut fault = whole("is not UTF-8".to_owned(), "save the file as UTF-8");
        fault.line = line;
        fault
    })
}
