//! A message that a message of the batch asks to produce: `map` makes it, `publish` takes it.
//!
//! It is created and read on the partition's own thread. It is pure data and borrows from the batch until it is pushed
//! into the worker's outbox. `publish` decides what happens to it.

use std::borrow::Cow;

/// A header: its name, and its value if it has one.
pub type Header<'m> = (Cow<'m, str>, Option<Cow<'m, [u8]>>);

/// A message to produce, made from one message of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication<'m> {
    /// The source message's place in the batch.
    pub message: usize,
    /// The topic to produce to.
    pub topic: &'m str,
    /// Determines the partition, and so the order. `None`: the producer chooses a partition.
    pub key: Option<Cow<'m, [u8]>>,
    /// `None`: a tombstone.
    pub payload: Option<Cow<'m, [u8]>>,
    /// In order. A name may occur more than once.
    pub headers: Vec<Header<'m>>,
    /// Milliseconds since the epoch. `None`: the time when it is produced.
    pub timestamp_ms: Option<i64>,
}

impl Publication<'_> {
    /// Its size: key, payload and headers, in bytes.
    pub fn bytes(&self) -> u64 {
        let of = |bytes: &Option<Cow<'_, [u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + of(value)).sum();
        (of(&self.key) + of(&self.payload) + headers) as u64
    }
}

/// A message that waits to be produced or for its delivery report, possibly after the end of its batch. So it owns its
/// bytes, in few allocations. (Thousands of small allocations that outlive their batch fragment the heap and slow down
/// all other allocations: measured, `docs/benchmarks/README.md`.)
#[derive(Debug, Clone, PartialEq)]
pub struct OutgoingMessage {
    /// The key, the payload, and each header's value, one after another.
    bytes: Vec<u8>,
    /// The headers' names, one after another.
    names: String,
    /// The length of each part in bytes.
    key: Option<usize>,
    payload: Option<usize>,
    headers: Vec<(usize, Option<usize>)>,
    timestamp_ms: Option<i64>,
}

impl OutgoingMessage {
    /// Its size: key, payload and headers, in bytes.
    pub fn weight(&self) -> u64 {
        (self.bytes.len() + self.names.len()) as u64
    }

    /// See [`Publication::key`].
    pub fn key(&self) -> Option<&[u8]> {
        self.key.map(|length| &self.bytes[..length])
    }

    /// `None`: a tombstone.
    pub fn payload(&self) -> Option<&[u8]> {
        let begin = self.key.unwrap_or_default();
        self.payload.map(|length| &self.bytes[begin..begin + length])
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, Option<&[u8]>)> {
        let mut name_begin = 0;
        let mut begin = self.key.unwrap_or_default() + self.payload.unwrap_or_default();
        self.headers.iter().map(move |(name, value)| {
            let (name_end, end) = (name_begin + name, begin + value.unwrap_or_default());
            let header = (
                &self.names[name_begin..name_end],
                value.map(|_| &self.bytes[begin..end]),
            );
            (name_begin, begin) = (name_end, end);
            header
        })
    }

    /// Milliseconds since the epoch. `None`: the time when it is produced.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }
}

impl From<&Publication<'_>> for OutgoingMessage {
    fn from(publication: &Publication<'_>) -> Self {
        let names: usize = publication.headers.iter().map(|(name, _)| name.len()).sum();
        let length = usize::try_from(publication.bytes()).unwrap_or_default() - names;
        let (mut bytes, mut names) = (Vec::with_capacity(length), String::with_capacity(names));
        let mut put = |part: &Option<Cow<'_, [u8]>>| {
            let part = part.as_deref()?;
            bytes.extend_from_slice(part);
            Some(part.len())
        };
        let (key, payload) = (put(&publication.key), put(&publication.payload));
        let mut headers = Vec::with_capacity(publication.headers.len());
        for (name, value) in &publication.headers {
            names.push_str(name);
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
            headers.push((name.len(), value.as_ref().map(|value| value.len())));
        }
        OutgoingMessage {
            bytes,
            names,
            key,
            payload,
            headers,
            timestamp_ms: publication.timestamp_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_is_what_was_asked_for() {
        let header = |name: &'static str, value: Option<&'static [u8]>| (Cow::Borrowed(name), value.map(Cow::Borrowed));
        let bytes = |bytes: &'static [u8]| Some(Cow::Borrowed(bytes));
        for (key, payload, headers) in [
            (None, None, vec![]),
            (bytes(b""), bytes(b""), vec![header("", Some(b"")), header("", None)]),
            (
                bytes(b"key"),
                None,
                vec![
                    header("a", Some(b"\xff\x00")),
                    header("a", None),
                    header("\u{e4}", Some(b"1")),
                ],
            ),
            (None, bytes(b"payload"), vec![header("h", Some(b"value"))]),
        ] {
            let publication = Publication {
                message: 0,
                topic: "t",
                key: key.clone(),
                payload: payload.clone(),
                headers: headers.clone(),
                timestamp_ms: Some(7),
            };
            let outgoing = OutgoingMessage::from(&publication);
            assert_eq!(outgoing.weight(), publication.bytes());
            assert_eq!(
                (outgoing.key(), outgoing.payload()),
                (key.as_deref(), payload.as_deref())
            );
            assert_eq!(outgoing.timestamp_ms(), Some(7));
            let found: Vec<_> = outgoing.headers().collect();
            let expected: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_deref()))
                .collect();
            assert_eq!(found, expected);
        }
    }
}
