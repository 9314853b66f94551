//! The counters. They have the names of the future metrics. A name never changes.
//!
//! Workers add to them once per batch, so plain atomics are fast enough. At any moment when no worker is in the middle
//! of an update: `consumed = written + filtered + dead-lettered + dropped + held + returned + in hand`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// All counters of one service.
#[derive(Debug)]
pub struct Counters {
    /// `penstock_messages_consumed_total`: taken from a partition's queue.
    pub messages_consumed: Counter,
    /// `penstock_messages_written_total`: all rows acknowledged (also if the message had none).
    pub messages_written: Counter,
    /// `penstock_messages_filtered_total`.
    pub messages_filtered: Counter,
    /// `penstock_messages_rejected_total`: dead-lettered, dropped or held.
    pub messages_rejected: Counter,
    /// `penstock_messages_dead_lettered_total`: the dead letter is acknowledged.
    pub messages_dead_lettered: Counter,
    /// `penstock_messages_dropped_total`: by a policy of the configuration.
    pub messages_dropped: Counter,
    /// `penstock_messages_held_total`: each one holds its partition or has stopped the service.
    pub messages_held: Counter,
    /// `penstock_messages_published_total`: acknowledged by their topics. Does not include dead letters.
    pub messages_published: Counter,
    /// `penstock_messages_published_again_total`: sent to a topic again.
    pub messages_published_again: Counter,
    /// `penstock_condition_errors_ignored_total`: conditions that could not be computed and counted as false
    /// (`when_error = "false"`).
    pub condition_errors_ignored: Counter,
    /// `penstock_ttl_past_skipped_total`: records skipped because their ttl had ended (`ttl_past = "skip"`).
    pub ttl_past_skipped: Counter,
    /// `penstock_ttl_past_deleted_total`: rows that delete a record because its ttl had ended (`ttl_past = "delete"`).
    pub ttl_past_deleted: Counter,
    /// Taken from a queue, but neither finished nor returned.
    pub messages_in_hand: Gauge,
    /// Taken, but not finished when their worker ended. The partition's next owner gets them again.
    pub messages_returned: Counter,
    /// Messages that arrived in the main queue instead of their partition's queue. The partition is restarted at the
    /// first of them.
    pub messages_stray: Counter,
    /// `penstock_rows_sent_total`: rows in batch calls, retries included.
    pub rows_sent: Counter,
    /// `penstock_rows_written_total`: rows that messages asked for and that are applied.
    pub rows_written: Counter,
    /// `penstock_rows_merged_total`: those of them that were sent as part of another row of their record.
    pub rows_merged: Counter,
    /// `penstock_rows_stale_total`: not applied, because the record has a newer version.
    pub rows_stale: Counter,
    /// `penstock_rows_guard_refused_total`: not applied again, because the record's guard shows that they were applied.
    pub rows_guard_refused: Counter,
    /// `penstock_rows_ignored_total`: not applied, because `mode` contradicts the record and `on_conflict` says to
    /// ignore that.
    pub rows_ignored: Counter,
    /// `penstock_rows_retried_total`: rows that were unresolved after a call.
    pub rows_retried: Counter,
    /// Batch calls made.
    pub batches: Counter,
    /// `penstock_rebalances_total`: assignments and revocations.
    pub rebalances: Counter,
    /// `penstock_offsets_lost_total`: offsets that had to be read but are below the start of the log.
    pub offsets_lost: Counter,
    /// `penstock_partitions_assigned`.
    pub partitions_assigned: Gauge,
    /// `penstock_consumer_lag_messages`, over the assigned partitions; -1 while it is unknown.
    pub consumer_lag: Gauge,
    /// `penstock_memory_bound_bytes`; 0 before it is computed.
    pub memory_bound_bytes: Gauge,
    /// How often fetching was stopped for a partition that waits or falls behind.
    pub pauses: Counter,
    /// `penstock_pressure_state`: 0 open, 1 limited, 2 closed.
    pub pressure_state: Gauge,
    /// `penstock_pressure_limit_rows`: rows that may be in flight to the database at once; 0 while it is closed.
    pub pressure_limit_rows: Gauge,
    /// Rows in flight to the database.
    pub rows_in_flight: Gauge,
    /// Commits that Kafka refused or that could not be sent.
    pub commit_errors: Counter,
    /// `penstock_batch_rows`.
    batch_rows: Mutex<Histogram<u64>>,
    /// `penstock_batch_write_seconds`, in microseconds.
    batch_write_us: Mutex<Histogram<u64>>,
}

/// A snapshot of a distribution.
#[derive(Debug, Clone, Copy)]
pub struct Distribution {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
    pub mean: f64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            messages_consumed: Counter::default(),
            messages_written: Counter::default(),
            messages_filtered: Counter::default(),
            messages_rejected: Counter::default(),
            messages_dead_lettered: Counter::default(),
            messages_dropped: Counter::default(),
            messages_held: Counter::default(),
            messages_published: Counter::default(),
            messages_published_again: Counter::default(),
            condition_errors_ignored: Counter::default(),
            ttl_past_skipped: Counter::default(),
            ttl_past_deleted: Counter::default(),
            messages_in_hand: Gauge::default(),
            messages_returned: Counter::default(),
            messages_stray: Counter::default(),
            rows_sent: Counter::default(),
            rows_written: Counter::default(),
            rows_merged: Counter::default(),
            rows_stale: Counter::default(),
            rows_guard_refused: Counter::default(),
            rows_ignored: Counter::default(),
            rows_retried: Counter::default(),
            batches: Counter::default(),
            rebalances: Counter::default(),
            offsets_lost: Counter::default(),
            partitions_assigned: Gauge::default(),
            consumer_lag: Gauge(AtomicI64::new(-1)),
            memory_bound_bytes: Gauge::default(),
            pauses: Counter::default(),
            pressure_state: Gauge::default(),
            pressure_limit_rows: Gauge::default(),
            rows_in_flight: Gauge::default(),
            commit_errors: Counter::default(),
            batch_rows: Mutex::new(distribution()),
            batch_write_us: Mutex::new(distribution()),
        }
    }
}

/// Up to an hour in microseconds, with two significant digits. The error of 0.5 % is far below the variation between
/// batches.
#[expect(
    clippy::expect_used,
    reason = "constant bounds, and every test that makes counters checks them"
)]
fn distribution() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000, 2).expect("constant bounds are legal")
}

impl Counters {
    pub fn new() -> Self {
        Self::default()
    }

    /// One line with everything done so far, and with what is left to the next owner of the partitions.
    pub fn account(&self) -> String {
        format!(
            "consumed={} written={} filtered={} dead_lettered={} dropped={} rejected={} returned={} published={} rows={} merged={} guard_refused={} stale={} ignored={} sent={} ttl_past_skipped={} ttl_past_deleted={} condition_errors_ignored={}",
            self.messages_consumed.get(),
            self.messages_written.get(),
            self.messages_filtered.get(),
            self.messages_dead_lettered.get(),
            self.messages_dropped.get(),
            self.messages_rejected.get(),
            self.messages_returned.get(),
            self.messages_published.get(),
            self.rows_written.get(),
            self.rows_merged.get(),
            self.rows_guard_refused.get(),
            self.rows_stale.get(),
            self.rows_ignored.get(),
            self.rows_sent.get(),
            self.ttl_past_skipped.get(),
            self.ttl_past_deleted.get(),
            self.condition_errors_ignored.get(),
        )
    }

    /// Records one batch call: its rows and how long it took.
    pub fn batch(&self, rows: usize, took: Duration) {
        self.batches.add(1);
        self.rows_sent.add(rows as u64);
        self.batch_rows.lock().saturating_record(rows as u64);
        self.batch_write_us
            .lock()
            .saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn batch_rows(&self) -> Distribution {
        read(&self.batch_rows.lock())
    }

    /// In microseconds.
    pub fn batch_write_us(&self) -> Distribution {
        read(&self.batch_write_us.lock())
    }
}

fn read(histogram: &Histogram<u64>) -> Distribution {
    Distribution {
        p50: histogram.value_at_quantile(0.5),
        p99: histogram.value_at_quantile(0.99),
        max: histogram.max(),
        mean: histogram.mean(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_counted_with_its_rows_and_its_time() {
        let counters = Counters::new();
        counters.batch(200, Duration::from_millis(3));
        counters.batch(100, Duration::from_secs(7200));
        assert_eq!((counters.batches.get(), counters.rows_sent.get()), (2, 300));
        assert!(counters.batch_rows().max >= 200);
        assert!(counters.batch_write_us().p50 >= 2_980);
    }
}
