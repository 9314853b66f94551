//! Strings that hold JSON: what is read through them is what is read of their text directly, and what is wrong in them
//! is told with its place.

use proptest::collection::vec;
use proptest::prelude::*;

use super::oracle_tests::{Asked, Document, Tree, Writer, apply, asked, document, edit};
use crate::config::model::{Path, Segment};
use crate::message::Syntax;
use crate::output::value::Value;
use crate::rules::decode::*;

/// `a!.b[0]!`: names and indexes, and `!` for a step into a string's text.
fn path(written: &str) -> Path {
    let mut path = Path::new();
    for part in written.split_inclusive(['.', '!', ']']) {
        let (name, last) = match part.char_indices().last() {
            Some((at, last @ ('.' | '!'))) => (&part[..at], Some(last)),
            _ => (part, None),
        };
        match name.split_once('[') {
            Some((name, index)) => {
                path.extend((!name.is_empty()).then(|| Segment::Name(name.to_owned())));
                path.push(Segment::Index(index.trim_end_matches(']').parse().unwrap()));
            }
            None => path.extend((!name.is_empty()).then(|| Segment::Name(name.to_owned()))),
        }
        path.extend((last == Some('!')).then_some(Segment::Json));
    }
    path
}

/// A broken text: its path, what is wrong, and at which byte.
type Broken = (String, DecodeErrorKind, usize);

/// What is found at the paths, and the broken texts.
fn read(payload: &str, paths: &[&str]) -> (Vec<Option<Value<'static>>>, Vec<Broken>) {
    let mut builder = PathTreeBuilder::new();
    let slots: Vec<SlotId> = paths.iter().map(|written| builder.slot(&path(written))).collect();
    let tree = builder.build();
    let fields = decode(&tree, payload.as_bytes()).unwrap_or_else(|error| panic!("{error} in {payload}"));
    let values = slots
        .iter()
        .map(|slot| fields.get(*slot).cloned().map(Value::into_owned));
    let broken = fields.broken_texts().iter().map(|broken| {
        let path = tree.text_path(broken.text).iter().map(|step| match step {
            Segment::Name(name) => format!("{name}."),
            Segment::Index(index) => format!("[{index}]."),
            Segment::Json => "!.".to_owned(),
        });
        let path: String = path.collect();
        (path, broken.error.kind, broken.error.at)
    });
    (values.collect(), broken.collect())
}

#[track_caller]
fn check(payload: &str, written: &str, expected: Option<Value<'_>>) {
    // The same if a parent or the whole message is asked for as well.
    for others in [&[][..], &[""], &["p"], &["p", "", "p!"]] {
        let mut paths = vec![written];
        paths.extend(others);
        let (values, broken) = read(payload, &paths);
        assert_eq!((&values[0], broken), (&expected, vec![]), "{paths:?} of {payload}");
    }
}

#[track_caller]
fn check_broken(payload: &str, written: &str, kind: DecodeErrorKind, at: usize) {
    for others in [&[][..], &[""], &["p"], &["p", "", "p!"]] {
        let mut paths = vec![written];
        paths.extend(others);
        let (values, broken) = read(payload, &paths);
        assert_eq!(values[0], None, "{paths:?} of {payload}");
        assert_eq!(broken, [("p.".to_owned(), kind, at)], "{paths:?} of {payload}");
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Str(text.into())
}

fn escaped(json: &str) -> String {
    serde_json::Value::String(json.to_owned()).to_string()
}

#[test]
fn a_path_leads_through_a_string_into_the_json_that_it_holds() {
    let payload = r#"{"p": "{\"a\": {\"b\": [1, \"x\\\"y\", 2.5]}, \"n\": null}", "q": 1}"#;
    check(payload, "p!.a.b[0]", Some(Value::Int(1)));
    check(payload, "p!.a.b[1]", Some(text("x\"y")));
    check(payload, "p!.a.b[2]", Some(Value::Float(2.5)));
    check(payload, "p!.n", Some(Value::Null));
    check(payload, "p!.none", None);
    check(payload, "q", Some(Value::Int(1)));
    check(r#"{"p": " 12 "}"#, "p!", Some(Value::Int(12)));
    check(r#"{"p": "\ufeff{\"a\": 1}"}"#, "p!.a", Some(Value::Int(1)));
    // Without escapes, and all of them.
    check(r#"{"p": "[1]"}"#, "p![0]", Some(Value::Int(1)));
    check(
        r#"{"p": "\u007b\u0022a\u0022\u003a\u0022\\ud83d\\ude00\u00e4\ud83d\ude00\u0022\u007d"}"#,
        "p!.a",
        Some(text("😀ä😀")),
    );
    check(r#"{"p": "{\"a\": \"\\u0000\"}"}"#, "p!.a", Some(text("\0")));
}

#[test]
fn a_value_that_is_no_string_is_taken_as_it_is() {
    check(r#"{"p": {"a": {"b": 3}}}"#, "p!.a.b", Some(Value::Int(3)));
    check(r#"{"p": [4]}"#, "p![0]", Some(Value::Int(4)));
    check(r#"{"p": 5}"#, "p!", Some(Value::Int(5)));
    check(r#"{"p": null}"#, "p!", Some(Value::Null));
    check(r#"{"p": null}"#, "p!.a", None);
    check(r#"{"q": 1}"#, "p!.a", None);
}

#[test]
fn a_text_may_stand_in_a_text_and_at_the_top() {
    let inner = escaped(r#"{"c": [true]}"#);
    let payload = format!(r#"{{"p": {}}}"#, escaped(&format!(r#"{{"b": {inner}}}"#)));
    check(&payload, "p!.b!.c[0]", Some(Value::Bool(true)));
    check(&payload, "p!.b", Some(text(r#"{"c": [true]}"#)));
    let (values, broken) = read(&escaped(r#"{"id": 7}"#), &["!.id"]);
    assert_eq!((values, broken), (vec![Some(Value::Int(7))], vec![]));
}

#[test]
fn a_string_stays_what_it_is_for_those_who_do_not_read_it() {
    let payload = r#"{"p": "{\"a\": 1}"}"#;
    check(payload, "p", Some(text(r#"{"a": 1}"#)));
    // Nobody reads through it, so it may hold anything.
    let (values, broken) = read(r#"{"p": "{{", "q": 1}"#, &["q", "p"]);
    assert_eq!((values, broken), (vec![Some(Value::Int(1)), Some(text("{{"))], vec![]));
}

#[test]
fn what_is_wrong_in_a_text_is_told_with_its_place_in_the_text() {
    use DecodeErrorKind::*;
    check_broken(r#"{"p": ""}"#, "p!.a", Empty, 0);
    check_broken(r#"{"p": "  "}"#, "p!.a", NotJson(Syntax::UnexpectedEnd), 2);
    check_broken(r#"{"p": "hello"}"#, "p!.a", NotJson(Syntax::UnexpectedByte(b'h')), 0);
    check_broken(
        r#"{"p": "{\"a\": 1,}"}"#,
        "p!.a",
        NotJson(Syntax::UnexpectedByte(b'}')),
        8,
    );
    check_broken(r#"{"p": "{\"a\": 1"}"#, "p!.a", NotJson(Syntax::UnexpectedEnd), 7);
    check_broken(r#"{"p": "{\"a\": 1} x"}"#, "p!.a", TrailingBytes, 9);
    check_broken(r#"{"p": "{\"a\": 1}\u0000"}"#, "p!.a", TrailingBytes, 8);
    check_broken(
        r#"{"p": "{\"a\": \"\n\"}"}"#,
        "p!.a",
        NotJson(Syntax::ControlCharacter(b'\n')),
        7,
    );
    check_broken(r#"{"p": "{\"a\": \"\\x\"}"}"#, "p!.a", NotJson(Syntax::BadEscape), 8);
    check_broken(r#"{"p": "\"\\u12"}"#, "p!", NotJson(Syntax::UnexpectedEnd), 5);
    check_broken(r#"{"p": "01"}"#, "p!", NotJson(Syntax::BadNumber), 1);
    check_broken(r#"{"p": "tru"}"#, "p!", NotJson(Syntax::UnexpectedEnd), 3);
    // Half of a pair between the outer quotes: no text at all. In the inner string it is a value that nobody can hold.
    check_broken(
        r#"{"p": "{\"a\": \"\ud83d\"}"}"#,
        "p!.a",
        NotJson(Syntax::LoneSurrogate),
        0,
    );
    let (values, broken) = read(r#"{"p": "{\"a\": \"\\ud83d\"}"}"#, &["p!.a"]);
    assert!(matches!(&values[0], Some(Value::Unheld { .. })) && broken.is_empty());
}

#[test]
fn nothing_that_was_found_before_the_mistake_stays() {
    let payload = r#"{"p": "{\"a\": 1, \"b\": [1, 2], \"c\": {\"d\": 4}, }", "q": 5}"#;
    let (values, broken) = read(payload, &["p!.a", "p!.b", "p!.c.d", "q"]);
    assert_eq!(values, [None, None, None, Some(Value::Int(5))]);
    assert_eq!(broken.len(), 1);
    // One text is broken, and the other is not.
    let payload = r#"{"p": "{\"a\": \"{{\", \"b\": 2}"}"#;
    let (values, broken) = read(payload, &["p!.a!.x", "p!.b"]);
    assert_eq!(values, [None, Some(Value::Int(2))]);
    assert_eq!(
        broken,
        [(
            "p.!.a.".to_owned(),
            DecodeErrorKind::NotJson(Syntax::UnexpectedByte(b'{')),
            1
        )]
    );
}

#[test]
fn the_last_of_equal_names_counts_broken_or_not() {
    let good = r#""{\"a\": 1}""#;
    check(&format!(r#"{{"p": "{{{{", "p": {good}}}"#), "p!.a", Some(Value::Int(1)));
    check(&format!(r#"{{"p": {good}, "p": {{}}}}"#), "p!.a", None);
    check_broken(
        &format!(r#"{{"p": {good}, "p": "x"}}"#),
        "p!.a",
        DecodeErrorKind::NotJson(Syntax::UnexpectedByte(b'x')),
        0,
    );
    check(r#"{"p": "{\"a\": 1, \"a\": 2}"}"#, "p!.a", Some(Value::Int(2)));
}

#[test]
fn a_text_in_an_element_is_broken_for_its_element() {
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&path("items"));
    let slot = builder.item_slot(each, &path("doc!.a"));
    let tree = builder.build();
    let payload = r#"{"items": [{"doc": "{\"a\": 1}"}, {"doc": "x"}, {"doc": {"a": 3}}]}"#.as_bytes();
    let fields = decode(&tree, payload).unwrap();
    let Elements::Items(items) = fields.each(each) else {
        panic!("{fields:?}")
    };
    let found: Vec<_> = (0..3).map(|number| items.get(number, slot).cloned()).collect();
    assert_eq!(found, [Some(Value::Int(1)), None, Some(Value::Int(3))]);
    assert!(fields.has_broken_texts() && fields.broken_texts().is_empty());
    let broken: Vec<usize> = (0..4).map(|number| items.broken_texts(number).len()).collect();
    assert_eq!(broken, [0, 1, 0, 0]);
    let broken = items.broken_texts(1)[0];
    assert_eq!((broken.element, broken.text.each()), (1, Some(each)));
    // A second array of the same name takes the place of the first, with what was broken in it.
    let payload = r#"{"items": [{"doc": "x"}], "items": []}"#.as_bytes();
    assert!(!decode(&tree, payload).unwrap().has_broken_texts());
    // And so it is for equal names in one element.
    let payload = r#"{"items": [{"doc": "x"}, {"doc": "x", "doc": "{}"}, {"doc": "{}", "doc": "x"}]}"#.as_bytes();
    let fields = decode(&tree, payload).unwrap();
    let Elements::Items(items) = fields.each(each) else {
        panic!("{fields:?}")
    };
    let broken: Vec<usize> = (0..3).map(|number| items.broken_texts(number).len()).collect();
    assert_eq!(broken, [1, 0, 1]);
}

/// What a hostile producer can make expensive: the time must grow with the length alone. (A quadratic way would take
/// minutes in a debug build.)
#[test]
fn many_broken_texts_and_equal_names_cost_no_more_than_their_length() {
    let mut builder = PathTreeBuilder::new();
    let each = builder.each(&path("items"));
    builder.each_limit(each, 10_001);
    builder.item_slot(each, &path("doc!.a"));
    let slot = builder.slot(&path("p!.a"));
    let tree = builder.build();
    let elements = r#"{"doc":"x"},"#.repeat(10_000);
    let equal = r#""doc":"x","#.repeat(50_000);
    let main = r#""p":"{\"a\"","#.repeat(50_000);
    let payload = format!(r#"{{"items":[{elements}{{{equal}"z":1}}],{main}"p":"{{\"a\":1}}"}}"#);
    let fields = decode(&tree, payload.as_bytes()).unwrap();
    assert_eq!(fields.get(slot), Some(&Value::Int(1)));
    assert!(fields.has_broken_texts() && fields.broken_texts().is_empty());
    // A text of a megabyte, all of it escapes.
    let long = format!(
        r#"{{"p":"{{\u0022a\u0022:\u0022{}\u0022}}"}}"#,
        r"\u0041".repeat(1 << 20)
    );
    let fields = decode(&tree, long.as_bytes()).unwrap();
    assert!(matches!(fields.get(slot), Some(Value::Str(text)) if text.len() == 1 << 20));
}

#[test]
fn depth_counts_across_texts() {
    // The object around the string, and 127 arrays in it.
    let deep = |count: usize| format!(r#"{{"p": "{}{}"}}"#, "[".repeat(count), "]".repeat(count));
    let most = DEPTH_MAX as usize - 1;
    assert!(read(&deep(most), &["p![0]"]).1.is_empty());
    check_broken(&deep(most + 1), "p!", DecodeErrorKind::TooDeep, most);
    check_broken(&deep(100_000), "p!", DecodeErrorKind::TooDeep, most);
    // Texts in texts add nothing by themselves: each is a string.
    let mut payload = "1".to_owned();
    for _ in 0..6 {
        payload = format!(r#"{{"p":{}}}"#, escaped(&payload));
    }
    let (values, broken) = read(&payload, &["p!.p!.p!.p!.p!.p!"]);
    assert_eq!((values, broken), (vec![Some(Value::Int(1))], vec![]));
}

/// All that was found, in one comparable form.
fn found(fields: &Fields<'_>, tree: &Tree) -> String {
    let slots = tree.slots.iter().map(|slot| format!("{:?}", fields.get(*slot)));
    let shapes = tree.shapes.iter().map(|shape| format!("{:?}", fields.shape(*shape)));
    let arrays = tree.arrays.iter().map(|(each, items)| match fields.each(*each) {
        Elements::Items(elements) => {
            let of = |number: usize| {
                let item = items.iter().map(move |item| {
                    (
                        elements.get(number, item.value).cloned(),
                        elements.shape(number, item.shape),
                    )
                });
                format!("{:?}", item.collect::<Vec<_>>())
            };
            (0..elements.len()).map(of).collect()
        }
        other => format!("{other:?}"),
    });
    let parts: Vec<String> = slots.chain(shapes).chain(arrays).collect();
    parts.join("\n")
}

/// The same paths, behind these steps.
fn behind(steps: &[Segment], asked: &Asked) -> Asked {
    let behind = |path: &Path| steps.iter().chain(path).cloned().collect::<Path>();
    Asked {
        paths: asked.paths.iter().map(behind).collect(),
        shapes: asked.shapes.iter().map(behind).collect(),
        arrays: asked
            .arrays
            .iter()
            .map(|(path, items)| (behind(path), items.clone()))
            .collect(),
    }
}

/// Compares what is read of `json` with what is read of it in a string, and in a string in a string.
fn check_through(json: &str, asked: &Asked, seed: u64) -> Result<(), TestCaseError> {
    let direct = asked.tree();
    let expected = decode(&direct.tree, json.as_bytes());
    let write = |document: Document| Writer::write(&document, seed, false);
    let object = |text: String| Document::Object(vec![("p".to_owned(), Document::Str(text))]);
    let once = write(object(json.to_owned()));
    let twice = write(object(write(Document::Array(vec![Document::Str(json.to_owned())]))));
    let whole = Asked {
        paths: vec![vec![]],
        shapes: vec![],
        arrays: vec![],
    };
    for (payload, steps) in [(&once, "p!"), (&twice, "p![0]!")] {
        for with_whole in [false, true] {
            let mut asked = behind(&path(steps), asked);
            // So that the text is read even if nothing is asked of it.
            asked.shapes.push(path(steps));
            if with_whole {
                asked.paths.extend(whole.paths.clone());
            }
            let mut tree = asked.tree();
            tree.shapes.pop();
            if with_whole {
                tree.slots.pop();
            }
            let fields = decode(&tree.tree, payload.as_bytes());
            let fields = fields.map_err(|error| TestCaseError::fail(format!("{error} in {payload}")))?;
            match &expected {
                Ok(direct_fields) => {
                    prop_assert_eq!(fields.broken_texts(), &[], "{} of {}", steps, payload);
                    prop_assert_eq!(
                        found(&fields, &tree),
                        found(direct_fields, &direct),
                        "{} of {}",
                        steps,
                        payload
                    );
                    prop_assert!(fields.has_unheld() || !direct_fields.has_unheld());
                }
                Err(error) => {
                    let broken: Vec<DecodeError> = fields.broken_texts().iter().map(|each| each.error).collect();
                    prop_assert_eq!(broken, [*error], "{} of {}", steps, payload);
                    for slot in &tree.slots {
                        prop_assert_eq!(fields.get(*slot), None);
                    }
                }
            }
        }
    }
    Ok(())
}

proptest! {
    // Each case decodes a dozen times.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_read_through_a_string_is_what_is_read_directly(
        document in document(), seed in any::<u64>(), asked in asked(), picks in vec(any::<u64>(), 0..8)
    ) {
        let asked = asked.also(&document, &picks);
        check_through(&Writer::write(&document, seed, false), &asked, seed)?;
    }

    #[test]
    fn an_edited_text_has_the_same_verdict_in_a_string(
        document in document(), seed in any::<u64>(), asked in asked(), picks in vec(any::<u64>(), 0..8),
        edits in vec(edit(), 1..4)
    ) {
        let asked = asked.also(&document, &picks);
        let mut json = Writer::write(&document, seed, false).into_bytes();
        for edit in &edits {
            apply(edit, &mut json);
        }
        // A string is text, whatever it holds.
        check_through(&String::from_utf8_lossy(&json), &asked, seed)?;
    }

    #[test]
    fn what_stands_in_a_string_never_decides_whether_the_payload_is_accepted(
        text in any::<String>(), seed in any::<u64>(), asked in asked()
    ) {
        check_through(&text, &asked, seed)?;
    }
}
