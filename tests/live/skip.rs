//! `penstock skip` on a real broker, which knows members, transactions and the metadata of commits.

use std::path::Path;

use rdkafka::producer::{BaseProducer, Producer as _};

use crate::support::process::{Exited, penstock, run, run_service};
use crate::support::{DEADLINE, Database, Kafka, Setup, Stream, Topic, consumer_groups, send, unique, wait_until};

/// Runs `penstock skip` without a terminal.
fn skip(file: &Path, place: &str, more: &[&str]) -> Exited {
    run(penstock().arg("skip").arg(file).arg(place).args(more))
}

/// A stream of 41 messages per partition whose message 20 in partition 1 is broken.
fn broken(topic: &Topic) -> Stream {
    let mut stream = Stream::new(topic, 5);
    stream.produce(20);
    stream.produce_bad(1, "not JSON");
    stream.produce(20);
    stream
}

/// Runs the service until the message holds its partition, and stops it. Returns the line of the log.
fn hold(topic: &Topic, setup: &Setup, file: &Path) -> String {
    let mut service = run_service(file);
    let told = service.wait_for_line(&["ERROR", "message rejected", "partition=1 ", "offset=20 "]);
    topic.wait_committed(&setup.group, &[Some(41), Some(20)]);
    service.signal("TERM");
    service.end().assert_code(65);
    told
}

/// Runs the service to the end of the stream.
fn go_on(topic: &Topic, setup: &Setup, file: &Path, stream: &Stream, database: &Database) {
    let mut service = run_service(file);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    let ended = service.end();
    ended.assert_code(0);
    // The commit has said which topic it is of.
    assert!(!ended.output.contains("former topic"), "{}", ended.output);
    stream.assert_ledger(database);
}

fn a_held_partition_goes_on_past_a_skipped_message(consumer: &str) {
    let topic = Kafka::real().topic("skip", 2);
    let database = Database::from_env();
    let stream = broken(&topic);
    let setup = Setup::new(&Kafka::real(), &topic, &database).consumer(consumer);
    let file = setup.file();
    let folder = tempfile::tempdir().unwrap();
    // If nothing is changed, the restarted service is held at the same message again.
    hold(&topic, &setup, file.path());
    let told = hold(&topic, &setup, file.path());
    let (_, command) = told.split_once("run penstock skip FILE ").unwrap();
    let (arguments, _) = command.split_once(" and start it").unwrap();
    let [place, "--to-file", kept] = arguments.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{arguments}");
    };
    let kept = folder.path().join(kept);
    let to_file = ["--yes", "--to-file", kept.to_str().unwrap()];

    // A member: nothing is kept, nothing is committed.
    let mut service = run_service(file.path());
    service.wait_for_line(&["ERROR", "message rejected"]);
    let exited = skip(file.path(), place, &to_file);
    exited.assert_code(1);
    for told in ["has members", "penstock at /", "stop every process of the group"] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    assert!(!kept.exists());
    service.signal("TERM");
    service.end().assert_code(65);
    assert_eq!(topic.committed(&setup.group), [Some(41), Some(20)]);

    skip(file.path(), place, &to_file).assert_code(0);
    // The commit is like those of the service.
    let commits = topic.commits(&setup.group);
    let of = |partition| commits.find_partition(&topic.name, partition).unwrap();
    assert_eq!(of(1).metadata(), of(0).metadata());
    assert!(of(1).metadata().starts_with("penstock topic="), "{}", of(1).metadata());
    assert_eq!(topic.committed(&setup.group), [Some(41), Some(21)]);
    let again = skip(file.path(), place, &to_file);
    again.assert_code(1);
    assert!(again.output.contains("its next offset is 21"), "{}", again.output);
    go_on(&topic, &setup, file.path(), &stream, &database);
    let tried = run(penstock()
        .arg("try")
        .arg(file.path())
        .arg("--envelope")
        .arg("--input")
        .arg(&kept));
    assert!(tried.assert_code(1).output.contains("not_json"), "{}", tried.output);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_held_partition_goes_on_past_a_skipped_message_with_the_classic_protocol() {
    a_held_partition_goes_on_past_a_skipped_message("");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_held_partition_goes_on_past_a_skipped_message_with_the_consumer_protocol() {
    a_held_partition_goes_on_past_a_skipped_message("\"group.protocol\" = \"consumer\"");
}

/// A call that is killed while the broker does not take the message has done nothing. One that is killed after the
/// message was kept leaves the letter, and the next call makes another.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_call_that_was_killed_in_between_is_repeated() {
    let (topic, letters) = (Kafka::real().topic("skip-kill", 2), Kafka::real().topic("skip-dead", 1));
    let database = Database::from_env();
    let stream = broken(&topic);
    let setup = Setup::new(&Kafka::real(), &topic, &database).consumer("");
    let file = setup.file();
    hold(&topic, &setup, file.path());
    let place = format!("{}:1:20", topic.name);
    let mut command = penstock();
    command
        .arg("skip")
        .arg(file.path())
        .arg(&place)
        .args(["--yes", "--to-topic=none-such"]);
    let mut killed = crate::support::process::Program::start(&mut command);
    killed.wait_for_line(&["rejected   not_json"]);
    killed.signal("KILL");
    killed.end().assert_signal(9);
    let at_the_message = [Some(41), Some(20)];
    assert_eq!(topic.committed(&setup.group), at_the_message);
    // As if the first call had been killed before it committed. The offset has no tag of Penstock then.
    let to_topic = format!("--to-topic={}", letters.name);
    for number in 0..2 {
        topic.commit(&setup.group, 1, 20);
        let exited = skip(file.path(), &place, &["--yes", &to_topic]);
        exited.assert_code(0);
        let told = format!("kept as the dead letter {}:0:{number}", letters.name);
        assert!(exited.output.contains(&told), "{}", exited.output);
    }
    let counted = run(penstock().arg("dead").arg(file.path()).args(["--from", &letters.name]));
    counted.assert_code(0);
    assert!(counted.output.contains("2 letters of 1 messages"), "{}", counted.output);
    go_on(&topic, &setup, file.path(), &stream, &database);
}

/// A stopped member with `group.instance.id` stays in its group until its session ends.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_stopped_static_member_is_named_and_waited_for() {
    let topic = Kafka::real().topic("skip-static", 2);
    let database = Database::from_env();
    let stream = broken(&topic);
    let consumer = "\"group.instance.id\" = \"one\"\n\"session.timeout.ms\" = 10000";
    let setup = Setup::new(&Kafka::real(), &topic, &database).consumer(consumer);
    let file = setup.file();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    let to_file = ["--yes", "--to-file", kept.to_str().unwrap()];
    hold(&topic, &setup, file.path());
    let place = format!("{}:1:20", topic.name);
    let exited = skip(file.path(), &place, &to_file);
    exited.assert_code(1);
    for told in ["(group.instance.id one)", "session.timeout.ms, 10000 ms"] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    assert!(!kept.exists());
    wait_until(
        "the session to end",
        || skip(file.path(), &place, &to_file).status.code(),
        |code| *code == Some(0),
    );
    go_on(&topic, &setup, file.path(), &stream, &database);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn an_offset_of_an_aborted_transaction_is_not_skipped_but_the_message_behind_it() {
    let topic = Kafka::real().topic("skip-aborted", 1);
    let producer: BaseProducer = Kafka::real()
        .client()
        .set("transactional.id", unique("transaction"))
        .create()
        .unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    for is_committed in [false, true] {
        producer.begin_transaction().unwrap();
        for _ in 0..3 {
            send(&producer, &topic.name, 0, b"not JSON");
        }
        producer.flush(DEADLINE).unwrap();
        if is_committed {
            producer.commit_transaction(DEADLINE).unwrap();
        } else {
            producer.abort_transaction(DEADLINE).unwrap();
        }
    }
    let setup = Setup::new(&Kafka::real(), &topic, &Database::simulated()).consumer("");
    let file = setup.file();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    let to_file = ["--yes", "--to-file", kept.to_str().unwrap()];
    // Offsets 0 to 2 and the marker are nothing that a consumer receives. The group has no offset, so it is at the oldest.
    let exited = skip(file.path(), &format!("{}:0:1", topic.name), &to_file);
    exited.assert_code(1);
    for told in [
        format!("the group's next message is {}:0:4, not", topic.name),
        "aborted transaction".to_owned(),
    ] {
        assert!(exited.output.contains(&told), "{told:?} is not in\n{}", exited.output);
    }
    skip(file.path(), &format!("{}:0:4", topic.name), &to_file).assert_code(0);
    assert_eq!(topic.committed(&setup.group), [Some(5)]);
}

/// The way without Penstock that the runbook names.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn the_other_way_of_the_runbook_skips_a_rejected_message() {
    let topic = Kafka::real().topic("skip-by-hand", 2);
    let database = Database::from_env();
    let stream = broken(&topic);
    let setup = Setup::new(&Kafka::real(), &topic, &database).consumer("");
    let file = setup.file();
    hold(&topic, &setup, file.path());
    let partition = format!("{}:1", topic.name);
    consumer_groups(&[
        "--bootstrap-server",
        &setup.brokers,
        "--group",
        &setup.group,
        "--topic",
        &partition,
        "--reset-offsets",
        "--to-offset",
        "21",
        "--execute",
    ]);
    go_on(&topic, &setup, file.path(), &stream, &database);
}
