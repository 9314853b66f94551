//! Plan: groups the rows of a batch by record and decides which of them travel as one.
//!
//! The order of the rows within one batch call is undefined: the server runs them in parallel unless it runs the batch
//! inline. So two rows on one record would race, and a call holds each record at most once. The rows of several
//! messages on one record are merged, in message order, into a *unit*. A unit is sent as one row. Rows are merged only
//! if the result is exactly the same as applying them one after another. A row that cannot be merged begins the
//! record's next unit. That unit is sent when the previous one is answered.
//!
//! The plan is kept until all its rows are answered. What is sent is composed for each call (`Plan::compose`),
//! since a retry may need only a part of a unit.
//!
//! It is pure: no clock, no client type.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use ripemd::{Digest as _, Ripemd160};
use smallvec::SmallVec;

use crate::config::model::Mode;
use crate::delivery::guard::Guard;
use crate::delivery::ledger::Ledger;
use crate::delivery::row_outcomes::{ELEMENT_EXISTS, ELEMENT_NOT_FOUND, EXISTS, FILTERED_OUT, NOT_FOUND};
use crate::output::row::{Number, Op, RecordKey, Row, RowAction, RowTtl, Target};

/// Identifies a record inside its namespace.
pub type Digest = [u8; 20];

/// At most this many operations in one row. The server's limit is 32,768.
const UNIT_OPS_MAX: usize = 1000;

/// The end of a chain: no further row or unit.
const NONE: u32 = u32::MAX;

/// A row and its place in the plan.
#[derive(Debug)]
pub struct PlannedRow<'m> {
    pub row: Row<'m>,
    pub digest: Digest,
    /// What a guard stores for this row ([`crate::delivery::guard::sequence`]). Read only if the row is guarded.
    pub sequence: i64,
    /// The previous row of the same message on this record, if it has the same version; otherwise `NONE`.
    continues: u32,
    /// Whether a later row continues this one.
    continued: bool,
    /// An earlier row of its message wrote this record and is not in the plan: it may have brought the version.
    is_behind: bool,
    /// Estimated size in bytes, in memory and in a request.
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
    /// Whether an operation removes a bin. If so, the record may end within the unit.
    removes: bool,
    /// Whether all its rows only remove bins. If so, none of them creates the record.
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

/// The rows of a batch by record. They are added message by message, in message order.
#[derive(Debug, Default)]
pub struct Plan<'m> {
    rows: Vec<PlannedRow<'m>>,
    units: Vec<Unit>,
    lanes: Vec<RecordRows>,
    bytes: usize,
    /// Of a replay: rows enter themselves, and none is merged.
    ledger: Option<Ledger>,
    /// With a ledger: what each row enters.
    entries: Vec<i64>,
    /// The ledger is only asked which rows it has.
    asks: bool,
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

/// Uses the digest as the hash: it is one already.
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

/// The next thing to send for one record: a row, and the unit that holds it.
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

    /// The same unit, but at row number `row`.
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
            ledger: None,
            entries: Vec::new(),
            asks: false,
            lane_of: HashMap::with_capacity_and_hasher(rows, BuildHasherDefault::default()),
        }
    }

    /// A plan for rows of dead letters of one partition. Each row is sent alone, and enters itself into the ledger.
    pub fn with_ledger(ledger: Ledger) -> Self {
        Plan {
            ledger: Some(ledger),
            ..Plan::default()
        }
    }

    /// A plan that writes none of its rows: it asks the ledger which of them it has.
    pub fn asking(ledger: Ledger) -> Self {
        Plan {
            asks: true,
            ..Plan::with_ledger(ledger)
        }
    }

    /// Whether it only asks.
    pub(super) fn asks(&self) -> bool {
        self.asks
    }

    /// Adds a row of a plan with a ledger. `entry`: what it enters there.
    pub fn push_entered(&mut self, row: Row<'m>, sequence: i64, entry: i64) {
        self.push(row, sequence);
        self.entries.push(entry);
    }

    /// What a row enters into the ledger.
    pub fn entry(&self, row: usize) -> i64 {
        self.entries.get(row).copied().unwrap_or(self.rows[row].sequence)
    }

    /// The ledger of a replay.
    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Adds a row after all earlier ones. `sequence`: what a guard stores for it.
    pub fn push(&mut self, row: Row<'m>, sequence: i64) {
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
            Some(_) if self.ledger.is_some() => false,
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
            sequence,
            continues,
            continued: false,
            is_behind: false,
            bytes,
            next: NONE,
            record,
        });
    }

    /// Number of rows added so far.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Estimated size of all rows in bytes, in memory and in requests.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of records that the rows are for.
    pub fn records(&self) -> usize {
        self.lanes.len()
    }

    /// The message of a row, as its index in the batch.
    pub fn message(&self, row: usize) -> usize {
        self.rows[row].row.message
    }

    /// The record of a row, as its number in the plan.
    pub fn record(&self, row: usize) -> usize {
        self.rows[row].record as usize
    }

    /// How many rows the message has on each of its records. The rows of a message must be together, and in the order of
    /// the messages.
    pub fn rows_by_record(&self, message: usize) -> HashMap<usize, u16> {
        let begin = self.rows.partition_point(|planned| planned.row.message < message);
        let own = self.rows[begin..]
            .iter()
            .take_while(|planned| planned.row.message == message);
        let mut counts: HashMap<usize, u16> = HashMap::new();
        for planned in own {
            let count = counts.entry(planned.record as usize).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    /// A plan with only these rows, in their order.
    pub fn only(&self, rows: &[usize]) -> Plan<'m> {
        let mut plan = Plan::with_capacity(rows.len());
        plan.ledger.clone_from(&self.ledger);
        plan.asks = self.asks;
        for row in rows {
            let planned = &self.rows[*row];
            plan.push(planned.row.clone(), planned.sequence);
            plan.entries.extend(self.entries.get(*row));
            if let Some(last) = plan.rows.last_mut() {
                // In a replay, the rows that are left out are done. They may have brought the version.
                last.is_behind =
                    planned.is_behind || (self.ledger.is_some() && planned.continues != NONE && last.continues == NONE);
            }
        }
        plan
    }

    /// The position of a record's first row.
    pub(super) fn begin(&self, record: usize) -> Position {
        let unit = self.lanes[record].first;
        Position {
            unit,
            row: self.units[unit as usize].first,
        }
    }

    /// The position after the stretch that begins at `position`. `None` at the end of the record.
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

    /// The numbers of the rows from `first` to the end of its unit.
    fn chain(&self, first: u32) -> impl Iterator<Item = usize> + Clone + '_ {
        std::iter::successors(Some(first), |row| {
            let next = self.rows[*row as usize].next;
            (next != NONE).then_some(next)
        })
        .map(|row| row as usize)
    }

    /// The numbers of the rows from `position` to the end of its unit. With `by_message`, only those of its message.
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

    /// Makes the one row that is sent for a stretch. Its result is the same as applying the rows of the stretch one
    /// after another.
    ///
    /// `create`: this is the second attempt of rows whose ttl counts only if they create the record. `is_passed_over`:
    /// whether the given row was stale.
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
        let mut last_sequence = first.sequence;
        let mut stale = 0;
        let mut passed_over = Vec::new();
        let mut ttl = first.row.ttl;
        let mut ops = OutgoingOps::new();
        let mut only_removes = true;
        let entered = self.entered(first);
        if let Some(ledger) = entered {
            ops.push(OutgoingOp::Enter(ledger, self.entry(position.row as usize)));
            if ledger.forgets() {
                ops.push(OutgoingOp::Forget(ledger));
            }
        }
        for number in self.stretch(position, by_message) {
            let planned = &self.rows[number];
            let row = &planned.row;
            // Its version is not newer than an earlier one in the same stretch. If it were sent alone, it would be
            // refused.
            if row.newer < newest || (row.newer == newest && row.newer.is_some() && row.message != newest_message) {
                stale += 1;
                if planned.continued {
                    passed_over.push(number);
                }
                continue;
            }
            last_sequence = planned.sequence;
            (newest, newest_message) = (row.newer, row.message);
            if !rules.ttl_on_create && row.ttl != RowTtl::Keep {
                ttl = row.ttl;
            }
            only_removes &= row.action.only_removes();
            if let RowAction::Write(own) = &row.action {
                if rules.mode == Mode::Replace {
                    ops.clear();
                }
                // One row's own operations are already in order, and none of them is redundant.
                if ops.is_empty() || entered.is_some() {
                    ops.reserve(own.len() + 2);
                    ops.extend(own.iter().map(OutgoingOp::Op));
                } else {
                    own.iter().for_each(|op| append(&mut ops, op));
                }
            }
        }
        let guard_condition = rules.guarded.then(|| Condition {
            bin: guard.bin(),
            below: first.sequence,
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
        let stores = guard_condition.is_some() || newer_condition.is_some() || entered.is_some();
        if !stores {
            // A bin that is set and then removed creates no record, unless another operation of the row leaves a bin.
            only_removes = ops.iter().all(OutgoingOp::removes);
        }
        let may_end = !stores && ops.iter().any(OutgoingOp::removes);
        let action = match &first.row.action {
            RowAction::Touch => OutgoingAction::Touch,
            RowAction::Delete => OutgoingAction::Delete,
            RowAction::Write(_) => {
                // A row with a version must create a record. Otherwise an older message of another partition would find
                // none.
                only_removes &= newer_condition.is_none();
                if let (Some(condition), Some(value)) = (&newer_condition, newest) {
                    ops.push(OutgoingOp::Store(condition.bin, value));
                }
                if let Some(condition) = &guard_condition {
                    ops.push(OutgoingOp::Store(condition.bin, last_sequence));
                }
                OutgoingAction::Write(ops)
            }
        };
        let (exists, ttl) = match (rules.ttl_on_create, create) {
            (true, false) => (Mode::UpdateOnly, RowTtl::Keep),
            (true, true) => (Mode::Create, ttl),
            // A row that only removes bins creates no record, even if it stores a guard.
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

    /// The ledger into which a row enters itself. Some rows of a replay do not: what they do can be repeated, and they
    /// leave no record, or must not make one.
    fn entered(&self, planned: &PlannedRow<'_>) -> Option<&Ledger> {
        self.ledger.as_ref().filter(|_| enters(&planned.row))
    }

    /// The row that asks whether the ledger has the row at `position`. It answers 0 if it has, 23 if it has not, and 2
    /// if there is no record. The entry is kept for as long as a new one.
    pub(super) fn confirm(&self, position: Position) -> Option<OutgoingRow<'_>> {
        let first = &self.rows[position.row as usize];
        let ledger = self.entered(first)?;
        let mut ops = OutgoingOps::new();
        ops.push(OutgoingOp::Confirm(ledger, self.entry(position.row as usize)));
        Some(OutgoingRow {
            target: first.row.target,
            key: &first.row.key,
            digest: first.digest,
            action: OutgoingAction::Write(ops),
            exists: Mode::UpdateOnly,
            ttl: RowTtl::Keep,
            conditions: [None, None],
            only_removes: false,
            may_end: false,
            stale: 0,
            passed_over: Vec::new(),
        })
    }

    /// Whether this row may meet, in the record, the version that an earlier row of its own message stored.
    fn continues(&self, row: &PlannedRow<'_>, is_passed_over: impl Fn(usize) -> bool) -> bool {
        row.is_behind || (row.continues != NONE && !is_passed_over(row.continues as usize))
    }

    /// Whether a later row of the same message depends on whether this one was applied.
    pub(super) fn is_continued(&self, row: usize) -> bool {
        self.rows[row].continued
    }

    /// Whether a row is already done, given what the record holds in the bins of the conditions. The record may have
    /// the row already, or a newer version. `is_passed_over`: whether the given row was stale.
    pub(super) fn taken(
        &self,
        row: usize,
        guard: Option<i64>,
        newer: Option<i64>,
        is_passed_over: impl Fn(usize) -> bool,
    ) -> Option<Taken> {
        let planned = &self.rows[row];
        if planned.row.rules.guarded && guard.is_some_and(|guard| planned.sequence <= guard) {
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

/// Whether a row of a replay enters itself into the ledger of its record.
pub fn enters(row: &Row<'_>) -> bool {
    let Row {
        action, rules, newer, ..
    } = row;
    // A guard and a version keep the record, even if its last bin is removed.
    let makes_a_record = !action.only_removes() || rules.guarded || newer.is_some();
    matches!(action, RowAction::Write(_)) && rules.mode != Mode::Replace && makes_a_record
}

/// Why a row does not need to be applied any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The guard shows that the record has it.
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
    /// Conditions of the guard and of the version. If there is a record, all of them must hold.
    pub conditions: [Option<Condition<'p>>; 2],
    /// The row only removes bins or only touches. If there is no record, there is nothing to do.
    pub only_removes: bool,
    /// The row removes bins and stores neither guard nor version. If there is no record, it may create none.
    pub may_end: bool,
    /// Number of rows in the stretch that are stale because of a newer one in it. They are not in `action`.
    pub stale: usize,
    /// Those of the stale rows that a later row continues.
    pub passed_over: Vec<usize>,
}

/// Holds if the bin is missing, is not an integer, or is less than `below` (with `or_equal`: or equal to it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'p> {
    pub bin: &'p str,
    pub below: i64,
    pub or_equal: bool,
}

/// The operation on the record, as it is sent.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all rows write, and a box would be an allocation"
)]
#[derive(Debug, PartialEq)]
pub enum OutgoingAction<'p> {
    Write(OutgoingOps<'p>),
    Touch,
    Delete,
}

/// The operations of one row, in order. Most rows have few, so no memory is allocated for them.
pub type OutgoingOps<'p> = SmallVec<[OutgoingOp<'p>; 8]>;

/// One operation as it is sent.
#[derive(Debug, PartialEq)]
pub enum OutgoingOp<'p> {
    Op(&'p Op<'p>),
    /// Several integer `add`s, summed.
    Sum(&'p str, i64),
    /// Stores the guard's sequence number or the version.
    Store(&'p str, i64),
    /// Enters a replayed row into the ledger ([`Plan::entry`]). If it is entered already, the server answers 24.
    Enter(&'p Ledger, i64),
    /// Removes entries that are no longer needed.
    Forget(&'p Ledger),
    /// Enters a replayed row again. If it is not entered, the server answers 23.
    Confirm(&'p Ledger, i64),
}

impl OutgoingOp<'_> {
    fn removes(&self) -> bool {
        matches!(self, OutgoingOp::Op(op) if op.removes())
    }

    fn bin(&self) -> &str {
        match self {
            OutgoingOp::Op(op) => op.bin(),
            OutgoingOp::Sum(bin, _) | OutgoingOp::Store(bin, _) => bin,
            OutgoingOp::Enter(ledger, _) | OutgoingOp::Forget(ledger) | OutgoingOp::Confirm(ledger, _) => ledger.bin(),
        }
    }
}

/// What a row does with the ledger of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It enters itself.
    Made,
    /// It asks whether it is entered.
    Asked,
}

impl OutgoingRow<'_> {
    pub fn is_conditional(&self) -> bool {
        self.conditions.iter().any(Option::is_some)
    }

    /// What the row does with the ledger of a replay.
    pub(super) fn entry(&self) -> Option<Entry> {
        match &self.action {
            OutgoingAction::Write(ops) => match ops.first() {
                Some(OutgoingOp::Enter(..)) => Some(Entry::Made),
                Some(OutgoingOp::Confirm(..)) => Some(Entry::Asked),
                _ => None,
            },
            OutgoingAction::Touch | OutgoingAction::Delete => None,
        }
    }

    /// Whether the row expects this code. Only for codes whose meaning depends on the request.
    pub fn answers_with(&self, code: u8) -> bool {
        match code {
            FILTERED_OUT => self.is_conditional(),
            NOT_FOUND => self.only_removes || self.may_end || self.exists == Mode::UpdateOnly,
            EXISTS => self.exists == Mode::Create,
            ELEMENT_EXISTS => self.entry() == Some(Entry::Made),
            ELEMENT_NOT_FOUND => self.entry() == Some(Entry::Asked),
            _ => false,
        }
    }
}

/// Whether `row` can join the unit that ends with `last`. The result must be the same as applying the rows one after
/// another.
///
/// These rows are not merged:
///
/// - A deletion with anything else. A write after it would keep the old record's ttl, and a deletion of a missing
///   record answers 2.
/// - A touch. On a missing record it answers 2 and undoes the whole row.
/// - `create` and `update_only`. What the second row finds is what the first one left.
/// - A write that keeps the record's ttl, after one that may have ended the record or may not have created it.
/// - Rows with different conditions or policies.
fn joins(unit: &Unit, last: &Row<'_>, row: &Row<'_>) -> bool {
    let (ours, theirs) = (last.rules, row.rules);
    let same_target = std::ptr::eq(&**last.target, &**row.target) || last.target == row.target;
    let same_conditions = ours.guarded == theirs.guarded && ours.newer_bin == theirs.newer_bin;
    // `in_doubt` and `repeatable` of a merged row are read from its first part. So they must be the same for all parts.
    let same_doubt = ours.in_doubt == theirs.in_doubt && (ours.guarded || ours.repeatable == theirs.repeatable);
    if !(same_target && same_conditions && same_doubt && ours.ttl_on_create == theirs.ttl_on_create) {
        return false;
    }
    match (&last.action, &row.action) {
        (RowAction::Delete, RowAction::Delete) => true,
        (RowAction::Write(_), RowAction::Write(_)) => match (ours.mode, theirs.mode) {
            // The record is what the last one writes; nothing of the earlier ones remains.
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

/// Adds an operation after the others and folds it into an earlier one if possible. Operations on one bin keep their
/// order; the order between two bins is not visible.
fn append<'p>(ops: &mut OutgoingOps<'p>, op: &'p Op<'p>) {
    let last = ops.iter_mut().rev().find(|last| last.bin() == op.bin());
    match (last, op) {
        // Two writes of one bin have the same result as the second alone.
        (Some(last @ OutgoingOp::Op(Op::Put { .. })), Op::Put { .. }) => *last = OutgoingOp::Op(op),
        // The server's integer addition wraps, as this one does. Float addition rounds, so floats are not folded.
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

/// An index into a list of the plan. No batch comes near the limit.
fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}

/// The digest of a key: RIPEMD-160 over the set's name, the key's particle type and its bytes. Every Aerospike client
/// computes it so (`aerospike-core` 3.0.0, `key.rs`).
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
