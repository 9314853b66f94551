//! The building blocks of metrics: numbers that many threads add to without a lock, and the description of each metric.
//!
//! The table of the counters is in `observe/counters.rs`. `web/metrics.rs` adds the metrics that are read at the
//! scrape, and writes the text. Nothing here knows a format.

pub mod delivery_latency;
pub mod histogram;
pub mod numbers;

use histogram::Counts;

/// A metric: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name with its unit, and with `_total` if it is a counter: the convention of Prometheus.
    pub name: &'static str,
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// The help: one or two sentences.
    pub help: &'static str,
}

/// How a metric's number may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It starts at 0 with the process, and only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    Histogram,
    /// Always 1. The information is in its labels.
    Info,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        }
    }
}

/// One number of a metric, or one distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The values of the metric's labels, in their order.
    pub labels: Vec<String>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Count(u64),
    Number(f64),
    Distribution(Box<Counts>),
}

impl Sample {
    /// A number without labels.
    pub fn plain(value: Value) -> Sample {
        Sample {
            labels: Vec::new(),
            value,
        }
    }
}

/// A type that a row of the table of counters may have.
pub trait Instrument {
    const KIND: Kind;

    /// Its samples now. Reads without a lock, so one number may be an update older than the next one.
    fn samples(&self) -> Vec<Sample>;
}

/// One sample per word: 1 for the word that is true now, and 0 for the others.
pub fn one_hot<'w>(words: impl IntoIterator<Item = &'w str>, now: &str) -> Vec<Sample> {
    let each = words.into_iter().map(|word| Sample {
        labels: vec![word.to_owned()],
        value: Value::Count(u64::from(word == now)),
    });
    each.collect()
}
