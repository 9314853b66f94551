//! Brokers whose announced address (`advertised.listeners`) is not where they can be reached. And: every wait before
//! the first message keeps `run.start_timeout`. `tests/live/advertised.rs` uses a real broker with a wrong address.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::support::advertising::{Advertising, NO_SUCH_HOST};
use crate::support::connect::{assert_line, check};
use crate::support::process::{penstock, run, run_service};
use crate::support::{Kafka, Service, Setup, Stream, Topic, simulator};
use penstock::config;
use penstock::kafka::admin::topic_ids::{ReadError, TopicIds};
use penstock::util::exit::Exit;
use penstock::util::start_limit::StartLimit;
use penstock::util::stop::Stop;
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use socket2::{Domain, Socket, Type};

const NOT_RESOLVED: &str =
    "broker 1 says its address is kafka-int:29092, which does not resolve: correct advertised.listeners";

/// An address that refuses connections.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn setup(advertising: &Advertising, kafka: &Kafka, topic: &Topic, hosts: SocketAddr, start_timeout: &str) -> Setup {
    let mut setup = Setup::new(kafka, topic, hosts)
        .run(&format!("start_timeout = \"{start_timeout}\"\nbatch_rows_max = 40"))
        .consumer(
            "session.timeout.ms = 3000\nheartbeat.interval.ms = 300\n\"topic.metadata.refresh.interval.ms\" = 500",
        );
    setup.brokers.clone_from(&advertising.brokers);
    setup
}

/// Three brokers. The second announces an address that does not resolve; it leads partition 1 of three.
fn one_of_three() -> (Kafka, Topic, Advertising) {
    let kafka = Kafka::mock_of(3);
    let topic = kafka.topic("one-of-three", 3);
    for (partition, broker) in [(0, 1), (1, 2), (2, 3)] {
        kafka
            .cluster()
            .partition_leader(&topic.name, partition, Some(broker))
            .unwrap();
    }
    let advertising = Advertising::of(&kafka);
    advertising.give(2, NO_SUCH_HOST, 29092);
    (kafka, topic, advertising)
}

fn coordinate(kafka: &Kafka, group: &str, broker: i32) {
    let coordinator = MockCoordinator::Group(group.to_owned());
    kafka.cluster().coordinator(coordinator, broker).unwrap();
}

// ---- the only broker

#[test]
fn a_broker_that_gives_a_wrong_address_is_named_by_check() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("advertised", 4);
    let sim = simulator();
    let advertising = Advertising::of(&kafka);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let closed = closed_port();
    let setup = setup(&advertising, &kafka, &topic, sim.addr(), "30s");
    for (host, port, what) in [
        (
            NO_SUCH_HOST,
            29092,
            "which does not resolve: correct advertised.listeners",
        ),
        (
            "127.0.0.1",
            closed,
            "which refuses connections: correct advertised.listeners",
        ),
        (
            "127.0.0.1",
            silent_port,
            "which takes connections and does not answer: correct advertised.listeners",
        ),
    ] {
        advertising.give(1, host, port);
        let exited = check(&setup);
        exited.assert_code(69);
        assert_line(&exited, &["ok ", "kafka: reached", "brokers: 1"]);
        let named = format!("broker 1 says its address is {host}:{port}, {what}");
        assert_line(&exited, &["error ", &named, "nothing is read"]);
        assert!(!exited.output.contains("kafka group"), "{}", exited.output);
    }
    advertising.give_right(1);
    let exited = check(&setup);
    exited.assert_code(0);
    assert_line(&exited, &["ok ", &topic.name, "partitions: 4"]);
}

/// A port that does not answer connections, as behind a firewall: its connection queue is full. The sockets must be
/// kept.
fn dropping_port() -> (u16, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let port = addr.as_socket().unwrap().port();
    let mut held = vec![listener];
    for _ in 0..4 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        // The connection is in progress, or in the queue.
        let _ = client.connect(&addr);
        held.push(client);
    }
    (port, held)
}

/// A server that answers everything with these bytes, and closes. It ends with the process.
fn stranger(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut taken = [0; 1024];
            let _ = client.read(&mut taken);
            let _ = client.write_all(answer);
        }
    });
    port
}

#[test]
fn an_address_at_which_nothing_or_something_else_answers_is_named_with_what_it_is() {
    /// A KRaft controller's answer to our first request: it does not know the request for metadata (3).
    const CONTROLLER: &[u8] = b"\0\0\0\x10\x7e\x57\0\x07\0\0\0\0\0\x01\0\x12\0\0\0\x04";
    let kafka = Kafka::mock();
    let topic = kafka.topic("advertised-strange", 2);
    let sim = simulator();
    let advertising = Advertising::of(&kafka);
    let (dropping, _held) = dropping_port();
    let web = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    for (port, what) in [
        (dropping, "to which connections time out: correct advertised.listeners"),
        (web, "where a web server answers: correct advertised.listeners"),
        (
            stranger(CONTROLLER),
            "where a KRaft controller answers: correct advertised.listeners",
        ),
    ] {
        advertising.give(1, "127.0.0.1", port);
        let named = format!("broker 1 says its address is 127.0.0.1:{port}, {what}");
        let setup = setup(&advertising, &kafka, &topic, sim.addr(), "6s");
        let exited = check(&setup);
        exited.assert_code(69);
        assert_line(&exited, &["error ", &named, "nothing is read"]);
        let file = setup.file();
        let exited = run(penstock().arg("run").arg(file.path()));
        exited.assert_code(69);
        assert_line(
            &exited,
            &["ERROR", "kafka was not ready within run.start_timeout", &named],
        );
    }
}

#[test]
fn an_address_that_leads_to_another_cluster_ends_the_service() {
    let (kafka, other) = (Kafka::mock(), Kafka::mock());
    let topic = kafka.topic("advertised-other", 2);
    other.cluster().create_topic(&topic.name, 2, 1).unwrap();
    let sim = simulator();
    let advertising = Advertising::of(&kafka);
    let elsewhere: SocketAddr = other.brokers.parse().unwrap();
    advertising.give(1, "127.0.0.1", elsewhere.port());
    let setup = setup(&advertising, &kafka, &topic, sim.addr(), "30s");
    let exited = check(&setup);
    exited.assert_code(78);
    let address = elsewhere.to_string();
    assert_line(
        &exited,
        &[
            "error ",
            "brokers of two clusters answer",
            &address,
            "advertised.listeners",
        ],
    );
    let file = setup.file();
    let exited = run(penstock().arg("run").arg(file.path()));
    exited.assert_code(78);
    assert_line(
        &exited,
        &["ERROR", "brokers of two clusters answer", "name brokers of one cluster"],
    );
}

#[test]
fn a_broker_that_gives_a_wrong_address_is_named_by_run_which_ends_in_time() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("advertised-run", 2);
    let sim = simulator();
    let advertising = Advertising::of(&kafka);
    advertising.give(1, NO_SUCH_HOST, 29092);
    let mut setup = setup(&advertising, &kafka, &topic, sim.addr(), "6s");
    // Nobody answers questions about the second topic: librdkafka has dropped the configured address.
    setup.more_topics = vec![kafka.topic("advertised-more", 1).name];
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["WARN", "kafka: waiting", NOT_RESOLVED]);
    let exited = service.end();
    exited.assert_code(69);
    assert_line(
        &exited,
        &["ERROR", "kafka was not ready within run.start_timeout", NOT_RESOLVED],
    );
    // The later steps of the start have not begun.
    assert!(!exited.output.contains("aerospike: connected"), "{}", exited.output);

    let exited = run(penstock().arg("try").arg(file.path()).args(["--from-topic", "1"]));
    exited.assert_code(69);
    assert_line(&exited, &[NOT_RESOLVED]);
}

#[test]
fn without_a_limit_run_waits_and_goes_on_when_the_address_is_right() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("advertised-later", 2);
    let sim = simulator();
    let advertising = Advertising::of(&kafka);
    let closed = closed_port();
    advertising.give(1, "127.0.0.1", closed);
    let setup = setup(&advertising, &kafka, &topic, sim.addr(), "0");
    let mut stream = Stream::new(&topic, 3);
    stream.produce(20);
    let file = setup.file();
    let mut service = run_service(file.path());
    let named = format!("broker 1 says its address is 127.0.0.1:{closed}, which refuses connections");
    service.wait_for_line(&["WARN", "kafka: waiting", &named]);
    advertising.give_right(1);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn an_address_that_becomes_wrong_while_running_is_named() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("advertised-changes", 2);
    let sim = simulator();
    let advertising = Advertising::of(&kafka);
    let setup = setup(&advertising, &kafka, &topic, sim.addr(), "0");
    let mut stream = Stream::new(&topic, 3);
    stream.produce(20);
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    advertising.give(1, NO_SUCH_HOST, 29092);
    service.wait_for_line(&["WARN", "broker 1 at kafka-int:29092", "correct advertised.listeners"]);
    advertising.give_right(1);
    stream.produce(20);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}

// ---- one of several

#[test]
fn of_several_brokers_check_names_the_one_that_is_not_reached_and_what_it_leads() {
    let (kafka, topic, advertising) = one_of_three();
    let sim = simulator();
    let setup = setup(&advertising, &kafka, &topic, sim.addr(), "30s");
    coordinate(&kafka, &setup.group, 1);
    let exited = check(&setup);
    exited.assert_code(69);
    assert_line(&exited, &["ok ", "kafka: reached", "brokers: 3"]);
    let named = "broker 2 says its address is kafka-int:29092, which does not resolve: correct advertised.listeners";
    let led = format!("{}[1]", topic.name);
    assert_line(&exited, &["error ", named, &led]);
    for other in ["broker 1 says", "broker 3 says"] {
        assert!(!exited.output.contains(other), "{}", exited.output);
    }
    // The other topics are checked as usual.
    assert_line(&exited, &["ok ", "kafka group", "has offsets of 0 of 2"]);

    // The group's coordinator is the one that is not reached.
    coordinate(&kafka, &setup.group, 2);
    let exited = check(&setup);
    exited.assert_code(69);
    assert_line(
        &exited,
        &[
            "error ",
            "kafka group",
            "coordinator at kafka-int:29092",
            "advertised.listeners",
        ],
    );
}

#[test]
fn the_partitions_of_the_other_brokers_are_read_and_nothing_is_lost() {
    let (kafka, topic, advertising) = one_of_three();
    let sim = simulator();
    let setup = setup(&advertising, &kafka, &topic, sim.addr(), "10s");
    coordinate(&kafka, &setup.group, 1);
    let mut stream = Stream::new(&topic, 3);
    stream.produce(20);
    let file = setup.file();
    let mut service = run_service(file.path());
    let named = "broker 2 says its address is kafka-int:29092, which does not resolve: correct advertised.listeners";
    let led = format!("{}[1]", topic.name);
    service.wait_for_line(&["WARN", named, &led]);
    let ends = stream.ends();
    topic.wait_committed(&setup.group, &[ends[0], None, ends[2]]);
    let led = format!("partitions={}:1", topic.name);
    service.wait_for_line(&["WARN", "broker 2 at kafka-int:29092 is not reached", &led]);
    advertising.give_right(2);
    topic.wait_committed(&setup.group, &ends);
    service.wait_for_line(&["INFO", "broker 2 at", "is reached again"]);
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn a_coordinator_that_is_not_reached_ends_the_start_in_time() {
    let (kafka, topic, advertising) = one_of_three();
    let sim = simulator();
    let setup = setup(&advertising, &kafka, &topic, sim.addr(), "8s");
    coordinate(&kafka, &setup.group, 2);
    let exited = run(penstock().arg("run").arg(setup.file().path()));
    exited.assert_code(69);
    assert_line(
        &exited,
        &[
            "ERROR",
            "run.start_timeout",
            "the group's coordinator gives no offsets",
            "broker 2 says its address is kafka-int:29092",
        ],
    );
}

#[test]
fn the_end_of_a_partition_that_cannot_be_asked_for_ends_the_start_in_time() {
    let (kafka, topic, advertising) = one_of_three();
    let sim = simulator();
    let mut setup = setup(&advertising, &kafka, &topic, sim.addr(), "8s");
    setup.start = "latest";
    coordinate(&kafka, &setup.group, 1);
    let exited = run(penstock().arg("run").arg(setup.file().path()));
    exited.assert_code(69);
    assert_line(
        &exited,
        &[
            "ERROR",
            "run.start_timeout",
            "kafka.start = \"latest\"",
            "broker 2 says its address is kafka-int:29092",
        ],
    );
}

#[test]
fn a_host_of_the_configuration_that_is_dead_is_no_error() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("one-dead", 2);
    let sim = simulator();
    let mut setup = Setup::new(&kafka, &topic, sim.addr()).run("start_timeout = \"30s\"");
    setup.brokers = format!("127.0.0.1:{},{NO_SUCH_HOST}:9092,{}", closed_port(), kafka.brokers);
    check(&setup).assert_code(0);
    let mut stream = Stream::new(&topic, 3);
    stream.produce(20);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &stream.ends());
    service.stop().assert(Exit::Stopped);
}

// ---- the other waits of the start

#[test]
fn group_offsets_that_cannot_be_looked_up_end_the_start_in_time() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-offsets", 1);
    let sim = simulator();
    kafka.fail_offset_fetches(10_000);
    let setup = Setup::new(&kafka, &topic, sim.addr()).run("start_timeout = \"2s\"");
    let exited = run(penstock().arg("run").arg(setup.file().path()));
    exited.assert_code(69);
    assert_line(
        &exited,
        &["ERROR", "run.start_timeout", "the group's coordinator gives no offsets"],
    );
}

#[test]
fn an_assignment_whose_offsets_cannot_be_looked_up_ends_the_start_in_time() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-offsets-later", 1);
    let sim = simulator();
    // The question before the group is joined is still answered.
    let mut errors = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN; 10_000];
    errors[0] = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka.cluster().request_errors(RDKafkaApiKey::OffsetFetch, &errors);
    let setup = Setup::new(&kafka, &topic, sim.addr()).run("start_timeout = \"4s\"");
    let exited = run(penstock().arg("run").arg(setup.file().path()));
    exited.assert_code(69);
    assert_line(&exited, &["INFO", "kafka: assigned partitions=1"]);
    assert_line(
        &exited,
        &["ERROR", "cannot learn the group's offsets within run.start_timeout"],
    );
}

#[test]
fn topic_ids_that_nobody_gives_end_the_start_in_time() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-ids", 1);
    let mut setup = Setup::new(&kafka, &topic, "127.0.0.1:1");
    setup.brokers = format!("127.0.0.1:{}", closed_port());
    let config = config::parse(&setup.text(), "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
    let ids = TopicIds::new(&config.kafka).unwrap();
    let limit = StartLimit::new(Some(Duration::from_secs(1)));
    let read = ids.read_within(&topic.name, Instant::now(), &limit, &Stop::new());
    assert!(matches!(read, Err(ReadError::TooLate(_))), "{read:?}");
}

#[test]
fn a_database_that_takes_connections_and_never_answers_ends_the_start_in_time() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("silent-database", 1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(&kafka, &topic, silent.local_addr().unwrap()).run("start_timeout = \"2s\"");
    let began = Instant::now();
    let exited = run(penstock().arg("run").arg(setup.file().path()));
    exited.assert_code(69);
    // A single attempt may take 20 seconds.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_line(
        &exited,
        &["ERROR", "aerospike was not reachable within run.start_timeout"],
    );
}
