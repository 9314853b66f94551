//! Properties of librdkafka: those that are refused, and the values of the others.

use super::{Expected, KAFKA, check, good};
use penstock::config;

/// A file with `line` under `[kafka.<section>]`. It is line 6 of the file.
fn with_property(section: &str, line: &str) -> String {
    format!("{KAFKA}\n[kafka.{section}]\n{line}")
}

#[test]
fn every_refused_property_says_why() {
    for refused in config::kafka::settable::REFUSED {
        for pattern in refused.names {
            let name = match pattern.strip_prefix('*') {
                Some(end) => format!("rebalance{end}"),
                None => pattern.replace('*', "mock.num.brokers"),
            };
            for section in ["properties", "consumer", "producer"] {
                if *pattern == "message.max.bytes" && section == "producer" {
                    continue;
                }
                let key = if name.contains('.') {
                    format!("kafka.{section}.\"{name}\"")
                } else {
                    format!("kafka.{section}.{name}")
                };
                let line = format!("\"{name}\" = \"hunter2\"");
                check(
                    &with_property(section, &line),
                    &[(6, &key, refused.reason, "", refused.cure)],
                );
            }
        }
    }
}

#[test]
fn properties_are_librdkafkas_own() {
    let cases: &[(&str, &str, Expected<'_>)] = &[
        (
            "properties",
            "\"security.protocl\" = \"ssl\"",
            (
                6,
                "\"security.protocl\"",
                "knows no such property",
                "",
                "did you mean `security.protocol`?",
            ),
        ),
        (
            "properties",
            "speed = 5",
            (6, "speed", "knows no such property", "", "CONFIGURATION.md"),
        ),
        (
            "properties",
            "\"security.protocol\" = \"tls\"",
            (
                6,
                "\"security.protocol\"",
                "expected one of: plaintext, ssl",
                "\"tls\"",
                "sasl_ssl",
            ),
        ),
        (
            "properties",
            "security.protocol = \"tls\"",
            (
                6,
                "security.protocol",
                "expected one of: plaintext, ssl",
                "\"tls\"",
                "sasl_ssl",
            ),
        ),
        (
            "consumer",
            "\"session.timeout.ms\" = -5",
            (
                6,
                "\"session.timeout.ms\"",
                "expected an integer from 1 to 3600000",
                "integer -5",
                "in this range",
            ),
        ),
        (
            "consumer",
            "\"check.crcs\" = \"${env:SECRET}\"",
            (
                6,
                "\"check.crcs\"",
                "expected true or false",
                "the value of ${env:SECRET}",
                "true or false",
            ),
        ),
        (
            "properties",
            "\"sasl.oauthbearer.client.secret\" = \"hunter2\"",
            (
                6,
                "\"sasl.oauthbearer.client.secret\"",
                "not supported in this build",
                "",
                "CONFIGURATION.md",
            ),
        ),
        (
            "properties",
            "\"sasl.kerberos.min.time.before.relogin\" = \"hunter2\"",
            (
                6,
                "\"sasl.kerberos.min.time.before.relogin\"",
                "expected an integer",
                "",
                "digits alone",
            ),
        ),
        (
            "properties",
            "\"sasl.password\" = [\"hunter2\"]",
            (6, "\"sasl.password\"", "expected a string", "", "write one"),
        ),
        (
            "properties",
            "\"client.id\" = 1979-05-27",
            (6, "\"client.id\"", "expected a string", "date", "write one"),
        ),
        (
            "properties",
            "\"socket.timeout.ms\" = 99999999999999999999",
            (6, "\"socket.timeout.ms\"", "at most 64 bits", "integer 999", "smaller"),
        ),
        (
            "properties",
            "\"client.id\" = \"a\\u0000b\"",
            (
                6,
                "\"client.id\"",
                "librdkafka refuses the value",
                "a\\0b",
                "CONFIGURATION.md",
            ),
        ),
        (
            "consumer",
            "\"linger.ms\" = 5",
            (6, "\"linger.ms\"", "of the producer", "", "[kafka.producer]"),
        ),
        (
            "producer",
            "\"isolation.level\" = \"read_committed\"",
            (6, "\"isolation.level\"", "of the consumer", "", "[kafka.consumer]"),
        ),
        (
            "properties",
            "\"topic.metadata.refresh.interval.ms\" = -1",
            (
                6,
                "\"topic.metadata.refresh.interval.ms\"",
                "new partitions would never be read",
                "integer -1",
                "1 to",
            ),
        ),
        (
            "producer",
            "partitioner = \"random\"",
            (6, "partitioner", "lose their order", "\"random\"", "consistent_random"),
        ),
        (
            "consumer",
            "\"max.poll.interval.ms\" = 44999",
            (
                6,
                "\"max.poll.interval.ms\"",
                "less than session.timeout.ms",
                "44999",
                "session.timeout.ms",
            ),
        ),
        (
            "consumer",
            "\"session.timeout.ms\" = 300001",
            (
                6,
                "\"session.timeout.ms\"",
                "more than max.poll.interval.ms",
                "300001",
                "raise max.poll.interval.ms",
            ),
        ),
        (
            "consumer",
            "\"session.timeout.ms\" = 3000",
            (
                6,
                "\"session.timeout.ms\"",
                "not more than heartbeat.interval.ms",
                "3000",
                "three times",
            ),
        ),
        (
            "consumer",
            "\"heartbeat.interval.ms\" = 45000",
            (
                6,
                "\"heartbeat.interval.ms\"",
                "not less than session.timeout.ms",
                "45000",
                "a third",
            ),
        ),
        (
            "consumer",
            "\"max.poll.interval.ms\" = 4000\n\"session.timeout.ms\" = 3500",
            (
                6,
                "\"max.poll.interval.ms\"",
                "within two run.write_timeouts",
                "4000",
                "lower run.write_timeout",
            ),
        ),
        (
            "properties",
            "\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.mechanisms\" = \"PLAIN\"",
            (7, "\"sasl.mechanisms\"", "another name of a property", "", "keep one"),
        ),
    ];
    for (section, line, (at, key, problem, found, cure)) in cases {
        let key = format!("kafka.{section}.{key}");
        check(&with_property(section, line), &[(*at, &key, problem, found, cure)]);
    }
    let with_protocol = |line: &str| with_property("consumer", &format!("\"group.protocol\" = \"consumer\"\n{line}"));
    for (line, cure) in [
        ("\"session.timeout.ms\" = 6000", "group.consumer.session.timeout.ms"),
        (
            "\"heartbeat.interval.ms\" = 1000",
            "group.consumer.heartbeat.interval.ms",
        ),
        ("\"partition.assignment.strategy\" = \"range\"", "group.remote.assignor"),
    ] {
        let key = format!("kafka.consumer.{}", line.split(' ').next().unwrap_or_default());
        check(&with_protocol(line), &[(7, &key, "the brokers decide it", "", cure)]);
    }
}

#[test]
fn allowed_properties_reach_their_side() {
    let config = good(&format!(
        "{KAFKA}[kafka.properties]\nsecurity.protocol = \"SASL_SSL\"\n\"sasl.password\" = \"${{file:/run/secrets/pw}}\"\n\
         \"linger.ms\" = 7\n\"isolation.level\" = \"read_uncommitted\"\n\"socket.keepalive.enable\" = true\n\
         \"sasl.username\" = \"u\"\n\
         \"client.id\" = \"both\"\ndebug = \"cgrp\"\n\"sasl.mechanisms\" = \"PLAIN\"\n\
         [kafka.consumer]\n\"client.id\" = \"c\"\n\"group.instance.id\" = \"${{env:TOPIC}}\"\n\"check.crcs\" = true\n\
         \"sasl.mechanism\" = \"SCRAM-SHA-256\"\n[kafka.producer]\n\"message.max.bytes\" = 2000000\n"
    ));
    let plain = |properties: &[(String, config::model::Secret)]| -> Vec<String> {
        properties
            .iter()
            .map(|(name, value)| format!("{name}={}", value.0))
            .collect()
    };
    assert_eq!(
        plain(&config.kafka.consumer_properties),
        [
            "check.crcs=true",
            "client.id=c",
            "debug=cgrp",
            "group.instance.id=events",
            "isolation.level=read_uncommitted",
            "sasl.mechanism=SCRAM-SHA-256",
            "sasl.password=hunter2",
            "sasl.username=u",
            "security.protocol=SASL_SSL",
            "socket.keepalive.enable=true",
        ]
    );
    assert_eq!(
        plain(&config.kafka.producer_properties),
        [
            "client.id=both",
            "debug=cgrp",
            "linger.ms=7",
            "message.max.bytes=2000000",
            "sasl.mechanism=PLAIN",
            "sasl.password=hunter2",
            "sasl.username=u",
            "security.protocol=SASL_SSL",
            "socket.keepalive.enable=true",
        ]
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    good(&with_property(
        "consumer",
        "\"group.protocol\" = \"consumer\"\n\"max.poll.interval.ms\" = 10000",
    ));
}
