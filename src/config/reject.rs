//! `[reject]`: what happens to rejected messages, and how many are too many.

use super::model::{DeadLetterHeaders, Reject, RejectAction};
use crate::config::file::reader::{Node, Table, Text};
use crate::config::routes::publish::produced_topic;

/// Reads the section. `consumed`: `kafka.topics`.
pub fn reject(table: &Table<'_>, consumed: &[(Node<'_>, Text)]) -> Option<Reject> {
    let word = table.choice("action");
    let topic = table.get("topic").map(|node| produced_topic(node, consumed));
    let headers = table.choice("headers").map(|headers| match headers {
        "connect" => DeadLetterHeaders::Connect,
        _ => DeadLetterHeaders::Penstock,
    });
    let goes_on = matches!(word, Some("drop" | "dead_letter") | None);
    let is_misspelt = table.is_misspelt("action");
    if word.is_some_and(|word| word != "dead_letter") && !is_misspelt {
        for name in ["topic", "headers"] {
            if let Some(node) = table.get(name) {
                node.fault(
                    "says something of dead letters, and reject.action makes none",
                    format!("write action = \"dead_letter\", or remove `{name}`"),
                );
            }
        }
    }
    if !goes_on && !is_misspelt {
        for name in ["percent_max", "percent_of", "consecutive_max"] {
            if let Some(node) = table.get(name) {
                node.fault(
                    "limits what goes on after a reject, and with this reject.action nothing does",
                    format!("write action = \"dead_letter\" or \"drop\", or remove `{name}`"),
                );
            }
        }
    }
    let action = match word? {
        "stop" => RejectAction::Stop,
        "drop" => RejectAction::Drop,
        "dead_letter" => {
            if topic.is_none() {
                table.fault_missing(
                    "topic",
                    "name the topic of the dead letters, e.g. topic = \"events.dead\"",
                );
            }
            RejectAction::DeadLetter {
                topic: topic??,
                headers: headers?,
            }
        }
        _ => RejectAction::Hold,
    };
    let limit = |name| match u32::try_from(table.number(name)?).ok()? {
        0 => Some(None),
        limit => Some(Some(limit)),
    };
    Some(Reject {
        action,
        percent_max: limit("percent_max")?,
        percent_of: u32::try_from(table.number("percent_of")?).ok()?,
        consecutive_max: limit("consecutive_max")?,
    })
}
