//! A log that is cut, on a broker for these tests alone: messages are lost, and other messages get offsets that the
//! service has already read.
//!
//! A broker that lost its disk, or an unclean leader election, leaves such a log. Here the test stops the broker, cuts
//! the log's file at the end of a batch, and starts the broker again. Then the partition has a new leader epoch.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{DEADLINE, Database, Kafka, Records as _, Service, Setup, Topic, send, unique, wait_until};
use penstock::kafka::consumer::epoch;
use penstock::util::exit::Exit;
use rdkafka::producer::{BaseProducer, Producer as _};
use tempfile::TempDir;

/// A broker of one test's own.
pub struct Broker {
    dir: TempDir,
    pub kafka: Kafka,
}

impl Broker {
    pub fn start() -> Broker {
        let dir = TempDir::new().unwrap();
        let line = script(dir.path(), &["start"]);
        let brokers = line.trim().rsplit('=').next().unwrap().to_owned();
        Broker {
            dir,
            kafka: Kafka::at(&brokers),
        }
    }

    /// Stops the broker and starts it again. Then its partitions have a later leader epoch.
    pub fn restart(&self) {
        script(self.dir.path(), &["stop"]);
        script(self.dir.path(), &["start", "--keep"]);
    }

    /// Stops the broker, cuts the log of the topic's partition 0 at this offset, and starts the broker again.
    pub fn cut(&self, topic: &Topic, offset: i64) {
        script(self.dir.path(), &["stop"]);
        let folder = self.dir.path().join("data").join(format!("{}-0", topic.name));
        cut(&folder.join("00000000000000000000.log"), offset);
        // The broker creates these files again from the log, as after a crash.
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path
                .extension()
                .and_then(|extension| extension.to_str())
                .unwrap_or_default();
            if ["index", "timeindex", "snapshot"].contains(&extension) {
                fs::remove_file(path).unwrap();
            }
        }
        let _ = fs::remove_file(self.dir.path().join("data").join(".kafka_cleanshutdown"));
        script(self.dir.path(), &["start", "--keep"]);
        wait_until("the log to be cut", || topic.ends(), |ends| *ends == [Some(offset)]);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = command(self.dir.path(), &["stop"]).status();
    }
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "scripts", "kafka.sh"].iter().collect();
    let mut command = Command::new(script);
    command.args(arguments).env("KAFKA_DIR", dir).env_remove("KAFKA_PORT");
    command
}

/// Runs the script. Returns the last line that it prints.
fn script(dir: &Path, arguments: &[&str]) -> String {
    let output = command(dir, arguments).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{arguments:?}:\n{out}\n{err}");
    out.lines().last().unwrap_or_default().to_owned()
}

/// Cuts a log's file before the batch that starts at `offset`. (A batch starts with its first offset and the number of
/// bytes that follow.)
fn cut(file: &Path, offset: i64) {
    let bytes = fs::read(file).unwrap();
    let mut at = 0;
    while at < bytes.len() {
        let first = i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        if first >= offset {
            break;
        }
        let length = i32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        at += 12 + usize::try_from(length).unwrap();
    }
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(at as u64).unwrap();
}

/// Produces this many messages, each in its own batch. Their ids start with `prefix`.
pub fn produce(topic: &Topic, prefix: &str, messages: usize) {
    let mut client = topic.client.clone();
    let producer: BaseProducer = client.set("batch.num.messages", "1").create().unwrap();
    for n in 0..messages {
        let payload = format!(r#"{{"id":"{prefix}{n}","key":"k","n":{n}}}"#);
        send(&producer, &topic.name, 0, payload.as_bytes());
    }
    producer.flush(DEADLINE).unwrap();
}

fn written(database: &Database, prefix: &str, messages: usize) -> usize {
    let keys: Vec<String> = (0..messages).map(|n| format!("{prefix}{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    database.ints("all", &keys).iter().flatten().count()
}

const ALL_ONLY: &str = "[[route]]\n[[route.write]]\nset = \"all\"\nkey = \"id\"\nbins = [\"n\"]\n";

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn where_a_log_was_cut_reading_goes_on_exactly_there() {
    let broker = Broker::start();
    let topic = broker.kafka.topic("cut", 1);
    let database = Database::from_env();
    let setup = Setup::new(&broker.kafka, &topic, &database)
        .consumer("")
        .routes(ALL_ONLY);
    produce(&topic, "a", 50);
    Service::run_to_the_ends_of(&topic, &setup);
    assert!(
        epoch::of_list(&topic.commits(&setup.group))[0].is_some(),
        "the epoch is not committed with the offset"
    );

    // A new leader of the same log: nothing is lost, and nothing is logged.
    broker.cut(&topic, 50);
    produce(&topic, "b", 10);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(
        (ended.counters.messages_written.get(), written(&database, "b", 10)),
        (10, 10)
    );

    // The log is cut while nobody reads it, and grows past the group's offset, 60. The new messages start below 60.
    broker.cut(&topic, 30);
    produce(&topic, "c", 40);
    assert_eq!(topic.ends(), [Some(70)]);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(
        written(&database, "c", 40),
        40,
        "messages of the new log were passed over"
    );
    assert_eq!(
        ended.counters.messages_written.get(),
        40,
        "what was read before was written again"
    );

    // The log is cut while the service reads it.
    let service = Service::start(&setup);
    service.wait_for("the partition", |counters| counters.partitions_assigned.get() == 1);
    produce(&topic, "e", 5);
    service.wait_written(5);
    broker.cut(&topic, 62);
    produce(&topic, "f", 20);
    service.wait_written(25);
    topic.wait_committed(&setup.group, &topic.ends());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(
        (ended.counters.messages_written.get(), written(&database, "f", 20)),
        (25, 20)
    );

    // An offset that a tool sets has no epoch. So nobody can know whether, or where, the log was cut.
    topic.commit(&setup.group, 0, 1000);
    let ended = Service::start(&setup).end();
    ended.assert(Exit::Rejected);
    assert_eq!(topic.committed(&setup.group), [Some(1000)]);
    let ended = Service::run_to_the_ends_of(&topic, &setup.clone().kafka("offset_gone = \"earliest\""));
    assert_eq!(ended.counters.messages_written.get(), 82, "not all that is there");
}

const COUNTED: &str = "[[route]]\n[[route.write]]\nset = \"counted\"\nkey = \"id\"\nadd = { n = 1 }\n";

/// A transaction leaves entries after the last message that is read. They have offsets, and here a later leader wrote
/// them.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_log_that_ends_with_the_marker_of_a_later_leader_is_not_taken_for_cut() {
    let broker = Broker::start();
    let topic = broker.kafka.topic("marker", 1);
    let database = Database::from_env();
    // With a guard the service stops if a log was cut.
    let setup = Setup::new(&broker.kafka, &topic, &database)
        .consumer("")
        .routes(COUNTED);
    produce(&topic, "a", 10);
    let mut client = topic.client.clone();
    let producer: BaseProducer = client.set("transactional.id", unique("transaction")).create().unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    for _ in 0..5 {
        send(&producer, &topic.name, 0, br#"{"id":"x"}"#);
    }
    producer.flush(DEADLINE).unwrap();
    broker.restart();
    producer.abort_transaction(DEADLINE).unwrap();
    // Ten messages, five aborted ones, and the marker, which the broker writes after its answer.
    wait_until("the marker", || topic.ends(), |ends| *ends == [Some(16)]);
    Service::run_to_the_ends_of(&topic, &setup);

    produce(&topic, "b", 10);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_written.get(), 10);
    assert_eq!(database.ints("counted", &["b0", "b9"]), [Some(1), Some(1)]);
}
