//! The grep for secrets: every way to give one, in everything that the program prints, answers and writes.
//!
//! A secret is looked for as it is, in pieces (a text that is cut off tells a part of it), and in other forms: base64,
//! hexadecimal, escaped for JSON, URLs and Rust, and as Aerospike's clients hash it.

// Configurations with mistakes around a secret.
mod mistakes;
// What the program prints, answers and writes.
mod outputs;
// Core files.
mod core_dumps;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A piece of this many bytes is looked for.
const PIECE_BYTES: usize = 7;

/// The cost and the salt of all clients of Aerospike.
const COST: u32 = 10;
const SALT: [u8; 16] = [
    244, 107, 11, 190, 207, 254, 141, 27, 6, 103, 216, 79, 109, 193, 216, 169,
];

/// What may be nowhere.
pub(super) struct Secret {
    /// What it is, for a failure.
    name: String,
    /// In lower case: some messages change the case.
    forms: Vec<String>,
}

impl Secret {
    /// A secret of ASCII characters. Its words (letters and digits) must not occur by chance.
    pub fn new(name: &str, text: &str) -> Secret {
        let mut forms = Vec::new();
        // Not the lines around a key, which all keys have.
        let own: Vec<&str> = text.lines().filter(|line| !line.starts_with("-----")).collect();
        let own = own.join("\n");
        let text = own.as_str();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let bytes = word.as_bytes();
            let pieces = bytes.windows(PIECE_BYTES.min(bytes.len().max(1)));
            forms.extend(
                pieces
                    .filter(|piece| piece.len() >= 5)
                    .map(|piece| String::from_utf8(piece.to_vec()).unwrap()),
            );
        }
        assert!(!forms.is_empty(), "{name} has no word that can be looked for");
        let bytes = text.as_bytes();
        let hex = |separator: &str| {
            let digits: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            digits.join(separator)
        };
        forms.extend(["", " ", ":", ", ", "%", "\\x", ", 0x"].map(hex));
        // `{:?}` of bytes.
        let numbers: Vec<String> = bytes.iter().take(8).map(u8::to_string).collect();
        forms.push(numbers.join(", "));
        forms.push(numbers.join(","));
        // Something may stand in front (`\0user\0password`, `user:password`): each of three places gives other letters.
        for engine in [STANDARD, URL_SAFE] {
            for before in 0..3_usize {
                let coded = engine.encode([vec![b' '; before].as_slice(), bytes].concat());
                let coded = coded.trim_end_matches('=');
                // Without the letters at both ends, which hold bits of what stands beside it.
                let begins = before.div_ceil(1) + usize::from(before > 0);
                let inner = coded.get(begins..coded.len() - 2).unwrap_or_default();
                assert!(inner.len() >= 8, "{name} is too short");
                forms.push(inner[..inner.len().min(20)].to_owned());
            }
        }
        Secret {
            name: name.to_owned(),
            forms: forms.into_iter().map(|form| form.to_lowercase()).collect(),
        }
    }

    /// A password of Aerospike: its hash, which is sent, logs in as well as it does.
    pub fn hashed(name: &str, text: &str) -> Secret {
        let mut secret = Secret::new(name, text);
        let hash = bcrypt::hash_with_salt(text, COST, SALT).unwrap();
        let hash = hash.format_for_version(bcrypt::Version::TwoA);
        // Behind the version, the cost and the salt, which are everybody's.
        secret.forms.extend(Secret::new("its hash", &hash[29..]).forms);
        secret
    }

    /// Fails if the secret is in this text, in any form.
    pub fn assert_not_in(&self, place: &str, text: &str) {
        if let Some(found) = self.found_in(text) {
            panic!("{}: {place} tells it: {found}", self.name);
        }
    }

    /// The line that tells it.
    pub fn found_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        let lower = text.to_lowercase();
        if !self.forms.iter().any(|form| lower.contains(form)) {
            return None;
        }
        let tells = |line: &&str| {
            let line = line.to_lowercase();
            self.forms.iter().any(|form| line.contains(form))
        };
        Some(text.lines().find(tells).unwrap_or("over several lines"))
    }
}
