//! A whole file: parses and checks it, and returns its faults in order.

use std::cell::RefCell;

use toml::de::DeTable;

use crate::config::file::fault::Fault;
use crate::config::file::reader::{ALL, Context, Noted, Table};
use crate::config::file::references::Outside;
use crate::config::file::syntax::Syntax;
use crate::config::keys;

/// Parses `text` and passes its top table to `check`. The faults are in file order, each only once.
pub fn with_document<'t, T>(
    text: &'t str,
    outside: &'t dyn Outside,
    check: impl FnOnce(&Table<'_>) -> T,
) -> (T, Vec<Fault>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let line_starts = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let context = Context {
        text,
        line_starts,
        outside,
        noted: RefCell::default(),
        found: RefCell::default(),
    };
    let checked = check(&Table::new(
        &context,
        String::new(),
        0,
        Some(document.get_ref()),
        &keys::TOP,
    ));
    let syntax = Syntax::new(&context, &errors);
    let mut noted = std::mem::take(&mut *context.noted.borrow_mut());
    noted.sort_by_key(|noted| noted.at);
    let found = context.found.borrow();
    let is_found = |(section, name): &(&str, String)| {
        let mut all = found.iter();
        all.any(|(of, each)| of == section && (each == name || *each == ALL))
    };
    let mut faults: Vec<Fault> = Vec::new();
    for Noted { fault, absent, .. } in noted {
        // A fault that a key has in combination with another key is useless while the key itself is faulty.
        let is_told = faults.iter().any(|told| {
            let is_same = told.line == fault.line && told.key == fault.key;
            is_same && (told.found.is_none() || told.found == fault.found)
        });
        let excused = absent.as_ref().is_some_and(is_found);
        if !is_told && !excused && !syntax.doubts(&fault, absent.is_some()) {
            faults.push(fault);
        }
    }
    syntax.tell_beside(&mut faults);
    faults.sort_by_key(|fault| fault.line);
    (checked, faults)
}
