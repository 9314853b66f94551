//! The ledger of a replay: a map in a record, with an entry for each row of a dead letter that was replayed.
//!
//! A guard is a high-water mark. Once a later message has written the record, it takes an older letter for applied. So
//! a replayed row has an identity of its own: it enters its message's place into the ledger, in the same atomic step as
//! its operations. The entry must be new. If it is there already, the server answers 24 (the element exists) and
//! applies nothing of the row: the row is done. This holds in any order of letters, for two replays at once, and after
//! an answer that was lost.
//!
//! This is a stored format, and later versions read it. The bin's name is that of a guard
//! ([`mod@crate::delivery::guard`]) with another format word. It holds a map that is ordered by its keys. A key is
//! offset × 65,536 + the row's number among the rows of its message on this record. Its value is the time of the replay
//! in seconds since the epoch. `docs/architecture/replay.md` says when an entry may be forgotten, and why all this is
//! exact.

use crate::delivery::guard::{GuardIdentity, bin_name};

/// The version of the format.
const FORMAT: &str = "penstock-replay-1";

/// The ledger of the messages of one partition, and what a run writes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    bin: String,
    /// The value of new entries: the time of the run, in seconds since the epoch. Never negative.
    pub(crate) time: i64,
    /// Entries with a smaller value are removed: no letter that they stand for is left.
    pub(crate) forget_below: i64,
}

impl Ledger {
    pub fn new(identity: &GuardIdentity<'_>, time: i64, forget_below: i64) -> Ledger {
        Ledger {
            bin: bin_name(FORMAT, identity),
            time: time.max(0),
            forget_below,
        }
    }

    /// The bin's name: 15 bytes.
    pub fn bin(&self) -> &str {
        &self.bin
    }

    /// Whether an entry of some value can be forgotten at all.
    pub(super) fn forgets(&self) -> bool {
        self.forget_below > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::names::is_of_guard;
    use crate::delivery::guard::Guard;

    /// The name is stored in records: it may never change.
    #[test]
    fn the_name_of_a_ledger_is_a_stored_format() {
        let identity = GuardIdentity {
            group: "penstock",
            topic_id: [7; 16],
            topic: "events",
            partition: 3,
            epoch: 0,
        };
        let ledger = Ledger::new(&identity, 5, 1);
        assert_eq!(ledger.bin(), "~zUw3aIJRTrnZqN");
        assert!(is_of_guard(ledger.bin()));
        assert_ne!(ledger.bin(), Guard::new(&identity).bin());
    }
}
