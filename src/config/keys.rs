//! Every key that the file may contain, with its kind, limits and default.
//!
//! This is the only such table. The reader takes defaults and limits from it and finds unknown keys with it, and a test
//! compares the pages of `docs/reference` with it. `later` has the words of the language that this version does not
//! support yet: they are refused by name, never ignored. The keys of `[run]` are in [`super::run`]; those of the
//! operations on bins are in [`super::operations`].

pub use super::key::{Key, Kind, Section};
pub use super::run::RUN;

use super::key::{choice, key, with};
use super::operations;

/// Top level.
pub const TOP: Section = Section {
    title: "the file",
    keys: &[
        key("run", Kind::Table),
        key("kafka", Kind::Table),
        key("aerospike", Kind::Table),
        key("route", Kind::Tables),
        key("reject", Kind::Table),
        key("log", Kind::Table),
        key("http", Kind::Table),
    ],
    later: &[],
};

/// `[kafka]`.
pub const KAFKA: Section = Section {
    title: "[kafka]",
    keys: &[
        key("brokers", Kind::Text),
        key("topics", Kind::List),
        with("group", Kind::Text, "penstock"),
        with("start", choice(&["earliest", "latest"], &[]), "earliest"),
        key("offset_gone", Kind::Table),
        with("format", choice(&["json", "json_sr"], &["raw"]), "json"),
        with("byte_order_mark", choice(&["skip", "reject"], &[]), "skip"),
        key("properties", Kind::Table),
        key("consumer", Kind::Table),
        key("producer", Kind::Table),
    ],
    later: &[],
};

/// `[aerospike]`.
pub const AEROSPIKE: Section = Section {
    title: "[aerospike]",
    keys: &[
        key("hosts", Kind::Text),
        key("namespace", Kind::Text),
        key("user", Kind::Text),
        key("password", Kind::Text),
        key("cluster_name", Kind::Text),
        with("use_services_alternate", Kind::Flag, "false"),
        with("writer", choice(&["native", "client"], &[]), "native"),
        key("tls", Kind::Table),
    ],
    later: &[],
};

/// `[aerospike.tls]`.
pub const AEROSPIKE_TLS: Section = Section {
    title: "[aerospike.tls]",
    keys: &[
        key("name", Kind::Text),
        key("ca", Kind::Text),
        key("certificate", Kind::Text),
        key("key", Kind::Text),
    ],
    later: &[],
};

/// `[[route]]`.
pub const ROUTE: Section = Section {
    title: "[[route]]",
    keys: &[
        key("topics", Kind::List),
        key("when", Kind::Text),
        with("when_error", WHEN_ERROR, "reject"),
        key("payload_schema", Kind::Text),
        with("payload_schema_formats", choice(&["ignore", "check"], &[]), "ignore"),
        key("require", Kind::List),
        with("root", Kind::Text, ""),
        key("json_strings", Kind::List),
        with("tombstone", choice(TOMBSTONE, &[]), "reject"),
        key("write", Kind::Tables),
        key("publish", Kind::Tables),
    ],
    later: &[],
};

/// `[[route.write]]`.
pub const WRITE: Section = Section {
    title: "[[route.write]]",
    keys: &joined::<_, { BEFORE_OPERATIONS.len() + operations::KEYS.len() + AFTER_OPERATIONS.len() }>(&[
        BEFORE_OPERATIONS,
        &operations::KEYS,
        AFTER_OPERATIONS,
    ]),
    later: &[],
};

const BEFORE_OPERATIONS: &[Key] = &[
    key("when", Kind::Text),
    with("when_error", WHEN_ERROR, "reject"),
    key("namespace", Kind::Value),
    key("namespaces_allowed", Kind::List),
    key("set", Kind::Value),
    key("sets_allowed", Kind::List),
    key("key", Kind::Value),
    key("each", Kind::Text),
    with("each_max", Kind::Number { min: 1, max: 10_000 }, "1000"),
    key("bins", Kind::Value),
];

const AFTER_OPERATIONS: &[Key] = &[
    with("touch", Kind::Flag, "false"),
    with("delete", Kind::Flag, "false"),
    key("tombstone", choice(TOMBSTONE, &[])),
    with(
        "mode",
        choice(&["update", "replace", "create", "update_only"], &[]),
        "update",
    ),
    with("on_conflict", choice(&["reject", "ignore"], &[]), "reject"),
    key("newer", Kind::Table),
    key("guard", Kind::Flag),
    with("in_doubt", choice(&["retry", "reject", "hold"], &[]), "retry"),
    with("ttl", Kind::Value, "\"default\""),
    with("ttl_on", choice(&["write", "create"], &[]), "write"),
    with("ttl_past", choice(&["reject", "skip", "delete"], &[]), "reject"),
    key("ttl_words", choice(&["aerospike"], &[])),
    with("send_key", Kind::Flag, "false"),
];

/// `[[route.publish]]`.
pub const PUBLISH: Section = Section {
    title: "[[route.publish]]",
    keys: &[
        key("topic", Kind::Text),
        key("when", Kind::Text),
        with("when_error", WHEN_ERROR, "reject"),
        key("key", Kind::Value),
        with("forward_headers", Kind::Flag, "true"),
        key("headers", Kind::Table),
        key("payload", Kind::Value),
        key("tombstone", choice(TOMBSTONE, &[])),
    ],
    later: &[],
};

const WHEN_ERROR: Kind = choice(&["reject", "false"], &[]);

const BIG_NUMBERS: Kind = choice(&["reject", "string", "float", "skip"], &[]);

const TOMBSTONE: &[&str] = &["reject", "ignore", "delete"];

/// `[reject]`.
pub const REJECT: Section = Section {
    title: "[reject]",
    keys: &[
        with("action", choice(&["hold", "stop", "drop", "dead_letter"], &[]), "hold"),
        key("topic", Kind::Text),
        with("headers", choice(&["penstock", "connect"], &[]), "penstock"),
        with("percent_max", Kind::Number { min: 0, max: 100 }, "20"),
        with(
            "percent_of",
            Kind::Number {
                min: 100,
                max: 10_000_000,
            },
            "10000",
        ),
        with(
            "consecutive_max",
            Kind::Number {
                min: 0,
                max: 10_000_000,
            },
            "1000",
        ),
    ],
    later: &[],
};

/// `[log]`.
pub const LOG: Section = Section {
    title: "[log]",
    keys: &[with("format", choice(&["text", "json"], &[]), "text")],
    later: &[],
};

/// `{ path = …, as = … }` and similar tables, in any place for a value.
pub const VALUE: Section = Section {
    title: "a value",
    keys: &[
        key("path", Kind::Text),
        key("as", choice(AS, &[])),
        key("scale", SCALE),
        key("missing", choice(&["skip", "reject"], &[])),
        key("default", Kind::Value),
        with("big_numbers", BIG_NUMBERS, "reject"),
        key("value", Kind::Value),
        key("object", Kind::Table),
        key("expr", Kind::Text),
    ],
    later: &[],
};

/// `bins = { path = "after.*", … }`.
pub const ALL_BINS: Section = Section {
    title: "all fields as bins",
    keys: &[
        key("path", Kind::Text),
        key("except", Kind::List),
        key("rename", Kind::Table),
        with("long_names", choice(&["reject", "skip"], &[]), "reject"),
        with("big_numbers", BIG_NUMBERS, "reject"),
    ],
    later: &[],
};

/// `newer = { path = …, bin = … }`.
pub const NEWER: Section = Section {
    title: "newer",
    keys: &[
        key("path", Kind::Text),
        key("bin", Kind::Text),
        with(
            "as",
            choice(
                &[
                    "integer",
                    "epoch_s",
                    "epoch_ms",
                    "epoch_us",
                    "epoch_ns",
                    "decimal_integer",
                ],
                &[],
            ),
            "integer",
        ),
        key("scale", SCALE),
        key("missing", choice(&["skip", "reject"], &[])),
    ],
    later: &[],
};

/// `offset_gone = { below = …, beyond = … }`.
pub const OFFSET_GONE: Section = Section {
    title: "offset_gone",
    keys: &[
        with("below", choice(OFFSET_GONE_BOTH, &[]), "earliest"),
        with("beyond", choice(&["resume", "earliest", "end", "stop"], &[]), "resume"),
    ],
    later: &[],
};

/// The possible values if one word is used for both cases.
pub const OFFSET_GONE_BOTH: &[&str] = &["earliest", "end", "stop"];

/// The names of [`super::model::As`].
pub const AS: &[&str] = &[
    "string",
    "integer",
    "float",
    "bool",
    "json",
    "base64",
    "hex",
    "epoch_s",
    "epoch_ms",
    "epoch_us",
    "epoch_ns",
    "decimal",
    "decimal_integer",
    "decimal_float",
];

/// The number of digits after a decimal's point. PostgreSQL's limits, which are the widest of the databases.
pub const SCALE: Kind = Kind::Number { min: -1000, max: 1000 };

/// `[http]`.
pub const HTTP: Section = Section {
    title: "[http]",
    keys: &[key("listen", Kind::Text)],
    later: &[],
};

/// All sections, in the order of the documentation.
pub const ALL: &[&Section] = &joined::<_, { BEFORE_ENTRIES.len() + operations::SECTIONS.len() + 2 }>(&[
    BEFORE_ENTRIES,
    &operations::SECTIONS,
    &[&NEWER, &HTTP],
]);

const BEFORE_ENTRIES: &[&Section] = &[
    &TOP,
    &RUN,
    &KAFKA,
    &OFFSET_GONE,
    &AEROSPIKE,
    &AEROSPIKE_TLS,
    &ROUTE,
    &WRITE,
    &PUBLISH,
    &REJECT,
    &LOG,
    &VALUE,
    &ALL_BINS,
];

/// Concatenates the three; `N` is the total length.
const fn joined<T: Copy, const N: usize>(parts: &[&[T]; 3]) -> [T; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut end) = (0, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            all[end] = parts[part][at];
            at += 1;
            end += 1;
        }
        part += 1;
    }
    assert!(end == N);
    all
}
