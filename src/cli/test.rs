//! `penstock test`: checks a configuration with fixtures. Each fixture is a message and the expected result of the
//! rules.
//!
//! A fixture has the form of a line of `try --json`, plus a name. What it leaves out has a usual default.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json;
use super::message::{Defaults, OwnedMessage, instant};
use super::outcome::{Outcome, PAST};
use super::terminal::{Colours, Tone};
use super::totals;
use super::{is_stdin, load, refuse, shown};
use crate::config::model::Config;
use crate::rules::mapping::Mapping;
use crate::rules::mapping::tally::Tally;
use crate::util::exit::Exit;

/// A larger file of fixtures is refused.
const FIXTURES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The time of a case that sets none: 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Configurations; NAME.fixtures.json is beside NAME.toml.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Fixtures of one FILE; - is standard input.
    #[arg(long, value_name = "FIXTURES")]
    fixtures: Option<PathBuf>,
    /// Write what the rules do now into the fixtures.
    #[arg(long)]
    update: bool,
}

/// Compares the configurations with their fixtures.
pub(super) fn test(arguments: &Test) -> Exit {
    if arguments.fixtures.is_some() && arguments.files.len() > 1 {
        return refuse("--fixtures is for one FILE");
    }
    let mut worst = Exit::Stopped;
    for file in &arguments.files {
        let fixtures = match &arguments.fixtures {
            Some(fixtures) => fixtures.clone(),
            None if is_stdin(file) => return refuse("a configuration from standard input needs --fixtures"),
            None => file.with_extension("fixtures.json"),
        };
        if is_stdin(file) && is_stdin(&fixtures) {
            return refuse("standard input cannot be both the configuration and its fixtures");
        }
        if is_stdin(&fixtures) && arguments.update {
            return refuse("--update needs fixtures in a file");
        }
        worst = worst.or_worse(test_one(file, &fixtures, arguments.update));
    }
    worst
}

fn test_one(file: &Path, fixtures: &Path, update: bool) -> Exit {
    let Some(config) = load(file) else {
        return Exit::Configuration;
    };
    let complain = |problem: &str| {
        let _ = writeln!(io::stderr().lock(), "{}: {problem}", shown(fixtures));
    };
    let mapping = match Mapping::compile(&config) {
        Ok(mapping) => mapping,
        Err(error) => {
            complain(&error.to_string());
            return Exit::Panic;
        }
    };
    let text = match read(fixtures) {
        Ok(text) => text,
        Err(error) => {
            complain(&format!(
                "cannot be read: {error}; write fixtures, e.g. from what `penstock try {} --json` says",
                file.display()
            ));
            return Exit::Configuration;
        }
    };
    let cases = match cases(&text, &config) {
        Ok(cases) if cases.is_empty() => {
            complain("holds no case");
            return Exit::Configuration;
        }
        Ok(cases) => cases,
        Err((line, problem)) => {
            let _ = writeln!(io::stderr().lock(), "{}:{line}: {problem}", shown(fixtures));
            return Exit::Configuration;
        }
    };
    let colours = Colours::of_stdout();
    let mut out = io::stdout().lock();
    let tally = Tally::new(&mapping);
    let mut failed = 0;
    let mut updated = Vec::new();
    for case in &cases {
        let actual = match Outcome::of(&mapping, &case.message, case.now_ms, &tally) {
            Ok(outcome) => outcome,
            Err(problem) => {
                let _ = writeln!(io::stderr().lock(), "{}:{}: {problem}", shown(fixtures), case.line);
                return Exit::Configuration;
            }
        };
        if update {
            updated.push(case.written(&actual.compared()));
            continue;
        }
        if actual.compared() == case.expected {
            continue;
        }
        failed += 1;
        let _ = writeln!(
            out,
            "{}:{}: {} {}",
            shown(fixtures),
            case.line,
            colours.paint(Tone::Bad, "differs:"),
            case.name
        );
        if let Some((reason, detail)) = &actual.rejection {
            let _ = writeln!(out, "  rejected {reason}: {detail}");
        }
        for (sign, line) in json::difference(&json::lines(&case.expected), &json::lines(&actual.compared())) {
            let line = format!("  {sign} {line}");
            let line = match sign {
                '-' => colours.paint(Tone::Good, line),
                '+' => colours.paint(Tone::Bad, line),
                _ => line,
            };
            let _ = writeln!(out, "{line}");
        }
    }
    if update {
        if let Err(error) = std::fs::write(fixtures, format!("[\n{}\n]\n", updated.join(",\n"))) {
            complain(&format!("cannot be written: {error}"));
            return Exit::Configuration;
        }
        let _ = writeln!(out, "{}: {} case(s) written", shown(fixtures), cases.len());
        return Exit::Stopped;
    }
    if failed > 0 {
        let _ = writeln!(
            out,
            "{}: {} of {} case(s) (- expected, + what the configuration does)",
            shown(file),
            colours.paint(Tone::Bad, format!("{failed} failed")),
            cases.len()
        );
        return Exit::Found;
    }
    let _ = writeln!(
        out,
        "{}: {}: {} case(s)",
        shown(file),
        colours.paint(Tone::Good, "ok"),
        cases.len()
    );
    Exit::Stopped
}

fn read(fixtures: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut limited: Box<dyn io::Read> = if is_stdin(fixtures) {
        Box::new(io::stdin().lock().take(FIXTURES_BYTES_MAX + 1))
    } else {
        Box::new(std::fs::File::open(fixtures)?.take(FIXTURES_BYTES_MAX + 1))
    };
    limited.read_to_string(&mut text)?;
    if text.len() as u64 > FIXTURES_BYTES_MAX {
        return Err(io::Error::other("is larger than 64 MiB"));
    }
    Ok(text)
}

struct Case {
    /// The line where it begins, from 1.
    line: usize,
    name: String,
    message: OwnedMessage,
    now_ms: i64,
    /// The members as written in the file.
    written: Vec<(&'static str, String)>,
    /// In the form of [`Outcome::compared`].
    expected: Value,
}

impl Case {
    /// The text of the case with new expectations. Members that it left out stay left out.
    fn written(&self, actual: &Value) -> String {
        let written = self.written.iter().map(|(name, value)| (*name, value.clone()));
        let expected = ["verdict", "reason", "records", "publishes"].iter().filter_map(|name| {
            let value = actual.get(name)?;
            let is_said = value.as_array().is_none_or(|listed| !listed.is_empty());
            is_said.then(|| (*name, json::lines(value).replace('\n', "\n  ")))
        });
        let members: Vec<String> = written
            .chain(expected)
            .map(|(name, value)| format!("  \"{name}\": {value}"))
            .collect();
        format!("{{\n{}\n}}", members.join(",\n"))
    }
}

type Members = BTreeMap<String, Box<RawValue>>;

/// All cases of a file: an array, or one after another. An error has its line.
fn cases(text: &str, config: &Config) -> Result<Vec<Case>, (usize, String)> {
    let line_of = |part: &RawValue| {
        // `part` is a slice of `text`, so its address gives its position.
        let at = (part.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    };
    let not_json = |error: serde_json::Error| (error.line(), format!("is not JSON: {error}"));
    let mut parts: Vec<&RawValue> = Vec::new();
    for part in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let part = part.map_err(not_json)?;
        if part.get().starts_with('[') {
            let inner: Vec<&RawValue> = serde_json::from_str(part.get()).map_err(not_json)?;
            parts.extend(inner);
        } else {
            parts.push(part);
        }
    }
    // The totals line of `try --json` is not a case.
    parts.retain(|part| !totals::is_totals(part.get()));
    let numbered = (1..).zip(parts);
    numbered
        .map(|(number, part)| {
            let line = line_of(part);
            case(part.get(), number, line, config).map_err(|problem| (line, problem))
        })
        .collect()
}

fn case(text: &str, number: usize, line: usize, config: &Config) -> Result<Case, String> {
    const KNOWN: [&str; 10] = [
        "name",
        "now",
        "message",
        "verdict",
        "reason",
        "detail",
        "records",
        "publishes",
        PAST[0],
        PAST[1],
    ];
    let members: Members = serde_json::from_str(text).map_err(|error| format!("a case is a JSON object: {error}"))?;
    if let Some(unknown) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("a case has no \"{unknown}\"; it has {}", KNOWN.join(", ")));
    }
    let get = |name: &str| members.get(name).map(|value| value.get());
    let parsed = |name: &str| {
        let value = get(name).map(serde_json::from_str::<Value>).transpose();
        value.map_err(|error| format!("\"{name}\": {error}"))
    };
    let now_ms = match get("now") {
        None => NOW_MS,
        Some(value) => instant("now", value)?.unwrap_or(NOW_MS),
    };
    let message = get("message").ok_or("a case has a \"message\"")?;
    let defaults = Defaults::new(config, None, now_ms);
    let mut expected = Map::new();
    let verdict = parsed("verdict")?.unwrap_or_else(|| "kept".into());
    if !["kept", "filtered", "rejected"].iter().any(|known| verdict == *known) {
        return Err("\"verdict\" is \"kept\", \"filtered\" or \"rejected\"".to_owned());
    }
    if let Some(reason) = parsed("reason")? {
        expected.insert("reason".to_owned(), reason);
    } else if verdict == "rejected" {
        return Err("a rejected message has its \"reason\"".to_owned());
    }
    expected.insert("verdict".to_owned(), verdict);
    for name in ["records", "publishes"] {
        let listed = parsed(name)?.unwrap_or_else(|| Value::Array(Vec::new()));
        if !listed.is_array() {
            return Err(format!("\"{name}\" is an array"));
        }
        expected.insert(name.to_owned(), listed);
    }
    let as_written = ["name", "now", "message"].into_iter();
    Ok(Case {
        line,
        written: as_written
            .filter_map(|name| Some((name, get(name)?.to_owned())))
            .collect(),
        name: match parsed("name")? {
            Some(Value::String(name)) => name,
            _ => format!("case {number}"),
        },
        message: OwnedMessage::from_envelope(message, &defaults)?,
        now_ms,
        expected: Value::Object(expected),
    })
}
