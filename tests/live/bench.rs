//! `penstock bench` against a real broker, beside a running service with a static membership: a whole measurement.

use penstock::bench::scratch::SET;

use crate::support::process::{penstock, run, run_service};
use crate::support::{Kafka, Setup, Stream, listener, simulator};

/// In each partition. Enough for the rate of reading alone.
const MESSAGES: i64 = 5000;

/// Over TLS, as a user's broker has it. The service that is measured for keeps its membership, its offsets and its
/// records, and goes on.
#[test]
#[ignore = "make test-kafka"]
fn a_whole_measurement_leaves_the_running_service_alone() {
    let kafka = Kafka::real();
    let topic = kafka.topic("bench", 4);
    let sim = simulator();
    let ca = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/kafka/tls/ca.pem");
    let mut setup = Setup::new(&kafka, &topic, sim.addr()).consumer("").kafka(&format!(
        "[kafka.properties]\n\"group.instance.id\" = \"one\"\n\"security.protocol\" = \"ssl\"\n\
         \"ssl.ca.location\" = \"{}\"\n",
        ca.display()
    ));
    setup.brokers = listener("TLS");
    let mut stream = Stream::new(&topic, 10);
    stream.produce(MESSAGES);
    let file = setup.file();
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());

    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let mut bench = penstock();
    bench
        .arg("bench")
        .arg(file.path())
        .args(["--yes", "--step", "500ms", "--keys", "2000"]);
    let done = run(bench
        .args(["--max-threads", "8", "--max-latency", "10s", "--json"])
        .arg(&json));
    done.assert_code(0);
    for part in [
        "outside of the group; commits nothing",
        "reading from Kafka alone: ",
        "rules and plan alone: ",
        "Rows in a batch call (run.batch_rows_max), 4 threads",
        "What limits now: ",
        "run.batch_rows_max",
        "The topic has 4 partitions",
    ] {
        assert!(done.output.contains(part), "no {part:?} in:\n{}", done.output);
    }
    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(figures["partitions"], 4);
    assert!(
        figures["reading"]["messages_per_s"].as_f64().unwrap() > 0.0,
        "{figures}"
    );
    assert!(figures["rules_cpu_us_per_message"].as_f64().unwrap() > 0.0, "{figures}");
    assert_eq!(figures["stopped"], serde_json::Value::Null);
    assert!(sim.records("test", SET).is_empty());

    assert!(service.is_running(), "{}", service.output());
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.produce(10);
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
}
