//! A real broker that advertises an address at which clients cannot reach it.

use std::path::Path;
use std::process::Command;

use crate::support::connect::{assert_line, check};
use crate::support::process::{penstock, run, run_service};
use crate::support::{Database, Kafka, Setup, Stream, Topic, unique};
use rdkafka::ClientConfig;

/// A broker for this test alone, because its address must change. It is stopped when this is dropped.
struct Broker {
    folder: tempfile::TempDir,
}

impl Broker {
    fn script(&self, arguments: &[&str], advertised: Option<&str>) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh");
        let mut command = Command::new(script);
        command.args(arguments).env("KAFKA_DIR", self.folder.path());
        command.env_remove("KAFKA_PORT").env_remove("KAFKA_ADVERTISED");
        if let Some(address) = advertised {
            command.env("KAFKA_ADVERTISED", address);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "kafka.sh {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the broker and returns the address at which it listens. It keeps its data if it ran before.
    fn start(&self, advertised: Option<&str>) -> String {
        let said = self.script(&["start", "--keep"], advertised);
        said.trim().rsplit_once("KAFKA_BROKERS=").unwrap().1.to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh");
        let _ = Command::new(script)
            .arg("stop")
            .env("KAFKA_DIR", self.folder.path())
            .status();
    }
}

#[test]
#[ignore = "make test-kafka"]
fn a_real_broker_whose_advertised_listeners_are_wrong_is_named() {
    const NAMED: &str =
        "broker 1 says its address is kafka-int.invalid:29092, which does not resolve: correct advertised.listeners";
    let broker = Broker {
        folder: tempfile::tempdir().unwrap(),
    };
    let brokers = broker.start(None);
    let name = unique("advertised-real");
    broker.script(&["topic", &name, "2"], None);
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &brokers);
    let topic = Topic {
        client,
        name,
        partitions: 2,
    };
    let mut stream = Stream::new(&topic, 2);
    stream.produce(20);
    broker.script(&["stop"], None);

    assert_eq!(broker.start(Some("kafka-int.invalid:29092")), brokers);
    let database = Database::from_env();
    let mut setup = Setup::new(&Kafka::real(), &topic, &database).run("start_timeout = \"12s\"");
    setup.brokers.clone_from(&brokers);
    let exited = check(&setup);
    exited.assert_code(69);
    assert_line(&exited, &["ok ", "kafka: reached"]);
    assert_line(&exited, &["error ", NAMED]);
    assert!(!exited.output.contains("READ"), "{}", exited.output);
    let file = setup.file();
    let exited = run(penstock().arg("run").arg(file.path()));
    exited.assert_code(69);
    assert_line(&exited, &["WARN", "kafka: waiting", NAMED]);
    assert_line(&exited, &["ERROR", "run.start_timeout", NAMED]);
    broker.script(&["stop"], None);

    // After the address is corrected, the service reads the topic.
    broker.start(None);
    check(&setup).assert_code(0);
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
}
