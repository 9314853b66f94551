//! The JSON Schema that `penstock schema` prints: it accepts what the program accepts, and refuses what is clearly
//! wrong.
//!
//! Every test with a valid file also checks that the schema accepts it: here for the examples, in `config_doc.rs` for
//! all examples in docs/reference, and in the tests of the configuration for every text without a fault.

use crate::support::schema;
use penstock::config::{self, keys};
use serde_json::Value;

const GOOD: &str = r#"
[run]
memory = "1GiB"
batch_rows_max = 100
[kafka]
brokers = "127.0.0.1:1"
topics = ["events"]
[kafka.properties]
"client.rack" = "a"
[aerospike]
hosts = "127.0.0.1:2"
namespace = "test"
use_services_alternate = false
[[route]]
  when = "type != 'heartbeat'"
  when_error = "false"
  require = ["amount >= 0"]
  [[route.write]]
  when = "user.id > 0"
  set = "users"
  key = "user.id"
  bins = { name = "user.name" }
  once = { worth = { expr = "price * qty" }, text = { expr = "price", as = "string" } }
  add = { events = 1 }
  map_add = { spend = { key = "day", by = { expr = "price * qty", as = "float" } } }
  map_put = { prefs = { key = "pref.name", value = "pref.value" } }
  newer = { path = "v", bin = "_v" }
  ttl = "30d"
  [[route.publish]]
  topic = "purchases"
  headers = { source = { value = "web" } }
  payload = { object = { amount = "amount" } }
[reject]
action = "hold"
"#;

fn is_taken_by_the_program(text: &str) -> bool {
    config::parse(text, "penstock.toml").is_ok()
}

#[test]
fn every_example_is_taken() {
    let mut taken = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".toml") {
            schema::assert_accepts(&std::fs::read_to_string(&path).unwrap());
            taken += 1;
        }
    }
    assert!(taken > 0, "no example");
    let readme = include_str!("../../README.md");
    for block in readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        // The other blocks are parts of a file.
        .filter(|block| block.contains("[kafka]"))
    {
        schema::assert_accepts(block);
    }
}

#[test]
fn what_is_plainly_wrong_is_refused() {
    assert!(is_taken_by_the_program(GOOD));
    schema::assert_accepts(GOOD);
    for (right, wrong) in [
        // Keys.
        ("[run]", "[runn]"),
        ("batch_rows_max", "batch_rows"),
        ("brokers = ", "broker = "),
        ("set = ", "sett = "),
        ("key = \"user.id\"", "keys = \"user.id\""),
        ("value = \"pref.value\"", "values = \"pref.value\""),
        ("bin = \"_v\"", "bins = \"_v\""),
        // Required keys.
        ("brokers = \"127.0.0.1:1\"", ""),
        ("hosts = \"127.0.0.1:2\"", ""),
        ("key = \"user.id\"", ""),
        ("key = \"pref.name\", ", ""),
        (", bin = \"_v\"", ""),
        // Units, limits and words.
        ("\"1GiB\"", "1073741824"),
        ("\"1GiB\"", "\"1 GiB\""),
        ("\"1GiB\"", "\"1Gib\""),
        ("batch_rows_max = 100", "batch_rows_max = 0"),
        ("batch_rows_max = 100", "batch_rows_max = 5001"),
        ("batch_rows_max = 100", "batch_rows_max = 1.5"),
        ("batch_rows_max = 100", "batch_rows_max = \"100\""),
        ("alternate = false", "alternate = \"no\""),
        ("action = \"hold\"", "action = \"holt\""),
        ("[\"events\"]", "\"events\""),
        ("[\"events\"]", "[]"),
        ("[\"events\"]", "[\"events\", \"events\"]"),
        ("[\"events\"]", "[\"ev:ents\"]"),
        ("\"client.rack\"", "\"group.id\""),
        ("\"client.rack\"", "\"test.mock.num.brokers\""),
        ("\"client.rack\" = \"a\"", "\"client.rack\" = [1]"),
        // Values.
        (
            "{ expr = \"price * qty\" }",
            "{ expr = \"price * qty\", missing = \"skip\" }",
        ),
        ("{ expr = \"price * qty\" }", "{ expr = 1 }"),
        (
            "{ expr = \"price * qty\", as = \"float\" }",
            "{ expr = \"price * qty\" }",
        ),
        ("require = [\"amount >= 0\"]", "require = \"amount >= 0\""),
        ("when_error = \"false\"", "when_error = false"),
        ("key = \"user.id\"", "key = 1"),
        ("key = \"user.id\"", "key = { path = \"user.id\", as = \"float\" }"),
        ("key = \"user.id\"", "key = { path = \"user.id\", az = \"string\" }"),
        ("\"user.name\" }", "[\"user.name\"] }"),
        ("\"user.name\" }", "{ path = \"a\", as = \"int\" } }"),
        ("\"user.name\" }", "{ path = \"a\", value = 1 } }"),
        ("\"user.name\" }", "{ path = \"a\", big_numbers = \"strings\" } }"),
        ("\"user.name\" }", "{ value = 1, big_numbers = \"string\" } }"),
        ("{ name = \"user.name\" }", "{ path = \"*\", big_numbers = \"text\" }"),
        (
            "key = \"user.id\"",
            "key = { path = \"user.id\", big_numbers = \"string\" }",
        ),
        ("\"user.name\" }", "{ path = \"a\", missing = \"skip\", default = 1 } }"),
        ("\"user.name\" }", "{ object = { } } }"),
        ("\"user.name\" }", "{ as = \"string\" } }"),
        ("{ name = ", "{ a_name_of_16_byt = "),
        ("{ name = \"user.name\" }", "\"user.name\""),
        ("{ name = \"user.name\" }", "{ path = \"*\", expect = [\"a\"] }"),
        ("{ name = \"user.name\" }", "[]"),
        ("{ events = 1 }", "{ events = \"n\" }"),
        ("{ events = 1 }", "{ events = { path = \"n\" } }"),
        ("{ events = 1 }", "{ events = { path = \"n\", as = \"string\" } }"),
        ("{ events = 1 }", "{}"),
        ("{ source = { value", "{ source = { object"),
        ("{ object = { amount = \"amount\" } }", "[\"amount\"]"),
        ("topic = \"purchases\"", ""),
        ("\"30d\"", "30"),
        ("\"30d\"", "\"30 days\""),
        ("\"30d\"", "\"forever\""),
    ] {
        assert_eq!(GOOD.matches(right).count(), 1, "{right}");
        let text = GOOD.replace(right, wrong);
        assert!(!is_taken_by_the_program(&text), "the program takes {wrong}");
        assert!(!schema::faults(&text).is_empty(), "the schema takes {wrong}");
    }
}

#[test]
fn an_absent_key_is_refused_where_the_program_refuses_it() {
    let schema = config::schema::schema();
    let required = |section: &Value| -> Vec<String> {
        let names = section["required"].as_array().cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let properties = &schema["properties"];
    for (section, wanted) in [
        (&schema, ["kafka", "aerospike", "route"].as_slice()),
        (&properties["run"], &[]),
        (&properties["kafka"], &["brokers", "topics"]),
        (&properties["aerospike"], &["hosts", "namespace"]),
        (&properties["http"], &["listen"]),
        (&properties["route"]["items"]["properties"]["write"]["items"], &["key"]),
    ] {
        assert_eq!(required(section), wanted);
    }
}

#[test]
fn a_reference_stands_for_any_value() {
    let text = GOOD
        .replace("\"1GiB\"", "\"${env:MEMORY}\"")
        .replace("= 100", "= \"${env:ROWS}\"")
        .replace("= false", "= \"${env:ALTERNATE}\"")
        .replace("\"hold\"", "\"${env:ACTION}\"")
        .replace("\"30d\"", "\"${file:ttl}\"")
        .replace("bin = \"_v\"", "bin = \"${env:A_LONG_NAME_OF_A_BIN}\"");
    schema::assert_accepts(&text);
}

#[test]
fn an_editor_is_told_what_a_key_means_and_what_it_is_without_it() {
    let schema = config::schema::schema();
    let run = &schema["properties"]["run"]["properties"];
    for key in keys::RUN.keys {
        let shown = &run[key.name];
        assert!(
            shown["description"].as_str().unwrap().len() > 20,
            "{}: {shown}",
            key.name
        );
        assert_eq!(
            shown["default"].is_null(),
            key.default.is_none(),
            "{}: {shown}",
            key.name
        );
    }
    assert_eq!(run["memory"]["default"], "512MiB");
    assert_eq!(run["batch_rows_max"]["default"], 200);
    let write = &schema["properties"]["route"]["items"]["properties"]["write"]["items"]["properties"];
    assert!(write["ttl"]["description"].as_str().unwrap().contains("the record's "));
}
