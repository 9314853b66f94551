//! What a rejection says besides its reason: what the payload looks like, what was found where a field should be, and
//! the cure.

use super::kept_tests::{outcome, outcome_of};

const WRITE: &str = "[[route.write]]\nset = \"s\"\nkey = \"user.id\"\nbins = \"*\"\n";

const JSON: &[u8] = br#"{"user":{"id":"u1"},"n":1}"#;

#[track_caller]
fn check(kafka: &str, payload: &[u8], expected: &str) {
    let told = outcome(kafka, WRITE, payload);
    assert!(told.ends_with(expected), "{payload:02x?}\n  {told}\n  {expected}");
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn utf16(big_endian: bool, mark: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(JSON).into_owned();
    let mark = mark.then_some(0xfeff);
    let units = mark.into_iter().chain(text.encode_utf16());
    units
        .flat_map(|unit| {
            if big_endian {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        })
        .collect()
}

#[test]
fn a_payload_that_is_no_json_says_what_it_looks_like_and_what_would_do() {
    let behind = |prefix: &[u8]| concat(&[prefix, JSON]);
    let compressed =
        "have the producer send the JSON itself; what its compression.type does is undone before it is read";
    let utf8 = "JSON in Kafka is UTF-8: have the producer send it so";
    let plain = "have the producer send plain JSON";
    for (payload, what, cure) in [
        (
            behind(&[0, 0, 0, 0, 7]),
            "JSON behind the 5 bytes of a schema registry",
            "set kafka.format = \"json_sr\"",
        ),
        (
            behind(&[0, 0xff, 0, 1, 0]),
            "JSON behind the 5 bytes of a schema registry",
            "set kafka.format = \"json_sr\"",
        ),
        (
            behind(b"\0\0\0\0\x07\xef\xbb\xbf "),
            "JSON behind the 5 bytes of a schema registry",
            "set kafka.format = \"json_sr\"",
        ),
        (
            b"\0\0\0\0\x07[1,2]".to_vec(),
            "JSON behind the 5 bytes of a schema registry",
            "set kafka.format = \"json_sr\"",
        ),
        (
            behind(&[0, 0, 0, 0, 0, 0, 0, 0, 7]),
            "JSON behind a zero byte and an 8-byte schema id (Apicurio)",
            "have its serializer write ids of 4 bytes, and set kafka.format = \"json_sr\"",
        ),
        (
            b"\0\0\0\0\x07\x06foo\x02".to_vec(),
            "Avro or Protobuf behind the 5 bytes of a schema registry",
            "have the producer use the registry's JSON Schema serializer, and set kafka.format = \"json_sr\"",
        ),
        (
            behind(&[&[3, 0][..], &[9; 16]].concat()),
            "a message with the 18 bytes of the AWS Glue Schema Registry in front",
            plain,
        ),
        (utf16(false, false), "UTF-16", utf8),
        (utf16(true, false), "UTF-16", utf8),
        (utf16(false, true), "UTF-16", utf8),
        (utf16(true, true), "UTF-16", utf8),
        (b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "gzip", compressed),
        (b"\x28\xb5\x2f\xfd\x04".to_vec(), "zstd", compressed),
        (b"\x04\x22\x4d\x18\x40".to_vec(), "an lz4 frame", compressed),
        (b"\xff\x06\0\0sNaPpY\0".to_vec(), "a snappy stream", compressed),
        (b"\x82SNAPPY\0\0\0\0\x01".to_vec(), "a snappy stream", compressed),
        (concat(&[&[26, 25 << 2], JSON]), "snappy", compressed),
        (
            concat(&[&[0xc8, 1, 0xf0, 199], JSON, &[b'x'; 174]]),
            "snappy",
            compressed,
        ),
        (b"\x78\x9c\xab\x56".to_vec(), "zlib", compressed),
        (b"Obj\x01\x04\x14".to_vec(), "an Avro container file", plain),
        (b"\xc3\x01\x11\x22".to_vec(), "Avro (a single object)", plain),
        (b"\x82\xa2id\xa1b\xa1n\x01".to_vec(), "MessagePack", plain),
        (b"\xa2\x62id\x61b\x61n\x01".to_vec(), "CBOR", plain),
        (b"\xbf\x62id\x61b\xff".to_vec(), "CBOR", plain),
        (b"\x0e\0\0\0\x02a\0\x02\0\0\0b\0\0".to_vec(), "BSON", plain),
        (b"\xac\xed\0\x05t".to_vec(), "a serialized Java object", plain),
        (b"<a/>".to_vec(), "XML or HTML", plain),
        (
            b"eyJpZCI6MX0=".to_vec(),
            "base64 of a JSON object",
            "have the producer send the JSON itself",
        ),
        (
            b"{'id': 1}".to_vec(),
            "an object in single quotes, as Python prints it",
            "have the producer write JSON, e.g. with json.dumps",
        ),
        (
            br#"{"id": "a", "b": None}"#.to_vec(),
            "an object as Python prints it",
            "have the producer write JSON, e.g. with json.dumps",
        ),
        (
            br#"{"id": "a", "b": NaN}"#.to_vec(),
            "NaN or Infinity, which JSON has not",
            "have the producer write null (in Python: allow_nan=False)",
        ),
        (
            br#"{"id": "a", "b": -Infinity}"#.to_vec(),
            "NaN or Infinity, which JSON has not",
            "have the producer write null (in Python: allow_nan=False)",
        ),
        (
            br#"{"id": "a", "b": nan}"#.to_vec(),
            "NaN or Infinity, which JSON has not",
            "have the producer write null (in Python: allow_nan=False)",
        ),
        (
            b"{\"id\": \"M\xfcller\"}".to_vec(),
            "JSON in another encoding, such as ISO-8859-1",
            "have the producer write UTF-8",
        ),
        (
            concat(&[JSON, b"\n", JSON]),
            "several JSON values in one message",
            "have the producer send a message for each",
        ),
        (
            concat(&[JSON, b"\0"]),
            "a text with a zero byte behind it",
            "have the producer send the text alone",
        ),
        (
            concat(&[b"\0", JSON]),
            "JSON behind a zero byte",
            "have the producer send the text alone",
        ),
        (
            concat(&[&[0, 0, 0, 26], JSON]),
            "JSON behind its length in 4 bytes",
            "have the producer send the text alone",
        ),
        (
            b"{\"id\":\"a\", }".to_vec(),
            "JSON with a comma behind the last element",
            "have the producer leave that comma out",
        ),
        (
            b"{\"id\":[1,\n]}".to_vec(),
            "JSON with a comma behind the last element",
            "have the producer leave that comma out",
        ),
        (
            b"{\"id\":1, // one\n\"n\":2}".to_vec(),
            "JSON with a comment, which JSON has not",
            "have the producer leave comments out",
        ),
        (
            concat(&[b"/* a */", JSON]),
            "JSON with a comment, which JSON has not",
            "have the producer leave comments out",
        ),
        (
            concat(&[JSON, b" // a"]),
            "JSON with a comment, which JSON has not",
            "have the producer leave comments out",
        ),
        (
            b"[{\"id\":\"a\"},".to_vec(),
            "JSON that is cut off",
            "see what cuts long messages, at the producer or on the way",
        ),
        (
            b"{\"id\":\"M\xc3".to_vec(),
            "JSON that is cut off",
            "see what cuts long messages, at the producer or on the way",
        ),
        (
            b"{id:\"a\"}".to_vec(),
            "an object whose names have no quotes, as JavaScript writes it",
            "have the producer write JSON, e.g. with JSON.stringify",
        ),
        (
            b"{\"a\":1, nan_count : 2}".to_vec(),
            "an object whose names have no quotes, as JavaScript writes it",
            "have the producer write JSON, e.g. with JSON.stringify",
        ),
        (
            b"{id=a, n=1}".to_vec(),
            "an object as Java prints it",
            "have the producer write JSON, in Kafka Connect with the JsonConverter",
        ),
        (
            b"Struct{id=a}".to_vec(),
            "an object as Java prints it",
            "have the producer write JSON, in Kafka Connect with the JsonConverter",
        ),
        (
            concat(&[b"\xef\xbb\xbf\xef\xbb\xbf", JSON]),
            "a text with two byte order marks in front",
            "have the producer write none",
        ),
        (
            b"\xef\xbb\xbf".to_vec(),
            "a byte order mark with nothing behind it",
            "have the producer send JSON, or no payload for a tombstone",
        ),
        (
            b" \n".to_vec(),
            "white space alone",
            "have the producer send JSON, or no payload for a tombstone",
        ),
    ] {
        check("", &payload, &format!("; it looks like {what}: {cure}"));
    }
    // A payload that looks like nothing known only gets the position of the fault.
    for (payload, expected) in [
        (
            &b"{\"id\": }"[..],
            "not_json: the payload is not JSON: unexpected byte 0x7d, at byte 7",
        ),
        (
            b"\0",
            "not_json: the payload is not JSON: unexpected byte 0x00, at byte 0",
        ),
        (
            b"\0\0\0\0",
            "not_json: the payload is not JSON: unexpected byte 0x00, at byte 0",
        ),
        (
            b"hello",
            "not_json: the payload is not JSON: unexpected byte 0x68, at byte 0",
        ),
        (
            b"{\"id\":\"a\"",
            "not_json: the payload is not JSON: unexpected end, at byte 9; it looks like JSON that is cut off: see what cuts long messages, at the producer or on the way",
        ),
        (b"nul", "not_json: the payload is not JSON: unexpected end, at byte 3"),
    ] {
        assert_eq!(outcome("", WRITE, payload), expected);
    }
}

#[test]
fn a_registry_prefix_that_is_not_there_or_has_no_json_behind_it_says_so() {
    let registry = "format = \"json_sr\"";
    check(
        registry,
        JSON,
        "no_registry_prefix: kafka.format is json_sr, but the payload does not begin with a zero byte and a schema id of 4 bytes: it begins with 0x7b; it looks like plain JSON: set kafka.format = \"json\"",
    );
    check(registry, b"\0\0\x07", "a schema id of 4 bytes: it has 3 bytes");
    check(registry, b"", "a schema id of 4 bytes: it is empty");
    check(
        registry,
        b"\x1f\x8b\x08\0",
        "it begins with 0x1f; it looks like gzip: have the producer send the JSON itself; what its compression.type does is undone before it is read",
    );
    check(
        registry,
        b"Obj\x01\x04",
        "; it looks like an Avro container file: have the producer send plain JSON",
    );
    check(
        registry,
        b"\0\0\0\0\x07\x06foo\x02",
        "not_json: the payload is not JSON: unexpected byte 0x06, at byte 5; it looks like Avro or Protobuf behind the schema id: have the producer use the registry's JSON Schema serializer",
    );
    check(
        registry,
        b"\0\0\0\0\x07\x1f\x8b\x08\0",
        "; it looks like gzip: have the producer send the JSON itself; what its compression.type does is undone before it is read",
    );
    check(
        registry,
        &concat(&[&[0; 9], JSON]),
        "; it looks like JSON behind a zero byte and an 8-byte schema id (Apicurio): have its serializer write ids of 4 bytes",
    );
    check(
        registry,
        b"\0\0\0\0\x07{\"id\":}",
        "not_json: the payload is not JSON: unexpected byte 0x7d, at byte 11",
    );
    check(
        registry,
        b"\0\0\0\0\x07",
        "empty_payload: the payload is empty, at byte 5",
    );
}

#[test]
fn a_byte_order_mark_is_read_past_or_refused_as_the_file_says() {
    let marked = concat(&[b"\xef\xbb\xbf", JSON]);
    let row = "s/\"u1\" user={id:'u1'} n=1";
    let reject = "byte_order_mark = \"reject\"";
    let refused = "not_json: the payload is not JSON: unexpected byte 0xef, at byte 0; it begins with a byte order mark, which kafka.byte_order_mark = \"reject\" refuses";
    assert_eq!(outcome("", WRITE, &marked), row);
    assert_eq!(outcome("byte_order_mark = \"skip\"", WRITE, &marked), row);
    assert_eq!(outcome(reject, WRITE, JSON), row);
    assert_eq!(outcome(reject, WRITE, &marked), refused);
    let behind = concat(&[b"\0\0\0\0\x07", &marked]);
    assert_eq!(outcome("format = \"json_sr\"", WRITE, &behind), row);
    let refused = refused.replace("at byte 0", "at byte 5");
    assert_eq!(
        outcome("format = \"json_sr\"\nbyte_order_mark = \"reject\"", WRITE, &behind),
        refused
    );
}

#[test]
fn a_payload_that_is_no_object_says_what_it_is() {
    for (payload, what) in [
        (
            r#""{\"user\":{\"id\":\"a\"}}""#,
            "a string that holds JSON (the producer encoded it twice)",
        ),
        (
            "\u{feff}\"[1]\"",
            "a string that holds JSON (the producer encoded it twice)",
        ),
        (r#""hello""#, "a string"),
        (r#""{ no json""#, "a string"),
        (r#"[{"user":{"id":"a"}}]"#, "an array"),
        ("17", "a number"),
        ("-1.5", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
    ] {
        let cure = match what.contains("holds JSON") {
            true => "; cure: json_strings = [\"@value\"] in the route",
            false => "",
        };
        let expected = format!(
            "key_missing: user.id (line 11) is missing, and so no key: the payload is {what}, not an object{cure}"
        );
        assert_eq!(outcome("", WRITE, payload.as_bytes()), expected, "{payload}");
        // A condition that reads a field, and bins from all fields.
        let when = "[[route.write]]\nset = \"s\"\nkey = \"@key\"\nwhen = \"n == 1\"\nbins = { b = 1 }\n";
        let expected = format!(
            "condition_error: when \"n == 1\" (line 12) cannot be computed: no such field: n; the payload is {what}, not an object"
        );
        assert_eq!(outcome("", when, payload.as_bytes()), expected, "{payload}");
        if payload != "null" {
            let all = "[[route.write]]\nset = \"s\"\nkey = \"@key\"\nbins = \"*\"\n";
            let expected = format!("field_type: bins = \"*\" (line 12): the payload is {what}, not an object");
            assert_eq!(outcome("", all, payload.as_bytes()), expected, "{payload}");
        }
    }
    // A configuration that reads an array does not expect an object.
    let array = "[[route.write]]\nset = \"s\"\nkey = \"[0].id\"\nbins = { b = 1 }\n";
    assert_eq!(outcome("", array, b"[{\"id\":\"a\"}]"), "s/\"a\" b=1");
    assert_eq!(
        outcome("", array, b"[{}]"),
        "key_missing: [0].id (line 11) is missing, and so no key"
    );
    assert_eq!(
        outcome("", array, b"{\"id\":1}"),
        "key_missing: [0].id (line 11) is missing, and so no key: the payload is an object, not an array"
    );
}

#[test]
fn a_field_that_is_missing_says_where_it_is_in_an_envelope() {
    let no = "key_missing: user.id (line 11) is missing, and so no key";
    for (payload, expected) in [
        (
            r#"{"schema":{"type":"struct"},"payload":{"user":{"id":"a"}}}"#,
            ": there is no user; there is payload.user.id: write that path, or root = \"payload\" in the route",
        ),
        (
            r#"{"user":{},"after":{"user":{"id":"a"}},"before":null}"#,
            "; there is after.user.id: write that path, or root = \"after\" in the route",
        ),
        (r#"{"payload":{"user":{}}}"#, ": there is no user"),
        (
            r#"{"payload":"{\"user\":{\"id\":\"a\"}}"}"#,
            ": there is no user; there is payload.user.id in a string that holds JSON: write root = { path = \"payload\", \
             as = \"json\" } in the route",
        ),
        (r#"{"other":{"user":{"id":"a"}}}"#, ": there is no user"),
    ] {
        assert_eq!(
            outcome("", WRITE, payload.as_bytes()),
            format!("{no}{expected}"),
            "{payload}"
        );
    }
}

#[test]
fn a_field_that_is_missing_says_what_stands_in_front_of_it() {
    for (payload, expected) in [
        (r#"{"n":1}"#, "is missing, and so no key: there is no user"),
        (r#"{"user":{}}"#, "is missing, and so no key"),
        (
            r#"{"user":null}"#,
            "is missing, and so no key: user is null, not an object",
        ),
        (
            r#"{"user":"{\"id\":1}"}"#,
            "is missing, and so no key: user is a string that holds JSON (the producer encoded it twice), not an object; cure: json_strings = [\"user\"] in the route",
        ),
        (
            r#"{"user":["secret"]}"#,
            "is missing, and so no key: user is an array, not an object",
        ),
    ] {
        assert_eq!(
            outcome("", WRITE, payload.as_bytes()),
            format!("key_missing: user.id (line 11) {expected}")
        );
    }
    let each = "[[route.write]]\nset = \"s\"\nkey = \"{@index}\"\neach = \"order.items\"\nbins = { b = 1 }\n";
    assert_eq!(
        outcome("", each, br#"{"order":"x"}"#),
        "field_missing: each = \"order.items\" (line 9): no such field: order is a string, not an object"
    );
    assert_eq!(
        outcome("", each, b"\"x\""),
        "field_missing: each = \"order.items\" (line 9): no such field: the payload is a string, not an object"
    );
}

#[test]
fn a_name_that_is_too_long_for_a_bin_is_told_with_its_field_the_line_and_the_cure() {
    let field = "abcdefghijklmnop";
    let payload =
        format!(r#"{{"id":"a","{field}":1,"after":{{"{field}":1}},"items":[{{"x":1}},{{"{field}":1}}],"":1}}"#);
    let cure = format!(
        "has a name of 16 bytes, and a bin's has at most 15; cure: rename = {{ {field} = \"…\" }}, or long_names = \"skip\""
    );
    for (rules, expected) in [
        ("bins = \"*\"", format!("bins = \"*\" (line 12): the field {field} {cure}")),
        ("bins = \"after.*\"", format!("bins = \"after.*\" (line 12): the field after.{field} {cure}")),
        ("each = \"items\"\nbins = { path = \"@item.*\", except = [\"y\"] }", format!("bins = \"@item.*\" (line 13): the field items[1].{field} {cure}")),
        (
            &format!("bins = {{ path = \"*\", rename = {{ {field} = \"short\" }}, except = [\"after\", \"items\"] }}"),
            "bins = \"*\" (line 12): the field \"\" has an empty name, which no bin can have; cure: rename = { \"\" = \"…\" }, or long_names = \"skip\"".to_owned(),
        ),
    ] {
        let write = format!("[[route.write]]\nset = \"s\"\nkey = \"id\"\n{rules}\n");
        assert_eq!(outcome("", &write, payload.as_bytes()), format!("bin_name: {expected}"));
    }
    // Below the route's root the file still says "*".
    let route = "root = \"after\"\n[[route.write]]\nset = \"s\"\nkey = \"@key\"\nbins = \"*\"\n";
    assert_eq!(
        outcome("", route, payload.as_bytes()),
        format!("bin_name: bins = \"*\" (line 13): the field after.{field} {cure}")
    );
}

#[test]
fn a_key_that_is_no_object_or_no_json_says_what_it_is() {
    let route = "[[route.write]]\nset = \"s\"\nkey = \"@key.id\"\nbins = { b = 1 }\n";
    let no = "key_missing: @key.id (line 11) is missing, and so no key";
    let cases: [(Option<&[u8]>, String); 6] = [
        (None, format!("{no}: the message has no key")),
        (
            Some(b"\"k\""),
            format!("{no}: the message's key is a string, not an object"),
        ),
        (
            Some(b"[1]"),
            format!("{no}: the message's key is an array, not an object"),
        ),
        (Some(b"{}"), no.to_owned()),
        (
            Some(b""),
            "key_not_json: the message key is read as JSON: it is empty, at byte 0".to_owned(),
        ),
        (
            Some(b"k1"),
            "key_not_json: the message key is read as JSON: it is not JSON: unexpected byte 0x6b, at byte 0".to_owned(),
        ),
    ];
    for (key, expected) in cases {
        assert_eq!(outcome_of("", route, key, JSON), expected, "{key:?}");
    }
    for (key, looks) in [
        (
            &b"\0\0\0\0\x05\x02a\x02\x04"[..],
            "Avro or Protobuf behind the 5 bytes of a schema registry",
        ),
        (
            b"\0\0\0\0\0\0\0\x05",
            "a number of 8 bytes, or Avro or Protobuf behind the 5 bytes of a schema registry",
        ),
        (b"\0\0\0\x05", "a number of 4 bytes"),
        (
            b"\0\0\0\0\0\0\0\0\x05{\"id\":1}",
            "JSON behind a zero byte and an 8-byte schema id (Apicurio)",
        ),
    ] {
        let told = outcome_of("", route, Some(key), JSON);
        let expected = format!("; it looks like {looks}: have the producer write the key as plain JSON");
        assert!(told.ends_with(&expected), "{told}\n{expected}");
        assert!(!told.contains("payload"), "{told}");
    }
    let deep = route.replace("@key.id", "@key.user.id");
    assert_eq!(
        outcome_of("", &deep, Some(br#"{"user":5}"#.as_slice()), JSON),
        "key_missing: @key.user.id (line 11) is missing, and so no key: @key.user is a number, not an object"
    );
    let whole = route.replace("@key.id", "@key");
    assert_eq!(
        outcome_of("", &whole, None, JSON),
        "key_missing: @key (line 11) is missing, and so no key: the message has no key"
    );
}

#[test]
fn a_name_that_is_not_allowed_is_told_as_set_or_namespace_with_its_line() {
    let route = |names: &str| format!("[[route.write]]\n{names}\nkey = \"user.id\"\nbins = {{ b = 1 }}\n");
    assert_eq!(
        outcome("", &route("set = \"s_{n}\"\nsets_allowed = [\"s_2\"]"), JSON),
        "name_not_allowed: set = \"s_{n}\" (line 10): the set that the message names is not among sets_allowed; cure: add it there"
    );
    assert_eq!(
        outcome(
            "",
            &route("namespace = \"n_{n}\"\nnamespaces_allowed = [\"n_2\"]\nset = \"s\""),
            JSON
        ),
        "name_not_allowed: namespace = \"n_{n}\" (line 10): the namespace that the message names is not among namespaces_allowed; cure: add it there"
    );
}
