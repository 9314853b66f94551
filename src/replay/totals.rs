//! What became of the letters of a run: counts by outcome, each with one example's place. Nothing of a message is in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::replay::index::Place;
use crate::util::exit::Exit;

/// Why a letter is not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refuse {
    NotALetter,
    OtherGroup,
    OtherTopic,
    OtherEpoch,
    RowsUnlisted,
    RowsDiffer,
    InDoubt,
    MayOverwrite,
    Later,
}

impl Refuse {
    /// A stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Refuse::NotALetter => "not_a_letter",
            Refuse::OtherGroup => "other_group",
            Refuse::OtherTopic => "other_topic",
            Refuse::OtherEpoch => "other_guard_epoch",
            Refuse::RowsUnlisted => "rows_unlisted",
            Refuse::RowsDiffer => "rows_differ",
            Refuse::InDoubt => "in_doubt",
            Refuse::MayOverwrite => "may_overwrite",
            Refuse::Later => "later_message",
        }
    }

    /// What it means, and what a person can do.
    pub fn meaning(self) -> &'static str {
        match self {
            Refuse::NotALetter => "it cannot be read as a dead letter of Penstock",
            Refuse::OtherGroup => "another consumer group rejected it: replay it with that group's configuration",
            Refuse::OtherTopic => "its topic is not among kafka.topics",
            Refuse::OtherEpoch => "it was rejected under another run.guard_epoch: replay it with that one",
            Refuse::RowsUnlisted => "its list of rows that are not done is cut off",
            Refuse::RowsDiffer => {
                "today's rules number or place its rows differently: replay it with the rules of its day"
            }
            Refuse::InDoubt => "its row may be applied already: look at the record, then --in-doubt",
            Refuse::MayOverwrite => {
                "it sets or deletes, and newer values may be there: --overwrite, or newer in the write"
            }
            Refuse::Later => {
                "a later message has written its record: --keep-newer leaves its values, --overwrite takes the letter's"
            }
        }
    }
}

/// How often, and where it is seen for example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub count: u64,
    pub place: Place,
    /// The cause in words, or empty.
    pub detail: String,
}

/// What a write that may overwrite newer values would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overwriting {
    /// Its guard tells whether a later message has written the record.
    Guarded,
    /// Nothing tells.
    Blind,
}

/// Letters that are done, by what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// A row was applied, or there was none to apply.
    pub written: u64,
    /// An earlier replay has applied all its rows.
    pub already: u64,
    /// Its records have newer versions.
    pub stale: u64,
    /// Its records are such that `on_conflict` says to ignore it.
    pub ignored: u64,
    /// Only values were left to set, and later messages have set them (`--keep-newer`).
    pub kept_newer: u64,
    /// Today's conditions filter the message.
    pub filtered: u64,
}

impl Done {
    fn all(&self) -> u64 {
        self.written + self.already + self.stale + self.ignored + self.kept_newer + self.filtered
    }
}

/// The account of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages of the topic that were read.
    pub read: u64,
    /// Letters with a newer letter of their message.
    pub superseded: u64,
    /// Letters outside of `--since`, `--until` and `--reason`.
    pub unselected: u64,
    /// Letters beyond `--limit`.
    pub over_limit: u64,
    pub done: Done,
    /// Letters whose messages were rejected again, by reason. In a dry run: by the rules.
    pub failed: BTreeMap<String, Example>,
    /// By the reason and, where a write is the cause, its line.
    pub refused: BTreeMap<(Refuse, usize), Example>,
    /// Selected letters that are not dealt with: the run ended before, or the topic has dropped them.
    pub left: u64,
    /// Rows that were applied.
    pub rows_written: u64,
    /// Messages that were published, and new letters.
    pub published: u64,
    pub letters_made: u64,
    /// Dry run: letters that would be replayed, by day and reason.
    pub would: BTreeMap<(String, String), u64>,
    /// Dry run: writes that may overwrite newer values.
    pub overwriting: BTreeMap<(usize, Overwriting), Example>,
    /// Dry run: letters that publish.
    pub would_publish: u64,
    pub is_dry: bool,
}

/// Adds one to an entry. The first place stays the example.
pub(super) fn count<K: Ord>(counts: &mut BTreeMap<K, Example>, key: K, place: Place, detail: &str) {
    let example = counts.entry(key).or_insert_with(|| Example {
        count: 0,
        place,
        detail: detail.to_owned(),
    });
    example.count += 1;
}

fn sum<K>(counts: &BTreeMap<K, Example>) -> u64 {
    counts.values().map(|example| example.count).sum()
}

impl Totals {
    fn would(&self) -> u64 {
        self.would.values().sum()
    }

    /// Letters with an outcome of their own.
    pub fn outcomes(&self) -> u64 {
        self.done.all() + sum(&self.failed) + sum(&self.refused) + self.would()
    }

    /// Whether each message that was read is in exactly one count.
    pub fn balances(&self) -> bool {
        self.read == self.outcomes() + self.superseded + self.unselected + self.over_limit + self.left
    }

    /// The exit code of a run that came to its end.
    pub fn exit(&self) -> Exit {
        if self.failed.is_empty() && self.refused.is_empty() && self.left == 0 {
            Exit::Stopped
        } else {
            Exit::Found
        }
    }

    /// What a run that came to its end says of letters that it did not deal with.
    pub fn why_left(&self) -> Option<String> {
        (self.left > 0).then(|| {
            format!(
                "{} letter(s) are not dealt with, though the topic was read to its end: they were there when the run \
                 began, and not later. Start it again; what it does not find then has expired, or was compacted or deleted",
                self.left
            )
        })
    }

    /// For a person. `topic`: of the letters.
    pub fn text(&self, topic: &str) -> String {
        let mut text = format!("{} letter(s) read from {topic}\n", self.read);
        let mut line = |count: u64, word: &str, more: &str| {
            if count > 0 {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  {count:>9} {word}{more}");
            }
        };
        let Done {
            written,
            already,
            stale,
            ignored,
            kept_newer,
            filtered,
        } = self.done;
        line(written, "written", "");
        line(already, "already written by an earlier replay", "");
        line(stale, "stale: the records have newer versions", "");
        line(ignored, "ignored: the records are as on_conflict ignores them", "");
        line(kept_newer, "left alone: later messages have set the values", "");
        line(filtered, "filtered by today's rules", "");
        for ((day, reason), count) in &self.would {
            line(*count, "would be replayed", &format!(": {reason}, {day}"));
        }
        let again = if self.is_dry {
            "would be rejected again"
        } else {
            "failed again"
        };
        let at = |place: Place| format!("e.g. {topic}[{}] offset {}", place.partition, place.offset);
        for (reason, example) in &self.failed {
            let Example { count, place, detail } = example;
            line(*count, again, &format!(": {reason}, {}: {detail}", at(*place)));
        }
        for ((why, of_line), example) in &self.refused {
            let of_line = match of_line {
                0 => String::new(),
                line => format!(" (the write at line {line})"),
            };
            let Example { count, place, detail } = example;
            let detail = if detail.is_empty() {
                String::new()
            } else {
                format!(": {detail}")
            };
            let more = format!(": {}{of_line}, {}{detail}; {}", why.word(), at(*place), why.meaning());
            line(*count, "refused", &more);
        }
        line(self.superseded, "superseded by a newer letter of the same message", "");
        line(self.unselected, "not selected", "");
        line(self.over_limit, "beyond --limit", "");
        line(self.left, "left: not dealt with", "");
        for ((of_line, how), example) in &self.overwriting {
            let how = match how {
                Overwriting::Guarded => "only where no later message of its partition has written the record",
                Overwriting::Blind => "with --overwrite, whatever is there",
            };
            let _ = writeln!(
                text,
                "the write at line {of_line} may overwrite, for {} letter(s), {}: {how}",
                example.count,
                at(example.place)
            );
        }
        if self.is_dry {
            text.push_str("dry run: nothing was written, and Aerospike was not asked\n");
            if self.would_publish > 0 {
                let _ = writeln!(
                    text,
                    "{} letter(s) would publish; a letter that is replayed twice publishes twice",
                    self.would_publish
                );
            }
            return text;
        }
        let _ = writeln!(
            text,
            "{} row(s) written, {} new letter(s)",
            self.rows_written, self.letters_made
        );
        if self.published > 0 {
            let _ = writeln!(
                text,
                "{} message(s) published, each at least once; a letter that is replayed twice publishes twice",
                self.published
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_names_each_outcome_with_an_example() {
        let mut totals = Totals {
            read: 14,
            superseded: 1,
            unselected: 2,
            over_limit: 1,
            left: 1,
            done: Done {
                written: 2,
                already: 1,
                stale: 1,
                ..Done::default()
            },
            rows_written: 3,
            published: 2,
            letters_made: 2,
            ..Totals::default()
        };
        let at = |offset| Place { partition: 3, offset };
        for offset in [5, 6] {
            count(&mut totals.failed, "database".to_owned(), at(offset), "too large");
        }
        count(&mut totals.refused, (Refuse::Later, 12), at(7), "");
        count(
            &mut totals.refused,
            (Refuse::NotALetter, 0),
            at(8),
            "it has no header of a dead letter",
        );
        assert!(!totals.balances(), "one is missing");
        totals.done.filtered = 1;
        assert!(totals.balances());
        assert_eq!(totals.exit(), Exit::Found);
        assert_eq!(
            totals.text("dead"),
            "14 letter(s) read from dead
          2 written
          1 already written by an earlier replay
          1 stale: the records have newer versions
          1 filtered by today's rules
          2 failed again: database, e.g. dead[3] offset 5: too large
          1 refused: not_a_letter, e.g. dead[3] offset 8: it has no header of a dead letter; it cannot be read as a \
             dead letter of Penstock
          1 refused: later_message (the write at line 12), e.g. dead[3] offset 7; a later message has written its \
             record: --keep-newer leaves its values, --overwrite takes the letter's
          1 superseded by a newer letter of the same message
          2 not selected
          1 beyond --limit
          1 left: not dealt with
3 row(s) written, 2 new letter(s)
2 message(s) published, each at least once; a letter that is replayed twice publishes twice
"
        );
    }

    #[test]
    fn letters_that_are_left_are_a_finding() {
        let mut totals = Totals {
            read: 3,
            done: Done {
                written: 3,
                ..Done::default()
            },
            ..Totals::default()
        };
        assert_eq!((totals.exit(), totals.why_left()), (Exit::Stopped, None));
        (totals.done.written, totals.left) = (1, 2);
        assert_eq!(totals.exit(), Exit::Found);
        assert!(totals.why_left().unwrap().starts_with("2 letter(s) are not dealt with"));
    }

    #[test]
    fn every_refusal_is_in_the_guide() {
        const GUIDE: &str = include_str!("../../docs/guide/replay.md");
        for refuse in [
            Refuse::NotALetter,
            Refuse::OtherGroup,
            Refuse::OtherTopic,
            Refuse::OtherEpoch,
            Refuse::RowsUnlisted,
            Refuse::RowsDiffer,
            Refuse::InDoubt,
            Refuse::MayOverwrite,
            Refuse::Later,
        ] {
            assert!(GUIDE.contains(&format!("`{}`", refuse.word())), "{refuse:?}");
            assert!(!refuse.meaning().is_empty());
        }
    }
}
