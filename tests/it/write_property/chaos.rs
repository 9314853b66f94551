//! The store, with a simulator that fails as a seed says. Before each call the simulator is told which fault to
//! produce; after the call the fault is cleared.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use aerospike::ResultCode;
use penstock::aerospike::Store;
use penstock::delivery::plan::OutgoingRow;
use penstock::delivery::row_outcomes::{CallFailure, Disposition};
use penstock::delivery::write::{Answer, RowWriter, Stored};
use penstock::util::stop::{Stop, StopKind};
use penstock_sim::{EarlyEnd, Share, Simulator};

/// The possible faults.
#[derive(Debug, Clone, Copy)]
pub struct Trouble {
    /// Answers are lost although rows were applied. Only in calls whose rows are all guarded or versioned.
    pub lost_answers: bool,
    /// Answers are missing, so that the caller waits for them.
    pub silence: bool,
    /// The process ends in the call with this number.
    pub crash_in: Option<usize>,
}

impl Trouble {
    pub const ANY: Trouble = Trouble {
        lost_answers: true,
        silence: false,
        crash_in: None,
    };
    pub const SILENCE: Trouble = Trouble {
        silence: true,
        ..Trouble::ANY
    };
}

/// Maximum number of faults per case that make the write loop pause: each costs tens of milliseconds.
const PAUSES_MAX: u32 = 2;
/// Maximum number of calls, far more than a case needs.
const CALLS_MAX: usize = 5000;
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Chaos<'s> {
    store: &'s Store,
    simulator: &'s Simulator,
    trouble: Trouble,
    stop: Stop,
    random: RefCell<fastrand::Rng>,
    pauses: Cell<u32>,
    calls: Cell<usize>,
    begun: Instant,
    rows_max: Cell<usize>,
}

impl<'s> Chaos<'s> {
    pub fn new(store: &'s Store, simulator: &'s Simulator, seed: u64, trouble: Trouble) -> Chaos<'s> {
        let faults = simulator.faults();
        faults.clear();
        faults.seed(seed);
        Chaos {
            store,
            simulator,
            trouble,
            stop: Stop::new(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            pauses: Cell::new(0),
            calls: Cell::new(0),
            begun: Instant::now(),
            rows_max: Cell::new(usize::MAX),
        }
    }

    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    fn below(&self, bound: usize) -> usize {
        self.random.borrow_mut().usize(..bound)
    }

    fn one_in(&self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn crashed(&self) -> bool {
        self.trouble.crash_in.is_some_and(|last| self.calls.get() > last)
    }

    /// Sets the simulator's fault for one call.
    fn arm(&self, rows: &[OutgoingRow<'_>]) {
        let faults = self.simulator.faults();
        if self.one_in(4) {
            faults.busy(Share::Fraction(0.4));
        }
        // A refusal is not believed if the call has several rows; for a single row it would be.
        if rows.len() > 1 && self.one_in(4) {
            let code = [12, 4, 13, 26][self.below(4)];
            faults.fail_rows(code, Share::Next(1 + self.below(rows.len().min(3)) as u64));
            return;
        }
        if self.pauses.get() >= PAUSES_MAX || !self.one_in(4) {
            return;
        }
        self.pauses.set(self.pauses.get() + 1);
        let guarded = rows.iter().all(is_refused_again);
        match self.below(if guarded && self.trouble.lost_answers { 7 } else { 4 }) {
            0 => faults.fail_rows([18, 9, 11][self.below(3)], Share::Fraction(0.5)),
            1 => faults.fail_batches([150, 152, 9][self.below(3)], Share::Next(1)),
            2 if rows.len() > 1 => {
                self.rows_max.set((rows.len() / 2).max(1));
                faults.fail_batches(ResultCode::BatchMaxRequestsExceeded.into(), Share::Next(1));
            }
            2 => faults.fail_reads(18, Share::Next(1)),
            3 => self.end_early(rows.len(), 0, 0.0),
            4 => self.end_early(rows.len(), self.below(rows.len()), 0.7),
            _ if self.trouble.silence => faults.silence(Share::Next(1)),
            5 => faults.reset_next(1),
            _ => self.end_early(rows.len(), self.below(rows.len()), 1.0),
        }
    }

    /// The client puts the code on the first row, although that row may have been applied. A batch of one row never
    /// ends with 4: it would be the row's own.
    fn end_early(&self, rows: usize, rows_answered: usize, applied: f64) {
        let end = EarlyEnd {
            rows_answered,
            applied,
            code: [0, 9, 4][self.below(if rows == 1 { 2 } else { 3 })],
        };
        self.simulator.faults().end_batches(Share::Next(1), end);
    }
}

/// Whether the record itself refuses the row if it was applied already.
fn is_refused_again(row: &OutgoingRow<'_>) -> bool {
    let [guard, newer] = row.conditions;
    guard.is_some() || newer.is_some_and(|newer| !newer.or_equal)
}

const LOST: Answer = Answer::Failed {
    failure: CallFailure::Connection,
    in_doubt: true,
};

impl RowWriter for Chaos<'_> {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        self.calls.set(self.calls.get() + 1);
        assert!(self.calls.get() < CALLS_MAX, "so many calls lead nowhere");
        assert!(self.begun.elapsed() < PATIENCE, "a record waits for ever: {rows:#?}");
        if self.crashed() {
            return vec![LOST; rows.len()];
        }
        let last = self.trouble.crash_in == Some(self.calls.get());
        if last {
            self.stop.request(StopKind::Abandon);
            if self.one_in(3) {
                return vec![LOST; rows.len()];
            }
        }
        self.arm(rows);
        let mut answers = self.store.write(rows);
        self.simulator.faults().clear();
        for (row, answer) in rows.iter().zip(&answers) {
            // Otherwise the record would wait for ever.
            let held = answer.disposition() == Disposition::HoldRecord;
            let asked_for = matches!(answer, Answer::Code(code) if row.answers_with(*code));
            assert!(!held || asked_for, "{answer:?} to {row:#?}");
        }
        if last {
            let kept = self.below(rows.len() + 1);
            answers[kept..].fill(LOST);
        }
        answers
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        if self.crashed() {
            return vec![None; rows.len()];
        }
        if self.pauses.get() < PAUSES_MAX && self.one_in(4) {
            self.pauses.set(self.pauses.get() + 1);
            self.simulator.faults().fail_reads(18, Share::Next(1));
        }
        let stored = self.store.stored(rows);
        self.simulator.faults().clear();
        stored
    }

    fn rows_max(&self) -> usize {
        self.rows_max.get()
    }

    fn codes_are_exact(&self) -> bool {
        self.store.codes_are_exact()
    }

    fn lacks_namespace(&self, namespace: &str) -> bool {
        self.store.lacks_namespace(namespace)
    }
}
