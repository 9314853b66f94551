//! `[[route.publish]]`: produces a message to another topic for a message of the route.

use crate::config::model::cel::When;
use crate::config::model::value::Typed;
use crate::config::model::write::Tombstone;

/// One `[[route.publish]]`: produces a message to another topic for a message of the route.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// Not one of `kafka.topics`.
    pub topic: String,
    /// If it does not hold, nothing is produced.
    pub when: Option<When>,
    /// `None`: the key of the route's message, unchanged, even if it has none. If the value is missing or null, the
    /// message is rejected; with `missing = "skip"` nothing is produced.
    pub key: Option<Typed>,
    /// The headers of the route's message are copied to the front.
    pub forward_headers: bool,
    /// Names and values in file order. A missing value leaves the header out; null gives a header without a value.
    pub headers: Vec<(String, Typed)>,
    /// `None`: the payload of the route's message, unchanged. Otherwise the JSON text of this value. If it is missing,
    /// the message is rejected; with `missing = "skip"` nothing is produced.
    pub payload: Option<Typed>,
    /// What to do with a message without payload. `Delete`: it is produced without payload.
    pub tombstone: Tombstone,
}
