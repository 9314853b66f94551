//! `once`, `add`, `append` and the other operations on one bin.

use crate::config::model::value::Typed;

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
