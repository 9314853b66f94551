//! `bins`: the values of a record's bins.

use crate::config::model::source::Source;
use crate::config::model::value::{BigNumbers, Typed};

/// Sets one bin, or many.
#[derive(Debug, Clone)]
pub enum Bin {
    /// One bin with a fixed name.
    One {
        /// 1 to 15 bytes.
        name: String,
        /// Its value.
        value: Typed,
    },
    /// A bin for every field of the object at `source` (`"*"`: the route's root, or the top of the message).
    All {
        /// `Source::Path` or `Source::Item`.
        source: Source,
        /// Fields that are strings that hold JSON: the bin is what the text says.
        json_members: Vec<String>,
        /// Fields that are left out.
        except: Vec<String>,
        /// Pairs of field and bin. Each bin has 1 to 15 bytes and is named once. No field is also in `except`.
        rename: Vec<(String, String)>,
        /// What to do with a field whose name, after `rename`, is too long for a bin.
        long_names: LongNames,
        /// What to do with numbers that a bin cannot store.
        big_numbers: BigNumbers,
        /// Line of `bins` in the file, from 1.
        line: usize,
        /// The path as written; a `${…}` is not resolved.
        written: String,
    },
}

/// What to do with a field name of over 15 bytes, if all fields become bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongNames {
    /// It rejects the message.
    Reject,
    /// The field is left out.
    Skip,
}
