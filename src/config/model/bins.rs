//! `bins`: what a record's bins are set to.

use crate::config::model::source::Source;
use crate::config::model::value::{BigNumbers, Typed};

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

/// What a field name of over 15 bytes does when all fields become bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongNames {
    /// It rejects the message.
    Reject,
    /// The field is left out.
    Skip,
}
