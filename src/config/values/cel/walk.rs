//! One walk through a parsed expression. It finds and numbers the reads (`reads`), and reports what can never work (for
//! calls: `calls`).

mod calls;
mod reads;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, SourceInfo};
use cel::common::types::{CelList, CelType};
use cel::common::value::Val;
use cel::parser::Expression;

use super::operators;
use crate::config::model::{CONSTANT, Kinds, Program, Read};
use crate::config::values::grammar::Scope;

/// Maximum depth of an expression. Evaluation recurses, on a worker's stack (2 MiB; 38 KiB per level in a debug build).
const DEPTH_MAX: usize = 40;

/// The names of types. They are types only beside `type(…)`; anywhere else they are fields.
const TYPES: &[&str] = &[
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];

/// A fault in an expression.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    /// Line and column in the expression, from 1. `None`: the whole expression.
    pub at: Option<(usize, usize)>,
    pub problem: String,
    pub cure: String,
}

/// Checks `expression` and numbers its reads.
pub(super) fn check(expression: Expression, source: &SourceInfo, scope: Scope<'_>) -> Result<Program, Vec<Bad>> {
    let mut walk = Walk {
        scope,
        source,
        variables: Vec::new(),
        depth: 0,
        reads: Vec::new(),
        constants: Vec::new(),
        names: Vec::new(),
        faults: Vec::new(),
    };
    let (expression, kinds) = walk.expression(expression);
    if !walk.faults.is_empty() {
        walk.faults.sort_by_key(|bad| bad.at);
        return Err(walk.faults);
    }
    Ok(Program {
        expression,
        reads: walk.reads,
        constants: walk.constants,
        names: walk.names,
        kinds,
    })
}

struct Walk<'s> {
    scope: Scope<'s>,
    source: &'s SourceInfo,
    /// The variables of the surrounding macros, the innermost last.
    variables: Vec<(String, Kinds)>,
    depth: usize,
    reads: Vec<Read>,
    constants: Vec<Box<dyn Val>>,
    names: Vec<String>,
    faults: Vec<Bad>,
}

impl Walk<'_> {
    fn expression(&mut self, expression: Expression) -> (Expression, Kinds) {
        self.depth += 1;
        let result = if self.depth > DEPTH_MAX {
            if self.faults.iter().all(|bad| !bad.problem.contains("deeper")) {
                let cure = "make two of it: each string of `require` is one";
                self.fault(expression.id, format!("is deeper than {DEPTH_MAX} levels"), cure);
            }
            (Expression::default(), Kinds::ANY)
        } else {
            self.one(expression)
        };
        self.depth -= 1;
        result
    }

    fn one(&mut self, expression: Expression) -> (Expression, Kinds) {
        let id = expression.id;
        if let Some(chain) = self.chain(&expression) {
            return self.read(id, chain);
        }
        match expression.expr {
            Expr::Literal(literal) => {
                if let LiteralValue::String(text) = &literal {
                    self.names.push(text.inner().to_owned());
                }
                let kinds = literal_kinds(&literal);
                (ided(id, Expr::Literal(literal)), kinds)
            }
            Expr::Ident(name) => {
                let variable = self.variables.iter().rev().find(|(each, _)| *each == name);
                let kinds = match variable {
                    Some((_, kinds)) => *kinds,
                    // The name of a type, beside `type(…)`.
                    None if name.starts_with(CONSTANT) => Kinds::TYPE,
                    None => {
                        self.fault(
                            id,
                            format!("no name `{name}`"),
                            "write a field's name without a dot before it",
                        );
                        Kinds::ANY
                    }
                };
                (ided(id, Expr::Ident(name)), kinds)
            }
            Expr::Select(select) if select.test => self.has(id, select),
            Expr::Select(select) => self.select(id, select),
            Expr::Call(call) => self.call(id, call),
            Expr::List(list) => self.list(id, list),
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        entry.key = self.expression(std::mem::take(&mut entry.key)).0;
                        entry.value = self.expression(std::mem::take(&mut entry.value)).0;
                    }
                }
                (ided(id, Expr::Map(map)), Kinds::MAP)
            }
            Expr::Comprehension(comprehension) => self.comprehension(id, *comprehension),
            Expr::Struct(message) => {
                let cure = "write a map: {'name': value}";
                self.fault(id, format!("no type `{}`", message.type_name), cure);
                (Expression::default(), Kinds::ANY)
            }
            Expr::Unspecified => {
                self.fault(id, "is no CEL".to_owned(), "write e.g. type == 'purchase'");
                (Expression::default(), Kinds::ANY)
            }
        }
    }

    /// Stores a constant, and returns the name that replaces it.
    fn constant(&mut self, id: u64, value: Box<dyn Val>) -> Expression {
        self.constants.push(value);
        ided(id, Expr::Ident(format!("{CONSTANT}{}", self.constants.len() - 1)))
    }

    /// A field of a computed value. It is written as an index: the evaluator looks that up without creating a name
    /// first.
    fn select(&mut self, id: u64, select: SelectExpr) -> (Expression, Kinds) {
        let (operand, kinds) = self.expression(*select.operand);
        if !kinds.meets(Kinds::MAP) {
            let problem = format!("{kinds} has no field `{}`", select.field);
            self.fault(id, problem, "remove it, or name a field of an object");
        }
        self.names.push(select.field.clone());
        let field = ided(id, Expr::Literal(LiteralValue::String(select.field.into())));
        (call(id, op::INDEX, vec![operand, field]), Kinds::ANY)
    }

    fn list(&mut self, id: u64, list: ListExpr) -> (Expression, Kinds) {
        let elements: Vec<Expression> = list.elements.into_iter().map(|each| self.expression(each).0).collect();
        let literals: Option<Vec<Box<dyn Val>>> = elements
            .iter()
            .map(|element| match &element.expr {
                Expr::Literal(literal) => Some(literal.to_val().into_owned()),
                _ => None,
            })
            .collect();
        match literals {
            // Created once instead of for every message.
            Some(literals) if !literals.is_empty() => {
                (self.constant(id, Box::new(CelList::from(literals))), Kinds::LIST)
            }
            _ => (ided(id, Expr::List(ListExpr::new(elements))), Kinds::LIST),
        }
    }

    fn comprehension(&mut self, id: u64, mut it: ComprehensionExpr) -> (Expression, Kinds) {
        let (range, kinds) = self.expression(it.iter_range);
        if !kinds.meets(Kinds::LIST.or(Kinds::MAP)) {
            let problem = format!("goes over a list or a map, and this is {kinds}");
            self.fault(id, problem, "name an array, e.g. items.all(item, item.qty > 0)");
        }
        // `map` and `filter` create a list. Its order must be the same if the message comes again.
        it.iter_range = if matches!(it.accu_init.expr, Expr::List(_)) && kinds.meets(Kinds::MAP) {
            call(id, "$keys", vec![range])
        } else {
            range
        };
        // Do not change it: by the empty list, the evaluator knows that the result grows by one element per step.
        let accu = match &it.accu_init.expr {
            Expr::Literal(literal) => literal_kinds(literal),
            Expr::List(_) => Kinds::LIST,
            _ => Kinds::ANY,
        };
        self.variables.push((it.accu_var.clone(), accu));
        it.loop_cond = self.expression(it.loop_cond).0;
        self.variables.push((it.iter_var.clone(), Kinds::ANY));
        it.loop_step = self.expression(it.loop_step).0;
        self.variables.pop();
        let (result, kinds) = self.expression(it.result);
        it.result = result;
        self.variables.pop();
        (ided(id, Expr::Comprehension(Box::new(it))), kinds)
    }

    fn call(&mut self, id: u64, it: CallExpr) -> (Expression, Kinds) {
        if it.target.is_some() {
            return self.function(id, it);
        }
        match (it.func_name.as_str(), it.args.len()) {
            (op::LOGICAL_AND | op::LOGICAL_OR, 2) => {
                let args = self.bools(&it.func_name, it.args);
                (call(id, &it.func_name, args), Kinds::BOOL)
            }
            (op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, 1) => {
                let args = self.bools(&it.func_name, it.args);
                (call(id, &it.func_name, args), Kinds::BOOL)
            }
            (op::CONDITIONAL, 3) => {
                let mut args = it.args.into_iter();
                let condition: Vec<Expression> = args.by_ref().take(1).collect();
                let mut done = self.bools(op::CONDITIONAL, condition);
                let mut kinds = Kinds::NONE;
                for branch in args {
                    let (branch, of_branch) = self.expression(branch);
                    done.push(branch);
                    kinds = kinds.or(of_branch);
                }
                (call(id, op::CONDITIONAL, done), kinds)
            }
            (op::NEGATE, 1) => {
                let (args, kinds) = self.arguments(it.args);
                let (kinds, signed) = (kinds[0], Kinds::INT.or(Kinds::DOUBLE));
                if !kinds.meets(signed) {
                    self.fault(id, format!("- goes before a number, and this is {kinds}"), "remove it");
                }
                (call(id, op::NEGATE, args), signed)
            }
            (op::IN, 2) => {
                let args = self.with_type_names(it.args);
                let (args, kinds) = self.arguments(args);
                if !kinds[1].meets(Kinds::LIST.or(Kinds::MAP)) {
                    let problem = format!("`in` looks into a list or a map, and this is {}", kinds[1]);
                    self.fault(
                        id,
                        problem,
                        "write e.g. type in ['a', 'b']; a part of a string is x.contains(y)",
                    );
                }
                (call(id, op::IN, args), Kinds::BOOL)
            }
            (op::INDEX, 2) => {
                let (args, kinds) = self.arguments(it.args);
                let lists = kinds[0].meets(Kinds::LIST) && kinds[1].meets(Kinds::NUMBER);
                let keys = Kinds::NUMBER.or(Kinds::STRING).or(Kinds::BOOL);
                let maps = kinds[0].meets(Kinds::MAP) && kinds[1].meets(keys);
                if !lists && !maps {
                    let problem = format!(
                        "[…] looks into a list or a map, and this is {} of {}",
                        kinds[1], kinds[0]
                    );
                    self.fault(id, problem, "a part of a string is x.substring(from, to)");
                }
                (call(id, op::INDEX, args), Kinds::ANY)
            }
            (name, 2) if symbol(name).is_some() => self.binary(id, it),
            _ => self.function(id, it),
        }
    }

    /// Checks operands that must be booleans.
    fn bools(&mut self, operator: &str, args: Vec<Expression>) -> Vec<Expression> {
        let checked = args.into_iter().map(|arg| {
            let id = arg.id;
            let (arg, kinds) = self.expression(arg);
            if !kinds.meets(Kinds::BOOL) {
                let what = match operator {
                    op::LOGICAL_AND => "&& joins",
                    op::LOGICAL_OR => "|| joins",
                    op::LOGICAL_NOT => "! turns",
                    _ => "this takes",
                };
                let problem = format!("{what} what is true or false, and this is {kinds}");
                self.fault(id, problem, "compare it with something");
            }
            arg
        });
        checked.collect()
    }

    fn arguments(&mut self, args: Vec<Expression>) -> (Vec<Expression>, Vec<Kinds>) {
        args.into_iter().map(|arg| self.expression(arg)).unzip()
    }

    /// Replaces names of types by constants if they are beside `type(…)`.
    fn with_type_names(&mut self, mut args: Vec<Expression>) -> Vec<Expression> {
        let is_type = |arg: &Expression| matches!(&arg.expr, Expr::Call(call) if call.target.is_none() && call.func_name == "type");
        if !args.iter().any(is_type) {
            return args;
        }
        for arg in &mut args {
            let elements = match &mut arg.expr {
                Expr::List(list) => list.elements.as_mut_slice(),
                _ => std::slice::from_mut(arg),
            };
            for element in elements {
                if let Expr::Ident(name) = &element.expr
                    && TYPES.contains(&name.as_str())
                    && self.variables.iter().all(|(each, _)| each != name)
                {
                    *element = self.constant(element.id, Box::new(CelType::new(name.as_str())));
                }
            }
        }
        args
    }

    fn binary(&mut self, id: u64, it: CallExpr) -> (Expression, Kinds) {
        let name = it.func_name;
        // The step of `map`, `filter` and `exists_one`. It belongs to them, and the evaluator recognises it by its
        // form.
        if let Some(Expr::Ident(accu)) = it.args.first().map(|arg| &arg.expr)
            && accu.starts_with('@')
        {
            let args = it.args.into_iter().map(|arg| match arg.expr {
                Expr::List(list) => {
                    let elements = list.elements.into_iter().map(|each| self.expression(each).0).collect();
                    ided(arg.id, Expr::List(ListExpr::new(elements)))
                }
                expr => self.expression(ided(arg.id, expr)).0,
            });
            let args = args.collect();
            let kinds = if name == op::EQUALS { Kinds::BOOL } else { Kinds::ANY };
            return (call(id, &name, args), kinds);
        }
        let is_equality = matches!(name.as_str(), op::EQUALS | op::NOT_EQUALS);
        let args = if is_equality {
            self.with_type_names(it.args)
        } else {
            it.args
        };
        // With a root, `msg` is not the object that bare names start at.
        let hyphenated = args.iter().find_map(hyphenated).filter(|_| self.scope.root.is_empty());
        let (args, kinds) = self.arguments(args);
        let (left, right) = (kinds[0], kinds[1]);
        let result = operators::binary(&name, left, right);
        if result.is_none() {
            let sign = symbol(&name).map_or("", |(sign, _)| sign);
            // If the difference is compared with a text, it was not meant as a difference.
            let is_field = left.or(right).meets(Kinds::STRING);
            let cure = |left, right| match &hyphenated {
                Some(name) if is_field => format!("`-` subtracts; the field {name} is written msg[\"{name}\"]"),
                _ => cure(left, right),
            };
            let (problem, cure) = if is_equality {
                let always = if name == op::EQUALS { "never" } else { "always" };
                (
                    format!(
                        "`{sign}`: {left} and {right} are {always} {}",
                        if name == op::EQUALS { "equal" } else { "different" }
                    ),
                    cure(left, right),
                )
            } else {
                (format!("`{sign}` cannot take {left} and {right}"), cure(left, right))
            };
            self.fault(id, problem, cure);
            return (Expression::default(), Kinds::ANY);
        }
        let ours = match symbol(&name) {
            // The crate's own operator works, and is fast.
            _ if is_equality => None,
            Some((_, ours)) if result == Kinds::BOOL => Some(ours),
            Some((_, ours)) if !(left.is_one() && left == right) => Some(ours),
            _ => None,
        };
        (call(id, ours.unwrap_or(&name), args), result)
    }

    fn fault(&mut self, id: u64, problem: String, cure: impl Into<String>) {
        let at = self.source.offset_for(id).map(|(start, _)| {
            let before: Vec<char> = self.source.source.chars().take(start as usize).collect();
            let line = 1 + before.iter().filter(|c| **c == '\n').count();
            let column = 1 + before.iter().rev().take_while(|c| **c != '\n').count();
            (line, column)
        });
        let bad = Bad {
            at,
            problem,
            cure: cure.into(),
        };
        if !self.faults.contains(&bad) {
            self.faults.push(bad);
        }
    }
}

/// The sign of an operator, and our name for it.
fn symbol(operator: &str) -> Option<(&'static str, &'static str)> {
    Some(match operator {
        op::ADD => ("+", "$add"),
        op::SUBSTRACT => ("-", "$sub"),
        op::MULTIPLY => ("*", "$mul"),
        op::DIVIDE => ("/", "$div"),
        op::MODULO => ("%", "$mod"),
        op::LESS => ("<", "$lt"),
        op::LESS_EQUALS => ("<=", "$le"),
        op::GREATER => (">", "$gt"),
        op::GREATER_EQUALS => (">=", "$ge"),
        op::EQUALS => ("==", ""),
        op::NOT_EQUALS => ("!=", ""),
        _ => return None,
    })
}

/// The field `a-b`, which this difference of `a` and `b` may mean.
fn hyphenated(expression: &Expression) -> Option<String> {
    let name = |each: &Expression| match &each.expr {
        Expr::Ident(name) => Some(name.clone()),
        _ => hyphenated(each),
    };
    match &expression.expr {
        Expr::Call(call) if call.func_name == op::SUBSTRACT => match call.args.as_slice() {
            [left, right] => Some(format!("{}-{}", name(left)?, name(right)?)),
            _ => None,
        },
        _ => None,
    }
}

/// How to make two kinds fit.
fn cure(left: Kinds, right: Kinds) -> String {
    let both = left.or(right);
    if both.meets(Kinds::TIMESTAMP) {
        return "make both timestamps: timestamp(created_at)".to_owned();
    }
    if both.meets(Kinds::STRING) && both.meets(Kinds::NUMBER) {
        return "make both of one type: string(…), int(…) or double(…)".to_owned();
    }
    "compare or compute with values of one type".to_owned()
}

fn literal_kinds(literal: &LiteralValue) -> Kinds {
    match literal {
        LiteralValue::Boolean(_) => Kinds::BOOL,
        LiteralValue::Bytes(_) => Kinds::BYTES,
        LiteralValue::Double(_) => Kinds::DOUBLE,
        LiteralValue::Int(_) => Kinds::INT,
        LiteralValue::Null => Kinds::NULL,
        LiteralValue::String(_) => Kinds::STRING,
        LiteralValue::UInt(_) => Kinds::UINT,
    }
}

fn ided(id: u64, expr: Expr) -> Expression {
    Expression { id, expr }
}

fn call(id: u64, name: &str, args: Vec<Expression>) -> Expression {
    let call = CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    };
    ided(id, Expr::Call(call))
}
