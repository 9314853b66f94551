//! The decisions of `/livez` and `/readyz`: is the process alive, and does it do its work? Depends only on its
//! arguments.
//!
//! *Alive* means that a restart would not help. A worker that waits for a known reason is alive. *Ready* means that
//! messages can flow. `docs/reference/http.md` states the rules. A test compares the times on that page with the
//! constants here.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::observe::snapshot::{PartitionState, Snapshot, Stage};

/// If the last snapshot of a running service is older than this, its main thread hangs. A rebalance that waits for its
/// workers does not count: that wait renews the snapshot. The limit is long because no snapshot is taken while a new
/// assignment waits for the group's offsets.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(120);
/// The service is not ready once all writes have failed for longer than this.
pub const AEROSPIKE_FAILING_MAX: Duration = Duration::from_secs(30);
/// The service is not ready once the gate to the database has been closed for longer than this.
pub const PRESSURE_CLOSED_MAX: Duration = Duration::from_secs(30);
/// A reason names at most this many partitions.
const NAMED_MAX: usize = 5;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub is_ok: bool,
    /// The reason in a sentence, also if the check is passed.
    pub why: String,
}

fn check(name: &'static str, is_ok: bool, why: impl Into<String>) -> Check {
    Check {
        name,
        is_ok,
        why: why.into(),
    }
}

/// The checks of `/livez`. If one fails, a restart would help.
pub fn live(snapshot: &Snapshot, now: Instant) -> Vec<Check> {
    vec![main_thread(snapshot, now), partitions(snapshot)]
}

/// The checks of `/readyz`. If one fails, messages cannot flow.
pub fn ready(snapshot: &Snapshot, now: Instant) -> Vec<Check> {
    vec![
        main_thread(snapshot, now),
        stage(snapshot),
        kafka(snapshot),
        group(snapshot),
        aerospike(snapshot),
        pressure(snapshot),
    ]
}

/// `{"status": "ok", "checks": [{"name": …, "ok": true, "why": …}]}`.
pub fn json(checks: &[Check]) -> Value {
    let is_ok = checks.iter().all(|check| check.is_ok);
    let checks = checks
        .iter()
        .map(|Check { name, is_ok, why }| json!({ "name": name, "ok": is_ok, "why": why }));
    json!({ "status": if is_ok { "ok" } else { "failing" }, "checks": checks.collect::<Value>() })
}

/// Checks the main thread while the service runs. The start and the end have their own limits (`run.start_timeout`,
/// `run.shutdown_grace`), and no snapshots are taken while they wait.
fn main_thread(snapshot: &Snapshot, now: Instant) -> Check {
    let age = now.saturating_duration_since(snapshot.at);
    let is_late = snapshot.stage == Stage::Running && age > SNAPSHOT_AGE_MAX;
    let why = match snapshot.stage {
        Stage::Running => format!("the last look at the service is {} old", seconds(age)),
        Stage::Starting => "the service starts, which run.start_timeout limits".to_owned(),
        Stage::Draining => "the service ends, which run.shutdown_grace limits".to_owned(),
    };
    check("main-thread", !is_late, why)
}

fn partitions(snapshot: &Snapshot) -> Check {
    let stalled = snapshot
        .partitions
        .iter()
        .filter(|each| each.state == PartitionState::Stalled);
    let stalled: Vec<String> = stalled.map(|each| format!("{}-{}", each.topic, each.number)).collect();
    let why = if stalled.is_empty() {
        "every partition goes on, or waits for a known reason".to_owned()
    } else {
        let named: Vec<&str> = stalled.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = if stalled.len() > NAMED_MAX { ", …" } else { "" };
        format!(
            "{} of {} partitions make no progress though nothing excuses them: {}{more}",
            stalled.len(),
            snapshot.partitions.len(),
            named.join(", ")
        )
    };
    check("partitions", stalled.is_empty(), why)
}

fn stage(snapshot: &Snapshot) -> Check {
    match snapshot.stage {
        Stage::Starting => check("stage", false, "the service has not started yet"),
        Stage::Running => check("stage", true, "the service runs"),
        Stage::Draining => check("stage", false, "the service is ending"),
    }
}

fn kafka(snapshot: &Snapshot) -> Check {
    match snapshot.is_kafka_connected {
        Some(true) => check("kafka", true, "a broker is reached"),
        Some(false) => check("kafka", false, "no broker is reached"),
        None => check("kafka", false, "no broker has been reached yet"),
    }
}

fn group(snapshot: &Snapshot) -> Check {
    match (snapshot.has_joined, snapshot.partitions.len()) {
        (false, _) => check("group", false, "the consumer group has not been joined"),
        (true, 0) => check("group", true, "joined; the group has no partition for this process"),
        (true, partitions) => check("group", true, format!("joined; partitions={partitions}")),
    }
}

fn aerospike(snapshot: &Snapshot) -> Check {
    match snapshot.aerospike_failing_for {
        Some(since) => check(
            "aerospike",
            since <= AEROSPIKE_FAILING_MAX,
            format!("all writes have failed for {}", seconds(since)),
        ),
        None if snapshot.stage == Stage::Starting => check("aerospike", false, "the cluster is being reached"),
        None => check("aerospike", true, "writes are answered"),
    }
}

fn pressure(snapshot: &Snapshot) -> Check {
    match snapshot.pressure.closed_for {
        Some(since) => check(
            "pressure",
            since <= PRESSURE_CLOSED_MAX,
            format!("the gate to the database has been closed for {}", seconds(since)),
        ),
        None => check(
            "pressure",
            true,
            format!("the gate to the database is {}", snapshot.pressure.state),
        ),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::PartitionView;

    /// A service without any problem.
    fn well() -> Snapshot {
        Snapshot {
            stage: Stage::Running,
            is_kafka_connected: Some(true),
            has_joined: true,
            partitions: vec![partition(0, PartitionState::Ok)],
            ..Snapshot::starting()
        }
    }

    fn partition(number: i32, state: PartitionState) -> PartitionView {
        PartitionView {
            topic: "events".into(),
            number,
            state,
            why: String::new(),
            next_offset: None,
            lag: None,
            oldest_in_hand: None,
        }
    }

    /// The names of the checks that fail this long `after` the snapshot: those of `/livez`, and those of `/readyz`.
    fn failing(after: Duration, change: impl Fn(&mut Snapshot)) -> [Vec<&'static str>; 2] {
        let mut snapshot = well();
        change(&mut snapshot);
        let now = snapshot.at + after;
        [live(&snapshot, now), ready(&snapshot, now)].map(|checks| {
            assert!(checks.iter().all(|check| !check.why.is_empty()), "{checks:?}");
            checks
                .iter()
                .filter(|check| !check.is_ok)
                .map(|check| check.name)
                .collect()
        })
    }

    const NOTHING: Vec<&str> = Vec::new();
    const NONE: Duration = Duration::ZERO;
    const MORE: Duration = Duration::from_millis(1);

    #[test]
    fn where_all_is_well_nothing_fails() {
        assert_eq!(failing(NONE, |_| {}), [NOTHING, NOTHING]);
        assert_eq!(
            failing(NONE, |snapshot| snapshot.partitions.clear()),
            [NOTHING, NOTHING]
        );
    }

    #[test]
    fn a_main_thread_that_stands_still_fails_both() {
        assert_eq!(failing(SNAPSHOT_AGE_MAX, |_| {}), [NOTHING, NOTHING]);
        let main = vec!["main-thread"];
        assert_eq!(failing(SNAPSHOT_AGE_MAX + MORE, |_| {}), [main.clone(), main]);
    }

    #[test]
    fn a_start_and_an_end_are_alive_however_long_they_take() {
        let age = SNAPSHOT_AGE_MAX * 100;
        let [live, ready] = failing(age, |snapshot| *snapshot = Snapshot::starting());
        assert!(live.is_empty(), "{live:?}");
        assert_eq!(ready, ["stage", "kafka", "group", "aerospike"]);
        let [live, ready] = failing(age, |snapshot| snapshot.stage = Stage::Draining);
        assert!(live.is_empty(), "{live:?}");
        assert_eq!(ready, ["stage"]);
    }

    #[test]
    fn a_stalled_partition_is_not_alive_and_all_other_states_are() {
        for state in PartitionState::ALL {
            let [live, ready] = failing(NONE, |snapshot| snapshot.partitions.push(partition(1, state)));
            let expected: &[&str] = if state == PartitionState::Stalled {
                &["partitions"]
            } else {
                &[]
            };
            assert_eq!(live, expected, "{state:?}");
            assert!(ready.is_empty(), "{state:?}: {ready:?}");
        }
    }

    #[test]
    fn stalled_partitions_are_named_up_to_a_bound() {
        let mut snapshot = well();
        snapshot.partitions = (0..9)
            .map(|number| partition(number, PartitionState::Stalled))
            .collect();
        let why = &partitions(&snapshot).why;
        assert!(
            why.starts_with("9 of 9 ") && why.ends_with(": events-0, events-1, events-2, events-3, events-4, …"),
            "{why}"
        );
    }

    #[test]
    fn each_condition_of_readiness_fails_alone() {
        let ready = |change: fn(&mut Snapshot)| {
            let [live, ready] = failing(NONE, change);
            assert!(live.is_empty(), "{live:?}");
            ready
        };
        assert_eq!(ready(|s| s.is_kafka_connected = Some(false)), ["kafka"]);
        assert_eq!(ready(|s| s.is_kafka_connected = None), ["kafka"]);
        assert_eq!(ready(|s| s.has_joined = false), ["group"]);
        assert_eq!(ready(|s| s.stage = Stage::Draining), ["stage"]);
        assert!(ready(|s| s.aerospike_failing_for = Some(AEROSPIKE_FAILING_MAX)).is_empty());
        assert_eq!(
            ready(|s| s.aerospike_failing_for = Some(AEROSPIKE_FAILING_MAX + MORE)),
            ["aerospike"]
        );
        assert!(ready(|s| s.pressure.closed_for = Some(PRESSURE_CLOSED_MAX)).is_empty());
        assert_eq!(
            ready(|s| s.pressure.closed_for = Some(PRESSURE_CLOSED_MAX + MORE)),
            ["pressure"]
        );
    }

    #[test]
    fn the_answer_says_which_check_fails_and_why() {
        let mut snapshot = well();
        snapshot.has_joined = false;
        let answer = json(&ready(&snapshot, snapshot.at));
        assert_eq!(answer["status"], "failing");
        let group = &answer["checks"][3];
        assert_eq!((&group["name"], &group["ok"]), (&json!("group"), &json!(false)));
        assert_eq!(group["why"], "the consumer group has not been joined");
        assert_eq!(json(&live(&snapshot, snapshot.at))["status"], "ok");
    }

    #[test]
    fn the_reference_states_the_checks_and_their_times() {
        let page = include_str!("../../docs/reference/http.md");
        let row = |name: &str| page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let snapshot = well();
        for check in [live(&snapshot, snapshot.at), ready(&snapshot, snapshot.at)].concat() {
            assert!(row(check.name).is_some(), "{}", check.name);
        }
        for (name, time) in [
            ("main-thread", SNAPSHOT_AGE_MAX),
            ("aerospike", AEROSPIKE_FAILING_MAX),
            ("pressure", PRESSURE_CLOSED_MAX),
        ] {
            let told = format!("for more than {} ", seconds(time));
            assert!(row(name).is_some_and(|row| row.contains(&told)), "{name}: {told}");
        }
    }
}
