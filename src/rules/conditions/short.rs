//! The short way. Most conditions compare fields with constants. For these, an evaluator of a whole language takes
//! longer than decoding the message.
//!
//! It answers only when it is sure; otherwise the crate evaluates the whole condition. It gives no answer for values
//! that are not plain, for unknown functions, and for anything that cannot be computed. So the crate remains the only
//! definition of the language (a property test compares the two) and the only source of errors.

use std::cmp::Ordering;

use cel::common::ast::{CallExpr, Expr, LiteralValue, operators as op};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelString};
use cel::common::value::Val;
use cel::parser::Expression;

use super::facts::number;
use super::{Facts, Place};
use crate::config::model::{CONSTANT, Program, READ};
use crate::config::values::cel::Pattern;
use crate::output::value::Value;
use crate::rules::decode::Shape;

/// A condition, as far as it can be answered here.
#[derive(Debug)]
pub(super) enum Test {
    And(Box<(Test, Test)>),
    Or(Box<(Test, Test)>),
    Not(Box<Test>),
    /// Condition, then, else.
    Choice(Box<(Test, Test, Test)>),
    /// A boolean by itself.
    Plain(Operand),
    Equal(Operand, Operand),
    /// The comparison of the left side with the right side.
    Order(Operand, fn(Ordering) -> bool, Operand),
    /// Whether the operand is one of these constants.
    In(Operand, Vec<Operand>),
    Has(Place),
    StartsWith(Operand, String),
    EndsWith(Operand, String),
    Contains(Operand, String),
    Matches(Operand, Pattern),
    Unknown,
}

/// An operand of a comparison.
#[derive(Debug)]
pub(super) enum Operand {
    Place(Place),
    Size(Place),
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
}

/// A plain value.
#[derive(Debug, Clone, Copy)]
enum Plain<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
}

/// The part of `program` that can be answered here. `None`: no part of it.
pub(super) fn compile(program: &Program, reads: &[Place]) -> Option<Test> {
    let compiler = Compiler { program, reads };
    Some(compiler.test(&program.expression)).filter(|test| !matches!(test, Test::Unknown))
}

struct Compiler<'a> {
    program: &'a Program,
    reads: &'a [Place],
}

impl Compiler<'_> {
    fn test(&self, expression: &Expression) -> Test {
        self.known(expression).unwrap_or(Test::Unknown)
    }

    fn known(&self, expression: &Expression) -> Option<Test> {
        if let Expr::Ident(_) = &expression.expr
            && let Some(place @ (Place::Has { .. } | Place::HasItem { .. } | Place::HasHeader(_))) =
                self.place(expression)
        {
            return Some(Test::Has(place));
        }
        let Expr::Call(CallExpr {
            func_name,
            target,
            args,
        }) = &expression.expr
        else {
            return self.operand(expression).map(Test::Plain);
        };
        let order = |accepts: fn(Ordering) -> bool| match args.as_slice() {
            [left, right] => Some(Test::Order(self.operand(left)?, accepts, self.operand(right)?)),
            _ => None,
        };
        match (func_name.as_str(), target.as_deref(), args.as_slice()) {
            (op::LOGICAL_AND, None, [left, right]) => Some(Test::And(Box::new((self.test(left), self.test(right))))),
            (op::LOGICAL_OR, None, [left, right]) => Some(Test::Or(Box::new((self.test(left), self.test(right))))),
            (op::LOGICAL_NOT, None, [of]) => Some(Test::Not(Box::new(self.test(of)))),
            (op::CONDITIONAL, None, [condition, then, otherwise]) => Some(Test::Choice(Box::new((
                self.test(condition),
                self.test(then),
                self.test(otherwise),
            )))),
            (op::EQUALS, None, [left, right]) => Some(Test::Equal(self.operand(left)?, self.operand(right)?)),
            (op::NOT_EQUALS, None, [left, right]) => {
                let equal = Test::Equal(self.operand(left)?, self.operand(right)?);
                Some(Test::Not(Box::new(equal)))
            }
            ("$lt", None, _) => order(Ordering::is_lt),
            ("$le", None, _) => order(Ordering::is_le),
            ("$gt", None, _) => order(Ordering::is_gt),
            ("$ge", None, _) => order(Ordering::is_ge),
            (op::IN, None, [of, list]) => {
                let list = self.constant(list)?.downcast_ref::<CelList>()?;
                let elements = list.inner().iter().map(|each| constant(&**each));
                Some(Test::In(self.operand(of)?, elements.collect::<Option<_>>()?))
            }
            ("$matches", None, [of, pattern]) => {
                let pattern = self.constant(pattern)?.downcast_ref::<Pattern>()?;
                Some(Test::Matches(self.operand(of)?, pattern.clone()))
            }
            ("startsWith", Some(of), [text]) => Some(Test::StartsWith(self.operand(of)?, literal_text(text)?)),
            ("endsWith", Some(of), [text]) => Some(Test::EndsWith(self.operand(of)?, literal_text(text)?)),
            ("contains", Some(of), [text]) => Some(Test::Contains(self.operand(of)?, literal_text(text)?)),
            _ => None,
        }
    }

    fn operand(&self, expression: &Expression) -> Option<Operand> {
        match &expression.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(value) => Some(Operand::Bool(*value.inner())),
                LiteralValue::Double(value) => Some(Operand::Float(*value.inner())),
                LiteralValue::Int(value) => Some(Operand::Int(*value.inner())),
                LiteralValue::Null => Some(Operand::Null),
                LiteralValue::String(text) => Some(Operand::Str(text.inner().to_owned())),
                LiteralValue::Bytes(_) | LiteralValue::UInt(_) => None,
            },
            Expr::Call(CallExpr {
                func_name,
                target,
                args,
            }) if func_name == "size" => match (target.as_deref(), args.as_slice()) {
                (Some(of), []) | (None, [of]) => self.place(of).map(Operand::Size),
                _ => None,
            },
            _ => self.place(expression).map(Operand::Place),
        }
    }

    fn place(&self, expression: &Expression) -> Option<Place> {
        let Expr::Ident(name) = &expression.expr else {
            return None;
        };
        self.reads.get(number(name.strip_prefix(READ)?)).copied()
    }

    fn constant(&self, expression: &Expression) -> Option<&dyn Val> {
        let Expr::Ident(name) = &expression.expr else {
            return None;
        };
        self.program
            .constants
            .get(number(name.strip_prefix(CONSTANT)?))
            .map(|value| &**value)
    }
}

fn literal_text(expression: &Expression) -> Option<String> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

fn constant(value: &dyn Val) -> Option<Operand> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Some(Operand::Str(text.inner().to_owned()));
    }
    if let Some(value) = value.downcast_ref::<CelInt>() {
        return Some(Operand::Int(*value.inner()));
    }
    if let Some(value) = value.downcast_ref::<CelDouble>() {
        return Some(Operand::Float(*value.inner()));
    }
    value
        .downcast_ref::<CelBool>()
        .map(|value| Operand::Bool(*value.inner()))
}

impl Test {
    /// `None`: the crate must evaluate the condition.
    pub fn holds(&self, facts: &Facts<'_, '_>) -> Option<bool> {
        match self {
            // One side is enough if it decides the result, even if the other one is unknown.
            Test::And(both) => match both.0.holds(facts) {
                Some(false) => Some(false),
                Some(true) => both.1.holds(facts),
                None => both.1.holds(facts).filter(|holds| !holds),
            },
            Test::Or(both) => match both.0.holds(facts) {
                Some(true) => Some(true),
                Some(false) => both.1.holds(facts),
                None => both.1.holds(facts).filter(|holds| *holds),
            },
            Test::Not(of) => of.holds(facts).map(|holds| !holds),
            Test::Choice(three) => match three.0.holds(facts)? {
                true => three.1.holds(facts),
                false => three.2.holds(facts),
            },
            Test::Plain(of) => match of.value(facts)? {
                Plain::Bool(value) => Some(value),
                _ => None,
            },
            Test::Equal(left, right) => equal(left.value(facts)?, right.value(facts)?),
            Test::Order(left, accepts, right) => order(left.value(facts)?, right.value(facts)?).map(accepts),
            Test::In(of, list) => {
                let value = of.value(facts)?;
                for element in list {
                    if equal(value, element.value(facts)?)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Test::Has(place) => has(*place, facts),
            Test::StartsWith(of, text) => Some(of.text(facts)?.starts_with(text.as_str())),
            Test::EndsWith(of, text) => Some(of.text(facts)?.ends_with(text.as_str())),
            Test::Contains(of, text) => Some(of.text(facts)?.contains(text.as_str())),
            Test::Matches(of, pattern) => Some(pattern.matches(of.text(facts)?)),
            Test::Unknown => None,
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, facts: &'a Facts<'_, '_>) -> Option<Plain<'a>> {
        Some(match self {
            Operand::Null => Plain::Null,
            Operand::Bool(value) => Plain::Bool(*value),
            Operand::Int(value) => Plain::Int(*value),
            Operand::Float(value) => Plain::Float(*value),
            Operand::Str(text) => Plain::Str(text),
            Operand::Place(place) => return read(*place, facts),
            Operand::Size(place) => match facts.field(*place)? {
                Value::List(elements) => Plain::Int(i64::try_from(elements.len()).ok()?),
                Value::Map(members) => Plain::Int(i64::try_from(members.len()).ok()?),
                Value::Str(text) => Plain::Int(i64::try_from(text.chars().count()).ok()?),
                _ => return None,
            },
        })
    }

    fn text<'a>(&'a self, facts: &'a Facts<'_, '_>) -> Option<&'a str> {
        match self.value(facts)? {
            Plain::Str(text) => Some(text),
            _ => None,
        }
    }
}

fn read<'a>(place: Place, facts: &'a Facts<'_, '_>) -> Option<Plain<'a>> {
    let message = facts.message;
    Some(match place {
        Place::Slot(_) | Place::Item(_) => match facts.field(place)? {
            Value::Null => Plain::Null,
            Value::Bool(value) => Plain::Bool(*value),
            Value::Int(value) => Plain::Int(*value),
            Value::Float(value) => Plain::Float(*value),
            Value::Str(text) => Plain::Str(text),
            Value::Unheld { .. } | Value::Bytes(_) | Value::List(_) | Value::Map(_) => return None,
        },
        Place::Index => Plain::Int(i64::try_from(facts.element?.1).ok()?),
        Place::Key => raw(message.key)?,
        Place::Topic => Plain::Str(message.topic),
        Place::Partition => Plain::Int(message.partition.into()),
        Place::Offset => Plain::Int(message.offset),
        Place::Timestamp => message.timestamp_ms.map_or(Plain::Null, Plain::Int),
        Place::Header(number) => raw(facts.header(number)?)?,
        Place::Has { .. } | Place::HasItem { .. } | Place::HasHeader(_) => Plain::Bool(has(place, facts)?),
        Place::Headers => return None,
    })
}

fn raw(bytes: Option<&[u8]>) -> Option<Plain<'_>> {
    match bytes {
        None => Some(Plain::Null),
        Some(bytes) => std::str::from_utf8(bytes).ok().map(Plain::Str),
    }
}

fn has(place: Place, facts: &Facts<'_, '_>) -> Option<bool> {
    match place {
        Place::Has { parent, field } => {
            let is_object = facts.fields.shape(parent) == Some(Shape::Object);
            is_object.then(|| facts.fields.shape(field).is_some())
        }
        Place::HasItem { parent, field } => {
            let (items, number) = facts.element?;
            let is_object = items.shape(number, parent) == Some(Shape::Object);
            is_object.then(|| items.shape(number, field).is_some())
        }
        Place::HasHeader(number) => Some(facts.header(number).is_some()),
        _ => None,
    }
}

/// Converts an integer that a float holds exactly. For these, all ways to compare an integer with a float agree.
fn exact(value: i64) -> Option<f64> {
    const EXACT: u64 = 1 << 53;
    #[allow(clippy::cast_precision_loss, reason = "exact in this range")]
    (value.unsigned_abs() <= EXACT).then_some(value as f64)
}

fn equal(left: Plain<'_>, right: Plain<'_>) -> Option<bool> {
    match (left, right) {
        (Plain::Null, Plain::Null) => Some(true),
        (Plain::Int(_) | Plain::Float(_), Plain::Int(_) | Plain::Float(_)) => order(left, right).map(Ordering::is_eq),
        (Plain::Bool(left), Plain::Bool(right)) => Some(left == right),
        (Plain::Str(left), Plain::Str(right)) => Some(left == right),
        // Values of two different kinds are never equal.
        _ => Some(false),
    }
}

fn order(left: Plain<'_>, right: Plain<'_>) -> Option<Ordering> {
    match (left, right) {
        (Plain::Int(left), Plain::Int(right)) => Some(left.cmp(&right)),
        (Plain::Float(left), Plain::Float(right)) => left.partial_cmp(&right),
        (Plain::Int(left), Plain::Float(right)) => exact(left)?.partial_cmp(&right),
        (Plain::Float(left), Plain::Int(right)) => left.partial_cmp(&exact(right)?),
        (Plain::Bool(left), Plain::Bool(right)) => Some(left.cmp(&right)),
        (Plain::Str(left), Plain::Str(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
