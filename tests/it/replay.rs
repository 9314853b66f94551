//! Dead letters once more: `penstock replay` as a process, between a mock broker and a simulated database.

use std::fs;
use std::process::Command;
use std::time::Duration;

use penstock::delivery::guard::GuardIdentity;
use penstock::delivery::ledger::Ledger;
use penstock_sim::{Share, SimConfig, Simulator, Value};

use crate::support::process::{Exited, Program, SimProgram, penstock, run};
use crate::support::replays::{WRITES, assert_says, mended, with_letters};
use crate::support::{Kafka, Sent, Service, Setup, Topic, sent, simulator, wait_until};

const SIGKILL: i32 = 9;

/// The rules with the mistake that makes dead letters: every third message is rejected.
fn broken() -> String {
    format!("[[route]]\nrequire = [\"n % 3 != 0\"]\n{WRITES}")
}

struct Scene {
    kafka: Kafka,
    topic: Topic,
    dead: Topic,
    setup: Setup,
}

impl Scene {
    fn new(database: impl Into<crate::support::Target>, partitions: i32) -> Scene {
        let kafka = Kafka::mock();
        let topic = kafka.topic("events", partitions);
        let dead = kafka.topic("dead", 2);
        let setup = Setup::new(&kafka, &topic, database);
        Scene {
            kafka,
            topic,
            dead,
            setup,
        }
    }

    /// The configuration with these rules.
    fn with(&self, routes: &str) -> Setup {
        with_letters(&self.setup, &self.dead, routes)
    }

    /// Message number `n` of key `k{n % keys}`, in the partition of the key.
    fn produce(&self, numbers: std::ops::Range<i64>, keys: i64) {
        let partitions = self.topic.ends().len() as i64;
        for partition in 0..partitions {
            let of = numbers.clone().filter(|n| (n % keys) % partitions == partition);
            let messages: Vec<(String, String)> = of
                .map(|n| {
                    (
                        format!("k{}", n % keys),
                        format!(r#"{{"id": "k{}", "n": {n}}}"#, n % keys),
                    )
                })
                .collect();
            let messages: Vec<Sent<'_>> = messages.iter().map(|(key, payload)| sent(key, payload)).collect();
            self.topic.produce(i32::try_from(partition).unwrap(), &messages);
        }
    }

    /// The service with the mistake, to the ends of the topic.
    fn run_broken(&self) {
        Service::run_to_the_ends_of(&self.topic, &self.with(&broken()));
    }

    fn letters(&self) -> i64 {
        self.dead.ends().into_iter().flatten().sum()
    }
}

/// The command with these arguments. The file must outlive the process.
fn command(file: &tempfile::NamedTempFile, from: &Topic, arguments: &[&str]) -> Command {
    let mut command = penstock();
    command
        .arg("replay")
        .arg(file.path())
        .args(["--from", &from.name])
        .args(arguments);
    command
}

fn replay(scene: &Scene, routes: &str, arguments: &[&str]) -> Exited {
    let file = scene.with(routes).file();
    run(&mut command(&file, &scene.dead, arguments))
}

/// What a key's records must be when all messages `0..n` are applied.
fn assert_counts(sim: &Simulator, n: i64, keys: i64, mixed: bool) {
    for key in 0..keys {
        let of: Vec<i64> = (0..n).filter(|n| n % keys == key).collect();
        let name = format!("k{key}");
        let counts = sim.get("test", "counts", name.as_str()).unwrap();
        let (total, events) = (counts.int("total").unwrap(), counts.int("events").unwrap());
        assert_eq!((total, events), (of.iter().sum(), of.len() as i64), "counts {name}");
        if mixed {
            let record = sim.get("test", "mixed", name.as_str()).unwrap();
            let (last, count) = (record.int("last").unwrap(), record.int("count").unwrap());
            assert_eq!((last, count), (*of.last().unwrap(), of.len() as i64), "mixed {name}");
        }
    }
}

#[test]
fn letters_are_applied_once_and_newer_values_are_left() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 2);
    scene.produce(0..30, 4);
    scene.run_broken();
    assert_eq!(scene.letters(), 10);

    let stats = sim.stats();
    let dry = replay(&scene, &mended(), &["--dry-run"]);
    dry.assert_code(0);
    assert_eq!(sim.stats(), stats, "the database is asked nothing");
    assert_says(&dry, "10 letter(s) read");
    assert_says(&dry, "10 would be replayed: require, ");
    assert_says(&dry, "the write at line ");
    assert_says(&dry, "dry run: nothing was written");
    assert!(!dry.output.contains("\"n\""), "a payload is shown:\n{}", dry.output);

    // Each record was written by a later message, but for the last ones: 27 is the last of its key.
    let first = replay(&scene, &mended(), &[]);
    first.assert_code(1);
    assert_says(&first, "1 written");
    assert_says(&first, "9 refused: later_message (the write at line ");
    assert_counts(&sim, 30, 4, false);

    let second = replay(&scene, &mended(), &["--keep-newer"]);
    second.assert_code(0);
    assert_says(&second, "9 written");
    assert_says(&second, "1 already written");
    assert_counts(&sim, 30, 4, true);

    // The same letters once more, in every manner.
    for manner in [&[][..], &["--keep-newer"], &["--overwrite"]] {
        let again = replay(&scene, &mended(), manner);
        again.assert_code(0);
        assert_says(&again, "10 already written");
        assert_says(&again, "0 row(s) written");
        assert_counts(&sim, 30, 4, true);
    }
    assert_eq!(scene.letters(), 10, "nothing failed again");

    // The service goes on with its own guards.
    scene.produce(30..60, 4);
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&mended()));
    assert_counts(&sim, 60, 4, true);
}

/// A guard tells of later messages only if they have stored it.
#[test]
fn a_guard_that_came_after_the_letters_is_not_trusted() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..2, 1);
    let sets = "[[route.write]]\nset = \"sets\"\nkey = \"id\"\nbins = { last = \"n\" }\n";
    let broken = format!("[[route]]\nrequire = [\"n != 0\"]\n{sets}");
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken));
    assert_eq!(scene.letters(), 1);
    let refused = replay(&scene, &format!("[[route]]\n{sets}guard = true\n"), &[]);
    refused.assert_code(1);
    assert_says(&refused, "1 refused: may_overwrite");
    assert_eq!(sim.get("test", "sets", "k0").unwrap().int("last"), Some(1));
}

/// The README's shape: a guarded counter, and a plain write to another set. The counter does not wait for a person's
/// word about the other one.
#[test]
fn a_letter_of_which_a_row_may_overwrite_is_replayed_in_part() {
    const SHAPE: &str = r#"
  [[route.write]]
  set = "users"
  key = "id"
  bins = { last = "n" }
  add = { events = 1 }

  [[route.write]]
  set = "events"
  key = "n"
  bins = { user = "id" }
"#;
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let out = scene.kafka.topic("out", 1);
    scene.produce(0..6, 2);
    let publish = format!("\n[[route.publish]]\ntopic = \"{}\"\nkey = \"id\"\n", out.name);
    let broken = format!("[[route]]\nrequire = [\"n % 3 != 0\"]\n{SHAPE}");
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken));
    assert_eq!(scene.letters(), 2);
    let mended = format!("[[route]]\n{SHAPE}{publish}");
    let line = |exited: &Exited| {
        let line = exited
            .output
            .lines()
            .find(|line| line.contains("refused: may_overwrite"));
        line.unwrap_or_else(|| panic!("{}", exited.output)).to_owned()
    };
    let users = || ["k0", "k1"].map(|key| sim.get("test", "users", key).unwrap().int("events"));

    let stats = sim.stats();
    let dry = replay(&scene, &mended, &["--dry-run", "--keep-newer"]);
    dry.assert_code(1);
    assert!(
        line(&dry)
            .trim_start()
            .starts_with("2 refused: may_overwrite (the write at line ")
    );
    assert!(
        line(&dry).ends_with("; at most 2 of 4 row(s) would be done"),
        "{}",
        dry.output
    );
    assert!(
        dry.output.contains(" would be left, for 2 row(s), e.g. "),
        "{}",
        dry.output
    );
    assert!(!dry.output.contains("would publish"), "{}", dry.output);
    assert_eq!(sim.stats(), stats, "the database is asked nothing");

    // Each write that is left is named, with its own reason and cure.
    let plain = replay(&scene, &mended, &[]);
    plain.assert_code(1);
    assert!(line(&plain).ends_with("; 0 of 4 row(s) are done"), "{}", plain.output);
    for told in [
        ": a later message has written its record: --keep-newer counts and appends, and leaves the later values",
        ": it may overwrite newer values: look there, then --overwrite",
    ] {
        let left = plain
            .output
            .lines()
            .find(|line| line.starts_with("the write at line ") && line.ends_with(told));
        let left = left.unwrap_or_else(|| panic!("{told:?} is not in\n{}", plain.output));
        assert!(left.contains(" is left, for 2 row(s), e.g. "), "{left}");
    }

    for rows in [2, 0] {
        let part = replay(&scene, &mended, &["--keep-newer"]);
        part.assert_code(1);
        assert!(line(&part).ends_with("; 2 of 4 row(s) are done"), "{}", part.output);
        assert!(part.output.contains(" is left, for 2 row(s), e.g. "), "{}", part.output);
        assert_says(&part, &format!("{rows} row(s) written, 0 new letter(s)"));
        assert_eq!(users(), [Some(3), Some(3)]);
        assert_eq!(sim.records("test", "events").len(), 4);
        assert_eq!(out.ends(), [Some(0)], "it publishes when its last row is done");
    }
    let whole = replay(&scene, &mended, &["--overwrite"]);
    whole.assert_code(0);
    assert_says(&whole, "2 written");
    assert_says(&whole, "2 row(s) written, 0 new letter(s)");
    assert_says(&whole, "2 message(s) published");
    assert_eq!(users(), [Some(3), Some(3)]);
    assert_eq!(sim.records("test", "events").len(), 6);
    assert_eq!(out.ends(), [Some(2)]);

    // What is done is done, and needs nobody's word again.
    for manner in [&[][..], &["--keep-newer"]] {
        let again = replay(&scene, &mended, manner);
        again.assert_code(0);
        assert_says(&again, "2 already written");
        assert_says(&again, "0 row(s) written, 0 new letter(s)");
    }
    assert_eq!(users(), [Some(3), Some(3)]);
}

/// A version tells of later messages only if they have stored theirs.
#[test]
fn a_version_that_came_after_the_letters_is_not_trusted() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..2, 1);
    let sets = "[[route.write]]\nset = \"sets\"\nkey = \"id\"\nbins = { last = \"n\" }\n";
    let newer = format!("{sets}newer = {{ path = \"n\", bin = \"_n\" }}\n");
    let broken = |writes: &str| format!("[[route]]\nrequire = [\"n != 0\"]\n{writes}");
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken(sets)));
    assert_eq!(scene.letters(), 1);
    let last = || sim.get("test", "sets", "k0").unwrap().int("last");
    for (manner, is) in [(&["--dry-run"][..], "would be"), (&[], "is")] {
        let refused = replay(&scene, &format!("[[route]]\n{newer}"), manner);
        refused.assert_code(1);
        assert_says(&refused, "1 refused: may_overwrite");
        let told = format!(" {is} left, for 1 row(s), e.g. {}:", scene.dead.name);
        assert!(refused.output.contains(&told), "{}", refused.output);
        let why = ": its letter does not say that its writes had newer, so newer values may have no version";
        assert!(refused.output.contains(why), "{}", refused.output);
        assert_eq!(last(), Some(1));
    }

    // A letter that was made with versions says so.
    let scene = Scene::new(sim.addr(), 1);
    assert!(sim.remove("test", "sets", "k0"));
    scene.produce(0..2, 1);
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken(&newer)));
    let letter = scene.dead.read(1).remove(0);
    assert_eq!(letter.header("penstock.versioned"), Some(r#"[["test","sets","_n"]]"#));
    let done = replay(&scene, &format!("[[route]]\n{newer}"), &[]);
    done.assert_code(0);
    assert_says(&done, "1 stale");
    assert_eq!(last(), Some(1));
}

/// The life of a record is what the latest message says, and the letter is an earlier one.
#[test]
fn an_older_letter_does_not_shorten_a_records_life() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let sent_with = |n: i64, ttl: i64| format!(r#"{{"id": "k0", "n": {n}, "ttl": {ttl}}}"#);
    let (first, second) = (sent_with(0, 60), sent_with(1, 1_000_000));
    scene.topic.produce(0, &[sent("k0", &first), sent("k0", &second)]);
    let count = "[[route.write]]\nset = \"lives\"\nkey = \"id\"\nadd = { n = 1 }\nttl = { path = \"ttl\" }\n";
    let broken = format!("[[route]]\nrequire = [\"n != 0\"]\n{count}");
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken));
    let done = replay(&scene, &format!("[[route]]\n{count}"), &[]);
    done.assert_code(0);
    assert_says(&done, "1 written");
    let record = sim.get("test", "lives", "k0").unwrap();
    assert_eq!(record.int("n"), Some(2));
    assert!(record.ttl.is_some_and(|left| left > 900_000), "{:?}", record.ttl);
}

/// A row is known by its record, not by its place among the writes.
#[test]
fn writes_that_change_places_are_still_done() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..10, 2);
    let count = |set: &str| format!("[[route.write]]\nset = \"{set}\"\nkey = \"id\"\nadd = {{ n = 1 }}\n");
    let rules = |require: &str, sets: [&str; 2]| format!("[[route]]\n{require}{}{}", count(sets[0]), count(sets[1]));
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&rules("require = [\"n < 5\"]\n", ["a", "b"])));
    assert_eq!(scene.letters(), 5);
    let done = replay(&scene, &rules("", ["a", "b"]), &[]);
    done.assert_code(0);
    assert_says(&done, "5 written");
    let again = replay(&scene, &rules("", ["b", "a"]), &[]);
    again.assert_code(0);
    assert_says(&again, "5 already written");
    assert_says(&again, "0 row(s) written");
}

#[test]
fn selections_can_come_in_any_order() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..30, 3);
    // 0 has a key that is no key, too.
    scene.topic.produce(0, &[sent("x", r#"{"id": [], "n": 1}"#)]);
    scene.run_broken();
    assert_eq!(scene.letters(), 11);
    let none = replay(&scene, &mended(), &["--reason", "not_json"]);
    none.assert_code(0);
    assert_says(&none, "11 not selected");
    // A misspelt reason is no reason to do a part of what is meant.
    let rows = sim.stats().rows;
    let misspelt = replay(&scene, &mended(), &["--reason", "require", "--reason", "keytype"]);
    misspelt.assert_code(64);
    assert_says(
        &misspelt,
        &format!(
            "no letter of {} has the reason keytype; did you mean key_type?",
            scene.dead.name
        ),
    );
    assert_says(&misspelt, "its letters have: require (10), key_type (1)");
    assert_says(&misspelt, "10 left: not dealt with");
    assert_eq!(sim.stats().rows, rows);
    let soon = replay(&scene, &mended(), &["--since", "2100-01-01"]);
    soon.assert_code(0);
    assert_says(&soon, "11 not selected");
    let long_ago = replay(&scene, &mended(), &["--until", "1d"]);
    long_ago.assert_code(0);
    assert_says(&long_ago, "11 not selected");

    let other = replay(&scene, &mended(), &["--reason", "key_type", "--keep-newer"]);
    other.assert_code(1);
    assert_says(&other, "1 failed again: key_type");
    assert_says(&other, "10 not selected");
    let few = replay(
        &scene,
        &mended(),
        &["--reason", "require", "--limit", "4", "--keep-newer"],
    );
    few.assert_code(0);
    assert_says(&few, "4 written");
    assert_says(&few, "6 beyond --limit");
    assert_says(&few, "1 superseded");
    let rest = replay(
        &scene,
        &mended(),
        &["--since", "1h", "--keep-newer", "--reason", "require"],
    );
    rest.assert_code(0);
    assert_says(&rest, "6 written");
    assert_says(&rest, "4 already written");
    assert_counts(&sim, 30, 3, true);
}

#[test]
fn what_fails_again_becomes_one_new_letter_with_a_count() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    // A string where the counter would be: the database refuses the second row of each message.
    sim.put("test", "counts", "k0", &[("events", Value::from("x"))])
        .unwrap();
    scene.produce(1..3, 1);
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&mended()));
    assert_eq!(scene.letters(), 2);
    for tries in 1..4 {
        let failed = replay(&scene, &mended(), &[]);
        failed.assert_code(1);
        assert_says(&failed, "2 failed again: database");
        assert_says(&failed, "0 row(s) written, 2 new letter(s)");
        if tries > 1 {
            assert_says(&failed, &format!("{} superseded", 2 * (tries - 1)));
        }
        let letters = scene.dead.read(2 + 2 * tries);
        let of_this = letters
            .iter()
            .filter(|letter| letter.header("penstock.tries") == Some(&tries.to_string()));
        let rows: Vec<&str> = of_this
            .map(|letter| letter.header("penstock.rows_not_done").unwrap())
            .collect();
        assert_eq!(rows.len(), 2);
        assert!(
            rows.iter()
                .all(|rows| rows.starts_with(r#"[{"row":1,"#) && !rows.contains(r#""row":0"#)),
            "{rows:?}"
        );
    }
    // Rules that reject the message: the letter still lists the same row.
    let rejected = replay(&scene, &format!("[[route]]\nrequire = [\"n < 0\"]\n{WRITES}"), &[]);
    rejected.assert_code(1);
    assert_says(&rejected, "2 failed again: require");

    assert!(sim.remove("test", "counts", "k0"));
    let done = replay(&scene, &mended(), &[]);
    done.assert_code(0);
    assert_says(&done, "2 written");
    assert_says(&done, "2 row(s) written, 0 new letter(s)");
    let record = sim.get("test", "counts", "k0").unwrap();
    assert_eq!((record.int("events"), record.int("total")), (Some(2), Some(3)));
    assert_eq!(sim.get("test", "mixed", "k0").unwrap().int("count"), Some(2));
}

/// A new letter has more headers than the one that it is made of.
#[test]
fn a_letter_that_no_longer_fits_is_left_and_the_others_go_on() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..1, 1);
    let large = format!(r#"{{"id": "k0", "n": 3, "pad": "{}"}}"#, "x".repeat(4000));
    scene.topic.produce(0, &[sent("k0", &large)]);
    scene.produce(6..7, 1);
    scene.run_broken();
    assert_eq!(scene.letters(), 3);
    let consumer = format!("{}\n[kafka.producer]\nmessage.max.bytes = 3000\n", scene.setup.consumer);
    let small = Scene {
        setup: scene.setup.clone().consumer(&consumer),
        ..scene
    };
    for tries in 1..3 {
        let failed = replay(&small, &broken(), &[]);
        failed.assert_code(1);
        assert_says(&failed, "2 failed again: require");
        assert_says(&failed, "1 refused: not_produced, e.g. ");
        let why =
            " is larger than the 3000 that may be sent; raise message.max.bytes in [kafka.producer]; Kafka does not";
        assert!(failed.output.contains(why), "{}", failed.output);
        assert_says(&failed, "0 row(s) written, 2 new letter(s)");
        assert_eq!(small.letters(), 3 + 2 * tries);
    }
    let done = replay(&small, &mended(), &[]);
    done.assert_code(0);
    assert_says(&done, "3 written");
    let record = sim.get("test", "counts", "k0").unwrap();
    assert_eq!((record.int("events"), record.int("total")), (Some(3), Some(9)));
}

#[test]
fn lost_answers_and_busy_records_apply_nothing_twice() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 2);
    scene.produce(0..120, 6);
    scene.run_broken();
    let faults = sim.faults();
    faults.silence(Share::Fraction(0.3));
    faults.fail_rows(14, Share::Fraction(0.2));
    let scene = Scene {
        setup: scene
            .setup
            .clone()
            .run("batch_rows_max = 4\nwrite_timeout = \"100ms\"\n"),
        ..scene
    };
    replay(&scene, &mended(), &["--keep-newer"]).assert_code(0);
    faults.clear();
    assert_counts(&sim, 120, 6, true);
    replay(&scene, &mended(), &["--keep-newer"]).assert_code(0);
    assert_counts(&sim, 120, 6, true);
}

#[test]
fn kills_and_two_replays_at_once_apply_nothing_twice() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 2);
    scene.produce(0..600, 20);
    scene.run_broken();
    let scene = Scene {
        setup: scene.setup.clone().run("batch_rows_max = 2\nwrite_timeout = \"2s\"\n"),
        ..scene
    };
    let file = scene.with(&mended()).file();
    let start = || Program::start(&mut command(&file, &scene.dead, &["--keep-newer"]));
    sim.faults().delay(Duration::from_millis(5));
    for _ in 0..2 {
        let rows = sim.stats().rows;
        let mut killed = start();
        wait_until("rows", || sim.stats().rows, |now| *now > rows + 60);
        killed.signal("KILL");
        killed.end().assert_signal(SIGKILL);
    }
    // The service takes later messages meanwhile.
    let service = Service::start(&scene.with(&mended()));
    scene.produce(600..900, 20);
    let (mut one, mut other) = (start(), start());
    one.end().assert_code(0);
    other.end().assert_code(0);
    scene.topic.wait_committed(&scene.setup.group, &scene.topic.ends());
    service.stop();
    sim.faults().clear();
    let last = run(&mut command(&file, &scene.dead, &[]));
    last.assert_code(0);
    assert_says(&last, "200 already written");
    assert_eq!(sim.stats().duplicate_rows, 0);
    assert_counts(&sim, 900, 20, true);
}

#[test]
fn what_cannot_be_replayed_is_counted_and_named() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..6, 2);
    scene.run_broken();
    scene.dead.produce(0, &[sent("k", "{}")]);
    let refused = replay(&scene, &mended(), &["--keep-newer"]);
    refused.assert_code(1);
    assert_says(&refused, "2 written");
    assert_says(&refused, "1 refused: not_a_letter");
    // Another group, and rules that make other rows.
    let group = scene.setup.group.clone();
    let other = Scene {
        setup: Setup {
            group: "somebody else".into(),
            ..scene.setup.clone()
        },
        ..scene
    };
    let refused = replay(&other, &mended(), &[]);
    refused.assert_code(1);
    assert_says(&refused, "2 refused: other_group");
    let named = format!(": its group is {group}; another consumer group rejected it");
    assert!(refused.output.contains(&named), "{}", refused.output);
    // An unguarded write that sets.
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..6, 2);
    scene.run_broken();
    let sets = "[[route]]\n[[route.write]]\nset = \"plain\"\nkey = \"id\"\nbins = { last = \"n\" }\n";
    let refused = replay(&scene, sets, &[]);
    refused.assert_code(1);
    assert_says(&refused, "2 refused: may_overwrite (the write at line ");
    assert!(sim.records("test", "plain").is_empty());
    let overwritten = replay(&scene, sets, &["--overwrite"]);
    overwritten.assert_code(0);
    assert_says(&overwritten, "2 written");
    assert_eq!(sim.get("test", "plain", "k1").unwrap().int("last"), Some(3));
    // No topic of letters.
    let file = scene.with(sets).file();
    run(penstock()
        .arg("replay")
        .arg(file.path())
        .args(["--from", &scene.topic.name]))
    .assert_code(64);
    let absent = run(penstock()
        .arg("replay")
        .arg(file.path())
        .args(["--from", "no-such-topic-here", "--dry-run"]));
    absent.assert_code(64);
    let told = format!(
        "kafka: there is no topic no-such-topic-here: the configuration's topic of dead letters is {} ",
        scene.dead.name
    );
    assert_says(&absent, &told);
    // Without --from it is that of the configuration.
    let own = run(penstock().arg("replay").arg(file.path()).arg("--dry-run"));
    own.assert_code(1);
    assert_says(&own, &format!("2 letter(s) read from {}", scene.dead.name));
    let none = run(penstock()
        .arg("replay")
        .arg(scene.setup.clone().routes(sets).file().path()));
    none.assert_code(64);
    assert_says(
        &none,
        "the configuration has no [reject].topic: name the topic of the dead letters with --from",
    );
}

#[test]
fn what_is_published_follows_the_rows_and_a_run_without_letters_topic_says_where_they_go() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let out = scene.kafka.topic("out", 1);
    scene.produce(0..6, 2);
    scene.run_broken();
    let publishes = format!(
        "{}\n[[route.publish]]\ntopic = \"{}\"\nkey = \"id\"\n",
        mended(),
        out.name
    );
    for runs in 1..3 {
        let published = replay(&scene, &publishes, &["--keep-newer"]);
        published.assert_code(0);
        assert_says(&published, "2 message(s) published, each at least once");
        assert_eq!(out.ends(), [Some(2 * runs)]);
    }
    let dry = replay(&scene, &publishes, &["--dry-run"]);
    assert_says(&dry, "2 letter(s) would publish");
    // Without dead letters in the configuration.
    let file = scene
        .setup
        .clone()
        .routes("[[route]]\nrequire = [\"n < 0\"]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 1 }\n")
        .file();
    let failed = run(&mut command(&file, &scene.dead, &[]));
    failed.assert_code(1);
    assert_says(
        &failed,
        "reject.action is not dead_letter: letters that fail again go to",
    );
    assert_says(&failed, "2 failed again: require");
    assert_eq!(scene.letters(), 4);
}

#[test]
fn a_stopped_run_ends_in_order_and_goes_on_later() {
    let sim = SimProgram::start(&[]);
    let scene = Scene::new(sim.addr, 1);
    scene.produce(0..300, 10);
    scene.run_broken();
    let scene = Scene {
        setup: scene
            .setup
            .clone()
            .run("batch_rows_max = 2\nwrite_timeout = \"300ms\"\n"),
        ..scene
    };
    let file = scene.with(&mended()).file();
    let start = || Program::start(&mut command(&file, &scene.dead, &["--keep-newer"]));
    sim.say("delay 5ms");
    let rows = sim.stat("rows");
    let mut stopped = start();
    wait_until("rows", || sim.stat("rows"), |now| *now > rows + 20);
    stopped.signal("TERM");
    let ended = stopped.end();
    ended.assert_code(75);
    assert_says(&ended, "stopped before the end; start it again to go on");
    assert!(ended.output.contains("left: not dealt with"), "{}", ended.output);

    // A database that goes away: it waits, and says so; a signal ends it.
    sim.say("delay 200ms");
    let mut waiting = start();
    // Its own line says that it has begun.
    waiting.wait_for_line(&["replay: replaying letters "]);
    sim.say("stall");
    let line = waiting.wait_for_line(&["WARN", "aerospike", "reason", " since="]);
    let since = line
        .split(" since=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap();
    let seconds = since.strip_suffix('s').map(str::parse::<f64>);
    assert!(matches!(seconds, Some(Ok(_))), "{line}");
    waiting.wait_for_line(&["replay: replaying letters ", " of 100 (", "waits for Aerospike"]);
    waiting.signal("INT");
    waiting.end().assert_code(75);
    // The same at the start.
    let mut waiting = start();
    waiting.wait_for_line(&["aerospike: waiting for the cluster"]);
    waiting.signal("TERM");
    waiting.end().assert_code(75);
    sim.say("unstall");
    sim.say("delay 0ms");
    start().end().assert_code(0);
    let last = run(&mut command(&file, &scene.dead, &[]));
    last.assert_code(0);
    assert_says(&last, "100 already written");
}

/// A simulator with a login, letters for it, and a configuration with which a run takes some seconds.
fn with_login(login: &str) -> (Simulator, Scene) {
    let sim = Simulator::start(SimConfig {
        login: Some(("penstock".into(), "old-secret".into())),
        ..SimConfig::default()
    })
    .unwrap();
    let mut scene = Scene::new(sim.addr(), 1);
    scene.setup = scene.setup.aerospike(&format!("user = \"penstock\"\n{login}"));
    scene.produce(0..300, 10);
    scene.run_broken();
    scene.setup = scene.setup.run("batch_rows_max = 2\nwrite_timeout = \"300ms\"\n");
    sim.faults().delay(Duration::from_millis(50));
    (sim, scene)
}

const REFUSED: [&str; 2] = ["WARN", "aerospike: the cluster refuses the login (65"];

#[test]
fn a_login_that_is_refused_for_a_while_or_changed_in_its_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "old-secret").unwrap();
    let (sim, scene) = with_login(&format!("password = \"${{file:{}}}\"", password.display()));
    let file = scene.with(&mended()).file();
    let mut going = Program::start(&mut command(&file, &scene.dead, &["--keep-newer"]));
    let written = |more: u64| {
        let rows = sim.stats().rows;
        wait_until("rows", || sim.stats().rows, |now| *now > rows + more);
    };
    written(20);
    sim.set_user("penstock", "other").unwrap();
    sim.faults().close_connections();
    going.wait_for_line(&REFUSED);
    going.wait_for_line(&["replay: replaying letters ", "waits for Aerospike"]);
    sim.set_user("penstock", "old-secret").unwrap();
    written(20);
    sim.set_user("penstock", "new-secret").unwrap();
    sim.faults().close_connections();
    let next = folder.path().join("next");
    fs::write(&next, "new-secret").unwrap();
    fs::rename(next, &password).unwrap();
    let ended = going.end();
    ended.assert_code(0);
    assert_says(&ended, "100 written");
    assert!(!ended.output.contains("-secret"), "{}", ended.output);
    sim.faults().clear();
    assert_counts(&sim, 300, 10, true);
}

#[test]
fn a_login_that_is_refused_for_good_ends_the_run_and_the_next_one_goes_on() {
    let (sim, scene) = with_login("password = \"old-secret\"");
    let file = scene.with(&mended()).file();
    let start = || Program::start(&mut command(&file, &scene.dead, &["--keep-newer"]));
    let mut refused = start();
    let rows = sim.stats().rows;
    wait_until("rows", || sim.stats().rows, |now| *now > rows + 20);
    sim.set_user("penstock", "other").unwrap();
    sim.faults().close_connections();
    let ended = refused.end();
    ended.assert_code(77);
    let why = "aerospike: the cluster refuses the login (65: the password does not match); correct aerospike.password";
    assert!(ended.output.contains(why), "{}", ended.output);
    assert!(ended.output.contains("left: not dealt with"), "{}", ended.output);
    sim.set_user("penstock", "old-secret").unwrap();
    sim.faults().clear();
    start().end().assert_code(0);
    assert_counts(&sim, 300, 10, true);
}

const DAY: i64 = 86_400;

/// The ledger of the first partition. The mock broker has no ids of topics.
fn ledger(scene: &Scene) -> Ledger {
    let identity = GuardIdentity {
        group: &scene.setup.group,
        topic_id: [0; 16],
        topic: &scene.topic.name,
        partition: 0,
        epoch: 0,
    };
    Ledger::new(&identity, 0, 0)
}

/// A letter of a message that counts for k0, as the service makes it, in this topic.
fn produce_letter(scene: &Scene, to: &Topic, offset: i64, time: jiff::Timestamp) {
    produce_letter_with(scene, to, offset, time, 0);
}

/// The same, with so many headers of the message.
fn produce_letter_with(scene: &Scene, to: &Topic, offset: i64, time: jiff::Timestamp, more: usize) {
    let (offset, time) = (offset.to_string(), time.to_string());
    let own = [
        ("penstock.topic", scene.topic.name.as_str()),
        ("penstock.partition", "0"),
        ("penstock.offset", &offset),
        ("penstock.group", &scene.setup.group),
        ("penstock.reason", "require"),
        ("penstock.detail", ""),
        ("penstock.rows_not_done", "all"),
        ("penstock.time", &time),
    ];
    let mut headers: Vec<(&str, Option<&[u8]>)> = vec![("h", None); more];
    headers.extend(own.iter().map(|(name, value)| (*name, Some(value.as_bytes()))));
    let letter = Sent {
        headers: &headers,
        ..sent("k0", r#"{"id": "k0", "n": 1}"#)
    };
    to.produce(0, &[letter]);
}

/// The only write of the tests of the ledger.
const COUNTS: &str = "[[route.write]]\nset = \"counts\"\nkey = \"id\"\nadd = { events = 1 }\n";

/// A message is applied by one run, and rejected again by another, with rules that make nothing of it. Then its first
/// letter expires. The new letter lists the row as not done, and is younger than the entry of the row: it is the time of
/// the first letter that keeps the entry.
#[test]
fn entries_are_kept_for_a_letter_that_was_made_again() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let ledger = ledger(&scene);
    let now = jiff::Timestamp::now();
    let days_ago = |days: i64| now.as_second() - days * DAY;
    let first_time = jiff::Timestamp::from_second(days_ago(5)).unwrap();
    produce_letter(&scene, &scene.dead, 7, first_time);
    // What a run did four days ago.
    let entries = Value::OrderedMap(1, vec![(Value::Int(7 * 65_536), Value::Int(days_ago(4)))]);
    let bins = [("events", Value::Int(1)), (ledger.bin(), entries)];
    sim.put("test", "counts", "k0", &bins).unwrap();
    let failed = replay(&scene, &format!("[[route]]\nrequire = [\"n < 0\"]\n{COUNTS}"), &[]);
    failed.assert_code(1);
    assert_says(&failed, "1 failed again: require");
    let again = scene
        .dead
        .read(2)
        .into_iter()
        .find(|letter| letter.header("penstock.tries") == Some("1"));
    let again = again.unwrap();
    assert_eq!(
        again.header("penstock.first_time"),
        Some(first_time.to_string().as_str())
    );

    // The topic without the first letter, and with one of another message.
    let later = scene.kafka.topic("dead", 1);
    produce_letter(&scene, &later, 5, now);
    let headers: Vec<(&str, Option<&[u8]>)> = again
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_deref()))
        .collect();
    later.produce(
        0,
        &[Sent {
            headers: &headers,
            ..sent("k0", again.text())
        }],
    );
    let file = with_letters(&scene.setup, &later, &format!("[[route]]\n{COUNTS}")).file();
    for written in [1, 0] {
        let done = run(&mut command(&file, &later, &[]));
        done.assert_code(0);
        assert_says(&done, &format!("{} already written", 2 - written));
        assert_says(&done, &format!("{written} row(s) written"));
        let events = sim.get("test", "counts", "k0").unwrap().int("events");
        assert_eq!(events, Some(2), "each message counts once");
    }
}

/// Small headers are mostly what is around them in memory.
#[test]
fn letters_of_very_many_headers_are_taken_few_at_a_time() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    // The mock broker keeps about 5 MiB.
    for offset in 0..15 {
        produce_letter_with(&scene, &scene.dead, offset, jiff::Timestamp::now(), 90_000);
    }
    let file = scene.with(&format!("[[route]]\n{COUNTS}")).file();
    let mut running = Program::start(&mut command(&file, &scene.dead, &[]));
    let status = format!("/proc/{}/status", running.id());
    let mut peak_kib = 0;
    // A process that has ended has no memory.
    wait_until(
        "the end",
        || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
            peak_kib = peak_kib.max(peak.unwrap_or_default());
            running.is_running()
        },
        |is_running| !is_running,
    );
    let ended = running.end();
    ended.assert_code(0);
    assert_says(&ended, "15 written");
    println!("{peak_kib} KiB");
    assert!(peak_kib < 140 * 1024, "{peak_kib} KiB");
}

#[test]
fn entries_without_a_letter_are_forgotten() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let ledger = ledger(&scene);
    let now = jiff::Timestamp::now();
    let oldest = now.as_second() - 5 * DAY;
    let entry = |key: i64, age: i64| (Value::Int(key), Value::Int(oldest + age));
    let entries = Value::OrderedMap(1, vec![entry(1, -DAY - 1), entry(2, -DAY), entry(3, DAY)]);
    sim.put("test", "counts", "k0", &[(ledger.bin(), entries)]).unwrap();
    // Two letters as the service makes them: the oldest one, and one of now.
    for (offset, time) in [(7, jiff::Timestamp::from_second(oldest).unwrap()), (8, now)] {
        produce_letter(&scene, &scene.dead, offset, time);
    }
    // Only the letter of now, and the other one counts all the same.
    let done = replay(&scene, &format!("[[route]]\n{COUNTS}"), &["--since", "1d"]);
    done.assert_code(0);
    assert_says(&done, "1 written");
    let record = sim.get("test", "counts", "k0").unwrap();
    let entries = record.bin(ledger.bin()).and_then(Value::as_map).unwrap();
    let kept: Vec<i64> = entries.iter().filter_map(|(key, _)| key.as_int()).collect();
    assert_eq!(kept, [2, 3, 8 * 65_536]);
    let (_, time) = entries.last().unwrap();
    let age = jiff::Timestamp::now().as_second() - time.as_int().unwrap();
    assert!((0..600).contains(&age), "{age}");
}

/// Makes the database refuse additions to this record: its counter is a text.
fn refuse_counts(sim: &Simulator, set: &str, key: &str) {
    sim.put("test", set, key, &[("n", Value::from("x"))]).unwrap();
}

fn count_of(sim: &Simulator, set: &str, key: &str) -> Option<i64> {
    sim.get("test", set, key).and_then(|record| record.int("n"))
}

const MANY_KEYS: &str = r#"{"a": "a", "b": "b", "c": "c", "d": "d"}"#;

fn counts_under(keys: &[&str]) -> String {
    let write = |key: &&str| format!("[[route.write]]\nset = \"s\"\nkey = \"{key}\"\nadd = {{ n = 1 }}\n");
    format!("[[route]]\n{}", keys.iter().map(write).collect::<String>())
}

/// A letter that lists rows means those records, also if other writes to their set come before them now.
#[test]
fn a_listed_row_is_not_taken_for_the_row_that_has_its_number_now() {
    for (then, now) in [(&["a", "b"][..], &["c", "a", "b"][..]), (&["a", "b", "c"], &["b", "c"])] {
        let sim = simulator();
        let scene = Scene::new(sim.addr(), 1);
        scene.topic.produce(0, &[sent("k", MANY_KEYS)]);
        refuse_counts(&sim, "s", "b");
        Service::run_to_the_ends_of(&scene.topic, &scene.with(&counts_under(then)));
        assert_eq!(scene.letters(), 1);
        let before: Vec<Option<i64>> = ["a", "c"].iter().map(|key| count_of(&sim, "s", key)).collect();
        assert!(sim.remove("test", "s", "b"));
        let exited = replay(&scene, &counts_under(now), &[]);
        let after: Vec<Option<i64>> = ["a", "c"].iter().map(|key| count_of(&sim, "s", key)).collect();
        assert_eq!(
            after, before,
            "rows that are done, or were never asked for\n{}",
            exited.output
        );
        let is_done = count_of(&sim, "s", "b") == Some(1);
        assert!(
            is_done || exited.output.contains("refused: rows_differ"),
            "{}",
            exited.output
        );
        // With the rules of its day.
        replay(&scene, &counts_under(then), &[]).assert_code(0);
        assert_eq!(count_of(&sim, "s", "b"), Some(1));
    }
}

/// A write that is left out because its record's life is over leaves the numbers of the others as they are.
#[test]
fn a_life_that_ends_between_letter_and_replay_moves_no_row() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let ends = jiff::Timestamp::now().as_second() + 4;
    let payload = format!(r#"{{"a": "a", "b": "b", "c": "c", "exp": {ends}}}"#);
    scene.topic.produce(0, &[sent("k", &payload)]);
    let rules = "[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"a\"\nbins = { exp = \"exp\" }\n\
                 ttl = { path = \"exp\", as = \"epoch_s\" }\nttl_past = \"skip\"\n";
    let rules = counts_under(&["b", "c"]).replace("[[route]]\n", rules);
    refuse_counts(&sim, "s", "b");
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&rules));
    assert_eq!(scene.letters(), 1);
    assert!(sim.remove("test", "s", "b"));
    wait_until("the end", || jiff::Timestamp::now().as_second(), |now| *now > ends);
    let done = replay(&scene, &rules, &[]);
    done.assert_code(0);
    let counts = ["b", "c"].map(|key| count_of(&sim, "s", key));
    assert_eq!(counts, [Some(1), Some(1)], "{}", done.output);
}

/// A listed row whose own life is over by now has nothing to write any more, so its letter is done.
#[test]
fn a_listed_row_whose_life_has_ended_is_finished() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let ends = jiff::Timestamp::now().as_second() + 4;
    let payload = format!(r#"{{"a": "a", "b": "b", "c": "c", "exp": {ends}}}"#);
    scene.topic.produce(0, &[sent("k", &payload)]);
    let life = "ttl = { path = \"exp\", as = \"epoch_s\" }\nttl_past = \"skip\"\n";
    let rules = counts_under(&["c"]) + &counts_under(&["b"]).replace("[[route]]\n", "") + life;
    refuse_counts(&sim, "s", "b");
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&rules));
    assert_eq!((scene.letters(), count_of(&sim, "s", "c")), (1, Some(1)));
    assert!(sim.remove("test", "s", "b"));
    wait_until("the end", || jiff::Timestamp::now().as_second(), |now| *now > ends);
    // Under rules that give its number to another record, nobody knows whether it is over.
    let other = replay(&scene, &rules.replace("\"b\"", "\"a\""), &[]);
    other.assert_code(1);
    assert_says(&other, "1 refused: rows_differ");
    let done = replay(&scene, &rules, &[]);
    done.assert_code(0);
    assert_says(&done, "0 row(s) written, 0 new letter(s)");
    assert_eq!((count_of(&sim, "s", "b"), count_of(&sim, "s", "c")), (None, Some(1)));
}

/// A row has the same entry in the ledger whether or not the life of one before it, on the same record, is over.
#[test]
fn a_life_that_ends_between_two_replays_loses_no_row() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let ends = jiff::Timestamp::now().as_second() + 6;
    let payload = format!(r#"{{"a": "a", "exp": {ends}}}"#);
    scene.topic.produce(0, &[sent("k", &payload)]);
    let rules = |bin: &str| {
        format!(
            "[[route.write]]\nset = \"s\"\nkey = \"a\"\nadd = {{ first = 1 }}\nttl = {{ path = \"exp\", as = \"epoch_s\" \
             }}\nttl_past = \"skip\"\n[[route.write]]\nset = \"s\"\nkey = \"a\"\nadd = {{ {bin} = 1 }}\n"
        )
    };
    let broken = format!("[[route]]\nrequire = [\"a == 'b'\"]\n{}", rules("text"));
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken));
    sim.put("test", "s", "a", &[("text", Value::from("x"))]).unwrap();
    // The first row is applied, and the second one is refused.
    replay(&scene, &format!("[[route]]\n{}", rules("text")), &[]).assert_code(1);
    let bin = |name: &str| sim.get("test", "s", "a").unwrap().int(name);
    assert_eq!((bin("first"), scene.letters()), (Some(1), 2));
    wait_until("the end", || jiff::Timestamp::now().as_second(), |now| *now > ends);
    let done = replay(&scene, &format!("[[route]]\n{}", rules("second")), &[]);
    done.assert_code(0);
    assert_eq!((bin("first"), bin("second")), (Some(1), Some(1)), "{}", done.output);
}

/// An older element behind newer ones would push one of them out.
#[test]
fn an_older_letter_pushes_nothing_newer_out_of_a_list_that_keeps_its_last() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..3, 1);
    let rules = |require: &str| {
        format!(
            "[[route]]\n{require}[[route.write]]\nset = \"lists\"\nkey = \"id\"\nlist_append = {{ last = \"n\" }}\n\
             keep_last = {{ last = 2 }}\n"
        )
    };
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&rules("require = [\"n != 0\"]\n")));
    let list = || sim.get("test", "lists", "k0").unwrap().bin("last").cloned();
    let newest = Some(Value::from(vec![Value::Int(1), Value::Int(2)]));
    assert_eq!(list(), newest);
    let refused = replay(&scene, &rules(""), &[]);
    assert_eq!(list(), newest, "{}", refused.output);
    refused.assert_code(1);
    assert_says(&refused, "1 refused: later_message");
}

#[test]
fn keep_newer_appends_nothing_older_to_a_list_that_keeps_its_last() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..3, 1);
    let rules = |require: &str| {
        format!(
            "[[route]]\n{require}[[route.write]]\nset = \"lists\"\nkey = \"id\"\nlist_append = {{ last = \"n\" }}\n\
             keep_last = {{ last = 2 }}\n"
        )
    };
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&rules("require = [\"n != 0\"]\n")));
    let list = || sim.get("test", "lists", "k0").unwrap().bin("last").cloned();
    let newest = list();
    let kept = replay(&scene, &rules(""), &["--keep-newer"]);
    assert_eq!(list(), newest, "{}", kept.output);
    assert_says(&kept, "1 left alone: later messages have set the values");
}

/// A touch leaves no guard, and sets the life of a record.
#[test]
fn an_older_letter_does_not_take_back_what_a_later_touch_has_given() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let sent_with = |kind: &str, ttl: i64| format!(r#"{{"id": "k0", "kind": "{kind}", "ttl": {ttl}}}"#);
    let (first, second) = (sent_with("set", 60), sent_with("touch", 1_000_000));
    scene.topic.produce(0, &[sent("k0", &first), sent("k0", &second)]);
    sim.put("test", "lives", "k0", &[("kind", Value::from("older"))])
        .unwrap();
    let write = |kind: &str, what: &str| {
        format!(
            "[[route.write]]\nset = \"lives\"\nkey = \"id\"\nwhen = \"kind == '{kind}'\"\n{what}\nttl = {{ path = \"ttl\" }}\n"
        )
    };
    let rules = write("set", "bins = { kind = \"kind\" }\nguard = true") + &write("touch", "touch = true");
    let broken = format!("[[route]]\nrequire = [\"kind != 'set'\"]\n{rules}");
    Service::run_to_the_ends_of(&scene.topic, &scene.with(&broken));
    let life = || sim.get("test", "lives", "k0").unwrap().ttl;
    assert!(life().is_some_and(|left| left > 900_000), "{:?}", life());
    let done = replay(&scene, &format!("[[route]]\n{rules}"), &[]);
    done.assert_code(0);
    assert!(
        life().is_some_and(|left| left > 900_000),
        "{:?}\n{}",
        life(),
        done.output
    );
}

/// An entry is younger than the first letter of its message. A later letter of a failed replay must not make it look
/// forgettable.
#[test]
fn a_letter_of_a_failed_replay_keeps_the_entries_since_the_first_letter() {
    const DAY: i64 = 86_400;
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let identity = GuardIdentity {
        group: &scene.setup.group,
        topic_id: [0; 16],
        topic: &scene.topic.name,
        partition: 0,
        epoch: 0,
    };
    let ledger = Ledger::new(&identity, 0, 0);
    let now = jiff::Timestamp::now();
    let first = jiff::Timestamp::from_second(now.as_second() - 9 * DAY).unwrap();
    // Applied two days after the first letter, and seven before the letter that is left.
    let entries = vec![
        (Value::Int(7 * 65_536), Value::Int(first.as_second() + 2 * DAY)),
        (Value::Int(1), Value::Int(first.as_second() - 2 * DAY)),
    ];
    let bins = [(ledger.bin(), Value::OrderedMap(1, entries)), ("events", Value::Int(1))];
    sim.put("test", "counts", "k0", &bins).unwrap();
    let letter = |offset: i64, more: &[(&str, &str)]| {
        let offset = offset.to_string();
        let now = now.to_string();
        let own = [
            ("penstock.topic", scene.topic.name.as_str()),
            ("penstock.partition", "0"),
            ("penstock.offset", &offset),
            ("penstock.group", &scene.setup.group),
            ("penstock.reason", "require"),
            ("penstock.detail", ""),
            ("penstock.rows_not_done", "all"),
            ("penstock.time", &now),
        ];
        let headers: Vec<(&str, Option<&[u8]>)> = own
            .iter()
            .chain(more)
            .map(|(name, value)| (*name, Some(value.as_bytes())))
            .collect();
        let letter = Sent {
            headers: &headers,
            ..sent("k0", r#"{"id": "k0", "n": 1}"#)
        };
        scene.dead.produce(0, &[letter]);
    };
    // The other message's row forgets what is too old, and comes first.
    letter(6, &[]);
    letter(
        7,
        &[("penstock.tries", "1"), ("penstock.first_time", &first.to_string())],
    );
    let counts = "[[route]]\n[[route.write]]\nset = \"counts\"\nkey = \"id\"\nadd = { events = 1 }\n";
    let done = replay(&scene, counts, &[]);
    done.assert_code(0);
    assert_says(&done, "1 written");
    assert_says(&done, "1 already written");
    let record = sim.get("test", "counts", "k0").unwrap();
    assert_eq!(record.int("events"), Some(2));
    let entries = record.bin(ledger.bin()).and_then(Value::as_map).unwrap();
    let kept: Vec<i64> = entries.iter().filter_map(|(key, _)| key.as_int()).collect();
    assert_eq!(kept, [6 * 65_536, 7 * 65_536], "the older one is gone");
}

/// The time of the first letter goes from letter to letter.
#[test]
fn each_new_letter_has_the_time_of_the_first_one() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    scene.produce(0..1, 1);
    scene.run_broken();
    for _ in 0..2 {
        replay(&scene, &broken(), &[]).assert_code(1);
    }
    let letters = scene.dead.read(3);
    let of = |tries: Option<&str>| {
        letters
            .iter()
            .find(|letter| letter.header("penstock.tries") == tries)
            .unwrap()
    };
    let first = of(None);
    assert_eq!(first.header("penstock.first_time"), None);
    for tries in ["1", "2"] {
        assert_eq!(
            of(Some(tries)).header("penstock.first_time"),
            first.header("penstock.time")
        );
    }
}

/// A write that was added before the others, on the same record, has the number of a listed row. Nobody may take it for
/// that row: it would be applied, and the listed one would be lost.
#[test]
fn a_write_that_was_added_on_the_same_record_is_not_taken_for_a_listed_row() {
    let write = |bin: &str| format!("[[route.write]]\nset = \"s\"\nkey = \"a\"\nadd = {{ {bin} = 1 }}\n");
    let rules = |bins: &[&str]| format!("[[route]]\n{}", bins.iter().map(|bin| write(bin)).collect::<String>());
    let bins = ["zero", "one", "two"];
    for (then, now) in [(&bins[1..], &bins[..]), (&bins[..], &bins[1..])] {
        let sim = simulator();
        let scene = Scene::new(sim.addr(), 1);
        scene.topic.produce(0, &[sent("k", r#"{"a": "a"}"#)]);
        sim.put("test", "s", "a", &[("one", Value::from("x"))]).unwrap();
        Service::run_to_the_ends_of(&scene.topic, &scene.with(&rules(then)));
        assert_eq!(scene.letters(), 1);
        assert!(sim.remove("test", "s", "a"));
        let refused = replay(&scene, &rules(now), &[]);
        refused.assert_code(1);
        assert_says(&refused, "1 refused: rows_differ");
        assert!(sim.get("test", "s", "a").is_none());
        // With the rules of its day; and a letter of a failed replay counts, too.
        sim.put("test", "s", "a", &[("two", Value::from("x"))]).unwrap();
        replay(&scene, &rules(then), &[]).assert_code(1);
        assert_eq!(scene.letters(), 2);
        assert_says(&replay(&scene, &rules(now), &[]), "1 refused: rows_differ");
        assert!(sim.remove("test", "s", "a"));
        let done = replay(&scene, &rules(then), &[]);
        done.assert_code(0);
        assert_eq!(sim.get("test", "s", "a").unwrap().int("two"), Some(1));
    }
}

/// Entries of letters that are in the topic of the configuration are not forgotten by a run over another one, e.g. of
/// skipped messages.
#[test]
fn a_run_over_another_topic_forgets_no_entries() {
    let sim = simulator();
    let scene = Scene::new(sim.addr(), 1);
    let ledger = ledger(&scene);
    let now = jiff::Timestamp::now();
    let days_ago = |days: i64| now.as_second() - days * DAY;
    // A letter of nine days ago, which a run has replayed four days ago.
    let entries = Value::OrderedMap(1, vec![(Value::Int(7 * 65_536), Value::Int(days_ago(4)))]);
    let bins = [("events", Value::Int(1)), (ledger.bin(), entries)];
    sim.put("test", "counts", "k0", &bins).unwrap();
    produce_letter(
        &scene,
        &scene.dead,
        7,
        jiff::Timestamp::from_second(days_ago(9)).unwrap(),
    );
    let skipped = scene.kafka.topic("skipped", 1);
    produce_letter(&scene, &skipped, 8, now);
    let file = scene.with(&format!("[[route]]\n{COUNTS}")).file();
    let done = run(&mut command(&file, &skipped, &[]));
    assert_says(&done, "1 written");
    let done = run(&mut command(&file, &scene.dead, &[]));
    assert_says(&done, "1 already written");
    assert_eq!(sim.get("test", "counts", "k0").unwrap().int("events"), Some(2));
}
