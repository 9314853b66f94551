//! Decode: the second stage of a message's way, after intake and before judge. One pass over a JSON payload
//! that keeps the fields the configuration asks for and nothing else.
//!
//! Runs on the partition's worker thread; pure: no clock, no lock, no client type. Our own parser, because
//! the whole service spends less on a message than a tree of its values costs (`benches/decode.rs`).
//!
//! What always holds:
//!
//! - A payload is accepted only if all of it is valid: UTF-8, grammar, escapes, surrogate pairs, and at most
//!   [`DEPTH_MAX`] containers inside one another, in the parts nobody asked for too. There is no early exit.
//! - The last of several equal names in one object counts, with everything below it.
//! - Nothing is allocated for what is skipped, nor for a string without escapes.
//! - No input panics, and none recurses deeper than [`DEPTH_MAX`].
//!
//! It deliberately does not convert (`as = …` is map's), does not know which route asked for a field, and
//! does not look at keys, headers or tombstones. What each JSON value becomes: `docs/DECODE.md`.

mod error;
mod tree;
mod fields;
mod scan;
mod walk;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod oracle_tests;

pub use error::{DecodeError, DecodeErrorKind, Syntax};
pub use fields::{Elements, Fields, Items, Shape};
pub use tree::{EachId, ItemShapeId, ItemSlotId, PathTree, PathTreeBuilder, ShapeId, SlotId};

/// How many arrays and objects may stand inside one another, skipped or not.
pub const DEPTH_MAX: u32 = 128;

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
    let mut fields = Fields::new(tree);
    walk::message(tree, text, &mut fields)?;
    Ok(fields)
}
