//! `penstock dead`: what is in a topic of dead letters, by reason, write and day.
//!
//! Reads by assignment, joins no group, commits nothing. Shows payloads and keys only where letters are asked for
//! (`--show`). The topic is then read twice: to find the letters, and to print them.

// The counts.
mod groups;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::groups::{Groups, MESSAGES_MAX, Place};
use super::message::OwnedMessage;
use super::terminal::{Colours, Tone};
use super::visible::visible;
use super::{json, load_to_connect, newest, refuse};
use crate::aerospike::chain;
use crate::config::model::{Config, Format};
use crate::delivery::letter::Letter;
use crate::kafka::admin::newest::{NewestError, Span, Step, read_through, waits, whole};
use crate::message::{self, Message};
use crate::replay::reasons::Reasons;
use crate::replay::selection::{self, Selection};
use crate::replay::{source, totals};
use crate::util::exit::Exit;

/// The arguments of `dead`.
#[derive(Debug, Args)]
pub(super) struct Dead {
    /// The configuration, a TOML file; - is standard input.
    file: PathBuf,
    /// The topic of the dead letters (default: reject.topic).
    #[arg(long, value_name = "TOPIC")]
    from: Option<String>,
    /// Only letters made at this time or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only letters made before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only letters with this reason; may be repeated.
    #[arg(long = "reason", value_name = "REASON")]
    reasons: Vec<String>,
    /// Print the newest N letters, with key and payload.
    #[arg(long, value_name = "N", conflicts_with = "json",
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=10_000))]
    show: Option<u32>,
    /// The counts as one JSON line.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Timestamp, String> {
    selection::time(text, Timestamp::now())
}

/// Lists the letters.
pub(super) fn dead_letters(arguments: &Dead) -> Exit {
    let Some(config) = load_to_connect(&arguments.file) else {
        return Exit::Configuration;
    };
    let topic = match source::choose(arguments.from.as_deref(), &config) {
        Ok(topic) => topic,
        Err(problem) => return refuse(&problem),
    };
    let selection = Selection {
        since: arguments.since,
        until: arguments.until,
        reasons: arguments.reasons.clone(),
        limit: None,
    };
    if let Some(mistake) = selection.mistake() {
        return refuse(&mistake);
    }
    listed(arguments, &config, topic, &selection).unwrap_or_else(|exit| exit)
}

fn listed(arguments: &Dead, config: &Config, topic: &str, selection: &Selection) -> Result<Exit, Exit> {
    newest::reach(config)?;
    let spans = whole(&config.kafka, topic).map_err(|error| failed(&error, topic, config))?;
    let mut reasons = Reasons::new(&selection.reasons);
    let mut groups = Groups::default();
    // The newest letters that are selected: the oldest of them on top.
    let mut shown: BinaryHeap<Reverse<(Timestamp, Place)>> = BinaryHeap::new();
    let show = usize::try_from(arguments.show.unwrap_or(0)).unwrap_or(usize::MAX);
    let read = read_through(&config.kafka, topic, &spans, &mut |step| {
        let message = match step {
            Step::Message(message) => message,
            Step::Nothing => return ControlFlow::Continue(()),
            Step::Waits(span) => {
                let _ = writeln!(io::stderr().lock(), "{}", waits(&visible(topic), &span));
                return ControlFlow::Continue(());
            }
        };
        let place = Place::of(message);
        match Letter::read(message) {
            Err(why) => groups.unreadable(&why, place),
            Ok(letter) => {
                reasons.see(letter.reason);
                let is_selected = selection.takes(&letter);
                groups.add(&letter, message, is_selected);
                if is_selected && show > 0 {
                    shown.push(Reverse((letter.time, place)));
                    if shown.len() > show {
                        shown.pop();
                    }
                }
            }
        }
        ControlFlow::Continue(())
    });
    let unread = read.map_err(|error| failed(&error, topic, config))?;
    if let Some(mistake) = reasons.mistake(&visible(topic)) {
        return Err(refuse(&mistake));
    }
    for span in &unread {
        let _ = writeln!(io::stderr().lock(), "{}", totals::unread(&visible(topic), span));
    }
    if let Some(gone) = totals::gone(&visible(topic), &spans) {
        let _ = writeln!(io::stderr().lock(), "{gone}");
    }
    let exit = if groups.letters == 0 || !unread.is_empty() {
        Exit::Found
    } else {
        Exit::Stopped
    };
    if arguments.show.is_some() {
        let _ = writeln!(io::stderr().lock(), "{}", summary(&groups, topic, Colours::none()));
        let places = shown.into_iter().map(|Reverse((_, place))| place).collect();
        print_letters(config, topic, &places)?;
    } else {
        let text = if arguments.json {
            as_json(&groups, topic, &unread) + "\n"
        } else {
            as_text(&groups, topic, Colours::of_stdout())
        };
        // Nobody may read it any more.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }
    Ok(exit)
}

fn failed(error: &NewestError, topic: &str, config: &Config) -> Exit {
    if error.is_absent() {
        return refuse(&source::absent(topic, config));
    }
    let _ = writeln!(io::stderr().lock(), "{}", chain(error));
    if error.is_refusal() {
        Exit::Credentials
    } else {
        Exit::Unreachable
    }
}

/// Reads the topic again, and prints the letters at these places.
fn print_letters(config: &Config, topic: &str, places: &BTreeSet<Place>) -> Result<(), Exit> {
    let mut spans: Vec<Span> = Vec::new();
    // In the order of the partitions, and of the offsets in each.
    for place in places {
        match spans.last_mut() {
            Some(span) if span.partition == place.partition => span.end = place.offset + 1,
            _ => spans.push(Span {
                partition: place.partition,
                begin: place.offset,
                end: place.offset + 1,
            }),
        }
    }
    let mut out = io::stdout().lock();
    let read = read_through(&config.kafka, topic, &spans, &mut |step| {
        let Step::Message(message) = step else {
            return ControlFlow::Continue(());
        };
        let place = Place::of(message);
        if places.contains(&place)
            && let Ok(letter) = Letter::read(message)
            && writeln!(out, "{}", line(&letter, message, config.kafka.format)).is_err()
        {
            // Nobody reads the output any more.
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    read.map(drop).map_err(|error| failed(&error, topic, config))
}

/// A letter on one line: an envelope of the rejected message, and what the letter says.
fn line(letter: &Letter<'_>, from: &Message<'_>, format: Format) -> String {
    let message = OwnedMessage::of(&letter.message(from));
    let told = json!({
        "place": message::place(from.topic, from.partition, from.offset),
        "reason": letter.reason,
        "detail": letter.detail,
        "time": letter.time.to_string(),
        "tries": letter.tries,
        "group": letter.group,
    });
    json::object(&[
        ("message", message.exact_envelope(format)),
        ("letter", told.to_string()),
    ])
}

/// One line: how many there are.
fn summary(groups: &Groups, topic: &str, colours: Colours) -> String {
    let Groups {
        letters,
        messages,
        unselected,
        ..
    } = groups;
    let at_most = if groups.is_full { "at most " } else { "" };
    let mut text = format!("{topic}: {letters} letters of {at_most}{messages} messages");
    if *unselected > 0 {
        let _ = write!(text, "; {unselected} letters are not selected");
    }
    let unreadable: u64 = groups.unreadable.values().map(|(count, _)| count).sum();
    if unreadable > 0 {
        let told = format!("{unreadable} unreadable");
        let _ = write!(text, "; {}", colours.paint(Tone::Bad, told));
    }
    text
}

fn as_text(groups: &Groups, topic: &str, colours: Colours) -> String {
    let mut text = summary(groups, topic, colours) + "\n";
    if groups.is_full {
        let _ = writeln!(
            text,
            "{MESSAGES_MAX} messages are told apart; each further letter counts as a message of its own"
        );
    }
    let place = |place: &Place| message::place(topic, place.partition, place.offset);
    for (key, group) in groups.sorted() {
        let reason = colours.paint(Tone::Bad, &key.reason);
        let example = &group.example;
        let _ = write!(
            text,
            "\n{}  {reason}  not done: {}\n  letters: {}  messages: {}\n  e.g. {}, letter {}\n  {}\n",
            key.day,
            key.writes,
            group.letters,
            group.messages,
            example.message,
            place(&example.letter),
            group.details.first(),
        );
        for more in group.details.more(topic) {
            let _ = writeln!(text, "  {more}");
        }
    }
    if groups.others.0 > 0 {
        let (letters, messages) = groups.others;
        let _ = write!(text, "\nothers  letters: {letters}  messages: {messages}\n");
    }
    for (why, (count, example)) in &groups.unreadable {
        let _ = write!(text, "\nunreadable: {count}: {why}\n  e.g. {}\n", place(example));
    }
    text
}

fn as_json(groups: &Groups, topic: &str, unread: &[Span]) -> String {
    let place = |place: &Place| message::place(topic, place.partition, place.offset);
    let listed = groups.sorted().into_iter().map(|(key, group)| {
        let details = group.details.known.iter();
        let details = details.map(|known| {
            json!({
                "detail": known.detail,
                "letters": known.letters,
                "letter": place(&known.place),
            })
        });
        json!({
            "reason": key.reason,
            "not_done": key.writes,
            "day": key.day.to_string(),
            "letters": group.letters,
            "messages": group.messages,
            "example": {
                "message": group.example.message,
                "letter": place(&group.example.letter),
                "detail": group.details.first(),
            },
            "details": details.collect::<Vec<Value>>(),
            "other_details": group.details.others,
        })
    });
    let unreadable = groups
        .unreadable
        .iter()
        .map(|(why, (count, example))| json!({ "why": why, "messages": count, "example": place(example) }));
    let unread = unread
        .iter()
        .map(|span| json!({ "partition": span.partition, "from": span.begin, "to": span.end - 1 }));
    let all = json!({
        "topic": topic,
        "letters": groups.letters,
        "messages": groups.messages,
        "messages_exact": !groups.is_full,
        "unselected": groups.unselected,
        "groups": listed.collect::<Vec<Value>>(),
        "others": { "letters": groups.others.0, "messages": groups.others.1 },
        "unreadable": unreadable.collect::<Vec<Value>>(),
        "not_read": unread.collect::<Vec<Value>>(),
    });
    all.to_string()
}
