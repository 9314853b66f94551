//! One call that publishes everything through an outbox, for tests that check nothing in between. Compiled with the
//! unit tests of the outbox and with the tests of the producer; the including file must have the names.

use super::{Outbox, Publication, PublishCalls, PublishEnd};

/// How publishing ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    pub end: PublishEnd,
    /// Number of messages from the front that are certainly stored.
    pub done: usize,
    /// Number of messages that were sent again.
    pub resent: u64,
}

/// Pushes all, waits for all, and closes the outbox if not all could be stored. A message's number is its offset.
pub fn publish(publications: &[Publication<'_>], calls: &PublishCalls<'_>) -> Published {
    let mut outbox = Outbox::new(calls.stop);
    for publication in publications {
        outbox.push(i64::try_from(publication.message).unwrap(), publication);
    }
    let end = outbox.settle(outbox.pushed(), calls);
    if end != PublishEnd::Finished {
        outbox.leave(calls);
    }
    Published {
        end,
        done: usize::try_from(outbox.stored_below()).unwrap(),
        resent: outbox.take_resent(),
    }
}
