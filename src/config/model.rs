//! The checked configuration: what the file said after every name, unit, range and rule was verified.
//!
//! Plain data, compiled into numbered fields by [`crate::pipeline::map`]. Nothing here reads a file or talks
//! to a service.

use std::time::Duration;

/// A whole configuration, free of faults.
#[derive(Debug, Clone)]
pub struct Config {
    pub run: Run,
    pub kafka: Kafka,
    pub aerospike: Aerospike,
    /// In the order of the file; at least one; every configured topic is taken by at least one.
    pub routes: Vec<Route>,
    pub reject: Reject,
}

/// `[run]`: bounds and deadlines of the process.
#[derive(Debug, Clone)]
pub struct Run {
    pub memory_bytes: u64,
    /// 0: all partitions of the topics.
    pub partitions_max: u32,
    pub batch_rows_max: usize,
    pub batch_bytes_max: usize,
    pub commit_interval: Duration,
    pub shutdown_grace: Duration,
    /// `None`: wait for Kafka and Aerospike for ever (written `"0"`).
    pub start_timeout: Option<Duration>,
    pub write_timeout: Duration,
}

/// `[kafka]`.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`, comma-separated, as librdkafka's `bootstrap.servers` takes it.
    pub brokers: String,
    pub topics: Vec<String>,
    pub group: String,
    pub start: Start,
    pub format: Format,
    /// librdkafka properties of the consumer (`[kafka.properties]`, overridden by `[kafka.consumer]`).
    pub consumer_properties: Vec<(String, Secret)>,
    /// librdkafka properties of the producer (`[kafka.properties]`, overridden by `[kafka.producer]`).
    pub producer_properties: Vec<(String, Secret)>,
}

/// Where a group without a committed offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
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

/// `[reject]`. This version knows `hold` only: the partition waits, uncommitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    Hold,
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
    /// In the order of the file; at least one.
    pub writes: Vec<Write>,
}

/// One `[[route.write]]`: the record or records that a message of the route puts.
#[derive(Debug, Clone)]
pub struct Write {
    pub line: usize,
    pub namespace: String,
    /// The empty set when absent.
    pub set: String,
    pub key: Typed,
    /// One record for each element of this array.
    pub each: Option<Each>,
    pub bins: Vec<Bin>,
    pub ttl: Ttl,
    /// Store the user key beside the digest.
    pub send_key: bool,
}

/// `each` and `each_max`.
#[derive(Debug, Clone)]
pub struct Each {
    pub path: Path,
    /// More elements than this reject the message.
    pub max: usize,
}

/// What writes one bin, or many.
#[derive(Debug, Clone)]
pub enum Bin {
    /// One bin with a fixed name.
    One { name: String, value: Typed },
    /// Every field of the object at `path` (`"*"`: an empty path, the top of the message or its root).
    All {
        /// `Source::Path` or `Source::Item`.
        source: Source,
        except: Vec<String>,
        /// (field, bin).
        rename: Vec<(String, String)>,
        long_names: LongNames,
    },
}

/// What a field name of over 15 bytes does when all fields become bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongNames {
    Reject,
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
    /// From the message: seconds, or with [`As::EpochMs`] the instant at which the record ends.
    Field(Typed),
}

/// A value expression, with its type and what its absence does.
#[derive(Debug, Clone)]
pub struct Typed {
    pub expr: Expr,
    pub cast: Option<As>,
    pub missing: Missing,
    /// The line in the file where it stands, from 1, and its text as written: for reject reasons and faults.
    pub line: usize,
    pub written: String,
}

/// What a missing field does.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// As the place has it: a bin is left as it is; a key or ttl rejects.
    AsPlace,
    /// `missing = "skip"`: in a bin, the bin is left; in a key or ttl, no record is written.
    Skip,
    /// `missing = "reject"`.
    Reject,
    /// `default = …`.
    Default(Constant),
}

/// Where a value comes from.
#[derive(Debug, Clone)]
pub enum Expr {
    Constant(Constant),
    Source(Source),
    /// `"{tenant}:{user.id}"`: a string.
    Template(Vec<Part>),
    /// `{ object = { … } }`: a map, in the order of the file.
    Object(Vec<(String, Typed)>),
}

/// A constant of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    String(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Constant>),
    Map(Vec<(String, Constant)>),
}

/// One piece of a template.
#[derive(Debug, Clone)]
pub enum Part {
    Literal(String),
    Source(Source),
    /// `{ts:%Y%m%d}`: a strftime format, in UTC, over an epoch number or RFC 3339 string.
    Time {
        source: Source,
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
    Topic,
    Partition,
    Offset,
    /// Milliseconds since the epoch, as Kafka has it.
    Timestamp,
    /// `@header.NAME`: the last header of that name.
    Header(String),
}

/// A path: names and array indexes. Empty: the whole.
pub type Path = Vec<Segment>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    Name(String),
    Index(usize),
}

/// `as = …`: the type a value is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    String,
    Integer,
    Float,
    Bool,
    /// A string (or raw bytes) that holds a JSON text: the value it says.
    Json,
    /// A string in base64: bytes.
    Base64,
    /// A string in hexadecimal: bytes.
    Hex,
    /// An RFC 3339 string or a number of milliseconds: an integer, milliseconds since the epoch.
    EpochMs,
}
