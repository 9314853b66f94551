//! Limits the memory that a partition's queue holds back, by pausing its fetching.
//!
//! One answer of a broker contains messages of all partitions. A message that waits in a queue keeps the whole answer
//! in memory. So if a partition waits, or is much slower than the others, its queue is dropped: fetching is paused, and
//! resumes behind the last message that was taken. Nothing else pauses a partition: back-pressure is a full queue,
//! which stops its fetches.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use log::{debug, warn};

use crate::kafka::consumer::source::Source;
use crate::partition::progress::Progress;
use crate::partition::shared::Shared;

/// How often the end of the log is asked for while the partition is not fetched.
const END_INTERVAL: Duration = Duration::from_secs(5);

/// Fetching for one partition.
pub(super) struct Fetching<'w, S> {
    shared: &'w Shared,
    source: &'w S,
    is_paused: Cell<bool>,
    /// How many more times a resume is sent again if no message comes.
    resume_again: Cell<u8>,
    /// Payload bytes taken from the queue so far.
    bytes_taken: Cell<u64>,
    /// The two byte counts at the time when the queue was last empty.
    dry: Cell<Stand>,
    progress: &'w Progress,
    /// When a message was last taken, or the end of the log was last asked for.
    looked: Cell<Instant>,
}

/// Payload bytes taken so far: of this partition, and of all partitions.
#[derive(Debug, Clone, Copy)]
struct Stand {
    own: u64,
    all: u64,
}

impl<'w, S: Source> Fetching<'w, S> {
    pub fn new(shared: &'w Shared, source: &'w S, progress: &'w Progress) -> Self {
        Fetching {
            shared,
            source,
            is_paused: Cell::new(false),
            resume_again: Cell::new(0),
            bytes_taken: Cell::new(0),
            dry: Cell::new(Stand {
                own: 0,
                all: shared.sizes.bytes_taken.load(Relaxed),
            }),
            progress,
            looked: Cell::new(Instant::now()),
        }
    }

    /// Adds payload bytes that were taken from the queue.
    pub fn took(&self, bytes: u64) {
        self.bytes_taken.set(self.bytes_taken.get() + bytes);
        self.shared.sizes.bytes_taken.fetch_add(bytes, Relaxed);
        self.looked.set(Instant::now());
        self.progress.set_end(-1);
    }

    /// Asks for the end of the log at intervals. A partition that is not fetched does not get it, so its lag would
    /// appear constant while it grows. Called during long waits; may take half a second ([`Source::log_end`]).
    pub fn look_at_end(&self) {
        if self.looked.get().elapsed() < END_INTERVAL {
            return;
        }
        match self.source.log_end() {
            Ok(end) => self.progress.set_end(end),
            Err(error) => debug!(
                "kafka: cannot read the end of the log {} error=\"{error}\"",
                self.source.partition()
            ),
        }
        self.looked.set(Instant::now());
    }

    /// Notes that the queue is empty. `nothing_came`: it was also empty at the start of the intake.
    pub fn is_dry(&self, nothing_came: bool) {
        self.dry.set(self.stand());
        if nothing_came && self.resume_again.get() > 0 {
            self.resume_again.set(self.resume_again.get() - 1);
            self.send_resume();
        }
    }

    fn stand(&self) -> Stand {
        Stand {
            own: self.bytes_taken.get(),
            all: self.shared.sizes.bytes_taken.load(Relaxed),
        }
    }

    /// Whether this partition's queue keeps much memory of answers that the other partitions have already consumed: an
    /// answer of a broker has messages of all partitions, and one message that waits keeps all of it. (Seen: one
    /// partition stuck at a full namespace, with 300 messages per second; the 100,000 per second of the others were all
    /// kept, 1.5 GB within 40 seconds.) The queue is dropped if two things hold: it was never empty while the others
    /// took many bytes, and this partition took less than half of the average.
    pub fn falls_behind(&self) -> bool {
        let (now, dry) = (self.stand(), self.dry.get());
        let all = now.all.saturating_sub(dry.all);
        if self.is_paused.get() || all < self.shared.sizes.memory.pin_bytes {
            return false;
        }
        let partitions = u64::try_from(self.shared.counters.partitions_assigned.get()).unwrap_or(0);
        let is_slow = 2 * partitions.max(1) * (now.own - dry.own) < all;
        // In both cases, the measurement starts again.
        self.dry.set(now);
        is_slow
    }

    /// Called while the partition waits for something else.
    pub fn pass_time(&self) {
        if self.falls_behind() {
            self.pause();
        }
        self.look_at_end();
    }

    /// Stops fetching, and drops messages that are fetched but not taken.
    pub fn pause(&self) {
        if self.is_paused.replace(true) {
            return;
        }
        self.shared.counters.pauses.add(1);
        debug!("worker: fetching paused, others go on {}", self.source.partition());
        if let Err(error) = self.source.pause() {
            warn!(
                "kafka: cannot pause fetching for a partition that waits {} error=\"{error}\"",
                self.source.partition()
            );
        }
    }

    /// Resumes fetching behind the last message that was taken. A pause outlives an assignment. So call this before the
    /// partition is given back; otherwise its next worker in this process would read nothing.
    pub fn resume(&self) {
        if self.is_paused.replace(false) {
            self.dry.set(self.stand());
            // librdkafka drops a resume if a rebalance comes at the same time (its issue 5591). A repeated resume does
            // no harm.
            self.resume_again.set(3);
            self.send_resume();
        }
    }

    fn send_resume(&self) {
        if let Err(error) = self.source.resume() {
            warn!(
                "kafka: fetching stays paused {} error=\"{error}\"",
                self.source.partition()
            );
        }
    }
}
