//! How the service behaves while its database is slow, partly stuck or away. Needs no service except this process.
//!
//! The limits for the pressure on the database are tested beside `src/delivery/pressure.rs`, longer outages by `make
//! test-chaos`.

use std::time::Duration;

use crate::support::process::{SimProgram, run_service};
use crate::support::{Kafka, Records as _, Service, Setup, Stream, Topic, simulator, summary, wait_until};
use aerospike::Key;
use penstock::util::exit::Exit;
use penstock_sim::{Simulator, Stalled};
use tempfile::NamedTempFile;

/// One record per key, five keys per partition.
const LAST: &str = r#"
[[route]]
  [[route.write]]
  set = "last"
  key = "key"
  bins = ["n"]
"#;

/// The key that is stuck.
const STUCK: &str = "0-3";

/// Every row for [`STUCK`] finds its record busy; other rows do not.
fn stick(sim: &Simulator, topic: &Topic) {
    let digest = |key: &str| Key::new("test", "last", key.into()).unwrap().digest();
    let others: Vec<String> = (0..topic.partitions)
        .flat_map(|partition| (0..5).map(move |key| format!("{partition}-{key}")))
        .filter(|key| key != STUCK)
        .collect();
    let faults = sim.faults();
    for seed in 0..100_000 {
        faults.clear();
        faults.refuse_records(14, 0.05, seed);
        if faults.refuses_record(&digest(STUCK)) && !others.iter().any(|key| faults.refuses_record(&digest(key))) {
            return;
        }
    }
    panic!("no seed sticks one record alone");
}

fn committed(topic: &Topic, group: &str, partitions: std::ops::Range<usize>, offset: i64) {
    wait_until(
        "the other partitions to be committed to their ends",
        || topic.committed(group),
        |committed| committed[partitions.clone()].iter().all(|each| *each == Some(offset)),
    );
}

/// One answer of the broker has messages of all partitions. One message that waits keeps the whole answer in memory.
#[test]
fn a_partition_that_is_stuck_lets_go_of_its_queue_and_loses_nothing_by_it() {
    const MESSAGES: i64 = 40_000;
    let kafka = Kafka::mock();
    let topic = kafka.topic("stuck", 3);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stick(&sim, &topic);
    // The smallest memory: the others may read about 2 MiB.
    let setup = Setup::new(&kafka, &topic, sim.addr())
        .run("memory = \"90MiB\"\nwrite_timeout = \"2s\"")
        .routes(LAST);
    let service = Service::start(&setup);
    stream.produce(MESSAGES);
    service.wait_for("its queue to be let go", |counters| counters.pauses.get() > 0);
    committed(&topic, &setup.group, 1..3, MESSAGES);
    assert!(
        topic.committed(&setup.group)[0].is_none_or(|offset| offset <= 3),
        "a commit passed the row that is stuck: {:?}",
        topic.committed(&setup.group)
    );
    sim.faults().clear();
    service.wait_written(stream.total());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(
        ended.counters.messages_consumed.get(),
        stream.total(),
        "handed over twice: {}",
        summary(&ended.counters)
    );
    assert_eq!(topic.committed(&setup.group), stream.ends());
    for partition in 0..3 {
        assert_eq!(sim.ints("last", &[&format!("{partition}-4")]), [Some(MESSAGES - 1)]);
    }
}

#[test]
fn a_partition_that_makes_no_progress_is_reported_and_the_others_go_on() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stall-report", 3);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let (file, group) = stalling(&kafka, &topic, &sim, "report");
    // All rows get 14, so the database answers, but nothing moves.
    sim.say("rows 14 100%");
    let mut service = run_service(file.path());
    service.wait_for_line(&[
        "ERROR",
        "watchdog: no progress",
        &topic.name,
        "partition=",
        "next=",
        "cure=",
    ]);
    sim.say("clear");
    service.wait_for_line(&["INFO", "watchdog: goes on again"]);
    committed(&topic, &group, 0..3, 10);
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn a_partition_that_makes_no_progress_ends_the_service_where_the_file_says_so() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stall-exit", 1);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let (file, _) = stalling(&kafka, &topic, &sim, "exit");
    sim.say("rows 14 100%");
    let mut service = run_service(file.path());
    service.wait_for_line(&["ERROR", "watchdog: no progress"]);
    let exited = service.end();
    exited.assert_code(75);
    assert!(exited.output.contains("stopped consumed=10"), "{}", exited.output);
}

/// While the database is known to be away, or the partition is held, it does not count as a stall.
#[test]
fn a_database_that_is_away_is_no_stall() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("away", 1);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let (file, _) = stalling(&kafka, &topic, &sim, "exit");
    let mut service = run_service(file.path());
    wait_until("records", || sim.count("last"), |count| *count == 5);
    sim.say("stall");
    stream.produce(10);
    // As many lines as it takes to detect a stall twice.
    let mut lines = 0;
    wait_until(
        "lines of its state",
        || {
            lines = service.output().matches("state=waiting-for-aerospike").count();
            assert!(service.is_running(), "{}", service.output());
            lines
        },
        |lines| *lines >= 2,
    );
    assert!(!service.output().contains("watchdog"), "{}", service.output());
    sim.say("unstall");
    service.signal("TERM");
    service.end().assert_code(0);
}

fn stalling(kafka: &Kafka, topic: &Topic, sim: &SimProgram, action: &str) -> (NamedTempFile, String) {
    let run = format!("write_timeout = \"300ms\"\nstall_after = \"1s\"\nstall_action = \"{action}\"");
    let setup = Setup::new(kafka, topic, sim.addr).run(&run).routes(LAST);
    (setup.file(), setup.group)
}

#[test]
fn more_partitions_than_the_memory_was_sized_for_are_taken_with_smaller_batches() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("more", 4);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let setup = Setup::new(&kafka, &topic, sim.addr).run("partitions_max = 1");
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["memory: bound=", "partitions=1 "]);
    service.wait_for_line(&["WARN", "memory: 4 partitions are assigned", "sized for 1", "cure="]);
    committed(&topic, &setup.group, 0..4, 100);
    service.signal("TERM");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
}

/// A partition that is not fetched does not get the end of its log.
#[test]
fn the_lag_grows_while_the_database_is_away() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("lag", 3);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    // The smallest memory: queues of some thousand messages.
    let setup = Setup::new(&kafka, &topic, sim.addr())
        .run("memory = \"90MiB\"\nwrite_timeout = \"300ms\"")
        .routes(LAST);
    let service = Service::start(&setup);
    service.wait_for("the partitions", |counters| counters.partitions_assigned.get() == 3);
    sim.faults().stall(Stalled::Dropped);
    for _ in 0..3 {
        stream.produce(8_000);
        let total = i64::try_from(stream.total()).unwrap();
        service.wait_for("the lag to be all there is", |counters| {
            counters.consumer_lag.get() == total
        });
    }
    sim.faults().clear();
    service.wait_for("the lag to be gone", |counters| counters.consumer_lag.get() == 0);
    service.stop().assert(Exit::Stopped);
    assert_eq!(topic.committed(&setup.group), stream.ends());
}

/// The gate to the database is closed, and each worker ends at once when it is told to.
#[test]
fn many_workers_that_wait_for_a_silent_database_leave_together() {
    const PARTITIONS: i32 = 64;
    let kafka = Kafka::mock();
    let topic = kafka.topic("many", PARTITIONS);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(5);
    let setup = Setup::new(&kafka, &topic, sim.addr()).run("write_timeout = \"1s\"\nshutdown_grace = \"5s\"");
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    sim.faults().stall(Stalled::Dropped);
    stream.produce(5);
    // The calls that were in flight when the gate closed have ended: no more rows are in flight than one probe has.
    service.wait_for("the gate to close with all in hand", |counters| {
        counters.pressure_state.get() == 2
            && counters.messages_in_hand.get() == 5 * i64::from(PARTITIONS)
            && counters.rows_in_flight.get() <= 16
    });
    let sent = service.counters.batches.get();
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    let calls = ended.counters.batches.get() - sent;
    // A probe may be under way, and the next ones; not a call of each worker.
    assert!(calls <= 8, "{calls} calls after the gate was closed");
    assert_eq!(
        ended.counters.messages_returned.get(),
        5 * u64::from(PARTITIONS.unsigned_abs())
    );
    assert_eq!(topic.committed(&setup.group), vec![Some(5); PARTITIONS as usize]);
}

/// Whatever the partitions have, the service writes at most this number of rows per second.
#[test]
fn rows_a_second_are_kept_over_all_partitions() {
    const ROWS_A_SECOND: u64 = 500;
    let kafka = Kafka::mock();
    let topic = kafka.topic("paced", 4);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(500);
    let run = format!("batch_rows_max = 20\nrows_per_second_max = {ROWS_A_SECOND}");
    let setup = Setup::new(&kafka, &topic, sim.addr()).run(&run);
    let began = std::time::Instant::now();
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    let took = began.elapsed();
    service.stop().assert(Exit::Stopped);
    stream.assert_ledger(&sim);
    let rows = sim.stats().rows;
    // The test checks that it is not faster; how much slower it is depends on the machine.
    let least = Duration::from_secs_f64((rows as f64 / ROWS_A_SECOND as f64 - 1.0).max(0.0));
    assert!(rows > 2000 && took >= least, "{rows} rows in {took:?}");
}
