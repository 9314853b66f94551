//! What is in the samples: each field with its types, how often it was there, and what its values look like.
//!
//! Values are counted and measured, and not kept (but a few of fields with few, with `--show-values`). Everything is
//! bounded: the number of fields, their depth, the elements of arrays.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::looks::Looks;
use super::sampling::Samples;
use super::written::is_nameable;
use crate::output::value::{Unheld, Value};
use crate::rules::decode::{self, PathTreeBuilder};
use crate::rules::mapping::looks_like_what;

/// Fields in objects in objects are looked at to this depth.
const DEPTH_MAX: usize = 6;
/// Fields that are counted. More are left out.
const NODES_MAX: usize = 20_000;
/// Fields that are shown.
pub(super) const FIELDS_MAX: usize = 200;
/// Elements of one array that are looked at.
const ELEMENTS_MAX: usize = 100;
/// Values of all fields together that are told apart.
const DISTINCT_MAX: usize = 2_000_000;
/// With `--show-values`: fields with more values, or longer ones, show none.
const VALUES_MAX: usize = 12;
const VALUE_CHARS_MAX: usize = 40;

/// One step to a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Name(String),
    /// Any element of an array.
    Element,
}

/// What was seen at one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// How often it was there, null or not.
    pub times: u64,
    pub nulls: u64,
    pub bools: u64,
    pub integers: u64,
    pub floats: u64,
    pub strings: u64,
    pub arrays: u64,
    pub objects: u64,
    /// Numbers that no bin holds.
    pub unheld: u64,
    /// Least and greatest integer.
    pub integer_range: Option<(i64, i64)>,
    /// Shortest and longest string, in characters.
    pub lengths: Option<(usize, usize)>,
    /// Fewest and most elements.
    pub elements: Option<(usize, usize)>,
    pub looks: Looks,
    /// Hashes of the strings and integers. `None`: too many.
    distinct: Option<HashSet<u64>>,
    /// How often the message's key was the same text, and how often the same text in JSON's quotes.
    pub equals_key: u64,
    pub equals_quoted_key: u64,
    /// With `--show-values`. `None`: too many.
    values: Option<BTreeSet<String>>,
}

impl Seen {
    /// Different strings and integers, if they were counted.
    pub fn distinct(&self) -> Option<usize> {
        self.distinct.as_ref().map(HashSet::len)
    }

    /// With `--show-values`: the values, where each stands for several messages.
    pub fn few_values(&self) -> Option<&BTreeSet<String>> {
        let values = self.values.as_ref().filter(|values| !values.is_empty())?;
        ((values.len() as u64) * 2 <= self.strings + self.integers).then_some(values)
    }

    /// Whether all values are strings, or all are integers.
    pub fn is_keyable(&self) -> bool {
        self.times > 0
            && (self.strings == self.times || self.integers == self.times)
            && self.lengths.is_none_or(|(shortest, _)| shortest > 0)
    }

    /// The types that are not null.
    pub fn types(&self) -> Vec<&'static str> {
        let types = [
            ("boolean", self.bools),
            ("integer", self.integers),
            ("float", self.floats),
            ("string", self.strings),
            ("array", self.arrays),
            ("object", self.objects),
        ];
        types
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, _)| name)
            .collect()
    }
}

#[derive(Debug, Default)]
struct Node {
    seen: Seen,
    /// In the order of their first appearance.
    children: Vec<(Step, Node)>,
    by_name: HashMap<String, usize>,
    /// Most names in one object.
    names_max: usize,
}

/// A field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub path: Vec<Step>,
    pub seen: Seen,
}

impl Field {
    /// Its names, where the path has no element in it.
    pub fn names(&self) -> Option<Vec<&str>> {
        names(&self.path)
    }
}

pub(super) fn names(path: &[Step]) -> Option<Vec<&str>> {
    path.iter()
        .map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Element => None,
        })
        .collect()
}

/// The form of the payload around what is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    None,
    /// Kafka Connect's JSON with a schema: `{"schema": …, "payload": …}`.
    Connect,
}

/// What was seen in all samples.
#[derive(Debug)]
pub(super) struct Shape {
    /// Samples with and without payload.
    pub messages: u64,
    pub tombstones: u64,
    /// Payloads that are JSON objects; the fields are theirs.
    pub objects: u64,
    /// Payloads that are other JSON.
    pub others: BTreeMap<&'static str, u64>,
    /// Payloads that are no JSON, by what they look like.
    pub unread: BTreeMap<&'static str, u64>,
    /// Zero byte and schema id in front.
    pub has_registry_prefix: bool,
    pub envelope: Envelope,
    /// A change of Debezium: `before`, `after`, `op`, `source`.
    pub is_debezium: bool,
    pub keys: Keys,
    /// In the order of the messages.
    pub fields: Vec<Field>,
    /// Fields that are not in the list, each kind in a sentence.
    pub left_out: Vec<String>,
    pub are_bare: bool,
}

/// What was seen of the messages' keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub there: u64,
    pub empty: u64,
    pub not_utf8: u64,
    /// Strings in JSON's quotes.
    pub quoted: u64,
    /// JSON objects.
    pub objects: u64,
    /// Of those, with a schema.
    pub connect: u64,
    distinct: HashSet<u64>,
    /// The fields of the keys that are objects.
    pub fields: Vec<Field>,
}

impl Keys {
    pub fn distinct(&self) -> usize {
        self.distinct.len()
    }
}

/// Counts what is not looked at, and what is told apart.
#[derive(Default)]
struct Budget {
    nodes: usize,
    distinct: usize,
    unnameable: BTreeSet<u64>,
    too_many: u64,
    too_deep: u64,
    shows_values: bool,
}

impl Shape {
    pub fn of(samples: &Samples, shows_values: bool) -> Shape {
        let mut shape = Shape {
            messages: samples.messages.len() as u64,
            tombstones: 0,
            objects: 0,
            others: BTreeMap::new(),
            unread: BTreeMap::new(),
            has_registry_prefix: false,
            envelope: Envelope::None,
            is_debezium: false,
            keys: Keys::default(),
            fields: Vec::new(),
            left_out: Vec::new(),
            are_bare: samples.are_bare,
        };
        let mut builder = PathTreeBuilder::new();
        let slot = builder.slot(&[]);
        let tree = builder.build();
        let whole = |text: &[u8]| -> Option<Value<'static>> { decode::decode(&tree, text).ok()?.take(slot).map(owned) };

        let payloads = || samples.messages.iter().filter_map(|message| message.payload.as_deref());
        let (mut plain, mut prefixed) = (0_u64, 0_u64);
        for payload in payloads() {
            match payload {
                [0, _, _, _, _, text @ ..] if whole(text).is_some() => prefixed += 1,
                _ if whole(payload).is_some() => plain += 1,
                _ => {}
            }
        }
        shape.has_registry_prefix = prefixed > plain;
        let text_of = |payload: &[u8]| match payload {
            [0, _, _, _, _, text @ ..] if prefixed > plain => whole(text),
            _ if prefixed > plain => None,
            _ => whole(payload),
        };

        let (mut connect, mut readable) = (0_u64, 0_u64);
        for payload in payloads() {
            if let Some(value) = text_of(payload) {
                readable += 1;
                connect += u64::from(inner(&value).is_some());
            }
        }
        if connect > 0 && connect == readable {
            shape.envelope = Envelope::Connect;
        }

        let (mut root, mut key_root) = (Node::default(), Node::default());
        let mut budget = Budget {
            shows_values,
            ..Budget::default()
        };
        let mut changes = 0;
        for message in &samples.messages {
            let key = message.key.as_deref();
            shape.keys.take(key, &whole, &mut key_root, &mut budget);
            let Some(payload) = message.payload.as_deref() else {
                shape.tombstones += 1;
                continue;
            };
            let Some(value) = text_of(payload) else {
                *shape.unread.entry(looks_like_what(payload)).or_default() += 1;
                continue;
            };
            let value = match shape.envelope {
                Envelope::Connect => inner(&value).unwrap_or(&value),
                Envelope::None => &value,
            };
            if !matches!(value, Value::Map(_)) {
                *shape.others.entry(value.type_name()).or_default() += 1;
                continue;
            }
            shape.objects += 1;
            changes += u64::from(is_change(value));
            let key = key.and_then(|key| str::from_utf8(key).ok());
            root.take(value, 0, key, &mut budget);
        }
        shape.is_debezium = changes > 0 && changes == shape.objects;
        shape.fields = fields(root, &mut shape.left_out);
        shape.keys.fields = fields(key_root, &mut Vec::new());
        for (count, what) in [
            (
                budget.unnameable.len() as u64,
                "whose names are empty, longer than 100 bytes, or have braces or invisible characters",
            ),
            (budget.too_many, "beyond the first 20,000"),
            (budget.too_deep, "more than 6 levels deep"),
        ] {
            if count > 0 {
                shape.left_out.push(format!("{count} {what}"));
            }
        }
        shape
    }
}

impl Keys {
    fn take(
        &mut self,
        key: Option<&[u8]>,
        whole: &dyn Fn(&[u8]) -> Option<Value<'static>>,
        root: &mut Node,
        budget: &mut Budget,
    ) {
        let Some(key) = key else { return };
        self.there += 1;
        self.distinct.insert(hash(key));
        if key.is_empty() {
            self.empty += 1;
        }
        if str::from_utf8(key).is_err() {
            self.not_utf8 += 1;
            return;
        }
        if !matches!(key.first(), Some(b'{' | b'"')) {
            return;
        }
        match whole(key) {
            Some(Value::Str(_)) => self.quoted += 1,
            Some(value @ Value::Map(_)) => {
                self.objects += 1;
                let inside = inner(&value).filter(|inside| matches!(inside, Value::Map(_)));
                self.connect += u64::from(inside.is_some());
                root.take(inside.unwrap_or(&value), 0, None, budget);
            }
            _ => {}
        }
    }
}

/// What is in Kafka Connect's envelope.
fn inner<'v>(value: &'v Value<'static>) -> Option<&'v Value<'static>> {
    match value {
        Value::Map(members) if members.len() == 2 && members.iter().any(|(name, _)| name == "schema") => members
            .iter()
            .find(|(name, _)| name == "payload")
            .map(|(_, value)| value),
        _ => None,
    }
}

fn is_change(value: &Value<'_>) -> bool {
    let Value::Map(members) = value else { return false };
    let of = |name: &str| members.iter().find(|(each, _)| each == name).map(|(_, value)| value);
    matches!(of("op"), Some(Value::Str(_)))
        && matches!(of("source"), Some(Value::Map(_)))
        && (of("after").is_some() || of("before").is_some())
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(value),
        Value::Int(value) => Value::Int(value),
        Value::Float(value) => Value::Float(value),
        Value::Str(text) => Value::Str(text.into_owned().into()),
        Value::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
        Value::List(items) => Value::List(items.into_iter().map(owned).collect()),
        Value::Map(members) => Value::Map(
            members
                .into_iter()
                .map(|(name, value)| (name.into_owned().into(), owned(value)))
                .collect(),
        ),
        Value::Unheld { what, text } => Value::Unheld {
            what,
            text: text.into_owned().into(),
        },
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Node {
    fn take(&mut self, value: &Value<'_>, depth: usize, key: Option<&str>, budget: &mut Budget) {
        self.seen.take(value, key, budget);
        match value {
            Value::Map(members) => {
                self.names_max = self.names_max.max(members.len());
                for (name, value) in members {
                    if !is_nameable(name) {
                        if budget.unnameable.len() < NODES_MAX {
                            budget.unnameable.insert(hash(name.as_bytes()));
                        }
                    } else if let Some(child) = self.child(name, depth, budget) {
                        child.take(value, depth + 1, key, budget);
                    }
                }
            }
            Value::List(items) => {
                if items.is_empty() {
                    return;
                }
                let Some(child) = self.element(depth, budget) else {
                    return;
                };
                for item in items.iter().take(ELEMENTS_MAX) {
                    child.take(item, depth + 1, None, budget);
                }
            }
            _ => {}
        }
    }

    fn child(&mut self, name: &str, depth: usize, budget: &mut Budget) -> Option<&mut Node> {
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None if depth >= DEPTH_MAX => {
                budget.too_deep += 1;
                return None;
            }
            None if budget.nodes >= NODES_MAX => {
                budget.too_many += 1;
                return None;
            }
            None => {
                budget.nodes += 1;
                self.by_name.insert(name.to_owned(), self.children.len());
                self.children.push((Step::Name(name.to_owned()), Node::default()));
                self.children.len() - 1
            }
        };
        self.children.get_mut(at).map(|(_, child)| child)
    }

    fn element(&mut self, depth: usize, budget: &mut Budget) -> Option<&mut Node> {
        let at = match self.children.iter().position(|(step, _)| *step == Step::Element) {
            Some(at) => at,
            None if depth >= DEPTH_MAX || budget.nodes >= NODES_MAX => return None,
            None => {
                budget.nodes += 1;
                self.children.push((Step::Element, Node::default()));
                self.children.len() - 1
            }
        };
        self.children.get_mut(at).map(|(_, child)| child)
    }
}

impl Seen {
    fn take(&mut self, value: &Value<'_>, key: Option<&str>, budget: &mut Budget) {
        if self.times == 0 {
            self.distinct = Some(HashSet::new());
            self.values = budget.shows_values.then(BTreeSet::new);
        }
        self.times += 1;
        match value {
            Value::Null => self.nulls += 1,
            Value::Bool(_) => self.bools += 1,
            Value::Int(number) => {
                self.integers += 1;
                let (min, max) = self.integer_range.unwrap_or((*number, *number));
                self.integer_range = Some((min.min(*number), max.max(*number)));
                self.text(&number.to_string(), key, budget);
            }
            Value::Float(_) => self.floats += 1,
            Value::Str(text) => {
                self.strings += 1;
                let length = text.chars().count();
                let (shortest, longest) = self.lengths.unwrap_or((length, length));
                self.lengths = Some((shortest.min(length), longest.max(length)));
                self.looks.take(text);
                self.text(text, key, budget);
            }
            Value::List(items) => {
                self.arrays += 1;
                let (fewest, most) = self.elements.unwrap_or((items.len(), items.len()));
                self.elements = Some((fewest.min(items.len()), most.max(items.len())));
            }
            Value::Map(_) => self.objects += 1,
            Value::Unheld { what, text } => {
                self.unheld += 1;
                match what {
                    Unheld::Integer => {
                        self.integers += 1;
                        self.text(text, key, budget);
                    }
                    Unheld::Float => self.floats += 1,
                    Unheld::HalfPair => self.strings += 1,
                }
            }
            Value::Bytes(_) => {}
        }
    }

    /// The text of a string or an integer.
    fn text(&mut self, text: &str, key: Option<&str>, budget: &mut Budget) {
        if let Some(distinct) = &mut self.distinct {
            if budget.distinct >= DISTINCT_MAX {
                self.distinct = None;
            } else if distinct.insert(hash(text.as_bytes())) {
                budget.distinct += 1;
            }
        }
        if let Some(key) = key {
            self.equals_key += u64::from(key == text);
            let unquoted = key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            self.equals_quoted_key += u64::from(unquoted == Some(text));
        }
        if let Some(values) = &mut self.values {
            values.insert(text.chars().take(VALUE_CHARS_MAX + 1).collect());
            if values.len() > VALUES_MAX || text.chars().count() > VALUE_CHARS_MAX {
                self.values = None;
            }
        }
    }
}

/// The fields below the root, the most frequent ones, in their order.
fn fields(root: Node, left_out: &mut Vec<String>) -> Vec<Field> {
    let mut all = Vec::new();
    let mut varying = 0;
    flatten(root, &mut Vec::new(), &mut all, &mut varying);
    if varying > 0 {
        left_out.push(format!(
            "{varying} of objects whose names differ from message to message, as in a map"
        ));
    }
    if all.len() <= FIELDS_MAX {
        return all;
    }
    let mut counts: Vec<u64> = all.iter().map(|field| field.seen.times).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let least = counts.get(FIELDS_MAX).copied().unwrap_or_default();
    // Those that are there more often than the first one left out, and as many of the others as there is room for.
    let mut room = FIELDS_MAX - counts.iter().filter(|count| **count > least).count();
    let before = all.len();
    all.retain(|field| {
        let stays = field.seen.times > least || (field.seen.times == least && room > 0);
        if stays && field.seen.times == least {
            room -= 1;
        }
        stays
    });
    left_out.push(format!(
        "{} that are there less often, {least} time(s) at most",
        before - all.len()
    ));
    all
}

fn flatten(node: Node, path: &mut Vec<Step>, all: &mut Vec<Field>, varying: &mut usize) {
    let names = node.by_name.len();
    let rare = node.children.iter().filter(|(_, child)| child.seen.times <= 2).count();
    // The keys of a map, such as ids, and no fields. They are what messages say, too, so they are not shown.
    let is_map = names >= 20 && names > 3 * node.names_max && rare * 2 > names;
    for (step, child) in node.children {
        if is_map && child.seen.times * 20 < node.seen.times {
            *varying += 1;
            continue;
        }
        path.push(step);
        all.push(Field {
            path: path.clone(),
            seen: child.seen.clone(),
        });
        flatten(child, path, all, varying);
        path.pop();
    }
}
