//! What today's configuration makes of a letter, and why it may be refused. It is pure.

use std::collections::BTreeMap;

use crate::config::model::{Config, Mode};
use crate::delivery::letter::{Letter, LetterRow, LetterRows};
use crate::kafka::admin::topic_id::TopicId;
use crate::message::{Message, Rejection};
use crate::output::publication::Publication;
use crate::output::row::{Op, Row, RowAction};
use crate::output::{Output, Verdict};
use crate::processor::Processor as _;
use crate::replay::totals::Refuse;
use crate::rules::mapping::{Mapping, TopicMapping};

/// How the user wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// Set and delete, whatever is there.
    pub overwrite: bool,
    /// Where a later message has written the record, only do what overwrites nothing.
    pub keep_newer: bool,
    /// Replay also rows that may be applied already.
    pub in_doubt: bool,
}

pub(super) struct Judge<'j> {
    pub config: &'j Config,
    pub mapping: &'j Mapping,
    pub manner: Manner,
    /// The ids of the topics now, as far as they are known.
    pub topic_ids: BTreeMap<String, TopicId>,
}

/// A row that is not done.
#[derive(Debug)]
pub(super) struct OpenRow {
    /// Its place in [`Open::rows`].
    pub place: usize,
    /// It may overwrite newer values, and its guard tells.
    pub is_guarded: bool,
}

/// A message that is replayed.
#[derive(Debug)]
pub(super) struct Open<'m> {
    /// All rows that today's rules make of it.
    pub rows: Vec<Row<'m>>,
    /// Those that are not done, in order.
    pub open: Vec<OpenRow>,
    /// Lines of writes that may overwrite newer values, and whether their guards tell.
    pub overwriting: Vec<(usize, bool)>,
    pub publications: Vec<Publication<'m>>,
}

pub(super) enum Judged<'m> {
    Filtered,
    /// With the line of the write that is the cause, or 0.
    Refused(Refuse, usize),
    Rejected(Rejection),
    Open(Open<'m>),
}

impl<'j> Judge<'j> {
    /// Why the letter cannot be replayed, by its headers alone.
    pub fn refusal(&self, letter: &Letter<'_>) -> Option<Refuse> {
        let epoch = self.config.run.guard_epoch;
        if letter.topic_id.is_some_and(|id| TopicId::parse(id).is_none()) {
            Some(Refuse::NotALetter)
        } else if letter.group != self.config.kafka.group {
            Some(Refuse::OtherGroup)
        } else if self.mapping.topic(letter.topic).is_none() {
            Some(Refuse::OtherTopic)
        } else if letter.guard_epoch.is_some_and(|of| of != epoch) {
            Some(Refuse::OtherEpoch)
        } else if letter.rows == LetterRows::Unlisted {
            Some(Refuse::RowsUnlisted)
        } else {
            None
        }
    }

    /// What the rules make of the message. `index`: its place in the batch.
    pub fn judge<'m>(&self, letter: &Letter<'_>, message: &Message<'m>, index: usize, now_ms: i64) -> Judged<'m>
    where
        'j: 'm,
    {
        if let Some(refuse) = self.refusal(letter) {
            return Judged::Refused(refuse, 0);
        }
        let Some(rules) = self.mapping.topic(letter.topic) else {
            return Judged::Refused(Refuse::OtherTopic, 0);
        };
        let mut output = Output::default();
        output.begin(index);
        match rules.process(message, now_ms, &mut output) {
            Err(rejection) => return Judged::Rejected(rejection),
            Ok(Verdict::Filtered) => return Judged::Filtered,
            Ok(Verdict::Kept) => {}
        }
        let Output { rows, publications, .. } = output;
        let Some(places) = not_done(letter, &rows) else {
            return Judged::Refused(Refuse::RowsDiffer, 0);
        };
        let mut open = Vec::with_capacity(places.len());
        let mut overwriting = Vec::new();
        for place in places {
            let row = &rows[place];
            let line = row.rules.line;
            if letter.in_doubt && !row.rules.repeatable && !self.manner.in_doubt {
                return Judged::Refused(Refuse::InDoubt, line);
            }
            let mut is_guarded = false;
            if may_overwrite(row) {
                is_guarded = row.rules.guarded && self.guard_tells(letter, rules, row);
                if !self.manner.overwrite && !is_guarded {
                    return Judged::Refused(Refuse::MayOverwrite, line);
                }
                is_guarded &= !self.manner.overwrite;
                if !overwriting.contains(&(line, is_guarded)) {
                    overwriting.push((line, is_guarded));
                }
            }
            open.push(OpenRow { place, is_guarded });
        }
        Judged::Open(Open {
            rows,
            open,
            overwriting,
            publications,
        })
    }

    /// Whether the guard in the record says which message of the partition wrote it last. It does if all writes to the
    /// set store it, and if it is the guard of the topic that has this name now.
    fn guard_tells(&self, letter: &Letter<'_>, rules: &TopicMapping, row: &Row<'_>) -> bool {
        let today = self.topic_ids.get(letter.topic);
        let is_same = match (today, letter.topic_id) {
            (Some(today), None) => today.is_none(),
            (Some(today), Some(id)) => TopicId::parse(id) == Some(*today),
            (None, _) => false,
        };
        is_same && rules.guards_all_of(row.target)
    }
}

/// The places of the rows that are not done. `None`: the rules make other rows than those that the letter lists.
fn not_done(letter: &Letter<'_>, rows: &[Row<'_>]) -> Option<Vec<usize>> {
    let listed = match &letter.rows {
        LetterRows::All => return Some((0..rows.len()).collect()),
        LetterRows::Unlisted => return None,
        LetterRows::These(listed) => listed,
    };
    let place = |listed: &LetterRow| {
        let place = usize::from(listed.row);
        let target = &rows.get(place)?.target;
        let fits = listed
            .target
            .as_ref()
            .is_none_or(|(namespace, set)| target.namespace == *namespace && target.set == *set);
        fits.then_some(place)
    };
    listed.iter().map(place).collect()
}

/// Whether the row may overwrite values that a newer message has written. A version prevents that, and so does a row
/// that only creates.
pub(super) fn may_overwrite(row: &Row<'_>) -> bool {
    if row.newer.is_some() || row.rules.mode == Mode::Create {
        return false;
    }
    match &row.action {
        RowAction::Delete => true,
        RowAction::Touch => false,
        RowAction::Write(ops) => row.rules.mode == Mode::Replace || ops.iter().any(overwrites),
    }
}

/// Whether an operation overwrites what is there. The others add to it.
pub(super) fn overwrites(op: &Op<'_>) -> bool {
    matches!(op, Op::Put { .. } | Op::MapPut { .. })
}
