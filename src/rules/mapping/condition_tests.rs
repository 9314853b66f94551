//! Conditions of routes, writes and publishes, and computed values: which rows are made, and which messages are
//! filtered or rejected.

use crate::config;
use crate::output::row::{Number, Op, RecordKey, RowAction};
use crate::output::value::Value;
use crate::rules::mapping::*;

/// A configuration with these routes.
fn mapping(routes: &str) -> Mapping {
    let text = format!(
        "[kafka]\nbrokers = \"b:9092\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"h:3000\"\nnamespace = \"test\"\n{routes}\n"
    );
    let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
    Mapping::compile(&config).unwrap()
}

fn message(payload: Option<&str>) -> Message<'_> {
    Message {
        topic: "t",
        partition: 3,
        offset: 77,
        timestamp_ms: Some(1_700_000_000_123),
        key: Some(b"k1"),
        payload: payload.map(str::as_bytes),
        headers: vec![("kind", Some(b"a"))],
    }
}

/// The outcome of a message: the keys of its rows with their bins, `filtered`, or the rejection. Then the number of
/// conditions that counted as false because of an error.
fn outcome(routes: &str, payload: Option<&str>) -> String {
    let mapping = mapping(routes);
    let message = message(payload);
    let mut output = Output::default();
    output.begin(0);
    let told = match mapping.topic("t").unwrap().process(&message, 0, &mut output) {
        Ok(Verdict::Filtered) => {
            assert!(output.rows.is_empty() && output.publications.is_empty());
            "filtered".to_owned()
        }
        Ok(Verdict::Kept) => {
            let rows = output.rows.iter().map(|row| {
                let RecordKey::String(key) = &row.key else {
                    panic!("{row:?}")
                };
                let RowAction::Write(ops) = &row.action else {
                    return format!("-{key}");
                };
                let ops = ops.iter().map(|op| match op {
                    Op::Put {
                        bin,
                        value: Value::Int(value),
                    } => format!("{bin}={value}"),
                    Op::Put {
                        bin,
                        value: Value::Float(value),
                    } => format!("{bin}={value:?}"),
                    Op::Put {
                        bin,
                        value: Value::Str(value),
                    } => format!("{bin}={value}"),
                    Op::Put { bin, value } => format!("{bin}={value:?}"),
                    Op::Add {
                        bin,
                        by: Number::Float(by),
                    } => format!("{bin}+={by:?}"),
                    other => format!("{other:?}"),
                });
                format!("{key} {}", ops.collect::<Vec<_>>().join(" "))
            });
            let topics = output
                .publications
                .iter()
                .map(|publication| format!(">{}", publication.topic));
            rows.chain(topics).collect::<Vec<_>>().join(" | ")
        }
        Err(rejection) => {
            assert!(output.rows.is_empty() && output.publications.is_empty());
            format!("rejected {rejection}")
        }
    };
    match output.condition_errors_ignored {
        0 => told,
        ignored => format!("{told} ({ignored} ignored)"),
    }
}

#[track_caller]
fn check(routes: &str, cases: &[(&str, &str)]) {
    for (payload, expected) in cases {
        assert_eq!(outcome(routes, Some(payload)), *expected, "{payload}");
    }
}

const WRITE: &str = "[[route.write]]\nkey = \"id\"\nbins = { b = 1 }\n";

#[test]
fn a_route_whose_when_is_false_asks_nothing() {
    let routes = format!("[[route]]\nwhen = \"type != 'heartbeat'\"\n{WRITE}");
    check(
        &routes,
        &[
            (r#"{"id":"k","type":"x"}"#, "k b=1"),
            (r#"{"id":"k","type":"heartbeat"}"#, "filtered"),
            // The other rules are not evaluated then.
            (r#"{"type":"heartbeat"}"#, "filtered"),
            (
                r#"{"id":"k","kind":"x"}"#,
                "rejected condition_error: when \"type != 'heartbeat'\" (line 8) cannot be computed: no such field: type",
            ),
        ],
    );
}

#[test]
fn when_error_false_takes_what_cannot_be_computed_for_false_and_counts_it() {
    let routes = format!("[[route]]\nwhen = \"type != 'heartbeat'\"\nwhen_error = \"false\"\n{WRITE}");
    check(
        &routes,
        &[
            (r#"{"id":"k","type":"x"}"#, "k b=1"),
            (r#"{"id":"k","type":"heartbeat"}"#, "filtered"),
            (r#"{"id":"k","kind":"x"}"#, "filtered (1 ignored)"),
        ],
    );
}

#[test]
fn a_rejected_message_takes_its_count_of_opted_out_conditions_along() {
    let routes = format!(
        "[[route]]\nwhen = \"a == 1\"\nwhen_error = \"false\"\n{WRITE}[[route]]\nrequire = [\"b == 1\"]\n{WRITE}"
    );
    let told = outcome(&routes, Some(r#"{"id":"k","b":0}"#));
    assert_eq!(told, "rejected require: require \"b == 1\" (line 14) does not hold");
}

#[test]
fn require_rejects_what_does_not_hold_of_what_when_lets_through() {
    let routes =
        format!("[[route]]\nwhen = \"type != 'x'\"\nrequire = [\"amount >= 0.0\", \"size(user.id) > 0\"]\n{WRITE}");
    check(
        &routes,
        &[
            (r#"{"id":"k","type":"a","amount":1,"user":{"id":"u"}}"#, "k b=1"),
            (r#"{"id":"k","type":"x"}"#, "filtered"),
            (
                r#"{"id":"k","type":"a","amount":-1,"user":{"id":"u"}}"#,
                "rejected require: require \"amount >= 0.0\" (line 9) does not hold",
            ),
            (
                r#"{"id":"k","type":"a","amount":1,"user":{"id":""}}"#,
                "rejected require: require \"size(user.id) > 0\" (line 9) does not hold",
            ),
            (
                r#"{"id":"k","type":"a","amount":"1","user":{"id":"u"}}"#,
                "rejected condition_error: require \"amount >= 0.0\" (line 9) cannot be computed: `>=` cannot take (string, double); \
                 amount is a string: if it holds a number, write double(amount)",
            ),
        ],
    );
}

#[test]
fn every_route_that_matches_applies_and_one_rejection_rejects_all() {
    let routes = format!(
        "[[route]]\nwhen = \"a == 1\"\n{WRITE}[[route]]\nwhen = \"b == 1\"\n[[route.write]]\nkey = \"other\"\nbins = {{ c = 1 }}\n"
    );
    check(
        &routes,
        &[
            (r#"{"id":"k","other":"o","a":1,"b":1}"#, "k b=1 | o c=1"),
            (r#"{"id":"k","other":"o","a":1,"b":0}"#, "k b=1"),
            (r#"{"id":"k","other":"o","a":0,"b":1}"#, "o c=1"),
            (r#"{"id":"k","other":"o","a":0,"b":0}"#, "filtered"),
            (
                r#"{"id":"k","a":1}"#,
                "rejected condition_error: when \"b == 1\" (line 13) cannot be computed: no such field: b",
            ),
        ],
    );
}

#[test]
fn a_write_and_a_publish_have_conditions_of_their_own() {
    let routes = format!("[[route]]\n{WRITE}when = \"n > 1\"\n[[route.publish]]\ntopic = \"p\"\nwhen = \"n > 2\"\n");
    check(
        &routes,
        &[
            (r#"{"id":"k","n":3}"#, "k b=1 | >p"),
            (r#"{"id":"k","n":2}"#, "k b=1"),
            (r#"{"id":"k","n":1}"#, "filtered"),
        ],
    );
}

#[test]
fn a_condition_that_names_the_element_is_judged_for_each() {
    let write = |when: &str| {
        format!(
            "[[route]]\n[[route.write]]\neach = \"items\"\nkey = \"{{id}}-{{@index}}\"\nbins = {{ q = \"@item.q\" }}\n{when}\n"
        )
    };
    let payload = r#"{"id":"k","n":1,"items":[{"q":1},{"q":5},{"q":7}]}"#;
    for (when, expected) in [
        ("when = \"item.q > 2\"", "k-1 q=5 | k-2 q=7"),
        ("when = \"index == 0 || item.q == n + 6\"", "k-0 q=1 | k-2 q=7"),
        ("when = \"item.q > 9\"", "filtered"),
        // It reads only the message, so it is evaluated once, before the array.
        ("when = \"n == 1\"", "k-0 q=1 | k-1 q=5 | k-2 q=7"),
        ("when = \"n == 2\"", "filtered"),
        ("when = \"item.x > 2\"\nwhen_error = \"false\"", "filtered (3 ignored)"),
        (
            "when = \"item.x > 2\"",
            "rejected condition_error: when \"item.x > 2\" (line 12) cannot be computed: no such field: item.x",
        ),
        ("when = \"has(item.q) && !has(item.x)\"", "k-0 q=1 | k-1 q=5 | k-2 q=7"),
    ] {
        assert_eq!(outcome(&write(when), Some(payload)), expected, "{when}");
    }
    assert_eq!(
        outcome(&write("when = \"item.q > 2\""), Some(r#"{"id":"k","items":[]}"#)),
        ""
    );
}

#[test]
fn of_a_tombstone_only_conditions_on_metadata_are_judged() {
    let routes = |when: &str, require: &str| {
        format!(
            "[[route]]\nwhen = \"{when}\"\nrequire = [\"{require}\"]\ntombstone = \"delete\"\n\
             [[route.write]]\nkey = \"@key\"\nbins = {{ b = 1 }}\n"
        )
    };
    let told = |when: &str, require: &str| outcome(&routes(when, require), None);
    assert_eq!(told("type == 'x'", "amount > 1"), "-k1");
    assert_eq!(told("meta.headers.kind == 'a'", "amount > 1"), "-k1");
    assert_eq!(told("meta.headers.kind == 'b'", "amount > 1"), "filtered");
    assert_eq!(
        told("type == 'x'", "meta.partition > 5"),
        "rejected require: require \"meta.partition > 5\" (line 9) does not hold"
    );
    let reject = format!("[[route]]\nwhen = \"type == 'x'\"\n{WRITE}");
    assert!(outcome(&reject, None).starts_with("rejected tombstone"));
}

#[test]
fn a_value_is_computed_wherever_a_value_stands() {
    let write = |lines: &str| format!("[[route]]\nroot = \"p\"\n[[route.write]]\n{lines}\n");
    let payload = r#"{"p":{"id":"K","price":2.5,"qty":3,"items":[{"s":"a"},{"s":"b"}]},"top":"t"}"#;
    for (lines, expected) in [
        ("key = \"id\"\nbins = { v = { expr = \"price * qty\" } }", "K v=7.5"),
        (
            "key = \"id\"\nadd = { v = { expr = \"price * qty\", as = \"float\" } }",
            "K v+=7.5",
        ),
        (
            "key = \"id\"\nadd = { v = { expr = \"qty * 2\", as = \"float\" } }",
            "K v+=6.0",
        ),
        (
            "key = { expr = \"id.lowerAscii() + msg.top\" }\nbins = { b = 1 }",
            "kt b=1",
        ),
        ("key = { expr = \"qty\" }\nbins = { b = 1 }", "3 b=1"),
        (
            "key = \"id\"\nbins = { v = { expr = \"items.map(x, x.s).join('+')\" } }",
            "K v=a+b",
        ),
        (
            "key = \"id\"\nbins = { v = { expr = \"string(qty)\", as = \"integer\" } }",
            "K v=3",
        ),
        (
            "key = \"id\"\nbins = { v = { object = { o = { expr = \"qty + 1\" } } } }",
            "K v=Map([(\"o\", Int(4))])",
        ),
        (
            "key = \"id\"\nbins = { v = { expr = \"price * quantity\" } }",
            "rejected expression_error: expr \"price * quantity\" (line 11) cannot be computed: no such field: quantity",
        ),
        (
            "key = { expr = \"id == 'K'\" }\nbins = { b = 1 }",
            "rejected key_type: { expr = \"id == 'K'\" } (line 10) is of type boolean, which cannot be a key; cure: as = \"string\"",
        ),
    ] {
        assert_eq!(outcome(&write(lines), Some(payload)), expected, "{lines}");
    }
}

#[test]
fn a_key_that_is_no_json_is_nothing_to_a_message_that_is_filtered() {
    let routes = "[[route]]\nwhen = \"a == 1\"\n[[route.write]]\nkey = \"@key.id\"\nbins = { b = 1 }";
    check(
        routes,
        &[
            (r#"{"a":0}"#, "filtered"),
            (
                r#"{"a":1}"#,
                "rejected key_not_json: the message key is read as JSON: it is not JSON: unexpected byte 0x6b, \
                 at byte 0",
            ),
        ],
    );
}

#[test]
fn headers_are_collected_where_a_condition_looks_at_them() {
    let wants = |when: &str| {
        let mapping = mapping(&format!("[[route]]\nwhen = \"{when}\"\n{WRITE}"));
        mapping.topic("t").unwrap().wants_headers()
    };
    assert!(wants("meta.headers.kind == 'a'"));
    assert!(wants("has(meta.headers.kind)"));
    assert!(wants("size(meta.headers) > 0"));
    assert!(!wants("meta.topic == 't'"));
}
