//! What is said of a configuration's guards: by `check` before anything runs, and by `run` in its log.

use crate::config::model::Config;
use crate::pipeline::map::Mapping;

/// Which writes are guarded, why, and what that costs.
pub(super) fn guards(config: &Config) -> Vec<String> {
    // A rule that cannot be compiled is told by whoever runs it.
    let Ok(mapping) = Mapping::compile(config) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (topic, rules) in mapping.topics() {
        for write in rules.guards() {
            let line = write.line;
            lines.push(match write.reason {
                Some(reason) => format!(
                    "guards: topic={topic} line={line} guarded=yes reason=\"{}\"",
                    reason.as_str()
                ),
                None if write.takes_guards_along => format!(
                    "guards: topic={topic} line={line} guarded=no note=\"replace ends the guards and counters of records that \
                     another write guards\""
                ),
                None => format!("guards: topic={topic} line={line} guarded=no"),
            });
        }
    }
    if mapping.is_guarded() {
        lines.push(
            "guards: cost: in each record of a guarded write one more bin (a name of 15 bytes, an integer) for each \
             partition that writes it, and a condition to check; see \"Guards\" in docs/ARCHITECTURE.md"
                .to_owned(),
        );
    }
    lines
}
