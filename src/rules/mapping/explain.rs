//! Explains a rejected message: what its payload looks like, and what was found where a field should be. Adds the cure,
//! if there is one.
//!
//! Runs for rejected messages only. Its texts contain only types, paths of the configuration and names of known
//! formats, nothing else of a message.

use super::compile::{Rooted, display_path};
use super::{Reason, Rejection};
use crate::config::model::{Format, Path, Segment};
use crate::message::{DEPTH_MAX, DecodeErrorKind, Syntax};
use crate::output::value::Value;
use crate::rules::decode::{self, BYTE_ORDER_MARK, BrokenText, DecodeError, Elements, PathTree, PathTreeBuilder};

/// A zero byte and a schema id.
const REGISTRY_PREFIX_BYTES: usize = 5;

const PLAIN_JSON: &str = "have the producer send plain JSON";
const KEY_JSON: &str = "have the producer write the key as plain JSON";
const UTF_8: &str = "JSON in Kafka is UTF-8: have the producer send it so";
const TEXT_ALONE: &str = "have the producer send the text alone";
const CUT: Guess = (
    "JSON that is cut off",
    "see what cuts long messages, at the producer or on the way",
);
const NOT_COMPRESSED: &str =
    "have the producer send the JSON itself; what its compression.type does is undone before it is read";
const REGISTRY_JSON: &str =
    "have the producer use the registry's JSON Schema serializer, and set kafka.format = \"json_sr\"";

/// What a payload looks like, and the cure.
type Guess = (&'static str, &'static str);

/// The JSON text of a payload.
pub(super) fn text(payload: &[u8], format: Format) -> Result<&[u8], Rejection> {
    match (format, payload) {
        (Format::Json, _) => Ok(payload),
        (Format::JsonSchemaRegistry, [0, _, _, _, _, text @ ..]) => Ok(text),
        (Format::JsonSchemaRegistry, _) => Err(no_prefix(payload)),
    }
}

#[cold]
fn no_prefix(payload: &[u8]) -> Rejection {
    let found = match payload {
        [] => "is empty".to_owned(),
        [0, ..] => format!("has {} bytes", payload.len()),
        [first, ..] => format!("begins with 0x{first:02x}"),
    };
    let why = match guess(payload) {
        _ if begins_as_json(payload) => "; it looks like plain JSON: set kafka.format = \"json\"".to_owned(),
        Some((what, cure)) => format!("; it looks like {what}: {cure}"),
        None => String::new(),
    };
    let detail = format!(
        "kafka.format is json_sr, but the payload does not begin with a zero byte and a schema id of 4 bytes: it {found}{why}"
    );
    Rejection::new(Reason::NoRegistryPrefix, detail)
}

/// Why `payload` cannot be read. `error` refers to its text.
#[cold]
pub(super) fn undecodable(mut error: DecodeError, payload: &[u8], format: Format, refuses_mark: bool) -> Rejection {
    let text_at = match format {
        Format::Json => 0,
        Format::JsonSchemaRegistry => REGISTRY_PREFIX_BYTES,
    };
    let text = payload.get(text_at..).unwrap_or_default();
    let near = error;
    error.at += text_at;
    let looks = match format {
        _ if refuses_mark && text.starts_with(BYTE_ORDER_MARK) => {
            "; it begins with a byte order mark, which kafka.byte_order_mark = \"reject\" refuses".to_owned()
        }
        _ if error.kind == DecodeErrorKind::Empty => String::new(),
        Format::Json => looks_like(guess(payload).or_else(|| slip(text, near))),
        Format::JsonSchemaRegistry => looks_like(guess_behind_prefix(text).or_else(|| slip(text, near))),
    };
    let mut rejection = Rejection::from(error);
    rejection.detail.push_str(&looks);
    rejection
}

/// The same for a message key.
#[cold]
pub(super) fn undecodable_key(error: DecodeError, key: &[u8]) -> Rejection {
    let looks = match key {
        [0, _, _, _, _, text @ ..] if begins_as_json(text) => {
            "; it looks like a schema registry's prefix and JSON: kafka.format is for payloads only, so have the producer write \
             the key as plain JSON"
                .to_owned()
        }
        // The sizes that Kafka's LongSerializer and IntegerSerializer write.
        [0, 0, 0, 0, _, _, _, _] => looks_like(Some((
            "a number of 8 bytes, or Avro or Protobuf behind the 5 bytes of a schema registry",
            KEY_JSON,
        ))),
        [0, _, _, _] => looks_like(Some(("a number of 4 bytes", KEY_JSON))),
        // Settings that are for payloads do not help for a key.
        _ => looks_like(guess(key).or_else(|| slip(key, error)).map(|(what, cure)| match cure {
            cure if cure.contains("kafka.format") => (what, KEY_JSON),
            cure => (what, cure),
        })),
    };
    let error = error.to_string().replace("the payload is", "it is");
    let detail = format!("the message key is read as JSON: {error}{looks}");
    Rejection::new(Reason::KeyNotJson, detail)
}

fn looks_like(guess: Option<Guess>) -> String {
    match guess {
        Some((what, cure)) => format!("; it looks like {what}: {cure}"),
        None => String::new(),
    }
}

/// What bytes that are no JSON look like, without the cure: for those who look at samples.
pub(crate) fn looks_like_what(payload: &[u8]) -> &'static str {
    let slipped = || {
        let error = decode::decode(&PathTreeBuilder::new().build(), payload).err()?;
        slip(payload, error)
    };
    guess(payload)
        .or_else(slipped)
        .map_or_else(|| unknown(payload), |(what, _)| what)
}

/// Bytes that begin like nothing that is known.
fn unknown(payload: &[u8]) -> &'static str {
    let is_text = |text: &str| !text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace());
    match str::from_utf8(payload) {
        Ok("") => "an empty payload",
        Ok(text) if is_text(text) => "text, not JSON",
        _ => "bytes of an unknown form",
    }
}

/// Guesses the format from the first bytes.
fn guess(payload: &[u8]) -> Option<Guess> {
    const MAGIC: &[(&[u8], Guess)] = &[
        (b"\xff\xfe\x00\x00", ("UTF-32", UTF_8)),
        (b"\x00\x00\xfe\xff", ("UTF-32", UTF_8)),
        (b"\xff\xfe", ("UTF-16", UTF_8)),
        (b"\xfe\xff", ("UTF-16", UTF_8)),
        (b"\x1f\x8b", ("gzip", NOT_COMPRESSED)),
        (b"\x28\xb5\x2f\xfd", ("zstd", NOT_COMPRESSED)),
        (b"\x04\x22\x4d\x18", ("an lz4 frame", NOT_COMPRESSED)),
        (b"\xff\x06\x00\x00sNaPpY", ("a snappy stream", NOT_COMPRESSED)),
        (b"\x82SNAPPY\x00", ("a snappy stream", NOT_COMPRESSED)),
        (b"BZh", ("bzip2", NOT_COMPRESSED)),
        (b"\xfd7zXZ\x00", ("xz", NOT_COMPRESSED)),
        (b"PK\x03\x04", ("a zip archive", NOT_COMPRESSED)),
        (b"\x78\x01", ("zlib", NOT_COMPRESSED)),
        (b"\x78\x9c", ("zlib", NOT_COMPRESSED)),
        (b"\x78\xda", ("zlib", NOT_COMPRESSED)),
        (b"Obj\x01", ("an Avro container file", PLAIN_JSON)),
        (b"\xc3\x01", ("Avro (a single object)", PLAIN_JSON)),
        (b"PAR1", ("a Parquet file", PLAIN_JSON)),
        (b"\xac\xed\x00\x05", ("a serialized Java object", PLAIN_JSON)),
        (b":)\n", ("Smile", PLAIN_JSON)),
        (b"\xd9\xd9\xf7", ("CBOR", PLAIN_JSON)),
        (b"<", ("XML or HTML", PLAIN_JSON)),
        (
            b"eyJ",
            ("base64 of a JSON object", "have the producer send the JSON itself"),
        ),
    ];
    if let Some((_, guess)) = MAGIC.iter().find(|(magic, _)| payload.starts_with(magic)) {
        return Some(*guess);
    }
    let ascii = |byte: u8| (b'\t'..0x7f).contains(&byte);
    match payload {
        [0, text @ ..] if is_object_or_array(text) => Some(("JSON behind a zero byte", TEXT_ALONE)),
        [a, b, c, d, text @ ..]
            if usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])) == Ok(text.len()) && is_object_or_array(text) =>
        {
            Some(("JSON behind its length in 4 bytes", TEXT_ALONE))
        }
        [a, 0, 0, 0, b, 0, 0, 0, ..] | [0, 0, 0, a, 0, 0, 0, b, ..] if ascii(*a) && ascii(*b) => {
            Some(("UTF-32", UTF_8))
        }
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] if ascii(*a) && ascii(*b) => Some(("UTF-16", UTF_8)),
        [0, _, _, _, _, text @ ..] if begins_as_json(text) => Some((
            "JSON behind the 5 bytes of a schema registry",
            "set kafka.format = \"json_sr\"",
        )),
        [0, _, _, _, _, _, _, _, _, text @ ..] if begins_as_json(text) => Some((
            "JSON behind a zero byte and an 8-byte schema id (Apicurio)",
            "have its serializer write ids of 4 bytes, and set kafka.format = \"json_sr\"",
        )),
        // The id is below 16,777,216 in all registries that count from 1.
        [0, 0, _, _, _, _, ..] => Some((
            "Avro or Protobuf behind the 5 bytes of a schema registry",
            REGISTRY_JSON,
        )),
        [3, 0 | 5, rest @ ..] if rest.len() > 16 => Some((
            "a message with the 18 bytes of the AWS Glue Schema Registry in front",
            PLAIN_JSON,
        )),
        // A map whose first key is a string.
        [0x80..=0x8f, 0xa0..=0xbf | 0xd9, ..]
        | [0xde, _, _, 0xa0..=0xbf | 0xd9, ..]
        | [0xdf, _, _, _, _, 0xa0..=0xbf | 0xd9, ..] => Some(("MessagePack", PLAIN_JSON)),
        [0xa1..=0xb7 | 0xbf, 0x60..=0x78, ..] | [0xb8, _, 0x60..=0x78, ..] => Some(("CBOR", PLAIN_JSON)),
        _ if is_bson(payload) => Some(("BSON", PLAIN_JSON)),
        _ if is_raw_snappy(payload) => Some(("snappy", NOT_COMPRESSED)),
        _ => None,
    }
}

/// Guesses the format of the bytes after a schema id.
fn guess_behind_prefix(text: &[u8]) -> Option<Guess> {
    match text {
        [_, _, _, _, json @ ..] if !begins_as_json(text) && begins_as_json(json) => Some((
            "JSON behind a zero byte and an 8-byte schema id (Apicurio)",
            "have its serializer write ids of 4 bytes",
        )),
        _ if begins_as_json(text) => None,
        // Bytes with a magic number of their own, or a text with a mistake.
        [first, ..] if *first != 0 && guess(text).is_some() => guess(text),
        [first, ..] if std::str::from_utf8(text).is_err() || *first < b' ' => Some((
            "Avro or Protobuf behind the schema id",
            "have the producer use the registry's JSON Schema serializer",
        )),
        _ => None,
    }
}

/// Its own length at the start, and a zero byte at the end.
fn is_bson(payload: &[u8]) -> bool {
    let length = payload.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
    length.is_some_and(|length| usize::try_from(length) == Ok(payload.len()))
        && payload.len() > 4
        && payload.last() == Some(&0)
}

/// The length as a varint, then a literal that begins as JSON does.
fn is_raw_snappy(payload: &[u8]) -> bool {
    let Some(end) = payload.iter().take(5).position(|byte| byte & 0x80 == 0) else {
        return false;
    };
    let literal = match payload.get(end + 1..) {
        Some([0xf0, _, literal @ ..] | [0xf4, _, _, literal @ ..]) => literal,
        Some([tag, literal @ ..]) if tag & 3 == 0 && *tag < 0xf0 => literal,
        _ => return false,
    };
    matches!(literal, [b'{' | b'[', b'"' | b'{' | b'[' | b' ' | b'\n', ..])
}

/// A frequent mistake at the position of `error`.
fn slip(text: &[u8], error: DecodeError) -> Option<Guess> {
    let at = text.get(error.at..).unwrap_or_default();
    let before = text.get(..error.at).unwrap_or_default();
    match error.kind {
        DecodeErrorKind::NotUtf8 if begins_as_json(text) && ends_inside_a_character(text) => Some(CUT),
        DecodeErrorKind::NotUtf8 if begins_as_json(text) => Some((
            "JSON in another encoding, such as ISO-8859-1",
            "have the producer write UTF-8",
        )),
        DecodeErrorKind::TrailingBytes => match at {
            [0, ..] => Some(("a text with a zero byte behind it", TEXT_ALONE)),
            [b'/', b'/' | b'*', ..] => Some(COMMENT),
            [b'{' | b'[' | b'"', ..] => Some((
                "several JSON values in one message",
                "have the producer send a message for each",
            )),
            _ => None,
        },
        DecodeErrorKind::NotJson(Syntax::UnexpectedByte(b'\'')) => Some((
            "an object in single quotes, as Python prints it",
            "have the producer write JSON, e.g. with json.dumps",
        )),
        DecodeErrorKind::NotJson(Syntax::UnexpectedByte(b'}' | b']')) if before.trim_ascii_end().ends_with(b",") => {
            Some((
                "JSON with a comma behind the last element",
                "have the producer leave that comma out",
            ))
        }
        DecodeErrorKind::NotJson(Syntax::UnexpectedByte(b'/')) if at.starts_with(b"//") || at.starts_with(b"/*") => {
            Some(COMMENT)
        }
        DecodeErrorKind::NotJson(Syntax::UnexpectedByte(0xef)) if before == BYTE_ORDER_MARK => Some((
            "a text with two byte order marks in front",
            "have the producer write none",
        )),
        DecodeErrorKind::NotJson(Syntax::UnexpectedEnd) => match without_mark_and_space(text) {
            [] if text.starts_with(BYTE_ORDER_MARK) => Some((
                "a byte order mark with nothing behind it",
                "have the producer send JSON, or no payload for a tombstone",
            )),
            [] => Some((
                "white space alone",
                "have the producer send JSON, or no payload for a tombstone",
            )),
            [b'{' | b'[', ..] => Some(CUT),
            _ => None,
        },
        DecodeErrorKind::NotJson(_) => {
            let name = at
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'));
            let behind = at.get(name.count()..).unwrap_or_default();
            let is_name = before.trim_ascii_end().ends_with(b"{") || before.trim_ascii_end().ends_with(b",");
            let is_name = is_name && behind.len() < at.len();
            let begins = |words: &[&str]| words.iter().any(|word| at.starts_with(word.as_bytes()));
            // For a word that begins like a word of JSON, the position is inside the word.
            let inside = at.starts_with(b"an") && before.ends_with(b"n");
            if is_name && behind.trim_ascii_start().starts_with(b":") {
                Some((
                    "an object whose names have no quotes, as JavaScript writes it",
                    "have the producer write JSON, e.g. with JSON.stringify",
                ))
            } else if is_name && behind.starts_with(b"=") || (before.is_empty() && begins(&["Struct{"])) {
                Some((
                    "an object as Java prints it",
                    "have the producer write JSON, in Kafka Connect with the JsonConverter",
                ))
            } else if begins(&["NaN", "nan", "Infinity", "inf"]) || inside {
                Some((
                    "NaN or Infinity, which JSON has not",
                    "have the producer write null (in Python: allow_nan=False)",
                ))
            } else if begins(&["None", "True", "False"]) {
                Some((
                    "an object as Python prints it",
                    "have the producer write JSON, e.g. with json.dumps",
                ))
            } else if begins(&["undefined"]) {
                Some(("undefined, which JSON has not", "have the producer write null"))
            } else {
                None
            }
        }
        _ => None,
    }
}

/// A string that should hold JSON and does not. `whole`: how paths of the key begin in the file; empty for the payload.
#[cold]
pub(super) fn broken_text(tree: &PathTree, broken: &BrokenText, whole: &str) -> Rejection {
    let BrokenText { text, element, error } = *broken;
    let mut path = whole.to_owned();
    if let Some(each) = text.each() {
        path = format!("{}[{element}]", display_path(tree.each_path(each)));
    }
    let own = display_path(tree.text_path(text));
    if !path.is_empty() && !own.is_empty() && !own.starts_with('[') {
        path.push('.');
    }
    path.push_str(&own);
    let place = match path.as_str() {
        "" => "the text of the payload".to_owned(),
        path => format!("the text in the string {path}"),
    };
    let why = match error.kind {
        DecodeErrorKind::Empty => "is empty".to_owned(),
        DecodeErrorKind::NotUtf8 => "is not UTF-8".to_owned(),
        DecodeErrorKind::NotJson(syntax) => format!("is not JSON: {syntax}"),
        DecodeErrorKind::TrailingBytes => "is not JSON: something follows the value".to_owned(),
        DecodeErrorKind::TooDeep => {
            format!("has more than {DEPTH_MAX} arrays and objects inside one another, together with those around it")
        }
    };
    let detail = format!(
        "{place} {why}, at byte {} of this text; cure: have the producer write JSON there (or null), \
         or a `when` that leaves such messages out",
        error.at
    );
    Rejection::new(Reason::Payload(error.kind), detail)
}

const COMMENT: Guess = (
    "JSON with a comment, which JSON has not",
    "have the producer leave comments out",
);

fn ends_inside_a_character(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_err_and(|error| error.error_len().is_none())
}

/// Whether the whole text is an object or array.
fn is_object_or_array(text: &[u8]) -> bool {
    matches!(text, [b'{' | b'[', ..]) && decode::decode(&PathTreeBuilder::new().build(), text).is_ok()
}

fn without_mark_and_space(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start()
}

/// Whether the text begins like an object or array, or is a whole JSON text.
fn begins_as_json(text: &[u8]) -> bool {
    match without_mark_and_space(text) {
        [b'{', rest @ ..] => matches!(rest.trim_ascii_start(), [] | [b'"' | b'}', ..]),
        [b'[', ..] => decode::decode(&PathTreeBuilder::new().build(), text).is_ok(),
        [b'"', ..] => decode::decode(&PathTreeBuilder::new().build(), text).is_ok(),
        _ => false,
    }
}

/// The type of `text` as a whole, if it is not an object.
#[cold]
pub(super) fn no_object(text: &[u8]) -> Option<&'static str> {
    Some(match without_mark_and_space(text).first()? {
        b'{' => return None,
        b'[' => "an array",
        b'"' => string(times_encoded(text, &[])),
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    })
}

const TWICE: &str = "a string that holds JSON (the producer encoded it twice)";
const MORE: &str = "a string that holds a string that holds JSON";

/// What a string is, by how often the value in it was encoded.
fn string(times: usize) -> &'static str {
    match times {
        0 => "a string",
        1 => TWICE,
        _ => MORE,
    }
}

/// How many strings are around an object or array: 1 for a string that holds JSON, 2 for a string that holds such a
/// string. 0 if there is no string at `path`, or if it holds no object or array in the end. A step into a text at the
/// end of `path` counts, too.
fn times_encoded(text: &[u8], path: &[Segment]) -> usize {
    const TIMES_MAX: usize = 8;
    let before = usize::from(path.last() == Some(&Segment::Json));
    let mut held = string_at(text, path);
    for times in 1..=TIMES_MAX {
        let Some(inner) = held else { return 0 };
        match inner.trim_start().as_bytes() {
            [b'{' | b'[', ..] => {
                let is_json = decode::decode(&PathTreeBuilder::new().build(), inner.as_bytes()).is_ok();
                return if is_json { before + times } else { 0 };
            }
            _ => held = string_at(inner.as_bytes(), &[]),
        }
    }
    0
}

fn string_at(text: &[u8], path: &[Segment]) -> Option<String> {
    let mut builder = PathTreeBuilder::new();
    let slot = builder.slot(path);
    let fields = decode::decode(&builder.build(), text).ok()?;
    match fields.get(slot) {
        Some(Value::Str(inner)) => Some(inner.to_string()),
        _ => None,
    }
}

/// Why nothing is found at `at`, if the cause is a step before the last one: `: after is null, not an object`.
#[cold]
pub(super) fn why_missing(text: &[u8], at: &Rooted) -> String {
    let mut why = missing_in(text, &at.path, "the payload", "", &|parent| cure_of_string(parent, at));
    why.push_str(&in_an_envelope(text, at).unwrap_or_default());
    why
}

const ENCODE_ONCE: &str = "have the producer encode it once; a route reads one string in one place";

/// What to do about a string that holds JSON where an object is expected. `parent`: the string, from the top.
fn cure_of_string(parent: &[Segment], at: &Rooted) -> String {
    match parent.get(at.root..) {
        None => from_the_top(&display_path(&at.path), &[parent]),
        Some([]) if at.root == 0 => "json_strings = [\"@value\"] in the route".to_owned(),
        Some([]) => format!(
            "root = {{ path = \"{}\", as = \"json\" }} in the route",
            display_path(parent)
        ),
        Some(below) => format!("json_strings = [\"{}\"] in the route", display_path(below)),
    }
}

/// A string above the root cannot be named: `json_strings` starts at the root.
fn from_the_top(whole: &str, strings: &[&[Segment]]) -> String {
    let strings: Vec<String> = strings
        .iter()
        .map(|path| format!("\"{}\"", display_path(path)))
        .collect();
    format!(
        "in the route json_strings = [{}], and no root: its paths then start at the top ({whole})",
        strings.join(", ")
    )
}

/// Where the path is found in an envelope, and what to write then.
fn in_an_envelope(text: &[u8], at: &Rooted) -> Option<String> {
    let (root, rest) = at.path.split_at_checked(at.root)?;
    let is_text = rest.first() == Some(&Segment::Json);
    let outer = |wrapper: &str| {
        let mut path = vec![Segment::Name(wrapper.to_owned())];
        path.extend_from_slice(root);
        path
    };
    if let Some((wrapper, whole)) = wrapper_of(text, &at.path, &[]) {
        let new_root = display_path(&outer(wrapper));
        let cure = match root {
            _ if is_text => format!("root = {{ path = \"{new_root}\", as = \"json\" }} in the route"),
            [] if !at.path.contains(&Segment::Json) => format!("that path, or root = \"{wrapper}\" in the route"),
            _ => format!("root = \"{new_root}\" in the route"),
        };
        return Some(format!("; there is {whole}: write {cure}"));
    }
    if root.is_empty() && is_text {
        // There is no string in a string in one place.
        return None;
    }
    let (wrapper, whole) = wrapper_of(text, &at.path, &[Segment::Json])?;
    let outer = outer(wrapper);
    let (around, inner) = (outer.get(..1).unwrap_or_default(), outer.as_slice());
    let cure = match (root, is_text) {
        ([], _) => format!("root = {{ path = \"{wrapper}\", as = \"json\" }} in the route"),
        (_, true) => from_the_top(&whole, &[around, inner]),
        (_, false) => from_the_top(&whole, &[around]),
    };
    Some(format!("; there is {whole} in a string that holds JSON: write {cure}"))
}

/// The usual envelope that contains the path. `steps`: between the envelope and the path.
fn wrapper_of(text: &[u8], path: &Path, steps: &[Segment]) -> Option<(&'static str, String)> {
    // Kafka Connect with schemas, Debezium, CloudEvents, EventBridge and the envelopes of many others.
    const WRAPPERS: [&str; 8] = [
        "payload", "after", "data", "detail", "value", "event", "message", "body",
    ];
    let mut builder = PathTreeBuilder::new();
    let within = WRAPPERS.map(|wrapper| {
        let mut whole = vec![Segment::Name(wrapper.to_owned())];
        whole.extend(steps.iter().cloned());
        whole.extend(path.iter().cloned());
        let shape = builder.shape(&whole);
        (wrapper, whole, shape)
    });
    let fields = decode::decode(&builder.build(), text).ok()?;
    let mut found = within.into_iter().filter(|(.., shape)| fields.shape(*shape).is_some());
    found.next().map(|(wrapper, whole, _)| (wrapper, display_path(&whole)))
}

/// The same for the message's key.
#[cold]
pub(super) fn why_missing_in_key(key: Option<&[u8]>, path: &Path) -> String {
    match key {
        None => ": the message has no key".to_owned(),
        Some(key) => missing_in(key, path, "the message's key", "@key.", &|parent| match parent {
            [] => "json_strings = [\"@key\"] in the route".to_owned(),
            parent => format!("json_strings = [\"@key.{}\"] in the route", display_path(parent)),
        }),
    }
}

/// `whole`: what `text` is. `prefix`: how its paths begin in the file. `cure`: of a string that holds JSON.
fn missing_in(text: &[u8], path: &Path, whole: &str, prefix: &str, cure: &dyn Fn(&[Segment]) -> String) -> String {
    for (before, step) in path.iter().enumerate() {
        let parent = path.get(..before).unwrap_or_default();
        let wanted = match step {
            Segment::Name(_) => "object",
            Segment::Index(_) => "array",
            // The string itself, which the steps behind it ask for.
            Segment::Json => continue,
        };
        // Reads only the type of the value and keeps nothing of it.
        let mut builder = PathTreeBuilder::new();
        let each = builder.each(parent);
        builder.each_limit(each, 0);
        let Ok(fields) = decode::decode(&builder.build(), text) else {
            return String::new();
        };
        let found = match fields.each(each) {
            Elements::Items(_) => "an array",
            Elements::Null => "null",
            Elements::Missing => return format!(": there is no {prefix}{}", display_path(parent)),
            Elements::NotAnArray("object") => "an object",
            Elements::NotAnArray("string") => string(times_encoded(text, parent)),
            Elements::NotAnArray("boolean") => "a boolean",
            Elements::NotAnArray(_) => "a number",
        };
        if !found.ends_with(wanted) {
            let cure = match found {
                TWICE => format!("; cure: {}", cure(parent)),
                MORE => format!("; cure: {ENCODE_ONCE}"),
                _ => String::new(),
            };
            let parent = match display_path(parent) {
                // The whole, or what the string holds that it is.
                parent if parent.is_empty() => whole.to_owned(),
                parent => format!("{prefix}{parent}"),
            };
            return format!(": {parent} is {found}, not an {wanted}{cure}");
        }
    }
    String::new()
}
