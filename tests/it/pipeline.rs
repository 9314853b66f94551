//! The whole pipeline in the process: a mock broker, the service as the binary runs it, a simulator that fails on
//! command. At the end, every record must have the content that the messages ask for, and the offsets must match.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::support::{
    DEADLINE, Kafka, Service, Setup, Stream, Topic, send, simulator, simulator_with_records_of, summary, wait_until,
};
use penstock::util::exit::Exit;
use penstock_sim::{Share, SimConfig, Simulator, Stalled};
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::{BaseProducer, Producer as _};

/// The default of `Setup`.
const BATCH_ROWS_MAX: u64 = 40;

/// Fails if a batch contained a key twice, or more rows than allowed.
fn assert_batches(sim: &Simulator, rows_max: u64) {
    let stats = sim.stats();
    assert!(stats.batches > 0, "{stats:?}");
    assert_eq!(stats.duplicate_rows, 0, "a batch held a key twice: {stats:?}");
    assert!(
        stats.biggest_batch <= rows_max,
        "a batch had more than {rows_max} rows: {stats:?}"
    );
}

#[test]
fn messages_of_several_partitions_become_records_and_are_committed_to_their_ends() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 4);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 7);
    stream.produce(1000);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.messages_written.get(), stream.total());
    assert_eq!(topic.committed(&setup.group), stream.ends());
    assert_eq!(topic.ends(), stream.ends());
    stream.assert_ledger(&sim);
    assert_batches(&sim, BATCH_ROWS_MAX);
}

// ---- the database fails while messages flow, and recovers

/// Writes messages, lets the database fail, writes more, waits until `struck`, ends the fault, and checks the ledger.
fn nothing_is_lost_when(fail: impl Fn(&Simulator), struck: impl Fn(&Simulator) -> bool) {
    let kafka = Kafka::mock();
    let topic = kafka.topic("faults", 3);
    let sim = simulator();
    // Few keys: each occurs many times in a batch, so a batch needs several calls.
    let mut stream = Stream::new(&topic, 5);
    stream.produce(300);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_written(stream.total() / 3);
    fail(&sim);
    stream.produce(300);
    let retried = service.counters.rows_retried.get();
    wait_until(
        "the fault to strike",
        || (service.counters.rows_retried.get(), sim.stats()),
        |(rows_retried, _)| *rows_retried > retried && struck(&sim),
    );
    stream.produce(300);
    sim.faults().clear();
    service.wait_written(stream.total());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.messages_written.get(), stream.total());
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
    assert_batches(&sim, BATCH_ROWS_MAX);
}

#[test]
fn nothing_is_lost_when_the_database_refuses_connections() {
    nothing_is_lost_when(|sim| sim.faults().refuse(true), |_| true);
}

#[test]
fn nothing_is_lost_when_the_database_goes_silent() {
    nothing_is_lost_when(|sim| sim.faults().stall(Stalled::Dropped), |_| true);
}

#[test]
fn nothing_is_lost_when_the_database_writes_and_does_not_answer() {
    nothing_is_lost_when(|sim| sim.faults().stall(Stalled::Applied), |_| true);
}

#[test]
fn nothing_is_lost_when_the_database_breaks_off_its_answers() {
    nothing_is_lost_when(|sim| sim.faults().reset_next(20), |_| true);
}

#[test]
fn nothing_is_lost_when_three_rows_in_ten_find_the_device_overloaded() {
    nothing_is_lost_when(
        |sim| sim.faults().fail_rows(18, Share::Fraction(0.3)),
        |sim| sim.stats().result(18) > 50,
    );
}

#[test]
fn nothing_is_lost_when_rows_find_their_keys_busy() {
    nothing_is_lost_when(
        |sim| sim.faults().fail_rows(14, Share::Fraction(0.5)),
        |sim| sim.stats().result(14) > 50,
    );
}

#[test]
fn nothing_is_lost_when_writes_are_stopped_for_want_of_space() {
    nothing_is_lost_when(|sim| sim.faults().stop_writes(true), |sim| sim.stats().result(8) > 0);
}

#[test]
fn nothing_is_lost_when_whole_batches_are_refused() {
    // 150: batches are switched off at the server. 152: its batch queues are full. 9: it gave up.
    for code in [150, 152, 9] {
        nothing_is_lost_when(
            |sim| sim.faults().fail_batches(code, Share::Fraction(0.7)),
            |sim| sim.stats().batches_refused > 5,
        );
    }
}

#[test]
fn a_server_that_takes_smaller_batches_gets_smaller_ones() {
    // Every batch of more than 10 rows is refused as a whole.
    let kafka = Kafka::mock();
    let topic = kafka.topic("small-batches", 2);
    let sim = Simulator::start(SimConfig {
        batch_rows_max: 10,
        ..SimConfig::default()
    })
    .unwrap();
    let mut stream = Stream::new(&topic, 50);
    stream.produce(100);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    service.stop().assert(Exit::Stopped);
    let stats = sim.stats();
    assert!(stats.batches_refused > 0 && stats.biggest_batch <= 10, "{stats:?}");
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
}

// ---- messages that cannot be written

#[test]
fn a_rejected_message_holds_its_partition_and_the_others_go_on() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("rejected", 3);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(57);
    stream.produce_bad(0, r#"{"id":"0-57","key":"#);
    stream.produce(200);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    assert_partition_0_is_held_at_57(&setup, &topic, &stream, &sim);
}

#[test]
fn a_message_whose_record_the_database_refuses_holds_its_partition() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("too-big", 3);
    let sim = simulator_with_records_of(2000);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(57);
    // Refused with 13, record too big. The other row of the message is written, which does no harm with a put.
    let big = "x".repeat(3000);
    stream.produce_bad(0, &format!(r#"{{"id":"{big}","key":"big","n":"{big}"}}"#));
    stream.produce(200);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    assert_partition_0_is_held_at_57(&setup, &topic, &stream, &sim);
    assert!(sim.stats().result(13) > 0, "{:?}", sim.stats());
}

/// Runs the service until the other partitions are at their ends, and checks what is written and committed.
fn assert_partition_0_is_held_at_57(setup: &Setup, topic: &Topic, stream: &Stream, sim: &Simulator) {
    let mut ends = stream.ends();
    ends[0] = Some(57);
    let service = Service::start(setup);
    service.wait_for("a message to be rejected", |c| c.messages_rejected.get() > 0);
    wait_until(
        "the other partitions' ends",
        || topic.committed(&setup.group),
        |committed| *committed == ends,
    );
    let ended = service.stop();
    ended.assert(Exit::Rejected);
    assert_eq!(ended.counters.messages_rejected.get(), 1);
    assert_eq!(
        topic.committed(&setup.group),
        ends,
        "the stop must not pass the held message"
    );
    let ends: Vec<i64> = ends.into_iter().flatten().collect();
    // Rows behind the held message may be written if they were in its batch; rows in front of it must be.
    let written = stream.records_below(&ends);
    for ((set, key), n) in &written {
        let found = sim.get("test", set, key).and_then(|record| record.int("n"));
        let last_of_partition_0 = *set == "last" && key.starts_with("0-");
        let is_right = if last_of_partition_0 {
            found >= Some(*n)
        } else {
            found == Some(*n)
        };
        assert!(is_right, "{set}/{key}: expected {n}, found {found:?}");
    }
}

// ---- the end

/// Fails if a message below its partition's committed offset has no record of its own.
fn assert_no_commit_passes_an_unwritten_message(topic: &Topic, group: &str, sim: &Simulator) {
    for (partition, committed) in topic.committed(group).into_iter().enumerate() {
        for n in 0..committed.unwrap_or(0) {
            let found = sim.get("test", "all", &format!("{partition}-{n}"));
            assert!(
                found.is_some(),
                "partition {partition} is committed to {committed:?}, message {n} is not written"
            );
        }
    }
}

#[test]
fn a_stop_while_the_database_is_silent_ends_in_time_and_commits_only_what_is_written() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("silent-stop", 3);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(200);
    let setup = Setup::new(&kafka, &topic, sim.addr())
        .run("batch_rows_max = 40\nwrite_timeout = \"500ms\"\nshutdown_grace = \"4s\"");
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    sim.faults().stall(Stalled::Dropped);
    stream.produce(200);
    service.wait_for("every partition to wait for the database", |c| {
        c.rows_retried.get() > 0 && c.messages_in_hand.get() >= 3
    });
    // The exit code shows that it ended in time: after shutdown_grace, the code is another one.
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert!(
        ended.counters.messages_returned.get() > 0,
        "{}",
        summary(&ended.counters)
    );
    assert_eq!(topic.committed(&setup.group), vec![Some(200); 3]);
    assert_no_commit_passes_an_unwritten_message(&topic, &setup.group, &sim);

    sim.faults().unstall();
    let service = Service::start(&setup);
    service.wait_written(stream.total() - ended.counters.messages_written.get());
    service.stop().assert(Exit::Stopped);
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
}

#[test]
fn stops_in_mid_stream_lose_nothing_and_repeat_nothing() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stops", 3);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let mut written = 0;
    // Slow enough that the stops happen in mid-stream.
    sim.faults().delay(Duration::from_millis(10));
    for _ in 0..3 {
        stream.produce(500);
        let service = Service::start(&setup);
        service.wait_written(1);
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        written += ended.counters.messages_written.get();
        assert_no_commit_passes_an_unwritten_message(&topic, &setup.group, &sim);
    }
    assert!(written < stream.total(), "every stop came after the last message");
    sim.faults().clear();
    let service = Service::start(&setup);
    service.wait_written(stream.total() - written);
    written += service.stop().assert(Exit::Stopped).counters.messages_written.get();
    // An orderly stop has committed everything that was written: no message was written twice.
    assert_eq!(written, stream.total());
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
}

#[test]
fn a_commit_that_is_refused_is_sent_again_though_nothing_new_comes() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("commits", 3);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    kafka.refuse_commits(true);
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    service.wait_for("a commit to be refused", |counters| counters.commit_errors.get() > 0);
    assert_eq!(topic.committed(&setup.group), [None, None, None]);
    kafka.refuse_commits(false);
    wait_until(
        "the offsets to be committed",
        || topic.committed(&setup.group),
        |committed| *committed == stream.ends(),
    );
    service.stop().assert(Exit::Stopped);
}

#[test]
fn a_group_that_starts_at_the_end_reads_what_comes_while_it_is_stopped() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("latest", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(30);
    let before = stream.ends();
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.start = "latest";
    // Reads nothing, and stops again. So it can only commit the offset where it started.
    let service = Service::start(&setup);
    wait_until(
        "the beginning to be committed",
        || topic.committed(&setup.group),
        |committed| *committed == before,
    );
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.messages_consumed.get(), 0, "it began before the end");
    let old = stream.total();
    stream.produce(20);
    let service = Service::start(&setup);
    service.wait_written(stream.total() - old);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.messages_consumed.get(), stream.total() - old);
    assert_eq!(topic.committed(&setup.group), stream.ends());
}

// ---- limits

#[test]
fn a_batch_has_at_most_batch_rows_max_rows() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("rows", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 1000);
    stream.produce(500);
    let setup = Setup::new(&kafka, &topic, sim.addr()).run("batch_rows_max = 7");
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    service.stop().assert(Exit::Stopped);
    stream.assert_ledger(&sim);
    assert_batches(&sim, 7);
    assert!(sim.stats().biggest_batch > 1, "{:?}", sim.stats());
}

/// One row per message, with the message's id as the key.
const ALL_ONLY: &str = r#"
[[route]]
  [[route.write]]
  set = "all"
  key = "id"
  bins = ["n", "text"]
"#;

#[test]
fn big_messages_make_batches_of_fewer_rows() {
    const TEXT_BYTES: usize = 10_000;
    const MESSAGES: u64 = 200;
    let kafka = Kafka::mock();
    let topic = kafka.topic("bytes", 1);
    let sim = simulator();
    let producer: BaseProducer = topic.client.create().unwrap();
    let text = "x".repeat(TEXT_BYTES);
    for n in 0..MESSAGES {
        send(
            &producer,
            &topic.name,
            0,
            format!(r#"{{"id":"{n}","n":{n},"text":"{text}"}}"#).as_bytes(),
        );
    }
    producer.flush(DEADLINE).unwrap();
    let setup = Setup::new(&kafka, &topic, sim.addr())
        .routes(ALL_ONLY)
        .run("batch_rows_max = 1000\nbatch_bytes_max = \"64KiB\"");
    let service = Service::start(&setup);
    service.wait_written(MESSAGES);
    service.stop().assert(Exit::Stopped);
    assert_eq!(sim.records("test", "all").len() as u64, MESSAGES);
    // The message that reaches the cap is the last of its batch.
    let rows_max = 64 * 1024 / TEXT_BYTES as u64 + 1;
    assert_batches(&sim, rows_max);
    assert!(sim.stats().biggest_batch > 1, "{:?}", sim.stats());
}

#[test]
fn an_array_of_more_elements_than_a_batch_has_rows_is_written_whole() {
    const ELEMENTS: i64 = 37;
    const MESSAGES: i64 = 20;
    let kafka = Kafka::mock();
    let topic = kafka.topic("each", 1);
    let sim = simulator();
    let producer: BaseProducer = topic.client.create().unwrap();
    for message in 0..MESSAGES {
        let items: Vec<String> = (0..ELEMENTS)
            .map(|n| format!(r#"{{"sku":"{message}-{n}","n":{n}}}"#))
            .collect();
        send(
            &producer,
            &topic.name,
            0,
            format!(r#"{{"items":[{}]}}"#, items.join(",")).as_bytes(),
        );
    }
    producer.flush(DEADLINE).unwrap();
    let routes = r#"
[[route]]
  [[route.write]]
  each = "items"
  set = "lines"
  key = "@item.sku"
  bins = ["@item.n"]
"#;
    let setup = Setup::new(&kafka, &topic, sim.addr())
        .routes(routes)
        .run("batch_rows_max = 10");
    let service = Service::start(&setup);
    service.wait_written(MESSAGES as u64);
    service.stop().assert(Exit::Stopped);
    let mut expected = std::collections::BTreeMap::new();
    for message in 0..MESSAGES {
        expected.extend((0..ELEMENTS).map(|n| (("lines", format!("{message}-{n}")), n)));
    }
    crate::support::assert_ledger(&expected, &sim);
    assert_batches(&sim, 10);
    assert_eq!(topic.committed(&setup.group), [Some(MESSAGES)]);
}

// ---- the start

/// Starts a service that must end by itself before it joins the group.
fn assert_start_fails(setup: &Setup, exit: Exit) {
    let ended = Service::start(setup).end();
    assert_eq!(ended.exit, exit, "{}", summary(&ended.counters));
    assert_eq!(
        ended.counters.rebalances.get(),
        0,
        "the group was joined: {}",
        summary(&ended.counters)
    );
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_refused_password_ends_the_start_before_the_group_is_joined() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("password", 1);
    let login = Some(("penstock".to_owned(), "right".to_owned()));
    let sim = Simulator::start(SimConfig {
        login,
        ..SimConfig::default()
    })
    .unwrap();
    let setup = Setup::new(&kafka, &topic, sim.addr());
    assert_start_fails(
        &setup.clone().aerospike("user = \"penstock\"\npassword = \"wrong\""),
        Exit::Credentials,
    );
    assert_start_fails(
        &setup.clone().aerospike("user = \"nobody\"\npassword = \"right\""),
        Exit::Credentials,
    );

    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let service = Service::start(&setup.aerospike("user = \"penstock\"\npassword = \"right\""));
    service.wait_written(stream.total());
    service.stop().assert(Exit::Stopped);
}

#[test]
fn an_unknown_namespace_ends_the_start() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("namespace", 1);
    let sim = simulator();
    let routes = crate::support::ROUTES.replacen("set =", "namespace = \"nowhere\"\n  set =", 1);
    assert_start_fails(
        &Setup::new(&kafka, &topic, sim.addr()).routes(&routes),
        Exit::Configuration,
    );
}

#[test]
fn a_database_that_is_not_there_within_start_timeout_ends_the_start() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-database", 1);
    let setup = Setup::new(&kafka, &topic, nobody()).run("start_timeout = \"1s\"");
    assert_start_fails(&setup, Exit::Unreachable);
}

#[test]
fn a_broker_that_is_not_there_within_start_timeout_ends_the_start() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-broker", 1);
    let sim = simulator();
    let mut setup = Setup::new(&kafka, &topic, sim.addr()).run("start_timeout = \"1s\"");
    setup.brokers = nobody().to_string();
    assert_start_fails(&setup, Exit::Unreachable);
}

#[test]
fn a_topic_that_is_not_there_within_start_timeout_ends_the_start() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("a-topic", 1);
    let sim = simulator();
    // The mock broker creates every topic that is asked for, unless it is told to answer with an error.
    kafka.fail_topic("missing");
    let mut setup = Setup::new(&kafka, &topic, sim.addr()).run("start_timeout = \"1s\"");
    setup.topic = "missing".into();
    assert_start_fails(&setup, Exit::Unreachable);
}

#[test]
fn a_stop_while_waiting_for_the_database_is_obeyed_at_once() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("wait-database", 1);
    let sim = simulator();
    sim.faults().stall(Stalled::Dropped);
    let service = Service::start(&Setup::new(&kafka, &topic, sim.addr()));
    wait_until("a connection", || sim.stats(), |stats| stats.connections > 0);
    assert_stops_at_once(service);
}

#[test]
fn a_stop_while_waiting_for_a_database_that_refuses_connections_is_obeyed_at_once() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("refusing-database", 1);
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = Service::start(&Setup::new(&kafka, &topic, refusing.local_addr().unwrap()));
    drop(refusing.accept().unwrap());
    drop(refusing);
    assert_stops_at_once(service);
}

#[test]
fn a_stop_while_waiting_for_the_broker_is_obeyed_at_once() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("wait-broker", 1);
    let sim = simulator();
    // Accepts connections, and never sends anything.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.brokers = silent.local_addr().unwrap().to_string();
    let service = Service::start(&setup);
    let _connection = silent.accept().unwrap();
    assert_stops_at_once(service);
    assert_eq!(sim.stats().connections, 0, "the database comes after the broker");
}

fn assert_stops_at_once(service: Service) {
    /// Far longer than a stop takes, and far shorter than the time-outs that a stop must not wait for (20 s and more).
    const AT_ONCE: Duration = Duration::from_secs(8);
    let asked = Instant::now();
    let ended = service.stop();
    let took = asked.elapsed();
    ended.assert(Exit::Stopped);
    assert!(took < AT_ONCE, "it took {took:?}");
    assert_eq!(ended.counters.rebalances.get(), 0, "{}", summary(&ended.counters));
}

// ---- features that the Kafka client was built with

#[test]
fn every_compression_of_a_topic_can_be_read() {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let kafka = Kafka::mock();
        let topic = kafka.topic(codec, 2);
        let sim = simulator();
        let mut stream = Stream::with(&topic, 5, &[("compression.type", codec)]);
        stream.produce(200);
        let setup = Setup::new(&kafka, &topic, sim.addr());
        let service = Service::start(&setup);
        service.wait_written(stream.total());
        service.stop().assert(Exit::Stopped);
        stream.assert_ledger(&sim);
    }
}

#[test]
fn every_documented_login_to_a_broker_is_compiled_in() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for protocol in ["SASL_SSL", "SASL_PLAINTEXT"] {
            let created: Result<BaseConsumer, _> = ClientConfig::new()
                .set("bootstrap.servers", nobody().to_string())
                .set("group.id", "none")
                .set("security.protocol", protocol)
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", "user")
                .set("sasl.password", "password")
                .create();
            assert!(created.is_ok(), "{protocol} {mechanism}: {:?}", created.err());
        }
    }
}
