//! `[[route]]` and its `[[route.write]]`.

use toml::de::DeValue;

use super::grammar::{self, Scope};
use super::keys;
use super::model::{
    Action, Bin, Each, InDoubt, LongNames, Mode, Name, OnConflict, Path, Route, Segment, Source, Tombstone, Ttl, TtlOn,
    Write,
};
use super::names;
use super::reader::{Node, Text, did_you_mean, quoted};
use super::table::Table;
use super::units;
use super::values::{self, Place};

/// Aerospike refuses a longer life.
const TTL_SECONDS_MAX: u64 = 10 * 365 * 86_400;

const ALL_CURE: &str = "write \"*\", \"after.*\", or { path = \"after.*\", except = [\"a\"], rename = { long = \"short\" }, long_names = \"skip\" }";

/// All routes; `topics` are the configured ones, `namespace` the default.
pub fn routes(top: &Table<'_>, topics: &[(Node<'_>, Text)], namespace: &str) -> Vec<Route> {
    let example = "write [[route]] and below it [[route.write]] with `key` and `bins`";
    let Some(node) = top.required("route", example) else {
        return Vec::new();
    };
    let routes: Vec<Route> = tables(node, "[[route]]", example)
        .iter()
        .filter_map(|node| node.table(&keys::ROUTE))
        .map(|table| route(&table, topics, namespace))
        .collect();
    // A route whose own topics are faulty may have meant any of them.
    if !routes.is_empty() && routes.iter().all(|route| !route.topics.is_empty()) {
        for (node, topic) in topics {
            if !routes.iter().any(|route| route.topics.contains(&topic.value)) {
                node.fault(
                    "no route takes this topic",
                    "name it in the `topics` of a route, or remove it here",
                );
            }
        }
    }
    routes
}

/// The tables of `[[…]]`.
fn tables<'a>(node: &Node<'a>, title: &str, example: &str) -> Vec<Node<'a>> {
    match node.elements() {
        None => {
            let cure = format!("write {title} with two brackets");
            node.fault("expected an array of tables", cure);
            Vec::new()
        }
        Some(elements) => {
            if elements.is_empty() {
                node.fault("needs at least one", example);
            }
            elements
        }
    }
}

fn route(table: &Table<'_>, configured: &[(Node<'_>, Text)], namespace: &str) -> Route {
    let root = match table.get("root") {
        None => Path::new(),
        Some(node) => node
            .text()
            .and_then(|text| {
                if text.value.is_empty() {
                    return Some(Path::new());
                }
                values::parsed(node, &text, grammar::path(&text.value))
            })
            .unwrap_or_default(),
    };
    let example = "write [[route.write]] with `key` and `bins` below the route";
    let writes = match table.required("write", example) {
        None => Vec::new(),
        Some(node) => tables(node, "[[route.write]]", example)
            .iter()
            .filter_map(|node| node.table(&keys::WRITE))
            .filter_map(|table| write(&table, &root, namespace))
            .collect(),
    };
    Route {
        line: table.line(),
        topics: topics(table, configured),
        root,
        writes,
    }
}

/// The route's topics: all if it names none, nothing if they are faulty.
fn topics(table: &Table<'_>, configured: &[(Node<'_>, Text)]) -> Vec<String> {
    let Some(node) = table.get("topics") else {
        return configured.iter().map(|(_, text)| text.value.clone()).collect();
    };
    let Some(elements) = node.texts() else {
        return Vec::new();
    };
    if node.elements().is_some_and(|all| all.is_empty()) {
        node.fault("needs at least one topic", "name one, or remove `topics` to take all");
    }
    let known: Vec<&str> = configured
        .iter()
        .filter(|(_, text)| !text.from_outside)
        .map(|(_, text)| text.value.as_str())
        .collect();
    let mut topics: Vec<String> = Vec::new();
    for (node, topic) in elements {
        if topics.contains(&topic.value) {
            node.fault("is named twice", "name each topic once");
        } else if configured.is_empty() {
            // That `kafka.topics` is missing or faulty is told there.
            topics.push(topic.value);
        } else if configured.iter().any(|(_, text)| text.value == topic.value) {
            topics.push(topic.value);
        } else {
            let cure = if topic.from_outside {
                "add it to kafka.topics".to_owned()
            } else {
                format!(
                    "add it to kafka.topics; {}",
                    did_you_mean(&topic.value, &known, "topics there")
                )
            };
            node.fault("is not among kafka.topics", cure);
        }
    }
    topics
}

fn write(table: &Table<'_>, root: &[Segment], namespace: &str) -> Option<Write> {
    let scope = Scope {
        root,
        each: table.get("each").is_some(),
    };
    let each = each(table, root);
    let namespace = match table.get("namespace") {
        None => Some(namespace.to_owned()),
        Some(node) => name(node, names::namespace, "name a namespace of the cluster"),
    };
    let set = match table.get("set") {
        None => Some(String::new()),
        Some(node) => set(node),
    };
    let key = table
        .required("key", "name the field that tells records apart, e.g. key = \"user.id\"")
        .and_then(|node| values::typed(node, scope, Place::Key));
    let bins = table
        .required("bins", "say what is stored, e.g. bins = { country = \"user.country\" }")
        .and_then(|node| bins(node, scope));
    let ttl = match table.get("ttl") {
        None => Some(Ttl::Default),
        Some(node) => ttl(node, scope),
    };
    let send_key = table.flag("send_key");
    Some(Write {
        line: table.line(),
        namespace: Name::Fixed(namespace?),
        set: Name::Fixed(set?),
        key: key?,
        each,
        action: Action::Write {
            bins: bins?,
            operations: Vec::new(),
        },
        tombstone: Tombstone::Reject,
        mode: Mode::Update,
        on_conflict: OnConflict::Reject,
        newer: None,
        guard: None,
        in_doubt: InDoubt::Retry,
        ttl: ttl?,
        ttl_on: TtlOn::Write,
        send_key: send_key?,
    })
}

fn each(table: &Table<'_>, root: &[Segment]) -> Option<Each> {
    let max = table.number("each_max");
    let Some(node) = table.get("each") else {
        if let Some(node) = table.get("each_max") {
            node.fault("`each_max` without `each`", "add each = \"…\", or remove it");
        }
        return None;
    };
    let text = node.text()?;
    let mut path = root.to_vec();
    path.extend(values::parsed(node, &text, grammar::path(&text.value))?);
    Some(Each { path, max: max? })
}

fn name(node: &Node<'_>, check: fn(&str) -> Result<(), String>, cure: &str) -> Option<String> {
    let text = node.text()?;
    match check(&text.value) {
        Ok(()) => Some(text.value),
        Err(problem) => {
            node.fault(problem, cure);
            None
        }
    }
}

fn set(node: &Node<'_>) -> Option<String> {
    let from_data = match node.value() {
        DeValue::Table(_) => true,
        DeValue::String(text) => !text.starts_with("${") && (text.contains(['{', '}']) || text.starts_with('@')),
        _ => false,
    };
    if from_data {
        node.fault(
            "a set taken from the message is not known to this version",
            "write a fixed name, e.g. \"users\"",
        );
        return None;
    }
    name(
        node,
        names::set,
        "write a name of 1 to 63 bytes; remove `set` for records without one",
    )
}

fn bins(node: &Node<'_>, scope: Scope<'_>) -> Option<Vec<Bin>> {
    match node.value() {
        DeValue::String(_) => {
            let text = node.text()?;
            let Some(source) = grammar::all_fields(&text.value, scope) else {
                node.fault(
                    "one path is not bins",
                    format!("{ALL_CURE}, or [\"user.country\"], or {{ name = \"path\" }}"),
                );
                return None;
            };
            let source = values::parsed(node, &text, source)?;
            Some(vec![Bin::All {
                source,
                except: Vec::new(),
                rename: Vec::new(),
                long_names: LongNames::Reject,
            }])
        }
        DeValue::Array(_) => bins_by_last_segment(node, scope),
        DeValue::Table(table) => {
            // No path of a single bin ends like this, so a bin called `path` stays possible.
            let path = table
                .iter()
                .find(|(name, _)| name.get_ref() == "path")
                .map(|(_, value)| value.get_ref());
            let is_all = matches!(path, Some(DeValue::String(text)) if text == "*" || text.ends_with(".*"));
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

fn bin_name_fault(node: &Node<'_>, name: &str, problem: String) {
    let cure = if name.len() > names::BIN_BYTES_MAX {
        let example = match node.value() {
            DeValue::String(path) => quoted(path),
            _ => "…".to_owned(),
        };
        format!("shorten it, e.g. {{ {} = {example} }}", shortened(name))
    } else {
        "write a name of 1 to 15 bytes".to_owned()
    };
    node.fault_found(quoted(name), problem, cure);
}

/// The initials of a long name: `country_of_residence` is `cor`.
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
        if let Some(value) = values::typed(node, scope, Place::Bin) {
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
        let Some(expr) = values::parsed(&node, &text, grammar::value(&text.value, scope)) else {
            continue;
        };
        let super::model::Expr::Source(source) = &expr else {
            node.fault("a template has no name of its own", named);
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
        let value = super::model::Typed {
            expr,
            cast: None,
            missing: super::model::Missing::AsPlace,
            line: node.line(),
            written: node.written(),
        };
        bins.push(Bin::One { name, value });
    }
    Some(bins)
}

/// The name of a bin that nobody named.
fn own_name(source: &Source) -> Option<String> {
    let last = |path: &Path| match path.last() {
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
    let source = values::parsed(path, &text, grammar::all_fields(&text.value, scope)?);
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
            node.fault(problem, "write a name of 1 to 15 bytes");
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
    Some(vec![Bin::All {
        source: source?,
        except,
        rename,
        long_names,
    }])
}

fn ttl(node: &Node<'_>, scope: Scope<'_>) -> Option<Ttl> {
    let cure = "write e.g. \"30d\", \"never\", \"keep\", \"default\", or { path = \"expires_at\", as = \"epoch_ms\" }";
    match node.value() {
        DeValue::Table(table) => {
            if let Some((name, _)) = table
                .iter()
                .find(|(name, _)| matches!(name.get_ref().as_ref(), "value" | "object"))
            {
                node.fault(
                    format!("a ttl from the message names a `path`, not `{}`", name.get_ref()),
                    cure,
                );
                return None;
            }
            values::typed(node, scope, Place::Ttl).map(Ttl::Field)
        }
        DeValue::String(_) => {
            let text = node.text()?;
            let duration = match text.value.as_str() {
                "default" => return Some(Ttl::Default),
                "never" => return Some(Ttl::Never),
                "keep" => return Some(Ttl::Keep),
                other => units::duration(other),
            };
            match duration {
                Err(bad) => {
                    node.fault(bad.problem("ttl"), cure);
                    None
                }
                Ok(life) => {
                    let whole = life.subsec_millis() == 0;
                    match u32::try_from(life.as_secs()) {
                        Ok(seconds) if whole && seconds > 0 && u64::from(seconds) <= TTL_SECONDS_MAX => {
                            Some(Ttl::Seconds(seconds))
                        }
                        _ => {
                            node.fault("a ttl is whole seconds, 1s to 3650d", cure);
                            None
                        }
                    }
                }
            }
        }
        _ => {
            node.fault("expected a ttl", cure);
            None
        }
    }
}
