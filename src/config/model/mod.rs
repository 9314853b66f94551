//! The checked configuration: what the file said after every name, unit, range and rule was verified.
//!
//! Plain data, compiled into numbered fields by [`crate::rules::mapping`]. Nothing here reads a file or talks
//! to a service.

// `[kafka]`.
mod kafka;
// Texts that no log shows.
mod secret;
// `[aerospike]`.
mod aerospike;
// `[reject]`.
mod reject;
// `[[route]]`.
mod route;
// `[[route.write]]`.
mod write;
// `bins`.
mod bins;
// `[[route.publish]]`.
mod publish;
// Values, with their types.
mod value;
// Places in a message.
mod source;
// CEL expressions and conditions.
mod cel;
// Kinds of values in CEL.
mod kinds;
// Numbers that are instants.
mod time;
// RFC 3339, to the last second of the calendar.
mod instant;

pub use crate::config::run::{Run, StallAction};
pub use aerospike::Aerospike;
pub use bins::{Bin, LongNames};
pub use cel::{CONSTANT, Cel, Program, READ, Read, What, When};
pub use instant::Instant;
pub use kafka::{BelowLog, BeyondLog, ByteOrderMark, Format, Kafka, OffsetGone, Start, TlsProperty};
pub use kinds::Kinds;
pub use publish::Publish;
pub use reject::{DeadLetterHeaders, Reject, RejectAction};
pub use route::Route;
pub use secret::Secret;
pub use source::{Path, Segment, Source};
pub use time::TimeUnit;
pub use value::{As, BigNumbers, Constant, Expr, Missing, Part, Typed};
pub use write::{
    Action, Each, InDoubt, Mode, Name, Newer, OnConflict, Operation, OperationKind, Tombstone, Ttl, TtlOn, TtlPast,
    Write,
};

/// A whole configuration, free of faults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bounds and deadlines.
    pub run: Run,
    /// Where messages come from.
    pub kafka: Kafka,
    /// Where records go.
    pub aerospike: Aerospike,
    /// In the order of the file; at least one, and every configured topic is taken by at least one; or none, where the
    /// rules are code ([`crate::config::load_settings`]).
    pub routes: Vec<Route>,
    /// What becomes of a message that cannot be written.
    pub reject: Reject,
}

impl Config {
    /// The topics that it produces to: of publishes and dead letters, each once.
    pub fn produced_topics(&self) -> Vec<&str> {
        let publishes = self.routes.iter().flat_map(|route| &route.publishes);
        let mut topics: Vec<&str> = publishes.map(|publish| publish.topic.as_str()).collect();
        if let RejectAction::DeadLetter { topic, .. } = &self.reject.action {
            topics.push(topic);
        }
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}
