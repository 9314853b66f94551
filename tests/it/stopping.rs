//! The end of the service from every possible state: in time, with everything committed that is written and nothing
//! else, and with a line that says what is left. Other states are tested in `pipeline.rs` and `process.rs`.

use crate::support::process::{SimProgram, run_service};
use crate::support::{Kafka, Service, Setup, Stream, Topic, simulator, summary};
use penstock::util::exit::Exit;
use penstock_sim::{Share, Simulator, Stalled};

/// The exit code shows whether a stop took longer than `shutdown_grace`, so the tests need no clock.
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

    /// Stops it, and checks that all messages below the committed offsets have their records and that the next service
    /// finishes.
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
    // The other rows are accepted, and wait for the rest of their batch.
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
    // With 20 rows per second, it would take long.
    scene.setup = scene.setup.run(RUN);
    scene.finish(ended.counters.messages_written.get());
}

/// The main thread is then inside the callback, and waits for workers whose calls are not answered.
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
    // The service's own database connection waits, so it would not join before the database answers. This one has
    // another database.
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
    // The other workers have drained: what they wrote is committed.
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

/// Nobody answers the last commit or the request to leave the group. The service waits for both as long as there is
/// time.
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

/// Whatever the reason, the last lines say what it did, what it leaves, and the exit code.
#[test]
fn every_end_says_in_one_line_what_it_left() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stop-line", 2);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = Setup::new(&kafka, &topic, sim.addr).run(RUN);
    let file = setup.file();
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
