//! What the rules of a schema say about payloads: verdicts, places, rules, and nothing of the message.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::SchemaRule;
use crate::config::model::{ByteOrderMark, Documents, Path, PayloadSchema, Segment};
use crate::config::values::json_schema::FOLDER;
use crate::message::{DecodeErrorKind, Reason, Stage};

fn rule_of(main: Json, others: &[(&str, Json)], root: &Path, checks_formats: bool) -> SchemaRule {
    let others = others
        .iter()
        .map(|(name, schema)| (format!("{FOLDER}{name}"), schema.clone()));
    let schema = PayloadSchema {
        line: 7,
        written: "s.json".to_owned(),
        checks_formats,
        documents: Arc::new(Documents {
            base: format!("{FOLDER}s.json"),
            main,
            others: others.collect(),
        }),
    };
    SchemaRule::compile(&schema, root, ByteOrderMark::Skip).unwrap()
}

fn rule(main: Json) -> SchemaRule {
    rule_of(main, &[], &Path::new(), false)
}

/// What is wrong with a message; `None`: nothing.
fn wrong(rule: &SchemaRule, text: &str) -> Option<String> {
    let rejection = rule.check(text.as_bytes()).err()?;
    assert_eq!(rejection.reason, Reason::Schema, "{rejection}");
    let detail = rejection.detail.strip_prefix("payload_schema = \"s.json\" (line 7): ");
    Some(detail.unwrap_or_else(|| panic!("{rejection}")).to_owned())
}

/// A schema, a message, and what is wrong, where the schema's pointer follows the last space.
type Case = (Json, &'static str, &'static str);

fn compare(cases: &[Case]) {
    for (schema, message, expected) in cases {
        let expected = (!expected.is_empty()).then(|| expected.replace(" #", " s.json#"));
        assert_eq!(wrong(&rule(schema.clone()), message), expected, "{schema} {message}");
    }
}

#[test]
fn each_rule_for_values_is_told_with_its_place() {
    compare(&[
        (json!({}), "1", ""),
        (json!(true), "1", ""),
        (json!(false), "1", "the payload is not allowed; rule: false at #"),
        (
            json!({"type": "object"}),
            "[1]",
            "the payload is of type array, not object; rule: type at #/type",
        ),
        (
            json!({"properties": {"a": {"items": {"type": ["integer", "null"]}}}}),
            r#"{"a": [1, null, 2.0, "SECRET"]}"#,
            "/a/3 is of type string, not null or integer; rule: type at #/properties/a/items/type",
        ),
        (
            json!({"enum": ["a", 2, {"x": [1]}]}),
            "3",
            "the payload is none of the values that are allowed; rule: enum at #/enum",
        ),
        (json!({"enum": ["a", 2, {"x": [1]}]}), r#"{"x": [1.0]}"#, ""),
        (
            json!({"const": null}),
            "3",
            "the payload is not the only value that is allowed; rule: const at #/const",
        ),
        (
            json!({"minimum": 5}),
            "3",
            "the payload is less than 5; rule: minimum at #/minimum",
        ),
        (
            json!({"maximum": 2.5}),
            "3",
            "the payload is greater than 2.5; rule: maximum at #/maximum",
        ),
        (
            json!({"exclusiveMinimum": 3}),
            "3",
            "the payload is not greater than 3; rule: exclusiveMinimum at #/exclusiveMinimum",
        ),
        (
            json!({"exclusiveMaximum": 3}),
            "3",
            "the payload is not less than 3; rule: exclusiveMaximum at #/exclusiveMaximum",
        ),
        (json!({"multipleOf": 0.01}), "19.99", ""),
        (
            json!({"multipleOf": 0.01}),
            "0.015",
            "the payload is no multiple of 0.01; rule: multipleOf at #/multipleOf",
        ),
        (json!({"minLength": 2}), "\"äö\"", ""),
        (
            json!({"minLength": 2}),
            "\"ä\"",
            "the payload has fewer than 2 characters; rule: minLength at #/minLength",
        ),
        (
            json!({"maxLength": 2}),
            "\"abc\"",
            "the payload has more than 2 characters; rule: maxLength at #/maxLength",
        ),
        (
            json!({"pattern": "^[a-z]+$"}),
            "\"SECRET\"",
            "the payload does not match the pattern; rule: pattern at #/pattern",
        ),
        // Without payload_schema_formats = "check".
        (json!({"format": "date-time"}), "\"SECRET\"", ""),
    ]);
}

#[test]
fn each_rule_for_arrays_is_told_with_its_place() {
    compare(&[
        (
            json!({"minItems": 2}),
            "[1]",
            "the payload has fewer than 2 elements; rule: minItems at #/minItems",
        ),
        (
            json!({"maxItems": 2}),
            "[1,1,1]",
            "the payload has more than 2 elements; rule: maxItems at #/maxItems",
        ),
        (
            json!({"uniqueItems": true}),
            "[1, 1.0]",
            "the payload has two equal elements; rule: uniqueItems at #/uniqueItems",
        ),
        (
            json!({"contains": {"type": "string"}}),
            "[1, 1.0]",
            "the payload has too few or too many elements of the kind that it must contain; rule: contains at #/contains",
        ),
        (
            json!({"contains": {"type": "string"}, "maxContains": 1}),
            r#"["a", "b"]"#,
            "the payload has too few or too many elements of the kind that it must contain; \
             rule: contains at #/maxContains",
        ),
        (
            json!({"prefixItems": [{"type": "string"}]}),
            "[1]",
            "/0 is of type integer, not string; rule: type at #/prefixItems/0/type",
        ),
        (
            json!({"prefixItems": [{"type": "string"}], "items": false}),
            "[\"a\", 1]",
            "/1 is not allowed; rule: false at #/items",
        ),
        (
            json!({"prefixItems": [{}], "unevaluatedItems": false}),
            r#"["a", "SECRET"]"#,
            "the payload has elements that are not allowed; rule: unevaluatedItems at #/unevaluatedItems",
        ),
    ]);
}

#[test]
fn each_rule_for_objects_is_told_with_its_place() {
    compare(&[
        (
            json!({"required": ["id"]}),
            r#"{"SECRET": 1}"#,
            "the payload has no field \"id\"; rule: required at #/required",
        ),
        (
            json!({"minProperties": 2}),
            r#"{"a": 1}"#,
            "the payload has fewer than 2 fields; rule: minProperties at #/minProperties",
        ),
        (
            json!({"maxProperties": 0}),
            r#"{"a": 1}"#,
            "the payload has more than 0 fields; rule: maxProperties at #/maxProperties",
        ),
        (
            json!({"additionalProperties": false, "properties": {"a": {}}}),
            r#"{"a": 1, "SECRET": 1}"#,
            "the payload has a field that is not allowed; rule: additionalProperties at #/additionalProperties",
        ),
        (
            json!({"properties": {"a": {}}, "unevaluatedProperties": false}),
            r#"{"a": 1, "SECRET": 2}"#,
            "the payload has a field that is not allowed; rule: unevaluatedProperties at #/unevaluatedProperties",
        ),
        (
            json!({"propertyNames": {"maxLength": 3}}),
            r#"{"SECRET": 1}"#,
            "the payload has a field whose name is not allowed; rule: propertyNames at #/propertyNames",
        ),
        (
            json!({"dependentRequired": {"a": ["b"]}}),
            r#"{"a": 1}"#,
            "the payload has no field \"b\"; rule: required at #/dependentRequired/0",
        ),
        (
            json!({"dependentSchemas": {"a": {"required": ["b"]}}}),
            r#"{"a": 1}"#,
            "the payload has no field \"b\"; rule: required at #/dependentSchemas/a/required",
        ),
        (
            json!({"properties": {"a": false}}),
            r#"{"a": 1}"#,
            "/a is not allowed; rule: false at #/properties/a",
        ),
    ]);
}

#[test]
fn each_rule_that_combines_schemas_is_told_with_its_place() {
    let if_then = json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}});
    compare(&[
        (
            json!({"oneOf": [{"type": "string"}, {"type": "null"}]}),
            r#"{"SECRET": 1}"#,
            "the payload satisfies none of the schemas; rule: oneOf at #/oneOf",
        ),
        (
            json!({"oneOf": [{"type": "object"}, {"required": ["a"]}]}),
            r#"{"a": 1}"#,
            "the payload satisfies more than one of the schemas; rule: oneOf at #/oneOf",
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            r#"{"SECRET": 1}"#,
            "the payload satisfies none of the schemas; rule: anyOf at #/anyOf",
        ),
        (
            json!({"allOf": [{"type": "object"}, {"properties": {"a": {"const": 1}}}]}),
            r#"{"a": 2}"#,
            "/a is not the only value that is allowed; rule: const at #/allOf/1/properties/a/const",
        ),
        (
            json!({"not": {"type": "object"}}),
            r#"{"a": 2}"#,
            "the payload satisfies what it must not satisfy; rule: not at #/not",
        ),
        (
            if_then.clone(),
            r#"{"a": 1}"#,
            "the payload has no field \"b\"; rule: required at #/then/required",
        ),
        (
            if_then,
            r#"{"x": 1}"#,
            "the payload has no field \"c\"; rule: required at #/else/required",
        ),
        (
            json!({"$defs": {"n": {"type": "number"}}, "properties": {"a/b~c": {"$ref": "#/$defs/n"}}}),
            r#"{"a/b~c": "SECRET"}"#,
            "/a~1b~0c is of type string, not number; rule: type at #/$defs/n/type",
        ),
    ]);
}

#[test]
fn a_rule_in_another_file_is_told_with_that_file() {
    let main = json!({"properties": {"a": {"$ref": "parts/a.json#/$defs/n"}}});
    let other = json!({"$defs": {"n": {"minimum": 1}}});
    let rule = rule_of(main, &[("parts/a.json", other)], &Path::new(), false);
    let told = wrong(&rule, r#"{"a": 0}"#);
    assert_eq!(
        told.as_deref(),
        Some("/a is less than 1; rule: minimum at parts/a.json#/$defs/n/minimum")
    );
    let named = json!({"$id": "https://example.com/a.json", "properties": {"a": {"type": "null"}}});
    let told = wrong(&self::rule(named), r#"{"a": 0}"#);
    assert_eq!(
        told.as_deref(),
        Some("/a is of type integer, not null; rule: type at https://example.com/a.json#/properties/a/type")
    );
}

#[test]
fn a_place_shows_only_names_of_the_schema() {
    let digits = "4111111111111111";
    for (schema, message, expected) in [
        (
            json!({"additionalProperties": {"type": "string"}}),
            r#"{"SECRET": 1}"#.to_owned(),
            "/*",
        ),
        (
            json!({"patternProperties": {"^S": {"type": "string"}}}),
            r#"{"SECRET": 1}"#.to_owned(),
            "/*",
        ),
        // Digits that are a name, and digits that are the number of an element.
        (
            json!({"additionalProperties": {"type": "string"}}),
            format!("{{\"{digits}\": 1}}"),
            "/*",
        ),
        (json!({"items": {"type": "string"}}), r#"["a", 1]"#.to_owned(), "/1"),
        // A name of the schema, below one of the message.
        (
            json!({"additionalProperties": {"properties": {"a": {"type": "string"}}}}),
            r#"{"SECRET": {"a": 1}}"#.to_owned(),
            "/*/a",
        ),
        (
            json!({"required": ["b"], "additionalProperties": {"type": "string"}}),
            r#"{"b": 1}"#.to_owned(),
            "/b",
        ),
    ] {
        let told = wrong(&rule(schema.clone()), &message).unwrap();
        assert!(
            told.starts_with(&format!("{expected} is of type integer")),
            "{schema}: {told}"
        );
    }
    let long = "n".repeat(500);
    let told = wrong(
        &rule(json!({"properties": {&long: {"type": "null"}}})),
        &format!("{{\"{long}\": 1}}"),
    );
    let told = told.unwrap();
    assert!(told.len() < 520 && told.matches('…').count() == 2, "{told}");
}

#[test]
fn the_schema_is_for_what_is_at_the_root() {
    let root = vec![Segment::Name("payload".into()), Segment::Index(1)];
    let rule = rule_of(json!({"required": ["id"]}), &[], &root, false);
    let told = |text: &str| wrong(&rule, text);
    assert_eq!(told(r#"{"payload": [0, {"id": 1}]}"#), None);
    assert_eq!(
        told(r#"{"payload": [0, {"x": 1}]}"#).as_deref(),
        Some("/payload/1 has no field \"id\"; rule: required at s.json#/required")
    );
    assert_eq!(told(r#"{"payload": [0]}"#).as_deref(), Some("/payload/1 is missing"));
    assert_eq!(told("17").as_deref(), Some("/payload/1 is missing"));
}

#[test]
fn the_schema_is_for_the_json_in_the_string_at_the_root() {
    let root = vec![Segment::Name("payload".into()), Segment::Json];
    let rule = rule_of(json!({"required": ["id"]}), &[], &root, false);
    let told = |text: &str| wrong(&rule, text);
    assert_eq!(told(r#"{"payload": "{\"id\": 1}"}"#), None);
    assert_eq!(
        told(r#"{"payload": "{\"x\": 1}"}"#).as_deref(),
        Some("/payload has no field \"id\"; rule: required at s.json#/required")
    );
    let broken = told(r#"{"payload": "{\"id\": "}"#).unwrap();
    assert!(broken.starts_with("/payload does not hold JSON: "), "{broken}");
}

#[test]
fn formats_are_rules_only_if_they_are_to_be_checked() {
    let schema = json!({"properties": {"at": {"format": "date-time"}}});
    let rule = rule_of(schema, &[], &Path::new(), true);
    assert_eq!(wrong(&rule, r#"{"at": "2026-11-28T12:00:00Z"}"#), None);
    assert_eq!(
        wrong(&rule, r#"{"at": "SECRET"}"#).as_deref(),
        Some("/at is not of the format date-time; rule: format at s.json#/properties/at/format")
    );
}

#[test]
fn the_rejection_has_a_reason_of_its_own() {
    let rejection = rule(json!(false)).check(b"1").unwrap_err();
    assert_eq!(
        (rejection.reason.as_str(), rejection.reason.stage()),
        ("schema", Stage::Judge)
    );
    // What is not JSON is that, whatever the schema says.
    let rejection = rule(json!(true)).check(b"{").unwrap_err();
    assert!(matches!(rejection.reason, Reason::Payload(DecodeErrorKind::NotJson(_))));
}

#[test]
fn numbers_are_compared_as_they_are_written() {
    let long = |fraction: &str| format!("1{}{fraction}", "0".repeat(400));
    for (schema, message, satisfies) in [
        (json!({"maximum": i64::MAX - 1}), "9223372036854775806".to_owned(), true),
        (
            json!({"maximum": i64::MAX - 1}),
            "9223372036854775807".to_owned(),
            false,
        ),
        (
            json!({"maximum": u64::MAX - 1}),
            "18446744073709551614".to_owned(),
            true,
        ),
        (
            json!({"maximum": u64::MAX - 1}),
            "18446744073709551615".to_owned(),
            false,
        ),
        (json!({"maximum": u64::MAX}), "18446744073709551616".to_owned(), false),
        (json!({"minimum": i64::MIN}), "-9223372036854775809".to_owned(), false),
        (json!({"const": u64::MAX}), "18446744073709551615".to_owned(), true),
        (json!({"const": u64::MAX}), "18446744073709551614".to_owned(), false),
        (
            json!({"const": 9_007_199_254_740_993_i64}),
            "9007199254740992".to_owned(),
            false,
        ),
        (
            json!({"const": 9_007_199_254_740_992_i64}),
            "9007199254740992.0".to_owned(),
            true,
        ),
        (json!({"const": 1}), "1e0".to_owned(), true),
        (json!({"const": 0}), "-0.0".to_owned(), true),
        (json!({"const": 0.1}), "0.10".to_owned(), true),
        (json!({"type": "integer"}), "1.0".to_owned(), true),
        (json!({"type": "integer"}), "1e3".to_owned(), true),
        (json!({"type": "integer"}), "1.5".to_owned(), false),
        (json!({"type": "integer"}), "1e400".to_owned(), true),
        (json!({"type": "integer"}), "1.5e400".to_owned(), true),
        (json!({"type": "integer"}), long(""), true),
        (json!({"type": "integer"}), long(".5"), false),
        (json!({"type": "integer"}), long(".50e1"), true),
        (json!({"type": "integer"}), "1.5e99999999999999999999".to_owned(), true),
        (json!({"type": "number"}), "1e400".to_owned(), true),
        (json!({"maximum": 1e300}), "1e400".to_owned(), false),
        (json!({"minimum": 1e300}), "1e400".to_owned(), true),
        (json!({"maximum": 0}), "-1e400".to_owned(), true),
        (json!({"const": 1e300}), "1e400".to_owned(), false),
        (
            json!({"multipleOf": 3}),
            "100000000000000000000000000000002".to_owned(),
            true,
        ),
        (
            json!({"multipleOf": 3}),
            "100000000000000000000000000000001".to_owned(),
            false,
        ),
        (
            json!({"uniqueItems": true}),
            "[18446744073709551617, 18446744073709551618]".to_owned(),
            true,
        ),
        (
            json!({"uniqueItems": true}),
            "[18446744073709551617, 18446744073709551617]".to_owned(),
            false,
        ),
        (
            json!({"uniqueItems": true}),
            "[18446744073709551616, 18446744073709551616.0]".to_owned(),
            false,
        ),
        (
            json!({"uniqueItems": true}),
            "[1e400, 1e401, \"1e400\", 0.5]".to_owned(),
            true,
        ),
        (json!({"uniqueItems": true}), "[1, 1.0]".to_owned(), false),
        (
            json!({"uniqueItems": true}),
            r#"[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]"#.to_owned(),
            false,
        ),
        (
            json!({"uniqueItems": true}),
            r#"[{"a": 1, "b": [2]}, {"b": [2, 3], "a": 1}, [], [null], null, false, true, ""]"#.to_owned(),
            true,
        ),
    ] {
        assert_eq!(
            wrong(&rule(schema.clone()), &message).is_none(),
            satisfies,
            "{schema} {message}"
        );
    }
}

#[test]
fn the_last_of_equal_names_counts() {
    let rule = rule(json!({"maxProperties": 1, "properties": {"a": {"type": "string"}}}));
    assert_eq!(wrong(&rule, r#"{"a": 1, "a": "x"}"#), None);
    assert!(wrong(&rule, r#"{"a": "x", "\u0061": 1}"#).is_some());
}

#[test]
fn a_string_that_is_no_text_satisfies_no_schema() {
    let rule = rule(json!({"properties": {"a": true}}));
    for (text, place) in [
        (r#"{"a": ["\ud800"]}"#, "/a/0"),
        (r#"{"SECRET": "x\udfff"}"#, "/*"),
        (r#"{"SECRET\ud800": 1}"#, "/*"),
    ] {
        let expected = format!(
            "{place} is a string with half of a surrogate pair (\\ud800 to \\udfff alone), which is no text; no schema \
             can describe it"
        );
        assert_eq!(wrong(&rule, text), Some(expected), "{text}");
    }
    assert_eq!(wrong(&rule, r#"{"a": "\ud83d\ude00"}"#), None);
}

fn chain(references: usize) -> Json {
    let mut definitions = serde_json::Map::new();
    for number in 0..references {
        definitions.insert(
            format!("d{number}"),
            json!({"$ref": format!("#/$defs/d{}", number + 1)}),
        );
    }
    let last = json!({"type": ["object", "integer"], "properties": {"a": {"$ref": "#/$defs/d0"}}});
    definitions.insert(format!("d{references}"), last);
    json!({"$defs": definitions, "$ref": "#/$defs/d0"})
}

fn nested(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

#[test]
fn recursion_is_bounded() {
    // As deep as a message can be, by a few references at each level.
    assert_eq!(wrong(&rule(chain(2)), &nested(128)), None);
    // More than the stack of a thread takes.
    let told = wrong(&rule(chain(500)), &nested(128)).unwrap();
    assert_eq!(told, "the payload is too deep, or takes too many steps, to be checked");
    assert_eq!(wrong(&rule(chain(500)), &nested(2)), None);
    // References to themselves say nothing.
    let mutual = json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"});
    for schema in [json!({"$ref": "#"}), mutual] {
        assert_eq!(wrong(&rule(schema), &nested(128)), None);
    }
}

#[test]
fn alternatives_that_multiply_are_bounded() {
    let again = json!({"properties": {"a": {"$ref": "#"}}, "required": ["a"]});
    let rule = rule(json!({"oneOf": [again, again, {"type": "string"}]}));
    let told = wrong(&rule, &nested(127)).unwrap();
    assert_eq!(
        told,
        "the payload does not satisfy it; to find the place takes too many steps"
    );
    // The next message is not concerned.
    assert_eq!(
        wrong(&rule, "\"x\"").as_deref(),
        Some("the payload satisfies more than one of the schemas; rule: oneOf at s.json#/oneOf")
    );
    // Each alternative has an error for each element.
    let rule = self::rule(json!({"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "null"}}]}));
    let told = wrong(&rule, &format!("[{}1]", "1,".repeat(100_000))).unwrap();
    assert_eq!(
        told,
        "the payload does not satisfy it; to find the place takes too many steps"
    );
    let references: serde_json::Map<String, Json> = (0..40)
        .map(|number| {
            let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
            (format!("d{number}"), json!({"allOf": [next, next]}))
        })
        .chain([("d40".to_owned(), json!({"type": "object"}))])
        .collect();
    let rule = self::rule(json!({"$defs": references, "$ref": "#/$defs/d0"}));
    let told = wrong(&rule, "{}").unwrap();
    assert_eq!(told, "the payload is too deep, or takes too many steps, to be checked");
}

#[test]
fn many_members_and_elements_are_no_problem() {
    let members: String = (0..50_000).map(|number| format!("\"n{number}\":{number},")).collect();
    let names: serde_json::Map<String, Json> = (0..100).map(|n| (format!("p{n}"), json!({"type": "null"}))).collect();
    let rule = self::rule(json!({"properties": names, "additionalProperties": {"type": "integer"}}));
    assert_eq!(wrong(&rule, &format!("{{{members}\"p7\":null}}")), None);
    assert_eq!(
        wrong(&rule, &format!("{{{members}\"p7\":1}}")).as_deref(),
        Some("/p7 is of type integer, not null; rule: type at s.json#/properties/p7/type")
    );
    let elements: String = (0..50_000).map(|number| format!("{number},")).collect();
    let unique = self::rule(json!({"uniqueItems": true}));
    assert_eq!(wrong(&unique, &format!("[{elements}-1]")), None);
    assert!(wrong(&unique, &format!("[{elements}7]")).is_some());
}

#[test]
fn a_pattern_takes_linear_time() {
    let rule = rule(json!({"pattern": "^(a+)+$"}));
    assert!(wrong(&rule, &format!("\"{}!\"", "a".repeat(100_000))).is_some());
}

/// A string of which no part may be told.
const MARKER: &str = "mArKeR";

/// Schemas with every kind of rule. The names are those of [`instances`], and others.
fn schemas() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!(false)),
        prop::sample::subsequence(
            vec!["null", "boolean", "integer", "number", "string", "array", "object"],
            1..4
        )
        .prop_map(|types| json!({"type": types})),
        (-3..4_i64).prop_map(|limit| json!({"minimum": limit})),
        (-3..4_i64).prop_map(|limit| json!({"exclusiveMaximum": limit})),
        prop_oneof![Just(json!(2)), Just(json!(0.5)), Just(json!(0.1))].prop_map(|of| json!({"multipleOf": of})),
        (0..4_u64, 0..4_u64).prop_map(|(min, max)| json!({"minLength": min, "maxLength": max})),
        (0..4_u64, 0..4_u64).prop_map(|(min, max)| json!({"minItems": min, "maxItems": max})),
        (0..4_u64, 0..4_u64).prop_map(|(min, max)| json!({"minProperties": min, "maxProperties": max})),
        prop_oneof![Just("^a"), Just("b$"), Just("[0-9]{2}"), Just("^\\p{L}*$")]
            .prop_map(|pattern| json!({"pattern": pattern})),
        Just(json!({"uniqueItems": true})),
        prop::sample::subsequence(vec!["a", "b", "c"], 1..3).prop_map(|names| json!({"required": names})),
        prop::sample::subsequence(vec!["a", "b"], 1..3).prop_map(|names| json!({"dependentRequired": {"c": names}})),
        instances().prop_map(|value| json!({"const": value})),
        prop::collection::vec(instances(), 1..4).prop_map(|values| json!({"enum": values})),
        Just(json!({"$ref": "#"})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| json!({"properties": {"a": a, "b": b}})),
            two.clone()
                .prop_map(|(a, b)| json!({"properties": {"a": a}, "additionalProperties": b})),
            two.clone()
                .prop_map(|(a, b)| json!({"patternProperties": {"^[ab]": a}, "additionalProperties": b})),
            two.clone()
                .prop_map(|(a, b)| json!({"properties": {"a": a}, "unevaluatedProperties": b})),
            two.clone().prop_map(|(a, b)| json!({"prefixItems": [a], "items": b})),
            two.clone()
                .prop_map(|(a, b)| json!({"prefixItems": [a], "unevaluatedItems": b})),
            two.clone().prop_map(|(a, b)| json!({"allOf": [a, b]})),
            two.clone().prop_map(|(a, b)| json!({"anyOf": [a, b]})),
            two.clone().prop_map(|(a, b)| json!({"oneOf": [a, b]})),
            two.prop_map(|(a, b)| json!({"if": a, "then": b})),
            inner.clone().prop_map(|a| json!({"not": a})),
            inner.clone().prop_map(|a| json!({"contains": a, "maxContains": 2})),
            inner.clone().prop_map(|a| json!({"propertyNames": a})),
            inner.prop_map(|a| json!({"dependentSchemas": {"b": a}})),
        ]
    })
}

fn instances() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        (-4..5_i64).prop_map(|number| json!(number)),
        (-8..9_i32).prop_map(|number| json!(f64::from(number) / 2.0)),
        any::<i64>().prop_map(|number| json!(number)),
        (i64::MAX as u64..).prop_map(|number| json!(number)),
        prop_oneof![
            Just("a"),
            Just("ab"),
            Just("äb"),
            Just("😀"),
            Just("42"),
            Just(MARKER),
            Just("")
        ]
        .prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            prop::collection::vec(
                (prop_oneof![Just("a"), Just("b"), Just("c"), Just(MARKER)], inner),
                0..4
            )
            .prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Json::Object(members.collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Ours is the crate's own verdict over serde_json's tree, and no text has anything of the message.
    #[test]
    fn the_verdict_is_that_of_the_crate(schema in schemas(), instance in instances()) {
        let expected = jsonschema::options()
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(&schema)
            .unwrap()
            .is_valid(&instance);
        let rejection = rule(schema.clone()).check(instance.to_string().as_bytes()).err();
        prop_assert_eq!(rejection.is_none(), expected, "{} {} {:?}", schema, instance, rejection);
        if let Some(rejection) = rejection {
            prop_assert!(rejection.detail.contains("; rule: "), "{}", rejection);
            let is_of_schema = schema.to_string().contains(MARKER);
            prop_assert!(is_of_schema || !rejection.detail.contains(MARKER), "{} {} {}", schema, instance, rejection);
        }
    }
}
