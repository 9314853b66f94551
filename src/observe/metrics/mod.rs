//! What metrics are made of: numbers that many threads add to without a lock, and how each describes itself.
//!
//! The table of the metrics that are counted is in `observe/counters.rs`. `web/metrics.rs` adds those that are read at
//! the scrape, and writes the text. Nothing here knows a format.

pub mod delivery_latency;
pub mod histogram;
pub mod numbers;

use histogram::Counts;

/// A metric: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// With its unit and, where it is a counter, `_total`, as Prometheus has it.
    pub name: &'static str,
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// One or two sentences.
    pub help: &'static str,
}

/// What a metric's number may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins at 0 with the process.
    Counter,
    /// It goes up and down.
    Gauge,
    Histogram,
    /// Always 1; its labels tell something.
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

/// What a row of the table of counters may be.
pub trait Instrument {
    const KIND: Kind;

    /// Its samples now. Reads without a lock; a number may be one update older than the next.
    fn samples(&self) -> Vec<Sample>;
}

/// 1 for the word that is true, and 0 for the others.
pub fn one_hot<'w>(words: impl IntoIterator<Item = &'w str>, now: &str) -> Vec<Sample> {
    let each = words.into_iter().map(|word| Sample {
        labels: vec![word.to_owned()],
        value: Value::Count(u64::from(word == now)),
    });
    each.collect()
}
