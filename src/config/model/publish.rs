//! `[[route.publish]]`: a message of the route is produced to another topic.

use crate::config::model::cel::When;
use crate::config::model::value::Typed;
use crate::config::model::write::Tombstone;

/// One `[[route.publish]]`: a message of the route is produced to another topic.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// None of `kafka.topics`.
    pub topic: String,
    /// Where it does not hold, nothing is produced.
    pub when: Option<When>,
    /// `None`: the message's own, as it came, which may be none. Missing or null rejects; with `missing = "skip"` nothing
    /// is produced.
    pub key: Option<Typed>,
    /// The message's own headers go along, in front.
    pub forward_headers: bool,
    /// By name, in the order of the file. One that is missing is left out; null is a header without a value.
    pub headers: Vec<(String, Typed)>,
    /// `None`: as it came. Otherwise the JSON text of this value; missing rejects, or with `missing = "skip"` nothing is
    /// produced.
    pub payload: Option<Typed>,
    /// What a message without payload does here; `Delete`: it is produced as one.
    pub tombstone: Tombstone,
}
