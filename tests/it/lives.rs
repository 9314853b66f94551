//! Lives that are over, in the whole service: what is skipped, deleted or rejected, and counted. And the faults of the
//! configuration's words for them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Kafka, Service, Setup, sent, simulator};
use penstock::config;

fn write(lines: &str) -> String {
    format!("[[route]]\n  [[route.write]]\n  set = \"s\"\n  key = \"id\"\n{lines}\n")
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn records_whose_life_is_over_are_left_out_or_deleted_and_counted() {
    for (past, account) in [
        ("skip", " ttl_past_skipped=2 ttl_past_deleted=0 "),
        ("delete", " ttl_past_skipped=0 ttl_past_deleted=2 "),
    ] {
        let kafka = Kafka::mock();
        let topic = kafka.topic("events", 1);
        let sim = simulator();
        let (future, over) = (now_s() + 86_400, now_s() - 86_400);
        let messages = [
            format!(r#"{{"id":"a","v":1,"exp":{future}}}"#),
            format!(r#"{{"id":"b","v":1,"exp":{over}}}"#),
            format!(r#"{{"id":"a","v":2,"exp":{over}}}"#),
            r#"{"id":"c","v":3,"exp":-1}"#.to_owned(),
        ];
        let messages: Vec<_> = messages.iter().map(|payload| sent("k", payload)).collect();
        topic.produce(0, &messages);
        let lines = format!(
            "bins = [\"v\"]\nttl = {{ path = \"exp\", as = \"epoch_s\" }}\nttl_past = \"{past}\"\nttl_words = \"aerospike\""
        );
        let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&write(&lines));
        let ended = Service::run_to_the_ends_of(&topic, &setup);
        // It is done like a message that writes nothing. No condition has filtered it.
        assert_eq!(ended.counters.messages_written.get(), 4);
        assert_eq!(ended.counters.messages_filtered.get(), 0);
        let a = sim.get("test", "s", "a").and_then(|record| record.int("v"));
        assert_eq!(a, if past == "skip" { Some(1) } else { None }, "{past}");
        assert!(sim.get("test", "s", "b").is_none());
        assert!(sim.get("test", "s", "c").is_some());
        let told = ended.counters.account();
        assert!(told.contains(account), "{told}");
    }
}

#[test]
fn a_life_that_is_over_is_a_dead_letter_that_says_what_to_write() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    topic.produce(
        0,
        &[
            sent("k", r#"{"id":"a","exp":1700000000000}"#),
            // Seconds instead of milliseconds: the record was written for one second, and is gone.
            sent("k", r#"{"id":"a","exp":4000000000}"#),
            sent("k", r#"{"id":"a","exp":0}"#),
        ],
    );
    let routes = write("bins = { b = 1 }\nttl = { path = \"exp\", as = \"epoch_ms\" }")
        + &format!(
            "[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\npercent_max = 0\n",
            dead.name
        );
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_dead_lettered.get(), 3);
    assert!(sim.get("test", "s", "a").is_none());
    let letters = dead.read(3);
    for (letter, (reason, part)) in letters.iter().zip([
        ("ttl_past", "ttl_past = \"skip\""),
        ("ttl_range", "it looks like seconds: write as = \"epoch_s\""),
        ("ttl_range", "ttl_words = \"aerospike\""),
    ]) {
        assert_eq!(letter.header("penstock.reason"), Some(reason));
        let detail = letter.header("penstock.detail").unwrap();
        assert!(detail.contains(part), "{detail}");
        assert!(!detail.contains("4000000000"), "a value is told: {detail}");
    }
}

#[test]
fn words_of_a_life_are_refused_where_they_make_no_sense() {
    let fault = |lines: &str| {
        let text = format!(
            "[kafka]\nbrokers = \"b\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"h\"\nnamespace = \"test\"\n{}",
            write(lines)
        );
        match config::parse(&text, "penstock.toml") {
            Ok(_) => String::new(),
            Err(faults) => {
                assert_eq!(faults.faults.len(), 1, "{faults}");
                faults.to_string()
            }
        }
    };
    let instant = "ttl = { path = \"exp\", as = \"epoch_s\" }";
    for (lines, parts) in [
        (
            "bins = [\"v\"]\nttl_past = \"skip\"".to_owned(),
            [
                "write[0].ttl_past: `ttl_past` without a ttl that is an instant",
                "as = \"epoch_s\"",
            ],
        ),
        (
            "bins = [\"v\"]\nttl = \"30d\"\nttl_past = \"delete\"".to_owned(),
            ["`ttl_past` without a ttl that is an instant", ""],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"expires_in\" }\nttl_past = \"reject\"".to_owned(),
            ["`ttl_past` without a ttl that is an instant", ""],
        ),
        (
            "bins = [\"v\"]\nttl = \"30d\"\nttl_words = \"aerospike\"".to_owned(),
            ["write[0].ttl_words: `ttl_words` without a ttl from the message", ""],
        ),
        (
            format!("bins = [\"v\"]\n{instant}\nttl_words = \"redis\""),
            ["none of the values", "write \"aerospike\""],
        ),
        (
            format!("bins = [\"v\"]\n{instant}\nttl_past = \"ignore\""),
            ["none of the values", "\"reject\" or \"skip\" or \"delete\""],
        ),
        (
            format!("touch = true\n{instant}\nttl_past = \"delete\""),
            ["contradicts `touch`", "ttl_past = \"skip\""],
        ),
        (
            format!("bins = [\"v\"]\nmode = \"create\"\n{instant}\nttl_past = \"delete\""),
            ["contradicts mode = \"create\"", ""],
        ),
        (
            format!("bins = [\"v\"]\nttl_on = \"create\"\n{instant}\nttl_past = \"delete\""),
            ["contradicts ttl_on = \"create\"", ""],
        ),
        (
            format!("bins = [\"v\"]\n{instant}\nttl_past = \"delete\"\nin_doubt = \"reject\""),
            ["`in_doubt` contradicts the guard", ""],
        ),
        (
            "delete = true\nttl_words = \"aerospike\"".to_owned(),
            ["`ttl_words` contradicts `delete`", ""],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch_ms\", default = 1900000000 }".to_owned(),
            ["it looks like seconds", "as = \"epoch_s\""],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", default = 0 }".to_owned(),
            ["a default that is no ttl", ""],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch\" }".to_owned(),
            [
                "did you mean \"epoch_s\"?",
                "write \"integer\" or \"epoch_s\" or \"epoch_ms\" or \"epoch_us\" or \"epoch_ns\"",
            ],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"ms\" }".to_owned(),
            [
                "write { expr = \"exp / 1000\" }: a ttl that is a length of time",
                "as = \"epoch_ms\" is for the instant of its end",
            ],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"seconds\" }".to_owned(),
            [
                "write { path = \"exp\" }: a ttl that is a length of time is a number of seconds",
                "as = \"epoch_s\" is for the instant of its end",
            ],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"double\" }".to_owned(),
            ["write \"integer\" or \"epoch_s\"", ""],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch_ms\", default = 3600 }".to_owned(),
            ["an instant before 2001", "default = 1893456000000, or remove `as`"],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch_s\", default = -1 }".to_owned(),
            ["a default that is no ttl", "default = 1893456000, or"],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch_ns\", default = \"1999-01-01T00:00:00Z\" }"
                .to_owned(),
            ["an instant before 2001", ""],
        ),
        (
            "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch_us\", default = 5 }\nttl_words = \"aerospike\""
                .to_owned(),
            ["an instant before 2001", ""],
        ),
        (
            "bins = [\"v\"]\nnewer = { path = \"v\", bin = \"_v\", as = \"epoch\" }".to_owned(),
            ["none of the values", "\"epoch_ns\""],
        ),
    ] {
        let said = fault(&lines);
        assert!(
            parts.iter().all(|part| said.contains(part)),
            "{lines}\n{parts:?}\n{said}"
        );
    }
    for lines in [
        format!("touch = true\n{instant}\nttl_past = \"skip\""),
        format!("bins = [\"v\"]\n{instant}\nttl_past = \"delete\"\nttl_words = \"aerospike\""),
        format!("bins = [\"v\"]\n{instant}\nttl_past = \"delete\"\nguard = false\nin_doubt = \"retry\""),
        format!("bins = [\"v\"]\nmode = \"replace\"\n{instant}\nttl_past = \"delete\""),
        "bins = [\"v\"]\nttl = { path = \"expires_in\", default = -1 }\nttl_words = \"aerospike\"".to_owned(),
        "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch_us\", default = \"2030-01-01T00:00:00Z\" }".to_owned(),
        "bins = [\"v\"]\nttl = { path = \"exp\", as = \"epoch_s\", default = -1 }\nttl_words = \"aerospike\""
            .to_owned(),
    ] {
        assert_eq!(fault(&lines), "", "{lines}");
    }
}
