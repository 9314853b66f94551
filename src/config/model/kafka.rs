//! `[kafka]`: where messages come from, and how they are read.

use std::fmt;

use crate::config::model::secret::Secret;

/// `[kafka]`.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`, comma-separated, as librdkafka's `bootstrap.servers` takes it.
    pub brokers: String,
    /// At least one, each once, each a legal name.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Where the group begins that has no offset yet.
    pub start: Start,
    /// What is done where the next offset is not in the log.
    pub offset_gone: OffsetGone,
    /// How payloads are read.
    pub format: Format,
    /// What a byte order mark in front of a JSON text does.
    pub byte_order_mark: ByteOrderMark,
    /// librdkafka properties of the consumer (`[kafka.properties]`, overridden by `[kafka.consumer]`).
    pub consumer_properties: Vec<(String, Secret)>,
    /// librdkafka properties of the producer (`[kafka.properties]`, overridden by `[kafka.producer]`).
    pub producer_properties: Vec<(String, Secret)>,
    /// Those of them that are TLS's, with their places in the file.
    pub tls: Vec<TlsProperty>,
}

impl Kafka {
    /// A librdkafka property of the consumer, as the file has it.
    pub fn consumer_property(&self, name: &str) -> Option<&str> {
        let found = self.consumer_properties.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.0.as_str())
    }

    /// A librdkafka property of the producer, as the file has it.
    pub fn producer_property(&self, name: &str) -> Option<&str> {
        let found = self.producer_properties.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.0.as_str())
    }
}

/// A librdkafka property `ssl.*`, where it stands.
#[derive(Debug, Clone)]
pub struct TlsProperty {
    pub line: usize,
    /// As `kafka.properties.ssl.ca.location`.
    pub key: String,
    pub name: String,
    pub value: Secret,
    /// It stands in the file itself.
    pub shown: bool,
}

/// What is done where the next offset is not in the log; an ERROR line tells it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetGone {
    /// The log begins behind it: messages were deleted before they were read.
    pub below: BelowLog,
    /// The log ends before it, or parts from what was read: it was cut.
    pub beyond: BeyondLog,
}

impl Default for OffsetGone {
    /// What is deleted is gone whatever is done. Where a log was cut, reading goes on where that is known to be right.
    fn default() -> Self {
        OffsetGone {
            below: BelowLog::Earliest,
            beyond: BeyondLog::Resume,
        }
    }
}

impl fmt::Display for OffsetGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = match self.below {
            BelowLog::Earliest => "earliest",
            BelowLog::End => "end",
            BelowLog::Stop => "stop",
        };
        let beyond = match self.beyond {
            BeyondLog::Resume => "resume",
            BeyondLog::Earliest => "earliest",
            BeyondLog::End => "end",
            BeyondLog::Stop => "stop",
        };
        write!(f, "below:{below},beyond:{beyond}")
    }
}

/// What is done where the log begins behind the next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BelowLog {
    /// Reading goes on at the oldest message that is left.
    Earliest,
    /// Reading goes on at the end of the log.
    End,
    /// The service stops.
    Stop,
}

/// What is done where the log was cut below the next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondLog {
    /// Reading goes on where the log was cut. Where that is not known, or guards would refuse what is new, the service
    /// stops.
    Resume,
    /// Reading goes on where the log was cut; where that is not known, at the oldest message.
    Earliest,
    /// The same; where that is not known, at the end of the log.
    End,
    /// The service stops.
    Stop,
}

/// Where a group without a committed offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message that is kept.
    Earliest,
    /// At the messages that come from now on.
    Latest,
}

/// How a payload is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The payload is one JSON text.
    Json,
    /// As `Json`, after a zero byte and a 4-byte schema id of a schema registry.
    JsonSchemaRegistry,
}

/// `kafka.byte_order_mark`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrderMark {
    /// It is read past.
    Skip,
    /// The message is rejected.
    Reject,
}
