//! What a message would cause, by the rules alone: a verdict, records, messages to produce. Written as JSON or for a
//! person.
//!
//! The JSON is public: `docs/reference/try-and-test.md` describes it, and fixtures contain it. A record describes its
//! operations with the words of the configuration, and leaves out defaults. This module knows nothing of the database:
//! whether a `create` finds its record shows only when the service runs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::json;
use super::message::{OwnedMessage, bytes_json, headers_json};
use super::terminal::{Colours, Tone};
use crate::config::model::{Format, Mode, OnConflict};
use crate::config::operations::REMOVE;
use crate::message::{Rejection, place};
use crate::output::publication::Publication;
use crate::output::row::{Argument, Number, Op, RecordKey, Row, RowAction, RowTtl};
use crate::output::value::Value as PipelineValue;
use crate::output::{Output, Verdict};
use crate::rules::mapping::Mapping;
use crate::rules::mapping::tally::Tally;

/// Names of the counts of records whose ttl has ended: skipped and deleted.
pub(super) const PAST: [&str; 2] = ["ttl_past_skipped", "ttl_past_deleted"];

/// The outcome of one message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub verdict: &'static str,
    /// The word of the reason, and the detail with its rule.
    pub rejection: Option<(&'static str, String)>,
    /// In the order in which they are written, each with the line of its rule.
    pub records: Vec<(usize, Value)>,
    pub publishes: Vec<Value>,
    /// Number of records whose ttl has ended: skipped, deleted.
    pub ttl_past: [u64; 2],
}

impl Outcome {
    /// Evaluates and maps the message as the service does, and counts the results of each rule.
    ///
    /// # Errors
    /// If no route reads its topic.
    pub fn of(mapping: &Mapping, message: &OwnedMessage, now_ms: i64, tally: &Tally) -> Result<Outcome, String> {
        let Some(rules) = mapping.topic(&message.topic) else {
            return Err(format!("the configuration reads no topic \"{}\"", message.topic));
        };
        let view = message.view();
        let mut output = Output::default();
        output.begin(0);
        let verdict = rules.process_counted(&view, now_ms, &mut output, tally);
        Ok(match verdict {
            Ok(verdict) => Outcome {
                verdict: match verdict {
                    Verdict::Kept => "kept",
                    Verdict::Filtered => "filtered",
                },
                rejection: None,
                records: output.rows.iter().map(|row| (row.rules.line, record(row))).collect(),
                publishes: output.publications.iter().map(publish).collect(),
                ttl_past: [output.ttl_past_skipped, output.ttl_past_deleted],
            },
            Err(Rejection { reason, detail }) => Outcome {
                verdict: "rejected",
                rejection: Some((reason.as_str(), detail)),
                records: Vec::new(),
                publishes: Vec::new(),
                ttl_past: [0, 0],
            },
        })
    }

    /// The part that is compared with a fixture.
    pub fn compared(&self) -> Value {
        let mut case = Map::new();
        case.insert("verdict".to_owned(), self.verdict.into());
        if let Some((reason, _)) = &self.rejection {
            case.insert("reason".to_owned(), (*reason).into());
        }
        let records: Vec<Value> = self.records.iter().map(|(_, record)| record.clone()).collect();
        case.insert("records".to_owned(), records.into());
        case.insert("publishes".to_owned(), self.publishes.clone().into());
        Value::Object(case)
    }

    /// One line with the message and its outcome. The line is also a fixture.
    pub fn json(&self, message: &OwnedMessage, now_ms: i64, format: Format) -> String {
        let mut members = vec![
            ("now", now_ms.to_string()),
            ("message", message.envelope(format)),
            ("verdict", Value::from(self.verdict).to_string()),
        ];
        if let Some((reason, detail)) = &self.rejection {
            members.push(("reason", Value::from(*reason).to_string()));
            members.push(("detail", Value::from(detail.as_str()).to_string()));
        }
        let records: Vec<Value> = self.records.iter().map(|(_, record)| record.clone()).collect();
        members.push(("records", json::line(&records.into())));
        members.push(("publishes", json::line(&self.publishes.clone().into())));
        for (name, count) in PAST.into_iter().zip(self.ttl_past).filter(|(_, count)| *count > 0) {
            members.push((name, count.to_string()));
        }
        json::object(&members)
    }

    /// Some lines for a person.
    pub fn text(&self, message: &OwnedMessage, colours: Colours) -> String {
        let mut text = place(&message.topic, message.partition, message.offset);
        if let Some(key) = &message.key {
            let _ = write!(text, " key={}", Value::from(String::from_utf8_lossy(key)));
        }
        let tone = match self.verdict {
            "kept" => Tone::Good,
            "filtered" => Tone::Doubtful,
            _ => Tone::Bad,
        };
        let _ = write!(text, " {}", colours.paint(tone, self.verdict));
        if let Some((reason, detail)) = &self.rejection {
            let _ = write!(text, " {reason}: {detail}");
        }
        text.push('\n');
        for (line, record) in &self.records {
            let word = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
            let target = match (word("namespace"), word("set")) {
                (namespace, "") => namespace.to_owned(),
                (namespace, set) => format!("{namespace}.{set}"),
            };
            let key = record.get("key").map(json::line).unwrap_or_default();
            let aside = colours.paint(Tone::Aside, format!("(line {line})"));
            let _ = writeln!(text, "  record {target} {key} {aside}");
            members(record, &["namespace", "set", "key"], &mut text);
        }
        let past = [
            "no record by {}: the life is over (ttl_past = \"skip\")",
            "deleted by {}: the life is over (ttl_past = \"delete\")",
        ];
        for (said, count) in past.into_iter().zip(self.ttl_past).filter(|(_, count)| *count > 0) {
            let said = said.replace("{}", &format!("{count} write(s)"));
            let _ = writeln!(text, "  {}", colours.paint(Tone::Doubtful, said));
        }
        for publish in &self.publishes {
            let topic = publish.get("topic").and_then(Value::as_str).unwrap_or_default();
            let _ = writeln!(text, "  publish {topic}");
            members(publish, &["topic"], &mut text);
        }
        text
    }
}

/// A line for each member that was not printed before (`told`).
fn members(of: &Value, told: &[&str], text: &mut String) {
    let mut rest = of.clone();
    if let Value::Object(members) = &mut rest {
        members.retain(|name, _| !told.contains(&name.as_str()));
    }
    for (name, value) in json::ordered(&rest) {
        let _ = writeln!(text, "    {name} {}", json::line(value));
    }
}

fn record(row: &Row<'_>) -> Value {
    let mut record = Map::new();
    let mut say = |name: &str, value: Value| {
        record.insert(name.to_owned(), value);
    };
    say("namespace", row.target.namespace.as_str().into());
    if !row.target.set.is_empty() {
        say("set", row.target.set.as_str().into());
    }
    say(
        "key",
        match &row.key {
            RecordKey::String(text) => text.as_ref().into(),
            RecordKey::Integer(number) => (*number).into(),
            RecordKey::Bytes(bytes) => bytes_json(bytes),
        },
    );
    match &row.action {
        RowAction::Touch => say("touch", true.into()),
        RowAction::Delete => say("delete", true.into()),
        RowAction::Write(ops) => {
            for (word, value) in operations(ops) {
                say(word, value);
            }
        }
    }
    match row.rules.mode {
        Mode::Update => {}
        Mode::Replace => say("mode", "replace".into()),
        Mode::Create => say("mode", "create".into()),
        Mode::UpdateOnly => say("mode", "update_only".into()),
    }
    if matches!(row.rules.mode, Mode::Create | Mode::UpdateOnly) && row.rules.on_conflict == OnConflict::Ignore {
        say("on_conflict", "ignore".into());
    }
    if let (Some(bin), Some(version)) = (&row.rules.newer_bin, row.newer) {
        say("newer", json!({ "bin": bin, "version": version }));
    }
    match row.ttl {
        RowTtl::NamespaceDefault => {}
        RowTtl::Never => say("ttl", "never".into()),
        RowTtl::Keep => say("ttl", "keep".into()),
        RowTtl::Seconds(seconds) => say("ttl", seconds.into()),
    }
    if row.rules.ttl_on_create {
        say("ttl_on", "create".into());
    }
    if row.target.send_key {
        say("send_key", true.into());
    }
    if row.rules.guarded {
        say("guarded", true.into());
    }
    Value::Object(record)
}

/// The operations, grouped by the configuration's words, with their bins. A row has one operation per bin, and possibly
/// one that trims it, so the order of the words does not matter.
fn operations(ops: &[Op<'_>]) -> Vec<(&'static str, Value)> {
    let mut words: Vec<(&'static str, Map<String, Value>)> = Vec::new();
    let mut say = |word: &'static str, bin: &str, value: Value| {
        let at = match words.iter().position(|(each, _)| *each == word) {
            Some(at) => at,
            None => {
                words.push((word, Map::new()));
                words.len() - 1
            }
        };
        words[at].1.insert(bin.to_owned(), value);
    };
    let mut removed: Vec<Value> = Vec::new();
    for op in ops {
        if op.removes() {
            removed.push(op.bin().into());
            continue;
        }
        let word = op.descriptor().map_or("bins", |descriptor| descriptor.word);
        let what = match op.arguments() {
            [Some(("", alone)), None] => argument(alone),
            arguments => {
                let arguments = arguments.into_iter().flatten();
                let members = arguments.map(|(name, each)| (name.to_owned(), argument(each)));
                Value::Object(members.collect())
            }
        };
        say(word, op.bin(), what);
    }
    let mut words: Vec<(&'static str, Value)> = words
        .into_iter()
        .map(|(word, bins)| (word, Value::Object(bins)))
        .collect();
    if !removed.is_empty() {
        words.push((REMOVE.word, removed.into()));
    }
    words
}

fn argument(argument: Argument<'_>) -> Value {
    match argument {
        Argument::Value(value) | Argument::Text(value) | Argument::MapKey(value) => plain(value),
        Argument::Number(number) => self::number(number),
        Argument::Count(count) => count.into(),
    }
}

fn number(number: Number) -> Value {
    match number {
        Number::Int(n) => n.into(),
        Number::Float(n) => n.into(),
    }
}

fn plain(value: &PipelineValue<'_>) -> Value {
    match value {
        PipelineValue::Null => Value::Null,
        PipelineValue::Bool(b) => (*b).into(),
        PipelineValue::Int(n) => (*n).into(),
        PipelineValue::Unheld { text, .. } => text.as_ref().into(),
        PipelineValue::Float(n) => (*n).into(),
        PipelineValue::Str(text) => text.as_ref().into(),
        PipelineValue::Bytes(bytes) => bytes_json(bytes),
        PipelineValue::List(items) => items.iter().map(plain).collect::<Vec<_>>().into(),
        PipelineValue::Map(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.to_string(), plain(value)))
                .collect(),
        ),
    }
}

fn publish(publication: &Publication<'_>) -> Value {
    let mut publish = Map::new();
    let mut say = |name: &str, value: Value| {
        publish.insert(name.to_owned(), value);
    };
    say("topic", publication.topic.into());
    match publication.key.as_deref().map(|key| (std::str::from_utf8(key), key)) {
        None => {}
        Some((Ok(text), _)) => say("key", text.into()),
        Some((Err(_), bytes)) => say("key", bytes_json(bytes)),
    }
    if !publication.headers.is_empty() {
        let headers = publication.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_ref(), value.as_deref()));
        say("headers", headers_json(headers));
    }
    match publication.payload.as_deref() {
        None => say("payload", Value::Null),
        Some(payload) => match (serde_json::from_slice(payload), std::str::from_utf8(payload)) {
            (Ok(Value::Null) | Err(_), Ok(text)) => say("payload_text", text.into()),
            (Ok(value), _) => say("payload", value),
            (Err(_), Err(_)) => say("payload", bytes_json(payload)),
        },
    }
    Value::Object(publish)
}
