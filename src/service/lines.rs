//! Logs the progress line every 10 seconds.

use std::time::{Duration, Instant};

use log::info;
use rdkafka::consumer::Consumer as _;

use crate::delivery::pressure::Gate;
use crate::observe::counters::Counters;
use crate::observe::progress::{Progress, Totals};
use crate::service::start::Service;
use crate::service::waits::Waits;
use crate::util::memory;
use crate::util::seconds::Seconds;

/// The time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Logs the progress line, and remembers what the previous line said.
#[derive(Debug)]
pub struct ProgressLines {
    last: Instant,
    /// The counts of the previous line.
    consumed: u64,
    rows: u64,
    refused: u64,
}

impl ProgressLines {
    pub fn new(counters: &Counters) -> Self {
        ProgressLines {
            last: Instant::now(),
            consumed: counters.messages_consumed.get(),
            rows: counters.rows_written.get(),
            refused: counters.rows_guard_refused.get(),
        }
    }

    /// Logs the line if it is due. `stalled`: the number of partitions that the watchdog reports as stalled.
    pub(super) fn tick(&mut self, service: &Service, stalled: usize) {
        let elapsed = self.last.elapsed();
        if elapsed < LINE_INTERVAL {
            return;
        }
        let now = ProgressLines::new(&service.counters);
        let rate = |now: u64, before: u64| (now - before) as f64 / elapsed.as_secs_f64();
        let counters = &service.counters;
        let context = service.consumer.context();
        let ends = context.ends();
        let held = service.workers.held();
        let pressure = service.pressure.view();
        let totals = Totals {
            consumed: now.consumed,
            written: counters.messages_written.get(),
            filtered: counters.messages_filtered.get(),
            refused: now.refused,
            stale: counters.rows_stale.get(),
            ignored: counters.rows_ignored.get(),
            dead: counters.messages_dead_lettered.get(),
            dropped: counters.messages_dropped.get(),
            returned: counters.messages_returned.get(),
            published: counters.messages_published.get(),
        };
        let progress = Progress {
            messages_per_s: rate(now.consumed, self.consumed),
            rows_per_s: rate(now.rows, self.rows),
            refused_per_s: rate(now.refused, self.refused),
            totals,
            lag: ends.lag,
            behind_open_transaction: ends.behind_open_transaction,
            partitions: counters.partitions_assigned.get(),
            held: held.len(),
            in_hand: counters.messages_in_hand.get(),
            pressure: match pressure.gate {
                Gate::Open => Gate::Open.as_str().to_owned(),
                Gate::Limited => format!("limited:{}rows", pressure.limit_rows),
                Gate::Closed => format!("closed:{}", Seconds(pressure.since)),
            },
            resident_bytes: memory::resident_bytes().unwrap_or(0),
            bound_bytes: counters.memory_bound_bytes.get().unsigned_abs(),
            state: Waits::of(service, stalled, held.len()).state(),
        };
        info!("{progress}");
        *self = now;
    }
}

/// The number of rejected messages since the start of the process, by reason.
pub(super) fn by_reason(counters: &Counters) -> String {
    let reasons: Vec<String> = counters
        .messages_rejected
        .by_word()
        .into_iter()
        .map(|(reason, count)| format!("{reason}:{count}"))
        .collect();
    if reasons.is_empty() {
        "none".to_owned()
    } else {
        reasons.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_told_by_reason() {
        let counters = Counters::new();
        assert_eq!(by_reason(&counters), "none");
        counters.messages_rejected.add("not_json", 2);
        counters.messages_rejected.add("key_missing", 1);
        assert_eq!(by_reason(&counters), "key_missing:1,not_json:2");
    }
}
