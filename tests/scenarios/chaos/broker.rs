//! Scenario 5, the part for brokers: each state that they can be in, once, under load. The service waits, and then
//! continues.
//!
//! What a single real broker can show is tested with that of `scripts/with-kafka.sh`. What needs several brokers, or an
//! answer that a real one rarely gives, is tested with librdkafka's mock cluster, which serves the service's process
//! like any other.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCoordinator;

use super::fleet::Fleet;
use super::scenario::{CPU_MAX, PARTITIONS, RECOVERED, Scenario, WINDOW, away, outage};
use crate::support::Kafka;
use crate::support::interrupted::{Scale, Watched as _};
use crate::support::process::signal;

/// A real broker requires sessions of at least 6 seconds.
const REAL: &str = "session.timeout.ms = 6000\nheartbeat.interval.ms = 500\nmax.poll.interval.ms = 6000";
const MOCK: &str = "session.timeout.ms = 6000\nheartbeat.interval.ms = 300";
const MOCK_BROKERS: i32 = 3;
/// A mock partition keeps at most 5 MiB, and drops the oldest messages.
const MOCK_MESSAGES: u64 = 240_000;
const MOCK_BYTES: usize = 100;
const MESSAGES: u64 = 500_000;
const BYTES: usize = 560;
/// Maximum number of log lines: some when the state changes, some every 10 seconds.
const LINES_AT_ONCE: usize = 40;
const LINES_EACH_10_S: usize = 8;
/// A coordinator must be found. Messages that were written but not committed come again first.
const RECOVERY_MAX: Duration = Duration::from_secs(40);

/// The broker that all tests share. When this is dropped, the broker runs again, however a test ends.
struct Broker;

impl Broker {
    fn script(arguments: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka.sh");
        // KAFKA_DIR says which broker.
        let status = Command::new(script).args(arguments).status().unwrap();
        assert!(status.success(), "kafka.sh {arguments:?}: {status}");
    }

    fn stop(&self) {
        Self::script(&["stop"]);
    }

    /// Starts the same broker again, with its data and its port.
    fn start(&self) {
        Self::script(&["start", "--keep"]);
    }

    fn signal(&self, name: &str) {
        let directory = std::env::var("KAFKA_DIR").expect("KAFKA_DIR is not set: run the test by its make target");
        let id = std::fs::read_to_string(format!("{directory}/pid")).unwrap();
        assert!(signal(id.trim().parse().unwrap(), name), "kill -{name} {id}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka.sh");
        let _ = Command::new("sh")
            .args([
                "-c",
                "kill -CONT $(cat \"$KAFKA_DIR\"/pid) 2>/dev/null; \"$0\" start --keep",
                script,
            ])
            .status();
    }
}

/// What the service can do while the state lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// Messages are read.
    Flows,
    /// No messages can be read.
    Waits,
}

/// From a running stream into a state, through it, and back.
fn runs_through(
    mut scenario: Scenario,
    lasts: Duration,
    meanwhile: Meanwhile,
    begin: impl FnOnce(&Fleet),
    end: impl FnOnce(&Fleet),
) {
    let began = Instant::now();
    let ends = scenario.messages.ends.clone();
    let before = scenario.fleet.rate(WINDOW, &ends);
    let log = scenario.fleet.log(0).lines().count();
    let rebalances = scenario.fleet.rebalances();
    begin(&scenario.fleet);
    let since = Instant::now();
    let mut half = None;
    // Ask the brokers nothing here: they may not answer.
    while since.elapsed() < lasts {
        // This does not wait for a condition: it is how long the state lasts.
        thread::sleep(Duration::from_millis(200));
        assert!(scenario.fleet.all_run(), "it ended: {}", scenario.fleet.tell());
        if half.is_none() && since.elapsed() > lasts / 2 {
            half = Some((scenario.fleet.usage(0).cpu, Instant::now(), scenario.fleet.rows_sent()));
        }
    }
    let (cpu, at, rows) = half.unwrap();
    let took = at.elapsed().as_secs_f64();
    let cpu = (scenario.fleet.usage(0).cpu - cpu).as_secs_f64() / took;
    let rows = (scenario.fleet.rows_sent() - rows) as f64 / took;
    let said: Vec<String> = scenario.fleet.log(0).lines().skip(log).map(str::to_owned).collect();
    end(&scenario.fleet);

    let healed = Instant::now();
    let recovery = scenario.fleet.recovery(healed, RECOVERED * before, RECOVERY_MAX, &ends);
    scenario.fleet.say(&["delay 0ms"]);
    scenario.fleet.drain(&ends);
    let rebalances = scenario.fleet.rebalances() - rebalances;
    let peak_mib = scenario.fleet.usage(0).peak_mib;
    scenario.fleet.stop(0);
    println!(
        "  lasted       {lasts:.0?}; in its second half {rows:.0} rows/s, {:.1} % of a core\n\
         \x20 rebalances   {rebalances}\n\
         \x20 memory       {peak_mib} MiB at most, bound {} MiB\n\
         \x20 log          {} lines meanwhile\n\
         \x20 rate         {before:.0} messages/s before, {:.0} ({:.2} of it) from {:.1?} after its end; flows from {:.1?}",
        100.0 * cpu,
        scenario.bound_mib,
        said.len(),
        recovery.rate,
        recovery.rate / before,
        recovery.after,
        recovery.flows,
    );
    let ledger = scenario.messages.ledger(&scenario.fleet);
    ledger.tell();
    println!("  took         {:.1?}", began.elapsed());
    ledger.assert_balances();
    scenario.assert_memory(peak_mib);
    let lines_max = LINES_AT_ONCE + LINES_EACH_10_S * usize::try_from(lasts.as_secs()).unwrap() / 10;
    assert!(
        said.len() <= lines_max,
        "more than {lines_max} lines: {}",
        said.join("\n")
    );
    match meanwhile {
        Meanwhile::Flows => assert!(rows > 0.0, "nothing flowed: {}", said.join("\n")),
        Meanwhile::Waits => assert!(cpu <= CPU_MAX, "{cpu} of a core"),
    }
    assert!(
        recovery.rate >= RECOVERED * before,
        "{recovery:?} where {before:.0} messages/s had been: {}",
        scenario.fleet.tell()
    );
}

fn real(name: &str) -> Scenario {
    let scale = Scale::from_env(MESSAGES, 0);
    println!("\nbroker, {name}: seed={}", scale.seed);
    Scenario::new(&Kafka::real(), &scale, BYTES, "1", REAL)
}

fn mock(name: &str, kafka: &Kafka) -> Scenario {
    let scale = Scale::from_env(MOCK_MESSAGES, 0);
    println!("\nbrokers, {name}: seed={}", scale.seed);
    Scenario::new(kafka, &scale, MOCK_BYTES, "1", MOCK)
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_broker_that_is_restarted_is_waited_for() {
    let (scenario, broker) = (real("restarted"), Broker);
    runs_through(
        scenario,
        outage(),
        Meanwhile::Waits,
        |_| broker.stop(),
        |_| broker.start(),
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_broker_that_is_silent_for_long_is_waited_for() {
    let (scenario, broker) = (real("silent for long"), Broker);
    runs_through(
        scenario,
        away(),
        Meanwhile::Waits,
        |_| broker.signal("STOP"),
        |_| broker.signal("CONT"),
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_broker_that_is_gone_for_long_is_waited_for() {
    let (scenario, broker) = (real("gone for long"), Broker);
    runs_through(
        scenario,
        away(),
        Meanwhile::Waits,
        |_| broker.stop(),
        |_| broker.start(),
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_coordinator_that_moves_is_followed() {
    let kafka = Kafka::mock_of(MOCK_BROKERS);
    let scenario = mock("coordinator moved", &kafka);
    let to = |broker| {
        let kafka = &kafka;
        move |fleet: &Fleet| {
            let group = MockCoordinator::Group(fleet.group.clone());
            kafka.cluster().coordinator(group, broker).unwrap();
        }
    };
    runs_through(scenario, outage(), Meanwhile::Flows, to(2), to(3));
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn leaders_of_partitions_that_move_are_followed() {
    let kafka = Kafka::mock_of(MOCK_BROKERS);
    let scenario = mock("leaders moved", &kafka);
    let by = |steps: i32| {
        let kafka = &kafka;
        move |fleet: &Fleet| {
            for partition in 0..PARTITIONS {
                let leader = 1 + (partition + steps) % MOCK_BROKERS;
                kafka
                    .cluster()
                    .partition_leader(&fleet.topic.name, partition, Some(leader))
                    .unwrap();
            }
        }
    };
    runs_through(scenario, outage(), Meanwhile::Flows, by(1), by(2));
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn one_of_several_brokers_that_is_gone_holds_no_partition_of_the_others_up() {
    let kafka = Kafka::mock_of(MOCK_BROKERS);
    let scenario = mock("one of three gone", &kafka);
    // A broker other than the group's coordinator.
    let group = MockCoordinator::Group(scenario.fleet.group.clone());
    kafka.cluster().coordinator(group, 1).unwrap();
    runs_through(
        scenario,
        outage(),
        Meanwhile::Flows,
        |_| kafka.cluster().broker_down(2).unwrap(),
        |_| kafka.cluster().broker_up(2).unwrap(),
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn slow_brokers_are_read_at_their_pace() {
    let kafka = Kafka::mock_of(MOCK_BROKERS);
    let scenario = mock("slow, 300 ms", &kafka);
    let slow = |delay| {
        let kafka = &kafka;
        move |_: &Fleet| kafka.cluster().broker_round_trip_time(-1, delay).unwrap()
    };
    runs_through(
        scenario,
        outage(),
        Meanwhile::Flows,
        slow(Duration::from_millis(300)),
        slow(Duration::ZERO),
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn commits_that_are_refused_are_sent_again() {
    let kafka = Kafka::mock_of(MOCK_BROKERS);
    let scenario = mock("commits refused", &kafka);
    runs_through(
        scenario,
        outage(),
        Meanwhile::Flows,
        |_| kafka.refuse_commits(true),
        |_| kafka.refuse_commits(false),
    );
}
