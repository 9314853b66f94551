//! Every metric moves, and `docs/reference/metrics.md` tells of each.
//!
//! A scenario runs the service until something has happened, and fails unless the metrics that it names have moved by
//! it. A metric of the tables that no scenario names fails `every_metric_moves_in_a_scenario`: name it in one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::support::connect::COUNTED;
use crate::support::{DEADLINE, Kafka, Service, Setup, Stream, Topic, sent, simulator, timestamp_ms, wait_until};
use penstock::observe::counters::Counters;
use penstock::observe::metrics::delivery_latency::CAUSES;
use penstock::observe::metrics::{Kind, Metric};
use penstock::observe::snapshot::{About, Board, PartitionState, PartitionView, Snapshot};
use penstock::util::exit::Exit;
use penstock::web::metrics::{self, Format};
use penstock_sim::Stalled;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

// ---- what is scraped

/// The board of a service that has just begun.
fn board() -> Board {
    Board::new(About {
        version: "1.2.3",
        commit: "0123456789",
        started: SystemTime::UNIX_EPOCH,
        group: "g".to_owned(),
        topics: vec!["events".to_owned()],
        sets: vec!["test.users".to_owned()],
        settings: Vec::new(),
    })
}

/// Each sample of a scrape: its name with its labels, and its value.
fn samples(counters: &Counters, board: &Board) -> BTreeMap<String, String> {
    let text = metrics::text(counters, board, Format::Text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.to_owned())
    });
    samples.collect()
}

/// Whether a sample, by its name with its labels, is one of the metric.
fn is_of(metric: &Metric, sample: &str) -> bool {
    let name = sample.split('{').next().unwrap();
    let Some(suffix) = name.strip_prefix(metric.name) else {
        return false;
    };
    suffix.is_empty() || (metric.kind == Kind::Histogram && ["_bucket", "_sum", "_count"].contains(&suffix))
}

/// Those of these metrics that have the same values as at the start.
fn unmoved<'n>(counters: &Counters, names: &[&'n str]) -> Vec<&'n str> {
    let before = samples(&Counters::new(), &board());
    let now = samples(counters, &board());
    let is_moved = |name: &str| {
        let metric = metrics::all().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("there is no metric {name}"));
        now.iter()
            .any(|(sample, value)| is_of(metric, sample) && before.get(sample) != Some(value))
    };
    names.iter().copied().filter(|name| !is_moved(name)).collect()
}

/// Fails unless each of these metrics has another value than at the start.
fn assert_moved(counters: &Counters, names: &[&str]) {
    let unmoved = unmoved(counters, names);
    assert!(
        unmoved.is_empty(),
        "{unmoved:?} have not moved: {:#?}",
        samples(counters, &board())
    );
}

#[test]
fn every_metric_moves_in_a_scenario() {
    let moved: BTreeSet<&str> = [
        FLOWING, ASKED, HELD, DROPPED, FAILING, AGAIN, SENT_AGAIN, STRAYED, LOST, READ,
    ]
    .concat()
    .into_iter()
    .collect();
    let all: BTreeSet<&str> = metrics::all().map(|metric| metric.name).collect();
    assert_eq!(moved, all);
}

// ---- the scenarios

const FLOWING: &[&str] = &[
    "penstock_messages_consumed_total",
    "penstock_messages_written_total",
    "penstock_rows_sent_total",
    "penstock_rows_written_total",
    "penstock_rows_merged_total",
    "penstock_batches_total",
    "penstock_batch_rows",
    "penstock_batch_write_seconds",
    "penstock_decode_to_written_seconds",
    "penstock_delivery_latency_seconds",
    "penstock_delivery_latency_unmeasured_total",
    "penstock_commits_total",
    "penstock_rebalances_total",
    "penstock_partitions_assigned",
    "penstock_lag_messages",
    "penstock_pressure_limit_rows",
    "penstock_memory_bound_bytes",
];

/// One message with this timestamp.
fn produce_at(topic: &Topic, payload: &str, timestamp_ms: i64) {
    let producer: BaseProducer = topic.client.create().unwrap();
    let record = BaseRecord::<(), str>::to(&topic.name).partition(0);
    let record = record.payload(payload).timestamp(timestamp_ms);
    assert!(producer.send(record).is_ok());
    producer.flush(DEADLINE).unwrap();
}

#[test]
fn messages_flow() {
    const HOUR_MS: i64 = 3_600_000;
    let kafka = Kafka::mock();
    let topic = kafka.topic("flowing", 1);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(200);
    for (n, timestamp_ms) in (200..).zip([
        timestamp_ms() - HOUR_MS,
        timestamp_ms() + HOUR_MS,
        timestamp_ms() - 25 * HOUR_MS,
    ]) {
        produce_at(
            &topic,
            &format!(r#"{{"id": "x{n}", "key": "x", "n": {n}}}"#),
            timestamp_ms,
        );
    }
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &[Some(203)]);
    service.wait_for("the lag to be known", |counters| counters.consumer_lag.get() == 0);
    let counters = &service.counters;
    assert_moved(counters, FLOWING);
    // Each message once: those whose timestamp tells nothing apart from the others.
    assert_eq!(counters.decode_to_written.counts().count(), 203);
    let latency = counters.delivery_latency.counts();
    assert_eq!(latency.count(), 201);
    assert!((3600.0..3600.0 + 203.0 * 60.0).contains(&latency.sum()), "{latency:?}");
    assert_eq!(
        counters.delivery_latency_unmeasured.by_word(),
        [("future", 1), ("missing", 0), ("replayed", 1)]
    );
    assert_eq!(counters.batch_rows.counts().count(), counters.batches.get());
    assert_eq!(counters.batch_write.counts().count(), counters.batches.get());
    service.stop().assert(Exit::Stopped);
}

const ASKED: &[&str] = &[
    "penstock_messages_filtered_total",
    "penstock_messages_rejected_total",
    "penstock_messages_dead_lettered_total",
    "penstock_messages_published_total",
    "penstock_condition_errors_ignored_total",
    "penstock_ttl_past_skipped_total",
    "penstock_ttl_past_deleted_total",
    "penstock_rows_stale_total",
    "penstock_rows_ignored_total",
];

const ASKS: &str = r#"
[[route]]
when = "type != 'heartbeat'"
when_error = "false"
  [[route.write]]
  when = "type == 'skip'"
  set = "skip"
  key = "id"
  bins = ["n"]
  ttl = { path = "exp", as = "epoch_s" }
  ttl_past = "skip"

  [[route.write]]
  when = "type == 'delete'"
  set = "delete"
  key = "id"
  bins = ["n"]
  ttl = { path = "exp", as = "epoch_s" }
  ttl_past = "delete"

  [[route.write]]
  when = "type == 'version'"
  set = "version"
  key = "id"
  bins = ["n"]
  newer = { path = "v", bin = "_v" }

  [[route.write]]
  when = "type == 'create'"
  set = "create"
  key = "id"
  bins = ["n"]
  mode = "create"
  on_conflict = "ignore"

  [[route.publish]]
  when = "type == 'publish'"
  topic = "OUT"
  key = "id"

[reject]
action = "dead_letter"
topic = "DEAD"
percent_max = 0
"#;

#[test]
fn messages_ask_for_all_that_there_is() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("asking", 1);
    let (out, dead) = (kafka.topic("out", 1), kafka.topic("dead", 1));
    let sim = simulator();
    let messages = [
        r#"{"type": "heartbeat"}"#,
        r#"{"kind": "unknown"}"#,
        r#"{"type": "skip", "id": "a", "n": 1, "exp": 1000000000}"#,
        r#"{"type": "delete", "id": "a", "n": 1, "exp": 1000000000}"#,
        r#"{"type": "version", "id": "a", "n": 1, "v": 7}"#,
        r#"{"type": "version", "id": "a", "n": 1, "v": 5}"#,
        r#"{"type": "create", "id": "a", "n": 1}"#,
        r#"{"type": "create", "id": "a", "n": 2}"#,
        r#"{"type": "publish", "id": "a"}"#,
        "no JSON",
    ];
    topic.produce(0, &messages.map(|payload| sent("k", payload)));
    let routes = ASKS.replace("OUT", &out.name).replace("DEAD", &dead.name);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let counters = &ended.counters;
    assert_moved(counters, ASKED);
    assert_eq!(counters.messages_rejected.by_word(), [("not_json", 1)]);
    // Also of one that waits for what it publishes; and of no other than those that are written.
    assert_eq!(
        counters.delivery_latency.counts().count(),
        counters.messages_written.get()
    );
    assert_eq!(counters.messages_written.get(), 7);
}

const HELD: &[&str] = &[
    "penstock_messages_held_total",
    "penstock_messages_returned_total",
    "penstock_fetch_pauses_total",
];

#[test]
fn a_message_holds_its_partition() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("held", 1);
    let sim = simulator();
    let messages = ["no JSON", r#"{"id": "a", "key": "a", "n": 1}"#];
    topic.produce(0, &messages.map(|payload| sent("k", payload)));
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_for("the partition to be held", |counters| {
        counters.messages_returned.get() > 0 && counters.pauses.get() > 0
    });
    assert_moved(&service.counters, HELD);
    service.stop().assert(Exit::Rejected);
}

const DROPPED: &[&str] = &["penstock_messages_dropped_total"];

#[test]
fn a_message_is_dropped() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("dropped", 1);
    let sim = simulator();
    topic.produce(0, &[sent("k", "no JSON")]);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let routes = format!("{}\n[reject]\naction = \"drop\"\n", setup.routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup.routes(&routes));
    assert_moved(&ended.counters, DROPPED);
}

const FAILING: &[&str] = &[
    "penstock_rows_retried_total",
    "penstock_rows_in_doubt_total",
    "penstock_messages_in_hand",
    "penstock_pressure_state",
    "penstock_rows_in_flight",
];

#[test]
fn the_database_falls_silent() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("silent", 1);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_for("the partition", |counters| counters.partitions_assigned.get() == 1);
    sim.faults().stall(Stalled::Applied);
    stream.produce(100);
    // Not all at the same moment: no row is in flight between two probes.
    let mut still = FAILING.to_vec();
    let look = || {
        still = unmoved(&service.counters, &still);
        still.clone()
    };
    wait_until("all of it", look, Vec::is_empty);
    sim.faults().unstall();
    topic.wait_committed(&setup.group, &stream.ends());
    service.stop().assert(Exit::Stopped);
}

#[test]
fn rows_that_are_retried_are_told_by_code() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("codes", 1);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    // Every record is busy.
    sim.faults().refuse_records(14, 1.0, 1);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_for("rows to be sent again", |counters| counters.rows_retried.get() > 0);
    let told = samples(&service.counters, &board());
    assert!(
        told.contains_key("penstock_rows_retried_total{code=\"14\"}"),
        "{told:#?}"
    );
    sim.faults().clear();
    topic.wait_committed(&setup.group, &stream.ends());
    service.stop().assert(Exit::Stopped);
}

const AGAIN: &[&str] = &["penstock_commit_failures_total", "penstock_rows_guard_refused_total"];

#[test]
fn messages_that_were_written_come_again() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("again", 1);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(COUNTED);
    kafka.refuse_commits(true);
    let first = Service::start(&setup);
    first.wait_written(stream.total());
    first.wait_for("a commit to be refused", |counters| counters.commit_errors.get() > 0);
    let first = first.stop();
    kafka.refuse_commits(false);
    let second = Service::run_to_the_ends_of(&topic, &setup);
    assert_moved(&first.counters, &AGAIN[..1]);
    assert_moved(&second.counters, &AGAIN[1..]);
}

const SENT_AGAIN: &[&str] = &["penstock_messages_published_again_total"];

#[test]
fn what_a_topic_refuses_is_published_again() {
    let kafka = Kafka::mock();
    let (topic, out) = (kafka.topic("publishing", 1), kafka.topic("out", 1));
    let sim = simulator();
    let messages = ["a", "b", "c"].map(|id| format!(r#"{{"id": "{id}"}}"#));
    topic.produce(0, &messages.each_ref().map(|payload| sent("k", payload)));
    kafka.cluster().request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    let routes = format!("[[route]]\n[[route.publish]]\ntopic = \"{}\"\nkey = \"id\"\n", out.name);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_moved(&ended.counters, SENT_AGAIN);
}

const STRAYED: &[&str] = &["penstock_messages_stray_total"];

#[test]
fn a_message_strays() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("strayed", 1);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_for("the partition", |counters| counters.partitions_assigned.get() == 1);
    sim.faults().stall(Stalled::Dropped);
    stream.produce(1000);
    service.wait_for("the worker to wait for the database", |counters| {
        counters.rows_retried.get() > 0 && counters.messages_in_hand.get() > 0
    });
    service.provoke.strays(&topic.name, 0);
    service.wait_for("the stray", |counters| counters.messages_stray.get() > 0);
    assert_moved(&service.counters, STRAYED);
    sim.faults().unstall();
    topic.wait_committed(&setup.group, &stream.ends());
    service.stop().assert_accounted(Exit::Stopped);
}

const LOST: &[&str] = &["penstock_offsets_lost_total"];

/// A mock partition keeps 5 MiB: the first messages are gone before they are read.
#[test]
fn offsets_are_lost() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("lost", 1);
    let sim = simulator();
    let setup = Setup::new(&kafka, &topic, sim.addr());
    topic.produce(0, &[sent("k", r#"{"id": "a", "key": "a", "n": 1}"#)]);
    Service::run_to_the_ends_of(&topic, &setup);
    let payload = format!(
        r#"{{"id": "b", "key": "b", "n": 2, "text": "{}"}}"#,
        "x".repeat(100_000)
    );
    topic.produce(0, &[sent("k", &payload); 100]);
    assert!(topic.beginnings()[0] > 1, "the mock broker keeps everything");
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_moved(&ended.counters, LOST);
}

// ---- what is read at the scrape

const READ: &[&str] = &[
    "penstock_build_info",
    "penstock_state",
    "penstock_snapshot_age_seconds",
    "penstock_kafka_connected",
    "penstock_aerospike_failing_seconds",
    "penstock_pressure_closed_seconds",
    "penstock_partition_lag_messages",
    "penstock_partition_next_offset",
    "penstock_partition_oldest_in_hand_seconds",
    "penstock_partition_state",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
];

/// A service that waits for its database, with a partition that is held and one that has just begun.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::starting();
    snapshot.state = "waiting-for-aerospike";
    snapshot.is_kafka_connected = Some(true);
    snapshot.aerospike_failing_for = Some(Duration::from_millis(1500));
    snapshot.pressure.closed_for = Some(Duration::from_millis(2500));
    snapshot.partitions = vec![
        PartitionView {
            topic: "a \"quoted\" topic".into(),
            number: 7,
            state: PartitionState::Held,
            why: "a message".to_owned(),
            next_offset: Some(42),
            lag: Some(1000),
            oldest_in_hand: Some(Duration::from_millis(3500)),
        },
        PartitionView {
            topic: "events".into(),
            number: 0,
            state: PartitionState::Starting,
            why: String::new(),
            next_offset: None,
            lag: None,
            oldest_in_hand: None,
        },
    ];
    snapshot
}

#[test]
fn what_the_main_thread_tells_is_read_at_the_scrape() {
    let about = About {
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500),
        ..board().about
    };
    let board = Board::new(about);
    board.put(snapshot());
    let told = samples(&Counters::new(), &board);
    let quoted = r#"topic="a \"quoted\" topic",partition="7""#;
    for (sample, value) in [
        (
            r#"penstock_build_info{version="1.2.3",commit="0123456789"}"#.to_owned(),
            "1",
        ),
        (r#"penstock_state{state="waiting-for-aerospike"}"#.to_owned(), "1"),
        (r#"penstock_state{state="ok"}"#.to_owned(), "0"),
        ("penstock_kafka_connected".to_owned(), "1"),
        ("penstock_aerospike_failing_seconds".to_owned(), "1.5"),
        ("penstock_pressure_closed_seconds".to_owned(), "2.5"),
        (format!("penstock_partition_lag_messages{{{quoted}}}"), "1000"),
        (format!("penstock_partition_next_offset{{{quoted}}}"), "42"),
        (format!("penstock_partition_oldest_in_hand_seconds{{{quoted}}}"), "3.5"),
        (
            r#"penstock_partition_oldest_in_hand_seconds{topic="events",partition="0"}"#.to_owned(),
            "0",
        ),
        (format!("penstock_partition_state{{{quoted},state=\"held\"}}"), "1"),
        (format!("penstock_partition_state{{{quoted},state=\"ok\"}}"), "0"),
        ("process_start_time_seconds".to_owned(), "1700000000.5"),
    ] {
        assert_eq!(
            told.get(&sample).map(String::as_str),
            Some(value),
            "{sample}: {told:#?}"
        );
    }
    // What is not known has no sample.
    for sample in [
        r#"penstock_partition_lag_messages{topic="events",partition="0"}"#,
        r#"penstock_partition_next_offset{topic="events",partition="0"}"#,
        "penstock_lag_messages",
    ] {
        assert!(!told.contains_key(sample), "{sample}");
    }
    for above_zero in [
        "penstock_snapshot_age_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(told[above_zero].parse::<f64>().unwrap() > 0.0, "{above_zero}");
    }
}

#[test]
fn the_time_on_a_processor_grows() {
    let cpu = || {
        let told = samples(&Counters::new(), &board());
        told["process_cpu_seconds_total"].parse::<f64>().unwrap()
    };
    let before = cpu();
    let deadline = Instant::now() + DEADLINE;
    while cpu() == before {
        assert!(Instant::now() < deadline, "{before}");
    }
    assert!(cpu() > before);
}

#[test]
fn both_formats_have_the_same_samples() {
    let board = board();
    board.put(snapshot());
    let counters = Counters::new();
    let names = |format| -> Vec<String> {
        let text = metrics::text(&counters, &board, format);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    let text = names(Format::Text);
    assert!(text.len() > 100, "{text:?}");
    assert_eq!(names(Format::OpenMetrics), text);
}

// ---- the document

const PAGE: &str = "docs/reference/metrics.md";
const LINE_MAX: usize = 116;

/// The list of the page, as the code has it.
fn list() -> String {
    let mut list = String::new();
    for metric in metrics::all() {
        let Metric {
            name,
            kind,
            labels,
            help,
        } = *metric;
        let by = match labels {
            [] => String::new(),
            labels => {
                let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
                format!(" by {}", labels.join(", "))
            }
        };
        let mut line = format!("- `{name}`, {}{by}:", kind.word());
        for word in help.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > LINE_MAX {
                writeln!(list, "{line}").unwrap();
                line = " ".to_owned();
            }
            write!(line, " {word}").unwrap();
        }
        writeln!(list, "{line}").unwrap();
    }
    list
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

#[test]
fn the_page_tells_of_every_state_of_a_partition_and_every_cause() {
    let page = page();
    for state in PartitionState::ALL {
        assert!(page.contains(&format!("\n| `{}` | ", state.word())), "{state:?}");
    }
    for cause in CAUSES {
        assert!(page.contains(&format!("\n- `{cause}`: ")), "{cause}");
    }
}

#[test]
fn the_page_has_the_list_of_the_code() {
    let page = page();
    let (_, rest) = page.split_once("<!-- metrics -->\n").unwrap();
    let (told, _) = rest.split_once("<!-- end -->").unwrap();
    let list = list();
    assert!(
        told == list,
        "the list of {PAGE} is not that of the code. Put this between `<!-- metrics -->` and `<!-- end -->`:\n{list}"
    );
}
