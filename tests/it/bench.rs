//! `penstock bench` as a process, between a mock broker and a simulated database: what it changes (its scratch set, and
//! nothing else), how it ends, and who cleans up.

use std::process::Command;

use penstock::bench::scratch::SET;
use penstock_sim::{Share, Simulator, Stalled, Value};
use rdkafka::types::RDKafkaApiKey;
use tempfile::NamedTempFile;

use crate::support::process::{Exited, Program, penstock, run};
use crate::support::{Kafka, Sent, Setup, Topic, sent, simulator, wait_until};

/// All kinds of rows, to two sets of two namespaces; and a publication.
fn routes(produced: &Topic) -> String {
    format!(
        r#"
[[route]]
when = "n % 10 != 9"

  [[route.write]]
  set = "users"
  key = "id"
  bins = {{ n = "n" }}
  add = {{ count = 1 }}
  send_key = true

  [[route.write]]
  set = "users"
  key = "other"
  mode = "create"
  bins = {{ n = "n" }}

  [[route.write]]
  namespace = "disk"
  set = "versions"
  key = "id"
  newer = {{ path = "n", bin = "v" }}
  bins = {{ n = "n" }}
  ttl = "30d"

  [[route.write]]
  when = "n % 3 == 0"
  set = "users"
  key = "id"
  delete = true

  [[route.publish]]
  topic = "{}"
"#,
        produced.name
    )
}

struct Scene {
    kafka: Kafka,
    topic: Topic,
    produced: Topic,
    sim: Simulator,
    setup: Setup,
}

impl Scene {
    /// A topic with 300 messages in two partitions. A set that the rules write to has a record.
    fn new() -> Scene {
        let kafka = Kafka::mock();
        let topic = kafka.topic("events", 2);
        let produced = kafka.topic("produced", 1);
        let sim = simulator();
        let payload = |n: i64| format!(r#"{{"id": "u{}", "other": "o{n}", "n": {n}}}"#, n % 40);
        for partition in 0..2_i64 {
            let payloads: Vec<String> = (0..150).map(|n| payload(2 * n + partition)).collect();
            let messages: Vec<Sent<'_>> = payloads.iter().map(|payload| sent("k", payload)).collect();
            topic.produce(i32::try_from(partition).unwrap(), &messages);
        }
        sim.put("test", "users", "u1", &[("n", Value::Int(-1))]).unwrap();
        sim.put("disk", "versions", "u1", &[("n", Value::Int(-1))]).unwrap();
        let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes(&produced));
        Scene {
            kafka,
            topic,
            produced,
            sim,
            setup,
        }
    }

    fn scratch_records(&self) -> usize {
        ["test", "disk"]
            .map(|namespace| self.sim.records(namespace, SET).len())
            .iter()
            .sum()
    }

    /// Waits until a step writes.
    fn wait_for_records(&self) {
        wait_until("records of a step", || self.scratch_records(), |records| *records > 20);
    }

    /// The records of the user are as they were.
    fn assert_untouched(&self) {
        for (namespace, set) in [("test", "users"), ("disk", "versions")] {
            let records = self.sim.records(namespace, set);
            assert_eq!(records.len(), 1, "{set}: {records:?}");
            let record = records.values().next().unwrap();
            assert_eq!((record.int("n"), record.generation), (Some(-1), 1), "{set}");
        }
        assert_eq!(self.produced.ends(), [Some(0)], "nothing is produced");
    }

    fn assert_clean(&self) {
        for namespace in ["test", "disk"] {
            let left = self.sim.records(namespace, SET);
            assert!(left.is_empty(), "{} left in {namespace}: {left:?}", left.len());
        }
    }
}

/// The command with these arguments. The file must outlive the process.
fn command(file: &NamedTempFile, arguments: &[&str]) -> Command {
    let mut command = penstock();
    command
        .arg("bench")
        .arg(file.path())
        .args(["--keys", "400", "--max-threads", "4", "--max-latency", "10s"])
        .args(arguments);
    command
}

/// Steps that are short, for a whole measurement.
const QUICK: [&str; 3] = ["--yes", "--step", "50ms"];
/// A step that lasts until something ends it.
const LONG: [&str; 3] = ["--yes", "--step", "60s"];

fn assert_says(exited: &Exited, part: &str) {
    assert!(exited.output.contains(part), "no {part:?} in:\n{}", exited.output);
}

#[test]
fn only_the_scratch_set_is_written_and_it_is_empty_afterwards() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let file = scene.setup.file();
    scene.kafka.track_requests();
    let mut arguments = QUICK.to_vec();
    arguments.extend(["--json", json.to_str().unwrap()]);
    let done = run(&mut command(&file, &arguments));
    done.assert_code(0);
    scene.assert_untouched();
    scene.assert_clean();
    let requests = scene.kafka.requests();
    assert!(requests.contains(&(RDKafkaApiKey::Fetch as i16)), "{requests:?}");
    for never in [
        RDKafkaApiKey::Produce,
        RDKafkaApiKey::OffsetCommit,
        RDKafkaApiKey::JoinGroup,
        RDKafkaApiKey::SyncGroup,
        RDKafkaApiKey::Heartbeat,
        RDKafkaApiKey::TxnOffsetCommit,
    ] {
        assert!(!requests.contains(&(never as i16)), "{never:?} in {requests:?}");
    }
    assert_eq!(scene.topic.committed(&scene.setup.group), [None, None]);

    // It says first what it will do.
    for part in [
        "reads     the newest messages of ",
        "writes    to the set penstock_bench of the namespace test, and nothing else:",
        "writes    to the set penstock_bench of the namespace disk, and nothing else:",
        "at most 400 records, about 1 MB,",
        "with a ttl of 60 minutes; deleted at the end",
        "300 messages of ",
        "There are few messages to measure with (300).",
        "10 % filtered, 0 % rejected",
        "Rows in a batch call (run.batch_rows_max), 2 threads",
        "Threads, one per partition",
        "Rows in flight (run.rows_in_flight_max), 2 threads",
        "One process on this machine takes about ",
        "What limits now: ",
        "run.batch_rows_max = ",
    ] {
        assert_says(&done, part);
    }
    assert!(
        done.output.lines().all(|line| line.chars().count() <= 80),
        "{}",
        done.output
    );

    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(figures["partitions"], 2);
    assert_eq!(figures["sample"]["messages"], 300);
    assert_eq!(figures["sample"]["filtered"], 30);
    assert_eq!(figures["sample"]["publications"], 270);
    // Three small bins at most, with what the database adds to a record.
    let bytes = figures["sample"]["record_bytes"].as_u64().unwrap();
    assert!((128..300).contains(&bytes), "{bytes}");
    assert_eq!(figures["configured"]["batch_rows_max"], 40);
    assert_eq!(figures["stopped"], serde_json::Value::Null);
    for sweep in ["batch_rows_max", "threads", "rows_in_flight_max"] {
        let sweep = &figures["sweeps"][sweep];
        assert!(!sweep["points"].as_array().unwrap().is_empty(), "{figures}");
        assert!(sweep["knee"].is_number(), "{figures}");
        for point in sweep["points"].as_array().unwrap() {
            assert!(point["messages_per_s"].as_f64().unwrap() > 0.0, "{point}");
            assert_eq!(point["refused"], serde_json::json!({}), "{point}");
        }
    }
    assert!(figures["limit"].is_string(), "{figures}");
    // A file is not overwritten.
    run(&mut command(&file, &arguments)).assert_code(64);
}

#[test]
fn a_killed_call_is_cleaned_up_by_the_next_one() {
    let scene = Scene::new();
    let file = scene.setup.file();
    for next in [&["--clean"][..], &QUICK] {
        let mut killed = Program::start(&mut command(&file, &LONG));
        scene.wait_for_records();
        killed.signal("KILL");
        killed.end().assert_signal(9);
        assert!(scene.scratch_records() > 20);
        let ttls = scene.sim.records("test", SET);
        assert!(
            ttls.values().all(|record| record.ttl.is_some()),
            "they end by themselves"
        );
        let done = run(&mut command(&file, next));
        done.assert_code(0);
        assert_says(
            &done,
            "an earlier call has left up to 400 records in test.penstock_bench: deleting them",
        );
        scene.assert_clean();
    }
    let again = run(&mut command(&file, &["--clean"]));
    again.assert_code(0);
    assert_says(&again, "nothing is left in the set penstock_bench");
    scene.assert_untouched();
}

#[test]
fn a_signal_ends_it_and_it_cleans_up() {
    let scene = Scene::new();
    let file = scene.setup.file();
    let mut program = Program::start(&mut command(&file, &LONG));
    scene.wait_for_records();
    program.signal("INT");
    let ended = program.end();
    ended.assert_code(1);
    assert_says(&ended, "stopped before the end");
    scene.assert_clean();
    scene.assert_untouched();
}

#[test]
fn the_first_sign_of_distress_ends_it() {
    let scene = Scene::new();
    let file = scene.setup.file();
    for (code, words) in [(18, "device overload"), (8, "the namespace is full")] {
        let mut program = Program::start(&mut command(&file, &LONG));
        scene.wait_for_records();
        scene.sim.faults().fail_rows(code, Share::Next(1));
        let ended = program.end();
        scene.sim.faults().clear();
        ended.assert_code(1);
        assert_says(&ended, words);
        assert_says(&ended, "stopped at once");
        scene.assert_clean();
    }
    scene.assert_untouched();
}

#[test]
fn a_namespace_in_need_gets_no_load() {
    let scene = Scene::new();
    let file = scene.setup.file();
    scene.sim.configure("disk", |disk| disk.stop_writes = true).unwrap();
    let refused = run(&mut command(&file, &QUICK));
    refused.assert_code(1);
    assert_says(
        &refused,
        "the namespace disk takes no writes (stop_writes) on node A1: it is not measured",
    );
    assert_eq!(scene.scratch_records(), 0);
    scene.sim.configure("disk", |disk| disk.stop_writes = false).unwrap();

    scene.sim.configure("disk", |disk| disk.hwm_breached = true).unwrap();
    let refused = run(&mut command(&file, &QUICK));
    refused.assert_code(1);
    assert_says(
        &refused,
        "the namespace disk evicts records because memory or disk is short",
    );
    scene.sim.configure("disk", |disk| disk.hwm_breached = false).unwrap();

    scene
        .sim
        .configure("test", |test| test.strong_consistency = true)
        .unwrap();
    let refused = run(&mut command(&file, &QUICK));
    refused.assert_code(1);
    assert_says(
        &refused,
        "the namespace test is strongly consistent and allows no deletes",
    );
    scene
        .sim
        .configure("test", |test| test.strong_consistency = false)
        .unwrap();
    assert_eq!(scene.scratch_records(), 0);

    scene.sim.configure("disk", |disk| disk.nsup_period = 0).unwrap();
    let done = run(&mut command(&file, &QUICK));
    done.assert_code(0);
    assert_says(&done, "without a ttl (nsup-period is 0)");
    scene.assert_clean();
    scene.assert_untouched();
}

/// Whoever may not write has written nothing, and is not told that something is left.
#[test]
fn a_user_that_may_not_write_leaves_nothing() {
    let scene = Scene::new();
    let file = scene.setup.file();
    scene.sim.faults().fail_rows(81, Share::Fraction(1.0));
    let refused = run(&mut command(&file, &QUICK));
    refused.assert_code(77);
    assert_says(&refused, "grant the user read-write");
    assert!(!refused.output.contains("are left"), "{}", refused.output);
    assert!(!refused.output.contains("knee"), "no tables:\n{}", refused.output);
    assert!(
        !refused.output.contains("too few messages"),
        "not tried:\n{}",
        refused.output
    );
}

/// The reason is told before the cleaning, which waits for a database that does not answer, and gives up.
#[test]
fn a_silent_database_ends_it_and_the_next_call_cleans_up() {
    let scene = Scene::new();
    let file = scene.setup.file();
    let mut program = Program::start(&mut command(&file, &LONG));
    scene.wait_for_records();
    scene.sim.faults().stall(Stalled::Dropped);
    program.wait_for_line(&["the database does not answer within run.write_timeout: stopped"]);
    let ended = program.end();
    ended.assert_code(1);
    assert_says(&ended, "up to 400 records are left in test.penstock_bench");
    scene.sim.faults().unstall();
    run(&mut command(&file, &["--clean"])).assert_code(0);
    scene.assert_clean();
    scene.assert_untouched();
}

/// Each step keeps the limit, also a short one with large batches. What is below it says nothing of the settings.
#[test]
fn a_limit_of_rows_is_kept_and_nothing_is_recommended_below_it() {
    const LIMIT: f64 = 400.0;
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let file = scene.setup.file();
    let limited = ["--max-rate", "400", "--json", json.to_str().unwrap()];
    let done = run(&mut command(&file, &[&QUICK[..], &limited].concat()));
    done.assert_code(0);
    assert_says(&done, "What limits now: the limit of 400 rows per second");
    assert_says(&done, "does not show below");
    assert!(!done.output.contains("Set run."), "{}", done.output);
    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    for sweep in ["batch_rows_max", "threads", "rows_in_flight_max"] {
        for point in figures["sweeps"][sweep]["points"].as_array().unwrap() {
            let rate = point["rows_per_s"].as_f64().unwrap();
            assert!(rate <= LIMIT + 1.0, "{point}");
        }
    }
    scene.assert_clean();
}

#[test]
fn topics_that_are_not_there_or_empty_are_told() {
    let scene = Scene::new();
    let missing = "nobody-created-this";
    let mut setup = scene.setup.clone();
    setup.more_topics = vec![missing.to_owned()];
    let file = setup.file();
    let done = run(&mut command(&file, &QUICK));
    done.assert_code(0);
    assert_says(&done, "          without nobody-created-this: no such topic");
    let only = run(&mut command(&file, &[&QUICK[..], &["--topic", missing]].concat()));
    only.assert_code(69);
    assert_says(
        &only,
        "no such topic: nobody-created-this; create it, or correct kafka.topics",
    );

    let empty = scene.kafka.topic("empty", 2);
    setup.more_topics.clear();
    setup.topic = empty.name.clone();
    let file = setup.file();
    let nothing = run(&mut command(&file, &QUICK));
    nothing.assert_code(1);
    assert_says(&nothing, "the topics have no messages to measure with: produce some");
    assert_eq!(scene.scratch_records(), 0);
}

/// Two calls at once would measure each other. The earlier one ends.
#[test]
fn a_later_call_takes_over() {
    let scene = Scene::new();
    let file = scene.setup.file();
    let mut earlier = Program::start(&mut command(&file, &["--yes", "--step", "1s"]));
    scene.wait_for_records();
    let later = run(&mut command(&file, &QUICK));
    later.assert_code(0);
    let earlier = earlier.end();
    earlier.assert_code(1);
    assert_says(&earlier, "another penstock bench has begun on this database");
    scene.assert_clean();
    scene.assert_untouched();
}

#[test]
fn messages_come_from_a_file_and_without_any_there_is_nothing_to_measure() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.jsonl");
    let name = path.to_str().unwrap();
    // Kafka is not asked.
    let setup = Setup {
        brokers: "127.0.0.1:1".to_owned(),
        ..scene.setup.clone()
    };
    let file = setup.file();
    let from_file = [&QUICK[..], &["--messages-from", name, "--partitions", "3"]].concat();

    std::fs::write(
        &path,
        "{\"id\": \"a\", \"other\": \"b\", \"n\": 1}\n\n{\"id\": \"b\", \"other\": \"c\", \"n\": 2}\n",
    )
    .unwrap();
    let done = run(&mut command(&file, &from_file));
    done.assert_code(0);
    assert_says(&done, "messages  2 from the file; Kafka is not asked");
    assert_says(&done, "This assumes topics with 3 partitions");
    scene.assert_clean();

    std::fs::write(&path, "").unwrap();
    let nothing = run(&mut command(&file, &from_file));
    nothing.assert_code(1);
    assert_says(
        &nothing,
        "no messages to measure with: produce some, or name a file with --messages-from",
    );

    std::fs::write(&path, "{\"n\": 9}\n{\"n\": 1}\n").unwrap();
    let no_rows = run(&mut command(&file, &from_file));
    no_rows.assert_code(1);
    assert_says(
        &no_rows,
        "none of 2 messages makes a row (filtered: 1, rejected: key_missing 1)",
    );

    // Nobody says yes.
    std::fs::write(&path, "{\"id\": \"a\", \"other\": \"b\", \"n\": 1}\n").unwrap();
    let silent = run(&mut command(&file, &["--messages-from", name]));
    silent.assert_code(64);
    assert_says(&silent, "add --yes");
    // The plan comes first.
    assert_says(&silent, "writes    to the set penstock_bench");
    let other = run(&mut command(&file, &[&QUICK[..], &["--topic", "nothing"]].concat()));
    other.assert_code(64);
    scene.assert_untouched();
}

/// Rules that write to the scratch set would lose their records.
#[test]
fn the_scratch_set_is_the_commands_own() {
    let scene = Scene::new();
    let setup = scene.setup.clone().routes(&format!(
        "[[route]]\n[[route.write]]\nset = \"{SET}\"\nkey = \"id\"\nbins = {{ n = \"n\" }}\n"
    ));
    let file = setup.file();
    let refused = run(&mut command(&file, &QUICK));
    refused.assert_code(1);
    assert_says(
        &refused,
        "the rules write to the set penstock_bench, which is this command's own",
    );
    assert_eq!(scene.scratch_records(), 0);
}
