//! Rows as the bytes of one batch request.

use std::time::Duration;

use crate::delivery::plan::OutgoingRow;

/// A batch request for one node, in memory that is used again for the next one.
#[derive(Debug, Default)]
pub struct Frame {
    bytes: Vec<u8>,
}

/// A row does not fit into a request, whatever else is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsendable;

impl Frame {
    /// Begins a request. `timeout`: how long the server may work on it.
    pub fn begin(&mut self, timeout: Duration) {
        let _ = timeout;
        self.bytes.clear();
    }

    /// Adds a row. The server answers with `index`.
    ///
    /// # Errors
    /// See [`Unsendable`]. The frame is as before.
    pub fn row(&mut self, index: u32, row: &OutgoingRow<'_>) -> Result<(), Unsendable> {
        let _ = (index, row);
        Err(Unsendable)
    }

    /// Completes the request.
    pub fn finish(&mut self) -> &[u8] {
        &self.bytes
    }
}
