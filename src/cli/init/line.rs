//! A setting of the file: on, or off behind a `#` without a space, with what to know about it.

use super::written::{comment, key, prose};

/// A comment begins at this column, if there is room.
const NOTE_COLUMN: usize = 48;

/// A line of a table. If it is off, it stands in the file as a comment.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub is_on: bool,
    /// The key of TOML, as it is; it is quoted where that is needed.
    pub name: String,
    /// The value, as TOML.
    pub value: String,
    /// What to know about it.
    pub note: String,
}

impl Line {
    pub fn on(name: &str, value: String, note: impl Into<String>) -> Line {
        Line {
            is_on: true,
            name: name.to_owned(),
            value,
            note: note.into(),
        }
    }

    pub fn off(name: &str, value: String, note: impl Into<String>) -> Line {
        Line {
            is_on: false,
            ..Line::on(name, value, note)
        }
    }

    /// Writes the setting, with its note behind it or above it.
    pub fn write(&self, text: &mut String, indent: &str) {
        const COLUMNS: usize = 118;
        let off = if self.is_on { "" } else { "#" };
        let setting = format!("{indent}{off}{} = {}", key(&self.name), self.value);
        let note = comment(&self.note);
        let width = setting.chars().count();
        if note.is_empty() {
            text.push_str(&format!("{setting}\n"));
        } else if width.max(NOTE_COLUMN) + note.chars().count() + 3 <= COLUMNS {
            let space = " ".repeat(NOTE_COLUMN.saturating_sub(width).max(1));
            text.push_str(&format!("{setting}{space}# {note}\n"));
        } else {
            text.push_str(&prose(indent, &format!("{}:", note.trim_end_matches('.'))));
            text.push_str(&format!("{setting}\n"));
        }
    }
}
