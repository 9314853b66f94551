//! `[[route]]`: its topics, its root, and what its writes have in common.

use toml::de::DeValue;

use crate::config::file::reader::{Node, Table, Text};
use crate::config::file::wording::did_you_mean;
use crate::config::keys;
use crate::config::model::{Route, Source, Tombstone};
use crate::config::routes::json_strings;
use crate::config::routes::payload_schema;
use crate::config::routes::publish;
use crate::config::routes::write;
use crate::config::values::cel;
use crate::config::values::grammar::Scope;

/// All routes. `topics`: the configured topics; `namespace`: the default.
pub fn routes(top: &Table<'_>, topics: &[(Node<'_>, Text)], namespace: &str) -> Vec<Route> {
    let example = "write [[route]] and below it [[route.write]] with `key` and `bins`";
    let Some(node) = top.required("route", example) else {
        return Vec::new();
    };
    // The header `[[routes]]`, which is reported, and `[[route.write]]` below it.
    if matches!(node.value(), DeValue::Table(_)) && top.is_misspelt("route") {
        return Vec::new();
    }
    let routes: Vec<Route> = tables(node, "[[route]]", example)
        .iter()
        .filter_map(|node| node.table(&keys::ROUTE))
        .map(|table| route(&table, topics, namespace))
        .collect();
    // A route with faulty topics may have meant any of them.
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

/// The tables of an array of tables, `[[…]]`.
fn tables<'a>(node: &Node<'a>, title: &str, example: &str) -> Vec<Node<'a>> {
    match node.elements() {
        None => {
            // `[[route.write]]` without a route makes `route` a table.
            match node.stands_inside_header() {
                Some(header) => node.fault_absent(
                    (keys::TOP.title, "route"),
                    format!("{title} is missing above {header}"),
                    format!("write {title} on a line of its own above {header}"),
                ),
                None => node.fault(
                    "expected an array of tables",
                    format!("write {title} with two brackets"),
                ),
            }
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
    let faults_before = table.context.faults();
    let (root, strings) = json_strings::root_and_strings(table);
    let scope = Scope {
        root: &root,
        each: false,
        strings: &strings,
    };
    // If one is faulty, a fault was noted, and there will be no configuration.
    let when = cel::when(table, scope).flatten();
    let payload_schema = payload_schema::payload_schema(table).flatten();
    let require = cel::require(table, scope).unwrap_or_default();
    let tombstone = table.choice("tombstone").map_or(Tombstone::Reject, write::tombstone);
    let example = "write [[route.write]] with `key` and `bins` below the route, or [[route.publish]] with `topic`";
    if !table.has("publish") {
        table.required("write", example);
    }
    let writes = match table.get("write") {
        None => Vec::new(),
        Some(node) => tables(node, "[[route.write]]", example)
            .iter()
            .filter_map(|node| node.table(&keys::WRITE))
            .filter_map(|table| write::write(&table, scope, namespace, tombstone))
            .collect(),
    };
    let publishes = match table.get("publish") {
        None => Vec::new(),
        Some(node) => tables(node, "[[route.publish]]", example)
            .iter()
            .filter_map(|node| node.table(&keys::PUBLISH))
            .filter_map(|table| publish::publish(&table, scope, tombstone, configured))
            .collect(),
    };
    let whole = || match scope.through(Source::Path(root.clone())) {
        Source::Path(path) => path,
        _ => root.clone(),
    };
    // A schema reads the string at the root.
    let read = payload_schema.is_some().then(whole);
    // A faulty path may be one that leads through a string.
    if table.context.faults() == faults_before {
        json_strings::refuse_unread(table, scope);
    }
    Route {
        line: table.line(),
        topics: topics(table, configured),
        root: read.unwrap_or_else(whole),
        when,
        payload_schema,
        require,
        writes,
        publishes,
    }
}

/// The route's topics: all if it names none, empty if they are faulty.
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
            // A missing or faulty `kafka.topics` is reported in its own place.
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
