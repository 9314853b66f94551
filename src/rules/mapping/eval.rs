//! Applies the compiled rules to one message: looks up places, converts values, makes rows.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use super::cast::cast;
use super::compile::{
    ActionRule, BinRule, CompiledWrite, MissingRule, NameRule, NamedTargets, OperationRule, PartRule, PastRule, Place,
    RequireRule, Rule, TargetRule, Texts, TtlRule, TypedRule, WhenRule,
};
use super::decimal;
use super::keep::{self, Keeps, NotHeld};
use super::numbers::CastFailure;
use super::tally::{RuleKind, Tally};
use super::time::{self, Life};
use super::{Message, Reason, Rejection, explain};
use crate::config::model::{As, BigNumbers, Instant, LongNames, Mode, TimeUnit};
use crate::config::names;
use crate::config::operations::OperationKind;
use crate::message::{DecodeErrorKind, Syntax};
use crate::output::row::{Number, Op, RecordKey, RowAction, RowRules, RowTtl, Target};
use crate::output::value::{Unheld, Value};
use crate::output::{Output, ROWS_MAX, RowParts, TooManyRows};
use crate::rules::conditions::{self, Facts};
use crate::rules::decode::{Fields, Items, PathTree};

/// Aerospike's limit for the name of a bin, in bytes.
const BIN_NAME_BYTES_MAX: usize = 15;

/// All that a message provides to the rules.
pub(super) struct Context<'c, 'm> {
    pub message: &'c Message<'m>,
    /// The text that was decoded.
    pub text: &'m [u8],
    pub fields: &'c Fields<'m>,
    pub key_fields: Option<&'c Fields<'m>>,
    pub tree: &'m PathTree,
    pub key_tree: Option<&'m PathTree>,
    pub header_names: &'m [String],
    pub now_ms: i64,
    /// Counts the results of the conditions. `None` in a running service.
    pub tally: Option<&'c Tally>,
}

/// One element of `each`.
#[derive(Clone, Copy)]
pub(super) struct Element<'c, 'm> {
    pub items: &'c Items<'c, 'm>,
    pub number: usize,
}

impl<'m> Context<'_, 'm> {
    /// Whether `when` lets the message, or the element, through. A message without payload passes a condition that
    /// reads the payload.
    pub fn passes(
        &self,
        when: Option<&WhenRule>,
        element: Option<Element<'_, 'm>>,
        output: &mut Output<'m>,
    ) -> Result<bool, Rejection> {
        let Some(when) = when else {
            return Ok(true);
        };
        if !self.can_judge(&when.condition) {
            return Ok(true);
        }
        let holds = when.condition.holds(&self.facts(element));
        if let Some(tally) = self.tally {
            tally.evaluated(RuleKind::When, &when.condition, holds.as_ref().ok().copied());
        }
        if holds.is_err() {
            // What is no JSON is no condition that is false.
            self.readable(&when.texts, element)?;
        }
        match holds {
            Err(_) if when.error_is_false => {
                output.condition_errors_ignored += 1;
                Ok(false)
            }
            Err(cause) => Err(uncomputed(Reason::ConditionError, "when", &when.condition, &cause)),
            holds => Ok(holds.unwrap_or(false)),
        }
    }

    /// Rejects a message that does not meet the `require` conditions of its route.
    pub fn require(&self, rules: &[RequireRule]) -> Result<(), Rejection> {
        for RequireRule { condition, texts } in rules.iter().filter(|rule| self.can_judge(&rule.condition)) {
            let holds = condition.holds(&self.facts(None));
            if holds.is_err() {
                self.readable(texts, None)?;
            }
            if let Some(tally) = self.tally {
                tally.evaluated(RuleKind::Require, condition, holds.as_ref().ok().copied());
            }
            match holds {
                Ok(true) => {}
                Ok(false) => {
                    let (written, line) = (condition.written(), condition.line());
                    let detail = format!("require \"{written}\" (line {line}) does not hold");
                    return Err(Rejection::new(Reason::Require, detail));
                }
                Err(cause) => return Err(uncomputed(Reason::ConditionError, "require", condition, &cause)),
            }
        }
        Ok(())
    }

    /// Rejects the message if one of these strings should hold JSON and does not. Those in elements count for their
    /// `element` only.
    #[inline]
    pub(super) fn readable(&self, texts: &Texts, element: Option<Element<'_, 'm>>) -> Result<(), Rejection> {
        if !self.fields.has_broken_texts() && !self.key_fields.is_some_and(Fields::has_broken_texts) {
            return Ok(());
        }
        self.readable_among_broken(texts, element)
    }

    #[cold]
    fn readable_among_broken(&self, texts: &Texts, element: Option<Element<'_, 'm>>) -> Result<(), Rejection> {
        let of_element = element.map_or(&[][..], |element| element.items.broken_texts(element.number));
        let mut of_payload = self.fields.broken_texts().iter().chain(of_element);
        if let Some(broken) = of_payload.find(|broken| texts.payload.contains(&broken.text)) {
            return Err(explain::broken_text(self.tree, broken, ""));
        }
        let mut of_key = self.key_fields.iter().flat_map(|fields| fields.broken_texts());
        match (of_key.find(|broken| texts.key.contains(&broken.text)), self.key_tree) {
            (Some(broken), Some(tree)) => Err(explain::broken_text(tree, broken, "@key")),
            _ => Ok(()),
        }
    }

    fn can_judge(&self, condition: &conditions::Rule) -> bool {
        self.message.payload.is_some() || !condition.reads_payload()
    }

    fn facts<'f>(&'f self, element: Option<Element<'f, 'm>>) -> Facts<'f, 'm> {
        Facts {
            message: self.message,
            fields: self.fields,
            header_names: self.header_names,
            element: element.map(|element| (element.items, element.number)),
        }
    }

    /// Makes the row of one write (for one element) and adds it, if there is something to write.
    pub fn row(
        &self,
        write: &'m CompiledWrite,
        element: Option<Element<'_, 'm>>,
        output: &mut Output<'m>,
    ) -> Result<(), Rejection> {
        self.readable(&write.texts, element)?;
        let Some(key) = self.key(&write.key, element)? else {
            return Ok(());
        };
        let Some(target) = self.target(&write.target, element)? else {
            return Ok(());
        };
        let Some(life) = self.life(&write.ttl, element)? else {
            return Ok(());
        };
        let ttl = match (life, &write.ttl_past) {
            (Life::Lasts(ttl), _) => Some(ttl),
            (Life::Over, PastRule::Skip) => {
                output.ttl_past_skipped += 1;
                return output.leave_out(target, key, true).map_err(too_many_rows);
            }
            (Life::Over, PastRule::Delete(_)) => None,
            (Life::Over, PastRule::Reject) => return Err(is_over(&write.ttl)),
        };
        let newer = match &write.newer {
            None => None,
            Some(rule) => match self.version(rule, element)? {
                None => return self.nothing(write, target, key, output),
                version => version,
            },
        };
        let ttl = match (ttl, &write.ttl_past) {
            (Some(ttl), _) => ttl,
            (None, PastRule::Delete(rules)) => {
                output.ttl_past_deleted += 1;
                let ttl = RowTtl::NamespaceDefault;
                return self.push(rules, target, key, RowAction::Delete, ttl, newer, output);
            }
            (None, PastRule::Reject | PastRule::Skip) => return Err(is_over(&write.ttl)),
        };
        let action = match &write.action {
            ActionRule::Touch => RowAction::Touch,
            ActionRule::Delete => RowAction::Delete,
            ActionRule::Write { bins, operations } => {
                let mut ops = Vec::with_capacity(bins.len() + operations.len());
                for rule in bins {
                    self.bin(rule, element, &mut ops)?;
                }
                if matches!(write.rules.mode, Mode::Replace | Mode::Create) {
                    // A new record has nothing to remove, and the server refuses such an operation (4).
                    let nulls = !ops.is_empty();
                    ops.retain(|op| !op.removes());
                    if write.rules.mode == Mode::Replace && nulls && ops.is_empty() {
                        // The record would be replaced by one without bins. There is no such record, so it is deleted.
                        return self.push(&write.rules, target, key, RowAction::Delete, ttl, newer, output);
                    }
                }
                for rule in operations {
                    self.operation(rule, element, &mut ops)?;
                }
                // Every bin stays as it is: nothing to write. (The server refuses a row without operations, and in the
                // client such a row breaks the whole batch.)
                if ops.is_empty() {
                    return self.nothing(write, target, key, output);
                }
                RowAction::Write(ops)
            }
        };
        self.push(&write.rules, target, key, action, ttl, newer, output)
    }

    /// The deletion that a tombstone causes.
    pub fn deletion(&self, write: &'m CompiledWrite, output: &mut Output<'m>) -> Result<(), Rejection> {
        self.readable(&write.texts, None)?;
        let Some(key) = self.key(&write.key, None)? else {
            return Ok(());
        };
        let Some(target) = self.target(&write.target, None)? else {
            return Ok(());
        };
        let ttl = RowTtl::NamespaceDefault;
        self.push(&write.deletion, target, key, RowAction::Delete, ttl, None, output)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a row, each named at its one place"
    )]
    fn push(
        &self,
        rules: &'m RowRules,
        target: &'m Arc<Target>,
        key: RecordKey<'m>,
        action: RowAction<'m>,
        ttl: RowTtl,
        newer: Option<i64>,
        output: &mut Output<'m>,
    ) -> Result<(), Rejection> {
        let parts = RowParts {
            target,
            key,
            action,
            ttl,
            newer,
        };
        output.write(rules, parts).map_err(too_many_rows)
    }

    /// The message has nothing to write to this record. Where the record's ttl can end, it takes a number all the same:
    /// when the ttl has ended, nobody asks whether there is something to write.
    fn nothing(
        &self,
        write: &CompiledWrite,
        target: &'m Arc<Target>,
        key: RecordKey<'m>,
        output: &mut Output<'m>,
    ) -> Result<(), Rejection> {
        match write.ttl_past {
            PastRule::Reject => Ok(()),
            PastRule::Skip | PastRule::Delete(_) => output.leave_out(target, key, false).map_err(too_many_rows),
        }
    }

    /// `None`: write no record (`missing = "skip"`).
    fn target(
        &self,
        rule: &'m TargetRule,
        element: Option<Element<'_, 'm>>,
    ) -> Result<Option<&'m Arc<Target>>, Rejection> {
        let NamedTargets {
            namespace: namespace_rule,
            set: set_rule,
            targets,
        } = match rule {
            TargetRule::Fixed(target) => return Ok(Some(target)),
            TargetRule::FromMessage(named) => &**named,
        };
        let Some(namespace) = self.name(namespace_rule, element)? else {
            return Ok(None);
        };
        let Some(set) = self.name(set_rule, element)? else {
            return Ok(None);
        };
        match targets.get(&*namespace).and_then(|sets| sets.get(&*set)) {
            Some(target) => Ok(Some(target)),
            None if targets.contains_key(&*namespace) => Err(not_allowed("set", set_rule)),
            None => Err(not_allowed("namespace", namespace_rule)),
        }
    }

    fn name(&self, rule: &'m NameRule, element: Option<Element<'_, 'm>>) -> Result<Option<Cow<'m, str>>, Rejection> {
        let rule = match rule {
            NameRule::Fixed(name) => return Ok(Some(Cow::Borrowed(name))),
            NameRule::FromMessage(rule) => rule,
        };
        match self.operand(rule, element)?.map(|value| cast(value, As::String)) {
            None => Ok(None),
            Some(Ok(Value::Str(name))) => Ok(Some(name)),
            Some(Ok(_)) => Err(rejection(Reason::FieldType, rule, "not a string, and so no name")),
            Some(Err((reason, why))) => Err(rejection(reason, rule, why)),
        }
    }

    /// `None`: write no record (`missing = "skip"`).
    fn version(&self, rule: &'m TypedRule, element: Option<Element<'_, 'm>>) -> Result<Option<i64>, Rejection> {
        let operand = self.operand(rule, element).map_err(|mut rejection| {
            let is_time =
                |place| matches!(self.place(place, element), Some(Value::Str(text)) if Instant::parse(&text).is_some());
            if let (Rule::Place(place), Some(As::Integer)) = (&rule.rule, rule.cast)
                && is_time(*place)
            {
                rejection
                    .detail
                    .push_str("; it looks like a time: write as = \"epoch_ms\" or another epoch word");
            }
            rejection
        });
        match operand? {
            None => Ok(None),
            Some(Value::Int(version)) => Ok(Some(version)),
            Some(other) => Err(rejection(
                Reason::VersionType,
                rule,
                &format!(
                    "of type {}, which cannot be a version: an integer can",
                    other.type_name()
                ),
            )),
        }
    }

    /// A value that an operation needs. `None`: leave the operation out (`missing = "skip"`).
    fn operand(&self, rule: &'m TypedRule, element: Option<Element<'_, 'm>>) -> Result<Option<Value<'m>>, Rejection> {
        match self.operand_or_unheld(rule, element)? {
            Some(Value::Unheld { what, .. }) => Err(unheld_operand(rule, what)),
            value => Ok(value),
        }
    }

    pub(super) fn operand_or_unheld(
        &self,
        rule: &'m TypedRule,
        element: Option<Element<'_, 'm>>,
    ) -> Result<Option<Value<'m>>, Rejection> {
        match (self.typed(rule, element)?, &rule.missing) {
            (None | Some(Value::Null), MissingRule::Skip) => Ok(None),
            (Some(Value::Null), MissingRule::Default(value)) => Ok(Some(value.clone())),
            (None, _) => Err(self.missing(Reason::FieldMissing, rule, "missing or null", element)),
            (Some(Value::Null), _) => Err(rejection(Reason::FieldMissing, rule, "missing or null")),
            (value, _) => Ok(value),
        }
    }

    fn number(&self, rule: &'m TypedRule, element: Option<Element<'_, 'm>>) -> Result<Option<Number>, Rejection> {
        match self.operand(rule, element)? {
            None => Ok(None),
            Some(Value::Int(n)) => Ok(Some(Number::Int(n))),
            Some(Value::Float(n)) => Ok(Some(Number::Float(n))),
            Some(_) => Err(rejection(Reason::FieldType, rule, "not a number")),
        }
    }

    fn text(&self, rule: &'m TypedRule, element: Option<Element<'_, 'm>>) -> Result<Option<Value<'m>>, Rejection> {
        match self.operand(rule, element)? {
            None => Ok(None),
            Some(value @ (Value::Str(_) | Value::Bytes(_))) => Ok(Some(value)),
            Some(_) => Err(rejection(Reason::FieldType, rule, "neither a string nor bytes")),
        }
    }

    /// The key of a map entry: a string or an integer.
    fn map_key(&self, rule: &'m TypedRule, element: Option<Element<'_, 'm>>) -> Result<Option<Value<'m>>, Rejection> {
        match self.operand(rule, element)? {
            None => Ok(None),
            Some(value @ (Value::Str(_) | Value::Int(_))) => Ok(Some(value)),
            Some(_) => Err(rejection(
                Reason::FieldType,
                rule,
                "neither a string nor an integer, and so no key of a map",
            )),
        }
    }

    fn operation(
        &self,
        rule: &'m OperationRule,
        element: Option<Element<'_, 'm>>,
        ops: &mut Vec<Op<'m>>,
    ) -> Result<(), Rejection> {
        let bin = rule.bin.as_str();
        let op = match &rule.what {
            OperationKind::Once(rule) => match self.typed(rule, element)? {
                None if matches!(rule.missing, MissingRule::Reject) => {
                    return Err(self.missing(Reason::FieldMissing, rule, "missing", element));
                }
                None | Some(Value::Null) => None,
                Some(value) => Some(Op::Once { bin, value }),
            },
            OperationKind::Add(rule) => self.number(rule, element)?.map(|by| Op::Add { bin, by }),
            OperationKind::Append(rule) => self.text(rule, element)?.map(|value| Op::Append { bin, value }),
            OperationKind::Prepend(rule) => self.text(rule, element)?.map(|value| Op::Prepend { bin, value }),
            OperationKind::ListAppend(rule) => self.operand(rule, element)?.map(|value| Op::ListAppend { bin, value }),
            OperationKind::MapPut { key, value } => {
                match (self.map_key(key, element)?, self.operand(value, element)?) {
                    (Some(key), Some(value)) => Some(Op::MapPut { bin, key, value }),
                    _ => None,
                }
            }
            OperationKind::MapAdd { key, by } => match (self.map_key(key, element)?, self.number(by, element)?) {
                (Some(key), Some(by)) => Some(Op::MapAdd { bin, key, by }),
                _ => None,
            },
            // It follows the operation that makes the bin grow. If that one is left out, there is nothing to trim.
            OperationKind::KeepLast { count, map } => {
                ops.last().is_some_and(|op| op.bin() == bin).then_some(Op::KeepLast {
                    bin,
                    count: *count,
                    map: *map,
                })
            }
            OperationKind::Remove => Some(Op::Put {
                bin: Cow::Borrowed(bin),
                value: Value::Null,
            }),
        };
        ops.extend(op);
        Ok(())
    }

    fn bin(&self, rule: &'m BinRule, element: Option<Element<'_, 'm>>, ops: &mut Vec<Op<'m>>) -> Result<(), Rejection> {
        match rule {
            BinRule::One { name, value: rule } => {
                if let Some(value) = self.typed(rule, element)? {
                    put(ops, Cow::Borrowed(name), value);
                } else if matches!(rule.missing, MissingRule::Reject) {
                    return Err(self.missing(Reason::FieldMissing, rule, "missing", element));
                }
            }
            BinRule::All {
                place,
                json_members,
                except,
                rename,
                owned,
                long_names,
                keeps,
                line,
                written,
                at,
            } => {
                let number = element.map(|element| element.number);
                let members = match self.place(*place, element) {
                    None | Some(Value::Null) => return Ok(()),
                    Some(Value::Map(members)) => members,
                    Some(other) => {
                        let found = match at.is_payload() {
                            true => explain::no_object(self.text).map(str::to_owned),
                            false => None,
                        };
                        let found = found.unwrap_or_else(|| format!("of type {}", other.type_name()));
                        let path = at.shown(number, "");
                        return Err(Rejection::new(
                            Reason::FieldType,
                            format!("bins = \"{written}\" (line {line}): {path} is {found}, not an object"),
                        ));
                    }
                };
                let has_unheld = self.has_unheld();
                let mut members = members.into_iter();
                while let Some((field, mut value)) = members.next() {
                    if except.iter().any(|e| *e == field) {
                        continue;
                    }
                    let renamed = rename
                        .iter()
                        .find(|(from, _)| *from == field)
                        .map(|(_, to)| to.as_str());
                    let name = renamed.unwrap_or(&field);
                    if owned.iter().any(|bin| *bin == name) {
                        continue;
                    }
                    let fits = (1..=BIN_NAME_BYTES_MAX).contains(&name.len())
                        && !name.contains('\0')
                        && !names::is_of_guard(name);
                    if !fits {
                        if *long_names == LongNames::Reject {
                            let path = at.shown(number, &format!(".{}", keep::shown(name)));
                            let detail = format!("bins = \"{written}\" (line {line}): {}", no_bin(name, &path));
                            return Err(Rejection::new(Reason::BinName, detail));
                        }
                        continue;
                    }
                    let text = json_members.iter().find(|(name, _)| *name == field);
                    if let Some(said) = text.and_then(|(_, place)| self.place(*place, element)) {
                        value = said;
                    }
                    if has_unheld {
                        match keep::hold(&mut value, *keeps) {
                            Ok(true) => {}
                            Ok(false) => continue,
                            Err(refused) => {
                                // If two fields want the same bin, no setting for numbers would help.
                                let other = rename.iter().find(|(_, to)| *to == field);
                                let is_wanted = |from: &str| {
                                    members.as_slice().iter().any(|(other, _)| other == from)
                                        || ops.iter().any(|op| op.bin() == field)
                                };
                                if renamed.is_none()
                                    && let Some((from, _)) = other.filter(|(from, _)| is_wanted(from))
                                {
                                    return Err(one_bin(written, *line, from, &field));
                                }
                                let NotHeld { what, below, .. } = &refused;
                                let what = *what;
                                let step = keep::shown(&field);
                                let path = at.shown(number, &format!(".{step}{below}"));
                                let cure = match what {
                                    Unheld::HalfPair => HALF_PAIR_CURE.to_owned(),
                                    _ => format!(
                                        "{}, or except = [\"{}\"]",
                                        big_cure(*keeps, &refused),
                                        step.trim_matches('"')
                                    ),
                                };
                                let detail =
                                    format!("bins = \"{written}\" (line {line}): {path} is {what}; cure: {cure}");
                                return Err(Rejection::new(keep::reason(what), detail));
                            }
                        }
                    }
                    let taken = put(ops, renamed.map_or(field, Cow::Borrowed), value);
                    // A name occurs once in an object, and a bin once in `rename`. So one of the two fields was
                    // renamed.
                    if let Some(bin) = taken.and_then(|at| ops.get(at)).map(Op::bin)
                        && let Some((from, _)) = rename.iter().find(|(_, to)| to == bin)
                    {
                        return Err(one_bin(written, *line, from, bin));
                    }
                }
            }
        }
        Ok(())
    }

    /// `None`: write no record (`missing = "skip"`).
    fn key(&self, rule: &'m TypedRule, element: Option<Element<'_, 'm>>) -> Result<Option<RecordKey<'m>>, Rejection> {
        let value = match (self.typed(rule, element)?, &rule.missing) {
            (Some(Value::Null) | None, MissingRule::Skip) => return Ok(None),
            (Some(Value::Null), MissingRule::Default(value)) => value.clone(),
            (Some(Value::Null), _) => return Err(rejection(Reason::KeyNull, rule, "null, and so no key")),
            (None, _) => return Err(self.missing(Reason::KeyMissing, rule, "missing, and so no key", element)),
            (Some(value), _) => value,
        };
        let type_name = value.type_name();
        let key = match value {
            Value::Str(text) => RecordKey::String(text),
            // A key is a string unless `as` says otherwise.
            Value::Int(n) if matches!(rule.cast, Some(As::Integer | As::Decimal { .. })) => RecordKey::Integer(n),
            Value::Int(n) => RecordKey::String(Cow::Owned(n.to_string())),
            Value::Unheld {
                what: Unheld::Integer,
                text,
            } => RecordKey::String(text),
            Value::Unheld {
                what: what @ Unheld::HalfPair,
                ..
            } => return Err(unheld_operand(rule, what)),
            Value::Bytes(bytes) if matches!(rule.cast, Some(As::Base64 | As::Hex)) => RecordKey::Bytes(bytes),
            value => {
                let cure = match value {
                    Value::Float(_) | Value::Bool(_) | Value::Unheld { .. } => "; cure: as = \"string\"",
                    Value::Bytes(_) => "; cure: as = \"hex\" or \"base64\", which keep the bytes",
                    _ => "",
                };
                return Err(rejection(
                    Reason::KeyType,
                    rule,
                    &format!("of type {type_name}, which cannot be a key{cure}"),
                ));
            }
        };
        let empty = match &key {
            RecordKey::String(text) => text.is_empty(),
            RecordKey::Bytes(bytes) => bytes.is_empty(),
            RecordKey::Integer(_) => false,
        };
        if empty {
            return Err(rejection(Reason::KeyEmpty, rule, "empty, and so no key"));
        }
        Ok(Some(key))
    }

    /// `None`: write no record (`missing = "skip"`).
    fn life(&self, rule: &'m TtlRule, element: Option<Element<'_, 'm>>) -> Result<Option<Life>, Rejection> {
        let (rule, unit, words) = match rule {
            TtlRule::Fixed(ttl) => return Ok(Some(Life::Lasts(*ttl))),
            TtlRule::Field { rule, unit, words } => (&**rule, *unit, *words),
        };
        let value = match (self.typed(rule, element)?, &rule.missing) {
            (Some(Value::Null) | None, MissingRule::Skip) => return Ok(None),
            (Some(Value::Null), MissingRule::Default(value)) => value.clone(),
            (Some(Value::Null) | None, _) => {
                return Err(self.missing(Reason::FieldMissing, rule, "missing or null, and so no ttl", element));
            }
            (Some(value), _) => value,
        };
        // The message's own timestamp is in milliseconds, whatever unit a number of the payload would have.
        let unit = match rule.rule {
            Rule::Place(Place::Timestamp) => unit.map(|_| TimeUnit::Milliseconds),
            _ => unit,
        };
        time::life(&value, unit, words, self.now_ms)
            .map(Some)
            .map_err(|(reason, why)| rejection(reason, rule, why))
    }

    /// The converted value of an expression. `None` if it is missing and has no default.
    pub(super) fn typed(
        &self,
        rule: &'m TypedRule,
        element: Option<Element<'_, 'm>>,
    ) -> Result<Option<Value<'m>>, Rejection> {
        let value = match &rule.rule {
            Rule::Constant(value) => Some(value.clone()),
            Rule::Place(place) => self.place(*place, element),
            Rule::Template(parts) => self
                .template(parts, rule, element)?
                .map(|text| Value::Str(Cow::Owned(text))),
            Rule::Cel(cel) => match cel.value(&self.facts(element)) {
                Ok(value) => Some(value),
                Err(cause) => return Err(uncomputed(Reason::ExpressionError, "expr", cel, &cause)),
            },
            Rule::Object(members) => {
                let mut object = Vec::with_capacity(members.len());
                for (name, member) in members {
                    match self.typed(member, element)? {
                        Some(value) => object.push((Cow::Borrowed(name.as_str()), value)),
                        None if matches!(member.missing, MissingRule::Reject) => {
                            return Err(self.missing(Reason::FieldMissing, member, "missing", element));
                        }
                        None => {}
                    }
                }
                Some(Value::Map(object))
            }
        };
        let is_time = |value: &Value<'_>| matches!(value, Value::Str(text) if Instant::parse(text).is_some());
        let value = match (value, rule.cast) {
            // A bin can have any type.
            (Some(value), Some(As::Integer))
                if matches!(rule.keeps, Keeps::Record(_))
                    && matches!(&value, Value::Str(text) if text.contains(':'))
                    && is_time(&value) =>
            {
                let why = "a string that looks like a time, no integer; cure: as = \"epoch_ms\" or another epoch word";
                return Err(rejection(Reason::FieldType, rule, why));
            }
            // A time with a known unit is converted to the requested unit.
            (Some(Value::Int(ms)), Some(to))
                if to.unit().is_some() && matches!(rule.rule, Rule::Place(Place::Timestamp)) =>
            {
                let number = time::from_ms(ms, to.unit()).map_err(|(reason, why)| rejection(reason, rule, why))?;
                Some(Value::Int(number))
            }
            (Some(value), Some(to)) => {
                let counted = self.tally.filter(|_| matches!(to, As::Decimal { scale: Some(_), .. }));
                let is_digits = counted.is_some() && decimal::is_digits(&value);
                let value = cast(value, to).map_err(|failure| uncast(rule, to, failure))?;
                if let Some(tally) = counted {
                    tally.decimal(rule.line, &rule.written, is_digits);
                }
                Some(value)
            }
            (value, _) => value,
        };
        let value = match value {
            // An embedded text is decoded separately, and a computed value may be larger than its operands. So both are
            // checked again.
            Some(value) if self.has_unheld() || rule.cast == Some(As::Json) || matches!(rule.rule, Rule::Cel(_)) => {
                Self::held(value, rule, element)?
            }
            value => value,
        };
        match (value, &rule.missing) {
            (None, MissingRule::Default(value)) => Ok(Some(value.clone())),
            (value, _) => Ok(value),
        }
    }

    /// Whether the message may contain a value that no record can hold.
    fn has_unheld(&self) -> bool {
        self.fields.has_unheld() || self.key_fields.is_some_and(Fields::has_unheld)
    }

    /// The part of a value that can be kept.
    fn held(
        mut value: Value<'m>,
        rule: &TypedRule,
        element: Option<Element<'_, 'm>>,
    ) -> Result<Option<Value<'m>>, Rejection> {
        match keep::hold(&mut value, rule.keeps) {
            Ok(is_held) => Ok(is_held.then_some(value)),
            Err(refused) => Err(Self::not_held(&refused, rule, element)),
        }
    }

    #[cold]
    fn not_held(refused: &NotHeld, rule: &TypedRule, element: Option<Element<'_, 'm>>) -> Rejection {
        let NotHeld { what, below, .. } = refused;
        let what = *what;
        let path = rule.at.shown(element.map(|element| element.number), below);
        let (written, line) = (&rule.written, rule.line);
        let place = if *written == path {
            format!("{path} (line {line})")
        } else {
            format!("{written} (line {line}): {path}")
        };
        let can_be_string = below.is_empty() && rule.cast.is_none() && rule.keeps == Keeps::Record(BigNumbers::Reject);
        // `big_numbers` cannot be combined with `expr`.
        let is_computed = matches!(rule.rule, Rule::Cel(_));
        let cure = match what {
            Unheld::HalfPair => HALF_PAIR_CURE,
            _ if is_computed && can_be_string => "as = \"string\"",
            _ if is_computed => "compute it of what it needs, or write path and big_numbers",
            _ => big_cure(rule.keeps, refused),
        };
        let or = if can_be_string && !is_computed && what != Unheld::HalfPair {
            ", or as = \"string\""
        } else {
            ""
        };
        let detail = format!("{place} is {what}; cure: {cure}{or}");
        Rejection::new(keep::reason(what), detail)
    }

    /// The rejection for a missing value that is required.
    #[cold]
    pub(super) fn missing(
        &self,
        reason: Reason,
        rule: &TypedRule,
        why: &str,
        element: Option<Element<'_, 'm>>,
    ) -> Rejection {
        if rule.keeps == Keeps::Record(BigNumbers::Skip)
            && let Rule::Place(place) = rule.rule
            && matches!(self.place(place, element), Some(value) if value != Value::Null)
        {
            let why = "left out by big_numbers = \"skip\"; cure: missing = \"skip\", or another word for big_numbers";
            return rejection(reason, rule, why);
        }
        let mut rejection = rejection(reason, rule, why);
        if let (Some(path), Some(_)) = (&rule.at.segments, self.message.payload) {
            rejection.detail.push_str(&explain::why_missing(self.text, path));
        }
        if let Some(path) = &rule.at.key_segments {
            rejection
                .detail
                .push_str(&explain::why_missing_in_key(self.message.key, path));
        }
        rejection
    }

    /// `None` if a part is missing or null: then the whole template is missing.
    fn template(
        &self,
        parts: &'m [PartRule],
        rule: &TypedRule,
        element: Option<Element<'_, 'm>>,
    ) -> Result<Option<String>, Rejection> {
        let mut text = String::new();
        for part in parts {
            let place = match part {
                PartRule::Literal(literal) => {
                    text.push_str(literal);
                    continue;
                }
                PartRule::Place(place) | PartRule::Time { place, .. } => *place,
            };
            let value = match self.place(place, element) {
                None | Some(Value::Null) => return Ok(None),
                Some(value) => value,
            };
            if let PartRule::Time { format, unit, .. } = part {
                let time = time::instant(&value, *unit).map_err(|(reason, why)| rejection(reason, rule, why))?;
                let formatted = time
                    .formatted(format)
                    .map_err(|_| rejection(Reason::FieldType, rule, "the time cannot be written in this format"))?;
                text.push_str(&formatted);
                continue;
            }
            match value {
                Value::Str(part) => text.push_str(&part),
                Value::Int(n) => {
                    let _ = write!(text, "{n}"); // a String takes everything
                }
                Value::Unheld {
                    what: Unheld::Integer,
                    text: digits,
                } => text.push_str(&digits),
                Value::Unheld {
                    what: what @ Unheld::HalfPair,
                    ..
                } => return Err(unheld_operand(rule, what)),
                Value::Bool(b) => text.push_str(if b { "true" } else { "false" }),
                // 1.0 and 1.00 are the same number but different texts. A key must not depend on that.
                other => {
                    let cure = match other {
                        Value::Float(_) | Value::Unheld { .. } => "; cure: an `expr` with string(…) around the number",
                        _ => "",
                    };
                    return Err(rejection(
                        Reason::FieldType,
                        rule,
                        &format!(
                            "a part of type {}, which a template cannot hold{cure}",
                            other.type_name()
                        ),
                    ));
                }
            }
        }
        Ok(Some(text))
    }

    fn place(&self, place: Place, element: Option<Element<'_, 'm>>) -> Option<Value<'m>> {
        match place {
            Place::Slot(slot) => self.fields.get(slot).cloned(),
            Place::Item(slot) => element.and_then(|e| e.items.get(e.number, slot)).cloned(),
            Place::Index => element.map(|e| integer(e.number)),
            Place::Key => self.message.key.map(text_or_bytes),
            Place::KeySlot(slot) => self.key_fields.and_then(|fields| fields.get(slot)).cloned(),
            Place::Payload => self.message.payload.map(text_or_bytes),
            Place::Topic => Some(Value::Str(Cow::Borrowed(self.message.topic))),
            Place::Partition => Some(Value::Int(i64::from(self.message.partition))),
            Place::Offset => Some(Value::Int(self.message.offset)),
            Place::Timestamp => self.message.timestamp_ms.map(Value::Int),
            Place::Header(number) => {
                let name = self.header_names.get(number)?;
                let (_, value) = self.message.headers.iter().rev().find(|(n, _)| n == name)?;
                Some(value.map_or(Value::Null, text_or_bytes))
            }
        }
    }
}

/// One value per bin: a later rule for the same bin replaces an earlier one. Then it returns the place of the earlier
/// one.
fn put<'m>(ops: &mut Vec<Op<'m>>, bin: Cow<'m, str>, value: Value<'m>) -> Option<usize> {
    let taken = ops.iter().position(|op| op.bin() == bin);
    match taken.and_then(|at| ops.get_mut(at)) {
        Some(op) => *op = Op::Put { bin, value },
        None => ops.push(Op::Put { bin, value }),
    }
    taken
}

/// A field is renamed to the name of another field.
#[cold]
fn one_bin(written: &str, line: usize, from: &str, bin: &str) -> Rejection {
    let (from, bin) = (keep::shown(from), keep::shown(bin));
    let detail = format!(
        "bins = \"{written}\" (line {line}): the fields {from} (renamed) and {bin} want one bin, {bin}; cure: except = [\"{}\"], or another \
         name in rename",
        bin.trim_matches('"')
    );
    Rejection::new(Reason::BinName, detail)
}

const HALF_PAIR_CURE: &str = "leave the field out, or have the producer write whole characters";

/// The rejection for a required value that no record can hold.
#[cold]
pub(super) fn unheld_operand(rule: &TypedRule, what: Unheld) -> Rejection {
    match what {
        Unheld::HalfPair => rejection(keep::reason(what), rule, &format!("{what}; cure: {HALF_PAIR_CURE}")),
        _ => rejection(keep::reason(what), rule, &what.to_string()),
    }
}

/// The rejection for a value that is not of the type in `as`.
#[cold]
fn uncast(rule: &TypedRule, to: As, (reason, why): CastFailure) -> Rejection {
    // A key, a ttl or a number to add cannot have any other type.
    let is_kept = matches!(rule.keeps, Keeps::Record(_) | Keeps::Json);
    let cure = match (reason, to) {
        (Reason::IntegerRange | Reason::FloatRange, As::Decimal { .. }) if is_kept => "; cure: as = \"decimal\"",
        (Reason::IntegerRange, As::Integer) if is_kept => "; cure: as = \"string\" or \"float\"",
        (Reason::IntegerRange | Reason::FloatRange, _) if is_kept && to != As::String => "; cure: as = \"string\"",
        (Reason::Payload(DecodeErrorKind::NotJson(Syntax::LoneSurrogate)), _) => {
            return unheld_operand(rule, Unheld::HalfPair);
        }
        _ => "",
    };
    rejection(reason, rule, &format!("{why}{cure}"))
}

/// The settings that would help.
fn big_cure(keeps: Keeps, refused: &NotHeld) -> &'static str {
    if refused.has_float && keeps != Keeps::Record(BigNumbers::Float) {
        "big_numbers = \"string\", \"float\" or \"skip\""
    } else {
        "big_numbers = \"string\" or \"skip\""
    }
}

/// Why a field cannot be a bin under its own name, and how to fix it.
#[cold]
fn no_bin(name: &str, path: &str) -> String {
    let why = if name.len() > BIN_NAME_BYTES_MAX {
        format!(
            "has a name of {} bytes, and a bin's has at most {BIN_NAME_BYTES_MAX}",
            name.len()
        )
    } else if name.is_empty() {
        "has an empty name, which no bin can have".to_owned()
    } else if name.contains('\0') {
        "has a zero byte in its name, which no bin can have".to_owned()
    } else {
        "has a name as guards have (~ and 14 letters)".to_owned()
    };
    let name = keep::shown(name);
    format!("the field {path} {why}; cure: rename = {{ {name} = \"…\" }}, or long_names = \"skip\"")
}

fn integer(n: usize) -> Value<'static> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// Converts bytes of Kafka: to a string if they are UTF-8, otherwise to bytes.
fn text_or_bytes(bytes: &[u8]) -> Value<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Str(Cow::Borrowed(text)),
        Err(_) => Value::Bytes(Cow::Borrowed(bytes)),
    }
}

/// The rejection for a name from the message that is not allowed.
#[cold]
fn not_allowed(word: &str, rule: &NameRule) -> Rejection {
    let place = match rule {
        NameRule::FromMessage(rule) => format!("{word} = \"{}\" (line {})", rule.written, rule.line),
        NameRule::Fixed(name) => format!("{word} = \"{name}\""),
    };
    let detail = format!("{place}: the {word} that the message names is not among {word}s_allowed; cure: add it there");
    Rejection::new(Reason::NameNotAllowed, detail)
}

fn too_many_rows(_: TooManyRows) -> Rejection {
    let detail = format!("the message makes more than {ROWS_MAX} rows, which guards cannot tell apart");
    Rejection::new(Reason::TooManyRows, detail)
}

fn is_over(rule: &TtlRule) -> Rejection {
    let why = "over: it ended before the message was read; write ttl_past = \"skip\" to leave such records out, or \
               \"delete\" to delete them";
    match rule {
        TtlRule::Field { rule, .. } => rejection(Reason::TtlPast, rule, why),
        TtlRule::Fixed(_) => Rejection::new(Reason::TtlPast, why),
    }
}

fn uncomputed(reason: Reason, word: &str, rule: &conditions::Rule, cause: &str) -> Rejection {
    let (written, line) = (rule.written(), rule.line());
    Rejection::new(
        reason,
        format!("{word} \"{written}\" (line {line}) cannot be computed: {cause}"),
    )
}

pub(super) fn rejection(reason: Reason, rule: &TypedRule, why: &str) -> Rejection {
    Rejection::new(reason, format!("{} (line {}) is {why}", rule.written, rule.line))
}
