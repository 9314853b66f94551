//! Compares the pages of `docs/reference` with the code: they must name every key, default, limit and refusal, and
//! every example must work.

use std::collections::BTreeSet;

use crate::support::schema;
use penstock::config::kafka::settable;
use penstock::config::keys::{self, Key, Kind, Section};
use penstock::config::operations;
use penstock::config::values::grammar;
use penstock::config::{self, Outside, pages};

/// Pages of docs/reference that do not describe the configuration.
const OTHER_PAGES: [&str; 10] = [
    "commands.md",
    "decode.md",
    "delivery-reports.md",
    "exit-codes.md",
    "heartbeat.md",
    "init.md",
    "metrics.md",
    "result-codes.md",
    "skip.md",
    "try-and-test.md",
];

/// Gives every reference of an example a value.
struct Anything;

impl Outside for Anything {
    fn env(&self, _: &str) -> Result<String, String> {
        Ok("events".to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("secret\n".to_owned())
    }

    fn document(&self, _: &str) -> Result<String, String> {
        Ok("{}".to_owned())
    }
}

fn part(title: &str) -> &'static str {
    pages::part(title).unwrap_or_else(|| panic!("no heading names `{title}`"))
}

/// The TOML blocks on all pages.
fn examples() -> Vec<&'static str> {
    pages::PAGES
        .iter()
        .flat_map(|(_, text)| text.split("```toml\n").skip(1))
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

fn is_told(words: &str) -> bool {
    pages::PAGES.iter().any(|(_, text)| text.contains(words))
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
    let name = format!("{} {}", section.title, key.name);
    let row = pages::row(part, key.name)
        .unwrap_or_else(|| panic!("{name} has no row of key, type, default, values, meaning"));
    assert!(
        row.kind.contains(type_name(key.kind)),
        "{name} is a {}, not {}",
        type_name(key.kind),
        row.kind
    );
    let default = key.default_written().map(|default| format!("`{default}`"));
    match default {
        Some(default) => assert_eq!(row.default, default, "the default of {name}"),
        None => assert!(
            !row.default.contains('`'),
            "{name} has no default, the page says {}",
            row.default
        ),
    }
    for limit in limits(key.kind) {
        assert!(
            row.values.contains(&limit) || row.more.contains(&limit),
            "{name}: {limit} is not among {}, nor in {}",
            row.values,
            row.more
        );
    }
    assert!(row.meaning.len() > 10, "{name} has no meaning");
}

#[test]
fn every_page_of_the_reference_is_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference");
    let there: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !OTHER_PAGES.contains(&name.as_str()))
        .collect();
    let read: BTreeSet<String> = pages::PAGES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .filter(|name| !name.starts_with("../"))
        .collect();
    assert_eq!(
        there, read,
        "the pages in docs/reference, and those in src/config/pages.rs"
    );
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
fn every_operation_is_told_with_what_it_does() {
    let (_, page) = pages::PAGES.iter().find(|(name, _)| *name == "operations.md").unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let expected = operations::ALL.iter().map(|descriptor| {
        let guarded = if descriptor.is_repeatable { "no" } else { "yes" };
        let operations::Page {
            no_bin,
            no_field,
            other_type,
        } = descriptor.page;
        let word = descriptor.word;
        format!("| `{word}` | {guarded} | {no_bin} | {no_field} | {other_type} |")
    });
    let expected: Vec<String> = expected.collect();
    assert_eq!(rows[..expected.len()], expected);
    let order: Vec<String> = operations::words().map(|word| format!("`{word}`")).collect();
    let order = order.join(", ");
    let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&order), "the page does not say the order {order}");
}

#[test]
fn no_key_is_told_that_is_not_known() {
    for section in keys::ALL {
        for name in pages::keys_of(part(section.title)) {
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
    let told = pages::items(part("[kafka.properties]"));
    let (_, told) = told.split_at(
        told.iter()
            .position(|item| item.starts_with("`bootstrap.servers`"))
            .unwrap(),
    );
    let refused: Vec<String> = settable::REFUSED
        .iter()
        .map(|refused| {
            let names: Vec<String> = refused.names.iter().map(|name| format!("`{name}`")).collect();
            format!("{}: {}. Instead: {}.", names.join(", "), refused.reason, refused.cure)
        })
        .collect();
    assert_eq!(told, refused);
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
    // The missing sections come first, so that the example's keys stay in its own tables. Keys without a table belong
    // to a write.
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
    let blocks = examples();
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

/// Whether an example sets this key, on its own line or inside `{ … }`.
fn is_in_an_example(key: &Key) -> bool {
    let name = key.name;
    examples().into_iter().flat_map(str::lines).any(|line| {
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
        assert!(is_told(&format!("| `\"{name}\"` |")), "as = \"{name}\" has no row");
    }
    for name in grammar::METADATA {
        assert!(is_told(&format!("`\"{name}\"`")), "{name} is not told");
    }
}
