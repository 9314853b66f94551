//! The end of the service, from every state it can be in: in time, with what is written committed and nothing else, and
//! a line that says what it left. `pipeline.rs` and `process.rs` have the states that show with other things.

use crate::support::process::{SimProgram, run_service};
use crate::support::{Kafka, Service, Setup, Stream, Topic, simulator, summary};
use penstock::util::exit::Exit;
use penstock_sim::{Share, Simulator, Stalled};

/// A stop that takes longer than `shutdown_grace` shows in the exit code: a test needs no clock.
const RUN: &str = "batch_rows_max = 40\nwrite_timeout = \"500ms\"\nshutdown_grace = \"5s\"";

struct Scene {
    topic: Topic,
    sim: Simulator,
    stream: Stream,
    setup: Setup,
    /// Keeps the broker alive.
    _kafka: Kafka,
}

fn scene(name: &str, run: &str) -> Scene {
    let kafka = Kafka::mock();
    let topic = kafka.topic(name, 3);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let setup = Setup::new(&kafka, &topic, sim.addr()).run(run);
    Scene {
        topic,
        sim,
        stream,
        setup,
        _kafka: kafka,
    }
}

impl Scene {
    fn start(&self) -> Service {
        let service = Service::start(&self.setup);
        service.wait_written(self.stream.total());
        service
    }

    /// Ends it, and checks that every committed offset has its records and that the next service finishes.
    fn stop_and_finish(self, service: Service) {
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        let done: i64 = self.topic.committed(&self.setup.group).into_iter().flatten().sum();
        assert_eq!(
            ended.counters.messages_written.get(),
            done.unsigned_abs(),
            "written and committed: {}",
            summary(&ended.counters)
        );
        self.finish(ended.counters.messages_written.get());
    }

    fn finish(self, written: u64) {
        self.sim.faults().clear();
        let service = Service::start(&self.setup);
        service.wait_written(self.stream.total() - written);
        service.stop().assert(Exit::Stopped);
        assert_eq!(self.topic.committed(&self.setup.group), self.stream.ends());
        self.stream.assert_ledger(&self.sim);
    }
}

#[test]
fn an_idle_service_stops() {
    let scene = scene("stop-idle", RUN);
    let service = scene.start();
    scene.stop_and_finish(service);
}

#[test]
fn a_service_with_a_closed_gate_stops() {
    let mut scene = scene("stop-closed", RUN);
    let service = scene.start();
    scene.sim.faults().refuse(true);
    scene.stream.produce(100);
    service.wait_for("the gate to close", |counters| counters.pressure_state.get() == 2);
    scene.stop_and_finish(service);
}

#[test]
fn a_service_in_mid_retry_stops() {
    let mut scene = scene("stop-retry", RUN);
    let service = scene.start();
    // The others are taken, and wait with their batch.
    scene.sim.faults().fail_rows(18, Share::Fraction(0.5));
    scene.stream.produce(400);
    service.wait_for("rows to be sent again", |counters| counters.rows_retried.get() > 100);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    scene.finish(ended.counters.messages_written.get());
}

#[test]
fn a_service_with_a_closed_namespace_stops() {
    let mut scene = scene("stop-namespace", RUN);
    let service = scene.start();
    scene.sim.faults().stop_writes(true);
    scene.stream.produce(100);
    service.wait_for("rows to be refused", |counters| counters.rows_retried.get() > 0);
    scene.stop_and_finish(service);
}

#[test]
fn a_service_that_waits_for_its_rows_a_second_stops() {
    let run = format!("{RUN}\nrows_per_second_max = 20");
    let mut scene = scene("stop-paced", &run);
    let service = Service::start(&scene.setup);
    service.wait_written(1);
    scene.stream.produce(100);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    // What takes 20 rows a second would go on for long.
    scene.setup = scene.setup.run(RUN);
    scene.finish(ended.counters.messages_written.get());
}

/// The main thread is inside the callback then, and waits for workers whose calls are not answered.
#[test]
fn a_service_in_a_rebalance_stops() {
    let mut scene = scene(
        "stop-rebalance",
        "batch_rows_max = 40\nwrite_timeout = \"2s\"\nshutdown_grace = \"10s\"",
    );
    let first = scene.start();
    scene.sim.faults().stall(Stalled::Dropped);
    scene.stream.produce(100);
    first.wait_for("every partition to wait for the database", |counters| {
        counters.messages_in_hand.get() >= 3
    });
    let before = first.counters.rebalances.get();
    let mut other = scene.setup.clone();
    // Its own connection waits for the database, so it does not join before that answers: one that has another.
    let answers = simulator();
    other.target = answers.addr().into();
    let second = Service::start(&other);
    first.wait_for("a revocation", |counters| counters.rebalances.get() > before);
    first.stop().assert(Exit::Stopped);
    second.stop().assert(Exit::Stopped);
}

#[test]
fn a_worker_that_panics_stops_the_service_in_order_with_its_own_exit_code() {
    let mut scene = scene("stop-panic", RUN);
    let service = scene.start();
    service.provoke.panic_in(&scene.topic.name, 1);
    scene.stream.produce(100);
    let ended = service.end();
    assert_eq!(ended.exit, Exit::Panic, "{}", summary(&ended.counters));
    // The others drained: what they wrote is committed.
    let committed = scene.topic.committed(&scene.setup.group);
    assert_eq!(
        committed[1],
        Some(100),
        "the one that panicked commits nothing: {committed:?}"
    );
    let written: i64 = committed.iter().flatten().sum();
    assert_eq!(
        ended.counters.messages_written.get(),
        written.unsigned_abs(),
        "{committed:?}"
    );
    scene.finish(written.unsigned_abs());
}

/// Nobody answers the last commit, nor that the group is left: both are waited for as long as there is time.
#[test]
fn a_service_whose_brokers_are_gone_says_so_and_ends_within_its_grace() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stop-no-broker", 2);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = Setup::new(&kafka, &topic, sim.addr).run(RUN);
    let file = setup.file();
    let mut service = run_service(file.path());
    crate::support::wait_until("records", || sim.say("count test all"), |count| count == "100");
    drop((stream, kafka));
    service.wait_for_line(&["INFO", "progress", "state=waiting-for-kafka"]);
    service.signal("TERM");
    let exited = service.end();
    let code = exited.status.code();
    assert!(matches!(code, Some(0 | 75)), "{code:?}:\n{}", exited.output);
    assert!(
        exited.output.contains("stopped consumed=100 written=100 "),
        "{}",
        exited.output
    );
}

/// Whatever it was about, its last lines are what it did, what it leaves, and the code.
#[test]
fn every_end_says_in_one_line_what_it_left() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stop-line", 2);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = Setup::new(&kafka, &topic, sim.addr).run(RUN);
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), setup.text()).unwrap();
    let mut service = run_service(file.path());
    crate::support::wait_until("records", || sim.say("count test all"), |count| count == "100");
    sim.say("stall");
    stream.produce(50);
    service.wait_for_line(&["WARN", "pressure: closed"]);
    service.signal("TERM");
    let exited = service.end();
    exited.assert_code(0);
    let stopped: Vec<&str> = exited
        .output
        .lines()
        .filter(|line| line.contains("stopped consumed="))
        .collect();
    assert!(
        matches!(stopped[..], [line] if line.contains("consumed=200 written=100 filtered=0 dead_lettered=0 dropped=0 rejected=0 returned=100 ")),
        "{}",
        exited.output
    );
}
