//! `penstock dead`: dead letters that the service has made, on a mock broker.

use std::path::Path;

use serde_json::Value;

use crate::support::process::{Called, call, penstock};
use crate::support::{Kafka, Sent, Service, Setup, Topic, sent, simulator};

const ROUTES: &str = "
[[route]]
  [[route.write]]
  set = \"users\"
  key = \"id\"
  bins = [\"n\"]
";

/// Runs `penstock dead` on the file. Fails unless it ends with this code.
fn dead(file: &Path, more: &[&str], code: i32) -> Called {
    let called = call(penstock().arg("dead").arg(file).args(more), "");
    called.assert_code(code);
    called
}

/// Two broken messages and one without a key, which the service has made dead letters.
fn lettered(kafka: &Kafka, topic: &Topic, dead: &Topic) -> Setup {
    let sim = simulator();
    let headers: &[(&str, Option<&[u8]>)] = &[("trace", Some(b"abc"))];
    topic.produce(
        0,
        &[
            sent("a", r#"{"id": "a", "n": 1}"#),
            Sent {
                headers,
                ..sent("secret-key", r#"{"id": "secret-payload", "n": "#)
            },
            sent("b", r#"{"n": 2}"#),
            sent("c", r#" {"n": 3}"#),
        ],
    );
    let reject = format!(
        "{ROUTES}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        dead.name
    );
    let setup = Setup::new(kafka, topic, sim.addr()).routes(&reject);
    Service::run_to_the_ends_of(topic, &setup);
    setup
}

/// Mending one rule must not look like mending all of them.
#[test]
fn two_causes_with_one_reason_are_both_told() {
    let kafka = Kafka::mock();
    let (topic, letters) = (kafka.topic("events", 1), kafka.topic("dead", 1));
    let sim = simulator();
    let messages =
        [(0, "a"), (1, ""), (0, "b"), (1, "")].map(|(n, user)| format!(r#"{{"id": "k", "n": {n}, "user": "{user}"}}"#));
    let sents: Vec<Sent<'_>> = messages.iter().map(|payload| sent("k", payload)).collect();
    topic.produce(0, &sents);
    let require = "[[route]]\nrequire = [\"n > 0\", \"size(user) > 0\"]";
    let reject = format!(
        "{}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        ROUTES.replace("[[route]]", require),
        letters.name
    );
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&reject);
    Service::run_to_the_ends_of(&topic, &setup);
    let file = setup.file();
    let out = dead(file.path(), &[], 0).out;
    let (first, second) = ("require \"n > 0\"", "require \"size(user) > 0\"");
    let more = format!("of these 2 with another detail, e.g. {}:0:1: {second}", letters.name);
    for told in ["letters: 4 ", first, &more] {
        assert!(out.contains(told), "{told:?} is not in\n{out}");
    }
    let json: Value = serde_json::from_str(&dead(file.path(), &["--json"], 0).out).unwrap();
    let details = &json["groups"][0]["details"];
    assert_eq!((&details[0]["letters"], &details[1]["letters"]), (&2.into(), &2.into()));
    // Replaying them with the same rules tells both, too.
    let replayed = call(penstock().arg("replay").arg(file.path()).arg("--dry-run"), "");
    replayed.assert_code(1);
    for told in ["4 would be rejected again: require", first, &more] {
        assert!(replayed.out.contains(told), "{}", replayed.told());
    }
}

#[test]
fn dead_letters_are_counted_by_reason_and_shown_only_when_asked_for() {
    let kafka = Kafka::mock();
    let (topic, letters) = (kafka.topic("events", 1), kafka.topic("dead", 1));
    let setup = lettered(&kafka, &topic, &letters);
    // What is no letter.
    letters.produce(0, &[sent("k", "no letter")]);
    let file = setup.file();
    let path = file.path();
    let (name, dead_name) = (&topic.name, &letters.name);

    let output = dead(path, &[], 0);
    let out = &output.out;
    let first = out.lines().next().unwrap();
    assert_eq!(first, format!("{dead_name}: 3 letters of 3 messages; 1 unreadable"));
    for told in [
        "  key_missing  not done: all\n  letters: 2  messages: 2\n",
        &format!("  e.g. {name}:0:2, letter {dead_name}:0:1\n"),
        "not_json",
        &format!("  e.g. {name}:0:1, letter {dead_name}:0:0\n"),
        "unreadable: 1: it has no header of a dead letter\n",
        &format!("  e.g. {dead_name}:0:3\n"),
    ] {
        assert!(out.contains(told), "{told:?} is not in\n{out}");
    }
    assert!(!out.contains("secret") && output.err.is_empty(), "{}", output.told());

    let json: Value = serde_json::from_str(&dead(path, &["--json", "--reason", "not_json"], 0).out).unwrap();
    assert_eq!((&json["letters"], &json["unselected"]), (&1.into(), &2.into()));
    assert_eq!(json["groups"][0]["reason"], "not_json");
    assert_eq!(json["groups"][0]["example"]["message"], format!("{name}:0:1"));

    // What is shown is what came, and can be tried.
    let shown = dead(path, &["--show", "2", "--reason", "key_missing"], 0);
    assert!(
        shown
            .err
            .starts_with(&format!("{dead_name}: 2 letters of 2 messages; 1 letters are not"))
    );
    let lines = &shown.out;
    let payloads: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(payloads[0]["message"]["payload"]["n"], 2);
    assert_eq!(payloads[1]["message"]["payload_text"], r#" {"n": 3}"#);
    assert_eq!(payloads[1]["letter"]["place"], format!("{dead_name}:0:2"));
    let tried = call(penstock().arg("try").arg(path).args(["--envelope", "--json"]), lines);
    tried.assert_code(1);
    let rejected = tried.out.matches("\"reason\":\"key_missing\"").count();
    assert_eq!(rejected, 2, "{}", tried.told());
    let newest = dead(path, &["--show", "1", "--reason", "not_json"], 0);
    let newest: Value = serde_json::from_str(&newest.out).unwrap();
    assert_eq!(newest["message"]["headers"][0][0], "trace");
    assert_eq!(newest["message"]["key"], "secret-key");

    // Letters that are not selected, and topics without letters.
    dead(path, &["--until", "2h"], 1);
    dead(path, &["--since", "2h"], 0);
    let never = dead(path, &["--since", "1h", "--until", "2h"], 64);
    assert!(never.err.contains("--since is not before --until"), "{}", never.err);
    let absent = dead(path, &["--from", "no-such-topic"], 64);
    let told = format!("there is no topic no-such-topic: the configuration's topic of dead letters is {dead_name} ");
    assert!(absent.err.contains(&told), "{}", absent.err);
    // A known reason that no letter has, and one that nobody knows.
    dead(path, &["--reason", "tombstone"], 1);
    let misspelt = dead(path, &["--reason", "key_mising", "--reason", "not_json"], 64);
    let told = format!(
        "no letter of {dead_name} has the reason key_mising; did you mean key_missing?\n\
         its letters have: key_missing (2), not_json (1)\n"
    );
    assert_eq!((misspelt.err, misspelt.out), (told, String::new()));
    let foreign = dead(path, &["--from", name], 1);
    assert!(
        foreign.out.contains("0 letters of 0 messages; 4 unreadable"),
        "{}",
        foreign.out
    );
    // Nothing was committed beyond what the service has committed.
    assert_eq!(topic.committed(&setup.group), [Some(4)]);
    assert_eq!(letters.committed(&setup.group), [None]);
}

#[test]
fn without_a_topic_of_dead_letters_one_must_be_named() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let file = Setup::new(&kafka, &topic, simulator().addr()).file();
    let output = dead(file.path(), &[], 64);
    assert!(output.err.contains("--from"), "{}", output.err);
}

/// What Kafka has deleted is not silently missing: the mock broker keeps 5 MiB of a partition.
#[test]
fn letters_that_kafka_has_deleted_are_told_by_dead_and_replay() {
    let kafka = Kafka::mock();
    let (topic, letters) = (kafka.topic("events", 1), kafka.topic("dead", 1));
    let setup = lettered(&kafka, &topic, &letters);
    let file = setup.file();
    let told = format!(
        " offset(s) of {} are not in its log any more, which begins at ",
        letters.name
    );
    let counted = dead(file.path(), &[], 0);
    assert!(!counted.err.contains(&told), "{}", counted.err);
    let large = "x".repeat(900_000);
    (0..8).for_each(|_| letters.produce(0, &[sent("k", &large)]));
    let counted = dead(file.path(), &[], 1);
    assert!(counted.out.contains("0 letters of 0 messages"), "{}", counted.out);
    assert!(
        counted.err.contains("gone: ") && counted.err.contains(&told),
        "{}",
        counted.err
    );
    let replayed = call(penstock().arg("replay").arg(file.path()).arg("--dry-run"), "");
    assert!(replayed.out.contains(&told), "{}{}", replayed.out, replayed.err);
}
