//! Splits the bytes of a payload into tokens: white space, strings, numbers, and whole values to skip.
//!
//! It validates everything that it passes and builds nothing, except a string's text on request. It knows nothing of
//! paths; `walk` decides what to skip and what to keep. The payload is valid UTF-8 here.

use std::borrow::Cow;

use super::DecodeError;
use crate::message::{DEPTH_MAX, DecodeErrorKind, Syntax};

/// A position in the payload, which moves forward.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'m> {
    pub text: &'m str,
    pub bytes: &'m [u8],
    pub pos: usize,
    /// A value was built that no record can hold.
    pub has_unheld: bool,
}

/// The content of a string is not text: it contains half of a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HalfPair;

/// A string as it is written, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawString {
    pub start: usize,
    pub end: usize,
    pub escaped: bool,
}

/// A number as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawNumber<'m> {
    pub text: &'m str,
    /// Whether it has a fraction or an exponent.
    pub float: bool,
}

/// Number of bytes of a string that are checked at once.
const CHUNK: usize = 16;

/// The length of the run of plain string bytes at the start of `chunk`: the index of the first quote, backslash or
/// control character, or `CHUNK`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn plain_run(chunk: &[u8; CHUNK]) -> usize {
    // SAFETY: this needs only SSE2, which every x86-64 processor has.
    let stops = unsafe { string_stops_sse2(chunk) };
    (stops | 1 << CHUNK).trailing_zeros() as usize
}

/// A bit for each byte that ends a run of plain string bytes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn string_stops_sse2(chunk: &[u8; CHUNK]) -> u32 {
    use std::arch::x86_64::*;
    let (low, high) = halves(chunk);
    let bytes = _mm_set_epi64x(high.cast_signed(), low.cast_signed());
    let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
    let backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
    let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), controls)).cast_unsigned()
}

#[cfg(not(target_arch = "x86_64"))]
use plain_run_portable as plain_run;

/// The same for other processors, with eight bytes per register.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn plain_run_portable(chunk: &[u8; CHUNK]) -> usize {
    let (low, high) = halves(chunk);
    match (string_stops(low), string_stops(high)) {
        (0, 0) => CHUNK,
        (0, stops) => 8 + (stops.trailing_zeros() / 8) as usize,
        (stops, _) => (stops.trailing_zeros() / 8) as usize,
    }
}

/// The high bit of the first byte that ends a run of plain string bytes. Bytes after it may be marked wrongly
/// (borrows), so only the lowest bit counts.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn string_stops(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quote = bytes ^ (ONES * b'"' as u64);
    let backslash = bytes ^ (ONES * b'\\' as u64);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let backslashes = backslash.wrapping_sub(ONES) & !backslash;
    let controls = bytes.wrapping_sub(ONES * 0x20) & !bytes;
    (quotes | backslashes | controls) & HIGHS
}

/// The bytes as two numbers, with the first byte lowest.
#[inline(always)]
fn halves(chunk: &[u8; CHUNK]) -> (u64, u64) {
    let both = u128::from_le_bytes(*chunk);
    (both as u64, (both >> 64) as u64)
}

impl<'m> Scanner<'m> {
    pub fn new(text: &'m str, start: usize) -> Scanner<'m> {
        Scanner {
            text,
            bytes: text.as_bytes(),
            pos: start,
            has_unheld: false,
        }
    }

    /// The next byte. At the end: 0, which is not valid anywhere outside a string.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        self.bytes.get(self.pos).copied().unwrap_or(0)
    }

    /// Skips white space and returns the byte after it.
    #[inline(always)]
    pub fn peek_token(&mut self) -> u8 {
        let byte = self.peek();
        if byte > b' ' { byte } else { self.pass_white_space() }
    }

    fn pass_white_space(&mut self) -> u8 {
        while let b' ' | b'\n' | b'\r' | b'\t' = self.peek() {
            self.pos += 1;
        }
        self.peek()
    }

    /// The error for a byte that is not valid here.
    #[cold]
    pub fn unexpected(&self) -> DecodeError {
        match self.bytes.get(self.pos) {
            Some(byte) => self.syntax(Syntax::UnexpectedByte(*byte)),
            None => self.syntax(Syntax::UnexpectedEnd),
        }
    }

    /// Like `unexpected`, but inside the token that `syntax` names.
    #[cold]
    fn malformed(&self, syntax: Syntax) -> DecodeError {
        self.syntax(if self.pos < self.bytes.len() {
            syntax
        } else {
            Syntax::UnexpectedEnd
        })
    }

    #[cold]
    fn syntax(&self, syntax: Syntax) -> DecodeError {
        self.error_at(DecodeErrorKind::NotJson(syntax), self.pos)
    }

    #[cold]
    pub fn error_at(&self, kind: DecodeErrorKind, at: usize) -> DecodeError {
        DecodeError { kind, at }
    }

    #[inline(always)]
    pub fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.peek_token() != byte {
            return Err(self.unexpected());
        }
        self.pos += 1;
        Ok(())
    }

    /// Passes the opening bracket of a container inside `depth` others. Returns the new depth.
    #[inline(always)]
    pub fn enter(&mut self, depth: u32) -> Result<u32, DecodeError> {
        if depth >= DEPTH_MAX {
            return Err(self.error_at(DecodeErrorKind::TooDeep, self.pos));
        }
        self.pos += 1;
        Ok(depth + 1)
    }

    /// Passes a member's name and its colon.
    #[inline(always)]
    pub fn name(&mut self) -> Result<RawString, DecodeError> {
        if self.peek_token() != b'"' {
            return Err(self.unexpected());
        }
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    /// Passes a string. The position must be at its opening quote.
    #[inline(always)]
    pub fn string(&mut self) -> Result<RawString, DecodeError> {
        let start = self.pos + 1;
        let mut at = start;
        while let Some(chunk) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<CHUNK>()) {
            let plain = plain_run(chunk);
            at += plain;
            if plain < CHUNK {
                if self.bytes[at] == b'"' {
                    self.pos = at + 1;
                    return Ok(RawString {
                        start,
                        end: at,
                        escaped: false,
                    });
                }
                break;
            }
        }
        self.string_slow(start, at)
    }

    /// Passes a string with escapes, or one in the last bytes of the payload, from `at` on.
    fn string_slow(&mut self, start: usize, at: usize) -> Result<RawString, DecodeError> {
        let mut escaped = false;
        self.pos = at;
        loop {
            match self.bytes.get(self.pos) {
                Some(b'"') => {
                    let end = self.pos;
                    self.pos += 1;
                    return Ok(RawString { start, end, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(byte) if *byte < 0x20 => {
                    return Err(self.syntax(Syntax::ControlCharacter(*byte)));
                }
                Some(_) => self.pos += 1,
                None => return Err(self.unexpected()),
            }
        }
    }

    /// Passes an escape and returns its character. The position must be at the backslash. `None`: half of a surrogate
    /// pair.
    fn escape(&mut self) -> Result<Option<char>, DecodeError> {
        self.pos += 1;
        let plain = match self.peek() {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.malformed(Syntax::BadEscape)),
        };
        self.pos += 1;
        Ok(Some(plain))
    }

    /// Passes the rest of a `\u` escape, or of two that form a surrogate pair. The position must be at the `u`.
    fn unicode_escape(&mut self) -> Result<Option<char>, DecodeError> {
        self.pos += 1;
        let first = self.hex4()?;
        let code = match first {
            0xd800..=0xdbff if self.bytes[self.pos..].starts_with(b"\\u") => {
                let second = self.pos;
                self.pos += 2;
                match self.hex4()? {
                    second @ 0xdc00..=0xdfff => 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    // A separate escape, which may itself begin a pair.
                    _ => {
                        self.pos = second;
                        first
                    }
                }
            }
            _ => first,
        };
        // A lone surrogate is not a character, so this gives `None`.
        Ok(char::from_u32(code))
    }

    fn hex4(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.peek()).to_digit(16) else {
                return Err(self.malformed(Syntax::BadEscape));
            };
            code = code << 4 | digit;
            self.pos += 1;
        }
        Ok(code)
    }

    /// The content of a string. Borrowed unless it has escapes.
    #[inline]
    pub fn unescaped(&self, raw: RawString) -> Result<Cow<'m, str>, HalfPair> {
        if raw.escaped {
            self.unescape(raw)
        } else {
            Ok(Cow::Borrowed(&self.text[raw.start..raw.end]))
        }
    }

    /// The string as it is written, without its quotes.
    pub fn raw(&self, raw: RawString) -> Cow<'m, str> {
        Cow::Borrowed(&self.text[raw.start..raw.end])
    }

    fn unescape(&self, raw: RawString) -> Result<Cow<'m, str>, HalfPair> {
        // An escape is never shorter than its character, so this never grows.
        let mut out = String::with_capacity(raw.end - raw.start);
        let mut scanner = Scanner {
            text: self.text,
            bytes: self.bytes,
            pos: raw.start,
            has_unheld: false,
        };
        let mut plain = raw.start;
        while scanner.pos < raw.end {
            if scanner.bytes[scanner.pos] == b'\\' {
                out.push_str(&self.text[plain..scanner.pos]);
                // The escape was validated when the string was passed.
                out.push(scanner.escape().ok().flatten().ok_or(HalfPair)?);
                plain = scanner.pos;
            } else {
                scanner.pos += 1;
            }
        }
        out.push_str(&self.text[plain..raw.end]);
        Ok(Cow::Owned(out))
    }

    /// Passes a number. The position must be at a minus or a digit.
    #[inline]
    pub fn number(&mut self) -> Result<RawNumber<'m>, DecodeError> {
        let start = self.pos;
        let float = self.skip_number()?;
        Ok(RawNumber {
            text: &self.text[start..self.pos],
            float,
        })
    }

    /// Passes a number and returns whether it has a fraction or an exponent.
    #[inline(always)]
    fn skip_number(&mut self) -> Result<bool, DecodeError> {
        if self.peek() == b'-' {
            self.pos += 1;
        }
        if self.peek() == b'0' {
            self.pos += 1;
            if self.peek().is_ascii_digit() {
                return Err(self.malformed(Syntax::BadNumber));
            }
        } else {
            self.digits()?;
        }
        let mut float = false;
        if self.peek() == b'.' {
            float = true;
            self.pos += 1;
            self.digits()?;
        }
        if self.peek() | 0x20 == b'e' {
            float = true;
            self.pos += 1;
            if let b'+' | b'-' = self.peek() {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(float)
    }

    /// Passes at least one digit.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), DecodeError> {
        if !self.peek().is_ascii_digit() {
            return Err(self.malformed(Syntax::BadNumber));
        }
        self.pos += 1;
        while self.peek().is_ascii_digit() {
            self.pos += 1;
        }
        Ok(())
    }

    /// Passes `true`, `false` or `null`. The position must be at its first letter.
    #[inline(always)]
    pub fn literal(&mut self, word: &str) -> Result<(), DecodeError> {
        if self.bytes[self.pos..].starts_with(word.as_bytes()) {
            self.pos += word.len();
            return Ok(());
        }
        Err(self.bad_literal(word))
    }

    #[cold]
    fn bad_literal(&mut self, word: &str) -> DecodeError {
        for letter in word.bytes() {
            if self.peek() != letter {
                break;
            }
            self.pos += 1;
        }
        self.malformed(Syntax::BadLiteral)
    }

    /// Passes a whole value inside `depth` containers, including the white space before it.
    ///
    /// It is a loop, not a recursion: for each open container one bit of `objects` says which kind it is.
    pub fn skip(&mut self, depth: u32) -> Result<(), DecodeError> {
        let mut objects: u128 = 0;
        let mut open = depth;
        'value: loop {
            match self.peek_token() {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    open = self.enter(open)?;
                    if self.peek_token() != b'}' {
                        objects = objects << 1 | 1;
                        self.name()?;
                        continue 'value;
                    }
                    self.pos += 1;
                    open -= 1;
                }
                b'[' => {
                    open = self.enter(open)?;
                    if self.peek_token() != b']' {
                        objects <<= 1;
                        continue 'value;
                    }
                    self.pos += 1;
                    open -= 1;
                }
                b'-' | b'0'..=b'9' => {
                    self.skip_number()?;
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => return Err(self.unexpected()),
            }
            loop {
                if open == depth {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                match self.peek_token() {
                    b',' => {
                        self.pos += 1;
                        if in_object {
                            self.name()?;
                        }
                        continue 'value;
                    }
                    b'}' if in_object => {}
                    b']' if !in_object => {}
                    _ => return Err(self.unexpected()),
                }
                self.pos += 1;
                objects >>= 1;
                open -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_find_the_end_of_a_plain_run_agree_with_the_definition() {
        let stops = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        let mut seed: u32 = 1;
        for round in 0..200_000 {
            let chunk: [u8; CHUNK] = std::array::from_fn(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let byte = (seed >> 24) as u8;
                // Mostly plain bytes, otherwise no run gets long. All kinds occur, including the neighbours of a stop
                // byte.
                if round % 4 > 0 && stops(byte) {
                    byte | 0x21 | 0x80
                } else {
                    byte
                }
            });
            let expected = chunk.iter().position(|byte| stops(*byte)).unwrap_or(CHUNK);
            assert_eq!(plain_run(&chunk), expected, "{chunk:?}");
            assert_eq!(plain_run_portable(&chunk), expected, "{chunk:?}");
        }
        for byte in 0..=255 {
            for place in 0..CHUNK {
                let mut chunk = [b'!'; CHUNK];
                chunk[place] = byte;
                let expected = if stops(byte) { place } else { CHUNK };
                assert_eq!((plain_run(&chunk), plain_run_portable(&chunk)), (expected, expected));
            }
        }
    }
}
