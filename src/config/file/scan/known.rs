//! What a key's name tells: the kind of its value, and whether it is a secret.

use crate::config::kafka::settable::{COMMON, CONSUMER_ONLY, PRODUCER_ONLY};
use crate::config::keys::{self, Kind};
use crate::config::secrecy;

/// The kind of a key's value, as far as the table of keys says it.
pub(super) fn kind(key: &str) -> Option<Kind> {
    let mut plain = String::new();
    let mut is_index = false;
    for c in key.chars() {
        match c {
            '[' => is_index = true,
            ']' => is_index = false,
            c if !is_index => plain.push(c),
            _ => {}
        }
    }
    let (section, name) = plain.rsplit_once('.')?;
    let section = match section {
        "run" => &keys::RUN,
        "kafka" => &keys::KAFKA,
        "aerospike" => &keys::AEROSPIKE,
        "reject" => &keys::REJECT,
        "route" => &keys::ROUTE,
        "route.write" => &keys::WRITE,
        "route.publish" => &keys::PUBLISH,
        _ => return None,
    };
    section.keys.iter().find(|key| key.name == name).map(|key| key.kind)
}

/// Whether a text behind another key's value is a password with its name.
pub(super) fn names_secret(text: &str) -> bool {
    secrecy::names_secret(text)
}

/// Whether the value is a secret: passwords, and librdkafka properties, which may be one.
pub(super) fn is_secret(key: &str) -> bool {
    let tables = ["kafka.properties", "kafka.consumer", "kafka.producer"];
    names_secret_alone(key) || tables.iter().any(|table| key.contains(table))
}

/// The same without the properties that are none by their names.
pub(super) fn names_secret_alone(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    secrecy::names_secret(&key) || key.contains("sasl") || key.contains("ssl") || key.starts_with("aerospike.tls.key")
}

/// Whether this is a name of the file's language, and no part of a secret that goes on over several lines.
pub(super) fn is_name(written: &str) -> bool {
    let sections = [
        &keys::TOP,
        &keys::RUN,
        &keys::KAFKA,
        &keys::AEROSPIKE,
        &keys::AEROSPIKE_TLS,
        &keys::REJECT,
        &keys::HTTP,
        &keys::ROUTE,
        &keys::WRITE,
        &keys::PUBLISH,
    ];
    let properties = [COMMON, CONSUMER_ONLY, PRODUCER_ONLY];
    sections
        .iter()
        .any(|section| section.keys.iter().any(|key| key.name == written))
        || properties.iter().any(|names| names.contains(&written))
}
