//! The number of rows that the server accepts in one batch, found by its refusals (151).
//!
//! `batch-max-requests` can be changed while the server runs, and then differs between nodes for a while. So the limit
//! is halved at each refusal. When it has held for a minute, twice its size is tried. A refused batch is refused as a
//! whole and costs one call.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use log::{debug, warn};
use parking_lot::Mutex;

/// How long a limit must hold before twice its size is tried.
const HELD_MIN: Duration = Duration::from_secs(60);
/// More rows than any batch has (`run.batch_rows_max` is at most 5,000): no limit.
const UNLIMITED_FROM: usize = 10_000;

/// The most rows in one call. Shared by all workers.
#[derive(Debug)]
pub(super) struct BatchLimit {
    rows: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the limit was last changed.
    changed: Option<Instant>,
    /// The smallest refused size that was logged.
    told: Option<usize>,
}

impl Default for BatchLimit {
    fn default() -> Self {
        BatchLimit {
            rows: AtomicUsize::new(usize::MAX),
            state: Mutex::default(),
        }
    }
}

impl BatchLimit {
    pub fn rows(&self) -> usize {
        self.rows.load(Relaxed)
    }

    /// A call with this many rows was too big.
    pub fn refused(&self, rows: usize) {
        let mut state = self.state.lock();
        let halved = (rows / 2).max(1);
        if halved >= self.rows() {
            return;
        }
        self.rows.store(halved, Relaxed);
        state.changed = Some(Instant::now());
        if state.told.is_none_or(|told| rows < told) {
            state.told = Some(rows);
            warn!(
                "aerospike: the server refuses batches of {rows} rows (151, its batch-max-requests), {halved} are sent at \
                 once; lower run.batch_rows_max to avoid this line"
            );
        } else {
            debug!("aerospike: batches of {rows} rows are still refused, {halved} are sent at once");
        }
    }

    /// A call was not refused.
    pub fn accepted(&self) {
        if self.rows() != usize::MAX {
            self.accepted_at(Instant::now());
        }
    }

    fn accepted_at(&self, now: Instant) {
        let mut state = self.state.lock();
        let rows = self.rows();
        let held = state
            .changed
            .is_none_or(|changed| now.duration_since(changed) >= HELD_MIN);
        if rows == usize::MAX || !held {
            return;
        }
        let doubled = rows.saturating_mul(2);
        let doubled = if doubled >= UNLIMITED_FROM { usize::MAX } else { doubled };
        self.rows.store(doubled, Relaxed);
        state.changed = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_halves_when_refused_and_is_tried_again_at_twice_its_size() {
        let limit = BatchLimit::default();
        assert_eq!(limit.rows(), usize::MAX);
        limit.refused(200);
        assert_eq!(limit.rows(), 100);
        // A call of another worker, sent before the limit was known.
        limit.refused(200);
        assert_eq!(limit.rows(), 100);
        limit.refused(100);
        assert_eq!(limit.rows(), 50);
        limit.refused(1);
        assert_eq!(limit.rows(), 1);
        let mut now = Instant::now() + HELD_MIN;
        for expected in [2, 4, 8] {
            limit.accepted_at(now);
            limit.accepted_at(now);
            assert_eq!(limit.rows(), expected, "once a minute");
            now += HELD_MIN;
        }
        for _ in 0..20 {
            limit.accepted_at(now);
            now += HELD_MIN;
        }
        assert_eq!(limit.rows(), usize::MAX);
    }
}
