//! All figures as JSON. The names are public: `docs/guide/how-fast.md` describes them.

use serde_json::{Value, json};

use crate::bench::figures::{Point, Settings, knee, rates};
use crate::bench::run::Report;
use crate::bench::sample::Made;
use crate::bench::verdict::{Limit, cpu_limit, expected_per_s, limit, recommended, words};
use crate::util::version;

/// The whole report.
pub(super) fn report(report: &Report, made: &Made) -> Value {
    let facts = &report.facts;
    json!({
        "penstock": version::LONG,
        "stopped": report.stopped,
        "left": report.left,
        "cores": facts.cores,
        "partitions": facts.partitions,
        "rows_per_second_max": facts.rows_per_s_max,
        "sample": {
            "messages": made.messages,
            "filtered": made.filtered,
            "rejected": made.rejected,
            "rows": made.rows,
            "record_bytes": made.record_bytes(),
            "publications": made.publications,
        },
        "reading": facts.reading.map(|reading| json!({
            "messages_per_s": rounded(reading.messages_per_s),
            "bytes_per_s": rounded(reading.bytes_per_s),
            "cpu_us_per_message": reading.cpu_us_per_message,
        })),
        "rules_cpu_us_per_message": facts.rules_cpu_us,
        "configured": settings(facts.configured),
        "now": facts.now.as_ref().map(point),
        "sweeps": {
            "batch_rows_max": sweep(&facts.batches),
            "threads": sweep(&facts.threads),
            "rows_in_flight_max": sweep(&facts.in_flight),
        },
        "recommended": settings(recommended(facts)),
        "then": facts.then.as_ref().map(point),
        "again": facts.again.as_ref().map(point),
        "expected_messages_per_s": expected_per_s(facts).map(rounded),
        "cpu_limit_messages_per_s": cpu_limit(facts).map(rounded),
        "limit": limit(facts).map(Limit::as_str),
        "words": words(facts),
    })
}

fn rounded(number: f64) -> f64 {
    number.round()
}

fn settings(of: Settings) -> Value {
    json!({
        "batch_rows_max": of.batch_rows,
        "threads": of.threads,
        "rows_in_flight_max": of.rows_in_flight,
    })
}

fn sweep(points: &[Point]) -> Value {
    json!({
        "knee": knee(&rates(points)),
        "points": points.iter().map(point).collect::<Vec<Value>>(),
    })
}

fn point(point: &Point) -> Value {
    let refused = point.refused.iter().map(|(code, rows)| (code.to_string(), json!(rows)));
    json!({
        "settings": settings(point.settings),
        "messages": point.messages,
        "messages_per_s": rounded(point.messages_per_s),
        "rows": point.rows,
        "rows_per_s": rounded(point.rows_per_s),
        "calls": point.calls,
        "call_p50_ms": point.call_p50_ms,
        "call_p99_ms": point.call_p99_ms,
        "cpu_us_per_message": point.cpu_us_per_message,
        "cores_used": point.cores_used,
        "cores_busy": point.cores_busy,
        "waiting": point.waiting,
        "refused": Value::Object(refused.collect()),
    })
}
