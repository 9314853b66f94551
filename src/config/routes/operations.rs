//! `once`, `add`, `append` and the other operations on bins.
//!
//! The operations and their form in the file are in [`crate::config::operations`]. Which keys a write may combine is
//! checked in [`crate::config::routes::contradictions`].

use toml::de::DeValue;

use crate::config::file::reader::{Node, Table};
use crate::config::file::table::whole;
use crate::config::keys;
use crate::config::model::{BigNumbers, Constant, Expr, Missing, Operation, OperationKind, Typed};
use crate::config::names;
use crate::config::operations::{self, Container, Descriptor, Entry, Form, KEEP_LAST, KEPT_MAX, Operand};
use crate::config::routes::bins::{NAME_CURE, bin_name_fault};
use crate::config::values::expressions::{self, Place};
use crate::config::values::grammar::Scope;

/// An operation with its place.
pub struct Placed<'a> {
    pub node: Node<'a>,
    /// Its key is the key in the write that contains it.
    pub descriptor: &'static Descriptor,
    pub bin: String,
    /// `None`: it is faulty.
    what: Option<OperationKind>,
}

/// All operations of the write at `table` except `keep_last`, in their order, including faulty ones.
pub fn placed<'a>(table: &Table<'a>, scope: Scope<'_>) -> Vec<Placed<'a>> {
    let mut operations = Vec::new();
    for descriptor in operations::ALL {
        let Some(node) = table.get(descriptor.word) else {
            continue;
        };
        let mut place = |bin: String, node, what| {
            operations.push(Placed {
                node,
                descriptor,
                bin,
                what,
            });
        };
        match &descriptor.form {
            Form::Value(shape) => {
                for (bin, node) in bins(node, descriptor) {
                    let what = value(&node, scope, shape);
                    place(bin.to_owned(), node, what);
                }
            }
            Form::Entry(shape, of) => {
                for (bin, node) in bins(node, descriptor) {
                    let what = entry(&node, scope, shape, of, descriptor);
                    place(bin.to_owned(), node, what);
                }
            }
            Form::Names => {
                for (bin, node) in removed(node) {
                    place(bin, node, Some(OperationKind::Remove));
                }
            }
            // It is added behind another operation: see `checked`.
            Form::Count => {}
        }
    }
    operations
}

/// The operations in the model's form, each `keep_last` behind the operation that it trims after.
pub fn checked(table: &Table<'_>, placed: Vec<Placed<'_>>) -> Vec<Operation> {
    let kept = kept(table, &placed);
    let mut operations = Vec::new();
    for Placed {
        descriptor, bin, what, ..
    } in placed
    {
        let trim = kept.iter().find(|(each, _)| *each == bin).map(|(_, count)| {
            let what = OperationKind::KeepLast {
                count: *count,
                map: descriptor.keeps == Some(Container::Map),
            };
            Operation { bin: bin.clone(), what }
        });
        operations.extend(what.map(|what| Operation { bin, what }));
        operations.extend(trim);
    }
    operations
}

/// The place that an operand is for the reader of values.
pub fn place_of(operand: Operand) -> Place {
    match operand {
        Operand::Value => Place::Bin,
        Operand::Number => Place::Number,
        Operand::Text => Place::Text,
        Operand::MapKey => Place::MapKey,
    }
}

/// The bins that an operation names, including those with invalid names.
fn bins<'a>(node: &Node<'a>, descriptor: &Descriptor) -> Vec<(&'a str, Node<'a>)> {
    let cure = || format!("write e.g. {}", descriptor.example());
    if !matches!(node.value(), DeValue::Table(_)) {
        node.fault("expected a table of bins", cure());
        return Vec::new();
    }
    let Some(table) = node.open_table(&keys::VALUE) else {
        return Vec::new();
    };
    if table.nodes.is_empty() {
        node.fault("needs at least one bin", cure());
    }
    for (name, node) in &table.nodes {
        if let Err(problem) = names::bin(name) {
            bin_name_fault(node, name, problem);
        }
    }
    table.nodes
}

/// Reads an operation whose operand is beside the bin.
fn value(node: &Node<'_>, scope: Scope<'_>, shape: &operations::OperationKind<()>) -> Option<OperationKind> {
    let read = shape.try_map(|part, ()| expressions::typed(node, scope, place_of(part.operand)).ok_or(()));
    read.ok()
}

/// Reads an operation whose operands are in a table beside the bin.
fn entry(
    node: &Node<'_>,
    scope: Scope<'_>,
    shape: &operations::OperationKind<()>,
    entry: &'static Entry,
    descriptor: &Descriptor,
) -> Option<OperationKind> {
    let cure = format!("write {}", descriptor.example.1);
    if !matches!(node.value(), DeValue::Table(_)) {
        node.fault(entry.needs, cure);
        return None;
    }
    let table = node.table(&entry.section)?;
    let default = |name: &str| -> Option<&'static str> {
        let key = entry.section.keys.iter().find(|key| key.name == name);
        key.and_then(|key| key.default)
    };
    let is_required = |name: &str| default(name).is_none();
    let required = entry.section.keys.iter().filter(|key| is_required(key.name)).count();
    if table.nodes.is_empty() && required > 1 {
        node.fault("is empty", cure);
        return None;
    }
    // Read all operands before a faulty one ends it, so that each fault is reported.
    let read = shape.map(|part, ()| match (table.get(part.name), default(part.name)) {
        (None, Some(default)) => Some(absent(node, default)),
        _ => {
            let node = table.required(part.name, &cure)?;
            expressions::typed(node, scope, place_of(part.operand))
        }
    });
    read.try_map(|_, typed| typed.clone().ok_or(())).ok()
}

/// The default of an operand that is not in the file: a whole number.
#[allow(clippy::expect_used)] // only an error in our own table fails, not one in the file
fn absent(node: &Node<'_>, default: &str) -> Typed {
    let number = default
        .parse()
        .expect("defaults in config::operations are whole numbers");
    Typed {
        expr: Expr::Constant(Constant::Int(number)),
        cast: None,
        missing: Missing::AsPlace,
        big_numbers: BigNumbers::Reject,
        line: node.line(),
        written: default.to_owned(),
    }
}

/// The bins of `remove`, without the faulty ones.
fn removed<'a>(node: &Node<'a>) -> Vec<(String, Node<'a>)> {
    let Some(elements) = node.texts() else {
        return Vec::new();
    };
    if node.elements().is_some_and(|all| all.is_empty()) {
        let cure = format!("name one, e.g. {}", operations::REMOVE.example());
        node.fault("needs at least one bin", cure);
    }
    let mut removed: Vec<(String, Node<'a>)> = Vec::new();
    for (node, bin) in elements {
        if let Err(problem) = names::bin(&bin.value) {
            node.fault(problem, NAME_CURE);
        } else if removed.iter().any(|(each, _)| *each == bin.value) {
            node.fault("is named twice", "name each bin once");
        } else {
            removed.push((bin.value, node));
        }
    }
    removed
}

/// `keep_last`: bins, each with the number of elements to keep.
fn kept(table: &Table<'_>, placed: &[Placed<'_>]) -> Vec<(String, u32)> {
    let mut kept = Vec::new();
    let Some(node) = table.get(KEEP_LAST.word) else {
        return kept;
    };
    let growing: Vec<&str> = operations::ALL
        .iter()
        .filter(|descriptor| descriptor.keeps.is_some())
        .map(|descriptor| descriptor.word)
        .collect();
    for (bin, node) in bins(node, &KEEP_LAST) {
        let grows = |each: &Placed<'_>| each.bin == bin && each.descriptor.keeps.is_some();
        let is_misspelt = growing.iter().any(|word| table.is_misspelt(word));
        if !placed.iter().any(grows) && !is_misspelt {
            let problem = format!("`keep_last` without a {} of this bin", one_of(&growing));
            node.fault(problem, "add one, or remove it");
        }
        if let Some(count) = whole(&node, 1, KEPT_MAX) {
            kept.push((bin.to_owned(), u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }
    kept
}

/// `a`, `b` or `c`.
fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}
