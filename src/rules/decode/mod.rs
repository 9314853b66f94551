//! Decode: the stage after intake and before the conditions. It reads a JSON payload in one pass and keeps only the
//! fields that the configuration asks for.
//!
//! It runs on the partition's worker thread and is pure: no clock, no lock, no client type. We have our own parser
//! because the whole service spends less time on a message than building a tree of its values would take
//! (`benches/decode.rs`).
//!
//! What always holds:
//!
//! - A payload is accepted only if all of it is valid: UTF-8, grammar, escapes, and at most [`DEPTH_MAX`] nested
//!   containers. This includes the parts that nobody asked for. There is no early exit.
//! - Some values are valid JSON but fit no record: a number out of range, half of a surrogate pair. They are kept as
//!   they are written, as a [`Value::Unheld`], and the code that keeps the value
//!   decides about it. What is asked for never decides whether a payload is accepted.
//! - If a name occurs several times in one object, the last one counts, with everything below it.
//! - A string that the configuration declares to hold JSON is read in the same pass: its text is undone from its escapes
//!   (one allocation) and followed like the payload. If it is no JSON, that is kept ([`Fields::broken_texts`]) and decides
//!   nothing here. Its containers count towards [`DEPTH_MAX`] together with those around the string.
//! - Nothing is allocated for skipped values or for strings without escapes. With the memory of an earlier message
//!   ([`decode_in`]), nothing is allocated for numbers and strings without escapes at all.
//! - No input causes a panic or a recursion deeper than [`DEPTH_MAX`].
//!
//! It deliberately does not convert values (mapping does, with `as = …`), does not know which route asked for a field,
//! and does not look at keys, headers or tombstones. `docs/reference/decode.md` says what each JSON value becomes.

mod error;
mod tree;
mod fields;
mod scan;
mod walk;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod text_tests;

pub use crate::message::DEPTH_MAX;
use crate::message::DecodeErrorKind;
use crate::output::value::Value;
pub use error::DecodeError;
pub use fields::{BrokenText, Elements, Fields, Items, Shape};
pub use tree::{EachId, ItemShapeId, ItemSlotId, PathTree, PathTreeBuilder, ShapeId, SlotId, TextId};

/// U+FEFF in UTF-8. RFC 8259 forbids writing it before a JSON text and allows a reader to skip it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the whole `payload` once and returns the fields that `tree` asks for.
///
/// The fields borrow from the payload. An error is permanent: the same bytes fail again on every attempt.
pub fn decode<'m>(tree: &PathTree, payload: &'m [u8]) -> Result<Fields<'m>, DecodeError> {
    decode_in(tree, payload, Vec::new())
}

/// Like [`decode`], but uses the memory of an earlier message's fields ([`Fields::into_memory`]) for the slots. After an
/// error the memory is gone.
pub fn decode_in<'m>(
    tree: &PathTree,
    payload: &'m [u8],
    memory: Vec<Option<Value<'m>>>,
) -> Result<Fields<'m>, DecodeError> {
    if payload.is_empty() {
        return Err(DecodeError {
            kind: DecodeErrorKind::Empty,
            at: 0,
        });
    }
    // Checked for the whole payload first. From here on every slice between two ASCII bytes is valid text, and skipped
    // strings need no further check.
    // (The standard library's check takes two to three times as long.)
    let text = match simdutf8::compat::from_utf8(payload) {
        Ok(text) => text,
        Err(error) => {
            return Err(DecodeError {
                kind: DecodeErrorKind::NotUtf8,
                at: error.valid_up_to(),
            });
        }
    };
    let start = if payload[0] == BYTE_ORDER_MARK[0] && !tree.refuses_mark && payload.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let mut fields = Fields::new(tree, memory);
    walk::message(tree, text, start, &mut fields)?;
    Ok(fields)
}
