//! Clients that connect to the wrong listener of a real broker, and a group that refuses a member.
//! `tests/it/kafka_faults.rs` tests ports that do not belong to a broker.

use std::path::PathBuf;

use crate::support::connect::assert_line;
use crate::support::process::{penstock, run, run_service};
use crate::support::{Database, Kafka, Setup, listener};

const LOGIN: &str = "security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = \"me\"\n\
                     sasl.password = \"right\"\n";

fn tls() -> String {
    let ca: PathBuf = [env!("CARGO_MANIFEST_DIR"), ".cache", "kafka", "tls", "ca.pem"]
        .iter()
        .collect();
    format!("security.protocol = \"ssl\"\nssl.ca.location = \"{}\"\n", ca.display())
}

#[test]
#[ignore = "make test-kafka"]
fn each_listener_that_a_client_is_not_configured_for_names_its_cure() {
    let kafka = Kafka::real();
    let topic = kafka.topic("listeners", 1);
    let database = Database::from_env();
    let (plain, login, with_tls) = (kafka.brokers.clone(), listener("LOGIN"), listener("TLS"));
    let controller = listener("CONTROLLER");
    let cases: [(&str, &str, i32, &[&str]); 11] = [
        (&plain, "", 0, &["ok ", "kafka: reached"]),
        (&login, LOGIN, 0, &["ok ", "kafka: reached"]),
        (&with_tls, &tls(), 0, &["ok ", "kafka: reached"]),
        (&with_tls, "", 78, &["speaks TLS", "\"ssl\""]),
        (&plain, &tls(), 78, &["has no TLS", "\"plaintext\""]),
        (&login, &tls(), 78, &["has no TLS", "\"sasl_plaintext\""]),
        (&login, "", 78, &["wants a login", "\"sasl_plaintext\"", "(PLAIN)"]),
        (&plain, LOGIN, 77, &["asks for no login", "remove sasl.*"]),
        (
            &login,
            &LOGIN.replace("PLAIN", "SCRAM-SHA-512"),
            78,
            &["does not have the", "sasl.mechanism", "has: PLAIN"],
        ),
        (
            &login,
            &LOGIN.replace("right", "wrong-secret"),
            77,
            &["refuses the login", "sasl.password"],
        ),
        (
            &with_tls,
            "security.protocol = \"ssl\"",
            78,
            &["an authority that is not known here", "ssl.ca.location"],
        ),
    ];
    let assert_told = |brokers: &str, properties: &str, code: i32, parts: &[&str]| {
        let mut setup = Setup::new(&kafka, &topic, &database).consumer(properties);
        setup.brokers = brokers.to_owned();
        let file = setup.file();
        let exited = run(penstock().arg("check").arg(file.path()).arg("--connect"));
        exited.assert_code(code);
        assert_line(&exited, parts);
        if code != 0 {
            let exited = run_service(file.path()).end();
            exited.assert_code(code);
            assert_line(&exited, parts);
            assert!(!exited.output.contains("wrong-secret"), "{}", exited.output);
        }
    };
    for (brokers, properties, code, parts) in cases {
        assert_told(brokers, properties, code, parts);
    }
    assert_told(
        &controller,
        "",
        78,
        &["this port answers", "a KRaft controller's", "advertised.listeners"],
    );
}

#[test]
#[ignore = "make test-kafka"]
fn a_session_that_the_brokers_refuse_ends_the_service_with_its_cure() {
    let kafka = Kafka::real();
    let topic = kafka.topic("session", 1);
    let database = Database::from_env();
    // The broker takes more than a second.
    let setup = Setup::new(&kafka, &topic, &database)
        .consumer("session.timeout.ms = 500\nheartbeat.interval.ms = 100\nmax.poll.interval.ms = 10000");
    let file = setup.file();
    let exited = run_service(file.path()).end();
    exited.assert_code(78);
    assert_line(
        &exited,
        &[
            "ERROR",
            "InvalidSessionTimeout",
            "session.timeout.ms",
            "group.min.session.timeout.ms",
        ],
    );
}

#[test]
#[ignore = "make test-kafka"]
fn a_member_with_another_strategy_than_the_groups_ends_with_its_cure() {
    let kafka = Kafka::real();
    let topic = kafka.topic("strategies", 1);
    let database = Database::from_env();
    let strategy = |name: &str| format!("\"partition.assignment.strategy\" = \"{name}\"");
    let first = Setup::new(&kafka, &topic, &database).consumer(&strategy("range"));
    let mut second = Setup::new(&kafka, &topic, &database).consumer(&strategy("roundrobin"));
    second.group = first.group.clone();
    let (first_file, second_file) = (first.file(), second.file());
    let mut service = run_service(first_file.path());
    service.wait_for_line(&["kafka: assigned", &topic.name]);
    let exited = run_service(second_file.path()).end();
    exited.assert_code(78);
    assert_line(
        &exited,
        &["ERROR", "InconsistentGroupProtocol", "partition.assignment.strategy"],
    );
    service.signal("TERM");
    service.end().assert_code(0);
}
