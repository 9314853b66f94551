//! The service is killed when dead letters are stored and their messages' offsets are not committed. Then its rules are
//! mended, or the database is. What has a letter is not applied when it comes again: a replay of the letters applies it.

// The seed of the random test.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::cut::{self, Broker};
use crate::support::connect::{assert_line, check};
use crate::support::process::{Exited, Program, SimProgram, file, run_service};
use crate::support::{Kafka, Records as _, Setup, Topic, send, wait_for, wait_until};
use rdkafka::producer::{BaseProducer, Producer as _};

const PARTITIONS: i32 = 2;
/// Of so many messages one is bad.
const BAD: i64 = 4;

/// Two counters per message.
const ROUTES: &str = r#"
  [[route.write]]
  set = "counts"
  key = "{@partition}:{n}"
  add = { n = 1 }

  [[route.write]]
  set = "others"
  key = "{@partition}:{n}"
  add = { n = 1 }
"#;

/// A service that is killed, and what it reads and writes.
struct Killed {
    kafka: Kafka,
    topic: Topic,
    dead: Topic,
    sim: SimProgram,
    setup: Setup,
    /// Messages of each partition so far.
    produced: i64,
}

impl Killed {
    fn new(kafka: Kafka) -> Killed {
        let mut killed = Killed::without_offsets(kafka, 3);
        killed.begin();
        killed
    }

    /// A first run. Then the group has an offset, and each commit says where the letters are that come behind it.
    fn begin(&mut self) {
        self.produce(8);
        let first = self.start(true, "50ms");
        self.finish(first);
    }

    /// The group has committed nothing yet. `dead`: the partitions of the topic of dead letters.
    fn without_offsets(kafka: Kafka, dead: i32) -> Killed {
        let (topic, dead) = (kafka.topic("lettered", PARTITIONS), kafka.topic("lettered-dead", dead));
        let sim = SimProgram::start(&[]);
        let setup = Setup::new(&kafka, &topic, sim.addr).consumer("session.timeout.ms = 6000\n");
        Killed {
            kafka,
            topic,
            dead,
            sim,
            setup,
            produced: 0,
        }
    }

    /// Produces this many messages to each partition, of which one in [`BAD`] is bad.
    fn produce(&mut self, messages: i64) {
        let producer: BaseProducer = self.topic.client.create().unwrap();
        for n in self.produced..self.produced + messages {
            let payload = format!(r#"{{"n":{n},"bad":{}}}"#, n % BAD == 1);
            for partition in 0..PARTITIONS {
                send(&producer, &self.topic.name, partition, payload.as_bytes());
            }
        }
        producer.flush(crate::support::DEADLINE).unwrap();
        self.produced += messages;
    }

    /// Starts the service. `refuses`: its rules refuse bad messages.
    fn start(&mut self, refuses: bool, commit_interval: &'static str) -> Program {
        let require = if refuses { "require = [\"!bad\"]\n" } else { "" };
        self.setup.routes = format!(
            "[[route]]\n{require}{ROUTES}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\npercent_max = 0\n",
            self.dead.name
        );
        self.setup.commit_interval = commit_interval;
        let config = file(&self.setup.text());
        let mut program = run_service(config.path());
        program.wait_for_line(&["kafka: joining"]);
        program
    }

    /// How many letters there are.
    fn letters(&self) -> i64 {
        self.dead.ends().into_iter().flatten().sum()
    }

    fn wait_letters(&self, letters: i64) {
        wait_until("the letters", || self.letters(), |stored| *stored >= letters);
    }

    /// Kills the service when it has this many letters, and before it commits.
    fn kill(&self, mut service: Program, letters: i64) {
        self.wait_letters(letters);
        let before = self.topic.committed(&self.setup.group);
        service.signal("KILL");
        service.end().assert_signal(9);
        assert_eq!(self.topic.committed(&self.setup.group), before);
        assert_ne!(before, self.topic.ends(), "something comes again");
    }

    /// Lets the service go on until everything is committed, and end.
    fn finish(&self, mut service: Program) -> Exited {
        self.topic.wait_committed(&self.setup.group, &self.topic.ends());
        service.signal("TERM");
        let exited = service.end();
        exited.assert_code(0);
        exited
    }

    /// For each message with a letter, by its key, the rows that are not done. Fails if a message has two letters. What
    /// somebody else has produced is left out.
    fn not_done(&self) -> BTreeMap<String, Vec<u64>> {
        let mut not_done = BTreeMap::new();
        for letter in self.dead.read(usize::try_from(self.letters()).unwrap()) {
            let Some(partition) = letter.header("penstock.partition") else {
                continue;
            };
            let value: serde_json::Value = serde_json::from_str(letter.text()).unwrap();
            let key = format!("{partition}:{}", value["n"]);
            let rows = match letter.header("penstock.rows_not_done").unwrap() {
                "all" => vec![0, 1],
                rows => {
                    let rows: Vec<serde_json::Value> = serde_json::from_str(rows).unwrap();
                    rows.iter().map(|row| row["row"].as_u64().unwrap()).collect()
                }
            };
            assert_eq!(not_done.insert(key.clone(), rows), None, "{key} has two letters");
        }
        not_done
    }

    /// Fails unless each row is applied once, or is not done according to the letter of its message. A replay of the
    /// letters then applies each once.
    fn assert_ledger(&self, output: &str) {
        let not_done = self.not_done();
        let keys: Vec<String> = (0..PARTITIONS)
            .flat_map(|partition| (0..self.produced).map(move |n| format!("{partition}:{n}")))
            .collect();
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        for (row, set) in [(0, "counts"), (1, "others")] {
            for (key, count) in keys.iter().zip(self.sim.ints(set, &names)) {
                let has_letter = not_done.get(key).is_some_and(|rows| rows.contains(&row));
                let expected = if has_letter { None } else { Some(1) };
                assert_eq!(count, expected, "{set} {key}\n{output}");
            }
        }
    }
}

/// Kills a service whose rules refuse some messages, when their letters are stored.
fn killed_behind_letters(kafka: Kafka) -> Killed {
    let mut killed = Killed::new(kafka);
    let before = killed.letters();
    let service = killed.start(true, "5m");
    killed.produce(40);
    let letters = before + i64::from(PARTITIONS) * 40 / BAD;
    killed.kill(service, letters);
    assert_eq!(killed.letters(), letters);
    killed
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_message_with_a_letter_is_not_applied_after_a_kill_though_the_rules_are_mended() {
    let mut killed = killed_behind_letters(Kafka::real());
    let letters = killed.letters();
    // Killed twice more, as soon as it knows which messages have letters, and when some of them may be passed.
    for line in ["messages that come again have dead letters", "kafka: assigned"] {
        let mut again = killed.start(false, "5m");
        again.wait_for_line(&[line]);
        again.signal("KILL");
        again.end().assert_signal(9);
    }
    let mended = killed.start(false, "50ms");
    let exited = killed.finish(mended);
    assert_eq!(killed.letters(), letters, "{}", exited.output);
    killed.assert_ledger(&exited.output);
    // Twenty came again. Those of the first run are committed.
    let told: u64 = exited
        .output
        .lines()
        .filter(|line| line.contains("messages that come again have dead letters already"))
        .map(|line| number(line, "messages="))
        .sum();
    assert_eq!(told, 20, "{}", exited.output);
    assert!(exited.output.contains("lettered_before:20"), "{}", exited.output);
    // What is new is applied, and nothing is read where there is no new letter.
    killed.produce(8);
    let next = killed.start(false, "50ms");
    let exited = killed.finish(next);
    killed.assert_ledger(&exited.output);
    assert!(
        !exited.output.contains("have dead letters already"),
        "{}",
        exited.output
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_new_group_that_is_killed_before_its_first_commit_finds_its_letters() {
    let mut killed = Killed::without_offsets(Kafka::real(), 3);
    let service = killed.start(true, "5m");
    killed.produce(40);
    killed.kill(service, i64::from(PARTITIONS) * 40 / BAD);
    let mended = killed.start(false, "50ms");
    let exited = killed.finish(mended);
    assert_eq!(killed.letters(), 20, "{}", exited.output);
    killed.assert_ledger(&exited.output);
    assert!(exited.output.contains("lettered_before:20"), "{}", exited.output);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_message_has_one_letter_though_the_service_is_killed() {
    let mut killed = killed_behind_letters(Kafka::real());
    let letters = killed.letters();
    let same = killed.start(true, "50ms");
    let exited = killed.finish(same);
    assert_eq!(killed.letters(), letters, "{}", exited.output);
    killed.assert_ledger(&exited.output);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_row_that_the_database_refused_is_left_to_a_replay_too() {
    let mut killed = Killed::new(Kafka::real());
    let before = killed.letters();
    killed.sim.say("records 12 30% 7");
    let service = killed.start(true, "5m");
    killed.produce(40);
    // Bad ones, and some of the others.
    killed.wait_letters(before + i64::from(PARTITIONS) * 40 / BAD + 10);
    let written = |killed: &Killed| {
        let rows = killed.not_done().values().map(Vec::len).sum::<usize>();
        let all = usize::try_from(i64::from(PARTITIONS) * killed.produced * 2).unwrap();
        let applied = killed.sim.count("counts") + killed.sim.count("others");
        (rows + usize::try_from(applied).unwrap(), all)
    };
    wait_until(
        "all rows to be written or lettered",
        || written(&killed),
        |(done, all)| done == all,
    );
    let letters = killed.letters();
    killed.kill(service, letters);
    killed.sim.say("clear");
    let mended = killed.start(false, "50ms");
    let exited = killed.finish(mended);
    assert_eq!(killed.letters(), letters, "{}", exited.output);
    let some_done = killed.not_done().values().any(|rows| rows.len() == 1);
    assert!(some_done, "no message with one row done");
    killed.assert_ledger(&exited.output);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn letters_that_went_with_their_topic_do_not_count_and_those_of_the_new_one_do() {
    let mut killed = killed_behind_letters(Kafka::real());
    let admin: AdminClient<DefaultClientContext> = killed.kafka.client().create().unwrap();
    let name = killed.dead.name.clone();
    wait_for(admin.delete_topics(&[&name], &AdminOptions::new())).unwrap();
    let create = || {
        let topic = NewTopic::new(&name, 3, TopicReplication::Fixed(1));
        wait_for(admin.create_topics([&topic], &AdminOptions::new())).unwrap()
    };
    wait_until("the topic to be created again", create, |results| results[0].is_ok());
    // The letters are gone. So these messages are rejected anew, and get letters in the new topic. The ones of the first
    // run are committed.
    let service = killed.start(true, "5m");
    killed.kill(service, 20);
    let mended = killed.start(false, "50ms");
    let exited = killed.finish(mended);
    assert_eq!(killed.letters(), 20, "{}", exited.output);
    assert!(exited.output.contains("lettered_before:20"), "{}", exited.output);
    let not_done = killed.not_done();
    for (key, count) in not_done.keys().zip(killed.sim.ints("counts", &keys(&not_done))) {
        assert_eq!(count, None, "{key}\n{}", exited.output);
    }
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn letters_that_are_left_when_records_were_deleted_are_found() {
    for left in [10, 0] {
        let mut killed = Killed::without_offsets(Kafka::real(), 1);
        killed.begin();
        let service = killed.start(true, "5m");
        killed.produce(40);
        killed.kill(service, 24);
        let admin: AdminClient<DefaultClientContext> = killed.kafka.client().create().unwrap();
        let mut below = TopicPartitionList::new();
        below
            .add_partition_offset(&killed.dead.name, 0, Offset::Offset(24 - left))
            .unwrap();
        let deleted = wait_for(admin.delete_records(&below, &AdminOptions::new())).unwrap();
        assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
        let mended = killed.start(false, "50ms");
        let exited = killed.finish(mended);
        let told = exited.output.contains(&format!("lettered_before:{left}"));
        assert_eq!(told, left > 0, "{}", exited.output);
        let applied = killed.sim.count("counts");
        // All but those that were rejected in the first run, and those whose letters are left.
        assert_eq!(applied, u64::try_from(96 - 4 - left).unwrap(), "{}", exited.output);
    }
}

/// The group's offset says that letters are at 34 or above, and then the topic of dead letters is cut.
#[test]
#[ignore = "needs Kafka's jars: make test-kafka"]
fn letters_that_are_stored_where_their_topic_was_cut_are_found_though_it_has_grown_since() {
    let broker = Broker::start();
    // Where it is cut, how many messages of somebody else come behind the letters, and how many are read then.
    for (cut, others, read) in [(Some(10), 30, 50), (Some(10), 4, 24), (None, 0, 20)] {
        let mut killed = Killed::without_offsets(Kafka::at(&broker.kafka.brokers), 1);
        cut::produce(&killed.dead, "other", 30);
        killed.begin();
        assert_eq!(killed.letters(), 34);
        match cut {
            Some(cut) => broker.cut(&killed.dead, cut),
            // Another leader, and the same log.
            None => broker.restart(),
        }
        let service = killed.start(true, "5m");
        killed.produce(40);
        killed.kill(service, cut.unwrap_or(34) + 20);
        cut::produce(&killed.dead, "other", others);
        assert!(killed.letters() >= 34);
        let mended = killed.start(false, "50ms");
        let exited = killed.finish(mended);
        assert!(exited.output.contains("lettered_before:20"), "{}", exited.output);
        let mut not_done = killed.not_done();
        if cut.is_none() {
            // Those of the first run.
            not_done.retain(|key, _| key.split(':').nth(1).unwrap().parse::<i64>().unwrap() >= 8);
        }
        assert_eq!(not_done.len(), 20);
        for (key, count) in not_done.keys().zip(killed.sim.ints("counts", &keys(&not_done))) {
            assert_eq!(count, None, "{key}\n{}", exited.output);
        }
        // Nothing below the cut is read, and without one nothing below the offset.
        let told: Vec<&str> = exited
            .output
            .lines()
            .filter(|line| line.contains("have dead letters already"))
            .collect();
        assert_eq!(told.len(), 2, "{}", exited.output);
        assert!(told.iter().all(|line| number(line, "read=") == read), "{told:?}");
    }
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn whenever_it_is_killed_and_whatever_is_mended_meanwhile_each_row_is_applied_or_in_one_letter() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut killed = Killed::new(Kafka::real());
    // The rules and the database only get better. What a later rule refuses may have been applied before a kill.
    let (rules_mended, database_mended) = (rng.usize(1..6), rng.usize(1..6));
    killed.sim.say(&format!("records 12 30% {}", rng.u8(..)));
    for round in 0..6 {
        if round == database_mended {
            killed.sim.say("clear");
        }
        let (refuses, interval) = (round < rules_mended, ["20ms", "300ms", "5m"][rng.usize(..3)]);
        let service = killed.start(refuses, interval);
        let all = u64::try_from(i64::from(PARTITIONS) * killed.produced).unwrap();
        killed.produce(30);
        // When so many of all messages are done.
        let until = all + rng.u64(..60);
        let done = || killed.sim.count("counts") + u64::try_from(killed.letters()).unwrap();
        wait_until("messages to be done", done, |done| *done >= until);
        service.signal("KILL");
        drop(service);
    }
    killed.sim.say("clear");
    let last = killed.start(false, "50ms");
    let exited = killed.finish(last);
    killed.assert_ledger(&format!("seed {seed}\n{}", exited.output));
}

fn keys(not_done: &BTreeMap<String, Vec<u64>>) -> Vec<&str> {
    not_done.keys().map(String::as_str).collect()
}

// ---- without the right to read the topic of dead letters

/// A broker with settings of its own.
struct OwnBroker {
    dir: TempDir,
    kafka: Kafka,
}

/// It asks its authorizer. The plain listener may do anything.
const AUTHORIZER: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                          super.users=User:ANONYMOUS\n";

impl OwnBroker {
    /// `properties`: lines of the broker's configuration.
    fn start(properties_text: &str) -> OwnBroker {
        let dir = TempDir::new().unwrap();
        let properties = dir.path().join("more.properties");
        std::fs::write(&properties, properties_text).unwrap();
        let broker = dir.path().join("broker");
        let mut start = script(&broker, "start");
        let output = start
            .env("KAFKA_PROPERTIES", properties)
            .env("KAFKA_HEAP", "-Xmx384m")
            .output();
        let output = output.unwrap();
        // From here on, dropping it stops the broker.
        let mut own = OwnBroker {
            dir,
            kafka: Kafka::at(""),
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        own.kafka = Kafka::at(said.trim().rsplit('=').next().unwrap());
        own
    }

    /// The listener with a login.
    fn login(&self) -> String {
        let properties = self.dir.path().join("broker/server.properties");
        let properties = std::fs::read_to_string(properties).unwrap();
        let listeners = properties
            .lines()
            .find_map(|line| line.strip_prefix("listeners="))
            .unwrap();
        let found = listeners.split(',').find_map(|each| each.strip_prefix("LOGIN://"));
        found.unwrap().to_owned()
    }

    /// Grants the user `me` a right.
    fn grant(&self, right: &str, resource: &str, name: &str) {
        let jars = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/kafka/jars/*");
        let java = std::env::var("KAFKA_JAVA").unwrap_or_else(|_| "java".to_owned());
        let output = Command::new(java)
            .args(["-cp", jars, ACLS, "--bootstrap-server", &self.kafka.brokers])
            .args([
                "--add",
                "--allow-principal",
                "User:me",
                "--operation",
                right,
                resource,
                name,
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

const ACLS: &str = "org.apache.kafka.tools.AclCommand";

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let _ = script(&self.dir.path().join("broker"), "stop").status();
    }
}

fn script(dir: &Path, command: &str) -> Command {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka.sh"));
    script.arg(command).env("KAFKA_DIR", dir).env_remove("KAFKA_PORT");
    script
}

#[test]
#[ignore = "needs Kafka's jars: make test-kafka"]
fn without_read_on_the_topic_one_line_says_so_and_the_service_goes_on() {
    let broker = OwnBroker::start(AUTHORIZER);
    let mut killed = killed_behind_letters(Kafka::at(&broker.kafka.brokers));
    // From here on it has a login, with just the rights that it had to have so far.
    killed.setup.brokers = broker.login();
    killed.setup.kafka = "[kafka.properties]\nsecurity.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"PLAIN\"\n\
                          sasl.username = \"me\"\nsasl.password = \"right\"\n"
        .to_owned();
    broker.grant("Read", "--topic", &killed.topic.name);
    broker.grant("Read", "--group", &killed.setup.group);
    broker.grant("Write", "--topic", &killed.dead.name);
    let letters = killed.letters();
    let mended = killed.start(false, "50ms");
    let checked = check(&killed.setup);
    checked.assert_code(0);
    assert_line(&checked, &[&killed.dead.name, "no READ on it", "grant it"]);
    let exited = killed.finish(mended);
    let refused: Vec<&str> = exited
        .output
        .lines()
        .filter(|line| line.contains("the dead letters cannot be read"))
        .collect();
    assert_eq!(refused.len(), 1, "{}", exited.output);
    assert!(
        refused[0].contains("WARN") && refused[0].contains("grant the user READ"),
        "{refused:?}"
    );
    assert_eq!(killed.letters(), letters);
    // As before this was known: each is applied, and its letter is left.
    let not_done = killed.not_done();
    let applied = killed
        .sim
        .ints("counts", &keys(&not_done))
        .into_iter()
        .flatten()
        .count();
    assert_eq!(applied, 20, "{}", exited.output);
    // With the right, it holds.
    broker.grant("Read", "--topic", &killed.dead.name);
    assert_line(
        &check(&killed.setup),
        &[&killed.dead.name, "WRITE and READ are granted"],
    );
    let before = killed.letters();
    let service = killed.start(true, "5m");
    killed.produce(8);
    killed.kill(service, before + i64::from(PARTITIONS) * 8 / BAD);
    let mended = killed.start(false, "50ms");
    let exited = killed.finish(mended);
    assert!(exited.output.contains("lettered_before:4"), "{}", exited.output);
}

#[test]
#[ignore = "needs Kafka's jars: make test-kafka"]
fn where_brokers_take_only_short_metadata_offsets_are_committed_without_what_it_says_about_letters() {
    // As much as names the topic and the cluster.
    let broker = OwnBroker::start("offset.metadata.max.bytes=80\n");
    let mut killed = Killed::new(Kafka::at(&broker.kafka.brokers));
    killed.produce(8);
    let service = killed.start(true, "50ms");
    let exited = killed.finish(service);
    let told = exited
        .output
        .lines()
        .filter(|line| line.contains("what commits say about dead letters is too long"));
    assert_eq!(told.count(), usize::try_from(PARTITIONS).unwrap(), "{}", exited.output);
    for element in killed.topic.commits(&killed.setup.group).elements() {
        let tag = element.metadata();
        assert!(tag.starts_with("penstock topic=") && !tag.contains("dead="), "{tag}");
    }
}

/// The number behind these words in a line.
fn number(line: &str, behind: &str) -> u64 {
    let (_, rest) = line.split_once(behind).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
