//! CEL expressions, ready for evaluation, and the conditions that consist of them.

use std::sync::Arc;

use cel::common::value::Val;
use cel::parser::Expression;

use crate::config::model::kinds::Kinds;
use crate::config::model::source::Source;

/// Prefix of the name of a read in [`Program::expression`], before its number. No CEL name contains it.
pub const READ: char = '$';
/// Prefix of the name of a constant, before its number.
pub const CONSTANT: char = '#';

/// A CEL expression. It reads at least one thing of the message.
#[derive(Debug, Clone)]
pub struct Cel {
    /// As written, for reject reasons. A `${…}` is not resolved.
    pub written: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// The checked program. Everything that is compiled from it shares it.
    pub program: Arc<Program>,
}

/// `when`, with its `when_error`.
#[derive(Debug, Clone)]
pub struct When {
    /// If it is true, continue.
    pub condition: Cel,
    /// `when_error = "false"`: if it cannot be computed, it counts as false, and a counter is increased. Otherwise the
    /// message is rejected.
    pub error_is_false: bool,
}

/// An expression, ready for evaluation: numbered names replace its reads and its constant lists.
#[derive(Debug)]
pub struct Program {
    /// The expression. It has a name such as `$0` for each read, `#0` for each constant, and names such as `$add` for
    /// some operators.
    pub expression: Expression,
    /// The reads; `$N` is number N.
    pub reads: Vec<Read>,
    /// The constants; `#N` is number N.
    pub constants: Vec<Box<dyn Val>>,
    /// The strings of the expression. An error message may repeat them.
    pub names: Vec<String>,
    /// The kinds that the result can have.
    pub kinds: Kinds,
}

impl Program {
    /// Whether it reads the payload. If so, it has no result for a message without payload.
    pub fn reads_payload(&self) -> bool {
        self.reads.iter().any(|read| match &read.what {
            What::Value(source) | What::Has(source) => {
                matches!(source, Source::Path(_) | Source::Item(_) | Source::Index)
            }
            What::Headers | What::HasHeader(_) => false,
        })
    }

    /// Whether it reads the element of `each`.
    pub fn reads_element(&self) -> bool {
        self.reads.iter().any(|read| {
            matches!(
                &read.what,
                What::Value(Source::Item(_) | Source::Index) | What::Has(Source::Item(_))
            )
        })
    }
}

/// One thing that an expression reads of a message.
#[derive(Debug, Clone)]
pub struct Read {
    pub what: What,
    /// As written in the expression.
    pub written: String,
}

/// See [`Read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A value.
    Value(Source),
    /// Whether a field exists. Its parent must exist. The path is `Source::Path` or `Source::Item`, never empty.
    Has(Source),
    /// All headers. If a name occurs several times, the last one.
    Headers,
    /// Whether there is a header with this name.
    HasHeader(String),
}
