//! The strings of value expressions: paths, metadata and templates.
//!
//! Pure: takes a text; returns an [`Expr`], or what is wrong. A string that contains a brace is a template; one that
//! begins with `@` is metadata; anything else is a path. Numbers, tables and the other parts of a value are in
//! [`crate::config::values::expressions`].

// The context of a string, and what is wrong with it.
mod scope;
// Paths and metadata.
mod paths;
// Times in templates.
mod time_format;
// Templates.
mod template;

use crate::config::file::wording::quoted;
use crate::config::model::{Expr, Part, Path, Source};
use paths::{Cursor, PATH_CURE};
use scope::bad;
use template::template;

pub use paths::METADATA;
pub use scope::{Bad, JsonString, Scope};

/// Parses any string that is a value.
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

/// Parses a path alone: `root`, `each`, `bins`.
pub fn path(text: &str) -> Result<Path, Bad> {
    if text.starts_with('@') {
        return bad("a path into the message is expected here, not metadata", PATH_CURE);
    }
    let mut cursor = Cursor { rest: text };
    let path = cursor.path().and_then(|path| cursor.end().map(|()| path));
    let at_top = Scope {
        root: &[],
        each: false,
        strings: &[],
    };
    let meant = || meant_path(text, at_top).filter(|meant| !meant.starts_with('@'));
    path.map_err(|bad| with_meant(bad, meant()))
}

/// The path or metadata that is meant by a text in the form of other languages: `{user.id}`, `${user.id}`, `{{ user.id
/// }}`, `$.user.id`, `/user/id`, `user->id`, `.user.id`. `None` if it is already valid, or if no valid path results.
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

/// The text in the braces of a template that consists only of one field. The author may mean the field itself.
pub fn field_in_braces(expr: &Expr, text: &str) -> Option<String> {
    let Expr::Template(parts) = expr else {
        return None;
    };
    let field = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    field
        .filter(|_| matches!(parts.as_slice(), [Part::Source(_)]))
        .map(str::to_owned)
}

/// For `"*"`, `"after.*"`, `"@item.*"`: the object whose fields are all taken. `None` if the text does not have this
/// form.
pub fn all_fields(text: &str, scope: Scope<'_>) -> Option<Result<Source, Bad>> {
    if text == "*" {
        return Some(Ok(scope.through(Source::Path(scope.root.to_vec()))));
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

#[cfg(test)]
mod tests;
