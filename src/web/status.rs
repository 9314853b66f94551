//! The JSON of `/status`: plain data in, JSON out. Depends only on its arguments, except for the resident memory.
//!
//! `docs/reference/http.md` documents every field, and a test compares the page with this JSON. New fields may be
//! added. A field never changes its meaning. The data that goes in contains no payload, no key and no secret.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::observe::counters::Counters;
use crate::observe::snapshot::{About, PartitionView, RecentReject, Sample, Snapshot, Stage};
use crate::util::memory;

/// The answer of `/status`. `started`: when the process started.
pub fn json(about: &About, snapshot: &Snapshot, counters: &Counters, started: Instant, now: Instant) -> Value {
    let settings = about.settings.iter();
    let rejects: Map<String, Value> = snapshot
        .rejects
        .iter()
        .map(|(reason, count)| (reason.clone(), json!(count)))
        .collect();
    json!({
        "version": about.version,
        "commit": about.commit,
        "uptime_s": now.saturating_duration_since(started).as_secs(),
        "started": time(about.started),
        "group": about.group,
        "topics": about.topics,
        "sets": about.sets,
        "settings": settings.map(|(name, value)| json!({ "name": name, "value": value })).collect::<Value>(),
        "stage": match snapshot.stage {
            Stage::Starting => "starting",
            Stage::Running => "running",
            Stage::Draining => "draining",
        },
        "state": snapshot.state,
        "state_for_s": seconds(now.saturating_duration_since(snapshot.state_since)),
        "why": snapshot.why,
        "snapshot_age_s": seconds(now.saturating_duration_since(snapshot.at)),
        "messages_per_s": tenths(snapshot.messages_per_s),
        "rows_per_s": tenths(snapshot.rows_per_s),
        "lag": snapshot.lag,
        "kafka": {
            "connected": snapshot.is_kafka_connected,
            "joined": snapshot.has_joined,
        },
        "aerospike": {
            "failing_for_s": snapshot.aerospike_failing_for.map(seconds),
            "closed_namespaces": snapshot.closed_namespaces,
        },
        "pressure": {
            "state": snapshot.pressure.state,
            "closed_for_s": snapshot.pressure.closed_for.map(seconds),
            "limit_rows": snapshot.pressure.limit_rows,
            "in_flight_rows": snapshot.pressure.in_flight_rows,
            "cause": snapshot.pressure.cause,
        },
        "totals": totals(counters),
        "memory": {
            "resident_bytes": memory::resident_bytes(),
            "bound_bytes": counters.memory_bound_bytes.get(),
        },
        "partitions": snapshot.partitions.iter().map(partition).collect::<Value>(),
        "rejects": rejects,
        "recent_rejects": snapshot.recent_rejects.iter().map(reject).collect::<Value>(),
        "history": snapshot.history.iter().map(sample).collect::<Value>(),
    })
}

fn totals(counters: &Counters) -> Value {
    json!({
        "consumed": counters.messages_consumed.get(),
        "written": counters.messages_written.get(),
        "filtered": counters.messages_filtered.get(),
        "rejected": counters.messages_rejected.get(),
        "dead_lettered": counters.messages_dead_lettered.get(),
        "dropped": counters.messages_dropped.get(),
        "returned": counters.messages_returned.get(),
        "published": counters.messages_published.get(),
        "in_hand": counters.messages_in_hand.get(),
        "rows_written": counters.rows_written.get(),
        "rows_guard_refused": counters.rows_guard_refused.get(),
        "rows_stale": counters.rows_stale.get(),
        "rows_ignored": counters.rows_ignored.get(),
    })
}

fn partition(view: &PartitionView) -> Value {
    json!({
        "topic": &*view.topic,
        "partition": view.number,
        "state": view.state.word(),
        "why": view.why,
        "next_offset": view.next_offset,
        "lag": view.lag,
        "oldest_in_hand_s": view.oldest_in_hand.map(seconds),
    })
}

fn reject(reject: &RecentReject) -> Value {
    json!({
        "at": time(reject.at),
        "topic": &*reject.topic,
        "partition": reject.partition,
        "offset": reject.offset,
        "reason": reject.reason,
    })
}

fn sample(sample: &Sample) -> Value {
    json!({
        "at": time(sample.at),
        "messages_per_s": tenths(sample.messages_per_s),
        "lag": sample.lag,
        "write_p50_ms": sample.write_p50_ms.map(tenths),
        "write_p99_ms": sample.write_p99_ms.map(tenths),
    })
}

/// The time as RFC 3339 in UTC, with milliseconds. `None` if the calendar cannot express it.
fn time(at: SystemTime) -> Option<String> {
    let at = Timestamp::try_from(at).ok()?;
    Some(format!("{at:.3}"))
}

fn seconds(duration: Duration) -> f64 {
    tenths(duration.as_secs_f64())
}

/// Rounds to one decimal place. More digits would say nothing, and cost bytes.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::observe::snapshot::{PartitionState, PressureView, SAMPLE_INTERVAL};
    use crate::web::about;

    /// A snapshot with a value in each field.
    fn full() -> Snapshot {
        let now = Instant::now();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let sample = Sample {
            at,
            messages_per_s: 1234.56,
            lag: Some(7),
            write_p50_ms: Some(1.26),
            write_p99_ms: Some(9.94),
        };
        Snapshot {
            stage: Stage::Running,
            state: "ok",
            state_since: now - Duration::from_secs(60),
            is_kafka_connected: Some(true),
            has_joined: true,
            aerospike_failing_for: Some(Duration::from_millis(1250)),
            closed_namespaces: vec!["test".to_owned()],
            pressure: PressureView {
                state: "closed",
                closed_for: Some(Duration::from_secs(3)),
                limit_rows: 100,
                in_flight_rows: 4,
                cause: "the database answers nobody".to_owned(),
            },
            lag: Some(12),
            partitions: vec![PartitionView {
                topic: "events".into(),
                number: 3,
                state: PartitionState::Held,
                why: "a message is rejected".to_owned(),
                next_offset: Some(42),
                lag: Some(5),
                oldest_in_hand: Some(Duration::from_secs(60)),
            }],
            rejects: vec![("not_json".to_owned(), 2)],
            recent_rejects: vec![RecentReject {
                at,
                topic: "events".into(),
                partition: 3,
                offset: 42,
                reason: "not_json".to_owned(),
            }],
            history: [sample].into(),
            at: now,
            ..Snapshot::starting()
        }
    }

    fn of(snapshot: &Snapshot) -> Value {
        let now = snapshot.at + SAMPLE_INTERVAL;
        json(&about::example(), snapshot, &Counters::new(), snapshot.at, now)
    }

    /// Finds every field with its path: `kafka.connected`, `partitions[].lag`.
    fn fields(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
        match value {
            // Its names are reasons, not fields.
            Value::Object(_) if path == "rejects" => {
                found.insert(path.to_owned(), value.clone());
            }
            Value::Object(object) => {
                for (name, value) in object {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    fields(&path, value, found);
                }
            }
            // For an array, the fields of its first item are listed.
            Value::Array(array) => {
                if let Some(first) = array.first() {
                    fields(&format!("{path}[]"), first, found);
                }
            }
            _ => {
                found.insert(path.to_owned(), value.clone());
            }
        }
    }

    #[test]
    fn the_reference_documents_every_field_and_no_other() {
        let mut found = BTreeMap::new();
        fields("", &of(&full()), &mut found);
        let page = include_str!("../../docs/reference/http.md");
        let (_, part) = page.split_once("## The fields of `/status`").unwrap();
        let rows = part.lines().filter(|line| line.starts_with("| `"));
        let told: BTreeMap<&str, &str> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                (cells[1].trim_matches('`'), cells[2])
            })
            .collect();
        let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), names);
        // The first word of the description must be the field's type.
        for (name, value) in &found {
            let expected = match value {
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
                Value::Null => "null",
            };
            let first = told[name.as_str()].split([',', ' ']).next();
            assert_eq!(first, Some(expected), "{name}: {value}");
        }
        // The page must say `or null` for each field that can be absent.
        let mut absent = BTreeMap::new();
        fields("", &of(&Snapshot::starting()), &mut absent);
        for (name, value) in absent.iter().filter(|(_, value)| value.is_null()) {
            assert!(told[name.as_str()].contains("or null"), "{name}: {value}");
        }
    }

    #[test]
    fn values_are_rounded_and_times_are_rfc_3339() {
        let status = of(&full());
        assert_eq!(status["snapshot_age_s"], 5.0);
        assert_eq!(status["state_for_s"], 65.0);
        assert_eq!(status["uptime_s"], 5);
        assert_eq!(status["aerospike"]["failing_for_s"], 1.3);
        assert_eq!(status["partitions"][0]["state"], "held");
        assert_eq!(
            status["history"][0],
            json!({
                "at": "2023-11-14T22:13:20.123Z", "messages_per_s": 1234.6, "lag": 7, "write_p50_ms": 1.3, "write_p99_ms": 9.9
            })
        );
        assert_eq!(status["rejects"], json!({ "not_json": 2 }));
    }

    #[test]
    fn a_service_that_starts_has_a_status() {
        let status = of(&Snapshot::starting());
        assert_eq!((&status["stage"], &status["lag"]), (&json!("starting"), &Value::Null));
        assert_eq!(status["kafka"], json!({ "connected": null, "joined": false }));
        assert_eq!(status["partitions"], json!([]));
    }
}
