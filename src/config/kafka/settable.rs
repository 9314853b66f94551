//! Which librdkafka properties may be set, judged by their names alone.
//!
//! All may be set, except those that delivery, order, the memory bound or our own callbacks depend on. These are in
//! [`REFUSED`], each with its reason.

use crate::config::kafka::foreign::foreign_name;

/// Properties that cannot be set, and why.
#[derive(Debug)]
pub struct Refused {
    /// librdkafka's names and their aliases.
    pub names: &'static [&'static str],
    /// Why they cannot be set.
    pub reason: &'static str,
    /// What to do instead.
    pub cure: &'static str,
}

const fn refused(names: &'static [&'static str], reason: &'static str, cure: &'static str) -> Refused {
    Refused { names, reason, cure }
}

/// In the order of the documentation. A name that ends in `*` is a prefix; one that begins with `*` is a suffix.
pub const REFUSED: &[Refused] = &[
    refused(
        &["bootstrap.servers", "metadata.broker.list"],
        "the brokers have a key of their own",
        "write kafka.brokers",
    ),
    refused(&["group.id"], "the group has a key of its own", "write kafka.group"),
    refused(
        &["auto.offset.reset"],
        "where a group begins has a key of its own",
        "write kafka.start",
    ),
    refused(
        &["enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store"],
        "an offset is committed only when all its message asked for is acknowledged, which librdkafka cannot know",
        "remove it",
    ),
    refused(
        &["auto.commit.interval.ms"],
        "librdkafka does not commit by itself here",
        "write run.commit_interval",
    ),
    refused(
        &[
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ],
        "offsets are kept by the brokers, where the next owner of a partition finds them",
        "remove it",
    ),
    refused(
        &["enable.partition.eof"],
        "the end of a partition would arrive in place of a message",
        "remove it",
    ),
    refused(
        &[
            "queued.max.messages.kbytes",
            "queued.min.messages",
            "fetch.queue.backoff.ms",
        ],
        "what is prefetched is sized from run.memory",
        "write run.memory",
    ),
    refused(
        &[
            "fetch.max.bytes",
            "max.partition.fetch.bytes",
            "fetch.message.max.bytes",
        ],
        "the bound on memory counts one fetch for each broker and partition; a larger message is fetched all the same",
        "write run.memory",
    ),
    refused(
        &["message.max.bytes"],
        "for a consumer it raises the size of a fetch, which the bound on memory counts",
        "write it in [kafka.producer], where it bounds what is produced",
    ),
    refused(
        &["topic.blacklist"],
        "a configured topic that it matches would never be read",
        "remove the topic from kafka.topics",
    ),
    refused(
        &["allow.auto.create.topics"],
        "a mistyped topic would be created, empty, instead of being told",
        "create the topic before the start",
    ),
    refused(
        &["group.protocol.type"],
        "another type would not share the topics' partitions out",
        "remove it; group.protocol chooses between classic and consumer",
    ),
    refused(
        &[
            "api.version.request",
            "api.version.fallback.ms",
            "broker.version.fallback",
        ],
        "with an older protocol messages come without headers and timestamps",
        "remove it; brokers from 0.10 on are asked what they know",
    ),
    refused(
        &["acks", "request.required.acks"],
        "a produced message is done when all in-sync replicas have it",
        "remove it; min.insync.replicas is the topic's setting",
    ),
    refused(
        &[
            "enable.idempotence",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
            "enable.gapless.guarantee",
        ],
        "produced messages stay in order and are not doubled by a retry",
        "remove it",
    ),
    refused(
        &[
            "retries",
            "message.send.max.retries",
            "message.timeout.ms",
            "delivery.timeout.ms",
        ],
        "how long a produced message is tried is decided with the offset that waits for it",
        "remove it",
    ),
    refused(
        &["transactional.id", "transaction.timeout.ms"],
        "messages are produced outside transactions; a record in Aerospike cannot be in one",
        "remove it",
    ),
    refused(
        &["delivery.report.only.error"],
        "without its report a produced message would never be done",
        "remove it",
    ),
    refused(
        &["queue.buffering.max.messages", "queue.buffering.max.kbytes"],
        "the producer's queue is sized from run.memory",
        "write run.memory",
    ),
    refused(
        &["queuing.strategy", "msg_order_cmp"],
        "produced messages would change their order",
        "remove it",
    ),
    refused(
        &["statistics.interval.ms", "enabled_events"],
        "Penstock reads statistics and events itself",
        "remove it",
    ),
    refused(
        &["log_level", "log.queue"],
        "librdkafka's log is part of Penstock's, which sets both",
        "set the log's level, e.g. PENSTOCK_LOG=info,librdkafka=debug; `debug` chooses librdkafka's contexts",
    ),
    refused(
        &[
            "*_cb",
            "opaque",
            "default_topic_conf",
            "interceptors",
            "consume.callback.max.messages",
        ],
        "callbacks are the program's, not a file's",
        "remove it",
    ),
    refused(
        &["ssl_key", "ssl_certificate", "ssl_ca", "ssl_engine_callback_data"],
        "it is an object in memory, not a text",
        "write ssl.key.pem, ssl.certificate.pem, ssl.ca.pem or their .location",
    ),
    refused(
        &["plugin.library.paths"],
        "a plugin can take, hold or change messages unseen",
        "remove it",
    ),
    refused(&["internal.termination.signal"], "signals are Penstock's", "remove it"),
    refused(&["test.*", "ut_*"], "it replaces the cluster by a mock", "remove it"),
];

/// Properties only of a consumer. They may be set; a producer ignores them with a warning.
pub const CONSUMER_ONLY: &[&str] = &[
    "group.instance.id",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "group.protocol",
    "group.remote.assignor",
    "coordinator.query.interval.ms",
    "max.poll.interval.ms",
    "fetch.wait.max.ms",
    "fetch.min.bytes",
    "fetch.error.backoff.ms",
    "isolation.level",
    "check.crcs",
];

/// Properties only of a producer. They may be set; a consumer ignores them with a warning.
pub const PRODUCER_ONLY: &[&str] = &[
    "linger.ms",
    "queue.buffering.max.ms",
    "queue.buffering.backpressure.threshold",
    "compression.codec",
    "compression.type",
    "compression.level",
    "batch.num.messages",
    "batch.size",
    "sticky.partitioning.linger.ms",
    "request.timeout.ms",
    "produce.offset.report",
    "partitioner",
];

/// Properties of both that are often set. Suggested for a misspelt name.
pub const COMMON: &[&str] = &[
    "client.id",
    "client.rack",
    "client.dns.lookup",
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "sasl.kerberos.principal",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.config",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "socket.timeout.ms",
    "socket.keepalive.enable",
    "socket.connection.setup.timeout.ms",
    "connections.max.idle.ms",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
    "receive.message.max.bytes",
    "topic.metadata.refresh.interval.ms",
    "metadata.max.age.ms",
    "broker.address.family",
    "debug",
];

/// The table that a property is in. `[kafka.properties]` is for both clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Both,
    Consumer,
    Producer,
}

/// What to say about a librdkafka property among the keys of `[kafka]`, written with dots or underscores.
pub fn misplaced(name: &str) -> Option<(String, String)> {
    let dotted = name.replace('_', ".");
    let names = [name.to_owned(), dotted.clone(), format!("{dotted}.ms")];
    names.iter().find_map(|name| {
        if let Some(refused) = refusal(name, Side::Both) {
            return Some((format!("cannot be set: {}", refused.reason), refused.cure.to_owned()));
        }
        if let Some(foreign) = foreign_name(name) {
            return Some((
                format!("is not librdkafka's: {}", foreign.reason),
                foreign.cure.to_owned(),
            ));
        }
        let mut known = CONSUMER_ONLY.iter().chain(PRODUCER_ONLY).chain(COMMON);
        known.find(|each| *each == name).map(|name| {
            (
                "is a property of librdkafka, no key of [kafka]".to_owned(),
                format!("write \"{name}\" = … below [kafka.properties]"),
            )
        })
    })
}

/// Why a property cannot be set in this table, if so.
pub fn refusal(name: &str, side: Side) -> Option<&'static Refused> {
    if name == "message.max.bytes" && side == Side::Producer {
        return None;
    }
    let matches = |pattern: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (_, Some(start)) => name.starts_with(start),
        _ => name == pattern,
    };
    REFUSED
        .iter()
        .find(|refused| refused.names.iter().any(|pattern| matches(pattern)))
}
