//! One step: threads that take messages through rules, plan and write for a while, as the workers of partitions do.
//!
//! The stages are the service's own. What is missing is Kafka's side: messages come from memory, and what the rules
//! publish is made and dropped. Each thread has records of its own, as partitions have if messages have the key of
//! their record.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench::figures::{Point, Settings, quantile};
use crate::bench::sample::{Part, Records};
use crate::bench::scratch::{Scratch, guard};
use crate::bench::watched::{Alarm, Distress, Seen, Watched};
use crate::delivery::guard::{Guard, OFFSET_END, sequence};
use crate::delivery::plan::Plan;
use crate::delivery::pressure::Pressure;
use crate::delivery::write::{Calls, Fatal, Limits, Refusal, RowWriter, WriteEnd, write};
use crate::output::Output;
use crate::processor::Processor as _;
use crate::util::process::{cpu_time, machine_busy_time, thread_cpu_time};
use crate::util::stop::{Stop, StopKind};

/// How many batches of rows a worker takes from its queue at once, as `partition::batch` does.
const BATCHES_IN_HAND: usize = 5;
/// The weight of rows, as a multiple of the bytes of a batch, as there.
const WEIGHT: usize = 4;
/// How long after the end of a step a call may still begin.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// How often the stop flag is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// What all steps work with.
pub struct Work<'s> {
    pub parts: &'s [Part<'s>],
    pub scratch: &'s Scratch,
    /// `run.batch_bytes_max`.
    pub batch_bytes_max: usize,
}

/// One step.
pub struct Step<'s> {
    pub settings: Settings,
    pub lasts: Duration,
    /// The offset of the first message. Greater than all offsets of earlier steps.
    pub offset: i64,
    pub writer: &'s (dyn RowWriter + Sync),
    pub pressure: &'s Pressure,
    /// The limit that `pressure` keeps. A step pays what its last calls were ahead of it before it ends, because the next
    /// step knows nothing of them.
    pub rows_per_s_max: Option<u32>,
}

/// How a step ended.
#[derive(Debug)]
pub struct Ended {
    /// `None`: nothing was measured.
    pub point: Option<Point>,
    /// The first offset that was not used.
    pub offset: i64,
    /// The CPU time of the step's own threads for each message, in microseconds. What other threads of the process do
    /// (clients, one that is being dropped) is not in it. 0: not known.
    pub own_cpu_us: f64,
    pub distress: Option<Distress>,
}

/// Why a step could not be run.
#[derive(Debug)]
pub enum StepError {
    /// A thread could not be started.
    Thread(io::Error),
    /// A thread panicked.
    Panic,
    /// The user may not write.
    Fatal(Fatal),
}

/// What a thread has done.
#[derive(Debug)]
struct Did {
    messages: u64,
    took: Duration,
    cpu: Option<Duration>,
    offset: i64,
    refused: BTreeMap<u8, u64>,
    seen: Seen,
    fatal: Option<Fatal>,
}

impl Work<'_> {
    /// The most threads for which each has records enough for a batch of its own.
    pub fn threads_max(&self, batch_rows: usize) -> usize {
        (self.scratch.keys().count() as usize / batch_rows.max(1)).max(1)
    }

    /// Runs the step, until its time is over, `stop` is raised, or the database is in distress.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn run(&self, step: &Step<'_>, stop: &Stop) -> Result<Ended, StepError> {
        let alarm = Alarm::default();
        let guard = guard();
        let began = Instant::now();
        let (cpu_before, busy_before) = (cpu_time(), machine_busy_time());
        let until = began + step.lasts;
        let dids: Vec<Did> = thread::scope(|scope| {
            let mut threads = Vec::new();
            for thread in 0..step.settings.threads {
                let (alarm, guard) = (&alarm, &guard);
                let run = move || self.drive(step, thread, until, guard, alarm);
                match thread::Builder::new()
                    .name(format!("bench-{thread}"))
                    .spawn_scoped(scope, run)
                {
                    Ok(handle) => threads.push(handle),
                    Err(error) => {
                        alarm.halt.request(StopKind::Drain);
                        return Err(StepError::Thread(error));
                    }
                }
            }
            while Instant::now() < until && !alarm.halt.requested() {
                if stop.wait(GLANCE.min(until.saturating_duration_since(Instant::now()))) {
                    alarm.halt.request(StopKind::Drain);
                }
            }
            let joined = threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| StepError::Panic));
            joined.collect()
        })?;
        let rows: u64 = dids.iter().map(|did| did.seen.rows).sum();
        let due = step
            .rows_per_s_max
            .map(|max| Duration::from_secs_f64(rows as f64 / f64::from(max.max(1))));
        if let Some(due) = due {
            stop.wait(due.saturating_sub(began.elapsed()));
        }
        let took = began.elapsed();
        let spent = |before: Option<Duration>, after: Option<Duration>| Some(after?.saturating_sub(before?));
        let cpu = spent(cpu_before, cpu_time());
        let busy = spent(busy_before, machine_busy_time());
        if let Some(fatal) = dids.iter().find_map(|did| did.fatal.clone()) {
            return Err(StepError::Fatal(fatal));
        }
        Ok(Ended {
            offset: dids.iter().map(|did| did.offset).max().unwrap_or(step.offset),
            own_cpu_us: own_cpu_us(&dids),
            point: point(step, dids, took, cpu, busy),
            distress: alarm.first(),
        })
    }

    /// One thread's part of a step.
    fn drive(&self, step: &Step<'_>, thread: usize, until: Instant, guard: &Guard, alarm: &Alarm) -> Did {
        let rows_max = step.settings.batch_rows;
        let limits = Limits {
            rows: rows_max,
            bytes: WEIGHT * self.batch_bytes_max,
            finish_max: FINISH_MAX,
        };
        let watched = Watched::new(step.writer, alarm);
        let calls = Calls {
            writer: &watched,
            pressure: step.pressure,
            stop: &alarm.halt,
            meanwhile: &|| {},
        };
        let mut messages = Cursor::new(self, thread, step.settings.threads, step.offset);
        let mut did = Did {
            messages: 0,
            took: Duration::ZERO,
            cpu: None,
            offset: step.offset,
            refused: BTreeMap::new(),
            seen: Seen::default(),
            fatal: None,
        };
        let (began, cpu) = (Instant::now(), thread_cpu_time());
        while Instant::now() < until && !alarm.halt.requested() {
            let (plan, count) = messages.batch(rows_max, limits.bytes);
            let written = write(&plan, &limits, guard, &calls);
            for refused in &written.refused {
                let code = match refused.refusal {
                    Refusal::Code(code) | Refusal::Conflict(code) => code,
                    Refusal::Unsendable | Refusal::InDoubt => 0,
                };
                *did.refused.entry(code).or_default() += 1;
            }
            match written.end {
                WriteEnd::Finished => {
                    did.messages += count;
                    did.took = began.elapsed();
                }
                WriteEnd::Stopped => break,
                WriteEnd::Fatal(fatal) => {
                    did.fatal = Some(fatal);
                    alarm.halt.request(StopKind::Drain);
                    break;
                }
            }
        }
        did.cpu = thread_cpu_time()
            .zip(cpu)
            .map(|(now, before)| now.saturating_sub(before));
        did.offset = messages.offset;
        did.seen = watched.into_seen();
        did
    }
}

fn own_cpu_us(dids: &[Did]) -> f64 {
    let messages: u64 = dids.iter().map(|did| did.messages).sum();
    let cpu: Option<Duration> = dids.iter().map(|did| did.cpu).sum();
    match (cpu, messages) {
        (None, _) | (_, 0) => 0.0,
        (Some(cpu), messages) => 1e6 * cpu.as_secs_f64() / messages as f64,
    }
}

fn point(
    step: &Step<'_>,
    dids: Vec<Did>,
    took: Duration,
    cpu: Option<Duration>,
    busy: Option<Duration>,
) -> Option<Point> {
    let messages: u64 = dids.iter().map(|did| did.messages).sum();
    if messages == 0 {
        return None;
    }
    let mut calls_us: Vec<u32> = Vec::new();
    let mut refused: BTreeMap<u8, u64> = BTreeMap::new();
    let (mut messages_per_s, mut rows_per_s, mut rows, mut thread_s) = (0.0, 0.0, 0, 0.0);
    for did in dids {
        // Each thread ends with its own batch, so each has its own time.
        let seconds = did.took.as_secs_f64();
        if seconds > 0.0 {
            messages_per_s += did.messages as f64 / seconds;
            rows_per_s += did.seen.rows as f64 / seconds;
            thread_s += seconds;
        }
        rows += did.seen.rows;
        calls_us.extend(did.seen.calls_us);
        for (code, count) in did.refused {
            *refused.entry(code).or_default() += count;
        }
    }
    if step.rows_per_s_max.is_some() {
        // The threads wait for each other. The step's time is that of all.
        messages_per_s = messages as f64 / took.as_secs_f64();
        rows_per_s = rows as f64 / took.as_secs_f64();
    }
    calls_us.sort_unstable();
    let called_s: f64 = calls_us.iter().map(|us| f64::from(*us) / 1e6).sum();
    let ms = |share| f64::from(quantile(&calls_us, share)) / 1000.0;
    let cpu_s = cpu.map_or(0.0, |cpu| cpu.as_secs_f64());
    Some(Point {
        settings: step.settings,
        messages,
        messages_per_s,
        rows,
        rows_per_s,
        calls: calls_us.len() as u64,
        call_p50_ms: ms(0.5),
        call_p99_ms: ms(0.99),
        cpu_us_per_message: 1e6 * cpu_s / messages as f64,
        cores_used: cpu_s / took.as_secs_f64(),
        cores_busy: busy.map(|busy| busy.as_secs_f64() / took.as_secs_f64()),
        waiting: (called_s / thread_s.max(f64::MIN_POSITIVE)).min(1.0),
        refused,
    })
}

/// A thread's way through its messages, again and again.
struct Cursor<'w> {
    part: &'w Part<'w>,
    scratch: &'w Scratch,
    /// The next message.
    at: usize,
    /// How often the thread has come to the end.
    lap: u64,
    offset: i64,
    /// The thread's own records: the first one, and how many.
    first: u32,
    count: u32,
}

impl<'w> Cursor<'w> {
    fn new(work: &'w Work<'_>, thread: usize, threads: usize, offset: i64) -> Cursor<'w> {
        let part = &work.parts[thread % work.parts.len()];
        // Threads that share a part begin at different places.
        let sharing = threads.div_ceil(work.parts.len());
        let at = part.views.len() * (thread / work.parts.len()) / sharing;
        let count = work.scratch.keys().count() / u32::try_from(threads).unwrap_or(u32::MAX).max(1);
        Cursor {
            part,
            scratch: work.scratch,
            at,
            lap: 0,
            offset,
            first: u32::try_from(thread).unwrap_or(0) * count,
            count: count.max(1),
        }
    }

    /// The record of the scratch set for the part's record with this number.
    fn number(&self, record: u32) -> u32 {
        // The next lap takes other records, so that all of them are used.
        let number = self.lap * u64::from(self.part.distinct) + u64::from(record);
        self.first + u32::try_from(number % u64::from(self.count)).unwrap_or(0)
    }

    /// The plan of the next batch, and how many messages are in it.
    fn batch(&mut self, rows_max: usize, bytes_max: usize) -> (Plan<'w>, u64) {
        let part = self.part;
        let mut plan = Plan::with_capacity(rows_max * part.rules.rows_per_message().min(BATCHES_IN_HAND));
        let mut output = Output::default();
        let now_ms = now_ms();
        let mut count = 0;
        // A worker takes so many messages from its queue at once.
        while count < BATCHES_IN_HAND * rows_max {
            let is_full =
                plan.records() >= rows_max || plan.rows() >= BATCHES_IN_HAND * rows_max || plan.bytes() >= bytes_max;
            if is_full && count > 0 {
                break;
            }
            output.begin(count);
            if part.rules.process(&part.views[self.at], now_ms, &mut output).is_err() {
                output.take_back();
            }
            output.publications.clear();
            self.add_rows(&part.records[self.at], &mut output, &mut plan);
            count += 1;
            self.offset = (self.offset + 1).min(OFFSET_END - 1);
            self.at += 1;
            if self.at == part.views.len() {
                self.at = 0;
                self.lap += 1;
            }
        }
        (plan, count as u64)
    }

    fn add_rows(&self, records: &Records, output: &mut Output<'w>, plan: &mut Plan<'w>) {
        for (place, row) in output.rows.drain(..).enumerate() {
            // What the rules make of a message can depend on the time. A row that was not seen before has no number.
            let Some(record) = records.get(place) else {
                continue;
            };
            let sequence = sequence(self.offset, row.number).unwrap_or_default();
            if let Some(row) = self.scratch.redirect(row, self.number(*record), sequence) {
                plan.push(row, sequence);
            }
        }
    }
}

/// Milliseconds since 1970. A clock that is set before 1970 gives 0.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::bench::sample::{Made, Sample};
    use crate::bench::watched::Nowhere;
    use crate::message::Message;
    use crate::observe::counters::Counters;
    use crate::rules::mapping::Mapping;

    /// Clients have threads of their own, and one that is being dropped empties its queues meanwhile.
    #[test]
    fn the_cpu_of_other_threads_is_not_the_rules() {
        const LASTS: Duration = Duration::from_millis(100);
        let config = crate::config::parse(
            "[kafka]\nbrokers = \"b:1\"\ntopics = [\"t\"]\ngroup = \"g\"\n[aerospike]\nhosts = \"a:1\"\nnamespace = \
             \"test\"\n[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"n\"]\n",
            "test.toml",
        )
        .unwrap();
        let mapping = Mapping::compile(&config).unwrap();
        let mut sample = Sample::default();
        let _ = sample.add(&Message {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            payload: Some(br#"{"id": "u1", "n": 1}"#),
            headers: Vec::new(),
        });
        let mut made = Made::default();
        let parts: Vec<Part<'_>> = sample
            .parts()
            .map(|(topic, kept)| Part::new(mapping.topic(topic).unwrap(), kept, 0, &mut made))
            .collect();
        let scratch = Scratch::new(&[("test".to_owned(), true)], 1000);
        let work = Work {
            parts: &parts,
            scratch: &scratch,
            batch_bytes_max: 1 << 20,
        };
        let settings = Settings {
            batch_rows: 100,
            threads: 1,
            rows_in_flight: 100,
        };
        let pressure = Pressure::new(100, None, Arc::new(Counters::new()));
        let step = Step {
            settings,
            lasts: LASTS,
            offset: 1,
            writer: &Nowhere,
            pressure: &pressure,
            rows_per_s_max: None,
        };
        let over = AtomicBool::new(false);
        let (ended, took) = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let began = Instant::now();
            let ended = work.run(&step, &Stop::new());
            let took = began.elapsed();
            over.store(true, Ordering::Relaxed);
            (ended.unwrap(), took)
        });
        let messages = ended.point.unwrap().messages as f64;
        // A thread cannot spend more than the time that passes.
        let own = Duration::from_secs_f64(ended.own_cpu_us * messages / 1e6);
        assert!(own <= took, "{own:?} of {took:?}");
    }
}
