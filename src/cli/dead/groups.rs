//! The dead letters of a topic, counted by reason, write and day. Pure, and of bounded memory.
//!
//! A message may have several letters: a crash can repeat one, and a replay that fails makes another. All are counted
//! as letters; as a message it counts once, in the group of its newest letter.
//!
//! Memory: [`GROUPS_MAX`] groups, each of about 1 KiB (36 KiB if all of its texts are forged), and [`MESSAGES_MAX`]
//! messages in a table of 2^20 places of 41 bytes (and one half as large while it grows): 100 MiB at most. What the
//! client fetches ahead comes to that.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cli::visible::visible;
use crate::delivery::letter::{Letter, NotALetter};
use crate::message::{self, Message};
use crate::replay::details::Details;
pub(super) use crate::replay::index::Place;

/// At most this many groups are kept. Letters of further groups are counted together.
pub(super) const GROUPS_MAX: usize = 1000;
/// At most this many messages are told apart. Letters of further messages count as a message each.
pub(super) const MESSAGES_MAX: usize = 900_000;
/// At most this many characters of a text are kept. Headers can be forged, and as long as a message.
const TEXT_MAX: usize = 300;
/// At most this many writes are named in a group.
const WRITES_MAX: usize = 5;

/// What the letters of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub reason: String,
    /// The writes of the rows that are not done: `line LINE (set NAMESPACE.SET)`, or `all`.
    pub writes: String,
    /// In UTC.
    pub day: Date,
}

/// A letter that stands for its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    /// The place of the rejected message: topic:partition:offset.
    pub message: String,
    pub letter: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub letters: u64,
    /// Messages whose newest letter is in this group.
    pub messages: u64,
    /// The first letter of the group that was read.
    pub example: Example,
    /// The causes in words.
    pub details: Details,
}

/// The newest letter of a message that was read so far. The fields are compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Newest {
    tries: u32,
    time_ms: i64,
    partition: i32,
    offset: i64,
    /// Number of its group; `None`: it is not selected.
    group: Option<u16>,
}

/// Number of the group that counts what has no group of its own.
const OTHERS: u16 = GROUPS_MAX as u16;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Groups {
    numbers: BTreeMap<GroupKey, u16>,
    groups: Vec<Group>,
    /// Letters and messages of further groups.
    pub others: (u64, u64),
    newest: HashMap<u64, Newest>,
    hashes: RandomState,
    /// Letters that are selected.
    pub letters: u64,
    /// Distinct messages whose newest letter is selected.
    pub messages: u64,
    /// Letters that are not selected.
    pub unselected: u64,
    /// Messages that are no letters that can be read, by the reason, with an example.
    pub unreadable: BTreeMap<String, (u64, Place)>,
    /// There were more messages than can be told apart.
    pub is_full: bool,
}

impl Groups {
    /// Counts a message that cannot be read as a letter.
    pub fn unreadable(&mut self, why: &NotALetter, place: Place) {
        let (count, _) = self.unreadable.entry(why.to_string()).or_insert((0, place));
        *count += 1;
    }

    /// Counts a letter. `from`: the message that it was read from.
    pub fn add(&mut self, letter: &Letter<'_>, from: &Message<'_>, is_selected: bool) {
        let group = is_selected.then(|| self.group(letter, from));
        match group {
            Some(_) => self.letters += 1,
            None => self.unselected += 1,
        }
        let id = (letter.topic_id.unwrap_or(letter.topic), letter.partition, letter.offset);
        let key = self.hashes.hash_one(id);
        let this = Newest {
            tries: letter.tries,
            time_ms: letter.time.as_millisecond(),
            partition: from.partition,
            offset: from.offset,
            group,
        };
        match self.newest.get_mut(&key) {
            Some(known) if *known >= this => {}
            Some(known) => {
                let before = std::mem::replace(known, this);
                self.count(before.group, false);
                self.count(group, true);
            }
            None => {
                if self.newest.len() < MESSAGES_MAX {
                    self.newest.insert(key, this);
                } else {
                    self.is_full = true;
                }
                self.count(group, true);
            }
        }
    }

    /// One message more or less in a group.
    fn count(&mut self, group: Option<u16>, is_more: bool) {
        let Some(group) = group else {
            return;
        };
        let of_group = match self.groups.get_mut(usize::from(group)) {
            Some(group) => &mut group.messages,
            None => &mut self.others.1,
        };
        for count in [of_group, &mut self.messages] {
            *count = if is_more { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// The number of the letter's group, with one letter more.
    fn group(&mut self, letter: &Letter<'_>, from: &Message<'_>) -> u16 {
        let key = GroupKey {
            reason: short(letter.reason),
            writes: writes(from),
            day: letter.time.to_zoned(TimeZone::UTC).date(),
        };
        let (detail, place) = (short(letter.detail), Place::of(from));
        if let Some(number) = self.numbers.get(&key).copied() {
            if let Some(group) = self.groups.get_mut(usize::from(number)) {
                group.letters += 1;
                group.details.add(&detail, place);
            }
            return number;
        }
        let Some(number) = u16::try_from(self.groups.len()).ok().filter(|number| *number < OTHERS) else {
            self.others.0 += 1;
            return OTHERS;
        };
        self.numbers.insert(key, number);
        let mut details = Details::default();
        details.add(&detail, place);
        self.groups.push(Group {
            letters: 1,
            messages: 0,
            example: Example {
                message: message::place(&short(letter.topic), letter.partition, letter.offset),
                letter: place,
            },
            details,
        });
        number
    }

    /// The groups, the largest first.
    pub fn sorted(&self) -> Vec<(&GroupKey, &Group)> {
        let numbers = self.numbers.iter();
        let mut groups: Vec<(&GroupKey, &Group)> = numbers
            .filter_map(|(key, number)| Some((key, self.groups.get(usize::from(*number))?)))
            .collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.letters));
        groups
    }
}

/// A text of others that a terminal can show.
fn short(text: &str) -> String {
    let mut kept: String = text.chars().take(TEXT_MAX).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    visible(&kept)
}

/// The writes of the rows that are not done, by the header of the letter. The header can be read: the letter was.
fn writes(letter: &Message<'_>) -> String {
    let told = letter
        .headers
        .iter()
        .rfind(|(name, _)| *name == "penstock.rows_not_done");
    let told = told.and_then(|(_, value)| *value).unwrap_or_default();
    let Ok(Value::Array(rows)) = serde_json::from_slice(told) else {
        return "all".to_owned();
    };
    let mut named: Vec<String> = Vec::new();
    let mut has_more = false;
    for row in &rows {
        let name = |key: &str| row.get(key).and_then(Value::as_str);
        let Some((namespace, set)) = name("namespace").zip(name("set")) else {
            continue;
        };
        let target = match set {
            "" => format!("namespace {namespace}"),
            set => format!("set {namespace}.{set}"),
        };
        let write = short(&match row.get("line").and_then(Value::as_u64) {
            Some(line) => format!("line {line} ({target})"),
            None => target,
        });
        if named.contains(&write) {
            continue;
        }
        if named.len() == WRITES_MAX {
            has_more = true;
            break;
        }
        named.push(write);
    }
    if has_more {
        named.push("…".to_owned());
    }
    if named.is_empty() {
        "none".to_owned()
    } else {
        named.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A letter, as it is read.
    struct Made {
        headers: Vec<(&'static str, String)>,
        partition: i32,
        offset: i64,
    }

    impl Made {
        /// The letter at `offset` of the message at `of`.
        fn new(offset: i64, of: i64, reason: &str, time: &str) -> Made {
            let headers = [
                ("penstock.topic", "events"),
                ("penstock.partition", "0"),
                ("penstock.offset", &of.to_string()),
                ("penstock.group", "g"),
                ("penstock.reason", reason),
                ("penstock.detail", "no field \u{1b}[31m"),
                ("penstock.rows_not_done", "all"),
                ("penstock.time", time),
            ];
            Made {
                headers: headers.map(|(name, value)| (name, value.to_owned())).to_vec(),
                partition: 0,
                offset,
            }
        }

        fn set(mut self, name: &'static str, value: &str) -> Made {
            self.headers.retain(|(each, _)| *each != name);
            self.headers.push((name, value.to_owned()));
            self
        }

        fn add_to(&self, groups: &mut Groups, is_selected: bool) {
            let headers = self.headers.iter();
            let message = Message {
                topic: "dead",
                partition: self.partition,
                offset: self.offset,
                timestamp_ms: None,
                key: None,
                payload: None,
                headers: headers.map(|(name, value)| (*name, Some(value.as_bytes()))).collect(),
            };
            let letter = Letter::read(&message).unwrap();
            groups.add(&letter, &message, is_selected);
        }
    }

    fn counts(groups: &Groups) -> Vec<(String, String, u64, u64)> {
        let sorted = groups.sorted();
        let of = |(key, group): &(&GroupKey, &Group)| {
            (key.reason.clone(), key.day.to_string(), group.letters, group.messages)
        };
        sorted.iter().map(of).collect()
    }

    #[test]
    fn a_message_counts_once_in_the_group_of_its_newest_letter() {
        let (first, second) = ("2026-11-27T23:59:59Z", "2026-11-28T00:00:00Z");
        let mut groups = Groups::default();
        Made::new(0, 5, "require", first).add_to(&mut groups, true);
        Made::new(1, 6, "require", first).add_to(&mut groups, true);
        // The same message a day later, and the first letter once more.
        Made::new(2, 5, "database", second).add_to(&mut groups, true);
        Made::new(3, 5, "require", first).add_to(&mut groups, true);
        assert_eq!((groups.letters, groups.messages), (4, 2));
        let expected = [("require", "2026-11-27", 3, 1), ("database", "2026-11-28", 1, 1)];
        let expected =
            expected.map(|(reason, day, letters, messages)| (reason.to_owned(), day.to_owned(), letters, messages));
        assert_eq!(counts(&groups), expected);
        // A replay that failed comes after all others, whatever the clocks say; and it is not selected.
        Made::new(4, 6, "require", "2020-01-01T00:00:00Z")
            .set("penstock.tries", "1")
            .add_to(&mut groups, false);
        assert_eq!((groups.letters, groups.messages, groups.unselected), (4, 1, 1));
    }

    #[test]
    fn a_group_names_the_writes_and_shows_no_control_characters() {
        const ROW: &str = r#"{"row":0,"line":12,"namespace":"test","set":"users"}"#;
        const OTHER: &str = r#"{"row":1,"line":20,"namespace":"test","set":""}"#;
        let mut groups = Groups::default();
        let rows = format!("[{ROW},{},{OTHER}]", ROW.replace("\"row\":0", "\"row\":3"));
        // In the order of the rows.
        let rows = rows.replace("\"row\":1,\"line\":20", "\"row\":4,\"line\":20");
        Made::new(7, 5, "database", "2026-11-28T00:00:00Z")
            .set("penstock.rows_not_done", &rows)
            .add_to(&mut groups, true);
        let sorted = groups.sorted();
        assert_eq!(sorted[0].0.writes, "line 12 (set test.users), line 20 (namespace test)");
        assert_eq!(
            sorted[0].1.example,
            Example {
                message: "events:0:5".to_owned(),
                letter: Place {
                    partition: 0,
                    offset: 7
                },
            }
        );
        assert_eq!(sorted[0].1.details.first(), "no field \\u{1b}[31m");
    }

    #[test]
    fn what_has_no_room_is_counted_together_and_forged_texts_are_cut() {
        let mut groups = Groups::default();
        for number in 0..1002 {
            Made::new(number, number, &format!("reason-{number}"), "2026-11-28T00:00:00Z").add_to(&mut groups, true);
        }
        assert_eq!((groups.sorted().len(), groups.others), (GROUPS_MAX, (2, 2)));
        assert_eq!((groups.letters, groups.messages), (1002, 1002));
        let mut groups = Groups::default();
        Made::new(0, 0, &"x".repeat(100_000), "2026-11-28T00:00:00Z").add_to(&mut groups, true);
        assert_eq!(groups.sorted()[0].0.reason.chars().count(), TEXT_MAX + 1);
    }
}
