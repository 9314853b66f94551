//! Plan: the rows of a batch by record, and which of them travel as one.
//!
//! The rows of one batch call are not ordered among themselves: two on one record race (the server runs a batch's
//! rows in parallel unless it runs it inline). So a call holds a record at most once. What several messages ask of one
//! record is merged, in message order, into a *unit*, which is sent as one row, where the result is exactly that of
//! applying them one after another; what cannot be merged begins the record's next unit, sent when the one before it
//! is answered. The plan is kept until all of its rows are; what is sent of it is composed anew for each call
//! (`Plan::compose`), since a retry may need only a part of a unit.
//!
//! Pure: no clock, no client type.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use ripemd::{Digest as _, Ripemd160};

use crate::config::model::Mode;
use crate::delivery::guard::Guard;
use crate::delivery::row_outcomes::{EXISTS, FILTERED_OUT, NOT_FOUND};
use crate::output::row::{Number, Op, RecordKey, Row, RowAction, RowTtl, Target};

/// What the server addresses a record by, inside its namespace.
pub type Digest = [u8; 20];

/// Operations in one row, at most; the server takes 32,768.
const UNIT_OPS_MAX: usize = 1000;

/// No row, no unit: the end of a chain.
const NONE: u32 = u32::MAX;

/// A row with what places it.
#[derive(Debug)]
pub struct PlannedRow<'m> {
    pub row: Row<'m>,
    pub digest: Digest,
    /// What a guard stores of it ([`crate::delivery::guard::mark`]); only looked at where it is guarded.
    pub mark: i64,
    /// The last row before it on this record that is of the same message, with the same version.
    continues: u32,
    /// There is a row that continues this one.
    continued: bool,
    /// About what it weighs in memory and in a request.
    pub bytes: usize,
    /// The next row of its unit.
    next: u32,
    /// The number of its record.
    record: u32,
}

/// Rows of one record that can travel as one.
#[derive(Debug)]
struct Unit {
    first: u32,
    last: u32,
    ops: usize,
    /// Some bin is taken away: the record may end in between.
    removes: bool,
    /// Each of its rows only takes bins away: none of them makes the record.
    only_removes: bool,
    /// The next unit of its record.
    next: u32,
}

/// All units of one record, in order.
#[derive(Debug)]
struct RecordRows {
    first: u32,
    last: u32,
}

/// What a batch asks for, by record. Filled message by message, in their order.
#[derive(Debug, Default)]
pub struct Plan<'m> {
    rows: Vec<PlannedRow<'m>>,
    units: Vec<Unit>,
    lanes: Vec<RecordRows>,
    bytes: usize,
    lane_of: HashMap<RecordId<'m>, u32, BuildHasherDefault<DigestHasher>>,
}

#[derive(Debug, PartialEq, Eq)]
struct RecordId<'m> {
    digest: Digest,
    namespace: &'m str,
}

impl Hash for RecordId<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.digest[..8]);
    }
}

/// A digest is a hash already.
#[derive(Debug, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for (shift, byte) in (0..64).step_by(8).zip(bytes) {
            self.0 ^= u64::from(*byte) << shift;
        }
    }
}

/// Where one record stands: a row, and the unit that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    unit: u32,
    row: u32,
}

impl Position {
    /// The number of the row.
    pub(super) fn row(self) -> usize {
        self.row as usize
    }

    /// The same unit, at another of its rows.
    pub(super) fn at(self, row: usize) -> Position {
        Position {
            row: index(row),
            ..self
        }
    }

    pub(super) fn is_in_unit_of(self, other: Position) -> bool {
        self.unit == other.unit
    }
}

impl<'m> Plan<'m> {
    pub fn with_capacity(rows: usize) -> Self {
        Plan {
            rows: Vec::with_capacity(rows),
            units: Vec::with_capacity(rows),
            lanes: Vec::with_capacity(rows),
            bytes: 0,
            lane_of: HashMap::with_capacity_and_hasher(rows, BuildHasherDefault::default()),
        }
    }

    /// Adds a row behind all that were added before. `mark`: what a guard stores of it.
    pub fn push(&mut self, row: Row<'m>, mark: i64) {
        let target: &'m Target = row.target;
        let bytes = row.bytes();
        self.bytes += bytes;
        let digest = digest(&target.set, &row.key);
        let number = index(self.rows.len());
        let (ops, removes) = match &row.action {
            RowAction::Write(ops) => (ops.len(), ops.iter().any(Op::removes)),
            RowAction::Touch | RowAction::Delete => (1, false),
        };
        let only_removes = row.action.only_removes();
        let id = RecordId {
            digest,
            namespace: &target.namespace,
        };
        let record = *self.lane_of.entry(id).or_insert_with(|| {
            self.lanes.push(RecordRows {
                first: NONE,
                last: NONE,
            });
            index(self.lanes.len() - 1)
        });
        let lane = &mut self.lanes[record as usize];
        let is_same = |(_, before): &(usize, &mut PlannedRow<'_>)| {
            before.digest == digest
                && before.row.target.namespace == target.namespace
                && before.row.newer == row.newer
                && before.row.rules.newer_bin == row.rules.newer_bin
        };
        let of_message = |(_, before): &(usize, &mut PlannedRow<'_>)| before.row.message == row.message;
        let mut continues = NONE;
        if row.newer.is_some() && lane.first != NONE {
            let mut before = self.rows.iter_mut().enumerate().rev().take_while(of_message);
            if let Some((number, before)) = before.find(is_same) {
                continues = index(number);
                before.continued = true;
            }
        }
        let joined = match self.units.get_mut(lane.last as usize) {
            Some(unit) if unit.ops + ops <= UNIT_OPS_MAX && joins(unit, &self.rows[unit.last as usize].row, &row) => {
                self.rows[unit.last as usize].next = number;
                unit.last = number;
                unit.ops += ops;
                unit.removes |= removes;
                unit.only_removes &= only_removes;
                true
            }
            _ => false,
        };
        if !joined {
            let unit = index(self.units.len());
            match self.units.get_mut(lane.last as usize) {
                Some(last) => last.next = unit,
                None => lane.first = unit,
            }
            lane.last = unit;
            self.units.push(Unit {
                first: number,
                last: number,
                ops,
                removes,
                only_removes,
                next: NONE,
            });
        }
        self.rows.push(PlannedRow {
            row,
            digest,
            mark,
            continues,
            continued: false,
            bytes,
            next: NONE,
            record,
        });
    }

    /// Rows added so far.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// About what they weigh in memory and in requests.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records that they concern.
    pub fn records(&self) -> usize {
        self.lanes.len()
    }

    /// The message of a row: its place in the batch.
    pub fn message(&self, row: usize) -> usize {
        self.rows[row].row.message
    }

    /// Which record a row is for, by its number among those of the plan.
    pub fn record(&self, row: usize) -> usize {
        self.rows[row].record as usize
    }

    /// A plan of some of its rows, in their order.
    pub fn only(&self, rows: &[usize]) -> Plan<'m> {
        let mut plan = Plan::with_capacity(rows.len());
        for row in rows {
            let PlannedRow { row, mark, .. } = &self.rows[*row];
            plan.push(row.clone(), *mark);
        }
        plan
    }

    /// The first row of a record.
    pub(super) fn begin(&self, record: usize) -> Position {
        let unit = self.lanes[record].first;
        Position {
            unit,
            row: self.units[unit as usize].first,
        }
    }

    /// The place behind the stretch that begins at `position`; `None` at the record's end.
    pub(super) fn behind(&self, position: Position, by_message: bool) -> Option<Position> {
        let last = self.stretch(position, by_message).last()?;
        let row = self.rows[last].next;
        if row != NONE {
            return Some(Position { row, ..position });
        }
        let unit = self.units[position.unit as usize].next;
        let row = self.units.get(unit as usize)?.first;
        Some(Position { unit, row })
    }

    /// The numbers of the rows from `first` on, to the end of its unit.
    fn chain(&self, first: u32) -> impl Iterator<Item = usize> + Clone + '_ {
        std::iter::successors(Some(first), |row| {
            let next = self.rows[*row as usize].next;
            (next != NONE).then_some(next)
        })
        .map(|row| row as usize)
    }

    /// The numbers of the rows from `position` on, to the end of its unit or only of its message.
    pub(super) fn stretch(&self, position: Position, by_message: bool) -> impl Iterator<Item = usize> + Clone + '_ {
        let message = self.rows[position.row as usize].row.message;
        self.chain(position.row)
            .take_while(move |row| !by_message || self.rows[*row].row.message == message)
    }

    /// All rows of a record from `position` on.
    pub(super) fn rest(&self, position: Position) -> impl Iterator<Item = usize> + '_ {
        let behind = |unit: &Unit| self.units.get(unit.next as usize);
        let later = std::iter::successors(behind(&self.units[position.unit as usize]), move |unit| behind(unit));
        self.chain(position.row)
            .chain(later.flat_map(|unit| self.chain(unit.first)))
    }

    pub fn row(&self, row: usize) -> &PlannedRow<'m> {
        &self.rows[row]
    }

    /// What is sent for the rows of a stretch: one row whose result is that of applying them one after another.
    /// `create`: the second try of rows whose ttl counts only where they make the record. `is_passed_over`: this row was
    /// stale.
    pub(super) fn compose<'p>(
        &'p self,
        position: Position,
        by_message: bool,
        create: bool,
        is_passed_over: impl Fn(usize) -> bool,
        guard: &'p Guard,
    ) -> OutgoingRow<'p> {
        let first = &self.rows[position.row as usize];
        let rules = first.row.rules;
        let mut newest = first.row.newer;
        let mut newest_message = first.row.message;
        let mut last_mark = first.mark;
        let mut stale = 0;
        let mut passed_over = Vec::new();
        let mut ttl = first.row.ttl;
        let mut ops: Vec<OutgoingOp<'_>> = Vec::new();
        let mut only_removes = true;
        for number in self.stretch(position, by_message) {
            let planned = &self.rows[number];
            let row = &planned.row;
            // Not newer than what comes before it in this very row: refused, were it sent alone.
            if row.newer < newest || (row.newer == newest && row.newer.is_some() && row.message != newest_message) {
                stale += 1;
                if planned.continued {
                    passed_over.push(number);
                }
                continue;
            }
            last_mark = planned.mark;
            (newest, newest_message) = (row.newer, row.message);
            if !rules.ttl_on_create && row.ttl != RowTtl::Keep {
                ttl = row.ttl;
            }
            only_removes &= row.action.only_removes();
            if let RowAction::Write(own) = &row.action {
                if rules.mode == Mode::Replace {
                    ops.clear();
                }
                // A row's own operations are in order, and each says something.
                if ops.is_empty() {
                    ops.reserve(own.len() + 2);
                    ops.extend(own.iter().map(OutgoingOp::Op));
                } else {
                    own.iter().for_each(|op| append(&mut ops, op));
                }
            }
        }
        let guard_condition = rules.guarded.then(|| Condition {
            bin: guard.bin(),
            below: first.mark,
            or_equal: false,
        });
        let newer_condition = match (rules.newer_bin.as_deref(), first.row.newer) {
            (Some(bin), Some(below)) => Some(Condition {
                bin,
                below,
                or_equal: self.continues(first, is_passed_over),
            }),
            _ => None,
        };
        let stores = guard_condition.is_some() || newer_condition.is_some();
        if !stores {
            // What is set and taken away again makes no record either, unless something of the row stays in it.
            only_removes = ops.iter().all(OutgoingOp::removes);
        }
        let may_end = !stores && ops.iter().any(OutgoingOp::removes);
        let action = match &first.row.action {
            RowAction::Touch => OutgoingAction::Touch,
            RowAction::Delete => OutgoingAction::Delete,
            RowAction::Write(_) => {
                // Its version is worth a record: or an older message, from another partition, would find none.
                only_removes &= newer_condition.is_none();
                if let (Some(condition), Some(value)) = (&newer_condition, newest) {
                    ops.push(OutgoingOp::Store(condition.bin, value));
                }
                if let Some(condition) = &guard_condition {
                    ops.push(OutgoingOp::Store(condition.bin, last_mark));
                }
                OutgoingAction::Write(ops)
            }
        };
        let (exists, ttl) = match (rules.ttl_on_create, create) {
            (true, false) => (Mode::UpdateOnly, RowTtl::Keep),
            (true, true) => (Mode::Create, ttl),
            // A row that only removes makes no record, also where it leaves a guard.
            (false, _) if only_removes && rules.mode == Mode::Update => (Mode::UpdateOnly, ttl),
            (false, _) => (rules.mode, ttl),
        };
        OutgoingRow {
            target: first.row.target,
            key: &first.row.key,
            digest: first.digest,
            action,
            exists,
            ttl,
            conditions: [guard_condition, newer_condition],
            only_removes,
            may_end,
            stale,
            passed_over,
        }
    }

    /// Whether the version of a row may be the one that its own message has brought to the record.
    fn continues(&self, row: &PlannedRow<'_>, is_passed_over: impl Fn(usize) -> bool) -> bool {
        row.continues != NONE && !is_passed_over(row.continues as usize)
    }

    /// Whether a later row of the message looks at whether this one was applied.
    pub(super) fn is_continued(&self, row: usize) -> bool {
        self.rows[row].continued
    }

    /// Which rows of a stretch a record has taken already, or has passed, by what it holds in the bins of the
    /// conditions: they are done. `is_passed_over`: this row was stale.
    pub(super) fn taken(
        &self,
        row: usize,
        guard: Option<i64>,
        newer: Option<i64>,
        is_passed_over: impl Fn(usize) -> bool,
    ) -> Option<Taken> {
        let planned = &self.rows[row];
        if planned.row.rules.guarded && guard.is_some_and(|guard| planned.mark <= guard) {
            return Some(Taken::Guarded);
        }
        match (planned.row.newer, newer) {
            (Some(version), Some(newer)) if version < newer => Some(Taken::Stale),
            (Some(version), Some(newer)) if version == newer && !self.continues(planned, is_passed_over) => {
                Some(Taken::Stale)
            }
            _ => None,
        }
    }
}

/// Why a row need not be applied any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Its guard says that the record has it.
    Guarded,
    /// The record has a newer version.
    Stale,
}

/// One row as it is sent.
#[derive(Debug)]
pub struct OutgoingRow<'p> {
    pub target: &'p Target,
    pub key: &'p RecordKey<'p>,
    pub digest: Digest,
    pub action: OutgoingAction<'p>,
    pub exists: Mode,
    pub ttl: RowTtl,
    /// All must hold where there is a record: its guard's, and its version's.
    pub conditions: [Option<Condition<'p>>; 2],
    /// It only takes away, or only touches: on a record that is not there, there is nothing to do.
    pub only_removes: bool,
    /// It takes bins away and leaves none of its own: where there is no record, it may make none.
    pub may_end: bool,
    /// Rows among its stretch that a newer one in it makes stale: not in `action`.
    pub stale: usize,
    /// Those of them that a later row continues.
    pub passed_over: Vec<usize>,
}

/// Holds where the bin is not there, is not an integer, or is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'p> {
    pub bin: &'p str,
    pub below: i64,
    pub or_equal: bool,
}

/// What is sent to be done.
#[derive(Debug, PartialEq)]
pub enum OutgoingAction<'p> {
    Write(Vec<OutgoingOp<'p>>),
    Touch,
    Delete,
}

/// One operation as it is sent.
#[derive(Debug, PartialEq)]
pub enum OutgoingOp<'p> {
    Op(&'p Op<'p>),
    /// Several integer `add`s in one.
    Sum(&'p str, i64),
    /// The guard, or the version.
    Store(&'p str, i64),
}

impl OutgoingOp<'_> {
    fn removes(&self) -> bool {
        matches!(self, OutgoingOp::Op(op) if op.removes())
    }

    fn bin(&self) -> &str {
        match self {
            OutgoingOp::Op(op) => op.bin(),
            OutgoingOp::Sum(bin, _) | OutgoingOp::Store(bin, _) => bin,
        }
    }
}

impl OutgoingRow<'_> {
    pub fn is_conditional(&self) -> bool {
        self.conditions.iter().any(Option::is_some)
    }

    /// Whether this code, of those that depend on what was asked, is one that it asked for.
    pub fn answers_with(&self, code: u8) -> bool {
        match code {
            FILTERED_OUT => self.is_conditional(),
            NOT_FOUND => self.only_removes || self.may_end || self.exists == Mode::UpdateOnly,
            EXISTS => self.exists == Mode::Create,
            _ => false,
        }
    }
}

/// Whether `row` can travel in the unit that ends with `last`, with the result of applying them one after another.
///
/// Not: a deletion and anything else (a write behind it would keep the old record's life, and a deletion of a missing
/// record answers 2); a touch (on a missing record it answers 2 and undoes the whole row); `create` and `update_only`
/// (what the second finds is what the first left); a write that keeps the record's life behind one that may have
/// ended the record, or may not have made it; rows under different conditions or policies.
fn joins(unit: &Unit, last: &Row<'_>, row: &Row<'_>) -> bool {
    let (ours, theirs) = (last.rules, row.rules);
    let same_target = std::ptr::eq(&**last.target, &**row.target) || last.target == row.target;
    let same_conditions = ours.guarded == theirs.guarded && ours.newer_bin == theirs.newer_bin;
    // What is said of a row's repetition is said by its first part: it must hold of all.
    let same_doubt = ours.in_doubt == theirs.in_doubt && (ours.guarded || ours.repeatable == theirs.repeatable);
    if !(same_target && same_conditions && same_doubt && ours.ttl_on_create == theirs.ttl_on_create) {
        return false;
    }
    match (&last.action, &row.action) {
        (RowAction::Delete, RowAction::Delete) => true,
        (RowAction::Write(_), RowAction::Write(_)) => match (ours.mode, theirs.mode) {
            // The last one is the record; those before it are gone without a trace.
            (Mode::Replace, Mode::Replace) => true,
            (Mode::Update, Mode::Update) => {
                let stores = ours.guarded || ours.newer_bin.is_some();
                let makes_none = unit.only_removes && ours.newer_bin.is_none();
                let may_be_none = makes_none || (unit.removes && !stores);
                let needs_it = row.ttl == RowTtl::Keep || theirs.ttl_on_create;
                !(may_be_none && needs_it)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Adds an operation behind others, in as few as say the same: the operations of one bin stay in order, and of two
/// bins the order does not show.
fn append<'p>(ops: &mut Vec<OutgoingOp<'p>>, op: &'p Op<'p>) {
    let last = ops.iter_mut().rev().find(|last| last.bin() == op.bin());
    match (last, op) {
        // Setting a bin twice is setting it to the second value.
        (Some(last @ OutgoingOp::Op(Op::Put { .. })), Op::Put { .. }) => *last = OutgoingOp::Op(op),
        // The server's addition wraps, as this one does. (A float's rounds: it is not folded.)
        (
            Some(last),
            Op::Add {
                by: Number::Int(by),
                bin,
            },
        ) => match *last {
            OutgoingOp::Sum(_, sum) => *last = OutgoingOp::Sum(bin, sum.wrapping_add(*by)),
            OutgoingOp::Op(Op::Add {
                by: Number::Int(sum), ..
            }) => {
                *last = OutgoingOp::Sum(bin, sum.wrapping_add(*by));
            }
            _ => ops.push(OutgoingOp::Op(op)),
        },
        _ => ops.push(OutgoingOp::Op(op)),
    }
}

/// A place in a list as the plan keeps it; no batch comes near the bound.
fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}

/// RIPEMD-160 over the set's name, the key's particle type and its bytes, as every Aerospike client computes it
/// (`aerospike-core` 3.0.0, `key.rs`).
pub fn digest(set: &str, key: &RecordKey<'_>) -> Digest {
    /// Particle types of the wire protocol.
    const INTEGER: u8 = 1;
    const STRING: u8 = 3;
    const BLOB: u8 = 4;
    let mut hash = Ripemd160::new();
    hash.update(set.as_bytes());
    match key {
        RecordKey::Integer(n) => {
            hash.update([INTEGER]);
            hash.update(n.to_be_bytes());
        }
        RecordKey::String(text) => {
            hash.update([STRING]);
            hash.update(text.as_bytes());
        }
        RecordKey::Bytes(bytes) => {
            hash.update([BLOB]);
            hash.update(bytes);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
