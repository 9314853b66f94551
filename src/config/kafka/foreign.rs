//! Names that Kafka's Java clients use for their properties, and brokers for their listeners. Not the same as misspelt
//! names.
//!
//! Most users who write `[kafka.properties]` copy a `consumer.properties`. librdkafka has many of those properties
//! under other names, or not at all.

use crate::config::names;

/// Names of the Java clients that librdkafka does not have.
#[derive(Debug)]
pub struct Foreign {
    /// The names. A name that ends in `*` is a prefix.
    pub names: &'static [&'static str],
    pub reason: &'static str,
    pub cure: &'static str,
}

const fn foreign(names: &'static [&'static str], reason: &'static str, cure: &'static str) -> Foreign {
    Foreign { names, reason, cure }
}

const CLASS: &str = "it names a Java class, and Penstock runs none";

/// In the order in which they are searched.
pub const FOREIGN: &[Foreign] = &[
    foreign(
        &["sasl.jaas.config"],
        "it is a property of Java's login (JAAS), which librdkafka has not",
        "write sasl.username and sasl.password, with sasl.mechanism and security.protocol beside them",
    ),
    foreign(
        &["ssl.truststore.location"],
        "it is Java's trust store, which librdkafka cannot read",
        "write ssl.ca.location with the authority's certificate as PEM (keytool -exportcert -rfc -keystore …)",
    ),
    foreign(
        &["ssl.truststore.certificates"],
        "it is Java's name",
        "write ssl.ca.pem",
    ),
    foreign(
        &["ssl.truststore.*"],
        "it is of Java's trust store, which librdkafka cannot read",
        "remove it; the authority's certificate goes into ssl.ca.location, as PEM, which has no password",
    ),
    foreign(&["ssl.keystore.key"], "it is Java's name", "write ssl.key.pem"),
    foreign(
        &["ssl.keystore.certificate.chain"],
        "it is Java's name",
        "write ssl.certificate.pem",
    ),
    foreign(
        &["ssl.keystore.type"],
        "it is Java's: ssl.keystore.location is PKCS#12 here, and nothing else",
        "remove it; convert another store with keytool -importkeystore -deststoretype PKCS12",
    ),
    foreign(
        &[
            "ssl.protocol",
            "ssl.enabled.protocols",
            "ssl.provider",
            "ssl.keymanager.algorithm",
            "ssl.trustmanager.algorithm",
            "ssl.secure.random.implementation",
            "security.providers",
        ],
        "it is of Java's TLS; OpenSSL agrees on the version with the broker by itself",
        "remove it",
    ),
    foreign(
        &["ssl.engine.factory.class", "partitioner.class"],
        CLASS,
        "remove it; which partition a key goes to is `partitioner`'s to say, in [kafka.producer]",
    ),
    foreign(
        &[
            "sasl.client.callback.handler.class",
            "sasl.login.callback.handler.class",
            "sasl.login.class",
            "interceptor.classes",
            "metric.reporters",
        ],
        CLASS,
        "remove it",
    ),
    foreign(
        &[
            "sasl.login.*",
            "sasl.kerberos.ticket.*",
            "metrics.*",
            "auto.include.jmx.reporter",
        ],
        "it is of the Java clients, and has no counterpart in librdkafka",
        "remove it",
    ),
    foreign(
        &["key.deserializer", "value.deserializer"],
        "it names a Java class; Penstock decodes messages itself",
        "remove it; kafka.format says how payloads are written",
    ),
    foreign(
        &["key.serializer", "value.serializer"],
        "it names a Java class; Penstock writes what it produces itself",
        "remove it",
    ),
    foreign(
        &["max.poll.records"],
        "it is of Java's poll; a batch here is what is there, up to a cap",
        "remove it, or write run.batch_rows_max",
    ),
    foreign(&["fetch.max.wait.ms"], "it is Java's name", "write fetch.wait.max.ms"),
    foreign(
        &["receive.buffer.bytes"],
        "it is Java's name",
        "write socket.receive.buffer.bytes",
    ),
    foreign(
        &["send.buffer.bytes"],
        "it is Java's name",
        "write socket.send.buffer.bytes",
    ),
    foreign(
        &["default.api.timeout.ms"],
        "it is of Java's calls",
        "remove it, or write socket.timeout.ms",
    ),
    foreign(
        &["max.request.size"],
        "it is Java's name",
        "write message.max.bytes in [kafka.producer]",
    ),
    foreign(
        &["buffer.memory"],
        "the producer's queue is sized from run.memory",
        "write run.memory",
    ),
    foreign(&["max.block.ms"], "it is of Java's producer", "remove it"),
    foreign(
        &["exclude.internal.topics"],
        "it is of Java's patterns of topics; kafka.topics are names",
        "remove it",
    ),
    foreign(
        &["zookeeper.*"],
        "consumers have not spoken to ZooKeeper since Kafka 0.9",
        "remove it; kafka.brokers names the brokers",
    ),
    foreign(
        &["schema.registry.*", "basic.auth.*", "specific.avro.reader"],
        "it is of Confluent's serializers; Penstock asks no schema registry",
        "remove it; for JSON with the registry's five bytes in front write kafka.format = \"json_sr\"",
    ),
];

/// What is known about a name that librdkafka does not have.
pub fn foreign_name(name: &str) -> Option<&'static Foreign> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    FOREIGN
        .iter()
        .find(|foreign| foreign.names.iter().any(|pattern| matches(pattern)))
}

/// What the user meant with a wrong `kafka.brokers`: the problem and the cure. `is_shown`: the cure may repeat parts of
/// the list.
pub fn misread_brokers(list: &str, is_shown: bool) -> Option<(String, String)> {
    let example = |host: &str| {
        if is_shown && host.chars().count() < 80 && names::hosts(host, 1).is_ok() {
            format!("write brokers = {host:?}")
        } else {
            "write host:port, comma-separated".to_owned()
        }
    };
    if let Some((before, _)) = list.split_once("://") {
        let scheme = before.rsplit(',').next().unwrap_or(before).trim().to_ascii_uppercase();
        // The same without schemes.
        let bare: Vec<&str> = list
            .split(',')
            .map(|each| each.split_once("://").map_or(each, |(_, host)| host).trim())
            .map(|each| each.split('/').next().unwrap_or(each))
            .collect();
        let bare = bare.join(",");
        return Some(match scheme.as_str() {
            "PLAINTEXT" => (
                "`PLAINTEXT://` is how a broker writes its listeners".to_owned(),
                example(&bare),
            ),
            "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" => (
                format!("`{scheme}://` is how a broker writes its listeners"),
                format!(
                    "{}, and \"security.protocol\" = \"{}\" below [kafka.properties]",
                    example(&bare),
                    scheme.to_ascii_lowercase()
                ),
            ),
            "HTTP" | "HTTPS" => (
                "it is an address of the web; Kafka's brokers do not speak HTTP".to_owned(),
                "write the host and port of a broker's listener, e.g. \"kafka-1:9092\"; a REST proxy cannot be read from"
                    .to_owned(),
            ),
            "ZK" | "ZOOKEEPER" => (
                "it is an address of ZooKeeper's".to_owned(),
                "write the host and port of a broker's listener, e.g. \"kafka-1:9092\"".to_owned(),
            ),
            _ => (
                "an address has no scheme in front".to_owned(),
                example(&bare),
            ),
        });
    }
    let list = list.trim();
    if list.contains('/') {
        return Some((
            "an address has no path; with one it is ZooKeeper's".to_owned(),
            "write the host and port of each broker's listener, e.g. \"kafka-1:9092,kafka-2:9092\"".to_owned(),
        ));
    }
    if list.starts_with('[') && list.contains(['"', '\'']) {
        return Some((
            "it is a list within a string".to_owned(),
            "write one string, comma-separated, e.g. \"kafka-1:9092,kafka-2:9092\"".to_owned(),
        ));
    }
    let parts: Vec<&str> = list
        .split([';', ' ', '|', '\n', '\t', ','])
        .filter(|part| !part.is_empty())
        .collect();
    if parts.len() > 1 && list.contains([';', ' ', '|', '\n', '\t']) && parts.iter().all(|part| part.contains(':')) {
        return Some(("brokers are separated by commas".to_owned(), example(&parts.join(","))));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_written_for_something_else_is_told_what_would_do() {
        for (list, problem, cure) in [
            ("PLAINTEXT://k:9092", "`PLAINTEXT://`", "brokers = \"k:9092\""),
            (
                "plaintext://k:9092,PLAINTEXT://l:9092",
                "`PLAINTEXT://`",
                "\"k:9092,l:9092\"",
            ),
            (
                "SASL_SSL://k:9093",
                "`SASL_SSL://`",
                "\"security.protocol\" = \"sasl_ssl\"",
            ),
            ("a:9092, ssl://k:9093/", "`SSL://`", "\"a:9092,k:9093\""),
            ("http://k:8082", "web", "kafka-1:9092"),
            ("https://k", "web", "kafka-1:9092"),
            ("zk://k:2181/kafka", "ZooKeeper", "kafka-1:9092"),
            ("EXTERNAL://k:9094", "no scheme", "\"k:9094\""),
            ("k:2181/kafka", "no path", "each broker"),
            ("[\"a:1\", \"b:1\"]", "list within a string", "comma"),
            ("a:1;b:1", "commas", "\"a:1,b:1\""),
            ("a:1 b:1", "commas", "\"a:1,b:1\""),
        ] {
            let (found, said) = misread_brokers(list, true).unwrap_or_else(|| panic!("{list}"));
            assert!(found.contains(problem), "{list}: {found}");
            assert!(said.contains(cure), "{list}: {said}");
            let (found, said) = misread_brokers(list, false).unwrap_or_default();
            for secret in ["k:909", "l:909", "a:1"] {
                assert!(
                    !found.contains(secret) && !said.contains(secret),
                    "{list}: {found}; {said}"
                );
            }
        }
        for list in ["k:9092", "a b", "k:99999", "::1", "[::1]:9092", ""] {
            assert_eq!(misread_brokers(list, true), None, "{list}");
        }
    }
}
