//! A message of Kafka, and why one is rejected: the words that every other part speaks of.

use std::fmt;

/// How many arrays and objects may stand inside one another in a payload, skipped or not.
pub const DEPTH_MAX: u32 = 128;

/// One message as the stages see it: Kafka's words, borrowed.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    pub topic: &'m str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch; `None` where the topic has none.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'m [u8]>,
    /// `None` is a tombstone.
    pub payload: Option<&'m [u8]>,
    /// In the order of the message. May be left empty when `Processor::wants_headers` is false.
    pub headers: Vec<(&'m str, Option<&'m [u8]>)>,
}

/// Why a message cannot become records. Stable words: they are metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// From the decode stage: see [`DecodeErrorKind::reason`].
    Payload(DecodeErrorKind),
    /// The message key is asked for as JSON and is none.
    KeyNotJson,
    /// No payload, and nothing says what a tombstone means.
    Tombstone,
    /// `format = "json_sr"` and no registry prefix.
    NoRegistryPrefix,
    KeyMissing,
    KeyNull,
    KeyEmpty,
    /// A boolean, float, array or object where a key must be.
    KeyType,
    /// A field with `missing = "reject"`, or one that `ttl` or `each` needs.
    FieldMissing,
    /// A value that cannot be read as the type asked for.
    FieldType,
    /// An integer outside `i64`, where one is asked for or a bin would keep it.
    IntegerRange,
    /// A number outside `f64`, likewise.
    FloatRange,
    /// `each` over something that is no array.
    EachType,
    /// More elements than `each_max`.
    EachTooMany,
    /// A field name of over 15 bytes that would become a bin, or two fields that would become one.
    BinName,
    /// A life outside of 1 second to 10 years, or an instant in another unit than the one said.
    TtlRange,
    /// A life that is over, with `ttl_past = "reject"`.
    TtlPast,
    /// More rows than a guard can tell apart.
    TooManyRows,
    /// A namespace or set from the message that is not among those allowed.
    NameNotAllowed,
    /// A version that is no integer.
    VersionType,
    /// A condition of `require` that does not hold.
    Require,
    /// A condition that cannot be computed.
    ConditionError,
    /// A computed value that cannot be computed, or held.
    ExpressionError,
    /// `mode` and the record contradict each other: it is there, or is not.
    Conflict,
    /// A write that cannot be repeated may have been applied, or not.
    InDoubt,
    /// The database client cannot send a row of it.
    Unsendable,
    /// The database refused a row of it for what it is.
    Database(u8),
    /// A processor's own: a word like the others, not a sentence, and nothing of the message.
    Processor(&'static str),
    /// A processor in code asks for what cannot be done.
    ProcessorOutput,
    /// A processor in code panicked over the message.
    ProcessorPanic,
}

impl Reason {
    /// The word for logs, metrics and dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Payload(kind) => kind.reason(),
            Reason::KeyNotJson => "key_not_json",
            Reason::Tombstone => "tombstone",
            Reason::NoRegistryPrefix => "no_registry_prefix",
            Reason::KeyMissing => "key_missing",
            Reason::KeyNull => "key_null",
            Reason::KeyEmpty => "key_empty",
            Reason::KeyType => "key_type",
            Reason::FieldMissing => "field_missing",
            Reason::FieldType => "field_type",
            Reason::IntegerRange => "integer_range",
            Reason::FloatRange => "float_range",
            Reason::EachType => "each_type",
            Reason::EachTooMany => "each_too_many",
            Reason::BinName => "bin_name",
            Reason::TtlRange => "ttl_range",
            Reason::TtlPast => "ttl_past",
            Reason::TooManyRows => "too_many_rows",
            Reason::NameNotAllowed => "name_not_allowed",
            Reason::VersionType => "version_type",
            Reason::Require => "require",
            Reason::ConditionError => "condition_error",
            Reason::ExpressionError => "expression_error",
            Reason::Conflict => "conflict",
            Reason::InDoubt => "in_doubt",
            Reason::Unsendable => "unsendable",
            Reason::Database(_) => "database",
            Reason::Processor(word) => word,
            Reason::ProcessorOutput => "processor_output",
            Reason::ProcessorPanic => "processor_panic",
        }
    }
}

/// A message that cannot become records: the reason, and where, without any of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// What exactly, naming the rule of the configuration; never payload.
    pub detail: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl Rejection {
    /// `detail` is for logs and dead letters: it names the rule, and nothing of the message.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejection {
            reason,
            detail: detail.into(),
        }
    }
}

/// What is wrong with a payload: one kind, one reason in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// No byte at all. (A payload of white space only is `NotJson`: it ends too early.)
    Empty,
    /// Not UTF-8, wherever: overlong forms and encoded surrogates are none.
    NotUtf8,
    /// Against the grammar of RFC 8259.
    NotJson(Syntax),
    /// Something other than white space after the value.
    TrailingBytes,
    /// More than [`DEPTH_MAX`] containers inside one another.
    TooDeep,
}

/// How a payload breaks the grammar of RFC 8259.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// A byte that cannot stand there.
    UnexpectedByte(u8),
    /// The payload ends inside the value, or before it.
    UnexpectedEnd,
    /// A word that begins like `true`, `false` or `null`.
    BadLiteral,
    /// A minus, a point or an exponent without digits, or a zero before other digits.
    BadNumber,
    /// A backslash followed by what JSON does not know, or `\u` without four hex digits.
    BadEscape,
    /// Half of a `\u` surrogate pair: no text at all, though RFC 8259's grammar lets it pass. Decode never says so:
    /// it is judged where the string is kept.
    LoneSurrogate,
    /// A byte below 0x20 inside a string.
    ControlCharacter(u8),
}

impl DecodeErrorKind {
    /// The word that metrics and dead letters carry. Stable: dashboards are built on it.
    pub fn reason(&self) -> &'static str {
        match self {
            DecodeErrorKind::Empty => "empty_payload",
            DecodeErrorKind::NotUtf8 => "not_utf8",
            DecodeErrorKind::NotJson(_) => "not_json",
            DecodeErrorKind::TrailingBytes => "trailing_bytes",
            DecodeErrorKind::TooDeep => "too_deep",
        }
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeErrorKind::Empty => f.write_str("the payload is empty"),
            DecodeErrorKind::NotUtf8 => f.write_str("the payload is not UTF-8"),
            DecodeErrorKind::NotJson(syntax) => write!(f, "the payload is not JSON: {syntax}"),
            DecodeErrorKind::TrailingBytes => f.write_str("bytes follow the JSON value"),
            DecodeErrorKind::TooDeep => {
                write!(f, "more than {DEPTH_MAX} arrays and objects inside one another")
            }
        }
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Syntax::UnexpectedByte(byte) => write!(f, "unexpected byte 0x{byte:02x}"),
            Syntax::UnexpectedEnd => f.write_str("unexpected end"),
            Syntax::BadLiteral => f.write_str("a word other than true, false and null"),
            Syntax::BadNumber => f.write_str("a malformed number"),
            Syntax::BadEscape => f.write_str("an unknown or incomplete escape in a string"),
            Syntax::LoneSurrogate => f.write_str("half of a surrogate pair in a string"),
            Syntax::ControlCharacter(byte) => {
                write!(f, "control character 0x{byte:02x} in a string")
            }
        }
    }
}

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
    pub(crate) fn of_connect(self) -> &'static str {
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
            | Reason::FloatRange
            | Reason::EachType
            | Reason::EachTooMany
            | Reason::BinName
            | Reason::TtlRange
            | Reason::TtlPast
            | Reason::TooManyRows
            | Reason::NameNotAllowed
            | Reason::VersionType
            | Reason::Processor(_)
            | Reason::ProcessorOutput
            | Reason::ProcessorPanic => Stage::Map,
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
