//! `[reject]`: what happens to rejected messages.

/// `[reject]`: what happens to rejected messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// What to do with a rejected message.
    pub action: RejectAction,
    /// Limit in percent: the service stops if more than this share of the last `percent_of` messages is rejected.
    /// `None`: no such limit.
    pub percent_max: Option<u32>,
    /// Number of messages, over all partitions, that `percent_max` looks back.
    pub percent_of: u32,
    /// The service stops after more than this number of consecutive rejections in one partition. `None`: no such limit.
    pub consecutive_max: Option<u32>,
}

/// `reject.action`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectAction {
    /// The partition waits at the message, which is not committed. The others continue.
    Hold,
    /// The service stops. Nothing behind the message is committed.
    Stop,
    /// It is counted, logged, and skipped.
    Drop,
    /// It is produced to another topic. Its offset is committed after that topic has acknowledged it.
    DeadLetter {
        /// Not one of `kafka.topics`.
        topic: String,
        /// The names of the headers that say why.
        headers: DeadLetterHeaders,
    },
}

/// `reject.headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterHeaders {
    /// `penstock.reason` and similar names.
    Penstock,
    /// Kafka Connect's names where it has one (`__connect.errors.topic`), ours for the rest.
    Connect,
}
