//! Reject: what is known of a message that is not done as it asks, and the dead letter that is made of it.
//!
//! Pure. What becomes of a rejected message is `[reject]`'s to say and the worker's to do; when it has been too many is
//! [`crate::rejects`]'.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::config::model::DeadLetterHeaders;
use crate::pipeline::map::{Message, Reason, Rejection};
use crate::pipeline::publication::{Header, Publication};

/// Where on its way a message was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Payload or key cannot be read.
    Decode,
    /// A condition.
    Judge,
    /// The rules cannot make records of it.
    Map,
    /// The database refuses a row of it.
    Write,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Judge => "judge",
            Stage::Map => "map",
            Stage::Write => "write",
        }
    }

    /// The nearest of Kafka Connect's (`org.apache.kafka.connect.runtime.errors.Stage`).
    fn of_connect(self) -> &'static str {
        match self {
            Stage::Decode => "VALUE_CONVERTER",
            Stage::Judge | Stage::Map => "TRANSFORMATION",
            Stage::Write => "TASK_PUT",
        }
    }
}

impl Reason {
    /// Where a message is rejected for it.
    pub fn stage(self) -> Stage {
        match self {
            Reason::Payload(_) | Reason::KeyNotJson | Reason::NoRegistryPrefix => Stage::Decode,
            Reason::Require | Reason::ConditionError => Stage::Judge,
            Reason::Tombstone
            | Reason::ExpressionError
            | Reason::KeyMissing
            | Reason::KeyNull
            | Reason::KeyEmpty
            | Reason::KeyType
            | Reason::FieldMissing
            | Reason::FieldType
            | Reason::IntegerRange
            | Reason::EachType
            | Reason::EachTooMany
            | Reason::BinName
            | Reason::TtlRange
            | Reason::TooManyRows
            | Reason::NameNotAllowed
            | Reason::VersionType
            | Reason::Processor(_) => Stage::Map,
            Reason::Conflict | Reason::InDoubt | Reason::Unsendable | Reason::Database(_) => Stage::Write,
        }
    }

    /// The database's result code, where it is the reason.
    pub fn code(self) -> Option<u8> {
        match self {
            Reason::Database(code) => Some(code),
            _ => None,
        }
    }
}

/// A rejected message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub rejection: Rejection,
    pub rows_not_done: RowsNotDone,
    /// How often its refused row was sent.
    pub attempts: u32,
    /// Its refused row may be applied all the same.
    pub in_doubt: bool,
}

/// What a rejected message leaves undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsNotDone {
    /// Nothing of it was written.
    All,
    /// These; the others are.
    These(Vec<NotDone>),
}

/// A row that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDone {
    /// Its number among the rows of its message, from 0.
    pub row: u16,
    /// The line of its write.
    pub line: usize,
    pub namespace: String,
    pub set: String,
}

impl From<Rejection> for Rejected {
    /// Nothing of it was written.
    fn from(rejection: Rejection) -> Self {
        Rejected {
            rejection,
            rows_not_done: RowsNotDone::All,
            attempts: 0,
            in_doubt: false,
        }
    }
}

/// Rows told of one message, at most: a message of 10,000 would not fit its dead letter.
const ROWS_TOLD_MAX: usize = 100;

impl RowsNotDone {
    fn written(&self) -> String {
        let rows = match self {
            RowsNotDone::All => return "all".to_owned(),
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
            } = each;
            let [namespace, set] = [namespace, set].map(|name| serde_json::Value::from(name.as_str()));
            // A String takes everything.
            let _ = write!(
                json,
                "{comma}{{\"row\":{row},\"line\":{line},\"namespace\":{namespace},\"set\":{set}}}"
            );
        }
        if rows.len() > ROWS_TOLD_MAX {
            let _ = write!(json, ",{{\"more\":{}}}", rows.len() - ROWS_TOLD_MAX);
        }
        json.push(']');
        json
    }
}

/// What dead letters of one worker have in common.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'o> {
    pub group: &'o str,
    /// Of the source topic, as Kafka writes it; `None` where the brokers have none.
    pub topic_id: Option<&'o str>,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

/// The dead letter of a message, which has all of its headers. `index`: the message's place in the batch.
pub fn dead_letter<'m>(
    topic: &'m str,
    names: DeadLetterHeaders,
    index: usize,
    message: &Message<'m>,
    rejected: &Rejected,
    origin: Origin<'_>,
) -> Publication<'m> {
    let own = message.headers.iter();
    let mut headers: Vec<Header<'m>> = own
        .map(|(name, value)| (Cow::Borrowed(*name), value.map(Cow::Borrowed)))
        .collect();
    let reason = rejected.rejection.reason;
    let connect = names == DeadLetterHeaders::Connect;
    let mut say = |ours: &'static str, connects: Option<&'static str>, value: String| {
        let name = connects.filter(|_| connect).unwrap_or(ours);
        headers.push((Cow::Borrowed(name), Some(Cow::Owned(value.into_bytes()))));
    };
    say(
        "penstock.topic",
        Some("__connect.errors.topic"),
        message.topic.to_owned(),
    );
    if let Some(id) = origin.topic_id {
        say("penstock.topic_id", None, id.to_owned());
    }
    say(
        "penstock.partition",
        Some("__connect.errors.partition"),
        message.partition.to_string(),
    );
    say(
        "penstock.offset",
        Some("__connect.errors.offset"),
        message.offset.to_string(),
    );
    if let Some(timestamp_ms) = message.timestamp_ms {
        say("penstock.timestamp", None, timestamp_ms.to_string());
    }
    say(
        "penstock.group",
        Some("__connect.errors.connector.name"),
        origin.group.to_owned(),
    );
    if connect {
        say("", Some("__connect.errors.task.id"), message.partition.to_string());
        say("", Some("__connect.errors.class.name"), "penstock".to_owned());
    }
    let stage = match connect {
        true => reason.stage().of_connect(),
        false => reason.stage().as_str(),
    };
    say("penstock.stage", Some("__connect.errors.stage"), stage.to_owned());
    say(
        "penstock.reason",
        Some("__connect.errors.exception.class.name"),
        reason.as_str().to_owned(),
    );
    say(
        "penstock.detail",
        Some("__connect.errors.exception.message"),
        rejected.rejection.detail.clone(),
    );
    if let Some(code) = reason.code() {
        say("penstock.code", None, code.to_string());
    }
    say("penstock.rows_not_done", None, rejected.rows_not_done.written());
    say("penstock.attempts", None, rejected.attempts.to_string());
    say("penstock.in_doubt", None, rejected.in_doubt.to_string());
    let time = Timestamp::from_millisecond(origin.now_ms).unwrap_or_default();
    say("penstock.time", None, time.to_string());
    say("penstock.version", None, env!("CARGO_PKG_VERSION").to_owned());
    Publication {
        message: index,
        topic,
        key: message.key.map(Cow::Borrowed),
        payload: message.payload.map(Cow::Borrowed),
        headers,
        timestamp_ms: message.timestamp_ms,
    }
}
