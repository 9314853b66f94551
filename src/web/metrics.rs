//! The text of `/metrics`: all metrics of the service, for Prometheus.
//!
//! Workers count most of them (`observe/counters.rs` has the table). The others are read at the scrape: from the main
//! thread's snapshot, and from `/proc`. Their table is here. A new metric is a new row, with the function that reads
//! it. `docs/reference/metrics.md` is generated from both tables.

pub mod format;

use std::time::{Duration, UNIX_EPOCH};

pub use format::Format;
use format::Writer;

use crate::observe::counters::{COUNTED, Counters};
use crate::observe::metrics::{Kind, Metric, Sample, Value, one_hot};
use crate::observe::progress::STATES;
use crate::observe::snapshot::{About, Board, PartitionState, PartitionView, Snapshot};
use crate::util::{memory, process};

/// The data that a scrape reads.
struct Scrape<'s> {
    about: &'s About,
    snapshot: &'s Snapshot,
}

/// A metric that is read at the scrape.
struct Read {
    metric: Metric,
    samples: fn(&Scrape<'_>) -> Vec<Sample>,
}

const fn read(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Scrape<'_>) -> Vec<Sample>,
) -> Read {
    let metric = Metric {
        name,
        kind,
        labels,
        help,
    };
    Read { metric, samples }
}

const PARTITION: &[&str] = &["topic", "partition"];

/// The metrics that are read at the scrape.
const READ: &[Read] = &[
    read(
        "penstock_build_info",
        Kind::Info,
        &["version", "commit"],
        "The version of the program, and the commit that it was built from; always 1.",
        |scrape| {
            vec![Sample {
                labels: vec![scrape.about.version.to_owned(), scrape.about.commit.to_owned()],
                value: Value::Count(1),
            }]
        },
    ),
    read(
        "penstock_state",
        Kind::Gauge,
        &["state"],
        "1 for what the service does or waits for, 0 for the others. The words are those of the progress line.",
        |scrape| one_hot(STATES, scrape.snapshot.state),
    ),
    read(
        "penstock_snapshot_age_seconds",
        Kind::Gauge,
        &[],
        "How long ago the main thread last told its state. It does so every second.",
        |scrape| seconds(Some(scrape.snapshot.at.elapsed())),
    ),
    read(
        "penstock_kafka_connected",
        Kind::Gauge,
        &[],
        "1 while a broker is reached, 0 while none is. Absent until it is known.",
        |scrape| count(scrape.snapshot.is_kafka_connected.map(u64::from)),
    ),
    read(
        "penstock_aerospike_failing_seconds",
        Kind::Gauge,
        &[],
        "How long all writes have failed; 0 while they do not.",
        |scrape| seconds(Some(scrape.snapshot.aerospike_failing_for.unwrap_or_default())),
    ),
    read(
        "penstock_pressure_closed_seconds",
        Kind::Gauge,
        &[],
        "How long the gate to the database has been closed; 0 while it is not.",
        |scrape| seconds(Some(scrape.snapshot.pressure.closed_for.unwrap_or_default())),
    ),
    read(
        "penstock_partition_lag_messages",
        Kind::Gauge,
        PARTITION,
        "Messages up to the end of an assigned partition that are not finished. Absent while it is unknown.",
        |scrape| by_partition(scrape, |partition| partition.lag.map(Value::Count)),
    ),
    read(
        "penstock_partition_next_offset",
        Kind::Gauge,
        PARTITION,
        "The first offset of an assigned partition that is not finished. Absent while it is unknown.",
        |scrape| {
            by_partition(scrape, |partition| {
                Some(Value::Count(u64::try_from(partition.next_offset?).ok()?))
            })
        },
    ),
    read(
        "penstock_partition_oldest_in_hand_seconds",
        Kind::Gauge,
        PARTITION,
        "How long the first unfinished message of an assigned partition has been in hand; 0 where there is none.",
        |scrape| {
            by_partition(scrape, |partition| {
                Some(in_seconds(partition.oldest_in_hand.unwrap_or_default()))
            })
        },
    ),
    read(
        "penstock_partition_state",
        Kind::Gauge,
        &["topic", "partition", "state"],
        "1 for the state of an assigned partition, 0 for the others.",
        |scrape| scrape.snapshot.partitions.iter().flat_map(states).collect(),
    ),
    read(
        "process_cpu_seconds_total",
        Kind::Counter,
        &[],
        "Processor time that the process has used, in user and kernel mode.",
        |_| seconds(process::cpu_time()),
    ),
    read(
        "process_resident_memory_bytes",
        Kind::Gauge,
        &[],
        "Memory of the process that is in use.",
        |_| count(memory::resident_bytes()),
    ),
    read(
        "process_start_time_seconds",
        Kind::Gauge,
        &[],
        "When the process started, in seconds since the epoch.",
        |scrape| seconds(scrape.about.started.duration_since(UNIX_EPOCH).ok()),
    ),
    read("process_open_fds", Kind::Gauge, &[], "Open file descriptors.", |_| {
        count(process::open_fds())
    }),
];

fn count(value: Option<u64>) -> Vec<Sample> {
    value
        .map(|value| Sample::plain(Value::Count(value)))
        .into_iter()
        .collect()
}

fn seconds(value: Option<Duration>) -> Vec<Sample> {
    value
        .map(|value| Sample::plain(in_seconds(value)))
        .into_iter()
        .collect()
}

/// In seconds, without superfluous digits: the sum of the seconds and their fraction would have more.
fn in_seconds(value: Duration) -> Value {
    Value::Number(value.as_micros() as f64 / 1e6)
}

fn labels(partition: &PartitionView) -> Vec<String> {
    vec![partition.topic.to_string(), partition.number.to_string()]
}

/// One sample for each assigned partition whose value is known.
fn by_partition(scrape: &Scrape<'_>, value: impl Fn(&PartitionView) -> Option<Value>) -> Vec<Sample> {
    let partitions = scrape.snapshot.partitions.iter();
    let samples = partitions.filter_map(|partition| {
        Some(Sample {
            labels: labels(partition),
            value: value(partition)?,
        })
    });
    samples.collect()
}

fn states(partition: &PartitionView) -> Vec<Sample> {
    let mut samples = one_hot(PartitionState::ALL.map(PartitionState::word), partition.state.word());
    for sample in &mut samples {
        sample.labels.splice(..0, labels(partition));
    }
    samples
}

/// All metrics, in the order in which they are written.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    COUNTED.iter().chain(READ.iter().map(|read| &read.metric))
}

/// The answer to a scrape.
pub fn text(counters: &Counters, board: &Board, format: Format) -> String {
    let snapshot = board.last();
    let scrape = Scrape {
        about: &board.about,
        snapshot: &snapshot,
    };
    let mut writer = Writer::new(format);
    for (metric, samples) in COUNTED.iter().zip(counters.samples()) {
        writer.family(metric, &samples);
    }
    for Read { metric, samples } in READ {
        writer.family(metric, &samples(&scrape));
    }
    writer.end()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Checks the conventions of Prometheus, as far as a program can check them.
    #[test]
    fn names_and_helps_follow_the_conventions() {
        let mut names = HashSet::new();
        for metric in all() {
            let Metric {
                name,
                kind,
                labels,
                help,
            } = *metric;
            assert!(names.insert(name), "{name} twice");
            let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_word(name), "{name}");
            assert!(name.starts_with("penstock_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_info"), kind == Kind::Info, "{name}");
            for unit in ["_ms", "_us", "_millis", "_kib", "_mib", "_percent"] {
                assert!(!name.contains(unit), "{name}: base units are seconds and bytes");
            }
            for suffix in ["_bucket", "_sum", "_count", "_created"] {
                assert!(!name.ends_with(suffix), "{name}");
            }
            assert!(labels.iter().all(|label| is_word(label) && *label != "le"), "{name}");
            assert!(help.ends_with('.') && help.len() > 15, "{name}: {help}");
        }
    }
}
