//! Tables: a rule of the configuration, a message, and the outcome.

use crate::config;
use crate::output::row::{Argument, Number, Op, RecordKey, Row, RowAction, RowTtl};
use crate::output::value::Value;
use crate::rules::mapping::*;

pub(super) const NOW_MS: i64 = 1_800_000_000_000;

/// A configuration with these lines inside one `[[route.write]]`.
pub(super) fn mapping(write: &str) -> Mapping {
    let text = format!(
        "[kafka]\nbrokers = \"b:9092\"\ntopics = [\"t\"]\ngroup = \"g\"\n\
         [aerospike]\nhosts = \"h:3000\"\nnamespace = \"test\"\n\
         [[route]]\n[[route.write]]\n{write}\n"
    );
    let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
    Mapping::compile(&config).unwrap()
}

pub(super) fn message(payload: &str) -> Message<'_> {
    Message {
        topic: "t",
        partition: 3,
        offset: 77,
        timestamp_ms: Some(1_700_000_000_123),
        key: Some(br#"{"id": "k1", "n": 5}"#),
        payload: Some(payload.as_bytes()),
        headers: vec![
            ("h", Some(b"first")),
            ("h", Some(b"last")),
            ("raw", Some(&[0xff, 0x00])),
        ],
    }
}

/// The rows as text: `set/key ttl {bin: value, …}`, or the reason of the rejection.
fn outcome(write: &str, payload: &str) -> String {
    let mapping = mapping(write);
    let message = message(payload);
    let mut output = Output::default();
    match mapping.topic("t").unwrap().process(&message, NOW_MS, &mut output) {
        Ok(_) => output.rows.iter().map(show).collect::<Vec<_>>().join(" | "),
        Err(rejection) => {
            assert!(output.rows.is_empty(), "a rejected message leaves no row");
            format!("rejected {}", rejection.reason.as_str())
        }
    }
}

pub(super) fn show(row: &Row<'_>) -> String {
    let key = match &row.key {
        RecordKey::String(text) => format!("\"{text}\""),
        RecordKey::Integer(n) => n.to_string(),
        RecordKey::Bytes(bytes) => format!("{bytes:02x?}"),
    };
    let ttl = match row.ttl {
        RowTtl::NamespaceDefault => String::new(),
        RowTtl::Never => " never".into(),
        RowTtl::Keep => " keep".into(),
        RowTtl::Seconds(seconds) => format!(" {seconds}s"),
    };
    let newer = row.newer.map(|version| format!(" newer {version}")).unwrap_or_default();
    let ops = match &row.action {
        RowAction::Touch => "touch".to_owned(),
        RowAction::Delete => "delete".to_owned(),
        RowAction::Write(ops) => ops.iter().map(op_text).collect::<Vec<_>>().join(" "),
    };
    format!("{}/{key}{ttl}{newer} {ops}", row.target.set)
}

fn op_text(op: &Op<'_>) -> String {
    let bin = op.bin();
    let sign = match op.descriptor().map_or("bins", |descriptor| descriptor.word) {
        "bins" | "remove" | "map_put" => "=",
        "once" => "?=",
        "add" | "map_add" => "+=",
        "append" => "..=",
        "prepend" => "=..",
        "list_append" => "[]=",
        word => word,
    };
    let text = |argument| match argument {
        Argument::Value(value) | Argument::Text(value) | Argument::MapKey(value) => value_text(value),
        Argument::Number(number) => number_text(number),
        Argument::Count(count) => count.to_string(),
    };
    match (op, op.arguments()) {
        (Op::KeepLast { count, map, .. }, _) => format!("{bin}:last {count}{}", if *map { " keys" } else { "" }),
        (_, [Some((_, key)), Some((_, value))]) => format!("{bin}[{}]{sign}{}", text(key), text(value)),
        (_, arguments) => {
            let arguments: Vec<String> = arguments.into_iter().flatten().map(|(_, value)| text(value)).collect();
            format!("{bin}{sign}{}", arguments.concat())
        }
    }
}

fn number_text(number: Number) -> String {
    match number {
        Number::Int(n) => n.to_string(),
        Number::Float(n) => format!("{n:?}"),
    }
}

fn value_text(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Unheld { text, .. } => format!("unheld {text}"),
        Value::Float(n) => format!("{n:?}"),
        Value::Str(text) => format!("'{text}'"),
        Value::Bytes(bytes) => format!("{bytes:02x?}"),
        Value::List(items) => format!("[{}]", items.iter().map(value_text).collect::<Vec<_>>().join(",")),
        Value::Map(members) => {
            let members: Vec<String> = members.iter().map(|(k, v)| format!("{k}:{}", value_text(v))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

#[track_caller]
pub(super) fn check(write: &str, payload: &str, expected: &str) {
    assert_eq!(
        outcome(write, payload),
        expected,
        "\nwrite:\n{write}\npayload: {payload}"
    );
}

#[test]
fn keys_are_strings_unless_told_otherwise() {
    let cases = [
        ("key = \"id\"", r#"{"id": "a"}"#, "/\"a\" b=1"),
        ("key = \"id\"", r#"{"id": 42}"#, "/\"42\" b=1"),
        (
            "key = \"id\"",
            r#"{"id": 123456789012345678901234567890}"#,
            "/\"123456789012345678901234567890\" b=1",
        ),
        ("key = { path = \"id\", as = \"integer\" }", r#"{"id": 42}"#, "/42 b=1"),
        (
            "key = { path = \"id\", as = \"integer\" }",
            r#"{"id": "42"}"#,
            "/42 b=1",
        ),
        (
            "key = { path = \"id\", as = \"hex\" }",
            r#"{"id": "00ff"}"#,
            "/[00, ff] b=1",
        ),
        (
            "key = { path = \"id\", as = \"base64\" }",
            r#"{"id": "AP8="}"#,
            "/[00, ff] b=1",
        ),
        ("key = \"{a}:{b}\"", r#"{"a": "x", "b": 7}"#, "/\"x:7\" b=1"),
        ("key = \"@key.id\"", "{}", "/\"k1\" b=1"),
        ("key = \"@header.h\"", "{}", "/\"last\" b=1"),
        ("key = \"{@topic}-{@partition}-{@offset}\"", "{}", "/\"t-3-77\" b=1"),
    ];
    for (key, payload, expected) in cases {
        check(&format!("{key}\nbins = {{ b = 1 }}"), payload, expected);
    }
}

#[test]
fn what_cannot_be_a_key_rejects_the_message() {
    let cases = [
        ("{}", "key_missing"),
        (r#"{"id": null}"#, "key_null"),
        (r#"{"id": ""}"#, "key_empty"),
        (r#"{"id": true}"#, "key_type"),
        (r#"{"id": 1.5}"#, "key_type"),
        (r#"{"id": [1]}"#, "key_type"),
        (r#"{"id": {"a": 1}}"#, "key_type"),
        ("[]", "key_missing"),
        ("7", "key_missing"),
    ];
    for (payload, reason) in cases {
        check("key = \"id\"\nbins = { b = 1 }", payload, &format!("rejected {reason}"));
    }
    check(
        "key = { path = \"id\", as = \"integer\" }\nbins = { b = 1 }",
        r#"{"id": "x"}"#,
        "rejected field_type",
    );
    check(
        "key = { path = \"id\", as = \"integer\" }\nbins = { b = 1 }",
        r#"{"id": 9223372036854775808}"#,
        "rejected integer_range",
    );
    check(
        "key = \"{a}:{b}\"\nbins = { b = 1 }",
        r#"{"a": "x"}"#,
        "rejected key_missing",
    );
    check(
        "key = \"{a}:{b}\"\nbins = { b = 1 }",
        r#"{"a": "x", "b": 1.0}"#,
        "rejected field_type",
    );
    check(
        "key = { path = \"id\", missing = \"skip\" }\nbins = { b = 1 }",
        "{}",
        "",
    );
    check(
        "key = { path = \"id\", default = \"none\" }\nbins = { b = 1 }",
        r#"{"id": null}"#,
        "/\"none\" b=1",
    );
}

#[test]
fn each_json_type_becomes_its_own_kind_of_bin() {
    let payload =
        r#"{"id":"k","s":"x\n","i":-5,"f":1.5,"e":1e2,"t":true,"n":null,"l":[1,"a",[null]],"o":{"a":{"b":false}}}"#;
    check(
        "set = \"s\"\nkey = \"id\"\nbins = [\"s\", \"i\", \"f\", \"e\", \"t\", \"n\", \"l\", \"o\", \"missing\"]",
        payload,
        "s/\"k\" s='x\n' i=-5 f=1.5 e=100.0 t=true n=null l=[1,'a',[null]] o={a:{b:false}}",
    );
    check(
        "key = \"id\"\nbins = [\"i\"]",
        r#"{"id":"k","i":9223372036854775808}"#,
        "rejected integer_range",
    );
    check(
        "key = \"id\"\nbins = [\"l\"]",
        r#"{"id":"k","l":[9223372036854775808]}"#,
        "rejected integer_range",
    );
}

#[test]
fn a_missing_field_does_what_is_said() {
    let payload = r#"{"id": "k"}"#;
    check("key = \"id\"\nbins = { a = \"a\" }", payload, "");
    check(
        "key = \"id\"\nbins = { a = { path = \"a\", missing = \"skip\" }, b = 1 }",
        payload,
        "/\"k\" b=1",
    );
    check(
        "key = \"id\"\nbins = { a = { path = \"a\", missing = \"reject\" } }",
        payload,
        "rejected field_missing",
    );
    check(
        "key = \"id\"\nbins = { a = { path = \"a\", default = 0.5 } }",
        payload,
        "/\"k\" a=0.5",
    );
    check("key = \"id\"\nbins = { a = \"{x}-{y}\", b = 1 }", payload, "/\"k\" b=1");
}

#[test]
fn casts_take_what_is_exactly_a_value_of_the_type() {
    let cases = [
        ("string", "42", "'42'"),
        ("string", "true", "'true'"),
        ("string", "[1]", "rejected field_type"),
        ("integer", "\"-7\"", "-7"),
        ("integer", "7.0", "7"),
        ("integer", "7.5", "rejected field_type"),
        ("integer", "9223372036854775808", "rejected integer_range"),
        ("integer", "9.3e18", "rejected integer_range"),
        ("integer", "1E+30", "rejected integer_range"),
        ("integer", "-1E+30", "rejected integer_range"),
        ("integer", "\"9223372036854775808\"", "rejected integer_range"),
        ("integer", "\"-9223372036854775809\"", "rejected integer_range"),
        ("integer", "\"12x\"", "rejected field_type"),
        ("integer", "\"123456789012345678901234x\"", "rejected field_type"),
        ("integer", "\"\"", "rejected field_type"),
        ("float", "7", "7.0"),
        ("float", "18446744073709551616", "1.8446744073709552e19"),
        ("float", "\"1e3\"", "1000.0"),
        ("float", "\"inf\"", "rejected field_type"),
        ("bool", "\"true\"", "true"),
        ("bool", "1", "rejected field_type"),
        ("json", r#""{\"a\":[1]}""#, "{a:[1]}"),
        ("json", r#""{""#, "rejected not_json"),
        ("json", r#"{"a":1}"#, "{a:1}"),
        ("hex", "\"0aF\"", "rejected field_type"),
        ("base64", "\"!\"", "rejected field_type"),
        ("epoch_ms", "\"2026-01-01T00:00:00.5Z\"", "1767225600500"),
        ("epoch_ms", "1767225600500", "1767225600500"),
        ("epoch_ms", "\"yesterday\"", "rejected field_type"),
        ("integer", "null", "null"),
    ];
    for (cast, value, expected) in cases {
        let expected = if expected.starts_with("rejected") {
            expected.to_string()
        } else {
            format!("/\"k\" v={expected}")
        };
        check(
            &format!("key = \"id\"\nbins = {{ v = {{ path = \"v\", as = \"{cast}\" }} }}"),
            &format!(r#"{{"id":"k","v":{value}}}"#),
            &expected,
        );
    }
}

#[test]
fn metadata_constants_templates_and_objects_are_values() {
    check(
        "key = \"id\"\nbins = { a = \"@timestamp\", b = { value = \"web\" }, c = 2.5, d = true, \
         e = \"{{{id}}}\", f = { object = { t = \"n\", u = { value = \"v\" }, x = \"missing\" } }, g = \"@key.n\" }",
        r#"{"id":"k","n":4}"#,
        "/\"k\" a=1700000000123 b='web' c=2.5 d=true e='{k}' f={t:4,u:'v'} g=5",
    );
    check(
        "key = \"id\"\nbins = { raw = \"@header.raw\" }",
        r#"{"id":"k"}"#,
        "/\"k\" raw=[ff, 00]",
    );
    check(
        "key = \"id\"\nbins = { v = \"@value\" }",
        r#"{"id":"k"}"#,
        r#"/"k" v='{"id":"k"}'"#,
    );
}

#[test]
fn times_in_templates_take_seconds_milliseconds_and_rfc_3339() {
    for time in [
        "1767225600",
        "1767225600000",
        "\"2026-01-01T00:00:00Z\"",
        "\"2026-01-01T02:00:00+02:00\"",
    ] {
        check(
            "key = \"{d}:{ts:%Y%m%d%H}\"\nbins = { b = 1 }",
            &format!(r#"{{"d":"x","ts":{time}}}"#),
            "/\"x:2026010100\" b=1",
        );
    }
    check(
        "key = \"{ts:%Y}\"\nbins = { b = 1 }",
        r#"{"ts":"soon"}"#,
        "rejected field_type",
    );
}

#[test]
fn all_fields_become_bins_but_the_excepted_and_renamed() {
    let payload = r#"{"id":"k","after":{"a":1,"b":2,"a_very_long_field_name":3,"c":null}}"#;
    check(
        "key = \"id\"\nbins = { path = \"after.*\", except = [\"b\"], rename = { a_very_long_field_name = \"long\" } }",
        payload,
        "/\"k\" a=1 long=3 c=null",
    );
    check(
        "key = \"id\"\nbins = { path = \"after.*\", long_names = \"skip\" }",
        payload,
        "/\"k\" a=1 b=2 c=null",
    );
    check("key = \"id\"\nbins = \"after.*\"", payload, "rejected bin_name");
    check("key = \"id\"\nbins = \"*\"", r#"{"id":"k","n":1}"#, "/\"k\" id='k' n=1");
    check(
        "key = \"id\"\nbins = \"after.*\"",
        r#"{"id":"k","after":5}"#,
        "rejected field_type",
    );
}

#[test]
fn each_makes_a_record_for_each_element() {
    let write = "set = \"lines\"\neach = \"items\"\neach_max = 3\nkey = \"{id}:{@index}\"\nbins = { sku = \"@item.sku\", order = \"id\" }";
    check(
        write,
        r#"{"id":"o","items":[{"sku":"a"},{"sku":"b"}]}"#,
        "lines/\"o:0\" sku='a' order='o' | lines/\"o:1\" sku='b' order='o'",
    );
    check(write, r#"{"id":"o","items":[]}"#, "");
    check(write, r#"{"id":"o","items":null}"#, "");
    check(write, r#"{"id":"o"}"#, "rejected field_missing");
    check(write, r#"{"id":"o","items":{}}"#, "rejected each_type");
    check(write, r#"{"id":"o","items":[1,2,3,4]}"#, "rejected each_too_many");
}

/// Guards, ledgers and dead letters know a row by its number. It is the same while the ttl lasts and when it has ended,
/// also where a record has nothing to write.
#[test]
fn a_row_has_the_same_number_whatever_has_ended_before_it() {
    let numbers = |write: &str, now_ms: i64| {
        let ends = "ttl = { path = \"exp\", as = \"epoch_ms\" }\nttl_past = \"skip\"";
        let last = "[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = { b = 1 }";
        let mapping = mapping(&format!("set = \"s\"\nkey = \"id\"\n{write}\n{ends}\n{last}"));
        let payload = format!("{{\"id\":\"k\",\"n\":1,\"exp\":{NOW_MS}}}");
        let message = message(&payload);
        let mut output = Output::default();
        let processed = mapping.topic("t").unwrap().process(&message, now_ms, &mut output);
        assert!(processed.is_ok(), "{processed:?}");
        output.rows.iter().map(|row| row.number).collect::<Vec<_>>()
    };
    let before = NOW_MS - 5000;
    let after = NOW_MS + 5000;
    assert_eq!(numbers("bins = { b = \"n\" }", before), [0, 1]);
    assert_eq!(numbers("bins = { b = \"n\" }", after), [1]);
    for nothing in [
        "bins = { b = { path = \"none\", missing = \"skip\" } }",
        "bins = { b = \"n\" }\nnewer = { path = \"none\", bin = \"v\", missing = \"skip\" }",
    ] {
        assert_eq!(numbers(nothing, before), [1], "{nothing}");
        assert_eq!(numbers(nothing, after), [1], "{nothing}");
    }
}

#[test]
fn a_ttl_is_fixed_or_comes_from_the_message() {
    let cases = [
        ("\"30d\"", "{\"id\":\"k\"}", " 2592000s"),
        ("\"never\"", "{\"id\":\"k\"}", " never"),
        ("\"keep\"", "{\"id\":\"k\"}", " keep"),
        ("\"default\"", "{\"id\":\"k\"}", ""),
        ("{ path = \"ttl\" }", "{\"id\":\"k\",\"ttl\":60}", " 60s"),
        (
            "{ path = \"end\", as = \"epoch_ms\" }",
            "{\"id\":\"k\",\"end\":1800000060500}",
            " 61s",
        ),
    ];
    for (ttl, payload, expected) in cases {
        check(
            &format!("key = \"id\"\nbins = {{ b = 1 }}\nttl = {ttl}"),
            payload,
            &format!("/\"k\"{expected} b=1"),
        );
    }
    let write = "key = \"id\"\nbins = { b = 1 }\nttl = { path = \"ttl\" }";
    check(write, "{\"id\":\"k\"}", "rejected field_missing");
    check(write, "{\"id\":\"k\",\"ttl\":0}", "rejected ttl_range");
    check(write, "{\"id\":\"k\",\"ttl\":-1}", "rejected ttl_range");
    check(write, "{\"id\":\"k\",\"ttl\":400000000}", "rejected ttl_range");
}

#[test]
fn what_is_no_message_is_rejected_with_its_reason() {
    let write = "key = \"id\"\nbins = { b = 1 }";
    check(write, "", "rejected empty_payload");
    check(write, "{\"id\":\"k\"} x", "rejected trailing_bytes");
    check(write, "{\"id\":", "rejected not_json");
    let mapping = mapping(write);
    let mut output = Output::default();
    let topic = mapping.topic("t").unwrap();
    let tombstone = Message {
        payload: None,
        ..message("")
    };
    assert_eq!(
        topic.process(&tombstone, NOW_MS, &mut output).unwrap_err().reason,
        Reason::Tombstone
    );
    let not_utf8 = Message {
        payload: Some(b"{\"id\":\"\xff\"}"),
        ..message("")
    };
    assert_eq!(
        topic
            .process(&not_utf8, NOW_MS, &mut output)
            .unwrap_err()
            .reason
            .as_str(),
        "not_utf8"
    );
    assert!(mapping.topic("other").is_none());
}

#[test]
fn the_row_of_a_write_that_has_nothing_to_write_is_not_made() {
    check("key = \"id\"\nbins = [\"a\", \"b\"]", r#"{"id":"k"}"#, "");
}

#[test]
fn a_rejection_names_the_rule_and_its_line_and_no_data() {
    let mapping = mapping("key = \"user.id\"\nbins = { b = 1 }");
    let message = message(r#"{"user":{"id":["secret"]}}"#);
    let rejection = mapping
        .topic("t")
        .unwrap()
        .process(&message, NOW_MS, &mut Output::default())
        .unwrap_err();
    let text = rejection.to_string();
    assert!(
        text.contains("user.id") && text.contains("(line 10)") && text.contains("array"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}
