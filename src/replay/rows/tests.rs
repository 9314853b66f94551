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
use crate::replay::judge::{OpenRow, may_overwrite};
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

fn ops(kind: Kind, offset: i64) -> Vec<Op<'static>> {
    let add = Op::Add {
        bin: "count",
        by: Number::Int(1),
    };
    let put = Op::Put {
        bin: "last".into(),
        value: Value::Int(offset),
    };
    match kind {
        Kind::Counts => vec![add],
        Kind::CountsAndSets | Kind::Creates => vec![put, add],
        Kind::Sets => vec![put],
    }
}

struct World {
    model: Model,
    asked: Vec<Asked>,
    rules: [RowRules; 4],
    target: Arc<Target>,
}

impl World {
    fn new(asked: &[Asked]) -> World {
        World {
            model: Model::default(),
            asked: asked.to_vec(),
            rules: [Kind::Counts, Kind::CountsAndSets, Kind::Sets, Kind::Creates].map(rules),
            target: Arc::new(Target::new("test", "s")),
        }
    }

    fn task(&self, offset: usize) -> Task<'_> {
        let Asked { key, kind } = self.asked[offset];
        let offset = i64::try_from(offset).unwrap();
        let row = Row {
            message: 0,
            number: 0,
            rules: &self.rules[kind as usize],
            target: &self.target,
            key: RecordKey::Integer(key),
            action: RowAction::Write(ops(kind, offset)),
            ttl: RowTtl::NamespaceDefault,
            newer: None,
        };
        let letter = Letter::for_tests("t", offset, LetterRows::All);
        Task {
            letter,
            open: Open {
                open: vec![OpenRow {
                    place: 0,
                    is_guarded: may_overwrite(&row),
                }],
                rows: vec![row],
                overwriting: Vec::new(),
                publications: Vec::new(),
            },
        }
    }

    /// What the service does with a message that it does not reject.
    fn serve(&self, offset: usize) {
        let Asked { key, kind } = self.asked[offset];
        let mut records = self.model.records.borrow_mut();
        let offset = i64::try_from(offset).unwrap();
        if kind == Kind::Creates && records.contains_key(&key) {
            return;
        }
        let record = records.entry(key).or_default();
        record.guard = Some(sequence(offset, 0).unwrap());
        if kind != Kind::Sets {
            record.count += 1;
        }
        if kind != Kind::Counts {
            record.last = Some(offset);
        }
    }

    fn replay(&self, offsets: &[usize], faults: &[Fault], keep_newer: bool) -> Vec<Outcome> {
        *self.model.faults.borrow_mut() = faults.to_vec();
        let rows_of = RowsOf {
            group: "g",
            epoch: 0,
            keep_newer,
            overwrite: false,
            limits: LIMITS,
            time: 1000,
            forget_below: 900,
        };
        let tasks: Vec<Task<'_>> = offsets.iter().map(|offset| self.task(*offset)).collect();
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
}

fn asked(key: i64, kind: Kind) -> Asked {
    Asked { key, kind }
}

#[test]
fn a_letter_is_applied_once_whatever_the_service_has_written_since() {
    let world = World::new(&[
        asked(1, Kind::CountsAndSets),
        asked(1, Kind::Counts),
        asked(1, Kind::CountsAndSets),
    ]);
    world.serve(2);
    let later = || vec![Outcome::Later(7), Outcome::Written];
    assert_eq!(world.replay(&[0, 1], &[], false), later());
    assert_eq!(
        world.replay(&[0, 1], &[], false),
        [Outcome::Later(7), Outcome::Already],
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

proptest! {
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
            let faults: Vec<Fault> = faults.iter().map(|fault| match fault {
                0..=2 => Fault::Silent,
                3 | 4 => Fault::Lost,
                5 => Fault::Busy,
                _ => Fault::None,
            }).collect();
            world.replay(&wanted, &faults, *keep_newer);
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
