//! What a message of a batch asks to be produced: the form in which `map` hands it to `publish`.
//!
//! Made and read on the partition's own thread; pure data, which borrows from the batch until it is pushed into the worker's
//! outbox. What becomes of it is `publish`'s.

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
}

/// A message that waits to be produced or for its delivery report, when the batch may be gone: it borrows from nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// See [`Publication::key`].
    pub key: Option<Vec<u8>>,
    /// `None`: a tombstone.
    pub payload: Option<Vec<u8>>,
    /// In their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since the epoch; `None`: the time at which it is produced.
    pub timestamp_ms: Option<i64>,
}

impl Outgoing {
    /// What it weighs: key, payload and headers, in bytes.
    pub fn bytes(&self) -> u64 {
        let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + of(value)).sum();
        (of(&self.key) + of(&self.payload) + headers) as u64
    }
}

impl From<Publication<'_>> for Outgoing {
    /// Copies what is borrowed.
    fn from(publication: Publication<'_>) -> Self {
        let headers = publication.headers.into_iter();
        Outgoing {
            key: publication.key.map(Cow::into_owned),
            payload: publication.payload.map(Cow::into_owned),
            headers: headers
                .map(|(name, value)| (name.into_owned(), value.map(Cow::into_owned)))
                .collect(),
            timestamp_ms: publication.timestamp_ms,
        }
    }
}
