//! The next offset is not in the log: which case it is, and what `kafka.offset_gone` says of it.
//!
//! Below the log, messages were deleted before they were read. Beyond it the log was cut (an unclean leader election,
//! a disk that was lost): at offsets that were read before, it holds other messages. The decision here depends only
//! on its arguments; `offsets.rs` carries it out.

use crate::config::model::{BelowLog, BeyondLog, OffsetGone};

/// What is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The first offset that was not read.
    pub next: i64,
    /// The oldest offset of the log, and its end.
    pub oldest: i64,
    pub end: i64,
    /// Where the log parts from what was read, where the leader epochs tell.
    pub cut: Option<i64>,
    /// Guards take what is new at offsets that were read for applied.
    pub is_guarded: bool,
}

/// What it is, and where reading goes on; `None`: nowhere, the service stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub case: Case,
    pub to: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// The log begins behind what is next.
    Below,
    /// It was cut.
    Beyond,
    /// It has all that was read: a broker said otherwise for a moment.
    There,
}

pub(super) fn decide(found: Found, policy: OffsetGone) -> Decision {
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
        // It has grown past the offset since.
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
