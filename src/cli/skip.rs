//! `penstock skip`: the group goes on past one message, which is kept first.
//!
//! The order is what makes it safe: the message is shown, kept (acknowledged by Kafka, or on disk), and only then the
//! group's offset is set behind it. A call that is killed in between changes nothing for the service. The next call finds
//! the letter, or the file, and makes no other: a message has one letter, and that says which of its rows are not done.
//!
//! With `--from-file` it skips nothing: a message that a call has kept in a file becomes a dead letter, for `replay`.

// The group: its next offset, its members.
mod group;
// The file that keeps a message.
mod kept;
// The dead letters that are made.
mod letters;

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use jiff::Timestamp;

use self::group::{committing, next, refuse_members};
use self::kept::{Kept, keep_in_file};
use self::letters::{keep_in_topic, letter_of};
use super::message::OwnedMessage;
use super::visible::visible;
use super::{is_stdin, load_to_connect, newest, refuse, shown};
use crate::config::model::{Config, DeadLetterHeaders, RejectAction};
use crate::delivery::reject::{guarded_sets, versioned_sets};
use crate::kafka::Partition;
use crate::kafka::admin::skipping::{Skipping, SkippingError};
use crate::message::{self, Reason, Rejection, SKIPPED};
use crate::output::{Output, Verdict};
use crate::processor::Processor as _;
use crate::rules::mapping::Mapping;
use crate::rules::mapping::tally::Tally;
use crate::util::exit::Exit;
use crate::util::logging::as_error;
use crate::util::start_limit::StartLimit;

/// The arguments of `skip`.
#[derive(Debug, Args)]
pub(super) struct Skip {
    /// The configuration, a TOML file; - is standard input.
    file: PathBuf,
    /// The message: the group's next in its partition.
    #[arg(value_name = "TOPIC:PARTITION:OFFSET", value_parser = place, required_unless_present = "from_file")]
    place: Option<Place>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Show the key and the payload, too.
    #[arg(long)]
    show: bool,
    /// Keep it in this new file, as one envelope line.
    #[arg(long, value_name = "PATH", conflicts_with = "to_topic")]
    to_file: Option<PathBuf>,
    /// Keep it as a dead letter in TOPIC (reject.topic).
    #[arg(long, value_name = "TOPIC", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    to_topic: Option<String>,
    /// Skip nothing: make a dead letter of a kept file.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["place", "to_file", "show"])]
    from_file: Option<PathBuf>,
}

/// Where the message is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&message::place(&self.topic, self.partition, self.offset))
    }
}

fn place(text: &str) -> Result<Place, String> {
    let parts = || {
        let (rest, offset) = text.rsplit_once(':')?;
        let (topic, partition) = rest.rsplit_once(':')?;
        let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
        (!topic.is_empty() && partition >= 0 && (0..i64::MAX).contains(&offset)).then(|| Place {
            topic: topic.to_owned(),
            partition,
            offset,
        })
    };
    parts().ok_or_else(|| "a message's place is TOPIC:PARTITION:OFFSET, e.g. events:3:77".to_owned())
}

/// Where the message is kept.
#[derive(Debug)]
enum Keep<'c> {
    File(&'c Path),
    Topic(&'c str, DeadLetterHeaders),
    /// This dead letter has it already.
    Letter(String),
}

/// The message that is skipped, and what today's rules say about it.
struct Held {
    message: OwnedMessage,
    /// Its leader epoch.
    epoch: Option<i32>,
    rejection: Rejection,
    /// What today's rules say, if they do not reject it.
    verdict: Option<&'static str>,
    /// The sets that the rules of this configuration guard, as the service's own letter of the message would name them.
    guarded: String,
    /// Those whose writes have versions, likewise.
    versioned: String,
}

/// Skips the message, or makes a dead letter of one that was skipped.
pub(super) fn skip_message(arguments: &Skip) -> Exit {
    let Some(config) = load_to_connect(&arguments.file) else {
        return Exit::Configuration;
    };
    let (place, keep) = match asked(arguments, &config) {
        Ok(Asked::Skip(place, keep)) => (place, keep),
        Ok(Asked::Letter(file, kept, topic, headers)) => {
            return letter_of(file, &kept, topic, headers, arguments, &config).unwrap_or_else(|exit| exit);
        }
        Err(why) => return refuse(&why),
    };
    let may_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mapping = match Mapping::compile(&config) {
        Ok(mapping) => mapping,
        Err(error) => {
            tell(&error.to_string());
            return Exit::Panic;
        }
    };
    skip(arguments, may_ask, &config, &mapping, place, &keep).unwrap_or_else(|exit| exit)
}

/// What the call asks for.
enum Asked<'c> {
    Skip(&'c Place, Keep<'c>),
    /// A dead letter of what this file keeps, in this topic.
    Letter(&'c Path, Box<Kept>, &'c str, DeadLetterHeaders),
}

fn asked<'c>(arguments: &'c Skip, config: &'c Config) -> Result<Asked<'c>, String> {
    let is_read = |topic: &str| {
        let topics = config.kafka.topics.join(", ");
        match config.kafka.topics.iter().any(|each| each == topic) {
            true => Ok(()),
            false => Err(format!(
                "the configuration reads no topic \"{}\"; it reads: {topics}",
                visible(topic)
            )),
        }
    };
    let named = |file: &Path, option: &str| match is_stdin(file) || file.as_os_str().is_empty() {
        true => Err(format!("{option} needs the name of a file")),
        false => Ok(()),
    };
    let topic = topic_of_letters(arguments, config)?;
    match (&arguments.from_file, &arguments.place) {
        (Some(file), _) => {
            named(file, "--from-file")?;
            let Some((topic, headers)) = topic else {
                return Err(format!(
                    "{NO_TOPIC}, so say where the dead letter goes: --to-topic=TOPIC"
                ));
            };
            let kept = kept::read(file, config)?;
            is_read(&kept.message.topic)?;
            Ok(Asked::Letter(file, Box::new(kept), topic, headers))
        }
        (None, None) => Err("the place of the message is missing: TOPIC:PARTITION:OFFSET".to_owned()),
        (None, Some(place)) => {
            is_read(&place.topic)?;
            let keep = match (&arguments.to_file, topic) {
                (Some(file), _) => {
                    named(file, "--to-file")?;
                    Keep::File(file)
                }
                (None, Some((topic, headers))) => Keep::Topic(topic, headers),
                (None, None) => {
                    let file = file_name(place);
                    return Err(match arguments.to_topic {
                        None => format!(
                            "{NO_TOPIC}, so say where the message is kept: --to-file {file}, or --to-topic=TOPIC"
                        ),
                        Some(_) => format!(
                            "--to-topic alone means [reject].topic, but {NO_TOPIC}: name a topic that exists, \
                             --to-topic=TOPIC, or keep the message in a file, --to-file {file}"
                        ),
                    });
                }
            };
            Ok(Asked::Skip(place, keep))
        }
    }
}

const NO_TOPIC: &str = "the configuration has no [reject].topic";

/// The topic of dead letters that the call names, or that of the file.
fn topic_of_letters<'c>(
    arguments: &'c Skip,
    config: &'c Config,
) -> Result<Option<(&'c str, DeadLetterHeaders)>, String> {
    let configured = match &config.reject.action {
        RejectAction::DeadLetter { topic, headers } => Some((topic.as_str(), *headers)),
        _ => None,
    };
    match arguments.to_topic.as_deref() {
        None | Some("") => Ok(configured),
        Some(topic) if config.kafka.topics.iter().any(|each| each == topic) => Err(format!(
            "--to-topic is one of kafka.topics: the message would be read again; name another topic than {topic}"
        )),
        Some(topic) => {
            let headers = configured.map_or(DeadLetterHeaders::Penstock, |(_, headers)| headers);
            Ok(Some((topic, headers)))
        }
    }
}

/// A name for the file that keeps the message.
fn file_name(place: &Place) -> String {
    format!("{}-{}-{}.json", place.topic, place.partition, place.offset)
}

fn skip(
    arguments: &Skip,
    may_ask: bool,
    config: &Config,
    mapping: &Mapping,
    place: &Place,
    keep: &Keep<'_>,
) -> Result<Exit, Exit> {
    let view = newest::reach(config)?;
    if view.absent.contains(&place.topic) {
        return Err(refused(&format!("kafka: there is no topic {}", place.topic)));
    }
    let partition = Partition {
        topic: place.topic.as_str().into(),
        number: place.partition,
    };
    let limit = StartLimit::new(Some(newest::timeout(config)));
    let skipping = Skipping::new(&config.kafka, partition, view.answering, &limit).map_err(|error| failed(&error))?;
    if !skipping.has_partition().map_err(|error| failed(&error))? {
        let Place { topic, partition, .. } = place;
        return Err(refused(&format!(
            "kafka: the topic {topic} has no partition {partition}"
        )));
    }
    refuse_members(&skipping, config, "")?;
    let standing = skipping.standing().map_err(|error| failed(&error))?;
    let next = next(&standing, config.kafka.start, place).map_err(|why| refused(&why))?;
    let held = held(&skipping, mapping, place, next)?;
    tell(&described(&held, place, config, arguments.show));
    let has = skipping.letter_of(&held.message.view(), config.run.guard_epoch, &standing);
    let asked = keep;
    let letter = has.map_err(|error| failed(&error))?.map(|(topic, partition, offset)| {
        let letter = message::place(&visible(&topic), partition, offset);
        tell(&format!(
            "letter     {letter} has it already and says which rows are not done: no other is made. If the service can \
             read that topic, it passes the message by itself"
        ));
        Keep::Letter(letter)
    });
    let keep = letter.as_ref().unwrap_or(asked);
    if !arguments.yes && !may_ask {
        return Err(refuse(
            "without a terminal it asks nobody: add --yes to skip the message",
        ));
    }
    if !arguments.yes && !is_wanted(keep)? {
        tell("nothing was done");
        return Ok(Exit::Found);
    }
    // The answer may have taken its time; and not every broker tells who its members are.
    let standing_now = || skipping.standing().map_err(|error| failed(&error));
    let mut standing = standing;
    if standing_now()?.committed != standing.committed {
        return Err(refused(MOVED));
    }
    match (keep, &standing.committed) {
        (Keep::Topic(topic, _), _) => {
            committing(skipping.tell_letters(next, &standing, topic), &skipping, config, "")?;
            standing = standing_now()?;
            if standing
                .committed
                .as_ref()
                .is_none_or(|committed| committed.offset != next)
            {
                return Err(refused(MOVED));
            }
        }
        (Keep::File(_) | Keep::Letter(_), Some(committed)) => {
            committing(skipping.commit_again(committed), &skipping, config, "")?;
        }
        (Keep::File(_) | Keep::Letter(_), None) => {}
    }
    let id = skipping.topic_id();
    let id = (!id.is_none()).then(|| id.to_string());
    let kept = match keep {
        Keep::File(file) => keep_in_file(file, &held, id.as_deref(), config)?,
        Keep::Topic(topic, headers) => keep_in_topic(topic, *headers, &held, id.as_deref(), config)?,
        Keep::Letter(letter) => format!("as the dead letter {letter} (which was there already)"),
    };
    let told = format!(" (it is kept {kept}, and not skipped)");
    let now = standing_now()?;
    if now.committed != standing.committed {
        return Err(refused(&format!("{MOVED}{told}")));
    }
    let next = place.offset + 1;
    let before = standing.committed.as_ref();
    committing(skipping.commit(next, held.epoch, before), &skipping, config, &told)?;
    let _ = writeln!(
        io::stdout().lock(),
        "skipped {place}: kept {kept}; the group {} goes on at offset {next}",
        config.kafka.group
    );
    tell(&what_follows(
        &skipping,
        mapping,
        next < now.log.1,
        next,
        arguments,
        asked,
    ));
    Ok(Exit::Stopped)
}

/// What comes next in the partition: several messages in a row may be bad. `is_more`: the log goes on.
fn what_follows(
    skipping: &Skipping<'_>,
    mapping: &Mapping,
    is_more: bool,
    next: i64,
    arguments: &Skip,
    keep: &Keep<'_>,
) -> String {
    const NONE: &str = "no other message is there now: start the service";
    if !is_more {
        return NONE.to_owned();
    }
    let message = match first(skipping, next) {
        Ok(Some((message, _))) => message,
        Ok(None) => return NONE.to_owned(),
        Err(error) => {
            return format!("the next message cannot be read now; start the service, which says why: {error}");
        }
    };
    let place = Place {
        topic: message.topic.clone(),
        partition: message.partition,
        offset: message.offset,
    };
    match judged(mapping, &message) {
        Ok(verdict) => {
            format!("the next message, {place}, is not rejected by today's rules ({verdict}): start the service")
        }
        Err(rejection) => format!(
            "the next message, {place}, is rejected, too: {}\nto skip it as well: {}",
            visible(&rejection.to_string()),
            command(&place, arguments, keep)
        ),
    }
}

/// The same call for another message.
fn command(place: &Place, arguments: &Skip, keep: &Keep<'_>) -> String {
    let mut text = format!("penstock skip {} {place}", shown(&arguments.file));
    match keep {
        Keep::File(file) => {
            let _ = write!(text, " --to-file {}", shown(&file.with_file_name(file_name(place))));
        }
        Keep::Topic(topic, _) if arguments.to_topic.as_ref().is_some_and(|named| !named.is_empty()) => {
            let _ = write!(text, " --to-topic={}", visible(topic));
        }
        Keep::Topic(..) | Keep::Letter(_) => {}
    }
    if arguments.yes {
        text.push_str(" --yes");
    }
    text
}

const MOVED: &str = "the group's offset has changed meanwhile: look at the service, and call again if it is still held";

/// Prints why it is not done, as the state of the group or the log does not allow it.
fn refused(why: &str) -> Exit {
    tell(&as_error(why));
    Exit::Found
}

fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn failed(error: &SkippingError) -> Exit {
    tell(&as_error(&error.to_string()));
    match error {
        SkippingError::Refused(_) => Exit::Credentials,
        SkippingError::Members(_) => Exit::Found,
        SkippingError::Failed(_) => Exit::Unreachable,
    }
}

/// The message at `place`, which must be the first one at `next` or later.
fn held(skipping: &Skipping<'_>, mapping: &Mapping, place: &Place, next: i64) -> Result<Held, Exit> {
    let found = first(skipping, next).map_err(|error| {
        let exit = failed(&error);
        tell(
            "a message that cannot be read cannot be kept: see the runbook, A rejected message, for how to set the offset \
             by hand",
        );
        exit
    })?;
    let Some((message, epoch)) = found else {
        return Err(refused(&format!(
            "there is no message at offset {next} or behind it: what is there was deleted by compaction or by an aborted \
             transaction, or its transaction is still open. Start the service: it passes them by itself"
        )));
    };
    if message.offset != place.offset {
        let gap = if place.offset < message.offset {
            " (what was at the offsets before it is deleted, compacted or of an aborted transaction; the service passes \
             it by itself)"
        } else {
            ""
        };
        return Err(refused(&format!(
            "the group's next message is {}, not {place}{gap}: only that one can be skipped",
            message::place(&message.topic, message.partition, message.offset)
        )));
    }
    let (rejection, verdict) = match judged(mapping, &message) {
        Err(rejection) => (rejection, None),
        Ok(verdict) => {
            let detail = "a person has skipped it (penstock skip); the rules do not reject it".to_owned();
            (Rejection::new(Reason::Processor(SKIPPED), detail), Some(verdict))
        }
    };
    let rules = mapping.topic(&message.topic);
    let guarded = rules.map_or_else(String::new, |rules| guarded_sets(&rules.guarded_sets()));
    let versioned = rules.map_or_else(String::new, |rules| versioned_sets(&rules.versioned_sets()));
    Ok(Held {
        message,
        epoch,
        rejection,
        verdict,
        guarded,
        versioned,
    })
}

/// The first message at `next` or later, with its leader epoch.
fn first(skipping: &Skipping<'_>, next: i64) -> Result<Option<(OwnedMessage, Option<i32>)>, SkippingError> {
    let mut found = None;
    skipping.first_message(next, &mut |message, epoch| {
        found = Some((OwnedMessage::of(message), epoch));
    })?;
    Ok(found)
}

/// What today's rules say of the message.
fn judged(mapping: &Mapping, message: &OwnedMessage) -> Result<&'static str, Rejection> {
    let mut output = Output::default();
    output.begin(0);
    let view = message.view();
    let verdict = match mapping.topic(&message.topic) {
        Some(rules) => rules.process_counted(&view, now_ms(), &mut output, &Tally::new(mapping))?,
        None => Verdict::Filtered,
    };
    Ok(match verdict {
        Verdict::Kept => "kept",
        Verdict::Filtered => "filtered",
    })
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the user sees before the question.
fn described(held: &Held, place: &Place, config: &Config, with_payload: bool) -> String {
    let message = &held.message;
    let bytes = |bytes: &Option<Vec<u8>>| {
        bytes
            .as_ref()
            .map_or_else(|| "none".to_owned(), |b| format!("{} bytes", b.len()))
    };
    let time = message.timestamp_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let mut text = format!(
        "message    {place}\ngroup      {}\ntime       {}\nkey        {}\npayload    {}\nheaders    {}\n",
        config.kafka.group,
        time.map_or_else(|| "none".to_owned(), |time| time.to_string()),
        bytes(&message.key),
        bytes(&message.payload),
        message.headers.len(),
    );
    // Writing to a String cannot fail.
    let _ = match held.verdict {
        None => {
            let Rejection { reason, detail } = &held.rejection;
            write!(text, "rejected   {}: {}", reason.as_str(), visible(detail))
        }
        Some(verdict) => write!(
            text,
            "today's rules do not reject it ({verdict}). If it is held, it is for the database's refusal, or for a rule \
             that was corrected meanwhile: then start the service instead"
        ),
    };
    if with_payload {
        let _ = write!(text, "\n{}", message.exact_envelope(config.kafka.format));
    }
    text
}

/// Asks on the terminal.
fn is_wanted(keep: &Keep<'_>) -> Result<bool, Exit> {
    let question = match keep {
        Keep::File(file) => format!("Keep it in {}, and skip it?", shown(file)),
        Keep::Topic(topic, _) => format!("Keep it in the topic {}, and skip it?", visible(topic)),
        Keep::Letter(letter) => format!("Skip it, with the letter {letter}?"),
    };
    let _ = write!(io::stderr().lock(), "{question} [y/N] ");
    let mut answer = String::new();
    if let Err(error) = io::stdin().lock().take(100).read_line(&mut answer) {
        return Err(refuse(&format!("standard input: cannot be read: {error}")));
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn at(offset: i64) -> Place {
        Place {
            topic: "events".to_owned(),
            partition: 3,
            offset,
        }
    }

    #[test]
    fn a_place_is_a_topic_a_partition_and_an_offset() {
        assert_eq!(place("events:3:77"), Ok(at(77)));
        assert_eq!(place("a.b-c_d:0:0").unwrap().topic, "a.b-c_d");
        assert_eq!(at(77).to_string(), "events:3:77");
        for text in [
            "",
            "events",
            "events:3",
            ":3:77",
            "events:-1:77",
            "events:3:-77",
            "events:x:77",
            "events:3:",
            "events:3:9223372036854775807",
            "events:3:9223372036854775808",
        ] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
