//! What the name of a key tells about its value: whether nobody may see it.
//!
//! A name may be wrong: `pasword` is meant as a password, too. So a name that may be meant for a secret counts as one.

/// A name with one of these in it names a secret.
const PARTS: &[&str] = &[
    "passw",
    "pasw",
    "passphrase",
    "pass_phrase",
    "secret",
    "credential",
    "token",
    "jaas",
];

/// A name with one of these words in it does.
const WORDS: &[&str] = &[
    "pass",
    "pwd",
    "pw",
    "auth",
    "authorization",
    "bearer",
    "apikey",
    "pin",
    "pem",
    "private",
];

/// Whether the text names a secret: the name of a key, or a line with one in it.
pub fn names_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    PARTS.iter().any(|part| text.contains(part))
        || text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| WORDS.contains(&word))
}

/// Whether this is the text of a file where its path should be, such as a private key: `key = "${file:client.key}"`.
pub fn is_text_of_file(path: &str) -> bool {
    path.contains(['\n', '\r']) || path.contains("-----BEGIN ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_with_their_slips() {
        for name in [
            "aerospike.password",
            "PASSWORD",
            "pasword",
            "kafka.auth",
            "kafka.\"basic.auth.user.info\"",
            "db_pw",
            "user = \"u\" pass = x",
            "ssl.key.pem",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in [
            "kafka.topics",
            "author",
            "passenger",
            "spin",
            "route[0].write[0].key",
            "",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }
}
