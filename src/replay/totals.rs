//! What became of the letters of a run: counts by outcome, each with one example's place. Nothing of a message is in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::kafka::admin::newest::Span;
use crate::message;
use crate::replay::details::Details;
use crate::replay::index::Place;
use crate::util::exit::Exit;

/// Why a letter is not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refuse {
    NotALetter,
    OtherGroup,
    OtherTopic,
    OtherEpoch,
    NoEpoch,
    RowsUnlisted,
    RowsDiffer,
    InDoubt,
    MayOverwrite,
    Later,
    NotProduced,
}

impl Refuse {
    /// All of them.
    #[cfg(test)]
    const ALL: [Refuse; 11] = [
        Refuse::NotALetter,
        Refuse::OtherGroup,
        Refuse::OtherTopic,
        Refuse::OtherEpoch,
        Refuse::NoEpoch,
        Refuse::RowsUnlisted,
        Refuse::RowsDiffer,
        Refuse::InDoubt,
        Refuse::MayOverwrite,
        Refuse::Later,
        Refuse::NotProduced,
    ];

    /// A stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Refuse::NotALetter => "not_a_letter",
            Refuse::OtherGroup => "other_group",
            Refuse::OtherTopic => "other_topic",
            Refuse::OtherEpoch => "other_guard_epoch",
            Refuse::NoEpoch => "no_guard_epoch",
            Refuse::RowsUnlisted => "rows_unlisted",
            Refuse::RowsDiffer => "rows_differ",
            Refuse::InDoubt => "in_doubt",
            Refuse::MayOverwrite => "may_overwrite",
            Refuse::Later => "later_message",
            Refuse::NotProduced => "not_produced",
        }
    }

    /// What it means, and what a person can do.
    pub fn meaning(self) -> &'static str {
        match self {
            Refuse::NotALetter => "it cannot be read as a dead letter of Penstock",
            Refuse::OtherGroup => "another consumer group rejected it: replay it with that group's configuration",
            Refuse::OtherTopic => "its topic is not among kafka.topics",
            Refuse::OtherEpoch => "it was rejected under another run.guard_epoch: replay it with that one",
            Refuse::NoEpoch => {
                "an older version made it and did not write run.guard_epoch, so the messages of this epoch may include \
                 its own: replay it with run.guard_epoch = 0"
            }
            Refuse::RowsUnlisted => "its list of rows that are not done is cut off",
            Refuse::RowsDiffer => {
                "today's rules number or place its rows differently: replay it with the rules of its day"
            }
            Refuse::InDoubt => "its row may be applied already: look at the record, then --in-doubt",
            Refuse::MayOverwrite => "it sets or deletes, and newer values may be there: look there, then --overwrite",
            Refuse::Later => {
                "a later message has written its record: --keep-newer leaves its values, --overwrite takes the letter's"
            }
            Refuse::NotProduced => "Kafka does not take its new letter, or what it publishes",
        }
    }
}

/// How often, and where it is seen for example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub count: u64,
    pub place: Place,
    /// The causes in words, each of which may be empty.
    pub details: Details,
    /// Of letters of which some rows are left: how many rows they list as not done, and how many of those are done.
    pub rows: u64,
    pub rows_done: u64,
}

/// Why rows of a letter are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// They may overwrite newer values.
    MayOverwrite,
    /// They have a version, and records of later messages may have none: their letter does not say that these stored one.
    Unversioned,
    /// They are on the record of a row that may.
    SameRecord,
    /// A later message has written their record.
    Later,
}

impl Leave {
    /// Whether such a row is left for its own sake, before anything is asked of the database.
    pub fn is_cause(self) -> bool {
        matches!(self, Leave::MayOverwrite | Leave::Unversioned)
    }

    /// What it means, and what a person can do.
    fn meaning(self) -> &'static str {
        match self {
            Leave::MayOverwrite => "it may overwrite newer values: look there, then --overwrite",
            Leave::Unversioned => {
                "its letter does not say that its writes had newer, so newer values may have no version: look there, \
                 then --overwrite, which still leaves greater versions"
            }
            Leave::SameRecord => "it is on the record of a row that may overwrite, and goes with that one",
            Leave::Later => {
                "a later message has written its record: --keep-newer counts and appends, and leaves the later values"
            }
        }
    }
}

/// What a write that may overwrite newer values would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overwriting {
    /// Its guard tells whether a later message has written the record.
    Guarded,
    /// Nothing tells.
    Blind,
    /// Its version tells, where the record has one.
    Unversioned,
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
    /// What each partition of the topic had when the run began.
    pub spans: Vec<Span>,
    /// What could not be read of the topic, though it is there: nobody knows which letters are in it.
    pub unread: Vec<Span>,
    /// Rows that were applied.
    pub rows_written: u64,
    /// Messages that were published, and new letters.
    pub published: u64,
    pub letters_made: u64,
    /// Rows that are left, by the line of their write, of letters that are refused for that.
    pub rows_left: BTreeMap<(usize, Leave), Example>,
    /// Dry run: letters that would be replayed.
    pub would: Would,
    /// Dry run: writes that may overwrite newer values.
    pub overwriting: BTreeMap<(usize, Overwriting), Example>,
    /// Dry run: letters that publish.
    pub would_publish: u64,
    pub is_dry: bool,
}

/// Letters that would be replayed, by day and reason. Reasons can be forged, so it is bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Would {
    groups: BTreeMap<(String, String), u64>,
    /// Letters of further days and reasons.
    others: u64,
}

/// At most this many days and reasons are counted, and at most this many are shown: the most frequent ones.
const WOULD_MAX: usize = 1000;
const WOULD_SHOWN_MAX: usize = 100;

impl Would {
    /// Counts a letter. `reason` is short.
    pub(super) fn add(&mut self, day: String, reason: String) {
        let is_full = self.groups.len() >= WOULD_MAX;
        match self.groups.get_mut(&(day.clone(), reason.clone())) {
            Some(count) => *count += 1,
            None if is_full => self.others += 1,
            None => {
                self.groups.insert((day, reason), 1);
            }
        }
    }

    fn sum(&self) -> u64 {
        self.groups.values().sum::<u64>() + self.others
    }

    /// The most frequent ones, by day and reason, and the number of letters that are not among them.
    fn shown(&self) -> (Vec<(&str, &str, u64)>, u64) {
        let groups = self.groups.iter();
        let mut shown: Vec<(&str, &str, u64)> = groups
            .map(|((day, reason), count)| (day.as_str(), reason.as_str(), *count))
            .collect();
        shown.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        shown.truncate(WOULD_SHOWN_MAX);
        shown.sort_unstable();
        let counted: u64 = shown.iter().map(|(.., count)| count).sum();
        (shown, self.sum() - counted)
    }
}

/// Adds one to an entry. The first place stays the example.
pub(super) fn count<'c, K: Ord>(
    counts: &'c mut BTreeMap<K, Example>,
    key: K,
    place: Place,
    detail: &str,
) -> &'c mut Example {
    let example = counts.entry(key).or_insert_with(|| Example {
        count: 0,
        place,
        details: Details::default(),
        rows: 0,
        rows_done: 0,
    });
    example.count += 1;
    example.details.add(detail, place);
    example
}

/// Says that a part of the topic could not be read.
pub fn unread(topic: &str, span: &Span) -> String {
    let first = message::place(topic, span.partition, span.begin);
    format!(
        "not read: {first} to {}: a transaction of another producer is open there and hides what is behind it; end it, \
         and start this again (kafka-transactions.sh describe-producers --topic {topic} --partition {} shows who has \
         it open, and list names it; a log that was cut looks the same)",
        span.end - 1,
        span.partition
    )
}

/// Says that the log of the topic no longer begins at 0. `None`: it does.
pub fn gone(topic: &str, spans: &[Span]) -> Option<String> {
    let cut = spans.iter().filter(|span| span.begin > 0);
    let first = cut.clone().next()?;
    let offsets: i64 = cut.map(|span| span.begin).sum();
    Some(format!(
        "gone: {offsets} offset(s) of {topic} are not in its log any more, which begins at {}, for one: Kafka has deleted \
         the letters there (retention, kafka-delete-records.sh, compaction). With message.timestamp.type=CreateTime \
         retention counts from the time of the rejected message: set LogAppendTime",
        message::place(topic, first.partition, first.begin)
    ))
}

fn sum<K>(counts: &BTreeMap<K, Example>) -> u64 {
    counts.values().map(|example| example.count).sum()
}

impl Totals {
    /// Letters with an outcome of their own.
    pub fn outcomes(&self) -> u64 {
        self.done.all() + sum(&self.failed) + sum(&self.refused) + self.would.sum()
    }

    /// Whether each message that was read is in exactly one count.
    pub fn balances(&self) -> bool {
        self.read == self.outcomes() + self.superseded + self.unselected + self.over_limit + self.left
    }

    /// The exit code of a run that came to its end.
    pub fn exit(&self) -> Exit {
        if self.failed.is_empty() && self.refused.is_empty() && self.left == 0 && self.unread.is_empty() {
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
        let (would, others) = self.would.shown();
        for (day, reason, count) in would {
            line(count, "would be replayed", &format!(": {reason}, {day}"));
        }
        line(others, "would be replayed", ": others");
        let again = if self.is_dry {
            "would be rejected again"
        } else {
            "failed again"
        };
        let at = |place: Place| format!("e.g. {}", message::place(topic, place.partition, place.offset));
        // A line for each further cause, below the number.
        let more_of = |details: &Details| -> String {
            let more = details.more(topic).into_iter();
            more.map(|told| format!("\n            {told}")).collect()
        };
        for (reason, example) in &self.failed {
            let Example {
                count, place, details, ..
            } = example;
            let told = format!(": {reason}, {}: {}", at(*place), details.first());
            line(*count, again, &(told + &more_of(details)));
        }
        for ((why, of_line), example) in &self.refused {
            let of_line = match of_line {
                0 => String::new(),
                line => format!(" (the write at line {line})"),
            };
            let Example {
                count, place, details, ..
            } = example;
            let detail = match details.first() {
                "" => String::new(),
                detail => format!(": {detail}"),
            };
            let mut more = format!(": {}{of_line}, {}{detail}; {}", why.word(), at(*place), why.meaning());
            if example.rows > 0 {
                let (at_most, are) = if self.is_dry {
                    ("at most ", "would be")
                } else {
                    ("", "are")
                };
                let Example { rows, rows_done, .. } = example;
                // Writing to a string cannot fail.
                let _ = write!(more, "; {at_most}{rows_done} of {rows} row(s) {are} done");
            }
            more.push_str(&more_of(details));
            line(*count, "refused", &more);
        }
        line(self.superseded, "superseded by a newer letter of the same message", "");
        line(self.unselected, "not selected", "");
        line(self.over_limit, "beyond --limit", "");
        line(self.left, "left: not dealt with", "");
        for span in &self.unread {
            let _ = writeln!(text, "{}", unread(topic, span));
        }
        if let Some(gone) = gone(topic, &self.spans) {
            let _ = writeln!(text, "{gone}");
        }
        for ((of_line, how), example) in &self.overwriting {
            let how = match how {
                Overwriting::Guarded => "only where no later message of its partition has written the record",
                Overwriting::Blind => "with --overwrite, whatever is there",
                Overwriting::Unversioned => "with --overwrite, where the record has no version, or a smaller one",
            };
            let _ = writeln!(
                text,
                "the write at line {of_line} may overwrite, for {} letter(s), {}: {how}",
                example.count,
                at(example.place)
            );
        }
        for ((of_line, why), example) in &self.rows_left {
            let is = if self.is_dry { "would be" } else { "is" };
            let _ = writeln!(
                text,
                "the write at line {of_line} {is} left, for {} row(s), {}: {}",
                example.count,
                at(example.place),
                why.meaning()
            );
        }
        if self.is_dry {
            text.push_str(
                "dry run: nothing was written, and Aerospike was not asked: which rows are done already, or wait for a \
                 later message's sake, a run finds\n",
            );
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
            read: 15,
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
        for (offset, detail) in [(5, "too large"), (6, "no such set"), (4, "too large")] {
            count(&mut totals.failed, "database".to_owned(), at(offset), detail);
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
            "15 letter(s) read from dead
          2 written
          1 already written by an earlier replay
          1 stale: the records have newer versions
          1 filtered by today's rules
          3 failed again: database, e.g. dead:3:5: too large
            of these 1 with another detail, e.g. dead:3:6: no such set
          1 refused: not_a_letter, e.g. dead:3:8: it has no header of a dead letter; it cannot be read as a \
             dead letter of Penstock
          1 refused: later_message (the write at line 12), e.g. dead:3:7; a later message has written its \
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
        // What could not be read may have letters, too.
        (totals.done.written, totals.left) = (3, 0);
        totals.unread.push(Span {
            partition: 2,
            begin: 7,
            end: 10,
        });
        assert!(totals.balances());
        assert_eq!((totals.exit(), totals.why_left()), (Exit::Found, None));
        let told = "\nnot read: dead:2:7 to 9: a transaction of another producer is open there";
        assert!(totals.text("dead").contains(told), "{}", totals.text("dead"));
        // The command that shows such a transaction while its producer lives.
        let command = "describe-producers --topic dead --partition 2 ";
        assert!(totals.text("dead").contains(command), "{}", totals.text("dead"));
    }

    #[test]
    fn a_log_that_no_longer_begins_at_0_is_told() {
        let span = |partition, begin| Span {
            partition,
            begin,
            end: 10,
        };
        assert_eq!(gone("dead", &[span(0, 0), span(1, 0)]), None);
        let mut totals = Totals {
            spans: vec![span(0, 0), span(1, 3), span(2, 4)],
            ..Totals::default()
        };
        let told = "\ngone: 7 offset(s) of dead are not in its log any more, which begins at dead:1:3, for one: ";
        for is_dry in [false, true] {
            totals.is_dry = is_dry;
            assert!(totals.text("dead").contains(told), "{}", totals.text("dead"));
        }
        assert_eq!(totals.exit(), Exit::Stopped);
    }

    #[test]
    fn letters_of_which_rows_are_left_say_how_many_and_which() {
        let place = Place {
            partition: 0,
            offset: 5,
        };
        let mut totals = Totals {
            read: 2,
            rows_written: 2,
            ..Totals::default()
        };
        for _ in 0..2 {
            let example = count(&mut totals.refused, (Refuse::MayOverwrite, 20), place, "");
            (example.rows, example.rows_done) = (example.rows + 3, example.rows_done + 1);
            count(&mut totals.rows_left, (20, Leave::MayOverwrite), place, "");
            count(&mut totals.rows_left, (24, Leave::SameRecord), place, "");
            count(&mut totals.rows_left, (13, Leave::Later), place, "");
        }
        let expected = "2 letter(s) read from dead
          2 refused: may_overwrite (the write at line 20), e.g. dead:0:5; it sets or deletes, and newer values \
             may be there: look there, then --overwrite; 2 of 6 row(s) are done
the write at line 13 is left, for 2 row(s), e.g. dead:0:5: a later message has written its record: --keep-newer counts \
             and appends, and leaves the later values
the write at line 20 is left, for 2 row(s), e.g. dead:0:5: it may overwrite newer values: look there, then --overwrite
the write at line 24 is left, for 2 row(s), e.g. dead:0:5: it is on the record of a row that may overwrite, and goes \
             with that one
2 row(s) written, 0 new letter(s)
";
        assert_eq!(totals.text("dead"), expected);
        totals.is_dry = true;
        let text = totals.text("dead");
        for told in [
            "; at most 2 of 6 row(s) would be done\n",
            "\nthe write at line 24 would be left, for 2 row(s), ",
        ] {
            assert!(text.contains(told), "{text}");
        }
        assert!(totals.balances());
        assert_eq!(totals.exit(), Exit::Found);
    }

    #[test]
    fn forged_reasons_make_no_endless_account() {
        let mut totals = Totals {
            is_dry: true,
            read: 5003,
            ..Totals::default()
        };
        let day = || "2026-11-29".to_owned();
        // The true reason comes last, when half of the room is taken.
        (0..500).for_each(|forged| totals.would.add(day(), format!("forged-{forged:04}")));
        (0..3).for_each(|_| totals.would.add(day(), "require".to_owned()));
        (500..5000).for_each(|forged| totals.would.add(day(), format!("forged-{forged:04}")));
        assert!(totals.balances());
        assert_eq!(totals.would.groups.len(), WOULD_MAX);
        let text = totals.text("dead");
        let shown = text.lines().filter(|line| line.contains("would be replayed: ")).count();
        assert_eq!(shown, WOULD_SHOWN_MAX + 1, "{text}");
        assert!(
            text.contains("          3 would be replayed: require, 2026-11-29\n"),
            "{text}"
        );
        assert!(text.contains("       4901 would be replayed: others\n"), "{text}");
    }

    #[test]
    fn every_refusal_is_in_the_guide() {
        const GUIDE: &str = include_str!("../../docs/guide/replay.md");
        for refuse in Refuse::ALL {
            assert!(GUIDE.contains(&format!("`{}`", refuse.word())), "{refuse:?}");
            assert!(!refuse.meaning().is_empty());
        }
    }
}
