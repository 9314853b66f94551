//! Finds records that another group has counted. A guard's name depends on the group, so a new group counts everything
//! again.
//!
//! A scan of the set would be too expensive. Instead, some of the newest messages are passed through the rules, and the
//! records that they would write are read. A bin with the name of a guard that is not this group's belongs to another
//! group.

use std::collections::BTreeSet;

use super::{KafkaSurvey, LOOKED_AT_MAX, Report, id_of};
use crate::aerospike::Store;
use crate::config::model::{Config, Start};
use crate::config::names::is_of_guard;
use crate::delivery::guard::{Guard, GuardIdentity};
use crate::delivery::ledger::Ledger;
use crate::kafka::admin::newest::{Span, spans};
use crate::message;
use crate::output::Output;
use crate::processor::Processor as _;
use crate::rules::mapping::Mapping;

/// How many of the newest messages of a partition are read, and how many rows of each are checked.
const MESSAGES_MAX: i64 = 4;
const ROWS_MAX: usize = 8;

/// For each topic without a committed offset of the group: reports whether the records of its newest messages have
/// guards of other groups.
pub(super) fn counted(config: &Config, mapping: &Mapping, found: &KafkaSurvey, store: &Store, report: &mut Report) {
    let own = own_guards(config, found);
    let mut looked_at = 0;
    for topic in &config.kafka.topics {
        let Some(rules) = mapping.topic(topic).filter(|rules| rules.is_guarded()) else {
            continue;
        };
        let partitions = || found.partitions.iter().filter(|partition| partition.topic == *topic);
        if partitions().any(|partition| partition.committed.is_some()) {
            continue;
        }
        let newest: Vec<Span> = partitions()
            .map(|partition| {
                let (oldest, end) = partition.range;
                Span {
                    partition: partition.number,
                    begin: oldest.max(end - MESSAGES_MAX),
                    end,
                }
            })
            .filter(|span| span.begin < span.end)
            .take(LOOKED_AT_MAX - looked_at)
            .collect();
        looked_at += newest.len();
        let mut strange = None;
        let read = spans(&config.kafka, topic, &newest, &mut |message| {
            let mut output = Output::default();
            output.begin(0);
            if strange.is_some() || rules.process(message, 0, &mut output).is_err() {
                return;
            }
            let guarded = output.rows.iter().filter(|row| row.rules.guarded).take(ROWS_MAX);
            let mut bins = guarded
                .filter_map(|row| store.bins(row.target, &row.key).ok())
                .flatten();
            if bins.any(|bin| is_of_guard(&bin) && !own.contains(&bin)) {
                strange = Some((message.partition, message.offset));
            }
        });
        if let Err(error) = read {
            report.warning(
                &format!("kafka topic {topic}"),
                &crate::aerospike::chain(&error),
                "whether another group has counted its messages is not known",
            );
        }
        if let Some((partition, offset)) = strange {
            let what = match config.kafka.start {
                Start::Earliest => "all messages that are there are counted once more",
                Start::Latest => "messages from now on are counted twice, if whoever wrote those guards still runs",
            };
            report.warning(
                &format!("kafka group {}", config.kafka.group),
                &format!(
                    "it is new for the topic {topic}, and a record of the message {} has the guard of another group, \
                     topic or guard_epoch: {what}",
                    message::place(topic, partition, offset)
                ),
                "if that is not meant, set kafka.group and run.guard_epoch to those that have counted, or write to other sets",
            );
        }
    }
}

/// The names of this group's guards for all topics: several topics may write the same sets.
fn own_guards(config: &Config, found: &KafkaSurvey) -> BTreeSet<String> {
    let bins = |topic: &str, partition| {
        let identity = GuardIdentity {
            group: &config.kafka.group,
            topic_id: id_of(found, topic).map_or([0; 16], |id| *id.as_bytes()),
            topic,
            partition,
            epoch: config.run.guard_epoch,
        };
        // A ledger of replayed letters has a name of the same form.
        [
            Guard::new(&identity).bin().to_owned(),
            Ledger::new(&identity, 0, 0).bin().to_owned(),
        ]
    };
    let partitions = found.partitions.iter();
    partitions
        .flat_map(|partition| bins(&partition.topic, partition.number))
        .collect()
}
