//! Whether a configuration that was made here passes, and what it makes of the samples.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};

use serde_json::json;

use super::answers;
use super::key::ProposedKey;
use super::proposal::Proposal;
use super::sampling::Samples;
use super::skeleton::{Answers, skeleton};
use super::target::Target;
use crate::cli::outcome::Outcome;
use crate::cli::refuse;
use crate::cli::visible::visible;
use crate::config::kafka::tls_files;
use crate::config::model::Config;
use crate::config::{self, Faults, System};
use crate::rules::mapping::Mapping;
use crate::rules::mapping::tally::Tally;
use crate::util::exit::Exit;

/// Whether what the options say is right by itself.
pub(super) fn accepted(answers: &Answers, target: &Target) -> Result<Config, Exit> {
    parsed(&skeleton(answers), target).map_err(|faults| refuse(&answers::told(&faults)))
}

/// Checks the text as `penstock check` does. A fault is one of this program: the answers were right by themselves.
pub(super) fn checked(text: &str, target: &Target) -> Result<Config, Exit> {
    parsed(text, target).map_err(|faults| {
        let told = format!(
            "{faults}\nnothing was written, since `penstock check` would refuse it: this is a bug of penstock init, please \
             report it\n"
        );
        let _ = io::stderr().lock().write_all(told.as_bytes());
        Exit::Panic
    })
}

/// As `check` reads it from where it will be: a relative `${file:…}` starts there, and TLS files must exist.
fn parsed(text: &str, target: &Target) -> Result<Config, Faults> {
    const NAME: &str = "the new configuration";
    let config = config::parse_with(
        text,
        NAME,
        &System {
            folder: target.folder(),
        },
    )?;
    let faults = tls_files::look(&config.kafka);
    if faults.is_empty() {
        return Ok(config);
    }
    Err(Faults {
        file: NAME.to_owned(),
        faults,
    })
}

/// What a configuration makes of the samples.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub kept: u64,
    pub filtered: u64,
    pub rejected: u64,
    /// Distinct ones.
    pub records: usize,
    /// For each reason: how many, and the detail of the first one.
    pub reasons: BTreeMap<&'static str, (u64, String)>,
    /// The samples had no keys, and got one for this.
    has_stand_in: bool,
}

/// In place of a key that is not known.
const STAND_IN: &[u8] = b"key";

/// `key`: the record's. If it is the Kafka key, payloads alone get one.
pub(super) fn tried(config: &Config, samples: &Samples, key: &ProposedKey, now_ms: i64) -> Result<Tried, Exit> {
    let bug = |problem: String| {
        let _ = writeln!(io::stderr().lock(), "{problem}");
        Exit::Panic
    };
    let mapping = Mapping::compile(config).map_err(|error| bug(error.to_string()))?;
    let tally = Tally::new(&mapping);
    let mut tried = Tried {
        has_stand_in: samples.are_bare && key.shown == "@key",
        ..Tried::default()
    };
    let mut records: BTreeSet<String> = BTreeSet::new();
    for message in &samples.messages {
        let outcome = match tried.has_stand_in {
            true => {
                let mut message = message.clone();
                message.key = Some(STAND_IN.to_vec());
                Outcome::of(&mapping, &message, now_ms, &tally)
            }
            false => Outcome::of(&mapping, message, now_ms, &tally),
        };
        let outcome = outcome.map_err(bug)?;
        match (outcome.verdict, outcome.rejection) {
            (_, Some((reason, detail))) => {
                tried.rejected += 1;
                tried.reasons.entry(reason).or_insert((0, detail)).0 += 1;
            }
            ("filtered", None) => tried.filtered += 1,
            (_, None) => {
                tried.kept += 1;
                let places = outcome.records.iter();
                records.extend(places.map(|(_, row)| json!([row["namespace"], row["set"], row["key"]]).to_string()));
            }
        }
    }
    tried.records = records.len();
    Ok(tried)
}

impl Tried {
    /// Lines for a person.
    pub fn told(&self, samples: &Samples, proposal: &Proposal) -> String {
        let n = samples.messages.len();
        if n == 0 {
            return String::new();
        }
        if samples.are_bare && proposal.key.is_of_key() && !self.has_stand_in {
            return format!(
                "the {n} samples were not tried: the record's key is the Kafka key, and lines without --envelope have none\n"
            );
        }
        let with = if self.has_stand_in {
            ", each with a stand-in Kafka key"
        } else {
            ""
        };
        let mut told = format!(
            "tried on the {n} samples{with}: {} would be written as {} record(s), {} filtered, {} rejected\n",
            self.kept, self.records, self.filtered, self.rejected
        );
        for (reason, (count, detail)) in &self.reasons {
            told.push_str(&format!("  {reason} {count}, for example: {}\n", visible(detail)));
        }
        if self.has_stand_in {
            told.push_str(
                "  the record's key is the Kafka key, and lines without --envelope have none: `penstock try` rejects all of \
                 these lines\n  for that. Look at messages with their keys: --from-topic, or --envelope\n",
            );
        }
        if proposal.key.is_place() && proposal.is_key_proposed {
            told.push_str(
                "  WARNING: each message makes a record of its own, also a change of an earlier one: no field was found \
                 that\n  could be the key. Name one with --key, or change `key` in the file\n",
            );
        }
        told
    }
}
