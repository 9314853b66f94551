//! Which key was meant by an unknown one: the same name in another spelling, another program's name for it, or a key of
//! another section.
//!
//! Most authors of a configuration have written one for another client before. Pure: takes a section and a name,
//! returns what is meant.

use crate::config::file::wording::nearest;
use crate::config::keys::{self, Section};
use crate::config::operations;

/// What was meant by a name that a section does not know.
#[derive(Debug, Clone, Copy)]
pub enum Meant {
    /// A key of the same section.
    Key(&'static str),
    /// A key of another section.
    Below(&'static Section, &'static str),
    /// A name that has no counterpart in the file. The text says what to do instead.
    Nothing(&'static str),
}

/// Our names, each with the names of other programs.
type Names = &'static [(&'static str, &'static [&'static str])];

/// Other names of a section's keys, in lower case, words separated by `_`. Those of operations are in
/// [`crate::config::operations`].
const NAMES: &[(&Section, Names)] = &[
    (
        &keys::TOP,
        &[
            (
                "run",
                &["limits", "settings", "general", "service", "global", "penstock"],
            ),
            ("kafka", &["source", "input"]),
            ("log", &["logging", "logger", "logs"]),
            (
                "aerospike",
                &[
                    "aero",
                    "database",
                    "db",
                    "sink",
                    "output",
                    "target",
                    "store",
                    "destination",
                ],
            ),
            (
                "route",
                &[
                    "rule",
                    "rules",
                    "mapping",
                    "mappings",
                    "pipeline",
                    "pipelines",
                    "transform",
                ],
            ),
            (
                "http",
                &[
                    "metrics",
                    "prometheus",
                    "health",
                    "status",
                    "admin",
                    "monitoring",
                    "web",
                    "telemetry",
                    "exporter",
                ],
            ),
            (
                "reject",
                &[
                    "dlq",
                    "dead_letter",
                    "dead_letters",
                    "deadletter",
                    "dead_letter_queue",
                    "error",
                    "errors",
                    "on_error",
                ],
            ),
        ],
    ),
    (
        &keys::RUN,
        &[
            ("memory", &["mem", "ram", "heap", "buffer", "buffer_memory"]),
            (
                "batch_rows_max",
                &[
                    "batch_size",
                    "batch",
                    "batch_max",
                    "max_batch",
                    "max_batch_size",
                    "batch_records",
                ],
            ),
            ("batch_bytes_max", &["max_batch_bytes"]),
            ("commit_interval", &["commit", "auto_commit_interval", "flush_interval"]),
            (
                "shutdown_grace",
                &["grace_period", "shutdown_timeout", "stop_timeout", "drain_timeout"],
            ),
            (
                "start_timeout",
                &["connect_timeout", "startup_timeout", "connection_timeout"],
            ),
            (
                "write_timeout",
                &["timeout", "request_timeout", "socket_timeout", "total_timeout"],
            ),
            ("stall_after", &["stall_timeout", "watchdog", "watchdog_timeout"]),
            (
                "rows_in_flight_max",
                &["in_flight", "max_in_flight", "inflight", "max_inflight"],
            ),
            (
                "rows_per_second_max",
                &["rate", "rate_limit", "throttle", "rps", "tps", "max_rate"],
            ),
        ],
    ),
    (
        &keys::HTTP,
        &[(
            "listen",
            &[
                "address",
                "bind",
                "addr",
                "bind_address",
                "listen_address",
                "host",
                "port",
            ],
        )],
    ),
    (
        &keys::KAFKA,
        &[
            (
                "brokers",
                &[
                    "bootstrap_servers",
                    "bootstrap_server",
                    "bootstrap",
                    "bootstrap_brokers",
                    "server",
                    "servers",
                    "host",
                    "hosts",
                    "hostname",
                    "metadata_broker_list",
                    "address",
                    "addresses",
                    "url",
                    "urls",
                    "uri",
                    "cluster",
                    "endpoint",
                    "endpoints",
                    "seed_brokers",
                    "connect",
                ],
            ),
            ("topics", &["subscribe", "subscription", "subscriptions", "from"]),
            ("group", &["consumer_group", "consumer_group_id", "group_id", "gid"]),
            (
                "start",
                &[
                    "auto_offset_reset",
                    "offset_reset",
                    "offset",
                    "offsets",
                    "initial_offset",
                    "begin",
                ],
            ),
            (
                "format",
                &[
                    "decoder",
                    "codec",
                    "deserializer",
                    "value_deserializer",
                    "encoding",
                    "schema_registry",
                    "decoding",
                ],
            ),
            ("byte_order_mark", &["bom"]),
            (
                "properties",
                &["property", "options", "config", "librdkafka", "settings", "props"],
            ),
        ],
    ),
    (
        &keys::AEROSPIKE,
        &[
            (
                "hosts",
                &[
                    "seed",
                    "seeds",
                    "node",
                    "nodes",
                    "server",
                    "servers",
                    "address",
                    "addresses",
                    "url",
                    "uri",
                    "cluster",
                    "contact_points",
                    "endpoint",
                    "endpoints",
                    "broker",
                    "brokers",
                    "hostname",
                    "hostnames",
                    "seed_nodes",
                    "connect",
                ],
            ),
            ("namespace", &["ns", "db", "database", "keyspace", "bucket", "schema"]),
            ("user", &["username", "login", "account", "usr", "principal"]),
            (
                "password",
                &["pass", "passwd", "pwd", "pw", "secret", "passphrase", "credentials"],
            ),
            ("use_services_alternate", &["alternate_access_address"]),
        ],
    ),
    (
        &keys::ROUTE,
        &[
            ("topics", &["from", "source", "sources", "subscribe"]),
            (
                "when",
                &["if", "where", "filter", "condition", "match", "matches", "predicate"],
            ),
            (
                "payload_schema",
                &["schema", "json_schema", "jsonschema", "schema_file", "schema_path"],
            ),
            (
                "payload_schema_formats",
                &["formats", "format", "check_formats", "validate_formats"],
            ),
            ("require", &["validate", "assert", "must"]),
            (
                "root",
                &["base", "prefix", "path", "base_path", "unwrap", "payload", "envelope"],
            ),
            (
                "json_strings",
                &[
                    "json",
                    "json_string",
                    "json_fields",
                    "json_columns",
                    "json_paths",
                    "embedded_json",
                    "escaped_json",
                    "parse_json",
                    "decode_json",
                    "expand_json",
                    "unescape",
                ],
            ),
            (
                "write",
                &[
                    "put", "upsert", "record", "records", "insert", "store", "update", "sink",
                ],
            ),
            ("publish", &["produce", "emit", "output", "outputs", "forward", "send"]),
        ],
    ),
    (
        &keys::WRITE,
        &[
            (
                "when",
                &["if", "where", "filter", "condition", "match", "matches", "predicate"],
            ),
            ("namespace", &["ns", "db", "database", "keyspace"]),
            ("set", &["setname", "table", "collection"]),
            ("sets_allowed", &["allowed_sets"]),
            ("key", &["id", "pk", "digest", "record_id"]),
            ("each", &["foreach", "for_each", "explode", "unnest", "every", "items"]),
            (
                "bins",
                &[
                    "fields",
                    "columns",
                    "values",
                    "value",
                    "data",
                    "put",
                    "set_bins",
                    "attributes",
                    "map",
                    "body",
                    "payload",
                    "field",
                    "column",
                    "record",
                    "store",
                ],
            ),
            ("mode", &["policy", "write_policy", "record_exists_action"]),
            ("newer", &["version", "newer_than", "if_newer"]),
            (
                "guard",
                &["idempotent", "exactly_once", "dedup", "deduplicate", "idempotence"],
            ),
            (
                "ttl",
                &[
                    "expire",
                    "expires",
                    "expiration",
                    "expiry",
                    "time_to_live",
                    "expire_after",
                    "life",
                ],
            ),
            ("send_key", &["store_key", "save_key"]),
        ],
    ),
    (
        &keys::PUBLISH,
        &[
            ("topic", &["to", "target", "destination", "output"]),
            ("when", &["if", "where", "filter", "condition", "match", "matches"]),
            ("payload", &["value", "body", "message", "data"]),
            ("forward_headers", &["copy_headers", "keep_headers"]),
        ],
    ),
    (
        &keys::REJECT,
        &[
            ("action", &["on_error", "mode", "policy", "errors", "strategy"]),
            (
                "topic",
                &[
                    "dlq",
                    "dlq_topic",
                    "dead_letter",
                    "dead_letters",
                    "deadletter",
                    "to",
                    "name",
                    "target",
                    "queue",
                ],
            ),
        ],
    ),
    (
        &keys::VALUE,
        &[
            (
                "path",
                &[
                    "field",
                    "from",
                    "source",
                    "column",
                    "name",
                    "key",
                    "json_path",
                    "jsonpath",
                ],
            ),
            ("as", &["type", "cast", "to", "format", "kind", "datatype"]),
            ("scale", &["decimals", "decimal_places", "places", "decimal_scale"]),
            ("missing", &["on_missing", "if_missing", "absent", "null", "optional"]),
            ("default", &["fallback", "otherwise", "else", "or"]),
            ("value", &["constant", "const", "literal"]),
            ("object", &["map", "record", "fields"]),
            ("expr", &["expression", "cel", "compute", "eval", "formula"]),
        ],
    ),
    (
        &keys::ALL_BINS,
        &[
            (
                "except",
                &["exclude", "excluding", "omit", "drop", "without", "ignore", "skip"],
            ),
            ("rename", &["renames", "alias", "aliases", "map"]),
        ],
    ),
    (
        &keys::NEWER,
        &[
            ("path", &["field", "from", "source", "version", "value", "column"]),
            ("bin", &["name", "store", "into", "to"]),
            ("as", &["type", "cast", "unit"]),
            ("scale", &["decimals", "decimal_places", "places", "decimal_scale"]),
        ],
    ),
    (
        &keys::AEROSPIKE_TLS,
        &[
            (
                "name",
                &["tls_name", "server_name", "servername", "sni", "host", "hostname"],
            ),
            (
                "ca",
                &[
                    "ca_file",
                    "cafile",
                    "cacert",
                    "ca_cert",
                    "ca_location",
                    "authority",
                    "authorities",
                    "truststore",
                ],
            ),
            (
                "certificate",
                &[
                    "cert",
                    "cert_file",
                    "certfile",
                    "certificate_file",
                    "client_cert",
                    "chain",
                ],
            ),
            (
                "key",
                &["key_file", "keyfile", "private_key", "client_key", "key_location"],
            ),
        ],
    ),
    (
        &keys::OFFSET_GONE,
        &[
            ("below", &["before", "under", "too_old"]),
            ("beyond", &["above", "after", "over", "too_new", "past"]),
        ],
    ),
];

/// Names that have no counterpart in the file.
const NOTHING: &[(&Section, &[&str], &str)] = &[
    (
        &keys::LOG,
        &[
            "level",
            "filter",
            "loglevel",
            "log_level",
            "verbosity",
            "target",
            "targets",
        ],
        "remove it; PENSTOCK_LOG (or RUST_LOG) sets what is logged, e.g. PENSTOCK_LOG=penstock=debug",
    ),
    (
        &keys::RUN,
        &["log", "log_level", "loglevel", "logging", "verbosity"],
        "remove it; PENSTOCK_LOG (or RUST_LOG) sets what is logged, e.g. PENSTOCK_LOG=penstock=debug",
    ),
    (
        &keys::RUN,
        &["threads", "workers", "concurrency", "parallelism", "tasks"],
        "remove it: each partition has one thread, so the topic's partitions say how many there are",
    ),
    (
        &keys::RUN,
        &["retries", "max_retries", "retry", "retry_backoff"],
        "remove it: writes that fail for a while are retried until they succeed",
    ),
    (
        &keys::KAFKA,
        &["port"],
        "write it behind the host, e.g. brokers = \"kafka-1:9092\"",
    ),
    (
        &keys::KAFKA,
        &["tls", "ssl", "use_tls", "use_ssl"],
        "write \"security.protocol\" = \"ssl\" below [kafka.properties]",
    ),
    (
        &keys::KAFKA,
        &["user", "username", "login", "sasl_user"],
        "write \"sasl.username\" below [kafka.properties]",
    ),
    (
        &keys::KAFKA,
        &["pass", "passwd", "password", "pwd", "sasl_pass"],
        "write \"sasl.password\" below [kafka.properties]",
    ),
    (
        &keys::KAFKA,
        &["partitions"],
        "remove it: the group shares out all partitions of the topics",
    ),
    (
        &keys::AEROSPIKE,
        &["port"],
        "write it behind the host, e.g. hosts = \"aerospike-1:3000\"",
    ),
    (
        &keys::AEROSPIKE,
        &["auth"],
        "write `user` and `password` below [aerospike]",
    ),
    (
        &keys::AEROSPIKE,
        &["ssl", "tls_enable", "use_tls"],
        "write a section [aerospike.tls]",
    ),
    (
        &keys::AEROSPIKE,
        &["tls_name"],
        "write it as `name` below [aerospike.tls]",
    ),
    (
        &keys::AEROSPIKE_TLS,
        &["enable", "enabled", "on", "use_tls"],
        "remove it: with [aerospike.tls] every connection is encrypted",
    ),
    (
        &keys::AEROSPIKE_TLS,
        &[
            "verify",
            "insecure",
            "skip_verify",
            "insecure_skip_verify",
            "verify_hostname",
        ],
        "remove it: the nodes' certificates are always verified",
    ),
    (
        &keys::AEROSPIKE_TLS,
        &["password", "key_password", "passphrase", "pass_phrase"],
        "remove it, and the key's pass phrase: openssl pkcs8 -topk8 -nocrypt",
    ),
    (
        &keys::ROUTE,
        &["name", "description", "comment", "title"],
        "write it as a comment, behind `#`",
    ),
    (
        &keys::WRITE,
        &["name", "description", "comment", "title"],
        "write it as a comment, behind `#`",
    ),
    (
        &keys::WRITE,
        &["default", "missing", "as"],
        "write it beside the `path` of one value, e.g. bins = { country = { path = \"user.country\", default = \"\" } }",
    ),
    (
        &keys::WRITE,
        &["except", "exclude", "rename", "long_names", "big_numbers"],
        "write it in `bins`, e.g. bins = { path = \"*\", except = [\"a\"], rename = { long = \"short\" } }",
    ),
];

/// Other programs' words for the words that a key's value can be.
const WORDS: &[(&str, Names)] = &[
    (
        "start",
        &[
            (
                "earliest",
                &["beginning", "begin", "oldest", "smallest", "first", "start", "all"],
            ),
            ("latest", &["newest", "end", "largest", "last", "now", "new"]),
        ],
    ),
    ("below", OFFSETS),
    ("beyond", OFFSETS),
    (
        "stall_action",
        &[
            ("exit", &["kill", "restart", "stop", "abort", "crash"]),
            ("report", &["log", "warn", "none", "nothing"]),
        ],
    ),
    (
        "format",
        &[(
            "json_sr",
            &["schema_registry", "confluent", "json_schema", "jsonschema"],
        )],
    ),
    ("byte_order_mark", SKIP_OR_REJECT),
    (
        "writer",
        &[
            ("native", &["own", "direct", "fast", "raw", "wire", "default"]),
            ("client", &["crate", "library", "driver", "sdk", "aerospike"]),
        ],
    ),
    (
        "mode",
        &[
            ("update", &["upsert", "merge", "put", "write", "set", "default"]),
            ("create", &["insert", "create_only", "add", "insert_only"]),
            ("replace", &["overwrite", "create_or_replace"]),
        ],
    ),
    ("on_conflict", IGNORE_OR_REJECT),
    ("tombstone", IGNORE_OR_REJECT),
    ("missing", SKIP_OR_REJECT),
    ("long_names", SKIP_OR_REJECT),
    (
        "when_error",
        &[("false", &["skip", "ignore", "drop"]), ("reject", &["fail", "error"])],
    ),
    (
        "payload_schema_formats",
        &[
            ("check", &["assert", "validate", "true", "on", "reject"]),
            ("ignore", &["annotate", "annotation", "false", "off", "skip"]),
        ],
    ),
    (
        "ttl_past",
        &[
            ("skip", &["drop", "ignore", "discard"]),
            ("delete", &["remove", "expire"]),
            ("reject", &["fail", "error"]),
        ],
    ),
    (
        "ttl_on",
        &[
            ("write", &["update", "always", "every_write"]),
            ("create", &["insert", "creation", "once", "new"]),
        ],
    ),
    (
        "in_doubt",
        &[
            ("retry", &["repeat", "again"]),
            ("reject", &["fail", "error", "dead_letter"]),
            ("hold", &["wait", "stop", "block"]),
        ],
    ),
    (
        "big_numbers",
        &[
            ("string", &["text", "str"]),
            ("float", &["double", "number"]),
            ("skip", &["drop", "ignore"]),
        ],
    ),
    (
        "action",
        &[
            (
                "dead_letter",
                &[
                    "dlq",
                    "deadletter",
                    "dead_letters",
                    "dead_letter_queue",
                    "publish",
                    "topic",
                ],
            ),
            ("drop", &["skip", "ignore", "discard", "continue", "log"]),
            ("stop", &["fail", "exit", "abort", "halt", "crash"]),
            ("hold", &["retry", "wait", "block", "pause"]),
        ],
    ),
];

const OFFSETS: Names = &[
    ("earliest", &["beginning", "oldest", "smallest", "first"]),
    ("end", &["latest", "newest", "largest", "last"]),
    ("stop", &["fail", "error", "none", "exit"]),
];

const SKIP_OR_REJECT: Names = &[
    ("skip", &["ignore", "drop", "omit", "null", "none", "strip", "discard"]),
    ("reject", &["fail", "error", "required", "refuse"]),
];

const IGNORE_OR_REJECT: Names = &[
    ("ignore", &["skip", "drop", "nothing", "keep", "none", "discard"]),
    ("reject", &["fail", "error", "refuse"]),
    ("delete", &["remove", "erase"]),
];

/// The word that is meant by another word, for `key`. Both are in lower case.
pub fn meant_word(key: &str, word: &str) -> Option<&'static str> {
    let word = word.replace(['-', ' '], "_");
    let (_, words) = WORDS.iter().find(|(each, _)| *each == key)?;
    words
        .iter()
        .find(|(_, others)| others.contains(&word.as_str()))
        .map(|(meant, _)| *meant)
}

/// Sections in which a key from another section is looked for, in this order.
const MAIN: &[&Section] = &[
    &keys::RUN,
    &keys::KAFKA,
    &keys::AEROSPIKE,
    &keys::WRITE,
    &keys::ROUTE,
    &keys::PUBLISH,
    &keys::REJECT,
];

/// What was meant by `name`, which `section` does not know.
pub fn meant(section: &'static Section, name: &str) -> Option<Meant> {
    let name: String = name.chars().take(80).collect();
    let plain = plain(&name);
    if let Some(key) = of_section(section, &plain) {
        return Some(Meant::Key(key));
    }
    // `[[route_write]]`, `[kafka-properties]`.
    if is(section, &keys::TOP) {
        let tables: [(&str, &'static Section, &str); 5] = [
            ("routewrite", &keys::ROUTE, "write"),
            ("routepublish", &keys::ROUTE, "publish"),
            ("kafkaproperties", &keys::KAFKA, "properties"),
            ("kafkaconsumer", &keys::KAFKA, "consumer"),
            ("kafkaproducer", &keys::KAFKA, "producer"),
        ];
        if let Some((_, of, key)) = tables.iter().find(|(name, ..)| *name == squeezed(&plain)) {
            return Some(Meant::Below(of, key));
        }
    }
    let nothing = NOTHING
        .iter()
        .find(|(of, names, _)| is(of, section) && names.contains(&plain.as_str()));
    if let Some((_, _, cure)) = nothing {
        return Some(Meant::Nothing(cure));
    }
    let names: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    let elsewhere = || {
        if !is(section, &keys::TOP) && !MAIN.iter().any(|each| is(each, section)) {
            return None;
        }
        let same = |of: &&'static Section| {
            let key = of.keys.iter().find(|key| key.name == plain)?;
            (!is(of, section)).then_some(Meant::Below(of, key.name))
        };
        let near: &[&Section] = match section.title {
            "[[route.write]]" | "[[route.publish]]" => &[&keys::ROUTE],
            "[[route]]" => &[&keys::WRITE, &keys::PUBLISH],
            _ => &[],
        };
        near.iter().find_map(same).or_else(|| MAIN.iter().find_map(same))
    };
    let typo = nearest(&plain, &names).filter(|key| strsim::damerau_levenshtein(&plain, key) <= 2);
    typo.or_else(|| by_words(section, &plain))
        .or_else(|| nearest(&name, &names))
        .or_else(|| nearest(&plain, &names))
        .map(Meant::Key)
        .or_else(elsewhere)
        .or_else(|| {
            // Also by their other names. But short names are too common to say where they belong.
            let top = is(section, &keys::TOP) && plain.len() > 3;
            let mut others = MAIN.iter().filter(|_| top);
            others.find_map(|of| of_section(of, &plain).map(|key| Meant::Below(of, key)))
        })
}

fn is(one: &Section, other: &Section) -> bool {
    one.title == other.title
}

/// The key of the section that has this name in any spelling, or that other programs call so.
pub fn named(section: &Section, name: &str) -> Option<&'static str> {
    of_section(section, &plain(name))
}

/// The section's keys that have other names in other programs, each with those names.
fn other_names(section: &Section) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let names = NAMES.iter().find(|(of, _)| is(of, section));
    let names = names
        .map(|(_, names)| *names)
        .or_else(|| operations::entry(section).map(|entry| entry.other_names));
    let names = names.into_iter().flatten().copied();
    let has_operations = is(section, &keys::WRITE);
    let operations = operations::ALL.iter().filter(move |_| has_operations);
    names.chain(operations.map(|descriptor| (descriptor.word, descriptor.other_names)))
}

/// The key that has this name in another spelling, or as another program's name.
fn of_section(section: &Section, plain: &str) -> Option<&'static str> {
    let spelled = section
        .keys
        .iter()
        .map(|key| key.name)
        .find(|name| squeezed(name) == squeezed(plain));
    spelled.or_else(|| {
        other_names(section)
            .find(|(_, others)| others.contains(&plain))
            .map(|(name, _)| name)
    })
}

fn squeezed(name: &str) -> String {
    name.replace('_', "")
}

/// The only key that contains all words of the name, or whose words are all in the name: `rows_per_second`,
/// `topic_name`.
fn by_words(section: &Section, plain: &str) -> Option<&'static str> {
    let words = |name: &str| -> Vec<String> {
        let words = name.split('_').filter(|word| !word.is_empty());
        words
            .map(|word| word.strip_suffix('s').unwrap_or(word).to_owned())
            .collect()
    };
    let meant = words(plain);
    if meant.is_empty() || (meant.len() == 1 && plain.len() < 4) {
        return None;
    }
    let holds = |all: &[String], some: &[String]| some.iter().all(|word| all.contains(word));
    let one = |fits: &dyn Fn(&[String]) -> bool| {
        let mut found = section
            .keys
            .iter()
            .map(|key| key.name)
            .filter(|name| fits(&words(name)));
        found.next().filter(|_| found.next().is_none())
    };
    one(&|key| key.len() == meant.len() && holds(key, &meant))
        .or_else(|| one(&|key| holds(key, &meant)))
        .or_else(|| one(&|key| holds(&meant, key)))
}

/// Brings spellings to one form: `bootstrapServers`, `bootstrap.servers` and `BOOTSTRAP-SERVERS` become the same.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    let mut was_lower = false;
    for c in name.trim().chars() {
        if c.is_uppercase() && was_lower {
            plain.push('_');
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if matches!(c, '-' | '.' | ' ' | '_') {
            if !plain.ends_with('_') {
                plain.push('_');
            }
        } else {
            plain.extend(c.to_lowercase());
        }
    }
    plain.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_are_no_keys_themselves_and_name_keys_that_there_are() {
        let sections = NAMES.iter().map(|(section, _)| *section);
        for section in sections.chain(operations::SECTIONS) {
            for (key, others) in other_names(section) {
                assert!(
                    section.keys.iter().any(|each| each.name == key),
                    "{} {key}",
                    section.title
                );
                for other in others {
                    assert_eq!(plain(other), *other, "{} {other}", section.title);
                    let twice = other_names(section).filter(|(_, all)| all.contains(other)).count();
                    assert_eq!(twice, 1, "{} {other}", section.title);
                    let is_key = section.keys.iter().any(|each| each.name == *other);
                    assert!(!is_key, "{} {other}", section.title);
                }
            }
        }
        for (section, others, _) in NOTHING {
            for other in *others {
                assert!(of_section(section, other).is_none(), "{} {other}", section.title);
            }
        }
    }

    #[test]
    fn a_name_is_taken_for_the_key_that_is_meant() {
        for (section, name, expected) in [
            (&keys::TOP, "KAFKA", "kafka"),
            (&keys::TOP, "routes", "route"),
            (&keys::KAFKA, "bootstrap.servers", "brokers"),
            (&keys::KAFKA, "bootstrapServers", "brokers"),
            (&keys::KAFKA, "group_id", "group"),
            (&keys::KAFKA, "consumer_group", "group"),
            (&keys::KAFKA, "input_topics", "topics"),
            (&keys::AEROSPIKE, "user_name", "user"),
            (&keys::AEROSPIKE, "PASSWORD", "password"),
            (&keys::AEROSPIKE, "useServicesAlternate", "use_services_alternate"),
            (&keys::WRITE, "set_name", "set"),
            (&keys::WRITE, "TTL", "ttl"),
            (&keys::WRITE, "exactly_once", "guard"),
            (&keys::RUN, "max_rows_per_second", "rows_per_second_max"),
            (&keys::RUN, "grace", "shutdown_grace"),
            (&keys::REJECT, "dlq", "topic"),
            (&keys::REJECT, "max_percent", "percent_max"),
        ] {
            match meant(section, name) {
                Some(Meant::Key(key)) => assert_eq!(key, expected, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        for (section, name, below, key) in [
            (&keys::TOP, "write", "[[route]]", "write"),
            (&keys::TOP, "route_write", "[[route]]", "write"),
            (&keys::TOP, "producer", "[kafka]", "producer"),
            (&keys::TOP, "topics", "[kafka]", "topics"),
            (&keys::AEROSPIKE, "set", "[[route.write]]", "set"),
            (&keys::KAFKA, "commit_interval", "[run]", "commit_interval"),
            (&keys::ROUTE, "bins", "[[route.write]]", "bins"),
            (&keys::WRITE, "topics", "[[route]]", "topics"),
        ] {
            match meant(section, name) {
                Some(Meant::Below(of, found)) => assert_eq!((of.title, found), (below, key), "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        for (section, name) in [(&keys::RUN, "speed"), (&keys::TOP, "a b"), (&keys::NEWER, "default")] {
            assert!(meant(section, name).is_none(), "{name}: {:?}", meant(section, name));
        }
    }
}
