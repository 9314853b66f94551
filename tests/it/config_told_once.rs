//! One mistake gives one line. A key with a wrong name is not also reported as missing. A fault is described in the
//! words of the file, not of the parser. A word that is wrong by itself is not also reported as contradicting others.

use std::process::Command;

use crate::support::examples;
use penstock::config::{self, Faults};

const KAFKA: &str = "[kafka]\nbrokers = \"k:9092\"\ntopics = [\"events\"]\n";
const AEROSPIKE: &str = "[aerospike]\nhosts = \"a:3000\"\nnamespace = \"test\"\n";
const ROUTE: &str = "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }\n";

/// The piece, followed by the sections that it lacks. `without` is a header that the test leaves out on purpose.
fn whole(piece: &str, without: &str) -> String {
    let mut text = format!("{piece}\n");
    for (header, section) in [("[kafka", KAFKA), ("[aerospike", AEROSPIKE), ("[[route]]", ROUTE)] {
        if !piece.contains(header) && header != without {
            text.push_str(section);
        }
    }
    text
}

fn faults(text: &str) -> Faults {
    match config::parse(text, "penstock.toml") {
        Ok(_) => panic!("{text}\nhas faults, but was taken"),
        Err(faults) => faults,
    }
}

#[track_caller]
fn one(text: &str, line: usize, part: &str) {
    let faults = faults(text);
    let said = faults.to_string();
    let [fault] = faults.faults.as_slice() else {
        panic!("{text}\nhas one fault, but:\n{said}");
    };
    assert_eq!(fault.line, line, "{text}\n{said}");
    assert!(said.contains(part), "{text}\n{part:?} is not in:\n{said}");
    assert!(!said.contains("toml.io"), "{text}\n{said}");
}

#[track_caller]
fn check(piece: &str, line: usize, part: &str) {
    one(&whole(piece, ""), line, part);
}

#[test]
fn a_section_under_another_name_is_told_by_the_right_one_alone() {
    for (piece, without, part) in [
        ("[Kafka]\nbrokers = \"k\"\ntopics = [\"events\"]", "[kafka", "`kafka`"),
        ("[KAFKA]\nbrokers = \"k\"\ntopics = [\"events\"]", "[kafka", "`kafka`"),
        ("[source]\nbrokers = \"k\"\ntopics = [\"events\"]", "[kafka", "`kafka`"),
        (
            "[AEROSPIKE]\nhosts = \"a\"\nnamespace = \"test\"",
            "[aerospike",
            "`aerospike`",
        ),
        (
            "[database]\nhosts = \"a\"\nnamespace = \"test\"",
            "[aerospike",
            "`aerospike`",
        ),
        (
            "[[routes]]\n[[routes.write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]]",
            "`route`",
        ),
        (
            "[[routes]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]]",
            "`route`",
        ),
        (
            "[[ROUTE]]\n[[ROUTE.write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]]",
            "`route`",
        ),
        (
            "[[rule]]\n[[rule.write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]]",
            "`route`",
        ),
        (
            "[[write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]]",
            "[[route.write]]",
        ),
        (
            "[[route_write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]]",
            "[[route.write]]",
        ),
        ("[[publish]]\ntopic = \"x\"", "[[route]]", "[[route.publish]]"),
        (
            "[[route.write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]]",
            "write [[route]] on a line of its own above [[route.write]]",
        ),
        ("[dlq]\naction = \"drop\"", "", "`reject`"),
        ("[RUN]\nmemory = \"1GiB\"", "", "`run`"),
        ("[logging]\nformat = \"json\"", "", "`log`"),
        ("[properties]\n\"client.id\" = \"x\"", "", "[kafka.properties]"),
    ] {
        one(&whole(piece, without), 1, part);
    }
    check("[log]\nlevel = \"info\"", 2, "RUST_LOG");
    for (piece, part) in [
        ("[[route]]\n[[write]]\nkey = \"id\"\nbins = [\"a\"]", "[[route.write]]"),
        ("[[route]]\n[[routes.write]]\nkey = \"id\"\nbins = [\"a\"]", "`route`"),
        ("[[route]]\n[[route.writes]]\nkey = \"id\"\nbins = [\"a\"]", "`write`"),
        ("[[route]]\n[[route.put]]\nkey = \"id\"\nbins = [\"a\"]", "`write`"),
        ("[[route]]\n[[route.produce]]\ntopic = \"x\"", "`publish`"),
        (
            "[[route]]\n[[\"route.write\"]]\nkey = \"id\"\nbins = [\"a\"]",
            "without quotes",
        ),
        (
            "[[route]]\n[route]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]",
            "[[route]] with two brackets",
        ),
    ] {
        check(piece, 2, part);
    }
    check(
        "[[route]]\n[[route.write]]\n[route.write]\nkey = \"id\"\nbins = [\"a\"]",
        3,
        "[[route.write]] with two brackets",
    );
    one(
        &format!("brokers = \"k\"\n{AEROSPIKE}{ROUTE}"),
        1,
        "write it below [kafka]",
    );
}

#[test]
fn a_key_under_another_name_is_told_by_the_right_one_alone() {
    for (piece, names, line, right) in [
        (
            "[kafka]\nKEY = \"k\"\ntopics = [\"events\"]",
            "bootstrap_servers bootstrap.servers \"bootstrap.servers\" bootstrap-servers bootstrapServers servers host hosts \
             BROKERS broker_list metadata.broker.list address url",
            2,
            "brokers",
        ),
        (
            "[kafka]\nbrokers = \"k\"\nKEY = [\"events\"]",
            "topic TOPICS topic_name topic_names subscribe input_topics",
            3,
            "topics",
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\nKEY = \"g\"",
            "group_id \"group.id\" groupId consumer_group consumer_group_id GROUP",
            4,
            "group",
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\nKEY = \"earliest\"",
            "auto.offset.reset auto_offset_reset start_from offset_reset",
            4,
            "start",
        ),
        (
            "[aerospike]\nKEY = \"a\"\nnamespace = \"test\"",
            "host HOSTS seeds seed_hosts nodes node server address url brokers hosts_list hostname",
            2,
            "hosts",
        ),
        (
            "[aerospike]\nhosts = \"a\"\nKEY = \"test\"",
            "ns NAMESPACE name_space namespaces db database",
            3,
            "namespace",
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nKEY = \"u\"\npassword = \"p\"",
            "username user_name User login auth_user",
            4,
            "user",
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nuser = \"u\"\nKEY = \"hunter2\"",
            "pass passwd pwd PASSWORD secret auth_password",
            5,
            "password",
        ),
        (
            "[[route]]\n[[route.write]]\nKEY = \"id\"\nbins = [\"a\"]",
            "id keys KEY primary_key record_key pk key_field",
            3,
            "key",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nKEY = [\"a\"]",
            "bin BINS fields columns values data",
            4,
            "bins",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\nKEY = \"x\"",
            "set_name setname sets SET table collection",
            5,
            "set",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\nKEY = \"1d\"",
            "TTL expire expiration time_to_live ttl_seconds",
            5,
            "ttl",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\nKEY = \"a == 1\"",
            "if where filter condition WHEN",
            5,
            "when",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nKEY = { n = 1 }",
            "increment incr counter adds",
            4,
            "add",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n[[route.publish]]\nKEY = \"x\"",
            "topics to target topic_name output_topic",
            6,
            "topic",
        ),
        (
            "[reject]\naction = \"dead_letter\"\nKEY = \"dead\"",
            "dlq dlq_topic dead_letter_topic topics to",
            3,
            "topic",
        ),
        (
            "[run]\nKEY = \"1GiB\"",
            "mem max_memory memory_limit MEMORY",
            2,
            "memory",
        ),
        (
            "[run]\nKEY = 100",
            "batch_size batch_rows max_batch_rows",
            2,
            "batch_rows_max",
        ),
    ] {
        for name in names.split(' ').filter(|name| !name.is_empty()) {
            let piece = piece.replacen("KEY", name, 1);
            check(&piece, line, &format!("did you mean `{right}`?"));
        }
    }
}

#[test]
fn a_key_of_another_section_is_told_where_it_belongs() {
    for (piece, line, part) in [
        (
            format!("{AEROSPIKE}set = \"users\""),
            4,
            "write it below [[route.write]]",
        ),
        (format!("{AEROSPIKE}write_timeout = \"1s\""), 4, "write it below [run]"),
        (format!("{AEROSPIKE}port = 3000"), 4, "hosts = \"aerospike-1:3000\""),
        (
            format!("{AEROSPIKE}tls = true"),
            4,
            "write [aerospike.tls] with its keys below",
        ),
        (
            format!("{AEROSPIKE}tls_name = \"db\""),
            4,
            "`name` below [aerospike.tls]",
        ),
        (
            format!("{AEROSPIKE}use_tls = true"),
            4,
            "write a section [aerospike.tls]",
        ),
        (
            format!("{AEROSPIKE}[aerospike.tls]\nenabled = true"),
            5,
            "with [aerospike.tls] every connection is encrypted",
        ),
        (
            format!("{AEROSPIKE}[aerospike.tls]\ninsecure = true"),
            5,
            "always verified",
        ),
        (
            format!("{AEROSPIKE}[aerospike.tls]\ncafile = \"ca.pem\""),
            5,
            "did you mean `ca`",
        ),
        (format!("{KAFKA}commit_interval = \"1s\""), 4, "write it below [run]"),
        (format!("{KAFKA}namespace = \"test\""), 4, "write it below [aerospike]"),
        (
            format!("{KAFKA}security.protocol = \"ssl\""),
            4,
            "\"security.protocol\" = … below [kafka.properties]",
        ),
        (
            format!("{KAFKA}security_protocol = \"ssl\""),
            4,
            "\"security.protocol\" = … below [kafka.properties]",
        ),
        (
            format!("{KAFKA}client.id = \"x\""),
            4,
            "\"client.id\" = … below [kafka.properties]",
        ),
        (
            format!("{KAFKA}group.instance.id = \"x\""),
            4,
            "\"group.instance.id\" = … below [kafka.properties]",
        ),
        (
            format!("{KAFKA}sasl.username = \"hunter2\""),
            4,
            "\"sasl.username\" = … below [kafka.properties]",
        ),
        (format!("{KAFKA}enable_auto_commit = true"), 4, "remove it"),
        (format!("{KAFKA}max.poll.records = 5"), 4, "run.batch_rows_max"),
        (format!("{KAFKA}group.id = \"g\""), 4, "write group = \"g\""),
        (format!("{KAFKA}kafka.group = \"g\""), 4, "write group = …"),
        (
            "[kafka]\nbrokers = \"k\"\nkafka.topics = [\"events\"]".to_owned(),
            3,
            "write topics = …",
        ),
        (
            "[[route]]\nttl = \"1d\"\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]".to_owned(),
            2,
            "[[route.write]]",
        ),
        (format!("{ROUTE}topics = [\"events\"]"), 5, "write it below [[route]]"),
        (format!("{ROUTE}except = [\"a\"]"), 5, "write it in `bins`"),
        (format!("{ROUTE}name = \"users\""), 5, "behind `#`"),
    ] {
        check(&piece, line, part);
        assert!(!faults(&whole(&piece, "")).to_string().contains("hunter2"), "{piece}");
    }
    let text = format!("[kafka.consumer]\nbrokers = \"k\"\ntopics = [\"events\"]\n{AEROSPIKE}{ROUTE}");
    let faults = faults(&text);
    let lines: Vec<usize> = faults.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [2, 3], "{faults}");
    assert!(faults.to_string().contains("write it below [kafka]"), "{faults}");
}

#[test]
fn a_word_that_is_wrong_by_itself_is_told_once() {
    for (line, part) in [
        ("on_conflict = \"skip\"", "did you mean \"ignore\"?"),
        ("on_conflict = 5", "write \"reject\" or \"ignore\""),
        ("mode = \"upsert\"", "did you mean \"update\"?"),
        ("mode = \"insert\"", "did you mean \"create\"?"),
        ("in_doubt = \"skip\"", "\"retry\" or"),
        ("ttl_past = \"drop\"", "did you mean \"skip\"?"),
        ("ttl_words = \"penstock\"", "write \"aerospike\""),
        ("ttl_words = true", "write \"aerospike\""),
        ("tombstone = \"skip\"", "did you mean \"ignore\"?"),
        ("each_max = 0", "1 to 10000"),
        ("each_max = \"5\"", "each_max = 5"),
        ("newer = {}", "is empty"),
        ("newer = { field = \"ts\", bin = \"v\" }", "did you mean `path`?"),
        ("map_put = { m = {} }", "is empty"),
        (
            "map_put = { m = { key = \"x\", val = \"y\" } }",
            "did you mean `value`?",
        ),
        ("ttl = { field = \"exp\" }", "did you mean `path`?"),
    ] {
        check(&format!("{ROUTE}{line}"), 5, part);
    }
    for (lines, line, part) in [
        (
            "ttl = { path = \"x\", as = \"epoch\" }\nttl_past = \"skip\"",
            5,
            "did you mean \"epoch_s\"?",
        ),
        (
            "ttls = { path = \"x\", as = \"epoch_s\" }\nttl_past = \"skip\"",
            5,
            "did you mean `ttl`?",
        ),
        ("add = { n = 1 }\nin_doubt = \"skip\"", 6, "\"retry\" or"),
        (
            "modes = \"create\"\non_conflict = \"ignore\"",
            5,
            "did you mean `mode`?",
        ),
        ("eahc = \"items\"\neach_max = 5", 5, "did you mean `each`?"),
        (
            "list_apend = { l = \"x\" }\nkeep_last = { l = 5 }",
            5,
            "did you mean `list_append`?",
        ),
        (
            "sets = \"{country}\"\nsets_allowed = [\"de\"]",
            5,
            "did you mean `set`?",
        ),
        (
            "set = \"{country}\"\nsets_alowed = [\"de\"]",
            6,
            "did you mean `sets_allowed`?",
        ),
        (
            "set = \"{country}\"\nallowed_sets = [\"de\"]",
            6,
            "did you mean `sets_allowed`?",
        ),
        ("whn = \"a == 1\"\nwhen_error = \"false\"", 5, "did you mean `when`?"),
    ] {
        check(&format!("{ROUTE}{lines}"), line, part);
    }
    check(
        "[reject]\nactoin = \"dead_letter\"\ntopic = \"dead\"",
        2,
        "did you mean `action`?",
    );
    check(
        "[reject]\naction = \"dlq\"\ntopic = \"dead\"",
        2,
        "did you mean \"dead_letter\"?",
    );
    check(&format!("{KAFKA}start = \"oldest\""), 4, "did you mean \"earliest\"?");
    check(&format!("{KAFKA}offset_gone = \"latest\""), 4, "did you mean \"end\"?");
    check(
        "[[route]]\n[[route.write]]\nkey = \"@key\"\ndeletes = true\ntombstone = \"delete\"",
        4,
        "did you mean `delete`?",
    );
    // Two faults of one bin are two lines.
    let two = faults(&whole(
        "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { country_of_residence = \"a b\" }",
        "",
    ));
    assert_eq!(two.faults.len(), 2, "{two}");
}

#[test]
fn what_stands_behind_a_value_is_told_as_what_it_is() {
    let keys = "two keys stand on one line";
    let comment = "a comment begins with `#`";
    for (line, part) in [
        ("group = \"g\" start = \"latest\"", keys),
        ("group = \"g\", start = \"latest\"", keys),
        ("group = \"g\"; start = \"latest\"", keys),
        ("group = g start = \"latest\"", keys),
        ("properties = {} start = \"latest\"", keys),
        ("group = \"g\" ; the group", comment),
        ("group = \"g\" // the group", comment),
        ("group = \"g\" -- the group", comment),
        ("group = \"g\" /* the group */", comment),
        ("; the group", comment),
        ("// the group", comment),
        ("<!-- the group -->", comment),
        ("group = \"a\" b", "text stands behind the string; found b"),
        ("group = \"a\" (b)", "text stands behind the string; found (b)"),
        ("group = \"a\" \"b\"", "a second value stands behind the first"),
        ("group = \"a\" + \"b\"", "the string ends before `+`"),
        ("set group = \"a\"", "write group = …"),
        ("group id = \"a\"", "write group_id = …"),
        ("group += \"a\"", "`+=` where TOML has `=`"),
        ("group = = \"a\"", "`=` stands twice"),
        ("group. = \"a\"", "a name is missing behind `.`"),
        ("\"group = \"a\"", "the quote before the name of a key is not closed"),
        ("group\" = \"a\"", "a `\"` too many in the name of a key"),
        ("group = r\"a\"", "`r` stands before the string"),
        ("group = $GROUP", "\"${env:GROUP}\""),
        ("group = \\\n\"a\"", "a line does not go on behind `\\`"),
        ("group {", "TOML has no blocks"),
    ] {
        check(&format!("{KAFKA}{line}"), 4, part);
    }
    for (piece, line, part) in [
        ("[kafka]\nbrokers = \"k\"\ntopics = [\"a\"] group = \"g\"", 3, keys),
        ("[kafka]\nbrokers = \"k\"\ntopics = \"a\", \"b\"", 3, "in one [ … ]"),
        (
            "[kafka]\nbrokers = \"k:1\", \"l:1\"\ntopics = [\"a\"]",
            2,
            "in one string",
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"a\"; \"b\"]",
            3,
            "`;` stands between two values",
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\n  \"a\", // the first\n  \"b\"\n]",
            4,
            comment,
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\n  ; \"a\",\n  \"b\"\n]",
            4,
            comment,
        ),
        ("[run]\nbatch_rows_max = 100; a hundred", 2, comment),
        ("[run]\nbatch_rows_max = 100, partitions_max = 5", 2, keys),
        ("[run]; the limits", 1, comment),
        ("[run]:", 1, "a line does not end with `:`"),
        ("[[route/write]]", 1, "write [[route.write]]"),
        ("[[route].write]", 1, "write [[route.write]]"),
        ("[[route..write]]", 1, "write [[route.write]]"),
        (
            "]][[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]",
            1,
            "`]` closes nothing",
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \na\", b = \"b\" }",
            4,
            "a value is missing behind `=`",
        ),
        ("{run}", 1, "write [run]"),
        ("[run]\nbatch_rows_max = 100k", 2, "write a whole number, 1 to 5000"),
        ("[run]\nbatch_rows_max = 0XFF", 2, "write batch_rows_max = 255"),
        ("[run]\nbatch_rows_max = 1 000", 2, "write batch_rows_max = 1000"),
        ("[run]\nbatch_rows_max = 2024-01-01 25:00:00", 2, "a whole number"),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\nsend_key = maybe",
            5,
            "true or false",
        ),
    ] {
        check(piece, line, part);
    }
}

/// The messages of the parsers `toml_parser` and `toml` are reported in our own words.
#[test]
fn no_text_of_the_parser_is_shown() {
    let single = "single quotes";
    for (line, part) in [
        (r#"group = "C:\users\x""#, single),
        (r#"group = "C:\Users\x""#, single),
        (r#"group = "a\xzz""#, single),
        (r#"group = "a\u12""#, single),
        (r#"group = "a\q""#, single),
        (r#"group = "\uD800""#, "there is no character `\\uD800`"),
        (r#"group = "\UFFFFFFFF""#, "there is no character"),
        (r#"group = """C:\users""""#, single),
        ("group = \"a\u{1}b\"", "a control character (U+0001)"),
        ("group = 'a\u{1b}b'", "a control character (U+001B)"),
        ("group = \"\"\"a\u{8}b\"\"\"", "a control character (U+0008)"),
        ("# a comment \u{7f}", "a control character (U+007F)"),
        ("group = \"a\rb\"", "a carriage return stands alone"),
        ("group = \"\"\"a\rb\"\"\"", "a carriage return stands alone"),
        ("group = '''a\rb'''", "a carriage return stands alone"),
        ("brokers.x = \"k\"", "`brokers` has its value at line 2 already"),
        ("properties = { a = 1, a.b = 2 }", "has its value at line 4 already"),
        ("group = []]", "`]` closes nothing"),
    ] {
        check(&format!("{KAFKA}{line}"), 4, part);
    }
    let deep = format!("{KAFKA}group = {}{}", "[".repeat(200), "]".repeat(200));
    check(&deep, 4, "nested too deeply");
    let dotted = format!("{KAFKA}[kafka.properties]\n{}b = 1", "a.".repeat(200));
    check(&dotted, 5, "nested too deeply");
    let twice = format!("{KAFKA}[kafka.properties]\nsecurity.protocol = \"plaintext\"\nsecurity = 5");
    check(&twice, 6, "at line 5 makes a table of this already");
}

/// Puts a wrong character at each position of the examples. No text of the parser is shown. The first fault is on the
/// line of the mistake, or, if something is not closed, on the line where it opens.
#[test]
fn one_character_too_many_in_an_example_is_told_in_our_words() {
    let mut tried = 0;
    for file in examples() {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let start = line.as_ptr() as usize - text.as_ptr() as usize;
            let statement = line.split_once('#').map_or(line, |(before, _)| before);
            for (at, _) in statement.char_indices() {
                // The slips take turns. All of them at every position would take minutes.
                const SLIPS: &[&str] = &["\"", "[", "]", "{", "}", "=", ",", ";", "\\u", "//", "\u{1}"];
                for slip in SLIPS.iter().skip((at + number) % 11).take(1) {
                    let with = format!("{}{slip}{}", &text[..start + at], &text[start + at..]);
                    let Err(faults) = config::parse(&with, "penstock.toml") else {
                        continue;
                    };
                    tried += 1;
                    let said = faults.to_string();
                    assert!(
                        !said.contains("toml.io"),
                        "{}:{number}: `{slip}` in {line}\n{said}",
                        file.display()
                    );
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn a_password_in_the_wrong_place_is_not_shown() {
    for line in [
        "user = \"u\" password = \"hunter2\"",
        "user = \"u\" password hunter2",
        "user = \"u\" password: \"hunter2\"",
        "user = u password hunter2",
        "user = u password = hunter2",
        "user = \"u\"\npassword.value = \"hunter2\"",
        "user = \"u\"\npassword = \"hun\" \"hunter2\"",
        "user = \"u\"\npassword = \"hun\" hunter2",
        "user = \"u\"\npassword = r\"hunter2\"",
        "user = \"u\"\npassword = $hunter2",
        "user = \"u\"\npassword = \"\\hunter2\"",
        "auth = { user = \"u\", pass = \"hunter2\" }",
        "pass = \"hunter2\"",
    ] {
        let said = faults(&whole(&format!("{AEROSPIKE}{line}"), "")).to_string();
        assert!(!said.contains("hunter2"), "{line}\n{said}");
    }
}

#[test]
fn run_says_of_a_faulty_file_what_check_says() {
    let folder = std::env::temp_dir().join(format!("penstock-told-once-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (number, piece) in [
        "[Kafka]\nbrokers = \"k\"\ntopics = [\"events\"]",
        "[kafka]\nbrokers = \"k\"\ntopics = [\"a\"] group = \"g\"",
        "[kafka]\nbrokers = \"k\"\ntopics = [\"a\"]\ngroup = \"C:\\users\\x\"",
        "[[write]]\nkey = \"id\"",
        "[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\nusername = \"u\"\npasswd = \"hunter2\"",
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.join(format!("{number}.toml"));
        std::fs::write(&file, whole(piece, "")).unwrap();
        let said = |command: &str| {
            let output = Command::new(env!("CARGO_BIN_EXE_penstock"))
                .arg(command)
                .arg(&file)
                .env_remove("PENSTOCK_LOG")
                .env_remove("RUST_LOG")
                .output()
                .unwrap();
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.code(), text)
        };
        let (check, run) = (said("check"), said("run"));
        assert_eq!(check, run, "{piece}");
        assert_eq!(check.0, Some(78), "{piece}");
        assert!(!check.1.contains("hunter2"), "{}", check.1);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
