//! The checked configuration: what the file said after every name, unit, range and rule was verified.
//!
//! Plain data, compiled into numbered fields by [`crate::rules::mapping`]. Nothing here reads a file or talks
//! to a service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::values::cel::Program;
use crate::config::values::instant::Instant;

/// A whole configuration, free of faults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bounds and deadlines.
    pub run: Run,
    /// Where messages come from.
    pub kafka: Kafka,
    /// Where records go.
    pub aerospike: Aerospike,
    /// In the order of the file; at least one, and every configured topic is taken by at least one; or none, where the
    /// rules are code ([`crate::config::load_settings`]).
    pub routes: Vec<Route>,
    /// What becomes of a message that cannot be written.
    pub reject: Reject,
}

/// `[run]`: bounds and deadlines of the process.
#[derive(Debug, Clone)]
pub struct Run {
    /// The bound of the process, sized at the start for `partitions_max`.
    pub memory_bytes: u64,
    /// The file says it; otherwise it is the default, and less where the process has less (`ops::memory::limit`).
    pub memory_is_written: bool,
    /// 0: all partitions of the topics.
    pub partitions_max: u32,
    /// Rows in one batch write, at most.
    pub batch_rows_max: usize,
    /// Payload bytes in one batch write, at most; half of `memory_bytes` or less.
    pub batch_bytes_max: usize,
    /// Between two commits of a partition's offset.
    pub commit_interval: Duration,
    /// From being told to stop to leaving; at least two `write_timeout`s.
    pub shutdown_grace: Duration,
    /// `None`: wait for Kafka and Aerospike for ever (written `"0"`).
    pub start_timeout: Option<Duration>,
    /// Of one attempt to write a batch.
    pub write_timeout: Duration,
    /// How long a partition may make no progress though it has messages, at least two `write_timeout`s.
    pub stall_after: Duration,
    /// What is done then.
    pub stall_action: StallAction,
    /// Rows on their way to the database at once, over all partitions.
    pub rows_in_flight_max: usize,
    /// Rows sent to the database in a second, over all partitions; `None`: no limit.
    pub rows_per_second_max: Option<u32>,
    /// Part of the guards' names: another number makes all messages count anew (a deliberate re-run).
    pub guard_epoch: u32,
}

/// `run.stall_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// An ERROR line, and the state on the progress line.
    Report,
    /// The same, and the service ends (75), for its supervisor to start it again.
    Exit,
}

/// `[kafka]`.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`, comma-separated, as librdkafka's `bootstrap.servers` takes it.
    pub brokers: String,
    /// At least one, each once, each a legal name.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Where the group begins that has no offset yet.
    pub start: Start,
    /// What is done where the next offset is not in the log.
    pub offset_gone: OffsetGone,
    /// How payloads are read.
    pub format: Format,
    /// What a byte order mark in front of a JSON text does.
    pub byte_order_mark: ByteOrderMark,
    /// librdkafka properties of the consumer (`[kafka.properties]`, overridden by `[kafka.consumer]`).
    pub consumer_properties: Vec<(String, Secret)>,
    /// librdkafka properties of the producer (`[kafka.properties]`, overridden by `[kafka.producer]`).
    pub producer_properties: Vec<(String, Secret)>,
    /// Those of them that are TLS's, with their places in the file.
    pub tls: Vec<TlsProperty>,
}

/// A librdkafka property `ssl.*`, where it stands.
#[derive(Debug, Clone)]
pub struct TlsProperty {
    pub line: usize,
    /// As `kafka.properties.ssl.ca.location`.
    pub key: String,
    pub name: String,
    pub value: Secret,
    /// It stands in the file itself.
    pub shown: bool,
}

impl Config {
    /// The topics that it produces to: of publishes and dead letters, each once.
    pub fn produced_topics(&self) -> Vec<&str> {
        let publishes = self.routes.iter().flat_map(|route| &route.publishes);
        let mut topics: Vec<&str> = publishes.map(|publish| publish.topic.as_str()).collect();
        if let RejectAction::DeadLetter { topic, .. } = &self.reject.action {
            topics.push(topic);
        }
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

impl Kafka {
    /// A librdkafka property of the consumer, as the file has it.
    pub fn consumer_property(&self, name: &str) -> Option<&str> {
        let found = self.consumer_properties.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.0.as_str())
    }

    /// A librdkafka property of the producer, as the file has it.
    pub fn producer_property(&self, name: &str) -> Option<&str> {
        let found = self.producer_properties.iter().find(|(each, _)| each == name);
        found.map(|(_, value)| value.0.as_str())
    }
}

/// What is done where the next offset is not in the log; an ERROR line tells it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetGone {
    /// The log begins behind it: messages were deleted before they were read.
    pub below: BelowLog,
    /// The log ends before it, or parts from what was read: it was cut.
    pub beyond: BeyondLog,
}

impl Default for OffsetGone {
    /// What is deleted is gone whatever is done. Where a log was cut, reading goes on where that is known to be right.
    fn default() -> Self {
        OffsetGone {
            below: BelowLog::Earliest,
            beyond: BeyondLog::Resume,
        }
    }
}

impl fmt::Display for OffsetGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = match self.below {
            BelowLog::Earliest => "earliest",
            BelowLog::End => "end",
            BelowLog::Stop => "stop",
        };
        let beyond = match self.beyond {
            BeyondLog::Resume => "resume",
            BeyondLog::Earliest => "earliest",
            BeyondLog::End => "end",
            BeyondLog::Stop => "stop",
        };
        write!(f, "below:{below},beyond:{beyond}")
    }
}

/// What is done where the log begins behind the next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BelowLog {
    /// Reading goes on at the oldest message that is left.
    Earliest,
    /// Reading goes on at the end of the log.
    End,
    /// The service stops.
    Stop,
}

/// What is done where the log was cut below the next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondLog {
    /// Reading goes on where the log was cut. Where that is not known, or guards would refuse what is new, the service
    /// stops.
    Resume,
    /// Reading goes on where the log was cut; where that is not known, at the oldest message.
    Earliest,
    /// The same; where that is not known, at the end of the log.
    End,
    /// The service stops.
    Stop,
}

/// Where a group without a committed offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message that is kept.
    Earliest,
    /// At the messages that come from now on.
    Latest,
}

/// How a payload is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The payload is one JSON text.
    Json,
    /// As `Json`, after a zero byte and a 4-byte schema id of a schema registry.
    JsonSchemaRegistry,
}

/// `kafka.byte_order_mark`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrderMark {
    /// It is read past.
    Skip,
    /// The message is rejected.
    Reject,
}

/// A text that never appears in a log: `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `[aerospike]`.
#[derive(Debug, Clone)]
pub struct Aerospike {
    /// `host:port`, comma-separated: seeds of the cluster.
    pub hosts: String,
    /// The default namespace of every write.
    pub namespace: String,
    /// `user` and `password` together, or neither.
    pub credentials: Option<(String, Secret)>,
    /// The name every node must report, if given.
    pub cluster_name: Option<String>,
    /// Ask nodes for their alternate (for example public) addresses.
    pub use_services_alternate: bool,
}

/// `[reject]`: what becomes of a message that is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// What is done.
    pub action: RejectAction,
    /// The service stops where more than this part of the last `percent_of` messages is rejected, in percent; `None`: no
    /// such limit.
    pub percent_max: Option<u32>,
    /// Messages of all partitions together, the last ones.
    pub percent_of: u32,
    /// The service stops where more messages than this are rejected one after another in one partition; `None`: no such
    /// limit.
    pub consecutive_max: Option<u32>,
}

/// `reject.action`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectAction {
    /// The partition waits, uncommitted; the others go on.
    Hold,
    /// The service stops; nothing is committed past the message.
    Stop,
    /// It is counted, told, and left out.
    Drop,
    /// It is produced to another topic, and acknowledged there before its offset moves.
    DeadLetter {
        /// None of `kafka.topics`.
        topic: String,
        /// What the headers that say why are called.
        headers: DeadLetterHeaders,
    },
}

/// `reject.headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterHeaders {
    /// `penstock.reason` and its kin.
    Penstock,
    /// Those of Kafka Connect where it has one (`__connect.errors.topic`), ours for the rest.
    Connect,
}

/// One `[[route]]`.
#[derive(Debug, Clone)]
pub struct Route {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// The topics it takes; never empty.
    pub topics: Vec<String>,
    /// Where bare paths start; empty: at the top of the message. Already prepended to every path of its writes.
    pub root: Path,
    /// Where it does not hold, the route asks nothing.
    pub when: Option<When>,
    /// Each must hold for what `when` lets through, or the message is rejected.
    pub require: Vec<Cel>,
    /// In the order of the file.
    pub writes: Vec<Write>,
    /// In the order of the file; where there is none, there is a write.
    pub publishes: Vec<Publish>,
}

/// A CEL expression: it names something of the message.
#[derive(Debug, Clone)]
pub struct Cel {
    /// As written, for reject reasons; a `${…}` as such, never what it stands for.
    pub written: String,
    /// The line in the file where it stands, from 1.
    pub line: usize,
    /// Checked; shared by whatever is compiled of it.
    pub program: Arc<Program>,
}

/// `when`, with its `when_error`.
#[derive(Debug, Clone)]
pub struct When {
    /// True: go on.
    pub condition: Cel,
    /// `when_error = "false"`: what cannot be computed is false, and counted. Otherwise it rejects the message.
    pub error_is_false: bool,
}

/// One `[[route.publish]]`: a message of the route is produced to another topic.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// None of `kafka.topics`.
    pub topic: String,
    /// Where it does not hold, nothing is produced.
    pub when: Option<When>,
    /// `None`: the message's own, as it came, which may be none. Missing or null rejects; with `missing = "skip"` nothing
    /// is produced.
    pub key: Option<Typed>,
    /// The message's own headers go along, in front.
    pub forward_headers: bool,
    /// By name, in the order of the file. One that is missing is left out; null is a header without a value.
    pub headers: Vec<(String, Typed)>,
    /// `None`: as it came. Otherwise the JSON text of this value; missing rejects, or with `missing = "skip"` nothing is
    /// produced.
    pub payload: Option<Typed>,
    /// What a message without payload does here; `Delete`: it is produced as one.
    pub tombstone: Tombstone,
}

/// One `[[route.write]]`: what a message of the route asks of a record, or of several.
#[derive(Debug, Clone)]
pub struct Write {
    /// The line in the file where it begins, from 1.
    pub line: usize,
    /// Where it does not hold, no record is written; of `each`, none for that element if it reads the element.
    pub when: Option<When>,
    /// Its own, or `aerospike.namespace`.
    pub namespace: Name,
    /// The empty set when absent.
    pub set: Name,
    /// The record's user key; never a constant.
    pub key: Typed,
    /// One record for each element of this array.
    pub each: Option<Each>,
    /// What is done to the record.
    pub action: Action,
    /// What a message without payload does here.
    pub tombstone: Tombstone,
    /// Whether the record must, may or must not be there.
    pub mode: Mode,
    /// What it means that it is there, or is not, against `mode`.
    pub on_conflict: OnConflict,
    /// Applied only if this is greater than what the record holds.
    pub newer: Option<Newer>,
    /// As written; nothing: guarded where a replay would do harm.
    pub guard: Option<bool>,
    /// What an unguarded write that cannot be repeated does when its outcome is unknown.
    pub in_doubt: InDoubt,
    /// The record's life.
    pub ttl: Ttl,
    /// When `ttl` counts.
    pub ttl_on: TtlOn,
    /// What a life that is over does; only where `ttl` is an instant.
    pub ttl_past: TtlPast,
    /// 0, -1 and -2 are Aerospike's words: the namespace's default, never, and keep.
    pub ttl_words: bool,
    /// Store the user key beside the digest.
    pub send_key: bool,
}

/// The name of a namespace or set.
#[derive(Debug, Clone)]
pub enum Name {
    /// The same for all messages.
    Fixed(String),
    /// From the message; a name that is not among `allowed` rejects it. (The server never frees a set's name.)
    FromMessage {
        /// A string.
        value: Box<Typed>,
        /// `sets_allowed` or `namespaces_allowed`; not empty.
        allowed: Vec<String>,
    },
}

impl Name {
    /// Every name it can be.
    pub fn all(&self) -> &[String] {
        match self {
            Name::Fixed(name) => std::slice::from_ref(name),
            Name::FromMessage { allowed, .. } => allowed,
        }
    }
}

/// What a write does to its record.
#[derive(Debug, Clone)]
pub enum Action {
    /// Operations on its bins, in this order; at least one of them.
    Write {
        /// No two of one name.
        bins: Vec<Bin>,
        /// No bin of `bins`, and no bin twice, but for the operation that a `KeepLast` trims after.
        operations: Vec<Operation>,
    },
    /// `touch = true`: only its life begins anew. Nothing where there is no record.
    Touch,
    /// `delete = true`: the record ends.
    Delete,
}

/// An operation on one bin.
#[derive(Debug, Clone)]
pub struct Operation {
    /// 1 to 15 bytes.
    pub bin: String,
    /// What is done.
    pub what: OperationKind,
}

/// What is done to a bin. What is missing rejects the message, unless it says `missing = "skip"`: then the operation is
/// left out. So does null, but in [`OperationKind::Once`], where both leave the bin as it is.
#[derive(Debug, Clone)]
pub enum OperationKind {
    /// `once`: set, if the bin is not there.
    Once(Typed),
    /// `add`: an integer or float, as its `as` or its constant says.
    Add(Typed),
    /// `append`: a string or bytes behind what is there.
    Append(Typed),
    /// `prepend`.
    Prepend(Typed),
    /// `list_append`: an element behind the last one.
    ListAppend(Typed),
    /// `map_put`: an entry set.
    MapPut {
        /// A string or integer.
        key: Typed,
        /// Anything but null.
        value: Typed,
    },
    /// `map_add`: an entry counted up from 0.
    MapAdd {
        /// A string or integer.
        key: Typed,
        /// As in `Add`.
        by: Typed,
    },
    /// `keep_last`: of a list its last so many elements, of a map the so many greatest keys; runs behind the bin's
    /// `list_append`, `map_put` or `map_add`, which the same write has.
    KeepLast {
        /// At least 1.
        count: u32,
        /// Of a map, not a list.
        map: bool,
    },
    /// `remove`: the bin goes.
    Remove,
}

/// `tombstone`: what a message without payload does, before anything else is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tombstone {
    /// It is rejected.
    Reject,
    /// It asks nothing of this write.
    Ignore,
    /// It deletes the record. The key then comes from the message key, a header or other metadata alone, and there is
    /// no `each`.
    Delete,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Made if it is not there; other bins stay.
    Update,
    /// Made if it is not there; other bins go.
    Replace,
    /// Only if it is not there.
    Create,
    /// Only if it is there.
    UpdateOnly,
}

/// `on_conflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The message is rejected.
    Reject,
    /// The row is done, and counted.
    Ignore,
}

/// `newer = { path = "source.lsn", bin = "_lsn" }`.
#[derive(Debug, Clone)]
pub struct Newer {
    /// An integer: its `as` is `integer` or an instant. Missing or null rejects, or with `missing = "skip"` makes no
    /// record.
    pub value: Typed,
    /// Where the record keeps it: 1 to 15 bytes, no other bin of the write.
    pub bin: String,
}

/// `in_doubt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// Sent again: it may be applied twice.
    Retry,
    /// The message is rejected.
    Reject,
    /// The partition waits, whatever `[reject]` says.
    Hold,
}

/// `ttl_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlOn {
    /// Each write sets it.
    Write,
    /// Only the write that makes the record; others keep what it has.
    Create,
}

/// `ttl_past`: what a message asks for whose record has ended before the message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlPast {
    /// The message is rejected.
    Reject,
    /// The write leaves the record out.
    Skip,
    /// The record is deleted.
    Delete,
}

/// `each` and `each_max`.
#[derive(Debug, Clone)]
pub struct Each {
    /// Where the array is, from the top of the message (the route's `root` is already in front).
    pub path: Path,
    /// More elements than this reject the message.
    pub max: usize,
}

/// What writes one bin, or many.
#[derive(Debug, Clone)]
pub enum Bin {
    /// One bin with a fixed name.
    One {
        /// 1 to 15 bytes.
        name: String,
        /// What it is set to.
        value: Typed,
    },
    /// Every field of the object at `source` (`"*"`: the route's root, or the top of the message).
    All {
        /// `Source::Path` or `Source::Item`.
        source: Source,
        /// Fields that become no bin.
        except: Vec<String>,
        /// (field, bin): each bin of 1 to 15 bytes and named once, no field among `except`.
        rename: Vec<(String, String)>,
        /// Fields whose name, after `rename`, no bin can have.
        long_names: LongNames,
        /// Numbers in the fields that are taken, which no bin can hold.
        big_numbers: BigNumbers,
        /// The line in the file where `bins` stands, from 1.
        line: usize,
        /// The path as written; a `${…}` as such.
        written: String,
    },
}

/// What a number that no bin can hold does where it is kept: an integer outside of 64 bits, a number outside of a 64-bit
/// float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BigNumbers {
    /// It rejects the message.
    Reject,
    /// Its text is kept instead.
    String,
    /// The nearest float is kept instead; where there is none, it rejects the message.
    Float,
    /// It is as if it were not there; in a list it is null, so that the others keep their places.
    Skip,
}

/// What a field name of over 15 bytes does when all fields become bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongNames {
    /// It rejects the message.
    Reject,
    /// The field is left out.
    Skip,
}

/// The life of a record.
#[derive(Debug, Clone)]
pub enum Ttl {
    /// `"default"`: the namespace's own.
    Default,
    /// `"never"`.
    Never,
    /// `"keep"`: as the record has it.
    Keep,
    /// A duration from the write on, in seconds, 1 second to 10 years.
    Seconds(u32),
    /// From the message: seconds, or where its `as` has a unit ([`As::unit`]) the instant at which the record ends.
    Field(Typed),
}

/// A value expression, with its type and what its absence does.
#[derive(Debug, Clone)]
pub struct Typed {
    /// Where the value comes from.
    pub expr: Expr,
    /// What it is read as; nothing: as it is (in a key: a string). Only over a source, or `String` over a template.
    pub cast: Option<As>,
    /// What happens if it is not there; for a template, if a part of it is not.
    pub missing: Missing,
    /// What a number in it does that no bin can hold. Other than `Reject` only over a source, in a bin.
    pub big_numbers: BigNumbers,
    /// The line in the file where it stands, from 1.
    pub line: usize,
    /// Its text as written, for reject reasons; a `${…}` as such, never what it stands for.
    pub written: String,
}

/// What a missing field does.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// As the place has it: a bin is left as it is; a key, ttl, name or version rejects, and so do operations other than
    /// `once`.
    AsPlace,
    /// `missing = "skip"`: in a bin, the bin is left; an operation is left out; for want of a key, ttl, name or version no
    /// record is written.
    Skip,
    /// `missing = "reject"`.
    Reject,
    /// `default = …`: the value itself, already of the type that `as` says; it is not read again.
    Default(Constant),
}

/// Where a value comes from.
#[derive(Debug, Clone)]
pub enum Expr {
    /// From the file.
    Constant(Constant),
    /// From the message.
    Source(Source),
    /// `"{tenant}:{user.id}"`: a string. At least one part is no literal.
    Template(Vec<Part>),
    /// `{ object = { … } }`: a map, in the order of the file; not empty. Only where a bin, an element or an entry is
    /// set.
    Object(Vec<(String, Typed)>),
    /// `{ expr = "price * qty" }`.
    Cel(Cel),
}

/// A constant of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// `{ value = "web" }`.
    String(String),
    /// `1`.
    Int(i64),
    /// `2.5`; finite.
    Float(f64),
    /// `true`.
    Bool(bool),
    /// `{ value = [1, 2] }`.
    List(Vec<Constant>),
    /// `{ value = { a = 1 } }`, in the order of the file.
    Map(Vec<(String, Constant)>),
}

/// One piece of a template.
#[derive(Debug, Clone)]
pub enum Part {
    /// Text that stands for itself; never empty, never two in a row.
    Literal(String),
    /// `{user.id}`.
    Source(Source),
    /// `{ts:%Y%m%d}`: an instant, in UTC.
    Time {
        /// An epoch number or an RFC 3339 string.
        source: Source,
        /// `{ts as epoch_s:…}`; nothing: milliseconds from 100,000,000,000 on, else seconds.
        unit: Option<TimeUnit>,
        /// A strftime format that jiff can write an instant in.
        format: String,
    },
}

/// A place in the message or its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// From the top of the message (the route's `root` is already in front).
    Path(Path),
    /// `@item`, `@item.x`: from the element of `each`.
    Item(Path),
    /// `@index`: the element's number, from 0.
    Index,
    /// `@key`: the message key as it is.
    Key,
    /// `@key.id`: a field of a JSON key; never empty.
    KeyPath(Path),
    /// `@value`: the whole payload as it is.
    Value,
    /// `@topic`: its name.
    Topic,
    /// `@partition`: its number.
    Partition,
    /// `@offset`.
    Offset,
    /// `@timestamp`: milliseconds since the epoch, as Kafka has it.
    Timestamp,
    /// `@header.NAME`: the last header of that name.
    Header(String),
}

/// A path: names and array indexes. Empty: the whole.
pub type Path = Vec<Segment>;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field of an object.
    Name(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// `as = …`: the type a value is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// `"string"`.
    String,
    /// `"integer"`.
    Integer,
    /// `"float"`.
    Float,
    /// `"bool"`.
    Bool,
    /// A string (or raw bytes) that holds a JSON text: the value it says.
    Json,
    /// A string in base64: bytes.
    Base64,
    /// A string in hexadecimal: bytes.
    Hex,
    /// `"epoch_s"`: an RFC 3339 string or a number of seconds: an integer, seconds since the epoch.
    EpochS,
    /// The same in milliseconds.
    EpochMs,
    /// The same in microseconds.
    EpochUs,
    /// The same in nanoseconds.
    EpochNs,
}

impl As {
    /// The unit, if it is an instant.
    pub fn unit(self) -> Option<TimeUnit> {
        match self {
            As::EpochS => Some(TimeUnit::Seconds),
            As::EpochMs => Some(TimeUnit::Milliseconds),
            As::EpochUs => Some(TimeUnit::Microseconds),
            As::EpochNs => Some(TimeUnit::Nanoseconds),
            As::String | As::Integer | As::Float | As::Bool | As::Json | As::Base64 | As::Hex => None,
        }
    }
}

/// What a number of an instant counts, from 1970 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// `epoch_s`.
    Seconds,
    /// `epoch_ms`.
    Milliseconds,
    /// `epoch_us`.
    Microseconds,
    /// `epoch_ns`.
    Nanoseconds,
}

impl TimeUnit {
    /// All of them.
    pub const ALL: [TimeUnit; 4] = [
        TimeUnit::Seconds,
        TimeUnit::Milliseconds,
        TimeUnit::Microseconds,
        TimeUnit::Nanoseconds,
    ];

    /// As the file has it.
    pub fn word(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "epoch_s",
            TimeUnit::Milliseconds => "epoch_ms",
            TimeUnit::Microseconds => "epoch_us",
            TimeUnit::Nanoseconds => "epoch_ns",
        }
    }

    /// For a sentence.
    pub fn plural(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "seconds",
            TimeUnit::Milliseconds => "milliseconds",
            TimeUnit::Microseconds => "microseconds",
            TimeUnit::Nanoseconds => "nanoseconds",
        }
    }

    /// Nanoseconds in one of it.
    fn nanoseconds(self) -> i128 {
        match self {
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Nanoseconds => 1,
        }
    }

    /// The instant in this unit, a fraction left out; `None` outside of 64 bits.
    pub fn count(self, instant: Instant) -> Option<i64> {
        i64::try_from(instant.nanoseconds() / self.nanoseconds()).ok()
    }

    /// The instant of this number; `None` outside of the calendar (the years -9999 to 9999).
    pub fn instant(self, number: i64) -> Option<Instant> {
        Instant::of_calendar(i128::from(number) * self.nanoseconds())
    }

    /// Whether this number is an instant before 2001. No record ends then: it is a length of time, or of another unit.
    pub fn is_before_2001(self, number: i64) -> bool {
        i128::from(number) * self.nanoseconds() < Instant::ENDS_FROM.nanoseconds()
    }

    /// The one in which this number is an instant between 2001-09-09 and 2286-11-20, which is true of one unit at most.
    /// The greatest 64-bit integer is not a time.
    pub fn of_look(number: i64) -> Option<TimeUnit> {
        match number {
            1_000_000_000..10_000_000_000 => Some(TimeUnit::Seconds),
            1_000_000_000_000..10_000_000_000_000 => Some(TimeUnit::Milliseconds),
            1_000_000_000_000_000..10_000_000_000_000_000 => Some(TimeUnit::Microseconds),
            1_000_000_000_000_000_000..=9_223_372_036_854_775_806 => Some(TimeUnit::Nanoseconds),
            _ => None,
        }
    }
}
