//! Map: turns a decoded message into the rows that it asks for.
//!
//! At start the checked configuration is compiled once into a [`Mapping`] (`compile`): the tree of paths that the rules
//! read, and rules over numbered fields. Per message no name is looked up twice, and values are borrowed from the
//! payload wherever possible (`eval`, `cast`). It is pure: no clock (the caller passes the time), no lock, no client
//! type.
//!
//! All rules evaluate and map a message before any of it is written. One rejection rejects the whole message.

mod keep;
mod explain;
mod cast;
mod numbers;
mod decimal;
mod time;
mod guarding;
mod compile;
mod eval;
mod publishing;
// Counts what each rule did with the messages, for `penstock try`.
pub mod tally;

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use crate::config::model::{Format, Tombstone};
use crate::message::{Message, Reason, Rejection};
use crate::output::row::Target;
use crate::output::{Output, Verdict};
use crate::processor::Processor;
use crate::rules::decode::{self, DecodeError, Fields, PathTree};

pub use compile::CompileError;
pub(crate) use compile::display_path;
use compile::{ActionRule, CompiledRoute, CompiledWrite, EachRule};
pub(crate) use explain::looks_like_what;
pub use guarding::GuardReason;
use tally::{RuleKind, Tally};

impl From<DecodeError> for Rejection {
    fn from(error: DecodeError) -> Self {
        Rejection::new(Reason::Payload(error.kind), error.to_string())
    }
}

/// The compiled rules of the configuration: one [`TopicMapping`] per topic.
#[derive(Debug)]
pub struct Mapping {
    topics: HashMap<String, TopicMapping>,
}

impl Mapping {
    /// The rules for one topic. `None` if no route reads the topic.
    pub fn topic(&self, topic: &str) -> Option<&TopicMapping> {
        self.topics.get(topic)
    }

    /// The topics, each with its own rules.
    pub fn into_topics(self) -> impl Iterator<Item = (String, TopicMapping)> {
        self.topics.into_iter()
    }

    /// The topics with their rules, in alphabetical order.
    pub fn topics(&self) -> Vec<(&str, &TopicMapping)> {
        let mut topics: Vec<_> = self.topics.iter().map(|(name, rules)| (name.as_str(), rules)).collect();
        topics.sort_by_key(|(name, _)| *name);
        topics
    }

    /// Whether rows of any topic are guarded.
    pub fn is_guarded(&self) -> bool {
        self.topics.values().any(Processor::is_guarded)
    }
}

/// Whether a write is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteGuard {
    /// The line where the write begins in the file.
    pub line: usize,
    /// Why it is guarded, if it is.
    pub reason: Option<GuardReason>,
    /// It replaces records that another write guards, and so removes their guards and counters.
    pub takes_guards_along: bool,
}

/// All rules for one topic. They share one decode pass.
#[derive(Debug)]
pub struct TopicMapping {
    format: Format,
    refuses_mark: bool,
    tree: PathTree,
    /// `None` if no rule reads the message key as JSON.
    key_tree: Option<PathTree>,
    /// The header names that rules read. The index is the header's number.
    header_names: Vec<String>,
    /// Some condition or value reads all headers, whatever their names.
    all_headers: bool,
    /// Some publish forwards the message's headers.
    forwards_headers: bool,
    /// In the order of the file.
    routes: Vec<CompiledRoute>,
}

impl TopicMapping {
    fn writes(&self) -> impl Iterator<Item = &CompiledWrite> {
        self.routes.iter().flat_map(|route| &route.writes)
    }

    /// For each write, in the order of the file: whether and why it is guarded.
    pub fn guards(&self) -> impl Iterator<Item = WriteGuard> + '_ {
        self.writes().map(|write| WriteGuard {
            line: write.rules.line,
            reason: write.guard_reason,
            takes_guards_along: write.takes_guards_along,
        })
    }

    /// Whether every write of the topic that can change values in this set stores a guard. Then the guard of a record
    /// says which message of its partition wrote it last.
    pub fn guards_all_of(&self, target: &Target) -> bool {
        self.writes_to(target)
            .all(|write| matches!(write.action, ActionRule::Touch) || write.rules.guarded)
    }

    /// Whether every write of the topic that can change values in this set stores its version in this bin. Then the version
    /// of a record says whether what is there is newer. (A tombstone has no version.)
    pub fn versions_all_of(&self, target: &Target, bin: &str) -> bool {
        self.writes_to(target)
            .all(|write| matches!(write.action, ActionRule::Touch) || write.rules.newer_bin.as_deref() == Some(bin))
    }

    /// Whether a write of the topic touches records of this set. A touch stores no guard.
    pub fn touches(&self, target: &Target) -> bool {
        self.writes_to(target)
            .any(|write| matches!(write.action, ActionRule::Touch))
    }

    fn writes_to<'s>(&'s self, target: &'s Target) -> impl Iterator<Item = &'s CompiledWrite> {
        self.writes().filter(move |write| {
            write.target.all().into_iter().any(|other| {
                let (ours, theirs) = (&**other, target);
                ours.namespace == theirs.namespace && ours.set == theirs.set
            })
        })
    }

    /// `tally`: counts the results of each rule, if given.
    fn apply<'m>(
        &'m self,
        message: &Message<'m>,
        now_ms: i64,
        output: &mut Output<'m>,
        tally: Option<&Tally>,
    ) -> Result<Verdict, Rejection> {
        let text = match (message.payload, self.format) {
            (None, _) => {
                if let Some(line) = self.routes.iter().find_map(CompiledRoute::rejects_tombstones) {
                    return Err(Rejection::new(
                        Reason::Tombstone,
                        format!(
                            "the message has no payload (a tombstone), and the rule at line {line} does not say what that \
                             means; cure: tombstone = \"delete\" or \"ignore\""
                        ),
                    ));
                }
                // Keys of deletions come from the message's key and headers, so nothing is read from this payload.
                b"null".as_slice()
            }
            (Some(payload), format) => explain::text(payload, format)?,
        };
        let fields = match decode::decode_in(&self.tree, text, std::mem::take(&mut output.values)) {
            Ok(fields) => fields,
            Err(error) => {
                let payload = message.payload.unwrap_or_default();
                return Err(explain::undecodable(error, payload, self.format, self.refuses_mark));
            }
        };
        // Read only when the first route takes the message. The key of a filtered message may be anything.
        let key_fields: OnceCell<Option<Fields<'m>>> = OnceCell::new();
        let mut context = eval::Context {
            message,
            text,
            fields: &fields,
            key_fields: None,
            tree: &self.tree,
            key_tree: self.key_tree.as_ref(),
            header_names: &self.header_names,
            now_ms,
            tally,
        };
        let is_tombstone = message.payload.is_none();
        let (mut is_taken, mut is_left) = (false, false);
        for route in &self.routes {
            if !context.passes(route.when.as_ref(), None, output)? {
                is_left = true;
                continue;
            }
            if let Some(schema) = &route.schema
                && !is_tombstone
            {
                let checked = schema.check(text);
                if let Some(tally) = tally {
                    tally.compared(schema, checked.is_ok());
                }
                checked?;
            }
            context.require(&route.require)?;
            if key_fields.get().is_none() {
                let _ = key_fields.set(self.key_fields(message)?);
            }
            context.key_fields = key_fields.get().and_then(Option::as_ref);
            for write in &route.writes {
                let rows_before = output.rows.len();
                let taken = match &write.each {
                    _ if is_tombstone => {
                        let passes = context.passes(write.when.as_ref(), None, output)?;
                        if passes && write.tombstone == Tombstone::Delete {
                            context.deletion(write, output)?;
                        }
                        passes
                    }
                    None => {
                        let passes = context.passes(write.when.as_ref(), None, output)?;
                        if passes {
                            context.row(write, None, output)?;
                        }
                        passes
                    }
                    Some(each) => self.apply_each(&context, write, each, output)?,
                };
                if let Some(tally) = tally {
                    tally.made(RuleKind::Write, write.rules.line, output.rows.len() - rows_before);
                }
                (is_taken, is_left) = (is_taken || taken, is_left || !taken);
            }
            for publish in &route.publishes {
                let before = output.publications.len();
                let passes = context.passes(publish.when.as_ref(), None, output)?;
                if passes && (!is_tombstone || publish.tombstone == Tombstone::Delete) {
                    context.publication(publish, output)?;
                }
                if let Some(tally) = tally {
                    tally.made(RuleKind::Publish, publish.line, output.publications.len() - before);
                }
                (is_taken, is_left) = (is_taken || passes, is_left || !passes);
            }
        }
        output.values = fields.into_memory();
        Ok(if is_left && !is_taken {
            Verdict::Filtered
        } else {
            Verdict::Kept
        })
    }

    /// If the payload is not an object, adds that to the rejection, as the reason why a field was not found.
    #[cold]
    fn explain(&self, rejection: &mut Rejection, message: &Message<'_>) {
        let is_of_a_field = matches!(rejection.reason, Reason::ConditionError | Reason::ExpressionError);
        if !is_of_a_field || !self.tree.asks_for_an_object() {
            return;
        }
        let text = message
            .payload
            .and_then(|payload| explain::text(payload, self.format).ok());
        if let Some(found) = text.and_then(explain::no_object) {
            rejection
                .detail
                .push_str(&format!("; the payload is {found}, not an object"));
        }
    }

    /// `None`: no rule reads the key as JSON, or the message has no key.
    fn key_fields<'m>(&self, message: &Message<'m>) -> Result<Option<Fields<'m>>, Rejection> {
        let (Some(tree), Some(key)) = (&self.key_tree, message.key) else {
            return Ok(None);
        };
        match decode::decode(tree, key) {
            Ok(fields) => Ok(Some(fields)),
            Err(error) => Err(explain::undecodable_key(error, key)),
        }
    }

    /// Returns whether the condition of the write lets anything through.
    fn apply_each<'m>(
        &'m self,
        context: &eval::Context<'_, 'm>,
        write: &'m CompiledWrite,
        each: &EachRule,
        output: &mut Output<'m>,
    ) -> Result<bool, Rejection> {
        let of_element = write.when.as_ref().is_some_and(|when| when.condition.reads_element());
        if !of_element && !context.passes(write.when.as_ref(), None, output)? {
            return Ok(false);
        }
        context.readable(&write.texts, None)?;
        let elements = match context.fields.each(each.id) {
            // null means "none", like an empty array. A missing field may have been renamed.
            decode::Elements::Null => return Ok(true),
            decode::Elements::Missing => {
                return Err(Rejection::new(
                    Reason::FieldMissing,
                    format!(
                        "each = \"{}\" (line {}): no such field{}",
                        each.written,
                        write.rules.line,
                        explain::why_missing(context.text, &each.path)
                    ),
                ));
            }
            decode::Elements::NotAnArray(type_name) => {
                return Err(Rejection::new(
                    Reason::EachType,
                    format!(
                        "each = \"{}\" (line {}) is of type {type_name}, not an array",
                        each.written, write.rules.line
                    ),
                ));
            }
            decode::Elements::Items(items) => items,
        };
        if elements.len() > each.max {
            return Err(Rejection::new(
                Reason::EachTooMany,
                format!(
                    "each = \"{}\" (line {}) has {} elements, each_max is {}",
                    each.written,
                    write.rules.line,
                    elements.len(),
                    each.max
                ),
            ));
        }
        let mut is_taken = elements.is_empty();
        for number in 0..elements.len() {
            let element = eval::Element {
                items: &elements,
                number,
            };
            if !of_element || context.passes(write.when.as_ref(), Some(element), output)? {
                context.row(write, Some(element), output)?;
                is_taken = true;
            }
        }
        Ok(is_taken)
    }
}

/// The rules of the file for one topic.
impl Processor for TopicMapping {
    fn process<'m>(
        &'m self,
        message: &Message<'m>,
        now_ms: i64,
        output: &mut Output<'m>,
    ) -> Result<Verdict, Rejection> {
        self.apply(message, now_ms, output, None).map_err(|mut rejection| {
            output.take_back();
            self.explain(&mut rejection, message);
            rejection
        })
    }

    fn wants_headers(&self) -> bool {
        self.forwards_headers || self.all_headers || !self.header_names.is_empty()
    }

    /// `each` counts as one row.
    fn rows_per_message(&self) -> usize {
        self.writes().count().max(1)
    }

    fn is_guarded(&self) -> bool {
        self.writes().any(|write| write.rules.guarded)
    }

    fn guarded_sets(&self) -> Vec<(String, String)> {
        let targets = self.writes().flat_map(|write| write.target.all());
        let guarded = targets.filter(|target| self.guards_all_of(target));
        let sets: BTreeSet<_> = guarded
            .map(|target| (target.namespace.clone(), target.set.clone()))
            .collect();
        sets.into_iter().collect()
    }

    fn versioned_sets(&self) -> Vec<(String, String, String)> {
        let mut sets = BTreeSet::new();
        for write in self.writes() {
            let Some(bin) = &write.rules.newer_bin else { continue };
            let targets = write.target.all();
            let versioned = targets.into_iter().filter(|target| self.versions_all_of(target, bin));
            sets.extend(versioned.map(|target| (target.namespace.clone(), target.set.clone(), bin.clone())));
        }
        sets.into_iter().collect()
    }

    fn namespaces(&self) -> Vec<String> {
        self.writes()
            .flat_map(|write| write.target.all())
            .map(|target| target.namespace.clone())
            .collect()
    }

    fn produced_topics(&self) -> Vec<String> {
        let publishes = self.routes.iter().flat_map(|route| &route.publishes);
        publishes.map(|publish| publish.topic.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod condition_tests;
#[cfg(test)]
mod time_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod json_string_tests;
#[cfg(test)]
mod decimal_tests;
