//! Walks the TOML of one file: what stands where, on which line, and what is wrong with it.
//!
//! [`Context`] collects the faults, [`Table`] hands out keys with their defaults and refuses unknown ones, [`Node`] is a
//! value with its place. Knows TOML and [`super::keys`], not what any key means.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::keys::{self, Key, Kind, Section};
use super::references::{self, Outside};
use super::units;

/// Longer values are cut when a fault shows them.
const SHOWN_CHARS_MAX: usize = 80;

pub struct Context<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    outside: &'a dyn Outside,
    noted: RefCell<Vec<Noted>>,
}

struct Noted {
    fault: Fault,
    /// Where in the text, for the order.
    at: usize,
    /// Something is not there: not to be believed if the file has syntax errors.
    absence: bool,
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
    let mut faults: Vec<Fault> = Vec::new();
    for Noted { fault, absence, .. } in noted {
        if !syntax.doubts(&fault, absence) && !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults.extend(syntax.faults);
    faults.sort_by_key(|fault| fault.line);
    (checked, faults)
}

impl<'a> Context<'a> {
    fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    fn note(&self, at: usize, fault: Fault, absence: bool) {
        self.noted.borrow_mut().push(Noted { fault, at, absence });
    }
}

/// Syntax errors, and which other faults they make doubtful: after an error the parser guesses how to go on.
struct Syntax {
    faults: Vec<Fault>,
    doubtful_lines: Vec<Range<usize>>,
    absences_doubtful: bool,
}

impl Syntax {
    fn new(context: &Context<'_>, errors: &[toml::de::Error]) -> Self {
        let mut syntax = Self {
            faults: Vec::new(),
            doubtful_lines: Vec::new(),
            absences_doubtful: false,
        };
        for error in errors {
            let message = error.message();
            let (line, cure) = match error.span() {
                Some(span) => (
                    context.line(span.start.min(context.text.len())),
                    cure_of_syntax(message),
                ),
                None => (1, "write keys and values with less nesting"),
            };
            if message.starts_with("duplicate key") {
                // The first of the two stands; nothing else is in doubt.
            } else if message.starts_with("string values must be quoted") {
                syntax.doubtful_lines.push(line..line + 1);
            } else {
                syntax.doubtful_lines.push(context.surroundings(line));
                syntax.absences_doubtful = true;
            }
            // One mistake makes a row of errors; the first on a line tells it.
            if syntax.faults.iter().all(|fault| fault.line != line) {
                let problem = message
                    .strip_suffix(", expected literal string")
                    .unwrap_or(message)
                    .to_owned();
                syntax.faults.push(Fault {
                    line,
                    key: String::new(),
                    found: None,
                    problem,
                    cure: cure.to_owned(),
                });
            }
        }
        syntax
    }

    fn doubts(&self, fault: &Fault, absence: bool) -> bool {
        (absence && self.absences_doubtful) || self.doubtful_lines.iter().any(|lines| lines.contains(&fault.line))
    }
}

fn cure_of_syntax(message: &str) -> &'static str {
    if message.starts_with("duplicate key") {
        "keep one of them"
    } else if message.starts_with("string values must be quoted") {
        "put the string in quotes"
    } else if message.contains("array") {
        "write `,` between elements and `]` after the last; the array may begin further up"
    } else {
        "see https://toml.io/en/v1.0.0 for how TOML is written"
    }
}

impl Context<'_> {
    /// The section around a line: a table header up to the next. From a broken header on, everything is doubtful.
    fn surroundings(&self, line: usize) -> Range<usize> {
        let is_header = |line: &usize| {
            let start = self.line_starts.get(line - 1).copied().unwrap_or(self.text.len());
            self.text
                .get(start..)
                .is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('['))
        };
        if is_header(&line) {
            return line..usize::MAX;
        }
        let first = (1..line).rev().find(is_header).unwrap_or(1);
        let end = (line + 1..=self.line_starts.len())
            .find(is_header)
            .unwrap_or(usize::MAX);
        first..end
    }
}

/// A table of the file, or one that is not written: then all its keys are absent.
pub struct Table<'a> {
    context: &'a Context<'a>,
    pub key: String,
    at: usize,
    section: &'static Section,
    /// In the order of the file.
    pub nodes: Vec<(&'a str, Node<'a>)>,
}

impl<'a> Table<'a> {
    fn new(
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

    /// Notes a fault for every key that the section does not know.
    pub fn refuse_unknown(&self) {
        for (name, node) in &self.nodes {
            if self.section.keys.iter().any(|key| key.name == *name) {
                continue;
            }
            let known: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
            if self.section.later.contains(name) {
                node.fault_unshown(format!("`{name}` is not known to this version"), "remove it".to_owned());
            } else {
                let problem = format!("unknown key in {}", self.section.title);
                node.fault_unshown(problem, did_you_mean(name, &known, "known keys"));
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.nodes.iter().find(|(each, _)| *each == name).map(|(_, node)| node)
    }

    /// The key, whose absence is a fault.
    pub fn required(&self, name: &str, cure: &str) -> Option<&Node<'a>> {
        let node = self.get(name);
        if node.is_none() {
            self.fault_missing(name, cure);
        }
        node
    }

    pub fn fault_missing(&self, name: &str, cure: &str) {
        self.context.note(
            self.at,
            Fault {
                line: self.context.line(self.at),
                key: joined(&self.key, name),
                found: None,
                problem: "is missing".to_owned(),
                cure: cure.to_owned(),
            },
            true,
        );
    }

    pub fn line(&self) -> usize {
        self.context.line(self.at)
    }

    /// The table at `name`; an empty one if it is not there or something else.
    pub fn table(&self, name: &str, section: &'static Section) -> Table<'a> {
        match self.get(name).map(|node| node.table(section)) {
            Some(Some(table)) => table,
            _ => Table::new(self.context, joined(&self.key, name), self.at, None, section),
        }
    }

    #[allow(clippy::expect_used)] // of our own table, not of the file
    fn key(&self, name: &str) -> &'static Key {
        let key = self.section.keys.iter().find(|key| key.name == name);
        key.expect("every key that is read stands in config::keys")
    }

    /// The key as its table of keys says it; its default if absent; nothing if it is faulty.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.quantity(name).map(Duration::from_millis)
    }

    /// As [`Table::duration`]; `Some(None)` for `"0"`.
    pub fn duration_or_zero(&self, name: &str) -> Option<Option<Duration>> {
        let ms = self.quantity(name)?;
        Some((ms > 0).then(|| Duration::from_millis(ms)))
    }

    pub fn size(&self, name: &str) -> Option<u64> {
        self.quantity(name)
    }

    #[allow(clippy::expect_used)] // of our own table, not of the file
    fn quantity(&self, name: &str) -> Option<u64> {
        let key = self.key(name);
        let read = |text: &str| match key.kind {
            Kind::Size { .. } => units::size(text),
            Kind::DurationOrZero { .. } if text == "0" => Ok(0),
            _ => units::duration(text).map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        };
        let ours = |text: &str| read(text).expect("limits and defaults in config::keys are quantities");
        let (what, units, min, max) = match key.kind {
            Kind::Size { min, max } => ("size", units::SIZE_UNITS, min, max),
            Kind::Duration { min, max } | Kind::DurationOrZero { min, max } => {
                ("duration", units::DURATION_UNITS, min, max)
            }
            _ => unreachable!("{name} is no quantity in config::keys"),
        };
        let or_zero = if matches!(key.kind, Kind::DurationOrZero { .. }) {
            ", or \"0\" for no limit"
        } else {
            ""
        };
        let Some(node) = self.get(name) else {
            return key.default.map(ours);
        };
        if let DeValue::Integer(number) = node.value.get_ref() {
            let unit = if what == "size" { "MiB" } else { "s" };
            let example = format!("{}{unit}", number.as_str().trim_start_matches('+'));
            let example = if read(&example).is_ok() { example.as_str() } else { min };
            let cure = format!("write a string with a unit ({units}), e.g. \"{example}\"{or_zero}");
            node.fault(format!("a {what} needs a unit"), cure);
            return None;
        }
        let text = node.text()?;
        match read(&text.value) {
            Err(bad) => {
                let cure = format!("write a whole number with a unit ({units}), e.g. \"{min}\"{or_zero}");
                node.fault(bad.problem(what), cure);
                None
            }
            Ok(0) if !or_zero.is_empty() => Some(0),
            Ok(value) if value < ours(min) => {
                node.fault(
                    format!("is below the least, {min}"),
                    format!("write \"{min}\" to \"{max}\"{or_zero}"),
                );
                None
            }
            Ok(value) if value > ours(max) => {
                node.fault(
                    format!("is above the most, {max}"),
                    format!("write \"{min}\" to \"{max}\"{or_zero}"),
                );
                None
            }
            Ok(value) => Some(value),
        }
    }

    /// A whole number within the key's limits; its default if absent.
    #[allow(clippy::expect_used)] // of our own table, not of the file
    pub fn number(&self, name: &str) -> Option<usize> {
        let key = self.key(name);
        let Kind::Number { min, max } = key.kind else {
            unreachable!("{name} is no number in config::keys");
        };
        let Some(node) = self.get(name) else {
            return key
                .default
                .map(|text| text.parse().expect("defaults in config::keys are numbers"));
        };
        let cure = format!("write {min} to {max}");
        let number = match node.value.get_ref() {
            DeValue::Integer(_) => node.integer(),
            DeValue::String(_) => {
                let text = node.text()?;
                let number = text.value.parse::<i64>().ok();
                if !text.from_outside || number.is_none() {
                    node.fault("expected an integer", cure);
                    return None;
                }
                number
            }
            _ => {
                node.fault("expected an integer", cure);
                return None;
            }
        };
        match number {
            Some(number) if (min..=max).contains(&number) => usize::try_from(number).ok(),
            _ => {
                node.fault("is out of range", cure);
                None
            }
        }
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        let key = self.key(name);
        let Some(node) = self.get(name) else {
            return key.default.map(|text| text == "true");
        };
        let text = match node.value.get_ref() {
            DeValue::Boolean(flag) => return Some(*flag),
            DeValue::String(_) => node.text()?,
            _ => {
                node.fault("expected true or false", "write true or false, without quotes");
                return None;
            }
        };
        match text.value.as_str() {
            "true" if text.from_outside => Some(true),
            "false" if text.from_outside => Some(false),
            _ => {
                node.fault("expected true or false", "write true or false, without quotes");
                None
            }
        }
    }

    /// One of the names that the key knows; its default if absent.
    pub fn choice(&self, name: &str) -> Option<&'static str> {
        let key = self.key(name);
        let Kind::Choice { known, later } = key.kind else {
            unreachable!("{name} is no choice in config::keys");
        };
        let Some(node) = self.get(name) else {
            return key.default;
        };
        let text = node.text()?;
        if let Some(found) = known.iter().find(|each| **each == text.value) {
            return Some(*found);
        }
        let quoted: Vec<String> = known.iter().map(|each| format!("\"{each}\"")).collect();
        let cure = format!("write {}", quoted.join(" or "));
        match later.iter().find(|each| **each == text.value) {
            Some(later) if !text.from_outside => {
                node.fault(format!("`{later}` is not known to this version"), cure);
            }
            _ => node.fault("is none of the values it can have", cure),
        }
        None
    }

    /// A string with its reference resolved.
    pub fn text(&self, name: &str) -> Option<Text> {
        self.get(name)?.text()
    }
}

/// A value of the file, in its place.
#[derive(Clone)]
pub struct Node<'a> {
    context: &'a Context<'a>,
    pub key: String,
    at: usize,
    value: &'a Spanned<DeValue<'a>>,
    hidden: bool,
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
            false,
        );
    }

    /// The value as a fault shows it: a string in quotes, anything else after its type; never what a reference holds.
    fn shown(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(text) if text.starts_with("${") => {
                format!("the value of {}", cut(text))
            }
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
            self.fault("expected a string", "write a string in quotes");
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
            self.fault(
                "expected an array of strings",
                "write it in brackets, e.g. [\"a\", \"b\"]",
            );
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
    let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let distance = |each: &&&str| strsim::damerau_levenshtein(&name, each);
    match known.iter().min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= (name.chars().count() / 3).clamp(1, 3) => {
            format!("did you mean `{nearest}`?")
        }
        _ => format!("{all}: {}", known.join(", ")),
    }
}

/// `text` in quotes, escaped, cut to a readable length.
pub fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// `parent.name`, the name in quotes if it is not a bare key.
fn joined(parent: &str, name: &str) -> String {
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
