//! Replays against a model of the database: records with a counter, a value, a guard and a ledger, whose answers are
//! lost, before or after they took effect.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::delivery::letter::LetterRows;
use crate::delivery::plan::{OutgoingAction, OutgoingOp, OutgoingRow};
use crate::delivery::pressure::Pressure;
use crate::delivery::row_outcomes::CallFailure;
use crate::delivery::write::{Answer, RowWriter, Stored};
use crate::observe::counters::Counters;
use crate::output::row::{Number, RecordKey, Target};
use crate::output::value::Value;
use crate::replay::judge::{OpenRow, leave, may_overwrite};
use crate::util::stop::Stop;

const LIMITS: Limits = Limits {
    rows: 3,
    bytes: usize::MAX,
    finish_max: Duration::from_secs(2),
};

#[derive(Debug, Clone, Default, PartialEq)]
struct Record {
    count: i64,
    last: Option<i64>,
    guard: Option<i64>,
    entries: BTreeMap<i64, i64>,
}

/// What happens to the next row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It is applied, and not answered.
    Silent,
    /// It is neither applied nor answered.
    Lost,
    /// The record is busy.
    Busy,
    /// The row is refused.
    Refused,
}

#[derive(Default)]
struct Model {
    records: RefCell<BTreeMap<i64, Record>>,
    faults: RefCell<Vec<Fault>>,
}

impl Model {
    fn apply(records: &mut BTreeMap<i64, Record>, row: &OutgoingRow<'_>) -> u8 {
        let RecordKey::Integer(key) = row.key else {
            panic!("integer keys only")
        };
        let existing = records.get(key).cloned();
        if existing.is_some() && row.exists == Mode::Create {
            return 5;
        }
        if existing.is_none() && row.exists == Mode::UpdateOnly {
            return 2;
        }
        if let (Some(record), Some(guard)) = (&existing, row.conditions[0])
            && record.guard.is_some_and(|stored| stored >= guard.below)
        {
            return 27;
        }
        let mut record = existing.unwrap_or_default();
        let OutgoingAction::Write(ops) = &row.action else {
            records.remove(key);
            return 0;
        };
        for op in ops {
            match op {
                OutgoingOp::Enter(ledger, key) => {
                    if record.entries.insert(*key, ledger.time).is_some() {
                        return 24;
                    }
                }
                OutgoingOp::Confirm(ledger, key) => {
                    if record.entries.insert(*key, ledger.time).is_none() {
                        return 23;
                    }
                }
                OutgoingOp::Forget(ledger) => record.entries.retain(|_, time| *time >= ledger.forget_below),
                OutgoingOp::Store(_, value) => record.guard = Some(*value),
                OutgoingOp::Op(Op::Add {
                    by: Number::Int(by), ..
                }) => record.count += by,
                OutgoingOp::Op(Op::Put {
                    value: Value::Int(value),
                    ..
                }) => record.last = Some(*value),
                other => panic!("{other:?}"),
            }
        }
        records.insert(*key, record);
        0
    }
}

impl RowWriter for Model {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let mut records = self.records.borrow_mut();
        let lost = Answer::Failed {
            failure: CallFailure::TimedOut,
            in_doubt: true,
        };
        let mut answer = |row: &OutgoingRow<'_>| match self.faults.borrow_mut().pop().unwrap_or(Fault::None) {
            Fault::None => Answer::Code(Model::apply(&mut records, row)),
            Fault::Silent => {
                Model::apply(&mut records, row);
                lost
            }
            Fault::Lost => lost,
            Fault::Busy => Answer::Code(14),
            Fault::Refused => Answer::Code(13),
        };
        rows.iter().map(&mut answer).collect()
    }

    fn stored(&self, _: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        panic!("a replay asks its ledger, not the guards")
    }

    fn rows_max(&self) -> usize {
        usize::MAX
    }

    fn codes_are_exact(&self) -> bool {
        true
    }

    fn lacks_namespace(&self, _: &str) -> bool {
        false
    }
}

/// Random faults, but for refusals.
fn made(faults: &[usize]) -> Vec<Fault> {
    let of = |fault: &usize| match fault {
        0..=2 => Fault::Silent,
        3 | 4 => Fault::Lost,
        5 => Fault::Busy,
        _ => Fault::None,
    };
    faults.iter().map(of).collect()
}

/// What a message asks of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counts,
    CountsAndSets,
    Sets,
    Creates,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    key: i64,
    kind: Kind,
}

/// The rules of a kind, as the service has them.
fn rules(kind: Kind) -> RowRules {
    RowRules {
        line: 7,
        mode: if kind == Kind::Creates {
            Mode::Create
        } else {
            Mode::Update
        },
        ..RowRules::guarded()
    }
}

fn ops(kind: Kind, value: i64) -> Vec<Op<'static>> {
    let add = Op::Add {
        bin: "count",
        by: Number::Int(1),
    };
    let put = Op::Put {
        bin: "last".into(),
        value: Value::Int(value),
    };
    match kind {
        Kind::Counts => vec![add],
        Kind::CountsAndSets | Kind::Creates => vec![put, add],
        Kind::Sets => vec![put],
    }
}

struct World {
    model: Model,
    /// What each message asks, row by row.
    asked: Vec<Vec<Asked>>,
    /// No guard tells whether a row that sets overwrites what is newer.
    is_blind: bool,
    rules: [RowRules; 4],
    target: Arc<Target>,
}

/// What a row sets.
fn value(offset: usize, row: usize) -> i64 {
    i64::try_from(offset + 1000 * row).unwrap()
}

impl World {
    /// Messages of one row each.
    fn new(asked: &[Asked]) -> World {
        World::of(asked.iter().map(|asked| vec![*asked]).collect(), false)
    }

    fn of(asked: Vec<Vec<Asked>>, is_blind: bool) -> World {
        World {
            model: Model::default(),
            asked,
            is_blind,
            rules: [Kind::Counts, Kind::CountsAndSets, Kind::Sets, Kind::Creates].map(rules),
            target: Arc::new(Target::new("test", "s")),
        }
    }

    fn task(&self, offset: usize, overwrite: bool) -> Task<'_> {
        let made = self.asked[offset].iter().enumerate();
        let rows: Vec<Row<'_>> = made
            .map(|(number, Asked { key, kind })| Row {
                message: 0,
                number: u16::try_from(number).unwrap(),
                rules: &self.rules[*kind as usize],
                target: &self.target,
                key: RecordKey::Integer(*key),
                action: RowAction::Write(ops(*kind, value(offset, number))),
                ttl: RowTtl::NamespaceDefault,
                newer: None,
            })
            .collect();
        let wanted = rows.iter().enumerate().map(|(place, row)| {
            let is_careful = may_overwrite(row) && !overwrite;
            let is_guarded = is_careful && !self.is_blind;
            (
                OpenRow {
                    place,
                    is_guarded,
                    keeps_life: false,
                },
                (is_careful && self.is_blind).then_some(Leave::MayOverwrite),
            )
        });
        let (open, left) = leave(&rows, wanted.collect());
        Task {
            letter: Letter::for_tests("t", i64::try_from(offset).unwrap(), LetterRows::All),
            open: Open {
                left_out: Vec::new(),
                open,
                left,
                rows,
                overwriting: Vec::new(),
                publications: Vec::new(),
            },
        }
    }

    /// What the service does with a message that it does not reject.
    fn serve(&self, offset: usize) {
        let mut records = self.model.records.borrow_mut();
        for (number, Asked { key, kind }) in self.asked[offset].iter().enumerate() {
            if *kind == Kind::Creates && records.contains_key(key) {
                continue;
            }
            let record = records.entry(*key).or_default();
            record.guard = Some(sequence(i64::try_from(offset).unwrap(), u16::try_from(number).unwrap()).unwrap());
            if *kind != Kind::Sets {
                record.count += 1;
            }
            if *kind != Kind::Counts {
                record.last = Some(value(offset, number));
            }
        }
    }

    fn replay(&self, offsets: &[usize], faults: &[Fault], keep_newer: bool) -> Vec<Outcome> {
        self.replay_as(offsets, faults, keep_newer, false)
    }

    fn replay_as(&self, offsets: &[usize], faults: &[Fault], keep_newer: bool, overwrite: bool) -> Vec<Outcome> {
        *self.model.faults.borrow_mut() = faults.to_vec();
        let rows_of = RowsOf {
            group: "g",
            epoch: 0,
            keep_newer,
            overwrite,
            limits: LIMITS,
            time: 1000,
            forget_below: 900,
        };
        let tasks: Vec<Task<'_>> = offsets.iter().map(|offset| self.task(*offset, overwrite)).collect();
        let pressure = Pressure::new(4000, None, Arc::new(Counters::new()));
        let calls = Calls {
            writer: &self.model,
            pressure: &pressure,
            stop: &Stop::new(),
            meanwhile: &|| {},
        };
        let (outcomes, _, fatal) = rows_of.write(&tasks, &calls);
        assert_eq!(fatal, None);
        self.model.faults.borrow_mut().clear();
        outcomes
    }

    fn record(&self, key: i64) -> Record {
        self.model.records.borrow().get(&key).cloned().unwrap_or_default()
    }
}

fn asked(key: i64, kind: Kind) -> Asked {
    Asked { key, kind }
}

fn refused(why: Refuse, done: usize, of: usize) -> Outcome {
    let left = match why {
        Refuse::Later => Leave::Later,
        _ => Leave::MayOverwrite,
    };
    Outcome::Refused(InPart {
        why,
        line: 7,
        done,
        of,
        left: vec![(7, left); of - done],
    })
}

#[test]
fn a_letter_is_applied_once_whatever_the_service_has_written_since() {
    let world = World::new(&[
        asked(1, Kind::CountsAndSets),
        asked(1, Kind::Counts),
        asked(1, Kind::CountsAndSets),
    ]);
    world.serve(2);
    let later = || refused(Refuse::Later, 0, 1);
    assert_eq!(world.replay(&[0, 1], &[], false), [later(), Outcome::Written]);
    assert_eq!(
        world.replay(&[0, 1], &[], false),
        [later(), Outcome::Already],
        "a refused letter stays refused"
    );
    assert_eq!(world.replay(&[1, 0], &[], true), [Outcome::Already, Outcome::Written]);
    assert_eq!(world.replay(&[0, 1], &[], true), [Outcome::Already, Outcome::Already]);
    assert_eq!(world.replay(&[0, 1], &[], false), [Outcome::Already, Outcome::Already]);
    let record = world.model.records.borrow()[&1].clone();
    assert_eq!((record.count, record.last), (3, Some(2)));
    assert_eq!(record.guard, sequence(2, 0), "the service's guard stays where it was");
}

#[test]
fn what_only_sets_is_left_alone_and_what_creates_finds_itself() {
    let world = World::new(&[
        asked(1, Kind::Sets),
        asked(1, Kind::Sets),
        asked(2, Kind::Creates),
        asked(2, Kind::Creates),
    ]);
    world.serve(1);
    assert_eq!(world.replay(&[0], &[], true), [Outcome::KeptNewer]);
    // The answer to its creation is lost.
    assert_eq!(world.replay(&[2], &[Fault::Silent], false), [Outcome::Already]);
    assert_eq!(world.replay(&[2], &[], false), [Outcome::Already]);
    let [Outcome::Failed(rejected)] = &world.replay(&[3], &[], false)[..] else {
        panic!("another message cannot create the record");
    };
    assert_eq!(rejected.rejection.reason.as_str(), "conflict");
    assert_eq!(world.model.records.borrow()[&2].count, 1);
}

#[test]
fn a_lost_answer_leaves_no_doubt_in_the_new_letter() {
    let world = World::new(&[asked(1, Kind::Counts)]);
    // The last fault is the first.
    let outcomes = world.replay(&[0], &[Fault::Refused, Fault::Refused, Fault::Lost], false);
    let [Outcome::Failed(rejected)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!(!rejected.in_doubt, "the next replay would be refused");
    // A record that is not there is created in a second attempt, whose answer is lost.
    let faults = [Fault::Silent, Fault::None];
    assert_eq!(world.replay(&[0], &faults, false), [Outcome::Already]);
}

#[test]
fn a_refused_row_holds_up_no_other_message_and_old_entries_go() {
    let world = World::new(&[asked(1, Kind::Counts); 3]);
    let old = Record {
        entries: BTreeMap::from([(77, 899), (78, 900)]),
        ..Record::default()
    };
    world.model.records.borrow_mut().insert(1, old);
    let outcomes = world.replay(&[0, 1, 2], &[Fault::Refused], false);
    assert!(matches!(outcomes[0], Outcome::Failed(_)), "{outcomes:?}");
    assert_eq!(outcomes[1..], [Outcome::Written, Outcome::Written]);
    let record = world.model.records.borrow()[&1].clone();
    assert_eq!(record.count, 2);
    let entries: Vec<i64> = record.entries.into_keys().collect();
    assert_eq!(
        entries,
        [78, sequence(1, 0).unwrap(), sequence(2, 0).unwrap()]
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

/// The rows of a letter that cannot overwrite are applied, once, and all rows on the record of another one wait.
#[test]
fn a_row_that_may_overwrite_is_left_with_its_record_and_the_others_are_applied() {
    let rows = [
        asked(1, Kind::Counts),
        asked(2, Kind::Counts),
        asked(2, Kind::Sets),
        asked(2, Kind::CountsAndSets),
        asked(3, Kind::Counts),
    ];
    let world = World::of(vec![rows.to_vec(), vec![asked(2, Kind::Sets)]], true);
    // A lost answer makes no difference; neither do further runs, nor `--keep-newer`.
    for (faults, keep_newer) in [(&[Fault::Silent][..], false), (&[], false), (&[], true)] {
        let outcomes = world.replay(&[0, 1], faults, keep_newer);
        let [mut first, second] = [(2, 5), (0, 1)].map(|(done, of)| refused(Refuse::MayOverwrite, done, of));
        if let Outcome::Refused(InPart { left, .. }) = &mut first {
            left[0].1 = Leave::SameRecord;
        }
        assert_eq!(outcomes, [first, second]);
        assert_eq!([1, 2, 3].map(|key| world.record(key).count), [1, 0, 1]);
        assert!(
            !world.model.records.borrow().contains_key(&2),
            "nothing of the record is applied"
        );
    }
    assert_eq!(
        world.replay_as(&[0, 1], &[], false, true),
        [Outcome::Written, Outcome::Written]
    );
    assert_eq!([1, 2, 3].map(|key| world.record(key).count), [1, 2, 1]);
    assert_eq!(
        world.record(2).last,
        Some(value(1, 0)),
        "rows of a record keep their order"
    );
    // What a person's word has done needs no word again.
    for overwrite in [true, false] {
        assert_eq!(
            world.replay_as(&[0, 1], &[Fault::Silent], false, overwrite),
            [Outcome::Already, Outcome::Already]
        );
    }
    // The entries are the same in all runs: of each row's place on its record.
    let entries: Vec<i64> = world.record(2).entries.into_keys().collect();
    assert_eq!(entries, [0, 1, 2, 65_536]);
}

#[test]
fn a_letter_that_fails_again_lists_the_rows_that_were_left() {
    let rows = [
        asked(1, Kind::Sets),
        asked(2, Kind::Counts),
        asked(3, Kind::Counts),
        asked(1, Kind::Counts),
    ];
    let world = World::of(vec![rows.to_vec()], true);
    // The last fault is the first: two rows ask the ledger, and a refused row is sent once more, alone.
    let faults = [Fault::Refused, Fault::None, Fault::Refused, Fault::None, Fault::None];
    let outcomes = world.replay(&[0], &faults, false);
    let [Outcome::Failed(rejected)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    let RowsNotDone::These(not_done) = &rejected.rows_not_done else {
        panic!("{rejected:?}")
    };
    let numbers: Vec<u16> = not_done.iter().map(|row| row.row).collect();
    assert_eq!(numbers, [0, 1, 3]);
    assert_eq!([1, 2, 3].map(|key| world.record(key).count), [0, 0, 1]);
}

/// A write can make rows of both kinds: of one that deletes, nobody asks how long the record lives.
#[test]
fn rows_of_one_write_have_their_own_rules_for_the_life_of_a_record() {
    let of = rules(Kind::Counts);
    let mut rules = Rules::default();
    let [set, kept] = [Life::Set, Life::Kept].map(super::Kind::Plain);
    rules.make(&of, set);
    rules.make(&of, kept);
    assert!(!rules.get(&of, set).ttl_on_create);
    assert!(rules.get(&of, kept).ttl_on_create);
}

proptest! {
    /// Letters of several rows, of which some may overwrite. Careful runs apply what does not depend on those, in any
    /// order, in any parts, under faults; a run with `--overwrite` applies the rest. In the end every counter is exact.
    #[test]
    fn letters_that_are_replayed_in_part_are_exact_in_the_end(
        messages in proptest::collection::vec((proptest::collection::vec((0_i64..3, 0_usize..3), 1..5), any::<bool>()), 1..10),
        runs in proptest::collection::vec((proptest::collection::vec(0_usize..10, 1..8), proptest::collection::vec(0_usize..8, 0..6)), 0..4),
    ) {
        let kinds = [Kind::Counts, Kind::CountsAndSets, Kind::Sets];
        let row = |(key, kind): &(i64, usize)| Asked { key: *key, kind: kinds[*kind] };
        let all: Vec<Vec<Asked>> = messages.iter().map(|(rows, _)| rows.iter().map(row).collect()).collect();
        let world = World::of(all.clone(), true);
        let is_letter = |offset: &usize| messages[*offset].1;
        let letters: Vec<usize> = (0..all.len()).filter(is_letter).collect();
        for offset in (0..all.len()).filter(|offset| !is_letter(offset)) {
            world.serve(offset);
        }
        let counts = |key: i64, takes: &dyn Fn(usize) -> bool| -> i64 {
            let its = (0..all.len()).filter(|offset| takes(*offset)).flat_map(|offset| &all[offset]);
            its.filter(|row| row.key == key && row.kind != Kind::Sets).count() as i64
        };
        let sets = |key: i64, offset: usize| all[offset].iter().any(|row| row.key == key && row.kind != Kind::Counts);
        for (wanted, faults) in &runs {
            let mut seen = BTreeSet::new();
            let wanted: Vec<usize> =
                wanted.iter().copied().filter(|offset| letters.contains(offset) && seen.insert(*offset)).collect();
            world.replay(&wanted, &made(faults), false);
        }
        world.replay(&letters, &[], false);
        for key in 0..3 {
            let careful = |offset: usize| !is_letter(&offset) || !sets(key, offset);
            prop_assert_eq!(world.record(key).count, counts(key, &careful));
            let last = (0..all.len()).rfind(|offset| !is_letter(offset) && sets(key, *offset));
            prop_assert_eq!(world.record(key).last.map(|value| value % 1000), last.map(|offset| offset as i64));
        }
        world.replay_as(&letters, &[], false, true);
        let before = world.model.records.borrow().clone();
        for overwrite in [true, false] {
            let again = world.replay_as(&letters, &[], false, overwrite);
            prop_assert!(again.iter().all(|outcome| *outcome == Outcome::Already), "{again:?}");
            prop_assert_eq!(&before, &*world.model.records.borrow());
        }
        for key in 0..3 {
            prop_assert_eq!(world.record(key).count, counts(key, &|_| true));
            let last = letters.iter().rfind(|offset| sets(key, **offset)).map(|offset| {
                let row = all[*offset].iter().rposition(|row| row.key == key && row.kind != Kind::Counts);
                value(*offset, row.unwrap())
            });
            if last.is_some() {
                prop_assert_eq!(world.record(key).last, last);
            }
        }
    }

    /// Some messages are served, the others are letters. They are replayed in any order, in any parts, several times,
    /// under faults. In the end every counter is exact, and every value is the newest.
    #[test]
    fn counters_are_exact_and_values_are_the_newest(
        asked in proptest::collection::vec((0_i64..3, 0_usize..3, any::<bool>()), 1..14),
        runs in proptest::collection::vec((proptest::collection::vec(0_usize..14, 1..8), proptest::collection::vec(0_usize..8, 0..6), any::<bool>()), 0..5),
    ) {
        let kinds = [Kind::Counts, Kind::CountsAndSets, Kind::Sets];
        let all: Vec<Asked> = asked.iter().map(|(key, kind, _)| Asked { key: *key, kind: kinds[*kind] }).collect();
        let world = World::new(&all);
        let letters: Vec<usize> = (0..all.len()).filter(|offset| asked[*offset].2).collect();
        for offset in (0..all.len()).filter(|offset| !asked[*offset].2) {
            world.serve(offset);
        }
        for (wanted, faults, keep_newer) in &runs {
            let mut wanted: Vec<usize> = wanted.iter().copied().filter(|offset| letters.contains(offset)).collect();
            let mut seen = BTreeSet::new();
            wanted.retain(|offset| seen.insert(*offset));
            world.replay(&wanted, &made(faults), *keep_newer);
        }
        world.replay(&letters, &[], true);
        let before = world.model.records.borrow().clone();
        let again = world.replay(&letters, &[], true);
        prop_assert!(again.iter().all(|outcome| matches!(outcome, Outcome::Already | Outcome::KeptNewer)), "{again:?}");
        let records = world.model.records.borrow();
        prop_assert_eq!(&before, &*records);
        for (key, record) in records.iter() {
            let of = |kind: &[Kind]| -> Vec<i64> {
                let its = (0..all.len()).filter(|offset| all[*offset].key == *key && kind.contains(&all[*offset].kind));
                its.map(|offset| offset as i64).collect()
            };
            prop_assert_eq!(record.count, of(&[Kind::Counts, Kind::CountsAndSets]).len() as i64);
            // The guard knows of a later message, not of the bins that it has set.
            let is_newest = |offset: &i64| {
                let is_letter = |of: usize| asked[of].2;
                let later = (*offset as usize + 1)..all.len();
                !is_letter(*offset as usize) || !later.into_iter().any(|of| all[of].key == *key && !is_letter(of))
            };
            let sets = of(&[Kind::CountsAndSets, Kind::Sets]);
            prop_assert_eq!(record.last, sets.into_iter().rfind(is_newest));
        }
    }
}
