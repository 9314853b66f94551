//! The text of `/metrics`.

use crate::observe::counters::Counters;
use crate::observe::snapshot::Board;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4. Whoever asks for nothing else gets it.
    Text,
}

impl Format {
    /// What the `Accept` header of a request asks for.
    pub fn of(_accept: Option<&str>) -> Format {
        Format::Text
    }

    /// The `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The answer to a scrape.
pub fn text(counters: &Counters, _board: &Board, _format: Format) -> String {
    format!(
        "# HELP penstock_messages_consumed_total Messages taken from the queues of partitions.\n\
         # TYPE penstock_messages_consumed_total counter\n\
         penstock_messages_consumed_total {}\n",
        counters.messages_consumed.get()
    )
}
