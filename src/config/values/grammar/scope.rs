//! The context of a string, and what is wrong with it.

use crate::config::model::Segment;

/// What is wrong with a text, and what would be right. Both may quote the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    pub problem: String,
    pub cure: String,
}

/// The context of a value.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Prepended to bare paths.
    pub root: &'a [Segment],
    /// There is an `each`, so `@item` and `@index` are allowed.
    pub each: bool,
}

pub(super) fn bad<T>(problem: impl Into<String>, cure: impl Into<String>) -> Result<T, Bad> {
    Err(Bad {
        problem: problem.into(),
        cure: cure.into(),
    })
}
