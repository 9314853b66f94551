//! The next offset is not in the log: finds out why, and does what `kafka.offset_gone` says.
//!
//! Below the log: messages were deleted before they were read. Beyond the log: it was cut (an unclean leader election,
//! a lost disk), and now has other messages at offsets that were read before. The decision depends only on its
//! arguments; [`act`] asks Kafka, logs, and carries it out.

use log::{error, warn};

use crate::config::model::{BelowLog, BeyondLog, OffsetGone};
use crate::kafka::Partition;
use crate::kafka::consumer::origin::NoOrigin;
use crate::kafka::consumer::source::Source;
use crate::partition::ends::WorkerEnd;
use crate::partition::env::Env;
use crate::partition::offsets::Offsets;
use crate::partition::progress::Progress;
use crate::util::exit::Exit;

/// What is known about the log.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// The first offset that was not read.
    pub next: i64,
    /// The oldest offset of the log, and its end.
    pub oldest: i64,
    pub end: i64,
    /// Where the log differs from what was read, if the leader epochs show it.
    pub cut: Option<i64>,
    /// There are guards. They treat new messages at offsets that were read before as already applied.
    pub is_guarded: bool,
}

/// The case, and where reading continues. `None`: it does not; the service stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decision {
    pub case: Case,
    pub to: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// The log begins above the next offset.
    Below,
    /// The log was cut.
    Beyond,
    /// The log still has everything that was read. A broker said otherwise for a moment.
    There,
}

fn decide(found: Found, policy: OffsetGone) -> Decision {
    let Found {
        next,
        oldest,
        end,
        cut,
        is_guarded,
    } = found;
    if next < oldest {
        let to = match policy.below {
            BelowLog::Earliest => Some(oldest),
            BelowLog::End => Some(end),
            BelowLog::Stop => None,
        };
        return Decision { case: Case::Below, to };
    }
    if cut.is_some_and(|cut| cut >= next) {
        return Decision {
            case: Case::There,
            to: Some(next),
        };
    }
    let to = match policy.beyond {
        BeyondLog::Stop => None,
        BeyondLog::Resume => cut.filter(|_| !is_guarded),
        BeyondLog::Earliest => Some(cut.unwrap_or(oldest)),
        BeyondLog::End => Some(cut.unwrap_or(end)),
    };
    Decision { case: Case::Beyond, to }
}

/// Called when the next offset is not in the log, and everything before it is finished. Always logs it; then the
/// configuration decides.
pub(super) fn act<S: Source>(env: &Env<'_, S>, offsets: &Offsets) -> WorkerEnd {
    match find_out(env, offsets) {
        Ok(end) => end,
        Err(why) => no_origin(env.partition(), &why),
    }
}

fn find_out<S: Source>(env: &Env<'_, S>, offsets: &Offsets) -> Result<WorkerEnd, NoOrigin> {
    let (source, partition) = (env.source, env.partition());
    // If the topic was created again, its log is another one.
    source.confirm(env.topic_id, env.stop)?;
    let (oldest, end) = source.log_ends(env.stop)?;
    let Some(next) = offsets.next() else {
        warn!(
            "kafka: the oldest message was deleted before it was read; starting again at the oldest {partition} \
             oldest={oldest}"
        );
        return Ok(again(env.progress, oldest));
    };
    let cut = match offsets.epoch_up_to(next) {
        Some(epoch) if next >= oldest => source.find_cut(next, epoch, env.stop)?,
        _ => None,
    };
    let found = Found {
        next,
        oldest,
        end,
        cut,
        is_guarded: env.processor.is_guarded(),
    };
    let decision = decide(found, env.shared.offset_gone);
    match decision.case {
        Case::Below => {
            // Includes messages that still exist but are skipped.
            let lost = decision.to.unwrap_or(oldest) - next;
            env.shared.counters.offsets_lost.add(lost.unsigned_abs());
            tell_below(partition, found, decision.to);
        }
        Case::Beyond => tell_beyond(partition, found, decision.to),
        Case::There => warn!(
            "kafka: a broker said that the next offset is not in the log, but it is; starting again there {partition} \
             next={next} oldest={oldest} end={end}"
        ),
    }
    Ok(match decision.to {
        Some(to) => again(env.progress, to),
        None => WorkerEnd::Fatal(Exit::Rejected),
    })
}

/// Asks for another worker that starts at `offset`. Only the main thread can restart fetching that has ended.
pub(super) fn again(progress: &Progress, offset: i64) -> WorkerEnd {
    progress.set_again(offset);
    WorkerEnd::Again
}

/// How a worker ends if it cannot find out the topic's id, or the ends of its log.
pub(super) fn no_origin(partition: &Partition, why: &NoOrigin) -> WorkerEnd {
    match why {
        NoOrigin::Refused(why) => {
            error!(
                "kafka refuses to describe the topic {partition} reason=\"{why}\" cure=\"grant the user READ on the topic\""
            );
            WorkerEnd::Fatal(Exit::Credentials)
        }
        NoOrigin::Stopped | NoOrigin::Former => WorkerEnd::Stopped,
    }
}

fn tell_below(partition: &Partition, found: Found, to: Option<i64>) {
    let Found { next, oldest, end, .. } = found;
    let count = to.unwrap_or(oldest) - next;
    let (done, cure) = match to {
        None => (
            "the service stops, and nothing is committed past this",
            format!(
                "look for what is missing elsewhere; then, to go on at the oldest message, set the group's offset of \
                 this partition to {oldest} (kafka-consumer-groups.sh --reset-offsets --to-offset), or \
                 kafka.offset_gone = \"earliest\", and start it"
            ),
        ),
        Some(to) => (
            if to == oldest {
                "reading goes on at the oldest message"
            } else {
                "reading goes on at the end of the log, and what is there is not read either"
            },
            "look for what is missing elsewhere; let the topic keep its messages for longer than an outage lasts"
                .into(),
        ),
    };
    error!(
        "kafka: messages are gone before they were read; {done} {partition} from={next} to={} gone={count} end={end} \
         cure=\"{cure}\"",
        to.unwrap_or(oldest)
    );
}

fn tell_beyond(partition: &Partition, found: Found, to: Option<i64>) {
    let Found {
        next,
        oldest,
        end,
        cut,
        is_guarded,
    } = found;
    let done = match (to, cut) {
        (None, _) => "the service stops, and nothing is committed".to_owned(),
        (Some(to), Some(_)) => format!("reading goes on where it was cut, at {to}"),
        (Some(to), None) if to == oldest => {
            format!("where is not known; reading goes on at the oldest message, {to}, and all is read again")
        }
        (Some(to), None) => format!(
            "where is not known; reading goes on at the end of the log, {to}, and what is new below it is not read"
        ),
    };
    let go_on = match (to, cut) {
        (Some(_), _) => String::new(),
        (None, Some(cut)) => {
            format!("; to go on where it was cut, set the group's offset of this partition to {cut}")
        }
        (None, None) => format!(
            "; where it was cut is not known: set the group's offset of this partition to {oldest} (all that is there \
             is read again) or to {end} (nothing of it is), or to where its messages are new"
        ),
    };
    let by = if to.is_none() {
        " (kafka-consumer-groups.sh --reset-offsets --to-offset), and start the service"
    } else {
        ""
    };
    // New messages have offsets that the guards have already counted.
    let guards = if is_guarded {
        "; guards take other messages at offsets that were read before for applied: set run.guard_epoch to another \
         number before the start"
    } else {
        ""
    };
    error!(
        "kafka: the log was cut below what was read of it, or the group's offset was set beyond its end; {done} \
         {partition} from={next} cut={} oldest={oldest} end={end} cure=\"an unclean leader election does this, or a \
         broker that lost its disk: records may have what the log has no longer{go_on}{by}{guards}\"",
        cut.map_or_else(|| "unknown".to_owned(), |cut| cut.to_string()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Found = Found {
        next: 20,
        oldest: 0,
        end: 10,
        cut: None,
        is_guarded: false,
    };

    fn beyond(found: Found) -> [Option<i64>; 4] {
        [BeyondLog::Resume, BeyondLog::Earliest, BeyondLog::End, BeyondLog::Stop].map(|beyond| {
            let policy = OffsetGone {
                beyond,
                ..OffsetGone::default()
            };
            let decision = decide(found, policy);
            assert_eq!(decision.case, Case::Beyond);
            decision.to
        })
    }

    #[test]
    fn below_the_log_the_word_decides() {
        let found = Found {
            oldest: 30,
            end: 90,
            ..LOG
        };
        for (below, to) in [
            (BelowLog::Earliest, Some(30)),
            (BelowLog::End, Some(90)),
            (BelowLog::Stop, None),
        ] {
            let policy = OffsetGone {
                below,
                beyond: BeyondLog::Stop,
            };
            assert_eq!(decide(found, policy), Decision { case: Case::Below, to });
        }
    }

    #[test]
    fn beyond_the_log_reading_goes_on_where_it_was_cut_and_otherwise_as_the_word_says() {
        assert_eq!(beyond(LOG), [None, Some(0), Some(10), None]);
        let cut = Found { cut: Some(7), ..LOG };
        assert_eq!(beyond(cut), [Some(7), Some(7), Some(7), None]);
        // Since then, the log has grown past the offset.
        let grown = Found { end: 500, ..cut };
        assert_eq!(beyond(grown), [Some(7), Some(7), Some(7), None]);
        assert_eq!(beyond(Found { cut: None, ..grown }), [None, Some(0), Some(500), None]);
    }

    #[test]
    fn nothing_that_guards_would_refuse_is_read_by_default() {
        let cut = Found {
            cut: Some(7),
            is_guarded: true,
            ..LOG
        };
        assert_eq!(beyond(cut), [None, Some(7), Some(7), None]);
    }

    #[test]
    fn a_log_that_has_all_that_was_read_is_read_on() {
        let found = Found {
            end: 500,
            cut: Some(20),
            is_guarded: true,
            ..LOG
        };
        let decision = decide(
            found,
            OffsetGone {
                below: BelowLog::Stop,
                beyond: BeyondLog::Stop,
            },
        );
        assert_eq!(
            decision,
            Decision {
                case: Case::There,
                to: Some(20)
            }
        );
    }
}
