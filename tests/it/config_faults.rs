//! What a configuration file may say, and what is said of one that is wrong.
//!
//! Each case is a piece of a file with all that is wrong with it. The sections that a piece does not have come after it
//! in a form without faults, so that lines count from its own first.

use crate::support::schema;
use penstock::config::{self, Config, Fault, Outside, operations};

/// An environment and files of the test's own.
struct Fixed;

impl Outside for Fixed {
    fn env(&self, name: &str) -> Result<String, String> {
        match name {
            "SECRET" => Ok("hunter2 {".to_owned()),
            "TOPIC" => Ok("events".to_owned()),
            "NUMBER" => Ok("5".to_owned()),
            "DURATION" => Ok("5s".to_owned()),
            "TRUE" => Ok("true".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err("is not set".to_owned()),
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        match path {
            "/run/secrets/pw" => Ok("hunter2\n".to_owned()),
            _ => Err("cannot be read: no such file".to_owned()),
        }
    }
}

const KAFKA: &str = "[kafka]\nbrokers = \"k:9092\"\ntopics = [\"events\"]\n";
const AEROSPIKE: &str = "[aerospike]\nhosts = \"a:3000\"\nnamespace = \"test\"\n";
const ROUTE: &str = "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }\n";

/// The piece, and what it lacks for a whole file.
fn whole(piece: &str) -> String {
    let mut text = format!("{piece}\n");
    for (header, section) in [("[kafka]", KAFKA), ("[aerospike]", AEROSPIKE), ("[[route]]", ROUTE)] {
        if !piece.contains(header) {
            text.push_str(section);
        }
    }
    text
}

fn parse(text: &str) -> Result<Config, config::Faults> {
    config::parse_with(text, "penstock.toml", &Fixed)
}

fn good(piece: &str) -> Config {
    match parse(&whole(piece)) {
        Ok(config) => {
            schema::assert_accepts(&whole(piece));
            config
        }
        Err(faults) => panic!("{piece}\nhas no fault, but:\n{faults}"),
    }
}

/// Line, key, and a part of the problem, of what was found and of the cure.
type Expected<'a> = (usize, &'a str, &'a str, &'a str, &'a str);

fn matches(fault: &Fault, (line, key, problem, found, cure): &Expected<'_>) -> bool {
    let found_matches = match &fault.found {
        None => found.is_empty(),
        Some(text) => !found.is_empty() && text.contains(found),
    };
    fault.line == *line
        && fault.key == *key
        && fault.problem.contains(problem)
        && found_matches
        && fault.cure.contains(cure)
        && !fault.cure.is_empty()
}

/// The file has these faults and no others.
fn check_file(text: &str, expected: &[Expected<'_>]) {
    let Err(faults) = parse(text) else {
        panic!("{text}\nhas faults, but was taken");
    };
    let said = faults.to_string();
    assert!(!said.contains("hunter2"), "a secret is told:\n{said}");
    let same = faults.faults.len() == expected.len()
        && faults
            .faults
            .iter()
            .zip(expected)
            .all(|(fault, expected)| matches(fault, expected));
    assert!(same, "{text}\nexpected: {expected:#?}\nfaults:\n{said}");
}

fn check(piece: &str, expected: &[Expected<'_>]) {
    check_file(&whole(piece), expected);
}

/// One fault, in a piece with one.
fn check_each(cases: &[(&str, Expected<'_>)]) {
    for (piece, expected) in cases {
        check(piece, &[*expected]);
    }
}

/// One fault in `line`, the fifth of a file: a line of a write with `each`.
fn check_write(cases: &[(&str, &str, &str, &str, &str)]) {
    for (line, key, problem, found, cure) in cases {
        let name = line.split([' ', '=']).next().unwrap_or_default();
        let mut piece = String::from("[[route]]\n[[route.write]]\neach = \"items\"\n");
        let (first, second) = match name {
            "key" => ("bins = { a = \"a\" }", ""),
            "bins" => ("key = \"id\"", ""),
            _ => ("key = \"id\"", "bins = { a = \"a\" }"),
        };
        piece.push_str(&format!("{first}\n{line}\n{second}\n"));
        let key = format!("route[0].write[0].{key}");
        check(&piece, &[(5, &key, problem, found, cure)]);
    }
}

#[test]
fn quantities_need_their_unit_and_their_range() {
    check_each(&[
        (
            "[run]\nmemory = 5",
            (2, "run.memory", "a size needs a unit", "integer 5", "\"5MiB\""),
        ),
        (
            "[run]\nmemory = \"512\"",
            (2, "run.memory", "a size needs a unit", "\"512\"", "MiB"),
        ),
        (
            "[run]\nmemory = \"512M\"",
            (2, "run.memory", "not a unit of a size", "\"512M\"", "KiB"),
        ),
        (
            "[run]\nmemory = \"lots\"",
            (2, "run.memory", "a whole number and a unit", "\"lots\"", "MiB"),
        ),
        (
            "[run]\nmemory = \"1MiB\"",
            (
                2,
                "run.memory",
                "below the least, 16MiB",
                "\"1MiB\"",
                "\"16MiB\" to \"1TiB\"",
            ),
        ),
        (
            "[run]\nmemory = \"2TiB\"",
            (2, "run.memory", "above the most, 1TiB", "\"2TiB\"", "\"1TiB\""),
        ),
        (
            "[run]\nmemory = \"99999999999999999999MiB\"",
            (2, "run.memory", "this large cannot be told", "\"9999", "MiB"),
        ),
        (
            "[run]\nmemory = true",
            (2, "run.memory", "expected a string", "boolean true", "quotes"),
        ),
        (
            "[run]\ncommit_interval = 1",
            (
                2,
                "run.commit_interval",
                "a duration needs a unit",
                "integer 1",
                "\"1s\"",
            ),
        ),
        (
            "[run]\ncommit_interval = \"1.5s\"",
            (2, "run.commit_interval", "a whole number", "\"1.5s\"", "ms, s, m"),
        ),
        (
            "[run]\ncommit_interval = \"1ms\"",
            (2, "run.commit_interval", "below the least, 10ms", "1ms", "\"5m\""),
        ),
        (
            "[run]\ncommit_interval = \"0\"",
            (2, "run.commit_interval", "needs a unit", "\"0\"", "10ms"),
        ),
        (
            "[run]\nstart_timeout = 0",
            (
                2,
                "run.start_timeout",
                "needs a unit",
                "integer 0",
                "\"0\" for no limit",
            ),
        ),
        (
            "[run]\nstart_timeout = \"0s1\"",
            (2, "run.start_timeout", "not a unit", "0s1", "\"0\" for no limit"),
        ),
        (
            "[run]\nstart_timeout = \"9d\"",
            (2, "run.start_timeout", "above the most, 1d", "9d", "\"1s\" to \"1d\""),
        ),
        (
            "[run]\nstart_timeout = \"1ms\"",
            (2, "run.start_timeout", "below the least", "1ms", "\"1s\" to \"1d\""),
        ),
        (
            "[run]\nwrite_timeout = \"2m\"",
            (2, "run.write_timeout", "above the most, 1m", "2m", "\"10ms\" to \"1m\""),
        ),
        (
            "[run]\nbatch_rows_max = 0",
            (2, "run.batch_rows_max", "out of range", "integer 0", "1 to 5000"),
        ),
        (
            "[run]\nbatch_rows_max = 5001",
            (2, "run.batch_rows_max", "out of range", "integer 5001", "1 to 5000"),
        ),
        (
            "[run]\nguard_epoch = -1",
            (2, "run.guard_epoch", "out of range", "integer -1", "0 to 4294967295"),
        ),
        (
            "[run]\nguard_epoch = 4294967296",
            (2, "run.guard_epoch", "out of range", "4294967296", "0 to 4294967295"),
        ),
        (
            "[run]\nbatch_rows_max = \"5\"",
            (
                2,
                "run.batch_rows_max",
                "expected an integer",
                "\"5\"",
                "batch_rows_max = 5, without quotes",
            ),
        ),
        (
            "[run]\nbatch_rows_max = 5.0",
            (2, "run.batch_rows_max", "expected an integer", "float 5.0", "1 to 5000"),
        ),
        (
            "[run]\nbatch_rows_max = 99999999999999999999",
            (2, "run.batch_rows_max", "out of range", "integer 9999", "1 to 5000"),
        ),
        (
            "[run]\nbatch_rows_max = \"${env:SECRET}\"",
            (
                2,
                "run.batch_rows_max",
                "expected an integer",
                "the value of ${env:SECRET}",
                "1 to 5000",
            ),
        ),
        (
            "[run]\npartitions_max = -1",
            (2, "run.partitions_max", "out of range", "integer -1", "0 to 10000"),
        ),
    ]);
}

#[test]
fn the_keys_of_run_agree_with_each_other() {
    check_each(&[
        (
            "[run]\nshutdown_grace = \"3s\"",
            (
                2,
                "run.shutdown_grace",
                "less than two write_timeouts",
                "\"3s\"",
                "\"4s\" or more",
            ),
        ),
        (
            "[run]\nwrite_timeout = \"4500ms\"",
            (
                2,
                "run.write_timeout",
                "less than two write_timeouts",
                "4500ms",
                "shutdown_grace = \"9s\"",
            ),
        ),
        (
            "[run]\nwrite_timeout = \"1s\"\nshutdown_grace = \"1999ms\"",
            (
                3,
                "run.shutdown_grace",
                "less than two write_timeouts",
                "1999ms",
                "\"2s\"",
            ),
        ),
        (
            "[run]\nwrite_timeout = \"1s\"\nstall_after = \"1999ms\"",
            (
                3,
                "run.stall_after",
                "a write under way would look like a stall",
                "1999ms",
                "write stall_after = \"2s\" or more",
            ),
        ),
        // What stands behind a reference is not told, nor what follows from it.
        (
            "[run]\nshutdown_grace = \"20s\"\nstall_after = \"9s\"\nwrite_timeout = \"${env:DURATION}\"",
            (
                3,
                "run.stall_after",
                "less than two write_timeouts",
                "\"9s\"",
                "raise stall_after, or lower write_timeout",
            ),
        ),
        (
            "[run]\nmemory = \"16MiB\"\nbatch_bytes_max = \"9MiB\"",
            (
                3,
                "run.batch_bytes_max",
                "more than half of run.memory",
                "9MiB",
                "raise run.memory",
            ),
        ),
    ]);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known() {
    check_each(&[
        (
            "[run]\nmemroy = \"1GiB\"",
            (2, "run.memroy", "unknown key in [run]", "", "did you mean `memory`?"),
        ),
        (
            "[run]\nspeed = 5",
            (
                2,
                "run.speed",
                "unknown key in [run]",
                "",
                "known keys: memory, partitions_max",
            ),
        ),
        (
            "[ruin]\nmemory = \"1GiB\"",
            (1, "ruin", "unknown key in the file", "", "did you mean `run`?"),
        ),
        (
            "memory = \"1GiB\"",
            (1, "memory", "unknown key in the file", "", "write it below [run]"),
        ),
        (
            "[reject]\nactoin = \"hold\"",
            (2, "reject.actoin", "unknown key in [reject]", "", "`action`"),
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"a\"]\ntopic = \"a\"",
            (4, "kafka.topic", "unknown key in [kafka]", "", "`topics`"),
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"t\"\nhost = \"a\"",
            (4, "aerospike.host", "unknown key in [aerospike]", "", "`hosts`"),
        ),
        (
            "[[route]]\nroots = \"\"\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]",
            (2, "route[0].roots", "unknown key in [[route]]", "", "`root`"),
        ),
        (
            "\"a b\".c = 5",
            (1, "\"a b\"", "unknown key in the file", "", "known keys"),
        ),
    ]);
    check_write(&[
        (
            "sendkey = true",
            "sendkey",
            "unknown key in [[route.write]]",
            "",
            "did you mean `send_key`?",
        ),
        (
            "bins = { a = { pth = \"x\" } }",
            "bins.a.pth",
            "unknown key in a value",
            "",
            "did you mean `path`?",
        ),
        (
            "bins = { a = { path = \"x\", az = 1 } }",
            "bins.a.az",
            "unknown key in a value",
            "",
            "`as`",
        ),
        (
            "bins = { path = \"*\", exept = [] }",
            "bins.exept",
            "all fields as bins",
            "",
            "did you mean `except`?",
        ),
        (
            "bins = { path = \"*\", country = \"c\" }",
            "bins.country",
            "all fields as bins",
            "",
            "known keys",
        ),
    ]);
}

#[test]
fn words_of_later_versions_are_refused_by_name() {
    let later = "is not known to this version";
    for section in config::keys::ALL {
        for word in section.later {
            let (piece, line, key) = match section.title {
                "[run]" => (format!("[run]\n{word} = 1"), 2, format!("run.{word}")),
                "[kafka]" => (format!("{KAFKA}{word} = 1"), 4, format!("kafka.{word}")),
                "[reject]" => (format!("[reject]\n{word} = 1"), 2, format!("reject.{word}")),
                "[[route]]" => (
                    ROUTE.replace("[[route.write]]", &format!("{word} = 1\n[[route.write]]")),
                    2,
                    format!("route[0].{word}"),
                ),
                "[[route.publish]]" => (
                    format!("[[route]]\n[[route.publish]]\ntopic = \"t\"\n{word} = 1"),
                    4,
                    format!("route[0].publish[0].{word}"),
                ),
                "[[route.write]]" => (format!("{ROUTE}{word} = 1"), 5, format!("route[0].write[0].{word}")),
                "a value" => {
                    let bins = format!("{{ a = {{ {word} = \"1\" }} }}");
                    (
                        ROUTE.replace("{ a = \"a\" }", &bins),
                        4,
                        format!("route[0].write[0].bins.a.{word}"),
                    )
                }
                other => panic!("no case for {other}"),
            };
            check(&piece, &[(line, &key, &format!("`{word}` {later}"), "", "remove it")]);
        }
    }
}

#[test]
fn rejects_are_checked() {
    let reject = |lines: &str| format!("[reject]\n{lines}");
    check_each(&[
        (
            &reject("action = \"burn\""),
            (2, "reject.action", "none of the values", "\"burn\"", "write \"hold\""),
        ),
        (
            &reject("action = \"dead_letter\""),
            (1, "reject.topic", "is missing", "", "topic = \"events.dead\""),
        ),
        (
            &reject("action = \"dead_letter\"\ntopic = \"events\""),
            (
                3,
                "reject.topic",
                "read again, without end",
                "\"events\"",
                "name another topic",
            ),
        ),
        (
            &reject("action = \"dead_letter\"\ntopic = \"a b\""),
            (3, "reject.topic", "", "\"a b\"", "write a topic's name"),
        ),
        (
            &reject("topic = \"dead\""),
            (
                2,
                "reject.topic",
                "makes none",
                "\"dead\"",
                "write action = \"dead_letter\"",
            ),
        ),
        (
            &reject("action = \"drop\"\nheaders = \"connect\""),
            (
                3,
                "reject.headers",
                "makes none",
                "\"connect\"",
                "write action = \"dead_letter\"",
            ),
        ),
        (
            &reject("action = \"stop\"\npercent_max = 3"),
            (3, "reject.percent_max", "nothing does", "3", "or remove `percent_max`"),
        ),
        (
            &reject("action = \"drop\"\npercent_max = 101"),
            (3, "reject.percent_max", "out of range", "101", "write 0 to 100"),
        ),
    ]);
}

#[test]
fn publishes_are_checked() {
    let publish = |lines: &str| format!("[[route]]\n[[route.publish]]\n{lines}");
    check_each(&[
        (
            &publish("key = \"id\""),
            (
                2,
                "route[0].publish[0].topic",
                "is missing",
                "",
                "topic = \"purchases\"",
            ),
        ),
        (
            &publish("topic = \"events\""),
            (
                3,
                "route[0].publish[0].topic",
                "read again, without end",
                "\"events\"",
                "name another topic",
            ),
        ),
        (
            &publish("topic = \"t\"\nkey = { object = { a = \"a\" } }"),
            (
                4,
                "route[0].publish[0].key.object",
                "cannot stand here",
                "a table",
                "name a field",
            ),
        ),
        (
            &publish("topic = \"t\"\nkey = { path = \"a\", as = \"json\" }"),
            (
                4,
                "route[0].publish[0].key.as",
                "a key of a message cannot be read as this",
                "\"json\"",
                "string",
            ),
        ),
        (
            &publish("topic = \"t\"\nheaders = { a = 2.5 }"),
            (
                4,
                "route[0].publish[0].headers.a",
                "a string or an integer",
                "2.5",
                "write a path",
            ),
        ),
        (
            &publish("topic = \"t\"\nkey = \"id\"\ntombstone = \"delete\""),
            (4, "route[0].publish[0].key", "has no fields", "\"id\"", "\"@key\""),
        ),
        (
            "[[route]]\nroot = \"\"",
            (1, "route[0].write", "is missing", "", "or [[route.publish]]"),
        ),
    ]);
}

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

/// `line` under `[kafka.<section>]`: the sixth of the file.
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

#[test]
fn aerospike_is_checked() {
    let aerospike = |line: &str| match line.split(' ').next() {
        Some("hosts") => format!("[aerospike]\nnamespace = \"t\"\n{line}"),
        Some("namespace") => format!("[aerospike]\nhosts = \"a\"\n{line}"),
        _ => format!("[aerospike]\nnamespace = \"t\"\nhosts = \"a\"\n{line}"),
    };
    let long = format!("namespace = \"{}\"", "n".repeat(32));
    let cases: &[(&str, Expected<'_>)] = &[
        (
            "hosts = [\"a\"]",
            (3, "aerospike.hosts", "expected a string", "an array of 1", "quotes"),
        ),
        (
            "hosts = \"a,,b\"",
            (3, "aerospike.hosts", "a host is empty", "\"a,,b\"", "comma-separated"),
        ),
        (
            "hosts = \"a:0\"",
            (3, "aerospike.hosts", "a port is not a number", "\"a:0\"", "host:port"),
        ),
        (
            "hosts = \":3000\"",
            (
                3,
                "aerospike.hosts",
                "a port stands without a host",
                "\":3000\"",
                "host:port",
            ),
        ),
        (
            "hosts = \"[::1\"",
            (3, "aerospike.hosts", "closing bracket", "\"[::1\"", "brackets"),
        ),
        (
            "hosts = \"[a]:1\"",
            (3, "aerospike.hosts", "not an IPv6 address", "\"[a]:1\"", "brackets"),
        ),
        (
            "hosts = \"a:tls:3000\"",
            (3, "aerospike.hosts", "a TLS name", "tls", "host:port"),
        ),
        (
            "namespace = \"\"",
            (3, "aerospike.namespace", "is empty", "\"\"", "namespace"),
        ),
        (
            "namespace = \"a:b\"",
            (3, "aerospike.namespace", "`:` is not allowed", "\"a:b\"", "namespace"),
        ),
        (
            &long,
            (
                3,
                "aerospike.namespace",
                "32 bytes, Aerospike allows 31",
                "\"nnn",
                "namespace",
            ),
        ),
        ("user = \"u\"", (1, "aerospike.password", "is missing", "", "${file:")),
        (
            "password = \"hunter2\"",
            (1, "aerospike.user", "is missing", "", "beside `password`"),
        ),
        (
            "user = \"u\"\npassword = 5",
            (5, "aerospike.password", "expected a string", "", "quotes"),
        ),
        (
            "user = \"u\"\npassword = \"\"",
            (5, "aerospike.password", "is empty", "", "${file:"),
        ),
        (
            "user = \"u\"\npassword = \"hunter2${\"",
            (5, "aerospike.password", "whole values only", "", "$${"),
        ),
        (
            "user = \"\"\npassword = \"p\"",
            (4, "aerospike.user", "is empty", "\"\"", "name"),
        ),
        (
            "cluster_name = \"\"",
            (4, "aerospike.cluster_name", "is empty", "\"\"", "remove it"),
        ),
        (
            "use_services_alternate = \"true\"",
            (
                4,
                "aerospike.use_services_alternate",
                "expected true or false",
                "\"true\"",
                "without quotes",
            ),
        ),
        (
            "use_services_alternate = 1",
            (
                4,
                "aerospike.use_services_alternate",
                "expected true or false",
                "integer 1",
                "without quotes",
            ),
        ),
    ];
    for (line, expected) in cases {
        check(&aerospike(line), &[*expected]);
    }
    check_each(&[
        (
            "[aerospike]\nnamespace = \"t\"",
            (1, "aerospike.hosts", "is missing", "", "hosts = "),
        ),
        (
            "[aerospike]\nhosts = \"a\"",
            (1, "aerospike.namespace", "is missing", "", "namespace = "),
        ),
    ]);
    check_file(
        &format!("{KAFKA}{ROUTE}"),
        &[(1, "aerospike", "is missing", "", "[aerospike]")],
    );
    check_file(
        &format!("aerospike = []\n{KAFKA}{ROUTE}"),
        &[(1, "aerospike", "expected a table", "an array of 0", "[aerospike]")],
    );
}

#[test]
fn routes_and_their_topics_are_checked() {
    let write = "[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n";
    let kafka = "[kafka]\nbrokers = \"k\"\ntopics = [\"events\", \"other\"]\n";
    check_file(
        &format!("{KAFKA}{AEROSPIKE}"),
        &[(1, "route", "is missing", "", "[[route]]")],
    );
    check_file(
        &format!("route = []\n{KAFKA}{AEROSPIKE}"),
        &[(1, "route", "needs at least one", "an array of 0", "[[route.write]]")],
    );
    check_file(
        &format!("[route]\nroot = \"\"\n{KAFKA}{AEROSPIKE}"),
        &[(
            1,
            "route",
            "expected an array of tables",
            "a table",
            "[[route]] with two brackets",
        )],
    );
    check_file(
        &format!("route = [5]\n{KAFKA}{AEROSPIKE}"),
        &[
            (1, "route[0]", "expected a table", "integer 5", "[[route]]"),
            (8, "kafka.topics[0]", "", "", ""),
        ][..1],
    );
    check(
        "[[route]]\nroot = \"\"",
        &[(1, "route[0].write", "is missing", "", "[[route.write]]")],
    );
    check(
        "[[route]]\nwrite = []",
        &[(
            2,
            "route[0].write",
            "needs at least one",
            "an array of 0",
            "[[route.write]]",
        )],
    );
    check(
        "[[route]]\n[route.write]\nkey = \"id\"",
        &[(
            2,
            "route[0].write",
            "expected an array of tables",
            "a table",
            "[[route.write]] with two brackets",
        )],
    );
    check(
        &format!("{kafka}[[route]]\ntopics = [\"events\"]\n{write}"),
        &[(
            3,
            "kafka.topics[1]",
            "no route takes this topic",
            "\"other\"",
            "remove it here",
        )],
    );
    for (topics, expected) in [
        (
            "[]",
            (
                2,
                "route[0].topics",
                "needs at least one topic",
                "an array of 0",
                "to take all",
            ),
        ),
        (
            "\"events\"",
            (2, "route[0].topics", "expected an array", "\"events\"", "brackets"),
        ),
        (
            "[\"events\", \"evnts\"]",
            (
                2,
                "route[0].topics[1]",
                "not among kafka.topics",
                "\"evnts\"",
                "`events`",
            ),
        ),
        (
            "[\"events\", \"zzz\"]",
            (
                2,
                "route[0].topics[1]",
                "not among kafka.topics",
                "\"zzz\"",
                "topics there: events",
            ),
        ),
        (
            "[\"events\", \"events\"]",
            (2, "route[0].topics[1]", "named twice", "\"events\"", "once"),
        ),
        (
            "[\"events\", \"${env:NUMBER}\"]",
            (
                2,
                "route[0].topics[1]",
                "not among kafka.topics",
                "the value of ${env:NUMBER}",
                "add it",
            ),
        ),
    ] {
        check(&format!("[[route]]\ntopics = {topics}\n{write}"), &[expected]);
    }
    for (root, problem, found) in [
        ("\"a..b\"", "a path lacks a name", "\"a..b\""),
        ("\"@value\"", "not metadata", "\"@value\""),
        ("\"a b\"", "does not belong in a path", "\"a b\""),
        ("5", "expected a string", "integer 5"),
    ] {
        check(
            &format!("[[route]]\nroot = {root}\n{write}"),
            &[(2, "route[0].root", problem, found, "")],
        );
    }
}

#[test]
fn writes_are_checked() {
    check_each(&[
        (
            "[[route]]\n[[route.write]]\nbins = [\"a\"]",
            (2, "route[0].write[0].key", "is missing", "", "key = \"user.id\""),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"",
            (2, "route[0].write[0].bins", "is missing", "", "bins = "),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\neach_max = 5",
            (
                5,
                "route[0].write[0].each_max",
                "`each_max` without `each`",
                "integer 5",
                "add each",
            ),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"@item.id\"\nbins = [\"a\"]",
            (
                3,
                "route[0].write[0].key",
                "`@item` is outside",
                "\"@item.id\"",
                "add each",
            ),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"{id}:{@index}\"\nbins = [\"a\"]",
            (3, "route[0].write[0].key", "`@index` is outside", "@index", "add each"),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = \"@item.*\"",
            (4, "route[0].write[0].bins", "`@item` is outside", "@item.*", "add each"),
        ),
        (
            "[[route]]\n[[route.write]]\neach = \"@item\"\nkey = \"id\"\nbins = [\"a\"]",
            (3, "route[0].write[0].each", "not metadata", "\"@item\"", "items"),
        ),
        (
            "[[route]]\n[[route.write]]\neach = \"a[x]\"\nkey = \"id\"\nbins = [\"a\"]",
            (
                3,
                "route[0].write[0].each",
                "an index is a number",
                "\"a[x]\"",
                "items[0]",
            ),
        ),
    ]);
    let long_set = format!("set = \"{}\"", "s".repeat(64));
    let long_namespace = format!("namespace = \"{}\"", "n".repeat(32));
    check_write(&[
        (
            "key = { path = \"a\", as = \"epoch_ms\" }",
            "key.as",
            "a key cannot be read as this",
            "\"epoch_ms\"",
            "string, integer, base64, hex",
        ),
        (
            "key = { path = \"a\", as = \"int\" }",
            "key.as",
            "none of the values",
            "\"int\"",
            "did you mean \"integer\"? write \"string\" or \"integer\" or \"base64\" or \"hex\"",
        ),
        ("each_max = 0", "each_max", "out of range", "integer 0", "1 to 10000"),
        ("each_max = 10001", "each_max", "out of range", "10001", "1 to 10000"),
        (
            &long_namespace,
            "namespace",
            "32 bytes, Aerospike allows 31",
            "\"nnn",
            "namespace",
        ),
        (
            &long_set,
            "set",
            "64 bytes, Aerospike allows 63",
            "\"sss",
            "1 to 63 bytes",
        ),
        ("set = \"\"", "set", "is empty", "\"\"", "remove `set`"),
        ("set = \"a;b\"", "set", "`;` is not allowed", "\"a;b\"", "1 to 63"),
        ("set = 5", "set", "expected a string", "integer 5", "quotes"),
        (
            "send_key = 1",
            "send_key",
            "expected true or false",
            "integer 1",
            "true or false",
        ),
        (
            "key = \"users\\u0000\"",
            "key",
            "does not belong in a path",
            "users",
            "in quotes",
        ),
        (
            "key = 5",
            "key",
            "every message would write the same record",
            "integer 5",
            "\"user.id\"",
        ),
        (
            "key = true",
            "key",
            "every message would write the same record",
            "boolean true",
            "\"user.id\"",
        ),
        (
            "key = { value = \"x\" }",
            "key",
            "every message would write the same record",
            "a table",
            "\"user.id\"",
        ),
        (
            "key = \"{{fixed}}\"",
            "key",
            "every message would write the same record",
            "{{fixed}}",
            "\"user.id\"",
        ),
        (
            "key = { object = { a = \"b\" } }",
            "key.object",
            "an object cannot stand here",
            "a table",
            "\"user.id\"",
        ),
        (
            "key = [\"a\"]",
            "key",
            "an array is not a value expression",
            "an array of 1",
            "{ value =",
        ),
        (
            "key = { path = \"a\", as = \"float\" }",
            "key.as",
            "a key cannot be read as this",
            "\"float\"",
            "integer",
        ),
        (
            "key = { path = \"a\", as = \"json\" }",
            "key.as",
            "a key cannot be read as this",
            "\"json\"",
            "hex",
        ),
        (
            "key = { path = \"a\", default = 5 }",
            "key.default",
            "not of the value's type, string",
            "integer 5",
            "quotes",
        ),
        ("ttl = 30", "ttl", "expected a ttl", "integer 30", "\"30d\""),
        ("ttl = \"30\"", "ttl", "a ttl needs a unit", "\"30\"", "\"30d\""),
        (
            "ttl = \"expires_at\"",
            "ttl",
            "a whole number and a unit",
            "\"expires_at\"",
            "path = \"expires_at\"",
        ),
        ("ttl = \"0s\"", "ttl", "whole seconds, 1s to 3650d", "\"0s\"", "never"),
        ("ttl = \"1500ms\"", "ttl", "whole seconds", "\"1500ms\"", "30d"),
        ("ttl = \"3651d\"", "ttl", "1s to 3650d", "\"3651d\"", "never"),
        (
            "ttl = { value = 5 }",
            "ttl",
            "names a `path`, not `value`",
            "a table",
            "path =",
        ),
        (
            "ttl = { object = {} }",
            "ttl",
            "names a `path`, not `object`",
            "a table",
            "path =",
        ),
        (
            "ttl = { path = \"a\", as = \"string\" }",
            "ttl.as",
            "a ttl cannot be read as this",
            "\"string\"",
            "epoch_ms",
        ),
        (
            "ttl = { path = \"{a}{b}\" }",
            "ttl.path",
            "a ttl is a field",
            "\"{a}{b}\"",
            "name one field",
        ),
        (
            "ttl = { path = \"{a}\" }",
            "ttl.path",
            "a ttl is a field",
            "\"{a}\"",
            "write path = \"a\"",
        ),
        (
            "ttl = 3600",
            "ttl",
            "expected a ttl",
            "integer 3600",
            "write ttl = \"1h\"",
        ),
        (
            "ttl = -1",
            "ttl",
            "expected a ttl",
            "integer -1",
            "write ttl = \"never\"",
        ),
        (
            "ttl = \"3600\"",
            "ttl",
            "a ttl needs a unit",
            "\"3600\"",
            "write ttl = \"1h\"",
        ),
        (
            "ttl = \"1y\"",
            "ttl",
            "not a unit of a ttl",
            "\"1y\"",
            "write ttl = \"365d\"",
        ),
        (
            "ttl = \"user.ttl\"",
            "ttl",
            "a whole number and a unit",
            "\"user.ttl\"",
            "write ttl = { path = \"user.ttl\" } for a number of seconds",
        ),
        (
            "ttl = { path = \"a.b\", as = \"minutes\" }",
            "ttl.as",
            "is none of the values it can have",
            "\"minutes\"",
            "write { expr = \"a.b * 60\" }: a ttl that is a length of time",
        ),
        (
            "ttl = { expr = \"a + b\", as = \"ms\" }",
            "ttl.as",
            "is none of the values it can have",
            "\"ms\"",
            "write { expr = \"(a + b) / 1000\" }",
        ),
        (
            "ttl = { path = \"a\", as = \"rfc3339\" }",
            "ttl.as",
            "is none of the values it can have",
            "\"rfc3339\"",
            "write as = \"epoch_s\" for RFC 3339",
        ),
        (
            "ttl = { path = \"a\", as = \"epoch_s\", default = \"never\" }",
            "ttl.default",
            "the default is not of the value's type",
            "\"never\"",
            "write default = -1, and ttl_words",
        ),
        (
            "ttl = { path = \"a\", as = \"epoch_s\", default = \"0001-01-01T00:00:00Z\" }",
            "ttl",
            "an instant before 2001",
            "\"0001-01-01T00:00:00Z\"",
            "default = 1893456000",
        ),
        (
            "ttl = { path = \"a\", as = \"epoch_s\", default = \"9999-12-31T23:59:59Z\" }",
            "ttl",
            "more than 10 years away",
            "\"9999-12-31T23:59:59Z\"",
            "default = -1",
        ),
        (
            "ttl = { expr = \"timestamp(a)\" }",
            "ttl.expr",
            "no record can hold a timestamp",
            "\"timestamp(a)\"",
            "write string(…) around it, and as = \"epoch_s\"",
        ),
        (
            "ttl = { path = \"a\", default = 0 }",
            "ttl",
            "a default that is no ttl",
            "0",
            "default = 86400",
        ),
        (
            "ttl = { path = \"a\", default = 400000000 }",
            "ttl",
            "1 second to 10 years",
            "400000000",
            "default = 86400",
        ),
        (
            "ttl = { path = \"a\", default = \"30d\" }",
            "ttl.default",
            "not of the value's type",
            "\"30d\"",
            "default = 2592000",
        ),
    ]);
}

#[test]
fn bins_are_checked() {
    check_write(&[
        (
            "bins = { country_of_residence = \"user.country\" }",
            "bins.country_of_residence",
            "bin name is 20 bytes, Aerospike allows 15",
            "\"country_of_residence\"",
            "shorten it, e.g. { cor = \"user.country\" }",
        ),
        (
            "bins = { \"\" = \"a\" }",
            "bins.\"\"",
            "a bin name is empty",
            "\"\"",
            "1 to 15 bytes",
        ),
        (
            "bins = { \"a\\u0000\" = \"a\" }",
            "bins.\"a\\0\"",
            "NUL",
            "\"a\\0\"",
            "1 to 15 bytes",
        ),
        ("bins = {}", "bins", "needs at least one bin", "a table", "bins = {"),
        (
            "bins = []",
            "bins",
            "needs at least one bin",
            "an array of 0",
            "[\"user.country\"]",
        ),
        ("bins = 5", "bins", "expected a table of bins", "integer 5", "\"*\""),
        (
            "bins = \"user.country\"",
            "bins",
            "one path is not bins",
            "\"user.country\"",
            "\"after.*\"",
        ),
        (
            "bins = \"a b.*\"",
            "bins",
            "does not belong in a path",
            "\"a b.*\"",
            "in quotes",
        ),
        (
            "bins = \"@topic.*\"",
            "bins",
            "only a path or @item has fields",
            "\"@topic.*\"",
            "@item.*",
        ),
        (
            "bins = [\"a.x\", \"b.x\"]",
            "bins[1]",
            "a second value for this bin",
            "\"b.x\"",
            "two names",
        ),
        (
            "bins = [\"a\", \"*\"]",
            "bins[1]",
            "all fields stand alone",
            "\"*\"",
            "bins = \"*\"",
        ),
        (
            "bins = [\"a[0]\"]",
            "bins[0]",
            "the last segment is not a name",
            "\"a[0]\"",
            "{ name =",
        ),
        (
            "bins = [\"@item\"]",
            "bins[0]",
            "the last segment is not a name",
            "\"@item\"",
            "{ name =",
        ),
        (
            "bins = [\"{a}:{b}\"]",
            "bins[0]",
            "a template has no name of its own",
            "\"{a}:{b}\"",
            "{ name =",
        ),
        (
            "bins = [\"{a.b}\"]",
            "bins[0]",
            "a template has no name of its own",
            "\"{a.b}\"",
            "write \"a.b\"",
        ),
        (
            "bins = \"{a.b}\"",
            "bins",
            "one path is not bins",
            "\"{a.b}\"",
            "write [\"a.b\"]",
        ),
        (
            "bins = \"{a.*}\"",
            "bins",
            "one path is not bins",
            "\"{a.*}\"",
            "write \"a.*\"",
        ),
        (
            "bins = \"{*}\"",
            "bins",
            "one path is not bins",
            "\"{*}\"",
            "write \"*\"",
        ),
        (
            "bins = \"{a}.*\"",
            "bins",
            "only a path or @item has fields",
            "\"{a}.*\"",
            "write \"a.*\"",
        ),
        (
            "bins = { path = \"{a.*}\", except = [\"b\"] }",
            "bins.path",
            "all fields stand without braces",
            "\"{a.*}\"",
            "write \"a.*\"",
        ),
        (
            "bins = { a = \"${user.name}\" }",
            "bins.a",
            "a reference is `${env:NAME}`",
            "\"${user.name}\"",
            "write \"user.name\" for a field",
        ),
        (
            "bins = { a = { path = \"{b}\", as = \"integer\" } }",
            "bins.a.as",
            "a template is a string",
            "\"integer\"",
            "write path = \"b\"",
        ),
        (
            "bins = { a = \"/user/name\" }",
            "bins.a",
            "is not how a name in a path begins",
            "\"/user/name\"",
            "write \"user.name\"",
        ),
        (
            "bins = { a = { expr = \"{b} + 1\" } }",
            "bins.a.expr",
            "a field stands without braces",
            "\"{b} + 1\"",
            "write b + 1",
        ),
        ("bins = [5]", "bins[0]", "expected a string", "integer 5", "quotes"),
        (
            "bins = [\"user.country_of_residence\"]",
            "bins[0]",
            "bin name is 20 bytes",
            "\"country_of_residence\"",
            "{ cor = \"user.country_of_residence\" }",
        ),
        (
            "bins = { path = \"*\", except = \"a\" }",
            "bins.except",
            "expected an array of strings",
            "\"a\"",
            "brackets",
        ),
        (
            "bins = { path = \"*\", except = [\"a\", \"a\"] }",
            "bins.except[1]",
            "named twice",
            "\"a\"",
            "once",
        ),
        (
            "bins = { path = \"*\", rename = 5 }",
            "bins.rename",
            "expected a table",
            "integer 5",
            "",
        ),
        (
            "bins = { path = \"*\", rename = { a = 5 } }",
            "bins.rename.a",
            "expected a string",
            "integer 5",
            "quotes",
        ),
        (
            "bins = { path = \"*\", rename = { a = \"much_too_long_name\" } }",
            "bins.rename.a",
            "bin name is 18 bytes",
            "\"much_too_long_name\"",
            "1 to 15",
        ),
        (
            "bins = { path = \"*\", rename = { a = \"x\", b = \"x\" } }",
            "bins.rename.b",
            "a second value for this bin",
            "\"x\"",
            "a bin of its own",
        ),
        (
            "bins = { path = \"*\", except = [\"a\"], rename = { a = \"x\" } }",
            "bins.rename.a",
            "`rename` contradicts `except`",
            "\"x\"",
            "keep one",
        ),
        (
            "bins = { path = \"*\", long_names = \"cut\" }",
            "bins.long_names",
            "none of the values",
            "\"cut\"",
            "\"reject\" or \"skip\"",
        ),
        (
            "bins = { path = \"*\", big_numbers = \"strings\" }",
            "bins.big_numbers",
            "none of the values",
            "\"strings\"",
            "\"string\"",
        ),
    ]);
    check(
        "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"x\", a = \"y\" }",
        &[(4, "route[0].write[0].bins.a", "twice on this line", "", "keep one")],
    );
}

#[test]
fn big_numbers_stand_where_a_bin_keeps_a_path() {
    check_write(&[
        (
            "bins = { a = { path = \"a\", big_numbers = \"int\" } }",
            "bins.a.big_numbers",
            "none of the values",
            "\"int\"",
            "\"reject\" or \"string\" or \"float\" or \"skip\"",
        ),
        (
            "bins = { a = { path = \"a\", big_numbers = true } }",
            "bins.a.big_numbers",
            "expected a string",
            "boolean true",
            "\"reject\" or \"string\"",
        ),
        (
            "bins = { a = { path = \"a\", as = \"integer\", big_numbers = \"skip\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `as = \"integer\"`",
            "\"skip\"",
            "keep one of them",
        ),
        (
            "bins = { a = { path = \"{a}:{b}\", big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "a template is a string",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "bins = { a = { value = 1, big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `value`",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "bins = { a = { object = { b = \"b\" }, big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `object`",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "bins = { a = { expr = \"b + 1\", big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `expr`",
            "\"string\"",
            "write `path` for a field",
        ),
        (
            "key = { path = \"id\", big_numbers = \"string\" }",
            "key.big_numbers",
            "a key keeps none",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "ttl = { path = \"ttl\", big_numbers = \"skip\" }",
            "ttl.big_numbers",
            "a ttl keeps none",
            "\"skip\"",
            "remove `big_numbers`",
        ),
        (
            "add = { n = { path = \"n\", as = \"float\", big_numbers = \"float\" } }",
            "add.n.big_numbers",
            "a number to add keeps none",
            "\"float\"",
            "remove `big_numbers`",
        ),
    ]);
    check(
        "[[route]]\n[[route.publish]]\ntopic = \"out\"\npayload = { object = { a = { path = \"a\", big_numbers = \"string\" } } }",
        &[(
            4,
            "route[0].publish[0].payload.object.a.big_numbers",
            "JSON, which holds every number",
            "\"string\"",
            "remove `big_numbers`",
        )],
    );
    check(
        &format!("{KAFKA}byte_order_mark = \"keep\"\n"),
        &[(
            4,
            "kafka.byte_order_mark",
            "none of the values",
            "\"keep\"",
            "\"skip\" or \"reject\"",
        )],
    );
}

/// One fault, of `key` in a write that has nothing but a key and these lines, of which the first is the fourth.
fn check_lines(cases: &[(&str, Expected<'_>)]) {
    for (lines, (line, key, problem, found, cure)) in cases {
        let key = format!("route[0].write[0].{key}");
        let piece = format!("[[route]]\n[[route.write]]\nkey = \"id\"\n{lines}");
        check(&piece, &[(*line, &key, problem, found, cure)]);
    }
}

#[test]
fn operations_are_tables_of_bins() {
    for word in ["once", "add", "append", "prepend", "list_append", "map_put", "map_add"] {
        for (value, found) in [("5", "integer 5"), ("[\"a\"]", "an array of 1"), ("\"*\"", "\"*\"")] {
            let line = format!("{word} = {value}");
            let cure = format!("write e.g. {word} = {{");
            check_lines(&[(&line, (4, word, "expected a table of bins", found, &cure))]);
        }
        let empty = format!("{word} = {{}}");
        check_lines(&[(&empty, (4, word, "needs at least one bin", "a table", "write e.g."))]);
    }
    check_lines(&[
        (
            "once = { country_of_residence = \"user.country\" }",
            (
                4,
                "once.country_of_residence",
                "bin name is 20 bytes",
                "\"country_of_residence\"",
                "{ cor = \"user.country\" }",
            ),
        ),
        (
            "add = { \"\" = 1 }",
            (4, "add.\"\"", "a bin name is empty", "\"\"", "1 to 15 bytes"),
        ),
        (
            "once = { a = \"a b\" }",
            (4, "once.a", "does not belong in a path", "\"a b\"", "in quotes"),
        ),
        (
            "list_append = { a = [1] }",
            (
                4,
                "list_append.a",
                "not a value expression",
                "an array of 1",
                "{ value =",
            ),
        ),
        (
            "bins = [\"x\"]\nremove = \"a\"",
            (5, "remove", "expected an array of strings", "\"a\"", "brackets"),
        ),
        (
            "remove = []",
            (4, "remove", "needs at least one bin", "an array of 0", "remove = ["),
        ),
        (
            "remove = [5]",
            (4, "remove[0]", "expected a string", "integer 5", "quotes"),
        ),
        (
            "remove = [\"much_too_long_name\"]",
            (4, "remove[0]", "bin name is 18 bytes", "\"much_", "1 to 15"),
        ),
        (
            "remove = [\"a\", \"a\"]",
            (4, "remove[1]", "named twice", "\"a\"", "each bin once"),
        ),
    ]);
}

#[test]
fn numbers_to_add_have_one_type() {
    for (word, before, after, tail) in [("add", "", "", ""), ("map_add", "{ key = \"k\", by = ", " }", ".by")] {
        for (value, key, problem, found, cure) in [
            (
                "\"amount\"",
                "",
                "a number to add has no type",
                "\"amount\"",
                "{ path = \"amount\", as = \"integer\" } or as = \"float\"",
            ),
            ("{ path = \"n\" }", ".path", "has no type", "\"n\"", "as = \"integer\""),
            (
                "{ path = \"n\", default = 1 }",
                ".path",
                "has no type",
                "\"n\"",
                "as = \"float\"",
            ),
            ("\"@offset\"", "", "has no type", "\"@offset\"", "{ path = \"@offset\""),
            (
                "\"${env:TOPIC}\"",
                "",
                "has no type",
                "the value of ${env:TOPIC}",
                "as = \"integer\"",
            ),
            (
                "{ path = \"n\", as = \"string\" }",
                ".as",
                "a number to add cannot be read as this",
                "\"string\"",
                "integer, float",
            ),
            (
                "{ path = \"n\", as = \"epoch_ms\" }",
                ".as",
                "cannot be read as this",
                "\"epoch_ms\"",
                "integer, float",
            ),
            (
                "{ path = \"n\", as = \"int\" }",
                ".as",
                "none of the values",
                "\"int\"",
                "\"integer\"",
            ),
            ("\"{a}{b}\"", "", "a template is a string", "\"{a}{b}\"", "one field"),
            (
                "{ path = \"{a}\", as = \"integer\" }",
                ".as",
                "a template is a string",
                "\"integer\"",
                "write path = \"a\"",
            ),
            (
                "true",
                "",
                "only a number can be added",
                "boolean true",
                "as = \"float\"",
            ),
            (
                "{ value = \"1\" }",
                "",
                "only a number can be added",
                "a table",
                "write a number",
            ),
            (
                "{ object = { a = \"b\" } }",
                ".object",
                "an object cannot stand here",
                "a table",
                "name a field",
            ),
            (
                "{ path = \"n\", as = \"integer\", default = 1.5 }",
                ".default",
                "type, integer",
                "float 1.5",
                "an integer",
            ),
        ] {
            let line = format!("{word} = {{ n = {before}{value}{after} }}");
            let key = format!("{word}.n{tail}{key}");
            check_lines(&[(&line, (4, &key, problem, found, cure))]);
        }
    }
}

#[test]
fn texts_to_append_are_strings_or_bytes() {
    for word in ["append", "prepend"] {
        for (value, key, problem, found, cure) in [
            (
                "5",
                "",
                "only a string or bytes can be appended",
                "integer 5",
                "a path, a template",
            ),
            ("{ value = [1] }", "", "only a string or bytes", "a table", "{ value ="),
            (
                "{ path = \"a\", as = \"integer\" }",
                ".as",
                "a text to append cannot be read as this",
                "\"integer\"",
                "string, base64, hex",
            ),
            (
                "{ path = \"a\", as = \"json\" }",
                ".as",
                "cannot be read as this",
                "\"json\"",
                "hex",
            ),
            (
                "{ path = \"a\", default = 5 }",
                ".default",
                "type, string",
                "integer 5",
                "quotes",
            ),
            (
                "{ object = { a = \"b\" } }",
                ".object",
                "an object cannot stand here",
                "a table",
                "name a field",
            ),
        ] {
            let line = format!("{word} = {{ t = {value} }}");
            let key = format!("{word}.t{key}");
            check_lines(&[(&line, (4, &key, problem, found, cure))]);
        }
        for cast in ["float", "bool", "epoch_ms"] {
            let line = format!("{word} = {{ t = {{ path = \"a\", as = \"{cast}\" }} }}");
            let key = format!("{word}.t.as");
            check_lines(&[(&line, (4, &key, "cannot be read as this", cast, "string"))]);
        }
    }
}

#[test]
fn entries_of_maps_have_a_key() {
    check_lines(&[
        (
            "map_put = { m = \"a\" }",
            (
                4,
                "map_put.m",
                "an entry of a map has a `key`",
                "\"a\"",
                "{ key = \"pref.name\", value =",
            ),
        ),
        (
            "map_put = { m = { key = \"k\" } }",
            (4, "map_put.m.value", "is missing", "", "value = \"pref.value\""),
        ),
        (
            "map_put = { m = { value = \"k\" } }",
            (4, "map_put.m.key", "is missing", "", "key = \"pref.name\""),
        ),
        (
            "map_put = { m = { key = \"k\", value = \"v\", by = 1 } }",
            (
                4,
                "map_put.m.by",
                "unknown key in an entry of map_put",
                "",
                "key, value",
            ),
        ),
        (
            "map_put = { m = { key = 1.5, value = \"v\" } }",
            (
                4,
                "map_put.m.key",
                "a string or an integer",
                "float 1.5",
                "a path, a template",
            ),
        ),
        (
            "map_put = { m = { key = { path = \"k\", as = \"float\" }, value = \"v\" } }",
            (
                4,
                "map_put.m.key.as",
                "the key of an entry cannot be read as this",
                "\"float\"",
                "string, integer",
            ),
        ),
        (
            "map_put = { m = { key = { object = { a = \"b\" } }, value = \"v\" } }",
            (
                4,
                "map_put.m.key.object",
                "an object cannot stand here",
                "a table",
                "name a field",
            ),
        ),
        (
            "map_put = { m = { key = \"k\", value = \"a b\" } }",
            (
                4,
                "map_put.m.value",
                "does not belong in a path",
                "\"a b\"",
                "{ value =",
            ),
        ),
        (
            "map_add = { m = 1 }",
            (4, "map_add.m", "an entry of a map has a `key`", "integer 1", "by = 1"),
        ),
        (
            "map_add = { m = { by = 1 } }",
            (4, "map_add.m.key", "is missing", "", "key ="),
        ),
        (
            "map_add = { m = { key = true } }",
            (
                4,
                "map_add.m.key",
                "a string or an integer",
                "boolean true",
                "an integer",
            ),
        ),
        (
            "map_add = { m = { key = \"k\", value = 1 } }",
            (
                4,
                "map_add.m.value",
                "unknown key in an entry of map_add",
                "",
                "did you mean `by`?",
            ),
        ),
    ]);
}

#[test]
fn what_is_kept_grows_in_the_same_write() {
    let growing = operations::ALL.iter().filter(|descriptor| descriptor.keeps.is_some());
    let growing: Vec<String> = growing.map(|descriptor| format!("`{}`", descriptor.word)).collect();
    assert!(
        ["`list_append`", "`map_put`", "`map_add`"]
            .iter()
            .all(|word| growing.iter().any(|each| each == word))
    );
    let (last, others) = growing.split_last().unwrap();
    let without = format!("`keep_last` without a {} or {last} of this bin", others.join(", "));
    let without = without.as_str();
    check_lines(&[
        (
            "bins = [\"l\"]\nkeep_last = { l = 5 }",
            (5, "keep_last.l", without, "integer 5", "add one"),
        ),
        (
            "append = { l = \"x\" }\nkeep_last = { l = 5 }",
            (5, "keep_last.l", without, "integer 5", "add one"),
        ),
        (
            "keep_last = { l = 5 }",
            (4, "keep_last.l", without, "integer 5", "add one"),
        ),
        (
            "keep_last = 5",
            (4, "keep_last", "expected a table of bins", "integer 5", "readings"),
        ),
        (
            "keep_last = {}",
            (4, "keep_last", "needs at least one bin", "a table", "1000"),
        ),
    ]);
    for (count, problem, found) in [
        ("0", "out of range", "integer 0"),
        ("1_000_001", "out of range", "integer 1000001"),
        ("\"many\"", "expected an integer", "\"many\""),
        ("1.5", "expected an integer", "float 1.5"),
    ] {
        let lines = format!("list_append = {{ l = \"x\" }}\nkeep_last = {{ l = {count} }}");
        check_lines(&[(&lines, (5, "keep_last.l", problem, found, "write 1 to 1000000"))]);
    }
}

#[test]
fn no_bin_is_named_by_two_words() {
    let cure = "a bin of its own";
    check_lines(&[
        (
            "bins = { n = \"n\" }\nadd = { n = 1 }",
            (5, "add.n", "`bins` and `add` both name this bin", "integer 1", cure),
        ),
        (
            "bins = [\"user.n\"]\nremove = [\"m\", \"n\"]",
            (5, "remove[1]", "`bins` and `remove` both name", "\"n\"", cure),
        ),
        (
            "bins = { path = \"*\", rename = { number = \"n\" } }\nonce = { n = \"n\" }",
            (5, "once.n", "`bins` and `once` both name", "\"n\"", cure),
        ),
        (
            "prepend = { t = \"a\" }\nappend = { t = \"b\" }",
            (4, "prepend.t", "`append` and `prepend` both name", "\"a\"", cure),
        ),
        (
            "list_append = { t = \"a\" }\nmap_put = { t = { key = \"a\", value = \"b\" } }\nkeep_last = { t = 5 }",
            (5, "map_put.t", "`list_append` and `map_put` both name", "a table", cure),
        ),
        (
            "bins = { v = \"v\" }\nnewer = { path = \"v\", bin = \"v\" }",
            (
                5,
                "newer.bin",
                "`bins` and `newer` both name this bin",
                "\"v\"",
                "the version a bin",
            ),
        ),
        (
            "add = { v = 1 }\nnewer = { path = \"v\", bin = \"v\" }",
            (
                5,
                "newer.bin",
                "`add` and `newer` both name",
                "\"v\"",
                "the version a bin",
            ),
        ),
    ]);
}

#[test]
fn the_names_of_guards_are_reserved() {
    let guard = "~abcDEF0123-_xy";
    let problem = "the name of a guard";
    for (lines, line, key) in [
        (
            format!("bins = {{ \"{guard}\" = \"a\" }}"),
            4,
            format!("bins.\"{guard}\""),
        ),
        (format!("bins = ['\"{guard}\"']"), 4, "bins[0]".to_owned()),
        (
            format!("bins = {{ path = \"*\", rename = {{ a = \"{guard}\" }} }}"),
            4,
            "bins.rename.a".to_owned(),
        ),
        (format!("add = {{ \"{guard}\" = 1 }}"), 4, format!("add.\"{guard}\"")),
        (format!("remove = [\"{guard}\"]"), 4, "remove[0]".to_owned()),
        (
            format!("bins = [\"a\"]\nnewer = {{ path = \"v\", bin = \"{guard}\" }}"),
            5,
            "newer.bin".to_owned(),
        ),
    ] {
        check_lines(&[(&lines, (line, &key, problem, guard, "other than a guard's"))]);
    }
}

#[test]
fn a_write_does_something() {
    check_lines(&[
        ("", (2, "bins", "is missing", "", "touch = true or delete = true")),
        (
            "touch = false\ndelete = false",
            (2, "bins", "is missing", "", "bins = {"),
        ),
        (
            "touch = 1",
            (4, "touch", "expected true or false", "integer 1", "true or false"),
        ),
    ]);
    check(
        "[[route]]\n[[route.write]]\nkey = \"@key\"\ntombstone = \"delete\"",
        &[(
            4,
            "route[0].write[0].tombstone",
            "it does not say what a message with a payload writes",
            "\"delete\"",
            "delete = true",
        )],
    );
    check(
        "[[route]]\ntombstone = \"delete\"\n[[route.write]]\nkey = \"@key\"",
        &[(3, "route[0].write[0].bins", "is missing", "", "delete = true")],
    );
}

/// All that changes a record, but for `keep_last`, which does not stand without another.
const CHANGES: [(&str, &str); 9] = [
    ("bins", "[\"x\"]"),
    ("once", "{ a = \"x\" }"),
    ("add", "{ a = 1 }"),
    ("append", "{ a = \"x\" }"),
    ("prepend", "{ a = \"x\" }"),
    ("list_append", "{ a = \"x\" }"),
    ("map_put", "{ a = { key = \"k\", value = \"v\" } }"),
    ("map_add", "{ a = { key = \"k\" } }"),
    ("remove", "[\"a\"]"),
];

/// `lines`, and below them each of `words`, is one fault at the word.
fn check_beside(lines: &str, words: &[(&str, &str)], contradicts: &str) {
    for (word, value) in words {
        let line = 5 + lines.matches('\n').count();
        let problem = format!("`{word}` contradicts {contradicts}");
        let cure = format!("remove `{word}`");
        let piece = format!("[[route]]\n[[route.write]]\nkey = \"id\"\n{lines}\n{word} = {value}");
        let Err(faults) = parse(&whole(&piece)) else {
            panic!("{piece}\nhas a fault, but was taken");
        };
        let fault = &faults.faults[0];
        let key = format!("route[0].write[0].{word}");
        assert!(
            faults.faults.len() == 1
                && fault.line == line
                && fault.key == key
                && fault.problem.starts_with(&problem)
                && fault.found.is_some()
                && fault.cure.starts_with(&cure),
            "{piece}\nexpected: {problem}; {cure}\nfaults:\n{faults}"
        );
    }
}

#[test]
fn touch_and_delete_stand_alone() {
    check_beside("touch = true", &CHANGES, "`touch`");
    check_beside("delete = true", &CHANGES, "`delete`");
    let others = [
        ("mode", "\"update\""),
        ("on_conflict", "\"ignore\""),
        ("in_doubt", "\"retry\""),
    ];
    check_beside("touch = true", &others, "`touch`");
    check_beside("delete = true", &others, "`delete`");
    check_beside(
        "touch = true",
        &[
            ("delete", "true"),
            ("guard", "true"),
            ("newer", "{ path = \"v\", bin = \"v\" }"),
        ],
        "`touch`",
    );
    check_beside("touch = true\nttl = \"1d\"", &[("ttl_on", "\"create\"")], "`touch`");
    check_beside(
        "delete = true",
        &[
            ("ttl", "\"30d\""),
            ("ttl", "\"keep\""),
            ("ttl_on", "\"write\""),
            ("ttl_on", "\"create\""),
            ("send_key", "true"),
        ],
        "`delete`",
    );
    check_lines(&[(
        "touch = true\nttl = \"keep\"",
        (
            5,
            "ttl",
            "ttl = \"keep\" contradicts `touch`, which restarts the record's life",
            "\"keep\"",
            "\"30d\"",
        ),
    )]);
    for (line, contradicts) in [
        ("touch = true", "contradicts `touch`"),
        ("delete = true", "contradicts `delete`"),
        ("mode = \"replace\"", "contradicts mode = \"replace\""),
    ] {
        let piece = "[[route]]\n[[route.write]]\nkey = \"id\"\nlist_append = { a = \"x\" }\nkeep_last = { a = 1 }\n";
        check(
            &format!("{piece}{line}"),
            &[
                (4, "route[0].write[0].list_append", contradicts, "a table", "remove"),
                (5, "route[0].write[0].keep_last", contradicts, "a table", "remove"),
            ],
        );
    }
}

#[test]
fn modes_agree_with_what_is_written() {
    check_beside(
        "bins = [\"x\"]\nmode = \"replace\"",
        &CHANGES[1..],
        "mode = \"replace\", which leaves no bin to work on",
    );
    check_beside(
        "bins = [\"x\"]\nmode = \"replace\"",
        &[("guard", "true")],
        "mode = \"replace\"",
    );
    check_beside(
        "bins = [\"x\"]\nmode = \"create\"",
        &[("newer", "{ path = \"v\", bin = \"v\" }"), ("remove", "[\"a\"]")],
        "mode = \"create\"",
    );
    let without = "`on_conflict` has no effect: this mode has no conflicts";
    check_lines(&[
        (
            "bins = [\"x\"]\non_conflict = \"ignore\"",
            (5, "on_conflict", without, "\"ignore\"", "mode = \"create\""),
        ),
        (
            "bins = [\"x\"]\nmode = \"replace\"\non_conflict = \"reject\"",
            (6, "on_conflict", without, "\"reject\"", "mode = \"update_only\""),
        ),
        (
            "bins = [\"x\"]\nmode = \"upsert\"",
            (
                5,
                "mode",
                "none of the values",
                "\"upsert\"",
                "\"update\" or \"replace\" or \"create\" or \"update_only\"",
            ),
        ),
        (
            "bins = [\"x\"]\nmode = \"create\"\non_conflict = \"skip\"",
            (
                6,
                "on_conflict",
                "none of the values",
                "\"skip\"",
                "\"reject\" or \"ignore\"",
            ),
        ),
    ]);
}

#[test]
fn doubt_is_for_writes_without_a_guard() {
    let problem = "`in_doubt` contradicts the guard: a guarded write is never in doubt";
    for lines in [
        "bins = [\"x\"]\nguard = true",
        "add = { a = 1 }\nguard = true",
        "\nadd = { a = 1 }",
        "\nappend = { a = \"x\" }",
        "\nprepend = { a = \"x\" }",
        "\nlist_append = { a = \"x\" }",
        "\nmap_add = { a = { key = \"k\" } }",
        "bins = [\"x\"]\nmode = \"create\"",
        "bins = [\"x\"]\nmode = \"update_only\"",
    ] {
        let lines = format!("{lines}\nin_doubt = \"hold\"");
        check_lines(&[(&lines, (6, "in_doubt", problem, "\"hold\"", "guard = false"))]);
    }
    for lines in [
        "bins = [\"x\"]",
        "map_put = { a = { key = \"k\", value = \"v\" } }",
        "add = { a = 1 }\nguard = false",
        "bins = [\"x\"]\nmode = \"create\"\non_conflict = \"ignore\"",
    ] {
        good(&format!(
            "[[route]]\n[[route.write]]\nkey = \"id\"\n{lines}\nin_doubt = \"hold\""
        ));
    }
    check_lines(&[
        (
            "add = { a = 1 }\nguard = false\nin_doubt = \"skip\"",
            (
                6,
                "in_doubt",
                "none of the values",
                "\"skip\"",
                "\"retry\" or \"reject\" or \"hold\"",
            ),
        ),
        (
            "add = { a = 1 }\nguard = 1",
            (5, "guard", "expected true or false", "integer 1", "true or false"),
        ),
    ]);
}

#[test]
fn a_ttl_on_create_has_a_ttl_and_a_record_to_create() {
    check_lines(&[
        (
            "bins = [\"x\"]\nttl_on = \"create\"",
            (
                5,
                "ttl_on",
                "the write has no ttl of its own",
                "\"create\"",
                "ttl = \"keep\"",
            ),
        ),
        (
            "bins = [\"x\"]\nttl = \"default\"\nttl_on = \"create\"",
            (
                6,
                "ttl_on",
                "the write has no ttl of its own",
                "\"create\"",
                "ttl = \"keep\"",
            ),
        ),
        (
            "bins = [\"x\"]\nttl = \"keep\"\nttl_on = \"create\"",
            (
                6,
                "ttl_on",
                "contradicts ttl = \"keep\"",
                "\"create\"",
                "a ttl such as \"30d\"",
            ),
        ),
        (
            "bins = [\"x\"]\nttl = \"1d\"\nttl_on = \"update\"",
            (
                6,
                "ttl_on",
                "none of the values",
                "\"update\"",
                "\"write\" or \"create\"",
            ),
        ),
    ]);
    for (mode, why) in [
        ("create", "every write makes its record"),
        ("update_only", "no write makes a record"),
        ("replace", "every write sets the record's life"),
    ] {
        let lines = format!("bins = [\"x\"]\nttl = \"1d\"\nmode = \"{mode}\"\nttl_on = \"create\"");
        let problem = format!("ttl_on = \"create\" contradicts mode = \"{mode}\": there {why}");
        check_lines(&[(&lines, (7, "ttl_on", &problem, "\"create\"", "mode = \"update\""))]);
    }
}

#[test]
fn versions_are_checked() {
    check_write(&[
        (
            "newer = \"lsn\"",
            "newer",
            "expected a table",
            "\"lsn\"",
            "newer = { path =",
        ),
        (
            "newer = { path = \"v\" }",
            "newer.bin",
            "is missing",
            "",
            "bin = \"_lsn\"",
        ),
        ("newer = { bin = \"v\" }", "newer.path", "is missing", "", "path ="),
        (
            "newer = { path = \"v\", bin = \"v\", default = 1 }",
            "newer.default",
            "unknown key in newer",
            "",
            "known keys: path, bin, as, missing",
        ),
        (
            "newer = { path = \"v\", bin = \"v\", as = \"float\" }",
            "newer.as",
            "none of the values",
            "\"float\"",
            "\"integer\" or \"epoch_s\" or \"epoch_ms\"",
        ),
        (
            "newer = { path = \"v\", bin = \"v\", missing = \"take\" }",
            "newer.missing",
            "none of the values",
            "\"take\"",
            "\"skip\" or \"reject\"",
        ),
        (
            "newer = { path = \"{a}{b}\", bin = \"v\" }",
            "newer.path",
            "a version is an integer, a template is a string",
            "\"{a}{b}\"",
            "one field",
        ),
        (
            "newer = { path = \"a b\", bin = \"v\" }",
            "newer.path",
            "does not belong in a path",
            "\"a b\"",
            "in quotes",
        ),
        (
            "newer = { path = \"v\", bin = \"much_too_long_name\" }",
            "newer.bin",
            "bin name is 18 bytes",
            "\"much_too_long_name\"",
            "1 to 15 bytes",
        ),
        (
            "newer = { path = \"v\", bin = 5 }",
            "newer.bin",
            "expected a string",
            "integer 5",
            "quotes",
        ),
    ]);
}

#[test]
fn names_from_the_message_need_their_list() {
    check_write(&[
        (
            "set = \"users_{country}\"",
            "set",
            "a set from the message needs `sets_allowed`: the server never frees a set's name, and a namespace has 4095",
            "\"users_{country}\"",
            "sets_allowed = [\"users_de\", \"users_fr\"]",
        ),
        (
            "set = \"@topic\"",
            "set",
            "needs `sets_allowed`",
            "\"@topic\"",
            "name those that it may be",
        ),
        (
            "set = { path = \"a\" }",
            "set",
            "needs `sets_allowed`",
            "a table",
            "sets_allowed",
        ),
        (
            "namespace = { path = \"tenant\" }",
            "namespace",
            "a namespace from the message needs `namespaces_allowed`",
            "a table",
            "namespaces_allowed = [",
        ),
        ("set = \"{a b}\"", "set", "does not belong", "\"{a b}\"", "in quotes"),
        ("set = \"a}b\"", "set", "without its `{`", "\"a}b\"", "}}"),
        (
            "set = { value = 5 }",
            "set",
            "a name is a string",
            "a table",
            "in quotes",
        ),
        (
            "set = { object = { a = \"b\" } }",
            "set.object",
            "an object cannot stand here",
            "a table",
            "name a field",
        ),
        (
            "sets_allowed = [\"a\"]",
            "sets_allowed",
            "`sets_allowed` without a set from the message",
            "an array of 1",
            "remove it",
        ),
        (
            "namespaces_allowed = [\"a\"]",
            "namespaces_allowed",
            "`namespaces_allowed` without a namespace from the message",
            "an array of 1",
            "remove it",
        ),
    ]);
    let long_set = format!("[\"{}\"]", "s".repeat(64));
    let long_namespace = format!("[\"{}\"]", "n".repeat(32));
    for (word, list, key, problem, found, cure) in [
        ("set", "[]", "", "needs at least one name", "an array of 0", "users_de"),
        ("set", "\"a\"", "", "expected an array of strings", "\"a\"", "brackets"),
        ("set", "[5]", "[0]", "expected a string", "integer 5", "quotes"),
        ("set", "[\"a\", \"a\"]", "[1]", "named twice", "\"a\"", "once"),
        ("set", "[\"\"]", "[0]", "a set name is empty", "\"\"", "sets_allowed ="),
        (
            "set",
            &long_set,
            "[0]",
            "64 bytes, Aerospike allows 63",
            "\"sss",
            "sets_allowed =",
        ),
        (
            "namespace",
            &long_namespace,
            "[0]",
            "32 bytes, Aerospike allows 31",
            "\"nnn",
            "namespaces_allowed =",
        ),
    ] {
        let lines = format!("bins = [\"x\"]\n{word} = \"@header.x\"\n{word}s_allowed = {list}");
        let key = format!("{word}s_allowed{key}");
        check_lines(&[(&lines, (6, &key, problem, found, cure))]);
    }
    check_lines(&[
        (
            "bins = [\"x\"]\nset = { path = \"a\", as = \"integer\" }\nsets_allowed = [\"a\"]",
            (
                5,
                "set.as",
                "a name cannot be read as this",
                "\"integer\"",
                "write one of: string",
            ),
        ),
        (
            "bins = [\"x\"]\nset = \"users\"\nsets_allowed = [\"users\"]",
            (
                6,
                "sets_allowed",
                "without a set from the message",
                "an array of 1",
                "remove it",
            ),
        ),
        (
            "bins = [\"x\"]\nset = { path = \"a\", default = \"c\" }\nsets_allowed = [\"a\", \"b\"]",
            (
                5,
                "set.default",
                "is not among sets_allowed",
                "\"c\"",
                "add it to sets_allowed",
            ),
        ),
    ]);
}

#[test]
fn tombstones_that_delete_find_their_record() {
    let needs = "tombstone = \"delete\" needs a key that a message without payload has";
    for key in ["id", "@value", "user.id", "{@key}:{id}", "{ts:%Y}"] {
        let piece = format!("[[route]]\n[[route.write]]\nkey = \"{key}\"\nbins = [\"x\"]\ntombstone = \"delete\"");
        check(&piece, &[(3, "route[0].write[0].key", needs, key, "key = \"@key\"")]);
        let piece = format!("[[route]]\ntombstone = \"delete\"\n[[route.write]]\nkey = \"{key}\"\nbins = [\"x\"]");
        check(
            &piece,
            &[(4, "route[0].write[0].key", needs, key, "tombstone = \"ignore\"")],
        );
    }
    check(
        "[[route]]\n[[route.write]]\nkey = \"@item.id\"\neach = \"items\"\nbins = [\"x\"]\ntombstone = \"delete\"\n\
         set = \"{@index}\"\nsets_allowed = [\"1\"]\nnamespace = { path = \"n\" }\nnamespaces_allowed = [\"n\"]",
        &[
            (3, "route[0].write[0].key", needs, "\"@item.id\"", "a header"),
            (
                4,
                "route[0].write[0].each",
                "contradicts `each`",
                "\"items\"",
                "tombstone = \"ignore\"",
            ),
            (
                7,
                "route[0].write[0].set",
                "needs a set that a message without payload has",
                "\"{@index}\"",
                "set = \"@header.set\"",
            ),
            (
                9,
                "route[0].write[0].namespace",
                "needs a namespace that a message without payload has",
                "a table",
                "namespace = \"@header.namespace\"",
            ),
        ],
    );
    let write = "[[route.write]]\nkey = \"id\"\nbins = [\"x\"]";
    check(
        &format!("[[route]]\ntombstone = \"drop\"\n{write}"),
        &[(
            2,
            "route[0].tombstone",
            "none of the values",
            "\"drop\"",
            "\"reject\" or \"ignore\" or \"delete\"",
        )],
    );
    check(
        &format!("[[route]]\n{write}\ntombstone = true"),
        &[(
            5,
            "route[0].write[0].tombstone",
            "expected a string",
            "boolean true",
            "\"reject\" or \"ignore\"",
        )],
    );
}

#[test]
fn values_are_checked() {
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        ("\"\"", "", "a path lacks a name", "\"\"", "user.id"),
        (
            "\"web site\"",
            "",
            "\" site\" does not belong in a path",
            "\"web site\"",
            "{ value =",
        ),
        (
            "\" a\"",
            "",
            "is not how a name in a path begins",
            "\" a\"",
            "in quotes",
        ),
        ("\"a.\"", "", "a path lacks a name", "\"a.\"", "user.id"),
        ("\"a[-1]\"", "", "an index is a number", "\"a[-1]\"", "items[0]"),
        (
            "\"a[9999999999]\"",
            "",
            "an index is a number",
            "\"a[9999999999]\"",
            "items[0]",
        ),
        ("'a.\"x'", "", "a quoted name in a path is not closed", "a.", "user.id"),
        ("'a.\"x\\y\"'", "", "a backslash stands before", "a.", "\\\\"),
        (
            "\"@keys\"",
            "",
            "there is no \"@keys\"",
            "\"@keys\"",
            "did you mean `@key`?",
        ),
        ("\"@\"", "", "there is no \"@\"", "\"@\"", "@timestamp"),
        (
            "\"@value.x\"",
            "",
            "`@value` has no fields",
            "\"@value.x\"",
            "without `@value.`",
        ),
        ("\"@topic.x\"", "", "`@topic` has no fields", "\"@topic.x\"", "as it is"),
        ("\"@header\"", "", "a header has no name", "\"@header\"", "@header.NAME"),
        (
            "\"@header.\"",
            "",
            "a header has no name",
            "\"@header.\"",
            "@header.NAME",
        ),
        ("\"{a\"", "", "`{a` is not closed", "\"{a\"", "write `{a}`"),
        (
            "\"{user.id:{ts:%Y%m%d}\"",
            "",
            "`{user.id` is not closed",
            "\"{user.id:{ts:%Y%m%d}\"",
            "write `{user.id}:`",
        ),
        ("\"{a{b}\"", "", "`{a` is not closed", "\"{a{b}\"", "write `{a}`"),
        (
            "\"{ts as epoch_s}\"",
            "",
            "without a time format",
            "epoch_s",
            "{ts as epoch_s:%Y%m%d}",
        ),
        ("\"{ts as epoch:%Y}\"", "", "no unit of a time", "epoch", "epoch_s"),
        (
            "\"{ts as ms:%Y}\"",
            "",
            "no unit of a time",
            "ms",
            "did you mean `epoch_ms`?",
        ),
        (
            "\"{@timestamp as epoch_s:%Y}\"",
            "",
            "is in milliseconds",
            "epoch_s",
            "write {@timestamp:%Y}",
        ),
        ("\"{@offset:%Y}\"", "", "is no time", "@offset", "write {@offset}"),
        ("\"a}\"", "", "`}` without its `{`", "\"a}\"", "}}"),
        ("\"{}\"", "", "an empty `{}`", "\"{}\"", "{{"),
        (
            "\"{a b}\"",
            "",
            "does not belong in a template's path",
            "\"{a b}\"",
            "in quotes",
        ),
        ("\"{ts:}\"", "", "a time format is empty", "\"{ts:}\"", "%Y%m%d%H"),
        ("\"{ts:%Y\"", "", "`{ts` is not closed", "\"{ts:%Y\"", "}"),
        (
            "\"{ts:day}\"",
            "",
            "takes nothing from the time",
            "\"{ts:day}\"",
            "%Y%m%d%H",
        ),
        (
            "\"{ts:%%}\"",
            "",
            "takes nothing from the time",
            "\"{ts:%%}\"",
            "%Y%m%d%H",
        ),
        (
            "\"{ts:%Z}\"",
            "",
            "takes nothing from the time",
            "\"{ts:%Z}\"",
            "%Y%m%d%H",
        ),
        (
            "\"{ts:%E}\"",
            "",
            "the time format \"%E\" is wrong",
            "\"{ts:%E}\"",
            "%Y%m%d%H",
        ),
        ("\"a${b}\"", "", "whole values only", "\"a${b}\"", "$${"),
        ("\"${b}\"", "", "a reference is `${env:NAME}`", "\"${b}\"", "$${"),
        (
            "\"${env:NOPE}\"",
            "",
            "the environment variable NOPE is not set",
            "\"${env:NOPE}\"",
            "set NOPE",
        ),
        (
            "\"${file:/nope}\"",
            "",
            "the file /nope cannot be read",
            "\"${file:/nope}\"",
            "readable file",
        ),
        (
            "\"${env:SECRET}\"",
            "",
            "no path or template",
            "the value of ${env:SECRET}",
            "docs/reference/values.md",
        ),
        (
            "[1]",
            "",
            "an array is not a value expression",
            "an array of 1",
            "{ value =",
        ),
        (
            "1979-05-27",
            "",
            "Aerospike has no dates",
            "date 1979-05-27",
            "in quotes",
        ),
        ("99999999999999999999", "", "at most 64 bits", "integer 9999", "string"),
        ("inf", "", "a finite number", "float inf", "64 bits"),
        ("1e999", "", "a finite number", "float 1e999", "64 bits"),
        (
            "{}",
            "",
            "names neither `path`, `value`, `object` nor `expr`",
            "a table",
            "{ path =",
        ),
        ("{ as = \"float\" }", "", "names neither", "a table", "{ path ="),
        ("{ path = 5 }", ".path", "expected a string", "integer 5", "quotes"),
        (
            "{ path = \"a b\" }",
            ".path",
            "does not belong in a path",
            "\"a b\"",
            "in quotes",
        ),
        ("{ path = \"{{x}}\" }", ".path", "a constant", "\"{{x}}\"", "{ value ="),
        (
            "{ path = \"a\", value = 1 }",
            ".value",
            "`path` and `value` contradict",
            "integer 1",
            "keep one",
        ),
        (
            "{ path = \"a\", object = { b = \"c\" } }",
            ".object",
            "`path` and `object` contradict",
            "a table",
            "keep one",
        ),
        (
            "{ value = 1, as = \"float\" }",
            ".as",
            "`as` contradicts `value`",
            "\"float\"",
            "remove `as`",
        ),
        (
            "{ value = 1, missing = \"skip\" }",
            ".missing",
            "`missing` contradicts `value`",
            "\"skip\"",
            "remove",
        ),
        (
            "{ value = 1, default = 2 }",
            ".default",
            "`default` contradicts `value`",
            "integer 2",
            "remove",
        ),
        (
            "{ object = { a = \"b\" }, as = \"json\" }",
            ".as",
            "`as` contradicts `object`",
            "\"json\"",
            "remove",
        ),
        (
            "{ value = [1979-05-27] }",
            ".value[0]",
            "Aerospike has no dates",
            "date",
            "in quotes",
        ),
        (
            "{ value = { d = 07:32:00 } }",
            ".value.d",
            "Aerospike has no dates",
            "date 07:32:00",
            "in quotes",
        ),
        (
            "{ object = {} }",
            ".object",
            "an object needs a field",
            "a table",
            "{ value = {} }",
        ),
        ("{ object = 5 }", ".object", "expected a table", "integer 5", ""),
        (
            "{ object = { b = \"a b\" } }",
            ".object.b",
            "does not belong",
            "\"a b\"",
            "in quotes",
        ),
        (
            "{ path = \"a\", as = \"int\" }",
            ".as",
            "none of the values",
            "\"int\"",
            "did you mean \"integer\"? write \"string\" or",
        ),
        (
            "{ path = \"a\", as = \"Integer\" }",
            ".as",
            "none of the values",
            "\"Integer\"",
            "did you mean \"integer\"?",
        ),
        (
            "{ path = \"a\", as = \"epoc_ms\" }",
            ".as",
            "none of the values",
            "\"epoc_ms\"",
            "did you mean \"epoch_ms\"?",
        ),
        (
            "{ path = \"a\", missing = \"drop\" }",
            ".missing",
            "none of the values",
            "\"drop\"",
            "\"skip\" or \"reject\"",
        ),
        (
            "{ path = \"a\", missing = \"skip\", default = 1 }",
            ".default",
            "`default` contradicts `missing`",
            "integer 1",
            "keep one",
        ),
        (
            "{ path = \"{a}b\", as = \"integer\" }",
            ".as",
            "a template is a string",
            "\"integer\"",
            "one field",
        ),
        (
            "{ path = \"a\", as = \"string\", default = 1 }",
            ".default",
            "type, string",
            "integer 1",
            "quotes",
        ),
        (
            "{ path = \"a\", as = \"integer\", default = 1.0 }",
            ".default",
            "type, integer",
            "float 1.0",
            "an integer",
        ),
        (
            "{ path = \"a\", as = \"float\", default = \"1\" }",
            ".default",
            "type, float",
            "\"1\"",
            "a number",
        ),
        (
            "{ path = \"a\", as = \"bool\", default = 1 }",
            ".default",
            "type, bool",
            "integer 1",
            "true or false",
        ),
        (
            "{ path = \"a\", as = \"epoch_ms\", default = \"now\" }",
            ".default",
            "type, epoch_ms",
            "\"now\"",
            "RFC 3339",
        ),
        (
            "{ path = \"a\", as = \"epoch_ms\", default = 1.5 }",
            ".default",
            "type, epoch_ms",
            "float",
            "milliseconds",
        ),
        (
            "{ path = \"a\", as = \"base64\", default = \"aGk=\" }",
            ".default",
            "bytes cannot",
            "\"aGk=\"",
            "skip",
        ),
        (
            "{ path = \"a\", as = \"hex\", default = \"00\" }",
            ".default",
            "bytes cannot",
            "\"00\"",
            "skip",
        ),
    ];
    for (value, key, problem, found, cure) in cases {
        let line = format!("bins = {{ a = {value} }}");
        check_write(&[(&line, &format!("bins.a{key}"), problem, found, cure)]);
    }
}

#[test]
fn syntax_errors_come_with_the_faults_that_are_certain() {
    // A string without quotes leaves the rest as it is.
    check(
        "[run]\nmemory = 512MiB\ncommit_interval = 1\nsped = 2",
        &[
            (2, "run.memory", "without quotes", "512MiB", "memory = \"512MiB\""),
            (3, "run.commit_interval", "needs a unit", "integer 1", "\"1s\""),
            (4, "run.sped", "unknown key", "", "known keys"),
        ][..],
    );
    // Where the parser had to guess how to go on, the section says nothing more, and nothing is called missing.
    check_file(
        "[kafka\nbrokers = 5\n[run]\nmemory = 5\n",
        &[(1, "", "`]` is missing", "", "[kafka]")],
    );
    check_file(
        "[run]\nmemory = 5\n[kafka]\ntopics = [\"a\"\nbrokers = 5\nstart = 1\n",
        &[
            (2, "run.memory", "needs a unit", "integer 5", ""),
            (
                4,
                "kafka.topics",
                "`[` that opens here is not closed",
                "",
                "before line 5",
            ),
        ],
    );
    check(
        "[run]\nmemory = \"1\nbatch_rows_max = 0\n[reject]\naction = \"burn\"",
        &[
            (2, "run.memory", "a `\"` is missing", "", "at its end"),
            (5, "reject.action", "none of the values", "\"burn\"", ""),
        ],
    );
    check(
        "[run]\nmemory =",
        &[(2, "run.memory", "a value is missing", "", "memory")],
    );
    check_file("= 5", &[(1, "", "a key is missing", "", "key = value")]);
    check_file(
        &format!("a{} = 5", ".a".repeat(50_000)),
        &[(1, "", "nested too deeply", "", "less nesting")],
    );
    // Two keys of one name are a fault of their own, and the first is checked.
    check(
        "[run]\nmemory = 5\nmemory = \"1GiB\"",
        &[
            (2, "run.memory", "needs a unit", "integer 5", ""),
            (3, "run.memory", "at line 2 already", "", "keep one of them"),
        ],
    );
}

#[test]
fn conditions_are_checked_with_the_column_in_them() {
    let route = |line: &str| ROUTE.replace("[[route]]\n", &format!("[[route]]\n{line}\n"));
    for (line, key, problem, found, cure) in [
        (
            "when = \"has(type)\"",
            "when",
            "column 5: has() asks",
            "\"has(type)\"",
            "has(msg.type)",
        ),
        (
            "when = \"type = 'a'\"",
            "when",
            "column 6: `=` cannot stand here",
            "type",
            "==",
        ),
        (
            "when = \"meta.tpic == 'a'\"",
            "when",
            "`meta` has no `tpic`",
            "tpic",
            "`topic`",
        ),
        (
            "when = \"size(items)\"",
            "when",
            "true or false, and this is int",
            "size",
            "size(items) > 0",
        ),
        (
            "when = \"1 == 1\"",
            "when",
            "names nothing of the message",
            "1 == 1",
            "name a field",
        ),
        ("when = true", "when", "expected a string", "boolean true", "in quotes"),
        (
            "when_error = \"false\"",
            "when_error",
            "`when_error` without `when`",
            "\"false\"",
            "add when",
        ),
        (
            "when = \"a\"\nwhen_error = \"skip\"",
            "when_error",
            "none of the values",
            "\"skip\"",
            "\"reject\"",
        ),
        (
            "require = \"a > 1\"",
            "require",
            "an array of conditions",
            "\"a > 1\"",
            "in brackets",
        ),
        (
            "require = []",
            "require",
            "needs at least one",
            "an array of 0",
            "remove `require`",
        ),
        (
            "require = [\"a > 1\", \"starts(b)\"]",
            "require[1]",
            "column 7: no function starts()",
            "starts(b)",
            "functions",
        ),
        (
            "when = \"${env:SECRET}\"",
            "when",
            "what the reference holds is no CEL",
            "${env:SECRET}",
            "docs/reference/conditions.md",
        ),
    ] {
        let at = if line.contains('\n') { 3 } else { 2 };
        check(&route(line), &[(at, &format!("route[0].{key}"), problem, found, cure)]);
    }
    check_write(&[
        (
            "when = \"item.q > 'x' + 1\"",
            "when",
            "`+` cannot take string and int",
            "item.q",
            "string(…)",
        ),
        (
            "when_error = \"reject\"",
            "when_error",
            "without `when`",
            "\"reject\"",
            "add when",
        ),
    ]);
    check(
        "[[route]]\n[[route.publish]]\ntopic = \"p\"\nwhen = \"a >\"",
        &[(
            4,
            "route[0].publish[0].when",
            "column 4: ends before",
            "\"a >\"",
            "write CEL",
        )],
    );
}

#[test]
fn computed_values_are_checked() {
    check_write(&[
        (
            "bins = { a = { expr = \"b.lower()\" } }",
            "bins.a.expr",
            "no function .lower()",
            "b.lower()",
            "write x.lowerAscii()",
        ),
        (
            "bins = { a = { expr = \"1 + 1\" } }",
            "bins.a.expr",
            "names nothing of the message",
            "1 + 1",
            "{ value = … }",
        ),
        (
            "bins = { a = { expr = \"b\", missing = \"skip\" } }",
            "bins.a.missing",
            "`missing` contradicts `expr`",
            "skip",
            "has(msg.price)",
        ),
        (
            "bins = { a = { expr = \"b\", default = 1 } }",
            "bins.a.default",
            "`default` contradicts `expr`",
            "1",
            "has(",
        ),
        (
            "bins = { a = { expr = \"b\", path = \"c\" } }",
            "bins.a.expr",
            "contradict each other",
            "b",
            "one of them",
        ),
        (
            "bins = { a = { expr = \"timestamp(b)\" } }",
            "bins.a.expr",
            "no record can hold a timestamp",
            "timestamp",
            "string(…)",
        ),
        (
            "add = { n = { expr = \"b * 2\" } }",
            "add.n.expr",
            "has no type",
            "b * 2",
            "beside `expr`",
        ),
        (
            "add = { n = { expr = \"b\", as = \"hex\" } }",
            "add.n.as",
            "cannot be read as this",
            "hex",
            "integer, float",
        ),
    ]);
    check(
        "[[route]]\n[[route.write]]\ntombstone = \"delete\"\nkey = { expr = \"meta.key + id\" }\nbins = [\"a\"]",
        &[(
            4,
            "route[0].write[0].key",
            "a key that a message without payload has",
            "a table",
            "\"@key\"",
        )],
    );
    good(
        "[[route]]\n[[route.write]]\ntombstone = \"delete\"\nkey = { expr = \"meta.topic + meta.key\" }\nbins = [\"a\"]",
    );
}

#[test]
fn a_file_of_faults_is_told_whole_and_in_order() {
    let text = r#"[run]
memory = 5
batch_rows_max = 0
stall_after = "3s"
[kafka]
brokers = ":1"
topics = ["a/b", "events",
  "events", "${env:NOPE}"]
start = "begin"
[kafka.properties]
"acks" = 1
"sasl.password" = 1979-05-27
[aerospike]
hosts = ""
password = "hunter2"
[[route]]
when = "true"
topics = ["evens"]
  [[route.write]]
  key = 5
  bins = { country_of_residence = "a b", when = 1979-05-27 }
  ttl = 30
  [[route.write]]
  set = "{x}"
  key = "@item.x"
  bins = "user"
  speed = 1
[reject]
action = "burn"
[extra]
"#;
    let expected: &[Expected<'_>] = &[
        (2, "run.memory", "needs a unit", "integer 5", ""),
        (3, "run.batch_rows_max", "out of range", "integer 0", ""),
        (
            4,
            "run.stall_after",
            "less than two write_timeouts",
            "\"3s\"",
            "stall_after = \"4s\"",
        ),
        (6, "kafka.brokers", "without a host", "\":1\"", ""),
        (7, "kafka.topics[0]", "`/` is not allowed", "\"a/b\"", ""),
        (8, "kafka.topics[2]", "named twice", "\"events\"", ""),
        (8, "kafka.topics[3]", "NOPE is not set", "\"${env:NOPE}\"", ""),
        (9, "kafka.start", "none of the values", "\"begin\"", ""),
        (11, "kafka.properties.acks", "in-sync replicas", "", ""),
        (12, "kafka.properties.\"sasl.password\"", "expected a string", "", ""),
        (13, "aerospike.namespace", "is missing", "", ""),
        (13, "aerospike.user", "is missing", "", ""),
        (14, "aerospike.hosts", "a host is empty", "\"\"", ""),
        (17, "route[0].when", "names nothing of the message", "\"true\"", ""),
        (
            18,
            "route[0].topics[0]",
            "not among kafka.topics",
            "\"evens\"",
            "`events`",
        ),
        (20, "route[0].write[0].key", "the same record", "integer 5", ""),
        (
            21,
            "route[0].write[0].bins.country_of_residence",
            "20 bytes",
            "\"country_of_residence\"",
            "",
        ),
        (
            21,
            "route[0].write[0].bins.country_of_residence",
            "does not belong",
            "\"a b\"",
            "",
        ),
        (21, "route[0].write[0].bins.when", "no dates", "date", ""),
        (22, "route[0].write[0].ttl", "expected a ttl", "integer 30", ""),
        (24, "route[0].write[1].set", "needs `sets_allowed`", "\"{x}\"", ""),
        (
            25,
            "route[0].write[1].key",
            "outside a write with `each`",
            "\"@item.x\"",
            "",
        ),
        (26, "route[0].write[1].bins", "one path is not bins", "\"user\"", ""),
        (27, "route[0].write[1].speed", "unknown key", "", ""),
        (29, "reject.action", "none of the values", "\"burn\"", ""),
        (30, "extra", "unknown key", "", ""),
    ];
    check_file(text, expected);
}

#[test]
fn a_login_in_an_address_is_told_and_nothing_of_it_is_shown() {
    let kafka = |brokers: &str| format!("[kafka]\nbrokers = {brokers}\ntopics = [\"events\"]\n{AEROSPIKE}");
    let aerospike = |hosts: &str| format!("{KAFKA}[aerospike]\nhosts = {hosts}\nnamespace = \"test\"\n");
    for address in [
        "\"u:hunter2@h:9092\"",
        "\"hunter2@h:9092\"",
        "\"sasl_ssl://u:hunter2@h:9092\"",
        "\"a:9092,SASL_SSL://u:hun,hunter2@h:9092\"",
        "\"h:9092?password=hunter2\"",
        "\"h:9092;user=u;password=hunter2\"",
        "\"http://u:hunter2@h:9092/x\"",
        "[\"u:hunter2@h:9092\"]",
        "[\"a:9092\", \"h:9092?sasl.password=hunter2\"]",
    ] {
        for (text, cure) in [
            (kafka(address), "sasl.username and sasl.password"),
            (aerospike(address), "aerospike.user and aerospike.password"),
        ] {
            let said = config::parse(&text, "penstock.toml").unwrap_err().to_string();
            assert!(!said.contains("hunter2"), "{text}\n{said}");
            assert!(said.contains("a login does not belong in an address"), "{text}\n{said}");
            assert!(said.contains(cure), "{text}\n{said}");
        }
    }
    // Nor where it stands at another key.
    for topics in ["\"kafka://u:hunter2@h:9092/events\"", "[\"u:hunter2@h:9092\"]"] {
        let text = format!("[kafka]\nbrokers = \"k\"\ntopics = {topics}\n{AEROSPIKE}");
        let said = config::parse(&text, "penstock.toml").unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{text}\n{said}");
    }
}
