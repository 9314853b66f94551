//! The guard: what a record itself knows of the messages that it has taken.
//!
//! Kafka redelivers; a repeated `add` counts twice; a former owner of the partition wakes up and writes old values. A
//! guarded row therefore carries a bin of its partition's own, and a condition that the server checks in the same
//! atomic step: the bin is not an integer (or not there), or less than the *first* mark in the row. The row stores
//! the *last*. 27 then means: at least the first is applied.
//!
//! A stored format, read by later versions: the bin's name is `~` and the first 14 characters of the base64url form of
//! RIPEMD-160 over `penstock-guard-1` and the fields below, each with its length in front; its value is
//! offset × 65,536 + the row's place among the rows of its message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ripemd::{Digest as _, Ripemd160};

/// The version of the format, part of every name: another format has other bins.
const FORMAT: &str = "penstock-guard-1";
/// Characters behind the `~`: with it, the longest name that a bin can have.
const NAME_CHARACTERS: usize = 14;
/// Rows of one message that are told apart.
const ROWS: i64 = 1 << 16;

/// The first offset that no mark can hold: 140 million million messages in one partition.
pub const OFFSET_END: i64 = i64::MAX / ROWS;

/// Whose messages a guard counts. Two services, two topics, a topic deleted and created again, a deliberate re-run:
/// different guards, or they would refuse each other's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardIdentity<'a> {
    /// The consumer group.
    pub group: &'a str,
    /// Kafka's id of the topic: a topic of the same name, made anew, has another.
    pub topic_id: [u8; 16],
    /// The topic's name; only where the broker gives no id does it stand for it.
    pub topic: &'a str,
    pub partition: i32,
    /// `run.guard_epoch`.
    pub epoch: u32,
}

/// The guard of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    bin: String,
}

impl Guard {
    pub fn new(identity: &GuardIdentity<'_>) -> Guard {
        let mut hash = Ripemd160::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(FORMAT.as_bytes());
        field(identity.group.as_bytes());
        field(&identity.topic_id);
        // A topic that has an id may not be renamed, but the name adds nothing to it.
        let name = if identity.topic_id == [0; 16] {
            identity.topic
        } else {
            ""
        };
        field(name.as_bytes());
        field(&identity.partition.to_be_bytes());
        field(&identity.epoch.to_be_bytes());
        let mut bin = String::from("~");
        bin.push_str(&URL_SAFE_NO_PAD.encode(hash.finalize()));
        bin.truncate(1 + NAME_CHARACTERS);
        Guard { bin }
    }

    /// The bin's name: 15 bytes.
    pub fn bin(&self) -> &str {
        &self.bin
    }
}

/// What a guard stores of one row: greater for every later row of the partition. `None` for an offset from
/// [`OFFSET_END`] on.
pub fn mark(offset: i64, number: u16) -> Option<i64> {
    (0..OFFSET_END)
        .contains(&offset)
        .then(|| offset * ROWS + i64::from(number))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::names::is_of_guard;

    const IDENTITY: GuardIdentity<'static> = GuardIdentity {
        group: "penstock",
        topic_id: [7; 16],
        topic: "events",
        partition: 3,
        epoch: 0,
    };

    /// Stored in records: it may never change.
    #[test]
    fn the_name_of_a_guard_is_a_stored_format() {
        assert_eq!(Guard::new(&IDENTITY).bin(), "~GovjZ0RuTKcRts");
        assert!(is_of_guard(Guard::new(&IDENTITY).bin()));
    }

    #[test]
    fn whoever_counts_other_messages_has_another_guard() {
        let identities = [
            IDENTITY,
            GuardIdentity {
                group: "penstock2",
                ..IDENTITY
            },
            GuardIdentity {
                topic_id: [8; 16],
                ..IDENTITY
            },
            GuardIdentity {
                partition: 4,
                ..IDENTITY
            },
            GuardIdentity { epoch: 1, ..IDENTITY },
            GuardIdentity {
                topic_id: [0; 16],
                ..IDENTITY
            },
            GuardIdentity {
                topic_id: [0; 16],
                topic: "orders",
                ..IDENTITY
            },
        ];
        let names: HashSet<String> = identities.iter().map(|i| Guard::new(i).bin().to_owned()).collect();
        assert_eq!(names.len(), identities.len());
        // A topic with an id is known by it, whatever it is called.
        let renamed = GuardIdentity {
            topic: "other",
            ..IDENTITY
        };
        assert_eq!(Guard::new(&renamed), Guard::new(&IDENTITY));
    }

    #[test]
    fn marks_grow_with_the_offset_and_within_a_message() {
        let marks = [
            mark(0, 0),
            mark(0, 1),
            mark(0, u16::MAX),
            mark(1, 0),
            mark(OFFSET_END - 1, u16::MAX),
        ];
        assert!(marks.iter().all(Option::is_some));
        assert!(marks.is_sorted_by(|a, b| a < b));
        assert_eq!(mark(2, 5), Some(131_077));
        assert_eq!(mark(OFFSET_END, 0), None);
        assert_eq!(mark(-1, 0), None);
    }

    #[test]
    fn only_names_of_guards_are_reserved() {
        assert!(is_of_guard("~abcdefghij-_12"));
        for free in ["~abcdefghij", "abcdefghijklmno", "~abcdefghij 123", "~", ""] {
            assert!(!is_of_guard(free), "{free}");
        }
    }
}
