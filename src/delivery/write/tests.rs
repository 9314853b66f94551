//! Tests of the loop with a database that answers from a script.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::delivery::fixtures::{RULES, guard, guarded, list_append, pressure, row, target};
use crate::delivery::guard::sequence;
use crate::delivery::plan::OutgoingAction;
use crate::delivery::write::*;
use crate::output::row::{Op, RecordKey, Row, RowRules, Target};
use crate::output::value::Value;
use crate::util::stop::StopKind;

const OK: Answer = Answer::Code(0);
const LOST: Answer = Answer::Failed {
    failure: CallFailure::TimedOut,
    in_doubt: true,
};
const UNSENT: Answer = Answer::Failed {
    failure: CallFailure::NoNode,
    in_doubt: false,
};
const UNSENDABLE: Answer = Answer::Failed {
    failure: CallFailure::Unsendable,
    in_doubt: false,
};

const LIMITS: Limits = Limits {
    rows: 100,
    bytes: usize::MAX,
    finish_max: Duration::from_secs(2),
};

/// A call as the script saw it: for each row, its key and its number of operations.
type Call = Vec<(i64, usize)>;

/// Answers from a script: for each record key, its answers in order, then success. Records the calls.
#[derive(Default)]
struct Script {
    answers: RefCell<HashMap<i64, Vec<Answer>>>,
    stored: HashMap<i64, Option<Stored>>,
    calls: RefCell<Vec<Call>>,
    reads: RefCell<Vec<Vec<i64>>>,
    exists: RefCell<Vec<Mode>>,
    rows_max: Option<usize>,
    lacks: bool,
    stop_after: Option<(usize, Stop)>,
}

fn script(answers: &[(i64, &[Answer])]) -> Script {
    let answers = answers
        .iter()
        .map(|(key, answers)| (*key, answers.iter().rev().copied().collect()));
    Script {
        answers: RefCell::new(answers.collect()),
        ..Script::default()
    }
}

fn calls<'c>(script: &'c Script, pressure: &'c Pressure, stop: &'c Stop) -> Calls<'c> {
    Calls {
        writer: script,
        pressure,
        stop,
        meanwhile: &|| {},
    }
}

fn key(row: &OutgoingRow<'_>) -> i64 {
    match row.key {
        RecordKey::Integer(n) => *n,
        _ => panic!("integer keys only"),
    }
}

impl RowWriter for Script {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let mut call = Call::new();
        for row in rows {
            let ops = match &row.action {
                OutgoingAction::Write(ops) => ops.len() - row.conditions.iter().flatten().count(),
                _ => 0,
            };
            self.exists.borrow_mut().push(row.exists);
            assert!(!call.iter().any(|(k, _)| *k == key(row)), "a record is in a call once");
            call.push((key(row), ops));
        }
        self.calls.borrow_mut().push(call);
        if let Some((after, stop)) = &self.stop_after
            && self.calls.borrow().len() >= *after
        {
            stop.request(StopKind::Drain);
        }
        let mut answers = self.answers.borrow_mut();
        rows.iter()
            .map(|row| answers.get_mut(&key(row)).and_then(Vec::pop).unwrap_or(OK))
            .collect()
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        self.reads.borrow_mut().push(rows.iter().map(key).collect());
        rows.iter()
            .map(|row| self.stored.get(&key(row)).copied().unwrap_or(Some([None, None])))
            .collect()
    }

    fn rows_max(&self) -> usize {
        self.rows_max.unwrap_or(usize::MAX)
    }

    fn lacks_namespace(&self, _namespace: &str) -> bool {
        self.lacks
    }
}

/// Writes one row per message. Each row appends to a list of its record, so a merged row has several operations.
fn run(rules: &RowRules, keys: &[i64], script: Script) -> (Written, Script) {
    run_in(
        rules,
        &keys.iter().map(|key| (*key, "test")).collect::<Vec<_>>(),
        script,
    )
}

fn run_in(rules: &RowRules, keys: &[(i64, &str)], script: Script) -> (Written, Script) {
    let targets: HashMap<&str, Arc<Target>> = keys
        .iter()
        .map(|(_, namespace)| (*namespace, target(namespace)))
        .collect();
    let guard = guard();
    let mut plan = Plan::with_capacity(keys.len());
    for (message, (key, namespace)) in keys.iter().enumerate() {
        let row = Row {
            newer: rules.newer_bin.as_ref().map(|_| i64::try_from(message).unwrap()),
            ..row(rules, &targets[namespace], message, *key, vec![list_append(1)])
        };
        plan.push(row, sequence(i64::try_from(message).unwrap(), 0).unwrap());
    }
    let stop = script
        .stop_after
        .as_ref()
        .map(|(_, stop)| stop.clone())
        .unwrap_or_default();
    let written = write(&plan, &LIMITS, &guard, &calls(&script, &pressure(), &stop));
    (written, script)
}

#[track_caller]
fn check(written: &Written, refused: &[(usize, Refusal)], open: &[usize]) {
    let found: Vec<(usize, Refusal)> = written.refused.iter().map(|each| (each.row, each.refusal)).collect();
    assert_eq!(found, refused);
    assert_eq!(written.open, open);
}

#[test]
fn only_the_unresolved_rows_are_sent_again() {
    let (written, script) = run(&RULES, &[1, 2, 3], script(&[(2, &[LOST, Answer::Code(18)])]));
    assert_eq!(written.end, WriteEnd::Finished);
    check(&written, &[], &[]);
    assert_eq!(written.tally.written, 3);
    assert_eq!(
        *script.calls.borrow(),
        [vec![(1, 1), (2, 1), (3, 1)], vec![(2, 1)], vec![(2, 1)]]
    );
}

#[test]
fn rows_of_one_record_travel_as_one() {
    let (written, script) = run(&RULES, &[1, 2, 1, 1], script(&[]));
    assert_eq!(*script.calls.borrow(), [vec![(1, 3), (2, 1)]]);
    assert_eq!((written.tally.written, written.tally.merged), (4, 2));
}

#[test]
fn what_cannot_be_merged_waits_for_the_answer_before_it() {
    let create = RowRules {
        mode: Mode::Create,
        on_conflict: OnConflict::Ignore,
        ..RULES
    };
    let (written, script) = run(
        &create,
        &[1, 2, 1],
        script(&[(1, &[LOST, Answer::Code(5), Answer::Code(5)])]),
    );
    assert_eq!(
        *script.calls.borrow(),
        [vec![(1, 1), (2, 1)], vec![(1, 1)], vec![(1, 1)]]
    );
    assert_eq!((written.tally.written, written.tally.ignored), (1, 2));
}

#[test]
fn a_refusal_in_company_is_not_believed_before_the_row_was_alone() {
    let answers: [(i64, &[Answer]); 2] = [(1, &[Answer::Code(4)]), (2, &[Answer::Code(13), Answer::Code(13)])];
    let (written, script) = run(&RULES, &[1, 2, 3], script(&answers));
    check(&written, &[(1, Refusal::Code(13))], &[]);
    assert_eq!(
        *script.calls.borrow(),
        [vec![(1, 1), (2, 1), (3, 1)], vec![(1, 1)], vec![(2, 1)]]
    );
}

#[test]
fn a_merged_row_that_is_refused_goes_out_message_by_message_and_its_record_is_held_at_the_bad_one() {
    let bad = Answer::Code(12);
    let (written, script) = run(&RULES, &[1, 1, 1], script(&[(1, &[bad, OK, bad, bad])]));
    check(&written, &[(1, Refusal::Code(12))], &[2]);
    assert_eq!(*script.calls.borrow(), [vec![(1, 3)], vec![(1, 1)], vec![(1, 1)]]);
    assert_eq!(written.tally.written, 1);
}

#[test]
fn what_the_client_cannot_send_is_refused_alone_and_spoils_no_others() {
    let answers: [(i64, &[Answer]); 2] = [(1, &[UNSENDABLE]), (2, &[UNSENDABLE, UNSENDABLE])];
    let (written, _) = run(&RULES, &[1, 2], script(&answers));
    check(&written, &[(1, Refusal::Unsendable)], &[]);
    assert_eq!(written.tally.written, 1);
}

#[test]
fn a_stop_ends_the_retries_and_names_what_is_open() {
    let mut script = script(&[(2, &[LOST])]);
    script.stop_after = Some((1, Stop::new()));
    let (written, script) = run(&RULES, &[1, 2, 1], script);
    assert_eq!(written.end, WriteEnd::Stopped);
    check(&written, &[], &[1]);
    assert_eq!(script.calls.borrow().len(), 1);
}

#[test]
fn a_stop_lets_a_healthy_database_finish_the_batch_in_hand() {
    let create = RowRules {
        mode: Mode::Create,
        ..RULES
    };
    let mut script = script(&[]);
    script.stop_after = Some((1, Stop::new()));
    let (written, script) = run(&create, &[1, 2, 1], script);
    assert_eq!(written.end, WriteEnd::Finished);
    assert_eq!(script.calls.borrow().len(), 2);
}

#[test]
fn a_batch_of_many_calls_does_not_hold_up_the_end() {
    let mut script = script(&[]);
    script.stop_after = Some((usize::MAX, Stop::requested_before(LIMITS.finish_max)));
    let (written, script) = run(&RULES, &[1, 2, 1], script);
    assert_eq!(written.end, WriteEnd::Stopped);
    let mut open = written.open;
    open.sort_unstable();
    assert_eq!(open, [0, 1, 2]);
    assert!(script.calls.borrow().is_empty());
}

#[test]
fn refused_credentials_end_it_at_once() {
    let (written, _) = run(&RULES, &[1, 2], script(&[(1, &[Answer::Code(81)])]));
    assert_eq!(written.end, WriteEnd::Fatal(Fatal::Credentials(81)));
}

#[test]
fn an_unknown_namespace_is_the_end_only_where_a_node_says_that_it_lacks_it() {
    let (written, _) = run(&RULES, &[1], script(&[(1, &[Answer::Code(20)])]));
    assert_eq!(written.end, WriteEnd::Finished);
    let mut lacking = script(&[(1, &[Answer::Code(20)])]);
    lacking.lacks = true;
    let (written, _) = run(&RULES, &[1], lacking);
    assert_eq!(written.end, WriteEnd::Fatal(Fatal::NoNamespace("test".into())));
}

#[test]
fn a_guard_that_has_a_single_row_needs_no_look() {
    let (written, script) = run(&guarded(), &[1], script(&[(1, &[Answer::Code(27)])]));
    assert_eq!(written.end, WriteEnd::Finished);
    assert_eq!(
        written.tally,
        Tally {
            guard_refused: 1,
            ..Tally::default()
        }
    );
    assert!(script.reads.borrow().is_empty());
}

#[test]
fn of_a_merged_row_that_its_guard_refuses_what_it_has_is_done_and_the_rest_is_one_row() {
    let mut script = script(&[(1, &[Answer::Code(27)])]);
    script.stored = HashMap::from([(1, Some([sequence(1, 0), None]))]);
    let (written, script) = run(&guarded(), &[1, 1, 1, 1], script);
    assert_eq!(*script.calls.borrow(), [vec![(1, 4)], vec![(1, 2)]]);
    assert_eq!(
        written.tally,
        Tally {
            written: 2,
            merged: 1,
            guard_refused: 2,
            ..Tally::default()
        }
    );
}

#[test]
fn a_guard_that_cannot_be_read_is_asked_again() {
    let mut script = script(&[(1, &[Answer::Code(27)])]);
    script.stored = HashMap::from([(1, None)]);
    let (written, script) = run(&guarded(), &[1, 1], script);
    assert_eq!(*script.calls.borrow(), [vec![(1, 2)], vec![(1, 2)]]);
    assert_eq!(written.tally.written, 2);
}

#[test]
fn a_guarded_create_that_finds_its_record_asks_the_guard_whose_it_is() {
    let create = RowRules {
        mode: Mode::Create,
        ..guarded()
    };
    let mut ours = script(&[(1, &[Answer::Code(5)])]);
    ours.stored = HashMap::from([(1, Some([sequence(0, 0), None]))]);
    let (written, _) = run(&create, &[1], ours);
    assert_eq!(written.tally.guard_refused, 1);
    check(&written, &[], &[]);
    let (written, _) = run(&create, &[1], script(&[(1, &[Answer::Code(5)])]));
    check(&written, &[(0, Refusal::Conflict(5))], &[]);
}

#[test]
fn an_older_version_is_stale_and_done() {
    let versioned = RowRules {
        newer_bin: Some("v".into()),
        ..RULES
    };
    let (written, _) = run(&versioned, &[1], script(&[(1, &[Answer::Code(27)])]));
    assert_eq!(
        written.tally,
        Tally {
            stale: 1,
            ..Tally::default()
        }
    );
    let mut merged = script(&[(1, &[Answer::Code(27)])]);
    merged.stored = HashMap::from([(1, Some([None, Some(1)]))]);
    let (written, _) = run(&versioned, &[1, 1, 1], merged);
    assert_eq!(
        written.tally,
        Tally {
            stale: 2,
            written: 1,
            ..Tally::default()
        }
    );
}

#[test]
fn an_update_that_finds_no_record_is_a_conflict_or_is_ignored() {
    let update = RowRules {
        mode: Mode::UpdateOnly,
        ..RULES
    };
    let (written, _) = run(&update, &[1], script(&[(1, &[Answer::Code(2)])]));
    check(&written, &[(0, Refusal::Conflict(2))], &[]);
}

#[test]
fn a_life_that_counts_at_the_creation_is_tried_as_an_update_first() {
    let on_create = RowRules {
        ttl_on_create: true,
        ..RULES
    };
    let (written, script) = run(
        &on_create,
        &[1],
        script(&[(1, &[Answer::Code(2), Answer::Code(5), LOST])]),
    );
    assert_eq!(written.tally.written, 1);
    let modes = [Mode::UpdateOnly, Mode::Create, Mode::UpdateOnly, Mode::UpdateOnly];
    assert_eq!(*script.exists.borrow(), modes);
}

#[test]
fn an_unknown_outcome_of_what_cannot_be_repeated_is_the_configurations_to_judge() {
    let unguarded = |in_doubt| RowRules {
        repeatable: false,
        in_doubt,
        ..RULES
    };
    for answer in [LOST, Answer::Code(9), Answer::Code(99)] {
        let (written, _) = run(&unguarded(InDoubt::Reject), &[1], script(&[(1, &[answer])]));
        check(&written, &[(0, Refusal::InDoubt)], &[]);
    }
    // Never sent, or refused by the server: nothing was applied.
    for answer in [UNSENT, Answer::Code(18), Answer::Code(14)] {
        let (written, _) = run(&unguarded(InDoubt::Reject), &[1], script(&[(1, &[answer])]));
        check(&written, &[], &[]);
    }
    let (written, _) = run(&unguarded(InDoubt::Retry), &[1], script(&[(1, &[LOST])]));
    check(&written, &[], &[]);
    // The code of an early end is written over the first row of a batch, which may have been applied.
    let unanswered = Answer::Failed {
        failure: CallFailure::Unanswered,
        in_doubt: true,
    };
    let answers: [(i64, &[Answer]); 2] = [(1, &[Answer::Code(4)]), (2, &[unanswered])];
    let (written, _) = run(&unguarded(InDoubt::Hold), &[1, 2], script(&answers));
    check(&written, &[(0, Refusal::InDoubt), (1, Refusal::InDoubt)], &[]);
}

#[test]
fn what_is_set_and_taken_away_again_is_done_where_it_makes_no_record() {
    let target = target("test");
    let guard = guard();
    let mut plan = Plan::with_capacity(2);
    let once = Op::Once {
        bin: "a",
        value: Value::Int(1),
    };
    let null = Op::Put {
        bin: "a".into(),
        value: Value::Null,
    };
    for (message, op) in [once, null].into_iter().enumerate() {
        plan.push(row(&RULES, &target, message, 1, vec![op]), 0);
    }
    // Otherwise the row would be sent for ever.
    let script = script(&[(1, &[Answer::Code(2), Answer::Code(2)])]);
    let written = write(&plan, &LIMITS, &guard, &calls(&script, &pressure(), &Stop::new()));
    assert_eq!((written.tally.written, script.calls.borrow().len()), (2, 1));
}

/// Two rows of one message on one record, with the same version.
fn run_continued(rules: &[RowRules; 2], script: Script) -> (Written, Script) {
    let target = target("test");
    let guard = guard();
    let mut plan = Plan::with_capacity(2);
    for (number, rules) in (0..).zip(rules) {
        let row = Row {
            number,
            newer: Some(5),
            ..row(rules, &target, 0, 1, vec![list_append(1)])
        };
        plan.push(row, sequence(9, number).unwrap());
    }
    let written = write(&plan, &LIMITS, &guard, &calls(&script, &pressure(), &Stop::new()));
    (written, script)
}

#[test]
fn a_row_behind_a_stale_one_of_its_message_is_stale_too() {
    let versioned = |mode, guarded| RowRules {
        mode,
        guarded,
        newer_bin: Some("v".into()),
        ..RULES
    };
    let stale = Tally {
        stale: 2,
        ..Tally::default()
    };
    // Another message brought the same version: both rows in one unit, and in two.
    let together = [versioned(Mode::Update, false), versioned(Mode::Update, false)];
    let apart = [versioned(Mode::UpdateOnly, true), versioned(Mode::Update, true)];
    for rules in [together, apart] {
        let mut taken = script(&[(1, &[Answer::Code(27), Answer::Code(27)])]);
        taken.stored = HashMap::from([(1, Some([sequence(3, 0).filter(|_| rules[0].guarded), Some(5)]))]);
        let (written, _) = run_continued(&rules, taken);
        assert_eq!(written.tally, stale);
    }
    // Without a guard, an earlier delivery of this message may have brought the version. The second row must not be
    // lost.
    let apart = [versioned(Mode::UpdateOnly, false), versioned(Mode::Update, false)];
    let (written, _) = run_continued(&apart, script(&[(1, &[Answer::Code(27)])]));
    assert_eq!((written.tally.stale, written.tally.written), (1, 1));
}

#[test]
fn a_row_that_its_own_version_lets_pass_is_not_safe_to_repeat() {
    let rules = |mode| RowRules {
        mode,
        newer_bin: Some("v".into()),
        repeatable: false,
        in_doubt: InDoubt::Reject,
        ..RULES
    };
    let rules = [rules(Mode::UpdateOnly), rules(Mode::Update)];
    let (written, _) = run_continued(&rules, script(&[(1, &[LOST, Answer::Code(27), LOST])]));
    check(&written, &[(1, Refusal::InDoubt)], &[]);
}

#[test]
fn a_busy_record_delays_only_itself() {
    let (written, script) = run(&RULES, &[1, 2], script(&[(1, &[Answer::Code(14)])]));
    assert_eq!(written.end, WriteEnd::Finished);
    assert_eq!(*script.calls.borrow(), [vec![(1, 1), (2, 1)], vec![(1, 1)]]);
}

#[test]
fn a_closed_namespace_delays_only_its_own_and_one_row_tries_the_door() {
    let full = Answer::Code(8);
    let answers: [(i64, &[Answer]); 2] = [(1, &[full, full]), (2, &[full])];
    let keys = [(1, "full"), (2, "full"), (3, "test")];
    let (written, script) = run_in(&RULES, &keys, script(&answers));
    assert_eq!(written.end, WriteEnd::Finished);
    let calls = script.calls.borrow();
    assert_eq!(calls[0], [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(calls[1].len(), 1, "one probes: {calls:?}");
}

#[test]
fn a_batch_that_is_too_big_goes_out_in_smaller_ones() {
    let too_big = Answer::Code(151);
    let mut script = script(&[(1, &[too_big]), (2, &[UNSENT])]);
    script.rows_max = Some(1);
    let (written, script) = run(&RULES, &[1, 2], script);
    assert_eq!(written.end, WriteEnd::Finished);
    assert!(script.calls.borrow().iter().all(|call| call.len() == 1));
}

/// The state after one call with these rows and answers: whether everything pauses, which lanes wait, and how many
/// namespaces are closed.
fn after_one_call(answers: &[(i64, &[Answer])]) -> (bool, Vec<bool>, usize) {
    let target = target("test");
    let guard = guard();
    let mut plan = Plan::with_capacity(2);
    for (message, (key, _)) in answers.iter().enumerate() {
        plan.push(row(&RULES, &target, message, *key, vec![list_append(1)]), 0);
    }
    let script = script(answers);
    let mut writing = Writing::new(&plan, &guard, &script);
    let Next::Call(call) = writing.next_call(100, usize::MAX) else {
        panic!("nothing waits yet");
    };
    assert_eq!(call.len(), answers.len());
    let pressure = pressure();
    let permit = pressure
        .enter(call.len(), &Stop::new(), LIMITS.finish_max, &|| {})
        .unwrap();
    assert!(writing.call(&call, permit, &Stop::new()).is_ok());
    let far = Instant::now() + Duration::from_secs(3600);
    let waits: Vec<bool> = writing.lanes.iter().map(|lane| lane.wait.until.is_some()).collect();
    for lane in &mut writing.lanes {
        if lane.wait.until.is_some() {
            lane.wait.until = Some(far);
        }
    }
    // The lanes that do not wait are sent, whatever the others do.
    let unfinished = (0..2).filter(|lane| writing.lanes[*lane].position.is_some() && !waits[*lane]);
    let unfinished: Vec<usize> = unfinished.collect();
    writing
        .unfinished
        .retain(|lane| writing.lanes[*lane].position.is_some());
    if writing.resume.until.is_none() && writing.namespaces.is_empty() && !unfinished.is_empty() {
        let Next::Call(next) = writing.next_call(100, usize::MAX) else {
            panic!("a waiting record holds up the others");
        };
        assert_eq!(next, unfinished);
    }
    (writing.resume.until.is_some(), waits, writing.namespaces.len())
}

#[test]
fn who_waits_after_a_failure_is_who_failed() {
    let ok: &[Answer] = &[OK];
    // The database has a problem: everything waits.
    assert_eq!(after_one_call(&[(1, &[LOST]), (2, ok)]), (true, vec![false, false], 0));
    // A busy record: only it waits.
    assert_eq!(
        after_one_call(&[(1, &[Answer::Code(14)]), (2, ok)]),
        (false, vec![true, false], 0)
    );
    assert_eq!(
        after_one_call(&[(1, &[Answer::Code(14)]), (2, &[Answer::Code(12)])]),
        (false, vec![true, false], 0)
    );
    // An unknown code: only its record waits.
    assert_eq!(
        after_one_call(&[(1, &[Answer::Code(99)]), (2, ok)]),
        (false, vec![true, false], 0)
    );
    // A namespace: its rows wait, and one of them is tried.
    assert_eq!(
        after_one_call(&[(1, &[Answer::Code(22)]), (2, &[Answer::Code(8)])]),
        (false, vec![true, true], 1)
    );
    // A batch that was too big: nothing waits, though its other rows have no answer.
    assert_eq!(
        after_one_call(&[(1, &[Answer::Code(151)]), (2, &[UNSENT])]),
        (false, vec![false, false], 0)
    );
}

#[test]
fn a_call_has_a_cap_on_what_its_rows_weigh() {
    let target = target("test");
    let guard = guard();
    let text = "x".repeat(10_000);
    let mut plan = Plan::with_capacity(3);
    for message in 0..3 {
        plan.push(
            row(
                &RULES,
                &target,
                message,
                i64::try_from(message).unwrap(),
                vec![Op::ListAppend {
                    bin: "l",
                    value: Value::Str(text.as_str().into()),
                }],
            ),
            0,
        );
    }
    assert!(plan.bytes() >= 30_000);
    let script = script(&[]);
    let limits = Limits {
        bytes: 25_000,
        ..LIMITS
    };
    let written = write(&plan, &limits, &guard, &calls(&script, &pressure(), &Stop::new()));
    assert_eq!(written.tally.written, 3);
    assert_eq!(*script.calls.borrow(), [vec![(0, 1), (1, 1)], vec![(2, 1)]]);
}

#[test]
fn a_pause_grows_to_its_cap_and_is_never_nothing() {
    let mut wait = Wait::default();
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let before = Instant::now();
        wait.failed(DATABASE);
        let pause = wait.until.unwrap() - before;
        assert!(
            pause >= DATABASE.first / 10 && pause <= DATABASE.longest + Duration::from_secs(1),
            "{pause:?}"
        );
        longest = longest.max(pause);
    }
    assert!(longest > DATABASE.longest / 2, "{longest:?}");
}

proptest! {
    /// For any keys and any failures: every row is done, each record's rows are in order, and no call holds a record
    /// twice (the script asserts this).
    #[test]
    fn every_row_is_written_whatever_fails(
        keys in proptest::collection::vec(0i64..6, 1..40),
        failures in proptest::collection::vec((0i64..6, 0usize..2), 0..4),
        guarded_rows: bool,
    ) {
        let mut answers: HashMap<i64, Vec<Answer>> = HashMap::new();
        for (key, failure) in failures {
            answers.entry(key).or_default().push([Answer::Code(14), Answer::Code(13)][failure]);
        }
        let script = Script { answers: RefCell::new(answers), ..Script::default() };
        let rules = if guarded_rows { guarded() } else { RULES };
        let (written, _) = run(&rules, &keys, script);
        prop_assert_eq!(&written.end, &WriteEnd::Finished);
        let accounted = written.tally.written as usize + written.refused.len() + written.open.len();
        prop_assert_eq!(accounted, keys.len());
    }
}

#[test]
fn what_answers_say_of_the_database_itself() {
    use crate::delivery::row_outcomes::disposition;
    let failed = |failure| Answer::Failed {
        failure,
        in_doubt: false,
    };
    let overload = (0..=255).find(|code| is_overload(*code)).unwrap();
    let answers = [
        Answer::Code(0),
        Answer::Code(overload),
        failed(CallFailure::TimedOut),
        failed(CallFailure::Unsendable),
    ];
    let expected = Outcome {
        answered: 3,
        overloaded: 1,
        unanswered: 1,
    };
    assert_eq!(outcome(&answers), expected);
    let halve = (0..=255).find(|code| disposition(*code) == Disposition::Halve).unwrap();
    let expected = Outcome {
        answered: 2,
        ..Outcome::default()
    };
    let answers = [Answer::Code(halve), failed(CallFailure::Unanswered)];
    assert_eq!(outcome(&answers), expected, "the others were not looked at");
}
