//! How much a partition keeps in memory that others have read, and when it gives up its queue.
//!
//! Messages of all partitions come in one answer of a broker, and a message that waits keeps the whole answer in
//! memory. So a partition that waits, or falls behind while others go on, gives up its queue: its fetching is paused,
//! and begins again after the last message that was taken. Nothing else pauses a partition: back-pressure is a full
//! queue, which stops its fetches.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use log::{debug, warn};

use crate::kafka::consumer::source::Source;
use crate::partition::progress::Progress;
use crate::partition::shared::Shared;

/// Between two questions for the end of a log that is not fetched.
const END_INTERVAL: Duration = Duration::from_secs(5);

/// Fetching for one partition.
pub(super) struct Fetching<'w, S> {
    shared: &'w Shared,
    source: &'w S,
    is_paused: Cell<bool>,
    /// How often a resume is sent again when no message comes.
    resume_again: Cell<u8>,
    /// Payload bytes taken from the queue so far.
    bytes_taken: Cell<u64>,
    /// Where this partition and all together stood when nothing was left in its queue.
    dry: Cell<Stand>,
    progress: &'w Progress,
    /// When something was last taken, or the end of the log last asked for.
    looked: Cell<Instant>,
}

/// Payload bytes taken so far.
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

    /// How many bytes were taken from the queue.
    pub fn took(&self, bytes: u64) {
        self.bytes_taken.set(self.bytes_taken.get() + bytes);
        self.shared.sizes.bytes_taken.fetch_add(bytes, Relaxed);
        self.looked.set(Instant::now());
        self.progress.set_end(-1);
    }

    /// Asks for the end of the log, now and then: a partition that is not fetched does not hear of it, and its lag would
    /// stand still while it grows. To be called in long waits; may take half a second ([`Source::log_end`]).
    pub fn look_at_end(&self) {
        if self.looked.get().elapsed() < END_INTERVAL {
            return;
        }
        match self.source.log_end() {
            Ok(end) => self.progress.set_end(end),
            Err(error) => debug!(
                "kafka: the end of the log is not told {} error=\"{error}\"",
                self.source.partition()
            ),
        }
        self.looked.set(Instant::now());
    }

    /// Nothing is left in the queue; `nothing_came`: and nothing was there.
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

    /// Whether this partition's queue keeps much in memory that others have read: messages of all partitions come in one
    /// answer of a broker, and one that waits keeps the whole of it. (Seen: one partition stuck at a full namespace, 300
    /// messages a second; the others' 100,000 a second were all kept, 1.5 GB within 40 seconds.) So where the queue was
    /// never dry while others took a good deal, and this one less than half of what is usual, its queue is let go.
    pub fn falls_behind(&self) -> bool {
        let (now, dry) = (self.stand(), self.dry.get());
        let all = now.all.saturating_sub(dry.all);
        if self.is_paused.get() || all < self.shared.sizes.memory.pin_bytes {
            return false;
        }
        let partitions = u64::try_from(self.shared.counters.partitions_assigned.get()).unwrap_or(0);
        let is_slow = 2 * partitions.max(1) * (now.own - dry.own) < all;
        // It begins anew, either way.
        self.dry.set(now);
        is_slow
    }

    /// Time passes for the partition while it waits for something else.
    pub fn pass_time(&self) {
        if self.falls_behind() {
            self.pause();
        }
        self.look_at_end();
    }

    /// Ends fetching, and lets go of what is fetched and not taken yet.
    pub fn pause(&self) {
        if self.is_paused.replace(true) {
            return;
        }
        self.shared.counters.pauses.add(1);
        debug!("worker: fetching paused, others go on {}", self.source.partition());
        if let Err(error) = self.source.pause() {
            warn!(
                "kafka: fetching for a partition that waits goes on {} error=\"{error}\"",
                self.source.partition()
            );
        }
    }

    /// Fetching begins behind the last message that was taken. A pause outlives an assignment: undone before the
    /// partition is given back, or whoever gets it next in this process would read nothing.
    pub fn resume(&self) {
        if self.is_paused.replace(false) {
            self.dry.set(self.stand());
            // librdkafka drops a resumption that a rebalance overtakes (its issue 5591); one more changes nothing.
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
