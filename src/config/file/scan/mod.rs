//! Where the mistake is in a file that is not valid TOML, in its author's terms: which bracket is open, which quote is
//! missing.
//!
//! Used only for a file that the parser has refused. The parser reports an error where it cannot continue, which may be
//! many lines behind the mistake. What it reports after its first guess is useless. So this code goes through the file
//! statement by statement, and stops at the first mistake that makes the rest doubtful. It shows no value that may be a
//! secret.

// A place in the text, white space and comments.
mod cursor;
// `[kafka]`.
mod header;
// `key = value`.
mod statement;
// Values that contain others.
mod value;
// Strings.
mod string;
// Numbers, booleans, and text without quotes.
mod scalar;
// What was meant by text without quotes.
mod unquoted;
// What a key's name tells.
mod known;

use cursor::{Scan, Stop};
use header::bracketed;

pub use cursor::{Reach, Scanned, Slip};

/// Scans `text` for mistakes.
pub fn scan(text: &str) -> Scanned {
    let mut scan = Scan::new(text, 0);
    if let Err(slip) = scan.file() {
        scan.scanned.slips.push(*slip);
    }
    scan.scanned
}

impl Scan<'_> {
    fn file(&mut self) -> Result<(), Stop> {
        self.blank()?;
        let line = self.text.get(self.at..self.line_end()).unwrap_or_default();
        if self.peek() == Some('{') && bracketed(line.trim_end()).is_none() {
            return Err(self.slip(
                self.at,
                "",
                "this looks like JSON, and the file is TOML",
                "write sections and keys, e.g. [kafka] and on a line below it brokers = \"127.0.0.1:9092\"",
                Reach::Rest,
            ));
        }
        loop {
            self.blank()?;
            match self.peek() {
                None => return Ok(()),
                Some('[') => self.header()?,
                Some(_) => self.statement()?,
            }
        }
    }
}
