//! The files and texts that `ssl.*` names: whether they exist, and whether they have the right content.
//!
//! Checked only by commands that connect, on the machine where they run. Reading the configuration does not need the
//! files. Connects to nothing. Shows the names of files, but not their content, nor anything that may be a secret.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use crate::config::file::fault::Fault;
use crate::config::file::wording::quoted;
use crate::config::kafka::together;
use crate::config::model::{Kafka, TlsProperty};
use crate::config::secrecy::is_text_of_file;

/// Only this many bytes of a file are read.
const LOOKED_AT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The kind of content that a property needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Certificate,
    PrivateKey,
    RevocationList,
}

impl What {
    fn of(name: &str) -> Option<What> {
        match name {
            "ssl.ca.location" | "ssl.ca.pem" | "ssl.certificate.location" | "ssl.certificate.pem" => {
                Some(What::Certificate)
            }
            "ssl.key.location" | "ssl.key.pem" => Some(What::PrivateKey),
            "ssl.crl.location" => Some(What::RevocationList),
            _ => None,
        }
    }

    fn called(self) -> &'static str {
        match self {
            What::Certificate => "PEM certificate",
            What::PrivateKey => "PEM private key",
            What::RevocationList => "PEM revocation list",
        }
    }

    fn begins(self) -> &'static str {
        match self {
            What::Certificate => "-----BEGIN CERTIFICATE-----",
            What::PrivateKey => "-----BEGIN PRIVATE KEY-----",
            What::RevocationList => "-----BEGIN X509 CRL-----",
        }
    }

    fn is_label(self, label: &str) -> bool {
        match self {
            What::Certificate => matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE"),
            What::PrivateKey => label.ends_with("PRIVATE KEY"),
            What::RevocationList => label == "X509 CRL",
        }
    }
}

/// What is wrong with the files, in file order of the configuration.
pub fn look(kafka: &Kafka) -> Vec<Fault> {
    let mut faults: Vec<Fault> = kafka.tls.iter().filter_map(look_at).collect();
    // OpenSSL judges the rest: ciphers, passwords, whether a key belongs to its certificate.
    if faults.is_empty() {
        let sides = [&kafka.consumer_properties, &kafka.producer_properties];
        let tried = sides.into_iter().find_map(|properties| {
            let properties = properties.iter().map(|(name, value)| (name.as_str(), value.0.as_str()));
            together::tls_error(properties)
        });
        faults.extend(tried.and_then(|why| refused(kafka, &why)));
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// librdkafka does not start with the files, for this reason.
fn refused(kafka: &Kafka, why: &str) -> Option<Fault> {
    let is_meant = |property: &&TlsProperty| why.contains(&property.name);
    let property = kafka.tls.iter().find(is_meant).or_else(|| kafka.tls.first())?;
    let tells_secret = kafka.tls.iter().any(|each| {
        let is_hidden = !each.shown || each.name.ends_with(".pem") || each.name.ends_with("password");
        is_hidden && !each.value.0.is_empty() && why.contains(&each.value.0)
    });
    let problem = match tells_secret {
        true => "OpenSSL refuses it".to_owned(),
        false => format!("OpenSSL refuses it: {}", one_line(why)),
    };
    let cure = match property.name.as_str() {
        "ssl.cipher.suites" => "write names of OpenSSL's, e.g. \"ECDHE-RSA-AES256-GCM-SHA384\", or remove it",
        "ssl.curves.list" | "ssl.sigalgs.list" => "write names that OpenSSL knows, or remove it",
        "ssl.keystore.location" => "correct it, or ssl.keystore.password",
        "ssl.key.location" | "ssl.key.pem" => {
            "write the key that goes with the certificate, and ssl.key.password if it has one"
        }
        _ => "correct it",
    };
    Some(fault(property, problem, cure.to_owned()))
}

fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_end_matches(['.', ':', ' ']).to_owned()
}

fn fault(property: &TlsProperty, problem: String, cure: String) -> Fault {
    let shows = property.shown && property.name.ends_with(".location") && !is_text_of_file(&property.value.0);
    Fault {
        line: property.line,
        key: property.key.clone(),
        found: shows.then(|| quoted(&property.value.0)),
        problem,
        cure,
    }
}

fn look_at(property: &TlsProperty) -> Option<Fault> {
    let value = property.value.0.as_str();
    let what = What::of(&property.name);
    let (problem, cure) = match what {
        Some(what) if property.name.ends_with(".pem") => {
            let problem = not_pem(value.as_bytes(), what)?;
            let cure = format!(
                "write the text of the file, from {} to its END line, in '''…''', or the name of the file in {}",
                what.begins(),
                property.name.replace(".pem", ".location")
            );
            (problem, cure)
        }
        // librdkafka searches for the system's own certificates.
        Some(_) if property.name == "ssl.ca.location" && value == "probe" => return None,
        Some(what) => {
            let is_folder_legal = property.name == "ssl.ca.location";
            let bytes = match read(value, is_folder_legal) {
                Ok(bytes) => bytes?,
                Err(problem) => {
                    let cure = format!("name a file with a {} that this user may read", what.called());
                    return Some(fault(property, problem, cure));
                }
            };
            let problem = not_pem(&bytes, what)?;
            let cure = match (bytes.first(), what) {
                (Some(0x30), What::Certificate) => {
                    "convert it: openssl x509 -inform der -in … -out ….pem, or name the PEM file".to_owned()
                }
                _ => format!("name a file with a line {}", what.begins()),
            };
            (problem, cure)
        }
        None if property.name == "ssl.keystore.location" => {
            const CURE: &str = "name a PKCS#12 file that this user may read";
            match read(value, false) {
                Ok(bytes) => not_pkcs12(&bytes?)?,
                Err(problem) => (problem, CURE.to_owned()),
            }
        }
        None => return None,
    };
    Some(fault(property, problem, cure))
}

/// The content of the file; `None`: it is not read.
fn read(path: &str, is_folder_legal: bool) -> Result<Option<Vec<u8>>, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    if path.is_empty() {
        return Err("names no file".to_owned());
    }
    if is_text_of_file(path) {
        return Err("this is the text of a file, and not its path".to_owned());
    }
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        if !is_folder_legal {
            return Err("it is a folder".to_owned());
        }
        return match has_hashed(Path::new(path)) {
            Ok(true) => Ok(None),
            Ok(false) => Err("it is a folder without certificates under their hashes (openssl rehash)".to_owned()),
            Err(error) => Err(unreadable(error)),
        };
    }
    // A pipe can be read only once.
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LOOKED_AT_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(Some(bytes))
}

/// Whether OpenSSL would find something in this folder. It opens only names such as `1a2b3c4d.0`.
fn has_hashed(folder: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_hashed = name
            .to_str()
            .and_then(|name| name.split_once('.'))
            .is_some_and(|(hash, number)| {
                hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && !number.is_empty()
            });
        if is_hashed {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Labels that a fault may name, if a file has one of them instead of the expected one.
const LABELS: &[&str] = &[
    "CERTIFICATE",
    "CERTIFICATE REQUEST",
    "PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "PUBLIC KEY",
    "X509 CRL",
];

fn not_pem(bytes: &[u8], what: What) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let labels = || {
        text.lines()
            .filter_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
    };
    if labels().any(|label| what.is_label(label)) || bytes.len() as u64 == LOOKED_AT_BYTES_MAX {
        return None;
    }
    let called = what.called();
    Some(if bytes.is_empty() {
        format!("is no {called}: it is empty")
    } else if let Some(other) = labels().find_map(|label| LABELS.iter().find(|each| **each == label)) {
        format!("is no {called}: it holds a {other}")
    } else if bytes.first() == Some(&0x30) && std::str::from_utf8(bytes).is_err() {
        format!("is no {called}: it looks like DER")
    } else {
        format!("is no {called}: it has no line {}", what.begins())
    })
}

fn not_pkcs12(bytes: &[u8]) -> Option<(String, String)> {
    match bytes {
        [0x30, ..] => None,
        [0xfe, 0xed, 0xfe, 0xed, ..] => Some((
            "is a Java key store (JKS), and only PKCS#12 can be read".to_owned(),
            "convert it with keytool -importkeystore -deststoretype PKCS12".to_owned(),
        )),
        _ if bytes.starts_with(b"-----BEGIN ") => Some((
            "is PEM, and no PKCS#12 store".to_owned(),
            "write ssl.certificate.location and ssl.key.location".to_owned(),
        )),
        _ => Some(("is no PKCS#12 store".to_owned(), "name a PKCS#12 file".to_owned())),
    }
}
