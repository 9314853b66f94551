//! `root` and `json_strings` of a route: where bare paths start, and which strings of the message hold JSON.
//!
//! A string that holds JSON is no place of its own in the language: every path goes on in its text
//! ([`Scope::through`]). So all that takes a path works in it, and nothing of it has to be said twice.

use toml::de::DeValue;

use crate::config::file::reader::{Node, Table, Text};
use crate::config::keys;
use crate::config::model::{Expr, Path, Source};
use crate::config::values::expressions;
use crate::config::values::grammar::{self, Bad, JsonString, Scope};

const ROOT_CURE: &str =
    "write root = \"payload\", or { path = \"payload\", as = \"json\" } for a string that holds JSON";

/// The route's root, and its strings that hold JSON. If one is faulty, a fault was noted.
pub fn root_and_strings(table: &Table<'_>) -> (Path, Vec<JsonString>) {
    let (root, is_string) = table.get("root").and_then(root).unwrap_or_default();
    let mut strings = Vec::new();
    if is_string {
        strings.extend(JsonString::new(Source::Path(root.clone())));
    }
    if let Some(node) = table.get("json_strings") {
        json_strings(node, &root, &mut strings);
    }
    (root, strings)
}

/// The path, and whether it leads to a string that holds JSON.
fn root(node: &Node<'_>) -> Option<(Path, bool)> {
    if !matches!(node.value(), DeValue::Table(_)) {
        let text = node.text()?;
        return path(node, &text).map(|path| (path, false));
    }
    let table = node.table(&keys::VALUE)?;
    for (name, other) in &table.nodes {
        let is_value = keys::VALUE.keys.iter().any(|key| key.name == *name);
        if is_value && !matches!(*name, "path" | "as") {
            other.fault(format!("`{name}` says nothing of a root"), ROOT_CURE);
            return None;
        }
    }
    let path_node = table.required("path", ROOT_CURE)?;
    let text = path_node.text()?;
    let path = path(path_node, &text)?;
    match table.get("as") {
        None => Some((path, false)),
        Some(word) => match word.text()?.value.as_str() {
            "json" => Some((path, true)),
            _ => {
                word.fault(
                    "paths start in an object, or in a string that holds one",
                    "write as = \"json\"",
                );
                None
            }
        },
    }
}

fn path(node: &Node<'_>, text: &Text) -> Option<Path> {
    if text.value.is_empty() {
        return Some(Path::new());
    }
    expressions::parsed(node, text, grammar::path(&text.value))
}

fn json_strings(node: &Node<'_>, root: &Path, strings: &mut Vec<JsonString>) {
    let Some(elements) = node.texts() else {
        return;
    };
    if node.elements().is_some_and(|all| all.is_empty()) {
        node.fault("needs at least one path", "name a string that holds JSON, or remove it");
    }
    // The paths as they are written: what they lead through is told by the others.
    let scope = Scope {
        root,
        each: true,
        strings: &[],
    };
    for (node, text) in elements {
        let Some(string) = expressions::parsed(&node, &text, string(&text.value, scope)) else {
            continue;
        };
        if strings.iter().any(|other| other.at() == string.at()) {
            node.fault(
                "is named twice",
                "name each string once; a `root` with as = \"json\" is one already",
            );
        }
        strings.push(string);
    }
}

fn string(text: &str, scope: Scope<'_>) -> Result<JsonString, Bad> {
    let bad = |problem: &str| Bad {
        problem: problem.to_owned(),
        cure: "write a path, e.g. \"after.attributes\"; \"@key\" or \"@item.doc\"; \"@value\" for the whole payload"
            .to_owned(),
    };
    match grammar::value(text, scope)? {
        Expr::Source(source) => JsonString::new(source).ok_or_else(|| bad("this metadata holds no JSON")),
        _ => Err(bad("a template names no string of the message")),
    }
}

/// Notes a fault for each of `json_strings` through which no path of the route leads: it is misspelt, or left over.
pub fn refuse_unread(table: &Table<'_>, scope: Scope<'_>) {
    let Some(elements) = table.get("json_strings").and_then(Node::texts) else {
        return;
    };
    let of_root = scope.strings.len().saturating_sub(elements.len());
    for ((node, text), string) in elements.iter().zip(scope.strings.iter().skip(of_root)) {
        if string.is_read() {
            continue;
        }
        let begins_with_root = grammar::path(&text.value).is_ok_and(|path| path.starts_with(scope.root));
        let cure = if begins_with_root && !scope.root.is_empty() {
            "leave the root out of it: it starts at `root`, as every bare path"
        } else {
            "write a path that begins with it, e.g. in `key` or `bins`, or remove it"
        };
        node.fault("no path of the route leads through this string", cure);
    }
}
