//! `${env:NAME}` and `${file:path}`: references to values that are not in the file.
//!
//! Whole values only: a reference is the entire string. `$${` is a literal `${`. The content of a reference is never
//! part of an error. The environment and the file system are behind [`Outside`], so that tests change neither.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Where references are looked up. An error says why in a few words, and never contains the content.
pub trait Outside {
    /// The environment variable `name`.
    fn env(&self, name: &str) -> Result<String, String>;
    /// The whole text of the file at `path`.
    fn file(&self, path: &str) -> Result<String, String>;
    /// The whole text of a document at `path`, such as a schema.
    fn document(&self, path: &str) -> Result<String, String> {
        self.file(path)
    }
    /// Where the file at `path` is, to read it again later.
    fn place(&self, path: &str) -> PathBuf {
        path.into()
    }
}

/// The environment of the process, and files relative to `folder`.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// Empty: the working directory.
    pub folder: PathBuf,
}

/// A reference is for a secret or a name, not for a document.
const REFERENCED_BYTES_MAX: u64 = 64 * 1024;

/// No schema that people wrote is larger.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024;

impl System {
    /// `limit`: `bytes_max` in words.
    fn read(&self, path: &str, bytes_max: u64, limit: &str) -> Result<String, String> {
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        let file = std::fs::File::open(self.folder.join(path)).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > bytes_max {
            return Err(format!("is larger than {limit}"));
        }
        String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
    }
}

impl Outside for System {
    fn env(&self, name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => "is not set".to_owned(),
            std::env::VarError::NotUnicode(_) => "is not UTF-8".to_owned(),
        })
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.read(path, REFERENCED_BYTES_MAX, "64 KiB")
    }

    fn document(&self, path: &str) -> Result<String, String> {
        self.read(path, DOCUMENT_BYTES_MAX, "1 MiB")
    }

    fn place(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// The value in a file, as a reference to it reads it.
///
/// # Errors
/// Why it cannot be read, in a few words.
pub fn content(path: &Path) -> Result<String, String> {
    let path = path.to_str().ok_or("has a name that is not UTF-8")?;
    System::default().file(path).map(without_line_end)
}

/// The file that a value refers to.
pub fn file_of(written: &str) -> Option<&str> {
    written
        .strip_prefix("${file:")
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|path| !path.is_empty())
}

fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// A string of the file after its reference was resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub value: String,
    /// The value came from outside the file and must not be shown.
    pub from_outside: bool,
}

/// Problem and cure.
pub type Unresolved = (String, String);

pub fn resolve(written: &str, outside: &dyn Outside) -> Result<Resolved, Unresolved> {
    let whole = written.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    if let Some(inner) = whole.filter(|inner| !inner.contains(['{', '}', '$'])) {
        return look_up(inner, outside).map(|value| Resolved {
            value,
            from_outside: true,
        });
    }
    let mut value = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        value.push_str(before);
        if let Some(after) = from.strip_prefix("$${") {
            value.push_str("${");
            rest = after;
        } else if from.starts_with("${") {
            return Err((
                "`${` stands for whole values only, not in the middle of a text".to_owned(),
                "let the variable or file hold the whole value, or write `$${` for a literal `${`".to_owned(),
            ));
        } else {
            value.push('$');
            rest = from.strip_prefix('$').unwrap_or("");
        }
    }
    value.push_str(rest);
    Ok(Resolved {
        value,
        from_outside: false,
    })
}

fn look_up(inner: &str, outside: &dyn Outside) -> Result<String, Unresolved> {
    match inner.split_once(':') {
        Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => outside.env(name).map_err(|why| {
            (
                format!("the environment variable {name} {why}"),
                format!("set {name} for this process"),
            )
        }),
        Some(("file", path)) if !path.is_empty() && !path.contains('\0') => {
            let text = outside.file(path).map_err(|why| {
                (
                    format!("the file {path} {why}"),
                    "name a readable file that holds the value alone".to_owned(),
                )
            })?;
            Ok(without_line_end(text))
        }
        _ => Err((
            "a reference is `${env:NAME}` or `${file:path}`".to_owned(),
            "write one of these, or `$${` for a literal `${`".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Outside for Fixed {
        fn env(&self, name: &str) -> Result<String, String> {
            if name == "A" {
                Ok("${env:B}$${".to_owned())
            } else {
                Err("is not set".to_owned())
            }
        }
        fn file(&self, path: &str) -> Result<String, String> {
            match path {
                "unix" => Ok("pw\n".to_owned()),
                "dos" => Ok("pw\r\n".to_owned()),
                "two" => Ok("pw\n\n".to_owned()),
                "none" => Ok("p\nw".to_owned()),
                _ => Err("cannot be read: no such file".to_owned()),
            }
        }
    }

    #[test]
    fn references_are_whole_values() {
        let cases = [
            ("plain", Some(("plain", false))),
            ("a $ b $$ c", Some(("a $ b $$ c", false))),
            ("$${env:A}", Some(("${env:A}", false))),
            ("a$${b}c$${d}", Some(("a${b}c${d}", false))),
            ("$$${x", Some(("$${x", false))),
            // References in the content are not resolved.
            ("${env:A}", Some(("${env:B}$${", true))),
            ("${file:unix}", Some(("pw", true))),
            ("${file:dos}", Some(("pw", true))),
            ("${file:two}", Some(("pw\n", true))),
            ("${file:none}", Some(("p\nw", true))),
            ("${env:NONE}", None),
            ("${file:missing}", None),
            ("x${env:A}", None),
            ("${env:A}x", None),
            ("${env:A}${env:A}", None),
            ("${env:}", None),
            ("${A}", None),
            ("${", None),
            ("${}", None),
        ];
        for (written, expected) in cases {
            let expected = expected.map(|(value, from_outside)| Resolved {
                value: value.to_owned(),
                from_outside,
            });
            assert_eq!(resolve(written, &Fixed).ok(), expected, "{written}");
        }
    }
}
