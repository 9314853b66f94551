//! The simulator's counts, for assertions: messages, batches, rows, result codes, duplicate keys in one batch.
//!
//! It counts what arrived and what was answered or would have been. It knows nothing of faults.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::message::Row;
use super::wire;

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that were applied or refused, single ones and batches. Not counted: info, and messages dropped by a
    /// stall.
    pub messages: u64,
    /// Batches, refused or not.
    pub batches: u64,
    /// Batches that were refused as a whole, with one header.
    pub batches_refused: u64,
    /// Rows in batches.
    pub rows: u64,
    /// The number of rows in the largest batch.
    pub biggest_batch: u64,
    /// Messages for one record.
    pub singles: u64,
    /// Rows and single messages that only read.
    pub reads: u64,
    /// Rows and single messages that write operations.
    pub writes: u64,
    /// Rows and single messages that delete a whole record. An operation that deletes counts as a write.
    pub deletes: u64,
    /// The writes and deletes with a filter.
    pub filtered: u64,
    /// Rows on a key that an earlier row of the same batch has.
    pub duplicate_rows: u64,
    /// Rows and single messages that arrived at a node without their partition.
    pub unowned: u64,
    /// Those of them that the node forwarded to their master.
    pub proxied: u64,
    /// Rows and single messages by result code.
    pub results: BTreeMap<u8, u64>,
    /// Connections accepted so far.
    pub connections: u64,
    /// Logins so far: with a password, or with the token of a session.
    pub logins: u64,
    /// Those of them that were refused.
    pub logins_refused: u64,
}

impl Stats {
    /// How often a row or single message got this result code.
    pub fn result(&self, code: u8) -> u64 {
        self.results.get(&code).copied().unwrap_or(0)
    }

    /// Adds the counts of another node.
    pub(super) fn plus(mut self, other: Stats) -> Stats {
        for (code, times) in other.results {
            *self.results.entry(code).or_default() += times;
        }
        Stats {
            messages: self.messages + other.messages,
            batches: self.batches + other.batches,
            batches_refused: self.batches_refused + other.batches_refused,
            rows: self.rows + other.rows,
            biggest_batch: self.biggest_batch.max(other.biggest_batch),
            singles: self.singles + other.singles,
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            deletes: self.deletes + other.deletes,
            filtered: self.filtered + other.filtered,
            duplicate_rows: self.duplicate_rows + other.duplicate_rows,
            unowned: self.unowned + other.unowned,
            proxied: self.proxied + other.proxied,
            results: self.results,
            connections: self.connections + other.connections,
            logins: self.logins + other.logins,
            logins_refused: self.logins_refused + other.logins_refused,
        }
    }
}

/// The number of rows of each kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kinds {
    reads: u64,
    writes: u64,
    deletes: u64,
    filtered: u64,
}

impl Kinds {
    pub fn of(row: &Row<'_>) -> Self {
        let mut kinds = Kinds::default();
        kinds.count(row);
        kinds
    }

    pub fn count(&mut self, row: &Row<'_>) {
        if row.info2 & wire::INFO2_WRITE == 0 {
            self.reads += 1;
            return;
        }
        let deletes = row.info2 & wire::INFO2_DELETE != 0;
        self.deletes += u64::from(deletes);
        self.writes += u64::from(!deletes);
        self.filtered += u64::from(row.filter.is_some());
    }
}

pub struct Counters {
    pub messages: AtomicU64,
    pub batches: AtomicU64,
    pub batches_refused: AtomicU64,
    pub rows: AtomicU64,
    pub biggest_batch: AtomicU64,
    pub singles: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    deletes: AtomicU64,
    filtered: AtomicU64,
    pub duplicate_rows: AtomicU64,
    pub unowned: AtomicU64,
    pub proxied: AtomicU64,
    pub connections: AtomicU64,
    pub logins: AtomicU64,
    pub logins_refused: AtomicU64,
    results: [AtomicU64; 256],
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            messages: AtomicU64::default(),
            batches: AtomicU64::default(),
            batches_refused: AtomicU64::default(),
            rows: AtomicU64::default(),
            biggest_batch: AtomicU64::default(),
            singles: AtomicU64::default(),
            reads: AtomicU64::default(),
            writes: AtomicU64::default(),
            deletes: AtomicU64::default(),
            filtered: AtomicU64::default(),
            duplicate_rows: AtomicU64::default(),
            unowned: AtomicU64::default(),
            proxied: AtomicU64::default(),
            connections: AtomicU64::default(),
            logins: AtomicU64::default(),
            logins_refused: AtomicU64::default(),
            results: [const { AtomicU64::new(0) }; 256],
        }
    }
}

impl Counters {
    pub fn result(&self, code: u8, times: u64) {
        self.results[usize::from(code)].fetch_add(times, Ordering::Relaxed);
    }

    pub fn kinds(&self, kinds: Kinds) {
        self.reads.fetch_add(kinds.reads, Ordering::Relaxed);
        self.writes.fetch_add(kinds.writes, Ordering::Relaxed);
        self.deletes.fetch_add(kinds.deletes, Ordering::Relaxed);
        self.filtered.fetch_add(kinds.filtered, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            messages: read(&self.messages),
            batches: read(&self.batches),
            batches_refused: read(&self.batches_refused),
            rows: read(&self.rows),
            biggest_batch: read(&self.biggest_batch),
            singles: read(&self.singles),
            reads: read(&self.reads),
            writes: read(&self.writes),
            deletes: read(&self.deletes),
            filtered: read(&self.filtered),
            duplicate_rows: read(&self.duplicate_rows),
            unowned: read(&self.unowned),
            proxied: read(&self.proxied),
            results: (0..=255)
                .zip(self.results.iter().map(read))
                .filter(|(_, times)| *times > 0)
                .collect(),
            connections: read(&self.connections),
            logins: read(&self.logins),
            logins_refused: read(&self.logins_refused),
        }
    }
}
