//! What a key's name tells: the kind of its value, and whether it is a secret.

use crate::config::keys::{self, Kind};

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
    let text = text.to_ascii_lowercase();
    ["password", "passwd", "secret"].iter().any(|word| text.contains(word))
}

/// Whether the value is a secret: passwords, and librdkafka properties, which may be one.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let parts = [
        "password",
        "secret",
        "sasl",
        "ssl",
        "token",
        "kafka.properties",
        "kafka.consumer",
        "kafka.producer",
    ];
    parts.iter().any(|part| key.contains(part))
}
