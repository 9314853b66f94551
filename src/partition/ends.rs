//! How a worker, a batch and a commit end.

use crate::message::Rejection;
use crate::util::exit::Exit;

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// Told to, and left in order.
    Stopped,
    /// The partition is another member's: nothing more was committed.
    Lost,
    /// Another worker is to begin elsewhere, as its progress says.
    Again,
    /// The service cannot go on.
    Fatal(Exit),
}

/// How a batch ended.
pub(super) enum BatchEnd {
    Finished,
    /// The message at `offset` is rejected: nothing at or above it is committed until a person acts.
    Held {
        offset: i64,
        rejection: Rejection,
    },
    /// Told to stop before everything was written, or the service cannot go on.
    Broken(Broken),
}

/// How a stage ended, where it did not go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Stopped,
    Fatal(Exit),
}

impl From<Broken> for WorkerEnd {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Stopped => WorkerEnd::Stopped,
            Broken::Fatal(exit) => WorkerEnd::Fatal(exit),
        }
    }
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitEnd {
    NotDue,
    Sent,
    /// The partition was taken away: what we know of it is void.
    Lost,
}
