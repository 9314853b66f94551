//! One call: rows to all nodes that have them, and each row's answer.

use std::time::Instant;

use super::partitions::Map;
use crate::delivery::plan::OutgoingRow;
use crate::delivery::write::Answer;

/// What one worker needs for its calls: buffers, and a connection to each node. Lives as long as the worker.
#[derive(Debug, Default)]
pub struct Caller {}

/// What a call did.
#[derive(Debug, Default)]
pub struct Called {
    /// One per row, in the order of the rows.
    pub answers: Vec<Answer>,
    /// A row failed in a way that a newer map may cure.
    pub is_map_doubtful: bool,
}

impl Caller {
    /// Makes one call. Returns before `deadline`, or very soon after it.
    pub fn call(&mut self, map: &Map, rows: &[OutgoingRow<'_>], deadline: Instant) -> Called {
        let _ = (map, rows, deadline);
        Called::default()
    }
}
