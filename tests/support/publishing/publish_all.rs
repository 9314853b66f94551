//! One call around an outbox, for tests that look at nothing between. Compiled with the unit tests of the outbox and with the
//! tests of the producer; whoever includes it has the names.

use super::{Outbox, Publication, PublishCalls, PublishEnd};

/// How publishing ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    pub end: PublishEnd,
    /// So many from the front are stored for certain.
    pub done: usize,
    /// Messages that were sent once more.
    pub resent: u64,
}

/// Pushes all, waits for all, and leaves where that is not to be. A message's number is its offset.
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
