//! Any payload with any key: decode never panics, agrees with serde_json about what is JSON and what it says, and does not
//! depend on what is asked for. The rules make rows, or a rejection and nothing else.

use std::sync::LazyLock;

use penstock::message::Message;
use penstock::output::row::Row;
use penstock::output::value::{Unheld, Value as Ours};
use penstock::output::{Output, ROWS_MAX};
use penstock::processor::Processor as _;
use penstock::rules::decode::{BYTE_ORDER_MARK, PathTree, PathTreeBuilder, SlotId, decode};
use serde_json::Value as Theirs;

use crate::rule_sets::chosen;

/// 2026, so that times of our days are near.
pub const NOW_MS: i64 = 1_767_225_600_000;
/// A detail is for a line of the log.
const DETAIL_BYTES_MAX: usize = 8192;

/// Asks for nothing, and for everything.
static TREES: LazyLock<[(PathTree, Option<SlotId>); 2]> = LazyLock::new(|| {
    let mut whole = PathTreeBuilder::new();
    let slot = whole.slot(&Vec::new());
    [(PathTreeBuilder::new().build(), None), (whole.build(), Some(slot))]
});

/// An input: a byte that chooses the rules, the key's length (255: no key), the key, the payload.
pub struct Parts<'i> {
    pub by: u8,
    pub key: Option<&'i [u8]>,
    pub payload: &'i [u8],
}

impl Parts<'_> {
    pub fn of(input: &[u8]) -> Option<Parts<'_>> {
        let (head, rest) = input.split_first_chunk::<2>()?;
        let [by, key_bytes] = *head;
        let (key, payload) = match key_bytes {
            255 => (None, rest),
            bytes => {
                let (key, payload) = rest.split_at(usize::from(bytes).min(rest.len()));
                (Some(key), payload)
            }
        };
        Some(Parts { by, key, payload })
    }
}

pub fn run(input: &[u8]) {
    let Some(Parts { by, key, payload }) = Parts::of(input) else {
        return;
    };
    compare(payload);
    let (rules, topic) = chosen(by);
    let message = Message {
        topic,
        partition: 3,
        offset: 1_000_000,
        timestamp_ms: Some(NOW_MS),
        key,
        // The same byte lets some inputs be tombstones.
        payload: (by < 240).then_some(payload),
        headers: vec![("h", key), ("empty", None)],
    };
    let mut output = Output::default();
    output.begin(0);
    let verdict = rules.process(&message, NOW_MS, &mut output);
    match &verdict {
        Ok(_) => {
            assert!(output.rows.len() <= ROWS_MAX, "{} rows", output.rows.len());
            // A row has no more of a message than the message has: twice for a value and its key, and some for each rule.
            let bytes: usize = output.rows.iter().map(Row::bytes).sum();
            let each = 200 * (payload.len() + key.map_or(0, <[u8]>::len) + 100);
            assert!(bytes <= output.rows.len() * each, "{bytes} bytes of rows");
        }
        Err(rejection) => {
            assert!(!rejection.reason.as_str().is_empty());
            let bytes = rejection.detail.len();
            assert!(bytes <= DETAIL_BYTES_MAX, "a detail of {bytes} bytes");
            output.take_back();
            assert!(output.rows.is_empty() && output.publications.is_empty());
        }
    }
    // A message that comes again asks for the same.
    let mut again = Output::default();
    again.begin(0);
    assert_eq!(rules.process(&message, NOW_MS, &mut again), verdict, "the second time");
    if verdict.is_ok() {
        assert_eq!(again.rows.len(), output.rows.len());
    }
}

/// Compares with serde_json where `docs/reference/decode.md` does not say that they differ.
fn compare(payload: &[u8]) {
    let [nothing, whole] = &*TREES;
    let accepted = decode(&nothing.0, payload).map(|_| ());
    let fields = decode(&whole.0, payload);
    assert_eq!(
        accepted,
        fields.as_ref().map(|_| ()).map_err(Clone::clone),
        "what is asked for decides"
    );
    let theirs = serde_json::from_slice::<Theirs>(&tamed(payload));
    match (&fields, &theirs) {
        (Ok(fields), Ok(theirs)) => {
            let ours = whole.1.and_then(|slot| fields.get(slot));
            assert!(
                ours.is_some_and(|ours| same(ours, theirs)),
                "ours {ours:?}, theirs {theirs:?}"
            );
        }
        (Err(error), Ok(_)) => panic!("{error}, and serde_json accepts it"),
        // They stop at a number beyond a float, and we go on. They have one level less.
        (_, Err(error)) => {
            let told = error.to_string();
            let is_known = told.starts_with("number out of range") || told.starts_with("recursion limit exceeded");
            assert!(is_known || fields.is_err(), "serde_json says: {error}");
        }
    }
}

/// Whether the values are the same. What no record can hold is some other value of theirs.
fn same(ours: &Ours<'_>, theirs: &Theirs) -> bool {
    match (ours, theirs) {
        (Ours::Null, Theirs::Null) | (Ours::Unheld { .. }, _) => true,
        (Ours::Bool(ours), Theirs::Bool(theirs)) => ours == theirs,
        (Ours::Str(ours), Theirs::String(theirs)) => ours == theirs,
        // They read -0 as a float.
        (Ours::Int(0), Theirs::Number(theirs)) => theirs.as_f64() == Some(0.0),
        (Ours::Int(ours), Theirs::Number(theirs)) => theirs.as_i64() == Some(*ours),
        // They may round the last bit wrongly.
        (Ours::Float(ours), Theirs::Number(theirs)) => theirs
            .as_f64()
            .is_some_and(|theirs| ours.to_bits().abs_diff(theirs.to_bits()) <= 2),
        (Ours::List(ours), Theirs::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Ours::Map(ours), Theirs::Object(theirs)) => {
            // A name with half of a pair is as it was written.
            let is_text = |value: &Ours<'_>| {
                !matches!(
                    value,
                    Ours::Unheld {
                        what: Unheld::HalfPair,
                        ..
                    }
                )
            };
            let mut texts = ours.iter().filter(|(_, ours)| is_text(ours));
            (ours.len() == theirs.len() || texts.clone().count() < ours.len())
                && texts.all(|(name, ours)| theirs.get(&**name).is_some_and(|theirs| same(ours, theirs)))
        }
        _ => false,
    }
}

/// The payload without a byte order mark, and with whole characters for each half of a surrogate pair. Decode accepts
/// both, serde_json does not. The characters say which half it was, so that names that differ do so afterwards.
fn tamed(payload: &[u8]) -> Vec<u8> {
    let payload = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload);
    let unit = |at: usize| -> Option<u32> {
        let digits = payload.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        is_hex.then(|| u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok())?
    };
    let mut tamed = Vec::new();
    let mut at = 0;
    while let Some(byte) = payload.get(at) {
        let taken = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(half @ 0xd800..=0xdfff), _) => {
                tamed.extend_from_slice(format!("\u{fffd}{half:x}").as_bytes());
                at += 6;
                continue;
            }
            _ if *byte == b'\\' => 2,
            _ => 1,
        };
        tamed.extend_from_slice(payload.get(at..payload.len().min(at + taken)).unwrap_or_default());
        at += taken;
    }
    tamed
}
