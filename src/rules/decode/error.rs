//! Why a payload was refused: a kind that metrics can count, and the byte at which the fault was found.
//!
//! It never contains payload text, because errors end up in logs and dead-letter headers, and payloads must not. The
//! one exception is the single offending byte, printed in hex.

use std::fmt;

use crate::message::DecodeErrorKind;

/// What is wrong with a payload, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The offset in the payload, in bytes from 0, of the first byte that cannot be right. If the payload ends too
    /// early: its length.
    pub at: usize,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.kind, self.at)
    }
}

impl std::error::Error for DecodeError {}
