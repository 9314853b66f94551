//! The id of a topic, in the form of the protocol and of Kafka's tools.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The id that Kafka gave a topic when it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// Stands for the id where a broker gives no ids.
    pub const NONE: TopicId = TopicId([0; 16]);

    pub const fn new(bytes: [u8; 16]) -> Self {
        TopicId(bytes)
    }

    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Parses what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(TopicId(bytes.try_into().ok()?))
    }

    pub(in crate::kafka) fn from_halves(most: i64, least: i64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&most.to_be_bytes());
        bytes[8..].copy_from_slice(&least.to_be_bytes());
        TopicId(bytes)
    }
}

/// The form that Kafka's own tools print: base64url of the 16 bytes, without padding.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_kafka_writes_it_and_read_again() {
        // org.apache.kafka.common.Uuid: ONE_UUID, METADATA_TOPIC_ID, and one with both special characters of base64url.
        for (most, least, text) in [
            (0, 0, "AAAAAAAAAAAAAAAAAAAAAA"),
            (0, 1, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (-1, -2, "_____________________g"),
            (-288_230_376_151_711_744, 0, "_AAAAAAAAAAAAAAAAAAAAA"),
            (0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10, "AQIDBAUGBwgJCgsMDQ4PEA"),
        ] {
            let id = TopicId::from_halves(most, least);
            assert_eq!(id.to_string(), text);
            assert_eq!(TopicId::parse(text), Some(id));
        }
        assert!(TopicId::from_halves(0, 0).is_none());
    }

    #[test]
    fn what_is_no_id_is_not_read_as_one() {
        for text in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA+/",
        ] {
            assert_eq!(TopicId::parse(text), None, "{text}");
        }
    }
}
