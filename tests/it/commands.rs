//! All commands except the service, as a person or a script calls them: help, standard input, output, exit codes.

use std::path::{Path, PathBuf};
use std::process::Command;

use penstock::config::model::RejectAction;
use penstock::util::version;
use serde_json::{Value, json};

use crate::support::process::{self, Called, penstock};

/// Runs `penstock` with these arguments and this standard input, in the root of the project.
fn call(arguments: &[&str], stdin: &str) -> Called {
    let root = env!("CARGO_MANIFEST_DIR");
    process::call(penstock().current_dir(root).args(arguments), stdin)
}

/// The configurations in examples/, from the root of the project.
fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from_root = |path: PathBuf| path.strip_prefix(root).unwrap().to_path_buf();
    crate::support::examples().into_iter().map(from_root).collect()
}

const COMMANDS: [&str; 13] = [
    "run",
    "check",
    "try",
    "test",
    "replay",
    "dead",
    "skip",
    "bench",
    "init",
    "health",
    "schema",
    "completions",
    "man",
];

/// # Panics
/// Unless every line fits a terminal of 80 columns.
fn assert_fits(text: &str) {
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "longer than 80 columns:\n{}", long.join("\n"));
}

#[test]
fn the_list_of_make_targets_fits_a_terminal() {
    let listed = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--no-print-directory", "help"])
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("make demo "), "{listed}");
    assert_fits(&listed);
}

#[test]
fn the_help_of_every_command_has_an_example_and_fits_a_terminal() {
    let all = call(&["--help"], "");
    all.assert_code(0);
    assert_fits(&all.out);
    for command in COMMANDS {
        assert!(
            all.out.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is not in:\n{}",
            all.out
        );
        let help = call(&[command, "--help"], "");
        help.assert_code(0);
        assert_fits(&help.out);
        let (_, example) = help.out.split_once("Example").unwrap_or_else(|| panic!("{}", help.out));
        assert!(example.contains(&format!("penstock {command}")), "{}", help.out);
    }
    let listed = all.out.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty()).count();
    assert_eq!(listed, COMMANDS.len() + 1, "with `help`:\n{}", all.out);
}

#[test]
fn try_says_what_a_rejected_line_looks_like() {
    const EVENTS: &str = "examples/events.toml";
    let over_lines = "{\n  \"id\": \"e1\",\n  \"user\": {\n    \"id\": \"u1\"\n  }\n}\n";
    let called = call(&["try", EVENTS], over_lines);
    called.assert_code(1);
    assert_eq!(
        called.err,
        "standard input:1: a message is one line; put its JSON on one line, e.g. with jq -c\n"
    );
    let enveloped = "{\"key\": \"u1\", \"payload\": {\"id\": \"e1\", \"user\": {\"id\": \"u1\"}}}\n";
    let called = call(&["try", EVENTS], &enveloped.repeat(2));
    called.assert_code(1);
    assert_eq!(
        called.err,
        "standard input:1: this looks like an envelope, which --envelope reads\n"
    );
    call(&["try", EVENTS, "--envelope"], enveloped).assert_code(0);
    for other in ["{\"id\": \"e1\", \"payload\": 1}\n", "not JSON\n", "{\"id\": \n"] {
        assert_eq!(call(&["try", EVENTS], other).assert_code(1).err, "", "{other}");
    }
}

#[test]
fn a_configuration_is_read_from_standard_input() {
    for example in examples() {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&example)).unwrap();
        let from_file = call(&["check", example.to_str().unwrap()], "");
        let from_input = call(&["check", "-"], &text);
        from_file.assert_code(0);
        from_input.assert_code(0);
        let (_, said) = from_file.out.split_once(": ").unwrap();
        assert_eq!(from_input.out, format!("standard input: {said}"));
    }
    for command in ["check", "run"] {
        let called = call(&[command, "-"], "[kafka]\nbrokers = \"k\"\n");
        called.assert_code(78);
        assert!(
            called.err.contains("standard input:1: kafka.topics: is missing"),
            "{}",
            called.err
        );
        call(&[command, "-"], "").assert_code(78);
    }
}

/// `check` says what does not depend on a connection, and says only once what concerns several writes.
#[test]
fn check_warns_of_what_its_author_may_not_want() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("warned.toml");
    let text = r#"[kafka]
brokers = "127.0.0.1:1"
topics = ["events"]
[aerospike]
hosts = "127.0.0.1:1"
namespace = "test"
[run]
start_timeout = "1s"
[[route]]
  [[route.write]]
  set = "users"
  key = "user.id"
  add = { n = 1 }
  map_add = { kinds = { key = "type" } }
  [[route.write]]
  set = "more"
  key = "user.id"
  list_append = { lines = "line" }
"#;
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let alone = call(&["check", file], "");
    alone.assert_code(0);
    for part in [
        "guards: topic=events line=10 guarded=yes reason=\"not idempotent: add, map_add\"\n",
        "warning the writes at lines 10, 15: the record's key (user.id) is not the message's key",
        "\n        cure: give the messages the key user.id in Kafka, or set key = \"@key\"",
        "warning the write at line 15: `list_append` makes the bin lines grow with each message",
        "\n        cure: add `keep_last`, or write a record for each day or hour\n",
    ] {
        assert!(alone.out.contains(part), "no {part:?} in:\n{}", alone.out);
    }
    // With a connection it is not repeated, and is counted once.
    let connected = call(&["check", file, "--connect"], "");
    connected.assert_code(69);
    assert!(connected.out.starts_with(&alone.out), "{}", connected.out);
    assert_eq!(connected.out.matches("is not the message's key").count(), 1);
    assert!(connected.out.contains("2 error(s), 2 warning(s)"), "{}", connected.out);
    // A finding is one line, and its cure the next.
    let lines: Vec<&str> = connected.out.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.starts_with("error   kafka: not reached"))
        .unwrap();
    assert!(
        lines[at + 1].starts_with("        cure: start the broker, or correct kafka.brokers"),
        "{}",
        connected.out
    );
}

// ---- try

const PROFILE: &str = "examples/profile.toml";
const VISIT: &str = r#"{"user": {"id": "u1", "country": "de"}, "type": "visit", "ts": "2026-01-01T10:00:00Z"}"#;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn try_prints_one_json_line_a_message() {
    let input = format!("{VISIT}\n\n{{\"user\":{{}}}}\r\nnot json at all\n");
    for arguments in [
        ["try", PROFILE, "--input", "-", "--json"].as_slice(),
        &["try", PROFILE, "--json"],
    ] {
        let called = call(arguments, &input);
        // Some are rejected.
        called.assert_code(1);
        assert_eq!(called.err, "");
        let mut lines = json_lines(&called.out);
        let totals = lines.pop().unwrap();
        assert_eq!(totals["totals"]["messages"], 3, "{}", called.out);
        assert_eq!(lines.len(), 3, "{}", called.out);
        let verdicts: Vec<&Value> = lines.iter().map(|line| &line["verdict"]).collect();
        assert_eq!(verdicts, ["kept", "rejected", "rejected"]);
        assert_eq!(lines[1]["reason"], "key_missing");
        assert_eq!(lines[2]["reason"], "not_json");
        assert_eq!(lines[2]["message"]["payload_text"], "not json at all");
        assert_eq!(lines[2]["message"]["offset"], 2);
        let record = &lines[0]["records"][0];
        assert_eq!(record["namespace"], "test");
        assert_eq!(record["set"], "users");
        assert_eq!(record["key"], "u1");
        assert_eq!(
            record["bins"],
            json!({ "country": "de", "last_seen": 1_767_261_600_000_i64 })
        );
        assert_eq!(record["add"], json!({ "events": 1 }));
        assert_eq!(record["map_add"], json!({ "kinds": { "key": "visit", "by": 1 } }));
        assert_eq!(record["guarded"], true);
        assert_eq!(lines[0]["publishes"], json!([]));
    }
    call(&["try", PROFILE, "--json"], VISIT).assert_code(0);
}

#[test]
fn try_reads_envelopes_and_what_it_has_said_itself() {
    let envelope = r#"{"partition": 3, "offset": 12, "timestamp": 5, "key": "k", "headers": {"h": "v"}, "payload": {"user": {"id": 7}, "type": "x"}}"#;
    let first = call(
        &["try", PROFILE, "--envelope", "--json", "--now", "2026-01-01T00:00:00Z"],
        envelope,
    );
    first.assert_code(0);
    let [line] = &json_lines(&first.out)[..] else {
        panic!("{}", first.out)
    };
    assert_eq!(line["now"], 1_767_225_600_000_i64);
    assert_eq!(
        line["message"],
        json!({ "topic": "events", "partition": 3, "offset": 12, "timestamp": 5, "key": "k", "headers": { "h": "v" },
                "payload": { "user": { "id": 7 }, "type": "x" } })
    );
    assert_eq!(line["records"][0]["key"], "7");
    let again = call(
        &["try", PROFILE, "--envelope", "--json", "--now", "1767225600000"],
        &first.out,
    );
    assert_eq!(again.out, first.out);
    // A file may begin with a byte order mark.
    let marked = call(
        &["try", PROFILE, "--envelope", "--json", "--now", "2026-01-01T00:00:00Z"],
        &format!("\u{feff}{envelope}"),
    );
    assert_eq!(marked.out, first.out);
    let wrong = call(&["try", PROFILE, "--envelope"], "{\"payload\": 1}\n{\"paylaod\": 1}\n");
    wrong.assert_code(64);
    assert!(
        wrong.err.contains("standard input:2: a message has no \"paylaod\""),
        "{}",
        wrong.err
    );
}

#[test]
fn try_tells_a_person_what_would_be_written() {
    let called = call(&["try", PROFILE], VISIT);
    called.assert_code(0);
    for part in [
        "events:0:0 kept",
        "record test.users \"u1\"",
        "bins {\"country\":\"de\"",
        "1 message(s): 1 kept, 0 filtered, 0 rejected; nothing was written",
    ] {
        assert!(called.out.contains(part), "no {part:?} in:\n{}", called.out);
    }
}

/// A condition with a misspelt field, a condition on elements, a write that no message reaches, and names from the
/// message.
const MISTYPED: &str = r#"[kafka]
brokers = "k"
topics = ["events", "more"]
[aerospike]
hosts = "a"
namespace = "test"

[[route]]
topics = ["events"]
require = ["size(id) > 0"]

  [[route.write]]
  set = "all"
  key = "id"
  bins = { n = "n" }

  [[route.write]]
  when = "has(msg.tpye) && msg.tpye == 'purchase'"
  set = "bought"
  key = "id"
  bins = { n = "n" }

  [[route.write]]
  each = "items"
  when = "item.qty > 0"
  set = "lines"
  key = "{id}:{@index}"
  bins = { qty = "@item.qty" }

  [[route.publish]]
  when = "n > 1"
  topic = "out"

[[route]]
topics = ["more"]
when = "n > 0"

  [[route.write]]
  set = { path = "kind" }
  sets_allowed = ["a", "b"]
  key = "id"
  bins = { n = "n" }
"#;

fn mistyped() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mistyped.toml");
    std::fs::write(&file, MISTYPED).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

const ORDERS: &str = r#"{"id": "a", "n": 1, "type": "purchase", "items": [{"qty": 1}, {"qty": 0}]}
{"id": "b", "n": 2, "type": "purchase", "items": []}
{"id": "", "n": 3, "items": []}
{"id": "d", "n": 4}
"#;

#[test]
fn try_tells_by_rule_what_all_messages_came_to() {
    let (_folder, file) = mistyped();
    let called = call(&["try", &file, "--topic", "events"], ORDERS);
    called.assert_code(1);
    let (_, totals) = called
        .out
        .split_once("4 message(s): 2 kept, 0 filtered, 2 rejected")
        .unwrap();
    let lines: Vec<&str> = totals.lines().skip(1).map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "rejected for: field_missing 1, require 1",
            "require at line 10: false for 1, true for 3: size(id) > 0",
            // Rejected messages make no record.
            "write at line 12: 2 records in test.all",
            "write at line 17: 0 records in test.bought",
            "when at line 18: false for 3, true for 0: has(msg.tpye) && msg.tpye == 'purchase'",
            "write at line 23: 1 record in test.lines",
            "when at line 25: false for 1 element, true for 1 element: item.qty > 0",
            "publish at line 30: 1 message to out",
            "when at line 31: false for 1, true for 1: n > 1",
            // For a topic that no message belongs to.
            "when at line 36: asked of no message: n > 0",
            "write at line 38: 0 records",
        ]
    );
    // For a single message, everything has been said already.
    let called = call(
        &["try", &file, "--topic", "events"],
        r#"{"id": "a", "n": 1, "items": []}"#,
    );
    called.assert_code(0);
    assert!(
        called.out.ends_with("0 rejected; nothing was written\n"),
        "{}",
        called.out
    );
}

#[test]
fn what_cannot_be_computed_is_counted_apart() {
    let (_folder, file) = mistyped();
    let called = call(
        &["try", &file, "--topic", "events"],
        "{\"id\": 7}\n{\"id\": \"a\", \"n\": 1, \"items\": []}\n",
    );
    called.assert_code(1);
    for part in [
        "rejected for: condition_error 1",
        "require at line 10: false for 0, true for 1, cannot be computed for 1: size(id) > 0",
    ] {
        assert!(called.out.contains(part), "no {part:?} in:\n{}", called.out);
    }
}

#[test]
fn the_last_json_line_of_several_messages_has_the_totals() {
    let (_folder, file) = mistyped();
    let called = call(&["try", &file, "--topic", "events", "--json"], ORDERS);
    called.assert_code(1);
    let lines = json_lines(&called.out);
    assert_eq!(lines.len(), 5, "{}", called.out);
    let totals = &lines[4]["totals"];
    assert_eq!(
        [
            &totals["messages"],
            &totals["kept"],
            &totals["filtered"],
            &totals["rejected"]
        ],
        [4, 2, 0, 2]
    );
    assert_eq!(totals["reasons"], json!({ "require": 1, "field_missing": 1 }));
    let rules = totals["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 10);
    for rule in [
        json!({ "rule": "write", "line": 17, "target": "test.bought", "records": 0 }),
        json!({ "rule": "when", "line": 18, "condition": "has(msg.tpye) && msg.tpye == 'purchase'",
                "false": 3, "true": 0, "uncomputed": 0 }),
        json!({ "rule": "publish", "line": 30, "topic": "out", "messages": 1 }),
        json!({ "rule": "write", "line": 38, "records": 0 }),
    ] {
        assert!(rules.contains(&rule), "no {rule} in {totals}");
    }
    // If this output is read again, it contains neither messages nor cases.
    let again = call(&["try", &file, "--envelope", "--json"], &called.out);
    assert_eq!(again.code, Some(1), "{}", again.err);
    assert_eq!(json_lines(&again.out)[4], lines[4]);
    // One message gives one line only.
    let one = call(
        &["try", &file, "--topic", "events", "--json"],
        r#"{"id": "a", "n": 1, "items": []}"#,
    );
    assert_eq!(json_lines(&one.out).len(), 1);
}

#[test]
fn try_says_what_is_wrong_with_its_call() {
    for (arguments, code, problem) in [
        (["try", "-"].as_slice(), 64, "cannot be both"),
        (&["try", PROFILE, "--topic", "other"], 64, "it reads: events"),
        (&["try", PROFILE, "--input", "/nowhere"], 64, "cannot be read"),
        (&["try", PROFILE, "--from-topic", "0"], 64, "0 is not in"),
        (&["try", PROFILE, "--now", "soon"], 64, "RFC 3339"),
        (
            &["try", PROFILE, "--input", "-", "--from-topic", "1"],
            64,
            "cannot be used with",
        ),
        (&["try", "/nowhere.toml"], 78, "cannot be read"),
    ] {
        let called = call(arguments, "");
        called.assert_code(code);
        assert!(called.err.contains(problem), "{arguments:?}: {}", called.err);
    }
}

#[test]
fn try_of_several_topics_wants_to_know_which() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PROFILE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.toml");
    std::fs::write(&file, text.replace("[\"events\"]", "[\"events\", \"more\"]")).unwrap();
    let file = file.to_str().unwrap();
    let called = call(&["try", file], VISIT);
    called.assert_code(64);
    assert!(called.err.contains("several topics"), "{}", called.err);
    let called = call(&["try", file, "--topic", "more"], VISIT);
    called.assert_code(0);
    assert!(called.out.contains("more:0:0 kept"), "{}", called.out);
}

// ---- test

#[test]
fn every_example_does_what_its_fixtures_say() {
    let mut arguments = vec!["test".to_owned()];
    for example in examples() {
        assert!(
            example.with_extension("fixtures.json").exists(),
            "{} has no fixtures",
            example.display()
        );
        arguments.push(example.to_str().unwrap().to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let called = call(&arguments, "");
    called.assert_code(0);
    assert_eq!(called.out.lines().count(), arguments.len() - 1, "{}", called.out);
    assert!(called.out.lines().all(|line| line.contains(": ok: ")), "{}", called.out);
}

/// A copied example must not stop at the first broken message.
#[test]
fn every_example_lets_rejected_messages_be_dead_letters() {
    for example in examples() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&example);
        let config = penstock::config::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        let RejectAction::DeadLetter { topic, .. } = &config.reject.action else {
            panic!("{}: {:?}", example.display(), config.reject.action);
        };
        // The text says how to create its topic.
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            topic.ends_with(".dead") && text.contains("kafka-topics.sh"),
            "{}",
            example.display()
        );
    }
}

/// The profile and its fixtures in a separate folder.
fn profile() -> (tempfile::TempDir, String, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["profile.toml", "profile.fixtures.json"] {
        std::fs::copy(root.join("examples").join(name), folder.path().join(name)).unwrap();
    }
    let file = folder.path().join("profile.toml").to_str().unwrap().to_owned();
    let fixtures = folder.path().join("profile.fixtures.json");
    (folder, file, fixtures)
}

#[test]
fn a_fixture_that_differs_is_shown_line_by_line() {
    let (_folder, file, fixtures) = profile();
    call(&["test", &file], "").assert_code(0);
    let text = std::fs::read_to_string(&fixtures).unwrap();
    let wrong = text.replacen("\"events\": 1", "\"events\": 2", 1);
    let line = 1 + text[..text.find("{\n").unwrap()].matches('\n').count();
    std::fs::write(&fixtures, &wrong).unwrap();
    let called = call(&["test", &file], "");
    called.assert_code(1);
    for part in [
        format!("profile.fixtures.json:{line}: differs: a first visit"),
        "  -       \"add\": { \"events\": 2 },".to_owned(),
        "  +       \"add\": { \"events\": 1 },".to_owned(),
        "          \"set\": \"users\",".to_owned(),
        "1 failed of 4 case(s)".to_owned(),
    ] {
        assert!(called.out.contains(&part), "no {part:?} in:\n{}", called.out);
    }
    // `--update` corrects the fixtures, and keeps fields that it does not know.
    let called = call(&["test", &file, "--update"], "");
    called.assert_code(0);
    assert_eq!(std::fs::read_to_string(&fixtures).unwrap(), text);
}

#[test]
fn what_try_says_is_a_fixture() {
    let (_folder, file, fixtures) = profile();
    let said = call(&["try", &file, "--json"], &format!("{VISIT}\n{{}}\n{VISIT}\n")).out;
    std::fs::write(&fixtures, &said).unwrap();
    let called = call(&["test", &file], "");
    called.assert_code(0);
    assert!(called.out.contains("ok: 3 case(s)"), "{}", called.out);
    // Also from standard input.
    call(&["test", &file, "--fixtures", "-"], &said).assert_code(0);
}

#[test]
fn fixtures_that_cannot_be_read_exit_78_and_say_where() {
    let (_folder, file, fixtures) = profile();
    for (text, problem) in [
        ("", "holds no case"),
        ("[]", "holds no case"),
        ("[\n{\"message\": {}},\n{", ":3: is not JSON"),
        ("[\n\n{\"expect\": 1}]", ":3: a case has no \"expect\""),
        ("{\"name\": \"x\"}", ":1: a case has a \"message\""),
        (
            "{\"message\": {\"payload\": 1}, \"verdict\": \"ok\"}",
            ":1: \"verdict\" is",
        ),
        (
            "{\"message\": {\"payload\": 1}, \"verdict\": \"rejected\"}",
            "has its \"reason\"",
        ),
        (
            "{\"message\": {\"topic\": \"other\"}}",
            ":1: the configuration reads no topic \"other\"",
        ),
    ] {
        std::fs::write(&fixtures, text).unwrap();
        let called = call(&["test", &file], "");
        called.assert_code(78);
        assert!(called.err.contains(problem), "{text}: {}", called.err);
    }
    std::fs::remove_file(&fixtures).unwrap();
    let called = call(&["test", &file], "");
    called.assert_code(78);
    assert!(called.err.contains("penstock try"), "{}", called.err);
    call(&["test", "-"], "").assert_code(64);
    call(&["test"], "").assert_code(64);
}

// ---- schema and completions

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    call(&["man", pages.to_str().unwrap()], "").assert_code(0);
    let read = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let main = read("penstock.1");
    assert_eq!(call(&["man"], "").assert_code(0).out, main);
    // A developer's build has no date.
    let title = format!("\n.TH PENSTOCK 1 \"{}\" \"penstock ", version::DATE);
    for part in [
        title.as_str(),
        "\n.SH NAME\n",
        "\n.SH SYNOPSIS\n",
        "\n.SH COMMANDS\n",
        "\n.SH EXAMPLES\n.nf\npenstock check ",
        "\n.SH \"EXIT STATUS\"\n",
        "\n.SH ENVIRONMENT\n",
        "PENSTOCK_LOG\\fR\n",
        "\n.SH FILES\n",
        "\n.SH \"SEE ALSO\"\n",
        "penstock\\-cron(1)",
        "the configuration is wrong, or does not fit what answers",
    ] {
        assert!(format!("\n{main}").contains(part), "{part:?} is not in:\n{main}");
    }
    for command in COMMANDS {
        assert!(main.contains(&format!("penstock\\-{command}(1)")), "{command}");
        let page = read(&format!("penstock-{command}.1"));
        let example = "\n.SH EXAMPLES\n.nf\n";
        assert!(
            page.contains(example) && page.contains("\n.SH \"EXIT STATUS\"\n"),
            "{page}"
        );
    }
    // A file is in the way.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let called = call(&["man", file.to_str().unwrap()], "");
    assert!(called.assert_code(64).err.contains("name a folder"), "{}", called.err);
}

#[test]
fn the_schema_is_json() {
    let called = call(&["schema"], "");
    called.assert_code(0);
    assert_eq!(called.err, "");
    let schema: serde_json::Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!(schema, penstock::config::schema::schema());
    call(&["schema", "extra"], "").assert_code(64);
}

#[test]
fn the_completions_are_those_of_the_shell_and_know_every_command() {
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef penstock"),
        ("fish", "complete -c penstock"),
    ] {
        let called = call(&["completions", shell], "");
        called.assert_code(0);
        assert!(called.out.contains(word), "{shell}:\n{}", called.out);
        for command in COMMANDS {
            assert!(called.out.contains(command), "{shell} does not know {command}");
        }
    }
    call(&["completions", "perl"], "").assert_code(64);
    call(&["completions"], "").assert_code(64);
}

/// A shell reads the script and completes with it.
#[test]
fn bash_completes_a_command() {
    let script = call(&["completions", "bash"], "").out;
    let ask = "COMP_WORDS=(penstock ch); COMP_CWORD=1; _penstock penstock ch penstock; echo \"found:${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", &format!("{script}\n{ask}")]).output();
    let Ok(output) = output else {
        eprintln!("skipped: no bash here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("found:check"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_life_that_is_over_is_shown_and_fixtures_fix_the_time_at_which_it_is() {
    const LIVES: &str = "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\n\
                         [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"v\"]\n\
                         ttl = { path = \"exp\", as = \"epoch_s\" }\nttl_past = \"";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lives.toml");
    let name = file.to_str().unwrap();
    let message = "{\"id\":\"a\",\"v\":1,\"exp\":1800000000}\n";
    for (past, said) in [
        (
            "skip",
            "no record by 1 write(s): the life is over (ttl_past = \"skip\")",
        ),
        (
            "delete",
            "deleted by 1 write(s): the life is over (ttl_past = \"delete\")",
        ),
    ] {
        std::fs::write(&file, format!("{LIVES}{past}\"\n")).unwrap();
        let before = ["try", name, "--now", "2027-01-15T07:59:00Z"];
        let after = ["try", name, "--now", "2027-01-15T08:00:00Z"];
        let alive = call(&before, message);
        assert!(alive.assert_code(0).out.contains("ttl 60"), "{}", alive.out);
        let over = call(&after, message);
        assert!(over.assert_code(0).out.contains(said), "{}", over.out);
        assert!(over.out.contains("1 kept"), "{}", over.out);
        // Each line keeps its time, and is a case.
        let lines: Vec<String> = [before, after]
            .iter()
            .map(|arguments| call(&[arguments.as_slice(), &["--json"]].concat(), message).out)
            .collect();
        let over: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(
            over[format!("ttl_past_{past}")
                .replace("skip", "skipped")
                .replace("_delete", "_deleted")],
            1
        );
        assert_eq!(over["records"].as_array().unwrap().len(), usize::from(past == "delete"));
        std::fs::write(folder.path().join("lives.fixtures.json"), lines.concat()).unwrap();
        call(&["test", name], "").assert_code(0);
    }
    // Without either word it is rejected. So is a number in another unit, with any word.
    std::fs::write(&file, format!("{LIVES}reject\"\n")).unwrap();
    let over = call(&["try", name, "--now", "2027-01-15T08:00:00Z"], message);
    assert!(over.assert_code(1).out.contains("rejected ttl_past:"), "{}", over.out);
    std::fs::write(&file, format!("{LIVES}delete\"\n")).unwrap();
    let unit = call(&["try", name], "{\"id\":\"a\",\"v\":1,\"exp\":1800000000000}\n");
    assert!(
        unit.assert_code(1)
            .out
            .contains("it looks like milliseconds: write as = \"epoch_ms\""),
        "{}",
        unit.out
    );
}

#[test]
fn check_and_run_tell_a_missing_certificate_in_one_line_and_leave_with_78_and_try_needs_none() {
    let text = "[kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"events\"]\n[kafka.properties]\n\"security.protocol\" = \"ssl\"\n\
                \"ssl.ca.location\" = \"/nope.pem\"\n[aerospike]\nhosts = \"127.0.0.1:1\"\nnamespace = \"test\"\n\
                [[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n";
    for command in ["check", "run"] {
        let called = call(&[command, "-"], text);
        let said = &called.assert_code(78).err;
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in [":6: ", "ssl.ca.location", "there is no such file", "\"/nope.pem\""] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("penstock.toml");
    std::fs::write(&file, text).unwrap();
    call(&["try", &file.display().to_string()], "{\"id\": 1, \"a\": 2}\n").assert_code(0);
}

#[test]
fn check_tells_one_missing_bracket_in_one_line_and_leaves_with_78() {
    let text = "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"\ngroup = \"g\"\n[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\n";
    let checked = call(&["check", "-"], text);
    let said = &checked.assert_code(78).err;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains(":3: kafka.topics: the `[` that opens here is not closed"),
        "{said}"
    );
}
