//! The generated data: the writes of a configuration and the messages for them, as plain data. Rendered as TOML and
//! JSON for the service; the oracle reads them directly.

use std::fmt::Write as _;

use penstock::config::model::Mode;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::support::writer_line;

/// Number of values in one message: one for each operation that a configuration can have.
pub const CELLS: usize = WRITES_MAX * OPS_MAX;
const WRITES_MAX: usize = 4;
const OPS_MAX: usize = 3;
/// The default life of the namespace, in both simulators.
pub const DEFAULT_TTL: u32 = 4000;
/// Lives so different that they can be distinguished, however long a case takes.
pub const TTLS: [u32; 5] = [1000, DEFAULT_TTL, 9000, 20_000, 30_000];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Put,
    Once,
    Add,
    Append,
    Prepend,
    ListAppend,
    MapPut,
    MapAdd,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Int,
    Float,
    Str,
    Bytes,
    List,
    Map,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    pub kind: Kind,
    pub of: Type,
    /// Its number among the bins with this type of value.
    number: u8,
    pub keep: Option<u8>,
    pub bin: String,
    /// The number of the message's value that it uses.
    pub cell: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Ops(Vec<Op>),
    Touch,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    Default,
    Never,
    Keep,
    Fixed,
    Field,
}

/// One `[[route.write]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub set: u8,
    /// The key is a field of the payload; otherwise it is the message key.
    pub key_is_field: bool,
    pub what: What,
    pub mode: Mode,
    /// What to do if the mode contradicts the record's existence.
    pub conflict_rejects: bool,
    /// The bin of its version.
    pub newer: Option<&'static str>,
    pub guard: Option<bool>,
    pub ttl: Ttl,
    pub ttl_on_create: bool,
    pub send_key: bool,
    pub deletes_by_tombstone: bool,
    /// It starts another route.
    begins_route: bool,
}

/// A message's value for one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    Missing,
    Null,
    Value(u8),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The message key of Kafka.
    pub key: u8,
    /// The field `k`.
    pub field_key: u8,
    pub tombstone: bool,
    pub version: i64,
    pub long_life: bool,
    pub cells: Vec<Cell>,
}

/// Restrictions on the generated sequences.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// All rows are guarded, so there is no touch and no replacement.
    pub all_guarded: bool,
    /// A record is never deleted.
    pub keeps_records: bool,
    /// Bins have no fixed type, and conflicts reject.
    pub contradicts: bool,
    /// Everything concerns one bin: records are created and deleted.
    pub one_bin: bool,
    pub messages_max: usize,
}

pub const ANY: Shape = Shape {
    all_guarded: false,
    keeps_records: false,
    contradicts: false,
    one_bin: false,
    messages_max: 40,
};

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        6 => (Just(Kind::Put), prop::sample::select(&[Type::Int, Type::Float, Type::Str, Type::Bytes, Type::List, Type::Map][..])),
        2 => (Just(Kind::Once), prop::sample::select(&[Type::Int, Type::Float, Type::Str, Type::Bytes, Type::List, Type::Map][..])),
        4 => (Just(Kind::Add), prop::sample::select(&[Type::Int, Type::Float][..])),
        2 => (Just(Kind::Append), prop::sample::select(&[Type::Str, Type::Bytes][..])),
        2 => (Just(Kind::Prepend), prop::sample::select(&[Type::Str, Type::Bytes][..])),
        3 => (Just(Kind::ListAppend), Just(Type::List)),
        2 => (Just(Kind::MapPut), prop::sample::select(&[Type::Int, Type::Float][..])),
        2 => (Just(Kind::MapAdd), prop::sample::select(&[Type::Int, Type::Float][..])),
        2 => (Just(Kind::Remove), prop::sample::select(&[Type::Int, Type::Float, Type::Str, Type::Bytes, Type::List, Type::Map][..])),
    ];
    (kind, 0u8..2, prop::option::weighted(0.5, 1u8..4)).prop_map(|((kind, of), number, keep)| Op {
        kind,
        of,
        number,
        keep: keep.filter(|_| matches!(kind, Kind::ListAppend | Kind::MapPut | Kind::MapAdd)),
        bin: String::new(),
        cell: 0,
    })
}

fn one_write() -> impl Strategy<Value = Write> {
    let what = prop_oneof![
        10 => vec(op(), 1..=OPS_MAX).prop_map(What::Ops),
        1 => Just(What::Touch),
        2 => Just(What::Delete),
    ];
    let mode = prop_oneof![
        8 => Just(Mode::Update),
        2 => Just(Mode::Replace),
        1 => Just(Mode::Create),
        1 => Just(Mode::UpdateOnly),
    ];
    let newer = prop_oneof![4 => Just(None), 2 => Just(Some("_v")), 1 => Just(Some("_w"))];
    let guard = prop_oneof![2 => Just(None), 1 => Just(Some(true)), 2 => Just(Some(false))];
    let ttl = prop_oneof![
        3 => Just(Ttl::Default),
        1 => Just(Ttl::Never),
        2 => Just(Ttl::Keep),
        1 => Just(Ttl::Fixed),
        1 => Just(Ttl::Field),
    ];
    let flag = |share| prop::bool::weighted(share);
    (
        (0u8..2, flag(0.3), what, mode, flag(0.5), newer, guard),
        (ttl, flag(0.3), flag(0.2), flag(0.5), flag(0.3)),
    )
        .prop_map(
            |(
                (set, key_is_field, what, mode, conflict_rejects, newer, guard),
                (ttl, ttl_on_create, send_key, deletes_by_tombstone, begins_route),
            )| Write {
                // Most writes use the same set.
                set: set * u8::from(send_key),
                key_is_field,
                what,
                mode,
                conflict_rejects,
                newer,
                guard,
                ttl,
                ttl_on_create,
                send_key,
                deletes_by_tombstone,
                begins_route,
            },
        )
}

pub fn writes(shape: Shape) -> impl Strategy<Value = Vec<Write>> {
    vec(one_write(), 1..=WRITES_MAX).prop_map(move |mut writes| {
        for (number, write) in writes.iter_mut().enumerate() {
            write.fit(number, shape);
        }
        writes
    })
}

impl Write {
    /// Changes it so that it is a valid configuration and fits the shape.
    fn fit(&mut self, number: usize, shape: Shape) {
        if shape.all_guarded {
            self.guard = Some(true);
            if self.what == What::Touch {
                self.what = What::Delete;
            }
            if self.mode == Mode::Replace {
                self.mode = Mode::Update;
            }
        }
        if shape.keeps_records {
            if !matches!(self.what, What::Ops(_)) {
                self.what = What::Ops(Vec::new());
            }
            self.deletes_by_tombstone = false;
        }
        if let (What::Ops(ops), true) = (&mut self.what, shape.one_bin) {
            for op in ops {
                (op.of, op.number, op.keep) = (Type::Int, 0, None);
                op.kind = match op.kind {
                    Kind::Append | Kind::MapAdd => Kind::Remove,
                    Kind::Prepend | Kind::MapPut => Kind::Once,
                    Kind::ListAppend => Kind::Add,
                    kind => kind,
                };
            }
        }
        self.conflict_rejects &= shape.contradicts;
        self.deletes_by_tombstone &= !self.key_is_field;
        let replaces = self.mode == Mode::Replace;
        let What::Ops(ops) = &mut self.what else {
            self.mode = Mode::Update;
            self.conflict_rejects = false;
            self.ttl_on_create = false;
            if self.what == What::Touch {
                self.newer = None;
                self.guard = None;
                if self.ttl == Ttl::Keep {
                    self.ttl = Ttl::Default;
                }
            } else {
                self.ttl = Ttl::Default;
                self.send_key = false;
            }
            return;
        };
        if replaces {
            ops.retain(|op| op.kind == Kind::Put);
            self.guard = self.guard.filter(|guard| !guard);
        }
        if self.mode == Mode::Create {
            ops.retain(|op| op.kind != Kind::Remove);
            self.newer = None;
        }
        if ops.is_empty() {
            ops.push(Op {
                kind: Kind::Put,
                of: Type::Int,
                number: 0,
                keep: None,
                bin: String::new(),
                cell: 0,
            });
        }
        for (place, op) in ops.iter_mut().enumerate() {
            op.cell = number * OPS_MAX + place;
            op.bin = if shape.contradicts {
                format!("x{}", (op.number + op.of as u8) % 3)
            } else {
                let family = match (op.kind, op.of) {
                    (Kind::MapPut | Kind::MapAdd, Type::Float) => 'g',
                    (Kind::MapPut | Kind::MapAdd, _) | (_, Type::Map) => 'm',
                    (_, Type::Int) => 'i',
                    (_, Type::Float) => 'f',
                    (_, Type::Str) => 's',
                    (_, Type::Bytes) => 'b',
                    (_, Type::List) => 'l',
                };
                format!("{family}{}", op.number)
            };
        }
        let mut bins: Vec<String> = Vec::new();
        ops.retain(|op| {
            let fresh = !bins.contains(&op.bin);
            bins.push(op.bin.clone());
            fresh
        });
        let own_life = !matches!(self.ttl, Ttl::Default | Ttl::Keep);
        self.ttl_on_create &= self.mode == Mode::Update && own_life;
    }

    pub fn set_name(&self) -> &'static str {
        if self.set == 0 { "p" } else { "q" }
    }

    pub fn key_of(&self, message: &Message) -> u8 {
        if self.key_is_field {
            message.field_key
        } else {
            message.key
        }
    }
}

pub fn messages(shape: Shape) -> impl Strategy<Value = Vec<Message>> {
    let cell = prop_oneof![1 => Just(Cell::Missing), 1 => Just(Cell::Null), 6 => (0u8..16).prop_map(Cell::Value)];
    let message = (
        0u8..5,
        0u8..5,
        prop::bool::weighted(0.08),
        0i64..12,
        any::<bool>(),
        vec(cell, CELLS),
    );
    let message = message.prop_map(|(key, field_key, tombstone, version, long_life, cells)| Message {
        key,
        field_key,
        tombstone,
        version,
        long_life,
        cells,
    });
    // Two to five records: the fewer there are, the more rows concern the same record.
    (vec(message, 1..=shape.messages_max), 2u8..=5).prop_map(|(mut messages, keys)| {
        for message in &mut messages {
            message.key %= keys;
            message.field_key %= keys;
        }
        messages
    })
}

/// A write that sets one bin with a version.
pub fn versioned(guard: Option<bool>) -> Write {
    let op = Op {
        kind: Kind::Put,
        of: Type::Int,
        number: 0,
        keep: None,
        bin: "i0".into(),
        cell: 0,
    };
    Write {
        set: 0,
        key_is_field: false,
        what: What::Ops(vec![op]),
        mode: Mode::Update,
        conflict_rejects: false,
        newer: Some("_v"),
        guard,
        ttl: Ttl::Default,
        ttl_on_create: false,
        send_key: false,
        deletes_by_tombstone: false,
        begins_route: false,
    }
}

/// A message with this version, and a value for it.
pub fn message_of(version: i64, value: u8) -> Message {
    Message {
        key: 0,
        field_key: 0,
        tombstone: false,
        version,
        long_life: false,
        cells: vec![Cell::Value(value); CELLS],
    }
}

/// Whether two rows of one message bring its version to the same record, while not everything for the record is guarded
/// and versioned by that bin. If another message brought the same version, it is then not always possible to tell
/// whether the first row was applied. In that case the second row is applied rather than lost.
pub fn may_confuse_equal_versions(writes: &[Write], guarded: &[bool]) -> bool {
    let versioned = |place: usize| writes[place].newer.map(|bin| (writes[place].set, bin));
    let alike = |place: usize, first: usize| {
        writes[place].set != writes[first].set || (guarded[place] && versioned(place) == versioned(first))
    };
    (0..writes.len()).any(|first| {
        let again = (first + 1..writes.len()).any(|second| versioned(first) == versioned(second));
        versioned(first).is_some() && again && !(0..writes.len()).all(|place| alike(place, first))
    })
}

// ---- the form that the service reads

/// A configuration's text.
pub fn config(writes: &[Write], hosts: &str) -> String {
    let writer = writer_line();
    let mut text = format!(
        "[kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"{hosts}\"\nnamespace = \"test\"\n{writer}"
    );
    for (number, write) in writes.iter().enumerate() {
        if number == 0 || write.begins_route {
            text.push_str("[[route]]\n");
        }
        text.push_str("[[route.write]]\n");
        text.push_str(&write.words());
    }
    text
}

impl Write {
    fn words(&self) -> String {
        let mut text = String::new();
        let key = if self.key_is_field { "k" } else { "@key" };
        let tombstone = if self.deletes_by_tombstone { "delete" } else { "ignore" };
        let _ = writeln!(
            text,
            "set = \"{}\"\nkey = \"{key}\"\ntombstone = \"{tombstone}\"",
            self.set_name()
        );
        match &self.what {
            What::Touch => text.push_str("touch = true\n"),
            What::Delete => text.push_str("delete = true\n"),
            What::Ops(ops) => text.push_str(&words_of_ops(ops)),
        }
        match self.mode {
            Mode::Update => {}
            Mode::Replace => text.push_str("mode = \"replace\"\n"),
            Mode::Create => text.push_str("mode = \"create\"\n"),
            Mode::UpdateOnly => text.push_str("mode = \"update_only\"\n"),
        }
        if matches!(self.mode, Mode::Create | Mode::UpdateOnly) && !self.conflict_rejects {
            text.push_str("on_conflict = \"ignore\"\n");
        }
        if let Some(bin) = self.newer {
            let _ = writeln!(text, "newer = {{ path = \"v\", bin = \"{bin}\" }}");
        }
        if let Some(guard) = self.guard {
            let _ = writeln!(text, "guard = {guard}");
        }
        match self.ttl {
            Ttl::Default => {}
            Ttl::Never => text.push_str("ttl = \"never\"\n"),
            Ttl::Keep => text.push_str("ttl = \"keep\"\n"),
            Ttl::Fixed => text.push_str("ttl = \"1000s\"\n"),
            Ttl::Field => text.push_str("ttl = { path = \"t\" }\n"),
        }
        if self.ttl_on_create {
            text.push_str("ttl_on = \"create\"\n");
        }
        if self.send_key {
            text.push_str("send_key = true\n");
        }
        text
    }
}

fn words_of_ops(ops: &[Op]) -> String {
    const WORDS: [(&str, Kind); 8] = [
        ("bins", Kind::Put),
        ("once", Kind::Once),
        ("add", Kind::Add),
        ("append", Kind::Append),
        ("prepend", Kind::Prepend),
        ("list_append", Kind::ListAppend),
        ("map_put", Kind::MapPut),
        ("map_add", Kind::MapAdd),
    ];
    let mut text = String::new();
    let mut table = |word: &str, members: Vec<String>| {
        if !members.is_empty() {
            let _ = writeln!(text, "{word} = {{ {} }}", members.join(", "));
        }
    };
    for (word, kind) in WORDS {
        let members = ops.iter().filter(|op| op.kind == kind);
        table(word, members.map(|op| format!("{} = {}", op.bin, op.value())).collect());
    }
    let keeps = ops
        .iter()
        .filter_map(|op| Some(format!("{} = {}", op.bin, op.keep?)))
        .collect();
    table("keep_last", keeps);
    let removes: Vec<String> = ops
        .iter()
        .filter(|op| op.kind == Kind::Remove)
        .map(|op| format!("\"{}\"", op.bin))
        .collect();
    if !removes.is_empty() {
        let _ = writeln!(text, "remove = [{}]", removes.join(", "));
    }
    text
}

impl Op {
    fn value(&self) -> String {
        let cell = self.cell;
        let missing = match self.kind {
            Kind::Put | Kind::Once => "",
            _ => ", missing = \"skip\"",
        };
        let number = match self.of {
            Type::Float => ", as = \"float\"",
            _ => ", as = \"integer\"",
        };
        let bytes = if self.of == Type::Bytes {
            ", as = \"base64\""
        } else {
            ""
        };
        match self.kind {
            Kind::MapPut | Kind::MapAdd => {
                let word = if self.kind == Kind::MapAdd { "by" } else { "value" };
                format!(
                    "{{ key = {{ path = \"d{cell}\"{missing} }}, {word} = {{ path = \"c{cell}\"{number}{missing} }} }}"
                )
            }
            Kind::Add => format!("{{ path = \"c{cell}\"{number}{missing} }}"),
            Kind::Put if self.of == Type::Float => format!("{{ path = \"c{cell}\", as = \"float\" }}"),
            _ => format!("{{ path = \"c{cell}\"{bytes}{missing} }}"),
        }
    }

    pub fn int(n: u8) -> i64 {
        // Sums exceed the integer's range.
        if n == 0 { i64::MAX } else { i64::from(n) - 8 }
    }

    pub fn float(n: u8) -> f64 {
        // Sums depend on the order.
        if n == 0 { 1e15 + 0.3 } else { f64::from(n) * 0.1 }
    }

    pub fn text(n: u8) -> String {
        char::from(b'a' + n).to_string()
    }

    pub fn map_key(n: u8) -> String {
        format!("k{}", n % 4)
    }

    fn json(&self, n: u8) -> serde_json::Value {
        // "AA==", "AQ==", ...: one byte.
        let base64 = |n: u8| {
            const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let pair = [
                LETTERS[usize::from(n >> 2)],
                LETTERS[usize::from(n & 3) << 4],
                b'=',
                b'=',
            ];
            String::from_utf8_lossy(&pair).into_owned()
        };
        match (self.kind, self.of) {
            (Kind::ListAppend, _) | (_, Type::Int) => json!(Op::int(n)),
            (_, Type::Float) => json!(Op::float(n)),
            (_, Type::Str) => json!(Op::text(n)),
            (_, Type::Bytes) => json!(base64(n)),
            (_, Type::List) => json!([Op::int(n), Op::text(n)]),
            (_, Type::Map) => json!({ "k1": Op::int(n), "k3": Op::int(n) }),
        }
    }
}

/// A message's key and payload. `case` makes the keys unique to a case.
pub fn render(message: &Message, writes: &[Write], case: u64) -> (String, Option<String>) {
    let key = record_key(case, message.key);
    if message.tombstone {
        return (key, None);
    }
    let life = if message.long_life { TTLS[4] } else { TTLS[3] };
    let mut payload = json!({ "k": record_key(case, message.field_key), "v": message.version, "t": life });
    for write in writes {
        let What::Ops(ops) = &write.what else { continue };
        for op in ops {
            let value = match message.cells[op.cell] {
                Cell::Missing => continue,
                Cell::Null => serde_json::Value::Null,
                Cell::Value(n) => {
                    payload[format!("d{}", op.cell)] = json!(Op::map_key(n));
                    op.json(n)
                }
            };
            payload[format!("c{}", op.cell)] = value;
        }
    }
    (key, Some(payload.to_string()))
}

pub fn record_key(case: u64, key: u8) -> String {
    format!("{case}-{key}")
}
