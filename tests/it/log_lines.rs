//! Every WARN and ERROR line of the code is in the operations guide with what to do, and nothing else is there; and every
//! line is words and then `key=value`, so that the JSON form has its fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use penstock::util::logging::pairs::split;

/// The pages of the guide with the lines.
const PAGES: [&str; 2] = ["docs/guide/log-lines.md", "docs/guide/log-lines-kafka.md"];

/// How a cluster refuses the user: `src/aerospike/refusal.rs`.
const REFUSALS: &[&str] = &[
    "aerospike: the cluster refuses the login",
    "aerospike: the cluster refuses this user",
    "aerospike: the cluster refuses this machine's address",
    "aerospike: the cluster wants a login",
    "aerospike: the cluster does not accept the login any more",
    "aerospike: the cluster has no security, and aerospike.user is set",
    "aerospike: the cluster does not understand the login",
];

/// Calls whose words come from elsewhere: the file of the call, and the rows that tell of those words.
const ELSEWHERE: &[(&str, &[&str])] = &[
    (
        "kafka/consumer/awaiting_group.rs",
        &["kafka: the group has not given out its partitions"],
    ),
    ("service/holds.rs", &["still held,"]),
    ("web/mod.rs", &["http: cannot listen at"]),
    (
        "service/assignment.rs",
        &[
            "kafka: cannot learn the group's offsets",
            "kafka: cannot split the queue of",
            "kafka: brokers of two clusters answer",
            "worker: cannot start a thread",
        ],
    ),
    (
        "service/verdicts.rs",
        &["kafka: access is refused", "kafka: the group cannot be joined"],
    ),
    (
        "partition/pending.rs",
        &[
            "kafka: the topic … refuses a message of … bytes as too large",
            "kafka: a message of … bytes for the topic … is larger than the",
            "kafka: kafka refuses to produce to the topic",
            "kafka: the topic … refuses a message for what it is",
            "kafka: the kafka producer cannot go on",
        ],
    ),
    ("partition/batch.rs", REFUSALS),
    ("aerospike/lookout.rs", REFUSALS),
    (
        "aerospike/lookout.rs",
        &[
            "aerospike: … of the cluster's … nodes reached",
            "aerospike: no node has … of the … partitions of the namespace",
        ],
    ),
    ("service/supervisor.rs", REFUSALS),
    // A start that fails.
    (
        "service/supervisor.rs",
        &[
            "the processor in code:",
            "run.memory = … MiB cannot hold",
            "the topic … is produced to and among kafka.topics",
            "cannot start a thread",
            "kafka:",
            "kafka was not ready within run.start_timeout",
            "kafka refuses access:",
            "kafka client settings are refused",
            "kafka producer settings are refused",
            "kafka gave no topic's id within run.start_timeout",
            "kafka: access is refused",
            "kafka: cannot subscribe",
            "kafka: cannot begin at the end",
            "kafka: the group's coordinator gives no offsets",
            "aerospike was not reachable within run.start_timeout",
            "aerospike: …: this port answers, but is no Aerospike node's",
            "the aerospike cluster has no namespace",
        ],
    ),
];

/// Written past the filter, and so by no macro: `src/util/logging/mod.rs`.
const WITHOUT_A_CALL: [&str; 2] = ["log: … is not a filter", "log: … shows no line of penstock itself"];

/// What a text begins with before the words of somebody else.
const HEADS: [&str; 3] = ["kafka: ", "aerospike: ", ""];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Other(char),
}

/// The tokens of Rust code, as far as they matter here: comments are left out, lifetimes and numbers are not told apart.
fn tokens(code: &str) -> Vec<Token> {
    let code: Vec<char> = code.chars().collect();
    let (mut at, mut tokens) = (0, Vec::new());
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(i, c)| code.get(at + i) == Some(&c));
    while at < code.len() {
        let c = code[at];
        if starts(at, "//") {
            while at < code.len() && code[at] != '\n' {
                at += 1;
            }
        } else if c == '"' {
            let mut text = String::new();
            at += 1;
            while code[at] != '"' {
                if code[at] == '\\' {
                    at += 1;
                    match code[at] {
                        '\n' => {
                            while code[at + 1].is_whitespace() {
                                at += 1;
                            }
                        }
                        'n' => text.push('\n'),
                        other => text.push(other),
                    }
                } else {
                    text.push(code[at]);
                }
                at += 1;
            }
            at += 1;
            tokens.push(Token::Text(text));
        } else if c == 'r' && (starts(at + 1, "\"") || starts(at + 1, "#\"")) {
            let end = if code[at + 1] == '#' { "\"#" } else { "\"" };
            at += 1 + end.len();
            let mut text = String::new();
            while !starts(at, end) {
                text.push(code[at]);
                at += 1;
            }
            at += end.len();
            tokens.push(Token::Text(text));
        } else if c == '\'' && (code.get(at + 2) == Some(&'\'') || code.get(at + 1) == Some(&'\\')) {
            // A character.
            at += 2;
            while code[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if c.is_alphabetic() || c == '_' {
            let begin = at;
            while at < code.len() && (code[at].is_alphanumeric() || code[at] == '_') {
                at += 1;
            }
            tokens.push(Token::Word(code[begin..at].iter().collect()));
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Other(c));
            }
            at += 1;
        }
    }
    tokens
}

/// A call of a log macro.
#[derive(Debug)]
struct Call {
    file: String,
    level: String,
    /// As it is written in the code.
    format: String,
}

/// The files of `src`.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, top: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, top, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&top, &top, &mut found);
    found
}

/// All calls of log macros, and all texts in the code with `…` in their holes.
fn read() -> (Vec<Call>, Vec<String>) {
    let (mut calls, mut texts) = (Vec::new(), Vec::new());
    for (file, code) in sources() {
        let tokens = tokens(&code);
        for (at, token) in tokens.iter().enumerate() {
            let Token::Word(word) = token else {
                if let Token::Text(text) = token {
                    texts.push(with_holes(text));
                }
                continue;
            };
            let is_call = ["error", "warn", "info", "debug", "trace"].contains(&word.as_str())
                && tokens[at + 1..].starts_with(&[Token::Other('!'), Token::Other('(')]);
            if !is_call {
                continue;
            }
            let is_target = |at: usize| tokens[at - 1] == Token::Other(':');
            let format = (at + 3..tokens.len()).find_map(|at| match &tokens[at] {
                Token::Text(text) if !is_target(at) => Some(text.clone()),
                _ => None,
            });
            calls.push(Call {
                file: file.clone(),
                level: word.to_uppercase(),
                format: format.unwrap(),
            });
        }
    }
    assert!(calls.len() > 120, "not all calls: {calls:#?}");
    (calls, texts)
}

/// The text with `filled` in place of what stands in braces.
fn filled(format: &str, filled: impl Fn(&str) -> &'static str) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            text.push_str(&rest[..1]);
            rest = &rest[2..];
        } else if let Some(end) = rest.find('}').filter(|_| rest.starts_with('{')) {
            text.push_str(filled(&rest[1..end]));
            rest = &rest[end + 1..];
        } else {
            // Not a format.
            text.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    text + rest
}

fn with_holes(format: &str) -> String {
    filled(format, |_| "…")
}

/// Whether it has no words of its own: they are told where they are made.
fn is_told_elsewhere(text: &str) -> bool {
    HEADS
        .iter()
        .any(|head| text.strip_prefix(head).is_some_and(|text| text.starts_with('…')))
}

/// The rows of the guide: the first words of the line, and the levels.
fn rows() -> BTreeMap<String, BTreeSet<String>> {
    let mut rows = BTreeMap::new();
    for page in PAGES {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        for list in text.split("<!-- log lines -->").skip(1) {
            let list = list.split_once("<!-- end -->").unwrap().0;
            for item in list.lines().filter_map(|line| line.strip_prefix("- **`")) {
                let (words, rest) = item.split_once("`** (").unwrap_or_else(|| panic!("{page}: {item}"));
                let (levels, _) = rest.split_once("):").unwrap_or_else(|| panic!("{page}: {item}"));
                let words = words.trim_end_matches('…').trim_end().to_owned();
                let levels = levels.split(", ").map(str::to_owned).collect();
                assert!(
                    rows.insert(words.clone(), levels).is_none(),
                    "{page}: {words:?} comes twice"
                );
            }
        }
    }
    assert!(rows.len() > 50, "{rows:#?}");
    rows
}

#[test]
fn every_warning_and_error_is_in_the_guide_and_every_row_of_it_in_the_code() {
    let (calls, texts) = read();
    let rows = rows();
    let mut levels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut faults = Vec::new();
    for Call { file, level, format } in calls
        .iter()
        .filter(|call| ["WARN", "ERROR"].contains(&call.level.as_str()))
    {
        let text = with_holes(format);
        let begins = |row: &&String| text.starts_with(row.as_str()) && !HEADS.contains(&format!("{row} ").as_str());
        if let Some(row) = rows.keys().filter(begins).max_by_key(|row| row.len()) {
            levels.entry(row).or_default().insert(level.clone());
        } else if is_told_elsewhere(&text) {
            let told: Vec<&str> = ELSEWHERE
                .iter()
                .filter(|(of, _)| of == file)
                .flat_map(|(_, rows)| *rows)
                .copied()
                .collect();
            if told.is_empty() {
                faults.push(format!(
                    "src/{file}: {level} {text:?}: say in ELSEWHERE where its words are told"
                ));
            }
            for row in told {
                levels.entry(row).or_default().insert(level.clone());
            }
        } else {
            faults.push(format!("src/{file}: {level} {text:?} is in no row of {PAGES:?}"));
        }
    }
    for row in WITHOUT_A_CALL {
        levels.entry(row).or_default().insert("WARN".to_owned());
    }
    for (row, levels) in &levels {
        match rows.get(*row) {
            None => faults.push(format!("{row:?} is in no row of {PAGES:?}")),
            Some(told) if told != levels => {
                faults.push(format!("{row:?} is {levels:?} in the code, {told:?} in its row"));
            }
            Some(_) => {}
        }
    }
    for row in rows.keys() {
        let is_in_code = HEADS
            .iter()
            .filter_map(|head| row.strip_prefix(head))
            .any(|words| texts.iter().any(|text| text.starts_with(words)));
        if !levels.contains_key(row.as_str()) || !is_in_code {
            faults.push(format!("the row {row:?} has no line in the code"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What stands for `{…}` in a line: a partition tells itself as pairs.
fn example(hole: &str) -> &'static str {
    match hole {
        "partition" => "topic=t partition=1",
        "repeated" => " repeated=2",
        "counted" => " members=1",
        "cure" => " cure=\"x\"",
        _ => "x",
    }
}

#[test]
fn no_line_has_words_behind_its_pairs() {
    let is_pair = |word: &str| {
        let (key, value) = word.split_once('=').unwrap_or_default();
        !value.is_empty() && key.starts_with(|c: char| c.is_ascii_lowercase()) && !key.contains(['(', '"', '-'])
    };
    let (calls, _) = read();
    let faults: Vec<String> = calls
        .iter()
        .filter_map(|Call { file, format, .. }| {
            let line = filled(format, example);
            let (words, _) = split(&line);
            words.split(' ').any(is_pair).then(|| format!("src/{file}: {line}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_code_takes_calls_and_texts_apart() {
    let code = r##"
        // warn!("a comment")
        fn f<'a>(c: char) { if c == '"' || c == '\'' { log::warn!("a {b} \"{}\" \
            {{c}}", d); } error!(target: "t", "{e}"); r#"raw "text""#; }
    "##;
    let texts: Vec<String> = tokens(code)
        .into_iter()
        .filter_map(|token| match token {
            Token::Text(text) => Some(with_holes(&text)),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["a … \"…\" {c}", "t", "…", "raw \"text\""]);
}
