//! The values of one file with their places: what is where, on which line, and what is wrong with it.
//!
//! [`Context`] collects the faults. [`Node`] is a value with its place. [`Table`] has nodes by name. Knows TOML, but
//! not what any key means: `table` reads the keys of a table.

use std::cell::RefCell;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::addresses::may_hold_login;
use crate::config::file::fault::Fault;
use crate::config::file::references::{self, Outside};
use crate::config::file::wording::{cut, joined, listed, quoted};
use crate::config::keys::Section;

/// One file, and what has been found wrong with it so far.
pub struct Context<'a> {
    pub text: &'a str,
    /// Byte offset of each line's start.
    pub line_starts: Vec<usize>,
    pub(super) outside: &'a dyn Outside,
    pub(super) noted: RefCell<Vec<Noted>>,
    pub(super) found: RefCell<Vec<Absent>>,
}

/// A missing key: its section's title, and its name.
pub type Absent = (&'static str, &'static str);

/// All keys of a section.
pub const ALL: &str = "*";

pub(super) struct Noted {
    pub(super) fault: Fault,
    /// Byte offset in the text, for sorting.
    pub(super) at: usize,
    /// The fault is that this key is missing. Ignored if the file has syntax errors, or if the key was found under
    /// another name.
    pub(super) absent: Option<(&'static str, String)>,
}

impl<'a> Context<'a> {
    /// The line of a place in the text, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Where references are looked up.
    pub fn outside(&self) -> &'a dyn Outside {
        self.outside
    }

    /// Number of faults so far.
    pub fn faults(&self) -> usize {
        self.noted.borrow().len()
    }

    /// Notes a fault. `absent`: the missing key, if that is the fault.
    pub fn note(&self, at: usize, fault: Fault, absent: Option<(&'static str, String)>) {
        self.noted.borrow_mut().push(Noted { fault, at, absent });
    }

    /// Notes that a key was found under another name or in another place. That is reported, so it is not reported as
    /// missing, too.
    pub fn found(&self, keys: impl IntoIterator<Item = Absent>) {
        self.found.borrow_mut().extend(keys);
    }
}

/// A value of the file, with its place.
#[derive(Clone)]
pub struct Node<'a> {
    pub context: &'a Context<'a>,
    /// For example `route[0].write[1].set`.
    pub key: String,
    /// Byte offset where it begins.
    pub at: usize,
    pub value: &'a Spanned<DeValue<'a>>,
    /// Faults must not show the value.
    pub hidden: bool,
}

/// A string after its reference was resolved.
#[derive(Debug, Clone)]
pub struct Text {
    pub value: String,
    pub from_outside: bool,
}

impl<'a> Node<'a> {
    /// The same node, but faults do not show its value.
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

    /// Whether the value is a `${…}`, which faults must not repeat.
    pub fn is_reference(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(text) if text.starts_with("${"))
    }

    /// The file that the value refers to (`${file:…}`).
    pub fn referenced_file(&self) -> Option<PathBuf> {
        match self.value.get_ref() {
            DeValue::String(text) => references::file_of(text).map(|path| self.context.outside.place(path)),
            _ => None,
        }
    }

    /// Notes a fault that shows this value.
    pub fn fault(&self, problem: impl Into<String>, cure: impl Into<String>) {
        self.note(Some(self.shown()), problem.into(), cure.into());
    }

    /// Notes a fault of the key itself, whatever its value.
    pub fn fault_unshown(&self, problem: impl Into<String>, cure: impl Into<String>) {
        self.note(None, problem.into(), cure.into());
    }

    /// Notes that a key is missing which must come before this value.
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

    /// Notes a fault in a part of the value. The fault shows `found`.
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

    /// The value as a fault shows it: a string in quotes, anything else after its type. Never the content of a
    /// reference.
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

    /// The value as it is written in the file, for messages about its effect. A reference stays a reference.
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

    /// How to write this value, which is not a string, as a string.
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

    /// The table header at this place, if it is the header of a table inside this one.
    pub fn stands_inside_header(&self) -> Option<&'a str> {
        let (before, _) = self.context.text.split_at_checked(self.at)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.context.text.get(start..)?.lines().next()?;
        let line = line.split('#').next()?.trim();
        let depth = |name: &str| name.matches('.').count();
        (line.starts_with('[') && depth(line) > depth(&self.key)).then_some(line)
    }

    /// Whether the value is an inline table, `{ … }`.
    pub fn is_in_braces(&self) -> bool {
        let span = self.value.span();
        self.context.text.get(span).is_some_and(|text| text.starts_with('{'))
    }

    /// `name = "…"` with the string at this place, if a fault may show it.
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

    /// The table at this place, whose keys the user chooses.
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

    /// The elements of the array at this place.
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

    /// The elements of an array of strings. Leaves out those that are not strings.
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

/// A table of the file. If it is not in the file, all its keys are absent.
pub struct Table<'a> {
    pub context: &'a Context<'a>,
    pub key: String,
    /// Byte offset where it begins.
    pub at: usize,
    pub section: &'static Section,
    /// In file order.
    pub nodes: Vec<(&'a str, Node<'a>)>,
}

impl<'a> Table<'a> {
    pub fn new(
        context: &'a Context<'a>,
        key: String,
        at: usize,
        table: Option<&'a DeTable<'a>>,
        section: &'static Section,
    ) -> Self {
        let mut nodes: Vec<(&str, Node<'_>)> = Vec::new();
        for (name, value) in table.into_iter().flat_map(|table| table.iter()) {
            let key = joined(&key, name.get_ref());
            let node = Node {
                context,
                key,
                at: name.span().start,
                value,
                hidden: false,
            };
            nodes.push((name.get_ref(), node));
        }
        nodes.sort_by_key(|(_, node)| node.at);
        Self {
            context,
            key,
            at,
            section,
            nodes,
        }
    }

    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.nodes.iter().find(|(each, _)| *each == name).map(|(_, node)| node)
    }

    pub fn line(&self) -> usize {
        self.context.line(self.at)
    }
}

/// All of `parts`, or nothing if one is faulty. Unlike `collect`, it always reads all of them, so that every fault is
/// noted.
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
