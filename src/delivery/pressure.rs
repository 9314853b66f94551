//! Pressure: limits how many rows of all workers may be in flight to the database.
//!
//! A caller asks before each call ([`Pressure::enter`]) and reports the outcome afterwards ([`Permit::done`]). There
//! are three states:
//!
//! - **open**: up to `run.rows_in_flight_max` rows;
//! - **limited**: fewer. The limit shrinks by the share of rows that met an overload or timed out. Calls that were in
//!   flight together shrink it once. It grows with every row that the database takes: it doubles up to the point where
//!   it was cut, and grows in small steps from there;
//! - **closed**: the database answers nobody. One caller probes with a few rows and growing pauses, and all others
//!   wait. The first answer opens the gate again, starting from a few rows.
//!
//! So hundreds of blocked threads do not hammer a slow database, and a recovered one is not flooded. Turns are granted
//! in the order in which callers asked. Waiting is cheap: a waiter wakes up for its turn, for its stop flag, for the
//! timer that only the first waiter sets, and every few seconds to call `meanwhile`.
//!
//! This runs on the workers' threads. It knows only how many rows there are and nothing of records. Busy records and
//! closed namespaces are handled in `delivery::write`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use log::{info, warn};
use parking_lot::Mutex;

use crate::observe::counters::Counters;
use crate::util::backoff::Backoff;
use crate::util::seconds::Seconds;
use crate::util::stop::Stop;
use crate::util::throttle::{Repeated, Throttle};

/// Rows in a probe of a closed database, and the limit when it opens again. Enough to reach every node of a small
/// cluster.
const PROBE_ROWS: usize = 16;
/// The limit never shrinks below this.
const ROWS_MIN: f64 = 16.0;
/// First and longest pause between two probes of a closed database. Even with a write time-out per probe, a recovery is
/// noticed within seconds.
const PROBE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1)).half_certain();
/// The gate closes after this many consecutive unanswered calls. One is enough if no other call is in flight.
const MISSES_MAX: u32 = 3;
/// Above the point where it was cut, the limit grows by 1/`STEPS` of `rows_max` in the time of one call.
const STEPS: f64 = 50.0;
/// `run.rows_per_second_max` is enforced over intervals of this length.
const BURST: Duration = Duration::from_millis(100);
/// The state "limited" is logged only if the limit is below this share of `rows_max`.
const TOLD_BELOW: f64 = 0.5;
/// Interval at which a waiter calls `meanwhile`.
const GLANCE: Duration = Duration::from_secs(5);
/// A gate that was closed for less than this is not logged.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// How many rows may be sent to the database now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Up to `run.rows_in_flight_max`.
    Open,
    /// Fewer: the database was overloaded or did not answer in time.
    Limited,
    /// None except for a probe from time to time: the database does not answer.
    Closed,
}

impl Gate {
    /// Its name in the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Gate::Open => "open",
            Gate::Limited => "limited",
            Gate::Closed => "closed",
        }
    }
}

/// Why the limit was last cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Overload,
    TimeOut,
    NoAnswer,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Cause::Overload => "the database says that it is overloaded",
            Cause::TimeOut => "rows were not answered in time",
            Cause::NoAnswer => "the database did not answer",
        }
    }
}

/// The state at one moment, for the log and the metrics.
#[derive(Debug, Clone, Copy)]
pub struct View {
    pub gate: Gate,
    /// Time since the gate entered this state.
    pub since: Duration,
    /// Rows that may be in flight at once; 0 while closed.
    pub limit_rows: usize,
    /// Rows in flight.
    pub in_flight_rows: usize,
    /// Calls that wait for a turn.
    pub waiting: usize,
    /// Why the limit was cut last; `None` while the gate is open.
    pub cause: Option<&'static str>,
}

/// The outcome of the rows of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows whose fate is known: the server answered, or the client failed before it sent them.
    pub answered: usize,
    /// Of those: rows for which the server had no room or no time.
    pub overloaded: usize,
    /// Rows without any answer.
    pub unanswered: usize,
}

/// Shared by all workers.
pub struct Pressure {
    rows_max: usize,
    /// `None`: no limit.
    rows_per_second: Option<f64>,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

impl fmt::Debug for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pressure")
            .field("rows_max", &self.rows_max)
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}

struct State {
    limit: f64,
    /// Below this value the limit doubles; above it the limit grows in small steps.
    threshold: f64,
    in_flight: usize,
    waiting: VecDeque<Arc<Waiter>>,
    closed: Option<Closed>,
    /// Unanswered calls since the last answer.
    misses: u32,
    /// When the last answer came.
    answered: Option<Instant>,
    /// When the limit was last cut. Calls that began before that do not cut it again.
    cut: Option<Instant>,
    cause: Cause,
    /// Rows that may be sent now under `rows_per_second`. Negative: more were sent than it allows so far.
    allowance: f64,
    allowance_at: Instant,
    /// The current state, and since when.
    gate: Gate,
    since: Instant,
    /// Since the gate was last open.
    is_limited: bool,
    told_limited: bool,
    limited_lines: Throttle,
    /// How often it was limited since that was told last.
    limited_times: u64,
}

struct Closed {
    since: Instant,
    /// Nobody probes before this.
    probe_at: Instant,
    /// Number of failed probes.
    failures: u32,
    /// A probe is in flight.
    probing: bool,
    told: bool,
}

/// A caller that waits for a turn.
struct Waiter {
    stop: Stop,
    rows: usize,
    /// Rows that were granted; 0: none yet.
    granted: AtomicUsize,
    /// The waiter must wake up and look again.
    nudged: AtomicBool,
}

impl Waiter {
    fn nudge(&self) {
        self.nudged.store(true, SeqCst);
        self.stop.wake();
    }

    fn grant(&self, rows: usize) {
        self.granted.store(rows, SeqCst);
        self.stop.wake();
    }
}

/// A turn. The caller returns it with [`Permit::done`]. If it is only dropped, it reports nothing about the database.
#[must_use]
#[derive(Debug)]
pub struct Permit<'p> {
    pressure: &'p Pressure,
    rows: usize,
    began: Instant,
    outcome: Option<Outcome>,
}

impl Permit<'_> {
    /// How many rows the call may send.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The call has ended.
    pub fn done(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pressure.leave(self.rows, self.began, self.outcome);
    }
}

impl Pressure {
    /// `rows_max`: how many rows may be in flight at once. `rows_per_second`: `None` for no limit.
    pub fn new(rows_max: usize, rows_per_second: Option<u32>, counters: Arc<Counters>) -> Self {
        let rows_max = rows_max.max(1);
        let now = Instant::now();
        let pressure = Pressure {
            rows_max,
            rows_per_second: rows_per_second.map(f64::from),
            counters,
            state: Mutex::new(State {
                limit: rows_max as f64,
                threshold: rows_max as f64,
                in_flight: 0,
                waiting: VecDeque::new(),
                closed: None,
                misses: 0,
                answered: None,
                cut: None,
                cause: Cause::NoAnswer,
                allowance: 0.0,
                allowance_at: now,
                gate: Gate::Open,
                since: now,
                is_limited: false,
                told_limited: false,
                limited_lines: Throttle::default(),
                limited_times: 0,
            }),
        };
        pressure.publish(&pressure.state.lock());
        pressure
    }

    /// Waits for a turn to send `rows` rows, or fewer.
    ///
    /// Returns `None` if the stop flag is raised first and either the database is closed or `last` has passed since the
    /// stop. Calls `meanwhile` every few seconds while it waits.
    pub fn enter(&self, rows: usize, stop: &Stop, last: Duration, meanwhile: &dyn Fn()) -> Option<Permit<'_>> {
        let rows = rows.max(1);
        let waiter = {
            let mut state = self.state.lock();
            if state.closed.is_some() && stop.requested() {
                return None;
            }
            if state.waiting.is_empty()
                && let Some(granted) = self.take(&mut state, rows, Instant::now())
            {
                return Some(self.permit(granted));
            }
            let waiter = Arc::new(Waiter {
                stop: stop.clone(),
                rows,
                granted: AtomicUsize::new(0),
                // The waiter first checks whether it must set the timer.
                nudged: AtomicBool::new(true),
            });
            state.waiting.push_back(waiter.clone());
            waiter
        };
        let mut glance = Instant::now() + GLANCE;
        loop {
            if Instant::now() >= glance {
                meanwhile();
                glance = Instant::now() + GLANCE;
            }
            let stopped_at = stop.requested_at();
            let alarm = {
                let mut state = self.state.lock();
                let now = Instant::now();
                waiter.nudged.store(false, SeqCst);
                let granted = waiter.granted.load(SeqCst);
                if granted > 0 {
                    return Some(self.permit(granted));
                }
                if stopped_at.is_some_and(|at| state.closed.is_some() || now >= at + last) {
                    state.waiting.retain(|other| !Arc::ptr_eq(other, &waiter));
                    self.admit(&mut state, now);
                    return None;
                }
                let is_front = state.waiting.front().is_some_and(|front| Arc::ptr_eq(front, &waiter));
                if is_front && let Some(granted) = self.take(&mut state, rows, now) {
                    state.waiting.pop_front();
                    self.admit(&mut state, now);
                    return Some(self.permit(granted));
                }
                let turn = if is_front { self.next_turn(&state, now) } else { None };
                let end = stopped_at.map(|at| at + last);
                turn.into_iter().chain(end).fold(glance, Instant::min)
            };
            let is_woken = || waiter.granted.load(SeqCst) > 0 || waiter.nudged.load(SeqCst);
            stop.wait_for(stopped_at.is_some(), is_woken, alarm);
        }
    }

    /// A turn, if one is free now and no other call is in flight or waiting. For the lookout, which only checks whether
    /// the database is back.
    pub fn try_enter(&self, rows: usize) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() || state.in_flight > 0 {
            return None;
        }
        let granted = self.take(&mut state, rows.max(1), Instant::now())?;
        Some(self.permit(granted))
    }

    fn permit(&self, rows: usize) -> Permit<'_> {
        Permit {
            pressure: self,
            rows,
            began: Instant::now(),
            outcome: None,
        }
    }

    /// Takes a turn if one is free now. Returns how many rows it may send.
    fn take(&self, state: &mut State, rows: usize, now: Instant) -> Option<usize> {
        self.refill(state, now);
        if self.rows_per_second.is_some() && state.allowance <= 0.0 {
            return None;
        }
        let granted = match &mut state.closed {
            Some(closed) => {
                if closed.probing || now < closed.probe_at {
                    return None;
                }
                closed.probing = true;
                rows.min(PROBE_ROWS)
            }
            None => {
                let limit = limit_rows(state.limit);
                let granted = rows.min(limit);
                if state.in_flight + granted > limit {
                    return None;
                }
                granted
            }
        };
        self.in_flight(state, state.in_flight + granted);
        state.allowance -= granted as f64;
        Some(granted)
    }

    /// Grants turns to the waiters, in their order, as far as possible. The first one left then sets its timer, if
    /// there is a time to wait for.
    fn admit(&self, state: &mut State, now: Instant) {
        while let Some(front) = state.waiting.front().cloned() {
            match self.take(state, front.rows, now) {
                Some(granted) => {
                    state.waiting.pop_front();
                    front.grant(granted);
                }
                None => {
                    if self.next_turn(state, now).is_some() {
                        front.nudge();
                    }
                    break;
                }
            }
        }
    }

    fn in_flight(&self, state: &mut State, rows: usize) {
        state.in_flight = rows;
        self.counters
            .rows_in_flight
            .set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// When to look again even if no call finishes. `None`: only a call that finishes can free a turn.
    fn next_turn(&self, state: &State, now: Instant) -> Option<Instant> {
        let allowed = self
            .rows_per_second
            .filter(|_| state.allowance <= 0.0)
            .map(|per_second| now + Duration::from_secs_f64((1.0 - state.allowance) / per_second));
        let probe = state
            .closed
            .as_ref()
            .filter(|closed| !closed.probing)
            .map(|closed| closed.probe_at);
        allowed.into_iter().chain(probe).max()
    }

    fn refill(&self, state: &mut State, now: Instant) {
        let Some(per_second) = self.rows_per_second else { return };
        let passed = now.saturating_duration_since(state.allowance_at).as_secs_f64();
        let most = (per_second * BURST.as_secs_f64()).max(1.0);
        state.allowance = (state.allowance + passed * per_second).min(most);
        state.allowance_at = now;
    }

    fn leave(&self, rows: usize, began: Instant, outcome: Option<Outcome>) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let in_flight = state.in_flight - rows;
        self.in_flight(&mut state, in_flight);
        match outcome {
            Some(outcome) if outcome.answered == 0 && outcome.unanswered > 0 => self.missed(&mut state, began, now),
            Some(outcome) => self.answered(&mut state, outcome, began, now),
            // The call says nothing about the database. If it was the probe, another caller probes.
            None => {
                if let Some(closed) = &mut state.closed
                    && began >= closed.probe_at
                {
                    closed.probing = false;
                }
            }
        }
        self.settle(&mut state, now);
        self.admit(&mut state, now);
    }

    /// A call got no answer for any of its rows.
    fn missed(&self, state: &mut State, began: Instant, now: Instant) {
        if let Some(closed) = &mut state.closed {
            // Calls that were in flight when the gate closed say nothing new.
            if closed.probing && began >= closed.probe_at {
                closed.probing = false;
                closed.failures += 1;
                closed.probe_at = now + PROBE.pause(closed.failures);
            }
            return;
        }
        state.misses += 1;
        let answered_since = state.answered.is_some_and(|at| at >= began);
        if !answered_since && (state.misses >= MISSES_MAX || state.in_flight == 0) {
            state.closed = Some(Closed {
                since: began,
                probe_at: now + PROBE.pause(0),
                failures: 0,
                probing: false,
                told: false,
            });
            state.cause = Cause::NoAnswer;
            // A waiter that was told to stop must not wait any longer.
            for waiter in &state.waiting {
                waiter.nudge();
            }
        } else {
            self.cut(state, Cause::TimeOut, 0.5, began, now);
        }
    }

    /// The database answered.
    fn answered(&self, state: &mut State, outcome: Outcome, began: Instant, now: Instant) {
        state.misses = 0;
        state.answered = Some(now);
        if let Some(closed) = state.closed.take() {
            state.limit = (PROBE_ROWS as f64).min(self.rows_max as f64);
            state.threshold = self.rows_max as f64 / 2.0;
            state.cut = Some(now);
            if closed.told {
                info!(
                    "pressure: open again, from {} rows on; the database answers after={:.1}",
                    limit_rows(state.limit),
                    Seconds(closed.since.elapsed())
                );
            }
            return;
        }
        let rows = (outcome.answered + outcome.unanswered).max(1) as f64;
        if outcome.overloaded > 0 || outcome.unanswered > 0 {
            let (cause, rows_bad) = if outcome.unanswered > outcome.overloaded {
                (Cause::TimeOut, outcome.unanswered)
            } else {
                (Cause::Overload, outcome.overloaded)
            };
            self.cut(state, cause, 1.0 - 0.5 * rows_bad as f64 / rows, began, now);
        }
        let taken = outcome.answered.saturating_sub(outcome.overloaded) as f64;
        let growth = if state.limit < state.threshold {
            taken
        } else {
            taken / state.limit * (self.rows_max as f64 / STEPS)
        };
        state.limit = (state.limit + growth).min(self.rows_max as f64);
    }

    fn cut(&self, state: &mut State, cause: Cause, factor: f64, began: Instant, now: Instant) {
        // Calls that were in flight together cut the limit once.
        if state.cut.is_some_and(|cut| began < cut) {
            return;
        }
        state.limit = (state.limit * factor).max(ROWS_MIN).min(self.rows_max as f64);
        state.threshold = state.limit;
        state.cut = Some(now);
        state.cause = cause;
    }

    /// Updates the state, and logs what an operator must know.
    fn settle(&self, state: &mut State, now: Instant) {
        let gate = match &state.closed {
            Some(_) => Gate::Closed,
            None if limit_rows(state.limit) < self.rows_max => Gate::Limited,
            None => Gate::Open,
        };
        if gate != state.gate {
            state.gate = gate;
            state.since = now;
        }
        if let Some(closed) = &mut state.closed
            && !closed.told
            && now.saturating_duration_since(closed.since) >= TOLD_AFTER
        {
            closed.told = true;
            warn!(
                "pressure: closed, the database does not answer; one worker probes it from time to time, the others \
                 wait; nothing is lost, consumption is paused since={:.1}s",
                closed.since.elapsed().as_secs_f64()
            );
        }
        // Reopening after "closed" passes through "limited". It is logged already.
        let is_cut = state.limit < self.rows_max as f64 * TOLD_BELOW && state.cause != Cause::NoAnswer;
        if gate == Gate::Limited && is_cut && !state.told_limited {
            state.limited_times += u64::from(!state.is_limited);
            state.is_limited = true;
            if state.limited_lines.pass_at(now).is_some() {
                state.told_limited = true;
                let repeated = Repeated(std::mem::take(&mut state.limited_times));
                warn!(
                    "pressure: limited, {} rows at once instead of {}: {}; the limit grows again as the database takes \
                     rows{repeated}",
                    limit_rows(state.limit),
                    self.rows_max,
                    state.cause.as_str()
                );
            }
        }
        if gate == Gate::Open {
            state.is_limited = false;
            if state.told_limited {
                state.told_limited = false;
                info!("pressure: open, {} rows at once", self.rows_max);
            }
        }
        self.publish(state);
    }

    fn publish(&self, state: &State) {
        let limit = if state.closed.is_some() {
            0
        } else {
            limit_rows(state.limit)
        };
        self.counters
            .pressure_limit_rows
            .set(i64::try_from(limit).unwrap_or(i64::MAX));
        self.counters.pressure_state.set(match state.gate {
            Gate::Open => 0,
            Gate::Limited => 1,
            Gate::Closed => 2,
        });
    }

    /// The current state.
    pub fn view(&self) -> View {
        let state = self.state.lock();
        View {
            gate: state.gate,
            since: state.since.elapsed(),
            limit_rows: if state.closed.is_some() {
                0
            } else {
                limit_rows(state.limit)
            },
            in_flight_rows: state.in_flight,
            waiting: state.waiting.len(),
            cause: (state.gate != Gate::Open).then_some(state.cause.as_str()),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().closed.is_some()
    }
}

/// The limit in whole rows, at least one.
fn limit_rows(limit: f64) -> usize {
    // `cut` and `answered` keep it between 1 and `rows_max`.
    (limit as usize).max(1)
}

#[cfg(test)]
mod tests;
