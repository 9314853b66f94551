//! The keys of `[kafka]`.

use super::{AEROSPIKE, Expected, ROUTE, check, check_each, check_file};

#[test]
fn kafka_is_checked() {
    let kafka = |line: &str| match line.split(' ').next() {
        Some("brokers") => format!("[kafka]\ntopics = [\"events\"]\n{line}"),
        Some("topics") => format!("[kafka]\nbrokers = \"k\"\n{line}"),
        _ => format!("[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n{line}"),
    };
    let long = format!("topics = [\"{}\"]", "x".repeat(250));
    let cases: &[(&str, Expected<'_>)] = &[
        (
            "brokers = 5",
            (3, "kafka.brokers", "expected a string", "integer 5", "\"host:5\""),
        ),
        (
            "brokers = 9092.5",
            (3, "kafka.brokers", "expected a string", "float 9092.5", "\"host:9092\""),
        ),
        (
            "brokers = \"9092\"",
            (
                3,
                "kafka.brokers",
                "the host's name or address",
                "\"9092\"",
                "host:port",
            ),
        ),
        (
            "topics = \"a,b\"",
            (3, "kafka.topics", "an array", "\"a,b\"", "[\"a\", \"b\"]"),
        ),
        (
            "brokers = \"\"",
            (3, "kafka.brokers", "a host is empty", "\"\"", "host:port"),
        ),
        (
            "brokers = \"k:99999\"",
            (3, "kafka.brokers", "a port is not a number", "\"k:99999\"", "host:port"),
        ),
        (
            "brokers = \"::1\"",
            (3, "kafka.brokers", "in brackets", "\"::1\"", "host:port"),
        ),
        (
            "brokers = \"a b\"",
            (3, "kafka.brokers", "a space is not allowed", "\"a b\"", "host:port"),
        ),
        (
            "brokers = \"SASL_SSL://a:1\"",
            (
                3,
                "kafka.brokers",
                "how a broker writes its listeners",
                "SASL",
                "\"sasl_ssl\"",
            ),
        ),
        (
            "topics = \"events\"",
            (
                3,
                "kafka.topics",
                "expected an array of strings",
                "\"events\"",
                "brackets",
            ),
        ),
        (
            "topics = []",
            (
                3,
                "kafka.topics",
                "needs at least one topic",
                "an array of 0",
                "[\"events\"]",
            ),
        ),
        (
            "topics = [\"a\", 5]",
            (3, "kafka.topics[1]", "expected a string", "integer 5", "quotes"),
        ),
        (
            "topics = [\"a\",\n\"a\"]",
            (4, "kafka.topics[1]", "named twice", "\"a\"", "once"),
        ),
        (
            "topics = [\"a/b\"]",
            (3, "kafka.topics[0]", "`/` is not allowed", "\"a/b\"", "letters"),
        ),
        ("topics = [\"\"]", (3, "kafka.topics[0]", "is empty", "\"\"", "letters")),
        (
            "topics = [\"..\"]",
            (3, "kafka.topics[0]", "cannot be called so", "\"..\"", "letters"),
        ),
        (
            "topics = [\"^ev.*\"]",
            (3, "kafka.topics[0]", "a pattern", "\"^ev.*\"", "letters"),
        ),
        (
            &long,
            (
                3,
                "kafka.topics[0]",
                "topic name is 250 bytes, Kafka allows 249",
                "\"xxx",
                "letters",
            ),
        ),
        (
            "topics = [\"${env:SECRET}\"]",
            (
                3,
                "kafka.topics[0]",
                "not allowed",
                "the value of ${env:SECRET}",
                "letters",
            ),
        ),
        ("group = \"\"", (4, "kafka.group", "is empty", "\"\"", "1 to 255")),
        (
            "start = \"begin\"",
            (
                4,
                "kafka.start",
                "none of the values",
                "\"begin\"",
                "\"earliest\" or \"latest\"",
            ),
        ),
        (
            "format = \"raw\"",
            (
                4,
                "kafka.format",
                "`raw` is not known to this version",
                "\"raw\"",
                "\"json_sr\"",
            ),
        ),
        (
            "format = \"avro\"",
            (
                4,
                "kafka.format",
                "none of the values",
                "\"avro\"",
                "\"json\" or \"json_sr\"",
            ),
        ),
        (
            "format = 1",
            (4, "kafka.format", "expected a string", "integer 1", "\"json\" or"),
        ),
        (
            "properties = 5",
            (4, "kafka.properties", "expected a table", "integer 5", "[kafka]"),
        ),
    ];
    for (line, expected) in cases {
        check(&kafka(line), &[*expected]);
    }
    check_each(&[
        (
            "[kafka]\ntopics = [\"a\"]",
            (1, "kafka.brokers", "is missing", "", "brokers = "),
        ),
        (
            "[kafka]\nbrokers = \"k\"",
            (1, "kafka.topics", "is missing", "", "topics = "),
        ),
    ]);
    check_file(
        &format!("{AEROSPIKE}{ROUTE}"),
        &[(1, "kafka", "is missing", "", "[kafka]")],
    );
    check_file(
        &format!("kafka = 5\n{AEROSPIKE}{ROUTE}"),
        &[(1, "kafka", "expected a table", "integer 5", "[kafka]")],
    );
}
