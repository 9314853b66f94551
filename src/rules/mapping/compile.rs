//! Compiles the rules of the configuration: every path becomes a numbered slot, in one tree per topic.
//!
//! Runs once at start. Knows nothing of messages.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::guarding::{GuardReason, Guarding, is_repeatable};
use super::keep::{Keeps, shown};
use super::{Mapping, TopicMapping};
use crate::config::model::{
    Action, As, Bin, ByteOrderMark, Cel, Config, Constant, Expr, LongNames, Missing, Mode, Name, Operation, Part, Path,
    Publish, Route, Segment, Source, TimeUnit, Tombstone, Ttl, TtlOn, TtlPast, Typed, When, Write,
};
use crate::config::operations::{self, Operand};
use crate::output::row::{RowRules, RowTtl, Target};
use crate::output::value::Value;
use crate::rules::conditions::{self, Asked, NoPlace};
use crate::rules::decode::{EachId, ItemSlotId, PathTreeBuilder, SlotId, TextId};
use crate::rules::schema::SchemaRule;

/// A rule that passed the checks of the configuration but cannot be compiled: our bug, not the user's.
#[derive(Debug, PartialEq, Eq)]
pub struct CompileError(String);

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CompileError {}

#[derive(Debug)]
pub(super) struct CompiledRoute {
    pub when: Option<WhenRule>,
    pub schema: Option<Arc<SchemaRule>>,
    pub require: Vec<RequireRule>,
    pub writes: Vec<CompiledWrite>,
    pub publishes: Vec<CompiledPublish>,
}

impl CompiledRoute {
    /// The line of a rule that does not say what to do with a tombstone.
    pub fn rejects_tombstones(&self) -> Option<usize> {
        let writes = self.writes.iter().map(|write| (write.tombstone, write.rules.line));
        let publishes = self.publishes.iter().map(|publish| (publish.tombstone, publish.line));
        let mut rules = writes.chain(publishes);
        rules.find_map(|(tombstone, line)| (tombstone == Tombstone::Reject).then_some(line))
    }
}

/// `when`.
#[derive(Debug)]
pub(super) struct WhenRule {
    pub condition: conditions::Rule,
    pub error_is_false: bool,
    pub texts: Texts,
}

/// A condition of `require`.
#[derive(Debug)]
pub(super) struct RequireRule {
    pub condition: conditions::Rule,
    pub texts: Texts,
}

/// The strings whose JSON texts a rule reads.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub payload: Vec<TextId>,
    /// In the message's key.
    pub key: Vec<TextId>,
}

#[derive(Debug)]
pub(super) struct CompiledPublish {
    pub line: usize,
    pub when: Option<WhenRule>,
    pub topic: String,
    /// `None`: the message's own key, unchanged.
    pub key: Option<TypedRule>,
    pub forward_headers: bool,
    pub headers: Vec<(String, TypedRule)>,
    /// `None`: the message's own payload, unchanged.
    pub payload: Option<TypedRule>,
    pub tombstone: Tombstone,
    /// Without those of `when`.
    pub texts: Texts,
}

#[derive(Debug)]
pub(super) struct CompiledWrite {
    pub rules: RowRules,
    pub when: Option<WhenRule>,
    pub guard_reason: Option<GuardReason>,
    pub takes_guards_along: bool,
    pub target: TargetRule,
    pub key: TypedRule,
    pub each: Option<EachRule>,
    pub action: ActionRule,
    pub tombstone: Tombstone,
    /// The rules for a deletion by a tombstone. Everything else follows `rules`.
    pub deletion: RowRules,
    pub newer: Option<TypedRule>,
    pub ttl: TtlRule,
    pub ttl_past: PastRule,
    /// Without those of `when`.
    pub texts: Texts,
}

#[derive(Debug)]
pub(super) enum TargetRule {
    Fixed(Arc<Target>),
    FromMessage(Box<NamedTargets>),
}

#[derive(Debug)]
pub(super) struct NamedTargets {
    pub namespace: NameRule,
    pub set: NameRule,
    /// By namespace, then by set: one target for each pair of allowed names.
    pub targets: HashMap<String, HashMap<String, Arc<Target>>>,
}

impl TargetRule {
    /// All targets that it can name.
    pub fn all(&self) -> Vec<&Arc<Target>> {
        match self {
            TargetRule::Fixed(target) => vec![target],
            TargetRule::FromMessage(named) => named.targets.values().flat_map(HashMap::values).collect(),
        }
    }
}

#[derive(Debug)]
pub(super) enum NameRule {
    Fixed(String),
    FromMessage(TypedRule),
}

#[derive(Debug)]
pub(super) enum ActionRule {
    Write {
        bins: Vec<BinRule>,
        operations: Vec<OperationRule>,
    },
    Touch,
    Delete,
}

pub(super) type OperationRule = operations::Operation<TypedRule>;

#[derive(Debug)]
pub(super) struct EachRule {
    pub id: EachId,
    pub max: usize,
    pub path: Rooted,
    pub written: String,
}

#[derive(Debug)]
pub(super) enum BinRule {
    One {
        name: String,
        value: TypedRule,
    },
    All {
        place: Place,
        /// Fields that are strings that hold JSON, with the places of what their texts say.
        json_members: Vec<(String, Place)>,
        except: Vec<String>,
        rename: Vec<(String, String)>,
        /// Bins that belong to operations of the same write, or to its version. A field with such a name is not
        /// written.
        owned: Vec<String>,
        long_names: LongNames,
        keeps: Keeps,
        line: usize,
        /// As written in the file.
        written: String,
        at: Box<At>,
    },
}

/// A path in the payload, from the top.
#[derive(Debug, Clone)]
pub(super) struct Rooted {
    pub path: Path,
    /// How many of its first steps are the route's root.
    pub root: usize,
}

/// Where in a message a value comes from, for error texts.
#[derive(Debug)]
pub(super) struct At {
    /// The array, if the value comes from its elements.
    each: Option<String>,
    path: String,
    /// Its segments, if it is a path in the payload.
    pub segments: Option<Rooted>,
    /// Its segments, if it is a path in the message's key.
    pub key_segments: Option<Path>,
}

impl At {
    /// The path of the value `below` it (`.id`, `[3]`), in the element with this number.
    pub fn shown(&self, element: Option<usize>, below: &str) -> String {
        let mut path = String::new();
        if let Some(each) = &self.each {
            path.push_str(each);
            if let Some(number) = element {
                path.push_str(&format!("[{number}]"));
            }
        }
        for step in [self.path.as_str(), below] {
            let step = if path.is_empty() {
                step.trim_start_matches('.')
            } else {
                step
            };
            if !path.is_empty() && !step.is_empty() && !step.starts_with(['.', '[']) {
                path.push('.');
            }
            path.push_str(step);
        }
        if path.is_empty() {
            path.push_str("the payload");
        }
        path
    }

    /// Whether it is the message itself.
    pub fn is_payload(&self) -> bool {
        self.each.is_none() && self.path.is_empty()
    }
}

#[derive(Debug)]
pub(super) enum TtlRule {
    Fixed(RowTtl),
    /// Not cast: it is rounded in another way than for a bin.
    Field {
        rule: Box<TypedRule>,
        /// The field is the time at which the record ends, in this unit. `None`: it is a number of seconds.
        unit: Option<TimeUnit>,
        /// Whether 0, -1 and -2 have Aerospike's meanings.
        words: bool,
    },
}

/// What to do if the ttl has already ended.
#[derive(Debug)]
pub(super) enum PastRule {
    Reject,
    Skip,
    /// Deletes the record by these rules.
    Delete(Box<RowRules>),
}

#[derive(Debug)]
pub(super) struct TypedRule {
    pub rule: Rule,
    pub cast: Option<As>,
    pub missing: MissingRule,
    pub keeps: Keeps,
    pub line: usize,
    pub written: String,
    pub at: Box<At>,
}

#[derive(Debug)]
pub(super) enum MissingRule {
    AsPlace,
    Skip,
    Reject,
    Default(Value<'static>),
}

#[derive(Debug)]
pub(super) enum Rule {
    Constant(Value<'static>),
    Place(Place),
    Template(Vec<PartRule>),
    Object(Vec<(String, TypedRule)>),
    Cel(conditions::Rule),
}

#[derive(Debug)]
pub(super) enum PartRule {
    Literal(String),
    Place(Place),
    Time {
        place: Place,
        unit: Option<TimeUnit>,
        format: String,
    },
}

/// A place in the message, as a number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Slot(SlotId),
    Item(ItemSlotId),
    Index,
    Key,
    KeySlot(SlotId),
    Payload,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Header(usize),
}

impl Mapping {
    /// Compiles all routes.
    ///
    /// # Errors
    /// Only for faults that the configuration's own checks should have refused.
    pub fn compile(config: &Config) -> Result<Mapping, CompileError> {
        let mut topics = HashMap::new();
        // A route's schema is the same for all of its topics.
        let schemas = config.routes.iter().map(|route| schema(route, config));
        let schemas = schemas.collect::<Result<Vec<_>, _>>()?;
        for topic in &config.kafka.topics {
            let mut compiler = Compiler::default();
            let refuses_mark = config.kafka.byte_order_mark == ByteOrderMark::Reject;
            let build = |mut builder: PathTreeBuilder| {
                if refuses_mark {
                    builder.refuse_byte_order_mark();
                }
                builder.build()
            };
            let taking = || {
                let routes = config.routes.iter().zip(&schemas);
                routes.filter(|(route, _)| route.topics.contains(topic))
            };
            let of_topic: Vec<&Write> = taking().flat_map(|(route, _)| &route.writes).collect();
            let guard = Guarding::new(&of_topic);
            let routes = taking()
                .map(|(route, schema)| compiler.route(route, schema.clone(), &guard))
                .collect::<Result<Vec<_>, _>>()?;
            let mapping = TopicMapping {
                format: config.kafka.format,
                refuses_mark,
                tree: build(compiler.payload),
                key_tree: compiler.key.map(build),
                header_names: compiler.headers,
                all_headers: compiler.all_headers,
                forwards_headers: routes
                    .iter()
                    .flat_map(|route| &route.publishes)
                    .any(|publish| publish.forward_headers),
                routes,
            };
            topics.insert(topic.clone(), mapping);
        }
        Ok(Mapping { topics })
    }
}

/// The compiled schema of a route's payloads.
fn schema(route: &Route, config: &Config) -> Result<Option<Arc<SchemaRule>>, CompileError> {
    let Some(schema) = &route.payload_schema else {
        return Ok(None);
    };
    let rule = SchemaRule::compile(schema, &route.root, config.kafka.byte_order_mark).map_err(CompileError)?;
    Ok(Some(Arc::new(rule)))
}

#[derive(Default)]
struct Compiler {
    payload: PathTreeBuilder,
    key: Option<PathTreeBuilder>,
    headers: Vec<String>,
    all_headers: bool,
    /// The path of `each` of the write that is being compiled.
    each: String,
    /// How many steps the root of the route has that is being compiled.
    root: usize,
}

impl Compiler {
    fn route(
        &mut self,
        route: &Route,
        schema: Option<Arc<SchemaRule>>,
        guard: &Guarding<'_>,
    ) -> Result<CompiledRoute, CompileError> {
        // Not the step into the string that may be at the root.
        let is_written = |step: &&Segment| **step != Segment::Json;
        self.root = route.root.iter().filter(is_written).count();
        let when = self.when(route.when.as_ref(), None)?;
        let require = route.require.iter().map(|each| {
            Ok(RequireRule {
                condition: self.cel(each, None)?,
                texts: self.take_texts(),
            })
        });
        let require = require.collect::<Result<_, _>>()?;
        let writes = route.writes.iter().map(|write| self.write(write, guard));
        let writes = writes.collect::<Result<_, _>>()?;
        let publishes = route.publishes.iter().map(|publish| self.publish(publish));
        Ok(CompiledRoute {
            when,
            schema,
            require,
            writes,
            publishes: publishes.collect::<Result<_, _>>()?,
        })
    }

    fn when(&mut self, when: Option<&When>, element: Option<EachId>) -> Result<Option<WhenRule>, CompileError> {
        let Some(when) = when else {
            return Ok(None);
        };
        Ok(Some(WhenRule {
            condition: self.cel(&when.condition, element)?,
            error_is_false: when.error_is_false,
            texts: self.take_texts(),
        }))
    }

    /// The texts that are read by what was compiled since the last call.
    fn take_texts(&mut self) -> Texts {
        Texts {
            payload: self.payload.take_texts(),
            key: self.key.as_mut().map(PathTreeBuilder::take_texts).unwrap_or_default(),
        }
    }

    fn cel(&mut self, cel: &Cel, element: Option<EachId>) -> Result<conditions::Rule, CompileError> {
        let mut asked = Asked {
            payload: &mut self.payload,
            headers: &mut self.headers,
            all_headers: &mut self.all_headers,
            element,
        };
        conditions::Rule::compile(cel, &mut asked).map_err(|NoPlace| CompileError("an element outside of each".into()))
    }

    fn publish(&mut self, publish: &Publish) -> Result<CompiledPublish, CompileError> {
        let optional = |compiler: &mut Self, value: &Option<Typed>| match value {
            None => Ok(None),
            Some(typed) => compiler.typed(typed, None).map(Some),
        };
        let headers = publish.headers.iter();
        // First, because it takes only its own texts.
        let when = self.when(publish.when.as_ref(), None)?;
        Ok(CompiledPublish {
            line: publish.line,
            when,
            topic: publish.topic.clone(),
            key: optional(self, &publish.key)?,
            forward_headers: publish.forward_headers,
            headers: headers
                .map(|(name, value)| Ok((name.clone(), self.typed(value, None)?)))
                .collect::<Result<_, CompileError>>()?,
            payload: match &publish.payload {
                None => None,
                Some(typed) => Some(self.value(typed, None, Keeps::Json)?),
            },
            tombstone: publish.tombstone,
            texts: self.take_texts(),
        })
    }

    fn write(&mut self, write: &Write, guard: &Guarding<'_>) -> Result<CompiledWrite, CompileError> {
        let element = write.each.as_ref().map(|each| self.payload.each(&each.path));
        let of_each = self.take_texts();
        // First, because it takes only its own texts.
        let when = self.when(write.when.as_ref(), element)?;
        let each = write.each.as_ref().map(|each| {
            let id = self.payload.each(&each.path);
            // A message with more elements is rejected. Decode need not keep them all to find that out.
            self.payload.each_limit(id, each.max);
            self.each = display_path(&each.path);
            EachRule {
                id,
                max: each.max,
                path: self.rooted(&each.path),
                written: display_path(&each.path),
            }
        });
        let action = match &write.action {
            Action::Touch => ActionRule::Touch,
            Action::Delete => ActionRule::Delete,
            Action::Write { bins, operations } => ActionRule::Write {
                bins: bins
                    .iter()
                    .map(|bin| self.bin(bin, write, operations, element))
                    .collect::<Result<_, _>>()?,
                operations: operations
                    .iter()
                    .map(|operation| self.operation(operation, element))
                    .collect::<Result<_, _>>()?,
            },
        };
        let guard_reason = guard.of(write);
        let rules = RowRules {
            line: write.line,
            mode: write.mode,
            on_conflict: write.on_conflict,
            guarded: guard_reason.is_some(),
            newer_bin: write.newer.as_ref().map(|newer| newer.bin.clone()),
            ttl_on_create: write.ttl_on == TtlOn::Create,
            repeatable: is_repeatable(write),
            in_doubt: write.in_doubt,
        };
        let deletion = RowRules {
            mode: Mode::Update,
            guarded: guard.guards_deletion(write),
            // A tombstone has no version.
            newer_bin: None,
            ttl_on_create: false,
            repeatable: true,
            ..rules.clone()
        };
        // A message whose ttl has ended still has its version.
        let past = RowRules {
            newer_bin: rules.newer_bin.clone(),
            ..deletion.clone()
        };
        Ok(CompiledWrite {
            rules,
            when,
            guard_reason,
            takes_guards_along: guard.takes_guards_along(write),
            deletion,
            target: self.target(write, element)?,
            key: self.typed(&write.key, element)?,
            action,
            tombstone: write.tombstone,
            newer: match &write.newer {
                Some(newer) => Some(self.typed(&newer.value, element)?),
                None => None,
            },
            ttl: match &write.ttl {
                Ttl::Default => TtlRule::Fixed(RowTtl::NamespaceDefault),
                Ttl::Never => TtlRule::Fixed(RowTtl::Never),
                Ttl::Keep => TtlRule::Fixed(RowTtl::Keep),
                Ttl::Seconds(seconds) => TtlRule::Fixed(RowTtl::Seconds(*seconds)),
                Ttl::Field(typed) => TtlRule::Field {
                    rule: Box::new(TypedRule {
                        cast: None,
                        ..self.typed(typed, element)?
                    }),
                    unit: typed.cast.and_then(As::unit),
                    words: write.ttl_words,
                },
            },
            ttl_past: match write.ttl_past {
                TtlPast::Reject => PastRule::Reject,
                TtlPast::Skip => PastRule::Skip,
                TtlPast::Delete => PastRule::Delete(Box::new(past)),
            },
            each,
            texts: {
                let mut texts = self.take_texts();
                texts.payload.extend(of_each.payload);
                texts
            },
        })
    }

    fn target(&mut self, write: &Write, element: Option<EachId>) -> Result<TargetRule, CompileError> {
        let target = |namespace: &str, set: &str| {
            Arc::new(Target {
                namespace: namespace.to_owned(),
                set: set.to_owned(),
                send_key: write.send_key,
            })
        };
        if let (Name::Fixed(namespace), Name::Fixed(set)) = (&write.namespace, &write.set) {
            return Ok(TargetRule::Fixed(target(namespace, set)));
        }
        let mut targets: HashMap<String, HashMap<String, Arc<Target>>> = HashMap::new();
        for namespace in write.namespace.all() {
            let sets = write.set.all().iter().map(|set| (set.clone(), target(namespace, set)));
            targets.insert(namespace.clone(), sets.collect());
        }
        Ok(TargetRule::FromMessage(Box::new(NamedTargets {
            namespace: self.name(&write.namespace, element)?,
            set: self.name(&write.set, element)?,
            targets,
        })))
    }

    fn name(&mut self, name: &Name, element: Option<EachId>) -> Result<NameRule, CompileError> {
        Ok(match name {
            Name::Fixed(name) => NameRule::Fixed(name.clone()),
            Name::FromMessage { value, .. } => NameRule::FromMessage(self.typed(value, element)?),
        })
    }

    fn operation(&mut self, operation: &Operation, element: Option<EachId>) -> Result<OperationRule, CompileError> {
        let what = operation.what.try_map(|part, value| match part.operand {
            Operand::Value => self.kept(value, element),
            Operand::Number | Operand::Text | Operand::MapKey => self.typed(value, element),
        })?;
        Ok(OperationRule {
            bin: operation.bin.clone(),
            what,
        })
    }

    fn bin(
        &mut self,
        bin: &Bin,
        write: &Write,
        operations: &[Operation],
        element: Option<EachId>,
    ) -> Result<BinRule, CompileError> {
        Ok(match bin {
            Bin::One { name, value } => BinRule::One {
                name: name.clone(),
                value: self.kept(value, element)?,
            },
            Bin::All {
                source,
                json_members,
                except,
                rename,
                long_names,
                big_numbers,
                line,
                written,
            } => BinRule::All {
                place: self.place(source, element)?,
                json_members: json_members
                    .iter()
                    .map(|name| Ok((name.clone(), self.place(&text_of(source, name), element)?)))
                    .collect::<Result<_, CompileError>>()?,
                except: except.clone(),
                rename: rename.clone(),
                owned: operations
                    .iter()
                    .map(|operation| &operation.bin)
                    .chain(write.newer.iter().map(|newer| &newer.bin))
                    .cloned()
                    .collect(),
                long_names: *long_names,
                keeps: Keeps::Record(*big_numbers),
                line: *line,
                written: written.clone(),
                at: self.at(source),
            },
        })
    }

    /// A value that is checked by whatever uses it.
    fn typed(&mut self, typed: &Typed, element: Option<EachId>) -> Result<TypedRule, CompileError> {
        self.value(typed, element, Keeps::ByPlace)
    }

    /// A value that a bin keeps unchanged.
    fn kept(&mut self, typed: &Typed, element: Option<EachId>) -> Result<TypedRule, CompileError> {
        self.value(typed, element, Keeps::Record(typed.big_numbers))
    }

    fn value(&mut self, typed: &Typed, element: Option<EachId>, keeps: Keeps) -> Result<TypedRule, CompileError> {
        let rule = match &typed.expr {
            Expr::Constant(constant) => Rule::Constant(constant_value(constant)),
            Expr::Source(source) => Rule::Place(self.place(source, element)?),
            Expr::Template(parts) => {
                Rule::Template(parts.iter().map(|p| self.part(p, element)).collect::<Result<_, _>>()?)
            }
            Expr::Cel(cel) => Rule::Cel(self.cel(cel, element)?),
            Expr::Object(members) => Rule::Object(
                members
                    .iter()
                    .map(|(name, value)| {
                        let keeps = match keeps {
                            Keeps::Record(_) => Keeps::Record(value.big_numbers),
                            other => other,
                        };
                        Ok((name.clone(), self.value(value, element, keeps)?))
                    })
                    .collect::<Result<_, CompileError>>()?,
            ),
        };
        Ok(TypedRule {
            cast: typed.cast,
            missing: match &typed.missing {
                Missing::AsPlace => MissingRule::AsPlace,
                Missing::Skip => MissingRule::Skip,
                Missing::Reject => MissingRule::Reject,
                Missing::Default(constant) => MissingRule::Default(constant_value(constant)),
            },
            keeps,
            line: typed.line,
            written: typed.written.clone(),
            at: match &typed.expr {
                Expr::Source(source) => self.at(source),
                Expr::Cel(_) => Box::new(At {
                    each: None,
                    path: match &rule {
                        Rule::Cel(cel) => cel.field_written().unwrap_or("its value").to_owned(),
                        _ => String::new(),
                    },
                    segments: None,
                    key_segments: None,
                }),
                _ => Box::new(At {
                    each: None,
                    path: typed.written.clone(),
                    segments: None,
                    key_segments: None,
                }),
            },
            rule,
        })
    }

    fn at(&self, source: &Source) -> Box<At> {
        let (each, path) = match source {
            Source::Path(path) => (None, display_path(path)),
            Source::Item(path) => (Some(self.each.clone()), display_path(path)),
            Source::Index => (None, "@index".to_owned()),
            Source::Key => (None, "@key".to_owned()),
            Source::KeyPath(path) => (None, format!("@key.{}", display_path(path))),
            Source::Value => (None, "@value".to_owned()),
            Source::Topic => (None, "@topic".to_owned()),
            Source::Partition => (None, "@partition".to_owned()),
            Source::Offset => (None, "@offset".to_owned()),
            Source::Timestamp => (None, "@timestamp".to_owned()),
            Source::Header(name) => (None, format!("@header.{}", shown(name))),
        };
        let (segments, key_segments) = match source {
            Source::Path(path) => (Some(self.rooted(path)), None),
            Source::Key => (None, Some(Path::new())),
            Source::KeyPath(path) => (None, Some(path.clone())),
            _ => (None, None),
        };
        Box::new(At {
            each,
            path,
            segments,
            key_segments,
        })
    }

    fn rooted(&self, path: &Path) -> Rooted {
        Rooted {
            path: path.clone(),
            root: self.root,
        }
    }

    fn part(&mut self, part: &Part, element: Option<EachId>) -> Result<PartRule, CompileError> {
        Ok(match part {
            Part::Literal(text) => PartRule::Literal(text.clone()),
            Part::Source(source) => PartRule::Place(self.place(source, element)?),
            Part::Time { source, unit, format } => PartRule::Time {
                place: self.place(source, element)?,
                // The message's own timestamp is always in milliseconds, even near 1970.
                unit: match source {
                    Source::Timestamp => Some(TimeUnit::Milliseconds),
                    _ => *unit,
                },
                format: format.clone(),
            },
        })
    }

    fn place(&mut self, source: &Source, element: Option<EachId>) -> Result<Place, CompileError> {
        Ok(match source {
            Source::Path(path) => Place::Slot(self.payload.slot(path)),
            Source::Item(path) => {
                let each = element.ok_or_else(|| CompileError("@item outside of each".into()))?;
                Place::Item(self.payload.item_slot(each, path))
            }
            Source::Index => Place::Index,
            Source::Key => Place::Key,
            Source::KeyPath(path) => Place::KeySlot(self.key.get_or_insert_with(PathTreeBuilder::default).slot(path)),
            Source::Value => Place::Payload,
            Source::Topic => Place::Topic,
            Source::Partition => Place::Partition,
            Source::Offset => Place::Offset,
            Source::Timestamp => Place::Timestamp,
            Source::Header(name) => {
                let number = self.headers.iter().position(|h| h == name).unwrap_or_else(|| {
                    self.headers.push(name.clone());
                    self.headers.len() - 1
                });
                Place::Header(number)
            }
        })
    }
}

fn constant_value(constant: &Constant) -> Value<'static> {
    match constant {
        Constant::String(text) => Value::Str(text.clone().into()),
        Constant::Int(n) => Value::Int(*n),
        Constant::Float(n) => Value::Float(*n),
        Constant::Bool(b) => Value::Bool(*b),
        Constant::List(items) => Value::List(items.iter().map(constant_value).collect()),
        Constant::Map(members) => Value::Map(
            members
                .iter()
                .map(|(name, value)| (name.clone().into(), constant_value(value)))
                .collect(),
        ),
    }
}

/// The text in the field `name` of the object at `source`.
fn text_of(source: &Source, name: &str) -> Source {
    let mut source = source.clone();
    if let Source::Path(path) | Source::Item(path) = &mut source {
        path.extend([Segment::Name(name.to_owned()), Segment::Json]);
    }
    source
}

/// A path as the configuration writes it.
pub(crate) fn display_path(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            // The same path in the file, whatever the string holds.
            Segment::Json => {}
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
            Segment::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&shown(name));
            }
        }
    }
    text
}
