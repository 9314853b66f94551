//! The strings of value expressions: paths, metadata and templates.
//!
//! Pure: text in, [`Expr`] or what is wrong with it out. A string that holds a brace is a template, one that begins with
//! `@` is metadata, anything else is a path. Numbers, tables and the rest of a value are [`super::values`]' matter.

use super::model::{Constant, Expr, Part, Path, Segment, Source, TimeUnit};
use super::reader::{did_you_mean, quoted};
use super::values;

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
    let source = cursor.source(scope)?;
    cursor.end()?;
    Ok(Expr::Source(source))
}

/// A path alone: `root`, `each`, `bins`.
pub fn path(text: &str) -> Result<Path, Bad> {
    if text.starts_with('@') {
        return bad("a path into the message is expected here, not metadata", PATH_CURE);
    }
    let mut cursor = Cursor { rest: text };
    let path = cursor.path()?;
    cursor.end()?;
    Ok(path)
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
            "write \"*\", \"after.*\" or \"@item.*\"",
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

/// Metadata that is no time would be rejected with every message.
fn check_time_source(source: &Source) -> Result<(), Bad> {
    let name = match source {
        Source::Topic => "@topic",
        Source::Partition => "@partition",
        Source::Offset => "@offset",
        Source::Index => "@index",
        _ => return Ok(()),
    };
    bad(
        format!("`{name}` is no time, and has no time format"),
        format!("write {{{name}}}, or name a time, e.g. {{@timestamp:%Y%m%d}}"),
    )
}

/// The unit that others call by this word.
fn meant_unit(word: &str) -> Option<&'static str> {
    let meant = values::meant_by(&word.to_ascii_lowercase())?;
    let unit = TimeUnit::ALL.into_iter().find(|unit| unit.word() == meant)?;
    Some(unit.word())
}

/// The unit stands in front of the format: behind it, or in it, it would be text of each value.
fn check_no_unit_in(format: &str, field: &str) -> Result<(), Bad> {
    let named = TimeUnit::ALL.into_iter().find_map(|unit| {
        let (before, after) = format.split_once(unit.word())?;
        Some((before, after, unit.word(), unit.word()))
    });
    let last_word = || {
        let (before, word) = format.trim_end_matches(' ').rsplit_once(' ')?;
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_word && before.ends_with(" as")).then(|| (before, "", word, meant_unit(word).unwrap_or("epoch_ms")))
    };
    let Some((before, after, word, unit)) = named.or_else(last_word) else {
        return Ok(());
    };
    let apart = [' ', ':'];
    let before = before.trim_end_matches(apart);
    let before = before.strip_suffix("as").unwrap_or(before).trim_end_matches(apart);
    let after = if before.is_empty() {
        after.trim_start_matches(apart)
    } else {
        after
    };
    let rest = format!("{before}{after}");
    let rest = if rest.contains('%') { rest.as_str() } else { "%Y%m%d" };
    bad(
        format!("`{word}` stands in the time format, where it is text and no unit"),
        format!("write {{{field} as {unit}:{rest}}}"),
    )
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

/// `inner`: what should stand between the braces.
fn not_closed<T>(field: &str, inner: &str) -> Result<T, Bad> {
    bad(
        format!("a template's `{{{field}` is not closed"),
        format!("write `{{{inner}}}`; `{{{{` is a literal brace"),
    )
}

/// Whether spaces stand between a template's field and what follows it inside of the braces.
fn is_spaced(rest: &str) -> bool {
    let trimmed = rest.trim_start();
    trimmed.len() < rest.len() && trimmed.starts_with(['}', ':'])
}

/// Spaces around `field`, of which `rest` is what follows.
fn refuse_spaces<T>(field: &str, rest: &str) -> Result<T, Bad> {
    let end = rest.find(['{', '}']).unwrap_or(rest.len());
    let rest = rest.get(..end).unwrap_or_default().trim();
    let rest = match rest.split_once(':') {
        Some((name, format)) => format!("{}:{}", name.trim_end(), format.trim_start()),
        None => rest.to_owned(),
    };
    bad(
        "a template has spaces around a field",
        format!("remove the spaces: {{{field}{rest}}}; `{{{{` is a literal brace"),
    )
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
            return refuse_spaces("", whole);
        }
        let source = self.source(scope)?;
        let field = whole.get(..whole.len() - self.rest.len()).unwrap_or_default();
        if self.take('}') {
            return Ok(Part::Source(source));
        }
        if is_spaced(self.rest) {
            return refuse_spaces(field, self.rest);
        }
        let unit = match self.rest.strip_prefix(" as ") {
            None => None,
            Some(rest) => {
                self.rest = rest.trim_start_matches(' ');
                Some(self.unit(&source)?)
            }
        };
        let before_format = whole.get(..whole.len() - self.rest.len()).unwrap_or_default();
        if unit.is_some() && is_spaced(self.rest) {
            return refuse_spaces(before_format, self.rest);
        }
        if self.take(':') {
            let format = self.time_format(field, before_format)?;
            check_time_source(&source)?;
            check_no_unit_in(format, field)?;
            check_time_format(format)?;
            return Ok(Part::Time {
                source,
                unit,
                format: format.to_owned(),
            });
        }
        if let Some(unit) = unit {
            return bad(
                format!("`as {}` without a time format", unit.word()),
                format!(
                    "write {{{field} as {}:%Y%m%d}}, or {{{field}}} for the field as it is",
                    unit.word()
                ),
            );
        }
        let rest = self.rest.trim_start();
        if rest.is_empty() || rest.starts_with('{') {
            return not_closed(field, field);
        }
        bad(
            format!("{} does not belong in a template's path", quoted(self.rest)),
            "put a name with such characters in quotes, e.g. {a.\"odd name\"}; `{{` is a literal brace",
        )
    }

    /// Behind the `:` of a time, up to and with its `}`. `before`: the field and its unit, as they are written.
    fn time_format(&mut self, field: &str, before: &str) -> Result<&'a str, Bad> {
        let format = self.take_while(|c| c != '}');
        let Some((head, _)) = format.split_once('{') else {
            if self.take('}') {
                return Ok(format);
            }
            if format.contains('%') {
                return not_closed(field, &format!("{before}:{format}"));
            }
            return not_closed(field, field);
        };
        if !head.contains('%') {
            return bad(
                format!("a template's `{{{field}` is not closed"),
                format!("write `{{{field}}}:{head}`, or with a time format {{{field}:%Y%m%d}}"),
            );
        }
        if format.contains("{{") {
            return bad(
                "a time format holds no brace",
                format!("write `{{{before}:{head}}}`, and `{{{{` behind it for a literal brace"),
            );
        }
        not_closed(field, &format!("{before}:{head}"))
    }

    /// Behind ` as `: the unit of a time.
    fn unit(&mut self, source: &Source) -> Result<TimeUnit, Bad> {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let known: Vec<&str> = TimeUnit::ALL.iter().map(|unit| unit.word()).collect();
        let Some(unit) = TimeUnit::ALL.into_iter().find(|unit| unit.word() == word) else {
            return bad(
                format!("{} is no unit of a time", quoted(word)),
                did_you_mean(meant_unit(word).unwrap_or(word), &known, "write one of"),
            );
        };
        if *source == Source::Timestamp && unit != TimeUnit::Milliseconds {
            return bad(
                "`@timestamp` is in milliseconds, whatever the payload's times are in",
                format!("remove ` as {word}`"),
            );
        }
        Ok(unit)
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

    #[test]
    fn items_need_an_each() {
        let scope = Scope { root: &[], each: false };
        for text in ["@item", "@item.a", "@index", "{@index}", "{a}{@item.b}"] {
            assert!(value(text, scope).is_err(), "{text}");
        }
    }
}
