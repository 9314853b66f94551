//! Describes the guards of a configuration. `check` prints it, and `run` logs it.

use crate::config::model::{Action, Config};
use crate::rules::mapping::{GuardReason, Mapping};

/// Which writes are guarded, why, and what it costs.
pub(super) fn guards(config: &Config) -> Vec<String> {
    // If a rule cannot be compiled, the command that runs it reports that.
    let Ok(mapping) = Mapping::compile(config) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (topic, rules) in mapping.topics() {
        for write in rules.guards() {
            let line = write.line;
            lines.push(match write.reason {
                Some(reason) => {
                    let (reason, words) = (reason.as_str(), not_idempotent(config, line, reason));
                    format!("guards: topic={topic} line={line} guarded=yes reason=\"{reason}{words}\"")
                }
                None if write.takes_guards_along => format!(
                    "guards: topic={topic} line={line} guarded=no note=\"mode = 'replace' deletes the guards and counters that \
                     another write keeps in these records\""
                ),
                None => format!("guards: topic={topic} line={line} guarded=no"),
            });
        }
    }
    if mapping.is_guarded() {
        lines.push(
            "guards: cost: one more bin (15 bytes of name, an integer) in each record of a guarded write, for each partition \
             that writes it; and a condition to check. See docs/reference/guards.md"
                .to_owned(),
        );
    }
    lines
}

/// The operations of a write that do harm when repeated, if they are the reason why it is guarded.
fn not_idempotent(config: &Config, line: usize, reason: GuardReason) -> String {
    let mut writes = config.routes.iter().flat_map(|route| &route.writes);
    let Some(Action::Write { operations, .. }) = writes.find(|write| write.line == line).map(|write| &write.action)
    else {
        return String::new();
    };
    let mut words: Vec<&str> = Vec::new();
    for operation in operations.iter().filter(|_| reason == GuardReason::Replay) {
        let descriptor = operation.what.descriptor();
        if !descriptor.is_repeatable && !words.contains(&descriptor.word) {
            words.push(descriptor.word);
        }
    }
    if words.is_empty() {
        String::new()
    } else {
        format!(": {}", words.join(", "))
    }
}
