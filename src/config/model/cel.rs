//! CEL expressions, ready to be evaluated, and the conditions that are made of them.

use std::sync::Arc;

use cel::common::value::Val;
use cel::parser::Expression;

use crate::config::model::kinds::Kinds;
use crate::config::model::source::Source;

/// Before a number, what stands for a read in [`Program::expression`]. No name of CEL has it.
pub const READ: char = '$';
/// Before a number, what stands for a constant.
pub const CONSTANT: char = '#';

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

/// An expression, ready to be evaluated: its reads and its constant lists are numbered names.
#[derive(Debug)]
pub struct Program {
    /// With a name such as `$0` for each read, `#0` for each constant, and `$add` and its kin for some operators.
    pub expression: Expression,
    /// By number.
    pub reads: Vec<Read>,
    /// By number.
    pub constants: Vec<Box<dyn Val>>,
    /// The strings of the expression: what an error may repeat.
    pub names: Vec<String>,
    /// What it can be.
    pub kinds: Kinds,
}

impl Program {
    /// Whether anything of the payload is read: a message without one cannot answer.
    pub fn reads_payload(&self) -> bool {
        self.reads.iter().any(|read| match &read.what {
            What::Value(source) | What::Has(source) => {
                matches!(source, Source::Path(_) | Source::Item(_) | Source::Index)
            }
            What::Headers | What::HasHeader(_) => false,
        })
    }

    /// Whether the element of `each` is read.
    pub fn reads_element(&self) -> bool {
        self.reads.iter().any(|read| {
            matches!(
                &read.what,
                What::Value(Source::Item(_) | Source::Index) | What::Has(Source::Item(_))
            )
        })
    }
}

/// What an expression reads of a message.
#[derive(Debug, Clone)]
pub struct Read {
    pub what: What,
    /// As the expression has it.
    pub written: String,
}

/// See [`Read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A value.
    Value(Source),
    /// Whether a field is there, whose parent must be: `Source::Path` or `Source::Item`, never empty.
    Has(Source),
    /// All headers, the last of each name.
    Headers,
    /// Whether there is a header of that name.
    HasHeader(String),
}
