//! Messages that come again with a dead letter, between a mock broker and a simulated database: what the file says by
//! then does not matter. The same with kills, on a real broker, is in `live`.

use crate::support::{Kafka, Service, Setup, Topic, sent, simulator};
use penstock::util::exit::Exit;

const COUNT: &str = "
  [[route.write]]
  set = \"users\"
  key = \"id\"
  add = { n = 1 }
";

fn routes(require: &str, reject: &str) -> String {
    format!("[[route]]\n{require}{COUNT}\n[reject]\n{reject}\n")
}

fn dead_letters(topic: &Topic) -> String {
    format!("action = \"dead_letter\"\ntopic = \"{}\"\n", topic.name)
}

/// `reject`: the new lines of `[reject]`, by the former topic of dead letters and another one.
fn not_applied_after(what: &str, reject: impl Fn(&Topic, &Topic) -> String) {
    let kafka = Kafka::mock();
    let (topic, dead, other) = (
        kafka.topic("events", 1),
        kafka.topic("dead", 2),
        kafka.topic("other-dead", 1),
    );
    let sim = simulator();
    topic.produce(
        0,
        &[
            sent("a", r#"{"id":"a","bad":false}"#),
            sent("b", r#"{"id":"b","bad":true}"#),
        ],
    );
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.routes = routes("require = [\"!bad\"]\n", &dead_letters(&dead));
    Service::run_to_the_ends_of(&topic, &setup);
    // Nothing is committed from here on, as after a crash.
    kafka.refuse_commits(true);
    topic.produce(
        0,
        &[
            sent("c", r#"{"id":"c","bad":true}"#),
            sent("d", r#"{"id":"d","bad":false}"#),
            sent("e", r#"{"id":"e","bad":true}"#),
        ],
    );
    let service = Service::start(&setup);
    service.wait_for("the letters", |counters| counters.messages_dead_lettered.get() == 2);
    service.wait_written(1);
    service.stop().assert(Exit::Stopped);
    assert_eq!(topic.committed(&setup.group), [Some(2)]);
    kafka.refuse_commits(false);
    let letters: i64 = dead.ends().into_iter().flatten().sum();
    assert_eq!(letters, 3);

    setup.routes = routes("", &reject(&dead, &other));
    topic.produce(0, &[sent("f", r#"{"id":"f","bad":true}"#)]);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let by_reason = ended.counters.messages_rejected.by_word();
    assert_eq!(by_reason, [("lettered_before", 2)], "{what}");
    let counts =
        ["a", "b", "c", "d", "e", "f"].map(|key| sim.get("test", "users", key).and_then(|record| record.int("n")));
    assert_eq!(counts, [Some(1), None, None, Some(1), None, Some(1)], "{what}");
    assert_eq!(dead.ends().into_iter().flatten().sum::<i64>(), letters, "{what}");
    // They are committed, and nothing comes again.
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_consumed.get(), 0, "{what}");
}

#[test]
fn a_message_with_a_letter_is_not_applied_when_its_rule_is_mended() {
    not_applied_after("the same [reject]", |dead, _| dead_letters(dead));
}

#[test]
fn nor_when_rejected_messages_go_elsewhere_by_then() {
    not_applied_after("another topic", |_, other| dead_letters(other));
    not_applied_after("no dead letters", |_, _| "action = \"hold\"\n".to_owned());
}

#[test]
fn a_topic_of_dead_letters_that_is_gone_keeps_nobody_waiting() {
    let kafka = Kafka::mock();
    let (topic, dead) = (kafka.topic("events", 1), kafka.topic("dead", 1));
    let sim = simulator();
    topic.produce(0, &[sent("a", r#"{"id":"a"}"#)]);
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.routes = routes("", &dead_letters(&dead));
    Service::run_to_the_ends_of(&topic, &setup);
    kafka.fail_topic(&dead.name);
    topic.produce(0, &[sent("b", r#"{"id":"b"}"#)]);
    Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(
        sim.get("test", "users", "b").and_then(|record| record.int("n")),
        Some(1)
    );
}
