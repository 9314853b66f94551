//! Decode: the second stage of a message's way, after intake and before judge. One pass over a JSON payload
//! that keeps the fields the configuration asks for and nothing else.
//!
//! Runs on the partition's worker thread; pure: no clock, no lock, no client type. Our own parser, because
//! the whole service spends less on a message than a tree of its values costs (`benches/decode.rs`).
//!
//! What always holds:
//!
//! - A payload is accepted only if all of it is valid: UTF-8, grammar, escapes, and at most [`DEPTH_MAX`] containers
//!   inside one another, in the parts nobody asked for too. There is no early exit.
//! - What the grammar allows and no record can hold (a number out of range, half of a surrogate pair) is kept as it is
//!   written, a [`Value::Unheld`](crate::output::value::Value::Unheld): who keeps it judges it. What is asked for never
//!   decides whether a payload is accepted.
//! - The last of several equal names in one object counts, with everything below it.
//! - Nothing is allocated for what is skipped, nor for a string without escapes.
//! - No input panics, and none recurses deeper than [`DEPTH_MAX`].
//!
//! It deliberately does not convert (`as = …` is map's), does not know which route asked for a field, and
//! does not look at keys, headers or tombstones. What each JSON value becomes: `docs/reference/decode.md`.

mod error;
mod tree;
mod fields;
mod scan;
mod walk;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod oracle_tests;

pub use crate::message::DEPTH_MAX;
use crate::message::DecodeErrorKind;
pub use error::DecodeError;
pub use fields::{Elements, Fields, Items, Shape};
pub use tree::{EachId, ItemShapeId, ItemSlotId, PathTree, PathTreeBuilder, ShapeId, SlotId};

/// U+FEFF in UTF-8. RFC 8259 forbids to write it in front of a JSON text and allows to read past it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads `payload` once, to its last byte, and returns what `tree` asks for.
///
/// The fields borrow from the payload. An error says what is wrong with the message, for good: the same
/// bytes fail again however often they are tried.
pub fn decode<'m>(tree: &PathTree, payload: &'m [u8]) -> Result<Fields<'m>, DecodeError> {
    if payload.is_empty() {
        return Err(DecodeError {
            kind: DecodeErrorKind::Empty,
            at: 0,
        });
    }
    // Whole and first: from here on every slice between two ASCII bytes is text, and no byte of a skipped
    // string needs another look.
    let text = match std::str::from_utf8(payload) {
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
    let mut fields = Fields::new(tree);
    walk::message(tree, text, start, &mut fields)?;
    Ok(fields)
}
