//! Reject: what is known of a rejected message, and the dead letter that is made from it.
//!
//! It is pure. `[reject]` configures what happens to a rejected message, and the worker does it.
//! [`crate::delivery::reject_limit`] decides when there are too many.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use ripemd::{Digest as _, Ripemd160};

use crate::config::model::DeadLetterHeaders;
use crate::delivery::plan::{Digest, digest};
use crate::delivery::result_codes::Told;
use crate::delivery::row_outcomes::NOT_FOUND;
use crate::delivery::write::Refusal;
use crate::message::{Message, Reason, Rejection};
use crate::output::publication::{Header, Publication};
use crate::output::row::{RecordKey, Row};

/// A rejected message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub rejection: Rejection,
    pub rows_not_done: RowsNotDone,
    /// In how many calls the refused row was sent.
    pub attempts: u32,
    /// The refused row may have been applied all the same.
    pub in_doubt: bool,
}

/// The rows of a rejected message that were not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsNotDone {
    /// All of them: nothing was written.
    All,
    /// These rows; the others were written.
    These(Vec<NotDone>),
    /// Those that an earlier dead letter of the message lists, in its words: none of them was tried again.
    AsBefore(String),
}

/// A row that was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDone {
    /// Its number among the rows of its message, from 0.
    pub row: u16,
    /// The line of its write in the configuration file.
    pub line: usize,
    pub namespace: String,
    pub set: String,
    /// Which record of the set ([`record_mark`]).
    pub record: u64,
    /// How many rows the message has on this record, done or not.
    pub of: u16,
}

impl NotDone {
    /// `of`: how many rows the message has on the record of this one.
    pub fn of(row: &Row<'_>, of: u16) -> Self {
        NotDone {
            of,
            row: row.number,
            line: row.rules.line,
            namespace: row.target.namespace.clone(),
            set: row.target.set.clone(),
            record: record_mark(&row.target.set, &row.key),
        }
    }
}

/// Tells the records of a message from each other: the beginning of the digest of the row's key. A letter names its rows
/// by number, and rules that change give other rows these numbers.
pub fn record_mark(set: &str, key: &RecordKey<'_>) -> u64 {
    beginning(&digest(set, key))
}

fn beginning(digest: &Digest) -> u64 {
    let mut mark = [0; 8];
    mark.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(mark)
}

/// One mark for many rows, which a letter gives by their numbers alone: the beginning of the RIPEMD-160 of their numbers,
/// namespaces, sets and [`record_mark`]s. It is a stored format.
pub fn records_mark<'r>(rows: impl Iterator<Item = (u16, &'r str, &'r str, u64)>) -> u64 {
    let mut hash = Ripemd160::new();
    for (number, namespace, set, record) in rows {
        hash.update(number.to_be_bytes());
        for name in [namespace, set] {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name.as_bytes());
        }
        hash.update(record.to_be_bytes());
    }
    beginning(&hash.finalize().into())
}

impl From<Rejection> for Rejected {
    /// Nothing of the message was written.
    fn from(rejection: Rejection) -> Self {
        Rejected {
            rejection,
            rows_not_done: RowsNotDone::All,
            attempts: 0,
            in_doubt: false,
        }
    }
}

/// At most this many rows are listed in a dead letter. A list of 10,000 would not fit into it.
const ROWS_TOLD_MAX: usize = 100;

/// At most this many ranges of further rows are told.
const RANGES_TOLD_MAX: usize = 1000;

/// Ascending numbers as ranges: `100-249,251`. `None`: there are too many ranges.
fn ranges(rows: impl Iterator<Item = u16>) -> Option<String> {
    let mut found: Vec<(u16, u16)> = Vec::new();
    for row in rows {
        let is_full = found.len() == RANGES_TOLD_MAX;
        match found.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(row) => *last = row,
            _ if is_full => return None,
            _ => found.push((row, row)),
        }
    }
    let text = found.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    Some(text.collect::<Vec<_>>().join(","))
}

impl RowsNotDone {
    fn written(&self) -> Cow<'static, str> {
        let rows = match self {
            RowsNotDone::All => return Cow::Borrowed("all"),
            RowsNotDone::AsBefore(told) => return Cow::Owned(told.clone()),
            RowsNotDone::These(rows) => rows,
        };
        let mut json = String::from("[");
        for (number, each) in rows.iter().take(ROWS_TOLD_MAX).enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let NotDone {
                row,
                line,
                namespace,
                set,
                record,
                of,
            } = each;
            let [namespace, set] = [namespace, set].map(|name| serde_json::Value::from(name.as_str()));
            // Writing to a String cannot fail.
            let _ = write!(
                json,
                "{comma}{{\"row\":{row},\"line\":{line},\"namespace\":{namespace},\"set\":{set},\"record\":\"{record:016x}\",\"of\":{of}}}"
            );
        }
        if rows.len() > ROWS_TOLD_MAX {
            let further = &rows[ROWS_TOLD_MAX..];
            let more = further.len();
            let mark = records_mark(
                further
                    .iter()
                    .map(|each| (each.row, each.namespace.as_str(), each.set.as_str(), each.record)),
            );
            let _ = match ranges(further.iter().map(|each| each.row)) {
                Some(ranges) => write!(
                    json,
                    ",{{\"more\":{more},\"rows\":\"{ranges}\",\"records\":\"{mark:016x}\"}}"
                ),
                None => write!(json, ",{{\"more\":{more}}}"),
            };
        }
        json.push(']');
        Cow::Owned(json)
    }
}

/// At most this many headers of our own, beside those of the rejected message.
const OWN_HEADERS_MAX: usize = 21;

/// What the dead letters of one worker have in common.
#[derive(Debug, Clone, Copy)]
pub struct MessageOrigin<'m, 'o> {
    pub group: &'m str,
    /// The id of the source topic, as Kafka writes it. `None` if the brokers have none.
    pub topic_id: Option<&'o str>,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// `run.guard_epoch`.
    pub guard_epoch: u32,
    /// The sets in which every write that changes values stores a guard, as [`guarded_sets`] writes them.
    pub guarded: &'o str,
    /// The sets in which every write that changes values has a version, as [`versioned_sets`] writes them.
    pub versioned: &'o str,
    /// How often a replay of the message has failed.
    pub tries: u32,
    /// When the first letter of the message was made, if this is not the first one.
    pub first_time: Option<Timestamp>,
}

/// At most this many sets are named in a dead letter. If there are more, none is: a replay then trusts no guard, and no
/// version.
const GUARDED_SETS_MAX: usize = 100;

/// Writes the namespaces and sets of `penstock.guarded`: `[["test","users"]]`. Empty if there is none.
pub fn guarded_sets(sets: &[(String, String)]) -> String {
    if sets.is_empty() || sets.len() > GUARDED_SETS_MAX {
        return String::new();
    }
    serde_json::Value::from_iter(
        sets.iter()
            .map(|(namespace, set)| vec![namespace.as_str(), set.as_str()]),
    )
    .to_string()
}

/// Writes the namespaces, sets and version bins of `penstock.versioned`: `[["test","users","_v"]]`. Empty if there is none.
pub fn versioned_sets(sets: &[(String, String, String)]) -> String {
    if sets.is_empty() || sets.len() > GUARDED_SETS_MAX {
        return String::new();
    }
    serde_json::Value::from_iter(
        sets.iter()
            .map(|(namespace, set, bin)| vec![namespace.as_str(), set.as_str(), bin.as_str()]),
    )
    .to_string()
}

/// Makes the dead letter of a message. It has all headers of the message. `index`: the message's place in the batch.
pub fn dead_letter<'m>(
    topic: &'m str,
    names: DeadLetterHeaders,
    index: usize,
    message: &Message<'m>,
    rejected: &Rejected,
    origin: MessageOrigin<'m, '_>,
) -> Publication<'m> {
    let own = message.headers.iter();
    let mut headers: Vec<Header<'m>> = Vec::with_capacity(own.len() + OWN_HEADERS_MAX);
    headers.extend(own.map(|(name, value)| (Cow::Borrowed(*name), value.map(Cow::Borrowed))));
    let reason = rejected.rejection.reason;
    let connect = names == DeadLetterHeaders::Connect;
    let mut say = |ours: &'static str, connects: Option<&'static str>, value: Cow<'m, str>| {
        let name = connects.filter(|_| connect).unwrap_or(ours);
        let value = match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
            Cow::Owned(value) => Cow::Owned(value.into_bytes()),
        };
        headers.push((Cow::Borrowed(name), Some(value)));
    };
    say("penstock.topic", Some("__connect.errors.topic"), message.topic.into());
    if let Some(id) = origin.topic_id {
        say("penstock.topic_id", None, id.to_owned().into());
    }
    let partition = message.partition.to_string();
    say(
        "penstock.partition",
        Some("__connect.errors.partition"),
        partition.into(),
    );
    let offset = message.offset.to_string();
    say("penstock.offset", Some("__connect.errors.offset"), offset.into());
    if let Some(timestamp_ms) = message.timestamp_ms {
        say("penstock.timestamp", None, timestamp_ms.to_string().into());
    }
    say(
        "penstock.group",
        Some("__connect.errors.connector.name"),
        origin.group.into(),
    );
    if connect {
        let partition = message.partition.to_string();
        say("", Some("__connect.errors.task.id"), partition.into());
        say("", Some("__connect.errors.class.name"), "penstock".into());
    }
    let stage = match connect {
        true => reason.stage().of_connect(),
        false => reason.stage().as_str(),
    };
    say("penstock.stage", Some("__connect.errors.stage"), stage.into());
    let class = Some("__connect.errors.exception.class.name");
    say("penstock.reason", class, reason.as_str().into());
    let detail = rejected.rejection.detail.clone();
    say(
        "penstock.detail",
        Some("__connect.errors.exception.message"),
        detail.into(),
    );
    if let Some(code) = reason.code() {
        say("penstock.code", None, code.to_string().into());
    }
    say("penstock.rows_not_done", None, rejected.rows_not_done.written());
    say("penstock.attempts", None, rejected.attempts.to_string().into());
    let in_doubt = if rejected.in_doubt { "true" } else { "false" };
    say("penstock.in_doubt", None, in_doubt.into());
    say("penstock.guard_epoch", None, origin.guard_epoch.to_string().into());
    if !origin.guarded.is_empty() {
        say("penstock.guarded", None, origin.guarded.to_owned().into());
    }
    if !origin.versioned.is_empty() {
        say("penstock.versioned", None, origin.versioned.to_owned().into());
    }
    if origin.tries > 0 {
        say("penstock.tries", None, origin.tries.to_string().into());
    }
    if let Some(time) = origin.first_time {
        say("penstock.first_time", None, time.to_string().into());
    }
    let time = Timestamp::from_millisecond(origin.now_ms).unwrap_or_default();
    say("penstock.time", None, time.to_string().into());
    say("penstock.version", None, env!("CARGO_PKG_VERSION").into());
    Publication {
        message: index,
        topic,
        key: message.key.map(Cow::Borrowed),
        payload: message.payload.map(Cow::Borrowed),
        headers,
        timestamp_ms: message.timestamp_ms,
    }
}

/// The rejection of a message whose row cannot be written. `knows_itself`: the record tells if an earlier attempt of the
/// row was applied, by its guard or its ledger.
pub(crate) fn rejection_of(refusal: Refusal, knows_itself: bool) -> Rejection {
    let (reason, detail) = match refusal {
        Refusal::Code(code) => (
            Reason::Database(code),
            format!("the database refuses its row with {}", Told(code)),
        ),
        Refusal::Unsendable => (
            Reason::Unsendable,
            "the database client cannot make a request of its row".to_owned(),
        ),
        Refusal::Conflict(NOT_FOUND) => (
            Reason::Conflict,
            "there is no such record, and mode = \"update_only\"".to_owned(),
        ),
        Refusal::Conflict(_) if knows_itself => (
            Reason::Conflict,
            "the record is there already, and mode = \"create\"".to_owned(),
        ),
        Refusal::Conflict(_) => (
            Reason::Conflict,
            "the record is there already, and mode = \"create\" (the write is not guarded: if this message was tried \
             before, that attempt may have created the record)"
                .to_owned(),
        ),
        Refusal::InDoubt => (
            Reason::InDoubt,
            "its row may have been applied or not, and cannot be repeated (in_doubt): look at the record".to_owned(),
        ),
    };
    Rejection::new(reason, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: impl IntoIterator<Item = u16>) -> RowsNotDone {
        let row = |row| NotDone {
            row,
            line: 3,
            namespace: "test".into(),
            set: "s".into(),
            record: 0x1b,
            of: 1,
        };
        RowsNotDone::These(numbers.into_iter().map(row).collect())
    }

    #[test]
    fn rows_beyond_the_hundredth_are_told_as_ranges() {
        let told = rows((0..250).chain([252])).written().into_owned();
        let end = "\"set\":\"s\",\"record\":\"000000000000001b\",\"of\":1},{\"more\":151,\"rows\":\"100-249,252\",\
                   \"records\":\"ff8cbaff3bdad8ec\"}]";
        assert!(told.ends_with(end), "{told}");
        assert_eq!(told.matches("\"row\":").count(), 100);
        let scattered = rows((0..5000).step_by(2)).written().into_owned();
        assert!(scattered.ends_with(",{\"more\":2400}]"), "{scattered}");
    }

    #[test]
    fn a_dead_letter_tells_a_code_by_its_number_and_its_words() {
        let detail = |code| rejection_of(Refusal::Code(code), false).detail;
        assert_eq!(
            detail(13),
            "the database refuses its row with 13: the record is too big (max-record-size of the namespace)"
        );
        assert_eq!(
            detail(12),
            "the database refuses its row with 12: the bin holds another type"
        );
        assert_eq!(detail(99), "the database refuses its row with 99: unknown");
    }

    #[test]
    fn only_a_row_that_nothing_recognises_may_have_met_itself() {
        let detail = |knows_itself| rejection_of(Refusal::Conflict(5), knows_itself).detail;
        assert_eq!(detail(true), "the record is there already, and mode = \"create\"");
        assert!(detail(false).ends_with(
            "(the write is not guarded: if this message was tried before, that attempt may \
             have created the record)"
        ));
    }
}
