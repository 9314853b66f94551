//! The silence in the middle: measures what the service does meanwhile.

use std::io;
use std::time::{Duration, Instant};

use penstock::observe::counters::Counters;
use penstock::util::memory::resident_bytes;

use crate::database::Database;
use crate::service;

/// Resident memory may grow by this much and still count as "flat": the in-process broker and the threads' own noise.
const FLAT_BYTES: i64 = 32 * 1024 * 1024;
/// What was in flight when the database became silent settles within this time.
const SETTLE: Duration = Duration::from_secs(1);

/// Starts and ends the silence, and reads the counters before and after it.
pub struct Watch<'a> {
    counters: &'a Counters,
    database: &'a Database,
    messages: u64,
    stall_for: Duration,
    started: Instant,
    /// When the first message was written. Joining a group takes seconds and does not belong to the service's rate.
    first: Option<Instant>,
    finished: Option<Instant>,
    phase: Phase,
}

enum Phase {
    Before,
    Silent {
        since: Instant,
        settled: Option<Mark>,
        rebalances: u64,
    },
    After {
        report: StallReport,
        ended: Instant,
        written: u64,
    },
}

#[derive(Clone, Copy)]
struct Mark {
    consumed: u64,
    resident: u64,
}

/// The measured values.
#[derive(Clone)]
pub struct StallReport {
    /// How long the database was silent.
    pub lasted: Duration,
    /// Messages taken from Kafka between the first second and the end of the silence.
    pub consumed: u64,
    /// Growth of resident memory over the same time, in bytes.
    pub memory_growth: i64,
    /// Number of rebalances from the beginning to the end of the silence.
    pub rebalances: u64,
    /// The time from the end of the silence to the next write.
    pub caught_up_after: Option<Duration>,
}

impl StallReport {
    /// Whether consumption stopped, memory stayed flat, no member lost its place in the group, and the service went on
    /// afterwards.
    pub fn is_right(&self) -> bool {
        self.consumed == 0 && self.memory_growth < FLAT_BYTES && self.rebalances == 0 && self.caught_up_after.is_some()
    }
}

impl<'a> Watch<'a> {
    pub fn new(counters: &'a Counters, database: &'a Database, messages: u64, stall_seconds: u64) -> Self {
        Watch {
            counters,
            database,
            messages,
            stall_for: Duration::from_secs(stall_seconds),
            started: Instant::now(),
            first: None,
            finished: None,
            phase: Phase::Before,
        }
    }

    /// Enters the next phase when it is time. Must be called often.
    pub fn observe(&mut self) -> io::Result<()> {
        if self.first.is_none() && self.counters.messages_written.get() > 0 {
            self.first = Some(Instant::now());
        }
        if !self.database.is_simulated() || self.stall_for.is_zero() {
            return Ok(());
        }
        let counters = self.counters;
        let mark = || Mark {
            consumed: counters.messages_consumed.get(),
            resident: resident_bytes().unwrap_or(0),
        };
        match &mut self.phase {
            Phase::Before => {
                if service::done(counters) >= self.messages / 2 {
                    self.database.fall_silent()?;
                    self.phase = Phase::Silent {
                        since: Instant::now(),
                        settled: None,
                        rebalances: counters.rebalances.get(),
                    };
                }
            }
            Phase::Silent {
                since,
                settled,
                rebalances,
            } => {
                if settled.is_none() && since.elapsed() >= SETTLE {
                    *settled = Some(mark());
                }
                if since.elapsed() >= self.stall_for {
                    let (now, before) = (mark(), settled.unwrap_or_else(mark));
                    let report = StallReport {
                        lasted: since.elapsed(),
                        consumed: now.consumed - before.consumed,
                        memory_growth: now.resident.cast_signed() - before.resident.cast_signed(),
                        rebalances: counters.rebalances.get() - *rebalances,
                        caught_up_after: None,
                    };
                    let written = counters.messages_written.get();
                    self.database.speak()?;
                    self.phase = Phase::After {
                        report,
                        ended: Instant::now(),
                        written,
                    };
                }
            }
            Phase::After { report, ended, written } => {
                if report.caught_up_after.is_none() && counters.messages_written.get() > *written {
                    report.caught_up_after = Some(ended.elapsed());
                }
            }
        }
        Ok(())
    }

    /// Whether the database is silent now.
    pub fn stalled(&self) -> bool {
        matches!(self.phase, Phase::Silent { .. })
    }

    /// How long the database will still be silent. `None`: it is not silent.
    pub fn silent_for(&self) -> Option<Duration> {
        match self.phase {
            Phase::Silent { since, .. } => Some(self.stall_for.saturating_sub(since.elapsed())),
            Phase::Before | Phase::After { .. } => None,
        }
    }

    /// All messages are finished.
    pub fn finish(&mut self) -> io::Result<()> {
        self.observe()?;
        self.finished = Some(Instant::now());
        Ok(())
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn report(&self) -> Option<StallReport> {
        match &self.phase {
            Phase::After { report, .. } => Some(report.clone()),
            _ => None,
        }
    }

    /// `count` per second from the first write to the last, without the silence and the time until the first write
    /// after it.
    pub fn rate(&self, count: u64) -> f64 {
        let whole = self.finished.unwrap_or_else(Instant::now) - self.first.unwrap_or(self.started);
        let lost = self
            .report()
            .map_or(Duration::ZERO, |r| r.lasted + r.caught_up_after.unwrap_or_default());
        count as f64 / whole.saturating_sub(lost).as_secs_f64().max(0.001)
    }
}
