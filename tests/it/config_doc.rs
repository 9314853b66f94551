//! `docs/CONFIGURATION.md` against the code: every key, default, limit and refusal is told, and every example works.

use crate::support::schema;
use penstock::config::kafka::properties;
use penstock::config::keys::{self, Key, Kind, Section};
use penstock::config::{self, Outside};

const DOCUMENT: &str = include_str!("../../docs/CONFIGURATION.md");

/// Every reference of an example holds something.
struct Anything;

impl Outside for Anything {
    fn env(&self, _: &str) -> Result<String, String> {
        Ok("events".to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("secret\n".to_owned())
    }
}

/// The text below the heading that names `title`, up to the next heading.
fn part(title: &str) -> &'static str {
    let heading = DOCUMENT
        .lines()
        .find(|line| line.starts_with('#') && line.contains(&format!("`{title}`")));
    let Some(heading) = heading else {
        panic!("no heading names `{title}`");
    };
    let (_, below) = DOCUMENT.split_once(&format!("{heading}\n")).unwrap_or_default();
    below.find("\n## ").map_or(below, |end| &below[..end])
}

/// The cells of the row that begins with `name`.
fn row(part: &str, title: &str, name: &str) -> Vec<String> {
    let begin = format!("| `{name}` |");
    let Some(row) = part.lines().find(|line| line.starts_with(&begin)) else {
        panic!("`{name}` has no row under `{title}`");
    };
    row.trim_matches('|')
        .split(" | ")
        .map(|cell| cell.trim().to_owned())
        .collect()
}

fn limits(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Duration { min, max } | Kind::Size { min, max } => vec![format!("`\"{min}\"`"), format!("`\"{max}\"`")],
        Kind::DurationOrZero { min, max } => {
            vec![format!("`\"{min}\"`"), format!("`\"{max}\"`"), "`\"0\"`".to_owned()]
        }
        Kind::Number { min, max } => vec![format!("`{min}`"), format!("`{max}`")],
        Kind::Flag => vec!["`true`".to_owned(), "`false`".to_owned()],
        Kind::Choice { known, .. } => known.iter().map(|each| format!("`\"{each}\"`")).collect(),
        Kind::Text | Kind::List | Kind::Value | Kind::Table | Kind::Tables => Vec::new(),
    }
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Duration { .. } | Kind::DurationOrZero { .. } => "duration",
        Kind::Size { .. } => "size",
        Kind::Number { .. } => "integer",
        Kind::Flag => "boolean",
        Kind::Text | Kind::Choice { .. } => "string",
        Kind::List => "array",
        Kind::Value => "value",
        Kind::Table => "table",
        Kind::Tables => "tables",
    }
}

fn check_key(part: &str, section: &Section, key: &Key) {
    let cells = row(part, section.title, key.name);
    let name = format!("{} {}", section.title, key.name);
    assert_eq!(cells.len(), 5, "{name}: key, type, default, values, meaning: {cells:?}");
    assert!(
        cells[1].contains(type_name(key.kind)),
        "{name} is a {}, not {}",
        type_name(key.kind),
        cells[1]
    );
    let default = key.default_written().map(|default| format!("`{default}`"));
    match default {
        Some(default) => assert_eq!(cells[2], default, "the default of {name}"),
        None => assert!(
            !cells[2].contains('`'),
            "{name} has no default, the document says {}",
            cells[2]
        ),
    }
    for limit in limits(key.kind) {
        assert!(cells[3].contains(&limit), "{name}: {limit} is not among {}", cells[3]);
    }
    assert!(cells[4].len() > 10, "{name} has no meaning");
}

#[test]
fn every_key_is_told_with_its_default_and_limits() {
    for section in keys::ALL {
        let part = part(section.title);
        for key in section.keys {
            check_key(part, section, key);
        }
    }
}

#[test]
fn no_key_is_told_that_is_not_known() {
    for section in keys::ALL {
        for line in part(section.title)
            .lines()
            .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 4)
        {
            let name = line.trim_start_matches("| `").split('`').next().unwrap_or_default();
            assert!(
                section.keys.iter().any(|key| key.name == name),
                "{} knows no `{name}`",
                section.title
            );
        }
    }
}

#[test]
fn words_for_later_are_told() {
    for section in keys::ALL {
        let part = part(section.title);
        for word in section.later {
            assert!(
                part.contains(&format!("`{word}`")),
                "{} does not tell of `{word}`",
                section.title
            );
        }
        for key in section.keys {
            if let Kind::Choice { later, .. } = key.kind {
                for word in later {
                    assert!(
                        part.contains(&format!("`\"{word}\"`")),
                        "{} does not tell of `{word}`",
                        section.title
                    );
                }
            }
        }
    }
}

#[test]
fn every_refused_property_is_told_with_its_reason() {
    for refused in properties::REFUSED {
        let names: Vec<String> = refused.names.iter().map(|name| format!("`{name}`")).collect();
        let row = format!("| {} | {} | {} |", names.join(", "), refused.reason, refused.cure);
        assert!(DOCUMENT.lines().any(|line| line == row), "this row is missing:\n{row}");
    }
    let rows = part("[kafka.properties]")
        .lines()
        .filter(|line| line.matches(" | ").count() == 2)
        .count();
    assert_eq!(
        rows,
        properties::REFUSED.len() + 1,
        "rows of properties that are not refused"
    );
}

const SECTIONS: [(&str, &str); 3] = [
    ("[kafka]", "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n"),
    ("[aerospike]", "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\n"),
    (
        "[[route]]",
        "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n",
    ),
];

fn check_example(example: &str) {
    let mut whole = String::new();
    for (header, section) in SECTIONS {
        if !example.contains(header) {
            whole.push_str(section);
        }
    }
    // In front, so that the example's keys stay in its own tables; keys without a table go into a write.
    let is_lines = !example.lines().any(|line| line.trim_start().starts_with('['));
    if is_lines {
        for line in example
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let mut write = String::from("[[route]]\n[[route.write]]\n");
            for (name, default) in [
                ("key", "key = \"id\"\n"),
                ("bins", "bins = [\"a\"]\n"),
                ("each", "each = \"items\"\n"),
            ] {
                if line.split(' ').next() != Some(name) {
                    write.push_str(default);
                }
            }
            let whole = format!("{}{}{write}{line}\n", SECTIONS[0].1, SECTIONS[1].1);
            if let Err(faults) = config::parse_with(&whole, "example", &Anything) {
                panic!("{line}\n{faults}");
            }
            schema::assert_accepts(&whole);
        }
        return;
    }
    whole.push_str(example);
    if let Err(faults) = config::parse_with(&whole, "example", &Anything) {
        panic!("{example}\n{faults}");
    }
    schema::assert_accepts(&whole);
}

#[test]
fn every_example_is_read() {
    let mut whole = 0;
    let blocks: Vec<&str> = DOCUMENT
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    for block in &blocks {
        check_example(block);
        if SECTIONS.iter().all(|(header, _)| block.contains(header)) {
            whole += 1;
            if let Err(faults) = config::parse_with(block, "example", &Anything) {
                panic!("{block}\n{faults}");
            }
        }
    }
    assert!(
        whole >= 2 && blocks.len() > whole + 3,
        "{} examples, {whole} whole",
        blocks.len()
    );
}

/// Whether an example sets this key, on a line of its own or inside of `{ … }`.
fn is_in_an_example(key: &Key) -> bool {
    let name = key.name;
    DOCUMENT
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .flat_map(str::lines)
        .any(|line| {
            let line = line.trim();
            let section = line.trim_matches(['[', ']']);
            let headed = line.starts_with('[') && section.split('.').any(|part| part == name);
            let inside = ["{ ", ", "]
                .iter()
                .any(|before| line.contains(&format!("{before}{name} = ")));
            let alone = line
                .strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with('='));
            headed || inside || alone
        })
}

#[test]
fn every_key_has_an_example() {
    let without: Vec<String> = keys::ALL
        .iter()
        .flat_map(|section| section.keys.iter().map(move |key| (section, key)))
        .filter(|(_, key)| !is_in_an_example(key))
        .map(|(section, key)| format!("{} {}", section.title, key.name))
        .collect();
    assert!(without.is_empty(), "no example of: {without:?}");
}

#[test]
fn every_named_type_and_metadata_is_told() {
    for name in keys::AS {
        assert!(
            DOCUMENT.contains(&format!("| `\"{name}\"` |")),
            "as = \"{name}\" has no row"
        );
    }
    for name in [
        "@key",
        "@value",
        "@topic",
        "@partition",
        "@offset",
        "@timestamp",
        "@header.NAME",
        "@item",
        "@index",
    ] {
        assert!(DOCUMENT.contains(&format!("`\"{name}\"`")), "{name} is not told");
    }
}
