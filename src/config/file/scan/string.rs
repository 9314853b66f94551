//! Strings: in `"`, in `'`, and over several lines.

use crate::config::file::scan::cursor::{Reach, Scan, Stop, is_control, is_typographic_quote};

impl<'t> Scan<'t> {
    /// Reads a string in `"` up to its end; returns its content as written.
    pub(super) fn basic(&mut self, key: &str) -> Result<&'t str, Stop> {
        let start = self.at;
        self.take("\"");
        let inside = self.at;
        loop {
            match self.peek() {
                Some('\r') if !self.rest().starts_with("\r\n") => return Err(self.carriage_return(key)),
                None | Some('\n' | '\r') => return Err(self.unclosed(start, key, '"')),
                Some(c) if is_control(c) => return Err(self.control(self.at, key, c, Reach::Section)),
                Some('"') => {
                    let text = self.text.get(inside..self.at).unwrap_or_default();
                    self.bump();
                    return Ok(text);
                }
                Some('\\') => self.escape(key, start, false)?,
                Some(_) => self.bump(),
            }
        }
    }

    pub(super) fn literal(&mut self, key: &str) -> Result<&'t str, Stop> {
        let start = self.at;
        self.take("'");
        let text = self.take_while(|c| !matches!(c, '\'' | '\n') && (c == '\t' || !is_control(c)) && c != '\r');
        match self.peek() {
            Some('\r') if !self.rest().starts_with("\r\n") => return Err(self.carriage_return(key)),
            Some(c) if is_control(c) => return Err(self.control(self.at, key, c, Reach::Section)),
            _ => {}
        }
        if self.take("'") {
            Ok(text)
        } else {
            Err(self.unclosed(start, key, '\''))
        }
    }

    /// Reads a string over several lines.
    pub(super) fn long(&mut self, key: &str, quotes: &str) -> Result<(), Stop> {
        let start = self.at;
        self.take(quotes);
        loop {
            if self.take(quotes) {
                // Up to two more quotes belong to the text.
                let quote = quotes.get(..1).unwrap_or_default();
                while self.take(quote) {}
                return Ok(());
            }
            match self.peek() {
                None => {
                    let problem = format!("the string that begins here with `{quotes}` is not closed");
                    let cure = format!("write `{quotes}` behind its last line");
                    return Err(self.slip(start, key, problem, cure, Reach::Rest));
                }
                Some('\\') if quotes.starts_with('"') => self.escape(key, start, true)?,
                Some('\r') if !self.rest().starts_with("\r\n") => return Err(self.carriage_return(key)),
                Some(c) if is_control(c) => return Err(self.control(self.at, key, c, Reach::Section)),
                Some(_) => self.bump(),
            }
        }
    }

    pub(super) fn escape(&mut self, key: &str, start: usize, long: bool) -> Result<(), Stop> {
        self.bump();
        match self.peek() {
            Some('b' | 't' | 'n' | 'f' | 'r' | '"' | '\\' | 'e') => self.bump(),
            Some(c @ ('u' | 'U' | 'x')) => {
                let length = match c {
                    'u' => 4,
                    'U' => 8,
                    _ => 2,
                };
                let digits = self.rest().chars().skip(1).take(length);
                let digits: String = digits.take_while(char::is_ascii_hexdigit).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                let problem = match code {
                    Some(code) if digits.len() == length && char::from_u32(code).is_some() => {
                        self.at += 1 + length;
                        return Ok(());
                    }
                    Some(_) if digits.len() == length => format!("there is no character `\\{c}{digits}`"),
                    _ => format!("`\\{c}` in a string is the beginning of a character's number, of {length} digits"),
                };
                let at = if long { self.at } else { start };
                let cure = format!(
                    "write `\\\\{c}` for a backslash, or put the text in single quotes, where it is a plain character"
                );
                return Err(self.slip(at, key, problem, cure, Reach::Section));
            }
            Some(' ' | '\t' | '\r' | '\n') if long => {}
            None | Some('\n' | '\r') => {}
            Some(c) => {
                let at = if long { self.at } else { start };
                let cure = format!(
                    "write `\\\\{c}` for a backslash, or put the text in single quotes, where it is a plain character"
                );
                return Err(self.slip(
                    at,
                    key,
                    format!("`\\{c}` is no escape in a string"),
                    cure,
                    Reach::Section,
                ));
            }
        }
        Ok(())
    }

    pub(super) fn unclosed(&self, start: usize, key: &str, quote: char) -> Stop {
        let line = self.text.get(start..self.at).unwrap_or_default();
        let closing = line.chars().skip(1).find(|c| is_typographic_quote(*c) && *c != '`');
        match closing {
            Some(c) => {
                let problem = format!("the string is not closed: `{c}` is a typographic quote");
                self.slip(
                    start,
                    key,
                    problem,
                    format!("write `{quote}` in its place"),
                    Reach::Section,
                )
            }
            None => {
                let problem = format!("the string is not closed: a `{quote}` is missing");
                let cure = format!("write `{quote}` at its end, on the same line");
                self.slip(start, key, problem, cure, Reach::Section)
            }
        }
    }
}
