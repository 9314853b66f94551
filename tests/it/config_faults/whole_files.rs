//! Files with many faults, including syntax errors; and the order in which the faults are reported.

use super::{Expected, check, check_file};

#[test]
fn syntax_errors_come_with_the_faults_that_are_certain() {
    // A string without quotes does not affect the rest of the file.
    check(
        "[run]\nmemory = 512MiB\ncommit_interval = 1\nsped = 2",
        &[
            (2, "run.memory", "without quotes", "512MiB", "memory = \"512MiB\""),
            (3, "run.commit_interval", "needs a unit", "integer 1", "\"1s\""),
            (4, "run.sped", "unknown key", "", "known keys"),
        ][..],
    );
    // If the parser had to guess how to go on, no more faults of that section are reported, and no key is reported as
    // missing.
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
    // A duplicate key is a separate fault. The first of the two keys is checked.
    check(
        "[run]\nmemory = 5\nmemory = \"1GiB\"",
        &[
            (2, "run.memory", "needs a unit", "integer 5", ""),
            (3, "run.memory", "at line 2 already", "", "keep one of them"),
        ],
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
