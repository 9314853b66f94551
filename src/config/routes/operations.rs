//! `once`, `add`, `append` and the other operations on bins.
//!
//! Each word is a table of bins; what stands beside a bin is the word's own. Whether a word may stand in its write, and
//! beside which others, is for [`crate::config::routes::contradictions`] to say.

use toml::de::DeValue;

use crate::config::file::reader::{Node, Table};
use crate::config::file::table::whole;
use crate::config::keys;
use crate::config::model::{BigNumbers, Constant, Expr, Missing, Operation, OperationKind, Typed};
use crate::config::names;
use crate::config::routes::bins::{NAME_CURE, bin_name_fault};
use crate::config::values::expressions::{self, Place};
use crate::config::values::grammar::Scope;

pub const KEPT_MAX: i64 = 1_000_000;

/// An operation with its place.
pub struct Placed<'a> {
    pub node: Node<'a>,
    /// The key of the write that it stands in.
    pub word: &'static str,
    pub bin: String,
    /// Nothing: it is faulty.
    what: Option<OperationKind>,
}

type Reader = fn(&Node<'_>, Scope<'_>) -> Option<OperationKind>;

/// The words whose value is a table of bins, in the order in which a write does them; with an example.
const WORDS: &[(&str, Reader, &str)] = &[
    ("once", once, "once = { first_seen = \"ts\" }"),
    ("add", add, "add = { events = 1 }"),
    ("append", append, "append = { log = \"line\" }"),
    ("prepend", prepend, "prepend = { log = \"line\" }"),
    ("list_append", list_append, "list_append = { readings = \"value\" }"),
    (
        "map_put",
        map_put,
        "map_put = { prefs = { key = \"pref.name\", value = \"pref.value\" } }",
    ),
    (
        "map_add",
        map_add,
        "map_add = { day = { key = \"{ts:%Y%m%d}\", by = 1 } }",
    ),
];

/// All operations of the write at `table` but `keep_last`, in their order, those that are faulty among them.
pub fn placed<'a>(table: &Table<'a>, scope: Scope<'_>) -> Vec<Placed<'a>> {
    let mut operations = Vec::new();
    for (word, read, example) in WORDS {
        let Some(node) = table.get(word) else {
            continue;
        };
        for (bin, node) in bins(node, example) {
            operations.push(Placed {
                word,
                what: read(&node, scope),
                bin: bin.to_owned(),
                node,
            });
        }
    }
    operations.extend(removes(table));
    operations
}

/// The operations as the model has them, each `keep_last` behind what it trims after.
pub fn checked(table: &Table<'_>, placed: Vec<Placed<'_>>) -> Vec<Operation> {
    let kept = kept(table, &placed);
    let mut operations = Vec::new();
    for Placed { word, bin, what, .. } in placed {
        let trim = kept.iter().find(|(each, _)| *each == bin).map(|(_, count)| {
            let what = OperationKind::KeepLast {
                count: *count,
                map: word != "list_append",
            };
            Operation { bin: bin.clone(), what }
        });
        operations.extend(what.map(|what| Operation { bin, what }));
        operations.extend(trim);
    }
    operations
}

/// The bins that a word names, those whose names no bin can have among them.
fn bins<'a>(node: &Node<'a>, example: &str) -> Vec<(&'a str, Node<'a>)> {
    if !matches!(node.value(), DeValue::Table(_)) {
        node.fault("expected a table of bins", format!("write e.g. {example}"));
        return Vec::new();
    }
    let Some(table) = node.open_table(&keys::VALUE) else {
        return Vec::new();
    };
    if table.nodes.is_empty() {
        node.fault("needs at least one bin", format!("write e.g. {example}"));
    }
    for (name, node) in &table.nodes {
        if let Err(problem) = names::bin(name) {
            bin_name_fault(node, name, problem);
        }
    }
    table.nodes
}

fn once(node: &Node<'_>, scope: Scope<'_>) -> Option<OperationKind> {
    expressions::typed(node, scope, Place::Bin).map(OperationKind::Once)
}

fn add(node: &Node<'_>, scope: Scope<'_>) -> Option<OperationKind> {
    expressions::typed(node, scope, Place::Number).map(OperationKind::Add)
}

fn append(node: &Node<'_>, scope: Scope<'_>) -> Option<OperationKind> {
    expressions::typed(node, scope, Place::Text).map(OperationKind::Append)
}

fn prepend(node: &Node<'_>, scope: Scope<'_>) -> Option<OperationKind> {
    expressions::typed(node, scope, Place::Text).map(OperationKind::Prepend)
}

fn list_append(node: &Node<'_>, scope: Scope<'_>) -> Option<OperationKind> {
    expressions::typed(node, scope, Place::Bin).map(OperationKind::ListAppend)
}

fn map_put(node: &Node<'_>, scope: Scope<'_>) -> Option<OperationKind> {
    let cure = "write { key = \"pref.name\", value = \"pref.value\" }";
    let table = entry(node, cure)?.table(&keys::MAP_PUT)?;
    if table.nodes.is_empty() {
        node.fault("is empty", cure);
        return None;
    }
    let part = |name, place| {
        let node = table.required(name, cure)?;
        expressions::typed(node, scope, place)
    };
    let (key, value) = (part("key", Place::MapKey), part("value", Place::Bin));
    Some(OperationKind::MapPut {
        key: key?,
        value: value?,
    })
}

fn map_add(node: &Node<'_>, scope: Scope<'_>) -> Option<OperationKind> {
    let cure = "write { key = \"{ts:%Y%m%d}\", by = 1 }";
    let table = entry(node, cure)?.table(&keys::MAP_ADD)?;
    let key = table
        .required("key", cure)
        .and_then(|node| expressions::typed(node, scope, Place::MapKey));
    let by = match table.get("by") {
        None => Some(Typed {
            expr: Expr::Constant(Constant::Int(1)),
            cast: None,
            missing: Missing::AsPlace,
            big_numbers: BigNumbers::Reject,
            line: node.line(),
            written: "1".to_owned(),
        }),
        Some(node) => expressions::typed(node, scope, Place::Number),
    };
    Some(OperationKind::MapAdd { key: key?, by: by? })
}

/// The node again, if it is a table.
fn entry<'n, 'a>(node: &'n Node<'a>, cure: &str) -> Option<&'n Node<'a>> {
    if matches!(node.value(), DeValue::Table(_)) {
        return Some(node);
    }
    node.fault("an entry of a map has a `key`", cure);
    None
}

fn removes<'a>(table: &Table<'a>) -> Vec<Placed<'a>> {
    let Some(node) = table.get("remove") else {
        return Vec::new();
    };
    let Some(elements) = node.texts() else {
        return Vec::new();
    };
    if node.elements().is_some_and(|all| all.is_empty()) {
        node.fault("needs at least one bin", "name one, e.g. remove = [\"draft\"]");
    }
    let mut removes: Vec<Placed<'a>> = Vec::new();
    for (node, bin) in elements {
        if let Err(problem) = names::bin(&bin.value) {
            node.fault(problem, NAME_CURE);
        } else if removes.iter().any(|each| each.bin == bin.value) {
            node.fault("is named twice", "name each bin once");
        } else {
            removes.push(Placed {
                node,
                word: "remove",
                bin: bin.value,
                what: Some(OperationKind::Remove),
            });
        }
    }
    removes
}

/// `keep_last`: bins with how much is kept of them.
fn kept(table: &Table<'_>, placed: &[Placed<'_>]) -> Vec<(String, u32)> {
    let mut kept = Vec::new();
    let Some(node) = table.get("keep_last") else {
        return kept;
    };
    for (bin, node) in bins(node, "keep_last = { readings = 1000 }") {
        let grows = |each: &Placed<'_>| each.bin == bin && ["list_append", "map_put", "map_add"].contains(&each.word);
        let is_misspelt = ["list_append", "map_put", "map_add"]
            .iter()
            .any(|word| table.is_misspelt(word));
        if !placed.iter().any(grows) && !is_misspelt {
            node.fault(
                "`keep_last` without a `list_append`, `map_put` or `map_add` of this bin",
                "add one, or remove it",
            );
        }
        if let Some(count) = whole(&node, 1, KEPT_MAX) {
            kept.push((bin.to_owned(), u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }
    kept
}
