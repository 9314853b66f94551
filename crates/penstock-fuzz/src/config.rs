//! Any text as a configuration: it is accepted and its rules compile, or each fault names a place and a cure, and shows
//! nothing of what a reference refers to.

use penstock::config::{self, Fault, Outside};
use penstock::message::Message;
use penstock::output::Output;
use penstock::processor::Processor as _;
use penstock::rules::mapping::Mapping;
use penstock::web::about::about;

/// What references refer to. It must be in no fault.
const SECRET: &str = "Zq9-secret";

/// Every variable is set, and every file is there, but those whose names begin with `n`.
struct MadeUp;

fn secret(name: &str) -> Result<String, String> {
    match name.as_bytes().first() {
        Some(b'n') => Err("is not set".to_owned()),
        // Something that a file may take: a host, a topic, a path.
        Some(b'h') => Ok(format!("{SECRET}:9092")),
        _ => Ok(format!("{SECRET}\n")),
    }
}

impl Outside for MadeUp {
    fn env(&self, name: &str) -> Result<String, String> {
        secret(name)
    }

    fn file(&self, path: &str) -> Result<String, String> {
        secret(path)
    }
}

pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        let Err(faults) = config::load_from(input, "fuzz.toml") else {
            panic!("accepted, and is no UTF-8");
        };
        let text = String::from_utf8_lossy(input);
        return faults.faults.iter().for_each(|fault| told(fault, &text, true));
    };
    match config::parse_with(text, "fuzz.toml", &MadeUp) {
        Ok(config) => {
            let mapping = Mapping::compile(&config).unwrap_or_else(|error| panic!("accepted, and then: {error}"));
            let _ = about(&config);
            for (topic, rules) in mapping.topics() {
                let message = Message {
                    topic,
                    partition: 0,
                    offset: 1,
                    timestamp_ms: Some(1_767_225_600_000),
                    key: Some(b"k"),
                    payload: Some(
                        br#"{"id": "x", "user": {"id": 7}, "ts": 1767225600000, "items": [{"sku": "a"}], "n": 1.5}"#,
                    ),
                    headers: Vec::new(),
                };
                let mut output = Output::default();
                output.begin(0);
                // Any verdict is right. It must only be one.
                let _ = rules.process(&message, 1_767_225_600_000, &mut output);
            }
        }
        Err(faults) => {
            assert!(!faults.faults.is_empty(), "refused without a fault");
            let is_whole = faults.faults.len() == 1;
            faults.faults.iter().for_each(|fault| told(fault, text, is_whole));
            let all = faults.to_string();
            assert!(!all.contains(SECRET), "a fault shows a secret: {all}");
        }
    }
}

/// A fault says where, what and the way out. Only a single one may be about the file as a whole.
fn told(fault: &Fault, text: &str, is_whole: bool) {
    assert!(!fault.problem.is_empty() && !fault.cure.is_empty(), "{fault:?}");
    assert!(
        fault.line > 0 || !fault.key.is_empty() || is_whole,
        "no place: {fault:?}"
    );
    let lines = text.split('\n').count();
    assert!(fault.line <= lines, "line {} of {lines}: {fault:?}", fault.line);
}
