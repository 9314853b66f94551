//! The topic of dead letters, as the workers need it: where its ends are, and which letters it has from there on.
//!
//! A worker that starts again after a crash gets messages that may have dead letters already. It must not apply them:
//! a replay of the letters does. `docs/architecture/lettered.md` says why, and what this does not cover.

pub mod bound;
pub mod log;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::kafka::Partition;
use crate::kafka::letters::bound::LettersFrom;
use crate::message::Message;
use crate::util::stop::Stop;

/// Why the letters of a partition are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoLetters {
    Stopped,
    /// There is no such topic any more, and no letters.
    Absent,
    /// Kafka does not allow us to read the topic.
    Refused(String),
}

/// What was searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// From where on it was read, with the id of the topic as it is now.
    pub from: LettersFrom,
    /// How many messages were read.
    pub read: u64,
}

/// A search for letters.
#[derive(Clone, Copy)]
pub struct Search<'s> {
    pub from: &'s LettersFrom,
    /// The partition whose worker waits for it. For log lines.
    pub partition: &'s Partition,
    /// When the worker started. The ends of the topic must be from a later answer.
    pub since: Instant,
    pub stop: &'s Stop,
    /// Asked before anything is read: whether the partition has messages that can have letters.
    pub is_needed: &'s dyn Fn() -> bool,
}

/// The topics of dead letters: Kafka, or a test.
pub trait Letters: fmt::Debug + Send + Sync {
    /// All letters that are sent from now on are there. `None`: the configuration names no topic of dead letters, or
    /// the brokers refuse to tell.
    fn known_now(&self) -> Option<Arc<LettersFrom>>;

    /// Asks the brokers for the ends of the topic, unless an answer to a request that began at `since` or later is
    /// there. Blocks for some seconds at most. Without an answer, `known_now` stays as it is.
    fn look(&self, since: Instant, stop: &Stop);

    /// The same, if the last answer is old. Blocks for two and a half seconds at most, where no broker answers, and not
    /// at all while another worker asks.
    fn look_if_old(&self, stop: &Stop);

    /// Reads the topic from `from` to where it ends now, and passes each message to `take`, some of them perhaps twice.
    /// Waits for brokers that do not answer.
    ///
    /// # Errors
    /// See [`NoLetters`].
    fn search(&self, search: Search<'_>, take: &mut dyn FnMut(&Message<'_>)) -> Result<Searched, NoLetters>;
}
