//! `penstock init`: writes a commented configuration, from answers or from sample messages.
//!
//! The way of a call: `options` is the command line. `sampling` reads messages, from a file or from the end of a topic.
//! `shape` counts what is in them, and keeps no values. `answers` settles what the options leave open, with questions
//! on a terminal; `skeleton` has the result. `proposal` decides on a key, bins and suggestions, `text` writes the file, and `trial` checks it as
//! `penstock check` does and puts the samples through it as `penstock try` does. Only what passes is written, by
//! `target`.
//!
//! Nothing of a message's values is in the file, except with `--show-values`. Names are, but not those that look like
//! data, and not those of a map.

// The arguments.
mod options;
// Strings, keys, paths and comments of the file.
mod written;
// One setting of it.
mod line;
// The sections that are made of answers.
mod skeleton;
// Questions, defaults, and what the options say.
mod answers;
// Messages to look at.
mod sampling;
// Names in them that look like data.
mod data_names;
// What is in them.
mod shape;
// What a string or a number looks like.
mod looks;
// The record's key.
mod key;
// Names of bins.
mod bin_names;
// Everything that is proposed.
mod proposal;
// The file.
mod text;
// Whether the file passes, and what it makes of the samples.
mod trial;
// Where the file goes.
mod target;
// What the fuzz target calls.
pub(super) mod fuzzing;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) use options::Init;

use super::{is_stdin, refuse, shown};
use crate::util::exit::Exit;
use answers::{Asking, Terminal, What};
use sampling::Samples;
use shape::Shape;
use skeleton::Answers;
use target::Target;

/// How many messages of a topic are looked at where the caller does not say.
const SAMPLES_DEFAULT: &str = "200";

/// Writes a configuration.
pub(super) fn init(arguments: &Init) -> Exit {
    let target = match Target::of(arguments.file.as_deref(), arguments.force) {
        Ok(target) => target,
        Err(problem) => return refuse(&problem),
    };
    let asks = !arguments.yes
        && io::stdin().is_terminal()
        && io::stderr().is_terminal()
        && !arguments.from.as_deref().is_some_and(is_stdin);
    // Samples from standard input need the lock for themselves.
    let mut input = asks.then(|| io::stdin().lock());
    let mut output = io::stderr();
    let terminal: Option<Terminal<'_>> = match &mut input {
        Some(input) => Some((input, &mut output)),
        None => None,
    };
    match written(arguments, &target, terminal) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// The reason of an exit code is printed. Without a terminal nothing is asked.
fn written(arguments: &Init, target: &Target, terminal: Option<Terminal<'_>>) -> Result<Exit, Exit> {
    let mut asking = Asking::new(arguments, terminal);
    let answered = |problem: String| refuse(&problem);
    asking.assert_options().map_err(answered)?;
    // Before anything is asked or read.
    trial::accepted(&asking.answers(), target)?;
    asking
        .say("Enter takes the default, in brackets. Nothing is written before the last answer.")
        .map_err(answered)?;
    let mut samples = match &arguments.from {
        Some(file) => Some(sampling::from_file(file, arguments)?),
        None => None,
    };
    let topics = samples.as_ref().map(Samples::topics).unwrap_or_default();
    asking.ask(What::Brokers, Some("127.0.0.1:9092")).map_err(answered)?;
    let topic = match topics.as_slice() {
        [topic] => asking.ask(What::Topic, Some(topic)),
        _ => asking.ask(What::Topic, None),
    };
    let topic = topic.map_err(answered)?;
    asking.assert_complete().map_err(answered)?;
    if let Some(samples) = &mut samples {
        samples.keep_topic(&topic).map_err(answered)?;
    }
    let count = match arguments.from_topic {
        Some(count) => Some(count),
        None if samples.is_none() => asking.ask_count(&topic).map_err(answered)?,
        None => None,
    };
    if let Some(count) = count {
        let config = trial::accepted(&asking.answers(), target)?;
        match sampling::from_topic(&config, count) {
            Ok(found) => samples = Some(found),
            // Who has answered questions already shall not have to do so again.
            Err(_) if arguments.from_topic.is_none() => {
                asking.say("So it goes on without samples.").map_err(answered)?;
            }
            Err(exit) => return Err(exit),
        }
    }

    let shape = samples
        .as_ref()
        .map(|samples| Shape::of(samples, arguments.show_values));
    let useless = shape.as_ref().filter(|shape| shape.is_useless());
    if let Some(shape) = useless {
        let mut told = useless_told(shape);
        if !arguments.force {
            told.push_str(
                "nothing was written, since it could only reject these messages; to write it all the same, name a FILE and \
                 add --force\n",
            );
        }
        let _ = io::stderr().lock().write_all(told.as_bytes());
        if !arguments.force {
            return Err(Exit::Found);
        }
    }
    asking
        .ask(What::Group, Some(&answers::group_of(&topic)))
        .map_err(answered)?;
    asking.ask(What::Hosts, Some("127.0.0.1:3000")).map_err(answered)?;
    asking.ask(What::Namespace, Some("test")).map_err(answered)?;
    let set = proposal::set(&topic, shape.as_ref());
    asking.ask(What::Set, Some(&set)).map_err(answered)?;
    let proposed = key::proposed(shape.as_ref());
    for reason in &proposed.reasons {
        asking.say(reason).map_err(answered)?;
    }
    asking.ask(What::Key, Some(&proposed.shown)).map_err(answered)?;
    if asking.ask(What::Reject, Some("dead_letter")).map_err(answered)? == "dead_letter" {
        let dead = format!("{topic}.dead");
        asking.ask(What::DeadLetterTopic, Some(&dead)).map_err(answered)?;
    }
    let answers: Answers = asking.answers();
    // What the options say must be right by itself. A fault after this is one of this program.
    trial::accepted(&answers, target)?;

    let proposal = proposal::Proposal::of(&answers, shape.as_ref(), proposed);
    let text = text::text(&answers, &proposal, samples.as_ref(), shape.as_ref(), target);
    let config = trial::checked(&text, target)?;
    let result = match &samples {
        Some(samples) => Some(trial::tried(&config, samples, &proposal.key, now_ms())?),
        None => None,
    };
    target.write(&text).map_err(answered)?;
    let told = match useless {
        Some(_) => format!(
            "wrote {}; `penstock check` accepts it, and it rejects all of the samples\n",
            target.shown()
        ),
        None => told(target, samples.as_ref(), &proposal, result.as_ref()),
    };
    let _ = io::stderr().lock().write_all(told.as_bytes());
    Ok(match useless {
        Some(_) => Exit::Found,
        None => Exit::Stopped,
    })
}

/// Lines for a person: none of the payloads is JSON.
fn useless_told(shape: &Shape) -> String {
    let mut told = format!(
        "Penstock cannot use these messages: it reads JSON only, and none of the {} samples is JSON\n",
        shape.messages
    );
    for (what, count) in &shape.unread {
        told.push_str(&format!("  {count} look like: {what}\n"));
    }
    if shape.tombstones > 0 {
        told.push_str(&format!("  {} have no payload\n", shape.tombstones));
    }
    told.push_str("  have the producer write JSON, or put something between that makes JSON of them\n");
    told
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The last words: what was written, what it makes of the samples, and what comes next.
fn told(
    target: &Target,
    samples: Option<&Samples>,
    proposal: &proposal::Proposal,
    result: Option<&trial::Tried>,
) -> String {
    let mut told = format!("wrote {}; `penstock check` accepts it\n", target.shown());
    if let (Some(samples), Some(result)) = (samples, result) {
        told.push_str(&result.told(samples, proposal));
    }
    let file = target.name();
    told.push_str("next:\n");
    for command in [
        format!("penstock check {file} --connect"),
        format!("penstock try {file} --from-topic 10"),
        format!("penstock run {file}"),
    ] {
        told.push_str(&format!("  {command}\n"));
    }
    told
}

#[cfg(test)]
mod tests;
