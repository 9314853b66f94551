//! The rows of a batch of letters: written with the service's own loop, each with its entry in a ledger.
//!
//! Rows of one source partition share a plan, in offset order. A row that may overwrite newer values carries the
//! partition's guard, and stores it, as the service does. All others go without a guard: the ledger alone tells whether
//! they are applied, and the service's guard stays where its own messages have brought it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::config::model::{InDoubt, Mode};
use crate::delivery::guard::{Guard, GuardIdentity, sequence};
use crate::delivery::ledger::Ledger;
use crate::delivery::letter::Letter;
use crate::delivery::plan::{Plan, enters};
use crate::delivery::reject::{NotDone, Rejected, RowsNotDone, rejection_of};
use crate::delivery::write::{Calls, Fatal, Limits, Refused, Unapplied, WriteEnd, write};
use crate::kafka::admin::topic_id::TopicId;
use crate::output::LeftOut;
use crate::output::row::{Op, RecordKey, Row, RowAction, RowRules, RowTtl};
use crate::replay::judge::{LeftRow, Open, OpenRow, overwrites, record_of, row_counts};
use crate::replay::totals::{Leave, Refuse};

/// A letter whose rows are written.
pub(super) struct Task<'m> {
    pub letter: Letter<'m>,
    pub open: Open<'m>,
}

/// What became of the rows of a letter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    Already,
    Stale,
    Ignored,
    KeptNewer,
    /// Rows of it are left.
    Refused(InPart),
    Failed(Box<Rejected>),
    /// Not finished: the run ends.
    Left,
}

/// A letter of which rows are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InPart {
    pub why: Refuse,
    /// The line of the write that is the cause.
    pub line: usize,
    /// How many rows are done, of those that the letter lists.
    pub done: usize,
    pub of: usize,
    /// The rows that are left: the lines of their writes, and why.
    pub left: Vec<(usize, Leave)>,
}

/// What a run's rows have in common.
pub(super) struct RowsOf<'r> {
    pub group: &'r str,
    pub epoch: u32,
    pub keep_newer: bool,
    pub overwrite: bool,
    pub limits: Limits,
    /// The value of new ledger entries, and what may be forgotten.
    pub time: i64,
    pub forget_below: i64,
}

/// What a plan has come to, by row.
#[derive(Default)]
struct Found {
    unapplied: Vec<(usize, Unapplied)>,
    refused: Vec<Refused>,
    /// Behind a refused row of its message, on the same record.
    behind: Vec<usize>,
    /// Not finished.
    left: Vec<usize>,
    written: u64,
}

/// Rows that are left, and are done: by their tasks and places.
type DoneBefore = HashSet<(usize, usize)>;

/// The ttl of a record that is there before a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Life {
    /// It stays: nothing says that no later message has set it.
    Kept,
    /// The row sets it, as its write says.
    Set,
}

/// Which rules a replayed row has in place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Plain(Life),
    Guarded(Life),
    /// Without what overwrites.
    Reduced,
}

/// The rules of replayed rows, made once for each write.
#[derive(Default)]
struct Rules {
    made: Vec<RowRules>,
    known: HashMap<(*const RowRules, Kind), usize>,
}

impl Rules {
    fn make(&mut self, of: &RowRules, kind: Kind) {
        let made = &mut self.made;
        self.known.entry((std::ptr::from_ref(of), kind)).or_insert_with(|| {
            made.push(RowRules {
                guarded: matches!(kind, Kind::Guarded(_)),
                // The ledger stops a second attempt; rows without an entry have the same effect twice.
                repeatable: true,
                in_doubt: InDoubt::Retry,
                ttl_on_create: match kind {
                    Kind::Plain(Life::Kept) | Kind::Guarded(Life::Kept) => of.ttl_on_create || of.mode == Mode::Update,
                    Kind::Plain(Life::Set) | Kind::Guarded(Life::Set) => of.ttl_on_create,
                    Kind::Reduced => false,
                },
                ..of.clone()
            });
            made.len() - 1
        });
    }

    fn get<'r>(&'r self, of: &'r RowRules, kind: Kind) -> &'r RowRules {
        let place = self.known.get(&(std::ptr::from_ref(of), kind));
        place.map_or(of, |place| &self.made[*place])
    }
}

impl RowsOf<'_> {
    /// Writes the rows. Returns an outcome for each task, the number of rows that were applied, and why the run cannot
    /// go on, if it cannot.
    pub fn write(&self, tasks: &[Task<'_>], calls: &Calls<'_>) -> (Vec<Outcome>, u64, Option<Fatal>) {
        let mut rules = Rules::default();
        for task in tasks {
            for open in &task.open.open {
                let row = &task.open.rows[open.place];
                rules.make(row.rules, Kind::Plain(self.life(row)));
                if open.is_guarded {
                    rules.make(row.rules, Kind::Guarded(guarded_life(open)));
                    rules.make(row.rules, Kind::Reduced);
                }
            }
            for left in &task.open.left {
                let row = &task.open.rows[left.place];
                rules.make(row.rules, Kind::Plain(self.life(row)));
            }
        }
        let mut groups: BTreeMap<(&str, Option<&str>, i32), Vec<usize>> = BTreeMap::new();
        for (number, task) in tasks.iter().enumerate() {
            let Letter {
                topic,
                topic_id,
                partition,
                ..
            } = task.letter;
            groups.entry((topic, topic_id, partition)).or_default().push(number);
        }
        let mut outcomes: Vec<Outcome> = tasks.iter().map(|_| Outcome::Left).collect();
        let mut written = 0;
        for members in groups.values_mut() {
            members.sort_by_key(|number| tasks[*number].letter.offset);
            let (applied, fatal) = self.write_group(tasks, members, &rules, calls, &mut outcomes);
            written += applied;
            if fatal.is_some() {
                return (outcomes, written, fatal);
            }
        }
        (outcomes, written, None)
    }

    /// What an unguarded row does with the ttl of a record that is there.
    fn life(&self, row: &Row<'_>) -> Life {
        if !self.overwrite && row.newer.is_none() && matches!(row.action, RowAction::Write(_)) {
            Life::Kept
        } else {
            Life::Set
        }
    }

    fn write_group(
        &self,
        tasks: &[Task<'_>],
        members: &[usize],
        rules: &Rules,
        calls: &Calls<'_>,
        outcomes: &mut [Outcome],
    ) -> (u64, Option<Fatal>) {
        let Some(first) = members.first() else {
            return (0, None);
        };
        let letter = &tasks[*first].letter;
        let identity = GuardIdentity {
            group: self.group,
            topic_id: letter
                .topic_id
                .and_then(TopicId::parse)
                .map_or([0; 16], |id| *id.as_bytes()),
            topic: letter.topic,
            partition: letter.partition,
            epoch: self.epoch,
        };
        let guard = Guard::new(&identity);
        let ledger = Ledger::new(&identity, self.time, self.forget_below);
        let before = match self.done_before(tasks, members, rules, &ledger, &guard, calls) {
            Ok(before) => before,
            Err(fatal) => return (0, fatal),
        };
        let mut plan = Plan::with_ledger(ledger.clone());
        let mut open_rows = Vec::new();
        for number in members {
            let Task { letter, open } = &tasks[*number];
            let mut wanted = open.open.iter().peekable();
            let ordinals = ordinals(&open.rows, &open.left_out);
            for (place, row) in open.rows.iter().enumerate() {
                let wanted = wanted.next_if(|wanted| wanted.place == place);
                // Rows that are done matter only for the version that they may have brought.
                if wanted.is_none() && row.newer.is_none() {
                    continue;
                }
                let kind = match wanted {
                    Some(wanted) if wanted.is_guarded => Kind::Guarded(guarded_life(wanted)),
                    _ => Kind::Plain(self.life(row)),
                };
                if wanted.is_some() {
                    open_rows.push(plan.rows());
                }
                let keeps_life = matches!(kind, Kind::Plain(Life::Kept) | Kind::Guarded(Life::Kept));
                let is_there = row.rules.mode == Mode::UpdateOnly;
                let of = sequence(letter.offset, row.number).unwrap_or_default();
                let entry = sequence(letter.offset, ordinals[place]).unwrap_or_default();
                let row = Row {
                    message: *number,
                    rules: rules.get(row.rules, kind),
                    ttl: if keeps_life && is_there { RowTtl::Keep } else { row.ttl },
                    ..row.clone()
                };
                plan.push_entered(row, of, entry);
            }
        }
        let mut found = Found::default();
        let mut fatal = self.rounds(&plan, open_rows, &guard, calls, &mut found);
        let mut kept: Vec<usize> = Vec::new();
        if self.keep_newer && fatal.is_none() {
            let (reduced, of) = self.reduced(&plan, &found, &ledger, rules, tasks, &mut kept);
            let mut more = Found::default();
            fatal = self.rounds(&reduced, (0..reduced.rows()).collect(), &guard, calls, &mut more);
            found.unapplied.retain(|(_, why)| *why != Unapplied::Later);
            found.left.extend(more.left.iter().map(|row| of[*row]));
            found
                .unapplied
                .extend(more.unapplied.iter().map(|(row, why)| (of[*row], *why)));
            found.refused.extend(more.refused.iter().map(|refused| Refused {
                row: of[refused.row],
                ..*refused
            }));
            found.behind.extend(more.behind.iter().map(|row| of[*row]));
            found.written += more.written;
        }
        for number in members {
            outcomes[*number] = outcome(&plan, *number, &tasks[*number], &found, &kept, &before);
        }
        (found.written, fatal)
    }

    /// Asks the ledger which of the rows that are left are done: an earlier run may have been given a person's word. The
    /// rows on a record count as done if all of them are.
    ///
    /// # Errors
    /// Why the run cannot go on. `None`: it is stopped.
    fn done_before(
        &self,
        tasks: &[Task<'_>],
        members: &[usize],
        rules: &Rules,
        ledger: &Ledger,
        guard: &Guard,
        calls: &Calls<'_>,
    ) -> Result<DoneBefore, Option<Fatal>> {
        let mut plan = Plan::asking(ledger.clone());
        let mut of = Vec::new();
        for number in members {
            let Task { letter, open } = &tasks[*number];
            if open.left.is_empty() {
                continue;
            }
            let ordinals = ordinals(&open.rows, &open.left_out);
            for left in &open.left {
                let row = &open.rows[left.place];
                let row = Row {
                    message: *number,
                    rules: rules.get(row.rules, Kind::Plain(self.life(row))),
                    ..row.clone()
                };
                if enters(&row) {
                    let entry = sequence(letter.offset, ordinals[left.place]).unwrap_or_default();
                    of.push((*number, left.place));
                    plan.push_entered(row, entry, entry);
                }
            }
        }
        let mut found = Found::default();
        let fatal = self.rounds(&plan, (0..plan.rows()).collect(), guard, calls, &mut found);
        if fatal.is_some() || !found.left.is_empty() {
            return Err(fatal);
        }
        let entered = found.unapplied.iter().filter(|(_, why)| *why == Unapplied::Already);
        let mut done: DoneBefore = entered.map(|(row, _)| of[*row]).collect();
        for number in members {
            let Open { rows, left, .. } = &tasks[*number].open;
            let record = |left: &LeftRow| (rows[left.place].target, &rows[left.place].key);
            let is_done = |left: &LeftRow| done.contains(&(*number, left.place));
            let open: Vec<_> = left.iter().filter(|left| !is_done(left)).map(record).collect();
            for left in left.iter().filter(|left| open.contains(&record(left))) {
                done.remove(&(*number, left.place));
            }
        }
        Ok(done)
    }

    /// The rows that later messages kept from being applied, without what overwrites. `kept`: those of which nothing
    /// is left. The second list has their numbers in `plan`.
    fn reduced<'p>(
        &self,
        plan: &'p Plan<'p>,
        found: &Found,
        ledger: &Ledger,
        rules: &'p Rules,
        tasks: &'p [Task<'p>],
        kept: &mut Vec<usize>,
    ) -> (Plan<'p>, Vec<usize>) {
        let mut reduced = Plan::with_ledger(ledger.clone());
        let mut of = Vec::new();
        for (number, why) in &found.unapplied {
            if *why != Unapplied::Later {
                continue;
            }
            let planned = plan.row(*number);
            let row = &planned.row;
            let left: Vec<Op<'_>> = match &row.action {
                RowAction::Write(ops) if row.rules.mode != Mode::Replace => {
                    let is_left = |op: &&Op<'_>| !overwrites(op) && !is_cut_short(ops, op);
                    ops.iter().filter(is_left).cloned().collect()
                }
                _ => Vec::new(),
            };
            if left.iter().all(|op| matches!(op, Op::KeepLast { .. })) {
                kept.push(*number);
                continue;
            }
            let own = tasks[row.message]
                .open
                .rows
                .iter()
                .find(|own| own.number == row.number)
                .map_or(row.rules, |own| own.rules);
            let row = Row {
                rules: rules.get(own, Kind::Reduced),
                action: RowAction::Write(left),
                // The record lives as long as the later message says.
                ttl: RowTtl::Keep,
                ..row.clone()
            };
            of.push(*number);
            reduced.push_entered(row, planned.sequence, plan.entry(*number));
        }
        (reduced, of)
    }

    /// Writes these rows of the plan. A row that the database refuses does not hold up the rows of other messages.
    fn rounds(
        &self,
        plan: &Plan<'_>,
        mut rows: Vec<usize>,
        guard: &Guard,
        calls: &Calls<'_>,
        found: &mut Found,
    ) -> Option<Fatal> {
        while !rows.is_empty() {
            let part = plan.only(&rows);
            let done = write(&part, &self.limits, guard, calls);
            found.written += done.tally.written;
            found
                .unapplied
                .extend(done.unapplied.iter().map(|(row, why)| (rows[*row], *why)));
            let refused: Vec<Refused> = done
                .refused
                .iter()
                .map(|refused| Refused {
                    row: rows[refused.row],
                    ..*refused
                })
                .collect();
            let open = done.open.iter().map(|row| rows[*row]);
            let of = |row: usize| (plan.message(row), plan.record(row));
            let (behind, mut open): (Vec<usize>, Vec<usize>) =
                open.partition(|row| refused.iter().any(|refused| of(refused.row) == of(*row)));
            found.behind.extend(behind);
            found.refused.extend(refused);
            match done.end {
                WriteEnd::Finished => {}
                WriteEnd::Stopped => {
                    found.left.extend(open);
                    return None;
                }
                WriteEnd::Fatal(fatal) => {
                    found.left.extend(open);
                    return Some(fatal);
                }
            }
            open.sort_unstable();
            rows = open;
        }
        None
    }
}

/// What a guarded row does with the ttl of a record that is there.
fn guarded_life(open: &OpenRow) -> Life {
    if open.keeps_life { Life::Kept } else { Life::Set }
}

/// Whether it appends to a list of which the last elements are kept. The next message of the service would then push out an
/// element that is newer.
fn is_cut_short(ops: &[Op<'_>], op: &Op<'_>) -> bool {
    let is_cut = |other: &Op<'_>| matches!(other, Op::KeepLast { map: false, .. }) && other.bin() == op.bin();
    matches!(op, Op::ListAppend { .. }) && ops.iter().any(is_cut)
}

/// For each row of a message: its number among those on the same record. It is the row's identity in the record's
/// ledger: writes to other records can be added, removed and moved without changing it. Rows that are left out count, so
/// that it does not change when their lives end.
fn ordinals(rows: &[Row<'_>], left_out: &[LeftOut<'_>]) -> Vec<u16> {
    let mut counts: HashMap<(&str, &str, &RecordKey<'_>), u16> = HashMap::new();
    let mut ordinals = Vec::with_capacity(rows.len());
    let mut left_out = left_out.iter().peekable();
    for row in rows {
        while let Some(out) = left_out.next_if(|out| out.number < row.number) {
            // A message has at most 65,536 rows.
            let count = counts
                .entry((&out.target.namespace, &out.target.set, &out.key))
                .or_default();
            *count = count.saturating_add(1);
        }
        let count = counts
            .entry((&row.target.namespace, &row.target.set, &row.key))
            .or_default();
        ordinals.push(*count);
        *count = count.saturating_add(1);
    }
    ordinals
}

/// What became of the letter with this number. `kept`: rows of which `--keep-newer` leaves nothing. `before`: rows that are
/// left, and were done by an earlier run.
fn outcome(
    plan: &Plan<'_>,
    number: usize,
    task: &Task<'_>,
    found: &Found,
    kept: &[usize],
    before: &DoneBefore,
) -> Outcome {
    let open = task.open.open.len();
    let is_its = |row: &usize| plan.message(*row) == number;
    if found.left.iter().any(is_its) {
        return Outcome::Left;
    }
    let whys: Vec<(usize, Unapplied)> = found.unapplied.iter().copied().filter(|(row, _)| is_its(row)).collect();
    let later = whys
        .iter()
        .filter(|(_, why)| *why == Unapplied::Later)
        .map(|(row, _)| *row);
    let all_left = &task.open.left;
    let left: Vec<&LeftRow> = all_left
        .iter()
        .filter(|row| !before.contains(&(number, row.place)))
        .collect();
    let done_before = all_left.len() - left.len();
    let refused: Vec<&Refused> = found.refused.iter().filter(|refused| is_its(&refused.row)).collect();
    let Some(first) = refused.first() else {
        // What nothing tells needs the user's word in any case, so it is named first.
        let cause = left
            .iter()
            .find(|row| row.why.is_cause())
            .map(|row| (Refuse::MayOverwrite, row.line));
        let cause = cause.or_else(|| Some((Refuse::Later, plan.row(later.clone().min()?).row.rules.line)));
        if let Some((why, line)) = cause {
            let lines = left.iter().map(|row| (row.line, row.why));
            let later_lines = later.clone().map(|row| (plan.row(row).row.rules.line, Leave::Later));
            return Outcome::Refused(InPart {
                why,
                line,
                done: open - later.count() + done_before,
                of: open + all_left.len(),
                left: lines.chain(later_lines).collect(),
            });
        }
        let has = |what| whys.iter().any(|(_, why)| *why == what);
        let kept = kept.iter().filter(|row| is_its(row)).count();
        return match () {
            () if open > whys.len() + kept => Outcome::Written,
            () if has(Unapplied::Already) || done_before > 0 => Outcome::Already,
            () if has(Unapplied::Stale) => Outcome::Stale,
            () if has(Unapplied::Ignored) => Outcome::Ignored,
            () if kept > 0 => Outcome::KeptNewer,
            () => Outcome::Written,
        };
    };
    let behind = found.behind.iter().copied().filter(|row| is_its(row));
    let rows = refused.iter().map(|refused| refused.row).chain(behind).chain(later);
    let rows = rows.map(|row| &plan.row(row).row);
    let rows = rows.chain(left.iter().map(|row| &task.open.rows[row.place]));
    let counts = row_counts(&task.open.rows, &[]);
    let of = |row: &Row<'_>| counts.get(&record_of(row)).map_or(0, |count| count.made);
    let mut not_done: Vec<NotDone> = rows.map(|row| NotDone::of(row, of(row))).collect();
    not_done.sort_unstable_by_key(|row| row.row);
    Outcome::Failed(Box::new(Rejected {
        rejection: rejection_of(first.refusal, true),
        rows_not_done: RowsNotDone::These(not_done),
        attempts: first.attempts,
        // An attempt of a replay is never in doubt: if it takes effect late, the next one finds its entry.
        in_doubt: task.letter.in_doubt,
    }))
}

#[cfg(test)]
mod tests;
