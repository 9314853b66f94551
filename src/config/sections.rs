//! The sections of the file: `[run]`, `[kafka]`, `[aerospike]`, `[reject]`, `[http]`, and the rules between them.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::addresses::{address_may_hold_login, misread_hosts};
use super::http;
use super::key::Values;
use super::keys;
use super::model::{
    self, Aerospike, BelowLog, BeyondLog, ByteOrderMark, Config, Format, Kafka, LoginFiles, OffsetGone, Route, Run,
    Secret, Start, Tls, TlsOwn, Writer,
};
use super::names;
use super::reject;
use crate::config::file::reader::{Node, Table, Text};
use crate::config::file::synonyms;
use crate::config::file::wording::nearest;
use crate::config::kafka::foreign::misread_brokers;
use crate::config::kafka::properties;
use crate::config::routes::route;
use crate::util::logging;

const KAFKA_PORT: u16 = 9092;
const AEROSPIKE_PORT: u16 = 3000;

/// Reads the whole file. `None` if a key is faulty. Then one or more faults were noted.
pub fn config(top: &Table<'_>) -> Option<Config> {
    whole(top, route::routes)
}

/// Reads the file of a program whose rules are code: everything except `[[route]]`.
pub fn settings(top: &Table<'_>) -> Option<Config> {
    whole(top, |top, _, _| {
        if let Some(node) = top.get("route") {
            node.fault("the rules of this program are code", "remove it");
        }
        Vec::new()
    })
}

fn whole(top: &Table<'_>, routes: impl Fn(&Table<'_>, &[(Node<'_>, Text)], &str) -> Vec<Route>) -> Option<Config> {
    top.refuse_unknown();
    let run = run(&top.table("run", &keys::RUN));
    let (kafka, topics) = match top.required("kafka", "write [kafka] with `brokers` and `topics`") {
        Some(node) if matches!(node.value(), DeValue::Table(_)) => {
            kafka(&top.table("kafka", &keys::KAFKA), run.as_ref())
        }
        Some(node) => {
            node.fault("expected a table", "write [kafka] with its keys below");
            (None, Vec::new())
        }
        None => (None, Vec::new()),
    };
    let aerospike = match top.required("aerospike", "write [aerospike] with `hosts` and `namespace`") {
        Some(node) => node.table(&keys::AEROSPIKE).and_then(|table| aerospike(&table)),
        None => None,
    };
    let namespace = aerospike
        .as_ref()
        .map(|aerospike| aerospike.namespace.as_str())
        .unwrap_or_default();
    let routes = routes(top, &topics, namespace);
    let reject = reject::reject(&top.table("reject", &keys::REJECT), &topics);
    let log = log(&top.table("log", &keys::LOG));
    let http = top
        .get("http")
        .map(|node| node.table(&keys::HTTP).and_then(|table| http::http(&table)));
    Some(Config {
        run: run?,
        kafka: kafka?,
        aerospike: aerospike?,
        routes,
        reject: reject?,
        log: log?,
        http: match http {
            Some(http) => Some(http?),
            None => None,
        },
    })
}

fn log(table: &Table<'_>) -> Option<model::Log> {
    Some(model::Log {
        format: logging::Format::of(table.choice("format")?),
    })
}

fn run(table: &Table<'_>) -> Option<Run> {
    let values = table.values();
    let (memory, batch) = (values.size::<u64>("memory"), values.size::<u64>("batch_bytes_max"));
    if let (Some(memory), Some(batch), Some(node)) = (memory, batch, table.get("batch_bytes_max"))
        && batch > memory / 2
    {
        node.fault(
            "a batch takes more than half of run.memory",
            "lower it, or raise run.memory",
        );
    }
    at_least_two_writes(table, &values, "shutdown_grace", "could not finish");
    at_least_two_writes(table, &values, "stall_after", "would look like a stall");
    let heartbeat_file = match table.get("heartbeat_file") {
        None => None,
        Some(node) => Some(checked(node, names::path, "write the path of a file, or remove the key")?.into()),
    };
    Run::of(&values, heartbeat_file)
}

/// Notes a fault if `name` leaves no time for a write in progress, which may take two time-outs. Does not show the
/// content of a reference.
fn at_least_two_writes(table: &Table<'_>, values: &Values, name: &str, or_it: &str) {
    if let (Some(duration), Some(write)) = (values.duration(name), values.duration("write_timeout"))
        && duration < 2 * write
        && let Some(node) = table.get(name).or_else(|| table.get("write_timeout"))
    {
        let cure = match table.get("write_timeout") {
            Some(node) if node.is_reference() => format!("raise {name}, or lower write_timeout"),
            _ => format!(
                "write {name} = \"{}\" or more, or lower write_timeout",
                human(2 * write)
            ),
        };
        node.fault(
            format!("{name} is less than two write_timeouts: a write under way {or_it}"),
            cure,
        );
    }
}

/// The duration in the form of the file.
fn human(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) {
        format!("{}s", ms / 1000)
    } else {
        format!("{ms}ms")
    }
}

/// Reads the section. Also returns its topics with their places.
fn kafka<'a>(table: &Table<'a>, run: Option<&Run>) -> (Option<Kafka>, Vec<(Node<'a>, Text)>) {
    let brokers = table
        .required("brokers", "name the cluster, e.g. brokers = \"127.0.0.1:9092\"")
        .and_then(|node| addresses(node, &BROKERS));
    let topics = topics(table);
    let group = match table.get("group") {
        None => keys::KAFKA
            .keys
            .iter()
            .find(|key| key.name == "group")
            .and_then(|key| key.default)
            .map(str::to_owned),
        Some(node) => checked(node, names::group, "write a name of 1 to 255 bytes"),
    };
    let start = table.choice("start").map(|start| {
        if start == "latest" {
            Start::Latest
        } else {
            Start::Earliest
        }
    });
    let offset_gone = match table.get("offset_gone") {
        None => Some(OffsetGone::default()),
        Some(node) => offset_gone(node),
    };
    let format = table.choice("format").map(|format| {
        if format == "json_sr" {
            Format::JsonSchemaRegistry
        } else {
            Format::Json
        }
    });
    let byte_order_mark = table.choice("byte_order_mark").map(|word| {
        if word == "reject" {
            ByteOrderMark::Reject
        } else {
            ByteOrderMark::Skip
        }
    });
    let properties = properties::read(table, run);
    let secret = |(name, value): (String, String)| (name, Secret(value));
    let kafka = (|| {
        Some(Kafka {
            brokers: brokers?,
            topics: topics.iter().map(|(_, text)| text.value.clone()).collect(),
            group: group?,
            start: start?,
            offset_gone: offset_gone?,
            format: format?,
            byte_order_mark: byte_order_mark?,
            consumer_properties: properties.consumer.into_iter().map(secret).collect(),
            producer_properties: properties.producer.into_iter().map(secret).collect(),
            consumer_login: properties.consumer_login,
            producer_login: properties.producer_login,
            tls: properties.tls,
        })
    })();
    (kafka, topics)
}

/// The texts of an address key's faults.
struct Addresses {
    port: u16,
    /// Where a login must be written instead.
    login_cure: &'static str,
    cure: &'static str,
    misread: fn(&str, bool) -> Option<(String, String)>,
}

const BROKERS: Addresses = Addresses {
    port: KAFKA_PORT,
    login_cure: "write host:port, and the login as sasl.username and sasl.password below [kafka.properties]",
    cure: "write host:port, comma-separated; TLS and passwords are kafka.properties' matter",
    misread: misread_brokers,
};

const HOSTS: Addresses = Addresses {
    port: AEROSPIKE_PORT,
    login_cure: "write host:port, and the login as aerospike.user and aerospike.password",
    cure: "write host or host:port, comma-separated, an IPv6 address in brackets",
    misread: misread_hosts,
};

/// Reads addresses, comma-separated. An address that may contain a password is never shown, whatever its form.
fn addresses(node: &Node<'_>, told: &Addresses) -> Option<String> {
    let refuse_login = || {
        node.fault_unshown(
            "a login does not belong in an address, which is logged",
            told.login_cure,
        );
    };
    let has_login = |value: &DeValue<'_>| matches!(value, DeValue::String(text) if !text.starts_with("${") && address_may_hold_login(text));
    match node.value() {
        value if has_login(value) => {
            refuse_login();
            return None;
        }
        DeValue::Array(array) if array.iter().any(|each| has_login(each.get_ref())) => {
            refuse_login();
            return None;
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
            let port = node
                .integer()
                .and_then(|number| u16::try_from(number).ok())
                .filter(|port| *port > 0);
            let port = port.unwrap_or(told.port);
            node.fault(
                "expected a string",
                format!("write host and port in quotes, e.g. \"host:{port}\""),
            );
            return None;
        }
        _ => {}
    }
    let text = node.text()?;
    if address_may_hold_login(&text.value) {
        refuse_login();
        return None;
    }
    match names::hosts(&text.value, told.port) {
        Ok(hosts) => Some(hosts),
        Err(problem) => {
            let misread = (told.misread)(&text.value, !text.from_outside);
            let (problem, cure) = misread.unwrap_or_else(|| (problem, told.cure.to_owned()));
            node.fault(problem, cure);
            None
        }
    }
}

/// One word for both cases, or a table with a word for each.
fn offset_gone(node: &Node<'_>) -> Option<OffsetGone> {
    if let DeValue::Table(_) = node.value() {
        let table = node.table(&keys::OFFSET_GONE)?;
        let (below, beyond) = (table.choice("below"), table.choice("beyond"));
        return Some(OffsetGone {
            below: below_log(below?),
            beyond: beyond_log(beyond?),
        });
    }
    const CURE: &str = "write \"earliest\", \"end\" or \"stop\" for both cases, or a word for each: { below = \"earliest\", beyond = \"stop\" }";
    if !matches!(node.value(), DeValue::String(_)) {
        node.fault("expected a string or a table", CURE);
        return None;
    }
    let text = node.text()?;
    if !keys::OFFSET_GONE_BOTH.contains(&text.value.as_str()) {
        let word = text.value.trim().to_ascii_lowercase();
        let meant = synonyms::meant_word("below", &word).or_else(|| nearest(&word, keys::OFFSET_GONE_BOTH));
        let cure = match meant {
            Some(meant) if !text.from_outside => format!("did you mean \"{meant}\"? {CURE}"),
            _ => CURE.to_owned(),
        };
        node.fault("is none of the values it can have", cure);
        return None;
    }
    Some(OffsetGone {
        below: below_log(&text.value),
        beyond: beyond_log(&text.value),
    })
}

fn below_log(word: &str) -> BelowLog {
    match word {
        "end" => BelowLog::End,
        "stop" => BelowLog::Stop,
        _ => BelowLog::Earliest,
    }
}

fn beyond_log(word: &str) -> BeyondLog {
    match word {
        "earliest" => BeyondLog::Earliest,
        "end" => BeyondLog::End,
        "stop" => BeyondLog::Stop,
        _ => BeyondLog::Resume,
    }
}

fn topics<'a>(table: &Table<'a>) -> Vec<(Node<'a>, Text)> {
    let example = "name what to read, e.g. topics = [\"events\"]";
    let Some(node) = table.required("topics", example) else {
        return Vec::new();
    };
    let Some(elements) = node.texts() else {
        return Vec::new();
    };
    if node.elements().is_some_and(|elements| elements.is_empty()) {
        node.fault("needs at least one topic", example);
    }
    let mut topics: Vec<(Node<'a>, Text)> = Vec::new();
    for (node, topic) in elements {
        if let Err(problem) = names::topic(&topic.value) {
            node.fault(
                problem,
                "write a topic's name: 1 to 249 letters, digits, `.`, `_` or `-`",
            );
        } else if topics.iter().any(|(_, each)| each.value == topic.value) {
            node.fault("is named twice", "name each topic once");
        } else {
            topics.push((node, topic));
        }
    }
    topics
}

fn aerospike(table: &Table<'_>) -> Option<Aerospike> {
    let hosts = table
        .required("hosts", "name a node, e.g. hosts = \"127.0.0.1:3000\"")
        .and_then(|node| addresses(node, &HOSTS));
    let namespace = table
        .required(
            "namespace",
            "name the namespace that records go to, e.g. namespace = \"test\"",
        )
        .and_then(|node| checked(node, names::namespace, "name a namespace of the cluster"));
    let user = table
        .get("user")
        .map(|node| checked(node, not_empty, "write the user's name"));
    let password = table.get("password").map(|node| {
        checked(
            &node.hidden(),
            not_empty,
            "write e.g. password = \"${file:/etc/penstock/aerospike.pw}\"",
        )
    });
    match (&user, &password) {
        (Some(_), None) => {
            table.fault_missing(
                "password",
                "write it beside `user`, e.g. \"${file:/etc/penstock/aerospike.pw}\"",
            );
        }
        (None, Some(_)) => table.fault_missing("user", "write it beside `password`"),
        _ => {}
    }
    let cluster_name = table
        .get("cluster_name")
        .map(|node| checked(node, not_empty, "write the cluster's name, or remove it"));
    let use_services_alternate = table.flag("use_services_alternate");
    let writer = table.choice("writer").map(|writer| match writer {
        "native" => Writer::Native,
        _ => Writer::Client,
    });
    let tls = table
        .get("tls")
        .map(|node| node.table(&keys::AEROSPIKE_TLS).and_then(|table| tls(&table)));
    let file = |key: &str| table.get(key).and_then(Node::referenced_file);
    let login_files = LoginFiles {
        username: file("user"),
        password: file("password"),
    };
    let credentials = match (user, password) {
        (Some(user), Some(password)) => Some((user?, Secret(password?))),
        _ => None,
    };
    Some(Aerospike {
        hosts: hosts?,
        namespace: namespace?,
        credentials,
        login_files,
        cluster_name: match cluster_name {
            None => None,
            Some(name) => Some(name?),
        },
        use_services_alternate: use_services_alternate?,
        writer: writer?,
        tls: match tls {
            None => None,
            Some(tls) => Some(tls?),
        },
    })
}

/// Reads `[aerospike.tls]`. Not the files that it names: they are for the machine that connects.
fn tls(table: &Table<'_>) -> Option<Tls> {
    let name = table.get("name").map(|node| {
        checked(
            node,
            names::tls_name,
            "write the name in the nodes' certificates (tls-name)",
        )
    });
    let file = |key: &str| {
        table.get(key).map(|node| {
            // Somebody may have written the key itself in the place of its file's path.
            let node = if key == "key" { node.hidden() } else { node.clone() };
            checked(&node, names::path, "write the path of a PEM file, or remove the key").map(PathBuf::from)
        })
    };
    let (ca, certificate, key) = (file("ca"), file("certificate"), file("key"));
    match (&certificate, &key) {
        (Some(_), None) => {
            table.fault_missing("key", "name the file with the certificate's private key");
        }
        (None, Some(_)) => {
            table.fault_missing("certificate", "name the file with the client's certificate");
        }
        _ => {}
    }
    Some(Tls {
        name: name.map_or(Some(None), |name| name.map(Some))?,
        ca: ca.map_or(Some(None), |ca| ca.map(Some))?,
        own: match (certificate, key) {
            (None, None) => None,
            (certificate, key) => Some(TlsOwn {
                certificate: certificate??,
                key: key??,
            }),
        },
    })
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("is empty".to_owned())
    } else {
        Ok(())
    }
}

fn checked(node: &Node<'_>, check: fn(&str) -> Result<(), String>, cure: &str) -> Option<String> {
    let text = node.text()?;
    match check(&text.value) {
        Ok(()) => Some(text.value),
        Err(problem) => {
            node.fault(problem, cure);
            None
        }
    }
}
