//! The file in which `penstock skip --to-file` keeps a message: one line with the message, byte for byte, and why it
//! was skipped.
//!
//! It is written once, and to disk before anything is committed. `--from-file` reads it again and makes a dead letter
//! of it, which `replay` applies.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Held;
use crate::cli::message::{Defaults, OwnedMessage};
use crate::cli::{json, refuse, shown};
use crate::config::model::Config;
use crate::util::exit::Exit;

/// A message that a call has kept, and what the file says of it.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub message: OwnedMessage,
    /// The consumer group that was past it.
    pub group: String,
    pub topic_id: Option<String>,
    pub guard_epoch: u32,
    /// The sets that the rules of that day guarded, as a letter names them. Empty in files of earlier versions.
    pub guarded: String,
    /// Those whose writes had versions, likewise.
    pub versioned: String,
    /// What the rules of that day said.
    pub reason: String,
    pub detail: String,
    /// When it was kept.
    pub time: Option<Timestamp>,
}

/// Writes the file, and returns where the message is.
pub(super) fn keep_in_file(file: &Path, held: &Held, topic_id: Option<&str>, config: &Config) -> Result<String, Exit> {
    let line = file_line(held, topic_id, config);
    let name = shown(file);
    match write_new(file, line.as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match has_message(file, held, topic_id, config) {
            Ok(true) => return Ok(format!("in {name} (which had it already)")),
            Ok(false) => {
                return Err(refuse(&format!(
                    "{name} is there already and does not keep this message of this group, and nothing is overwritten; \
                     name another file"
                )));
            }
            Err(error) => return Err(refuse(&format!("{name}: cannot be read: {error}"))),
        },
        Err(error) => {
            return Err(refuse(&format!(
                "{name}: cannot be written: {error}; nothing is skipped"
            )));
        }
    }
    Ok(format!("in {name}"))
}

fn file_line(held: &Held, topic_id: Option<&str>, config: &Config) -> String {
    let told = json!({
        "group": config.kafka.group,
        "topic_id": topic_id,
        "guard_epoch": config.run.guard_epoch,
        "guarded": held.guarded,
        "versioned": held.versioned,
        "reason": held.rejection.reason.as_str(),
        "detail": held.rejection.detail,
        "rows_not_done": "all",
        "in_doubt": true,
        "time": Timestamp::now().to_string(),
    });
    let message = held.message.exact_envelope(config.kafka.format);
    json::object(&[("message", message), ("skipped", told.to_string())]) + "\n"
}

/// Reads a file again.
pub(super) fn read(file: &Path, config: &Config) -> Result<Kept, String> {
    let name = shown(file);
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    of_line(text.trim_end(), config).map_err(|why| format!("{name} is no file of penstock skip --to-file: {why}"))
}

fn of_line(line: &str, config: &Config) -> Result<Kept, String> {
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(line).map_err(|error| format!("it is not one JSON object: {error}"))?;
    let member = |name: &str| members.get(name).ok_or_else(|| format!("it has no \"{name}\""));
    let defaults = Defaults::new(config, None, 0);
    let message = OwnedMessage::from_envelope(member("message")?.get(), &defaults)?;
    let told: Value = serde_json::from_str(member("skipped")?.get()).map_err(|error| error.to_string())?;
    let text = |name: &str| told.get(name).and_then(Value::as_str).map(str::to_owned);
    let reason = text("reason").ok_or("\"skipped\" has no \"reason\"")?;
    let epoch = told.get("guard_epoch").and_then(Value::as_u64);
    Ok(Kept {
        message,
        group: text("group").ok_or("\"skipped\" has no \"group\"")?,
        topic_id: text("topic_id"),
        // Files of earlier versions do not say this.
        guard_epoch: epoch.map_or(Ok(config.run.guard_epoch), |epoch| {
            u32::try_from(epoch).map_err(|_| "\"guard_epoch\" is too great".to_owned())
        })?,
        guarded: text("guarded").unwrap_or_default(),
        versioned: text("versioned").unwrap_or_default(),
        detail: text("detail").unwrap_or_default(),
        reason,
        time: text("time").and_then(|time| time.parse().ok()),
    })
}

/// Whether a call before this one has kept the message in this file, whole, for this group. A file of another group would
/// become a letter that this one does not replay.
fn has_message(file: &Path, held: &Held, topic_id: Option<&str>, config: &Config) -> io::Result<bool> {
    let expected = held.message.exact_envelope(config.kafka.format);
    // More than this message, and what is told of it.
    let mut text = String::new();
    let most = u64::try_from(expected.len())
        .unwrap_or(u64::MAX)
        .saturating_add(1 << 20);
    let opened = File::open(file)?;
    if !opened.metadata()?.is_file() || opened.take(most).read_to_string(&mut text).is_err() {
        return Ok(false);
    }
    let is_of_group = text.ends_with('\n')
        && of_line(text.trim_end(), config).is_ok_and(|kept| {
            let of = (kept.group.as_str(), kept.topic_id.as_deref(), kept.guard_epoch);
            of == (&config.kafka.group, topic_id, config.run.guard_epoch)
        });
    if is_of_group && text.starts_with(&format!("{{\"message\":{expected},")) {
        // The call before may have been killed before it was on disk.
        sync(&OpenOptions::new().write(true).open(file)?, file)?;
        return Ok(true);
    }
    Ok(false)
}

/// Writes a file that is not there, to disk. If it fails, the file is removed.
fn write_new(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // It has a payload in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file)?;
    let written = opened.write_all(bytes).and_then(|()| sync(&opened, file));
    written.inspect_err(|_| {
        // Half a file would stand in the way of the next call. The error that is told is the first one.
        let _ = fs::remove_file(file);
    })
}

/// The file and its name in the folder.
fn sync(opened: &File, file: &Path) -> io::Result<()> {
    opened.sync_all()?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Reason, Rejection};

    fn config() -> Config {
        let text = "[kafka]\nbrokers = \"localhost:1\"\ntopics = [\"events\"]\ngroup = \"counts\"\n\
                    [run]\nguard_epoch = 3\n[aerospike]\nhosts = \"localhost:2\"\nnamespace = \"test\"\n\
                    [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"n\"]\n";
        crate::config::parse(text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn held(verdict: Option<&'static str>) -> Held {
        let message = OwnedMessage {
            topic: "events".to_owned(),
            partition: 3,
            offset: 77,
            timestamp_ms: None,
            key: Some(b"\xff".to_vec()),
            payload: Some(b" {\"id\": 1}\n".to_vec()),
            headers: vec![("a".to_owned(), None), ("a".to_owned(), Some(b"b".to_vec()))],
        };
        Held {
            message,
            epoch: None,
            rejection: Rejection::new(Reason::KeyMissing, "no key"),
            verdict,
            guarded: r#"[["test","s"]]"#.to_owned(),
            versioned: r#"[["test","s","_v"]]"#.to_owned(),
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let config = config();
        for (verdict, id) in [(None, Some("QBy2YzzlTsO8kD1ltXvCLg")), (Some("kept"), None)] {
            let held = held(verdict);
            let expected = Kept {
                message: held.message.clone(),
                group: "counts".to_owned(),
                topic_id: id.map(str::to_owned),
                guard_epoch: 3,
                guarded: held.guarded.clone(),
                versioned: held.versioned.clone(),
                reason: "key_missing".to_owned(),
                detail: "no key".to_owned(),
                time: None,
            };
            let line = file_line(&held, id, &config);
            let kept = of_line(line.trim_end(), &config).unwrap();
            assert!(kept.time.is_some(), "{line}");
            assert_eq!(Kept { time: None, ..kept }, expected);
        }
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        for (text, why) in [
            ("", "not one JSON object"),
            ("{}", "has no \"message\""),
            (r#"{"message":{"payload":1}}"#, "has no \"skipped\""),
            (
                r#"{"message":{"payload":1},"skipped":{"reason":"schema"}}"#,
                "no \"group\"",
            ),
            ("{}\n{}", "not one JSON object"),
        ] {
            let refused = of_line(text, &config()).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        // Files that earlier versions have written.
        let before = r#"{"message":{"payload":1},"skipped":{"group":"g","reason":"skipped","detail":"d"}}"#;
        let kept = of_line(before, &config()).unwrap();
        assert!(
            kept.guard_epoch == 3 && kept.topic_id.is_none() && kept.guarded.is_empty(),
            "{kept:?}"
        );
    }

    #[test]
    fn a_file_is_written_once_and_removed_if_it_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept.json");
        write_new(&file, b"a\n").unwrap();
        let again = write_new(&file, b"b\n").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"a\n");
        assert!(write_new(&folder.path().join("none/kept.json"), b"a\n").is_err());
    }
}
