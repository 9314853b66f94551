//! Conditions and computed values in the whole service, between a mock broker and a simulated database. Every message
//! appears in a counter, even if a producer renames the field of a condition.

use crate::support::{Kafka, Service, Setup, Topic, sent, simulator};
use penstock_sim::Value;

/// A route that contains the lines `route`. Dead letters go to `dead`, with no limit on their share.
fn routes(route: &str, dead: &Topic) -> String {
    format!(
        "
[[route]]
when = \"type != 'heartbeat'\"
{route}
require = [\"amount >= 0.0\"]
  [[route.write]]
  set = \"users\"
  key = \"id\"
  bins = {{ worth = {{ expr = \"amount * qty\" }} }}
  [[route.write]]
  when = \"item.qty > 1\"
  each = \"items\"
  set = \"lines\"
  key = \"{{id}}:{{@index}}\"
  bins = {{ qty = \"@item.qty\" }}
[reject]
action = \"dead_letter\"
topic = \"{}\"
percent_max = 0
",
        dead.name
    )
}

const MESSAGES: [&str; 6] = [
    r#"{"type": "heartbeat"}"#,
    r#"{"type": "order", "id": "a", "amount": 2.5, "qty": 3, "items": [{"qty": 1}, {"qty": 2}]}"#,
    // If nothing is to be written, the rules' values are not evaluated.
    r#"{"type": "heartbeat", "id": null, "amount": "none"}"#,
    r#"{"type": "order", "id": "b", "amount": -1, "qty": 1, "items": []}"#,
    r#"{"kind": "order", "id": "c", "amount": 1, "qty": 1, "items": []}"#,
    r#"{"type": "order", "id": "d", "amount": "secret", "qty": 1, "items": []}"#,
];

#[test]
fn every_message_is_written_filtered_or_a_dead_letter_that_says_which_condition() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    topic.produce(0, &MESSAGES.map(|payload| sent("k", payload)));
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes("", &dead));
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let counters = &ended.counters;
    let counted = (
        counters.messages_written.get(),
        counters.messages_filtered.get(),
        counters.messages_dead_lettered.get(),
        counters.condition_errors_ignored.get(),
    );
    assert_eq!(counted, (1, 2, 3, 0));

    let users = sim.get("test", "users", "a").unwrap();
    assert_eq!(users.bin("worth"), Some(&Value::Float(7.5)));
    assert!(sim.get("test", "lines", "a:0").is_none());
    let line = sim.get("test", "lines", "a:1").unwrap();
    assert_eq!(line.int("qty"), Some(2));

    let letters = dead.read(3);
    let told: Vec<(&str, &str)> = letters
        .iter()
        .map(|letter| {
            let header = |name| letter.header(name).unwrap();
            (header("penstock.stage"), header("penstock.reason"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("judge", "require"),
            ("judge", "condition_error"),
            ("judge", "condition_error")
        ]
    );
    let detail = |number: usize| letters[number].header("penstock.detail").unwrap();
    assert!(
        detail(0).contains("amount >= 0.0") && detail(0).contains("line"),
        "{}",
        detail(0)
    );
    assert!(detail(1).ends_with("no such field: type"), "{}", detail(1));
    assert!(detail(2).contains("cannot take (string, double); "), "{}", detail(2));
    assert!(!detail(2).contains("secret"));
}

#[test]
fn a_condition_that_opted_out_filters_what_it_cannot_compute_and_counts_it_apart() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    topic.produce(0, &MESSAGES.map(|payload| sent("k", payload)));
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes("when_error = \"false\"", &dead));
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let counters = &ended.counters;
    let counted = (
        counters.messages_written.get(),
        counters.messages_filtered.get(),
        counters.messages_dead_lettered.get(),
        counters.condition_errors_ignored.get(),
    );
    // `require` has no `when_error`: if it cannot be computed, the message becomes a dead letter.
    assert_eq!(counted, (1, 3, 2, 1));
    let line = counters.account();
    assert!(line.ends_with(" condition_errors_ignored=1"), "{line}");
}
