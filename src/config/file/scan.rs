//! Where a file that is no TOML goes wrong, as its author would say it: which bracket is open, which quote is missing.
//!
//! Read only for a file that the parser has refused: the parser sees a fault where it can go no further, which may be many
//! lines behind the mistake, and what it says behind its first guess is of no use. Goes through the file statement by
//! statement, and stops at the first mistake that puts the rest in doubt. Shows no value that may be a secret.

use std::collections::HashMap;

use crate::config::addresses::{address_may_hold_login, may_hold_login};
use crate::config::file::wording::{joined, quoted};
use crate::config::keys::{self, Kind};

/// A mistake.
pub struct Slip {
    /// Where in the text it is mended: of what is not closed, where it opens.
    pub at: usize,
    /// As `kafka.brokers`; empty where it is not known.
    pub key: String,
    pub found: Option<String>,
    pub problem: String,
    pub cure: String,
    pub reach: Reach,
}

/// How much of the file a mistake puts in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its line.
    Line,
    /// Its section.
    Section,
    /// All that follows.
    Rest,
}

/// What the text says, as far as it is understood.
pub struct Scanned {
    /// In the order of the text; none behind the first that reaches further than its line.
    pub slips: Vec<Slip>,
    /// Each key and table with the place where it stands, in the order of the text.
    pub statements: Vec<(String, usize)>,
}

/// Goes through `text`.
pub fn scan(text: &str) -> Scanned {
    let mut scan = Scan {
        text,
        at: 0,
        table: String::new(),
        counts: HashMap::new(),
        scanned: Scanned {
            slips: Vec::new(),
            statements: Vec::new(),
        },
    };
    if let Err(slip) = scan.file() {
        scan.scanned.slips.push(*slip);
    }
    scan.scanned
}

/// What stops it.
type Stop = Box<Slip>;

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// The table that keys are in, as `route[0].write[1]`.
    table: String,
    /// How many `[[x]]` there are so far, by their whole names.
    counts: HashMap<String, usize>,
    scanned: Scanned,
}

/// What a value stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Line,
    Array,
    Inline,
}

const INVISIBLE: &[(char, &str)] = &[
    ('\u{a0}', "a no-break space (U+00A0)"),
    ('\u{feff}', "a byte order mark (U+FEFF)"),
    ('\u{200b}', "a zero-width space (U+200B)"),
    ('\u{2003}', "an em space (U+2003)"),
    ('\u{3000}', "an ideographic space (U+3000)"),
    ('\u{2028}', "a line separator (U+2028)"),
];

fn is_typographic_quote(c: char) -> bool {
    matches!(
        c,
        '“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '«' | '»' | '`' | '´' | '＂'
    )
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    fn take(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn spaces(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t'));
    }

    /// The line that `at` is on, from 1.
    fn line_of(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn line_end(&self) -> usize {
        let rest = self.rest();
        self.at + rest.find(['\n', '\r']).unwrap_or(rest.len())
    }

    /// Whether only white space stands before `at` on its line.
    fn begins_line(&self, at: usize) -> bool {
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        before.get(start..).is_some_and(|text| text.trim().is_empty())
    }

    fn slip(&self, at: usize, key: &str, problem: impl Into<String>, cure: impl Into<String>, reach: Reach) -> Stop {
        Box::new(Slip {
            at,
            key: key.to_owned(),
            found: None,
            problem: problem.into(),
            cure: cure.into(),
            reach,
        })
    }

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

    /// White space, line ends and comments.
    fn blank(&mut self) -> Result<(), Stop> {
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

    /// From a `#` to the end of its line.
    fn comment(&mut self) {
        let end = self.line_end();
        let text = self.text.get(self.at..end).unwrap_or_default();
        if let Some((at, c)) = text.char_indices().find(|(_, c)| is_control(*c)) {
            let slip = self.control(self.at + at, "", c, Reach::Line);
            self.scanned.slips.push(*slip);
        }
        self.at = end;
    }

    fn carriage_return(&self, key: &str) -> Stop {
        self.slip(
            self.at,
            key,
            "a carriage return stands alone: this is no line end in TOML",
            "save the file with LF or CRLF line ends",
            Reach::Rest,
        )
    }

    fn control(&self, at: usize, key: &str, c: char, reach: Reach) -> Stop {
        let code = u32::from(c);
        let problem = format!("a control character (U+{code:04X}) stands here, which cannot be seen");
        let cure = format!("delete it; in a string in double quotes it is written \\u{code:04x}");
        self.slip(at, key, problem, cure, reach)
    }

    /// What begins a comment in other languages, if that is what stands here.
    fn foreign_comment(&self) -> Option<&'static str> {
        let rest = self.rest();
        ["//", "/*", "--", "<!--", ";"]
            .into_iter()
            .find(|opens| rest.starts_with(opens))
    }

    fn no_comment(&self, at: usize, key: &str, opens: &str, reach: Reach) -> Stop {
        let cure = format!("write `#` in place of `{opens}`");
        self.slip(at, key, "a comment begins with `#`", cure, reach)
    }

    fn header(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let double = self.take("[[");
        if !double {
            self.take("[");
        }
        self.spaces();
        let path = self.path().map_err(|mut slip| {
            let line = self.text.get(start..self.line_end()).unwrap_or_default();
            if let Some(meant) = header_meant(line, double).filter(|_| !slip.key.is_empty()) {
                slip.key.clear();
                slip.cure = format!("write {meant}");
            }
            reaches_on(slip)
        })?;
        self.spaces();
        let brackets = if double { ["[[", "]]"] } else { ["[", "]"] };
        let line = self.text.get(start..self.line_end()).unwrap_or_default();
        let right = in_brackets(&path.join("."), double);
        let meant = header_meant(line, double).unwrap_or_else(|| right.clone());
        if path.is_empty() {
            let cure = match meant.as_str() {
                "[]" | "[[]]" => "write e.g. [kafka] or [[route]]".to_owned(),
                meant => format!("write {meant}"),
            };
            let problem = match self.peek() {
                Some('.') => "a name is missing before `.`",
                _ => "a table has no name",
            };
            return Err(self.slip(start, "", problem, cure, Reach::Rest));
        }
        if !self.take(brackets[1]) {
            let problem = match self.peek() {
                Some(']') => "two brackets open, and one closes".to_owned(),
                Some(c) if meant != right && c != '#' => {
                    let c = if is_bare(c) {
                        "a space".to_owned()
                    } else {
                        format!("`{c}`")
                    };
                    format!("{c} in the name of a table, where `.` joins two names")
                }
                _ => format!("the name of a table is not closed: `{}` is missing", brackets[1]),
            };
            return Err(self.slip(start, "", problem, format!("write {meant}"), Reach::Rest));
        }
        if self.peek() == Some(']') {
            let cure = format!("write {right}, or [[{}]] for one of several", path.join("."));
            let problem = format!("{} opens the table's name, and more brackets close it", brackets[0]);
            return Err(self.slip(start, "", problem, cure, Reach::Rest));
        }
        self.spaces();
        if !self.is_line_end() {
            let behind = self.rest().get(..1).unwrap_or_default();
            let is_alone = self
                .text
                .get(self.at + behind.len()..self.line_end())
                .unwrap_or_default();
            let is_alone = is_alone.split('#').next().unwrap_or_default().trim().is_empty();
            let (problem, cure) = match self.foreign_comment() {
                _ if is_alone && matches!(behind, ":" | "," | ";" | ".") => {
                    (format!("a line does not end with `{behind}`"), "remove it".to_owned())
                }
                Some(opens) => return Err(self.no_comment(start, "", opens, Reach::Rest)),
                None if matches!(behind, "." | "[") && meant != right => (
                    format!("something stands behind {right} on its line"),
                    format!("write {meant}"),
                ),
                None => (
                    format!("something stands behind {right} on its line"),
                    format!("begin a new line behind {right}"),
                ),
            };
            return Err(self.slip(start, "", problem, cure, Reach::Rest));
        }
        self.enter(&path, double);
        self.scanned.statements.push((self.table.clone(), start));
        Ok(())
    }

    /// The table that the header names is the one that keys are in from here on.
    fn enter(&mut self, path: &[String], double: bool) {
        let mut whole = String::new();
        let mut table = String::new();
        for (place, segment) in path.iter().enumerate() {
            whole = joined(&whole, segment);
            table = joined(&table, segment);
            if double && place + 1 == path.len() {
                *self.counts.entry(whole.clone()).or_insert(0) += 1;
                let inside = format!("{whole}.");
                self.counts.retain(|name, _| !name.starts_with(&inside));
            }
            if let Some(count) = self.counts.get(&whole) {
                table = format!("{table}[{}]", count - 1);
            }
        }
        self.table = table;
    }

    fn is_line_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with(['#', '\n']) || rest.starts_with("\r\n")
    }

    /// Names and dots; empty if there is none.
    fn path(&mut self) -> Result<Vec<String>, Stop> {
        let mut path = Vec::new();
        loop {
            match self.peek() {
                Some('"') => path.push(self.basic("")?.to_owned()),
                Some('\'') => path.push(self.literal("")?.to_owned()),
                _ => {
                    let name = self.take_while(is_bare);
                    if name.is_empty() && path.is_empty() {
                        return Ok(path);
                    }
                    if name.is_empty() {
                        let key = joined_all(&self.table, &path);
                        let cure = format!("write a name behind `{}.`, or remove the dot", path.join("."));
                        return Err(self.slip(self.at, &key, "a name is missing behind `.`", cure, Reach::Section));
                    }
                    path.push(name.to_owned());
                }
            }
            let behind = self.at;
            self.spaces();
            if !self.take(".") {
                self.at = behind;
                return Ok(path);
            }
            self.spaces();
        }
    }

    fn statement(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let rest = self.text.get(start..self.line_end()).unwrap_or_default().trim_end();
        if let Some(opens) = self.foreign_comment().filter(|_| rest != "---") {
            return Err(self.no_comment(start, "", opens, Reach::Section));
        }
        if let Some(name) = bracketed(rest) {
            let cure = format!("write {}", header_meant(name, false).unwrap_or_default());
            return Err(self.slip(start, "", "the name of a table stands in [ … ]", cure, Reach::Rest));
        }
        if rest.starts_with("<?") {
            return Err(self.slip(
                start,
                "",
                "this looks like XML, and the file is TOML",
                "write sections and keys, e.g. [kafka] and on a line below it topics = [\"events\"]",
                Reach::Rest,
            ));
        }
        if rest == "---" || rest.starts_with("- ") {
            return Err(self.slip(
                start,
                "",
                "this looks like YAML, and the file is TOML",
                "write sections and keys, e.g. [kafka] and on a line below it topics = [\"events\"]",
                Reach::Rest,
            ));
        }
        let key = self.pair(Within::Line)?;
        self.behind(&key, start)
    }

    /// `key = value`; gives the whole name of the key.
    fn pair(&mut self, within: Within) -> Result<String, Stop> {
        let start = self.at;
        let path = self.path()?;
        let Some(first) = path.first() else {
            return Err(self.no_key(start));
        };
        let written = path.join(".");
        let key = joined_all(&self.table, &path);
        let reach = Reach::Section;
        let touches = self.at;
        self.spaces();
        match self.peek() {
            Some('=') => {}
            Some('+') if self.rest().starts_with("+=") => {
                let cure = format!("write {written} = …");
                return Err(self.slip(start, &key, "`+=` where TOML has `=`", cure, reach));
            }
            Some('{') if within == Within::Line => {
                let cure = format!("write [{written}], and its keys below it, each on a line of its own");
                return Err(self.slip(start, &key, "TOML has no blocks in `{ … }`", cure, Reach::Rest));
            }
            _ if first.contains('=') => {
                let name = first.split('=').next().unwrap_or_default().trim();
                let problem = "the quote before the name of a key is not closed behind it";
                let key = joined(&self.table, name);
                return Err(self.slip(start, &key, problem, format!("write {name} = …"), reach));
            }
            Some(c @ ('"' | '\'')) if touches == self.at => {
                let problem = format!("a `{c}` too many in the name of a key");
                let (key, cure) = match path.iter().find(|name| !name.is_empty()) {
                    Some(name) => (joined(&self.table, name), format!("write {name} = …")),
                    None => (String::new(), "write key = value".to_owned()),
                };
                return Err(self.slip(start, &key, problem, cure, reach));
            }
            Some(':') => {
                let mut rest = self.rest().get(1..).unwrap_or_default().lines();
                let is_section = rest.next().unwrap_or_default().trim().is_empty() && within == Within::Line;
                return Err(if is_section {
                    let cure =
                        format!("the file is TOML, not YAML: write [{written}] and its keys below, as key = value");
                    self.slip(start, &key, "`:` where TOML has a section or `=`", cure, Reach::Rest)
                } else {
                    let cure = format!("write {written} = …");
                    self.slip(start, &key, "`:` where TOML has `=`", cure, reach)
                });
            }
            _ if self.is_line_end() => {
                let cure = format!("write {written} = …");
                let problem = format!("`{written}` has neither `=` nor a value");
                return Err(self.slip(start, &key, problem, cure, reach));
            }
            Some(c) if !is_bare(c) && !matches!(c, '"' | '\'' | '[' | '{') && !is_typographic_quote(c) => {
                if let Some((_, name)) = INVISIBLE.iter().find(|(each, _)| *each == c) {
                    let problem = format!("{name} stands here, which cannot be seen and is no white space in TOML");
                    return Err(self.slip(self.at, &key, problem, "write a plain space", reach));
                }
                let cure = "a name with other characters than letters, digits, `_` and `-` stands in quotes; behind it \
                            comes `=`";
                return Err(self.slip(
                    self.at,
                    &key,
                    format!("{} in the name of a key", quoted(&c.to_string())),
                    cure,
                    reach,
                ));
            }
            _ => {
                let (problem, cure) = match self.begins_key() {
                    Some(name) if ["export", "set", "let", "var", "const", "local"].contains(&written.as_str()) => (
                        format!("`{written}` stands before the name of a key"),
                        format!("write {name} = …"),
                    ),
                    Some(name) => (
                        format!("`{written} {name}` is two words, and the name of a key is one"),
                        format!("write {written}_{name} = …, or each on a line of its own"),
                    ),
                    None => (
                        format!("`=` is missing behind `{written}`"),
                        format!("write {written} = …"),
                    ),
                };
                return Err(self.slip(start, &key, problem, cure, reach));
            }
        }
        self.take("=");
        if let Some(c @ ('=' | '>')) = self.peek() {
            let problem = format!("`={c}` where TOML has `=`");
            return Err(self.slip(start, &key, problem, format!("write {first} = …"), reach));
        }
        self.scanned.statements.push((key.clone(), start));
        self.spaces();
        self.value(&key, &written, within)?;
        Ok(key)
    }

    fn no_key(&self, start: usize) -> Stop {
        let (problem, cure) = match self.peek() {
            Some(c @ (']' | '}' | ')')) => (
                format!("`{c}` closes nothing"),
                "remove it, or look above for what should open it".to_owned(),
            ),
            Some('=') => ("a key is missing before `=`".to_owned(), "write key = value".to_owned()),
            Some(c @ ('{' | '[')) => (
                format!("`{c}` where a key is expected"),
                "write key = value, inside `{ … }` too".to_owned(),
            ),
            Some(',') => ("a `,` where a key is expected".to_owned(), "remove it".to_owned()),
            Some(c) if is_typographic_quote(c) => typographic(c),
            Some('.') => (
                "a name is missing before `.`".to_owned(),
                "write key = value".to_owned(),
            ),
            Some(c) => (
                format!("{} does not begin a key", quoted(&c.to_string())),
                "write key = value, and a comment behind `#`; a name with other characters than letters, digits, `_` and `-` \
                 stands in quotes"
                    .to_owned(),
            ),
            None => ("a key is missing".to_owned(), "write key = value".to_owned()),
        };
        self.slip(start, "", problem, cure, Reach::Section)
    }

    /// What stands behind the value of a key, on its line.
    fn behind(&mut self, key: &str, start: usize) -> Result<(), Stop> {
        let touches = self.at;
        let before = self.text.get(..touches).and_then(|text| text.chars().next_back());
        self.spaces();
        if self.is_line_end() {
            return Ok(());
        }
        let rest = self.text.get(self.at..self.line_end()).unwrap_or_default().trim_end();
        let quote = before.filter(|c| matches!(c, '"' | '\''));
        // What a comma or semicolon separates from the value.
        let next = rest.trim_start_matches([',', ';']).trim_start();
        let is_apart = touches != self.at || next.len() < rest.len();
        let is_one_line = self.line_of(start) == self.line_of(self.at);
        let (problem, cure) = match self.peek() {
            Some(c @ (',' | ';')) if next.is_empty() || next.starts_with('#') => {
                (format!("a line does not end with `{c}`"), "remove it".to_owned())
            }
            _ if is_apart && is_one_line && starts_key(next).is_some() => {
                let name = starts_key(next).unwrap_or_default();
                let cure = if is_secret(key) {
                    "write each on a line of its own".to_owned()
                } else {
                    format!("write each on a line of its own: {name} = … on the next")
                };
                ("two keys stand on one line".to_owned(), cure)
            }
            _ if self.foreign_comment().is_some() => {
                let opens = self.foreign_comment().unwrap_or_default();
                return Err(self.no_comment(start, key, opens, Reach::Section));
            }
            _ if is_apart && is_one_line && next.starts_with(['"', '\'', '[']) => (
                "a second value stands behind the first".to_owned(),
                match kind(key) {
                    Some(Kind::List) => "write all of them in one [ … ], with `,` between two".to_owned(),
                    Some(Kind::Text) if matches!(key, "kafka.brokers" | "aerospike.hosts") => {
                        "write all of them in one string, with `,` between two".to_owned()
                    }
                    _ => "write one value, in one pair of quotes".to_owned(),
                },
            ),
            _ if quote.is_some() && is_apart && is_one_line && starts_operator(rest).is_some() => (
                format!("the string ends before `{}`", starts_operator(rest).unwrap_or_default()),
                "put all of it into one pair of quotes".to_owned(),
            ),
            Some(c @ (']' | '}' | ')')) => (
                format!("`{c}` closes nothing"),
                "remove it, or open it before".to_owned(),
            ),
            Some(c) if is_typographic_quote(c) => typographic(c),
            _ if self.line_of(start) != self.line_of(self.at) && before == quote && quote.is_some() => (
                format!(
                    "something stands behind the string that begins here and ends at line {}",
                    self.line_of(self.at)
                ),
                "close the string where it should end".to_owned(),
            ),
            Some(c) if Some(c) == quote && rest.trim_matches(c).is_empty() => (
                format!("a `{c}` too many stands at the end of the string"),
                "remove it".to_owned(),
            ),
            Some(_)
                if let Some(quote) = quote
                    && touches == self.at
                    && self.text.get(..touches).is_some_and(|text| {
                        let text = text.trim_end_matches(quote);
                        touches - text.len() == 2 && text.trim_end().ends_with('=')
                    }) =>
            {
                (
                    format!("a `{quote}` too many stands at the beginning of the string"),
                    "remove it".to_owned(),
                )
            }
            Some(c)
                if let Some(quote) = quote
                    && (touches == self.at || c == quote || rest.ends_with(quote)) =>
            {
                let other = if quote == '"' { '\'' } else { '"' };
                let cure = if quote == '"' {
                    format!("write `\\\"` for a quote inside, or put the whole in {other}…{other}")
                } else {
                    format!("put the whole in {other}…{other}")
                };
                (format!("the string ends at a `{quote}` inside it"), cure)
            }
            _ => {
                let (problem, cure) = if quote.is_some() {
                    (
                        "text stands behind the string",
                        "remove it, write it in the quotes, or put `#` before a comment; each key has a line of its own",
                    )
                } else {
                    (
                        "something stands behind the value",
                        "remove it, or put `#` before a comment; each key has a line of its own",
                    )
                };
                let mut slip = self.slip(start, key, problem, cure, Reach::Section);
                slip.found = (!is_secret(key) && !may_hold_login(rest) && !names_secret(rest))
                    .then(|| rest.chars().take(80).collect());
                return Err(slip);
            }
        };
        Err(self.slip(start, key, problem, cure, Reach::Section))
    }

    /// `written`: the key as the file has it, for the cure.
    fn value(&mut self, key: &str, written: &str, within: Within) -> Result<(), Stop> {
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
            // The parser looks for the end of it from the mistake on, through whatever follows.
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

    /// A string in `"`, up to its end; gives what is in it, as it stands.
    fn basic(&mut self, key: &str) -> Result<&'t str, Stop> {
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

    fn escape(&mut self, key: &str, start: usize, long: bool) -> Result<(), Stop> {
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

    fn literal(&mut self, key: &str) -> Result<&'t str, Stop> {
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

    fn unclosed(&self, start: usize, key: &str, quote: char) -> Stop {
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

    /// A string over several lines.
    fn long(&mut self, key: &str, quotes: &str) -> Result<(), Stop> {
        let start = self.at;
        self.take(quotes);
        loop {
            if self.take(quotes) {
                // Up to two more belong to the text.
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

    /// What is open at `open` is not closed by `close`; something says so at the current place.
    fn open(&self, open: usize, key: &str, close: char) -> Stop {
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

    /// Whether a new table or a new key begins here: what is open was not meant to reach so far.
    fn begins_another(&self, open: usize) -> bool {
        (self.begins_line(self.at) && is_header(self.rest()))
            || (self.begins_key().is_some() && self.line_of(open) != self.line_of(self.at))
    }

    /// The key that begins here, with its `=`.
    fn begins_key(&self) -> Option<String> {
        let mut ahead = Scan {
            text: self.text,
            at: self.at,
            table: String::new(),
            counts: HashMap::new(),
            scanned: Scanned {
                slips: Vec::new(),
                statements: Vec::new(),
            },
        };
        let path = ahead.path().ok().filter(|path| !path.is_empty())?;
        ahead.spaces();
        (ahead.take("=") && ahead.peek() != Some('=')).then(|| path.join("."))
    }

    fn array(&mut self, key: &str, written: &str) -> Result<(), Stop> {
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

    /// A comment of another language between two values. A `;` may stand for a comma.
    fn is_comment_inside(&self) -> bool {
        match self.foreign_comment() {
            Some(";") => self.begins_line(self.at),
            Some("--") => !self.rest().starts_with(|c: char| c.is_ascii_digit()),
            opens => opens.is_some(),
        }
    }

    fn comment_inside(&self, key: &str) -> Stop {
        self.no_comment(self.at, key, self.foreign_comment().unwrap_or("//"), Reach::Section)
    }

    fn no_comma(&self, end: usize, key: &str) -> Stop {
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

    fn inline(&mut self, key: &str) -> Result<(), Stop> {
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

    /// Whether a line begins with `}` before the next table.
    fn is_closed_below(&self) -> bool {
        let lines = self.rest().lines().map(str::trim_start);
        lines
            .take_while(|line| !is_header(line))
            .any(|line| line.starts_with('}'))
    }

    /// A number, a boolean, a date; or text that stands without its quotes, which is noted and passed over.
    fn scalar(&mut self, key: &str, written: &str, within: Within) -> Result<(), Stop> {
        let start = self.at;
        let mut token = self.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#'));
        // `100; group = "g"`
        if let Some((before, _)) = token.split_once(';')
            && is_scalar(before)
        {
            token = before;
            self.at = start + before.len();
        }
        // `1,000`, `1 000`, `512 MiB`: a number, and more of the same value.
        let more = self.text.get(self.at..self.line_end()).unwrap_or_default();
        let more = more.split(" #").next().unwrap_or_default();
        let goes_on = within == Within::Line
            && (more
                .strip_prefix(',')
                .is_some_and(|more| !more.trim().is_empty() && starts_key(more.trim()).is_none())
                || is_thousands(more)
                || (more.trim_start().starts_with(|c: char| c.is_ascii_alphabetic()) && !more.contains('=')));
        if is_scalar(token) && !goes_on {
            // A date and its time may stand apart.
            let rest = self.rest();
            let is_time = rest.get(..4).is_some_and(|text| {
                let text = text.as_bytes();
                text[0] == b' ' && text[1].is_ascii_digit() && text[2].is_ascii_digit() && text[3] == b':'
            });
            if !(token.len() == 10 && is_time) {
                return Ok(());
            }
            self.bump();
            let time = self.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#'));
            if is_scalar(&format!("{token} {time}")) {
                return Ok(());
            }
        }
        self.at = start;
        let first = self.peek().unwrap_or(' ');
        if let Some((_, name)) = INVISIBLE.iter().find(|(each, _)| *each == first) {
            let problem = format!("{name} stands here, which cannot be seen and is no white space in TOML");
            return Err(self.slip(start, key, problem, "write a plain space", Reach::Section));
        }
        if first == '=' {
            let cure = format!("write {written} = …");
            return Err(self.slip(start, key, "`=` stands twice", cure, Reach::Section));
        }
        if first == '\\'
            && self
                .text
                .get(start + 1..self.line_end())
                .is_some_and(|rest| rest.trim().is_empty())
        {
            let cure = format!("write the value on the line of its key: {written} = …");
            return Err(self.slip(start, key, "a line does not go on behind `\\`", cure, Reach::Rest));
        }
        if first == ':' || token.starts_with("//") {
            let cure = format!("write {written} = …");
            return Err(self.slip(start, key, "a value is missing", cure, Reach::Section));
        }
        if let Some(name) = self.begins_key() {
            let (problem, cure) = match within {
                Within::Array => (
                    "`=` inside `[ … ]`, which holds values".to_owned(),
                    "write [ … ] around values, and { key = value } around keys".to_owned(),
                ),
                Within::Line | Within::Inline => (
                    format!("a `{{` is missing before `{name}`"),
                    format!("write {written} = {{ {name} = … }}"),
                ),
            };
            return Err(self.slip(start, key, problem, cure, Reach::Section));
        }
        let line = self.text.get(start..self.line_end()).unwrap_or_default();
        let raw = match within {
            Within::Line => [" #", " //", " ;", " --"]
                .iter()
                .fold(line, |line, opens| line.split(opens).next().unwrap_or_default()),
            Within::Array | Within::Inline => line.split([',', ']', '}', '#']).next().unwrap_or_default(),
        }
        .trim_end();
        let is_secret = is_secret(key);
        // A password may hold what ends a value here.
        let has_login = match key {
            "kafka.brokers" | "aerospike.hosts" => address_may_hold_login(line),
            _ => may_hold_login(line.trim()) || names_secret(line),
        };
        let name = key.rsplit('.').next().unwrap_or_default();
        if let (Within::Line, Some(second)) = (within, second_key(raw))
            && !is_secret
            && !has_login
            && !matches!(name, "when" | "expr")
        {
            let cure = format!("write each on a line of its own, and text in quotes: {second} = … on the next");
            return Err(self.slip(start, key, "two keys stand on one line", cure, Reach::Section));
        }
        self.at = match within {
            Within::Line => self.line_end(),
            Within::Array | Within::Inline => start + raw.len(),
        };
        let (problem, text) = unquoted(raw);
        let (problem, text) = match (kind(key), text) {
            (Some(Kind::Number { min, max }), Text::InQuotes(_)) => (
                "this is no whole number".to_owned(),
                Text::OneOf(format!("a whole number, {min} to {max}")),
            ),
            (Some(Kind::Number { min, max }), Text::Word(word)) if word.parse::<i64>().is_err() => (
                "this is no whole number".to_owned(),
                Text::OneOf(format!("a whole number, {min} to {max}")),
            ),
            (Some(Kind::Flag), Text::InQuotes(_)) => (
                "this is neither true nor false".to_owned(),
                Text::OneOf("true or false".to_owned()),
            ),
            (_, text) => (problem, text),
        };
        let at_value = match within {
            Within::Line | Within::Inline => format!("{written} = "),
            Within::Array => String::new(),
        };
        let is_address = matches!(key, "kafka.brokers" | "aerospike.hosts");
        let cure = match text {
            Text::Word(_) | Text::InQuotes(_) if is_secret || (has_login && !is_address) => {
                "put it in quotes".to_owned()
            }
            Text::Word(word) => format!("write {at_value}{word}"),
            Text::OneOf(words) => format!("write {words}"),
            Text::Remove => format!("remove `{written}`"),
            Text::InQuotes(_) if has_login && key == "kafka.brokers" => {
                "put host:port in quotes, and the login into sasl.username and sasl.password below [kafka.properties]"
                    .to_owned()
            }
            Text::InQuotes(_) if has_login && key == "aerospike.hosts" => {
                "put host:port in quotes, and the login into aerospike.user and aerospike.password".to_owned()
            }
            Text::InQuotes(text) => format!("put it in quotes: {at_value}{}", in_quotes(&text)),
        };
        let mut slip = self.slip(start, key, problem, cure, Reach::Line);
        slip.found = (!is_secret && !has_login).then(|| raw.chars().take(80).collect());
        // In brackets the parser takes its quote for the beginning of a string, and misses what closes them.
        if within != Within::Line && raw.contains(['"', '\'', '[', '{', '(', '=']) {
            slip.reach = Reach::Rest;
            return Err(slip);
        }
        // What follows may be more of the same: the lines of a private key look like keys of the file.
        if is_secret {
            slip.reach = Reach::Section;
            return Err(slip);
        }
        // One a line tells enough.
        let line = self.line_of(start);
        if self.scanned.slips.iter().all(|before| self.line_of(before.at) != line) {
            self.scanned.slips.push(*slip);
        }
        Ok(())
    }
}

fn reaches_on(mut slip: Stop) -> Stop {
    slip.reach = Reach::Rest;
    slip
}

fn joined_all(table: &str, path: &[String]) -> String {
    path.iter().fold(table.to_owned(), |key, segment| joined(&key, segment))
}

/// TOML takes a tabulator, and no other of these.
fn is_control(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')
}

/// The name of the key that a text begins with, if `=` comes behind it.
fn starts_key(text: &str) -> Option<&str> {
    let end = text.find(|c| !is_bare(c) && c != '.')?;
    let (name, rest) = text.split_at(end);
    let value = rest.trim_start().strip_prefix('=')?;
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && !value.starts_with('=')).then_some(name)
}

/// The key that stands behind a value without quotes.
fn second_key(raw: &str) -> Option<&str> {
    let places = raw.match_indices([' ', '\t', ',', ';']).map(|(at, _)| at + 1);
    places.filter_map(|at| raw.get(at..)).find_map(starts_key)
}

/// What joins two values in other languages.
fn starts_operator(text: &str) -> Option<&str> {
    [
        "&&", "||", "==", "!=", ">=", "<=", "+", ">", "<", "?", "and ", "or ", "not ", "in ",
    ]
    .into_iter()
    .find(|operator| text.starts_with(operator))
    .map(str::trim_end)
}

/// ` 000 000` behind the first digits of a number.
fn is_thousands(text: &str) -> bool {
    let text = text.trim_end();
    let groups = text.strip_prefix(' ').unwrap_or_default();
    !groups.is_empty()
        && groups
            .split(' ')
            .all(|group| group.len() == 3 && group.bytes().all(|c| c.is_ascii_digit()))
}

fn in_brackets(name: &str, double: bool) -> String {
    if double {
        format!("[[{name}]]")
    } else {
        format!("[{name}]")
    }
}

/// The header that a broken one is meant to be, by the names that stand on its line.
fn header_meant(line: &str, double: bool) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default();
    let names: Vec<&str> = line.split(|c| !is_bare(c)).filter(|name| !name.is_empty()).collect();
    if names.is_empty() || names.len() > 3 || line.contains('=') {
        return None;
    }
    if let [name @ ("write" | "publish")] = names.as_slice() {
        return Some(format!("[[route.{name}]]"));
    }
    let is_several = matches!(names.as_slice(), ["route"] | ["route", "write" | "publish"]);
    Some(in_brackets(&names.join("."), double || is_several))
}

/// The name in `{run}`, `(run)` or `<run>`.
fn bracketed(line: &str) -> Option<&str> {
    let inside = line.strip_prefix(['{', '(', '<'])?.strip_suffix(['}', ')', '>'])?;
    (!inside.is_empty() && inside.chars().all(|c| is_bare(c) || c == '.')).then_some(inside)
}

/// What the value of a key ought to be, as far as the table of keys says it.
fn kind(key: &str) -> Option<Kind> {
    let mut plain = String::new();
    let mut is_index = false;
    for c in key.chars() {
        match c {
            '[' => is_index = true,
            ']' => is_index = false,
            c if !is_index => plain.push(c),
            _ => {}
        }
    }
    let (section, name) = plain.rsplit_once('.')?;
    let section = match section {
        "run" => &keys::RUN,
        "kafka" => &keys::KAFKA,
        "aerospike" => &keys::AEROSPIKE,
        "reject" => &keys::REJECT,
        "route" => &keys::ROUTE,
        "route.write" => &keys::WRITE,
        "route.publish" => &keys::PUBLISH,
        _ => return None,
    };
    section.keys.iter().find(|key| key.name == name).map(|key| key.kind)
}

fn typographic(c: char) -> (String, String) {
    (
        format!("`{c}` is a typographic quote, which opens and closes no string"),
        "write `\"` in its place".to_owned(),
    )
}

/// `[a.b]` or `[[a.b]]` and nothing else on the line.
fn is_header(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split('#').next().unwrap_or_default().trim();
    let Some(inside) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) else {
        return false;
    };
    let inside = inside
        .strip_prefix('[')
        .and_then(|line| line.strip_suffix(']'))
        .unwrap_or(inside);
    let inside = inside.trim();
    inside.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && inside.chars().all(|c| is_bare(c) || c == '.')
        && !is_scalar(inside)
}

/// Whether a word is a number, a boolean or a date of TOML.
fn is_scalar(word: &str) -> bool {
    if matches!(word, "true" | "false") {
        return true;
    }
    let text = format!("a = {word}\n");
    !word.is_empty() && toml::de::DeTable::parse(&text).is_ok()
}

/// What should stand in the place of text without quotes.
enum Text {
    InQuotes(String),
    Word(String),
    /// What it can be, in words.
    OneOf(String),
    Remove,
}

fn unquoted(raw: &str) -> (String, Text) {
    let in_quotes = |problem: &str, text: &str| (problem.to_owned(), Text::InQuotes(text.to_owned()));
    let first = raw.chars().next().unwrap_or(' ');
    let last = raw.chars().next_back().unwrap_or(' ');
    match raw.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => return ("this is no boolean of TOML".to_owned(), Text::Word("true".to_owned())),
        "no" | "off" | "false" => return ("this is no boolean of TOML".to_owned(), Text::Word("false".to_owned())),
        "null" | "nil" | "none" | "~" => return ("TOML has no null".to_owned(), Text::Remove),
        _ => {}
    }
    if is_typographic_quote(first) {
        let text = raw.trim_matches(is_typographic_quote);
        let problem = format!("`{first}` is a typographic quote, which opens no string");
        return (problem, Text::InQuotes(text.to_owned()));
    }
    if matches!(last, '"' | '\'') && !raw.trim_end_matches(last).contains(last) {
        let problem = format!("the `{last}` that opens the string is missing");
        return (problem, Text::InQuotes(raw.trim_end_matches(last).to_owned()));
    }
    if let Some((mark, rest)) = raw.char_indices().nth(1).map(|(at, _)| raw.split_at(at))
        && matches!(mark, "r" | "f" | "b" | "u" | "R" | "F" | "B" | "@" | "$")
        && rest.len() > 1
        && ['"', '\'']
            .iter()
            .any(|quote| rest.starts_with(*quote) && rest.ends_with(*quote))
    {
        return (
            format!("`{mark}` stands before the string"),
            Text::Word(rest.to_owned()),
        );
    }
    if let Some(text) = raw.strip_prefix("\\\"").and_then(|text| text.strip_suffix("\\\"")) {
        return in_quotes("`\\` stands before the quotes", text);
    }
    if let Some(name) = variable(raw) {
        return in_quotes("text stands without quotes", &format!("${{env:{name}}}"));
    }
    if let Some(number) = with_radix(raw) {
        return (
            "this is not how TOML writes a number".to_owned(),
            Text::Word(number.to_string()),
        );
    }
    if raw.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-')) && has_thousands(raw) {
        let plain = raw.replace([',', '_', ' ', '\''], "");
        if let (Ok(_), true) = (plain.parse::<f64>(), plain.bytes().all(|c| !c.is_ascii_alphabetic())) {
            let sign = if plain.starts_with('-') { "-" } else { "" };
            let digits = plain.trim_start_matches(['+', '-']).trim_start_matches('0');
            let number = match digits {
                "" => "0".to_owned(),
                digits if digits.starts_with('.') => format!("0{digits}"),
                digits => digits.to_owned(),
            };
            let number = if number.ends_with('.') {
                format!("{number}0")
            } else {
                number
            };
            return (
                "this is not how TOML writes a number".to_owned(),
                Text::Word(format!("{sign}{number}")),
            );
        }
    }
    let (number, unit) = raw.split_once(' ').unwrap_or((raw, ""));
    let is_quantity = |text: &str, is: fn(&char) -> bool| !text.is_empty() && text.chars().all(|c| is(&c));
    if is_quantity(number, char::is_ascii_digit) && is_quantity(unit, char::is_ascii_alphabetic) {
        return in_quotes("text stands without quotes", &format!("{number}{unit}"));
    }
    in_quotes("text stands without quotes", raw)
}

/// The name in `$NAME`, `${NAME}` or `%NAME%`.
fn variable(raw: &str) -> Option<&str> {
    let inside = |opens: &str, closes: &str| raw.strip_prefix(opens)?.strip_suffix(closes);
    let name = inside("${", "}")
        .or_else(|| inside("%", "%"))
        .or_else(|| inside("$", ""))?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).then_some(name)
}

/// `0XFF`, `+0x10`, `0d10`: the number.
fn with_radix(raw: &str) -> Option<i64> {
    let (sign, digits) = match raw.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, raw.strip_prefix('+').unwrap_or(raw)),
    };
    let mut chars = digits.strip_prefix('0')?.chars();
    let radix = match chars.next()?.to_ascii_lowercase() {
        'x' => 16,
        'o' => 8,
        'b' => 2,
        'd' => 10,
        _ => return None,
    };
    let number = i64::from_str_radix(&chars.as_str().replace('_', ""), radix).ok()?;
    Some(sign * number)
}

/// Whether what a comma, a space or an apostrophe separates in a number is thousands.
fn has_thousands(raw: &str) -> bool {
    let mut groups = raw.split([',', ' ', '\'']).skip(1);
    groups.all(|group| group.split('.').next().is_some_and(|digits| digits.len() == 3))
}

/// In the quotes that need no escapes, if there are such.
fn in_quotes(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    let text = if cut.len() < text.len() {
        format!("{cut}…")
    } else {
        cut
    };
    if text.contains(['"', '\\']) && !text.contains('\'') {
        format!("'{text}'")
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Whether a text behind the value of another key is a password with its name.
fn names_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["password", "passwd", "secret"].iter().any(|word| text.contains(word))
}

/// Passwords, and what librdkafka is told, which may be one.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let parts = [
        "password",
        "secret",
        "sasl",
        "ssl",
        "token",
        "kafka.properties",
        "kafka.consumer",
        "kafka.producer",
    ];
    parts.iter().any(|part| key.contains(part))
}
