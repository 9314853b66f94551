//! `[kafka.properties]`, `[kafka.consumer]`, `[kafka.producer]`: faults of values that librdkafka would misread, of
//! Java's names, and of properties that contradict each other.

use penstock::config::{self, Fault};

/// The faults of a file with these lines below `[kafka.properties]`, from line 4 on.
fn faults(lines: &str) -> Vec<Fault> {
    let text = format!(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[kafka.properties]\n{lines}\n[aerospike]\nhosts = \"a\"\n\
         namespace = \"n\"\n[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n"
    );
    config::parse(&text, "penstock.toml").map_or_else(|faults| faults.faults, |_| Vec::new())
}

/// There is exactly one fault, of this property, with these texts.
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
        (
            "check.crcs = \"yes\"",
            "check.crcs",
            "true or false",
            "write true, without",
        ),
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
            "write 5: librdkafka knows no units",
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
    for foreign in config::kafka::foreign::FOREIGN {
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
    // Properties of one client only. The fault is in that client's table.
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

/// What `check` and `run` report about the files and texts for TLS, with these lines.
fn faults_of_tls(lines: &str) -> Vec<Fault> {
    let text = format!(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[kafka.properties]\n\"security.protocol\" = \"ssl\"\n{lines}\n[aerospike]\n\
         hosts = \"a\"\nnamespace = \"n\"\n[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n"
    );
    let config = config::parse(&text, "penstock.toml").unwrap_or_else(|faults| panic!("{faults}"));
    config::kafka::tls_files::look(&config.kafka)
}

#[test]
fn a_file_of_tls_that_is_not_what_it_ought_to_be_is_told_before_a_client_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let missing = folder.path().join("missing.pem").display().to_string();
    let itself = folder.path().display().to_string();
    let text = file("text.pem", b"hunter2\n");
    let empty = file("empty.pem", b"");
    let der = file("der.crt", b"\x30\x82\x01\xff\xfe");
    let key = file(
        "key.pem",
        b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
    );
    let broken = file(
        "broken.pem",
        b"-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n",
    );
    let jks = file("store.p12", b"\xfe\xed\xfe\xed\x00");
    // Tuples of property, file, problem, cure.
    for (name, path, problem, cure) in [
        ("ssl.ca.location", &missing, "no such file", "PEM certificate"),
        ("ssl.ca.location", &itself, "a folder without", "name a file"),
        (
            "ssl.ca.location",
            &text,
            "is no PEM certificate",
            "-----BEGIN CERTIFICATE-----",
        ),
        ("ssl.ca.location", &empty, "it is empty", "name a file"),
        ("ssl.ca.location", &der, "DER", "openssl x509"),
        ("ssl.ca.location", &broken, "OpenSSL refuses it", "correct it"),
        ("ssl.certificate.location", &key, "holds a PRIVATE KEY", "name a file"),
        ("ssl.certificate.location", &itself, "a folder", "name a file"),
        ("ssl.key.location", &missing, "no such file", "PEM private key"),
        ("ssl.key.location", &broken, "holds a CERTIFICATE", "name a file"),
        ("ssl.crl.location", &missing, "no such file", "revocation list"),
        ("ssl.keystore.location", &missing, "no such file", "PKCS#12"),
        ("ssl.keystore.location", &jks, "JKS", "keytool"),
        ("ssl.keystore.location", &key, "is PEM", "ssl.certificate.location"),
    ] {
        let password = match name {
            "ssl.keystore.location" => "\n\"ssl.keystore.password\" = \"hunter2\"",
            _ => "",
        };
        let fault = fault_of_tls(&format!("\"{name}\" = \"{path}\"{password}"), name, problem, cure);
        let found = fault.found.as_deref().unwrap_or_default();
        assert!(found.contains(&itself), "the file is named: {fault}");
    }
    std::fs::write(folder.path().join("1a2b3c4d.0"), b"").unwrap();
    assert_eq!(faults_of_tls(&format!("ssl.ca.location = \"{itself}\"")), []);
}

/// There is exactly one fault. It has these texts and no secret.
fn fault_of_tls(lines: &str, name: &str, problem: &str, cure: &str) -> Fault {
    let faults = faults_of_tls(lines);
    let [fault] = faults.as_slice() else {
        panic!("{lines}\n{faults:#?}");
    };
    assert_eq!(fault.line, 6, "{lines}: {fault}");
    assert!(fault.key.contains(name), "{lines}: {fault}");
    assert!(fault.problem.contains(problem), "{lines}: {fault}");
    assert!(fault.cure.contains(cure), "{lines}: {fault}");
    assert!(!fault.to_string().contains("hunter2"), "{lines}: {fault}");
    fault.clone()
}

#[test]
fn a_text_of_tls_that_openssl_would_refuse_is_told_and_not_shown() {
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END PRIVATE KEY-----";
    for (name, value, problem, cure) in [
        ("ssl.ca.pem", "hunter2", "is no PEM certificate", "ssl.ca.location"),
        (
            "ssl.key.pem",
            "-----BEGIN hunter2",
            "is no PEM private key",
            "ssl.key.location",
        ),
        (
            "ssl.certificate.pem",
            "-----BEGIN hunter2-----",
            "is no PEM",
            "its END line",
        ),
        ("ssl.key.pem", KEY, "OpenSSL refuses it", "goes with the certificate"),
        ("ssl.cipher.suites", "foo", "OpenSSL refuses it", "ECDHE"),
        ("ssl.sigalgs.list", "foo", "OpenSSL refuses it", "OpenSSL knows"),
    ] {
        fault_of_tls(&format!("\"{name}\" = \"{value}\""), name, problem, cure);
    }
    for lines in [
        "",
        "ssl.ca.location = \"probe\"",
        "ssl.cipher.suites = \"ECDHE-RSA-AES256-GCM-SHA384\"",
        "ssl.endpoint.identification.algorithm = \"none\"",
    ] {
        assert_eq!(faults_of_tls(lines), [], "{lines}");
    }
}

#[test]
fn what_librdkafka_would_not_start_with_is_a_fault() {
    for (lines, name, problem, cure) in [
        (
            "partition.assignment.strategy = \"range,cooperative-sticky\"",
            "partition.assignment.strategy",
            "protocol type",
            "write \"cooperative-sticky\" alone",
        ),
        (
            "reconnect.backoff.ms = 500\nreconnect.backoff.max.ms = 100",
            "reconnect.backoff",
            "must be >=",
            "raise reconnect.backoff.max.ms, 10000 by default",
        ),
        (
            "receive.message.max.bytes = 1000",
            "receive.message.max.bytes",
            "must be >=",
            "100000000 by default",
        ),
        (
            "queue.buffering.backpressure.threshold = 5",
            "queue.buffering.backpressure.threshold",
            "must be set to 1",
            "CONFIGURATION.md",
        ),
    ] {
        assert_fault(lines, name, problem, cure);
    }
}
