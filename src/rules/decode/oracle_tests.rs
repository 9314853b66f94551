//! Compares decode with serde_json on random JSON text and random paths.
//!
//! The *text* is random, not a tree of serde_json values. A tree cannot have duplicate names, escapes, white space or
//! different notations of a number. Where the two differ on purpose (`docs/reference/decode.md`), the document from
//! which the text was made defines the right result.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value as Theirs;

use crate::config::model::{Path, Segment};
use crate::output::value::{Unheld, Value as Ours};
use crate::rules::decode::*;

/// A JSON document as it is written: numbers as text, and duplicate names kept.
#[derive(Debug, Clone)]
pub(super) enum Document {
    Null,
    Bool(bool),
    Number(String),
    Str(String),
    /// A string with half of a surrogate pair, as written between its quotes.
    Half(String),
    Array(Vec<Document>),
    Object(Vec<(String, Document)>),
}

/// Only a few names, so that paths match them and objects contain them twice.
const NAMES: &[&str] = &[
    "a",
    "b",
    "id",
    "user",
    "abcdefgh",
    "abcdefghi",
    "abcdefghij",
    "größe und gewicht",
    "größe xyz gewicht",
    "",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => string()]
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9 ]{0,24}",
        1 => vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect()),
        1 => "[\"\\\\/\u{0}-\u{1f}\u{7f}aä€😀]{0,12}",
    ]
}

fn half() -> impl Strategy<Value = String> {
    let before = "([a-z😀]|\\\\n|\\\\u0061|\\\\ud83d\\\\ude00){0,6}";
    let after = "([a-zä]|\\\\t|\\\\u00e4){0,20}";
    (before, prop::sample::select(HALVES), after).prop_map(|(before, half, after)| format!("{before}{half}{after}"))
}

/// None of them forms a pair with its neighbours.
const HALVES: &[&str] = &[
    "\\ud800",
    "\\uDBFF",
    "\\udc00",
    "\\uDFFF",
    "\\ud83d\\u0041",
    "\\ud83d\\ud83d\\ude00",
    "\\ude00\\ud83d",
];

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => any::<i64>().prop_map(|int| int.to_string()),
        6 => (-1000i64..1000).prop_map(|int| int.to_string()),
        1 => Just("-0".to_owned()),
        1 => Just(u64::MAX.to_string()),
        1 => prop::sample::select(&["9223372036854775807", "9223372036854775808", "-9223372036854775808",
                                    "-9223372036854775809"][..]).prop_map(str::to_owned),
        1 => "-?[1-9][0-9]{18,30}",
        4 => "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,20}",
        4 => "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,5})?[eE][+-]?[0-9]{1,2}",
        1 => "-?[1-9](\\.[0-9])?[eE]-[0-9]{3}",
        1 => "-?[1-9][eE]\\+?[4-9][0-9]{2,20}",
    ]
}

pub(super) fn document() -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        1 => Just(Document::Null),
        1 => any::<bool>().prop_map(Document::Bool),
        3 => number().prop_map(Document::Number),
        3 => string().prop_map(Document::Str),
        1 => half().prop_map(Document::Half),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            2 => vec(inner.clone(), 0..6).prop_map(Document::Array),
            3 => vec((name(), inner), 0..7).prop_map(Document::Object),
        ]
    })
}

fn path(segments_min: usize) -> impl Strategy<Value = Path> {
    let segment = prop_oneof![
        3 => name().prop_map(Segment::Name),
        1 => (0usize..4).prop_map(Segment::Index),
    ];
    vec(segment, segments_min..4)
}

/// What is asked for: paths, and arrays with paths into their elements.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) paths: Vec<Path>,
    /// Paths for which only the shape is asked for.
    pub(super) shapes: Vec<Path>,
    /// Arrays, with paths into their elements. The shape of each of these paths is asked for too.
    pub(super) arrays: Vec<(Path, Vec<Path>)>,
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    // The empty path asks for everything, which hides errors of the walk. So only some cases have it.
    let paths = prop_oneof![4 => vec(path(1), 0..16), 1 => vec(path(0), 0..6)];
    (paths, vec(path(0), 0..4), vec((path(0), vec(path(0), 0..4)), 0..3)).prop_map(|(paths, shapes, arrays)| Asked {
        paths,
        shapes,
        arrays,
    })
}

impl Asked {
    /// Adds paths that exist in the document: random paths rarely match one. Each of `picks` chooses a way into it and
    /// where it ends.
    pub(super) fn also(mut self, document: &Document, picks: &[u64]) -> Asked {
        for pick in picks {
            let mut path = Path::new();
            let (mut here, mut way) = (document, *pick);
            while !way.is_multiple_of(4) {
                way /= 4;
                let child = |len: usize| usize::try_from(way % 8).unwrap() % len;
                here = match here {
                    Document::Array(elements) if !elements.is_empty() => {
                        path.push(Segment::Index(child(elements.len())));
                        &elements[child(elements.len())]
                    }
                    Document::Object(members) if !members.is_empty() => {
                        let (name, value) = &members[child(members.len())];
                        path.push(Segment::Name(name.clone()));
                        value
                    }
                    _ => break,
                };
                way /= 8;
            }
            match here {
                _ if pick % 5 == 0 => self.shapes.push(path),
                Document::Array(_) if pick % 3 == 0 => self.arrays.push((path, vec![vec![]])),
                _ if !path.is_empty() => self.paths.push(path),
                _ => {}
            }
        }
        self
    }
}

/// The tree for `Asked`, with the numbers of its paths.
pub(super) struct Tree {
    pub(super) tree: PathTree,
    pub(super) slots: Vec<SlotId>,
    pub(super) shapes: Vec<ShapeId>,
    pub(super) arrays: Vec<(EachId, Vec<ItemSlots>)>,
}

/// One path inside elements.
pub(super) struct ItemSlots {
    pub(super) value: ItemSlotId,
    pub(super) shape: ItemShapeId,
}

impl Asked {
    pub(super) fn tree(&self) -> Tree {
        let mut builder = PathTreeBuilder::new();
        let slots = self.paths.iter().map(|path| builder.slot(path)).collect();
        let shapes = self.shapes.iter().map(|path| builder.shape(path)).collect();
        let mut arrays = Vec::new();
        for (path, items) in &self.arrays {
            let each = builder.each(path);
            let slots = items.iter().map(|item| ItemSlots {
                value: builder.item_slot(each, item),
                shape: builder.item_shape(each, item),
            });
            arrays.push((each, slots.collect()));
        }
        Tree {
            tree: builder.build(),
            slots,
            shapes,
            arrays,
        }
    }
}

/// Writes a document. `seed` chooses white space and escapes.
pub(super) struct Writer {
    out: String,
    seed: u64,
    /// For serde_json: it refuses numbers beyond `f64` and half pairs everywhere, and reads integers beyond 64 bits as
    /// floats. A string that names the value replaces each of these.
    tame: bool,
}

impl Writer {
    pub(super) fn write(document: &Document, seed: u64, tame: bool) -> String {
        let mut writer = Writer {
            out: String::new(),
            seed,
            tame,
        };
        writer.space();
        writer.document(document);
        writer.space();
        writer.out
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.seed = self
            .seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.seed >> 33).is_multiple_of(one_in)
    }

    fn space(&mut self) {
        while self.chance(4) {
            let space = if self.chance(2) {
                ' '
            } else if self.chance(2) {
                '\n'
            } else if self.chance(2) {
                '\t'
            } else {
                '\r'
            };
            self.out.push(space);
        }
    }

    fn string(&mut self, string: &str) {
        self.out.push('"');
        for character in string.chars() {
            let short = match character {
                '"' => Some('"'),
                '\\' => Some('\\'),
                '/' => Some('/'),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                _ => None,
            };
            let must = character < ' ' || character == '"' || character == '\\';
            match short {
                Some(letter) if self.chance(2) || (must && !self.chance(3)) => {
                    self.out.push('\\');
                    self.out.push(letter);
                }
                _ if must || self.chance(12) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let upper = self.chance(2);
                        let hex = if upper {
                            format!("\\u{unit:04X}")
                        } else {
                            format!("\\u{unit:04x}")
                        };
                        self.out.push_str(&hex);
                    }
                }
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }

    fn document(&mut self, document: &Document) {
        match document {
            Document::Null => self.out.push_str("null"),
            Document::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Document::Number(text) if self.tame && unheld_number(text).is_some() => {
                let named = unheld_number(text).map(|what| named(what, text)).unwrap_or_default();
                self.string(&named);
            }
            Document::Number(text) => self.out.push_str(text),
            Document::Half(raw) if self.tame => self.string(&named(Unheld::HalfPair, raw)),
            Document::Half(raw) => {
                self.out.push('"');
                self.out.push_str(raw);
                self.out.push('"');
            }
            Document::Str(string) => self.string(string),
            Document::Array(elements) => {
                self.out.push('[');
                self.space();
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                        self.space();
                    }
                    self.document(element);
                    self.space();
                }
                self.out.push(']');
            }
            Document::Object(members) => {
                self.out.push('{');
                self.space();
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                        self.space();
                    }
                    self.string(name);
                    self.space();
                    self.out.push(':');
                    self.space();
                    self.document(value);
                    self.space();
                }
                self.out.push('}');
            }
        }
    }
}

fn is_float(text: &str) -> bool {
    text.contains(['.', 'e', 'E'])
}

/// Whether no record can hold a number, and why.
fn unheld_number(text: &str) -> Option<Unheld> {
    if is_float(text) {
        text.parse::<f64>().unwrap().is_infinite().then_some(Unheld::Float)
    } else {
        text.parse::<i64>().is_err().then_some(Unheld::Integer)
    }
}

/// No string of a document begins with this text: the strategies can create its beginning, but never all of it.
const MARK: &str = "\u{1}\u{2}unheld ";

fn named(what: Unheld, text: &str) -> String {
    format!("{MARK}{what:?} {text}")
}

fn unheld_in(document: &Document) -> bool {
    match document {
        Document::Number(text) => unheld_number(text).is_some(),
        Document::Half(_) => true,
        Document::Array(elements) => elements.iter().any(unheld_in),
        Document::Object(members) => members.iter().any(|(_, value)| unheld_in(value)),
        Document::Null | Document::Bool(_) | Document::Str(_) => false,
    }
}

fn has_unheld(fields: &Fields<'_>) -> bool {
    fn within(value: &Ours<'_>) -> bool {
        match value {
            Ours::Unheld { .. } => true,
            Ours::List(elements) => elements.iter().any(within),
            Ours::Map(members) => members.iter().any(|(_, value)| within(value)),
            _ => false,
        }
    }
    let items = fields.each.iter().flat_map(|each| &each.items);
    fields.slots.iter().chain(items).flatten().any(within)
}

fn follow<'t>(theirs: &'t Theirs, path: &[Segment]) -> Option<&'t Theirs> {
    path.iter().try_fold(theirs, |value, segment| match segment {
        Segment::Name(name) => value.as_object()?.get(name),
        Segment::Index(index) => value.as_array()?.get(*index),
        Segment::Json => None,
    })
}

fn same(ours: &Ours<'_>, theirs: &Theirs) -> bool {
    match (ours, theirs) {
        (Ours::Null, Theirs::Null) => true,
        (Ours::Bool(ours), Theirs::Bool(theirs)) => ours == theirs,
        (Ours::Str(ours), Theirs::String(theirs)) => ours == theirs && !ours.starts_with(MARK),
        // serde_json reads -0 as a float.
        (Ours::Int(0), Theirs::Number(theirs)) => theirs.as_f64() == Some(0.0),
        (Ours::Int(ours), Theirs::Number(theirs)) => theirs.as_i64() == Some(*ours),
        (Ours::Unheld { what, text }, Theirs::String(theirs)) => named(*what, text) == *theirs,
        (Ours::Float(ours), Theirs::Number(theirs)) => theirs.is_f64() && near(*ours, theirs),
        (Ours::List(ours), Theirs::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Ours::Map(ours), Theirs::Object(theirs)) => {
            // The lengths are equal and every name of ours is in theirs, so each name occurs once.
            let names: std::collections::HashSet<&str> = ours.iter().map(|(name, _)| &**name).collect();
            names.len() == ours.len()
                && ours.len() == theirs.len()
                && ours
                    .iter()
                    .all(|(name, ours)| theirs.get(&**name).is_some_and(|theirs| same(ours, theirs)))
        }
        _ => false,
    }
}

/// serde_json may round the last bit of a float wrongly (it has a feature that avoids this).
fn near(ours: f64, theirs: &serde_json::Number) -> bool {
    let theirs = theirs.as_f64().unwrap();
    ours.to_bits().abs_diff(theirs.to_bits()) <= 2
}

#[track_caller]
fn check_same(ours: Option<&Ours<'_>>, theirs: Option<&Theirs>, what: &dyn std::fmt::Debug) {
    let same = match (ours, theirs) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => same(ours, theirs),
        _ => false,
    };
    assert!(same, "{what:?}: ours {ours:?}, theirs {theirs:?}");
}

fn check_shape(ours: Option<Shape>, theirs: Option<&Theirs>, what: &dyn std::fmt::Debug) {
    let theirs = theirs.map(|theirs| match theirs {
        Theirs::Object(_) => Shape::Object,
        Theirs::Array(_) => Shape::Array,
        _ => Shape::Scalar,
    });
    assert_eq!(ours, theirs, "{what:?}");
}

fn check_elements(fields: &Fields<'_>, each: EachId, slots: &[ItemSlots], items: &[Path], theirs: Option<&Theirs>) {
    match (fields.each(each), theirs) {
        (Elements::Missing, None) | (Elements::Null, Some(Theirs::Null)) => {}
        (Elements::NotAnArray(name), Some(theirs)) => {
            let right = match theirs {
                Theirs::Bool(_) => name == "boolean",
                Theirs::String(text) if text.starts_with(MARK) => text.starts_with(&named(
                    match name {
                        "integer" => Unheld::Integer,
                        "float" => Unheld::Float,
                        _ => Unheld::HalfPair,
                    },
                    "",
                )),
                Theirs::String(_) => name == "string",
                Theirs::Object(_) => name == "object",
                // serde_json reads -0 as a float.
                Theirs::Number(number) if number.is_f64() => {
                    name == "float" || (name == "integer" && number.as_f64() == Some(0.0))
                }
                Theirs::Number(_) => name == "integer",
                Theirs::Null | Theirs::Array(_) => false,
            };
            assert!(right, "{name} for {theirs:?}");
        }
        (Elements::Items(ours), Some(Theirs::Array(theirs))) => {
            assert_eq!(ours.len(), theirs.len());
            for (index, theirs) in theirs.iter().enumerate() {
                for (slot, path) in slots.iter().zip(items) {
                    check_same(ours.get(index, slot.value), follow(theirs, path), &(index, path));
                    check_shape(ours.shape(index, slot.shape), follow(theirs, path), &(index, path));
                }
            }
        }
        (ours, theirs) => panic!("ours {ours:?}, theirs {theirs:?}"),
    }
}

/// The payload without a byte order mark, and with a whole character for each half of a pair. Decode accepts both;
/// serde_json does not.
fn tamed(payload: &[u8]) -> Vec<u8> {
    let payload = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload);
    let unit = |at: usize| -> Option<u32> {
        let digits = payload.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        is_hex.then(|| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
    };
    let mut tamed = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let taken = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                tamed.extend_from_slice(b"\\ufffd");
                at += 6;
                continue;
            }
            _ if payload[at] == b'\\' => 2,
            _ => 1,
        };
        tamed.extend_from_slice(&payload[at..payload.len().min(at + taken)]);
        at += taken;
    }
    tamed
}

/// Checks that both accept `payload` or both refuse it, and that the paths asked for make no difference.
fn check_acceptance(payload: &[u8], asked: &Asked) {
    let nothing = decode(&PathTreeBuilder::new().build(), payload).map(|_| ());
    let whole = Asked {
        paths: vec![vec![]],
        shapes: vec![],
        arrays: vec![],
    };
    for asked in [asked, &whole] {
        let result = decode(&asked.tree().tree, payload).map(|_| ());
        assert_eq!(nothing, result, "{asked:?}");
    }
    match serde_json::from_slice::<Theirs>(&tamed(payload)) {
        Ok(_) => assert_eq!(nothing, Ok(())),
        // A number beyond f64: we accept it, and serde_json stops there.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(error) => assert!(nothing.is_err(), "they say: {error}"),
    }
}

/// One change to a payload.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Flip(usize, u8),
    Replace(usize, u8),
    Insert(usize, &'static str),
    Remove(usize, usize),
    Cut(usize),
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), 0u8..8).prop_map(|(at, bit)| Edit::Flip(at, 1 << bit)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (any::<usize>(), prop::sample::select(TOKENS)).prop_map(|(at, token)| Edit::Insert(at, token)),
        (any::<usize>(), 1usize..4).prop_map(|(at, len)| Edit::Remove(at, len)),
        any::<usize>().prop_map(Edit::Cut),
    ]
}

pub(super) fn apply(edit: &Edit, payload: &mut Vec<u8>) {
    let len = payload.len();
    if len == 0 {
        return;
    }
    match *edit {
        Edit::Flip(at, bit) => payload[at % len] ^= bit,
        Edit::Replace(at, byte) => payload[at % len] = byte,
        Edit::Insert(at, token) => drop(payload.splice(at % len..at % len, token.bytes())),
        Edit::Remove(at, count) => drop(payload.drain(at % len..len.min(at % len + count))),
        Edit::Cut(at) => payload.truncate(at % len),
    }
}

/// Tokens of JSON, and texts that look like them.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"a\"",
    "\"b\":",
    "\"id\":{",
    "[1,",
    "1",
    "0",
    "-",
    ".",
    "e",
    "E+",
    "1.5",
    "true",
    "false",
    "null",
    "tru",
    "\\",
    "\\\"",
    "\\u",
    "\\u0061",
    "\\ud83d",
    "\\ude00",
    "d8",
    " ",
    "\n",
    "\t",
    "\u{0}",
    "\u{1f}",
    "ä",
    "😀",
    "\u{feff}",
    "//",
    "NaN",
    "99999999999999999999",
    "1e999",
    "abcdefgh",
];

proptest! {
    #[test]
    fn every_field_is_what_serde_json_says(
        document in document(), seed in any::<u64>(), asked in asked(), picks in vec(any::<u64>(), 0..8)
    ) {
        let asked = asked.also(&document, &picks);
        let text = Writer::write(&document, seed, false);
        let tree = asked.tree();
        match decode(&tree.tree, text.as_bytes()) {
            Err(error) => prop_assert!(false, "{error} in {text}"),
            Ok(fields) => {
                let found = has_unheld(&fields);
                prop_assert!(fields.has_unheld() || !found, "what no record can hold is not told of {text}");
                prop_assert!(unheld_in(&document) || !fields.has_unheld(), "it is told of {text}");
                let theirs = Writer::write(&document, seed, true);
                let theirs: Theirs = serde_json::from_str(&theirs).expect("the writer writes JSON");
                for (slot, path) in tree.slots.iter().zip(&asked.paths) {
                    check_same(fields.get(*slot), follow(&theirs, path), path);
                }
                for (shape, path) in tree.shapes.iter().zip(&asked.shapes) {
                    check_shape(fields.shape(*shape), follow(&theirs, path), path);
                }
                for ((each, slots), (path, items)) in tree.arrays.iter().zip(&asked.arrays) {
                    check_elements(&fields, *each, slots, items, follow(&theirs, path));
                }
            }
        }
    }

    #[test]
    fn an_edited_document_is_accepted_if_and_only_if_serde_json_accepts_it(
        document in document(), seed in any::<u64>(), asked in asked(), picks in vec(any::<u64>(), 0..8),
        edits in vec(edit(), 1..4)
    ) {
        let asked = asked.also(&document, &picks);
        let mut payload = Writer::write(&document, seed, false).into_bytes();
        for edit in &edits {
            apply(edit, &mut payload);
        }
        check_acceptance(&payload, &asked);
    }

    #[test]
    fn tokens_in_any_order_are_accepted_if_and_only_if_serde_json_accepts_them(
        tokens in vec(prop::sample::select(TOKENS), 0..12), asked in asked()
    ) {
        check_acceptance(tokens.concat().as_bytes(), &asked);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..64), asked in asked()) {
        check_acceptance(&bytes, &asked);
    }

    #[test]
    fn depth_is_counted_the_same_whatever_is_asked_for(
        objects in vec(any::<bool>(), 120..140), name in name(), asked in asked()
    ) {
        let mut text = String::new();
        for object in &objects {
            text.push_str(&if *object { format!("{{{}:", serde_json::json!(name)) } else { "[".to_owned() });
        }
        text.push('0');
        for object in objects.iter().rev() {
            text.push(if *object { '}' } else { ']' });
        }
        let accepted = objects.len() <= DEPTH_MAX as usize;
        let whole = Asked { paths: vec![vec![]], shapes: vec![], arrays: vec![] };
        let nothing = Asked { paths: vec![], shapes: vec![], arrays: vec![] };
        for asked in [&asked, &whole, &nothing] {
            let result = decode(&asked.tree().tree, text.as_bytes());
            prop_assert_eq!(result.is_ok(), accepted);
            if let Err(error) = result {
                prop_assert_eq!(error.kind, DecodeErrorKind::TooDeep);
            }
        }
        // We allow one level more than serde_json.
        let theirs = serde_json::from_str::<Theirs>(&text);
        prop_assert_eq!(theirs.is_ok(), objects.len() < DEPTH_MAX as usize);
    }
}
