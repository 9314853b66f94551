//! How a worker, a batch or a commit ended.

use crate::message::Rejection;
use crate::util::exit::Exit;

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was told to stop, and has done so in order.
    Stopped,
    /// The partition belongs to another member. Nothing more was committed.
    Lost,
    /// Another worker must start at another offset, which is in `Progress`.
    Again,
    /// The service cannot continue.
    Fatal(Exit),
}

/// How a batch ended.
pub(super) enum BatchEnd {
    Finished,
    /// The message at `offset` is rejected. No offset at or above it is committed until a person acts.
    Held {
        offset: i64,
        rejection: Rejection,
    },
    /// It was told to stop before everything was written, or the service cannot continue.
    Broken(Broken),
}

/// Why a stage did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Stopped,
    /// The partition was taken away.
    Lost,
    Fatal(Exit),
}

impl From<Broken> for WorkerEnd {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Stopped => WorkerEnd::Stopped,
            Broken::Lost => WorkerEnd::Lost,
            Broken::Fatal(exit) => WorkerEnd::Fatal(exit),
        }
    }
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitEnd {
    NotDue,
    Sent,
    /// The partition was taken away. What the worker knows of it is no longer valid.
    Lost,
}
