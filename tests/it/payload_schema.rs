//! `payload_schema` from its file to a dead letter: what is read, what is refused, and what the commands say.

use std::fs;
use std::path::Path;

use crate::support::process::{self, penstock};
use crate::support::{Kafka, Service, Setup, sent, simulator};
use penstock::config;
use penstock::message::Message;
use penstock::output::{Output, Verdict};
use penstock::processor::Processor as _;
use penstock::rules::mapping::Mapping;
use serde_json::json;

const SCHEMA: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["id", "items"],
  "properties": {
    "id": {"type": "string"},
    "items": {"type": "array", "items": {"$ref": "parts/item.json#/$defs/item"}}
  }
}"##;
const ITEM: &str = r#"{"$defs": {"item": {"properties": {"qty": {"type": "integer", "minimum": 1}}}}}"#;

/// Part of no name and no rule: a test that finds it in an output has found a payload.
const MARKER: &str = "mArKeR";

fn config(route: &str) -> String {
    format!(
        "[kafka]\nbrokers = \"127.0.0.1:9\"\ntopics = [\"orders\"]\n[aerospike]\nhosts = \"127.0.0.1:9\"\n\
         namespace = \"test\"\n[[route]]\n{route}\n[[route.write]]\nset = \"orders\"\nkey = \"id\"\nbins = [\"items\"]\n"
    )
}

/// A folder with a configuration in `conf/orders.toml`, these files beside it, and `secret.json` above it.
fn folder(route: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("conf");
    fs::create_dir_all(conf.join("parts")).unwrap();
    fs::write(folder.path().join("secret.json"), "{}").unwrap();
    fs::write(conf.join("orders.toml"), config(route)).unwrap();
    for (name, text) in files {
        fs::write(conf.join(name), text).unwrap();
    }
    folder
}

/// The faults of a configuration with this schema, without the name of the file.
fn faults(schema: &str, more: &str) -> Vec<String> {
    let route = format!("payload_schema = \"s.json\"\n{more}");
    let folder = folder(&route, &[("s.json", schema), ("parts/item.json", ITEM)]);
    match config::load(&folder.path().join("conf/orders.toml")) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_schema_and_what_it_refers_to_are_read_from_the_folder_of_the_configuration() {
    let files = [("s.json", SCHEMA), ("parts/item.json", ITEM)];
    for path in ["s.json", "./s.json", "parts/../s.json"] {
        let folder = folder(&format!("payload_schema = \"{path}\""), &files);
        let loaded = config::load(&folder.path().join("conf/orders.toml"));
        let loaded = loaded.unwrap_or_else(|faults| panic!("{path}: {faults}"));
        let schema = loaded.routes[0].payload_schema.as_ref().unwrap();
        let others: Vec<&String> = schema.documents.others.keys().collect();
        assert_eq!(others, ["file:///configuration/parts/item.json"], "{path}");
    }
    // One that stands elsewhere is read, too, but refers to itself alone.
    let alone = folder("payload_schema = \"../elsewhere.json\"", &[]);
    fs::write(alone.path().join("elsewhere.json"), "{\"$ref\": \"#\"}").unwrap();
    assert!(config::load(&alone.path().join("conf/orders.toml")).is_ok());
    fs::write(alone.path().join("elsewhere.json"), "{\"$ref\": \"conf/s.json\"}").unwrap();
    let refused = config::load(&alone.path().join("conf/orders.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("refers to file:///conf/s.json, which is not read"),
        "{refused}"
    );
}

#[test]
fn a_wrong_schema_is_one_fault_with_place_and_cure() {
    let look_around = json!({"properties": {"a": {"pattern": "^a(?!b)c(?<=x)"}}}).to_string();
    let back = json!({"pattern": r"(a)\1"}).to_string();
    let huge = json!({"pattern": "(\\p{L}{1000}){1000}"}).to_string();
    let many: String = format!("{{\"allOf\": [{}true]}}", "{\"$ref\": \"#/$defs/a\"},".repeat(5001));
    let deep = format!("{}true{}", "{\"not\":".repeat(200), "}".repeat(200));
    let large = format!("{{\"$comment\": \"{}\"}}", "x".repeat(1 << 20));
    for (schema, expected, cure) in [
        ("{", "the file \"s.json\" is not JSON: EOF while parsing", "correct it"),
        ("", "the file \"s.json\" is not JSON: EOF while parsing", "correct it"),
        (
            &deep,
            "the file \"s.json\" is not JSON: recursion limit exceeded",
            "correct it",
        ),
        (&large, "the file \"s.json\" is larger than 1 MiB", "name a file"),
        ("{\"maximum\": 1e999}", "is not JSON: number out of range", "correct it"),
        ("[]", "the file \"s.json\" holds JSON, but no schema", "write an object"),
        ("17", "the file \"s.json\" holds JSON, but no schema", "write an object"),
        (
            "{\"properties\": {\"a\": {\"type\": \"int\"}}}",
            "is no valid JSON Schema: s.json#/properties/a/type: \"int\" is not valid",
            "correct the file there",
        ),
        (
            "{\"minLength\": -1}",
            "is no valid JSON Schema: s.json#/minLength: -1 is less than",
            "correct the file there",
        ),
        (
            "{\"$schema\": \"https://example.com/own\"}",
            "the `$schema` of s.json is none that is known",
            "write \"https://json-schema.org/draft/2020-12/schema\"",
        ),
        (
            &look_around,
            "the pattern at s.json#/properties/a/pattern cannot be used",
            "no look-around and no back references",
        ),
        (&back, "the pattern at s.json#/pattern cannot be used", "no look-around"),
        (
            "{\"pattern\": \"[\"}",
            "the pattern at s.json#/pattern cannot be used",
            "correct it",
        ),
        (&huge, "the pattern at s.json#/pattern cannot be used", "correct it"),
        (
            "{\"$ref\": \"#/$defs/none\"}",
            "a reference in s.json leads nowhere",
            "correct the `$ref`",
        ),
        (
            "{\"$ref\": \"#none\"}",
            "a reference in s.json leads nowhere",
            "correct the `$ref`",
        ),
        (
            "{\"$ref\": \"parts/item.json#/$defs/none\"}",
            "a reference in s.json leads nowhere",
            "correct the `$ref`",
        ),
        (
            "{\"$ref\": \"none.json\"}",
            "the file \"none.json\" cannot be read",
            "name a file",
        ),
        (
            "{\"$ref\": \"../secret.json\"}",
            "refers to file:///secret.json, which is not read",
            "below the configuration's folder",
        ),
        (
            "{\"$ref\": \"file:///etc/passwd\"}",
            "refers to file:///etc/passwd, which is not read",
            "below the configuration's folder",
        ),
        (
            "{\"$ref\": \"parts/%2e%2e/%2e%2e/secret.json\"}",
            "refers to file:///",
            "below the configuration's folder",
        ),
        (
            "{\"$ref\": \"https://example.com/a.json\"}",
            "refers to https://example.com/a.json, which is not read",
            "below the configuration's folder",
        ),
        (
            "{\"$id\": \"https://example.com/b.json\", \"$ref\": \"parts/item.json\"}",
            "refers to https://example.com/parts/item.json, which is not read",
            "if the schema has an `$id`, remove it",
        ),
        (&many, "has more than 5000 references", "write a smaller schema"),
    ] {
        let told = faults(schema, "");
        let [fault] = &told[..] else {
            panic!("{schema:.200}: {told:?}")
        };
        assert!(fault.starts_with("8: route[0].payload_schema: "), "{fault}");
        assert!(fault.contains(expected), "{schema:.200}\n{fault}\n{expected}");
        assert!(
            fault.contains(&format!("; {cure}")) || fault.contains(cure),
            "{schema:.200}\n{fault}\n{cure}"
        );
        assert!(!fault.contains('\n') && fault.len() < 700, "{fault}");
    }
}

#[test]
fn a_wrong_schema_in_another_file_is_told_with_that_file() {
    let files = [
        ("s.json", SCHEMA),
        ("parts/item.json", "{\"$defs\": {\"item\": {\"type\": 1}}}"),
    ];
    let folder = folder("payload_schema = \"s.json\"", &files);
    let told = config::load(&folder.path().join("conf/orders.toml"))
        .unwrap_err()
        .to_string();
    assert!(told.contains("parts/item.json#/$defs/item/type: "), "{told}");
}

#[test]
fn references_in_a_circle_are_followed_once() {
    assert_eq!(faults("{\"$ref\": \"#\"}", ""), Vec::<String>::new());
    let files = [
        ("s.json", "{\"properties\": {\"a\": {\"$ref\": \"parts/item.json\"}}}"),
        (
            "parts/item.json",
            "{\"properties\": {\"b\": {\"$ref\": \"../s.json\"}}}",
        ),
    ];
    let folder = folder("payload_schema = \"s.json\"", &files);
    assert!(config::load(&folder.path().join("conf/orders.toml")).is_ok());
}

#[test]
fn the_keys_are_checked() {
    for (route, expected) in [
        ("payload_schema = \"\"", "cannot be read"),
        ("payload_schema = 5", "expected a string"),
        (
            "payload_schema = \"none.json\"",
            "the file \"none.json\" cannot be read: No such file",
        ),
        (
            "payload_schema = '{\"type\": \"object\"}'",
            "is a schema, not the name of a file; found \"{\\\"type\\\": \\\"object\\\"}\"; put the schema into a file",
        ),
        (
            "payload_schema_formats = \"check\"",
            "`payload_schema_formats` without `payload_schema`",
        ),
        (
            "payload_schema = \"s.json\"\npayload_schema_formats = \"assert\"",
            "did you mean \"check\"?",
        ),
        ("schema = \"s.json\"", "payload_schema"),
        ("json_schema = \"s.json\"", "payload_schema"),
    ] {
        let folder = folder(route, &[("s.json", "{}")]);
        let told = config::load(&folder.path().join("conf/orders.toml")).unwrap_err();
        assert_eq!(told.faults.len(), 1, "{told}");
        assert!(told.to_string().contains(expected), "{told}\n{expected}");
    }
    let unknown = "{\"format\": \"shoe-size\"}";
    assert_eq!(faults(unknown, ""), Vec::<String>::new());
    let told = faults(unknown, "payload_schema_formats = \"check\"");
    assert!(
        told[0].contains("the format at s.json#/format is unknown: Unknown format: 'shoe-size'"),
        "{told:?}"
    );
}

#[test]
fn what_a_reference_holds_is_not_shown() {
    let folder = folder(
        "payload_schema = \"${file:name.txt}\"",
        &[("name.txt", "h1dden.json\n")],
    );
    let told = config::load(&folder.path().join("conf/orders.toml"))
        .unwrap_err()
        .to_string();
    assert!(!told.contains("h1dden"), "{told}");
    assert!(told.contains("cannot be read"), "{told}");
}

fn call(file: &Path, command: &str, stdin: &str) -> (Option<i32>, String) {
    let called = process::call(penstock().arg(command).arg(file), stdin);
    (called.code, called.told())
}

const PLACE: &str = "/items/1/qty is less than 1; rule: minimum at parts/item.json#/$defs/item/properties/qty/minimum";

#[test]
fn the_commands_name_place_and_rule_and_show_no_value() {
    let files = [("s.json", SCHEMA), ("parts/item.json", ITEM)];
    let folder = folder("payload_schema = \"s.json\"", &files);
    let file = folder.path().join("conf/orders.toml");

    let (code, told) = call(&file, "check", "");
    assert_eq!(code, Some(0), "{told}");

    let messages = format!(
        "{{\"id\": \"{MARKER}\", \"items\": [{{\"qty\": 1}}, {{\"qty\": 0, \"{MARKER}\": \"{MARKER}\"}}]}}\n\
         {{\"id\": \"a\", \"items\": [{{\"qty\": 1}}]}}\n"
    );
    let (code, told) = call(&file, "try", &messages);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains(&format!("schema: payload_schema = \"s.json\" (line 8): {PLACE}")),
        "{told}"
    );
    assert!(told.contains("1 kept") && told.contains("1 rejected"), "{told}");
    assert!(told.contains("payload_schema"), "{told}");
    assert!(!told.contains(MARKER), "{told}");

    let fixtures = format!(
        "[{{\"name\": \"kept\", \"message\": {{\"payload\": {}}}, \"verdict\": \"kept\"}}]",
        messages.lines().next().unwrap()
    );
    fs::write(folder.path().join("conf/orders.fixtures.json"), fixtures).unwrap();
    let (code, told) = call(&file, "test", "");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(PLACE) && told.contains("\"schema\""), "{told}");
    assert!(!told.contains(MARKER), "{told}");

    fs::write(folder.path().join("conf/s.json"), "{\"type\": 1}").unwrap();
    for command in ["check", "try", "test", "run"] {
        let (code, told) = call(&file, command, "");
        assert_eq!(code, Some(78), "{command}: {told}");
        assert!(
            told.contains("orders.toml:8: route[0].payload_schema: is no valid"),
            "{command}: {told}"
        );
    }
}

#[test]
fn a_message_that_does_not_satisfy_it_becomes_a_dead_letter_and_nothing_of_it_is_written() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    topic.produce(
        0,
        &[
            sent("a", r#"{"id": "a", "n": 1}"#),
            sent("b", r#"{"id": "b", "n": "mArKeR", "other": "mArKeR"}"#),
            sent("c", r#"{"id": "c", "n": 3}"#),
            // Not of the route with the schema.
            sent("d", r#"{"id": "d", "n": "x", "free": true}"#),
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("n.schema.json");
    fs::write(&schema, r#"{"properties": {"n": {"type": "integer"}}}"#).unwrap();
    let routes = format!(
        "[[route]]\nwhen = \"!has(msg.free)\"\npayload_schema = \"{}\"\n[[route.write]]\nset = \"users\"\nkey = \"id\"\n\
         bins = [\"n\"]\n[[route]]\n[[route.write]]\nset = \"all\"\nkey = \"id\"\nbins = [\"n\"]\n\
         [reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        schema.display(),
        dead.name
    );
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let counters = &ended.counters;
    assert_eq!(
        (counters.messages_written.get(), counters.messages_dead_lettered.get()),
        (3, 1)
    );
    for (set, key, is_there) in [
        ("users", "a", true),
        ("all", "a", true),
        ("users", "b", false),
        ("all", "b", false),
        ("users", "c", true),
        ("users", "d", false),
        ("all", "d", true),
    ] {
        assert_eq!(sim.get("test", set, key).is_some(), is_there, "{set} {key}");
    }
    let letters = dead.read(1);
    let header = |name: &str| {
        let found = letters[0].headers.iter().find(|(each, _)| each == name);
        String::from_utf8(found.unwrap().1.clone().unwrap()).unwrap()
    };
    assert_eq!(
        (header("penstock.stage"), header("penstock.reason")),
        ("judge".into(), "schema".into())
    );
    let detail = header("penstock.detail");
    let rule = "/n is of type string, not integer; rule: type at ";
    assert!(
        detail.contains(rule) && detail.ends_with("#/properties/n/type"),
        "{detail}"
    );
    assert!(!detail.contains(MARKER), "{detail}");
}

/// The verdict about a payload, or the reason of its rejection.
fn verdict(kafka: &str, route: &str, schema: &str, payload: Option<&[u8]>) -> Result<Verdict, &'static str> {
    let folder = folder(route, &[("s.json", schema)]);
    let file = folder.path().join("conf/orders.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[kafka]", &format!("[kafka]\n{kafka}"))).unwrap();
    let mapping = Mapping::compile(&config::load(&file).unwrap_or_else(|faults| panic!("{faults}"))).unwrap();
    let message = Message {
        topic: "orders",
        partition: 0,
        offset: 1,
        timestamp_ms: None,
        key: Some(b"k"),
        payload,
        headers: Vec::new(),
    };
    let mut output = Output::default();
    let result = mapping.topic("orders").unwrap().process(&message, 0, &mut output);
    assert!(result.is_ok() || output.rows.is_empty());
    result.map_err(|rejection| rejection.reason.as_str())
}

#[test]
fn a_schema_is_compared_after_when_and_before_require_and_not_with_tombstones() {
    let schema = r#"{"required": ["n"]}"#;
    let key = "payload_schema = \"s.json\"\n";
    let told = |route: &str, payload: &str| verdict("", &format!("{key}{route}"), schema, Some(payload.as_bytes()));
    assert_eq!(told("", r#"{"id": "a", "n": 1}"#), Ok(Verdict::Kept));
    assert_eq!(told("", r#"{"id": "a"}"#), Err("schema"));
    assert_eq!(told("", r#"{"id": "a""#), Err("not_json"));
    assert_eq!(told("when = \"id == 'b'\"", r#"{"id": "a"}"#), Ok(Verdict::Filtered));
    assert_eq!(told("when = \"x == 'b'\"", r#"{"id": "a"}"#), Err("condition_error"));
    assert_eq!(told("require = [\"id == 'b'\"]", r#"{"id": "a"}"#), Err("schema"));
    assert_eq!(
        told("require = [\"id == 'b'\"]", r#"{"id": "a", "n": 1}"#),
        Err("require")
    );
    assert_eq!(told("root = \"x\"", r#"{"x": {"id": "a", "n": 1}}"#), Ok(Verdict::Kept));
    assert_eq!(told("root = \"x\"", r#"{"x": {"id": "a"}, "n": 1}"#), Err("schema"));
    let tombstone = verdict("", &format!("{key}tombstone = \"ignore\""), schema, None);
    assert_eq!(tombstone, Ok(Verdict::Kept));
}

#[test]
fn a_schema_sees_the_text_that_the_paths_see() {
    let route = "payload_schema = \"s.json\"";
    let schema = r#"{"required": ["n"]}"#;
    let marked = b"\xef\xbb\xbf{\"id\": \"a\", \"n\": 1}".as_slice();
    assert_eq!(verdict("", route, schema, Some(marked)), Ok(Verdict::Kept));
    let prefixed = b"\0\0\0\0\x07{\"id\": \"a\", \"n\": 1}".as_slice();
    assert_eq!(
        verdict("format = \"json_sr\"", route, schema, Some(prefixed)),
        Ok(Verdict::Kept)
    );
    let without = b"\0\0\0\0\x07{\"id\": \"a\"}".as_slice();
    assert_eq!(
        verdict("format = \"json_sr\"", route, schema, Some(without)),
        Err("schema")
    );
}
