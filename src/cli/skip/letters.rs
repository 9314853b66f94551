//! The dead letters that `penstock skip` makes, of a message or of a file that keeps one.
//!
//! Nobody knows which rows of such a message are written: what today's rules say of it is not what those said that held it.
//! So each letter lists all rows, and is in doubt.

use std::io::{self, Write as _};
use std::path::Path;

use super::kept::Kept;
use super::{Held, SKIPPED, Skip, now_ms, tell};
use crate::cli::visible::visible;
use crate::cli::{newest, shown};
use crate::config::model::{Config, DeadLetterHeaders};
use crate::delivery::reject::{MessageOrigin, Rejected, dead_letter};
use crate::kafka::one::{self, NotProduced};
use crate::message::{self, Reason, Rejection};
use crate::util::exit::Exit;
use crate::util::logging::as_error;

/// Makes a dead letter of what a call before has kept in a file.
pub(super) fn letter_of(
    file: &Path,
    kept: &Kept,
    topic: &str,
    headers: DeadLetterHeaders,
    arguments: &Skip,
    config: &Config,
) -> Result<Exit, Exit> {
    newest::reach(config)?;
    let origin = MessageOrigin {
        topic_id: kept.topic_id.as_deref(),
        guard_epoch: kept.guard_epoch,
        // A letter that was made of the file before may be gone, and what a replay of it has entered must stay.
        first_time: kept.time,
        ..origin(&kept.group, (&kept.guarded, &kept.versioned), config)
    };
    let Kept { reason, detail, .. } = kept;
    let rejected = Rejected {
        in_doubt: true,
        ..Rejected::from(Rejection::new(
            Reason::Processor(SKIPPED),
            format!("a person has skipped it (penstock skip): {reason}: {detail}"),
        ))
    };
    let view = kept.message.view();
    let letter = dead_letter(topic, headers, 0, &view, &rejected, origin);
    let (topic, config_file, file) = (visible(topic), shown(&arguments.file), shown(file));
    match one::produce(&config.kafka, &letter) {
        Ok((partition, offset)) => {
            let of = message::place(&kept.message.topic, kept.message.partition, kept.message.offset);
            let _ = writeln!(
                io::stdout().lock(),
                "{of}, kept in {file}, is now the dead letter {}",
                message::place(&topic, partition, offset)
            );
            tell(&format!(
                "to apply it: penstock replay {config_file} --from {topic} (rows that cannot be repeated need --in-doubt, \
                 which says that nothing of the message is written)"
            ));
            Ok(Exit::Stopped)
        }
        Err(error) => Err(not_produced(
            &error,
            &format!(
                "kafka: the topic {topic} has not taken the letter, and {file} stays as it is: {error}; see that the \
                 topic is there and takes it"
            ),
        )),
    }
}

fn not_produced(error: &NotProduced, told: &str) -> Exit {
    tell(&as_error(told));
    if error.is_refusal() {
        Exit::Credentials
    } else {
        Exit::Unreachable
    }
}

/// Produces the dead letter, and returns where it is.
pub(super) fn keep_in_topic(
    topic: &str,
    headers: DeadLetterHeaders,
    held: &Held,
    topic_id: Option<&str>,
    config: &Config,
) -> Result<String, Exit> {
    let origin = MessageOrigin {
        topic_id,
        ..origin(&config.kafka.group, (&held.guarded, &held.versioned), config)
    };
    let rejected = Rejected {
        in_doubt: true,
        ..Rejected::from(held.rejection.clone())
    };
    let view = held.message.view();
    let letter = dead_letter(topic, headers, 0, &view, &rejected, origin);
    let topic = visible(topic);
    match one::produce(&config.kafka, &letter) {
        Ok((partition, offset)) => Ok(format!(
            "as the dead letter {}",
            message::place(&topic, partition, offset)
        )),
        Err(error) => Err(not_produced(
            &error,
            &format!(
                "kafka: the topic {topic} has not taken the message, so it is not skipped: {error}; see that the \
                 topic is there and takes it, or keep the message in a file (--to-file)"
            ),
        )),
    }
}

/// What a dead letter of this command says of itself. The pair: the sets that were guarded, and those with versions.
fn origin<'m>(group: &'m str, (guarded, versioned): (&'m str, &'m str), config: &Config) -> MessageOrigin<'m, 'm> {
    MessageOrigin {
        group,
        topic_id: None,
        guard_epoch: config.run.guard_epoch,
        guarded,
        versioned,
        now_ms: now_ms(),
        tries: 0,
        first_time: None,
    }
}
