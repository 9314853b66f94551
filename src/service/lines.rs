//! The line each 10 seconds that tells how it goes, and what the service waits for.

use std::time::{Duration, Instant};

use log::info;
use rdkafka::consumer::Consumer as _;

use crate::delivery::pressure::Gate;
use crate::delivery::reject_limit::Rejects;
use crate::kafka::producer::Failing;
use crate::observe::counters::Counters;
use crate::observe::progress::{Progress, State, Totals};
use crate::service::start::Service;
use crate::util::memory;

/// Between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The line each 10 seconds.
#[derive(Debug)]
pub struct ProgressLines {
    last: Instant,
    /// As they were told last.
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

    /// Logs the line, if it is time. `stalled`: how many partitions the watchdog complains of; `not_taking`: the topic that
    /// takes no messages.
    pub(super) fn tick(&mut self, service: &Service, stalled: usize, not_taking: Option<Failing>) {
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
        let health = service.store.health();
        let waits = Waits {
            closed: health.closed(),
            failing_for: health.failing_for(),
            unexpected: health.unexpected(),
            not_taking,
            stalled,
            held: held.len(),
            is_connected: context.is_connected(),
            partitions: counters.partitions_assigned.get(),
        };
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
                Gate::Closed => format!("closed:{:.0?}", pressure.since),
            },
            resident_bytes: memory::resident_bytes().unwrap_or(0),
            bound_bytes: counters.memory_bound_bytes.get().unsigned_abs(),
            state: waits.state(),
        };
        info!("{progress}");
        *self = now;
    }
}

/// What the service may wait for.
#[derive(Debug, Default)]
struct Waits {
    /// Namespaces that refuse rows.
    closed: Vec<String>,
    /// How long all writes have failed.
    failing_for: Option<Duration>,
    /// Records that wait because of an answer that is not expected.
    unexpected: usize,
    /// The topic that takes no messages, while somebody has some for it.
    not_taking: Option<Failing>,
    /// Partitions that make no progress though nothing excuses them.
    stalled: usize,
    /// Partitions that wait until a person acts.
    held: usize,
    /// Whether a broker is reached; `None`: not known yet.
    is_connected: Option<bool>,
    /// Assigned partitions.
    partitions: i64,
}

impl Waits {
    /// Of several things the one that a person would look at first.
    fn state(self) -> State {
        if !self.closed.is_empty() {
            State::NamespaceClosed(self.closed)
        } else if let Some(since) = self.failing_for {
            State::WaitingForAerospike(since)
        } else if self.unexpected > 0 {
            State::RecordHeld
        } else if let Some(Failing { topic, since, .. }) = self.not_taking {
            State::WaitingForTopic(topic, since)
        } else if self.stalled > 0 {
            State::Stalled(self.stalled)
        } else if self.held > 0 {
            State::Held
        } else if self.is_connected == Some(false) {
            State::WaitingForKafka
        } else if self.partitions == 0 {
            State::NoPartitions
        } else {
            State::Ok
        }
    }
}

/// Rejects so far, by reason.
pub(super) fn by_reason(rejects: &Rejects) -> String {
    let reasons: Vec<String> = rejects
        .by_reason()
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

    /// All that the service may wait for, at once.
    fn all() -> Waits {
        Waits {
            closed: vec!["test".to_owned()],
            failing_for: Some(Duration::from_secs(3)),
            unexpected: 1,
            not_taking: Some(Failing {
                topic: "out".to_owned(),
                since: Duration::from_secs(1),
                why: String::new(),
            }),
            stalled: 2,
            held: 1,
            is_connected: Some(false),
            partitions: 0,
        }
    }

    #[test]
    fn of_several_waits_the_line_tells_the_one_to_look_at_first() {
        let mut told = Vec::new();
        let lift: [fn(&mut Waits); 8] = [
            |waits| waits.closed.clear(),
            |waits| waits.failing_for = None,
            |waits| waits.unexpected = 0,
            |waits| waits.not_taking = None,
            |waits| waits.stalled = 0,
            |waits| waits.held = 0,
            |waits| waits.is_connected = None,
            |waits| waits.partitions = 1,
        ];
        for lifted in 0..=lift.len() {
            let mut waits = all();
            lift[..lifted].iter().for_each(|lift| lift(&mut waits));
            told.push(waits.state().word());
        }
        assert_eq!(
            told,
            [
                "namespace-closed",
                "waiting-for-aerospike",
                "record-held",
                "waiting-for-topic",
                "stalled",
                "held",
                "waiting-for-kafka",
                "no-partitions",
                "ok"
            ]
        );
    }
}
