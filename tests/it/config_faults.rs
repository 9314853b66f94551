//! What a configuration file may say, and what is said of one that is wrong.
//!
//! Each case is a piece of a file with all that is wrong with it. The sections that a piece does not have come after it
//! in a form without faults, so that lines count from its own first.

// The file as a whole.
mod whole_files;
mod unknown_keys;
// Its sections.
mod run;
mod kafka;
mod kafka_properties;
mod aerospike;
mod http;
mod logins;
mod routes;
// A write.
mod writes;
mod names;
mod values;
mod bins;
mod operations;
mod modes;
mod ttl;
mod conditions;

use crate::support::schema;
use penstock::config::{self, Config, Fault, Outside};

/// An environment and files of the test's own.
struct Fixed;

impl Outside for Fixed {
    fn env(&self, name: &str) -> Result<String, String> {
        match name {
            "SECRET" => Ok("hunter2 {".to_owned()),
            "TOPIC" => Ok("events".to_owned()),
            "NUMBER" => Ok("5".to_owned()),
            "DURATION" => Ok("5s".to_owned()),
            "TRUE" => Ok("true".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err("is not set".to_owned()),
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        match path {
            "/run/secrets/pw" => Ok("hunter2\n".to_owned()),
            _ => Err("cannot be read: no such file".to_owned()),
        }
    }
}

const KAFKA: &str = "[kafka]\nbrokers = \"k:9092\"\ntopics = [\"events\"]\n";
const AEROSPIKE: &str = "[aerospike]\nhosts = \"a:3000\"\nnamespace = \"test\"\n";
const ROUTE: &str = "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }\n";

/// The piece, and what it lacks for a whole file.
fn whole(piece: &str) -> String {
    let mut text = format!("{piece}\n");
    for (header, section) in [("[kafka]", KAFKA), ("[aerospike]", AEROSPIKE), ("[[route]]", ROUTE)] {
        if !piece.contains(header) {
            text.push_str(section);
        }
    }
    text
}

fn parse(text: &str) -> Result<Config, config::Faults> {
    config::parse_with(text, "penstock.toml", &Fixed)
}

fn good(piece: &str) -> Config {
    match parse(&whole(piece)) {
        Ok(config) => {
            schema::assert_accepts(&whole(piece));
            config
        }
        Err(faults) => panic!("{piece}\nhas no fault, but:\n{faults}"),
    }
}

/// Line, key, and a part of the problem, of what was found and of the cure.
type Expected<'a> = (usize, &'a str, &'a str, &'a str, &'a str);

fn matches(fault: &Fault, (line, key, problem, found, cure): &Expected<'_>) -> bool {
    let found_matches = match &fault.found {
        None => found.is_empty(),
        Some(text) => !found.is_empty() && text.contains(found),
    };
    fault.line == *line
        && fault.key == *key
        && fault.problem.contains(problem)
        && found_matches
        && fault.cure.contains(cure)
        && !fault.cure.is_empty()
}

/// The file has these faults and no others.
fn check_file(text: &str, expected: &[Expected<'_>]) {
    let Err(faults) = parse(text) else {
        panic!("{text}\nhas faults, but was taken");
    };
    let said = faults.to_string();
    assert!(!said.contains("hunter2"), "a secret is told:\n{said}");
    let same = faults.faults.len() == expected.len()
        && faults
            .faults
            .iter()
            .zip(expected)
            .all(|(fault, expected)| matches(fault, expected));
    assert!(same, "{text}\nexpected: {expected:#?}\nfaults:\n{said}");
}

fn check(piece: &str, expected: &[Expected<'_>]) {
    check_file(&whole(piece), expected);
}

/// One fault, in a piece with one.
fn check_each(cases: &[(&str, Expected<'_>)]) {
    for (piece, expected) in cases {
        check(piece, &[*expected]);
    }
}

/// One fault in `line`, the fifth of a file: a line of a write with `each`.
fn check_write(cases: &[(&str, &str, &str, &str, &str)]) {
    for (line, key, problem, found, cure) in cases {
        let name = line.split([' ', '=']).next().unwrap_or_default();
        let mut piece = String::from("[[route]]\n[[route.write]]\neach = \"items\"\n");
        let (first, second) = match name {
            "key" => ("bins = { a = \"a\" }", ""),
            "bins" => ("key = \"id\"", ""),
            _ => ("key = \"id\"", "bins = { a = \"a\" }"),
        };
        piece.push_str(&format!("{first}\n{line}\n{second}\n"));
        let key = format!("route[0].write[0].{key}");
        check(&piece, &[(5, &key, problem, found, cure)]);
    }
}

/// One fault, of `key` in a write that has nothing but a key and these lines, of which the first is the fourth.
fn check_lines(cases: &[(&str, Expected<'_>)]) {
    for (lines, (line, key, problem, found, cure)) in cases {
        let key = format!("route[0].write[0].{key}");
        let piece = format!("[[route]]\n[[route.write]]\nkey = \"id\"\n{lines}");
        check(&piece, &[(*line, &key, problem, found, cure)]);
    }
}
