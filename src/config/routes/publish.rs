//! `[[route.publish]]`: what is produced to another topic for a message of the route.

use crate::config::file::reader::{Node, Table, Text, all};
use crate::config::keys;
use crate::config::model::{Expr, Publish, Source, Tombstone, Typed};
use crate::config::names;
use crate::config::routes::contradictions;
use crate::config::routes::write;
use crate::config::values::cel;
use crate::config::values::expressions::{self, Place};
use crate::config::values::grammar::Scope;

/// Reads the publish at `table`. `scope`: that of the route. `tombstone` is the default; `consumed` are `kafka.topics`.
pub fn publish(
    table: &Table<'_>,
    scope: Scope<'_>,
    tombstone: Tombstone,
    consumed: &[(Node<'_>, Text)],
) -> Option<Publish> {
    let example = "name the topic to produce to, e.g. topic = \"purchases\"";
    let topic = table
        .required("topic", example)
        .and_then(|node| produced_topic(node, consumed));
    let when = cel::when(table, scope);
    let key = table
        .get("key")
        .map(|node| expressions::typed(node, scope, Place::PublishedKey));
    let forward_headers = table.flag("forward_headers");
    let headers = match table.get("headers") {
        None => Some(Vec::new()),
        Some(node) => headers(node, scope),
    };
    let payload = table
        .get("payload")
        .map(|node| expressions::typed(node, scope, Place::Payload));
    let own_tombstone = table.get("tombstone");
    let tombstone = match own_tombstone {
        None => Some(tombstone),
        Some(_) => table.choice("tombstone").map(write::tombstone),
    };
    if tombstone == Some(Tombstone::Delete) {
        let values = key.iter().flatten().map(|key| ("key", key));
        let headers = headers.iter().flatten().map(|(_, value)| ("headers", value));
        for (word, _) in values
            .chain(headers)
            .filter(|(_, value)| contradictions::needs_payload(value))
        {
            if let Some(node) = table.get(word) {
                node.fault(
                    "a message without payload has no fields, and tombstone = \"delete\" is to produce it all the same",
                    "name metadata alone, e.g. \"@key\" or \"@header.id\", or write tombstone = \"ignore\" for this publish",
                );
            }
        }
    }
    Some(Publish {
        line: table.line(),
        topic: topic?,
        when: when?,
        key: optional(key)?,
        forward_headers: forward_headers?,
        headers: headers?,
        payload: optional(payload)?.filter(|payload| !is_as_it_came(payload)),
        tombstone: tombstone?,
    })
}

/// A topic to produce to. It must not be consumed: what is produced would come back.
pub fn produced_topic(node: &Node<'_>, consumed: &[(Node<'_>, Text)]) -> Option<String> {
    let topic = node.text()?;
    if let Err(problem) = names::topic(&topic.value) {
        node.fault(
            problem,
            "write a topic's name: 1 to 249 letters, digits, `.`, `_` or `-`",
        );
        return None;
    }
    if consumed.iter().any(|(_, each)| each.value == topic.value) {
        node.fault(
            "is among kafka.topics: what is produced there would be read again, without end",
            "name another topic",
        );
        return None;
    }
    Some(topic.value)
}

fn headers(node: &Node<'_>, scope: Scope<'_>) -> Option<Vec<(String, Typed)>> {
    let table = node.open_table(&keys::VALUE)?;
    all(table
        .nodes
        .iter()
        .map(|(name, node)| Some(((*name).to_owned(), expressions::typed(node, scope, Place::Header)?))))
}

/// `Some(None)`: not in the file. `None`: faulty.
fn optional(value: Option<Option<Typed>>) -> Option<Option<Typed>> {
    match value {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}

/// Whether the payload is `"@value"` without any conversion.
fn is_as_it_came(payload: &Typed) -> bool {
    matches!(payload.expr, Expr::Source(Source::Value)) && payload.cast.is_none()
}
