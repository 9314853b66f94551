//! Paths into a message, and its metadata.

use crate::config::file::wording::{did_you_mean, quoted};
use crate::config::model::{Path, Segment, Source};
use crate::config::values::grammar::scope::{Bad, Scope, bad};

/// Everything of a message besides its payload that a value can use.
pub const METADATA: &[&str] = &[
    "@key",
    "@value",
    "@topic",
    "@partition",
    "@offset",
    "@timestamp",
    "@header.NAME",
    "@item",
    "@index",
];

pub(super) const PATH_CURE: &str = "write names and indexes, e.g. \"user.id\", \"items[0].sku\", 'a.\"odd.name\"'";

/// A larger index is a mistake.
const INDEX_MAX: usize = 999_999_999;

fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '$')
}

/// The rest of a string that is being parsed.
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    pub(super) fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    pub(super) fn end(&self) -> Result<(), Bad> {
        match self.peek() {
            None => Ok(()),
            Some(_) => bad(
                format!("{} does not belong in a path", quoted(self.rest)),
                "put a name with such characters in quotes, e.g. 'a.\"odd name\"'; a constant is { value = \"…\" }",
            ),
        }
    }

    /// Parses a path or metadata, with its steps into strings that hold JSON.
    pub(super) fn source(&mut self, scope: Scope<'_>) -> Result<Source, Bad> {
        self.plain_source(scope).map(|source| scope.through(source))
    }

    fn plain_source(&mut self, scope: Scope<'_>) -> Result<Source, Bad> {
        if !self.take('@') {
            let mut path = scope.root.to_vec();
            path.extend(self.path()?);
            return Ok(Source::Path(path));
        }
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let source = match name {
            "key" => {
                let path = self.tail()?;
                if path.is_empty() {
                    Source::Key
                } else {
                    Source::KeyPath(path)
                }
            }
            "item" | "index" if !scope.each => {
                return bad(
                    format!("`@{name}` is outside a write with `each`"),
                    "add each = \"…\" to the write, or name a field of the message",
                );
            }
            "item" => Source::Item(self.tail()?),
            "index" => Source::Index,
            "value" => Source::Value,
            "topic" => Source::Topic,
            "partition" => Source::Partition,
            "offset" => Source::Offset,
            "timestamp" => Source::Timestamp,
            "header" => self.header()?,
            _ => {
                let name = format!("@{name}");
                return bad(
                    format!("there is no {} of a message", quoted(&name)),
                    did_you_mean(&name, METADATA, "metadata"),
                );
            }
        };
        if matches!(self.peek(), Some('.' | '[')) {
            let cure = if name == "value" {
                "name the field without `@value.`"
            } else {
                "take it as it is"
            };
            return bad(format!("`@{name}` has no fields"), cure);
        }
        Ok(source)
    }

    fn header(&mut self) -> Result<Source, Bad> {
        let cure = "write @header.NAME, or '@header.\"odd name\"'";
        if !self.take('.') {
            return bad("a header has no name", cure);
        }
        let name = if self.peek() == Some('"') {
            self.quoted_name()?
        } else {
            self.take_while(|c| is_bare(c) || c == '.').to_owned()
        };
        if name.is_empty() {
            bad("a header has no name", cure)
        } else {
            Ok(Source::Header(name))
        }
    }

    /// Parses what follows `@key` or `@item`.
    fn tail(&mut self) -> Result<Path, Bad> {
        match self.peek() {
            Some('.') => {
                self.next();
                self.path()
            }
            Some('[') => self.path(),
            _ => Ok(Path::new()),
        }
    }

    /// Parses at least one segment.
    pub(super) fn path(&mut self) -> Result<Path, Bad> {
        let mut path = Path::new();
        if self.peek() != Some('[') {
            path.push(self.name()?);
        }
        loop {
            if self.take('.') {
                path.push(self.name()?);
            } else if self.take('[') {
                let digits = self.take_while(|c| c.is_ascii_digit());
                let index = digits.parse::<usize>().ok().filter(|index| *index <= INDEX_MAX);
                match index {
                    Some(index) if self.take(']') => path.push(Segment::Index(index)),
                    _ => return bad("an index is a number from 0 in brackets", PATH_CURE),
                }
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Result<Segment, Bad> {
        if self.peek() == Some('"') {
            return self.quoted_name().map(Segment::Name);
        }
        let name = self.take_while(is_bare);
        if !name.is_empty() {
            return Ok(Segment::Name(name.to_owned()));
        }
        match self.peek() {
            None | Some('.' | '[') => bad("a path lacks a name", PATH_CURE),
            Some(_) => bad(
                format!("{} is not how a name in a path begins", quoted(self.rest)),
                "put a name with such characters in quotes, e.g. 'a.\"odd name\"'; a constant is { value = \"…\" }",
            ),
        }
    }

    /// Parses `"…"` with `\"` and `\\`.
    fn quoted_name(&mut self) -> Result<String, Bad> {
        self.next();
        let mut name = String::new();
        loop {
            match self.next() {
                None => return bad("a quoted name in a path is not closed", PATH_CURE),
                Some('"') => return Ok(name),
                Some('\\') => match self.next() {
                    Some(c @ ('"' | '\\')) => name.push(c),
                    _ => {
                        return bad(
                            "in a quoted name a backslash stands before `\"` or `\\` only",
                            "write `\\\\` for a backslash",
                        );
                    }
                },
                Some(c) => name.push(c),
            }
        }
    }
}
