//! Expressions as users write them: what they read, and the faults of wrong ones.

use crate::config::model::{Segment, Source, What};
use crate::config::values::cel::*;

fn scope(root: &[Segment]) -> Scope<'_> {
    Scope {
        root,
        each: true,
        strings: &[],
    }
}

/// The reads of `text`, as written, and its kinds.
fn reads(text: &str) -> (Vec<String>, String) {
    let program = parse(text, scope(&[])).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let reads = program.reads.iter().map(|read| read.written.clone());
    (reads.collect(), program.kinds.to_string())
}

/// Place, problem and cure of the first fault.
fn fault(text: &str) -> String {
    match parse(text, scope(&[])) {
        Ok(program) => panic!("{text} has no fault: {program:?}"),
        Err(faults) => {
            let Bad { at, problem, cure } = &faults[0];
            let column = at.map_or(0, |(_, column)| column);
            format!("{column}: {problem}; {cure}")
        }
    }
}

#[test]
fn a_way_into_the_message_is_one_read_down_to_where_it_is_computed() {
    for (text, expected, kinds) in [
        ("type != 'x'", vec!["type"], "bool"),
        ("user.id > 3 && user.id < 9", vec!["user.id"], "bool"),
        ("a[0].b == 1", vec!["a[0].b"], "bool"),
        ("msg['x y'].z == 1", vec!["msg[\"x y\"].z"], "bool"),
        // From here on it is computed: it reads the list and the index.
        ("a[b].c == 1", vec!["a", "b"], "bool"),
        ("a[-1] == 1", vec!["a"], "bool"),
        ("item.x == index", vec!["item.x", "index"], "bool"),
        ("has(a.b.c)", vec!["has(a.b.c)"], "bool"),
        ("has(msg.type) ? type : ''", vec!["has(msg.type)", "type"], "a field"),
        (
            "meta.headers.type == meta.topic",
            vec!["meta.headers.type", "meta.topic"],
            "bool",
        ),
        ("'x' in meta.headers", vec!["meta.headers"], "bool"),
        ("has(meta.headers.x)", vec!["has(meta.headers.x)"], "bool"),
        // A macro's variable is not a field.
        ("items.all(x, x.qty > 0)", vec!["items"], "bool"),
        ("items.all(type, type > 0) && type == 1", vec!["items", "type"], "bool"),
        ("items.map(x, x.qty * y)", vec!["items", "y"], "list"),
        ("type(a) == int", vec!["a"], "bool"),
        ("type(a) in [int, double]", vec!["a"], "bool"),
        ("int == 1", vec!["int"], "bool"),
        ("math.round(price)", vec!["price"], "double"),
        ("a + 1", vec!["a"], "int or double"),
    ] {
        let expected = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(reads(text), (expected, kinds.to_owned()), "{text}");
    }
}

#[test]
fn a_bare_name_starts_at_the_root_and_msg_at_the_top() {
    let root = [Segment::Name("payload".into())];
    let program = parse("id == msg.id", scope(&root)).unwrap();
    let name = |name: &str| Segment::Name(name.into());
    let paths = [vec![name("payload"), name("id")], vec![name("id")]];
    let expected = paths.map(|path| What::Value(Source::Path(path)));
    assert_eq!(
        program.reads.iter().map(|read| &read.what).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
}

#[test]
fn outside_of_each_item_and_index_are_fields() {
    let scope = Scope {
        root: &[],
        each: false,
        strings: &[],
    };
    let program = parse("item == index", scope).unwrap();
    assert!(program.reads_payload() && !program.reads_element());
}

#[test]
fn what_reads_the_payload_is_told_from_what_reads_metadata() {
    let of = |text: &str| parse(text, scope(&[])).unwrap();
    assert!(!of("meta.topic == 'a' && has(meta.headers.x) && meta.offset > 3").reads_payload());
    assert!(of("meta.topic == 'a' && has(msg.x)").reads_payload());
    assert!(of("index == 0").reads_payload() && of("index == 0").reads_element());
    assert!(!of("a == 0").reads_element());
}

#[test]
fn syntax_is_told_with_its_column_and_a_cure() {
    for (text, expected) in [
        (
            "has(type)",
            "5: has() asks for a field of something; write has(msg.type)",
        ),
        ("type = 'a'", "6: `=` cannot stand here; two are equal with =="),
        ("a == 1 and b == 2", "8: `and` cannot stand here; both of two is &&"),
        ("a == 1 OR b == 2", "8: `OR` cannot stand here; one of two is ||"),
        ("a & b", "3: `&` cannot stand here; both of two is &&"),
        ("a <> 'b'", "4: `>` cannot stand here; not equal is !="),
        ("not a == 'b'", "5: `a` cannot stand here; not is !, not equal is !="),
        (
            "a NOT IN ('b')",
            "3: `NOT` cannot stand here; write !(type in ['a', 'b'])",
        ),
        (
            "a is not null",
            "3: `is` cannot stand here; a field that is null: x == null; one that is not: x != null",
        ),
        (
            "@key == 'a'",
            "1: `@` cannot stand here; metadata is meta.key, meta.topic, meta.headers.type here; an element of `each` is item",
        ),
        (
            "a?.b == 3",
            "1: is not complete; a field that may be missing is asked for first: has(user.id) && …",
        ),
        (
            "a &&",
            "5: ends before it is complete; write CEL, e.g. type == 'purchase' && amount > 0",
        ),
        (
            "a == 'b",
            "6: a string that does not end; write CEL, e.g. type == 'purchase' && amount > 0",
        ),
        (
            "a b",
            "3: `b` cannot stand here; write CEL, e.g. type == 'purchase' && amount > 0",
        ),
        (
            "a.?b == 1",
            "2: `.?` cannot stand here; write CEL, e.g. type == 'purchase' && amount > 0",
        ),
        (
            "a == 99999999999999999999",
            "6: is no CEL: invalid int literal; write CEL, e.g. type == 'purchase' && amount > 0",
        ),
        ("  ", "0: is empty; write a CEL expression, e.g. type == 'purchase'"),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn names_and_functions_that_are_not_there_are_told() {
    for (text, expected) in [
        ("meta.tpic == 'a'", "5: `meta` has no `tpic`; did you mean `topic`?"),
        (
            "meta == 1",
            "1: `meta` is no value of its own; name a member of it: key, topic, partition, offset, timestamp, headers",
        ),
        (
            "meta.key.id == 1",
            "9: `meta.key.id`: key has no members; remove what stands behind it",
        ),
        (
            "has(meta.key)",
            "4: `has(meta.key)` is the same for every message; compare it with null, e.g. meta.key != null",
        ),
        (
            "index.x == 1",
            "6: no `index.x`; index is the number of the element, from 0; a field of it is item.…",
        ),
        (
            "a.startswith('b')",
            "13: no function .startswith(); did you mean `startsWith`?",
        ),
        (
            "startsWith(a, 'b')",
            "11: startsWith() is called on what it works on; write x.startsWith(…)",
        ),
        ("len(a) > 0", "4: no function len(); write size(x)"),
        ("a.length() > 0", "9: no function .length(); write size(x)"),
        ("lower(a) == 'b'", "6: no function lower(); write x.lowerAscii()"),
        (
            "now() > a",
            "4: no function now(); there is none: a message gives the same whenever it comes; its time is meta.timestamp",
        ),
        (
            "a.timestamp() > b",
            "12: .timestamp() is called with what it works on; write timestamp(x)",
        ),
        ("a.startsWith()", "13: .startsWith() has 0 arguments; it takes 1"),
        ("Foo{a: 1} == a", "4: no type `Foo`; write a map: {'name': value}"),
        (
            ".a == 1",
            "2: no name `.a`; write a field's name without a dot before it",
        ),
        (
            "a.all(x)",
            "6: .all() does not stand so; write e.g. items.all(item, item.qty > 0)",
        ),
        (
            "a.matches('[')",
            "11: is no pattern; write a pattern of the regex crate (RE2's syntax)",
        ),
        (
            "a.matches(b)",
            "11: a pattern that is not in the expression; write it in quotes: x.matches('^[a-z]+$')",
        ),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn what_can_never_work_is_told() {
    for (text, expected) in [
        (
            "1 + 'a' == a",
            "3: `+` cannot take int and string; make both of one type: string(…), int(…) or double(…)",
        ),
        (
            "order-status != 'a'",
            "14: `!=`: int, uint or double and string are always different; `-` subtracts; the field order-status is written \
             msg[\"order-status\"]",
        ),
        (
            "a - b == 'a'",
            "7: `==`: int, uint or double and string are never equal; `-` subtracts; the field a-b is written msg[\"a-b\"]",
        ),
        (
            "meta.topic == 1",
            "12: `==`: string and int are never equal; make both of one type: string(…), int(…) or double(…)",
        ),
        (
            "meta.headers.n != 1",
            "16: `!=`: string, bytes or null and int are always different; make both of one type: string(…), int(…) or \
             double(…)",
        ),
        (
            "created > timestamp('2026-01-01T00:00:00Z')",
            "9: `>` cannot take a field and timestamp; make both timestamps: timestamp(created_at)",
        ),
        (
            "a in 'abc'",
            "3: `in` looks into a list or a map, and this is string; write e.g. type in ['a', 'b']; a part of a string is \
             x.contains(y)",
        ),
        (
            "a && 'x'",
            "6: && joins what is true or false, and this is string; compare it with something",
        ),
        (
            "!meta.topic",
            "6: ! turns what is true or false, and this is string; compare it with something",
        ),
        (
            "size(1) > a",
            "5: size() cannot take (int); it takes (string, bytes, list or map)",
        ),
        (
            "a.contains(1)",
            "11: .contains() cannot take (a field, int); it takes (string, string)",
        ),
        (
            "a.getHours() > 1",
            "11: .getHours() cannot take (a field); it takes (timestamp or duration)",
        ),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn all_faults_are_told_in_their_order() {
    let faults = parse("starts(a) && ends(b)", scope(&[])).unwrap_err();
    let problems: Vec<&str> = faults.iter().map(|bad| bad.problem.as_str()).collect();
    assert_eq!(problems, ["no function starts()", "no function ends()"]);
}

#[test]
fn what_would_exhaust_a_stack_is_refused() {
    let cases = [
        format!("{}a", "a + ".repeat(1000)),
        format!("{}a > 3{}", "(".repeat(1000), ")".repeat(1000)),
        format!("{}a", "a ? b : ".repeat(400)),
        format!("{}a{}", "size(".repeat(600), ")".repeat(600)),
        "a".repeat(5000),
    ];
    for text in cases {
        assert!(parse(&text, scope(&[])).is_err(), "{}", &text[..40]);
    }
    let long = format!("a == 0{}", " || a == 1".repeat(300));
    assert!(parse(&long, scope(&[])).is_ok(), "many alternatives are no depth");
}

#[test]
fn every_function_that_is_offered_can_be_called() {
    for function in functions::ALL {
        let argument = |kinds: &Kinds| match *kinds {
            kinds if kinds.meets(Kinds::STRING) => "dyn('1')",
            kinds if kinds.meets(Kinds::INT) => "dyn(1)",
            kinds if kinds.meets(Kinds::DOUBLE) => "dyn(1.0)",
            kinds if kinds.meets(Kinds::UINT) => "dyn(1u)",
            kinds if kinds.meets(Kinds::TIMESTAMP) => "timestamp(0)",
            _ => "dyn(['1'])",
        };
        let arguments: Vec<&str> = function.arguments.iter().map(argument).collect();
        let text = match (function.name, function.member) {
            ("matches", false) => "matches(a, '1')".to_owned(),
            ("matches", true) => "a.matches('1')".to_owned(),
            (name, true) => format!("{}.{name}({})", arguments[0], arguments[1..].join(", ")),
            (name, false) => format!("{name}({})", arguments.join(", ")),
        };
        let program = parse(&text, scope(&[])).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        let result = crate::rules::conditions::check_function(program);
        // Whatever the result for these arguments: the function exists, and accepts them.
        let refused = ["is not known", "cannot take ("]
            .iter()
            .any(|text| result.contains(text));
        assert!(!refused, "{text}: {result}");
    }
}

mod any_text {
    use proptest::prelude::*;

    use super::{parse, scope};

    const TOKENS: &[&str] = &[
        "a",
        "msg",
        "meta",
        "meta.",
        "item",
        "index",
        "has(",
        "size(",
        ".all(",
        "x,",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        ".",
        ".?",
        "==",
        "!=",
        "=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        " in ",
        "'",
        "\"",
        "'''",
        "r'",
        "b'",
        "\\",
        "\\u",
        "\\x",
        "`",
        "1",
        "1u",
        "0x",
        "1.5",
        "1e",
        "9223372036854775808",
        "true",
        "null",
        "'a'",
        "type(",
        "ä",
        "😀",
        "\u{0}",
        "\n",
        " ",
        "//",
        "#0",
        "$0",
        "@result",
        ".matches('(')",
        "T{",
        "_",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_text_panics(tokens in proptest::collection::vec(prop::sample::select(TOKENS), 0..14), text in ".{0,12}") {
            for text in [tokens.concat(), text] {
                if let Err(faults) = parse(&text, scope(&[])) {
                    prop_assert!(!faults.is_empty());
                    for bad in faults {
                        prop_assert!(!bad.problem.contains("more than the parser takes"), "{text:?} panics");
                        prop_assert!(!bad.problem.contains('\n') && !bad.cure.is_empty(), "{text:?}: {bad:?}");
                    }
                }
            }
        }
    }
}
