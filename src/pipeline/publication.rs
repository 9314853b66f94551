//! What a message of a batch asks to be produced: the form in which `map` hands it to `publish`.
//!
//! Made and read on the partition's own thread; pure data, which borrows from the batch. What becomes of it is
//! `publish`'s.

use std::borrow::Cow;

/// A header's name, and its value, if it has one.
pub type Header<'m> = (Cow<'m, str>, Option<Cow<'m, [u8]>>);

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
    pub headers: Vec<Header<'m>>,
    /// Milliseconds since the epoch; `None`: the time at which it is produced.
    pub timestamp_ms: Option<i64>,
}

impl Publication<'_> {
    /// What it weighs: key, payload and headers, in bytes.
    pub fn bytes(&self) -> u64 {
        let of = |bytes: &Option<Cow<'_, [u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + of(value)).sum();
        (of(&self.key) + of(&self.payload) + headers) as u64
    }

    /// About what of it is not borrowed, in bytes.
    pub fn owned_bytes(&self) -> usize {
        const PUBLICATION: usize = 128;
        const HEADER: usize = 64;
        let of = |bytes: &Option<Cow<'_, [u8]>>| match bytes {
            Some(Cow::Owned(bytes)) => bytes.len(),
            _ => 0,
        };
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(name, value)| HEADER + name.len() + of(value)).sum();
        PUBLICATION + of(&self.key) + of(&self.payload) + headers
    }
}
