//! A letter of a batch, copied from the consumer, with what it takes in memory.

use crate::message::Message;
use crate::replay::index::Place;

/// A letter, copied from the consumer.
pub(super) struct Owned {
    pub place: Place,
    topic: String,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What a header takes, beside its text: in the letter, in the view of it, in the message of it, and (if it fails again)
/// in the letter that waits to be sent. Two small allocations take 32 bytes.
const HEADER_BYTES: usize = size_of::<(String, Option<Vec<u8>>)>()
    + 2 * size_of::<(&str, Option<&[u8]>)>()
    + size_of::<(usize, Option<usize>)>()
    + 32;

impl Owned {
    pub fn of(message: &Message<'_>) -> Owned {
        let headers = message.headers.iter();
        Owned {
            place: Place::of(message),
            topic: message.topic.to_owned(),
            timestamp_ms: message.timestamp_ms,
            key: message.key.map(<[u8]>::to_vec),
            payload: message.payload.map(<[u8]>::to_vec),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    /// What it takes in memory, with what its batch makes of it. Most of it are the headers where these are many.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| HEADER_BYTES + name.len() + value.as_ref().map_or(0, Vec::len))
            .sum();
        headers + self.key.as_ref().map_or(0, Vec::len) + self.payload.as_ref().map_or(0, Vec::len)
    }

    pub fn view(&self) -> Message<'_> {
        let headers = self.headers.iter();
        Message {
            topic: &self.topic,
            partition: self.place.partition,
            offset: self.place.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: headers.map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small headers are mostly what is around them: 60 letters of 90,000 such headers took 200 MiB.
    #[test]
    fn a_letter_of_many_small_headers_is_heavy() {
        let headers: Vec<(&str, Option<&[u8]>)> = vec![("h", None); 90_000];
        let letter = Owned::of(&Message {
            topic: "dead",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            payload: None,
            headers,
        });
        assert!(letter.bytes() > 90_000 * 140, "{}", letter.bytes());
    }
}
