//! Write: sends the rows of a plan to the database, and retries for as long as necessary.
//!
//! Runs on the partition's own thread and blocks it. That is the back-pressure. Each record has a lane: its rows are
//! sent in order, each one after the previous one is answered. Lanes that are ready share calls. A row is done when its
//! own result says so. Only the other rows are sent again, with a growing backoff. A busy record delays only itself, a
//! closed namespace only its own rows. The stop flag ends every wait at once.
//!
//! [`mod@crate::delivery::row_outcomes`] decides what an answer means. Three codes depend on the request and are
//! handled here.

use std::time::{Duration, Instant};

use crate::config::model::{InDoubt, Mode, OnConflict};
use crate::delivery::guard::Guard;
use crate::delivery::plan::{Entry, OutgoingRow, Plan, Position, Taken};
use crate::delivery::pressure::{Outcome, Permit, Pressure};
use crate::delivery::row_outcomes::{
    CallFailure, Disposition, ELEMENT_EXISTS, ELEMENT_NOT_FOUND, EXISTS, FILTERED_OUT, NOT_FOUND, PARAMETER,
    disposition, is_overload, may_be_applied, refuses_all,
};
use crate::output::row::RowRules;
use crate::util::backoff::Backoff;
use crate::util::stop::{GLANCE, Stop};

/// The database's answer for one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The server's result code for this row.
    Code(u8),
    /// There is no code.
    Failed {
        failure: CallFailure,
        /// The row may have been applied all the same.
        in_doubt: bool,
    },
}

impl Answer {
    pub fn disposition(self) -> Disposition {
        match self {
            Answer::Code(code) => disposition(code),
            Answer::Failed { failure, .. } => failure.disposition(),
        }
    }

    /// Whether the row may be applied now.
    pub fn in_doubt(self) -> bool {
        match self {
            Answer::Code(code) => may_be_applied(code),
            Answer::Failed { in_doubt, .. } => in_doubt,
        }
    }
}

/// What a record holds in the bins of its conditions: first the guard, then the version. `None`: no such bin, or not an
/// integer.
pub type Stored = [Option<i64>; 2];

/// Makes the calls: the store, or a test.
pub trait RowWriter {
    /// Makes one call with these rows, each for a different record. Returns one answer per row, in the order of the
    /// rows. Blocks for a bounded time.
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer>;

    /// Reads what the records of these rows hold in the bins of the rows' conditions. `None` for a record that cannot
    /// be read now.
    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>>;

    /// The most rows in one call that the database allows.
    fn rows_max(&self) -> usize;

    /// Whether each code but 4 is the answer to its own row. The `aerospike` crate puts the code with which a server
    /// ends a batch on the first row, even if that row succeeded. A server ends a batch with 4 at a row that it cannot
    /// read and does not say which, so 4 is only believed of a row that was alone.
    fn codes_are_exact(&self) -> bool {
        false
    }

    /// Whether a reachable node says that it does not have this namespace.
    fn lacks_namespace(&self, namespace: &str) -> bool;

    /// The user is refused, with this code: whether the row is sent again, since another login may take the place of
    /// this one. The writer then sees to it that the service ends if there is none.
    fn awaits_login(&self, _code: u8) -> bool {
        false
    }
}

/// Why the service cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fatal {
    /// User or password are refused, or the user may not write here. The server's code.
    Credentials(u8),
    /// The cluster is reachable and does not have this namespace.
    NoNamespace(String),
}

/// Why a row will not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The database refuses it because of its content.
    Code(u8),
    /// The client cannot send it.
    Unsendable,
    /// The record exists (`mode = "create"`) or does not exist (`"update_only"`). The server's code.
    Conflict(u8),
    /// It may have been applied, must not be repeated, and its `in_doubt` says to reject it.
    InDoubt,
}

/// A row that will not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its number in the plan.
    pub row: usize,
    pub refusal: Refusal,
    /// In how many calls it was sent.
    pub attempts: u32,
    /// One of those calls may have applied it all the same.
    pub in_doubt: bool,
}

/// Number of rows by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Applied.
    pub written: u64,
    /// Of those: applied in one row together with others of their record.
    pub merged: u64,
    /// Not applied: the record has a newer version.
    pub stale: u64,
    /// Not applied again: the record's guard shows that they were applied.
    pub guard_refused: u64,
    /// Not applied: `mode` contradicts the record's state, and `on_conflict` says to ignore that.
    pub ignored: u64,
}

/// How the writing of a plan ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub end: WriteEnd,
    /// Refused rows. Later rows of their records are not sent and are in `open`.
    pub refused: Vec<Refused>,
    /// Rows that are neither done nor refused.
    pub open: Vec<usize>,
    pub tally: Tally,
    /// Only for a replay: rows that are finished without being applied, and why.
    pub unapplied: Vec<(usize, Unapplied)>,
}

/// Why a row of a replay was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unapplied {
    /// The ledger has it: an earlier replay has applied it.
    Already,
    /// The record has a newer version.
    Stale,
    /// `mode` contradicts the record's state, and `on_conflict` says to ignore that.
    Ignored,
    /// A later message of its partition has written the record. The row is not done. Of a plan that only asks: the ledger
    /// does not have it.
    Later,
}

/// Why the writing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteEnd {
    /// Every record is done or stopped at a refused row.
    Finished,
    /// The stop flag was raised first.
    Stopped,
    Fatal(Fatal),
}

/// Limits of calls.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows in one call, at most.
    pub rows: usize,
    /// Estimated bytes of the rows in one call, at most. A single row may exceed it.
    pub bytes: usize,
    /// How long after a stop calls may still begin.
    pub finish_max: Duration,
}

/// How calls are made.
#[derive(Clone, Copy)]
pub struct Calls<'c> {
    pub writer: &'c dyn RowWriter,
    /// Asked for a turn before each call.
    pub pressure: &'c Pressure,
    pub stop: &'c Stop,
    /// Called before each call, every [`GLANCE`] of a pause, and every few seconds while waiting for a turn, so that
    /// the partition's other duties go on.
    pub meanwhile: &'c dyn Fn(),
}

/// Writes all rows of `plan`.
///
/// After a stop, a row is sent once but not retried, and calls begin only until `finish_max` after the stop. So a
/// healthy database finishes the current batch. A sick database, or a batch of a thousand calls, does not delay the
/// end. Including the call in flight, a worker leaves within `finish_max` and two write time-outs.
pub fn write(plan: &Plan<'_>, limits: &Limits, guard: &Guard, calls: &Calls<'_>) -> Written {
    let mut writing = Writing::new(plan, guard, calls.writer);
    let end = writing.run(limits, calls);
    let mut open: Vec<usize> = writing
        .lanes
        .iter()
        .filter_map(|lane| lane.position)
        .flat_map(|position| plan.rest(position))
        .collect();
    open.retain(|row| !writing.refused.iter().any(|refused| refused.row == *row));
    Written {
        end,
        refused: writing.refused,
        open,
        tally: writing.tally,
        unapplied: writing.unapplied,
    }
}

/// The state of one record.
#[derive(Debug)]
struct RecordLane {
    /// The first row that is not done. `None`: all are done.
    position: Option<Position>,
    /// The next rows are sent message by message, because the merged row was refused.
    by_message: bool,
    /// The next row is sent in a call of its own. It was refused together with others, and another row may have been
    /// the cause.
    alone: bool,
    /// This is the second attempt of a row whose ttl applies only if it creates the record.
    create: bool,
    /// The ledger is asked whether it has the next row.
    asks: bool,
    wait: Wait,
    /// A row of this record was refused: no later row is sent.
    is_stopped: bool,
    /// Number of calls that contained the next row.
    attempts: u32,
    /// One of these calls may have applied it.
    in_doubt: bool,
}

impl RecordLane {
    fn at(position: Option<Position>) -> Self {
        RecordLane {
            position,
            by_message: false,
            alone: false,
            create: false,
            asks: false,
            wait: Wait::default(),
            is_stopped: false,
            attempts: 0,
            in_doubt: false,
        }
    }
}

/// A pause that grows with each failure.
#[derive(Debug, Default)]
struct Wait {
    until: Option<Instant>,
    failures: u32,
}

/// Backoff after a failure of some rows of a call. If no row is answered, `pressure` makes all workers wait. This one
/// is for a cluster of which a part is away or overloaded.
const DATABASE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// Backoff for a busy record. It is usually free again within milliseconds.
const BUSY: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
/// Backoff for a problem that a person must solve.
const HELD: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

impl Wait {
    fn failed(&mut self, backoff: Backoff) {
        self.until = Some(Instant::now() + backoff.pause(self.failures));
        self.failures += 1;
    }

    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

/// A namespace that accepts no writes now.
#[derive(Debug)]
struct Closed<'p> {
    namespace: &'p str,
    wait: Wait,
}

struct Writing<'p, 'm> {
    plan: &'p Plan<'m>,
    guard: &'p Guard,
    writer: &'p dyn RowWriter,
    lanes: Vec<RecordLane>,
    /// Lanes that are neither done nor held, in their order.
    unfinished: Vec<usize>,
    /// Nothing is sent before this.
    resume: Wait,
    namespaces: Vec<Closed<'p>>,
    refused: Vec<Refused>,
    /// Stale rows that a later row continues.
    passed_over: Vec<usize>,
    /// The namespace that was looked up in this call and is not missing.
    present: Option<&'p str>,
    tally: Tally,
    unapplied: Vec<(usize, Unapplied)>,
}

impl<'p, 'm> Writing<'p, 'm> {
    fn new(plan: &'p Plan<'m>, guard: &'p Guard, writer: &'p dyn RowWriter) -> Self {
        Writing {
            plan,
            guard,
            writer,
            lanes: (0..plan.records())
                .map(|record| RecordLane::at(Some(plan.begin(record))))
                .collect(),
            unfinished: (0..plan.records()).collect(),
            resume: Wait::default(),
            namespaces: Vec::new(),
            present: None,
            refused: Vec::new(),
            passed_over: Vec::new(),
            tally: Tally::default(),
            unapplied: Vec::new(),
        }
    }

    fn run(&mut self, limits: &Limits, calls: &Calls<'_>) -> WriteEnd {
        let stop = calls.stop;
        loop {
            let lanes = &self.lanes;
            self.unfinished
                .retain(|lane| lanes[*lane].position.is_some() && !lanes[*lane].is_stopped);
            if self.unfinished.is_empty() {
                return WriteEnd::Finished;
            }
            if stop.requested_at().is_some_and(|at| at.elapsed() >= limits.finish_max) {
                return WriteEnd::Stopped;
            }
            (calls.meanwhile)();
            match self.next_call(limits.rows.min(self.writer.rows_max()).max(1), limits.bytes) {
                Next::Call(mut call) => {
                    let Some(permit) = calls
                        .pressure
                        .enter(call.len(), stop, limits.finish_max, calls.meanwhile)
                    else {
                        return WriteEnd::Stopped;
                    };
                    call.truncate(permit.rows());
                    if let Err(fatal) = self.call(&call, permit, stop) {
                        return WriteEnd::Fatal(fatal);
                    }
                }
                Next::Wait(until) => {
                    let pause = until.saturating_duration_since(Instant::now());
                    if stop.wait(pause.min(GLANCE)) {
                        return WriteEnd::Stopped;
                    }
                }
            }
        }
    }

    /// The lanes that are ready, or the time when the next one is.
    fn next_call(&self, rows_max: usize, bytes_max: usize) -> Next {
        let now = Instant::now();
        if let Some(until) = self.resume.until.filter(|until| *until > now) {
            return Next::Wait(until);
        }
        let mut call = Vec::with_capacity(rows_max.min(self.unfinished.len()));
        let mut earliest: Option<Instant> = None;
        let mut probed: Vec<&str> = Vec::new();
        let mut bytes = 0;
        for &number in &self.unfinished {
            let lane = &self.lanes[number];
            let mut until = lane.wait.until.filter(|until| *until > now);
            if until.is_none()
                && let Some(closed) = self.closed(number)
            {
                // One row per namespace is tried, for all its rows.
                until = closed.wait.until.filter(|until| *until > now);
                if until.is_none() {
                    let namespace = closed.namespace;
                    if probed.contains(&namespace) {
                        continue;
                    }
                    probed.push(namespace);
                }
            }
            match until {
                Some(until) => earliest = Some(earliest.map_or(until, |earliest| earliest.min(until))),
                None if lane.alone => {
                    if call.is_empty() {
                        return Next::Call(vec![number]);
                    }
                }
                None => {
                    bytes += self.bytes(number);
                    if bytes > bytes_max && !call.is_empty() {
                        break;
                    }
                    call.push(number);
                }
            }
            if call.len() >= rows_max {
                break;
            }
        }
        match earliest {
            Some(until) if call.is_empty() => Next::Wait(until),
            _ => Next::Call(call),
        }
    }

    fn closed(&self, lane: usize) -> Option<&Closed<'p>> {
        if self.namespaces.is_empty() {
            return None;
        }
        let namespace = self.namespace(lane)?;
        self.namespaces.iter().find(|closed| closed.namespace == namespace)
    }

    fn namespace(&self, lane: usize) -> Option<&'p str> {
        let position = self.lanes[lane].position?;
        Some(&self.plan.row(position.row()).row.target.namespace)
    }

    fn compose(&self, lane: usize) -> Option<OutgoingRow<'p>> {
        let RecordLane {
            position,
            by_message,
            create,
            asks,
            ..
        } = self.lanes[lane];
        if asks || self.plan.asks() {
            return self.plan.confirm(position?);
        }
        let is_passed_over = |row| self.passed_over.contains(&row);
        let row = self
            .plan
            .compose(position?, by_message, create, is_passed_over, self.guard);
        Some(row)
    }

    /// Estimated bytes of a lane's next row.
    fn bytes(&self, lane: usize) -> usize {
        self.stretch(lane).map(|row| self.plan.row(row).bytes).sum()
    }

    fn call(&mut self, call: &[usize], permit: Permit<'_>, stop: &Stop) -> Result<(), Fatal> {
        let mut rows: Vec<OutgoingRow<'p>> = Vec::with_capacity(call.len());
        rows.extend(call.iter().filter_map(|lane| self.compose(*lane)));
        for lane in call {
            self.lanes[*lane].attempts += 1;
        }
        let answers = self.writer.write(&rows);
        permit.done(outcome(&answers));
        self.present = None;
        assert_eq!(answers.len(), rows.len(), "a writer answers for each row");
        let company = Company {
            alone: rows.len() == 1,
            ended_early: answers
                .iter()
                .any(|answer| matches!(answer, Answer::Failed { in_doubt: true, .. })),
            codes_are_exact: self.writer.codes_are_exact(),
        };
        let rows_sent = rows.len();
        let answers_halve = answers.iter().any(|answer| answer.disposition() == Disposition::Halve);
        let mut retry = false;
        let mut to_read = Vec::new();
        for (place, (&lane, answer)) in call.iter().zip(answers).enumerate() {
            let row = &rows[place];
            let wish = self.wish(lane, row, answer, company)?;
            match wish {
                Wish::Read => to_read.push(place),
                Wish::Retry => retry = true,
                Wish::Nothing => {}
            }
            if !self.namespaces.is_empty() && answer.disposition() == Disposition::Done {
                self.namespaces
                    .retain(|closed| closed.namespace != row.target.namespace);
            }
        }
        if !to_read.is_empty() {
            // After a stop there is no time for another call. The next owner handles what these rows still need.
            retry |= stop.requested() || self.read(call, rows, &to_read);
        }
        // A batch that was too big for the server is sent again at once, in smaller ones.
        let halved = rows_sent > 1 && answers_halve;
        if retry && !halved {
            self.resume.failed(DATABASE);
        } else {
            self.resume = Wait::default();
        }
        Ok(())
    }

    fn wish(&mut self, lane: usize, row: &OutgoingRow<'p>, answer: Answer, company: Company) -> Result<Wish, Fatal> {
        let Some(position) = self.lanes[lane].position else {
            return Ok(Wish::Nothing);
        };
        let rules = self.plan.row(position.row()).row.rules;
        if self.plan.ledger().is_some()
            && let Answer::Code(code) = answer
            && self.is_of_ledger(lane, row, code)
        {
            return Ok(Wish::Nothing);
        }
        match answer {
            Answer::Code(FILTERED_OUT) if row.is_conditional() => {
                let single = self.stretch(lane).nth(1).is_none();
                match row.conditions {
                    // At least the first sequence number is applied, and the row has only one.
                    [Some(_), None] if single => self.tally.guard_refused += 1,
                    [None, Some(_)] if single => self.tally.stale += 1,
                    _ => return Ok(Wish::Read),
                }
                self.advance(lane);
                return Ok(Wish::Nothing);
            }
            Answer::Code(NOT_FOUND) if row.only_removes && rules.mode != Mode::UpdateOnly => {
                self.done(lane, row);
                return Ok(Wish::Nothing);
            }
            Answer::Code(NOT_FOUND) if row.exists == Mode::UpdateOnly => {
                if rules.ttl_on_create {
                    self.lanes[lane].create = true;
                } else {
                    self.conflict(lane, NOT_FOUND);
                }
                return Ok(Wish::Nothing);
            }
            // The row has removed again what it set, so it creates no record.
            Answer::Code(NOT_FOUND) if row.may_end => {
                self.done(lane, row);
                return Ok(Wish::Nothing);
            }
            Answer::Code(EXISTS) if row.exists == Mode::Create => {
                if rules.ttl_on_create {
                    self.lanes[lane].create = false;
                } else if rules.guarded {
                    // An earlier attempt of this row gets the same answer: the server checks for existence before the
                    // condition.
                    return Ok(Wish::Read);
                } else {
                    self.conflict(lane, EXISTS);
                }
                return Ok(Wish::Nothing);
            }
            _ => {}
        }
        let disposition = answer.disposition();
        if disposition == Disposition::Done {
            self.done(lane, row);
            return Ok(Wish::Nothing);
        }
        // If the server ends a whole batch early, it writes the code over the result of the first row, even if that row
        // succeeded.
        let stamped = match answer {
            Answer::Code(PARAMETER) => !company.alone,
            Answer::Code(code) => {
                !company.codes_are_exact && company.ended_early && !company.alone && !refuses_all(code)
            }
            Answer::Failed { .. } => false,
        };
        let in_doubt = answer.in_doubt() || stamped;
        self.lanes[lane].in_doubt |= in_doubt;
        if in_doubt && !safe_to_repeat(rules, row) && rules.in_doubt != InDoubt::Retry {
            self.refuse(lane, Refusal::InDoubt);
            return Ok(Wish::Nothing);
        }
        match disposition {
            Disposition::Retry => return Ok(Wish::Retry),
            Disposition::Halve if company.alone => return Ok(Wish::Retry),
            Disposition::Done | Disposition::Halve => {}
            Disposition::RetryRecord => self.lanes[lane].wait.failed(BUSY),
            Disposition::HoldRecord => self.lanes[lane].wait.failed(HELD),
            Disposition::HoldNamespace => {
                self.lanes[lane].wait.failed(HELD);
                self.close(lane);
            }
            Disposition::NoNamespace => {
                let namespace = row.target.namespace.as_str();
                // Looked up once per call: a call may have hundreds of such rows.
                if self.present != Some(namespace) {
                    if self.writer.lacks_namespace(namespace) {
                        return Err(Fatal::NoNamespace(namespace.to_owned()));
                    }
                    self.present = Some(namespace);
                }
                return Ok(Wish::Retry);
            }
            Disposition::Credentials => {
                let code = match answer {
                    Answer::Code(code) => code,
                    Answer::Failed { .. } => 0,
                };
                if self.writer.awaits_login(code) {
                    return Ok(Wish::Retry);
                }
                return Err(Fatal::Credentials(code));
            }
            Disposition::Reject if !company.alone => self.lanes[lane].alone = true,
            Disposition::Reject => {
                if self.is_of_several_messages(lane) {
                    self.lanes[lane].by_message = true;
                    self.lanes[lane].alone = false;
                } else {
                    self.refuse(
                        lane,
                        match answer {
                            Answer::Code(code) => Refusal::Code(code),
                            Answer::Failed { .. } => Refusal::Unsendable,
                        },
                    );
                }
            }
        }
        Ok(Wish::Nothing)
    }

    /// Handles the answers that depend on the ledger of a replay. Each row is sent alone, so a lane's next row is one.
    ///
    /// A row that is applied by now may be refused before its entry is looked at: by its own guard, by its own version,
    /// or because it has created the record. So the ledger is asked before such an answer is believed.
    fn is_of_ledger(&mut self, lane: usize, row: &OutgoingRow<'_>, code: u8) -> bool {
        let Some(position) = self.lanes[lane].position else {
            return false;
        };
        let rules = self.plan.row(position.row()).row.rules;
        let creates = row.exists == Mode::Create && !rules.ttl_on_create;
        match (row.entry(), code) {
            (Some(Entry::Made), ELEMENT_EXISTS) | (Some(Entry::Asked), 0) => self.pass(lane, Unapplied::Already),
            // It is not written, whatever the answer.
            (Some(Entry::Asked), ELEMENT_NOT_FOUND | NOT_FOUND) if self.plan.asks() => {
                self.pass(lane, Unapplied::Later);
            }
            (Some(Entry::Made), FILTERED_OUT) => self.lanes[lane].asks = true,
            (Some(Entry::Made), EXISTS) if creates => self.lanes[lane].asks = true,
            (Some(Entry::Asked), ELEMENT_NOT_FOUND) if rules.guarded => self.pass(lane, Unapplied::Later),
            (Some(Entry::Asked), ELEMENT_NOT_FOUND) if rules.mode == Mode::Create => {
                self.lanes[lane].asks = false;
                self.conflict(lane, EXISTS);
            }
            (Some(Entry::Asked), ELEMENT_NOT_FOUND) => self.pass(lane, Unapplied::Stale),
            // The record is gone since: the row is sent again.
            (Some(Entry::Asked), NOT_FOUND) => {
                self.lanes[lane].asks = false;
                self.lanes[lane].wait.failed(BUSY);
            }
            (None, FILTERED_OUT) if rules.guarded => self.pass(lane, Unapplied::Later),
            (None, FILTERED_OUT) if row.is_conditional() => self.pass(lane, Unapplied::Stale),
            _ => return false,
        }
        true
    }

    /// The next row of a replay is finished, and not applied.
    fn pass(&mut self, lane: usize, why: Unapplied) {
        if let Some(position) = self.lanes[lane].position {
            self.unapplied.push((position.row(), why));
        }
        match why {
            Unapplied::Already => self.tally.guard_refused += 1,
            Unapplied::Stale => self.tally.stale += 1,
            Unapplied::Ignored => self.tally.ignored += 1,
            Unapplied::Later => {}
        }
        self.advance(lane);
    }

    fn stretch(&self, lane: usize) -> impl Iterator<Item = usize> + Clone + use<'p, '_> {
        let plan = self.plan;
        let by_message = self.lanes[lane].by_message;
        let position = self.lanes[lane].position;
        position
            .into_iter()
            .flat_map(move |position| plan.stretch(position, by_message))
    }

    fn is_of_several_messages(&self, lane: usize) -> bool {
        let mut messages = self.stretch(lane).map(|row| self.plan.message(row));
        let first = messages.next();
        messages.any(|message| Some(message) != first)
    }

    /// Everything that was sent of a lane is applied.
    fn done(&mut self, lane: usize, row: &OutgoingRow<'_>) {
        let rows = self.stretch(lane).count() as u64;
        let stale = row.stale as u64;
        self.tally.stale += stale;
        self.tally.written += rows - stale;
        self.tally.merged += rows - stale - 1;
        self.pass_over(&row.passed_over);
        self.advance(lane);
    }

    /// These rows were stale. So if the record has their version, another message brought it; this matters for the rows
    /// that continue them. Only guarded rows are noted: for others, an earlier delivery of the same message may have
    /// brought it.
    fn pass_over(&mut self, rows: &[usize]) {
        let plan = self.plan;
        let guarded = rows.iter().filter(|row| plan.row(**row).row.rules.guarded);
        self.passed_over.extend(guarded);
    }

    fn conflict(&mut self, lane: usize, code: u8) {
        let ignore = self.stretch(lane).all(|row| {
            let rules = self.plan.row(row).row.rules;
            rules.on_conflict == OnConflict::Ignore
        });
        if ignore && self.plan.ledger().is_some() {
            self.pass(lane, Unapplied::Ignored);
        } else if ignore {
            self.tally.ignored += self.stretch(lane).count() as u64;
            self.advance(lane);
        } else {
            self.refuse(lane, Refusal::Conflict(code));
        }
    }

    /// No later row of this record is sent. Otherwise a guard would take the refused row for applied if it were sent
    /// again.
    fn refuse(&mut self, lane: usize, refusal: Refusal) {
        let RecordLane { attempts, in_doubt, .. } = self.lanes[lane];
        let refused = self.stretch(lane).map(|row| Refused {
            row,
            refusal,
            attempts,
            in_doubt,
        });
        let refused: Vec<Refused> = refused.collect();
        self.refused.extend(refused);
        self.lanes[lane].is_stopped = true;
    }

    fn advance(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        let Some(position) = lane.position else { return };
        let behind = self.plan.behind(position, lane.by_message);
        *lane = RecordLane {
            by_message: lane.by_message && behind.is_some_and(|behind| behind.is_in_unit_of(position)),
            ..RecordLane::at(behind)
        };
    }

    fn close(&mut self, lane: usize) {
        let Some(namespace) = self.namespace(lane) else { return };
        let known = self.namespaces.iter().position(|closed| closed.namespace == namespace);
        let place = known.unwrap_or_else(|| {
            self.namespaces.push(Closed {
                namespace,
                wait: Wait::default(),
            });
            self.namespaces.len() - 1
        });
        let wait = &mut self.namespaces[place].wait;
        // Once per call.
        if wait.is_over(Instant::now()) {
            wait.failed(HELD);
        }
    }

    /// For rows whose records say that at least the first part of the merged row is applied: reads the records. Parts
    /// that a record has are done, and the rest is sent as one row. Returns `true` if some records could not be read.
    fn read(&mut self, call: &[usize], rows: Vec<OutgoingRow<'_>>, places: &[usize]) -> bool {
        let mut unread = false;
        let mut wanted = Vec::with_capacity(places.len());
        let mut lanes = Vec::with_capacity(places.len());
        for (place, row) in rows.into_iter().enumerate() {
            if places.contains(&place) {
                lanes.push(call[place]);
                wanted.push(row);
            }
        }
        let stored = self.writer.stored(&wanted);
        assert_eq!(stored.len(), wanted.len(), "a writer answers for each row");
        for ((lane, row), stored) in lanes.into_iter().zip(wanted).zip(stored) {
            let Some([guard, newer]) = stored else {
                unread = true;
                continue;
            };
            let plan = self.plan;
            let mut taken: Vec<Taken> = Vec::new();
            let mut passed_over: Vec<usize> = Vec::new();
            for row in self.stretch(lane) {
                // Parts of one row are stale together. Within one row this is true without a guard too.
                let is_passed_over = |row| passed_over.contains(&row) || self.passed_over.contains(&row);
                let Some(why) = plan.taken(row, guard, newer, is_passed_over) else {
                    break;
                };
                if why == Taken::Stale && plan.is_continued(row) {
                    passed_over.push(row);
                }
                taken.push(why);
            }
            self.pass_over(&passed_over);
            let open = self.stretch(lane).nth(taken.len());
            for taken in &taken {
                match taken {
                    Taken::Guarded => self.tally.guard_refused += 1,
                    Taken::Stale => self.tally.stale += 1,
                }
            }
            let lane_now = &mut self.lanes[lane];
            match (open, lane_now.position) {
                (None, _) => self.advance(lane),
                (Some(open), Some(position)) if !taken.is_empty() => {
                    lane_now.position = Some(position.at(open));
                }
                // The record exists, and this message did not create it.
                _ if row.exists == Mode::Create => self.conflict(lane, EXISTS),
                // The record has changed since: the row is simply sent again.
                _ => lane_now.wait.failed(BUSY),
            }
        }
        unread
    }
}

/// What the answers of a call say about the database itself.
pub(crate) fn outcome(answers: &[Answer]) -> Outcome {
    // The other rows have no answer, but nothing is wrong with the database.
    if answers.iter().any(|answer| answer.disposition() == Disposition::Halve) {
        return Outcome {
            answered: answers.len(),
            ..Outcome::default()
        };
    }
    let mut outcome = Outcome::default();
    for answer in answers {
        match *answer {
            Answer::Code(code) => {
                outcome.answered += 1;
                outcome.overloaded += usize::from(is_overload(code));
            }
            Answer::Failed {
                failure: CallFailure::Unsendable,
                ..
            } => outcome.answered += 1,
            Answer::Failed { .. } => outcome.unanswered += 1,
        }
    }
    outcome
}

/// What else was in the call of a row.
#[derive(Debug, Clone, Copy)]
struct Company {
    /// The call had only this row.
    alone: bool,
    /// Some rows have no code and may have been applied. So a code may not belong to the row that has it.
    ended_early: bool,
    /// See [`RowWriter::codes_are_exact`].
    codes_are_exact: bool,
}

/// Whether a row that may have been applied can simply be sent again. A condition that also accepts the row's own
/// version does not stop a second attempt.
fn safe_to_repeat(rules: &RowRules, row: &OutgoingRow<'_>) -> bool {
    let [guard, newer] = row.conditions;
    rules.repeatable || guard.is_some() || newer.is_some_and(|newer| !newer.or_equal)
}

/// What the loop must do after a row's answer.
enum Wish {
    Nothing,
    /// The database has a problem: pause before anything else is sent.
    Retry,
    /// Read what the record has of the row.
    Read,
}

enum Next {
    Call(Vec<usize>),
    Wait(Instant),
}

#[cfg(test)]
mod tests;
