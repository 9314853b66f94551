//! The checked configuration: the content of the file after every name, unit, range and rule was verified.
//!
//! Plain data. [`crate::rules::mapping`] compiles it, with numbered fields. Nothing here reads a file or talks to a
//! service.

// `[kafka]`.
mod kafka;
// Texts that logs do not show.
mod secret;
// Logins whose parts are in files.
mod login;
// `[aerospike]`.
mod aerospike;
// `[reject]`.
mod reject;
// `[log]`.
mod log;
// `[http]`.
mod http;
// `[[route]]`.
mod route;
// `payload_schema`.
mod payload_schema;
// `[[route.write]]`.
mod write;
// `bins`.
mod bins;
// `[[route.publish]]`.
mod publish;
// Values and their types.
mod value;
// Places in a message.
mod source;
// CEL expressions and conditions.
mod cel;
// Kinds of values in CEL.
mod kinds;
// Numbers that mean instants.
mod time;
// RFC 3339, up to the last second of the calendar.
mod instant;

pub use crate::config::run::{Run, StallAction};
pub use aerospike::{Aerospike, Tls, TlsOwn, Writer};
pub use bins::{Bin, LongNames};
pub use cel::{CONSTANT, Cel, Program, READ, Read, What, When};
pub use http::Http;
pub use instant::Instant;
pub use kafka::{BelowLog, BeyondLog, ByteOrderMark, Format, Kafka, OffsetGone, Start, TlsProperty};
pub use kinds::Kinds;
pub use log::Log;
pub use login::LoginFiles;
pub use payload_schema::{Documents, PayloadSchema};
pub use publish::Publish;
pub use reject::{DeadLetterHeaders, Reject, RejectAction};
pub use route::Route;
pub use secret::Secret;
pub use source::{Path, Segment, Source};
pub use time::TimeUnit;
pub use value::{As, BigNumbers, Constant, DecimalTo, Expr, Missing, Part, Typed};
pub use write::{
    Action, Each, InDoubt, Mode, Name, Newer, OnConflict, Operation, OperationKind, Tombstone, Ttl, TtlOn, TtlPast,
    Write,
};

/// A whole configuration without faults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Limits and deadlines.
    pub run: Run,
    /// Which topics are read.
    pub kafka: Kafka,
    /// The database that records are written to.
    pub aerospike: Aerospike,
    /// In file order. There is at least one, and every configured topic belongs to at least one. Empty if the rules are
    /// code ([`crate::config::load_settings`]).
    pub routes: Vec<Route>,
    /// What happens to a message that cannot be written.
    pub reject: Reject,
    /// How the log is written.
    pub log: Log,
    /// Where the endpoints listen; `None`: nowhere.
    pub http: Option<Http>,
}

impl Config {
    /// The topics that it produces to, for publishing and dead letters. Each only once.
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
