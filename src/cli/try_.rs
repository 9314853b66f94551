//! `penstock try`: shows what messages would cause, without doing it.
//!
//! Messages come from a file, from standard input or from the end of a topic. Nothing is written, produced or
//! committed, and no group is joined.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::Value;
use serde_json::value::RawValue;

use super::message::{Defaults, OwnedMessage, enveloped, instant};
use super::newest;
use super::outcome::Outcome;
use super::terminal::Colours;
use super::totals::{self, Totals};
use super::{is_stdin, load, refuse, shown};
use crate::config::model::Config;
use crate::rules::mapping::Mapping;
use crate::rules::mapping::tally::Tally;
use crate::util::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct Try {
    /// The configuration, a TOML file; - is standard input.
    file: PathBuf,
    /// Messages, one per line (default: -, standard input).
    #[arg(long, value_name = "MESSAGES", conflicts_with = "from_topic")]
    input: Option<PathBuf>,
    /// Read the newest N messages of each topic in Kafka.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=10_000))]
    from_topic: Option<u32>,
    /// The topic of the lines, or the only one to read.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Each line is an envelope {"key": …, "payload": …}.
    #[arg(long, conflicts_with = "from_topic")]
    envelope: bool,
    /// One JSON line per message, and one with the totals.
    #[arg(long)]
    json: bool,
    /// The time that ttls count from (default: now).
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<i64>,
}

fn time(text: &str) -> Result<i64, String> {
    let json = text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from);
    instant("now", &json.to_string())?.ok_or_else(|| "null is no time".to_owned())
}

/// Tries the messages.
pub(super) fn try_messages(arguments: &Try) -> Exit {
    let input = match (&arguments.input, arguments.from_topic) {
        (_, Some(_)) => None,
        (Some(input), None) => Some(input.clone()),
        (None, None) => Some(PathBuf::from("-")),
    };
    if is_stdin(&arguments.file) && input.as_deref().is_some_and(is_stdin) {
        return refuse("standard input cannot be both the configuration and the messages: name a file for one of them");
    }
    let Some(config) = load(&arguments.file) else {
        return Exit::Configuration;
    };
    let mapping = match Mapping::compile(&config) {
        Ok(mapping) => mapping,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "{error}");
            return Exit::Panic;
        }
    };
    if let Some(topic) = &arguments.topic
        && mapping.topic(topic).is_none()
    {
        let topics = config.kafka.topics.join(", ");
        return refuse(&format!(
            "the configuration reads no topic \"{topic}\"; it reads: {topics}"
        ));
    }
    let now_ms = arguments.now.unwrap_or_else(now_ms);
    let mut trial = Trial {
        config: &config,
        mapping: &mapping,
        now_ms,
        json: arguments.json,
        colours: Colours::of_stdout(),
        counts: [0; 3],
        reasons: BTreeMap::new(),
        tally: Tally::new(&mapping),
        is_over: false,
    };
    let exit = match (input, arguments.from_topic) {
        (Some(input), _) => trial.lines(arguments, &input),
        (None, count) => trial.topics(arguments, count.unwrap_or(1)),
    };
    let nothing = trial.counts == [0; 3];
    if exit.is_none() || !nothing {
        trial.end();
    }
    match exit {
        Some(exit) => exit,
        None if trial.counts[2] > 0 => Exit::Found,
        None => Exit::Stopped,
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

struct Trial<'t> {
    config: &'t Config,
    mapping: &'t Mapping,
    now_ms: i64,
    json: bool,
    colours: Colours,
    /// Kept, filtered, rejected.
    counts: [u64; 3],
    /// Number of rejections by reason.
    reasons: BTreeMap<&'static str, u64>,
    /// The results of each rule.
    tally: Tally,
    /// Nobody reads the output any more.
    is_over: bool,
}

impl Trial<'_> {
    /// `Some`: it ended early, with this exit code.
    fn lines(&mut self, arguments: &Try, input: &PathBuf) -> Option<Exit> {
        let reader: Box<dyn BufRead> = if is_stdin(input) {
            if io::stdin().is_terminal() {
                let _ = writeln!(
                    io::stderr().lock(),
                    "messages are read from standard input, one per line"
                );
            }
            Box::new(io::stdin().lock())
        } else {
            match std::fs::File::open(input) {
                Ok(file) => Box::new(BufReader::new(file)),
                Err(error) => return Some(refuse(&format!("{}: cannot be read: {error}", input.display()))),
            }
        };
        let mut defaults = Defaults::new(self.config, arguments.topic.as_deref(), self.now_ms);
        let mut hinted = false;
        for (number, line) in (1..).zip(reader.split(b'\n')) {
            let refused = |why: String| Some(refuse(&format!("{}:{number}: {why}", shown(input))));
            let line = match line {
                Ok(line) => line,
                Err(error) => return refused(format!("cannot be read: {error}")),
            };
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                continue;
            }
            if arguments.envelope && str::from_utf8(line).is_ok_and(totals::is_totals) {
                continue;
            }
            let message = if arguments.envelope {
                enveloped(line, &defaults)
            } else {
                OwnedMessage::bare(line, &defaults)
            };
            let rejection = match message.and_then(|message| self.message(&message)) {
                Ok(rejection) => rejection,
                Err(why) => return refused(why),
            };
            if !arguments.envelope
                && !hinted
                && let Some(hint) = rejection.and_then(|reason| hint(reason, line, number == 1, &defaults))
            {
                hinted = true;
                let _ = writeln!(io::stderr().lock(), "{}:{number}: {hint}", shown(input));
            }
            if self.is_over {
                break;
            }
            defaults.offset += 1;
        }
        None
    }

    /// `Some`: it ended early, with this exit code.
    fn topics(&mut self, arguments: &Try, count: u32) -> Option<Exit> {
        let kafka = &self.config.kafka;
        let view = match newest::reach(self.config) {
            Ok(view) => view,
            Err(exit) => return Some(exit),
        };
        let wanted = |topic: &&String| arguments.topic.as_ref().is_none_or(|only| only == *topic);
        for topic in kafka.topics.iter().filter(wanted) {
            if view.absent.contains(topic) {
                let _ = writeln!(io::stderr().lock(), "kafka: there is no topic {topic}");
                continue;
            }
            let mut messages: Vec<OwnedMessage> = Vec::new();
            let keep = usize::try_from(count).unwrap_or(usize::MAX);
            let read = newest::read(kafka, topic, count, &mut |message| {
                messages.push(OwnedMessage::of(message));
                if messages.len() >= keep.saturating_mul(2) + 1000 {
                    keep_newest(&mut messages, keep);
                }
                ControlFlow::Continue(())
            });
            if let Err(exit) = read {
                return Some(exit);
            }
            keep_newest(&mut messages, keep);
            for message in &messages {
                if let Err(why) = self.message(message) {
                    let _ = writeln!(io::stderr().lock(), "{why}");
                }
            }
        }
        None
    }

    /// Returns the reason if the message is rejected.
    fn message(&mut self, message: &OwnedMessage) -> Result<Option<&'static str>, String> {
        let outcome = Outcome::of(self.mapping, message, self.now_ms, &self.tally)?;
        let rejection = outcome.rejection.as_ref().map(|(reason, _)| *reason);
        if let Some(reason) = rejection {
            *self.reasons.entry(reason).or_default() += 1;
        }
        self.counts[match outcome.verdict {
            "kept" => 0,
            "filtered" => 1,
            _ => 2,
        }] += 1;
        let text = if self.json {
            outcome.json(message, self.now_ms, self.config.kafka.format) + "\n"
        } else {
            outcome.text(message, self.colours)
        };
        self.is_over = io::stdout().lock().write_all(text.as_bytes()).is_err();
        Ok(rejection)
    }

    fn end(&self) {
        if self.is_over {
            return;
        }
        let totals = Totals {
            counts: self.counts,
            reasons: &self.reasons,
            rules: &self.tally.rules(),
        };
        let text = if self.json {
            totals.json()
        } else {
            totals.text(self.colours)
        };
        let _ = io::stdout().lock().write_all(text.as_bytes());
        for decimal in self.tally.decimals_in_digits() {
            let (written, line, digits) = (&decimal.written, decimal.line, decimal.digits);
            let _ = writeln!(
                io::stderr().lock(),
                "hint: {written} (line {line}) has read {digits} string(s), all of digits only, as base64; if they are \
                 numbers in digits (decimal.handling.mode = string), write as = \"string\" or \"float\" without `scale`"
            );
        }
    }
}

/// What the caller may have meant by a line that is rejected as a payload.
fn hint(reason: &str, line: &[u8], is_first: bool, defaults: &Defaults) -> Option<&'static str> {
    let opens = matches!(line.trim_ascii().last(), Some(b'{' | b'['));
    if is_first && reason == "not_json" && opens {
        return Some("a message is one line; put its JSON on one line, e.g. with jq -c");
    }
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(line).ok()?;
    let is_envelope = ["payload", "payload_text", "payload_base64", "message"]
        .iter()
        .any(|name| members.contains_key(*name));
    (is_envelope && enveloped(line, defaults).is_ok()).then_some("this looks like an envelope, which --envelope reads")
}

/// Keeps the messages with the greatest timestamps, in the order of their timestamps.
fn keep_newest(messages: &mut Vec<OwnedMessage>, count: usize) {
    messages.sort_by_key(|message| (message.timestamp_ms, message.partition, message.offset));
    messages.drain(..messages.len().saturating_sub(count));
}
