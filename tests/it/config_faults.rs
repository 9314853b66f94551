//! What a configuration file may contain, and what the service reports about a wrong one.
//!
//! Each case is a piece of a file, with all its faults. The test appends the sections that the piece lacks, without
//! faults. So line 1 is the first line of the piece.

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

/// A fixed environment and fixed files, for the tests.
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

/// The piece, and the sections that it lacks to be a whole file.
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

/// Line, key, a part of the problem, a part of what was found, and a part of the cure.
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

/// Checks that the file has these faults and no others.
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

/// Checks pieces that have one fault each.
fn check_each(cases: &[(&str, Expected<'_>)]) {
    for (piece, expected) in cases {
        check(piece, &[*expected]);
    }
}

/// Checks that `line` has one fault. It is line 5 of the file, and belongs to a write with `each`.
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

/// Checks that `key` has one fault, in a write that has only a key and these lines. The first of them is line 4.
fn check_lines(cases: &[(&str, Expected<'_>)]) {
    for (lines, (line, key, problem, found, cure)) in cases {
        let key = format!("route[0].write[0].{key}");
        let piece = format!("[[route]]\n[[route.write]]\nkey = \"id\"\n{lines}");
        check(&piece, &[(*line, &key, problem, found, cure)]);
    }
}
