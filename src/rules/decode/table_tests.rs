//! Tables of what decode keeps and refuses: (payload, path, expected).

use std::borrow::Cow;

use crate::config::model::Segment;
use crate::message::Syntax;
use crate::output::value::{Unheld, Value};
use crate::rules::decode::*;

/// `a.b[0].c` as segments. Supports no quoting.
fn path(written: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    for part in written.split(['.', '[']).filter(|part| !part.is_empty()) {
        segments.push(match part.strip_suffix(']') {
            Some(index) => Segment::Index(index.parse().unwrap()),
            None => Segment::Name(part.to_owned()),
        });
    }
    segments
}

/// The values of all `paths`, asked for in one tree.
fn values<'m>(payload: &'m str, paths: &[&str]) -> Result<Vec<Option<Value<'m>>>, DecodeError> {
    let mut builder = PathTreeBuilder::new();
    let slots: Vec<SlotId> = paths.iter().map(|written| builder.slot(&path(written))).collect();
    let fields = decode(&builder.build(), payload.as_bytes())?;
    Ok(slots.iter().map(|slot| fields.get(*slot).cloned()).collect())
}

#[track_caller]
fn check(payload: &str, written: &str, expected: Option<Value<'_>>) {
    assert_eq!(
        values(payload, &[written]),
        Ok(vec![expected]),
        "{written:?} of {payload}"
    );
}

#[track_caller]
fn check_error(payload: &str, paths: &[&str], kind: DecodeErrorKind, at: usize) {
    assert_eq!(
        values(payload, paths),
        Err(DecodeError { kind, at }),
        "{paths:?} of {payload}"
    );
}

fn text(text: &str) -> Value<'_> {
    Value::Str(Cow::Borrowed(text))
}

fn map<'m>(members: &[(&'m str, Value<'m>)]) -> Value<'m> {
    Value::Map(
        members
            .iter()
            .map(|(name, value)| (Cow::Borrowed(*name), value.clone()))
            .collect(),
    )
}

#[test]
fn each_json_type_becomes_its_value() {
    check(r#"{"a":"x"}"#, "a", Some(text("x")));
    check(r#"{"a":""}"#, "a", Some(text("")));
    check(r#"{"a":-17}"#, "a", Some(Value::Int(-17)));
    check(r#"{"a":1.5}"#, "a", Some(Value::Float(1.5)));
    check(r#"{"a":true}"#, "a", Some(Value::Bool(true)));
    check(r#"{"a":false}"#, "a", Some(Value::Bool(false)));
    check(r#"{"a":null}"#, "a", Some(Value::Null));
    check(
        r#"{"a":[1,"x",null]}"#,
        "a",
        Some(Value::List(vec![Value::Int(1), text("x"), Value::Null])),
    );
    check(r#"{"a":[]}"#, "a", Some(Value::List(vec![])));
    check(r#"{"a":{}}"#, "a", Some(Value::Map(vec![])));
    check(
        r#"{"a":{"y":{"z":[2]},"b":false}}"#,
        "a",
        Some(map(&[
            ("y", map(&[("z", Value::List(vec![Value::Int(2)]))])),
            ("b", Value::Bool(false)),
        ])),
    );
}

#[test]
fn any_value_may_stand_at_the_top() {
    check("12", "", Some(Value::Int(12)));
    check(" \"x\"\n", "", Some(text("x")));
    check("\t[true]\r\n", "", Some(Value::List(vec![Value::Bool(true)])));
    check("null", "", Some(Value::Null));
    check("12", "a", None);
    check("[{\"a\":1}]", "[0].a", Some(Value::Int(1)));
}

#[test]
fn a_path_that_meets_another_type_is_missing() {
    for payload in [
        r#"{"a":1}"#,
        r#"{"a":"b"}"#,
        r#"{"a":null}"#,
        r#"{"a":[{"b":1}]}"#,
        r#"{"a":{}}"#,
        "[]",
    ] {
        check(payload, "a.b", None);
    }
    check(r#"{"a":{"0":1}}"#, "a[0]", None);
    check(r#"{"a":[1,2]}"#, "a[2]", None);
    check(r#"{"a":[]}"#, "a[0]", None);
    check(r#"{"a":[1,[2,3]]}"#, "a[1][1]", Some(Value::Int(3)));
}

/// An integer that no bin can hold, as it is written.
fn big(text: &str) -> Value<'_> {
    unheld(Unheld::Integer, text)
}

fn unheld(what: Unheld, text: &str) -> Value<'_> {
    Value::Unheld {
        what,
        text: Cow::Borrowed(text),
    }
}

#[track_caller]
fn check_has_unheld(payload: &str, paths: &[&str], expected: bool) {
    let mut builder = PathTreeBuilder::new();
    for each in paths {
        builder.slot(&path(each));
    }
    let fields = decode(&builder.build(), payload.as_bytes()).unwrap();
    assert_eq!(fields.has_unheld(), expected, "{payload} {paths:?}");
}

#[test]
fn integers_keep_their_text_beyond_64_bits() {
    check("{\"a\":9223372036854775807}", "a", Some(Value::Int(i64::MAX)));
    check("{\"a\":-9223372036854775808}", "a", Some(Value::Int(i64::MIN)));
    check("{\"a\":9223372036854775808}", "a", Some(big("9223372036854775808")));
    check("{\"a\":-9223372036854775809}", "a", Some(big("-9223372036854775809")));
    check(
        "{\"a\":123456789012345678901234567890}",
        "a",
        Some(big("123456789012345678901234567890")),
    );
    check("[9223372036854775808]", "[0]", Some(big("9223372036854775808")));
}

#[test]
fn integers_beyond_64_bits_are_kept_as_they_are_written_at_any_depth() {
    let digits = "9223372036854775808";
    check(
        "{\"a\":[9223372036854775808]}",
        "a",
        Some(Value::List(vec![big(digits)])),
    );
    check(
        "{\"a\":{\"b\":9223372036854775808}}",
        "a",
        Some(map(&[("b", big(digits))])),
    );
    check(
        "{\"a\":{\"b\":9223372036854775808}}",
        "",
        Some(map(&[("a", map(&[("b", big(digits))]))])),
    );
    // Asked for as part of the whole and by itself: the same value.
    let values = values("{\"a\":9223372036854775808}", &["", "a"]).unwrap();
    assert_eq!(values, [Some(map(&[("a", big(digits))])), Some(big(digits))]);
}

#[test]
fn what_no_record_can_hold_is_told_only_if_something_asked_for_it() {
    for number in [
        "9223372036854775808",
        "-9223372036854775809",
        "1e309",
        "-1e999",
        "\"\\ud800\"",
    ] {
        for value in [number.to_owned(), format!("[{number}]"), format!("{{\"x\":{number}}}")] {
            let payload = format!("{{\"a\":{value},\"b\":1}}");
            check_has_unheld(&payload, &["a"], true);
            check_has_unheld(&payload, &[""], true);
            check_has_unheld(&payload, &["b", "a.y", "a[1]"], false);
            check(&payload, "b", Some(Value::Int(1)));
        }
    }
    check_has_unheld(
        "{\"a\":[1,-9223372036854775808,1e308,\"\\ud83d\\ude00\"]}",
        &[""],
        false,
    );
    // The last of two equal names counts. `has_unheld` may still be true because of the first.
    check("{\"a\":1e999,\"a\":2}", "", Some(map(&[("a", Value::Int(2))])));
    check("{\"a\":1e999,\"a\":2}", "a", Some(Value::Int(2)));
}

#[test]
fn minus_zero_is_an_integer_unless_written_as_a_float() {
    check("-0", "", Some(Value::Int(0)));
    let Ok(values) = values("-0.0", &[""]) else { panic!() };
    let Some(Value::Float(float)) = values[0] else { panic!() };
    assert!(float == 0.0 && float.is_sign_negative());
}

#[test]
fn floats_are_rounded_correctly() {
    for (written, float) in [
        ("0.1", 0.1),
        ("1e5", 1e5),
        ("1E+5", 1e5),
        ("-12.5e-3", -0.0125),
        ("1e-400", 0.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
        ("9007199254740993.0", 9007199254740992.0),
        ("0.30000000000000004", 0.1 + 0.2),
        ("1448997445238699.0", 1448997445238699.0),
        ("2.2250738585072011e-308", 2.225_073_858_507_201e-308),
    ] {
        check(written, "", Some(Value::Float(float)));
    }
}

#[test]
fn floats_beyond_64_bits_are_kept_as_they_are_written() {
    let float = |text| unheld(Unheld::Float, text);
    check("{\"a\":1e309}", "a", Some(float("1e309")));
    check("{\"a\":[-1e309]}", "a", Some(Value::List(vec![float("-1e309")])));
    check(
        "{\"a\":{\"b\":1e99999999999999999999}}",
        "a.b",
        Some(float("1e99999999999999999999")),
    );
}

#[test]
fn a_string_without_escapes_is_borrowed_and_one_with_escapes_is_owned() {
    for (payload, borrowed) in [
        (r#"["plain, and longer than eight bytes, grüße 日本 😀"]"#, true),
        (r#"["a\nb"]"#, false),
        (r#"["\u0041"]"#, false),
    ] {
        let values = values(payload, &["[0]"]).unwrap();
        let Some(Value::Str(string)) = &values[0] else { panic!() };
        assert_eq!(matches!(string, Cow::Borrowed(_)), borrowed, "{payload}");
    }
}

#[test]
fn escapes_become_what_they_stand_for() {
    check(r#""\"\\\/\b\f\n\r\t""#, "", Some(text("\"\\/\u{8}\u{c}\n\r\t")));
    check(r#""\u0000x\u00e4\u20AC\uD83D\ude00.""#, "", Some(text("\0xä€😀.")));
    check(r#""ä\u00e4ä\\""#, "", Some(text("ää\u{e4}\\")));
    check(r#""\ud7ff\ue000\uffff""#, "", Some(text("\u{d7ff}\u{e000}\u{ffff}")));
    // At every position relative to the chunks in which strings are scanned.
    for before in 0..20 {
        let plain = "x".repeat(before);
        check(
            &format!("\"{plain}\\n{plain}\""),
            "",
            Some(text(&format!("{plain}\n{plain}"))),
        );
        check(&format!("\"{plain}\""), "", Some(text(&plain)));
    }
}

#[test]
fn half_a_surrogate_pair_is_kept_as_it_is_written() {
    for lone in [
        r"\ud800",
        r"\udc00",
        r"\ud800x",
        r"\ud800\n",
        r"\ud800\ud800",
        r"\udfff\ud800",
        r"\ud83dx\ude00",
        // The second half begins a pair.
        r"\ud83d\ud83d\ude00",
    ] {
        let payload = format!("{{\"a\":\"{lone}\",\"{lone}\":1,\"b\":2}}");
        let half = unheld(Unheld::HalfPair, lone);
        check(&payload, "a", Some(half.clone()));
        check(&payload, "b", Some(Value::Int(2)));
        // A name that is not text turns its value into one that cannot be kept, and no path matches it.
        let members = [("a", half.clone()), (lone, half), ("b", Value::Int(2))];
        check(&payload, "", Some(map(&members)));
        check_has_unheld(&payload, &["b"], false);
    }
    // The text after the first half must still be valid JSON.
    for (cut, at) in [(r"\ud800\u", 14), (r"\ud800\u12", 16), (r"\ud800\x", 13)] {
        let payload = format!("{{\"a\":\"{cut}\"}}");
        for paths in [&[][..], &["a"], &[""]] {
            check_error(&payload, paths, DecodeErrorKind::NotJson(Syntax::BadEscape), at);
        }
    }
}

#[test]
fn a_byte_order_mark_is_read_past_unless_the_tree_refuses_it() {
    let payload = "\u{feff} {\"a\":1}".as_bytes();
    let tree = |refuses: bool| {
        let mut builder = PathTreeBuilder::new();
        let slot = builder.slot(&path("a"));
        if refuses {
            builder.refuse_byte_order_mark();
        }
        (builder.build(), slot)
    };
    let (reading, slot) = tree(false);
    assert_eq!(decode(&reading, payload).unwrap().get(slot), Some(&Value::Int(1)));
    let (refusing, _) = tree(true);
    let error = decode(&refusing, payload).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::NotJson(Syntax::UnexpectedByte(0xef)));
    assert_eq!(error.at, 0);
    // Positions count from the start of the payload.
    let error = decode(&reading, "\u{feff}{]".as_bytes()).unwrap_err();
    assert_eq!(
        (error.kind, error.at),
        (DecodeErrorKind::NotJson(Syntax::UnexpectedByte(b']')), 4)
    );
}

#[test]
fn names_are_compared_after_unescaping() {
    check(r#"{"\u0069d":7}"#, "id", Some(Value::Int(7)));
    check(r#"{"i\u0064":{"x\/y":7}}"#, "id.x/y", Some(Value::Int(7)));
    check(r#"{"id":1,"\u0069d":7}"#, "id", Some(Value::Int(7)));
    check(r#"{"id":1,"\u0069d":7}"#, "", Some(map(&[("id", Value::Int(7))])));
    check(r#"{"id\u0000":1}"#, "id", None);
}

#[test]
fn names_are_told_apart_by_every_byte() {
    let names = [
        "",
        "a",
        "b",
        "ab",
        "abcdefg",
        "abcdefgh",
        "abcdefgx",
        "abcdefghi",
        "abcdefgh1",
        "xbcdefgh1",
        "abcdefghijklmnop",
        "abcdefgxijklmnop",
        "abcdefghijklmnopq",
        "abcdefghXjklmnopq",
        "abcdefghiXklmnopq",
        "ä",
        "äöüäöüäöü",
        "日本語日本語日本語",
    ];
    // All asked for at once (uses the table) and one at a time (uses the scan), each with the others present.
    let members: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(i, name)| format!("\"{name}\":{i}"))
        .collect();
    let payload = format!("{{{}}}", members.join(","));
    let mut builder = PathTreeBuilder::new();
    let slots = names.map(|name| builder.slot(&[Segment::Name(name.into())]));
    let tree = builder.build();
    let fields = decode(&tree, payload.as_bytes()).unwrap();
    for (i, slot) in slots.into_iter().enumerate() {
        assert_eq!(fields.get(slot), Some(&Value::Int(i as i64)), "{:?}", names[i]);
        let mut builder = PathTreeBuilder::new();
        let alone = builder.slot(&[Segment::Name(names[i].into())]);
        let tree = builder.build();
        assert_eq!(
            decode(&tree, payload.as_bytes()).unwrap().get(alone),
            Some(&Value::Int(i as i64))
        );
    }
}

#[test]
fn the_last_of_equal_names_counts_with_everything_below_it() {
    check(r#"{"a":1,"a":2}"#, "a", Some(Value::Int(2)));
    check(r#"{"a":1,"a":null}"#, "a", Some(Value::Null));
    check(r#"{"user":{"id":1},"user":{"name":"x"}}"#, "user.id", None);
    check(r#"{"user":{"id":1},"user":3}"#, "user.id", None);
    check(r#"{"user":3,"user":{"id":1}}"#, "user.id", Some(Value::Int(1)));
    check(r#"{"a":[1,2],"a":[3]}"#, "a[1]", None);
    check(
        r#"{"a":[{"b":1,"b":2}]}"#,
        "a",
        Some(Value::List(vec![map(&[("b", Value::Int(2))])])),
    );
    // In a map: at the first place, with the last value.
    check(
        r#"{"a":1,"b":2,"a":3}"#,
        "",
        Some(map(&[("a", Value::Int(3)), ("b", Value::Int(2))])),
    );
    assert_eq!(
        values(r#"{"u":{"a":1,"b":2},"u":{"b":3}}"#, &["u", "u.a", "u.b"]),
        Ok(vec![Some(map(&[("b", Value::Int(3))])), None, Some(Value::Int(3))])
    );
}

#[test]
fn a_large_map_keeps_each_name_once() {
    let mut payload = String::from("{");
    for i in 0..1000 {
        payload.push_str(&format!("\"n{}\":{i},", i % 900));
    }
    payload.push_str("\"z\":0}");
    let Ok(values) = values(&payload, &[""]) else { panic!() };
    let Some(Value::Map(members)) = &values[0] else {
        panic!()
    };
    assert_eq!(members.len(), 901);
    assert_eq!(members[0], (Cow::Borrowed("n0"), Value::Int(900)));
    assert_eq!(members[100], (Cow::Borrowed("n100"), Value::Int(100)));
    assert_eq!(members[900], (Cow::Borrowed("z"), Value::Int(0)));
}

#[test]
fn a_whole_value_and_its_parts_can_be_asked_for_together() {
    assert_eq!(
        values(
            r#"{"a":{"b":[1,{"c":"x"}]},"d":2}"#,
            &["", "a", "a.b[1].c", "a.b[0]", "d", "a.x", "a.b[2]", "a.b.c"]
        ),
        Ok(vec![
            Some(map(&[
                (
                    "a",
                    map(&[("b", Value::List(vec![Value::Int(1), map(&[("c", text("x"))])]))])
                ),
                ("d", Value::Int(2))
            ])),
            Some(map(&[(
                "b",
                Value::List(vec![Value::Int(1), map(&[("c", text("x"))])])
            )])),
            Some(text("x")),
            Some(Value::Int(1)),
            Some(Value::Int(2)),
            None,
            None,
            None,
        ])
    );
}

#[test]
fn the_same_path_is_the_same_slot() {
    let mut builder = PathTreeBuilder::new();
    let a = builder.slot(&path("a.b[3]"));
    let b = builder.slot(&path("a.b"));
    let each = builder.each(&path("a.b"));
    assert_eq!(builder.slot(&path("a.b[3]")), a);
    assert_eq!(builder.slot(&path("a.b")), b);
    assert_eq!(builder.each(&path("a.b")), each);
    let item = builder.item_slot(each, &path("x"));
    assert_eq!(builder.item_slot(each, &path("x")), item);
    assert_ne!(builder.item_slot(each, &[]), item);
    assert_ne!(builder.each(&path("a.c")), each);
}

#[test]
fn a_shape_says_what_stands_there_and_keeps_nothing() {
    let cases = [
        (r#"{"user":{"id":1}}"#, Some(Shape::Object)),
        (r#"{"user":[{"id":1}]}"#, Some(Shape::Array)),
        (r#"{"user":null}"#, Some(Shape::Scalar)),
        (r#"{"user":"x"}"#, Some(Shape::Scalar)),
        // Nothing of the value is kept, so a check that only applies to kept values is not made.
        (r#"{"user":1e999}"#, Some(Shape::Scalar)),
        (r#"{"user":1,"user":{}}"#, Some(Shape::Object)),
        (r#"{"uses":{}}"#, None),
        (r#"[{"user":{}}]"#, None),
    ];
    for (payload, expected) in cases {
        let mut builder = PathTreeBuilder::new();
        let shape = builder.shape(&path("user"));
        let fields = decode(&builder.build(), payload.as_bytes()).unwrap();
        assert_eq!(fields.shape(shape), expected, "{payload}");
    }
}

#[test]
fn a_second_value_undoes_the_shapes_below_the_first() {
    let mut builder = PathTreeBuilder::new();
    let (user, id) = (builder.shape(&path("user")), builder.shape(&path("user.id")));
    let tree = builder.build();
    let fields = decode(&tree, br#"{"user":{"id":1},"user":{}}"#).unwrap();
    assert_eq!((fields.shape(user), fields.shape(id)), (Some(Shape::Object), None));
}

#[test]
fn elements_are_taken_one_by_one() {
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&path("o.items"));
    let sku = builder.item_slot(each, &path("sku"));
    let first = builder.item_slot(each, &path("tags[0]"));
    let tree = builder.build();
    let payload = br#"{"o":{"items":[{"sku":"a","tags":[1,2]},{"tags":[],"sku":"b"},7,{"sku":99999999999999999999}]}}"#;
    let fields = decode(&tree, payload).unwrap();
    let Elements::Items(items) = fields.each(each) else {
        panic!()
    };
    assert_eq!(items.len(), 4);
    assert_eq!(items.get(0, sku), Some(&text("a")));
    assert_eq!(items.get(0, first), Some(&Value::Int(1)));
    assert_eq!(items.get(1, sku), Some(&text("b")));
    assert_eq!(items.get(1, first), None);
    assert_eq!(items.get(2, sku), None);
    assert_eq!(items.get(3, sku), Some(&big("99999999999999999999")));
    assert_eq!(items.get(4, sku), None);
    assert_eq!(items.get(usize::MAX, sku), None);
}

#[test]
fn what_is_not_an_array_says_so() {
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&path("a"));
    builder.item_slot(each, &path("x"));
    let tree = builder.build();
    // The same, but the whole value is asked for too.
    builder = PathTreeBuilder::new();
    let both = builder.each(&path("a"));
    builder.slot(&path("a"));
    builder.item_slot(both, &path("x"));
    let whole = builder.build();
    for (payload, expected) in [
        ("{}", Elements::Missing),
        ("[]", Elements::Missing),
        (r#"{"a":null}"#, Elements::Null),
        (r#"{"a":{"x":1}}"#, Elements::NotAnArray("object")),
        (r#"{"a":"x"}"#, Elements::NotAnArray("string")),
        (r#"{"a":1}"#, Elements::NotAnArray("integer")),
        (r#"{"a":99999999999999999999}"#, Elements::NotAnArray("integer")),
        (r#"{"a":-1.0}"#, Elements::NotAnArray("float")),
        (r#"{"a":true}"#, Elements::NotAnArray("boolean")),
        (r#"{"a":[1],"a":false}"#, Elements::NotAnArray("boolean")),
    ] {
        assert_eq!(
            decode(&tree, payload.as_bytes()).unwrap().each(each),
            expected,
            "{payload}"
        );
        assert_eq!(
            decode(&whole, payload.as_bytes()).unwrap().each(both),
            expected,
            "{payload}"
        );
    }
    let fields = decode(&tree, br#"{"a":[]}"#).unwrap();
    let Elements::Items(items) = fields.each(each) else {
        panic!()
    };
    assert!(items.is_empty());
}

#[test]
fn an_array_can_be_asked_for_whole_by_element_and_by_index() {
    for whole in [false, true] {
        let mut builder = PathTreeBuilder::new();
        let each = builder.each(&path("a"));
        let whole_item = builder.item_slot(each, &[]);
        let x = builder.item_slot(each, &path("x"));
        let second = builder.slot(&path("a[1].x"));
        let inner = builder.each(&path("a[0].list"));
        let inner_item = builder.item_slot(inner, &[]);
        let slot = whole.then(|| builder.slot(&path("a")));
        let tree = builder.build();
        let payload = r#"{"a":[{"x":0}],"a":[{"x":1,"list":[5,6]},{"x":2}]}"#;
        let fields = decode(&tree, payload.as_bytes()).unwrap();
        let Elements::Items(items) = fields.each(each) else {
            panic!()
        };
        assert_eq!(items.len(), 2);
        assert_eq!(items.get(1, whole_item), Some(&map(&[("x", Value::Int(2))])));
        assert_eq!(
            (items.get(0, x), items.get(1, x)),
            (Some(&Value::Int(1)), Some(&Value::Int(2)))
        );
        assert_eq!(fields.get(second), Some(&Value::Int(2)));
        let Elements::Items(items) = fields.each(inner) else {
            panic!()
        };
        assert_eq!((items.len(), items.get(1, inner_item)), (2, Some(&Value::Int(6))));
        if let Some(slot) = slot {
            assert!(matches!(fields.get(slot), Some(Value::List(elements)) if elements.len() == 2));
        }
    }
}

#[test]
fn a_second_array_under_the_same_name_replaces_the_first() {
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&path("o.a"));
    let item = builder.item_slot(each, &path("x"));
    let tree = builder.build();
    let fields = decode(&tree, br#"{"o":{"a":[{"x":1},{"x":2}],"a":[{"y":3}]}}"#).unwrap();
    let Elements::Items(items) = fields.each(each) else {
        panic!()
    };
    assert_eq!((items.len(), items.get(0, item), items.get(1, item)), (1, None, None));
    let fields = decode(&tree, br#"{"o":{"a":[{"x":1}]},"o":{}}"#).unwrap();
    assert_eq!(fields.each(each), Elements::Missing);
}

#[test]
fn elements_beyond_the_limit_are_counted_and_validated_and_not_kept() {
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&[]);
    builder.each_limit(each, 2);
    builder.each_limit(each, 1);
    let item = builder.item_slot(each, &[]);
    let tree = builder.build();
    let fields = decode(&tree, b"[1,2,[99999999999999999999]]").unwrap();
    let Elements::Items(items) = fields.each(each) else {
        panic!()
    };
    assert_eq!(
        (items.len(), items.get(1, item), items.get(2, item)),
        (3, Some(&Value::Int(2)), None)
    );
    assert!(decode(&tree, b"[1,2,3,x]").is_err());
}

#[test]
fn a_taken_value_is_missing_afterwards() {
    let mut builder = PathTreeBuilder::new();
    let slot = builder.slot(&path("a"));
    let tree = builder.build();
    let mut fields = decode(&tree, br#"{"a":"x"}"#).unwrap();
    assert_eq!(fields.take(slot), Some(text("x")));
    assert_eq!(fields.get(slot), None);
}

#[test]
fn depth_is_bounded_in_what_is_kept_walked_and_skipped() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    let paths = [vec![], vec![""], vec!["[0][0]", "a.a"], vec!["a", "[0]", "b"]];
    for paths in &paths {
        assert!(values(&nested(128), paths).is_ok());
        assert!(values(&objects(128), paths).is_ok());
        check_error(&nested(129), paths, DecodeErrorKind::TooDeep, 128);
        check_error(&objects(129), paths, DecodeErrorKind::TooDeep, 128 * 5);
        check_error(&"[".repeat(100_000), paths, DecodeErrorKind::TooDeep, 128);
    }
    // The elements of an array count as one level deeper.
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&[]);
    builder.item_slot(each, &[]);
    let tree = builder.build();
    assert!(decode(&tree, nested(128).as_bytes()).is_ok());
    assert_eq!(decode(&tree, nested(129).as_bytes()).unwrap_err().at, 128);
}

#[test]
fn an_error_says_what_and_where() {
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&[]);
    builder.item_slot(each, &path("a"));
    let elements = builder.build();
    use Syntax::*;
    let not_json = DecodeErrorKind::NotJson;
    for (payload, kind, at) in [
        ("", DecodeErrorKind::Empty, 0),
        (" ", not_json(UnexpectedEnd), 1),
        ("{", not_json(UnexpectedEnd), 1),
        ("{\"a\"", not_json(UnexpectedEnd), 4),
        ("{\"a\" 1}", not_json(UnexpectedByte(b'1')), 5),
        ("{\"a\":}", not_json(UnexpectedByte(b'}')), 5),
        ("{\"a\":1,}", not_json(UnexpectedByte(b'}')), 7),
        ("{a:1}", not_json(UnexpectedByte(b'a')), 1),
        ("[1 2]", not_json(UnexpectedByte(b'2')), 3),
        ("[1,]", not_json(UnexpectedByte(b']')), 3),
        ("[1}", not_json(UnexpectedByte(b'}')), 2),
        ("[\0]", not_json(UnexpectedByte(0)), 1),
        ("trux", not_json(BadLiteral), 3),
        ("nul", not_json(UnexpectedEnd), 3),
        ("01", not_json(BadNumber), 1),
        ("-", not_json(UnexpectedEnd), 1),
        ("-x", not_json(BadNumber), 1),
        ("1.", not_json(UnexpectedEnd), 2),
        ("[1.]", not_json(BadNumber), 3),
        ("[1e+]", not_json(BadNumber), 4),
        ("\"\\x\"", not_json(BadEscape), 2),
        ("\"\\u12g4\"", not_json(BadEscape), 5),
        ("\"\\u12", not_json(UnexpectedEnd), 5),
        ("\"abcdefghijk\n\"", not_json(ControlCharacter(b'\n')), 12),
        ("\"abc", not_json(UnexpectedEnd), 4),
        ("\u{feff}", not_json(UnexpectedEnd), 3),
        ("\u{feff}\u{feff}{}", not_json(UnexpectedByte(0xef)), 3),
        (" \u{feff}{}", not_json(UnexpectedByte(0xef)), 1),
        ("{}\u{feff}", DecodeErrorKind::TrailingBytes, 2),
        ("{} x", DecodeErrorKind::TrailingBytes, 3),
        ("1 2", DecodeErrorKind::TrailingBytes, 2),
        ("{}}", DecodeErrorKind::TrailingBytes, 2),
        ("{}\0", DecodeErrorKind::TrailingBytes, 2),
    ] {
        for paths in [&[][..], &[""], &["a", "[0]"]] {
            check_error(payload, paths, kind, at);
        }
        assert_eq!(
            decode(&elements, payload.as_bytes()),
            Err(DecodeError { kind, at }),
            "{payload}"
        );
    }
    let error = decode(&PathTreeBuilder::new().build(), b"{\"a\":\"\xc3\x28\"}").unwrap_err();
    assert_eq!(
        error,
        DecodeError {
            kind: DecodeErrorKind::NotUtf8,
            at: 6
        }
    );
}

#[test]
fn an_error_never_prints_the_payload() {
    let error = values("{\"secret\":secret}", &["secret"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the payload is not JSON: unexpected byte 0x73, at byte 10"
    );
    assert_eq!(error.kind.reason(), "not_json");
}

#[test]
fn reasons_are_stable() {
    for (kind, reason) in [
        (DecodeErrorKind::Empty, "empty_payload"),
        (DecodeErrorKind::NotUtf8, "not_utf8"),
        (DecodeErrorKind::NotJson(Syntax::BadNumber), "not_json"),
        (DecodeErrorKind::TrailingBytes, "trailing_bytes"),
        (DecodeErrorKind::TooDeep, "too_deep"),
    ] {
        assert_eq!(kind.reason(), reason);
        let shown = kind.to_string();
        assert!(!shown.ends_with('.') && !shown.contains('\n'), "{shown}");
    }
}
