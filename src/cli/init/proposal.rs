//! Everything that is proposed: the key, the bins, and settings that are off and worth a thought.

use super::bin_names::BinNames;
use super::key::{ProposedKey, likeness};
use super::line::Line;
use super::looks::{Look, epoch};
use super::shape::{Envelope, Field, Seen, Shape, is_nearly};
use super::skeleton::Answers;
use super::written::{comment, path, string};
use crate::config::names::{BIN_BYTES_MAX, SET_BYTES_MAX};

/// Bins that are on. A record with more is unusual enough to be a decision.
const BINS_ON_MAX: usize = 40;
/// Arrays of objects for which records are suggested.
const ARRAYS_MAX: usize = 3;
/// Fields for which conditions are suggested.
const WHENS_MAX: usize = 3;

/// Bins of a write.
#[derive(Debug)]
pub(super) enum Bins {
    /// One by one.
    Each(Vec<Line>),
    /// All fields of an object: a value of TOML, and what to know about it.
    All(String, String),
}

#[derive(Debug)]
pub(super) struct Proposal {
    pub has_registry_prefix: bool,
    /// Bare paths start there.
    pub root: Option<&'static str>,
    pub is_debezium: bool,
    pub key: ProposedKey,
    /// Nobody named it.
    pub is_key_proposed: bool,
    pub bins: Bins,
    /// Lines of the route.
    pub route: Vec<Line>,
    /// Lines of the write, behind its key.
    pub write: Vec<Line>,
    /// In how many changes of Debezium the log's position is an integer, and whether that is in all.
    pub positions: Option<(u64, bool)>,
    /// Arrays of objects: their path, and a note.
    pub arrays: Vec<(String, String)>,
}

/// The default of the set.
pub(super) fn set(topic: &str, shape: Option<&Shape>) -> String {
    // Debezium's topics end with the name of the table.
    let name = match topic.rsplit_once('.') {
        Some((_, table)) if shape.is_some_and(|shape| shape.is_debezium) && !table.is_empty() => table,
        _ => topic,
    };
    name.get(..name.len().min(SET_BYTES_MAX)).unwrap_or(name).to_owned()
}

impl Proposal {
    pub fn of(answers: &Answers, shape: Option<&Shape>, proposed: ProposedKey) -> Proposal {
        let key = match &answers.key {
            Some(given) => ProposedKey::given(given, shape),
            None => proposed,
        };
        let root = shape
            .filter(|shape| shape.envelope == Envelope::Connect)
            .map(|_| "payload");
        let mut proposal = Proposal {
            has_registry_prefix: shape.is_some_and(|shape| shape.has_registry_prefix),
            root,
            is_debezium: false,
            key,
            is_key_proposed: answers.key.is_none(),
            bins: Bins::All("\"*\"".to_owned(), "Every field of a message becomes a bin".to_owned()),
            route: Vec::new(),
            write: Vec::new(),
            positions: None,
            arrays: Vec::new(),
        };
        match shape.filter(|shape| shape.objects > 0) {
            Some(shape) if shape.is_debezium => proposal.change(shape),
            Some(shape) => proposal.message(shape),
            None => proposal.unknown(shape),
        }
        proposal
    }

    /// No field is known.
    fn unknown(&mut self, shape: Option<&Shape>) {
        self.tombstones(shape);
        self.write.push(Line::off(
            "newer",
            "{ path = \"@timestamp\", bin = \"_at\" }".to_owned(),
            "An older message never overwrites a newer one; better is a version in the message",
        ));
        self.write.push(Line::off("add", "{ messages = 1 }".to_owned(), COUNTS));
        self.write.push(Line::off("ttl", "\"30d\"".to_owned(), EXPIRES));
    }

    fn message(&mut self, shape: &Shape) {
        let mut names = BinNames::default();
        self.bins(shape, &mut names);
        self.tombstones(Some(shape));
        self.newer(shape, &mut names);
        self.counters(shape, &mut names);
        self.ttl(shape);
        self.conditions(shape);
        for field in &shape.fields {
            let [inside @ .., super::shape::Step::Element] = field.path.as_slice() else {
                continue;
            };
            let Some(array) = super::shape::names(inside) else {
                continue;
            };
            if field.seen.objects > 0 && field.seen.objects == field.seen.times && self.arrays.len() < ARRAYS_MAX {
                self.arrays.push((
                    path(&array),
                    format!("one record for each element of {}", comment(&path(&array))),
                ));
            }
        }
    }

    fn bins(&mut self, shape: &Shape, names: &mut BinNames) {
        // The names of the fields at the top are the shortest ones, so they are given first.
        let mut order: Vec<(usize, &Field)> = shape.fields.iter().enumerate().collect();
        order.sort_by_key(|(_, field)| field.path.len());
        let mut lines = Vec::new();
        let (mut on, mut skipped) = (0, 0);
        for (at, field) in order {
            let Some(of_field) = field.names() else { continue };
            let (is_on, value, mut notes) = bin(field, &of_field, shape);
            let is_key = self
                .key
                .field
                .as_ref()
                .is_some_and(|key| key.iter().eq(of_field.iter()));
            if is_key {
                notes.push(match self.key.is_of_key() {
                    true => "the Kafka key always equals it".to_owned(),
                    false => "it is the record's key".to_owned(),
                });
            }
            let is_on = is_on && (!is_key || self.key.is_of_key());
            let fits = on < BINS_ON_MAX;
            if is_on && !fits {
                skipped += 1;
            }
            on += usize::from(is_on && fits);
            let (name, is_shortened) = names.of(&of_field);
            if is_shortened {
                notes.insert(0, format!("shortened: a bin's name has {BIN_BYTES_MAX} bytes at most"));
            }
            let line = Line {
                is_on: is_on && fits,
                name,
                value,
                note: notes.join("; "),
            };
            lines.push((at, line));
        }
        lines.sort_by_key(|(at, _)| *at);
        let mut lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
        if skipped > 0 {
            lines.push(Line::off(
                &names.of(&["sent_at"]).0,
                string("@timestamp"),
                format!("{BINS_ON_MAX} bins are on; {skipped} more fields above are off only for their number"),
            ));
        } else {
            lines.push(Line {
                // A write must change something.
                is_on: on == 0,
                name: names.of(&["sent_at"]).0,
                value: string("@timestamp"),
                note: "when the message was sent, in milliseconds".to_owned(),
            });
        }
        self.bins = Bins::Each(lines);
    }

    fn tombstones(&mut self, shape: Option<&Shape>) {
        let Some(count) = shape.map(|shape| shape.tombstones).filter(|count| *count > 0) else {
            return;
        };
        self.write.push(if self.key.is_metadata() {
            let note = format!(
                "Without payload: {count} of the samples. In a compacted topic that says that the key is gone."
            );
            Line::on("tombstone", string("delete"), note)
        } else {
            let note = format!(
                "Without payload, and so without key: {count} of the samples. They are rejected unless this is on."
            );
            Line::off("tombstone", string("ignore"), note)
        });
    }

    fn newer(&mut self, shape: &Shape, names: &mut BinNames) {
        // Of those that are always there, and of those that are in nearly all messages.
        let mut best: [Option<(i64, &Field, Option<&'static str>)>; 2] = [None, None];
        for field in shape
            .fields
            .iter()
            .filter(|field| field.names().is_some_and(|names| names.len() <= 3))
        {
            let seen = &field.seen;
            let is_always = seen.times == shape.objects && seen.nulls == 0;
            if !is_nearly(seen.times - seen.nulls, shape.objects) || seen.unheld > 0 {
                continue;
            }
            let Some(name) = field
                .names()
                .and_then(|names| names.last().map(|name| name.to_ascii_lowercase()))
            else {
                continue;
            };
            let found = match (
                time(seen),
                seen.integers > 0 && seen.integers + seen.nulls == seen.times,
            ) {
                (Some(unit), _) if is_time_name(&name) && !is_end(&name) => {
                    let is_change = ["updated", "modified", "changed"]
                        .iter()
                        .any(|word| name.contains(word));
                    let is_creation = name.contains("creat") || name.contains("birth");
                    Some((if is_change { 3 } else { i64::from(!is_creation) }, Some(unit)))
                }
                (_, true)
                    if ["version", "revision", "rev", "seq", "sequence", "lsn", "generation"]
                        .contains(&name.as_str()) =>
                {
                    Some((4, None))
                }
                _ => None,
            };
            let [always, nearly] = &mut best;
            let best = if is_always { always } else { nearly };
            if let Some((score, unit)) = found
                && score > 0
                && best.is_none_or(|(other, ..)| score > other)
            {
                *best = Some((score, field, unit));
            }
        }
        let bin = names.of(&["_version"]).0;
        let line = |field: &Field, unit: Option<&str>, note: String| {
            let unit = unit.map_or_else(String::new, |unit| format!(", as = \"{unit}\""));
            let path = string(&path(&field.names().unwrap_or_default()));
            let value = format!("{{ path = {path}, bin = {}{unit} }}", string(&bin));
            Line::off("newer", value, note)
        };
        let by_kafka = |note: &str| {
            let value = format!("{{ path = \"@timestamp\", bin = {} }}", string(&bin));
            Line::off("newer", value, note)
        };
        let [always, nearly] = best;
        // One that is not always there is worth a thought only where it is the better one.
        let nearly = nearly.filter(|(score, ..)| always.is_none_or(|(other, ..)| *score > other));
        if let Some((_, field, unit)) = nearly {
            let note = format!(
                "{NEWER}. `{}` is in {} of {}; a message without it is rejected (missing = \"skip\" leaves it out)",
                path(&field.names().unwrap_or_default()),
                field.seen.times - field.seen.nulls,
                shape.objects
            );
            self.write.push(line(field, unit, note));
        }
        self.write.push(match always {
            Some((_, field, unit)) => line(field, unit, NEWER.to_owned()),
            None if nearly.is_some() => by_kafka("The same by Kafka's time, which every message has"),
            None => by_kafka(
                "An older message never overwrites a newer one; no version was found in the samples, so by Kafka's time",
            ),
        });
    }

    fn counters(&mut self, shape: &Shape, names: &mut BinNames) {
        let count = names.of(&["messages"]).0;
        let mut sums = format!("{{ {} = 1", super::written::key(&count));
        let is_amount = |field: &&Field| {
            let last = field
                .names()
                .and_then(|names| names.last().map(|name| name.to_ascii_lowercase()));
            let words = [
                "amount", "total", "sum", "count", "qty", "quantity", "price", "cost", "bytes", "cents", "points",
            ];
            let seen = &field.seen;
            last.is_some_and(|name| words.iter().any(|word| name.contains(word)))
                && seen.integers + seen.floats > 0
                && seen.integers + seen.floats + seen.nulls == seen.times
                && seen.unheld == 0
        };
        if let Some(field) = shape
            .fields
            .iter()
            .filter(|field| field.names().is_some())
            .find(is_amount)
        {
            let of_field = field.names().unwrap_or_default();
            let last = of_field.last().copied().unwrap_or("sum");
            let bin = names.of(&[&format!("{last}_sum")]).0;
            let number = if field.seen.floats > 0 { "float" } else { "integer" };
            sums.push_str(&format!(
                ", {} = {{ path = {}, as = \"{number}\", missing = \"skip\" }}",
                super::written::key(&bin),
                string(&path(&of_field))
            ));
        }
        self.write.push(Line::off("add", format!("{sums} }}"), COUNTS));
    }

    fn ttl(&mut self, shape: &Shape) {
        let end = shape.fields.iter().find_map(|field| {
            let of_field = field.names().filter(|names| names.len() <= 3)?;
            let name = of_field.last()?.to_ascii_lowercase();
            let unit = time(&field.seen).filter(|_| is_end(&name) && field.seen.times == shape.objects)?;
            Some((path(&of_field), unit))
        });
        self.write.push(match end {
            Some((path, unit)) => Line::off(
                "ttl",
                format!("{{ path = {}, as = \"{unit}\" }}", string(&path)),
                "The record ends with the message's own time; `ttl_past` says what if that has passed",
            ),
            None => Line::off("ttl", "\"30d\"".to_owned(), EXPIRES),
        });
    }

    /// Fields with a few values, by which messages could be filtered.
    fn conditions(&mut self, shape: &Shape) {
        for field in &shape.fields {
            let Some(of_field) = field.names() else { continue };
            let seen = &field.seen;
            let name = of_field
                .last()
                .map(|name| name.to_ascii_lowercase())
                .unwrap_or_default();
            let is_kind = [
                "type",
                "kind",
                "event",
                "action",
                "status",
                "state",
                "category",
                "level",
                "operation",
                "op",
            ]
            .iter()
            .any(|word| name == *word || name.ends_with(&format!("_{word}")));
            let distinct = seen.distinct().unwrap_or(usize::MAX);
            let is_few = seen.strings == seen.times && distinct <= 20 && (distinct as u64) * 2 <= seen.strings.max(2);
            let has_names = of_field.iter().all(|name| is_cel_name(name));
            if !is_kind || !is_few || !has_names || of_field.len() > 3 || self.route.len() >= WHENS_MAX {
                continue;
            }
            let mut whole: Vec<&str> = self.root.into_iter().collect();
            whole.extend(&of_field);
            let whole = format!("msg.{}", whole.join("."));
            let (sample, values) = match seen.few_values() {
                Some(values) if values.iter().all(|value| is_plain_value(value)) => {
                    let all: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
                    (
                        values.first().cloned().unwrap_or_default(),
                        format!(": {}", all.join(", ")),
                    )
                }
                _ => ("VALUE".to_owned(), String::new()),
            };
            let has = if seen.times == shape.objects {
                String::new()
            } else {
                format!("has({whole}) && ")
            };
            self.route.push(Line::off(
                "when",
                string(&format!("{has}{whole} == '{sample}'")),
                format!("Takes some messages only; {distinct} different values in the samples{values}"),
            ));
        }
        // One route has one condition, so the others are for its writes, or for other routes.
        self.route.truncate(WHENS_MAX);
    }

    /// A change of Debezium: the record is the row.
    fn change(&mut self, shape: &Shape) {
        self.is_debezium = true;
        let of_row = |field: &&Field| matches!(field.names().as_deref(), Some(["after", _]));
        let columns: Vec<&Field> = shape.fields.iter().filter(of_row).collect();
        let mut names = BinNames::default();
        let mut rename = Vec::new();
        // Names that stay as they are come first: the others must not take them.
        let column = |field: &Field| field.names().and_then(|names| names.last().map(ToString::to_string));
        let mut all: Vec<String> = columns.iter().filter_map(|field| column(field)).collect();
        all.sort_by_key(String::len);
        for name in &all {
            let (bin, is_shortened) = names.of(&[name]);
            if is_shortened {
                rename.push(format!("{} = {}", super::written::key(name), string(&bin)));
            }
        }
        let mut value = "{ path = \"after.*\"".to_owned();
        let excepted: Vec<String> = all
            .iter()
            .filter(|name| {
                let path = path(&[name]);
                self.key.shown.contains(&format!("@key.{path}"))
                    || self.key.shown.contains(&format!("@key.payload.{path}"))
            })
            .filter(|name| {
                let path = path(&[name]);
                ["@key.", "@key.payload."]
                    .iter()
                    .any(|before| self.key.written.contains(&string(&format!("{before}{path}"))))
            })
            .map(|name| string(name))
            .collect();
        if !excepted.is_empty() {
            value.push_str(&format!(", except = [{}]", excepted.join(", ")));
        }
        if !rename.is_empty() {
            value.push_str(&format!(", rename = {{ {} }}", rename.join(", ")));
        }
        value.push_str(", long_names = \"skip\"");
        if columns.iter().any(|field| field.seen.unheld > 0) {
            value.push_str(", big_numbers = \"string\"");
        }
        value.push_str(" }");
        self.bins = Bins::All(value, "All columns of the row; null removes a bin".to_owned());
        let position = shape
            .fields
            .iter()
            .find(|field| field.names().as_deref() == Some(["source", "lsn"].as_slice()));
        self.positions = position
            .map(|field| field.seen.integers - field.seen.unheld.min(field.seen.integers))
            .filter(|count| *count > 0)
            .map(|count| (count, count == shape.objects));
    }
}

const NEWER: &str = "An older message never overwrites a newer one; one with an equal version is skipped, too";
const COUNTS: &str = "Counts each message once, also when Kafka delivers it again";
const EXPIRES: &str = "How long a record lives; needs nsup-period above 0 in the namespace";

/// Whether a bin is on, its value, and what to know about it.
fn bin(field: &Field, names: &[&str], shape: &Shape) -> (bool, String, Vec<String>) {
    let seen = &field.seen;
    let source = string(&path(names));
    let cast = |word: &str| format!("{{ path = {source}, as = \"{word}\" }}");
    let mut notes = Vec::new();
    if seen.times < shape.objects {
        notes.push(format!("in {} of {}", seen.times, shape.objects));
    }
    let types = seen.types();
    let (is_on, value) = match types.as_slice() {
        [] => {
            notes.push("always null, so its type is not known".to_owned());
            (false, source)
        }
        ["object"] => {
            notes.push("an object, which becomes a map".to_owned());
            (false, source)
        }
        ["array"] => {
            notes.push("an array, which becomes a list".to_owned());
            (false, source)
        }
        ["integer"] if seen.unheld > 0 => {
            notes.push("some are beyond 64 bits, and become strings".to_owned());
            (true, format!("{{ path = {source}, big_numbers = \"string\" }}"))
        }
        ["float"] if seen.unheld > 0 => {
            notes.push("some are beyond a float, and become strings".to_owned());
            (true, format!("{{ path = {source}, big_numbers = \"string\" }}"))
        }
        ["integer"] => {
            if let Some(unit) =
                time(seen).filter(|_| is_time_name(&names.last().copied().unwrap_or("").to_ascii_lowercase()))
            {
                notes.push(format!("a time, {}", words(unit)));
            }
            (true, source)
        }
        ["boolean" | "float"] => (true, source),
        ["integer", "float"] => {
            notes.push("integers and floats: one type is easier to read and to query".to_owned());
            (true, cast("float"))
        }
        ["string"] => match seen.looks.common() {
            Some(Look::Rfc3339) => {
                notes.push("RFC 3339, kept as milliseconds since 1970".to_owned());
                (true, cast("epoch_ms"))
            }
            // Digits that name something are not counted with, and the next one may have a zero in front.
            Some(Look::Integer) if is_code_name(names.last().copied().unwrap_or_default()) => (true, source),
            Some(look @ Look::Integer) => {
                notes.push(format!("{}: as = \"integer\" makes a number of it", look.as_str()));
                (true, source)
            }
            Some(look @ Look::Decimal) => {
                notes.push(format!(
                    "{}: kept as it is, since a float would round it",
                    look.as_str()
                ));
                (true, source)
            }
            Some(Look::Json) => {
                notes.push("JSON in a string: as = \"json\" takes it whole, json_strings its fields".to_owned());
                (true, source)
            }
            _ => (true, source),
        },
        _ if seen.arrays == 0 && seen.objects == 0 => {
            notes.push(format!("{}: kept as a string", types.join(" and ")));
            (true, cast("string"))
        }
        _ => {
            notes.push(format!(
                "{}: the bin's type would change with the message",
                types.join(" and ")
            ));
            (false, source)
        }
    };
    (is_on, value, notes)
}

/// The unit of a field that holds times: RFC 3339 becomes milliseconds.
pub(super) fn time(seen: &Seen) -> Option<&'static str> {
    if seen.strings > 0 && seen.strings + seen.nulls == seen.times {
        return (seen.looks.common() == Some(Look::Rfc3339)).then_some("epoch_ms");
    }
    let (min, max) = seen.integer_range?;
    if seen.integers + seen.nulls == seen.times && seen.unheld == 0 {
        epoch(min, max)
    } else {
        None
    }
}

/// In words.
pub(super) fn words(unit: &str) -> &'static str {
    match unit {
        "epoch_s" => "seconds since 1970",
        "epoch_ms" => "milliseconds since 1970",
        "epoch_us" => "microseconds since 1970",
        _ => "nanoseconds since 1970",
    }
}

/// `name` in lower case.
pub(super) fn is_time_name(name: &str) -> bool {
    [
        "time",
        "date",
        "timestamp",
        "created",
        "updated",
        "modified",
        "changed",
        "expir",
    ]
    .iter()
    .any(|word| name.contains(word))
        || ["ts", "at", "exp", "iat", "nbf", "since", "when", "seen"].contains(&name)
        || ["_ts", "_at", "_on", "-at", "tsms", "_ms", "seen"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// The name of what is written in digits, and is no number.
fn is_code_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let words = [
        "zip", "postal", "postcode", "plz", "phone", "mobile", "fax", "ssn", "account", "card", "code",
    ];
    likeness(name) > 0 || words.iter().any(|word| lower.contains(word))
}

/// The name of an end of life.
fn is_end(name: &str) -> bool {
    name == "exp" || name.contains("expir") || name.contains("valid_until") || name.contains("validuntil")
}

/// A name that CEL reads as it is.
fn is_cel_name(name: &str) -> bool {
    const RESERVED: [&str; 21] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "package",
        "namespace",
        "null",
        "return",
        "true",
        "var",
        "void",
        "while",
    ];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

/// A value that stands in a condition and in a comment as it is.
fn is_plain_value(value: &str) -> bool {
    value
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | ':' | '/'))
}
