//! Rows to encode: chosen ones, and random ones.

use std::borrow::Cow;

use fastrand::Rng;

use crate::config::model::Mode;
use crate::delivery::guard::GuardIdentity;
use crate::delivery::ledger::Ledger;
use crate::delivery::plan::{Condition, OutgoingAction, OutgoingOp, OutgoingRow};
use crate::output::row::{Number, Op, RecordKey, RowTtl, Target};
use crate::output::value::{Unheld, Value};

/// A row that owns what an [`OutgoingRow`] borrows.
#[derive(Debug, Clone)]
pub struct Spec {
    pub target: Target,
    pub key: RecordKey<'static>,
    pub digest: [u8; 20],
    pub action: Action,
    pub exists: Mode,
    pub ttl: RowTtl,
    pub conditions: [Option<Condition<'static>>; 2],
}

#[derive(Debug, Clone)]
pub enum Action {
    Write(Vec<Step>),
    Touch,
    Delete,
}

#[derive(Debug, Clone)]
pub enum Step {
    Op(Op<'static>),
    Sum(&'static str, i64),
    Store(&'static str, i64),
    Enter(Ledger, i64),
    Forget(Ledger),
    Confirm(Ledger, i64),
}

impl Spec {
    pub fn new(action: Action) -> Spec {
        Spec {
            target: Target::new("test", "s"),
            key: RecordKey::Integer(7),
            digest: [9; 20],
            action,
            exists: Mode::Update,
            ttl: RowTtl::NamespaceDefault,
            conditions: [None, None],
        }
    }

    pub fn op(op: Op<'static>) -> Spec {
        Spec::new(Action::Write(vec![Step::Op(op)]))
    }

    pub fn outgoing(&self) -> OutgoingRow<'_> {
        OutgoingRow {
            target: &self.target,
            key: &self.key,
            digest: self.digest,
            action: match &self.action {
                Action::Write(steps) => OutgoingAction::Write(steps.iter().map(Step::outgoing).collect()),
                Action::Touch => OutgoingAction::Touch,
                Action::Delete => OutgoingAction::Delete,
            },
            exists: self.exists,
            ttl: self.ttl,
            conditions: self.conditions,
            only_removes: false,
            may_end: false,
            stale: 0,
            passed_over: Vec::new(),
        }
    }
}

impl Step {
    fn outgoing(&self) -> OutgoingOp<'_> {
        match self {
            Step::Op(op) => OutgoingOp::Op(op),
            Step::Sum(bin, by) => OutgoingOp::Sum(bin, *by),
            Step::Store(bin, value) => OutgoingOp::Store(bin, *value),
            Step::Enter(ledger, key) => OutgoingOp::Enter(ledger, *key),
            Step::Forget(ledger) => OutgoingOp::Forget(ledger),
            Step::Confirm(ledger, key) => OutgoingOp::Confirm(ledger, *key),
        }
    }
}

/// Integers at which their form in MessagePack changes.
pub const INTEGERS: [i64; 25] = [
    0,
    1,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    4_294_967_295,
    4_294_967_296,
    i64::MAX,
    -1,
    -31,
    -32,
    -33,
    -127,
    -128,
    -129,
    -32_768,
    -32_769,
    -2_147_483_648,
    -2_147_483_649,
    i64::MIN,
    i64::MIN + 1,
    7,
];

/// Lengths at which the head of a string, a list or a map changes. A string inside of a list counts one more.
pub const LENGTHS: [usize; 13] = [0, 1, 14, 15, 16, 30, 31, 32, 254, 255, 256, 257, 1000];
/// The same, of four bytes.
pub const LONG: [usize; 3] = [65_534, 65_535, 65_536];

pub const FLOATS: [f64; 7] = [0.0, -0.0, 1.5, -2.25e-300, f64::MAX, f64::MIN_POSITIVE, f64::NAN];

/// A text of so many bytes, which is not ASCII if it can be.
pub fn text(bytes: usize) -> String {
    let wide = "ü".repeat(bytes / 2);
    if bytes % 2 == 1 { wide + "x" } else { wide }
}

/// Every type and every form of value that has no more than some hundred bytes.
pub fn values() -> Vec<Value<'static>> {
    let mut values = vec![
        Value::Null,
        Value::Bool(false),
        Value::Bool(true),
        Value::Unheld {
            what: Unheld::Integer,
            text: "99999999999999999999".into(),
        },
    ];
    values.extend(INTEGERS.map(Value::Int));
    values.extend(FLOATS.map(Value::Float));
    for length in LENGTHS {
        values.extend(of_length(length));
    }
    // Names that are not in their order, at two depths, in lists and outside of them.
    let inner = Value::Map(vec![
        ("z".into(), Value::Null),
        ("".into(), Value::Bool(true)),
        ("ü".into(), Value::Int(-5)),
        (
            "a".into(),
            Value::Map(vec![("b".into(), Value::Int(1)), ("a".into(), Value::Int(2))]),
        ),
    ]);
    let list = Value::List(vec![
        inner.clone(),
        Value::List(vec![]),
        Value::List(vec![inner.clone()]),
    ]);
    values.push(Value::Map(vec![
        ("y".into(), list.clone()),
        ("x".into(), inner),
        ("x ".into(), Value::Map(vec![])),
    ]));
    values.push(list);
    values
}

/// Text, bytes, a list and a map of a length.
pub fn of_length(length: usize) -> [Value<'static>; 4] {
    let name = |number: usize| Cow::Owned(format!("{:05}", (number * 7919) % 100_000));
    [
        Value::Str(text(length).into()),
        Value::Bytes(vec![0xfe; length].into()),
        Value::List((0..length).map(|n| Value::Int(n as i64)).collect()),
        Value::Map((0..length).map(|n| (name(n), Value::Bool(n % 2 == 0))).collect()),
    ]
}

/// Every operation with this value, where it has one.
pub fn ops_with(value: &Value<'static>) -> [Op<'static>; 7] {
    let bin = "a";
    let value = || value.clone();
    [
        Op::Put {
            bin: bin.into(),
            value: value(),
        },
        Op::Once { bin, value: value() },
        Op::Append { bin, value: value() },
        Op::Prepend { bin, value: value() },
        Op::ListAppend { bin, value: value() },
        Op::MapPut {
            bin,
            key: Value::Str("k".into()),
            value: value(),
        },
        Op::MapPut {
            bin,
            key: value(),
            value: Value::Int(1),
        },
    ]
}

/// Every operation with a number.
pub fn ops_with_numbers() -> Vec<Op<'static>> {
    let bin = "bin-of-15-bytes";
    let ints = INTEGERS.iter().map(|n| Number::Int(*n));
    let mut ops = Vec::new();
    for by in ints.chain(FLOATS.map(Number::Float)) {
        ops.push(Op::Add { bin, by });
        ops.push(Op::MapAdd {
            bin,
            key: Value::Str("k".into()),
            by,
        });
    }
    for n in INTEGERS {
        ops.push(Op::MapAdd {
            bin,
            key: Value::Int(n),
            by: Number::Int(1),
        });
        for map in [false, true] {
            let count = (n.unsigned_abs() & 0xffff_ffff) as u32;
            ops.push(Op::KeepLast { bin, count, map });
        }
    }
    ops
}

/// What a replay does with its ledgers.
pub fn ledgers() -> Vec<Spec> {
    let identity = GuardIdentity {
        group: "g",
        topic_id: [1; 16],
        topic: "t",
        partition: 0,
        epoch: 0,
    };
    let mut rows = Vec::new();
    for number in INTEGERS.into_iter().filter(|number| *number >= 0) {
        let ledger = || Ledger::new(&identity, number, number);
        rows.push(Spec::new(Action::Write(vec![
            Step::Enter(ledger(), number),
            Step::Forget(ledger()),
            Step::Sum("n", 1),
        ])));
        rows.push(Spec {
            exists: Mode::UpdateOnly,
            ..Spec::new(Action::Write(vec![Step::Confirm(ledger(), number)]))
        });
    }
    rows
}

/// Names of bins. The server refuses those of over 15 bytes; in an expression, the head of the name changes at 32.
pub const BINS: [&str; 6] = [
    "a",
    "ü",
    "bin-of-15-bytes",
    "a bin of 17 bytes",
    "a bin of thirty-one bytes, or so",
    "",
];

const MODES: [Mode; 4] = [Mode::Update, Mode::Replace, Mode::Create, Mode::UpdateOnly];

pub fn ttls() -> [RowTtl; 6] {
    [
        RowTtl::NamespaceDefault,
        RowTtl::Never,
        RowTtl::Keep,
        RowTtl::Seconds(1),
        RowTtl::Seconds(0x0102_0304),
        RowTtl::Seconds(u32::MAX - 2),
    ]
}

pub fn keys() -> Vec<RecordKey<'static>> {
    let mut keys = vec![
        RecordKey::Integer(0),
        RecordKey::Integer(i64::MIN),
        RecordKey::Bytes(vec![].into()),
        RecordKey::Bytes(vec![0; 300].into()),
    ];
    keys.extend([0, 1, 300].map(|length| RecordKey::String(text(length).into())));
    keys
}

/// Conditions of a row: none, one at either place, and two.
pub fn conditions() -> Vec<[Option<Condition<'static>>; 2]> {
    let mut all = vec![[None, None]];
    for bin in ["~abcdefghij-_12", BINS[4], "v"] {
        for or_equal in [false, true] {
            for below in INTEGERS {
                let one = Condition { bin, below, or_equal };
                let other = Condition {
                    bin: "version",
                    below: !below,
                    or_equal: !or_equal,
                };
                all.extend([[Some(one), None], [None, Some(one)], [Some(one), Some(other)]]);
            }
        }
    }
    all
}

/// Every mode, life, key, set and condition with every action.
pub fn policies() -> Vec<Spec> {
    let write = Action::Write(vec![
        Step::Op(Op::Put {
            bin: "a".into(),
            value: Value::Int(1),
        }),
        Step::Sum("n", -3),
        Step::Store("~abcdefghij-_12", i64::MIN),
    ]);
    let mut rows = Vec::new();
    for action in [write, Action::Touch, Action::Delete] {
        let plain = Spec::new(action);
        for exists in MODES {
            for ttl in ttls() {
                rows.push(Spec {
                    exists,
                    ttl,
                    ..plain.clone()
                });
            }
        }
        for key in keys() {
            let mut row = Spec { key, ..plain.clone() };
            rows.push(row.clone());
            row.target.send_key = true;
            rows.push(row.clone());
            row.conditions = conditions().pop().unwrap();
            rows.push(row);
        }
        for conditions in conditions() {
            rows.push(Spec {
                conditions,
                ..plain.clone()
            });
        }
        for (namespace, set) in [("disk", ""), ("disk", "s"), ("test", text(63).as_str())] {
            rows.push(Spec {
                target: Target::new(namespace, set),
                ..plain.clone()
            });
        }
    }
    rows
}

fn one_of<T: Clone>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())].clone()
}

fn value(rng: &mut Rng, depth: u32) -> Value<'static> {
    let length = |rng: &mut Rng| {
        if rng.u8(..) < 4 {
            LENGTHS[rng.usize(..13)]
        } else {
            rng.usize(..6)
        }
    };
    match rng.u8(..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(rng.bool()),
        2 => Value::Int(if rng.bool() {
            one_of(rng, &INTEGERS)
        } else {
            rng.i64(..) >> rng.u8(..64)
        }),
        3 => Value::Float(float(rng)),
        4 => Value::Bytes((0..length(rng)).map(|_| rng.u8(..)).collect()),
        5 => Value::Str((0..length(rng)).map(|_| rng.char(..)).collect()),
        6 => Value::List((0..length(rng)).map(|_| value(rng, depth - 1)).collect()),
        _ => {
            let mut members: Vec<(Cow<'static, str>, Value<'static>)> = Vec::new();
            for _ in 0..length(rng) {
                let name: String = (0..rng.usize(..4)).map(|_| rng.char('a'..='c')).collect();
                // A name occurs once.
                if members.iter().all(|(other, _)| *other != name) {
                    members.push((name.into(), value(rng, depth - 1)));
                }
            }
            Value::Map(members)
        }
    }
}

/// The client sends one of the many NaNs for all of them. A row holds none.
fn float(rng: &mut Rng) -> f64 {
    let float = f64::from_bits(rng.u64(..));
    if float.is_nan() { 1.5 } else { float }
}

fn number(rng: &mut Rng) -> Number {
    if rng.bool() {
        Number::Int(one_of(rng, &INTEGERS))
    } else {
        Number::Float(float(rng))
    }
}

fn step(rng: &mut Rng) -> Step {
    let bin = one_of(rng, &BINS);
    let value = value(rng, 3);
    let key = if rng.bool() {
        Value::Int(one_of(rng, &INTEGERS))
    } else {
        Value::Str(text(rng.usize(..40)).into())
    };
    Step::Op(match rng.u8(..12) {
        0 => return Step::Sum(bin, rng.i64(..)),
        1 => return Step::Store(bin, rng.i64(..)),
        2..=4 => Op::Put { bin: bin.into(), value },
        5 => Op::Once { bin, value },
        6 => Op::Add { bin, by: number(rng) },
        7 => Op::Append { bin, value },
        8 => Op::Prepend { bin, value },
        9 => Op::ListAppend { bin, value },
        10 => Op::MapPut { bin, key, value },
        _ if rng.bool() => Op::MapAdd {
            bin,
            key,
            by: number(rng),
        },
        _ => Op::KeepLast {
            bin,
            count: rng.u32(..) >> rng.u8(..32),
            map: rng.bool(),
        },
    })
}

/// A random row.
pub fn random(rng: &mut Rng) -> Spec {
    let action = match rng.u8(..8) {
        0 => Action::Touch,
        1 => Action::Delete,
        _ => Action::Write((0..rng.usize(1..6)).map(|_| step(rng)).collect()),
    };
    let mut row = Spec::new(action);
    row.target.namespace = one_of(rng, &["test", "disk"]).to_owned();
    row.target.set = text(one_of(rng, &[0, 1, 8, 63]));
    row.target.send_key = rng.bool();
    row.key = one_of(rng, &keys());
    row.digest.fill_with(|| rng.u8(..));
    row.exists = one_of(rng, &MODES);
    row.ttl = one_of(rng, &ttls());
    if rng.bool() {
        row.conditions = one_of(rng, &conditions());
    }
    row
}
