//! A dead letter, read again: the message that was rejected, and what its headers say about it.
//!
//! The counterpart of [`crate::delivery::reject`], which makes dead letters. It is pure. Headers can be forged by
//! whoever may produce to the topic, so nothing here trusts them beyond their form.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::delivery::guard::OFFSET_END;
use crate::message::Message;

/// What the headers of a dead letter say. It borrows from the letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter<'m> {
    /// Where the rejected message is from.
    pub topic: &'m str,
    /// The id of that topic, as Kafka writes it. `None` if the brokers have no ids.
    pub topic_id: Option<&'m str>,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch. `None` if the message had no timestamp.
    pub timestamp_ms: Option<i64>,
    /// The consumer group that rejected it.
    pub group: &'m str,
    /// The word of the reason.
    pub reason: &'m str,
    pub detail: &'m str,
    /// The database's result code.
    pub code: Option<u8>,
    pub rows: LetterRows,
    /// Of the rows that it gives by their numbers alone: which records they are on
    /// ([`records_mark`](crate::delivery::reject::records_mark)).
    pub records: Option<u64>,
    /// The header that `rows` was read from.
    pub rows_text: &'m str,
    /// One of the rows may be applied all the same.
    pub in_doubt: bool,
    /// When the letter was made.
    pub time: Timestamp,
    /// When the first letter of the message was made: earlier than `time`, if a replay made this one.
    pub first_time: Timestamp,
    /// How often a replay of this message has failed. 0: none, or never replayed.
    pub tries: u32,
    /// `run.guard_epoch` when it was rejected. `None` in letters of versions that did not write it.
    pub guard_epoch: Option<u32>,
    /// The sets whose records stored guards when it was rejected, as written. Empty if the letter names none.
    pub guarded: &'m str,
    /// The sets whose records stored versions when it was rejected, as written. Empty if the letter names none.
    pub versioned: &'m str,
    /// The first of the letter's headers that the message did not have.
    pub(crate) own: usize,
}

/// The rows of the message that are not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterRows {
    All,
    These(Vec<LetterRow>),
    /// More than the letter lists, in a form that does not name them.
    Unlisted,
}

/// A row that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterRow {
    /// Its number among the rows of its message, from 0.
    pub row: u16,
    /// Its namespace and set. `None`: the letter has many rows, and gives this one by its number alone.
    pub target: Option<(String, String)>,
    /// Which record it is ([`record_mark`](crate::delivery::reject::record_mark)). `None`: the letter does not say. Rows
    /// that it gives by their number alone, and letters that were made before this was written, do not.
    pub record: Option<u64>,
    /// How many rows the message had on this record, without those that were left out. `None`: the letter does not say.
    pub of: Option<u16>,
}

/// Why a message is not a dead letter that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotALetter {
    /// It has none of the headers of a dead letter.
    Foreign,
    /// This header is missing.
    Missing(&'static str),
    /// This header does not have the form that it must have.
    Malformed(&'static str),
}

impl fmt::Display for NotALetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotALetter::Foreign => f.write_str("it has no header of a dead letter"),
            NotALetter::Missing(name) => write!(f, "it has no header {name}"),
            NotALetter::Malformed(name) => write!(f, "its header {name} does not have its form"),
        }
    }
}

/// Names of headers: with `reject.headers = "penstock"`, and with `"connect"`.
const TOPIC: [&str; 2] = ["penstock.topic", "__connect.errors.topic"];
const PARTITION: [&str; 2] = ["penstock.partition", "__connect.errors.partition"];
const OFFSET: [&str; 2] = ["penstock.offset", "__connect.errors.offset"];
const GROUP: [&str; 2] = ["penstock.group", "__connect.errors.connector.name"];
const REASON: [&str; 2] = ["penstock.reason", "__connect.errors.exception.class.name"];
const DETAIL: [&str; 2] = ["penstock.detail", "__connect.errors.exception.message"];

impl<'m> Letter<'m> {
    /// Reads the headers of a message from a topic of dead letters.
    ///
    /// # Errors
    /// See [`NotALetter`].
    pub fn read(message: &Message<'m>) -> Result<Letter<'m>, NotALetter> {
        let headers = &message.headers;
        // The message may itself have been a dead letter of somebody: the last headers are the letter's own.
        let own = headers.iter().rposition(|(name, _)| TOPIC.contains(name));
        let own = own.ok_or(NotALetter::Foreign)?;
        let find = |names: &[&'static str]| {
            let mut values = headers[own..].iter().filter(|(name, _)| names.contains(name));
            values.next_back().and_then(|(_, value)| *value)
        };
        let text = |names: &[&'static str]| match find(names) {
            None => Err(NotALetter::Missing(names[0])),
            Some(value) => str::from_utf8(value).map_err(|_| NotALetter::Malformed(names[0])),
        };
        let optional = |name: &'static str| match text(&[name]) {
            Err(NotALetter::Missing(_)) => Ok(None),
            other => other.map(Some),
        };
        let partition = number::<i32>(text(&PARTITION)?, PARTITION[0])?;
        let offset = number::<i64>(text(&OFFSET)?, OFFSET[0])?;
        if partition < 0 {
            return Err(NotALetter::Malformed(PARTITION[0]));
        }
        if !(0..OFFSET_END).contains(&offset) {
            return Err(NotALetter::Malformed(OFFSET[0]));
        }
        let time: Timestamp = instant(text(&["penstock.time"])?, "penstock.time")?;
        let first = optional("penstock.first_time")?;
        let first = first.map(|text| instant(text, "penstock.first_time")).transpose()?;
        let rows_text = text(&["penstock.rows_not_done"])?;
        let (rows, records) = rows(rows_text)?;
        Ok(Letter {
            topic: text(&TOPIC)?,
            topic_id: optional("penstock.topic_id")?,
            partition,
            offset,
            timestamp_ms: optional_number(optional("penstock.timestamp")?, "penstock.timestamp")?,
            group: text(&GROUP)?,
            reason: text(&REASON)?,
            detail: text(&DETAIL)?,
            code: optional_number(optional("penstock.code")?, "penstock.code")?,
            rows,
            records,
            rows_text,
            in_doubt: match optional("penstock.in_doubt")? {
                Some("true") => true,
                Some("false") | None => false,
                Some(_) => return Err(NotALetter::Malformed("penstock.in_doubt")),
            },
            time,
            first_time: first.unwrap_or(time),
            tries: optional_number(optional("penstock.tries")?, "penstock.tries")?.unwrap_or_default(),
            guard_epoch: optional_number(optional("penstock.guard_epoch")?, "penstock.guard_epoch")?,
            guarded: optional("penstock.guarded")?.unwrap_or_default(),
            versioned: optional("penstock.versioned")?.unwrap_or_default(),
            own,
        })
    }

    /// Whether all writes that changed values in this set stored guards when the message was rejected.
    pub fn was_guarded(&self, namespace: &str, set: &str) -> bool {
        let sets: Vec<(String, String)> = serde_json::from_str(self.guarded).unwrap_or_default();
        sets.iter().any(|(of, name)| of == namespace && name == set)
    }

    /// Whether all writes that changed values in this set had versions in this bin when the message was rejected.
    pub fn was_versioned(&self, namespace: &str, set: &str, bin: &str) -> bool {
        let sets: Vec<(String, String, String)> = serde_json::from_str(self.versioned).unwrap_or_default();
        sets.iter()
            .any(|(of, name, version)| of == namespace && name == set && version == bin)
    }

    /// The message as it was when it was rejected. `letter`: the message that this was read from.
    pub fn message(&self, letter: &Message<'m>) -> Message<'m> {
        Message {
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: letter.key,
            payload: letter.payload,
            headers: letter.headers[..self.own].to_vec(),
        }
    }
}

#[cfg(test)]
impl Letter<'static> {
    /// A letter of partition 0, for tests of what is done with letters.
    pub fn for_tests(topic: &'static str, offset: i64, rows: LetterRows) -> Letter<'static> {
        Letter {
            topic,
            topic_id: None,
            partition: 0,
            offset,
            timestamp_ms: None,
            group: "g",
            reason: "require",
            detail: "",
            code: None,
            rows,
            records: None,
            rows_text: "all",
            in_doubt: false,
            time: Timestamp::UNIX_EPOCH,
            first_time: Timestamp::UNIX_EPOCH,
            tries: 0,
            guard_epoch: None,
            guarded: "",
            versioned: "",
            own: 0,
        }
    }
}

fn number<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, NotALetter> {
    text.parse().map_err(|_| NotALetter::Malformed(name))
}

fn instant(text: &str, name: &'static str) -> Result<Timestamp, NotALetter> {
    text.parse().map_err(|_| NotALetter::Malformed(name))
}

fn optional_number<T: std::str::FromStr>(text: Option<&str>, name: &'static str) -> Result<Option<T>, NotALetter> {
    text.map(|text| number(text, name)).transpose()
}

/// Reads `penstock.rows_not_done`: the rows, and the mark of those that it gives by their numbers alone.
fn rows(text: &str) -> Result<(LetterRows, Option<u64>), NotALetter> {
    const MALFORMED: NotALetter = NotALetter::Malformed("penstock.rows_not_done");
    if text == "all" {
        return Ok((LetterRows::All, None));
    }
    let listed: Vec<Value> = serde_json::from_str(text).map_err(|_| MALFORMED)?;
    let mut records = None;
    let mark = |each: &Value, name: &str| match each.get(name) {
        None => Ok(None),
        Some(mark) => mark.as_str().and_then(record).map(Some).ok_or(MALFORMED),
    };
    let mut rows = Vec::with_capacity(listed.len());
    for each in &listed {
        if let Some(more) = each.get("more") {
            let Some(text) = each.get("rows").and_then(Value::as_str) else {
                return Ok((LetterRows::Unlisted, None));
            };
            let further = ranges(text).ok_or(MALFORMED)?;
            if more.as_u64() != Some(further.len() as u64) {
                return Err(MALFORMED);
            }
            records = mark(each, "records")?;
            if records.is_none() {
                // An earlier version has made it. Nothing tells whether today's rules give other rows these numbers.
                return Ok((LetterRows::Unlisted, None));
            }
            rows.extend(further.into_iter().map(|row| LetterRow {
                row,
                target: None,
                record: None,
                of: None,
            }));
            continue;
        }
        let name = |key: &str| each.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| match each.get(key) {
            None => Ok(None),
            Some(number) => number
                .as_u64()
                .and_then(|number| number.try_into().ok())
                .map(Some)
                .ok_or(MALFORMED),
        };
        rows.push(LetterRow {
            row: number("row")?.ok_or(MALFORMED)?,
            target: Some((name("namespace").ok_or(MALFORMED)?, name("set").ok_or(MALFORMED)?)),
            record: mark(each, "record")?,
            of: number("of")?,
        });
    }
    // Each row once, in order.
    let ascends = rows.is_sorted_by(|one, next| one.row < next.row);
    if ascends {
        Ok((LetterRows::These(rows), records))
    } else {
        Err(MALFORMED)
    }
}

/// Reads the mark of a record: 16 digits, base 16.
fn record(text: &str) -> Option<u64> {
    let is_mark = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_mark.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// Reads numbers that are told as ranges: `100-249,251`.
fn ranges(text: &str) -> Option<Vec<u16>> {
    let mut rows: Vec<u16> = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        // In order, so there are never more numbers than there can be rows.
        if last < first || rows.last().is_some_and(|before| *before >= first) {
            return None;
        }
        rows.extend(first..=last);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::DeadLetterHeaders;
    use crate::delivery::reject::{MessageOrigin, NotDone, Rejected, RowsNotDone, dead_letter, records_mark};
    use crate::message::{Reason, Rejection};

    fn rejected(rows_not_done: RowsNotDone) -> Rejected {
        Rejected {
            rejection: Rejection::new(Reason::Database(13), "the record is too large"),
            rows_not_done,
            attempts: 1,
            in_doubt: false,
        }
    }

    fn source() -> Message<'static> {
        Message {
            topic: "events",
            partition: 3,
            offset: 77,
            timestamp_ms: Some(1_700_000_000_123),
            key: Some(b"k"),
            payload: Some(b"{}"),
            // A message that was a dead letter before.
            headers: vec![
                ("penstock.topic", Some(b"older".as_slice())),
                ("penstock.offset", Some(b"5".as_slice())),
                ("trace", None),
            ],
        }
    }

    fn lettered(names: DeadLetterHeaders, rows_not_done: RowsNotDone, check: impl FnOnce(&Message<'_>)) {
        let origin = MessageOrigin {
            group: "counts",
            topic_id: Some("AAAAAAAAAAAAAAAAAAAAAQ"),
            now_ms: 1_800_000_000_456,
            guard_epoch: 4,
            guarded: r#"[["test","users"]]"#,
            versioned: r#"[["test","users","_v"]]"#,
            tries: 2,
            first_time: Some(Timestamp::UNIX_EPOCH),
        };
        let source = source();
        let made = dead_letter("dead", names, 0, &source, &rejected(rows_not_done), origin);
        let headers = made.headers.iter();
        check(&Message {
            topic: "dead",
            partition: 0,
            offset: 9,
            timestamp_ms: Some(1),
            key: made.key.as_deref(),
            payload: made.payload.as_deref(),
            headers: headers.map(|(name, value)| (name.as_ref(), value.as_deref())).collect(),
        });
    }

    #[test]
    fn a_letter_says_what_it_was_made_of() {
        for names in [DeadLetterHeaders::Penstock, DeadLetterHeaders::Connect] {
            let row = NotDone {
                row: 2,
                line: 40,
                namespace: "test".into(),
                set: "a \"set\"".into(),
                record: 0xfe00_0000_0000_001b,
                of: 3,
            };
            lettered(names, RowsNotDone::These(vec![row]), |message| {
                let letter = Letter::read(message).unwrap();
                let of = (letter.topic, letter.partition, letter.offset, letter.timestamp_ms);
                assert_eq!(of, ("events", 3, 77, Some(1_700_000_000_123)));
                assert_eq!(letter.topic_id, Some("AAAAAAAAAAAAAAAAAAAAAQ"));
                assert_eq!(
                    (letter.group, letter.reason, letter.code),
                    ("counts", "database", Some(13))
                );
                assert_eq!(letter.detail, "the record is too large");
                assert_eq!(letter.time, Timestamp::from_millisecond(1_800_000_000_456).unwrap());
                assert_eq!((letter.tries, letter.guard_epoch, letter.in_doubt), (2, Some(4), false));
                assert_eq!(letter.first_time, Timestamp::UNIX_EPOCH);
                assert!(letter.was_guarded("test", "users") && !letter.was_guarded("test", "orders"));
                let row = LetterRow {
                    row: 2,
                    target: Some(("test".into(), "a \"set\"".into())),
                    record: Some(0xfe00_0000_0000_001b),
                    of: Some(3),
                };
                assert_eq!(letter.rows, LetterRows::These(vec![row]));
                let before = letter.message(message);
                let source = source();
                assert_eq!(before.headers, source.headers, "{names:?}");
                assert_eq!((before.key, before.payload), (source.key, source.payload));
            });
        }
        lettered(DeadLetterHeaders::Penstock, RowsNotDone::All, |message| {
            assert_eq!(Letter::read(message).unwrap().rows, LetterRows::All);
        });
    }

    #[test]
    fn a_letter_with_many_rows_names_all_of_them() {
        let row = |row| NotDone {
            row,
            line: 40,
            namespace: "test".into(),
            set: "s".into(),
            record: 0,
            of: 1,
        };
        let numbers: Vec<u16> = (3..250).chain([300]).collect();
        let not_done = numbers.iter().copied().map(row).collect();
        lettered(DeadLetterHeaders::Penstock, RowsNotDone::These(not_done), |message| {
            let letter = Letter::read(message).unwrap();
            let LetterRows::These(rows) = letter.rows else {
                panic!("{:?}", letter.rows)
            };
            assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), numbers);
            assert_eq!(rows.iter().filter(|row| row.target.is_some()).count(), 100);
            let further = numbers[100..].iter().map(|row| (*row, "test", "s", 0));
            assert_eq!(letter.records, Some(records_mark(further)));
        });
    }

    #[test]
    fn what_is_no_letter_is_named_by_its_header() {
        let bad = |change: &dyn Fn(&mut Message<'_>)| {
            let mut why = None;
            lettered(DeadLetterHeaders::Penstock, RowsNotDone::All, |message| {
                let mut message = message.clone();
                change(&mut message);
                why = Letter::read(&message).err();
            });
            why
        };
        let set = |name: &'static str, value: &'static [u8]| {
            bad(&move |message: &mut Message<'_>| message.headers.push((name, Some(value))))
        };
        assert_eq!(bad(&|message| message.headers.clear()), Some(NotALetter::Foreign));
        for name in [
            "penstock.partition",
            "penstock.offset",
            "penstock.group",
            "penstock.time",
        ] {
            let without = bad(&|message| {
                let own = message.headers.len() - 18;
                let kept = message.headers.split_off(own);
                message
                    .headers
                    .extend(kept.into_iter().filter(|(each, _)| *each != name));
            });
            assert_eq!(without, Some(NotALetter::Missing(name)));
        }
        for (name, value) in [
            ("penstock.partition", b"-1".as_slice()),
            ("penstock.offset", b"-1"),
            ("penstock.offset", b"9223372036854775807"),
            ("penstock.time", b"yesterday"),
            (
                "penstock.rows_not_done",
                b"[{\"row\":70000,\"namespace\":\"a\",\"set\":\"\"}]",
            ),
            ("penstock.rows_not_done", b"some"),
            (
                "penstock.rows_not_done",
                b"[{\"row\":1,\"namespace\":\"a\",\"set\":\"\"},{\"row\":1,\"namespace\":\"a\",\"set\":\"\"}]",
            ),
            ("penstock.rows_not_done", b"[{\"more\":3,\"rows\":\"100-101\"}]"),
            ("penstock.rows_not_done", b"[{\"more\":3,\"rows\":\"102-100\"}]"),
            ("penstock.rows_not_done", b"[{\"more\":2,\"rows\":\"7,7\"}]"),
            ("penstock.rows_not_done", b"[{\"more\":2,\"rows\":\"7,70000\"}]"),
            ("penstock.in_doubt", b"perhaps"),
            ("penstock.tries", b"many"),
            ("penstock.reason", b"\xff"),
        ] {
            assert_eq!(set(name, value), Some(NotALetter::Malformed(name)), "{value:?}");
        }
        for unlisted in ["[{\"more\":3}]", "[{\"more\":2,\"rows\":\"100-101\"}]"] {
            assert_eq!(rows(unlisted), Ok((LetterRows::Unlisted, None)), "{unlisted}");
        }
    }
}
