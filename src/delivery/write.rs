//! Write: what the plan asks for, brought to the database, for as long as it takes.
//!
//! Runs on the partition's own thread and blocks it: that is the back-pressure. Each record is a lane of its own: its
//! rows go out in their order, the next when the one before it is answered; lanes whose turn it is share calls. A
//! row is done when its own result says so; only rows that are not are sent again, with growing back-off; a busy record
//! delays only itself, a closed namespace only its own; and the stop flag ends every wait at once. What an answer means
//! is [`mod@crate::delivery::row_outcomes`]'s to say; three codes depend on what was asked, and are looked at here.

use std::time::{Duration, Instant};

use crate::config::model::{InDoubt, Mode, OnConflict};
use crate::delivery::guard::Guard;
use crate::delivery::plan::{OutgoingRow, Plan, Position, Taken};
use crate::delivery::pressure::{Outcome, Permit, Pressure};
use crate::delivery::row_outcomes::{
    CallFailure, Disposition, EXISTS, FILTERED_OUT, NOT_FOUND, PARAMETER, disposition, is_overload, may_be_applied,
    refuses_all,
};
use crate::output::row::RowRules;
use crate::util::backoff::Backoff;
use crate::util::stop::{GLANCE, Stop};

/// What the database said of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The server's own result code for this row.
    Code(u8),
    /// It has none.
    Failed {
        failure: CallFailure,
        /// It may have been applied all the same.
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

    fn in_doubt(self) -> bool {
        match self {
            Answer::Code(code) => may_be_applied(code),
            Answer::Failed { in_doubt, .. } => in_doubt,
        }
    }
}

/// What a record holds in the bins of its conditions, the guard's first. `None`: not there, or not an integer.
pub type Held = [Option<i64>; 2];

/// What makes calls: the store, or a test.
pub trait RowWriter {
    /// Makes one call with these rows, each for a different record, and gives one answer a row, in their order.
    /// Blocks for a bounded time.
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer>;

    /// What the records of these rows hold in the bins of the rows' conditions; `None` where it cannot be read now.
    fn held(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Held>>;

    /// Rows in one call, at most, as far as the database lets us.
    fn rows_max(&self) -> usize;

    /// Whether a node that can be reached says that it does not have this namespace.
    fn lacks_namespace(&self, namespace: &str) -> bool;
}

/// Why the service cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fatal {
    /// The user or password is refused, or may not write here: the code.
    Credentials(u8),
    /// The cluster is there and does not have it.
    NoNamespace(String),
}

/// Why a row will not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The database refuses it for what it is.
    Code(u8),
    /// The client cannot send it.
    Unsendable,
    /// The record is there (`mode = "create"`), or is not (`"update_only"`): the server's code.
    Conflict(u8),
    /// It may have been applied, may not be repeated, and its `in_doubt` says so.
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
    /// It may be applied all the same, by one of them.
    pub in_doubt: bool,
}

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Applied.
    pub written: u64,
    /// Of those: applied in one row with others of their record.
    pub merged: u64,
    /// Not applied: the record has a newer version.
    pub stale: u64,
    /// Not applied again: the record's guard says that it has them.
    pub guard_refused: u64,
    /// Not applied: `mode` and the record contradict each other, and `on_conflict` says to ignore it.
    pub ignored: u64,
}

/// How the writing of a plan ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub end: WriteEnd,
    /// Rows that are refused. Later rows of their records are not sent: they are among `open`.
    pub refused: Vec<Refused>,
    /// Rows that are not done, and not refused.
    pub open: Vec<usize>,
    pub tally: Tally,
}

/// Why the writing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteEnd {
    /// Every record is done, or stopped at a refused row.
    Finished,
    /// Told to stop first.
    Stopped,
    Fatal(Fatal),
}

/// What a call may hold, and how long calls are made.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows in one call, at most.
    pub rows: usize,
    /// What the rows of one call weigh, about and at most; a single row may weigh more.
    pub bytes: usize,
    /// How long after a stop calls still begin.
    pub finish_max: Duration,
}

/// How calls are made.
#[derive(Clone, Copy)]
pub struct Calls<'c> {
    pub writer: &'c dyn RowWriter,
    /// Asked before each call.
    pub pressure: &'c Pressure,
    pub stop: &'c Stop,
    /// Called before each call, every [`GLANCE`] of a pause, and every few seconds of a wait for a turn: time passes for
    /// the partition, and others go on.
    pub meanwhile: &'c dyn Fn(),
}

/// Writes all of `plan`.
///
/// A stop flag that is up lets a call be made once and not again, and calls begin only for `finish_max` after it: a
/// healthy database finishes the batch in hand, a sick one, or a batch of a thousand calls, does not hold up the end.
/// With the call under way, a worker leaves within `finish_max` and two write time-outs.
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
    }
}

/// One record on its way.
#[derive(Debug)]
struct RecordLane {
    /// The first row that is not done; `None`: all are.
    position: Option<Position>,
    /// What stands next goes out message by message: together it was refused.
    by_message: bool,
    /// It goes out alone: in company it was refused, and that may have been another's fault.
    alone: bool,
    /// The second try of a row whose ttl counts only where it makes the record.
    create: bool,
    wait: Wait,
    /// A row of it is refused: nothing behind it is sent.
    held: bool,
    /// Calls that held what stands next.
    attempts: u32,
    /// One of them may have applied it.
    in_doubt: bool,
}

impl RecordLane {
    fn at(position: Option<Position>) -> Self {
        RecordLane {
            position,
            by_message: false,
            alone: false,
            create: false,
            wait: Wait::default(),
            held: false,
            attempts: 0,
            in_doubt: false,
        }
    }
}

/// A pause that grows from failure to failure.
#[derive(Debug, Default)]
struct Wait {
    until: Option<Instant>,
    failures: u32,
}

/// After a failure of some of a call's rows. Where nobody is answered `pressure` makes all wait; this is for the part of
/// a cluster that is away or overloaded while the rest is well.
const DATABASE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// A busy record is free again in milliseconds.
const BUSY: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
/// What a person must act on first.
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

/// A namespace that takes nothing now.
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
    /// Before this nothing is sent.
    resume: Wait,
    namespaces: Vec<Closed<'p>>,
    refused: Vec<Refused>,
    /// Rows that were stale, of those that later ones continue.
    passed_over: Vec<usize>,
    /// The namespace that was asked for in this call, and not found missing.
    present: Option<&'p str>,
    tally: Tally,
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
        }
    }

    fn run(&mut self, limits: &Limits, calls: &Calls<'_>) -> WriteEnd {
        let stop = calls.stop;
        loop {
            let lanes = &self.lanes;
            self.unfinished
                .retain(|lane| lanes[*lane].position.is_some() && !lanes[*lane].held);
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

    /// The lanes whose turn it is, or when the next one's is.
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
                // One row tries the door for all.
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
            ..
        } = self.lanes[lane];
        let is_passed_over = |row| self.passed_over.contains(&row);
        let row = self
            .plan
            .compose(position?, by_message, create, is_passed_over, self.guard);
        Some(row)
    }

    /// About what a lane's next row weighs.
    fn bytes(&self, lane: usize) -> usize {
        self.stretch(lane).map(|row| self.plan.row(row).bytes).sum()
    }

    fn call(&mut self, call: &[usize], permit: Permit<'_>, stop: &Stop) -> Result<(), Fatal> {
        let rows: Vec<OutgoingRow<'p>> = call.iter().filter_map(|lane| self.compose(*lane)).collect();
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
            // After a stop there is no time for another call: what these rows still ask is for the next owner.
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
        match answer {
            Answer::Code(FILTERED_OUT) if row.is_conditional() => {
                let single = self.stretch(lane).nth(1).is_none();
                match row.conditions {
                    // At least the first row is applied, and there is no other.
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
            // What it would have set it has taken away again.
            Answer::Code(NOT_FOUND) if row.may_end => {
                self.done(lane, row);
                return Ok(Wish::Nothing);
            }
            Answer::Code(EXISTS) if row.exists == Mode::Create => {
                if rules.ttl_on_create {
                    self.lanes[lane].create = false;
                } else if rules.guarded {
                    // Its own earlier attempt answers the same, before the condition is looked at.
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
        // The code with which a whole batch ends early is stamped on its first row, over the row's own success.
        let stamped = match answer {
            Answer::Code(PARAMETER) => !company.alone,
            Answer::Code(code) => company.ended_early && !company.alone && !refuses_all(code),
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
                // Once for a call, which may have hundreds of such rows.
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

    /// What was sent of a lane is applied.
    fn done(&mut self, lane: usize, row: &OutgoingRow<'_>) {
        let rows = self.stretch(lane).count() as u64;
        let stale = row.stale as u64;
        self.tally.stale += stale;
        self.tally.written += rows - stale;
        self.tally.merged += rows - stale - 1;
        self.pass_over(&row.passed_over);
        self.advance(lane);
    }

    /// These rows were stale. A version that equals theirs is then another message's, for the rows that continue them too.
    /// Only of guarded rows: of others nobody knows whether an earlier delivery of the message has brought it.
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
        if ignore {
            self.tally.ignored += self.stretch(lane).count() as u64;
            self.advance(lane);
        } else {
            self.refuse(lane, Refusal::Conflict(code));
        }
    }

    /// Nothing later goes to this record: were the row sent again behind it, a guard would take it for applied.
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
        self.lanes[lane].held = true;
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
        // Once for a whole call.
        if wait.is_over(Instant::now()) {
            wait.failed(HELD);
        }
    }

    /// Records that say that they have at least the first of a merged row's parts: what they have is done, and the rest
    /// goes out as one row. `true`: not all could be read.
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
        let held = self.writer.held(&wanted);
        assert_eq!(held.len(), wanted.len(), "a writer answers for each row");
        for ((lane, row), held) in lanes.into_iter().zip(wanted).zip(held) {
            let Some([guard, newer]) = held else {
                unread = true;
                continue;
            };
            let plan = self.plan;
            let mut taken: Vec<Taken> = Vec::new();
            let mut passed_over: Vec<usize> = Vec::new();
            for row in self.stretch(lane) {
                // What travels in one row is stale together: within it, that holds of rows without a guard too.
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
                // It is there, and not by this message's doing.
                _ if row.exists == Mode::Create => self.conflict(lane, EXISTS),
                // The record is another since: the row is simply sent again.
                _ => lane_now.wait.failed(BUSY),
            }
        }
        unread
    }
}

/// What a call's answers say of the database itself.
pub(crate) fn outcome(answers: &[Answer]) -> Outcome {
    // Its other rows have no answer, and nothing is wrong with the database.
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

/// Who was in a call.
#[derive(Debug, Clone, Copy)]
struct Company {
    /// One row.
    alone: bool,
    /// There are rows without a code that may have been applied: the code of another may not be its own.
    ended_early: bool,
}

/// Whether a row that may have been applied may simply be sent again: a condition that lets its own version pass does not
/// keep a second attempt off.
fn safe_to_repeat(rules: &RowRules, row: &OutgoingRow<'_>) -> bool {
    let [guard, newer] = row.conditions;
    rules.repeatable || guard.is_some() || newer.is_some_and(|newer| !newer.or_equal)
}

/// What a row's answer asks of the loop.
enum Wish {
    Nothing,
    /// The database is not well: pause before anything else is sent.
    Retry,
    /// Look at what the record has of it.
    Read,
}

enum Next {
    Call(Vec<usize>),
    Wait(Instant),
}

#[cfg(test)]
mod tests;
