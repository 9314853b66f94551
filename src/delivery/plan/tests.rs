//! Tables of which rows are merged and what is sent. That no call holds a record twice is tested in `write`.

use std::borrow::Cow;

use aerospike::{Key, Value as ClientValue};

use crate::delivery::plan::*;

use crate::delivery::fixtures::{RULES, guard, guarded, target, versioned};
use crate::delivery::guard::{GuardIdentity, sequence};
use crate::delivery::ledger::Ledger;
use crate::output::row::RowRules;
use crate::output::value::Value;

fn of(mode: Mode) -> RowRules {
    RowRules { mode, ..RULES }
}

/// What one message asks of the record, in short form.
#[derive(Clone)]
struct Ask {
    rules: RowRules,
    action: RowAction<'static>,
    ttl: RowTtl,
    newer: Option<i64>,
    message: Option<usize>,
}

fn ask(rules: RowRules, ops: &[Op<'static>]) -> Ask {
    Ask {
        rules,
        action: RowAction::Write(ops.to_vec()),
        ttl: RowTtl::NamespaceDefault,
        newer: None,
        message: None,
    }
}

impl Ask {
    fn ttl(self, ttl: RowTtl) -> Ask {
        Ask { ttl, ..self }
    }

    fn newer(self, version: i64) -> Ask {
        Ask {
            newer: Some(version),
            ..self
        }
    }

    fn message(self, message: usize) -> Ask {
        Ask {
            message: Some(message),
            ..self
        }
    }

    fn action(self, action: RowAction<'static>) -> Ask {
        Ask { action, ..self }
    }
}

fn put(bin: &'static str, value: i64) -> Op<'static> {
    Op::Put {
        bin: Cow::Borrowed(bin),
        value: Value::Int(value),
    }
}

fn null(bin: &'static str) -> Op<'static> {
    Op::Put {
        bin: Cow::Borrowed(bin),
        value: Value::Null,
    }
}

fn add(bin: &'static str, by: i64) -> Op<'static> {
    Op::Add {
        bin,
        by: Number::Int(by),
    }
}

fn add_float(bin: &'static str, by: f64) -> Op<'static> {
    Op::Add {
        bin,
        by: Number::Float(by),
    }
}

fn list_append(bin: &'static str, value: i64) -> Op<'static> {
    Op::ListAppend {
        bin,
        value: Value::Int(value),
    }
}

fn show(op: &OutgoingOp<'_>) -> String {
    match op {
        OutgoingOp::Sum(bin, by) => format!("{bin}+={by}"),
        OutgoingOp::Store(bin, value) if bin.starts_with('~') => format!("~={value}"),
        OutgoingOp::Store(bin, value) => format!("{bin}:={value}"),
        OutgoingOp::Op(Op::Put {
            bin,
            value: Value::Null,
        }) => format!("{bin}=null"),
        OutgoingOp::Op(Op::Put {
            bin,
            value: Value::Int(n),
        }) => format!("{bin}={n}"),
        OutgoingOp::Op(Op::Add {
            bin,
            by: Number::Int(n),
        }) => format!("{bin}+={n}"),
        OutgoingOp::Op(Op::Add {
            bin,
            by: Number::Float(n),
        }) => format!("{bin}+={n:?}"),
        OutgoingOp::Op(Op::ListAppend {
            bin,
            value: Value::Int(n),
        }) => format!("{bin}[]={n}"),
        OutgoingOp::Op(other) => format!("{other:?}"),
        OutgoingOp::Enter(_, key) => format!("enter {key}"),
        OutgoingOp::Forget(ledger) => format!("forget below {}", ledger.forget_below),
        OutgoingOp::Confirm(_, key) => format!("confirm {key}"),
    }
}

/// Checks which rows are sent for `asks`, all on one record, when each row succeeds.
#[track_caller]
fn check(asks: &[Ask], expected: &[&str]) {
    let target = target("test");
    let guard = guard();
    let mut plan = Plan::with_capacity(asks.len());
    for (number, ask) in asks.iter().enumerate() {
        let message = ask.message.unwrap_or(number);
        plan.push(
            Row {
                message,
                number: 0,
                rules: &ask.rules,
                target: &target,
                key: RecordKey::Integer(7),
                action: ask.action.clone(),
                ttl: ask.ttl,
                newer: ask.newer,
            },
            sequence(i64::try_from(number).unwrap(), 0).unwrap(),
        );
    }
    assert_eq!(plan.records(), 1);
    let mut sent = Vec::new();
    let mut position = Some(plan.begin(0));
    let mut rows = 0;
    while let Some(at) = position {
        let row = plan.compose(at, false, false, |_| false, &guard);
        let action = match &row.action {
            OutgoingAction::Touch => "touch".to_owned(),
            OutgoingAction::Delete => "delete".to_owned(),
            OutgoingAction::Write(ops) => ops.iter().map(show).collect::<Vec<_>>().join(" "),
        };
        let ttl = match row.ttl {
            RowTtl::NamespaceDefault => String::new(),
            RowTtl::Keep => " keep".into(),
            RowTtl::Never => " never".into(),
            RowTtl::Seconds(seconds) => format!(" {seconds}s"),
        };
        let conditions: Vec<String> = row
            .conditions
            .iter()
            .flatten()
            .map(|c| {
                let sign = if c.or_equal { "<=" } else { "<" };
                format!(
                    " if {}{sign}{}",
                    if c.bin == guard.bin() { "~" } else { c.bin },
                    c.below
                )
            })
            .collect();
        let stale = if row.stale > 0 {
            format!(" stale {}", row.stale)
        } else {
            String::new()
        };
        sent.push(format!("{action}{ttl}{}{stale}", conditions.concat()));
        rows += plan.stretch(at, false).count();
        position = plan.behind(at, false);
    }
    assert_eq!(rows, asks.len(), "no row is lost");
    assert_eq!(sent, expected);
}

#[test]
fn what_several_messages_ask_travels_as_one_row_in_their_order() {
    check(
        &[
            ask(RULES, &[put("a", 1), put("b", 1)]),
            ask(RULES, &[put("a", 2)]),
            ask(RULES, &[put("c", 3)]),
        ],
        &["a=2 b=1 c=3"],
    );
    check(&[ask(RULES, &[put("a", 1)]), ask(RULES, &[null("a")])], &["a=null"]);
    // An operation that may be refused because of the bin's content is not folded.
    check(
        &[
            ask(RULES, &[put("a", 1)]),
            ask(RULES, &[add("a", 2)]),
            ask(RULES, &[put("a", 3)]),
            ask(RULES, &[put("a", 4)]),
        ],
        &["a=1 a+=2 a=4"],
    );
    check(
        &[ask(RULES, &[list_append("l", 1)]), ask(RULES, &[list_append("l", 2)])],
        &["l[]=1 l[]=2"],
    );
}

#[test]
fn integer_sums_are_folded_as_the_server_adds_them() {
    check(
        &[
            ask(RULES, &[add("n", 1)]),
            ask(RULES, &[add("n", 2)]),
            ask(RULES, &[add("n", -5)]),
        ],
        &["n+=-2"],
    );
    check(
        &[ask(RULES, &[add("n", i64::MAX)]), ask(RULES, &[add("n", 1)])],
        &["n+=-9223372036854775808"],
    );
    // A float sum depends on the order of the roundings.
    check(
        &[ask(RULES, &[add_float("n", 0.1)]), ask(RULES, &[add_float("n", 0.2)])],
        &["n+=0.1 n+=0.2"],
    );
    check(
        &[ask(RULES, &[add("n", 1)]), ask(RULES, &[add_float("n", 0.2)])],
        &["n+=1 n+=0.2"],
    );
}

#[test]
fn a_guarded_row_is_compared_with_its_first_mark_and_stores_its_last() {
    check(
        &[
            ask(guarded(), &[add("n", 1)]),
            ask(guarded(), &[add("n", 1)]),
            ask(guarded(), &[add("n", 1)]),
        ],
        &["n+=3 ~=131072 if ~<0"],
    );
    // A deletion carries the condition. It stores no sequence number, because the record is gone.
    check(
        &[
            ask(guarded(), &[add("n", 1)]),
            ask(guarded(), &[]).action(RowAction::Delete),
        ],
        &["n+=1 ~=0 if ~<0", "delete if ~<65536"],
    );
    // An unguarded row is not merged with a guarded one.
    check(
        &[ask(guarded(), &[add("n", 1)]), ask(RULES, &[put("a", 1)])],
        &["n+=1 ~=0 if ~<0", "a=1"],
    );
}

#[test]
fn a_deletion_travels_with_deletions_only() {
    let delete = || ask(RULES, &[]).action(RowAction::Delete);
    check(&[delete(), delete()], &["delete"]);
    // In one row, [delete, put ttl=keep] would keep the old ttl, and [put, delete] on a missing record would answer 2.
    check(
        &[delete(), ask(RULES, &[put("a", 1)]).ttl(RowTtl::Keep)],
        &["delete", "a=1 keep"],
    );
    check(&[ask(RULES, &[put("a", 1)]), delete()], &["a=1", "delete"]);
}

#[test]
fn a_touch_travels_alone() {
    // In one row, [put, touch] on a missing record answers 2 and writes nothing.
    let touch = || ask(RULES, &[]).action(RowAction::Touch);
    check(
        &[ask(RULES, &[put("a", 1)]), touch(), touch()],
        &["a=1", "touch", "touch"],
    );
}

#[test]
fn the_last_life_that_is_asked_for_counts() {
    let with = |ttl| ask(RULES, &[put("a", 1)]).ttl(ttl);
    check(&[with(RowTtl::Seconds(9)), with(RowTtl::Keep)], &["a=1 9s"]);
    check(&[with(RowTtl::Keep), with(RowTtl::Never)], &["a=1 never"]);
    check(&[with(RowTtl::Seconds(9)), with(RowTtl::NamespaceDefault)], &["a=1"]);
    check(&[with(RowTtl::Keep), with(RowTtl::Keep)], &["a=1 keep"]);
    // If the null ended the record, the second write would create it again.
    check(&[ask(RULES, &[null("a")]), with(RowTtl::Keep)], &["a=null", "a=1 keep"]);
    let on_create = RowRules {
        ttl_on_create: true,
        ..RULES
    };
    check(
        &[ask(on_create.clone(), &[null("a")]), ask(on_create, &[put("a", 1)])],
        &["a=null keep", "a=1 keep"],
    );
}

#[test]
fn of_several_replaces_the_last_is_the_record() {
    let replace = of(Mode::Replace);
    check(
        &[
            ask(replace.clone(), &[put("a", 1), put("b", 2)]),
            ask(replace.clone(), &[put("c", 3)]),
        ],
        &["c=3"],
    );
    check(
        &[ask(replace, &[put("a", 1)]), ask(RULES, &[put("b", 2)])],
        &["a=1", "b=2"],
    );
}

#[test]
fn create_and_update_only_see_what_came_before_them() {
    let create = of(Mode::Create);
    check(
        &[ask(create.clone(), &[put("a", 1)]), ask(create, &[put("a", 2)])],
        &["a=1", "a=2"],
    );
    let update = of(Mode::UpdateOnly);
    check(
        &[ask(update.clone(), &[put("a", 1)]), ask(update, &[put("a", 2)])],
        &["a=1", "a=2"],
    );
}

#[test]
fn a_version_that_is_not_newer_than_one_before_it_is_left_out() {
    let at = |version, value| ask(versioned(), &[put("a", value)]).newer(version);
    check(&[at(5, 1), at(3, 2), at(7, 3), at(7, 4)], &["a=3 v:=7 if v<5 stale 2"]);
    // Two rows of one message have the same version, and both are applied.
    check(
        &[
            at(5, 1).message(0),
            ask(versioned(), &[put("b", 2)]).newer(5).message(0),
        ],
        &["a=1 b=2 v:=5 if v<5"],
    );
    // This also holds if the second row cannot join the first.
    check(
        &[
            at(5, 1).message(0),
            ask(versioned(), &[]).newer(5).message(0).action(RowAction::Delete),
        ],
        &["a=1 v:=5 if v<5", "delete if v<=5"],
    );
    // It also holds with another row of the message in between.
    check(
        &[
            at(5, 1).message(0),
            ask(RULES, &[put("c", 1)]).message(0),
            at(5, 2).message(0),
            at(5, 3).message(1),
        ],
        &["a=1 v:=5 if v<5", "c=1", "a=2 v:=5 if v<=5 stale 1"],
    );
}

#[test]
fn a_guard_does_not_count_what_was_stale() {
    let rules = RowRules {
        guarded: true,
        ..versioned()
    };
    let at = |version| ask(rules.clone(), &[put("a", version)]).newer(version);
    check(&[at(5), at(3)], &["a=5 v:=5 ~=0 if ~<0 if v<5 stale 1"]);
}

/// Returns the mode of the row that is sent for these (must it find a record?), and whether it may leave no record.
fn ends(rules: &RowRules, rows: &[&[Op<'static>]]) -> (Mode, bool) {
    let target = target("test");
    let guard = guard();
    let mut plan = Plan::with_capacity(1);
    for (message, ops) in rows.iter().enumerate() {
        plan.push(
            Row {
                message,
                number: 0,
                rules,
                target: &target,
                key: RecordKey::Integer(7),
                action: RowAction::Write(ops.to_vec()),
                ttl: RowTtl::NamespaceDefault,
                newer: rules.newer_bin.as_ref().map(|_| i64::try_from(message).unwrap()),
            },
            sequence(i64::try_from(message).unwrap(), 0).unwrap(),
        );
    }
    let begin = plan.begin(0);
    assert_eq!(plan.stretch(begin, false).count(), rows.len());
    let row = plan.compose(begin, false, false, |_| false, &guard);
    (row.exists, row.may_end)
}

#[test]
fn what_only_removes_makes_no_record_for_its_guard() {
    assert_eq!(ends(&guarded(), &[&[null("a")]]), (Mode::UpdateOnly, false));
    assert_eq!(ends(&guarded(), &[&[null("a"), put("b", 1)]]), (Mode::Update, false));
    // Applied one after another, the first would create the record, and its guard or version would stay in it.
    for rules in [guarded(), versioned()] {
        assert_eq!(ends(&rules, &[&[put("a", 1)], &[null("a")]]), (Mode::Update, false));
    }
}

#[test]
fn what_is_set_and_taken_away_again_may_make_no_record() {
    assert_eq!(ends(&RULES, &[&[put("a", 1)], &[null("a")]]), (Mode::UpdateOnly, true));
    assert_eq!(ends(&RULES, &[&[add("a", 1)], &[null("a")]]), (Mode::Update, true));
    assert_eq!(ends(&RULES, &[&[null("a")], &[add("a", 1)]]), (Mode::Update, true));
    assert_eq!(ends(&RULES, &[&[add("a", 1)]]), (Mode::Update, false));
}

#[test]
fn what_only_removes_is_not_followed_by_what_needs_the_record_that_it_does_not_make() {
    check(
        &[
            ask(guarded(), &[null("a")]).ttl(RowTtl::Seconds(9)),
            ask(guarded(), &[put("a", 1)]).ttl(RowTtl::Keep),
        ],
        &["a=null ~=0 9s if ~<0", "a=1 ~=65536 keep if ~<65536"],
    );
    // A version creates a record even if the row only removes bins. It keeps older messages away.
    check(
        &[
            ask(versioned(), &[null("a")]).newer(5),
            ask(versioned(), &[put("b", 1)]).newer(4),
        ],
        &["a=null v:=5 if v<5 stale 1"],
    );
    assert_eq!(ends(&versioned(), &[&[null("a")]]), (Mode::Update, false));
}

#[test]
fn what_may_not_be_repeated_does_not_hide_behind_what_may() {
    let counts = RowRules {
        repeatable: false,
        ..versioned()
    };
    check(
        &[
            ask(versioned(), &[put("a", 1)]).newer(5),
            ask(counts, &[add("n", 1)]).newer(6),
        ],
        &["a=1 v:=5 if v<5", "n+=1 v:=6 if v<6"],
    );
}

#[test]
fn a_row_has_a_cap_on_its_operations() {
    let asks = vec![ask(RULES, &[list_append("l", 1)]); UNIT_OPS_MAX + 1];
    let full = vec!["l[]=1"; UNIT_OPS_MAX].join(" ");
    check(&asks, &[&full, "l[]=1"]);
}

#[test]
fn the_digest_is_the_one_the_client_computes() {
    let cases = [
        (RecordKey::String("user-1".into()), ClientValue::String("user-1".into())),
        (RecordKey::String("".into()), ClientValue::String(String::new())),
        (RecordKey::String("ключ".into()), ClientValue::String("ключ".into())),
        (RecordKey::Integer(42), ClientValue::Int(42)),
        (RecordKey::Integer(-1), ClientValue::Int(-1)),
        (
            RecordKey::Bytes(Cow::Borrowed(&[0, 1, 255])),
            ClientValue::Blob(vec![0, 1, 255]),
        ),
    ];
    for set in ["", "users"] {
        for (ours, theirs) in &cases {
            let expected = Key::new("test", set, theirs.clone()).unwrap().digest();
            assert_eq!(digest(set, ours), expected, "{set} {ours:?}");
        }
    }
}

/// What a replay needs makes nothing of the service's own path larger.
#[test]
fn operations_are_as_small_as_without_a_ledger() {
    assert_eq!(size_of::<OutgoingOp<'_>>(), 32);
}

fn ledger(forget_below: i64) -> Ledger {
    let identity = GuardIdentity {
        group: "g",
        topic_id: [1; 16],
        topic: "t",
        partition: 0,
        epoch: 0,
    };
    Ledger::new(&identity, 1000, forget_below)
}

/// What is sent for the rows of a replay on one record, and how it is sent.
fn replayed(asks: &[Ask], forget_below: i64) -> Vec<String> {
    let target = target("test");
    let guard = guard();
    let mut plan = Plan::with_ledger(ledger(forget_below));
    for (number, ask) in asks.iter().enumerate() {
        plan.push(
            Row {
                message: ask.message.unwrap_or(number),
                number: 0,
                rules: &ask.rules,
                target: &target,
                key: RecordKey::Integer(7),
                action: ask.action.clone(),
                ttl: ask.ttl,
                newer: ask.newer,
            },
            i64::try_from(number).unwrap(),
        );
    }
    let mut sent = Vec::new();
    let mut position = Some(plan.begin(0));
    while let Some(at) = position {
        let row = plan.compose(at, false, false, |_| false, &guard);
        let action = match &row.action {
            OutgoingAction::Touch => "touch".to_owned(),
            OutgoingAction::Delete => "delete".to_owned(),
            OutgoingAction::Write(ops) => ops.iter().map(show).collect::<Vec<_>>().join(" "),
        };
        let conditions = row.conditions.iter().flatten().count();
        let entry = plan.confirm(at).is_some();
        assert_eq!(entry, row.entry() == Some(Entry::Made));
        assert_eq!(row.answers_with(24), entry);
        sent.push(format!("{action} | {:?} | {conditions}", row.exists));
        position = plan.behind(at, false);
    }
    sent
}

#[test]
fn rows_of_a_replay_travel_alone_and_enter_themselves_first() {
    let sent = replayed(
        &[
            ask(RULES, &[add("n", 1)]),
            ask(RULES, &[add("n", 1), add("n", 2), put("a", 1)]),
            ask(guarded(), &[put("a", 2)]),
            ask(guarded(), &[null("a")]),
            ask(versioned(), &[put("a", 3)]).newer(9),
            ask(of(Mode::Create), &[put("a", 1)]),
        ],
        0,
    );
    assert_eq!(
        sent,
        [
            "enter 0 n+=1 | Update | 0",
            "enter 1 n+=1 n+=2 a=1 | Update | 0",
            "enter 2 a=2 ~=2 | Update | 1",
            // The record is there, and its guard keeps it.
            "enter 3 a=null ~=3 | UpdateOnly | 1",
            "enter 4 a=3 v:=9 | Update | 1",
            "enter 5 a=1 | Create | 0",
        ]
    );
    assert_eq!(
        replayed(&[ask(RULES, &[add("n", 1)])], 5),
        ["enter 0 forget below 5 n+=1 | Update | 0"]
    );
}

#[test]
fn rows_that_leave_no_record_or_would_make_one_do_not_enter_themselves() {
    let plain = || ask(RULES, &[]);
    assert_eq!(
        replayed(
            &[
                plain().action(RowAction::Delete),
                plain().action(RowAction::Touch),
                ask(of(Mode::Replace), &[put("a", 1)]),
                ask(RULES, &[null("a")]),
            ],
            5
        ),
        [
            "delete | UpdateOnly | 0",
            "touch | UpdateOnly | 0",
            "a=1 | Replace | 0",
            "a=null | UpdateOnly | 0"
        ]
    );
}

#[test]
fn a_row_of_a_replay_takes_the_version_that_an_earlier_row_of_its_message_has_brought() {
    let target = target("test");
    let rules = versioned();
    let mut plan = Plan::with_ledger(ledger(0));
    for number in 0..3 {
        plan.push(
            Row {
                message: 0,
                number,
                rules: &rules,
                target: &target,
                key: RecordKey::Integer(7),
                action: RowAction::Write(vec![put("a", 1)]),
                ttl: RowTtl::NamespaceDefault,
                newer: Some(5),
            },
            i64::from(number),
        );
    }
    let guard = guard();
    let or_equal = |plan: &Plan<'_>| {
        let row = plan.compose(plan.begin(0), false, false, |_| false, &guard);
        row.conditions[1].unwrap().or_equal
    };
    assert!(!or_equal(&plan.only(&[0, 1, 2])));
    // Row 0 is done, and has brought the version.
    let rest = plan.only(&[1, 2]);
    assert!(or_equal(&rest));
    assert!(or_equal(&rest.only(&[1])));
    assert!(or_equal(&rest.only(&[0])));
}
