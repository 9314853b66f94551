//! Where a string stands, and what is wrong with one.

use crate::config::model::Segment;

/// What a text is not, and what would do. Both may quote the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    pub problem: String,
    pub cure: String,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Goes in front of bare paths.
    pub root: &'a [Segment],
    /// There is an `each`: `@item` and `@index` mean something.
    pub each: bool,
}

pub(super) fn bad<T>(problem: impl Into<String>, cure: impl Into<String>) -> Result<T, Bad> {
    Err(Bad {
        problem: problem.into(),
        cure: cure.into(),
    })
}
