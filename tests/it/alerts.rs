//! Alerts and dashboard (`deploy/`): they name only metrics, labels and states that exist, and each alert has its section
//! in `docs/guide/alerts.md`. And a real Prometheus beside the service: `make test-prometheus`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::process::{Program, SimProgram, run_service};
use crate::support::{Kafka, Setup, Topic, sent, wait_until};
use penstock::observe::metrics::{Kind, Metric};
use penstock::observe::progress::STATES;
use penstock::observe::snapshot::PartitionState;
use penstock::util::exit::Exit;
use penstock::web::metrics;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const ALERTS_TEST: &str = "deploy/prometheus/alerts_test.yml";
const CONFIG: &str = "deploy/prometheus/prometheus.yml";
const DASHBOARD: &str = "deploy/grafana/penstock.json";
const PAGE: &str = "docs/guide/alerts.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands behind `key` at the beginning of lines, in order.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(key)).collect()
}

/// The names of the alerts, in order.
fn alerts(text: &str) -> Vec<&str> {
    values(text, "- alert: ")
}

// ---- metrics that exist

/// A metric as a text has it: its name, and its selector between braces, if there is one.
#[derive(Debug, PartialEq)]
struct Named<'t> {
    name: &'t str,
    selector: Option<&'t str>,
}

/// The metrics of the service that a text names, wherever.
fn named(text: &str) -> Vec<Named<'_>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut named = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(is_part) {
        rest = &rest[begin..];
        let (name, after) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        if name.starts_with("penstock_") || name.starts_with("process_") {
            let selector = after.strip_prefix('{').and_then(|after| after.split('}').next());
            named.push(Named { name, selector });
        }
        rest = after;
    }
    named
}

fn metric(name: &str) -> Option<&'static Metric> {
    metrics::all().find(|metric| {
        let suffix = name.strip_prefix(metric.name);
        suffix == Some("") || (metric.kind == Kind::Histogram && matches!(suffix, Some("_bucket" | "_sum" | "_count")))
    })
}

/// The words of the label `state`.
fn states(metric: &str) -> Vec<&'static str> {
    match metric {
        "penstock_state" => STATES.to_vec(),
        "penstock_partition_state" => PartitionState::ALL.map(PartitionState::word).to_vec(),
        "penstock_pressure_state" => vec!["open", "limited", "closed"],
        other => panic!("{other} has no states"),
    }
}

/// What is wrong with a metric that a text names.
fn fault(Named { name, selector }: &Named<'_>) -> Option<String> {
    /// Those that Prometheus adds, and that of a histogram's buckets.
    const ADDED: [&str; 3] = ["job", "instance", "le"];
    let Some(metric) = metric(name) else {
        return Some(format!("{name}: no such metric"));
    };
    for matcher in selector
        .unwrap_or_default()
        .split(',')
        .filter(|matcher| !matcher.is_empty())
    {
        let (label, value) = matcher.split_once('=').unwrap_or((matcher, ""));
        if !metric.labels.contains(&label) && !ADDED.contains(&label) {
            return Some(format!("{name}: no label {label}"));
        }
        let words = value.trim_matches(|c| "~\\\"".contains(c)).split('|');
        if label == "state"
            && let Some(word) = words.into_iter().find(|word| !states(metric.name).contains(word))
        {
            return Some(format!("{name}: no state {word}"));
        }
    }
    None
}

#[test]
fn alerts_and_dashboard_name_only_what_exists() {
    let mut faults = Vec::new();
    for file in [ALERTS, ALERTS_TEST, DASHBOARD, PAGE] {
        let text = read(file);
        let named = named(&text);
        assert!(!named.is_empty(), "{file} names no metric");
        faults.extend(named.iter().filter_map(fault).map(|fault| format!("{file}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_does_not_exist_is_found() {
    for (text, wrong) in [
        ("sum(penstock_lag_messages) > 0", None),
        (r#"x and penstock_state{job="a",state=~"ok|held"} == 1"#, None),
        (r#""expr": "penstock_partition_state{state=\"held\"}""#, None),
        ("rate(penstock_batch_write_seconds_bucket[1m])", None),
        ("penstock_lag", Some("penstock_lag: no such metric")),
        (
            "(penstock_rows_written_total_sum)",
            Some("penstock_rows_written_total_sum: no such metric"),
        ),
        (r#"penstock_state{topic="a"}"#, Some("penstock_state: no label topic")),
        (
            r#"penstock_state{state="held|hold"}"#,
            Some("penstock_state: no state hold"),
        ),
    ] {
        let found = named(text);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(fault(&found[0]).as_deref(), wrong, "{text}");
    }
}

// ---- alerts that are complete

#[test]
fn every_alert_has_its_section_in_the_guide() {
    let (text, page) = (read(ALERTS), read(PAGE));
    let alerts = alerts(&text);
    assert!(alerts.len() > 8, "{alerts:?}");
    let sections: BTreeSet<&str> = values(&page, "## Penstock").into_iter().collect();
    let expected: BTreeSet<&str> = alerts.iter().map(|alert| &alert["Penstock".len()..]).collect();
    assert_eq!(sections, expected, "sections of {PAGE}, and alerts of {ALERTS}");
    for section in page.split("\n## Penstock").skip(1) {
        for part in ["\n**It means:** ", "\n**Do:** "] {
            assert!(section.contains(part), "{PAGE}: no {part:?} in: Penstock{section}");
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_to_read_on() {
    let text = read(ALERTS);
    for rule in text.split("- alert: ").skip(1) {
        let alert = rule.lines().next().unwrap();
        let severity = values(rule, "severity: ");
        assert!(
            matches!(severity[..], ["critical" | "warning"]),
            "{alert}: {severity:?}"
        );
        let link = format!("{PAGE}#{}", alert.to_lowercase());
        assert_eq!(values(rule, "runbook_url: "), [link], "{alert}");
        for annotation in ["summary: ", "description: "] {
            assert_eq!(values(rule, annotation).len(), 1, "{alert}: {annotation}");
        }
        // Of each duration the reason is told; and of its absence, where the query has none either.
        assert!(rule.contains("\n        # "), "{alert}: no reason");
    }
}

#[test]
fn every_alert_is_tested_to_fire_and_not_to_fire() {
    let (text, tests) = (read(ALERTS), read(ALERTS_TEST));
    let cases: Vec<(&str, bool)> = tests
        .split("- alertname: ")
        .skip(1)
        .map(|case| (case.lines().next().unwrap(), case.contains("exp_alerts:")))
        .collect();
    for alert in alerts(&text) {
        for fires in [true, false] {
            assert!(
                cases.contains(&(alert, fires)),
                "{ALERTS_TEST}: {alert}, fires: {fires}"
            );
        }
    }
}

#[test]
fn the_dashboard_explains_each_panel_and_chooses_its_data_source() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: an id twice");
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
            "{title}"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            assert!(
                query.contains(r#"{job="$job",instance=~"$instance""#),
                "{title}: {query}"
            );
        }
    }
    assert!(ids.len() > 20, "{ids:?}");
}

// ---- a real Prometheus

/// As `deploy/prometheus/prometheus.yml` has it, which the script replaces.
#[test]
fn the_configuration_of_prometheus_has_one_target() {
    assert_eq!(values(&read(CONFIG), "- targets: "), [r#"["127.0.0.1:7367"]"#]);
}

/// Where the service says that it listens: `127.0.0.1:1234`.
fn address(service: &mut Program) -> String {
    let line = service.wait_for_line(&["http: listening address=http://"]);
    let (_, address) = line.split_once("address=http://").unwrap();
    address.trim_end_matches('/').to_owned()
}

/// Sets the group's offset behind a message, as `kafka-consumer-groups.sh --reset-offsets` does. The mock broker takes
/// commits of a group that has had members from members only.
fn skip(topic: &Topic, group: &str, partition: i32, offset: i64) {
    // The mock broker lets the group be joined again a session after that, less a second.
    let mut client = topic.client.clone();
    client
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "3000")
        .set("heartbeat.interval.ms", "300");
    let consumer: BaseConsumer = client.create().unwrap();
    consumer.subscribe(&[&topic.name]).unwrap();
    let mut behind = TopicPartitionList::new();
    behind
        .add_partition_offset(&topic.name, partition, Offset::Offset(offset + 1))
        .unwrap();
    // Only who polls becomes a member; and who commits before that begins anew.
    let join = || {
        consumer.poll(Duration::from_millis(50));
        consumer.assignment().unwrap().count()
    };
    wait_until("the group", join, |partitions| *partitions > 0);
    let commit = || consumer.commit(&behind, CommitMode::Sync);
    wait_until("the offset to be set", commit, Result::is_ok).unwrap();
}

#[test]
#[ignore = "needs Prometheus: make test-prometheus"]
fn an_alert_fires_while_a_message_holds_its_partition_and_is_resolved_when_it_is_skipped() {
    const POISON: i64 = 2;
    let kafka = Kafka::mock();
    let topic = kafka.topic("held", 3);
    let sim = SimProgram::start(&[]);
    let good = [
        r#"{"id": "a", "key": "a", "n": 1}"#,
        r#"{"id": "b", "key": "b", "n": 2}"#,
    ];
    for partition in 0..3 {
        topic.produce(partition, &good.map(|payload| sent("k", payload)));
    }
    topic.produce(1, &["no JSON", good[0]].map(|payload| sent("k", payload)));
    let setup = Setup::new(&kafka, &topic, sim.addr);
    // The second process listens where the first one did: for Prometheus it is the same one.
    let listening = |address: &str| Setup {
        routes: format!("{}\n[http]\nlisten = \"{address}\"\n", setup.routes),
        ..setup.clone()
    };
    let file = listening("127.0.0.1:0").file();
    let mut service = run_service(file.path());
    let address = address(&mut service);

    let script = root().join("scripts/check-prometheus.sh");
    let mut prometheus =
        Program::start(Command::new(script).args([&format!("http://{address}"), "--alert", "PenstockHeld"]));
    let labels = prometheus.wait_for_line(&["alertname=\"PenstockHeld\"", "alertstate=\"firing\""]);
    assert!(
        labels.contains("partition=\"1\"") && labels.contains(&topic.name),
        "{labels}"
    );
    prometheus.wait_for_line(&["alert PenstockHeld fires"]);

    service.signal("TERM");
    service.end().assert_code(i32::from(Exit::Rejected.code()));
    skip(&topic, &setup.group, 1, POISON);
    let file = listening(&address).file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &topic.ends());
    prometheus.wait_for_line(&["alert PenstockHeld is resolved"]);
    let ended = prometheus.end();
    ended.assert_code(0);
    println!("{}", ended.output);
    service.signal("TERM");
    service.end().assert_code(0);
}
