//! Dead letters once more, on a real broker: letters of nine reasons are replayed under two kills, while the service runs
//! and takes later messages for the same records. Counters must be exact, and values the newest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use penstock_sim::{Simulator, Value};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::support::process::{Program, penstock, run, run_service};
use crate::support::replays::{WRITES, assert_says, mended, with_letters};
use crate::support::{DEADLINE, Kafka, Sent, Service, Setup, Topic, send, sent, simulator, unique, wait_until};

const SIGKILL: i32 = 9;
const PARTITIONS: i64 = 8;
const KEYS: i64 = 400;
/// Keys whose counters the database refuses at first.
const BAD_KEYS: i64 = 40;
/// Messages with each of eight kinds of mistake, and with none.
const EACH: i64 = 1111;

/// The rules with eight mistakes, each for one kind of message. The last write is the mistakes' own.
fn broken() -> String {
    let require = "require = [\"kind != 1\", \"kind != 2 || msg.nowhere == 1\"]";
    let routes = mended().replace("[[route]]", &format!("[[route]]\n{require}"));
    routes
        + r#"
  [[route.write]]
  set = "extra"
  key = "key"
  bins = { must = { path = "must", missing = "reject" }, number = { path = "number", as = "integer" } }
"#
}

/// A message of a kind. Kind 0 has no mistake.
fn payload(kind: i64, key: &str, n: i64) -> String {
    let mut json = format!(r#"{{"id": "{key}", "n": {n}, "kind": {kind}"#);
    let (must, number) = (kind != 3, if kind == 4 { "\"many\"" } else { "1" });
    if must {
        json.push_str(r#", "must": 1"#);
    }
    write!(json, r#", "number": {number}"#).unwrap();
    match kind {
        5 => {}
        6 => json.push_str(r#", "key": null"#),
        7 => json.push_str(r#", "key": """#),
        8 => json.push_str(r#", "key": true"#),
        _ => json.push_str(r#", "key": "k""#),
    }
    json.push('}');
    json
}

struct Scene {
    topic: Topic,
    dead: Topic,
    setup: Setup,
    /// For each key: the numbers of its messages, in order.
    expected: BTreeMap<String, Vec<i64>>,
    next: i64,
}

impl Scene {
    /// Produces these messages: a kind and a key for each.
    fn produce(&mut self, messages: impl Iterator<Item = (i64, String, i64)>) {
        let mut by_partition: BTreeMap<i64, Vec<(String, String)>> = BTreeMap::new();
        for (kind, key, partition) in messages {
            let n = self.next;
            self.next += 1;
            let payload = payload(kind, &key, n);
            self.expected.entry(key.clone()).or_default().push(n);
            by_partition.entry(partition).or_default().push((key, payload));
        }
        for (partition, messages) in by_partition {
            let messages: Vec<Sent<'_>> = messages.iter().map(|(key, payload)| sent(key, payload)).collect();
            self.topic.produce(i32::try_from(partition).unwrap(), &messages);
        }
    }

    fn with(&self, routes: &str) -> Setup {
        with_letters(&self.setup, &self.dead, routes)
    }

    #[track_caller]
    fn assert_exact(&self, sim: &Simulator) {
        for (key, numbers) in &self.expected {
            let counts = sim.get("test", "counts", key.as_str()).unwrap();
            let found = (counts.int("total"), counts.int("events"));
            let expected = (Some(numbers.iter().sum()), Some(numbers.len() as i64));
            assert_eq!(found, expected, "counts {key}");
            let mixed = sim.get("test", "mixed", key.as_str()).unwrap();
            let found = (mixed.int("last"), mixed.int("count"));
            assert_eq!(found, (numbers.last().copied(), expected.1), "mixed {key}");
        }
    }
}

fn key(n: i64) -> (String, i64) {
    (format!("k{}", n % KEYS), n % KEYS % PARTITIONS)
}

fn bad_key(n: i64) -> (String, i64) {
    (format!("bad{}", n % BAD_KEYS), n % BAD_KEYS % PARTITIONS)
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn letters_of_nine_reasons_are_replayed_exactly_under_kills_beside_the_service() {
    let kafka = Kafka::real();
    let sim = simulator();
    let topic = kafka.topic("replayed", i32::try_from(PARTITIONS).unwrap());
    let dead = kafka.topic("dead", 3);
    let setup = Setup::new(&kafka, &topic, sim.addr()).run("batch_rows_max = 100\nwrite_timeout = \"2s\"\n");
    let mut scene = Scene {
        topic,
        dead,
        setup,
        expected: BTreeMap::new(),
        next: 0,
    };
    for bad in 0..BAD_KEYS {
        let bins = [("events", Value::from("not a number"))];
        sim.put("test", "counts", bad_key(bad).0.as_str(), &bins).unwrap();
    }
    // Kinds by turns, so that good and bad messages of a key mix.
    scene.produce((0..9 * EACH).map(|n| {
        let (key, partition) = key(n / 9 + n);
        (n % 9, key, partition)
    }));
    scene.produce((0..10_000 - 8 * EACH).map(|n| {
        let (key, partition) = bad_key(n);
        (0, key, partition)
    }));
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken()));

    // The cause is mended.
    for bad in 0..BAD_KEYS {
        assert!(sim.remove("test", "counts", bad_key(bad).0.as_str()));
    }
    let file = scene.with(&mended()).file();
    let command = |arguments: &[&str]| {
        let mut command = penstock();
        command
            .arg("replay")
            .arg(file.path())
            .args(["--from", &scene.dead.name])
            .args(arguments);
        command
    };
    let dry = run(&mut command(&["--dry-run"]));
    dry.assert_code(0);
    assert_says(&dry, "10000 letter(s) read");
    for reason in [
        "require",
        "condition_error",
        "field_missing",
        "field_type",
        "key_missing",
        "key_null",
        "key_empty",
        "key_type",
    ] {
        assert_says(&dry, &format!("{EACH} would be replayed: {reason}, "));
    }
    assert_says(&dry, &format!("{} would be replayed: database, ", 10_000 - 8 * EACH));

    let mut service = run_service(file.path());
    let commands: Vec<_> = (0..2).map(|_| command(&["--keep-newer"])).collect();
    let last = command(&["--keep-newer"]);
    sim.faults().delay(std::time::Duration::from_millis(4));
    for (number, mut command) in commands.into_iter().enumerate() {
        let before = sim.stats().rows;
        let mut killed = Program::start(&mut command);
        // Later messages for the same records, while it runs.
        scene.produce((0..KEYS).map(|n| {
            let (key, partition) = key(n);
            (0, key, partition)
        }));
        wait_until(
            "rows",
            || sim.stats().rows,
            |rows| *rows > before + 2000 * (number as u64 + 1),
        );
        killed.signal("KILL");
        killed.end().assert_signal(SIGKILL);
    }
    sim.faults().clear();
    scene.produce((0..BAD_KEYS).map(|n| {
        let (key, partition) = bad_key(n);
        (0, key, partition)
    }));
    let mut last = last;
    let third = run(&mut last);
    third.assert_code(0);
    scene.topic.wait_committed(&scene.setup.group, &scene.topic.ends());
    scene.assert_exact(&sim);

    // The same letters once more, two runs at once: nothing changes.
    let bins = |set: &str| -> Vec<_> {
        let records = sim.records("test", set).into_iter();
        records.map(|(digest, record)| (digest, record.bins)).collect()
    };
    let before = [bins("mixed"), bins("counts")];
    let again = || {
        let mut command = penstock();
        command
            .arg("replay")
            .arg(file.path())
            .args(["--from", &scene.dead.name]);
        command
    };
    let (mut one, mut other) = (Program::start(&mut again()), Program::start(&mut again()));
    for ended in [one.end(), other.end()] {
        ended.assert_code(0);
        assert_says(&ended, "10000 already written by an earlier replay");
        assert_says(&ended, "0 row(s) written, 0 new letter(s)");
    }
    service.signal("TERM");
    service.end().assert_code(0);
    scene.assert_exact(&sim);
    assert_eq!(before[0].len(), bins("mixed").len());
    assert_eq!(before[1].len(), bins("counts").len());
}

/// An open transaction of another producer hides the letters behind it. A run names what it could not read, and is no
/// success. Messages of an aborted transaction are no letters, whatever they say.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn letters_behind_an_open_transaction_are_named_and_an_aborted_one_makes_no_letters() {
    let kafka = Kafka::real();
    let sim = simulator();
    let (topic, dead) = (kafka.topic("hidden", 1), kafka.topic("dead", 1));
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let broken = with_letters(&setup, &dead, &format!("[[route]]\nrequire = [\"n != 1\"]\n{WRITES}"));
    let file = with_letters(&setup, &dead, &mended()).file();
    let payload = |id: &str| format!(r#"{{"id": "{id}", "n": 1}}"#);
    let events = |id: &str| sim.get("test", "counts", id).and_then(|record| record.int("events"));
    let call = |name: &str, more: &[&str]| {
        let mut command = penstock();
        command.arg(name).arg(file.path()).args(more);
        run(&mut command)
    };
    topic.produce(0, &[sent("k", &payload("first"))]);
    Service::run_to_the_ends_of(&topic, &broken);
    let producer: BaseProducer = kafka
        .client()
        .set("transactional.id", unique("transaction"))
        .create()
        .unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    // A copy of the letter, but of another message.
    let letter = dead.read(1).remove(0);
    let mut headers = OwnedHeaders::new();
    for (name, value) in &letter.headers {
        let value = match name.as_str() {
            "penstock.offset" => Some(b"7".as_slice()),
            _ => value.as_deref(),
        };
        headers = headers.insert(Header { key: name, value });
    }
    producer.begin_transaction().unwrap();
    let forged = payload("forged");
    let record = BaseRecord::<str, str>::to(&dead.name).payload(&forged).headers(headers);
    producer.send(record).unwrap();
    producer.flush(DEADLINE).unwrap();
    producer.abort_transaction(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, &dead.name, 0, b"in an open transaction");
    producer.flush(DEADLINE).unwrap();
    topic.produce(0, &[sent("k", &payload("second"))]);
    Service::run_to_the_ends_of(&topic, &broken);

    // A letter, the aborted copy, its marker, the open message, a letter. The first one is the last that could be read.
    let hidden = format!("not read: {}:0:1 to 4: a transaction", dead.name);
    let producers = format!("describe-producers --topic {} --partition 0", dead.name);
    let waits = format!("waiting up to 20 s for {}:0:1: ", dead.name);
    for (name, told) in [("dead", "1 letters of 1 messages"), ("replay", "1 written")] {
        let exited = call(name, &[]);
        exited.assert_code(1);
        for said in [&hidden, &waits] {
            assert_says(&exited, said);
        }
        assert!(exited.output.contains(&producers), "{}", exited.output);
        assert!(exited.output.contains(told), "{}", exited.output);
    }
    assert_eq!(
        (events("first"), events("second"), events("forged")),
        (Some(1), None, None)
    );

    producer.abort_transaction(DEADLINE).unwrap();
    let exited = call("replay", &[]);
    exited.assert_code(0);
    assert!(!exited.output.contains("not read"), "{}", exited.output);
    assert_eq!(
        (events("first"), events("second"), events("forged")),
        (Some(1), Some(1), None)
    );
}
