//! What a message of a batch asks to be produced: the form in which `map` hands it to `publish`.
//!
//! Made and read on the partition's own thread; pure data, which borrows from the batch. What becomes of it is
//! `publish`'s.

use std::borrow::Cow;

/// One message that a message of the batch asks to be produced.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication<'m> {
    /// The message's place in the batch.
    pub message: usize,
    /// The topic to be produced to.
    pub topic: &'m str,
    /// Chooses the partition, and with it the order; `None`: the producer chooses a partition.
    pub key: Option<Cow<'m, [u8]>>,
    /// `None`: a tombstone.
    pub payload: Option<Cow<'m, [u8]>>,
    /// In their order; a name may stand more than once.
    pub headers: Vec<(Cow<'m, str>, Option<Cow<'m, [u8]>>)>,
    /// Milliseconds since the epoch; `None`: the time at which it is produced.
    pub timestamp_ms: Option<i64>,
}
