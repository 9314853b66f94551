//! How names and texts stand in the file: TOML's strings and keys, paths of the configuration, comments.
//!
//! Names come from messages, so they can be anything. What would break a line, or show as something else than it is,
//! never gets into the file.

use crate::cli::visible::is_visible;
/// A text in a comment, on one line.
pub(super) use crate::cli::visible::visible as comment;

/// A longer name of a field is left out.
const NAME_BYTES_MAX: usize = 100;

/// Whether a field with this name can be named in the file. A path cannot hold a brace, and a person cannot read an
/// invisible character.
pub(super) fn is_nameable(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(|c| is_visible(c) && !matches!(c, '{' | '}'))
}

/// A string of TOML.
pub(super) fn string(text: &str) -> String {
    let is_plain = text.chars().all(is_visible);
    if is_plain && !text.contains(['"', '\\']) {
        return format!("\"{text}\"");
    }
    if is_plain && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_visible(c) => quoted.push(c),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// A key of TOML.
pub(super) fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        string(name)
    }
}

/// A path of names, as the configuration writes it. Names that could be meant otherwise stand in quotes.
pub(super) fn path(names: &[&str]) -> String {
    let is_bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let segments = names.iter().map(|name| {
        let is_index = name.chars().all(|c| c.is_ascii_digit());
        if name.chars().all(is_bare) && !is_index && !name.is_empty() {
            (*name).to_owned()
        } else {
            format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
    });
    segments.collect::<Vec<_>>().join(".")
}

/// Words in lines of a comment, each with `indent` and `# ` in front.
pub(super) fn prose(indent: &str, text: &str) -> String {
    const COLUMNS: usize = 100;
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && indent.len() + line.chars().count() + word.chars().count() + 3 > COLUMNS {
            lines.push_str(&format!("{indent}# {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push_str(&format!("{indent}# {line}\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::model::{Expr, Segment, Source};
    use crate::config::values::grammar::{Scope, value};

    proptest! {
        #[test]
        fn any_text_is_a_string_and_a_key_of_toml(text in "\\PC*|[\\x00-\\x7f]*|[\u{200e}\u{202e}'\"\\\\]*") {
            let written = format!("{} = {}", key(&text), string(&text));
            let table = toml::de::DeTable::parse(&written);
            let table = table.map_err(|error| TestCaseError::fail(format!("{written}: {error}")))?;
            let (name, found) = table.get_ref().iter().next().unwrap();
            prop_assert_eq!(name.get_ref().as_ref(), text.as_str());
            prop_assert_eq!(found.get_ref().as_str(), Some(text.as_str()));
        }

        #[test]
        fn any_name_that_is_named_is_a_path(names in proptest::collection::vec("\\PC{1,20}|[ -~]{1,20}", 1..4)) {
            prop_assume!(names.iter().all(|name| is_nameable(name)));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let read = value(&path(&names), Scope { root: &[], each: false, strings: &[] });
            let expected: Vec<Segment> = names.iter().map(|name| Segment::Name((*name).to_owned())).collect();
            match read {
                Ok(Expr::Source(Source::Path(found))) => prop_assert_eq!(found, expected),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_comment_is_one_line(text in "\\PC*|[\\x00-\\x7f]*") {
            let safe = comment(&text);
            prop_assert!(!safe.chars().any(char::is_control), "{safe:?}");
        }
    }

    #[test]
    fn names_that_deceive_are_not_named() {
        for name in [
            "",
            "a\nb",
            "a\u{202e}b",
            "a\u{200b}",
            "{a}",
            "\u{feff}",
            &"x".repeat(101),
        ] {
            assert!(!is_nameable(name), "{name:?}");
        }
        for name in ["a", "größe", "a b", "a.b", "a\"b", "@key", "*", "0", "名前"] {
            assert!(is_nameable(name), "{name:?}");
        }
    }
}
