//! A message of Kafka, and the reasons for a rejection. Every other part uses these words.

use std::fmt;

/// At most this many arrays and objects may be nested in a payload, in skipped parts too.
pub const DEPTH_MAX: u32 = 128;

/// One message as the stages see it, in Kafka's terms. It borrows its bytes.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    pub topic: &'m str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch. `None` if the message has no timestamp.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'m [u8]>,
    /// `None` is a tombstone.
    pub payload: Option<&'m [u8]>,
    /// In the order of the message. May be left empty when `Processor::wants_headers` is false.
    pub headers: Vec<(&'m str, Option<&'m [u8]>)>,
}

/// The place of a message in Kafka, as every command writes it: `TOPIC:PARTITION:OFFSET`. `penstock skip` takes it as
/// an argument. (Log lines have it as `topic=… partition=… offset=…`.)
pub fn place(topic: &str, partition: i32, offset: i64) -> String {
    format!("{topic}:{partition}:{offset}")
}

/// Why a message cannot become records. The words are stable: they are metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// From the decode stage: see [`DecodeErrorKind::reason`].
    Payload(DecodeErrorKind),
    /// A rule reads the message key as JSON, but it is not JSON.
    KeyNotJson,
    /// No payload, and no rule says what to do with a tombstone.
    Tombstone,
    /// `format = "json_sr"`, but there is no registry prefix.
    NoRegistryPrefix,
    KeyMissing,
    KeyNull,
    KeyEmpty,
    /// A boolean, float, array or object that is needed as a key.
    KeyType,
    /// A missing field that has `missing = "reject"` or that `ttl` or `each` needs.
    FieldMissing,
    /// A value that cannot be converted to the requested type.
    FieldType,
    /// An integer outside of `i64`, where an integer is required or a bin would keep it.
    IntegerRange,
    /// The same for a number outside of `f64`.
    FloatRange,
    /// `each` over a value that is not an array.
    EachType,
    /// More elements than `each_max`.
    EachTooMany,
    /// A field name of more than 15 bytes that would become a bin, or two fields that would become the same bin.
    BinName,
    /// A ttl outside of 1 second to 10 years, or a time in another unit than the configured one.
    TtlRange,
    /// A ttl that has ended, with `ttl_past = "reject"`.
    TtlPast,
    /// More rows than a guard can tell apart.
    TooManyRows,
    /// A namespace or set from the message that is not in the list of allowed names.
    NameNotAllowed,
    /// A version that is not an integer.
    VersionType,
    /// A payload that does not satisfy the JSON Schema of its route.
    Schema,
    /// A condition of `require` that does not hold.
    Require,
    /// A condition that cannot be computed.
    ConditionError,
    /// An expression that cannot be computed, or whose value no record can hold.
    ExpressionError,
    /// `mode` contradicts the record: it exists, or it does not.
    Conflict,
    /// A write that must not be repeated has an unknown outcome.
    InDoubt,
    /// The database client cannot send one of its rows.
    Unsendable,
    /// The database refused one of its rows because of the row's content.
    Database(u8),
    /// A processor's own reason: a word like the others, not a sentence, without data of the message.
    Processor(&'static str),
    /// A processor in code asks for something that cannot be done.
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
            Reason::Schema => "schema",
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

/// The word of the reason of a message that `penstock skip` has kept, where today's rules do not reject it.
pub const SKIPPED: &str = "skipped";

/// All words of reasons, but for those of processors in code.
pub const REASON_WORDS: [&str; 35] = [
    "empty_payload",
    "not_utf8",
    "not_json",
    "trailing_bytes",
    "too_deep",
    "key_not_json",
    "tombstone",
    "no_registry_prefix",
    "key_missing",
    "key_null",
    "key_empty",
    "key_type",
    "field_missing",
    "field_type",
    "integer_range",
    "float_range",
    "each_type",
    "each_too_many",
    "bin_name",
    "ttl_range",
    "ttl_past",
    "too_many_rows",
    "name_not_allowed",
    "version_type",
    "schema",
    "require",
    "condition_error",
    "expression_error",
    "conflict",
    "in_doubt",
    "unsendable",
    "database",
    "processor_output",
    "processor_panic",
    SKIPPED,
];

/// Why and where a message was rejected, without any of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// The exact cause. It names the rule of the configuration and never contains payload.
    pub detail: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl Rejection {
    /// `detail` appears in logs and dead letters: it names the rule and contains nothing of the message.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Rejection {
            reason,
            detail: detail.into(),
        }
    }
}

/// What is wrong with a payload. Each kind is one reason in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// No bytes. (A payload of white space only is `NotJson`: it ends too early.)
    Empty,
    /// Not UTF-8 somewhere. Overlong forms and encoded surrogates are not UTF-8.
    NotUtf8,
    /// Violates the grammar of RFC 8259.
    NotJson(Syntax),
    /// Something other than white space after the value.
    TrailingBytes,
    /// More than [`DEPTH_MAX`] nested containers.
    TooDeep,
}

/// How a payload breaks the grammar of RFC 8259.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// A byte that is not allowed there.
    UnexpectedByte(u8),
    /// The payload ends inside the value, or before it.
    UnexpectedEnd,
    /// A word that begins like `true`, `false` or `null`.
    BadLiteral,
    /// A minus, a point or an exponent without digits, or a zero before other digits.
    BadNumber,
    /// A backslash followed by a character that JSON does not allow there, or `\u` without four hex digits.
    BadEscape,
    /// Half of a `\u` surrogate pair. It is not text, though RFC 8259's grammar allows it. Decode never reports it: the
    /// check is made where the string is kept.
    LoneSurrogate,
    /// A byte below 0x20 inside a string.
    ControlCharacter(u8),
}

impl DecodeErrorKind {
    /// The word in metrics and dead letters. It is stable, because dashboards use it.
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

/// The stage in which a message was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Payload or key cannot be read.
    Decode,
    /// A condition does not hold or cannot be computed.
    Judge,
    /// The rules cannot make records of the message.
    Map,
    /// The database refuses a row of the message.
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

    /// The nearest stage of Kafka Connect (`org.apache.kafka.connect.runtime.errors.Stage`).
    pub(crate) fn of_connect(self) -> &'static str {
        match self {
            Stage::Decode => "VALUE_CONVERTER",
            Stage::Judge | Stage::Map => "TRANSFORMATION",
            Stage::Write => "TASK_PUT",
        }
    }
}

impl Reason {
    /// The stage in which a message is rejected for this reason.
    pub fn stage(self) -> Stage {
        match self {
            Reason::Payload(_) | Reason::KeyNotJson | Reason::NoRegistryPrefix => Stage::Decode,
            Reason::Schema | Reason::Require | Reason::ConditionError => Stage::Judge,
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

    /// The database's result code, if it is the reason.
    pub fn code(self) -> Option<u8> {
        match self {
            Reason::Database(code) => Some(code),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words stand in this file behind the arrows of two functions.
    #[test]
    fn the_list_of_reasons_has_all_of_them() {
        let source = include_str!("message.rs");
        let of = |function: &str| {
            let begin = source.find(function).unwrap();
            let body = &source[begin..begin + source[begin..].find("\n    }\n").unwrap()];
            let arrows = body.split("=> \"").skip(1);
            arrows.map(|rest| rest.split('"').next().unwrap()).collect::<Vec<_>>()
        };
        let mut words = of("pub fn reason(&self)");
        words.extend(of(
            "pub fn as_str(self) -> &'static str {\n        match self {\n            Reason::",
        ));
        words.push(SKIPPED);
        assert_eq!(words, REASON_WORDS);
    }
}
