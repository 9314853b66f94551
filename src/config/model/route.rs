//! `[[route]]`: which messages it takes, and what it asks for them.

use crate::config::model::cel::{Cel, When};
use crate::config::model::publish::Publish;
use crate::config::model::source::Path;
use crate::config::model::write::Write;

/// One `[[route]]`.
#[derive(Debug, Clone)]
pub struct Route {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// The topics it takes; never empty.
    pub topics: Vec<String>,
    /// Where bare paths start; empty: at the top of the message. Already prepended to every path of its writes.
    pub root: Path,
    /// Where it does not hold, the route asks nothing.
    pub when: Option<When>,
    /// Each must hold for what `when` lets through, or the message is rejected.
    pub require: Vec<Cel>,
    /// In the order of the file.
    pub writes: Vec<Write>,
    /// In the order of the file; where there is none, there is a write.
    pub publishes: Vec<Publish>,
}
