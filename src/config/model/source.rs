//! Places in a message and its metadata.

/// A place in the message or its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// From the top of the message. It already includes the route's `root`.
    Path(Path),
    /// `@item`, `@item.x`: from the element of `each`.
    Item(Path),
    /// `@index`: the number of the element, from 0.
    Index,
    /// `@key`: the message key, unchanged.
    Key,
    /// `@key.id`: a field of a JSON key; never empty.
    KeyPath(Path),
    /// `@value`: the whole payload, unchanged.
    Value,
    /// `@topic`: the topic's name.
    Topic,
    /// `@partition`: the partition's number.
    Partition,
    /// `@offset`.
    Offset,
    /// `@timestamp`: milliseconds since 1970, as in Kafka's message.
    Timestamp,
    /// `@header.NAME`: the last header with that name.
    Header(String),
}

/// A path: names and array indexes. Empty: the whole message.
pub type Path = Vec<Segment>;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field of an object.
    Name(String),
    /// An element of an array, from 0.
    Index(usize),
    /// The value of the JSON text in a string (`json_strings`). What is no string stays as it is. Never the first of two
    /// in a row.
    Json,
}
