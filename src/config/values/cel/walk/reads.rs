//! Paths into the message: which parts of an expression are reads, and of what.

use cel::common::ast::operators as op;
use cel::common::ast::{Expr, LiteralValue, SelectExpr};
use cel::parser::Expression;

use super::{Walk, ided};
use crate::config::file::wording::did_you_mean;
use crate::config::model::{CONSTANT, Kinds, Path, READ, Read, Segment, Source, What};

const META: &[&str] = &["key", "topic", "partition", "offset", "timestamp", "headers"];

/// A path into the message: `user.id`, `msg["a"].b`, `item.x`, `meta.headers.type`.
pub(super) struct Chain {
    base: Base,
    /// From the base on; for `Base::Message` from the top of the message.
    path: Path,
    written: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Message,
    Item,
    Index,
    Meta,
}

impl Walk<'_> {
    /// `expression` as a path into the message, if it is one.
    pub(super) fn chain(&self, expression: &Expression) -> Option<Chain> {
        match &expression.expr {
            Expr::Ident(name) => {
                if name.starts_with(['@', '.', CONSTANT]) || self.variables.iter().any(|(each, _)| *each == *name) {
                    return None;
                }
                let (base, path) = match name.as_str() {
                    "msg" => (Base::Message, Path::new()),
                    "meta" => (Base::Meta, Path::new()),
                    "item" if self.scope.each => (Base::Item, Path::new()),
                    "index" if self.scope.each => (Base::Index, Path::new()),
                    field => {
                        let mut path = self.scope.root.to_vec();
                        path.push(Segment::Name(field.to_owned()));
                        (Base::Message, path)
                    }
                };
                Some(Chain {
                    base,
                    path,
                    written: name.clone(),
                })
            }
            Expr::Select(select) if !select.test => {
                let mut chain = self.chain(&select.operand)?;
                chain.written.push('.');
                chain.written.push_str(&select.field);
                chain.path.push(Segment::Name(select.field.clone()));
                Some(chain)
            }
            Expr::Call(call) if call.func_name == op::INDEX && call.target.is_none() => {
                let [
                    of,
                    Expression {
                        expr: Expr::Literal(literal),
                        ..
                    },
                ] = call.args.as_slice()
                else {
                    return None;
                };
                let mut chain = self.chain(of)?;
                match literal {
                    LiteralValue::String(name) => {
                        chain.written.push_str(&format!("[{:?}]", name.inner()));
                        chain.path.push(Segment::Name(name.inner().to_owned()));
                    }
                    LiteralValue::Int(index) => {
                        let index = usize::try_from(*index.inner()).ok()?;
                        chain.written.push_str(&format!("[{index}]"));
                        chain.path.push(Segment::Index(index));
                    }
                    _ => return None,
                }
                Some(chain)
            }
            _ => None,
        }
    }

    pub(super) fn read(&mut self, id: u64, chain: Chain) -> (Expression, Kinds) {
        let Chain { base, path, written } = chain;
        let through = |source| What::Value(self.scope.through(source));
        let (what, kinds) = match base {
            Base::Message => (through(Source::Path(path)), Kinds::JSON),
            Base::Item => (through(Source::Item(path)), Kinds::JSON),
            Base::Index if path.is_empty() => (What::Value(Source::Index), Kinds::INT),
            Base::Index => {
                let cure = "index is the number of the element, from 0; a field of it is item.…";
                self.fault(id, format!("no `{written}`"), cure);
                return (Expression::default(), Kinds::ANY);
            }
            Base::Meta => match self.meta(id, &path, &written) {
                Some(found) => found,
                None => return (Expression::default(), Kinds::ANY),
            },
        };
        (self.numbered(id, what, written), kinds)
    }

    /// What `meta.…` reads. Returns nothing, and notes a fault, if it does not exist.
    fn meta(&mut self, id: u64, path: &[Segment], written: &str) -> Option<(What, Kinds)> {
        let names: Vec<&str> = path
            .iter()
            .map(|segment| match segment {
                Segment::Name(name) => name.as_str(),
                Segment::Index(_) | Segment::Json => "",
            })
            .collect();
        let found = match names.as_slice() {
            ["key"] => (What::Value(Source::Key), Kinds::RAW),
            ["topic"] => (What::Value(Source::Topic), Kinds::STRING),
            ["partition"] => (What::Value(Source::Partition), Kinds::INT),
            ["offset"] => (What::Value(Source::Offset), Kinds::INT),
            ["timestamp"] => (What::Value(Source::Timestamp), Kinds::INT.or(Kinds::NULL)),
            ["headers"] => (What::Headers, Kinds::MAP),
            ["headers", name] if !name.is_empty() => (What::Value(Source::Header((*name).to_owned())), Kinds::RAW),
            [] => {
                let cure = format!("name a member of it: {}", META.join(", "));
                self.fault(id, "`meta` is no value of its own".to_owned(), cure);
                return None;
            }
            [first, ..] if META.contains(first) => {
                let problem = format!(
                    "`{written}`: {} has no members",
                    if *first == "headers" { "a header" } else { first }
                );
                self.fault(id, problem, "remove what stands behind it");
                return None;
            }
            [first, ..] => {
                let cure = did_you_mean(first, META, "members of meta");
                self.fault(id, format!("`meta` has no `{first}`"), cure);
                return None;
            }
        };
        Some(found)
    }

    /// The name that replaces a read. Equal reads have the same name.
    fn numbered(&mut self, id: u64, what: What, written: String) -> Expression {
        let number = self.reads.iter().position(|read| read.what == what).unwrap_or_else(|| {
            self.reads.push(Read { what, written });
            self.reads.len() - 1
        });
        ided(id, Expr::Ident(format!("{READ}{number}")))
    }

    pub(super) fn has(&mut self, id: u64, select: SelectExpr) -> (Expression, Kinds) {
        let Some(mut chain) = self.chain(&select.operand) else {
            self.names.push(select.field.clone());
            let (operand, kinds) = self.expression(*select.operand);
            if !kinds.meets(Kinds::MAP) {
                let problem = format!("has() asks for a field, and {kinds} has none");
                self.fault(id, problem, "ask for a field of an object, e.g. has(msg.type)");
            }
            let select = SelectExpr {
                operand: Box::new(operand),
                field: select.field,
                test: true,
            };
            return (ided(id, Expr::Select(select)), Kinds::BOOL);
        };
        let written = format!("has({}.{})", chain.written, select.field);
        chain.path.push(Segment::Name(select.field));
        // What is asked is whether the field is there, not what its text says.
        let through = |source| match self.scope.through(source) {
            Source::Path(path) => What::Has(Source::Path(without_text(path))),
            Source::Item(path) => What::Has(Source::Item(without_text(path))),
            other => What::Has(other),
        };
        let what = match chain.base {
            Base::Message => through(Source::Path(chain.path)),
            Base::Item => through(Source::Item(chain.path)),
            Base::Index | Base::Meta => match chain.path.as_slice() {
                [Segment::Name(headers), Segment::Name(name)] if chain.base == Base::Meta && headers == "headers" => {
                    let what = What::HasHeader(name.clone());
                    return (self.numbered(id, what, written), Kinds::BOOL);
                }
                path => {
                    let path = path.to_vec();
                    let is_index = chain.base == Base::Index;
                    if is_index || self.meta(id, &path, &written).is_some() {
                        let cure = "compare it with null, e.g. meta.key != null";
                        self.fault(id, format!("`{written}` is the same for every message"), cure);
                    }
                    return (Expression::default(), Kinds::BOOL);
                }
            },
        };
        (self.numbered(id, what, written), Kinds::BOOL)
    }
}

/// The path up to the string, if it leads into the string's text and ends there.
fn without_text(mut path: Path) -> Path {
    if path.last() == Some(&Segment::Json) {
        path.pop();
    }
    path
}
