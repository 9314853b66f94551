//! The counters: one table, from which the struct, the metrics and `docs/reference/metrics.md` are generated.
//!
//! For a new counter, add a row here, and count at one place. The name of a counter never changes. It follows
//! Prometheus' conventions (base units, `_total`).
//!
//! Workers add to them once per batch, without a lock. At any moment when no worker is in the middle of an update:
//! `consumed = written + filtered + dead-lettered + dropped + held + returned + in hand`.

use std::time::Duration;

use crate::observe::metrics::delivery_latency;
use crate::observe::metrics::histogram::{Distribution, Histogram, ROWS, TIMES};
use crate::observe::metrics::numbers::{Counter, CounterByCode, CounterByWord, Gauge, MaybeGauge, StateGauge};
use crate::observe::metrics::{Instrument, Metric, Sample};

/// A row has the field and its type, the metric's name, its label if there is one, and its help. An expression after
/// `=` creates the field, if the type's default is not right.
macro_rules! counters {
    ($($field:ident: $kind:ty $(= $init:expr)?, $name:literal $([$label:literal])?, $help:literal;)+) => {
        /// All counters of one service.
        #[derive(Debug)]
        pub struct Counters {
            $(
                #[doc = concat!("`", $name, "`: ", $help)]
                pub $field: $kind,
            )+
        }

        impl Default for Counters {
            fn default() -> Self {
                Counters { $($field: counters!(@init $($init)?),)+ }
            }
        }

        /// The metrics of this table, in its order.
        pub const COUNTED: &[Metric] = &[$(
            Metric {
                name: $name,
                kind: <$kind as Instrument>::KIND,
                labels: &[$($label)?],
                help: $help,
            },
        )+];

        impl Counters {
            /// The samples of each of [`COUNTED`], in its order.
            pub fn samples(&self) -> Vec<Vec<Sample>> {
                vec![$(self.$field.samples(),)+]
            }
        }
    };
    (@init) => { Default::default() };
    (@init $init:expr) => { $init };
}

counters! {
    messages_consumed: Counter, "penstock_messages_consumed_total",
        "Messages taken from the queues of their partitions.";
    messages_written: Counter, "penstock_messages_written_total",
        "Messages of which all is acknowledged: every row, and what they publish. Also those without a row.";
    messages_filtered: Counter, "penstock_messages_filtered_total",
        "Messages that a condition filtered out.";
    messages_rejected: CounterByWord, "penstock_messages_rejected_total" ["reason"],
        "Messages that were rejected, by reason: dead-lettered, dropped or held.";
    messages_dead_lettered: Counter, "penstock_messages_dead_lettered_total",
        "Rejected messages whose dead letter is acknowledged.";
    messages_dropped: Counter, "penstock_messages_dropped_total",
        "Rejected messages that were dropped, as reject.action says.";
    messages_held: Counter, "penstock_messages_held_total",
        "Rejected messages of which each holds its partition or has stopped the service.";
    messages_returned: Counter, "penstock_messages_returned_total",
        "Messages that were taken but not finished when their worker ended. The partition's next owner gets them again.";
    messages_stray: Counter, "penstock_messages_stray_total",
        "Messages that arrived in the main queue instead of their partition's. The partition is begun again.";
    messages_in_hand: Gauge, "penstock_messages_in_hand",
        "Messages that were taken, and are neither finished nor returned.";
    messages_published: Counter, "penstock_messages_published_total",
        "Messages that rules published and that their topics have acknowledged. Dead letters are not among them.";
    messages_published_again: Counter, "penstock_messages_published_again_total",
        "Messages and dead letters that were sent to a topic again.";
    condition_errors_ignored: Counter, "penstock_condition_errors_ignored_total",
        "Conditions that could not be computed and counted as false (when_error = \"false\").";
    ttl_past_skipped: Counter, "penstock_ttl_past_skipped_total",
        "Records that were skipped because their ttl had ended (ttl_past = \"skip\").";
    ttl_past_deleted: Counter, "penstock_ttl_past_deleted_total",
        "Rows that delete a record because its ttl had ended (ttl_past = \"delete\").";
    rows_sent: Counter, "penstock_rows_sent_total",
        "Rows in batch calls, with those that are sent again.";
    rows_written: Counter, "penstock_rows_written_total",
        "Rows that messages asked for and that are applied.";
    rows_merged: Counter, "penstock_rows_merged_total",
        "Of the rows written: those that were sent as part of another row of their record. Without them, rows written are \
         writes of records.";
    rows_stale: Counter, "penstock_rows_stale_total",
        "Rows that were not applied because the record has a newer version.";
    rows_guard_refused: Counter, "penstock_rows_guard_refused_total",
        "Rows that were not applied again because the record's guard shows that they were applied.";
    rows_ignored: Counter, "penstock_rows_ignored_total",
        "Rows that were not applied because mode contradicts the record and on_conflict says to ignore that.";
    rows_retried: CounterByCode, "penstock_rows_retried_total" ["code"],
        "Rows that a call left open, by the database's result code, or by a word where there is none.";
    rows_in_doubt: Counter, "penstock_rows_in_doubt_total",
        "Of the rows retried: those that the call may have applied all the same.";
    batches: Counter, "penstock_batches_total",
        "Batch calls to the database.";
    batch_rows: Histogram = Histogram::of(&ROWS), "penstock_batch_rows",
        "Rows of a batch call.";
    batch_write: Histogram = Histogram::of(&TIMES), "penstock_batch_write_seconds",
        "How long a batch call took.";
    decode_to_written: Histogram = Histogram::of(&TIMES), "penstock_decode_to_written_seconds",
        "From the beginning of a message's batch until its rows are written, by message.";
    delivery_latency: Histogram = delivery_latency::histogram(), "penstock_delivery_latency_seconds",
        "From a message's timestamp until all of it is acknowledged, by written message. A timestamp up to a second ahead \
         counts as now.";
    delivery_latency_unmeasured: CounterByWord = CounterByWord::of(&delivery_latency::CAUSES),
        "penstock_delivery_latency_unmeasured_total" ["cause"],
        "Written messages that are not in penstock_delivery_latency_seconds: their timestamp is missing, more than a second \
         in the future, or more than a day old (replayed).";
    commits: Counter, "penstock_commits_total",
        "Commits that were sent to Kafka, each of one partition.";
    commit_errors: Counter, "penstock_commit_failures_total",
        "Commits that Kafka refused or that could not be sent. They are sent again.";
    pauses: Counter, "penstock_fetch_pauses_total",
        "How often fetching was stopped for a partition that waits or falls behind.";
    partitions_assigned: Gauge, "penstock_partitions_assigned",
        "Partitions that the group has given to this process.";
    rebalances: Counter, "penstock_rebalances_total",
        "Assignments and revocations.";
    offsets_lost: Counter, "penstock_offsets_lost_total",
        "Offsets that had to be read and are below the start of the log.";
    consumer_lag: MaybeGauge, "penstock_lag_messages",
        "Messages up to the ends of the assigned partitions that are not finished. Absent while it is unknown.";
    pressure_state: StateGauge = StateGauge::of(&["open", "limited", "closed"]),
        "penstock_pressure_state" ["state"],
        "1 for the state of the gate to the database, 0 for the others.";
    pressure_limit_rows: Gauge, "penstock_pressure_limit_rows",
        "Rows that may be in flight to the database at once; 0 while the gate is closed.";
    rows_in_flight: Gauge, "penstock_rows_in_flight",
        "Rows that are in flight to the database.";
    memory_bound_bytes: Gauge, "penstock_memory_bound_bytes",
        "The memory that the process keeps below; 0 until it is computed.";
}

impl Counters {
    pub fn new() -> Self {
        Self::default()
    }

    /// One line with everything done so far, and with what the next owner of the partitions will process.
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
        self.batch_rows.record(rows as u64, 1);
        self.batch_write.record(micros(took), 1);
    }

    /// Records that this many messages were decoded, mapped and written together, in this time.
    pub fn decoded_to_written(&self, messages: u64, took: Duration) {
        if messages > 0 {
            self.decode_to_written.record(micros(took), messages);
        }
    }

    pub fn batch_rows(&self) -> Distribution {
        self.batch_rows.distribution()
    }

    /// How long batch calls took, in microseconds.
    pub fn batch_write_us(&self) -> Distribution {
        self.batch_write.distribution()
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
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

    #[test]
    fn every_row_of_the_table_has_its_samples() {
        let counters = Counters::new();
        counters.rows_retried.add(9, 1);
        counters.messages_rejected.add("not_json", 1);
        counters.consumer_lag.set(7);
        let samples = counters.samples();
        assert_eq!(samples.len(), COUNTED.len());
        for (metric, samples) in COUNTED.iter().zip(samples) {
            assert!(!samples.is_empty(), "{}", metric.name);
            for sample in samples {
                assert_eq!(sample.labels.len(), metric.labels.len(), "{}", metric.name);
            }
        }
    }
}
