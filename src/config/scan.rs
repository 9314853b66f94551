//! Where a file that is no TOML goes wrong, as its author would say it: which bracket is open, which quote is missing.
//!
//! Read only for a file that the parser has refused: the parser sees a fault where it can go no further, which may be many
//! lines behind the mistake, and what it says behind its first guess is of no use. Goes through the file statement by
//! statement, and stops at the first mistake that puts the rest in doubt. Shows no value that may be a secret.

use std::collections::HashMap;

use super::addresses::{address_may_hold_login, may_hold_login};
use super::reader::{joined, quoted};

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
        if self.peek() == Some('{') {
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
                Some('#') => self.at = self.line_end(),
                Some('\r') => {
                    return Err(self.slip(
                        self.at,
                        "",
                        "a carriage return stands alone: this is no line end in TOML",
                        "save the file with LF or CRLF line ends",
                        Reach::Rest,
                    ));
                }
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

    fn header(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let double = self.take("[[");
        if !double {
            self.take("[");
        }
        self.spaces();
        let path = self.path()?;
        self.spaces();
        let brackets = if double { ["[[", "]]"] } else { ["[", "]"] };
        let right = format!("{}{}{}", brackets[0], path.join("."), brackets[1]);
        if path.is_empty() {
            let cure = "write e.g. [kafka] or [[route]]";
            return Err(self.slip(start, "", "a table has no name", cure, Reach::Rest));
        }
        if !self.take(brackets[1]) {
            let problem = if double && self.take("]") {
                "two brackets open, and one closes".to_owned()
            } else {
                format!("the name of a table is not closed: `{}` is missing", brackets[1])
            };
            return Err(self.slip(start, "", problem, format!("write {right}"), Reach::Rest));
        }
        if self.peek() == Some(']') {
            let cure = format!("write {right}, or [[{}]] for one of several", path.join("."));
            let problem = format!("{} opens the table's name, and more brackets close it", brackets[0]);
            return Err(self.slip(start, "", problem, cure, Reach::Rest));
        }
        self.spaces();
        if !self.is_line_end() {
            let (problem, cure) = if self.rest().starts_with("//") {
                (
                    "a comment begins with `#`".to_owned(),
                    "write `#` in place of `//`".to_owned(),
                )
            } else {
                (
                    format!("something stands behind {right} on its line"),
                    format!("begin a new line behind {right}"),
                )
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
                    if name.is_empty() {
                        return Ok(path);
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
        for (opens, name) in [("//", "//"), ("/*", "/*"), (";", ";"), ("--", "--")] {
            if rest.starts_with(opens) && rest != "---" {
                let cure = format!("write `#` in place of `{name}`");
                return Err(self.slip(start, "", "a comment begins with `#`", cure, Reach::Section));
            }
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
        let mut key = self.table.clone();
        for segment in &path {
            key = joined(&key, segment);
        }
        let reach = Reach::Section;
        self.spaces();
        match self.peek() {
            Some('=') => {}
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
                let cure = format!("write {written} = …");
                let problem = format!("`=` is missing behind `{written}`");
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
            Some(c) => (
                format!("{} does not begin a key", quoted(&c.to_string())),
                "write key = value; a name with other characters than letters, digits, `_` and `-` stands in quotes"
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
        let (problem, cure) = match self.peek() {
            Some(',') if rest == "," => ("a line does not end with `,`".to_owned(), "remove it".to_owned()),
            Some(';') if rest == ";" => ("a line does not end with `;`".to_owned(), "remove it".to_owned()),
            _ if rest.starts_with("//") => (
                "a comment begins with `#`".to_owned(),
                "write `#` in place of `//`".to_owned(),
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
            _ if rest.split_once('=').is_some_and(|(name, _)| {
                let name = name.trim();
                !name.is_empty() && name.chars().all(|c| is_bare(c) || c == '.')
            }) =>
            {
                (
                    "two keys stand on one line".to_owned(),
                    "write each on a line of its own".to_owned(),
                )
            }
            _ => (
                "something stands behind the value".to_owned(),
                "write each key on a line of its own, text in quotes, and a comment behind `#`".to_owned(),
            ),
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
            Some(',' | ']' | '}') | None => {
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
                None | Some('\n' | '\r') => return Err(self.unclosed(start, key, '"')),
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
            Some('b' | 't' | 'n' | 'f' | 'r' | '"' | '\\' | 'u' | 'U' | 'e' | 'x') => self.bump(),
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
        let text = self.take_while(|c| !matches!(c, '\'' | '\n' | '\r'));
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

    fn no_comma(&self, end: usize, key: &str) -> Stop {
        let before = end.saturating_sub(1);
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
                Some(_) if self.begins_line(self.at) && is_header(self.rest()) => return Err(self.open(open, key, '}')),
                Some(_) => self.pair(Within::Inline)?,
            };
            let end = self.at;
            self.blank()?;
            match self.peek() {
                Some(',') => self.bump(),
                Some('}') => break,
                None | Some(']' | ')') => return Err(self.open(open, key, '}')),
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
        let token = self.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#'));
        // `1,000`, `512 MiB`: a number, and more of the same value.
        let more = self.text.get(self.at..self.line_end()).unwrap_or_default();
        let more = more.split(" #").next().unwrap_or_default();
        let goes_on = within == Within::Line
            && (more.strip_prefix(',').is_some_and(|more| !more.trim().is_empty())
                || (more.trim_start().starts_with(|c: char| c.is_ascii_alphabetic()) && !more.contains('=')));
        if is_scalar(token) && !goes_on {
            // A date and its time may stand apart.
            let rest = self.rest();
            let is_time = rest.get(..4).is_some_and(|text| {
                let text = text.as_bytes();
                text[0] == b' ' && text[1].is_ascii_digit() && text[2].is_ascii_digit() && text[3] == b':'
            });
            if token.len() == 10 && is_time {
                self.bump();
                self.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#'));
            }
            return Ok(());
        }
        self.at = start;
        let first = self.peek().unwrap_or(' ');
        if let Some((_, name)) = INVISIBLE.iter().find(|(each, _)| *each == first) {
            let problem = format!("{name} stands here, which cannot be seen and is no white space in TOML");
            return Err(self.slip(start, key, problem, "write a plain space", Reach::Section));
        }
        if matches!(first, '=' | ':') || token.starts_with("//") {
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
            Within::Line => line.split(" #").next().unwrap_or_default(),
            Within::Array | Within::Inline => line.split([',', ']', '}', '#']).next().unwrap_or_default(),
        }
        .trim_end();
        self.at = start + raw.len();
        let (problem, text) = unquoted(raw);
        let at_value = match within {
            Within::Line | Within::Inline => format!("{written} = "),
            Within::Array => String::new(),
        };
        let is_secret = is_secret(key);
        // A password may hold what ends a value here.
        let has_login = match key {
            "kafka.brokers" | "aerospike.hosts" => address_may_hold_login(line),
            _ => may_hold_login(line.trim()),
        };
        let cure = match text {
            Text::Word(word) => format!("write {at_value}{word}"),
            Text::Remove => format!("remove `{written}`"),
            Text::InQuotes(_) if has_login && key == "kafka.brokers" => {
                "put host:port in quotes, and the login into sasl.username and sasl.password below [kafka.properties]"
                    .to_owned()
            }
            Text::InQuotes(_) if has_login && key == "aerospike.hosts" => {
                "put host:port in quotes, and the login into aerospike.user and aerospike.password".to_owned()
            }
            Text::InQuotes(_) if is_secret || has_login => "put it in quotes".to_owned(),
            Text::InQuotes(text) => format!("put it in quotes: {at_value}{}", in_quotes(&text)),
        };
        let mut slip = self.slip(start, key, problem, cure, Reach::Line);
        slip.found = (!is_secret && !has_login).then(|| raw.chars().take(80).collect());
        // In brackets the parser takes its quote for the beginning of a string, and misses what closes them.
        if within != Within::Line && raw.contains(['"', '\'']) {
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
    if raw.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-')) {
        let plain = raw.replace([',', '_'], "");
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
