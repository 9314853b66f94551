//! `[kafka.properties]`, `[kafka.consumer]`, `[kafka.producer]`: the librdkafka properties that the file sets.
//!
//! `settable` says which may be set. The rest is passed to librdkafka 2.12.1 itself, one property at a time, to check
//! name and value. Nothing here connects to anything.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use toml::de::DeValue;

use crate::config::file::reader::{Node, Table};
use crate::config::file::wording::nearest;
use crate::config::kafka::foreign::foreign_name;
use crate::config::kafka::settable::{COMMON, CONSUMER_ONLY, PRODUCER_ONLY, Side, refusal};
use crate::config::kafka::together::{self, Set};
use crate::config::kafka::types;
use crate::config::keys;
use crate::config::model::{LoginFiles, Run, Secret, TlsProperty};
use crate::config::secrecy::names_secret;

/// Properties that `group.protocol = consumer` leaves to the brokers. librdkafka refuses to start if one is set.
const BROKER_SIDE: &[(&str, &str)] = &[
    (
        "session.timeout.ms",
        "set group.consumer.session.timeout.ms at the brokers",
    ),
    (
        "heartbeat.interval.ms",
        "set group.consumer.heartbeat.interval.ms at the brokers",
    ),
    ("partition.assignment.strategy", "write group.remote.assignor"),
];

/// Pairs of a name and its other name. librdkafka uses the one that is set last.
const ALIASES: &[(&str, &str)] = &[
    ("sasl.mechanism", "sasl.mechanisms"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("compression.type", "compression.codec"),
];

/// Defaults of librdkafka 2.12.1, for rules about two properties.
const SESSION_TIMEOUT_MS: i64 = 45_000;
const HEARTBEAT_INTERVAL_MS: i64 = 3000;
const MAX_POLL_INTERVAL_MS: i64 = 300_000;

/// The properties of each client, by name.
#[derive(Default)]
pub struct Properties {
    /// `[kafka.properties]`, overridden by `[kafka.consumer]`.
    pub consumer: BTreeMap<String, String>,
    /// `[kafka.properties]`, overridden by `[kafka.producer]`.
    pub producer: BTreeMap<String, String>,
    pub consumer_login: LoginFiles,
    pub producer_login: LoginFiles,
    /// Those that concern TLS.
    pub tls: Vec<TlsProperty>,
}

struct Property<'a> {
    /// The first name, if there are two.
    name: String,
    value: String,
    /// Faults may show the value.
    shown: bool,
    node: Node<'a>,
}

/// Reads the properties of `[kafka]`. Leaves out those that may not be set.
pub fn read(kafka: &Table<'_>, run: Option<&Run>) -> Properties {
    let faults = kafka.context.faults();
    let both = section(kafka, "properties", Side::Both);
    let consumer = section(kafka, "consumer", Side::Consumer);
    let producer = section(kafka, "producer", Side::Producer);
    check_together(both.iter().chain(&consumer), run);
    // Otherwise a property that is faulty by itself would be reported twice.
    if kafka.context.faults() == faults {
        let set = |of: &[Property<'_>], not: &[&str]| -> Set {
            let of = both.iter().filter(|each| !not.contains(&each.name.as_str())).chain(of);
            of.map(|each| (each.name.clone(), (each.value.clone(), each.shown)))
                .collect()
        };
        let nodes: Vec<(&str, &Node<'_>)> = both
            .iter()
            .chain(&consumer)
            .chain(&producer)
            .map(|each| (each.name.as_str(), &each.node))
            .collect();
        let of_consumer = set(&consumer, PRODUCER_ONLY);
        let own = |of: &[Property<'_>]| of.iter().map(|each| each.name.clone()).collect::<Vec<_>>();
        let of_producer = set(&producer, CONSUMER_ONLY);
        together::check(&of_consumer, &of_producer, &own(&producer), &nodes);
    }
    let is_own = |of: &[Property<'_>], name: &str| of.iter().any(|each| each.name == name);
    let tls = both
        .iter()
        .filter(|each| !(is_own(&consumer, &each.name) && is_own(&producer, &each.name)))
        .chain(&consumer)
        .chain(&producer)
        .filter(|each| each.name.starts_with("ssl."))
        .map(|each| TlsProperty {
            line: each.node.line(),
            key: each.node.key.clone(),
            name: each.name.clone(),
            value: Secret(each.value.clone()),
            shown: !each.node.is_reference(),
        })
        .collect();
    let login = |own: &[Property<'_>]| {
        let file = |name: &str| {
            let mut found = own.iter().chain(&both);
            found.find(|each| each.name == name)?.node.referenced_file()
        };
        LoginFiles {
            username: file("sasl.username"),
            password: file("sasl.password"),
        }
    };
    let mut properties = Properties {
        consumer_login: login(&consumer),
        producer_login: login(&producer),
        tls,
        ..Properties::default()
    };
    for Property { name, value, .. } in both {
        if !PRODUCER_ONLY.contains(&name.as_str()) {
            properties.consumer.insert(name.clone(), value.clone());
        }
        if !CONSUMER_ONLY.contains(&name.as_str()) {
            properties.producer.insert(name, value);
        }
    }
    properties
        .consumer
        .extend(consumer.into_iter().map(|each| (each.name, each.value)));
    properties
        .producer
        .extend(producer.into_iter().map(|each| (each.name, each.value)));
    properties
}

fn section<'a>(kafka: &Table<'a>, name: &str, side: Side) -> Vec<Property<'a>> {
    let mut nodes = Vec::new();
    if let Some(table) = kafka.get(name).and_then(|node| node.open_table(&keys::KAFKA)) {
        flatten(&table, "", &mut nodes);
    }
    let mut properties: Vec<Property<'_>> = Vec::new();
    for (name, node) in nodes {
        let Some(property) = property(&name, &node, side) else {
            continue;
        };
        if properties.iter().any(|each| each.name == property.name) {
            node.fault_unshown("is another name of a property that is set above", "keep one of them");
        } else {
            properties.push(property);
        }
    }
    properties
}

/// TOML reads `sasl.username = "x"`, without quotes, as a table in a table. librdkafka's names have dots.
fn flatten<'a>(table: &Table<'a>, prefix: &str, nodes: &mut Vec<(String, Node<'a>)>) {
    for (name, node) in &table.nodes {
        let name = if prefix.is_empty() {
            (*name).to_owned()
        } else {
            format!("{prefix}.{name}")
        };
        match node.value() {
            // A secret in braces, and no table of names, which a message would repeat.
            DeValue::Table(_) if node.is_in_braces() && COMMON.contains(&name.as_str()) => {
                nodes.push((name, node.clone()));
            }
            DeValue::Table(_) => {
                if let Some(inner) = node.open_table(&keys::KAFKA) {
                    flatten(&inner, &name, nodes);
                }
            }
            _ => nodes.push((name, node.clone())),
        }
    }
}

fn property<'a>(name: &str, node: &Node<'a>, side: Side) -> Option<Property<'a>> {
    let shy = is_secret(name);
    let node = if shy { node.hidden() } else { node.clone() };
    if let Some(refused) = refusal(name, side) {
        node.fault_unshown(format!("cannot be set: {}", refused.reason), refused.cure);
        return None;
    }
    if side == Side::Consumer && PRODUCER_ONLY.contains(&name) {
        node.fault_unshown("is a property of the producer", "write it in [kafka.producer]");
        return None;
    }
    if side == Side::Producer && CONSUMER_ONLY.contains(&name) {
        node.fault_unshown("is a property of the consumer", "write it in [kafka.consumer]");
        return None;
    }
    if let Some(foreign) = foreign_name(name) {
        node.fault_unshown(format!("is not librdkafka's: {}", foreign.reason), foreign.cure);
        return None;
    }
    if let Some(key) = keys::KAFKA.keys.iter().find(|key| key.name == name) {
        node.context.found([(keys::KAFKA.title, key.name)]);
        node.fault_unshown(
            "is a key of [kafka], no property of librdkafka",
            "write it below [kafka]",
        );
        return None;
    }
    let mut shown = !shy;
    let value = match node.value() {
        DeValue::String(_) => {
            let text = node.text()?;
            shown &= !text.from_outside;
            text.value
        }
        DeValue::Integer(_) => match node.integer() {
            Some(number) => number.to_string(),
            None => {
                node.fault("an integer has at most 64 bits", "write a smaller one");
                return None;
            }
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        _ => {
            node.fault("expected a string, a number, true or false", "write one of them");
            return None;
        }
    };
    if let Err(misfit) = types::check(name, &value, shown) {
        node.fault(misfit.problem, misfit.cure);
        return None;
    }
    let mut config = ClientConfig::new();
    config.set(name, value.as_str());
    match config.create_native_config() {
        Ok(_) => {}
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            let known: Vec<&str> = [CONSUMER_ONLY, PRODUCER_ONLY, COMMON].concat();
            let cure = nearest(name, &known).map_or_else(
                || "look its name up in librdkafka's CONFIGURATION.md, or remove it".to_owned(),
                |nearest| format!("did you mean `{nearest}`?"),
            );
            node.fault_unshown("librdkafka knows no such property", cure);
            return None;
        }
        Err(error) => {
            let cure = "see the property in librdkafka's CONFIGURATION.md";
            match error {
                // If this build lacks something, the reason does not contain the value.
                KafkaError::ClientConfig(_, why, ..) if shown || why.contains("not supported in this build") => {
                    node.fault(format!("librdkafka refuses it: {}", why.trim_end_matches('.')), cure);
                }
                _ => node.fault("librdkafka refuses the value", cure),
            }
            return None;
        }
    }
    if name == "topic.metadata.refresh.interval.ms" && value.parse::<i64>().is_ok_and(|ms| ms <= 0) {
        node.fault(
            "without refreshing, new partitions would never be read",
            "write 1 to 3600000",
        );
    }
    if name == "partitioner" && value == "random" {
        let cure = "write consistent_random or murmur2_random";
        node.fault("the messages of one key would lose their order", cure);
    }
    let name = ALIASES
        .iter()
        .find(|(_, alias)| *alias == name)
        .map_or(name, |(name, _)| name);
    Some(Property {
        name: name.to_owned(),
        value,
        shown,
        node,
    })
}

/// Whether the value must never be shown.
fn is_secret(name: &str) -> bool {
    (name.starts_with("sasl.") && !name.starts_with("sasl.mechanism")) || name.contains("key") || names_secret(name)
}

/// Checks combinations of the consumer's properties. If a property is set twice, the later one counts.
fn check_together<'p>(consumer: impl Iterator<Item = &'p Property<'p>>, run: Option<&Run>) {
    let set: BTreeMap<&str, &Property<'_>> = consumer.map(|each| (each.name.as_str(), each)).collect();
    let number = |name: &str, default: i64| {
        set.get(name)
            .map_or(Some(default), |property| property.value.trim().parse::<i64>().ok())
    };
    let is_consumer_protocol = set
        .get("group.protocol")
        .is_some_and(|property| property.value.eq_ignore_ascii_case("consumer"));
    if is_consumer_protocol {
        for (name, cure) in BROKER_SIDE {
            if let Some(property) = set.get(name) {
                property
                    .node
                    .fault_unshown("the brokers decide it with group.protocol = consumer", *cure);
            }
        }
    } else if let (Some(poll), Some(session), Some(heartbeat)) = (
        number("max.poll.interval.ms", MAX_POLL_INTERVAL_MS),
        number("session.timeout.ms", SESSION_TIMEOUT_MS),
        number("heartbeat.interval.ms", HEARTBEAT_INTERVAL_MS),
    ) {
        let session_property = set.get("session.timeout.ms");
        if poll < session {
            match set.get("max.poll.interval.ms") {
                Some(property) => property.node.fault(
                    "is less than session.timeout.ms, 45000 by default",
                    "raise it, or lower session.timeout.ms",
                ),
                None => note(
                    session_property,
                    "is more than max.poll.interval.ms, 300000 by default",
                    "lower it, or raise max.poll.interval.ms",
                ),
            }
        }
        if heartbeat >= session {
            match set.get("heartbeat.interval.ms") {
                Some(property) => property.node.fault(
                    "is not less than session.timeout.ms, 45000 by default",
                    "write a third of session.timeout.ms",
                ),
                None => note(
                    session_property,
                    "is not more than heartbeat.interval.ms, 3000 by default",
                    "write three times heartbeat.interval.ms",
                ),
            }
        }
    }
    if let (Some(run), Some(property)) = (run, set.get("max.poll.interval.ms"))
        && let Ok(poll_ms) = property.value.trim().parse::<u64>()
        && Duration::from_millis(poll_ms) <= 2 * run.write_timeout
    {
        property.node.fault(
            "is within two run.write_timeouts: the group would go on without this member while its writes finish",
            "raise it, or lower run.write_timeout",
        );
    }
}

fn note(property: Option<&&Property<'_>>, problem: &str, cure: &str) {
    if let Some(property) = property {
        property.node.fault(problem, cure);
    }
}
