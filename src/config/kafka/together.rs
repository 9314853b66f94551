//! Combinations of librdkafka's properties: whether TLS and login are switched on where they are configured, and
//! whether librdkafka would start with them.
//!
//! Connects to nothing. Clients are created without a broker, and without TLS: its files need not exist on the machine
//! that reads a configuration ([`crate::config::kafka::tls_files`] is for the machine that connects).

use std::collections::BTreeMap;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};

use crate::config::file::reader::Node;

/// Values by name, and whether faults may show them.
pub type Set = BTreeMap<String, (String, bool)>;

/// Properties that are left out when librdkafka is tried: they are checked here, or read from files when the service
/// starts.
const NOT_TRIED: &[&str] = &[
    "security.",
    "sasl.",
    "enable.sasl.",
    "ssl.",
    "enable.ssl.",
    "https.",
    "client.id",
    "client.rack",
    "group.instance.id",
    "debug",
];

/// Notes what is wrong with the properties of the consumer and of the producer. `nodes` has the place of each name. Of
/// the producer's properties, only those in its own table (`own`: their names) are reported.
pub fn check(consumer: &Set, producer: &Set, own: &[String], nodes: &[(&str, &Node<'_>)]) {
    if nodes.is_empty() {
        return;
    }
    let place = |name: &str| {
        nodes
            .iter()
            .rev()
            .find(|(each, _)| *each == name)
            .map(|(_, node)| *node)
    };
    let mut is_well = true;
    let mut tell = |name: &str, problem: String, cure: String| {
        if let Some(node) = place(name) {
            node.fault_unshown(problem, cure);
            is_well = false;
        }
    };
    security(consumer, &mut tell);
    let names_own = |name: &str| own.iter().any(|each| each == name);
    security(producer, &mut |name, problem, cure| {
        if names_own(name) {
            tell(name, problem, cure);
        }
    });
    if !is_well {
        return;
    }
    for (set, error) in [
        (consumer, consumer_error(consumer)),
        (producer, producer_error(producer)),
    ] {
        let Some(error) = error else { continue };
        // librdkafka names the property that it means, and does not repeat secret values.
        let named = set.keys().find(|name| error.contains(name.as_str()));
        let shown = set
            .values()
            .all(|(value, shown)| *shown || value.is_empty() || !error.contains(value.as_str()));
        let Some((_, node)) = nodes
            .iter()
            .find(|(name, _)| named.is_some_and(|named| named == name))
            .or_else(|| nodes.first())
        else {
            continue;
        };
        let problem = if shown {
            format!("librdkafka refuses to start: {}", error.trim_end_matches('.'))
        } else {
            "librdkafka refuses to start with it".to_owned()
        };
        node.fault_unshown(problem, cure(&error));
        return;
    }
}

/// The cure for combinations that librdkafka refuses (`rdkafka_conf.c`, `rd_kafka_conf_finalize`;
/// `rdkafka_assignor.c`).
fn cure(error: &str) -> &'static str {
    if error.contains("`reconnect.backoff.max.ms` must be >=") {
        "raise reconnect.backoff.max.ms, 10000 by default, or lower reconnect.backoff.ms"
    } else if error.contains("`receive.message.max.bytes` must be >=") {
        "raise receive.message.max.bytes, or remove it: 100000000 by default"
    } else if error.contains("must have the same protocol type") {
        "write \"cooperative-sticky\" alone, or others without it; to change from one to the other stop all members of the group"
    } else {
        "see the property in librdkafka's CONFIGURATION.md"
    }
}

/// How a client connects to the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security {
    pub tls: bool,
    pub sasl: bool,
}

impl Security {
    /// As `security.protocol` says; plaintext by default.
    pub fn of(protocol: Option<&str>) -> Security {
        let protocol = protocol.unwrap_or_default().to_ascii_lowercase();
        Security {
            tls: protocol == "ssl" || protocol == "sasl_ssl",
            sasl: protocol.starts_with("sasl_"),
        }
    }

    pub fn protocol(self) -> &'static str {
        match (self.sasl, self.tls) {
            (false, false) => "plaintext",
            (false, true) => "ssl",
            (true, false) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        }
    }
}

fn security(set: &Set, tell: &mut dyn FnMut(&str, String, String)) {
    let value = |name: &str| set.get(name).map(|(value, _)| value.as_str());
    let security = Security::of(value("security.protocol"));
    let has = |name: &str| set.contains_key(name);
    let of_login = set
        .keys()
        .find(|name| name.starts_with("sasl.") || name.starts_with("enable.sasl."));
    let of_tls = set.keys().find(|name| name.starts_with("ssl."));
    let now = match value("security.protocol") {
        Some(_) => format!("security.protocol is {}", security.protocol()),
        None => "security.protocol is not set, which is plaintext".to_owned(),
    };
    if let Some(name) = of_login.filter(|_| !security.sasl) {
        let cure = if security.tls || of_tls.is_some() {
            "write \"security.protocol\" = \"sasl_ssl\", or remove it".to_owned()
        } else {
            "write \"security.protocol\" = \"sasl_ssl\", or \"sasl_plaintext\" where the listener has no TLS".to_owned()
        };
        tell(name, format!("has no effect, nobody logs in: {now}"), cure);
        return;
    }
    if let Some(name) = of_tls.filter(|_| !security.tls) {
        let wanted = Security { tls: true, ..security }.protocol();
        tell(
            name,
            format!("has no effect, nothing is encrypted: {now}"),
            format!("write \"security.protocol\" = \"{wanted}\", or remove it"),
        );
        return;
    }
    if has("ssl.keystore.location") && !has("ssl.keystore.password") {
        tell(
            "ssl.keystore.location",
            "a PKCS#12 store has a password".to_owned(),
            "write ssl.keystore.password beside it".to_owned(),
        );
    }
    if let Some((value, _)) = set.get("ssl.keystore.location")
        && [".jks", ".keystore"]
            .iter()
            .any(|end| value.to_ascii_lowercase().ends_with(end))
    {
        tell(
            "ssl.keystore.location",
            "is a Java key store by its name, and only PKCS#12 can be read".to_owned(),
            "convert it with keytool -importkeystore -deststoretype PKCS12".to_owned(),
        );
    }
    if !security.sasl {
        return;
    }
    match value("sasl.mechanism") {
        None => tell(
            "security.protocol",
            "asks for a login, and there is no sasl.mechanism; librdkafka's default, Kerberos, is not built in"
                .to_owned(),
            "write \"sasl.mechanism\" = \"PLAIN\", \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\", whichever the listener has"
                .to_owned(),
        ),
        Some("OAUTHBEARER") => {
            // OIDC needs libcurl, which is not linked. Without it, tokens can only come from a callback in the program.
            let unsecured = value("enable.sasl.oauthbearer.unsecure.jwt");
            if !unsecured.is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "t" | "1")) {
                tell(
                    "sasl.mechanism",
                    "no token could be had: OIDC is not built into Penstock".to_owned(),
                    "use SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or TLS client certificates; for tests write \
                     enable.sasl.oauthbearer.unsecure.jwt = true"
                        .to_owned(),
                );
            } else if let Some(problem) = token_fault(value("sasl.oauthbearer.config").unwrap_or_default()) {
                tell(
                    "sasl.mechanism",
                    format!("no token could be made by sasl.oauthbearer.config: {problem}"),
                    "write sasl.oauthbearer.config = \"principal=NAME scope=SCOPE lifeSeconds=3600\"".to_owned(),
                );
            }
        }
        Some(mechanism) => {
            let absent: Vec<&str> = ["sasl.username", "sasl.password"]
                .into_iter()
                .filter(|name| value(name).is_none_or(str::is_empty))
                .collect();
            if !absent.is_empty() {
                tell(
                    "sasl.mechanism",
                    format!("{mechanism} needs a user and a password"),
                    format!("write {}", absent.join(" and ")),
                );
            }
        }
    }
}

/// What is wrong with the claims of an unsecured token (`rdkafka_sasl_oauthbearer.c`, `parse_ujws_config`). librdkafka
/// finds it only when it connects, and then repeats the value.
fn token_fault(config: &str) -> Option<&'static str> {
    let mut has_principal = false;
    for part in config.split(' ').filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            return Some("a part of it is not NAME=VALUE");
        };
        match name {
            "principal" => has_principal = true,
            "principalClaimName" | "scope" | "scopeClaimName" => {}
            "lifeSeconds" if value.parse::<i32>().is_ok_and(|seconds| seconds > 0) => {}
            "lifeSeconds" => return Some("lifeSeconds is not a number above 0"),
            _ if name.starts_with("extension_") => {}
            _ => {
                return Some(
                    "a name in it is none of principal, principalClaimName, scope, scopeClaimName, lifeSeconds, extension_*",
                );
            }
        }
    }
    (!has_principal).then_some("there is no principal=NAME")
}

/// Logs nothing, since librdkafka is only tried.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Silent {}

impl ProducerContext for Silent {
    type DeliveryOpaque = ();
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// The properties with which librdkafka is tried; `None` if there are none.
fn tried(set: &Set) -> Option<ClientConfig> {
    let mut config = ClientConfig::new();
    let mut is_empty = true;
    for (name, (value, _)) in set {
        if !NOT_TRIED.iter().any(|start| name.starts_with(start)) {
            config.set(name, value);
            is_empty = false;
        }
    }
    (!is_empty).then_some(config)
}

/// Why librdkafka would not start a consumer.
fn consumer_error(set: &Set) -> Option<String> {
    let config = tried(set)?;
    let created: Result<BaseConsumer<Silent>, KafkaError> = config.create_with_context(Silent);
    created.err().map(why)
}

/// Why a client with these properties would not start because of its TLS settings. Reads the files that they name.
pub fn tls_error<'p>(properties: impl Iterator<Item = (&'p str, &'p str)>) -> Option<String> {
    let mut config = ClientConfig::new();
    let mut is_tls = false;
    for (name, value) in properties {
        if name == "security.protocol" {
            is_tls = Security::of(Some(value)).tls;
        } else if name.starts_with("ssl.") || name.starts_with("enable.ssl.") {
            config.set(name, value);
        }
    }
    if !is_tls {
        return None;
    }
    config.set("security.protocol", "ssl");
    let created: Result<BaseConsumer<Silent>, KafkaError> = config.create_with_context(Silent);
    created.err().map(why)
}

/// Why librdkafka would not start a producer.
fn producer_error(set: &Set) -> Option<String> {
    let mut config = tried(set)?;
    config.set("enable.idempotence", "true");
    config.set("message.timeout.ms", "0");
    let created: Result<BaseProducer<Silent>, KafkaError> = config.create_with_context(Silent);
    created.err().map(why)
}

fn why(error: KafkaError) -> String {
    match error {
        KafkaError::ClientCreation(why) | KafkaError::ClientConfig(_, why, ..) => why,
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_which_no_token_can_be_made_are_found() {
        for (config, problem) in [
            ("principal=me", None),
            (
                "principal=me scope=a,b lifeSeconds=60 extension_x=1 principalClaimName=sub",
                None,
            ),
            ("", Some("principal")),
            ("scope=a", Some("principal")),
            ("nonsense", Some("NAME=VALUE")),
            ("principal=", Some("NAME=VALUE")),
            ("principal=me lifeSeconds=0", Some("lifeSeconds")),
            ("principal=me lifeSeconds=-1", Some("lifeSeconds")),
            ("principal=me life=1", Some("none of principal")),
        ] {
            let found = token_fault(config);
            assert_eq!(found.is_some(), problem.is_some(), "{config}: {found:?}");
            assert!(
                problem.is_none_or(|words| found.unwrap().contains(words)),
                "{config}: {found:?}"
            );
        }
    }
}
