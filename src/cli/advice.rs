//! What a configuration does that its author may not want, as far as it shows without asking anybody. `penstock check`
//! says it, with `--connect` and without.

use crate::config::cel::What;
use crate::config::model::{Action, Config, Expr, OperationKind, Part, Source, Typed, Write};
use crate::pipeline::map::Mapping;

/// One thing to think about: what it is about, what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    pub thing: String,
    pub found: String,
    pub cure: String,
}

/// All there is to say, in the order of the file. What several writes share is said once.
pub(super) fn advice(config: &Config, mapping: &Mapping) -> Vec<Advice> {
    let mut found: Vec<(Vec<usize>, String, String)> = Vec::new();
    for write in config.routes.iter().flat_map(|route| &route.writes) {
        for (what, cure) in shared_records(write, mapping).into_iter().chain(growing_bins(write)) {
            match found.iter_mut().find(|(_, same, _)| *same == what) {
                Some((lines, ..)) => lines.push(write.line),
                None => found.push((vec![write.line], what, cure)),
            }
        }
    }
    let advice = found.into_iter().map(|(lines, found, cure)| Advice {
        thing: the_writes(&lines),
        found,
        cure,
    });
    advice.collect()
}

fn the_writes(lines: &[usize]) -> String {
    match lines {
        [line] => format!("the write at line {line}"),
        lines => {
            let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
            format!("the writes at lines {}", lines.join(", "))
        }
    }
}

/// Two partitions may write one record.
fn shared_records(write: &Write, mapping: &Mapping) -> Option<(String, String)> {
    let is_guarded = mapping
        .topics()
        .iter()
        .flat_map(|(_, rules)| rules.guards())
        .any(|guard| guard.line == write.line && guard.reason.is_some());
    if (!is_guarded && write.newer.is_none()) || comes_of_one_partition(&write.key) {
        return None;
    }
    let key = &write.key.written;
    let what = if write.newer.is_none() {
        "two partitions can write one guarded record, in any order"
    } else {
        "two partitions can write one record, and of two with the same `newer` version the second is skipped"
    };
    Some((
        format!("the record's key ({key}) is not the message's key: {what}"),
        format!("give the messages the key {key} in Kafka, or set key = \"@key\"; ignore this if they have it already"),
    ))
}

/// Bins that grow until the record is too big.
fn growing_bins(write: &Write) -> Vec<(String, String)> {
    let Action::Write { operations, .. } = &write.action else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (number, operation) in operations.iter().enumerate() {
        let (word, cure) = match operation.what {
            OperationKind::Append(_) => (
                "append",
                "write a record for each day or hour, or a list with `keep_last`",
            ),
            OperationKind::Prepend(_) => (
                "prepend",
                "write a record for each day or hour, or a list with `keep_last`",
            ),
            OperationKind::ListAppend(_) => ("list_append", "add `keep_last`, or write a record for each day or hour"),
            _ => continue,
        };
        let is_trimmed = operations
            .get(number + 1)
            .is_some_and(|next| next.bin == operation.bin && matches!(next.what, OperationKind::KeepLast { .. }));
        if !is_trimmed {
            let bin = &operation.bin;
            let what = format!(
                "`{word}` makes the bin {bin} grow with each message; at max-record-size the record's messages are rejected (13)"
            );
            found.push((what, cure.to_owned()));
        }
    }
    found
}

/// Whether all messages that make one record are of one partition: its key is the message's, or names the partition.
fn comes_of_one_partition(key: &Typed) -> bool {
    // As it is, it tells the partition, whatever stands beside it.
    let tells = |source: &Source| matches!(source, Source::Partition | Source::Key | Source::KeyPath(_));
    match &key.expr {
        Expr::Source(source) => tells(source),
        Expr::Template(parts) => parts
            .iter()
            .any(|part| matches!(part, Part::Source(source) if tells(source))),
        // What is computed of it may be the same for several; of nothing else it can be no more than of those.
        Expr::Cel(cel) => {
            let reads = &cel.program.reads;
            !reads.is_empty()
                && reads.iter().all(|read| match &read.what {
                    What::Value(source) | What::Has(source) => tells(source),
                    What::Headers | What::HasHeader(_) => false,
                })
        }
        Expr::Constant(_) | Expr::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Whether the key of a write comes of one partition.
    fn of_one_partition(key: &str) -> bool {
        let text = format!(
            "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"a\"\nnamespace = \"n\"\n[[route]]\n\
             [[route.write]]\nkey = {key}\nadd = {{ n = 1 }}\n"
        );
        let config = config::parse(&text, "penstock.toml").unwrap();
        comes_of_one_partition(&config.routes[0].writes[0].key)
    }

    #[test]
    fn a_records_messages_are_of_one_partition_where_its_key_is_theirs() {
        for key in [
            "\"@key\"",
            "\"@key.id\"",
            "\"user:{@key}\"",
            "\"{@topic}:{@key.id}\"",
            "\"{@partition}:{id}\"",
            "\"{@key}:{ts:%Y%m%d}\"",
            "{ expr = \"meta.key + '!'\" }",
        ] {
            assert!(of_one_partition(key), "{key}");
        }
        for key in [
            "\"id\"",
            "{ expr = \"meta.key + id\" }",
            "\"{@topic}:{id}\"",
            "\"@header.id\"",
            "\"{@offset}\"",
        ] {
            assert!(!of_one_partition(key), "{key}");
        }
    }
}
