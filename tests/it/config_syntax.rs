//! What the service reports about a file that is not TOML, and about values of the wrong type: the line of the mistake,
//! its name, and what to write instead.

use crate::support::examples;
use penstock::config::{self, Faults};

fn faults(text: &str) -> Faults {
    match config::parse(text, "penstock.toml") {
        Ok(_) => panic!("{text}\nhas faults, but was taken"),
        Err(faults) => faults,
    }
}

const KAFKA: &str = "[kafka]\nbrokers = \"k:9092\"\ntopics = [\"events\"]\n";
const AEROSPIKE: &str = "[aerospike]\nhosts = \"a:3000\"\nnamespace = \"test\"\n";
const ROUTE: &str = "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }\n";

/// The piece, followed by the sections that it lacks.
fn whole(piece: &str) -> String {
    let mut text = format!("{piece}\n");
    for (header, section) in [("[kafka", KAFKA), ("[aerospike", AEROSPIKE), ("[[route]]", ROUTE)] {
        if !piece.contains(header) {
            text.push_str(section);
        }
    }
    text
}

/// Checks that the piece has exactly this fault: its line, its key, and parts of its text.
#[track_caller]
fn check(piece: &str, line: usize, key: &str, parts: &[&str]) {
    let faults = faults(&whole(piece));
    let said = faults.to_string();
    let [fault] = faults.faults.as_slice() else {
        panic!("{piece}\nhas one fault, but:\n{said}");
    };
    assert_eq!((fault.line, fault.key.as_str()), (line, key), "{piece}\n{said}");
    for part in parts {
        assert!(said.contains(part), "{piece}\n{part:?} is not in:\n{said}");
    }
}

#[test]
fn what_is_not_closed_is_told_once_at_the_line_where_it_opens() {
    // The file of the issue. It got about 26 lines of faults, and none of them was the line of the mistake.
    let after = "group = \"g\"\nstart = \"latest\"\n".to_owned() + AEROSPIKE + ROUTE;
    check(
        &format!("[kafka]\nbrokers = \"k:9092\"\ntopics = [\"events\"\n{after}"),
        3,
        "kafka.topics",
        &[
            "the `[` that opens here is not closed",
            "write `]` where it ends, before line 4",
        ],
    );
    check(
        &format!("[kafka]\nbrokers = \"k\"\ntopics = [\n  \"a\",\n  \"b\",\n{AEROSPIKE}"),
        3,
        "kafka.topics",
        &["before line 6"],
    );
    check(
        &format!("[kafka]\nbrokers = \"k\"\ntopics = [\n  \"a\",\n  \"b\",\n\n[kafka.properties]\n{AEROSPIKE}"),
        3,
        "kafka.topics",
        &["before line 7"],
    );
    // At the end of the file.
    let text = format!("{KAFKA}{AEROSPIKE}[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\", \"b\"\n");
    check(
        &text,
        10,
        "route[0].write[0].bins",
        &["the `[` that opens here is not closed"],
    );
    // An inline table.
    check(
        "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\", b = \"b\"\nttl = \"1d\"\n[reject]\naction = \"hold\"",
        4,
        "route[0].write[0].bins",
        &["the `{` that opens here is not closed", "before line 5"],
    );
    check(
        "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = { path = \"a\", as = \"string\" , b = \"b\"\n[reject]\naction = \"hold\"",
        4,
        "route[0].write[0].bins.a",
        &["the `{` that opens here is not closed", "before line 5"],
    );
    // One that is closed with the wrong kind of bracket.
    check(
        "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { path = \"*\", except = [\"a\", \"b\" }",
        4,
        "route[0].write[0].bins.except",
        &["the `[` that opens here is closed by `}`"],
    );
    check(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"a\")",
        3,
        "kafka.topics",
        &["closed by `)`"],
    );
    // Strings.
    check(
        "[run]\nmemory = \"1GiB\nbatch_rows_max = 0",
        2,
        "run.memory",
        &["a `\"` is missing", "at its end"],
    );
    check(
        "[run]\nmemory = '1GiB\nbatch_rows_max = 0",
        2,
        "run.memory",
        &["a `'` is missing"],
    );
    check(
        "[[route]]\nwhen = \"\"\"\n  type == 'a'\n  && b > 3\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }",
        2,
        "route[0].when",
        &["`\"\"\"` is not closed"],
    );
    check(
        "[[route]]\nwhen = '''\n  type == \"a\"\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }",
        2,
        "route[0].when",
        &["`'''` is not closed"],
    );
    // An open string in closed brackets: the parser still searches for the end of the brackets.
    check(
        &format!("[kafka]\nbrokers = \"k\"\ntopics = [\"a]\n{AEROSPIKE}{ROUTE}"),
        3,
        "kafka.topics",
        &["a `\"` is missing"],
    );
    check(
        "[kafka]\nbrokers = \"k\"\ntopics = (\"a\")",
        3,
        "kafka.topics",
        &["no `( … )`", "[ … ]"],
    );
    // Tables.
    check(
        "[kafka\nbrokers = 5\n[run]\nmemory = 5",
        1,
        "",
        &["`]` is missing", "write [kafka]"],
    );
    check(
        "[[route]\ntopics = 5",
        1,
        "",
        &["two brackets open, and one closes", "write [[route]]"],
    );
    check("[run]]\nmemory = 5", 1, "", &["write [run], or [[run]]"]);
    check("[]\nmemory = 5", 1, "", &["a table has no name"]);
    check("memory = \"1GiB\"]\n[run]", 1, "memory", &["`]` closes nothing"]);
    check("[run]\nmemory = \"1GiB\"\n}", 3, "", &["`}` closes nothing"]);
}

#[test]
fn sections_before_what_is_not_closed_are_checked_all_the_same() {
    let text = "[run]\nmemory = 5\n[kafka]\ntopics = [\"a\"\nbrokers = 5\nstart = 1\n";
    let faults = faults(text);
    let lines: Vec<(usize, &str)> = faults
        .faults
        .iter()
        .map(|fault| (fault.line, fault.key.as_str()))
        .collect();
    assert_eq!(lines, [(2, "run.memory"), (4, "kafka.topics")], "{faults}");
}

#[test]
fn text_without_quotes_is_shown_with_them() {
    for (piece, line, key, parts) in [
        (
            "[kafka]\nbrokers = 127.0.0.1:19092\ntopics = [\"events\"]",
            2,
            "kafka.brokers",
            [
                "found 127.0.0.1:19092",
                "put it in quotes: brokers = \"127.0.0.1:19092\"",
            ],
        ),
        (
            "[kafka]\nbrokers = k1:9092, k2:9092 # both\ntopics = [\"events\"]",
            2,
            "kafka.brokers",
            ["text stands without quotes", "brokers = \"k1:9092, k2:9092\""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [events]",
            3,
            "kafka.topics",
            ["found events", "put it in quotes: \"events\""],
        ),
        ("[run]\nmemory = 512MiB", 2, "run.memory", ["", "memory = \"512MiB\""]),
        (
            "[run]\nwrite_timeout = 10s",
            2,
            "run.write_timeout",
            ["", "write_timeout = \"10s\""],
        ),
        ("[reject]\naction = hold", 2, "reject.action", ["", "action = \"hold\""]),
        (
            "[[route]]\nwhen = type == 'a'\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }",
            2,
            "route[0].when",
            ["", "when = \"type == 'a'\""],
        ),
        (
            "[[route]]\nwhen = type == \"a\"\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }",
            2,
            "route[0].when",
            ["", "when = 'type == \"a\"'"],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = user.id\nbins = { a = \"a\" }",
            3,
            "route[0].write[0].key",
            ["", "key = \"user.id\""],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = user.a, b = \"b\" }",
            4,
            "route[0].write[0].bins.a",
            ["found user.a", "a = \"user.a\""],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }\nttl = 30d",
            5,
            "route[0].write[0].ttl",
            ["", "ttl = \"30d\""],
        ),
        (
            "[kafka]\nbrokers = ${env:BROKERS}\ntopics = [\"events\"]",
            2,
            "kafka.brokers",
            ["", "brokers = \"${env:BROKERS}\""],
        ),
        // The fault says which quote is missing.
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = test\"",
            3,
            "aerospike.namespace",
            ["the `\"` that opens the string is missing", "namespace = \"test\""],
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"test",
            3,
            "aerospike.namespace",
            ["a `\"` is missing", "at its end"],
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = test'",
            3,
            "aerospike.namespace",
            ["the `'` that opens the string is missing", "namespace = \"test\""],
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = “test”",
            3,
            "aerospike.namespace",
            ["`“` is a typographic quote", "namespace = \"test\""],
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = `test`",
            3,
            "aerospike.namespace",
            ["typographic quote", "namespace = \"test\""],
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"test”",
            3,
            "aerospike.namespace",
            ["`”` is a typographic quote", "write `\"` in its place"],
        ),
        // Words of other languages.
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuse_services_alternate = yes",
            4,
            "aerospike.use_services_alternate",
            ["no boolean of TOML", "write use_services_alternate = true"],
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuse_services_alternate = False",
            4,
            "aerospike.use_services_alternate",
            ["no boolean of TOML", "write use_services_alternate = false"],
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\ncluster_name = null",
            4,
            "aerospike.cluster_name",
            ["TOML has no null", "remove `cluster_name`"],
        ),
        ("[run]\nmemory = 512 MiB", 2, "run.memory", ["", "memory = \"512MiB\""]),
        (
            "[run]\nbatch_rows_max = 0100",
            2,
            "run.batch_rows_max",
            ["", "write batch_rows_max = 100"],
        ),
        (
            "[run]\nrows_per_second_max = 1,000",
            2,
            "run.rows_per_second_max",
            ["", "write rows_per_second_max = 1000"],
        ),
    ] {
        check(piece, line, key, &parts);
    }
}

#[test]
fn a_value_that_may_be_a_secret_is_not_shown() {
    for piece in [
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\npassword = hunter2",
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\npassword = hunter2\"",
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\npassword = \"hunter2",
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\npassword = \"hunter2\"hunter2\"",
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\npassword: hunter2",
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\npassword hunter2",
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\npassword = “hunter2”",
        "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[kafka.properties]\nsasl.password = hunter2",
        "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[kafka.properties]\nssl.key.pem = -----BEGIN PRIVATE KEY-----\nhunter2\nhunter2 =\n",
        "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[kafka.properties]\nssl.key.pem = \"-----BEGIN PRIVATE KEY-----\nhunter2/+hunter2\n-----END\"",
        "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\nproperties = { \"sasl.password\" = hunter2 }",
        "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[kafka.consumer]\n\"ssl.key.password\" = 'hunter2",
        "[kafka]\ntopics = [\"events\"]\nbrokers = u:hunter2@h:9092",
        "[kafka]\ntopics = [\"events\"]\nbrokers = sasl_ssl://u:hunter2@h:9092",
        "[kafka]\ntopics = [\"events\"]\nbrokers = [u:hunter2@h:9092, \"v\"]",
        "[kafka]\ntopics = [\"events\"]\nbrokers = [u:hun,hunter2@h:9092]",
        "[kafka]\ntopics = [\"events\"]\nbrokers = h:9092?password=hunter2",
        "[kafka]\ntopics = [\"events\"]\nbrokers = “u:hunter2@h:9092”",
        "[kafka]\ntopics = [\"events\"]\nbrokers = u:hunter2@h:9092\"",
        "[aerospike]\nnamespace = \"test\"\nhosts = u:hunter2@h:3000",
        "[aerospike]\nnamespace = \"test\"\nhosts = h:3000?password=hunter2",
        "[kafka]\nbrokers = \"k\"\ntopics = [kafka://u:hunter2@h:9092/events]",
    ] {
        let said = faults(&whole(piece)).to_string();
        assert!(!said.contains("hunter2"), "{piece}\n{said}");
    }
}

#[test]
fn other_languages_and_slips_of_the_hand_are_told_as_what_they_are() {
    for (piece, line, key, parts) in [
        (
            "[run]\nmemory \"1GiB\"",
            2,
            "run.memory",
            ["`=` is missing behind `memory`", "write memory = …"],
        ),
        (
            "[run]\nmemory",
            2,
            "run.memory",
            ["neither `=` nor a value", "write memory = …"],
        ),
        (
            "[run]\nmemory =",
            2,
            "run.memory",
            ["a value is missing", "write memory = …"],
        ),
        ("[run]\nmemory = # 1GiB", 2, "run.memory", ["a value is missing", ""]),
        (
            "[run]\nmemory == \"1GiB\"",
            2,
            "run.memory",
            ["`==` where TOML has `=`", ""],
        ),
        (
            "[run]\nmemory: \"1GiB\"",
            2,
            "run.memory",
            ["`:` where TOML has `=`", "write memory = …"],
        ),
        (
            "kafka:\n  brokers: k:9092\n  topics:\n    - events",
            1,
            "kafka",
            ["not YAML", "write [kafka]"],
        ),
        ("---\nkafka:\n  brokers: k", 1, "", ["this looks like YAML", ""]),
        (
            "{\n  \"kafka\": { \"brokers\": \"k\" }\n}",
            1,
            "",
            ["this looks like JSON", "write sections and keys"],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { \"a\": \"a\" }",
            4,
            "route[0].write[0].bins.a",
            ["`:` where TOML has `=`", "write a = …"],
        ),
        (
            "[run]\nmemory = \"1GiB\",",
            2,
            "run.memory",
            ["a line does not end with `,`", "remove it"],
        ),
        (
            "[run]\nmemory = \"1GiB\";",
            2,
            "run.memory",
            ["a line does not end with `;`", "remove it"],
        ),
        (
            "[run]\nmemory = \"1GiB\" // the bound",
            2,
            "run.memory",
            ["a comment begins with `#`", ""],
        ),
        (
            "[run]\n// the bound\nmemory = \"1GiB\"",
            2,
            "",
            ["a comment begins with `#`", "in place of `//`"],
        ),
        (
            "[run] // bounds\nmemory = \"1GiB\"",
            1,
            "",
            ["a comment begins with `#`", ""],
        ),
        (
            "[run] memory = \"1GiB\"",
            1,
            "",
            ["something stands behind [run]", "begin a new line"],
        ),
        (
            "[run]\nmemory = \"1GiB\" batch_rows_max = 5",
            2,
            "run.memory",
            ["two keys stand on one line", ""],
        ),
        (
            "[[route]]\nwhen = \"type == \"a\"\"\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }",
            2,
            "route[0].when",
            ["the string ends at a `\"` inside it", "put the whole in '…'"],
        ),
        (
            "[[route]]\nwhen = \"id.matches('^\\d+$')\"\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }",
            2,
            "route[0].when",
            ["`\\d` is no escape", "single quotes"],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"a\" \"b\"]",
            3,
            "kafka.topics",
            ["a `,` is missing between", ""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\n  \"a\"\n  \"b\"\n]",
            4,
            "kafka.topics",
            ["a `,` is missing behind the last value of this line", ""],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = path = \"a\", as = \"string\" } }",
            4,
            "route[0].write[0].bins.a",
            ["a `{` is missing before `path`", "write a = { path = … }"],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = a = \"a\" }",
            4,
            "route[0].write[0].bins",
            ["a `{` is missing before `a`", ""],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { path = \"*\", except = [\"a\", long_names = \"skip\" }",
            4,
            "route[0].write[0].bins.except",
            ["the `[` that opens here is not closed", "write `]` before `long_names`"],
        ),
        (
            "[[route]]\nrequire = [a != ''\", \"b != ''\"]\n[[route.write]]\nkey = \"id\"\nbins = [ \"a\" ]",
            2,
            "route[0].require",
            ["the `\"` that opens the string is missing", ""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [a = \"b\"]",
            3,
            "kafka.topics",
            ["`=` inside `[ … ]`", "{ key = value }"],
        ),
        (
            "[kafka]\nbrokers = \"\"k\"\ntopics = [\"a\"]",
            2,
            "kafka.brokers",
            ["too many stands at the beginning", ""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\"\ntopics = [\"a\"]",
            2,
            "kafka.brokers",
            ["too many stands at the end", ""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"a\"\"]",
            3,
            "kafka.topics",
            ["a `\"` too many", ""],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = {{ a = \"a\" }",
            4,
            "",
            ["`{` where a key is expected", ""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"a\",, \"b\"]",
            3,
            "kafka.topics",
            ["a `,` without a value", ""],
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" b = \"b\" }",
            4,
            "route[0].write[0].bins",
            ["a `,` is missing between", ""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics =\n  [\"a\"]",
            3,
            "kafka.topics",
            ["on the line of its key", ""],
        ),
        (
            "[run]\nmemory\u{a0}= \"1GiB\"",
            2,
            "run.memory",
            ["a no-break space", "write a plain space"],
        ),
        ("[run]\n\u{a0}memory = \"1GiB\"", 2, "", ["a no-break space", ""]),
        (
            "[run]\nmemory =\u{a0}\"1GiB\"",
            2,
            "run.memory",
            ["a no-break space", ""],
        ),
        ("[run]\n\u{feff}memory = \"1GiB\"", 2, "", ["a byte order mark", ""]),
        (
            "[run]\n“memory” = \"1GiB\"",
            2,
            "",
            ["`“` is a typographic quote", "write `\"`"],
        ),
        (
            "[run]\nmemory = \"1GiB\"\nmemory = \"2GiB\"",
            3,
            "run.memory",
            ["stands at line 2 already", "keep one"],
        ),
        (
            "[run]\nmemory = \"1GiB\"\n[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[run]\nwrite_timeout = \"1s\"",
            6,
            "run",
            ["this table stands at line 1 already", ""],
        ),
        ("[run]\rmemory = \"1GiB\"\r", 1, "", ["", ""]),
    ] {
        check(piece, line, key, &parts);
    }
}

#[test]
fn what_toml_allows_is_taken() {
    let text = whole(
        "[run]\nmemory = \"1GiB\"\n[[route]]\n[[route.write]]\nkey = \"id\"\nbins = {\n  a = \"a\", # first\n  b = \"b\",\n}\nonce = { c = \"c\", }",
    );
    for text in [
        text.clone(),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        text.replace(" = ", "\t=\t"),
    ] {
        if let Err(faults) = config::parse(&text, "penstock.toml") {
            panic!("{text}\n{faults}");
        }
    }
}

#[test]
fn a_number_or_boolean_in_quotes_is_shown_without() {
    let write = |line: &str| format!("[[route]]\n[[route.write]]\nkey = \"id\"\n{line}");
    for (piece, line, key, parts) in [
        (
            write("add = { events = \"1\" }"),
            4,
            "route[0].write[0].add.events",
            ["no number", "write events = 1"],
        ),
        (
            write("add = { spend = \"-2.5\" }"),
            4,
            "route[0].write[0].add.spend",
            ["", "write spend = -2.5"],
        ),
        (
            write("map_add = { day = { key = \"day\", by = \"1\" } }"),
            4,
            "route[0].write[0].map_add.day.by",
            ["", "write by = 1"],
        ),
        (
            write("bins = { a = { path = \"a\", as = \"integer\", default = \"0\" } }"),
            4,
            "route[0].write[0].bins.a.default",
            ["", "write it as a number, without quotes"],
        ),
        (
            write("bins = [\"a\"]\nsend_key = \"true\""),
            5,
            "route[0].write[0].send_key",
            ["", "write send_key = true"],
        ),
        (
            write("bins = [\"a\"]\nguard = \"no\""),
            5,
            "route[0].write[0].guard",
            ["", "write guard = false"],
        ),
        (
            write("list_append = { l = \"x\" }\nkeep_last = { l = \"10\" }"),
            5,
            "route[0].write[0].keep_last.l",
            ["", "write l = 10, without quotes"],
        ),
        (
            "[run]\nbatch_rows_max = \"100\"".to_owned(),
            2,
            "run.batch_rows_max",
            ["", "write batch_rows_max = 100, without quotes"],
        ),
        ("[run]\nmemory = 512".to_owned(), 2, "run.memory", ["", "\"512MiB\""]),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = \"events\"".to_owned(),
            3,
            "kafka.topics",
            ["", "[\"events\"]"],
        ),
        (
            "[kafka]\nbrokers = [\"k1:9092\", \"k2\"]\ntopics = [\"events\"]".to_owned(),
            2,
            "kafka.brokers",
            ["expected a string", "\"k1:9092,k2\""],
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\ngroup = 5".to_owned(),
            4,
            "kafka.group",
            ["", "e.g. \"5\""],
        ),
    ] {
        check(&piece, line, key, &parts);
    }
}

#[test]
fn a_key_that_is_mistyped_is_not_told_as_missing_too() {
    for (piece, line, key, cure) in [
        (
            "[kafka]\nbrokers = \"k\"\ntopic = [\"events\"]",
            3,
            "kafka.topic",
            "did you mean `topics`?",
        ),
        (
            "[aerospike]\nhost = \"a\"\nnamespace = \"test\"",
            2,
            "aerospike.host",
            "did you mean `hosts`?",
        ),
        (
            "[aerospikee]\nhosts = \"a\"\nnamespace = \"test\"",
            1,
            "aerospikee",
            "did you mean `aerospike`?",
        ),
        (
            "[[route]]\n[[route.writes]]\nkey = \"id\"\nbins = [\"a\"]",
            2,
            "route[0].writes",
            "did you mean `write`?",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbin = [\"a\"]",
            4,
            "route[0].write[0].bin",
            "did you mean `bins`?",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nappnd = { a = \"a\" }",
            4,
            "route[0].write[0].appnd",
            "did you mean `append`?",
        ),
        (
            "[[route]]\n[[route.write]]\nkeys = \"id\"\nbins = [\"a\"]",
            3,
            "route[0].write[0].keys",
            "did you mean `key`?",
        ),
    ] {
        check(piece, line, key, &[cure]);
    }
}

#[test]
fn one_bracket_more_or_less_than_a_table_has_is_told_with_the_right_ones() {
    check(
        "[route]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n# [[route]]",
        1,
        "route",
        &["expected an array of tables", "[[route]]"],
    );
    check("[[run]]\nmemory = \"1GiB\"", 1, "run", &["expected a table", "[run]"]);
}

#[test]
fn a_file_in_another_encoding_is_told_as_such() {
    let utf16: Vec<u8> = "\u{feff}[kafka]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let no_mark: Vec<u8> = "[kafka]\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (bytes, part) in [
        (utf16.as_slice(), "UTF-16"),
        (no_mark.as_slice(), "UTF-16"),
        (b"[kafka]\n# caf\xe9\n".as_slice(), "penstock.toml:2: is not UTF-8"),
    ] {
        let said = config::load_from(bytes, "penstock.toml").unwrap_err().to_string();
        assert!(said.contains(part) && said.contains("save the file as UTF-8"), "{said}");
    }
}

#[test]
fn files_of_other_languages_are_one_fault_whatever_their_length() {
    let yaml = "kafka:\n  brokers: k:9092\n  topics:\n    - events\naerospike:\n  hosts: a\n".repeat(20);
    let json = format!("{{\n{}}}\n", "  \"kafka\": {\"brokers\": \"k\"},\n".repeat(20));
    let ini = "[kafka]\nbrokers: k\ntopics: events\ngroup: g\n".to_owned();
    for text in [yaml, json, ini] {
        let faults = faults(&text);
        assert_eq!(faults.faults.len(), 1, "{text}\n{faults}");
    }
}

/// For every file, the parser ends and does not panic.
#[test]
fn any_piece_of_a_file_is_gone_through() {
    let text = "[kafka]\nbrokers = \"k\" # c\ntopics = [\"a\", 'b',]\n[[route]]\nwhen = \"\"\"\n x\\\"\"\"\"\n[[route.write]]\nbins = { a = { path = \"ü\",                 default = 1 }, “b” = ~ }\nttl = 1979-05-27 07:32:00\n";
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    for start in &ends {
        for length in [1, 7, 40, text.len()] {
            let piece: String = text[*start..].chars().take(length).collect();
            let _ = config::parse(&piece, "penstock.toml");
            let without: String = format!(
                "{}{}",
                &text[..*start],
                text[*start..].chars().skip(1).collect::<String>()
            );
            let _ = config::parse(&without, "penstock.toml");
        }
    }
}

#[test]
fn one_character_that_is_missing_in_an_example_is_one_fault_on_its_line() {
    let mut tried = 0;
    for file in examples() {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let start = line.as_ptr() as usize - text.as_ptr() as usize;
            let statement = line.split_once('#').map_or(line, |(before, _)| before);
            for (at, c) in statement.char_indices().filter(|(_, c)| "[]{}\"'=,".contains(*c)) {
                let without = format!("{}{}", &text[..start + at], &text[start + at + c.len_utf8()..]);
                let Err(faults) = config::parse(&without, "penstock.toml") else {
                    continue;
                };
                tried += 1;
                let lines: Vec<usize> = faults.faults.iter().map(|fault| fault.line).collect();
                assert_eq!(lines, [number], "{}: without `{c}`: {line}\n{faults}", file.display());
            }
        }
    }
    assert!(tried > 500, "{tried}");
}
