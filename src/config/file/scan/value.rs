//! Values, and what contains several of them: `[ … ]`, `{ … }`.

use crate::config::file::scan::cursor::{Reach, Scan, Stop, Within, reaches_on};
use crate::config::file::scan::header::is_header;

impl Scan<'_> {
    /// Reads a value. `written`: the key as written in the file, for the cure.
    pub(super) fn value(&mut self, key: &str, written: &str, within: Within) -> Result<(), Stop> {
        let rest = self.rest();
        if rest.starts_with("\"\"\"") {
            return self.long(key, "\"\"\"");
        }
        if rest.starts_with("'''") {
            return self.long(key, "'''");
        }
        match self.peek() {
            Some('"') => self.basic(key).map(|_| ()),
            Some('\'') => self.literal(key).map(|_| ()),
            // From the mistake on, the parser searches for the end of the array, through everything that follows.
            Some('[') => self.array(key, written).map_err(reaches_on),
            Some('{') => self.inline(key).map_err(reaches_on),
            Some('(') => {
                let cure = "write [ … ] around values";
                Err(self.slip(self.at, key, "TOML has no `( … )`", cure, Reach::Section))
            }
            _ if within == Within::Line && self.is_line_end() => {
                let next = self.text.get(self.line_end()..).unwrap_or_default().trim_start();
                let is_below = next.starts_with(['[', '{', '"', '\'']) && !next.starts_with("[[") && !is_header(next);
                let (cure, reach) = if is_below {
                    (format!("write it on the line of its key: {written} = …"), Reach::Rest)
                } else {
                    (format!("write {written} = …, or remove the line"), Reach::Section)
                };
                Err(self.slip(self.at, key, "a value is missing behind `=`", cure, reach))
            }
            _ if self.is_line_end() => {
                let cure = format!("write {written} = …, on the line of its key");
                Err(self.slip(self.at, key, "a value is missing behind `=`", cure, Reach::Rest))
            }
            Some(',' | ']' | '}' | ')') | None => {
                let cure = format!("write {written} = …");
                Err(self.slip(self.at, key, "a value is missing", cure, Reach::Section))
            }
            _ => self.scalar(key, written, within),
        }
    }

    pub(super) fn array(&mut self, key: &str, written: &str) -> Result<(), Stop> {
        let open = self.at;
        self.take("[");
        let mut first = true;
        loop {
            self.blank()?;
            match self.peek() {
                Some(']') => break,
                Some(',') => {
                    let cure = "write one `,` between two values";
                    return Err(self.slip(self.at, key, "a `,` without a value before it", cure, Reach::Section));
                }
                None | Some('}' | ')') => return Err(self.open(open, key, ']')),
                Some(_) if self.is_comment_inside() => return Err(self.comment_inside(key)),
                Some(_) if self.begins_another(open) => return Err(self.open(open, key, ']')),
                Some(_) if !first && self.begins_key().is_some() => return Err(self.open(open, key, ']')),
                Some(_) => self.value(key, written, Within::Array)?,
            }
            first = false;
            let end = self.at;
            self.blank()?;
            match self.peek() {
                Some(',') => self.bump(),
                Some(']') => break,
                None | Some('}' | ')') => return Err(self.open(open, key, ']')),
                Some(_) if self.is_comment_inside() => return Err(self.comment_inside(key)),
                Some('=') => {
                    let cure = "write [ … ] around values, and { key = value } around keys";
                    return Err(self.slip(
                        open,
                        key,
                        "`=` inside `[ … ]`, which holds values",
                        cure,
                        Reach::Section,
                    ));
                }
                Some(_) if self.begins_another(open) => return Err(self.open(open, key, ']')),
                Some(_) => return Err(self.no_comma(end, key)),
            }
        }
        self.bump();
        Ok(())
    }

    pub(super) fn inline(&mut self, key: &str) -> Result<(), Stop> {
        let open = self.at;
        self.take("{");
        let table = std::mem::replace(&mut self.table, key.to_owned());
        loop {
            self.blank()?;
            match self.peek() {
                Some('}') => break,
                Some(',') => {
                    let cure = "write one `,` between two keys";
                    return Err(self.slip(self.at, key, "a `,` without a key before it", cure, Reach::Section));
                }
                None | Some(']' | ')') => return Err(self.open(open, key, '}')),
                Some(_) if self.is_comment_inside() => return Err(self.comment_inside(key)),
                Some(_) if self.begins_line(self.at) && is_header(self.rest()) => return Err(self.open(open, key, '}')),
                Some(_) => self.pair(Within::Inline)?,
            };
            let end = self.at;
            self.blank()?;
            match self.peek() {
                Some(',') => self.bump(),
                Some('}') => break,
                None | Some(']' | ')') => return Err(self.open(open, key, '}')),
                Some(_) if self.is_comment_inside() => return Err(self.comment_inside(key)),
                Some(_) if self.begins_another(open) && !self.is_closed_below() => {
                    return Err(self.open(open, key, '}'));
                }
                Some(_) => return Err(self.no_comma(end, key)),
            }
        }
        self.bump();
        self.table = table;
        Ok(())
    }

    /// The bracket at `open` is not closed by `close`; the text at the current place shows it.
    pub(super) fn open(&self, open: usize, key: &str, close: char) -> Stop {
        let opens = if close == ']' { '[' } else { '{' };
        let (here, there) = (self.line_of(open), self.line_of(self.at));
        let is_end = self.rest().trim().is_empty();
        let (problem, cure) = match self.peek() {
            Some(c @ (']' | '}' | ')')) => (
                format!("the `{opens}` that opens here is closed by `{c}`"),
                format!("write `{close}` before the `{c}`, or in its place"),
            ),
            _ if !is_end && here == there && self.begins_key().is_some() => (
                format!("the `{opens}` that opens here is not closed"),
                format!("write `{close}` before `{}`", self.begins_key().unwrap_or_default()),
            ),
            _ if is_end || here == there => (
                format!("the `{opens}` that opens here is not closed"),
                format!("write `{close}` where it ends"),
            ),
            _ => (
                format!("the `{opens}` that opens here is not closed"),
                format!("write `{close}` where it ends, before line {there}"),
            ),
        };
        self.slip(open, key, problem, cure, Reach::Rest)
    }

    /// Whether a new table or a new key begins here. Then the open bracket was not meant to reach this far.
    pub(super) fn begins_another(&self, open: usize) -> bool {
        (self.begins_line(self.at) && is_header(self.rest()))
            || (self.begins_key().is_some() && self.line_of(open) != self.line_of(self.at))
    }

    /// Whether a line begins with `}` before the next table.
    pub(super) fn is_closed_below(&self) -> bool {
        let lines = self.rest().lines().map(str::trim_start);
        lines
            .take_while(|line| !is_header(line))
            .any(|line| line.starts_with('}'))
    }

    pub(super) fn no_comma(&self, end: usize, key: &str) -> Stop {
        let before = end.saturating_sub(1);
        if let Some(c @ (';' | '|' | '+' | '&')) = self.peek() {
            let problem = format!("`{c}` stands between two values");
            return self.slip(before, key, problem, "write `,` in its place", Reach::Section);
        }
        let quote = self.text.get(before..end).unwrap_or_default();
        if self.at == end && matches!(quote, "\"" | "'") && self.rest().starts_with(quote) {
            let problem = format!("a `{quote}` too many, or a `,` too few");
            return self.slip(
                before,
                key,
                problem,
                "write each value in quotes, and `,` between two",
                Reach::Section,
            );
        }
        let problem = if self.line_of(before) == self.line_of(self.at) {
            "a `,` is missing between two values".to_owned()
        } else {
            "a `,` is missing behind the last value of this line".to_owned()
        };
        self.slip(before, key, problem, "write `,` between them", Reach::Section)
    }

    /// Whether a comment of another language is between two values. A `;` may be meant as a comma.
    pub(super) fn is_comment_inside(&self) -> bool {
        match self.foreign_comment() {
            Some(";") => self.begins_line(self.at),
            Some("--") => !self.rest().starts_with(|c: char| c.is_ascii_digit()),
            opens => opens.is_some(),
        }
    }

    pub(super) fn comment_inside(&self, key: &str) -> Stop {
        self.no_comment(self.at, key, self.foreign_comment().unwrap_or("//"), Reach::Section)
    }
}
