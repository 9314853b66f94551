//! The arguments of `penstock init`.

use std::path::PathBuf;

use clap::Args;

/// More samples tell nothing new.
const COUNT_MAX: u32 = 10_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Init {
    /// The file to write (default: -, standard output).
    pub(super) file: Option<PathBuf>,
    /// Look at the topic's newest messages (200).
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        default_missing_value = super::SAMPLES_DEFAULT,
        value_parser = count,
        conflicts_with = "from"
    )]
    pub(super) from_topic: Option<u32>,
    /// Look at messages in a file, one per line.
    #[arg(long, value_name = "MESSAGES")]
    pub(super) from: Option<PathBuf>,
    /// Lines are envelopes {"key": …, "payload": …}.
    #[arg(long, requires = "from")]
    pub(super) envelope: bool,
    /// Kafka's brokers, host:port, comma-separated.
    #[arg(long, value_name = "HOSTS")]
    pub(super) brokers: Option<String>,
    /// The topic to read.
    #[arg(long, value_name = "NAME")]
    pub(super) topic: Option<String>,
    /// The consumer group.
    #[arg(long, value_name = "NAME")]
    pub(super) group: Option<String>,
    /// A librdkafka property; can be repeated.
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub(super) properties: Vec<String>,
    /// Aerospike's nodes, host:port, comma-separated.
    #[arg(long, value_name = "HOSTS")]
    pub(super) hosts: Option<String>,
    /// The namespace of the records.
    #[arg(long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// The set of the records.
    #[arg(long, value_name = "NAME")]
    pub(super) set: Option<String>,
    /// The record's key: a path, a template or @key.
    #[arg(long, value_name = "VALUE")]
    pub(super) key: Option<String>,
    /// For rejected messages: dead_letter or hold.
    #[arg(long, value_name = "ACTION", value_parser = ["dead_letter", "hold"], hide_possible_values = true)]
    pub(super) reject: Option<String>,
    /// Where dead letters go.
    #[arg(long, value_name = "NAME")]
    pub(super) dead_letter_topic: Option<String>,
    /// Show values of fields that have only a few.
    #[arg(long)]
    pub(super) show_values: bool,
    /// Ask nothing, take the defaults.
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Replace FILE if it is there.
    #[arg(long)]
    pub(super) force: bool,
}

fn count(text: &str) -> Result<u32, String> {
    let count = text.parse::<u32>().map_err(|_| {
        format!("a number of messages stands here; name the file first: penstock init {text} --from-topic")
    })?;
    if (1..=COUNT_MAX).contains(&count) {
        Ok(count)
    } else {
        Err(format!("{count} is not in 1..={COUNT_MAX}"))
    }
}
