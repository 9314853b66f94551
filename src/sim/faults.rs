//! What goes wrong on command, while connections are open: delay, stall, refuse, reset, silence after applying, result
//! codes for rows and for whole batches, stop-writes.
//!
//! Decides only; the connection threads (`server`) and `batch` act on it. One lock, taken once a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::server::Connections;

/// Which rows or batches a result code strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// This part of them, 0.0 to 1.0, drawn from the seeded generator.
    Fraction(f64),
    /// The next so many, then none.
    Next(u64),
}

/// What becomes of a message that arrives during a stall. None is ever answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stalled {
    /// It has no effect.
    Dropped,
    /// It takes effect, and nobody is told.
    Applied,
}

/// A handle on the faults of a running simulator; clones share them.
#[derive(Clone)]
pub struct Faults {
    state: Arc<State>,
}

struct State {
    settings: Mutex<Settings>,
    /// Wakes those who wait out a delay when it is changed, and at the end.
    changed: Condvar,
    stopped: AtomicBool,
    connections: Connections,
}

struct Settings {
    delay: Duration,
    stall: Option<Stalled>,
    refuse: bool,
    reset: u64,
    silence: u64,
    rows: Vec<Strike>,
    reads: Vec<Strike>,
    batches: Vec<Strike>,
    stop_writes: bool,
    random: Random,
}

struct Strike {
    code: u8,
    share: Share,
}

impl Settings {
    fn new(seed: u64) -> Self {
        Settings {
            delay: Duration::ZERO,
            stall: None,
            refuse: false,
            reset: 0,
            silence: 0,
            rows: Vec::new(),
            reads: Vec::new(),
            batches: Vec::new(),
            stop_writes: false,
            random: Random::new(seed),
        }
    }
}

/// What is to be done with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Answer,
    /// Apply it, and say nothing.
    Apply,
    /// Neither apply nor answer it.
    Drop,
    /// Apply it, send half the answer, and close the connection.
    Reset,
}

impl Faults {
    pub(super) fn new(connections: Connections, seed: u64) -> Self {
        let state = State {
            settings: Mutex::new(Settings::new(seed)),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            connections,
        };
        Faults { state: Arc::new(state) }
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.state.settings.lock());
        self.state.changed.notify_all();
    }

    /// Each message and info request waits so long before it is applied. Zero ends it, for those that wait too.
    pub fn delay(&self, delay: Duration) {
        self.change(|settings| settings.delay = delay);
    }

    /// Accept and read, never answer: messages, info, logins.
    pub fn stall(&self, what: Stalled) {
        self.change(|settings| settings.stall = Some(what));
    }

    /// Ends a stall. What was stalled stays unanswered.
    pub fn unstall(&self) {
        self.change(|settings| settings.stall = None);
    }

    /// Closes all connections, and new ones at once, until told otherwise.
    pub fn refuse(&self, refuse: bool) {
        self.change(|settings| settings.refuse = refuse);
        if refuse {
            self.close_connections();
        }
    }

    /// Closes all connections once; clients may come back.
    pub fn close_connections(&self) {
        self.state.connections.close_all();
    }

    /// The next so many messages are applied, half their answer is sent, and the connection is closed.
    pub fn reset_next(&self, messages: u64) {
        self.change(|settings| settings.reset = messages);
    }

    /// The next so many messages are applied and not answered.
    pub fn silence_next(&self, messages: u64) {
        self.change(|settings| settings.silence = messages);
    }

    /// Rows that write, and single writes, are refused with `code` and not applied. Shares add up in the order given;
    /// the first that strikes decides.
    pub fn fail_rows(&self, code: u8, share: Share) {
        self.change(|settings| settings.rows.push(Strike { code, share }));
    }

    /// The same for rows and single messages that only read.
    pub fn fail_reads(&self, code: u8, share: Share) {
        self.change(|settings| settings.reads.push(Strike { code, share }));
    }

    /// Batches are refused whole: one header with `code`, no row applied.
    pub fn fail_batches(&self, code: u8, share: Share) {
        self.change(|settings| settings.batches.push(Strike { code, share }));
    }

    /// Writes answer 8, and `namespace/<name>` says `stop_writes=true`. Deletes still work, as on the server.
    pub fn stop_writes(&self, stop: bool) {
        self.change(|settings| settings.stop_writes = stop);
    }

    /// Starts the generator anew, so that the same shares strike the same rows again.
    pub fn seed(&self, seed: u64) {
        self.change(|settings| settings.random = Random::new(seed));
    }

    /// Ends every fault.
    pub fn clear(&self) {
        self.change(|settings| {
            let random = std::mem::replace(&mut settings.random, Random::new(0));
            *settings = Settings {
                random,
                ..Settings::new(0)
            };
        });
    }

    pub(super) fn is_refusing(&self) -> bool {
        self.state.settings.lock().refuse
    }

    pub(super) fn is_stop_writes(&self) -> bool {
        self.state.settings.lock().stop_writes
    }

    /// Ends all waits, for good.
    pub(super) fn stop(&self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Under the lock, so that nobody is between looking at the flag and waiting.
        drop(self.state.settings.lock());
        self.state.changed.notify_all();
    }

    /// Waits out the delay and says what to do with a frame that arrived.
    pub(super) fn judge(&self, is_message: bool) -> Verdict {
        let arrived = Instant::now();
        let mut settings = self.state.settings.lock();
        while !settings.delay.is_zero() && !self.state.stopped.load(Ordering::SeqCst) {
            let Some(until) = arrived.checked_add(settings.delay) else {
                break;
            };
            if Instant::now() >= until {
                break;
            }
            self.state.changed.wait_until(&mut settings, until);
        }
        match settings.stall {
            Some(Stalled::Applied) if is_message => return Verdict::Apply,
            Some(_) => return Verdict::Drop,
            None => {}
        }
        if !is_message {
            return Verdict::Answer;
        }
        if settings.reset > 0 {
            settings.reset -= 1;
            return Verdict::Reset;
        }
        if settings.silence > 0 {
            settings.silence -= 1;
            return Verdict::Apply;
        }
        Verdict::Answer
    }

    /// The code that strikes this whole batch.
    pub(super) fn strike_batch(&self) -> Option<u8> {
        let settings = &mut *self.state.settings.lock();
        strike(&mut settings.batches, &mut settings.random)
    }

    /// For each row, given whether it writes, the code that strikes it; empty where no fault is set.
    pub(super) fn strike_rows(&self, writes: impl Iterator<Item = bool>) -> Vec<Option<u8>> {
        let settings = &mut *self.state.settings.lock();
        if settings.rows.is_empty() && settings.reads.is_empty() {
            return Vec::new();
        }
        writes
            .map(|writes| {
                let strikes = if writes {
                    &mut settings.rows
                } else {
                    &mut settings.reads
                };
                strike(strikes, &mut settings.random)
            })
            .collect()
    }

    pub(super) fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.state.settings.lock().random)
    }
}

fn strike(strikes: &mut Vec<Strike>, random: &mut Random) -> Option<u8> {
    let mut struck = None;
    for strike in strikes.iter_mut() {
        let hits = match &mut strike.share {
            Share::Fraction(fraction) => random.fraction() < *fraction,
            Share::Next(left) => {
                *left = left.saturating_sub(1);
                true
            }
        };
        if hits {
            struck = Some(strike.code);
            break;
        }
    }
    strikes.retain(|strike| strike.share != Share::Next(0));
    struck
}

/// A small seeded generator (splitmix64): what a run drew, the next run with its seed draws again.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// In 0.0..1.0.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// In 0..bound, for a bound above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_strikes_about_its_part_and_the_same_rows_for_a_seed() {
        let faults = Faults::new(Connections::default(), 1);
        faults.fail_rows(18, Share::Fraction(0.2));
        let first = faults.strike_rows((0..1000).map(|_| true));
        let struck = first.iter().flatten().count();
        assert!((150..250).contains(&struck), "{struck} of 1000");
        faults.seed(1);
        assert_eq!(faults.strike_rows((0..1000).map(|_| true)), first);
        assert_eq!(
            faults.strike_rows([false].into_iter()),
            [None],
            "a write's fault does not strike a read"
        );
    }

    #[test]
    fn a_count_strikes_so_many_and_ends() {
        let faults = Faults::new(Connections::default(), 1);
        faults.fail_batches(151, Share::Next(2));
        assert_eq!(
            [faults.strike_batch(), faults.strike_batch(), faults.strike_batch()],
            [Some(151), Some(151), None]
        );
        faults.fail_rows(9, Share::Next(3));
        faults.clear();
        assert!(faults.strike_rows([true].into_iter()).is_empty());
    }
}
