//! The commands that ask Kafka and Aerospike: `check --connect` and `try --from-topic`. They use a mock broker in the
//! test's process and the simulator as a program. `tests/live/connect.rs` uses a real broker.

use std::collections::BTreeSet;

use crate::support::connect::{COUNTED, assert_line, check, the_newest_messages_of_a_topic_are_tried, write};
use crate::support::process::{SimProgram, file, penstock, run, run_service};
use crate::support::{Database, Kafka, Setup, Stream, examples, unique, wait_until};
use penstock::config;
use penstock_sim::{NamespaceConfig, SimConfig, Simulator};

/// The keys of a record come from one partition, so `check` has no advice about them.
const ROUTES: &str = r#"
[[route]]
  [[route.write]]
  set = "users"
  key = "@key"
  bins = ["n"]
  ttl = "30d"
"#;

fn simulator(change: impl FnOnce(&mut NamespaceConfig)) -> Simulator {
    let sim = Simulator::start(SimConfig::default()).unwrap();
    sim.configure("test", change).unwrap();
    sim
}

#[test]
fn a_configuration_that_everything_is_there_for_is_ok() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("check-good", 3);
    let sim = simulator(|_| {});
    let exited = check(&Setup::new(&kafka, &topic, sim.addr()).routes(ROUTES));
    exited.assert_code(0);
    assert_line(&exited, &["ok ", "kafka: reached", "brokers: 1"]);
    assert_line(&exited, &["ok ", &topic.name, "partitions: 3"]);
    assert_line(&exited, &["ok ", "kafka group", "has offsets of 0 of 3"]);
    assert_line(&exited, &["ok ", "node A1", "Community Edition", "8.1.2.0"]);
    assert_line(&exited, &["ok ", "node A1", "clock"]);
    assert_line(
        &exited,
        &["ok ", "namespace test", "nsup-period=120", "max-record-size=1048576"],
    );
    assert_line(&exited, &["0 error(s), 0 warning(s)", "nothing was written"]);
    // A command that only asks changes nothing.
    assert!(sim.records("test", "users").is_empty());
}

#[test]
fn what_would_go_wrong_is_told_with_its_cure() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("check-bad", 1);
    let sim = simulator(|namespace| {
        namespace.nsup_period = 0;
        namespace.stop_writes = true;
        namespace.max_record_bytes = 65536;
    });
    sim.advance_clock(100);
    let routes = r#"
[[route]]
  [[route.write]]
  set = "users"
  key = "user.id"
  add = { n = 1 }
  ttl = { path = "ends", as = "epoch_ms" }

  [[route.write]]
  namespace = "elsewhere"
  set = "log"
  key = "@key"
  list_append = { lines = "line" }
  tombstone = "delete"
"#;
    let reject = format!("[reject]\naction = \"dead_letter\"\ntopic = \"{}\"", unique("nowhere"));
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&format!("{routes}{reject}"));
    kafka.fail_topic(&topic.name);
    let exited = check(&setup);
    exited.assert_code(1);
    for parts in [
        ["warning ", "user.id", "guarded"],
        ["error ", topic.name.as_str(), "there is no such topic"],
        ["error ", "nowhere", "there is no such topic"],
        ["error ", "namespace test", "nsup-period is 0"],
        ["error ", "namespace test", "stop-writes"],
        ["warning ", "namespace test", "max-record-size is 65536"],
        ["error ", "namespace elsewhere", "there is no such namespace on A1"],
        ["warning ", "node A1", "100 s ahead"],
        ["warning ", "node A1", "forgets deletions"],
    ] {
        assert_line(&exited, &parts);
    }
}

#[test]
fn of_a_route_that_only_publishes_the_topics_are_asked_for() {
    let kafka = Kafka::mock();
    let (topic, target) = (kafka.topic("check-publish", 1), kafka.topic("published", 2));
    let sim = simulator(|_| {});
    let routes = format!("[[route]]\n[[route.publish]]\ntopic = \"{}\"\n", target.name);
    let exited = check(&Setup::new(&kafka, &topic, sim.addr()).routes(&routes));
    exited.assert_code(0);
    assert_line(&exited, &["ok ", &target.name, "partitions: 2", "WRITE"]);
    assert_line(&exited, &["ok ", "node A1"]);
}

#[test]
fn nothing_stands_in_the_way_of_the_examples() {
    let kafka = Kafka::mock();
    let sim = simulator(|_| {});
    let mut topics = BTreeSet::new();
    let mut checked = 0;
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let config = config::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        let produced = config.produced_topics().into_iter().map(str::to_owned);
        for topic in config.kafka.topics.iter().cloned().chain(produced) {
            if topics.insert(topic.clone()) {
                kafka.cluster().create_topic(&topic, 2, 1).unwrap();
            }
        }
        // The example's text, but with the addresses of the test.
        let text = text
            .replace("127.0.0.1:9092", &kafka.brokers)
            .replace("127.0.0.1:3000", &sim.addr().to_string());
        let file = file(&text);
        let exited = run(penstock().arg("check").arg(file.path()).arg("--connect"));
        exited.assert_code(0);
        assert_line(&exited, &["0 error(s)"]);
        checked += 1;
    }
    assert!(checked > 6, "{checked} examples");
}

#[test]
fn a_bin_that_grows_without_end_is_told() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("check-grows", 1);
    let sim = simulator(|_| {});
    let routes = r#"
[[route]]
  [[route.write]]
  set = "log"
  key = "@key"
  list_append = { lines = "line", kept = "line" }
  keep_last = { kept = 10 }
  append = { text = "line" }
"#;
    let exited = check(&Setup::new(&kafka, &topic, sim.addr()).routes(routes));
    exited.assert_code(0);
    assert_line(&exited, &["warning ", "the bin lines grow", "list_append", "keep_last"]);
    assert_line(&exited, &["warning ", "the bin text grow", "append"]);
    assert!(!exited.output.contains("the bin kept"), "{}", exited.output);
}

#[test]
fn what_cannot_be_reached_exits_69_and_what_refuses_77() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("check-away", 1);
    let sim = SimProgram::start(&["--user", "penstock", "--password", "right"]);
    let setup = |brokers: &str, password: &str, timeout: &str| {
        let login = format!("user = \"penstock\"\npassword = \"{password}\"");
        let mut setup = Setup::new(&kafka, &topic, sim.addr)
            .routes(ROUTES)
            .run(&format!("start_timeout = \"{timeout}\""))
            .aerospike(&login);
        setup.brokers = brokers.to_owned();
        setup
    };
    let exited = check(&setup("127.0.0.1:1", "right", "1s"));
    exited.assert_code(69);
    assert_line(&exited, &["error ", "kafka: not reached", "Connection refused"]);
    assert_line(&exited, &["ok ", "user penstock", "logged in"]);

    let exited = check(&setup(&kafka.brokers, "wrong", "30s"));
    exited.assert_code(77);
    assert_line(&exited, &["ok ", "kafka: reached"]);
    assert_line(&exited, &["error ", "aerospike: the cluster refuses the login (65"]);
    assert!(!exited.output.contains("wrong"), "{}", exited.output);

    drop(sim);
}

#[test]
fn messages_that_are_applied_and_not_committed_are_told() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("check-applied", 1);
    let sim = simulator(|_| {});
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(COUNTED);
    let mut stream = Stream::new(&topic, 1);
    write(&setup, &topic, &mut stream, 10);
    let exited = check(&setup);
    exited.assert_code(0);
    assert_line(&exited, &["kafka group", "has offsets of 1 of 1"]);

    kafka.refuse_commits(true);
    stream.produce(6);
    let file = setup.file();
    let service = run_service(file.path());
    let count = || sim.get("test", "users", "0:0-0").and_then(|record| record.int("n"));
    wait_until("all messages to be counted", count, |count| *count == Some(16));
    service.signal("KILL");
    drop(service);
    kafka.refuse_commits(false);

    let exited = check(&setup);
    exited.assert_code(0);
    let partition = format!("{}:0", topic.name);
    assert_line(
        &exited,
        &[
            "warning ",
            &partition,
            "it is 10",
            "up to 15: 6 message(s)",
            "run.guard_epoch",
        ],
    );
    // Asking changed nothing.
    assert_eq!(topic.committed(&setup.group), [Some(10)]);
    // With another epoch, all messages count as new.
    assert!(!check(&setup.run("guard_epoch = 1")).output.contains("may be refused"));
}

#[test]
fn a_new_group_over_records_that_another_has_counted_is_warned() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("check-group", 2);
    let sim = simulator(|_| {});
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(COUNTED);
    let mut stream = Stream::new(&topic, 1);
    // No guard has counted a message yet.
    stream.produce(10);
    assert!(!check(&setup).output.contains("is new for the topic"));
    write(&setup, &topic, &mut stream, 1);
    assert!(!check(&setup).output.contains("is new for the topic"), "it is its own");

    let mut other = setup.clone();
    other.group = format!("{}-2", setup.group);
    let group = format!("kafka group {}", other.group);
    let told = format!(
        "it is new for the topic {}, and a record of the message {}:",
        topic.name, topic.name
    );
    let exited = check(&other);
    exited.assert_code(0);
    assert_line(
        &exited,
        &[
            "warning ",
            &group,
            &told,
            "has the guard of another group, topic or guard_epoch: all messages that are there are counted once more",
            "set kafka.group and run.guard_epoch to those that have counted",
        ],
    );
    other.start = "latest";
    assert_line(
        &check(&other),
        &[&group, &told, "messages from now on are counted twice"],
    );
    // Unguarded writes have no counts.
    let plain =
        other.routes("[[route]]\n[[route.write]]\nset = \"users\"\nkey = \"{@partition}:{key}\"\nbins = [\"n\"]\n");
    assert!(!check(&plain).output.contains("is new for the topic"));
}

#[test]
fn the_newest_messages_of_a_mocks_topic_are_tried() {
    the_newest_messages_of_a_topic_are_tried(&Kafka::mock(), &Database::simulated());
}

#[test]
fn a_topic_that_cannot_be_reached_is_not_tried() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("try-away", 1);
    let sim = simulator(|_| {});
    let mut setup = Setup::new(&kafka, &topic, sim.addr())
        .routes(ROUTES)
        .run("start_timeout = \"1s\"");
    setup.brokers = "127.0.0.1:1".to_owned();
    let file = setup.file();
    let exited = run(penstock().arg("try").arg(file.path()).args(["--from-topic", "1"]));
    exited.assert_code(69);
}
