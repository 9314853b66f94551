//! What happens to rejected messages, and to published ones: the whole service between a mock broker and a simulated
//! database.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{
    Kafka, Read, Sent, Service, Setup, Topic, sent, simulator, simulator_with_records_of, timestamp_ms, wait_until,
};
use penstock::util::exit::Exit;
use rdkafka::mocking::MockCoordinator;

const WRITE: &str = "
[[route]]
  [[route.write]]
  set = \"users\"
  key = \"id\"
  bins = [\"n\", \"text\"]
";

/// The rules. Dead letters go to `dead`.
fn dead_letters(routes: &str, dead: &Topic, more: &str) -> String {
    format!(
        "{routes}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n{more}\n",
        dead.name
    )
}

fn wait_end(topic: &Topic, setup: &Setup) {
    let ends = topic.ends();
    topic.wait_committed(&setup.group, &ends);
}

#[test]
fn a_dead_letter_is_the_message_as_it_came_and_says_what_is_wrong_with_it() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    let headers: &[(&str, Option<&[u8]>)] = &[("trace", Some(b"abc")), ("trace", Some(b"\xff")), ("none", None)];
    topic.produce(
        0,
        &[
            sent("a", r#"{"id": "a", "n": 1}"#),
            Sent {
                headers,
                ..sent("b", r#"{"id": "b", "n": "#)
            },
            sent("c", r#"{"id": "c", "n": 3}"#),
            Sent {
                key: None,
                payload: Some(br#"{"id": [1], "n": 4}"#),
                headers: &[],
            },
            Sent {
                key: Some("gone"),
                payload: None,
                headers: &[],
            },
        ],
    );
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(WRITE, &dead, ""));
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let counters = &ended.counters;
    assert_eq!(
        (counters.messages_written.get(), counters.messages_dead_lettered.get()),
        (2, 3)
    );
    assert_eq!(
        counters.messages_published.get(),
        0,
        "a dead letter is none of what is published"
    );
    for (key, n) in [("a", 1), ("c", 3)] {
        assert_eq!(
            sim.get("test", "users", key).and_then(|record| record.int("n")),
            Some(n)
        );
    }

    let letters = dead.read(3);
    let [cut_off, no_key, tombstone] = &letters[..] else {
        panic!("{letters:?}")
    };
    assert_eq!(cut_off.key.as_deref(), Some(b"b".as_slice()));
    assert_eq!(cut_off.text(), r#"{"id": "b", "n": "#);
    assert_eq!(cut_off.timestamp_ms, Some(timestamp_ms() + 1));
    let own: Vec<(&str, Option<&[u8]>)> = cut_off.headers[..3]
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_deref()))
        .collect();
    assert_eq!(own, headers);
    assert_headers(
        cut_off,
        3,
        &[
            ("penstock.topic", &topic.name),
            ("penstock.topic_id", "*"),
            ("penstock.partition", "0"),
            ("penstock.offset", "1"),
            ("penstock.timestamp", &(timestamp_ms() + 1).to_string()),
            ("penstock.group", &setup.group),
            ("penstock.stage", "decode"),
            ("penstock.reason", "not_json"),
            ("penstock.detail", "*"),
            ("penstock.rows_not_done", "all"),
            ("penstock.attempts", "0"),
            ("penstock.in_doubt", "false"),
            ("penstock.guard_epoch", "0"),
            ("penstock.time", "*"),
            ("penstock.version", env!("CARGO_PKG_VERSION")),
        ],
    );
    let time: jiff::Timestamp = cut_off.header("penstock.time").unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(time);
    assert!(age.as_secs() >= 0 && age.as_secs() < 600, "{time}");

    assert_eq!(no_key.key, None);
    assert_eq!(no_key.header("penstock.stage"), Some("map"));
    assert_eq!(no_key.header("penstock.reason"), Some("key_type"));
    let detail = no_key.header("penstock.detail").unwrap();
    assert!(detail.contains("line") && detail.contains("id"), "{detail}");
    assert_eq!((tombstone.key_text(), &tombstone.payload), ("gone", &None));
    assert_eq!(tombstone.header("penstock.reason"), Some("tombstone"));
}

/// Fails unless these headers, in this order, follow the message's `own` headers; `*` is any text.
fn assert_headers(read: &Read, own: usize, expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = read.headers[own..]
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_deref().unwrap()).unwrap()))
        .collect();
    // The mock broker has no topic ids.
    let expected: Vec<(&str, &str)> = expected
        .iter()
        .copied()
        .filter(|(name, _)| *name != "penstock.topic_id" || read.header(name).is_some())
        .collect();
    let names = |headers: &[(&str, &str)]| headers.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        assert!(
            (*expected == "*" && !found.is_empty()) || found == expected,
            "{name}: {found}, expected {expected}"
        );
    }
}

#[test]
fn dead_letters_can_bear_the_header_names_of_kafka_connect() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    topic.produce(0, &[sent("b", "{"), sent("c", r#"{"n": 3}"#)]);
    let routes = dead_letters(WRITE, &dead, "headers = \"connect\"");
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    Service::run_to_the_ends_of(&topic, &setup);
    let letters = dead.read(2);
    assert_headers(
        &letters[0],
        0,
        &[
            ("__connect.errors.topic", &topic.name),
            ("penstock.topic_id", "*"),
            ("__connect.errors.partition", "0"),
            ("__connect.errors.offset", "0"),
            ("penstock.timestamp", &timestamp_ms().to_string()),
            ("__connect.errors.connector.name", &setup.group),
            ("__connect.errors.task.id", "0"),
            ("__connect.errors.class.name", "penstock"),
            ("__connect.errors.stage", "VALUE_CONVERTER"),
            ("__connect.errors.exception.class.name", "not_json"),
            ("__connect.errors.exception.message", "*"),
            ("penstock.rows_not_done", "all"),
            ("penstock.attempts", "0"),
            ("penstock.in_doubt", "false"),
            ("penstock.guard_epoch", "0"),
            ("penstock.time", "*"),
            ("penstock.version", "*"),
        ],
    );
    assert_eq!(letters[1].header("__connect.errors.stage"), Some("TRANSFORMATION"));
}

const TWO_WRITES: &str = "
[[route]]
  [[route.write]]
  set = \"last\"
  key = \"user\"
  bins = [\"n\", \"text\"]

  [[route.write]]
  set = \"all\"
  key = \"id\"
  bins = [\"n\"]
";

#[test]
fn a_row_that_the_database_refuses_makes_a_dead_letter_that_says_which_and_its_record_goes_on_behind_it() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator_with_records_of(2000);
    let big = "x".repeat(3000);
    let mut messages = Vec::new();
    for n in 0..30 {
        // Four messages of one user are too big, two of them in a row. (If later messages set a bin again, only the
        // last value would be sent.)
        let text = if [3, 10, 11, 20].contains(&n) {
            format!(r#", "text": "{big}""#)
        } else {
            String::new()
        };
        let user = if n % 10 == 9 { "other" } else { "one" };
        messages.push(format!(r#"{{"user": "{user}", "id": "m{n}", "n": {n}{text}}}"#));
    }
    let messages: Vec<Sent<'_>> = messages.iter().map(|payload| sent("one", payload)).collect();
    topic.produce(0, &messages);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(TWO_WRITES, &dead, ""));
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_dead_lettered.get(), 4);
    assert_eq!(ended.counters.messages_written.get(), 26);
    let int = |set: &str, key: &str| sim.get("test", set, key).and_then(|record| record.int("n"));
    assert_eq!((int("last", "one"), int("last", "other")), (Some(28), Some(29)));
    // Their other rows are written.
    for n in 0..30 {
        assert_eq!(int("all", &format!("m{n}")), Some(n));
    }
    let letters = dead.read(4);
    let offsets: Vec<&str> = letters
        .iter()
        .filter_map(|letter| letter.header("penstock.offset"))
        .collect();
    assert_eq!(offsets, ["3", "10", "11", "20"]);
    let text = setup.text();
    let line = 1 + text.lines().position(|line| line.contains("[[route.write]]")).unwrap();
    for letter in &letters {
        assert_eq!(letter.header("penstock.stage"), Some("write"));
        assert_eq!(letter.header("penstock.reason"), Some("database"));
        assert_eq!(letter.header("penstock.code"), Some("13"));
        let rows = letter.header("penstock.rows_not_done").unwrap();
        let told = format!(r#"[{{"row":0,"line":{line},"namespace":"test","set":"last","record":""#);
        assert!(rows.starts_with(&told), "{rows}");
        let attempts: u32 = letter.header("penstock.attempts").unwrap().parse().unwrap();
        assert!(attempts >= 1);
        assert_eq!(letter.header("penstock.in_doubt"), Some("false"));
    }
}

/// The offsets in the dead letters of a topic, each where it occurs last.
fn last_offsets(dead: &Topic) -> Vec<i64> {
    let there = usize::try_from(dead.ends()[0].unwrap()).unwrap();
    let mut offsets: Vec<i64> = Vec::new();
    for letter in dead.read(there) {
        let offset = letter.header("penstock.offset").unwrap().parse().unwrap();
        offsets.retain(|before| *before != offset);
        offsets.push(offset);
    }
    offsets
}

#[test]
fn dead_letters_of_one_key_are_in_order_whoever_rejects_them() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator_with_records_of(2000);
    let big = "x".repeat(3000);
    let messages: Vec<String> = (0..40)
        .map(|n| match n % 8 {
            // Rejected by the rules, by the database, and by the rules again.
            1 | 5 => "no JSON".to_owned(),
            3 | 7 => format!(r#"{{"user": "u{n}", "id": "m{n}", "n": {n}, "text": "{big}"}}"#),
            // Comes behind a row that is refused.
            4 => format!(r#"{{"user": "u{}", "id": "m{n}", "n": {n}}}"#, n - 1),
            _ => format!(r#"{{"user": "u{n}", "id": "m{n}", "n": {n}}}"#),
        })
        .collect();
    let messages: Vec<Sent<'_>> = messages.iter().map(|payload| sent("one", payload)).collect();
    topic.produce(0, &messages);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(TWO_WRITES, &dead, ""));
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_dead_lettered.get(), 20);
    let odd: Vec<i64> = (0..40).filter(|n| n % 2 == 1).collect();
    assert_eq!(last_offsets(&dead), odd);
    for n in (0..40).filter(|n| n % 8 == 4) {
        let record = sim.get("test", "last", &format!("u{}", n - 1));
        assert_eq!(record.and_then(|record| record.int("n")), Some(n));
    }
}

#[test]
fn dead_letters_of_many_batches_are_there_once_and_in_order() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    let messages: Vec<String> = (0..3000)
        .map(|n| match n % 7 {
            3 => "no JSON".to_owned(),
            _ => format!(r#"{{"id": "m{n}", "n": {n}}}"#),
        })
        .collect();
    let messages: Vec<Sent<'_>> = messages.iter().map(|payload| sent("one", payload)).collect();
    topic.produce(0, &messages);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(WRITE, &dead, ""));
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let bad: Vec<i64> = (0..3000).filter(|n| n % 7 == 3).collect();
    assert_eq!(ended.counters.messages_dead_lettered.get(), bad.len() as u64);
    let there: Vec<i64> = dead
        .read(bad.len())
        .iter()
        .map(|letter| letter.header("penstock.offset").unwrap().parse().unwrap())
        .collect();
    assert_eq!(there, bad);
    assert_eq!(dead.ends(), [i64::try_from(bad.len()).ok()]);
    // Batches of rows still have their normal size.
    assert!(ended.counters.batch_rows().max <= 40);
}

#[test]
fn what_is_dropped_is_counted_and_the_rest_goes_on() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let sim = simulator_with_records_of(2000);
    let big = format!(r#"{{"id": "a", "n": 2, "text": "{}"}}"#, "x".repeat(3000));
    topic.produce(
        0,
        &[
            sent("a", r#"{"id": "a", "n": 1}"#),
            sent("b", "no JSON"),
            sent("a", &big),
            sent("a", r#"{"id": "a", "n": 4}"#),
        ],
    );
    let routes = format!("{WRITE}\n[reject]\naction = \"drop\"\n");
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    let counters = &ended.counters;
    assert_eq!(
        (counters.messages_written.get(), counters.messages_dropped.get()),
        (2, 2)
    );
    assert_eq!(
        sim.get("test", "users", "a").and_then(|record| record.int("n")),
        Some(4)
    );
}

#[test]
fn a_reject_stops_the_service_where_it_is_to() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let sim = simulator();
    topic.produce(
        0,
        &[
            sent("a", r#"{"id": "a", "n": 1}"#),
            sent("b", "no JSON"),
            sent("c", r#"{"id": "c", "n": 3}"#),
        ],
    );
    let routes = format!("{WRITE}\n[reject]\naction = \"stop\"\n");
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::start(&setup).end();
    ended.assert(Exit::Rejected);
    assert_eq!(ended.counters.messages_held.get(), 1);
    topic.wait_committed(&setup.group, &[Some(1)]);
    assert!(sim.get("test", "users", "a").is_some());
    assert!(sim.get("test", "users", "c").is_none());
}

/// Runs the service over `good` messages and then only bad ones, until a limit of `[reject]` stops it.
fn stops_at_its_limit(good: usize, limit: &str, dead_letters_expected: usize) {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    let fine: Vec<String> = (0..good).map(|n| format!(r#"{{"id": "a{n}", "n": {n}}}"#)).collect();
    let mut messages: Vec<Sent<'_>> = fine.iter().map(|payload| sent("k", payload)).collect();
    messages.extend((0..3000).map(|_| sent("k", "no JSON")));
    topic.produce(0, &messages);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(WRITE, &dead, limit));
    let ended = Service::start(&setup).end();
    ended.assert(Exit::Rejected);
    let counters = &ended.counters;
    assert_eq!(counters.messages_dead_lettered.get(), dead_letters_expected as u64);
    assert_eq!(counters.messages_held.get(), 1);
    let done = i64::try_from(good + dead_letters_expected).unwrap();
    topic.wait_committed(&setup.group, &[Some(done)]);
    // There are exactly as many dead letters as rejected messages that are committed.
    assert_eq!(dead.ends(), [i64::try_from(dead_letters_expected).ok()]);
    // The next start stops at the same message, at once.
    let ended = Service::start(&setup.clone().routes(&format!("{WRITE}[reject]\naction = \"stop\"\n"))).end();
    ended.assert(Exit::Rejected);
    topic.wait_committed(&setup.group, &[Some(done)]);
}

#[test]
fn too_many_rejects_one_after_another_stop_the_service() {
    stops_at_its_limit(100, "consecutive_max = 50\npercent_max = 0", 50);
}

#[test]
fn too_many_rejects_of_the_last_messages_stop_the_service() {
    stops_at_its_limit(1000, "consecutive_max = 0\npercent_max = 20\npercent_of = 500", 100);
}

/// Guards know messages by their offsets. No message behind the one that stops the service may be applied before it:
/// otherwise, when the rule is corrected, the guard would treat it as already applied.
#[test]
fn nothing_behind_the_message_at_which_a_limit_stops_the_service_is_applied() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    topic.produce(
        0,
        &[
            sent("k", r#"{"user": "x", "wrong": {}, "n": 1}"#),
            sent("k", r#"{"user": "x", "wrong": {}, "n": 1}"#),
            sent("k", r#"{"user": "one", "wrong": {}, "n": 5}"#),
            sent("k", r#"{"user": "one", "wrong": 7, "n": 7}"#),
        ],
    );
    let add = |field: &str| {
        format!(
            "[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"user\"\n\
             add = {{ sum = {{ path = \"{field}\", as = \"integer\" }} }}\n"
        )
    };
    let limit = "consecutive_max = 2\npercent_max = 0";
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(&add("wrong"), &dead, limit));
    Service::start(&setup).end().assert(Exit::Rejected);
    topic.wait_committed(&setup.group, &[Some(2)]);
    assert!(sim.get("test", "s", "one").is_none());
    let corrected = setup.clone().routes(&dead_letters(&add("n"), &dead, limit));
    Service::run_to_the_ends_of(&topic, &corrected);
    assert_eq!(
        sim.get("test", "s", "one").and_then(|record| record.int("sum")),
        Some(12)
    );
}

const PUBLISH: &str = r#"
[[route]]
  [[route.write]]
  set = "users"
  key = "id"
  bins = ["n"]

  [[route.publish]]
  topic = "OUT"
  key = { path = "id", as = "string" }
  headers = { from = "@topic", kind = { value = "copy" }, none = "nothing" }

  [[route.publish]]
  topic = "MADE"
  key = "n"
  forward_headers = false
  payload = { object = { id = "id", double = { object = { n = "n", list = "list" } }, at = "@offset" } }
"#;

#[test]
fn a_route_publishes_messages_as_they_came_and_as_objects_made_of_their_fields() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let out = kafka.topic("out", 3);
    let made = kafka.topic("made", 1);
    let sim = simulator();
    let payload = r#"{"id": "a", "n": 1, "list": [1, "zwei", null, {"x": 2.5}]}"#;
    topic.produce(
        0,
        &[
            Sent {
                headers: &[("trace", Some(b"abc"))],
                ..sent("own", payload)
            },
            sent("own", r#"{"id": "b", "n": 2, "list": []}"#),
        ],
    );
    let routes = PUBLISH.replace("OUT", &out.name).replace("MADE", &made.name);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_published.get(), 4);
    assert_eq!(ended.counters.messages_written.get(), 2);

    let mut copies = out.read(2);
    copies.sort_by_key(|copy| copy.timestamp_ms);
    assert_eq!(copies[0].text(), payload);
    assert_eq!((copies[0].key_text(), copies[1].key_text()), ("a", "b"));
    assert_eq!(copies[0].timestamp_ms, Some(timestamp_ms()));
    let headers: Vec<(&str, Option<&str>)> = copies[0]
        .headers
        .iter()
        .map(|(name, _)| (name.as_str(), copies[0].header(name)))
        .collect();
    assert_eq!(
        headers,
        [
            ("trace", Some("abc")),
            ("from", Some(topic.name.as_str())),
            ("kind", Some("copy"))
        ]
    );
    let objects = made.read(2);
    assert_eq!(
        objects[0].text(),
        r#"{"id":"a","double":{"n":1,"list":[1,"zwei",null,{"x":2.5}]},"at":0}"#
    );
    assert_eq!((objects[0].key_text(), objects[0].headers.len()), ("1", 0));
    assert_eq!(objects[1].text(), r#"{"id":"b","double":{"n":2,"list":[]},"at":1}"#);
}

#[test]
fn what_a_rejected_message_would_publish_is_not_published() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let out = kafka.topic("out", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator_with_records_of(2000);
    let big = format!(r#"{{"id": "a", "n": 2, "text": "{}"}}"#, "x".repeat(3000));
    topic.produce(
        0,
        &[
            sent("a", r#"{"id": "a", "n": 1}"#),
            sent("a", &big),
            sent("a", r#"{"id": "a", "n": 3}"#),
        ],
    );
    let publish = format!("{WRITE}\n  [[route.publish]]\n  topic = \"{}\"\n", out.name);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(&publish, &dead, ""));
    Service::run_to_the_ends_of(&topic, &setup);
    let published: Vec<String> = out.read(2).iter().map(|read| read.text().to_owned()).collect();
    assert_eq!(published, [r#"{"id": "a", "n": 1}"#, r#"{"id": "a", "n": 3}"#]);
    assert_eq!(out.ends(), [Some(2)]);
    assert_eq!(dead.read(1)[0].header("penstock.offset"), Some("1"));
}

#[test]
fn while_the_dead_letter_topic_is_away_no_offset_passes_the_message_and_then_all_goes_on() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 2);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    let mut messages: Vec<String> = (0..200).map(|n| format!(r#"{{"id": "a{n}", "n": {n}}}"#)).collect();
    messages[70] = "no JSON".to_owned();
    let messages: Vec<Sent<'_>> = messages.iter().map(|payload| sent("k", payload)).collect();
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(WRITE, &dead, ""));
    kafka.fail_topic(&dead.name);
    let service = Service::start(&setup);
    topic.produce(0, &messages);
    // Everything possible is done: the messages before it are committed, and the message is in hand.
    service.wait_for("the dead letter to be asked for", |counters| {
        counters.messages_in_hand.get() > 0 && counters.rows_written.get() >= 70
    });
    // The other partition continues and is committed. So this one could be committed too, if that were allowed.
    for round in 1..=5 {
        topic.produce(1, &[sent("k", r#"{"id": "b", "n": 1}"#)]);
        let committed = wait_until(
            "the other partition to be committed",
            || topic.committed(&setup.group),
            |committed| committed[1] == Some(round),
        );
        assert!(committed[0].unwrap_or(0) <= 70, "{committed:?}");
    }
    assert_eq!(service.counters.messages_dead_lettered.get(), 0);
    kafka.heal_topic(&dead.name);
    wait_until(
        "all to be committed",
        || topic.committed(&setup.group)[0],
        |committed| *committed == Some(200),
    );
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.messages_dead_lettered.get(), 1);
    assert_eq!(dead.read(1)[0].header("penstock.offset"), Some("70"));
}

/// The worker continues with the next batches while a dead letter is not acknowledged. Then it is stopped, and started
/// again.
#[test]
fn what_is_written_behind_a_dead_letter_that_is_not_acknowledged_comes_again_and_is_counted_so() {
    const MESSAGES: i64 = 400;
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    let mut messages: Vec<String> = (0..MESSAGES)
        .map(|n| format!(r#"{{"id": "a{n}", "n": {n}}}"#))
        .collect();
    messages[10] = "no JSON".to_owned();
    let messages: Vec<Sent<'_>> = messages.iter().map(|payload| sent("k", payload)).collect();
    topic.produce(0, &messages);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(WRITE, &dead, ""));
    kafka.fail_topic(&dead.name);
    let service = Service::start(&setup);
    // The first batch has 40 rows. The dead letter is not even sent before the second batch is written.
    service.wait_for("a later batch to be written", |counters| {
        counters.rows_written.get() >= 80
    });
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    let counters = &ended.counters;
    assert_eq!(counters.messages_dead_lettered.get(), 0);
    assert_eq!(counters.messages_written.get(), 10);
    assert!(counters.messages_returned.get() >= 71);
    assert_eq!(topic.committed(&setup.group), [Some(10)]);

    kafka.heal_topic(&dead.name);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_dead_lettered.get(), 1);
    assert_eq!(ended.counters.messages_written.get(), MESSAGES as u64 - 11);
    assert_eq!(dead.read(1)[0].header("penstock.offset"), Some("10"));
    assert_eq!(dead.ends(), [Some(1)]);
}

#[test]
fn nothing_later_goes_to_a_record_that_refused_a_row_before_its_dead_letter_is_acknowledged() {
    nothing_later_goes_to_a_record_that_refused_a_row(30, 11);
}

/// The next message for the record does not fit into the batch.
#[test]
fn nothing_of_a_later_batch_goes_to_a_record_that_refused_a_row_before_its_dead_letter_is_acknowledged() {
    nothing_later_goes_to_a_record_that_refused_a_row(90, 60);
}

/// The tenth message is refused. `next`: the first later message for the same record.
fn nothing_later_goes_to_a_record_that_refused_a_row(messages: i64, next: i64) {
    let last = messages - 1;
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 2);
    let dead = kafka.topic("dead", 1);
    let sim = simulator_with_records_of(2000);
    let big = "x".repeat(3000);
    let messages: Vec<String> = (0..messages)
        .map(|n| {
            let text = if n == 10 {
                format!(r#", "text": "{big}""#)
            } else {
                String::new()
            };
            let user = if n > 10 && n < next { "other" } else { "one" };
            format!(r#"{{"user": "{user}", "id": "m{n}", "n": {n}{text}}}"#)
        })
        .collect();
    let messages: Vec<Sent<'_>> = messages.iter().map(|payload| sent("one", payload)).collect();
    topic.produce(0, &messages);
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&dead_letters(TWO_WRITES, &dead, ""));
    kafka.fail_topic(&dead.name);
    let service = Service::start(&setup);
    let n_of_user = || sim.get("test", "last", "one").and_then(|record| record.int("n"));
    // Everything possible is written: the rows of other records, and those before the refused row.
    service.wait_for("what can be written to be written", |counters| {
        counters.rows_written.get() >= 40
    });
    for round in 1..=5 {
        topic.produce(1, &[sent("k", r#"{"user": "two", "id": "b", "n": 1}"#)]);
        wait_until(
            "the other partition to be committed",
            || topic.committed(&setup.group),
            |committed| committed[1] == Some(round),
        );
        assert_eq!(n_of_user(), Some(9));
    }
    kafka.heal_topic(&dead.name);
    wait_until("the record to go on", n_of_user, |n| *n == Some(last));
    wait_end(&topic, &setup);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.messages_dead_lettered.get(), 1);
}

// ---- output topics that are not available

/// Copies of `events` go to OUT; `PLAIN` is only written to the database.
const COPY: &str = r#"
[kafka.producer]
"socket.timeout.ms" = 1000
"reconnect.backoff.max.ms" = 500

[[route]]
topics = ["EVENTS"]
  [[route.write]]
  set = "users"
  key = "id"
  bins = ["n"]

  [[route.publish]]
  topic = "OUT"
  key = "key"

[[route]]
topics = ["PLAIN"]
  [[route.write]]
  set = "plain"
  key = "id"
  bins = ["n"]
"#;

/// Runs the service over messages of `bytes` bytes while its output topic is not available. It commits no offset of a
/// message that it cannot publish; other partitions continue. When the topic is back, everything is there, in order for
/// each key.
fn nothing_is_lost_while_the_topic_is_down(bytes: usize, down: impl Fn(&Kafka, &Topic), up: impl Fn(&Kafka, &Topic)) {
    const EACH: usize = 1500;
    // The unavailable topic is on its own broker.
    let kafka = Kafka::mock_of(2);
    let topic = kafka.topic("events", 4);
    let plain = kafka.topic("plain", 1);
    let out = kafka.topic("out", 8);
    let setup = Setup::new(&kafka, &topic, "");
    for partition in 0..topic.partitions {
        kafka
            .cluster()
            .partition_leader(&topic.name, partition, Some(1))
            .unwrap();
    }
    kafka.cluster().partition_leader(&plain.name, 0, Some(1)).unwrap();
    for partition in 0..out.partitions {
        kafka.cluster().partition_leader(&out.name, partition, Some(2)).unwrap();
    }
    let coordinator = MockCoordinator::Group(setup.group.clone());
    kafka.cluster().coordinator(coordinator, 1).unwrap();
    let sim = simulator();
    let padding = "x".repeat(bytes);
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for partition in 0..topic.partitions {
        let payloads: Vec<String> = (0..EACH)
            .map(|n| {
                let key = format!("k{partition}-{}", n % 20);
                let payload =
                    format!(r#"{{"id": "{partition}-{n}", "key": "{key}", "n": {n}, "padding": "{padding}"}}"#);
                expected.entry(key).or_default().push(payload.clone());
                payload
            })
            .collect();
        let messages: Vec<Sent<'_>> = payloads.iter().map(|payload| sent("k", payload)).collect();
        topic.produce(partition, &messages);
    }
    let routes = COPY
        .replace("EVENTS", &topic.name)
        .replace("PLAIN", &plain.name)
        .replace("OUT", &out.name);
    let mut setup = setup.routes(&routes);
    setup.target = sim.addr().into();
    setup.more_topics = vec![plain.name.clone()];
    // The producer's queue is a sixteenth of it: 8 MiB.
    setup.run = "memory = \"128MiB\"\nwrite_timeout = \"300ms\"\n".to_owned();
    down(&kafka, &out);
    let service = Service::start(&setup);
    service.wait_for("messages to be in hand", |counters| {
        counters.messages_in_hand.get() >= 4 && counters.rows_written.get() >= 4
    });
    for round in 1..=5 {
        plain.produce(0, &[sent("k", r#"{"id": "b", "n": 1}"#)]);
        plain.wait_committed(&setup.group, &[Some(round)]);
        let committed = topic.committed(&setup.group);
        assert!(committed.iter().all(|offset| offset.unwrap_or(0) == 0), "{committed:?}");
    }
    assert_eq!(service.counters.messages_published.get(), 0);
    up(&kafka, &out);
    topic.wait_committed(&setup.group, &topic.ends());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    let messages = EACH * 4;
    assert!(ended.counters.messages_published.get() >= messages as u64);

    let there = usize::try_from(out.ends().into_iter().flatten().sum::<i64>()).unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for read in out.read(there) {
        let of_key = found.entry(read.key_text().to_owned()).or_default();
        // A message that was sent again is there twice: its last occurrence counts.
        of_key.retain(|payload| payload != read.text());
        of_key.push(read.text().to_owned());
    }
    assert!(
        found == expected,
        "{there} messages of {messages}, not as they should be"
    );
}

#[test]
fn a_topic_that_is_refused_holds_up_its_messages_and_loses_none() {
    nothing_is_lost_while_the_topic_is_down(
        100,
        |kafka, out| kafka.fail_topic(&out.name),
        |kafka, out| kafka.heal_topic(&out.name),
    );
}

#[test]
fn a_topic_whose_broker_times_out_holds_up_its_messages_and_loses_none() {
    nothing_is_lost_while_the_topic_is_down(
        100,
        |kafka, _| {
            // Longer than the producer waits for an answer.
            let late = Duration::from_secs(20);
            kafka.cluster().broker_round_trip_time(2, late).unwrap();
        },
        |kafka, _| kafka.cluster().broker_round_trip_time(2, Duration::ZERO).unwrap(),
    );
}

#[test]
fn a_broker_that_is_gone_fills_the_producers_queue_and_loses_nothing() {
    nothing_is_lost_while_the_topic_is_down(
        2500,
        |kafka, _| kafka.cluster().broker_down(2).unwrap(),
        |kafka, _| kafka.cluster().broker_up(2).unwrap(),
    );
}
