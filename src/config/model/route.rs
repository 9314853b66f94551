//! `[[route]]`: which messages it is for, and what it does with them.

use crate::config::model::cel::{Cel, When};
use crate::config::model::payload_schema::PayloadSchema;
use crate::config::model::publish::Publish;
use crate::config::model::source::Path;
use crate::config::model::write::Write;

/// One `[[route]]`.
#[derive(Debug, Clone)]
pub struct Route {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// The topics that it is for; never empty.
    pub topics: Vec<String>,
    /// Where bare paths start. Empty: at the top of the message. It is already in front of every path of the route's
    /// writes, with the steps into strings that hold JSON.
    pub root: Path,
    /// If it does not hold, the route does nothing with the message.
    pub when: Option<When>,
    /// What the payloads that `when` lets through must satisfy. Otherwise the message is rejected.
    pub payload_schema: Option<PayloadSchema>,
    /// Each must hold for the messages that `when` lets through. Otherwise the message is rejected.
    pub require: Vec<Cel>,
    /// In file order.
    pub writes: Vec<Write>,
    /// In file order. If it is empty, `writes` is not.
    pub publishes: Vec<Publish>,
}
