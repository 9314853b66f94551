//! Takes a snapshot every second, for the status page, the health answers and the metrics.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::consumer::Consumer as _;

use crate::kafka::Partition;
use crate::observe::counters::Counters;
use crate::observe::metrics::histogram::Readings;
use crate::observe::metrics::numbers::Counter;
use crate::observe::snapshot::{
    HISTORY, PartitionState, PartitionView, PressureView, SAMPLE_INTERVAL, Sample, Snapshot, Stage,
};
use crate::service::start::Service;
use crate::service::waits::{Waits, sentence};

/// The time between two snapshots.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the main thread remembers from one snapshot to the next.
#[derive(Debug)]
pub(super) struct Snapshots {
    last: Instant,
    consumed: u64,
    rows: u64,
    ages: Ages,
    history: History,
}

impl Snapshots {
    pub fn new(counters: &Counters) -> Self {
        Snapshots {
            last: Instant::now(),
            consumed: counters.messages_consumed.get(),
            rows: counters.rows_written.get(),
            ages: Ages::default(),
            history: History::new(counters),
        }
    }

    /// Takes a snapshot if it is due and somebody looks at the board. `stalled`: the partitions that the watchdog reports as stalled.
    pub fn tick(&mut self, service: &Service, stalled: &[Partition], stage: Stage) {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.last);
        if elapsed < INTERVAL && stage == Stage::Running || !service.board.is_watched() {
            return;
        }
        let counters = &service.counters;
        let context = service.consumer.context();
        let ends = context.ends();
        let mut partitions = service.workers.views();
        for view in &mut partitions {
            let partition = partition(view);
            view.lag = ends.partitions.get(&partition).copied().flatten();
            if view.state == PartitionState::Ok {
                if stalled.contains(&partition) {
                    view.state = PartitionState::Stalled;
                    "no progress though there are messages, and nothing excuses it: see the log"
                        .clone_into(&mut view.why);
                } else if !context.is_leader_reached(&partition) {
                    view.state = PartitionState::NoLeader;
                    "the broker that leads it is not reached".clone_into(&mut view.why);
                }
            }
        }
        partitions.sort_by(|one, other| (&one.topic, one.number).cmp(&(&other.topic, other.number)));
        self.ages.tell(now, &mut partitions);
        let held = partitions
            .iter()
            .filter(|view| view.state == PartitionState::Held)
            .count();
        let waits = Waits::of(service, stalled.len(), held);
        let (aerospike_failing_for, closed_namespaces) = (waits.failing_for, waits.closed.clone());
        let state = waits.state();
        let has_joined = context.first_assignment().is_made;
        let pressure = service.pressure.view();
        let (consumed, rows) = (counters.messages_consumed.get(), counters.rows_written.get());
        let rate = |now: u64, before: u64| (now - before) as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let wall_clock = SystemTime::now();
        let lag = ends.lag;
        self.history.add(now, wall_clock, consumed, lag, counters);
        service.board.put(Snapshot {
            at: now,
            wall_clock,
            stage,
            state: state.word(),
            // The board fills this in.
            state_since: now,
            why: match stage {
                Stage::Draining => "Stopping: what is in hand is finished and committed.".to_owned(),
                Stage::Starting | Stage::Running => sentence(&state, partitions.len(), held, has_joined),
            },
            // Whoever has joined has reached a broker, even if the first statistics have not come yet.
            is_kafka_connected: context.is_connected().or(has_joined.then_some(true)),
            has_joined,
            aerospike_failing_for,
            closed_namespaces,
            pressure: PressureView {
                state: pressure.gate.as_str(),
                closed_for: service.pressure.is_closed().then_some(pressure.since),
                limit_rows: pressure.limit_rows as u64,
                in_flight_rows: pressure.in_flight_rows as u64,
                cause: pressure.cause.unwrap_or_default().to_owned(),
            },
            messages_per_s: rate(consumed, self.consumed),
            rows_per_s: rate(rows, self.rows),
            lag,
            partitions,
            rejects: counters
                .messages_rejected
                .by_word()
                .into_iter()
                .map(|(reason, count)| (reason.to_owned(), count))
                .collect(),
            recent_rejects: service.rejects.recent(),
            history: self.history.samples.clone(),
        });
        (self.last, self.consumed, self.rows) = (now, consumed, rows);
    }
}

fn partition(view: &PartitionView) -> Partition {
    Partition {
        topic: view.topic.clone(),
        number: view.number,
    }
}

/// Since when the first unfinished message of each partition has been in hand. This is as exact as one look per second
/// can be.
#[derive(Debug, Default)]
struct Ages(HashMap<Partition, (Option<i64>, Instant)>);

impl Ages {
    fn tell(&mut self, now: Instant, partitions: &mut [PartitionView]) {
        let mut before = std::mem::take(&mut self.0);
        for view in partitions.iter_mut().filter(|view| view.oldest_in_hand.is_some()) {
            let of = partition(view);
            let since = match before.remove(&of) {
                Some((next, since)) if next == view.next_offset => since,
                _ => now,
            };
            view.oldest_in_hand = Some(now.saturating_duration_since(since));
            self.0.insert(of, (view.next_offset, since));
        }
    }
}

/// The samples of the last quarter of an hour.
#[derive(Debug)]
struct History {
    samples: VecDeque<Sample>,
    last: Option<(Instant, u64)>,
    /// The durations of batch calls.
    write: Readings,
    /// Rows that the database had answered at the last sample.
    answered: u64,
}

/// Rows that the database has answered since the start.
fn answered(counters: &Counters) -> u64 {
    [
        &counters.rows_written,
        &counters.rows_guard_refused,
        &counters.rows_stale,
        &counters.rows_ignored,
    ]
    .map(Counter::get)
    .iter()
    .sum()
}

impl History {
    fn new(counters: &Counters) -> History {
        History {
            samples: VecDeque::new(),
            last: None,
            write: Readings::of(&counters.batch_write),
            answered: answered(counters),
        }
    }

    /// Adds a sample if it is due.
    fn add(&mut self, now: Instant, at: SystemTime, consumed: u64, lag: Option<u64>, counters: &Counters) {
        let Some((last, before)) = self.last else {
            self.last = Some((now, consumed));
            return;
        };
        let elapsed = now.saturating_duration_since(last);
        if elapsed < SAMPLE_INTERVAL {
            return;
        }
        self.last = Some((now, consumed));
        // While the database answers nobody, a call may fail within microseconds. That is no write latency.
        let before_write = std::mem::replace(&mut self.answered, answered(counters));
        let write = self.write.next(&counters.batch_write);
        let write = write.filter(|_| self.answered > before_write);
        self.samples.push_back(Sample {
            at,
            messages_per_s: (consumed - before) as f64 / elapsed.as_secs_f64(),
            lag,
            write_p50_ms: write.map(|write| write.p50 * 1000.0),
            write_p99_ms: write.map(|write| write.p99 * 1000.0),
        });
        let max = (HISTORY.as_secs() / SAMPLE_INTERVAL.as_secs()) as usize;
        while self.samples.len() > max {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn view(number: i32, next_offset: i64, in_hand: bool) -> PartitionView {
        PartitionView {
            topic: "t".into(),
            number,
            state: PartitionState::Ok,
            why: String::new(),
            next_offset: Some(next_offset),
            lag: None,
            oldest_in_hand: in_hand.then_some(Duration::ZERO),
        }
    }

    #[test]
    fn a_message_that_stays_unfinished_grows_older_until_it_is_finished() {
        let (mut ages, now) = (Ages::default(), Instant::now());
        let mut age = |after: u32, next, in_hand| {
            let mut views = [view(0, next, in_hand), view(1, 5, false)];
            ages.tell(now + after * SECOND, &mut views);
            assert_eq!(views[1].oldest_in_hand, None);
            views[0].oldest_in_hand
        };
        assert_eq!(age(0, 10, true), Some(Duration::ZERO));
        assert_eq!(age(3, 10, true), Some(3 * SECOND));
        // Now another message is the first unfinished one.
        assert_eq!(age(4, 11, true), Some(Duration::ZERO));
        assert_eq!(age(6, 11, true), Some(2 * SECOND));
        assert_eq!(age(7, 12, false), None);
        assert_eq!(age(9, 12, true), Some(Duration::ZERO));
    }

    #[test]
    fn calls_that_only_fail_have_no_write_latency() {
        let counters = Counters::new();
        let mut history = History::new(&counters);
        let (now, at) = (Instant::now(), SystemTime::now());
        let mut p50 = |samples: u32, rows| {
            counters.batch(10, Duration::from_millis(8));
            counters.rows_guard_refused.add(rows);
            let passed = samples * SAMPLE_INTERVAL;
            history.add(now + passed, at + passed, 0, None, &counters);
            history.samples.back().and_then(|sample| sample.write_p50_ms)
        };
        assert_eq!(p50(0, 10), None);
        assert!(p50(1, 10).is_some_and(|p50| p50 >= 7.0));
        assert_eq!(p50(2, 0), None);
        assert!(p50(3, 1).is_some());
    }

    #[test]
    fn the_history_has_a_sample_each_five_seconds_of_the_last_quarter_of_an_hour() {
        let counters = Counters::new();
        let mut history = History::new(&counters);
        let (now, at) = (Instant::now(), SystemTime::now());
        for second in 0..2000_u32 {
            let passed = second * SECOND;
            let consumed = u64::from(second) * 100;
            history.add(now + passed, at + passed, consumed, Some(7), &counters);
        }
        assert_eq!(history.samples.len(), 180);
        let last = history.samples.back().unwrap();
        assert_eq!(
            (last.messages_per_s, last.lag, last.write_p50_ms),
            (100.0, Some(7), None)
        );
        let (first, last) = (history.samples.front().unwrap().at, last.at);
        assert_eq!(last.duration_since(first).unwrap(), 895 * SECOND);
    }
}
