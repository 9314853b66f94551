//! Conditions and computed values, evaluated over the fields that decode kept.
//!
//! At start each [`Cel`] of the configuration is compiled into a [`Rule`], in which each read is a numbered field of
//! the message ([`Rule::compile`]). Per message, comparisons of fields with constants are answered directly (`short`).
//! The crate `cel` evaluates everything else, in one shared context. A read is resolved only when the expression asks
//! for it (`facts`), so unused reads cost nothing, and strings are borrowed from the message. We replace the crate's
//! arithmetic and comparisons where they would fail or cost too much (`operators`). The texts of errors contain nothing
//! of the message (`cause`).
//!
//! It is pure. [`crate::rules::mapping`] decides what follows from a condition.

mod cause;
mod facts;
mod operators;
mod short;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use cel::Value as CelValue;
use cel::common::ast::Expr;
use cel::common::types::CelBool;

use crate::config::model::{Cel, Path, Program, READ, Segment, Source, What};
use crate::output::value::Value;
use crate::rules::decode::{EachId, ItemShapeId, ItemSlotId, PathTreeBuilder, ShapeId, SlotId};
pub use facts::Facts;
use facts::Resolver;

/// A compiled condition or computed value.
#[derive(Debug)]
pub struct Rule {
    program: Arc<Program>,
    /// Indexed by the program's read numbers.
    reads: Vec<Place>,
    /// The part of a condition that needs no evaluator.
    short: Option<short::Test>,
    written: String,
    line: usize,
}

/// Where a read finds its value, as a number.
#[derive(Debug, Clone, Copy)]
enum Place {
    Slot(SlotId),
    Item(ItemSlotId),
    Index,
    Key,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Header(usize),
    Headers,
    Has { parent: ShapeId, field: ShapeId },
    HasItem { parent: ItemShapeId, field: ItemShapeId },
    HasHeader(usize),
}

/// Collects what rules read of a message, while they are compiled.
pub struct Asked<'a> {
    /// The paths in the payload.
    pub payload: &'a mut PathTreeBuilder,
    /// The names of headers. The index is the header's number.
    pub headers: &'a mut Vec<String>,
    /// Some rule reads all headers, whatever their names.
    pub all_headers: &'a mut bool,
    /// The array of the write's `each`.
    pub element: Option<EachId>,
}

/// A read that the configuration's checks should have refused: a bug of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct NoPlace;

impl Rule {
    /// Compiles `cel`: gives a number to each of its reads.
    ///
    /// # Errors
    /// If an element is read outside of `each`.
    pub fn compile(cel: &Cel, asked: &mut Asked<'_>) -> Result<Rule, NoPlace> {
        let reads = cel.program.reads.iter().map(|read| asked.place(&read.what));
        let reads = reads.collect::<Result<Vec<_>, _>>()?;
        Ok(Rule {
            short: short::compile(&cel.program, &reads),
            reads,
            program: Arc::clone(&cel.program),
            written: in_a_line(&cel.written),
            line: cel.line,
        })
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Why it cannot be computed, or that it is neither true nor false. The text contains nothing of the message.
    pub fn holds(&self, facts: &Facts<'_, '_>) -> Result<bool, String> {
        match self.short.as_ref().and_then(|short| short.holds(facts)) {
            Some(holds) => Ok(holds),
            None => self.evaluated(facts),
        }
    }

    /// The answer of the crate's evaluator.
    fn evaluated(&self, facts: &Facts<'_, '_>) -> Result<bool, String> {
        let resolver = Resolver { rule: self, facts };
        let mut context = operators::CONTEXT.new_inner_scope();
        context.set_variable_resolver(&resolver);
        match CelValue::resolve_val(&self.program.expression, &context) {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(holds) => Ok(*holds.inner()),
                None => Err(format!("it is of type {}, not true or false", cause::type_of(&*value))),
            },
            Err(error) => Err(cause::text(self, facts, &error)),
        }
    }

    /// The value of the expression. It may contain [`Value::Unheld`].
    ///
    /// # Errors
    /// As for [`Rule::holds`], and if neither a record nor JSON can hold the value.
    pub fn value(&self, facts: &Facts<'_, '_>) -> Result<Value<'static>, String> {
        let resolver = Resolver { rule: self, facts };
        let mut context = operators::CONTEXT.new_inner_scope();
        context.set_variable_resolver(&resolver);
        match CelValue::resolve_val(&self.program.expression, &context) {
            Ok(value) => facts::ours(&*value).map_err(str::to_owned),
            // A field that is passed on unchanged may be a value that CEL cannot hold.
            Err(error) => match self
                .field()
                .and_then(|place| facts.field(place))
                .and_then(facts::unheld)
            {
                Some(value) => Ok(value),
                None => Err(cause::text(self, facts, &error)),
            },
        }
    }

    /// The place of the read, if the whole expression is one read.
    fn field(&self) -> Option<Place> {
        match &self.program.expression.expr {
            Expr::Ident(name) => self.reads.get(facts::number(name.strip_prefix(READ)?)).copied(),
            _ => None,
        }
    }

    /// The path of the field as written in the file, if the expression is only that field.
    pub fn field_written(&self) -> Option<&str> {
        self.field()?;
        self.program.reads.first().map(|read| read.written.as_str())
    }

    /// The expression as written in the file, in one line of limited length.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Its line in the file.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether it reads the payload. If not, it can be evaluated for a message without payload.
    pub fn reads_payload(&self) -> bool {
        self.program.reads_payload()
    }

    /// Whether it reads the current element of `each`.
    pub fn reads_element(&self) -> bool {
        self.program.reads_element()
    }
}

impl Asked<'_> {
    fn place(&mut self, what: &What) -> Result<Place, NoPlace> {
        Ok(match what {
            What::Value(source) => match source {
                Source::Path(path) => Place::Slot(self.payload.slot(path)),
                Source::Item(path) => Place::Item(self.payload.item_slot(self.element.ok_or(NoPlace)?, path)),
                Source::Index if self.element.is_some() => Place::Index,
                Source::Key => Place::Key,
                Source::Topic => Place::Topic,
                Source::Partition => Place::Partition,
                Source::Offset => Place::Offset,
                Source::Timestamp => Place::Timestamp,
                Source::Header(name) => Place::Header(self.header(name)),
                Source::Index | Source::KeyPath(_) | Source::Value => return Err(NoPlace),
            },
            What::Has(Source::Path(path)) => Place::Has {
                parent: self.payload.shape(parent(path)?),
                field: self.payload.shape(path),
            },
            What::Has(Source::Item(path)) => {
                let element = self.element.ok_or(NoPlace)?;
                Place::HasItem {
                    parent: self.payload.item_shape(element, parent(path)?),
                    field: self.payload.item_shape(element, path),
                }
            }
            What::Has(_) => return Err(NoPlace),
            What::Headers => {
                *self.all_headers = true;
                Place::Headers
            }
            What::HasHeader(name) => Place::HasHeader(self.header(name)),
        })
    }

    fn header(&mut self, name: &str) -> usize {
        self.headers.iter().position(|each| each == name).unwrap_or_else(|| {
            self.headers.push(name.to_owned());
            self.headers.len() - 1
        })
    }
}

/// A longer expression is cut in texts. The text also names its line.
const WRITTEN_CHARS_MAX: usize = 200;

fn in_a_line(written: &str) -> String {
    let line = written.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().take(WRITTEN_CHARS_MAX).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

fn parent(path: &Path) -> Result<&[Segment], NoPlace> {
    path.split_last().map(|(_, parent)| parent).ok_or(NoPlace)
}

/// For the test of the table of functions: the value of `program` if all its reads are `"1"`.
#[cfg(test)]
pub(crate) fn check_function(program: Program) -> String {
    tests::of_ones(program)
}
