//! The messages that are looked at: lines of a file, or the newest messages of a topic.
//!
//! They are kept in memory, bounded in number and in bytes, since they are read twice: for their fields, and to try the
//! configuration that was made of them. Reading a topic joins no group and commits nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::path::Path;

use serde_json::value::RawValue;

use super::options::Init;
use super::{is_stdin, now_ms, refuse, shown};
use crate::cli::message::{Defaults, OwnedMessage, enveloped};
use crate::cli::newest;
use crate::cli::totals;
use crate::config::model::{Config, Format};
use crate::util::exit::Exit;

/// More lines of a file are not read.
const LINES_MAX: usize = 10_000;
/// A longer line is left out. Kafka's own default for a message is 1 MiB.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Keys and payloads of all samples.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages, and where they come from.
pub(super) struct Samples {
    pub messages: Vec<OwnedMessage>,
    /// In a sentence: "of samples.jsonl".
    pub origin: String,
    /// What was not looked at, each in a sentence.
    pub left_out: Vec<String>,
    /// Payloads alone: whether the messages have keys is not known.
    pub are_bare: bool,
}

impl Samples {
    /// The topics that the messages name, each once.
    pub fn topics(&self) -> Vec<String> {
        let topics: BTreeSet<&String> = self.messages.iter().map(|message| &message.topic).collect();
        topics.into_iter().filter(|topic| !topic.is_empty()).cloned().collect()
    }

    /// Leaves out messages of other topics. A message that names none is of this one.
    ///
    /// # Errors
    /// If there are messages, and all are of other topics.
    pub fn keep_topic(&mut self, topic: &str) -> Result<(), String> {
        let before = self.messages.len();
        self.messages
            .retain(|message| message.topic.is_empty() || message.topic == topic);
        for message in &mut self.messages {
            message.topic = topic.to_owned();
        }
        match before - self.messages.len() {
            0 => Ok(()),
            _ if self.messages.is_empty() => Err(format!(
                "no message is of the topic {topic}; name the topic of the samples with --topic"
            )),
            others => {
                self.left_out.push(format!("{others} of other topics"));
                Ok(())
            }
        }
    }
}

/// Reads lines.
pub(super) fn from_file(file: &Path, arguments: &Init) -> Result<Samples, Exit> {
    if is_stdin(file) {
        return lines(&mut io::stdin().lock(), &shown(file), arguments.envelope);
    }
    match std::fs::File::open(file) {
        Ok(opened) => lines(&mut BufReader::new(opened), &shown(file), arguments.envelope),
        Err(error) => Err(refuse(&format!("{}: cannot be read: {error}", shown(file)))),
    }
}

fn lines(reader: &mut dyn BufRead, name: &str, are_envelopes: bool) -> Result<Samples, Exit> {
    let mut samples = Samples {
        messages: Vec::new(),
        origin: format!("of {name}"),
        left_out: Vec::new(),
        are_bare: !are_envelopes,
    };
    let mut defaults = Defaults {
        topic: Some(String::new()),
        offset: 0,
        timestamp_ms: now_ms(),
        format: Format::Json,
    };
    let (mut bytes, mut too_long) = (0, 0_u64);
    for number in 1.. {
        let refused = |why: String| refuse(&format!("{name}:{number}: {why}"));
        let mut line = Vec::new();
        let read = (&mut *reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read = read.map_err(|error| refused(format!("cannot be read: {error}")))?;
        if read == 0 {
            break;
        }
        if samples.messages.len() == LINES_MAX || bytes > BYTES_MAX {
            samples.left_out.push(format!("everything from line {number} on"));
            break;
        }
        if u64::try_from(read) == Ok(LINE_BYTES_MAX) && line.last() != Some(&b'\n') {
            too_long += 1;
            reader
                .skip_until(b'\n')
                .map_err(|error| refused(format!("cannot be read: {error}")))?;
            continue;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || (are_envelopes && str::from_utf8(line).is_ok_and(totals::is_totals)) {
            continue;
        }
        let message = if are_envelopes {
            enveloped(line, &defaults)
        } else {
            OwnedMessage::bare(line, &defaults)
        };
        let message = message.map_err(refused)?;
        if samples.messages.is_empty()
            && !are_envelopes
            && let Some(hint) = hint(line, &defaults)
        {
            let _ = writeln!(io::stderr().lock(), "{name}:{number}: {hint}");
        }
        bytes += line.len();
        defaults.offset += 1;
        samples.messages.push(message);
    }
    if too_long > 0 {
        samples.left_out.push(format!("{too_long} lines of over 16 MiB"));
    }
    if samples.messages.is_empty() {
        return Err(refuse(&format!(
            "{name}: there is no message in it; without --from nothing is read"
        )));
    }
    Ok(samples)
}

/// What the caller may have meant by a first line that is no message.
fn hint(line: &[u8], defaults: &Defaults) -> Option<&'static str> {
    let members: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_slice(line).ok();
    let payloads = ["payload", "payload_text", "payload_base64"];
    match members {
        Some(members) => {
            let is_envelope =
                payloads.iter().any(|name| members.contains_key(*name)) && enveloped(line, defaults).is_ok();
            is_envelope.then_some("this looks like an envelope, which --envelope reads")
        }
        None if matches!(line.trim_ascii(), [.., b'{' | b'[']) => {
            Some("a message is one line; put its JSON on one line, e.g. with jq -c")
        }
        None if matches!(line.trim_ascii(), [b'[', .., b']']) => Some(
            "this is one message, an array; for a message of each element write a line of each, e.g. with jq -c '.[]'",
        ),
        None => None,
    }
}

/// Reads the newest messages, about as many of each partition.
pub(super) fn from_topic(config: &Config, count: u32) -> Result<Samples, Exit> {
    let topic = config.kafka.topics.first().map(String::as_str).unwrap_or_default();
    let view = newest::reach(config)?;
    let partitions = u32::try_from(view.partitions).unwrap_or(u32::MAX).max(1);
    // Some partitions may be empty, so the others give more than their part.
    let of_each = count.min(count.div_ceil(partitions).saturating_mul(4));
    let (mut messages, mut bytes, mut large) = (Vec::new(), 0, 0_u64);
    newest::read(&config.kafka, topic, of_each, &mut |message| {
        let size = message.key.map_or(0, <[u8]>::len) + message.payload.map_or(0, <[u8]>::len);
        if bytes + size > BYTES_MAX {
            large += 1;
            return;
        }
        bytes += size;
        messages.push(OwnedMessage::of(message));
    })?;
    let messages = spread(messages, usize::try_from(count).unwrap_or(usize::MAX));
    let partitions: BTreeSet<i32> = messages.iter().map(|message| message.partition).collect();
    if messages.is_empty() {
        let told = format!("kafka: the topic {topic} holds no message, so nothing is proposed from it\n");
        let _ = io::stderr().lock().write_all(told.as_bytes());
    }
    let mut left_out = Vec::new();
    if large > 0 {
        left_out.push(format!("{large} messages beyond 64 MiB"));
    }
    Ok(Samples {
        messages,
        origin: format!(
            "of the newest of the topic, from {} of its {} partitions",
            partitions.len(),
            view.partitions
        ),
        left_out,
        are_bare: false,
    })
}

/// The newest of each partition in turn, until there are enough; in the order of their times.
fn spread(messages: Vec<OwnedMessage>, count: usize) -> Vec<OwnedMessage> {
    let mut by_partition: BTreeMap<i32, Vec<OwnedMessage>> = BTreeMap::new();
    for message in messages {
        by_partition.entry(message.partition).or_default().push(message);
    }
    for of_one in by_partition.values_mut() {
        of_one.sort_by_key(|message| message.offset);
    }
    let mut kept = Vec::new();
    while kept.len() < count && !by_partition.is_empty() {
        by_partition.retain(|_, of_one| {
            if kept.len() < count {
                kept.extend(of_one.pop());
            }
            !of_one.is_empty()
        });
    }
    kept.sort_by_key(|message| (message.timestamp_ms, message.partition, message.offset));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(partition: i32, offset: i64) -> OwnedMessage {
        OwnedMessage {
            topic: "t".to_owned(),
            partition,
            offset,
            timestamp_ms: Some(offset),
            key: None,
            payload: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn samples_are_the_newest_of_all_partitions() {
        let all = (0..100)
            .map(|offset| message(0, offset))
            .chain((0..3).map(|offset| message(1, offset)));
        let kept = spread(all.collect(), 10);
        let of = |partition: i32| {
            kept.iter()
                .filter(move |message| message.partition == partition)
                .map(|message| message.offset)
        };
        assert_eq!(of(0).collect::<Vec<_>>(), (93..100).collect::<Vec<_>>());
        assert_eq!(of(1).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn lines_are_messages_and_the_rest_is_told() {
        let text = format!("{{}}\r\n\n{}\nnot json", " ".repeat(17 * 1024 * 1024));
        let samples = lines(&mut text.as_bytes(), "x", false).unwrap_or_else(|_| panic!("refused"));
        assert_eq!(samples.messages.len(), 2);
        assert_eq!(samples.messages[0].payload.as_deref(), Some(b"{}".as_slice()));
        assert_eq!(samples.left_out, ["1 lines of over 16 MiB"]);
        let many = "1\n".repeat(LINES_MAX + 5);
        let samples = lines(&mut many.as_bytes(), "x", false).unwrap_or_else(|_| panic!("refused"));
        assert_eq!(samples.messages.len(), LINES_MAX);
        assert_eq!(samples.left_out, ["everything from line 10001 on"]);
        assert!(lines(&mut "\n".as_bytes(), "x", false).is_err());
    }

    #[test]
    fn a_first_line_that_is_meant_otherwise_is_told() {
        let defaults = Defaults {
            topic: Some(String::new()),
            offset: 0,
            timestamp_ms: 0,
            format: Format::Json,
        };
        for (line, part) in [
            ("{\"key\": \"k\", \"payload\": {}}", "--envelope"),
            ("{", "jq -c"),
            ("[{\"a\": 1}]", "jq -c '.[]'"),
            ("{\"schema\": {}, \"payload\": {}}", ""),
            ("{\"key\": \"k\"}", ""),
            ("hello", ""),
        ] {
            let told = hint(line.as_bytes(), &defaults).unwrap_or_default();
            assert!(
                told.contains(part) && told.is_empty() == part.is_empty(),
                "{line}: {told}"
            );
        }
    }

    #[test]
    fn messages_of_other_topics_are_left_out() {
        let text = "{\"topic\":\"a\",\"payload\":1}\n{\"topic\":\"b\",\"payload\":2}\n{\"payload\":3}\n";
        let mut samples = lines(&mut text.as_bytes(), "x", true).unwrap_or_else(|_| panic!("refused"));
        assert_eq!(samples.topics(), ["a", "b"]);
        samples.keep_topic("a").unwrap();
        assert_eq!(samples.messages.len(), 2);
        assert_eq!(samples.topics(), ["a"]);
        assert_eq!(samples.left_out, ["1 of other topics"]);
        assert!(samples.keep_topic("c").is_err());
    }
}
