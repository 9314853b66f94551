//! What other threads can see of a worker while it runs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use crate::kafka::letters::bound::LettersFrom;

/// A partition that waits until a person acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Place, reason and cure.
    pub why: String,
    pub since: Instant,
}

/// What other threads can see of a worker while it runs.
#[derive(Debug)]
pub struct Progress {
    /// The first offset that is not finished; -1: not known yet.
    next: AtomicI64,
    /// Why the partition is held; set at most once.
    held: OnceLock<Held>,
    commit_failed: AtomicBool,
    /// A commit was refused because of its leader epoch.
    epoch_refused: AtomicBool,
    /// The end of the log, as the worker asked for it during a wait; -1: not asked.
    end: AtomicI64,
    /// Messages taken so far.
    taken: AtomicU64,
    /// The offset after the last taken message; -1: none was taken.
    taken_to: AtomicI64,
    /// Some of the taken messages are neither finished nor given back.
    in_hand: AtomicBool,
    /// Where another worker must start; -1: nowhere.
    again: AtomicI64,
    /// The worker knows which topic it reads.
    begun: AtomicBool,
    /// A commit was refused because of its metadata.
    metadata_refused: AtomicBool,
    /// Set when the worker ends, if it has got that far.
    letters: Mutex<Option<LeftLetters>>,
}

/// From where on the letters of messages are, as a worker leaves it.
#[derive(Debug)]
struct LeftLetters {
    /// Of the messages from `next` on.
    next: Option<i64>,
    from: Vec<LettersFrom>,
    /// Of all messages that the worker was given.
    at_start: Vec<LettersFrom>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            next: AtomicI64::new(-1),
            held: OnceLock::new(),
            commit_failed: AtomicBool::new(false),
            epoch_refused: AtomicBool::new(false),
            end: AtomicI64::new(-1),
            taken: AtomicU64::new(0),
            taken_to: AtomicI64::new(-1),
            in_hand: AtomicBool::new(false),
            again: AtomicI64::new(-1),
            begun: AtomicBool::new(false),
            metadata_refused: AtomicBool::new(false),
            letters: Mutex::default(),
        }
    }
}

impl Progress {
    pub fn set_next(&self, next: i64) {
        self.next.store(next, Relaxed);
    }

    /// The worker knows which topic it reads, and starts reading.
    pub fn set_begun(&self) {
        self.begun.store(true, Relaxed);
    }

    /// The partition is held. `why`: place, reason and cure, as in the log line.
    pub fn set_held(&self, why: String) {
        let since = Instant::now();
        let _ = self.held.set(Held { why, since });
    }

    pub fn is_held(&self) -> bool {
        self.held.get().is_some()
    }

    /// Why and since when the partition is held.
    pub fn held(&self) -> Option<&Held> {
        self.held.get()
    }

    /// The worker knows which topic it reads.
    pub fn is_begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    /// Messages taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Some messages are neither finished nor given back.
    pub fn is_in_hand(&self) -> bool {
        self.in_hand.load(Relaxed)
    }

    /// The last taken message has the offset before `next`.
    pub fn took_to(&self, next: i64) {
        self.taken_to.store(next, Relaxed);
    }

    /// Some taken message is not finished. A message that waits for Kafka's acknowledgement is not finished.
    pub fn is_behind(&self) -> bool {
        self.next.load(Relaxed) < self.taken_to.load(Relaxed)
    }

    /// The end of the log, if the worker asked for it during a wait; else -1.
    pub fn end(&self) -> i64 {
        self.end.load(Relaxed)
    }

    /// An asynchronous commit has failed.
    pub fn set_commit_failed(&self) {
        self.commit_failed.store(true, Relaxed);
    }

    pub fn set_end(&self, end: i64) {
        self.end.store(end, Relaxed);
    }

    /// Notes that the worker has taken `messages` more messages.
    pub fn took(&self, messages: u64) {
        self.taken.fetch_add(messages, Relaxed);
        if messages > 0 {
            self.in_hand.store(true, Relaxed);
        }
    }

    pub fn nothing_in_hand(&self) {
        self.in_hand.store(false, Relaxed);
    }

    /// Whether an asynchronous commit has failed since the last call.
    pub fn take_commit_failed(&self) -> bool {
        self.commit_failed.swap(false, Relaxed)
    }

    /// A commit was refused because of its leader epoch.
    pub fn set_epoch_refused(&self) {
        self.epoch_refused.store(true, Relaxed);
    }

    pub fn is_epoch_refused(&self) -> bool {
        self.epoch_refused.load(Relaxed)
    }

    /// A commit was refused because of its metadata.
    pub fn set_metadata_refused(&self) {
        self.metadata_refused.store(true, Relaxed);
    }

    pub fn is_metadata_refused(&self) -> bool {
        self.metadata_refused.load(Relaxed)
    }

    /// The worker ends. `from`: from where on the letters of the messages from `next` on are. `at_start`: the same for
    /// all messages that it was given.
    pub fn set_letters(&self, next: Option<i64>, from: Vec<LettersFrom>, at_start: Vec<LettersFrom>) {
        *self.letters.lock() = Some(LeftLetters { next, from, at_start });
    }

    /// From where on the letters of the messages from `offset` on are, after the worker has ended. (Without `offset`:
    /// from the oldest message on.) `None`: the worker did not find out.
    pub fn letters_from(&self, offset: Option<i64>) -> Option<Vec<LettersFrom>> {
        let left = self.letters.lock();
        let left = left.as_ref()?;
        Some(match (offset, left.next) {
            (Some(offset), Some(next)) if offset >= next => left.from.clone(),
            _ => left.at_start.clone(),
        })
    }

    /// The worker ends, and another one must start at `offset`.
    pub fn set_again(&self, offset: i64) {
        self.again.store(offset, Relaxed);
    }

    pub fn next(&self) -> Option<i64> {
        Some(self.next.load(Relaxed)).filter(|next| *next >= 0)
    }

    pub fn again(&self) -> Option<i64> {
        Some(self.again.load(Relaxed)).filter(|offset| *offset >= 0)
    }
}
