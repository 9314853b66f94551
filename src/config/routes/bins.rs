//! `bins`: a table of names, an array of paths, or all fields of an object.

use toml::de::DeValue;

use crate::config::file::reader::Node;
use crate::config::file::wording::quoted;
use crate::config::keys;
use crate::config::model::{BigNumbers, Bin, Expr, LongNames, Missing, Path, Segment, Source, Typed};
use crate::config::names;
use crate::config::values::expressions::{self, Place};
use crate::config::values::grammar::{self, Scope};

const ALL_CURE: &str = "write \"*\", \"after.*\", or { path = \"after.*\", except = [\"a\"], rename = { long = \"short\" }, long_names = \"skip\", big_numbers = \"string\" }";

/// The cure for a name that a bin cannot have.
pub const NAME_CURE: &str = "write a name of 1 to 15 bytes, other than a guard's";

/// Reads `bins`. Returns nothing, and notes a fault, if it is wrong.
pub fn bins(node: &Node<'_>, scope: Scope<'_>) -> Option<Vec<Bin>> {
    match node.value() {
        DeValue::String(_) => {
            let text = node.text()?;
            let Some(source) = grammar::all_fields(&text.value, scope) else {
                let cure = match grammar::meant_path(&text.value, scope) {
                    Some(path) if !text.from_outside => format!("write [{}]", quoted(&path)),
                    _ => match meant_fields(&text.value, scope) {
                        Some(fields) if !text.from_outside => format!("write {}", quoted(&fields)),
                        _ => format!("{ALL_CURE}, or [\"user.country\"], or {{ name = \"path\" }}"),
                    },
                };
                node.fault("one path is not bins", cure);
                return None;
            };
            let source = expressions::parsed(node, &text, source)?;
            Some(vec![Bin::All {
                except: Vec::new(),
                rename: Vec::new(),
                json_members: scope.json_members(&source),
                source,
                long_names: LongNames::Reject,
                big_numbers: BigNumbers::Reject,
                line: node.line(),
                written: node.written(),
            }])
        }
        DeValue::Array(_) => bins_by_last_segment(node, scope),
        DeValue::Table(table) => {
            // The path of a single bin never ends like this. So a bin named `path` is still possible.
            let path = table
                .iter()
                .find(|(name, _)| name.get_ref() == "path")
                .map(|(_, value)| value.get_ref());
            let is_all = matches!(path, Some(DeValue::String(text))
                if text == "*" || text.ends_with(".*") || meant_fields(text, scope).is_some());
            let has_others = table
                .iter()
                .any(|(name, _)| matches!(name.get_ref().as_ref(), "except" | "rename" | "long_names"));
            if matches!(path, Some(DeValue::String(text)) if !is_all && has_others && text.contains('*')) {
                let node = node.open_table(&keys::ALL_BINS)?;
                node.get("path")?.fault(
                    "`*` stands for all fields, at the end of a path alone",
                    "write \"*\", or \"after.*\"",
                );
                return None;
            }
            if is_all {
                all_bins(node, scope)
            } else {
                bins_by_name(node, scope)
            }
        }
        _ => {
            node.fault(
                "expected a table of bins",
                "write bins = { name = \"path\" }, [\"path\"] or \"*\"",
            );
            None
        }
    }
}

/// For all fields in braces: `after.*` is meant by `{after.*}`.
fn meant_fields(text: &str, scope: Scope<'_>) -> Option<String> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?.trim();
    grammar::all_fields(inner, scope)?.is_ok().then(|| inner.to_owned())
}

/// Notes that `name` is not a valid bin name. `node`: the bin's value.
pub fn bin_name_fault(node: &Node<'_>, name: &str, problem: String) {
    let cure = if name.len() > names::BIN_BYTES_MAX {
        let example = match node.value() {
            DeValue::String(path) => quoted(path),
            _ => "…".to_owned(),
        };
        format!("shorten it, e.g. {{ {} = {example} }}", shortened(name))
    } else {
        NAME_CURE.to_owned()
    };
    node.fault_found(quoted(name), problem, cure);
}

/// The initials of a long name: `cor` for `country_of_residence`.
fn shortened(name: &str) -> String {
    let initials: String = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.chars().next())
        .take(15)
        .collect();
    if initials.len() > 1 {
        initials.to_lowercase()
    } else {
        "short".to_owned()
    }
}

fn bins_by_name(node: &Node<'_>, scope: Scope<'_>) -> Option<Vec<Bin>> {
    let table = node.open_table(&keys::VALUE)?;
    if table.nodes.is_empty() {
        node.fault(
            "needs at least one bin",
            "say what is stored, e.g. bins = { country = \"user.country\" }",
        );
        return None;
    }
    let mut bins = Vec::new();
    for (name, node) in &table.nodes {
        if let Err(problem) = names::bin(name) {
            bin_name_fault(node, name, problem);
        }
        if let Some(value) = expressions::typed(node, scope, Place::Bin) {
            bins.push(Bin::One {
                name: (*name).to_owned(),
                value,
            });
        }
    }
    Some(bins)
}

fn bins_by_last_segment(node: &Node<'_>, scope: Scope<'_>) -> Option<Vec<Bin>> {
    let elements = node.texts()?;
    if node.elements().is_some_and(|all| all.is_empty()) {
        node.fault("needs at least one bin", "name one, e.g. [\"user.country\"]");
        return None;
    }
    let named = "write bins = { name = \"path\" }";
    let mut bins = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    for (node, text) in elements {
        if grammar::all_fields(&text.value, scope).is_some() {
            node.fault(
                "all fields stand alone, not beside others",
                "write bins = \"*\" or bins = \"after.*\"",
            );
            continue;
        }
        let Some(expr) = expressions::parsed(&node, &text, grammar::value(&text.value, scope)) else {
            continue;
        };
        let Expr::Source(source) = &expr else {
            let cure = match expressions::in_braces(&node, &expr) {
                Some(field) => format!("write {field}"),
                None => named.to_owned(),
            };
            node.fault("a template has no name of its own", cure);
            continue;
        };
        let Some(name) = own_name(source) else {
            node.fault("the last segment is not a name", named);
            continue;
        };
        if let Err(problem) = names::bin(&name) {
            if text.from_outside {
                node.fault(problem, named);
            } else {
                bin_name_fault(&node, &name, problem);
            }
        } else if taken.contains(&name) {
            node.fault("a second value for this bin", format!("{named}, with two names"));
        }
        taken.push(name.clone());
        let value = Typed {
            expr,
            cast: None,
            missing: Missing::AsPlace,
            big_numbers: BigNumbers::Reject,
            line: node.line(),
            written: node.written(),
        };
        bins.push(Bin::One { name, value });
    }
    Some(bins)
}

/// The name of a bin that has no explicit name.
fn own_name(source: &Source) -> Option<String> {
    let last = |path: &Path| match path.iter().rfind(|step| **step != Segment::Json) {
        Some(Segment::Name(name)) => Some(name.clone()),
        _ => None,
    };
    match source {
        Source::Path(path) | Source::Item(path) | Source::KeyPath(path) => last(path),
        Source::Index => Some("index".to_owned()),
        Source::Key => Some("key".to_owned()),
        Source::Value => Some("value".to_owned()),
        Source::Topic => Some("topic".to_owned()),
        Source::Partition => Some("partition".to_owned()),
        Source::Offset => Some("offset".to_owned()),
        Source::Timestamp => Some("timestamp".to_owned()),
        Source::Header(name) => Some(name.clone()),
    }
}

fn all_bins(node: &Node<'_>, scope: Scope<'_>) -> Option<Vec<Bin>> {
    let table = node.table(&keys::ALL_BINS)?;
    let path = table.get("path")?;
    let text = path.text()?;
    let Some(source) = grammar::all_fields(&text.value, scope) else {
        let fields = meant_fields(&text.value, scope)?;
        path.fault("all fields stand without braces", format!("write {}", quoted(&fields)));
        return None;
    };
    let source = expressions::parsed(path, &text, source);
    let mut except: Vec<String> = Vec::new();
    for (node, field) in table.get("except").and_then(Node::texts).unwrap_or_default() {
        if except.contains(&field.value) {
            node.fault("is named twice", "name each field once");
        }
        except.push(field.value);
    }
    let mut rename: Vec<(String, String)> = Vec::new();
    let renames = table.get("rename").and_then(|node| node.open_table(&keys::ALL_BINS));
    for (field, node) in renames.iter().flat_map(|table| &table.nodes) {
        let Some(text) = node.text() else {
            continue;
        };
        if let Err(problem) = names::bin(&text.value) {
            node.fault(problem, NAME_CURE);
        } else if rename.iter().any(|(_, bin)| *bin == text.value) {
            node.fault("a second value for this bin", "give each field a bin of its own");
        }
        if except.iter().any(|each| each == field) {
            node.fault(
                "`rename` contradicts `except`, which leaves this field out",
                "keep one of them",
            );
        }
        rename.push(((*field).to_owned(), text.value));
    }
    let long_names = match table.choice("long_names")? {
        "skip" => LongNames::Skip,
        _ => LongNames::Reject,
    };
    let big_numbers = expressions::big_numbers(&table)?;
    let source = source?;
    Some(vec![Bin::All {
        json_members: scope.json_members(&source),
        source,
        except,
        rename,
        long_names,
        big_numbers,
        line: node.line(),
        written: path.written(),
    }])
}

/// The names that are known before any message is read.
pub fn fixed_names(bins: &[Bin]) -> Vec<&str> {
    bins.iter()
        .flat_map(|bin| match bin {
            Bin::One { name, .. } => vec![name.as_str()],
            Bin::All { rename, .. } => rename.iter().map(|(_, bin)| bin.as_str()).collect(),
        })
        .collect()
}
