//! `penstock skip` on a mock broker, whose group has never had members. `tests/live/skip.rs` has the rest.

use std::path::Path;

use crate::support::process::{Exited, penstock, run};
use crate::support::{Kafka, Sent, Service, Setup, Topic, sent, simulator};

const ROUTES: &str = "
[[route]]
  [[route.write]]
  set = \"users\"
  key = \"id\"
  bins = [\"n\"]
";

/// Runs `penstock skip` without a terminal. Fails unless it ends with this code.
fn skip(file: &Path, place: &str, more: &[&str], code: i32) -> Exited {
    let exited = run(penstock().arg("skip").arg(file).arg(place).args(more));
    exited.assert_code(code);
    exited
}

/// A good message, a broken one, and a good one; the group is at the broken one.
fn held(kafka: &Kafka, routes: &str) -> (Topic, Setup) {
    let topic = kafka.topic("events", 1);
    let setup = Setup::new(kafka, &topic, simulator().addr()).routes(routes);
    let messages = [r#"{"id": "a"}"#, "secret-payload", r#"{"id": "b"}"#];
    topic.produce(0, &messages.map(|payload| sent("secret-key", payload)));
    topic.commit(&setup.group, 0, 1);
    (topic, setup)
}

#[test]
fn a_message_is_kept_in_a_file_before_it_is_skipped() {
    let kafka = Kafka::mock();
    let (topic, setup) = held(&kafka, ROUTES);
    let (file, name) = (setup.file(), &topic.name);
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    let to_file = ["--yes", "--to-file", kept.to_str().unwrap()];
    let place = format!("{name}:0:1");
    let at_first = || assert_eq!(topic.committed(&setup.group), [Some(1)]);

    // It says what is missing, and does nothing.
    let exited = skip(file.path(), &place, &["--yes"], 64);
    assert!(
        exited.output.contains(&format!("--to-file {name}-0-1.json")),
        "{}",
        exited.output
    );
    let exited = skip(file.path(), &place, &["--yes", "--to-topic"], 64);
    for told in [
        "--to-topic alone means [reject].topic",
        "--to-topic=TOPIC",
        &format!("--to-file {name}-0-1.json"),
    ] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    let exited = skip(file.path(), &place, &["--to-file", "kept.json"], 64);
    // The message comes first.
    for told in [&format!("{name}:0:1"), "add --yes"] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    for (other, code, told) in [
        (
            format!("{name}:0:0"),
            1,
            "the group is past offset 0: its next offset is 1".to_owned(),
        ),
        (
            format!("{name}:0:2"),
            1,
            format!("the group's next message is {place}, not {name}:0:2"),
        ),
        (format!("{name}:7:1"), 1, format!("the topic {name} has no partition 7")),
        ("other:0:1".to_owned(), 64, format!("it reads: {name}")),
        (format!("{name}:1"), 64, "TOPIC:PARTITION:OFFSET".to_owned()),
    ] {
        let exited = skip(file.path(), &other, &to_file, code);
        assert!(exited.output.contains(&told), "{told:?} is not in\n{}", exited.output);
    }
    assert!(!kept.exists());
    std::fs::write(&kept, "something else\n").unwrap();
    let exited = skip(file.path(), &place, &to_file, 64);
    assert!(exited.output.contains("nothing is overwritten"), "{}", exited.output);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "something else\n");
    std::fs::remove_file(&kept).unwrap();
    at_first();

    // As after the first question to a new cluster.
    kafka.delay_coordinator();
    let exited = skip(file.path(), &place, &to_file, 0);
    for told in [
        "payload    14 bytes",
        "rejected   not_json: ",
        &format!("skipped {place}: kept in "),
        "goes on at offset 2",
        &format!("the next message, {name}:0:2, is not rejected by today's rules (kept): start the service"),
    ] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    assert!(!exited.output.contains("secret"), "{}", exited.output);
    assert_eq!(topic.committed(&setup.group), [Some(2)]);
    let tried = |code| {
        let tried = run(penstock()
            .arg("try")
            .arg(file.path())
            .arg("--envelope")
            .arg("--input")
            .arg(&kept));
        tried.assert_code(code).output.clone()
    };
    assert!(tried(1).contains("secret-key"));

    // A call that was killed before it committed has left this.
    topic.commit(&setup.group, 0, 1);
    let before = std::fs::read(&kept).unwrap();
    let exited = skip(file.path(), &place, &[to_file.as_slice(), &["--show"]].concat(), 0);
    assert!(exited.output.contains("had it already"), "{}", exited.output);
    assert!(exited.output.contains("secret-payload"), "{}", exited.output);
    assert_eq!(std::fs::read(&kept).unwrap(), before);
    assert_eq!(topic.committed(&setup.group), [Some(2)]);

    // The next message is not rejected; and then there is none.
    let other = folder.path().join("other.json");
    let to_other = ["--yes", "--to-file", other.to_str().unwrap()];
    let exited = skip(file.path(), &format!("{name}:0:2"), &to_other, 0);
    for told in [
        "do not reject it (kept)",
        "no other message is there now: start the service",
    ] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    let exited = skip(file.path(), &format!("{name}:0:3"), &to_other, 1);
    assert!(exited.output.contains("to its end, 3"), "{}", exited.output);
}

#[test]
fn a_call_names_the_call_for_the_next_message_that_is_rejected() {
    let kafka = Kafka::mock();
    let (topic, setup) = held(&kafka, ROUTES);
    let name = &topic.name;
    topic.produce(0, &[sent("k", "secret-payload")]);
    topic.commit(&setup.group, 0, 1);
    let (file, folder) = (setup.file(), tempfile::tempdir().unwrap());
    let kept = |offset: i64| {
        folder
            .path()
            .join(format!("{name}-0-{offset}.json"))
            .display()
            .to_string()
    };
    skip(
        file.path(),
        &format!("{name}:0:1"),
        &["--yes", "--to-file", &kept(1)],
        0,
    );
    let exited = skip(
        file.path(),
        &format!("{name}:0:2"),
        &["--yes", "--to-file", &kept(2)],
        0,
    );
    let next = format!(
        "to skip it as well: penstock skip {} {name}:0:3 --to-file {} --yes",
        file.path().display(),
        kept(3)
    );
    for told in [
        &format!("the next message, {name}:0:3, is rejected, too: not_json: "),
        &next,
    ] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    assert!(!exited.output.contains("secret"), "{}", exited.output);
}

#[test]
fn a_message_that_is_kept_in_a_file_is_applied_by_a_replay() {
    let kafka = Kafka::mock();
    let (topic, dead) = (kafka.topic("events", 1), kafka.topic("dead", 1));
    let sim = simulator();
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&ROUTES.replace("\"id\"", "\"none\""));
    topic.produce(0, &[sent("k", r#"{"id": "a", "n": 7}"#)]);
    topic.commit(&setup.group, 0, 0);
    let (before, folder) = (setup.file(), tempfile::tempdir().unwrap());
    let kept = folder.path().join("kept.json").display().to_string();
    let place = format!("{}:0:0", topic.name);
    let exited = skip(before.path(), &place, &["--yes", "--to-file", &kept], 0);
    assert!(exited.output.contains("rejected   key_missing"), "{}", exited.output);

    // The rule is mended, and the message is behind the group's offset.
    let mended = setup.clone().routes(ROUTES).file();
    let to_topic = format!("--to-topic={}", dead.name);
    let from_file = |more: &[&str]| {
        let mut command = penstock();
        command
            .arg("skip")
            .arg(mended.path())
            .args(["--from-file", &kept])
            .args(more);
        run(&mut command)
    };
    let exited = from_file(&[]);
    exited.assert_code(64);
    assert!(
        exited.output.contains("say where the dead letter goes"),
        "{}",
        exited.output
    );
    let exited = from_file(&[&to_topic]);
    exited.assert_code(0);
    let replay = format!("penstock replay {} --from {}", mended.path().display(), dead.name);
    for told in [&format!("is now the dead letter {}:0:0", dead.name), &replay] {
        assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
    }
    assert_eq!(topic.committed(&setup.group), [Some(1)]);
    let letter = &dead.read(1)[0];
    for (name, value) in [("penstock.reason", "skipped"), ("penstock.in_doubt", "true")] {
        assert_eq!(letter.header(name), Some(value), "{name}");
    }
    let detail = letter.header("penstock.detail").unwrap();
    assert!(detail.contains("key_missing: none (line"), "{detail}");
    // However late the letter is made, it does not let entries of an earlier letter of the file be forgotten.
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&kept).unwrap()).unwrap();
    let kept_at = line["skipped"]["time"].as_str();
    assert!(
        kept_at.is_some() && letter.header("penstock.first_time") == kept_at,
        "{line}"
    );
    let mut replay = penstock();
    replay
        .arg("replay")
        .arg(mended.path())
        .args(["--from", &dead.name, "--overwrite"]);
    run(&mut replay).assert_code(0);
    assert_eq!(sim.get("test", "users", "a").unwrap().int("n"), Some(7));
}

/// Two groups can be held by the same message, and the name that is proposed for the file is the same.
#[test]
fn a_file_of_another_group_does_not_keep_the_message() {
    let kafka = Kafka::mock();
    let (topic, setup) = held(&kafka, ROUTES);
    let other = Setup {
        group: format!("{}-other", setup.group),
        ..setup.clone()
    };
    topic.commit(&other.group, 0, 1);
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    let to_file = ["--yes", "--to-file", kept.to_str().unwrap()];
    let place = format!("{}:0:1", topic.name);
    skip(setup.file().path(), &place, &to_file, 0);
    let before = std::fs::read(&kept).unwrap();
    let exited = skip(other.file().path(), &place, &to_file, 64);
    assert!(exited.output.contains("nothing is overwritten"), "{}", exited.output);
    assert_eq!(std::fs::read(&kept).unwrap(), before);
    assert_eq!(topic.committed(&other.group), [Some(1)]);
}

#[test]
fn a_message_is_kept_as_a_dead_letter_before_it_is_skipped() {
    let kafka = Kafka::mock();
    let letters = kafka.topic("dead", 1);
    let reject = format!(
        "{ROUTES}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        letters.name
    );
    let (topic, setup) = held(&kafka, &reject);
    let file = setup.file();
    let place = format!("{}:0:1", topic.name);
    // A call that was killed before it committed leaves a letter; the next one makes another.
    for number in 0..2 {
        topic.commit(&setup.group, 0, 1);
        let exited = skip(file.path(), &place, &["--yes"], 0);
        let told = format!("kept as the dead letter {}:0:{number}", letters.name);
        assert!(exited.output.contains(&told), "{}", exited.output);
        assert_eq!(topic.committed(&setup.group), [Some(2)]);
    }
    let read = letters.read(2);
    assert_eq!(read[0].payload.as_deref(), Some(b"secret-payload".as_slice()));
    let counted = run(penstock().arg("dead").arg(file.path()));
    counted.assert_code(0);
    assert!(counted.output.contains("2 letters of 1 messages"), "{}", counted.output);
    // A topic that is not there keeps nothing, so nothing is skipped.
    topic.commit(&setup.group, 0, 1);
    let exited = skip(file.path(), &place, &["--yes", "--to-topic=none-such"], 69);
    assert!(exited.output.contains("has not taken the message"), "{}", exited.output);
    assert_eq!(topic.committed(&setup.group), [Some(1)]);
    let source = format!("--to-topic={}", topic.name);
    skip(file.path(), &place, &["--yes", &source], 64);
}

#[test]
fn a_replay_repeats_nothing_of_a_skipped_message() {
    let kafka = Kafka::mock();
    let dead = kafka.topic("dead", 1);
    let counts = "[[route]]\n[[route.write]]\nset = \"users\"\nkey = \"id\"\nadd = { n = 1 }\n";
    let reject = format!(
        "{counts}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        dead.name
    );
    let (topic, setup) = held(&kafka, &reject);
    let file = setup.file();
    // Today's rules reject this one. Those that held it may have been others.
    skip(file.path(), &format!("{}:0:1", topic.name), &["--yes"], 0);
    // They do not reject this one: other rows of it may be written.
    skip(file.path(), &format!("{}:0:2", topic.name), &["--yes"], 0);
    let in_doubt = |number: usize| {
        let headers = dead.read(2)[number].headers.clone();
        let found = headers.into_iter().find(|(name, _)| name == "penstock.in_doubt");
        found.and_then(|(_, value)| String::from_utf8(value?).ok())
    };
    assert_eq!([0, 1].map(in_doubt).map(Option::unwrap), ["true", "true"]);

    let replay = |more: &[&str]| {
        let exited = run(penstock()
            .arg("replay")
            .arg(file.path())
            .args(["--from", &dead.name])
            .args(more));
        exited.assert_code(1).output.clone()
    };
    let refused = replay(&["--dry-run"]);
    assert!(refused.contains("1 refused: in_doubt"), "{refused}");
    let allowed = replay(&["--dry-run", "--in-doubt"]);
    assert!(allowed.contains("1 would be replayed: skipped"), "{allowed}");
}

#[test]
fn the_groups_offset_still_says_where_the_letters_of_later_messages_are() {
    let kafka = Kafka::mock();
    let dead = kafka.topic("dead", 1);
    let reject = format!(
        "{ROUTES}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        dead.name
    );
    let topic = kafka.topic("events", 1);
    let sim = simulator();
    let service = Setup::new(&kafka, &topic, sim.addr()).routes(&reject);
    topic.produce(0, &[sent("k", r#"{"id": "a"}"#), sent("k", "broken")]);
    Service::run_to_the_ends_of(&topic, &service);
    let tag = |group: &str| {
        let commits = topic.commits(group);
        commits.find_partition(&topic.name, 0).unwrap().metadata().to_owned()
    };
    let before = tag(&service.group);
    assert!(before.contains(&format!(" dead={}:", dead.name)), "{before}");
    // The mock broker takes no commit from outside for a group that has had members, so it is another one.
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&reject);
    assert_ne!(setup.group, service.group);
    topic.commit_with(&setup.group, 0, 1, &before);
    let place = format!("{}:0:1", topic.name);
    skip(setup.file().path(), &place, &["--yes"], 0);
    assert_eq!(
        (topic.committed(&setup.group), tag(&setup.group)),
        (vec![Some(2)], before)
    );
}

/// A call that keeps the message and is killed, or refused, before it skips it. The service then finds the letter: who
/// replays it applies the message, and nobody else.
#[test]
fn a_letter_of_a_call_that_did_not_skip_is_found_by_the_service() {
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Code};
    let kafka = Kafka::mock();
    let dead = kafka.topic("kept", 1);
    let sim = simulator();
    let topic = kafka.topic("events", 1);
    let rules = |require: &str| {
        format!("[[route]]\n{require}[[route.write]]\nset = \"users\"\nkey = \"id\"\nadd = {{ n = 1 }}\n")
    };
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let messages = [r#"{"id": "a"}"#, r#"{"id": "bad"}"#, r#"{"id": "b"}"#];
    topic.produce(0, &messages.map(|payload| sent("k", payload)));
    topic.commit(&setup.group, 0, 1);
    let held = setup.clone().routes(&rules("require = [\"id != 'bad'\"]\n")).file();
    // The first commit shows that the group has no members. The second one would skip the message.
    let mut codes = vec![Code::RD_KAFKA_RESP_ERR_NO_ERROR];
    codes.extend([Code::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE; 20]);
    let commits = RDKafkaApiKey::OffsetCommit;
    kafka.cluster().request_errors(commits, &codes);
    let to_topic = format!("--to-topic={}", dead.name);
    let exited = skip(held.path(), &format!("{}:0:1", topic.name), &["--yes", &to_topic], 69);
    assert!(exited.output.contains("the message is kept"), "{}", exited.output);
    kafka.cluster().clear_request_errors(commits);
    assert_eq!(
        (topic.committed(&setup.group), dead.ends()),
        (vec![Some(1)], vec![Some(1)])
    );

    // The rule is mended, the service goes on, and then somebody replays the letters.
    let mended = setup.clone().routes(&rules(""));
    Service::run_to_the_ends_of(&topic, &mended);
    let count = |key: &str| sim.get("test", "users", key).and_then(|record| record.int("n"));
    assert_eq!(count("b"), Some(1));
    let replayed = run(penstock()
        .arg("replay")
        .arg(mended.file().path())
        .args(["--from", &dead.name, "--in-doubt"]));
    replayed.assert_code(0);
    assert_eq!(count("bad"), Some(1), "{}", replayed.output);
}

/// The service, or a call that was killed, has made a letter, and the offset is not committed. The letter says which rows
/// are not done; another one would be newer and say that none is.
#[test]
fn a_message_that_has_a_letter_gets_no_other_one() {
    let kafka = Kafka::mock();
    let (topic, dead) = (kafka.topic("events", 1), kafka.topic("dead", 1));
    let rules = "[[route]]\n[[route.write]]\nset = \"a\"\nkey = \"id\"\nadd = { n = 1 }\n[[route.write]]\nset = \"b\"\n\
                 key = \"id\"\nadd = { n = 1 }\n";
    let reject = format!(
        "{rules}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        dead.name
    );
    let sim = simulator();
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&reject);
    topic.produce(0, &[sent("k", r#"{"id": "x"}"#), sent("k", r#"{"id": "y"}"#)]);
    sim.put("test", "b", "x", &[("n", penstock_sim::Value::from("text"))])
        .unwrap();
    let other = setup.clone();
    Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(dead.ends(), [Some(1)]);
    // As if the service had been killed before it committed. The mock broker takes no commit from outside for a group that
    // has had members, so the letter is one of another group, apart from its name.
    let commits = topic.commits(&setup.group);
    let tag = commits.find_partition(&topic.name, 0).unwrap().metadata().to_owned();
    let letter = dead.read(1).remove(0);
    let other = Setup {
        group: format!("{}-other", setup.group),
        ..other
    };
    let headers: Vec<(&str, Option<&[u8]>)> = letter
        .headers
        .iter()
        .map(|(name, value)| match name.as_str() {
            "penstock.group" => (name.as_str(), Some(other.group.as_bytes())),
            _ => (name.as_str(), value.as_deref()),
        })
        .collect();
    dead.produce(
        0,
        &[Sent {
            headers: &headers,
            ..sent("k", r#"{"id": "x"}"#)
        }],
    );
    let (file, folder) = (other.file(), tempfile::tempdir().unwrap());
    let kept = folder.path().join("kept.json");
    let place = format!("{}:0:0", topic.name);
    for (more, letters) in [(vec!["--to-file", kept.to_str().unwrap()], 2), (vec![], 2)] {
        topic.commit_with(&other.group, 0, 0, &tag);
        let exited = skip(file.path(), &place, &[&["--yes"], more.as_slice()].concat(), 0);
        let told = format!("as the dead letter {}:0:1 (which was there already)", dead.name);
        assert!(exited.output.contains(&told), "{}", exited.output);
        assert_eq!((dead.ends(), kept.exists()), (vec![Some(letters)], false));
        assert_eq!(topic.committed(&other.group), [Some(1)]);
    }
}

/// The letter of a skipped message names the guarded sets, like one of the service. So a replay sees which record a later
/// message has written, and does the rest.
#[test]
fn a_guarded_write_of_a_skipped_message_is_replayed_where_no_later_message_wrote() {
    let kafka = Kafka::mock();
    let (topic, dead) = (kafka.topic("events", 1), kafka.topic("dead", 1));
    let sim = simulator();
    let rules = |require: &str| {
        format!(
            "[[route]]\n{require}[[route.write]]\nset = \"users\"\nkey = \"id\"\nbins = {{ last = \"n\" }}\nadd = {{ \
             count = 1 }}\n"
        )
    };
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let messages = [
        r#"{"id": "a", "n": 1}"#,
        r#"{"id": "b", "n": 2}"#,
        r#"{"id": "c", "n": 3}"#,
        r#"{"id": "a", "n": 9}"#,
    ];
    topic.produce(0, &messages.map(|payload| sent("k", payload)));
    topic.commit(&setup.group, 0, 0);
    let held = setup.clone().routes(&rules("require = [\"n > 8\"]\n")).file();
    let (to_topic, folder) = (format!("--to-topic={}", dead.name), tempfile::tempdir().unwrap());
    let kept = folder.path().join("kept.json").display().to_string();
    for (offset, keep) in [(0, &[&*to_topic][..]), (1, &[&*to_topic]), (2, &["--to-file", &kept])] {
        let place = format!("{}:0:{offset}", topic.name);
        skip(held.path(), &place, &[&["--yes"], keep].concat(), 0);
    }
    let mended = setup.routes(&rules(""));
    Service::run_to_the_ends_of(&topic, &mended);
    let file = mended.file();
    let mut from_file = penstock();
    from_file
        .arg("skip")
        .arg(file.path())
        .args(["--from-file", &kept, &to_topic]);
    run(&mut from_file).assert_code(0);
    let replay = |more: &[&str], code: i32, told: &[&str]| {
        let mut command = penstock();
        command.arg("replay").arg(file.path()).args(["--from", &dead.name]);
        let exited = run(command.args(more));
        exited.assert_code(code);
        for told in told {
            assert!(exited.output.contains(told), "{told:?} is not in\n{}", exited.output);
        }
    };
    let record = |key: &str| {
        let record = sim.get("test", "users", key)?;
        Some((record.int("last")?, record.int("count")?))
    };
    replay(&[], 1, &["3 refused: in_doubt"]);
    replay(&["--in-doubt"], 1, &["2 written", "1 refused: later_message"]);
    assert_eq!(["a", "b", "c"].map(record), [Some((9, 1)), Some((2, 1)), Some((3, 1))]);
    replay(&["--in-doubt", "--keep-newer"], 0, &["1 written", "2 already written"]);
    assert_eq!(record("a"), Some((9, 2)));
}
