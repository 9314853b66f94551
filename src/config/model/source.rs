//! Places in a message and its metadata.

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
