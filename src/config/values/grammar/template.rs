//! Templates: text with fields in braces.

use crate::config::file::wording::quoted;
use crate::config::model::{Constant, Expr, Part, Source};
use crate::config::values::grammar::paths::Cursor;
use crate::config::values::grammar::scope::{Bad, Scope, bad};
use crate::config::values::grammar::time_format::{check_time, meant_unit, no_time, right_time, unit};

pub(super) fn template(text: &str, scope: Scope<'_>) -> Result<Expr, Bad> {
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

/// A field whose brace is not closed. `inner`: what should be between the braces.
fn not_closed<T>(scope: Scope<'_>, field: &str, inner: &str) -> Result<T, Bad> {
    let meant = format!("{{{inner}}}");
    let cure = match template(&meant, scope) {
        Ok(_) => format!("write `{meant}`; `{{{{` is a literal brace"),
        // More is wrong than the brace.
        Err(Bad { cure, .. }) => cure,
    };
    bad(format!("a template's `{{{field}` is not closed"), cure)
}

/// Whether there are spaces between a template's field and what follows it inside the braces.
fn is_spaced(rest: &str) -> bool {
    let trimmed = rest.trim_start();
    trimmed.len() < rest.len() && trimmed.starts_with(['}', ':'])
}

/// Refuses spaces around `field`. `rest`: what follows the field.
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

impl<'a> Cursor<'a> {
    /// Parses a part of a template, from behind its `{` up to and including its `}`.
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

    /// The time that is meant if a unit or a format follows a field in another form: `{ts epoch_ms:%Y}`, `{ts|%Y}`,
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

    /// Parses a time format, from behind its `:` up to and including the `}`. `before`: the field and its unit, as
    /// written.
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
}
