//! `key = value`: the key, the sign between key and value, and what follows the value.

use crate::config::addresses::may_hold_login;
use crate::config::file::scan::cursor::{
    INVISIBLE, Reach, Scan, Stop, Within, is_bare, is_typographic_quote, typographic,
};
use crate::config::file::scan::header::{bracketed, header_meant};
use crate::config::file::scan::known::{is_name, is_secret, kind, names_secret, names_secret_alone};
use crate::config::file::wording::{joined, quoted};
use crate::config::keys::Kind;

impl Scan<'_> {
    pub(super) fn statement(&mut self) -> Result<(), Stop> {
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

    /// Reads `key = value`; returns the full name of the key.
    pub(super) fn pair(&mut self, within: Within) -> Result<String, Stop> {
        let start = self.at;
        let mut path = self.path()?;
        let is_hidden = self.may_be_secret(within, &path.join("."));
        if is_hidden {
            path = vec!["NAME".to_owned()];
        }
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
                let (problem, cure) = match self.begins_key().filter(|_| !is_hidden) {
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

    /// Whether what stands in the place of a name may be a secret: a line of one that goes on over several lines
    /// without the right quotes, or one in braces (`password = {hunter2}`). No message repeats it.
    fn may_be_secret(&self, within: Within, written: &str) -> bool {
        let holds_secret = match within {
            Within::Inline => names_secret_alone(&self.table),
            Within::Line | Within::Array => {
                let before = self.scanned.statements.last();
                before.is_some_and(|(key, _)| names_secret_alone(key))
            }
        };
        // Base64 ends with `=`, and nothing follows it.
        let rest = self.text.get(self.at..self.line_end()).unwrap_or_default();
        let has_value = rest
            .trim_start()
            .strip_prefix('=')
            .is_some_and(|value| !value.trim_matches(['=', ' ', '\t']).is_empty());
        holds_secret && !has_value && !written.is_empty() && !is_name(written)
    }

    /// Reads names and dots; empty if there are none.
    pub(super) fn path(&mut self) -> Result<Vec<String>, Stop> {
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

    pub(super) fn no_key(&self, start: usize) -> Stop {
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

    /// Checks what follows a key's value on its line.
    pub(super) fn behind(&mut self, key: &str, start: usize) -> Result<(), Stop> {
        let touches = self.at;
        let before = self.text.get(..touches).and_then(|text| text.chars().next_back());
        self.spaces();
        if self.is_line_end() {
            return Ok(());
        }
        let rest = self.text.get(self.at..self.line_end()).unwrap_or_default().trim_end();
        let quote = before.filter(|c| matches!(c, '"' | '\''));
        // What follows a comma or semicolon behind the value.
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

    /// The key that begins here, if a `=` follows it.
    pub(super) fn begins_key(&self) -> Option<String> {
        let mut ahead = Scan::new(self.text, self.at);
        let path = ahead.path().ok().filter(|path| !path.is_empty())?;
        ahead.spaces();
        (ahead.take("=") && ahead.peek() != Some('=')).then(|| path.join("."))
    }
}

fn joined_all(table: &str, path: &[String]) -> String {
    path.iter().fold(table.to_owned(), |key, segment| joined(&key, segment))
}

/// The key's name at the start of a text, if a `=` follows it.
pub(super) fn starts_key(text: &str) -> Option<&str> {
    let end = text.find(|c| !is_bare(c) && c != '.')?;
    let (name, rest) = text.split_at(end);
    let value = rest.trim_start().strip_prefix('=')?;
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && !value.starts_with('=')).then_some(name)
}

/// An operator that joins two values in other languages.
fn starts_operator(text: &str) -> Option<&str> {
    [
        "&&", "||", "==", "!=", ">=", "<=", "+", ">", "<", "?", "and ", "or ", "not ", "in ",
    ]
    .into_iter()
    .find(|operator| text.starts_with(operator))
    .map(str::trim_end)
}
