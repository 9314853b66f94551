//! What today's configuration makes of a letter, and why it may be refused. It is pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::config::model::{Config, Mode};
use crate::delivery::letter::{Letter, LetterRow, LetterRows};
use crate::delivery::reject::{record_mark, records_mark};
use crate::kafka::admin::topic_id::TopicId;
use crate::message::{Message, Rejection};
use crate::output::publication::Publication;
use crate::output::row::{Op, RecordKey, Row, RowAction};
use crate::output::{LeftOut, Output, Verdict};
use crate::processor::Processor as _;
use crate::replay::reasons::shown;
use crate::replay::totals::{Leave, Overwriting, Refuse};
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
    /// It is guarded, and does not set the life of a record that is there: a later touch, which stores no guard, may have.
    pub keeps_life: bool,
}

/// A row that is not done and is left: it may overwrite newer values and nothing tells, or it is on the record of such
/// a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftRow {
    /// Its place in [`Open::rows`].
    pub place: usize,
    /// The line of its write.
    pub line: usize,
    pub why: Leave,
}

/// A message that is replayed.
#[derive(Debug)]
pub(super) struct Open<'m> {
    /// All rows that today's rules make of it.
    pub rows: Vec<Row<'m>>,
    /// Rows that have numbers, and are not made today.
    pub left_out: Vec<LeftOut<'m>>,
    /// Those that are not done and are replayed, in order.
    pub open: Vec<OpenRow>,
    /// Those that are not done and are left, in order. The letter is refused then, and publishes nothing.
    pub left: Vec<LeftRow>,
    /// Lines of writes that may overwrite newer values, and what they would do.
    pub overwriting: Vec<(usize, Overwriting)>,
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
        } else if letter.guard_epoch.is_none() && epoch != 0 {
            // Another epoch is for a re-run, which counts its message again: nobody knows whether it is of before.
            Some(Refuse::NoEpoch)
        } else if letter.rows == LetterRows::Unlisted {
            Some(Refuse::RowsUnlisted)
        } else {
            None
        }
    }

    /// What a refusal is about, for a terminal: headers can be forged. Empty: its word says all.
    pub fn about(&self, refuse: Refuse, letter: &Letter<'_>) -> String {
        match refuse {
            Refuse::OtherGroup => format!("its group is {}", shown(letter.group)),
            Refuse::OtherTopic => format!("its topic is {}", shown(letter.topic)),
            Refuse::OtherEpoch => {
                let of = letter.guard_epoch.unwrap_or_default();
                format!(
                    "its guard_epoch is {of}, the configuration's is {}",
                    self.config.run.guard_epoch
                )
            }
            _ => String::new(),
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
        let Output {
            rows,
            left_out,
            publications,
            ..
        } = output;
        let Some(places) = not_done(letter, &rows, &left_out) else {
            return Judged::Refused(Refuse::RowsDiffer, 0);
        };
        let mut wanted = Vec::with_capacity(places.len());
        for place in places {
            let row = &rows[place];
            if letter.in_doubt && !row.rules.repeatable && !self.manner.in_doubt {
                return Judged::Refused(Refuse::InDoubt, row.rules.line);
            }
            let how = self.overwriting(letter, rules, row);
            let is_guarded = how == Some(Overwriting::Guarded);
            let row = OpenRow {
                place,
                is_guarded,
                keeps_life: is_guarded && rules.touches(row.target),
            };
            let cause = match how {
                Some(Overwriting::Blind) if !self.manner.overwrite => Some(Leave::MayOverwrite),
                Some(Overwriting::Unversioned) if !self.manner.overwrite => Some(Leave::Unversioned),
                _ => None,
            };
            wanted.push((row, cause));
        }
        let (open, left) = leave(&rows, wanted);
        let mut overwriting = Vec::new();
        for OpenRow { place, .. } in &open {
            let row = &rows[*place];
            if let Some(how) = self.overwriting(letter, rules, row)
                && !overwriting.contains(&(row.rules.line, how))
            {
                overwriting.push((row.rules.line, how));
            }
        }
        Judged::Open(Open {
            rows,
            left_out,
            open,
            left,
            overwriting,
            publications,
        })
    }

    /// What the row would do to newer values. `None`: it can overwrite none.
    fn overwriting(&self, letter: &Letter<'_>, rules: &TopicMapping, row: &Row<'_>) -> Option<Overwriting> {
        if !sets(row) {
            return None;
        }
        if row.newer.is_some() {
            return (!version_tells(letter, rules, row)).then_some(Overwriting::Unversioned);
        }
        let is_guarded = !self.manner.overwrite && row.rules.guarded && self.guard_tells(letter, rules, row);
        Some(if is_guarded {
            Overwriting::Guarded
        } else {
            Overwriting::Blind
        })
    }

    /// Whether the guard in the record says which message of the partition wrote it last. It does if all writes to the
    /// set store it, now and when the message was rejected, and if it is the guard of the topic that has this name now.
    fn guard_tells(&self, letter: &Letter<'_>, rules: &TopicMapping, row: &Row<'_>) -> bool {
        let today = self.topic_ids.get(letter.topic);
        let is_same = match (today, letter.topic_id) {
            (Some(today), None) => today.is_none(),
            (Some(today), Some(id)) => TopicId::parse(id) == Some(*today),
            (None, _) => false,
        };
        is_same && letter.was_guarded(&row.target.namespace, &row.target.set) && rules.guards_all_of(row.target)
    }
}

/// Whether the version in the record says if what is there is newer. It does if all writes to the set store their versions
/// in that bin, now and when the message was rejected. Otherwise a later message may have left a record without one, which
/// takes any.
fn version_tells(letter: &Letter<'_>, rules: &TopicMapping, row: &Row<'_>) -> bool {
    row.rules.newer_bin.as_deref().is_some_and(|bin| {
        letter.was_versioned(&row.target.namespace, &row.target.set, bin) && rules.versions_all_of(row.target, bin)
    })
}

/// Parts the rows that are replayed from those that are left. `wanted`: rows, and why one must be left.
///
/// The rows of a message on one record were made to be applied one after another. So all of them that are not done are
/// replayed, or none is. Rows on other records do not depend on them, and the ledger knows each of them in later runs.
pub(super) fn leave(rows: &[Row<'_>], wanted: Vec<(OpenRow, Option<Leave>)>) -> (Vec<OpenRow>, Vec<LeftRow>) {
    let record = |place: usize| record_of(&rows[place]);
    let causes = wanted.iter().filter(|(_, cause)| cause.is_some());
    let records: HashSet<_> = causes.map(|(row, _)| record(row.place)).collect();
    let mut open = Vec::with_capacity(wanted.len());
    let mut left = Vec::new();
    for (row, cause) in wanted {
        if records.contains(&record(row.place)) {
            left.push(LeftRow {
                place: row.place,
                line: rows[row.place].rules.line,
                why: cause.unwrap_or(Leave::SameRecord),
            });
        } else {
            open.push(row);
        }
    }
    (open, left)
}

/// What tells the records of a message apart.
type Record<'r> = (&'r str, &'r str, &'r RecordKey<'r>);

pub(super) fn record_of<'r>(row: &'r Row<'_>) -> Record<'r> {
    (&row.target.namespace, &row.target.set, &row.key)
}

/// How many rows a message has on a record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowCount {
    pub made: u16,
    /// Those that are left out because their ttl has ended.
    over: u16,
}

pub(super) fn row_counts<'r>(rows: &'r [Row<'_>], left_out: &'r [LeftOut<'_>]) -> HashMap<Record<'r>, RowCount> {
    let mut counts: HashMap<Record<'r>, RowCount> = HashMap::new();
    for row in rows {
        let count = counts.entry(record_of(row)).or_default();
        count.made = count.made.saturating_add(1);
    }
    for out in left_out.iter().filter(|out| out.is_over) {
        let count = counts
            .entry((&out.target.namespace, &out.target.set, &out.key))
            .or_default();
        count.over = count.over.saturating_add(1);
    }
    counts
}

/// The places of the rows that are not done. `None`: the rules make other rows than those that the letter lists. A listed
/// row whose ttl has ended is finished, if it is the row of that record: `ttl_past = "skip"` leaves nothing to write.
fn not_done(letter: &Letter<'_>, rows: &[Row<'_>], left_out: &[LeftOut<'_>]) -> Option<Vec<usize>> {
    let listed = match &letter.rows {
        LetterRows::All => return Some((0..rows.len()).collect()),
        LetterRows::Unlisted => return None,
        LetterRows::These(listed) => listed,
    };
    let mut places = Vec::with_capacity(listed.len());
    // The rows that have these numbers today, where the letter gives them by number alone.
    let mut further = Vec::new();
    let counts = row_counts(rows, left_out);
    for LetterRow {
        row,
        target,
        record,
        of,
    } in listed
    {
        let (is, key) = match rows.binary_search_by_key(row, |row| row.number) {
            Ok(place) => {
                places.push(place);
                (rows[place].target, &rows[place].key)
            }
            Err(_) => {
                let place = left_out.binary_search_by_key(row, |row| row.number).ok()?;
                let LeftOut {
                    target, key, is_over, ..
                } = &left_out[place];
                if !is_over {
                    return None;
                }
                (*target, key)
            }
        };
        let mark = record_mark(&is.set, key);
        let fits = target
            .as_ref()
            .is_none_or(|(namespace, set)| is.namespace == *namespace && is.set == *set);
        if !fits || record.is_some_and(|record| record != mark) {
            return None;
        }
        // A write that was added or removed on the same record gives the row's number to another one.
        let count = counts.get(&(is.namespace.as_str(), is.set.as_str(), key));
        let RowCount { made, over } = count.copied().unwrap_or_default();
        // Rows whose ttl has ended since are among those that the letter has counted.
        if of.is_some_and(|of| !(made..=made.saturating_add(over)).contains(&of)) {
            return None;
        }
        if target.is_none() {
            further.push((*row, is.namespace.as_str(), is.set.as_str(), mark));
        }
    }
    let is_same = letter
        .records
        .is_none_or(|mark| mark == records_mark(further.into_iter()));
    is_same.then_some(places)
}

/// Whether the row may overwrite values that a newer message has written. A version prevents that, and so does a row
/// that only creates.
#[cfg(test)]
pub(super) fn may_overwrite(row: &Row<'_>) -> bool {
    row.newer.is_none() && sets(row)
}

/// Whether the row sets, deletes or touches, whatever is there.
fn sets(row: &Row<'_>) -> bool {
    if row.rules.mode == Mode::Create {
        return false;
    }
    match &row.action {
        // A later message may have given the record a longer life.
        RowAction::Delete | RowAction::Touch => true,
        RowAction::Write(ops) => row.rules.mode == Mode::Replace || ops.iter().any(overwrites),
    }
}

/// Whether an operation overwrites what is there. The others add to it. An older element behind the newer ones of a list
/// pushes one of those out where only the last are kept. (Of a map the greatest keys stay, whatever the order.)
pub(super) fn overwrites(op: &Op<'_>) -> bool {
    matches!(op, Op::Put { .. } | Op::MapPut { .. } | Op::KeepLast { map: false, .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const HEAD: &str = "
[kafka]
brokers = \"127.0.0.1:9092\"
topics = [\"events\"]
group = \"g\"
[aerospike]
hosts = \"127.0.0.1:3000\"
namespace = \"test\"
[[route]]
";
    const COUNTS: &str = "[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 1 }\n";
    const SETS: &str = "[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = { a = \"a\" }\n";
    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

    fn row(row: u16, set: &str) -> LetterRow {
        LetterRow {
            row,
            target: Some(("test".to_owned(), set.to_owned())),
            record: None,
            of: None,
        }
    }

    fn letter(rows: LetterRows) -> Letter<'static> {
        Letter {
            topic_id: Some(ID),
            guarded: r#"[["test","s"]]"#,
            ..Letter::for_tests("events", 7, rows)
        }
    }

    /// What is made of a letter of a message with all fields: the places of its open rows, with whether the guard
    /// tells, or the word of the refusal. `may_overwrite`: all its rows are left.
    fn judged(routes: &str, letter: &Letter<'_>, manner: Manner) -> Result<Vec<(usize, bool)>, &'static str> {
        let (open, left) = parted("", routes, letter, manner)?;
        if open.is_empty() && !left.is_empty() {
            return Err(Refuse::MayOverwrite.word());
        }
        assert!(left.is_empty(), "{left:?}");
        Ok(open)
    }

    type Parted = (Vec<(usize, bool)>, Vec<(usize, bool)>);

    /// The same, with the places of the rows that are left, and whether they are the cause. `run`: lines of `[run]`.
    fn parted(run: &str, routes: &str, letter: &Letter<'_>, manner: Manner) -> Result<Parted, &'static str> {
        parted_at(0, run, routes, letter, manner)
    }

    /// The same at another time.
    fn parted_at(
        now_ms: i64,
        run: &str,
        routes: &str,
        letter: &Letter<'_>,
        manner: Manner,
    ) -> Result<Parted, &'static str> {
        let text = format!("{HEAD}{routes}\n[run]\n{run}");
        let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
        let mapping = Mapping::compile(&config).unwrap();
        let judge = Judge {
            config: &config,
            mapping: &mapping,
            manner,
            topic_ids: BTreeMap::from([("events".to_owned(), TopicId::parse(ID).unwrap())]),
        };
        let message = Message {
            topic: "events",
            partition: 0,
            offset: 7,
            timestamp_ms: None,
            key: None,
            payload: Some(b"{\"id\": \"x\", \"a\": 1, \"v\": 5, \"exp\": 1800000000}"),
            headers: Vec::new(),
        };
        match judge.judge(letter, &message, 0, now_ms) {
            Judged::Open(open) => Ok((
                open.open.iter().map(|row| (row.place, row.is_guarded)).collect(),
                open.left.iter().map(|row| (row.place, row.why.is_cause())).collect(),
            )),
            Judged::Refused(refuse, _) => Err(refuse.word()),
            Judged::Filtered => Err("filtered"),
            Judged::Rejected(rejection) => Err(rejection.reason.as_str()),
        }
    }

    #[test]
    fn only_what_the_letter_lists_is_open_and_only_where_the_rules_make_it() {
        let two = format!("{COUNTS}{}", COUNTS.replace("\"s\"", "\"t\""));
        let manner = Manner::default();
        let of = |rows| judged(&two, &letter(rows), manner);
        assert_eq!(of(LetterRows::All), Ok(vec![(0, false), (1, false)]));
        assert_eq!(of(LetterRows::These(vec![row(1, "t")])), Ok(vec![(1, false)]));
        let by_number = LetterRow {
            row: 1,
            target: None,
            record: None,
            of: None,
        };
        assert_eq!(of(LetterRows::These(vec![by_number])), Ok(vec![(1, false)]));
        assert_eq!(of(LetterRows::These(vec![row(1, "s")])), Err("rows_differ"));
        assert_eq!(of(LetterRows::These(vec![row(2, "t")])), Err("rows_differ"));
        assert_eq!(of(LetterRows::Unlisted), Err("rows_unlisted"));
    }

    #[test]
    fn a_listed_row_whose_life_is_over_is_finished_if_it_is_the_row_of_that_record() {
        let lives = |key: &str| {
            let ends = "ttl = { path = \"exp\", as = \"epoch_s\" }\nttl_past = \"skip\"\n";
            format!(
                "{}{ends}{COUNTS}",
                COUNTS.replace("\"id\"", key).replace("\"s\"", "\"t\"")
            )
        };
        let key = RecordKey::String("x".into());
        let mark = record_mark("t", &key);
        let of = |now_s: i64, routes: &str, record, records| {
            let row = |row, set, record| LetterRow {
                record,
                ..self::row(row, set)
            };
            let row_of_number = LetterRow {
                row: 0,
                target: None,
                record: None,
                of: None,
            };
            let listed = match records {
                None => vec![row(0, "t", record), row(1, "s", None)],
                Some(_) => vec![row_of_number, row(1, "s", None)],
            };
            let letter = Letter {
                records,
                ..letter(LetterRows::These(listed))
            };
            parted_at(now_s * 1000, "", routes, &letter, Manner::default())
        };
        let (before, after) = (1_799_999_999, 1_800_000_001);
        let both = Ok((vec![(0, false), (1, false)], vec![]));
        // When it is over, the second row has the first place.
        let second = Ok((vec![(0, false)], vec![]));
        assert_eq!(of(before, &lives("\"id\""), Some(mark), None), both);
        assert_eq!(of(after, &lives("\"id\""), Some(mark), None), second);
        // It is the row of another record now, so nobody knows whether the listed one is over.
        assert_eq!(of(after, &lives("\"a\""), Some(mark), None), Err("rows_differ"));
        // By its number alone.
        let records = Some(records_mark([(0, "test", "t", mark)].into_iter()));
        assert_eq!(of(after, &lives("\"id\""), None, records), second);
        assert_eq!(of(after, &lives("\"a\""), None, records), Err("rows_differ"));
        // A row that has nothing to write is not over.
        let empty = lives("\"id\"").replacen(
            "add = { n = 1 }",
            "add = { n = { path = \"none\", as = \"integer\", missing = \"skip\" } }",
            1,
        );
        assert_eq!(of(before, &empty, Some(mark), None), Err("rows_differ"));
    }

    /// A write that is added or removed on a record gives the numbers of its rows to others. Time does so to none.
    #[test]
    fn a_record_must_have_as_many_rows_as_the_letter_says() {
        let lives = format!("{COUNTS}ttl = {{ path = \"exp\", as = \"epoch_s\" }}\nttl_past = \"skip\"\n{COUNTS}");
        let of = |now_s: i64, routes: &str, of| {
            let listed = LetterRow {
                of: Some(of),
                ..row(1, "s")
            };
            let letter = letter(LetterRows::These(vec![listed]));
            parted_at(now_s * 1000, "", routes, &letter, Manner::default()).map(|(open, _)| open)
        };
        let (before, after) = (1_799_999_999, 1_800_000_001);
        assert_eq!(of(before, &lives, 2), Ok(vec![(1, false)]));
        // It has ended since the letter was made, or before.
        assert_eq!(of(after, &lives, 2), Ok(vec![(0, false)]));
        assert_eq!(of(after, &lives, 1), Ok(vec![(0, false)]));
        assert_eq!(of(after, &lives, 3), Err("rows_differ"));
        assert_eq!(of(before, &lives, 3), Err("rows_differ"));
        let added = format!("{COUNTS}{COUNTS}{COUNTS}");
        assert_eq!(of(before, &added, 2), Err("rows_differ"));
        // On another record.
        let other = format!("{COUNTS}{COUNTS}{}", COUNTS.replace("\"s\"", "\"t\""));
        assert_eq!(of(before, &other, 2), Ok(vec![(1, false)]));
    }

    #[test]
    fn rows_that_are_listed_by_number_alone_are_told_by_one_mark_of_their_records() {
        let two = |key: &str| format!("{COUNTS}{}", COUNTS.replace("\"s\"", "\"t\"").replace("\"id\"", key));
        let mark = record_mark("t", &RecordKey::String("x".into()));
        let by_number = LetterRow {
            row: 1,
            target: None,
            record: None,
            of: None,
        };
        let letter = Letter {
            records: Some(records_mark([(1, "test", "t", mark)].into_iter())),
            ..letter(LetterRows::These(vec![by_number]))
        };
        let of = |routes: &str| judged(routes, &letter, Manner::default());
        assert_eq!(of(&two("\"id\"")), Ok(vec![(1, false)]));
        // Another record of the set, and another set.
        assert_eq!(of(&two("\"a\"")), Err("rows_differ"));
        assert_eq!(of(&format!("{COUNTS}{COUNTS}")), Err("rows_differ"));
    }

    #[test]
    fn a_letter_of_another_configuration_is_refused() {
        let all = || letter(LetterRows::All);
        let of = |letter: Letter<'_>| judged(COUNTS, &letter, Manner::default());
        assert_eq!(of(Letter { group: "h", ..all() }), Err("other_group"));
        assert_eq!(
            of(Letter {
                topic: "orders",
                ..all()
            }),
            Err("other_topic")
        );
        assert_eq!(
            of(Letter {
                guard_epoch: Some(1),
                ..all()
            }),
            Err("other_guard_epoch")
        );
        assert_eq!(
            of(Letter {
                guard_epoch: Some(0),
                ..all()
            }),
            Ok(vec![(0, false)])
        );
        assert_eq!(
            of(Letter {
                topic_id: Some("?"),
                ..all()
            }),
            Err("not_a_letter")
        );
    }

    #[test]
    fn a_row_in_doubt_is_replayed_only_if_it_can_be_repeated_or_the_user_says_so() {
        let in_doubt = Letter {
            in_doubt: true,
            ..letter(LetterRows::These(vec![row(0, "s")]))
        };
        assert_eq!(judged(COUNTS, &in_doubt, Manner::default()), Err("in_doubt"));
        let manner = Manner {
            in_doubt: true,
            ..Manner::default()
        };
        assert_eq!(judged(COUNTS, &in_doubt, manner), Ok(vec![(0, false)]));
        let newer = format!("{SETS}newer = {{ path = \"v\", bin = \"v\" }}\n");
        let versioned = Letter {
            versioned: r#"[["test","s","v"]]"#,
            ..in_doubt
        };
        assert_eq!(judged(&newer, &versioned, Manner::default()), Ok(vec![(0, false)]));
    }

    #[test]
    fn what_may_overwrite_needs_a_guard_that_tells_or_the_users_word() {
        let all = || letter(LetterRows::All);
        let careful = |routes: &str| judged(routes, &all(), Manner::default());
        let overwrite = Manner {
            overwrite: true,
            ..Manner::default()
        };
        assert_eq!(careful(SETS), Err("may_overwrite"));
        assert_eq!(judged(SETS, &all(), overwrite), Ok(vec![(0, false)]));
        // The company of a guarded write guards it.
        let both = format!("{COUNTS}{SETS}");
        assert_eq!(careful(&both), Ok(vec![(0, false), (1, true)]));
        assert_eq!(judged(&both, &all(), overwrite), Ok(vec![(0, false), (1, false)]));
        // A write that goes past the guard: nobody knows what it has set.
        let past = format!("{both}{}guard = false\n", SETS.replace("a =", "b ="));
        assert_eq!(careful(&past), Err("may_overwrite"));
        // The topic was made again.
        let other = Letter {
            topic_id: Some("AAAAAAAAAAAAAAAAAAAAAg"),
            ..all()
        };
        assert_eq!(judged(&both, &other, Manner::default()), Err("may_overwrite"));
        // When the message was rejected, its set was not guarded.
        let before = Letter { guarded: "", ..all() };
        assert_eq!(judged(&both, &before, Manner::default()), Err("may_overwrite"));
        // An older element pushes a newer one out of a list, and never a greater key out of a map.
        let last = "keep_last = { l = 2 }\n";
        let lists = COUNTS.replace("add = { n = 1 }", "list_append = { l = \"a\" }");
        assert_eq!(careful(&lists), Ok(vec![(0, false)]));
        assert_eq!(careful(&format!("{lists}{last}")), Ok(vec![(0, true)]));
        let maps = COUNTS.replace("add = { n = 1 }", "map_add = { l = { key = \"id\" } }");
        assert_eq!(careful(&format!("{maps}{last}")), Ok(vec![(0, false)]));
        // Nothing can be overwritten.
        for write in [format!("{SETS}mode = \"create\"\n"), COUNTS.to_owned()] {
            assert_eq!(careful(&write), Ok(vec![(0, false)]), "{write}");
        }
        for write in [
            COUNTS.replace("add = { n = 1 }", "touch = true\nttl = \"1d\""),
            COUNTS.replace("add = { n = 1 }", "delete = true"),
            format!("{SETS}mode = \"replace\"\n"),
            COUNTS.replace("add = { n = 1 }", "remove = [\"a\"]"),
        ] {
            assert_eq!(careful(&write), Err("may_overwrite"), "{write}");
        }
    }

    /// A record that was written before its writes had versions has none, and takes any.
    #[test]
    fn a_version_tells_only_if_later_messages_have_stored_theirs() {
        let newer = format!("{SETS}newer = {{ path = \"v\", bin = \"v\" }}\n");
        let of = |routes: &str, versioned, manner| {
            let letter = Letter {
                versioned,
                ..letter(LetterRows::All)
            };
            judged(routes, &letter, manner)
        };
        let (careful, then) = (Manner::default(), r#"[["test","s","v"]]"#);
        let overwrite = Manner {
            overwrite: true,
            ..careful
        };
        let open = || Ok(vec![(0, false)]);
        assert_eq!(of(&newer, then, careful), open());
        for versioned in ["", r#"[["test","s","w"]]"#, r#"[["test","t","v"]]"#, "?"] {
            assert_eq!(of(&newer, versioned, careful), Err("may_overwrite"), "{versioned}");
            assert_eq!(of(&newer, versioned, overwrite), open(), "{versioned}");
        }
        // Another write of the set stores none today.
        let mixed = format!(
            "{newer}{}mode = \"create\"\non_conflict = \"ignore\"\n",
            SETS.replace("\"id\"", "\"a\"")
        );
        assert!(
            parted(
                "",
                &mixed,
                &Letter {
                    versioned: then,
                    ..letter(LetterRows::All)
                },
                careful
            )
            .is_ok_and(|(_, left)| left == [(0, true)])
        );
        // Counting overwrites nothing.
        let counts = format!("{COUNTS}newer = {{ path = \"v\", bin = \"v\" }}\n");
        assert_eq!(of(&counts, "", careful), open());
    }

    #[test]
    fn only_the_rows_on_the_record_of_one_that_may_overwrite_are_left() {
        let of = |routes: &str, rows| parted("", routes, &letter(rows), Manner::default());
        let plain = SETS.replace("\"s\"", "\"plain\"");
        let beside = COUNTS.replace("\"s\"", "\"plain\"") + "guard = false\n";
        // The README's shape: a guarded counter, and a plain write to another set.
        let shape = format!("{COUNTS}{plain}");
        assert_eq!(of(&shape, LetterRows::All), Ok((vec![(0, false)], vec![(1, true)])));
        // Rows before it and behind it on its record are left, too.
        let around = format!("{beside}{COUNTS}{plain}{beside}");
        let left = vec![(0, false), (2, true), (3, false)];
        assert_eq!(of(&around, LetterRows::All), Ok((vec![(1, false)], left)));
        // Rows that are done do not matter.
        let listed = LetterRows::These(vec![row(0, "plain"), row(1, "s")]);
        assert_eq!(of(&around, listed), Ok((vec![(0, false), (1, false)], vec![])));
        // Another record of the same set.
        let other = format!("{}{plain}", beside.replace("\"id\"", "\"a\""));
        assert_eq!(of(&other, LetterRows::All), Ok((vec![(0, false)], vec![(1, true)])));
        // The user's word leaves nothing.
        let overwrite = Manner {
            overwrite: true,
            ..Manner::default()
        };
        let all = vec![(0, false), (1, false), (2, false), (3, false)];
        assert_eq!(
            parted("", &around, &letter(LetterRows::All), overwrite),
            Ok((all, vec![]))
        );
    }

    #[test]
    fn a_letter_that_does_not_tell_its_epoch_is_of_the_default_one_or_of_nobody_knows_which() {
        let of = |guard_epoch, run| {
            let letter = Letter {
                guard_epoch,
                ..letter(LetterRows::All)
            };
            parted(run, COUNTS, &letter, Manner::default())
        };
        let open = || Ok((vec![(0, false)], vec![]));
        assert_eq!(of(None, ""), open());
        assert_eq!(of(None, "guard_epoch = 3"), Err("no_guard_epoch"));
        assert_eq!(of(Some(3), "guard_epoch = 3"), open());
        assert_eq!(of(Some(0), "guard_epoch = 3"), Err("other_guard_epoch"));
    }
}
