//! Calls of functions: whether the function exists, and what it returns.

use cel::common::ast::{CallExpr, Expr, LiteralValue};
use cel::parser::Expression;

use super::super::Pattern;
use super::super::functions::{self, Function};
use super::{Walk, call, ided};
use crate::config::file::wording::did_you_mean;
use crate::config::model::Kinds;

impl Walk<'_> {
    pub(super) fn function(&mut self, id: u64, it: CallExpr) -> (Expression, Kinds) {
        let CallExpr {
            func_name,
            target,
            args,
        } = it;
        let (name, target) = match target {
            None => (func_name, None),
            Some(target) => match &target.expr {
                Expr::Ident(space) if space == "math" && self.variables.iter().all(|(each, _)| each != space) => {
                    (format!("math.{func_name}"), None)
                }
                _ => (func_name, Some(*target)),
            },
        };
        let is_member = target.is_some();
        let all: Vec<Expression> = target.into_iter().chain(args).collect();
        let pattern = match (name.as_str(), all.as_slice()) {
            ("matches", [_, pattern]) => Some(pattern.clone()),
            _ => None,
        };
        let (mut all, kinds) = self.arguments(all);
        let known: Vec<&Function> = functions::named(&name).collect();
        let Some(result) = self.overload(id, &name, is_member, &known, &kinds) else {
            return (Expression::default(), Kinds::ANY);
        };
        if let Some(pattern) = pattern {
            let Some(pattern) = self.pattern(pattern) else {
                return (Expression::default(), Kinds::ANY);
            };
            all[1] = pattern;
            return (call(id, "$matches", all), result);
        }
        if !is_member {
            return (call(id, &name, all), result);
        }
        let target = all.remove(0);
        let call = CallExpr {
            func_name: name,
            target: Some(Box::new(target)),
            args: all,
        };
        (ided(id, Expr::Call(call)), result)
    }

    /// The result of a call. Returns nothing, and notes a fault, if no such function exists.
    fn overload(&mut self, id: u64, name: &str, member: bool, known: &[&Function], kinds: &[Kinds]) -> Option<Kinds> {
        let written = if member {
            format!(".{name}()")
        } else {
            format!("{name}()")
        };
        if known.is_empty() {
            let (problem, cure) = if functions::MACROS.contains(&name) {
                let cure = match name {
                    "has" => "write has(msg.type)",
                    _ => "write e.g. items.all(item, item.qty > 0)",
                };
                (format!("{written} does not stand so"), cure.to_owned())
            } else {
                let names = functions::names();
                let cure =
                    functions::elsewhere(name).map_or_else(|| did_you_mean(name, &names, "functions"), str::to_owned);
                (format!("no function {written}"), cure)
            };
            self.fault(id, problem, cure);
            return None;
        }
        let styled: Vec<&&Function> = known.iter().filter(|each| each.member == member).collect();
        if styled.is_empty() {
            let (problem, cure) = if member {
                (
                    format!("{written} is called with what it works on"),
                    format!("write {name}(x)"),
                )
            } else {
                (
                    format!("{written} is called on what it works on"),
                    format!("write x.{name}(…)"),
                )
            };
            self.fault(id, problem, cure);
            return None;
        }
        let counted: Vec<&&&Function> = styled
            .iter()
            .filter(|each| each.arguments.len() == kinds.len())
            .collect();
        let of_target = usize::from(member);
        if counted.is_empty() {
            let counts: Vec<String> = styled
                .iter()
                .map(|each| (each.arguments.len() - of_target).to_string())
                .collect();
            let problem = format!("{written} has {} arguments", kinds.len() - of_target);
            self.fault(id, problem, format!("it takes {}", counts.join(" or ")));
            return None;
        }
        let mut result = Kinds::NONE;
        let mut wanted = vec![Kinds::NONE; kinds.len()];
        for each in counted {
            if each.arguments.iter().zip(kinds).all(|(takes, has)| takes.meets(*has)) {
                result = result.or(each.result);
            }
            for (wanted, takes) in wanted.iter_mut().zip(each.arguments) {
                *wanted = wanted.or(*takes);
            }
        }
        if result.is_none() {
            let list = |kinds: &[Kinds]| kinds.iter().map(Kinds::to_string).collect::<Vec<_>>().join(", ");
            let problem = format!("{written} cannot take ({})", list(kinds));
            self.fault(id, problem, format!("it takes ({})", list(&wanted)));
            return None;
        }
        Some(result)
    }

    /// The pattern of `matches`, compiled.
    fn pattern(&mut self, pattern: Expression) -> Option<Expression> {
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
            let cure = "write it in quotes: x.matches('^[a-z]+$')";
            self.fault(pattern.id, "a pattern that is not in the expression".to_owned(), cure);
            return None;
        };
        match Pattern::new(text.inner()) {
            Ok(compiled) => Some(self.constant(pattern.id, Box::new(compiled))),
            Err(_) => {
                let cure = "write a pattern of the regex crate (RE2's syntax)";
                self.fault(pattern.id, "is no pattern".to_owned(), cure);
                None
            }
        }
    }
}
