//! The guard: a bin in which a record stores how far a partition's messages are applied to it.
//!
//! Kafka redelivers messages, and a repeated `add` counts twice. A former owner of the partition can wake up and write
//! old values. So a guarded row writes a bin that belongs to its partition, and carries a condition that the server
//! checks in the same atomic step. The condition holds if the bin is missing, is not an integer, or is less than the
//! *first* sequence number in the row. The row stores the *last* one. So result code 27 means that at least the first
//! is already applied.
//!
//! This is a stored format, and later versions read it. The bin's name is `~` and the first 14 characters of the
//! base64url form of RIPEMD-160 over `penstock-guard-1` and the fields below, each preceded by its length. The value is
//! offset × 65,536 + the row's number among the rows of its message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ripemd::{Digest as _, Ripemd160};

/// The version of the format. It is part of every name, so another format uses other bins.
const FORMAT: &str = "penstock-guard-1";
/// Characters after the `~`. Together they are the longest name that a bin can have.
const NAME_CHARACTERS: usize = 14;
/// Number of rows of one message that a sequence number can tell apart.
const ROWS: i64 = 1 << 16;

/// The first offset that does not fit a sequence number: about 140 million million messages in one partition.
pub const OFFSET_END: i64 = i64::MAX / ROWS;

/// Whose messages a guard counts. Another service, another topic, a topic that was deleted and created again, or a
/// deliberate re-run each need a guard of their own. With a shared guard they would refuse each other's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardIdentity<'a> {
    /// The consumer group.
    pub group: &'a str,
    /// Kafka's id of the topic. A topic that is created again under the same name has another id.
    pub topic_id: [u8; 16],
    /// The topic's name. It is used only if the broker gives no id.
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
        Guard {
            bin: bin_name(FORMAT, identity),
        }
    }

    /// The bin's name: 15 bytes.
    pub fn bin(&self) -> &str {
        &self.bin
    }
}

/// The name of a bin that belongs to one partition. `format` tells its kind and version apart from others.
pub(super) fn bin_name(format: &str, identity: &GuardIdentity<'_>) -> String {
    let mut hash = Ripemd160::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    field(format.as_bytes());
    field(identity.group.as_bytes());
    field(&identity.topic_id);
    // The name adds nothing when there is an id, and an id survives a rename.
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
    bin
}

/// What a guard stores for one row. It is greater for every later row of the partition. `None` for an offset from
/// [`OFFSET_END`] on.
pub fn sequence(offset: i64, number: u16) -> Option<i64> {
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

    /// The name is stored in records: it may never change.
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
        // A topic with an id is identified by the id, whatever its name.
        let renamed = GuardIdentity {
            topic: "other",
            ..IDENTITY
        };
        assert_eq!(Guard::new(&renamed), Guard::new(&IDENTITY));
    }

    #[test]
    fn marks_grow_with_the_offset_and_within_a_message() {
        let numbers = [
            sequence(0, 0),
            sequence(0, 1),
            sequence(0, u16::MAX),
            sequence(1, 0),
            sequence(OFFSET_END - 1, u16::MAX),
        ];
        assert!(numbers.iter().all(Option::is_some));
        assert!(numbers.is_sorted_by(|a, b| a < b));
        assert_eq!(sequence(2, 5), Some(131_077));
        assert_eq!(sequence(OFFSET_END, 0), None);
        assert_eq!(sequence(-1, 0), None);
    }

    #[test]
    fn only_names_of_guards_are_reserved() {
        assert!(is_of_guard("~abcdefghij-_12"));
        for free in ["~abcdefghij", "abcdefghijklmno", "~abcdefghij 123", "~", ""] {
            assert!(!is_of_guard(free), "{free}");
        }
    }
}
