//! `[reject]`: what becomes of a message that is rejected.

/// `[reject]`: what becomes of a message that is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// What is done.
    pub action: RejectAction,
    /// The service stops where more than this part of the last `percent_of` messages is rejected, in percent; `None`: no
    /// such limit.
    pub percent_max: Option<u32>,
    /// Messages of all partitions together, the last ones.
    pub percent_of: u32,
    /// The service stops where more messages than this are rejected one after another in one partition; `None`: no such
    /// limit.
    pub consecutive_max: Option<u32>,
}

/// `reject.action`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectAction {
    /// The partition waits, uncommitted; the others go on.
    Hold,
    /// The service stops; nothing is committed past the message.
    Stop,
    /// It is counted, told, and left out.
    Drop,
    /// It is produced to another topic, and acknowledged there before its offset moves.
    DeadLetter {
        /// None of `kafka.topics`.
        topic: String,
        /// What the headers that say why are called.
        headers: DeadLetterHeaders,
    },
}

/// `reject.headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterHeaders {
    /// `penstock.reason` and its kin.
    Penstock,
    /// Those of Kafka Connect where it has one (`__connect.errors.topic`), ours for the rest.
    Connect,
}
