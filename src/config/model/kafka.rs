//! `[kafka]`: which topics are read, and how.

use std::fmt;

use crate::config::model::login::LoginFiles;
use crate::config::model::secret::Secret;

/// `[kafka]`.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`, comma-separated, in the form of librdkafka's `bootstrap.servers`.
    pub brokers: String,
    /// At least one. Each is valid and occurs once.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Where a group without a committed offset starts.
    pub start: Start,
    /// What to do if the next offset is not in the log.
    pub offset_gone: OffsetGone,
    /// How payloads are read.
    pub format: Format,
    /// What to do with a byte order mark in front of a JSON text.
    pub byte_order_mark: ByteOrderMark,
    /// librdkafka properties of the consumer (`[kafka.properties]`, overridden by `[kafka.consumer]`).
    pub consumer_properties: Vec<(String, Secret)>,
    /// librdkafka properties of the producer (`[kafka.properties]`, overridden by `[kafka.producer]`).
    pub producer_properties: Vec<(String, Secret)>,
    /// The files of the consumer's login.
    pub consumer_login: LoginFiles,
    /// The files of the producer's login.
    pub producer_login: LoginFiles,
    /// Those of the properties that concern TLS, with their places in the file.
    pub tls: Vec<TlsProperty>,
}

impl Kafka {
    /// A librdkafka property of the consumer, as written in the file.
    pub fn consumer_property(&self, name: &str) -> Option<&str> {
        let found = self.consumer_properties.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.0.as_str())
    }

    /// A librdkafka property of the producer, as written in the file.
    pub fn producer_property(&self, name: &str) -> Option<&str> {
        let found = self.producer_properties.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.0.as_str())
    }
}

/// A librdkafka property `ssl.*`, with its place in the file.
#[derive(Debug, Clone)]
pub struct TlsProperty {
    pub line: usize,
    /// For example `kafka.properties.ssl.ca.location`.
    pub key: String,
    pub name: String,
    pub value: Secret,
    /// Its value is in the file itself.
    pub shown: bool,
}

/// What to do if the next offset is not in the log. An ERROR line always reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetGone {
    /// The log begins above it: messages were deleted before they were read.
    pub below: BelowLog,
    /// The log ends below it, or differs from what was read: it was cut.
    pub beyond: BeyondLog,
}

impl Default for OffsetGone {
    /// Deleted messages are lost in any case. If a log was cut, reading continues only where that is known to be right.
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

/// What to do if the log begins above the next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BelowLog {
    /// Reading continues at the oldest message in the log.
    Earliest,
    /// Reading continues at the end of the log.
    End,
    /// The service stops.
    Stop,
}

/// What to do if the log was cut below the next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondLog {
    /// Reading continues where the log was cut. The service stops if that place is not known, or if guards would refuse
    /// the new messages.
    Resume,
    /// Reading continues where the log was cut; if that place is not known, at the oldest message.
    Earliest,
    /// Reading continues where the log was cut; if that place is not known, at the end of the log.
    End,
    /// The service stops.
    Stop,
}

/// Where a group without a committed offset starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message in the log.
    Earliest,
    /// At the messages that arrive from now on.
    Latest,
}

/// How payloads are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The payload is one JSON text.
    Json,
    /// Like `Json`, but after a zero byte and a schema registry's 4-byte schema id.
    JsonSchemaRegistry,
}

/// `kafka.byte_order_mark`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrderMark {
    /// It is skipped.
    Skip,
    /// The message is rejected.
    Reject,
}
