//! `check --connect` and `try --from-topic` as a user runs them: shared by the tests with a mock broker and those with
//! a real one.

use super::process::{Exited, penstock, run, run_service};
use super::{Database, Kafka, Records as _, Setup, Stream, Topic};

pub const COUNTED: &str = r#"
[[route]]
  [[route.write]]
  set = "users"
  key = "{@partition}:{key}"
  add = { n = 1 }
"#;

/// `check FILE --connect`.
pub fn check(setup: &Setup) -> Exited {
    let file = setup.file();
    let exited = run(penstock().arg("check").arg(file.path()).arg("--connect"));
    assert!(!exited.output.contains('\u{1b}'), "coloured:\n{}", exited.output);
    exited
}

/// # Panics
/// Unless one finding contains all of these, in its line or in the cure below it.
pub fn assert_line(exited: &Exited, parts: &[&str]) {
    let findings = exited.output.replace("\n        cure: ", " cure: ");
    let found = findings
        .lines()
        .any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(found, "no line with {parts:?} in:\n{}", exited.output);
}

/// Lets the service write this number of messages of each partition, and end.
pub fn write(setup: &Setup, topic: &Topic, stream: &mut Stream, messages: i64) {
    stream.produce(messages);
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}

/// `try --from-topic` reads the newest messages, and changes neither the group's offsets nor the database.
pub fn the_newest_messages_of_a_topic_are_tried(kafka: &Kafka, database: &Database) {
    let topic = kafka.topic("try", 3);
    let setup = Setup::new(kafka, &topic, database).routes(COUNTED);
    let file = setup.file();
    let mut stream = Stream::new(&topic, 2);
    stream.produce(20);
    let exited = run(penstock()
        .arg("try")
        .arg(file.path())
        .args(["--from-topic", "7", "--json"]));
    exited.assert_code(0);
    let mut lines: Vec<serde_json::Value> = exited
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let totals = lines.pop().unwrap();
    assert_eq!(totals["totals"]["kept"], 7, "{}", exited.output);
    assert_eq!(totals["totals"]["rules"][0]["records"], 7, "{}", exited.output);
    assert_eq!(lines.len(), 7, "{}", exited.output);
    for line in &lines {
        assert!(line["message"]["offset"].as_i64().unwrap() >= 13, "{line}");
        assert_eq!(line["verdict"], "kept");
        assert_eq!(line["records"][0]["add"]["n"], 1);
    }
    // No offset was changed, and nothing written.
    assert_eq!(topic.committed(&setup.group), [None, None, None]);
    assert_eq!(database.count("users"), 0);

    stream.produce_bad(1, "no json");
    let exited = run(penstock().arg("try").arg(file.path()).args(["--from-topic", "10"]));
    exited.assert_code(1);
    assert_line(&exited, &[":1:20 ", "rejected", "not_json"]);
    assert_line(&exited, &["10 message(s): 9 kept, 0 filtered, 1 rejected"]);
}
