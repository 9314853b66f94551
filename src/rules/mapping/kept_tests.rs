//! Values that no record can hold. They reject nothing if no rule keeps them; if one does, the rejection names their
//! place.

use super::tests::show;
use crate::config;
use crate::rules::mapping::*;

const NOW_MS: i64 = 1_800_000_000_000;

/// Sends a message, with a JSON key, through writes and publishes. Returns its rows and publications, or the whole
/// rejection.
pub(super) fn outcome(kafka: &str, route: &str, payload: &[u8]) -> String {
    let key = br#"{"id": "k1", "big": 18446744073709551615}"#;
    outcome_of(kafka, route, Some(key), payload)
}

/// The same with another key.
pub(super) fn outcome_of(kafka: &str, route: &str, key: Option<&[u8]>, payload: &[u8]) -> String {
    let text = format!(
        "[kafka]\nbrokers = \"b:9092\"\ntopics = [\"t\"]\n{kafka}\n\
         [aerospike]\nhosts = \"h:3000\"\nnamespace = \"test\"\n\
         [[route]]\n{route}\n"
    );
    let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let mapping = Mapping::compile(&config).unwrap();
    let message = Message {
        topic: "t",
        partition: 3,
        offset: 77,
        timestamp_ms: Some(1_700_000_000_123),
        key,
        payload: Some(payload),
        headers: vec![("json", Some(br#"{"a": [1e999]}"#))],
    };
    let mut output = Output::default();
    output.begin(0);
    match mapping.topic("t").unwrap().process(&message, NOW_MS, &mut output) {
        Ok(_) => {
            let rows = output.rows.iter().map(show);
            let publications = output.publications.iter().map(|publication| {
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"-")).into_owned();
                format!(
                    "{} {}",
                    text(publication.key.as_deref()),
                    text(publication.payload.as_deref())
                )
            });
            rows.chain(publications).collect::<Vec<_>>().join(" | ")
        }
        Err(rejection) => {
            assert!(output.rows.is_empty() && output.publications.is_empty());
            rejection.to_string()
        }
    }
}

fn write(rules: &str) -> String {
    format!("[[route.write]]\nset = \"s\"\nkey = \"id\"\n{rules}\n")
}

#[track_caller]
fn check(rules: &str, payload: &str, expected: &str) {
    let told = outcome("", &write(rules), payload.as_bytes());
    assert_eq!(told, expected, "\n{rules}\n{payload}");
}

/// Values that JSON can express and no bin can hold.
const UNHELD: &[&str] = &[
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1e999",
    "-1e999",
    "1.5E+400",
    r#""half \ud83d""#,
    r#"[1, 1e999]"#,
    r#"{"\ud800": 1}"#,
    r#"{"deep": [{"x": 18446744073709551615}]}"#,
];

#[test]
fn a_value_that_nobody_keeps_rejects_nothing() {
    for value in UNHELD {
        let payload = format!(r#"{{"id":"b","n":1,"trace":{value},"items":[{{"sku":"x","trace":{value}}}]}}"#);
        for (rules, expected) in [
            (r#"bins = { path = "*", except = ["trace", "items"] }"#, "id='b' n=1"),
            (r#"bins = { n = "n", sku = "items[0].sku" }"#, "n=1 sku='x'"),
            (r#"bins = ["n"]"#, "n=1"),
            (
                "once = { trace = \"n\" }\nbins = { path = \"*\", except = [\"items\"] }",
                "id='b' n=1 trace?=1",
            ),
            (
                "add = { trace = 1 }\nbins = { path = \"*\", except = [\"items\"] }",
                "id='b' n=1 trace+=1",
            ),
            (
                "newer = { path = \"n\", bin = \"trace\" }\nbins = { path = \"*\", except = [\"items\"] }",
                "id='b' n=1",
            ),
            ("when = \"size(items) == 1 && n == 1\"\nbins = [\"n\"]", "n=1"),
            ("when = \"items.exists(item, item.sku == 'x')\"\nbins = [\"n\"]", "n=1"),
            (
                "when = \"has(msg.trace)\"\nbins = { n = \"n\", all = { expr = \"items.map(item, item.sku)\" } }",
                "n=1 all=['x']",
            ),
        ] {
            let told = outcome("", &write(rules), payload.as_bytes());
            let told = told.replace(" newer 1", "");
            assert_eq!(told, format!("s/\"b\" {expected}"), "\n{rules}\n{payload}");
        }
        // In elements: parts that are not kept, and elements that are not used.
        for rules in [
            "each = \"items\"\nbins = { path = \"@item.*\", except = [\"trace\"] }",
            "each = \"items\"\nbins = [\"@item.sku\"]",
        ] {
            check(rules, &payload, "s/\"b\" sku='x'");
        }
        let other = payload.replace(r#"[{"sku""#, r#"[{"sku":"ok"},{"sku""#);
        check(
            "each = \"items\"\nwhen = \"item.sku == 'ok'\"\nbins = \"@item.*\"",
            &other,
            "s/\"b\" sku='ok'",
        );
        // Under a name that is too long for a bin.
        let long = payload
            .replace("trace", "trace_of_the_producer")
            .replace("items", "items_of_the_order");
        check(
            "bins = { path = \"*\", long_names = \"skip\" }",
            &long,
            "s/\"b\" id='b' n=1",
        );
        // The last of equal names counts.
        let twice = format!(r#"{{"id":"b","n":{value},"n":1}}"#);
        check("bins = \"*\"", &twice, "s/\"b\" id='b' n=1");
    }
}

#[test]
fn a_whole_object_that_one_rule_keeps_does_not_mind_what_another_takes_out_of_it() {
    let payload = r#"{"id":"b","after":{"id":18446744073709551615,"n":1},"op":"c"}"#;
    // As in examples/debezium.toml.
    check(
        r#"bins = { path = "after.*", except = ["id"] }"#,
        payload,
        "s/\"b\" n=1",
    );
    let writes = "[[route.write]]\nset = \"a\"\nkey = \"after.id\"\nbins = { path = \"after.*\", except = [\"id\"] }\n\
                  [[route.write]]\nset = \"b\"\nkey = \"{op}:{after.id}\"\nbins = { id = { path = \"after.id\", as = \"string\" }, f = { path = \"after.id\", as = \"float\" } }";
    assert_eq!(
        outcome("", writes, payload.as_bytes()),
        "a/\"18446744073709551615\" n=1 | b/\"c:18446744073709551615\" id='18446744073709551615' f=1.8446744073709552e19"
    );
}

#[test]
fn what_is_kept_is_refused_with_the_path_of_the_field_and_a_cure() {
    let payload = r#"{"id":"b","trace":18446744073709551615,"after":{"items":[0,1,2,{"id":1e999,"odd name":{"x":9223372036854775808}}]}}"#;
    let words = r#"big_numbers = "string", "float" or "skip""#;
    // A float does not help if the number does not fit a float.
    let few = r#"big_numbers = "string" or "skip""#;
    for (rules, expected) in [
        (
            r#"bins = "*""#,
            format!(r#"integer_range: bins = "*" (line 12): trace is an integer outside of 64 bits; cure: {words}, or except = ["trace"]"#),
        ),
        (
            r#"bins = "after.*""#,
            format!(r#"float_range: bins = "after.*" (line 12): after.items[3].id is a number outside of a 64-bit float; cure: {few}, or except = ["items"]"#),
        ),
        (
            r#"bins = { all = "after" }"#,
            format!(r#"float_range: after (line 12): after.items[3].id is a number outside of a 64-bit float; cure: {few}"#),
        ),
        (
            r#"bins = ["trace"]"#,
            format!(r#"integer_range: trace (line 12) is an integer outside of 64 bits; cure: {words}, or as = "string""#),
        ),
        (
            r#"list_append = { log = { object = { x = "after.items[3].odd name" } } }"#.replace("odd name", r#"\"odd name\""#).as_str(),
            format!(r#"integer_range: after.items[3]."odd name" (line 12): after.items[3]."odd name".x is an integer outside of 64 bits; cure: {words}"#),
        ),
        (
            r#"map_put = { m = { key = "id", value = { path = "after.items", big_numbers = "float" } } }"#,
            r#"float_range: { path = "after.items", big_numbers = "float" } (line 12): after.items[3].id is a number outside of a 64-bit float; cure: big_numbers = "string" or "skip""#.to_owned(),
        ),
        (
            "each = \"after.items\"\nwhen = \"index == 3\"\nbins = { one = \"@item\" }",
            format!(r#"float_range: @item (line 14): after.items[3].id is a number outside of a 64-bit float; cure: {few}"#),
        ),
        (
            "each = \"after.items\"\nwhen = \"index == 3\"\nbins = { path = \"@item.*\", except = [\"id\"] }",
            format!(r#"integer_range: bins = "@item.*" (line 14): after.items[3]."odd name".x is an integer outside of 64 bits; cure: {words}, or except = ["odd name"]"#),
        ),
        (
            r#"bins = { a = { path = "@header.json", as = "json" } }"#,
            format!(r#"float_range: {{ path = "@header.json", as = "json" }} (line 12): @header.json.a[0] is a number outside of a 64-bit float; cure: {few}"#),
        ),
        (
            r#"bins = { a = "@key.big" }"#,
            format!(r#"integer_range: @key.big (line 12) is an integer outside of 64 bits; cure: {words}, or as = "string""#),
        ),
        (
            r#"bins = { a = { path = "trace", as = "integer" } }"#,
            r#"integer_range: { path = "trace", as = "integer" } (line 12) is an integer outside of 64 bits; cure: as = "string" or "float""#.to_owned(),
        ),
        (
            r#"bins = { a = { path = "after.items[3].id", as = "float" } }"#,
            r#"float_range: { path = "after.items[3].id", as = "float" } (line 12) is a number outside of a 64-bit float; cure: as = "string""#.to_owned(),
        ),
        (
            r#"bins = { a = { path = "after", as = "string" } }"#,
            r#"field_type: { path = "after", as = "string" } (line 12) is an object, not a string"#.to_owned(),
        ),
        (
            r#"bins = { a = { path = "after.items", as = "string" } }"#,
            r#"field_type: { path = "after.items", as = "string" } (line 12) is an array, not a string"#.to_owned(),
        ),
        (
            r#"add = { a = { path = "after.items[3].id", as = "float" } }"#,
            r#"float_range: { path = "after.items[3].id", as = "float" } (line 12) is a number outside of a 64-bit float"#.to_owned(),
        ),
    ] {
        check(rules, payload, &expected);
    }
    let wide = r#"{"id":"b","n":"1e999","none":"inf","half":"\ud83d","f":1.5}"#;
    for (rules, expected) in [
        (
            r#"bins = { a = { path = "n", as = "float" } }"#,
            r#"float_range: { path = "n", as = "float" } (line 12) is a number outside of a 64-bit float; cure: as = "string""#,
        ),
        (
            r#"bins = { a = { path = "none", as = "float" } }"#,
            r#"field_type: { path = "none", as = "float" } (line 12) is a text that is no finite number"#,
        ),
        (
            r#"map_put = { m = { key = "half", value = 1 } }"#,
            r#"not_json: half (line 12) is a string with half of a surrogate pair (\ud800 to \udfff alone), which is no text; cure: leave the field out, or have the producer write whole characters"#,
        ),
        (
            r#"bins = { a = { path = "none", as = "json" } }"#,
            r#"not_json: { path = "none", as = "json" } (line 12) is an embedded text that is not JSON"#,
        ),
        (
            r#"bins = { a = "x:{f}" }"#,
            r#"field_type: x:{f} (line 12) is a part of type float, which a template cannot hold; cure: an `expr` with string(…) around the number"#,
        ),
    ] {
        check(rules, wide, expected);
    }
    let half = r#"{"id":"b","note":{"text":"cut \ud83d"}}"#;
    for (rules, place) in [
        ("bins = \"*\"", "bins = \"*\" (line 12): note.text"),
        ("bins = [\"note\"]", "note (line 12): note.text"),
    ] {
        check(
            rules,
            half,
            &format!(
                "not_json: {place} is a string with half of a surrogate pair (\\ud800 to \\udfff alone), which is no text; cure: \
                 leave the field out, or have the producer write whole characters"
            ),
        );
    }
    check(
        "when = \"note.text != 'x'\"\nbins = { b = 1 }",
        half,
        "condition_error: when \"note.text != 'x'\" (line 12) cannot be computed: note.text is a string with half of a surrogate pair (\\ud800 to \\udfff alone), which is no text",
    );
    check(
        "when = \"trace > 3.0 && after.items[3].id > 3\"\nbins = { b = 1 }",
        payload,
        "condition_error: when \"trace > 3.0 && after.items[3].id > 3\" (line 12) cannot be computed: after.items[3].id is a number outside of a 64-bit float",
    );
}

#[test]
fn what_becomes_of_a_big_number_that_is_kept_can_be_chosen() {
    let payload = r#"{"id":"b","a":18446744073709551615,"b":{"c":[1,1e999,2],"d":-9223372036854775809,"e":5}}"#;
    let digits = "18446744073709551615";
    for (rules, expected) in [
        (
            r#"bins = { path = "*", big_numbers = "string" }"#,
            format!("id='b' a='{digits}' b={{c:[1,'1e999',2],d:'-9223372036854775809',e:5}}"),
        ),
        (
            r#"bins = { path = "*", big_numbers = "skip" }"#,
            "id='b' b={c:[1,null,2],e:5}".to_owned(),
        ),
        (
            r#"bins = { path = "*", big_numbers = "float", except = ["b"] }"#,
            "id='b' a=1.8446744073709552e19".to_owned(),
        ),
        (
            r#"bins = { a = { path = "a", big_numbers = "float" }, b = { path = "b", big_numbers = "string" } }"#,
            "a=1.8446744073709552e19 b={c:[1,'1e999',2],d:'-9223372036854775809',e:5}".to_owned(),
        ),
        // If it is left out, it counts as missing.
        (
            r#"bins = { x = { path = "a", big_numbers = "skip" }, e = "b.e", d = { path = "a", big_numbers = "skip", default = 7 } }"#,
            "e=5 d=7".to_owned(),
        ),
        (
            r#"bins = { o = { object = { a = { path = "a", big_numbers = "string" }, c = { path = "b.c", big_numbers = "skip" } } } }"#,
            format!("o={{a:'{digits}',c:[1,null,2]}}"),
        ),
        (
            "once = { a = { path = \"a\", big_numbers = \"string\" } }\nlist_append = { l = { path = \"b\", big_numbers = \"skip\" } }",
            format!("a?='{digits}' l[]={{c:[1,null,2],e:5}}"),
        ),
        (
            r#"bins = { j = { path = "@header.json", as = "json", big_numbers = "string" } }"#,
            "j={a:[1e999]}".replace("1e999", "'1e999'"),
        ),
    ] {
        check(rules, payload, &format!("s/\"b\" {expected}"));
    }
    check(
        "bins = { x = { path = \"a\", big_numbers = \"skip\", missing = \"reject\" } }",
        payload,
        "field_missing: { path = \"a\", big_numbers = \"skip\", missing = \"reject\" } (line 12) is left out by big_numbers = \"skip\"; cure: missing = \"skip\", or another word for big_numbers",
    );
    // An operation needs its value.
    let append = |value: &str| format!("list_append = {{ l = {value} }}");
    check(
        &append(r#"{ path = "a", big_numbers = "skip" }"#),
        payload,
        r#"field_missing: { path = "a", big_numbers = "skip" } (line 12) is left out by big_numbers = "skip"; cure: missing = "skip", or another word for big_numbers"#,
    );
    check(
        &append(r#"{ path = "z", big_numbers = "skip" }"#),
        payload,
        r#"field_missing: { path = "z", big_numbers = "skip" } (line 12) is missing or null"#,
    );
    check(
        &format!(
            "{}\nbins = {{ e = \"b.e\" }}",
            append(r#"{ path = "a", big_numbers = "skip", missing = "skip" }"#)
        ),
        payload,
        "s/\"b\" e=5",
    );
}

#[test]
fn what_is_published_as_json_keeps_every_number_as_it_stands() {
    let payload = r#"{"id":"b","a":18446744073709551615,"b":[1e999]}"#;
    let publish = "[[route.publish]]\ntopic = \"o\"\n";
    for (rules, expected) in [
        (
            "payload = \"b\"",
            r#"{"id": "k1", "big": 18446744073709551615} [1e999]"#,
        ),
        (
            "key = \"a\"\npayload = { object = { a = \"a\", b = \"b\" } }",
            r#"18446744073709551615 {"a":18446744073709551615,"b":[1e999]}"#,
        ),
    ] {
        assert_eq!(outcome("", &format!("{publish}{rules}"), payload.as_bytes()), expected);
    }
    // This also holds for computed values, as long as CEL can hold them.
    for (rules, expected) in [
        ("payload = { expr = \"a\" }", "18446744073709551615"),
        ("payload = { expr = \"b[0]\" }", "1e999"),
        ("payload = { expr = \"[a, b]\" }", "[18446744073709551615,[1e999]]"),
        (
            "payload = { object = { x = { expr = \"{'y': a}\" } } }",
            r#"{"x":{"y":18446744073709551615}}"#,
        ),
    ] {
        let expected = format!(r#"{{"id": "k1", "big": 18446744073709551615}} {expected}"#);
        assert_eq!(outcome("", &format!("{publish}{rules}"), payload.as_bytes()), expected);
    }
    assert_eq!(
        outcome(
            "",
            &format!("{publish}key = {{ expr = \"b[0]\" }}\npayload = \"id\""),
            payload.as_bytes()
        ),
        "1e999 \"b\""
    );
    let half = r#"{"a":["\ud800"]}"#;
    let told = outcome("", &format!("{publish}payload = \"a\""), half.as_bytes());
    assert!(
        told.starts_with("not_json: a (line 11): a[0] is a string with half of a surrogate pair"),
        "{told}"
    );
}

#[test]
fn a_computed_value_is_judged_where_it_is_kept_as_a_field_is() {
    for number in [
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "1e999",
    ] {
        let payload = format!(r#"{{"id":"b","v":{number},"l":[1,{number}],"o":{{"n":{number}}}}}"#);
        for (rules, expected) in [
            (r#"bins = { b = { expr = "v", as = "string" } }"#, "b={}"),
            (r#"bins = { b = { expr = "msg.v", as = "string" } }"#, "b={}"),
            (r#"bins = { b = { expr = "l[1]", as = "string" } }"#, "b={}"),
            (r#"append = { b = { expr = "o.n", as = "string" } }"#, "b..={}"),
            (r#"bins = { n = { expr = "size(l)" } }"#, "n=2"),
        ] {
            let told = outcome("", &write(rules), payload.as_bytes());
            let expected = expected.replace("{}", &format!("'{number}'"));
            assert_eq!(told, format!("s/\"b\" {expected}"), "{rules}\n{payload}");
        }
    }
    let payload = r#"{"id":"b","v":18446744073709551615,"l":[1,1e999],"h":["\ud800"]}"#;
    check(
        r#"bins = { b = { expr = "v", as = "float" } }"#,
        payload,
        "s/\"b\" b=1.8446744073709552e19",
    );
    check(
        r#"bins = { b = { expr = "v" } }"#,
        payload,
        r#"integer_range: { expr = "v" } (line 12): v is an integer outside of 64 bits; cure: as = "string""#,
    );
    check(
        r#"bins = { b = { expr = "uint(s)" } }"#,
        r#"{"id":"b","s":"18446744073709551615"}"#,
        r#"integer_range: { expr = "uint(s)" } (line 12): its value is an integer outside of 64 bits; cure: as = "string""#,
    );
    check(
        r#"bins = { b = { expr = "l" } }"#,
        payload,
        r#"float_range: { expr = "l" } (line 12): l[1] is a number outside of a 64-bit float; cure: compute it of what it needs, or write path and big_numbers"#,
    );
    check(
        r#"list_append = { b = { expr = "l.map(x, x)" } }"#,
        payload,
        r#"float_range: { expr = "l.map(x, x)" } (line 12): its value[1] is a number outside of a 64-bit float; cure: compute it of what it needs, or write path and big_numbers"#,
    );
    let told = outcome("", &write(r#"bins = { b = { expr = "h" } }"#), payload.as_bytes());
    assert!(
        told.starts_with(r#"not_json: { expr = "h" } (line 12): h[0] is a string with half"#),
        "{told}"
    );
    for (condition, expected) in [
        (
            "l.exists(x, x > 5)",
            "`>` cannot take (a number outside of 64 bits, int)",
        ),
        (
            "h.exists(x, x > 'a')",
            "`>` cannot take (a string with half of a surrogate pair, string)",
        ),
    ] {
        let told = outcome(
            "",
            &write(&format!("when = \"{condition}\"\nbins = [\"id\"]")),
            payload.as_bytes(),
        );
        assert!(told.ends_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn two_fields_that_want_one_bin_reject_the_message_with_both_names() {
    let rules = r#"bins = { path = "*", rename = { zz = "o" } }"#;
    let told = r#"bin_name: bins = "*" (line 12): the fields zz (renamed) and o want one bin, o; cure: except = ["o"], or another name in rename"#;
    for payload in [
        r#"{"id":"a","o":7,"zz":1}"#,
        r#"{"id":"a","zz":1,"o":7}"#,
        r#"{"id":"a","o":1e999,"zz":1}"#,
        r#"{"id":"a","zz":1,"o":1e999}"#,
        r#"{"id":"a","zz":1,"o":null}"#,
    ] {
        check(rules, payload, told);
    }
    check(rules, r#"{"id":"a","zz":1}"#, "s/\"a\" id='a' o=1");
    check(rules, r#"{"id":"a","o":7}"#, "s/\"a\" id='a' o=7");
    let payload = r#"{"id":"a","zz":1,"o":1e999}"#;
    check(
        r#"bins = { path = "*", rename = { zz = "o" }, except = ["o"] }"#,
        payload,
        "s/\"a\" id='a' o=1",
    );
    // Each field takes the other one's name.
    check(
        r#"bins = { path = "*", rename = { zz = "o", o = "zz" } }"#,
        r#"{"id":"a","o":7,"zz":1}"#,
        "s/\"a\" id='a' zz=7 o=1",
    );
}
