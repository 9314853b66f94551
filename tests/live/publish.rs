//! Publishing and dead letters with a real Kafka broker. `make test-kafka` starts a broker and runs these tests. They
//! need its address in `KAFKA_BROKERS`, and are ignored without it.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::process::run_service;
use crate::support::{Database, Kafka, Read, Sent, Service, Setup, Target, Topic, sent, unique, wait_for, wait_until};
use aerospike::Value;
use penstock::util::exit::Exit;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;

fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    kafka.client().create().unwrap()
}

/// A topic with one partition and these settings.
fn topic_with(kafka: &Kafka, name: &str, settings: &[(&str, &str)]) -> Topic {
    let topic = absent(kafka, name);
    create(kafka, &topic.name, settings);
    topic
}

/// A topic that does not exist yet.
fn absent(kafka: &Kafka, name: &str) -> Topic {
    Topic {
        client: kafka.client(),
        name: unique(name),
        partitions: 1,
    }
}

fn create(kafka: &Kafka, name: &str, settings: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let results = wait_for(admin(kafka).create_topics([&topic], &AdminOptions::new())).unwrap();
    assert_eq!(results, [Ok(name.to_owned())]);
}

fn alter(kafka: &Kafka, topic: &Topic, key: &str, value: &str) {
    let config = AlterConfig::new(ResourceSpecifier::Topic(&topic.name)).set(key, value);
    let results = wait_for(admin(kafka).alter_configs([&config], &AdminOptions::new())).unwrap();
    assert_eq!(results, [Ok(OwnedResourceSpecifier::Topic(topic.name.clone()))]);
}

fn setup(kafka: &Kafka, topic: &Topic, target: impl Into<Target>, routes: &str) -> Setup {
    Setup::new(kafka, topic, target).consumer("").routes(routes)
}

const WHOLE_LIST: &str = r#"
[[route]]
when    = "type != 'heartbeat'"
require = ["amount >= 0.0", "size(user.id) > 0"]

  [[route.write]]
  set  = "users"
  key  = "user.id"
  bins = { country = "user.country", seen = "ts" }
  add  = { events = 1, spend = { path = "amount", as = "float" } }

  [[route.write]]
  set  = "events"
  key  = "id"
  bins = { type = "type", user = "user.id", amount = { path = "amount", as = "float" } }

  [[route.publish]]
  topic   = "PURCHASES"
  when    = "type == 'purchase'"
  key     = "user.id"
  headers = { country = "user.country" }

[reject]
action = "dead_letter"
topic  = "DEAD"
"#;

/// What an event of the list asks for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    View,
    Purchase,
    Heartbeat,
    /// It is rejected for this reason.
    Bad(&'static str),
}

/// consume, parse, validate, filter, produce to another topic, write two records, reject some.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn the_whole_list_balances_to_the_message() {
    const EACH: usize = 3000;
    let kafka = Kafka::real();
    let topic = kafka.topic("events", 3);
    let purchases = kafka.topic("purchases", 2);
    let dead = kafka.topic("dead", 1);
    let database = Database::from_env();
    let routes = WHOLE_LIST
        .replace("PURCHASES", &purchases.name)
        .replace("DEAD", &dead.name);
    let setup = setup(&kafka, &topic, &database, &routes);

    let mut kinds = Vec::new();
    let mut users: BTreeMap<String, (i64, f64)> = BTreeMap::new();
    for partition in 0..topic.partitions {
        let mut payloads = Vec::new();
        for n in 0..EACH {
            let id = format!("{partition}-{n}");
            // A user's events are in one partition.
            let user = format!("u{partition}-{}", n % 50);
            let (kind, payload) = match n % 10 {
                0 | 1 => (
                    Kind::Heartbeat,
                    format!(r#"{{"id":"{id}","type":"heartbeat","user":null}}"#),
                ),
                2 | 3 => (
                    Kind::Purchase,
                    format!(
                        r#"{{"id":"{id}","type":"purchase","ts":{n},"user":{{"id":"{user}","country":"de"}},"amount":{}.5}}"#,
                        n % 7
                    ),
                ),
                4 if n % 100 == 4 => match n / 100 % 4 {
                    0 => (Kind::Bad("not_json"), format!(r#"{{"id":"{id}","type":"#)),
                    1 => (
                        Kind::Bad("require"),
                        format!(r#"{{"id":"{id}","type":"refund","ts":{n},"user":{{"id":"{user}"}},"amount":-1}}"#),
                    ),
                    2 => (
                        Kind::Bad("condition_error"),
                        format!(r#"{{"id":"{id}","kind":"view","ts":{n},"user":{{"id":"{user}"}},"amount":1}}"#),
                    ),
                    _ => (
                        Kind::Bad("field_type"),
                        format!(
                            r#"{{"id":"{id}","type":"view","ts":{n},"user":{{"id":"{user}"}},"amount":1,"user2":0,"ts":[{n}]}}"#
                        ),
                    ),
                },
                _ => (
                    Kind::View,
                    format!(
                        r#"{{"id":"{id}","type":"view","ts":{n},"user":{{"id":"{user}","country":"fr"}},"amount":0}}"#
                    ),
                ),
            };
            // A bin accepts an array, too, so this message is not rejected.
            let kind = if kind == Kind::Bad("field_type") {
                Kind::View
            } else {
                kind
            };
            if matches!(kind, Kind::View | Kind::Purchase) {
                let amount = if kind == Kind::Purchase {
                    (n % 7) as f64 + 0.5
                } else {
                    0.0
                };
                let amount = if n % 100 == 4 { 1.0 } else { amount };
                let of_user = users.entry(user.clone()).or_default();
                of_user.0 += 1;
                of_user.1 += amount;
            }
            kinds.push((id, kind, user, payload.clone()));
            payloads.push(payload);
        }
        let messages: Vec<Sent<'_>> = payloads.iter().map(|payload| sent("k", payload)).collect();
        topic.produce(partition, &messages);
    }

    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &topic.ends());
    let ended = service.stop();
    ended.assert(Exit::Stopped);

    let count = |of: fn(&Kind) -> bool| kinds.iter().filter(|(_, kind, ..)| of(kind)).count();
    let filtered = count(|kind| *kind == Kind::Heartbeat);
    let bad = count(|kind| matches!(kind, Kind::Bad(_)));
    let bought = count(|kind| *kind == Kind::Purchase);
    let counters = &ended.counters;
    assert_eq!(counters.messages_consumed.get(), kinds.len() as u64);
    assert_eq!(counters.messages_filtered.get(), filtered as u64);
    assert_eq!(counters.messages_dead_lettered.get(), bad as u64);
    assert_eq!(counters.messages_written.get(), (kinds.len() - filtered - bad) as u64);
    assert_eq!(counters.messages_published.get(), bought as u64);

    // The records: one for each event, and the counts of each user.
    let ids: Vec<&str> = kinds.iter().map(|(id, ..)| id.as_str()).collect();
    for ((id, kind, user, _), record) in kinds.iter().zip(database.bins("events", &ids)) {
        let written = matches!(kind, Kind::View | Kind::Purchase);
        assert_eq!(record.is_some(), written, "{id}");
        if let Some(record) = record {
            assert_eq!(record.get("user"), Some(&Value::from(user.as_str())));
        }
    }
    let names: Vec<&String> = users.keys().collect();
    for ((user, (events, spend)), record) in users.iter().zip(database.bins("users", &names)) {
        let record = record.unwrap();
        assert_eq!(record.get("events"), Some(&Value::from(*events)), "{user}");
        assert_eq!(record.get("spend"), Some(&Value::from(*spend)), "{user}");
    }

    // The purchases: each one once and unchanged, those of a user in order.
    let published = purchases.read(bought);
    assert_eq!(purchases.ends().into_iter().flatten().sum::<i64>(), bought as i64);
    let mut by_user: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for read in &published {
        assert_eq!(read.header("country"), Some("de"));
        by_user.entry(read.key_text()).or_default().push(read.text());
    }
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, kind, user, payload) in &kinds {
        if *kind == Kind::Purchase {
            expected.entry(user).or_default().push(payload);
        }
    }
    assert_eq!(by_user, expected);

    // The dead letters: each with its reason.
    let letters = dead.read(bad);
    assert_eq!(dead.ends(), [i64::try_from(bad).ok()]);
    let found: BTreeSet<(&str, &str)> = letters
        .iter()
        .map(|letter| (letter.text(), letter.header("penstock.reason").unwrap()))
        .collect();
    let expected: BTreeSet<(&str, &str)> = kinds
        .iter()
        .filter_map(|(_, kind, _, payload)| match kind {
            Kind::Bad(reason) => Some((payload.as_str(), *reason)),
            _ => None,
        })
        .collect();
    assert_eq!(found, expected);
    for letter in &letters {
        // A real broker's topics have ids.
        assert_eq!(letter.header("penstock.topic_id").map(str::len), Some(22));
        assert_eq!(letter.header("penstock.topic"), Some(topic.name.as_str()));
    }
}

const WRITE: &str = "
[[route]]
  [[route.write]]
  set = \"users\"
  key = \"id\"
  bins = [\"n\"]
";

fn dead_letters(dead: &str) -> String {
    format!("{WRITE}[reject]\naction = \"dead_letter\"\ntopic = \"{dead}\"\n")
}

/// Produces `good` good messages, with a bad one in the middle.
fn produce_one_bad(topic: &Topic, good: usize, bad: &str) {
    let mut payloads: Vec<String> = (0..good).map(|n| format!(r#"{{"id": "a{n}", "n": {n}}}"#)).collect();
    payloads.insert(good / 2, bad.to_owned());
    let messages: Vec<Sent<'_>> = payloads.iter().map(|payload| sent("k", payload)).collect();
    topic.produce(0, &messages);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_that_refuses_the_size_of_a_dead_letter_stops_the_service_with_its_name() {
    let kafka = Kafka::real();
    let topic = topic_with(&kafka, "events", &[]);
    let dead = topic_with(&kafka, "dead", &[("max.message.bytes", "2000")]);
    let database = Database::from_env();
    // Text that does not get smaller when it is compressed.
    let bad: String = std::iter::repeat_with(fastrand::alphanumeric).take(5000).collect();
    produce_one_bad(&topic, 100, &bad);
    let setup = setup(&kafka, &topic, &database, &dead_letters(&dead.name));
    let file = setup.file();
    // If nothing is changed, the restarted service stops at the same message again.
    for _ in 0..2 {
        let mut service = run_service(file.path());
        service.wait_for_line(&["ERROR", &dead.name, "too large", "max.message.bytes", "offset=50"]);
        service.end().assert_code(65);
        topic.wait_committed(&setup.group, &[Some(50)]);
    }
    alter(&kafka, &dead, "max.message.bytes", "10000");
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &topic.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    assert_eq!(dead.read(1)[0].header("penstock.offset"), Some("50"));
}

/// Messages often arrive compressed. The input broker accepted them for their compressed size.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_dead_letter_fits_its_topic_by_its_compressed_size() {
    let kafka = Kafka::real();
    let topic = topic_with(&kafka, "events", &[]);
    let dead = topic_with(&kafka, "dead", &[("max.message.bytes", "2000")]);
    let database = Database::from_env();
    let bad = "x".repeat(50_000);
    produce_one_bad(&topic, 100, &bad);
    let setup = setup(&kafka, &topic, &database, &dead_letters(&dead.name));
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &topic.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    let letters = dead.read(1);
    assert_eq!(letters[0].header("penstock.offset"), Some("50"));
    assert_eq!(letters[0].payload.as_deref(), Some(bad.as_bytes()));
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_dead_letter_waits_for_its_topic_to_be_created() {
    let kafka = Kafka::real();
    let topic = kafka.topic("events", 2);
    let dead = absent(&kafka, "dead");
    let database = Database::from_env();
    produce_one_bad(&topic, 100, "no JSON");
    let setup = setup(&kafka, &topic, &database, &dead_letters(&dead.name));
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["WARN", "no topic to produce to", &dead.name]);
    service.wait_for_line(&["WARN", "publish: the topic takes no messages", &dead.name]);
    // The other partition goes on and is committed, so this one could be committed, too.
    for round in 1..=5 {
        topic.produce(1, &[sent("k", r#"{"id": "b", "n": 1}"#)]);
        let committed = wait_until(
            "the other partition to be committed",
            || topic.committed(&setup.group),
            |committed| committed[1] == Some(round),
        );
        assert!(committed[0].unwrap_or(0) <= 50, "{committed:?}");
    }
    create(&kafka, &dead.name, &[]);
    topic.wait_committed(&setup.group, &topic.ends());
    service.wait_for_line(&["publish: the topic takes messages again", &dead.name]);
    service.signal("TERM");
    service.end().assert_code(0);
    assert_eq!(dead.read(1)[0].header("penstock.offset"), Some("50"));
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_stop_while_a_topic_takes_nothing_ends_in_time_and_the_next_start_goes_on() {
    let kafka = Kafka::real();
    let topic = topic_with(&kafka, "events", &[]);
    let out = absent(&kafka, "out");
    let database = Database::from_env();
    let payloads: Vec<String> = (0..200).map(|n| format!(r#"{{"id": "a{n}", "n": {n}}}"#)).collect();
    let messages: Vec<Sent<'_>> = payloads.iter().map(|payload| sent("k", payload)).collect();
    topic.produce(0, &messages);
    let routes = format!("{WRITE}  [[route.publish]]\n  topic = \"{}\"\n", out.name);
    let setup = setup(&kafka, &topic, &database, &routes);
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["WARN", "publish: the topic takes no messages", &out.name]);
    service.signal("TERM");
    service.end().assert_code(0);
    assert_eq!(topic.committed(&setup.group)[0].unwrap_or(0), 0);
    create(&kafka, &out.name, &[]);
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &topic.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    assert_published(&out, &payloads);
}

/// Checks that every message is in the topic, and that the last copies of the messages are in order.
fn assert_published(out: &Topic, payloads: &[String]) {
    let end = out.ends()[0].and_then(|end| usize::try_from(end).ok()).unwrap();
    assert!(end >= payloads.len(), "{end} of {}", payloads.len());
    let read: Vec<Read> = out.read(end);
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, each) in read.iter().enumerate() {
        last.insert(each.text(), place);
    }
    let places: Vec<usize> = payloads
        .iter()
        .map(|payload| {
            *last
                .get(payload.as_str())
                .unwrap_or_else(|| panic!("{payload} is not there"))
        })
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(last.len(), payloads.len());
}

/// The service is killed repeatedly while it publishes. No message is missing, and each key ends with its last message.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn what_is_published_outlives_kills() {
    const MESSAGES: usize = 20_000;
    const KILLS: usize = 6;
    let kafka = Kafka::real();
    let topic = topic_with(&kafka, "events", &[]);
    let out = topic_with(&kafka, "out", &[]);
    let dead = topic_with(&kafka, "dead", &[]);
    let database = Database::from_env();
    let payloads: Vec<String> = (0..MESSAGES)
        .map(|n| match n % 100 {
            99 => format!(r#"{{"id": "a{n}", "n": "#),
            _ => format!(r#"{{"id": "a{n}", "n": {n}}}"#),
        })
        .collect();
    let messages: Vec<Sent<'_>> = payloads.iter().map(|payload| sent("k", payload)).collect();
    topic.produce(0, &messages);
    let routes = format!(
        "{WRITE}  [[route.publish]]\n  topic = \"{}\"\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        out.name, dead.name
    );
    let mut setup = setup(&kafka, &topic, &database, &routes);
    setup.run = "batch_rows_max = 40\nrows_per_second_max = 8000\n".to_owned();
    setup.consumer = "session.timeout.ms = 6000\nheartbeat.interval.ms = 500".to_owned();
    let file = setup.file();
    for kill in 1..=KILLS {
        let mut service = run_service(file.path());
        let enough = i64::try_from(MESSAGES * kill / (KILLS + 2)).unwrap();
        wait_until(
            "messages to be committed",
            || topic.committed(&setup.group)[0],
            |committed| committed.unwrap_or(0) >= enough,
        );
        service.signal("KILL");
        service.end().assert_signal(9);
    }
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &topic.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    let (bad, good): (Vec<String>, Vec<String>) = payloads.into_iter().partition(|payload| !payload.ends_with('}'));
    assert_published(&out, &good);
    assert_published(&dead, &bad);
}
