//! Counts how often each rule let messages through and how many records or messages it made, for `penstock try`.
//!
//! It is filled while messages are evaluated and mapped, if the caller asks for it; a running service does not. A rule
//! is identified by its line, so the counts of a route's rules include all its topics.

use std::cell::RefCell;

use super::compile::TargetRule;
use super::{Mapping, Message, Rejection, TopicMapping};
use crate::output::{Output, Verdict};
use crate::rules::conditions;
use crate::rules::schema::SchemaRule;

/// The kind of a counted rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    When,
    Schema,
    Require,
    Write,
    Publish,
}

impl RuleKind {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleKind::When => "when",
            RuleKind::Schema => "payload_schema",
            RuleKind::Require => "require",
            RuleKind::Write => "write",
            RuleKind::Publish => "publish",
        }
    }

    /// Whether it only lets messages through and makes nothing.
    pub fn is_condition(self) -> bool {
        matches!(self, RuleKind::When | RuleKind::Schema | RuleKind::Require)
    }
}

/// A rule with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCount {
    pub kind: RuleKind,
    /// Its line in the file.
    pub line: usize,
    /// A condition or the name of a schema as it is written; the namespace and set of a write that names one; the topic of a publish.
    pub what: String,
    /// A condition that reads the element of `each`, and so is evaluated for each element.
    pub is_of_element: bool,
    /// How often the condition held.
    pub holds: u64,
    /// How often it did not.
    pub fails: u64,
    /// How often it could not be computed.
    pub uncomputed: u64,
    /// Records of a write, or messages of a publish. A rejected message makes none, so it counts nothing.
    pub made: u64,
}

/// A value that is read as a decimal in base64 (`as = "decimal"` and `scale`), and how many strings were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecimalCount {
    /// The value as it is written.
    pub written: String,
    /// Its line in the file.
    pub line: usize,
    /// Strings that have only digits. They are base64, and may be meant as numbers.
    pub digits: u64,
    /// All others.
    pub others: u64,
}

/// The counts of all rules.
#[derive(Debug, Default)]
pub struct Tally {
    rules: RefCell<Vec<RuleCount>>,
    decimals: RefCell<Vec<DecimalCount>>,
    /// For the current message: the index of the rule, and how many it made.
    made: RefCell<Vec<(usize, u64)>>,
}

impl Tally {
    /// All rules of the file, in order, with zero counts.
    pub fn new(mapping: &Mapping) -> Tally {
        let tally = Tally::default();
        for (_, rules) in mapping.topics() {
            for route in &rules.routes {
                let whens = |when: &Option<super::compile::WhenRule>| {
                    if let Some(when) = when {
                        tally.place(RuleKind::When, when.condition.line(), when.condition.written());
                    }
                };
                whens(&route.when);
                if let Some(schema) = &route.schema {
                    tally.place(RuleKind::Schema, schema.line(), schema.written());
                }
                for rule in &route.require {
                    tally.place(RuleKind::Require, rule.condition.line(), rule.condition.written());
                }
                for write in &route.writes {
                    let target = match &write.target {
                        TargetRule::Fixed(target) if target.set.is_empty() => target.namespace.clone(),
                        TargetRule::Fixed(target) => format!("{}.{}", target.namespace, target.set),
                        TargetRule::FromMessage(_) => String::new(),
                    };
                    tally.place(RuleKind::Write, write.rules.line, &target);
                    whens(&write.when);
                }
                for publish in &route.publishes {
                    tally.place(RuleKind::Publish, publish.line, &publish.topic);
                    whens(&publish.when);
                }
            }
        }
        tally.rules.borrow_mut().sort_by_key(|rule| rule.line);
        tally
    }

    /// The rules in the order of the file.
    pub fn rules(&self) -> Vec<RuleCount> {
        self.rules.borrow().clone()
    }

    /// The decimals of which every string was a number in digits.
    pub fn decimals_in_digits(&self) -> Vec<DecimalCount> {
        let decimals = self.decimals.borrow();
        let doubtful = decimals
            .iter()
            .filter(|decimal| decimal.digits > 0 && decimal.others == 0);
        doubtful.cloned().collect()
    }

    /// A string was read as a decimal.
    pub(super) fn decimal(&self, line: usize, written: &str, is_digits: bool) {
        let mut decimals = self.decimals.borrow_mut();
        let is_it = |decimal: &DecimalCount| decimal.line == line && decimal.written == written;
        let place = decimals.iter().position(is_it).unwrap_or_else(|| {
            decimals.push(DecimalCount {
                written: written.to_owned(),
                line,
                digits: 0,
                others: 0,
            });
            decimals.len() - 1
        });
        if let Some(decimal) = decimals.get_mut(place) {
            *if is_digits {
                &mut decimal.digits
            } else {
                &mut decimal.others
            } += 1;
        }
    }

    /// The index of a rule. Several conditions can be on one line, but only one write or publish.
    fn place(&self, kind: RuleKind, line: usize, what: &str) -> usize {
        let mut rules = self.rules.borrow_mut();
        let is_it =
            |rule: &RuleCount| (rule.kind, rule.line) == (kind, line) && (!kind.is_condition() || rule.what == what);
        rules.iter().position(is_it).unwrap_or_else(|| {
            rules.push(RuleCount {
                kind,
                line,
                what: what.to_owned(),
                is_of_element: false,
                holds: 0,
                fails: 0,
                uncomputed: 0,
                made: 0,
            });
            rules.len() - 1
        })
    }

    /// `holds`: `None` if the condition could not be computed.
    pub(super) fn evaluated(&self, kind: RuleKind, condition: &conditions::Rule, holds: Option<bool>) {
        let place = self.place(kind, condition.line(), condition.written());
        let rule = &mut self.rules.borrow_mut()[place];
        rule.is_of_element = condition.reads_element();
        *match holds {
            Some(true) => &mut rule.holds,
            Some(false) => &mut rule.fails,
            None => &mut rule.uncomputed,
        } += 1;
    }

    pub(super) fn compared(&self, schema: &SchemaRule, satisfies: bool) {
        let place = self.place(RuleKind::Schema, schema.line(), schema.written());
        let rule = &mut self.rules.borrow_mut()[place];
        *if satisfies { &mut rule.holds } else { &mut rule.fails } += 1;
    }

    pub(super) fn made(&self, kind: RuleKind, line: usize, count: usize) {
        if count > 0 {
            let place = self.place(kind, line, "");
            self.made.borrow_mut().push((place, count as u64));
        }
    }

    fn end_message(&self, is_rejected: bool) {
        for (place, count) in self.made.borrow_mut().drain(..) {
            if !is_rejected {
                self.rules.borrow_mut()[place].made += count;
            }
        }
    }
}

impl TopicMapping {
    /// Evaluates and maps a message like [`process`](crate::processor::Processor::process), and counts the results of
    /// each rule.
    ///
    /// # Errors
    /// As for `process`.
    pub fn process_counted<'m>(
        &'m self,
        message: &Message<'m>,
        now_ms: i64,
        output: &mut Output<'m>,
        tally: &Tally,
    ) -> Result<Verdict, Rejection> {
        let result = self.apply(message, now_ms, output, Some(tally));
        if result.is_err() {
            output.take_back();
        }
        tally.end_message(result.is_err());
        result
    }
}
