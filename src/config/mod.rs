//! The configuration: what the file may say, and the checked values that result.
//!
//! Reads one TOML file. Returns a [`model::Config`], or every fault of the file at once, in file order. Runs on the
//! main thread, once, before anything else starts. Reads only the file, what its `${env:…}` and `${file:…}` refer to,
//! and the schemas that `payload_schema` names; it talks to no service. The start finds out whether the brokers answer,
//! the topics exist or the namespace accepts a ttl.
//!
//! The way of a file: `document` parses the TOML. `reader` keeps places and faults, and resolves references with
//! `references`. `unknown` and `table` check names and values against [`keys`]. `sections`, `route` and `write` say
//! what each key must be. `units`, `names`, `grammar` and `expressions` know the small languages in strings.
//! [`kafka::settable`] decides which properties librdkafka may be given. Of all these, [`model`] uses only [`run`] and
//! the table of [`operations`].

// The checked values: what the rest of the program sees.
pub mod model;
// What a key is, and its value after reading.
pub mod key;
// Every key of the file, with kind, limits and default.
pub mod keys;
// The operations of a write on bins.
pub mod operations;
// `[run]`: its keys and its values.
pub mod run;
// The file, its lines and its faults.
pub mod file;
// Rules for the names of topics, bins, sets, namespaces and hosts.
pub mod names;
// Mistakes in addresses: a login, a scheme or a TLS name.
pub(crate) mod addresses;
// Names of values that nobody may see.
pub(crate) mod secrecy;
// The small languages in values.
pub mod values;
// librdkafka's properties.
pub mod kafka;
// `[[route]]` and its contents.
pub(crate) mod routes;
// `[reject]`: what happens to rejected messages.
mod reject;
// `[http]`: where the endpoints listen.
pub mod http;
// The other sections, and rules between them.
mod sections;
// What the pages of docs/reference say about each key.
pub mod pages;
// The JSON Schema of the file, for editors.
pub mod schema;

use std::io::Read;
use std::path::Path;

pub use file::fault::{Fault, Faults};
pub use file::references::{Outside, System};
pub use model::Config;

/// A larger file is refused without reading it. No configuration is that large, and everything here has a limit.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Turns a file's top level into checked values.
type Sections = fn(&file::reader::Table<'_>) -> Option<Config>;

/// Reads and checks the configuration at `path`. A relative `${file:…}` is resolved in its folder.
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

/// As [`load`], for bytes that are not in a file, such as standard input. `file_name` is the name in faults. A relative
/// `${file:…}` is resolved in the working directory.
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

/// Checks the configuration in `text`. `file_name` is the name in faults. A relative `${file:…}` is resolved in the
/// working directory.
pub fn parse(text: &str, file_name: &str) -> Result<Config, Faults> {
    parse_with(text, file_name, &System::default())
}

/// As [`parse`], but `outside` provides the environment and the files that references name.
pub fn parse_with(text: &str, file_name: &str, outside: &dyn Outside) -> Result<Config, Faults> {
    checked(text, file_name, outside, sections::config)
}

fn checked(text: &str, file_name: &str, outside: &dyn Outside, sections: Sections) -> Result<Config, Faults> {
    let (config, faults) = file::document::with_document(text, outside, sections);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(Faults {
            file: file_name.to_owned(),
            faults,
        }),
    }
}

/// A fault of the whole file.
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
    // Windows editors call this encoding "Unicode".
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
