//! A cluster that refuses the user, a cluster with nodes that are not reached, and a cluster that comes back while
//! nobody writes. Tested with the programs, and with simulators that behave like this.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::connect::{assert_line, check};
use crate::support::process::{Exited, Program, SimProgram, penstock, run, run_service};
use crate::support::{Kafka, Setup, Stream, is_native, simulator, wait_until};
use penstock::aerospike::health::Trouble;
use penstock::aerospike::{ConnectError, Store, StoreOptions};
use penstock::config;
use penstock::delivery::pressure::{Gate, Outcome, Pressure};
use penstock::observe::counters::Counters;
use penstock::util::stop::Stop;
use penstock_sim::{SimConfig, Simulator};

/// An address where nobody listens. The port was free a moment ago, and the system does not assign it again so soon.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn run_to_its_end(setup: &Setup) -> Exited {
    let file = setup.file();
    run(penstock().arg("run").arg(file.path()))
}

fn options(whole: bool) -> StoreOptions {
    StoreOptions {
        write_timeout: Duration::from_millis(300),
        workers: 1,
        start_timeout: Some(Duration::from_secs(60)),
        namespaces: vec!["test".into()],
        whole,
    }
}

/// Connects to the cluster with the service's own client.
fn connect(sim: &Simulator, lines: &str) -> Result<Store, ConnectError> {
    let text = format!(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"{}\"\nnamespace = \"test\"\n{lines}\n[[route]]\n\
         [[route.write]]\nkey = \"k\"\ntouch = true\n",
        sim.addr()
    );
    let config = config::parse(&text, "test.toml").unwrap();
    Store::connect(
        &config.aerospike,
        &options(true),
        Arc::new(Counters::new()),
        &Stop::new(),
    )
}

// ---- users that are refused

const LOGIN: [&str; 4] = ["--user", "penstock", "--password", "right"];
const USER: &str = "user = \"penstock\"\npassword = \"right\"";

#[test]
fn a_cluster_that_wants_a_login_is_told_at_once_where_none_is_configured() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-login", 1);
    let sim = SimProgram::start(&LOGIN);
    // There is no start_timeout, so only the refusal can end it.
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let exited = run_to_its_end(&setup);
    exited.assert_code(77);
    assert_line(
        &exited,
        &[
            "ERROR",
            "the cluster wants a login (80: not authenticated): set aerospike.user and aerospike.password",
        ],
    );
    let exited = check(&setup);
    exited.assert_code(77);
    assert_line(
        &exited,
        &[
            "error ",
            "the cluster wants a login (80: not authenticated)",
            "set aerospike.user and aerospike.password",
        ],
    );

    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let setup = setup.aerospike(USER);
    check(&setup).assert_code(0);
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn a_login_to_a_cluster_without_security_is_told_as_that() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-security", 1);
    let sim = SimProgram::start(&[]);
    let setup = Setup::new(&kafka, &topic, sim.addr).aerospike(USER);
    let cure = "remove aerospike.user and aerospike.password";
    let exited = run_to_its_end(&setup);
    exited.assert_code(77);
    assert_line(&exited, &["ERROR", "the cluster has no security", "51", cure]);
    let exited = check(&setup);
    exited.assert_code(77);
    assert_line(&exited, &["error ", "the cluster has no security", "51", cure]);

    // The answer of an enterprise edition that accepts everybody.
    sim.say("login none 52");
    let exited = check(&setup);
    exited.assert_code(0);
    assert_line(&exited, &["warning ", "security switched off", "remove them"]);
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["WARN", "security switched off"]);
    service.wait_for_line(&["aerospike: connected"]);
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn every_code_that_refuses_a_login_has_its_own_words_and_cure() {
    let sim = Simulator::start(SimConfig {
        login: Some(("penstock".into(), "right".into())),
        ..SimConfig::default()
    })
    .unwrap();
    for (code, words) in [
        (53, ["this kind of login", "log and version"]),
        (55, ["cannot read the login", "log and version"]),
        (60, ["there is no such user", "correct aerospike.user"]),
        (
            62,
            [
                "the password is missing or cannot be used",
                "correct aerospike.password",
            ],
        ),
        (63, ["the password is expired", "a new password"]),
        (64, ["the password is not allowed", "correct aerospike.password"]),
        (65, ["the password does not match", "correct aerospike.password"]),
        (
            80,
            ["not authenticated", "correct aerospike.user and aerospike.password"],
        ),
        (81, ["role violation", "grant the user read-write"]),
        (82, ["address (allowlist)", "add this machine's address"]),
        (93, ["LDAP refuses", "LDAP settings"]),
    ] {
        sim.refuse_logins(Some(code));
        let error = connect(&sim, USER).unwrap_err();
        assert!(matches!(error, ConnectError::Credentials(_)), "{code}: {error}");
        let told = error.to_string();
        assert!(words.iter().all(|words| told.contains(words)), "{code}: {told}");
        assert!(told.contains(&format!("{code}: ")) && !told.contains("right"), "{told}");
    }
    sim.refuse_logins(None);
    connect(&sim, USER).unwrap();
}

#[test]
fn a_user_who_is_dropped_while_the_service_runs_ends_it_with_the_reason() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("dropped", 1);
    let sim = SimProgram::start(&LOGIN);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let setup = Setup::new(&kafka, &topic, sim.addr).aerospike(USER);
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    sim.say("login refuse 60");
    stream.produce(10);
    let exited = service.end();
    exited.assert_code(77);
    assert_line(
        &exited,
        &["ERROR", "60: there is no such user", "correct aerospike.user"],
    );

    // Nothing is lost: what is not written is not committed.
    sim.say("login accept");
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn a_node_that_starts_anew_and_refuses_for_a_moment_ends_nothing() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("anew", 1);
    let sim = SimProgram::start(&LOGIN);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let setup = Setup::new(&kafka, &topic, sim.addr).aerospike(USER);
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    sim.say("login refuse 60");
    stream.produce(10);
    service.wait_for_line(&["writes fail", "80: not authenticated"]);
    service.wait_for_line(&["WARN", "60: there is no such user"]);
    sim.say("login accept");
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn security_that_is_switched_on_while_the_service_runs_ends_it_with_the_reason() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("switched-on", 1);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    sim.say("login user penstock right");
    stream.produce(10);
    let exited = service.end();
    exited.assert_code(77);
    assert_line(
        &exited,
        &[
            "ERROR",
            "the cluster wants a login (80",
            "set aerospike.user and aerospike.password",
        ],
    );
}

// ---- hosts where nobody answers

#[test]
fn each_host_at_which_no_node_answers_is_told_with_its_reason() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("no-node", 1);
    let sim = simulator();
    let mut setup = Setup::new(&kafka, &topic, sim.addr()).run("start_timeout = \"2s\"");
    let refused = nobody();
    setup.target = format!("{refused},no-such-host.invalid:3000").as_str().into();
    let told = format!(
        "no node answers: {refused}, which refuses the connection; no-such-host.invalid:3000, which does not resolve"
    );
    let exited = check(&setup);
    exited.assert_code(69);
    assert_line(&exited, &["error ", &told, "start it, or correct aerospike.hosts"]);
    let exited = run_to_its_end(&setup);
    exited.assert_code(69);
    assert_line(&exited, &["ERROR", "start_timeout", &told, "correct aerospike.hosts"]);
}

// ---- nodes that are not reached

#[test]
fn nodes_that_are_in_the_cluster_and_not_reached_are_named_before_the_group_is_joined() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("unreached", 1);
    let (refused, silent) = (nobody(), TcpListener::bind("127.0.0.1:0").unwrap());
    let silent = silent.local_addr().unwrap().to_string() + ",no-such-host.invalid:3000";
    let announce = [format!("B2={refused}"), format!("C3={silent}")];
    let sim = SimProgram::start(&["--nodes", "3", "--announce", &announce[0], "--announce", &announce[1]]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(20);
    let setup = Setup::new(&kafka, &topic, sim.addr);

    let exited = check(&setup);
    exited.assert_code(69);
    for (node, parts) in [
        (
            "B2",
            [format!("is {refused}, which refuses the connection"), String::new()],
        ),
        (
            "C3",
            [
                silent.split(',').next().unwrap().to_owned(),
                "no-such-host.invalid:3000, which does not resolve".to_owned(),
            ],
        ),
    ] {
        assert_line(
            &exited,
            &[
                "error ",
                "1 of the cluster's 3 nodes reached",
                &format!("node {node} says its address is"),
                &parts[0],
                &parts[1],
                &format!("correct access-address in the configuration of {node}"),
                "alternate-access-address",
            ],
        );
    }

    let limited = setup.clone().run("start_timeout = \"2s\"");
    let began = Instant::now();
    let exited = run_to_its_end(&limited);
    exited.assert_code(69);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_line(
        &exited,
        &[
            "ERROR",
            "start_timeout",
            "node B2 says",
            "node C3 says",
            "access-address",
        ],
    );
    assert!(!exited.output.contains("kafka: joining"), "{}", exited.output);

    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&[
        "waiting for the cluster",
        "node B2 says",
        "node C3 says",
        "access-address",
    ]);
    sim.say("announce B2 own");
    sim.say("announce C3 own");
    service.wait_for_line(&["aerospike: connected nodes=3"]);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    let exited = service.end();
    exited.assert_code(0);
    stream.assert_ledger(&sim);
    let joined = exited.output.find("kafka: joining").unwrap();
    assert!(
        exited.output.find("connected nodes=3").unwrap() < joined,
        "{}",
        exited.output
    );
}

#[test]
fn alternate_addresses_are_proposed_where_nodes_have_them_and_missed_where_they_do_not() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("alternate", 1);
    let sim = SimProgram::start(&["--nodes", "3"]);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let [_, b2, c3] = sim.addrs[..] else { panic!() };
    let alternate = setup.clone().aerospike("use_services_alternate = true");

    // No node has an alternate address, so the client has only the node that it was given.
    let exited = check(&alternate);
    exited.assert_code(69);
    assert_line(
        &exited,
        &[
            "error ",
            "1 of the cluster's 3 nodes reached",
            "node B2 announces no alternate address",
            "remove aerospike.use_services_alternate",
            &b2.to_string(),
        ],
    );
    let exited = run_to_its_end(&alternate.clone().run("start_timeout = \"1s\""));
    exited.assert_code(69);
    assert_line(
        &exited,
        &[
            "node C3 announces no alternate address",
            "remove aerospike.use_services_alternate",
        ],
    );

    // As in Docker: the ordinary addresses lead nowhere, the alternate ones are right.
    for (node, addr) in [("B2", b2), ("C3", c3)] {
        sim.say(&format!("announce {node} {}", nobody()));
        sim.say(&format!("announce-alternate {node} {addr}"));
    }
    let exited = check(&setup);
    exited.assert_code(69);
    for (node, addr) in [("B2", b2), ("C3", c3)] {
        let cure = format!("set aerospike.use_services_alternate = true (the alternate addresses are {addr})");
        assert_line(&exited, &["error ", &format!("node {node} says"), &cure]);
    }
    let exited = check(&alternate);
    exited.assert_code(0);
    assert_line(&exited, &["ok ", "aerospike: reached, nodes: 3"]);
}

#[test]
fn nodes_that_all_announce_one_address_are_told_apart() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("one-address", 1);
    let sim = SimProgram::start(&["--nodes", "3"]);
    for node in ["B2", "C3"] {
        sim.say(&format!("announce {node} {}", sim.addr));
    }
    let exited = check(&Setup::new(&kafka, &topic, sim.addr));
    exited.assert_code(69);
    let b2 = format!("node B2 says its address is {}, where node A1 answers", sim.addr);
    assert_line(&exited, &["error ", &b2]);
    assert_line(&exited, &["error ", "node C3 says"]);
}

#[test]
fn a_node_that_is_gone_and_missed_by_nobody_keeps_no_start_back() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("one-gone", 1);
    let sim = SimProgram::start(&["--nodes", "3"]);
    sim.say("leave C3 0ms");
    let mut stream = Stream::new(&topic, 5);
    stream.produce(20);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    check(&setup).assert_code(0);
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["aerospike: connected nodes=2"]);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn a_node_that_comes_back_where_nobody_reaches_it_is_in_the_reason() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("back-elsewhere", 1);
    let sim = SimProgram::start(&["--nodes", "3"]);
    let mut stream = Stream::new(&topic, 50);
    stream.produce(50);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let file = setup.file();
    let filter = "info,penstock::aerospike::wire=debug";
    let mut service = Program::start(penstock().env("PENSTOCK_LOG", filter).arg("run").arg(file.path()));
    topic.wait_committed(&setup.group, &stream.ends());
    // The messages are written without C3, so the client notices that C3 is gone. While it has a node on loopback, it
    // never looks for that node elsewhere.
    sim.say("unowned 11");
    sim.say("leave C3 0ms");
    stream.produce(50);
    topic.wait_committed(&setup.group, &stream.ends());
    // The native writer needs no time-out for that, so it may be faster than the client.
    if is_native() {
        service.wait_for_line(&["partition map renewed nodes=2"]);
    }
    let nobody = nobody();
    sim.say(&format!("announce C3 {nobody}"));
    sim.say("join C3 elsewhere");
    stream.produce(50);
    service.wait_for_line(&["WARN", "aerospike: 2 of the cluster's 3 nodes reached", "node C3 says"]);
    service.wait_for_line(&[
        "writes fail",
        "11: the record's partition is not available now",
        &format!("node C3 says its address is {nobody}, which refuses the connection"),
        "correct access-address in the configuration of C3",
    ]);
    sim.say("announce C3 own");
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
}

// ---- the reported reason is the right one

#[test]
fn rows_that_merely_were_in_the_call_are_not_its_reason() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("reason", 1);
    let sim = SimProgram::start(&[]);
    let routes = r#"
[[route]]
  [[route.write]]
  set = "gone"
  key = "{id}:gone"
  delete = true

  [[route.write]]
  set = "all"
  key = "id"
  bins = ["n"]
"#;
    let mut stream = Stream::new(&topic, 5);
    stream.produce(40);
    // There is no record to delete: those rows are answered with 2, and are done.
    sim.say("records 18 50%");
    let setup = Setup::new(&kafka, &topic, sim.addr).routes(routes);
    let file = setup.file();
    let mut service = run_service(file.path());
    let line = service.wait_for_line(&["writes fail", "reason="]);
    assert!(line.contains("reason=\"18: the device cannot keep up"), "{line}");
    sim.say("clear");
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    let exited = service.end();
    exited.assert_code(0);
    assert!(!exited.output.contains("Key not found"), "{}", exited.output);
}

// ---- an outage that is over

#[test]
fn a_database_that_is_back_is_found_though_nobody_has_anything_to_write() {
    let sim = simulator();
    let store = Arc::new(connect(&sim, "").unwrap());
    let pressure = Arc::new(Pressure::new(4000, None, Arc::new(Counters::new())));
    sim.faults().refuse(true);
    // A worker's call fails. Then its partition is revoked, and the worker ends.
    let permit = pressure.enter(1, &Stop::new(), Duration::ZERO, &|| {}).unwrap();
    let began = Instant::now();
    permit.done(Outcome {
        unanswered: 1,
        ..Outcome::default()
    });
    store.health().failed(began, 1, 1, "gone");
    assert_eq!(pressure.view().gate, Gate::Closed);

    let look = || {
        store.look_out(&pressure);
        (pressure.view().gate, store.health().failing_for().is_some())
    };
    // While the database is away, the log says so.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert_eq!(look(), (Gate::Closed, true));
        std::thread::park_timeout(Duration::from_millis(50));
    }
    sim.faults().refuse(false);
    wait_until("the gate to open", look, |(gate, is_failing)| {
        *gate != Gate::Closed && !is_failing
    });
    assert!(sim.records("test", "").is_empty(), "looking writes nothing");
}

#[test]
fn a_gate_that_is_closed_opens_though_no_call_is_known_to_fail() {
    let sim = simulator();
    let store = Arc::new(connect(&sim, "").unwrap());
    let pressure = Arc::new(Pressure::new(4000, None, Arc::new(Counters::new())));
    let permit = pressure.enter(1, &Stop::new(), Duration::ZERO, &|| {}).unwrap();
    permit.done(Outcome {
        unanswered: 1,
        ..Outcome::default()
    });
    let gate = || {
        store.look_out(&pressure);
        pressure.view().gate
    };
    wait_until("the gate to open", gate, |gate| *gate != Gate::Closed);
}

#[test]
fn an_outage_is_over_for_a_member_whose_failing_partition_was_taken_away() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("taken-away", 1);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(10);
    let setup = Setup::new(&kafka, &topic, sim.addr).consumer(
        "session.timeout.ms = 3000\nheartbeat.interval.ms = 300\ntopic.metadata.refresh.interval.ms = 300\n\
         topic.metadata.propagation.max.ms = 300",
    );
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    sim.say("refuse");
    stream.produce(10);
    service.wait_for_line(&["pressure: closed"]);
    // The brokers say that the topic does not exist, so the group assigns no partitions.
    kafka.fail_topic(&topic.name);
    // Wait until its worker has ended. Before that, the worker itself may notice that the database is back.
    service.wait_for_line(&["progress", "partitions=0", "state=waiting-for-aerospike"]);
    sim.say("accept");
    service.wait_for_line(&["pressure: open again"]);
    service.wait_for_line(&["aerospike: answers again, and no row waits for it"]);
    kafka.heal_topic(&topic.name);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
}

#[test]
fn an_outage_of_some_rows_is_over_when_reads_are_answered_and_nobody_tries_any_more() {
    let sim = simulator();
    let store = Arc::new(connect(&sim, "").unwrap());
    let pressure = Arc::new(Pressure::new(4000, None, Arc::new(Counters::new())));
    store.health().failed(Instant::now(), 2, 1, "one of its rows");
    // The worker that has rows in flight logs it.
    let permit = pressure.enter(1, &Stop::new(), Duration::ZERO, &|| {}).unwrap();
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        store.look_out(&pressure);
        assert!(store.health().failing_for().is_some());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    drop(permit);
    let failing = || {
        store.look_out(&pressure);
        store.health().failing_for()
    };
    wait_until("the outage to be over", failing, Option::is_none);
}

#[test]
fn a_namespace_that_nobody_has_rows_for_any_more_is_not_called_closed_for_ever() {
    let sim = simulator();
    let store = Arc::new(connect(&sim, "").unwrap());
    let pressure = Arc::new(Pressure::new(4000, None, Arc::new(Counters::new())));
    store.health().trouble(&Trouble::NamespaceClosed(8), "test");
    assert_eq!(store.health().closed(), ["test"]);
    let closed = || {
        store.look_out(&pressure);
        store.health().closed()
    };
    wait_until("the namespace to be forgotten", closed, Vec::is_empty);
}
