//! The two formats of metrics: Prometheus' text 0.0.4, and OpenMetrics 1.0 if the client asks for it.
//!
//! Depends only on its arguments. `scripts/check-metrics.sh` checks the output with Prometheus' own parsers.

use std::fmt::{Display, Write as _};

use crate::observe::metrics::histogram::Counts;
use crate::observe::metrics::{Kind, Metric, Sample, Value};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4: the default.
    Text,
    OpenMetrics,
}

impl Format {
    /// The format that the `Accept` header of a request asks for. OpenMetrics is used only if the header names it and
    /// gives it at least the quality of text.
    pub fn of(accept: Option<&str>) -> Format {
        let (mut open_metrics, mut text) = (0.0, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0, None);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                        quality = value.trim().parse::<f64>().unwrap_or(0.0);
                    }
                    Some((name, value)) if name.trim().eq_ignore_ascii_case("version") => {
                        version = Some(value.trim().trim_matches('"'));
                    }
                    _ => {}
                }
            }
            match kind.as_str() {
                "application/openmetrics-text" if version.is_none_or(|version| version == "1.0.0") => {
                    open_metrics = quality.max(open_metrics);
                }
                "text/plain" | "text/*" | "*/*" => text = quality.max(text),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }

    /// The `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Units that are part of a metric's name. OpenMetrics also has a line for the unit.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// Writes metrics, one after the other.
#[derive(Debug)]
pub struct Writer {
    format: Format,
    out: String,
}

impl Writer {
    pub fn new(format: Format) -> Writer {
        Writer {
            format,
            out: String::with_capacity(32 * 1024),
        }
    }

    /// Writes one metric with all its samples. Writes nothing if there are no samples.
    pub fn family(&mut self, metric: &Metric, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        let Metric { name, kind, help, .. } = *metric;
        // In OpenMetrics the name of a family lacks the suffix that its samples have.
        let (family, kind_word, help) = match self.format {
            Format::OpenMetrics => {
                let suffix = match kind {
                    Kind::Counter => "_total",
                    Kind::Info => "_info",
                    Kind::Gauge | Kind::Histogram => "",
                };
                let help = escape(help, true);
                (name.strip_suffix(suffix).unwrap_or(name), kind.word(), help)
            }
            Format::Text => {
                let kind = if kind == Kind::Info { Kind::Gauge } else { kind };
                (name, kind.word(), escape(help, false))
            }
        };
        self.line(format_args!("# HELP {family} {help}"));
        self.line(format_args!("# TYPE {family} {kind_word}"));
        if self.format == Format::OpenMetrics
            && let Some(unit) = UNITS.into_iter().find(|unit| ends_with_unit(family, unit))
        {
            self.line(format_args!("# UNIT {family} {unit}"));
        }
        for sample in samples {
            let labels: Vec<(&str, &str)> = metric
                .labels
                .iter()
                .copied()
                .zip(sample.labels.iter().map(String::as_str))
                .collect();
            match &sample.value {
                Value::Count(count) => self.sample(name, "", &labels, count),
                Value::Number(number) => self.sample(name, "", &labels, number),
                Value::Distribution(counts) => self.distribution(name, &labels, counts),
            }
        }
    }

    fn distribution(&mut self, name: &str, labels: &[(&str, &str)], counts: &Counts) {
        let mut bucket = |bound: &str, count: u64| {
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", bound)]).collect();
            self.sample(name, "_bucket", &labels, count);
        };
        for (bound, count) in counts.up_to() {
            // OpenMetrics wants a decimal point: `1.0`.
            bucket(&format!("{bound:?}"), count);
        }
        bucket("+Inf", counts.count());
        self.sample(name, "_sum", labels, counts.sum());
        self.sample(name, "_count", labels, counts.count());
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut told = String::new();
        for (label, value) in labels {
            let comma = if told.is_empty() { "" } else { "," };
            // A write to a String cannot fail.
            let _ = write!(told, "{comma}{label}=\"{}\"", escape(value, true));
        }
        if told.is_empty() {
            self.line(format_args!("{name}{suffix} {value}"));
        } else {
            self.line(format_args!("{name}{suffix}{{{told}}} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A write to a String cannot fail.
        let _ = writeln!(self.out, "{line}");
    }

    /// Ends the text and returns it.
    pub fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

fn ends_with_unit(family: &str, unit: &str) -> bool {
    family.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

/// Puts a backslash before each character that would end the text. Quotes are escaped only if the text is in quotes, or
/// if OpenMetrics requires it.
fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Instrument as _;
    use crate::observe::metrics::histogram::{Buckets, Histogram};

    const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
                              q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

    #[test]
    fn open_metrics_is_for_those_who_name_it() {
        for (accept, expected) in [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                Format::Text,
            ),
            (Some("text/plain;version=0.0.4"), Format::Text),
            (Some(PROMETHEUS), Format::OpenMetrics),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (
                Some("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=1"),
                Format::OpenMetrics,
            ),
            (Some("application/openmetrics-text; version=0.0.1"), Format::Text),
            (Some("application/openmetrics-text; version=2.0.0"), Format::Text),
            (Some("application/openmetrics-text;q=0"), Format::Text),
            (
                Some("application/openmetrics-text;q=0.3,text/plain;q=0.5"),
                Format::Text,
            ),
            (Some("application/openmetrics-text;q=nonsense"), Format::Text),
            (Some(";;,=,q"), Format::Text),
        ] {
            assert_eq!(Format::of(accept), expected, "{accept:?}");
        }
    }

    static FEW: Buckets = Buckets::new(&[500, 1000, 2500], 1000);

    fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str]) -> Metric {
        Metric {
            name,
            kind,
            labels,
            help: "A \"help\" with a \\ and\na second line.",
        }
    }

    fn written(format: Format) -> String {
        let mut writer = Writer::new(format);
        let topic = Sample {
            labels: vec!["a\\b\"c\nd".to_owned(), "7".to_owned()],
            value: Value::Number(1.5),
        };
        let counter = metric("x_things_total", Kind::Counter, &[]);
        writer.family(&counter, &[Sample::plain(Value::Count(u64::MAX))]);
        writer.family(&metric("x_cpu_seconds_total", Kind::Counter, &[]), &[]);
        writer.family(&metric("x_part_bytes", Kind::Gauge, &["topic", "partition"]), &[topic]);
        let histogram = Histogram::of(&FEW);
        for value in [500, 700, 2600] {
            histogram.record(value, 1);
        }
        writer.family(&metric("x_seconds", Kind::Histogram, &[]), &histogram.samples());
        let build = Sample {
            labels: vec!["1.2.3".to_owned()],
            value: Value::Count(1),
        };
        writer.family(&metric("x_build_info", Kind::Info, &["version"]), &[build]);
        writer.end()
    }

    #[test]
    fn the_text_format_is_prometheus_own() {
        let expected = r#"# HELP x_things_total A "help" with a \\ and\na second line.
# TYPE x_things_total counter
x_things_total 18446744073709551615
# HELP x_part_bytes A "help" with a \\ and\na second line.
# TYPE x_part_bytes gauge
x_part_bytes{topic="a\\b\"c\nd",partition="7"} 1.5
# HELP x_seconds A "help" with a \\ and\na second line.
# TYPE x_seconds histogram
x_seconds_bucket{le="0.5"} 1
x_seconds_bucket{le="1.0"} 2
x_seconds_bucket{le="2.5"} 2
x_seconds_bucket{le="+Inf"} 3
x_seconds_sum 3.8
x_seconds_count 3
# HELP x_build_info A "help" with a \\ and\na second line.
# TYPE x_build_info gauge
x_build_info{version="1.2.3"} 1
"#;
        assert_eq!(written(Format::Text), expected);
    }

    #[test]
    fn open_metrics_names_families_and_units_and_says_where_it_ends() {
        let expected = r#"# HELP x_things A \"help\" with a \\ and\na second line.
# TYPE x_things counter
x_things_total 18446744073709551615
# HELP x_part_bytes A \"help\" with a \\ and\na second line.
# TYPE x_part_bytes gauge
# UNIT x_part_bytes bytes
x_part_bytes{topic="a\\b\"c\nd",partition="7"} 1.5
# HELP x_seconds A \"help\" with a \\ and\na second line.
# TYPE x_seconds histogram
# UNIT x_seconds seconds
x_seconds_bucket{le="0.5"} 1
x_seconds_bucket{le="1.0"} 2
x_seconds_bucket{le="2.5"} 2
x_seconds_bucket{le="+Inf"} 3
x_seconds_sum 3.8
x_seconds_count 3
# HELP x_build A \"help\" with a \\ and\na second line.
# TYPE x_build info
x_build_info{version="1.2.3"} 1
# EOF
"#;
        assert_eq!(written(Format::OpenMetrics), expected);
    }
}
