//! The programs as processes: signals, kills, exit codes, and their log. With a mock broker in the test's process, and
//! the simulator as a program that outlives the service.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::http::{get, json};
use crate::support::process::{Program, SimProgram, UNREACHED, file, penstock, run, run_service};
use crate::support::{Kafka, Records as _, Setup, Stream, examples, wait_until};
use penstock::util::exit::Exit;
use penstock::web::routes::PATHS;
use tempfile::NamedTempFile;

const SIGKILL: i32 = 9;

/// Waits until this number of messages have their records.
fn wait_records(sim: &SimProgram, records: u64) {
    wait_until("records", || sim.count("all"), |count| *count >= records);
}

// ---- signals and kills in mid-stream

#[test]
fn a_service_stopped_in_mid_stream_goes_on_where_it_was() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("sigterm", 3);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(1000);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let file = setup.file();

    // Slow enough that the signal comes in mid-stream.
    sim.say("delay 10ms");
    let mut service = run_service(file.path());
    wait_records(&sim, 100);
    service.signal("TERM");
    let first = service.end();
    first.assert_code(0);
    let records = sim.count("all");
    assert!(records < stream.total(), "the signal came after the last message");
    let committed: i64 = topic.committed(&setup.group).into_iter().flatten().sum();
    assert_eq!(
        committed.unsigned_abs(),
        records,
        "what is written is committed, and nothing else:\n{}",
        first.output
    );

    sim.say("delay 0ms");
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("INT");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
    assert_eq!(sim.stat("duplicate_rows"), 0);

    // What a person can read in the log.
    for (part, more) in [
        ("penstock version=", env!("CARGO_PKG_VERSION")),
        ("settings: run ", "batch_rows_max=40"),
        ("settings: kafka ", topic.name.as_str()),
        ("settings: aerospike ", "namespace=test"),
        ("settings: write ", "set=last"),
        ("memory: bound=", "partitions=3"),
        ("kafka: joining ", setup.group.as_str()),
        ("kafka: assigned ", "partitions=3"),
        ("stop: finishing the batch in hand", "a second signal leaves at once"),
        ("stopped consumed=", "held_partitions=0"),
        ("exit code=0", "Stopped"),
    ] {
        let found = first
            .output
            .lines()
            .any(|line| line.contains(part) && line.contains(more));
        assert!(found, "no line with {part:?} and {more:?} in:\n{}", first.output);
    }
}

#[test]
fn a_service_killed_again_and_again_loses_nothing() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("sigkill", 3);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let file = setup.file();
    sim.say("delay 5ms");
    for _ in 0..3 {
        stream.produce(500);
        let before = sim.count("all");
        let mut service = run_service(file.path());
        wait_records(&sim, before + 100);
        service.signal("KILL");
        service.end().assert_signal(SIGKILL);
    }
    assert!(
        sim.count("all") < stream.total(),
        "every kill came after the last message"
    );
    for (partition, committed) in topic.committed(&setup.group).into_iter().enumerate() {
        let ids: Vec<String> = (0..committed.unwrap_or(0))
            .map(|n| format!("{partition}-{n}"))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let missing: Vec<_> = ids
            .iter()
            .zip(sim.ints("all", &ids))
            .filter(|(_, n)| n.is_none())
            .collect();
        assert!(
            missing.is_empty(),
            "partition {partition} is committed to {committed:?} without {missing:?}"
        );
    }
    sim.say("delay 0ms");
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
    assert_eq!(sim.stat("duplicate_rows"), 0);
}

#[test]
fn a_database_that_goes_silent_in_mid_stream_is_waited_for() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stall", 3);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(200);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let file = setup.file();
    let mut service = run_service(file.path());
    wait_records(&sim, 100);
    sim.say("stall applied");
    stream.produce(200);
    service.wait_for_line(&["WARN", "aerospike: writes fail", "nothing is lost", "reason="]);
    sim.say("unstall");
    service.wait_for_line(&["INFO", "aerospike: writes succeed again"]);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
    assert_eq!(sim.stat("duplicate_rows"), 0);
}

#[test]
fn a_second_signal_of_any_kind_leaves_at_once_with_130() {
    for signal in ["TERM", "INT", "HUP"] {
        let kafka = Kafka::mock();
        let topic = kafka.topic("second", 1);
        let sim = SimProgram::start(&[]);
        let mut stream = Stream::new(&topic, 5);
        // A stop waits for the write in progress; here as long as the write may take.
        let setup = Setup::new(&kafka, &topic, sim.addr).run("write_timeout = \"30s\"\nshutdown_grace = \"60s\"");
        let file = setup.file();
        let mut service = run_service(file.path());
        stream.produce(10);
        topic.wait_committed(&setup.group, &stream.ends());
        // The database applies what it receives, but never answers. The records show that the write is in flight.
        sim.say("stall applied");
        stream.produce(10);
        wait_records(&sim, 20);
        service.signal("TERM");
        service.wait_for_line(&["stop: finishing"]);
        let asked = Instant::now();
        service.signal(signal);
        let exited = service.end();
        let took = asked.elapsed();
        exited.assert_code(130);
        assert!(took < Duration::from_secs(10), "it took {took:?}:\n{}", exited.output);
        let line = "a second signal, leaving at once";
        assert!(exited.output.contains(line), "no {line:?} in:\n{}", exited.output);
        // The ten messages in hand are delivered again.
        assert_eq!(topic.committed(&setup.group), [Some(10)]);
    }
}

// ---- what is logged, and what is not

#[test]
fn a_rejected_message_is_told_with_its_place_reason_and_cure_and_nothing_secret_is_told() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("told", 2);
    let sim = SimProgram::start(&["--user", "penstock", "--password", "aerospike-secret"]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(20);
    stream.produce_bad(
        1,
        r#"{"id":"payload-secret","key":{"payload-secret":"payload-secret"},"n":payload-secret}"#,
    );
    stream.produce(20);
    let mut setup =
        Setup::new(&kafka, &topic, sim.addr).aerospike("user = \"penstock\"\npassword = \"${env:AEROSPIKE_PASSWORD}\"");
    setup.consumer += KAFKA_SECRETS;
    let file = setup.file();
    let mut command = penstock();
    // The service's complete log, at every level.
    command
        .env("RUST_LOG", "info,penstock=trace")
        .env("AEROSPIKE_PASSWORD", "aerospike-secret");
    let mut service = Program::start(command.arg("run").arg(file.path()));
    let name = format!("topic={} ", topic.name);
    service.wait_for_line(&[
        "ERROR",
        &name,
        "partition=1 ",
        "offset=20 ",
        "reason=",
        "detail=\"",
        "cure=\"",
    ]);
    topic.wait_committed(&setup.group, &[Some(41), Some(20)]);
    service.signal("TERM");
    let exited = service.end();
    exited.assert_code(65);
    let errors: Vec<&str> = exited.output.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "a state is told once: {errors:#?}");
    // The cure names the message, and where it is kept.
    let name = &topic.name;
    let cure = format!("run penstock skip FILE {name}:1:20 --to-file {name}-1-20.json and start it");
    assert!(errors[0].contains(&cure), "{}", errors[0]);
    assert!(
        exited.output.contains("user=penstock"),
        "who logs in is told:\n{}",
        exited.output
    );
    assert_no_secret("the log", &exited.output);
}

/// A property with a value that nobody may see.
const KAFKA_SECRETS: &str = "\nclient.rack = \"rack-secret\"";

fn assert_no_secret(place: &str, text: &str) {
    for secret in [
        "payload-secret",
        "aerospike-secret",
        "user-secret",
        "sasl-secret",
        "key-secret",
        "rack-secret",
    ] {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{place}: {lines:#?}");
    }
}

/// The same of the log as JSON, and of everything that is answered over HTTP: by a service that has read messages
/// and holds one.
#[test]
fn nothing_secret_is_in_the_json_log_and_in_no_answer() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("told", 1);
    let sim = SimProgram::start(&["--user", "penstock", "--password", "aerospike-secret"]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(20);
    stream.produce_bad(
        0,
        r#"{"id":"payload-secret","key":"payload-secret","n":payload-secret}"#,
    );
    let mut setup =
        Setup::new(&kafka, &topic, sim.addr).aerospike("user = \"penstock\"\npassword = \"aerospike-secret\"");
    setup.consumer += KAFKA_SECRETS;
    setup.routes += "\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n";
    let file = setup.file();
    let (mut service, address) = run_traced(&file);
    service.wait_for_line(&["\"ERROR\"", &topic.name, "\"cure\""]);
    wait_until(
        "the status of a held partition",
        || json(address, "/status")["state"].clone(),
        |state| *state == "held",
    );
    assert_no_answer_is_secret(address);
    service.signal("TERM");
    let exited = service.end();
    exited.assert_code(65);
    assert!(
        exited.output.lines().all(|line| line.starts_with('{')),
        "{}",
        exited.output
    );
    assert!(exited.output.contains("\"TRACE\""), "{}", exited.output);
    assert_no_secret("the JSON log", &exited.output);
}

/// A login needs a broker that asks for one. Here none is reached.
#[test]
fn no_login_is_in_the_json_log_and_in_no_answer() {
    let file = file(&format!(
        "{}\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n[kafka.properties]\n\
         security.protocol = \"sasl_ssl\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = \"user-secret\"\n\
         sasl.password = \"sasl-secret\"\nssl.key.password = \"key-secret\"\n",
        UNREACHED.replace(
            "namespace = \"test\"",
            "namespace = \"test\"\nuser = \"penstock\"\npassword = \"aerospike-secret\""
        )
    ));
    let (mut service, address) = run_traced(&file);
    service.wait_for_line(&["\"WARN\"", "kafka: waiting"]);
    assert_no_answer_is_secret(address);
    service.signal("TERM");
    let exited = service.end();
    exited.assert_code(0);
    assert_no_secret("the JSON log", &exited.output);
}

fn assert_no_answer_is_secret(address: SocketAddr) {
    for (path, _) in PATHS {
        let answered = get(address, path);
        assert_no_secret(path, &format!("{}\n{}", answered.head, answered.body));
    }
}

/// Runs a service with its complete log, in JSON, and tells where it listens.
fn run_traced(file: &NamedTempFile) -> (Program, SocketAddr) {
    let mut command = penstock();
    command.env("RUST_LOG", "info,penstock=trace");
    let mut service = Program::start(command.arg("run").arg(file.path()));
    let address = listening(&service.wait_for_line(&["http: listening"]));
    (service, address)
}

/// The address in the line `http: listening` of a log as JSON.
fn listening(line: &str) -> SocketAddr {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let address = line["address"].as_str().unwrap();
    address
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .unwrap()
}

// ---- the command line

#[test]
fn check_says_of_a_good_file_that_it_is_and_exits_0() {
    let good = file(UNREACHED);
    let exited = run(penstock().arg("check").arg(good.path()));
    exited.assert_code(0);
    assert!(
        exited.output.contains("ok: 1 topic(s), 1 route(s), 1 write(s)"),
        "{}",
        exited.output
    );
}

#[test]
fn every_example_passes_check() {
    for path in examples() {
        run(penstock().arg("check").arg(&path)).assert_code(0);
    }
}

#[test]
fn check_and_run_say_every_fault_of_a_bad_file_and_exit_78() {
    let bad = file(
        &UNREACHED
            .replace("topics = [\"events\"]", "topics = []\ngrup = \"x\"")
            .replace("\"test\"", "\"te:st\""),
    );
    for command in ["check", "run"] {
        let exited = run(penstock().arg(command).arg(bad.path()));
        exited.assert_code(78);
        for fault in ["kafka.topics", "kafka.grup", "aerospike.namespace"] {
            assert!(
                exited.output.contains(fault),
                "{command} does not name {fault}:\n{}",
                exited.output
            );
        }
    }
}

#[test]
fn a_file_that_is_not_there_exits_78() {
    for command in ["check", "run"] {
        let exited = run(penstock().arg(command).arg("/nowhere/penstock.toml"));
        exited.assert_code(78);
        assert!(exited.output.contains("/nowhere/penstock.toml"), "{}", exited.output);
    }
}

#[test]
fn a_wrong_command_line_exits_64() {
    let wrong: [&[&str]; 6] = [
        &[],
        &["start"],
        &["run"],
        &["check"],
        &["check", "a", "b"],
        &["run", "--force", "a"],
    ];
    for arguments in wrong {
        let exited = run(penstock().args(arguments));
        exited.assert_code(64);
        assert!(exited.output.contains("Usage:"), "{arguments:?}: {}", exited.output);
    }
}

#[test]
fn help_and_version_exit_0_and_help_names_every_exit_code() {
    for arguments in [
        ["--help"].as_slice(),
        &["help"],
        &["run", "--help"],
        &["check", "--help"],
    ] {
        let exited = run(penstock().args(arguments));
        exited.assert_code(0);
        assert!(exited.output.contains("Usage:"), "{arguments:?}: {}", exited.output);
    }
    let help = run(penstock().arg("--help"));
    for code in Exit::ALL {
        let code = code.code().to_string();
        let mut numbers = help.output.split(|c: char| !c.is_ascii_digit());
        assert!(
            numbers.any(|number| number == code),
            "no exit code {code} in:\n{}",
            help.output
        );
    }
    let exited = run(penstock().arg("--version"));
    exited.assert_code(0);
    assert!(exited.output.contains(env!("CARGO_PKG_VERSION")), "{}", exited.output);
}
