//! Strings that hold JSON, through all that takes a path: rows, publications, and rejections with their place.

use super::kept_tests::outcome_of;

/// A route with `before` in it, and a write.
fn write(before: &str, rules: &str) -> String {
    format!("{before}\n[[route.write]]\nset = \"s\"\n{rules}\n")
}

#[track_caller]
fn check(route: &str, payload: &str, expected: &str) {
    assert_eq!(
        outcome_of("", route, None, payload.as_bytes()),
        expected,
        "{route}\n{payload}"
    );
}

const ORDER: &str =
    r#"{"op":"c","after":{"doc":"{\"id\":7,\"at\":1700000000,\"items\":[{\"n\":1},{\"n\":2}],\"tag\":\"a\\\"b\"}"}}"#;
const ROOT: &str = "root = { path = \"after.doc\", as = \"json\" }";

#[test]
fn everything_that_takes_a_path_takes_one_through_a_string() {
    check(
        &write(
            ROOT,
            "key = \"{id}:{tag}\"\nbins = { id = \"id\", n = \"items[1].n\", all = \"items\" }",
        ),
        ORDER,
        r#"s/"7:a"b" id=7 n=2 all=[{n:1},{n:2}]"#,
    );
    check(
        &write(
            ROOT,
            "key = \"id\"\neach = \"items\"\nadd = { n = { path = \"@item.n\", as = \"integer\" } }",
        ),
        ORDER,
        r#"s/"7" n+=1 | s/"7" n+=2"#,
    );
    check(
        &write(
            ROOT,
            "key = \"id\"\nbins = { x = { expr = \"size(items) + msg.after.doc.id\" } }",
        ),
        ORDER,
        r#"s/"7" x=9"#,
    );
    check(
        &write(
            ROOT,
            "key = \"id\"\nbins = [\"tag\"]\nnewer = { path = \"at\", bin = \"v\" }",
        ),
        ORDER,
        r#"s/"7" newer 1700000000 tag='a"b'"#,
    );
    check(
        &format!(
            "{ROOT}\n[[route.publish]]\ntopic = \"x\"\nkey = \"tag\"\npayload = {{ object = {{ i = \"items\" }} }}"
        ),
        ORDER,
        r#"a"b {"i":[{"n":1},{"n":2}]}"#,
    );
    let when =
        format!("{ROOT}\nwhen = \"msg.op == 'c' && has(msg.after.doc.id) && id > 6\"\nrequire = [\"items[0].n == 1\"]");
    check(&write(&when, "key = \"id\"\nbins = [\"id\"]"), ORDER, r#"s/"7" id=7"#);
    // The same by another word; the string itself is what its text says.
    check(
        &write(
            "json_strings = [\"after.doc\"]",
            "key = \"after.doc.id\"\nbins = { d = \"after.doc.items[0]\" }",
        ),
        ORDER,
        r#"s/"7" d={n:1}"#,
    );
}

#[test]
fn all_fields_are_those_of_the_text_and_a_field_that_is_named_is_what_its_text_says() {
    let payload = r#"{"id":1,"doc":"{\"a\":{\"b\":\"{}\"}}","raw":"{\"a\":1}"}"#;
    check(
        &write(
            "root = { path = \"doc\", as = \"json\" }",
            "key = \"@offset\"\nbins = \"*\"",
        ),
        payload,
        r#"s/"77" a={b:'{}'}"#,
    );
    check(
        &write("json_strings = [\"doc\"]", "key = \"id\"\nbins = \"*\""),
        payload,
        r#"s/"1" id=1 doc={a:{b:'{}'}} raw='{"a":1}'"#,
    );
    check(
        &write(
            "json_strings = [\"doc\"]",
            "key = \"id\"\nbins = { path = \"*\", except = [\"raw\"], rename = { doc = \"d\" } }",
        ),
        payload,
        r#"s/"1" id=1 d={a:{b:'{}'}}"#,
    );
    // A number that no bin can hold, inside the text.
    check(
        &write("json_strings = [\"doc\"]", "key = \"id\"\nbins = \"*\""),
        r#"{"id":1,"doc":"{\"n\":18446744073709551615}"}"#,
        "integer_range: bins = \"*\" (line 13): doc.n is an integer outside of 64 bits; cure: big_numbers = \"string\", \
         \"float\" or \"skip\", or except = [\"doc\"]",
    );
}

#[test]
fn keys_elements_and_whole_messages_may_be_strings_too() {
    let key = Some(r#""{\"id\":9}""#.as_bytes());
    let route = write("json_strings = [\"@key\"]", "key = \"@key.id\"\nbins = [\"a\"]");
    assert_eq!(outcome_of("", &route, key, r#"{"a":1}"#.as_bytes()), r#"s/"9" a=1"#);
    let broken = outcome_of("", &route, Some(r#""{""#.as_bytes()), r#"{"a":1}"#.as_bytes());
    assert!(
        broken.starts_with("not_json: the text in the string @key is not JSON: unexpected end, at byte 1 of this text"),
        "{broken}"
    );
    check(
        &write(
            "json_strings = [\"@item.d\"]",
            "each = \"l\"\nkey = \"{@item.d.k}\"\nbins = [\"@item.d\"]",
        ),
        r#"{"l":[{"d":"{\"k\":1}"},{"d":{"k":2}}]}"#,
        r#"s/"1" d={k:1} | s/"2" d={k:2}"#,
    );
    check(
        &write("root = { path = \"\", as = \"json\" }", "key = \"id\"\nbins = [\"a\"]"),
        r#""{\"id\":1,\"a\":2}""#,
        r#"s/"1" a=2"#,
    );
    check(
        &write("json_strings = [\"@value\"]", "key = \"id\"\nbins = [\"a\"]"),
        r#""{\"id\":1,\"a\":2}""#,
        r#"s/"1" a=2"#,
    );
    // A text in a text.
    check(
        &write(
            "json_strings = [\"a\", \"a.b\"]",
            "key = \"a.b.c\"\nbins = { x = \"a.b\" }",
        ),
        r#"{"a":"{\"b\":\"{\\\"c\\\":3}\"}"}"#,
        r#"s/"3" x={c:3}"#,
    );
}

const CURE: &str = "; cure: have the producer write JSON there (or null), or a `when` that leaves such messages out";

#[test]
fn a_text_that_is_no_json_rejects_where_it_is_read_and_only_there() {
    let route = write(ROOT, "key = \"@offset\"\nbins = { id = \"id\" }");
    for (text, expected) in [
        (
            "",
            "empty_payload: the text in the string after.doc is empty, at byte 0 of this text",
        ),
        (
            "hello",
            "not_json: the text in the string after.doc is not JSON: unexpected byte 0x68, at byte 0 of this text",
        ),
        (
            "{} {}",
            "trailing_bytes: the text in the string after.doc is not JSON: something follows the value, at byte 3 of this text",
        ),
    ] {
        check(
            &route,
            &format!(r#"{{"op":"c","after":{{"doc":"{text}"}}}}"#),
            &format!("{expected}{CURE}"),
        );
    }
    let deep = format!(r#"{{"after":{{"doc":"{}"}}}}"#, "[".repeat(500));
    assert!(
        outcome_of("", &route, None, deep.as_bytes())
            .starts_with("too_deep: the text in the string after.doc has more than 128")
    );
    // It never counts as a missing field, whatever the condition says of what cannot be computed.
    let broken = r#"{"op":"c","after":{"doc":"{"}}"#;
    let not_json = "not_json: the text in the string after.doc is not JSON: unexpected end, at byte 1 of this text";
    for before in [
        "when = \"id > 3\"\nwhen_error = \"false\"",
        "when = \"has(msg.after.doc.id)\"",
        "require = [\"id > 3\"]",
    ] {
        check(
            &write(&format!("{ROOT}\n{before}"), "key = \"@offset\"\nbins = [\"id\"]"),
            broken,
            &format!("{not_json}{CURE}"),
        );
    }
    // Who does not read it does not judge it.
    check(
        &write(
            &format!("{ROOT}\nwhen = \"msg.op == 'd'\""),
            "key = \"id\"\nbins = [\"id\"]",
        ),
        broken,
        "",
    );
    check(
        &write(
            &format!("{ROOT}\nwhen = \"msg.op == 'd' && id > 3\""),
            "key = \"id\"\nbins = [\"id\"]",
        ),
        broken,
        "",
    );
    let two = format!(
        "{ROOT}\n[[route.write]]\nwhen = \"msg.op == 'd'\"\nset = \"a\"\nkey = \"id\"\nbins = [\"id\"]\n\
         [[route.write]]\nset = \"b\"\nkey = \"@offset\"\nbins = {{ p = \"@partition\" }}"
    );
    check(&two, broken, r#"b/"77" p=3"#);
    // Another route takes the same string for what it is.
    let two = format!(
        "{ROOT}\nwhen = \"msg.op == 'd'\"\n[[route.write]]\nset = \"a\"\nkey = \"id\"\nbins = [\"id\"]\n\
         [[route]]\n[[route.write]]\nset = \"b\"\nkey = \"@offset\"\nbins = [\"after.doc\"]"
    );
    check(&two, broken, r#"b/"77" doc='{'"#);
}

#[test]
fn a_text_in_an_element_rejects_if_the_element_is_taken() {
    let route = |when: &str| {
        write(
            "json_strings = [\"@item.d\"]",
            &format!("each = \"l\"\n{when}\nkey = \"{{@index}}\"\nbins = {{ a = \"@item.d.a\" }}"),
        )
    };
    let payload = r#"{"l":[{"d":"{\"a\":1}"},{"k":"note","d":"x"}]}"#;
    check(
        &route(""),
        payload,
        &format!(
            "not_json: the text in the string l[1].d is not JSON: unexpected byte 0x78, at byte 0 of this text{CURE}"
        ),
    );
    check(&route("when = \"!has(item.k)\""), payload, r#"s/"0" a=1"#);
    // The array itself is in a text that is no JSON: it is not an array of none.
    let route = write(
        "json_strings = [\"l\"]",
        "each = \"l\"\nkey = \"{@index}\"\nbins = { a = \"@item.a\" }",
    );
    check(&route, r#"{"l":"[{\"a\":1}]"}"#, r#"s/"0" a=1"#);
    check(
        &route,
        r#"{"l":"["}"#,
        &format!("not_json: the text in the string l is not JSON: unexpected end, at byte 1 of this text{CURE}"),
    );
}

#[test]
fn null_and_missing_stay_what_they_are() {
    let route = write(ROOT, "key = \"@offset\"\nbins = { id = \"id\" }");
    check(&route, r#"{"after":{"doc":null}}"#, "");
    check(&route, r#"{"after":null}"#, "");
    check(&route, r#"{"after":{"doc":"null"}}"#, "");
    check(&route, r#"{"after":{"doc":{"id":3}}}"#, r#"s/"77" id=3"#);
    check(
        &write(ROOT, "key = \"id\"\nbins = { a = \"a\" }"),
        r#"{"after":{"doc":"[1]"}}"#,
        "key_missing: id (line 12) is missing, and so no key: after.doc is an array, not an object",
    );
    // The payload is a string that holds a number.
    check(
        &write("json_strings = [\"@value\"]", "key = \"id\"\nbins = { a = \"a\" }"),
        r#""5""#,
        "key_missing: id (line 12) is missing, and so no key: the payload is a number, not an object",
    );
}

#[test]
fn a_field_that_is_looked_for_in_a_string_is_told_how_to_read_it() {
    let cure = "; cure: json_strings = [\"user\"] in the route";
    let told = outcome_of(
        "",
        &write("", "key = \"user.id\"\nbins = [\"a\"]"),
        None,
        r#"{"user":"{\"id\":1}"}"#.as_bytes(),
    );
    assert!(told.ends_with(cure), "{told}");
    let told = outcome_of(
        "",
        &write("", "key = \"id\"\nbins = [\"a\"]"),
        None,
        r#""{\"id\":1}""#.as_bytes(),
    );
    assert!(
        told.ends_with("; cure: json_strings = [\"@value\"] in the route"),
        "{told}"
    );
    let told = outcome_of(
        "",
        &write("", "key = \"id\"\nbins = [\"a\"]"),
        None,
        r#"{"payload":"{\"id\":1}"}"#.as_bytes(),
    );
    assert!(told.ends_with("; there is payload.id in a string that holds JSON: write root = { path = \"payload\", as = \"json\" } in the route"), "{told}");
}

/// Each cure is tried, too: with it the message makes a row.
#[test]
fn a_cure_for_a_string_that_holds_json_leads_to_a_row() {
    let id = "key = \"id\"\nbins = [\"a\"]";
    let top = "key = \"payload.after.id\"\nbins = { a = \"payload.after.a\" }";
    let doc = "key = \"doc.id\"\nbins = { a = \"doc.a\" }";
    let two = "key = \"a.b.id\"\nbins = { a = \"a.b.a\" }";
    let from_the_top = |strings: &str| {
        format!("json_strings = [{strings}], and no root: its paths then start at the top (payload.after.id)")
    };
    let as_json = |path: &str| format!("root = {{ path = \"{path}\", as = \"json\" }}");
    for (before, rules, payload, told, cured, cured_rules) in [
        // The string is below the root, is the root, and is above it.
        (
            "root = \"after\"".to_owned(),
            doc,
            r#"{"after":{"doc":"{\"id\":1,\"a\":2}"}}"#,
            "after.doc is a string that holds JSON (the producer encoded it twice), not an object; cure: \
             json_strings = [\"doc\"] in the route"
                .to_owned(),
            "root = \"after\"\njson_strings = [\"doc\"]".to_owned(),
            doc,
        ),
        (
            "root = \"payload\"".to_owned(),
            id,
            r#"{"payload":"{\"id\":1,\"a\":2}"}"#,
            format!("; cure: {} in the route", as_json("payload")),
            as_json("payload"),
            id,
        ),
        (
            "root = \"payload.after\"".to_owned(),
            id,
            r#"{"payload":"{\"after\":{\"id\":1,\"a\":2}}"}"#,
            format!("; cure: in the route {}", from_the_top("\"payload\"")),
            "json_strings = [\"payload\"]".to_owned(),
            top,
        ),
        // A string in the text of another one.
        (
            "json_strings = [\"a\"]".to_owned(),
            two,
            r#"{"a":"{\"b\":\"{\\\"id\\\":1,\\\"a\\\":2}\"}"}"#,
            "; cure: json_strings = [\"a.b\"] in the route".to_owned(),
            "json_strings = [\"a\", \"a.b\"]".to_owned(),
            two,
        ),
        // An envelope around the root.
        (
            "root = \"after\"".to_owned(),
            id,
            r#"{"payload":{"after":{"id":1,"a":2}}}"#,
            "there is payload.after.id: write root = \"payload.after\" in the route".to_owned(),
            "root = \"payload.after\"".to_owned(),
            id,
        ),
        (
            as_json("after"),
            id,
            r#"{"payload":{"after":"{\"id\":1,\"a\":2}"}}"#,
            format!(
                "there is payload.after.id: write {} in the route",
                as_json("payload.after")
            ),
            as_json("payload.after"),
            id,
        ),
        (
            as_json(""),
            id,
            r#"{"payload":"{\"id\":1,\"a\":2}"}"#,
            format!("there is payload.id: write {} in the route", as_json("payload")),
            as_json("payload"),
            id,
        ),
        (
            "root = \"after\"".to_owned(),
            id,
            r#"{"payload":"{\"after\":{\"id\":1,\"a\":2}}"}"#,
            format!(
                "there is payload.after.id in a string that holds JSON: write in the route {}",
                from_the_top("\"payload\"")
            ),
            "json_strings = [\"payload\"]".to_owned(),
            top,
        ),
        (
            as_json("after"),
            id,
            r#"{"payload":"{\"after\":\"{\\\"id\\\":1,\\\"a\\\":2}\"}"}"#,
            from_the_top("\"payload\", \"payload.after\""),
            "json_strings = [\"payload\", \"payload.after\"]".to_owned(),
            top,
        ),
    ] {
        let rejection = outcome_of("", &write(&before, rules), None, payload.as_bytes());
        assert!(rejection.ends_with(&told), "{payload}\n{rejection}\n{told}");
        check(&write(&cured, cured_rules), payload, r#"s/"1" a=2"#);
    }
    let key = Some(r#"{"doc":"{\"id\":9}"}"#.as_bytes());
    let of_key = |before: &str| {
        let route = write(before, "key = \"@key.doc.id\"\nbins = [\"a\"]");
        outcome_of("", &route, key, br#"{"a":2}"#)
    };
    let told = of_key("");
    assert!(
        told.ends_with("; cure: json_strings = [\"@key.doc\"] in the route"),
        "{told}"
    );
    assert_eq!(of_key("json_strings = [\"@key.doc\"]"), r#"s/"9" a=2"#);
}

#[test]
fn a_string_in_a_string_in_one_place_is_for_the_producer() {
    let id = "key = \"id\"\nbins = [\"a\"]";
    let more = "is a string that holds a string that holds JSON, not an object; cure: have the producer encode it \
                once; a route reads one string in one place";
    for (before, rules, payload, what) in [
        (
            "root = { path = \"payload\", as = \"json\" }",
            id,
            r#"{"payload":"\"{\\\"id\\\":1}\""}"#,
            "payload",
        ),
        (
            "root = { path = \"\", as = \"json\" }",
            id,
            r#""\"{\\\"id\\\":1}\"""#,
            "the payload",
        ),
        // Not named yet.
        (
            "",
            "key = \"user.id\"\nbins = [\"a\"]",
            r#"{"user":"\"{\\\"id\\\":1}\""}"#,
            "user",
        ),
        ("", id, r#""\"{\\\"id\\\":1}\"""#, "the payload"),
    ] {
        let told = outcome_of("", &write(before, rules), None, payload.as_bytes());
        assert!(told.ends_with(&format!(": {what} {more}")), "{payload}\n{told}");
    }
    // A string in a string that holds no object is a string.
    let told = outcome_of("", &write("", id), None, r#""\"x\"""#.as_bytes());
    assert!(told.ends_with(": the payload is a string, not an object"), "{told}");
}
