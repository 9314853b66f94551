//! `[kafka.properties]`, `[kafka.consumer]`, `[kafka.producer]`: what is told of values that librdkafka would read as
//! something else, of Java's names, and of properties that do not fit together.

use penstock::config::{self, Fault};

/// The faults of a file with these lines, from line 4 on, below `[kafka.properties]`.
fn faults(lines: &str) -> Vec<Fault> {
    let text = format!(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[kafka.properties]\n{lines}\n[aerospike]\nhosts = \"a\"\n\
         namespace = \"n\"\n[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n"
    );
    config::parse(&text, "penstock.toml").map_or_else(|faults| faults.faults, |_| Vec::new())
}

/// One fault and no other, of this property, that says these things.
fn assert_fault(lines: &str, name: &str, problem: &str, cure: &str) {
    let faults = faults(lines);
    let [fault] = faults.as_slice() else {
        panic!("{lines}\n{faults:#?}");
    };
    assert!(fault.key.contains(name), "{lines}: {fault}");
    assert!(fault.problem.contains(problem), "{lines}: {fault}");
    assert!(fault.cure.contains(cure), "{lines}: {fault}");
}

const LOGIN: &str = "security.protocol = \"sasl_ssl\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = \"me\"\n\
                     sasl.password = \"secret\"\n";

#[test]
fn a_value_that_librdkafka_would_read_as_another_is_a_fault() {
    for (line, name, problem, cure) in [
        (
            "session.timeout.ms = \"10s\"",
            "session.timeout.ms",
            "an integer from 1 to 3600000",
            "write 10000, in milliseconds",
        ),
        (
            "session.timeout.ms = 10.5",
            "session.timeout.ms",
            "an integer",
            "digits alone",
        ),
        (
            "session.timeout.ms = \"1e4\"",
            "session.timeout.ms",
            "an integer",
            "write 10000, in milliseconds",
        ),
        (
            "session.timeout.ms = \"soon\"",
            "session.timeout.ms",
            "an integer",
            "e.g. 45000",
        ),
        (
            "partition.assignment.strategy = \"org.apache.kafka.clients.consumer.CooperativeStickyAssignor\"",
            "partition.assignment.strategy",
            "roundrobin",
            "write \"cooperative-sticky\"",
        ),
        (
            "partition.assignment.strategy = \"CooperativeSticky\"",
            "partition.assignment.strategy",
            "roundrobin",
            "write \"cooperative-sticky\"",
        ),
        (
            "partition.assignment.strategy = \"org.apache.kafka.clients.consumer.RangeAssignor,RoundRobin\"",
            "partition.assignment.strategy",
            "roundrobin",
            "write \"range,roundrobin\"",
        ),
        (
            "partition.assignment.strategy = \"fair\"",
            "partition.assignment.strategy",
            "cooperative-sticky",
            "write one of them",
        ),
        (
            "security.protocol = \"sasl_ssl\"\nsasl.mechanism = \"SCRAM-SHA256\"",
            "sasl.mechanism",
            "expected one of",
            "did you mean SCRAM-SHA-256?",
        ),
        (
            "session.timeout.ms = true",
            "session.timeout.ms",
            "an integer",
            "digits alone",
        ),
        (
            "fetch.min.bytes = \"1 MB\"",
            "fetch.min.bytes",
            "an integer",
            "write 1048576",
        ),
        ("check.crcs = \"yes\"", "check.crcs", "true or false", "true or false"),
        (
            "isolation.level = \"commited\"",
            "isolation.level",
            "read_committed",
            "read_committed",
        ),
        ("debug = \"network\"", "debug", "broker, topic", "write one of"),
        (
            "linger.ms = \"5ms\"",
            "linger.ms",
            "a number from 0 to 900000",
            "digits alone",
        ),
    ] {
        assert_fault(line, name, problem, cure);
    }
    for line in [
        "session.timeout.ms = 10_000",
        "session.timeout.ms = \"10000\"",
        "linger.ms = 0.5",
        "check.crcs = \"True\"",
        "isolation.level = \"READ_COMMITTED\"",
        "debug = \"broker,cgrp\"",
    ] {
        assert_eq!(faults(line), [], "{line}");
    }
}

#[test]
fn a_name_of_the_java_clients_is_told_with_what_to_write_instead() {
    for foreign in config::kafka_foreign::FOREIGN {
        for name in foreign.names {
            let name = name.replace('*', "password");
            assert_fault(&format!("{name} = \"hunter2\""), &name, foreign.reason, foreign.cure);
        }
    }
    for (line, cure) in [
        ("bootstrap.servers = \"k\"", "kafka.brokers"),
        ("auto.offset.reset = \"earliest\"", "kafka.start"),
        ("group.id = \"g\"", "kafka.group"),
        ("enable.auto.commit = true", "remove it"),
    ] {
        assert_fault(line, "kafka.properties", "cannot be set", cure);
    }
}

#[test]
fn a_login_or_tls_that_nobody_would_use_is_a_fault() {
    let protocol = "security.protocol";
    for (lines, name, problem, cure) in [
        (
            LOGIN.replace("security.protocol = \"sasl_ssl\"\n", ""),
            "sasl.",
            "nobody logs in: security.protocol is not set",
            "sasl_plaintext",
        ),
        (
            LOGIN.replace("sasl_ssl", "ssl"),
            "sasl.",
            "nobody logs in: security.protocol is ssl",
            "sasl_ssl",
        ),
        (
            "ssl.ca.location = \"/ca.pem\"".to_owned(),
            "ssl.ca.location",
            "nothing is encrypted",
            "\"ssl\"",
        ),
        (
            format!(
                "{}ssl.ca.location = \"/ca.pem\"",
                LOGIN.replace("sasl_ssl", "sasl_plaintext")
            ),
            "ssl.ca.location",
            "nothing is encrypted",
            "\"sasl_ssl\"",
        ),
        (
            LOGIN.replace("sasl.mechanism = \"PLAIN\"\n", ""),
            protocol,
            "there is no sasl.mechanism",
            "SCRAM-SHA-512",
        ),
        (
            LOGIN.replace("sasl.password = \"secret\"\n", ""),
            "sasl.mechanism",
            "needs a user and a password",
            "write sasl.password",
        ),
        (
            "security.protocol = \"sasl_ssl\"\nsasl.mechanism = \"OAUTHBEARER\"".to_owned(),
            "sasl.mechanism",
            "no token",
            "SCRAM-SHA-512",
        ),
        (
            LOGIN.replace("PLAIN", "GSSAPI"),
            "sasl.mechanism",
            "Kerberos (GSSAPI) is not built",
            "SCRAM-SHA-512",
        ),
        (
            "security.protocol = \"ssl\"\nssl.keystore.location = \"/k.p12\"".to_owned(),
            "ssl.keystore.location",
            "has a password",
            "ssl.keystore.password",
        ),
        (
            "security.protocol = \"ssl\"\nssl.keystore.location = \"/k.jks\"\nssl.keystore.password = \"x\"".to_owned(),
            "ssl.keystore.location",
            "Java key store",
            "PKCS12",
        ),
    ] {
        assert_fault(&lines, name, problem, cure);
    }
    assert_eq!(faults(LOGIN), []);
    assert_eq!(
        faults("security.protocol = \"ssl\"\nssl.ca.location = \"/not/here.pem\""),
        []
    );
    // Of one side alone, and of the side that it is for.
    assert_eq!(
        faults(&format!(
            "client.id = \"c\"\n[kafka.consumer]\n{LOGIN}[kafka.producer]\n{LOGIN}"
        )),
        []
    );
    assert_fault(
        "client.id = \"c\"\n[kafka.producer]\nsasl.username = \"me\"",
        "kafka.producer.sasl.username",
        "nobody logs in",
        "security.protocol",
    );
}

#[test]
fn what_librdkafka_would_not_start_with_is_a_fault() {
    for (lines, name, problem) in [
        (
            "partition.assignment.strategy = \"range,cooperative-sticky\"",
            "partition.assignment.strategy",
            "protocol type",
        ),
        (
            "reconnect.backoff.ms = 500\nreconnect.backoff.max.ms = 100",
            "reconnect.backoff",
            "must be >=",
        ),
        (
            "queue.buffering.backpressure.threshold = 5",
            "queue.buffering.backpressure.threshold",
            "must be set to 1",
        ),
    ] {
        assert_fault(lines, name, problem, "CONFIGURATION.md");
    }
}
