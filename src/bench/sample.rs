//! Messages to measure with: copies of the newest messages of the topics, or of lines of a file, within a bound.
//!
//! They stay in memory and are processed again and again. What the rules make of them is looked at once, before
//! anything is written ([`Part::new`]): how many rows there are, and which of them are for the same record.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use smallvec::SmallVec;

use crate::config::model::Kafka;
use crate::kafka::admin::newest::{NewestError, newest};
use crate::message::Message;
use crate::output::row::{Op, RecordKey, Row, RowAction, RowRules};
use crate::output::value::Value;
use crate::output::{Output, Verdict};
use crate::processor::Processor as _;
use crate::rules::mapping::TopicMapping;

/// Messages of one topic, at most.
pub const MESSAGES_MAX: usize = 20_000;
/// Payloads, keys and headers of all messages, at most.
pub const BYTES_MAX: usize = 64 << 20;

/// A message that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Kept {
    pub fn of(message: &Message<'_>) -> Kept {
        let headers = message.headers.iter();
        Kept {
            topic: message.topic.to_owned(),
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key: message.key.map(<[u8]>::to_vec),
            payload: message.payload.map(<[u8]>::to_vec),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len))
            .sum();
        headers + self.key.as_ref().map_or(0, Vec::len) + self.payload.as_ref().map_or(0, Vec::len)
    }

    fn view(&self) -> Message<'_> {
        let headers = self.headers.iter();
        Message {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: headers.map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        }
    }
}

/// The messages, by topic and partition.
#[derive(Debug, Default)]
pub struct Sample {
    parts: BTreeMap<(String, i32), Vec<Kept>>,
    messages: usize,
    bytes: usize,
}

impl Sample {
    /// Adds a message, unless the sample has enough bytes.
    pub fn add(&mut self, message: &Message<'_>) -> ControlFlow<()> {
        let kept = Kept::of(message);
        self.bytes += kept.bytes();
        self.messages += 1;
        let place = (kept.topic.clone(), kept.partition);
        self.parts.entry(place).or_default().push(kept);
        if self.bytes >= BYTES_MAX {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Adds the newest messages of a topic with this many partitions.
    ///
    /// # Errors
    /// If a broker does not answer, or refuses.
    pub fn add_newest(&mut self, kafka: &Kafka, topic: &str, partitions: usize) -> Result<(), NewestError> {
        let of_each = (MESSAGES_MAX / partitions.max(1)).max(1);
        let of_each = u32::try_from(of_each).unwrap_or(u32::MAX);
        newest(kafka, topic, of_each, &mut |message| self.add(message))
    }

    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    pub fn messages(&self) -> usize {
        self.messages
    }

    /// The size of a message in bytes, on average.
    pub fn message_bytes(&self) -> usize {
        self.bytes / self.messages.max(1)
    }

    /// Each partition's messages, with the topic.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &[Kept])> {
        self.parts
            .iter()
            .map(|((topic, _), messages)| (topic.as_str(), messages.as_slice()))
    }
}

/// What the rules make of the sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Made {
    pub messages: u64,
    pub filtered: u64,
    /// By reason.
    pub rejected: BTreeMap<&'static str, u64>,
    pub rows: u64,
    /// About the size of all rows in the database.
    pub row_bytes: u64,
    pub publications: u64,
    /// Sets that rows are for: namespace and set.
    pub sets: BTreeMap<(String, String), u64>,
    /// The rules of the rows, one for each write.
    pub rules: Vec<RowRules>,
}

impl Made {
    pub fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// About the size of a record in the database, on average.
    pub fn record_bytes(&self) -> u64 {
        self.row_bytes / self.rows.max(1)
    }

    /// Rows for each message, on average. Filtered and rejected messages count.
    pub fn rows_per_message(&self) -> f64 {
        self.rows as f64 / self.messages.max(1) as f64
    }
}

/// The numbers of the records that a message's rows are for.
pub type Records = SmallVec<[u32; 2]>;

/// The messages of one partition, ready to be processed.
#[derive(Debug)]
pub struct Part<'s> {
    pub rules: &'s TopicMapping,
    pub views: Vec<Message<'s>>,
    /// For each message.
    pub records: Vec<Records>,
    /// How many records there are in all.
    pub distinct: u32,
}

impl<'s> Part<'s> {
    /// Applies the rules to each message once. `now_ms`: the time that ttls count from.
    pub fn new(rules: &'s TopicMapping, messages: &'s [Kept], now_ms: i64, made: &mut Made) -> Part<'s> {
        let mut views: Vec<Message<'s>> = messages.iter().map(Kept::view).collect();
        if !rules.wants_headers() {
            views.iter_mut().for_each(|view| view.headers.clear());
        }
        let (records, distinct) = look(rules, &views, now_ms, made);
        Part {
            rules,
            views,
            records,
            distinct,
        }
    }
}

fn look(rules: &TopicMapping, views: &[Message<'_>], now_ms: i64, made: &mut Made) -> (Vec<Records>, u32) {
    let mut numbers: HashMap<(String, String, RecordKey<'_>), u32> = HashMap::new();
    let mut records = Vec::with_capacity(views.len());
    let mut output = Output::default();
    for (index, view) in views.iter().enumerate() {
        made.messages += 1;
        output.begin(index);
        match rules.process(view, now_ms, &mut output) {
            Ok(Verdict::Kept) => {}
            Ok(Verdict::Filtered) => made.filtered += 1,
            Err(rejection) => {
                output.take_back();
                *made.rejected.entry(rejection.reason.as_str()).or_default() += 1;
            }
        }
        made.publications += output.publications.drain(..).len() as u64;
        let of_rows = output.rows.drain(..).map(|row| {
            made.rows += 1;
            made.row_bytes += stored_bytes(&row);
            if !made.rules.iter().any(|known| known.line == row.rules.line) {
                made.rules.push(row.rules.clone());
            }
            let set = (row.target.namespace.clone(), row.target.set.clone());
            *made.sets.entry(set.clone()).or_default() += 1;
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry((set.0, set.1, row.key)).or_insert(next)
        });
        records.push(of_rows.collect());
    }
    let distinct = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    (records, distinct)
}

/// About what a row adds to the database. A record has some 64 bytes in the primary index and as much around it.
fn stored_bytes(row: &Row<'_>) -> u64 {
    const RECORD: usize = 128;
    const BIN: usize = 24;
    let of_ops: usize = match &row.action {
        RowAction::Write(ops) => ops.iter().map(|op| BIN + stored_by(op)).sum(),
        RowAction::Touch | RowAction::Delete => 0,
    };
    (RECORD + of_ops) as u64
}

/// About how many bytes of data an operation leaves in its bin.
fn stored_by(op: &Op<'_>) -> usize {
    const NUMBER: usize = 8;
    match op {
        Op::Put { value, .. }
        | Op::Once { value, .. }
        | Op::Append { value, .. }
        | Op::Prepend { value, .. }
        | Op::ListAppend { value, .. } => stored_as(value),
        Op::MapPut { key, value, .. } => stored_as(key) + stored_as(value),
        Op::MapAdd { key, .. } => stored_as(key) + NUMBER,
        Op::Add { .. } => NUMBER,
        Op::KeepLast { .. } => 0,
    }
}

/// About the size of a value. Inside of a list or map each has a byte or two of its own; a number has up to nine.
fn stored_as(value: &Value<'_>) -> usize {
    const HEAD: usize = 2;
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Int(_) | Value::Float(_) => 8,
        Value::Str(text) | Value::Unheld { text, .. } => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(|item| HEAD + stored_as(item)).sum(),
        Value::Map(members) => members
            .iter()
            .map(|(name, value)| 2 * HEAD + name.len() + stored_as(value))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::output::row::{RowTtl, Target};

    /// What a row takes in memory here is several times as much.
    #[test]
    fn a_record_is_about_as_large_as_its_values() {
        let target = Arc::new(Target::new("test", "users"));
        let put = |bin: &'static str, value| Op::Put { bin: bin.into(), value };
        let row = Row {
            message: 0,
            number: 0,
            rules: &RowRules::UPDATE,
            target: &target,
            key: RecordKey::String("u1".into()),
            action: RowAction::Write(vec![
                put("n", Value::Int(1)),
                put("s", Value::Str("x".repeat(100).into())),
                put("l", Value::List(vec![Value::Float(0.5); 10])),
            ]),
            ttl: RowTtl::NamespaceDefault,
            newer: None,
        };
        assert_eq!(stored_bytes(&row), 128 + (24 + 8) + (24 + 100) + (24 + 100));
    }
}
