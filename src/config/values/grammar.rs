//! The strings of value expressions: paths, metadata and templates.
//!
//! Pure: text in, [`Expr`] or what is wrong with it out. A string that holds a brace is a template, one that begins with
//! `@` is metadata, anything else is a path. Numbers, tables and the rest of a value are [`crate::config::values::expressions`]' matter.

use crate::config::file::wording::{did_you_mean, quoted};
use crate::config::model::{Constant, Expr, Part, Path, Segment, Source, TimeUnit};
use crate::config::values::type_names;

/// What a text is not, and what would do. Both may quote the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    pub problem: String,
    pub cure: String,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Goes in front of bare paths.
    pub root: &'a [Segment],
    /// There is an `each`: `@item` and `@index` mean something.
    pub each: bool,
}

const METADATA: &[&str] = &[
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

const PATH_CURE: &str = "write names and indexes, e.g. \"user.id\", \"items[0].sku\", 'a.\"odd.name\"'";

/// Indexes beyond this are mistakes.
const INDEX_MAX: usize = 999_999_999;

fn bad<T>(problem: impl Into<String>, cure: impl Into<String>) -> Result<T, Bad> {
    Err(Bad {
        problem: problem.into(),
        cure: cure.into(),
    })
}

/// Any string where a value stands.
pub fn value(text: &str, scope: Scope<'_>) -> Result<Expr, Bad> {
    if text.contains(['{', '}']) {
        return template(text, scope);
    }
    let mut cursor = Cursor { rest: text };
    let source = cursor.source(scope).and_then(|source| cursor.end().map(|()| source));
    source
        .map(Expr::Source)
        .map_err(|bad| with_meant(bad, meant_path(text, scope)))
}

/// A path alone: `root`, `each`, `bins`.
pub fn path(text: &str) -> Result<Path, Bad> {
    if text.starts_with('@') {
        return bad("a path into the message is expected here, not metadata", PATH_CURE);
    }
    let mut cursor = Cursor { rest: text };
    let path = cursor.path().and_then(|path| cursor.end().map(|()| path));
    let at_top = Scope { root: &[], each: false };
    let meant = || meant_path(text, at_top).filter(|meant| !meant.starts_with('@'));
    path.map_err(|bad| with_meant(bad, meant()))
}

/// The path or metadata that a text means as other languages write it: `{user.id}`, `${user.id}`, `{{ user.id }}`,
/// `$.user.id`, `/user/id`, `user->id`, `.user.id`. Nothing if it is one already, or stays none.
pub fn meant_path(text: &str, scope: Scope<'_>) -> Option<String> {
    let mut meant = text.trim();
    while let Some(inner) = meant
        .trim_start_matches(['$', '#', '%'])
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        meant = inner.trim();
    }
    let meant = match meant.strip_prefix("$.").or_else(|| meant.strip_prefix('.')) {
        Some(rest) => rest.to_owned(),
        None if meant.starts_with("$[") => meant.trim_start_matches('$').to_owned(),
        None => match meant.strip_prefix('/') {
            Some(pointer) => pointer.replace('/', "."),
            None => meant.replace("->", "."),
        },
    };
    let mut cursor = Cursor { rest: &meant };
    let is_path = meant != text.trim() && cursor.source(scope).is_ok() && cursor.end().is_ok();
    is_path.then_some(meant)
}

/// `bad`, with the path that was meant as its cure.
fn with_meant(bad: Bad, meant: Option<String>) -> Bad {
    match meant {
        Some(meant) => Bad {
            cure: format!("write {}", quoted(&meant)),
            ..bad
        },
        None => bad,
    }
}

/// What stands in the one pair of braces of a template that is a field and no more: whoever writes so may mean the field.
pub fn field_in_braces(expr: &Expr, text: &str) -> Option<String> {
    let Expr::Template(parts) = expr else {
        return None;
    };
    let field = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    field
        .filter(|_| matches!(parts.as_slice(), [Part::Source(_)]))
        .map(str::to_owned)
}

/// `"*"`, `"after.*"`, `"@item.*"`: where all fields are taken from. Nothing if the text is not of this form.
pub fn all_fields(text: &str, scope: Scope<'_>) -> Option<Result<Source, Bad>> {
    if text == "*" {
        return Some(Ok(Source::Path(scope.root.to_vec())));
    }
    let before = text.strip_suffix(".*")?;
    Some(match value(before, scope) {
        Ok(Expr::Source(source @ (Source::Path(_) | Source::Item(_)))) => Ok(source),
        Ok(_) => bad(
            "only a path or @item has fields to take",
            match meant_path(before, scope)
                .filter(|meant| all_fields(&format!("{meant}.*"), scope).is_some_and(|all| all.is_ok()))
            {
                Some(meant) => format!("write {}", quoted(&format!("{meant}.*"))),
                None => "write \"*\", \"after.*\" or \"@item.*\"".to_owned(),
            },
        ),
        Err(bad) => Err(bad),
    })
}

fn template(text: &str, scope: Scope<'_>) -> Result<Expr, Bad> {
    let mut parts: Vec<Part> = Vec::new();
    let mut literal = String::new();
    let mut cursor = Cursor { rest: text };
    while let Some(c) = cursor.next() {
        match c {
            '{' | '}' if cursor.take(c) => literal.push(c),
            '{' => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(cursor.part(scope)?);
            }
            '}' => {
                return bad("a template has a `}` without its `{`", "write `}}` for a literal brace");
            }
            c => literal.push(c),
        }
    }
    if parts.is_empty() {
        return Ok(Expr::Constant(Constant::String(literal)));
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(Expr::Template(parts))
}

/// Metadata that is no time: its name. With a time format it would be rejected with every message.
fn no_time(source: &Source) -> Option<&'static str> {
    match source {
        Source::Topic => Some("@topic"),
        Source::Partition => Some("@partition"),
        Source::Offset => Some("@offset"),
        Source::Index => Some("@index"),
        _ => None,
    }
}

/// The unit that others call by this word.
fn meant_unit(word: &str) -> Option<TimeUnit> {
    let meant = type_names::meant_by(&word.to_ascii_lowercase())?;
    TimeUnit::ALL.into_iter().find(|unit| unit.word() == meant)
}

/// A unit that stands in a time format: as it is written, which one is meant, and the format without it.
fn unit_in(format: &str) -> Option<(&str, TimeUnit, String)> {
    let named = TimeUnit::ALL.into_iter().find_map(|unit| {
        let (before, after) = format.split_once(unit.word())?;
        Some((before, after, unit.word(), unit))
    });
    let last_word = || {
        let (before, word) = format.trim_end_matches(' ').rsplit_once(' ')?;
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let unit = meant_unit(word).unwrap_or(TimeUnit::Milliseconds);
        (is_word && (before == "as" || before.ends_with(" as"))).then_some((before, "", word, unit))
    };
    let (before, after, word, unit) = named.or_else(last_word)?;
    let apart = [' ', ':', ','];
    let before = before.trim_end_matches(apart);
    let before = before.strip_suffix("as").unwrap_or(before).trim_end_matches(apart);
    let after = if before.is_empty() {
        after.trim_start_matches(apart)
    } else {
        after
    };
    Some((word, unit, format!("{before}{after}")))
}

/// A template's part with a time format as it is accepted, near to what is written: what a cure can tell.
fn right_time(source: &Source, field: &str, unit: Option<TimeUnit>, format: &str) -> String {
    if no_time(source).is_some() {
        return format!("{{{field}}}");
    }
    let mut unit = unit;
    let mut format = format.to_owned();
    while let Some((_, meant, rest)) = unit_in(&format) {
        unit = unit.or(Some(meant));
        format = rest;
    }
    if check_time_format(&format).is_err() {
        format = "%Y%m%d".to_owned();
    }
    // Its unit is known.
    match unit.filter(|_| *source != Source::Timestamp) {
        Some(unit) => format!("{{{field} as {}:{format}}}", unit.word()),
        None => format!("{{{field}:{format}}}"),
    }
}

/// Behind ` as `: the unit of a time. `format`: what stands behind it, if anything does.
fn unit(source: &Source, field: &str, word: &str, format: Option<&str>) -> Result<TimeUnit, Bad> {
    if let Some(name) = no_time(source) {
        return bad(
            format!("`{name}` is no time, and has no unit"),
            format!("write {{{name}}}, or name a time, e.g. {{@timestamp:%Y%m%d}}"),
        );
    }
    let known = TimeUnit::ALL.into_iter().find(|unit| unit.word() == word);
    if *source == Source::Timestamp && known != Some(TimeUnit::Milliseconds) {
        let cure = match format {
            Some(format) => format!("write {}", right_time(source, field, None, format)),
            None => format!("write {{{field}:%Y%m%d}}, or {{{field}}} for the milliseconds"),
        };
        return bad(
            "`@timestamp` is in milliseconds, whatever the payload's times are in",
            cure,
        );
    }
    known.ok_or_else(|| {
        let words: Vec<&str> = TimeUnit::ALL.iter().map(|unit| unit.word()).collect();
        let meant = meant_unit(word).map_or(word, |unit| unit.word());
        Bad {
            problem: format!("{} is no unit of a time", quoted(word)),
            cure: did_you_mean(meant, &words, "write one of"),
        }
    })
}

/// A time format with what it stands behind. A unit in it would be text of each value: it stands in front of the format.
fn check_time(source: &Source, field: &str, unit: Option<TimeUnit>, format: &str) -> Result<(), Bad> {
    if let Some(name) = no_time(source) {
        return bad(
            format!("`{name}` is no time, and has no time format"),
            format!("write {{{name}}}, or name a time, e.g. {{@timestamp:%Y%m%d}}"),
        );
    }
    if let Some((word, ..)) = unit_in(format) {
        return bad(
            format!("`{word}` stands in the time format, where it is text and no unit"),
            format!("write {}", right_time(source, field, unit, format)),
        );
    }
    check_time_format(format).map_err(|bad| match strftime(format) {
        Some(meant) => Bad {
            cure: format!("write {}", right_time(source, field, unit, &meant)),
            ..bad
        },
        None => bad,
    })
}

/// Formats one instant, so that a wrong format is found before the first message.
fn check_time_format(format: &str) -> Result<(), Bad> {
    let cure = "write a strftime format, e.g. {ts:%Y%m%d%H}";
    if format.is_empty() {
        return bad("a time format is empty", cure);
    }
    // Two instants that differ in all that a format can take: 1970-01-01T00:00:00 and 2001-06-16T17:45:36.987654321.
    let formatted = |second, nanosecond| {
        let sample = jiff::Timestamp::new(second, nanosecond)?.to_zoned(jiff::tz::TimeZone::UTC);
        jiff::fmt::strtime::format(format, &sample)
    };
    match (formatted(0, 0), formatted(992_713_536, 987_654_321)) {
        (Ok(one), Ok(other)) if one == other => bad(
            format!("the time format {} takes nothing from the time", quoted(format)),
            cure,
        ),
        (Ok(_), Ok(_)) => Ok(()),
        (Err(error), _) | (_, Err(error)) => bad(format!("the time format {} is wrong: {error}", quoted(format)), cure),
    }
}

/// A format of letters, as Java, .NET and moment have them (`yyyy-MM-dd`), in strftime's way. Nothing if it has other letters.
fn strftime(format: &str) -> Option<String> {
    const WORDS: [(&str, &str); 13] = [
        ("yyyy", "%Y"),
        ("YYYY", "%Y"),
        ("yy", "%y"),
        ("YY", "%y"),
        ("MMM", "%b"),
        ("MM", "%m"),
        ("dd", "%d"),
        ("DD", "%d"),
        ("HH", "%H"),
        ("hh", "%I"),
        ("mm", "%M"),
        ("SSS", "%3f"),
        ("ss", "%S"),
    ];
    if format.contains('%') {
        return None;
    }
    let mut meant = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        if let Some((word, conversion)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            meant.push_str(conversion);
            rest = rest.get(word.len()..)?;
        } else if c == '\'' {
            rest = rest.get(1..)?;
        } else if c.is_ascii_alphabetic() && c != 'T' && c != 'Z' {
            return None;
        } else {
            meant.push(c);
            rest = rest.get(c.len_utf8()..)?;
        }
    }
    meant.contains('%').then_some(meant)
}

/// `inner`: what should stand between the braces.
fn not_closed<T>(scope: Scope<'_>, field: &str, inner: &str) -> Result<T, Bad> {
    let meant = format!("{{{inner}}}");
    let cure = match template(&meant, scope) {
        Ok(_) => format!("write `{meant}`; `{{{{` is a literal brace"),
        // There is more than that to it.
        Err(Bad { cure, .. }) => cure,
    };
    bad(format!("a template's `{{{field}` is not closed"), cure)
}

/// Whether spaces stand between a template's field and what follows it inside of the braces.
fn is_spaced(rest: &str) -> bool {
    let trimmed = rest.trim_start();
    trimmed.len() < rest.len() && trimmed.starts_with(['}', ':'])
}

/// Spaces around `field`, of which `rest` is what follows.
fn refuse_spaces<T>(scope: Scope<'_>, field: &str, rest: &str) -> Result<T, Bad> {
    let end = rest.find(['{', '}']).unwrap_or(rest.len());
    let rest = rest.get(..end).unwrap_or_default().trim();
    let rest = match rest.split_once(':') {
        Some((name, format)) => format!("{}:{}", name.trim_end(), format.trim_start()),
        None => rest.to_owned(),
    };
    let meant = format!("{{{field}{rest}}}");
    let cure = match template(&meant, scope) {
        Ok(_) => format!("remove the spaces: {meant}; `{{{{` is a literal brace"),
        Err(Bad { cure, .. }) => cure,
    };
    bad("a template has spaces around a field", cure)
}

fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '$')
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn end(&self) -> Result<(), Bad> {
        match self.peek() {
            None => Ok(()),
            Some(_) => bad(
                format!("{} does not belong in a path", quoted(self.rest)),
                "put a name with such characters in quotes, e.g. 'a.\"odd name\"'; a constant is { value = \"…\" }",
            ),
        }
    }

    /// After the `{` of a template, up to and with its `}`.
    fn part(&mut self, scope: Scope<'_>) -> Result<Part, Bad> {
        if self.rest.trim_start().starts_with('}') {
            return bad(
                "a template has an empty `{}`",
                "name a field, e.g. {user.id}; `{{` is a literal brace",
            );
        }
        if self.rest.is_empty() {
            return bad(
                "a template's last `{` is not closed",
                "name a field, e.g. {user.id}, or remove it; `{{` is a literal brace",
            );
        }
        let whole = self.rest;
        if whole.starts_with(char::is_whitespace) {
            return refuse_spaces(scope, "", whole);
        }
        let source = self.source(scope)?;
        let field = whole.get(..whole.len() - self.rest.len()).unwrap_or_default();
        if self.take('}') {
            return Ok(Part::Source(source));
        }
        if is_spaced(self.rest) {
            return refuse_spaces(scope, field, self.rest);
        }
        let word = match self.rest.strip_prefix(" as ") {
            None => None,
            Some(rest) => {
                self.rest = rest.trim_start_matches(' ');
                Some(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_'))
            }
        };
        let before_format = whole.get(..whole.len() - self.rest.len()).unwrap_or_default();
        if word.is_some() && is_spaced(self.rest) {
            return refuse_spaces(scope, before_format, self.rest);
        }
        let format = match self.take(':') {
            true => Some(self.time_format(scope, field, before_format)?),
            false => None,
        };
        let unit = match word {
            None => None,
            Some(word) => Some(unit(&source, field, word, format)?),
        };
        if let Some(format) = format {
            check_time(&source, field, unit, format)?;
            return Ok(Part::Time {
                source,
                unit,
                format: format.to_owned(),
            });
        }
        if let Some(unit) = unit {
            let whole = match no_time(&source) {
                Some(name) => format!("write {{{name}}}, or name a time, e.g. {{@timestamp:%Y%m%d}}"),
                None => format!(
                    "write {}, or {{{field}}} for the field as it is",
                    right_time(&source, field, Some(unit), "%Y%m%d")
                ),
            };
            return bad(format!("`as {}` without a time format", unit.word()), whole);
        }
        let rest = self.rest.trim_start();
        if rest.is_empty() || rest.starts_with('{') {
            return not_closed(scope, field, field);
        }
        let cure = match self.meant_time(&source, field) {
            Some(meant) => format!("write {meant}"),
            None => {
                "put a name with such characters in quotes, e.g. {a.\"odd name\"}; `{{` is a literal brace".to_owned()
            }
        };
        bad(
            format!("{} does not belong in a template's path", quoted(self.rest)),
            cure,
        )
    }

    /// The time that is meant where a unit or a format stands behind a field in another way: `{ts epoch_ms:%Y}`, `{ts|%Y}`,
    /// `{ts AS epoch_s:%Y}`.
    fn meant_time(&self, source: &Source, field: &str) -> Option<String> {
        let (inner, _) = self.rest.split_once('}')?;
        let (before, format) = match inner.split_once(':') {
            Some(both) => both,
            None => (inner, inner.get(inner.find('%')?..)?),
        };
        let word = before
            .split([' ', ',', '|', '%'])
            .find(|word| meant_unit(word).is_some());
        let unit = word.and_then(meant_unit);
        let is_time = unit.is_some() || format.contains('%');
        (is_time && !inner.contains('{')).then(|| right_time(source, field, unit, format.trim()))
    }

    /// Behind the `:` of a time, up to and with its `}`. `before`: the field and its unit, as they are written.
    fn time_format(&mut self, scope: Scope<'_>, field: &str, before: &str) -> Result<&'a str, Bad> {
        let format = self.take_while(|c| c != '}');
        let Some((head, _)) = format.split_once('{') else {
            if self.take('}') {
                return Ok(format);
            }
            if format.contains('%') {
                return not_closed(scope, field, &format!("{before}:{format}"));
            }
            return not_closed(scope, field, field);
        };
        if !head.contains('%') {
            return bad(
                format!("a template's `{{{field}` is not closed"),
                format!("write `{{{field}}}:{head}`, or with a time format {{{field}:%Y%m%d}}"),
            );
        }
        let inner = format!("{before}:{head}");
        if format.contains("{{") {
            let meant = format!("{{{inner}}}");
            let cure = match template(&meant, scope) {
                Ok(_) => format!("write `{meant}`, and `{{{{` behind it for a literal brace"),
                Err(Bad { cure, .. }) => cure,
            };
            return bad("a time format holds no brace", cure);
        }
        not_closed(scope, field, &inner)
    }

    fn source(&mut self, scope: Scope<'_>) -> Result<Source, Bad> {
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

    /// What follows `@key` or `@item`.
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

    /// At least one segment.
    fn path(&mut self) -> Result<Path, Bad> {
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

    /// `"…"` with `\"` and `\\`.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &[&str]) -> Path {
        path.iter().map(|name| Segment::Name((*name).to_owned())).collect()
    }

    const AT_TOP: Scope<'static> = Scope { root: &[], each: true };

    #[test]
    fn paths_are_names_and_indexes() {
        let name = |text: &str| Segment::Name(text.to_owned());
        let cases = [
            ("id", Some(vec![name("id")])),
            ("user.id", Some(vec![name("user"), name("id")])),
            (
                "items[0].sku",
                Some(vec![name("items"), Segment::Index(0), name("sku")]),
            ),
            ("a[0][12]", Some(vec![name("a"), Segment::Index(0), Segment::Index(12)])),
            ("[3].a", Some(vec![Segment::Index(3), name("a")])),
            (r#"a."odd.name""#, Some(vec![name("a"), name("odd.name")])),
            (r#""a \"b\" \\ c".d"#, Some(vec![name(r#"a "b" \ c"#), name("d")])),
            (r#""""#, Some(vec![name("")])),
            ("größe.$ref-1_x", Some(vec![name("größe"), name("$ref-1_x")])),
            ("0.1", Some(vec![name("0"), name("1")])),
            ("", None),
            (".", None),
            ("a.", None),
            (".a", None),
            ("a..b", None),
            ("a[", None),
            ("a[]", None),
            ("a[1", None),
            ("a[1]b", None),
            ("a[+1]", None),
            ("a]", None),
            ("a b", None),
            ("a:b", None),
            (r#""a"#, None),
            (r#""a\n""#, None),
            (r#""a"b"#, None),
            (r#"a"b""#, None),
            ("@key", None),
            ("a@b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(path(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn metadata_begins_with_an_at_sign() {
        let cases = [
            ("@key", Some(Source::Key)),
            ("@key.id", Some(Source::KeyPath(names(&["id"])))),
            ("@key[0]", Some(Source::KeyPath(vec![Segment::Index(0)]))),
            ("@value", Some(Source::Value)),
            ("@topic", Some(Source::Topic)),
            ("@partition", Some(Source::Partition)),
            ("@offset", Some(Source::Offset)),
            ("@timestamp", Some(Source::Timestamp)),
            ("@header.ce-id", Some(Source::Header("ce-id".to_owned()))),
            ("@header.a.b", Some(Source::Header("a.b".to_owned()))),
            ("@header.\"a: b\"", Some(Source::Header("a: b".to_owned()))),
            ("@item", Some(Source::Item(Path::new()))),
            ("@item.a.b", Some(Source::Item(names(&["a", "b"])))),
            ("@index", Some(Source::Index)),
            ("@", None),
            ("@keys", None),
            ("@key.", None),
            ("@key id", None),
            ("@offset[0]", None),
            ("@header", None),
            ("@header.a b", None),
            ("@header.\"\"", None),
            ("@KEY", None),
        ];
        for (text, expected) in cases {
            let source = match value(text, AT_TOP) {
                Ok(Expr::Source(source)) => Some(source),
                _ => None,
            };
            assert_eq!(source, expected, "{text}");
        }
    }

    #[test]
    fn the_root_goes_before_bare_paths_only() {
        let root = names(&["payload"]);
        let scope = Scope {
            root: &root,
            each: true,
        };
        let cases = [
            ("id", Source::Path(names(&["payload", "id"]))),
            ("@item.id", Source::Item(names(&["id"]))),
            ("@key.id", Source::KeyPath(names(&["id"]))),
        ];
        for (text, expected) in cases {
            assert!(
                matches!(value(text, scope), Ok(Expr::Source(source)) if source == expected),
                "{text}"
            );
        }
        let all = |text| all_fields(text, scope).and_then(Result::ok);
        assert_eq!(all("*"), Some(Source::Path(root.clone())));
        assert_eq!(all("after.*"), Some(Source::Path(names(&["payload", "after"]))));
        assert_eq!(all("@item.*"), Some(Source::Item(Path::new())));
        assert_eq!(all("@item.a.*"), Some(Source::Item(names(&["a"]))));
        for text in ["after", ".*", "**", "@key.*", "{a}.*", "a*"] {
            assert_eq!(all(text), None, "{text}");
        }
    }

    /// A template as text that tells its parts apart.
    fn parts(text: &str) -> Option<String> {
        let shown = |source: &Source| match source {
            Source::Path(path) | Source::Item(path) => {
                let names = path.iter().map(|segment| match segment {
                    Segment::Name(name) => name.clone(),
                    Segment::Index(index) => index.to_string(),
                });
                names.collect::<Vec<_>>().join("/")
            }
            other => format!("{other:?}"),
        };
        match value(text, AT_TOP) {
            Ok(Expr::Constant(Constant::String(text))) => Some(format!("constant {text}")),
            Ok(Expr::Template(parts)) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Literal(text) => format!("'{text}'"),
                    Part::Source(source) => shown(source),
                    Part::Time { source, unit, format } => {
                        let unit = unit.map(|unit| format!(" as {}", unit.word())).unwrap_or_default();
                        format!("{}{unit}@{format}", shown(source))
                    }
                });
                Some(parts.collect::<Vec<_>>().join(" "))
            }
            _ => None,
        }
    }

    #[test]
    fn templates_are_text_and_fields() {
        let cases = [
            ("{a}", Some("a")),
            ("{tenant}:{user.id}", Some("tenant ':' user/id")),
            ("x {a[0].b} y", Some("'x ' a/0/b ' y'")),
            ("{dev}:{ts:%Y%m%d%H}", Some("dev ':' ts@%Y%m%d%H")),
            ("{@timestamp:%F}", Some("Timestamp@%F")),
            ("{ts:%H:%M}", Some("ts@%H:%M")),
            ("{@item.a}{@index}", Some("a Index")),
            (r#"{a."x}y:z"}"#, Some("a/x}y:z")),
            ("{ts as epoch_us:%Y%m%d}", Some("ts as epoch_us@%Y%m%d")),
            ("{@timestamp as epoch_ms:%F}", Some("Timestamp as epoch_ms@%F")),
            ("{@timestamp as epoch_s:%F}", None),
            ("{ts as epoch_s}", None),
            ("{ts as epoch:%F}", None),
            ("{ts as :%F}", None),
            ("{user.id:{ts:%Y%m%d}", None),
            ("{user.id:{ts:%Y%m%d}}", None),
            ("{user.id{ts}", None),
            ("{ts:%Y{{}", None),
            ("{@topic:%Y}", None),
            ("{@offset:%Y}", None),
            ("{ts:%E}", None),
            ("{ts:%5}", None),
            ("{ts:%00f}", None),
            ("{ts:%Y%}", None),
            // Nothing of the time, in UTC.
            ("{ts:%%}", None),
            ("{ts:%Q}", None),
            ("{ts:%:Q}", None),
            ("{ts:%Z}", None),
            ("{ts:%z}", None),
            ("{ts:%:z}", None),
            ("{ts:%n%t}", None),
            ("{ts:a%%Y}", None),
            ("{ts:%%-%Z-%H}", Some("ts@%%-%Z-%H")),
            ("{{{a}}}", Some("'{' a '}'")),
            ("a {{b}} c", Some("constant a {b} c")),
            ("{{", Some("constant {")),
            ("}}", Some("constant }")),
            ("{", None),
            ("}", None),
            ("{}", None),
            ("{a", None),
            ("{a}}", None),
            ("{a}{", None),
            ("{ a}", None),
            ("{a }", None),
            ("{a b}", None),
            ("{ts:}", None),
            ("{ts:%}", None),
            ("{ts:%!}", None),
            ("{ts:%Y", None),
            ("{ts:hour}", None),
            ("{@nothing}", None),
            ("{:%Y}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parts(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn every_conversion_of_a_time_takes_something_from_it() {
        for conversion in "aAbBcCdDeFfgGhHIjklmMNpPqrRsSTuUVwWxXyY".chars() {
            let template = format!("{{ts:%{conversion}}}");
            assert!(value(&template, AT_TOP).is_ok(), "{template}");
        }
        for format in ["%.f", "%.3f", "%3f", "%.9f", "%-d", "%^a", "%_H", "%05Y"] {
            let template = format!("{{ts:{format}}}");
            assert!(value(&template, AT_TOP).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_unit_in_a_time_format_is_no_unit() {
        for (template, cure) in [
            ("{ts:%Y as epoch_ms}", "write {ts as epoch_ms:%Y}"),
            ("{ts:%Y as epoch_s }", "write {ts as epoch_s:%Y }"),
            ("{ts:%H:%M:epoch_us}", "write {ts as epoch_us:%H:%M}"),
            ("{a.ts:as epoch_ns:%Y}", "write {a.ts as epoch_ns:%Y}"),
            ("{ts:epoch_s}", "write {ts as epoch_s:%Y%m%d}"),
            ("{ts as epoch_ms:%Y as epoch_ms}", "write {ts as epoch_ms:%Y}"),
            ("{ts:%Y as ms}", "write {ts as epoch_ms:%Y}"),
            ("{ts:%F as epoch}", "write {ts as epoch_s:%F}"),
            ("{ts:%F as string}", "write {ts as epoch_ms:%F}"),
            // The unit of this one is known.
            ("{@timestamp:%Y as epoch_s}", "write {@timestamp:%Y}"),
            ("{@timestamp:as ms}", "write {@timestamp:%Y%m%d}"),
            // What would be left takes nothing from the time.
            ("{ts:%Q as epoch_s}", "write {ts as epoch_s:%Y%m%d}"),
            ("{ts:%Y as epoch_s as epoch_ms}", "write {ts as epoch_s:%Y}"),
        ] {
            let said = value(template, AT_TOP).unwrap_err();
            assert!(
                said.problem.contains("stands in the time format"),
                "{template}: {said:?}"
            );
            assert_eq!(said.cure, cure, "{template}");
        }
        for template in ["{ts:%Y as %m}", "{ts:%Y has}", "{ts:as of %F}"] {
            assert!(value(template, AT_TOP).is_ok(), "{template}");
        }
    }

    #[test]
    fn what_is_not_closed_or_has_spaces_is_told_with_the_right_form() {
        for (template, problem, cure) in [
            ("{user.id}:{ts:%Y%m%d", "`{ts` is not closed", "write `{ts:%Y%m%d}`"),
            (
                "{ts as epoch_ms:%Y",
                "`{ts` is not closed",
                "write `{ts as epoch_ms:%Y}`",
            ),
            ("{ts:%Y{id}", "`{ts` is not closed", "write `{ts:%Y}`"),
            ("{ts:%Y{{}", "a time format holds no brace", "write `{ts:%Y}`"),
            ("{ts:{id}}", "`{ts` is not closed", "write `{ts}:`, or"),
            ("{ts:day{id}", "`{ts` is not closed", "write `{ts}:day`, or"),
            ("{user.id:{ts:%Y%m%d}", "`{user.id` is not closed", "write `{user.id}:`"),
            ("{id:", "`{id` is not closed", "write `{id}`"),
            ("{id ", "`{id` is not closed", "write `{id}`"),
            ("{id", "`{id` is not closed", "write `{id}`"),
            ("{ id }", "spaces around a field", "remove the spaces: {id}"),
            ("{ id}", "spaces around a field", "remove the spaces: {id}"),
            ("{user.id }", "spaces around a field", "remove the spaces: {user.id}"),
            ("{ @key }", "spaces around a field", "remove the spaces: {@key}"),
            ("{ts :%Y}", "spaces around a field", "remove the spaces: {ts:%Y}"),
            (
                "{ts as epoch_ms :%Y}",
                "spaces around a field",
                "remove the spaces: {ts as epoch_ms:%Y}",
            ),
            ("{ ts : %Y }", "spaces around a field", "remove the spaces: {ts:%Y}"),
            ("{ }", "an empty `{}`", "{{"),
            ("{id}{", "last `{` is not closed", "remove it"),
            ("{", "last `{` is not closed", "remove it"),
        ] {
            let said = value(template, AT_TOP).unwrap_err();
            assert!(said.problem.contains(problem), "{template}: {said:?}");
            assert!(said.cure.contains(cure), "{template}: {said:?}");
        }
    }

    /// What a cure says to write, where it says the whole template.
    fn proposed(cure: &str) -> Option<String> {
        let cure = cure.replace("`{{`", "");
        let from = cure.find('{')?;
        let end = from + cure.get(from..)?.find('}')? + 1;
        cure.get(from..end).map(str::to_owned)
    }

    #[test]
    fn what_is_proposed_for_a_time_is_accepted() {
        let fields = [
            "ts",
            "@timestamp",
            "@topic",
            "@offset",
            "@item.ts",
            r#"a."b c""#,
            "@header.ts",
        ];
        let rests = [
            ":%Y as epoch_s}",
            ":%Y as ms}",
            ":%Y as epoch_s as epoch_ms}",
            ":%Y%Q as epoch_s}",
            ":%Q as epoch_s}",
            ":%K as epoch_s}",
            ":as epoch_s}",
            ":epoch_s}",
            ":epoch_ms:%Y}",
            ":%Y,epoch_ms}",
            ":yyyy-MM-dd}",
            ":yyyy-MM-dd'T'HH:mm:ss.SSSZ}",
            ":YYYYMMDD}",
            ":hour}",
            ":%K}",
            ":}",
            " as epoch_s}",
            " as epoch_s:%Y}",
            " as epoch_s %Y}",
            " as epoch_s:%K}",
            " as epoch_s:yyyy}",
            " as epoch_s:%Y as epoch_s}",
            " as seconds:%Y}",
            " as day:%Y}",
            " as seconds}",
            " AS epoch_s:%Y}",
            " epoch_s:%Y}",
            ",epoch_s:%Y}",
            "|%Y}",
            " :%Y as epoch_s}",
            " : %Y }",
            ":%Y as epoch_s",
            " as epoch_s:%Y",
            ":%Y{id} as epoch_s}",
            ":%Y{{}",
        ];
        let mut refused = 0;
        for field in fields {
            for rest in rests {
                let template = format!("{{{field}{rest}");
                let Err(said) = value(&template, AT_TOP) else {
                    continue;
                };
                refused += 1;
                if said.cure.starts_with("did you mean `") {
                    let unit = said.cure.split('`').nth(1).unwrap();
                    assert!(
                        value(&format!("{{{field} as {unit}:%Y}}"), AT_TOP).is_ok(),
                        "{template}: {said:?}"
                    );
                    continue;
                }
                let Some(proposed) = proposed(&said.cure) else {
                    assert!(said.cure.starts_with("write one of: epoch_s"), "{template}: {said:?}");
                    continue;
                };
                assert!(value(&proposed, AT_TOP).is_ok(), "{template}: {said:?}");
            }
        }
        assert!(refused > 150, "{refused}");
    }

    #[test]
    fn a_time_format_of_another_language_is_told_in_ours() {
        for (template, cure) in [
            ("{ts:yyyy-MM-dd}", "write {ts:%Y-%m-%d}"),
            ("{ts:yyyy-MM-dd'T'HH:mm:ss.SSS}", "write {ts:%Y-%m-%dT%H:%M:%S.%3f}"),
            ("{ts as epoch_s:YYYYMMDD}", "write {ts as epoch_s:%Y%m%d}"),
            ("{ts:hour}", "write a strftime format, e.g. {ts:%Y%m%d%H}"),
            ("{ts epoch_s:%Y}", "write {ts as epoch_s:%Y}"),
            ("{ts AS epoch_s:%Y}", "write {ts as epoch_s:%Y}"),
            ("{ts|%Y}", "write {ts:%Y}"),
            ("{@timestamp as epoch_s:%Y}", "write {@timestamp:%Y}"),
            ("{@timestamp as seconds:%Y}", "write {@timestamp:%Y}"),
            (
                "{@topic as epoch_s}",
                "write {@topic}, or name a time, e.g. {@timestamp:%Y%m%d}",
            ),
            ("{@timestamp :%Y as epoch_s}", "write {@timestamp:%Y}"),
        ] {
            let said = value(template, AT_TOP).unwrap_err();
            assert_eq!(said.cure, cure, "{template}");
        }
    }

    #[test]
    fn a_path_of_another_language_is_told_in_ours() {
        for (text, meant) in [
            ("/user/name", "user.name"),
            ("user->name", "user.name"),
            (".user.name", "user.name"),
            ("@header.", ""),
            ("a b", ""),
        ] {
            let said = value(text, AT_TOP).unwrap_err();
            assert_eq!(
                said.cure == format!("write \"{meant}\""),
                !meant.is_empty(),
                "{text}: {said:?}"
            );
        }
        for (text, meant) in [
            ("{items}", "items"),
            ("{{ items }}", "items"),
            ("${items}", "items"),
            ("<items>", ""),
            ("{@key}", ""),
        ] {
            let said = path(text).unwrap_err();
            assert_eq!(
                said.cure == format!("write \"{meant}\""),
                !meant.is_empty(),
                "{text}: {said:?}"
            );
        }
        for (text, meant) in [("{after}.*", "after.*"), ("{a}{b}.*", "")] {
            let said = all_fields(text, AT_TOP).unwrap().unwrap_err();
            assert_eq!(
                said.cure == format!("write \"{meant}\""),
                !meant.is_empty(),
                "{text}: {said:?}"
            );
        }
    }

    #[test]
    fn items_need_an_each() {
        let scope = Scope { root: &[], each: false };
        for text in ["@item", "@item.a", "@index", "{@index}", "{a}{@item.b}"] {
            assert!(value(text, scope).is_err(), "{text}");
        }
    }
}
