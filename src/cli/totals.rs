//! The totals of all messages, by rule: the end of `penstock try`'s output.
//!
//! A condition with a typing error rejects nothing and makes nothing. It shows only here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::json;
use super::terminal::{Colours, Tone};
use crate::rules::mapping::tally::{RuleCount, RuleKind};

/// Totals over all messages.
pub(super) struct Totals<'t> {
    /// Kept, filtered, rejected.
    pub counts: [u64; 3],
    /// Number of rejections by reason.
    pub reasons: &'t BTreeMap<&'static str, u64>,
    /// In the order of the file.
    pub rules: &'t [RuleCount],
}

impl Totals<'_> {
    fn messages(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// For a person: one line and, if there are several messages, one line per rule.
    pub fn text(&self, colours: Colours) -> String {
        let [kept, filtered, rejected] = self.counts;
        let tone = if rejected > 0 { Tone::Bad } else { Tone::Good };
        let rejected = colours.paint(tone, format!("{rejected} rejected"));
        let messages = self.messages();
        let mut text =
            format!("{messages} message(s): {kept} kept, {filtered} filtered, {rejected}; nothing was written\n");
        if messages < 2 {
            return text;
        }
        let reasons: Vec<String> = self.reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        if !reasons.is_empty() {
            let _ = writeln!(text, "  rejected for: {}", reasons.join(", "));
        }
        for rule in self.rules {
            let (line, what) = (rule.line, &rule.what);
            let counted = counted(rule);
            let counted = if has_done_nothing(rule) {
                colours.paint(Tone::Doubtful, counted)
            } else {
                counted
            };
            let _ = write!(text, "  {} at line {line}: {counted}", rule.kind.as_str());
            let _ = match rule.kind {
                _ if what.is_empty() => writeln!(text),
                RuleKind::When | RuleKind::Schema | RuleKind::Require => writeln!(text, ": {what}"),
                RuleKind::Write => writeln!(text, " in {what}"),
                RuleKind::Publish => writeln!(text, " to {what}"),
            };
        }
        text
    }

    /// One line. Empty if there is only one message.
    pub fn json(&self) -> String {
        if self.messages() < 2 {
            return String::new();
        }
        let rules: Vec<String> = self.rules.iter().map(|rule| json::object(&members(rule))).collect();
        let [kept, filtered, rejected] = self.counts;
        let totals = json::object(&[
            ("messages", self.messages().to_string()),
            ("kept", kept.to_string()),
            ("filtered", filtered.to_string()),
            ("rejected", rejected.to_string()),
            ("reasons", json!(self.reasons).to_string()),
            ("rules", format!("[{}]", rules.join(","))),
        ]);
        format!("{{\"totals\":{totals}}}\n")
    }
}

/// Whether a line of JSON contains totals rather than a message.
pub(super) fn is_totals(line: &str) -> bool {
    line.trim_start().starts_with("{\"totals\":")
        && serde_json::from_str::<Value>(line).is_ok_and(|value| value.as_object().is_some_and(|all| all.len() == 1))
}

/// Whether a rule let nothing through or made nothing. Look at such a rule first.
fn has_done_nothing(rule: &RuleCount) -> bool {
    match rule.kind {
        RuleKind::When | RuleKind::Schema | RuleKind::Require => rule.holds == 0,
        RuleKind::Write | RuleKind::Publish => rule.made == 0,
    }
}

fn counted(rule: &RuleCount) -> String {
    let of = |count: u64, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    match rule.kind {
        RuleKind::Write => of(rule.made, "record"),
        RuleKind::Publish => of(rule.made, "message"),
        RuleKind::When | RuleKind::Schema | RuleKind::Require if rule.holds + rule.fails + rule.uncomputed == 0 => {
            "asked of no message".to_owned()
        }
        RuleKind::When | RuleKind::Schema | RuleKind::Require => {
            let count = |count: u64| match rule.is_of_element {
                true => of(count, "element"),
                false => count.to_string(),
            };
            let mut text = format!("false for {}, true for {}", count(rule.fails), count(rule.holds));
            if rule.uncomputed > 0 {
                let _ = write!(text, ", cannot be computed for {}", count(rule.uncomputed));
            }
            text
        }
    }
}

fn members(rule: &RuleCount) -> Vec<(&'static str, String)> {
    let mut members = vec![
        ("rule", Value::from(rule.kind.as_str()).to_string()),
        ("line", rule.line.to_string()),
    ];
    let what = Value::from(rule.what.as_str()).to_string();
    let counts = match rule.kind {
        RuleKind::When | RuleKind::Schema | RuleKind::Require => vec![
            ("condition", what),
            ("false", rule.fails.to_string()),
            ("true", rule.holds.to_string()),
            ("uncomputed", rule.uncomputed.to_string()),
        ],
        RuleKind::Write if rule.what.is_empty() => vec![("records", rule.made.to_string())],
        RuleKind::Write => vec![("target", what), ("records", rule.made.to_string())],
        RuleKind::Publish => vec![("topic", what), ("messages", rule.made.to_string())],
    };
    members.extend(counts);
    members
}
