//! Map: a decoded message becomes the rows it asks for.
//!
//! At start the checked configuration is compiled, once, into a [`Mapping`]: the tree of paths that any rule asks
//! for, and rules over numbered fields (`compile`). Per message no name is looked up twice, and a value is
//! borrowed from the payload wherever it can be (`eval`, `cast`). Pure: no clock (the caller gives the
//! time), no lock, no client type.
//!
//! All rules judge and map a message before anything of it is written; one rejection rejects the whole message.

mod cast;
mod compile;
mod eval;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::config::model::Format;
use crate::pipeline::decode::{self, DecodeError, PathTree};
use crate::pipeline::value::Value;

pub use compile::CompileError;
use compile::{CompiledWrite, EachRule};

/// One message as the stages see it: Kafka's words, borrowed.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    pub topic: &'m str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch; `None` where the topic has none.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'m [u8]>,
    /// `None` is a tombstone.
    pub payload: Option<&'m [u8]>,
    /// In the order of the message. May be left empty when [`TopicMapping::wants_headers`] is false.
    pub headers: Vec<(&'m str, Option<&'m [u8]>)>,
}

/// A record's key, before it is Aerospike's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordKey<'m> {
    String(Cow<'m, str>),
    Integer(i64),
    Bytes(Cow<'m, [u8]>),
}

/// The life of a record, as one row asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowTtl {
    /// The namespace's own.
    NamespaceDefault,
    Never,
    /// As the record has it.
    Keep,
    Seconds(u32),
}

/// Where a row goes: everything about it that the message does not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    /// Empty: no set.
    pub set: String,
    /// Store the key beside the digest.
    pub send_key: bool,
}

/// What one message asks of one record.
#[derive(Debug, Clone)]
pub struct Row<'m> {
    /// The message's place in the batch.
    pub message: usize,
    pub target: &'m Arc<Target>,
    pub key: RecordKey<'m>,
    /// Names at most once each; never empty. [`Value::Null`] removes the bin.
    pub bins: Vec<(Cow<'m, str>, Value<'m>)>,
    pub ttl: RowTtl,
}

/// Why a message cannot become records. Stable words: they are metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// From the decode stage: see [`decode::DecodeErrorKind::reason`].
    Payload(decode::DecodeErrorKind),
    /// The message key is asked for as JSON and is none.
    KeyNotJson,
    /// No payload, and nothing says what a tombstone means.
    Tombstone,
    /// `format = "json_sr"` and no registry prefix.
    NoRegistryPrefix,
    KeyMissing,
    KeyNull,
    KeyEmpty,
    /// A boolean, float, array or object where a key must be.
    KeyType,
    /// A field with `missing = "reject"`, or one that `ttl` or `each` needs.
    FieldMissing,
    /// A value that cannot be read as the type asked for.
    FieldType,
    /// An integer outside `i64`, where one is asked for.
    IntegerRange,
    /// `each` over something that is no array.
    EachType,
    /// More elements than `each_max`.
    EachTooMany,
    /// A field name of over 15 bytes that would become a bin.
    BinName,
    /// A life outside 0 to 10 years.
    TtlRange,
    /// The database refused a row of it for what it is.
    Database(u8),
}

impl Reason {
    /// The word for logs, metrics and dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Payload(kind) => kind.reason(),
            Reason::KeyNotJson => "key_not_json",
            Reason::Tombstone => "tombstone",
            Reason::NoRegistryPrefix => "no_registry_prefix",
            Reason::KeyMissing => "key_missing",
            Reason::KeyNull => "key_null",
            Reason::KeyEmpty => "key_empty",
            Reason::KeyType => "key_type",
            Reason::FieldMissing => "field_missing",
            Reason::FieldType => "field_type",
            Reason::IntegerRange => "integer_range",
            Reason::EachType => "each_type",
            Reason::EachTooMany => "each_too_many",
            Reason::BinName => "bin_name",
            Reason::TtlRange => "ttl_range",
            Reason::Database(_) => "database",
        }
    }
}

/// A message that cannot become records: the reason, and where, without any of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// What exactly, naming the rule of the configuration; never payload.
    pub detail: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl Rejection {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejection {
            reason,
            detail: detail.into(),
        }
    }
}

impl From<DecodeError> for Rejection {
    fn from(error: DecodeError) -> Self {
        Rejection::new(Reason::Payload(error.kind), error.to_string())
    }
}

/// The configuration's rules, compiled: one [`TopicMapping`] a topic.
#[derive(Debug)]
pub struct Mapping {
    topics: HashMap<String, TopicMapping>,
}

impl Mapping {
    /// The rules for one topic; `None` when no route takes it.
    pub fn topic(&self, topic: &str) -> Option<&TopicMapping> {
        self.topics.get(topic)
    }

    /// Every target any rule writes to, each once.
    pub fn targets(&self) -> Vec<&Target> {
        let mut targets: Vec<&Target> = Vec::new();
        for write in self.topics.values().flat_map(|t| &t.writes) {
            if !targets.contains(&&*write.target) {
                targets.push(&write.target);
            }
        }
        targets
    }
}

/// All rules that take one topic, over one decode pass.
#[derive(Debug)]
pub struct TopicMapping {
    format: Format,
    tree: PathTree,
    /// `None` when no rule reads the message key as JSON.
    key_tree: Option<PathTree>,
    /// The names that rules ask for; the index is the header's number.
    header_names: Vec<String>,
    writes: Vec<CompiledWrite>,
}

impl TopicMapping {
    /// Whether any rule reads a header: if not, the caller need not collect them.
    pub fn wants_headers(&self) -> bool {
        !self.header_names.is_empty()
    }

    /// How many rows a plain message of this topic makes (`each` counted as one): what sizes a batch.
    pub fn rows_per_message(&self) -> usize {
        self.writes.len().max(1)
    }

    /// Decodes and maps one message. Its rows are appended to `rows`, or, when it is rejected, none of them are.
    ///
    /// `now_ms` is what a time to live counts from, in milliseconds since the epoch. `index` becomes
    /// [`Row::message`].
    ///
    /// # Errors
    /// The first rejection; nothing of the message may be written then.
    pub fn apply<'m>(
        &'m self,
        index: usize,
        message: &Message<'m>,
        now_ms: i64,
        rows: &mut Vec<Row<'m>>,
    ) -> Result<(), Rejection> {
        let before = rows.len();
        let result = self.apply_inner(index, message, now_ms, rows);
        if result.is_err() {
            rows.truncate(before);
        }
        result
    }

    fn apply_inner<'m>(
        &'m self,
        index: usize,
        message: &Message<'m>,
        now_ms: i64,
        rows: &mut Vec<Row<'m>>,
    ) -> Result<(), Rejection> {
        let payload = message
            .payload
            .ok_or_else(|| Rejection::new(Reason::Tombstone, "the message has no payload (a tombstone)"))?;
        let text = match self.format {
            Format::Json => payload,
            Format::JsonSchemaRegistry => registry_payload(payload)?,
        };
        let fields = decode::decode(&self.tree, text)?;
        let key_fields = match (&self.key_tree, message.key) {
            (Some(tree), Some(key)) => Some(
                decode::decode(tree, key)
                    .map_err(|e| Rejection::new(Reason::KeyNotJson, format!("the message key is read as JSON: {e}")))?,
            ),
            _ => None,
        };
        let context = eval::Context {
            message,
            fields: &fields,
            key_fields: key_fields.as_ref(),
            header_names: &self.header_names,
            now_ms,
        };
        for write in &self.writes {
            match &write.each {
                None => context.row(write, None, index, rows)?,
                Some(each) => self.apply_each(&context, write, each, index, rows)?,
            }
        }
        Ok(())
    }

    fn apply_each<'m>(
        &'m self,
        context: &eval::Context<'_, 'm>,
        write: &'m CompiledWrite,
        each: &EachRule,
        index: usize,
        rows: &mut Vec<Row<'m>>,
    ) -> Result<(), Rejection> {
        let elements = match context.fields.each(each.id) {
            // null says "none", as an empty array does; a field that is not there may have been renamed.
            decode::Elements::Null => return Ok(()),
            decode::Elements::Missing => {
                return Err(Rejection::new(
                    Reason::FieldMissing,
                    format!("each = \"{}\" (line {}): no such field", each.written, write.line),
                ));
            }
            decode::Elements::NotAnArray(type_name) => {
                return Err(Rejection::new(
                    Reason::EachType,
                    format!(
                        "each = \"{}\" (line {}) is of type {type_name}, not an array",
                        each.written, write.line
                    ),
                ));
            }
            decode::Elements::Items(items) => items,
        };
        if elements.len() > each.max {
            return Err(Rejection::new(
                Reason::EachTooMany,
                format!(
                    "each = \"{}\" (line {}) has {} elements, each_max is {}",
                    each.written,
                    write.line,
                    elements.len(),
                    each.max
                ),
            ));
        }
        for number in 0..elements.len() {
            context.row(
                write,
                Some(eval::Element {
                    items: &elements,
                    number,
                }),
                index,
                rows,
            )?;
        }
        Ok(())
    }
}

/// Behind the 5-byte prefix of a schema registry: a zero byte and a 4-byte schema id.
fn registry_payload(payload: &[u8]) -> Result<&[u8], Rejection> {
    match payload {
        [0, _, _, _, _, text @ ..] => Ok(text),
        _ => Err(Rejection::new(
            Reason::NoRegistryPrefix,
            "kafka.format is json_sr, but the payload does not begin with a zero byte and a schema id",
        )),
    }
}

#[cfg(test)]
mod tests;
