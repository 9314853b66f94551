//! The expected result: messages one after another, each row as a separate command to a second simulator. Nothing is
//! merged or guarded. Versions, lives and `once` are decided by reading the record first.

use std::collections::{BTreeMap, HashSet};

use aerospike::operations::lists::{self, ListPolicy};
use aerospike::operations::maps::{self, MapOrder, MapPolicy, MapReturnType, MapWriteFlags};
use aerospike::operations::{self, Operation};
use aerospike::{
    Bin, Client, ClientPolicy, Expiration, FloatValue, IndexMap, Key, RecordExistsAction, Value, WritePolicy,
};
use penstock::config::model::Mode;
use penstock_sim::{RecordView, Simulator, Value as Stored};

use super::spec::{Cell, Kind, Message, Op, TTLS, Ttl, Type, What, Write, record_key};

/// A record in the form in which two simulators are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    bins: BTreeMap<String, Stored>,
    /// The life that it was given, of the possible ones; `None`: it never ends.
    life: Option<u32>,
    key: Option<Stored>,
}

/// Prefix of bins that are not compared: guards, and the bin that represents them here.
const HIDDEN: char = '~';
/// Represents a guard: a guarded row leaves a bin behind, and so the record exists.
const ANCHOR: &str = "~guarded";

impl View {
    /// Whether the found record is as expected. A stored key is allowed where none is required: a record that ends and
    /// is created again by the same row keeps it.
    pub fn is(expected: Option<&View>, mut found: Option<View>) -> bool {
        if let (Some(View { key: None, .. }), Some(found)) = (expected, &mut found) {
            found.key = None;
        }
        found.as_ref() == expected
    }
}

pub fn view(simulator: &Simulator, set: &str, key: &str) -> Option<View> {
    let RecordView { mut bins, ttl, key, .. } = simulator.get("test", set, key)?;
    bins.retain(|name, _| !name.starts_with(HIDDEN));
    let life = ttl.map(|left| {
        let life = TTLS.into_iter().find(|life| left <= *life && left + 300 > *life);
        life.unwrap_or_else(|| panic!("a life that nothing gives: {left} s"))
    });
    Some(View { bins, life, key })
}

/// The result of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    /// There was nothing to do, or it must not be done.
    Done,
    /// Refused with this code of the database.
    Refused(u8),
    /// It is behind a refused row.
    Held,
}

/// A row, as the oracle applied it.
#[derive(Debug, Clone)]
pub struct Step {
    pub message: usize,
    pub write: usize,
    pub outcome: Outcome,
    /// The record before this row.
    pub before: Option<View>,
}

pub type Record = (&'static str, String);

pub struct Oracle {
    simulator: Simulator,
    client: Client,
}

impl Oracle {
    pub fn new(simulator: Simulator) -> Oracle {
        let client = Client::new(&ClientPolicy::default(), &simulator.addr().to_string()).unwrap();
        Oracle { simulator, client }
    }

    /// Applies all messages. Returns the steps by record.
    pub fn apply(
        &self,
        case: u64,
        writes: &[Write],
        guarded: &[bool],
        messages: &[Message],
    ) -> BTreeMap<Record, Vec<Step>> {
        let mut steps: BTreeMap<Record, Vec<Step>> = BTreeMap::new();
        for (number, message) in messages.iter().enumerate() {
            // Versions that this message itself has set on a record: they do not make its next row older.
            let mut brought: HashSet<(Record, &str)> = HashSet::new();
            for (place, write) in writes.iter().enumerate() {
                let record = (write.set_name(), record_key(case, write.key_of(message)));
                let lane = steps.entry(record.clone()).or_default();
                let held = lane
                    .last()
                    .is_some_and(|step| matches!(step.outcome, Outcome::Refused(_) | Outcome::Held));
                let row = Row {
                    oracle: self,
                    write,
                    message,
                    record: &record,
                    guarded: guarded[place],
                    again: write.newer.is_some_and(|bin| brought.contains(&(record.clone(), bin))),
                };
                let before = view(&self.simulator, record.0, &record.1);
                let Some(outcome) = (if held { row.is_one() } else { row.apply() }) else {
                    continue;
                };
                if outcome == Outcome::Applied
                    && let Some(bin) = write.newer.filter(|_| !message.tombstone)
                {
                    brought.insert((record.clone(), bin));
                }
                lane.push(Step {
                    message: number,
                    write: place,
                    outcome,
                    before,
                });
            }
        }
        steps
    }

    pub fn view(&self, record: &Record) -> Option<View> {
        view(&self.simulator, record.0, &record.1)
    }
}

struct Row<'o> {
    oracle: &'o Oracle,
    write: &'o Write,
    message: &'o Message,
    record: &'o Record,
    guarded: bool,
    /// An earlier row of the same message was applied to this record with the same version.
    again: bool,
}

impl Row<'_> {
    /// The operations; `None`: this write does nothing for the message.
    fn ops(&self, ops: &[Op], stored: Option<&RecordView>) -> Option<Planned> {
        let mut planned = Planned::default();
        for op in ops {
            self.op(op, stored, &mut planned);
        }
        (planned.rows > 0 || planned.ends).then_some(planned)
    }

    fn op(&self, op: &Op, stored: Option<&RecordView>, planned: &mut Planned) {
        let bin = op.bin.as_str();
        if op.kind == Kind::Remove {
            planned.removes += 1;
            planned.rows += 1;
            planned.ops.push(operations::put(&Bin::new(bin, Value::Nil)));
            return;
        }
        let n = match (self.message.cells[op.cell], op.kind) {
            (Cell::Null, Kind::Put) => {
                // A record that is created anew has no bin to remove.
                if !matches!(self.write.mode, Mode::Replace | Mode::Create) {
                    planned.removes += 1;
                    planned.rows += 1;
                    planned.ops.push(operations::put(&Bin::new(bin, Value::Nil)));
                }
                // If all new bins are null, a replaced record is deleted.
                planned.ends |= self.write.mode == Mode::Replace;
                return;
            }
            (Cell::Missing | Cell::Null, _) => return,
            (Cell::Value(n), _) => n,
        };
        planned.rows += 1;
        let text = |text: String| Value::String(text);
        let float = |n| Value::Float(FloatValue::from(n));
        let value = match (op.kind, op.of) {
            (Kind::ListAppend, _) | (_, Type::Int) => Value::Int(Op::int(n)),
            (_, Type::Float) => float(Op::float(n)),
            (_, Type::Str) => text(Op::text(n)),
            (_, Type::Bytes) => Value::Blob(vec![n]),
            (_, Type::List) => Value::List(vec![Value::Int(Op::int(n)), text(Op::text(n))]),
            (_, Type::Map) => Value::OrderedMap(
                ["k1", "k3"]
                    .into_iter()
                    .map(|key| (text(key.to_owned()), Value::Int(Op::int(n))))
                    .collect::<IndexMap<_, _>>(),
            ),
        };
        let maps = MapPolicy::new(MapOrder::KeyOrdered, MapWriteFlags::DEFAULT);
        planned.ops.push(match op.kind {
            Kind::Put | Kind::Remove => operations::put(&Bin::new(bin, value)),
            Kind::Once if stored.is_some_and(|stored| stored.bin(bin).is_some()) => return,
            Kind::Once => operations::put(&Bin::new(bin, value)),
            Kind::Add => operations::add(&Bin::new(bin, value)),
            Kind::Append => operations::append(&Bin::new(bin, value)),
            Kind::Prepend => operations::prepend(&Bin::new(bin, value)),
            Kind::ListAppend => lists::append(&ListPolicy::default(), bin, value),
            Kind::MapPut => maps::put(&maps, bin, text(Op::map_key(n)), value),
            Kind::MapAdd => maps::increment_value(&maps, bin, text(Op::map_key(n)), value),
        });
        if let Some(keep) = op.keep {
            planned.keeps.push((bin.to_owned(), usize::from(keep)));
        }
    }

    /// For a record that is blocked: whether there is a row at all.
    fn is_one(&self) -> Option<Outcome> {
        let is_one = if self.message.tombstone {
            self.write.deletes_by_tombstone
        } else if let What::Ops(ops) = &self.write.what {
            self.ops(ops, None).is_some()
        } else {
            true
        };
        is_one.then_some(Outcome::Held)
    }

    fn apply(&self) -> Option<Outcome> {
        let (set, key) = self.record;
        let stored = self.oracle.simulator.get("test", set, key);
        if self.message.tombstone {
            return self.write.deletes_by_tombstone.then(|| self.delete());
        }
        let ops = match &self.write.what {
            What::Ops(ops) => Some(self.ops(ops, stored.as_ref())?),
            What::Touch | What::Delete => None,
        };
        if let (Some(bin), Some(stored)) = (self.write.newer, &stored)
            && let Some(version) = stored.int(bin)
            && (self.message.version < version || (self.message.version == version && !self.again))
        {
            return Some(Outcome::Done);
        }
        let Some(Planned {
            mut ops,
            removes,
            rows,
            keeps,
            ends: _,
        }) = ops
        else {
            if self.write.what == What::Delete {
                return Some(self.delete());
            }
            return Some(
                match self.operate(&[operations::touch()], RecordExistsAction::Update, self.life(false)) {
                    2 => Outcome::Done,
                    code => outcome(code),
                },
            );
        };
        if rows == 0 {
            return Some(self.delete());
        }
        if removes == rows && stored.is_none() && self.write.newer.is_none() {
            let conflict = self.write.mode == Mode::UpdateOnly && self.write.conflict_rejects;
            return Some(if conflict { outcome(2) } else { Outcome::Done });
        }
        if self.guarded {
            ops.push(operations::put(&Bin::new(ANCHOR, Value::Int(1))));
        }
        if let Some(bin) = self.write.newer {
            ops.push(operations::put(&Bin::new(bin, Value::Int(self.message.version))));
        }
        // Every bin that `once` would set exists.
        if ops.is_empty() {
            ops.push(operations::touch());
        }
        let mode = match self.write.mode {
            Mode::Update => RecordExistsAction::Update,
            Mode::Replace => RecordExistsAction::Replace,
            Mode::Create => RecordExistsAction::CreateOnly,
            Mode::UpdateOnly => RecordExistsAction::UpdateOnly,
        };
        let code = self.operate(&ops, mode, self.life(stored.is_some()));
        let conflict = matches!((self.write.mode, code), (Mode::Create, 5) | (Mode::UpdateOnly, 2));
        if conflict && !self.write.conflict_rejects {
            return Some(Outcome::Done);
        }
        if code == 0 {
            self.trim(&keeps);
        }
        Some(outcome(code))
    }

    fn life(&self, is_there: bool) -> Expiration {
        if self.write.ttl_on_create && is_there {
            return Expiration::DontUpdate;
        }
        match self.write.ttl {
            Ttl::Default => Expiration::NamespaceDefault,
            Ttl::Never => Expiration::Never,
            Ttl::Keep => Expiration::DontUpdate,
            Ttl::Fixed => Expiration::Seconds(TTLS[0]),
            Ttl::Field if self.message.long_life => Expiration::Seconds(TTLS[4]),
            Ttl::Field => Expiration::Seconds(TTLS[3]),
        }
    }

    fn trim(&self, keeps: &[(String, usize)]) {
        let (set, key) = self.record;
        for (bin, keep) in keeps {
            let stored = self.oracle.simulator.get("test", set, key);
            let Some(value) = stored.as_ref().and_then(|stored| stored.bin(bin)) else {
                continue;
            };
            let operation = match (value.as_list(), value.as_map()) {
                (Some(items), _) if items.len() > *keep => lists::remove_range(bin, 0, (items.len() - keep) as i64),
                (_, Some(entries)) if entries.len() > *keep => {
                    maps::remove_by_index_range(bin, 0, (entries.len() - keep) as i64, MapReturnType::NONE)
                }
                _ => continue,
            };
            let code = self.operate(&[operation], RecordExistsAction::UpdateOnly, Expiration::DontUpdate);
            assert_eq!(code, 0, "cutting {bin}");
        }
    }

    fn key(&self) -> Key {
        let (set, key) = self.record;
        Key::new("test", *set, Value::String(key.clone())).unwrap()
    }

    fn operate(&self, ops: &[Operation], mode: RecordExistsAction, life: Expiration) -> u8 {
        let policy = WritePolicy {
            record_exists_action: mode,
            expiration: life,
            send_key: self.write.send_key,
            ..policy()
        };
        match self.oracle.client.operate(&policy, &self.key(), ops) {
            Ok(_) => 0,
            Err(error) => error.server_result_code().map_or_else(|| panic!("{error}"), u8::from),
        }
    }

    fn delete(&self) -> Outcome {
        match self.oracle.client.delete(&policy(), &self.key()) {
            Ok(true) => Outcome::Applied,
            Ok(false) => Outcome::Done,
            Err(error) => panic!("{error}"),
        }
    }
}

fn outcome(code: u8) -> Outcome {
    match code {
        0 => Outcome::Applied,
        code => Outcome::Refused(code),
    }
}

fn policy() -> WritePolicy {
    let mut policy = WritePolicy::default();
    policy.base_policy.total_timeout = 60_000;
    policy.base_policy.max_retries = 0;
    policy
}

/// The operations of one row.
#[derive(Default)]
struct Planned {
    ops: Vec<Operation>,
    /// How many of its operations remove a bin.
    removes: usize,
    ends: bool,
    /// How many operations it has, including those that have nothing to do.
    rows: usize,
    keeps: Vec<(String, usize)>,
}
