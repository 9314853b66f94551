//! Why a payload was refused: a kind that metrics can count, and the byte where it was seen.
//!
//! Never carries payload text: an error ends up in logs and dead-letter headers, payloads do not. The one
//! exception is a single offending byte, printed in hex.

use std::fmt;

/// What is wrong with a payload, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The offset in the payload, in bytes from 0, of the first byte that cannot be right. The payload's
    /// length where it ends too early.
    pub at: usize,
}

/// What is wrong with a payload: one kind, one reason in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// No byte at all. (A payload of white space only is `NotJson`: it ends too early.)
    Empty,
    /// Not UTF-8, wherever: overlong forms and encoded surrogates are none.
    NotUtf8,
    /// Against the grammar of RFC 8259.
    NotJson(Syntax),
    /// Something other than white space after the value.
    TrailingBytes,
    /// More than [`DEPTH_MAX`](super::DEPTH_MAX) containers inside one another.
    TooDeep,
}

/// How a payload breaks the grammar of RFC 8259.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// A byte that cannot stand there.
    UnexpectedByte(u8),
    /// The payload ends inside the value, or before it.
    UnexpectedEnd,
    /// A word that begins like `true`, `false` or `null`.
    BadLiteral,
    /// A minus, a point or an exponent without digits, or a zero before other digits.
    BadNumber,
    /// A backslash followed by what JSON does not know, or `\u` without four hex digits.
    BadEscape,
    /// Half of a `\u` surrogate pair: no text at all, though RFC 8259's grammar lets it pass. Decode never says so:
    /// it is judged where the string is kept.
    LoneSurrogate,
    /// A byte below 0x20 inside a string.
    ControlCharacter(u8),
}

impl DecodeErrorKind {
    /// The word that metrics and dead letters carry. Stable: dashboards are built on it.
    pub fn reason(&self) -> &'static str {
        match self {
            DecodeErrorKind::Empty => "empty_payload",
            DecodeErrorKind::NotUtf8 => "not_utf8",
            DecodeErrorKind::NotJson(_) => "not_json",
            DecodeErrorKind::TrailingBytes => "trailing_bytes",
            DecodeErrorKind::TooDeep => "too_deep",
        }
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeErrorKind::Empty => f.write_str("the payload is empty"),
            DecodeErrorKind::NotUtf8 => f.write_str("the payload is not UTF-8"),
            DecodeErrorKind::NotJson(syntax) => write!(f, "the payload is not JSON: {syntax}"),
            DecodeErrorKind::TrailingBytes => f.write_str("bytes follow the JSON value"),
            DecodeErrorKind::TooDeep => {
                write!(
                    f,
                    "more than {} arrays and objects inside one another",
                    super::DEPTH_MAX
                )
            }
        }
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Syntax::UnexpectedByte(byte) => write!(f, "unexpected byte 0x{byte:02x}"),
            Syntax::UnexpectedEnd => f.write_str("unexpected end"),
            Syntax::BadLiteral => f.write_str("a word other than true, false and null"),
            Syntax::BadNumber => f.write_str("a malformed number"),
            Syntax::BadEscape => f.write_str("an unknown or incomplete escape in a string"),
            Syntax::LoneSurrogate => f.write_str("half of a surrogate pair in a string"),
            Syntax::ControlCharacter(byte) => {
                write!(f, "control character 0x{byte:02x} in a string")
            }
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.kind, self.at)
    }
}

impl std::error::Error for DecodeError {}
