//! A place in the text, and what the characters there are: white space, comments, invisible characters.

use std::collections::HashMap;

/// A mistake.
pub struct Slip {
    /// Byte offset where it must be corrected. For something that is not closed: where it opens.
    pub at: usize,
    /// For example `kafka.brokers`; empty if not known.
    pub key: String,
    pub found: Option<String>,
    pub problem: String,
    pub cure: String,
    pub reach: Reach,
}

/// How much of the file a mistake makes doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its line.
    Line,
    /// Its section.
    Section,
    /// The rest of the file.
    Rest,
}

/// The result of a scan, as far as the text is understood.
pub struct Scanned {
    /// In file order. Ends with the first mistake that makes more than its line doubtful.
    pub slips: Vec<Slip>,
    /// Each key and table with its byte offset, in file order.
    pub statements: Vec<(String, usize)>,
}

/// The mistake that stops the scan.
pub(super) type Stop = Box<Slip>;

pub(super) struct Scan<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    /// The current table, such as `route[0].write[1]`.
    pub(super) table: String,
    /// How many `[[x]]` there were so far, by their full names.
    pub(super) counts: HashMap<String, usize>,
    pub(super) scanned: Scanned,
}

/// What surrounds a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    Line,
    Array,
    Inline,
}

pub(super) const INVISIBLE: &[(char, &str)] = &[
    ('\u{a0}', "a no-break space (U+00A0)"),
    ('\u{feff}', "a byte order mark (U+FEFF)"),
    ('\u{200b}', "a zero-width space (U+200B)"),
    ('\u{2003}', "an em space (U+2003)"),
    ('\u{3000}', "an ideographic space (U+3000)"),
    ('\u{2028}', "a line separator (U+2028)"),
];

pub(super) fn is_typographic_quote(c: char) -> bool {
    matches!(
        c,
        '“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '«' | '»' | '`' | '´' | '＂'
    )
}

pub(super) fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str, at: usize) -> Self {
        Scan {
            text,
            at,
            table: String::new(),
            counts: HashMap::new(),
            scanned: Scanned {
                slips: Vec::new(),
                statements: Vec::new(),
            },
        }
    }

    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    pub(super) fn take(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    pub(super) fn spaces(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t'));
    }

    /// The line of `at`, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    pub(super) fn line_end(&self) -> usize {
        let rest = self.rest();
        self.at + rest.find(['\n', '\r']).unwrap_or(rest.len())
    }

    /// Whether there is only white space before `at` on its line.
    pub(super) fn begins_line(&self, at: usize) -> bool {
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        before.get(start..).is_some_and(|text| text.trim().is_empty())
    }

    pub(super) fn is_line_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with(['#', '\n']) || rest.starts_with("\r\n")
    }

    pub(super) fn slip(
        &self,
        at: usize,
        key: &str,
        problem: impl Into<String>,
        cure: impl Into<String>,
        reach: Reach,
    ) -> Stop {
        Box::new(Slip {
            at,
            key: key.to_owned(),
            found: None,
            problem: problem.into(),
            cure: cure.into(),
            reach,
        })
    }

    /// Skips white space, line ends and comments.
    pub(super) fn blank(&mut self) -> Result<(), Stop> {
        loop {
            self.spaces();
            if self.take("\r\n") || self.take("\n") {
                continue;
            }
            match self.peek() {
                Some('#') => self.comment(),
                Some('\r') => return Err(self.carriage_return("")),
                Some(c) => match INVISIBLE.iter().find(|(each, _)| *each == c) {
                    Some((_, name)) => {
                        return Err(self.slip(
                            self.at,
                            "",
                            format!("{name} stands here, which cannot be seen and is no white space in TOML"),
                            "delete it, and write a plain space if one is wanted",
                            Reach::Section,
                        ));
                    }
                    None => return Ok(()),
                },
                None => return Ok(()),
            }
        }
    }

    /// Skips from a `#` to the end of its line.
    pub(super) fn comment(&mut self) {
        let end = self.line_end();
        let text = self.text.get(self.at..end).unwrap_or_default();
        if let Some((at, c)) = text.char_indices().find(|(_, c)| is_control(*c)) {
            let slip = self.control(self.at + at, "", c, Reach::Line);
            self.scanned.slips.push(*slip);
        }
        self.at = end;
    }

    pub(super) fn carriage_return(&self, key: &str) -> Stop {
        self.slip(
            self.at,
            key,
            "a carriage return stands alone: this is no line end in TOML",
            "save the file with LF or CRLF line ends",
            Reach::Rest,
        )
    }

    pub(super) fn control(&self, at: usize, key: &str, c: char, reach: Reach) -> Stop {
        let code = u32::from(c);
        let problem = format!("a control character (U+{code:04X}) stands here, which cannot be seen");
        let cure = format!("delete it; in a string in double quotes it is written \\u{code:04x}");
        self.slip(at, key, problem, cure, reach)
    }

    /// The beginning of a comment in another language, if the text here is one.
    pub(super) fn foreign_comment(&self) -> Option<&'static str> {
        let rest = self.rest();
        ["//", "/*", "--", "<!--", ";"]
            .into_iter()
            .find(|opens| rest.starts_with(opens))
    }

    pub(super) fn no_comment(&self, at: usize, key: &str, opens: &str, reach: Reach) -> Stop {
        let cure = format!("write `#` in place of `{opens}`");
        self.slip(at, key, "a comment begins with `#`", cure, reach)
    }
}

pub(super) fn reaches_on(mut slip: Stop) -> Stop {
    slip.reach = Reach::Rest;
    slip
}

/// Of the control characters, TOML allows only the tab.
pub(super) fn is_control(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')
}

pub(super) fn typographic(c: char) -> (String, String) {
    (
        format!("`{c}` is a typographic quote, which opens and closes no string"),
        "write `\"` in its place".to_owned(),
    )
}
