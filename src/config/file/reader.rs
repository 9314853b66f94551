//! Walks the TOML of one file: what stands where, on which line, and what is wrong with it.
//!
//! [`Context`] collects the faults, [`Node`] is a value with its place; tables are [`crate::config::file::table`]'s. Knows TOML, not what
//! any key means.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::addresses::may_hold_login;
use crate::config::file::fault::Fault;
use crate::config::file::references::{self, Outside};
use crate::config::file::syntax::Syntax;
use crate::config::file::table::Table;
use crate::config::keys::{self, Section};

/// Longer values are cut when a fault shows them.
const SHOWN_CHARS_MAX: usize = 80;

/// One file, with what is wrong with it so far.
pub struct Context<'a> {
    pub text: &'a str,
    /// Where each line begins, from the first.
    pub line_starts: Vec<usize>,
    outside: &'a dyn Outside,
    noted: RefCell<Vec<Noted>>,
    found: RefCell<Vec<Absent>>,
}

/// A key that is not there: its section's title, and its name.
pub type Absent = (&'static str, &'static str);

/// All keys of a section.
pub const ALL: &str = "*";

struct Noted {
    fault: Fault,
    /// Where in the text, for the order.
    at: usize,
    /// Something is not there: not to be believed if the file has syntax errors, or if it was found under another name.
    absent: Option<(&'static str, String)>,
}

/// Parses `text` and gives its top table to `check`. The faults are in the order of the file, each once.
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
        // What a key does wrong beside another is of no use before it is right by itself.
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

impl<'a> Context<'a> {
    /// The line of a place in the text, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// How many faults there are so far.
    pub fn faults(&self) -> usize {
        self.noted.borrow().len()
    }

    /// `absent`: a key that is not there.
    pub fn note(&self, at: usize, fault: Fault, absent: Option<(&'static str, String)>) {
        self.noted.borrow_mut().push(Noted { fault, at, absent });
    }

    /// A key stands under another name or in another place, which is told: it is not told as missing too.
    pub fn found(&self, keys: impl IntoIterator<Item = Absent>) {
        self.found.borrow_mut().extend(keys);
    }
}

/// A value of the file, in its place.
#[derive(Clone)]
pub struct Node<'a> {
    pub context: &'a Context<'a>,
    /// As `route[0].write[1].set`.
    pub key: String,
    /// Where in the text it begins.
    pub at: usize,
    pub value: &'a Spanned<DeValue<'a>>,
    /// No fault shows the value.
    pub hidden: bool,
}

/// A string after its reference was looked up.
#[derive(Debug, Clone)]
pub struct Text {
    pub value: String,
    pub from_outside: bool,
}

impl<'a> Node<'a> {
    /// The same node, whose value no fault shows.
    pub fn hidden(&self) -> Self {
        Self {
            hidden: true,
            ..self.clone()
        }
    }

    pub fn line(&self) -> usize {
        self.context.line(self.at)
    }

    pub fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// Whether the value is a `${…}`, which no fault may repeat.
    pub fn is_reference(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(text) if text.starts_with("${"))
    }

    /// A fault with this value as what was found.
    pub fn fault(&self, problem: impl Into<String>, cure: impl Into<String>) {
        self.note(Some(self.shown()), problem.into(), cure.into());
    }

    /// A fault of the key itself, whatever its value.
    pub fn fault_unshown(&self, problem: impl Into<String>, cure: impl Into<String>) {
        self.note(None, problem.into(), cure.into());
    }

    /// What should stand before this value is not there.
    pub fn fault_absent(&self, (section, name): Absent, problem: impl Into<String>, cure: impl Into<String>) {
        let fault = Fault {
            line: self.line(),
            key: self.key.clone(),
            found: None,
            problem: problem.into(),
            cure: cure.into(),
        };
        self.context.note(self.at, fault, Some((section, name.to_owned())));
    }

    /// A fault of something in the value, shown as `found`.
    pub fn fault_found(&self, found: String, problem: impl Into<String>, cure: impl Into<String>) {
        self.note(Some(found), problem.into(), cure.into());
    }

    fn note(&self, found: Option<String>, problem: String, cure: String) {
        let found = found.filter(|_| !self.hidden);
        self.context.note(
            self.at,
            Fault {
                line: self.line(),
                key: self.key.clone(),
                found,
                problem,
                cure,
            },
            None,
        );
    }

    /// The value as a fault shows it: a string in quotes, anything else after its type; never what a reference holds.
    fn shown(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(text) if text.starts_with("${") => {
                format!("the value of {}", cut(text))
            }
            DeValue::String(text) if may_hold_login(text) => "a text with a login in it".to_owned(),
            DeValue::String(text) => quoted(text),
            DeValue::Integer(number) => format!("integer {}", cut(&number.to_string())),
            DeValue::Float(number) => format!("float {}", cut(number.as_str())),
            DeValue::Boolean(flag) => format!("boolean {flag}"),
            DeValue::Datetime(date) => format!("date {date}"),
            DeValue::Array(array) => format!("an array of {}", array.len()),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// The value as it stands in the file: for messages about what it did. A reference stays a reference.
    pub fn written(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            _ => self.context.text.get(self.value.span()).unwrap_or_default().to_owned(),
        }
    }

    pub fn text(&self) -> Option<Text> {
        let DeValue::String(written) = self.value.get_ref() else {
            self.fault("expected a string", self.as_text());
            return None;
        };
        match references::resolve(written, self.context.outside) {
            Ok(resolved) => Some(Text {
                value: resolved.value,
                from_outside: resolved.from_outside,
            }),
            Err((problem, cure)) => {
                self.note(Some(quoted(written)), problem, cure);
                None
            }
        }
    }

    /// How this value, which is no string, is written as one.
    fn as_text(&self) -> String {
        let shown = |value: &DeValue<'_>| match value {
            DeValue::String(text) if !text.starts_with("${") && !may_hold_login(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            _ => None,
        };
        let text = match self.value.get_ref() {
            DeValue::Array(array) => {
                let parts: Option<Vec<String>> = array.iter().map(|each| shown(each.get_ref())).collect();
                parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join(","))
            }
            other => shown(other),
        };
        match text {
            Some(text) if !self.hidden => format!("write a string in quotes, e.g. {}", quoted(&text)),
            _ => "write a string in quotes".to_owned(),
        }
    }

    /// The header that begins here, if it is of a table inside this one.
    pub fn stands_inside_header(&self) -> Option<&'a str> {
        let (before, _) = self.context.text.split_at_checked(self.at)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.context.text.get(start..)?.lines().next()?;
        let line = line.split('#').next()?.trim();
        let depth = |name: &str| name.matches('.').count();
        (line.starts_with('[') && depth(line) > depth(&self.key)).then_some(line)
    }

    /// Whether the value is a table in `{ … }`.
    pub fn is_in_braces(&self) -> bool {
        let span = self.value.span();
        self.context.text.get(span).is_some_and(|text| text.starts_with('{'))
    }

    /// `name = "…"` with the string that stands here, if a fault may show it.
    pub fn as_written_at(&self, name: &str, in_brackets: bool) -> Option<String> {
        match self.value.get_ref() {
            DeValue::String(text) if !text.starts_with("${") && !self.hidden && !may_hold_login(text) => {
                let text = quoted(text);
                Some(if in_brackets {
                    format!("{name} = [{text}]")
                } else {
                    format!("{name} = {text}")
                })
            }
            _ => None,
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self.value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }

    /// The table here, with its unknown keys refused.
    pub fn table(&self, section: &'static Section) -> Option<Table<'a>> {
        let table = self.open_table(section)?;
        table.refuse_unknown();
        Some(table)
    }

    /// The table here, whose keys are the user's own.
    pub fn open_table(&self, section: &'static Section) -> Option<Table<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            self.fault(
                "expected a table",
                format!("write {} with its keys below", section.title),
            );
            return None;
        };
        Some(Table::new(
            self.context,
            self.key.clone(),
            self.at,
            Some(table),
            section,
        ))
    }

    /// The elements here.
    pub fn elements(&self) -> Option<Vec<Node<'a>>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return None;
        };
        let element = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| Node {
            context: self.context,
            key: format!("{}[{index}]", self.key),
            at: value.span().start,
            value,
            hidden: self.hidden,
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    /// The elements of an array of strings, those that are strings.
    pub fn texts(&self) -> Option<Vec<(Node<'a>, Text)>> {
        let Some(elements) = self.elements() else {
            let cure = match self.value.get_ref() {
                DeValue::String(text) if !text.starts_with("${") && !self.hidden && !may_hold_login(text) => {
                    format!("write it in brackets: [{}]", listed(text))
                }
                _ => "write it in brackets, e.g. [\"a\", \"b\"]".to_owned(),
            };
            self.fault("expected an array of strings", cure);
            return None;
        };
        Some(
            elements
                .into_iter()
                .filter_map(|node| node.text().map(|text| (node, text)))
                .collect(),
        )
    }
}

/// All of `parts`, or nothing if one is faulty. Unlike `collect` it reads them all, so that every fault is noted.
pub fn all<T>(parts: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut read = Some(Vec::new());
    for part in parts {
        match part {
            Some(part) => {
                if let Some(read) = &mut read {
                    read.push(part);
                }
            }
            None => read = None,
        }
    }
    read
}

/// The nearest known name as a cure, or all of them.
pub fn did_you_mean(name: &str, known: &[&str], all: &str) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("{all}: {}", known.join(", ")),
    }
}

/// The known name that this one is, mistyped.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let distance = |each: &&str| strsim::damerau_levenshtein(&name, each);
    let nearest = known.iter().copied().min_by_key(distance)?;
    (distance(&nearest) <= (name.chars().count() / 3).clamp(1, 3)).then_some(nearest)
}

/// `text` in quotes, escaped, cut to a readable length.
pub fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

/// The parts of a list that stands in one string, each in quotes; the whole where it is no list of names.
fn listed(text: &str) -> String {
    let is_name = |part: &&str| {
        part.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let parts: Vec<&str> = text.split([',', ';', ' ']).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || text.chars().count() > SHOWN_CHARS_MAX || !parts.iter().all(is_name) {
        return quoted(text);
    }
    parts.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// `parent.name`, the name in quotes if it is not a bare key.
pub fn joined(parent: &str, name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let name = if bare { name.to_owned() } else { quoted(name) };
    if parent.is_empty() {
        name
    } else {
        format!("{parent}.{name}")
    }
}
