//! Offsets beyond the end of the log, and what `kafka.offset_gone` does with them and with offsets below the log. With
//! a mock broker, which does not truncate logs: `tests/live/cut.rs` cuts a real log.

use crate::support::process::{SimProgram, run_service};
use crate::support::{Kafka, Records as _, Service, Setup, Stream, Target, Topic, simulator};
use penstock::config;
use penstock::util::exit::Exit;

const COUNTED: &str = r#"
[[route]]
  [[route.write]]
  set = "counted"
  key = "key"
  add = { n = 1 }
"#;

/// What `run` logs for this line of the file.
fn said(line: &str) -> Result<String, String> {
    let text = format!(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n{line}\n[aerospike]\nhosts = \"a\"\nnamespace = \"n\"\n\
         [[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"n\"]\n"
    );
    config::parse(&text, "test.toml")
        .map(|config| config.kafka.offset_gone.to_string())
        .map_err(|faults| faults.to_string())
}

#[test]
fn one_word_is_for_both_cases_and_a_table_has_one_for_each() {
    for (line, expected) in [
        ("", "below:earliest,beyond:resume"),
        ("offset_gone = \"earliest\"", "below:earliest,beyond:earliest"),
        ("offset_gone = \"end\"", "below:end,beyond:end"),
        ("offset_gone = \"stop\"", "below:stop,beyond:stop"),
        ("offset_gone = {}", "below:earliest,beyond:resume"),
        ("offset_gone = { below = \"stop\" }", "below:stop,beyond:resume"),
        ("offset_gone.beyond = \"end\"", "below:earliest,beyond:end"),
        (
            "[kafka.offset_gone]\nbelow = \"end\"\nbeyond = \"resume\"",
            "below:end,beyond:resume",
        ),
    ] {
        assert_eq!(said(line).as_deref(), Ok(expected), "{line}");
    }
    for (line, told) in [
        (
            "offset_gone = \"resume\"",
            "write \"earliest\", \"end\" or \"stop\" for both cases",
        ),
        ("offset_gone = \"latest\"", "is none of the values it can have"),
        ("offset_gone = 1", "expected a string or a table"),
        ("offset_gone = [\"stop\"]", "expected a string or a table"),
        (
            "offset_gone = { below = \"resume\" }",
            "write \"earliest\" or \"end\" or \"stop\"",
        ),
        ("offset_gone = { beyond = 1 }", "expected a string"),
        ("offset_gone = { above = \"end\" }", "above"),
    ] {
        let faults = said(line).unwrap_err();
        assert!(faults.contains(told), "{line}: {faults}");
        assert!(faults.contains("offset_gone"), "{line}: {faults}");
    }
}

/// A topic with 50 messages, and an offset of the group beyond its end.
fn beyond(kafka: &Kafka, target: impl Into<Target>) -> (Topic, Stream, Setup) {
    let topic = kafka.topic("beyond", 1);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = Setup::new(kafka, &topic, target);
    topic.commit(&setup.group, 0, 1000);
    (topic, stream, setup)
}

#[test]
fn where_the_epochs_tell_where_the_log_ends_reading_goes_on_exactly_there() {
    for words in ["", "offset_gone = \"earliest\"", "offset_gone = { beyond = \"end\" }"] {
        let kafka = Kafka::mock();
        let sim = simulator();
        let (topic, mut stream, setup) = beyond(&kafka, sim.addr());
        let setup = setup.kafka(words);
        let service = Service::start(&setup);
        topic.wait_committed(&setup.group, &[Some(50)]);
        stream.produce(10);
        service.wait_written(10);
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        assert_eq!(ended.counters.messages_written.get(), 10, "{words}");
        assert_eq!(
            sim.ints("all", &["0-49", "0-50", "0-59"]),
            [None, Some(50), Some(59)],
            "{words}"
        );
    }
}

#[test]
fn where_nothing_tells_where_the_log_was_cut_the_service_stops_and_says_what_can_be_done() {
    for words in [
        "",
        "offset_gone = \"stop\"",
        "offset_gone = { below = \"earliest\", beyond = \"resume\" }",
    ] {
        let kafka = Kafka::mock();
        kafka.forget_committed_epochs();
        let sim = SimProgram::start(&[]);
        let (topic, _, setup) = beyond(&kafka, sim.addr);
        let setup = setup.kafka(words);
        let file = setup.file();
        let mut program = run_service(file.path());
        let line = program.wait_for_line(&[
            "ERROR",
            "the log was cut below what was read of it, or the group's offset was set beyond its end; the service stops",
            &format!("topic={} partition=0 from=1000 cut=unknown oldest=0 end=50 ", topic.name),
            "set the group's offset of this partition to 0 (all that is there is read again) or to 50 (nothing of it is)",
        ]);
        assert!(!line.contains("guard_epoch"), "nothing is guarded: {line}");
        program.end().assert_code(65);
        assert_eq!(topic.committed(&setup.group), [Some(1000)]);
        assert_eq!(sim.count("all"), 0);
    }
}

#[test]
fn where_nothing_tells_where_the_log_was_cut_the_word_decides() {
    for (words, read_again) in [
        ("offset_gone = \"earliest\"", true),
        ("offset_gone = { beyond = \"earliest\" }", true),
        ("offset_gone = \"end\"", false),
    ] {
        let kafka = Kafka::mock();
        kafka.forget_committed_epochs();
        let sim = simulator();
        let (topic, mut stream, setup) = beyond(&kafka, sim.addr());
        let setup = setup.kafka(words);
        let service = Service::start(&setup);
        topic.wait_committed(&setup.group, &[Some(50)]);
        stream.produce(10);
        topic.wait_committed(&setup.group, &[Some(60)]);
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        assert_eq!(ended.counters.offsets_lost.get(), 0);
        let written = if read_again { 60 } else { 10 };
        assert_eq!(ended.counters.messages_written.get(), written, "{words}");
    }
}

/// The new messages have offsets that the guards of their records have counted.
#[test]
fn where_guards_would_refuse_what_is_new_the_service_stops() {
    let kafka = Kafka::mock();
    let sim = SimProgram::start(&[]);
    let (topic, _, setup) = beyond(&kafka, sim.addr);
    let setup = setup.routes(COUNTED);
    let file = setup.file();
    let mut program = run_service(file.path());
    program.wait_for_line(&[
        "ERROR",
        "the service stops",
        " from=1000 cut=50 oldest=0 end=50 ",
        "to go on where it was cut, set the group's offset of this partition to 50 (kafka-consumer-groups.sh",
        "set run.guard_epoch to another number before the start",
    ]);
    program.end().assert_code(65);
    assert_eq!(topic.committed(&setup.group), [Some(1000)]);
}

#[test]
fn below_the_log_reading_can_go_on_at_its_end() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("below", 1);
    let sim = simulator();
    let setup = Setup::new(&kafka, &topic, sim.addr()).kafka("offset_gone = { below = \"end\" }");
    // Messages so large that the mock broker keeps only some hundreds.
    let text = "x".repeat(10_000);
    let payloads: Vec<String> = (0..1000)
        .map(|n| format!(r#"{{"id":"{n}","key":"k","n":{n},"text":"{text}"}}"#))
        .collect();
    let messages: Vec<_> = payloads
        .iter()
        .map(|payload| crate::support::sent("k", payload))
        .collect();
    topic.produce(0, &messages);
    assert!(topic.beginnings()[0] > 0, "the mock broker keeps everything");
    topic.commit(&setup.group, 0, 0);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &[Some(1000)]);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(
        ended.counters.offsets_lost.get(),
        1000,
        "what is there counts too, since it is not read"
    );
    assert_eq!(sim.count("all"), 0);
}
