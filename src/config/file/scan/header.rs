//! Table headers: `[kafka]`, `[[route.write]]`.

use crate::config::file::scan::cursor::{Reach, Scan, Stop, is_bare, reaches_on};
use crate::config::file::scan::unquoted::is_scalar;
use crate::config::file::wording::joined;

impl Scan<'_> {
    pub(super) fn header(&mut self) -> Result<(), Stop> {
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

    /// From here on, keys belong to the table of this header.
    pub(super) fn enter(&mut self, path: &[String], double: bool) {
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
}

fn in_brackets(name: &str, double: bool) -> String {
    if double {
        format!("[[{name}]]")
    } else {
        format!("[{name}]")
    }
}

/// The header that was meant by a broken one, judging by the names on its line.
pub(super) fn header_meant(line: &str, double: bool) -> Option<String> {
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
pub(super) fn bracketed(line: &str) -> Option<&str> {
    let inside = line.strip_prefix(['{', '(', '<'])?.strip_suffix(['}', ')', '>'])?;
    (!inside.is_empty() && inside.chars().all(|c| is_bare(c) || c == '.')).then_some(inside)
}

/// Whether the line is `[a.b]` or `[[a.b]]` and nothing else.
pub(super) fn is_header(text: &str) -> bool {
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
